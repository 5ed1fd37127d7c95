"""Malformed model files against `f5tts info` and, as source checkpoints, against `f5tts convert`: each is refused with
one line that names the file and the reason, exit status 1, and nothing is left behind. With F5_ASAN_BUILD the same
under the address and undefined-behaviour sanitizers, leaks included."""
import os
import re
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from bad_fm import fm_cases, good_fm
from bad_kinds import good_kinds, kind_cases
from bad_models import good_others, other_cases
from bad_safetensors import Case, container_cases, good_models, model_cases
from seeds import SEED
from test_infer import write_wav

ROOT = Path(__file__).resolve().parents[2]
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=1:exitcode=99:allocator_may_return_null=1", "UBSAN_OPTIONS": "exitcode=99"}

CONTAINERS = container_cases()
RNG = np.random.default_rng([SEED, zlib.crc32(b"test_f5_files")])
MODELS = model_cases(RNG) + other_cases() + kind_cases(RNG) + [Case(f"fm_{name}", *rest) for name, *rest in fm_cases()]
GOOD = {**good_models(), **good_others(), **good_kinds(), **good_fm()}


@pytest.fixture(scope="module", params=["plain", "sanitized"])
def program(request):
    """The program of the build under test, and of the one with sanitizers."""
    if request.param == "plain":
        path = Path(os.environ.get("F5_BUILD", ROOT / "build")) / "bin" / "f5tts"
        assert path.exists(), f"{path}: build it first (make), or set F5_BUILD"
    else:
        if not os.environ.get("F5_ASAN_BUILD"):
            pytest.skip("F5_ASAN_BUILD is not set: no sanitizers in this run")
        path = Path(os.environ["F5_ASAN_BUILD"]) / "bin" / "f5tts"
        assert path.exists(), f"{path}: F5_ASAN_BUILD names no build with the program"

    def run(*args):
        return subprocess.run([str(path), *map(str, args)], capture_output=True, timeout=600,
                              env={**os.environ, **SANITIZERS})
    return run


def check_refused(result, path, reason):
    error = result.stderr.decode("utf-8")  # strict: a message is valid UTF-8
    assert result.returncode == 1, f"exit status {result.returncode}\n{error}"
    assert result.stdout == b""
    assert error.count("\n") == 1 and error.endswith("\n"), error
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", error), repr(error)
    assert str(path) in error, error
    assert re.search(reason, error.split(str(path), 1)[1]), f"refused for another reason than {reason!r}: {error}"


@pytest.mark.parametrize("case", CONTAINERS + MODELS, ids=lambda case: case.name)
def test_info_refuses(program, tmp_path, case):
    path = tmp_path / "model.f5"
    path.write_bytes(case.data)
    check_refused(program("info", path), path, case.reason)


@pytest.mark.parametrize("name", GOOD)
def test_info_takes(program, tmp_path, name):
    path = tmp_path / "model.f5"
    path.write_bytes(GOOD[name])
    result = program("info", path)
    assert result.returncode == 0, result.stderr.decode()
    assert result.stderr == b""


@pytest.mark.parametrize("kind, reason", {"missing": "No such file", "folder": "not a regular file",
                                          "fifo": "not a regular file", "device": "not a regular file",
                                          "dangling": "No such file"}.items())
def test_info_refuses_what_is_no_file(program, tmp_path, kind, reason):
    path = tmp_path / "model.f5"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "device":
        path = Path("/dev/zero")
    check_refused(program("info", path), path, reason)


CONFIG_YAML = """model:
  name: tiny
  tokenizer: char
  backbone: DiT
  arch: {dim: 16, depth: 2, heads: 1, ff_mult: 2, text_dim: 4, conv_layers: 1}
  mel_spec: {target_sample_rate: 24000, n_mel_channels: 100, hop_length: 256, win_length: 1024, n_fft: 1024,
             mel_spec_type: vocos}
"""
VOCOS_YAML = """feature_extractor:
  class_path: vocos.feature_extractors.MelSpectrogramFeatures
  init_args: {sample_rate: 24000, n_fft: 1024, hop_length: 256, n_mels: 100, padding: center}
backbone:
  class_path: vocos.models.VocosBackbone
  init_args: {input_channels: 100, dim: 8, intermediate_dim: 8, num_layers: 1}
head:
  class_path: vocos.heads.ISTFTHead
  init_args: {dim: 8, n_fft: 1024, hop_length: 256, padding: center}
"""


@pytest.mark.parametrize("case", CONTAINERS, ids=lambda case: case.name)
def test_convert_refuses(program, tmp_path, case):
    """As the acoustic checkpoint, which is opened first."""
    files = {"config": CONFIG_YAML, "vocab": " \na\nb\n", "vocos-config": VOCOS_YAML}
    args = []
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        args += [f"--{name}", tmp_path / name]
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(case.data)
    output = tmp_path / "model.f5"
    result = program("convert", *args, "--checkpoint", path, "--vocos", path, "--output", output, "--quiet")
    # what does not even begin like a safetensors file could have been a torch file as well
    check_refused(result, path, case.reason + "|neither a .safetensors file nor|none that torch.save writes")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*files, path.name]), "something was left behind"


@pytest.mark.parametrize("name, code", {"unett_int8": 0, "dit_int8_of_-128": 0, "dit_int8_any_scale": 1, "mmdit_one_block": 0,
                                        "mmdit_int8": 0, "bigvgan_one_stage": 0, "bigvgan_eight_stages": 0}.items())
def test_infer_of_odd_models(program, tmp_path, name, code):
    """Any whole number in 8 bits is one; scales that are none give no sound, and say so. The least and the most of a kind
    speak."""
    write_wav(tmp_path / "voice.wav", np.random.default_rng(1).uniform(-0.3, 0.3, 24000))
    (tmp_path / "model.f5").write_bytes(GOOD[name])
    result = program("infer", "-m", tmp_path / "model.f5", "-r", tmp_path / "voice.wav", "-s", "a b", "-t", "b a ab",
                     "-o", tmp_path, "-w", "said.wav", "--nfe_step", "2", "--quiet")
    error = result.stderr.decode()
    assert result.returncode == code and (tmp_path / "said.wav").exists() == (code == 0), error
    assert ("not a finite number" in error) == (code == 1)


@pytest.mark.parametrize("name", good_fm())
def test_infer_in_one_voice(program, tmp_path, name):
    """Weights of zeros: a frame a symbol, or five, and silence of that length."""
    (tmp_path / "model.f5").write_bytes(GOOD[name])
    result = program("infer", "-m", tmp_path / "model.f5", "--ipa", "-t", "ĀāĂă ĄąĆ", "-o", tmp_path, "-w", "said.wav", "--nfe_step", "2",
                     "--quiet")
    error = result.stderr.decode()
    assert result.returncode == 0 and (tmp_path / "said.wav").stat().st_size > 44, error
