"""Every op of kernels/op_list.h on the GPU, by the classes of tests/ops.py: against fp64 PyTorch, against the C reference,
alone and packed, one captured graph for every composition of a bucket, the same bits in every run. Ops that have kernels
for an architecture run on each instruction path. What only one op promises is in the other files here."""
import pytest
import torch

import laws
import ops
from gpubind import BARS, NAMES, capture, check, same_bits
from op_base import UNWRITTEN, Call, Draw, Reference

# Lengths of the slots, rows of tail: 1, 2, 7 and 32 sequences and less; odd lengths, empty slots first, between, last.
LENGTHS = {
    "1406": ([1406], 0), "1": ([1], 0), "469+938": ([469, 938], 5), "2x937": ([937, 937], 14),
    "7": ([0, 1, 2, 31, 0, 128, 129, 500, 77, 0], 61),
    "32": ([0] + [1 + (37 * i * i + 11 * i) % 89 for i in range(32)] + [0, 0], 12),
    "none": ([0, 0], 9),
}
SMALL = ([3, 0, 157, 1, 64, 0], 7)
OPS = ops.cases_test()


def cases(kept=lambda op: True):
    """(path, op, type) of every case; the path None where the op has one kernel for all devices."""
    found = [(path, op, dtype) for op in OPS if kept(op) for dtype in op.types
             for path in (("sm90", "sm80") if op.by_arch else (None,))]
    ids = ["-".join(filter(None, (laws.label(op), NAMES[dtype], path))) for path, op, dtype in found]
    return pytest.mark.parametrize("path,op,dtype", found, ids=ids, indirect=["path"])



@pytest.mark.parametrize("name", ops.names())
def test_has_a_kernel(gpu, name):
    assert ops.class_of(name).cases_test() and hasattr(ops.cbind.library(), f"{name}_cuda")


@cases(lambda op: not op.lengths_test)
@pytest.mark.parametrize("lengths,tail", LENGTHS.values(), ids=LENGTHS)
def test_against_fp64(gpu, path, seed, op, dtype, lengths, tail):
    laws.against_truth(gpu, seed, op, dtype, lengths, tail)


@cases(lambda op: op.lengths_test)
def test_against_fp64_at_its_own_lengths(gpu, path, seed, op, dtype):
    for lengths, tail in op.lengths_test:
        laws.against_truth(gpu, seed, op, dtype, lengths, tail)


IN_F32 = [op for op in OPS if torch.float32 in op.types]


@pytest.mark.parametrize("op", IN_F32, ids=map(laws.label, IN_F32))
def test_against_the_c_reference(gpu, seed, op):
    """The same F32 inputs through NAME_ref on the CPU."""
    lengths, tail = op.lengths_test[-1] if op.lengths_test else SMALL
    call = laws.problem(gpu, seed, op, torch.float32, lengths, tail)
    inputs = call.inputs
    host = type(inputs)(lengths, [{f: v.cpu() for f, v in rows.items()} for rows in inputs.sequences],
                        {f: v.cpu() for f, v in inputs.slots.items()},
                        {f: v.cpu() if isinstance(v, torch.Tensor) else v for f, v in inputs.shared.items()})
    there = Call(Reference(), op, torch.float32, host, tail)
    want = there.live(there.run())
    bar = max(BARS[torch.float32], op.bar("cuda", torch.float32))
    check(op.name, f"{op.label} against C", call.live(call.run()), want, bar)


@cases(lambda op: not op.single)
def test_alone_is_packed(gpu, path, seed, op, dtype):
    laws.alone_is_packed(gpu, seed, op, dtype, [65, 0, 1, 300, 12, 131], 29, poisoned=(0, 4))


@cases(lambda op: not op.single)
def test_one_graph_serves_every_composition(gpu, path, seed, op, dtype):
    """Captured with one composition and replayed with others: the bits of an eager launch of each."""
    compositions = [[700], [33, 0, 500, 1], [1] * 8, [0, 0, 99], [350, 349, 1]]
    draw = Draw(seed, op.label, NAMES[dtype], "graph", device="cuda")
    times = len(op.slot_lengths([1]))
    first = op.draw(draw, compositions[0], dtype)
    call = Call(gpu, op, dtype, first, slots=8 * times, rows=700 * times)
    y = call.output()
    graph = capture(lambda: gpu.run(op.name, **call.fields(y)))
    for lengths in compositions:
        call.pack.set(op.slot_lengths(lengths))
        inputs = op.draw(draw, lengths, dtype, longest=700)
        inputs.shared = first.shared
        call.fill(inputs)
        y.a.fill_(UNWRITTEN.get(y.a.dtype, float("nan")))
        graph.replay()
        torch.cuda.synchronize()
        replayed = call.live(y).clone()
        eager = call.live(call.run())
        assert same_bits(replayed, eager), f"composition {lengths} differs from an eager launch"
        want = op.expected(inputs)
        if want.numel():
            check(op.name, f"{op.label} {NAMES[dtype]} graph {lengths}", replayed, want, op.bar("cuda", dtype))


@cases()
def test_same_bits_every_run(gpu, path, seed, op, dtype):
    lengths, tail = op.lengths_test[-1] if op.lengths_test else ([469, 0, 938], 5)
    call = laws.problem(gpu, seed, op, dtype, lengths, tail, "again")
    first = call.live(call.run()).clone()
    for _ in range(10):
        assert same_bits(first, call.live(call.run()))
