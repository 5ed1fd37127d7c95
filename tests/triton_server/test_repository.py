"""`f5tts triton-repo`: the folder is whole or not there, is replaced if it is its own, and nothing else is touched."""
import os
import re
import resource
import shutil
import signal
import subprocess
import time

import pytest

import convert_lib
import outputs_lib

FILES = {"f5_tts/config.pbtxt", "f5_tts/1/model.f5", "f5_tts_stream/config.pbtxt", "f5_tts_stream/1/README"}


def make(*words, **more):
    return subprocess.run([convert_lib.program(sanitized=True), "triton-repo", *map(str, words)], capture_output=True,
                          text=True, timeout=600, **{"env": {**os.environ, **convert_lib.SANITIZER}, **more})


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_makes_and_replaces(model, tmp_path):
    folder = tmp_path / "some/models"
    result = make(folder, "-m", model, "--max_frames", 1048576)
    assert result.returncode == 0 and str(folder) in result.stdout, result.stderr
    assert files(folder) == FILES and (folder / "f5_tts/1/model.f5").read_bytes() == model.read_bytes()
    for name, decoupled in (("f5_tts", False), ("f5_tts_stream", True)):
        config = (folder / name / "config.pbtxt").read_text()
        assert f'name: "{name}"' in config and ("decoupled: true" in config) == decoupled
        assert re.search(r'"max_frames" value { string_value: "1048576" }', config) and "KIND_CPU" in config
        for tensor in ("reference_wav", "reference_wav_len", "reference_text", "target_text", "waveform"):
            assert f'name: "{tensor}"' in config
    # again, over itself and from itself
    result = make(folder, "-m", folder / "f5_tts/1/model.f5", "--gpus", "0,1", "--instances", 3, "--method", "ab2", "--vocoder_precision",
                  "fp32")
    assert result.returncode == 0, result.stderr
    config = (folder / "f5_tts/config.pbtxt").read_text()
    assert re.search(r'"vocoder_precision" value { string_value: "fp32" }', config)
    assert "count: 3 kind: KIND_GPU gpus: [ 0,1 ]" in config and '"ab2"' in config and '"device"' not in config
    assert files(folder) == FILES and os.listdir(tmp_path / "some") == ["models"]
    (tmp_path / "empty").mkdir()
    assert make(tmp_path / "empty", "-m", model).returncode == 0 and files(tmp_path / "empty") == FILES


def test_refuses_what_is_not_its_own(model, tmp_path):
    own = tmp_path / "own"
    assert make(own, "-m", model).returncode == 0

    def refused(folder, *words):
        before = {path: path.read_bytes() if path.is_file() else None for path in tmp_path.rglob("*")}
        result = make(folder, "-m", model)
        assert result.returncode == 1 and result.stderr.count("\n") == 1 and str(folder) in result.stderr, result.stderr
        assert all(word in result.stderr for word in words), result.stderr
        assert before == {path: path.read_bytes() if path.is_file() else None for path in tmp_path.rglob("*")}

    (tmp_path / "file").write_text("")
    refused(tmp_path / "file", "is no folder")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/notes.txt").write_text("mine")
    refused(tmp_path / "foreign", "notes.txt")
    (own / "f5_tts/2").mkdir()
    refused(own, "f5_tts/2 is not of")
    (own / "f5_tts/2").rmdir()
    (own / "another_model").mkdir()
    refused(own, "another_model")
    (own / "another_model").rmdir()
    (own / "f5_tts/config.pbtxt").write_text('name: "f5_tts"\n')
    refused(own, "was not made by")


def test_bad_words(model, tmp_path):
    bad = {"--gpus": ('0" ', ",", "0,", ",0", "0,,1", "0,1,0", "1000", "0 1", "4294967297", ",".join("0" * 9),
                      ",".join(map(str, range(65))), "0," * 800 + "1", "-1"),
           "--device": ('cpu"', "cuda:", "cuda:-1", "cuda: 1", "cuda:1x", "cuda:1000", "gpu"),
           "--languages": (",", "en,", "en,,de", "e", "english", "EN", 'en"', "en\n", "en-\"x", "en," * 60 + "en")}
    for words, told in ((["-m", tmp_path / "none.f5"], "none.f5"), (["-m", __file__], "test_repository.py"),
                        *((["-m", model, f"{option}={value}"], option) for option, values in bad.items() for value in values),
                        *((["-m", model, f"--precision={value}"], f"precision '{value}'") for value in ("a b", "fp7", "FP32")),
                        *((["-m", model, f"--vocoder_precision={value}"], f"vocoder_precision '{value}'") for value in ("int8", "fp7", 'fp16"'))):
        result = make(tmp_path / "out", *words)
        assert result.returncode == 1 and told in result.stderr and os.listdir(tmp_path) == [], result.stderr
    long = make(tmp_path / "long", "-m", model, "--gpus", ",".join(map(str, range(900, 964))), "--languages",
                ",".join(["zh-Hant-abcd"] * 9))
    config = (tmp_path / "long/f5_tts/config.pbtxt").read_text()
    assert long.returncode == 0 and "962,963 ]" in config and 'zh-Hant-abcd" } }' in config, long.stderr
    assert make().returncode == 2 and make("a", "b").returncode == 2


def test_refuses_what_the_server_would(model, tmp_path):
    """Precisions that the device or the model has not, in the words of who opens such an engine."""
    wide = convert_lib.rc.make_checkpoint(tmp_path / "wide", arch="tiny", vocoder="bigvgan", bigvgan_channels=64)
    assert convert_lib.convert(wide, tmp_path / "wide.f5").returncode == 0
    folder = tmp_path / "models"
    for name, words, told in ((model, ["--gpus=0", "--vocoder_precision=fp16"], "vocoder_precision 'fp16': the vocoder Vocos computes in fp32 alone"),
                              (model, ["--device=auto", "--vocoder_precision=bf16"], "the vocoder Vocos computes in fp32 alone"),
                              (model, ["--device=cpu", "--precision=bf16"], "precision 'bf16' needs a GPU"),
                              (tmp_path / "wide.f5", ["--device=cpu", "--vocoder_precision=fp16"], "vocoder_precision 'fp16' needs a GPU")):
        result = make(folder, "-m", name, *words)
        assert result.returncode == 1 and told in result.stderr and result.stderr.count("\n") == 1, result.stderr
        assert not folder.exists()
    assert make(folder, "-m", tmp_path / "wide.f5", "--vocoder_precision=fp16", "--precision=bf16").returncode == 0
    config = (folder / "f5_tts/config.pbtxt").read_text()
    assert re.search(r'"vocoder_precision" value { string_value: "fp16" }', config)
    assert re.search(r'"precision" value { string_value: "bf16" }', config)


@pytest.fixture(scope="module")
def moments(tmp_path_factory):
    return outputs_lib.build_moments(tmp_path_factory.mktemp("moments"))


def test_where_renames_have_no_flags(model, tmp_path, moments):
    """As on NFS: the folder comes into its place, and takes that of an old or an empty one."""
    nfs = outputs_lib.watched(moments, NO_RENAME_FLAGS=1)
    folder = tmp_path / "models"
    for steps in (5, 6):
        result = make(folder, "-m", model, "--nfe_step", steps, env=nfs)
        assert result.returncode == 0 and os.listdir(tmp_path) == ["models"], result.stderr
        assert files(folder) == FILES and f'"{steps}"' in (folder / "f5_tts/config.pbtxt").read_text()
    shutil.rmtree(folder)
    folder.mkdir()
    assert make(folder, "-m", model, env=nfs).returncode == 0 and files(folder) == FILES
    # at whatever moment it is ended, one of the two is there
    calls = tmp_path / "calls"
    assert make(folder, "-m", model, env=outputs_lib.watched(moments, NO_RENAME_FLAGS=1, COUNT=calls)).returncode == 0
    for at in range(1, int(calls.read_text().split()[0]) + 1):
        make(folder, "-m", model, "--nfe_step", 7,
             env=outputs_lib.watched(moments, NO_RENAME_FLAGS=1, AT=at, SIGNAL=int(signal.SIGTERM)))
        assert sorted(os.listdir(tmp_path)) == ["calls", "models"] and files(folder) == FILES, at


def test_a_name_that_is_taken(model, tmp_path):
    """What a process of the same number left when it was killed is in nobody's way, and stays."""
    folder = tmp_path / "models"
    command = ["sh", "-c", 'mkdir "$1/.f5tts-$$-0" "$1/models.f5tts-$$" && exec "$2" triton-repo "$1/models" -m "$3"', "sh",
               tmp_path, convert_lib.program(), model]
    assert subprocess.run(command, capture_output=True, timeout=600).returncode == 0 and files(folder) == FILES
    assert len(os.listdir(tmp_path)) == 3


@pytest.mark.parametrize("replaces", [False, True])
def test_whole_or_not_at_all(model, tmp_path, replaces):
    """A file that may not grow leaves what was there; a signal too, or what is new; nothing lies beside it."""
    folder = tmp_path / "models"
    if replaces:
        assert make(folder, "-m", model, "--nfe_step", 5).returncode == 0

    def untouched():
        assert os.listdir(tmp_path) == (["models"] if replaces else [])
        if replaces:
            assert files(folder) == FILES and '"5"' in (folder / "f5_tts/config.pbtxt").read_text()

    small = model.stat().st_size // 2
    result = make(folder, "-m", model, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (small, small)))
    assert result.returncode == 1 and str(folder) in result.stderr, result.stderr
    untouched()
    for delay in (0.002, 0.005, 0.01, 0.02, 0.04):
        with subprocess.Popen([convert_lib.program(), "triton-repo", folder, "-m", model], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as process:
            time.sleep(delay)
            process.send_signal(signal.SIGTERM)
        assert os.listdir(tmp_path) in ([], ["models"])  # before it took its place, or after
        if folder.exists():
            assert files(folder) == FILES and (folder / "f5_tts/1/model.f5").read_bytes() == model.read_bytes()
