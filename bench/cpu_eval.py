#!/usr/bin/env python3
"""One DiT evaluation on the CPU, both branches of guidance: libf5tts against PyTorch, on this machine, in turns.

    python3 bench/cpu_eval.py [--arch F5TTS_v1_Base] [--frames 500] [--rounds 5] [--threads N]

Ours is the time of one Euler step of f5_sample, from one progress callback to the next; PyTorch runs inside the
callback, so that the two alternate A B A B on the same threads. Both compute the same velocity, which is checked.
PyTorch's evaluation takes the two branches as one batch, as upstream does, text features beforehand. Upstream computes
the AdaLN modulations in every evaluation, ours once per time grid; their share is printed. Set OMP_WAIT_POLICY=passive:
PyTorch's threads that spin while they wait take the cores that both sides are timed on.
"""
import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "stages"), str(ROOT / "tests" / "reference")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

import f5lib  # noqa: E402
import model as reference  # noqa: E402
import models  # noqa: E402
import stage  # noqa: E402


class TorchPeer:
    """One evaluation as upstream arranges it: [2,N,D], conditional and null branch; its own attention if it has one."""

    def __init__(self, m, request):
        self.w, frames = m.weights, request["frames"]
        tokens = torch.from_numpy(request["tokens"]).long()
        cond = torch.from_numpy(stage.shown(request))
        self.cond = torch.stack((cond, torch.zeros_like(cond)))
        self.text = torch.stack([reference.text_encode(m.weights, m.options, tokens, frames, null)
                                 for null in (False, True)])
        heads = self.w["transformer.transformer_blocks.0.attn.to_q.weight"].shape[0] // 64
        self.rotated = heads if m.options.pe_attn_head is None else m.options.pe_attn_head
        angle = torch.outer(torch.arange(frames).float(), 10000.0 ** -(torch.arange(0, 64, 2) / 64))
        angle = angle.repeat_interleave(2, dim=1)
        self.cos, self.sin = angle.cos(), angle.sin()
        self.depth = reference.blocks_under(self.w, "transformer.transformer_blocks.")

    def modulations(self, c):
        c = F.silu(c)
        blocks = [reference.linear(self.w, f"transformer.transformer_blocks.{i}.attn_norm.linear", c).chunk(6)
                  for i in range(self.depth)]
        return blocks, reference.linear(self.w, "transformer.norm_out.linear", c).chunk(2)

    def rotate(self, x):
        part = x[:, :self.rotated]
        turned = torch.stack((-part[..., 1::2], part[..., 0::2]), dim=-1).flatten(-2)
        return torch.cat((part * self.cos + turned * self.sin, x[:, self.rotated:]), dim=1)

    def attention(self, p, x):
        q, k, v = (reference.linear(self.w, p + name, x).unflatten(2, (-1, 64)).transpose(1, 2)
                   for name in ("to_q", "to_k", "to_v"))
        q, k = self.rotate(q), self.rotate(k)
        if hasattr(F, "scaled_dot_product_attention"):
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = torch.matmul((torch.matmul(q, k.transpose(2, 3)) * 0.125).softmax(dim=3), v)
        return reference.linear(self.w, p + "to_out.0", y.transpose(1, 2).flatten(2))

    def conv_position(self, x):
        x = x.transpose(1, 2)
        for i in (0, 2):
            name = f"transformer.input_embed.conv_pos_embed.conv1d.{i}"
            x = F.mish(F.conv1d(x, self.w[name + ".weight"], self.w[name + ".bias"], padding=15, groups=16))
        return x.transpose(1, 2)

    def __call__(self, x, t):
        """x [N,100] -> velocities [2,N,100]."""
        w = self.w
        blocks, (scale, shift) = self.modulations(reference.time_vector(w, t))
        x = torch.cat((x.expand_as(self.cond), self.cond, self.text), dim=2)
        x = reference.linear(w, "transformer.input_embed.proj", x)
        x = x + self.conv_position(x)
        for i, (shift_a, scale_a, gate_a, shift_m, scale_m, gate_m) in enumerate(blocks):
            p = f"transformer.transformer_blocks.{i}."
            x = x + gate_a * self.attention(p + "attn.", reference.layer_norm(x) * (1 + scale_a) + shift_a)
            h = reference.linear(w, p + "ff.ff.0.0", reference.layer_norm(x) * (1 + scale_m) + shift_m)
            x = x + gate_m * reference.linear(w, p + "ff.ff.2", F.gelu(h, approximate="tanh"))
        return reference.linear(w, "transformer.proj_out", reference.layer_norm(x) * (1 + scale) + shift)


def check_same(m, request, peer):
    """Both must compute the same thing, or the comparison means nothing."""
    trace = stage.Trace("dit.velocity")
    with f5lib.Engine(m.path, max_frames=request["frames"], trace=trace) as e:
        e.sample([request], nfe=1)
    want = peer(torch.from_numpy(request["noise"]), torch.tensor(0.0)).flatten(0, 1).numpy()
    error = np.linalg.norm(trace.last("dit.velocity") - want) / np.linalg.norm(want)
    assert error < 1e-4, error
    return error


def alternate(m, request, peer, rounds, threads):
    """[seconds of ours], [seconds of PyTorch], [of which modulations]; the first of each warms up and is dropped."""
    ours, theirs, modulations = [], [], []
    x, t = torch.from_numpy(request["noise"]), torch.tensor(0.5)
    c = reference.time_vector(m.weights, t)
    resumed = None

    def between_steps(step, steps):
        nonlocal resumed
        now = time.perf_counter()
        if resumed is not None:  # the first step also holds text encoder and time grid
            ours.append(now - resumed)
        start = time.perf_counter()
        peer(x, t)
        theirs.append(time.perf_counter() - start)
        start = time.perf_counter()
        peer.modulations(c)
        modulations.append(time.perf_counter() - start)
        resumed = time.perf_counter()

    with f5lib.Engine(m.path, max_frames=request["frames"], threads=threads) as e:
        e.sample([request], nfe=rounds + 2, epss=False, progress=between_steps)
    return ours[1:], theirs[1:-1], modulations[1:-1]


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--arch", default="F5TTS_v1_Base")
    options.add_argument("--frames", type=int, default=500)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=os.cpu_count())
    options = options.parse_args()
    torch.set_num_threads(options.threads)
    rng = np.random.default_rng(1)
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        m = models.make_model(Path(folder), dict(arch=options.arch), seed=1)
        n = options.frames
        request = stage.make_request(rng, m, n, n // 3, n // 3)
        with f5lib.Engine(m.path, max_frames=n) as e:
            flop = e.plan(n, nfe=2)["flop"] - e.plan(n, nfe=1)["flop"]
        peer = TorchPeer(m, request)
        error = check_same(m, request, peer)
        ours, theirs, modulations = alternate(m, request, peer, options.rounds, options.threads)
    print(f"{options.arch}, N {n}, two branches, {options.threads} threads, float32, torch {torch.__version__}; "
          f"velocities agree to {error:.1e}")
    for i, (a, b) in enumerate(zip(ours, theirs)):
        print(f"  round {i + 1}: f5tts {a:7.3f} s   torch {b:7.3f} s   ratio {b / a:.3f}")
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"median: f5tts {a:.3f} s ({flop / a / 1e9:.0f} GFLOP/s)   torch {b:.3f} s, of which modulations "
          f"{statistics.median(modulations):.3f} s   ratio torch/f5tts {b / a:.3f}")


if __name__ == "__main__":
    main()
