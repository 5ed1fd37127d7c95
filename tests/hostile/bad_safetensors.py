"""bad_safetensors.py — malformed safetensors and .f5 files, each with the reason for which it must be refused.

    for case in container_cases(): case.name, case.data, case.reason      any reader of safetensors must refuse it
    for case in model_cases(rng):  ...                                    sound containers, but no .f5 model

`reason` is a regular expression that the message must match: a file refused for something else proves nothing.
The shapes of a .f5 stand here a second time on purpose, read off weights/model.h, not off the manifest.
"""
import json
import math
import struct
from typing import NamedTuple

import numpy as np

SIZES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I64": 8, "I32": 4, "U8": 1, "I8": 1, "BOOL": 1}


class Case(NamedTuple):
    name: str
    data: bytes
    reason: str


def pack(header, data=b"", length=None):
    """A file of a header (object or bytes) and data; `length` lies about the header's length."""
    if not isinstance(header, bytes):
        header = json.dumps(header).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def lay_out(tensors, metadata=None):
    """{name: (dtype, shape, bytes or None for zeros)} -> (header, data), without gaps, in order."""
    header, data = ({"__metadata__": metadata} if metadata is not None else {}), bytearray()
    for name, (dtype, shape, content) in tensors.items():
        content = bytes(SIZES[dtype] * math.prod(shape)) if content is None else content
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    return header, bytes(data)


# ---- containers

def _base():
    return lay_out({"a": ("F32", [2, 3], None), "b": ("I64", [2], None)}, {"k": "v"})


def _changed(tensor="a", **fields):
    """The small file with fields of one entry replaced; None takes the field away."""
    header, data = _base()
    for field, value in fields.items():
        if value is None:
            del header[tensor][field]
        else:
            header[tensor][field] = value
    return pack(header, data)


def _text(text, data_bytes=40):
    """A header of this very text."""
    return pack(text if isinstance(text, bytes) else text.encode(), bytes(data_bytes))


A = '"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}'
B = '"b":{"dtype":"I64","shape":[2],"data_offsets":[24,40]}'


def container_cases():
    header, data = _base()
    good = pack(header, data)
    n = len(good) - 8 - len(data)
    cases = [
        # the frame
        ("empty_file", b"", "too short"),
        ("seven_bytes", b"\x02\0\0\0\0\0\0", "too short"),
        ("no_header", struct.pack("<Q", 0), "does not start"),
        ("header_of_zero", pack(b"", data), "does not start"),
        ("header_past_the_end", pack(header, data, length=len(good) - 7), "cut short"),
        ("header_length_all_ones", pack(header, data, length=2**64 - 1), "cut short"),
        ("header_length_sign_bit", pack(header, data, length=2**63), "cut short"),
        ("header_over_the_limit", pack(b"{" + b" " * (16 << 20) + b"}"), "limit"),
        ("header_cut", pack(header, data, length=n - 1), "ends too early|expected"),
        ("header_takes_in_data", pack(header, data, length=n + 4), "something follows"),
        ("starts_with_space", _text(" {" + A + "," + B + "}"), "does not start"),
        ("starts_with_bom", _text(b"\xef\xbb\xbf{" + A.encode() + b"," + B.encode() + b"}"), "does not start"),
        ("padded_with_nul", _text("{" + A + "," + B + "}\0\0\0"), "something follows"),
        ("a_list", _text("[" + "1" + "]", 0), "does not start"),
        ("a_pickle", b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01u." + bytes(64), "not a safetensors"),
        ("a_gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + bytes(64), "not a safetensors"),
        ("a_text", b"model: F5TTS_v1_Base\narch: DiT\n" * 9, "not a safetensors"),
        ("cut_by_a_byte", good[:-1], "cut short"),
        ("cut_to_the_header", good[:8 + n], "cut short"),
        ("bytes_left_over", good + b"\0", "1 bytes at the end"),
        # JSON
        ("trailing_comma", _text("{" + A + "," + B + ",}"), "expected a key"),
        ("no_comma", _text("{" + A + " " + B + "}"), "expected ','"),
        ("comment", _text("{/* a */" + A + "," + B + "}"), "expected a key"),
        ("single_quotes", _text("{" + A.replace('"', "'") + "," + B + "}"), "expected a key"),
        ("not_a_number", _text("{" + A.replace("[2,3]", "[NaN]") + "," + B + "}"), "expected a value"),
        ("leading_zero", _text("{" + A.replace("[2,3]", "[02,3]") + "," + B + "}"), "expected ','"),
        ("text_after", _text("{" + A + "," + B + "} x"), "something follows"),
        ("two_objects", _text("{" + A + "}{" + B + "}"), "something follows"),
        ("same_name_twice", _text("{" + A + "," + B + "," + A + "}"), "twice"),
        ("same_name_escaped", _text("{" + A + "," + B + "," + A.replace('"a"', '"\\u0061"') + "}"), "twice"),
        ("same_field_twice", _text("{" + A.replace("{", '{"dtype":"F32",') + "," + B + "}"), "twice"),
        ("two_metadata", _text('{"__metadata__":{},"__metadata__":{},' + A + "," + B + "}"), "twice"),
        ("name_not_utf8", _text(b"{" + A.replace("a", "A", 1).encode().replace(b"A", b"\xff\xfe", 1) + b"}"), "UTF-8"),
        ("name_overlong_utf8", _text(b'{"\xc0\xaf":1}'), "UTF-8"),
        ("name_half_surrogate", _text("{" + A.replace('"a"', '"\\ud800"') + "}"), "surrogate"),
        ("name_with_nul", _text("{" + A.replace('"a"', '"a\\u0000b"') + "}"), "NUL"),
        ("name_with_newline", _text("{" + A.replace('"a"', '"a\nb"') + "}"), "control"),
        ("bad_escape", _text("{" + A.replace('"a"', '"\\x61"') + "}"), "escape"),
        ("unfinished_string", _text('{"a', 0), "ends inside a string"),
        ("unfinished_escape", _text('{"a\\', 0), "ends inside a string"),
        ("deep_lists", _text('{"a":' + "[" * 100000 + "]" * 100000 + "}"), "too deeply"),
        ("deep_objects", _text('{"a":' * 100000), "too deeply"),
        ("a_million_values", _text('{"a":[' + "0," * (1 << 20) + "0]}"), "too many values"),
        # metadata
        ("metadata_list", _text('{"__metadata__":["k"],' + A + "," + B + "}"), "__metadata__ is not"),
        ("metadata_text", _text('{"__metadata__":"k",' + A + "," + B + "}"), "__metadata__ is not"),
        ("metadata_number", _text('{"__metadata__":{"k":1},' + A + "," + B + "}"), "not a string"),
        ("metadata_null", _text('{"__metadata__":{"k":null},' + A + "," + B + "}"), "not a string"),
        ("metadata_nested", _text('{"__metadata__":{"k":{"x":"y"}},' + A + "," + B + "}"), "not a string"),
        # entries
        ("entry_null", _text('{"a":null,' + B + "}"), "not an object"),
        ("entry_list", _text('{"a":["F32",[2,3],[0,24]],' + B + "}"), "not an object"),
        ("no_dtype", _changed(dtype=None), "must hold dtype"),
        ("no_shape", _changed(shape=None), "must hold dtype"),
        ("no_offsets", _changed(data_offsets=None), "must hold dtype"),
        ("another_field", _changed(strides=[3, 1]), "must hold dtype"),
        ("dtype_lower_case", _changed(dtype="f32"), "unknown dtype"),
        ("dtype_of_another_world", _changed(dtype="F8_E4M3"), "unknown dtype"),
        ("dtype_number", _changed(dtype=32), "dtype is not a string"),
        ("dtype_empty", _changed(dtype=""), "unknown dtype"),
        ("shape_number", _changed(shape=6), "shape is not an array"),
        ("shape_object", _changed(shape={"0": 2, "1": 3}), "shape is not an array"),
        ("shape_negative", _changed(shape=[-2, -3]), "not a size"),
        ("shape_text", _changed(shape=["2", "3"]), "not a size"),
        ("shape_fraction", _changed(shape=[2.0, 3]), "not a size"),
        ("shape_exponent", _text("{" + A.replace("[2,3]", "[6e0]") + "," + B + "}"), "not a size"),
        ("shape_true", _changed(shape=[True, 6]), "not a size"),
        ("shape_nested", _changed(shape=[[2, 3]]), "not a size"),
        ("shape_past_int64", _changed(shape=[2**63]), "not a size"),
        ("shape_wraps_to_six", _changed(shape=[2**32, 2**32, 6]), "overflows"),
        ("bytes_wrap_to_24", _changed(shape=[2**62 + 6]), "do not fit"),
        ("rank_nine", _changed(shape=[1, 1, 1, 1, 1, 1, 1, 2, 3]), "limit"),
        ("shape_larger_than_data", _changed(shape=[2, 4]), "do not fit"),
        ("shape_smaller_than_data", _changed(shape=[2, 2]), "do not fit"),
        ("shape_empty", _changed(shape=[]), "do not fit"),
        ("dtype_narrower_than_data", _changed(dtype="F16"), "do not fit"),
        ("offsets_number", _changed(data_offsets=24), "array of two"),
        ("offsets_one", _changed(data_offsets=[24]), "array of two"),
        ("offsets_three", _changed(data_offsets=[0, 12, 24]), "array of two"),
        ("offsets_negative", _changed(data_offsets=[-24, 0]), "not an offset"),
        ("offsets_fraction", _changed(data_offsets=[0.0, 24.0]), "not an offset"),
        ("offsets_backwards", _changed(data_offsets=[24, 0]), "backwards"),
        ("offsets_past_the_end", _changed("b", data_offsets=[32, 48]), "cut short"),
        ("offsets_past_int64", _changed("b", data_offsets=[2**64, 2**64 + 16]), "not an offset"),
        ("offsets_near_int64", _changed("b", data_offsets=[2**63 - 17, 2**63 - 1]), "cut short"),
        # who owns which byte
        ("overlap_whole", _changed("b", data_offsets=[0, 16]), "overlaps"),
        ("overlap_by_a_byte", _changed("b", data_offsets=[23, 39]), "overlaps"),
        ("gap_at_the_start", _text('{"a":{"dtype":"F32","shape":[4],"data_offsets":[4,20]}}', 20), "gap of 4"),
        ("gap_inside", _text("{" + A + ',"b":{"dtype":"I64","shape":[1],"data_offsets":[32,40]}}'), "gap of 8"),
        ("empty_tensor_inside_another",
         _text("{" + A + "," + B + ',"c":{"dtype":"U8","shape":[0],"data_offsets":[8,8]}}'), "overlaps"),
        ("no_tensors_but_data", _text("{}"), "belong to no tensor"),
        ("name_empty", _text("{" + A.replace('"a"', '""') + "," + B + "}"), "name is empty"),
        ("name_too_long", _text("{" + A.replace('"a"', '"' + "a" * 513 + '"') + "," + B + "}"), "limit"),
        ("too_many_tensors", pack({f"t{i}": {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]}
                                   for i in range(65538)}, bytes(65538)), "limit"),
    ]
    return [Case(*case) for case in cases]


# ---- models

CONFIG = {"name": "tiny", "tokenizer": "char", "dim": 16, "depth": 2, "heads": 1, "ff_dim": 32, "text_dim": 4,
          "text_blocks": 1, "vocab_size": 3, "pe_attn_head": -1, "text_mask_padding": True, "qk_norm": False,
          "long_skip": False, "text_average_upsampling": False, "vocos_dim": 8, "vocos_ff_dim": 8, "vocos_layers": 1,
          "vocos_same_padding": False}
VOCAB = " \na\nb\n"


def model_shapes(c):
    """{name: (shape, is a matrix)} of a .f5 of configuration c."""
    D, F, T, V, H = c["dim"], c["ff_dim"], c["text_dim"], c["vocab_size"], 64 * c["heads"]
    C, E, M = c["vocos_dim"], c["vocos_ff_dim"], (6 * c["depth"] + 2) * c["dim"]
    shapes = {}

    def linear(name, out, width, bias=True, matrix=True):
        shapes[f"{name}.weight"] = ([out, width], matrix)
        if bias:
            shapes[f"{name}.bias"] = ([out], False)

    def convnext(name, width, inner, matrix):
        shapes[f"{name}.dwconv.weight"] = ([7, width], False)
        for vector in ("dwconv.bias", "norm.weight", "norm.bias"):
            shapes[f"{name}.{vector}"] = ([width], False)
        linear(f"{name}.pw1", inner, width, matrix=matrix)
        linear(f"{name}.pw2", width, inner, matrix=matrix)

    linear("dit.time.0", D, 256)
    linear("dit.time.1", D, D)
    shapes["text.embedding"] = ([V + 1, T], False)
    for i in range(c["text_blocks"]):
        convnext(f"text.blocks.{i}", T, 2 * T, True)
        shapes[f"text.blocks.{i}.grn.gamma"] = shapes[f"text.blocks.{i}.grn.beta"] = ([2 * T], False)
    linear("dit.input.x", D, 100, bias=False, matrix=False)
    linear("dit.input.cond", D, 100, bias=False, matrix=False)
    linear("dit.input.text", D, T, bias=False, matrix=False)
    shapes["dit.input.bias"] = ([D], False)
    for i in range(2):
        shapes[f"dit.conv_pos.{i}.weight"] = ([31, D, D // 16], True)
        shapes[f"dit.conv_pos.{i}.bias"] = ([D], False)
    linear("dit.modulation", M, D)
    for i in range(c["depth"]):
        linear(f"dit.blocks.{i}.qkv", 3 * H, D)
        linear(f"dit.blocks.{i}.out", D, H)
        linear(f"dit.blocks.{i}.ff1", F, D)
        linear(f"dit.blocks.{i}.ff2", D, F)
        if c["qk_norm"]:
            shapes[f"dit.blocks.{i}.q_norm"] = shapes[f"dit.blocks.{i}.k_norm"] = ([64], False)
    if c["long_skip"]:
        linear("dit.long_skip.x", D, D, bias=False)
        linear("dit.long_skip.x0", D, D, bias=False)
    linear("dit.proj_out", 100, D)
    shapes["vocos.embed.weight"] = ([7, C, 100], False)
    for vector in ("embed.bias", "norm.weight", "norm.bias", "final_norm.weight", "final_norm.bias"):
        shapes[f"vocos.{vector}"] = ([C], False)
    for i in range(c["vocos_layers"]):
        convnext(f"vocos.blocks.{i}", C, E, False)
        shapes[f"vocos.blocks.{i}.layer_scale"] = ([C], False)
    linear("vocos.head", 1026, C, matrix=False)
    return shapes


# where version 2 keeps the fields of version 1; the rest stands at the top in both
NESTED = {field: (part, name) for part, fields in {
    "backbone": {f: f for f in ("dim", "depth", "heads", "ff_dim", "pe_attn_head", "qk_norm", "long_skip")},
    "text": dict(text_dim="dim", text_blocks="blocks", text_mask_padding="mask_padding",
                 text_average_upsampling="average_upsampling"),
    "vocoder": dict(vocos_dim="dim", vocos_ff_dim="ff_dim", vocos_layers="layers",
                    vocos_same_padding="same_padding")}.items() for field, name in fields.items()}


def nested(flat):
    """A version 1 configuration as version 2 has it."""
    made = {"backbone": {"kind": "DiT"}, "text": {}, "vocoder": {"kind": "Vocos"}}
    for field, value in flat.items():
        part, name = NESTED.get(field, (None, field))
        (made[part] if part else made)[name] = value
    return made


def model_file(config=None, vocab=VOCAB, metadata=None, tensors=None, dtype="F32", version=1, **fields):
    """A .f5 of zeros. config: text in place of the configuration's; fields: changes to it (None removes);
    metadata: changes to the metadata; tensors: changes to {name: (dtype, shape, bytes)}, a function of the dict."""
    values = {**CONFIG, **fields}
    values = {k: v for k, v in values.items() if v is not None}
    stated = json.dumps(values if version == 1 else nested(values))
    texts = {"format": "f5tts", "format_version": str(version), "config": stated if config is None else config,
             "vocab": vocab}
    texts.update(metadata or {})
    # the tensors follow the two flags that add some; other fields only change what the configuration says
    flags = {k: True for k in ("qk_norm", "long_skip") if fields.get(k) is True}
    shapes = model_shapes({**CONFIG, **flags})
    held = {name: (dtype if matrix else "F32", shape, None) for name, (shape, matrix) in shapes.items()}
    if tensors:
        tensors(held)
    return pack(*lay_out(held, {k: v for k, v in texts.items() if v is not None}))


def good_models():
    """Files that must be taken, so that the refusals mean something."""
    return {
        "fp32": model_file(),
        "version_2": model_file(version=2),
        "version_2_qk_norm": model_file(version=2, qk_norm=True),
        "fp16": model_file(dtype="F16"),
        "bf16": model_file(dtype="BF16"),
        "crlf_vocab": model_file(vocab=" \r\na\r\nb"),
        "qk_norm": model_file(qk_norm=True),
        "long_skip": model_file(long_skip=True),
        "byte_tokenizer": model_file(tokenizer="byte", vocab=None, vocab_size=256,
                                     tensors=lambda t: t.update({"text.embedding": ("F32", [257, 4], None)})),
        "reversed_order": model_file(tensors=lambda t: [t.update({k: t.pop(k)}) for k in list(t)[::-1]]),
    }


def colliding_tokens(count=1300, slots=4096):
    """Tokens that all hash into a few neighbouring slots of the vocabulary's table (weights/vocab.c)."""
    rng = np.random.default_rng(1)
    found = []
    while len(found) < count:
        letters = rng.integers(97, 123, (200000, 8), dtype=np.uint64)
        h = np.full(len(letters), 0xcbf29ce484222325, dtype=np.uint64)
        for column in range(8):
            h = (h ^ letters[:, column]) * np.uint64(0x100000001b3)
        h ^= h >> np.uint64(32)
        slot = (h * np.uint64(0x9e3779b97f4a7c15) >> np.uint64(32)) % np.uint64(slots)
        found += [bytes(row.astype(np.uint8)).decode() for row in letters[slot < 16]]
    return found[:count]


def _replace(name, **changes):
    """Changes dtype or shape of one tensor."""
    def change(tensors):
        dtype, shape, _ = tensors[name]
        tensors[name] = (changes.get("dtype", dtype), changes.get("shape", shape), None)
    return change


def _all_matrices(dtype):
    def change(tensors):
        for name, (shape, matrix) in model_shapes(CONFIG).items():
            if matrix:
                tensors[name] = (dtype, shape, None)
    return change


def _config_cases():
    bad_values = {
        "dim": (0, 8, 24, -16, 8208, 2**31, 2**40), "depth": (0, 65, -1), "heads": (0, 129), "ff_dim": (0, 65537),
        "text_dim": (0, 5, 8194), "text_blocks": (-1, 17), "vocab_size": (0, -1, 10**6 + 1),
        "pe_attn_head": (-2, 2, 129), "vocos_dim": (0, 8193), "vocos_ff_dim": (0, 65537), "vocos_layers": (0, 33),
    }
    for field, values in bad_values.items():
        for value in values:
            part, name = NESTED.get(field, (None, field))
            says = rf"{part}\.{name} is" if part else f"{name} is"
            yield f"{field}_{value}", model_file(**{field: value}), says if abs(value) < 2**31 else "out of range"
            yield f"{field}_{value}_v2", model_file(**{field: value}, version=2), \
                says if abs(value) < 2**31 else "out of range"
    for field in CONFIG:
        yield f"no_{field}", model_file(**{field: None}), "is missing"
    for field in ("name", "tokenizer", "vocab_size"):
        yield f"no_{field}_v2", model_file(**{field: None}, version=2), "is missing"
    for part in ("backbone", "vocoder"):
        without = {k: v for k, v in nested(CONFIG).items() if k != part}
        for change, says in ((None, "is missing"), ({}, "has no kind"), ({"kind": 7}, "has no kind"),
                             ({"kind": "Mamba"}, "not one that this build has"), ([], "is missing")):
            config = without if change is None else {**without, part: change}
            yield f"{part}_{json.dumps(change)}_v2", model_file(config=json.dumps(config), version=2), says
    for part in ("backbone", "text", "vocoder"):
        config = nested(CONFIG)
        config[part] = {**config[part], "dropout": 0}
        yield f"unknown_field_of_{part}", model_file(config=json.dumps(config), version=2), rf'unknown field .{part}\.dropout'
    yield "flat_v2", model_file(config=json.dumps(CONFIG), version=2), "backbone is missing"
    yield "nested_v1", model_file(config=json.dumps(nested(CONFIG)), version=1), "unknown field"
    for field, value in {"dim": "16", "depth": 2.0, "heads": True, "vocab_size": [3], "qk_norm": 1, "long_skip": "true",
                         "name": 5, "tokenizer": False}.items():
        yield f"{field}_of_another_type", model_file(**{field: value}), f"{field} is not"
    text = json.dumps(CONFIG)
    yield "config_empty", model_file(config=""), "ends where a value"
    yield "config_yaml", model_file(config="dim: 16"), "expected a value"
    yield "config_list", model_file(config="[" + text + "]"), "not a JSON object"
    yield "config_cut", model_file(config=text[:-1]), "ends too early"
    yield "config_twice", model_file(config=text[:-1] + ', "dim": 16}'), "twice"
    yield "config_unknown_field", model_file(config=text[:-1] + ', "dropout": 0}'), "unknown field"
    yield "config_shouting", model_file(config=text.replace('"dim"', '"DIM"')), "unknown field"
    yield "config_deep", model_file(config='{"dim":' * 5000), "too deeply"
    yield "tokenizer_unknown", model_file(tokenizer="bpe"), "tokenizer is none of"
    yield "name_too_long", model_file(name="x" * 64), "name is over"
    yield "name_escape_sequence", model_file(name="\x1b[2J"), "name is not plain"
    yield "upsampling_unmasked", model_file(text_average_upsampling=True, text_mask_padding=False), r"needs text\.mask"
    yield "byte_tokenizer_with_vocab", model_file(tokenizer="byte", vocab_size=256), "byte tokenizer"
    yield "byte_tokenizer_size", model_file(tokenizer="byte", vocab=None), "byte tokenizer has 256"


def _metadata_cases():
    header, data = lay_out({name: ("F32", shape, None) for name, (shape, _) in model_shapes(CONFIG).items()})
    yield "no_metadata", pack(header, data), "not a .f5 model"
    yield "another_format", model_file(metadata={"format": "pt"}), "not a .f5 model"
    yield "format_missing", model_file(metadata={"format": None}), "not a .f5 model"
    yield "version_missing", model_file(metadata={"format_version": None}), "format_version"
    yield "version_three", model_file(metadata={"format_version": "3"}), "format_version"
    yield "version_with_zero", model_file(metadata={"format_version": "01"}), "format_version"
    yield "config_missing", model_file(metadata={"config": None}), "no config"
    yield "vocab_missing", model_file(vocab=None), "no vocab"
    yield "vocab_empty", model_file(vocab=""), "empty"
    yield "vocab_short", model_file(vocab=" \na\n"), "has 2 tokens"
    yield "vocab_long", model_file(vocab=" \na\nb\nc\n"), "has 4 tokens"
    yield "vocab_of_a_million_lines", model_file(vocab="\n" * (10**6 + 1)), "more than 1000000 lines"
    tokens = colliding_tokens()
    yield "vocab_made_to_collide", model_file(vocab="\n".join(tokens), vocab_size=len(tokens)), "collide"


def _tensor_cases():
    for name in ("dit.proj_out.weight", "dit.blocks.1.qkv.bias", "text.embedding", "vocos.head.bias",
                 "dit.conv_pos.1.bias", "text.blocks.0.grn.beta", "vocos.blocks.0.layer_scale", "dit.modulation.weight"):
        yield f"without_{name}", model_file(tensors=lambda t, name=name: t.pop(name)), f'"{name}" is missing'
    stranger = {"ema.decay": ("F32", [1], None)}
    yield "one_tensor_more", model_file(tensors=lambda t: t.update(stranger)), '"ema.decay" has no place'
    rude = {"a\x1b]0;x\x07\u0085\n": ("F32", [1], None)}
    yield "rude_name", model_file(tensors=lambda t: t.update(rude)), r'"a\\u001b\]0;x\\u0007\\u0085\\n" has no place'
    yield "block_too_many", model_file(config=json.dumps({**CONFIG, "depth": 1})), "another shape|no place"
    yield "block_missing", model_file(config=json.dumps({**CONFIG, "depth": 3})), "another shape|is missing"
    yield "qk_norm_missing", model_file(config=json.dumps({**CONFIG, "qk_norm": True})), "q_norm\" is missing"
    yield "qk_norm_too_many", model_file(config=json.dumps(CONFIG), qk_norm=True), "has no place"
    yield "long_skip_missing", model_file(config=json.dumps({**CONFIG, "long_skip": True})), "long_skip"
    yield "wider_than_said", model_file(config=json.dumps({**CONFIG, "dim": 32})), "another shape"
    for name, shape in {"dit.time.0.weight": [256, 16], "dit.time.1.bias": [16, 1], "text.embedding": [3, 4],
                        "dit.conv_pos.0.weight": [16, 1, 31], "text.blocks.0.grn.gamma": [1, 1, 8],
                        "vocos.embed.weight": [8, 100, 7], "dit.modulation.bias": [0], "vocos.norm.bias": []}.items():
        yield f"shape_of_{name}", model_file(tensors=_replace(name, shape=shape)), f'"{name}" has another shape'
    for name, dtype in {"dit.time.0.bias": "F16", "text.embedding": "BF16", "vocos.head.weight": "F16",
                        "dit.blocks.0.ff1.weight": "BF16", "dit.proj_out.bias": "F64",
                        "vocos.norm.weight": "I32"}.items():
        changed = model_file(tensors=_replace(name, dtype=dtype))
        yield f"{dtype}_of_{name}", changed, f'"{name}" is {dtype}, F32 expected'
    yield "proj_out_alone_half", model_file(tensors=_replace("dit.proj_out.weight", dtype="F16")), "F16 expected"
    for dtype in ("F64", "I32", "U8", "BOOL"):
        yield f"matrices_{dtype}", model_file(tensors=_all_matrices(dtype)), f"is {dtype}: F32, F16 or BF16"


def _damaged_cases(rng):
    good = model_file()
    for i in range(6):
        yield f"cut_{i}", good[:int(rng.integers(0, len(good)))], "too short|cut short"


def model_cases(rng):
    return [Case(*case) for group in (_metadata_cases(), _config_cases(), _tensor_cases(), _damaged_cases(rng))
            for case in group]
