"""bench/e2e.py — whole requests: f5tts beside PyTorch on the same weights, in one process, turn by turn.

    make && python3 bench/e2e.py            # or: F5_BUILD=build-gpu python3 bench/e2e.py --sizes M --nfe 32 16 7

A request is text and a voice of 5 s in host memory to samples in host memory, timed by the clock: tokens, noise, text
encoder, ODE, vocoder and all copies. S, M and L speak 5, 10 and 17 s. PyTorch (torch_peer.py; with --upstream also
upstream's package, upstream_peer.py) gets tokens and mel ready-made. Error: generated frames against the float32
reference (tests/reference/model.py), same weights and noise, relative L2. Weights are random, of trained size.

The table is Markdown, to be pasted. --json FILE writes all of it; --history appends to bench/history/<gpu>.csv.
"""
import argparse
import csv
import ctypes
import datetime
import json
import re
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from workload import (ROOT, SIZES, TEXT, TRANSCRIPT, clock_ms, commit, error, generated_seconds, recording,
                      reference_mel)
import f5file  # found by workload
import f5lib
import torch_peer

class Ours:
    """An engine with a voice."""

    def __init__(self, path, samples, precision, frames, nfe):
        self.engine = f5lib.Engine(path, device="cuda", precision=precision, max_frames=frames, max_batch=1,
                                   max_evaluations=max(nfe))
        self.voice_scope = self.engine.voice(samples, TRANSCRIPT, keep_whole=1)
        self.voice, self.stats = self.voice_scope.__enter__(), []
        self.cond = self.engine.mel(samples)
        self.tokens = self.engine.tokenize(f"{TRANSCRIPT}  {TEXT}")  # a transcript is ended by two spaces

    def close(self):
        self.voice_scope.__exit__(None, None, None)
        self.engine.close()

    def request(self, frames, nfe):
        """A call that speaks so many frames into memory of its own."""
        samples = np.full(256 * frames, np.nan, np.float32)
        piece = f5lib.header().struct("f5_audio")

        def keep(_, address):
            audio = piece.from_address(address)
            ctypes.memmove(samples.ctypes.data, audio.samples, 4 * audio.n_samples)
            return 0

        text, callback = ctypes.create_string_buffer(TEXT.encode()), f5lib.AUDIO(keep)
        params = f5lib.struct("f5_speak_params", text=ctypes.addressof(text),
                              audio=ctypes.cast(callback, ctypes.c_void_p),
                              fix_duration=round((frames + 0.5) * 256 / 24000, 4))
        solver = f5lib.struct("f5_sample_params", nfe=nfe)
        params.sample = ctypes.addressof(solver)
        held = params, solver, text, callback

        def speak():
            params.seed += 1  # other noise, the same work
            stats = f5lib.struct("f5_speak_stats")
            f5lib.call("f5_speak", self.engine.handle, self.voice, ctypes.addressof(held[0]), ctypes.addressof(stats))
            assert stats.frames == frames, f"{stats.frames} frames spoken, {frames} wanted"
            self.stats.append(stats)
            return samples[:round(stats.generated_seconds * 24000)]

        return speak

    def stages(self, warm):
        kept, self.stats = self.stats[warm:], []
        fields = ("prepare_ms", "ode_ms", "vocos_ms", "total_ms")
        return {field: statistics.median(getattr(s, field) for s in kept) for field in fields}


def measure(ours, made, weights, upstream, size, nfe, args, rng):
    """One row a candidate: f5tts, then the peers. upstream may be None."""
    frames = SIZES[size]
    noise = rng.standard_normal((frames, 100)).astype(np.float32)
    wanted = reference_mel(made, ours.cond, ours.tokens, noise, nfe)
    request = dict(cond=ours.cond, tokens=ours.tokens, frames=frames, noise=noise)
    calls = {"f5tts": ours.request(frames, nfe)}
    errors = {"f5tts": error(ours.engine.sample([request], nfe=nfe)[0], wanted)}
    torch_peer.choose_attention(weights, frames)
    for mode in args.modes:
        peer = torch_peer.Peer(weights, frames, len(ours.tokens), nfe, mode=mode, compile_mode=args.compile_mode)
        peer(ours.cond, ours.tokens, noise)
        errors[f"torch {mode}"] = error(peer.mel.cpu().numpy(), wanted)
        calls[f"torch {mode}"] = lambda peer=peer: peer(ours.cond, ours.tokens)
    if upstream:
        calls["upstream"] = lambda: upstream(ours.cond, ours.tokens, frames, nfe)
        errors["upstream"] = None  # draws its noise itself
    assert np.isfinite(calls["f5tts"]()).all(), "f5tts spoke NaN or left samples unwritten"
    times = clock_ms(calls, args.rounds)
    stages = ours.stages(warm=len(ours.stats) - args.rounds)
    fastest, rows = statistics.median(times["f5tts"]), []
    for name, t in times.items():
        low, *_, high = statistics.quantiles(t, n=10)
        rows.append(dict(size=size, nfe=nfe, candidate=name, ms=statistics.median(t), low_ms=low, high_ms=high,
                         rtf=statistics.median(t) / 1e3 / generated_seconds(frames), error=errors[name],
                         against=statistics.median(t) / fastest, stages=stages if name == "f5tts" else None))
    return rows


def show(row):
    wrong = "" if row["error"] is None else f"{row['error']:.1e}"
    against = "" if row["candidate"] == "f5tts" else f"{row['against']:.2f}×"
    print(f"| {row['size']} | {row['nfe']:>3} | {row['candidate']:<19} | {row['ms']:>7.1f} | {row['low_ms']:>7.1f} … "
          f"{row['high_ms']:<7.1f} | {row['rtf']:.4f} | {against:>8} | {wrong:>7} |", flush=True)


def append_history(rows, report):
    """One line a figure: date, commit, GPU, case, figure, unit."""
    slug = re.sub(r"[^a-z0-9]+", "-", report["gpu"].lower().replace("nvidia", "")).strip("-")
    path = ROOT / "bench" / "history" / f"{slug}.csv"
    path.parent.mkdir(exist_ok=True)
    new = not path.exists()
    with open(path, "a", newline="", encoding="utf-8") as f:
        lines = csv.writer(f, lineterminator="\n")
        if new:
            lines.writerow(["date", "commit", "gpu", "case", "figure", "unit"])
        for row in rows:
            case = f"e2e {row['size']} nfe {row['nfe']} {report['precision']} {row['candidate']}"
            figures = [(case, row["ms"], "ms")]
            figures += [(f"{case} {k.removesuffix('_ms')}", v, "ms") for k, v in (row["stages"] or {}).items()]
            figures += [(f"{case} error", row["error"], "rel. L2")] if row["error"] is not None else []
            for what, figure, unit in figures:
                lines.writerow([report["date"], report["commit"], report["gpu"], what, f"{figure:.5g}", unit])
    return path


def main():
    p = torch_peer.options(__doc__.splitlines()[0])
    p.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    p.add_argument("--upstream", action="store_true", help="also upstream's own package: see upstream_peer.py")
    p.add_argument("--json", metavar="FILE")
    p.add_argument("--history", action="store_true", help="append to bench/history/<gpu>.csv")
    p.add_argument("--commit", default=commit(), help="what the history is told was measured")
    args = p.parse_args()
    if not torch.cuda.is_available():
        sys.exit("bench/e2e.py needs a CUDA GPU that PyTorch can use")
    rng = np.random.default_rng(args.seed)
    report = dict(date=datetime.date.today().isoformat(), commit=args.commit, gpu=torch.cuda.get_device_name(),
                  torch=torch.__version__, precision=args.precision, rounds=args.rounds, seed=args.seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.f5"
        made = f5file.write_model(path, "F5TTS_v1_Base", seed=args.seed,
                                  dtype="fp16" if args.precision == "fp16" else "fp32")
        ours = Ours(path, recording(rng), args.precision, max(SIZES[s] for s in args.sizes), args.nfe)
    weights, upstream = torch_peer.Weights(made, torch_peer.DTYPES[args.precision]), None
    if args.upstream:
        from upstream_peer import Upstream
        upstream = Upstream(made, weights.dtype)
    info = ours.engine.info()
    version = f5lib.library().f5_version().decode()
    print(f"{report['gpu']}, f5tts {version} ({report['commit']}), torch {report['torch']}, {args.precision}, "
          f"medians of {args.rounds} (10th … 90th percentile), seed {args.seed}\n"
          f"f5tts holds {info['weight_bytes'] / 1e6:.0f} MB of weights, {info['arena_bytes'] / 1e6:.0f} MB of work\n\n"
          "| size | NFE | | ms | spread | RTF | f5tts is faster | error |\n|---|---|---|---|---|---|---|---|")
    rows = []
    for size, nfe in [(s, n) for s in args.sizes for n in args.nfe]:
        found = measure(ours, made, weights, upstream, size, nfe, args, rng)
        for row in found:
            show(row)
        rows += found
    print("\nf5tts by stage, ms:")
    for row in (r for r in rows if r["stages"]):
        stages = ", ".join(f"{k.removesuffix('_ms')} {v:.2f}" for k, v in row["stages"].items())
        print(f"{row['size']} NFE {row['nfe']}: {stages}")
    ours.close()
    if args.json:
        Path(args.json).write_text(json.dumps({**report, "rows": rows}, indent=1) + "\n")
    if args.history:
        print("appended to", append_history(rows, report).relative_to(ROOT))


if __name__ == "__main__":
    main()
