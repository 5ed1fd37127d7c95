"""Flow-Matching-TTS trained by finetune.py: losses and gradients against PyTorch's own modules, recordings read, a training that
goes on bit for bit, its checkpoints, the .f5 file that speaks with other durations, and what is refused."""
import json
import math
import shutil
import wave

import numpy as np
import pytest
import torch
from torch import nn

import convert_lib
import f5lib
import finetune
import fm_cfm
import fm_tts
import png
import random_fm_tts
import speech_folder
import upstream_state
from seeds import SEED

BAR = 1e-4  # the issue's; measured 1e-7 to 1e-6: the order of sums
DIM, LAYERS, FF, RATE = 64, 2, 96, 22050
WORDS = "həlˈoʊ wˈɜːld.|ðə kwˈɪk bɹˈaʊn fˈɑːks.|twˈɛnti.|ænd lˈɛft ɐtwˈʌns!|mˈɪstɚ smˈɪθ.|wˈʌn, tˈuː, θɹˈiː.|ˈʌp.|ɹˈiəli?".split("|")


# ---- PyTorch's own modules, with upstream's names of weights


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.dwconv, self.norm = nn.Conv1d(DIM, DIM, 7, padding=3, groups=DIM), nn.LayerNorm(DIM)
        self.pwconv1, self.pwconv2 = nn.Linear(DIM, 4 * DIM), nn.Linear(4 * DIM, DIM)

    def forward(self, x):
        return x + self.pwconv2(nn.GELU()(self.pwconv1(self.norm(self.dwconv(x.mT).mT))))


class Flow(nn.Module):
    def __init__(self):
        super().__init__()
        self.text_emb, self.text_pos_enc = nn.Embedding(200, DIM), nn.Parameter(torch.empty(1, 5000, DIM))
        self.mel_proj, self.output_proj = nn.Conv1d(80, DIM, 1), nn.Conv1d(DIM, 80, 1)
        self.time_mlp = nn.Sequential(nn.Linear(DIM, 4 * DIM), nn.GELU(), nn.Linear(4 * DIM, DIM))
        self.convnext_blocks = nn.ModuleList(Block() for _ in range(4))
        layer = nn.TransformerEncoderLayer(DIM, DIM // 64, FF, dropout=0.0, batch_first=True, norm_first=True)
        self.transformer = nn.TransformerEncoder(layer, LAYERS)

    def forward(self, x, t, tokens, hidden):
        text = self.text_emb(tokens) + self.text_pos_enc[:, :tokens.shape[1]]
        for block in self.convnext_blocks:
            text = block(text)
        turn = torch.tensor([t * math.exp(-math.log(10000) * i / (DIM // 2 - 1)) for i in range(DIM // 2)])
        time = self.time_mlp(torch.cat([turn.sin(), turn.cos()]))
        rows = torch.cat([text, self.mel_proj(x.mT).mT], dim=1) + time
        return self.output_proj(self.transformer(rows, src_key_padding_mask=hidden)[:, tokens.shape[1]:].mT).mT


class Predictor(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_layers = nn.ModuleList(nn.Conv1d(256 if i else DIM, 256, 3, padding=1) for i in range(3))
        self.norm_layers, self.proj = nn.ModuleList(nn.LayerNorm(256) for _ in range(3)), nn.Conv1d(256, 1, 1)

    def forward(self, x):
        for conv, norm in zip(self.conv_layers, self.norm_layers):
            x = torch.relu(norm(conv(x).mT)).mT
        return self.proj(x)


class Reference(nn.Module):
    """One sequence after the other; a text is padded by symbol 0 as far as its batch is, which convolutions see."""

    def __init__(self, weights):
        super().__init__()
        self.flow_tts = nn.Module()
        self.flow_tts.flow_matching = nn.Module()
        self.flow_tts.flow_matching.model = Flow()
        self.flow_tts.text_encoder = nn.Sequential(nn.Embedding(200, DIM), nn.Conv1d(DIM, DIM, 3, padding=1), nn.ReLU(),
                                                   nn.Conv1d(DIM, DIM, 3, padding=1))
        self.flow_tts.duration_predictor = Predictor()
        self.load_state_dict(weights)

    def losses(self, mel, lens, texts, time, noise):
        longest, flows, durations = max(map(len, texts)), [], []
        for i, text in enumerate(texts):
            n, count = lens[i], len(text)
            tokens = torch.zeros(1, longest, dtype=torch.long)
            tokens[0, :count] = text
            hidden = torch.zeros(1, longest + n, dtype=torch.bool)
            hidden[0, count:longest] = True
            x0, x1 = noise[i:i + 1, :n], mel[i:i + 1, :n]
            v = self.flow_tts.flow_matching.model((1 - time[i]) * x0 + time[i] * x1, float(time[i]), tokens, hidden)
            flows.append((v - (x1 - x0)).square().flatten())
            x = self.flow_tts.text_encoder[0](tokens).mT
            for layer in self.flow_tts.text_encoder[1:]:
                x = layer(x)
            said = self.flow_tts.duration_predictor(x[:, :, :count])[0, 0]  # behind its end the predictor sees zeros
            durations.append((said - math.log(n / count)).square())
        return torch.cat(flows).mean(), torch.cat(durations).mean()


def random_weights(seed, durations=True):
    return {name: torch.from_numpy(values) for name, values in
            convert_lib.rc.draw_all(random_fm_tts.acoustic(DIM, LAYERS, FF, 200, durations), seed).items()}


def a_batch(generator, lens, counts):
    mel = torch.zeros(len(lens), max(lens), 80)
    ids = torch.full((len(lens), max(counts)), -1)
    for i, (n, count) in enumerate(zip(lens, counts)):
        mel[i, :n] = 3 * torch.randn(n, 80, generator=generator) - 5
        ids[i, :count] = torch.randint(0, 187, (count,), generator=generator)
    return mel, torch.tensor(lens), ids


@pytest.mark.parametrize("lens,counts", [([40], [9]), ([31, 50, 12], [7, 7, 7]), ([44, 20, 33], [5, 19, 1])],
                         ids=["one", "mels padded", "texts padded"])
@pytest.mark.parametrize("recompute", [False, True])
def test_losses_and_gradients_are_those_of_pytorchs_modules(lens, counts, recompute):
    generator = torch.Generator().manual_seed(SEED)
    weights = random_weights(SEED)
    reference = Reference(weights)
    w = {name: values.clone().requires_grad_() for name, values in weights.items()}
    mel, n, ids = a_batch(generator, lens, counts)
    torch.manual_seed(SEED)
    drawn = fm_cfm.draw(mel, n, None)
    texts = [ids[i, :count] for i, count in enumerate(counts)]
    flow, durations = reference.losses(mel, lens, texts, drawn.time, drawn.noise)
    (flow + 0.1 * durations).backward()
    arch = fm_cfm.Arch(depth=LAYERS, dropout=0.0, recompute=recompute)
    mine = fm_cfm.loss(w, arch, mel, n, ids, drawn)
    mine.backward()
    assert float(mine) == pytest.approx(float(flow + 0.1 * durations), rel=BAR)
    theirs, worst = dict(reference.named_parameters()), 0.0
    assert theirs.keys() == w.keys()
    for name, values in w.items():
        want = theirs[name].grad
        distance = float((values.grad - want).norm() / want.norm().clamp(min=1e-6 * float(mine)))
        worst = max(worst, distance)
        assert distance < BAR, (name, distance)
    print(f"loss {abs(float(mine) / float(flow + 0.1 * durations) - 1):.1e}, worst gradient {worst:.1e}")
    only = fm_cfm.loss(w, fm_cfm.Arch(depth=LAYERS, dropout=0.0, only_durations=True), mel, n, ids, drawn)
    assert float(only) == pytest.approx(float(durations), rel=BAR)
    alone = fm_cfm.loss(w, fm_cfm.Arch(depth=LAYERS, dropout=0.0, durations=False), mel, n, ids, drawn)
    assert float(alone) == pytest.approx(float(flow), rel=BAR)


def test_dropout_and_bf16():
    """Dropout changes the losses, the same by the same seed; in bf16 they are near."""
    weights, (mel, n, ids) = random_weights(SEED), a_batch(torch.Generator().manual_seed(SEED), [40, 30], [9, 12])
    exact, dropped = fm_cfm.Arch(depth=LAYERS, dropout=0.0), fm_cfm.Arch(depth=LAYERS)

    def loss(arch):
        torch.manual_seed(SEED)
        return float(fm_cfm.loss(weights, arch, mel, n, ids, fm_cfm.draw(mel, n, None)))

    assert loss(dropped) == loss(dropped) != loss(exact)
    only = fm_cfm.Arch(depth=LAYERS, only_durations=True)
    assert loss(only) != loss(fm_cfm.Arch(depth=LAYERS, only_durations=True, dropout=0.0))
    with torch.autocast("cpu", torch.bfloat16):
        near = loss(exact)
    assert near == pytest.approx(loss(exact), rel=0.02) and near != loss(exact)


def test_times_and_noise_are_upstreams():
    """Times first, then the noise of [B,80,N]."""
    mel, n, _ = a_batch(torch.Generator().manual_seed(SEED), [40, 30], [9, 12])
    torch.manual_seed(SEED)
    drawn = fm_cfm.draw(mel, n, None)
    torch.manual_seed(SEED)
    assert torch.equal(drawn.time, torch.rand(2)) and torch.equal(drawn.noise, torch.randn(2, 80, 40).mT)


# ---- recordings


def test_mels_are_those_of_its_training(rng):
    """torchaudio's MelSpectrogram as upstream asks for it, written down once more, in float64."""
    x = rng.uniform(-0.5, 0.5, 3000)
    padded = np.pad(x, 512, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    power = np.stack([np.abs(np.fft.rfft(padded[i:i + 1024] * window)) ** 2 for i in range(0, len(padded) - 1023, 256)])
    points = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 11025 / 700), 82) / 2595) - 1)
    bank = np.zeros((513, 80))
    for k in range(513):
        for b in range(80):
            f = k * 11025 / 512
            bank[k, b] = max(0, min((f - points[b]) / (points[b + 1] - points[b]), (points[b + 2] - f) / (points[b + 2] - points[b + 1])))
    want = np.log(np.maximum(power @ bank, 1e-5))
    mel = speech_folder.power_mel(torch.from_numpy(x).float()).numpy()
    assert mel.shape == want.shape == (12, 80) and np.abs(mel - want).max() < 1e-3


def write_wav(path, samples, rate):
    with wave.open(str(path), "wb") as w:
        w.setnchannels(1), w.setsampwidth(2), w.setframerate(rate)
        w.writeframes(np.rint(samples * 32767).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight recordings of IPA, 16 frames for each token."""
    rng, path = np.random.default_rng(SEED), tmp_path_factory.mktemp("voice")
    (path / "wavs").mkdir()
    for i, text in enumerate(WORDS):
        rate = (22050, 24000, 16000)[i % 3]
        n = int(16 * (2 * len(text) + 1) * 256 / 22050 * rate)
        write_wav(path / f"wavs/r{i}.wav", 0.3 * np.sin(np.arange(n) * rng.uniform(0.02, 0.08)) + 0.01 * rng.standard_normal(n), rate)
    (path / "metadata.csv").write_text("".join(f"r{i}|{text}\n" for i, text in enumerate(WORDS)))
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """config.json and G_0.pth, with what else upstream's training leaves there."""
    path = tmp_path_factory.mktemp("base")
    made = convert_lib.rc.make_checkpoint(path, arch="FM_TTS", seed=SEED, dim=DIM, depth=1, heads=1, ff_mult=1, mb_channels=32)
    state = upstream_state.read(made["checkpoint"])
    state["model"]["mel_transform.spectrogram.window"] = torch.ones(4)
    state["model"] = fm_tts.even_pace(state["model"], 1.4)
    state["optimizer"] = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 2e-4}]}
    torch.save(state, made["checkpoint"])
    return made


def command(folder, out, base, *more):
    return [str(x) for x in (folder, "--out", out, "--config", base["yaml"], "--checkpoint", base["checkpoint"], "--ipa", "--device",
                             "cpu", "--batch-frames", 1500, "--save-every", 4, "--valid", 2, "--no-samples", *more)]


def run(*words):
    assert finetune.main(command(*words)) == 0


def rows(out, name="log"):
    return [line.split("\t") for line in (out / f"{name}.tsv").read_text().splitlines()[1:]]


@pytest.fixture(scope="module")
def straight(folder, base, tmp_path_factory):
    out = tmp_path_factory.mktemp("straight")
    run(folder, out, base, "--updates", 12, "--only-durations", "--rate", 3e-3, "--warm-up", 1)
    return out


def frames(path, texts=WORDS):
    with f5lib.Engine(path, max_frames=4096, threads=1) as e:
        return [e.predict_frames(e.tokenize(text)) for text in texts]


def test_the_predictor_learns_and_the_engine_speaks_by_it(folder, base, straight, tmp_path):
    """From 4 frames a token towards the 16 that the recordings have; nothing else of the model changes."""
    valid = rows(straight, "valid")
    assert [int(r[0]) for r in valid] == [0, 4, 8, 12] and all(len(r) == 3 for r in valid)
    assert float(valid[-1][1]) < 0.5 * float(valid[0][1]), valid
    assert png.read_png(straight / "loss.png").shape[2] == 3
    assert (straight / "config.json").read_text() == open(base["yaml"]).read()
    assert [p.name for p in straight.glob("G_*")] == ["G_12.pth"] and not list(straight.glob("*.part*"))
    begun, now = upstream_state.read(base["checkpoint"]), upstream_state.read(straight / "G_12.pth")
    assert list(now["model"]) == list(begun["model"]) and now["iteration"] == int(rows(straight)[-1][1]) + 1
    for name, values in begun["model"].items():
        learnt = name.startswith((fm_cfm.ENCODER, fm_cfm.PREDICTOR))
        assert torch.equal(now["model"][name], values) != learnt, name
    weights = {name: values.float() for name, values in now["model"].items()}
    entries = json.loads((straight / "data/index.json").read_text())["entries"]
    for e, text in zip(entries, WORDS):  # that voice.f5, in fp16, predicts what the checkpoint does
        assert e["text"] == text and len(e["ids"]) == 2 * len(text) + 1 and abs(e["frames"] - 16 * len(e["ids"])) <= 2
    before, after = frames(straight / "base.f5"), frames(straight / "voice.f5")
    wanted = [e["frames"] for e in entries]
    print(f"loss {valid[0][1]} to {valid[-1][1]}; frames {before} to {after} of {wanted}")
    assert all(abs(math.log(a / w)) < abs(math.log(b / w)) for a, b, w in zip(after, before, wanted)), (before, after, wanted)
    averaged = float(valid[-1][1]) >= float(valid[-1][2])
    chosen = {**weights, **now["f5tts"]["average"]} if averaged else weights
    for e, n in zip(entries, after):
        tokens = torch.tensor([e["ids"]])
        arch = fm_cfm.Arch(depth=1, dropout=0.0)
        exact = float(fm_cfm.log_durations(chosen, arch, tokens, torch.tensor([tokens.shape[1]])).exp().clamp(min=1).double().sum())
        assert abs(n - exact) <= 1 + 1e-3 * exact
    spoken = {}
    for name in ("base", "voice"):
        done = convert_lib.run("infer", "-m", straight / f"{name}.f5", "--ipa", "-t", WORDS[1], "-o", tmp_path, "-w", f"{name}.wav",
                               "--nfe_step", "1", "--seed", "1")
        assert done.returncode == 0, done.stderr
        with wave.open(str(tmp_path / f"{name}.wav")) as w:
            spoken[name] = w.getnframes()
    assert spoken["voice"] > 1.5 * spoken["base"], spoken


def test_it_goes_on_bit_for_bit(folder, base, straight, tmp_path, monkeypatch):
    """Ended behind update 7 as by Ctrl-C."""
    out, more = tmp_path / "out", ("--updates", 12, "--only-durations", "--rate", 3e-3, "--warm-up", 1)
    update = finetune.Training.update

    def stopped(self, number):
        self.stop = 15 if number == 6 else 0
        return update(self, number)

    with monkeypatch.context() as m:
        m.setattr(finetune.Training, "update", stopped)
        assert finetune.main(command(folder, out, base, *more)) == 143
    assert [p.name for p in out.glob("G_*")] == ["G_7.pth"]
    run(folder, out, base, *more)
    assert rows(out) == rows(straight) and rows(out, "valid")[1:] == rows(straight, "valid")[1:]
    states = [upstream_state.read(path / "G_12.pth") for path in (out, straight)]
    assert all(torch.equal(states[0]["model"][name], values) for name, values in states[1]["model"].items())


def test_flow_and_durations_together(folder, base, tmp_path, capsys):
    """All but the vocoder is trained; both losses of unseen recordings are told, and fall; checkpoints are kept."""
    out = tmp_path / "out"
    run(folder, out, base, "--updates", 12, "--rate", 2e-3, "--warm-up", 1, "--dropout", 0, "--keep", 2, "--license", "MIT")
    valid = rows(out, "valid")
    assert (out / "valid.tsv").read_text().splitlines()[0].split("\t")[1:] == ["trained", "averaged", "trained_durations",
                                                                             "averaged_durations"]
    assert float(valid[-1][1]) < float(valid[0][1]) and float(valid[-1][3]) < float(valid[0][3]), valid
    assert "; of durations " in capsys.readouterr().out
    assert sorted(p.name for p in out.glob("G_*")) == ["G_12.pth", "G_8.pth"]
    begun, now = upstream_state.read(base["checkpoint"])["model"], upstream_state.read(out / "G_12.pth")
    same = {name for name, values in begun.items() if torch.equal(values, now["model"][name])}
    assert same == {name for name in begun if name.startswith(("dec.", "mel_transform."))}
    with f5lib.ModelFile(out / "voice.f5") as f:
        assert f.info()["license"] == "MIT"
    # upstream's optimiser, of all parameters in their order, takes the state
    parameters = [nn.Parameter(values.clone()) for name, values in now["model"].items() if not name.startswith("mel_transform.")]
    adam = torch.optim.AdamW(parameters, 2e-4, betas=(0.8, 0.99), eps=1e-9)
    adam.load_state_dict(now["optimizer"])
    names = [name for name in now["model"] if not name.startswith("mel_transform.")]
    for name, p in zip(names, parameters):
        assert (p in adam.state and adam.state[p]["exp_avg"].shape == p.shape) == (not name.startswith("dec.")), name
    # and the training goes on from its own checkpoint, in another folder
    again = dict(base, checkpoint=out / "G_12.pth", yaml=out / "config.json")
    run(folder, tmp_path / "more", again, "--updates", 1)


def test_words_are_said_by_espeak(folder, base, tmp_path):
    """The ids of a training are those that the engine speaks."""
    mine = tmp_path / "words"
    shutil.copytree(folder, mine)
    texts = ("Hello, world.", "ROW IN THE BOAT")
    (mine / "metadata.csv").write_text("".join(f"r{i}|{text}\n" for i, text in enumerate(texts)))
    words = [w for w in command(mine, tmp_path / "out", base, "--updates", 1, "--valid", 0, "--only-durations") if w != "--ipa"]
    assert finetune.main(words) == 0
    entries = json.loads((tmp_path / "out/data/index.json").read_text())["entries"]
    with f5lib.Engine(tmp_path / "out/base.f5", max_frames=64, threads=1) as e:
        for entry, ipa in zip(entries, ("həlˈoʊ, wˈɜːld.", "ɹˈoʊ ɪnðə bˈoʊt")):
            assert entry["ids"] == e.tokenize(ipa).tolist(), entry


def test_what_is_no_symbol_is_told_and_left_out(folder, base, tmp_path, capsys):
    mine = tmp_path / "odd"
    shutil.copytree(folder, mine)
    (mine / "metadata.csv").write_text("r0|aˈ中b\nr1|ab\n")
    run(mine, tmp_path / "out", base, "--updates", 1, "--only-durations")
    assert "'中' (U+4E2D), 1 times in 1 lines, is no token of the model: it is left out" in capsys.readouterr().out
    entries = json.loads((tmp_path / "out/data/index.json").read_text())["entries"]
    assert entries[0]["ids"] == [0, 52, 0, 165, 0, 53, 0]


# ---- what is refused


def fails(capsys, words, *said):
    assert finetune.main(words) == 1
    error = capsys.readouterr().err
    assert all(s in error for s in said) and "Traceback" not in error, error


def changed(base, folder, data=None, **model):
    config = json.loads(open(base["yaml"]).read())
    config["model"].update(model)
    config["data"].update(data or {})
    (folder / "config.json").write_text(json.dumps(config))
    return {**base, "yaml": folder / "config.json"}


def test_what_this_model_has_not(folder, base, straight, tmp_path, capsys):
    fails(capsys, command(folder, tmp_path / "a", base, "--lora", 4), "--lora", "--only-durations")
    fails(capsys, [str(folder), "--out", str(tmp_path / "b"), "--model", str(straight / "voice.f5")], "G_*.pth", "--checkpoint")
    fails(capsys, command(folder, tmp_path / "c", changed(base, tmp_path, {"mel_fmax": 8000.0})), "data.mel_fmax", "8000")
    (tmp_path / "odd.json").write_text("# not JSON\n" + open(base["yaml"]).read())
    fails(capsys, command(folder, tmp_path / "d", {**base, "yaml": tmp_path / "odd.json"}), "odd.json is no JSON object")
    fails(capsys, command(folder, straight, base, "--updates", 12, "--rate", 3e-3, "--warm-up", 1), "only_durations was True")
    assert sorted(p.name for p in straight.glob("G_*")) == ["G_12.pth"]


def test_a_model_without_durations(folder, tmp_path, capsys):
    """It trains its flow, and has nothing to learn else."""
    made = convert_lib.rc.make_checkpoint(tmp_path / "base", arch="FM_TTS", seed=SEED, dim=DIM, depth=1, heads=1, ff_mult=1,
                                          mb_channels=32, fm_durations=False)
    fails(capsys, command(folder, tmp_path / "a", made, "--only-durations"), "--only-durations", "predicts none")
    run(folder, tmp_path / "b", made, "--updates", 1)
    assert len(rows(tmp_path / "b", "valid")[0]) == 3


def test_checkpoints_of_others(folder, base, tmp_path, capsys):
    state = upstream_state.read(base["checkpoint"])
    torch.save(state["model"], tmp_path / "bare.pth")
    fails(capsys, command(folder, tmp_path / "a", {**base, "checkpoint": tmp_path / "bare.pth"}), 'has no "model"', "G_*.pth")
    state["model"] = {"module." + name: values for name, values in state["model"].items()}
    torch.save(state, tmp_path / "wrapped.pth")
    fails(capsys, command(folder, tmp_path / "b", {**base, "checkpoint": tmp_path / "wrapped.pth"}), "has no flow_tts.")
    (tmp_path / "cut.pth").write_bytes(open(base["checkpoint"], "rb").read()[:5000])
    fails(capsys, command(folder, tmp_path / "c", {**base, "checkpoint": tmp_path / "cut.pth"}), "cut.pth")


@pytest.mark.parametrize("option", ["--only-durations", "--ipa"])
def test_what_other_models_have_not(folder, tmp_path, capsys, option):
    words = [str(folder), "--out", str(tmp_path / "out"), option]
    fails(capsys, words, option, "Flow-Matching-TTS")
