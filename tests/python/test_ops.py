"""f5tts.ops: every op of kernels/op_list.h by its public function gives its reference's bits, on torch and on numpy, in the
memory that it is given; whatever is wrong with a tensor is a ValueError that names it, before anything runs. The CUDA half
is tests/gpu's: here no GPU is needed."""
import subprocess
import threading

import numpy as np
import pytest
import torch

import op_base
import ops as cases
from op_base import Call, Draw, Inputs, Reference, same_bits

LENGTHS, TAIL = [31, 0, 12, 1], 3
FIRST = {op.name: op for op in reversed(cases.cases_test())}  # one case of each op
NAMES = list(cases.names())


@pytest.fixture(scope="module")
def ops(f5tts):
    from f5tts import ops
    return ops


@pytest.fixture(scope="module")
def run(ops):
    from f5tts.ops import _run
    return _run


def fields_of(ops, run, name, seed):
    """What the public function takes, of the op's test case; the call, whose reference gives the truth's bits."""
    op = FIRST[name]
    lengths, tail = op.lengths_test[-1] if op.lengths_test else (LENGTHS, TAIL)
    call = Call(Reference(), op, torch.float32, op.draw(Draw(seed, op.label, "python"), lengths), tail)
    table = {f.name: f for f in run.OPS[name]}
    follow = {part for f in table.values() if f.shape and not f.out for part in f.shape} | {"rows"}
    fields = {}
    for field, value in call.fields(None).items():
        f = table[field]
        if value is None or f.out or f.kind == "dtype" or field == "sample_offsets" or f.kind == "int" and field in follow or isinstance(value, tuple):
            continue
        if f.kind == "pack":
            value = ops.Pack([end - begin for begin, end in value.spans], value.rows - value.live)
        elif f.shape is not None:
            value = value.contiguous()
        fields[field + "_" if field == "in" else field] = value
    for field, f in table.items():  # shapes as the contract has them
        if f.shape is not None and field in fields and len(f.shape) != fields[field].ndim and f.shape != ("n",):
            heads = call.fields(None).get("heads")
            fields[field] = fields[field].reshape(tuple({"rows": -1, "heads": heads}.get(p, int(p) if p.isdigit() else -1) for p in f.shape))
    return fields, call


def dtype_of(call):
    return torch.int8 if call.op.y_int8 else None


@pytest.mark.parametrize("name", NAMES)
def test_every_op_gives_its_references_bits(ops, run, seed, name):
    fields, call = fields_of(ops, run, name, seed)
    want = call.live(call.run())
    function = getattr(ops, name)
    got = function(**fields, dtype=dtype_of(call))
    first = got[0] if isinstance(got, tuple) else got
    assert same_bits(first.reshape(-1, call.op.width)[:len(want)], want)
    arrays = {k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in fields.items()}
    arrays = {k: aligned(run, v) if isinstance(v, np.ndarray) else v for k, v in arrays.items()}
    other = function(**arrays, dtype=dtype_of(call))
    other = other[0] if isinstance(other, tuple) else other
    assert isinstance(other, np.ndarray) and same_bits(torch.from_numpy(other).reshape(-1, call.op.width)[:len(want)], want)
    mine = torch.full_like(first, 77)
    into = function(**fields, y=mine)
    assert (into[0] if isinstance(into, tuple) else into) is mine and same_bits(mine.reshape(-1, call.op.width)[:len(want)], want)
    assert len(function.__doc__) > 200 and "ValueError" in function.__doc__


def aligned(run, array):
    from f5tts.ops._tensor import empty
    out = empty(array.shape, array.dtype.name, ("cpu", 0), array)
    out[...] = array
    return out


def faults(kind, tensor):
    """(what is wrong, the tensor that has it)"""
    wrong = torch.float64 if tensor.dtype != torch.float64 else torch.int32
    yield "dtype", tensor.to(wrong)
    yield "dtype on a CPU", tensor.to(torch.float16)
    yield "dimensions", tensor[None] if tensor.ndim != 1 else tensor[:, None].expand(-1, 2).contiguous()
    if tensor.ndim >= 2:
        yield "stride", torch.stack([tensor, tensor], -1)[..., 0]
        yield "last length", torch.cat([tensor, tensor], -1)
    else:
        yield "stride", torch.stack([tensor, tensor], -1)[:, 0]
    flat = torch.empty(tensor.numel() + 1, dtype=tensor.dtype)[1:]
    if tensor.numel():
        yield "alignment", flat.view(tensor.shape)
    yield "device", tensor.to("meta")
    yield "sparse", tensor.float().to_sparse()
    yield "no tensor", tensor.tolist() if tensor.ndim else [1]
    if tensor.is_floating_point():
        yield "gradient", tensor.clone().requires_grad_()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_wrong_with_a_tensor_is_told(ops, run, seed, name):
    fields, call = fields_of(ops, run, name, seed)
    table, function, tried = {f.name: f for f in run.OPS[name]}, getattr(ops, name), 0
    given = {**fields, "y": getattr(ops, name)(**fields, dtype=dtype_of(call))}
    given["y"] = given["y"][0] if isinstance(given["y"], tuple) else given["y"]
    for field, tensor in given.items():
        if not isinstance(tensor, torch.Tensor):
            continue
        for what, bad in faults(table[field].kind, tensor):
            if table[field].shape == ("n",) and what in ("dimensions", "last length") or table[field].shape == ("n_samples",) and \
                    what == "last length":
                continue  # any shape is numbers one after the other
            if what == "dimensions" and tensor.ndim == 1 and table[field].shape == ("n_seq",):
                bad = tensor[:, None]
            kind = TypeError if what == "no tensor" else ValueError
            with pytest.raises(kind, match=rf"{name}: ") as told:
                function(**{**given, field: bad}, dtype=dtype_of(call))
            if what not in ("last length", "dtype on a CPU"):
                assert field in str(told.value), (field, what, str(told.value))
            tried += 1
        if field != "y" and not table[field].optional:
            with pytest.raises((ValueError, TypeError), match=field):
                function(**{k: v for k, v in given.items() if k != field}, dtype=dtype_of(call))
    assert tried >= 8


def test_more_that_is_wrong(ops):
    x, w, rope = torch.randn(5, 16), torch.randn(8, 16), torch.from_numpy(ops.rope_table(4))
    qkv = torch.randn(5, 3, 2, 64)

    class OnAGpu:
        __cuda_array_interface__ = dict(shape=(5, 16), typestr="<f4", data=(4096, False), version=3)

    read_only = np.zeros((5, 16), np.float32)
    read_only.flags.writeable = False
    ids = torch.zeros(5, dtype=torch.int32)
    refused = [
        ("w has the shape .8, 16.*in = 15", lambda: ops.linear(x[:, :15].contiguous(), w)),
        ("epilogue", lambda: ops.linear(x, w, epilogue="tanh")),
        ("addend", lambda: ops.linear(x, w, epilogue="residual")),
        ("needs rope", lambda: ops.linear(x, w, epilogue="rope")),
        ("y has the shape", lambda: ops.linear(x, w, y=torch.empty(5, 9))),
        ("y holds float16", lambda: ops.linear(x, w, y=torch.empty(5, 8).half())),
        ("dtype", lambda: ops.linear(x, w, dtype=torch.float64)),
        ("5 rows, its table 4", lambda: ops.attention(qkv, rope)),
        ("refused as F5_E_SHAPE", lambda: ops.attention(qkv[:4].contiguous(), rope, rope_heads=3)),
        ("ids run from -1", lambda: ops.embed(ids - 1, torch.zeros(3, 16))),
        ("ids run from 0 to 3", lambda: ops.embed(ids + torch.arange(5, dtype=torch.int32).clamp(max=3), torch.zeros(3, 16))),
        ("x has the shape", lambda: ops.grn(x, torch.ones(16), torch.ones(16), pack=ops.Pack([4]))),
        ("at least one", lambda: ops.Pack([])),
        ("no negative", lambda: ops.Pack([3, -1])),
        ("device", lambda: ops.Pack([3], device="tpu")),
        ("no CUDA|cuda", lambda: ops.norm(OnAGpu(), torch.ones(16), rms=True)),
        ("shift", lambda: ops.norm(x, torch.ones(16))),
        ("read-only", lambda: ops.add(np.zeros((5, 16), np.float32), np.zeros((5, 16), np.float32), y=read_only)),
        ("byte order", lambda: ops.add(np.zeros(8, ">f4"), np.zeros(8, np.float32))),
        ("other tensors have", lambda: ops.add(torch.zeros(8), torch.zeros(7))),
        ("half of the pack", lambda: ops.guide(x, x, branches=2, pack=ops.Pack([3, 2]))),
        ("y_pack has .4. rows", lambda: ops.time_row(x, row=torch.zeros(16), y_pack=ops.Pack([4]))),
        ("as many sequences", lambda: ops.take_rows(x, mode="last", y_pack=ops.Pack([2, 2]))),
        ("pack is a list", lambda: ops.grn(x, torch.ones(16), torch.ones(16), pack=[5])),
        ("F5_E_SHAPE", lambda: ops.mel(torch.zeros(100), torch.from_numpy(ops.mel_bank()))),
        ("positions", lambda: ops.position_table(4, 3)),
    ]
    for message, call in refused:
        with pytest.raises(ValueError, match=message):
            call()
    assert ops.linear(torch.zeros(0, 16), w).shape == (0, 8)
    assert ops.linear(x.bfloat16().float(), w).dtype == torch.float32


def test_threads(ops):
    """Ops of several threads follow each other; each has its own result."""
    x, w = torch.randn(64, 256), torch.randn(128, 256)
    want, got = ops.linear(x, w), [None] * 4

    def work(i):
        for _ in range(20):
            got[i] = ops.linear(x, w)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert all(same_bits(g, want) for g in got)


def test_the_check_runs(venv, ops, monkeypatch, capsys):
    """Of the installed package, by its command; an op that is wrong is told, and the exit code says so."""
    def said(*options):
        done = subprocess.run([venv, "-m", "f5tts.ops.check", "--device", "cpu", "--seed", "1", *options],
                              capture_output=True, text=True, timeout=600)
        assert done.returncode == 0 and " 0 wrong" in done.stdout, done.stdout + done.stderr
        return done.stdout

    from f5tts.ops import _table, check
    assert f"\n{len(_table.OPS)} ops, " in said("--no-times")
    timed = said("--op", "add", "--op", "grn")
    assert "\n2 ops, " in timed and "us  floor us" in timed and "grn 1024 " in timed
    right = check.run
    monkeypatch.setattr(check, "run", lambda op, made, *r, **k: (right(op, made, *r, **k), made["y"].mul_(1.001)))
    assert check.main(["--op", "add", "--device", "cpu", "--no-times"]) == 1
    assert "WRONG" in capsys.readouterr().out
