"""The shipped voice on the GPU says what it says on the CPU: the same seed and recording, the same mel.

Whether it is understood is heard on a machine with pocketsphinx: `measure.py VOICE.f5 --device cuda --only speak --keep
FOLDER` here, `measure.py VOICE.f5 --only words --recordings FOLDER` there."""
import sys

import numpy as np
import pytest

import cbind
import f5lib
from synth import error

sys.path.append(str(cbind.ROOT / "weights/train"))
import measure  # noqa: E402

MODEL = f5lib.SHIPPED
BARS = dict(fp32=1e-3, fp16=2e-2)  # relative L2 of the generated mel against the CPU's fp32
CASES = [(s, text, i) for s in measure.VOICES for i, text in enumerate(measure.texts("sentences")[:2])]


def said(*device):
    """[(samples, mel)] of the cases."""
    with f5lib.Engine(MODEL, *device, max_frames=1024) as engine, measure.Mouth(engine, measure.VOICES, **measure.own_solver(MODEL)) as mouth:
        return [piece for case in CASES for piece in mouth.pieces(*case)]


@pytest.fixture(scope="module")
def truth():
    return said("cpu")


@pytest.mark.parametrize("precision", BARS)
def test_the_gpu_says_what_the_cpu_says(truth, precision):
    found = said("cuda", precision)
    errors = [error(mel, wanted, 0) for (_, mel), (_, wanted) in zip(found, truth, strict=True)]
    print(f"\n{precision} against the CPU, relative L2 of the mel: " + " ".join(f"{x:.1e}" for x in errors))
    assert max(errors) <= BARS[precision]
    for (samples, _), (wanted, _) in zip(found, truth, strict=True):
        assert samples.shape == wanted.shape and np.isfinite(samples).all()
        assert np.abs(samples).max() > 0.2 * np.abs(wanted).max(), "no sound"
