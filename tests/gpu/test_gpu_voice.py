"""The shipped voice on the GPU says what it says on the CPU: the same seed and recording, the same mel.

Whether it is understood is heard on a machine with pocketsphinx: F5_VOICE_OUT=FOLDER makes the second test write
PRECISION.tar there, every test sentence in every voice; unpacked, `measure.py VOICE.f5 --recordings` hears them."""
import os
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

import cbind
import f5lib
from synth import error

sys.path.append(str(cbind.ROOT / "weights/train"))
import measure  # noqa: E402

MODEL = cbind.ROOT / "weights/voices/flite.f5"
BARS = dict(fp32=1e-3, fp16=2e-2)  # relative L2 of the generated mel against the CPU's fp32


def said(engine, speaker, text, number):
    """(samples, mel)"""
    samples, transcript = measure.prompt(speaker)
    with engine.voice(samples.astype(np.float32), transcript) as voice:
        (piece,), _ = engine.speak(voice, text, seed=1 + number)
    return piece


def test_the_gpu_says_what_the_cpu_says():
    cases = [(s, text, i) for s in measure.SPEAKERS for i, text in enumerate(measure.texts("sentences")[:2])]
    with f5lib.Engine(MODEL, "cpu", max_frames=1024) as engine:
        truth = [said(engine, *case)[1] for case in cases]
    for precision, bar in BARS.items():
        with f5lib.Engine(MODEL, "cuda", precision, max_frames=1024) as engine:
            found = [error(said(engine, *case)[1], mel, 0) for case, mel in zip(cases, truth)]
        print(f"\n{precision} against the CPU, relative L2 of the mel: " + " ".join(f"{x:.1e}" for x in found))
        assert max(found) <= bar, precision


def test_recordings_to_be_heard_elsewhere(tmp_path):
    folder = os.environ.get("F5_VOICE_OUT")
    if not folder:
        pytest.skip("F5_VOICE_OUT names no folder for recordings")
    for precision in ("fp32", "fp16", "bf16"):
        with f5lib.Engine(MODEL, "cuda", precision, max_frames=1024) as engine, \
                tarfile.open(Path(folder) / f"{precision}.tar", "w") as tar:
            for speaker in measure.SPEAKERS:
                for i, text in enumerate(measure.texts("sentences")):
                    name = f"{speaker}-{i:02}.wav"
                    measure.write_wav(tmp_path / name, said(engine, speaker, text, i)[0])
                    tar.add(tmp_path / name, name)
