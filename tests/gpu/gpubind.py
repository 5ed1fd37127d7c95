"""gpubind.py — the CUDA ops as Python sees them: cbind's structs, filled with the addresses of torch tensors.

    gpu = Gpu()
    gpu.run("linear", pack=Pack([300, 0, 41], tail=7), out=8, x=x, w=w, y=y, **{"in": 16})

A tensor's type is held against the pointer's; outputs are poisoned with NaN and guarded on both sides.
"""
import ctypes
from types import SimpleNamespace

import torch

import cbind
from op_base import BARS, CODES, DTYPES, UNWRITTEN, NAMES, Draw, check, rel_l2, same_bits  # noqa: F401  what GPU tests take from here

POINTEES = {"float": torch.float32, "int32_t": torch.int32, "int64_t": torch.int64, "int8_t": torch.int8,
            "uint8_t": torch.uint8, "uint64_t": torch.int64, "double": torch.float64}
WORKSPACE_BYTES = 256 << 20


class Pack:
    """An f5_pack in device memory. set() changes the composition in place, as a bucket's next request does."""

    def __init__(self, lengths, tail=0, slots=None, rows=None):
        self.n_seq = slots or len(lengths)
        self.rows = rows or sum(lengths) + tail
        self.offsets = torch.zeros(self.n_seq + 1, dtype=torch.int32, device="cuda")
        self.seq_of_row = torch.full((self.rows,), -1, dtype=torch.int32, device="cuda")
        self.struct = cbind.headers().struct("f5_pack")(rows=self.rows, n_seq=self.n_seq,
                                                        offsets=self.offsets.data_ptr(),
                                                        seq_of_row=self.seq_of_row.data_ptr())
        self.set(lengths)

    def set(self, lengths):
        lengths = list(lengths) + [0] * (self.n_seq - len(lengths))
        ends = torch.tensor(lengths, dtype=torch.int64).cumsum(0).tolist()
        assert len(lengths) == self.n_seq and ends[-1] <= self.rows
        self.spans = list(zip([0] + ends[:-1], ends))
        self.live = ends[-1]
        self.offsets.copy_(torch.tensor([0] + ends, dtype=torch.int32))
        owners = torch.full((self.rows,), -1, dtype=torch.int32)
        for slot, (begin, end) in enumerate(self.spans):
            owners[begin:end] = slot
        self.seq_of_row.copy_(owners)


class Output:
    """A NaN-poisoned output between two guard zones; check() fails if anything was written outside it."""

    GUARD = 1024

    def __init__(self, *shape, dtype=torch.float32):
        size = 1
        for n in shape:
            size *= n
        self.whole = torch.full((size + 2 * self.GUARD,), 71.0, dtype=dtype, device="cuda")
        self.a = self.whole[self.GUARD:self.GUARD + size].view(*shape)
        self.a.fill_(UNWRITTEN.get(dtype, float("nan")))

    def check(self):
        for side, zone in (("before", self.whole[:self.GUARD]), ("after", self.whole[-self.GUARD:])):
            assert bool((zone == 71.0).all()), f"memory {side} the output was written"
        return self.a


class Gpu:
    """A cuda_context on torch's current stream; to op_base.Call a device."""
    kind, suffix, pack, output = "cuda", "cuda", Pack, Output

    def __init__(self, workspace_bytes=WORKSPACE_BYTES):
        torch.cuda.init()
        torch.zeros(1, device="cuda")
        self.context = cbind.headers().struct("cuda_context")()
        error = cbind.headers().struct("f5_error")()
        opened = cbind.function("cuda_context_open", ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t,
                                ctypes.c_void_p)(ctypes.addressof(self.context), torch.cuda.current_device(),
                                                 workspace_bytes, ctypes.addressof(error))
        assert opened == 0, error.message.decode()
        torch.cuda.synchronize()

    def close(self):
        torch.cuda.synchronize()
        cbind.function("cuda_context_close", None, ctypes.c_void_p)(ctypes.addressof(self.context))

    @property
    def path(self):
        """The newest kernels in use: "sm90", "sm80"."""
        arch = type(self.context).arch.offset + ctypes.addressof(self.context)
        return cbind.function("arch_path", ctypes.c_char_p, ctypes.c_void_p)(arch).decode()

    def limit(self, path):
        """Leaves kernels newer than these alone from now on; "sm90": none."""
        code = {"sm80": cbind.ARCH_SM80, "sm90": cbind.ARCH_SM90A}[path]
        cbind.function("cuda_context_limit", None, ctypes.c_void_p, ctypes.c_int)(ctypes.addressof(self.context), code)

    @property
    def plans(self):
        """Products that cuBLASLt has been asked for."""
        return cbind.function("blas_plan_count", ctypes.c_int32, ctypes.c_void_p)(ctypes.addressof(self.context))

    def call(self, op, **fields):
        """Runs NAME_cuda on torch's current stream and returns its status."""
        name = f"{op}_args"
        pointees, types = cbind.headers().pointees[name], dict(cbind.headers().struct(name)._fields_)
        filled = cbind.headers().struct(name)()
        for field, value in fields.items():
            if field not in types:
                raise TypeError(f"{name} has no field {field}")
            kind = None
            if isinstance(value, tuple):  # an address, or None, and the type of what would lie there
                value, kind = value[0], DTYPES[value[1]]
            if isinstance(value, Output):
                value = value.a
            if isinstance(value, Pack):
                value = ctypes.addressof(value.struct)
            elif isinstance(value, torch.dtype):
                value = CODES[value]
            elif isinstance(value, torch.Tensor):
                if not value.is_cuda or not value.is_contiguous():
                    raise TypeError(f"{name}.{field}: not a contiguous tensor of the device")
                want = POINTEES.get(pointees.get(field))
                if want is not None and value.dtype != want:
                    raise TypeError(f"{name}.{field} is a {pointees[field]} *, the tensor is {value.dtype}")
                kind, value = CODES.get(value.dtype), value.data_ptr()
            if types[field] in cbind.typed_structs():
                value = types[field]() if kind is None else types[field](data=value, type=kind)
            setattr(filled, field, value)
        filled.keep_alive = SimpleNamespace(**fields)
        self.context.stream = torch.cuda.current_stream().cuda_stream
        return cbind.function(f"{op}_cuda", ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(
            ctypes.addressof(self.context), ctypes.addressof(filled))

    def run(self, op, **fields):
        """call() that must succeed."""
        status = self.call(op, **fields)
        assert status == 0, f"{op}_cuda: status {status}: {self.context.error.message.decode()}"


def generator(seed, *salt):
    """A torch generator on the device, for this test alone."""
    return Draw(seed, *salt, device="cuda").made


def capture(work):
    """A CUDA graph of what `work` launches (run once before, so that nothing is loaded or planned inside)."""
    work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph
