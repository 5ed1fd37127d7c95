"""ops_small.py — the small ops in plain PyTorch, one sequence at a time, written from the formulas of kernels/*.h.

Ops of sums and products are computed in double: the figures of the tests are then the error of the C code alone.
Where upstream's F32 rounding is part of the result (angles of up to thousands of radians), so it is here."""
import math

import numpy as np
import torch
import torch.nn.functional as F


def double(x):
    return torch.from_numpy(np.asarray(x, np.float64))


def dwconv_norm(x, w, bias, scale, shift):
    """x [N,D], w [7,D] tap first."""
    dim = x.shape[1]
    c = F.conv1d(double(x).T[None], double(w).T[:, None, :], double(bias), padding=3, groups=dim)[0].T
    return F.layer_norm(c, (dim,), double(scale), double(shift), 1e-6).numpy()


def grn(x, gamma, beta):
    x = double(x)
    g = x.norm(dim=0)
    return (double(gamma) * x * (g / (g.mean() + 1e-6)) + double(beta) + x).numpy()


def position_table(rows, dim):
    """Every step in F32."""
    inverse = 1.0 / torch.pow(torch.tensor(10000.0), torch.arange(0, dim, 2).float() / dim)
    angle = torch.arange(rows).float()[:, None] * inverse[None, :]
    return torch.cat([angle.cos(), angle.sin()], dim=1).numpy()


def embed(ids, keep, table, positions):
    """positions: [max,dim] or None; keep: [N] or None."""
    y = F.embedding(torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(table))
    if positions is not None:
        y = y + torch.from_numpy(positions[:len(ids)])
    if keep is not None:
        y = y.masked_fill(torch.from_numpy(keep == 0)[:, None], 0.0)
    return y.numpy()


def text_mask(x, keep):
    return torch.from_numpy(x).masked_fill(torch.from_numpy(keep == 0)[:, None], 0.0).numpy()


def text_upsample(x, keep):
    frames, kept = len(x), torch.from_numpy(x)[torch.from_numpy(keep != 0)]
    n = len(kept)
    if n == 0:
        return np.zeros_like(x)
    repeats = torch.full((n,), frames // n)
    repeats[n - frames % n:] += 1
    return kept.repeat_interleave(repeats, dim=0).numpy()


def timestep(t):
    """Every step in F32."""
    frequency = torch.exp(torch.arange(128).float() * -(math.log(10000) / 127))
    angle = 1000 * torch.from_numpy(t)[:, None] * frequency[None, :]
    return torch.cat([angle.sin(), angle.cos()], dim=1).numpy()


def guide(x, v, null, cfg, dt, keep, kept):
    """null None: one branch. keep None: no replacement."""
    v = double(v)
    d = v if null is None else v + (v - double(null)) * cfg
    y = double(x) + dt * d
    if keep is not None:
        y = torch.where(torch.from_numpy(keep != 0)[:, None], double(kept), y)
    return y.numpy()


def mel_bank(dtype=torch.float32):
    """[513,100]: 102 corners evenly spaced in mel = 2595 log10(1 + Hz/700) from 0 to 12 kHz. Upstream's is F32."""
    top = 2595.0 * math.log10(1.0 + 12000.0 / 700.0)
    corners = 700.0 * (10.0 ** (torch.linspace(0.0, top, 102, dtype=dtype) / 2595.0) - 1.0)
    hz = torch.linspace(0, 12000, 513, dtype=dtype)
    width = corners[1:] - corners[:-1]
    distance = corners[None, :] - hz[:, None]
    falling, rising = distance[:, 2:] / width[1:], -distance[:, :-2] / width[:-1]
    return torch.minimum(falling, rising).clamp(min=0).numpy()


def mel(samples, bank, dtype=torch.float64):
    samples = torch.from_numpy(np.asarray(samples)).to(dtype)
    spectrum = torch.stft(samples, 1024, 256, 1024, torch.hann_window(1024, dtype=dtype), center=True,
                          pad_mode="reflect", return_complex=True)
    return (spectrum.abs().T @ torch.from_numpy(bank).to(dtype)).clamp(min=1e-5).log().numpy()


def spectrum_of(h):
    """Head output [N,1026] to a complex spectrum [513,N]."""
    h = double(h)
    return torch.polar(h[:, :513].exp().clip(max=1e2), h[:, 513:]).T


def istft_center(h):
    """torch's own. At least two frames."""
    return torch.istft(spectrum_of(h), 1024, 256, 1024, torch.hann_window(1024, dtype=torch.float64),
                       center=True).numpy()


def istft_same(h):
    """Overlap-add by hand: torch.istft cannot trim 384 a side."""
    window = torch.hann_window(1024, dtype=torch.float64)
    frames = torch.fft.irfft(spectrum_of(h), 1024, dim=0).T * window
    count = len(frames)
    total, envelope = torch.zeros(2, 256 * (count - 1) + 1024, dtype=torch.float64)
    for n in range(count):
        total[256 * n:256 * n + 1024] += frames[n]
        envelope[256 * n:256 * n + 1024] += window ** 2
    return (total / envelope.clamp(min=1e-300))[384:-384].numpy()
