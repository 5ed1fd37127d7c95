"""dwconv_norm against conv1d and layer_norm of PyTorch."""
import numpy as np
import pytest

import packed
from cbind import F5_F16, Guarded, check, make_pack, normal, poison, run
from reference import ops_small

BAR = 1e-6  # F32 sums of 7 products and of one row


def weights(rng, dim):
    return {"w": normal(rng, (7, dim), 0.4), "bias": normal(rng, (dim,)), "scale": normal(rng, (dim,)),
            "shift": normal(rng, (dim,))}


@packed.lengths_param()
@pytest.mark.parametrize("dim", [512, 768, 100, 33, 1])
def test_matches_torch(rng, lengths, tail, dim):
    pack, w = make_pack(lengths, tail), weights(rng, dim)
    x, y = packed.rows_input(rng, pack, dim), Guarded((pack.rows, dim))
    run("dwconv_norm", pack=pack, dim=dim, x=x, y=y, **w)
    want = packed.by_sequence(pack, lambda rows: ops_small.dwconv_norm(rows, **w), x)
    check("dwconv_norm", f"{packed.name(lengths, tail)} dim {dim}", y.check()[:pack.live], want, BAR)


def test_alone_is_packed_on_any_threads(rng):
    dim, w = 100, weights(rng, 100)
    x = packed.rows_input(rng, make_pack(*packed.MIXED), dim)

    def compute(pack, _, rows):
        y = poison(rows.shape)
        run("dwconv_norm", pack=pack, dim=dim, x=rows, y=y, **w)
        return y

    packed.alone_is_packed(*packed.MIXED, compute, x)
    packed.threads_do_not_matter(lambda: compute(make_pack(*packed.MIXED), None, x))


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
