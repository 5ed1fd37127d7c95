"""What f5tts.ops does around a CUDA kernel, where no GPU is: whose scratch memory an op has, on which stream it and its
temporaries are, what is told to torch's allocator. torch.cuda and the kernels are stand-ins; tests/gpu has the real ones."""
import contextlib
import ctypes
import threading
from types import SimpleNamespace

import pytest
import torch

MULTIPROCESSORS, FIXED = 5, 32 << 20


class Stream:
    def __init__(self, cuda_stream, device=0):
        self.cuda_stream, self.device = cuda_stream, device


class Gpu:
    """torch, of which a part believes in a GPU: tensors are the CPU's, `calls` what the kernels were given."""

    def __init__(self, table):
        self.table, self.capturing, self.current, self.calls, self.recorded = table, False, Stream(0), [], []
        self.inside, self.hold = threading.Event(), None
        self.filled, self.copied = [], []  # numbers that the current stream has still to make, and those that are there
        self.cuda = SimpleNamespace(
            is_available=lambda: True, is_current_stream_capturing=lambda: self.capturing, device=lambda index: contextlib.nullcontext(),
            current_stream=lambda *_: self.current, default_stream=lambda *_: Stream(0), ExternalStream=Stream, stream=self.on)
        self.uint8, self.int32, self.int64 = torch.uint8, torch.int32, torch.int64
        self.device = lambda kind, index: (kind, index)

    @contextlib.contextmanager
    def on(self, stream):
        before, self.current = self.current, stream
        yield
        self.current = before

    def empty(self, size, dtype, device):
        return torch.empty(size, dtype=dtype)

    def zeros(self, size, dtype, device):
        self.filled.append(size)
        return torch.zeros(size, dtype=dtype)

    def arange(self, n, dtype, device):
        self.filled.append(n)
        return torch.arange(n, dtype=dtype)

    def from_numpy(self, values):
        return SimpleNamespace(to=lambda device: (self.copied.append(values.shape), torch.tensor(values))[1])

    def function(self, name, *_):
        return getattr(self, name, self.kernel)

    def cuda_context_open(self, address, ordinal, workspace, error):
        c = self.table.cuda_context.from_address(address)
        c.device_arch.sm_count, c.fixed_bytes = MULTIPROCESSORS, FIXED
        return 0

    def cuda_workspace_bytes(self, rows, dim, out):
        return FIXED + 4 * rows * max(dim, out)

    def kernel(self, address, arguments):
        c = self.table.cuda_context.from_address(address)
        assert c.row_scratch == c.fixed_scratch + FIXED and c.fixed_scratch % 16 == 0
        ctypes.memset(c.fixed_scratch, 1, FIXED + c.row_bytes)
        assert not any((ctypes.c_int32 * MULTIPROCESSORS).from_address(c.flags)), "kernels find zeros there"
        self.calls.append((c.stream or 0, self.current.cuda_stream, c.row_bytes, c.fixed_scratch, c.flags))
        return 0


@pytest.fixture
def gpu(f5tts, monkeypatch):
    from f5tts.ops import _context, _run, _table, _tensor
    made = Gpu(_table)
    monkeypatch.setattr(_context, "torch_of_gpus", lambda: made)
    monkeypatch.setattr(_context, "function", made.function)
    monkeypatch.setattr(_context, "_cuda", {})
    seen = _tensor.view

    def view(value, what, written=False):
        found = seen(value, what, written)
        found.device = ("cuda", 0)
        return found

    monkeypatch.setattr(_tensor, "importlib", SimpleNamespace(import_module=lambda name: made))
    made_empty = _tensor.empty
    monkeypatch.setattr(_run, "view", view)
    monkeypatch.setattr(_run, "empty", lambda shape, dtype, device, like: made_empty(shape, dtype, ("cpu", 0), like))
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, stream: made.recorded.append((self.data_ptr(), stream.cuda_stream)),
                        raising=False)
    return made


def test_each_call_has_scratch_enough(f5tts, gpu):
    """Also where threads with packs of other sizes call on one stream: nothing that one uses goes away meanwhile."""
    from f5tts import ops
    failed = []

    def work(rows):
        x, y = torch.zeros(rows, 64), torch.empty(rows, 64)
        try:
            [ops.add(x, x, y=y) for _ in range(20)]
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(64 << i,)) for i in range(6)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not failed and len(gpu.calls) == 120
    x = torch.zeros(300000, 64)
    ops.add(x, x, y=torch.empty(300000, 64))
    assert gpu.calls[-1][2] >= 4 * 300000 * 64 // (300000 * 64) and len({c[4] for c in gpu.calls}) == 1, "one stream has one set of flags"


def test_a_graph_shares_nothing(f5tts, gpu):
    """What an op is captured with is no other's: it lives in the graph's own pool of torch's."""
    from f5tts import ops
    x, y = torch.zeros(4, 64), torch.empty(4, 64)
    gpu.capturing = True
    with pytest.raises(f5tts.F5Error, match="before a graph is captured"):
        ops.add(x, x, y=y)
    gpu.capturing = False
    ops.add(x, x, y=y)
    gpu.capturing = True
    ops.add(x, x, y=y)
    assert gpu.calls[0][4] != gpu.calls[1][4]


def test_another_stream(f5tts, gpu):
    from f5tts import ops
    x, y = torch.zeros(4, 64), torch.empty(4, 64)
    ops.add(x, x, y=y, stream=4096)
    assert gpu.calls[-1][:2] == (4096, 4096) and gpu.current.cuda_stream == 0
    assert set(gpu.recorded) == {(x.data_ptr(), 4096), (y.data_ptr(), 4096)}
    gpu.recorded.clear()
    made = ops.add(x, x, stream=4096)
    assert set(gpu.recorded) == {(x.data_ptr(), 4096), (made.data_ptr(), 0)}, "what was made there is used here"
    gpu.recorded.clear()
    ops.add(x, x, y=y, stream=0)
    ops.add(x, x, y=y)
    assert gpu.calls[-1][:2] == (0, 0) and not gpu.recorded
    for wrong in (-1, 1, 2, 2 ** 64, 1.5, "stream", True):
        with pytest.raises(ValueError, match="add: stream|stream is"):
            ops.add(x, x, y=y, stream=wrong)


def test_a_pack_may_go_to_any_stream(f5tts, gpu):
    """Its numbers are there when it is, not when the stream has come so far on which it was made; and they stay until the op
    has run that has them, wherever that is."""
    from f5tts import ops
    x, y, ones = torch.zeros(4, 64), torch.empty(4, 64), torch.ones(64)
    pack = ops.Pack([4], device="cuda:0")
    mine = {pack.offsets.data_ptr(), pack.seq_of_row.data_ptr()}
    assert len(gpu.copied) == 2 and not gpu.filled
    ops.grn(x, ones, ones, pack=pack, y=y)
    gpu.recorded.clear()
    gpu.current = Stream(4096)
    ops.grn(x, ones, ones, pack=pack, y=y)
    assert gpu.calls[-1][:2] == (4096, 4096) and set(gpu.recorded) == {(at, 4096) for at in mine}
    gpu.recorded.clear()
    ops.grn(x, ones, ones, pack=pack, y=y, stream=8192)
    assert {(at, 8192) for at in mine} <= set(gpu.recorded) and not {at for at in mine} & {at for at, on in gpu.recorded if on != 8192}
    gpu.recorded.clear(), gpu.copied.clear(), gpu.filled.clear()
    ops.grn(x, ones, ones, y=y)  # a pack that the call makes for itself: nothing is waited for
    assert len(gpu.filled) == 2 and not gpu.copied and not gpu.recorded
    gpu.capturing = True
    ops.grn(x, ones, ones, pack=pack, y=y)
    ops.Pack([4], device="cuda:0")
    assert not gpu.copied and not gpu.recorded
    with pytest.raises(f5tts.F5Error, match="before one is captured"):
        ops.Pack([3, 1], device="cuda:0")


def test_f32_beside_another_type(f5tts, gpu):
    """x_f32 and y_f32: one tensor is F32 where the rest has the call's type; nothing else may differ."""
    from f5tts import ops
    x, alpha = torch.zeros(6, 8), torch.zeros(8)
    y = ops.snake(x, alpha, alpha, x_f32=True, dtype=torch.float16)
    assert y.dtype == torch.float16 and len(gpu.calls) == 1
    for message, call in (("x holds float32, y holds float16", lambda: ops.snake(x, alpha, alpha, dtype=torch.float16)),
                          ("x_f32 says that it holds float32", lambda: ops.snake(x.half(), alpha, alpha, x_f32=True))):
        with pytest.raises(ValueError, match=message):
            call()
    assert len(gpu.calls) == 1
