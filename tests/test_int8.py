"""Precision int8 on the CPU: near fp32, the laws of the engine, memory, what is refused. Small random models."""
import numpy as np
import pytest

import f5file
import f5lib


def requests_of(rng, vocab_size, lengths):
    return [dict(cond=(rng.standard_normal((n // 3, 100)) * 2 - 4).astype(np.float32), frames=n,
                 tokens=rng.integers(0, vocab_size, n // 8).astype(np.int32),
                 noise=rng.standard_normal((n, 100)).astype(np.float32)) for n in lengths]


@pytest.fixture(scope="module", params=["fp32", "fp16", "UNetT"])
def model(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("int8") / "model.f5"
    settings = dict(backbone="UNetT") if request.param == "UNetT" else dict(dtype=request.param)
    made = f5file.write_model(path, "tiny", seed=3, **settings)
    return path, len(made["vocab"])


def sampled(model, requests, precision="int8", together=False, device="cpu", **limits):
    with f5lib.Engine(model[0], device, precision, max_frames=512, max_batch=4, **limits) as e:
        assert e.info()["precision"] == precision
        return e.sample(requests, nfe=4) if together else [e.sample([r], nfe=4)[0] for r in requests]


def test_is_near_fp32(model, rng):
    """Rounding to 7 bits of the row's largest at every product of the two blocks: some 1e-2, and never nothing."""
    requests = requests_of(rng, model[1], [97, 60])
    for r, ours, exact in zip(requests, sampled(model, requests), sampled(model, requests, "fp32")):
        n = len(r["cond"])
        error = np.linalg.norm(ours[n:] - exact[n:]) / np.linalg.norm(exact[n:])
        assert 1e-5 < error < 2e-2
        assert ours[:n].tobytes() == r["cond"].tobytes()


def test_alone_is_packed_on_any_number_of_threads(model, rng):
    requests = requests_of(rng, model[1], [97, 31, 60])
    alone = sampled(model, requests, threads=1)
    for threads in (1, 3):
        for a, b in zip(alone, sampled(model, requests, together=True, threads=threads, poison=1)):
            assert a.tobytes() == b.tobytes()


def test_memory_of_weights(model):
    sizes = {}
    for precision in ("fp32", "int8"):
        with f5lib.Engine(model[0], "cpu", precision, max_frames=64, max_batch=1) as e:
            sizes[precision] = e.info()["weight_bytes"]
    blocks = 2 * (3 * 64 * 64 + 64 * 64 + 2 * 128 * 64)  # numbers
    scales = 2 * (3 * 64 + 64 + 128 + 64)
    assert sizes["fp32"] - sizes["int8"] == 3 * blocks - 4 * scales

