"""A trace on the GPU: every op call with its live rows, as a trace on the CPU has them."""
import numpy as np
import pytest

import f5file
import f5lib

SMALL = dict(dim=256, heads=4, depth=2, text_dim=128, conv_layers=2, qk_norm=True, long_skip=True, vocos_dim=128,
             vocos_ff_dim=256, vocos_layers=2)
BARS = {"fp32": 1e-4, "fp16": 2e-2, "bf16": 1e-1}  # of any output of the chain: errors of all ops before it are in it


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("trace") / "model.f5"
    return path, len(f5file.write_model(path, "demo", seed=3, **SMALL)["vocab"])


def traced(path, device, precision, requests):
    calls = []

    def keep(op, label, array, milliseconds):
        assert milliseconds >= 0
        calls.append((op, label, np.array(array)))

    with f5lib.Engine(path, device, precision, max_frames=256, max_batch=2, trace=keep) as e:
        mels = e.sample(requests, nfe=2)
        e.vocode_batch(mels)
        assert e.info()["graphs"] == 0
    return calls, mels


@pytest.mark.parametrize("precision", BARS)
def test_a_trace_is_the_cpus(gpu, rng, model, precision):
    path, vocab_size = model
    requests = [dict(cond=(2 * rng.standard_normal((n // 3, 100)) - 3).astype(np.float32), frames=n, seed=n,
                     tokens=rng.integers(0, vocab_size, 20).astype(np.int32)) for n in (97, 61)]
    want, _ = traced(path, "cpu", "fp32", requests)
    got, mels = traced(path, "cuda", precision, requests)
    assert [call[:2] for call in got] == [call[:2] for call in want] and len(got) > 40
    for (op, label, a), (_, _, b) in zip(got, want):
        # norm and cast know no pack: on a GPU they go over the bucket's rows, the tail included
        assert a.shape == b.shape or (op in ("norm", "cast") and a.size > b.size), (label, a.shape, b.shape)
        a, b = a.reshape(-1)[:b.size], b.reshape(-1)
        error = np.linalg.norm(a.astype(np.float64) - b) / np.linalg.norm(b.astype(np.float64))
        assert error <= BARS[precision], f"{label}: relative L2 {error:.2g}"
    with f5lib.Engine(path, "cuda", precision, max_frames=256, max_batch=2) as e:
        for a, b in zip(e.sample(requests, nfe=2), mels):
            assert np.array_equal(a, b), "a traced run gives other bits than a graph"
