#!/usr/bin/env python3
"""train_vocos.py — trains the vocoder (Vocos, Siuzdak 2023) on the shards of a directory, while they are being made.

    train_vocos.py DIRECTORY --out OUT --minutes 15 [--resume STATE | --weights vocos.npz]

First mel and multi-resolution STFT losses alone, then, after --adversarial of the time, also discriminators on
spectrograms of three resolutions (hinge loss and feature matching). OUT receives the averaged weights (vocos.npz, fp16)
and vocos-state.pt every minute.
"""
import argparse
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from batches import reference
from dit import ARCH, MEL, is_matrix
from optim import Flat

FFT, HOP = reference.FFT, reference.HOP
FRAMES = 64  # of a training segment
RESOLUTIONS = ((512, 128), (1024, 256), (2048, 512))


def fresh(a=ARCH, seed=0):
    """Weights under upstream's names."""
    g = torch.Generator().manual_seed(seed)
    width, inner, layers, w = a["vocos_dim"], a["vocos_ff_dim"], a["vocos_layers"], {}

    def random(name, *shape, std):
        w[name + ".weight"], w[name + ".bias"] = torch.randn(shape, generator=g) * std, torch.zeros(shape[0])

    def ones(name):
        w[name + ".weight"], w[name + ".bias"] = torch.ones(width), torch.zeros(width)

    random("backbone.embed", width, MEL, 7, std=0.03)
    ones("backbone.norm")
    for i in range(layers):
        p = f"backbone.convnext.{i}."
        w[p + "gamma"] = torch.full((width,), 1 / layers)
        random(p + "dwconv", width, 1, 7, std=0.2)
        ones(p + "norm")
        random(p + "pwconv1", inner, width, std=width ** -0.5)
        random(p + "pwconv2", width, inner, std=inner ** -0.5)
    ones("backbone.final_layer_norm")
    random("head.out", FFT + 2, width, std=0.02)
    return w


def synthesise(w, mel, kind):
    """mel [B,N,100] -> samples [B, 256 (N - 1)], as reference.vocos for each."""
    def conv(name, x):
        wide = F.pad(x, (0, 0, 3, 3))
        return w[name + ".bias"] + sum(wide[:, k:k + x.shape[1]] * w[name + ".weight"][:, 0, k] for k in range(7))

    def norm(name, x):
        return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], eps=1e-6)

    def linear(name, x):
        return F.linear(x.to(kind), w[name + ".weight"].to(kind), w[name + ".bias"].to(kind))

    x = F.conv1d(mel.transpose(1, 2), w["backbone.embed.weight"], w["backbone.embed.bias"], padding=3).transpose(1, 2)
    x = norm("backbone.norm", x)
    i = 0
    while (p := f"backbone.convnext.{i}.") + "gamma" in w:
        h = norm(p + "norm", conv(p + "dwconv", x))
        x = x + w[p + "gamma"] * linear(p + "pwconv2", F.gelu(linear(p + "pwconv1", h))).float()
        i += 1
    h = linear("head.out", norm("backbone.final_layer_norm", x)).float()
    return inverse(h)


def inverse(h):
    """Head output [B,N,1026] -> samples [B, 256 (N - 1)]; torch.istft would wait for the device."""
    magnitude, phase = h.chunk(2, dim=2)
    magnitude = magnitude.exp().clamp(max=100)
    window = reference.hann(torch.float32, h.device)
    frames = torch.fft.irfft(torch.complex(magnitude * phase.cos(), magnitude * phase.sin()), FFT) * window

    def overlap(x):
        rows, times = x.shape[1], FFT // HOP
        parts = x.unflatten(2, (times, HOP))
        return sum(F.pad(parts[:, :, k], (0, 0, k, times - 1 - k)) for k in range(times)).flatten(1)

    envelope = overlap(window.square().expand(1, h.shape[1], FFT))
    return (overlap(frames) / envelope.clamp(min=1e-8))[:, FFT // 2:-(FFT // 2)]


def spectrogram(x, fft, hop):
    return torch.stft(x, fft, hop, window=torch.hann_window(fft, device=x.device), return_complex=True)


class MelLoss(nn.Module):
    """L1 of log mels, and of log magnitudes at three resolutions."""

    def __init__(self, device):
        super().__init__()
        self.bank = reference.mel_bank(torch.float32, device).t()

    def mel(self, x):
        return (self.bank @ spectrogram(x, FFT, HOP).abs()).clamp(min=1e-5).log()

    def forward(self, made, real):
        mel = F.l1_loss(self.mel(made), self.mel(real))
        stft = 0.0
        for fft, hop in RESOLUTIONS:
            a, b = (spectrogram(x, fft, hop).abs() for x in (made, real))
            stft = stft + F.l1_loss((a + 1e-4).log(), (b + 1e-4).log()) + (a - b).norm() / b.norm()
        return mel, stft / len(RESOLUTIONS)


class Discriminator(nn.Module):
    """Convolutions over the real and imaginary parts of one spectrogram, five bands apart (as in Vocos)."""

    BANDS = ((0.0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0))

    def __init__(self, fft, hop, width=24):
        super().__init__()
        self.fft, self.hop = fft, hop
        norm = nn.utils.weight_norm
        self.bands = nn.ModuleList(
            nn.ModuleList([norm(nn.Conv2d(2, width, (3, 9), (1, 1), (1, 4))),
                           norm(nn.Conv2d(width, width, (3, 9), (1, 2), (1, 4))),
                           norm(nn.Conv2d(width, width, (3, 9), (1, 2), (1, 4))),
                           norm(nn.Conv2d(width, width, (3, 3), (1, 1), (1, 1)))]) for _ in self.BANDS)
        self.last = norm(nn.Conv2d(width, 1, (3, 3), (1, 1), (1, 1)))

    def forward(self, x):
        x = 0.8 * x / (x.abs().amax(dim=1, keepdim=True) + 1e-9)
        s = torch.view_as_real(spectrogram(x, self.fft, self.hop)).permute(0, 3, 2, 1)  # [B,2,frames,bins]
        bins, features, ends = s.shape[3], [], []
        for (low, high), layers in zip(self.BANDS, self.bands):
            h = s[..., int(low * bins):int(high * bins)]
            for layer in layers:
                h = F.leaky_relu(layer(h), 0.1)
                features.append(h)
            ends.append(h)
        return self.last(torch.cat(ends, dim=3)), features


class Audio:
    """Utterances on the device; segments of them."""

    def __init__(self, device):
        self.device, self.parts, self.loaded, self.samples = device, [], set(), None

    def load_new(self, directory, most=40, limit=4):
        new = sorted(p for p in Path(directory).glob("*.npz") if p not in self.loaded and int(p.stem) > 0)[:limit]
        if len(self.loaded) >= most or not new:
            return False
        for p in new:
            self.parts.append(torch.from_numpy(np.load(p)["audio"]).to(self.device))
        self.loaded.update(new)
        self.samples = torch.cat(self.parts)
        self.parts = [self.samples]
        return True

    def segments(self, count):
        length = (FRAMES - 1) * HOP
        begin = torch.randint(len(self.samples) - length, (count, 1), device=self.device)
        x = self.samples[begin + torch.arange(length, device=self.device)].float() / 32767
        return x * torch.empty(count, 1, device=self.device).uniform_(0.4, 1.4)


class Game:
    """The two kinds of training step, as functions of the static input `real`, ready to be captured."""

    def __init__(self, flat, judges, batch, kind, device):
        self.flat, self.judges, self.kind, self.device = flat, judges, kind, device
        self.rebuild = MelLoss(device)
        self.real = torch.zeros(batch, (FRAMES - 1) * HOP, device=device)
        self.metrics = torch.zeros(4, device=device)

    def make(self):
        self.flat.grad.zero_()
        made = synthesise(self.flat.w, self.rebuild.mel(self.real).transpose(1, 2), self.kind)
        return made, *self.rebuild(made, self.real)

    def plain(self):
        _, mel, stft = self.make()
        (45 * mel + 10 * stft).backward()
        self.flat.step()
        self.metrics[:2] = torch.stack((mel, stft)).detach()

    def adversarial(self):
        for p in self.judges.parameters():
            if p.grad is not None:
                p.grad.zero_()
        made, mel, stft = self.make()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda", cache_enabled=False):
            judged = 0.0
            for j in self.judges:
                judged = judged + F.relu(1 - j(self.real)[0].float()).mean() + F.relu(1 + j(made.detach())[0].float()).mean()
            judged.backward()
            fooled = matched = 0.0
            self.judges.requires_grad_(False)
            for j in self.judges:
                with torch.no_grad():
                    _, truth = j(self.real)
                verdict, features = j(made)
                fooled = fooled + F.relu(1 - verdict.float()).mean()
                matched = matched + sum((a.float() - b.float()).abs().mean() for a, b in zip(features, truth)) / len(truth)
        (45 * mel + 10 * stft + fooled + 2 * matched).backward()
        self.judges.requires_grad_(True)
        self.flat.step()
        self.metrics.copy_(torch.stack((mel, stft, fooled, matched)).detach())


def captured(function, cuda, flat):
    """The function as a CUDA graph; what its rehearsals did to the weights is undone."""
    if not cuda:
        return function
    saved = {k: v.clone() for k, v in flat.state().items() if torch.is_tensor(v)}
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            function()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            function()
    except RuntimeError as error:
        print(f"not captured, so slower: {error}", flush=True)
        torch.cuda.synchronize()
        return function
    flat.load_state({**saved, "names": flat.names})
    return graph.replay


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("directory", type=Path)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--minutes", type=float, required=True)
    p.add_argument("--every", type=float, default=60, help="seconds between checkpoints")
    p.add_argument("--adversarial", type=float, default=0.5, help="part of the time after which it begins")
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--rate", type=float, default=8e-4, help="Adam's; Muon's is 2.5 times it")
    p.add_argument("--weights", help="a vocos.npz to start from, with fresh optimisers")
    p.add_argument("--resume", help="a vocos-state.pt")
    options = p.parse_args()
    begun = time.time()
    end = begun + 60 * options.minutes
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    if cuda:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    kind = torch.bfloat16 if cuda else torch.float32
    options.out.mkdir(parents=True, exist_ok=True)
    flat = Flat(fresh(), is_matrix, device)
    if options.weights:
        z = np.load(options.weights)
        flat.start_from({k: z[k].astype(np.float32) for k in z.files})
    judges = nn.ModuleList(Discriminator(fft, hop) for fft, hop in RESOLUTIONS).to(device)
    judge_optimiser = torch.optim.AdamW(judges.parameters(), lr=5e-4, betas=(0.8, 0.95), **({"fused": True} if cuda else {}))
    first_i = 0
    if options.resume:
        state = torch.load(options.resume, map_location=device)
        flat.load_state(state["flat"])
        judges.load_state_dict(state["judges"])
        judge_optimiser.load_state_dict(state["judge_optimiser"])
        first_i = state["step"]
    audio = Audio(device)
    while not audio.load_new(options.directory):
        if (options.directory / "done").exists() and not audio.load_new(options.directory):
            raise SystemExit(f"{options.directory}: no shards but the one kept for validation")
        time.sleep(0.2)
    game = Game(flat, judges, options.batch, kind, device)
    plain, adversarial = None, None
    first, saved, said, i, i0 = time.time(), time.time(), time.time(), first_i, first_i
    while True:
        now = time.time()
        done = (now - first) / max(end - first, 1)
        if i % 10 == 0:
            fade = max(0.01, 0.5 + 0.5 * math.cos(math.pi * min(done, 1))) * min(1, (i - first_i + 20) / 300)
            flat.rate.fill_(options.rate * fade), flat.muon_rate.fill_(2.5 * options.rate * fade)
            flat.decay.fill_(1 - min(0.999, (1 + i) / (10 + i)))
        if i % 100 == 0:
            audio.load_new(options.directory)
        game.real.copy_(audio.segments(options.batch))
        if done < options.adversarial:
            plain = plain or captured(game.plain, cuda, flat)
            plain()
        else:
            adversarial = adversarial or captured(game.adversarial, cuda, flat)
            adversarial()
            judge_optimiser.step()
        i += 1
        stop = now > end - 3
        if stop or now - said > 10:
            mel, stft, fooled, matched = game.metrics.tolist()
            print(f"[{now - begun:5.0f} s] vocos step {i:6} mel {mel:.4f} stft {stft:.4f} fooled {fooled:.2f} matched "
                  f"{matched:.3f} norm {flat.norm.item():.1f} skipped {int(flat.skipped)} "
                  f"{(i - i0) / (now - said):.1f} steps/s", flush=True)
            said, i0 = now, i
        if stop or now - saved > options.every:
            with open(options.out / "vocos.part", "wb") as f:
                np.savez(f, **{k: v.detach().half().cpu().numpy() for k, v in flat.averaged.items()})
            os.replace(options.out / "vocos.part", options.out / "vocos.npz")
            torch.save({"flat": flat.state(), "judges": judges.state_dict(),
                        "judge_optimiser": judge_optimiser.state_dict(), "step": i}, options.out / "vocos-state.pt")
            saved = now
        if stop:
            break


if __name__ == "__main__":
    main()
