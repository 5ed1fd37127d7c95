"""Checkpoints of every kind of model made to break `f5tts convert`: E2-TTS, MMDiT, BigVGAN and Flow-Matching-TTS with a tensor
missing, too many, of another shape, type or size, or of no numbers, and with configurations that lie. Each is refused with
one line that names the file and the reason; nothing is left behind. Run against the sanitized build where F5_ASAN_BUILD
names one. Damaged copies are refused or converted, never a crash."""
import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest

import convert_lib as lib
from bad_pickles import refused
from convert_lib import rc
from test_convert_damaged import mutations, survives

KINDS = {
    "E2": dict(arch="E2TTS_Base", dim=64, depth=4, heads=1),
    "MMDiT": dict(arch="MMDiT_Base", dim=64, depth=2, heads=1, text_dim=64),
    "BigVGAN": dict(arch="tiny", depth=1, conv_layers=1, vocoder="bigvgan", bigvgan_channels=4, bigvgan_rates=(16, 16)),
    "FM": dict(arch="FM_TTS", dim=64, depth=2, heads=1, mb_channels=8),
}
SMALL_VOCOS = dict(vocos_dim=4, vocos_ff_dim=4, vocos_layers=1)
E2, MMDIT, FLOW = "transformer.layers.", "transformer.transformer_blocks.", "flow_tts.flow_matching.model."

# of each kind: matrices, and vectors, of which some have a form of their own (a norm's, the last block's, a weight's length)
MATRICES = {
    "E2": [E2 + "3.0.weight", E2 + "0.2.to_q.weight", "transformer.input_embed.proj.weight", "transformer.text_embed.text_embed.weight"],
    "MMDiT": [MMDIT + "1.attn_norm_c.linear.weight", MMDIT + "0.attn.to_k_c.weight", "transformer.audio_embed.linear.weight",
              "transformer.text_embed.text_embed.weight"],
    "BigVGAN": ["ups.1.0.weight_v", "resblocks.4.convs2.1.weight_v", "conv_post.weight_v", "conv_pre.weight_v"],
    "FM": [FLOW + "transformer.layers.1.self_attn.in_proj_weight", FLOW + "text_pos_enc", "dec.ups.1.weight_v",
           "flow_tts.duration_predictor.conv_layers.0.weight", "dec.subband_conv_post.weight_v"]}
VECTORS = {
    "E2": [E2 + "2.1.g", "transformer.norm_out.g", E2 + "1.4.ff.0.0.bias"],
    "MMDiT": [MMDIT + "1.attn.to_v_c.bias", MMDIT + "0.ff_c.ff.2.bias", "transformer.norm_out.linear.bias"],
    "BigVGAN": ["resblocks.5.activations.3.act.alpha", "ups.0.0.weight_g", "activation_post.act.beta", "ups.0.0.bias"],
    "FM": [FLOW + "mel_proj.bias", "dec.conv_pre.weight_g", "flow_tts.duration_predictor.norm_layers.2.bias", "dec.ups.0.bias"]}
EXTRA = {"E2": [E2 + "4.1.g", E2 + "0.0.weight", "transformer.transformer_blocks.0.attn.to_q.bias"],
         "MMDiT": [MMDIT + "1.ff_c.ff.2.bias", MMDIT + "0.attn.q_norm.weight", MMDIT + "2.attn.to_q.bias"],
         "BigVGAN": ["conv_post.bias", "resblocks.6.convs1.0.bias", "ups.2.0.bias"],
         "FM": [FLOW + "transformer.layers.2.norm1.bias", "dec.conv_post.bias", "dec.ups.2.bias", "flow_tts.speaker.weight"]}


@pytest.fixture(scope="module", params=KINDS)
def made(request, tmp_path_factory, seed):
    """(kind, its files)"""
    settings = dict(KINDS[request.param])
    more = {} if request.param == "FM" else SMALL_VOCOS
    return request.param, rc.make_checkpoint(tmp_path_factory.mktemp("kind"), settings.pop("arch"), seed=seed, format="pt", **settings, **more)


def tensors_of(kind, made):
    """What the file under attack holds."""
    return dict(made["vocos"] if kind == "BigVGAN" else {**made["model"], **made["vocos"]} if kind == "FM" else made["model"])


def write(kind, tensors, path):
    rc.write_torch(path, {"generator": tensors} if kind == "BigVGAN" else {"model": tensors, "iteration": 1} if kind == "FM" else
                   {"model_state_dict": tensors})
    return {"vocos" if kind == "BigVGAN" else "checkpoint": path}


def converts(made, folder, **files):
    return lib.convert(made, folder / "out.f5", sanitized=True, **files)


def check(result, path, word, folder):
    refused(result, path)
    assert re.search(word, result.stderr), f"expected {word!r} in: {result.stderr}"
    assert not (folder / "out.f5").exists() and not list(folder.glob("*.tmp*"))


def test_it_is_whole_before(made, tmp_path):
    kind, files = made
    result = converts(files, tmp_path, **write(kind, tensors_of(kind, files), tmp_path / "a.pt"))
    assert result.returncode == 0, result.stderr


def of_type(x, kind):
    return np.zeros(x.shape, kind)


SHAPE = "has shape|not one for each of its rows"
DAMAGES = {
    "missing": (lambda x: None, "keys missing"),
    "a row more": (lambda x: np.concatenate([x, x[:1]]), SHAPE),
    "a row fewer": (lambda x: x[1:], SHAPE),
    "no rows": (lambda x: x[:0], SHAPE),
    "a dimension more": (lambda x: x[None], SHAPE),
    "a number": (lambda x: x.flatten()[:1].reshape(()), SHAPE),
    "nine dimensions": (lambda x: x.reshape((1,) * (9 - x.ndim) + x.shape), "8 dimensions"),
    "whole numbers": (lambda x: of_type(x, np.int64), "int64|float"),
    "flags": (lambda x: of_type(x, bool), "bool|float"),
    "not a number": (lambda x: np.where(np.arange(x.size).reshape(x.shape) == x.size - 1, np.float32("nan"), x), "not finite"),
    "infinite": (lambda x: np.where(np.arange(x.size).reshape(x.shape) == 0, np.float32("-inf"), x), "not finite"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_tensors(made, tmp_path, damage):
    kind, files = made
    change, word = DAMAGES[damage]
    for key in MATRICES[kind] + VECTORS[kind]:
        tensors = tensors_of(kind, files)
        value = change(tensors[key])
        if value is None:
            del tensors[key]
        else:
            tensors[key] = value
        check(converts(files, tmp_path, **write(kind, tensors, tmp_path / "bad.pt")), tmp_path / "bad.pt", word, tmp_path)


def test_lengths_of_nothing_and_numbers_too_large(made, tmp_path):
    """A row of zeros has no direction; what 16 bits cannot hold is not made infinite."""
    kind, files = made
    for key in MATRICES[kind]:
        tensors, joined = tensors_of(kind, files), key.endswith("weight_v")
        tensors[key] = np.zeros_like(tensors[key]) if joined else np.full_like(tensors[key], 1e30)
        result = converts(files, tmp_path, dtype="fp16", **write(kind, tensors, tmp_path / "bad.pt"))
        if joined or result.returncode:
            check(result, tmp_path / "bad.pt", "not finite|fp16|16 bits", tmp_path)
        else:  # stored in 32 bits always
            assert np.isfinite(np.concatenate([t.flatten() for t in lib.read_f5(tmp_path / "out.f5")[1].values()
                                               if t.dtype.kind == "f"])).all(), key
            (tmp_path / "out.f5").unlink()


def test_tensors_too_many(made, tmp_path):
    kind, files = made
    for key in EXTRA[kind]:
        tensors = {**tensors_of(kind, files), key: np.ones(3, np.float32)}
        check(converts(files, tmp_path, **write(kind, tensors, tmp_path / "bad.pt")), tmp_path / "bad.pt", "unknown", tmp_path)


# ---- sizes that only a header says

def test_sizes_beyond_all_memory(made, tmp_path):
    """A header of a few bytes promises tensors of 2^62 and more numbers."""
    kind, files = made
    key = (MATRICES[kind] + VECTORS[kind])[0]
    for shape, offsets in (([2 ** 62, 2 ** 62], [0, 16]), ([2 ** 40, 64], [0, 2 ** 48]), ([2 ** 63], [0, 2 ** 63]), ([-1, 64], [0, 16]),
                           ([1] * 70000, [0, 4]), ([2 ** 32, 2 ** 32], [0, 0]), ([0, 2 ** 62], [0, 0])):
        header = json.dumps({key: {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).encode()
        header += b" " * (-len(header) % 8)
        path = tmp_path / "bad.safetensors"
        path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 16)
        files_of = {"vocos" if kind == "BigVGAN" else "checkpoint": path}
        check(converts(files, tmp_path, **files_of), path, "", tmp_path)


# ---- configurations that lie

NUMBERS = (0, -1, 1.5, 2 ** 31, 2 ** 63, 10 ** 30, "x", None, [], {}, True)


def config_of(kind):
    return "vocos_config" if kind == "BigVGAN" else "config"


def lies(kind, files):
    """(name, the configuration's text)"""
    text = Path(files["vocos_config" if kind == "BigVGAN" else "yaml"]).read_text()
    if kind in ("E2", "MMDiT"):
        for field in ("dim", "depth", "heads", "ff_mult"):
            line = re.search(rf"    {field}: .*", text).group()
            for value in NUMBERS:
                yield f"{field} {value}", text.replace(line, f"    {field}: {json.dumps(value)}")
            yield f"no {field}", text.replace(line + "\n", "")  # upstream's own default, which is not this
        other = {"E2": "MMDiT", "MMDiT": "UNetT"}[kind]
        yield "another backbone", re.sub("backbone: .*", f"backbone: {other}", text)
        yield "an unknown backbone", re.sub("backbone: .*", "backbone: ../../etc/passwd", text)
        yield "another rate", text.replace("24000", "22050")
        return
    said = json.loads(text)
    model = said if kind == "BigVGAN" else said["model"]
    numbers = ["upsample_initial_channel"] + ([] if kind == "BigVGAN" else ["flow_d_model", "flow_nhead", "flow_num_layers",
                                              "flow_dim_feedforward", "n_text_vocab", "gen_istft_n_fft", "subbands"])
    lists = ("upsample_rates", "upsample_kernel_sizes", "resblock_kernel_sizes", "resblock_dilation_sizes")
    values = [(field, v) for field in numbers for v in NUMBERS] + [
        (field, v) for field in lists for v in (*NUMBERS, [0, 16], [-16, -16], [2 ** 40, 1], [16] * 70, ["16", "16"], [[16], [16]], [[[1]]])]
    for field, value in values:
        was, model[field] = model[field], value
        yield f"{field} {value}", json.dumps(said)
        model[field] = was
    yield "nested", "[" * 100000
    yield "cut", text[:len(text) // 2]
    yield "nothing", ""
    yield "a list", "[]"


def test_configurations(made, tmp_path):
    kind, files = made
    for name, text in lies(kind, files):
        path = tmp_path / "bad.json"  # the ending of what is one file for the whole model
        path.write_text(text)
        result = converts(files, tmp_path, **{config_of(kind): path})
        if (name.endswith(" None") or name.startswith("no ")) and result.returncode == 0:  # upstream's default, which this model has
            (tmp_path / "out.f5").unlink()
            continue
        assert result.returncode == 1 and not (tmp_path / "out.f5").exists(), (name, result.returncode, result.stderr)
        lines = [line for line in result.stderr.splitlines() if not line.startswith("converting ")]
        assert len(lines) == 1 and lines[0].startswith("f5tts convert: ") and lines[0].isprintable(), (name, result.stderr)


def test_damaged_copies(made, tmp_path, rng):
    """Where the structure is: the pickle, and the configuration."""
    kind, files = made
    data = Path(files["vocos_path" if kind == "BigVGAN" else "checkpoint"]).read_bytes()
    config = Path(files["vocos_config" if kind == "BigVGAN" else "yaml"]).read_bytes()
    option = "vocos" if kind == "BigVGAN" else "checkpoint"
    for name, what, count, high in ((option, data, 25, data.index(b"archive/byteorder")), (config_of(kind), config, 25, None)):
        for damaged in mutations(rng, what, count, 0, high):
            path = tmp_path / "damaged.json"
            path.write_bytes(damaged)
            survives(converts(files, tmp_path, **{name: path}))
