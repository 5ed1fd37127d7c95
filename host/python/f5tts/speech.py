"""What speaking gives: samples with the mel that they were made from, and how both are seen and heard in a notebook."""
from __future__ import annotations

import base64
import ctypes
import html
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import numpy.typing as npt

from . import _abi
from ._errors import ArgumentError
from ._library import file_call, path_bytes
from .recording import SAMPLE_RATE, Samples, array_of, write

MEL_BANDS: int = _abi.CONSTANTS["F5_MEL_BANDS"]
HOP: int = _abi.CONSTANTS["F5_HOP"]
FRAMES_PER_SECOND: float = SAMPLE_RATE / HOP


@dataclass(frozen=True)
class Sound:
    """Of what kind a model's sound and its mels are: samples a second, bands."""

    rate: int = SAMPLE_RATE
    bands: int = MEL_BANDS


@dataclass(frozen=True)
class Mark:
    """A sentence and when it is said, in seconds of the whole output; `at` is the byte of the text given where it
    begins (-1 with SSML)."""

    start: float
    end: float
    text: str
    at: int


@dataclass(frozen=True)
class Chunk:
    """A piece of speech as soon as it exists. Put one behind the other, the samples of all pieces are the speech."""

    samples: Samples
    """[n] float32 at `rate`; may be none"""
    mel: npt.NDArray[np.float32]
    """[frames,bands] natural log, what the piece was made from; no frames: silence, or the end of the last chunk"""
    seconds: float
    """where the samples begin in the output"""
    index: int
    """of the chunk of text: 0, 1, ...; -1 before the first"""
    chunks: int
    """of the whole text; 0: not known"""
    segment: int
    """of the chunk: a stretch between tags"""
    voice: int
    """of the chunk: 0 the main voice, i + 1 the i-th of `voices`"""
    text: str
    """what the chunk says, as it is said"""
    marks: tuple[Mark, ...]
    """sentences that end in it"""
    rate: int = SAMPLE_RATE

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> npt.NDArray[Any]:
        return np.array(self.samples, dtype=dtype) if copy else np.asarray(self.samples, dtype=dtype)


@dataclass(frozen=True)
class Said:
    """A chunk of text as it would be said."""

    text: str
    voice: int
    frames: int
    tokens: int
    seconds: float
    pause: float


@dataclass
class Speech:
    """Mono speech. It is an array to numpy; in a notebook it is a player and a picture."""

    samples: Samples
    """[n] float32, -1..1"""
    mel: npt.NDArray[np.float32]
    """[frames,bands] natural log, of all chunks one after the other"""
    seed: int = 0
    """with which the same call gives the same samples"""
    marks: tuple[Mark, ...] = ()
    stats: dict[str, Any] = field(default_factory=dict, repr=False)
    """of f5_speak_stats: generated_seconds, chunks, total_ms, ..."""
    rate: int = SAMPLE_RATE

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    def __len__(self) -> int:
        return len(self.samples)

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> npt.NDArray[Any]:
        return np.array(self.samples, dtype=dtype) if copy else np.asarray(self.samples, dtype=dtype)

    def __repr__(self) -> str:
        return f"<Speech of {self.seconds:.2f} s, {self.rate} Hz, seed {self.seed}>"

    def save(self, path: Union[str, os.PathLike[str]], rate: Optional[int] = None) -> None:
        """Writes it in the format of the name's ending, as f5tts.write does; rate: of the file, default its own, or the
        next that the format has."""
        write(path, self.samples, rate, given=self.rate)

    def wav(self) -> bytes:
        """A WAV file of 16 bits."""
        return _file_bytes("a.wav", self.save)

    def spectrogram(self) -> bytes:
        """A picture of the mel, as PNG. Raises ArgumentError (ValueError) where there is none."""
        return spectrogram(self.mel, frames_per_second=self.rate / HOP)

    def _repr_html_(self) -> str:
        sound = base64.b64encode(self.wav()).decode()
        parts = [f'<audio controls src="data:audio/wav;base64,{sound}"></audio>']
        if len(self.mel):
            picture = base64.b64encode(self.spectrogram()).decode()
            parts.append(f'<img alt="{html.escape(repr(self))}" style="max-width:100%" src="data:image/png;base64,{picture}">')
        return "<div>" + "<br>".join(parts) + "</div>"


def spectrogram(mel: npt.ArrayLike, path: Union[str, os.PathLike[str], None] = None, *,
                frames_per_second: float = FRAMES_PER_SECOND) -> bytes:
    """A mel [frames,bands] as a picture: PNG, which is written to `path` too where one is given. Time runs to the right
    with its seconds along the lower edge, low bands lie at the bottom.

    Raises ArgumentError (ValueError): no frames, or another shape; FileError (OSError)."""
    picture = array_of(mel, np.float32, (None, None), "mel")
    frames, bands = picture.shape
    if not 1 <= bands <= 4096 or not 1 <= frames < 2 ** 31:
        raise ArgumentError(f"mel has the shape {[frames, bands]}: frames it must have, and 1 to 4096 bands")

    def draw(target: Any) -> None:
        file_call("mel_png_write", path_bytes(target, "the picture's path"), picture.ctypes.data, frames, bands,
                  float(frames_per_second))

    if path is None:
        return _file_bytes("a.png", draw)
    draw(path)
    with open(path, "rb") as picture_file:
        return picture_file.read()


def _file_bytes(name: str, make: Any) -> bytes:
    with tempfile.TemporaryDirectory(prefix="f5tts-") as folder:
        make(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


# ---- out of the library's memory

def _copy(address: Optional[int], shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    if not shape[0] or not address:
        return np.empty((0, *shape[1:]), np.float32)
    return np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(ctypes.c_float)), shape).copy()


def text_at(address: Optional[int], size: int) -> str:
    return ctypes.string_at(address, size).decode("utf-8", "replace") if address else ""


def chunk_of(address: int, sound: Sound) -> Chunk:
    """An f5_audio."""
    a = _abi.f5_audio.from_address(address)
    marks = (_abi.f5_mark * a.n_marks).from_address(a.marks) if a.n_marks else ()
    return Chunk(samples=_copy(a.samples, (a.n_samples,)), mel=_copy(a.mel, (a.mel_frames, sound.bands)), seconds=a.seconds,
                 index=a.index, chunks=a.chunks, segment=a.segment, voice=a.voice, text=text_at(a.text, a.text_bytes),
                 marks=tuple(Mark(m.start, m.end, text_at(m.text, m.bytes), m.at) for m in marks), rate=sound.rate)


def said_of(address: int) -> Said:
    """An f5_said."""
    s = _abi.f5_said.from_address(address)
    return Said(text=text_at(s.text, s.bytes), voice=s.voice, frames=s.frames, tokens=s.tokens, seconds=s.seconds,
                pause=s.pause)


def speech_of(chunks: list[Chunk], sound: Sound, seed: int, stats: dict[str, Any]) -> Speech:
    return Speech(samples=np.concatenate([c.samples for c in chunks] or [np.empty(0, np.float32)]),
                  mel=np.concatenate([c.mel for c in chunks] or [np.empty((0, sound.bands), np.float32)]), seed=seed,
                  marks=tuple(m for c in chunks for m in c.marks), stats=stats, rate=sound.rate)
