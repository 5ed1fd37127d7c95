"""istft beyond test_every_op.py: its window, a round trip, the clip at 100, NaN, samples that start later."""
import ctypes

import numpy as np
import pytest

import packed
from cbind import ISTFT_CENTER, ISTFT_SAME, Guarded, check, copy, function, make_pack, normal, pointer, poison, run, \
    same_bits
from ops import Istft

BOTH = pytest.mark.parametrize("padding", [ISTFT_CENTER, ISTFT_SAME], ids=["center", "same"])


@pytest.fixture(scope="module")
def window():
    out = Guarded((1024,))
    function("hann_window_fill", None, ctypes.c_void_p)(pointer(out))
    return out.check()


def samples_of(padding, frames):
    return 256 * (max(frames, 1) - 1 if padding == ISTFT_CENTER else frames)


def head(rng, pack):
    """Log magnitudes falling with frequency, some above the clip at 100; phases of several turns."""
    h = normal(rng, (pack.rows, 1026), 2.0)
    h[:, :513] -= np.linspace(0, 4, 513, dtype=np.float32)
    h[:, 513:] *= 5
    h[pack.live:] = np.nan
    return h


def synthesize(pack, padding, h, window, first_sample=0):
    lengths = [samples_of(padding, end - begin) for begin, end in pack.spans]
    offsets = copy(first_sample + np.concatenate([[0], np.cumsum(lengths)]), np.int64)
    y, scratch = Guarded((int(offsets[-1]),)), Guarded((pack.rows, 1024))
    run("istft", pack=pack, padding=padding, h=h, window=window, sample_offsets=offsets, scratch=scratch, y=y)
    scratch.check()
    return y.check(), offsets


def test_window(window):
    check("istft", "window", window, np.hanning(1025)[:1024], 1e-7)


@BOTH
def test_round_trip(rng, window, padding):
    """The analysis of a signal gives the signal back: nothing about the transform is its own yardstick."""
    signal = rng.standard_normal(256 * 20)
    trim = 512 if padding == ISTFT_CENTER else 384
    padded = np.pad(signal, trim)
    frames = np.stack([padded[n:n + 1024] for n in range(0, len(padded) - 1023, 256)])
    spectrum = np.fft.rfft(frames * window.astype(np.float64))
    h = copy(np.concatenate([np.log(np.abs(spectrum)), np.angle(spectrum)], axis=1), np.float32)
    got, _ = synthesize(make_pack([len(frames)]), padding, h, window)
    check("istft", f"round trip {['center', 'same'][padding]}", got, signal, Istft.bar_ref)


def test_samples_may_start_later(rng, window):
    h = head(rng, make_pack([3]))
    late, _ = synthesize(make_pack([3]), ISTFT_SAME, h, window, first_sample=10)
    assert np.isnan(late[:10]).all() and same_bits(late[10:], synthesize(make_pack([3]), ISTFT_SAME, h, window)[0])


def test_magnitude_clips_at_100(rng, window):
    h = head(rng, make_pack([9]))
    h[:, :513] = np.log(100) + 1e-3
    loud = copy(h)
    loud[:, :513] = 1e4  # exp overflows
    assert same_bits(*(synthesize(make_pack([9]), ISTFT_SAME, each, window)[0] for each in (h, loud)))


def test_dc_and_nyquist_have_no_imaginary_part(rng, window):
    h = head(rng, make_pack([6]))
    turned = copy(h)
    turned[:, [513, 1025]] *= -1
    assert same_bits(*(synthesize(make_pack([6]), ISTFT_CENTER, each, window)[0] for each in (h, turned)))


@pytest.mark.parametrize("bin", [0, 7, 512, 513 + 7, 1025])
def test_nan_fills_its_frame_and_no_other(rng, window, bin):
    h = head(rng, make_pack([20, 3]))
    h[10, bin] = np.nan
    y, _ = synthesize(make_pack([20, 3]), ISTFT_SAME, h, window)
    first, last = 256 * 10 - 384, 256 * 10 + 640
    assert np.isnan(y[first:last]).all() and np.isfinite(y[:first]).all() and np.isfinite(y[last:]).all()


def test_rejects(rng, window):
    pack = make_pack([1, 4], 1)
    good = {"pack": pack, "padding": ISTFT_SAME, "h": normal(rng, (6, 1026)), "window": window,
            "sample_offsets": copy([0, 256, 1280], np.int64), "scratch": poison((6, 1024)), "y": poison((1280,))}
    packed.rejects("istft", good, [
        ("F5_E_ARGUMENT", {"padding": 2}), ("F5_E_ARGUMENT", {"padding": -1}), ("F5_E_SHAPE", {"padding": ISTFT_CENTER}),
        ("F5_E_SHAPE", {"sample_offsets": copy([0, 256, 1281], np.int64)}),
        ("F5_E_SHAPE", {"sample_offsets": copy([0, 0, 1280], np.int64)}),
        ("F5_E_ARGUMENT", {"sample_offsets": copy([-1, 255, 1279], np.int64)}),
        *packed.nothing("h", "window", "sample_offsets", "scratch", "y"), *packed.bad_packs(6)])
