"""What tests of recordings share: files made by libsndfile and FFmpeg, read by the library, judged by check-voice."""
import ctypes
import os
import re
import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np

import convert_lib
import f5lib

ROOT = Path(__file__).resolve().parents[1]
VOICE = ROOT / "weights/voices/slt.wav"
WORDS = (ROOT / "weights/voices/slt.txt").read_text().strip()

class AudioFile(ctypes.Structure):
    _fields_ = [("samples", ctypes.POINTER(ctypes.c_float)), ("n_frames", ctypes.c_int64), ("channels", ctypes.c_int32),
                ("sample_rate", ctypes.c_int32)]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 512)]


class Info(ctypes.Structure):
    _fields_ = [("frames", ctypes.c_int64), ("rate", ctypes.c_int), ("channels", ctypes.c_int), ("format", ctypes.c_int),
                ("sections", ctypes.c_int), ("seekable", ctypes.c_int)]


def library():
    return ctypes.CDLL(str(Path(os.environ.get("F5_BUILD", ROOT / "build")) / "lib" / "libf5tts_test.so"))


def voice_samples():
    with wave.open(str(VOICE)) as w:
        return np.frombuffer(w.readframes(w.getnframes()), "<i2")


def read(lib, path):
    """(samples, rate), or the message."""
    a, error = AudioFile(), Error()
    if lib.audio_read(ctypes.byref(a), os.fsencode(path), ctypes.byref(error)):
        return error.message.decode()
    x = np.ctypeslib.as_array(a.samples, (a.n_frames, a.channels)).copy()
    rate = a.sample_rate
    lib.audio_free(ctypes.byref(a))
    return x, rate


def write(path, samples, code, rate=24000):
    """By libsndfile itself: samples [n] or [n, channels]."""
    sndfile = ctypes.CDLL("libsndfile.so.1")
    sndfile.sf_open.restype = ctypes.c_void_p
    sndfile.sf_open.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
    sndfile.sf_write_float.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    sndfile.sf_write_float.restype = ctypes.c_int64
    sndfile.sf_close.argtypes = [ctypes.c_void_p]
    x = np.ascontiguousarray(samples, np.float32)
    info = Info(rate=rate, channels=1 if x.ndim == 1 else x.shape[1], format=code)
    handle = sndfile.sf_open(os.fsencode(path), 0x20, ctypes.byref(info))
    assert handle, f"libsndfile writes no {code:#x}"
    assert sndfile.sf_write_float(handle, x.ctypes.data, x.size) == x.size
    sndfile.sf_close(handle)


class Clip(ctypes.Structure):
    _fields_ = [("samples", ctypes.POINTER(ctypes.c_float)), ("n_samples", ctypes.c_int64), ("rms", ctypes.c_float)]


def prepared(lib, path):
    """The clip at 24 kHz that a voice is made of."""
    a, clip, error = AudioFile(), Clip(), Error()
    assert not lib.audio_read(ctypes.byref(a), str(path).encode(), ctypes.byref(error)), error.message.decode()
    params = f5lib.struct("f5_voice_params", samples=ctypes.cast(a.samples, ctypes.c_void_p).value, n_frames=a.n_frames,
                          channels=a.channels, sample_rate=a.sample_rate)
    status = lib.recording_read(ctypes.byref(params), 0, ctypes.byref(clip), ctypes.byref(error))
    lib.audio_free(ctypes.byref(a))
    assert not status, error.message.decode()
    samples = np.ctypeslib.as_array(clip.samples, (clip.n_samples,)).copy()
    lib.free(clip.samples)
    return samples


def ffmpeg(*arguments, output=None):
    assert shutil.which("ffmpeg"), "ffmpeg is missing: make test-packages installs it"
    made = subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], stdout=subprocess.PIPE, check=True)
    if output:
        output.write_bytes(made.stdout)


def hide_ffmpeg(shim):
    """A library that, preloaded, lets no other be loaded."""
    source = 'void *dlopen(const char *name, int flags) { (void)name, (void)flags; return 0; }'
    subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-o", shim, "-"], input=source, text=True, check=True)


def run_check(path, *more, timeout=600, env=(), **settings):
    return subprocess.run([convert_lib.program(), "check-voice", path, *more], capture_output=True, text=True,
                          timeout=timeout, check=False, env={**os.environ, **convert_lib.SANITIZER, **dict(env)},
                          **settings)


def save(path, x, rate=24000):
    with wave.open(str(path), "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes(np.clip(np.rint(x * 32768), -32768, 32767).astype("<i2").tobytes())
    return path


def verdicts(text):
    """{"level": (good?, words), ...}"""
    return {what: (verdict == "good", words) for what, verdict, words in
            re.findall(r"^  (\w+) +(good|mind) +(.*)$", text, re.MULTILINE)}
