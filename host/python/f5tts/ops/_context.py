"""The contexts in which ops run: one for the CPU, one for each stream of a GPU, opened when first needed."""
from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
import threading
from typing import Any, Iterator, Optional

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

    def call(self, op: str, arguments: int, stream: int) -> None:
        with self.lock:
            status = self.ops[op](ctypes.addressof(self.struct), arguments)
        if status:
            error = error_of(status, "")
            raise type(error)(f"{op}: refused as {error.status}: its contract, help(f5tts.ops.{op}), says what it takes")


class Cuda:
    """The CUDA kernels on one stream: their scratch memory is the stream's own."""

    def __init__(self, device: int, workspace: int) -> None:
        self.lock, self.struct, self.workspace, error = threading.Lock(), _table.cuda_context(), workspace, _table.f5_error()
        status = function("cuda_context_open", ctypes.c_int, POINTER, ctypes.c_int, ctypes.c_size_t, POINTER)(
            ctypes.addressof(self.struct), device, workspace, ctypes.addressof(error))
        if status:
            raise error_of(status, error.message.decode())
        # An op may read its weights while the op in front still runs, if that lets it: here whoever calls may have made
        # the weights by the op in front.
        self.struct.early_start = False

    def call(self, op: str, arguments: int, stream: int) -> None:
        with self.lock:
            self.struct.stream = stream
            status = function(f"{op}_cuda", ctypes.c_int, POINTER, POINTER)(ctypes.addressof(self.struct), arguments)
            message = self.struct.error.message.decode("utf-8", "replace") if status else ""
        if status:
            raise error_of(status, f"{op}: {message}" if message else f"{op}: its contract, help(f5tts.ops.{op}), says what it takes")

    def close(self) -> None:
        function("cuda_context_close", None, POINTER)(ctypes.addressof(self.struct))


_cpu: list[Cpu] = []
_cuda: dict[tuple[int, int], Cuda] = {}
_opening = threading.Lock()
WORKSPACE = 64 << 20  # of a stream to begin with


def cpu() -> Cpu:
    with _opening:
        if not _cpu:
            _cpu.append(Cpu())
        return _cpu[0]


@contextlib.contextmanager
def on(device: Device, stream: Optional[int], rows: int, widest: int) -> Iterator[tuple[Any, int]]:
    """The context for a call on that device, and the stream: of rows so many, of tensors so wide."""
    if device[0] == "cpu":
        yield cpu(), 0
        return
    if not has_cuda():
        raise ValueError("the tensors are on a GPU, and this build of f5tts has no CUDA kernels: make the wheel with -DF5_CUDA=ON")
    torch = sys.modules.get("torch")
    with torch.cuda.device(device[1]) if torch is not None else contextlib.nullcontext():
        if stream is None:
            stream = int(torch.cuda.current_stream(device[1]).cuda_stream) if torch is not None else 0
        wanted = int(function("cuda_workspace_bytes", ctypes.c_size_t, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(
            rows, widest, widest))
        with _opening:
            found = _cuda.get((device[1], stream))
            if found is None or found.workspace < wanted:
                if torch is not None and torch.cuda.is_current_stream_capturing():
                    raise F5Error("the first call of this size on a stream takes memory: make it before a graph is captured")
                if found is not None:
                    if torch is not None:
                        torch.cuda.synchronize(device[1])
                    del _cuda[device[1], stream]
                    found.close()
                found = _cuda[device[1], stream] = Cuda(device[1], max(WORKSPACE, wanted))
        yield found, stream
