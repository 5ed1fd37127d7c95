"""The trainer computes the model of tests/reference/model.py, and its optimiser and checkpoints do what they say."""
import types

import numpy as np
import pytest
import torch

import convert_lib
import dit
import export
import f5lib
import model as reference
import set_speech
import train_dit
import train_vocos
from optim import Flat
from seeds import SEED

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


def test_the_vocoder_is_the_reference(generator):
    w = {k: v + 0.02 * torch.randn(v.shape, generator=generator) for k, v in train_vocos.fresh().items()}
    mels = torch.randn(2, 33, dit.MEL, generator=generator)
    made = train_vocos.synthesise(w, mels, torch.float32)
    for mine, mel in zip(made, mels):
        assert relative(mine, reference.vocos(w, mel)) < 1e-4


def test_a_saved_average_is_what_was_trained(generator, tmp_path):
    flat = Flat(random_weights(generator), dit.is_matrix, torch.device("cpu"))
    train_dit.save_average(flat, tmp_path)
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) < 2.1 * flat.flat.numel()
    again = train_dit.load_average(tmp_path / "ema-0.npz")
    assert set(again) == set(flat.names)
    for name, values in again.items():
        assert relative(values, flat.averaged[name]) < 1e-3  # fp16
    other = Flat(dit.fresh(SMALL), dit.is_matrix, torch.device("cpu"))
    other.load_state(flat.state())
    assert torch.equal(other.flat, flat.flat) and torch.equal(other.average, flat.average)


def test_the_engine_speaks_what_was_trained(generator, tmp_path):
    """Trained weights -> upstream's files -> f5tts convert -> the engine: the mel that PyTorch samples."""
    w = random_weights(generator)
    model = {k: v.numpy() for k, v in w.items() if not k.startswith("aux.")}
    vocoder = {k: v.numpy() for k, v in train_vocos.fresh().items()}
    export.write_upstream(tmp_path / "upstream", model, vocoder, "test")
    export.convert(convert_lib.program(), tmp_path / "upstream", tmp_path / "voice.f5", "fp32", rights={"license": "MIT"})
    assert set_speech.set_speech(tmp_path / "voice.f5", []) == {**export.SPEECH, "license": "MIT"}
    frames, known, letters = 160, 70, 31
    cond = torch.randn(known, dit.MEL, generator=generator)
    noise = torch.randn(frames, dit.MEL, generator=generator)
    tokens = torch.randint(0, len(dit.VOCAB), (letters,), generator=generator)
    ids = torch.zeros(1, letters + 9, dtype=torch.long)
    ids[0, :letters] = tokens + 1
    shown = torch.zeros(1, frames, dit.MEL)
    shown[0, :known] = cond
    times = reference.time_grid(5)
    made = dit.sample(w, shown, ids, torch.tensor([letters]), noise.unsqueeze(0), times)[0]
    with f5lib.Engine(tmp_path / "voice.f5", max_frames=256) as engine:
        text = "".join(dit.VOCAB[i] for i in tokens.tolist())
        assert engine.tokenize(text).tolist() == tokens.tolist()
        request = dict(cond=cond.numpy(), tokens=tokens.numpy(), frames=frames, noise=noise.numpy())
        mel, = engine.sample([request], nfe=5)
    assert np.array_equal(mel[:known], cond.numpy())
    assert relative(torch.from_numpy(mel[known:]), made[known:]) < 1e-3


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_broken_checkpoint_is_not_exported(generator, tmp_path, value):
    flat = Flat(random_weights(generator), dit.is_matrix, torch.device("cpu"))
    flat.averaged["transformer.proj_out.bias"].data[3] = value
    train_dit.save_average(flat, tmp_path)
    np.savez(tmp_path / "vocos.npz", **{k: v.numpy() for k, v in train_vocos.fresh().items()})
    with pytest.raises(ValueError, match="proj_out.bias"):
        export.load(tmp_path / "ema-0.npz", tmp_path / "vocos.npz")


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    """The last good ones stay, and the process ends: it is started again from them."""
    options = types.SimpleNamespace(out=tmp_path)
    flat = Flat({"a.weight": torch.zeros(24, 16), "b.bias": torch.zeros(16)}, lambda n: n == "a.weight", torch.device("cpu"))
    acoustic, vocoder = types.SimpleNamespace(options=options, flat=flat, progress=lambda: 0.5), train_vocos.Training.__new__(train_vocos.Training)
    vocoder.options, vocoder.flat = options, flat
    train_dit.Training.save(acoustic)
    files = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert set(files) == {"ema-0.npz", "ema-1.npz", "state.pt"}
    flat.average[3] = float("nan")
    for save in (lambda: train_dit.Training.save(acoustic), lambda: vocoder.save(1)):
        with pytest.raises(SystemExit, match="no longer finite"):
            save()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == files
