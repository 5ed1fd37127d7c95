"""A text that comes bit by bit, as a language model writes it."""
from __future__ import annotations

import ctypes
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional

from ._calls import Cancel, Handle, run
from ._errors import ArgumentError
from ._library import call, library, text_bytes
from .options import Keep
from .speech import Chunk, chunk_of
from .voice import Closing, Voice, warn

if TYPE_CHECKING:
    from .model import Model


class TextStream(Closing):
    """A text that comes bit by bit: Model.text_stream makes it. The speech is that of the whole text, bit for bit, however
    it was cut. One thread at a time may use it; after an error it can only be closed."""

    def __init__(self, model: Model, voice: Optional[Voice], options: Mapping[str, Any]) -> None:
        self.model, self._cancel, self._keep, self._held = model, Cancel(), Keep(), ExitStack()
        self._chunks: list[Chunk] = []
        self._turn = threading.Lock()
        address = ctypes.c_void_p()
        try:
            engine, main, params = model._params(None, voice, options, self._cancel, self._keep,
                                                 lambda at: self._chunks.append(chunk_of(at, model.sound)), self._held)
            self.seed = int(params.seed)
            call("f5_stream_open", engine, main, self._keep.struct(params), ctypes.addressof(address))
        except BaseException:
            self._held.close()
            raise
        held, keep = self._held, self._keep

        def free(stream: int) -> None:
            library().f5_stream_close(stream)
            keep.held.clear()
            held.close()

        self._handle = Handle("text stream", address.value or 0, free)

    def push(self, text: str) -> list[Chunk]:
        """Adds text, and gives the pieces whose end is certain by now."""
        data = text_bytes(text, "text")
        return self._call(lambda stream: call("f5_stream_push", stream, data, len(data)))

    def flush(self) -> list[Chunk]:
        """Speaks what is left. Text that comes later is a new one."""
        return self._call(lambda stream: call("f5_stream_flush", stream))

    def _call(self, work: Callable[[int], None]) -> list[Chunk]:
        def held(cancel: Cancel) -> tuple[list[Chunk], list[str]]:
            if not self._turn.acquire(blocking=False):
                raise ArgumentError("another call of this text stream has not returned: one thread at a time may use it")
            try:
                self._cancel.follow = cancel
                with self._handle as stream:
                    self._cancel.settle(lambda: work(stream))
                said, self._chunks[:] = list(self._chunks), []
                told, self._keep.warned[:] = list(self._keep.warned), []
                return said, told
            finally:
                self._turn.release()

        said, told = run(held)
        warn(told, 4)
        return said
