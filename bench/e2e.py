"""bench/e2e.py — whole requests: f5tts beside PyTorch on the same weights, in one process, turn by turn.

    f5bench.py e2e [--arch E2TTS_Base] [--sizes M] [--nfe 32 16 7] [--modes compile+graph] [--upstream]

A request is text and a voice in host memory to samples in host memory, timed by the clock: tokens, noise, text encoder,
ODE, vocoder and all copies. S, M and L speak 5, 10 and 17 s after a reference of 5 s; first audio is what a listener
waits for: a reference of 3 s, 2 s of speech. RTF is wall time over seconds generated, as upstream has it.

First f5tts alone, with what its stages take, and the method AB2 by turns with Euler. Then, where there is PyTorch, both
by turns: it (torch_peer.py; with --upstream also upstream's package) gets tokens and mel ready-made. "vocoder": what it
takes of that by itself, f5tts's by the engine's clock, the peer's by the device's. Error: generated frames against the float32
reference (tests/reference/model.py), same weights and noise, relative L2.

FM_TTS has one voice: no reference, no guidance, 10 steps; S, M and L speak 5, 10 and 17 s of IPA at 22,050 Hz. Its peer is
torch_fm_tts.py, its error that of what sampling adds to the noise (tests/reference/fm_tts.py).
"""
import statistics
import sys

import numpy as np

from report import number
from stages import evaluation
from workload import clock_ms, error, generated_seconds, recording, spread

FIRST_REFERENCE_SECONDS, FIRST_SECONDS = 3, 2
FIRST_FRAMES = FIRST_REFERENCE_SECONDS * 24000 // 256 + 1 + round(FIRST_SECONDS * 24000 / 256)
AB2 = (16, 12, 10, 8)  # steps of that method, at size M by turns with Euler's 32
SPREAD_WIDTH = {"": 19, "ms": 5, "10th … 90th percentile": 22}


def cases(bench, sizes):
    """(size, nfe) to measure: as asked, or all at the usual number of steps and M at fewer too."""
    if bench.args.nfe:
        return [(s, n) for s in sizes for n in bench.args.nfe]
    return [(s, bench.kind.steps) for s in sizes] + [("M", n) for n in bench.kind.shorter if "M" in sizes]


def peers_of(bench):
    """What f5tts is held against here: torch_peer and upstream's package, or None where there is none."""
    shared = set(bench.sizes()) & set(bench.args.peer_sizes)
    if not shared or not (bench.args.modes or bench.args.upstream):
        return None
    if bench.config["backbone"] == "MMDiT":
        print("\ntorch_peer.py has no MMDiT: f5tts alone, and no errors")
        return None
    try:
        import torch
    except ImportError:
        torch = None
    if bench.args.device == "cpu" or not (torch and torch.cuda.is_available()):
        print("\nno PyTorch that sees this GPU: f5tts alone, and no errors")
        return None
    return Peers(bench)


class Peers:
    def __init__(self, bench, device="cuda"):
        import torch
        import torch_fm_tts
        import torch_peer
        self.peer = torch_fm_tts if bench.kind.own_voice else torch_peer
        self.args, self.made, self.kind = bench.args, bench.made, bench.kind
        bench.report.head["torch"] = torch.__version__
        self.weights = self.peer.Weights(bench.made, torch_peer.DTYPES.get(bench.precision, torch.float16), device)
        self.upstream = None
        if bench.args.upstream:
            from upstream_peer import Upstream
            self.upstream = Upstream(bench.made, self.weights.dtype)

    def prepare(self, ours, cond, tokens, size, nfe, noise):
        """Their calls by name, and everyone's error."""
        frames, calls = self.kind.sizes[size], {}
        self.ready = {}
        wanted = self.peer.reference_mel(self.made, cond, tokens, noise, nfe, self.weights.device)
        request = dict(tokens=tokens, frames=frames, noise=noise) | ({} if cond is None else dict(cond=cond))

        def wrong(mel):
            return error(mel, wanted) if cond is not None else error(mel - noise, wanted - noise, 0)

        errors = {"f5tts": wrong(ours.engine.sample([request], nfe=nfe)[0])}
        self.peer.choose_attention(self.weights, frames)
        for mode in self.args.modes:
            peer = self.peer.Peer(self.weights, frames, len(tokens), nfe, mode=mode,
                                  compile_mode=self.args.compile_mode)
            peer(cond, tokens, noise)
            print(f"torch {mode}, {size}, NFE {nfe}: ready after {peer.setup_seconds:.0f} s", file=sys.stderr)
            self.ready[f"torch {mode}"] = peer
            errors[f"torch {mode}"] = wrong(peer.mel.cpu().numpy())
            calls[f"torch {mode}"] = lambda peer=peer: peer(cond, tokens)
        if self.upstream:  # draws its noise itself, so it has no error
            calls["upstream"] = lambda: self.upstream(cond, tokens, frames, nfe)
        return calls, errors

    def vocoders(self):
        """Median ms of each peer's vocoder alone, of those that were made ready last."""
        return {name: peer.vocoder_ms(self.args.rounds) for name, peer in self.ready.items()}


def row_of(model, times, size, nfe, seconds):
    low, high = spread(times)
    ms = statistics.median(times)
    return {"model": model, "size": size, "NFE": nfe, "ms": ms, "10th … 90th percentile": f"{number(low)} … {number(high)}",
            "RTF": f"{ms / 1e3 / seconds:.4f}"}


def alone(bench, ours, voice):
    """Requests to f5tts and their stages, with what lies outside the DiT."""
    table, parts = bench.report.growing("Whole requests by f5tts, ms", widths=SPREAD_WIDTH), {}
    for size, nfe in cases(bench, bench.sizes()):
        frames, case = bench.kind.sizes[size], bench.case(f"e2e {size} nfe {nfe} {bench.precision} f5tts")
        times = clock_ms({"f5tts": ours.request(voice, frames, nfe)}, bench.args.rounds)["f5tts"]
        row, stage = row_of(bench.args.arch, times, size, nfe, bench.kind.seconds(frames)), ours.stages(bench.args.rounds)
        if size not in parts:
            parts[size] = evaluation(ours, voice, frames, bench.args.rounds)
        slope, once = parts[size]
        outside = stage["prepare"] + once + stage["vocos"] + row["ms"] - stage["total"]
        found = {**stage, "evaluation": slope, "outside the DiT": outside}
        table.add({**row, **found})
        for name, ms in ((case, row["ms"]), *((f"{case} {stage}", ms) for stage, ms in found.items())):
            bench.report.figure(name, ms, "ms")


def beside(bench, ours, voice, cond, peers):
    """All by turns. What f5tts takes here stands in the history, for it was timed as its peers were."""
    columns = ["model", "size", "NFE", "", "ms", "10th … 90th percentile", "RTF", "f5tts is faster", "vocoder", "error"]
    table = bench.report.growing("Whole requests, by turns", columns, widths=SPREAD_WIDTH)
    for size, nfe in cases(bench, [s for s in bench.sizes() if s in bench.args.peer_sizes]):
        frames = bench.kind.sizes[size]
        noise = bench.rng.standard_normal((frames, bench.kind.bands)).astype(np.float32)
        calls, errors = peers.prepare(ours, cond, ours.tokens(frames), size, nfe, noise)
        times = clock_ms({"f5tts": ours.request(voice, frames, nfe), **calls}, bench.args.rounds)
        own, rows = statistics.median(times["f5tts"]), []
        vocoders = {"f5tts": ours.stages(bench.args.rounds)["vocos"], **peers.vocoders()}
        for name, t in times.items():
            case = bench.case(f"e2e {size} nfe {nfe} {bench.precision} {name}")
            row = row_of(bench.args.arch, t, size, nfe, bench.kind.seconds(frames))
            rows.append({**row, "": name, "f5tts is faster": "" if name == "f5tts" else f"{row['ms'] / own:.2f}×",
                         "vocoder": vocoders.get(name), "error": errors.get(name)})
            bench.report.figure(case, row["ms"], "ms")
            if name in vocoders:
                bench.report.figure(f"{case} vocoder", vocoders[name], "ms")
            if name in errors:
                bench.report.figure(f"{case} error", errors[name], "rel. L2")
        table.add(*rows)


def methods(bench, ours, voice):
    """AB2 with few steps by turns with Euler with 32, which it stands for (bench/accuracy.py says how near each is)."""
    frames, rounds = bench.kind.sizes["M"], bench.args.rounds
    settings = [("euler", 32), *(("ab2", n) for n in AB2)]
    calls = {s: ours.request(voice, frames, s[1], s[0]) for s in settings}
    times = clock_ms(calls, rounds)
    euler, table = statistics.median(times["euler", 32]), bench.report.growing("Methods, by turns, ms", widths=SPREAD_WIDTH)
    for (method, nfe), t in times.items():
        row = row_of(bench.args.arch, t, "M", nfe, generated_seconds(frames))
        table.add({"method": method, **row, "Euler 32 takes": f"{euler / row['ms']:.2f}×"})
        bench.report.figure(bench.case(f"e2e M {method} {nfe} {bench.precision} f5tts by turns"), row["ms"], "ms")
    ours.stats = []


def first_audio(bench, ours):
    voice = ours.voice(recording(bench.rng, FIRST_REFERENCE_SECONDS))
    table = bench.report.growing(f"First audio: {FIRST_REFERENCE_SECONDS} s of reference, {FIRST_SECONDS} s of speech "
                                 f"({FIRST_FRAMES} frames)", widths=SPREAD_WIDTH)
    asked = [("euler", n) for n in bench.args.nfe or (32, *bench.kind.shorter)]
    asked += [("ab2", n) for n in AB2 if not bench.args.nfe]
    for method, nfe in asked:
        times = clock_ms({"f5tts": ours.request(voice, FIRST_FRAMES, nfe, method)}, bench.args.rounds)["f5tts"]
        row = row_of(bench.args.arch, times, "first audio", nfe, generated_seconds(FIRST_FRAMES, voice.ref_frames))
        table.add({"method": method, **row})
        name = f"nfe {nfe}" if method == "euler" else f"{method} {nfe}"
        bench.report.figure(bench.case(f"e2e first audio {name} {bench.precision} f5tts"), row["ms"], "ms")


def run(bench):
    sizes, own = bench.kind.sizes, bench.kind.own_voice
    frames, nfe = max(sizes[s] for s in bench.sizes()), max(bench.args.nfe or [32])
    sound = None if own else recording(bench.rng, 5)
    with bench.engine(max_frames=frames, nfe=max(nfe, 32)) as ours:
        info, voice = ours.engine.info(), None if own else ours.voice(sound)
        print(f"f5tts holds {info['weight_bytes'] / 1e6:.0f} MB of weights, {info['arena_bytes'] / 1e6:.0f} MB of work")
        alone(bench, ours, voice)
        if "M" in bench.sizes() and not bench.args.nfe and not own:
            methods(bench, ours, voice)
        if not own:
            first_audio(bench, ours)
        peers = peers_of(bench)
        if peers:
            beside(bench, ours, voice, None if own else ours.engine.mel(sound), peers)
