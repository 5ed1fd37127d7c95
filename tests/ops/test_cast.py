"""cast: in F32, all that the reference has, every bit is copied; the GPU's 16-bit types are in tests/gpu."""
import numpy as np
import pytest

import packed
from cbind import F5_BF16, F5_F16, Guarded, normal, poison, run, same_bits


@pytest.mark.parametrize("n", [1, 7, 8, 9, 1000])
def test_copies_every_bit(rng, n):
    x, y = normal(rng, (n,)), Guarded((n,))
    x.flat[:4] = [np.nan, -0.0, np.inf, 1e-45][:n]
    run("cast", n=n, x=x, y=y)
    assert same_bits(y.check(), x)


def test_none_at_all(rng):
    y = Guarded((1,))
    run("cast", n=0, x=normal(rng, (1,)), y=y)
    assert np.isnan(y.check()).all()


def test_rejects(rng):
    packed.rejects("cast", {"n": 6, "x": normal(rng, (6,)), "y": poison((6,))}, [
        ("F5_E_SHAPE", {"n": -1}), ("F5_E_UNSUPPORTED", {"type": F5_F16}), ("F5_E_UNSUPPORTED", {"type": F5_BF16}),
        *packed.nothing("x", "y")])
