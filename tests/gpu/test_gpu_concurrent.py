"""Many threads at one engine on the GPU: whoever shares a batch with whom, every result has the bits it has alone."""
import ctypes
import statistics
import subprocess
import threading
import time

import numpy as np
import pytest

import cbind
import crowd
import f5lib
from synth import BASE, request_of

TRANSCRIPT, TEXT = "What was said before.", "And now this is said."


def recording(rng, seconds=1.5):
    return (0.2 * rng.standard_normal(int(24000 * seconds))).astype(np.float32)


def same(a, b):
    return all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


def calls(engine, voice, requests):
    """The same calls on any engine: samplings of three settings, speech, and the vocoder on what comes first."""
    settings = [dict(nfe=5), dict(nfe=7), dict(nfe=5, cfg=0.0)]
    mel = np.random.default_rng(5).standard_normal((90, 100)).astype(np.float32)
    for i, request in enumerate(requests):
        if i % 5 == 3:
            solver = dict(nfe=5 + 2 * (i % 2))
            yield lambda i=i, solver=solver: [x for piece in engine.speak(voice, TEXT, sample=solver, seed=i)[0]
                                              for x in piece]
        elif i % 5 == 4:
            yield lambda i=i: engine.vocode_batch([mel[:30 + i], mel])
        else:
            yield lambda request=request, s=settings[i % 3]: engine.sample([request], **s)


@pytest.mark.parametrize("precision", ["fp16", "fp32", "bf16"])
def test_sixteen_threads(weights, rng, precision):
    requests = [request_of(rng, int(n), int(n) // 4, weights.vocab_size) for n in rng.integers(20, 400, 48)]
    limits, samples = dict(max_frames=2048, max_batch=16), recording(rng)
    with f5lib.Engine(weights.paths[BASE], "cuda", precision, batch_frames=1, **limits) as e, \
            e.voice(samples, TRANSCRIPT) as voice:
        alone = [call() for call in calls(e, voice, requests)]
        assert e.info()["shared_batches"] == 0
    with f5lib.Engine(weights.paths[BASE], "cuda", precision, batch_frames=2048, **limits) as e, \
            e.voice(samples, TRANSCRIPT) as voice:
        work = list(calls(e, voice, requests))
        got = crowd.together(*[lambda t=t: [call() for call in work[t::16]] for t in range(16)])
        info = e.info()
    for i, wanted in enumerate(alone):
        assert same(got[i % 16][i // 16], wanted), f"call {i} depends on its company"
    print(f"\n{info['calls']} calls in {info['batches']} batches, {info['shared_batches']} shared")
    assert info["calls"] == len(requests) + 1 and info["shared_batches"] > 0 and info["waiting"] == 0


def test_waiting_calls_go_together(demo, rng):
    """Behind a busy engine: five of one setting and one of another make two batches, whatever their order."""
    path, vocab_size = demo
    requests = [request_of(rng, 40 + 9 * i, 12, vocab_size) for i in range(6)]
    with f5lib.Engine(path, "cuda", "fp16", max_frames=1024, max_batch=8) as e:
        wanted = [e.sample([r], nfe=5 + (i == 2)) for i, r in enumerate(requests)]
        before = e.info()
        with crowd.held(e, requests[0]) as queue:
            laters = [queue(lambda i=i, r=r: e.sample([r], nfe=5 + (i == 2))) for i, r in enumerate(requests)]
        got = [later.result() for later in laters]
        after = e.info()
    assert all(same(g, w) for g, w in zip(got, wanted))
    assert after["batches"] - before["batches"] == 3 and after["shared_batches"] - before["shared_batches"] == 1


def test_cancelling_one(demo, rng):
    """The callback of each hears once that all is done, on its own thread; one refusal is one call's."""
    path, vocab_size = demo
    request, heard = request_of(rng, 60, 20, vocab_size), {}

    def ask(e, i):
        def progress(step, steps):
            heard.setdefault(i, []).append((step, steps, threading.get_ident()))
            return i == 1

        return lambda: (threading.get_ident(), e.sample([request], nfe=5, progress=progress))

    with f5lib.Engine(path, "cuda", "fp16", max_frames=512, max_batch=4) as e:
        wanted = e.sample([request], nfe=5)
        with crowd.held(e, request) as queue:
            laters = [queue(ask(e, i)) for i in range(3)]
        assert "progress callback" in crowd.refused("F5_E_CANCELLED", laters[1].result)
        for i in (0, 2):
            thread, got = laters[i].result()
            assert same(got, wanted) and heard[i] == [(5, 5, thread)]
        assert len(heard[1]) == 1 and e.info()["shared_batches"] == 1


def test_a_lone_request_waits_for_nothing(demo, rng):
    path, _ = demo
    with f5lib.Engine(path, "cuda", "fp16", max_frames=1024, max_batch=8) as e, \
            e.voice(recording(rng), TRANSCRIPT) as voice:
        waits = [e.speak(voice, TEXT, sample=dict(nfe=5), seed=i)[1]["wait_ms"] for i in range(20)]
        assert e.info()["shared_batches"] == 0
    print(f"\nwaits of a lone request: median {1e3 * statistics.median(waits):.1f} µs, longest {1e3 * max(waits):.1f}")
    assert statistics.median(waits) < 0.1


def test_nothing_is_captured_twice(demo, rng):
    """Batches of the same rows are one graph, however many calls they are made of."""
    path, vocab_size = demo
    with f5lib.Engine(path, "cuda", "fp16", max_frames=1024, max_batch=8) as e:
        requests = [request_of(rng, 64, 20, vocab_size) for _ in range(4)]
        e.sample(requests, nfe=5)
        e.sample(requests[:1], nfe=1)
        graphs = e.info()["graphs"]
        with crowd.held(e, requests[0]) as queue:
            laters = [queue(lambda r=r: e.sample([r], nfe=5)) for r in requests]
        for later in laters:
            later.result()
        assert e.info()["graphs"] == graphs and e.info()["shared_batches"] == 1


def test_no_code_for_this_gpu(tmp_path, gpu):
    """A build for another architecture says so when it is opened, and names what to do."""
    other = "sm_120" if gpu.context.arch.sm != 120 else "sm_80"  # their machine code runs nowhere else
    library = tmp_path / "other.so"
    kernels = cbind.ROOT / "kernels"
    subprocess.run(["nvcc", "-std=c++17", f"-gencode=arch={other.replace('sm', 'compute')},code={other}", "-shared",
                    "-Xcompiler=-fPIC", "-I", cbind.ROOT, "-x", "cu", kernels / "cuda/context.cu", kernels / "cuda/blas.cu",
                    kernels / "cuda/arch.c", kernels / "error.c",
                    "-o", library, "-lcublasLt"], check=True, capture_output=True, timeout=300)
    opened, error = ctypes.create_string_buffer(1 << 16), f5lib.header().struct("f5_error")()
    status = ctypes.CDLL(str(library)).cuda_context_open(opened, 0, ctypes.c_size_t(1 << 20), ctypes.byref(error))
    message = error.message.decode()
    print(f"\n{message}")
    assert status == f5lib.header().constants["F5_E_DEVICE"]
    assert "F5_CUDA_ARCHITECTURES" in message and "--device cpu" in message


def test_threads_gain(demo, rng):
    """Eight threads get more done on one engine that packs than on one that does not: small requests leave a GPU idle."""
    path, vocab_size = demo
    requests, times = [request_of(rng, 64, 20, vocab_size) for _ in range(8)], {}
    for batch_frames in (1, 1024):
        with f5lib.Engine(path, "cuda", "fp16", max_frames=1024, max_batch=8, batch_frames=batch_frames) as e:
            for n in range(1, 9):
                e.sample(requests[:n], nfe=16)  # every graph
            start = time.perf_counter()
            crowd.together(*[lambda r=r: [e.sample([r], nfe=16) for _ in range(20)] for r in requests])
            times[batch_frames] = time.perf_counter() - start
    print(f"\n160 requests by 8 threads: {1e3 * times[1]:.0f} ms one by one, {1e3 * times[1024]:.0f} ms packed")
    assert times[1024] < times[1]
