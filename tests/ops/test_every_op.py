"""Every op of kernels/op_list.h as its reference runs it, by the classes of tests/ops.py: against PyTorch in double, alone
and packed, on any number of threads. What only one op promises is in a file of its own beside this one."""
import pytest
import torch

import laws
import ops
import packed
from f5file import random_checkpoint
from op_base import Model, Reference

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
    assert bool(torch.isnan(y.check()).all())
