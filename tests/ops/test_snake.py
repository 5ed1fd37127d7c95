"""snake beyond test_every_op.py: its filter, how far it reaches, the ends of a sequence, large arguments, refusals."""
import re

import numpy as np
import torch

import packed
from cbind import ROOT, check, make_pack, normal, poison, run
from ops import Snake, snake_filter


def snake(x, alpha, beta, rate=1):
    y = poison(x.shape)
    run("snake", pack=make_pack([len(x) // rate]), rate=rate, dim=x.shape[1], x=x, alpha=alpha, beta=beta, y=y)
    return y


def zeros(n):
    return np.zeros(n, np.float32)


def test_filter():
    """The numbers in the header are the formula's. NVIDIA's checkpoints hold the same, made in F32: 3e-8 off."""
    text = re.search(r"define SNAKE_FILTER_HALF.*?\{(.*?)\}", (ROOT / "kernels/snake.h").read_text(), re.S).group(1)
    half = [float(v.strip().rstrip("f")) for v in text.split(",")]
    assert np.abs(np.array(half + half[::-1]) - snake_filter().numpy()).max() < 5e-8


def test_reach(rng):
    x = normal(rng, (40, 3))
    x[20, 1] = np.nan
    y = snake(x, zeros(3), zeros(3))
    assert list(np.flatnonzero(np.isnan(y[:, 1]))) == list(range(15, 26)) and not np.isnan(y[:, [0, 2]]).any()


def test_a_constant_stays(rng):
    """Also at the ends: what lies beyond them is what lies on them."""
    x = np.full((9, 4), 0.7, np.float32)
    want = 0.7 + np.sin(0.7 * np.exp(0.5)) ** 2 / (np.exp(-0.25) + 1e-9)
    y = snake(x, np.full(4, 0.5, np.float32), np.full(4, -0.25, np.float32))
    assert np.abs(y - want).max() < 1e-6


def test_large_arguments(rng):
    """sin² of up to 1e6, where F32 has lost a sixteenth of a turn: of the argument as F32 has it. Both filters
    round: by a quarter in 6000 draws, four last places; sums of 18 terms cannot come to eight."""
    x = np.repeat(np.clip(normal(rng, (1, 64)) * np.float32(3e5), -1e6, 1e6), 8, axis=0)
    v = (2 * sum(np.float32(f) for f in snake_filter().numpy()[1::2]) * x).astype(np.float32)
    spread = np.abs(snake(x, zeros(64), zeros(64)) - v)
    assert spread.max() < 1.5 and np.isfinite(spread).all()
    y = snake(np.full((4, 2), 1e30, np.float32), zeros(2), zeros(2))
    assert np.allclose(y, 1e30, rtol=1e-5)


def test_infinities_are_seen(rng):
    x = normal(rng, (30, 2))
    x[10, 0] = np.inf
    assert np.isnan(snake(x, zeros(2), zeros(2))[5:16, 0]).all()


def test_against_truth_of_a_long_clip(rng):
    op = Snake(3, 4)
    x = normal(rng, (1000, 12))
    w = {f: torch.from_numpy(rng.uniform(-1, 1, 3).astype(np.float32)) for f in ("alpha", "beta")}  # as Snake draws them
    got = snake(x.reshape(4000, 3), w["alpha"].numpy(), w["beta"].numpy(), 4)
    check("snake", "1000 rows", got.reshape(1000, 12), op.truth({"x": torch.from_numpy(x)}, {}, w).numpy(), 1e-6)


def test_rejects(rng):
    good = {"pack": make_pack([1, 4], 1), "rate": 1, "dim": 8, "x": normal(rng, (6, 8)), "alpha": normal(rng, (8,)),
            "beta": normal(rng, (8,)), "y": poison((6, 8))}
    packed.rejects("snake", good, [
        ("F5_E_SHAPE", {"dim": 0}), ("F5_E_SHAPE", {"rate": 0}), ("F5_E_SHAPE", {"rate": 1025}),
        ("F5_E_ARGUMENT", {"y": good["x"].ctypes.data}), *packed.nothing("x", "alpha", "beta", "y"), *packed.bad_packs(6)])
