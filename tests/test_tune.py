"""`f5tts tune`: the table, what it recommends, and the model file that it writes into, whole or not at all."""
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import convert_lib
import crowd
import f5file
import f5lib
import outputs_lib

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


def test_a_file_of_both_kinds(model):
    """Its int8 is what the file says, and the table says so."""
    mixed = model.parent / "mixed.f5"
    with f5lib.Calibration(model) as c:
        with f5lib.Engine(model, "cpu", "fp32", trace=c, max_frames=64, max_batch=1) as e:
            e.sample([dict(cond=np.full((20, 100), -4, np.float32), tokens=np.arange(8, dtype=np.int32), frames=64, seed=1)], nfe=2)
        wide = sum(p["wide"] for p in c.write(mixed, most_error=0.009).values())
    assert 0 < wide < 8
    os.replace(mixed, model)
    assert f"int8 but for {wide} of 9 matrices, which the file has in 16 bits" in tune(model).stdout
    found = json.loads(tune(model, "--json").stdout)
    assert (found["wide_matrices"], found["int8_matrices"]) == (wide, 9 - wide)
    assert [r["precision"] for r in found["rows"]] == ["fp32"] * 2 + ["int8"] * 2


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


def test_what_others_put_there_stays(model):
    """Entries of the metadata that are not ours, owner, group and permissions."""
    length = int.from_bytes(model.read_bytes()[:8], "little")
    header, data = json.loads(model.read_bytes()[8:8 + length]), model.read_bytes()[8 + length:]
    header["__metadata__"].update({"note": "CC0 \u00e9\n", "made_by": ""})
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    model.write_bytes(len(text).to_bytes(8, "little") + text + data)
    if os.getuid() == 0:
        os.chown(model, 1234, 2345)
    os.chmod(model, 0o604)
    before = model.stat()
    assert tune(model, "--precision", "fp32", "--tolerance", "9", "--write").returncode == 0
    now, after = convert_lib.read_f5(model)[0], model.stat()
    assert now["note"] == "CC0 \u00e9\n" and now["made_by"] == "" and now["vocab"] == header["__metadata__"]["vocab"]
    assert (before.st_uid, before.st_gid, before.st_mode) == (after.st_uid, after.st_gid, after.st_mode)
    assert before.st_ino != after.st_ino and told(model)["nfe"] > 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("groups, left", [([2345], 0o676), ([], 0o666)])
def test_a_group_that_cannot_be_kept_gets_no_rights(groups, left):
    """Whoever may write a file of another's: those of the writer's own group may what everybody may."""
    with tempfile.TemporaryDirectory(prefix="f5-tune-", dir="/tmp") as name:  # pytest's own are root's alone
        os.chmod(name, 0o777)
        model = Path(name) / "model.f5"
        f5file.write_model(model, "tiny", seed=3)
        rewritten_by_another(model, groups, left)


def rewritten_by_another(model, groups, left):
    folder = model.parent
    os.chown(model, 0, 2345)
    os.chmod(model, 0o676)
    with open(folder / "run.py", "w") as script:
        # all is loaded first: the tree need not be that user's to read
        script.write(f"import os, sys\nsys.path[:0] = {[str(Path(__file__).parent)]!r}\nimport ctypes, f5lib\n"
                     f"d = f5lib.struct('f5_model_defaults', nfe=3)\n"
                     f"os.setgroups({groups}); os.setgid(4321); os.setuid(1234)\n"
                     f"f5lib.call('f5_set_model_defaults', b'{model}', ctypes.addressof(d))\n")
    done = subprocess.run([sys.executable, folder / "run.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    after = model.stat()
    assert (after.st_uid, after.st_gid, after.st_mode & 0o777) == (1234, 2345 if groups else 4321, left)


def test_ended_while_it_writes(model, tmp_path_factory):
    """Where files cannot be without a name, too: the old file or the new one, and nothing beside it."""
    moments = outputs_lib.build_moments(tmp_path_factory.mktemp("moments"))
    before, names = model.read_bytes(), sorted(os.listdir(model.parent))

    def written(**settings):
        return convert_lib.run("tune", "-m", model, "-f", model.parent / "texts", "--device", "cpu", "--setting", "euler:1",
                               "--exact_steps", "8", "--precision", "fp32", "--tolerance", "9", "--quiet", "--write",
                               **outputs_lib.watched(moments, NO_TMPFILE=1, **settings))

    count = model.parent.parent / "count"
    done = written(COUNT=count)
    assert done.returncode == 0, done.stderr
    calls, after = int(count.read_text().split()[0]), model.read_bytes()
    assert after != before and calls > 5
    for at in outputs_lib.spread(calls, 5):
        model.write_bytes(before)
        done = written(AT=at, SIGNAL=int(signal.SIGTERM))
        assert done.returncode == -signal.SIGTERM, (at, done.returncode, done.stderr)
        assert model.read_bytes() in (before, after) and sorted(os.listdir(model.parent)) == names, at


def test_a_call_without_settings_has_the_models(model):
    """f5_sample with NULL is what the model asks for."""
    defaults = f5lib.struct("f5_model_defaults", nfe=3, method=1)
    f5lib.call("f5_set_model_defaults", str(model).encode(), ctypes.addressof(defaults))
    with f5lib.Engine(model, "cpu", max_frames=64, max_batch=1) as e:
        cond = np.random.default_rng(1).normal(size=(12, 100)).astype(np.float32)
        same = [e.sample([dict(cond=cond, tokens=[1, 2, 3], frames=20, seed=5)], **given)[0]
                for given in (dict(nfe=None), dict(nfe=3, method=1), dict(nfe=32))]
    assert np.array_equal(same[0], same[1]) and not np.array_equal(same[0], same[2])


@pytest.mark.parametrize("method", [0, 1, 2])
def test_a_plan_is_of_the_method_that_the_model_asks_for(model, method):
    defaults = f5lib.struct("f5_model_defaults", nfe=6, method=method)
    f5lib.call("f5_set_model_defaults", str(model).encode(), ctypes.addressof(defaults))
    with f5lib.Engine(model, "cpu", max_frames=64, max_batch=1) as e:
        plan, calls = e.plan(64, 1, 7), e.plan_ops(64, 1, "h200", "fp32", dict(nfe=7, method=method))
        assert plan["op_calls"] == len(calls) and plan["flop"] == sum(c["flop"] for c in calls)
        assert max(c["evaluation"] for c in calls) == (14 if method == 1 else 7)
        if method == 1:
            assert "nfe is 513: must be 1 to 512" in crowd.refused("F5_E_ARGUMENT", lambda: e.plan(64, 1, 513))
    shown = convert_lib.run("info", model, "--plan", "--device=cpu", "--frames=64", "--nfe=7", "--json", "--ops", "--as=h200")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["plan"]["op_calls"] == plan["op_calls"]


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
