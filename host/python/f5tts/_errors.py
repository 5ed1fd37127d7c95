"""What a call that failed raises: an F5Error that is also the exception Python has for such a failure."""
from __future__ import annotations

from . import _abi

__all__ = ["ArgumentError", "Cancelled", "DeviceError", "F5Error", "F5Warning", "FileError", "FormatError", "LimitError",
           "OutOfMemory", "ShapeError", "UnsupportedError"]


class F5Error(Exception):
    """A call of the library that failed. `message` is its one line, which names what is wrong and the fix; `status` is
    the name of its status, "F5_E_ARGUMENT"."""

    status = "F5_E"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message,)


class ArgumentError(F5Error, ValueError):
    """A parameter is out of range, missing or inconsistent, or an object is closed."""

    status = "F5_E_ARGUMENT"


class ShapeError(F5Error, ValueError):
    """An array's shape is one that the model or the op does not have."""

    status = "F5_E_SHAPE"


class FileError(F5Error, OSError):
    """A file cannot be opened, read or written."""

    status = "F5_E_IO"


class FormatError(F5Error, ValueError):
    """A file's contents are malformed."""

    status = "F5_E_FORMAT"


class UnsupportedError(F5Error, NotImplementedError):
    """Well formed, but not something this build does."""

    status = "F5_E_UNSUPPORTED"


class OutOfMemory(F5Error, MemoryError):
    """Memory of the host or of the GPU is used up."""

    status = "F5_E_MEMORY"


class DeviceError(F5Error, RuntimeError):
    """No such device, or the device failed: then the model can only be closed."""

    status = "F5_E_DEVICE"


class Cancelled(F5Error):
    """The call was asked to stop."""

    status = "F5_E_CANCELLED"


class LimitError(F5Error, ValueError):
    """Over a limit, one given when the model was opened or one of the library."""

    status = "F5_E_LIMIT"


class F5Warning(UserWarning):
    """Something that is no error, but that a listener would notice."""


KINDS = {kind.status: kind for kind in (ArgumentError, ShapeError, FileError, FormatError, UnsupportedError, OutOfMemory,
                                        DeviceError, Cancelled, LimitError)}
NAMES = {value: name for name, value in _abi.CONSTANTS.items() if name.startswith("F5_E_")}


def error_of(code: int, message: str) -> F5Error:
    """The exception of a status and its message."""
    return KINDS.get(NAMES.get(code, ""), F5Error)(message or f"status {code}")
