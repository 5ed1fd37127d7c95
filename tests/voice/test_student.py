"""A student of other sizes, trained by the programs as users call them, at a tiny size: a corpus, a few steps, weights in
parts, further steps from them, a file of 8 bits that the engine speaks with in fp32."""
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import convert_lib
import dit
import export
import f5lib
import set_speech
import train_dit
from seeds import SEED

TRAIN = export.ROOT / "weights/train"
SIZES = dict(dim=64, depth=3, heads=1, text_dim=32, conv_layers=1, taps=[0, 2], phones=55, vocos_dim=64, vocos_ff_dim=128,
             vocos_layers=2)
LENGTHS = (320, 448)


def write_shard(path, rng):
    """A session of six utterances of noise that fit the lengths in pairs, each the length of its text."""
    frames = np.array([156, 284, 156, 284, 156, 156], np.int32)
    text = [b"It was a simple plan of 9 parts." if f < 200 else b"He said \"yes\", and (as ever) went out to see: who?" for f in frames]
    np.savez(path, audio=(rng.standard_normal(frames.sum() * 256) * 2000).astype(np.int16),
             phone=rng.integers(0, 55, frames.sum()).astype(np.uint8),
             letter=np.concatenate([np.linspace(0, len(t), f) for t, f in zip(text, frames)]).astype(np.float32), frames=frames,
             text=np.frombuffer(b"".join(text), np.uint8), letters=np.array([len(t) for t in text], np.int32),
             session=np.zeros(6, np.int32), voice=np.zeros(6, np.int32))


def run(script, *arguments):
    done = subprocess.run([sys.executable, TRAIN / script, *map(str, arguments)], capture_output=True, text=True, timeout=1800,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})  # two threads wait for each other on a loaded machine
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory, seed):
    """What two trainings leave: the second began with the first one's weights. And a vocoder."""
    path, rng = tmp_path_factory.mktemp("student"), np.random.default_rng(seed)
    (path / "corpus").mkdir()
    for number in (0, 1, 2):
        write_shard(path / f"corpus/{number:05}.npz", rng)
    (path / "corpus/done").touch()
    (path / "sizes.json").write_text(json.dumps(SIZES))
    same = ["--arch", path / "sizes.json", "--minutes", 14]
    more = [*same, "--lengths", *LENGTHS, "--shares", 1, 2, "--frames", 450, "--capacity", 0.1, "--first-hours", 0]
    first = run("train_dit.py", path / "corpus", "--out", path / "first", *more, "--steps", 3)
    second = run("train_dit.py", path / "corpus", "--out", path / "second", *more, "--steps", 1, "--weights", path / "first/ema-0.npz")
    run("train_vocos.py", path / "corpus", "--out", path, *same[:2], "--minutes", 0.1, "--batch", 1, "--adversarial", 2)
    return path, first, second


def test_it_trains_and_goes_on(folder):
    path, first, second = folder
    for said in (first, second):
        assert "flow" in said and "done:" in said and "failed" not in said
        assert "ph0.1" in said  # validated
    for out in ("first", "second"):
        files = dit.average_files(path / out / "ema-0.npz")
        assert [f.name for f in files] == ["ema-0.npz", "ema-1.npz"]
        shapes = {k: tuple(v.shape) for k, v in train_dit.load_average(files[0]).items()}
        assert shapes == {k: s for k, (s, _) in dit.shapes({**dit.ARCH, **SIZES}, SIZES).items()}


def test_weights_come_in_as_many_parts_as_they_need(folder, tmp_path, monkeypatch):
    import torch
    from optim import Flat
    weights = train_dit.load_average(folder[0] / "second/ema-0.npz")
    flat = Flat(weights, dit.is_matrix, torch.device("cpu"))
    monkeypatch.setattr(train_dit, "PART_BYTES", 2 * flat.flat.numel() // 5)
    train_dit.save_average(flat, tmp_path)
    files = dit.average_files(tmp_path / "ema-0.npz")
    assert 5 <= len(files) <= 6 and files[0].name == "ema-0.npz"
    assert max(f.stat().st_size for f in files) < 3 * train_dit.PART_BYTES
    again = train_dit.load_average(tmp_path / "ema-0.npz")
    assert set(again) == set(weights) and all(torch.equal(again[k], weights[k].half().float()) for k in weights)


def test_sizes_that_no_model_has_are_refused(tmp_path):
    (tmp_path / "sizes.json").write_text('{"width": 3}')
    with pytest.raises(SystemExit, match="width is no size"):
        dit.choose(tmp_path / "sizes.json")


def test_the_engine_speaks_a_file_of_8_bits_in_fp32(folder, tmp_path):
    """Its mel is near that of the same weights in fp32, and the file is much smaller."""
    path, mels, rng = folder[0], [], np.random.default_rng(SEED)
    for part in dit.average_files(path / "second/ema-0.npz"):  # no weight is zero, so that every part shows
        with np.load(part) as z:
            np.savez(tmp_path / part.name, **{k: z[k] + 0.05 * rng.standard_normal(z[k].shape) for k in z.files})
    for dtype in ("fp32", "int8"):
        out = tmp_path / f"{dtype}.f5"
        subprocess.run([sys.executable, TRAIN / "export.py", "--ema", tmp_path / "ema-0.npz", "--vocos", path / "vocos.npz",
                        "--f5tts", convert_lib.program(), "--dtype", dtype, "--license", "MIT", "--output", out], check=True, timeout=300)
        with f5lib.Engine(out, max_frames=256) as engine:
            rng = np.random.default_rng(SEED)
            request = dict(cond=rng.standard_normal((60, 100)).astype(np.float32), tokens=engine.tokenize("It was 9:30, so."),
                           frames=140, noise=rng.standard_normal((140, 100)).astype(np.float32))
            mels.append(engine.sample([request], nfe=4)[0])
    said = set_speech.set_speech(tmp_path / "int8.f5", [])
    assert (said["precision"], said["license"]) == (1, "MIT") and "credit" not in said
    assert (tmp_path / "int8.f5").stat().st_size < 0.5 * (tmp_path / "fp32.f5").stat().st_size
    difference = np.linalg.norm(mels[1] - mels[0]) / np.linalg.norm(mels[0])
    print(f"8 bits: {difference:.1e} from fp32")
    assert np.isfinite(mels[1]).all() and 0 < difference < 0.05
