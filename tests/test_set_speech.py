"""set_speech.py: the header of a .f5 file changes and nothing else, whole or not at all; and `f5tts convert` writes the
same fields."""
import json
import os
import shutil
import struct
import subprocess
import sys

import pytest

import cbind
import convert_lib
import f5file
import f5lib
import random_checkpoint

sys.path.append(str(cbind.ROOT / "weights"))
import set_speech  # noqa: E402

TOOL = cbind.ROOT / "weights/set_speech.py"
FIELDS = {"normalize": "en", "short_speed": 80, "slowest": 70, "fastest": 150}
WORDS = [f"{key}={value}" for key, value in FIELDS.items()]


def run(*words):
    return subprocess.run([sys.executable, TOOL, *words], capture_output=True, text=True)


def parts_of(path):
    """(header, configuration, data, where the data begins)"""
    whole = path.read_bytes()
    n, = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8:8 + n])
    return header, json.loads(header["__metadata__"].pop("config")), whole[8 + n:], 8 + n


@pytest.fixture(params=[1, 2], ids=["version 1", "version 2"])
def model(request, tmp_path):
    config = {**random_checkpoint.OPTIONS, **random_checkpoint.ARCHS["tiny"]}
    vocab = random_checkpoint.default_vocab()
    made = dict(model=random_checkpoint.draw_all(random_checkpoint.acoustic_tensors(config, len(vocab)), 1),
                vocos=random_checkpoint.draw_all(random_checkpoint.vocos_tensors(config), 1), config=config, vocab=vocab)
    f5file.write_f5(tmp_path / "model.f5", made, name="tiny", version=request.param)
    return tmp_path / "model.f5"


def settings(path):
    """As the library reads them; those of "speech" are not among a version 1 file's."""
    with f5lib.ModelFile(path) as file:
        return {s["name"]: s["value"] for s in file.all("setting") if "speech" not in s["name"]}


def test_only_the_header_changes(model):
    before, known = parts_of(model), settings(model)
    os.chmod(model, 0o640)
    done = run(model, *WORDS)
    assert done.returncode == 0 and " ".join(WORDS) in done.stdout, done.stderr
    header, config, data, begin = parts_of(model)
    assert begin % 64 == 0 and data == before[2]
    assert {k: v for k, v in header.items() if k != "__metadata__"} == \
        {k: v for k, v in before[0].items() if k != "__metadata__"}
    assert header["__metadata__"].pop("format_version") == "2" and before[0]["__metadata__"].pop("format_version")
    assert header["__metadata__"] == before[0]["__metadata__"]
    assert config.pop("speech") == FIELDS
    assert settings(model).items() >= {k: v for k, v in known.items() if "version" not in k}.items() and len(known) > 5
    with f5lib.Engine(model, max_frames=128) as engine:
        assert engine.info()["normalize"] == "en"
    assert model.stat().st_mode & 0o777 == 0o640 and [f.name for f in model.parent.iterdir()] == ["model.f5"]


def test_fields_are_changed_and_taken_out(model):
    assert set_speech.set_speech(model, []) == {}
    assert set_speech.set_speech(model, [(key, str(value)) for key, value in FIELDS.items()]) == FIELDS
    assert set_speech.set_speech(model, [("short_speed", "90"), ("normalize", "")]) == \
        {"short_speed": 90, "slowest": 70, "fastest": 150}
    unchanged = model.read_bytes()
    assert run(model).stdout.strip() == f"{model}: short_speed=90 slowest=70 fastest=150"
    assert model.read_bytes() == unchanged
    set_speech.set_speech(model, [(key, "") for key in FIELDS])
    assert "speech" not in parts_of(model)[1]


@pytest.mark.parametrize("word, why", [
    ("pace=3", "no field pace"), ("short_speed", "key=value"), ("short_speed=0.8", "whole number"),
    ("short_speed=0", "1 .. 10000"), ("slowest=101", "1 .. 100"), ("fastest=99", "100 .. 10000"),
    ("fastest=99999", "100 .. 10000"), ("slowest=-5", "1 .. 100"), ("normalize=e", "a language"),
    ("normalize=EN", "a language"), ("normalize=" + "e" * 16, "a language")])
def test_what_the_library_would_refuse_is_refused(model, word, why):
    before = model.read_bytes()
    done = run(model, "normalize=en", word)
    assert done.returncode == 1 and why in done.stderr and "Traceback" not in done.stderr
    assert model.read_bytes() == before and len(list(model.parent.iterdir())) == 1


@pytest.mark.parametrize("spoil", [lambda b: b[:4], lambda b: b"", lambda b: b"\xff" * 8 + b[8:], lambda b: b[:200],
                                   lambda b: b.replace(b'"f5tts"', b'"other"'), lambda b: b[:8] + b"[" + b[9:],
                                   lambda b: b.replace(b'"format_version": "', b'"format_version": "9')],
                         ids=["4 bytes", "empty", "long header", "cut", "format", "JSON", "version"])
def test_other_files_are_left_alone(model, spoil):
    spoiled = spoil(model.read_bytes())
    model.write_bytes(spoiled)
    done = run(model, "normalize=en")
    assert done.returncode == 1 and str(model) in done.stderr and "Traceback" not in done.stderr
    assert model.read_bytes() == spoiled and len(list(model.parent.iterdir())) == 1


def test_whole_or_not_at_all(model, monkeypatch):
    before = model.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OSError):
        set_speech.set_speech(model, [("normalize", "en")])
    assert model.read_bytes() == before and [f.name for f in model.parent.iterdir()] == ["model.f5"]


def test_convert_writes_them(tmp_path):
    made = random_checkpoint.make_checkpoint(tmp_path, "tiny", seed=2)
    out = tmp_path / "out.f5"
    for options, speech in ((("--normalize", "en", "--short_speed", "0.8"), {"normalize": "en", "short_speed": 80}), ((), {})):
        done = convert_lib.run(*convert_lib.convert_args(made, out), *options)
        assert done.returncode == 0, done.stderr
        assert set_speech.set_speech(out, []) == speech
    for options, why in ((("--normalize", "E"), "normalize"), (("--short-speed", "0"), "short-speed")):
        done = convert_lib.run(*convert_lib.convert_args(made, out), *options)
        assert done.returncode in (1, 2) and why in done.stderr


def test_the_shipped_voice_says_how_it_is_spoken_with():
    sys.path.append(str(cbind.ROOT / "weights/train"))
    import export
    said = set_speech.set_speech(f5lib.SHIPPED, [])
    credit = said.pop("credit")
    assert said == {**export.SPEECH, "precision": 1, "license": "MIT"} and "Kokoro" in credit and "WordNet" in credit


def test_info_shows_it():
    """Of the shipped voice, as it is set now."""
    shown = subprocess.run([convert_lib.program(), "info", f5lib.SHIPPED],
                           capture_output=True, text=True, check=True).stdout
    line, = [x for x in shown.splitlines() if x.startswith("speech ")]
    assert "normalize en" in line and "short texts 55 %" in line and "cut each sentence by itself" in line
    assert "asks for        ab2, 12 steps, fp32\n" in shown
    assert "licence         MIT\n" in shown and "credit          taught by Kokoro-82M and its voices (hexgrad" in shown


@pytest.mark.parametrize("fields, line", [
    ({"precision": 1}, "fp32"), ({"precision": 2, "method": 1, "steps": 8}, "midpoint, 8 steps, int8"),
    ({"steps": 7}, "euler, 7 steps"), ({"method": 2}, None), ({"normalize": "en"}, None)])
def test_info_shows_what_is_asked_for(model, fields, line):
    """A method without steps asks for nothing: `f5tts infer` takes both or neither."""
    set_speech.set_speech(model, [(key, str(value)) for key, value in fields.items()])
    shown = subprocess.run([convert_lib.program(), "info", model], capture_output=True, text=True, check=True).stdout
    assert [x.removeprefix("asks for").strip() for x in shown.splitlines() if x.startswith("asks for")] == ([line] if line else [])
