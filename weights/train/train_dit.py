#!/usr/bin/env python3
"""train_dit.py — trains the acoustic model on the shards of a directory, while they are still being made.

    train_dit.py DIRECTORY --out OUT --minutes 30 [--resume STATE | --weights ema-0.npz]

Conditional flow matching (Lipman 2023) as F5-TTS trains it: straight paths from noise to mel, a masked part to be
spoken, the rest shown; audio withheld in 30 % of the cases and audio and text in 20 %, for guidance. The two auxiliary
losses are explained in dit.py. Every minute OUT receives the averaged weights (ema-0.npz, ema-1.npz: fp16, halves of
it), what a voice is made of, and state.pt, with which --resume continues as if nothing had happened.
"""
import argparse
import itertools
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

import batches
import dit
from optim import Flat

CONTROL_EVERY = 20
WARMUP = 400


class Step:
    """Gradients of one batch length; on a GPU captured once as a CUDA graph."""

    def __init__(self, flat, length, kind, pieces, aux, device):
        self.flat, self.kind, self.pieces, self.aux = flat, kind, pieces, aux
        self.batch = batches.like(length, device)
        self.graph = None
        if device.type == "cuda":
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    self.run()
            torch.cuda.current_stream().wait_stream(side)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
                self.metrics = self.run()

    def run(self):
        self.flat.grad.zero_()
        total, metrics = dit.losses(self.flat.w, self.batch, self.kind, self.pieces, self.aux)
        total.backward()
        return metrics

    def __call__(self, batch):
        self.batch.copy_(batch)
        if self.graph:
            self.graph.replay()
        else:
            self.metrics = self.run()
        return self.metrics


class Captured:
    """The optimiser's step as a CUDA graph."""

    def __init__(self, flat, device):
        self.run, self.graph = flat.step, None
        if device.type == "cuda":
            saved = {k: v.clone() for k, v in flat.state().items() if torch.is_tensor(v)}
            for _ in range(3):
                flat.step()
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
                flat.step()
            flat.load_state({**saved, "names": flat.names})

    def __call__(self):
        self.graph.replay() if self.graph else self.run()


def save_average(flat, out):
    """fp16, in two files, each replaced whole."""
    halves, sizes = ({}, {}), [0, 0]
    for name in flat.names:
        part = int(sizes[0] > sizes[1])
        halves[part][name] = flat.averaged[name].detach().half().cpu().numpy()
        sizes[part] += halves[part][name].nbytes
    for part, tensors in enumerate(halves):
        with open(out / f"ema-{part}.part", "wb") as f:
            np.savez(f, **tensors)
        os.replace(out / f"ema-{part}.part", out / f"ema-{part}.npz")


def load_average(path):
    """Weights by name, from ema-0.npz (its other half lies beside it)."""
    tensors = {}
    for part in (0, 1):
        z = np.load(str(path).replace("ema-0", f"ema-{part}"))
        tensors.update({name: torch.from_numpy(z[name].astype(np.float32)) for name in z.files})
    return tensors


@torch.no_grad()
def validate(flat, store, kind, length=704, count=20):
    """On unseen speech, with the averaged weights: flow loss with the right text, none and another's; how many phones
    are known near the noise; and how far sampled mels are from the real ones."""
    pieces, w = dit.Pieces(), flat.averaged
    state = torch.get_rng_state(), torch.cuda.get_rng_state() if store.device.type == "cuda" else None
    torch.manual_seed(7)
    speech, known, ids, n, phone, ahead = store.joined(store.draw_pairs(length, count), length)
    m = torch.arange(length, device=store.device).unsqueeze(0)
    mask = (m > known.unsqueeze(1)).float()
    cond = speech * (m < known.unsqueeze(1) - 1).unsqueeze(2)
    cond = torch.where(((m >= known.unsqueeze(1) - 1) & (mask == 0)).unsqueeze(2), batches.SILENCE, cond)
    noise = torch.randn_like(speech)
    no = torch.zeros(count, dtype=torch.bool, device=store.device)
    line = {}

    def flow(t, cond, ids, n, null):
        at = torch.full((count,), t, device=store.device)
        taps = []
        text = dit.text_encode(w, ids, n, null, length, kind)
        v = dit.velocity(w, noise + t * (speech - noise), cond, text, at, kind, pieces, taps)
        right = ((taps[-1][..., :-1].argmax(dim=2) == phone) * mask).sum() / mask.sum()
        return (((v - speech + noise).square().mean(dim=2) * mask).sum() / mask.sum()).item(), right.item()

    for t in (0.02, 0.1, 0.2, 0.5):
        line[f"t{t}"], line[f"ph{t}"] = flow(t, cond, ids, n, no)
    line["none0.2"] = flow(0.2, cond, ids, n, ~no)[0]
    line["wrong0.2"] = flow(0.2, cond, ids.roll(1, 0), n.roll(1, 0), no)[0]
    times = dit_times(16, store.device)
    few = slice(0, 12)
    made = dit.sample(w, cond[few], ids[few], n[few], noise[few], times, 2.0, kind)
    inside = mask[few].unsqueeze(2)
    line["mel"] = (((made - speech[few]).abs() * inside).sum() / inside.sum() / dit.MEL).item()
    rough = [((x[few, 1:] - x[few, :-1]).abs() * inside[:, 1:]).sum() for x in (made, speech)]
    line["sharp"] = (rough[0] / rough[1]).item()
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1])
    return line


def dit_times(steps, device):
    return batches.reference.time_grid(steps, -1.0, True, torch.float32, device)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("directory", type=Path)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--minutes", type=float, required=True, help="from start to end, compilation included")
    p.add_argument("--resume", help="a state.pt")
    p.add_argument("--weights", help="an ema-0.npz to start from, with a fresh optimiser")
    p.add_argument("--rate", type=float, default=6e-4, help="Adam's highest learning rate")
    p.add_argument("--muon-rate", type=float, default=1.5e-3, help="Muon's; 0: Adam for all")
    p.add_argument("--aux", type=float, default=0.2, help="weight of the auxiliary losses")
    p.add_argument("--capacity", type=float, default=45, help="hours of speech held on each GPU")
    p.add_argument("--first-hours", type=float, default=2, help="begin once there is so much")
    p.add_argument("--frames", type=int, default=batches.FRAMES, help="of a batch on each GPU, about")
    p.add_argument("--steps", type=int, default=10**9)
    p.add_argument("--every", type=float, default=60, help="seconds between checkpoints and validations")
    p.add_argument("--profile", action="store_true", help="at the end print where the time of a step goes")
    p.add_argument("--no-compile", action="store_true")
    options = p.parse_args()
    batches.FRAMES = options.frames
    begun = time.time()
    end = begun + 60 * options.minutes
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    if world > 1:
        dist.init_process_group("nccl" if cuda else "gloo", **({"device_id": device} if cuda else {}))
    kind = torch.bfloat16 if cuda else torch.float32
    options.out.mkdir(parents=True, exist_ok=True)

    def say(text):
        if rank == 0:
            print(f"[{time.time() - begun:5.0f} s] {text}", flush=True)

    flat = Flat(dit.fresh(), dit.is_matrix, device, muon=options.muon_rate > 0)
    if options.weights:
        flat.start_from(load_average(options.weights))
    pieces = dit.Pieces(compiled=cuda and not options.no_compile)
    turn = rank % len(batches.LENGTHS)  # each process compiles another length first, and finds the others' work cached
    step = {n: Step(flat, n, kind, pieces, options.aux, device) for n in batches.LENGTHS[turn:] + batches.LENGTHS[:turn]}
    flat.grad.normal_(std=1e-3)
    update = Captured(flat, device)
    if options.resume:
        flat.load_state(torch.load(options.resume, map_location=device))
    say(f"{flat.flat.numel() / 1e6:.1f} M weights, {world} processes, compiled")

    store = batches.Store(device, int(options.capacity * 3600 * 93.75 * 1.02))
    unseen = batches.Store(device, int(0.3 * 3600 * 93.75))

    def mine(number):
        return number > 0 and number % world == rank

    while store.used < options.first_hours * 3600 * 93.75 / world or not unseen.utterances:
        came = store.load_new(options.directory, mine) | unseen.load_new(options.directory, lambda i: i == 0)
        if (options.directory / "done").exists() and not came:
            if not store.utterances:
                raise SystemExit(f"{options.directory}: no shard for process {rank}; the first is kept for validation")
            break
        time.sleep(0 if came else 0.5)
    say(f"{store.used / 337500:.1f} hours here, pairs {({n: len(v) for n, v in store.pairs.items()})}")

    torch.manual_seed(1000 + rank + int(begun) % 1000)
    order = np.random.default_rng(5)
    control = torch.zeros(4, device=device)
    first_step, saved, looked, i0, sums, count = time.time(), time.time(), time.time(), 0, 0, 0
    for i in itertools.count():
        if i % CONTROL_EVERY == 0:
            now = time.time()
            done = (now - first_step) / max(end - first_step, 1)
            fade = max(0.0, 0.5 + 0.5 * math.cos(math.pi * min(1.0, done * 1.01))) * min(1.0, (i + 20) / WARMUP)
            stop = float(now > end - 3 or i >= options.steps)
            control.copy_(torch.tensor([options.rate * fade, options.muon_rate * fade,
                                        1 - min(0.999, (1 + i) / (10 + i)), stop]))
            if world > 1:
                dist.broadcast(control, 0)
            flat.rate.copy_(control[0]), flat.muon_rate.copy_(control[1]), flat.decay.copy_(control[2])
            stop = bool(control[3] > 0)
            if i % 200 == 0:
                store.load_new(options.directory, mine, limit=4)
            if stop or now - looked > 10:
                torch.cuda.synchronize() if cuda else None
                if rank == 0 and count:
                    flow, phone, right, ahead = (sums / count).tolist()
                    say(f"step {i:6} flow {flow:.4f} phone {phone:.3f} ({100 * right:.1f} %) ahead {4 * ahead:.2f} "
                        f"norm {flat.norm.item():.2f} usual {flat.usual.item():.2f} skipped {int(flat.skipped)} "
                        f"hours {store.used / 337500:.1f} {(i - i0) / (now - looked):.1f} steps/s")
                looked, i0, sums, count = now, i, 0, 0
            if rank == 0 and (stop or now - saved > options.every):
                if unseen.utterances:
                    say("     " + " ".join(f"{k} {v:.3f}" for k, v in validate(flat, unseen, kind).items()))
                say("     " + " ".join(f"{k} {a:.1f}/{b:.3f}" for k, a, b in flat.group_norms()[:6]))
                save_average(flat, options.out)
                torch.save(flat.state(), options.out / "state.part")
                os.replace(options.out / "state.part", options.out / "state.pt")
                saved = time.time()
            if stop:
                break
        length = int(order.choice(batches.LENGTHS))  # the same on all GPUs, so that none waits
        if not len(store.pairs[length]):
            length = max(batches.LENGTHS, key=lambda n: len(store.pairs[n]))
        metrics = step[length](store.batch(length))
        if world > 1:
            dist.all_reduce(flat.grad)
            flat.grad.div_(world)
        update()
        sums, count = sums + metrics, count + 1
    say(f"done: {i} steps")
    if options.profile and cuda and rank == 0:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            for length in batches.LENGTHS:
                step[length](store.batch(length))
                update()
            torch.cuda.synchronize()
        print(profile.key_averages().table(sort_by="cuda_time_total", row_limit=24, max_name_column_width=90))
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
