"""Samples to mel and mel to samples, against the reference."""
import numpy as np
import pytest
import torch

import cbind
import f5lib
import model as reference
import stage
from op_sound import log_mel_judged


def mel_like(rng, frames):
    return (2 * rng.standard_normal((frames, 100)) - 3).astype(np.float32)


@pytest.mark.parametrize("name,padding", [("v1", "center"), ("same padding", "same")])
def test_vocos(zoo, rng, name, padding):
    m = zoo[name]
    mels = [mel_like(rng, frames) for frames in (77, 2, 3, 40)]
    if padding == "same":
        mels.append(mel_like(rng, 1))
    with f5lib.Engine(m.path, max_frames=256) as e:
        together = e.vocode_batch(mels)
        for mel, samples in zip(mels, together):
            want = reference.vocos(m.vocos, torch.from_numpy(mel), padding).numpy()
            assert len(samples) == 256 * (len(mel) - (padding == "center"))
            cbind.check("vocos", f"{padding}, {len(mel)} frames", samples, want, stage.VOCOS_BAR)
            assert cbind.same_bits(samples, e.vocode(mel)), "a mel alone and in a batch"


def test_one_centred_frame_makes_no_sound(zoo, rng):
    with f5lib.Engine(zoo["v1"].path, max_frames=64) as e:
        assert len(e.vocode(mel_like(rng, 1))) == 0


def test_loud_magnitudes_are_cut(zoo, rng):
    """exp(log magnitude) is cut at 100: a mel far outside speech must not overflow."""
    m = zoo["v1"]
    mel = 30 * mel_like(rng, 20)
    with f5lib.Engine(m.path, max_frames=64) as e:
        got = e.vocode(mel)
    cbind.check("vocos", "loud", got, reference.vocos(m.vocos, torch.from_numpy(mel)).numpy(), 10 * stage.VOCOS_BAR)


@pytest.mark.parametrize("n", [513, 514, 1023, 1024, 23456, 48000])
def test_mel(zoo, rng, n):
    """A tone over noise, which no band lies far below. The truth is in float64: float32's own error is as large as ours."""
    time = np.arange(n) / 24000
    samples = (0.5 * np.sin(2 * np.pi * 330 * time) + 0.1 * rng.standard_normal(n)).astype(np.float32)
    with f5lib.Engine(zoo["tiny"].path, max_frames=256) as e:
        got = e.mel(samples)
    assert len(got) == n // 256 + 1
    want = reference.mel(torch.from_numpy(samples).double()).numpy()
    cbind.check("mel of samples", f"{n} samples", log_mel_judged(got, want).numpy(), want, stage.MEL_BAR)


def test_too_few_samples_for_a_mel(zoo):
    with f5lib.Engine(zoo["tiny"].path, max_frames=64) as e:
        for n in (1, 511, 512):  # 513 are enough
            with pytest.raises(f5lib.Error, match=f"{n} samples are too few for a spectrogram: at least 513"):
                e.mel(np.zeros(n, np.float32))


def test_mel_of_silence(zoo):
    with f5lib.Engine(zoo["tiny"].path, max_frames=64) as e:
        assert np.allclose(e.mel(np.zeros(2048, np.float32)), np.log(1e-5), rtol=1e-6)
