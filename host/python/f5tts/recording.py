"""Recordings: from files and arrays into what the library takes, and back into files."""
from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import numpy.typing as npt

from . import _abi
from ._errors import ArgumentError, FileError
from ._library import call, file_call, files, init, native, path_bytes

Samples = npt.NDArray[np.float32]
Recording = Union[str, "os.PathLike[str]", npt.ArrayLike]
SAMPLE_RATE: int = _abi.CONSTANTS["F5_SAMPLE_RATE"]
SCALES = {np.dtype(np.int16): 2.0 ** 15, np.dtype(np.int32): 2.0 ** 31}


def read(path: Union[str, os.PathLike[str]]) -> tuple[Samples, int]:
    """A recording in any format that libsndfile reads (WAV, AIFF, FLAC, MP3, Ogg, Opus, CAF, ...), and with FFmpeg's
    libraries on the machine m4a, aac, webm and more.

    Returns samples [n, channels], -1..1, and their rate. Raises FileError (OSError): it cannot be opened; FormatError
    (ValueError): it is no recording, or truncated."""
    told = _abi.audio_file()
    file_call("audio_read", ctypes.addressof(told), path_bytes(path, "the recording's path"))
    try:
        shape = (told.n_frames, told.channels)
        samples = np.ctypeslib.as_array(ctypes.cast(told.samples, ctypes.POINTER(ctypes.c_float)), shape).copy()
        return samples, int(told.sample_rate)
    finally:
        files().audio_free(ctypes.addressof(told))


def write(path: Union[str, os.PathLike[str]], samples: npt.ArrayLike, rate: Optional[int] = None, *,
          given: int = SAMPLE_RATE) -> None:
    """Writes mono samples [n], -1..1, `given` of them a second, in the format of the name's ending (wav, flac, ogg, opus,
    mp3, aac, raw), at `rate`; by default it is `given`, or the next that the format has. The file is there whole or not at all.

    Raises ArgumentError (ValueError): an ending that is not known, a rate that the format has not; FileError."""
    mono = mono_samples(samples, "samples")
    kind, name = ctypes.c_int(), path_bytes(path, "the file's path")
    file_call("sound_format_of_name", name, ctypes.addressof(kind))
    given = whole(given, "given", 1, 1 << 30)
    rate = int(files().sound_format_rate(kind.value, given)) if rate is None else whole(rate, "rate", 1, 1 << 30)
    file_call("sound_file_write", name, mono.ctypes.data, len(mono), kind.value, given, rate)


def remove_silence(samples: npt.ArrayLike) -> Samples:
    """24 kHz mono speech [n] without what is longer than a second of its silences, as upstream's remove_silence."""
    mono, left = mono_samples(samples, "samples"), ctypes.c_int64()
    out = np.empty(len(mono) + _abi.CONSTANTS["F5_SILENCE_ROUNDING"], np.float32)
    call("f5_remove_silence", mono.ctypes.data, len(mono), out.ctypes.data, ctypes.addressof(left))
    return out[:left.value].copy()


def loudness(samples: npt.ArrayLike) -> float:
    """LUFS of 24 kHz mono speech [n], by ITU-R BS.1770-4; -inf: nothing is above -70."""
    mono, level = mono_samples(samples, "samples"), _abi.f5_level()
    init(level)
    call("f5_measure_level", mono.ctypes.data, len(mono), ctypes.addressof(level))
    return float(level.lufs)


# ---- what the other modules take from here

def whole(value: Any, what: str, low: int, high: int) -> int:
    """An integer in that range."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} is {value!r}, not an integer")
    number = int(value.__index__())
    if not low <= number <= high:
        raise ArgumentError(f"{what} is {number}: {low} to {high} it may be")
    return number


def given_array(value: npt.ArrayLike, what: str) -> npt.NDArray[Any]:
    """What was given as numpy sees it. A mask has no meaning here, so that what it hides must not be heard."""
    if isinstance(value, np.ma.MaskedArray):
        raise ArgumentError(f"{what} is a masked array: fill it, as by filled()")
    try:
        return np.asarray(value)
    except ValueError as error:  # lists of different lengths
        raise ArgumentError(f"{what} is no array: {error}") from None


def c_array(array: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The same numbers as C takes them; what float32 has not is infinite. Whole numbers are copied: those that C has looked at
    are those that it uses, whatever other threads do."""
    with np.errstate(over="ignore"):
        whole_numbers = np.dtype(dtype).kind in "iu"
        return np.require(np.array(array, dtype, copy=True) if whole_numbers else array, dtype, ["C", "A"])


def floats(value: npt.ArrayLike, what: str) -> npt.NDArray[np.float32]:
    """A C-contiguous float32 array; of whole numbers full scale is 1."""
    array = given_array(value, what)
    scale = SCALES.get(array.dtype.newbyteorder("="))
    if scale is not None:
        return c_array(array / scale, np.float32)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise ArgumentError(f"{what} is an array of {array.dtype}: float32, float64, float16, int16 or int32 it may be")
    return c_array(array, np.float32)


def mono_samples(value: npt.ArrayLike, what: str) -> Samples:
    array = floats(value, what)
    if array.ndim != 1:
        raise ArgumentError(f"{what} has the shape {list(array.shape)}: [n] is wanted, mono")
    return array


def array_of(value: npt.ArrayLike, dtype: npt.DTypeLike, shape: tuple[Optional[int], ...], what: str) -> npt.NDArray[Any]:
    """An array of that shape, in which None is any length."""
    given = given_array(value, what)
    kinds = "f" if np.dtype(dtype).kind == "f" else "iub"
    if given.dtype.kind not in kinds and given.size:
        raise ArgumentError(f"{what} is an array of {given.dtype}, not of {np.dtype(dtype)}")
    if given.ndim != len(shape) or any(want is not None and want != got for want, got in zip(shape, given.shape)):
        raise ArgumentError(f"{what} has the shape {list(given.shape)}: "
                            f"[{', '.join('n' if n is None else str(n) for n in shape)}] is wanted")
    if given.dtype.kind in "iu" and given.size and not np.array_equal(given.astype(dtype), given):
        raise ArgumentError(f"{what} holds numbers that {np.dtype(dtype)} has not")
    return c_array(given, dtype)


def length(array: npt.NDArray[Any], what: str) -> int:
    """Of its first dimension, as the library counts."""
    return whole(len(array), f"the length of {what}", 0, 2 ** 31 - 1)


def recording(value: Recording, rate: Optional[int]) -> tuple[Samples, int]:
    """Samples [n,channels] and their rate, of a file or an array."""
    if isinstance(value, (str, os.PathLike)):
        if rate is not None:
            raise ArgumentError("rate is given, but the recording is a file, which says its own: leave rate out")
        return read(value)
    if isinstance(value, bytes):
        raise TypeError("the recording is bytes: give a file's path or an array of samples")
    samples = floats(value, "the recording")
    if rate is None:
        raise ArgumentError("the recording is an array: give its rate too, as rate=24000")
    if samples.ndim == 1:
        samples = samples[:, None]
    most = _abi.CONSTANTS["F5_MAX_CHANNELS"]
    if samples.ndim != 2 or not 1 <= samples.shape[1] <= most:
        hint = ": transpose it" if samples.ndim == 2 and 1 <= samples.shape[0] <= most else ""
        raise ArgumentError(f"the recording has the shape {list(samples.shape)}: [n] or [n,channels] is wanted, with at most "
                            f"{most} channels{hint}")
    return samples, whole(rate, "rate", 1, 2 ** 31 - 1)


def shipped(name: str) -> Optional[Path]:
    """A file that comes with the package, "voices/slt.wav"."""
    folder = native("voices")
    path = folder.parent / name if folder else None
    return path if path and path.is_file() else None


def words_beside(path: Union[str, os.PathLike[str]]) -> str:
    """What a recording says, from the .txt of its name."""
    try:
        beside = Path(path).with_suffix(".txt")
    except ValueError:
        raise ArgumentError(f"what {os.fspath(path)!r} says is not given, and it names no file: give text=") from None
    path_bytes(beside, "the recording's path")
    try:
        return beside.read_text(encoding="utf-8-sig").strip()
    except FileNotFoundError:
        raise ArgumentError(f"what {os.fspath(path)} says is not given, and there is no {beside}: give text=") from None
    except UnicodeDecodeError:
        raise ArgumentError(f"{beside} is not UTF-8") from None
    except OSError as error:
        raise FileError(f"{beside}: {error.strerror}") from None
