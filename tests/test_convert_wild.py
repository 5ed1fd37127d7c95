"""`f5tts convert` on checkpoints as people have them: two sets of weights, wrappers' prefixes, old and wide formats,
vocabularies with a line twice, LoRA adapters, and being ended in the middle. tests/reference/compare_checkpoints.py
makes the same kinds by upstream's own classes and PEFT."""
import json
import os
import resource
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

import convert_lib as lib
import f5abi
import f5lib
import outputs_lib
from convert_lib import rc

torch = pytest.importorskip("torch", reason="torch writes the real checkpoints these tests read")


@pytest.fixture
def tiny(tmp_path, seed):
    return rc.make_checkpoint(tmp_path / "tiny", "tiny", seed=seed)


@pytest.fixture
def plain(tmp_path, tiny):
    """The bytes of the .f5 that every harmless variation must give."""
    lib.converted(tiny, tmp_path / "plain.f5")
    return (tmp_path / "plain.f5").read_bytes()


def tensors_of(made, prefix=""):
    return {prefix + k: torch.from_numpy(v.copy()) for k, v in made["model"].items()}


def others_of(made, prefix=""):
    return {k: v + 1 for k, v in tensors_of(made, prefix).items()}


def bytes_of(made, tmp_path, said="", **options):
    result = lib.convert(made, tmp_path / "out.f5", **options)
    assert result.returncode == 0, result.stderr
    assert said in result.stdout, result.stdout
    return (tmp_path / "out.f5").read_bytes()


def refused(result, *words, code=1):
    assert result.returncode == code, (result.returncode, result.stdout, result.stderr)
    for word in words:
        assert str(word) in result.stderr, (word, result.stderr)


# ---- prefixes

def without_transformer(made):
    return {k.removeprefix("transformer."): v for k, v in tensors_of(made).items()}


WRAPPERS = {
    "module.": lambda m: dict(model_state_dict=tensors_of(m, "module.")),
    "_orig_mod.module.": lambda m: tensors_of(m, "_orig_mod.module."),
    "inside": lambda m: {k.replace("transformer.", "transformer._orig_mod.", 1): v for k, v in tensors_of(m).items()},
    "ema_model._orig_mod.": lambda m: dict(ema_model_state_dict=tensors_of(m, "ema_model._orig_mod.")),
    "state_dict, model.": lambda m: dict(state_dict=tensors_of(m, "model."), epoch=3),
    "model, DiT alone": lambda m: dict(model=without_transformer(m)),
    "DiT alone with the mel's": lambda m: {**without_transformer(m), "mel_spec.mel_stft.window": torch.zeros(1024)},
}


@pytest.mark.parametrize("kind", WRAPPERS)
def test_wrappers_leave_no_trace(tmp_path, tiny, plain, kind):
    path = tmp_path / "wrapped.pt"
    torch.save(WRAPPERS[kind](tiny), path)
    assert bytes_of(tiny, tmp_path, checkpoint=path) == plain


def test_what_does_not_fit_says_what_was_tried(tmp_path, tiny):
    path = tmp_path / "odd.pt"
    torch.save(tensors_of(tiny, "generator."), path)
    refused(lib.convert(tiny, tmp_path / "out.f5", checkpoint=path), "keys missing", "unknown (generator.transformer.",
            "tried without module., _orig_mod., base_model., model., ema_model., online_model. too")
    torch.save({**tensors_of(tiny, "module."), **tensors_of(tiny)}, path)
    refused(lib.convert(tiny, tmp_path / "out.f5", checkpoint=path), "is there twice")


# ---- two sets of weights

BOTH = {
    "two dicts": lambda m: dict(ema_model_state_dict=tensors_of(m, "ema_model."), model_state_dict=others_of(m)),
    "one dict": lambda m: dict(ema_model_state_dict={
        **tensors_of(m, "ema_model."), **others_of(m, "online_model."), "initted": torch.tensor(True),
        "step": torch.tensor(3)}),
    "flat": lambda m: {**tensors_of(m, "ema_model."), **others_of(m, "model."), "step": torch.tensor(3)},
    "flat, unnamed": lambda m: {**tensors_of(m, "ema_model."), **others_of(m)},
}


@pytest.mark.parametrize("kind", BOTH)
def test_both_weights(tmp_path, tiny, plain, kind):
    path = tmp_path / "both.pt"
    value = BOTH[kind](tiny)
    rotary = "transformer.rotary_embed.inv_freq"
    for d in (value, *[v for v in value.values() if isinstance(v, dict)]):  # of the same base in both
        d.update({k: torch.from_numpy(tiny["model"][rotary]) for k in d if k.endswith(rotary)})
    torch.save(value, path)
    averaged = "averaged (ema); the file holds the plain ones too (--weights model)"
    assert bytes_of(tiny, tmp_path, averaged, checkpoint=path) == plain
    assert bytes_of(tiny, tmp_path, averaged, checkpoint=path, weights="ema") == plain
    bytes_of(tiny, tmp_path, "those of training (model); the file holds the averaged ones too", checkpoint=path,
             weights="model")
    tensors = lib.read_f5(tmp_path / "out.f5")[1]
    np.testing.assert_array_equal(tensors["dit.proj_out.bias"], tiny["model"]["transformer.proj_out.bias"] + 1)


def test_only_one_set(tmp_path, tiny, plain):
    path = tmp_path / "one.pt"
    torch.save(dict(ema_model_state_dict=tensors_of(tiny, "ema_model."), model_state_dict={}), path)
    assert bytes_of(tiny, tmp_path, "averaged (ema); the file has no others", checkpoint=path, weights="model") == plain
    torch.save(dict(ema_model_state_dict={}, model_state_dict=tensors_of(tiny)), path)
    assert bytes_of(tiny, tmp_path, "training (model); the file has no others", checkpoint=path) == plain
    torch.save(tensors_of(tiny), path)
    assert bytes_of(tiny, tmp_path, "one set, which the file does not call averaged", checkpoint=path) == plain
    torch.save({**tensors_of(tiny, "ema_model."), "transformer.stray": torch.zeros(3)}, path)
    refused(lib.convert(tiny, tmp_path / "out.f5", checkpoint=path), "transformer.stray", "1 unknown")
    refused(lib.convert(tiny, tmp_path / "out.f5", weights="best"), "--weights best", code=2)


# ---- formats

def test_float64_and_torch_before_1_6(tmp_path, tiny, plain):
    path = tmp_path / "old.pt"
    old = dict(_use_new_zipfile_serialization=False)
    double = {k: v.double() for k, v in tensors_of(tiny).items()}
    torch.save(double, path)
    assert bytes_of(tiny, tmp_path, "from float64", checkpoint=path) == plain
    torch.save(double, path, **old)
    assert bytes_of(tiny, tmp_path, "from float64", checkpoint=path) == plain
    views = {k: v.t().contiguous().t() if v.dim() == 2 else v for k, v in tensors_of(tiny).items()}
    sliced = torch.full((9, 7), float("nan"))
    shape = views["transformer.norm_out.linear.bias"].shape
    wide = torch.full((shape[0] + 3, 2), float("nan"))
    wide[1:-2, 1] = views["transformer.norm_out.linear.bias"]
    views["transformer.norm_out.linear.bias"] = wide[1:-2, 1]
    optimizer = dict(state={i: dict(step=3, exp_avg=v) for i, v in enumerate(views.values())}, unused=sliced)
    for protocol in (2, 4):
        torch.save(dict(ema_model_state_dict=views, model_state_dict=others_of(tiny), optimizer_state_dict=optimizer),
                   path, pickle_protocol=protocol, **old)
        assert bytes_of(tiny, tmp_path, "averaged", checkpoint=path) == plain
    half = tmp_path / "half"
    made = rc.make_checkpoint(half, "tiny", seed=1, dtype="fp16")
    torch.save({k: v.half() for k, v in tensors_of(made).items()}, path, **old)
    lib.converted(made, half / "a.f5")
    assert bytes_of(made, tmp_path, "from float16", checkpoint=path) == (half / "a.f5").read_bytes()


def test_a_cut_old_file_is_refused(tmp_path, tiny):
    path = tmp_path / "old.pt"
    torch.save(tensors_of(tiny), path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for length in (len(whole) - 1, len(whole) // 2, 3000):
        path.write_bytes(whole[:length])
        refused(lib.convert(tiny, tmp_path / "out.f5", checkpoint=path), path)
    assert not (tmp_path / "out.f5").exists()


@pytest.mark.parametrize("written, factor", [("2.5", 2.5), ("4.0", 4), ("+3.", 3), ("2.015625", 2.015625)])
def test_feed_forward_with_a_point(tmp_path, tiny, written, factor):
    made = rc.make_checkpoint(tmp_path / "wide", "tiny", seed=1, ff_mult=8)
    width = int(64 * factor)
    model = {k: v[:width] if ".ff.ff.0.0." in k else v[:, :width] if k.endswith("ff.ff.2.weight") else v
             for k, v in made["model"].items()}
    rc.write_safetensors(made["checkpoint"], model)
    config = tmp_path / "edited.yaml"
    config.write_text(Path(made["yaml"]).read_text().replace("ff_mult: 8", f"ff_mult: {written}"))
    metadata, tensors = lib.converted(made, tmp_path / "out.f5", config=config)
    assert json.loads(metadata["config"])["backbone"]["ff_dim"] == width
    assert tensors["dit.blocks.0.ff1.weight"].shape == (width, 64)


@pytest.mark.parametrize("written, word", [("2.51", "times the width 64 it is not a whole number"), ("two", "a number"),
                                           ("-2.5", "a number"), ("'2.5'", "a number"), ("1e1", "a number"),
                                           ("02.5", "a number"), ("999999.5", "ff_dim"), ("0.0", "ff_dim")])
def test_feed_forward_that_is_refused(tmp_path, tiny, written, word):
    config = tmp_path / "edited.yaml"
    config.write_text(Path(tiny["yaml"]).read_text().replace("ff_mult: 2", f"ff_mult: {written}"))
    refused(lib.convert(tiny, tmp_path / "out.f5", config=config), word)


# ---- a vocabulary with a line twice

def test_a_vocabulary_with_lines_twice(tmp_path):
    """Upstream's map has the last line of each token, its embedding a row for each token that differs, and one more."""
    lines = [" ", "a", "b", "c", "b", "d", "e", "a", "f"]  # 7 differ: rows for ids 0 to 6; a and f lie beyond
    made = rc.make_checkpoint(tmp_path / "twice", "tiny", seed=1, vocab=lines, tokenizer="char")
    made["model"]["transformer.text_embed.text_embed.weight"] = \
        made["model"]["transformer.text_embed.text_embed.weight"][:8]
    rc.write_safetensors(made["checkpoint"], made["model"])
    result = lib.convert(made, tmp_path / "out.f5")
    assert result.returncode == 0, result.stderr
    assert "2 lines twice" in result.stdout and "2 tokens lie beyond it and cannot be said: a f\n" in result.stdout
    metadata, tensors = lib.read_f5(tmp_path / "out.f5")
    assert metadata["vocab"].split("\n") == [" ", "", "b", "c", "b", "d", "e", ""]
    assert tensors["text.embedding"].shape == (8, 32)
    with f5lib.Engine(tmp_path / "out.f5", max_frames=64) as engine:
        assert list(engine.tokenize(" abcdef")) == [0, 0, 4, 3, 5, 6, 0]
        request = dict(cond=np.zeros((5, 100), np.float32), frames=20)
        engine.sample([dict(request, tokens=[0, 6])], nfe=5)
        with pytest.raises(f5abi.Error, match="token 1 is id 7; the vocabulary has 7"):
            engine.sample([dict(request, tokens=[0, 7])], nfe=5)


def test_lines_twice_with_a_row_each(tmp_path):
    made = rc.make_checkpoint(tmp_path / "twice", "tiny", seed=1, vocab=[" ", "a", "b", "a"], tokenizer="char")
    metadata, _ = lib.converted(made, tmp_path / "out.f5")
    assert metadata["vocab"].split("\n") == [" ", "a", "b", "a", ""]
    made["model"]["transformer.text_embed.text_embed.weight"] = np.zeros((3, 32), np.float32)
    rc.write_safetensors(made["checkpoint"], made["model"])
    refused(lib.convert(made, tmp_path / "out.f5"), "is 4 the vocabulary's size")


# ---- LoRA adapters, as PEFT writes them

CONFIG = dict(peft_type="LORA", task_type=None, r=4, lora_alpha=8, lora_dropout=0.05, bias="none", target_modules=["to_q"],
              fan_in_fan_out=False, modules_to_save=None, init_lora_weights=True, use_rslora=False, use_dora=False,
              rank_pattern={}, alpha_pattern={}, inference_mode=True, base_model_name_or_path=None, peft_version="0.10.0",
              layers_to_transform=None, loftq_config={}, megatron_core="megatron.core", auto_mapping=dict(a="b"))
LAYERS = ["transformer.transformer_blocks.0.attn.to_q", "transformer.transformer_blocks.1.ff.ff.2",
          "transformer.input_embed.proj", "transformer.transformer_blocks.1.attn_norm.linear"]


def pair(made, layer, rng, rank=4):
    rows, columns = made["model"][layer + ".weight"].shape
    return (rng.standard_normal((rank, columns)).astype(np.float32) * 0.1,
            rng.standard_normal((rows, rank)).astype(np.float32) * 0.1)


def write_adapter(folder, tensors, binary=False, **settings):
    folder.mkdir(exist_ok=True)
    config = {**CONFIG, **settings}
    (folder / "adapter_config.json").write_text(json.dumps({k: v for k, v in config.items() if v != "absent"}, indent=2))
    for old in folder.glob("adapter_model.*"):
        old.unlink()
    if binary:
        torch.save({k: torch.from_numpy(v) for k, v in tensors.items()}, folder / "adapter_model.bin")
    else:
        rc.write_safetensors(folder / "adapter_model.safetensors", tensors)
    return folder


def adapter_tensors(pairs, prefix="base_model.model.", name=""):
    return {f"{prefix}{layer}.lora_{part}.{name}weight": values
            for layer, both in pairs.items() for part, values in zip("AB", both)}


def assert_merged(made, tmp_path, options, scales, pairs, whole=()):
    """Against the merge in float64, rounded once: at most the last place differs."""
    merged = {**made, "model": dict(made["model"])}
    for layer, (a, b) in pairs.items():
        change = scales[layer] * (b.astype(np.float64) @ a.astype(np.float64))
        merged["model"][layer + ".weight"] = (made["model"][layer + ".weight"] + change).astype(np.float32)
    merged["model"].update(whole)
    _, found = lib.converted(made, tmp_path / "out.f5", **options)
    for name, wanted in lib.expected(merged).items():
        np.testing.assert_allclose(found[name], wanted, rtol=2e-7, atol=1e-9, err_msg=name)


def test_lora(tmp_path, tiny, rng):
    pairs = {layer: pair(tiny, layer, rng) for layer in LAYERS}
    folder = tmp_path / "adapter"
    write_adapter(folder, adapter_tensors(pairs))
    assert_merged(tiny, tmp_path, dict(lora=folder), dict.fromkeys(LAYERS, 2), pairs)
    result = lib.convert(tiny, tmp_path / "out.f5", lora=folder, lora_scale=0.8)
    assert f"4 changed by {folder}, scale 0.8" in result.stdout
    write_adapter(folder, adapter_tensors(pairs, name="default."), binary=True, use_rslora=True, lora_alpha=6.5,
                  fan_in_fan_out=True)
    assert_merged(tiny, tmp_path, dict(lora=folder, lora_scale=0.8),
                  dict.fromkeys(LAYERS, float(np.float32(0.8)) * 6.5 / 2), pairs)
    bare = {layer.removeprefix("transformer."): both for layer, both in pairs.items()}
    write_adapter(folder, adapter_tensors(bare, "base_model.model.module."))
    assert_merged(tiny, tmp_path, dict(lora=folder, lora_scale=-1), dict.fromkeys(LAYERS, -2), pairs)


def test_lora_patterns_and_whole_layers(tmp_path, tiny, rng):
    pairs = {layer: pair(tiny, layer, rng, rank=2 if "proj" in layer else 4) for layer in LAYERS}
    whole = {"transformer.proj_out.weight": rng.standard_normal((100, 64)).astype(np.float32),
             "transformer.proj_out.bias": rng.standard_normal(100).astype(np.float32)}
    folder = write_adapter(tmp_path / "adapter",
                           {**adapter_tensors(pairs), **{"base_model.model." + k: v for k, v in whole.items()}},
                           modules_to_save=["proj_out"], rank_pattern={"input_embed.proj": 2},
                           alpha_pattern={"transformer_blocks.1.ff.ff.2": 3, "o_q": 99, "to_q": 1.5})
    scales = dict(zip(LAYERS, (1.5 / 4, 3 / 4, 8 / 2, 8 / 4)))
    assert_merged(tiny, tmp_path, dict(lora=folder), scales, pairs, whole)


Q = "base_model.model." + LAYERS[0]
UNSUPPORTED = {
    "LoHa": (dict(peft_type="LOHA"), {}, ["peft_type is LOHA"]),
    "no type": (dict(peft_type="absent"), {}, ["peft_type is missing"]),
    "DoRA": (dict(use_dora=True), {}, ["use_dora is true", "DoRA"]),
    "trained biases": (dict(bias="lora_only"), {}, ["bias is lora_only"]),
    "PiSSA": (dict(init_lora_weights="pissa_niter_4"), {}, ["init_lora_weights is pissa_niter_4"]),
    "a setting of tomorrow": (dict(use_tomorrow=3), {}, ["use_tomorrow is 3"]),
    "repeated layers": (dict(layer_replication=[[0, 4], [2, 5]]), {}, ["layer_replication"]),
    "bias of lora_B": (dict(lora_bias=True), {}, ["lora_bias is true"]),
    "no r": (dict(r="absent"), {}, ["r is missing"]),
    "r of 0": (dict(r=0), {}, ["r is 0"]),
    "another r": (dict(r=8), {}, ["rank 8", "4 rows"]),
    "alpha": (dict(lora_alpha="x"), {}, ["lora_alpha is x"]),
    "regular expression": (dict(alpha_pattern={"to_[qk]": 4}), {}, ["to_[qk]", "regular expression"]),
    "magnitude": ({}, {Q + ".lora_magnitude_vector": np.zeros(64)}, ["lora_magnitude_vector", "DoRA"]),
    "embedding": ({}, {"base_model.model.transformer.text_embed.text_embed.lora_embedding_A": np.zeros((4, 9))},
                  ["lora_embedding_A", "embedding"]),
    "convolution": ({}, {f"base_model.model.transformer.input_embed.conv_pos_embed.conv1d.0.lora_{x}.weight":
                         np.zeros((4, 4, 31)) for x in "AB"}, ["conv1d.0.lora_A", "linear layer"]),
    "unknown layer": ({}, {f"base_model.model.transformer.layers.3.lora_{x}.weight": np.zeros((4, 4)) for x in "AB"},
                      ["transformer.layers.3", "does not have"]),
    "whole, unasked": ({}, {"base_model.model.transformer.proj_out.bias": np.zeros(100)}, ["modules_to_save"]),
    "whole, unknown": (dict(modules_to_save=["x"]), {"base_model.model.transformer.x.bias": np.zeros(100)},
                       ["transformer.x.bias", "no weight"]),
    "whole, another shape": (dict(modules_to_save=["x"]), {"base_model.model.transformer.proj_out.bias": np.zeros(99)},
                             ["transformer.proj_out.bias", "another shape"]),
    "A alone": ({}, {"base_model.model." + LAYERS[1] + ".lora_A.weight": np.zeros((4, 128))}, ["has no lora_B"]),
    "B alone": ({}, {"base_model.model." + LAYERS[1] + ".lora_B.weight": np.zeros((64, 4))}, ["has no lora_A"]),
    "shapes": ({}, {"base_model.model." + LAYERS[1] + ".lora_A.weight": np.zeros((4, 128)),
                    "base_model.model." + LAYERS[1] + ".lora_B.weight": np.zeros((128, 4))}, ["[64,128]", "[64,r]"]),
}


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_adapters_that_are_refused(tmp_path, tiny, rng, kind):
    settings, tensors, words = UNSUPPORTED[kind]
    folder = write_adapter(tmp_path / "adapter", {**adapter_tensors({LAYERS[0]: pair(tiny, LAYERS[0], rng)}),
                                                  **{k: v.astype(np.float32) for k, v in tensors.items()}}, **settings)
    refused(lib.convert(tiny, tmp_path / "out.f5", lora=folder), folder, *words)
    assert not (tmp_path / "out.f5").exists()


def test_adapter_files(tmp_path, tiny, rng):
    folder = tmp_path / "adapter"
    refused(lib.convert(tiny, tmp_path / "out.f5", lora=folder), folder / "adapter_config.json", "No such file")
    write_adapter(folder, {"x": np.zeros(3, np.float32)})
    refused(lib.convert(tiny, tmp_path / "out.f5", lora=folder, lora_scale=1e9), "lora-scale", code=2)
    (folder / "adapter_model.safetensors").unlink()
    refused(lib.convert(tiny, tmp_path / "out.f5", lora=folder), "adapter_model.safetensors", "No such file")
    write_adapter(folder, adapter_tensors({LAYERS[0]: pair(tiny, LAYERS[0], rng)}))
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        before = (folder / name).read_bytes()
        refused(lib.convert(tiny, folder / name, lora=folder), "overwrite an input")
        assert (folder / name).read_bytes() == before
    for text, word in (("[]", "not a JSON object"), ("{", "adapter_config.json"), ("", "adapter_config.json")):
        (folder / "adapter_config.json").write_text(text)
        refused(lib.convert(tiny, tmp_path / "out.f5", lora=folder), word)


# ---- a checkpoint of another size

@pytest.mark.parametrize("edit, words", [(("depth: 2", "depth: 3"), ["keys missing (", "blocks.2."]),
                                         (("depth: 2", "depth: 1"), ["unknown (", "blocks.1."]),
                                         (("dim: 64", "dim: 128"), ["has shape [", "does the configuration fit the checkpoint?"]),
                                         (("text_dim: ", "text_dim: 1"), ["has shape [", "does the configuration fit"])])
def test_another_size(tmp_path, tiny, edit, words):
    """Troubles B39: the tensor or the keys are named, and the question asked."""
    text = Path(tiny["yaml"]).read_text()
    assert edit[0] in text, text
    (tmp_path / "other.yaml").write_text(text.replace(*edit, 1))
    refused(lib.convert(tiny, tmp_path / "out.f5", config=tmp_path / "other.yaml"), *words)


# ---- ended in the middle

@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    """(a checkpoint, the library that ends its conversion at a call that changes the disk, how many calls there are)"""
    folder = tmp_path_factory.mktemp("larger")
    made, moments = rc.make_checkpoint(folder, "demo", seed=1), outputs_lib.build_moments(folder)
    subprocess.run([lib.program(), *lib.convert_args(made, folder / "model.f5")], check=True, capture_output=True,
                   env=outputs_lib.watched(moments, COUNT=folder / "count"))
    calls = int((folder / "count").read_text().split()[0])
    assert calls > 100
    return made, moments, calls


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("existing", [False, True])
def test_an_ended_conversion_leaves_nothing(tmp_path, rng, larger, number, existing):
    made, moments, calls = larger
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / "model.f5"
    if existing:
        out.write_bytes(b"was here before")
    at = rng.integers(1, calls - 20)  # the last ones give the file its name
    p = subprocess.run([lib.program(), *lib.convert_args(made, out)], capture_output=True,
                       env=outputs_lib.watched(moments, AT=at, SIGNAL=int(number)))
    assert p.returncode == -number, p.stderr
    assert os.listdir(folder) == (["model.f5"] if existing else [])
    assert not existing or out.read_bytes() == b"was here before"


@pytest.mark.parametrize("more", [{}, dict(dtype="int8", calibrate="slt")], ids=["plain", "calibrated"])
def test_a_file_that_may_not_grow(tmp_path, tiny, more):
    folder = tmp_path / "out"
    folder.mkdir()
    result = subprocess.run([lib.program(), *lib.convert_args(tiny, folder / "model.f5", **more)], capture_output=True, text=True,
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000)))
    refused(result, "model.f5", "too large")
    assert os.listdir(folder) == []


# ---- what cannot be told

def test_v0_and_v1_are_told_apart_by_the_configuration_alone(tmp_path, tiny):
    bytes_of(tiny, tmp_path, "note      taken as F5TTS_v1 (text_mask_padding true), as the configuration says")
    made = rc.make_checkpoint(tmp_path / "v0", "tiny", seed=1, text_mask_padding=False, pe_attn_head=1)
    bytes_of(made, tmp_path, "note      taken as F5TTS of before v1 (text_mask_padding false)")
    assert "A checkpoint does not say whether it is of F5TTS_v1" in " ".join(lib.run("help", "convert").stdout.split())


# ---- rotary frequencies

@pytest.mark.parametrize("kind, number", [(torch.float16, 1), (torch.bfloat16, 2), (torch.float32, None)])
def test_stored_rotary(tmp_path, tiny, kind, number):
    """As a 16-bit checkpoint holds them, where that is asked for; files without are those of before."""
    exact = 1 / 10000 ** (torch.arange(0, 64, 2).float() / 64)
    tensors = {k: v.to(kind) for k, v in {**tensors_of(tiny), "transformer.rotary_embed.inv_freq": exact}.items()}
    path = tmp_path / "model.pt"
    torch.save(dict(model_state_dict=tensors), path)
    for asked in (True, None):
        metadata, _ = lib.converted(tiny, tmp_path / "out.f5", checkpoint=path, stored_rotary=asked)
        assert json.loads(metadata["config"])["backbone"].get("rotary") == (number if asked else None)
    if kind != torch.float32:
        tensors["transformer.rotary_embed.inv_freq"][3] *= 1.005
        torch.save(dict(model_state_dict=tensors), path)
        refused(lib.convert(tiny, tmp_path / "bad.f5", checkpoint=path, stored_rotary=True), "stored-rotary", "rounded to")
    del tensors["transformer.rotary_embed.inv_freq"]
    torch.save(dict(model_state_dict=tensors), path)
    refused(lib.convert(tiny, tmp_path / "bad.f5", checkpoint=path, stored_rotary=True), "stored-rotary", "holds no")


# ---- weights kept as a direction and its lengths

def apart(v, key, style=0, lengths=None):
    """The weight `key` of v as torch's weight norm keeps it."""
    w = v.pop(key + ".weight")
    direction, length = ((".weight_v", ".weight_g"), tuple(f".parametrizations.weight.original{i}" for i in (1, 0)))[style]
    v[key + direction] = w
    v[key + length] = np.linalg.norm(w.reshape(len(w), -1), axis=1).reshape(-1, *[1] * (w.ndim - 1)) if lengths is None else lengths


@pytest.mark.parametrize("style", [0, 1])
def test_lengths_that_do_not_fit_stop_only_a_weight_that_is_wanted(tmp_path, tiny, plain, style):
    vocos = dict(tiny["vocos"])

    def convert(tensors):
        rc.write_safetensors(tmp_path / "vocos.safetensors", tensors)
        return lib.convert(tiny, tmp_path / "out.f5", vocos=tmp_path / "vocos.safetensors")

    ignored = dict(vocos)
    ignored["feature_extractor.x.weight"] = np.ones((2, 2), np.float32)
    apart(ignored, "feature_extractor.x", style, np.ones(3, np.float32))
    result = convert(ignored)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out.f5").read_bytes() == plain
    for lengths in (np.ones(3, np.float32), np.ones((1, 1026), np.float32), np.ones((), np.float32)):
        wanted = dict(vocos)
        apart(wanted, "head.out", style, lengths)
        refused(convert(wanted), tmp_path / "vocos.safetensors", "'head.out.weight' is kept with lengths that are not one for each")
    unknown = dict(vocos)
    unknown["more.weight"] = np.ones((2, 2), np.float32)
    apart(unknown, "more", style, np.ones(3, np.float32))
    refused(convert(unknown), tmp_path / "vocos.safetensors", "1 unknown (more.weight)")
    good = dict(vocos)
    apart(good, "head.out", style)
    assert convert(good).returncode == 0
