"""crowd.py — many threads at one engine: run them together, and keep the engine busy while they line up."""
import contextlib
import threading
import time

import f5lib


def together(*functions):
    """Results of the functions, each run in a thread of its own, all at once; the first failure is raised."""
    results, failures, start = [None] * len(functions), [], threading.Barrier(len(functions))

    def work(i):
        try:
            start.wait()
            results[i] = functions[i]()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(functions))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        raise failures[0]
    return results


class Later:
    """A function running in a thread; result() waits, and raises what it raised."""

    def __init__(self, function):
        self.outcome, self.thread = {}, threading.Thread(target=self._work, args=(function,))
        self.thread.start()

    def _work(self, function):
        try:
            self.outcome["result"] = function()
        except BaseException as failure:
            self.outcome["failure"] = failure

    def result(self, timeout=120):
        self.thread.join(timeout)
        assert not self.thread.is_alive(), f"still waiting after {timeout} s"
        if "failure" in self.outcome:
            raise self.outcome["failure"]
        return self.outcome["result"]


def wait_until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not come about in {seconds} s"
        time.sleep(0.002)


@contextlib.contextmanager
def held(engine, request):
    """Keeps the engine in the last step of a request, from when the block is entered until it is left. Gives a function
    that starts another in a thread and returns when that one waits: so they line up in the order they are started."""
    entered, free, laters = threading.Event(), threading.Event(), []

    def progress(step, steps):
        entered.set()
        free.wait(600)

    holder = Later(lambda: engine.sample([request], nfe=1, progress=progress))

    def queue(function):
        before = engine.info()["waiting"]
        later = Later(function)
        laters.append(later)
        wait_until(lambda: engine.info()["waiting"] > before, "a waiting call")
        return later

    try:
        assert entered.wait(60)
        yield queue
    finally:  # an engine must not be closed while somebody is inside
        free.set()
        for later in [holder, *laters]:
            later.thread.join(120)
    holder.result()


def refused(status, function):
    """The message of a call that must fail with this status."""
    try:
        function()
    except f5lib.Error as failure:
        assert failure.status == status, failure
        return failure.message
    raise AssertionError(f"{status} was expected")
