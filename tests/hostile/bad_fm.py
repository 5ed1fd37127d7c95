"""bad_fm.py — .f5 files of Flow-Matching-TTS with MB-iSTFT, sound ones and others, as bad_kinds.py has those of MMDiT.

    good_fm()     {name: bytes} that must be taken
    fm_cases()    (name, bytes, reason) of files that must be refused

The shapes stand here a second time on purpose, as in bad_safetensors.py.
"""
import json

from bad_kinds import _with, _without
from bad_safetensors import lay_out, pack

SYMBOLS = 200
BACKBONE = dict(kind="FM_TTS", dim=64, depth=2, heads=1, ff_dim=32)
TEXT = dict(width=64, predicts_durations=True, add_blank=True)
VOCODER = dict(kind="MB-iSTFT", stages=2, channels=8, rate_0=4, taps_0=16, rate_1=4, taps_1=16, rate_2=1, taps_2=1, rate_3=1, taps_3=1,
               **{f"block_{j}_taps": taps for j, taps in enumerate((3, 7, 11))},
               **{f"block_{j}_dilation_{m}": d for j in range(3) for m, d in enumerate((1, 3, 5))}, form=2, points=16, bands=4)


def fm_shapes(b, t, v):
    """{name: shape} of settings that are sound."""
    shapes, D, M = {}, b["dim"], 80

    def pair(name, out, *inputs):
        shapes[name + ".weight"], shapes[name + ".bias"] = [out, *inputs], [out]

    def conv(name, taps, out, width):
        shapes[name + ".weight"], shapes[name + ".bias"] = [taps, out, width], [out]

    pair("fm.time.0", 4 * D, D)
    pair("fm.time.1", D, 4 * D)
    shapes |= {"fm.embedding": [SYMBOLS, D], "fm.positions": [5000, D]}
    for i in range(4):
        shapes[f"fm.text.{i}.dwconv.weight"], shapes[f"fm.text.{i}.dwconv.bias"] = [7, D], [D]
        pair(f"fm.text.{i}.norm", D)
        pair(f"fm.text.{i}.pw1", 4 * D, D)
        pair(f"fm.text.{i}.pw2", D, 4 * D)
    conv("fm.mel", 1, D, M)
    for i in range(b["depth"]):
        layer = f"fm.layers.{i}."
        pair(layer + "qkv", 3 * D, D)
        pair(layer + "out", D, D)
        pair(layer + "ff1", b["ff_dim"], D)
        pair(layer + "ff2", D, b["ff_dim"])
        pair(layer + "norm1", D)
        pair(layer + "norm2", D)
    conv("fm.velocity", 1, M, D)
    if t["predicts_durations"]:
        W = t["width"]
        shapes["duration.embedding"] = [SYMBOLS, W]
        conv("duration.encoder.0", 3, W, W)
        conv("duration.encoder.1", 3, W, W)
        for i, name in enumerate(("first", "layers.0", "layers.1")):
            conv(f"duration.{name}", 3, 256, 256 if i else W)
            pair(f"duration.{name}.norm", 256)
        conv("duration.last", 1, 1, 256)
    return shapes | vocoder_shapes(v)


def vocoder_shapes(v):
    shapes = {}

    def conv(name, taps, out, width):
        shapes[f"mb_istft.{name}.weight"], shapes[f"mb_istft.{name}.bias"] = [taps, out, width], [out]

    channels = v["channels"]
    conv("pre", 7, channels, 80)
    for i in range(v["stages"]):
        rate, half = v[f"rate_{i}"], channels // 2
        conv(f"stages.{i}.up", 2 * -(-((v[f"taps_{i}"] - rate) // 2) // rate) + 1, rate * half, channels)
        for j in range(3):
            for m in range(3):
                conv(f"stages.{i}.blocks.{j}.first.{m}", v[f"block_{j}_taps"], half, half)
                conv(f"stages.{i}.blocks.{j}.second.{m}", v[f"block_{j}_taps"], half, half)
        channels = half
    several = v["form"] >= 2
    conv("bands" if several else "post", 7, (4 if several else 1) * (v["points"] + 2), channels)
    if v["form"] == 3:
        shapes["mb_istft.bank"] = [17, 4, 4]
    return shapes


def fm(tensors=None, b=None, t=None, v=None, says=None, vocabulary=SYMBOLS, vocab_size=SYMBOLS):
    """b, t, v: settings that the tensors follow; says: {part: settings} that stand in the file alone."""
    parts = dict(backbone=BACKBONE | (b or {}), text=TEXT | (t or {}), vocoder=VOCODER | (v or {}))
    held = {name: ("F32", shape, None) for name, shape in fm_shapes(*parts.values()).items()}
    if tensors:
        tensors(held)
    config = dict(name="bad", tokenizer="char", vocab_size=vocab_size,
                  **{part: {k: x for k, x in (parts[part] | (says or {}).get(part, {})).items() if x is not None} for part in parts})
    lines = "".join(chr(0x100 + i) + "\n" for i in range(vocabulary))
    return pack(*lay_out(held, {"format": "f5tts", "format_version": "2", "config": json.dumps(config), "vocab": lines}))


ONE_STAGE = dict(stages=1, rate_0=16, taps_0=16, rate_1=1, taps_1=1)


def good_fm():
    return {"fm": fm(), "fm_one_layer": fm(b=dict(depth=1)), "fm_no_durations": fm(t=dict(predicts_durations=False)),
            "fm_narrow_predictor": fm(t=dict(width=2)), "fm_coded": fm(v=dict(form=0)), "fm_streams": fm(v=dict(form=3)),
            "fm_single": fm(v=dict(form=1, bands=1, rate_0=8, rate_1=8)), "fm_one_stage": fm(v=ONE_STAGE | dict(channels=2))}


def fm_cases():
    limits = {"backbone": {"dim": (0, 32, 8256, -64, 2 ** 31), "depth": (0, 65, -1), "heads": (0, 129), "ff_dim": (0, 65537, 2 ** 40)},
              "text": {"width": (0, 8193, -2, 2 ** 31)},
              "vocoder": {"stages": (0, 5, -1), "channels": (0, 16385), "rate_0": (0, 257, -4), "taps_1": (0, 513), "block_2_taps": (0, 17),
                          "block_1_dilation_2": (0, 65), "form": (-1, 4), "points": (0, 3, 2 ** 31), "bands": (0, 5, -4)}}
    for part, fields in limits.items():
        for field, values in fields.items():
            for value in values:
                reason = rf"{part}\.{field} is" if abs(value) < 2 ** 31 else "out of range"
                yield f"{field}_{value}", fm(says={part: {field: value}}), reason
    for name, says, reason in (
            ("heads_of_another_width", {"backbone": {"heads": 2}}, "a head is 64 wide"), ("odd_width", {"text": {"width": 63}}, "must be even"),
            ("a_layer_more", {"backbone": {"depth": 3}}, "is missing"), ("a_layer_too_many", {"backbone": {"depth": 1}}, "has no place"),
            ("wider_forward", {"backbone": {"ff_dim": 48}}, "another shape"), ("wider_text", {"text": {"width": 128}}, "another shape"),
            ("durations_missing", {"text": {"predicts_durations": False}}, "has no place"), ("no_flag", {"text": {"add_blank": 1}}, "add_blank is not"),
            ("pe_attn_head", {"backbone": {"pe_attn_head": 1}}, r"unknown field .backbone\.pe_attn_head"),
            ("said_to_be_dit", {"backbone": {"kind": "DiT"}}, "makes 100|unknown field|is missing"),
            ("vocos", {"vocoder": {"kind": "Vocos"}}, "unknown field|80 bands|100 bands"),
            ("too_slow", {"vocoder": {"rate_1": 2}}, "samples a frame"), ("too_fast", {"vocoder": {"rate_1": 8}}, "samples a frame"),
            ("coded_of_two_bands", {"vocoder": {"form": 0, "bands": 2}}, "samples a frame"),
            ("a_bank_of_two", {"vocoder": {"bands": 2}}, "2 bands where this form has 4"),
            ("single_of_four", {"vocoder": {"form": 1}}, "4 bands where this form has 1"),
            ("points", {"vocoder": {"points": 18}}, "multiple of 4"), ("streams_without_bank", {"vocoder": {"form": 3}}, "bank.* is missing"),
            ("said_to_be_coded", {"vocoder": {"form": 0}}, "has no place|is missing"), ("even_taps", {"vocoder": {"block_0_taps": 2}}, "odd"),
            ("odd_overlap", {"vocoder": {"taps_0": 17}}, "17 taps and stride 4"), ("odd_channels", {"vocoder": {"channels": 6}}, "halved")):
        yield name, fm(says=says), reason
    yield "durations_promised", fm(t=dict(predicts_durations=False), says={"text": {"predicts_durations": True}}), "is missing"
    yield "a_symbol_fewer", fm(vocabulary=199), "199|vocab"
    yield "a_symbol_more", fm(vocab_size=201, vocabulary=201), "another shape"
    for name in ("fm.embedding", "fm.layers.1.qkv.bias", "duration.last.weight", "mb_istft.bands.weight", "mb_istft.stages.1.up.bias"):
        yield f"without_{name}", fm(_without(name)), f'"{name}" is missing'
    for name, shape in {"fm.positions": [4999, 64], "fm.velocity.weight": [1, 64, 80], "duration.first.weight": [3, 64, 256],
                        "mb_istft.bands.bias": [18], "fm.mel.weight": [64, 80], "duration.embedding": [], "fm.time.0.weight": [0, 64]}.items():
        yield f"shape_of_{name}", fm(_with(name, "F32", shape)), f'"{name}" has another shape|"{name}"'
    yield "a_plain_tensor_in_16_bits", fm(_with("duration.first.weight", "F16", [3, 256, 64])), r'"duration\.first\.weight"'
    yield "bank_of_none", fm(_with("mb_istft.bank", "F32", [17, 4, 4])), r'"mb_istft\.bank" has no place'
