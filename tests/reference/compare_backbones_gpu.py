#!/usr/bin/env python3
"""compare_backbones_gpu.py — compare_backbones.py on a GPU: libf5tts in each of its number types, and upstream's own classes
in each of PyTorch's, all against upstream's classes in float64, at full width and depth.

Run by hand, not by `make test`: it needs a GPU, libf5tts built for it and upstream's packages on the path (README.md).

    PYTHONPATH=SITE tests/reference/compare_backbones_gpu.py [--arch MMDiT_Base E2TTS_Base] [--lengths 211 938 1406]

    velocity   one evaluation: alone (cfg 0), and both branches guided by 2, at times 0 and 1/2
    sampled    NFE 7, NFE 32, midpoint 8, NFE 7 without sway; and the worst of seven odd lengths as one packed batch

PyTorch's float32 is without TF32, its 16 bits are wholly so, as upstream runs them; "inf" where upstream's solver refuses the
time grid, whose first steps are one number in bf16. Its fp32 and bf16 are run at the first length only. Prints relative L2
distances of generated frames; exits 1 where ours is over its bar, or in fp16 not below PyTorch's."""
import argparse
import copy
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

import compare_backbones as backbones
import compare_upstream
import f5lib
from compare_backbones import BATCH, HOW, Upstream, rc

TYPES = dict(fp32=torch.float32, fp16=torch.float16, bf16=torch.bfloat16)
BARS = dict(velocity=dict(fp32=1e-5, fp16=1e-3), sampled=dict(fp32=3e-5, fp16=1e-3))


@dataclass
class Case:
    """How ours is asked for, and the same of upstream's: each gives a list of what is compared, one a request."""
    kind: str
    title: str
    requests: list
    evaluations: int
    ours: object
    theirs: object

    @property
    def work(self):
        """The cheap ones come first."""
        return self.evaluations * sum(r["frames"] for r in self.requests)

    def of(self, upstream):
        try:
            return self.theirs(upstream)
        except AssertionError:
            return [torch.full((r["frames"], 100), torch.inf) for r in self.requests]

    def worst(self, found, truth):
        return max(backbones.distance(a, b, r["frames"] // 3) for a, b, r in zip(found, truth, self.requests))


def velocity_case(request, cfg, middle):
    def theirs(upstream):
        velocities = upstream.velocities(request, cfg)
        return [[v for v, _ in zip(velocities, range(1 + middle))][-1]]

    title = f"velocity at {'1/2' if middle else 0}, cfg {cfg:.0f}, N {request['frames']}"
    return Case("velocity", title, [request], 1 + middle, lambda e: [backbones.our_velocity(e, request, cfg, middle)], theirs)


def sampled_case(title, requests, how):
    evaluations = how["steps"] * (1 + how.get("midpoint", False))
    return Case("sampled", title, requests, evaluations, lambda e: backbones.ours(e, requests, **how),
                lambda upstream: [upstream.sample(r, **how) for r in requests])


def cases_of(model, lengths):
    for frames in lengths:
        request = model.request(frames)
        for cfg, middle in ((0.0, False), (2.0, False), (2.0, True)):
            yield velocity_case(request, cfg, middle)
        for name, how in HOW.items():
            if how.get("sway", -1.0) or frames == lengths[0]:
                yield sampled_case(f"{name}, N {frames}", [request], how)
    yield sampled_case(f"NFE 7, N {', '.join(map(str, BATCH))}", [model.request(n) for n in BATCH], HOW["NFE 7"])


def judge(case, ours, theirs):
    """What is wrong, in words."""
    over = [f"{name} over {bar:.0e}" for name, bar in BARS[case.kind].items() if name in ours and not ours[name] <= bar]
    if "fp16" in ours and not ours["fp16"] < theirs["fp16"]:
        over.append("fp16 not below PyTorch's")
    return ", ".join(over)


def compare(c, upstream, args, arch):
    """The number of rows that fail."""
    started, device = time.time(), torch.device(args.device)
    types = {name: TYPES[name] for name in args.types}
    with tempfile.TemporaryDirectory() as folder:
        model = backbones.Model(c, upstream, Path(folder), arch, args.depth or rc.ARCHS[arch]["depth"], device)
        cases, found = sorted(cases_of(model, args.lengths), key=lambda case: case.work), {}
        for name in types:
            with f5lib.Engine(model.path, args.device, name, max_frames=max(*args.lengths, sum(BATCH)), max_batch=len(BATCH)) as e:
                found[name] = [case.ours(e) for case in cases]
    peers = {name: Upstream(copy.deepcopy(model.cfm), kind) for name, kind in types.items()}
    truth = Upstream(model.cfm, torch.float64)
    print(f"\n{model.title}: relative L2 against upstream's classes in float64 (made and run in {time.time() - started:.0f} s)")
    columns = [f"{whose} {name}" for whose in ("ours", "torch") for name in types]
    print(f"{'':58}" + "".join(f"{column:>11}" for column in columns), flush=True)
    failed = 0
    for i, case in enumerate(cases):
        right, begun = case.of(truth), time.time()
        ours = {name: case.worst(found[name][i], right) for name in types}
        short = max(r["frames"] for r in case.requests) == args.lengths[0]
        theirs = {name: case.worst(case.of(peers[name]), right) for name in types if short or name == "fp16"}
        wrong = judge(case, ours, theirs)
        failed += bool(wrong)
        columns = "".join(f"{errors[name]:11.2e}" if name in errors else " " * 11 for errors in (ours, theirs) for name in types)
        print(f"{case.title:58}{columns}  {wrong or 'ok'}  ({begun - started:.0f} s)", flush=True)
    print(f"{len(cases)} rows, {failed} failed, {time.time() - started:.0f} s", flush=True)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", nargs="+", choices=backbones.ARCHS, default=["MMDiT_Base", "E2TTS_Base"])
    parser.add_argument("--lengths", nargs="+", type=int, default=[211, 938, 1406])
    parser.add_argument("--types", nargs="+", choices=TYPES, default=list(TYPES))
    parser.add_argument("--depth", type=int, help="in place of the architecture's own, to try it out")
    parser.add_argument("--device", default="cuda", help="cpu, with --types fp32, to try it out")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "little"))
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    compare_upstream.ours.exact_math()
    print(f"torch {torch.__version__}, seed {args.seed}")
    c, upstream = compare_upstream.Comparison(torch.device("cpu"), args.seed), compare_upstream.import_upstream()
    return int(sum(compare(c, upstream, args, arch) for arch in args.arch) > 0)


if __name__ == "__main__":
    sys.exit(main())
