"""The contexts in which ops run: one for the CPU, one for each GPU, opened when first needed and kept.

The scratch memory of an op on a GPU is torch's, taken for each call on the call's stream. So it is free when the stream
has come past the op, calls of other threads and streams have their own, and a captured graph keeps what it was captured
with as long as it lives, for torch's allocator sees to that.
"""
from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import os
import threading
from typing import Any, Iterator, Optional, Tuple

from .._errors import F5Error, error_of
from .._library import load
from . import _table
from ._tensor import Device

POINTER = ctypes.c_void_p


@functools.lru_cache(maxsize=None)
def library() -> ctypes.CDLL:
    """libf5tts_ops."""
    return load("libf5tts_ops.so", "it was not built")


@functools.lru_cache(maxsize=None)
def function(name: str, result: Any, *arguments: Any) -> Any:
    found = getattr(library(), name)
    found.restype, found.argtypes = result, arguments
    return found


def has_cuda() -> bool:
    """Whether this build has the CUDA kernels."""
    return hasattr(library(), "cuda_context_open")


class Cpu:
    """The C references, with every thread and the best instruction set of this CPU."""

    def __init__(self) -> None:
        self.lock, self.struct, error = threading.Lock(), _table.cpu_context(), _table.f5_error()
        status = function("cpu_context_open", ctypes.c_int, POINTER, ctypes.c_int, ctypes.c_char_p, POINTER)(
            ctypes.addressof(self.struct), 0, None, ctypes.addressof(error))
        if status:
            raise error_of(status, error.message.decode())
        names, table = list(_table.OPS), (POINTER * len(_table.OPS)).from_address(self.struct.ops)
        kind = ctypes.CFUNCTYPE(ctypes.c_int, POINTER, POINTER)
        self.ops = {name: kind(int(table[i] or 0)) for i, name in enumerate(names)}

    def call(self, op: str, arguments: int, _stream: int, _rows: int, _widest: int) -> None:
        with self.lock:
            status = self.ops[op](ctypes.addressof(self.struct), arguments)
        if status:
            error = error_of(status, "")
            raise type(error)(f"{op}: refused as {error.status}: its contract, help(f5tts.ops.{op}), says what it takes")


class Cuda:
    """The CUDA kernels on one GPU."""

    def __init__(self, torch: Any, device: int) -> None:
        if torch.cuda.is_current_stream_capturing():
            raise F5Error("the first op on a GPU takes memory: run one before a graph is captured")
        self.lock, self.struct, error = threading.Lock(), _table.cuda_context(), _table.f5_error()
        status = function("cuda_context_open", ctypes.c_int, POINTER, ctypes.c_int, ctypes.c_size_t, POINTER)(
            ctypes.addressof(self.struct), device, 0, ctypes.addressof(error))
        if status:
            raise error_of(status, error.message.decode())
        # An op may read its weights while the op in front still runs, if that lets it: here whoever calls may have made
        # the weights by the op in front.
        self.struct.early_start = False
        self.torch, self.device = torch, torch.device("cuda", device)
        self.flags: dict[int, Any] = {}  # of each stream

    def call(self, op: str, arguments: int, stream: int, rows: int, widest: int) -> None:
        """On torch's current stream, which is `stream`."""
        wanted = int(function("cuda_workspace_bytes", ctypes.c_size_t, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(
            rows, widest, widest))
        scratch = self.torch.empty(max(WORKSPACE, wanted), dtype=self.torch.uint8, device=self.device)
        flags = self._flags(stream)
        with self.lock:
            c = self.struct
            c.stream, c.flags, c.fixed_scratch = stream, flags.data_ptr(), scratch.data_ptr()
            c.row_scratch, c.row_bytes = scratch.data_ptr() + c.fixed_bytes, scratch.numel() - c.fixed_bytes
            status = function(f"{op}_cuda", ctypes.c_int, POINTER, POINTER)(ctypes.addressof(c), arguments)
            message = c.error.message.decode("utf-8", "replace") if status else ""
        if status:
            raise error_of(status, f"{op}: {message}" if message else f"{op}: its contract, help(f5tts.ops.{op}), says what it takes")

    def _flags(self, stream: int) -> Any:
        """Zeros, which every kernel leaves as zeros: the stream's own, but a graph may run beside its stream."""
        if self.torch.cuda.is_current_stream_capturing():
            return self._zeros()
        found = self.flags.get(stream)
        return self.flags.setdefault(stream, self._zeros()) if found is None else found

    def _zeros(self) -> Any:
        return self.torch.zeros(self.struct.device_arch.sm_count, dtype=self.torch.int32, device=self.device)


_cpu: list[Cpu] = []
_cuda: dict[int, Cuda] = {}
_opening = threading.Lock()
WORKSPACE = 64 << 20  # of an op at least, so that few sizes are asked of the allocator


def _forked() -> None:
    """A child of fork has the caller's thread alone: another one may have held these, which here nobody lets go."""
    global _opening
    _opening = threading.Lock()
    opened: list[Any] = [*_cpu, *_cuda.values()]
    for one in opened:
        one.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


@functools.lru_cache(maxsize=None)
def torch_of_gpus() -> Any:
    """torch, which lends the memory and knows the streams. Raises ValueError: no kernels, or no torch that sees a GPU."""
    if not has_cuda():
        raise ValueError("the tensors are on a GPU, and this build of f5tts has no CUDA kernels: make the wheel with -DF5_CUDA=ON")
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        raise ValueError("the tensors are on a GPU: PyTorch, which lends the memory for outputs, is not installed") from None
    if not torch.cuda.is_available():
        raise ValueError("the tensors are on a GPU, and this PyTorch sees none: install one for CUDA")
    return torch


def context(device: Device) -> Any:
    """That of a device. On a GPU inside `place`."""
    with _opening:
        if device[0] == "cpu":
            if not _cpu:
                _cpu.append(Cpu())
            return _cpu[0]
        if device[1] not in _cuda:
            _cuda[device[1]] = Cuda(torch_of_gpus(), device[1])
        return _cuda[device[1]]


def capturing(device: Device) -> bool:
    """Whether the current stream of a GPU is being captured into a graph."""
    return device[0] == "cuda" and bool(torch_of_gpus().cuda.is_current_stream_capturing())


def used_here(device: Device, tensors: list[Any]) -> None:
    """Memory of tensors that were made on whichever stream is free when the current one has come past what it was given. What
    a graph reads is kept by whoever replays it."""
    if tensors and device[0] == "cuda" and not capturing(device):
        stream = torch_of_gpus().cuda.current_stream()
        for tensor in tensors:
            tensor.record_stream(stream)


@contextlib.contextmanager
def place(device: Device, stream: Optional[int]) -> Iterator[Tuple[int, Any, Any]]:
    """Inside, that device and that stream are torch's current ones, so that all that is made lies and runs there. Gives the
    stream's address; torch's stream and the one that was current, where they differ."""
    if device[0] == "cpu":
        yield 0, None, None
        return
    torch = torch_of_gpus()
    with torch.cuda.device(device[1]):
        current = torch.cuda.current_stream()
        if stream is None or stream == current.cuda_stream:
            yield int(current.cuda_stream), None, None
            return
        if not hasattr(stream, "__index__") or isinstance(stream, bool) or not 0 <= stream < 2 ** 64 or stream in (1, 2):
            raise ValueError(f"stream is {stream!r}: 0, or the address of a cudaStream_t, as torch.cuda.Stream().cuda_stream")
        other = torch.cuda.ExternalStream(int(stream), device=device[1]) if stream else torch.cuda.default_stream()
        with torch.cuda.stream(other):
            yield int(stream), other, current
