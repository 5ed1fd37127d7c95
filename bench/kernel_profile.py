"""bench/kernel_profile.py — where the time of a request goes, kernel by kernel, and what lies idle between them.

    f5bench.py profile [--sizes M] [--nfe 8]

torch.profiler (CUPTI) records every kernel of one request, those inside our CUDA graph too. A step is what lies between
the ends of two `guide` kernels; the first, which holds the text encoder, is left out of the figures of a step.

idle, traced      1 - (time in which at least one kernel runs) / (length of the step), both of the trace
idle, untraced    1 - (sum of a step's kernel times) / (a step's length by the clock, without the profiler: the slope of
                  the ODE's time over the steps). Not given where kernels begin early and wait within (programmatic
                  dependent launch): their times then overlap, and one of them is resident at every moment
"""
import json
import os
import re
import statistics
import tempfile
from collections import Counter, defaultdict, namedtuple
from pathlib import Path

import stages
from workload import COND_FRAMES, SIZES, recording
import cbind  # found by workload, as what follows
from shapes import call_flop

NFE = 8
OPS = cbind.ops()  # of kernels/op_list.h
# kernels whose names do not begin with their op's
OP_OF = [(r"prepare_keys", "attention"), (r"finish_rows|rotate_rows|bias_round|nvjet|cublas|gemm|gemv|xmma|cutlass|splitK",
         "linear"), (r"^mem(cpy|set)", "copy")]
# kernels that end the call which the kernel before them began, and such that begin one
ENDS, BEGINS = r"finish_rows|rotate_rows|splitK|grn_sweep", r"prepare_keys|bias_round"

WIDTH, LEAST = 48, 0.05  # of a kernel's name, in characters; share of a request that is worth a row, in %

Kernel = namedtuple("Kernel", "name start us grid block registers shared")
Call = namedtuple("Call", "op kernels")


# ---- reading a trace


def short_name(raw):
    """'void sm90::persistent<__half, (linear_epilogue)4, 192>(args)' -> 'sm90::persistent<half, 4, 192>'"""
    name = re.sub(r"\(anonymous namespace\)::|^void |<unnamed>::", "", raw)
    name = re.sub(r"\(\w+\)(-?\d+)", r"\1", name)  # template arguments that are enumerators
    name = re.sub(r"__nv_bfloat16", "bf16", name).replace("__half", "half")
    depth = 0
    for i, c in enumerate(name):
        depth += (c == "<") - (c == ">")
        if c == "(" and depth == 0:
            name = name[:i]
            break
    return name if name.startswith("Mem") else name.split(" ")[0] if "<" not in name else name


def op_of(name):
    for pattern, op in OP_OF:
        if re.search(pattern, name, re.I):
            return op
    own = [op for op in OPS if name.startswith(op)]
    return max(own, key=len) if own else "other"


def read_trace(trace):
    """The kernels and copies of a Chrome trace, in the order in which they started."""
    found = []
    for e in trace["traceEvents"]:
        if e.get("ph") == "X" and str(e.get("cat", "")).lower() in ("kernel", "gpu_memcpy", "gpu_memset"):
            a = e.get("args", {})
            found.append(Kernel(short_name(e["name"]), float(e["ts"]), float(e["dur"]), a.get("grid"), a.get("block"),
                                a.get("registers per thread"), a.get("shared memory")))
    return sorted(found, key=lambda k: k.start)


def record(call):
    import torch
    from torch.profiler import ProfilerActivity, profile
    with profile(activities=[ProfilerActivity.CUDA]) as p:
        call()
        torch.cuda.synchronize()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        p.export_chrome_trace(str(path))
        return read_trace(json.loads(path.read_text(encoding="utf-8")))


def start_profiler():
    """Before the engine captures anything: CUPTI must have seen a graph made to tell its kernels apart later. It stays
    attached, so nothing is timed after this in earnest."""
    os.environ["TEARDOWN_CUPTI"] = "0"
    import torch
    record(lambda: torch.zeros(1, device="cuda") + 1)


# ---- what it says


def busy(kernels):
    """Time in which at least one of them runs."""
    total, until = 0.0, float("-inf")
    for k in kernels:
        end = k.start + k.us
        total += max(0.0, end - max(k.start, until))
        until = max(until, end)
    return total


def steps_of(kernels):
    """[[kernels]] of the second step and later; each with its beginning, which is the end of the step before."""
    ends = [i for i, k in enumerate(kernels) if op_of(k.name) == "guide"]
    return [(kernels[a].start + kernels[a].us, kernels[a + 1:b + 1]) for a, b in zip(ends, ends[1:])]


def calls_of(kernels):
    """The op calls that these kernels are."""
    calls = []
    for k in kernels:
        op = op_of(k.name)
        joins = calls and calls[-1].op == op and (re.search(ENDS, k.name) or
                                                  re.search(BEGINS, calls[-1].kernels[-1].name))
        if joins:
            calls[-1].kernels.append(k)
        else:
            calls.append(Call(op, [k]))
    return calls


def labels_of(calls):
    """'qkv', 'norm_m' … for the calls of a step: a block is known by its attention."""
    labels = [c.op for c in calls]
    attentions = [i for i, op in enumerate(labels) if op == "attention"]
    for n, at in enumerate(attentions):
        end = attentions[n + 1] if n + 1 < len(attentions) else len(calls)
        last = n + 1 == len(attentions)
        names = {"linear": ["out", "ff1", "ff2", "velocity" if last else "qkv"],
                 "norm": ["norm_m", "norm_out" if last else "norm_a"]}
        for op, wanted in names.items():
            found = [i for i in range(at + 1, end) if calls[i].op == op]
            if len(found) == len(wanted):
                for i, name in zip(found, wanted):
                    labels[i] = name
    if attentions:
        before = [i for i in range(attentions[0]) if calls[i].op == "linear"]
        for i in before:
            labels[i] = "qkv" if i == before[-1] else "input"
        for i in (i for i in range(attentions[0]) if calls[i].op == "norm"):
            labels[i] = "norm_a"
    return labels


def by_kernel(kernels):
    """Rows of a table: kernels of one name and shape together, the longest first; what is hardly anything, in one."""
    groups = defaultdict(list)
    for k in kernels:
        groups[k.name, str(k.grid)].append(k)
    total = sum(k.us for k in kernels)
    rows, rest = [], []
    for (name, _), found in sorted(groups.items(), key=lambda g: -sum(k.us for k in g[1])):
        k, us = found[0], sum(f.us for f in found)
        if 100 * us / total < LEAST:
            rest.extend(found)
            continue
        shape = "" if not k.grid else "×".join(str(n) for n in k.grid if n != 1) or "1"
        rows.append({"kernel": name[:WIDTH], "op": op_of(name), "count": len(found), "ms": us / 1e3,
                     "median µs": statistics.median(f.us for f in found), "%": 100 * us / total, "grid": shape,
                     "threads": "" if not k.block else k.block[0] * k.block[1] * k.block[2],
                     "registers": k.registers or "", "shared KB": "" if not k.shared else k.shared / 1024})
    if rest:
        us = sum(k.us for k in rest)
        rows.append({"kernel": "the rest", "count": len(rest), "ms": us / 1e3, "%": 100 * us / total})
    return rows


def by_call(steps, flop):
    """Rows of a table: the calls of a step by label, medians over the steps."""
    us, gaps, counts = defaultdict(list), defaultdict(list), Counter()
    for begin, kernels in steps:
        calls, until = calls_of(kernels), begin
        for call, label in zip(calls, labels_of(calls)):
            us[label].append(sum(k.us for k in call.kernels))
            gaps[label].append(call.kernels[0].start - until)
            counts[label] += 1
            until = max(until, max(k.start + k.us for k in call.kernels))
    step = sum(sum(t) for t in us.values()) / len(steps)
    rows = []
    for label in sorted(us, key=lambda name: -sum(us[name])):
        median = statistics.median(us[label])
        rate = flop[label] / median / 1e6 if label in flop else None
        total = sum(us[label]) / len(steps)
        rows.append({"call": label, "a step": counts[label] // len(steps), "median µs": median, "µs a step": total,
                     "%": 100 * total / step, "TFLOP/s": rate, "gap before, µs": statistics.median(gaps[label])})
    return rows


def gaps_between(steps):
    """Rows of a table: idle time by what ran before and what after."""
    found = defaultdict(list)
    for begin, kernels in steps:
        until, previous = begin, "guide"
        for k in kernels:
            name = k.name.split("<")[0][:WIDTH]
            found[previous, name].append(k.start - until)
            until, previous = max(until, k.start + k.us), name
    rows = [{"after": a, "before": b, "a step": len(g) / len(steps), "median µs": statistics.median(g),
             "µs a step": sum(g) / len(steps)} for (a, b), g in found.items()]
    return sorted(rows, key=lambda r: -r["µs a step"])


def step_figures(steps):
    lengths = [max(k.start + k.us for k in kernels) - begin for begin, kernels in steps]
    sums = [sum(k.us for k in kernels) for _, kernels in steps]
    idle = [1 - busy(kernels) / length for (_, kernels), length in zip(steps, lengths)]
    return {"µs": statistics.median(lengths), "kernels": len(steps[0][1]), "kernel µs": statistics.median(sums),
            "idle, traced %": 100 * statistics.median(idle)}


def run(bench):
    """Prints, for each size: a step in figures, its calls, its gaps, and all kernels of the request."""
    start_profiler()
    nfe, sizes = (bench.args.nfe or [NFE])[0], bench.sizes()
    summary = []
    with bench.engine(max_frames=max(SIZES[s] for s in sizes), nfe=max(nfe, stages.NFE)) as ours:
        voice = ours.voice(recording(bench.rng, 5))
        for size in sizes:
            frames = SIZES[size]
            untraced = 1e3 * stages.evaluation(ours, voice, frames, bench.args.rounds)[0]
            speak = ours.request(voice, frames, nfe)
            speak()
            kernels = record(speak)
            steps = steps_of(kernels)
            if not steps:
                raise RuntimeError(f"the profiler saw {len(kernels)} kernels and no two steps among them: "
                                   f"{Counter(k.name for k in kernels).most_common(5)}")
            figures = step_figures(steps)
            overlap = figures["kernel µs"] > 1.02 * figures["µs"]
            outside = busy(kernels) - sum(busy(k) for _, k in steps) * nfe / len(steps)
            figures = {"size": size, **figures, "µs, untraced": untraced,
                       "idle, untraced %": None if overlap else 100 * (1 - figures["kernel µs"] / untraced),
                       "outside the steps, kernel µs": outside}
            summary.append(figures)
            bench.report.table(f"{size}: the calls of a step", list(by_call(steps, {})[0]),
                               by_call(steps, call_flop([frames], bench.config)))
            gaps = gaps_between(steps)
            bench.report.table(f"{size}: between the kernels of a step", list(gaps[0]), gaps[:12])
            rows = by_kernel(kernels)
            bench.report.table(f"{size}: kernels of a request, NFE {nfe}", list(rows[0]), rows)
            for row in by_call(steps, {}):
                bench.report.figure(f"step {size} {bench.precision} {row['call']}", row["µs a step"], "µs")
            for key in ("µs, untraced", "idle, traced %", "idle, untraced %"):
                if figures[key] is None:
                    continue
                bench.report.figure(f"step {size} {bench.precision} {key.removesuffix(' %')}", figures[key],
                                    "%" if key.endswith("%") else "µs")
    bench.report.table("A step", list(summary[0]), summary, f"{COND_FRAMES} of the frames are the reference's; bar: "
                       "idle < 5 %.")
