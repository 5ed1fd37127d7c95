"""bench/e2e.py — whole requests: f5tts beside PyTorch on the same weights, in one process, turn by turn.

    f5bench.py e2e [--sizes M] [--nfe 32 16 7] [--modes compile+graph] [--upstream]

A request is text and a voice in host memory to samples in host memory, timed by the clock: tokens, noise, text encoder,
ODE, vocoder and all copies. S, M and L speak 5, 10 and 17 s after a reference of 5 s; first audio is what a listener
waits for: a reference of 3 s, 2 s of speech. RTF is wall time over seconds generated, as upstream has it.

PyTorch (torch_peer.py; with --upstream also upstream's package) gets tokens and mel ready-made. Error: generated frames
against the float32 reference (tests/reference/model.py), same weights and noise, relative L2. Without PyTorch f5tts is
timed alone.
"""
import statistics

import numpy as np

from report import number
from stages import evaluation
from workload import SIZES, clock_ms, error, generated_seconds, recording, spread

FIRST_REFERENCE_SECONDS, FIRST_SECONDS = 3, 2
FIRST_FRAMES = FIRST_REFERENCE_SECONDS * 24000 // 256 + 1 + round(FIRST_SECONDS * 24000 / 256)
SHORTER = (16, 7)  # steps, also measured at size M


def cases(args, sizes):
    """(size, nfe) to measure: as asked, or all at 32 and M at fewer steps too."""
    if args.nfe:
        return [(s, n) for s in sizes for n in args.nfe]
    return [(s, 32) for s in sizes] + [("M", n) for n in SHORTER if "M" in sizes]


def peers_of(bench):
    """What f5tts is held against here: torch_peer and upstream's package, or None where there is none."""
    if not bench.args.modes and not bench.args.upstream:
        return None
    try:
        import torch
    except ImportError:
        torch = None
    if bench.args.device == "cpu" or not (torch and torch.cuda.is_available()):
        print("no PyTorch that sees this GPU: f5tts alone, and no errors")
        return None
    return Peers(bench)


class Peers:
    def __init__(self, bench):
        import torch
        import torch_peer
        self.peer, self.args, self.made = torch_peer, bench.args, bench.made
        bench.report.head["torch"] = torch.__version__
        self.weights = torch_peer.Weights(bench.made, torch_peer.DTYPES[bench.precision])
        self.upstream = None
        if bench.args.upstream:
            from upstream_peer import Upstream
            self.upstream = Upstream(bench.made, self.weights.dtype)

    def add(self, calls, errors, ours, cond, tokens, frames, nfe, noise):
        """Their calls beside "f5tts" in calls, and everyone's error."""
        wanted = self.peer.reference_mel(self.made, cond, tokens, noise, nfe)
        request = dict(cond=cond, tokens=tokens, frames=frames, noise=noise)
        errors["f5tts"] = error(ours.engine.sample([request], nfe=nfe)[0], wanted)
        self.peer.choose_attention(self.weights, frames)
        for mode in self.args.modes:
            peer = self.peer.Peer(self.weights, frames, len(tokens), nfe, mode=mode,
                                  compile_mode=self.args.compile_mode)
            peer(cond, tokens, noise)
            errors[f"torch {mode}"] = error(peer.mel.cpu().numpy(), wanted)
            calls[f"torch {mode}"] = lambda peer=peer: peer(cond, tokens)
        if self.upstream:  # draws its noise itself, so it has no error
            calls["upstream"] = lambda: self.upstream(cond, tokens, frames, nfe)


def rows_of(times, errors, size, nfe, seconds):
    fastest = statistics.median(times["f5tts"])
    rows = []
    for name, t in times.items():
        low, high = spread(t)
        ms = statistics.median(t)
        rows.append({"size": size, "NFE": nfe, "": name, "ms": ms,
                     "10th … 90th percentile": f"{number(low)} … {number(high)}", "RTF": f"{ms / 1e3 / seconds:.4f}",
                     "f5tts is faster": "" if name == "f5tts" else f"{ms / fastest:.2f}×", "error": errors.get(name)})
    return rows


def record(bench, rows, what="e2e"):
    for row in rows:
        case = f"{what} {row['size']} nfe {row['NFE']} {bench.precision} {row['']}"
        bench.report.figure(case, row["ms"], "ms")
        if row["error"] is not None:
            bench.report.figure(f"{case} error", row["error"], "rel. L2")


def requests(bench, ours, voice, cond, peers):
    """The main table; and the stages of ours, with what lies outside the DiT."""
    rows, stages, parts = [], [], {}
    for size, nfe in cases(bench.args, bench.sizes()):
        frames = SIZES[size]
        calls, errors = {"f5tts": ours.request(voice, frames, nfe)}, {}
        if peers and size in bench.args.peer_sizes:
            noise = bench.rng.standard_normal((frames, 100)).astype(np.float32)
            peers.add(calls, errors, ours, cond, ours.tokens(), frames, nfe, noise)
        times = clock_ms(calls, bench.args.rounds)
        stage = ours.stages(bench.args.rounds)
        rows += rows_of(times, errors, size, nfe, generated_seconds(frames))
        if size not in parts:
            parts[size] = evaluation(ours, voice, frames, bench.args.rounds)
        slope, once = parts[size]
        host = statistics.median(times["f5tts"]) - stage["total"]
        outside = stage["prepare"] + once + stage["vocos"] + host
        stages.append({"size": size, "NFE": nfe, **stage, "evaluation": slope, "outside the DiT": outside})
        case = f"e2e {size} nfe {nfe} {bench.precision} f5tts"
        for key in ("prepare", "ode", "vocos", "total", "evaluation", "outside the DiT"):
            bench.report.figure(f"{case} {key}", stages[-1][key], "ms")
    record(bench, rows)
    bench.report.table("Whole requests", list(rows[0]), rows)
    bench.report.table("f5tts by stage, ms", list(stages[0]), stages)


def first_audio(bench, ours):
    voice, rows = ours.voice(recording(bench.rng, FIRST_REFERENCE_SECONDS)), []
    for nfe in bench.args.nfe or (32, *SHORTER):
        times = clock_ms({"f5tts": ours.request(voice, FIRST_FRAMES, nfe)}, bench.args.rounds)
        rows += rows_of(times, {}, "first audio", nfe, generated_seconds(FIRST_FRAMES, voice.ref_frames))
    record(bench, rows)
    columns = [c for c in rows[0] if c not in ("", "f5tts is faster", "error")]
    bench.report.table(f"First audio: {FIRST_REFERENCE_SECONDS} s of reference, {FIRST_SECONDS} s of speech "
                       f"({FIRST_FRAMES} frames)", columns, rows)


def run(bench):
    sound = recording(bench.rng, 5)
    frames, nfe = max(SIZES[s] for s in bench.sizes()), max(bench.args.nfe or [32])
    with bench.engine(max_frames=frames, nfe=max(nfe, 32)) as ours:
        info = ours.engine.info()
        print(f"f5tts holds {info['weight_bytes'] / 1e6:.0f} MB of weights, {info['arena_bytes'] / 1e6:.0f} MB of work")
        requests(bench, ours, ours.voice(sound), ours.engine.mel(sound), peers_of(bench))
        first_audio(bench, ours)
