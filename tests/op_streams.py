"""op_streams.py — the ops of MMDiT's two streams as ops.py has the others: rows that are joined, and taken apart."""
import torch

import cbind
from op_base import ALL, Op, Timed


class JointQkv(Op):
    name, types, typed, c_fields, y_pack = "joint_qkv", ALL, ("x", "c"), ("c",), True
    sizes = ("heads",)

    def __init__(self, heads, norm=False, rope_heads=0):
        super().__init__(f"heads {heads} rotated {rope_heads}{' norm' * norm}", 192 * heads, heads=heads, rope_heads=rope_heads)
        self.heads, self.norm, self.rope_heads = heads, norm, rope_heads

    def beside(self, n):
        return n // 3 if n % 2 else n  # no text beside one frame

    def y_rows(self, rows, n_seq):
        return 2 * rows

    def outputs(self, n):
        return n + self.beside(n)

    def draw_rows(self, draw, n):
        return {"x": draw.normal(n, self.width), "c": draw.normal(self.beside(n), self.width)}

    def draw_shared(self, draw, longest):
        """A table of rotations as the header has it, up to F32's rounding of its angles."""
        norms = ("q_norm", "k_norm", "c_q_norm", "c_k_norm") if self.norm else ()
        shared = {f: draw.normal(64, scale=0.2, mean=1) for f in norms}
        turn = draw.uniform(longest, 32, high=6.28)
        table = {"rope": torch.stack((turn.cos(), turn.sin()), -1).contiguous()} if self.rope_heads else {}
        return {**shared, **table, "max_position": longest}

    def read_of_shared(self, lengths, shared):
        return []

    def truth(self, rows, _, w):
        streams = []
        for field, prefix in (("x", ""), ("c", "c_")):
            u = rows[field].double().reshape(-1, 3, self.heads, 64).clone()
            for part, name in enumerate("qk"):
                if self.norm:
                    mean = u[:, part].square().mean(-1, keepdim=True)
                    u[:, part] = u[:, part] / (mean + 1e-6).sqrt() * w[f"{prefix}{name}_norm"].double()
                if self.rope_heads:
                    cos, sin = w["rope"].double()[:len(u), None].unbind(-1)
                    rotated = u[:, part, :self.rope_heads].clone()
                    a, b = rotated[..., 0::2], rotated[..., 1::2]
                    u[:, part, :self.rope_heads] = torch.stack((a * cos - b * sin, b * cos + a * sin), -1).flatten(-2)
            streams.append(u)
        return torch.cat(streams).reshape(-1, self.width)

    def planned_bytes(self, call):
        return (call.pack.rows + call.c_pack.rows + call.y_pack.rows) * self.width * torch.empty((), dtype=call.dtype).element_size()

    @classmethod
    def cases_test(cls):
        return [cls(16), cls(3), cls(1), cls(16, True, 16), cls(5, True, 2), cls(2, False, 2), cls(4, True), cls(7, False, 3)]

    @classmethod
    def cases_bench(cls, m):
        op = cls(m.config["heads"])
        return [Timed(op.label, op, m.both)]


class TakeRows(Op):
    name, types, typed, y_pack, bar_ref, bar_cuda = "take_rows", ALL, ("x",), True, 0.0, 0.0  # nothing is computed

    def __init__(self, dim, mode="first", but_one=False):
        super().__init__(f"{mode}{' all but one' * but_one} {dim}", dim, dim=dim, mode=getattr(cbind, f"TAKE_{mode.upper()}"))
        self.first, self.but_one = mode == "first", but_one

    def outputs(self, n):
        if self.but_one:  # as time's row leaves E2-TTS
            return n - min(n, 1)
        return n if n % 4 == 0 else n - (n + 2) // 3

    def draw_rows(self, draw, n):
        return {"x": draw.normal(n, self.width)}

    def truth(self, rows, _, w):
        n = len(rows["x"])
        return rows["x"][:self.outputs(n)] if self.first else rows["x"][n - self.outputs(n):]

    def bytes(self, call):
        return 2 * call.output_bytes()

    def planned_bytes(self, call):
        return 2 * call.y_pack.rows * self.width * torch.empty((), dtype=call.dtype).element_size()

    @classmethod
    def cases_test(cls):
        but_one = [cls(dim, "last", True) for dim in (100, 80, 33)]
        return but_one + [cls(dim, mode) for mode in ("first", "last") for dim in (1024, 768, 192, 100, 33, 1)]

    @classmethod
    def cases_bench(cls, m):
        op = cls(64 * m.config["heads"])
        return [Timed(op.label, op, m.both)]
