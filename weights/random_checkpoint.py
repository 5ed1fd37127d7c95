#!/usr/bin/env python3
"""Random checkpoints in upstream's own file formats, at any size: tests and benchmarks need no download.

    python3 weights/random_checkpoint.py --arch F5TTS_v1_Base --format safetensors --seed 1 DIR

writes DIR/model.yaml, DIR/model.safetensors (or model.pt), DIR/vocab.txt, DIR/vocos/config.yaml and
DIR/vocos/pytorch_model.bin (or DIR/bigvgan/config.json and bigvgan_generator.pt); of FM_TTS DIR/config.json and
DIR/G_0.pth. Needs numpy only: the torch archives are written here, byte by byte. Every tensor has a generator of its own,
seeded by (seed, key), so that a value depends neither on the format nor on the order of keys.

The sizes of values are those of a trained model, so that activations and audio stay in range: a freshly initialised
upstream model would be the identity (its modulation and output layers start at zero).
"""
import argparse
import json
import struct
import sys
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np

import random_bigvgan
import random_fm_tts
import random_mmdit

MEL = 100

ARCHS = {
    # upstream's four DiT configurations
    "F5TTS_v1_Base": dict(dim=1024, depth=22, heads=16, ff_mult=2, text_dim=512, conv_layers=4, text_mask_padding=True,
                          pe_attn_head=None, tokenizer="pinyin"),
    "F5TTS_Base": dict(dim=1024, depth=22, heads=16, ff_mult=2, text_dim=512, conv_layers=4, text_mask_padding=False,
                       pe_attn_head=1, tokenizer="pinyin"),
    "F5TTS_v1_Small": dict(dim=768, depth=18, heads=12, ff_mult=2, text_dim=512, conv_layers=4, text_mask_padding=True,
                           pe_attn_head=None, tokenizer="char"),
    "F5TTS_Small": dict(dim=768, depth=18, heads=12, ff_mult=2, text_dim=512, conv_layers=4, text_mask_padding=False,
                        pe_attn_head=1, tokenizer="pinyin"),
    "F5TTS_Base_bigvgan": dict(dim=1024, depth=22, heads=16, ff_mult=2, text_dim=512, conv_layers=4,
                               text_mask_padding=False, pe_attn_head=1, tokenizer="pinyin", vocoder="bigvgan"),
    # E2-TTS
    "E2TTS_Base": dict(backbone="UNetT", dim=1024, depth=24, heads=16, ff_mult=4, text_dim=100, conv_layers=0,
                       text_mask_padding=False, pe_attn_head=1, tokenizer="pinyin"),
    "E2TTS_Small": dict(backbone="UNetT", dim=768, depth=20, heads=12, ff_mult=4, text_dim=100, conv_layers=0,
                        text_mask_padding=False, pe_attn_head=1, tokenizer="pinyin"),
    # MMDiT: nothing was released; the sizes of F5TTS_Base
    "MMDiT_Base": dict(backbone="MMDiT", dim=1024, depth=22, heads=16, ff_mult=2, text_dim=1024, conv_layers=0,
                       text_mask_padding=True, pe_attn_head=None, tokenizer="pinyin"),
    "FM_TTS": random_fm_tts.ARCH,  # Flow-Matching-TTS, the vocoder MB-iSTFT in its checkpoint
    # small enough for a CPU: one to run, one to test with
    "demo": dict(dim=256, depth=12, heads=4, ff_mult=2, text_dim=256, conv_layers=4, text_mask_padding=True,
                 pe_attn_head=None, tokenizer="pinyin", vocos_dim=256, vocos_ff_dim=768, vocos_layers=8),
    "tiny": dict(dim=64, depth=2, heads=1, ff_mult=2, text_dim=32, conv_layers=2, text_mask_padding=True,
                 pe_attn_head=None, tokenizer="pinyin", vocos_dim=32, vocos_ff_dim=96, vocos_layers=2),
}
OPTIONS = dict(backbone="DiT", skip="concat", qk_norm=False, long_skip=False, average_upsampling=False, vocos_dim=512, vocos_ff_dim=1536,
               vocos_layers=8, vocos_padding="center", vocoder="vocos", **random_bigvgan.OPTIONS,
               **random_fm_tts.OPTIONS)


def default_vocab():
    """A space, printable ASCII, and the syllables of a few initials and finals in five tones."""
    syllables = [i + f for i in ("b", "m", "d", "n", "l", "g", "h", "zh", "sh", "") for f in ("a", "e", "ai", "ang")]
    return [" "] + [chr(c) for c in range(33, 127)] + [s + t for s in syllables for t in ("", "1", "2", "3", "4")]


def read_vocab(path):
    """Line number = id; the last character of each line, its newline, is dropped, as upstream does."""
    with open(path, encoding="utf-8") as f:
        return [line[:-1] if line.endswith("\n") else line for line in f]


# ---- the tensors: (key, shape, how its values are drawn)

def linear(key, out, inputs, std=None, bias=True):
    yield key + ".weight", (out, inputs), ("normal", std or inputs ** -0.5)
    if bias:
        yield key + ".bias", (out,), ("normal", 0.02)


def norm(key, width):
    yield key + ".weight", (width,), ("about one", 0.1)
    yield key + ".bias", (width,), ("normal", 0.1)


def conv(key, out, inputs, taps):
    yield key + ".weight", (out, inputs, taps), ("normal", (inputs * taps) ** -0.5)
    yield key + ".bias", (out,), ("normal", 0.02)


def acoustic_tensors(c, vocab_size):
    if c["backbone"] == "FM_TTS":
        yield from random_fm_tts.acoustic_of(c)
        return
    d, t = c["dim"], c["text_dim"]
    if c["backbone"] == "MMDiT":
        yield from random_mmdit.tensors(c, vocab_size, linear, conv, attention_and_feed_forward)
        return
    yield from linear("transformer.time_embed.time_mlp.0", d, 256)
    yield from linear("transformer.time_embed.time_mlp.2", d, d)
    text = "transformer.text_embed."
    yield text + "text_embed.weight", (vocab_size + 1, t), ("normal", 0.5)
    for i in range(c["conv_layers"]):
        block = f"{text}text_blocks.{i}."
        yield from conv(block + "dwconv", t, 1, 7)
        yield from norm(block + "norm", t)
        yield from linear(block + "pwconv1", 2 * t, t)
        yield block + "grn.gamma", (1, 1, 2 * t), ("normal", 0.3)
        yield block + "grn.beta", (1, 1, 2 * t), ("normal", 0.1)
        yield from linear(block + "pwconv2", t, 2 * t)
    yield from linear("transformer.input_embed.proj", d, 2 * MEL + t)
    for i in (0, 2):
        yield from conv(f"transformer.input_embed.conv_pos_embed.conv1d.{i}", d, d // 16, 31)
    yield "transformer.rotary_embed.inv_freq", (32,), ("rotary", 0)
    yield from {"DiT": dit_blocks, "UNetT": unett_layers}[c["backbone"]](c)
    yield from linear("transformer.proj_out", MEL, d, std=0.02)


def attention_and_feed_forward(c, attention, forward, gain=1.0):
    """gain: of what is added to the residual stream, where nothing gates it."""
    d, inner = c["dim"], c["heads"] * 64
    for name in ("to_q", "to_k", "to_v"):
        yield from linear(attention + name, inner, d)
    yield from linear(attention + "to_out.0", d, inner, std=gain * inner ** -0.5)
    if c["qk_norm"]:
        yield attention + "q_norm.weight", (64,), ("about one", 0.1)
        yield attention + "k_norm.weight", (64,), ("about one", 0.1)
    yield from linear(forward + "0.0", c["ff_mult"] * d, d)
    yield from linear(forward + "2", d, c["ff_mult"] * d, std=gain * (c["ff_mult"] * d) ** -0.5)


def dit_blocks(c):
    d = c["dim"]
    for i in range(c["depth"]):
        block = f"transformer.transformer_blocks.{i}."
        yield from linear(block + "attn_norm.linear", 6 * d, d, std=0.02)
        yield from attention_and_feed_forward(c, block + "attn.", block + "ff.ff.")
    if c["long_skip"]:
        yield from linear("transformer.long_skip_connection", d, 2 * d, bias=False)
    yield from linear("transformer.norm_out.linear", 2 * d, d, std=0.02)


def unett_layers(c):
    d = c["dim"]
    for i in range(c["depth"]):
        layer = f"transformer.layers.{i}."
        if i >= c["depth"] // 2 and c["skip"] == "concat":
            yield from linear(layer + "0", d, 2 * d, bias=False)
        yield layer + "1.g", (d,), ("about one", 0.1)
        yield layer + "3.g", (d,), ("about one", 0.1)
        yield from attention_and_feed_forward(c, layer + "2.", layer + "4.ff.", gain=0.3)
    yield "transformer.norm_out.g", (d,), ("about one", 0.1)


def vocos_tensors(c):
    w, ff = c["vocos_dim"], c["vocos_ff_dim"]
    yield "feature_extractor.mel_spec.spectrogram.window", (1024,), ("hann", 0)
    yield "feature_extractor.mel_spec.mel_scale.fb", (513, MEL), ("uniform", 0.1)  # unused by inference
    yield from conv("backbone.embed", w, MEL, 7)
    yield from norm("backbone.norm", w)
    for i in range(c["vocos_layers"]):
        block = f"backbone.convnext.{i}."
        yield block + "gamma", (w,), ("uniform", 0.2)
        yield from conv(block + "dwconv", w, 1, 7)
        yield from norm(block + "norm", w)
        yield from linear(block + "pwconv1", ff, w)
        yield from linear(block + "pwconv2", w, ff)
    yield from norm("backbone.final_layer_norm", w)
    # rows 0..512 give log magnitudes of about 1 +- 0.5, the rest phases all around the circle: audio of rms 0.09
    yield "head.out.weight", (1026, w), ("head", w ** -0.5)
    yield "head.out.bias", (1026,), ("head bias", 1.0)
    yield "head.istft.window", (1024,), ("hann", 0)


def vocoder_tensors(c):
    return {"vocos": vocos_tensors, "bigvgan": random_bigvgan.tensors, "mb_istft": random_fm_tts.vocoder_of}[c["vocoder"]](c)


def draw(key, shape, how, seed):
    kind, size = how
    rng = np.random.default_rng([seed, zlib.crc32(key.encode())])
    if kind == "rotary":
        return (10000.0 ** (-np.arange(0, 64, 2) / 64)).astype(np.float32)
    if kind == "hann":
        return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(shape[0]) / shape[0])).astype(np.float32)
    if kind == "uniform":
        return (size * (0.5 + rng.random(shape, np.float32))).astype(np.float32)
    if kind == "head bias":
        bias = rng.uniform(-np.pi, np.pi, shape)
        bias[:513] = size + 0.1 * rng.standard_normal(513)
        return bias.astype(np.float32)
    values = rng.standard_normal(shape, np.float32)
    values *= np.float32(size)
    if kind == "about one":
        values += np.float32(1)
    if kind == "about":
        values = np.float32(size) + np.float32(0.1) * values
    if kind == "head":
        values[:513] *= np.float32(0.5)
        values[513:] *= np.float32(2)
    return values


# ---- number types: a tensor travels as fp32 and is narrowed where it is written

def to_bf16_bits(values):
    bits = values.view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16_bits(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def narrow(values, dtype):
    """The array whose bytes are stored (uint16 bits for bf16)."""
    values = np.ascontiguousarray(values)
    if values.dtype != np.float32 or dtype == "fp32":
        return values
    return values.astype(np.float16) if dtype == "fp16" else to_bf16_bits(values)


def rounded(values, dtype):
    """What a reader gets back, as fp32."""
    if dtype == "fp32" or values.dtype != np.float32:
        return values
    return values.astype(np.float16).astype(np.float32) if dtype == "fp16" else from_bf16_bits(to_bf16_bits(values))


# ---- .safetensors

def write_safetensors(path, tensors, dtype="fp32"):
    names = {"fp32": "F32", "fp16": "F16", "bf16": "BF16"}
    header, offset = {}, 0
    for key, values in tensors.items():
        kind = {"i": "I64", "b": "BOOL"}.get(values.dtype.kind) or names[dtype]
        width = 2 if kind in ("F16", "BF16") else values.itemsize
        header[key] = {"dtype": kind, "shape": list(values.shape),
                       "data_offsets": [offset, offset + width * values.size]}
        offset += width * values.size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            f.write(narrow(values, dtype).reshape(-1).data)


# ---- torch.save: a pickle of protocol 2 that refers to storages, and a zip that holds them

class TorchPickle:
    """Writes the subset of pickle that torch.save does. Tensors become storages, numbered in order of appearance."""

    def __init__(self, dtype="fp32"):
        self.dtype, self.out, self.storages = dtype, bytearray(b"\x80\x02"), []

    def name(self, module, name):
        self.out += f"c{module}\n{name}\n".encode()

    def text(self, value):
        data = value.encode()
        self.out += b"X" + struct.pack("<I", len(data)) + data

    def integer(self, value):
        if -2**31 <= value < 2**31:
            self.out += b"J" + struct.pack("<i", value)
        else:
            self.out += b"\x8a\x08" + struct.pack("<q", value)

    def integers(self, values):
        self.out += b"("
        for v in values:
            self.integer(v)
        self.out += b"t"

    def tensor(self, values):
        stored = narrow(values, self.dtype)
        kind = {"i": "LongStorage", "b": "BoolStorage"}.get(values.dtype.kind)
        self.name("torch._utils", "_rebuild_tensor_v2")
        self.out += b"(("
        self.text("storage")
        self.name("torch", kind or {"fp32": "FloatStorage", "fp16": "HalfStorage",
                                    "bf16": "BFloat16Storage"}[self.dtype])
        self.text(str(len(self.storages)))
        self.text("cpu")
        self.integer(values.size)
        self.out += b"tQ"
        self.integer(0)
        self.integers(values.shape)
        self.integers([int(np.prod(values.shape[i + 1:], dtype=np.int64)) for i in range(values.ndim)])
        self.out += b"\x89"
        self.name("collections", "OrderedDict")
        self.out += b")RtR"
        self.storages.append(stored)

    def value(self, value):
        if isinstance(value, np.ndarray):
            self.tensor(value)
        elif isinstance(value, dict):
            self.name("collections", "OrderedDict")
            self.out += b")R("
            for k, v in value.items():
                self.value(k)
                self.value(v)
            self.out += b"u"
        elif isinstance(value, list):
            self.out += b"]("
            for v in value:
                self.value(v)
            self.out += b"e"
        elif isinstance(value, str):
            self.text(value)
        elif value is None:
            self.out += b"N"
        elif isinstance(value, bool):
            self.out += b"\x88" if value else b"\x89"
        elif isinstance(value, int):
            self.integer(value)
        elif isinstance(value, float):
            self.out += b"G" + struct.pack(">d", value)
        else:
            raise TypeError(f"cannot save {type(value)}")


def write_torch(path, value, dtype="fp32", prefix="archive"):
    """A file that torch.load reads: uncompressed entries, data aligned to 64 bytes as torch does."""
    pickle = TorchPickle(dtype)
    pickle.value(value)
    entries = [("data.pkl", bytes(pickle.out + b".")), ("byteorder", b"little")]
    entries += [(f"data/{i}", s.reshape(-1).view(np.uint8).data) for i, s in enumerate(pickle.storages)]
    entries += [("version", b"3\n")]
    with open(path, "wb") as f, zipfile.ZipFile(f, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries:
            info = zipfile.ZipInfo(f"{prefix}/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            begin = f.tell() + 30 + len(info.filename)
            padding = -(begin + 4) % 64
            info.extra = struct.pack("<HH", 0x4246, padding) + b"Z" * padding
            archive.writestr(info, data)


# ---- the files around the tensors

def model_yaml(name, c):
    yes = {True: "True", False: "False", None: "null"}
    of_text = "" if c["backbone"] == "MMDiT" else f"""
    text_dim: {c["text_dim"]}
    conv_layers: {c["conv_layers"]}
    pe_attn_head: {"null" if c["pe_attn_head"] is None else c["pe_attn_head"]}"""
    of_backbone = {"DiT": f"""    text_embedding_average_upsampling: {yes[c["average_upsampling"]]}
    long_skip_connection: {yes[c["long_skip"]]}
    checkpoint_activations: False""", "UNetT": f"""    skip_connect_type: {c["skip"]}""",
                   "MMDiT": "    checkpoint_activations: False"}[c["backbone"]]
    return f"""hydra:
  run:
    dir: ckpts/${{model.name}}_${{model.mel_spec.mel_spec_type}}_${{model.tokenizer}}/${{now:%Y-%m-%d}}

model:
  name: {name}
  tokenizer: {c["tokenizer"]}
  tokenizer_path: null
  backbone: {c["backbone"]}
  arch:
    dim: {c["dim"]}
    depth: {c["depth"]}
    heads: {c["heads"]}
    ff_mult: {c["ff_mult"]}{of_text}
    text_mask_padding: {yes[c["text_mask_padding"]]}
    qk_norm: {"rms_norm" if c["qk_norm"] else "null"}  # null | rms_norm
    attn_backend: torch
    attn_mask_enabled: False
{of_backbone}
  mel_spec:
    target_sample_rate: 24000
    n_mel_channels: 100
    hop_length: 256
    win_length: 1024
    n_fft: 1024
    mel_spec_type: {c["vocoder"]}
  vocoder:
    is_local: False
    local_path: null
"""


def vocos_yaml(c):
    return f"""feature_extractor:
  class_path: vocos.feature_extractors.MelSpectrogramFeatures
  init_args:
    sample_rate: 24000
    n_fft: 1024
    hop_length: 256
    n_mels: 100
    padding: center

backbone:
  class_path: vocos.models.VocosBackbone
  init_args:
    input_channels: 100
    dim: {c["vocos_dim"]}
    intermediate_dim: {c["vocos_ff_dim"]}
    num_layers: {c["vocos_layers"]}

head:
  class_path: vocos.heads.ISTFTHead
  init_args:
    dim: {c["vocos_dim"]}
    n_fft: 1024
    hop_length: 256
    padding: {c["vocos_padding"]}
"""


def draw_all(specs, seed):
    return {key: draw(key, shape, how, seed) for key, shape, how in specs}


def write_acoustic(path, tensors, form, dtype):
    """form: safetensors | safetensors-noema | pt | pt-noema. The ones with averaged weights carry upstream's counters."""
    if form == "safetensors-noema":
        return write_safetensors(path, tensors, dtype)
    if form == "pt-noema":
        return write_torch(path, {"model_state_dict": tensors}, dtype)
    averaged = {"initted": np.array(True), "step": np.array(1250000, np.int64)}
    averaged.update({"ema_model." + key: values for key, values in tensors.items()})
    if form == "safetensors":
        return write_safetensors(path, averaged, dtype)
    return write_torch(path, {"ema_model_state_dict": averaged}, dtype)


def make_checkpoint(directory, arch="tiny", *, format="safetensors", dtype="fp32", seed=0, vocab=None, name=None,
                    **overrides):
    """Writes the files and returns a dict: "model" and "vocos" (key -> fp32 array, as a reader gets them; BigVGAN's where that is the vocoder), "config"
    (every setting), "vocab" (tokens), and the paths "yaml", "checkpoint", "vocab_path", "vocos_config", "vocos_path".
    vocab: a list of tokens, a path, or None. overrides: any setting of ARCHS and OPTIONS."""
    config = {**OPTIONS, **ARCHS[arch], **{k: v for k, v in overrides.items() if v is not None}}
    unknown = set(config) - set(OPTIONS) - set(ARCHS["tiny"])
    if unknown:
        raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
    if config["backbone"] == "FM_TTS":
        return random_fm_tts.make(directory, config, seed, draw_all, write_torch)
    tokens = default_vocab() if vocab is None else list(vocab) if isinstance(vocab, (list, tuple)) else read_vocab(vocab)
    vocab_size = 256 if config["tokenizer"] == "byte" else len(tokens)
    directory = Path(directory)
    (directory / config["vocoder"]).mkdir(parents=True, exist_ok=True)
    paths = dict(yaml=directory / "model.yaml", vocab_path=directory / "vocab.txt",
                 checkpoint=directory / ("model.safetensors" if format.startswith("safetensors") else "model.pt"),
                 vocos_config=directory / "vocos" / "config.yaml",
                 vocos_path=directory / "vocos" / "pytorch_model.bin")
    if config["vocoder"] == "bigvgan":
        paths |= dict(vocos_config=directory / "bigvgan" / "config.json",
                      vocos_path=directory / "bigvgan" / "bigvgan_generator.pt")
    model = draw_all(acoustic_tensors(config, vocab_size), seed)
    vocos = draw_all(vocoder_tensors(config), seed)
    paths["yaml"].write_text(model_yaml(name or arch, config))
    is_vocos = config["vocoder"] == "vocos"
    paths["vocos_config"].write_text(vocos_yaml(config) if is_vocos else random_bigvgan.config_json(config))
    paths["vocab_path"].write_bytes("".join(t + "\n" for t in tokens).encode())
    write_acoustic(paths["checkpoint"], model, format, dtype)
    write_torch(paths["vocos_path"], vocos if is_vocos else {"generator": vocos})
    if dtype != "fp32":
        model = {key: rounded(values, dtype) for key, values in model.items()}
    return dict(model=model, vocos=vocos, config=config, vocab=tokens, **{k: str(v) for k, v in paths.items()})


def parse_arguments():
    p = argparse.ArgumentParser(description="Random checkpoints in upstream's file formats.")
    p.add_argument("directory", metavar="DIR")
    p.add_argument("--arch", choices=list(ARCHS), default="demo")
    p.add_argument("--format", choices=["safetensors", "safetensors-noema", "pt", "pt-noema"], default="safetensors")
    p.add_argument("--dtype", choices=["fp32", "fp16", "bf16"], default="fp32")
    p.add_argument("--seed", type=lambda text: abs(int(text)), default=0, metavar="N")
    p.add_argument("--vocab", metavar="FILE", help="a vocab.txt; default: ASCII and some pinyin")
    p.add_argument("--name", help="model.name of the YAML; default: the arch")
    for option in ("dim", "depth", "heads", "ff-mult", "text-dim", "conv-layers", "pe-attn-head", "vocos-dim",
                   "vocos-ff-dim", "vocos-layers"):
        p.add_argument("--" + option, type=int, metavar="N")
    p.add_argument("--bigvgan-channels", type=int, metavar="N")
    p.add_argument("--vocoder", choices=["vocos", "bigvgan"])
    p.add_argument("--tokenizer", choices=["pinyin", "char", "byte", "custom"])
    p.add_argument("--vocos-padding", choices=["center", "same"])
    for option in ("qk-norm", "long-skip", "average-upsampling"):
        p.add_argument("--" + option, action="store_const", const=True)
    return vars(p.parse_args())


def main():
    started = time.time()
    made = make_checkpoint(**parse_arguments())
    parameters = sum(v.size for v in made["model"].values())
    print(f"{made['checkpoint']}: {parameters / 1e6:.1f} M parameters, "
          f"vocoder {sum(v.size for v in made['vocos'].values()) / 1e6:.1f} M, {time.time() - started:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
