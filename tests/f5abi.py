"""f5abi.py — libf5tts as a binary interface: the structs of its public header, its functions, and what a failed call
says. f5lib.py puts numpy arrays on top.

Structs are read from the header, never written down twice. Environment: F5_BUILD, the build folder (default: build/ in
the root); F5_LIBRARY, the library itself.
"""
import ctypes
import functools
import os
import re
from pathlib import Path

import cbind


PARTS = [cbind.ROOT / "host/api" / name for name in ("f5tts.h", "f5tts_speech.h", "f5tts_files.h")]


class PublicHeader(cbind.Headers):
    """host/api/f5tts.h with its parts, and the status header it includes. Function pointers are read as plain pointers."""

    def __init__(self):
        self.constants, self.enums, self.structs, self.pointees, self.failed = {}, set(), {}, {}, {}
        self._texts, self._done = {}, set()
        texts = {path: self._strip(path.read_text(encoding="utf-8")) for path in (cbind.KERNELS / "f5_status.h", *PARTS)}
        kinds = re.findall(r"\btypedef\s+[\w ]+\(\s*\*\s*(\w+)\s*\)\s*\([^()]*\)\s*;", "".join(texts.values()))
        for path, text in texts.items():
            for name in kinds:
                text = re.sub(rf"\b{name}\s+(\w+)\s*;", r"void *\1;", text)  # a member of that type
            text = re.sub(r"\b\w+\s*\(\s*\*\s*(\w+)\s*\)\s*\([^()]*\)\s*;", r"void *\1;", text)
            self._texts[path.name] = text
        for name in list(self._texts):
            self._read(name)


@functools.lru_cache(maxsize=None)
def header():
    return PublicHeader()


def library_path():
    path = os.environ.get("F5_LIBRARY")
    return Path(path) if path else Path(os.environ.get("F5_BUILD", cbind.ROOT / "build")) / "lib" / "libf5tts.so"


@functools.lru_cache(maxsize=None)
def library():
    """libf5tts.so. A missing library is an error, not a skip: no test may pass for want of its subject."""
    if not library_path().exists():
        raise FileNotFoundError(f"{library_path()}: build it first (make), or set F5_BUILD or F5_LIBRARY")
    lib = ctypes.CDLL(str(library_path()))
    pointer, i32, i64, text = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_char_p
    signatures = {
        "f5_version": (text,),
        "f5_status_string": (text, ctypes.c_int),
        "f5_open": (ctypes.c_int, pointer, pointer, pointer),
        "f5_close": (None, pointer),
        "f5_set_model_defaults": (ctypes.c_int, text, pointer, pointer),
        "f5_get_info": (ctypes.c_int, pointer, pointer, pointer),
        "f5_plan": (ctypes.c_int, pointer, i32, i32, i32, pointer, pointer),
        "f5_plan_ops": (ctypes.c_int, pointer, pointer, pointer),
        "f5_mel_frames": (i64, i64), "f5_engine_mel_frames": (i64, pointer, i64),
        "f5_mel": (ctypes.c_int, pointer, pointer, i64, pointer, pointer),
        "f5_sample_frames": (i64, i32, i32, i64), "f5_engine_sample_frames": (i64, pointer, i32, i32, i64),
        "f5_sample": (ctypes.c_int, pointer, pointer, pointer, i32, pointer),
        "f5_predict_frames": (ctypes.c_int, pointer, pointer, i32, ctypes.c_float, pointer, pointer),
        "f5_vocode_samples": (i64, pointer, i32),
        "f5_vocode": (ctypes.c_int, pointer, pointer, i32, pointer),
        "f5_tokenize": (ctypes.c_int, pointer, text, pointer, i32, pointer, pointer),
        "f5_voice_open": (ctypes.c_int, pointer, pointer, pointer, pointer),
        "f5_voice_close": (None, pointer),
        "f5_voice_seconds": (ctypes.c_double, pointer),
        "f5_speak": (ctypes.c_int, pointer, pointer, pointer, pointer, pointer),
        "f5_text_is_blank": (i32, text),
        "f5_remove_silence": (ctypes.c_int, pointer, i64, pointer, pointer, pointer),
        "f5_measure_level": (ctypes.c_int, pointer, i64, pointer, pointer),
        "f5_edit": (ctypes.c_int, pointer, pointer, pointer, pointer),
        "f5_show_text": (ctypes.c_int, pointer, pointer, pointer, pointer, pointer, pointer),
        "f5_stream_open": (ctypes.c_int, pointer, pointer, pointer, pointer, pointer),
        "f5_stream_push": (ctypes.c_int, pointer, pointer, ctypes.c_size_t, pointer),
        "f5_stream_flush": (ctypes.c_int, pointer, pointer),
        "f5_stream_close": (None, pointer),
        "f5_lexicon_open": (ctypes.c_int, pointer, ctypes.c_size_t, text, pointer, pointer),
        "f5_lexicon_close": (None, pointer),
        "f5_describe": (ctypes.c_int, text, pointer, pointer),
        "f5_model_file_close": (None, pointer),
        "f5_model_file_info": (ctypes.c_int, pointer, pointer, pointer),
        "f5_model_file_check": (ctypes.c_int, pointer, text, text, text, pointer),
        **{f"f5_model_file_{what}": (ctypes.c_int, pointer, i32, pointer, pointer)
           for what in ("setting", "part", "tensor", "token")},
        "f5_convert": (ctypes.c_int, pointer, pointer, pointer),
        "f5_convert_check_output": (ctypes.c_int, pointer, pointer),
        "f5_calibration_open": (ctypes.c_int, text, pointer, pointer),
        "f5_calibration_write": (ctypes.c_int, pointer, pointer, pointer),
        "f5_calibration_close": (None, pointer),
    }
    for name, (result, *arguments) in signatures.items():
        found = getattr(lib, name)
        found.restype, found.argtypes = result, arguments
    return lib


class Error(Exception):
    """A call that failed; status is its name, "F5_E_ARGUMENT"."""

    def __init__(self, code, message):
        names = {v: k for k, v in header().constants.items() if k == "F5_OK" or k.startswith("F5_E_")}
        self.code, self.status, self.message = code, names.get(code, str(code)), message
        super().__init__(f"{self.status}: {message}")


def call(name, *arguments):
    """Runs a function that returns f5_status and takes f5_error * last."""
    error = header().struct("f5_error")()
    code = getattr(library(), name)(*arguments, ctypes.addressof(error))
    if code != 0:
        raise Error(code, error.message.decode())


def init(name, address, size):
    """What a program does whose header knows `size` bytes of the struct."""
    function = getattr(library(), name + "_init_sized")
    function.restype, function.argtypes = None, [ctypes.c_void_p, ctypes.c_size_t]
    function(address, size)


def struct(name, /, **fields):
    """A public struct: filled by its _init function, then by the fields."""
    out = header().struct(name)()
    init(name, ctypes.addressof(out), ctypes.sizeof(out))
    for field, value in fields.items():
        if field not in dict(out._fields_):
            raise TypeError(f"{name} has no field {field}")
        setattr(out, field, value)
    return out
