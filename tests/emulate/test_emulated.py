"""Every CUDA op of kernels/op_list.h on the emulator, in every order of its threads: against PyTorch in double, against the C
reference with all that a call writes, alone and packed. No GPU has been near: what only one shows is in tests/gpu."""
import pytest
import torch

import laws
import ops
from op_base import BARS, NAMES, Call, Draw, Reference, check
from op_products import Attention, Conv1d, ConvPos, Linear, LinearInt8

LENGTHS = [3, 0, 70, 1, 65, 0], 7
SHORT = [2, 0, 33, 1], 3


def of_types(op, *types):
    op.types = types
    return op


F16, BF16 = torch.float16, torch.bfloat16
# Products are the emulator's slowest. These take every way that any GPU has, at its edges.
PRODUCTS = {
    Linear: [Linear(24, 33, "SILU", bias=False), Linear(72, 136, "GELU_ERF"), Linear(36, 66, "RESIDUAL", gate=True, y_f32=True),
             Linear(100, 140, "RESIDUAL", bias=False), Linear(16, 40, "RELU"), Linear(8, 20, "GELU_TANH"),
             of_types(Linear(24, 20, y_f32=True, two=True), torch.float32), Linear(256, 100, y_f32=True), Linear(256, 36, bias=False, y_f32=True), Linear(72, 192, "ROPE", rope_heads=1),
             Linear(8, 384, "ROPE", rope_heads=1), Linear(128, 144, y_f32=True, int8_weights=True),
             Linear(64, 33, bias=False, y_f32=True, int8_weights=True), Linear(320, 40, y_f32=True, int8_weights=True),
             of_types(Linear(1040, 130, "RESIDUAL", gate=True), torch.float32)],  # in parts: more than the scratch holds
    LinearInt8: [LinearInt8(80, 33, bias=False, y_f32=True), LinearInt8(128, 72, "RESIDUAL", gate=True),
                 LinearInt8(16, 64, "SILU"), LinearInt8(48, 192, "ROPE", rope_heads=1),
                 LinearInt8(64, 384, "ROPE", rope_heads=1), LinearInt8(144, 40, "GELU_ERF")],
    Attention: [Attention(1, 1), Attention(2, 1, True), Attention(2, 0)],
    Conv1d: [Conv1d(13, 130, 15), Conv1d(1, 1, 5), Conv1d(33, 50, 7, bias=False), *Conv1d.cases_test()[9:]],
    ConvPos: [of_types(ConvPos(48), torch.float32), of_types(ConvPos(16, True, True), BF16), of_types(ConvPos(256), F16),
              of_types(ConvPos(256, True, True), BF16)],
}
WIDE = [ConvPos(768, True, True), ConvPos(1024)]  # for one order alone


def cases_of(op_class):
    return PRODUCTS.get(op_class) or op_class.cases_test()


OPS = [op for op_class in ops.classes().values() for op in cases_of(op_class)]
CASES = [(op, dtype) for op in OPS for dtype in op.types]
IDS = [f"{laws.label(op)}-{NAMES[dtype]}" for op, dtype in CASES]


def lengths_of(op):
    if op.lengths_test:
        return op.lengths_test[:-1]
    return [([9], 2) if isinstance(op, ConvPos) else SHORT if type(op) in PRODUCTS or op.name == "grn" else LENGTHS]


@pytest.mark.parametrize("op,dtype", CASES, ids=IDS)
def test_against_fp64(emulated, seed, op, dtype):
    for lengths, tail in lengths_of(op):
        laws.against_truth(emulated, seed, op, dtype, lengths, tail)
        assert emulated.launched > 0, "no kernel has run"


SMALL_CARD = [(op, dtype) for op, dtype in CASES if isinstance(op, (Linear, Attention))]


@pytest.mark.parametrize("op,dtype", SMALL_CARD, ids=[f"{laws.label(op)}-{NAMES[dtype]}" for op, dtype in SMALL_CARD])
def test_on_a_small_card(emulated_small_card, seed, op, dtype):
    laws.against_truth(emulated_small_card, seed, op, dtype, [0, 17, 2], 1)


@pytest.mark.parametrize("op", WIDE, ids=map(laws.label, WIDE))
def test_wide_convolutions(emulated_once, seed, op):
    laws.against_truth(emulated_once, seed, op, F16, [9], 2)


IN_F32 = [op for op in OPS if torch.float32 in op.types]
WRITTEN = ("y_scale", "scale", "raw", "now")  # what calls write beside y


@pytest.mark.parametrize("op", IN_F32, ids=map(laws.label, IN_F32))
def test_against_the_c_reference(emulated_once, seed, op):
    """The same F32 inputs through both: y, and all else that a call writes."""
    lengths, tail = lengths_of(op)[0]
    there = laws.problem(Reference(), seed, op, torch.float32, lengths, tail)
    here = Call(emulated_once, op, torch.float32, there.inputs, tail)
    bar = max(BARS[torch.float32], op.bar("cuda", torch.float32))
    y, want = here.live(here.run()), there.live(there.run())
    check(op.name, f"{op.label} emulated against C", op.judged(y, want), want, bar)
    for field in set(WRITTEN) & set(here.scratch):
        live = here.pack.live // (2 if op.scalars.get("branches") == 2 else 1)
        made, want = here.scratch[field].a[:live], there.scratch[field].a[:live]
        assert torch.equal(made.isnan(), want.isnan()), f"{field}: other elements are not written"
        made, want = made.nan_to_num(), want.nan_to_num()
        check(op.name, f"{op.label} {field} emulated against C", made, want, bar)


FIRST = [(cases_of(c)[0], dtype) for c in ops.classes().values() if not c.single for dtype in cases_of(c)[0].types]


@pytest.mark.parametrize("op,dtype", FIRST, ids=[f"{laws.label(op)}-{NAMES[dtype]}" for op, dtype in FIRST])
def test_alone_is_packed(emulated_once, seed, op, dtype):
    laws.alone_is_packed(emulated_once, seed, op, dtype, [3, 0, 33], 5, poisoned=(0,))


ONE_PACK = [(op, dtype) for op, dtype in FIRST if op.count == "pack" and not op.c_fields and not op.y_pack]


@pytest.mark.parametrize("op,dtype", ONE_PACK, ids=[f"{laws.label(op)}-{NAMES[dtype]}" for op, dtype in ONE_PACK])
def test_a_pack_without_sequences(emulated_once, seed, op, dtype):
    """Rows that are nobody's: nothing is to be done, and that is no error."""
    call = laws.problem(emulated_once, seed, op, dtype, [9], 91)
    fields = call.fields(call.output())
    assert emulated_once.call(op.name, **{**fields, "pack": emulated_once.pack([], 100)}) == 0


def test_snake_where_no_turns_are_told_apart(emulated_once, seed):
    """sin² stays within 0 and 1 whatever F32 has lost of its argument."""
    op = ops.Snake(6, 2)
    inputs = op.draw(Draw(seed, op.label, device="cpu"), [40], torch.float32)
    inputs.shared["alpha"].copy_(torch.tensor([12.0, 15, 20, 30, 60, 80]))
    inputs.shared["beta"].zero_()
    inputs.sequences[0]["x"].mul_(50)
    y = Call(emulated_once, op, torch.float32, inputs, 1)
    y = y.live(y.run())
    assert torch.isfinite(y).all() and y.abs().max() < 10 * inputs.sequences[0]["x"].abs().max() + 10


@pytest.mark.parametrize("scale", [1e-28, 1e28])
def test_convolution_of_small_and_large_numbers(emulated_once, seed, scale):
    """F32 as pairs of F16: between 2^-95 and 2^108 the scale changes nothing."""
    op = ops.Conv1d(64, 96, 3)
    inputs = op.draw(Draw(seed, op.label, device="cpu"), [70], torch.float32)
    inputs.sequences[0]["x"].mul_(scale)
    for field in ("bias", "residual", "sum"):
        for there in (inputs.shared, inputs.sequences[0]):
            if torch.is_tensor(there.get(field)):
                there[field].mul_(scale)
    call = Call(emulated_once, op, torch.float32, inputs, 1)
    check(op.name, f"times {scale:g}", call.live(call.run()).double() / scale, op.expected(inputs).double() / scale, op.bar("cuda", torch.float32))


def test_every_op_has_been_run():
    assert {op.name for op in OPS} == set(ops.names())
