"""guide beyond test_every_op.py: both branches alike, in place, NaN that is replaced."""
import numpy as np

import packed
from cbind import copy, make_pack, poison, run, same_bits


def inputs(rng, pack, dim):
    return {"x": packed.rows_input(rng, pack, dim), "v": packed.rows_input(rng, pack, dim),
            "keep": copy(rng.integers(0, 2, pack.rows), np.uint8), "kept": packed.rows_input(rng, pack, dim)}


def test_both_branches_go_on_from_the_same_state(rng):
    pack = make_pack([5, 0, 3] * 2, 2)
    a, y = inputs(rng, pack, 33), poison((18, 33))
    a["keep"][8:], a["kept"][8:] = 1, np.nan  # read for the first half only
    run("guide", pack=pack, dim=33, branches=2, cfg=2.0, dt=0.1, y=y, **a)
    assert np.isfinite(y[:8]).all() and same_bits(y[:8], y[8:16])


def test_in_place(rng):
    pack = make_pack([5, 3, 5, 3])
    a, y = inputs(rng, pack, 4), poison((16, 4))
    run("guide", pack=pack, dim=4, branches=2, cfg=2.0, dt=0.1, y=y, **a)
    run("guide", pack=pack, dim=4, branches=2, cfg=2.0, dt=0.1, y=a["x"], **a)
    assert same_bits(a["x"], y)


def test_nan_stays_unless_replaced(rng):
    pack = make_pack([2, 2])
    a, y = inputs(rng, pack, 3), poison((4, 3))
    a["x"][0], a["v"][3, 1], a["keep"][:2] = np.nan, np.nan, (1, 0)
    run("guide", pack=pack, dim=3, branches=2, cfg=2.0, dt=0.1, y=y, **a)
    assert np.array_equal(y[0], a["kept"][0]) and np.isnan(y[1]).tolist() == [False, True, False]


def test_two_steps_of_adams_bashforth(rng):
    """The second step looks back at what the first left, in place, and leaves its own; rows that keep replaces leave it
    as it was, and the null branch's rows are not touched."""
    pack = make_pack([5, 3, 5, 3], 1)
    a = inputs(rng, pack, 12)
    a["kept"][8:], kept = np.nan, np.flatnonzero(a["keep"][:8])
    last, x = poison((17, 12)), a["x"][:8].astype(np.float64)
    d = [a["v"][:8] + 2 * (a["v"][:8].astype(np.float64) - a["v"][8:16])]
    run("guide", pack=pack, dim=12, branches=2, cfg=2.0, dt=0.1, y=a["x"], now=last, **{**a, "keep": None})
    assert np.allclose(last[:8], d[0], rtol=1e-6, atol=1e-6) and np.isnan(last[8:]).all()
    before, a["v"] = last.copy(), packed.rows_input(rng, pack, 12)
    d.append(a["v"][:8] + 2 * (a["v"][:8].astype(np.float64) - a["v"][8:16]))
    run("guide", pack=pack, dim=12, branches=2, cfg=2.0, dt=0.2, back=0.05, y=a["x"], last=last, now=last, **a)
    x = x + 0.1 * d[0] + 0.2 * d[1] + 0.05 * (d[1] - d[0])
    x[kept], d[1][kept] = a["kept"][kept], before[kept]
    assert np.allclose(a["x"][:8], x, rtol=1e-5, atol=1e-5) and same_bits(a["x"][:8], a["x"][8:16])
    assert np.allclose(last[:8], d[1], rtol=1e-6, atol=1e-6) and np.isnan(last[8:]).all()


def test_rejects(rng):
    good = {"pack": make_pack([1, 2, 1, 2], 1), "dim": 8, "branches": 2, "cfg": 2.0, "dt": 0.1,
            **inputs(rng, make_pack([6], 1), 8), "y": poison((7, 8))}
    packed.rejects("guide", good, [
        ("F5_E_SHAPE", {"dim": 0}), ("F5_E_SHAPE", {"pack": make_pack([1, 2], 4)}),
        *(("F5_E_ARGUMENT", {"branches": n}) for n in (0, 3, -1)),
        *packed.nothing("x", "v", "kept", "y"), *packed.bad_packs(7)])
