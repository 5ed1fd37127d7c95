"""bad_kinds.py — .f5 files of MMDiT and of BigVGAN, sound ones and others, as bad_models.py has those of UNetT.

    good_kinds()        {name: bytes} that must be taken
    kind_cases(rng)     files that must be refused, each with the reason

The shapes stand here a second time on purpose, as in bad_safetensors.py.
"""
import json

from bad_models import in_8_bits, unett
from bad_safetensors import CONFIG, VOCAB, Case, lay_out, model_file, model_shapes, nested, pack

IN_8_BITS = (".qkv.weight", ".out.weight", ".ff1.weight", ".ff2.weight", ".modulation.weight")
GENERATOR = {"stages": 2, "channels": 8, "rate_0": 16, "taps_0": 32, "rate_1": 16, "taps_1": 18, "block_0_taps": 3, "block_1_taps": 1,
             "block_2_taps": 5, "tanh": False, "bias": False,
             **{f"block_{j}_dilation_{m}": d for j in range(3) for m, d in enumerate((1, 3, 5))}}


def file_of(settings, shapes, tensors=None, int8=False):
    """A .f5 of zeros; tensors: changes to {name: (dtype, shape, bytes)}, a function of the dict."""
    held = {name: ("F16" if int8 and matrix else "F32", shape, None) for name, (shape, matrix) in shapes.items()}
    held = in_8_bits(held, IN_8_BITS) if int8 else held
    if tensors:
        tensors(held)
    return pack(*lay_out(held, {"format": "f5tts", "format_version": "2", "config": json.dumps(settings), "vocab": VOCAB}))


# ---- MMDiT

def mmdit_shapes(b):
    """{name: (shape, is a matrix)} of settings that are sound."""
    D, F, H, depth = b["dim"], b["ff_dim"], 64 * b["heads"], b["depth"]
    shapes = {"words.embedding": ([CONFIG["vocab_size"] + 1, D], False)}
    for name, held in model_shapes({**CONFIG, "dim": D, "depth": 0}).items():
        if not name.startswith(("text.", "dit.modulation.", "dit.input.text.")):
            shapes[name.replace("dit.", "mmdit.")] = held

    def linear(name, out, width):
        shapes[f"mmdit.{name}.weight"], shapes[f"mmdit.{name}.bias"] = ([out, width], True), ([out], False)

    linear("audio.modulation", (6 * depth + 2) * D, D)
    linear("text.modulation", (6 * depth - 4) * D, D)
    for i in range(depth):
        for stream in ("audio", "text"):
            block = f"blocks.{i}.{stream}"
            linear(f"{block}.qkv", 3 * H, D)
            if b["qk_norm"]:
                shapes[f"mmdit.{block}.q_norm"] = shapes[f"mmdit.{block}.k_norm"] = ([64], False)
            if stream == "audio" or i + 1 < depth:
                linear(f"{block}.out", D, H)
                linear(f"{block}.ff1", F, D)
                linear(f"{block}.ff2", D, F)
    return shapes


def mmdit(tensors=None, int8=False, says=None, text=None, **sound):
    """sound: settings that the tensors follow; says, text: settings that stand in the file alone."""
    settings = nested(CONFIG)
    b = {"kind": "MMDiT", "dim": 64 if int8 else 16, "depth": 2, "heads": 1, "ff_dim": 128 if int8 else 32, "qk_norm": False,
         "rotary": 0, **sound}
    settings["backbone"] = {k: v for k, v in {**b, **(says or {})}.items() if v is not None}
    settings["text"] = {"dim": b["dim"], **(text or {})}
    return file_of(settings, mmdit_shapes(b), tensors, int8)


# ---- BigVGAN

def bigvgan_shapes(v):
    shapes = {}

    def conv(name, taps, out, width, bias=True):
        shapes[f"bigvgan.{name}.weight"] = ([taps, out, width], False)
        if bias:
            shapes[f"bigvgan.{name}.bias"] = ([out], False)

    channels = v["channels"]
    conv("pre", 7, channels, 100)
    for i in range(v["stages"]):
        rate, overlap = v[f"rate_{i}"], (v[f"taps_{i}"] - v[f"rate_{i}"]) // 2
        half = channels // 2
        conv(f"stages.{i}.up", 2 * -(-overlap // rate) + 1, rate * half, channels)
        for j in range(3):
            block = f"stages.{i}.blocks.{j}"
            for m in range(3):
                conv(f"{block}.first.{m}", v[f"block_{j}_taps"], half, half)
                conv(f"{block}.second.{m}", v[f"block_{j}_taps"], half, half)
            shapes[f"bigvgan.{block}.alpha"] = shapes[f"bigvgan.{block}.beta"] = ([6 * half], False)
        channels = half
    shapes["bigvgan.alpha"] = shapes["bigvgan.beta"] = ([channels], False)
    conv("post", 7, 1, channels, v["bias"])
    return shapes


def bigvgan(tensors=None, says=None, **sound):
    settings, v = nested(CONFIG), {**GENERATOR, **sound}
    settings["vocoder"] = {k: x for k, x in {"kind": "BigVGAN", **v, **(says or {})}.items() if x is not None}
    dit = {name: held for name, held in model_shapes(CONFIG).items() if not name.startswith("vocos.")}
    return file_of(settings, {**dit, **bigvgan_shapes(v)}, tensors)


def good_kinds():
    one = dict(stages=1, channels=2, rate_0=256, taps_0=256)
    most = dict(stages=8, channels=256, **{f"{k}_{i}": 2 * n for i in range(8) for k, n in (("rate", 1), ("taps", 2))})
    return {"mmdit": mmdit(), "mmdit_qk_norm": mmdit(qk_norm=True), "mmdit_one_block": mmdit(depth=1), "mmdit_deep": mmdit(depth=5),
            "mmdit_int8": mmdit(int8=True), "bigvgan": bigvgan(), "bigvgan_one_stage": bigvgan(**one),
            "bigvgan_eight_stages": bigvgan(**most), "bigvgan_bias": bigvgan(bias=True, tanh=True)}


# ---- files that are none

def _without(name):
    return lambda t: t.pop(name)


def _with(name, dtype, shape):
    return lambda t: t.update({name: (dtype, shape, None)})


def _mmdit_cases():
    limits = {"dim": (0, 8, 24, -16, 8208, 2**31), "depth": (0, 65, -2), "heads": (0, 129), "ff_dim": (0, 65537), "rotary": (-1, 3)}
    for field, values in limits.items():
        for value in values:
            yield f"{field}_{value}", mmdit(says={field: value}), rf"backbone\.{field} is" if abs(value) < 2**31 else "out of range"
    for value, says in {0: r"text\.dim is 0", 8194: r"text\.dim is 8194", 32: r"text\.dim is 32, backbone\.dim 16"}.items():
        yield f"text_dim_{value}", mmdit(text={"dim": value}), says
    yield "dim_of_both", mmdit(says={"dim": 32}, text={"dim": 32}), "another shape"
    yield "pe_attn_head", mmdit(says={"pe_attn_head": 1}), r"unknown field .backbone\.pe_attn_head"
    yield "text_blocks", mmdit(text={"blocks": 2}), r"unknown field .text\.blocks"
    yield "a_block_more", mmdit(says={"depth": 3}), "another shape|is missing"
    yield "a_block_too_many", mmdit(depth=3, says={"depth": 2}), "another shape|has no place"
    yield "qk_norm_missing", mmdit(says={"qk_norm": True}), 'q_norm" is missing'
    yield "qk_norm_too_many", mmdit(qk_norm=True, says={"qk_norm": False}), 'norm" has no place'
    yield "said_to_be_dit", mmdit(says={"kind": "DiT", "rotary": None}), r"unknown field|dit.* is missing|another"
    for name in ("words.embedding", "mmdit.text.modulation.bias", "mmdit.blocks.1.text.qkv.weight", "mmdit.blocks.0.text.ff2.bias"):
        yield f"without_{name}", mmdit(_without(name)), f'"{name}" is missing'
    yield "text_goes_on", mmdit(_with("mmdit.blocks.1.text.out.weight", "F32", [16, 64])), r'"mmdit\.blocks\.1\.text\.out\.weight" has no place'
    for name, shape in {"words.embedding": [3, 16], "mmdit.text.modulation.weight": [14 * 16, 16], "mmdit.input.x.weight": [16, 200],
                        "mmdit.blocks.0.text.qkv.weight": [16, 192], "mmdit.audio.modulation.bias": []}.items():
        yield f"shape_of_{name}", mmdit(_with(name, "F32", shape)), f'"{name}" has another shape'
    ours = "mmdit.blocks.1.text.qkv.weight"
    yield "without_scales", mmdit(_without(ours + ".scale"), int8=True), f'"{ours}.scale" is missing'
    yield "scales_too_few", mmdit(_with(ours + ".scale", "F32", [191]), int8=True), f'"{ours}.scale" has another shape'
    yield "a_matrix_in_16_bits", mmdit(_with(ours, "F16", [192, 64]), int8=True), f'"{ours}.scale" has no place'


def _bigvgan_cases():
    limits = {"stages": (0, 9, -1), "channels": (0, 16385), "rate_0": (0, 257, -16), "taps_1": (0, 513), "rate_7": (0, 2**31),
              "block_2_taps": (0, 17, -3), "block_0_dilation_0": (0, 65), "block_2_dilation_2": (-1,)}
    for field, values in limits.items():
        for value in values:
            yield f"{field}_{value}", bigvgan(says={field: value}), rf"vocoder\.{field} is" if abs(value) < 2**31 else "out of range"
    for name, says, reason in (
            ("too_slow", {"rate_1": 8, "taps_1": 16}, "128 samples a frame, not 256"),
            ("too_fast", {"rate_1": 32, "taps_1": 64}, "at least 512 samples a frame"),
            ("a_product_that_wraps", {"stages": 8, "channels": 256, **{f"{k}_{i}": 256 for i in range(8) for k in ("rate", "taps")}},
             "samples a frame, not 256"),
            ("taps_below_the_stride", {"taps_0": 14}, "14 taps and stride 16"), ("odd_overlap", {"taps_0": 17}, "17 taps and stride 16"),
            ("overlap_too_long", {"taps_1": 16 * 15 + 2}, "at most 14 strides"), ("odd_channels", {"channels": 6}, "cannot be halved 2 times"),
            ("even_taps", {"block_1_taps": 2}, "taps are odd"), ("reach", {"block_2_dilation_1": 17}, "reach over at most 64 rows"),
            ("a_stage_more", {"stages": 3, "rate_2": 1, "taps_2": 1}, "missing|another shape"), ("wider", {"channels": 16}, "another shape"),
            ("bias_missing", {"bias": True}, r'"bigvgan\.post\.bias" is missing'), ("dim", {"dim": 8}, r"unknown field .vocoder\.dim"),
            ("bias_no_flag", {"bias": 1}, "bias is not"), ("said_to_be_vocos", {"kind": "Vocos"}, "unknown field")):
        yield name, bigvgan(says=says), reason
    yield "bias_too_many", bigvgan(bias=True, says={"bias": False}), r'"bigvgan\.post\.bias" has no place'
    last = "bigvgan.stages.1.blocks.2."
    for name in (last + "second.2.weight", last + "beta", "bigvgan.alpha", "bigvgan.stages.0.up.bias"):
        yield f"without_{name}", bigvgan(_without(name)), f'"{name}" is missing'
    for name, shape in {last + "alpha": [11], "bigvgan.stages.1.up.weight": [3, 32, 2], "bigvgan.pre.weight": [8, 100, 7],
                        "bigvgan.post.weight": [7, 2]}.items():
        yield f"shape_of_{name}", bigvgan(_with(name, "F32", shape)), f'"{name}" has another shape'
    yield "in_16_bits", bigvgan(_with("bigvgan.pre.weight", "F16", [7, 8, 100])), r'"bigvgan\.stages\.0\.up\.weight" is F32, F16 expected'
    yield "stage_of_none", bigvgan(_with("bigvgan.stages.2.up.bias", "F32", [2])), r'"bigvgan\.stages\.2\.up\.bias" has no place'


def _of_another_vocoder(file):
    """The same model, said to have a vocoder of 80 bands."""
    size = int.from_bytes(file[:8], "little")
    header, data = json.loads(file[8:8 + size]), file[8 + size:]
    config = json.loads(header["__metadata__"]["config"])
    config["vocoder"] = {"kind": "MB-iSTFT"}
    header["__metadata__"]["config"] = json.dumps(config)
    return pack(header, data)


def _mel_cases():
    """A vocoder and a backbone of different mels; that it has tensors too many is not the first to be told."""
    for name, file in {"dit": model_file(version=2), "unett": unett(), "mmdit": mmdit()}.items():
        yield name, _of_another_vocoder(file), "the vocoder 'MB-iSTFT' is of mels of 80 bands, the backbone .* makes 100"


def _cut_cases(rng):
    for name, file in good_kinds().items():
        for i in range(3):
            yield f"{name}_{i}", file[:int(rng.integers(0, len(file)))], "too short|cut short"


def kind_cases(rng):
    groups = (("mmdit", _mmdit_cases()), ("bigvgan", _bigvgan_cases()), ("mel", _mel_cases()), ("cut", _cut_cases(rng)))
    return [Case(f"{group}_{name}", data, reason) for group, cases in groups for name, data, reason in cases]
