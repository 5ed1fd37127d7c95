"""f5file.py — .f5 files made in Python, for machines that cannot run `f5tts convert` (a GPU box without libyaml).

    made = write_model("model.f5", "F5TTS_v1_Base", seed=1)     # random weights of trained size
    made["model"], made["vocos"]                                  # upstream-named tensors, for the PyTorch reference

Written from weights/FORMAT.md (names, shapes, packings) and runtime/MODEL.md; test_f5file.py holds it against the
converter.
"""
import json
import struct
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parent.parent / "weights"))
import random_bigvgan  # noqa: E402
import random_checkpoint  # noqa: E402
import random_fm_tts  # noqa: E402

MEL = 100


def convnext(tensors, ours, theirs, weights, matrix):
    tensors[ours + "dwconv.weight"] = weights[theirs + "dwconv.weight"][:, 0].T, False
    tensors[ours + "dwconv.bias"] = weights[theirs + "dwconv.bias"], False
    for part in ("weight", "bias"):
        tensors[ours + "norm." + part] = weights[theirs + "norm." + part], False
        for i in "12":
            tensors[f"{ours}pw{i}.{part}"] = weights[f"{theirs}pwconv{i}.{part}"], matrix and part == "weight"


def layer_names(c, i):
    """Layer i in a .f5 file; its attention and its feed-forward in upstream's."""
    if c["backbone"] == "UNetT":
        return f"unett.layers.{i}.", f"layers.{i}.2.", f"layers.{i}.4.ff."
    return f"dit.blocks.{i}.", f"transformer_blocks.{i}.attn.", f"transformer_blocks.{i}.ff.ff."


def dit_only(t, c, w, stack):
    for part in ("weight", "bias"):
        norms = [f"transformer_blocks.{i}.attn_norm.linear.{part}" for i in range(c["depth"])] + ["norm_out.linear." + part]
        t["dit.modulation." + part] = stack(*norms), part == "weight"
    if c["long_skip"]:
        skip = w["long_skip_connection.weight"]
        t["dit.long_skip.x.weight"] = skip[:, :c["dim"]], True
        t["dit.long_skip.x0.weight"] = skip[:, c["dim"]:], True


def unett_only(t, c, w):
    for i in range(c["depth"]):
        t[f"unett.layers.{i}.attn_norm"] = w[f"layers.{i}.1.g"], False
        t[f"unett.layers.{i}.ff_norm"] = w[f"layers.{i}.3.g"], False
    half = c["depth"] // 2
    for i in range(half if c["skip"] == "concat" else 0):
        skip = w[f"layers.{half + i}.0.weight"]
        t[f"unett.skips.{i}.x.weight"] = skip[:, :c["dim"]], True
        t[f"unett.skips.{i}.skip.weight"] = skip[:, c["dim"]:], True
    t["unett.norm_out"] = w["norm_out.g"], False


def vocos(t, c, v):
    def both(ours, theirs):
        for part in ("weight", "bias"):
            t[f"{ours}.{part}"] = v[f"{theirs}.{part}"], False

    t["vocos.embed.weight"] = v["backbone.embed.weight"].transpose(2, 0, 1), False
    t["vocos.embed.bias"] = v["backbone.embed.bias"], False
    both("vocos.norm", "backbone.norm")
    for i in range(c["vocos_layers"]):
        ours, theirs = f"vocos.blocks.{i}.", f"backbone.convnext.{i}."
        convnext(t, ours, theirs, v, False)
        t[ours + "layer_scale"] = v[theirs + "gamma"], False
    both("vocos.final_norm", "backbone.final_layer_norm")
    both("vocos.head", "head.out")


def joined(v, key):
    """A weight whose length may be kept apart."""
    if key + ".weight" in v:
        return v[key + ".weight"]
    direction = v[key + ".weight_v"].astype(np.float64)
    length = np.sqrt((direction ** 2).sum(axis=(1, 2), keepdims=True))
    return (v[key + ".weight_g"] * direction / length).astype(np.float32)


def upsampling(w, stride):
    """A transposed convolution [i,o,k] as a convolution [taps,stride o,i] of all the outputs between two inputs."""
    inputs, outputs, k = w.shape
    # input n's tap makes output stride n + tap - padding, which is output j of row n - shift
    at = {tap: (-((tap - (k - stride) // 2) // stride), (tap - (k - stride) // 2) % stride) for tap in range(k)}
    reach = max(abs(shift) for shift, _ in at.values())
    out = np.zeros((2 * reach + 1, stride, outputs, inputs), np.float32)
    for tap, (shift, j) in at.items():
        out[shift + reach, j] = w[:, :, tap].T
    return out.reshape(2 * reach + 1, stride * outputs, inputs)


def bigvgan(t, c, v):
    def conv(ours, theirs):
        t[ours + ".weight"] = joined(v, theirs).transpose(2, 0, 1), False
        if theirs + ".bias" in v:
            t[ours + ".bias"] = v[theirs + ".bias"], False

    conv("bigvgan.pre", "conv_pre")
    for i, rate in enumerate(c["bigvgan_rates"]):
        stage = f"bigvgan.stages.{i}."
        t[stage + "up.weight"] = upsampling(joined(v, f"ups.{i}.0"), rate), False
        t[stage + "up.bias"] = np.tile(v[f"ups.{i}.0.bias"], rate), False
        for j in range(3):
            ours, theirs = f"{stage}blocks.{j}.", f"resblocks.{3 * i + j}."
            for m in range(3):
                conv(f"{ours}first.{m}", f"{theirs}convs1.{m}")
                conv(f"{ours}second.{m}", f"{theirs}convs2.{m}")
            for name in ("alpha", "beta"):
                t[ours + name] = np.concatenate([v[f"{theirs}activations.{k}.act.{name}"] for k in range(6)]), False
    for name in ("alpha", "beta"):
        t["bigvgan." + name] = v["activation_post.act." + name], False
    conv("bigvgan.post", "conv_post")


def mb_istft(t, c, v):
    def conv(ours, theirs):
        t[ours + ".weight"] = joined(v, theirs).transpose(2, 0, 1), True
        t[ours + ".bias"] = v[theirs + ".bias"], False

    conv("mb_istft.pre", "dec.conv_pre")
    for i, rate in enumerate(random_fm_tts.rates(c["mb_form"])):
        stage = f"mb_istft.stages.{i}."
        t[stage + "up.weight"] = upsampling(joined(v, f"dec.ups.{i}"), rate), True
        t[stage + "up.bias"] = np.tile(v[f"dec.ups.{i}.bias"], rate), False
        for j in range(3):
            for m in range(3):
                for ours, theirs in (("first", "convs1"), ("second", "convs2")):
                    conv(f"{stage}blocks.{j}.{ours}.{m}", f"dec.resblocks.{3 * i + j}.{theirs}.{m}")
    if c["mb_form"] == "bands":
        conv("mb_istft.bands", "dec.subband_conv_post")
    else:
        assert c["mb_form"] != "streams", "whose bank is not packed here"
        conv("mb_istft.post", "dec.conv_post")


def fm_tts(t, c, w):
    """w: without "flow_tts."."""
    def pair(ours, theirs, source, matrix=True, tap_first=False):
        weight = source[theirs + "weight"]
        t[ours + ".weight"] = weight.transpose(2, 0, 1) if tap_first else weight, matrix
        t[ours + ".bias"] = source[theirs + "bias"], False

    model = {k.removeprefix("flow_matching.model."): x for k, x in w.items()}
    pair("fm.time.0", "time_mlp.0.", model)
    pair("fm.time.1", "time_mlp.2.", model)
    t["fm.embedding"] = model["text_emb.weight"], False
    t["fm.positions"] = model["text_pos_enc"][0], False
    for i in range(random_fm_tts.TEXT_BLOCKS):
        convnext(t, f"fm.text.{i}.", f"convnext_blocks.{i}.", model, True)
    pair("fm.mel", "mel_proj.", model, matrix=False, tap_first=True)
    for i in range(c["depth"]):
        ours, theirs = f"fm.layers.{i}.", f"transformer.layers.{i}."
        for name, part in (("qkv", "self_attn.in_proj_"), ("out", "self_attn.out_proj."), ("ff1", "linear1."), ("ff2", "linear2.")):
            pair(ours + name, theirs + part, model)
        for norm in ("norm1", "norm2"):
            pair(ours + norm, f"{theirs}{norm}.", model, matrix=False)
    pair("fm.velocity", "output_proj.", model, matrix=False, tap_first=True)
    if c["fm_durations"]:
        t["duration.embedding"] = w["text_encoder.0.weight"], False
        for name, part in (("encoder.0", "text_encoder.1."), ("encoder.1", "text_encoder.3."), ("last", "duration_predictor.proj.")):
            pair("duration." + name, part, w, matrix=False, tap_first=True)
        for i, name in enumerate(("first", "layers.0", "layers.1")):
            pair("duration." + name, f"duration_predictor.conv_layers.{i}.", w, matrix=False, tap_first=True)
            pair(f"duration.{name}.norm", f"duration_predictor.norm_layers.{i}.", w, matrix=False)


def mmdit(t, c, w, stack, both):
    t["words.embedding"] = w["text_embed.text_embed.weight"], False
    projection = w["audio_embed.linear.weight"]
    t["mmdit.input.x.weight"] = projection[:, :MEL], False
    t["mmdit.input.cond.weight"] = projection[:, MEL:], False
    t["mmdit.input.bias"] = w["audio_embed.linear.bias"], False
    blocks = [f"transformer_blocks.{i}." for i in range(c["depth"])]
    for part in ("weight", "bias"):
        norms = [f"{b}attn_norm_x.linear.{part}" for b in blocks] + ["norm_out.linear." + part]
        t["mmdit.audio.modulation." + part] = stack(*norms), part == "weight"
        t["mmdit.text.modulation." + part] = stack(*(f"{b}attn_norm_c.linear.{part}" for b in blocks)), part == "weight"
    for i, theirs in enumerate(blocks):
        for stream, q, k, out, forward in (("audio", "", "", "to_out.0", "ff_x"), ("text", "_c", "c_", "to_out_c", "ff_c")):
            ours = f"mmdit.blocks.{i}.{stream}."
            for part in ("weight", "bias"):
                t[ours + "qkv." + part] = stack(*(f"{theirs}attn.to_{x}{q}.{part}" for x in "qkv")), part == "weight"
            if c["qk_norm"]:
                for x in "qk":
                    t[f"{ours}{x}_norm"] = w[f"{theirs}attn.{k}{x}_norm.weight"], False
            if stream == "audio" or i + 1 < c["depth"]:
                both(ours + "out", f"{theirs}attn.{out}")
                both(ours + "ff1", f"{theirs}{forward}.ff.0.0")
                both(ours + "ff2", f"{theirs}{forward}.ff.2")


def dit_or_unett(t, c, w, stack, both):
    backbone = c["backbone"].lower()
    t["text.embedding"] = w["text_embed.text_embed.weight"], False
    for i in range(c["conv_layers"]):
        ours, theirs = f"text.blocks.{i}.", f"text_embed.text_blocks.{i}."
        convnext(t, ours, theirs, w, True)
        for part in ("gamma", "beta"):
            t[ours + "grn." + part] = w[theirs + "grn." + part].reshape(-1), False
    projection = w["input_embed.proj.weight"]
    t[f"{backbone}.input.x.weight"] = projection[:, :MEL], False
    t[f"{backbone}.input.cond.weight"] = projection[:, MEL:2 * MEL], False
    t[f"{backbone}.input.text.weight"] = projection[:, 2 * MEL:], False
    t[f"{backbone}.input.bias"] = w["input_embed.proj.bias"], False
    for i in range(c["depth"]):
        ours, attn, forward = layer_names(c, i)
        for part in ("weight", "bias"):
            t[ours + "qkv." + part] = stack(*(f"{attn}to_{x}.{part}" for x in "qkv")), part == "weight"
        both(ours + "out", attn + "to_out.0")
        both(ours + "ff1", forward + "0.0")
        both(ours + "ff2", forward + "2")
        if c["qk_norm"]:
            for x in "qk":
                t[f"{ours}{x}_norm"] = w[f"{attn}{x}_norm.weight"], False
    if backbone == "dit":
        dit_only(t, c, w, stack)
    else:
        unett_only(t, c, w)


def pack(made):
    """name -> (array, is a matrix) of everything a .f5 holds. `made` is what random_checkpoint.make_checkpoint returns."""
    c = made["config"]
    if c["backbone"] == "FM_TTS":
        t = {}
        fm_tts(t, c, {k.removeprefix("flow_tts."): v for k, v in made["model"].items()})
        mb_istft(t, c, made["vocos"])
        return t
    w = {k.removeprefix("transformer."): v for k, v in made["model"].items()}
    v, t, backbone = made["vocos"], {}, c["backbone"].lower()

    def stack(*keys):
        return np.concatenate([w[k] for k in keys])

    def both(ours, theirs, source=w, matrix=True):
        t[ours + ".weight"] = source[theirs + ".weight"], matrix
        t[ours + ".bias"] = source[theirs + ".bias"], False

    both(f"{backbone}.time.0", "time_embed.time_mlp.0")
    both(f"{backbone}.time.1", "time_embed.time_mlp.2")
    if backbone == "mmdit":
        mmdit(t, c, w, stack, both)
    else:
        dit_or_unett(t, c, w, stack, both)
    embed = "audio_embed" if backbone == "mmdit" else "input_embed"
    for i in range(2):
        theirs = f"{embed}.conv_pos_embed.conv1d.{2 * i}."
        t[f"{backbone}.conv_pos.{i}.weight"] = w[theirs + "weight"].transpose(2, 0, 1), True
        t[f"{backbone}.conv_pos.{i}.bias"] = w[theirs + "bias"], False
    both(f"{backbone}.proj_out", "proj_out")

    {"vocos": vocos, "bigvgan": bigvgan}[c["vocoder"]](t, c, v)
    return t


def configuration(name, c, vocab_size):
    """The configuration of format version 2: an object a part (weights/FORMAT.md)."""
    if c["backbone"] == "FM_TTS":
        return dict(name=name, tokenizer="char", vocab_size=vocab_size,
                    backbone=dict(kind="FM_TTS", dim=c["dim"], depth=c["depth"], heads=c["heads"], ff_dim=c["dim"] * c["ff_mult"]),
                    text=dict(width=c["dim"], predicts_durations=c["fm_durations"], add_blank=True),
                    vocoder=vocoder_settings(c), speech=dict(steps=20))
    if c["backbone"] == "MMDiT":
        return dict(name=name, tokenizer=c["tokenizer"], vocab_size=vocab_size,
                    backbone=dict(kind="MMDiT", dim=c["dim"], depth=c["depth"], heads=c["heads"],
                                  ff_dim=c["dim"] * c["ff_mult"], qk_norm=c["qk_norm"], rotary=0),
                    text=dict(dim=c["dim"]), vocoder=vocoder_settings(c))
    own = {"DiT": dict(long_skip=c["long_skip"]),
           "UNetT": dict(skip=["concat", "add", "none"].index(c["skip"]))}[c["backbone"]]
    return dict(name=name, tokenizer=c["tokenizer"], vocab_size=vocab_size,
                backbone=dict(kind=c["backbone"], dim=c["dim"], depth=c["depth"], heads=c["heads"],
                              ff_dim=c["dim"] * c["ff_mult"],
                              pe_attn_head=-1 if c["pe_attn_head"] is None else c["pe_attn_head"],
                              qk_norm=c["qk_norm"], **own),
                text=dict(dim=c["text_dim"], blocks=c["conv_layers"], mask_padding=c["text_mask_padding"],
                          average_upsampling=c["average_upsampling"]),
                vocoder=vocoder_settings(c))


def vocoder_settings(c):
    if c["vocoder"] == "vocos":
        return dict(kind="Vocos", dim=c["vocos_dim"], ff_dim=c["vocos_ff_dim"], layers=c["vocos_layers"],
                    same_padding=c["vocos_padding"] == "same")
    if c["vocoder"] == "mb_istft":
        stages = {f"{name}_{i}": number for i, rate in enumerate((*random_fm_tts.rates(c["mb_form"]), 1, 1))
                  for name, number in (("rate", rate), ("taps", 16 if i < 2 else 1))}
        blocks = {f"block_{j}_{name}": number for j, taps in enumerate(random_fm_tts.TAPS) for name, number in
                  (("taps", taps), *((f"dilation_{m}", d) for m, d in enumerate(random_fm_tts.DILATIONS)))}
        form = ("coded", "single", "bands", "streams").index(c["mb_form"])
        return dict(kind="MB-iSTFT", stages=2, channels=c["mb_channels"], **stages, **blocks, form=form, points=random_fm_tts.POINTS,
                    bands=1 if form == 1 else random_fm_tts.BANDS)
    rates, taps = ([*numbers, *[1] * (8 - len(numbers))] for numbers in (c["bigvgan_rates"], random_bigvgan.taps_of(c)))
    settings = dict(kind="BigVGAN", stages=len(c["bigvgan_rates"]), channels=c["bigvgan_channels"], tanh=c["bigvgan_tanh"],
                    bias=c["bigvgan_bias"])
    for i in range(8):
        settings |= {f"rate_{i}": rates[i], f"taps_{i}": taps[i]}
    for j in range(3):
        dilations = {f"block_{j}_dilation_{m}": c["bigvgan_dilations"][j][m] for m in range(3)}
        settings |= {f"block_{j}_taps": c["bigvgan_blocks"][j], **dilations}
    return settings


def flat_configuration(nested):
    """The same as format version 1 has it: one object, with the part's name before text_ and vocos_ fields."""
    flat = {key: nested[key] for key in ("name", "tokenizer", "vocab_size")}
    for part, prefix in (("backbone", ""), ("text", "text_"), ("vocoder", "vocos_")):
        flat |= {prefix + key: value for key, value in nested[part].items() if key != "kind"}
    return flat


def write_f5(path, made, name="random", dtype="fp32", version=2, pinyin=b""):
    """Writes `made`, a checkpoint, as a .f5 file of this format version, with these tables for Chinese."""
    config = configuration(name, made["config"], len(made["vocab"]))
    write_tensors(path, pack(made), config, made["vocab"], dtype, version, pinyin)


def write_tensors(path, tensors, config, vocab, dtype="fp32", version=2, pinyin=b""):
    """Writes tensors, name -> (array, is a matrix), as a .f5 file of any model with its matrices in fp32 or fp16. config
    is the nested configuration: version 1 has its parts' settings side by side."""
    narrow = dict(fp32=("F32", np.float32), fp16=("F16", np.float16))[dtype]
    header, offset, arrays = {}, 0, []
    if pinyin:
        header["pinyin"] = dict(dtype="U8", shape=[len(pinyin)], data_offsets=[0, len(pinyin)])
        offset, arrays = len(pinyin), [np.frombuffer(pinyin, np.uint8)]
    for key, (array, matrix) in tensors.items():
        kind, numpy_type = narrow if matrix else ("F32", np.float32)
        array = np.ascontiguousarray(array, dtype=numpy_type)
        header[key] = dict(dtype=kind, shape=list(array.shape), data_offsets=[offset, offset + array.nbytes])
        offset += array.nbytes
        arrays.append(array)
    metadata = dict(format="f5tts", format_version=str(version),
                    config=json.dumps(config if version == 2 else flat_configuration(config)),
                    vocab="".join(token + "\n" for token in vocab))
    text = json.dumps({"__metadata__": metadata, **header}, ensure_ascii=False).encode()
    text += b" " * (-(len(text) + 8) % 64)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for array in arrays:
            f.write(array.data if array.size else b"")


def write_model(path, arch="demo", seed=0, dtype="fp32", **overrides):
    """A random model of that architecture at `path`; returns its upstream-named tensors, configuration and vocabulary.
    With dtype fp16 the file rounds the matrices; what is returned is not rounded."""
    config = {**random_checkpoint.OPTIONS, **random_checkpoint.ARCHS[arch], **overrides}
    is_fm = config["backbone"] == "FM_TTS"
    vocab = random_fm_tts.vocabulary(config["fm_symbols"]) if is_fm else random_checkpoint.default_vocab()
    made = dict(model=random_checkpoint.draw_all(random_checkpoint.acoustic_tensors(config, len(vocab)), seed),
                vocos=random_checkpoint.draw_all(random_checkpoint.vocoder_tensors(config), seed), config=config,
                vocab=vocab)
    write_f5(path, made, name=arch, dtype=dtype)
    return made
