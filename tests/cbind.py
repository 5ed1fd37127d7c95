"""cbind.py — the C ops as Python sees them: struct layouts are read from kernels/*.h, never written down twice.

    status = call("linear", pack=make_pack([3, 0, 5], tail=2), out=8, x=x, w=w, y=y.a, **{"in": 16})

`call` builds NAME_args (fields not given are zero, as with C's designated initialisers) and runs the reference of NAME
in the context at hand: every thread and the best instruction set of this CPU, unless `with context(...)` says otherwise.
A struct that this small parser does not understand is a CHeaderError when it is used, and tests/ops/test_cbind.py
holds every size and offset against the C compiler's.

Environment: F5_BUILD, the build folder (default: build/ beside kernels/); F5_TEST_LIBRARY, the library itself.
"""
import contextlib
import ctypes
import functools
import os
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
KERNELS = ROOT / "kernels"
ALIGN = 64

SCALARS = {
    "int8_t": ctypes.c_int8, "int16_t": ctypes.c_int16, "int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64,
    "uint8_t": ctypes.c_uint8, "uint16_t": ctypes.c_uint16, "uint32_t": ctypes.c_uint32, "uint64_t": ctypes.c_uint64,
    "float": ctypes.c_float, "double": ctypes.c_double, "bool": ctypes.c_bool, "size_t": ctypes.c_size_t,
    "int": ctypes.c_int, "char": ctypes.c_char,
}
NUMPY = {"int8_t": np.int8, "int16_t": np.int16, "int32_t": np.int32, "int64_t": np.int64, "uint8_t": np.uint8,
         "uint16_t": np.uint16, "uint32_t": np.uint32, "uint64_t": np.uint64, "float": np.float32,
         "double": np.float64}


def header_files(folder=KERNELS):
    """The headers that are read: the ops', and the CPU's and the GPU's own."""
    return sorted(p for pattern in ("*.h", "cpu/*.h", "cuda/*.h") for p in Path(folder).glob(pattern))


class CHeaderError(Exception):
    """A header says something this parser does not understand."""


# ---- headers

class Headers:
    """Everything the op headers declare: constants (enum members and integer #defines), enums, structs."""

    def __init__(self, folder=KERNELS):
        self.constants, self.enums, self.structs, self.pointees, self.failed = {}, set(), {}, {}, {}
        self._texts = {str(p.relative_to(Path(folder).parent)): self._strip(p.read_text(encoding="utf-8"))
                       for p in header_files(folder)}
        self._done = set()
        for name in self._texts:
            self._read(name)

    @staticmethod
    def _strip(text):
        text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
        text = re.sub(r"^[ \t]*#[ \t]*define[^\n]*\\\n(?:[^\n]*\\\n)*[^\n]*$", " ", text, flags=re.M)  # macros of several lines
        return re.sub(r"//[^\n]*", " ", text)

    def _read(self, name):
        """One header, its own includes first, so that a struct is known before it is used by value."""
        if name in self._done or name not in self._texts:
            return
        self._done.add(name)
        text = self._texts[name]
        for included in re.findall(r'#\s*include\s+"([^"]+)"', text):
            self._read(included)
        for key, value in re.findall(r"#[ \t]*define[ \t]+(\w+)[ \t]+(-?\w+)[ \t]*$", text, flags=re.M):
            if re.fullmatch(r"-?(0[xX][0-9a-fA-F]+|\d+)", value):
                self.constants[key] = int(value, 0)
        for match in re.finditer(r"\btypedef\s+(struct|enum)\b", text):
            self._typedef(name, match.group(1), text[match.end():])

    def struct(self, name):
        """The ctypes Structure of this name. What could not be parsed fails here, when it is asked for."""
        if name in self.failed:
            raise self.failed[name]
        if name not in self.structs:
            raise CHeaderError(f"no header in kernels/ declares {name}")
        return self.structs[name]

    def _typedef(self, header, kind, rest):
        if re.match(r"\s+\w+\s+\w+\s*;", rest):
            return  # an opaque handle: never passed by value
        match = re.match(r"\s*(?:\w+\s*)?\{([^{}]*)\}\s*(\w+)\s*;", rest)
        if not match:
            raise CHeaderError(f"{header}: typedef {kind} not understood: {rest[:80].strip()!r}")
        body, name = match.groups()
        try:
            if kind == "enum":
                self._enum(header, name, body)
            else:
                self._struct(header, name, body)
        except CHeaderError as error:
            self.failed[name] = error

    def _enum(self, header, name, body):
        value = 0
        for item in filter(None, (part.strip() for part in body.split(","))):
            match = re.fullmatch(r"(\w+)(?:\s*=\s*([-\w */]+))?", item)
            if not match:
                raise CHeaderError(f"{header}: {name}: enumerator not understood: {item!r}")
            if match.group(2) is not None:
                value = self._integer(header, match.group(2))
            self.constants[match.group(1)] = value
            value += 1
        self.enums.add(name)

    def _integer(self, header, text):
        """A number, a known constant, or products and quotients of them."""
        value, operator = None, None
        for token in re.findall(r"-?\w+|[*/]|\S", text):
            if token in ("*", "/") and value is not None and operator is None:
                operator = token
                continue
            try:
                number = self.constants[token] if token in self.constants else int(token, 0)
            except ValueError:
                raise CHeaderError(f"{header}: not an integer: {text!r}") from None
            if value is None:
                value = number
            elif operator:
                value = value * number if operator == "*" else value // number
                operator = None
            else:
                raise CHeaderError(f"{header}: not an integer: {text!r}")
        if value is None or operator:
            raise CHeaderError(f"{header}: not an integer: {text!r}")
        return value

    def _struct(self, header, name, body):
        fields, pointees = [], {}
        *declarations, rest = body.split(";")
        if rest.strip():
            raise CHeaderError(f"{header}: {name}: text after the last member: {rest.strip()!r}")
        for declaration in declarations:
            words = " ".join(declaration.split())
            match = re.fullmatch(r"(?:const )?(?:struct )?(\w+) ?(.+)", words)
            if not match or match.group(1) in ("const", "struct", "unsigned", "signed", "long", "short", "volatile"):
                raise CHeaderError(f"{header}: {name}: member not understood: {words!r}")
            base, declarators = match.groups()
            for declarator in declarators.split(","):
                part = re.fullmatch(r"(\**)(?: ?const )?(\w+)(?:\[([-\w */]+)\])?", declarator.strip())
                if not part:
                    raise CHeaderError(f"{header}: {name}: member not understood: {words!r}")
                stars, field, count = part.groups()
                if stars:
                    ctype = ctypes.c_void_p
                    pointees[field] = base if stars == "*" else base + stars[1:]
                else:
                    ctype = self._value_type(header, name, base)
                if count is not None:
                    ctype = ctype * self._integer(header, count)
                fields.append((field, ctype))
        if not fields:
            raise CHeaderError(f"{header}: {name}: no members found")
        self.structs[name] = type(name, (ctypes.Structure,), {"_fields_": fields})
        self.pointees[name] = pointees

    def _value_type(self, header, struct, base):
        if base in SCALARS:
            return SCALARS[base]
        if base in self.enums:
            return ctypes.c_int
        if base in self.structs or base in self.failed:
            return self.struct(base)
        raise CHeaderError(f"{header}: {struct}: unknown type {base!r}")


@functools.lru_cache(maxsize=None)
def headers():
    return Headers()


def __getattr__(name):
    """Constants of the headers as attributes of this module: cbind.LINEAR_SILU, cbind.F5_OK."""
    if name[:1].isupper() and name in headers().constants:
        return headers().constants[name]
    raise AttributeError(name)


# ---- memory

def aligned(shape, dtype=np.float32, align=ALIGN):
    """An uninitialised C-contiguous array whose first element is `align`-byte aligned."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.empty(size + align, np.uint8)
    start = -raw.ctypes.data % align
    return raw[start:start + size].view(dtype).reshape(shape)


def copy(array, dtype=None):
    """An aligned copy (of a numpy array, torch tensor or nested list)."""
    array = np.asarray(array)
    out = aligned(array.shape, dtype or array.dtype)
    out[...] = array
    return out


def normal(rng, shape, scale=1.0):
    """Aligned F32 normal numbers."""
    return copy(rng.standard_normal(shape, dtype=np.float32) * np.float32(scale))


def poison(shape, dtype=np.float32):
    """An output before the op ran: NaN everywhere, or a loud pattern where the type has no NaN."""
    out = aligned(shape, dtype)
    out.view(np.uint8).fill(0xFF)  # a NaN in F16, BF16, F32 and F64 alike
    return out


class Guarded:
    """A poisoned output `a` between two guard zones; check() fails if anything wrote outside it.

    The zones are `guard` elements long (rounded up to keep alignment) and hold a canary that is not a NaN,
    so that an op that reads past the end gives a plausible wrong number rather than a fault."""

    def __init__(self, shape, dtype=np.float32, guard=1024):
        dtype = np.dtype(dtype)
        unit = max(1, ALIGN // dtype.itemsize)
        guard = -(-guard // unit) * unit
        size = int(np.prod(shape, dtype=np.int64))
        self.whole = aligned(2 * guard + size, dtype)
        self.whole.view(np.uint8).fill(0x47)
        self.a = self.whole[guard:guard + size].reshape(shape)
        self.a[...] = poison(shape, dtype)
        self._low, self._high = self.whole[:guard], self.whole[guard + size:]

    def check(self):
        for side, zone in (("before", self._low), ("after", self._high)):
            touched = np.flatnonzero(zone.view(np.uint8) != 0x47)
            assert touched.size == 0, f"{touched.size} bytes {side} the output were written (first at {touched[0]})"
        return self.a


class Pack:
    """An f5_pack and the arrays it points to. spans: [(begin, end)] of each slot; live: rows of all of them."""

    def __init__(self, lengths, tail=0, slots=None):
        lengths = list(lengths) + [0] * ((slots or len(lengths)) - len(lengths))
        self.offsets = copy(np.concatenate([[0], np.cumsum(lengths)]), np.int32)
        self.live = int(self.offsets[-1])
        self.rows = self.live + tail
        self.n_seq = len(lengths)
        self.seq_of_row = aligned(self.rows, np.int32)
        self.seq_of_row[:] = -1
        self.spans = [(int(a), int(b)) for a, b in zip(self.offsets[:-1], self.offsets[1:])]
        for slot, (begin, end) in enumerate(self.spans):
            self.seq_of_row[begin:end] = slot
        self.struct = headers().struct("f5_pack")(rows=self.rows, n_seq=self.n_seq, offsets=self.offsets.ctypes.data,
                                                   seq_of_row=self.seq_of_row.ctypes.data)


def make_pack(lengths, tail=0, slots=None):
    """Sequences of these lengths (0 = empty slot), then `tail` inert rows; `slots` appends empty slots."""
    return Pack(lengths, tail, slots)


# ---- calls

@functools.lru_cache(maxsize=None)
def library():
    """libf5tts_test.so. A missing library is an error, not a skip: no test may pass for want of its subject."""
    path = os.environ.get("F5_TEST_LIBRARY")
    if not path:
        path = Path(os.environ.get("F5_BUILD", ROOT / "build")) / "lib" / "libf5tts_test.so"
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: build it first (make), or set F5_BUILD or F5_TEST_LIBRARY")
    return ctypes.CDLL(str(path))


def function(name, restype=None, *argtypes):
    """Any exported function. Arrays are passed as pointers by `pointer(array)`."""
    found = getattr(library(), name)
    found.restype, found.argtypes = restype, argtypes
    return found


def pointer(array):
    """Address of a C-contiguous array; None is NULL."""
    if array is None:
        return None
    if isinstance(array, Guarded):
        array = array.a
    if not array.flags.c_contiguous:
        raise TypeError("array is not C-contiguous")
    return array.ctypes.data


def _field_value(struct, field, ctype, pointee, value):
    if ctype is not ctypes.c_void_p:
        return value
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, Pack):
        if pointee != "f5_pack":
            raise TypeError(f"{struct}.{field} is a {pointee} *, not a pack")
        return ctypes.addressof(value.struct)
    if isinstance(value, ctypes.Structure):
        if pointee != type(value).__name__:
            raise TypeError(f"{struct}.{field} is a {pointee} *, not a {type(value).__name__} *")
        return ctypes.addressof(value)
    if isinstance(value, Guarded):
        value = value.a
    if pointee != "void" and np.dtype(NUMPY[pointee]) != value.dtype:
        raise TypeError(f"{struct}.{field} is a {pointee} *, the array is {value.dtype}")
    return pointer(value)


def typed_structs():
    """The structs of data with its number type: f5_matrix and f5_rows."""
    return {headers().struct("f5_matrix"), headers().struct("f5_rows")}


def typed(value):
    """(data, F5_F32 or another type): of an array its own type, unless the value is such a pair already."""
    if isinstance(value, tuple):
        return value
    return value, headers().constants["F5_I8" if getattr(value, "dtype", None) == np.int8 else "F5_F32"]


def args(op, fields):
    """NAME_args filled from the fields; keeps what they point to alive."""
    name = f"{op}_args"
    struct, pointees = headers().struct(name), headers().pointees[name]
    types = dict(struct._fields_)
    unknown = sorted(set(fields) - set(types))
    if unknown:
        raise TypeError(f"{name} has no field {', '.join(unknown)}")
    out = struct()
    for field, value in fields.items():
        if types[field] in typed_structs():
            value, kind = typed(value)
            pointee = "void" if getattr(value, "dtype", None) == np.int8 else "float"
            setattr(out, field, types[field](data=_field_value(name, field, ctypes.c_void_p, pointee, value), type=kind))
        else:
            setattr(out, field, _field_value(name, field, types[field], pointees.get(field), value))
    out.keep_alive = SimpleNamespace(**fields)
    return out


@functools.lru_cache(maxsize=None)
def ops():
    """The names in OPS_LIST, in order."""
    return re.findall(r"^    X\((\w+)\)", (KERNELS / "op_list.h").read_text(encoding="utf-8"), flags=re.M)


class Context:
    """A cpu_context. threads 0: all; isa None: the best that this CPU has."""

    def __init__(self, threads=0, isa=None):
        self.struct, error = headers().struct("cpu_context")(), headers().struct("f5_error")()
        opened = function("cpu_context_open", ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p,
                          ctypes.c_void_p)
        status = opened(ctypes.addressof(self.struct), threads, isa.encode() if isa else None,
                        ctypes.addressof(error))
        if status != 0:
            raise LookupError(error.message.decode())
        self.isa = ctypes.string_at(self.struct.set).decode()

    def op(self, name):
        """The reference of an op as this context runs it."""
        table = (ctypes.c_void_p * len(ops())).from_address(self.struct.ops)
        return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(table[ops().index(name)])

    def close(self):
        function("cpu_context_close", None, ctypes.c_void_p)(ctypes.addressof(self.struct))


_contexts = []  # the one at hand is last; the first is opened when first needed


@contextlib.contextmanager
def context(threads=0, isa=None):
    """Ops run in a context of their own. LookupError: this build or this CPU has no such instruction set."""
    opened = Context(threads, isa)
    _contexts.append(opened)
    try:
        yield opened
    finally:
        _contexts.remove(opened)
        opened.close()


def isas():
    """The instruction sets of this build that this CPU has, the best first."""
    found = []
    for isa in ("avx512", "avx2", "sse2", "neon", "plain"):
        with contextlib.suppress(LookupError), context(1, isa):
            found.append(isa)
    return found


def current():
    """The context at hand."""
    if not _contexts:
        _contexts.append(Context())
    return _contexts[-1]


def call(op, **fields):
    """Runs the reference of an op on NAME_args{fields}: its status. A field that is a Python word: **{"in": 3}."""
    filled = args(op, fields)
    return current().op(op)(ctypes.addressof(current().struct), ctypes.addressof(filled))


def run(op, **fields):
    """call() that must succeed."""
    status = call(op, **fields)
    if status != 0:
        names = {v: k for k, v in headers().constants.items() if k.startswith("F5_E_")}
        raise AssertionError(f"{op} on {current().isa}: {names.get(status, status)}")


# ---- comparison

def rel_l2(got, want):
    """||got - want|| / ||want|| in double. NaN or infinity on either side is a failure, never a number."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape, f"shapes differ: {got.shape} and {want.shape}"
    assert np.isfinite(want).all(), "the reference holds NaN or infinity"
    bad = ~np.isfinite(got)
    assert not bad.any(), f"{int(bad.sum())} of {bad.size} elements are NaN or infinite, first at {np.argwhere(bad)[0]}"
    norm = np.linalg.norm(want)
    return float(np.linalg.norm(got - want) / norm) if norm > 0 else float(np.linalg.norm(got))


def same_bits(a, b):
    """Bit equality, NaNs included."""
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(
        np.ascontiguousarray(a).view(np.uint8), np.ascontiguousarray(b).view(np.uint8))


RESULTS = []  # (op, what, rel L2, bar), printed at the end of the run by conftest.py


def check(op, what, got, want, bar):
    """Asserts rel_l2 <= bar and keeps the figure for the table at the end of the run."""
    value = rel_l2(got, want)
    RESULTS.append((op, what, value, bar))
    assert value <= bar, f"{op} {what}: rel L2 {value:.3g} > {bar:.3g}"
    return value
