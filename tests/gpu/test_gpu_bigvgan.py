"""BigVGAN at full size on the GPU: in F32 and with operands of 16 bits, against the reference in double, alone and packed."""
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import cbind
import f5file
import f5lib

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "reference"))
import bigvgan  # noqa: E402

# Relative L2 of samples: 109 convolutions one behind the other, the first two in F32 or three products of 16 bits.
BARS = {None: 1e-5, "fp16": 1e-2, "bf16": 8e-2}


@pytest.fixture(scope="module")
def made(tmp_path_factory, seed):
    path = tmp_path_factory.mktemp("bigvgan") / "bigvgan.f5"
    return path, f5file.write_model(path, "tiny", seed=seed, vocoder="bigvgan")


@pytest.mark.parametrize("portable", [0, 1], ids=["", "portable"])
@pytest.mark.parametrize("precision", BARS, ids=str)
def test_samples(made, rng, precision, portable):
    path, model = made
    weights = {k: torch.from_numpy(v).double().cuda() for k, v in model["vocos"].items()}
    mels = [(rng.standard_normal((frames, 100)) * 2 - 4).astype(np.float32) for frames in (61, 1, 2, 130)]
    with f5lib.Engine(path, "cuda", vocoder_precision=precision, max_frames=256, portable=portable) as e:
        together = e.vocode_batch(mels)
        for mel, samples in zip(mels, together):
            want = bigvgan.bigvgan(weights, model["config"], torch.from_numpy(mel).double().cuda()).cpu().numpy()
            cbind.check("bigvgan", f"{precision}, {len(mel)} frames", samples, want, BARS[precision])
            assert cbind.same_bits(samples, e.vocode(mel)), "a mel alone and in a batch"


def test_a_vocoder_without_16_bits_says_so(demo):
    with pytest.raises(f5lib.Error, match="vocoder_precision 'fp16': the vocoder Vocos computes in fp32 alone"):
        f5lib.Engine(demo[0], "cuda", vocoder_precision="fp16")
