"""A model, voices that it speaks in, texts that come bit by bit. The C library does the work (f5tts.h); here its handles
become objects, its pointers arrays, its statuses exceptions."""
from __future__ import annotations

import ctypes
import os
import warnings
import weakref
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, Iterator, Mapping, Optional, Sequence, TypeVar, Union

import numpy as np
import numpy.typing as npt

from . import _abi
from ._calls import Cancel, Handle, pieces, pieces_async, run, run_async
from ._errors import ArgumentError, F5Warning
from ._library import AUDIO, call, init, library, path_bytes, text_bytes
from ._program import model_path
from .options import SAMPLE_KEYS, SPEAK_KEYS, Keep, number, put_voices, sample_params, seed_of, speak_params, unknown
from .recording import Recording, Samples, array_of, mono_samples, recording, shipped, whole, words_beside
from .speech import MEL_BANDS, Chunk, Said, Speech, chunk_of, said_of, speech_of
from .text_stream import TextStream
from .voice import Closing, Voice, dictionary, voice_params, warn

if TYPE_CHECKING:
    from typing_extensions import Unpack
    from .options import SampleOptions, SpeakOptions

T = TypeVar("T")
DEFAULT_VOICE = "slt"  # of the recordings that come with the package


@dataclass
class SampleRequest:
    """One sequence for Model.sample_many."""

    cond: npt.ArrayLike
    """[cond_frames,100] mel of the reference"""
    tokens: npt.ArrayLike
    """[n] ids of the reference's text and of the new one"""
    frames: int
    """in all; at least one more than cond and tokens have is made"""
    seed: Optional[int] = None
    noise: Optional[npt.ArrayLike] = None
    """[frames made,100] initial state instead of the seed's"""
    edit_mask: Optional[npt.ArrayLike] = None
    """[cond_frames] True: keep the reference there"""


class Model(Closing):
    """An open model: what speaks.

    path: a .f5 file; a model by its name, as "F5TTS_v1_Base", which `f5tts pull` has fetched; None: the small voice that
    comes with the package. device: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1". precision: "fp32", "fp16",
    "bf16", "int8"; None: fp16 on a GPU, fp32 on a CPU. max_frames: most mel frames of a call, recording included (93.75 a
    second). The other limits are those of f5_open_params; None: the library's default.

    Any number of threads and tasks may call one model; calls that wait for each other run in one batch. Ctrl-C ends a
    call at its next step. All working memory is taken here.

    Raises FileError (OSError): no such file; FormatError (ValueError): a damaged one; DeviceError: no such device;
    OutOfMemory (MemoryError); ArgumentError, LimitError (ValueError)."""

    def __init__(self, path: Union[str, os.PathLike[str], None] = None, *, device: str = "auto",
                 precision: Optional[str] = None, max_frames: Optional[int] = None, max_batch: Optional[int] = None,
                 max_evaluations: Optional[int] = None, max_text_bytes: Optional[int] = None,
                 batch_frames: Optional[int] = None, max_speaking: Optional[int] = None, threads: Optional[int] = None,
                 languages: Optional[str] = None, warm_frames: Sequence[int] = ()) -> None:
        keep, params = Keep(), _abi.f5_open_params()
        init(params)
        self.path = model_path(path)
        params.model_path, params.device = keep.bytes(path_bytes(self.path, "the model's path")), keep.text(device, "device")
        params.precision = keep.text(precision, "precision")
        limits = dict(max_frames=max_frames, max_batch=max_batch, max_evaluations=max_evaluations,
                      max_text_bytes=max_text_bytes, batch_frames=batch_frames, max_speaking=max_speaking, threads=threads)
        for name, value in limits.items():
            if value is not None:
                setattr(params, name, whole(value, name, -2 ** 31, 2 ** 31 - 1))
        if languages is not None:
            params.languages = keep.text(languages, "languages")
        if len(warm_frames):
            sizes = array_of(warm_frames, np.int32, (None,), "warm_frames")
            params.warm_frames, params.n_warm = keep.array(sizes), len(sizes)

        def work(cancel: Cancel) -> Handle:
            address = ctypes.c_void_p()
            call("f5_open", keep.struct(params), ctypes.addressof(address))
            return Handle("model", address.value or 0, library().f5_close)

        self._handle = run(work)
        self._voices: weakref.WeakSet[Closing] = weakref.WeakSet()
        self._default: Optional[Handle] = None

    def close(self) -> None:
        """Closes the model, its voices and its text streams: now, or when the calls have returned that are under way."""
        for voice in list(self._voices):
            voice.close()
        if self._default is not None:
            self._default.close()
        super().close()

    def __repr__(self) -> str:
        return f"<Model {os.fspath(self.path)}{', closed' if self.closed else ''}>"

    @property
    def info(self) -> dict[str, Any]:
        """Name, device, precision, sizes, memory and counts: the fields of f5_engine_info."""
        told = _abi.f5_engine_info()
        init(told)
        with self._handle as engine:
            call("f5_get_info", engine, ctypes.addressof(told))
            return dictionary(told)

    # ---- voices

    def voice(self, recording: Recording, text: Optional[str] = None, *, rate: Optional[int] = None,
              target_rms: Optional[float] = None, keep_whole: bool = False, normalize: Optional[str] = None) -> Voice:
        """A voice, of a recording and what it says.

        recording: a file, or samples [n] or [n,channels] with their `rate`: float32 or float64 of -1..1, int16, int32.
        "slt", "awb" and "rms" are those that come with the package. text: None: the .txt of the file's name.
        target_rms: quieter recordings are raised to it, default 0.1. keep_whole: no cutting to 12 s, no trimming.

        Warns (F5Warning) of what is wrong with the recording. Raises ArgumentError (ValueError), FileError (OSError),
        FormatError (ValueError: no recording, or samples that are not finite), LimitError."""
        if isinstance(recording, str) and not os.path.exists(recording):
            path = shipped(f"voices/{recording}.wav")
            recording = path if path is not None else recording
        if text is None:
            if not isinstance(recording, (str, os.PathLike)):
                raise ArgumentError("the recording is an array: give what it says, as text=")
            text = words_beside(recording)
        keep, said = Keep(), text

        def work(cancel: Cancel) -> Handle:
            params, address = voice_params(recording, said, rate, target_rms, keep_whole, normalize, cancel, keep), ctypes.c_void_p()
            with self._handle as engine:
                call("f5_voice_open", engine, ctypes.addressof(params), ctypes.addressof(address))
                return Handle("voice", address.value or 0, library().f5_voice_close, self._handle)

        voice = Voice(self, run(work), said)
        self._voices.add(voice)
        warn(keep)
        return voice

    def _voice(self, voice: Optional[Voice]) -> Voice:
        if voice is None:
            if self._default is None or self._default.closed:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", F5Warning)
                    self._default = self.voice(DEFAULT_VOICE)._handle
            return Voice(self, self._default, "")
        if not isinstance(voice, Voice):
            raise TypeError(f"the voice is a {type(voice).__name__}: Model.voice makes one")
        if voice.model is not self:
            raise ArgumentError("the voice is of another model: open it in this one")
        return voice

    # ---- text

    def speak(self, text: str, voice: Optional[Voice] = None, **options: Unpack[SpeakOptions]) -> Speech:
        """Text of any length in that voice (None: the one that comes with the package). options: SpeakOptions.

        Warns (F5Warning) of what a listener would notice. Raises ArgumentError (ValueError), LimitError (ValueError: a
        recording too long for max_frames), UnsupportedError, FormatError (the model gave samples that are not finite)."""
        unknown(options, SPEAK_KEYS)
        spoken, keep = self._voice(voice), Keep()
        speech = run(lambda cancel: self._speak(text, spoken, options, cancel, keep))
        warn(keep)
        return speech

    async def speak_async(self, text: str, voice: Optional[Voice] = None, **options: Unpack[SpeakOptions]) -> Speech:
        """The same in a task. Cancelling the task ends the call at its next step."""
        unknown(options, SPEAK_KEYS)
        spoken, keep = self._voice(voice), Keep()
        speech = await run_async(lambda cancel: self._speak(text, spoken, options, cancel, keep))
        warn(keep)
        return speech

    def stream(self, text: str, voice: Optional[Voice] = None, **options: Unpack[SpeakOptions]) -> Iterator[Chunk]:
        """The same piece by piece, as each is made: an iterator. It works ahead of who takes the pieces; closing it ends
        the call. What is wrong with the text or the options is raised by the first `next`."""
        unknown(options, SPEAK_KEYS)
        spoken = self._voice(voice)
        return self._told(pieces(lambda cancel, put: self._stream(text, spoken, options, cancel, put)))

    async def stream_async(self, text: str, voice: Optional[Voice] = None,
                           **options: Unpack[SpeakOptions]) -> AsyncIterator[Chunk]:
        """The same for `async for`."""
        unknown(options, SPEAK_KEYS)
        spoken = self._voice(voice)
        source: AsyncIterator[Any] = pieces_async(lambda cancel, put: self._stream(text, spoken, options, cancel, put))
        try:
            async for piece in source:
                if isinstance(piece, Chunk):
                    yield piece
                else:
                    warnings.warn(piece, F5Warning, stacklevel=2)
        finally:
            await source.aclose()  # type: ignore[attr-defined]

    def show_text(self, text: str, voice: Optional[Voice] = None, **options: Unpack[SpeakOptions]) -> list[Said]:
        """The chunks that speak would make of the text; nothing is spoken."""
        unknown(options, SPEAK_KEYS)
        spoken, keep, said = self._voice(voice), Keep(), list[Said]()

        def work(cancel: Cancel) -> None:
            def one(address: int) -> int:
                said.append(said_of(address))
                return int(cancel.asked)

            with ExitStack() as held:
                engine, main, params = self._params(text, spoken, options, cancel, keep, lambda _: None, held)
                call("f5_show_text", engine, main, ctypes.addressof(params), keep.callback(AUDIO, cancel.guard(one, 1)), None)

        run(work)
        return said

    def text_stream(self, voice: Optional[Voice] = None, **options: Unpack[SpeakOptions]) -> TextStream:
        """A text that comes bit by bit, as a language model writes it."""
        unknown(options, SPEAK_KEYS)
        stream = TextStream(self, self._voice(voice), options)
        self._voices.add(stream)
        return stream

    def _params(self, text: Optional[str], voice: Voice, options: Mapping[str, Any], cancel: Cancel, keep: Keep,
                heard: Callable[[int], Any], held: ExitStack) -> tuple[int, int, Any]:
        """Engine, voice and parameters; `held` keeps them open."""
        engine, main = held.enter_context(self._handle), held.enter_context(voice._handle)
        params = speak_params(text, options, cancel, keep, heard)
        others = []
        for name, value in (options.get("voices") or {}).items():
            other, speed = value if isinstance(value, tuple) else (value, 0.0)
            others.append((name, held.enter_context(self._voice(other)._handle), number(speed, "a voice's speed")))
        put_voices(params, others, keep)
        if options.get("lexicon") is not None:
            params.lexicon = held.enter_context(options["lexicon"]._handle)
        return engine, main, params

    def _speak(self, text: str, voice: Voice, options: Mapping[str, Any], cancel: Cancel, keep: Keep) -> Speech:
        chunks, stats = list[Chunk](), _abi.f5_speak_stats()
        init(stats)
        with ExitStack() as held:
            engine, main, params = self._params(text, voice, options, cancel, keep,
                                                lambda address: chunks.append(chunk_of(address)), held)
            call("f5_speak", engine, main, ctypes.addressof(params), ctypes.addressof(stats))
        return speech_of(chunks, int(params.seed), dictionary(stats))

    def _stream(self, text: str, voice: Voice, options: Mapping[str, Any], cancel: Cancel, put: Callable[[Any], None]) -> None:
        keep = Keep()

        def heard(address: int) -> None:
            for message in keep.warned:
                put(message)
            keep.warned.clear()
            put(chunk_of(address))

        with ExitStack() as held:
            engine, main, params = self._params(text, voice, options, cancel, keep, heard, held)
            call("f5_speak", engine, main, ctypes.addressof(params), None)

    @staticmethod
    def _told(source: Iterator[Any]) -> Iterator[Chunk]:
        try:
            for piece in source:
                if isinstance(piece, Chunk):
                    yield piece
                else:
                    warnings.warn(piece, F5Warning, stacklevel=2)
        finally:
            source.close()  # type: ignore[attr-defined]

    # ---- arrays

    def mel(self, samples: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Samples [n] at 24 kHz, n >= 513 -> mel [n // 256 + 1, 100], natural log. Raises ShapeError (ValueError)."""
        mono = mono_samples(samples, "samples")
        out = np.full((int(library().f5_mel_frames(len(mono))), MEL_BANDS), np.nan, np.float32)
        self._run(lambda engine, _: call("f5_mel", engine, mono.ctypes.data, len(mono), out.ctypes.data))
        return out

    def tokenize(self, text: str) -> npt.NDArray[np.int32]:
        """Text -> ids [n] of the model's vocabulary."""
        data, n = text_bytes(text, "text"), ctypes.c_int32()
        ids = np.empty(max(1, 4 * len(data)), np.int32)
        self._run(lambda engine, _: call("f5_tokenize", engine, data, ids.ctypes.data, len(ids), ctypes.addressof(n)))
        return ids[:n.value].copy()

    def sample(self, cond: npt.ArrayLike, tokens: npt.ArrayLike, frames: int, *, seed: Optional[int] = None,
               noise: Optional[npt.ArrayLike] = None, edit_mask: Optional[npt.ArrayLike] = None,
               **options: Unpack[SampleOptions]) -> npt.NDArray[np.float32]:
        """Mel of the reference [cond_frames,100], token ids [n], frames in all -> mel [frames made,100]. SampleRequest
        says more, SampleOptions has the options. Raises ArgumentError, ShapeError, LimitError (ValueError)."""
        request = SampleRequest(cond, tokens, frames, seed, noise, edit_mask)
        made: npt.NDArray[np.float32] = self.sample_many([request], **options)[0]
        return made

    def sample_many(self, requests: Sequence[SampleRequest],
                    **options: Unpack[SampleOptions]) -> list[npt.NDArray[np.float32]]:
        """Several sequences as one batch; each result has the bits of the sequence alone."""
        unknown(options, SAMPLE_KEYS)
        keep, results = Keep(), []
        array = (_abi.f5_sample_request * max(1, len(requests)))()
        for slot, r in zip(array, requests):
            init(slot)
            cond = array_of(r.cond, np.float32, (None, MEL_BANDS), "cond")
            tokens = array_of(r.tokens, np.int32, (None,), "tokens")
            slot.cond, slot.cond_frames, slot.tokens, slot.n_tokens = keep.array(cond), len(cond), keep.array(tokens), len(tokens)
            slot.frames, slot.seed = whole(r.frames, "frames", 0, 2 ** 31 - 1), seed_of(r.seed)
            made = int(library().f5_sample_frames(len(tokens), len(cond), slot.frames))
            if r.noise is not None:
                slot.noise = keep.array(array_of(r.noise, np.float32, (made, MEL_BANDS), "noise"))
            if r.edit_mask is not None:
                slot.edit_mask = keep.array(array_of(r.edit_mask, np.uint8, (len(cond),), "edit_mask"))
            if made > 10 ** 8:
                raise ArgumentError(f"frames is {r.frames}: no model has so many")
            results.append(np.full((made, MEL_BANDS), np.nan, np.float32))
            slot.mel = keep.array(results[-1])
        self._run(lambda engine, cancel: call("f5_sample", engine, sample_params(options, cancel, keep), ctypes.addressof(array),
                                              len(requests)))
        return results

    def vocode(self, mel: npt.ArrayLike) -> Samples:
        """Mel [frames,100] -> samples at 24 kHz: [256 (frames - 1)] with the released vocoder."""
        given, request = array_of(mel, np.float32, (None, MEL_BANDS), "mel"), _abi.f5_vocode_request()
        init(request)
        frames = whole(len(given), "frames", 1, 2 ** 31 - 1)

        def work(engine: int, _: Cancel) -> Samples:
            out = np.full(int(library().f5_vocode_samples(engine, frames)), np.nan, np.float32)
            request.mel, request.frames, request.samples = given.ctypes.data, frames, out.ctypes.data
            call("f5_vocode", engine, ctypes.addressof(request), 1)
            return out

        return self._run(work)

    def _run(self, work: Callable[[int, Cancel], T]) -> T:
        def held(cancel: Cancel) -> T:
            with self._handle as engine:
                return work(engine, cancel)

        return run(held)

    # ---- edits

    def edit(self, recording_: Recording, text: str, edits: Sequence[tuple[float, float, float]], *,
             rate: Optional[int] = None, seed: Optional[int] = None, noise: Optional[npt.ArrayLike] = None,
             target_rms: Optional[float] = None, exact: bool = False, **options: Unpack[SampleOptions]) -> Speech:
        """Words of a recording replaced. text: all that it shall say then; edits: (start, end, seconds) of each stretch
        that is made anew, 0: as long as it was. What is kept is the recording's own sound.

        Raises what speak and voice raise."""
        unknown(options, SAMPLE_KEYS)
        keep, chunks, stats, params = Keep(), list[Chunk](), _abi.f5_speak_stats(), _abi.f5_edit_params()
        init(stats)
        init(params)
        samples, found = recording(recording_, rate)
        spans = (_abi.f5_edit_span * max(1, len(edits)))()
        for slot, (start, end, duration) in zip(spans, edits):
            slot.start, slot.end, slot.duration = number(start, "start"), number(end, "end"), number(duration, "duration")
        params.samples, params.n_frames, params.channels = keep.array(samples), samples.shape[0], samples.shape[1]
        params.sample_rate, params.text = found, keep.text(text, "text")
        params.edits, params.n_edits, params.exact = keep.struct(spans), len(edits), int(exact)
        params.seed = seed_of(seed)
        if target_rms is not None:
            params.target_rms = number(target_rms, "target_rms")
        if noise is not None:
            initial = array_of(noise, np.float32, (None, MEL_BANDS), "noise")
            params.noise, params.noise_frames = keep.array(initial), len(initial)

        def heard(address: int) -> int:
            chunks.append(chunk_of(address))
            return 0

        def work(engine: int, cancel: Cancel) -> None:
            params.sample = sample_params(options, cancel, keep)
            params.warning, params.audio = keep.warning(cancel), keep.callback(AUDIO, cancel.guard(heard, 1))
            call("f5_edit", engine, ctypes.addressof(params), ctypes.addressof(stats))

        self._run(work)
        warn(keep)
        return speech_of(chunks, int(params.seed), dictionary(stats))
