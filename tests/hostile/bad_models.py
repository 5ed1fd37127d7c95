"""bad_models.py — .f5 files of what bad_safetensors.py's small DiT is not: UNetT, and matrices in 8 bits.

    good_others()        {name: bytes} that must be taken
    other_cases()        sound containers that are no model, each with the reason for which it must be refused

The shapes stand here a second time on purpose, as in bad_safetensors.py.
"""
import json

import numpy as np

from bad_safetensors import CONFIG, VOCAB, Case, lay_out, model_shapes, nested, pack

WIDE = {**CONFIG, "dim": 64, "ff_dim": 128}  # rows of a multiple of 64, as 8 bits need them
IN_8_BITS = (".qkv.weight", ".out.weight", "ff1.weight", "ff2.weight", "dit.modulation.weight")


def unett_settings(**fields):
    made = nested(CONFIG)
    made["backbone"] = {"kind": "UNetT", "dim": 16, "depth": 2, "heads": 1, "ff_dim": 32, "pe_attn_head": -1, "skip": 0,
                        "qk_norm": False}
    made["backbone"].update(fields)
    made["backbone"] = {k: v for k, v in made["backbone"].items() if v is not None}
    return made


def unett_shapes(backbone):
    """{name: (shape, is a matrix)} of settings that are sound."""
    dim, depth = backbone["dim"], backbone["depth"]
    like = {**CONFIG, **{k: backbone[k] for k in ("dim", "depth", "heads", "ff_dim", "qk_norm")}}
    shapes = {}
    for name, held in model_shapes(like).items():
        if not name.startswith("dit.modulation."):
            shapes[name.replace("dit.blocks.", "unett.layers.").replace("dit.", "unett.")] = held
    for i in range(depth):
        shapes[f"unett.layers.{i}.attn_norm"] = shapes[f"unett.layers.{i}.ff_norm"] = ([dim], False)
    for i in range(depth // 2 if backbone["skip"] == 0 else 0):
        shapes[f"unett.skips.{i}.x.weight"] = shapes[f"unett.skips.{i}.skip.weight"] = ([dim, dim], True)
    shapes["unett.norm_out"] = ([dim], False)
    return shapes


def in_8_bits(held, names=IN_8_BITS):
    """The tensors with the matrices of the blocks in 8 bits, each with its scales beside it; names: how these end."""
    made = {}
    for name, (dtype, shape, content) in held.items():
        eight = name.endswith(names)
        made[name] = ("I8", shape, None) if eight else (dtype, shape, content)
        if eight:
            made[name + ".scale"] = ("F32", shape[:1], None)
    return made


def other_file(settings, shapes, int8=False, tensors=None):
    """A .f5 of zeros; tensors: changes to {name: (dtype, shape, bytes)}, a function of the dict."""
    held = {name: ("F16" if int8 and matrix else "F32", shape, None) for name, (shape, matrix) in shapes.items()}
    held = in_8_bits(held) if int8 else held
    if tensors:
        tensors(held)
    return pack(*lay_out(held, {"format": "f5tts", "format_version": "2", "config": json.dumps(settings),
                                "vocab": VOCAB}))


def unett(tensors=None, int8=False, says=None, **sound):
    """sound: settings that the tensors follow; says: settings that stand in the file alone."""
    settings = unett_settings(**({"dim": 64, "ff_dim": 128} if int8 else {}), **sound)
    shapes = unett_shapes(settings["backbone"])
    settings["backbone"].update(says or {})
    settings["backbone"] = {k: v for k, v in settings["backbone"].items() if v is not None}
    return other_file(settings, shapes, int8, tensors)


def dit8(tensors=None):
    return other_file(nested(WIDE), model_shapes(WIDE), True, tensors)


def good_others():
    scales = np.array([np.nan, np.inf, -np.inf, -1, 1e-45, -0.0, 3e38, 1] * 8, "<f4").tobytes()
    any_scale = {"dit.blocks.0.out.weight.scale": ("F32", [64], scales)}
    least = {"dit.blocks.1.ff2.weight": ("I8", [64, 128], b"\x80" * (64 * 128))}
    return {"unett": unett(), "unett_add": unett(skip=1), "unett_none": unett(skip=2), "unett_deep": unett(depth=6),
            "unett_qk_norm": unett(qk_norm=True), "unett_no_rotation": unett(pe_attn_head=0), "unett_int8": unett(int8=True),
            "dit_int8": dit8(), "dit_int8_any_scale": dit8(lambda t: t.update(any_scale)),
            "dit_int8_of_-128": dit8(lambda t: t.update(least))}


def _without(name):
    return lambda t: t.pop(name)


def _with(name, dtype, shape):
    return lambda t: t.update({name: (dtype, shape, None)})


def _unett_cases():
    limits = {"dim": (0, 8, 24, -16, 8208, 2**31), "depth": (0, 1, 65, 66, -2), "heads": (0, 129), "ff_dim": (0, 65537),
              "pe_attn_head": (-2, 129), "skip": (-1, 3)}
    for field, values in limits.items():
        for value in values:
            yield f"{field}_{value}", unett(says={field: value}), \
                rf"backbone\.{field} is" if abs(value) < 2**31 else "out of range"
    yield "odd_depth", unett(says={"depth": 3}), r"backbone\.depth is 3, not even"
    yield "more_rotated_than_heads", unett(says={"pe_attn_head": 2}), r"backbone\.pe_attn_head is 2 of 1 heads"
    yield "skip_text", unett(says={"skip": "add"}), "skip is not an integer"
    yield "no_dim", unett(says={"dim": None}), "another shape"  # a field that is missing has its default
    yield "long_skip", unett(says={"long_skip": True}), r"unknown field .backbone\.long_skip"
    yield "a_layer_more", unett(says={"depth": 4}), "unett.* is missing"
    yield "layers_too_many", unett(depth=4, says={"depth": 2}), "unett.* has no place"
    yield "said_to_join", unett(skip=2, says={"skip": 0}), r'"unett\.skips\.0\.(x|skip)\.weight" is missing'
    yield "said_to_add", unett(says={"skip": 1}), r'"unett\.skips\.0\.(x|skip)\.weight" has no place'
    yield "qk_norm_missing", unett(says={"qk_norm": True}), 'q_norm" is missing'
    yield "said_to_be_dit", unett(says={"kind": "DiT", "skip": None, "long_skip": False}), "dit.* is missing"
    for name in ("unett.norm_out", "unett.layers.1.attn_norm", "unett.skips.0.skip.weight", "unett.proj_out.weight"):
        yield f"without_{name}", unett(_without(name)), f'"{name}" is missing'
    for name, shape in {"unett.norm_out": [16, 1], "unett.skips.0.x.weight": [16, 32], "unett.layers.0.ff_norm": [0],
                        "unett.conv_pos.1.weight": [16, 1, 31], "unett.layers.1.qkv.weight": [16, 192]}.items():
        yield f"shape_of_{name}", unett(_with(name, "F32", shape)), f'"{name}" has another shape'
    yield "half_norm", unett(_with("unett.layers.0.attn_norm", "F16", [16])), '"unett.layers.0.attn_norm" is F16, F32 expected'


def _int8_cases():
    """Of the matrices that may lie in 8 bits each is in them, with its scales, or as the others are, without."""
    qkv, scale = "dit.blocks.1.qkv.weight", "dit.blocks.1.qkv.weight.scale"
    for name, file in {"dit": dit8, "unett": lambda change: unett(change, int8=True)}.items():
        ours = {"dit": qkv, "unett": "unett.layers.1.qkv.weight"}[name]
        yield f"{name}_without_scales", file(_without(ours + ".scale")), f'"{ours}.scale" is missing'
        yield f"{name}_a_matrix_in_16_bits", file(_with(ours, "F16", [192, 64])), f'"{ours}.scale" has no place'
    yield "scales_too_few", dit8(_with(scale, "F32", [191])), f'"{scale}" has another shape'
    yield "scales_for_each_column", dit8(_with(scale, "F32", [64])), f'"{scale}" has another shape'
    yield "scales_of_rank_two", dit8(_with(scale, "F32", [192, 1])), f'"{scale}" has another shape'
    yield "scales_of_no_rank", dit8(_with(scale, "F32", [])), f'"{scale}" has another shape'
    yield "scales_in_16_bits", dit8(_with(scale, "F16", [192])), f'"{scale}" is F16, F32 expected'
    yield "scales_in_8_bits", dit8(_with(scale, "I8", [192])), f'"{scale}" is I8, F32 expected'
    yield "without_a_sign", dit8(_with(qkv, "U8", [192, 64])), f'"{qkv}" is U8, I8 expected'
    yield "lying_down", dit8(_with(qkv, "I8", [64, 192])), f'"{qkv}" has another shape'
    yield "scales_of_others", dit8(_with("dit.proj_out.weight.scale", "F32", [100])), '"dit.proj_out.weight.scale" has no place'
    yield "the_velocity_too", dit8(_with("dit.proj_out.weight", "I8", [100, 64])), "dit.proj_out.weight. is I8: F32, F16 or BF16|F16 expected"
    yield "the_time_alone", dit8(_with("dit.time.1.weight", "I8", [64, 64])), '"dit.time.1.weight" is I8, F16 expected'
    yield "the_vocoder", dit8(_with("vocos.head.weight", "I8", [1026, 8])), "vocos.head.weight. is I8"
    yield "only_the_modulation", other_file(
        nested(WIDE), model_shapes(WIDE), tensors=_with("dit.modulation.weight", "I8", [896, 64])), '"dit.modulation.weight.scale" is missing'
    yield "only_a_block", other_file(
        nested(WIDE), model_shapes(WIDE), tensors=_with(qkv, "I8", [192, 64])), f'"{scale}" is missing'


def other_cases():
    return [Case(f"{group}_{name}", data, reason) for group, cases in (("unett", _unett_cases()), ("int8", _int8_cases()))
            for name, data, reason in cases]
