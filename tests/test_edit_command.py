"""`f5tts edit`: the command line of f5_edit, on a tiny random model."""
import re

import numpy as np
import pytest

import convert_lib
import f5lib
from test_infer import NFE, left_behind, read_wav, write_wav
from test_speaking import float_wav, pcm


@pytest.fixture
def edit(model, tmp_path, rng):
    samples = rng.uniform(-0.3, 0.3, 48000).astype(np.float32)
    write_wav(tmp_path / "voice.wav", samples)

    def run(*edits, **options):
        given = dict(model=model, audio=tmp_path / "voice.wav", text="All that it says.", seed=7, nfe_step=NFE, device="cpu",
                     max_frames=512, output_dir=tmp_path / "out", output_file="a.wav")
        given.update(options)
        return convert_lib.run("edit", *(f"--edit={e}" for e in edits),
                               *(f"--{k}" if v is True else f"--{k}={v}" for k, v in given.items() if v is not None))

    run.samples = pcm(samples)
    return run


def test_edits_are_the_librarys(edit, model, tmp_path):
    result = edit("0.5-0.75", "1.25-1.5=0.4", float_wav=True, save_mel=tmp_path / "a.npy", spectrogram=tmp_path / "a.png")
    assert result.returncode == 0, result.stderr
    with f5lib.Engine(model, max_frames=512) as e:
        samples, mel, stats = e.edit(edit.samples, "All that it says.", [(0.5, 0.75, 0), (1.25, 1.5, 0.4)],
                                     sample=dict(nfe=NFE), seed=7)
    assert np.array_equal(float_wav(tmp_path / "out/a.wav"), samples) and np.array_equal(np.load(tmp_path / "a.npy"), mel)
    assert re.search(rf"of which {stats['reference_seconds']:.2f} s were kept", result.stdout) and "seed 7" in result.stdout
    assert left_behind(tmp_path) == ["a.npy", "a.png", "out/a.wav", "voice.wav"]


def test_what_is_kept_is_the_recording(edit, tmp_path):
    assert edit("0.5-0.75", quiet=True).returncode == 0
    made = read_wav(tmp_path / "out/a.wav").astype(np.float64) / 32768
    assert np.abs(made[:11000] - edit.samples[:11000]).max() < 2 / 32768  # rounded to 16 bits, with another full scale
    assert np.abs(made[12000:17000] - edit.samples[12000:17000]).max() > 0.01


def test_characters_that_are_left_out_are_told(edit, tmp_path):
    result = edit("0.5-0.75", text="All \U0001f642 that it says.")
    assert result.returncode == 0 and "f5tts edit: warning: the text has 1 character that" in result.stderr, result.stderr


USAGE = {"audio": (("0-1",), dict(audio=None), "--audio is required"), "text": (("0-1",), dict(text=None), "--text is required"),
         "edit": ((), {}, "--edit is required"), "word": (("x",), {}, "--edit x: START-END"), "half": (("0.5",), {}, "--edit 0.5:"),
         "sign": (("-1-2",), {}, "--edit -1-2:"), "more": (("1-2=3=4",), {}, "--edit 1-2=3=4"), "none": (("1-2=0",), {}, "1-2=0"),
         "inf": (("0-inf",), {}, "--edit 0-inf"), "many": (["0-0.1"] * 257, {}, "more than 256 times")}


@pytest.mark.parametrize("name", USAGE)
def test_usage(edit, tmp_path, name):
    edits, options, message = USAGE[name]
    result = edit(*edits, **options)
    assert result.returncode == 2 and message in result.stderr and "try 'f5tts edit --help'" in result.stderr, result.stderr
    assert left_behind(tmp_path) == ["voice.wav"]


FAILURES = {"past the end": ("1.5-9", {}), "backwards": ("1-0.5", {}), "no recording": ("0-1", dict(audio="missing.wav")),
            "no model": ("0-1", dict(model="missing.f5")), "over the recording": ("0-1", dict(output_file="../voice.wav"))}


@pytest.mark.parametrize("name", FAILURES)
def test_failures(edit, tmp_path, name):
    edits, options = FAILURES[name]
    result = edit(edits, **options)
    lines = [line for line in result.stderr.splitlines() if not line.startswith("sampling ")]
    assert result.returncode == 1 and len(lines) == 1 and lines[0].startswith("f5tts edit: "), result.stderr
    assert left_behind(tmp_path) == ["voice.wav"]
