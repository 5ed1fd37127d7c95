#!/usr/bin/env python3
"""train_dit.py — trains the acoustic model on the shards of a directory, while they are still being made.

    train_dit.py DIRECTORY --out OUT --minutes 30 [--resume STATE | --weights ema-0.npz]

Conditional flow matching (Lipman 2023) as F5-TTS trains it: straight paths from noise to mel, a masked part to be
spoken, the rest shown; audio withheld in 30 % of the cases and audio and text in 20 %, for guidance. The two auxiliary
losses are explained in dit.py. Twice a minute OUT receives the averaged weights (ema-0.npz, ema-1.npz, ...: fp16, parts
of at most some PART_BYTES), what a voice is made of, and state.pt, with which --resume continues as if nothing had
happened.

Several processes (RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torchrun sets them) train one model: other speech
and other noise on each, gradients averaged, and the first one alone decides rates, checkpoints and the end. Every
process should see its own GPU alone (CUDA_VISIBLE_DEVICES): only then do they find each other's compiled code.
"""
import argparse
import datetime
import itertools
import math
import os
import time
import traceback
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

import batches
import dit
from optim import Flat

CONTROL_EVERY = 20  # steps
LOAD_EVERY = 200
AGREE_EVERY = 1000
WARMUP = 400
PART_BYTES = 12_000_000
PATIENCE = 300  # seconds that a process waits for the others: they compile, and the first one saves


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
    """fp16, in two files or more, each replaced whole."""
    count = max(2, -(-2 * flat.flat.numel() // PART_BYTES))
    parts, sizes = [{} for _ in range(count)], [0] * count
    for name in flat.names:
        part = sizes.index(min(sizes))
        parts[part][name] = flat.averaged[name].detach().half().cpu().numpy()
        sizes[part] += parts[part][name].nbytes
    for part, tensors in enumerate(parts):
        with open(out / f"ema-{part}.part", "wb") as f:
            np.savez(f, **tensors)
    for part in range(count):  # together, so that nobody finds parts of two times
        os.replace(out / f"ema-{part}.part", out / f"ema-{part}.npz")
    for left in dit.average_files(out / "ema-0.npz")[count:]:  # of a larger model that was here before
        left.unlink()


def load_average(path):
    """Weights by name, from ema-0.npz (its other parts lie beside it)."""
    tensors = {}
    for part in dit.average_files(path):
        z = np.load(part)
        tensors.update({name: torch.from_numpy(z[name].astype(np.float32)) for name in z.files})
    return tensors


@torch.no_grad()
def validate(flat, store, kind, count=20):
    """On unseen speech, with the averaged weights: flow loss with the right text, none and another's; how many phones
    are known near the noise; and how far sampled mels are from the real ones."""
    pieces, w, length = dit.Pieces(), flat.averaged, batches.LENGTHS[1]
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
    times = batches.reference.time_grid(16, device=store.device)
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


HOUR = 3600 * 24000 // 256  # frames


class Training:
    """One process of a training: the same weights on every GPU, other speech."""

    def __init__(self, options):
        self.options, self.begun = options, time.time()
        self.end = options.until or self.begun + 60 * options.minutes
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.cuda = torch.cuda.is_available()
        if os.environ.get("CUDA_VISIBLE_DEVICES") and not self.cuda:
            raise SystemExit("PyTorch cannot use the GPU that it was given")
        self.device = device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if self.cuda else \
            torch.device("cpu")
        self.kind = torch.bfloat16 if self.cuda else torch.float32
        if self.cuda:
            torch.cuda.set_device(device)
            torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.benchmark = True
        if self.world > 1:
            self.join()
        self.flat = flat = Flat(dit.fresh(), dit.is_matrix, device, muon=options.muon_rate > 0)
        if options.weights:
            flat.start_from(load_average(options.weights))
        # read before the minutes of compiling: a file that cannot be read is told at once
        state = torch.load(options.resume, map_location=device) if options.resume else None
        pieces = dit.Pieces(compiled=self.cuda and not options.no_compile)
        # each process compiles another length first, and then finds the work of the others in the cache
        turn = self.rank % len(batches.LENGTHS)
        self.step = {}
        for n in batches.LENGTHS[turn:] + batches.LENGTHS[:turn]:
            self.step[n] = Step(flat, n, self.kind, pieces, options.aux, device)
            self.say(f"length {n} ready", everywhere=True)
        flat.grad.normal_(std=1e-3)
        self.update = Captured(flat, device)
        self.done = 0.0  # of the schedule, when this call began
        if state:
            flat.load_state(state)
            if options.keep_schedule:
                self.done = float(state["done"])
        self.store = batches.Store(device, int(options.capacity * HOUR))
        self.unseen = batches.Store(device, HOUR // 3)
        self.say(f"{flat.flat.numel() / 1e6:.1f} M weights, {self.world} processes, compiled")

    def say(self, text, everywhere=False):
        if self.rank == 0 or everywhere:
            print(f"[{time.time() - self.begun:5.0f} s] {text}", flush=True)

    def join(self):
        """The group of all processes, and the proof that it adds up: first, as compiling takes long."""
        dist.init_process_group("nccl" if self.cuda else "gloo", timeout=datetime.timedelta(seconds=PATIENCE),
                                **({"device_id": self.device} if self.cuda else {}))
        x = torch.empty(12_800_000 if self.cuda else 1000, device=self.device)
        for _ in range(3):
            begun = time.time()
            x.fill_(self.rank + 1.0)
            dist.all_reduce(x)
            low, high = x.min().item(), x.max().item()
        if not low == high == self.world * (self.world + 1) / 2:
            raise RuntimeError(f"the sum over {self.world} processes is wrong: {low} to {high}")
        self.say(f"joined: {self.world} processes, {x.numel() * 4e-6:.0f} MB added up in "
                 f"{1000 * (time.time() - begun):.1f} ms", everywhere=True)

    @torch.no_grad()
    def agree(self):
        """Everybody's state is the first process's. It should be so anyhow, as all take the same steps."""
        if self.world > 1:
            flat = self.flat
            for x in (flat.flat, flat.average, flat.first, flat.second, flat.usual, flat.skipped, flat.steps):
                dist.broadcast(x, 0)

    def load_some(self, limit):
        """Shards that have come since: the first is kept for validation, the others are dealt out to the processes."""
        directory = self.options.directory
        came = self.store.load_new(directory, lambda i: i > 0 and i % self.world == self.rank, limit)
        return came | self.unseen.load_new(directory, lambda i: i == 0)

    def load_more(self):
        self.load_some(8)

    def wait_for_speech(self):
        begun = said = time.time()
        while True:
            came = self.load_some(8)
            enough = self.store.used >= self.options.first_hours * HOUR / self.world and self.can_draw()
            if enough and (self.unseen.utterances or time.time() - begun > 30):
                break
            if not came and (self.options.directory / "done").exists():
                break
            if time.time() - said > 10:
                said = time.time()
                self.say(f"waits for speech: {self.store.used / HOUR:.2f} hours so far", everywhere=True)
            time.sleep(0 if came else 0.5)
        if not self.can_draw():
            raise SystemExit(f"{self.options.directory}: no shard for process {self.rank}; the first is for validation")
        self.say(f"{self.store.used / HOUR:.1f} hours, pairs {({n: len(v) for n, v in self.store.pairs.items()})}")

    def can_draw(self):
        return any(len(pairs) for pairs in self.store.pairs.values())

    def progress(self):
        """Of the schedule, 0 to 1."""
        part = (time.time() - self.started) / max(self.end - 5 - self.started, 1)
        return self.done + (1 - self.done) * min(1.0, part)

    def set_rates(self, i):
        """Rates by the clock of the first process. True: it is time to stop."""
        o, flat, now = self.options, self.flat, time.time()
        done = self.progress()
        fade = (0.5 + 0.5 * math.cos(math.pi * done)) * (1.0 if o.resume else min(1.0, (i + 20) / WARMUP))
        taken = i + self.taken
        control = torch.tensor([o.rate * fade, o.muon_rate * fade, 1 - min(0.999, (1 + taken) / (10 + taken)),
                                now > self.end - 3 or i >= o.steps], device=self.device)
        if self.world > 1:
            dist.broadcast(control, 0)
        flat.rate.copy_(control[0]), flat.muon_rate.copy_(control[1]), flat.decay.copy_(control[2])
        return bool(control[3] > 0)

    def report(self, i, sums, count, seconds):
        flow, phone, right, ahead = (sums / count).tolist()
        self.say(f"step {i:6} flow {flow:.4f} phone {phone:.3f} ({100 * right:.1f} %) ahead "
                 f"{batches.LETTERS_PER_UNIT * ahead:.2f} norm {self.flat.norm.item():.2f} usual "
                 f"{self.flat.usual.item():.2f} skipped {int(self.flat.skipped)} hours {self.store.used / HOUR:.1f} "
                 f"{count / seconds:.1f} steps/s")

    def save(self):
        if not torch.isfinite(self.flat.average).all():
            raise SystemExit("the weights are no longer finite; the last good ones are kept")
        out = self.options.out
        save_average(self.flat, out)
        torch.save({**self.flat.state(), "done": self.progress()}, out / "state.part")
        os.replace(out / "state.part", out / "state.pt")

    def judge(self):
        if self.unseen.can_validate():
            figures = validate(self.flat, self.unseen, self.kind)
            self.say("     " + " ".join(f"{k} {v:.3f}" for k, v in figures.items()))
        self.say("     " + " ".join(f"{k} {a:.1f}/{b:.3f}" for k, a, b in self.flat.group_norms()[:6]))

    def attempt(self, what):
        """Neither a full disk nor a figure that cannot be had is worth the training."""
        try:
            what()
        except Exception:
            self.say(f"{what.__name__} failed, the training goes on:\n{traceback.format_exc()}")

    def run(self):
        self.wait_for_speech()
        self.agree()
        torch.manual_seed(100_003 * self.rank + int(self.begun) % 100_000)
        lengths = np.random.default_rng(5)  # the same on all GPUs, so that none waits for another
        shares = self.options.shares or [1.0] * len(batches.LENGTHS)
        self.shares = np.array(shares) / sum(shares)
        self.started = saved = judged = looked = time.time()
        self.taken = int(self.flat.steps)
        sums, count = 0, 0
        for i in itertools.count():
            if i % CONTROL_EVERY == 0:
                stop, now = self.set_rates(i), time.time()
                if i % LOAD_EVERY == 0:
                    self.attempt(self.load_more)
                if i % AGREE_EVERY == 0:
                    self.agree()
                if count and (stop or now - looked > 10):
                    self.report(i, sums, count, now - looked)
                    looked, sums, count = now, 0, 0
                if self.rank == 0 and (stop or now - saved > self.options.every):
                    self.attempt(self.save)
                    saved = time.time()
                if self.rank == 0 and (stop or now - judged > self.options.judge_every):
                    self.attempt(self.judge)
                    judged = time.time()
                if stop:
                    break
            length = int(lengths.choice(batches.LENGTHS, p=self.shares))
            if not len(self.store.pairs[length]):
                length = max(batches.LENGTHS, key=lambda n: len(self.store.pairs[n]))
            sums, count = sums + self.train(length), count + 1
        self.say(f"done: {i} steps")
        if self.options.profile and self.cuda and self.rank == 0:
            self.profile()
        if self.world > 1:
            dist.barrier()
            dist.destroy_process_group()

    def train(self, length):
        metrics = self.step[length](self.store.batch(length))
        if self.world > 1:
            dist.all_reduce(self.flat.grad)
            self.flat.grad.div_(self.world)
        self.update()
        return metrics

    def profile(self):
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            for length in batches.LENGTHS:
                self.step[length](self.store.batch(length))
                self.update()
            torch.cuda.synchronize()
        print(profile.key_averages().table(sort_by="cuda_time_total", row_limit=24, max_name_column_width=90))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("directory", type=Path)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--minutes", type=float, default=60, help="from start to end, compilation included")
    p.add_argument("--until", type=float, help="the end instead, in seconds since 1970")
    p.add_argument("--resume", help="a state.pt")
    p.add_argument("--keep-schedule", action="store_true", help="with --resume: rates fall on from where they were")
    p.add_argument("--weights", help="an ema-0.npz to start from, with a fresh optimiser")
    p.add_argument("--rate", type=float, default=6e-4, help="Adam's highest learning rate")
    p.add_argument("--muon-rate", type=float, default=1.5e-3, help="Muon's; 0: Adam for all")
    p.add_argument("--aux", type=float, default=0.2, help="weight of the auxiliary losses")
    p.add_argument("--capacity", type=float, default=45, help="hours of speech held on each GPU")
    p.add_argument("--first-hours", type=float, default=0.6, help="begin once there is so much")
    p.add_argument("--frames", type=int, default=batches.FRAMES, help="of a batch on each GPU, about")
    p.add_argument("--lengths", type=int, nargs="+", default=batches.LENGTHS, help="of sequences, in frames: multiples of 16")
    p.add_argument("--shares", type=float, nargs="+", help="of the batches that each length has; default: all the same")
    p.add_argument("--arch", help="a .json with other sizes than dit.py's")
    p.add_argument("--steps", type=int, default=10**9)
    p.add_argument("--every", type=float, default=30, help="seconds between checkpoints")
    p.add_argument("--judge-every", type=float, default=60, help="seconds between validations")
    p.add_argument("--profile", action="store_true", help="at the end print where the time of a step goes")
    p.add_argument("--no-compile", action="store_true")
    options = p.parse_args()
    batches.FRAMES, batches.LENGTHS = options.frames, tuple(options.lengths)
    if len(batches.LENGTHS) < 2:
        p.error("give two lengths or more: the second is for validation")
    if options.shares and (len(options.shares) != len(options.lengths) or min(options.shares) < 0 or not sum(options.shares)):
        p.error("--shares: one for each length")
    if options.arch:
        dit.choose(options.arch)
    options.out.mkdir(parents=True, exist_ok=True)
    Training(options).run()


if __name__ == "__main__":
    main()
