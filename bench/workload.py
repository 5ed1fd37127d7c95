"""bench/workload.py — the standard workloads of this project and how they are measured.

One request: F5TTS_v1_Base, a reference of 5 s (469 mel frames), guidance 2, sway -1; S, M and L differ in frames.
Weights are random, of a trained model's size (weights/random_checkpoint.py): speed does not depend on their values.
"""
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / p) for p in ("weights", "tests", "tests/reference")]
import model as reference  # noqa: E402

SIZES = {"S": 938, "M": 1406, "L": 2062}  # frames in all; 5, 10 and 17 s are generated
COND_FRAMES = 469  # mel frames of 5 s
REF_FRAMES = COND_FRAMES - 1  # the mel handed to the vocoder starts here, as upstream's does
N_TOKENS = 150
RECORDING_SAMPLES = 120000  # 5 s: 469 mel frames
TRANSCRIPT = "Some of what is said here was said before, by another voice."
TEXT = "The rest is new: it was never recorded, and nobody has heard it spoken until today."


def generated_seconds(frames):
    return (frames - REF_FRAMES - 1) * 256 / 24000


def recording(rng):
    """Five seconds that rise and fall as speech does, loud enough to be left as they are."""
    t = np.arange(RECORDING_SAMPLES) / 24000
    loudness = 0.05 + 0.25 * np.sin(2 * np.pi * 2.1 * t) ** 2
    hum = sum(np.sin(2 * np.pi * 130 * k * t + rng.uniform(0, 6)) / k for k in range(1, 30))
    return (loudness * (0.4 * hum + 0.4 * rng.standard_normal(t.shape))).clip(-1, 1).astype(np.float32)


def random_request(rng, frames, vocab_size):
    """cond [469,100] in the range of log mels, tokens [150], noise [frames,100]."""
    cond = (rng.standard_normal((COND_FRAMES, 100)) * 2 - 4).astype(np.float32)
    return cond, rng.integers(0, vocab_size, N_TOKENS), rng.standard_normal((frames, 100)).astype(np.float32)


def device_ms(call, repeats=20, warm=3):
    """Median ms of a call by device events."""
    times = []
    for _ in range(warm + repeats):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        call()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times[warm:])


def clock_ms(calls, repeats=20, warm=3):
    """{name: call that waits for its result} -> {name: [ms]} by the clock; the calls take turns."""
    times = {name: [] for name in calls}
    for _ in range(warm + repeats):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            times[name].append(1e3 * (time.perf_counter() - started))
    return {name: t[warm:] for name, t in times.items()}


def reference_mel(made, cond, tokens, noise, nfe):
    """What a request's generated frames are in float32, by the reference on the GPU."""
    flags = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [f.allow_tf32 for f in flags]
    reference.exact_math()
    w = {k: torch.as_tensor(v, device="cuda") for k, v in made["model"].items()}
    cond, tokens, noise = (torch.as_tensor(a, device="cuda") for a in (cond, tokens, noise))
    with torch.no_grad():
        mel = reference.sample(w, reference.Options(), cond, tokens, len(noise), noise, nfe=nfe)
    for flag, was in zip(flags, before):
        flag.allow_tf32 = was
    return mel[COND_FRAMES:].cpu().numpy()


def error(mel, wanted):
    """Relative L2 of the generated frames; NaN stays NaN."""
    return float(np.linalg.norm(mel[COND_FRAMES:] - wanted) / np.linalg.norm(wanted))


def commit():
    """Short hash of the tree's commit, "+" if files differ from it."""
    def git(*arguments):
        return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True).stdout.strip()

    found = git("rev-parse", "--short", "HEAD")
    return found + "+" * bool(git("status", "--porcelain", "-uno")) if found else "unknown"
