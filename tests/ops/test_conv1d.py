"""conv1d beyond test_every_op.py: how far NaN reaches, what raw holds, sums in place, and refusals."""
import numpy as np

import ops
import packed
from cbind import check, make_pack, normal, poison, run, same_bits
from op_base import Draw


def operands(rng, width_in, width_out, taps):
    return {"in": width_in, "out": width_out, "taps": taps, "rate": 1, "dilation": 1, "gain": 1.0, "bias": normal(rng, (width_out,)),
            "w": normal(rng, (taps, width_out, width_in), (taps * width_in) ** -0.5)}


def test_nan_reaches_as_far_as_the_taps(rng):
    """And not into the next sequence."""
    pack, w = make_pack([20, 20]), operands(rng, 8, 8, 7)
    x, y = normal(rng, (40, 8)), poison((40, 8))
    x[18] = np.nan
    run("conv1d", pack=pack, x=x, y=y, **w)
    assert list(np.flatnonzero(np.isnan(y).any(axis=1))) == [15, 16, 17, 18, 19]


def test_nan_reaches_as_far_as_the_dilation(rng):
    """A pack of two sequences of 20 rows, at twice the rate."""
    pack, w = make_pack([20, 20]), operands(rng, 8, 8, 7)
    x, y = normal(rng, (80, 8)), poison((80, 8))
    x[37] = np.nan
    run("conv1d", pack=pack, x=x, y=y, **{**w, "rate": 2, "dilation": 3})
    assert list(np.flatnonzero(np.isnan(y).any(axis=1))) == [28, 31, 34, 37]


def test_raw_is_what_the_activation_is_given(rng, seed):
    op = ops.Conv1d(16, 24, 5, rate=2, activation="LEAKY_RELU", slope=0.25, gain=0.5, what=("residual",))
    inputs = op.draw(Draw(seed, "raw"), [40])
    rows, shared = inputs.sequences[0], inputs.shared
    x, residual = (rows[f].numpy().reshape(80, -1) for f in ("x", "residual"))
    fields = {**op.scalars, "pack": make_pack([40]), "x": x, **{f: shared[f].numpy() for f in ("w", "bias")}}
    y, raw = poison((80, 24)), poison((80, 24))
    run("conv1d", **fields, residual=residual, raw=raw, y=y)
    check("conv1d", "raw", raw, op.before_activation(rows, shared).numpy(), 1e-6)
    assert same_bits(y, np.where(raw < 0, np.float32(0.25) * raw, raw)) and (raw < 0).any()
    in_place = residual.copy()  # a residual block adds to what it has
    run("conv1d", **fields, residual=in_place, raw=in_place, y=poison((80, 24)))
    assert same_bits(in_place, raw)
    in_place = residual.copy()
    run("conv1d", **fields, residual=in_place, y=in_place)
    assert same_bits(in_place, y)


def test_clamp_and_nan(rng):
    """NaN stays NaN; nothing leaves -1 .. 1."""
    x = np.array([[np.nan], [3], [-3], [0.5], [np.inf], [-np.inf]], np.float32)
    y = poison((6, 1))
    run("conv1d", pack=make_pack([6]), rate=1, dilation=1, gain=1.0, taps=1, activation=3, x=x, y=y,
        w=np.ones((1, 1, 1), np.float32), **{"in": 1, "out": 1})
    assert np.array_equal(y[:, 0], np.array([np.nan, 1, -1, 0.5, 1, -1], np.float32), equal_nan=True)


def test_rejects(rng):
    good = {"pack": make_pack([1, 4], 1), "x": normal(rng, (6, 16)), "y": poison((6, 8)), **operands(rng, 16, 8, 3)}
    packed.rejects("conv1d", good, [
        ("F5_E_SHAPE", {"in": 0}), ("F5_E_SHAPE", {"out": -1}), ("F5_E_SHAPE", {"taps": 0}),
        ("F5_E_SHAPE", {"taps": 2}), ("F5_E_SHAPE", {"taps": 33}), ("F5_E_ARGUMENT", {"y": good["x"].ctypes.data}),
        ("F5_E_SHAPE", {"rate": 0}), ("F5_E_SHAPE", {"rate": 1025}), ("F5_E_SHAPE", {"dilation": 0}),
        ("F5_E_SHAPE", {"dilation": 33}), ("F5_E_SHAPE", {"dilation": 2**31 - 1}), ("F5_E_ARGUMENT", {"activation": 4}),
        ("F5_E_ARGUMENT", {"raw": good["x"].ctypes.data}),
        ("F5_E_SHAPE", {"pack": make_pack([0], 2**20), "rate": 1024}), ("F5_E_SHAPE", {"pack": make_pack([0], 2**22), "rate": 256}),
        *packed.nothing("x", "w", "y"), *packed.bad_packs(6)])
