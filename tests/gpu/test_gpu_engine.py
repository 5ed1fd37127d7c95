"""The laws of the engine on the GPU: graphs are eager launches, company changes nothing, the same seed gives the same
bits, nothing reads what nothing wrote, nothing is allocated once it is open, and failures say what they are."""
import gc
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import f5lib
from synth import BASE, COND_FRAMES, error, request_of


def with_engine(path, requests, precision="fp16", nfe=5, batches=None, **limits):
    with f5lib.Engine(path, "cuda", precision, **limits) as e:
        return [m for batch in (batches or [requests]) for m in e.sample(batch, nfe=nfe)]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8"])
@pytest.mark.parametrize("portable", [0, 1])
def test_graphs_are_eager_launches(weights, rng, precision, portable):
    """The same call three times: run and captured, replayed, replayed; and launch by launch."""
    requests = [request_of(rng, n, n // 3, weights.vocab_size) for n in (211, 64)]
    limits = dict(max_frames=512, max_batch=2, portable=portable)
    eager = with_engine(weights.paths[BASE], requests, precision, eager=1, **limits)
    graphs = with_engine(weights.paths[BASE], requests, precision, batches=[requests] * 3, **limits)
    for i, mel in enumerate(graphs):
        assert mel.tobytes() == eager[i % 2].tobytes(), f"call {i // 2}, request {i % 2}"


def test_a_machine_without_the_gpu_plans_the_same(weights):
    """Op by op; and f5_engine_info names the path that the plan has."""
    limits, size = dict(max_frames=512, max_batch=2), dict(frames=448, sequences=2)
    for portable in (1, 0):
        with f5lib.Engine(weights.paths[BASE], "cuda", "fp16", portable=portable, **limits) as e:
            own, info = e.plan_ops(**size), e.info()
        paths = {c["path"] for c in own} & {"sm80", "sm90"}
        assert info["path"] in paths and not (portable and "sm90" in paths), (info["path"], paths)
    card = next((c for c in ("a100", "h100", "h200", "b200") if c in info["device"].lower()), None)
    if not card or "MIG" in info["device"]:
        pytest.skip(f"the table of cards has no {info['device']}")
    with f5lib.Engine(weights.paths[BASE], "cpu", **limits) as e:
        assert e.plan_ops(card=card, **size) == own


@pytest.mark.parametrize("precision", ["fp16", "fp32", "bf16", "int8"])
def test_company_changes_nothing(weights, rng, precision):
    """A request alone and in batches of 2, 7 and 32 of mixed lengths, so in buckets of several sizes."""
    requests = [request_of(rng, int(n), int(n) // 4, weights.vocab_size) for n in rng.integers(20, 300, 32)]
    limits = dict(max_frames=sum(r["frames"] for r in requests) + 64, max_batch=32)
    alone = with_engine(weights.paths[BASE], None, precision, batches=[[r] for r in requests[:7]], **limits)
    for size in (2, 7, 32):
        together = with_engine(weights.paths[BASE], requests[:size], precision, **limits)
        for i in range(min(size, 7)):
            assert together[i].tobytes() == alone[i].tobytes(), f"request {i} depends on a batch of {size}"


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_same_seed_hundred_times(weights, rng, precision):
    request = request_of(rng, 300, 100, weights.vocab_size)
    del request["noise"]
    with f5lib.Engine(weights.paths[BASE], "cuda", precision, max_frames=320, max_batch=1) as e:
        first, = e.sample([dict(request, seed=7)], nfe=7)
        for _ in range(99):
            again, = e.sample([dict(request, seed=7)], nfe=7)
            assert again.tobytes() == first.tobytes()
        other, = e.sample([dict(request, seed=8)], nfe=7)
        assert other.tobytes() != first.tobytes()


def test_settings_do_not_stick(demo, rng):
    """One engine through changing settings, each met twice with requests of its own: the second time a graph is replayed
    whose modulations another grid has overwritten meanwhile. Fresh engines, launch by launch, give the same bits."""
    path, vocab_size = demo
    changes = [{}, dict(sway=0.5), dict(sway=None), dict(epss=False), dict(midpoint=True), dict(cfg=0.0), dict(cfg=3.0),
               dict(nfe=6), dict(method=2), dict(nfe=6, method=2), dict(nfe=6, method=2, grid=2), dict(method=2, grid=1),
               dict(method=2, cfg=0.0)]
    settings = [{**dict(nfe=5), **change} for change in changes]
    # both of a setting fall into the bucket of 128 rows, so the second one meets the first one's graph
    cases = [(request_of(rng, int(rng.integers(70, 128)), 30, vocab_size), s) for s in settings + settings[::-1]]
    limits = dict(max_frames=128, max_batch=2)
    with f5lib.Engine(path, "cuda", "fp16", **limits) as e:
        mels = [e.sample([request], **s)[0] for request, s in cases]
        assert e.info()["graphs"] == len(changes)
    for (request, s), mel in zip(cases, mels):
        with f5lib.Engine(path, "cuda", "fp16", eager=1, **limits) as e:
            assert e.sample([request], **s)[0].tobytes() == mel.tobytes(), s


def test_any_thread_on_any_device(demo, rng):
    """CUDA's current device is a thread's own: engines on the first and the last GPU (or two on the only one), opened
    here, called from threads that never chose a device, capturing and replaying at the same time."""
    path, vocab_size = demo
    request, steps = request_of(rng, 100, 30, vocab_size), (5, 6, 7, 5, 6, 7)
    devices = [f"cuda:{i}" for i in (0, torch.cuda.device_count() - 1)]
    limits = dict(max_frames=128, max_batch=1)
    want = []
    for device in devices:
        with f5lib.Engine(path, device, "fp16", eager=1, **limits) as e:
            want.append([e.sample([request], nfe=n)[0].tobytes() for n in steps])
    engines = [f5lib.Engine(path, device, "fp16", **limits) for device in devices]
    with ThreadPoolExecutor(len(engines)) as pool:
        got = list(pool.map(lambda e: [e.sample([request], nfe=n)[0].tobytes() for n in steps], engines))
    for e in engines:
        e.close()
    print(f"\nengines on {' and '.join(devices)}")
    assert got == want


def test_progress_reports_the_end_and_cancels(demo, rng):
    """All steps are one launch, so the callback hears of the last one only; its refusal still stops what would follow
    (the next chunk of a long text), and leaves the engine as good as new."""
    path, vocab_size = demo
    request, seen = request_of(rng, 100, 30, vocab_size), []
    with f5lib.Engine(path, "cuda", "fp16", max_frames=128, max_batch=1) as e:
        want, = e.sample([request], nfe=5, progress=lambda step, steps: seen.append((step, steps)))
        assert seen == [(5, 5)]
        with pytest.raises(f5lib.Error) as failure:
            e.sample([request], nfe=5, progress=lambda step, steps: True)
        assert failure.value.status == "F5_E_CANCELLED"
        assert e.sample([request], nfe=5)[0].tobytes() == want.tobytes()


def test_noise_is_the_cpus(demo, rng):
    """The same seed on the CPU and on the GPU in fp32: the same speech, to rounding."""
    path, vocab_size = demo
    request = request_of(rng, 150, 50, vocab_size)
    del request["noise"]
    mels = []
    for device in ("cpu", "cuda"):
        with f5lib.Engine(path, device, "fp32", max_frames=192, max_batch=1) as e:
            mels += e.sample([dict(request, seed=11)], nfe=7)
    assert error(mels[1], mels[0], 50) <= 1e-4


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_nothing_is_allocated_after_open(weights, rng, precision):
    """50 requests: once each bucket has been seen (its graph is made then), device memory does not move at all."""
    gc.collect()
    torch.cuda.empty_cache()
    lengths = [int(n) for n in rng.integers(100, 900, 10)]
    requests = [request_of(rng, n, n // 3, weights.vocab_size) for n in lengths]
    with f5lib.Engine(weights.paths[BASE], "cuda", precision, max_frames=960, max_batch=1) as e:
        for r in requests:
            e.vocode(e.sample([r], nfe=5)[0])
        torch.cuda.synchronize()
        before = torch.cuda.mem_get_info()[0]
        for i in range(50):
            e.vocode(e.sample([requests[i % 10]], nfe=5)[0])
        assert torch.cuda.mem_get_info()[0] == before
        assert e.info()["graphs"] <= 10


def test_no_host_allocation_after_open(demo):
    """tests/c/count_allocations.c, after each bucket has been met once: neither the library nor CUDA's runtime in it."""
    program = f5lib.library_path().parent.parent / "bin" / "count_allocations"
    run = subprocess.run([program, demo[0], "1", "cuda"], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    counts = {tuple(line.split()[:2]): int(line.split()[2]) for line in run.stdout.splitlines()[1:]}
    print("\n" + run.stdout)
    assert sum(n for (phase, name), n in counts.items() if phase == "open" and name.startswith("libf5tts")) > 5
    assert not any(phase == "requests" and name.startswith("libf5tts") for phase, name in counts), counts


def test_memory_of_a_long_request(weights, rng):
    """v1_Base in fp16 opened for an L request: at most 1.2 GB beyond the CUDA context, and as announced."""
    torch.cuda.init()
    torch.zeros(1, device="cuda")
    gc.collect()
    torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info()[0]
    with f5lib.Engine(weights.paths[BASE], "cuda", "fp16", max_frames=2112, max_batch=1, max_evaluations=32) as e:
        request = request_of(rng, 2062, COND_FRAMES, weights.vocab_size)
        e.vocode(e.sample([request])[0][COND_FRAMES:])
        used, info = free - torch.cuda.mem_get_info()[0], e.info()
    print(f"\nL request: {used / 1e6:.0f} MB beyond the context; announced {info['device_bytes'] / 1e6:.0f} MB")
    assert used <= 1.2e9
    assert used <= info["device_bytes"] + 150e6, "graphs and library handles are all that may come on top"


@pytest.mark.parametrize("precision", ["fp16", "fp32", "int8"])
def test_poisoned_memory(weights, rng, precision):
    """Working memory full of NaN before every call changes no bit, so nothing reads what nothing wrote."""
    requests = [request_of(rng, n, n // 3, weights.vocab_size) for n in (150, 77)]
    limits = dict(max_frames=320, max_batch=4)
    clean = with_engine(weights.paths[BASE], requests, precision, **limits)
    with f5lib.Engine(weights.paths[BASE], "cuda", precision, poison=1, **limits) as e:
        for _ in range(2):  # captured, then replayed
            for mel, expected in zip(e.sample(requests, nfe=5), clean):
                assert mel.tobytes() == expected.tobytes()
        sound = e.vocode(clean[0])
        assert np.isfinite(sound).all() and np.abs(sound).max() > 0


def test_open_is_quick(weights):
    """v1_Base from an fp16 file in the page cache to ready for requests: at most 1.5 s."""
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        with f5lib.Engine(weights.fp16_path, "cuda", "fp16"):
            seconds.append(time.perf_counter() - start)
    print(f"\nopen of v1_Base fp16: {min(seconds):.3f} s, first {seconds[0]:.3f} s")
    assert min(seconds[1:]) <= 1.5


def test_warm_sizes_are_captured_at_open(demo, rng):
    path, vocab_size = demo
    sizes = np.array([100, 300], np.int32)
    with f5lib.Engine(path, "cuda", "fp16", max_frames=512, max_batch=2, warm_frames=sizes.ctypes.data, n_warm=2) as e:
        assert e.info()["graphs"] == 2
        for frames in (100, 128, 300):  # 128 falls into the bucket of 100
            e.sample([request_of(rng, frames, 30, vocab_size)])
        assert e.info()["graphs"] == 2
        e.sample([request_of(rng, 200, 30, vocab_size)])
        assert e.info()["graphs"] == 3


def test_no_room_at_open_then_room(demo):
    """Memory that others hold: the error names what was wanted, and once it is free again opening works."""
    path, _ = demo
    gc.collect()
    torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info()[0]
    hog = torch.empty(free - (600 << 20), dtype=torch.uint8, device="cuda")
    with pytest.raises(f5lib.Error, match=r"needs .* MB .* free|no room"):
        f5lib.Engine(path, "cuda", "fp16", max_frames=65536, max_batch=8)
    del hog
    torch.cuda.empty_cache()
    with f5lib.Engine(path, "cuda", "fp16", max_frames=512):
        pass


def test_too_long_a_request_fails_alone(demo, rng):
    path, vocab_size = demo
    with f5lib.Engine(path, "cuda", "fp16", max_frames=256, max_batch=1) as e:
        with pytest.raises(f5lib.Error, match="max_frames"):
            e.sample([request_of(rng, 300, 30, vocab_size)])
        e.sample([request_of(rng, 200, 30, vocab_size)], nfe=5)


def test_missing_device(demo):
    with pytest.raises(f5lib.Error, match="cuda:99"):
        f5lib.Engine(demo[0], "cuda:99")


def test_lost_device_is_remembered(demo):
    """A kernel of somebody else's kills the context: the call that meets it fails, and so does every later one."""
    script = textwrap.dedent(f"""
        import sys
        sys.path[:0] = {[str(Path(f5lib.__file__).parent), str(Path(__file__).parent)]!r}
        import numpy as np, torch, f5lib
        from synth import request_of
        with f5lib.Engine({demo[0]!r}, "cuda", "fp16", max_frames=256, max_batch=1) as e:
            request = request_of(np.random.default_rng(1), 100, 30, {demo[1]})
            e.sample([request], nfe=5)
            torch.zeros(4, device="cuda")[torch.tensor([10 ** 9], device="cuda")]  # device-side assertion
            messages = []
            for _ in range(2):
                try:
                    e.sample([request], nfe=5)
                except f5lib.Error as failure:
                    messages.append(str(failure))
            assert len(messages) == 2 and "earlier" in messages[1], messages
            print("remembered")
    """)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert "remembered" in run.stdout, run.stdout + run.stderr[-2000:]
