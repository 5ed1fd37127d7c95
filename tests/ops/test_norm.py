"""norm beyond test_every_op.py: many rows, rows far from zero, in place."""
import numpy as np
import pytest

import packed
from cbind import F5_F16, F5_I8, Guarded, check, copy, normal, poison, run, same_bits
from ops import Norm

SHAPES = [(1, 1024), (2, 768), (31, 1024), (157, 768), (157, 512), (300, 1024), (5, 1), (9, 17), (31, 33)]


def operands(rng, dim):
    return {"scale": normal(rng, (dim,)), "shift": normal(rng, (dim,))}


@pytest.mark.parametrize("rows,dim", SHAPES)
@pytest.mark.parametrize("one_plus_scale", [True, False])
def test_matches_torch(rng, rows, dim, one_plus_scale):
    w, x, y = operands(rng, dim), normal(rng, (rows, dim)), Guarded((rows, dim))
    x *= np.exp(normal(rng, (rows, 1), 2.0))  # rows of unequal size
    run("norm", rows=rows, dim=dim, x=x, y=y, one_plus_scale=one_plus_scale, **w)
    want = packed.truth(Norm(dim, one_plus_scale), w, x=x)
    check("norm", f"{rows}x{dim} one_plus_scale {one_plus_scale}", y.check(), want, Norm.bar_ref)


def test_offset_rows(rng):
    """A mean of 100 standard deviations: the variance must be taken about it, not as a difference of squares."""
    w, x, y = operands(rng, 1024), normal(rng, (31, 1024)), Guarded((31, 1024))
    x += 100.0
    run("norm", rows=31, dim=1024, x=x, y=y, **w)
    check("norm", "31x1024 mean 100", y.check(), packed.truth(Norm(1024), w, x=x), 1e-5)  # the mean is rounded to 4e-6


def test_in_place_and_any_threads(rng):
    w, x = operands(rng, 100), normal(rng, (50, 100))

    def compute():
        y = poison((50, 100))
        run("norm", rows=50, dim=100, x=x, y=y, **w)
        return y

    packed.threads_do_not_matter(compute)
    y = copy(x)
    run("norm", rows=50, dim=100, x=y, y=y, **w)
    assert same_bits(y, compute())


def test_rows_are_independent(rng):
    """A NaN row, as the tail of a pack may hold, spoils itself alone."""
    w, x, y = operands(rng, 96), normal(rng, (12, 96)), poison((12, 96))
    clean = poison((12, 96))
    run("norm", rows=12, dim=96, x=x, y=clean, **w)
    x[5, 95] = np.nan
    run("norm", rows=12, dim=96, x=x, y=y, **w)
    assert np.isnan(y[5]).all() and same_bits(np.delete(y, 5, 0), np.delete(clean, 5, 0))


def test_silence_is_the_shift(rng):
    w, y = operands(rng, 40), poison((3, 40))
    run("norm", rows=3, dim=40, x=copy(np.zeros((3, 40), np.float32)), y=y, **w)
    assert np.array_equal(y, np.broadcast_to(w["shift"], (3, 40)))


def test_to_int8_is_the_norm_quantized(rng):
    """The same whole numbers and scales as from the F32 result."""
    w, x, y = operands(rng, 1040), normal(rng, (9, 1040)), poison((9, 1040))
    run("norm", rows=9, dim=1040, x=x, y=y, one_plus_scale=True, **w)
    made, scale, whole, scales = poison(y.shape, np.int8), poison((9,)), poison(y.shape, np.int8), poison((9,))
    run("quantize", rows=9, dim=1040, x=y, y=whole, scale=scales)
    run("norm", rows=9, dim=1040, x=x, y=made, y_scale=scale, one_plus_scale=True, type=F5_I8, **w)
    assert same_bits(made, whole) and same_bits(scale, scales)


def test_rejects(rng):
    good = {"rows": 4, "dim": 8, "x": normal(rng, (4, 8)), "y": poison((4, 8)), **operands(rng, 8)}
    packed.rejects("norm", good, [
        ("F5_E_ARGUMENT", {"type": F5_I8}), ("F5_E_SHAPE", {"type": F5_I8, "y_scale": poison((4,))}),
        ("F5_E_SHAPE", {"dim": 0}), ("F5_E_SHAPE", {"rows": -1}), ("F5_E_UNSUPPORTED", {"type": F5_F16}),
        *packed.nothing("x", "scale", "shift", "y")])
