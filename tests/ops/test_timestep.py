"""timestep beyond test_every_op.py: against PyTorch in F32, grids of the solver, zero, NaN."""
import math

import numpy as np
import pytest
import torch

from cbind import F5_F16, Guarded, call, check, copy, poison, run, same_bits
import packed
from ops import Timestep

# Angles reach 1000 radians, where one ulp of a frequency is 6e-5: PyTorch's exp is an ulp off in 14 of 128. Against the
# correctly rounded frequencies there is only the rounding of sin and cos.
TORCH_BAR, EXACT_BAR = 1e-5, Timestep.bar_ref


def features(t):
    y = Guarded((len(t), 256))
    run("timestep", n=len(t), t=t, y=y, dim=256, scale=1000.0)
    return y.check()


def exact(t):
    return packed.truth(Timestep(), t=t)


def by_torch(t):
    """Every step in F32."""
    frequency = torch.exp(torch.arange(128).float() * -(math.log(10000) / 127))
    angle = 1000 * torch.from_numpy(t)[:, None] * frequency[None, :]
    return torch.cat([angle.sin(), angle.cos()], dim=1).numpy()


@pytest.mark.parametrize("n", [1, 2, 7, 31, 157])
def test_matches_torch(rng, n):
    t = copy(rng.random(n), np.float32)
    check("timestep", f"{n} random times, torch", features(t), by_torch(t), TORCH_BAR)
    check("timestep", f"{n} random times, exact", features(t), exact(t), EXACT_BAR)


@pytest.mark.parametrize("steps", [1, 7, 16, 32])
def test_sway_grid(steps):
    t = np.linspace(0, 1, steps + 1)
    t = copy(t - (np.cos(np.pi * t / 2) - 1 + t), np.float32)
    check("timestep", f"sway grid of {steps}, torch", features(t), by_torch(t), TORCH_BAR)
    check("timestep", f"sway grid of {steps}, exact", features(t), exact(t), EXACT_BAR)


def test_zero_is_exact():
    assert np.array_equal(features(copy([0], np.float32))[0], np.repeat(np.float32([0, 1]), 128))


def test_one_time_is_independent_of_the_others(rng):
    t = copy(rng.random(9), np.float32)
    assert same_bits(features(t)[4:5], features(copy(t[4:5])))


def test_nan():
    y = features(copy([0.5, np.nan], np.float32))
    assert np.isfinite(y[0]).all() and np.isnan(y[1]).all()


def test_none_at_all():
    y = Guarded((1, 256))
    assert call("timestep", n=0, t=copy([1], np.float32), y=y, dim=256, scale=1000.0) == 0
    assert np.isnan(y.check()).all()


def test_rejects(rng):
    good = {"n": 2, "t": copy(rng.random(2), np.float32), "y": poison((2, 256)), "dim": 256, "scale": 1000.0}
    packed.rejects("timestep", good, [
        ("F5_E_ARGUMENT", {"n": -1}), ("F5_E_UNSUPPORTED", {"type": F5_F16}), *packed.nothing("t", "y")])
