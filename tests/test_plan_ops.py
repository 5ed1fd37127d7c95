"""Plans op by op: f5_plan_ops and `f5tts info --plan --ops` say how a card runs each call, on a machine without it."""
import json
import re

import pytest

import convert_lib
import f5file
import f5lib

CARDS = ("a100", "l4", "rtx4090", "h100", "h200", "b200")
H200 = dict(rate=790e12, bandwidth=4.25e12)  # kernels/cuda/arch.c


@pytest.fixture(scope="module")
def base(tmp_path_factory, seed):
    """F5TTS_v1_Base with two blocks instead of 22, and a small vocoder."""
    path = tmp_path_factory.mktemp("base") / "base.f5"
    f5file.write_model(path, "F5TTS_v1_Base", seed=seed, dtype="fp16", depth=2, vocos_dim=64, vocos_ff_dim=96,
                       vocos_layers=3)
    return path


@pytest.fixture(scope="module")
def engine(base):
    with f5lib.Engine(base, max_frames=64, max_batch=4) as e:
        yield e


def refused(engine, status, *words, **what):
    with pytest.raises(f5lib.Error) as failure:
        engine.plan_ops(**{"frames": 128, **what})
    assert failure.value.status == status
    for word in words:
        assert word in failure.value.message, failure.value.message


def info(*arguments):
    return convert_lib.run("info", *arguments, "--device=cpu")


# ---- the library

@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8"])
def test_sums_are_those_of_the_plan(engine, rng, precision):
    """On the CPU rows are not rounded up to a bucket: sizes that a GPU would not round either have the same sums."""
    for card in CARDS:
        frames, sequences, nfe = 64 * int(rng.integers(1, 40)), int(rng.integers(1, 5)), int(rng.integers(1, 9))
        calls = engine.plan_ops(frames, sequences, card, precision, dict(nfe=nfe))
        plan = engine.plan(frames, sequences, nfe)
        quantized = sum(c["op"] == "quantize" for c in calls)  # passes that the engine's own precision has not
        assert len(calls) - quantized == plan["op_calls"] > 0 and (quantized > 0) == (precision == "int8")
        assert sum(c["flop"] for c in calls) == plan["flop"] > 0, (card, frames, sequences, nfe)


def test_rows_of_a_gpu_are_rounded_up(engine):
    calls, plan = engine.plan_ops(65, card="h200", sample=dict(nfe=2)), engine.plan(65, nfe=2)
    assert len(calls) == plan["op_calls"] and sum(c["flop"] for c in calls) > 1.5 * plan["flop"]
    assert [c["shape"] for c in calls if c["label"] == "dit.0.norm_a"] == ["256x1024 fp16"] * 2


@pytest.mark.parametrize("method", [0, 1, 2])
def test_evaluations_are_numbered(engine, rng, method):
    nfe = int(rng.integers(2, 9))
    calls = engine.plan_ops(128, card="h200", sample=dict(nfe=nfe, method=method))
    numbers, last = [c["evaluation"] for c in calls], nfe * (2 if method == 1 else 1)
    first, end = numbers.index(1), len(numbers) - numbers[::-1].index(last)
    assert set(numbers[:first]) == set(numbers[end:]) == {0}
    assert numbers[first:end] == sorted(numbers[first:end]) and set(numbers[first:end]) == set(range(1, last + 1))
    stages = [{c["label"].split(".")[0] for c in part} for part in (calls[:first], calls[first:end], calls[end:])]
    assert stages == [{"schedule", "noise", "text", "condition"}, {"dit", "ode"}, {"vocos"}]
    work = [[(c["op"], c["shape"], c["path"], c["flop"]) for c in calls if c["evaluation"] == k]
            for k in range(1, last + 1)]
    assert all(w == work[0] for w in work)
    assert sum(c["op"] == "guide" for c in calls) == last


def test_no_guidance_is_half_the_rows(engine):
    both, one = (next(c for c in engine.plan_ops(1024, card="h200", sample=dict(cfg=cfg)) if c["label"] == "dit.0.ff1")
                 for cfg in (2.0, 0.0))
    assert both["flop"] == 2 * one["flop"] and (both["shape"], one["shape"]) == (
        "2048x1024 -> 2048 fp16", "1024x1024 -> 2048 fp16")


def test_a_call_by_hand(engine):
    """The product of q, k and v in a request of two branches of 1406 frames."""
    def qkv(**what):
        calls = engine.plan_ops(1406, sample=dict(nfe=1), **what)
        return next(c for c in calls if c["label"] == "dit.1.qkv")

    call, flop, numbers = qkv(card="h200"), 2.0 * 2816 * 1024 * 3072, 2816 * 1024 + 1024 * 3072 + 2816 * 3072
    bias = 4.0 * 3072
    assert call == dict(label="dit.1.qkv", op="linear", shape="2816x1024 -> 3072 fp16", path="sm90", tile="128x256",
                        stages=4, evaluation=1, waves=2.0, flop=flop, bytes=2.0 * numbers + bias,
                        floor_us=pytest.approx(1e6 * flop / H200["rate"]))
    assert qkv(card="h200", precision="bf16")["shape"] == "2816x1024 -> 3072 bf16"
    whole = qkv(card="h200", precision="int8")
    assert (whole["op"], whole["shape"], whole["path"]) == ("linear_int8", "2816x1024 -> 3072 int8", "sm90")
    assert qkv(card="a100", precision="int8")["path"] == "sm80"
    full = qkv(card="h200", precision="fp32")
    assert full["shape"] == "2816x1024 -> 3072 fp32" and full["bytes"] == 4.0 * numbers + bias
    older = qkv(card="a100")
    assert older["path"] != "sm90" and older["floor_us"] == pytest.approx(1e6 * flop / 312e12)
    norm = next(c for c in engine.plan_ops(1406, card="h200") if c["label"] == "dit.1.norm_a")
    assert norm["floor_us"] == pytest.approx(1e6 * norm["bytes"] / H200["bandwidth"]) and norm["tile"] == ""


def test_refusals(engine):
    refused(engine, "F5_E_ARGUMENT", "'h300'", *CARDS, card="h300")
    refused(engine, "F5_E_ARGUMENT", "''", card="")
    refused(engine, "F5_E_UNSUPPORTED", "name a card", *CARDS)
    refused(engine, "F5_E_ARGUMENT", "'fp8'", "bf16", card="h200", precision="fp8")
    refused(engine, "F5_E_ARGUMENT", "vocoder_precision 'int8'", card="h200", vocoder_precision="int8")
    refused(engine, "F5_E_UNSUPPORTED", "vocoder_precision 'fp16'", "Vocos computes in fp32 alone", card="h200", vocoder_precision="fp16")
    refused(engine, "F5_E_ARGUMENT", "nfe is 0", card="h200", sample=dict(nfe=0))
    refused(engine, "F5_E_ARGUMENT", "0 frames", card="h200", frames=0)
    refused(engine, "F5_E_ARGUMENT", "sequences", card="h200", sequences=0)
    params = f5lib.struct("f5_plan_ops_params", frames=64)
    with pytest.raises(f5lib.Error, match="op is NULL"):
        f5lib.call("f5_plan_ops", engine.handle, f5lib.ctypes.addressof(params))
    with pytest.raises(f5lib.Error, match="engine is NULL"):
        f5lib.call("f5_plan_ops", None, f5lib.ctypes.addressof(params))


def test_a_plan_leaves_the_engine_as_it_was(model):
    request = dict(cond=f5lib.np.zeros((10, 100), "f4"), tokens=[1, 2, 3], frames=40, seed=3)
    with f5lib.Engine(model, max_frames=64) as e:
        before, = e.sample([request], nfe=3)
        e.plan_ops(4096, card="h200", sample=dict(nfe=5))
        after, = e.sample([request], nfe=3)
        assert before.tobytes() == after.tobytes() and e.info()["calls"] == 2


def test_the_path_in_use(model):
    """f5_engine_info.path is the kernels', not the device's name."""
    sets = f5lib.cbind.isas()
    for name in sets:
        with f5lib.Engine(model, device=f"cpu:{name}", max_frames=64) as e:
            assert (e.info()["device"], e.info()["path"]) == ("cpu", name)
    with f5lib.Engine(model, max_frames=64) as e:
        assert e.info()["path"] == sets[0]


# ---- the program

def test_json_has_every_call(base, engine):
    told = json.loads(info(base, "--plan", "--ops", "--as=h200", "--frames=640", "--nfe=7", "--json").stdout)["plan"]
    ops, calls = told["ops"], engine.plan_ops(640, card="h200", sample=dict(nfe=7))
    assert (ops["as"], ops["precision"], ops["evaluations"]) == ("h200", None, 7)
    assert len(ops["calls"]) == len(calls) == told["op_calls"]
    for shown, call in zip(ops["calls"], calls):
        exact = ("label", "op", "shape", "path", "tile", "stages", "evaluation", "flop", "bytes")
        assert {k: shown[k] for k in exact} == {k: call[k] for k in exact}
        assert shown["floor_us"] == pytest.approx(call["floor_us"], rel=1e-5) and set(shown) == set(call)
        assert shown["waves"] == pytest.approx(call["waves"], rel=1e-5)
    for name, part in (("synthesis", calls), ("evaluation", [c for c in calls if c["evaluation"] == 1])):
        assert ops[name] == dict(calls=len(part), flop=sum(c["flop"] for c in part),
                                 bytes=sum(c["bytes"] for c in part),
                                 floor_us=pytest.approx(sum(c["floor_us"] for c in part), rel=1e-5))
    assert ops["synthesis"]["flop"] == told["flop"]


def table(text):
    """The lines below the column heads."""
    lines = text.splitlines()
    return lines[next(i for i, line in enumerate(lines) if line.split()[:1] == ["label"]) + 1:]


def test_the_table_has_a_block_once(base, engine):
    lines = table(info(base, "--plan", "--ops", "--as=h200", "--frames=1406", "--nfe=5").stdout)
    heads = [line for line in lines if not line.startswith("  ")]
    assert heads[:3] == ["before the steps", "each of 5 evaluations", "after the steps"]
    qkv = [line for line in lines if ".qkv" in line]
    assert len(qkv) == 1 and re.fullmatch(
        r"  dit\.\*\.qkv +x2 +linear +2816x1024 -> 3072 fp16 +sm90 +128x256 +4 +2\.00 +17\.717 +29\.372 +22\.4", qkv[0])
    calls = engine.plan_ops(1406, card="h200", sample=dict(nfe=5))
    shown = [c for c in calls if c["evaluation"] < 2]
    times = [re.match(r"  \S+ +(?:x(\d+) )?", line) for line in lines if line.startswith("  ")]
    assert sum(int(m[1] or 1) for m in times) == len(shown) > len(times)
    for line, part in zip(lines[-2:], ([c for c in calls if c["evaluation"] == 1], calls)):
        sums = (sum(c[k] for c in part) * scale for k, scale in (("flop", 1e-9), ("bytes", 1e-6), ("floor_us", 1)))
        name, n, word, *numbers = line.split(maxsplit=2)[1:2] + line.split()[2:]
        assert (int(n), word) == (len(part), "calls") and name in ("evaluation", "synthesis")
        assert [float(x) for x in numbers] == pytest.approx(list(sums), abs=0.051)


def test_all_shows_every_call(base, engine):
    lines = table(info(base, "--plan", "--ops", "--as=l4", "--frames=128", "--nfe=3", "--all", "--precision=bf16").stdout)
    labels = [line.split()[0] for line in lines if line.startswith("  ")]
    assert labels == [c["label"] for c in engine.plan_ops(128, card="l4", precision="bf16", sample=dict(nfe=3))]
    assert [line for line in lines if line.startswith("evaluation ")] == [f"evaluation {k} of 3" for k in (1, 2, 3)]


def test_the_program_refuses(base):
    result = info(base, "--plan", "--ops", "--as=h300")
    assert result.returncode == 1 and result.stdout == "" and "'h300'" in result.stderr
    assert all(card in result.stderr for card in CARDS)
    result = info(base, "--plan", "--ops")
    assert result.returncode == 1 and result.stdout == "" and "name a card" in result.stderr
    assert info(base, "--ops").returncode == 2 and "--plan" in info(base, "--ops").stderr
    for option in ("--as=h200", "--all", "--precision=fp16", "--vocoder_precision=fp16"):
        result = info(base, "--plan", option)
        assert result.returncode == 2 and "--ops" in result.stderr


# ---- every kind of model

KINDS = {  # arch and settings; what the stages before, in and after the steps are called; a product of a block
    "E2": ("E2TTS_Base", dict(depth=2, vocos_layers=1), "unett", "vocos", ("unett.0.qkv", 1024, 3072)),
    "MMDiT": ("MMDiT_Base", dict(depth=2, vocos_layers=1), "mmdit", "vocos", ("mmdit.0.ff1", 1024, 2048)),
    "BigVGAN": ("demo", dict(depth=2, vocoder="bigvgan", bigvgan_channels=192), "dit", "bigvgan", ("dit.0.ff1", 256, 512)),
    "FM": ("FM_TTS", dict(depth=2), "fm", "mb_istft", ("fm.1.ff1", 512, 2048)),
    "FM, one band": ("FM_TTS", dict(depth=2, mb_form="coded"), "fm", "mb_istft", ("fm.1.ff1", 512, 2048)),
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request, tmp_path_factory, seed):
    """(name, its .f5)"""
    arch, settings = KINDS[request.param][:2]
    path = tmp_path_factory.mktemp("kind") / "kind.f5"
    f5file.write_model(path, arch, seed=seed, dtype="fp16", **settings)
    return request.param, path


def test_kinds_have_their_stages_and_sums(kind, rng):
    name, path = kind
    _, _, backbone, vocoder, (product, width, out) = KINDS[name]
    with f5lib.Engine(path, max_frames=2048, max_batch=4) as e:
        for precision in ("fp32", "fp16", "bf16"):
            for card in rng.choice(CARDS, 2, replace=False).tolist():
                frames, sequences, nfe = 64 * int(rng.integers(1, 30)) - 4, int(rng.integers(1, 5)), int(rng.integers(2, 9))
                calls, plan = e.plan_ops(frames, sequences, card, precision, dict(nfe=nfe)), e.plan(frames, sequences, nfe)
                # in fp32, which the engine has, UNetT keeps a layer's input by a call; in 16 bits its norm does
                kept = nfe if name == "E2" and precision != "fp32" else 0
                assert len(calls) + kept == plan["op_calls"]
                # rows of a kind's own are rounded up on a GPU: of text, and of the time, which 4 frames less leave room
                assert plan["flop"] <= sum(c["flop"] for c in calls) < 1.6 * plan["flop"] + 1e9, (card, frames, sequences, nfe)
                assert all(c["path"] and c["floor_us"] >= 0 and c["bytes"] >= 0 for c in calls)
                parts = {c["label"].split(".")[0] for c in calls if c["evaluation"]}
                assert backbone in parts and vocoder in {c["label"].split(".")[0] for c in calls if c["evaluation"] == 0}
                assert {c["evaluation"] for c in calls} == set(range(nfe + 1))
        first = next(c for c in e.plan_ops(512, card="h200", precision="fp16", sample=dict(nfe=2)) if c["label"] == product)
        rows = int(first["shape"].split("x")[0])
        assert first["shape"] == f"{rows}x{width} -> {out} fp16" and first["flop"] == 2 * rows * width * out, first
        assert first["path"] == "sm90"


def test_info_shows_the_plan_of_kinds(kind):
    name, path = kind
    _, _, backbone, vocoder, (product, _, _) = KINDS[name]
    done = info(path, "--plan", "--ops", "--as=h200", "--frames=640", "--nfe=3", "--precision=fp16")
    assert done.returncode == 0, done.stderr
    lines = table(done.stdout)
    assert [line for line in lines if not line.startswith("  ")][:3] == ["before the steps", "each of 3 evaluations", "after the steps"]
    assert sum(line.split()[0] == re.sub(r"\.\d+\.", ".*.", product) for line in lines) == 1, done.stdout
    told = json.loads(info(path, "--plan", "--ops", "--as=h200", "--frames=640", "--nfe=3", "--json").stdout)["plan"]
    with f5lib.Engine(path, max_frames=64, max_batch=1) as e:
        calls = e.plan_ops(640, card="h200", sample=dict(nfe=3))
    assert [c["label"] for c in told["ops"]["calls"]] == [c["label"] for c in calls]
    assert any(c["label"].startswith(vocoder) for c in told["ops"]["calls"]) and told["ops"]["evaluations"] == 3


def told_of(calls):
    return [(c["label"], c["op"], c["shape"], c["path"]) for c in calls]


@pytest.mark.parametrize("kind", ["BigVGAN", "FM", "FM, one band"], indirect=True)
def test_the_vocoder_has_a_number_type_of_its_own(kind):
    """In 16 bits its convolutions read half the bytes; the rest of the plan stays as it was. The program says the same."""
    def split(calls):
        """(the vocoder's, the rest)"""
        prefix = KINDS[kind[0]][3]
        return tuple([c for c in calls if c["label"].startswith(prefix) == own] for own in (True, False))

    with f5lib.Engine(kind[1], max_frames=64, max_batch=1) as e:
        plans = {name: e.plan_ops(640, card="h200", sample=dict(nfe=3), vocoder_precision=name) for name in (None, "fp32", "fp16", "bf16")}
    full, usual = split(plans["fp32"])
    assert plans[None] == plans["fp32"] and told_of(full) != told_of(split(plans["fp16"])[0]) != told_of(split(plans["bf16"])[0])
    for name in ("fp16", "bf16"):
        vocoder, rest = split(plans[name])
        assert rest == usual
        convolutions = [c for c in vocoder if c["op"] == "conv1d"]
        assert sum(name in c["shape"] for c in convolutions) > len(convolutions) / 2
        assert sum(c["bytes"] for c in vocoder) < sum(c["bytes"] for c in full)
        done = info(kind[1], "--plan", "--ops", "--as=h200", "--frames=640", "--nfe=3", f"--vocoder_precision={name}", "--json")
        told = json.loads(done.stdout)["plan"]["ops"]["calls"]
        assert told_of(split(told)[0]) == told_of(vocoder), done.stderr
