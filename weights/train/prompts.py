#!/usr/bin/env python3
"""prompts.py — flite's recordings to clone, weights/voices/NAME.wav, from the words in NAME.txt.

    prompts.py [--folder weights/voices] [--pace 1.0]

flite's plain voices as the corpus has them: 24 kHz, 16 bits, its loudness, and its pace. The engine gives new text as
many frames a byte as the recording has; flite speaks long sentences faster than anything in the corpus is spoken, and
the faster the recording, the more words go wrong.
"""
import argparse
from pathlib import Path

from data import HOP, NATURAL_PACE, TARGET_RATE, speech_edges
from flite import SPEAKERS
from measure import PROMPTS, flite_says, write_wav


def record(speaker, text, pace):
    """Samples whose speech takes `pace` frames a byte."""
    stretch = 1.0
    for _ in range(5):
        samples = flite_says(speaker, text, stretch)
        begin, end = speech_edges(samples)
        found = (end - begin) / HOP / len(text)
        if abs(found / pace - 1) < 0.01:
            break
        stretch *= pace / found
    return samples


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--folder", type=Path, default=PROMPTS)
    p.add_argument("--pace", type=float, default=1.0, help="of the corpus' mean")
    options = p.parse_args()
    for speaker in SPEAKERS:
        text = (options.folder / f"{speaker}.txt").read_text().strip()
        samples = record(speaker, text, options.pace * NATURAL_PACE[speaker])
        write_wav(options.folder / f"{speaker}.wav", samples)
        print(f"{speaker}: {len(samples) / TARGET_RATE:.2f} s")


if __name__ == "__main__":
    main()
