"""small_ops.py — every op but linear and attention, once: how to draw its inputs, and what it should give in fp64.

An Op is an op at one width. Its inputs are of three kinds: one row per packed row, one value per slot, and weights that
all rows share; its truth sees one sequence at a time. The tests and bench/kernels.py run any of them the same way.
"""
import math

import numpy as np
import torch
import torch.nn.functional as F

import cbind
from gpubind import Output
from reference import ops_small

ALL = (torch.float32, torch.float16, torch.bfloat16)
F32 = (torch.float32,)


class Op:
    """name: of the C op; label: of the case. types: number types it has. rows, slots, shared: field -> drawing function
    (generator, rows) -> tensor, (generator, slots) -> tensor, (generator) -> tensor. typed: fields held as `type`.
    truth(rows of one sequence, its slot values, shared) -> fp64 [outputs, width]. scalars: the other fields."""

    def __init__(self, name, label, width, truth, rows=None, slots=None, shared=None, typed=(), types=F32, packed=True,
                 y_f32=False, outputs=lambda n: n, scratch=None, **scalars):
        self.name, self.label, self.width, self.truth = name, f"{name} {label}", width, truth
        self.rows, self.slots, self.shared = rows or {}, slots or {}, shared or {}
        self.typed, self.types, self.packed, self.y_f32 = typed, types, packed, y_f32
        self.outputs, self.scratch, self.scalars = outputs, scratch, scalars

    def out_type(self, dtype):
        return torch.float32 if self.y_f32 else dtype

    def draw(self, made, lengths, dtype):
        """(per sequence {field: rows}, {field: [slots]}, {field: weights})"""
        def cast(field, value):
            return value.to(dtype) if field in self.typed else value
        sequences = [{f: cast(f, fn(made, n)) for f, fn in self.rows.items()} for n in lengths]
        slots = {f: fn(made, len(lengths)) for f, fn in self.slots.items()}
        return sequences, slots, {f: cast(f, fn(made)) for f, fn in self.shared.items()}

    def expected(self, sequences, slots, shared):
        """fp64 results of all sequences, one after the other."""
        parts = [self.truth(rows, {f: v[i] for f, v in slots.items()}, shared).to("cuda", torch.float64)
                 for i, rows in enumerate(sequences) if length_of(self, rows)]
        return torch.cat([p.reshape(-1, self.width) for p in parts])


def length_of(op, rows):
    return rows["length"] if "length" in rows else len(next(iter(rows.values())))


class Call:
    """An Op's inputs laid out in a bucket of pack.rows rows; the tail holds NaN and absurd ids."""

    def __init__(self, op, dtype, pack, sequences, slots, shared):
        self.op, self.dtype, self.pack, self.shared = op, dtype, pack, shared
        self.rows = {f: torch.empty((pack.rows,) + tuple(sequences[0][f].shape[1:]), dtype=sequences[0][f].dtype,
                                    device="cuda") for f in op.rows if f != "length"}
        self.slots = {f: torch.empty(pack.n_seq, dtype=v.dtype, device="cuda") for f, v in slots.items()}
        self.scratch = {f: torch.full(size(pack), float("nan"), device="cuda")
                        for f, size in (op.scratch or {}).items()}
        if op.name == "istft":
            self.slots["sample_offsets"] = torch.zeros(pack.n_seq + 1, dtype=torch.int64, device="cuda")
        self.fill(sequences, slots)

    def fill(self, sequences, slots):
        """The pack has been set to these sequences' lengths; buffers stay where they are."""
        for field, buffer in self.rows.items():
            if buffer.dtype.is_floating_point:
                buffer.fill_(float("nan"))
            else:
                buffer.fill_(1 if buffer.dtype == torch.uint8 else 2 ** 30)
            for (begin, end), rows in zip(self.pack.spans, sequences):
                buffer[begin:end].copy_(rows[field])
        for field, value in slots.items():
            self.slots[field].zero_()
            self.slots[field][:len(value)].copy_(value)
        counts = [self.op.outputs(end - begin) for begin, end in self.pack.spans]
        self.starts = np.concatenate([[0], np.cumsum(counts)]).tolist()
        if self.op.name == "istft":
            self.slots["sample_offsets"].copy_(torch.tensor(self.starts))

    def output(self):
        rows = max(1, self.op.outputs(self.pack.rows))
        return Output(rows, self.op.width, dtype=self.op.out_type(self.dtype))

    def fields(self, y):
        fields = {**self.op.scalars, **self.rows, **self.slots, **self.shared, **self.scratch, "y": y}
        fields["pack" if self.op.packed else "rows"] = self.pack if self.op.packed else self.pack.rows
        known = dict(cbind.headers().struct(f"{self.op.name}_args")._fields_)
        fields.update({f: v for f, v in (("type", self.dtype), ("y_f32", self.op.y_f32)) if f in known})
        return fields

    def run(self, gpu, y=None):
        y = y or self.output()
        gpu.run(self.op.name, **self.fields(y))
        return y

    def live(self, y):
        """The outputs of all sequences, one after the other."""
        return y.check()[:self.starts[-1]]

    def slot(self, y, i):
        return y.a[self.starts[i]:self.starts[i + 1]]


# ---- drawing

def normal(*shape, scale=1.0, mean=0.0):
    return lambda made: torch.randn(shape, generator=made, device="cuda") * scale + mean


def normal_rows(width, scale=1.0, mean=0.0):
    return lambda made, n: torch.randn(n, width, generator=made, device="cuda") * scale + mean


def keep_rows(made, n):
    """About two thirds kept, never a plain prefix; sometimes none at all."""
    kept = torch.rand(n, generator=made, device="cuda") < 0.66
    if int(torch.randint(8, (1,), generator=made, device="cuda")) == 0:
        kept.zero_()
    return kept.to(torch.uint8)


# ---- the ops

def norm(dim, one_plus):
    def truth(rows, _, w):
        n = F.layer_norm(rows["x"].double(), (dim,), eps=1e-6)
        return n * (w["scale"].double() + (1 if one_plus else 0)) + w["shift"].double()
    return Op("norm", f"{dim}{' one plus' if one_plus else ''}", dim, truth, rows={"x": normal_rows(dim, 2.0, 0.5)},
              shared={"scale": normal(dim), "shift": normal(dim)}, types=ALL, packed=False, dim=dim,
              one_plus_scale=one_plus)


def dwconv_norm(dim):
    def truth(rows, _, w):
        c = F.conv1d(rows["x"].double().T[None], w["w"].double().T[:, None], w["bias"].double(), padding=3, groups=dim)
        return F.layer_norm(c[0].T, (dim,), w["scale"].double(), w["shift"].double(), 1e-6)
    return Op("dwconv_norm", f"{dim}", dim, truth, rows={"x": normal_rows(dim)}, types=ALL, dim=dim,
              shared={"w": normal(7, dim, scale=0.4), "bias": normal(dim), "scale": normal(dim), "shift": normal(dim)})


def grn(dim):
    def truth(rows, _, w):
        x = rows["x"].double()
        g = x.norm(dim=0)
        return w["gamma"].double() * x * (g / (g.mean() + 1e-6)) + w["beta"].double() + x
    return Op("grn", f"{dim}", dim, truth, rows={"x": normal_rows(dim)}, typed=("x",), types=ALL, dim=dim,
              shared={"gamma": normal(dim), "beta": normal(dim)}, scratch={"scratch": lambda pack: (pack.n_seq, dim)})


def conv_pos(dim, y_f32, residual):
    gw = dim // 16

    def truth(rows, _, w):
        kernel = w["w"].double().permute(1, 2, 0)  # [dim, gw, 31]
        c = F.conv1d(rows["x"].double().T[None], kernel, w["bias"].double(), padding=15, groups=16)[0].T
        return F.mish(c) + (rows["residual"].double() if residual else 0)
    rows = {"x": normal_rows(dim)}
    if residual:
        rows["residual"] = normal_rows(dim)
    return Op("conv_pos", f"{dim}{' to F32' if y_f32 else ''}{' residual' if residual else ''}", dim, truth, rows=rows,
              shared={"w": normal(31, dim, gw, scale=1.5 * (31 * gw) ** -0.5), "bias": normal(dim, scale=0.5)},
              typed=("x", "w"), types=ALL, y_f32=y_f32, dim=dim)


def conv1d(width_in, width_out, taps, bias=True):
    def truth(rows, _, w):
        kernel = w["w"].double().permute(1, 2, 0)
        return F.conv1d(rows["x"].double().T[None], kernel, w["bias"].double() if bias else None, padding=taps // 2)[0].T
    shared = {"w": normal(taps, width_out, width_in, scale=(taps * width_in) ** -0.5)}
    if bias:
        shared["bias"] = normal(width_out)
    return Op("conv1d", f"{width_in} to {width_out} taps {taps}", width_out, truth, rows={"x": normal_rows(width_in)},
              shared=shared, out=width_out, taps=taps, **{"in": width_in})


def embed(dim, table_rows=300, positions=True, keep=True):
    def truth(rows, _, w):
        y = w["table"].double()[rows["ids"].long()]
        if positions:
            y = y + w["positions"].double()[:len(y)]
        return y * (rows["keep"] != 0)[:, None] if keep else y
    rows = {"ids": lambda made, n: torch.randint(table_rows, (n,), generator=made, device="cuda", dtype=torch.int32)}
    if keep:
        rows["keep"] = keep_rows
    shared = {"table": normal(table_rows, dim)}
    if positions:
        shared["positions"] = normal(4096, dim)
    return Op("embed", f"{dim}{' positions' if positions else ''}{' keep' if keep else ''}", dim, truth, rows=rows,
              shared=shared, dim=dim, table_rows=table_rows, max_position=4096)


def text_mask(dim):
    def truth(rows, _, w):
        return torch.where(rows["keep"][:, None] != 0, rows["x"].double(), 0.0)
    return Op("text_rows", f"mask {dim}", dim, truth, rows={"keep": keep_rows, "x": normal_rows(dim)}, dim=dim,
              mode=cbind.TEXT_ROWS_MASK)


def text_upsample(dim):
    def truth(rows, _, w):
        return torch.from_numpy(ops_small.text_upsample(rows["x"].double().cpu().numpy(), rows["keep"].cpu().numpy()))
    return Op("text_rows", f"upsample {dim}", dim, truth, rows={"keep": keep_rows, "x": normal_rows(dim)}, dim=dim,
              mode=cbind.TEXT_ROWS_UPSAMPLE)


def philox(seed, blocks):
    """Ten rounds for blocks 0 .. blocks-1, from the paper's constants; uint64 arrays of 32-bit words."""
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    block = np.arange(blocks, dtype=np.uint64)
    a, b, c, d = block & low, block >> shift, np.zeros_like(block), np.zeros_like(block)
    k, m = np.uint64(seed % 2 ** 32), np.uint64(seed // 2 ** 32)
    for _ in range(10):
        p, q = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b, c, d = (q >> shift) ^ b ^ k, q & low, (p >> shift) ^ d ^ m, p & low
        k, m = (k + np.uint64(0x9E3779B9)) & low, (m + np.uint64(0xBB67AE85)) & low
    return a, b, c, d


def noise(dim):
    def truth(rows, slot, w):
        count = rows["length"] * dim
        words = [v >> np.uint64(8) for v in philox(int(slot["seeds"]) % 2 ** 64, -(-count // 4))]
        y = np.empty((len(words[0]), 4))
        for i in (0, 2):
            r = np.sqrt(-2 * np.log((words[i] + np.uint64(1)) / 2.0 ** 24))
            angle = 2 * math.pi * (words[i + 1] / 2.0 ** 24)
            y[:, i], y[:, i + 1] = r * np.cos(angle), r * np.sin(angle)
        return torch.from_numpy(y.ravel()[:count].reshape(-1, dim))

    def seeds(made, n):
        return torch.randint(-2 ** 63, 2 ** 63 - 1, (n,), generator=made, device="cuda", dtype=torch.int64)
    return Op("noise", f"{dim}", dim, truth, rows={"length": lambda made, n: n}, slots={"seeds": seeds}, dim=dim)


def istft(padding):
    center = padding == "center"

    def truth(rows, _, w):
        h = rows["h"].cpu().numpy()
        if center:
            return torch.from_numpy(ops_small.istft_center(h) if len(h) > 1 else np.zeros(0))
        return torch.from_numpy(ops_small.istft_same(h))

    def head(made, n):
        """Log magnitudes falling with frequency, some above the clip at 100; phases of several turns."""
        h = torch.randn(n, 1026, generator=made, device="cuda") * 2
        h[:, :513] += 2 - torch.linspace(0, 4, 513, device="cuda")
        h[:, 513:] *= 5
        return h

    def outputs(n):
        return 256 * (max(n, 1) - 1 if center else n)
    return Op("istft", padding, 1, truth, rows={"h": head}, outputs=outputs,
              shared={"window": lambda made: torch.hann_window(1024, dtype=torch.float64, device="cuda").float()},
              scratch={"scratch": lambda pack: (pack.rows, 1024)},
              padding=cbind.ISTFT_CENTER if center else cbind.ISTFT_SAME)
