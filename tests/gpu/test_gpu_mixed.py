"""Products of 8 and of 16 bits in one model on the GPU: a file calibrated there is near fp32, and the laws hold."""
import statistics

import numpy as np
import pytest

import f5lib
import mixed_file
from synth import BASE, error, request_of
from test_gpu_engine import with_engine

BLOCK_PRODUCTS = tuple(f".{p}.weight" for p in ("qkv", "out", "ff1", "ff2"))


@pytest.fixture(scope="module")
def mixed(weights, tmp_path_factory):
    """v1_Base of random weights, calibrated on the GPU; the half of the products that loses more stays in 16 bits. And what
    calibration said."""
    path, rng = tmp_path_factory.mktemp("mixed") / "mixed.f5", np.random.default_rng(1)
    with f5lib.Calibration(weights.paths[BASE]) as c:
        with f5lib.Engine(weights.paths[BASE], "cuda", "fp32", trace=c, max_frames=512, max_batch=1) as e:
            e.sample([request_of(rng, 300, 100, weights.vocab_size)], nfe=3)
        told = c.write(path, most_error=1.0)
        told = c.write(path, most_error=statistics.median(p["calibrated_error"] for p in told.values()))
    return str(path), told


def test_is_near_fp32_and_nearer_than_8_bits(weights, mixed, rng):
    path, told = mixed
    wide = sum(p["wide"] for p in told.values())
    print(f"\n{wide} of {len(told)} products in 16 bits, {sum(p['scaled'] for p in told.values())} scaled; errors "
          + ", ".join(f"{k} {statistics.median(p['error'] for n, p in told.items() if n.endswith(k)):.4f}" for k in ("qkv", "out", "ff1", "ff2")))
    assert len(told) == 88 and 30 < wide < 60
    request = request_of(rng, 400, 130, weights.vocab_size)
    exact, = with_engine(weights.paths[BASE], [request], "fp32", nfe=16, max_frames=512, max_batch=1)
    eight, = with_engine(weights.paths[BASE], [request], "int8", nfe=16, max_frames=512, max_batch=1)
    mels = {p: with_engine(path, [request], None, nfe=16, max_frames=512, max_batch=1, portable=p)[0] for p in (0, 1)}
    found = {p: error(m, exact, 130) for p, m in mels.items()}
    print(f"mixed {found}, int8 {error(eight, exact, 130)}, sm90 against sm80 {error(mels[0], mels[1], 130)}")
    assert all(1e-5 < e < 2e-2 for e in found.values())


@pytest.mark.parametrize("portable", [0, 1])
def test_graphs_company_and_poison(weights, mixed, rng, portable):
    """Alone, packed, eagerly, replayed and in memory full of NaN: the same bits."""
    path = mixed[0]
    requests = [request_of(rng, n, n // 3, weights.vocab_size) for n in (211, 64, 130)]
    limits = dict(max_frames=512, max_batch=3, portable=portable)
    alone = with_engine(path, None, None, batches=[[r] for r in requests], **limits)
    eager = with_engine(path, requests, None, eager=1, **limits)
    graphs = with_engine(path, None, None, batches=[requests] * 3, poison=1, **limits)
    for i, mel in enumerate(graphs):
        assert mel.tobytes() == eager[i % 3].tobytes() == alone[i % 3].tobytes(), f"call {i // 3}, request {i % 3}"


def test_plan_and_memory(weights, mixed):
    """The ops of a plan are of each product's kind, on this GPU as on a machine without; weights take what the file says."""
    path, told = mixed
    held = {}
    for precision in ("fp16", "int8"):
        with f5lib.Engine(path, "cuda", precision, max_frames=512, max_batch=1) as e:
            held[precision], own, info = e.info()["weight_bytes"], e.plan_ops(frames=448), e.info()
            assert info["precision"] == precision
    kinds = {c["label"]: c["op"] for c in own}
    for name, p in told.items():
        assert kinds[name] == ("linear" if p["wide"] else "linear_int8"), name
    header, _ = mixed_file.read(path)
    narrow = [t["shape"] for n, t in header.items() if n != "__metadata__" and t["dtype"] == "I8"]
    saved = sum(rows * columns - 4 * rows for rows, columns in narrow)
    assert abs(held["fp16"] - held["int8"] - saved) < 1024 * len(narrow), "places are rounded up"
    with f5lib.Engine(path, "cpu", max_frames=512, max_batch=1) as e:
        assert [c["op"] for c in e.plan_ops(frames=448, card="h200", precision="int8")] == [c["op"] for c in own]
