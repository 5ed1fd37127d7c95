"""A tensor of whatever library as the ops see it: where it lies, its shape, its number type, its device."""
from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import Any, Sequence, Tuple

import numpy as np

from .._errors import F5Error

Tensor = Any
"""A torch tensor, a numpy array, or what has __cuda_array_interface__."""
Device = Tuple[str, int]  # "cpu" or "cuda", and which
ALIGNMENT = 16
SIZES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "uint8": 1, "int32": 4, "int64": 8, "uint64": 8, "float64": 8}


@dataclass
class View:
    """What an op needs to know of a tensor, and the tensor."""

    pointer: int
    shape: tuple[int, ...]
    dtype: str
    device: Device
    tensor: Any

    @property
    def numel(self) -> int:
        return count(self.shape)


def count(shape: Sequence[int]) -> int:
    n = 1
    for length in shape:
        n *= length
    return n


def torch_of(value: Any) -> Any:
    """torch, if it is loaded and the value is a tensor of it."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(value, torch.Tensor) else None


def _torch_view(torch: Any, value: Any, what: str) -> tuple[int, tuple[int, ...], str, Device, bool]:
    if value.layout != torch.strided or value.is_quantized:
        raise ValueError(f"{what} is a {value.layout} tensor: a plain, dense one is wanted")
    if value.device.type not in ("cpu", "cuda"):
        raise ValueError(f"{what} is on the device {value.device}: cpu or cuda it may be")
    if value.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{what} requires a gradient, which the ops do not have: detach it, or use torch.no_grad()")
    if getattr(value, "is_neg", lambda: False)():
        raise ValueError(f"{what} is a lazily negated view: resolve_neg() it")
    dtype = str(value.dtype).replace("torch.", "")
    return (value.data_ptr(), tuple(value.shape), "uint8" if dtype == "bool" else dtype,
            (value.device.type, value.device.index or 0), value.is_contiguous())


def _numpy_view(value: np.ndarray[Any, Any], what: str, written: bool) -> tuple[int, tuple[int, ...], str, Device, bool]:
    if written and not value.flags.writeable:
        raise ValueError(f"{what} is read-only")
    if not value.dtype.isnative:
        raise ValueError(f"{what} has the other byte order: {value.dtype}")
    return (value.ctypes.data, value.shape, "uint8" if value.dtype == np.bool_ else value.dtype.name, ("cpu", 0),
            bool(value.flags.c_contiguous))


def _interface_view(value: Any, what: str, written: bool) -> tuple[int, tuple[int, ...], str, Device, bool]:
    told = value.__cuda_array_interface__
    pointer, read_only = told["data"]
    if written and read_only:
        raise ValueError(f"{what} is read-only")
    kind, shape = np.dtype(told["typestr"]), tuple(told["shape"])
    strides, expected = told.get("strides"), kind.itemsize
    contiguous = True
    for length, stride in zip(reversed(shape), reversed(strides or ())):
        contiguous = contiguous and (stride == expected or length == 1)
        expected *= length
    index = getattr(getattr(value, "device", None), "id", 0)
    return int(pointer), shape, "uint8" if kind == np.bool_ else kind.name, ("cuda", int(index)), contiguous


def view(value: Any, what: str, written: bool = False) -> View:
    """Raises TypeError: no tensor; ValueError: one that no op takes, which `what` names."""
    torch = torch_of(value)
    if torch is not None:
        pointer, shape, dtype, device, contiguous = _torch_view(torch, value, what)
    elif isinstance(value, np.ndarray):
        pointer, shape, dtype, device, contiguous = _numpy_view(value, what, written)
    elif hasattr(value, "__cuda_array_interface__"):
        pointer, shape, dtype, device, contiguous = _interface_view(value, what, written)
    else:
        raise TypeError(f"{what} is a {type(value).__name__}: a torch tensor, a numpy array or what has "
                        "__cuda_array_interface__ is wanted")
    if dtype not in SIZES:
        raise ValueError(f"{what} holds {dtype}, which no op takes")
    if not contiguous and count(shape):
        raise ValueError(f"{what} of the shape {list(shape)} is not contiguous: make it so, as by contiguous()")
    if pointer % ALIGNMENT and count(shape):
        raise ValueError(f"{what} begins at an address that is no multiple of {ALIGNMENT} bytes: clone it")
    return View(pointer, shape, dtype, device, value)


def empty(shape: Sequence[int], dtype: str, device: Device, like: Any) -> Any:
    """An uninitialised tensor of the library that `like` is of; on a GPU that is torch."""
    torch = torch_of(like)
    if torch is not None or device[0] == "cuda":
        torch = torch or importlib.import_module("torch")
        return torch.empty(tuple(shape), dtype=getattr(torch, dtype), device=torch.device(*device) if device[0] == "cuda" else "cpu")
    raw = np.empty(count(shape) * SIZES[dtype] + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start:start + count(shape) * SIZES[dtype]].view(dtype).reshape(tuple(shape))


def from_array(values: np.ndarray[Any, Any], device: Device, here: bool = False) -> Any:
    """Whole numbers on that device, for any stream. here: for the current stream alone, which is not waited for where that
    can be."""
    if device[0] == "cpu":
        made = empty(values.shape, values.dtype.name, device, np.empty(0))
        made[...] = values
        return made
    torch: Any = importlib.import_module("torch")
    how: dict[str, Any] = dict(dtype=getattr(torch, values.dtype.name), device=torch.device(*device))
    captures = torch.cuda.is_current_stream_capturing()
    if here or captures:  # a graph may hold these, and no copy from the host
        if not values.any():
            return torch.zeros(values.shape, **how)
        if values.size == 2 and not values[0]:
            return torch.arange(2, **how) * int(values[1])
    if captures:
        raise F5Error("a pack is copied to the GPU, which no graph can hold: make it before one is captured")
    return torch.from_numpy(values).to(how["device"])  # the copy is done when this returns
