"""Every op of kernels/op_list.h as its reference runs it, by the classes of tests/ops.py: against PyTorch in double, alone
and packed, on any number of threads. What only one op promises is in a file of its own beside this one."""
import ctypes

import pytest
import torch

import cbind
import laws
import ops
import packed
from f5file import random_checkpoint
from op_base import CODES, DTYPES, NAMES, Model, Reference, unwritten

CASES = ops.cases_test()
DEVICE = Reference()
PACKED = [op for op in CASES if not op.single]


@pytest.mark.parametrize("name", ops.names())
def test_has_a_class(name):
    """An op that is new in op_list.h is drawn, tested and timed from here on, or this says what is missing."""
    op = ops.class_of(name)
    assert op.cases_test(), f"{op.__name__}.cases_test gives no case"
    config = {**random_checkpoint.OPTIONS, **random_checkpoint.ARCHS["F5TTS_v1_Base"]}
    assert op.cases_bench(Model(config, 1406, 468)), f"{op.__name__}.cases_bench gives no row for bench/kernels.py"


def test_no_class_without_an_op():
    assert set(ops.classes()) <= set(ops.names())


@pytest.mark.parametrize("op,lengths,tail", [(op, *case) for op in CASES for case in op.lengths_test or packed.LENGTHS],
                         ids=[f"{laws.label(op)}-{packed.name(*case).replace(' ', '-')}" for op in CASES
                              for case in op.lengths_test or packed.LENGTHS])
def test_matches_torch(seed, op, lengths, tail):
    laws.against_truth(DEVICE, seed, op, torch.float32, lengths, tail)


@pytest.mark.parametrize("op", PACKED, ids=map(laws.label, PACKED))
def test_alone_is_packed(seed, op):
    lengths, tail = op.lengths_alone
    laws.alone_is_packed(DEVICE, seed, op, torch.float32, lengths, tail, poisoned=(1,))


@pytest.mark.parametrize("op", CASES, ids=map(laws.label, CASES))
def test_any_number_of_threads(seed, op):
    lengths, tail = op.lengths_test[-1] if op.lengths_test else op.lengths_alone
    call = laws.problem(DEVICE, seed, op, torch.float32, lengths, tail)
    packed.threads_do_not_matter(lambda: call.live(call.run()).clone().numpy())


@pytest.mark.parametrize("op", PACKED, ids=map(laws.label, PACKED))
def test_nothing_to_do(seed, op):
    """Empty slots alone: no row is written, and nothing beside y."""
    call = laws.problem(DEVICE, seed, op, torch.float32, [0, 0], 0)
    y = call.run()
    assert bool(unwritten(y.check()).all())


# ---- what an op says of a call, and what it refuses

TYPED = [(op, dtype) for op in CASES for dtype in op.types]
TYPED_IDS = [f"{laws.label(op)}-{NAMES[dtype]}" for op, dtype in TYPED]


def small_problem(seed, op, dtype=torch.float32):
    """Sequences of one length, as a plan takes them, and no tail."""
    return laws.problem(DEVICE, seed, op, dtype, [1024] if op.single else [7, 7, 7])


def described(call):
    """NAME_args of a call that is only asked about: pointers to whatever lies there, in the call's type."""
    op, y = call.op, DEVICE.output(1)
    struct, code = dict(cbind.headers().struct(f"{op.name}_args")._fields_), DTYPES[call.dtype]
    fields = {}
    for field, value in call.fields(y).items():
        whole = getattr(value, "dtype", None) == torch.int8
        if isinstance(value, torch.dtype):
            value = CODES[value]
        elif field == "y":
            value = y.a.data_ptr()
        elif hasattr(value, "data_ptr"):
            value = value.data_ptr()
        elif hasattr(value, "a"):
            value = value.a.data_ptr()  # scratch
        if struct[field] in cbind.typed_structs():
            in_type = not op.y_f32 if field == "y" else field in op.typed
            value = value, cbind.F5_I8 if whole else code if in_type else cbind.F5_F32
        fields[field] = value
    return cbind.args(op.name, fields), y


def ask(what, call, args, result, *more):
    asked = cbind.function(f"{call.op.name}_{what}", result, ctypes.c_void_p, *map(type, more))
    return asked(ctypes.addressof(args), *more)


@pytest.mark.parametrize("op,dtype", TYPED, ids=TYPED_IDS)
def test_output_is_y(seed, op, dtype):
    """NAME_output: where y is, how many rows and columns it has, and in which type. Traces read it there."""
    call = small_problem(seed, op, dtype)
    args, y = described(call)
    told = ask("output", call, args, cbind.headers().struct("op_output"))
    assert told.data == y.a.data_ptr()
    assert told.type == CODES[op.y_dtype(dtype)]
    packs = {ctypes.addressof(p.struct): p for p in (call.pack, call.c_pack, call.y_pack) if p}
    assert told.pack is None or told.pack in packs
    rows = packs[told.pack].rows if told.pack else told.rows
    cols = ctypes.c_int64.from_address(told.cols_at).value if told.cols_at else told.cols
    want = call.starts[-1], op.width
    assert (rows, cols) == ((1, want[0] * want[1]) if op.flat_output else want)


@pytest.mark.parametrize("op,dtype", TYPED, ids=TYPED_IDS)
def test_flop_and_bytes(seed, op, dtype):
    """NAME_flop and NAME_bytes are what the class says, to the last one."""
    call = small_problem(seed, op, dtype)
    args, _ = described(call)
    lengths = op.slot_lengths(call.inputs.lengths)
    told = cbind.headers().struct("op_lengths")(sequences=len(lengths))
    assert ask("flop", call, args, ctypes.c_double, told) == op.flop(call.inputs.lengths)
    assert ask("bytes", call, args, ctypes.c_double) == op.planned_bytes(call)


@pytest.mark.parametrize("op", CASES, ids=map(laws.label, CASES))
def test_refuses(seed, op):
    """NULL for what may not be, packs that contradict themselves, sizes of nothing, types that a reference has not: each
    by its status, and nothing is written. What the class calls optional may be NULL."""
    call = small_problem(seed, op)
    good = DEVICE.fields(op.name, **call.fields(call.output()))
    struct, pointees = dict(cbind.headers().struct(f"{op.name}_args")._fields_), cbind.headers().pointees[f"{op.name}_args"]
    typed = [f for f in good if struct[f] in cbind.typed_structs()]
    pointers = [f for f in [*pointees, *typed] if good.get(f) is not None and f not in op.optional and f != "pack"]
    assert "y" in pointers
    cases = packed.nothing(*pointers)
    if op.count == "pack":
        cases += [c for c in packed.bad_packs(call.pack.rows) if c[1]["pack"] or "pack" not in op.optional]
    else:
        cases.append((f"F5_E_{op.bad_count}", {op.count: -1}))
    cases += [("F5_E_SHAPE", {size: value}) for size in op.sizes if size in op.scalars for value in (0, -1)]
    narrow = [code for dtype, code in DTYPES.items() if dtype != torch.float32]
    cases += [("F5_E_UNSUPPORTED", {"type": code}) for code in narrow if "type" in struct]
    cases += [("F5_E_UNSUPPORTED", {f: (good[f], code)}) for f in typed for code in narrow]
    for field in op.optional:
        if field in good:
            cbind.run(op.name, **{**good, field: None})
    packed.rejects(op.name, good, cases)
