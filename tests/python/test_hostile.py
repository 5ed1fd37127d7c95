"""f5tts in hostile hands: threads, forks, the collector, Ctrl-C anywhere, closing inside callbacks, odd arrays, paths and
numbers. What is wrong is an exception that names it; nothing crashes, hangs or leaks, and the model works on."""
import asyncio
import gc
import os
import shutil
import subprocess
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from recordings_lib import VOICE, WORDS

TEXT = "One sentence is here. And another one comes, with more words. A third."
OPENS = int(os.environ.get("F5_TEST_OPENS", 200))
SLOW = dict(nfe=40, epss=False, chunking="sentence")

pytestmark = pytest.mark.filterwarnings("ignore:the recording")


def together(jobs, seconds=120):
    """Runs each in a thread of its own; raises what one of them raised, or that one hangs."""
    failed = []

    def guarded(job):
        try:
            job()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(job,), daemon=True) for job in jobs]
    [t.start() for t in threads]
    end = time.monotonic() + seconds
    [t.join(max(0.0, end - time.monotonic())) for t in threads]
    if failed:
        raise failed[0]
    assert not any(t.is_alive() for t in threads), "a thread hangs"


def script(venv, model, body, timeout=600):
    """Its output, of a process of its own."""
    head = f"""
import faulthandler, gc, os, sys, threading, time, warnings
import numpy as np
import f5tts
faulthandler.enable()
warnings.simplefilter("ignore", f5tts.F5Warning)
TEXT = {TEXT!r}
model = f5tts.Model({str(model)!r}, device="cpu", max_frames=1024, threads=2)
voice = model.voice("slt")
"""
    done = subprocess.run([venv, "-c", head + body], capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and "rror" not in done.stderr, done.stderr
    return done.stdout.split()


# ---- closing where nobody expects it

@pytest.mark.parametrize("whose", ["its own", "another's"])
def test_a_stream_is_closed_inside_a_callback(tiny, voice, whose):
    """Its call cannot end before the callback has: nobody waits for that there."""
    streams = []

    def progress(step, steps):
        streams[0].close()

    def own():
        streams.append(tiny.stream(TEXT, voice, progress=progress, **SLOW))
        assert list(streams[0]) == []

    def another():
        began, held = threading.Event(), threading.Event()
        streams.append(tiny.stream(TEXT, voice, **SLOW))

        def hold(step, steps):
            began.set()
            held.wait(10)  # the stream waits for its turn behind this call
            progress(step, steps)

        first = threading.Thread(target=lambda: tiny.speak("Hello.", voice, nfe=2, progress=hold))
        first.start()
        began.wait(10)
        reader = threading.Thread(target=lambda: list(streams[0]))
        reader.start()
        time.sleep(0.1)
        held.set()
        first.join()
        reader.join()

    together([own if whose == "its own" else another])
    assert len(tiny.speak("Hello.", voice, nfe=2)) > 1000


def test_what_the_collector_closes(f5tts, model):
    """Voices and streams in cycles, collected inside callbacks and while handles are entered, on the thread of the call."""
    with f5tts.Model(model, device="cpu", max_frames=1024, threads=2) as one:
        voice, kept = one.voice("slt"), []

        def litter():
            for made in (one.stream(TEXT, voice, **SLOW), one.voice("rms")):
                ring = [made]
                ring.append(ring)
                if hasattr(made, "__next__"):
                    next(made)

        litter()
        one.speak("Hello.", voice, nfe=2, progress=lambda step, n: kept.append(gc.collect()))
        handle = one._handle
        litter()
        with handle._lock:  # the collector may run while its thread holds this
            gc.collect()
        assert len(kept) == 2
    gc.collect()


def test_a_model_is_closed_while_others_speak(f5tts, model):
    for _ in range(5):
        one = f5tts.Model(model, device="cpu", max_frames=1024, threads=2)
        said = []

        def speak():
            try:
                said.append(len(one.speak("Hello.", nfe=2)))
            except ValueError as error:
                assert "closed" in str(error)

        together([*[speak] * 4, one.close, one.close, lambda: [one.info for _ in range(20) if not one.closed]][:6])
        assert one.closed
    gc.collect()


def test_the_default_voice_is_opened_beside_the_loop(f5tts, model, monkeypatch):
    """And by several calls at once; nobody else's warnings are silenced for it."""
    one, threads = f5tts.Model(model, device="cpu", max_frames=1024, threads=2), set()
    opened = f5tts.Model._open_voice
    monkeypatch.setattr(f5tts.Model, "_open_voice", lambda *a: (threads.add(threading.current_thread()), opened(*a))[1])
    filters = list(warnings.filters)

    async def ask():
        return await asyncio.gather(*(one.speak_async("Hello.", nfe=2, seed=1) for _ in range(4)))

    speech = asyncio.run(ask())
    assert threads and threading.main_thread() not in threads and warnings.filters == filters
    assert all(np.array_equal(s.samples, speech[0].samples) for s in speech)
    one.close()
    assert one._default.closed and one._handle._address == 0


def test_a_text_stream_has_one_user(tiny, voice):
    inside, refused = [], []

    def progress(step, steps):
        if not inside:
            inside.append(step)
            thread = threading.Thread(target=lambda: refused.append(pytest.raises(ValueError, stream.push, "More.").value))
            thread.start()
            thread.join()

    with tiny.text_stream(voice, nfe=2, progress=progress) as stream:
        stream.push("Hello there. ")
        stream.flush()
    assert "one thread at a time" in str(refused[0])


def test_what_a_text_stream_gives_is_the_calls_own(tiny, voice, f5tts, monkeypatch):
    """Also where the next call comes as soon as the one before has had its turn; it is the caller's line that is warned of."""
    later, warned = [], f5tts.text_stream.warn

    def warn(*given):
        warned(*given)
        if not later:
            later.append(None)
            later[:] = [stream.flush()]

    with tiny.text_stream(voice, nfe=2, chunking="sentence") as stream:
        with pytest.warns(f5tts.F5Warning, match="nobody") as told:
            stream.push("[nobody] Hello there. And more.")
        assert told[0].filename == __file__
        stream.flush()
        monkeypatch.setattr(f5tts.text_stream, "warn", warn)
        said = stream.push(TEXT)
    assert said and later[0] and {c.text for c in said}.isdisjoint(c.text for c in later[0] if c.text)


# ---- processes

def test_fork(venv, model):
    """A child uses a model that was idle; calls that ran then are over there, and its end does not wait for them."""
    told = script(venv, model, """
want = model.speak("Hello.", voice, nfe=2, seed=1).samples
x, w = np.ones((64, 256), np.float32), np.ones((128, 256), np.float32)
from f5tts import ops
from f5tts.ops._tensor import empty
mine = empty((64, 256), "float32", ("cpu", 0), x); mine[...] = 1
weights = empty((128, 256), "float32", ("cpu", 0), x); weights[...] = 1
ops.linear(mine, weights)
child = os.fork()
if child == 0:
    assert np.array_equal(model.speak("Hello.", voice, nfe=2, seed=1).samples, want)
    assert (ops.linear(mine, weights) == 256).all()
    model.close()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
chunks = model.stream(TEXT, voice, nfe=40, epss=False, chunking="sentence", progress=lambda *_: time.sleep(0.01))
next(chunks)
child = os.fork()
if child == 0:
    started = time.monotonic()
    try:
        list(chunks)
    except f5tts.F5Error as error:
        assert "forked" in str(error)
    chunks.close()
    f5tts._calls.LEAVE_SECONDS = 80
    f5tts._calls._leave()
    os._exit(8 if time.monotonic() - started < 70 else 9)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(len(list(chunks)))
""")
    assert told == ["7", "8", "2"]


def test_fork_during_an_op(venv, model):
    """And while a context is being opened: what another thread holds then, nobody lets go in the child."""
    told = script(venv, model, """
import signal
from f5tts import ops
from f5tts.ops import _context
from f5tts.ops._tensor import empty
mine = empty((64, 256), "float32", ("cpu", 0), np.empty(0)); mine[...] = 1
weights = empty((128, 256), "float32", ("cpu", 0), np.empty(0)); weights[...] = 1
ops.linear(mine, weights)
def fork():
    child = os.fork()
    if child == 0:
        signal.alarm(120)
        os._exit(7 if (ops.linear(mine, weights) == 256).all() else 8)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
for lock in _context.context(("cpu", 0)).lock, _context._opening:
    inside, over = threading.Event(), threading.Event()
    def hold():
        with lock: inside.set(); over.wait()
    holder = threading.Thread(target=hold)
    holder.start(); inside.wait(); fork(); over.set(); holder.join()
on = True
def work():
    while on: ops.linear(mine, weights)
worker = threading.Thread(target=work)
worker.start()
for i in range(20): fork()
on = False
worker.join()
""", 300)
    assert told == ["7"] * 22


def test_ctrl_c_anywhere(venv, model):
    """Signals at any moment of speak, stream and text_stream: KeyboardInterrupt, soon, and the model works on."""
    told = script(venv, model, """
import random, signal
random.seed(int(sys.argv[1]) if len(sys.argv) > 1 else time.time_ns())
main, stop = threading.main_thread().ident, threading.Event()
want = model.speak("Hello.", voice, nfe=2, seed=1).samples
kept = []
def speak(): model.speak(TEXT, voice, nfe=4)
def stream():
    kept.append(model.stream(TEXT, voice, nfe=4, chunking="sentence"))
    for chunk in kept[-1]: pass
def bits():
    kept.append(model.text_stream(voice, nfe=4))
    with kept[-1] as text: text.push(TEXT); text.flush()
heard = 0
for i in range(60):
    kept.clear()  # Python forgets what is raised in a destructor: none shall run when the signal comes
    timer = threading.Timer(random.uniform(0, 0.05), signal.pthread_kill, (main, signal.SIGINT))
    try:
        timer.start()
        (speak, stream, bits)[i % 3]()
        time.sleep(60)  # a late signal finds it here
    except KeyboardInterrupt:
        heard += 1
    timer.join()
print(heard)
gc.collect()
assert np.array_equal(model.speak("Hello.", voice, nfe=2, seed=1).samples, want)
""", 300)
    assert told == ["60"]


def test_many_opens(venv, model):
    """Memory and files stay what they were."""
    told = script(venv, model, """
def once(i):
    with f5tts.Model(model.path, device="cpu", max_frames=256, threads=1) as one:
        one.tokenize("hello")
        if i % 10 == 0: one.speak("Hi.", one.voice("slt"), nfe=1)
def resident(): return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")
for i in range(100): once(i)
files, memory, threads = len(os.listdir("/proc/self/fd")), resident(), threading.active_count()
for i in range(OPENS): once(i)
gc.collect()
assert len(os.listdir("/proc/self/fd")) == files and threading.active_count() == threads
print((resident() - memory) >> 20)
""".replace("OPENS", str(OPENS)), 600)
    assert int(told[0]) < 32, f"{OPENS} opens took {told[0]} MB"


def test_eight_threads_call_everything(f5tts, model, seed):
    with f5tts.Model(model, device="cpu", max_frames=1024, threads=2) as one:
        voice, samples = one.voice("slt"), np.random.default_rng(seed).normal(0, 0.1, 3000).astype(np.float32)
        want = one.speak("Hello there.", voice, seed=1, nfe=2).samples
        mel, ids = one.mel(samples), one.tokenize("hello there")

        def everything(i):
            draw = np.random.default_rng([seed, i])
            for _ in range(6):
                kind = draw.integers(10)
                if kind == 0:
                    assert np.array_equal(one.speak("Hello there.", voice, seed=1, nfe=2).samples, want)
                elif kind == 1:
                    assert np.array_equal(np.concatenate([c.samples for c in one.stream("Hello there.", voice, seed=1, nfe=2)]), want)
                elif kind == 2:
                    next(one.stream(TEXT, voice, **SLOW))  # and dropped
                elif kind == 3:
                    assert np.array_equal(one.mel(samples), mel)
                elif kind == 4:
                    assert len(one.voice("rms").speak("Hi.", nfe=1)) > 0
                elif kind == 5:
                    assert np.isfinite(one.vocode(mel)).all()
                elif kind == 6:
                    with one.text_stream(voice, seed=1, nfe=2) as stream:
                        made = stream.push("Hello there.") + stream.flush()
                    assert np.array_equal(np.concatenate([c.samples for c in made]), want)
                elif kind == 7:
                    assert len(one.show_text(TEXT, voice, chunking="sentence")) == 3 and one.info["calls"] > 0
                elif kind == 8:
                    with pytest.raises(ZeroDivisionError):
                        one.speak("Hello there.", voice, nfe=4, progress=lambda step, n: 1 // 0)
                else:
                    assert np.array_equal(one.tokenize("hello there"), ids)
                    asyncio.run(one.speak_async("Hi.", voice, nfe=1))

        together([lambda i=i: everything(i) for i in range(8)], 300)
    end = time.monotonic() + 300
    while one._handle._address != 0:  # calls whose iterator was dropped end by themselves
        assert time.monotonic() < end, "somebody still uses it"
        time.sleep(0.01)


# ---- arrays, paths, numbers

def test_arrays_of_every_kind(tiny, f5tts, voice):
    """The same numbers are the same, however they lie; what is no array of numbers is refused."""
    samples = np.sin(np.arange(3000) / 9).astype(np.float32) * 0.3
    want, wide = tiny.mel(samples), np.zeros((3000, 3), np.float32)
    wide[:, 1] = samples
    raw = np.zeros(12001, np.uint8)
    crooked = raw[1:].view(np.float32)
    crooked[:] = samples
    frozen = samples.copy()
    frozen.flags.writeable = False
    for kind in (wide[:, 1], samples[::-1].copy()[::-1], frozen, crooked, samples.astype(np.float64), samples.astype(">f4"),
                 samples.view(np.recarray), samples.tolist(), memoryview(samples)):
        assert np.array_equal(tiny.mel(kind), want), type(kind)
    whole = (samples * 30000).astype(np.int16)
    assert np.array_equal(tiny.mel(whole.astype(">i2")), tiny.mel(whole))
    ids = np.array([1, 2, 3], np.int64)
    cond = np.zeros((9, 100), np.float32)
    mel = tiny.sample(cond, ids, 20, seed=1, nfe=2)
    for kind in (ids[::-1].copy()[::-1], ids.astype(np.uint8), ids.astype(">i4"), [1, 2, 3], (np.int8(1), 2, 3)):
        assert np.array_equal(tiny.sample(np.asfortranarray(cond), kind, np.int64(20), seed=np.uint64(1), nfe=np.int32(2)), mel)
    refused = [0.5, np.float32(0.5), np.zeros((), np.float32), np.array([0.1, None]), np.array(["a"]), samples.astype(complex),
               samples.astype(np.longdouble), np.zeros(0, np.float32), np.ma.array(samples, mask=samples > 0), [[0.1], [0.1, 0.2]],
               samples[None], samples.astype("M8[s]"), np.zeros(5, [("a", "f4")]), samples.astype(bool), np.full(3000, 1e300),
               np.full(3000, np.nan, np.float32)]
    for kind in refused:
        with pytest.raises((ValueError, TypeError), match="sample|array"):
            tiny.mel(kind)
    for kind in (np.array(1), np.array([1.0]), np.array([None]), [2 ** 31], [2 ** 70], [-1], ["a"], [[1]], np.array([1, 2], "m8[s]")):
        with pytest.raises((ValueError, TypeError), match="token"):
            tiny.sample(cond, kind, 20, nfe=1)
    for kind in (np.full((9, 100), np.nan), np.full((9, 100), np.inf), np.full((9, 100), 1e300), np.zeros((9, 100), int), 5):
        with pytest.raises(ValueError, match="cond"):
            tiny.sample(kind, [1, 2], 20, nfe=1)


def test_tokens_that_another_thread_changes(tiny):
    """What was checked is what is used."""
    cond, tokens, changed = np.zeros((9, 100), np.float32), np.array([1, 2, 3], np.int32), []

    def progress(step, n):
        changed.append(step)
        tokens[:] = 2 ** 30

    want = tiny.sample(cond, tokens.copy(), 20, seed=1, nfe=4)
    assert np.array_equal(tiny.sample(cond, tokens, 20, seed=1, nfe=4, progress=progress), want) and changed


def test_numbers_of_every_kind(tiny, f5tts, voice):
    fine = [dict(speed=np.float32(1.5)), dict(speed=np.int64(2)), dict(speed=np.array(1.5)), dict(cfg=np.float16(1.5)), dict(nfe=np.uint8(2)),
            dict(sway=np.float64(-1)), dict(seed=np.uint64(2 ** 64 - 1)), dict(cross_fade=0), dict(epss=np.bool_(False)),
            dict(progress=lambda step, n: np.bool_(True))]
    for options in fine:
        assert len(tiny.speak("Hello.", voice, **{"nfe": 2, **options})) > 100, options
    nan, bad = float("nan"), []
    for name in ("speed", "fix_duration", "cross_fade", "sentence_pause", "paragraph_pause", "first_chunk", "cfg", "sway"):
        bad += [(name, v) for v in (nan, float("inf"), -float("inf"), 1e39, 10 ** 400, "1", b"1", 1j, np.array([1.0, 2.0]), [1.0], object())]
    bad += [("nfe", v) for v in (1.0, np.float32(2), "2", True, 2 ** 31, -1, 0, 10 ** 30, nan)]
    bad += [("seed", v) for v in (1.0, "2", 2 ** 64, -1, np.float64(1))]
    bad += [("progress", 5), ("voices", [1]), ("voices", {"a": 5}), ("voices", {"a": (voice,)}), ("voices", {5: voice}), ("lexicon", "x"),
            ("method", []), ("grid", np.array([1])), ("chunking", None), ("normalize", 5), ("normalize", "xx\ud800")]
    for name, value in bad:
        with pytest.raises((ValueError, TypeError), match=name.rstrip("s")) as told:
            tiny.speak("Hello.", voice, **{"nfe": 2, name: value})
        assert len(str(told.value)) < 400
    with pytest.raises(f5tts.Cancelled):
        tiny.speak("Hello.", voice, nfe=4, progress=lambda step, n: np.bool_(False))
    for edits, kind in (([(0.5, 0.9)], TypeError), ([5], TypeError), ([(0, 1, 1)] * 257, ValueError), ([(nan, 1, 1)], ValueError)):
        with pytest.raises(kind, match="edit|start"):
            tiny.edit(VOICE, WORDS, edits, nfe=2)
    for limits in (dict(max_frames=2 ** 31), dict(max_batch=True), dict(threads=1.5), dict(warm_frames=5), dict(warm_frames=[[5]]),
                   dict(warm_frames=[2 ** 40]), dict(device=5), dict(precision=b"fp32"), dict(languages=5)):
        with pytest.raises((ValueError, TypeError), match=next(iter(limits))):
            f5tts.Model(**{"device": "cpu", **limits})


def test_texts_of_every_kind(tiny, f5tts, voice):
    with pytest.raises(ValueError, match="max_text_bytes|longest|bytes"):
        tiny.speak("a" * (3 << 20), voice, nfe=1)
    assert len(tiny.tokenize("a" * (1 << 20))) == 1 << 20
    for text in ("\ud800", "a\udfffb", "\udc80"):
        for call in (tiny.tokenize, tiny.speak, tiny.show_text, f5tts.Lexicon, lambda t: list(tiny.stream(t, voice)),
                     lambda t: tiny.voice(VOICE, t), lambda t: f5tts.check_voice(VOICE, t)):
            with pytest.raises(ValueError, match="no text"):
                call(text)
    for text in (None, 5, b"bytes", ["a"], np.array("a")):
        with pytest.raises(TypeError, match="not a str"):
            tiny.speak(text, voice)


def test_paths_of_every_kind(tiny, f5tts, model, tmp_path):
    """Bytes that are no UTF-8 name files, as os.fsdecode gives them; other surrogates name none."""
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    odd.mkdir()
    shutil.copy(model, odd / "m.f5")
    shutil.copy(VOICE, odd / "v.wav")
    (odd / "v.txt").write_text(WORDS)
    with f5tts.Model(odd / "m.f5", device="cpu", max_frames=1024) as one:
        speech = one.speak("Hello.", one.voice(odd / "v.wav"), nfe=2)
    speech.save(odd / "out.wav")
    assert len(f5tts.read(str(odd / "out.wav"))[0]) == len(speech)
    f5tts.spectrogram(speech.mel, odd / "out.png")
    f5tts.spectrogram(speech.mel, os.fsencode(odd / "out.png"))
    for name in ("a\ud800.wav", "\udfff", "a\0b", "", "."):
        for call in (lambda: tiny.voice(name), lambda: tiny.voice(name, WORDS), lambda: f5tts.read(name), lambda: speech.save(name),
                     lambda: f5tts.spectrogram(speech.mel, name), lambda: f5tts.Model(name, device="cpu")):
            with pytest.raises((ValueError, OSError)) as told:
                call()
            assert isinstance(told.value, f5tts.F5Error), (name, told.value)
    for name in (5, None, ["a"], 1.5):
        with pytest.raises(TypeError):
            f5tts.read(name)
        with pytest.raises(TypeError):
            speech.save(name)


# ---- the package and its libraries

def test_libraries_of_another_version(f5tts, monkeypatch):
    from f5tts import _abi, _library
    monkeypatch.setattr(_abi, "VERSION", "9.9.9")
    for name, version in (("libf5tts.so.*", "f5_version"), ("libf5tts_files.so", "library_version"), ("libf5tts_ops.so", "library_version")):
        with pytest.raises(ImportError, match="is of version .*, the modules beside it are of 9.9.9: install f5tts again"):
            _library.load(name, "", version)
    with pytest.raises(ImportError, match="that tells none"):
        _library.load("libf5tts.so.*", "", "no_such_function")
