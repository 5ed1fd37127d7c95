#!/usr/bin/env python3
"""plot.py — draws bench/history: where the time goes, how it grows, how it changed.

    bench/plot.py [gpu, e.g. h200; default: every one there is]       # needs matplotlib (Debian: python3-matplotlib)

    plots/<gpu>-stages.png    one evaluation by op, and all that is no evaluation by stage     from stages, profile
    plots/<gpu>-scaling.png   an evaluation against length and batch, with fit and floor       from sweep, kernels
    plots/<gpu>-history.png   whole requests by commit                                         from e2e
    plots/<gpu>-accuracy.png  error against milliseconds, our settings and upstream's          from accuracy

The floor of an evaluation is its FLOP over the matrix rate that was measured last.
"""
import argparse
import csv
import sys
from pathlib import Path

try:
    import matplotlib
except ImportError:
    sys.exit(f"plot.py needs matplotlib, which {sys.executable} has not (Debian: python3-matplotlib and /usr/bin/python3)")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

HISTORY, PLOTS = (Path(__file__).resolve().parent / name for name in ("history", "plots"))
SIZES = ("S", "M", "L")
OUTSIDE = {"mel": "mel of the reference", "prepare": "layout, copies, noise", "once": "text, condition, launch",
           "Vocos": "Vocos, samples back", "host": "host"}
CALLS = ("attention", "qkv", "out", "ff1", "ff2", "norm_a", "norm_m", "conv_pos", "input", "velocity")


class Figures:
    """The rows of a history, oldest first."""

    def __init__(self, path):
        with open(path, newline="", encoding="utf-8") as f:
            self.rows = [(r["commit"], r["case"], float(r["figure"])) for r in csv.DictReader(f)]
        self.latest = {case: figure for _, case, figure in self.rows}

    def by_commit(self, case):
        """{commit: figure}, the last one of each, in the order of first appearance."""
        return {commit: figure for commit, name, figure in self.rows if name == case}


def stack(axis, bars, unit, title):
    """bars: {size: {part: value}}; parts keep their order."""
    parts = list(dict.fromkeys(part for bar in bars.values() for part in bar))
    bottom = np.zeros(len(bars))
    for part, color in zip(parts, plt.cm.tab20(np.linspace(0, 1, max(len(parts), 2)))):
        heights = np.array([bar.get(part, 0.0) for bar in bars.values()])
        axis.bar(list(bars), heights, 0.6, bottom, label=part, color=color)
        bottom += heights
    for i, total in enumerate(bottom):
        axis.text(i, total, f"{total:.0f}" if total >= 100 else f"{total:.2f}", ha="center", va="bottom")
    axis.set(title=title, ylabel=unit)
    axis.margins(y=0.1)
    handles, labels = axis.get_legend_handles_labels()
    axis.legend(handles[::-1], labels[::-1], fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def plot_stages(figures, precision):
    evaluation = {s: {c: figures.latest[f"step {s} {precision} {c}"] for c in CALLS
                      if f"step {s} {precision} {c}" in figures.latest} for s in SIZES}
    outside = {s: {label: figures.latest[f"stage {s} {precision} {stage}"] for stage, label in OUTSIDE.items()}
               for s in SIZES if all(f"stage {s} {precision} {stage}" in figures.latest for stage in OUTSIDE)}
    if not outside:
        return None
    figure, axes = plt.subplots(1, 2, figsize=(11, 4))
    stack(axes[0], {s: bar for s, bar in evaluation.items() if bar}, "µs", "one evaluation of the DiT by op")
    stack(axes[1], outside, "ms", "a request outside the DiT")
    return figure


def plot_scaling(figures, path, precision):
    with open(path, newline="", encoding="utf-8") as f:
        rows = [{k: float(r[k]) for k in r if k not in ("commit", "precision")} for r in csv.DictReader(f)
                if r["precision"] == precision]
    if not rows:
        return None
    rate = figures.latest.get(f"ceiling product {precision}")  # TFLOP/s
    figure, axes = plt.subplots(1, 2, figsize=(11, 4))
    frames = next((r["frames"] for r in rows if r["batch"] > 1), 0)
    for axis, chosen, x, title in (
            (axes[0], [r for r in rows if r["batch"] == 1], "frames", "one sequence"),
            (axes[1], [r for r in rows if r["frames"] == frames], "batch", f"a batch of {frames:.0f} frames each")):
        chosen.sort(key=lambda r: r[x])
        n, ms = (np.array([r[key] for r in chosen]) for key in (x, "evaluation ms"))
        degree = 2 if x == "frames" else 1  # attention grows with the square of the length
        fit = np.polyfit(n, ms, degree, w=1 / ms)
        smooth = np.linspace(0, n.max(), 200)
        terms = [f"{c:.3g}" + {0: "", 1: f" {x}", 2: f" {x}²"}[degree - i] for i, c in enumerate(fit)][::-1]
        axis.plot(smooth, np.polyval(fit, smooth), "-", color="tab:blue", label="fit: " + " + ".join(terms))
        axis.plot(n, ms, "o", color="tab:blue", label="measured")
        if rate:
            floor = [r["GFLOP"] / rate for r in chosen]
            axis.plot(n, floor, "--", color="tab:gray", label=f"FLOP / {rate:.0f} TFLOP/s")
        axis.set(title=f"one evaluation, {title}", xlabel=x, ylabel="ms", xlim=(0, None), ylim=(0, None))
        axis.legend(fontsize=8, frameon=False)
    return figure


def accuracy_curves(latest):
    """{model: {(precision, method): [(ms, error, steps)], quickest first}} of the figures of f5bench accuracy."""
    found = {}
    for case, error in latest.items():
        words = case.split()
        if words[0] == "accuracy" and words[-1] == "error":
            *model, precision, method, steps = words[1:-1]
            ms = latest[case.removesuffix("error") + "ms"]
            found.setdefault(" ".join(model), {}).setdefault((precision, method), []).append((ms, error, int(steps)))
    return {model: {key: sorted(points) for key, points in curves.items()} for model, curves in found.items()}


def plot_accuracy(figures):
    """Every precision a colour. Upstream's settings, Euler's with sway -1 and EPSS, are dashed."""
    models = accuracy_curves(figures.latest)
    if not models:
        return None
    figure, axes = plt.subplots(1, len(models), figsize=(6 * len(models), 4.5), squeeze=False)
    colors = dict(zip(sorted({precision for curves in models.values() for precision, _ in curves}),
                      ("tab:blue", "tab:red", "tab:green", "tab:orange")))
    for axis, (model, curves) in zip(axes[0], models.items()):
        for (precision, method), points in curves.items():
            ms, error, steps = zip(*points)
            who = f"Euler, upstream's settings, {precision}" if method == "euler" else f"{method.upper()}, {precision}"
            axis.plot(ms, error, "x--" if method == "euler" else "o-", color=colors[precision], label=who)
            for x, y, n in points:
                axis.annotate(n, (x, y), xytext=(3, 3), textcoords="offset points", fontsize=7)
        axis.set(title=f"{model}, evaluations at each point", xlabel="ms", ylabel="distance from the exact solution",
                 xscale="log", yscale="log")
        axis.margins(0.1)
        axis.legend(fontsize=8, frameon=False)
    return figure


def plot_history(figures, precision):
    figure, axis = plt.subplots(figsize=(11, 4))
    commits = list(dict.fromkeys(commit for commit, case, _ in figures.rows if case.startswith("e2e ")))
    for size, color in zip(SIZES, ("tab:green", "tab:blue", "tab:red")):
        case = f"e2e {size} nfe 32 {precision}"
        for who, style in (("f5tts", "o-"), ("torch compile+graph", "x--")):
            found = figures.by_commit(f"{case} {who}")
            if found:
                axis.plot([commits.index(c) for c in found], list(found.values()), style, color=color,
                          label=f"{size}, {who}", alpha=1 if who == "f5tts" else 0.5)
    if not axis.lines:
        return None
    axis.set_xticks(range(len(commits)), commits, rotation=45, ha="right")
    axis.set(title="whole requests, NFE 32", ylabel="ms", ylim=(0, None))
    axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("gpu", nargs="*")
    options.add_argument("--precision", default="fp16")
    options = options.parse_args()
    found = options.gpu or [p.stem for p in sorted(HISTORY.glob("*.csv")) if not p.stem.endswith("-sweep")]
    if not found:
        sys.exit(f"nothing in {HISTORY}: f5bench.py stages sweep e2e --history")
    for gpu in found:
        if not (HISTORY / f"{gpu}.csv").exists():
            sys.exit(f"{gpu}: there is no {HISTORY / gpu}.csv")
    PLOTS.mkdir(exist_ok=True)
    for gpu in found:
        figures, sweep = Figures(HISTORY / f"{gpu}.csv"), HISTORY / f"{gpu}-sweep.csv"
        made = {"stages": plot_stages(figures, options.precision), "history": plot_history(figures, options.precision),
                "scaling": plot_scaling(figures, sweep, options.precision) if sweep.exists() else None,
                "accuracy": plot_accuracy(figures)}
        for name, figure in made.items():
            if not figure:
                print(f"{gpu}: nothing measured for {name}")
                continue
            figure.suptitle(gpu.upper() if name == "accuracy" else f"{gpu.upper()}, F5TTS_v1_Base, {options.precision}")
            figure.tight_layout()
            figure.savefig(PLOTS / f"{gpu}-{name}.png", dpi=80)
            print(PLOTS / f"{gpu}-{name}.png")


if __name__ == "__main__":
    main()
