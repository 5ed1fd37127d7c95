"""BigVGAN at full size on the GPU: in F32 and with operands of 16 bits, against the reference in double, alone and packed."""
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import cbind
import f5file
import f5lib
from test_gpu_kinds import check_laws

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "reference"))
import bigvgan  # noqa: E402

# Relative L2 of samples. In 16 bits: what NVIDIA's class loses, wholly so, by tests/reference/compare_bigvgan.py on an H200,
# where ours were 9e-7, 1.1e-3 and 8.6e-3 away.
BARS = {None: 1e-5, "fp16": 2e-3, "bf16": 1.5e-2}


@pytest.fixture(scope="module")
def made(tmp_path_factory, seed):
    path = tmp_path_factory.mktemp("bigvgan") / "bigvgan.f5"
    return path, f5file.write_model(path, "tiny", seed=seed, vocoder="bigvgan")


def mels_of(rng, lengths):
    return [(rng.standard_normal((int(frames), 100)) * 2 - 4).astype(np.float32) for frames in lengths]


@pytest.mark.parametrize("portable", [0, 1], ids=["", "portable"])
@pytest.mark.parametrize("precision", BARS, ids=str)
def test_samples(made, rng, precision, portable):
    path, model = made
    weights = {k: torch.from_numpy(v).double().cuda() for k, v in model["vocos"].items()}
    mels = mels_of(rng, (61, 1, 2, 800))
    with f5lib.Engine(path, "cuda", vocoder_precision=precision, max_frames=896, portable=portable) as e:
        together = e.vocode_batch(mels)
        for mel, samples in zip(mels, together):
            want = bigvgan.bigvgan(weights, model["config"], torch.from_numpy(mel).double().cuda()).cpu().numpy()
            cbind.check("bigvgan", f"{precision}, {len(mel)} frames", samples, want, BARS[precision])
            assert cbind.same_bits(samples, e.vocode(mel)), "a mel alone and in a batch"


@pytest.mark.parametrize("precision", BARS, ids=str)
def test_in_company(made, rng, precision):
    check_laws(lambda **more: f5lib.Engine(made[0], "cuda", vocoder_precision=precision, max_frames=2048, max_batch=32, **more),
               lambda e, m: e.vocode_batch(m), mels_of(rng, rng.integers(1, 60, 32)))


@pytest.mark.parametrize("precision", BARS, ids=str)
def test_a_machine_without_the_gpu_plans_the_same(made, precision):
    limits, size = dict(max_frames=512, max_batch=2), dict(frames=448, sequences=2)
    with f5lib.Engine(made[0], "cuda", vocoder_precision=precision, **limits) as e:
        own, device = e.plan_ops(**size), e.info()["device"].lower()
    card = next((c for c in ("a100", "h100", "h200", "b200") if c in device), None)
    if not card or "mig" in device:
        pytest.skip(f"the table of cards has no {device}")
    with f5lib.Engine(made[0], "cpu", **limits) as e:
        assert e.plan_ops(card=card, vocoder_precision=precision, **size) == own


def test_a_vocoder_without_16_bits_says_so(demo):
    with pytest.raises(f5lib.Error, match="vocoder_precision 'fp16': the vocoder Vocos computes in fp32 alone"):
        f5lib.Engine(demo[0], "cuda", vocoder_precision="fp16")
