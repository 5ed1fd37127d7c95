"""`f5tts tune`: the table, what it recommends, and the model file that it writes into, whole or not at all."""
import json
import os
from pathlib import Path

import numpy as np
import pytest

import convert_lib
import f5file
import f5lib

VOICES = Path(__file__).resolve().parents[1] / "weights" / "voices"
FEW = ["--setting", "ab2:3", "--setting", "midpoint:1", "--exact_steps", "8", "--quiet"]


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.f5"
    f5file.write_model(path, "tiny", seed=3)
    (tmp_path / "texts").write_text("One.\n\nTwo or three of them.\n")
    return path


def tune(model, *more):
    return convert_lib.run("tune", "-m", model, "-f", model.parent / "texts", "--device", "cpu", *FEW, *more)


def told(model):
    with f5lib.ModelFile(model) as f:
        return {k: f.info()[f"default_{k}"] for k in ("precision", "method", "nfe")}


def test_the_table_and_what_it_recommends(model):
    """A row for each precision and setting; the quickest of those that are near enough."""
    done = tune(model, "--json", "--tolerance", "0.2")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    found = json.loads(done.stdout)
    rows = found["rows"]
    assert [(r["precision"], r["method"], r["steps"]) for r in rows] == [
        (p, m, n) for p in ("fp32", "int8") for m, n in (("ab2", 3), ("midpoint", 1))]
    assert found["texts"] == 2 and found["speech_seconds"] > 0.5
    assert all(0 < r["median"] <= r["worst"] and r["seconds"] > 0 and r["joules"] is None for r in rows)
    near = [r for r in rows if r["worst"] <= 0.2]
    assert found["recommended"] == (min(near, key=lambda r: r["seconds"]) if near else None)
    shown = tune(model, "--tolerance", "1e-6", "--setting", "midpoint:8", "--precision", "fp32").stdout
    assert shown.count("not told") == 3 and "within 0.0000: --precision fp32 --method midpoint --nfe_step 8" in shown


def test_write(model):
    """The default of engine, speech and program; the tensors are what they were; asking for another wins."""
    before = convert_lib.read_f5(model)
    mode = 0o640
    os.chmod(model, mode)
    link = model.parent / "link.f5"
    link.symlink_to(model.name)
    done = tune(link, "--precision", "int8", "--tolerance", "9", "--write")
    assert done.returncode == 0, done.stderr
    now = told(model)
    assert now["precision"] == "int8" and (now["method"], now["nfe"]) in ((2, 3), (1, 1))
    assert link.is_symlink() and model.stat().st_mode & 0o777 == mode
    after = convert_lib.read_f5(model)
    assert after[0].keys() == before[0].keys() and after[0]["vocab"] == before[0]["vocab"]
    assert list(after[1]) == list(before[1]) and all(np.array_equal(after[1][k], v) for k, v in before[1].items())
    for asked, has in ((None, "int8"), ("fp32", "fp32")):
        with f5lib.Engine(model, "cpu", asked, max_frames=64, max_batch=1) as e:
            assert e.info()["precision"] == has
    said = convert_lib.run("infer", "-m", model, "-t", "One.", "-o", model.parent, "-w", "a.wav")
    assert said.returncode == 0 and f", {now['nfe']} steps" in said.stdout and ", int8" in said.stdout
    said = convert_lib.run("infer", "-m", model, "-t", "One.", "-o", model.parent, "-w", "a.wav", "--nfe_step", "4")
    assert ", 4 steps" in said.stdout


def test_what_cannot_be_written_leaves_the_file(model):
    before = model.read_bytes()
    done = tune(model, "--write", "--tolerance", "1e-6")
    assert done.returncode == 1 and "nothing was written" in done.stderr and model.read_bytes() == before
    other = model.parent / "other.f5"
    f5file.write_model(other, "tiny", dim=80)
    done = tune(other, "--tolerance", "9")
    assert done.returncode == 0 and "multiple of 64" in done.stderr and "int8 " not in done.stdout
    done = tune(other, "--precision", "int8")
    assert done.returncode == 1 and "multiple of 64" in done.stderr
    (model.parent / "texts").write_text(" \n\n")
    assert "holds no text" in tune(model).stderr
    assert sorted(p.name for p in model.parent.iterdir()) == ["model.f5", "other.f5", "texts"]


@pytest.mark.parametrize("setting", ["ab2", "ab2:", "ab2:0", "ab2:65", "midpoint:33", "rk4:8", "euler:-1", "euler:8x", ":8"])
def test_settings_that_are_none(model, setting):
    done = convert_lib.run("tune", "-m", model, "--setting", setting)
    assert done.returncode == 2 and f"--setting {setting}: METHOD:STEPS is wanted" in done.stderr
