"""laws.py — what every op obeys, on whatever device it runs (op_base.py): tests/ops and tests/gpu run these over ops.py."""
import torch

from op_base import NAMES, Call, Draw, check, same_bits


def label(op):
    return op.label.replace(" ", "-").replace(",", "")


def problem(device, seed, op, dtype=torch.float32, lengths=(), tail=0, salt=""):
    inputs = op.draw(Draw(seed, op.label, NAMES[dtype], list(lengths), salt, device=device.kind), lengths, dtype)
    return Call(device, op, dtype, inputs, tail)


def against_truth(device, seed, op, dtype, lengths, tail):
    """In a pack with poisoned tails, into a poisoned output between guard zones; nothing at all where nothing is live."""
    numbers = op.outputs(sum(lengths)) * op.width
    if 0 < numbers < 64:  # the error of a few sums that may cancel says nothing: the same sequences several times
        lengths = list(lengths) * (64 // numbers + 1)
    call = problem(device, seed, op, dtype, lengths, tail)
    y = call.live(call.run())
    want = op.expected(call.inputs)
    assert y.shape == want.shape
    if not want.numel():
        return
    if op.rounded_once and device.suffix == "ref":
        want = want.float()
    check(op.name, f"{op.label} {NAMES[dtype]} {list(lengths)} tail {tail}", op.judged(y, want), want, op.bar(device.suffix, dtype))


def alone_is_packed(device, seed, op, dtype, lengths, tail, poisoned=()):
    """Every sequence alone, in a bucket of its own, gives the bits it gives among others, also where the sequences
    `poisoned` are full of NaN."""
    call = problem(device, seed, op, dtype, lengths, tail, "alone")
    together, inputs = call.run(), call.inputs
    for i, n in enumerate(lengths):
        alone = Call(device, op, dtype, inputs.alone(i), tail=3 * i)
        assert same_bits(alone.of(alone.run(), 0), call.of(together, i)), f"sequence {i} of {n} rows depends on its pack"
    beside = Call(device, op, dtype, inputs, tail)
    for i in poisoned:
        for field, buffer in beside.rows.items():
            for begin, end in beside.pack_of(field).spans[i::len(lengths)]:
                if buffer.dtype.is_floating_point:
                    buffer[begin:end].fill_(float("nan"))
    y = beside.run()
    for i in range(len(lengths)):
        if i not in poisoned:
            assert same_bits(beside.of(y, i), call.of(together, i)), f"sequence {i} read another sequence"
