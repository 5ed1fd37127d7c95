"""What can be asked of speech, and how it becomes the library's structs."""
from __future__ import annotations

import ctypes
import math
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional, TypedDict, Union

import numpy as np
import numpy.typing as npt

from . import _abi
from ._calls import Cancel
from ._errors import ArgumentError
from ._library import AUDIO, PHONEMES, PROGRESS, WAITS, WARNING, init, text_bytes
from .recording import array_of, length, whole
from .speech import Sound

if TYPE_CHECKING:
    from .voice import Lexicon, Voice

METHODS = {"euler": 0, "midpoint": 1, "ab2": 2}
GRIDS = {"method": 0, "sway": 1, "curve": 2, "quadratic": 3}
CHUNKINGS = {"model": -1, "upstream": 0, "sentences": 1, "sentence": 2}
BRACKETS = {"main": 0, "text": 1, "drop": 2}


class SampleOptions(TypedDict, total=False):
    """Settings of the ODE solver; what is not given has the library's default. Where neither nfe nor method is given, both
    are what the model asks for (`f5tts tune`), if it does."""

    nfe: int
    """steps, default 32"""
    cfg: float
    """guidance strength, default 2"""
    sway: Optional[float]
    """sway sampling coefficient, -1 to 1.75, default -1; None: a uniform grid"""
    epss: bool
    """empirically pruned steps for nfe 5, 6, 7, 10, 12, 16; default True"""
    method: str
    """"euler" (default), "midpoint" or "ab2" """
    grid: str
    """"method" (default: that of the method), "sway", "curve" or "quadratic" """
    progress: Callable[[int, int], Any]
    """called with the step and the number of steps, on another thread; False ends the call (Cancelled)"""


class SpeakOptions(SampleOptions, total=False):
    """What can be asked of speech; what is not given has the library's default (f5_speak_params in f5tts.h)."""

    speed: float
    """0.01 to 100; without it 1, and for short texts what the model asks for"""
    fix_duration: float
    """seconds in all, the recording included"""
    seed: Optional[int]
    """0 to 2^64 - 1; without it, or None, a new one each time, which Speech.seed tells"""
    noise: npt.ArrayLike
    """[frames,bands] initial states of all chunks, one after another, instead of those of the seed; as many frames as
    show_text says"""
    voices: Mapping[str, Union[Voice, tuple[Voice, float]]]
    """what [name] in the text switches to: a voice, or a voice and its speed"""
    brackets: str
    """what [name] is where no voice has that name: "main" (default), "text", "drop" """
    ssml: bool
    normalize: str
    """"none", "en", "zh": numbers and signs as words; without it what the model asks for"""
    lexicon: Lexicon
    chunking: str
    """"model" (default), "upstream", "sentences", "sentence" """
    cross_fade: float
    """seconds by which chunks overlap, default 0.15"""
    sentence_pause: float
    """seconds of silence between sentences, default 0"""
    paragraph_pause: float
    first_chunk: float
    """seconds, about, of the first chunk, which then comes early; -1: as upstream's server cuts"""
    phonemes: Callable[[str], str]
    """for a model that reads phonemes (Flow-Matching-TTS): makes IPA of a sentence, on another thread and more than once,
    always the same; without it the text is IPA"""
    exact: bool
    """upstream's samples, bursts of the vocoder's at both ends included; default False"""


SAMPLE_KEYS = frozenset(SampleOptions.__annotations__)
SPEAK_KEYS = frozenset(SpeakOptions.__annotations__) | SAMPLE_KEYS
MOST = float(np.finfo(np.float32).max)
NUMBERS = ("speed", "fix_duration", "cross_fade", "sentence_pause", "paragraph_pause", "first_chunk")


@dataclass(frozen=True)
class Asked:
    """What a model is and asks for, of f5_engine_info."""

    sound: Sound
    one_voice: bool
    nfe: int
    """0: the usual"""
    method: int
    max_frames: int
    max_batch: int


class Keep:
    """What structs point to, alive as long as this object."""

    def __init__(self) -> None:
        self.held: list[Any] = []
        self.warned: list[str] = []

    def text(self, value: Optional[str], what: str) -> Optional[int]:
        return None if value is None else self.bytes(text_bytes(value, what))

    def bytes(self, value: bytes) -> int:
        buffer = ctypes.create_string_buffer(value)
        self.held.append(buffer)
        return ctypes.addressof(buffer)

    def array(self, value: npt.NDArray[Any]) -> int:
        self.held.append(value)
        return value.ctypes.data

    def struct(self, value: Any) -> int:
        self.held.append(value)
        return ctypes.addressof(value)

    def callback(self, kind: Any, function: Callable[..., Any]) -> int:
        wrapped = kind(function)
        self.held.append(wrapped)
        return int(ctypes.cast(wrapped, ctypes.c_void_p).value or 0)

    def warning(self, cancel: Cancel) -> int:
        """A callback that keeps what a listener would notice."""
        return self.callback(WARNING, cancel.guard(lambda _, text: self.warned.append(text.decode("utf-8", "replace")), None))


def unknown(options: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in options:
        if name not in known:
            raise TypeError(f"there is no option {name!r}: {', '.join(sorted(known))}")


def number(value: Any, what: str) -> float:
    if isinstance(value, (str, bytes, bytearray)) or getattr(value, "ndim", 0) != 0:
        raise TypeError(f"{what} is a {type(value).__name__}, not a number")
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{what} is a {type(value).__name__}, not a number") from None
    except OverflowError:
        found = math.inf
    if not abs(found) <= MOST:
        raise ArgumentError(f"{what} is {found}")
    return found


def word(table: Mapping[str, int], value: Any, what: str) -> int:
    try:
        return table[value]
    except (KeyError, TypeError):
        raise ArgumentError(f"{what} is {value!r}: {', '.join(map(repr, table))} it may be") from None


def seed_of(value: Any) -> int:
    return secrets.randbits(64) if value is None else whole(value, "seed", 0, 2 ** 64 - 1)


def sample_params(options: Mapping[str, Any], asked: Asked, cancel: Cancel, keep: Keep) -> int:
    """Address of an f5_sample_params that ends the call when it is cancelled: at its next step, or while it waits for its turn."""
    params = _abi.f5_sample_params()
    init(params)
    if asked.nfe and not {"nfe", "method"} & options.keys():
        params.nfe, params.method = asked.nfe, asked.method
    if "nfe" in options:
        params.nfe = whole(options["nfe"], "nfe", -2 ** 31, 2 ** 31 - 1)
    if "cfg" in options:
        params.cfg = number(options["cfg"], "cfg")
    if "sway" in options:
        params.use_sway = int(options["sway"] is not None)
        params.sway = 0.0 if options["sway"] is None else number(options["sway"], "sway")
    if "epss" in options:
        params.use_epss = int(bool(options["epss"]))
    if "method" in options:
        params.method = word(METHODS, options["method"], "method")
    if "grid" in options:
        params.grid = word(GRIDS, options["grid"], "grid")
    told = options.get("progress")
    if told is not None and not callable(told):
        raise TypeError(f"progress is a {type(told).__name__}: a function of the step and the number of steps is wanted")

    def progress(step: int, steps: int) -> int:
        answer = None if told is None else told(step, steps)
        return int(isinstance(answer, (bool, np.bool_)) and not answer or cancel.asked)

    params.progress = keep.callback(PROGRESS, cancel.guard(progress, 1))
    params.waits = keep.callback(WAITS, cancel.guard(lambda: int(cancel.asked), 1))
    return keep.struct(params)


def phonemes_of(function: Any, cancel: Cancel, keep: Keep) -> int:
    """The library's callback that asks the function."""
    if not callable(function):
        raise TypeError(f"phonemes is a {type(function).__name__}, no function")

    def phonemes(text: int, size: int, out: int, room: int, n: Any, _: Any) -> int:
        ipa = function(ctypes.string_at(text, size).decode("utf-8"))
        if not isinstance(ipa, str):
            raise TypeError(f"phonemes gave a {type(ipa).__name__}, not a str")
        data = text_bytes(ipa, "what phonemes gave")
        n[0] = len(data)
        ctypes.memmove(out, data, min(len(data), room))
        return 0

    return keep.callback(PHONEMES, cancel.guard(phonemes, _abi.CONSTANTS["F5_E_CANCELLED"]))


def speak_params(text: Optional[str], options: Mapping[str, Any], asked: Asked, cancel: Cancel, keep: Keep,
                 heard: Callable[[int], Any]) -> Any:
    """f5_speak_params. heard is called with the address of each piece. The voices must be held by the caller."""
    params = _abi.f5_speak_params()
    init(params)
    params.text = keep.text(text, "text")
    params.sample = sample_params(options, asked, cancel, keep)
    for name in NUMBERS:
        if options.get(name) is not None:
            setattr(params, name, number(options[name], name))
    params.seed = seed_of(options.get("seed"))
    if options.get("noise") is not None:
        noise = array_of(options["noise"], np.float32, (None, asked.sound.bands), "noise")
        params.noise, params.noise_frames = keep.array(noise), length(noise, "noise")
    if "brackets" in options:
        params.brackets = word(BRACKETS, options["brackets"], "brackets")
    if "chunking" in options:
        params.chunking = word(CHUNKINGS, options["chunking"], "chunking")
    params.ssml, params.exact = int(bool(options.get("ssml"))), int(bool(options.get("exact")))
    params.normalize = keep.text(options.get("normalize"), "normalize")
    params.warning = keep.warning(cancel)
    if options.get("phonemes") is not None:
        params.phonemes = phonemes_of(options["phonemes"], cancel, keep)

    def audio(address: int) -> int:
        heard(address)
        return int(cancel.asked)

    params.audio = keep.callback(AUDIO, cancel.guard(audio, 1))
    return params


def put_voices(params: Any, voices: list[tuple[str, int, float]], keep: Keep) -> None:
    """Those that a text may switch to: name, handle, speed or 0."""
    array = (_abi.f5_speak_voice * max(1, len(voices)))()
    for slot, (name, handle, speed) in zip(array, voices):
        init(slot)
        slot.name, slot.voice, slot.speed = keep.text(name, "a voice's name"), handle, speed
    params.voices, params.n_voices = keep.struct(array), len(voices)
