"""encoder_lib.py — host/files/sound_encoder.h from Python: bytes out of samples, at once or bit by bit, and FFmpeg to
hear what they say."""
import ctypes
import os
import subprocess
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
FORMATS = ["wav", "wav24", "wavf", "flac", "ogg", "opus", "mp3", "aac", "raw"]
RATE = 24000

WRITE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
REWRITE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_size_t)


class Sink(ctypes.Structure):
    _fields_ = [("write", WRITE), ("rewrite", REWRITE), ("user", ctypes.c_void_p)]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 512)]


class Refused(Exception):
    pass


def library():
    lib = ctypes.CDLL(str(Path(os.environ.get("F5_BUILD", ROOT / "build")) / "lib" / "libf5tts_test.so"))
    lib.sound_format_of_word.restype = ctypes.c_bool
    lib.sound_content_type.restype = ctypes.c_char_p
    return lib


class Encoder:
    """room: bytes after which the sink says that its disk is full; `out` holds what came so far."""

    def __init__(self, lib, word, rate=RATE, seekable=False, room=None):
        self.lib, self.out, self.room, self.error, self.calls = lib, bytearray(), room, Error(), 0
        self.at = ctypes.c_void_p()

        def write(_, data, n):
            self.calls += 1
            if self.room is not None and len(self.out) + n > self.room:
                return 28  # ENOSPC
            self.out += ctypes.string_at(data, n)
            return 0

        def rewrite(_, at, data, n):
            assert 0 <= at and at + n <= len(self.out)
            self.out[at:at + n] = ctypes.string_at(data, n)
            return 0

        self.sink = Sink(WRITE(write), REWRITE(rewrite) if seekable else REWRITE())
        kind = ctypes.c_int()
        assert lib.sound_format_of_word(word.encode(), ctypes.byref(kind))
        self._check(lib.sound_encoder_open(ctypes.byref(self.at), kind, rate, ctypes.byref(self.sink), b"the sound",
                                           ctypes.byref(self.error)))

    def _check(self, status):
        if status:
            raise Refused(self.error.message.decode())

    def add(self, samples):
        x = np.ascontiguousarray(samples, np.float32)
        self._check(self.lib.sound_encoder_add(self.at, x.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(len(x)),
                                               ctypes.byref(self.error)))

    def end(self):
        self._check(self.lib.sound_encoder_end(self.at, ctypes.byref(self.error)))

    def close(self):
        self.lib.sound_encoder_close(self.at)
        self.at = ctypes.c_void_p()


def encode(lib, word, samples, rate=RATE, seekable=False, piece=None):
    e = Encoder(lib, word, rate, seekable)
    for at in range(0, len(samples), piece or max(len(samples), 1)):
        e.add(samples[at:at + (piece or len(samples))])
    e.end()
    e.close()
    return bytes(e.out)


def decode(data, word=None, rate=None):
    """(samples, rate) as FFmpeg hears them out of a pipe; raw has to be told its rate."""
    raw = ["-f", "s16le", "-ar", str(rate or RATE), "-ac", "1"] if word == "raw" else []
    run = subprocess.run(["ffmpeg", "-v", "error", *raw, "-i", "pipe:0", "-f", "f32le", "-ac", "1",
                          *(["-ar", str(rate)] if rate else []), "pipe:1"], input=bytes(data), capture_output=True)
    return np.frombuffer(run.stdout, "<f4"), run.stderr.decode()
