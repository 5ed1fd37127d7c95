"""MB-iSTFT, the vocoder of Flow-Matching-TTS, in plain tensor operations: what libf5tts must compute of it. One mel at a time.

Weights are a dict under upstream's names ("dec.…"), with weight norm in its old form. Forms: "coded", one band as
Flow-Matching-TTS has it; "single", "bands", "streams": iSTFT, multi-band and multi-stream iSTFT of LLM-iSTFT-VITS."""
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.append(str(Path(__file__).resolve().parents[2] / "weights"))
import random_checkpoint  # noqa: E402
import random_fm_tts  # noqa: E402
from random_fm_tts import BANDS, BANK_TAPS, DILATIONS, POINTS, rates  # noqa: E402

FORMS, CHANNELS = ("coded", "single", "bands", "streams"), 32


def drawn(specs, seed):
    return {key: torch.from_numpy(values) for key, values in random_checkpoint.draw_all(specs, seed).items()}


def config(form, channels=CHANNELS):
    """Its part of the configuration's "model"."""
    return random_fm_tts.vocoder_config(form, channels)


def random_weights(seed, form, channels=CHANNELS):
    return drawn(random_fm_tts.vocoder(form, channels), seed)


def plain(w, name):
    v = w[f"dec.{name}.weight_v"].double()
    return w[f"dec.{name}.weight_g"].double() * v / v.flatten(1).norm(dim=1)[:, None, None]


def convolve(w, name, x, dilation=1):
    weight = plain(w, name)
    return F.conv1d(x, weight, w[f"dec.{name}.bias"].double(), padding=weight.shape[-1] // 2 * dilation, dilation=dilation)


def pqmf():
    """[1,4,63] of the synthesis: a prototype of cutoff 0.15 under a Kaiser window of beta 9, moved to each band."""
    n = np.arange(BANK_TAPS)
    prototype = 0.15 * np.sinc(0.15 * (n - 31)) * np.kaiser(BANK_TAPS, 9.0)
    bands = [2 * prototype * np.cos((2 * k + 1) * math.pi / 8 * (n - 30.5) - (-1) ** k * math.pi / 4) for k in range(BANDS)]
    return torch.from_numpy(np.stack(bands)).float().double()[None]


def decode(w, form, mel):
    """mel [N,80] -> fp64 samples."""
    x = convolve(w, "conv_pre", mel.double().T[None])
    for i, rate in enumerate(rates(form)):
        x = F.conv_transpose1d(F.leaky_relu(x, 0.1), plain(w, f"ups.{i}"), w[f"dec.ups.{i}.bias"].double(), stride=rate,
                               padding=(16 - rate) // 2)
        results = []
        for j in range(3):
            y, block = x, f"resblocks.{3 * i + j}."
            for m, dilation in enumerate(DILATIONS):
                inner = convolve(w, f"{block}convs1.{m}", F.leaky_relu(y, 0.1), dilation)
                y = y + convolve(w, f"{block}convs2.{m}", F.leaky_relu(inner, 0.1))
            results.append(y)
        x = sum(results) / 3
    x = F.leaky_relu(x, 0.01)
    x = torch.cat((x[..., 1:2], x), dim=-1)
    several = form in ("bands", "streams")
    h = convolve(w, "subband_conv_post" if several else "conv_post", x).reshape(BANDS if several else 1, POINTS + 2, -1)
    phase = (1 if form == "coded" else math.pi) * torch.sin(h[:, POINTS // 2 + 1:])
    y = torch.istft(torch.polar(h[:, :POINTS // 2 + 1].exp(), phase), POINTS, POINTS // 4, POINTS,
                    torch.hann_window(POINTS, dtype=torch.float64))
    if not several:
        return y[0]
    spread = torch.zeros(BANDS, y.shape[1] * BANDS, dtype=torch.float64)
    spread[:, ::BANDS] = BANDS * y
    return F.conv1d(spread[None], pqmf() if form == "bands" else plain(w, "multistream_conv_post"), padding=BANK_TAPS // 2)[0, 0]
