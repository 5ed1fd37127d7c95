"""finetune.py as a user runs it: folders of recordings good and bad, a training that is ended by kill -9 and goes on, two
processes, LoRA, other tokens, what comes out; on a tiny model of random weights, and once on the shipped voice."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import wave
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

import base_model
import convert_lib
import f5lib
import finetune
import output_folder
import png
import recordings_lib
import speech_folder
import unpack
import upstream_state
from seeds import SEED

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "weights/train/finetune.py"
RIGHTS = {"license": "cc-by-4.0", "credit": "Zoë, of whom it was made"}


def write_wav(path, samples, rate):
    """int16 of samples [n] or [n,channels]."""
    x = np.asarray(samples)
    with wave.open(str(path), "wb") as w:
        w.setnchannels(1 if x.ndim == 1 else x.shape[1]), w.setsampwidth(2), w.setframerate(rate)
        w.writeframes(np.rint(np.clip(x, -1, 1) * 32767).astype("<i2").tobytes())


def tone(rng, seconds, rate):
    t = np.arange(int(seconds * rate)) / rate
    return 0.3 * np.sin(2 * np.pi * rng.uniform(100, 300) * t * (1 + 0.1 * np.sin(9 * t))) + 0.02 * rng.standard_normal(len(t))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six recordings of several rates, from 0.4 to 0.8 s."""
    rng, path = np.random.default_rng(SEED), tmp_path_factory.mktemp("voice")
    (path / "wavs").mkdir()
    lines = ["audio_file|text"]
    for i, rate in enumerate((24000, 16000, 44100, 22050, 8000, 48000)):
        write_wav(path / f"wavs/r{i}.wav", tone(rng, 0.4 + 0.08 * i, rate), rate)
        lines.append(f"r{i}|Say {'one two three four five six'.split()[i]}.")
    (path / "metadata.csv").write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A tiny .f5 file to begin with, and what it was made of."""
    path = tmp_path_factory.mktemp("base")
    made = convert_lib.rc.make_checkpoint(path, arch="tiny", seed=SEED)
    assert convert_lib.convert(made, path / "tiny.f5", **RIGHTS).returncode == 0
    return path / "tiny.f5", made


def command(folder, out, *more):
    return [str(x) for x in (folder, "--out", out, "--batch-frames", 130, "--save-every", 2, "--rate", 1e-4, "--device", "cpu", *more)]


def run(folder, out, *more):
    assert finetune.main(command(folder, out, *more)) == 0


def with_mels(straight, out):
    """A folder that a training has begun, with the recordings read."""
    shutil.copytree(straight / "data", out / "data")
    shutil.copy(straight / output_folder.MARKER, out)


def rows(out):
    return [line.split("\t") for line in (out / "log.tsv").read_text().splitlines()[1:]]


@pytest.fixture(scope="module")
def straight(folder, base, tmp_path_factory):
    """A training without a break: 10 updates of two batches."""
    out = tmp_path_factory.mktemp("straight")
    run(folder, out, "--model", base[0], "--updates", 10, "--accumulate", 2, "--valid", 1, "--no-samples", "--keep", 2)
    return out


# ---- the folder


def lines_of(tmp_path, text):
    (tmp_path / "metadata.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    lines, left_out = speech_folder.read_metadata(tmp_path)
    return [(line.number, line.name, line.text) for line in lines], left_out


@pytest.mark.parametrize("text,expected", [
    ("audio_file|text\na.wav|One.\n\nb.wav| Two. \n", [(2, "a.wav", "One."), (4, "b.wav", "Two.")]),
    ("a|One.\r\nb|Two.\r\n", [(1, "a", "One."), (2, "b", "Two.")]),
    ("\ufeffa|One.", [(1, "a", "One.")]),
    ("a\tOne | two.\n", [(1, "a", "One")]),
    ("LJ001|Dr. One|Doctor One\n", [(1, "LJ001", "Doctor One")]),
    ('file,text\na.wav,"One, two."\n', [(2, "a.wav", "One, two.")]),
    ('a|"One," she said.\nb|"Two ""three""."\n', [(1, "a", '"One," she said.'), (2, "b", 'Two "three".')]),
    ('a|"One | two."\nb|"One," | "two | three"\n', [(1, "a", "One | two."), (2, "b", "two | three")]),
    ("audio_file|text|speaker_name\na.wav|One.|coqui\n", [(2, "a.wav", "One.")]),
    ("id|raw|transcription\na|1.|One.\n", [(2, "a", "One.")]),
    ("name|x|y\na|One.|\n", [(2, "a", "One.")]),
    ("a.wav|One.|\n", [(1, "a.wav", "One.")]),
    ('file,speaker,text\na.wav,"x, y","One, ""two""."\n', [(2, "a.wav", 'One, "two".')]),
])
def test_metadata_is_read_in_its_forms(tmp_path, text, expected):
    lines, left_out = lines_of(tmp_path, text)
    if "|" in text and "\t" in text:
        expected = [(1, "a\tOne", "two.")]  # the first separator that is known
    assert (lines, left_out) == (expected, [])


def test_bad_lines_are_told_by_their_numbers(tmp_path):
    lines, left_out = lines_of(tmp_path, b"a|One.\n\xff\xfe|Two.\nthree\nd|Four.\n")
    assert [line[0] for line in lines] == [1, 4]
    assert [number for number, _ in left_out] == [2, 3] and "UTF-8" in left_out[0][1] and "NAME|" in left_out[1][1]


@pytest.mark.parametrize("text,columns", [
    ("file,text\na.wav,Hello, world\n", "3 columns, the header 2"), ("audio_file|text\na.wav|Hello | there\n", "3 columns"),
    ("audio_file|text|speaker_name\na.wav|Hello\n", "2 columns, the header 3"), ("a.wav\tHello\tx\ty\n", "4 columns")])
def test_a_text_that_the_columns_do_not_tell_is_left_out(tmp_path, text, columns):
    lines, ((_, told),) = lines_of(tmp_path, text)
    assert lines == [] and columns in told and "quote the text" in told


@pytest.mark.parametrize("text,message", [(None, "metadata.csv"), ("no separator here\n", "separator"), ("audio_file|text\n", "nothing is left"),
                                          ("gone.wav|One.\n", "nothing is left")])
def test_a_folder_that_cannot_be_used_is_refused(tmp_path, base, capsys, text, message):
    if text is not None:
        (tmp_path / "metadata.csv").write_text(text)
    assert finetune.main(command(tmp_path, tmp_path / "out", "--model", base[0], "--updates", 1)) == 1
    assert message in capsys.readouterr().err


def test_every_fault_of_a_recording_is_told(tmp_path, base, rng, capsys):
    (tmp_path / "wavs").mkdir()
    for name, samples, rate in (("good", tone(rng, 0.5, 24000), 24000), ("short", tone(rng, 0.2, 8000), 8000),
                                ("long", tone(rng, 31, 8000), 8000), ("silent", np.zeros(9000), 16000),
                                ("stereo", np.stack([tone(rng, 0.6, 32000)] * 2, axis=1), 32000), ("wide", tone(rng, 3, 8000), 8000)):
        write_wav(tmp_path / f"wavs/{name}.wav", samples, rate)
    (tmp_path / "wavs/noise.wav").write_bytes(b"RIFF" + rng.bytes(60))
    shutil.copy(tmp_path / "wavs/good.wav", tmp_path / "elsewhere.wav")
    names = ["good", "stereo", "elsewhere.wav", str(tmp_path / "wavs/good.wav")]  # used
    faults = {"short": "0.20 s", "long": "31.00 s", "silent": "silent", "noise": "noise.wav", "gone": "no such recording",
              "x" * 300: "no such recording", "": "no recording", "wide": "more than a batch"}
    lines = [f"{name}|Caf\u00e9 \u00e9." for name in names] + [f"{name}|Text." for name in faults] + ["good|", f"good|{'many ' * 40}"]
    (tmp_path / "metadata.csv").write_text("\n".join(lines) + "\n")
    run(tmp_path, tmp_path / "out", "--model", base[0], "--updates", 1, "--valid", 0, "--no-samples")
    said = capsys.readouterr().out
    index = json.loads((tmp_path / "out/data/index.json").read_text())
    assert [e["line"] for e in index["entries"]] == [1, 2, 3, 4]
    told = dict(index["left_out"])
    assert list(told) == list(range(5, 15))
    for number, expected in zip(told, [*faults.values(), "no text", "another recording"]):
        assert expected in told[number] and told[number] in said
        assert f"line {number}:" in said
    assert "10 lines of metadata.csv are left out" in said
    assert "'\u00e9' (U+00E9), 8 times in 4 lines" in said and "as a space" in said


def test_mels_are_the_engines_at_every_rate(folder, base, straight):
    """Upstream's resampler and mel: what the engine makes of a recording."""
    index = json.loads((straight / "data/index.json").read_text())
    speech = speech_folder.Speech(straight / "data", index["entries"], 100)
    lib = speech_folder.library()
    with f5lib.Engine(base[0], max_frames=128) as engine:
        for i, e in enumerate(index["entries"]):
            samples = speech_folder.samples_of(lib, e["path"], 24000)
            source, rate = recordings_lib.read(lib, e["path"])
            assert len(samples) == -(-len(source) * 24000 // rate)
            mel, mine = engine.mel(samples), speech.mel(i).numpy()
            assert mel.shape == mine.shape and np.abs(np.exp(mel) - np.exp(mine)).max() < 1e-3 * np.exp(mel).max()
            assert e["ids"] == engine.tokenize(e["text"]).tolist()


def test_batches_hold_no_more_than_is_asked_for(rng):
    entries = [dict(frames=int(n)) for n in rng.integers(10, 200, 60)]
    made = speech_folder.batches(entries, range(60), 400, 5)
    assert sorted(i for which in made for i in which) == list(range(60))
    assert all(sum(entries[i]["frames"] for i in which) <= 400 and len(which) <= 5 for which in made)


class Letters:
    """An engine that knows letters."""

    def tokenize(self, text, capacity=0):
        return np.frombuffer(text.encode(), np.uint8).astype(np.int32)


def test_mels_are_whole_before_the_index_and_of_what_they_were_made_of(folder, tmp_path, monkeypatch):
    opened, flushed, out = [], [], tmp_path / "data"
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda f: (flushed.append(os.path.basename(os.readlink(f"/proc/self/fd/{f}"))), fsync(f)))

    def prepared(folder, tokenizer):
        def engine():
            opened.append(tokenizer)
            return contextlib.nullcontext(Letters())
        return speech_folder.prepare(folder, out, None, tokenizer, "Vocos", 200, engine, print)

    index = prepared(folder, "byte")
    assert flushed == ["mels.part.f32", "data", "index.part.json", "data"]
    assert prepared(folder, "byte") == index and opened == ["byte"]
    prepared(folder, "char")
    assert opened == ["byte", "char"]
    shutil.copytree(folder, tmp_path / "copy")
    assert prepared(tmp_path / "copy", "char")["entries"][0]["path"].startswith(str(tmp_path / "copy"))
    (out / "index.json").write_text("[]")
    assert len(prepared(folder, "char")["entries"]) == 6


# ---- the folder that is written


def options(folder, out, *more):
    return finetune.arguments(command(folder, out, *more))


@pytest.mark.parametrize("name", ["model_1.pt", "vocab.txt", "model.yaml", "vocos/config.yaml", "log.tsv", "voice.f5",
                                  "data/mels.f32"])
def test_files_of_others_stay(folder, base, tmp_path, capsys, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("theirs")
    assert finetune.main(command(folder, tmp_path, "--model", base[0], "--updates", 1)) == 1
    assert name in (said := capsys.readouterr().err) and "give an empty --out" in said
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]
    assert (tmp_path / name).read_text() == "theirs"


def test_what_it_begins_with_lies_elsewhere(folder, base, tmp_path, capsys):
    (tmp_path / "link").symlink_to(tmp_path / "out")
    (tmp_path / "out").mkdir()
    for name in ("x.f5", "model.yaml", "c.pt"):
        (tmp_path / "out" / name).write_text("mine")
    for more in (("--model", tmp_path / "link/x.f5"), ("--config", tmp_path / "out/model.yaml", "--checkpoint", base[0]),
                 ("--config", base[0], "--checkpoint", tmp_path / "out/c.pt")):
        assert finetune.main(command(folder, tmp_path / "out", *more, "--updates", 1)) == 1
        assert f"{more[-2] if 'link' in str(more) or 'c.pt' in str(more) else '--config'} " in (said := capsys.readouterr().err)
        assert "another --out" in said
    assert finetune.main(command(folder, folder, "--model", base[0], "--updates", 1)) == 1
    assert "folder of recordings" in capsys.readouterr().err


def test_one_training_at_a_time_writes_a_folder(folder, base, tmp_path, capsys):
    chosen = options(folder, tmp_path / "out", "--model", base[0])
    with output_folder.claimed(chosen):
        assert finetune.main(command(folder, tmp_path / "out", "--model", base[0], "--updates", 1)) == 1
        assert "another training writes there" in capsys.readouterr().err
    with output_folder.claimed(chosen):
        pass


def test_a_base_is_known_by_its_bytes(folder, tmp_path, monkeypatch):
    files = ("config", "checkpoint", "vocab", "vocos-config", "vocos")
    for name in (*files, "m.f5"):
        (tmp_path / name).write_bytes(bytes(3 << 20))
    monkeypatch.setattr(base_model, "program", lambda options: "f5tts")
    monkeypatch.setattr(base_model, "run", lambda *command: (tmp_path / "base.f5").write_bytes(b"made"))
    given = options(folder, tmp_path, *(word for name in files for word in ("--" + name, tmp_path / name)))
    model = options(folder, tmp_path, "--model", tmp_path / "m.f5")
    seen = [base_model.file_of(given, tmp_path), base_model.file_of(model, tmp_path)]
    assert seen == [base_model.file_of(given, tmp_path), base_model.file_of(model, tmp_path)]
    for name in files:  # the same size
        (tmp_path / name).write_bytes(bytes((3 << 20) - 1) + b"x")
        assert base_model.file_of(given, tmp_path) not in seen, name
        seen.append(base_model.file_of(given, tmp_path))
    (tmp_path / "model_last.pt").touch()
    (tmp_path / "base.f5").write_bytes(b"MADE")
    assert base_model.file_of(given, tmp_path) not in seen
    (tmp_path / "m.f5").write_bytes(b"x" + bytes((3 << 20) - 1))
    assert base_model.file_of(model, tmp_path) not in seen


# ---- the training


def test_bf16_is_taken_where_it_is(monkeypatch):
    card = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a T4")
    for major, expected in ((7, False), (8, True), (9, True)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (major, 5))
        assert finetune.bf16_on(card, "auto") == expected and not finetune.bf16_on(card, "fp32")
        if expected:
            assert finetune.bf16_on(card, "bf16")
        else:
            with pytest.raises(speech_folder.Unusable, match="a T4.*--precision fp32"):
                finetune.bf16_on(card, "bf16")
    assert not finetune.bf16_on(torch.device("cpu"), "auto") and finetune.bf16_on(torch.device("cpu"), "bf16")


@pytest.mark.parametrize("error", [f5lib.Error(1, "no such word"), KeyError("no such word"), zlib.error("no such word")])
def test_what_fails_in_the_first_process_is_told(folder, base, tmp_path, monkeypatch, capsys, error):
    def fails(*_):
        raise error

    monkeypatch.setattr(finetune, "vocab_of", fails)
    assert finetune.main(command(folder, tmp_path, "--model", base[0], "--updates", 1)) == 1
    assert "no such word" in capsys.readouterr().err


def test_it_writes_what_it_says(folder, base, straight):
    log, valid = rows(straight), (straight / "valid.tsv").read_text().splitlines()
    assert [int(row[0]) for row in log] == list(range(1, 11))
    assert [line.split("\t")[0] for line in valid] == ["update", "0", "2", "4", "6", "8", "10"]
    assert all(np.isfinite(float(cell)) for row in log for cell in row)
    assert png.read_png(straight / "loss.png").shape[2] == 3
    assert sorted(path.name for path in straight.glob("model_*.pt")) == ["model_10.pt", "model_8.pt", "model_last.pt"]
    assert not list(straight.glob("*.part*"))
    state = upstream_state.read(straight / "model_last.pt")
    voice = unpack.read(straight / "voice.f5")  # fp16
    assert voice.rights == RIGHTS
    for name, values in voice.acoustic.items():
        candidates = (state["model_state_dict"][name], state["ema_model_state_dict"]["ema_model." + name])
        assert any(torch.allclose(values, c, rtol=1e-3, atol=1e-6) for c in candidates), name
    begun = unpack.read(base[0]).acoustic
    assert any(not torch.equal(state["model_state_dict"][name], values) for name, values in begun.items())


def test_killed_at_random_it_goes_on_as_if_nothing_had_been(folder, base, straight, tmp_path, rng):
    """kill -9 in the middle; the checkpoint that is there is whole; the losses are those without the break, bit for bit."""
    out, more = tmp_path / "out", ("--model", base[0], "--updates", 10, "--accumulate", 2, "--valid", 1, "--no-samples")
    with_mels(straight, out)
    wanted = int(rng.integers(1, 9))
    with open(tmp_path / "said", "w") as said:
        process = subprocess.Popen([sys.executable, str(SCRIPT), *command(folder, out, *more)], stdout=said, stderr=said)
        try:
            until = time.time() + 400
            while process.poll() is None and time.time() < until:
                if (out / "log.tsv").exists() and len(rows(out)) >= wanted:
                    break
                time.sleep(0.002)
            time.sleep(float(rng.uniform(0, 0.05)))
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert (out / "log.tsv").exists(), (tmp_path / "said").read_text()
    before = 0
    if (out / "model_last.pt").exists():
        before = upstream_state.read(out / "model_last.pt")["update"]
        assert before in (2, 4, 6, 8, 10)
    run(folder, out, *more)
    assert rows(out) == rows(straight), f"after update {before}"
    a, b = (upstream_state.read(path / "model_last.pt") for path in (out, straight))
    for part in ("model_state_dict", "ema_model_state_dict"):
        assert all(torch.equal(a[part][name], b[part][name]) for name in b[part])


def test_asked_to_stop_it_saves_and_says_so(folder, base, straight, tmp_path, capsys):
    out, more = tmp_path / "out", ("--model", base[0], "--updates", 10, "--accumulate", 2, "--valid", 1, "--no-samples")
    with_mels(straight, out)
    training = finetune.Training(finetune.arguments(command(folder, out, *more)))
    update = training.update

    def stopped(number):
        if number == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(number)

    training.update = stopped
    assert training.run() == 128 + signal.SIGTERM
    assert "stopped behind update 3" in capsys.readouterr().out
    assert upstream_state.read(out / "model_last.pt")["update"] == 3
    assert finetune.main(command(folder, out, *more, "--dropout", 0.2)) == 1
    assert "dropout was 0.1, is 0.2" in capsys.readouterr().err
    last = (out / "model_last.pt").read_bytes()
    state = torch.load(out / "model_last.pt")
    torch.save({**state, "optimizer_state_dict": {}}, out / "model_last.pt")
    assert finetune.main(command(folder, out, *more)) == 1
    assert "model_last.pt is damaged" in capsys.readouterr().err
    (out / "model_last.pt").write_bytes(last)
    run(folder, out, *more)
    assert rows(out) == rows(straight)


def two_processes(arguments, folder):
    """Their exit codes and what they said. None: the port that was free was taken meanwhile."""
    import crew
    environment = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(crew.free_port()),
                   "GLOO_SOCKET_IFNAME": "lo"}
    said = [open(folder / f"said-{rank}", "w+") for rank in (0, 1)]
    processes = [subprocess.Popen([sys.executable, str(SCRIPT), *arguments], stdout=said[rank], stderr=said[rank],
                                  env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in (0, 1)]
    try:
        until = time.time() + 400
        while time.time() < until and not any(process.poll() for process in processes):
            if all(process.poll() == 0 for process in processes):
                break
            time.sleep(0.05)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    text = "".join((folder / f"said-{rank}").read_text() for rank in (0, 1))
    return None if "ddress already in use" in text else ([process.returncode for process in processes], text)


def test_two_processes_are_one_with_twice_the_batches(folder, base, straight, tmp_path):
    out = tmp_path / "out"
    with_mels(straight, out)
    more = ("--model", base[0], "--updates", 10, "--accumulate", 1, "--valid", 1, "--no-samples")
    done = next(filter(None, (two_processes(command(folder, out, *more), tmp_path) for _ in range(5))))
    assert done[0] == [0, 0], done[1]
    for mine, theirs in zip(rows(out), rows(straight)):
        assert mine[0] == theirs[0] and mine[5] == theirs[5]
        assert float(mine[2]) == pytest.approx(float(theirs[2]), rel=1e-4)
    run(folder, out, *more, "--accumulate", 2)  # one process goes on with it


def test_lora_from_upstreams_files_with_more_tokens(folder, base, tmp_path, capsys):
    """A checkpoint of upstream's, an adapter of rank 2, a vocab.txt with a token more, bf16; and speech of it."""
    made, mine = base[1], tmp_path / "folder"
    shutil.copytree(folder, mine)
    (mine / "metadata.csv").write_text((mine / "metadata.csv").read_text().replace("one", "\u00e9ne").replace("Say", "--Say"))
    (mine / "vocab.txt").write_text("".join(token + "\n" for token in [*made["vocab"], "\u00e9"]))
    files = ("--config", made["yaml"], "--checkpoint", made["checkpoint"], "--vocab", made["vocab_path"], "--vocos-config",
             made["vocos_config"], "--vocos", made["vocos_path"], "--license", "MIT")
    run(mine, tmp_path / "out", *files, "--updates", 2, "--lora", 2, "--precision", "bf16", "--valid", 2, "--recompute",
        "--sample-device", "cpu")
    said = capsys.readouterr().out
    assert "1 new: '\u00e9'" in said and "no token of the model" not in said and "done; it speaks by" in said
    out = tmp_path / "out"
    assert png.read_png(out / "samples/update_2.png").shape[1] > 50
    with wave.open(str(out / "samples/update_2.wav")) as w:
        assert w.getnframes() > 2000
    state = upstream_state.read(out / "model_last.pt")
    made_of = unpack.read(out / "voice.f5")
    vocab = made_of.vocab
    assert made_of.rights == {"license": "MIT"}
    assert vocab == [*made["vocab"], "\u00e9"]
    table = state["model_state_dict"]["transformer.text_embed.text_embed.weight"]
    assert table.shape[0] == len(vocab) + 1
    for name, values in made["model"].items():  # but for the layers that it adds to and the tokens, the model's
        if not name[:-len(".weight")].endswith(upstream_state.LORA_LAYERS) and "text_embed.text_embed" not in name:
            assert np.array_equal(state["model_state_dict"][name].numpy(), values), name
    assert (out / "lora/adapter_config.json").exists()


def test_the_shipped_voice_learns(flite, tmp_path):
    """Two sentences by a voice that it never heard: the loss by the same noise falls. The result asks for the same solver, but
    not for fp32, which is of the shipped file's 8 bits."""
    (tmp_path / "wavs").mkdir()
    with open(tmp_path / "metadata.csv", "w") as f:
        for i, text in enumerate(("Open the door.", "The water is cold.")):
            write_wav(tmp_path / f"wavs/{i}.wav", flite["awb"].speak(text).samples / 32768, 16000)
            f.write(f"{i}|{text}\n")
    out = tmp_path / "out"
    assert finetune.main([str(tmp_path), "--out", str(out), "--updates", "3", "--warm-up", "1", "--rate", "1e-4", "--valid", "0",
                          "--dropout", "0", "--save-every", "3", "--no-samples", "--device", "cpu"]) == 0
    first, last = (float(line.split("\t")[1]) for line in (out / "valid.tsv").read_text().splitlines()[1:])
    assert last < first
    with f5lib.ModelFile(f5lib.SHIPPED) as base, f5lib.ModelFile(out / "voice.f5") as tuned:
        given, found = base.info(), tuned.info()
    assert given["default_precision"] == "fp32" and not found["default_precision"] and found["precision"] == "fp16"
    assert all(found[key] == given[key] for key in ("default_method", "default_nfe", "license", "credit"))


@pytest.mark.parametrize("more,message", [
    (("--checkpoint", "x.pt"), "--config"), (("--lora", "-1"), "--lora"), (("--rate", "2"), "--rate"), (("--epochs", "0"), "--epochs"),
    (("--license", "a\tb"), "--license has U+0009"), (("--credit", "x" * 1024), "--credit has 1024 bytes")])
def test_wrong_options_are_refused(tmp_path, capsys, more, message):
    with pytest.raises(SystemExit) as ended:
        finetune.arguments([str(tmp_path), "--out", str(tmp_path), *more])
    assert ended.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["gone.f5", "F5TTS_v9_Base"])
def test_a_model_that_is_not_there_is_told(folder, tmp_path, capsys, name):
    assert finetune.main(command(folder, tmp_path, "--model", name)) == 1
    assert name in capsys.readouterr().err
