"""Texts of many chunks on the GPU: however they are packed, streamed or poisoned, the samples are the same; and they are
the CPU's."""
import numpy as np
import pytest

import cbind
import f5lib
from synth import error

MODEL = f5lib.SHIPPED
TEXT = ("The children are playing in the garden. Then they go home, because it is late; nobody knows why. [other] What a "
        "day it was! The dog is here, and the cat is there; the bird sings in the tree, and we all listen to it as long "
        "as it lasts. [pause 0.3s] [main] One more sentence makes it longer than twenty two seconds, which is what we "
        "want to see here, is it not? Yes, it is. And here is the end of it all, after which nothing follows.")
SETTINGS = dict(seed=5, first_chunk=2.0, sample=dict(nfe=4))


def recordings():
    import sys
    sys.path.append(str(cbind.ROOT / "weights/train"))
    import measure
    return [(samples.astype(np.float32), words) for samples, words in map(measure.prompt, ("slt", "rms"))]


def spoken(device, precision=None, pushes=None, **limits):
    """All samples of TEXT, by f5_speak or pushed in so many bytes at a time."""
    (first, words), (second, other_words) = recordings()
    with f5lib.Engine(MODEL, device, precision, **limits) as e, e.voice(first, words) as main, \
            e.voice(second, other_words) as other:
        settings = dict(SETTINGS, voices=[("other", other, 0)])
        if pushes is None:
            pieces = e.say(main, TEXT, **settings)[0]
        else:
            with e.stream(main, **settings) as stream:
                data = TEXT.encode()
                for at in range(0, len(data), pushes):
                    stream.push(data[at:at + pushes])
                stream.flush()
                pieces = stream.pieces
    return np.concatenate([p["samples"] for p in pieces])


@pytest.mark.parametrize("precision", ["fp16", "fp32", "bf16"])
def test_packing_and_pushing_change_nothing(precision):
    wanted = spoken("cuda", precision, max_batch=1)
    assert np.isfinite(wanted).all() and len(wanted) > 20 * 24000
    for limits in (dict(max_batch=8), dict(max_batch=8, batch_frames=4096), dict(max_batch=8, poison=1),
                   dict(max_batch=8, eager=1), dict(max_batch=8, pushes=7), dict(max_batch=2, pushes=1000)):
        assert spoken("cuda", precision, **limits).tobytes() == wanted.tobytes(), limits


def test_a_long_text_is_the_cpus():
    wanted, found = spoken("cpu"), spoken("cuda", "fp32")
    assert found.shape == wanted.shape
    assert error(found, wanted, 0) <= 1e-3  # as in test_gpu_voice.py
