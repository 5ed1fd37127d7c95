#!/usr/bin/env python3
"""train_vocos.py — trains the vocoder (Vocos, Siuzdak 2023) on the shards of a directory, while they are being made.

    train_vocos.py DIRECTORY --out OUT --minutes 15 [--resume STATE | --weights vocos.npz]

First mel and multi-resolution STFT losses alone, then, after --adversarial of the time, also discriminators on
spectrograms of three resolutions (hinge loss and feature matching). OUT receives the averaged weights (vocos.npz, fp16)
and vocos-state.pt every minute, and vocos-plain.npz when the discriminators begin: which is better is to be heard.
"""
import argparse
import math
import os
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from batches import reference
from dit import ARCH, MEL, choose, is_matrix
from judges import FFT, HOP, RESOLUTIONS, Discriminator, Rebuilt
from optim import Flat

FRAMES = 64  # of a training segment
MEL_WEIGHT, STFT_WEIGHT = 45, 10
WARMUP = 300
JUDGES_PART = 0.5
JUDGED = 16  # segments of a batch that the discriminators see: they take 20 times as long as the vocoder


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
    # a real signal has no imaginary part at either end: most transforms ignore one, cuFFT's does not
    imaginary = F.pad((magnitude * phase.sin())[..., 1:-1], (1, 1))
    frames = torch.fft.irfft(torch.complex(magnitude * phase.cos(), imaginary), FFT) * window

    def overlap(x):
        times = FFT // HOP
        parts = x.unflatten(2, (times, HOP))
        return sum(F.pad(parts[:, :, k], (0, 0, k, times - 1 - k)) for k in range(times)).flatten(1)

    envelope = overlap(window.square().expand(1, h.shape[1], FFT))
    return (overlap(frames) / envelope.clamp(min=1e-8))[:, FFT // 2:-(FFT // 2)]


class Audio:
    """Utterances on the device; segments of them."""

    def __init__(self, device):
        self.device, self.parts, self.loaded, self.samples = device, [], set(), None

    def load_new(self, directory, most, limit=4):
        new = sorted(p for p in Path(directory).glob("*.npz") if p not in self.loaded and int(p.stem) > 0)[:limit]
        if len(self.loaded) >= most or not new:
            return False
        self.loaded.update(new)
        for p in new:
            try:
                self.parts.append(torch.from_numpy(np.load(p)["audio"]).to(self.device))
            except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
                print(f"{p} is left out: {error}", flush=True)
        if not self.parts:
            return False
        self.samples = torch.cat(self.parts)
        self.parts = [self.samples]
        if self.device.type == "cuda":
            torch.cuda.empty_cache()  # the smaller ones before it, which nothing later fits into: others use this GPU too
        return True

    def segments(self, count):
        length = (FRAMES - 1) * HOP
        begin = torch.randint(len(self.samples) - length, (count, 1), device=self.device)
        x = self.samples[begin + torch.arange(length, device=self.device)].float() / 32767
        return x * torch.empty(count, 1, device=self.device).uniform_(0.4, 1.4)


class Game:
    """The two kinds of training step, as functions of the static input `real`, ready to be captured."""

    def __init__(self, flat, batch, kind, device):
        self.flat, self.kind, self.device = flat, kind, device
        self.judges = nn.ModuleList(Discriminator(fft, hop) for fft, hop in RESOLUTIONS).to(device)
        self.rebuilt = Rebuilt(device)
        self.real = torch.zeros(batch, (FRAMES - 1) * HOP, device=device)
        self.metrics = torch.zeros(4, device=device)
        self.near = torch.zeros_like(flat.grad)

    def make(self):
        self.flat.grad.zero_()
        made = synthesise(self.flat.w, self.rebuilt.mel(self.real).transpose(1, 2), self.kind)
        return made, *self.rebuilt(made, self.real)

    def plain(self):
        _, mel, stft = self.make()
        (MEL_WEIGHT * mel + STFT_WEIGHT * stft).backward()
        self.flat.step()
        self.metrics[:2] = torch.stack((mel, stft)).detach()

    def adversarial(self):
        for p in self.judges.parameters():
            if p.grad is not None:
                p.grad.zero_()
        made, mel, stft = self.make()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda", cache_enabled=False):
            real, seen = self.real[:JUDGED], made[:JUDGED]
            self.judge(real, seen.detach()).backward()
            self.judges.requires_grad_(False)
            fooled, matched = self.fool(real, seen)
        # the judges' gradient is as large as they are sure of themselves, which grows without end: only its direction
        # counts, and it is JUDGES_PART as long as the distances' (both seen from the weights)
        (MEL_WEIGHT * mel + STFT_WEIGHT * stft).backward(retain_graph=True)
        self.near.copy_(self.flat.grad)
        self.flat.grad.zero_()
        (fooled + 2 * matched).backward()
        self.flat.grad.mul_(JUDGES_PART * self.near.norm() / self.flat.grad.norm().clamp(min=1e-12)).add_(self.near)
        self.judges.requires_grad_(True)
        self.flat.step()
        self.metrics.copy_(torch.stack((mel, stft, fooled, matched)).detach())

    def judge(self, real, made):
        """What the judges minimise: hinge loss of telling real from made."""
        return sum(F.relu(1 - j(real)[0].float()).mean() + F.relu(1 + j(made)[0].float()).mean()
                   for j in self.judges)

    def fool(self, real, made):
        """What the vocoder minimises: being told, and features unlike those of the real sound."""
        fooled = matched = 0.0
        for j in self.judges:
            with torch.no_grad():
                _, truth = j(real)
            verdict, features = j(made)
            fooled = fooled + F.relu(1 - verdict.float()).mean()
            distances = [(a.float() - b.float()).abs().mean() for a, b in zip(features, truth)]
            matched = matched + sum(distances) / len(distances)
        return fooled, matched


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
        graph = None
    flat.load_state({**saved, "names": flat.names})
    return graph.replay if graph else function


class Training:
    def __init__(self, options):
        self.options, self.begun = options, time.time()
        self.cuda = torch.cuda.is_available()
        if os.environ.get("CUDA_VISIBLE_DEVICES") and not self.cuda:
            raise SystemExit("PyTorch cannot use the GPU that it was given")
        self.device = device = torch.device("cuda" if self.cuda else "cpu")
        if self.cuda:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
            torch.backends.cudnn.benchmark = True
        self.flat, self.first = Flat(fresh(), is_matrix, device), 0
        if options.weights:
            z = np.load(options.weights)
            self.flat.start_from({k: z[k].astype(np.float32) for k in z.files})
        self.game = Game(self.flat, options.batch, torch.bfloat16 if self.cuda else torch.float32, device)
        fused = {"fused": True} if self.cuda else {}
        self.judge_optimiser = torch.optim.AdamW(self.game.judges.parameters(), lr=5e-4, betas=(0.8, 0.95), **fused)
        if options.resume:
            state = torch.load(options.resume, map_location=device)
            self.flat.load_state(state["flat"])
            self.game.judges.load_state_dict(state["judges"])
            self.judge_optimiser.load_state_dict(state["judge_optimiser"])
            self.first = state["step"]
        self.audio = Audio(device)

    def set_rates(self, i, done):
        fade = max(0.01, 0.5 + 0.5 * math.cos(math.pi * min(done, 1))) * min(1, (i - self.first + 20) / WARMUP)
        self.flat.rate.fill_(self.options.rate * fade), self.flat.muon_rate.fill_(2.5 * self.options.rate * fade)
        self.flat.decay.fill_(1 - min(0.999, (1 + i) / (10 + i)))

    def save_average(self, name="vocos"):
        out = self.options.out
        with open(out / "vocos.part", "wb") as f:
            np.savez(f, **{k: v.detach().half().cpu().numpy() for k, v in self.flat.averaged.items()})
        os.replace(out / "vocos.part", out / f"{name}.npz")

    def save(self, i):
        if not torch.isfinite(self.flat.average).all():
            raise SystemExit("the weights are no longer finite; the last good ones are kept")
        out = self.options.out
        self.save_average()
        torch.save({"flat": self.flat.state(), "judges": self.game.judges.state_dict(),
                    "judge_optimiser": self.judge_optimiser.state_dict(), "step": i}, out / "vocos-state.part")
        os.replace(out / "vocos-state.part", out / "vocos-state.pt")

    def run(self):
        o, directory = self.options, self.options.directory
        while not self.audio.load_new(directory, o.shards):
            if (directory / "done").exists() and not self.audio.load_new(directory, o.shards):
                raise SystemExit(f"{directory}: no shards but the one kept for validation")
            time.sleep(0.2)
        end, plain, adversarial = o.until or self.begun + 60 * o.minutes, None, None
        saved = said = time.time()
        started = o.since or said
        i = i0 = self.first
        while True:
            now = time.time()
            done = (now - started) / max(end - started, 1)
            if i % 10 == 0:
                self.set_rates(i, done)
            if i % 100 == 0:
                self.audio.load_new(directory, o.shards)
            self.game.real.copy_(self.audio.segments(o.batch))
            if done < o.adversarial:
                plain = plain or captured(self.game.plain, self.cuda, self.flat)
                plain()
            else:
                if not adversarial:
                    self.save(i)
                    if not (o.resume and (o.out / "vocos-plain.npz").exists()):
                        self.save_average("vocos-plain")  # whatever becomes of the discriminators
                    adversarial = captured(self.game.adversarial, self.cuda, self.flat)
                adversarial()
                self.judge_optimiser.step()
            i += 1
            stop = now > end - 3
            if stop or now - said > 10:
                mel, stft, fooled, matched = self.game.metrics.tolist()
                print(f"[{now - self.begun:5.0f} s] step {i:6} mel {mel:.4f} stft {stft:.4f} fooled {fooled:.2f} "
                      f"matched {matched:.3f} norm {self.flat.norm.item():.1f} skipped {int(self.flat.skipped)} "
                      f"{(i - i0) / (now - said):.1f} steps/s", flush=True)
                said, i0 = now, i
            if stop or now - saved > o.every:
                self.save(i)
                saved = now
            if stop:
                break


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("directory", type=Path)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--until", type=float, help="the end instead, in seconds since 1970")
    p.add_argument("--since", type=float, help="when the schedule began, likewise; default: when there is speech")
    p.add_argument("--every", type=float, default=60, help="seconds between checkpoints")
    p.add_argument("--adversarial", type=float, default=0.3, help="part of the time after which it begins")
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--rate", type=float, default=8e-4, help="Adam's; Muon's is 2.5 times it")
    p.add_argument("--shards", type=int, default=40, help="of the corpus that are held at most")
    p.add_argument("--arch", help="a .json with other sizes than dit.py's")
    p.add_argument("--weights", help="a vocos.npz to start from, with fresh optimisers")
    p.add_argument("--resume", help="a vocos-state.pt")
    options = p.parse_args()
    if options.arch:
        choose(options.arch)
    options.out.mkdir(parents=True, exist_ok=True)
    Training(options).run()


if __name__ == "__main__":
    main()
