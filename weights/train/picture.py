#!/usr/bin/env python3
"""picture.py — a sentence as flite says it and as the voice says it, side by side in one spectrogram.

    picture.py [weights/voices/flite.f5] [--voice slt] [--output weights/voices/spectrogram.png]

Left flite's recording, which the model never saw; right the speech made from the prompt of that voice. Needs flite's
library and a built libf5tts (its tests' library, which shows the program's own picture writer).
"""
import argparse
import ctypes
import os

import numpy as np

from measure import PROMPTS, ROOT, Mouth, flite_says, texts

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
    p.add_argument("model", nargs="?", default=PROMPTS / "flite.f5")
    p.add_argument("--voice", default="slt")
    p.add_argument("--text", default=texts("sentences")[3])
    p.add_argument("--output", default=PROMPTS / "spectrogram.png")
    options = p.parse_args()
    import f5lib
    with f5lib.Engine(options.model, max_frames=2112) as engine, Mouth(engine, [options.voice]) as mouth:
        real = flite_says(options.voice, options.text).astype(np.float32)
        mels = [engine.mel(real), engine.mel(mouth.say(options.voice, options.text))]
        lowest = np.full((GAP, mels[0].shape[1]), min(m.min() for m in mels), np.float32)
    write(options.output, np.concatenate([mels[0], lowest, mels[1]]))
    print(f"{options.output}: {options.text}")


if __name__ == "__main__":
    main()
