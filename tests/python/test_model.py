"""f5tts.Model: what it gives are the library's bits, in every way of asking; threads, tasks, closing, Ctrl-C."""
import asyncio
import gc
import signal
import subprocess
import threading
import time

import numpy as np
import pytest

import f5lib
from recordings_lib import VOICE, WORDS, voice_samples

TEXT = "One sentence is here. And another one comes, with more words. A third."
FAST = dict(nfe=2, chunking="sentence")

pytestmark = pytest.mark.filterwarnings("ignore:the recording")


def same(a, b):
    return a.shape == b.shape and a.dtype == b.dtype == np.float32 and np.array_equal(a, b)


def test_speech_is_the_librarys(tiny, voice, model):
    speech = tiny.speak(TEXT, voice, seed=11, speed=1.1, cfg=1.5, sway=None, cross_fade=0.1, **FAST)
    with f5lib.Engine(model, max_frames=1024, threads=2) as engine:
        with engine.voice(voice_samples() / np.float32(32768), WORDS, sample_rate=24000) as mine:
            pieces, stats = engine.say(mine, TEXT, seed=11, speed=1.1, cross_fade=0.1, chunking=2,
                                       sample=dict(nfe=2, cfg=1.5, use_sway=0))
    assert same(speech.samples, np.concatenate([p["samples"] for p in pieces]))
    assert same(speech.mel, np.concatenate([p["mel"] for p in pieces]))
    assert speech.rate == 24000 and speech.seed == 11 and speech.stats["chunks"] == stats["chunks"] == 3
    assert [m.text for m in speech.marks] == [m["text"] for p in pieces for m in p["marks"]]
    assert same(np.asarray(speech), speech.samples) and len(speech) == len(speech.samples)
    assert speech.seconds == pytest.approx(stats["generated_seconds"], abs=0.5)


def test_piece_by_piece_it_is_the_same(tiny, voice):
    whole = tiny.speak(TEXT, voice, seed=5, **FAST).samples
    chunks = list(tiny.stream(TEXT, voice, seed=5, **FAST))
    assert same(np.concatenate([c.samples for c in chunks]), whole)
    assert [c.index for c in chunks if len(c.mel)] == [0, 1, 2] and all(c.chunks == 3 for c in chunks)

    async def in_a_task():
        return [c async for c in tiny.stream_async(TEXT, voice, seed=5, **FAST)]

    assert same(np.concatenate([c.samples for c in asyncio.run(in_a_task())]), whole)
    with tiny.text_stream(voice, seed=5, **FAST) as stream:
        bits = [c for at in range(0, len(TEXT), 7) for c in stream.push(TEXT[at:at + 7])] + stream.flush()
    assert same(np.concatenate([c.samples for c in bits]), whole)
    said = tiny.show_text(TEXT, voice, chunking="sentence")
    assert [s.text for s in said] == [c.text for c in chunks if len(c.mel)]
    assert same(tiny.speak(TEXT, voice, noise=np.zeros((sum(s.frames for s in said), 100)), **FAST).samples,
                voice.speak(TEXT, noise=np.zeros((sum(s.frames for s in said), 100), np.float32), **FAST).samples)


def test_threads_and_tasks(tiny, voice):
    """Company changes no bit, and Python runs on meanwhile."""
    alone = [tiny.speak(TEXT, voice, seed=i, **FAST).samples for i in range(3)]
    made, counted, done = {}, 0, threading.Event()
    threads = [threading.Thread(target=lambda i=i: made.update({i: tiny.speak(TEXT, voice, seed=i, **FAST).samples}))
               for i in range(3)]
    for thread in threads:
        thread.start()
    threading.Thread(target=lambda: ([t.join() for t in threads], done.set()), daemon=True).start()
    while not done.wait(0.001):
        counted += 1
    assert all(same(made[i], alone[i]) for i in range(3)) and counted > 5

    async def together():
        return await asyncio.gather(*(tiny.speak_async(TEXT, voice, seed=i, **FAST) for i in range(3)))

    assert all(same(s.samples, a) for s, a in zip(asyncio.run(together()), alone))


def test_arrays_are_the_librarys(tiny, f5tts, model, rng):
    samples = rng.normal(0, 0.1, 5000).astype(np.float32)
    tokens = tiny.tokenize("hello there")
    cond = tiny.mel(samples)
    assert cond.shape == (5000 // 256 + 1, 100) and tokens.dtype == np.int32
    with f5lib.Engine(model, max_frames=1024, threads=2) as engine:
        assert same(cond, engine.mel(samples)) and np.array_equal(tokens, engine.tokenize("hello there"))
        mine, = engine.sample([dict(cond=cond, tokens=tokens, frames=60, seed=7)], nfe=4, method=2)
        assert same(tiny.sample(cond, tokens, 60, seed=7, nfe=4, method="ab2"), mine)
        assert same(tiny.vocode(mine), engine.vocode(mine))
    mask = np.arange(len(cond)) % 2 == 0
    one = f5tts.SampleRequest(cond, tokens, 60, seed=7, edit_mask=mask)
    noisy = f5tts.SampleRequest(cond, tokens, 60, noise=rng.normal(size=(60, 100)))
    both = tiny.sample_many([one, noisy], nfe=2)
    assert same(both[0], tiny.sample(cond, tokens, 60, seed=7, edit_mask=mask, nfe=2)) and not same(both[0], both[1])


def test_recordings(tiny, f5tts, voice, tmp_path):
    """Files and arrays of every kind are one voice."""
    whole = tiny.speak("Here.", voice, seed=1, nfe=2).samples
    ints = voice_samples()
    kinds = [str(VOICE), VOICE, ints, ints[:, None], ints / 32768, (ints / 32768).astype(np.float32), np.int32(ints) << 16]
    for kind in kinds:
        given = {} if kind is VOICE or isinstance(kind, str) else dict(rate=24000)
        assert same(tiny.speak("Here.", tiny.voice(kind, WORDS, **given), seed=1, nfe=2).samples, whole)
    assert tiny.voice(VOICE).text == WORDS, "the words of the .txt beside it"
    f5tts.write(tmp_path / "a.flac", whole)
    back, rate = f5tts.read(tmp_path / "a.flac")
    assert rate == 24000 and back.shape == (len(whole), 1) and np.abs(back[:, 0] - whole).max() < 1 / 32000
    assert same(f5tts.remove_silence(whole), f5lib.remove_silence(whole)) and np.isfinite(f5tts.loudness(ints / 32768))
    assert {a.what for a in f5tts.check_voice(VOICE, WORDS)} == {"level", "clipping", "noise", "rate", "length", "pace"}


def test_words_of_a_recording_are_replaced(tiny):
    speech = tiny.edit(VOICE, WORDS, [(0.5, 0.9, 0.6)], seed=2, nfe=2)
    assert len(speech.samples) > 24000 and np.isfinite(speech.samples).all() and len(speech.mel) > 90
    with pytest.raises(ValueError, match="edit"):
        tiny.edit(VOICE, WORDS, [(0.9, 0.5, 0.6)], nfe=2)


def test_warnings(tiny, f5tts, voice):
    with pytest.warns(f5tts.F5Warning, match="nobody"):
        tiny.speak("[nobody] Hello.", voice, nfe=2)
    with pytest.warns(f5tts.F5Warning, match="nobody"):
        list(tiny.stream("[nobody] Hello.", voice, nfe=2))
    with pytest.warns(f5tts.F5Warning) as told:
        tiny.voice(voice_samples()[20000:44000], "So many words that no recording of this length can have them all.", rate=24000)
    assert told[0].filename == __file__, "it is the caller's line that is warned of"


# ---- an end before the end

def test_progress(tiny, f5tts, voice):
    steps = []
    tiny.speak("Hello.", voice, nfe=6, epss=False, progress=lambda step, n: steps.append((step, n)))
    assert steps == [(i, 6) for i in range(1, 7)]
    with pytest.raises(f5tts.Cancelled):
        tiny.speak("Hello.", voice, nfe=6, progress=lambda step, n: step < 2)
    with pytest.raises(ZeroDivisionError):
        tiny.speak("Hello.", voice, nfe=6, progress=lambda step, n: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        tiny.sample(np.zeros((9, 100)), [1, 2], 20, nfe=4, progress=lambda step, n: 1 // 0)


def slow(steps, seconds=0.2, nfe=40):
    """Progress that is counted and takes its time."""
    return dict(nfe=nfe, epss=False, progress=lambda step, n: (steps.append(step), time.sleep(seconds))[0])


@pytest.mark.parametrize("how", ["speak", "stream", "sample", "text_stream"])
def test_ctrl_c(tiny, voice, how):
    """Soon, as KeyboardInterrupt, in the main thread; the model works on."""
    steps, main = [], threading.main_thread().ident
    calls = dict(speak=lambda: tiny.speak(TEXT, voice, **slow(steps)), stream=lambda: list(tiny.stream(TEXT, voice, **slow(steps))),
                 sample=lambda: tiny.sample(np.zeros((9, 100)), [1, 2], 20, **slow(steps)),
                 text_stream=lambda: tiny.text_stream(voice, **slow(steps)).push(TEXT * 3))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt():
        while len(steps) < 2:
            time.sleep(0.01)
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            calls[how]()
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(steps) < 40
    time.sleep(0.3)
    seen = len(steps)
    assert len(tiny.speak("Hello.", voice, nfe=2).samples) > 1000 and len(steps) == seen


@pytest.mark.parametrize("how", ["ctrl_c", "task", "stream", "text_stream"])
def test_what_waits_for_its_turn_is_ended(tiny, voice, how):
    """Before its turn has come: the call in front is held until then."""
    began, held, main, ended = threading.Event(), threading.Event(), threading.main_thread().ident, []
    first = threading.Thread(target=lambda: tiny.speak("Hello.", voice, nfe=2, progress=lambda *_: (began.set(), held.wait(120))))
    first.start()
    assert began.wait(60)
    late = threading.Timer(60, held.set)
    late.start()

    def once_it_waits(what):
        def work():
            while not tiny.info["waiting"] and not held.is_set():
                time.sleep(0.01)
            what()
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    async def task():
        one = asyncio.ensure_future(tiny.speak_async("Hello.", voice, nfe=2))
        loop = asyncio.get_running_loop()
        once_it_waits(lambda: loop.call_soon_threadsafe(one.cancel))
        with pytest.raises(asyncio.CancelledError):
            await one

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if how == "task":
            asyncio.run(task())
        elif how == "stream":
            chunks = tiny.stream("Hello.", voice, nfe=2)
            closing = once_it_waits(chunks.close)
            ended = list(chunks)
            closing.join()
        else:
            with tiny.text_stream(voice, nfe=2) as stream:
                once_it_waits(lambda: signal.pthread_kill(main, signal.SIGINT))
                with pytest.raises(KeyboardInterrupt):
                    tiny.speak("Hello.", voice, nfe=2) if how == "ctrl_c" else stream.push(TEXT * 3)
        assert not held.is_set() and not ended
    finally:
        signal.signal(signal.SIGINT, before)
        late.cancel()
        held.set()
        first.join()
    assert len(tiny.speak("Hello.", voice, nfe=2)) > 1000


def test_iterators_and_tasks_that_are_given_up(tiny, voice):
    steps = []
    chunks = tiny.stream(TEXT, voice, chunking="sentence", **slow(steps, 0.02, 8))
    next(chunks)
    chunks.close()
    seen = len(steps)

    async def given_up():
        task = asyncio.ensure_future(tiny.speak_async(TEXT, voice, **slow(steps)))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async for _ in tiny.stream_async(TEXT, voice, chunking="sentence", **slow(steps, 0.02, 8)):
            break

    asyncio.run(given_up())
    assert seen <= 24 and len(tiny.speak("Hello.", voice, nfe=2).samples) > 1000


def test_python_ends_in_the_middle(venv, model):
    """Of a stream, and of a call in a thread: no hang, no crash, no complaint."""
    script = f"""
import threading, warnings, f5tts
warnings.simplefilter("ignore")
model = f5tts.Model({str(model)!r}, device="cpu", max_frames=1024)
voice = model.voice("slt")
chunks = model.stream({TEXT!r} * 3, voice, nfe=20, epss=False, chunking="sentence")
print(len(next(chunks).samples) > 0)
threading.Thread(target=lambda: model.speak({TEXT!r} * 3, voice, nfe=20, epss=False), daemon=True).start()
"""
    done = subprocess.run([venv, "-c", script], capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr
    assert "Traceback" not in done.stderr


# ---- closing

def test_closing_in_any_order(f5tts, model):
    with f5tts.Model(model, device="cpu", max_frames=1024) as one:
        voice, other = one.voice("slt"), one.voice("rms")
        stream = one.text_stream(voice, nfe=2)
        other.close()
        other.close()
        one.close()
        for call in (lambda: voice.speak("Hello."), lambda: one.mel(np.zeros(999)), lambda: stream.push("Hello."),
                     lambda: one.speak("Hello.", other), lambda: one.info, lambda: one.voice("slt")):
            with pytest.raises(ValueError, match="closed"):
                call()
    assert one.closed and voice.closed and "closed" in repr(voice)
    two = f5tts.Model(model, device="cpu", max_frames=1024)
    voice = two.voice("slt")
    del two
    gc.collect()
    assert len(voice.speak("Hello.", nfe=2)) > 1000, "a voice keeps its model"
    del voice
    three = f5tts.Model(model, device="cpu", max_frames=1024)
    with pytest.raises(ValueError, match="another model"):
        three.speak("Hello.", f5tts.Model(model, device="cpu", max_frames=1024).voice("slt"))


def test_closing_while_it_speaks(f5tts, model):
    """From another thread, and from a callback of the call itself: the call ends well, then the model goes."""
    one, made = f5tts.Model(model, device="cpu", max_frames=1024), []
    voice = one.voice("slt")
    made.append(one.speak("Hello.", voice, nfe=4, progress=lambda step, n: one.close()))
    assert len(made[0]) > 1000 and one.closed and one._handle._address == 0
    gc.collect()


# ---- what is refused

def test_what_is_wrong_is_told(tiny, f5tts, voice, tmp_path):
    (tmp_path / "bad.f5").write_bytes(b"no model")
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    cond, ids = np.zeros((9, 100), np.float32), [1, 2]
    samples = np.zeros(24000, np.float32)
    refused = [
        (OSError, "No such file", lambda: f5tts.Model(tmp_path / "none.f5")),
        (ValueError, "bad.f5", lambda: f5tts.Model(tmp_path / "bad.f5")),
        (OSError, "no-such-model", lambda: f5tts.Model("no-such-model")),
        (ValueError, "max_frames", lambda: f5tts.Model(device="cpu", max_frames=-1)),
        (TypeError, "max_frames", lambda: f5tts.Model(max_frames=1.5)),
        (ValueError, "device", lambda: f5tts.Model(device="tpu")),
        (ValueError, "precision", lambda: f5tts.Model(device="cpu", precision="fp12")),
        (OSError, "none.wav", lambda: tiny.voice(tmp_path / "none.wav", "x")),
        (ValueError, "bad.wav", lambda: tiny.voice(tmp_path / "bad.wav", "x")),
        (ValueError, "text=", lambda: tiny.voice(tmp_path / "bad.wav")),
        (ValueError, "rate", lambda: tiny.voice(samples, "x")),
        (ValueError, "5 samples a second", lambda: tiny.voice(samples, "x", rate=5)),
        (ValueError, "transpose", lambda: tiny.voice(np.zeros((2, 24000)), "x", rate=24000)),
        (ValueError, "uint8", lambda: tiny.voice(np.zeros(24000, np.uint8), "x", rate=24000)),
        (ValueError, "finite|NaN", lambda: tiny.voice(samples * np.nan, "x", rate=24000)),
        (TypeError, "not a str", lambda: tiny.speak(5, voice)),
        (ValueError, "character 0", lambda: tiny.speak("a\0b", voice)),
        (ValueError, "no text", lambda: tiny.speak("a\ud800b", voice)),
        (ValueError, "text", lambda: tiny.speak("   ", voice)),
        (TypeError, "no option 'nfes'", lambda: tiny.speak("a", voice, nfes=2)),
        (ValueError, "nfe", lambda: tiny.speak("a", voice, nfe=0)),
        (ValueError, "method", lambda: tiny.speak("a", voice, method="rk4")),
        (ValueError, "speed", lambda: tiny.speak("a", voice, speed=-1)),
        (ValueError, "speed", lambda: tiny.speak("a", voice, speed=float("nan"))),
        (TypeError, "speed", lambda: tiny.speak("a", voice, speed="fast")),
        (ValueError, "seed", lambda: tiny.speak("a", voice, seed=-1)),
        (ValueError, "noise", lambda: tiny.speak("a", voice, noise=np.zeros((3, 99)))),
        (ValueError, "noise", lambda: tiny.speak("Hello.", voice, noise=np.zeros((3, 100)))),
        (TypeError, "Model.voice", lambda: tiny.speak("a", "slt")),
        (ValueError, "513|512", lambda: tiny.mel(samples[:100])),
        (ValueError, "shape", lambda: tiny.mel(samples[:, None])),
        (ValueError, "shape", lambda: tiny.vocode(np.zeros((3, 99)))),
        (ValueError, "frames", lambda: tiny.vocode(np.zeros((0, 100)))),
        (ValueError, "cond", lambda: tiny.sample(cond[:, :9], ids, 20)),
        (ValueError, "tokens", lambda: tiny.sample(cond, [[1]], 20)),
        (ValueError, "tokens", lambda: tiny.sample(cond, [2 ** 40], 20)),
        (ValueError, "token", lambda: tiny.sample(cond, [10 ** 6], 20)),
        (ValueError, "noise", lambda: tiny.sample(cond, ids, 20, noise=np.zeros((19, 100)))),
        (ValueError, "frames", lambda: tiny.sample(cond, ids, 5000)),
        (ValueError, "edit_mask", lambda: tiny.sample(cond, ids, 20, edit_mask=[True])),
        (ValueError, "xyz", lambda: f5tts.write(tmp_path / "a.xyz", samples)),
        (OSError, "none", lambda: f5tts.write(tmp_path / "none/a.wav", samples)),
        (ValueError, "lexicon:1", lambda: f5tts.Lexicon("a word without a tab")),
        (ValueError, "frames|shape", lambda: f5tts.spectrogram(np.zeros((0, 100)))),
    ]
    for kind, message, call in refused:
        with pytest.raises(kind, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
    caught = pytest.raises(f5tts.F5Error, f5tts.Model, tmp_path / "bad.f5").value
    assert caught.status == "F5_E_FORMAT" and caught.message == str(caught)
    assert len(tiny.speak("Hello.", voice, nfe=2)) > 1000, "the model works on"


def test_notebooks(tiny, voice, tmp_path):
    import base64
    import re
    import png
    html = tiny.speak("Hello.", voice, nfe=2)._repr_html_()
    sound, picture = (base64.b64decode(x) for x in re.findall(r'src="data:(?:audio/wav|image/png);base64,([^"]+)"', html))
    assert sound[:4] == b"RIFF" and sound[8:12] == b"WAVE"
    (tmp_path / "a.png").write_bytes(picture)
    assert png.read_png(tmp_path / "a.png").std() > 5
