"""Models by name and by upstream's options, from a hub's cache as upstream's package leaves it: `f5tts infer -m NAME`,
-p, -v, -mc, --vocoder_name, --load_vocoder_from_local, hf://..., and a checkpoint given to --model."""
import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

import convert_lib
from hub_lib import VOCOS, files, run, store
from fake_hub import FakeHub

BASE = "F5TTS_v1_Base/model_1250000.safetensors"


@pytest.fixture
def home(tmp_path, tiny):
    """A home whose hub cache has the vocoder and a tiny checkpoint under the name of upstream's model, and no way out."""
    nowhere = FakeHub()
    nowhere.url = "http://127.0.0.1:9"
    env = nowhere.environment(tmp_path)
    store(tmp_path, "SWivid/F5-TTS", BASE, tiny.checkpoint)
    store(tmp_path, VOCOS, "config.yaml", tiny.vocos_config)
    store(tmp_path, VOCOS, "pytorch_model.bin", tiny.vocos)
    return env


@pytest.fixture(scope="module")
def right(tiny, tmp_path_factory):
    """What the checkpoint says when it is converted by hand."""
    folder = tmp_path_factory.mktemp("right")
    assert convert_lib.convert(tiny.made, folder / "m.f5", pinyin=None).returncode == 0
    return said(None, folder, "-m", folder / "m.f5")


def said(env, folder, *options, cwd=None):
    """The WAV's bytes of a short text."""
    out = Path(folder) / "said.wav"
    out.unlink(missing_ok=True)
    result = run(env or dict(os.environ), "infer", *options, "-t", "Some words.", "--nfe_step", 1, "--seed", 1, "-o", folder,
                 "-w", out.name, "-q", cwd=cwd)
    assert result.returncode == 0, result.stderr
    return out.read_bytes()


def converted(home):
    return [f for f in files(Path(home["HOME"]) / ".cache/f5tts") if f.endswith(".f5")]


def test_ways_to_name_a_checkpoint(home, tmp_path, tiny, right):
    """All of upstream's, and every one gives the same speech. What is the same model is converted once."""
    (tmp_path / "ckpts").mkdir()
    local = tmp_path / "ckpts/model.safetensors"
    local.write_bytes(tiny.checkpoint)
    shutil.copy(tiny.made["vocab_path"], tmp_path / "v.txt")
    hub = "hf://SWivid/F5-TTS/" + BASE
    ways = {"name and configuration": ["-m", "F5TTS_v1_Base", "-mc", tiny.yaml],
            "of the hub": ["-p", hub, "-mc", tiny.yaml], "to --model": ["-m", hub, "--model_cfg", tiny.yaml],
            "a path": ["--ckpt_file", local, "-mc", tiny.yaml], "a path to --model": ["-m", local, "-mc", tiny.yaml],
            "its vocabulary": ["-p", local, "-v", tmp_path / "v.txt", "-mc", tiny.yaml, "--vocoder_name", "vocos"],
            "empty ones": ["-p", local, "--vocab_file", "", "-mc", tiny.yaml, "-m", "F5TTS_v1_Base"]}
    made = {}
    for name, options in ways.items():
        before = converted(home)
        assert said(home, tmp_path, *options) == right, name
        made[name] = len(converted(home)) - len(before)
    assert made == {"name and configuration": 1, "of the hub": 0, "to --model": 0, "a path": 1, "a path to --model": 0,
                    "its vocabulary": 1, "empty ones": 0}
    shutil.copy(local, tmp_path / "other.safetensors")  # another time of its own
    local.write_bytes(tiny.checkpoint)
    assert said(home, tmp_path, "-p", local, "-mc", tiny.yaml) == right and len(converted(home)) == 4


def test_toml_and_command_line(home, tmp_path, tiny, right):
    (tmp_path / "model.safetensors").write_bytes(tiny.checkpoint)
    shutil.copy(tiny.yaml, tmp_path / "tiny.yaml")
    (tmp_path / "a.toml").write_text('model = "F5TTS_v1_Base"\nckpt_file = "model.safetensors"\nvocab_file = ""\n'
                                     'model_cfg = "tiny.yaml"\nvocoder_name = "vocos"\nload_vocoder_from_local = false\n')
    assert said(home, tmp_path, "-c", tmp_path / "a.toml") == right
    convert_lib.convert(tiny.made, tmp_path / "m.f5", pinyin=None)
    before = converted(home)
    assert said(home, tmp_path, "-c", tmp_path / "a.toml", "-m", tmp_path / "m.f5") == right
    (tmp_path / "b.toml").write_text('model = "m.f5"\n')
    assert said(home, tmp_path, "-c", tmp_path / "b.toml", "-p", tmp_path / "model.safetensors", "-mc",
                tmp_path / "tiny.yaml") == right
    assert converted(home) == before


def test_local_vocoder(home, tmp_path, tiny, right):
    shutil.rmtree(tmp_path / f".cache/huggingface/hub/models--{VOCOS.replace('/', '--')}")
    (tmp_path / "here").mkdir()
    options = ["-m", "F5TTS_v1_Base", "-mc", tiny.yaml, "--load_vocoder_from_local"]
    missing = run(home, "infer", *options, cwd=tmp_path / "here")
    assert missing.returncode == 1 and "../checkpoints/vocos-mel-24khz/config.yaml: No such file" in missing.stderr
    shutil.copytree(Path(tiny.made["vocos_path"]).parent, tmp_path / "checkpoints/vocos-mel-24khz")
    assert said(home, tmp_path, *options, cwd=tmp_path / "here") == right
    result = run(home, "infer", *options[:-1])
    assert result.returncode == 1 and "`f5tts pull vocos` fetches it" in result.stderr, result.stderr


def test_several_at_once(home, tmp_path, tiny):
    """One converts, the others wait; nothing but the model and its description is left."""
    env = {**home, **convert_lib.SANITIZER}
    processes = [subprocess.Popen([convert_lib.program(), "infer", "-m", "F5TTS_v1_Base", "-mc", str(tiny.yaml), "--show_text"],
                                  env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    out = [p.communicate(timeout=600) for p in processes]
    assert [p.returncode for p in processes] == [0] * 6 and len({o for o, _ in out}) == 1, out
    assert sum("becomes" in e for _, e in out) == 1
    assert sorted(Path(f).suffix for f in files(tmp_path / ".cache/f5tts")) == [".f5", ".txt"]


def test_own_names(home, tmp_path, tiny, right):
    """NAME.f5 in the current folder, then in this program's own, then upstream's."""
    own = tmp_path / ".local/share/f5tts/models"
    own.mkdir(parents=True)
    convert_lib.convert(tiny.made, own / "mine.f5", pinyin=None)
    shutil.copy(own / "mine.f5", own / "F5TTS_v1_Base.f5")
    (tmp_path / "elsewhere").mkdir()
    assert said(home, tmp_path, "-m", "mine", cwd=tmp_path / "elsewhere") == right
    assert said(home, tmp_path, "-m", "F5TTS_v1_Base", cwd=tmp_path / "elsewhere") == right
    (tmp_path / "elsewhere/mine.f5").write_text("no model")
    assert run(home, "infer", "-m", "mine", cwd=tmp_path / "elsewhere").returncode == 1
    moved = {**home, "XDG_DATA_HOME": str(tmp_path / "data")}
    (tmp_path / "data").mkdir()
    shutil.move(tmp_path / ".local/share/f5tts", tmp_path / "data/f5tts")
    assert said(moved, tmp_path, "-m", "mine") == right
    assert run(home, "infer", "-m", "mine").returncode == 1
    (tmp_path / "data/f5tts/models/bad.f5").write_text("no model")
    listed = run(moved, "models").stdout
    assert re.search(r"^mine  \d\.\d MB  fp32, licence unknown, not known\n    " + str(tmp_path), listed, re.M), listed
    assert "bad  0.0 MB  damaged" in listed and "(default)  30.5 MB  int8, licence MIT, comes with" in listed


def test_names_that_look_like_others(home, tmp_path, tiny, right):
    """A name with a dot is no file's, and a folder of a model's name, as those of upstream's checkpoints, is no model."""
    own = tmp_path / ".local/share/f5tts/models"
    own.mkdir(parents=True)
    convert_lib.convert(tiny.made, own / "v1.5.f5", pinyin=None)
    assert said(home, tmp_path, "-m", "v1.5", cwd=tmp_path) == right
    (tmp_path / "F5TTS_v1_Base").mkdir()
    shutil.copy(own / "v1.5.f5", own / "F5TTS_v1_Base.f5")
    assert said(home, tmp_path, "-m", "F5TTS_v1_Base", cwd=tmp_path) == right
    for name, message in (("v1.6", "neither a file, nor"), ("v1.6.f5", "No such file"), ("..", "no name of a model")):
        result = run(home, "infer", "-m", name, cwd=tmp_path)
        assert result.returncode in (1, 2) and message in result.stderr, result.stderr


def test_what_is_in_the_cache_is_listed(home, tmp_path):
    store(tmp_path, "SWivid/E2-TTS", "E2TTS_Base/model_1200000.safetensors", b"x")
    listed = run(home, "models").stdout
    assert re.search(r"^F5TTS_v1_Base  0\.\d MB  .*licence cc-by-nc-4.0, in the cache of the hub: -m converts it\n", listed, re.M)
    assert re.search(r"^E2TTS_Base  0\.0 MB  .*-m converts it\n", listed, re.M), listed


def test_snapshots(home, tmp_path, tiny, right):
    """The revision that refs names; where it lacks the file, the newest that has it; a commit by its name."""
    folder = tmp_path / ".cache/huggingface/hub/models--me--tune"
    store(tmp_path, "me/tune", "m.safetensors", tiny.checkpoint, commit="a" * 40)
    options = ["-mc", tiny.yaml, "-p"]
    assert said(home, tmp_path, *options, "hf://me/tune/m.safetensors") == right
    store(tmp_path, "me/tune", "other.txt", b"x", commit="b" * 40)
    assert (folder / "refs/main").read_text() == "b" * 40
    assert said(home, tmp_path, *options, "hf://me/tune/m.safetensors") == right
    assert said(home, tmp_path, *options, f"hf://me/tune@{'a' * 40}/m.safetensors") == right
    for name in (f"hf://me/tune@{'c' * 40}/m.safetensors", "hf://me/tune@v2/m.safetensors", "hf://me/tune/n.safetensors"):
        result = run(home, "infer", *options, name)
        assert result.returncode == 1 and f"{name} is not on this machine: `f5tts pull {name}`" in result.stderr
    (folder / "refs/main").write_text("../../../secret")
    assert said(home, tmp_path, *options, "hf://me/tune/m.safetensors") == right


REFUSED = {
    "not here": (["-m", "F5TTS_Base"], 1, "model F5TTS_Base: hf://SWivid/F5-TTS/F5TTS_Base/model_1200000.safetensors is not "
                 "on this machine: `f5tts pull F5TTS_Base` fetches it from the hub"),
    "E2": (["-m", "E2TTS_Base"], 1, "hf://SWivid/E2-TTS/E2TTS_Base/model_1200000.safetensors is not on this machine"),
    "bigvgan": (["-m", "F5TTS_Base", "--vocoder_name", "bigvgan"], 1, "model F5TTS_Base_bigvgan: "
                "hf://SWivid/F5-TTS/F5TTS_Base_bigvgan/model_1250000.pt is not on this machine: `f5tts pull F5TTS_Base_bigvgan`"),
    "bigvgan from here": (["-m", "F5TTS_Base", "--vocoder_name", "bigvgan", "--load_vocoder_from_local"], 1, "--load_vocoder_from_local: "
                          "../checkpoints/bigvgan_v2_24khz_100band_256x/config.json: No such file"),
    "bigvgan with v1": (["-m", "F5TTS_v1_Base", "--vocoder_name", "bigvgan"], 2, "--vocoder_name bigvgan: the sound of "
                        "F5TTS_v1_Base is made by vocos, that of F5TTS_Base_bigvgan by bigvgan"),
    "bigvgan with vocos": (["-m", "F5TTS_Base_bigvgan", "--vocoder_name", "vocos"], 2, "--vocoder_name vocos: the sound of "
                           "F5TTS_Base_bigvgan is made by bigvgan"),
    "another vocoder": (["-m", "F5TTS_Base", "--vocoder_name", "hifigan"], 2, "must be one of vocos|bigvgan"),
    "no file": (["-p", "none.pt"], 1, "--ckpt_file: none.pt: No such file"),
    "a folder": (["-p", "."], 1, "--ckpt_file: .: is a folder: name the file"),
    "no vocabulary": (["-p", "m.safetensors", "-v", "none.txt"], 1, "--vocab_file: none.txt: No such file"),
    "no configuration": (["-p", "m.safetensors", "-mc", "none.yaml"], 1, "none.yaml: No such file"),
    "another size": (["-p", "m.safetensors"], 1, "m.safetensors"),
    "unknown": (["-m", "Model_v9"], 1, "model Model_v9: neither a file, nor a model that was converted"),
    "hub names": (["-p", "hf://a/../b.pt"], 2, "hf://OWNER/NAME/FILE is wanted"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_told(home, tmp_path, tiny, name):
    options, code, message = REFUSED[name]
    (tmp_path / "m.safetensors").write_bytes(tiny.checkpoint)
    before = files(tmp_path)
    result = run(home, "infer", *options, cwd=tmp_path, sanitized=True)
    lines = [line for line in result.stderr.splitlines() if line.startswith("f5tts infer: ")]
    assert result.returncode == code and lines and message in lines[-1], result.stderr
    assert files(tmp_path) == before


def zeros(path, arch):
    """A checkpoint of the size of upstream's, all zero but for what must not be: most of it is a hole."""
    rc = convert_lib.rc
    c = {**rc.OPTIONS, **rc.ARCHS[arch]}
    header, at, rotary = {}, 0, None
    for key, shape, _ in rc.acoustic_tensors(c, 2545):
        bytes_ = 2
        for n in shape:
            bytes_ *= n
        rotary = at if key.endswith("inv_freq") else rotary
        header["ema_model." + key] = dict(dtype="F16", shape=list(shape), data_offsets=[at, at + bytes_])
        at += bytes_
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        f.seek(rotary, os.SEEK_CUR)
        f.write((10000.0 ** (-np.arange(0, 64, 2) / 64)).astype(np.float16).tobytes())
        f.truncate(8 + len(text) + at)


def test_name_alone(home, tmp_path):
    """-m F5TTS_v1_Small as upstream leaves it on a machine, at full size: converted with the settings that are known here
    and the vocabulary that is shipped; the second time it is there, also when the cache is gone."""
    rc = convert_lib.rc
    if shutil.disk_usage(tmp_path).free < 2 << 30:
        pytest.skip("needs 2 GB of free disk")
    made = rc.make_checkpoint(tmp_path / "made", "tiny", seed=1, vocos_dim=512, vocos_ff_dim=1536, vocos_layers=8)
    shutil.rmtree(tmp_path / f".cache/huggingface/hub/models--{VOCOS.replace('/', '--')}")
    store(tmp_path, VOCOS, "config.yaml", Path(made["vocos_config"]).read_bytes())
    store(tmp_path, VOCOS, "pytorch_model.bin", Path(made["vocos_path"]).read_bytes())
    link = store(tmp_path, "SWivid/F5-TTS", "F5TTS_v1_Small/model_1250000.safetensors", b"")
    zeros(link.resolve(), "F5TTS_v1_Small")
    model = tmp_path / ".local/share/f5tts/models/F5TTS_v1_Small.f5"
    try:
        options = ["-m", "F5TTS_v1_Small", "-r", tmp_path / "none.wav", "-s", "x"]  # nothing is opened then
        result = run(home, "infer", *options, timeout=600)
        assert f"F5TTS_v1_Small becomes {model}, once; licence cc-by-nc-4.0; vocoder mit" in result.stderr
        described = run(home, "info", model).stdout
        assert "F5TTS_v1_Small" in described and "2545" in described, described
        assert "licence         cc-by-nc-4.0; vocoder mit\n" in described, described
        assert f"credit          SWivid/F5-TTS; vocoder {VOCOS}\n" in described, described
        shutil.rmtree(tmp_path / ".cache")
        again = run(home, "infer", *options)
        assert again.stderr.splitlines() == result.stderr.splitlines()[-1:] and "none.wav" in again.stderr
    finally:
        model.unlink(missing_ok=True)
        link.unlink(missing_ok=True)
