"""bench/speech.py — texts of many chunks: when the first sound comes, whether any chunk is late, and long texts.

    f5bench.py speech [--nfe 32 7]

First sound: 60 words after a reference of 3 s, to the first piece of samples; with the first chunk cut short, to about
as many seconds as its column says, and whole. A listener plays what has come: a chunk is late by so much as it comes
after the end of what came before. Long: 20,000 words beside one chunk of the same settings, both as seconds of speech
per second; memory before and after.
"""
import resource
import statistics
import time

import numpy as np

from workload import RATE, recording

REFERENCE_SECONDS = 3
SENTENCES = ("It was early. ", "The rest is new: it was never recorded, and nobody has heard it spoken until today. ",
             "Some of it is short, ", "and some of it is as long as a sentence can be without a breath. ",
             "Then they went home, because it was late, and the lights in the street were lit one after the other. ")
FIRST = (1, 1.5, 2, -1, 0)  # f5_speak_params.first_chunk
LONG_WORDS = 20000


def text_of(words):
    out = []
    while len(out) < words:
        out += "".join(SENTENCES).split()
    return " ".join(out[:words]).rstrip(",;:") + "."


class Listener:
    """Notes when pieces come; it plays from the first one on."""

    def __init__(self):
        self.began, self.first, self.late, self.ready, self.samples = time.perf_counter(), None, 0.0, 0.0, 0

    def __call__(self, samples, _):
        now = time.perf_counter()
        if self.first is None:
            self.first = now - self.began
        self.late = max(self.late, now - self.began - self.first - self.ready)
        self.ready += len(samples) / RATE
        self.samples += len(samples)


def speak(bench, engine, voice, text, nfe, **settings):
    """What a listener noticed, and the seconds until all of it was there."""
    heard = Listener()
    stats = engine.engine.speak(voice.handle, text, sample=dict(nfe=nfe), heard=heard, **settings)[1]
    return heard, time.perf_counter() - heard.began, stats


def run(bench):
    steps = bench.args.nfe or (32, 7)
    with bench.engine(4096, max(steps), max_batch=8, max_text_bytes=1 << 20) as ours:
        voice = ours.voice(recording(bench.rng, REFERENCE_SECONDS))
        first_sound(bench, ours, voice, steps)
        long_text(bench, ours, voice, min(steps))


def first_sound(bench, ours, voice, steps):
    table = bench.report.growing(f"First sound of 60 words, reference {REFERENCE_SECONDS} s, ms")
    text = text_of(60)
    for nfe in steps:
        for first in FIRST:
            runs = []
            for round_ in range(3 + bench.args.rounds):
                heard, seconds, stats = speak(bench, ours, voice, text, nfe, first_chunk=first, seed=round_)
                runs.append((1e3 * heard.first, 1e3 * seconds, 1e3 * heard.late))
            runs = np.array(runs[3:])
            name = {-1: "a quarter, then a half", 0: "whole"}.get(first, f"{first} s")
            ms, whole, late = statistics.median(runs[:, 0]), statistics.median(runs[:, 1]), runs[:, 2].max()
            table.add({"NFE": nfe, "first chunk": name, "first sound": ms, "everything": whole, "latest chunk": late,
                       "chunks": stats["chunks"], "speech s": stats["generated_seconds"]})
            bench.report.figure(f"speech 60 words nfe {nfe} {bench.precision} first chunk {first}", ms, "ms")


def long_text(bench, ours, voice, nfe):
    table = bench.report.growing(f"{LONG_WORDS} words, NFE {nfe}")
    text = text_of(LONG_WORDS)
    chunk = ours.engine.show_text(voice.handle, text)[1]["text"]
    speak(bench, ours, voice, text_of(2000), nfe)
    alone = []
    for round_ in range(bench.args.rounds):
        _, seconds, stats = speak(bench, ours, voice, chunk, nfe, seed=round_)
        alone.append(stats["generated_seconds"] / seconds)
    before, device = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, ours.engine.info()["device_bytes"]
    heard = Listener()
    # pieces are not kept: the memory of the engine is looked at
    stats = ours.engine.speak(voice.handle, text, sample=dict(nfe=nfe), heard=heard, keep_pieces=False)[1]
    seconds = time.perf_counter() - heard.began
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    one, many = statistics.median(alone), stats["generated_seconds"] / seconds
    table.add({"chunks": stats["chunks"], "speech s": stats["generated_seconds"], "s": seconds, "speech s/s": many,
               "one chunk": one, "ratio": many / one, "latest chunk ms": 1e3 * heard.late,
               "host memory grew by KB": after - before,
               "device memory by bytes": ours.engine.info()["device_bytes"] - device})
    bench.report.figure(f"speech {LONG_WORDS} words nfe {nfe} {bench.precision}", many, "audio s/s")
    bench.report.figure(f"speech {LONG_WORDS} words nfe {nfe} {bench.precision} against one chunk", many / one, "x")
