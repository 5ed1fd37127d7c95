#!/usr/bin/env python3
"""data.py — the corpus: flite's voices saying endless texts, with the phone and the letter due at every frame.

    data.py DIRECTORY --sentences FILE --hours 1 --workers 2 [--seed 0] [--flite DIR]

A shard (DIRECTORY/NNNNN.npz) holds a few sessions; a session is one speaker at one pace: a plain voice of flite, or a
virtual one, made by resampling (which moves formants and pitch together) and another mean pitch. Any two utterances of
a session may be joined into what inference sees: a prompt, then the text to be spoken.

    audio    int16, 24 kHz    all utterances: edges trimmed as the engine trims a recording, no silence around them
    frames   int32 [u]        length of each, in frames of 256 samples
    text     uint8            all texts, one byte a letter
    letters  int32 [u]        length of each text
    session  int32 [u]        which session it belongs to
    voice    uint8 [u]        index in SPEAKERS, + 100 if virtual
    phone    uint8 [frames]   index in PHONES of the phone that is heard at each frame
    letter   float32 [frames] which letter of its text is being said there (a real number: it runs on within a word)

The engine gives a new text as many frames per byte as the prompt has, so every utterance of a session is spoken at the
session's pace: flite is asked once for its natural length and then again with the stretch that hits the target. Targets
are rounded to a grid, so that many pairs come to one of the exact lengths that batches have, with 3 frames to spare.
"""
import argparse
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np

from flite import PITCH, RATE, SPEAKERS, Voice
from sentences import Texts

HOP = 256
TARGET_RATE = 24000
PHONES = ("pau aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z "
          "zh").split()
NATURAL_PACE = {"slt": 5.75, "rms": 6.15, "awb": 5.6}  # frames per byte of text
UTTERANCES = 32  # of a session
SESSIONS = 3     # of a shard
GRID = 16        # utterances are spoken in a multiple of so many frames, less 4: see below
HELD_OUT_WARP = {"awb": (0.97, 1.03)}  # no speaker is drawn here: the plain voice stays wholly unseen


def resample(x, length):
    """x [n] to any other length, by its spectrum."""
    spectrum = np.fft.rfft(x)
    wanted = np.zeros(length // 2 + 1, dtype=complex)
    kept = min(len(wanted), len(spectrum))
    wanted[:kept] = spectrum[:kept]
    return np.fft.irfft(wanted, length) * (length / len(x))


def speech_edges(x):
    """First and last sample above -42 dBFS in slices of 10 ms: what the engine leaves of a recording."""
    slices = x[:len(x) // 240 * 240].reshape(-1, 240)
    loud = np.flatnonzero(np.sqrt((slices ** 2).mean(axis=1)) > 10 ** (-42 / 20))
    return (loud[0] * 240, (loud[-1] + 1) * 240) if len(loud) else (0, len(x))


class Speaker:
    """One session's speaker. warp 1.1: all frequencies 10 % up."""

    def __init__(self, voice, rng, plain=None):
        self.voice = voice
        name = SPEAKERS[voice]
        self.plain = rng.random() < 0.6 if plain is None else plain
        if name in HELD_OUT_WARP and plain is None:
            self.plain = False
        self.warp, self.pitch = 1.0, None
        if not self.plain:
            low, high = HELD_OUT_WARP.get(name, (1, 1))
            while low <= self.warp <= high:
                self.warp = rng.uniform(0.88, 1.14)
            self.pitch = PITCH[name] * rng.uniform(0.88, 1.18) / self.warp ** 0.5
        else:
            self.pitch = PITCH[name]
        self.pace = NATURAL_PACE[name] * rng.uniform(0.88, 1.18)  # frames per byte
        self.level = rng.uniform(0.1, 0.15)                       # rms

    def natural_seconds(self, flite, text):
        """How long flite takes for the text, edges trimmed, and how many words it reads."""
        said = flite.speak(text, 1.0, self.pitch)
        x = said.samples / 32768.0
        begin, end = speech_edges(x * self.level / max(np.sqrt((x ** 2).mean()), 1e-4))
        return (end - begin) / RATE, len(said.words)

    def say(self, flite, text, stretch):
        """Samples at 24 kHz (float), phones and words in seconds of them. stretch 1: flite's own pace."""
        said = flite.speak(text, stretch * self.warp, self.pitch)
        x = resample(said.samples / 32768.0, round(len(said.samples) * TARGET_RATE / RATE / self.warp))
        x *= self.level / max(np.sqrt((x ** 2).mean()), 1e-4)
        phones = [(name, end / self.warp) for name, end in said.phones]
        return x, phones, [(a / self.warp, b / self.warp) for a, b in said.words]


def label_frames(text, phones, words, begin, frames):
    """Phone index and letter position at the middle of each frame; begin: seconds cut from the front."""
    at = begin + (np.arange(frames)) * HOP / TARGET_RATE
    ends = np.array([end for _, end in phones])
    ids = np.array([PHONES.index(name) for name, _ in phones])
    phone = ids[np.minimum(np.searchsorted(ends, at), len(ids) - 1)]
    times, places, place = [], [], 0
    for word, (a, b) in zip(text.split(), words):
        start = text.index(word, place)
        place = start + len(word)
        times += [a, b]
        places += [start, place]
    return phone.astype(np.uint8), np.interp(at, times, places).astype(np.float32)


def target_frames(speaker, text, jitter=0.0):
    """How long an utterance is meant to be."""
    return round((speaker.pace * len(text) * np.exp(jitter) + 4) / GRID) * GRID - 4


def utterance(speaker, flite, text, jitter=0.0):
    """(int16 samples, phone, letter) at the speaker's pace, or None where flite reads other words than are written or
    would have to speak absurdly fast or slowly."""
    seconds, words = speaker.natural_seconds(flite, text)
    stretch = target_frames(speaker, text, jitter) * HOP / TARGET_RATE / seconds
    if words != len(text.split()) or not 0.6 < stretch < 1.7:
        return None
    x, phones, words = speaker.say(flite, text, stretch)
    begin, end = speech_edges(x)
    frames = -(-(end - begin) // HOP)
    samples = np.zeros(frames * HOP)
    samples[:end - begin] = x[begin:end]
    phone, letter = label_frames(text, phones, words, begin / TARGET_RATE, frames)
    return np.clip(np.rint(samples * 32767), -32768, 32767).astype(np.int16), phone, letter


def make_shard(path, seed, sentences, flite_directory, banned):
    rng = np.random.default_rng(seed)
    texts = Texts(sentences, seed, banned)
    made, rows = [], []
    for session in range(SESSIONS):
        index = rng.integers(len(SPEAKERS))
        speaker = Speaker(index, rng)
        flite = Voice(SPEAKERS[index], flite_directory)
        for _ in range(UTTERANCES):
            text = texts.draw()
            one = utterance(speaker, flite, text, rng.normal() * 0.02)
            if one:
                made.append(one)
                rows.append((text.encode(), session, index + (0 if speaker.plain else 100)))
    temporary = path.with_suffix(".part")
    with open(temporary, "wb") as f:
        np.savez(f, audio=np.concatenate([m[0] for m in made]), phone=np.concatenate([m[1] for m in made]),
                 letter=np.concatenate([m[2] for m in made]),
                 frames=np.array([len(m[1]) for m in made], np.int32),
                 text=np.frombuffer(b"".join(r[0] for r in rows), np.uint8),
                 letters=np.array([len(r[0]) for r in rows], np.int32),
                 session=np.array([r[1] for r in rows], np.int32), voice=np.array([r[2] for r in rows], np.uint8))
    os.replace(temporary, path)
    return sum(len(m[1]) for m in made)


def _work(job):
    """A shard that cannot be made costs itself alone; it is tried again with other texts."""
    path, seed, *rest = job
    for attempt in range(3):
        try:
            return make_shard(path, seed + 500_009 * attempt, *rest)
        except Exception as error:
            print(f"data: {path.name}: {type(error).__name__}: {error}", flush=True)
    return 0


def held_out_sentences():
    """What the voice is tested with, and what its recordings say."""
    root = Path(__file__).resolve().parents[2]
    paths = sorted([*root.glob("tests/voice/*.txt"), *root.glob("weights/voices/*.txt")])
    lines = [line for path in paths for line in path.read_text().split("\n") if line]
    tables = [root / "tests/voice" / f"{name}.tsv" for name in ("numbers", "capitals")]  # short.tsv: words, no sentences
    return lines + [line.split("\t")[1] for path in tables for line in path.read_text().split("\n") if line]


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("directory", type=Path)
    p.add_argument("--sentences", required=True)
    p.add_argument("--hours", type=float, default=1)
    p.add_argument("--workers", type=int, default=os.cpu_count())
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--flite", help="directory of flite's libraries, if they are not installed")
    options = p.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    started, frames = time.time(), 0
    wanted = options.hours * 3600 * TARGET_RATE / HOP
    banned = held_out_sentences()
    jobs = ((options.directory / f"{i:05}.npz", options.seed * 1000003 + i, options.sentences, options.flite, banned)
            for i in range(int(wanted // 20000) + 2))
    with multiprocessing.Pool(options.workers) as pool:
        for shard, made in enumerate(pool.imap_unordered(_work, jobs)):
            frames += made
            if shard >= 20 and not frames:
                raise SystemExit("data: none of the first shards could be made")
            if frames >= wanted and shard >= 1 and (options.directory / "00000.npz").exists():
                pool.terminate()
                break
    (options.directory / "done").touch()
    print(f"data: {frames * HOP / TARGET_RATE / 3600:.1f} hours in {shard + 1} shards, {time.time() - started:.0f} s",
          flush=True)


if __name__ == "__main__":
    main()
