"""The same request gives the same bits: again, in any company, on any engine, from any thread."""
import threading

import numpy as np
import pytest

import cbind
import f5lib
import stage


@pytest.mark.parametrize("name", ["v1", "v0", "tiny e2", "tiny mmdit", "mmdit normed"])
def test_alone_and_in_company(zoo, rng, name):
    """Bit-identical whatever the batch, and whichever place in it."""
    m = zoo[name]
    a = stage.make_request(rng, m, 43, 15, 12)
    b = stage.make_request(rng, m, 7, 3, 2)
    c = stage.make_request(rng, m, 66, 30, 41, noise=False, seed=5)
    with f5lib.Engine(m.path, max_frames=256) as e:
        for settings, batches in ((dict(nfe=4), ([a, b], [b, a], [c, a, b], [b, b, c, a], [a, a])),
                                  (dict(nfe=3, method=2), ([b, c, a],))):
            alone = {id(r): e.sample([r], **settings)[0] for r in (a, b, c)}
            for batch in batches:
                for request, mel in zip(batch, e.sample(batch, **settings)):
                    assert cbind.same_bits(mel, alone[id(request)]), \
                        f"{request['frames']} frames among {[r['frames'] for r in batch]}"


def test_same_seed_ten_times(zoo, rng):
    m = zoo["tiny"]
    request = stage.make_request(rng, m, 50, 20, 20, noise=False, seed=int(rng.integers(1 << 63)))
    with f5lib.Engine(m.path, max_frames=256) as e:
        first, = e.sample([request], nfe=7)
        for _ in range(9):
            assert cbind.same_bits(first, e.sample([request], nfe=7)[0])
        other, = e.sample([dict(request, seed=request["seed"] ^ 1)], nfe=7)
    generated = ~stage.kept(request)
    assert np.isfinite(first).all()
    assert np.abs(first[generated] - other[generated]).max() > 1e-3, "another seed must give another result"


def test_settings_do_not_stick(zoo, rng):
    """One engine through changing settings and lengths gives what a fresh engine gives: nothing kept from a call
    (time grid, modulations, staging) reaches one that it does not fit."""
    m = zoo["tiny"]
    usual = dict(nfe=5, cfg=2.0, sway=-1.0, epss=True, midpoint=False)
    changes = [{}, dict(sway=0.5), {}, dict(sway=None), dict(sway=0.0), dict(epss=False), dict(midpoint=True),
               dict(method=2), dict(cfg=0.0), dict(method=2, grid=1), dict(method=2, grid=2), dict(nfe=6),
               dict(nfe=6, method=2), dict(cfg=3.0), dict(nfe=6, method=2, grid=2), {}]
    requests = [stage.make_request(rng, m, int(n), 5, 6) for n in rng.integers(9, 60, len(changes))]
    results = []
    with f5lib.Engine(m.path, max_frames=64) as e:
        for request, change in zip(requests, changes):
            results.append(e.sample([request], **{**usual, **change})[0])
    for request, change, mel in zip(requests, changes, results):
        with f5lib.Engine(m.path, max_frames=64) as e:
            assert cbind.same_bits(mel, e.sample([request], **{**usual, **change})[0]), change


def test_seed_is_the_noise_it_draws(zoo, rng):
    """The traced noise, handed in as noise, gives the bits that the seed gives; the noise is standard normal."""
    m = zoo["tiny"]
    request = stage.make_request(rng, m, 200, 20, 20, noise=False, seed=int(rng.integers(1 << 63)))
    trace = stage.Trace("noise.x")
    with f5lib.Engine(m.path, max_frames=256, trace=trace) as e:
        drawn, = e.sample([request], nfe=3)
        noise = trace.last("noise.x")[:200]
        given, = e.sample([dict(request, noise=noise)], nfe=3)
    assert cbind.same_bits(drawn, given)
    # 20,000 numbers: the mean is within 5 standard errors of 0, the variance of 1
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size) and abs(noise.var() - 1) < 5 * np.sqrt(2 / noise.size)


def test_twenty_requests_on_three_engines(zoo, rng):
    """Engines are independent: each from a thread of its own, with different settings, all at once."""
    requests, settings = {}, {"tiny": dict(nfe=5), "tiny e2": dict(nfe=6, cfg=0.0), "small v1": dict(nfe=3)}
    for name in settings:
        for _ in range(7 if name != "small v1" else 6):
            frames = int(rng.integers(12, 50))
            requests.setdefault(name, []).append(
                stage.make_request(rng, zoo[name], frames, int(rng.integers(1, frames)), int(rng.integers(1, frames))))
    want, got, failures = {}, {}, []
    for name, own in requests.items():
        with f5lib.Engine(zoo[name].path, max_frames=64) as e:
            want[name] = [e.sample([r], **settings[name])[0] for r in own]

    engines = {name: f5lib.Engine(zoo[name].path, max_frames=64) for name in requests}

    def work(name):
        try:
            got[name] = [engines[name].sample([r], **settings[name])[0] for r in requests[name]]
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(name,)) for name in requests]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for e in engines.values():
        e.close()
    assert not failures, failures
    for name in requests:
        for a, b in zip(want[name], got[name]):
            assert cbind.same_bits(a, b), name


def test_one_engine_from_four_threads(zoo, rng):
    """Calls on one engine take turns; test_stage_concurrent.py has more of them."""
    m = zoo["tiny"]
    requests = [stage.make_request(rng, m, 20 + 7 * i, 10, 10) for i in range(4)]
    got = [None] * 4
    with f5lib.Engine(m.path, max_frames=64) as e:
        want = [e.sample([r], nfe=4)[0] for r in requests]

        def work(i):
            got[i] = e.sample([requests[i]], nfe=4)[0]

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    for a, b in zip(want, got):
        assert b is not None and cbind.same_bits(a, b)


def test_progress_reports_and_cancels(zoo, rng):
    """Every step is reported; a cancelled call says so and leaves the engine as good as new."""
    m = zoo["tiny"]
    request = stage.make_request(rng, m, 30, 10, 10)
    with f5lib.Engine(m.path, max_frames=64) as e:
        want, = e.sample([request], nfe=4)
        seen = []
        e.sample([request], nfe=4, progress=lambda step, steps: seen.append((step, steps)))
        assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
        with pytest.raises(f5lib.Error) as failure:
            e.sample([request], nfe=4, progress=lambda step, steps: step == 2)
        assert failure.value.status == "F5_E_CANCELLED" and failure.value.message
        assert cbind.same_bits(want, e.sample([request], nfe=4)[0])


def test_a_callback_cannot_call_its_own_engine(zoo, rng):
    """It would wait for itself: refused, and the sampling goes on. Another engine may be called, and what takes no
    turn."""
    m = zoo["tiny"]
    request = stage.make_request(rng, m, 12, 4, 3)
    refused = []
    with f5lib.Engine(m.path, max_frames=64) as e, f5lib.Engine(m.path, max_frames=64) as other:
        alone, = e.sample([request], nfe=2)

        def progress(step, steps):
            assert e.info()["calls"] >= 1 and e.plan(10)["op_calls"] > 0 and len(e.tokenize("Hello.")) > 0
            for ask in (lambda: e.mel(np.zeros(600, np.float32)), lambda: e.vocode(alone),
                        lambda: e.sample([request], nfe=2)):
                with pytest.raises(f5lib.Error, match="a callback calls the engine it comes from") as failure:
                    ask()
                refused.append(failure.value.status)
            assert cbind.same_bits(other.sample([request], nfe=2)[0], alone)

        again, = e.sample([request], nfe=2, progress=progress)
    assert refused == 6 * ["F5_E_ARGUMENT"] and cbind.same_bits(again, alone)


def test_a_resampler_may_call_its_engine(zoo, rng):
    """It runs before the voice's turn: nothing waits for it."""
    heard = rng.standard_normal(8000).astype(np.float32) * 0.2
    with f5lib.Engine(zoo["tiny"].path, max_frames=128) as e:
        mel = e.mel(heard)

        def resample(_, samples, n, rate_in, rate_out, out, capacity):
            assert cbind.same_bits(e.mel(heard), mel)
            made = round(n * rate_out / rate_in)
            for i in range(made):
                out[i] = samples[i * n // made]
            return made

        with e.voice(heard, "What was said.", sample_rate=16000, resample=resample):
            assert e.info()["calls"] == 3
