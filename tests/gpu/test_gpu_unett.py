"""E2-TTS on the GPU: whole samplings at full size against the fp32 PyTorch reference, and the laws of the engine for a
backbone with rows of its own. Bars as in test_gpu_synth.py."""
import numpy as np
import pytest
import torch

import f5file
import f5lib
from synth import COND_FRAMES, TORCH_TYPES, error, reference, request_of, torch_sample

BARS = dict(fp32=2e-4, fp16=2e-3, bf16=1.4e-2, int8=2e-2)


class Model:
    """Random weights of one architecture, as synth.Weights has them."""

    def __init__(self, folder, arch, seed, **settings):
        self.path = folder / f"{arch}.f5"
        made = f5file.write_model(self.path, arch, seed=seed, **settings)
        c = made["config"]
        self.options = {arch: reference.Options(c["text_mask_padding"], c["pe_attn_head"], c["average_upsampling"], c["skip"])}
        self.model = {k: torch.from_numpy(v).cuda() for k, v in made["model"].items()}
        self.vocab_size = len(made["vocab"])


@pytest.fixture(scope="module")
def e2(tmp_path_factory, seed):
    reference.exact_math()
    return Model(tmp_path_factory.mktemp("e2"), "E2TTS_Base", seed, vocos_layers=2)


@pytest.fixture(scope="module")
def small(tmp_path_factory, seed):
    return Model(tmp_path_factory.mktemp("e2_small"), "E2TTS_Small", seed, depth=4, vocos_layers=2)


@pytest.mark.parametrize("frames", [938, 1406])
def test_sampling(e2, rng, frames):
    request = request_of(rng, frames, COND_FRAMES, e2.vocab_size)
    truth = torch_sample(e2, "E2TTS_Base", request)
    found = {f"torch {k}": error(torch_sample(e2, "E2TTS_Base", request, dtype), truth) for k, dtype in TORCH_TYPES.items()}
    for precision, portable in (("fp32", 0), ("fp16", 0), ("fp16", 1), ("bf16", 0), ("bf16", 1), ("int8", 0)):
        with f5lib.Engine(e2.path, "cuda", precision, max_frames=1472, max_batch=1, portable=portable) as e:
            mel, = e.sample([request])
        assert np.array_equal(mel[:COND_FRAMES], request["cond"]), "the kept frames must be the reference's own"
        found[precision + " portable" * portable] = error(mel, truth)
    print(f"\nE2TTS_Base N {frames} NFE 32, generated frames, relative L2 against fp32 PyTorch: "
          + "  ".join(f"{k} {v:.2e}" for k, v in found.items()))
    for key, value in found.items():
        precision = key.split()[0]
        if precision in BARS:
            assert value <= BARS[precision], f"{key}: {value:.2e}"
            if precision in TORCH_TYPES:
                assert value < found[f"torch {precision}"], f"{key}: {value:.2e} against torch"


def test_other_settings_and_skips(tmp_path, rng, seed):
    for skip in ("concat", "add", "none"):
        m = Model(tmp_path, "E2TTS_Small", seed, depth=4, skip=skip, vocos_layers=2)
        request = request_of(rng, 211, 60, m.vocab_size)
        with f5lib.Engine(m.path, "cuda", "fp32", max_frames=256, max_batch=1) as e:
            for settings in (dict(nfe=7), dict(nfe=8, midpoint=True), dict(nfe=6, cfg=0.0), dict(nfe=6, method=2)):
                mel, = e.sample([request], **settings)
                with torch.no_grad():
                    truth = reference.sample(m.model, m.options["E2TTS_Small"], torch.from_numpy(request["cond"]).cuda(),
                                             torch.from_numpy(request["tokens"]).cuda().long(), 211,
                                             torch.from_numpy(request["noise"]).cuda(), **settings).cpu().numpy()
                assert error(mel, truth, 60) <= 2e-4, (skip, settings)


@pytest.mark.parametrize("precision", ["fp16", "fp32", "bf16", "int8"])
def test_company_and_graphs_change_nothing(small, rng, precision):
    """A request alone, among 2, 7 and 32 of mixed lengths, and launch by launch."""
    requests = [request_of(rng, int(n), int(n) // 4, small.vocab_size) for n in rng.integers(20, 300, 32)]
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
