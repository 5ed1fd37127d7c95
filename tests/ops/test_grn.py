"""grn beyond test_every_op.py: one channel, in place, NaN, silence."""
import numpy as np

import packed
from cbind import F5_BF16, check, copy, make_pack, normal, poison, run, same_bits
from ops import Grn


def weights(rng, dim):
    return {"gamma": normal(rng, (dim,)), "beta": normal(rng, (dim,))}


def compute(pack, _, x, w):
    y = poison(x.shape)
    run("grn", pack=pack, dim=x.shape[1], x=x, y=y, scratch=poison((pack.n_seq, x.shape[1])), **w)
    return y


def test_one_channel(rng):
    x, w = normal(rng, (157, 1)), weights(rng, 1)
    np.abs(w["gamma"], out=w["gamma"])  # gamma near -1 and beta near 0 would leave little but the rounding
    check("grn", "157 rows of one channel", compute(make_pack([157]), None, x, w), packed.truth(Grn(1), w, x=x), Grn.bar_ref)


def test_in_place(rng):
    pack, w = make_pack([7, 0, 31]), weights(rng, 24)
    x = normal(rng, (38, 24))
    apart, y = compute(pack, None, x, w), copy(x)
    run("grn", pack=pack, dim=24, x=y, y=y, scratch=poison((3, 24)), **w)
    assert same_bits(apart, y)


def test_nan_fills_its_sequence_only(rng):
    x = normal(rng, (9, 6))
    x[1, 2] = np.nan
    y = compute(make_pack([4, 5]), None, x, weights(rng, 6))
    assert np.isnan(y[:4]).all() and np.isfinite(y[4:]).all()


def test_silence_is_finite(rng):
    w = weights(rng, 6)
    y = compute(make_pack([3]), None, copy(np.zeros((3, 6), np.float32)), w)
    assert np.array_equal(y, np.broadcast_to(w["beta"], (3, 6)))


def test_rejects(rng):
    good = {"pack": make_pack([1, 4], 1), "dim": 8, "x": normal(rng, (6, 8)), "y": poison((6, 8)),
            "scratch": poison((2, 8)), **weights(rng, 8)}
    packed.rejects("grn", good, [
        ("F5_E_SHAPE", {"dim": 0}), ("F5_E_UNSUPPORTED", {"type": F5_BF16}),
        *packed.nothing("x", "gamma", "beta", "scratch", "y"), *packed.bad_packs(6)])
