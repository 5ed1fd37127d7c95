#!/usr/bin/env python3
"""picture.py — a recording and what the voice made of it says, side by side in one spectrogram.

    picture.py [weights/voices/natural.f5] [--voice heart] [--output weights/voices/spectrogram.png]

Left the recording that is cloned, right another sentence in its voice. Needs a built libf5tts (its tests' library, which
shows the program's own picture writer).
"""
import argparse
import ctypes
import os

import numpy as np

from measure import PROMPTS, ROOT, VOICES, Mouth, own_solver, prompt, texts
import f5lib  # found by measure

GAP = 12  # black frames between the two


def write(path, mel):
    folder = os.environ.get("F5_BUILD", ROOT / "build")
    library = ctypes.CDLL(os.path.join(folder, "lib/libf5tts_test.so"))
    mel, error = np.ascontiguousarray(mel, np.float32), ctypes.create_string_buffer(1024)
    if library.mel_png_write(os.fsencode(path), mel.ctypes.data_as(ctypes.c_void_p), mel.shape[0], mel.shape[1],
                             ctypes.c_double(24000 / 256), error):
        raise SystemExit(error.raw[4:].split(b"\0")[0].decode())


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("model", nargs="?", default=f5lib.SHIPPED)
    p.add_argument("--voice", default=VOICES[0])
    p.add_argument("--text", default=texts("sentences")[3])
    p.add_argument("--output", default=PROMPTS / "spectrogram.png")
    options = p.parse_args()
    with f5lib.Engine(options.model, max_frames=2112) as engine, Mouth(engine, [options.voice], **own_solver(options.model)) as mouth:
        real = prompt(options.voice)[0].astype(np.float32)
        mels = [engine.mel(real), engine.mel(mouth.say(options.voice, options.text))]
        lowest = np.full((GAP, mels[0].shape[1]), min(m.min() for m in mels), np.float32)
    write(options.output, np.concatenate([mels[0], lowest, mels[1]]))
    print(f"{options.output}: {options.text}")


if __name__ == "__main__":
    main()
