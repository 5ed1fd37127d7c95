"""linear_int8 beyond test_every_op.py: sums are exact to the last one, and what is refused."""
import numpy as np

import packed
from cbind import LINEAR_ROPE, aligned, copy, poison, run, same_bits


def ones(n):
    return copy(np.ones(n, np.float32))


def whole(rng, shape):
    return copy(rng.integers(-127, 128, shape), np.int8)


def test_sums_are_exact(rng):
    """Scales of 1: y is the whole number itself. 24 bits hold it here, also where every product is as large as can be."""
    for rows, width_in, width_out in ((5, 512, 70), (1, 16, 1), (3, 1024, 8)):
        x, w, y = whole(rng, (rows, width_in)), whole(rng, (width_out, width_in)), poison((rows, width_out))
        run("linear_int8", rows=rows, out=width_out, x=x, x_scale=ones(rows), w=w, w_scale=ones(width_out), y=(y, 0),
            **{"in": width_in})
        assert np.array_equal(y, x.astype(np.int64) @ w.astype(np.int64).T)
    x, y = copy(np.full((1, 1024), -127), np.int8), poison((1, 2))
    run("linear_int8", rows=1, out=2, x=x, x_scale=ones(1), w=copy(np.stack([x[0], -x[0]]), np.int8), w_scale=ones(2),
        y=(y, 0), **{"in": 1024})
    assert y.tolist() == [[127 * 127 * 1024, -127 * 127 * 1024]]


def test_zero_scales_give_the_bias(rng):
    x, w, y, bias = whole(rng, (4, 32)), whole(rng, (6, 32)), poison((4, 6)), copy(rng.standard_normal(6), np.float32)
    scale = ones(4)
    scale[1] = 0
    run("linear_int8", rows=4, out=6, x=x, x_scale=scale, w=w, w_scale=ones(6), bias=bias, y=(y, 0), **{"in": 32})
    assert same_bits(y[1], bias) and not same_bits(y[0], bias)


def test_rejects(rng):
    good = {"rows": 3, "in": 32, "out": 192, "x": whole(rng, (3, 32)), "x_scale": ones(3), "w": whole(rng, (192, 32)),
            "w_scale": ones(192), "rope": copy(np.ones((3, 32, 2), np.float32)), "max_position": 3, "rope_heads": 1,
            "epilogue": LINEAR_ROPE, "y": poison((3, 192))}
    packed.rejects("linear_int8", good, [
        ("F5_E_SHAPE", {"in": 24}), ("F5_E_SHAPE", {"in": 65552}), ("F5_E_SHAPE", {"out": 191}),
        ("F5_E_SHAPE", {"rope_heads": 2}), ("F5_E_SHAPE", {"rope_heads": -1}), ("F5_E_SHAPE", {"max_position": 2}),
        ("F5_E_ARGUMENT", {"epilogue": 6}), ("F5_E_ARGUMENT", {"epilogue": -1}),
        *packed.nothing("x", "x_scale", "w", "w_scale", "y", "rope"),
        ("F5_E_ARGUMENT", {"x": aligned(3 * 32 + 16, np.int8)[8:8 + 96].reshape(3, 32)})])
