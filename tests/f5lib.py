"""f5lib.py — libf5tts as Python sees it: the public API of host/api/f5tts.h on numpy arrays.

    with f5lib.Engine("model.f5", max_frames=512) as e:
        mel, = e.sample([dict(cond=cond, tokens=tokens, frames=300, seed=7)], nfe=7)
        samples = e.vocode(mel)

Only the callback types stand here; structs and functions are f5abi.py's. A call that fails raises f5lib.Error with the
library's message. Outputs are NaN before each call.
"""
import contextlib
import ctypes
import os
import threading

import numpy as np

import cbind
from f5abi import Error, call, header, init, library, library_path, struct  # noqa: F401

TRACE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_float),
                         ctypes.c_int64, ctypes.c_int64, ctypes.c_double)
PROGRESS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32)
WAITS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
RESAMPLE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.POINTER(ctypes.c_float), ctypes.c_int64,
                            ctypes.c_int32, ctypes.c_int32, ctypes.POINTER(ctypes.c_float), ctypes.c_int64)
PLAN_OP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
AUDIO = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)  # and of f5_show_text
PHONEMES = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t,
                            ctypes.POINTER(ctypes.c_size_t), ctypes.c_void_p)
PRODUCT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
WARNING = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)
MEL_BANDS = 100
SHIPPED = cbind.ROOT / "weights/voices/natural.f5"  # the model that comes with the program
METHODS = {"euler": 0, "midpoint": 1, "ab2": 2}  # f5_method


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


class Calibration:
    """f5_calibration of a model file in fp32: to be given as an engine's trace."""

    def __init__(self, model_path):
        self.handle = ctypes.c_void_p()
        call("f5_calibration_open", os.fsencode(str(model_path)), ctypes.addressof(self.handle))

    def write(self, output_path, **fields):
        """Writes the file; {product: dict(error, calibrated_error, scaled, wide)}."""
        keep, told, kind = _Keep(), {}, header().struct("f5_calibrated_product")

        def tell(_, product):
            p = read_struct(kind.from_address(product))
            told[p.pop("product")] = p

        params = struct("f5_calibration_params", output_path=keep.text(output_path), product=keep.callback(PRODUCT, tell),
                        **{k: keep.text(v) if isinstance(v, str) else v for k, v in fields.items()})
        call("f5_calibration_write", self.handle, ctypes.addressof(params))
        return told

    def __enter__(self):
        return self

    def __exit__(self, *_):
        library().f5_calibration_close(self.handle)


def remove_silence(samples):
    """Speech without its long silence, float32."""
    samples, n = np.ascontiguousarray(samples, np.float32), ctypes.c_int64(-1)
    out = np.full(len(samples) + header().constants["F5_SILENCE_ROUNDING"], np.nan, np.float32)
    call("f5_remove_silence", samples.ctypes.data, len(samples), out.ctypes.data, ctypes.addressof(n))
    return out[:n.value].copy()


class Engine:
    """An open model. trace: called as trace(op, label, array [rows,cols], milliseconds); the array is valid inside it
    only; or a Calibration. An exception in a callback surfaces when the call that ran it returns."""

    def __init__(self, model_path, device="cpu", precision=None, trace=None, vocoder_precision=None, **limits):
        self._keep, self._raised = _Keep(), threading.local()  # callbacks run on the thread whose call they belong to
        params = struct("f5_open_params", model_path=self._keep.text(str(model_path)), device=self._keep.text(device),
                        precision=self._keep.text(precision), vocoder_precision=self._keep.text(vocoder_precision),
                        **limits)
        if isinstance(trace, Calibration):
            params.trace = ctypes.cast(library().f5_calibration_trace, ctypes.c_void_p).value
            params.trace_user = trace.handle.value
        elif trace:
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

    def plan_ops(self, frames, sequences=1, card=None, precision=None, sample=None, vocoder_precision=None):
        """Every op call of a synthesis on that card, as dicts. sample: fields of f5_sample_params."""
        keep, calls, op_struct = _Keep(), [], header().struct("f5_plan_op")

        def op(address):
            call = op_struct.from_address(address)
            assert call.size == ctypes.sizeof(op_struct)
            calls.append(read_struct(call))

        solver = struct("f5_sample_params", **(sample or {}))
        params = struct("f5_plan_ops_params", frames=frames, sequences=sequences, precision=keep.text(precision), vocoder_precision=keep.text(vocoder_precision),
                        sample=ctypes.addressof(solver), op=keep.callback(PLAN_OP, self._guard(op)))
        setattr(params, "as", keep.text(card))
        self._call("f5_plan_ops", ctypes.addressof(params))
        return calls

    def mel(self, samples):
        """samples [n] -> [n // 256 + 1, 100]; with BigVGAN n // 256."""
        keep = _Keep()
        n = len(samples)
        out = cbind.Guarded((library().f5_engine_mel_frames(self.handle, n), MEL_BANDS))
        self._call("f5_mel", keep.array(samples, np.float32), n, out.a.ctypes.data)
        return out.check()

    def prepare(self, requests, nfe=32, cfg=2.0, sway=-1.0, epss=True, midpoint=False, progress=None, method=0, grid=0):
        """A sampling as a function without arguments, its memory taken beforehand; it returns the mels.

        requests: dicts of cond [n,100], tokens [m], frames, and optionally edit_mask [n], noise [N,100], seed.
        nfe None: no settings are given, which are the model's then. sway None: uniform grid."""
        keep, info = _Keep(), self.info()
        params = struct("f5_sample_params", nfe=nfe or 0, cfg=cfg, sway=0.0 if sway is None else sway,
                        use_sway=int(sway is not None), use_epss=int(epss), midpoint=int(midpoint),
                        method=method, grid=grid)
        if progress:
            params.progress = keep.callback(PROGRESS, self._guard(lambda *at: int(bool(progress(*at))), 1))
        array = (header().struct("f5_sample_request") * len(requests))()
        outputs = []
        for slot, request in enumerate(requests):
            r = dict(request)
            cond, tokens, frames = r.pop("cond", ()), r.pop("tokens"), r.pop("frames")
            made = library().f5_engine_sample_frames(self.handle, len(tokens), len(cond), frames)
            outputs.append(cbind.Guarded((made, info["mel_bands"])))
            array[slot] = struct(
                "f5_sample_request", cond=keep.array(cond, np.float32), cond_frames=len(cond),
                tokens=keep.array(tokens, np.int32), n_tokens=len(tokens), frames=frames,
                edit_mask=keep.array(r.pop("edit_mask", None), np.uint8, (len(cond),)),
                noise=keep.array(r.pop("noise", None), np.float32, (made, info["mel_bands"])), seed=r.pop("seed", 0),
                mel=outputs[-1].a.ctypes.data)
            if r:
                raise TypeError(f"a request has no {', '.join(r)}")

        def run():
            assert keep.held is not None
            self._call("f5_sample", None if nfe is None else ctypes.addressof(params), ctypes.addressof(array), len(requests))
            return [o.check() for o in outputs]

        return run

    def sample(self, requests, **settings):
        """Mels of the requests, run as one packed batch; see prepare."""
        return self.prepare(requests, **settings)()

    def predict_frames(self, tokens, scale=1.0):
        """Of a model with one voice."""
        keep, frames = _Keep(), ctypes.c_int32(-1)
        self._call("f5_predict_frames", keep.array(tokens, np.int32), len(tokens), scale, ctypes.addressof(frames))
        return frames.value

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

    def _warn(self, keep, params, warned):
        """Warnings go into the list `warned` as (kind, message)."""
        if warned is not None:
            params.warning = keep.callback(WARNING, self._guard(lambda kind, text: warned.append((kind, text.decode()))))

    @contextlib.contextmanager
    def voice(self, samples, transcript, sample_rate=24000, channels=1, resample=None, warned=None, **settings):
        """A reference recording, samples [n*channels] interleaved; gives its handle."""
        keep = _Keep()
        params = struct("f5_voice_params", samples=keep.array(samples, np.float32), n_frames=len(samples) // channels,
                        channels=channels, sample_rate=sample_rate, transcript=keep.text(transcript), **settings)
        params.resample = keep.callback(RESAMPLE, resample)
        self._warn(keep, params, warned)
        handle = ctypes.c_void_p()
        self._call("f5_voice_open", ctypes.addressof(params), ctypes.addressof(handle))
        try:
            yield handle
        finally:
            library().f5_voice_close(handle)

    def _speak_params(self, keep, pieces, text=None, sample=None, noise=None, heard=None, voices=(), warned=None,
                      lexicon=None, normalize=None, keep_pieces=True, phonemes=None, **settings):
        """f5_speak_params whose pieces are put into the list as dicts, if they are to be kept. voices: (name, handle, speed or 0).
        phonemes: bytes -> bytes, or the status with which it fails."""
        bands = self.info()["mel_bands"]
        piece_struct, mark_struct = header().struct("f5_audio"), header().struct("f5_mark")
        floats = ctypes.POINTER(ctypes.c_float)

        def copy(address, shape):
            return np.ctypeslib.as_array(ctypes.cast(address, floats), shape).copy() if shape[0] else np.empty(shape)

        def audio(address):
            a = piece_struct.from_address(address)
            marks = (mark_struct * a.n_marks).from_address(a.marks) if a.n_marks else ()
            piece = dict(samples=copy(a.samples, (a.n_samples,)), mel=copy(a.mel, (a.mel_frames, bands)),
                         index=a.index, chunks=a.chunks, segment=a.segment, voice=a.voice, seconds=a.seconds,
                         text=ctypes.string_at(a.text, a.text_bytes).decode() if a.text else None,
                         marks=[dict(start=m.start, end=m.end, text=ctypes.string_at(m.text, m.bytes).decode(), at=m.at)
                                for m in marks])
            if keep_pieces:
                pieces.append(piece)
            stop = heard(piece["samples"], piece["mel"]) if heard else None
            return int(stop is True)

        params = struct("f5_speak_params", text=keep.text(text), normalize=keep.text(normalize), lexicon=lexicon,
                        **settings)
        sample = dict(sample or {})
        if "waits" in sample:
            sample["waits"] = keep.callback(WAITS, self._guard(sample["waits"], 1))
        solver = struct("f5_sample_params", **sample)
        keep.held.append(solver)
        params.sample = ctypes.addressof(solver)
        if noise is not None:
            params.noise, params.noise_frames = keep.array(noise, np.float32), len(noise)
        params.audio = keep.callback(AUDIO, self._guard(audio, 1))
        if phonemes:
            def said(_, text, size, out, room, n, __):
                ipa = phonemes(ctypes.string_at(text, size))
                if isinstance(ipa, int):
                    return ipa
                n[0] = len(ipa)
                ctypes.memmove(out, ipa, min(len(ipa), room))
                return 0

            params.phonemes = keep.callback(PHONEMES, said)
        self._warn(keep, params, warned)
        if voices:
            array = (header().struct("f5_speak_voice") * len(voices))()
            for slot, (name, handle, speed) in zip(array, voices):
                init("f5_speak_voice", ctypes.addressof(slot), ctypes.sizeof(slot))
                slot.name, slot.voice, slot.speed = keep.text(name), handle.value, speed
            keep.held.append(array)
            params.voices, params.n_voices = ctypes.addressof(array), len(voices)
        return params

    def say(self, voice, text, **settings):
        """Text in that voice -> (list of all pieces as dicts, statistics). settings: those of f5_speak_params, and
        sample, its own settings, waits() among them; noise; voices; warned, a list; heard, called with the samples and mel of each piece."""
        keep, pieces = _Keep(), []
        params = self._speak_params(keep, pieces, text, **settings)
        stats = struct("f5_speak_stats")
        self._call("f5_speak", voice, ctypes.addressof(params), ctypes.addressof(stats))
        return pieces, read_struct(stats)

    def speak(self, voice, text, **settings):
        """The same with pieces as (samples, mel)."""
        pieces, stats = self.say(voice, text, **settings)
        return [(p["samples"], p["mel"]) for p in pieces], stats

    def show_text(self, voice, text, **settings):
        """The chunks that say would make of it, as dicts."""
        keep, said, said_struct = _Keep(), [], header().struct("f5_said")

        def chunk(address):
            c = said_struct.from_address(address)
            said.append({**{name: getattr(c, name) for name, _ in c._fields_[1:]},  # its text ends where bytes says
                         "text": ctypes.string_at(c.text, c.bytes).decode()})
            return 0

        params = self._speak_params(keep, [], text, **settings)
        self._call("f5_show_text", voice, ctypes.addressof(params), keep.callback(AUDIO, self._guard(chunk, 1)), None)
        return said

    @contextlib.contextmanager
    def stream(self, voice, **settings):
        """A text that comes bit by bit; settings as in say. Gives an object with push(bytes), flush() and pieces."""
        keep, pieces, handle = _Keep(), [], ctypes.c_void_p()
        params = self._speak_params(keep, pieces, **settings)
        self._call("f5_stream_open", voice, ctypes.addressof(params), ctypes.addressof(handle))
        try:
            yield Stream(self, handle, pieces)
        finally:
            library().f5_stream_close(handle)

    @contextlib.contextmanager
    def lexicon(self, text, where="lexicon"):
        data, handle = text if isinstance(text, bytes) else text.encode(), ctypes.c_void_p()
        call("f5_lexicon_open", data, len(data), where.encode(), ctypes.addressof(handle))
        try:
            yield handle
        finally:
            library().f5_lexicon_close(handle)

    def edit(self, samples, text, edits, sample=None, noise=None, sample_rate=24000, channels=1, resample=None,
             warned=None, heard=None, **settings):
        """A recording with edits [(start, end, duration)] made -> (samples, mel, statistics)."""
        keep, pieces = _Keep(), []
        piece_struct, floats = header().struct("f5_audio"), ctypes.POINTER(ctypes.c_float)

        def audio(address):
            piece = piece_struct.from_address(address)
            pieces.append((np.ctypeslib.as_array(ctypes.cast(piece.samples, floats), (piece.n_samples,)).copy(),
                           np.ctypeslib.as_array(ctypes.cast(piece.mel, floats), (piece.mel_frames, MEL_BANDS)).copy()))
            if heard:
                heard()
            return 0

        spans = (header().struct("f5_edit_span") * max(1, len(edits)))()
        for slot, span in zip(spans, edits):
            slot.start, slot.end, slot.duration = span
        solver = struct("f5_sample_params", **(sample or {}))
        params = struct("f5_edit_params", samples=keep.array(samples, np.float32), n_frames=len(samples) // channels,
                        channels=channels, sample_rate=sample_rate, text=keep.text(text), n_edits=len(edits),
                        edits=ctypes.addressof(spans), sample=ctypes.addressof(solver), **settings)
        params.resample = keep.callback(RESAMPLE, resample)
        params.audio = keep.callback(AUDIO, self._guard(audio, 1))
        self._warn(keep, params, warned)
        if noise is not None:
            params.noise, params.noise_frames = keep.array(noise, np.float32), len(noise)
        stats = struct("f5_speak_stats")
        self._call("f5_edit", ctypes.addressof(params), ctypes.addressof(stats))
        (made, mel), = pieces
        return made, mel, read_struct(stats)



class Stream:
    """An open f5_stream. An exception in a callback surfaces from the call that ran it."""

    def __init__(self, engine, handle, pieces):
        self.engine, self.handle, self.pieces = engine, handle, pieces

    def _call(self, name, *arguments):
        try:
            call(name, self.handle, *arguments)
        finally:
            failure, self.engine._raised.failure = getattr(self.engine._raised, "failure", None), None
            if failure:
                raise failure

    def push(self, text):
        data = text if isinstance(text, bytes) else text.encode()
        self._call("f5_stream_push", data, len(data))

    def flush(self):
        self._call("f5_stream_flush")
