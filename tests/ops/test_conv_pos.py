"""conv_pos beyond test_every_op.py: wide groups, in place, Mish over its range, how far NaN reaches."""
import numpy as np

import packed
from cbind import F5_F16, Guarded, check, copy, make_pack, normal, poison, run, same_bits
from ops import ConvPos


def operands(rng, dim):
    return {"dim": dim, "bias": normal(rng, (dim,)), "w": normal(rng, (31, dim, dim // 16), (31 * dim / 16) ** -0.5)}


def test_wide_group(rng):
    """A group wider than a tile of columns, a sequence longer than a tile of rows."""
    pack, w = make_pack([270]), operands(rng, 16 * 70)
    x, y = normal(rng, (270, 1120)), Guarded((270, 1120))
    run("conv_pos", pack=pack, x=x, y=y, **w)
    check("conv_pos", "270 rows dim 1120", y.check(), packed.truth(ConvPos(1120), w, x=x), ConvPos.bar_ref)


def test_residual_in_place(rng):
    pack, w, x = make_pack([40, 7]), operands(rng, 64), normal(rng, (47, 64))
    apart, y = poison((47, 64)), normal(rng, (47, 64))
    run("conv_pos", pack=pack, x=x, y=apart, residual=copy(y), **w)
    run("conv_pos", pack=pack, x=x, y=y, residual=y, **w)
    assert same_bits(y, apart)


def test_mish_over_its_whole_range():
    """Weights of zero: c is the bias, so y is Mish alone; NaN stays NaN."""
    bias = np.concatenate([np.linspace(-110, 110, 1999), [np.nan]]).astype(np.float32)
    y = Guarded((1, 2000))
    run("conv_pos", pack=make_pack([1]), dim=2000, x=copy(np.zeros((1, 2000), np.float32)), bias=copy(bias), y=y,
        w=copy(np.zeros((31, 2000, 125), np.float32)))
    got, c = y.check()[0], bias[:-1].astype(np.float64)
    want = c * np.tanh(np.logaddexp(0, c))
    assert np.isnan(got[-1])
    assert (np.abs(got[:-1] - want) <= 4e-7 * np.abs(want) + 1e-38).all()


def test_nan_reaches_fifteen_rows_and_its_group(rng):
    pack, w = make_pack([60, 5]), operands(rng, 64)
    x, y = normal(rng, (65, 64)), poison((65, 64))
    x[30, 9] = np.nan  # group 2: channels 8 to 11
    run("conv_pos", pack=pack, x=x, y=y, **w)
    bad = np.isnan(y)
    assert bad[15:46, 8:12].all() and bad.sum() == 31 * 4


def test_rejects(rng):
    good = {"pack": make_pack([1, 4], 1), "x": normal(rng, (6, 32)), "y": poison((6, 32)), **operands(rng, 32)}
    packed.rejects("conv_pos", good, [
        ("F5_E_SHAPE", {"dim": 0}), ("F5_E_SHAPE", {"dim": 24}), ("F5_E_SHAPE", {"dim": -16}),
        ("F5_E_UNSUPPORTED", {"type": F5_F16}), ("F5_E_ARGUMENT", {"y": good["x"].ctypes.data}),
        *packed.nothing("x", "w", "bias", "y"), *packed.bad_packs(6)])
