"""conv1d beyond test_every_op.py: how far NaN reaches, and refusals."""
import numpy as np

import packed
from cbind import make_pack, normal, poison, run


def operands(rng, width_in, width_out, taps):
    return {"in": width_in, "out": width_out, "taps": taps, "bias": normal(rng, (width_out,)),
            "w": normal(rng, (taps, width_out, width_in), (taps * width_in) ** -0.5)}


def test_nan_reaches_as_far_as_the_taps(rng):
    """And not into the next sequence."""
    pack, w = make_pack([20, 20]), operands(rng, 8, 8, 7)
    x, y = normal(rng, (40, 8)), poison((40, 8))
    x[18] = np.nan
    run("conv1d", pack=pack, x=x, y=y, **w)
    assert list(np.flatnonzero(np.isnan(y).any(axis=1))) == [15, 16, 17, 18, 19]


def test_rejects(rng):
    good = {"pack": make_pack([1, 4], 1), "x": normal(rng, (6, 16)), "y": poison((6, 8)), **operands(rng, 16, 8, 3)}
    packed.rejects("conv1d", good, [
        ("F5_E_SHAPE", {"in": 0}), ("F5_E_SHAPE", {"out": -1}), ("F5_E_SHAPE", {"taps": 0}),
        ("F5_E_SHAPE", {"taps": 2}), ("F5_E_SHAPE", {"taps": 17}), ("F5_E_ARGUMENT", {"y": good["x"].ctypes.data}),
        *packed.nothing("x", "w", "y"), *packed.bad_packs(6)])
