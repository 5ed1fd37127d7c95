"""conv1d against PyTorch: the Vocos embedding and odd shapes, taps longer than the sequence, alone and packed."""
import numpy as np
import pytest

import packed
from cbind import Guarded, check, make_pack, normal, poison, run
from reference import ops

BAR = 1e-6  # sums of in * taps products, tap by tap

SHAPES = [(100, 512, 7), (768, 96, 3), (1024, 40, 1), (13, 130, 15), (1, 1, 5)]  # in, out, taps


def operands(rng, width_in, width_out, taps):
    return {"in": width_in, "out": width_out, "taps": taps, "bias": normal(rng, (width_out,)),
            "w": normal(rng, (taps, width_out, width_in), (taps * width_in) ** -0.5)}


@packed.lengths_param()
@pytest.mark.parametrize("width_in,width_out,taps", SHAPES)
def test_matches_torch(rng, lengths, tail, width_in, width_out, taps):
    pack, w = make_pack(lengths, tail), operands(rng, width_in, width_out, taps)
    x = packed.rows_input(rng, pack, width_in)
    for bias in (w["bias"], None):
        y = Guarded((pack.rows, width_out))
        run("conv1d", pack=pack, x=x, y=y, **{**w, "bias": bias})
        want = packed.by_sequence(pack, lambda rows: ops.conv1d(rows, w["w"], bias), x)
        what = f"{packed.name(lengths, tail)} {width_in}x{width_out} taps {taps} bias {bias is not None}"
        check("conv1d", what, y.check()[:pack.live], want, BAR)


def test_alone_is_packed_on_any_threads(rng):
    lengths, tail = [0, 300, 1, 31, 0, 2, 157], 3
    pack, w = make_pack(lengths, tail), operands(rng, 70, 150, 7)
    x = packed.rows_input(rng, pack, 70)

    def compute(some, _, rows):
        y = poison((some.rows, 150))
        run("conv1d", pack=some, x=rows, y=y, **w)
        return y

    packed.alone_is_packed(lengths, tail, compute, x)
    packed.threads_do_not_matter(lambda: compute(pack, None, x)[:pack.live])


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
