"""mel beyond test_every_op.py: the bank against the formula in PyTorch, speech, tones, silence, NaN."""
import ctypes
import wave

import numpy as np
import pytest
import torch

import packed
from cbind import ROOT, Guarded, check, copy, function, normal, pointer, poison, run, same_bits
from ops import Mel, mel_bank, slaney_bank

SPEECH = ROOT.parent / "shared" / "data" / "basic_ref_en.wav"
BAR = Mel.bar_ref


@pytest.fixture(scope="module")
def bank():
    out = Guarded((513, 100))
    function("mel_bank_fill", None, ctypes.c_void_p)(pointer(out))
    return out.check()


def mel(samples, bank):
    y = Guarded((len(samples) // 256 + 1, 100))
    run("mel", n_samples=len(samples), samples=samples, bank=bank, y=y)
    return y.check()


def truth(samples, bank, dtype=torch.float64):
    return Mel().truth({"samples": torch.from_numpy(samples)}, {}, {"bank": torch.from_numpy(bank)}, dtype).numpy()


def test_bank(bank):
    check("mel", "bank, torch F32", bank, mel_bank().numpy(), 1e-5)  # whose corners are 2e-3 Hz off
    check("mel", "bank, double", bank, mel_bank(torch.float64).numpy(), 1e-7)
    assert (bank >= 0).all() and (bank <= 1).all() and not bank[0].any()


def test_slaney_bank():
    """Every band has area 1 where the bins are fine enough to see it."""
    out = Guarded((513, 100))
    function("mel_bank_fill_slaney", None, ctypes.c_void_p)(pointer(out))
    check("mel", "Slaney bank", out.check(), slaney_bank(torch.float64).numpy(), 1e-7)
    assert np.abs(out.a.sum(axis=0)[60:] * 24000 / 1024 - 1).max() < 0.02


def test_speech(bank):
    if not SPEECH.exists():
        pytest.skip(f"no {SPEECH}")
    with wave.open(str(SPEECH)) as clip:
        assert (clip.getnchannels(), clip.getsampwidth(), clip.getframerate()) == (1, 2, 24000)
        samples = copy(np.frombuffer(clip.readframes(clip.getnframes()), "<i2") / 32768, np.float32)
    got = mel(samples, bank)
    check("mel", "speech, double", got, truth(samples, bank), BAR)
    check("mel", "speech, torch F32", got, truth(samples, mel_bank().numpy(), torch.float32), 1e-5)


def test_tone_lands_in_its_band(bank):
    """1 kHz: the loudest band is the one whose triangle is highest there."""
    samples = copy(np.sin(2 * np.pi * 1000 * np.arange(8192) / 24000), np.float32)
    assert (mel(samples, bank)[3:-3].argmax(axis=1) == bank[round(1000 / 23.4375)].argmax()).all()


def test_silence_is_the_floor(bank):
    y = mel(copy(np.zeros(2000), np.float32), bank)
    assert np.allclose(y, np.log(1e-5), rtol=1e-6, atol=0)


def test_nan_fills_the_frames_that_cover_it(rng, bank):
    samples = normal(rng, (5000,))
    samples[2560] = np.nan  # frames 9..12 cover samples 2560 - 511 .. 2560 + 512; the window is zero at the first
    want = np.isnan(truth(samples, bank)).any(axis=1)
    assert np.array_equal(np.isnan(mel(samples, bank)).all(axis=1), want) and 4 <= want.sum() <= 5


def test_a_frame_depends_on_its_samples_only(rng, bank):
    samples = normal(rng, (20480,))
    assert same_bits(mel(samples, bank)[10:40], mel(copy(samples[:12800]), bank)[10:40])


def test_rejects(rng, bank):
    good = {"n_samples": 600, "samples": normal(rng, (600,)), "bank": bank, "y": poison((3, 100))}
    packed.rejects("mel", good, [*(("F5_E_SHAPE", {"n_samples": n}) for n in (512, 1, 0, -1, -2**62)),
                                 ("F5_E_SHAPE", {"n_samples": 384, "form": 1}), ("F5_E_ARGUMENT", {"form": 2}),
                                 *packed.nothing("samples", "bank", "y")])
