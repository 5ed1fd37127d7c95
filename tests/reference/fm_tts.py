"""Flow-Matching-TTS in plain tensor operations: what libf5tts must compute of it. One sequence at a time, nothing cached.

Weights are a dict of tensors under upstream's names ("flow_tts.…"), weights/random_fm_tts.py's. N frames, T tokens, D width,
mel [N,80]. The vocoder is mb_istft.py. compare_fm_tts.py runs upstream's own code beside the library."""
import math

import torch
import torch.nn.functional as F

import mb_istft
import random_fm_tts
from mb_istft import drawn

MODEL, EPS, HEAD = random_fm_tts.MODEL, 1e-5, random_fm_tts.HEAD


def linear(w, name, x):
    return F.linear(x, w[name + ".weight"], w[name + ".bias"])


def norm(w, name, x):
    return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], EPS)


def conv(w, name, x, **more):
    """[T,in] -> [T,out]"""
    weight = w[name + ".weight"]
    return F.conv1d(x.T[None], weight, w[name + ".bias"], padding=weight.shape[-1] // 2, **more)[0].T


def log_durations(w, tokens):
    x = w["flow_tts.text_encoder.0.weight"][tokens]
    x = conv(w, "flow_tts.text_encoder.3", torch.relu(conv(w, "flow_tts.text_encoder.1", x)))
    for i in range(3):
        x = torch.relu(norm(w, f"flow_tts.duration_predictor.norm_layers.{i}", conv(w, f"flow_tts.duration_predictor.conv_layers.{i}", x)))
    return conv(w, "flow_tts.duration_predictor.proj", x)[:, 0]


def frames(w, tokens, scale=1.0):
    if "flow_tts.duration_predictor.proj.weight" not in w:
        return 5 * len(tokens)
    return int((torch.exp(log_durations(w, tokens)) * scale).clamp(min=1).double().sum())


def text(w, tokens):
    """[T,D]"""
    x = w[MODEL + "text_emb.weight"][tokens] + w[MODEL + "text_pos_enc"][0, :len(tokens)]
    for i in range(4):
        block = f"{MODEL}convnext_blocks.{i}."
        y = norm(w, block + "norm", conv(w, block + "dwconv", x, groups=x.shape[1]))
        x = x + linear(w, block + "pwconv2", F.gelu(linear(w, block + "pwconv1", y)))
    return x


def velocity(w, x, t, features):
    """x [N,80] at time t, features [T,D]"""
    D, half = features.shape[1], features.shape[1] // 2
    angle = t * torch.exp(torch.arange(half, device=x.device) * -(math.log(10000) / (half - 1)))
    time = linear(w, MODEL + "time_mlp.2", F.gelu(linear(w, MODEL + "time_mlp.0", torch.cat([angle.sin(), angle.cos()])[None])))
    h = torch.cat([features, conv(w, MODEL + "mel_proj", x)]) + time
    for i in range(1 + max(int(k.split(".")[5]) for k in w if k.startswith(MODEL + "transformer.layers."))):
        layer = f"{MODEL}transformer.layers.{i}."
        qkv = F.linear(norm(w, layer + "norm1", h), w[layer + "self_attn.in_proj_weight"], w[layer + "self_attn.in_proj_bias"])
        q, k, v = qkv.view(len(h), 3, D // HEAD, HEAD).permute(1, 2, 0, 3)
        attended = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(HEAD), dim=-1) @ v
        h = h + linear(w, layer + "self_attn.out_proj", attended.transpose(0, 1).reshape(len(h), D))
        h = h + linear(w, layer + "linear2", torch.relu(linear(w, layer + "linear1", norm(w, layer + "norm2", h))))
    return conv(w, MODEL + "output_proj", h[len(features):])


def sample(w, tokens, noise, nfe, sway=-1.0, midpoint=False):
    features, x = text(w, tokens), noise
    for i in range(nfe):
        t, dt = i / nfe, 1 / nfe
        if sway:
            x = x + dt * velocity(w, x, min(1.0, max(0.0, t + sway * (1 - t) * t)), features)
        elif midpoint:
            x = x + dt * velocity(w, x + dt / 2 * velocity(w, x, t, features), t + dt / 2, features)
        else:
            x = x + dt * velocity(w, x, t, features)
    return x


def random_weights(seed, dim=128, layers=2, ff_dim=192, symbols=200, durations=True):
    return drawn(random_fm_tts.acoustic(dim, layers, ff_dim, symbols, durations), seed)


def even_pace(w, log_frames):
    """The same weights, but every seed's durations are about exp(log_frames) frames a token."""
    proj = "flow_tts.duration_predictor.proj."
    return {**w, proj + "weight": w[proj + "weight"] * 0.3, proj + "bias": torch.full_like(w[proj + "bias"], log_frames)}


def config(dim=128, layers=2, ff_dim=192, symbols=200, durations=True, **more):
    said = random_fm_tts.config(dim, layers, ff_dim, symbols, durations, channels=mb_istft.CHANNELS)
    return {**said, "model": {**said["model"], **more}}
