"""BigVGAN: its mel and its sound against the reference, alone and packed, and whole speech with it."""
import numpy as np
import pytest
import torch

import bigvgan
import cbind
import f5lib
import stage
from op_sound import log_mel_judged
from test_stage_sound import mel_like


@pytest.mark.parametrize("name", ["bigvgan", "bigvgan tanh"])
def test_samples(zoo, rng, name):
    """The second has other rates, taps, dilations, tanh, a last bias, and weights that are joined already."""
    m = zoo[name]
    mels = [mel_like(rng, frames) for frames in (23, 1, 2, 40)]
    with f5lib.Engine(m.path, max_frames=128) as e:
        together = e.vocode_batch(mels)
        for mel, samples in zip(mels, together):
            want = bigvgan.bigvgan(m.vocos, m.config, torch.from_numpy(mel)).numpy()
            assert len(samples) == 256 * len(mel)
            cbind.check("bigvgan", f"{name}, {len(mel)} frames", samples, want, stage.VOCOS_BAR)
            assert cbind.same_bits(samples, e.vocode(mel)), "a mel alone and in a batch"
    sound = np.concatenate(together)
    assert 0.02 < sound.std() < 0.9 and np.abs(sound).max() <= 1


@pytest.mark.parametrize("n", [385, 511, 512, 1024, 23456])
def test_mel(zoo, rng, n):
    time = np.arange(n) / 24000
    samples = (0.5 * np.sin(2 * np.pi * 330 * time) + 0.1 * rng.standard_normal(n)).astype(np.float32)
    with f5lib.Engine(zoo["bigvgan"].path, max_frames=128) as e:
        got = e.mel(samples)
        assert got.shape == (n // 256, 100)
        with pytest.raises(f5lib.Error, match="384 samples are too few for a spectrogram: at least 385"):
            e.mel(np.zeros(384, np.float32))
    want = bigvgan.mel(torch.from_numpy(samples).double()).numpy()
    cbind.check("mel of samples", f"bigvgan, {n} samples", log_mel_judged(got, want).numpy(), want, stage.MEL_BAR)


@pytest.mark.parametrize("device,name,wanted,says", [
    ("cpu", "bigvgan", "fp8", "vocoder_precision 'fp8' is unknown: use 'fp32', 'fp16' or 'bf16'"),
    ("cpu", "bigvgan", "int8", "vocoder_precision 'int8' is unknown"),
    ("cpu", "bigvgan", "fp16", "vocoder_precision 'fp16' needs a GPU: the cpu computes in fp32"),
])
def test_precisions_that_a_vocoder_has_not(zoo, device, name, wanted, says):
    with pytest.raises(f5lib.Error, match=says):
        f5lib.Engine(zoo[name].path, device, vocoder_precision=wanted)


def test_fp32_is_the_usual_precision(zoo, rng):
    mel = mel_like(rng, 17)
    with f5lib.Engine(zoo["bigvgan"].path, max_frames=64) as e, \
            f5lib.Engine(zoo["bigvgan"].path, max_frames=64, vocoder_precision="fp32") as named:
        assert cbind.same_bits(e.vocode(mel), named.vocode(mel))
