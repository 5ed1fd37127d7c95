"""dwconv_norm beyond test_every_op.py: how far NaN reaches, and refusals."""
import numpy as np

import packed
from cbind import F5_F16, make_pack, normal, poison, run


def weights(rng, dim):
    return {"w": normal(rng, (7, dim), 0.4), "bias": normal(rng, (dim,)), "scale": normal(rng, (dim,)),
            "shift": normal(rng, (dim,))}


def test_nan_spreads_three_rows_either_way_and_no_further(rng):
    dim, pack = 16, make_pack([20, 5])
    x, y = normal(rng, (25, dim)), poison((25, dim))
    x[18, 3] = np.nan
    run("dwconv_norm", pack=pack, dim=dim, x=x, y=y, **weights(rng, dim))
    assert np.flatnonzero(np.isnan(y).any(axis=1)).tolist() == [15, 16, 17, 18, 19]


def test_rejects(rng):
    dim, pack = 8, make_pack([1, 4], 1)
    x = normal(rng, (6, dim))
    good = {"pack": pack, "dim": dim, "x": x, "y": poison((6, dim)), **weights(rng, dim)}
    packed.rejects("dwconv_norm", good, [
        ("F5_E_SHAPE", {"dim": 0}), ("F5_E_SHAPE", {"dim": -8}), ("F5_E_UNSUPPORTED", {"type": F5_F16}),
        ("F5_E_ARGUMENT", {"x": good["w"], "y": good["w"]}),
        *packed.nothing("x", "w", "bias", "scale", "shift", "y"), *packed.bad_packs(6)])
