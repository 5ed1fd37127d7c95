"""The three libraries of the package, loaded when first needed, and how they are called.

libf5tts is the engine (f5tts.h), libf5tts_files reads and writes recordings and pictures, libf5tts_ops has the ops by
themselves (f5tts.ops). ctypes lets go of the GIL while a call runs.
"""
from __future__ import annotations

import ctypes
import functools
import os
import sys
from pathlib import Path
from typing import Any, Callable, Optional

from . import _abi
from ._errors import ArgumentError, UnsupportedError, error_of

NATIVE = Path(__file__).resolve().parent / "_native"
POINTER, I32, I64, TEXT, INT = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_char_p, ctypes.c_int

# result, arguments
CALLS: dict[str, tuple[Any, ...]] = {
    "f5_version": (TEXT,),
    "f5_open": (INT, POINTER, POINTER, POINTER),
    "f5_close": (None, POINTER),
    "f5_get_info": (INT, POINTER, POINTER, POINTER),
    "f5_engine_mel_frames": (I64, POINTER, I64),
    "f5_mel": (INT, POINTER, POINTER, I64, POINTER, POINTER),
    "f5_engine_sample_frames": (I64, POINTER, I32, I32, I64),
    "f5_predict_frames": (INT, POINTER, POINTER, I32, ctypes.c_float, POINTER, POINTER),
    "f5_sample": (INT, POINTER, POINTER, POINTER, I32, POINTER),
    "f5_vocode_samples": (I64, POINTER, I32),
    "f5_vocode": (INT, POINTER, POINTER, I32, POINTER),
    "f5_tokenize": (INT, POINTER, TEXT, POINTER, I32, POINTER, POINTER),
    "f5_voice_open": (INT, POINTER, POINTER, POINTER, POINTER),
    "f5_voice_close": (None, POINTER),
    "f5_voice_seconds": (ctypes.c_double, POINTER),
    "f5_check_voice": (INT, POINTER, POINTER, POINTER, POINTER),
    "f5_speak": (INT, POINTER, POINTER, POINTER, POINTER, POINTER),
    "f5_show_text": (INT, POINTER, POINTER, POINTER, POINTER, POINTER, POINTER),
    "f5_stream_open": (INT, POINTER, POINTER, POINTER, POINTER, POINTER),
    "f5_stream_push": (INT, POINTER, TEXT, ctypes.c_size_t, POINTER),
    "f5_stream_flush": (INT, POINTER, POINTER),
    "f5_stream_close": (None, POINTER),
    "f5_lexicon_open": (INT, TEXT, ctypes.c_size_t, TEXT, POINTER, POINTER),
    "f5_lexicon_close": (None, POINTER),
    "f5_remove_silence": (INT, POINTER, I64, POINTER, POINTER, POINTER),
    "f5_measure_level": (INT, POINTER, I64, POINTER, POINTER),
    "f5_edit": (INT, POINTER, POINTER, POINTER, POINTER),
}
FILES: dict[str, tuple[Any, ...]] = {
    "audio_read": (INT, POINTER, TEXT, POINTER),
    "audio_free": (None, POINTER),
    "sound_format_of_name": (INT, TEXT, POINTER, POINTER),
    "sound_format_rate": (I32, INT, I32),
    "sound_file_write": (INT, TEXT, POINTER, I64, INT, I32, I32, POINTER),
    "mel_png_write": (INT, TEXT, POINTER, I32, I32, ctypes.c_double, POINTER),
}

PROGRESS = ctypes.CFUNCTYPE(INT, POINTER, I32, I32)
WAITS = ctypes.CFUNCTYPE(INT, POINTER)
AUDIO = ctypes.CFUNCTYPE(INT, POINTER, POINTER)  # and of f5_show_text
WARNING = ctypes.CFUNCTYPE(None, POINTER, INT, TEXT)
PHONEMES = ctypes.CFUNCTYPE(INT, POINTER, POINTER, ctypes.c_size_t, POINTER, ctypes.c_size_t, ctypes.POINTER(ctypes.c_size_t),
                            POINTER)
ADVICE = ctypes.CFUNCTYPE(None, POINTER, TEXT, I32, TEXT)


def native(name: str) -> Optional[Path]:
    """A file of the package that is not Python's; None: this build has none."""
    return next(iter(sorted(NATIVE.rglob(name))), None)


def load(name: str, lack: str, version: str = "library_version") -> ctypes.CDLL:
    """A library of the package, of the package's version. Raises UnsupportedError: none; ImportError: of another version,
    or what it needs is missing. version: the function that tells it."""
    path = native(name)
    if path is None:
        raise UnsupportedError(f"{name}: this build of the package has none: {lack}")
    loaded = _load(path)
    told = getattr(loaded, version, None)
    if told is not None:
        told.restype, told.argtypes = TEXT, []
    found = (told() or b"").decode("utf-8", "replace") if told is not None else "that tells none"
    if found != _abi.VERSION:
        raise ImportError(f"{path} is of version {found}, the modules beside it are of {_abi.VERSION}: install f5tts again, into "
                          "an empty place")
    return loaded


def _load(path: Path) -> ctypes.CDLL:
    """CUDA's own libraries may be those that pip has installed."""
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        if "libcublas" not in str(error):
            raise
        for wanted in ("libcublas.so.*", "libcublasLt.so.*"):
            for folder in sys.path:
                for found in sorted(Path(folder or ".").glob(f"nvidia/*/lib/{wanted}")):
                    try:
                        ctypes.CDLL(str(found), mode=ctypes.RTLD_GLOBAL)
                    except OSError:
                        pass
        try:
            return ctypes.CDLL(str(path))
        except OSError as again:
            package = "nvidia-cublas-cu12" if _abi.CUDA == "12" else f"'nvidia-cublas=={_abi.CUDA}.*'"
            raise ImportError(f"{again}: this build of f5tts needs cuBLAS of CUDA {_abi.CUDA}: install the CUDA toolkit, or "
                              f"`pip install {package}`") from error


def declare(loaded: ctypes.CDLL, calls: dict[str, tuple[Any, ...]]) -> ctypes.CDLL:
    for name, (result, *arguments) in calls.items():
        found = getattr(loaded, name)
        found.restype, found.argtypes = result, arguments
    return loaded


@functools.lru_cache(maxsize=None)
def library() -> ctypes.CDLL:
    """libf5tts."""
    return declare(load("libf5tts.so.*", "it was not built", "f5_version"), CALLS)


@functools.lru_cache(maxsize=None)
def files() -> ctypes.CDLL:
    """libf5tts_files."""
    library()  # which it needs, and whose own libraries may have to be looked for
    return declare(load("libf5tts_files.so", "it was built without libsndfile, libyaml and libpng; give samples as an array"),
                   FILES)


def check(function: Callable[..., int], *arguments: Any) -> None:
    """Calls a function that returns f5_status and takes f5_error * last."""
    error = _abi.f5_error()
    code = function(*arguments, ctypes.addressof(error))
    if code != 0:
        raise error_of(code, error.message.decode("utf-8", "replace"))


def call(name: str, *arguments: Any) -> None:
    check(getattr(library(), name), *arguments)


def file_call(name: str, *arguments: Any) -> None:
    check(getattr(files(), name), *arguments)


def init(struct: ctypes.Structure) -> None:
    """Defaults of a public struct, by the library's own function."""
    function = getattr(library(), type(struct).__name__ + "_init_sized")
    function.restype, function.argtypes = None, [POINTER, ctypes.c_size_t]
    function(ctypes.addressof(struct), ctypes.sizeof(struct))


def text_bytes(value: Any, what: str) -> bytes:
    """UTF-8 that C can take."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is a {type(value).__name__}, not a str")
    if "\0" in value:
        raise ArgumentError(f"{what} holds a character 0: leave it out")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(f"{what} is no text: {error.reason} at character {error.start}") from None


def path_bytes(value: Any, what: str) -> bytes:
    try:
        encoded = os.fsencode(value)
    except UnicodeEncodeError as error:  # os.fsdecode gives other surrogates than these
        raise ArgumentError(f"{what} is no path: {error.reason} at character {error.start}") from None
    if b"\0" in encoded:
        raise ArgumentError(f"{what} holds a character 0")
    return encoded
