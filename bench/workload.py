"""bench/workload.py — the standard requests of this project, and f5tts answering them. Needs numpy, not PyTorch.

One request: F5TTS_v1_Base, a reference of 5 s (469 mel frames), guidance 2, sway -1; S, M and L differ in frames. To a model
with one voice of its own (Flow-Matching-TTS): as many seconds of speech, no reference, IPA. Weights are random, of a trained
model's size (weights/random_checkpoint.py): speed does not depend on their values.
"""
import contextlib
import ctypes
import dataclasses
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / p) for p in ("weights", "tests", "tests/reference")]
import f5lib  # noqa: E402
import shapes  # noqa: E402

SIZES, COND_FRAMES = shapes.SIZES, shapes.COND_FRAMES
RATE, HOP = 24000, 256
REF_FRAMES = COND_FRAMES - 1  # the mel handed to the vocoder starts here, as upstream's does
N_TOKENS = 150
METHODS = f5lib.METHODS
PEER_MODES = ("eager", "graph", "compile", "compile+graph", "compile+graph fp8", "compile+graph int8")  # of bench/torch_peer.py
TRANSCRIPT = "Some of what is said here was said before, by another voice."
TEXT = "The rest is new: it was never recorded, and nobody has heard it spoken until today."


@dataclasses.dataclass(frozen=True)
class Kind:
    """What requests to a kind of model are like."""
    sizes: dict = dataclasses.field(default_factory=lambda: SIZES)  # frames, the reference included
    rate: int = RATE
    bands: int = 100
    own_voice: bool = False  # it takes no reference
    steps: int = 32
    shorter: tuple = (16, 7)  # steps, also measured at size M

    def seconds(self, frames):
        """That are generated."""
        return frames * HOP / self.rate if self.own_voice else generated_seconds(frames)

    def text(self, frames):
        """What is spoken in so many frames: of IPA, 15 symbols a second."""
        return (IPA * 99)[:round(15 * self.seconds(frames))] if self.own_voice else TEXT


IPA = "ðə ɹˈɛst ɪz nˈuː ænd nˈoʊbɑːdi hɐz hˈɜːd ɪt jˈɛt "
OWN_VOICE = Kind(sizes={size: round(seconds * 22050 / HOP) for size, seconds in (("S", 5), ("M", 10), ("L", 17))}, rate=22050,
                 bands=80, own_voice=True, steps=10, shorter=(5,))


def kind_of(config):
    """config: a model's settings, random_checkpoint's."""
    return OWN_VOICE if config["backbone"] == "FM_TTS" else Kind()


def generated_seconds(frames, ref_frames=REF_FRAMES):
    return (frames - ref_frames - 1) * HOP / RATE


def random_request(rng, frames, vocab_size):
    """cond [469,100] in the range of log mels, tokens [150], noise [frames,100]."""
    cond = (rng.standard_normal((COND_FRAMES, 100)) * 2 - 4).astype(np.float32)
    return cond, rng.integers(0, vocab_size, N_TOKENS), rng.standard_normal((frames, 100)).astype(np.float32)


def clock_ms(calls, repeats=20):
    """{name: call that waits for its result} -> {name: [ms]} by the clock; the calls take turns, a few before it counts."""
    warm = min(3, repeats)
    times = {name: [] for name in calls}
    for _ in range(warm + repeats):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            times[name].append(1e3 * (time.perf_counter() - started))
    return {name: t[warm:] for name, t in times.items()}


def median_ms(call, repeats=20):
    return statistics.median(clock_ms({"": call}, repeats)[""])


def spread(times):
    """(10th, 90th percentile), of what was seen: never below the least nor above the most."""
    low, *_, high = statistics.quantiles(times, n=10, method="inclusive") if len(times) > 1 else times * 2
    return low, high


def error(mel, wanted, kept=COND_FRAMES):
    """Relative L2 of the frames behind the kept ones; NaN stays NaN."""
    return float(np.linalg.norm(mel[kept:] - wanted) / np.linalg.norm(wanted))


def recording(rng, seconds=5):
    """Sound that rises and falls as speech does, loud enough to be left as it is."""
    t = np.arange(round(seconds * RATE)) / RATE
    loudness = 0.05 + 0.25 * np.sin(2 * np.pi * 2.1 * t) ** 2
    hum = sum(np.sin(2 * np.pi * 130 * k * t + rng.uniform(0, 6)) / k for k in range(1, 30))
    return (loudness * (0.4 * hum + 0.4 * rng.standard_normal(t.shape))).clip(-1, 1).astype(np.float32)


def commit():
    """Short hash of the tree's commit, "+" if files differ from it."""
    def git(*arguments):
        return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True).stdout.strip()

    found = git("rev-parse", "--short", "HEAD")
    changed = git("status", "--porcelain", "-uno", "--", ".", ":!bench/history")  # to which every run adds its rows
    return found + "+" * bool(changed) if found else "unknown"


class Voice:
    """A reference recording opened on an engine."""

    def __init__(self, handle, samples):
        self.handle, self.ref_frames = handle, len(samples) // HOP


class Speaker:
    """Asks an engine for speech, one request after another, into memory of its own."""

    def __init__(self, engine, voice, nfe, most_frames, seed=0, method="euler", text=TEXT, rate=RATE):
        self.engine, self.voice, self.rate = engine, voice, rate
        self.samples = np.full(HOP * most_frames, np.nan, np.float32)
        piece = f5lib.header().struct("f5_audio")

        def keep(_, address):
            audio = piece.from_address(address)
            ctypes.memmove(self.samples.ctypes.data, audio.samples, 4 * audio.n_samples)
            return 0

        self.text, self.callback = ctypes.create_string_buffer(text.encode()), f5lib.AUDIO(keep)
        self.solver = f5lib.struct("f5_sample_params", nfe=nfe, method=METHODS[method])
        self.params = f5lib.struct("f5_speak_params", text=ctypes.addressof(self.text), seed=seed,
                                   sample=ctypes.addressof(self.solver),
                                   audio=ctypes.cast(self.callback, ctypes.c_void_p))

    def speak(self, frames):
        """So many frames, reference included; the request's f5_speak_stats."""
        self.params.seed += 1  # other noise, the same work
        self.params.fix_duration = round((frames + 0.5) * HOP / self.rate, 4)
        stats = f5lib.struct("f5_speak_stats")
        f5lib.call("f5_speak", self.engine.handle, self.voice, ctypes.addressof(self.params), ctypes.addressof(stats))
        assert stats.frames == frames, f"{stats.frames} frames spoken, {frames} wanted"
        return stats


class Ours:
    """An engine, its voices, and requests to it: text and a voice in host memory to samples in host memory."""

    def __init__(self, path, device="cuda", precision=None, kind=Kind(), **limits):
        self.kind = kind
        self.engine = f5lib.Engine(path, device=device, precision=precision, **limits)
        self.scope, self.stats = contextlib.ExitStack(), []

    def close(self):
        self.scope.close()
        self.engine.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def voice(self, samples):
        return Voice(self.scope.enter_context(self.engine.voice(samples, TRANSCRIPT, keep_whole=1)), samples)

    def tokens(self, frames):
        if self.kind.own_voice:
            return self.engine.tokenize(self.kind.text(frames))
        return self.engine.tokenize(f"{TRANSCRIPT}  {TEXT}")  # a transcript is ended by two spaces

    def request(self, voice, frames, nfe, method="euler"):
        """A call that speaks so many frames, reference included, into memory of its own; it returns the samples. voice: None
        of a model with one of its own."""
        speaker = Speaker(self.engine, voice and voice.handle, nfe, frames, method=method, text=self.kind.text(frames),
                          rate=self.kind.rate)

        def speak():
            self.stats.append(speaker.speak(frames))
            return speaker.samples[:round(self.stats[-1].generated_seconds * self.kind.rate)]

        assert np.isfinite(speak()).all(), "f5tts spoke NaN or left samples unwritten"
        return speak

    def stages(self, last):
        """Median ms by stage of the last requests."""
        kept, self.stats = self.stats[-last:], []
        fields = ("prepare_ms", "ode_ms", "vocos_ms", "total_ms")
        return {field.removesuffix("_ms"): statistics.median(getattr(s, field) for s in kept) for field in fields}
