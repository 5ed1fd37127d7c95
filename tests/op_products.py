"""op_products.py — the ops of products: linear, attention and the two convolutions (ops.py says how to read a class)."""
import math

import torch
import torch.nn.functional as F

import cbind
from op_base import ALL, Op, Timed
from shapes import block_products


def rope_table(positions, device="cpu"):
    """[positions,32,2]: cos and sin of position * 10000^(-2i/64), angles in double, as rope_table_fill promises."""
    angle = torch.arange(positions).double()[:, None] * 10000.0 ** (-2 * torch.arange(32).double() / 64)[None, :]
    return torch.stack([angle.cos(), angle.sin()], dim=-1).float().to(device).contiguous()


def rotate(u, rope):
    """u [N,...,64], one sequence: pairs (2i, 2i+1) turned by the angle of their row."""
    u = u.double()
    cosine, sine = (rope[:len(u), :, i].double().view(len(u), *[1] * (u.dim() - 2), 32) for i in (0, 1))
    a, b = u[..., 0::2], u[..., 1::2]
    return torch.stack([a * cosine - b * sine, b * cosine + a * sine], dim=-1).flatten(-2)


class Linear(Op):
    """bias_rounded: the bias rounded beforehand is handed over too. in_place: addend is y, which the caller fills. unpacked:
    rows of no pack. two: a sum of two products."""
    name, types, typed, by_arch = "linear", ALL, ("x", "w", "x2", "w2", "bias_rounded"), True
    lengths_alone = ([0, 530, 1, 31, 0, 2, 157], 3)
    optional = ("pack", "bias", "gate")
    EPILOGUES = ["NONE", "SILU", "GELU_TANH", "GELU_ERF", "RELU", "RESIDUAL"]

    def __init__(self, width_in, width_out, epilogue="NONE", bias=True, gate=False, rope_heads=0, y_f32=False,
                 bias_rounded=False, in_place=False, int8_weights=False, unpacked=False, two=False):
        rope = epilogue == "ROPE"
        label = f"{width_in} to {width_out} {epilogue.lower()}" + (f" {rope_heads} heads" if rope else "")
        label += " of int8" * int8_weights + " of two" * two
        super().__init__(label + " to F32" * y_f32 + " gate" * gate, width_out, out=width_out,
                         epilogue=getattr(cbind, f"LINEAR_{epilogue}"), **{"in": width_in})
        self.width_in, self.epilogue, self.bias, self.gate, self.y_f32 = width_in, epilogue, bias, gate, y_f32
        self.bias_rounded, self.in_place, self.rope_heads = bias_rounded, in_place, rope_heads
        self.aliases = {"addend": "y"} if in_place else {}
        self.int8_weights, self.two = int8_weights, two
        if unpacked:
            self.count = "rows"
        if int8_weights:
            self.types, self.typed = (torch.float16,), ("x",)
        if rope:
            self.scalars["rope_heads"] = rope_heads

    def draw_rows(self, draw, n):
        rows = {"x": draw.normal(n, self.width_in)}
        if self.two:
            rows["x2"] = draw.normal(n, self.width_in)
        if self.epilogue == "RESIDUAL" and not self.in_place:
            rows["addend"] = draw.normal(n, self.width)
        return rows

    def draw_shared(self, draw, longest):
        shared = {"w": draw.normal(self.width, self.width_in, scale=self.width_in ** -0.5)}
        if self.two:
            shared["w2"] = draw.normal(self.width, self.width_in, scale=self.width_in ** -0.5)
        if self.int8_weights:
            w = draw.integers(-127, 128, self.width * self.width_in, torch.int8).view(self.width, self.width_in)
            shared = {"w": w, "w_scale": draw.uniform(self.width, low=0.5, high=2.0) / 64 * self.width_in ** -0.5}
        if self.bias:
            shared["bias"] = draw.normal(self.width, scale=0.5)
            if self.bias_rounded:
                shared["bias_rounded"] = shared["bias"].clone()
        if self.gate:
            shared["gate"] = draw.normal(self.width)
        if self.epilogue == "ROPE":
            shared.update(rope=rope_table(longest, draw.device), max_position=longest)
        return shared

    def truth(self, rows, _, w):
        a = rows["x"].double() @ w["w"].double().T
        if self.two:
            a = a + rows["x2"].double() @ w["w2"].double().T
        if self.int8_weights:
            a = a * w["w_scale"].double()
        if w.get("bias") is not None:
            a = a + w["bias"].double()
        if self.epilogue == "SILU":
            return a * torch.sigmoid(a)
        if self.epilogue == "GELU_TANH":
            return a / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a ** 3)))
        if self.epilogue == "GELU_ERF":
            return a / 2 * (1 + torch.erf(a / math.sqrt(2)))
        if self.epilogue == "RELU":
            return a.clamp(min=0)
        if self.epilogue == "RESIDUAL":
            return rows["addend"].double() + (a if w.get("gate") is None else w["gate"].double() * a)
        if self.epilogue == "ROPE":
            a = a.view(len(a), 3, self.width // 192, 64).clone()
            a[:, :2, :self.rope_heads] = rotate(a[:, :2, :self.rope_heads], w["rope"])
            return a.flatten(1)
        return a

    def flop(self, lengths):
        return (4.0 if self.two else 2.0) * sum(lengths) * self.width_in * self.width

    def read_of_shared(self, lengths, shared):
        return [shared[f] for f in ("w", "w2", "w_scale", "bias", "gate") if f in shared]

    @classmethod
    def cases_test(cls):
        return [*(cls(1024, 200, epilogue, gate=epilogue == "RESIDUAL") for epilogue in cls.EPILOGUES),
                cls(300, 530, "RESIDUAL", bias=False, y_f32=True), cls(300, 530, "GELU_ERF"), cls(24, 33, bias=False),
                cls(100, 512, "RESIDUAL", bias=False), cls(768, 100, y_f32=True), cls(256, 768, "ROPE", rope_heads=4),
                cls(1024, 1040, y_f32=True, int8_weights=True), cls(64, 333, bias=False, y_f32=True, int8_weights=True),
                cls(1024, 1024, bias=False, y_f32=True, two=True), cls(40, 136, y_f32=True, two=True),
                cls(72, 3072, "ROPE", rope_heads=16), cls(72, 192, "ROPE", rope_heads=1),
                cls(768, 2304, "ROPE", rope_heads=1), cls(72, 576, "ROPE", rope_heads=0)]

    @classmethod
    def cases_bench(cls, m):
        c = m.config
        dim, text, vocos, ff = c["dim"], c["text_dim"], c["vocos_dim"], c["vocos_ff_dim"]

        def case(title, lengths, width_in, width_out, epilogue="NONE", operands=True, searched=False, **more):
            residual = epilogue == "RESIDUAL"
            more.setdefault("y_f32", residual or epilogue == "NONE")
            op = cls(width_in, width_out, epilogue, in_place=residual, bias_rounded=more.get("bias", True),
                     rope_heads=width_out // 192 if epilogue == "ROPE" else 0, **more)
            return Timed(f"{title} {epilogue.lower()}", op, lengths, operands, searched)

        block = [case(name, m.both, a, b, e, searched=True, gate=e == "RESIDUAL") for name, a, b, e in block_products(dim)]
        skip = [case("skip of two", m.both, dim, dim, bias=False, two=True)] if (c["backbone"], c["skip"]) == ("UNetT", "concat") else []
        return block + skip + [
            case("input", m.both, 100, dim, "RESIDUAL", False, bias=False),
            case("velocity", m.both, dim, 100),
            case("text pw1", m.both, text, 2 * text, "GELU_ERF"), case("text pw2", m.both, 2 * text, text, "RESIDUAL"),
            case("condition text", m.both, text, dim, "RESIDUAL", False, bias=False),
            case("modulation, 32 steps", [32], dim, (6 * c["depth"] + 2) * dim, unpacked=True),
            case("int8 modulation, 32 steps", [32], dim, (6 * c["depth"] + 2) * dim, int8_weights=True, unpacked=True),
            case("Vocos pw1", m.heard, vocos, ff, "GELU_ERF", False),
            case("Vocos pw2", m.heard, ff, vocos, "RESIDUAL", False, gate=True),
            case("Vocos head", m.heard, vocos, 1026, operands=False)]


class LinearInt8(Op):
    """Whole numbers and their scales are drawn apart; the truth is linear's, of the products of both."""
    name, types, by_arch = "linear_int8", ALL, True
    lengths_alone = ([0, 130, 1, 31, 0, 2, 57], 3)
    optional = ("pack", "bias", "gate")

    def __init__(self, width_in, width_out, epilogue="NONE", bias=True, gate=False, rope_heads=0, y_f32=False,
                 in_place=False):
        self.linear = Linear(width_in, width_out, epilogue, bias, gate, rope_heads, y_f32, in_place=in_place)
        super().__init__(self.linear.label.removeprefix("linear "), width_out, **self.linear.scalars)
        self.y_f32, self.aliases = y_f32, self.linear.aliases

    def draw_rows(self, draw, n):
        rows = self.linear.draw_rows(draw, n)
        x = draw.integers(-127, 128, n * self.linear.width_in, torch.int8).view(n, self.linear.width_in)
        return {**rows, "x": x, "x_scale": draw.uniform(n, low=0.5, high=2.0) / 64}

    def draw_shared(self, draw, longest):
        shared = self.linear.draw_shared(draw, longest)
        w = draw.integers(-127, 128, self.width * self.linear.width_in, torch.int8).view(self.width, self.linear.width_in)
        scale = draw.uniform(self.width, low=0.5, high=2.0) / 64 * self.linear.width_in ** -0.5
        return {**shared, "w": w, "w_scale": scale}

    def truth(self, rows, slots, w):
        x, scaled = rows["x"].double() * rows["x_scale"].double()[:, None], w["w"].double() * w["w_scale"].double()[:, None]
        return self.linear.truth({**rows, "x": x}, slots, {**w, "w": scaled})

    def flop(self, lengths):
        return self.linear.flop(lengths)

    def read_of_shared(self, lengths, shared):
        return [shared[f] for f in ("w", "w_scale", "bias", "gate") if f in shared]

    @classmethod
    def cases_test(cls):
        return [*(cls(256, 200, epilogue, gate=epilogue == "RESIDUAL") for epilogue in Linear.EPILOGUES if epilogue != "RELU"),
                cls(1024, 1024, "RESIDUAL", gate=True, y_f32=True), cls(384, 320, "GELU_TANH"), cls(128, 64, bias=False),
                cls(80, 33, bias=False, y_f32=True), cls(256, 768, "ROPE", rope_heads=3), cls(128, 192, "ROPE", rope_heads=0),
                cls(48, 192, "ROPE", rope_heads=1)]

    @classmethod
    def cases_bench(cls, m):
        return [Timed(f"int8 {name} {e.lower()}", cls(a, b, e, gate=e == "RESIDUAL", y_f32=e == "RESIDUAL",
                                                     in_place=e == "RESIDUAL", rope_heads=b // 192 if e == "ROPE" else 0), m.both)
                for name, a, b, e in block_products(m.config["dim"])]


class Attention(Op):
    name, types, typed, by_arch = "attention", ALL, ("qkv",), True
    # scores of size 3 are rounded to 2e-7 before exp, and weights to half of that; sums over 64 keys at a time
    bar_ref = 2e-6
    lengths_alone = ([0, 200, 1, 31, 0, 2, 157], 3)

    def __init__(self, heads, rope_heads=0, normed=False):
        super().__init__(f"{heads} heads, {rope_heads} rotated{', q/k norm' * normed}", 64 * heads, heads=heads,
                         rope_heads=rope_heads)
        self.heads, self.rope_heads, self.normed = heads, rope_heads, normed
        self.optional = ("q_norm", "k_norm") + ("rope",) * (rope_heads == 0)

    def draw_rows(self, draw, n):
        return {"qkv": draw.normal(n, 3, self.heads, 64)}

    def draw_shared(self, draw, longest):
        norms = {f: draw.normal(64, scale=0.2, mean=1.0) for f in ("q_norm", "k_norm")} if self.normed else {}
        return {"rope": rope_table(longest, draw.device), "max_position": longest, **norms}

    def truth(self, rows, _, w):
        def ready(u, norm):
            if norm is not None:
                u = u * norm.double() / (u.square().mean(-1, keepdim=True) + 1e-6).sqrt()
            return torch.cat([rotate(u[:, :self.rope_heads], w["rope"]), u[:, self.rope_heads:]], dim=1)

        q, k, v = rows["qkv"].double().unbind(1)
        q, k, v = (t.transpose(0, 1) for t in (ready(q, w.get("q_norm")), ready(k, w.get("k_norm")), v))
        return (torch.softmax(q @ k.transpose(1, 2) / 8, dim=-1) @ v).transpose(0, 1).flatten(1)

    def flop(self, lengths):
        return 4.0 * 64 * self.heads * sum(n * n for n in lengths)

    def read_of_shared(self, lengths, shared):
        norms = [shared[f] for f in ("q_norm", "k_norm") if f in shared]
        return norms + ([shared["rope"][:max(lengths)]] if self.rope_heads else [])

    def planned_bytes(self, call):
        """Of qkv and y alone."""
        return self.bytes(call) - sum(t.numel() * 4 for t in self.read_of_shared(call.inputs.lengths, call.shared))

    @classmethod
    def cases_test(cls):
        return [cls(16, 16), cls(12, 12, True), cls(16, 1), cls(12, 0), cls(3, 2, True), cls(1, 1)]

    @classmethod
    def cases_bench(cls, m):
        heads = m.config["heads"]
        return [Timed("attention", cls(heads), m.both), Timed("attention, RoPE within", cls(heads, heads), m.both)]


class Conv1d(Op):
    """what: residual, sum and raw, as far as the call has them."""
    name, types, typed, by_arch = "conv1d", ALL, ("x", "w"), True
    optional = ("bias", "residual", "sum", "raw")
    sizes = Op.sizes + ("rate", "dilation")
    lengths_alone = ([0, 300, 1, 31, 0, 2, 157], 3)

    def __init__(self, width_in, width_out, taps, bias=True, rate=1, dilation=1, activation="LINEAR", slope=0.0, gain=1.0,
                 what=(), y_f32=False):
        label = f"{width_in} to {width_out} taps {taps}{f' rate {rate}' * (rate > 1)}{f' dilation {dilation}' * (dilation > 1)}"
        super().__init__(" ".join([label, *[activation.lower()] * (activation != "LINEAR"), *what,
                                   *["to F32"] * y_f32]), rate * width_out, y_f32=y_f32,
                         out=width_out, taps=taps, rate=rate, dilation=dilation, slope=slope, gain=gain,
                         activation=getattr(cbind, f"CONV1D_{activation}"), **{"in": width_in})
        self.width_in, self.width_out, self.taps, self.bias, self.rate = width_in, width_out, taps, bias, rate
        self.dilation, self.activation, self.slope, self.gain, self.what = dilation, activation, slope, gain, what
        self.y_f32 = y_f32

    def draw_rows(self, draw, n):
        added = {f: draw.normal(n, self.width) for f in ("residual", "sum") if f in self.what}
        return {"x": draw.normal(n, self.rate * self.width_in), **added}

    def draw_shared(self, draw, longest):
        bias = {"bias": draw.normal(self.width_out)} if self.bias else {}
        scale = (self.taps * self.width_in) ** -0.5
        return {"w": draw.normal(self.taps, self.width_out, self.width_in, scale=scale), **bias}

    def scratch(self, pack):
        return {"raw": (max(1, pack.rows), self.width)} if "raw" in self.what else {}

    def bytes(self, call):
        raw = 4.0 * sum(call.inputs.lengths) * self.width
        return super().bytes(call) + raw * ("raw" in self.what)

    def before_activation(self, rows, w):
        """v of the header."""
        kernel, bias = w["w"].double().permute(1, 2, 0), w["bias"].double() if self.bias else None
        x = rows["x"].double().reshape(-1, self.width_in).T[None]
        v = F.conv1d(x, kernel, bias, padding=self.taps // 2 * self.dilation, dilation=self.dilation)[0].T
        added = (rows[f].double().reshape(-1, self.width_out) for f in ("residual", "sum") if f in self.what)
        return self.gain * sum(added, v)

    def truth(self, rows, _, w):
        v = self.before_activation(rows, w)
        v = {"LINEAR": lambda: v, "LEAKY_RELU": lambda: F.leaky_relu(v, self.slope), "TANH": v.tanh,
             "CLAMP": lambda: v.clamp(-1, 1)}[self.activation]()
        return v.reshape(-1, self.width)

    def flop(self, lengths):
        return 2.0 * sum(lengths) * self.width * self.width_in * self.taps

    @classmethod
    def cases_test(cls):
        plain = [cls(100, 512, 7), cls(768, 96, 3), cls(1024, 40, 1), cls(13, 130, 15), cls(1, 1, 5), cls(64, 192, 3),
                 cls(33, 50, 15, bias=False), cls(100, 512, 7, bias=False), cls(70, 150, 7)]
        return plain + [cls(24, 24, 11, rate=4, dilation=5, what=("residual",)),
                        cls(48, 48, 7, rate=2, dilation=3, gain=1 / 3, what=("residual", "sum")),
                        cls(96, 96, 3, dilation=5, activation="LEAKY_RELU", slope=0.1, what=("residual", "raw")),
                        cls(24, 1, 7, bias=False, rate=8, activation="CLAMP"), cls(9, 1, 7, rate=3, activation="TANH"),
                        cls(65, 131, 5, rate=3, dilation=16, gain=0.5), cls(17, 63, 3, activation="LEAKY_RELU"),
                        cls(40, 64, 1, dilation=64, what=("raw",)), cls(4, 4, 17, bias=False, rate=64), cls(5, 40, 31, rate=3, dilation=2),
                        # every tile of the tensor cores' ways, one, two and more chunks of inputs, sums of F32
                        cls(64, 96, 3, dilation=5, what=("residual",), y_f32=True), cls(192, 192, 7, rate=2, dilation=3),
                        cls(128, 96, 11, dilation=5, what=("residual", "sum"), gain=1 / 3, y_f32=True),
                        cls(64, 192, 1, activation="LEAKY_RELU", slope=0.1, what=("residual", "raw")), cls(48, 40, 5, rate=4),
                        cls(96, 24, 3, what=("raw",)), cls(200, 26, 1), cls(136, 20, 1), cls(24, 24, 3, rate=7, y_f32=True), cls(128, 130, 3),
                        cls(48, 48, 7, rate=5, dilation=3), cls(112, 48, 11, dilation=5, what=("residual",), y_f32=True),
                        cls(24, 24, 11, rate=4, dilation=5, what=("residual", "sum"), gain=1 / 3), cls(160, 288, 3, rate=2),
                        # activations that only the F32 units have, and few outputs of odd counts
                        cls(16, 40, 3, activation="TANH"), cls(24, 34, 5, activation="CLAMP", y_f32=True),
                        cls(7, 3, 3, dilation=2, what=("residual", "raw")), cls(12, 2, 5, y_f32=True)]

    @classmethod
    def cases_bench(cls, m):
        op, levels = cls(100, m.config["vocos_dim"], 7), ((768, 4), (384, 16), (192, 32), (96, 64), (48, 128), (24, 256))
        kinds = [(3, dict(dilation=5)), (11, dict(dilation=5)), (7, dict(what=("residual",), y_f32=True))]
        bigvgan = [cls(c, c, taps, rate=rate, **kind) for c, rate in levels for taps, kind in kinds]
        bigvgan += [cls(1536, 3072, 3), cls(24, 1, 7, rate=256, activation="CLAMP", y_f32=True)]
        return [Timed(op.label, op, m.heard, False), *(Timed(f"BigVGAN {o.label}", o, m.heard, False) for o in bigvgan)]


class ConvPos(Op):
    name, types, typed, by_arch = "conv_pos", ALL, ("x", "w"), True
    optional = ("residual",)
    lengths_alone = ([0, 300, 1, 31, 0, 2, 157], 3)

    def __init__(self, dim, y_f32=False, residual=False):
        super().__init__(f"{dim}{' to F32' * y_f32}{' residual' * residual}", dim, dim=dim)
        self.y_f32, self.residual = y_f32, residual

    def draw_rows(self, draw, n):
        return {f: draw.normal(n, self.width) for f in ("x", "residual")[:1 + self.residual]}

    def draw_shared(self, draw, longest):
        group = self.width // 16
        return {"w": draw.normal(31, self.width, group, scale=1.5 * (31 * group) ** -0.5),
                "bias": draw.normal(self.width, scale=0.5)}

    def truth(self, rows, _, w):
        kernel = w["w"].double().permute(1, 2, 0)  # [dim, dim / 16, 31]
        c = F.conv1d(rows["x"].double().T[None], kernel, w["bias"].double(), padding=15, groups=16)[0].T
        y = c * torch.tanh(F.softplus(c))
        return y + rows["residual"].double() if self.residual else y

    def flop(self, lengths):
        return 2.0 * sum(lengths) * self.width * (self.width // 16) * 31

    @classmethod
    def cases_test(cls):
        return [*(cls(dim, both, both) for dim in (1024, 768, 256, 512, 48, 16) for both in (False, True)),
                cls(160, False, True), cls(1280, True, False)]

    @classmethod
    def cases_bench(cls, m):
        ops = [cls(m.config["dim"]), cls(m.config["dim"], True, True)]
        return [Timed(op.label, op, m.both) for op in ops]
