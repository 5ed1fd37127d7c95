"""The real FFT of 1024 points that mel and istft share, against numpy's in double."""
import ctypes

import numpy as np
import pytest

from cbind import check, copy, function, normal, pointer, poison

SCRATCH = poison((4, 512))  # fft_scratch
BAR = 3e-7  # nine passes and the untangling, half a rounding each in the mean


@pytest.fixture(scope="module")
def table():
    out = poison((2, 512))
    function("fft_table_fill", None, ctypes.c_void_p)(pointer(out))
    return out


def forward(table, x):
    re, im = poison((513,)), poison((513,))
    function("fft_real", None, *[ctypes.c_void_p] * 5)(*map(pointer, (table, SCRATCH, x, re, im)))
    return np.stack([re, im])


def inverse(table, spectrum):
    x, parts = poison((1024,)), (copy(spectrum.real, np.float32), copy(spectrum.imag, np.float32))
    function("fft_real_inverse", None, *[ctypes.c_void_p] * 5)(*map(pointer, (table, SCRATCH, *parts, x)))
    return x


def test_table(table):
    angle = 2 * np.pi * np.arange(512) / 1024
    check("fft", "table", table, np.stack([np.cos(angle), np.sin(angle)]), 1e-7)


@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e20])
def test_forward(rng, table, scale):
    x = normal(rng, (1024,), scale)
    want = np.fft.rfft(x.astype(np.float64))
    check("fft", "forward", forward(table, x), np.stack([want.real, want.imag]), BAR)


@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e20])
def test_inverse(rng, table, scale):
    spectrum = normal(rng, (2, 513), scale).astype(np.float64)
    spectrum = spectrum[0] + 1j * spectrum[1]  # bins 0 and 512 have imaginary parts, to be ignored
    check("fft", "inverse", inverse(table, spectrum), np.fft.irfft(spectrum), BAR)


@pytest.mark.parametrize("bin", [0, 1, 2, 255, 256, 257, 511, 512])
def test_one_bin(table, bin):
    """A cosine and a sine of every kind of bin, exactly where they belong."""
    n = np.arange(1024)
    for wave in (np.cos, np.sin):
        x = wave(2 * np.pi * (bin * n % 1024) / 1024)
        want = np.fft.rfft(x)
        want[np.abs(want) < 1e-6] = 0
        got = forward(table, copy(x, np.float32))
        assert np.abs(got - np.stack([want.real, want.imag])).max() < 2e-4  # of 512
