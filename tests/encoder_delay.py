#!/usr/bin/env python3
"""encoder_delay.py — how long samples stay inside host/files/sound_encoder.c, format by format: noise goes in by pieces
of 10 ms, and after each what has come out is decoded by FFmpeg. Delay is what went in, less what can be heard; a decoder
that has silence first, as MP3's and AAC's have, is found by correlation. Prints the most of each format, in ms."""
import numpy as np

from encoder_lib import FORMATS, RATE, Encoder, decode, library

PIECE = 240
PIECES = 300


def main():
    lib = library()
    noise = np.random.default_rng(1)
    t = np.arange(PIECES * PIECE) / RATE
    x = (0.2 * np.sin(2 * np.pi * 200 * t) * (1 + 0.5 * np.sin(2 * np.pi * 3 * t)) + 0.05 * noise.standard_normal(len(t)))
    x = x.astype(np.float32)
    print("format  delay ms  first bytes after ms  kbit/s")
    for word in FORMATS:
        e = Encoder(lib, word)
        lengths = []
        for i in range(PIECES):
            e.add(x[i * PIECE:(i + 1) * PIECE])
            lengths.append(len(e.out))
        streamed = bytes(e.out)
        e.end()
        e.close()
        whole, _ = decode(e.out, word, RATE)
        lag = 0
        if word in ("mp3", "aac", "opus", "ogg"):
            probe = x[24000:36000]
            scores = [np.dot(probe, whole[24000 + k:36000 + k]) for k in range(0, 4000)]
            lag = int(np.argmax(scores))
        most = 0.0
        for i in range(40, PIECES, 7 if word in ("ogg", "mp3", "aac", "opus", "flac") else 50):
            heard, _ = decode(streamed[:lengths[i]], word, RATE)
            most = max(most, ((i + 1) * PIECE - (len(heard) - lag)) / RATE * 1000)
        header = lengths[0]
        first = next((i for i, n in enumerate(lengths) if n > header or (word in ("wav", "wav24", "wavf", "raw"))), 0)
        print(f"{word:7} {most:8.1f} {10 * (first + 1):12d} {len(e.out) * 8 / (len(x) / RATE) / 1000:17.0f}")


if __name__ == "__main__":
    main()
