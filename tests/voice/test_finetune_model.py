"""What finetune.py trains is the model of tests/reference/model.py, by upstream's rules: losses and gradients of every kind,
files taken apart and put together, LoRA, schedule, average, checkpoints, plot. compare_finetune.py holds the same against
upstream's own package, padding and dropout included."""
import json
import math
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch

import cfm
import convert_lib
import f5lib
import loss_plot
import model as reference
import png
import set_speech
import unpack
import upstream_state
from seeds import SEED

KINDS = {
    "v1": {},
    "v0": dict(text_mask_padding=False, pe_attn_head=1, heads=2, dim=128),
    "average upsampling, q/k norm": dict(average_upsampling=True, qk_norm=True),
    "long skip, no text blocks": dict(long_skip=True, conv_layers=0),
    "E2": dict(backbone="UNetT", conv_layers=0, text_mask_padding=False, pe_attn_head=1, ff_mult=4),
    "E2, added, text blocks": dict(backbone="UNetT", skip="add", depth=4),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """kind -> (made, the .f5 file, what unpack reads)"""
    folder, made = tmp_path_factory.mktemp("kinds"), {}
    for i, (kind, settings) in enumerate(KINDS.items()):
        m = convert_lib.rc.make_checkpoint(folder / str(i), arch="tiny", seed=SEED + i, vocos_ff_dim=64, **settings)
        path = folder / f"{i}.f5"
        result = convert_lib.convert(m, path)
        assert result.returncode == 0, result.stderr
        made[kind] = m, path, unpack.read(path)
    return made


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(SEED)


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


def options_of(made):
    c = made["config"]
    return reference.Options(c["text_mask_padding"], c["pe_attn_head"], c["average_upsampling"], c["skip"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_file_taken_apart_is_the_checkpoint(models, kind):
    made, _, model = models[kind]
    for mine, theirs in ((model.acoustic, made["model"]), (model.vocoder, made["vocos"])):
        for name, values in mine.items():
            assert np.array_equal(values.numpy(), theirs[name]), name
    left = set(made["model"]) - set(model.acoustic)
    assert left == {upstream_state.ROTARY}
    assert model.vocab == made["vocab"]
    for name, value in model.settings().items():
        if not name.startswith("bigvgan"):
            assert value == made["config"][name], name


@pytest.mark.parametrize("dtype", ["fp16", "bf16", "int8"])
def test_other_number_types_come_out_rounded(models, tmp_path, dtype):
    made, _, exact = models["v1"]
    assert convert_lib.convert(made, tmp_path / "m.f5", dtype=dtype).returncode == 0
    model = unpack.read(tmp_path / "m.f5")
    for name, values in model.acoustic.items():
        assert (values - exact.acoustic[name]).abs().max() <= (0.01 if dtype == "int8" else 0.005) * exact.acoustic[name].abs().max()
    assert not all(torch.equal(values, exact.acoustic[name]) for name, values in model.acoustic.items())


def test_a_file_whose_header_does_not_fit_is_refused(models, tmp_path):
    with open(models["v1"][1], "rb") as f:
        header, begin = set_speech.read_header(f, "v1")
        f.seek(begin)
        data = f.read()
    config = json.loads(header["__metadata__"]["config"])
    for hostile in ({}, {**config, "backbone": []}, {**config, "text": None}, {**config, "vocoder": {"kind": 1}},
                    {**config, "backbone": {**config["backbone"], "depth": "x"}},
                    {**config, "backbone": {**config["backbone"], "skip": 9}},
                    {**config, "backbone": {**config["backbone"], "dim": 0}}, []):
        header["__metadata__"]["config"] = json.dumps(hostile)
        text = json.dumps(header).encode()
        (tmp_path / "m.f5").write_bytes(struct.pack("<Q", len(text)) + text + data)
        with pytest.raises(set_speech.Refused, match="m.f5"):
            unpack.read(tmp_path / "m.f5")


def test_what_cannot_be_trained_is_refused(tmp_path):
    made = convert_lib.rc.make_checkpoint(tmp_path, arch="tiny", backbone="MMDiT", conv_layers=0, text_dim=64)
    assert convert_lib.convert(made, tmp_path / "m.f5").returncode == 0
    with pytest.raises(set_speech.Refused, match="MMDiT"):
        unpack.read(tmp_path / "m.f5")
    (tmp_path / "no.f5").write_bytes(struct.pack("<Q", 1 << 40))
    with pytest.raises(set_speech.Refused):
        unpack.read(tmp_path / "no.f5")


def batch(generator, lengths, letters, vocab):
    mel = torch.zeros(len(lengths), max(lengths), 100)
    ids = torch.full((len(lengths), max(letters)), -1, dtype=torch.long)
    for i, (n, t) in enumerate(zip(lengths, letters)):
        mel[i, :n] = torch.randn(n, 100, generator=generator) - 2
        ids[i, :t] = torch.randint(0, vocab, (t,), generator=generator)
    return mel, torch.tensor(lengths), ids


def by_reference(w, options, mel, lens, ids, d):
    """The loss by tests/reference/model.py, a sequence at a time."""
    squares, count = 0, 0
    for i, n in enumerate(lens.tolist()):
        tokens = ids[i][ids[i] >= 0]
        text = reference.text_encode(w, options, tokens, n, null=d.drop_text)
        x, noise, span = mel[i, :n], d.noise[i, :n], d.span[i, :n]
        cond = torch.where(span[:, None] | d.drop_audio, torch.zeros_like(x), x)
        v = reference.velocity(w, options, (1 - d.time[i]) * noise + d.time[i] * x, cond, text, d.time[i])
        squares, count = squares + (v - (x - noise))[span].square().sum(), count + span.sum() * 100
    return squares / count


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dropped", [0, 1, 2])
def test_loss_and_gradients_are_the_reference(models, generator, kind, dropped):
    made, _, model = models[kind]
    arch = cfm.Arch(**{**vars(model.arch), "dropout": 0.0, "recompute": dropped == 0})
    frames = int(torch.randint(40, 60, (1,), generator=generator))
    mel, lens, ids = batch(generator, [frames, frames], [int(torch.randint(3, frames // 2, (1,), generator=generator)), frames // 2],
                           len(made["vocab"]))
    chances = iter([0.0 if dropped > 0 else 0.9, 0.0 if dropped > 1 else 0.9])
    torch.manual_seed(SEED)
    d = cfm.draw(mel, lens, lambda: next(chances))
    assert (d.drop_audio, d.drop_text) == (dropped > 0, dropped > 1)
    gradients, losses = [], []
    for compute in (lambda w: cfm.loss(w, arch, mel, lens, ids, d), lambda w: by_reference(w, options_of(made), mel, lens, ids, d)):
        w = {name: values.clone().requires_grad_() for name, values in model.acoustic.items()}
        loss = compute(w)
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.cat([(v.grad if v.grad is not None else torch.zeros_like(v)).flatten() for v in w.values()]))
    assert abs(losses[0] / losses[1] - 1) < 1e-4
    assert relative(*gradients) < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_bf16_is_near(models, generator, kind):
    made, _, model = models[kind]
    mel, lens, ids = batch(generator, [60, 41], [20, 9], len(made["vocab"]))
    torch.manual_seed(SEED)
    d = cfm.draw(mel, lens, lambda: 0.9)
    losses, gradients, arch = [], [], cfm.Arch(**{**vars(model.arch), "dropout": 0.0})
    for on in (False, True):
        w = {name: values.clone().requires_grad_() for name, values in model.acoustic.items()}
        with torch.autocast("cpu", torch.bfloat16, enabled=on):
            losses.append(cfm.loss(w, arch, mel, lens, ids, d))
        losses[-1].backward()
        gradients.append(w["transformer.proj_out.weight"].grad)
        assert all(v.grad is None or (v.grad.dtype == torch.float32 and v.grad.isfinite().all()) for v in w.values())
    assert losses[1].dtype == torch.float32
    assert abs(losses[1].item() / losses[0].item() - 1) < 0.05
    assert not torch.equal(*gradients) and relative(*gradients) < 0.1


def test_attention_is_handed_one_type(models, generator, monkeypatch):
    """Queries and keys that a norm made wider than the values: PyTorch 2's attention refuses them."""
    made, _, model = models["average upsampling, q/k norm"]
    mel, lens, ids = batch(generator, [30], [12], len(made["vocab"]))
    seen = []

    def attend(q, k, v, mask):
        seen.append({q.dtype, k.dtype, v.dtype})
        return v

    monkeypatch.setattr(cfm, "attend", attend)
    for on, expected in ((True, torch.bfloat16), (False, torch.float32)):
        with torch.autocast("cpu", torch.bfloat16, enabled=on):
            cfm.velocity(model.acoustic, model.arch, mel, mel, ids, lens, torch.tensor([0.3]))
        assert seen and all(types == {expected} for types in seen)
        seen.clear()


def test_padding_that_nobody_sees_changes_nothing(models, generator):
    """Without text blocks, whose normalisation counts padded rows as upstream's does."""
    made, _, model = models["long skip, no text blocks"]
    arch = cfm.Arch(**{**vars(model.arch), "dropout": 0.0, "attention_mask": True})
    mel, lens, ids = batch(generator, [50, 31], [20, 9], len(made["vocab"]))
    torch.manual_seed(SEED)
    d = cfm.draw(mel, lens, lambda: 0.9)
    assert not d.span[1, 31:].any()
    mine = cfm.loss(model.acoustic, arch, mel, lens, ids, d).item()
    assert abs(mine / by_reference(model.acoustic, options_of(made), mel, lens, ids, d).item() - 1) < 1e-4


def test_spans_times_and_drops_are_upstreams(generator):
    lens = torch.randint(60, 200, (400,), generator=generator)
    torch.manual_seed(SEED)
    d = cfm.draw(torch.zeros(400, 200, 1), lens, lambda: 0.9)
    share = d.span.sum(dim=1) / lens
    assert share.min() > 0.67 and share.max() <= 1.0 and d.span.sum(dim=1).le(lens).all()
    edges = (d.span[:, 1:] != d.span[:, :-1]).sum(dim=1)
    assert edges.max() <= 2  # one stretch each
    assert 0.4 < d.time.mean() < 0.6


def test_dropout_is_at_the_right_rate(models, generator):
    made, _, model = models["v1"]
    mel, lens, ids = batch(generator, [40], [12], len(made["vocab"]))
    torch.manual_seed(SEED)
    d = cfm.draw(mel, lens, lambda: 0.9)
    losses = []
    for dropout in (0.0, 0.0, 0.1):
        torch.manual_seed(SEED)
        losses.append(cfm.loss(model.acoustic, cfm.Arch(**{**vars(model.arch), "dropout": dropout}), mel, lens, ids, d).item())
    assert losses[0] == losses[1] != losses[2]


# ---- optimiser, average, LoRA, files


def test_rates_rise_and_fall_linearly():
    p = torch.zeros(3, requires_grad=True)
    optimiser = upstream_state.Optimiser({"p": p}, 0.5, 4, 20)
    rates = []
    for _ in range(20):
        rates.append(optimiser.rate)
        optimiser.step()
    expected = [0.5 * max(min(i / 4, (20 - i) / 16), 1e-8) for i in range(20)]
    assert rates == pytest.approx(expected, rel=1e-5)


def test_a_step_without_a_finite_gradient_changes_nothing():
    p = torch.ones(3, requires_grad=True)
    optimiser = upstream_state.Optimiser({"p": p}, 0.5, 1, 20)
    optimiser.grad[1] = math.nan
    assert not math.isfinite(optimiser.step())
    assert torch.equal(p.detach(), torch.ones(3))


def test_the_average_follows(generator):
    p = torch.zeros(4, requires_grad=True)
    average = upstream_state.Average({"p": p})
    expected = torch.zeros(4)
    for i in range(160):
        with torch.no_grad():
            p.copy_(torch.randn(4, generator=generator))
        average.update()
        if i % 10 == 0:  # ema_pytorch: every tenth step; a copy until the hundredth
            decay = 0.0 if i <= 100 else 1 - (1 + i - 100) ** (-2 / 3)
            expected = decay * expected + (1 - decay) * p.detach()
    assert torch.allclose(average.weights["p"], expected, atol=1e-5)


def test_lora_begins_as_the_model_and_merges_as_it_computes(models, generator, tmp_path):
    made, path, model = models["v0"]
    arch = cfm.Arch(**{**vars(model.arch), "dropout": 0.0, "lora_scale": 2.0})
    added = upstream_state.lora(model.acoustic, 4, generator)
    assert len(added) == 2 * 6 * made["config"]["depth"]
    mel, lens, ids = batch(generator, [30], [12], len(made["vocab"]))

    def velocity(w):
        return cfm.velocity(w, arch, mel, 0.5 * mel, ids, lens, torch.tensor([0.3]))

    begin = velocity(model.acoustic)
    assert torch.equal(begin, velocity({**model.acoustic, **added}))
    for name, values in added.items():
        values.copy_(torch.randn(values.shape, generator=generator) * 0.3)
    changed, whole = velocity({**model.acoustic, **added}), upstream_state.merged(model.acoustic, added, 2.0)
    assert relative(changed, begin) > 0.01
    assert relative(velocity(whole), changed) < 1e-4
    upstream_state.write_adapter(tmp_path / "lora", added, 8.0)
    result = convert_lib.convert(made, tmp_path / "merged.f5", lora=tmp_path / "lora")
    assert result.returncode == 0, result.stderr
    for name, values in unpack.read(tmp_path / "merged.f5").acoustic.items():
        assert torch.allclose(values, whole[name], atol=1e-5), name


class OnCard(torch.Tensor):
    """A tensor of another device: it goes with no plain one before .to() or .cpu() made it one."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function in (torch.Tensor.to, torch.Tensor.cpu):
            return args[0].as_subclass(torch.Tensor).clone()
        if any(isinstance(a, torch.Tensor) and not isinstance(a, cls) for a in args):
            raise RuntimeError("Expected all tensors to be on the same device")
        return super().__torch_function__(function, types, args, kwargs or {})


def test_lora_of_another_device_is_merged(models, generator):
    """The weights that stay lie on the CPU, what is trained on the GPU."""
    weights = models["v1"][2].acoustic
    added = {name: torch.randn(values.shape, generator=generator)
             for name, values in upstream_state.lora(weights, 2, generator).items()}
    there = {name: values.as_subclass(OnCard) for name, values in added.items()}
    with pytest.raises(RuntimeError, match="same device"):
        next(iter(weights.values())) + next(iter(there.values()))
    merged, expected = upstream_state.merged(weights, there, 0.5), upstream_state.merged(weights, added, 0.5)
    for name, values in merged.items():
        assert type(values) is torch.Tensor and torch.equal(values, expected[name]), name


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "model.part.pt").symlink_to(tmp_path / "theirs")
    upstream_state.whole(tmp_path / "model.pt", lambda part: part.write_text("one"))

    def full(part):
        part.write_text("tw")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError):
        upstream_state.whole(tmp_path / "model.pt", full)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"model.pt": "one", "theirs": "theirs"}


def test_a_checkpoint_that_cannot_be_unpacked_is_told(tmp_path):
    path = tmp_path / "bad.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", os.urandom(4000) + bytes(4000))
    data = bytearray(path.read_bytes())
    begin = data.index(b"data.pkl") + len("data.pkl")
    data[begin] = 0x07  # a block of the kind that DEFLATE does not have
    path.write_bytes(data)
    with pytest.raises(ValueError, match="bad.pt"):
        upstream_state.read(path)


def test_a_checkpoint_is_upstreams_and_comes_back(models, generator, tmp_path):
    made, _, model = models["E2"]
    states = []
    for steps in (3, 0):
        trained = {name: values.clone().requires_grad_() for name, values in model.acoustic.items()}
        optimiser, average = upstream_state.Optimiser(trained, 1e-3, 2, 10), upstream_state.Average(trained)
        for _ in range(steps):
            optimiser.grad.copy_(torch.randn(optimiser.grad.shape, generator=generator))
            optimiser.step(), average.update()
        states.append((trained, optimiser, average))
    saved = upstream_state.checkpoint(model.acoustic, *states[0][1:], 3, 1.0, {"facts": "{}"})
    upstream_state.whole(tmp_path / "model_last.pt", lambda path: torch.save(saved, path))
    state = upstream_state.read(tmp_path / "model_last.pt")
    for name, values in torch.load(tmp_path / "model_last.pt")["model_state_dict"].items():  # as PyTorch reads it
        assert torch.equal(values, state["model_state_dict"][name])
    assert set(state) == {"model_state_dict", "optimizer_state_dict", "ema_model_state_dict", "scheduler_state_dict", "update", "f5tts"}
    assert set(state["model_state_dict"]) == set(made["model"])
    assert set(state["ema_model_state_dict"]) == {"initted", "step"} | {"ema_model." + name for name in made["model"]}
    upstream_state.load(state, *states[1][1:])
    for trained, optimiser, average in states:
        optimiser.grad.fill_(0.1)
        optimiser.step(), average.update()
    for a, b in ((states[0][0], states[1][0]), (states[0][2].weights, states[1][2].weights)):
        assert all(torch.equal(a[name], b[name]) for name in a)
    assert states[0][1].rate == states[1][1].rate and states[0][2].step == states[1][2].step == 4
    for which, key in (("model", "model_state_dict"), ("ema", "ema_model_state_dict")):
        result = convert_lib.convert({**made, "checkpoint": tmp_path / "model_last.pt"}, tmp_path / "m.f5", weights=which)
        assert result.returncode == 0, result.stderr
        for name, values in unpack.read(tmp_path / "m.f5").acoustic.items():
            assert torch.equal(values, state[key][("ema_model." if which == "ema" else "") + name])


def test_the_engine_speaks_what_a_checkpoint_says(models, generator):
    """Its mel of the random model is the reference's: the same weights in PyTorch and in the .f5."""
    made, path, model = models["v0"]
    cond, noise = torch.randn(20, 100, generator=generator), torch.randn(60, 100, generator=generator)
    tokens = torch.randint(0, len(made["vocab"]), (17,), generator=generator)
    mine = reference.sample(model.acoustic, options_of(made), cond, tokens, 60, noise, nfe=5)
    with f5lib.Engine(path, max_frames=128) as engine:
        theirs, = engine.sample([dict(cond=cond.numpy(), tokens=tokens.numpy(), frames=60, noise=noise.numpy())], nfe=5)
    assert relative(torch.from_numpy(theirs[20:]), mine[20:]) < 1e-4


class Evil:
    def __reduce__(self):
        return print, ("it ran",)


def test_a_checkpoint_runs_nothing(tmp_path, capsys):
    torch.save({"update": 1, "x": Evil()}, tmp_path / "evil.pt")
    (tmp_path / "old.pt").write_bytes(pickle.dumps(Evil()))
    (tmp_path / "cut.pt").write_bytes((tmp_path / "evil.pt").read_bytes()[:100])
    (tmp_path / "empty.pt").touch()
    for name in ("evil", "old", "cut", "empty"):
        with pytest.raises(ValueError, match=name):
            upstream_state.read(tmp_path / f"{name}.pt")
    assert "it ran" not in capsys.readouterr().out


# ---- the plot


def test_the_plot_shows_both_curves(tmp_path, rng):
    values = 1 + np.exp(-np.arange(300) / 60) + 0.1 * rng.random(300)
    picture = loss_plot.losses(list(enumerate(values, 1)), [(0, 2.2), (150, 1.2), (300, 1.0)])
    (tmp_path / "loss.png").write_bytes(picture)
    pixels = png.read_png(tmp_path / "loss.png")
    assert pixels.shape == (loss_plot.HEIGHT, loss_plot.WIDTH, 3)
    dark = [np.flatnonzero((pixels[:, x] == loss_plot.DARK).all(axis=1)).mean() for x in (120, 900)]
    assert dark[0] + 50 < dark[1]  # it falls
    assert (pixels == loss_plot.RED).all(axis=2).sum() > 50 and (pixels == loss_plot.BLACK).all(axis=2).sum() > 100


@pytest.mark.parametrize("training,validation", [([(1, 2.0)], []), ([(1, 2.0), (2, 2.0)], [(0, 2.0)]), ([(1, math.nan), (2, 0.0)], []),
                                                 ([(1, 1e9), (2, 1e-9)], [(2, math.inf)]), ([(i, float(i)) for i in range(5000)], [])])
def test_odd_plots(tmp_path, training, validation):
    (tmp_path / "loss.png").write_bytes(loss_plot.losses(training, validation))
    assert png.read_png(tmp_path / "loss.png").any()
    assert loss_plot.losses([(1, math.nan)], validation) is None
