"""convert_lib.py — the program as the conversion tests use it, and a second opinion on what a .f5 must hold.

`expected` packs upstream's tensors by the shapes in weights/model.h, written down here independently of the manifest.
Environment: F5_BUILD, the build folder (default build/ in the root); F5_ASAN_BUILD, one with sanitizers, which the
hostile tests prefer; F5_PROGRAM, another program than theirs.
"""
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "weights"))
import random_checkpoint as rc  # noqa: E402

# The link order: some tests preload a library of theirs, which then comes before the sanitizer's.
SANITIZER = dict(ASAN_OPTIONS="detect_leaks=1:exitcode=99:abort_on_error=0:allocator_may_return_null=1"
                              ":verify_asan_link_order=0",
                 UBSAN_OPTIONS="print_stacktrace=1:exitcode=99")


def program(sanitized=False):
    build = sanitized and os.environ.get("F5_ASAN_BUILD") or os.environ.get("F5_BUILD") or ROOT / "build"
    path = Path(os.environ.get("F5_PROGRAM") or Path(build) / "bin" / "f5tts")
    assert path.exists(), f"{path} is missing: build first"
    return str(path)


def run(*args, sanitized=False, timeout=600, **environment):
    return subprocess.run([program(sanitized), *map(str, args)], capture_output=True, text=True, errors="replace",
                          timeout=timeout, env={**os.environ, **SANITIZER, **environment})


def convert_args(made, output, dtype="fp32", **other):
    """other: config, checkpoint, vocab, vocos_config or vocos in place of made's, pinyin in place of none; None leaves
    the option out."""
    files = dict(config=made["yaml"], checkpoint=made["checkpoint"], vocab=made["vocab_path"],
                 vocos_config=made["vocos_config"], vocos=made["vocos_path"], output=output, dtype=dtype,
                 pinyin="none")
    files.update(other)
    return ["convert"] + [f"--{k.replace('_', '-')}" + ("" if v is True else f"={v}")
                          for k, v in files.items() if v is not None]


def convert(made, output, sanitized=False, **other):
    return run(*convert_args(made, output, **other), sanitized=sanitized)


def converted(made, output, **other):
    """Converts, which must work, and returns the file's metadata and tensors."""
    result = convert(made, output, **other)
    assert result.returncode == 0, result.stderr
    return read_f5(output)


def read_f5(path):
    """(metadata, {name: array}); bfloat16 comes as uint16 bits."""
    types = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "U8": np.uint8, "I8": np.int8}
    raw = Path(path).read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + size])
    metadata, data, tensors = header.pop("__metadata__"), memoryview(raw)[8 + size:], {}
    for name, t in header.items():
        begin, end = t["data_offsets"]
        tensors[name] = np.frombuffer(data[begin:end], types[t["dtype"]]).reshape(t["shape"])
    assert sum(v.nbytes for v in tensors.values()) == len(data), "every byte belongs to one tensor"
    return metadata, tensors


# stored in the file's type; everything else, the input projection and the vocoder included, is fp32 always
MATRICES = ("dit.time.0.weight", "dit.time.1.weight", "pw1.weight", "pw2.weight", "dit.conv_pos.0.weight",
            "dit.conv_pos.1.weight", "dit.modulation.weight", "qkv.weight", "out.weight", "ff1.weight", "ff2.weight",
            "dit.long_skip.x.weight", "dit.long_skip.x0.weight", "dit.proj_out.weight")


VOCODER_MATRICES = ("embed.weight", "pw1.weight", "pw2.weight", "head.weight")  # stored in a type of their own


def is_matrix(name):
    return not name.startswith("vocos.") and name.endswith(MATRICES)


def expected(made, dtype="fp32", vocos_dtype="fp32"):
    """{name: array} as the .f5 of that checkpoint must hold them."""
    m = {k.removeprefix("transformer."): v for k, v in made["model"].items()}
    v, c, out = made["vocos"], made["config"], {}

    def both(to, source, key):
        out[to + ".weight"], out[to + ".bias"] = source[key + ".weight"], source[key + ".bias"]

    def convnext(to, source, key):
        out[to + ".dwconv.weight"] = source[key + ".dwconv.weight"][:, 0, :].T
        out[to + ".dwconv.bias"] = source[key + ".dwconv.bias"]
        both(to + ".norm", source, key + ".norm")
        both(to + ".pw1", source, key + ".pwconv1")
        both(to + ".pw2", source, key + ".pwconv2")

    both("dit.time.0", m, "time_embed.time_mlp.0")
    both("dit.time.1", m, "time_embed.time_mlp.2")
    out["text.embedding"] = m["text_embed.text_embed.weight"]
    for i in range(c["conv_layers"]):
        to, key = f"text.blocks.{i}", f"text_embed.text_blocks.{i}"
        convnext(to, m, key)
        out[to + ".grn.gamma"], out[to + ".grn.beta"] = m[key + ".grn.gamma"].ravel(), m[key + ".grn.beta"].ravel()
    proj = m["input_embed.proj.weight"]
    out["dit.input.x.weight"], out["dit.input.cond.weight"] = proj[:, :100], proj[:, 100:200]
    out["dit.input.text.weight"], out["dit.input.bias"] = proj[:, 200:], m["input_embed.proj.bias"]
    for i in (0, 1):
        key = f"input_embed.conv_pos_embed.conv1d.{2 * i}"
        out[f"dit.conv_pos.{i}.weight"] = np.moveaxis(m[key + ".weight"], 2, 0)
        out[f"dit.conv_pos.{i}.bias"] = m[key + ".bias"]
    modulations = [f"transformer_blocks.{i}.attn_norm.linear" for i in range(c["depth"])] + ["norm_out.linear"]
    for part in ("weight", "bias"):
        out["dit.modulation." + part] = np.concatenate([m[f"{k}.{part}"] for k in modulations])
    for i in range(c["depth"]):
        to, key = f"dit.blocks.{i}", f"transformer_blocks.{i}"
        for part in ("weight", "bias"):
            out[f"{to}.qkv.{part}"] = np.concatenate([m[f"{key}.attn.to_{x}.{part}"] for x in "qkv"])
        both(to + ".out", m, key + ".attn.to_out.0")
        both(to + ".ff1", m, key + ".ff.ff.0.0")
        both(to + ".ff2", m, key + ".ff.ff.2")
        for x in "qk" if c["qk_norm"] else "":
            out[f"{to}.{x}_norm"] = m[f"{key}.attn.{x}_norm.weight"]
    if c["long_skip"]:
        out["dit.long_skip.x.weight"], out["dit.long_skip.x0.weight"] = np.split(m["long_skip_connection.weight"], 2, 1)
    both("dit.proj_out", m, "proj_out")

    out["vocos.embed.weight"] = np.moveaxis(v["backbone.embed.weight"], 2, 0)
    out["vocos.embed.bias"] = v["backbone.embed.bias"]
    both("vocos.norm", v, "backbone.norm")
    for i in range(c["vocos_layers"]):
        convnext(f"vocos.blocks.{i}", v, f"backbone.convnext.{i}")
        out[f"vocos.blocks.{i}.layer_scale"] = v[f"backbone.convnext.{i}.gamma"]
    both("vocos.final_norm", v, "backbone.final_layer_norm")
    both("vocos.head", v, "head.out")

    def stored(name):
        if name.startswith("vocos."):
            return vocos_dtype if name.endswith(VOCODER_MATRICES) else "fp32"
        return dtype if is_matrix(name) else "fp32"

    return {k: rc.narrow(x, stored(k)) for k, x in out.items()}


def assert_same_tensors(found, wanted):
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        assert found[name].dtype == values.dtype and found[name].shape == values.shape, name
        assert found[name].tobytes() == values.tobytes(), f"{name}: other values"
