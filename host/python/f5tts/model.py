"""A model, voices that it speaks in, texts that come bit by bit. The C library does the work (f5tts.h); here its handles
become objects, its pointers arrays, its statuses exceptions."""
from __future__ import annotations

import ctypes
import os
import threading
import warnings
import weakref
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, Mapping, Optional, Sequence, TypeVar, Union

import numpy as np
import numpy.typing as npt

from . import _abi
from ._calls import Cancel, Handle, Pieces, pieces_async, run, run_async
from ._errors import ArgumentError, F5Warning, LimitError
from ._library import AUDIO, call, init, library, path_bytes, text_bytes
from ._program import model_path
from .options import SAMPLE_KEYS, SPEAK_KEYS, Asked, Keep, number, put_voices, sample_params, seed_of, speak_params, unknown
from .recording import Recording, Samples, array_of, length, mono_samples, recording, shipped, whole, words_beside
from .speech import Chunk, Said, Sound, Speech, chunk_of, said_of, speech_of
from .text_stream import TextStream
from .voice import Closing, Lexicon, Voice, dictionary, voice_params, warn

if TYPE_CHECKING:
    from typing_extensions import Unpack
    from .options import SampleOptions, SpeakOptions

T = TypeVar("T")
DEFAULT_VOICE = "heart"  # of the recordings that come with the package


def said_text(text: Any) -> str:
    if not isinstance(text, str):
        raise TypeError(f"text is a {type(text).__name__}, not a str")
    return text


@dataclass
class SampleRequest:
    """One sequence for Model.sample_many."""

    cond: npt.ArrayLike
    """[cond_frames,bands] mel of the reference; of a model with one voice [0,bands]"""
    tokens: npt.ArrayLike
    """[n] ids of the reference's text and of the new one"""
    frames: int
    """in all; at least one more than cond and tokens have is made, of a model with one voice at least n"""
    seed: Optional[int] = None
    noise: Optional[npt.ArrayLike] = None
    """[frames made,bands] initial state instead of the seed's"""
    edit_mask: Optional[npt.ArrayLike] = None
    """[cond_frames] True: keep the reference there"""


class Model(Closing):
    """An open model: what speaks.

    path: a .f5 file; a model by its name, as "F5TTS_v1_Base", which `f5tts pull` has fetched; None: the small voice that
    comes with the package. device: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1". precision: "fp32", "fp16",
    "bf16", "int8"; None: what the model asks for, else fp16 on a GPU, fp32 on a CPU. vocoder_precision: "fp32" (None), on a
    GPU "fp16" or "bf16" where the vocoder has them (BigVGAN, MB-iSTFT). max_frames: most mel frames of a call,
    recording included (F5 has 93.75 a second). The other limits are those of f5_open_params; None: the library's default.

    Any number of threads and tasks may call one model; calls that wait for each other run in one batch. Ctrl-C ends a
    call at its next step. All working memory is taken here. A child made by fork may use a model that was idle then.

    Speech has `rate` samples a second and its mels `bands` numbers a frame: 24000 and 100, of Flow-Matching-TTS 22050 and
    80. Such a model has `one_voice` of its own and takes no recording.

    Raises FileError (OSError): no such file; FormatError (ValueError): a damaged one; DeviceError: no such device;
    OutOfMemory (MemoryError); ArgumentError, LimitError (ValueError)."""

    def __init__(self, path: Union[str, os.PathLike[str], None] = None, *, device: str = "auto",
                 precision: Optional[str] = None, max_frames: Optional[int] = None, max_batch: Optional[int] = None,
                 max_evaluations: Optional[int] = None, max_text_bytes: Optional[int] = None,
                 batch_frames: Optional[int] = None, max_speaking: Optional[int] = None, threads: Optional[int] = None,
                 languages: Optional[str] = None, warm_frames: Sequence[int] = (),
                 vocoder_precision: Optional[str] = None) -> None:
        keep, params = Keep(), _abi.f5_open_params()
        init(params)
        self.path = model_path(path)
        params.model_path, params.device = keep.bytes(path_bytes(self.path, "the model's path")), keep.text(device, "device")
        params.precision = keep.text(precision, "precision")
        params.vocoder_precision = keep.text(vocoder_precision, "vocoder_precision")
        limits = dict(max_frames=max_frames, max_batch=max_batch, max_evaluations=max_evaluations,
                      max_text_bytes=max_text_bytes, batch_frames=batch_frames, max_speaking=max_speaking, threads=threads)
        for name, value in limits.items():
            if value is not None:
                setattr(params, name, whole(value, name, -2 ** 31, 2 ** 31 - 1))
        if languages is not None:
            params.languages = keep.text(languages, "languages")
        sizes = array_of(warm_frames, np.int32, (None,), "warm_frames")
        if len(sizes):
            params.warm_frames, params.n_warm = keep.array(sizes), length(sizes, "warm_frames")

        def work(cancel: Cancel) -> Handle:
            address = ctypes.c_void_p()
            call("f5_open", keep.struct(params), ctypes.addressof(address))
            return Handle("model", address.value or 0, library().f5_close)

        self._with: set[weakref.ref[Closing]] = set()  # what is closed with it; list(_with) is one step
        self._default: Optional[Handle] = None
        self._settling = threading.Lock()  # of _default
        self._handle = run(work)
        told = self.info
        self.rate, self.bands, self.one_voice = int(told["sample_rate"]), int(told["mel_bands"]), bool(told["one_voice"])
        self.sound = Sound(self.rate, self.bands)
        self._asked = Asked(self.sound, self.one_voice, told["default_nfe"], told["default_method"], told["max_frames"],
                            told["max_batch"])

    def close(self) -> None:
        """Closes the model, its voices and its text streams: now, or when the calls have returned that are under way."""
        super().close()
        for one in [found() for found in list(self._with)]:
            if one is not None:
                one.close()
        if self._default is not None:
            self._default.close()

    def _closes(self, one: Closing) -> None:
        """It is closed with the model."""
        self._with.add(weakref.ref(one, self._with.discard))
        if self.closed:
            one.close()

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
        "heart", "bella", "michael" and "george" (and flite's "slt", "awb", "rms") come with the package. text: None: the .txt of the file's name.
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
        keep = Keep()
        voice = self._opened(recording, text, rate, target_rms, keep_whole, normalize, keep)
        warn(keep.warned)
        return voice

    def _opened(self, recording: Recording, text: str, rate: Optional[int], target_rms: Optional[float], keep_whole: bool,
                normalize: Optional[str], keep: Keep) -> Voice:
        """What is wrong with the recording goes into `keep`."""
        voice = Voice(self, run(lambda cancel: self._open_voice(voice_params(
            recording, text, rate, target_rms, keep_whole, normalize, cancel, keep))), text)
        self._closes(voice)
        return voice

    def _open_voice(self, params: Any) -> Handle:
        address = ctypes.c_void_p()
        with self._handle as engine:
            call("f5_voice_open", engine, ctypes.addressof(params), ctypes.addressof(address))
            return Handle("voice", address.value or 0, library().f5_voice_close, self._handle)

    def _own(self, voice: Any) -> Any:
        """A voice of this model, or None."""
        if voice is not None and not isinstance(voice, Voice):
            raise TypeError(f"the voice is a {type(voice).__name__}: Model.voice makes one")
        if voice is not None and voice.model is not self:
            raise ArgumentError("the voice is of another model: open it in this one")
        return voice

    def _default_voice(self, cancel: Cancel) -> Handle:
        """That of the package, opened when first needed, on the thread of the call that needs it."""
        found = self._default
        if found is not None and not found.closed:
            return found
        path, keep = shipped(f"voices/{DEFAULT_VOICE}.wav"), Keep()
        if path is None:
            raise ArgumentError("no voice is given, and none comes with this build of the package: Model.voice makes one")
        made = self._open_voice(voice_params(path, words_beside(path), None, None, False, None, cancel, keep))
        with self._settling:
            found = self._default
            if found is None or found.closed:
                found = self._default = made
        if found is not made or self.closed:  # another thread was first
            made.close()
        return found

    # ---- text

    def speak(self, text: str, voice: Optional[Voice] = None, **options: Unpack[SpeakOptions]) -> Speech:
        """Text of any length in that voice (None: the one that comes with the package). options: SpeakOptions.

        Warns (F5Warning) of what a listener would notice. Raises ArgumentError (ValueError), LimitError (ValueError: a
        recording too long for max_frames), UnsupportedError, FormatError (the model gave samples that are not finite)."""
        unknown(options, SPEAK_KEYS)
        spoken, keep = self._own(voice), Keep()
        speech = run(lambda cancel: self._speak(text, spoken, options, cancel, keep))
        warn(keep.warned)
        return speech

    async def speak_async(self, text: str, voice: Optional[Voice] = None, **options: Unpack[SpeakOptions]) -> Speech:
        """The same in a task. Cancelling the task ends the call at its next step."""
        unknown(options, SPEAK_KEYS)
        spoken, keep = self._own(voice), Keep()
        speech = await run_async(lambda cancel: self._speak(text, spoken, options, cancel, keep))
        warn(keep.warned)
        return speech

    def stream(self, text: str, voice: Optional[Voice] = None, **options: Unpack[SpeakOptions]) -> Pieces[Chunk]:
        """The same piece by piece, as each is made: an iterator. It works ahead of who takes the pieces; close() ends the
        call. What is wrong with the text or the options is raised by the first `next`."""
        unknown(options, SPEAK_KEYS)
        spoken = self._own(voice)
        return Pieces(lambda cancel, put: self._stream(text, spoken, options, cancel, put))

    async def stream_async(self, text: str, voice: Optional[Voice] = None,
                           **options: Unpack[SpeakOptions]) -> AsyncIterator[Chunk]:
        """The same for `async for`."""
        unknown(options, SPEAK_KEYS)
        spoken = self._own(voice)
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
        spoken, keep, said = self._own(voice), Keep(), list[Said]()

        def work(cancel: Cancel) -> None:
            def one(address: int) -> int:
                said.append(said_of(address))
                return int(cancel.asked)

            with ExitStack() as held:
                engine, main, params = self._params(said_text(text), spoken, options, cancel, keep, lambda _: None, held)
                call("f5_show_text", engine, main, ctypes.addressof(params), keep.callback(AUDIO, cancel.guard(one, 1)), None)

        run(work)
        return said

    def text_stream(self, voice: Optional[Voice] = None, **options: Unpack[SpeakOptions]) -> TextStream:
        """A text that comes bit by bit, as a language model writes it."""
        unknown(options, SPEAK_KEYS)
        stream = TextStream(self, self._own(voice), options)
        self._closes(stream)
        return stream

    def _params(self, text: Optional[str], voice: Optional[Voice], options: Mapping[str, Any], cancel: Cancel, keep: Keep,
                heard: Callable[[int], Any], held: ExitStack) -> tuple[int, Optional[int], Any]:
        """Engine, voice and parameters; `held` keeps them open."""
        params = speak_params(text, options, self._asked, cancel, keep, heard)
        engine, main, others = held.enter_context(self._handle), None, []
        if voice is not None or not self.one_voice:
            main = held.enter_context(self._default_voice(cancel) if voice is None else voice._handle)
        voices, lexicon = options.get("voices"), options.get("lexicon")
        if voices is not None and not isinstance(voices, Mapping):
            raise TypeError(f"voices is a {type(voices).__name__}: a mapping of names to voices is wanted")
        for name, value in (voices or {}).items():
            other, speed = value if isinstance(value, tuple) and len(value) == 2 else (value, 0.0)
            if not isinstance(other, Voice):
                raise TypeError(f"voices[{name!r}] is a {type(value).__name__}: a voice, or a voice and its speed, is wanted")
            others.append((name, held.enter_context(self._own(other)._handle), number(speed, "a voice's speed")))
        put_voices(params, others, keep)
        if lexicon is not None and not isinstance(lexicon, Lexicon):
            raise TypeError(f"lexicon is a {type(lexicon).__name__}: f5tts.Lexicon makes one")
        if lexicon is not None:
            params.lexicon = held.enter_context(lexicon._handle)
        return engine, main, params

    def _speak(self, text: str, voice: Optional[Voice], options: Mapping[str, Any], cancel: Cancel, keep: Keep) -> Speech:
        chunks, stats = list[Chunk](), _abi.f5_speak_stats()
        init(stats)
        with ExitStack() as held:
            engine, main, params = self._params(said_text(text), voice, options, cancel, keep,
                                                lambda address: chunks.append(chunk_of(address, self.sound)), held)
            call("f5_speak", engine, main, ctypes.addressof(params), ctypes.addressof(stats))
        return speech_of(chunks, self.sound, int(params.seed), dictionary(stats))

    def _stream(self, text: str, voice: Optional[Voice], options: Mapping[str, Any], cancel: Cancel,
                put: Callable[[Any], None]) -> None:
        keep = Keep()

        def heard(address: int) -> None:
            for message in keep.warned:
                put(message)
            keep.warned.clear()
            put(chunk_of(address, self.sound))

        with ExitStack() as held:
            engine, main, params = self._params(said_text(text), voice, options, cancel, keep, heard, held)
            call("f5_speak", engine, main, ctypes.addressof(params), None)

    # ---- arrays

    def mel(self, samples: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Samples [n] of the model's rate -> mel [n // 256 + 1, bands], natural log; of a model with BigVGAN n // 256 frames.
        At least 513 samples, with BigVGAN 385. Raises ShapeError (ValueError), UnsupportedError: one with one voice."""
        mono = mono_samples(samples, "samples")

        def work(engine: int, _: Cancel) -> npt.NDArray[np.float32]:
            out = np.full((int(library().f5_engine_mel_frames(engine, len(mono))), self.bands), np.nan, np.float32)
            call("f5_mel", engine, mono.ctypes.data, len(mono), out.ctypes.data)
            return out

        return self._run(work)

    def tokenize(self, text: str) -> npt.NDArray[np.int32]:
        """Text -> ids [n] of the model's vocabulary."""
        data, n = text_bytes(text, "text"), ctypes.c_int32()
        ids = np.empty(min(max(1, 4 * len(data)), 2 ** 31 - 1), np.int32)
        self._run(lambda engine, _: call("f5_tokenize", engine, data, ids.ctypes.data, len(ids), ctypes.addressof(n)))
        return ids[:n.value].copy()

    def predict_frames(self, tokens: npt.ArrayLike, scale: float = 1.0) -> int:
        """Frames that token ids [n] take, by a model with one voice. scale: 0.01 to 100, above 1 is slower.
        Raises UnsupportedError: another model."""
        ids, frames, slower = array_of(tokens, np.int32, (None,), "tokens"), ctypes.c_int32(), number(scale, "scale")
        count = length(ids, "tokens")
        self._run(lambda engine, _: call("f5_predict_frames", engine, ids.ctypes.data, count, slower, ctypes.addressof(frames)))
        return frames.value

    def sample(self, cond: npt.ArrayLike, tokens: npt.ArrayLike, frames: int, *, seed: Optional[int] = None,
               noise: Optional[npt.ArrayLike] = None, edit_mask: Optional[npt.ArrayLike] = None,
               **options: Unpack[SampleOptions]) -> npt.NDArray[np.float32]:
        """Mel of the reference [cond_frames,bands], token ids [n], frames in all -> mel [frames made,bands]. SampleRequest
        says more, SampleOptions has the options. Raises ArgumentError, ShapeError, LimitError (ValueError)."""
        request = SampleRequest(cond, tokens, frames, seed, noise, edit_mask)
        made: npt.NDArray[np.float32] = self.sample_many([request], **options)[0]
        return made

    def sample_many(self, requests: Sequence[SampleRequest],
                    **options: Unpack[SampleOptions]) -> list[npt.NDArray[np.float32]]:
        """Several sequences as one batch; each result has the bits of the sequence alone."""
        unknown(options, SAMPLE_KEYS)
        keep, n = Keep(), len(requests)
        if not 1 <= n <= self._asked.max_batch:
            raise ArgumentError(f"{n} requests: 1 to {self._asked.max_batch} it may be; open the model with a larger max_batch")
        array = (_abi.f5_sample_request * n)()
        for slot, r in zip(array, requests):
            self._put(slot, r, keep)

        def work(engine: int, cancel: Cancel) -> list[npt.NDArray[np.float32]]:
            results = [self._result(engine, slot, i, r, keep) for i, (slot, r) in enumerate(zip(array, requests))]
            call("f5_sample", engine, sample_params(options, self._asked, cancel, keep), ctypes.addressof(array), n)
            return results

        return self._run(work)

    def _put(self, slot: Any, r: SampleRequest, keep: Keep) -> None:
        """What a request gives, but for its noise: how much of that there is, the engine says."""
        if not isinstance(r, SampleRequest):
            raise TypeError(f"a request is a {type(r).__name__}: f5tts.SampleRequest is wanted")
        init(slot)
        cond = array_of(r.cond, np.float32, (None, self.bands), "cond")
        tokens = array_of(r.tokens, np.int32, (None,), "tokens")
        slot.cond, slot.cond_frames = keep.array(cond), length(cond, "cond")
        slot.tokens, slot.n_tokens = keep.array(tokens), length(tokens, "tokens")
        slot.frames, slot.seed = whole(r.frames, "frames", 0, 2 ** 31 - 1), seed_of(r.seed)
        if r.edit_mask is not None:
            slot.edit_mask = keep.array(array_of(r.edit_mask, np.uint8, (len(cond),), "edit_mask"))

    def _result(self, engine: int, slot: Any, i: int, r: SampleRequest, keep: Keep) -> npt.NDArray[np.float32]:
        """Where a request's mel goes. No memory is taken for what the engine would refuse."""
        made, most = int(library().f5_engine_sample_frames(engine, slot.n_tokens, slot.cond_frames, slot.frames)), self._asked.max_frames
        if made > most:
            raise LimitError(f"request {i}: {made} frames: the model was opened for {most}; open it with a larger max_frames")
        if r.noise is not None:
            slot.noise = keep.array(array_of(r.noise, np.float32, (made, self.bands), "noise"))
        result = np.full((made, self.bands), np.nan, np.float32)
        slot.mel = keep.array(result)
        return result

    def vocode(self, mel: npt.ArrayLike) -> Samples:
        """Mel [frames,bands] -> samples of the model's rate: [256 (frames - 1)] with the released vocoder, [256 frames] with
        BigVGAN."""
        given, request = array_of(mel, np.float32, (None, self.bands), "mel"), _abi.f5_vocode_request()
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
        most = _abi.CONSTANTS["F5_MAX_EDITS"]
        if len(edits) > most:
            raise ArgumentError(f"{len(edits)} edits: {most} at most")
        spans = (_abi.f5_edit_span * max(1, len(edits)))()
        for slot, span in zip(spans, edits):
            if not isinstance(span, (tuple, list)) or len(span) != 3:
                raise TypeError(f"an edit is {span!r}: (start, end, seconds) is wanted")
            start, end, duration = span
            slot.start, slot.end, slot.duration = number(start, "start"), number(end, "end"), number(duration, "duration")
        params.samples, params.n_frames, params.channels = keep.array(samples), samples.shape[0], samples.shape[1]
        params.sample_rate, params.text = found, keep.text(text, "text")
        params.edits, params.n_edits, params.exact = keep.struct(spans), len(edits), int(bool(exact))
        params.seed = seed_of(seed)
        if target_rms is not None:
            params.target_rms = number(target_rms, "target_rms")
        if noise is not None:
            initial = array_of(noise, np.float32, (None, self.bands), "noise")
            params.noise, params.noise_frames = keep.array(initial), length(initial, "noise")

        def heard(address: int) -> int:
            chunks.append(chunk_of(address, self.sound))
            return 0

        def work(engine: int, cancel: Cancel) -> None:
            params.sample = sample_params(options, self._asked, cancel, keep)
            params.warning, params.audio = keep.warning(cancel), keep.callback(AUDIO, cancel.guard(heard, 1))
            call("f5_edit", engine, ctypes.addressof(params), ctypes.addressof(stats))

        self._run(work)
        warn(keep.warned)
        return speech_of(chunks, self.sound, int(params.seed), dictionary(stats))
