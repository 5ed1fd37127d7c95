"""Calls that can be ended: by Ctrl-C, by a task that is cancelled, by an iterator that is closed, when Python ends.

Python runs signal handlers in the main thread, between instructions of its own, so a long call there would not hear
Ctrl-C. So the main thread lets another one make the call and waits, which a signal interrupts; the call ends at its
next step. Other threads make their calls themselves.
"""
from __future__ import annotations

import asyncio
import atexit
import threading
import weakref
from typing import Any, AsyncIterator, Callable, Iterator, Optional, TypeVar
from queue import SimpleQueue

from ._errors import ArgumentError

T = TypeVar("T")
LEAVE_SECONDS = 10.0  # that the end of Python waits for calls to end


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
            try:
                return function(*arguments)
            except BaseException as error:  # whatever it is, C must not see it
                self.raised, self.asked = self.raised or error, True
                return failed

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
    """A call on a thread of its own. `result` waits for it."""

    def __init__(self, work: Callable[[Cancel], Any], done: Optional[Callable[[], None]] = None) -> None:
        self.cancel, self.finished = Cancel(), threading.Event()
        self.value: Any = None
        self.failure: Optional[BaseException] = None
        self._work, self._done = work, done
        self.thread = threading.Thread(target=self._run, name="f5tts call", daemon=True)
        _running.add(self)
        self.thread.start()

    def _run(self) -> None:
        work, self_cancel = self._work, self.cancel
        try:
            self.value = self_cancel.settle(lambda: work(self_cancel))
        except BaseException as error:
            self.failure = error
        finally:
            del work, self._work
            self.finished.set()
            _running.discard(self)
            if self._done is not None:
                self._done()

    def result(self) -> Any:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            try:
                raise failure
            finally:
                del failure
        return self.value


_running: weakref.WeakSet[Running] = weakref.WeakSet()


@atexit.register
def _leave() -> None:
    """Threads that are inside the library when Python goes away would call back into nothing."""
    left = list(_running)
    for one in left:
        one.cancel.asked = True
    for one in left:
        one.finished.wait(LEAVE_SECONDS)


def run(work: Callable[[Cancel], T]) -> T:
    """Makes a call so that Ctrl-C ends it soon. A second Ctrl-C does not wait for its end."""
    if threading.current_thread() is not threading.main_thread():
        cancel = Cancel()
        return cancel.settle(lambda: work(cancel))
    running = Running(work)
    try:
        running.finished.wait()
    except BaseException:
        running.cancel.asked = True
        running.finished.wait()
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
        await ended.wait()
    except BaseException:
        running.cancel.asked = True
        await ended.wait()
        raise
    value: T = running.result()
    return value


_END = object()


def pieces(work: Callable[[Cancel, Callable[[T], None]], None]) -> Iterator[T]:
    """What a call hands out, while it runs. The call ends soon after the iterator is closed."""
    queue: SimpleQueue[Any] = SimpleQueue()
    running = Running(lambda cancel: work(cancel, queue.put), lambda: queue.put(_END))
    try:
        while True:
            piece = queue.get()
            if piece is _END:
                break
            yield piece
        running.result()
    finally:
        running.cancel.asked = True
        running.finished.wait()


async def pieces_async(work: Callable[[Cancel, Callable[[T], None]], None]) -> AsyncIterator[T]:
    """The same for `async for`."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[Any]()

    def put(piece: Any) -> None:
        try:
            loop.call_soon_threadsafe(queue.put_nowait, piece)
        except RuntimeError:
            pass  # the loop is closed: nobody waits

    running = Running(lambda cancel: work(cancel, put), lambda: put(_END))
    try:
        while True:
            piece = await queue.get()
            if piece is _END:
                break
            yield piece
        running.result()
    finally:
        running.cancel.asked = True
        while not running.finished.is_set():
            await asyncio.sleep(0.005)


class Handle:
    """An object of the library: closed once, and not before the calls have returned that use it.

    A voice counts as a user of its engine, so that closing comes in the right order, whatever the order here."""

    def __init__(self, what: str, address: int, free: Callable[[int], None], parent: Optional[Handle] = None) -> None:
        self.what, self._address, self._free, self._parent = what, address, free, parent
        self._users, self._closed, self._lock = 0, False, threading.Lock()
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
            if self._closed:
                raise ArgumentError(f"the {self.what} is closed")
            self._users += 1
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
