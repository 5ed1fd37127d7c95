"""Precision int8 on the CPU: near fp32, the laws of the engine, memory, what is refused. Small random models."""
import re

import numpy as np
import pytest

import convert_lib
import f5file
import f5lib
from f5file import random_checkpoint


def requests_of(rng, vocab_size, lengths):
    return [dict(cond=(rng.standard_normal((n // 3, 100)) * 2 - 4).astype(np.float32), frames=n,
                 tokens=rng.integers(0, vocab_size, n // 8).astype(np.int32),
                 noise=rng.standard_normal((n, 100)).astype(np.float32)) for n in lengths]


@pytest.fixture(scope="module", params=["fp32", "fp16", "UNetT", "MMDiT"])
def model(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("int8") / "model.f5"
    settings = dict(backbone=request.param) if request.param in ("UNetT", "MMDiT") else dict(dtype=request.param)
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
            # vectors of the two blocks and the exit; those of the text's stream end with two
            modulations = {"DiT": 14, "MMDiT": 14 + 8}.get(e.info()["backbone"], 0)
            projections, rests = (4, 3) if e.info()["backbone"] == "MMDiT" else (2, 2)  # the last text is queries, keys, values
    numbers = projections * 3 * 64 * 64 + rests * (64 * 64 + 2 * 128 * 64) + modulations * 64 * 64
    scales = projections * 3 * 64 + rests * (64 + 128 + 64) + modulations * 64
    assert sizes["fp32"] - sizes["int8"] == 3 * numbers - 4 * scales


def test_a_file_in_8_bits(tmp_path, rng):
    """Written by convert: smaller, told as such, run in 8 bits unless another precision is asked for."""
    made = random_checkpoint.make_checkpoint(tmp_path / "upstream", "tiny", seed=4)
    paths = {}
    for dtype in ("fp16", "int8"):
        paths[dtype] = tmp_path / f"{dtype}.f5"
        convert_lib.converted(made, paths[dtype], dtype=dtype)
    numbers = 2 * (3 * 64 * 64 + 64 * 64 + 2 * 128 * 64) + 14 * 64 * 64  # the blocks' products and the modulations
    scales = 2 * (3 * 64 + 64 + 128 + 64) + 14 * 64
    saved = paths["fp16"].stat().st_size - paths["int8"].stat().st_size
    assert abs(saved - (numbers - 4 * scales)) < 1500  # the header names the scales
    with f5lib.ModelFile(paths["int8"]) as f:
        assert f.info()["precision"] == "int8"
        types = {t["name"]: t["type"] for t in f.all("tensor")}
    assert types["dit.blocks.1.ff2.weight"] == types["dit.modulation.weight"] == "I8"
    assert types["dit.blocks.1.ff2.weight.scale"] == "F32" and types["dit.proj_out.weight"] == "F16"

    mels = {}
    with f5lib.Engine(paths["int8"], "cpu", None, max_frames=256, max_batch=1) as e:
        requests = requests_of(rng, e.info()["vocab_size"], [97])
        assert e.info()["precision"] == "int8"
        mels["own"], = e.sample(requests, nfe=4)
    for dtype, precision in (("int8", "int8"), ("int8", "fp32"), ("fp16", "int8"), ("fp16", "fp32")):
        with f5lib.Engine(paths[dtype], "cpu", precision, max_frames=256, max_batch=1) as e:
            assert e.info()["precision"] == precision
            mels[dtype, precision], = e.sample(requests, nfe=4)
    assert mels["own"].tobytes() == mels["int8", "int8"].tobytes()
    n, exact = 97 // 3, mels["fp16", "fp32"]
    for key, mel in mels.items():
        error = np.linalg.norm(mel[n:] - exact[n:]) / np.linalg.norm(exact[n:])
        assert error < 2e-2 and (error > 1e-5) == (key != ("fp16", "fp32")), (key, error)


def test_damaged_files_in_8_bits(tmp_path):
    """Scales that are missing, or matrices of which some are in 8 bits."""
    made = random_checkpoint.make_checkpoint(tmp_path / "upstream", "tiny", seed=4)
    convert_lib.converted(made, tmp_path / "good.f5", dtype="int8")
    good = (tmp_path / "good.f5").read_bytes()
    for old, new, words in ((b'"dit.blocks.1.out.weight.scale"', b'"dit.blocks.1.out.weight.scalf"', 'weight.scale" is missing'),
                            (b'"dit.blocks.0.qkv.weight":{"dtype":"I8"', b'"dit.blocks.0.qkv.weight":{"dtype":"U8"', "U8")):
        assert good.count(old) == 1
        (tmp_path / "bad.f5").write_bytes(good.replace(old, new))
        with pytest.raises(f5lib.Error, match=words):
            f5lib.Engine(tmp_path / "bad.f5", "cpu", "int8", max_frames=64, max_batch=1)


def test_parameters_are_those_of_any_precision(tmp_path):
    """Scales are none: of the file, of its parts, of an engine, and as convert says them."""
    made = random_checkpoint.make_checkpoint(tmp_path / "upstream", "tiny", seed=4)
    told = set()
    for dtype in ("fp32", "int8"):
        path = tmp_path / f"{dtype}.f5"
        said = convert_lib.run(*convert_lib.convert_args(made, path, dtype=dtype)).stdout
        with f5lib.ModelFile(path) as f, f5lib.Engine(path, "cpu", max_frames=64, max_batch=1) as e:
            assert f.info()["parameters"] == e.info()["parameters"]
            told.add((f.info()["parameters"], tuple(p["parameters"] for p in f.all("part")),
                      re.search(r"[\d.]+ M parameters", said).group()))
    assert len(told) == 1, told


@pytest.mark.parametrize("backbone, words", [("DiT", "dit.modulation.weight"), ("UNetT", "unett.layers.0.qkv.weight")])
def test_rows_that_are_too_narrow(tmp_path, backbone, words):
    """A width of 80: refused by name and with the right multiple, at open, by a plan and by convert; fp32 runs."""
    f5file.write_model(tmp_path / "m.f5", "tiny", dim=80, backbone=backbone)
    says = f'multiple of 64 numbers, those of "{words}" have 80'
    with pytest.raises(f5lib.Error, match=says):
        f5lib.Engine(tmp_path / "m.f5", "cpu", "int8", max_frames=64, max_batch=1)
    with f5lib.Engine(tmp_path / "m.f5", "cpu", max_frames=64, max_batch=1) as e:
        assert e.plan_ops(64, card="h200")
        with pytest.raises(f5lib.Error, match="the plan: .*" + says):
            e.plan_ops(64, card="h200", precision="int8")
    made = random_checkpoint.make_checkpoint(tmp_path / "upstream", "tiny", seed=4, dim=80, backbone=backbone)
    result = convert_lib.convert(made, tmp_path / "out.f5", dtype="int8")
    assert result.returncode == 1 and says in result.stderr and not (tmp_path / "out.f5").exists()


def test_a_plan_is_of_what_would_run(tmp_path):
    """A named card runs a file in 8 bits in these, unless told otherwise."""
    made = random_checkpoint.make_checkpoint(tmp_path / "upstream", "tiny", seed=4)
    convert_lib.converted(made, tmp_path / "m.f5", dtype="int8")
    with f5lib.Engine(tmp_path / "m.f5", "cpu", max_frames=64, max_batch=1) as e:
        for precision, op in ((None, "linear_int8"), ("int8", "linear_int8"), ("fp16", "linear")):
            qkv = next(c for c in e.plan_ops(64, card="h200", precision=precision) if c["label"] == "dit.1.qkv")
            assert qkv["op"] == op
