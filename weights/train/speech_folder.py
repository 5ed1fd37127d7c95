"""speech_folder.py — a folder of recordings and their words, as upstream's tools have it, into mels and tokens.

    metadata.csv   a line for each: NAME|what is said. A header is passed over, a byte order mark too. NAME is a path, or
                   one within the folder or its wavs/, with its ending or without. Instead of | the separator may be a tab,
                   or with a header a comma. A field that holds the separator stands in quotes. With a header the text is
                   the column of that name, else the second, and every line has as many columns; without one, of three
                   columns (LJSpeech) the last that is not empty is the text.
    wavs/          recordings of any rate and format that the engine reads, mixed to mono and resampled as upstream does
    vocab.txt      optional: tokens, where the voice needs others than the model has

A line that cannot be used is told with its number and left out. Mels lie in one file that is mapped, mels.f32, so that no
process holds them all; index.json beside it has the rest, and is made again when anything that it was made of changes.
"""
import ctypes
import hashlib
import json
import os
import re
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, NamedTuple

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/reference")]
import bigvgan  # noqa: E402
import model as reference  # noqa: E402
import recordings_lib  # noqa: E402

from upstream_state import whole  # noqa: E402

SHORTEST, LONGEST = 0.3, 30.0  # seconds: upstream's
ENDINGS = ("wav", "flac", "mp3", "ogg", "opus", "m4a", "aac", "aiff", "webm", "wma", "amr")
HEADERS = ("audio_file", "audio", "file", "file_name", "filename", "path", "wav", "name", "id")
TEXTS = ("text", "transcript", "transcription", "sentence")  # a header's names of the text's column
VERSION = 2  # of index.json


class Unusable(Exception):
    """What is wrong with the whole folder, and the fix."""


class LeftOut(Exception):
    """What is wrong with a line."""


@dataclass
class Line:
    number: int
    name: str
    text: str


# ---- metadata.csv


def plain(field):
    """Without the quotes that a writer of CSV put around it. Other quotes belong to the text."""
    field = field.strip()
    if len(field) > 1 and field[0] == field[-1] == '"' and '"' not in field[1:-1].replace('""', ""):
        return field[1:-1].replace('""', '"').strip()
    return field


def fields_of(row, separator):
    """Its columns. A separator between a field's quotes belongs to the field."""
    field = re.compile(rf' *"(?:[^"]|"")*" *(?={re.escape(separator)}|\Z)|[^{separator}]*')
    fields, at = [], 0
    while at <= len(row):
        found = field.match(row, at)
        fields.append(plain(found[0]))
        at = found.end() + 1
    return fields


def text_of(fields, header, separator):
    """What a line's recording says; LeftOut where its columns do not tell. header: its names, or None."""
    if len(fields) < 2:
        raise LeftOut(f"it has no {'tab' if separator == chr(9) else separator}: write NAME{separator}what is said")
    if header:
        if len(fields) != len(header):
            raise LeftOut(f"it has {len(fields)} columns, the header {len(header)}: quote the text")
        return fields[next((header.index(name) for name in TEXTS if name in header), 1)]
    if len(fields) > 3:
        raise LeftOut(f"it has {len(fields)} columns: quote the text")
    return fields[-1] or fields[1]


def separator_of(first):
    for mark in ("|", "\t"):
        if mark in first:
            return mark
    if first.split(",")[0].strip(' "').lower() in HEADERS and "," in first:
        return ","
    raise Unusable("metadata.csv: its first line has no separator: write NAME|what is said")


def read_metadata(folder):
    """(lines, left out [(number, what)])"""
    path = Path(folder) / "metadata.csv"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}: a line of it is NAME|what is said, NAME a recording in wavs/") from None
    rows = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    separator, header, lines, left_out = None, None, [], []
    for number, row in enumerate(rows, 1):
        try:
            text = row.decode().rstrip("\r")
        except UnicodeDecodeError:
            left_out.append((number, "it is not UTF-8"))
            continue
        if not text.strip():
            continue
        if separator is None:
            separator = separator_of(text)
            names = [name.lower() for name in fields_of(text, separator)]
            if names[0] in HEADERS:
                header = names
                continue
        fields = fields_of(text, separator)
        try:
            lines.append(Line(number, fields[0], text_of(fields, header, separator)))
        except LeftOut as reason:
            left_out.append((number, str(reason)))
    return lines, left_out


def find(folder, name):
    """The recording, or LeftOut."""
    if not name or "\0" in name:
        raise LeftOut("it names no recording")
    ends = name.lower().rsplit(".", 1)[-1] in ENDINGS
    for base in (folder / "wavs" / name, folder / name):  # an absolute name stays what it is
        for path in [base] if ends else [base, *(Path(f"{base}.{ending}") for ending in ENDINGS)]:
            try:
                if path.is_file():
                    return path
            except OSError:  # as a name that is too long
                break
    raise LeftOut(f"{name}: no such recording, neither in {folder / 'wavs'} nor in {folder}")


# ---- sound


def library():
    lib = recordings_lib.library()
    lib.resample_length.restype, lib.resample_length.argtypes = ctypes.c_int64, [ctypes.c_int64, ctypes.c_int32, ctypes.c_int32]
    lib.resample.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p]
    return lib


def power_bank():
    """[513,80] triangles of height 1, centres evenly spaced on the HTK mel scale over 0 to 11,025 Hz."""
    top = 2595 * np.log10(1 + 11025 / 700)
    corner = 700 * (10 ** (np.linspace(0, top, 82) / 2595) - 1)
    bins = np.linspace(0, 11025, 513)[:, None]
    rising, falling = (bins - corner[:-2]) / (corner[1:-1] - corner[:-2]), (corner[2:] - bins) / (corner[2:] - corner[1:-1])
    return torch.from_numpy(np.minimum(rising, falling).clip(0)).float()


def power_mel(samples):
    """Flow-Matching-TTS's: samples [n] at 22,050 Hz -> ln of the power in each band [n // 256 + 1, 80]."""
    spectrum = torch.stft(samples, 1024, 256, window=torch.hann_window(1024), pad_mode="reflect", return_complex=True)
    return (spectrum.abs().square().t() @ power_bank()).clamp(min=1e-5).log()


class Sound(NamedTuple):
    """What a vocoder makes sound of."""

    rate: int       # samples a second
    bands: int
    mel: Callable   # samples [n] -> [frames,bands]


SOUNDS = {"Vocos": Sound(reference.RATE, reference.MEL_BANDS, reference.mel),
          "BigVGAN": Sound(reference.RATE, reference.MEL_BANDS, bigvgan.mel), "MB-iSTFT": Sound(22050, 80, power_mel)}


def samples_of(lib, path, to):
    """Mono at the rate `to`, float32 [n]; LeftOut where there are none to train with."""
    read = recordings_lib.read(lib, path)
    if isinstance(read, str):
        raise LeftOut(read)
    x, rate = read
    seconds = len(x) / rate
    if not SHORTEST <= seconds <= LONGEST:
        raise LeftOut(f"{path}: {seconds:.2f} s: {SHORTEST} to {LONGEST:.0f} s can be trained with")
    x = np.ascontiguousarray(x.mean(axis=1), np.float32)
    if not np.isfinite(x).all():
        raise LeftOut(f"{path}: it has samples that are not finite")
    if not np.abs(x).max() > 1e-4:
        raise LeftOut(f"{path}: it is silent")
    if rate == to:
        return x
    out = np.empty(lib.resample_length(len(x), rate, to), np.float32)
    error = recordings_lib.Error()
    if lib.resample(x.ctypes.data, len(x), rate, to, out.ctypes.data, ctypes.addressof(error)):
        raise LeftOut(f"{path}: {error.message.decode()}")
    return out


# ---- text


class Tokens:
    """Ids by the engine's own tokenizer, and which characters it does not know."""

    def __init__(self, engine):
        self.engine, self.known = engine, {}
        self.unknown, self.unknown_lines = Counter(), Counter()

    def __call__(self, text):
        try:
            said = self.engine.said(text) if hasattr(self.engine, "said") else text  # as phonemes
            ids = self.engine.tokenize(said, capacity=max(4096, 16 * len(said))).tolist()
        except Exception as error:  # the library's message
            raise LeftOut(str(error)) from None
        strange = Counter(c for c in said if not self.knows(c))
        self.unknown += strange
        self.unknown_lines.update(strange.keys())
        return ids

    def knows(self, c):
        if c not in self.known:
            self.known[c] = c.isspace() or any(self.engine.tokenize(c))
        return self.known[c]


# ---- the folder


def fingerprint(folder, lines, vocab, tokenizer, vocoder, most_frames):
    """Of all that index.json and mels.f32 are made of."""
    h = hashlib.sha256(json.dumps([VERSION, str(folder.resolve()), vocab, tokenizer, vocoder, most_frames]).encode())
    h.update((folder / "metadata.csv").read_bytes())
    for line in lines:
        try:
            s = os.stat(find(folder, line.name))
            h.update(f"{line.number} {s.st_size} {s.st_mtime_ns}\n".encode())
        except (LeftOut, OSError):
            h.update(f"{line.number} none\n".encode())
    return h.hexdigest()


def prepare(folder, out, vocab, tokenizer, vocoder, most_frames, open_engine, say):
    """Makes out/mels.f32 and out/index.json where they are not as they should be. open_engine() gives an engine of the
    model's tokenizer, which is of the kind `tokenizer`, as a context. Returns the index. Raises Unusable."""
    folder, out = Path(folder), Path(out)
    lines, left_out = read_metadata(folder)
    mark = fingerprint(folder, lines, vocab, tokenizer, vocoder, most_frames)
    try:
        index = json.loads((out / "index.json").read_text(encoding="utf-8"))
        if index["fingerprint"] == mark:
            return index
    except (OSError, ValueError, LookupError, TypeError):
        pass
    out.mkdir(parents=True, exist_ok=True)
    (out / "index.json").unlink(missing_ok=True)
    lib, entries, sound = library(), [], SOUNDS[vocoder]

    def one(line):
        try:
            if not line.text:
                raise LeftOut(f"{line.name}: it has no text")
            path = find(folder, line.name)
            return str(path), sound.mel(torch.from_numpy(samples_of(lib, path, sound.rate))).numpy()
        except LeftOut as reason:
            return reason

    def write_mels(part):
        at = 0
        with ThreadPoolExecutor(max(1, (os.cpu_count() or 1))) as pool, open(part, "wb") as f:
            for done, (line, made) in enumerate(zip(lines, pool.map(one, lines)), 1):
                try:
                    if isinstance(made, LeftOut):
                        raise made
                    path, mel = made
                    ids = tokens(line.text)
                    if len(ids) > len(mel):
                        raise LeftOut(f"{line.name}: {len(ids)} tokens of text for {len(mel)} frames of sound: "
                                      "is the text another recording's?")
                    if len(mel) > most_frames:
                        raise LeftOut(f"{line.name}: {len(mel)} frames, more than a batch of {most_frames} (--batch-frames)")
                    f.write(mel.astype("<f4").tobytes())
                    entries.append(dict(line=line.number, path=path, text=line.text, ids=ids, frames=len(mel), start=at))
                    at += len(mel)
                except LeftOut as reason:
                    left_out.append((line.number, str(reason)))
                if done % 500 == 0:
                    say(f"{done} of {len(lines)} recordings read")

    with open_engine() as engine:
        tokens = Tokens(engine)
        whole(out / "mels.f32", write_mels)
    index = dict(fingerprint=mark, entries=entries, lines=len(lines), left_out=sorted(left_out),
                 unknown=[[c, n, tokens.unknown_lines[c]] for c, n in tokens.unknown.most_common()])
    whole(out / "index.json", lambda part: part.write_text(json.dumps(index), encoding="utf-8"))
    return index


def report(index, folder, rate, unknown, say, most=20):
    """What is trained with, and what is not, by line. rate: of the mels' samples; unknown: what becomes of characters."""
    entries, left_out = index["entries"], index["left_out"]
    seconds = sum(e["frames"] for e in entries) * reference.HOP / rate
    say(f"{folder}: {len(entries)} recordings, {seconds / 60:.1f} minutes" +
        (f"; {len(left_out)} lines of metadata.csv are left out:" if left_out else ""))
    for number, what in left_out[:most]:
        say(f"  line {number}: {what}")
    if len(left_out) > most:
        say(f"  and {len(left_out) - most} more, in data/index.json")
    for c, times, lines in index["unknown"][:most]:
        say(f"  {c!r} (U+{ord(c):04X}), {times} times in {lines} lines, is no token of the model: it is {unknown}. Write it in "
            "other characters, or give a vocab.txt that has it")
    if len(index["unknown"]) > most:
        say(f"  and {len(index['unknown']) - most} more characters")
    if not entries:
        raise Unusable(f"{folder}: nothing is left to train with")


class Speech:
    """What is trained with: batches of mels and tokens."""

    def __init__(self, out, entries, bands):
        self.entries = entries
        total = sum(e["frames"] for e in entries)
        path = Path(out) / "mels.f32"
        if path.stat().st_size != 4 * bands * total:
            raise Unusable(f"{path} is not as index.json says: delete it")
        self.mels = np.memmap(path, "<f4", "r", shape=(total, bands))

    def mel(self, i):
        e = self.entries[i]
        return torch.from_numpy(np.array(self.mels[e["start"]:e["start"] + e["frames"]]))

    def batch(self, which, device):
        """mel [B,N,bands], lens [B], ids [B,T]; mels are padded by 0, ids by -1."""
        mels = [self.mel(i) for i in which]
        ids = [torch.tensor(self.entries[i]["ids"], dtype=torch.long) for i in which]
        lens = torch.tensor([len(m) for m in mels])
        padded = torch.nn.utils.rnn.pad_sequence(mels, batch_first=True)
        text = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=-1)
        return padded.to(device), lens.to(device), text.to(device)


def batches(entries, which, frames, samples):
    """Of those entries, by length, so that little is padded: at most so many frames and samples in each."""
    made, total = [], 0
    for i in sorted(which, key=lambda i: entries[i]["frames"]):
        if not made or total + entries[i]["frames"] > frames or len(made[-1]) == samples:
            made.append([])
            total = 0
        made[-1].append(i)
        total += entries[i]["frames"]
    return made
