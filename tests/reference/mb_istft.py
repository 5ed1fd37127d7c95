"""MB-iSTFT, the vocoder of Flow-Matching-TTS, in plain tensor operations: what libf5tts must compute of it. One mel at a time.

Weights are a dict under upstream's names ("dec.…"), with weight norm in its old form. Forms: "coded", one band as
Flow-Matching-TTS has it; "single", "bands", "streams": iSTFT, multi-band and multi-stream iSTFT of LLM-iSTFT-VITS."""
import math

import numpy as np
import torch
import torch.nn.functional as F

FORMS = ("coded", "single", "bands", "streams")
BANDS, TAPS, POINTS = 4, 63, 16
BLOCKS, DILATIONS = (3, 7, 11), (1, 3, 5)


def rates(form):
    """What the stages multiply the rate by; with hop 4, and four bands where there are, 256 samples a frame."""
    return (8, 8) if form == "single" else (4, 4)


def config(form, channels=32):
    """Its part of the configuration's "model"."""
    return {"ms_istft_vits": form == "streams", "mb_istft_vits": form in ("coded", "bands"), "istft_vits": form == "single",
            "subbands": BANDS, "gen_istft_n_fft": POINTS, "gen_istft_hop_size": POINTS // 4, "resblock": "1", "gin_channels": 0,
            "resblock_kernel_sizes": list(BLOCKS), "resblock_dilation_sizes": [list(DILATIONS)] * 3,
            "upsample_rates": list(rates(form)), "upsample_initial_channel": channels, "upsample_kernel_sizes": [16, 16]}


def random_weights(seed, form, channels=32, mels=80):
    """Tensors keep their size from layer to layer; the last convolution makes magnitudes near 1 and phases of all angles."""
    made, w = torch.Generator().manual_seed(seed + 77), {}

    def conv(name, out, width, taps, bias=True, scale=1.0, transposed=False):
        shape = (width, out, taps) if transposed else (out, width, taps)
        v = torch.randn(shape, generator=made)
        fan = width * taps / (4 if transposed else 1)
        w[f"dec.{name}.weight_v"] = v * 3
        w[f"dec.{name}.weight_g"] = scale * fan ** -0.5 * v.flatten(1).norm(dim=1)[:, None, None] * (
            0.8 + 0.4 * torch.rand(shape[0], 1, 1, generator=made))
        if bias:
            w[f"dec.{name}.bias"] = 0.1 * torch.randn(out, generator=made)

    conv("conv_pre", channels, mels, 7)
    for i, rate in enumerate(rates(form)):
        half = channels >> (i + 1)
        conv(f"ups.{i}", half, 2 * half, 16, scale=1.4, transposed=True)
        for j, taps in enumerate(BLOCKS):
            for m in range(3):
                conv(f"resblocks.{3 * i + j}.convs1.{m}", half, half, taps, scale=0.8)
                conv(f"resblocks.{3 * i + j}.convs2.{m}", half, half, taps, scale=0.8)
    several = form in ("bands", "streams")
    conv("subband_conv_post" if several else "conv_post", (BANDS if several else 1) * (POINTS + 2), channels >> 2, 7, scale=0.8)
    if form == "streams":
        conv("multistream_conv_post", 1, BANDS, TAPS, bias=False)
        w["dec.updown_filter"] = torch.zeros(BANDS, BANDS, BANDS)
    return w


def plain(w, name):
    v = w[f"dec.{name}.weight_v"].double()
    return w[f"dec.{name}.weight_g"].double() * v / v.flatten(1).norm(dim=1)[:, None, None]


def convolve(w, name, x, dilation=1):
    weight = plain(w, name)
    return F.conv1d(x, weight, w[f"dec.{name}.bias"].double(), padding=weight.shape[-1] // 2 * dilation, dilation=dilation)


def pqmf():
    """[1,4,63] of the synthesis: a prototype of cutoff 0.15 under a Kaiser window of beta 9, moved to each band."""
    n = np.arange(TAPS)
    prototype = 0.15 * np.sinc(0.15 * (n - 31)) * np.kaiser(TAPS, 9.0)
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
    return F.conv1d(spread[None], pqmf() if form == "bands" else plain(w, "multistream_conv_post"), padding=TAPS // 2)[0, 0]
