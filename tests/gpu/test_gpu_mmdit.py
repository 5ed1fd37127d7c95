"""MMDiT on the GPU: whole samplings against the fp32 PyTorch reference, and the laws of the engine for a backbone with
two streams. Bars as in test_gpu_synth.py."""
import numpy as np
import pytest

import f5lib
from synth import COND_FRAMES, TORCH_TYPES, error, reference, request_of, torch_sample
from test_gpu_unett import BARS, Model


@pytest.fixture(scope="module")
def base(tmp_path_factory, seed):
    reference.exact_math()
    return Model(tmp_path_factory.mktemp("mmdit"), "MMDiT_Base", seed, vocos_layers=2)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "normed"])
def small(request, tmp_path_factory, seed):
    return Model(tmp_path_factory.mktemp("mmdit_small"), "MMDiT_Base", seed, depth=3, qk_norm=request.param, vocos_layers=2)


@pytest.mark.parametrize("frames", [938, 1406])
def test_sampling(base, rng, frames):
    request = request_of(rng, frames, COND_FRAMES, base.vocab_size)
    truth = torch_sample(base, "MMDiT_Base", request)
    found = {f"torch {k}": error(torch_sample(base, "MMDiT_Base", request, dtype), truth) for k, dtype in TORCH_TYPES.items()}
    for precision, portable in (("fp32", 0), ("fp16", 0), ("fp16", 1), ("bf16", 0), ("bf16", 1), ("int8", 0)):
        with f5lib.Engine(base.path, "cuda", precision, max_frames=1472, max_batch=1, portable=portable) as e:
            mel, = e.sample([request])
        assert np.array_equal(mel[:COND_FRAMES], request["cond"]), "the kept frames must be the reference's own"
        found[precision + " portable" * portable] = error(mel, truth)
    print(f"\nMMDiT_Base N {frames} NFE 32, generated frames, relative L2 against fp32 PyTorch: "
          + "  ".join(f"{k} {v:.2e}" for k, v in found.items()))
    for key, value in found.items():
        precision = key.split()[0]
        if precision in BARS:
            assert value <= BARS[precision], f"{key}: {value:.2e}"
            if precision in TORCH_TYPES:
                assert value < found[f"torch {precision}"], f"{key}: {value:.2e} against torch"


def test_warm_frames_record_the_graph_that_speech_takes(small, rng):
    """From 4 to 7 frames a token, as speech has, it is the one that opening has recorded."""
    sizes = np.array([300], np.int32)
    with f5lib.Engine(small.path, "cuda", "fp16", max_frames=512, max_batch=1, warm_frames=sizes.ctypes.data, n_warm=1) as e:
        assert e.info()["graphs"] == 1
        for tokens in (45, 50, 75):
            request = request_of(rng, 300, 75, small.vocab_size)
            e.sample([dict(request, tokens=rng.integers(0, small.vocab_size, tokens).astype(np.int32))])
        assert e.info()["graphs"] == 1


@pytest.mark.parametrize("precision", ["fp16", "fp32", "bf16", "int8"])
def test_company_and_graphs_change_nothing(small, rng, precision):
    """A request alone, among 2, 7 and 32 of mixed lengths, with much text and with none, and launch by launch."""
    requests = [request_of(rng, int(n), int(n) // 4, small.vocab_size) for n in rng.integers(20, 300, 32)]
    requests[1] = dict(requests[1], tokens=requests[1]["tokens"][:0])
    requests[2] = dict(requests[2], tokens=rng.integers(0, small.vocab_size, requests[2]["frames"] - 1).astype(np.int32))
    limits = dict(max_frames=sum(r["frames"] for r in requests) + 64, max_batch=32)
    with f5lib.Engine(small.path, "cuda", precision, **limits) as e:
        alone = [e.sample([r], nfe=5)[0] for r in requests[:7]]
        for size in (2, 7, 32):
            together = e.sample(requests[:size], nfe=5)
            for i in range(min(size, 7)):
                assert together[i].tobytes() == alone[i].tobytes(), f"request {i} depends on a batch of {size}"
    with f5lib.Engine(small.path, "cuda", precision, eager=1, **limits) as e:
        for i, mel in enumerate(e.sample(requests[:7], nfe=5)):
            assert mel.tobytes() == alone[i].tobytes(), f"request {i} launch by launch"


def test_same_seed_hundred_times(small, rng):
    request = request_of(rng, 300, 100, small.vocab_size)
    del request["noise"]
    with f5lib.Engine(small.path, "cuda", "fp16", max_frames=320, max_batch=1) as e:
        first, = e.sample([dict(request, seed=7)], nfe=7)
        for _ in range(99):
            assert e.sample([dict(request, seed=7)], nfe=7)[0].tobytes() == first.tobytes()
