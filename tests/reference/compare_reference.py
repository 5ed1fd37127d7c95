#!/usr/bin/env python3
"""Compares host/audio/reference.c with upstream's preprocess_ref_audio_text (pydub), sample for sample.

Run by hand; not part of `make test`. Needs pydub (importable, or under --site; 16-bit WAV needs no ffmpeg) and upstream:
    python3 tests/reference/compare_reference.py --upstream DIR_WITH_f5_tts --site DIR --lib build/lib/libf5tts_test.so
"""
import argparse
import contextlib
import ctypes
import hashlib
import io
import json
import os
import random
import sys
import tempfile
import wave
import zlib
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]
from compare_tokenizer import F5Error, upstream_function  # noqa: E402
from signals import bursts  # noqa: E402


class Sound(ctypes.Structure):
    _fields_ = [("samples", ctypes.POINTER(ctypes.c_float)), ("n_frames", ctypes.c_int64), ("channels", ctypes.c_int32),
                ("sample_rate", ctypes.c_int32), ("bits", ctypes.c_int32)]


def ours(lib, samples, rate):
    data = np.ascontiguousarray(samples / np.float32(32768), np.float32)
    source = Sound(data.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), len(samples), samples.shape[1], rate)
    out, frames, error = ctypes.POINTER(ctypes.c_float)(), ctypes.c_int64(), F5Error()
    if lib.reference_cut(ctypes.byref(source), ctypes.byref(out), ctypes.byref(frames), ctypes.byref(error)):
        raise RuntimeError(error.message.decode())
    if not frames.value:
        return np.zeros((0, samples.shape[1]), np.int16)
    cut = np.ctypeslib.as_array(out, (frames.value, samples.shape[1])) * 32768
    result = np.rint(cut).astype(np.int16)
    lib.free(out)
    return result


def theirs(preprocess, samples, rate, path):
    """What upstream exports; None for a silent recording, of which only the appended silence is left."""
    channels = samples.shape[1]
    with wave.open(path, "wb") as w:
        w.setnchannels(channels)
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes(samples.astype("<i2").tobytes())
    with contextlib.redirect_stdout(io.StringIO()):
        made, _ = preprocess(path, "x. ", show_info=lambda *a: None)
    with wave.open(made, "rb") as w:
        result = np.frombuffer(w.readframes(w.getnframes()), "<i2").reshape(-1, w.getnchannels())
        kept = w.getnchannels() == channels and w.getframerate() == rate
    os.unlink(made)
    assert kept or (result.size == 551 and not result.any())
    appended = 550 * rate // 11025 + 1
    return result if kept and (result.any() or len(result) > appended) else None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--upstream", required=True)
    p.add_argument("--site")
    p.add_argument("--lib", default="build/lib/libf5tts_test.so")
    p.add_argument("--count", type=int, default=60)
    p.add_argument("--golden", help="write the golden file of tests/test_host.py here")
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
    golden = []
    with tempfile.TemporaryDirectory() as folder:
        for case in range(args.count):
            signal_seed = rng.randrange(1 << 31)
            rate, samples = bursts(signal_seed)
            want, got = theirs(preprocess, samples, rate, os.path.join(folder, "a.wav")), ours(lib, samples, rate)
            entry = {"seed": signal_seed, "rate": rate, "frames_in": len(samples)}
            if want is None:  # we refuse what upstream turns into 50 ms of silence
                empty += 1
                bad += len(got) != 0
                golden.append({**entry, "frames": 0, "crc32": 0})
                continue
            golden.append({**entry, "frames": len(want), "crc32": zlib.crc32(want.astype("<i2").tobytes())})
            clipped += len(want) < len(samples) * 0.8
            if not np.array_equal(got, want):
                bad += 1
                print(f"DIFFERENT signal {signal_seed}: {rate} Hz, {samples.shape}, {got.shape} / {want.shape}")
    print(f"{args.count - bad} of {args.count} equal ({clipped} noticeably shortened, {empty} all silent)")
    if args.golden:
        Path(args.golden).write_text(json.dumps({"pydub": "0.25.1", "cases": golden}) + "\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
