"""guide against the formula in PyTorch."""
import numpy as np
import pytest

import packed
from cbind import Guarded, check, copy, make_pack, poison, run, same_bits
from reference import ops_small

BAR = 1e-6  # four roundings an element; enough elements that x + dt d cannot cancel in all of them


def inputs(rng, pack, dim):
    return {"x": packed.rows_input(rng, pack, dim), "v": packed.rows_input(rng, pack, dim),
            "keep": copy(rng.integers(0, 2, pack.rows), np.uint8), "kept": packed.rows_input(rng, pack, dim)}


@packed.lengths_param()
@pytest.mark.parametrize("dim", [100, 80, 33, 25])
@pytest.mark.parametrize("keeping", [False, True])
def test_two_branches(rng, lengths, tail, dim, keeping):
    pack, half = make_pack(lengths * 2, tail), sum(lengths)
    a, y = inputs(rng, pack, dim), Guarded((pack.rows, dim))
    a["keep"][half:], a["kept"][half:] = 1, np.nan  # read for the first half only
    if not keeping:
        a["keep"] = a["kept"] = None
    cfg, dt = float(np.float32(rng.uniform(0.5, 4))), float(np.float32(rng.uniform(0.01, 0.2)))
    run("guide", pack=pack, dim=dim, branches=2, cfg=cfg, dt=dt, y=y, **a)
    keep, kept = (a["keep"][:half], a["kept"][:half]) if keeping else (None, None)
    want = ops_small.guide(a["x"][:half], a["v"][:half], a["v"][half:2 * half], cfg, dt, keep, kept)
    y.check()
    check("guide", f"2 branches {packed.name(lengths, tail)} dim {dim}", y.a[:half], want, BAR)
    assert same_bits(y.a[:half], y.a[half:2 * half])


@packed.lengths_param()
@pytest.mark.parametrize("keeping", [False, True])
def test_one_branch(rng, lengths, tail, keeping):
    pack = make_pack(lengths, tail)
    a, y, live = inputs(rng, pack, 100), Guarded((pack.rows, 100)), pack.live
    if not keeping:
        a["keep"] = a["kept"] = None
    run("guide", pack=pack, dim=100, branches=1, cfg=np.nan, dt=0.03125, y=y, **a)
    keep, kept = (a["keep"][:live], a["kept"][:live]) if keeping else (None, None)
    want = ops_small.guide(a["x"][:live], a["v"][:live], None, 0, 0.03125, keep, kept)
    check("guide", f"1 branch {packed.name(lengths, tail)}", y.check()[:live], want, BAR)


def test_alone_is_packed_on_any_threads(rng):
    lengths, tail = packed.MIXED
    pack, half = make_pack(lengths * 2, tail), sum(lengths)
    a = inputs(rng, pack, 11)

    def compute(some, fields):
        y = poison(fields["x"].shape)
        run("guide", pack=some, dim=11, branches=2, cfg=2.0, dt=0.1, y=y, **fields)
        return y

    together = compute(pack, a)
    for begin, end in pack.spans[:len(lengths)]:
        both = [*range(begin, end), *range(half + begin, half + end)]
        alone = compute(make_pack([end - begin] * 2), {k: copy(v[both]) for k, v in a.items()})
        assert same_bits(alone, together[both])
    packed.threads_do_not_matter(lambda: compute(pack, a))


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


def test_rejects(rng):
    good = {"pack": make_pack([1, 2, 1, 2], 1), "dim": 8, "branches": 2, "cfg": 2.0, "dt": 0.1,
            **inputs(rng, make_pack([6], 1), 8), "y": poison((7, 8))}
    packed.rejects("guide", good, [
        ("F5_E_SHAPE", {"dim": 0}), ("F5_E_SHAPE", {"pack": make_pack([1, 2], 4)}),
        *(("F5_E_ARGUMENT", {"branches": n}) for n in (0, 3, -1)),
        *packed.nothing("x", "v", "kept", "y"), *packed.bad_packs(7)])
