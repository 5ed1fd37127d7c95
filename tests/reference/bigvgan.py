"""bigvgan.py — BigVGAN v2 and its mel in plain PyTorch, one mel at a time, from NVIDIA's keys: what the engine is held
against. compare_bigvgan.py holds this against NVIDIA's own code. Settings are random_bigvgan.OPTIONS' names."""
import torch
import torch.nn.functional as F

from op_sound import slaney_bank, snake_filter


def weight(w, key):
    """The weight of a convolution, whether its length is kept apart or not."""
    if key + ".weight" in w:
        return w[key + ".weight"]
    v = w[key + ".weight_v"]
    return w[key + ".weight_g"] * v / v.flatten(1).norm(dim=1)[:, None, None]


def conv(w, key, x, dilation=1):
    """x [C,T], the same length."""
    k = weight(w, key)
    return F.conv1d(x[None], k, w.get(key + ".bias"), padding=k.shape[2] // 2 * dilation, dilation=dilation)[0]


def snake(w, key, x):
    """Up to twice the rate, x + sin²(x e^alpha) / (e^beta + 1e-9), down again. Ends are repeated."""
    f = snake_filter().to(x)[None, None]
    up = 2 * F.conv_transpose1d(F.pad(x[:, None], (5, 5), mode="replicate"), f, stride=2)[..., 15:-15]
    alpha, beta = (w[f"{key}.act.{name}"].exp()[:, None, None] for name in ("alpha", "beta"))
    up = up + (up * alpha).sin().square() / (beta + 1e-9)
    return F.conv1d(F.pad(up, (5, 6), mode="replicate"), f, stride=2)[:, 0]


def bigvgan(w, c, mel):
    """mel [N,100] -> samples [256 N]."""
    x = conv(w, "conv_pre", mel.T)
    for i, rate in enumerate(c["bigvgan_rates"]):
        k = weight(w, f"ups.{i}.0")
        x = F.conv_transpose1d(x[None], k, w[f"ups.{i}.0.bias"], stride=rate, padding=(k.shape[2] - rate) // 2)[0]
        total = 0
        for j in range(3):
            key, y = f"resblocks.{3 * i + j}.", x
            for m, dilation in enumerate(c["bigvgan_dilations"][j]):
                inner = conv(w, f"{key}convs1.{m}", snake(w, f"{key}activations.{2 * m}", y), dilation)
                y = y + conv(w, f"{key}convs2.{m}", snake(w, f"{key}activations.{2 * m + 1}", inner))
            total = total + y
        x = total / 3
    y = conv(w, "conv_post", snake(w, "activation_post", x))[0]
    return y.tanh() if c["bigvgan_tanh"] else y.clamp(-1, 1)


def mel(samples):
    """[T] -> [T // 256, 100]"""
    padded = F.pad(samples[None], (384, 384), mode="reflect")[0]
    window = torch.hann_window(1024, dtype=samples.dtype)
    spectrum = torch.stft(padded, 1024, 256, 1024, window, center=False, return_complex=True)
    magnitude = (torch.view_as_real(spectrum).square().sum(-1) + 1e-9).sqrt()
    return (magnitude.T @ slaney_bank(torch.float64).to(samples)).clamp(min=1e-5).log()
