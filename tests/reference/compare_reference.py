#!/usr/bin/env python3
"""Compares host/reference.c with upstream's preprocess_ref_audio_text (pydub), sample for sample.

Run by hand; not part of `make test`. Needs pydub (importable, or under --site; 16-bit WAV needs no ffmpeg) and upstream:
    python3 tests/reference/compare_reference.py --upstream DIR_WITH_f5_tts --site DIR --lib build/lib/libf5tts_test.so
"""
import argparse
import array
import contextlib
import ctypes
import hashlib
import io
import math
import os
import random
import sys
import tempfile
import wave
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from compare_tokenizer import F5Error, upstream_function  # noqa: E402


class Source(ctypes.Structure):
    _fields_ = [("samples", ctypes.POINTER(ctypes.c_float)), ("n_frames", ctypes.c_int64), ("channels", ctypes.c_int32),
                ("sample_rate", ctypes.c_int32), ("target_rms", ctypes.c_float), ("keep_whole", ctypes.c_bool),
                ("resample", ctypes.c_void_p), ("resample_user", ctypes.c_void_p)]


def ours(lib, samples, channels, rate):
    data = (ctypes.c_float * max(1, len(samples)))(*[s / 32768 for s in samples])
    source = Source(data, len(samples) // channels, channels, rate, 0.1, False, None, None)
    out, frames, error = ctypes.POINTER(ctypes.c_float)(), ctypes.c_int64(), F5Error()
    if lib.reference_cut(ctypes.byref(source), ctypes.byref(out), ctypes.byref(frames), ctypes.byref(error)):
        raise RuntimeError(error.message.decode())
    return [round(v * 32768) for v in out[: frames.value * channels]]


def theirs(preprocess, samples, channels, rate, path):
    with wave.open(path, "wb") as w:
        w.setnchannels(channels)
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes(array.array("h", samples).tobytes())
    with contextlib.redirect_stdout(io.StringIO()):
        made, _ = preprocess(path, "x. ", show_info=lambda *a: None)
    with wave.open(made, "rb") as w:
        result = list(array.array("h", w.readframes(w.getnframes())))
        kept = w.getnchannels() == channels and w.getframerate() == rate
    os.unlink(made)
    assert kept or result == [0] * 551  # of a silent recording only the appended silence is left, in its own format
    return result if kept else []


def signal(rng, rate, channels):
    """Bursts of noise and near-silence of all lengths and levels, those of the thresholds among them."""
    out, seconds, total = [], 0.0, rng.choice([0.3, 2, 8, 13, 20, 30])
    while seconds < total:
        length = rng.choice([0.003, 0.05, 0.11, 0.3, 1.0, 1.3, 2.5, 7])
        level = rng.choice([0, 0, 1, 40, 103, 104, 150, 259, 261, 327, 329, 500, 3000, 12000])
        for _ in range(int(length * rate) + rng.randrange(30)):
            out += [max(-32768, min(32767, round(rng.uniform(-1.732, 1.732) * level))) for _ in range(channels)]
        seconds += length
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--upstream", required=True)
    p.add_argument("--site")
    p.add_argument("--lib", default="build/lib/libf5tts_test.so")
    p.add_argument("--count", type=int, default=60)
    args = p.parse_args()
    if args.site:
        sys.path.insert(0, args.site)
    from pydub import AudioSegment, silence

    module = Path(args.upstream) / "f5_tts/infer/utils_infer.py"
    namespace = {"AudioSegment": AudioSegment, "silence": silence, "hashlib": hashlib, "tempfile": tempfile,
                 "tempfile_kwargs": {"delete": False}, "_ref_audio_cache": {}, "_ref_text_cache": {}}
    upstream_function(module, "remove_silence_edges", namespace)
    preprocess = upstream_function(module, "preprocess_ref_audio_text", namespace)
    lib = ctypes.CDLL(args.lib)
    seed = int(os.environ.get("F5_TEST_SEED") or int.from_bytes(os.urandom(4), "little"))
    rng = random.Random(seed)
    print(f"F5_TEST_SEED={seed}")
    bad = clipped = empty = 0
    with tempfile.TemporaryDirectory() as folder:
        for case in range(args.count):
            rate, channels = rng.choice([11025, 16000, 22050, 24000, 44100, 48000]), rng.choice([1, 1, 2])
            samples = signal(rng, rate, channels)
            want = theirs(preprocess, samples, channels, rate, os.path.join(folder, "a.wav"))
            got = ours(lib, samples, channels, rate)
            appended = math.floor(550 * rate / 11025) + 1
            if not got and not any(want) and len(want) <= appended * channels:  # upstream goes on with silence
                empty += 1
                continue
            clipped += len(want) < len(samples) * 0.8
            if got != want:
                bad += 1
                print(f"DIFFERENT case {case}: {rate} Hz, {channels} ch, {len(samples)} in, {len(got)} / {len(want)} out")
    print(f"{args.count - bad} of {args.count} equal ({clipped} noticeably shortened, {empty} all silent)")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
