"""emulated.py — the CUDA ops on the emulator as a device of op_base.Call: torch tensors of the CPU, each copied for a run
to memory that ends where nothing may be touched, beside which nothing may be written."""
import ctypes

import torch

import cbind
from op_base import CODES, DTYPES, UNWRITTEN, Reference

FIXED_BYTES, ROW_BYTES = 1 << 20, 1 << 22
SIGNATURES = {"emulator_open": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_bool, ctypes.c_size_t, ctypes.c_size_t]),
              "emulator_alloc": (ctypes.c_void_p, [ctypes.c_size_t]), "emulator_free": (ctypes.c_bool, [ctypes.c_void_p]),
              "emulator_order": (None, [ctypes.c_uint64]), "emulator_launches": (ctypes.c_uint64, []),
              "emulator_take_fault": (None, [ctypes.c_char_p, ctypes.c_size_t]),
              "faults_run": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p])}


class Output:
    """Poisoned. What lies around it is the concern of the copy that a run works on."""

    def __init__(self, *shape, dtype=torch.float32):
        self.a = torch.full(shape, UNWRITTEN.get(dtype, float("nan")), dtype=dtype)

    def check(self):
        return self.a


class Guarded:
    """Copies of a run's memory, one of each address."""

    def __init__(self, library):
        self.library, self.copies = library, {}

    def at(self, tensor):
        """The copy's address; of a numpy array too."""
        numpy = not isinstance(tensor, torch.Tensor)
        at = tensor.ctypes.data if numpy else tensor.data_ptr()
        size = tensor.nbytes if numpy else tensor.numel() * tensor.element_size()
        if at not in self.copies:
            self.copies[at] = self.library.emulator_alloc(size), size
            ctypes.memmove(self.copies[at][0], at, size)
        assert self.copies[at][1] == size, "two tensors of one address and not of one size"
        return self.copies[at][0]

    def back(self, good):
        """What became of them, where the run was good."""
        damaged = []
        for at, (copy, size) in self.copies.items():
            if good:
                ctypes.memmove(at, copy, size)
            if not self.library.emulator_free(copy):
                damaged.append(size)
        assert not (good and damaged), f"memory beside a tensor of {damaged} bytes was written"


class Emulated(Reference):
    """NAME_cuda on the emulator, in each of `orders` (emulator.h) from the same memory to the same bits."""
    suffix = "cuda"

    def __init__(self, library, card, orders=(0, 1, 2), portable=True):
        self.library, self.orders, self.launched = ctypes.CDLL(str(library)), orders, 0
        for name, (result, arguments) in SIGNATURES.items():
            function = getattr(self.library, name)
            function.restype, function.argtypes = result, arguments
        self.context = cbind.headers().struct("cuda_context")()
        self.at_context = ctypes.addressof(self.context)
        assert self.library.emulator_open(self.at_context, card.encode(), portable, FIXED_BYTES, ROW_BYTES) == 0

    def output(self, *shape, dtype=torch.float32):
        return Output(*shape, dtype=dtype)

    def once(self, order, run):
        """The status of run(at), where at(tensor) is an address. A fault is an AssertionError."""
        guarded, fault = Guarded(self.library), ctypes.create_string_buffer(512)
        self.library.emulator_order(order)
        before = self.library.emulator_launches()
        status = run(guarded.at)
        self.launched = self.library.emulator_launches() - before
        self.library.emulator_take_fault(fault, len(fault))
        guarded.back(not fault.value)
        assert not fault.value, fault.value.decode()
        return status

    def in_every_order(self, tensors, run):
        before, first = [t.clone() for t in tensors], None
        for order in self.orders:
            for t, was in zip(tensors, before):
                t.copy_(was)
            status = self.once(order, run)
            bits = [t.clone().view(torch.uint8) for t in tensors if t.numel()]
            assert first is None or all(torch.equal(a, b) for a, b in zip(bits, first)), f"a race: other bits in order {order}"
            first = first or bits
        return status

    def filled(self, op, fields, at):
        """NAME_args."""
        name = f"{op}_args"
        types, args = dict(cbind.headers().struct(name)._fields_), cbind.headers().struct(name)()
        args.keep_alive = []
        for field, value in fields.items():
            kind = None
            if isinstance(value, tuple):  # of another type than it says
                value, kind = value[0], DTYPES[value[1]]
            value = getattr(value, "a", value)
            if isinstance(value, cbind.Pack):
                pack = type(value.struct)(value.rows, value.n_seq, at(value.offsets), at(value.seq_of_row))
                args.keep_alive.append(pack)
                value = ctypes.addressof(pack)
            elif isinstance(value, torch.dtype):
                value = CODES[value]
            elif isinstance(value, torch.Tensor):
                assert value.is_contiguous()
                kind, value = CODES.get(value.dtype) if kind is None else kind, at(value)
            if types[field] in cbind.typed_structs():
                value = types[field]() if kind is None else types[field](data=value, type=kind)
            setattr(args, field, value)
        return args

    def call(self, op, **fields):
        tensors = [getattr(value, "a", value) for value in fields.values()]
        tensors = {t.data_ptr(): t for t in tensors if isinstance(t, torch.Tensor)}  # one of those that share memory
        entry = getattr(self.library, f"{op}_cuda")
        entry.argtypes = [ctypes.c_void_p, ctypes.c_void_p]

        def run(at):
            args = self.filled(op, fields, at)
            return entry(self.at_context, ctypes.addressof(args))
        return self.in_every_order(list(tensors.values()), run)

    def run(self, op, **fields):
        status = self.call(op, **fields)
        assert status == 0, f"{op}_cuda: status {status}: {self.context.error.message.decode()}"
