"""Calibration: planted outliers are found, scaled away or kept in 16 bits; what is written is the same model. Small random
models on the CPU, held against numpy."""
import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

import convert_lib
import f5file
import f5lib
import mixed_file
from f5file import random_checkpoint
from test_int8 import requests_of

TYPES = {"F32": np.float32, "F16": np.float16, "I8": np.int8}
OUTLIERS, TIMES = (3, 17, 42), 50


def tensors(path):
    """{name: float64 array}, whole numbers times their scales."""
    header, data = mixed_file.read(path)
    made = {}
    for name, t in header.items():
        if name != "__metadata__" and t["dtype"] in TYPES:
            begin, end = t["data_offsets"]
            made[name] = np.frombuffer(data[begin:end], TYPES[t["dtype"]]).reshape(t["shape"]).astype(np.float64)
    for name in [n for n, t in header.items() if n != "__metadata__" and t["dtype"] == "I8"]:
        made[name] *= made.pop(name + ".scale")[:, None]
    return made


def plant(path, backbone, hidden=True):
    """In block 0 some channels that the products read become 50 times as large, and the weights behind them as much smaller:
    the model stays what it was. hidden: ff2's operand too, which GELU makes: there it does not quite."""
    header, data = mixed_file.read(path)
    data = bytearray(data)

    def array(name):
        begin, end = header[name]["data_offsets"]
        return np.frombuffer(memoryview(data)[begin:end], np.float32).reshape(header[name]["shape"])

    at = list(OUTLIERS)
    block = {"DiT": "dit.blocks.0.", "UNetT": "unett.layers.0.", "MMDiT": "mmdit.blocks.0.audio."}[backbone]
    if backbone == "UNetT":
        array("unett.layers.0.attn_norm")[at] *= TIMES
        array("unett.layers.0.ff_norm")[at] *= TIMES
    else:
        modulation = {"DiT": "dit.modulation.", "MMDiT": "mmdit.audio.modulation."}[backbone]
        for first, one in ((0, 0), (1, 1), (3, 0), (4, 1)):  # shift_a, scale_a, shift_m, scale_m
            rows = [64 * first + i for i in at]
            array(modulation + "weight")[rows] *= TIMES
            array(modulation + "bias")[rows] = TIMES * (one + array(modulation + "bias")[rows]) - one
    array(block + "qkv.weight")[:, at] /= TIMES
    array(block + "ff1.weight")[:, at] /= TIMES
    if backbone != "MMDiT":
        values = [128 + i for i in at]  # of v
        array(block + "qkv.weight")[values] *= TIMES
        array(block + "qkv.bias")[values] *= TIMES
        array(block + "out.weight")[:, at] /= TIMES
    if hidden:
        array(block + "ff1.weight")[at] *= TIMES
        array(block + "ff1.bias")[at] = array(block + "ff1.bias")[at] * TIMES + TIMES  # well above zero, where GELU is straight
        array(block + "ff2.weight")[:, at] /= TIMES
    raw = path.read_bytes()
    path.write_bytes(raw[:len(raw) - len(data)] + bytes(data))


def calibrated(path, out, requests, **fields):
    with f5lib.Calibration(path) as c:
        with f5lib.Engine(path, "cpu", "fp32", trace=c, max_frames=256, max_batch=1) as e:
            for r in requests:
                e.sample([r], nfe=4)
        return c.write(out, **fields)


def requests_for(path, rng, lengths):
    with f5lib.Engine(path, "cpu", max_frames=64, max_batch=1) as e:
        return requests_of(rng, e.info()["vocab_size"], lengths)


def mel_of(path, request, precision):
    with f5lib.Engine(path, "cpu", precision, max_frames=256, max_batch=1) as e:
        return e.sample([request], nfe=4)[0][len(request["cond"]):]


def error(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("backbone", ["DiT", "UNetT", "MMDiT"])
def test_planted_outliers(tmp_path, rng, backbone):
    """Without calibration the error is large, with it small: what can be scaled is, what cannot stays in 16 bits."""
    path, out = tmp_path / "m.f5", tmp_path / "out.f5"
    f5file.write_model(path, "tiny", seed=3, backbone=backbone)
    requests = requests_for(path, rng, [97, 60])
    before = tensors(path)
    clean = mel_of(path, requests[0], "fp32")
    plain = error(mel_of(path, requests[0], "int8"), clean)
    plant(path, backbone)
    exact = mel_of(path, requests[0], "fp32")
    planted = error(mel_of(path, requests[0], "int8"), exact)
    told = calibrated(path, out, requests[1:])
    mended = error(mel_of(out, requests[0], None), exact)
    print(f"\n{backbone}: int8 of the model {plain:.5f}, with outliers {planted:.5f}, calibrated {mended:.5f}")
    assert planted > 4 * plain and mended < 2 * plain

    stage = {"DiT": "dit", "UNetT": "unett", "MMDiT": "mmdit"}[backbone]
    hurt = [f"{stage}.0.qkv", f"{stage}.0.ff1"] + [f"{stage}.0.out"] * (backbone != "MMDiT")
    for name in hurt:
        p = told[name]
        assert p["error"] > 0.05 and p["calibrated_error"] < 0.02 and p["scaled"] and not p["wide"], (name, p)
    ff2 = told[f"{stage}.0.ff2"]
    assert ff2["error"] == ff2["calibrated_error"] > 0.05 and ff2["wide"] and not ff2["scaled"], ff2
    for name, p in told.items():
        if name not in hurt and name != f"{stage}.0.ff2":
            assert p["calibrated_error"] <= p["error"] < 0.02 and not p["wide"], (name, p)
    with f5lib.ModelFile(out) as f:
        assert f.info()["wide_matrices"] == 1
    if backbone == "MMDiT":
        return
    # the planted factors are what was divided out of the columns, up to the other channels' own
    block = {"DiT": "dit.blocks.0.", "UNetT": "unett.layers.0."}[backbone]
    made = tensors(out)
    for name in ("qkv.weight", "ff1.weight", "out.weight"):
        grown = np.linalg.norm(made[block + name], axis=0) / np.linalg.norm(before[block + name], axis=0)
        others = np.delete(grown, OUTLIERS)
        assert (grown[list(OUTLIERS)] < np.median(others) * 3).all() and (grown[list(OUTLIERS)] > np.median(others) / 6).all(), name


@pytest.mark.parametrize("backbone", ["DiT", "UNetT", "MMDiT"])
def test_the_model_stays_the_same(tmp_path, rng, backbone):
    """In fp32 the written file gives what rounding its weights to 8 bits gives, factors or not: a fold gone wrong gives
    another model. With every product wide only the modulations' weights are rounded."""
    path, out = tmp_path / "m.f5", tmp_path / "out.f5"
    f5file.write_model(path, "tiny", seed=5, backbone=backbone)
    request, = requests_for(path, rng, [80])
    bar = 2 * error(mel_of(path, request, "int8"), mel_of(path, request, "fp32"))
    plant(path, backbone, hidden=False)
    exact = mel_of(path, request, "fp32")
    told = calibrated(path, out, [request], most_error=1.0)
    assert sum(p["scaled"] for p in told.values()) >= 2 and not any(p["wide"] for p in told.values())
    print(f"\n{backbone}: weights rounded {error(mel_of(out, request, 'fp32'), exact):.6f} of {bar:.6f}")
    assert error(mel_of(out, request, "fp32"), exact) < bar
    told = calibrated(path, out, [request], most_error=0.0)
    assert all(p["wide"] and not p["scaled"] for p in told.values())
    assert error(mel_of(out, request, None), exact) < bar
    header, _ = mixed_file.read(out)
    assert {n for n, t in header.items() if n != "__metadata__" and t["dtype"] == "I8"} == {
        n for n in header if "modulation.weight" in n and not n.endswith(".scale")}


def whole(x):
    m = np.abs(x).max(axis=1, keepdims=True) / 127
    return np.round(x / m) * m


def test_errors_are_what_numpy_finds(tmp_path, rng):
    """Of all rows of the operand, where the engine draws 128: nearly the same."""
    path, out = tmp_path / "m.f5", tmp_path / "out.f5"
    f5file.write_model(path, "tiny", seed=3)
    request, = requests_for(path, rng, [97])
    operand = {}
    with f5lib.Engine(path, "cpu", "fp32", max_frames=256, max_batch=1,
                      trace=lambda op, label, array, ms: operand.setdefault(label, []).append(array.astype(np.float64))) as e:
        e.sample([request], nfe=4)
    told, w = calibrated(path, out, [request]), tensors(path)
    for product, reads in (("qkv", "norm_a"), ("out", "attention"), ("ff1", "norm_m"), ("ff2", "ff1")):
        for block in (0, 1):
            x, weights = np.concatenate(operand[f"dit.{block}.{reads}"]), w[f"dit.blocks.{block}.{product}.weight"]
            exact = x @ weights.T
            mine = np.linalg.norm(whole(x) @ whole(weights).T - exact) / np.linalg.norm(exact)
            assert told[f"dit.{block}.{product}"]["error"] == pytest.approx(mine, rel=0.25)


def test_a_calibration_is_the_same_twice(tmp_path, rng):
    path = tmp_path / "m.f5"
    f5file.write_model(path, "tiny", seed=3)
    requests = requests_for(path, rng, [97, 40, 64])
    made = []
    for i in range(2):
        calibrated(path, tmp_path / f"{i}.f5", requests)
        made.append((tmp_path / f"{i}.f5").read_bytes())
    assert made[0] == made[1]


def test_without_factors_or_wide_ones_it_is_what_convert_writes(tmp_path, rng):
    """Byte for byte where nothing was scaled; else the tensors that no factor touched."""
    made = random_checkpoint.make_checkpoint(tmp_path / "upstream", "tiny", seed=4)
    convert_lib.converted(made, tmp_path / "fp32.f5")
    convert_lib.converted(made, tmp_path / "int8.f5", dtype="int8")
    told = calibrated(tmp_path / "fp32.f5", tmp_path / "out.f5", requests_for(tmp_path / "fp32.f5", rng, [60]), most_error=1.0)
    plain, header = convert_lib.read_f5(tmp_path / "int8.f5"), convert_lib.read_f5(tmp_path / "out.f5")
    assert plain[0] == header[0] and list(plain[1]) == list(header[1])
    scaled = {f"dit.blocks.{k.split('.')[1]}.{k.split('.')[2]}.weight" for k, p in told.items() if p["scaled"]}
    for name, values in plain[1].items():
        touched = name.removesuffix(".scale") in scaled or re.search(r"modulation|qkv", name)
        assert touched or values.tobytes() == header[1][name].tobytes(), name


def test_what_is_refused(tmp_path, rng):
    path, out = tmp_path / "m.f5", tmp_path / "out.f5"
    f5file.write_model(path, "tiny", seed=3)
    with pytest.raises(f5lib.Error, match="cannot be opened|No such file"):
        f5lib.Calibration(tmp_path / "none.f5")
    with f5lib.Calibration(path) as c:
        with pytest.raises(f5lib.Error, match="nothing was spoken that met dit.0.qkv") as refused:
            c.write(out)
        assert refused.value.status == "F5_E_ARGUMENT" and not out.exists()
        for fields, words in ((dict(most_error=-0.1), "most_error is -0.1: must be 0 to 1"), (dict(most_error=float("nan")), "most_error"),
                              (dict(vocoder_matrices="int8"), "vocoder_matrices"), (dict(vocoder_matrices="x"), "vocoder_matrices")):
            with pytest.raises(f5lib.Error, match=words):
                c.write(out, **fields)
        with f5lib.Engine(path, "cpu", "fp32", trace=c, max_frames=256, max_batch=1) as e:
            e.sample(requests_of(rng, e.info()["vocab_size"], [40]), nfe=1)
        with pytest.raises(f5lib.Error, match="nowhere"):
            c.write(tmp_path / "nowhere" / "x.f5")
        assert len(c.write(out)) == 8 and out.exists()
    f5file.write_model(path, "tiny", dim=80)
    with pytest.raises(f5lib.Error, match="multiple of 64"):
        f5lib.Calibration(path)
    f5file.write_model(path, "FM_TTS")
    with pytest.raises(f5lib.Error, match="no products in 8 bits") as refused:
        f5lib.Calibration(path)
    assert refused.value.status == "F5_E_UNSUPPORTED"


def test_eight_bits_are_not_calibrated(tmp_path, rng):
    """What an engine of 8 bits computes has been rounded already; its trace is F32 all the same."""
    path, out, traced = tmp_path / "m.f5", tmp_path / "out.f5", {}
    f5file.write_model(path, "tiny", seed=3)
    with f5lib.Engine(path, "cpu", "int8", max_frames=64, max_batch=1,
                      trace=lambda op, label, array, ms: traced.setdefault(label, []).append(array.copy())) as e:
        request, = requests_of(rng, e.info()["vocab_size"], [40])
        e.sample([request], nfe=1)
    for x in traced["dit.0.norm_a"]:
        assert x.shape == (80, 64) and (x == np.rint(x)).all() and np.abs(x).max() == 127
    with f5lib.Calibration(path) as c:
        with f5lib.Engine(path, "cpu", "int8", trace=c, max_frames=64, max_batch=1) as e:
            e.sample([request], nfe=1)
        with pytest.raises(f5lib.Error, match="was spoken in 8 bits: open the engine in fp32"):
            c.write(out)
    assert not out.exists()
    calibrated(path, out, [request])
    with pytest.raises(f5lib.Error, match="in 8 bits already"):
        f5lib.Calibration(out)


@pytest.mark.parametrize("tensor, words", [("ff1.bias", "the operand of dit.1.ff2 is not finite"),
                                           ("ff2.weight", "dit.1.ff2 gives numbers that are not finite")])
def test_not_a_number(tmp_path, rng, tensor, words):
    """A model that gives NaN is told of by the product that meets it, or makes it."""
    path = tmp_path / "m.f5"
    f5file.write_model(path, "tiny", seed=3)
    header, data = mixed_file.read(path)
    begin = header[f"dit.blocks.1.{tensor}"]["data_offsets"][0]
    raw = bytearray(path.read_bytes())
    at = len(raw) - len(data) + begin
    raw[at:at + 4] = np.float32("nan").tobytes()
    path.write_bytes(raw)
    with f5lib.Calibration(path) as c:
        with f5lib.Engine(path, "cpu", "fp32", trace=c, max_frames=64, max_batch=1) as e:
            e.sample(requests_of(rng, e.info()["vocab_size"], [40]), nfe=1)
        with pytest.raises(f5lib.Error, match=words):
            c.write(tmp_path / "out.f5")


# ---- f5tts convert --calibrate

ROW = re.compile(r"^(\d+) +(\w+) +([\d.]+) +([\d.]+)  (16 bits|8 bits|8 bits, scaled)$", re.M)


def test_convert_calibrates(tmp_path):
    """A table of every product, and a file that the engine runs; nothing else is left beside it."""
    made = random_checkpoint.make_checkpoint(tmp_path / "upstream", "tiny", seed=4)
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "m.f5"
    for most in (0.03, 0.0095):
        done = convert_lib.convert(made, out, dtype="int8", calibrate="slt", most_error=most)
        assert done.returncode == 0, done.stderr
        rows = ROW.findall(done.stdout)
        assert [(b, p) for b, p, *_ in rows] == [(str(b), p) for b in range(2) for p in ("qkv", "out", "ff1", "ff2")]
        wide = [r for r in rows if r[4] == "16 bits"]
        assert all((float(after) > most) == (kept == "16 bits") for *_, after, kept in rows if abs(float(after) - most) > 1e-4)
        assert f"{len(wide)} of 8 products stay in 16 bits" in done.stdout and "with matrices in int8" in done.stdout
        assert [p.name for p in out.parent.iterdir()] == ["m.f5"]
        with f5lib.ModelFile(out) as f:
            assert (f.info()["precision"], f.info()["wide_matrices"]) == ("int8", len(wide))
            assert f"{f.info()['tensors']} tensors" in done.stdout
    assert 0 < len(wide) < 8
    quiet = convert_lib.run(*convert_lib.convert_args(made, tmp_path / "q.f5", dtype="int8", calibrate="slt"), "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_convert_refuses(tmp_path):
    made = random_checkpoint.make_checkpoint(tmp_path / "upstream", "tiny", seed=4)
    wav, empty = tmp_path / "alone.wav", tmp_path / "empty.wav"
    wav.write_bytes((convert_lib.ROOT / "weights/voices/slt.wav").read_bytes())
    empty.touch()
    for code, words, given in ((2, "--calibrate is for 8 bits: give --dtype int8", dict(calibrate="slt", dtype="fp16")),
                               (2, "--text: the words of which recording", dict(text="a", dtype="int8")),
                               (2, "most-error", dict(calibrate="slt", dtype="int8", most_error=2)),
                               (1, "what does it say? Give --text", dict(calibrate=wav, dtype="int8")),
                               (1, "there is no such file", dict(calibrate=tmp_path / "no.wav", dtype="int8")),
                               (1, "nobody", dict(calibrate="nobody", dtype="int8")),
                               (2, "--most-error: measured on which recording", dict(dtype="int8", most_error=0.01)),
                               (1, "leave --text out", dict(calibrate="slt", text="a", dtype="int8")),
                               (1, "what does it say? Give --text", dict(calibrate=wav, text=" ", dtype="int8")),
                               (1, "empty.wav", dict(calibrate=empty, text="a", dtype="int8")),
                               (1, str(tmp_path), dict(calibrate=tmp_path, text="a", dtype="int8")),
                               (1, "m.yaml", dict(calibrate="slt", dtype="int8", config=tmp_path / "m.yaml"))):
        done = convert_lib.convert(made, tmp_path / "m.f5", **given)
        assert done.returncode == code and words in done.stderr, done.stderr
        assert not [p for p in tmp_path.iterdir() if p.name.startswith("m.f5")]
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    (adapter / "adapter_model.safetensors").write_text("weights")
    for read in (Path(made["checkpoint"]), Path(made["vocab_path"]), *adapter.iterdir()):
        before = read.read_bytes()
        done = convert_lib.convert(made, read, dtype="int8", calibrate="slt", lora=adapter)
        assert done.returncode == 1 and "would overwrite an input" in done.stderr and read.read_bytes() == before, done.stderr
    before = wav.read_bytes()
    done = convert_lib.convert(made, wav, dtype="int8", calibrate=wav, text="a")
    assert done.returncode == 1 and "would overwrite" in done.stderr and wav.read_bytes() == before, done.stderr


def test_what_cannot_be_calibrated(tmp_path):
    """The message names the output: the model in fp32 has no name that anyone knows."""
    made = random_checkpoint.make_checkpoint(tmp_path / "upstream", "tiny", seed=4, dim=80, heads=1)
    done = convert_lib.convert(made, tmp_path / "m.f5", dtype="int8", calibrate="slt")
    assert done.returncode == 1 and done.stderr.count(str(tmp_path / "m.f5")) == 1 and "/proc" not in done.stderr, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["upstream"]


def test_convert_under_the_sanitizers(tmp_path):
    made = random_checkpoint.make_checkpoint(tmp_path / "upstream", "tiny", seed=4)
    done = convert_lib.convert(made, tmp_path / "m.f5", sanitized=True, dtype="int8", calibrate="slt", most_error=0.0095)
    assert done.returncode == 0 and len(ROW.findall(done.stdout)) == 8, done.stderr


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_leaves_nothing(tmp_path, ending):
    """Ended while the model in fp32 speaks: it has no name."""
    made = random_checkpoint.make_checkpoint(tmp_path / "upstream", "demo", seed=4)
    folder = tmp_path / "out"
    folder.mkdir()
    arguments = convert_lib.convert_args(made, folder / "m.f5", dtype="int8", calibrate="slt")
    run = subprocess.Popen([convert_lib.program(), *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


    def speaks():
        """Is a file of the folder open that has no name any more?"""
        with contextlib.suppress(FileNotFoundError):
            names = [os.readlink(fd) for fd in Path(f"/proc/{run.pid}/fd").iterdir()]
            return any(name.startswith(str(folder)) and name.endswith(".part (deleted)") for name in names)

    while run.poll() is None and not speaks():
        time.sleep(0.01)
    assert run.poll() is None
    run.send_signal(ending)
    assert run.wait(60) == -ending and not list(folder.iterdir())
