#!/usr/bin/env python3
"""burst.py — energy at 11 to 12 kHz where speech begins and ends, in its first and last 10.7 ms, beside the middle's: 36
outputs of the voice that comes with the program (3 recordings, 4 texts, 3 seeds; 7 evaluations), as they are and as upstream has them.

    F5_BUILD=build python3 tests/burst.py [NFE]

Prints, in dB above the mean of the middle, the median and the most of each; exits 1 if any end of ours is more than 6 dB
above it. tests/test_burst.py takes one of the 36."""
import sys
import wave
from pathlib import Path

import numpy as np

import f5lib

VOICES = Path(__file__).resolve().parents[1] / "weights/voices"
TEXTS = ["The children are playing in the garden.", "We go home now.",
         "A cold wind came over the river, and nobody was there.", "Good morning."]
BAR = 6
END = 256  # samples: 10.7 ms


def recording(name):
    with wave.open(str(VOICES / f"{name}.wav")) as w:
        samples = np.frombuffer(w.readframes(w.getnframes()), "<i2").astype(np.float32) / 32768
        return samples, (VOICES / f"{name}.txt").read_text().strip(), w.getframerate()


def high(x):
    """Energy from 11 kHz on."""
    power = np.abs(np.fft.rfft(x * np.hanning(len(x)), 1024)) ** 2
    return power[np.fft.rfftfreq(1024, 1 / 24000) >= 11000].sum() + 1e-20


def ends(x):
    """(start, end) in dB above the mean of the middle, which leaves out 0.1 s on either side."""
    middle = np.mean([high(x[at:at + END]) for at in range(2400, len(x) - 2400 - END, END)])
    return 10 * np.log10(high(x[:END]) / middle), 10 * np.log10(high(x[-END:]) / middle)


def speak(engine, voice, text, seed, nfe, exact):
    pieces, _ = engine.say(voice, text, seed=seed, sample=dict(nfe=nfe), exact=exact)
    return np.concatenate([p["samples"] for p in pieces])


def main():
    nfe = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    worst = {}
    with f5lib.Engine(f5lib.SHIPPED) as engine:
        for exact in (0, 1):
            found = []
            for name in ("heart", "michael", "george"):
                samples, words, rate = recording(name)
                with engine.voice(samples, words, rate) as voice:
                    found += [ends(speak(engine, voice, text, seed, nfe, exact)) for text in TEXTS for seed in (1, 2, 3)]
            found = np.array(found)
            worst[exact] = found.max()
            print(f"{'as upstream' if exact else 'ours       '}  {len(found)} outputs  start: median "
                  f"{np.median(found[:, 0]):6.1f}, most {found[:, 0].max():6.1f} dB   end: median "
                  f"{np.median(found[:, 1]):6.1f}, most {found[:, 1].max():6.1f} dB", flush=True)
    return int(worst[0] > BAR)


if __name__ == "__main__":
    sys.exit(main())
