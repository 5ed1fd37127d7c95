"""Voices and words, and what is closed like them."""
from __future__ import annotations

import ctypes
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Iterator, Optional

from . import _abi
from ._calls import Cancel, Handle
from ._errors import F5Warning
from ._library import ADVICE, call, init, library, text_bytes
from .options import Keep, number
from .recording import Recording, recording
from .speech import Chunk, Speech

if TYPE_CHECKING:
    from types import TracebackType
    from typing_extensions import Self, Unpack
    from .model import Model
    from .options import SpeakOptions


class Closing:
    """What has a handle: `with`, close and del, in any order and from any thread. A call that is under way keeps what it
    uses until it returns."""

    _handle: Handle

    @property
    def closed(self) -> bool:
        return self._handle.closed

    def close(self) -> None:
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()


def dictionary(struct: Any) -> dict[str, Any]:
    """A struct that the library filled; strings decoded."""
    texts = _abi.TEXTS.get(type(struct).__name__, ())
    return {name: ctypes.string_at(value).decode("utf-8", "replace") if name in texts and value else value
            for name, value in ((field[0], getattr(struct, field[0])) for field in struct._fields_[1:])}


def warn(messages: list[str], level: int = 3) -> None:
    """level: how far up the caller's line is."""
    for message in messages:
        warnings.warn(message, F5Warning, stacklevel=level)


def voice_params(value: Recording, text: Optional[str], rate: Optional[int], target_rms: Optional[float], keep_whole: bool,
                  normalize: Optional[str], cancel: Cancel, keep: Keep) -> Any:
    params = _abi.f5_voice_params()
    init(params)
    samples, found = recording(value, rate)
    params.samples, params.n_frames, params.channels = keep.array(samples), samples.shape[0], samples.shape[1]
    params.sample_rate, params.keep_whole = found, int(bool(keep_whole))
    params.transcript, params.normalize = keep.text(text, "text"), keep.text(normalize, "normalize")
    if target_rms is not None:
        params.target_rms = number(target_rms, "target_rms")
    params.warning = keep.warning(cancel)
    return params


class Voice(Closing):
    """A recording, ready to be spoken in: Model.voice makes it. Any thread may use it."""

    def __init__(self, model: Model, handle: Handle, text: str) -> None:
        self.model, self._handle, self.text = model, handle, text
        with handle as address:
            self.seconds = float(library().f5_voice_seconds(address))
            """of the recording as it is used"""

    def speak(self, text: str, **options: Unpack[SpeakOptions]) -> Speech:
        """Model.speak in this voice."""
        return self.model.speak(text, self, **options)

    def stream(self, text: str, **options: Unpack[SpeakOptions]) -> Iterator[Chunk]:
        """Model.stream in this voice."""
        return self.model.stream(text, self, **options)

    def __repr__(self) -> str:
        return f"<Voice of {self.seconds:.2f} s{', closed' if self.closed else ''}>"


class Lexicon(Closing):
    """Words and how they are said: lines of a word, a tab, how it is said. It needs the option `normalize`.

    Raises FormatError (ValueError), which names the line."""

    def __init__(self, text: str, where: str = "lexicon") -> None:
        data, address = text_bytes(text, "the lexicon"), ctypes.c_void_p()
        call("f5_lexicon_open", data, len(data), text_bytes(where, "where"), ctypes.addressof(address))
        self._handle = Handle("lexicon", address.value or 0, library().f5_lexicon_close)


@dataclass(frozen=True)
class Advice:
    """What would be heard in a recording: `what` is "level", "clipping", "noise", "rate", "length" or "pace"."""

    what: str
    good: bool
    message: str


def check_voice(recording_: Recording, text: Optional[str] = None, *, rate: Optional[int] = None,
                target_rms: Optional[float] = None) -> list[Advice]:
    """What Model.voice would hear in a recording, and what to do about it. No model is needed."""
    keep, told, cancel = Keep(), list[Advice](), Cancel()
    params = voice_params(recording_, text, rate, target_rms, False, None, cancel, keep)

    def advice(what: bytes, good: int, message: bytes) -> None:
        told.append(Advice(what.decode(), bool(good), (message or b"").decode()))

    cancel.settle(lambda: call("f5_check_voice", ctypes.addressof(params), keep.callback(ADVICE, cancel.guard(advice, None)), None))
    return told
