"""Calls that can be ended: by Ctrl-C, by a task that is cancelled, by an iterator that is closed, when Python ends.

Python runs signal handlers in the main thread, between instructions of its own, so a long call there would not hear
Ctrl-C. So the main thread lets another one make the call and waits, which a signal interrupts; the call ends at its
next step. Other threads make their calls themselves.
"""
from __future__ import annotations

import asyncio
import atexit
import os
import threading
import warnings
from typing import Any, AsyncIterator, Callable, Iterator, Optional, TypeVar
from queue import SimpleQueue

from ._errors import ArgumentError, F5Error, F5Warning

T = TypeVar("T")
LEAVE_SECONDS = 10.0  # that the end of Python waits for calls to end
_here = threading.local()  # .depth: callbacks of the library that run on this thread


class Cancel:
    """Whether a call shall end, and what a callback of it raised."""

    def __init__(self) -> None:
        self._asked = False
        self.follow: Optional[Cancel] = None
        self.raised: Optional[BaseException] = None

    @property
    def asked(self) -> bool:
        return self._asked or self.follow is not None and self.follow.asked

    @asked.setter
    def asked(self, value: bool) -> None:
        self._asked = value

    def guard(self, function: Callable[..., Any], failed: Any) -> Callable[..., Any]:
        """A C callback: an exception ends the call and is raised again when it has returned."""

        def run(_: Any, *arguments: Any) -> Any:
            if self.asked:
                return failed
            depth = getattr(_here, "depth", 0)
            try:
                _here.depth = depth + 1
                return function(*arguments)
            except BaseException as error:  # whatever it is, C must not see it
                self.raised, self.asked = self.raised or error, True
                return failed
            finally:
                _here.depth = depth

        return run

    def settle(self, work: Callable[[], T]) -> T:
        """Runs the call; what a callback raised comes first."""
        try:
            return work()
        finally:
            raised, self.raised = self.raised, None  # whoever keeps this object keeps no frames
            if raised is not None:
                raise raised


class Running:
    """A call: on a thread of its own, once it is started, or `here`. `result` gives what came of it."""

    def __init__(self, work: Callable[[Cancel], Any], done: Optional[Callable[[], None]] = None) -> None:
        self.cancel, self.finished = Cancel(), threading.Event()
        self.value: Any = None
        self.failure: Optional[BaseException] = None
        self.on: Optional[int] = None  # the thread
        self.started = False  # and will end; not where Ctrl-C came in between
        self.left = False  # Python ends
        self._work, self._done = work, done

    def start(self) -> None:
        thread = threading.Thread(target=self.here, name="f5tts call", daemon=True)
        _running.add(self)
        try:
            thread.start()
            self.started = True
        except BaseException as error:
            self.cancel.asked = True
            _running.discard(self)
            if isinstance(error, RuntimeError):  # the system has no more
                raise F5Error(f"no thread for the call: {error}") from None
            raise

    def here(self) -> None:
        work, cancel = self._work, self.cancel
        self.on = threading.get_ident()
        _running.add(self)
        try:
            self.value = cancel.settle(lambda: work(cancel))
        except BaseException as error:
            self.failure = error
        finally:
            del work, self._work
            self.end()

    def end(self) -> None:
        self.finished.set()
        _running.discard(self)
        if self._done is not None:
            self._done()

    def leave(self) -> None:
        """The call shall end, and nobody wants what comes of it. Waits for that, but not inside a callback of the library,
        whose return the call may wait for."""
        self.cancel.asked = True
        if self.started and not getattr(_here, "depth", 0):
            self.finished.wait()

    def result(self) -> Any:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            try:
                raise failure
            finally:
                del failure
        return self.value


_running: set[Running] = set()  # list(_running) is one step, whatever other threads do


@atexit.register
def _leave() -> None:
    """Threads that are inside the library when Python goes away would call back into nothing."""
    left = list(_running)
    for one in left:
        one.left = one.cancel.asked = True
    for one in left:
        one.finished.wait(LEAVE_SECONDS)


def _forked() -> None:
    """A child of fork has the caller's thread alone: the calls of others go on in the parent, and nobody waits here."""
    for one in [other for other in list(_running) if other.on != threading.get_ident()]:
        one.failure = F5Error("this process was forked during the call, which goes on in the parent alone")
        one.finished = threading.Event()  # a thread that is not here may have held its lock
        one.end()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def run(work: Callable[[Cancel], T]) -> T:
    """Makes a call so that Ctrl-C ends it soon. A second Ctrl-C does not wait for its end."""
    if threading.current_thread() is not threading.main_thread():
        running = Running(work)
        running.here()
        if running.left:
            threading.Event().wait()  # a daemon's end: what is raised here would reach nobody
    else:
        running = Running(work)
        try:
            running.start()
            running.finished.wait()
        except BaseException:
            running.leave()
            raise
    value: T = running.result()
    return value


async def run_async(work: Callable[[Cancel], T]) -> T:
    """The same in a task. A task that is cancelled ends when the call has."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def done() -> None:
        try:
            loop.call_soon_threadsafe(ended.set)
        except RuntimeError:
            pass  # the loop is closed: nobody waits

    running = Running(work, done)
    try:
        running.start()
        await ended.wait()
    except asyncio.CancelledError:
        running.cancel.asked = True
        await ended.wait()
        raise
    except BaseException:  # the loop is gone, or it was Ctrl-C
        running.cancel.asked = True
        raise
    value: T = running.result()
    return value


_END = object()


class Pieces(Iterator[T]):
    """What a call hands out, while it runs: from the first `next` on. close() ends the call and waits for its end; where
    the iterator is dropped, the call ends soon by itself. A str that the call hands out is a warning."""

    def __init__(self, work: Callable[[Cancel, Callable[[Any], None]], None]) -> None:
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._running, self._lock = Running(*_into(work, self._queue.put)), threading.Lock()
        self._begun = self._closed = False

    def __iter__(self) -> Pieces[T]:
        return self

    def __next__(self) -> T:
        try:
            with self._lock:
                begins, self._begun = not self._begun and not self._closed, True
            if begins:
                self._running.start()
            while not self._closed:
                piece = self._queue.get()
                if piece is _END:
                    break
                if not isinstance(piece, str):
                    found: T = piece
                    return found
                warnings.warn(piece, F5Warning, stacklevel=2)
        except BaseException:
            self.close()
            raise
        if not self._closed:
            self._queue.put(_END)  # for whoever asks again
            self._running.result()
        raise StopIteration

    def close(self) -> None:
        self._closed = True
        self._queue.put(_END)  # for another thread that waits
        self._running.leave()

    def __del__(self) -> None:
        if hasattr(self, "_closed"):
            self._running.cancel.asked = True  # the collector waits for nothing


def _into(work: Callable[[Cancel, Callable[[Any], None]], None],
          put: Callable[[Any], None]) -> tuple[Callable[[Cancel], None], Callable[[], None]]:
    """The work, and what is done at its end. They know no iterator, which so can be dropped while the call runs."""
    return lambda cancel: work(cancel, put), lambda: put(_END)


async def pieces_async(work: Callable[[Cancel, Callable[[T], None]], None]) -> AsyncIterator[T]:
    """The same for `async for`."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[Any]()

    def put(piece: Any) -> None:
        try:
            loop.call_soon_threadsafe(queue.put_nowait, piece)
        except RuntimeError:
            pass  # the loop is closed: nobody waits

    running = Running(*_into(work, put))
    try:
        running.start()
        while True:
            piece = await queue.get()
            if piece is _END:
                break
            yield piece
        running.result()
    finally:
        running.cancel.asked = True
        while running.started and not running.finished.is_set():
            await asyncio.sleep(0.005)


class Handle:
    """An object of the library: closed once, and not before the calls have returned that use it.

    A voice counts as a user of its engine, so that closing comes in the right order, whatever the order here."""

    def __init__(self, what: str, address: int, free: Callable[[int], None], parent: Optional[Handle] = None) -> None:
        self.what, self._address, self._free, self._parent = what, address, free, parent
        # one thread may come back: the collector closes things wherever it runs
        self._users, self._closed, self._lock = 0, False, threading.RLock()
        if parent is not None:
            try:
                parent.__enter__()
            except ArgumentError:  # it was closed meanwhile
                self._closed = True
                free(address)
                raise

    @property
    def closed(self) -> bool:
        return self._closed

    def __enter__(self) -> int:
        with self._lock:
            closed = self._closed
            self._users += not closed
        if closed:
            raise ArgumentError(f"the {self.what} is closed")
        return self._address

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            last = self._closed and self._users == 0
        if last:
            self._end()

    def close(self) -> None:
        """At once, or when the last call that uses it has returned."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            last = self._users == 0
        if last:
            self._end()

    def _end(self) -> None:
        address, self._address = self._address, 0
        parent, self._parent = self._parent, None
        self._free(address)
        if parent is not None:
            parent.__exit__()

    def __del__(self) -> None:
        if hasattr(self, "_lock"):
            self.close()
