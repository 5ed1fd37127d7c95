#!/usr/bin/env python3
"""compare_backbones.py — libf5tts beside upstream's own classes (DiT, UNetT, MMDiT inside CFM) at full width: one velocity,
and whole samplings, of random weights as large as trained ones (AdaLN and outputs std 0.02). A model is saved as upstream's
trainer saves it, made a .f5 file by `f5tts convert`, and run on the CPU in fp32.

Run by hand, not by `make test`: it needs upstream's packages on the path (README.md has the commands).

    PYTHONPATH=SITE tests/reference/compare_backbones.py [--arch MMDiT_Base E2TTS_Base] [--part velocity sampling long batch]

    velocity   full depth, N 211, 938, 1406: with both branches guided by 2, and alone; at times 0 and 1/2
    sampling   full depth, N 211, NFE 7; half of the depth, N 211: NFE 32, midpoint 8, NFE 7 without sway
    long       --long-depth blocks, N 938 and 1406: NFE 7, 32, midpoint 8
    batch      half of the depth: seven sequences of 57 to 330 frames as one packed batch, NFE 7; upstream has each alone

Prints the relative L2 distance of generated frames; exits 1 where a velocity is over 1e-5 away or a sampling over 3e-5."""
import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import compare_upstream  # noqa: E402
import convert_lib as lib  # noqa: E402
import f5file  # noqa: E402
import f5lib  # noqa: E402
from convert_lib import rc  # noqa: E402

BARS = {"velocity": 1e-5, "sampling": 3e-5}
ARCHS = ("MMDiT_Base", "E2TTS_Base", "E2TTS_Small", "F5TTS_Base", "F5TTS_v1_Base")
HOW = {"NFE 7": dict(steps=7), "NFE 32": dict(steps=32), "midpoint 8": dict(steps=8, midpoint=True),
       "NFE 7, no sway": dict(steps=7, sway=None)}
BATCH = (57, 211, 93, 330, 140, 71, 256)


class Upstream:
    """Upstream's CFM in a number type of its own; requests are given and answers come back on the CPU, in double."""

    def __init__(self, cfm, dtype=torch.float32):
        self.cfm, self.dtype = cfm.to(dtype), dtype

    def placed(self, x):
        return x.to(self.cfm.device, self.dtype)

    def velocities(self, request, cfg):
        """Guided: of the noise at time 0, and at 1/2 of where that one leads to by then. Yields them as they are asked for."""
        cond = torch.zeros(request["frames"], 100)
        cond[:len(request["cond"])] = request["cond"]
        given = dict(cond=self.placed(cond)[None], text=request["tokens"].to(self.cfm.device)[None])

        def velocity(x, t):
            at = given | dict(x=x[None], time=self.placed(torch.tensor(t)))
            if cfg < 1e-5:
                return self.cfm.transformer(**at)[0]
            v, null = self.cfm.transformer(**at, cfg_infer=True)
            return v + (v - null) * cfg

        noise = self.placed(request["noise"])
        first = velocity(noise, 0.0)
        yield first.double().cpu()
        yield velocity(noise + first / 2, 0.5).double().cpu()

    def sample(self, request, steps, cfg=2.0, sway=-1.0, midpoint=False):
        """With the request's noise."""
        self.cfm.odeint_kwargs = dict(method="midpoint" if midpoint else "euler")
        drawn, torch.randn = torch.randn, lambda *_, **__: self.placed(request["noise"])
        try:
            mel, _ = self.cfm.sample(self.placed(request["cond"])[None], request["tokens"].to(self.cfm.device)[None],
                                     request["frames"], steps=steps, cfg_strength=cfg, sway_sampling_coef=sway)
        finally:
            torch.randn = drawn
        return mel[0].double().cpu()


class Model:
    """Upstream's CFM with fresh weights, and a .f5 file of the same ones."""

    def __init__(self, c, upstream, folder, arch, depth, device=torch.device("cpu")):
        self.c, (f5, _, mel_spec) = c, upstream
        config = {**rc.OPTIONS, **rc.ARCHS[arch], "vocoder": "vocos"}
        made = dict(config=config | dict(depth=depth), vocab=rc.default_vocab())
        keys = {"DiT": ("text_dim", "conv_layers", "pe_attn_head"), "UNetT": ("text_dim", "conv_layers", "pe_attn_head"), "MMDiT": ()}
        settings = {k: config[k] for k in ("dim", "heads", "ff_mult", "text_mask_padding", *keys[config["backbone"]])}
        if config["backbone"] == "UNetT":
            settings["skip_connect_type"] = config["skip"]
        self.vocab = len(made["vocab"])
        with mock.patch("torch.nn.init.kaiming_uniform_"):  # takes seconds, and all is drawn below
            backbone = getattr(f5, config["backbone"])(text_num_embeds=self.vocab, mel_dim=100, depth=depth, **settings)
        self.cfm = f5.CFM(transformer=backbone, mel_spec_module=mel_spec()).to(device)
        compare_upstream.randomize(self.cfm, torch.Generator(device).manual_seed(int(c.tokens(1, 1 << 30))))
        self.cfm.eval()
        self.path = (self.convert if device.type == "cpu" else self.write)(made, arch, folder)
        self.title = f"{arch}, depth {depth}"

    def convert(self, made, arch, folder):
        """A checkpoint of the trainer's, with Vocos beside it, small: nothing here is heard."""
        small = rc.make_checkpoint(folder, "tiny", vocab=made["vocab"])
        Path(small["yaml"]).write_text(rc.model_yaml(arch, made["config"]))
        averaged = {f"ema_model.{k}": v for k, v in self.cfm.state_dict().items()}
        torch.save({"ema_model_state_dict": averaged | dict(initted=torch.tensor(True), step=torch.tensor(1))}, folder / "model.pt")
        done = lib.convert(small | dict(checkpoint=folder / "model.pt"), folder / "model.f5")
        assert done.returncode == 0, done.stderr
        os.remove(folder / "model.pt")
        return folder / "model.f5"

    def write(self, made, arch, folder):
        """By f5file.py, which test_f5file.py holds against the converter: a GPU machine may have no converter."""
        sizes = {k: v for k, v in rc.ARCHS["demo"].items() if k.startswith("vocos_")}
        made["config"] = made["config"] | sizes
        made["vocos"] = rc.draw_all(rc.vocoder_tensors(made["config"]), 1)
        made["model"] = {k: v.cpu().numpy() for k, v in self.cfm.state_dict().items() if k.startswith("transformer.")}
        f5file.write_f5(folder / "model.f5", made, name=arch)
        return folder / "model.f5"

    def request(self, frames):
        tokens, cond = self.c.tokens(max(3, frames // 7), self.vocab), self.c.randn(frames // 3, 100) * 2 - 4
        return dict(cond=cond, tokens=tokens, frames=frames, noise=self.c.randn(frames, 100))


def ours(engine, requests, steps, cfg=2.0, sway=-1.0, midpoint=False, epss=True):
    given = [{k: v if isinstance(v, int) else v.numpy() for k, v in r.items()} for r in requests]
    return [torch.from_numpy(m).double() for m in engine.sample(given, nfe=steps, cfg=cfg, sway=sway, epss=epss, midpoint=midpoint)]


def our_velocity(engine, request, cfg, middle=False):
    """One step of a uniform grid moves the noise by its velocity at 0; one of the midpoint's by that at 1/2."""
    return ours(engine, [request], 1, cfg, None, middle, epss=False)[0] - request["noise"]


def distance(mine, theirs, kept):
    """Relative, L2, of the frames behind the kept ones."""
    found = float(torch.linalg.vector_norm((mine - theirs)[kept:]) / torch.linalg.vector_norm(theirs[kept:]))
    return found if np.isfinite(found) else float("inf")


class Report:
    def __init__(self):
        self.worst, self.count, self.started = {}, 0, time.time()

    def line(self, kind, what, mine, theirs, kept):
        error = distance(mine, theirs, kept)
        self.worst[kind] = max(self.worst.get(kind, 0), error)
        self.count += 1
        bad = "ok " if error <= BARS[kind] else "BAD"
        print(f"{error:9.2e}  {bad}  {what}  ({time.time() - self.started:.0f} s)", flush=True)


def compare_velocity(report, model, engine, lengths):
    theirs = Upstream(model.cfm)
    for frames in lengths:
        request = model.request(frames)
        for cfg in (0.0, 2.0):
            velocities = theirs.velocities(request, cfg)
            for middle in (False, True)[:1 + (cfg > 0)]:
                report.line("velocity", f"{model.title}: velocity at {'1/2' if middle else 0}, N {frames}, cfg {cfg}",
                            our_velocity(engine, request, cfg, middle), next(velocities), frames // 3)


def compare_sampling(report, model, engine, frames, hows):
    request, theirs = model.request(frames), Upstream(model.cfm)
    for how in hows:
        mine, = ours(engine, [request], **HOW[how])
        report.line("sampling", f"{model.title}: {how}, N {frames}", mine, theirs.sample(request, **HOW[how]), frames // 3)


def compare_batch(report, model, engine):
    requests, theirs = [model.request(n) for n in BATCH], Upstream(model.cfm)
    for request, mel in zip(requests, ours(engine, requests, 7)):
        n = request["frames"]
        report.line("sampling", f"{model.title}: N {n} of a batch of {len(BATCH)}", mel, theirs.sample(request, 7), n // 3)


def run(report, c, upstream, args, arch):
    full = args.depth or rc.ARCHS[arch]["depth"]
    half = max(2, full // 2) & ~1  # UNetT has pairs of layers
    plans = {full: [], half: [], min(full, args.long_depth): []}
    if "velocity" in args.part:
        plans[full].append(lambda m, e: compare_velocity(report, m, e, args.lengths))
    if "sampling" in args.part:
        plans[full].append(lambda m, e: compare_sampling(report, m, e, 211, ["NFE 7"]))
        plans[half].append(lambda m, e: compare_sampling(report, m, e, 211, ["NFE 32", "midpoint 8", "NFE 7, no sway"]))
    if "batch" in args.part:
        plans[half].append(lambda m, e: compare_batch(report, m, e))
    for frames in [n for n in args.lengths if n != 211] if "long" in args.part else ():
        plans[min(full, args.long_depth)].append(lambda m, e, n=frames: compare_sampling(report, m, e, n, list(HOW)[:3]))
    for depth, parts in plans.items():
        if parts:
            with tempfile.TemporaryDirectory() as folder:
                model = Model(c, upstream, Path(folder), arch, depth)
                with f5lib.Engine(model.path, max_frames=max(1500, sum(BATCH)), max_batch=len(BATCH), threads=args.threads) as engine:
                    for part in parts:
                        part(model, engine)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", nargs="+", choices=ARCHS, default=["MMDiT_Base", "E2TTS_Base"])
    parser.add_argument("--part", nargs="+", choices=["velocity", "sampling", "long", "batch"],
                        default=["velocity", "sampling", "batch", "long"])
    parser.add_argument("--depth", type=int, help="in place of the architecture's own, to try it out")
    parser.add_argument("--lengths", nargs="+", type=int, default=[211, 938, 1406])
    parser.add_argument("--long-depth", type=int, default=4)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "little"))
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    print(f"torch {torch.__version__}, seed {args.seed}")
    upstream, report = compare_upstream.import_upstream(), Report()
    c = compare_upstream.Comparison(torch.device("cpu"), args.seed)
    for arch in args.arch:
        run(report, c, upstream, args, arch)
    for kind, worst in report.worst.items():
        print(f"worst {kind} {worst:.2e}, bar {BARS[kind]:.0e}")
    print(f"{report.count} comparisons")
    return int(any(worst > BARS[kind] for kind, worst in report.worst.items()))


if __name__ == "__main__":
    sys.exit(main())
