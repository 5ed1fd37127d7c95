"""The kernels of sm_90a on the emulator (hopper.h): TMA, mbarriers, wgmma. Against PyTorch in double in every order of threads,
alone and packed, the same bits at every width of a tile."""
import pytest
import torch

import laws
from op_base import NAMES
from op_products import Attention, Conv1d, ConvPos, Linear, LinearInt8

F16, BF16 = torch.float16, torch.bfloat16
CASES = [  # op, type of operands, lengths: more tiles than blocks, and more steps than stages
    (Linear(64, 64), F16, [3, 0, 70]), (Linear(448, 320, bias=False), BF16, [3, 130]), (Linear(128, 192, "GELU_ERF"), F16, [9]),
    (Linear(128, 192, "RELU"), BF16, [9]), (Linear(128, 384, "ROPE", rope_heads=2), F16, [3, 0, 70, 1]),
    (Linear(64, 64, "GELU_TANH"), F16, [9]), (Linear(256, 448, "GELU_TANH"), BF16, [200, 3]),
    (Linear(128, 64, "RESIDUAL", gate=True, y_f32=True), F16, [3, 0, 70]), (Linear(448, 576, "RESIDUAL", y_f32=True), BF16, [130, 1]),
    (Linear(64, 64, y_f32=True, two=True), F16, [3, 0, 70]), (Linear(256, 576, bias=False, y_f32=True, two=True), BF16, [130, 1]),
    (LinearInt8(128, 64), F16, [3, 0, 70]), (LinearInt8(128, 384, "ROPE", rope_heads=1), BF16, [3, 0, 70]),
    (LinearInt8(896, 320, "RESIDUAL", gate=True, y_f32=True), F16, [130, 1]), (LinearInt8(512, 448, "GELU_TANH"), F16, [200, 3]),
    (ConvPos(256), F16, [9]), (ConvPos(256, True, True), BF16, [30, 3]), (Conv1d(64, 64, 7), F16, [70]), (Conv1d(128, 64, 3), BF16, [130])]
IDS = [f"{laws.label(op)}-{NAMES[dtype]}" for op, dtype, _ in CASES]


@pytest.mark.parametrize("op,dtype,lengths", CASES, ids=IDS)
def test_against_fp64(hopper, seed, op, dtype, lengths):
    laws.against_truth(hopper, seed, op, dtype, lengths, 7)
    assert hopper.launched == 1, "a kernel of sm_90a, and no other"


@pytest.mark.parametrize("op,dtype,lengths", CASES, ids=IDS)
def test_alone_is_packed(hopper, seed, monkeypatch, op, dtype, lengths):
    monkeypatch.setattr(hopper, "orders", (0,))
    laws.alone_is_packed(hopper, seed, op, dtype, [3, 0, 33], 5, poisoned=(0,))


@pytest.mark.parametrize("op", [Attention(1, 1), Attention(2, 1, True), Attention(2, 0)], ids=laws.label)
@pytest.mark.parametrize("dtype", [F16, BF16], ids=NAMES.get)
def test_attention(hopper, seed, monkeypatch, op, dtype):
    """In one order: blocks hand tiles on to the next, and here they run one after the other."""
    monkeypatch.setattr(hopper, "orders", (0,))
    laws.against_truth(hopper, seed, op, dtype, [3, 0, 70, 1, 300], 7)
    laws.alone_is_packed(hopper, seed, op, dtype, [3, 0, 133], 5, poisoned=(0,))


WIDTHS = [(1024, sms) for sms in (4, 5, 6, 8, 11, 16)] + [(1152, 5), (1152, 6)]  # 256, 208, 176, 128, 96, 64; 256, 192 of RESIDUAL


@pytest.mark.parametrize("kind", [dict(epilogue="RESIDUAL"), dict(two=True), dict(epilogue="NONE"), dict(epilogue="RESIDUAL", int8=True)],
                         ids=["residual", "two", "none", "int8"])
def test_widths_change_no_bit(hopper, seed, monkeypatch, kind):
    """A launch on many multiprocessors has narrow tiles, and on one wide ones."""
    kind = dict(kind)
    make, width_in = (LinearInt8, 128) if kind.pop("int8", False) else (Linear, 64)
    kind["y_f32"] = kind.get("epilogue") != "NONE"
    monkeypatch.setattr(hopper, "orders", (0,))
    for out in (1024, 1152):
        op, first = make(width_in, out, **kind), None
        for sms in [1] + [s for o, s in WIDTHS if o == out]:
            monkeypatch.setattr(hopper.context.arch, "sm_count", sms)
            call = laws.problem(hopper, seed, op, F16, [9, 17], 3)
            y = call.live(call.run()).clone()
            assert first is None or torch.equal(y.view(torch.uint8), first.view(torch.uint8)), f"{out} columns on {sms}"
            first = y if first is None else first
