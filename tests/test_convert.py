"""`f5tts convert` and `f5tts info` on files in upstream's formats: every value arrives where it belongs, the format of
the source leaves no trace, and whatever does not fit is refused by name."""
import json
import os
from pathlib import Path

import numpy as np
import pytest

import convert_lib as lib
import f5lib
from convert_lib import rc

torch = pytest.importorskip("torch", reason="torch writes the real checkpoints these tests read")

FORMATS = ["safetensors", "safetensors-noema", "pt", "pt-noema"]

# shapes that no two dimensions share, so that a transposition cannot go unseen
ODD = dict(dim=48, depth=3, heads=2, ff_mult=3, text_dim=26, conv_layers=1, vocos_dim=24, vocos_ff_dim=40,
           vocos_layers=3)
VARIANTS = {
    "v1": {},
    "odd": ODD,
    "v0": dict(text_mask_padding=False, pe_attn_head=1),
    "qk-norm, long skip": dict(ODD, qk_norm=True, long_skip=True),
    "average upsampling, same padding": dict(average_upsampling=True, vocos_padding="same"),
    "no text blocks": dict(conv_layers=0),
    "char": dict(tokenizer="char"),
    "bytes": dict(tokenizer="byte"),
}


@pytest.fixture
def tiny(tmp_path, seed):
    return rc.make_checkpoint(tmp_path / "tiny", "tiny", seed=seed)


def refused(result, *words, code=1):
    assert result.returncode == code, (result.returncode, result.stdout, result.stderr)
    for word in words:
        assert str(word) in result.stderr, (word, result.stderr)
    assert "Sanitizer" not in result.stderr


# ---- values

@pytest.mark.parametrize("variant", VARIANTS)
def test_every_value_arrives(tmp_path, seed, variant):
    made = rc.make_checkpoint(tmp_path, "tiny", seed=seed, name=f"The {variant} one", **VARIANTS[variant])
    metadata, tensors = lib.converted(made, tmp_path / "out.f5")
    lib.assert_same_tensors(tensors, lib.expected(made))
    c, config = made["config"], json.loads(metadata["config"])
    assert metadata["format"] == "f5tts" and metadata["format_version"] == "2"
    assert config == dict(
        name=f"The {variant} one", tokenizer=c["tokenizer"],
        vocab_size=256 if c["tokenizer"] == "byte" else len(made["vocab"]),
        backbone=dict(kind="DiT", dim=c["dim"], depth=c["depth"], heads=c["heads"], ff_dim=c["dim"] * c["ff_mult"],
                      pe_attn_head=-1 if c["pe_attn_head"] is None else c["pe_attn_head"], qk_norm=c["qk_norm"],
                      long_skip=c["long_skip"]),
        text=dict(dim=c["text_dim"], blocks=c["conv_layers"], mask_padding=c["text_mask_padding"],
                  average_upsampling=c["average_upsampling"]),
        vocoder=dict(kind="Vocos", dim=c["vocos_dim"], ff_dim=c["vocos_ff_dim"], layers=c["vocos_layers"],
                     same_padding=c["vocos_padding"] == "same"))
    if c["tokenizer"] == "byte":
        assert "vocab" not in metadata
    else:
        assert metadata["vocab"].split("\n") == made["vocab"] + [""]


@pytest.mark.parametrize("stored", ["fp32", "fp16", "bf16"])
def test_number_types_and_formats(tmp_path, seed, stored):
    """Source of each type in each container -> .f5 of each type; per type of .f5, all containers give the same bytes."""
    for wanted in ("fp32", "fp16", "bf16"):
        bytes_of = {}
        for form in FORMATS:
            made = rc.make_checkpoint(tmp_path / form, "tiny", seed=seed, format=form, dtype=stored, **ODD)
            out = tmp_path / f"{form}.f5"
            _, tensors = lib.converted(made, out, dtype=wanted)
            lib.assert_same_tensors(tensors, lib.expected(made, wanted))
            bytes_of[form] = out.read_bytes()
        assert len(set(bytes_of.values())) == 1, f"{stored} -> {wanted}: the container leaves a trace"


@pytest.mark.parametrize("dtype,vocos_dtype", [("fp16", "fp16"), ("fp32", "bf16"), ("bf16", "fp16")])
def test_a_narrow_vocoder(tmp_path, seed, rng, dtype, vocos_dtype):
    """Its matrices take a type of their own in the file, and are what they were once opened: no other sound."""
    made = rc.make_checkpoint(tmp_path, "tiny", seed=seed)
    made["vocos"] = {k: rc.rounded(v, vocos_dtype) for k, v in made["vocos"].items()}
    rc.write_torch(made["vocos_path"], made["vocos"])
    _, tensors = lib.converted(made, tmp_path / "narrow.f5", dtype=dtype, vocos_dtype=vocos_dtype)
    lib.assert_same_tensors(tensors, lib.expected(made, dtype, vocos_dtype))
    lib.converted(made, tmp_path / "wide.f5", dtype=dtype)
    mel = rng.standard_normal((40, 100)).astype(np.float32)
    sounds = []
    for name in ("narrow.f5", "wide.f5"):
        with f5lib.Engine(tmp_path / name, max_frames=64) as engine:
            sounds.append(engine.vocode(mel))
    assert np.array_equal(*sounds)
    assert f"precision       {dtype}, vocoder {vocos_dtype}\n" in lib.run("info", tmp_path / "narrow.f5").stdout


def test_rounding_matches_torch(tmp_path, seed, rng):
    """Ties, subnormals and the largest numbers, against torch's own conversions."""
    made = rc.make_checkpoint(tmp_path, "tiny", seed=seed)
    key = "transformer.proj_out.weight"
    bits = rng.integers(0, 2**32, made["model"][key].size, dtype=np.uint32)
    values = bits.view(np.float32)
    values[~np.isfinite(values) | (np.abs(values) >= 65504)] = 0
    ties = (rng.integers(0x3800, 0x4700, 3000, dtype=np.uint32) << 16 | 0x8000 | rng.integers(0, 2, 3000, np.uint32) << 12)
    values[:3000] = ties.view(np.float32)
    values[3000:3006] = [65503.9, -65504, 6e-8, 2.0**-25, 3 * 2.0**-26, -0.0]
    made["model"][key] = values.reshape(made["model"][key].shape)
    rc.write_safetensors(made["checkpoint"], made["model"])
    for dtype, kind in (("fp16", torch.float16), ("bf16", torch.bfloat16)):
        _, tensors = lib.converted(made, tmp_path / "out.f5", dtype=dtype)
        wanted = torch.from_numpy(values.copy()).to(kind).view(torch.int16).numpy()
        np.testing.assert_array_equal(tensors["dit.proj_out.weight"].view(np.int16).ravel(), wanted)


def test_twice_gives_the_same_bytes(tmp_path, tiny):
    files = []
    for name in ("a.f5", "b.f5"):
        lib.converted(tiny, tmp_path / name, dtype="fp16", name="elsewhere")
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1] and b"elsewhere" in files[0][:4096] and str(tmp_path).encode() not in files[0]


# ---- torch

def test_torch_reads_our_archives(tmp_path, seed):
    for dtype, kind in (("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)):
        made = rc.make_checkpoint(tmp_path, "tiny", seed=seed, format="pt", dtype=dtype)
        loaded = torch.load(made["checkpoint"], map_location="cpu")["ema_model_state_dict"]
        assert loaded["step"].item() == 1250000 and loaded["initted"].item() is True
        for key, values in made["model"].items():
            tensor = loaded["ema_model." + key]
            assert tensor.dtype == kind and tensor.is_contiguous()
            np.testing.assert_array_equal(tensor.float().numpy(), values, err_msg=key)
        vocos = torch.load(made["vocos_path"], map_location="cpu")
        assert set(vocos) == set(made["vocos"])


def tensors_of(made, prefix=""):
    return {prefix + k: torch.from_numpy(v.copy()) for k, v in made["model"].items()}


class Holder(torch.nn.Module):
    """A module whose state_dict() has the keys asked for, with the `_metadata` that real ones carry."""

    def __init__(self, tensors):
        super().__init__()
        for key, value in tensors.items():
            at, *path = self, *key.split(".")
            for part in path[:-1]:
                if part not in at._modules:
                    at.add_module(part, torch.nn.Module())
                at = at._modules[part]
            at.register_parameter(path[-1], torch.nn.Parameter(value))


def save_state_dict(made, path):
    torch.save({"model_state_dict": Holder(tensors_of(made)).state_dict()}, path)


def save_parameters(made, path):
    torch.save({"model_state_dict": {k: torch.nn.Parameter(v) for k, v in tensors_of(made).items()}}, path)


def save_plain(made, path):
    torch.save(tensors_of(made), path)


def save_protocol(protocol):
    return lambda made, path: torch.save({"ema_model_state_dict": tensors_of(made, "ema_model.")}, path,
                                         pickle_protocol=protocol)


def save_strided(made, path):
    """Transposed, permuted and sliced tensors: the window, not the storage, is what counts."""
    tensors = tensors_of(made)
    for i, (key, value) in enumerate(tensors.items()):
        if value.dim() == 2 and i % 2:
            tensors[key] = value.t().contiguous().t()
        elif value.dim() == 3:
            tensors[key] = value.permute(2, 0, 1).contiguous().permute(1, 2, 0)
        elif value.dim() == 1:
            wide = torch.full((value.numel() + 3, 5), float("nan"))
            wide[2:-1, 3] = value
            tensors[key] = wide[2:-1, 3]
    assert sum(not v.is_contiguous() for v in tensors.values()) > 30
    torch.save({"model_state_dict": tensors}, path)


def save_trainer(made, path):
    """What upstream's trainer writes: averaged and plain weights, an optimizer that has stepped, a scheduler."""
    module = Holder({k: v[:1].clone() * 0 + 7 for k, v in tensors_of(made).items()})
    optimizer = torch.optim.AdamW(module.parameters(), lr=7.5e-5)
    warm = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1e-8, end_factor=1.0, total_iters=4)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=1e-8, total_iters=9)
    scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [warm, decay], milestones=[4])
    for _ in range(2):
        for p in module.parameters():
            p.grad = torch.ones_like(p)
        optimizer.step()
        scheduler.step()
    averaged = {"initted": torch.tensor(True), "step": torch.tensor(3), **tensors_of(made, "ema_model."),
                "ema_model.mel_spec.mel_stft.mel_scale.fb": torch.zeros(513, 100),
                "ema_model.mel_spec.mel_stft.spectrogram.window": torch.zeros(1024)}
    torch.save(dict(model_state_dict=module.state_dict(), optimizer_state_dict=optimizer.state_dict(),
                    ema_model_state_dict=averaged, scheduler_state_dict=scheduler.state_dict(), update=1250000), path)


REAL = {"state_dict()": save_state_dict, "parameters": save_parameters, "plain dict": save_plain,
        "strided": save_strided, "trainer": save_trainer, "protocol 2": save_protocol(2),
        "protocol 4": save_protocol(4), "protocol 5": save_protocol(5)}


@pytest.mark.parametrize("kind", REAL)
def test_real_torch_files(tmp_path, tiny, kind):
    path = tmp_path / "real.bin"
    REAL[kind](tiny, path)
    _, tensors = lib.converted(tiny, tmp_path / "out.f5", checkpoint=path)
    lib.assert_same_tensors(tensors, lib.expected(tiny))


@pytest.mark.parametrize("ending", [0x80, 0x4B50], ids=["like a pickle", "like a zip"])
def test_safetensors_whose_length_looks_like_another_format(tmp_path, tiny, ending):
    """The file begins with the length of its header, and one length in 32 is the first byte of a pickle."""
    file = Path(tiny["checkpoint"]).read_bytes()
    length = int.from_bytes(file[:8], "little")
    longer = length + (ending - length) % (256 if ending < 256 else 65536)
    (tmp_path / "padded.safetensors").write_bytes(
        longer.to_bytes(8, "little") + file[8:8 + length].ljust(longer) + file[8 + length:])
    _, tensors = lib.converted(tiny, tmp_path / "out.f5", checkpoint=tmp_path / "padded.safetensors")
    lib.assert_same_tensors(tensors, lib.expected(tiny))


def test_vocos_as_safetensors(tmp_path, tiny):
    path = tmp_path / "vocos.safetensors"
    rc.write_safetensors(path, tiny["vocos"])
    lib.converted(tiny, tmp_path / "a.f5")
    lib.converted(tiny, tmp_path / "b.f5", vocos=path)
    assert (tmp_path / "a.f5").read_bytes() == (tmp_path / "b.f5").read_bytes()


def test_unreadable_torch_files_say_what_to_do(tmp_path, tiny):
    path = tmp_path / "odd.pt"
    torch.save(Holder(tensors_of(tiny)), path)
    refused(lib.convert(tiny, tmp_path / "out.f5", checkpoint=path), path, "Holder", "nothing is executed")
    torch.save({"model_state_dict": {k: v.int() for k, v in tensors_of(tiny).items()}}, path)
    refused(lib.convert(tiny, tmp_path / "out.f5", checkpoint=path), path, "int32", "float32", "float64")
    torch.save([1, 2], path)
    refused(lib.convert(tiny, tmp_path / "out.f5", checkpoint=path), path, "no state dict")


# ---- what does not fit

def test_keys_that_do_not_fit(tmp_path, tiny):
    out = tmp_path / "out.f5"

    def attempt(change, *words):
        tensors = {k: v.copy() for k, v in tiny["model"].items()}
        change(tensors)
        for form, path in (("safetensors", tmp_path / "m.safetensors"), ("pt", tmp_path / "m.pt")):
            rc.write_acoustic(path, tensors, form, "fp32")
            refused(lib.convert(tiny, out, checkpoint=path), path, *words)
        assert not out.exists()

    first, second = "transformer.time_embed.time_mlp.0.bias", "transformer.proj_out.weight"
    attempt(lambda t: t.pop(first), "1 keys missing", first, "0 unknown")
    attempt(lambda t: (t.pop(first), t.pop(second)), "2 keys missing", first, second)
    attempt(lambda t: t.update({"transformer.layers.0.g": np.zeros(3, np.float32)}), "transformer.layers.0.g", "1 unknown")
    attempt(lambda t: [t.pop(k) for k in list(t) if "transformer_blocks.1" in k], "14 keys missing", "...")
    attempt(lambda t: t.update({second: t[second].T.copy()}), second, "[64,100]", "[100,64]")
    attempt(lambda t: t.update({first: t[first][:, None].copy()}), first, "[64,1]", "[64]")
    attempt(lambda t: t.update({"transformer.text_embed.text_embed.weight": np.zeros((100, 32), np.float32)}),
            "[100,32]", f"[{len(tiny['vocab']) + 1},32]", f"{len(tiny['vocab'])} the vocabulary's size")
    attempt(lambda t: t.update({"transformer.rotary_embed.inv_freq": np.ones(32, np.float32)}), "rotary frequencies")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(tmp_path, tiny, rng, bad):
    for group, path_key, write in (("model", "checkpoint", rc.write_safetensors), ("vocos", "vocos_path", rc.write_torch)):
        key = rng.choice([k for k in tiny[group] if k.startswith(("transformer.trans", "backbone."))])
        kept = tiny[group][key].copy()
        tiny[group][key].reshape(-1)[rng.integers(kept.size)] = bad
        write(tiny[path_key], tiny[group])
        refused(lib.convert(tiny, tmp_path / "out.f5"), tiny[path_key], key, "not finite")
        tiny[group][key] = kept
        write(tiny[path_key], tiny[group])
    assert not (tmp_path / "out.f5").exists()


def test_values_too_large_for_half(tmp_path, tiny):
    key = "transformer.transformer_blocks.1.ff.ff.2.weight"
    tiny["model"][key][3, 5] = -70000
    rc.write_safetensors(tiny["checkpoint"], tiny["model"])
    refused(lib.convert(tiny, tmp_path / "out.f5", dtype="fp16"), key, "-70000", "bf16")
    lib.converted(tiny, tmp_path / "out.f5", dtype="bf16")
    # a vector of the same size is stored in fp32 always
    tiny["model"][key][3, 5] = 0
    tiny["model"]["transformer.proj_out.bias"][1] = 70000
    rc.write_safetensors(tiny["checkpoint"], tiny["model"])
    lib.converted(tiny, tmp_path / "out.f5", dtype="fp16")


def test_a_failure_leaves_nothing_behind(tmp_path, tiny):
    folder = tmp_path / "out"
    folder.mkdir()
    old = folder / "old.f5"
    old.write_bytes(b"was here before")
    tiny["vocos"]["head.out.bias"][-1] = np.nan  # one of the last tensors written
    rc.write_torch(tiny["vocos_path"], tiny["vocos"])
    for out in (folder / "new.f5", old):
        refused(lib.convert(tiny, out), "head.out.bias")
    assert os.listdir(folder) == ["old.f5"] and old.read_bytes() == b"was here before"


def test_output_is_never_an_input(tmp_path, tiny):
    for key in ("yaml", "checkpoint", "vocab_path", "vocos_config", "vocos_path"):
        before = Path(tiny[key]).read_bytes()
        alias = tmp_path / "alias.f5"
        os.link(tiny[key], alias)
        refused(lib.convert(tiny, alias), alias, "overwrite an input")
        assert Path(tiny[key]).read_bytes() == before
        alias.unlink()


# ---- configuration

def convert_yaml(tiny, tmp_path, text, **other):
    path = tmp_path / "edited.yaml"
    path.write_text(text)
    return lib.convert(tiny, tmp_path / "out.f5", config=path, **other)


def test_missing_keys_take_upstreams_defaults(tmp_path, seed):
    """DiT(dim): depth 8, heads 8, ff_mult 4, text_dim 100, no text convs, masked padding, rotary on every head."""
    made = rc.make_checkpoint(tmp_path, "tiny", seed=seed, depth=8, heads=8, ff_mult=4, text_dim=100, conv_layers=0,
                              dim=16)
    config = tmp_path / "short.yaml"
    config.write_text("model: {name: Short, tokenizer: pinyin, backbone: DiT, arch: {dim: 16}}")
    metadata, tensors = lib.converted(made, tmp_path / "out.f5", config=config)
    lib.assert_same_tensors(tensors, lib.expected(made))
    c = json.loads(metadata["config"])
    b = c["backbone"]
    assert (b["pe_attn_head"], c["text"]["mask_padding"], b["qk_norm"], b["long_skip"]) == (-1, True, False, False)
    vocos = tmp_path / "vocos.yaml"  # ISTFTHead's padding defaults to same
    vocos.write_text(Path(made["vocos_config"]).read_text().rsplit("    padding: center", 1)[0])
    metadata, _ = lib.converted(made, tmp_path / "out.f5", config=config, vocos_config=vocos)
    assert json.loads(metadata["config"])["vocoder"]["same_padding"] is True


def test_sections_for_training_are_ignored(tmp_path, tiny):
    """What stands in upstream's files beside the model: interpolations, lists, nested maps, words that look like ours."""
    training = """
datasets: {name: "${model.name}", batch_size_per_gpu: 38400, backbone: UNetT}
optim:
  learning_rate: 7.5e-5   # a float
  betas: [0.9, 0.999]
rl:
  prompt_frac_range: [0.1, 0.3]
  rewards:
    providers:
      - name: one
        config: {dim: 3}
      - name: two
        weight: 3.0
ckpts:
  logger: null
  keep_last_n_checkpoints: -1
  save_dir: ckpts/${model.name}_${datasets.name}
"""
    config = tmp_path / "edited.yaml"
    config.write_text(training + Path(tiny["yaml"]).read_text())
    lib.converted(tiny, tmp_path / "a.f5")
    lib.converted(tiny, tmp_path / "b.f5", config=config)
    assert (tmp_path / "a.f5").read_bytes() == (tmp_path / "b.f5").read_bytes()


UNSUPPORTED = {
    "backbone: DiT": [("backbone: UNetT", "text_embedding_average_upsampling is not an option"), ("backbone: MMDiT", "is not an option"),
                      ("backbone: Foo", "only DiT, UNetT, MMDiT"), ("backbone: [DiT]", "one value"), ("", "missing")],
    "tokenizer: pinyin": [("tokenizer: klingon", "klingon"), ("tokenizer: ${x.y}", "write the value out")],
    "n_mel_channels: 100": [("n_mel_channels: 80", "80"), ("n_mel_channels: 100.0", "whole number")],
    "mel_spec_type: vocos": [("mel_spec_type: hifigan", "only vocos, bigvgan")],
    "hop_length: 256": [("hop_length: 320", "320")],
    "dim: 64": [("dim: sixty", "sixty"), ("dim: -64", "-64"), ("dim: 0x40", "0x40"), ("dim: '64'", "whole number"),
                ("dim: 65", "multiple of 16"), ("dim: 99999999999999999999", "whole number"), ("dim: 100000", "100000"),
                ("dim: null", "missing"), ("dim: 064", "whole number")],
    "depth: 2": [("depth: 0", "depth"), ("depth: 65", "depth")],
    "qk_norm: null": [("qk_norm: layer_norm", "rms_norm")],
    "pe_attn_head: null": [("pe_attn_head: 2", "pe_attn_head is 2 of 1"), ("pe_attn_head: one", "whole number")],
    "attn_backend: torch": [("dim_head: 128", "dim_head"), ("frobnicate: 1", "frobnicate"), ("dim: 64", "twice")],
    "text_mask_padding: True": [("text_mask_padding: 1", "true or false"), ("text_mask_padding: 'True'", "true or false")],
    "text_embedding_average_upsampling: False": [
        ("text_embedding_average_upsampling: True\n    text_mask_padding: False", "twice")],
}


@pytest.mark.parametrize("line", UNSUPPORTED)
def test_configurations_we_do_not_have(tmp_path, tiny, line):
    text = Path(tiny["yaml"]).read_text()
    assert text.count(line) == 1
    for other, word in UNSUPPORTED[line]:
        refused(convert_yaml(tiny, tmp_path, text.replace(line, other)), tmp_path / "edited.yaml", word)


@pytest.mark.parametrize("old, new, word", [
    ("MelSpectrogramFeatures", "EncodecFeatures", "EncodecFeatures"), ("ISTFTHead", "IMDCTSymExpHead", "IMDCT"),
    ("VocosBackbone", "VocosResNetBackbone", "ResNet"), ("sample_rate: 24000", "sample_rate: 44100", "44100"),
    ("input_channels: 100", "input_channels: 128", "128"), ("num_layers: 2", "num_layers: 33", "vocoder.layers"),
    ("    num_layers: 2\n", "", "num_layers is missing"), ("num_layers: 2", "num_layers: 3", "keys missing"),
    ("intermediate_dim: 96", "intermediate_dim: 64", "shape"), ("padding: center\n\nback", "padding: center\n\nfoo", "missing"),
    ("num_layers: 2", "num_layers: 2\n    adanorm_num_embeddings: 4", "bandwidth"),
])
def test_vocoders_we_do_not_have(tmp_path, tiny, old, new, word):
    path = tmp_path / "edited.yaml"
    text = Path(tiny["vocos_config"]).read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    refused(lib.convert(tiny, tmp_path / "out.f5", vocos_config=path), word)


def test_vocabularies(tmp_path, tiny):
    path, out = tmp_path / "other.txt", tmp_path / "out.f5"
    tokens = Path(tiny["vocab_path"]).read_text()
    path.write_text(tokens.replace("\n", "\r\n"), newline="")
    lib.converted(tiny, out)
    plain = out.read_bytes()
    lib.converted(tiny, out, vocab=path)
    assert out.read_bytes() == plain, "line endings leave a trace"
    path.write_text(tokens + "extra\n")
    refused(lib.convert(tiny, out, vocab=path), f"{len(tiny['vocab']) + 1} the vocabulary's size")
    refused(lib.convert(tiny, out, vocab=None), tiny["yaml"], "--vocab")


# ---- command line

def test_command_line(tmp_path, tiny):
    args = lib.convert_args(tiny, tmp_path / "out.f5")
    for i in range(1, len(args)):
        name = args[i].split("=")[0]
        result = lib.run(*(a for a in args if not a.startswith(name + "=")))
        if name in ("--dtype", "--vocab", "--pinyin"):
            assert result.returncode == (1 if name == "--vocab" else 0)
        else:
            refused(result, name, "required", code=2)
    refused(lib.run(*args, "--dtype=int4"), "int4", code=2)
    refused(lib.run(*args, "--vocos-dtype=int8"), "int8", code=2)
    refused(lib.run(*args, "surplus"), "surplus", code=2)
    refused(lib.run(*args, "--name", "x" * 64), "63 bytes")
    refused(lib.run(*args, "--name", 'say "hi"'), "--name: configuration: name is not plain")
    missing = tmp_path / "absent"
    for option in ("config", "checkpoint", "vocab", "vocos_config", "vocos", "pinyin"):
        refused(lib.convert(tiny, tmp_path / "out.f5", **{option: missing}), missing, "No such file")
        refused(lib.convert(tiny, tmp_path / "out.f5", **{option: tmp_path}), tmp_path, "regular file")
    refused(lib.convert(tiny, tmp_path / "no" / "out.f5"), tmp_path / "no" / "out.f5")
    quiet = lib.run(*args, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    loud = lib.run(*args)
    assert "converting" in loud.stderr and "0.27 M parameters" in loud.stdout and "float32" in loud.stdout


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
def test_info(tmp_path, seed, dtype):
    made = rc.make_checkpoint(tmp_path, "tiny", seed=seed, name="Zoë", pe_attn_head=1)
    path = tmp_path / 'a "quoted" name.f5'
    metadata, tensors = lib.converted(made, path, dtype=dtype)
    told = json.loads(lib.run("info", path, "--json", "--tensors").stdout)
    assert told["file"] == str(path) and told["backbone"] == "DiT" and told["precision"] == dtype
    assert told["config"] == json.loads(metadata["config"]) and told["first_tokens"] == made["vocab"][:16]
    assert {t["name"]: tuple(t["shape"]) for t in told["tensors"]} == {k: v.shape for k, v in tensors.items()}
    assert told["total"] == dict(tensors=len(tensors), parameters=sum(v.size for v in tensors.values()),
                                 bytes=sum(v.nbytes for v in tensors.values()))
    for part in ("dit", "text", "vocos"):
        mine = [v for k, v in tensors.items() if k.startswith(part + ".")]
        assert told["parts"][part] == dict(tensors=len(mine), parameters=sum(v.size for v in mine),
                                           bytes=sum(v.nbytes for v in mine))
    text = lib.run("info", path, "--tensors").stdout
    for word in ("Zoë", "width 64, 2 blocks, 1 heads", "first 1 of 1", "pinyin, 295 tokens", dtype, "dit.modulation.weight"):
        assert word in text, (word, text)


def test_info_refuses(tmp_path, tiny):
    refused(lib.run("info"), "name one", code=2)
    refused(lib.run("info", tmp_path / "absent.f5"), "absent.f5")
    refused(lib.run("info", tiny["checkpoint"]), tiny["checkpoint"])
    refused(lib.run("info", tiny["vocos_path"]), tiny["vocos_path"])


def test_info_plan(tmp_path, tiny):
    lib.converted(tiny, tmp_path / "out.f5")
    small, large = (json.loads(lib.run("info", tmp_path / "out.f5", "--json", "--plan", f"--frames={n}", "--nfe=7",
                                       "--device=cpu").stdout)["plan"] for n in (100, 400))
    assert small["frames"] == 100 and small["nfe"] == 7 and small["op_calls"] > 0
    assert large["flop"] > 3 * small["flop"] > 0 and large["arena_bytes"] > small["arena_bytes"] > 0
    assert "TFLOP" in lib.run("info", tmp_path / "out.f5", "--plan", "--device=cpu").stdout
