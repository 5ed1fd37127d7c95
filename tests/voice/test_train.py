"""The trainer computes the model of tests/reference/model.py, and its optimiser and checkpoints do what they say."""
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "weights/train"), str(ROOT / "tests/reference")]

import model as reference  # noqa: E402
import batches  # noqa: E402
import dit  # noqa: E402
from optim import Flat  # noqa: E402
from seeds import SEED  # noqa: E402

OPTIONS = reference.Options(text_mask_padding=True, average_upsampling=True)
SMALL = {**dit.ARCH, "depth": 9, "conv_layers": 2}  # the heads listen after blocks 3 and 7


def random_weights(generator):
    """Nothing zero or one, so that every part shows."""
    return {k: torch.randn(v.shape, generator=generator) * 0.05 + v for k, v in dit.fresh(SMALL).items()}


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(SEED)


@pytest.mark.parametrize("frames,letters", [(384, 71), (387, 88), (100, 17)])
def test_velocity_is_the_reference(generator, frames, letters):
    w = random_weights(generator)
    room = max(dit.text_room(frames), letters + 8)
    tokens = torch.randint(0, len(dit.VOCAB), (letters,), generator=generator)
    ids = torch.zeros(1, room, dtype=torch.long)
    ids[0, :letters] = tokens + 1
    x, cond = (torch.randn(1, frames, dit.MEL, generator=generator) for _ in range(2))
    t = torch.rand(1, generator=generator)
    for null in (False, True):
        text = dit.text_encode(w, ids, torch.tensor([letters]), torch.tensor([null]), frames, torch.float32)
        expected = reference.text_encode(w, OPTIONS, tokens, frames, null=null)
        assert relative(text[0], expected) < 1e-4  # float32 sums in another order
        v = dit.velocity(w, x, cond, text, t, torch.float32, dit.Pieces())
        assert relative(v[0], reference.velocity(w, OPTIONS, x[0], cond[0], expected, t[0])) < 1e-4


def test_optimiser_descends_and_refuses_bad_steps(generator):
    target = torch.randn(24, 16, generator=generator)
    flat = Flat({"a.weight": torch.zeros(24, 16), "b.bias": torch.zeros(16)}, lambda n: n == "a.weight",
                torch.device("cpu"))
    flat.rate.fill_(0.02), flat.muon_rate.fill_(0.02), flat.decay.fill_(0.1)
    x = torch.randn(200, 24, generator=generator)

    def loss():
        return (x @ (flat.w["a.weight"] - target) + flat.w["b.bias"] - 3).square().mean()

    first = loss().item()
    for _ in range(300):
        flat.grad.zero_()
        loss().backward()
        flat.step()
    assert loss().item() < 0.2 * first
    before = flat.flat.clone(), flat.first.clone(), flat.second.clone()
    flat.grad[5] = float("nan")
    flat.step()
    assert int(flat.skipped) == 1
    for kept, now in zip(before, (flat.flat, flat.first, flat.second)):
        assert torch.equal(kept, now)


def test_letters_are_spread_as_the_engine_spreads_them(generator):
    for frames in torch.randint(50, 900, (5,), generator=generator).tolist():
        n = torch.randint(1, frames // 4, (3,), generator=generator)
        shown = dit.letter_shown(n, frames)
        for row, count in zip(shown, n.tolist()):
            rows = torch.arange(count, dtype=torch.float32).unsqueeze(1)
            assert torch.equal(row.float(), reference.spread(rows, frames).squeeze(1))
