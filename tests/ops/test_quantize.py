"""quantize beyond test_every_op.py: scales, rows of NaN, numbers in the middle, what is refused."""
import numpy as np
import torch

import packed
from cbind import aligned, copy, normal, poison, run, same_bits
from ops import whole


def quantized(x):
    y, scale = poison(x.shape, np.int8), poison(x.shape[:1])
    run("quantize", rows=len(x), dim=x.shape[1], x=x, y=y, scale=scale)
    return y, scale


def test_numbers_and_scales(rng):
    x = normal(rng, (70, 1024)) * np.exp(normal(rng, (70, 1), 3.0))
    x[3] = 0
    y, scale = quantized(copy(x))
    want, scales = whole(torch.from_numpy(x))
    assert np.array_equal(y, want.numpy()) and np.array_equal(scale, scales[:, 0].numpy())
    assert np.abs(y).max(axis=1).tolist() == [127] * 3 + [0] + [127] * 66 and scale[3] == 0
    error = np.abs(x.astype(np.float64) - y * scale[:, None].astype(np.float64))
    assert (error <= 0.5001 * scale[:, None]).all()


def test_the_middle_goes_to_even():
    """127 is the largest: the scale is 1, and numbers are what they are."""
    x = np.zeros((1, 16), np.float32)
    x[0, :8] = 127, 0.5, 1.5, -0.5, -1.5, 2.5, 126.5, -126.5
    y, scale = quantized(copy(x))
    assert y[0, :8].tolist() == [127, 0, 2, 0, -2, 2, 126, -126] and scale.tolist() == [1]


def test_what_is_not_finite_shows(rng):
    """The row's scale is NaN; other rows are what they were."""
    x = normal(rng, (6, 96))
    clean, scales = quantized(copy(x))
    x[1, 95], x[4, 0] = np.nan, -np.inf
    y, scale = quantized(copy(x))
    assert np.isnan(scale[[1, 4]]).all()
    others = [0, 2, 3, 5]
    assert same_bits(copy(y[others]), copy(clean[others])) and same_bits(copy(scale[others]), copy(scales[others]))


def test_rejects(rng):
    good = {"rows": 3, "dim": 32, "x": normal(rng, (3, 32)), "y": poison((3, 32), np.int8), "scale": poison((3,))}
    packed.rejects("quantize", good, [
        ("F5_E_SHAPE", {"dim": 24}), ("F5_E_ARGUMENT", {"x": aligned((100,))[1:97].reshape(3, 32)}),
        ("F5_E_ARGUMENT", {"y": aligned((112,), np.int8)[8:104].reshape(3, 32)})])
