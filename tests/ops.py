"""ops.py — every op once, for tests/ops, tests/gpu and bench/: how to draw its inputs, and what it gives, in double.

To add an op: kernels/NAME.h, .c and .cu, a line of kernels/op_list.h, and a class here, which says (op_base.py has the
rest) what a row, a slot and the weights are; `truth`, PyTorch in double from the formula of the header, one sequence at
a time; the instances that are tested, and those that are timed. An op of op_list.h without a class fails by name.
"""
import torch
import torch.nn.functional as F

import cbind
from op_base import ALL, F32, Op, Timed
from op_products import Attention, Conv1d, ConvPos, Linear, LinearInt8, rope_table, rotate  # noqa: F401  classes beside the list's
from op_sound import Istft, Mel, Noise, Snake, SubbandIstft, Timestep, log_mel_judged, mel_bank, philox, slaney_bank, snake_filter  # noqa: F401
from op_streams import JointQkv, TakeRows  # noqa: F401


names = cbind.ops  # of kernels/op_list.h


def classes():
    """{name: class}"""
    return {c.name: c for c in Op.__subclasses__()}


def class_of(name):
    assert name in classes(), f"op '{name}' of kernels/op_list.h has no class in tests/ops.py"
    return classes()[name]


def cases_test(**only):
    """Instances of every op, those that lack a class left out: tests/ops/test_every_op.py names them."""
    return [op for name in names() if name in classes() for op in classes()[name].cases_test()
            if all(getattr(op, key) == value for key, value in only.items())]


# ---- what several ops share

def layer_norm(x, scale, shift, eps=1e-6):
    """The variance is written out: F.layer_norm would be held to its own rounding."""
    n = (x - x.mean(dim=-1, keepdim=True)) / torch.sqrt(x.var(dim=-1, unbiased=False, keepdim=True) + eps)
    return n * scale.double() + shift.double()


def whole(x):
    """F32 rows as whole numbers and their scales, as quantize.h says."""
    largest = x.abs().amax(dim=-1, keepdim=True)
    most = torch.full_like(largest, 127)  # PyTorch divides a number on a GPU by way of the reciprocal, a tensor not
    by = torch.where(largest >= 2.0 ** -120, most / largest, torch.zeros_like(largest))
    return torch.round(x * by), largest / most


def masked(x, keep):
    return torch.where(keep[:, None] != 0, x.double(), torch.zeros((), dtype=torch.float64, device=x.device))


# ---- norms

class Norm(Op):
    name, types, count = "norm", ALL, "rows"

    def __init__(self, dim, one_plus=False, rms=False, int8=False, eps=0.0):
        super().__init__(f"{dim}{' one plus' * one_plus}{' rms' * rms}{' to int8' * int8}{f' eps {eps}' * (eps > 0)}", dim, dim=dim,
                         one_plus_scale=one_plus, rms=rms, eps=eps)
        self.one_plus, self.rms, self.y_int8, self.eps = one_plus, rms, int8, eps or 1e-6
        if int8:  # a number near the middle of two whole ones may become the other one: few do, by one of some 40
            self.types, self.bar_ref, self.bar_cuda = F32, 1e-3, 1e-3

    def draw_rows(self, draw, n):
        """Rows of unequal size, a little off zero."""
        return {"x": draw.normal(n, self.width, mean=0.25) * torch.exp(draw.normal(n, 1, scale=2.0))}

    def draw_shared(self, draw, longest):
        return {field: draw.normal(self.width) for field in ("scale", "shift")[:1 if self.rms else 2]}

    def truth(self, rows, _, w):
        if self.rms:
            y = F.normalize(rows["x"].double(), dim=-1, eps=1e-12) * self.width ** 0.5 * w["scale"].double()
        else:
            y = layer_norm(rows["x"].double(), w["scale"].double() + self.one_plus, w["shift"], self.eps)
        return whole(y.float())[0] if self.y_int8 else y

    def scratch(self, pack):
        return {"y_scale": (max(1, pack.rows),)} if self.y_int8 else {}

    def planned_bytes(self, call):  # without scale and shift
        return self.bytes(call) - 4 * self.width * len(call.shared) + 4 * call.pack.rows * self.y_int8

    @classmethod
    def cases_test(cls):
        plain = [cls(dim, *how) for dim in (1024, 768, 512, 256, 100, 33, 17, 1) for how in ((True,), (), (False, True))]
        plain += [cls(dim, eps=eps) for dim, eps in ((512, 1e-5), (256, 1e-5), (100, 1e-2), (1, 1e-5))]
        return plain + [cls(dim, not rms, rms, int8=True) for dim in (1024, 768, 512, 256, 1040, 16) for rms in (False, True)]

    @classmethod
    def cases_bench(cls, m):
        dim = m.config["dim"]
        ops = [(cls(dim, True), m.both, True), (cls(m.config["vocos_dim"]), m.heard, False), (cls(dim, True, True), m.both, False)]
        return [Timed(op.label, op, lengths, operands) for op, lengths, operands in ops]


class Quantize(Op):
    """Every step is one operation of F32, so the truth is, and there is no error."""
    name, types, typed, count, y_int8, bar_ref, bar_cuda = "quantize", ALL, ("x",), "rows", True, 0.0, 0.0

    def __init__(self, dim):
        super().__init__(f"{dim}", dim, dim=dim)

    def draw_rows(self, draw, n):
        x = draw.normal(n, self.width) * torch.exp(draw.normal(n, 1))
        x[::5] = 0
        x[2::5] *= 1e-37  # on both sides of what is taken for nothing
        return {"x": x}

    def truth(self, rows, _, w):
        return whole(rows["x"].float())[0]

    def scratch(self, pack):
        return {"scale": (max(1, pack.rows),)}

    def planned_bytes(self, call):
        return self.bytes(call) + 4 * call.pack.rows

    @classmethod
    def cases_test(cls):
        return [cls(dim) for dim in (2048, 1536, 1024, 768, 512, 256, 1040, 80, 16)]

    @classmethod
    def cases_bench(cls, m):
        return [Timed(f"int8 quantize {name}", cls(dim), m.both) for name, dim in
                (("attended", 64 * m.config["heads"]), ("hidden", 2 * m.config["dim"]))]


class DwconvNorm(Op):
    name, types = "dwconv_norm", ALL

    def __init__(self, dim, eps=0.0):
        super().__init__(f"{dim}{f' eps {eps}' * (eps > 0)}", dim, dim=dim, eps=eps)
        self.eps = eps or 1e-6

    def draw_rows(self, draw, n):
        return {"x": draw.normal(n, self.width)}

    def draw_shared(self, draw, longest):
        return {"w": draw.normal(7, self.width, scale=0.4), **{f: draw.normal(self.width) for f in ("bias", "scale", "shift")}}

    def truth(self, rows, _, w):
        kernel = w["w"].double().T[:, None]
        c = F.conv1d(rows["x"].double().T[None], kernel, w["bias"].double(), padding=3, groups=self.width)[0].T
        return layer_norm(c, w["scale"], w["shift"], self.eps)

    @classmethod
    def cases_test(cls):
        return [*(cls(dim) for dim in (512, 256, 1024, 768, 128, 100, 33, 17, 1)), cls(512, 1e-5), cls(33, 1e-2)]

    @classmethod
    def cases_bench(cls, m):
        ops = [(cls(m.config["text_dim"]), m.both, True), (cls(m.config["vocos_dim"]), m.heard, False)]
        return [Timed(op.label, op, lengths, operands) for op, lengths, operands in ops]


class Grn(Op):
    name, types, typed = "grn", ALL, ("x",)

    def __init__(self, dim):
        super().__init__(f"{dim}", dim, dim=dim)

    def draw_rows(self, draw, n):
        """Channels of unequal energy: the factor then matters."""
        return {"x": draw.normal(n, self.width) * torch.exp(draw.normal(1, self.width))}

    def draw_shared(self, draw, longest):
        return {"gamma": draw.normal(self.width), "beta": draw.normal(self.width)}

    def scratch(self, pack):
        return {"scratch": (max(1, pack.n_seq), self.width)}

    def truth(self, rows, _, w):
        x = rows["x"].double()
        g = x.norm(dim=0)
        return w["gamma"].double() * x * (g / (g.mean() + 1e-6)) + w["beta"].double() + x

    @classmethod
    def cases_test(cls):
        return [cls(dim) for dim in (1024, 512, 200, 65, 17)]

    @classmethod
    def cases_bench(cls, m):
        op = cls(2 * m.config["text_dim"])
        return [Timed(op.label, op, m.both)]


# ---- text

class Embed(Op):
    name, bar_ref, rounded_once, bar_cuda = "embed", 0.0, True, 1e-6  # one addition

    def __init__(self, dim, positions=True, keep=True, table_rows=300, clamp=False):
        super().__init__(f"{dim}{' positions' * positions}{' keep' * keep}{' clamp' * clamp}", dim, dim=dim, table_rows=table_rows,
                         clamp=clamp)
        self.positions, self.keep, self.table_rows, self.clamp = positions, keep, table_rows, clamp
        self.optional = ("positions", "keep")

    def draw_rows(self, draw, n):
        ids = draw.integers(0, self.table_rows, n)
        if n:
            ids[0], ids[-1] = 0, self.table_rows - 1
        return {"ids": ids, **({"keep": draw.keep(n)} if self.keep else {})}

    def draw_shared(self, draw, longest):
        if self.clamp:
            longest = min(longest, 9)
        positions = {"positions": draw.normal(longest, self.width), "max_position": longest} if self.positions else {}
        return {"table": draw.normal(self.table_rows, self.width), **positions}

    def truth(self, rows, _, w):
        y = w["table"].double()[rows["ids"].long()]
        if self.positions:
            y = y + w["positions"].double()[torch.arange(len(y), device=y.device).clamp(max=w["max_position"] - 1)]
        return masked(y, rows["keep"]) if self.keep else y

    def read_of_shared(self, lengths, shared):
        return [shared["table"]] + ([shared["positions"][:max(lengths)]] if self.positions else [])

    def planned_bytes(self, call):
        """Ids, and a row of the tables for each row: a plan knows no ids."""
        return 4 * call.pack.rows * (1 + self.width * (2 + self.positions))

    @classmethod
    def cases_test(cls):
        return [cls(dim, p, k, rows) for dim, rows in ((512, 37), (768, 300), (100, 37), (30, 300), (2, 1))
                for p in (True, False) for k in (True, False)] + [cls(dim, True, False, 37, True) for dim in (1024, 30)]

    @classmethod
    def cases_bench(cls, m):
        op = cls(m.config["text_dim"])
        return [Timed(op.label, op, m.both, False)]


class TextRows(Op):
    name, bar_ref, bar_cuda = "text_rows", 0.0, 0.0  # nothing is computed

    def __init__(self, dim, mode="mask"):
        super().__init__(f"{mode} {dim}", dim, dim=dim, mode=getattr(cbind, f"TEXT_ROWS_{mode.upper()}"))
        self.mode = mode

    def planned_bytes(self, call):
        return self.bytes(call) - call.pack.rows  # keep

    def draw_rows(self, draw, n):
        return {"keep": draw.keep(n), "x": draw.normal(n, self.width)}

    def truth(self, rows, _, w):
        if self.mode == "mask":
            return masked(rows["x"], rows["keep"])
        frames, kept = len(rows["x"]), rows["x"].double()[rows["keep"] != 0]
        n = len(kept)
        if n == 0:
            return torch.zeros_like(rows["x"]).double()
        repeats = torch.full((n,), frames // n, device=kept.device)
        repeats[n - frames % n:] += 1
        return kept.repeat_interleave(repeats, dim=0)

    @classmethod
    def cases_test(cls):
        return [cls(dim, mode) for mode in ("mask", "upsample") for dim in (512, 768, 100, 33, 30, 1)]

    @classmethod
    def cases_bench(cls, m):
        op = cls(m.config["text_dim"])
        return [Timed(op.label, op, m.both, False)]


class TimeRow(Op):
    name, y_pack, bar_ref, bar_cuda = "time_row", True, 0.0, 0.0  # nothing is computed
    optional = ("row",)

    def __init__(self, dim, mode="put", many=False, zeros=False):
        super().__init__(f"{mode}{' many' * many}{' zeros' * zeros} {dim}", dim, dim=dim,
                         mode=getattr(cbind, f"TIME_ROW_{mode.upper()}"))
        self.mode, self.many, self.zeros = mode, many, zeros

    def k(self, n):
        """Rows that a sequence of n rows gains."""
        return (n // 3 + 2) * (n > 0) if self.many else min(n, 1)

    def outputs(self, n):
        return n + self.k(n)

    def y_rows(self, rows, n_seq):
        return 2 * rows + 2 * n_seq if self.many else rows + n_seq

    def draw_rows(self, draw, n):
        return {"x": draw.normal(n, self.width)}

    def draw_shared(self, draw, longest):
        return {} if self.zeros else {"row": draw.normal(self.width)}

    def truth(self, rows, _, w):
        x, k = rows["x"], self.k(len(rows["x"]))
        more = w["row"].expand(k, -1) if "row" in w else torch.zeros(k, self.width, device=x.device)
        return torch.cat((more, x) if self.mode == "put" else (x, more))

    def planned_bytes(self, call):
        return 4 * self.width * (call.pack.rows + call.y_pack.rows)

    @classmethod
    def cases_test(cls):
        many = [cls(dim, mode, True, zeros) for dim, mode, zeros in ((512, "put", True), (80, "put", True), (512, "after", False),
                                                                     (33, "after", True), (80, "after", True), (33, "put", False))]
        return many + [cls(dim, mode) for mode in ("put", "after") for dim in (1024, 768, 100, 33, 1)]

    @classmethod
    def cases_bench(cls, m):
        op = cls(m.config["dim"])
        return [Timed(op.label, op, m.both, False)]


# ---- the ODE

class Cast(Op):
    name, types, count, bar_ref = "cast", ALL, "n", 0.0  # in F32, all that the reference has, a copy
    flat_output = True

    def __init__(self):
        super().__init__("", 1)

    def draw_rows(self, draw, n):
        return {"x": draw.normal(n) * 10.0 ** draw.normal(n)}

    def truth(self, rows, _, w):
        return rows["x"].double()

    @classmethod
    def cases_test(cls):
        return [cls()]

    @classmethod
    def cases_bench(cls, m):
        return [Timed("cast", cls(), [2 * m.frames * m.config["dim"]])]


class Add(Op):
    name, count, flat_output, rounded_once, bar_cuda = "add", "n", True, True, 1e-7  # one rounding

    def __init__(self):
        super().__init__("", 1)

    def draw_rows(self, draw, n):
        return {"x": draw.normal(n), "addend": draw.normal(n)}

    def truth(self, rows, _, w):
        return rows["x"].double() + rows["addend"].double()

    @classmethod
    def cases_test(cls):
        return [cls()]

    @classmethod
    def cases_bench(cls, m):
        return [Timed("add", cls(), [2 * m.frames * m.config["dim"]], False)]


class Relu(Op):
    name, count, flat_output, rounded_once, bar_cuda = "relu", "n", True, True, 1e-7  # one rounding

    def __init__(self, slope=0.0):
        super().__init__(f"{slope}", 1, slope=slope)
        self.slope = torch.tensor(slope).double().item()  # as F32 has it

    def draw_rows(self, draw, n):
        return {"x": draw.normal(n)}

    def truth(self, rows, _, w):
        x = rows["x"].double()
        return torch.where(x < 0, self.slope * x, x)

    @classmethod
    def cases_test(cls):
        return [cls(), cls(0.1), cls(0.01)]

    @classmethod
    def cases_bench(cls, m):
        return [Timed("relu", cls(), [2 * m.frames * m.config["dim"]], False)]


class Guide(Op):
    """The sequences once, or once for each branch: x is the same in both, keep and kept are read in the first alone."""
    name, bar_cuda = "guide", 1e-6  # four roundings an element
    optional = ("keep", "last", "now")
    lengths_alone = ([0, 31, 0, 1, 157, 2], 5)

    def __init__(self, dim, branches=2, keep=True, in_place=False, last=False, now=False):
        """last: the step looks back; now: the next one will."""
        super().__init__(f"{dim} branches {branches}{' keep' * keep}{' last' * last}{' now' * now}", dim, dim=dim,
                         branches=branches)
        self.branches, self.keep, self.aliases = branches, keep, {"y": "x"} if in_place else {}
        self.last, self.now = last, now

    def draw_rows(self, draw, n):
        rows = {f: draw.normal(n, self.width) for f in ("x", "v", "null")[:1 + self.branches]}
        if self.last:
            rows["last"] = draw.normal(n, self.width)
        if self.keep:
            rows.update(keep=draw.keep(n), kept=draw.normal(n, self.width))
        return rows

    def draw_shared(self, draw, longest):
        cfg = draw.number(0.5, 4) if self.branches == 2 else float("nan")
        return {"cfg": cfg, "dt": draw.number(0.01, 0.2), **({"back": draw.number(0.01, 0.2)} if self.last else {})}

    def scratch(self, pack):
        return {"now": (max(1, pack.rows), self.width)} if self.now else {}

    def slot_lengths(self, lengths):
        return list(lengths) * self.branches

    def slot_rows(self, sequences, i):
        rows = dict(sequences[i % len(sequences)])
        null = rows.pop("null", None)
        if i >= len(sequences):
            rows["v"] = null
            unread = {f: torch.full_like(rows[f], float("nan")) for f in ("last", "kept") if f in rows}
            rows.update(unread, **({"keep": torch.ones_like(rows["keep"])} if self.keep else {}))
        return rows

    def truth(self, rows, _, w):
        d = rows["v"].double()
        if self.branches == 2:
            d = d + (d - rows["null"].double()) * w["cfg"]
        y = rows["x"].double() + w["dt"] * d
        if self.last:
            y = y + w["back"] * (d - rows["last"].double())
        return torch.where(rows["keep"][:, None] != 0, rows["kept"].double(), y) if self.keep else y

    def bytes(self, call):
        """The state, the velocities of all branches, the state again, and last and now."""
        return 4 * sum(call.inputs.lengths) * self.width * (2 + self.branches + self.last + self.now)

    def planned_bytes(self, call):
        """x, v and y of every row, in the null branch too; last of one branch."""
        return 4 * call.pack.rows * self.width * (3 + (self.last + self.now) / self.branches)

    @classmethod
    def cases_test(cls):
        plain = [(dim, {}) for dim in (100, 80, 33, 25)]
        ab2 = [(dim, dict(last=last, now=True)) for dim in (100, 33) for last in (True, False)]
        return [cls(dim, branches, keep, **back) for dim, back in plain + ab2 for branches in (1, 2) for keep in (True, False)]

    @classmethod
    def cases_bench(cls, m):
        return [Timed("guide", cls(100, in_place=True), [m.frames], False),
                Timed("guide ab2", cls(100, in_place=True, last=True, now=True), [m.frames], False)]
