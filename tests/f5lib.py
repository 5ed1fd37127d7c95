"""f5lib.py — libf5tts as Python sees it: the public API of host/api/f5tts.h on numpy arrays.

    with f5lib.Engine("model.f5", max_frames=512) as e:
        mel, = e.sample([dict(cond=cond, tokens=tokens, frames=300, seed=7)], nfe=7)
        samples = e.vocode(mel)

Structs are read from the header, never written down twice; only the five callback types stand here. A call that fails
raises f5lib.Error with the library's message. Outputs are NaN before each call.
Environment: F5_BUILD, the build folder (default: build/ in the root); F5_LIBRARY, the library itself.
"""
import contextlib
import ctypes
import functools
import os
import re
import threading
from pathlib import Path

import numpy as np

import cbind

TRACE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_float),
                         ctypes.c_int64, ctypes.c_int64, ctypes.c_double)
PROGRESS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32)
RESAMPLE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.POINTER(ctypes.c_float), ctypes.c_int64,
                            ctypes.c_int32, ctypes.c_int32, ctypes.POINTER(ctypes.c_float), ctypes.c_int64)
PLAN_OP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
AUDIO = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
MEL_BANDS = 100


class PublicHeader(cbind.Headers):
    """host/api/f5tts.h and the status header it includes. Function pointers are read as plain pointers."""

    def __init__(self):
        self.constants, self.enums, self.structs, self.pointees, self.failed = {}, set(), {}, {}, {}
        self._texts, self._done = {}, set()
        for path in (cbind.KERNELS / "f5_status.h", cbind.ROOT / "host/api/f5tts.h"):
            text = self._strip(path.read_text(encoding="utf-8"))
            for name in re.findall(r"\btypedef\s+[\w ]+\(\s*\*\s*(\w+)\s*\)\s*\([^()]*\)\s*;", text):
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
        "f5_get_info": (ctypes.c_int, pointer, pointer, pointer),
        "f5_plan": (ctypes.c_int, pointer, i32, i32, i32, pointer, pointer),
        "f5_plan_ops": (ctypes.c_int, pointer, pointer, pointer),
        "f5_mel_frames": (i64, i64),
        "f5_mel": (ctypes.c_int, pointer, pointer, i64, pointer, pointer),
        "f5_sample_frames": (i64, i32, i32, i64),
        "f5_sample": (ctypes.c_int, pointer, pointer, pointer, i32, pointer),
        "f5_vocode_samples": (i64, pointer, i32),
        "f5_vocode": (ctypes.c_int, pointer, pointer, i32, pointer),
        "f5_tokenize": (ctypes.c_int, pointer, text, pointer, i32, pointer, pointer),
        "f5_voice_open": (ctypes.c_int, pointer, pointer, pointer, pointer),
        "f5_voice_close": (None, pointer),
        "f5_voice_seconds": (ctypes.c_double, pointer),
        "f5_speak": (ctypes.c_int, pointer, pointer, pointer, pointer, pointer),
        "f5_text_is_blank": (i32, text),
        "f5_describe": (ctypes.c_int, text, pointer, pointer),
        "f5_model_file_close": (None, pointer),
        "f5_model_file_info": (ctypes.c_int, pointer, pointer, pointer),
        **{f"f5_model_file_{what}": (ctypes.c_int, pointer, i32, pointer, pointer)
           for what in ("setting", "part", "tensor", "token")},
        "f5_convert": (ctypes.c_int, pointer, pointer, pointer),
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


class _Keep:
    """Values as pointers, kept alive as long as this object."""

    def __init__(self):
        self.held = []

    def array(self, value, dtype, shape=None):
        if value is None:
            return None
        value = np.ascontiguousarray(value, dtype)
        if shape is not None and value.shape != tuple(shape):
            raise ValueError(f"shape {value.shape}, want {tuple(shape)}")
        self.held.append(value)
        return value.ctypes.data

    def text(self, value):
        if value is None:
            return None
        buffer = value if isinstance(value, ctypes.Array) else ctypes.create_string_buffer(os.fsencode(value))
        self.held.append(buffer)
        return ctypes.addressof(buffer)

    def callback(self, kind, function):
        if function is None:
            return None
        wrapped = kind(function)
        self.held.append(wrapped)
        return ctypes.cast(wrapped, ctypes.c_void_p).value


def read_struct(out):
    """A struct that the library filled, as a dict; strings decoded."""
    pointees = header().pointees[type(out).__name__]
    result = {}
    for field, _ in out._fields_[1:]:
        value = getattr(out, field)
        result[field] = ctypes.string_at(value).decode() if pointees.get(field) == "char" and value else value
    return result


class ModelFile:
    """A model file, described without an engine."""

    def __init__(self, path):
        self.handle = ctypes.c_void_p()
        call("f5_describe", os.fsencode(path), ctypes.addressof(self.handle))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        library().f5_model_file_close(self.handle)
        self.handle = None

    def info(self):
        out = struct("f5_model_info")
        call("f5_model_file_info", self.handle, ctypes.addressof(out))
        return read_struct(out)

    def one(self, what, i):
        """Setting, part, tensor or token i."""
        out = struct(f"f5_model_{what}")
        call(f"f5_model_file_{what}", self.handle, i, ctypes.addressof(out))
        if what == "token":
            return ctypes.string_at(out.text, out.bytes).decode()
        result = read_struct(out)
        if what == "tensor":
            result["dims"] = tuple(out.dims[:out.rank])
        return result

    def all(self, what):
        return [self.one(what, i) for i in range(self.info()[what + "s"])]


def convert(config, vocoder_config, progress=None, summary=None, **fields):
    """f5_convert of settings [(path, value or None, quoted)]; other fields as in f5_convert_params. Gives the summary."""
    keep = _Keep()

    def settings(items):
        if items is None:
            return None
        array = (header().struct("f5_setting") * max(1, len(items)))()
        for slot, (path, value, quoted) in zip(array, items):
            slot.path, slot.value, slot.quoted = keep.text(path), keep.text(value), quoted
        keep.held.append(array)
        return ctypes.addressof(array)

    given = dict(config=settings(config), n_config=len(config or ()), vocoder_config=settings(vocoder_config),
                 n_vocoder_config=len(vocoder_config or ()), progress=keep.callback(PROGRESS, progress))
    given.update({k: keep.text(v) if isinstance(v, (str, bytes, os.PathLike)) else v for k, v in fields.items()})
    params, out = struct("f5_convert_params", **given), summary or struct("f5_convert_summary")
    call("f5_convert", ctypes.addressof(params), ctypes.addressof(out))
    return read_struct(out)


class Engine:
    """An open model. trace: called as trace(op, label, array [rows,cols], milliseconds); the array is valid inside it
    only. An exception in a callback surfaces when the call that ran it returns."""

    def __init__(self, model_path, device="cpu", precision=None, trace=None, **limits):
        self._keep, self._raised = _Keep(), threading.local()  # callbacks run on the thread whose call they belong to
        params = struct("f5_open_params", model_path=self._keep.text(str(model_path)), device=self._keep.text(device),
                        precision=self._keep.text(precision), **limits)
        if trace:
            params.trace = self._keep.callback(TRACE, self._traced(trace))
        self.handle = ctypes.c_void_p()
        call("f5_open", ctypes.addressof(params), ctypes.addressof(self.handle))

    def _guard(self, function, failed=None):
        """A callback whose exceptions wait for the end of the call; `failed` is what it then returns."""

        def run(_, *arguments):
            if getattr(self._raised, "failure", None):
                return failed
            try:
                return function(*arguments)
            except BaseException as failure:
                self._raised.failure = failure
                return failed

        return run

    def _traced(self, trace):
        def run(op, label, data, rows, cols, milliseconds):
            array = np.ctypeslib.as_array(data, (rows, cols)) if data and rows * cols else np.empty((rows, cols))
            trace(op.decode(), label.decode(), array, milliseconds)

        return self._guard(run)

    def _call(self, name, *arguments):
        try:
            call(name, self.handle, *arguments)
        finally:
            failure, self._raised.failure = getattr(self._raised, "failure", None), None
            if failure:
                raise failure

    def close(self):
        if self.handle:
            library().f5_close(self.handle)
            self.handle = ctypes.c_void_p()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def info(self):
        out = struct("f5_engine_info")
        self._call("f5_get_info", ctypes.addressof(out))
        return read_struct(out)

    def plan(self, frames, sequences=1, nfe=32):
        out = struct("f5_plan_info")
        self._call("f5_plan", frames, sequences, nfe, ctypes.addressof(out))
        return read_struct(out)

    def plan_ops(self, frames, sequences=1, card=None, precision=None, sample=None):
        """Every op call of a synthesis on that card, as dicts. sample: fields of f5_sample_params."""
        keep, calls, op_struct = _Keep(), [], header().struct("f5_plan_op")

        def op(address):
            call = op_struct.from_address(address)
            assert call.size == ctypes.sizeof(op_struct)
            calls.append(read_struct(call))

        solver = struct("f5_sample_params", **(sample or {}))
        params = struct("f5_plan_ops_params", frames=frames, sequences=sequences, precision=keep.text(precision),
                        sample=ctypes.addressof(solver), op=keep.callback(PLAN_OP, self._guard(op)))
        setattr(params, "as", keep.text(card))
        self._call("f5_plan_ops", ctypes.addressof(params))
        return calls

    def mel(self, samples):
        """samples [n] -> [n // 256 + 1, 100]."""
        keep = _Keep()
        n = len(samples)
        out = cbind.Guarded((library().f5_mel_frames(n), MEL_BANDS))
        self._call("f5_mel", keep.array(samples, np.float32), n, out.a.ctypes.data)
        return out.check()

    def prepare(self, requests, nfe=32, cfg=2.0, sway=-1.0, epss=True, midpoint=False, progress=None):
        """A sampling as a function without arguments, its memory taken beforehand; it returns the mels.

        requests: dicts of cond [n,100], tokens [m], frames, and optionally edit_mask [n], noise [N,100], seed.
        sway None: uniform grid."""
        keep = _Keep()
        params = struct("f5_sample_params", nfe=nfe, cfg=cfg, sway=0.0 if sway is None else sway,
                        use_sway=int(sway is not None), use_epss=int(epss), midpoint=int(midpoint))
        if progress:
            params.progress = keep.callback(PROGRESS, self._guard(lambda *at: int(bool(progress(*at))), 1))
        array = (header().struct("f5_sample_request") * len(requests))()
        outputs = []
        for slot, request in enumerate(requests):
            r = dict(request)
            cond, tokens, frames = r.pop("cond"), r.pop("tokens"), r.pop("frames")
            made = library().f5_sample_frames(len(tokens), len(cond), frames)
            outputs.append(cbind.Guarded((made, MEL_BANDS)))
            array[slot] = struct(
                "f5_sample_request", cond=keep.array(cond, np.float32), cond_frames=len(cond),
                tokens=keep.array(tokens, np.int32), n_tokens=len(tokens), frames=frames,
                edit_mask=keep.array(r.pop("edit_mask", None), np.uint8, (len(cond),)),
                noise=keep.array(r.pop("noise", None), np.float32, (made, MEL_BANDS)), seed=r.pop("seed", 0),
                mel=outputs[-1].a.ctypes.data)
            if r:
                raise TypeError(f"a request has no {', '.join(r)}")

        def run():
            assert keep.held is not None
            self._call("f5_sample", ctypes.addressof(params), ctypes.addressof(array), len(requests))
            return [o.check() for o in outputs]

        return run

    def sample(self, requests, **settings):
        """Mels of the requests, run as one packed batch; see prepare."""
        return self.prepare(requests, **settings)()

    def vocode_batch(self, mels):
        keep = _Keep()
        array = (header().struct("f5_vocode_request") * len(mels))()
        outputs = []
        for slot, mel in enumerate(mels):
            outputs.append(cbind.Guarded((library().f5_vocode_samples(self.handle, len(mel)),)))
            array[slot] = struct("f5_vocode_request", mel=keep.array(mel, np.float32), frames=len(mel),
                                 samples=outputs[-1].a.ctypes.data)
        self._call("f5_vocode", ctypes.addressof(array), len(mels))
        return [o.check() for o in outputs]

    def vocode(self, mel):
        """mel [N,100] -> samples."""
        return self.vocode_batch([mel])[0]

    def tokenize(self, text, capacity=4096):
        tokens, n = np.full(capacity, -1, np.int32), ctypes.c_int32(-1)
        self._call("f5_tokenize", text.encode(), tokens.ctypes.data, capacity, ctypes.addressof(n))
        return tokens[:n.value].copy()

    @contextlib.contextmanager
    def voice(self, samples, transcript, sample_rate=24000, channels=1, resample=None, **settings):
        """A reference recording, samples [n*channels] interleaved; gives its handle."""
        keep = _Keep()
        params = struct("f5_voice_params", samples=keep.array(samples, np.float32), n_frames=len(samples) // channels,
                        channels=channels, sample_rate=sample_rate, transcript=keep.text(transcript), **settings)
        params.resample = keep.callback(RESAMPLE, resample)
        handle = ctypes.c_void_p()
        self._call("f5_voice_open", ctypes.addressof(params), ctypes.addressof(handle))
        try:
            yield handle
        finally:
            library().f5_voice_close(handle)

    def speak(self, voice, text, sample=None, noise=None, heard=None, **settings):
        """Text in that voice -> (list of (samples, mel) pieces, statistics). heard(samples, mel) is called with each."""
        keep, pieces = _Keep(), []
        piece_struct = header().struct("f5_audio")

        def audio(address):
            piece = piece_struct.from_address(address)
            floats = ctypes.POINTER(ctypes.c_float)
            samples = np.ctypeslib.as_array(ctypes.cast(piece.samples, floats), (piece.n_samples,)).copy()
            mel = np.ctypeslib.as_array(ctypes.cast(piece.mel, floats), (piece.mel_frames, MEL_BANDS)).copy()
            pieces.append((samples, mel))
            if heard:
                heard(samples, mel)
            return 0

        params = struct("f5_speak_params", text=keep.text(text), **settings)
        solver = struct("f5_sample_params", **(sample or {}))
        params.sample = ctypes.addressof(solver)
        if noise is not None:
            params.noise, params.noise_frames = keep.array(noise, np.float32), len(noise)
        params.audio = keep.callback(AUDIO, self._guard(audio, 1))
        stats = struct("f5_speak_stats")
        self._call("f5_speak", voice, ctypes.addressof(params), ctypes.addressof(stats))
        return pieces, read_struct(stats)
