"""The recordings that `make test` holds the library to: the samples of a voice that comes with the program, said to be of
other rates, in formats that libsndfile writes the same way everywhere. tests/reference/compare_recordings.py --golden lets
upstream prepare them and keeps a few hundred samples of each clip."""
import json
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).resolve().parent / "data/recordings_golden.json"
KEPT = 200

# name: libsndfile's format, rate, channels
CASES = {"8000.wav": (0x010002, 8000, 1), "16000.flac": (0x170002, 16000, 1), "22050.wav": (0x010003, 22050, 2),
         "44100.wav": (0x010006, 44100, 1), "48000.aiff": (0x020002, 48000, 2), "24000.au": (0x030002, 24000, 1),
         "96000.caf": (0x180002, 96000, 1)}


def samples_of(name, voice):
    """[n, channels] of -1 to 1; voice: 16-bit samples. Twice, with a pause between them; longer where the rate is high."""
    _, rate, channels = CASES[name]
    pause = np.zeros(rate // 2)
    x = np.concatenate([voice / 32768, pause] * (2 if rate < 40000 else 4))
    x = x + np.random.default_rng(rate).standard_normal(len(x)) * 1e-4
    return np.stack([x, 0.6 * x][:channels], 1)


def kept(clip):
    """What is kept of a clip: its length, its energy, samples here and there."""
    at = np.sort(np.random.default_rng(len(clip)).integers(0, len(clip), KEPT))
    return {"samples": len(clip), "energy": float(np.sum(np.square(clip, dtype=np.float64))), "at": clip[at]}


def golden():
    return json.loads(GOLDEN.read_text())
