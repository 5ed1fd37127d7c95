"""op_base.py — an op as tests and bench/ see it: its inputs drawn at random, laid out in a pack, and its result's place.

A subclass of Op is one op of kernels/op_list.h, an instance is that op at one width; they stand in ops.py. Inputs are of
three kinds: one row for each packed row, one value for each slot, and weights that all rows share. The truth sees one
sequence at a time, in double. A device runs the op: Reference here (the C references), gpubind.Gpu on a GPU.
"""
import zlib
from dataclasses import dataclass

import numpy as np
import torch

import cbind

F32 = (torch.float32,)
ALL = (torch.float32, torch.float16, torch.bfloat16)
DTYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}  # f5_dtype
CODES = {**DTYPES, torch.int8: 3}  # whole numbers need a scale beside them: only some ops have them
UNWRITTEN = {torch.int8: -128}  # what an output holds before; NaN in all other types. Whole numbers are -127 to 127
NAMES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
# Relative L2 of the CUDA ops against fp64 on the same rounded inputs: sums in F32 (a few 1e-7, more where a logarithm
# enlarges them); one rounding of a result to 11 or 8 bits is 3e-4 or 2e-3, and attention rounds keys, weights and result.
BARS = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1.5e-2}


# ---- inputs

class Draw:
    """Random numbers for one use alone: they depend on the seed and the salt, not on what else was drawn."""

    def __init__(self, seed, *salt, device="cpu"):
        self.device, self.made = device, torch.Generator(device=device)
        self.made.manual_seed(zlib.crc32(repr((seed,) + salt).encode()))

    def normal(self, *shape, scale=1.0, mean=0.0):
        return torch.randn(shape, generator=self.made, device=self.device) * scale + mean

    def uniform(self, *shape, low=0.0, high=1.0):
        return torch.rand(shape, generator=self.made, device=self.device) * (high - low) + low

    def integers(self, low, high, n, dtype=torch.int32):
        return torch.randint(low, high, (n,), generator=self.made, device=self.device, dtype=dtype)

    def number(self, low, high):
        """A number that F32 holds exactly."""
        return float(self.uniform(low=low, high=high))

    def keep(self, n):
        """[n] 0 or 1: about two thirds kept, never a plain prefix; sometimes none at all."""
        kept = self.uniform(n) < 0.66
        if int(self.integers(0, 8, 1)) == 0:
            kept.zero_()
        return kept.to(torch.uint8)


@dataclass
class Inputs:
    lengths: list    # of the sequences; 0 is an empty one
    sequences: list  # {field: rows} of each
    slots: dict      # {field: [one value for each sequence]}
    shared: dict     # {field: weights, or a number}

    def alone(self, i):
        return Inputs(self.lengths[i:i + 1], self.sequences[i:i + 1], {f: v[i:i + 1] for f, v in self.slots.items()},
                      self.shared)


class Op:
    """What a subclass says of its op: the members here, draw_*, truth, and the cases that are tested and timed."""
    name = None           # as in kernels/op_list.h
    types = F32           # number types that it has on a GPU; a reference has F32
    typed = ()            # fields held as `type`
    count = "pack"        # the field that says how many rows there are: a pack, or a number
    c_fields = ()         # rows that lie in a pack of their own, the field c_pack: beside(n) rows of a sequence of n
    y_pack = False        # y has a pack of its own, the field y_pack: outputs(n) rows of a sequence of n
    aliases = {}          # {field: the field whose memory it shares}
    starts = None         # the field that says where each slot's outputs begin, [n_seq + 1]
    single = False        # one sequence is all that a call takes
    by_arch = False       # GPU architectures run different kernels of it
    y_f32 = False         # y is F32 whatever the type
    y_int8 = False        # y is whole numbers whatever the type
    flat_output = False   # NAME_output gives y as one row
    optional = ()         # pointers of a call that may be NULL
    sizes = ("dim", "in", "out", "taps", "heads", "table_rows")  # scalars that are 1 at least, else F5_E_SHAPE
    bad_count = "SHAPE"   # what a count of -1 rows is refused as, where rows are a number
    bar_ref = 1e-6        # relative L2 of the reference
    rounded_once = False  # the reference's result is the truth rounded to F32, bit for bit
    bar_cuda = None       # and of the CUDA op: None for BARS of the type
    lengths_test = None   # [(lengths, tail)] where an op's own are wanted
    lengths_alone = ([0, 31, 0, 1, 157, 2, 0], 5)  # at which a sequence alone is compared with the pack, on the CPU

    def __init__(self, label, width, **scalars):
        self.label, self.width, self.scalars = f"{self.name} {label}".strip(), width, scalars

    def draw_rows(self, draw, n):
        """{field: [n,...]} of a sequence of n rows."""
        return {}

    def draw_slots(self, draw, n_seq):
        return {}

    def draw_shared(self, draw, longest):
        """longest: rows of the longest sequence that these weights will meet."""
        return {}

    def truth(self, rows, slots, shared):
        """fp64 [outputs,width] of one sequence."""
        raise NotImplementedError(f"{self.name}: no truth")

    def outputs(self, n):
        """Rows of y that a sequence of n rows gives."""
        return n

    def judged(self, y, want):
        """y as a bar judges it: elements that the truth says carry more of a rounding may be drawn towards it."""
        return y

    def y_rows(self, rows, n_seq):
        """Rows of a bucket of y_pack, where that of x has so many."""
        return rows + n_seq

    def beside(self, n):
        """Rows in c_pack of a sequence of n rows."""
        return n

    def scratch(self, pack):
        """{field: shape}"""
        return {}

    def slot_lengths(self, lengths):
        """Slots of the pack that holds these sequences."""
        return list(lengths)

    def slot_rows(self, sequences, i):
        """{field: rows} that lie in slot i."""
        return sequences[i]

    def flop(self, lengths):
        """Arithmetic that grows with a width squared or a length squared, multiply-adds twice."""
        return 0.0

    def read_of_shared(self, lengths, shared):
        """The tensors among the weights as far as they are read."""
        return [t for t in shared.values() if isinstance(t, torch.Tensor)]

    def bytes(self, call):
        """What a call reads and writes, each once: rows, weights, outputs, and y again where it is an input too."""
        read = [*call.rows.values(), *call.slots.values(), *self.read_of_shared(call.inputs.lengths, call.shared)]
        return sum(t.numel() * t.element_size() for t in read) + (1 + len(self.aliases)) * call.output_bytes()

    def planned_bytes(self, call):
        """What NAME_bytes says of a call without a tail; it may leave out what is small."""
        return self.bytes(call)

    @classmethod
    def cases_test(cls):
        """Instances that the tests run; each is cheap."""
        raise NotImplementedError(f"{cls.__name__} has no cases_test")

    @classmethod
    def cases_bench(cls, model):
        """[Timed] of one request, as the model calls the op."""
        raise NotImplementedError(f"{cls.__name__} has no cases_bench")

    # ---- the same for every op

    def y_dtype(self, dtype):
        return torch.int8 if self.y_int8 else torch.float32 if self.y_f32 else dtype

    def bar(self, suffix, dtype):
        """suffix: of what is run, NAME_ref or NAME_cuda."""
        if suffix == "ref":
            return self.bar_ref
        return BARS[dtype] if self.bar_cuda is None else self.bar_cuda

    def draw(self, draw, lengths, dtype=torch.float32, longest=None):
        def cast(fields):
            return {f: v.to(dtype) if f in self.typed else v for f, v in fields.items()}

        lengths = list(lengths)
        shared = cast(self.draw_shared(draw, longest or max([1, *lengths])))
        return Inputs(lengths, [cast(self.draw_rows(draw, n)) for n in lengths], self.draw_slots(draw, len(lengths)), shared)

    def expected(self, inputs):
        """The truth of all slots, one after the other."""
        n, parts = len(inputs.lengths), []
        for i, length in enumerate(inputs.lengths):
            if length:
                slot = {f: v[i] for f, v in inputs.slots.items()}
                parts.append(torch.as_tensor(self.truth(inputs.sequences[i], slot, inputs.shared)).double())
        parts = [p.reshape(-1, self.width) for p in parts] * (len(self.slot_lengths(inputs.lengths)) // max(n, 1))
        return torch.cat(parts) if parts else torch.zeros(0, self.width)


@dataclass
class Model:
    """What cases_bench is told: a model's settings (random_checkpoint.py) and the sizes of a request."""
    config: dict
    frames: int
    ref_frames: int

    @property
    def both(self):
        """Sequences of an evaluation: the two branches."""
        return [self.frames, self.frames]

    @property
    def heard(self):
        """Frames that the vocoder is given."""
        return [self.frames - self.ref_frames]


@dataclass
class Timed:
    """A row of bench/kernels.py: an op as the model calls it. operands: in the type of the model's operands, else F32."""
    title: str
    op: Op
    lengths: list
    operands: bool = True
    searched: bool = False  # against the best of a library's algorithms, not only its first choice


# ---- calls

class Call:
    """An op's inputs laid out in a bucket of pack.rows rows, whose tail holds NaN and absurd ids."""

    def __init__(self, device, op, dtype, inputs, tail=0, slots=None, rows=None):
        self.device, self.op, self.dtype, self.starts = device, op, dtype, None
        self.pack = device.pack(op.slot_lengths(inputs.lengths), tail, slots, rows)
        self.y_pack = self.c_pack = None
        if op.c_fields:
            lengths = [op.beside(end - begin) for begin, end in self.pack.spans]
            self.c_pack = device.pack(lengths, tail, rows=rows)
        if op.y_pack:
            lengths = [op.outputs(end - begin) for begin, end in self.pack.spans]
            self.y_pack = device.pack(lengths, tail, rows=rows and op.y_rows(rows, len(lengths)))
        first, on = op.slot_rows(inputs.sequences, 0), device.kind
        self.rows = {f: torch.empty((self.pack_of(f).rows,) + tuple(v.shape[1:]), dtype=v.dtype, device=on)
                     for f, v in first.items()}
        self.slots = {f: torch.zeros(self.pack.n_seq, dtype=v.dtype, device=on) for f, v in inputs.slots.items()}
        if op.starts:
            self.slots[op.starts] = torch.zeros(self.pack.n_seq + 1, dtype=torch.int64, device=on)
        self.scratch = {f: device.output(*shape) for f, shape in op.scratch(self.pack).items()}
        self.fill(inputs)

    def pack_of(self, field):
        return self.c_pack if field in self.op.c_fields else self.pack

    def fill(self, inputs):
        """Other inputs in the same buffers: the pack has been set to their lengths."""
        self.inputs, self.shared = inputs, inputs.shared
        if self.c_pack and self.starts is not None:  # another composition of the bucket
            self.c_pack.set([self.op.beside(end - begin) for begin, end in self.pack.spans])
        for field, buffer in self.rows.items():
            if buffer.dtype.is_floating_point:
                buffer.fill_(float("nan"))
            else:
                buffer.fill_({torch.uint8: 1, torch.int8: 127}.get(buffer.dtype, 2 ** 30))
            for i in range(len(self.op.slot_lengths(inputs.lengths))):
                begin, end = self.pack_of(field).spans[i]
                buffer[begin:end].copy_(self.op.slot_rows(inputs.sequences, i)[field])
        for field, value in inputs.slots.items():
            self.slots[field].zero_()
            self.slots[field][:len(value)].copy_(value)
        if self.y_pack and self.starts is not None:  # another composition of the bucket
            self.y_pack.set([self.op.outputs(end - begin) for begin, end in self.pack.spans])
        self.starts = np.cumsum([0] + [self.op.outputs(end - begin) for begin, end in self.pack.spans]).tolist()
        if self.op.starts:
            self.slots[self.op.starts].copy_(torch.tensor(self.starts))

    def output(self):
        rows = self.y_pack.rows if self.y_pack else self.op.outputs(self.pack.rows)
        return self.device.output(max(1, rows), self.op.width, dtype=self.op.y_dtype(self.dtype))

    def fields(self, y):
        fields = {**self.op.scalars, **self.rows, **self.slots, **self.shared, **self.scratch, "y": y}
        fields[self.op.count] = self.pack if self.op.count == "pack" else self.pack.rows
        if self.c_pack:
            fields["c_pack"] = self.c_pack
        if self.y_pack:
            fields["y_pack"] = self.y_pack
        fields.update({f: fields[of] for f, of in self.op.aliases.items()})
        known = dict(cbind.headers().struct(f"{self.op.name}_args")._fields_)
        fields.update({f: v for f, v in (("type", torch.int8 if self.op.y_int8 else self.dtype), ("y_f32", self.op.y_f32)) if f in known})
        return fields

    def run(self, y=None):
        """Into a fresh poisoned output, unless one is given."""
        y = y or self.output()
        self.device.run(self.op.name, **self.fields(y))
        for scratch in self.scratch.values():
            scratch.check()
        return y

    def live(self, y):
        """The outputs of all slots, one after the other; nothing beside y was written."""
        return y.check()[:self.starts[-1]]

    def of(self, y, i):
        """The outputs of sequence i, in every slot that holds it."""
        n = len(self.inputs.lengths)
        return torch.cat([y.a[self.starts[s]:self.starts[s + 1]]
                          for s in range(i, len(self.op.slot_lengths(self.inputs.lengths)), n)])

    def bytes(self):
        """Of what is read and written once."""
        return self.op.bytes(self)

    def output_bytes(self):
        return self.starts[-1] * self.op.width * torch.empty((), dtype=self.op.y_dtype(self.dtype)).element_size()


# ---- the C references as a device

class HostOutput:
    """cbind.Guarded as a torch tensor `a`."""

    def __init__(self, *shape, dtype=torch.float32):
        assert dtype in (torch.float32, torch.int8), "the references are F32, and whole numbers"
        self.guarded = cbind.Guarded(shape, np.int8 if dtype == torch.int8 else np.float32)
        if dtype == torch.int8:
            self.guarded.a[...] = UNWRITTEN[dtype]
        self.a = torch.from_numpy(self.guarded.a)

    def check(self):
        self.guarded.check()
        return self.a


class Reference:
    """NAME_ref on the CPU. Gives what gpubind.Gpu gives for NAME_cuda."""
    kind, suffix = "cpu", "ref"

    @staticmethod
    def pack(lengths, tail=0, slots=None, rows=None):
        return cbind.make_pack(lengths, tail if rows is None else rows - sum(lengths), slots)

    @staticmethod
    def output(*shape, dtype=torch.float32):
        return HostOutput(*shape, dtype=dtype)

    @staticmethod
    def fields(op, **fields):
        """As cbind takes them."""
        pointees = cbind.headers().pointees[f"{op}_args"]

        def host(field, value):
            if isinstance(value, HostOutput):
                value = value.a
            if isinstance(value, torch.dtype):
                return CODES[value]
            if not isinstance(value, torch.Tensor):
                return value
            array = value.numpy()
            return array.view(np.uint64) if pointees.get(field) == "uint64_t" else array

        return {f: host(f, v) for f, v in fields.items()}

    def call(self, op, **fields):
        return cbind.call(op, **self.fields(op, **fields))

    def run(self, op, **fields):
        status = self.call(op, **fields)
        assert status == 0, f"{op}_ref: status {status}"


# ---- comparison

def rel_l2(got, want):
    """||got - want|| / ||want|| in double. NaN or infinity on either side is a failure, never a number."""
    got, want = got.double(), want.to(got.device).double()
    assert got.shape == want.shape, f"shapes differ: {tuple(got.shape)} and {tuple(want.shape)}"
    assert bool(torch.isfinite(want).all()), "the truth holds NaN or infinity"
    bad = int((~torch.isfinite(got)).sum())
    assert bad == 0, f"{bad} of {got.numel()} elements are NaN or infinite"
    return float((got - want).norm() / want.norm().clamp_min(1e-300))


def unwritten(y):
    """Elements of an output that hold what they held before."""
    return y == UNWRITTEN[y.dtype] if y.dtype in UNWRITTEN else torch.isnan(y)


def check(op, what, got, want, bar):
    """Asserts rel_l2 <= bar and keeps the figure for the table that tests/conftest.py prints. Whole numbers that may differ
    are one apart, and of a few rows three may: one in 25,000 lies so near the middle of two that the last bit decides."""
    value = rel_l2(got, want)
    if got.dtype == torch.int8 and bar > 0:
        apart = float((got.double() - want.to(got.device).double()).abs().max())
        assert apart <= 1, f"{op} {what}: whole numbers are more than one apart"
        bar = max(bar, 3 ** 0.5 / max(float(want.double().norm()), 1.0))
    cbind.RESULTS.append((op, what, value, bar))
    assert value <= bar, f"{op} {what}: rel L2 {value:.3g} > {bar:.3g}"
    return value


def same_bits(a, b):
    """Bit equality, NaNs included."""
    return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a.contiguous().view(torch.uint8),
                                                                     b.contiguous().view(torch.uint8))
