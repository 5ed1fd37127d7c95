"""Many threads at one engine: waiting calls share batches, and nobody can tell but by the clock and f5_get_info."""
import threading
import time

import numpy as np
import pytest

import cbind
import crowd
import f5lib
import stage

TRANSCRIPT, TEXTS = "What was said before.", ("And now this is said.", "No.", "Something else, at last.")


def same(a, b):
    return all(cbind.same_bits(x, y) for x, y in zip(a, b, strict=True))


def recording(rng):
    return (0.2 * rng.standard_normal(int(24000 * rng.uniform(0.5, 1)))).astype(np.float32)


def mixed_calls(rng, model, n):
    """n calls of every kind with settings of a few kinds, each a function of (engine, voice) that gives arrays."""
    settings = [dict(nfe=2), dict(nfe=3), dict(nfe=2, cfg=0.0), dict(nfe=2, midpoint=True), dict(nfe=2, sway=None),
                dict(nfe=2, sway=0.5), dict(nfe=3, method=2)]
    calls = []
    for _ in range(n):
        kind, s = rng.integers(8), settings[int(rng.choice(len(settings), p=[0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]))]
        seed = int(rng.integers(1 << 40))
        requests = [stage.make_request(rng, model, int(n), 5, 6, noise=bool(rng.integers(2)), seed=seed)
                    for n in rng.integers(8, 60, rng.integers(1, 3))]
        if kind < 5:
            calls.append(lambda e, _, r=requests, s=s: e.sample(r, **s))
        elif kind == 5:
            mels = [rng.standard_normal((int(n), 100)).astype(np.float32) for n in rng.integers(2, 40, 2)]
            calls.append(lambda e, _, m=mels: e.vocode_batch(m))
        elif kind == 6:
            samples = rng.standard_normal(int(rng.integers(600, 4000))).astype(np.float32)
            calls.append(lambda e, _, x=samples: [e.mel(x)])
        else:
            text, solver = TEXTS[rng.integers(len(TEXTS))], dict(nfe=2 + int(rng.integers(2)))
            calls.append(lambda e, v, t=text, s=solver, seed=seed: [
                x for piece in e.speak(v, t, sample=s, seed=seed)[0] for x in piece])
    return calls


@pytest.mark.parametrize("max_batch", [3, 16])
def test_a_crowd_of_mixed_calls(zoo, rng, max_batch):
    """Twelve threads, 96 calls: the bits of each are those it has on an engine where every call runs by itself."""
    m, samples = zoo["tiny"], recording(rng)
    calls = mixed_calls(rng, m, 96)
    with f5lib.Engine(m.path, max_frames=320, max_batch=max_batch, batch_frames=1) as e, \
            e.voice(samples, TRANSCRIPT) as voice:
        alone = [call(e, voice) for call in calls]
        info = e.info()
        assert (info["calls"], info["batches"], info["shared_batches"]) == (97, 97, 0)
    with f5lib.Engine(m.path, max_frames=320, max_batch=max_batch, batch_frames=320) as e, \
            e.voice(samples, TRANSCRIPT) as voice:
        got = crowd.together(*[lambda t=t: [call(e, voice) for call in calls[t::12]] for t in range(12)])
        info = e.info()
    for i, wanted in enumerate(alone):
        assert same(got[i % 12][i // 12], wanted), f"call {i} depends on its company"
    print(f"\n{info['calls']} calls in {info['batches']} batches, {info['shared_batches']} of them shared")
    assert info["calls"] == 97 and info["waiting"] == 0
    assert info["shared_batches"] > 0 and info["batches"] < 97


def test_who_goes_together(zoo, rng):
    """Six samplings of 40 frames, one of another setting and two vocoders line up behind a busy engine that packs up to
    100 frames: 2 + 2 + 2, 1, and 2. Then nothing waits, and a lone call runs by itself."""
    m = zoo["tiny"]
    requests = [stage.make_request(rng, m, 40, 5, 6) for _ in range(7)]
    mel = rng.standard_normal((40, 100)).astype(np.float32)
    with f5lib.Engine(m.path, max_frames=256, max_batch=8, batch_frames=100) as e:
        assert e.info()["batch_frames"] == 100
        wanted = [e.sample([r], nfe=2 + (i == 3)) for i, r in enumerate(requests)]
        sound, before = e.vocode(mel), e.info()
        with crowd.held(e, requests[0]) as queue:
            laters = [queue(lambda i=i, r=r: e.sample([r], nfe=2 + (i == 3))) for i, r in enumerate(requests)]
            sounds = [queue(lambda: e.vocode(mel)) for _ in range(2)]
            assert e.info()["waiting"] == 9 and e.info()["batches"] == before["batches"] + 1
        assert all(same(later.result(), w) for later, w in zip(laters, wanted))
        assert all(cbind.same_bits(later.result(), sound) for later in sounds)
        after = e.info()
        assert after["batches"] - before["batches"] == 1 + 3 + 1 + 1
        assert after["shared_batches"] - before["shared_batches"] == 3 + 1
        assert same(e.sample([requests[0]], nfe=2), wanted[0])
        assert e.info()["shared_batches"] == after["shared_batches"] and e.info()["waiting"] == 0


def test_a_large_call_is_not_starved(zoo, rng):
    """It is larger than what calls are packed up to, and of a setting that nobody else asks for: it runs when it is the
    oldest, before those that came later. It leads, so it hears of its steps while it runs; those that go with others may
    hear of theirs later."""
    m, seen = zoo["tiny"], []
    little, large = stage.make_request(rng, m, 20, 5, 6), stage.make_request(rng, m, 200, 5, 6)
    with f5lib.Engine(m.path, max_frames=256, max_batch=8, batch_frames=60) as e:
        def look(step, steps):
            seen.append((e.info()["batches"], e.info()["waiting"]))

        with crowd.held(e, little) as queue:
            before = e.info()["batches"]
            ask = {"little": lambda: e.sample([little], nfe=2), "large": lambda: e.sample([large], nfe=3, progress=look)}
            laters = [queue(ask[size]) for size in ("little", "large", "little", "little", "little", "little")]
        for later in laters:
            later.result()
        assert seen == 3 * [(before + 2, 2)], "three of the others have run, and two wait"
        assert e.info()["batches"] == before + 3


def test_cancelling_one_of_a_batch(zoo, rng):
    """Every call of a batch hears of every step on its own thread; the one that refuses is cancelled, alone. When all
    refuse the batch is over."""
    m, heard = zoo["tiny"], {}
    request = stage.make_request(rng, m, 30, 10, 10)

    def ask(e, i, refusing):
        def progress(step, steps):
            heard.setdefault(i, []).append((step, steps, threading.get_ident()))
            return i in refusing and step == 2

        return lambda: (threading.get_ident(), e.sample([request], nfe=4, progress=progress))

    with f5lib.Engine(m.path, max_frames=256, max_batch=8) as e:
        wanted = e.sample([request], nfe=4)
        for refusing in ([0], [2], [0, 1], [0, 1, 2]):  # 0 leads
            heard.clear()
            before = e.info()
            with crowd.held(e, request) as queue:
                laters = [queue(ask(e, i, refusing)) for i in range(3)]
            for i, later in enumerate(laters):
                if i in refusing:
                    assert "cancelled by the progress callback" in crowd.refused("F5_E_CANCELLED", later.result)
                    assert [h[0] for h in heard[i]] == [1, 2]
                else:
                    thread, got = later.result()
                    assert same(got, wanted) and heard[i] == [(step, 4, thread) for step in (1, 2, 3, 4)]
            assert e.info()["batches"] - before["batches"] == 2
            assert e.info()["shared_batches"] - before["shared_batches"] == 1
        assert same(e.sample([request], nfe=4), wanted)


def test_a_bad_request_fails_alone_and_at_once(zoo, rng):
    """It is refused while the engine is busy, and those it would have gone with do not notice."""
    m = zoo["tiny"]
    good = stage.make_request(rng, m, 30, 10, 10)
    nan = dict(good, cond=np.full((10, 100), np.nan, np.float32))
    with f5lib.Engine(m.path, max_frames=256, max_batch=4) as e, e.voice(recording(rng), TRANSCRIPT) as voice:
        wanted = e.sample([good], nfe=2)
        with crowd.held(e, good) as queue:
            laters = [queue(lambda: e.sample([good], nfe=2))]
            for call, words in [(lambda: e.sample([dict(good, tokens=[m.vocab_size])], nfe=2), "vocabulary"),
                                (lambda: e.sample([good, nan], nfe=2), "request 1: cond is not finite"),
                                (lambda: e.sample([good], nfe=2, cfg=-1.0), "cfg is -1"),
                                (lambda: e.sample(5 * [good], nfe=2), "max_batch"),
                                (lambda: e.vocode(np.full((3, 100), np.inf, np.float32)), "not finite"),
                                (lambda: e.mel(np.zeros(100, np.float32)), "too few"),
                                (lambda: e.speak(voice, "\n"), "empty")]:
                assert words in crowd.refused("F5_E_ARGUMENT", call)
            assert "max_frames" in crowd.refused("F5_E_LIMIT", lambda: e.sample([dict(good, frames=300, noise=None)], nfe=2))
            laters.append(queue(lambda: e.sample([good], nfe=2)))
        assert all(same(later.result(), wanted) for later in laters)


def test_a_lone_request_waits_for_nothing(zoo, rng):
    m = zoo["tiny"]
    with f5lib.Engine(m.path, max_frames=512, max_batch=8) as e, e.voice(recording(rng), TRANSCRIPT) as voice:
        stats = [e.speak(voice, "No.", sample=dict(nfe=1), seed=i)[1] for i in range(11)]
        assert e.info()["shared_batches"] == 0
    assert all(s["batch_sequences"] == 1 for s in stats)
    # ms between asking and beginning, where nobody is before it: the shortest, for a busy machine interrupts some
    assert min(s["wait_ms"] for s in stats) < 0.1


def test_speech_waits_for_room_only(zoo, rng):
    """Results lie in the engine until their callbacks have returned. While two slow listeners fill that memory others
    speak when it is free again, and samplings, which need none, go on meanwhile."""
    m, samples = zoo["tiny"], recording(rng)
    request = stage.make_request(rng, m, 20, 5, 6)
    with f5lib.Engine(m.path, max_frames=192, max_batch=4) as e, e.voice(samples, TRANSCRIPT) as voice:
        speak = dict(sample=dict(nfe=1), fix_duration=1.75, speed=1.0)  # 164 frames: two fit into twice 192
        wanted = [e.speak(voice, TEXTS[0], seed=i, **speak)[0][0][0] for i in range(6)]
        listening, enough = threading.Semaphore(0), threading.Event()

        def slowly(i):
            def pause(_, __):
                listening.release()
                enough.wait(60)

            return lambda: e.speak(voice, TEXTS[0], seed=i, heard=pause, **speak)[0][0][0]

        slow = [crowd.Later(slowly(i)) for i in range(2)]
        assert listening.acquire(timeout=60) and listening.acquire(timeout=60)
        e.sample([request], nfe=1)
        others = [crowd.Later(lambda i=i: e.speak(voice, TEXTS[0], seed=i, **speak)[0][0][0]) for i in range(2, 6)]
        crowd.wait_until(lambda: e.info()["waiting"] == 4, "four that wait")
        time.sleep(0.05)
        assert e.info()["waiting"] == 4
        enough.set()
        for i, later in enumerate(slow + others):
            assert cbind.same_bits(later.result(), wanted[i])


def test_a_trace_is_of_one_call(zoo, rng):
    """An engine with a trace packs nothing: the rows it shows are those of the call on whose thread it runs."""
    m, seen = zoo["tiny"], []

    def trace(op, label, array, _):
        if label == "noise.x":
            seen.append((len(array), threading.get_ident()))

    def ask(e, n):
        return lambda: (e.sample([stage.make_request(rng, m, n, 5, 6, noise=False)], nfe=1), threading.get_ident())[1]

    with f5lib.Engine(m.path, max_frames=256, trace=trace, batch_frames=256) as e:
        assert e.info()["batch_frames"] == 1
        with crowd.held(e, stage.make_request(rng, m, 10, 5, 6)) as queue:
            laters = [queue(ask(e, n)) for n in (20, 30)]
        threads = [later.result() for later in laters]
    assert seen[1:] == [(40, threads[0]), (60, threads[1])]


def test_speech_that_waits_for_another_is_cancelled(zoo, rng):
    """max_speaking are under way: one more waits, also to show a text, is asked whether it is still wanted, and leaves. A
    callback that calls the engine is refused there too."""
    m, free, asked = zoo["tiny"], threading.Event(), []
    with f5lib.Engine(m.path, max_frames=512, max_speaking=1) as e, e.voice(recording(rng), TRANSCRIPT) as voice:
        spoken, heard = e.speak(voice, "No.", sample=dict(nfe=1)), threading.Event()

        def hear(*_):
            heard.set()
            free.wait(600)

        def waits():
            asked.append(crowd.refused("F5_E_ARGUMENT", lambda: e.speak(voice, "Yes.")))
            return 1

        holder = crowd.Later(lambda: e.speak(voice, "No.", sample=dict(nfe=1), heard=hear))
        try:
            assert heard.wait(60)
            patient = crowd.Later(lambda: e.speak(voice, "No.", sample=dict(nfe=1)))
            crowd.wait_until(lambda: e.info()["waiting"] == 1, "a waiting call")
            for call in (e.speak, e.show_text):
                message = crowd.refused("F5_E_CANCELLED", lambda call=call: call(voice, "Yes.", sample=dict(nfe=1, waits=waits)))
                assert message == "cancelled while it waited" and e.info()["waiting"] == 1
        finally:
            free.set()
        for later in (holder, patient):
            assert same(later.result()[0][0], spoken[0][0])
        assert len(asked) == 2 and all("a callback calls the engine" in one for one in asked)
