#!/usr/bin/env python3
"""taught.py — what the teacher has said, as a corpus: its shards in, the shards that batches.py reads out, as they come.

    taught.py JOBS.npz TEACHER CORPUS [--follow] [--until TIME]
    taught.py JOBS.npz TEACHER FOLDER --wav           NAME-00.wav and so on of every voice: what `teacher.py --say` or --draw
                                                      asked for; metadata.csv has the words, as finetune.py reads them

A shard of the teacher (TEACHER/*.npz), of any utterances of the jobs (teacher.py) in any order:

    utterance  int32 [u]   which of the jobs          samples  int32 [u]   how many samples of it are here
    audio      int16 [sum] 24 kHz, edges trimmed      begin    int32 [u]   how many were cut from the front
    durations  uint8 [u,k] frames of 600 samples that every phoneme was given, with one more at both ends

Out come whole sessions, laid out as data.py says: sessions of validation in 00000.npz, every other one in a shard of its
own as soon as it is complete. With --follow it goes on until TEACHER/done is there; what is incomplete then is written as
it is. A session's warp moves all its frequencies, its gain its level. An utterance whose length was missed by far is left
out, and so is one without sound. Sounds come LATE samples before the frames that they were given. Started again it goes on
with what is not in CORPUS yet.
"""
import argparse
import csv
import os
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from data import HOP, resample
from measure import keep
from teacher import VALIDATION

FRAME = 600             # samples of a frame of the teacher's durations
LATE = 1200             # samples: hissing is where s, z, sh, ch are labelled, in 30 utterances of 12 speakers
MISSED = 0.15, 24       # part of the wanted frames, or frames: a length further off is not kept
LEVELS = 0.01, 0.5      # rms of what is kept: less is silence, more is noise at full scale
WORKERS = 4
LEAST = 20              # frames of an utterance; utterances of a session that was not completed


class Jobs:
    def __init__(self, path):
        with np.load(path) as z:
            self.arrays = {key: z[key] for key in z.files if key not in ("packs", "ids")}
        self.first = np.cumsum(self.arrays["lengths"]) - self.arrays["lengths"]
        self.first_letter = np.cumsum(self.arrays["letters"]) - self.arrays["letters"]
        self.sessions = self.arrays["speaker"]
        self.wanted = np.bincount(self.sessions, minlength=len(self.arrays["warp"]))

    def of(self, key, u):
        begin, count = self.first[u], self.arrays["lengths"][u]
        return self.arrays[key][begin:begin + count]

    def text(self, u):
        begin = self.first_letter[u]
        return self.arrays["text"][begin:begin + self.arrays["letters"][u]]


def label_frames(jobs, u, durations, begin, samples, frames):
    """Phone and letter at the middle of each frame of utterance u, of which `samples` samples are there from `begin`."""
    phone, place = jobs.of("phone", u), jobs.of("place", u).astype(np.float64)
    durations = durations[:len(phone) + 2].astype(np.int64)
    starts = ((np.cumsum(durations) - durations) * FRAME - LATE - begin)[1:].astype(np.float64)  # of every phoneme, and the end
    # the silence at the end counts to the last phone: it ends where the sound does
    last = np.flatnonzero(phone)[-1] + 1 if phone.any() else len(phone)
    starts[last:] = np.minimum(starts[last:], samples)
    at = np.arange(frames) * HOP * jobs.arrays["warp"][jobs.sessions[u]]
    heard = np.concatenate([[0], phone, [0]])[np.searchsorted(starts, at, side="right")]
    letter = np.interp(at, starts, np.append(place, jobs.arrays["letters"][u]))
    return heard.astype(np.uint8), letter.astype(np.float32)


def utterance(jobs, u, audio, durations, begin):
    """(int16 samples in whole frames of 256, phone, letter), or None where the length is far from what was wanted, or the
    level is no speech's."""
    session = jobs.sessions[u]
    warp, x = float(jobs.arrays["warp"][session]), audio.astype(np.float64) * jobs.arrays["gain"][session]
    if warp != 1:
        x = resample(x, round(len(x) / warp))
    frames, wanted = -(-len(x) // HOP), jobs.arrays["target"][u] / warp / HOP
    if frames < LEAST or wanted and abs(frames - wanted) > max(MISSED[0] * wanted, MISSED[1]):
        return None
    if not LEVELS[0] < np.sqrt(np.square(x).mean()) / 32768 < LEVELS[1]:
        return None
    samples = np.zeros(frames * HOP, np.int16)
    samples[:len(x)] = np.clip(np.rint(x), -32768, 32767)
    return samples, *label_frames(jobs, u, durations, int(begin), len(audio), frames)


def read_shard(path):
    """All arrays of a shard, or None where it cannot be read."""
    try:
        with np.load(path) as z:
            return {key: z[key] for key in z.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error):
        return None


def write_shard(path, jobs, made):
    """made: [(u, (samples, phone, letter))]"""
    session = np.array([jobs.sessions[u] for u, _ in made], np.int32)
    samples, phone, letter = zip(*(one for _, one in made))
    texts = [jobs.text(u) for u, _ in made]
    temporary = path.with_suffix(".part")
    with open(temporary, "wb") as f:
        np.savez(f, audio=np.concatenate(samples), phone=np.concatenate(phone), letter=np.concatenate(letter),
                 frames=np.array([len(p) for p in phone], np.int32), text=np.concatenate(texts),
                 letters=np.array([len(t) for t in texts], np.int32), session=session, voice=session)
    os.replace(temporary, path)


class Corpus:
    """Collects utterances until sessions are whole."""

    def __init__(self, jobs, folder):
        self.jobs, self.folder, self.held, self.written = jobs, folder, {}, set()
        self.pool = ThreadPoolExecutor(WORKERS)  # NumPy's transforms let the others work
        self.shards, self.utterances, self.refused, self.frames = 0, 0, 0, 0
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.npz"):  # of an earlier start
            self.shards = max(self.shards, int(path.stem))
            shard = read_shard(path)
            if shard:
                self.written.update(map(self.key, shard["session"]))
                self.utterances, self.frames = self.utterances + len(shard["frames"]), self.frames + int(shard["frames"].sum())

    def add(self, path):
        """False: the shard cannot be read, or not yet."""
        shard = read_shard(path)
        if not shard:
            return False
        which, ends = shard["utterance"].tolist(), np.cumsum(shard["samples"])
        rows = [row for row, u in enumerate(which) if self.key(self.jobs.sessions[u]) not in self.written]

        def one(row):
            audio = shard["audio"][ends[row] - shard["samples"][row]:ends[row]]
            return utterance(self.jobs, which[row], audio, shard["durations"][row], shard["begin"][row])

        for row, made in zip(rows, self.pool.map(one, rows)):
            self.refused += made is None
            self.held.setdefault(self.key(self.jobs.sessions[which[row]]), {})[which[row]] = made
        for session in list(self.held):
            if len(self.held[session]) >= self.wanted(session):
                self.write(session)
        return True

    @staticmethod
    def key(session):
        """Sessions of validation lie together."""
        return -1 if session < len(VALIDATION) else int(session)

    def wanted(self, key):
        return self.jobs.wanted[:len(VALIDATION)].sum() if key < 0 else self.jobs.wanted[key]

    def write(self, key):
        made = [(u, one) for u, one in sorted(self.held.pop(key).items()) if one]
        self.written.add(key)
        if not made:
            return
        number = 0 if key < 0 else self.shards + 1
        write_shard(self.folder / f"{number:05}.npz", self.jobs, made)
        self.shards += key >= 0
        self.utterances += len(made)
        self.frames += sum(len(phone) for _, (_, phone, _) in made)

    def finish(self):
        for session, made in list(self.held.items()):
            if sum(one is not None for one in made.values()) >= LEAST:
                self.write(session)
        (self.folder / "done").touch()

    def __str__(self):
        return (f"{self.shards} shards, {self.utterances} utterances, {self.frames * HOP / 24000 / 3600:.2f} hours, "
                f"{self.refused} refused for their lengths")


def gather(corpus, folder, follow=False, until=None, pause=0.3):
    """Everything that lies in the folder; with follow also what comes, until `done` is there."""
    seen, broken, begun, said = set(), {}, time.time(), 0.0
    while True:
        last = not follow or (folder / "done").exists() or (until and time.time() > until)
        for path in sorted(p for p in folder.glob("*.npz") if p not in seen):
            changed = path.stat().st_mtime_ns, path.stat().st_size
            if broken.get(path) == changed:
                continue
            if corpus.add(path):
                seen.add(path)
            else:  # still being written, or broken
                broken[path] = changed
            if time.time() - said > 10:
                said = time.time()
                print(f"[{said - begun:5.0f} s] {corpus}", flush=True)
        if last:
            break
        time.sleep(pause)
    for path in sorted(set(broken) - seen):
        print(f"taught: {path.name} cannot be read", flush=True)
    corpus.finish()


def recordings(jobs, folder):
    """(voice, which of its utterances, text, samples) of all that lie in the folder."""
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as z:
            for u, x in zip(z["utterance"], np.split(z["audio"], np.cumsum(z["samples"])[:-1])):
                session = jobs.sessions[u]
                name = jobs.arrays["names"][jobs.arrays["timbre"][session].argmax()]
                yield str(name), int(u - np.flatnonzero(jobs.sessions == session)[0]), bytes(jobs.text(u)).decode(), x / 32767


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("jobs", type=Path)
    p.add_argument("teacher", type=Path)
    p.add_argument("corpus", type=Path)
    p.add_argument("--follow", action="store_true")
    p.add_argument("--until", type=float, help="seconds since 1970")
    p.add_argument("--wav", action="store_true", help="recordings to listen to, no corpus")
    options = p.parse_args()
    if options.wav:
        texts = {}
        for name, number, text, samples in recordings(Jobs(options.jobs), options.teacher):
            stem = keep(options.corpus, name, number, samples).stem
            if texts.setdefault(stem, text) != text:
                p.error(f"{options.jobs} asks for two texts that are both {stem}: it is none of teacher.py --say or --draw")
        if texts:
            with open(options.corpus / "metadata.csv", "w", encoding="utf-8") as f:
                csv.writer(f, delimiter="|", lineterminator="\n").writerows(sorted(texts.items()))
        return
    corpus = Corpus(Jobs(options.jobs), options.corpus)
    gather(corpus, options.teacher, options.follow, options.until)
    print(f"done: {corpus}")


if __name__ == "__main__":
    main()
