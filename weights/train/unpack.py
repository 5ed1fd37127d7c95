"""unpack.py — a .f5 file back into upstream's tensors, names and settings: the inverse of `f5tts convert`.

    model = unpack.read("NAME.f5")
    model.acoustic    upstream's key -> float32 tensor, in the order of upstream's parameters
    model.vocoder     the same of Vocos; None of any other vocoder
    model.write_files(folder)    model.yaml, vocab.txt and the vocoder's files, which `f5tts convert` reads

A file in fp32 gives the checkpoint's own bits; weights/FORMAT.md tells of packing and number types.
"""
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "weights"))
import random_checkpoint as formats  # noqa: E402
import set_speech  # noqa: E402

import cfm  # noqa: E402
import upstream_state  # noqa: E402
from cfm import Arch  # noqa: E402

SKIPS = ("concat", "add", "none")
TYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2"), "I8": np.dtype("i1"), "U8": np.dtype("u1")}


class Tensors:
    """Those of the file by their names there, as float32."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.header, begin = set_speech.read_header(f, path)
        self.metadata = self.header.pop("__metadata__")
        self.data = np.memmap(path, np.uint8, "r", offset=begin)
        self.kinds = {t["dtype"] for t in self.header.values()}

    def __call__(self, name):
        t = self.header[name]
        begin, end = t["data_offsets"]
        kind = TYPES[t["dtype"]]
        count = int(np.prod(t["shape"]))
        if not 0 <= begin <= end <= len(self.data) or end - begin != count * kind.itemsize:
            raise set_speech.Refused(f"{name} lies outside of the file")
        values = self.data[begin:end].view(kind).reshape(t["shape"])
        if t["dtype"] == "BF16":
            values = formats.from_bf16_bits(values)
        values = values.astype(np.float32)
        if t["dtype"] == "I8":
            values *= self(name + ".scale").numpy()[:, None]
        return torch.from_numpy(np.array(values))


@dataclass
class Model:
    config: dict        # the file's, version 2
    vocab: Optional[list]  # tokens by id; None with the byte tokenizer
    acoustic: dict
    vocoder: Optional[dict]
    stored: set         # number types in the file
    rights: dict        # its licence and credit, where it says them

    # how it is trained and kept; Flow-Matching-TTS's are others (fm_model.py)
    losses, state, one_voice, unknown = cfm, upstream_state, False, "trained as a space, as upstream does"

    def check(self, options):
        """What is asked for that such a model has not. Raises Refused."""
        for name in ("only_durations", "ipa"):
            if getattr(options, name):
                raise set_speech.Refused(f"--{name.replace('_', '-')} is for Flow-Matching-TTS: this is {self.config['name']}")

    def trained(self):
        """Names of the weights that are trained."""
        return list(self.acoustic)

    @property
    def arch(self):
        backbone, text = self.config["backbone"], self.config["text"]
        rotated = backbone.get("pe_attn_head", -1)
        return Arch(kind=backbone["kind"], depth=backbone["depth"], text_blocks=text.get("blocks", 0),
                    text_mask_padding=text.get("mask_padding", True),
                    average_upsampling=text.get("average_upsampling", False),
                    pe_attn_head=None if rotated < 0 else rotated, skip=SKIPS[backbone.get("skip", 0)])

    def settings(self):
        """As weights/random_checkpoint.py writes them."""
        backbone, text, vocoder = self.config["backbone"], self.config["text"], self.config["vocoder"]
        a = self.arch
        ratio = backbone["ff_dim"] / backbone["dim"]
        return {**formats.OPTIONS, "backbone": a.kind, "dim": backbone["dim"], "depth": a.depth, "heads": backbone["heads"],
                "ff_mult": int(ratio) if ratio == int(ratio) else ratio, "text_dim": text["dim"], "conv_layers": a.text_blocks,
                "text_mask_padding": a.text_mask_padding, "pe_attn_head": a.pe_attn_head,
                "average_upsampling": a.average_upsampling, "skip": a.skip, "qk_norm": backbone.get("qk_norm", False),
                "long_skip": backbone.get("long_skip", False), "tokenizer": self.config["tokenizer"],
                "vocoder": vocoder["kind"].lower(), "vocos_dim": vocoder.get("dim", 512),
                "vocos_ff_dim": vocoder.get("ff_dim", 1536), "vocos_layers": vocoder.get("layers", 8),
                "vocos_padding": "same" if vocoder.get("same_padding") else "center"}

    def write_files(self, folder):
        """What `f5tts convert` reads beside the checkpoint. Returns its options."""
        folder = Path(folder)
        c = self.settings()
        (folder / "vocos").mkdir(parents=True, exist_ok=True)
        put(folder / "model.yaml", formats.model_yaml(self.config["name"], c).encode())
        options = ["--config", folder / "model.yaml"]
        if self.vocab is not None:
            put(folder / "vocab.txt", "".join(token + "\n" for token in self.vocab).encode())
            options += ["--vocab", folder / "vocab.txt"]
        if self.vocoder is not None:
            put(folder / "vocos/config.yaml", formats.vocos_yaml(c).encode())
            formats.write_torch(folder / "vocos/pytorch_model.bin",
                                {name: values.numpy() for name, values in self.vocoder.items()})
            options += ["--vocos-config", folder / "vocos/config.yaml", "--vocos", folder / "vocos/pytorch_model.bin"]
        return options


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def pair(to, key, get, name):
    to[key + ".weight"], to[key + ".bias"] = get(name + ".weight"), get(name + ".bias")


def convnext(to, key, get, name):
    """What the blocks of text encoder and vocoder have alike."""
    to[key + "dwconv.weight"] = get(name + ".dwconv.weight").t().unsqueeze(1).contiguous()
    to[key + "dwconv.bias"] = get(name + ".dwconv.bias")
    pair(to, key + "norm", get, name + ".norm")
    pair(to, key + "pwconv1", get, name + ".pw1")


def attention(to, key, get, name):
    stacked = {part: get(f"{name}.qkv.{part}").chunk(3) for part in ("weight", "bias")}
    for i, letter in enumerate("qkv"):
        for part, values in stacked.items():
            to[f"{key}to_{letter}.{part}"] = values[i].contiguous()
    for norm in ("q_norm", "k_norm"):
        if f"{name}.{norm}" in get.header:
            to[f"{key}{norm}.weight"] = get(f"{name}.{norm}")
    pair(to, key + "to_out.0", get, name + ".out")


def feed_forward(to, key, get, name):
    pair(to, key + "0.0", get, name + ".ff1")
    pair(to, key + "2", get, name + ".ff2")


def acoustic(get, config):
    kind, depth = config["backbone"]["kind"], config["backbone"]["depth"]
    p, to = {"DiT": "dit.", "UNetT": "unett."}[kind], {}
    pair(to, "transformer.time_embed.time_mlp.0", get, p + "time.0")
    pair(to, "transformer.time_embed.time_mlp.2", get, p + "time.1")
    to["transformer.text_embed.text_embed.weight"] = get("text.embedding")
    for i in range(config["text"].get("blocks", 0)):
        key, name = f"transformer.text_embed.text_blocks.{i}.", f"text.blocks.{i}"
        convnext(to, key, get, name)
        for part in ("gamma", "beta"):
            to[f"{key}grn.{part}"] = get(f"{name}.grn.{part}").view(1, 1, -1)
        pair(to, key + "pwconv2", get, name + ".pw2")
    key = "transformer.input_embed."
    to[key + "proj.weight"] = torch.cat([get(f"{p}input.{part}.weight") for part in ("x", "cond", "text")], dim=1)
    to[key + "proj.bias"] = get(p + "input.bias")
    for i in (0, 1):
        to[f"{key}conv_pos_embed.conv1d.{2 * i}.weight"] = get(f"{p}conv_pos.{i}.weight").permute(1, 2, 0).contiguous()
        to[f"{key}conv_pos_embed.conv1d.{2 * i}.bias"] = get(f"{p}conv_pos.{i}.bias")
    if kind == "DiT":
        dim = config["backbone"]["dim"]
        modulation = {part: get("dit.modulation." + part) for part in ("weight", "bias")}
        for i in range(depth):
            key = f"transformer.transformer_blocks.{i}."
            for part, rows in modulation.items():
                to[f"{key}attn_norm.linear.{part}"] = rows[6 * dim * i:6 * dim * (i + 1)].clone()
            attention(to, key + "attn.", get, f"dit.blocks.{i}")
            feed_forward(to, key + "ff.ff.", get, f"dit.blocks.{i}")
        if config["backbone"].get("long_skip"):
            to["transformer.long_skip_connection.weight"] = torch.cat(
                [get(f"dit.long_skip.{part}.weight") for part in ("x", "x0")], dim=1)
        for part, rows in modulation.items():
            to["transformer.norm_out.linear." + part] = rows[6 * dim * depth:].clone()
    else:
        for i in range(depth):
            key, name, later = f"transformer.layers.{i}.", f"unett.layers.{i}", i - depth // 2
            if f"unett.skips.{later}.x.weight" in get.header:
                to[key + "0.weight"] = torch.cat(
                    [get(f"unett.skips.{later}.{part}.weight") for part in ("x", "skip")], dim=1)
            to[key + "1.g"] = get(name + ".attn_norm")
            attention(to, key + "2.", get, name)
            to[key + "3.g"] = get(name + ".ff_norm")
            feed_forward(to, key + "4.ff.", get, name)
        to["transformer.norm_out.g"] = get("unett.norm_out")
    pair(to, "transformer.proj_out", get, p + "proj_out")
    return to


def vocos(get, config):
    to = {"backbone.embed.weight": get("vocos.embed.weight").permute(1, 2, 0).contiguous(),
          "backbone.embed.bias": get("vocos.embed.bias")}
    pair(to, "backbone.norm", get, "vocos.norm")
    for i in range(config["vocoder"]["layers"]):
        key, name = f"backbone.convnext.{i}.", f"vocos.blocks.{i}"
        to[key + "gamma"] = get(name + ".layer_scale")
        convnext(to, key, get, name)
        pair(to, key + "pwconv2", get, name + ".pw2")
    pair(to, "backbone.final_layer_norm", get, "vocos.final_norm")
    pair(to, "head.out", get, "vocos.head")
    return to


def read(path):
    """Raises set_speech.Refused, OSError."""
    try:
        model = taken_apart(path)
        model.settings()  # what is asked for later is there
        return model
    except KeyError as missing:
        raise set_speech.Refused(f"{path} lacks {missing}") from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError) as error:
        raise set_speech.Refused(f"{path} is damaged: {str(error) or type(error).__name__}") from None


def taken_apart(path):
    get = Tensors(path)
    config = json.loads(get.metadata["config"])
    if get.metadata["format_version"] == "1":
        config = set_speech.version_2(config)
    kind = config["backbone"]["kind"]
    if kind not in ("DiT", "UNetT"):
        fix = ": give its G_*.pth by --checkpoint and its JSON by --config" if kind == "FM_TTS" else ""
        raise set_speech.Refused(f"{path} is a {kind}: DiT (F5-TTS) and UNetT (E2-TTS) can be trained from a .f5{fix}")
    lines = get.metadata.get("vocab")
    return Model(config, lines.split("\n")[:-1] if lines is not None else None, acoustic(get, config),
                 vocos(get, config) if config["vocoder"]["kind"] == "Vocos" else None, get.kinds,
                 set_speech.rights_of(get.metadata))
