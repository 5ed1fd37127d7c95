"""What one op alone promises on the GPU, beyond test_gpu_ops.py: in place, rows that are not read, edges of tiles, NaN,
refusals. linear and attention have files of their own."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import cbind
import laws
import ops
from gpubind import BARS, NAMES, Output, check, rel_l2, same_bits
from op_base import ALL, Call, Draw, Inputs


@pytest.mark.parametrize("op,field", [(ops.Grn(1024), "x"), (ops.Norm(768, True), "x"), (ops.Norm(100), "x"),
                                      (ops.Guide(100), "x"), (ops.Guide(33, 1, False), "x")],
                         ids=["grn", "norm", "norm-any", "guide", "guide-any"])
def test_in_place(gpu, seed, op, field, dtype=torch.float32):
    call = laws.problem(gpu, seed, op, dtype, [300, 41], 3)
    apart = call.live(call.run()).clone()
    y = call.output()
    y.a.copy_(call.rows[field])
    call.rows[field] = y.a
    assert same_bits(apart, call.live(call.run(y)))


@pytest.mark.parametrize("dtype", ALL, ids=NAMES.get)
def test_conv_pos_adds_to_its_output(gpu, path, seed, dtype):
    """y may be the residual, as the model calls it."""
    test_in_place(gpu, seed, ops.ConvPos(1024, True, True), "residual", dtype)


def test_both_branches_go_on_from_the_same_state(gpu, seed):
    call = laws.problem(gpu, seed, ops.Guide(100), torch.float32, [300, 0, 41], 3)
    y = call.live(call.run())
    assert same_bits(y[:341], y[341:])


@pytest.mark.parametrize("dtype", ALL, ids=NAMES.get)
@pytest.mark.parametrize("n", [1, 7, 8, 9, 2049, 10_000_003])
def test_cast(gpu, seed, dtype, n):
    """PyTorch rounds to nearest even too: the same bits over 16 decades, subnormal, infinite and rounded to infinity."""
    draw = Draw(seed, "cast", n, device="cuda")
    x = draw.normal(n) * 10.0 ** draw.normal(n).mul(3).clamp(-10, 6)
    x[n // 2] = float("-inf")
    y = Output(n, dtype=dtype)
    gpu.run("cast", n=n, x=x, y=y, type=dtype)
    assert same_bits(y.check(), x.to(dtype))
    for change in ({"x": None}, {"y": None}, {"x": x.data_ptr() + 4}):
        assert gpu.call("cast", **{**dict(n=n, x=x, y=y, type=dtype), **change}) == cbind.F5_E_ARGUMENT
    assert gpu.call("cast", n=-1, type=dtype) == cbind.F5_E_SHAPE and gpu.call("cast", n=0, type=dtype) == 0
    x[n // 3] = float("nan")
    gpu.run("cast", n=n, x=x, y=y, type=dtype)
    assert torch.isnan(y.check()).nonzero().flatten().tolist() == [n // 3]


@pytest.mark.parametrize("dtype", ALL, ids=NAMES.get)
@pytest.mark.parametrize("n", [1, 2, 7, 8, 16, 33, 64, 129])
def test_timestep(gpu, seed, dtype, n):
    for op in (ops.Timestep(), ops.Timestep(512, 1.0)):
        laws.against_truth(gpu, seed, op, dtype, [n], 0)


@pytest.mark.parametrize("n", [1024, 24000, 71999, 240001, 123456])
def test_mel_of_long_recordings_and_nan(gpu, seed, n):
    laws.against_truth(gpu, seed, ops.Mel("chirp"), torch.float32, [n], 0)
    call = laws.problem(gpu, seed, ops.Mel("chirp"), torch.float32, [n])
    host = cbind.poison((n // 256 + 1, 100))
    bank, samples = (cbind.copy(t.cpu().numpy()) for t in (call.shared["bank"], call.rows["samples"]))
    cbind.run("mel", n_samples=n, samples=samples, bank=bank, y=host)
    check("mel", f"{n} samples against C", call.op.judged(call.run().check(), torch.from_numpy(host)), torch.from_numpy(host), 1e-5)
    call.rows["samples"][n // 3] = float("nan")
    spoiled = torch.isnan(call.run().check())
    assert bool((spoiled.all(dim=1) == spoiled.any(dim=1)).all()) and bool(spoiled.any())


def test_masked_rows_are_not_read(gpu, seed):
    """Filler may hold NaN: it is replaced, not multiplied by zero; in place too."""
    call = laws.problem(gpu, seed, ops.TextRows(100), torch.float32, [40, 0, 9], 3)
    clean = call.live(call.run()).clone()
    call.rows["x"][call.rows["keep"] == 0] = float("nan")
    y = call.output()
    y.a.copy_(call.rows["x"])
    call.rows["x"] = y.a
    assert same_bits(clean, call.live(call.run(y)))


@pytest.mark.parametrize("dtype", ALL[1:], ids=NAMES.get)
@pytest.mark.parametrize("y_f32", [False, True], ids=["typed", "F32"])
def test_conv_pos_at_the_edges_of_tiles(gpu, path, seed, dtype, y_f32):
    """Both instruction paths, sequences around the heights of tiles and of the halo; a sequence alone in a bucket whose
    tiles are low, and among others in one whose tiles are high, is the same bits."""
    op = ops.ConvPos(1024, y_f32, y_f32)
    lengths = [1, 14, 15, 16, 127, 128, 129, 0, 175, 176, 177, 351, 353, 700]
    call = laws.problem(gpu, seed, op, dtype, lengths, 450, "edges")
    together = call.run()
    check("conv_pos", f"{op.label} {NAMES[dtype]} {path} edges", call.live(together), op.expected(call.inputs), BARS[dtype])
    for i, n in enumerate(lengths):
        if n:
            alone = Call(gpu, op, dtype, call.inputs.alone(i), tail=2 * i)
            assert same_bits(alone.of(alone.run(), 0), call.of(together, i)), f"{n} rows depend on their bucket"


def shifted(tensor):
    """The same numbers an element further: aligned to nothing more than one."""
    whole = torch.full((tensor.numel() + 1,), float("nan"), dtype=tensor.dtype, device="cuda")
    whole[1:] = tensor.reshape(-1)
    return whole[1:].view(tensor.shape)


@pytest.mark.parametrize("dtype", ALL, ids=NAMES.get)
@pytest.mark.parametrize("op", [ops.Embed(512), ops.Noise(100), ops.TextRows(512), ops.TextRows(512, "upsample"), ops.TimeRow(1024),
                                ops.TakeRows(1024), ops.Guide(100), ops.Norm(1024, True), ops.Norm(512, rms=True),
                                ops.DwconvNorm(512), ops.Grn(1024)], ids=laws.label)
def test_any_alignment_is_served(gpu, seed, op, dtype):
    """Rows as wide as those that are read by 16 bytes, in tensors that begin in the middle of such."""
    if dtype not in op.types:
        pytest.skip(f"{op.name} has no {NAMES[dtype]}")
    call = laws.problem(gpu, seed, op, dtype, [300, 0, 41], 3, "alignment")
    want = op.expected(call.inputs)
    fields = {f: v for f, v in call.fields(None).items() if isinstance(v, torch.Tensor) and v.is_floating_point()}
    for field in [*fields, "y"]:
        y = call.output()
        given = call.fields(shifted(y.a) if field == "y" else y)
        if field != "y":
            given[field] = shifted(fields[field])
        gpu.run(op.name, **given)
        made = given["y"] if field == "y" else y.check()
        check(op.name, f"{op.label} {NAMES[dtype]}, {field} apart from 16 bytes", made[:call.starts[-1]], want, op.bar("cuda", dtype))


@pytest.mark.parametrize("op", [ops.Norm(64, True), ops.DwconvNorm(64), ops.Grn(64), ops.ConvPos(256), ops.Conv1d(8, 8, 3), ops.Snake(8),
                                ops.Embed(64), ops.TextRows(8), ops.TimeRow(8), ops.Noise(100), ops.Istft("same"), ops.Guide(8)],
                         ids=lambda op: op.name)
def test_refuses_what_it_cannot_do(gpu, seed, op):
    call = laws.problem(gpu, seed, op, torch.float32, [5], 0)
    good = call.fields(call.output())
    bad = [(cbind.F5_E_ARGUMENT, {"y": None})]
    if "dim" in good:
        bad.append((cbind.F5_E_SHAPE, {"dim": 0}))
    if op.name == "conv_pos":
        bad.append((cbind.F5_E_SHAPE, {"dim": 250}))
    if op.name == "conv1d":
        bad += [(cbind.F5_E_SHAPE, {"taps": 4}), (cbind.F5_E_SHAPE, {"taps": 33}), (cbind.F5_E_SHAPE, {"rate": 0}),
                (cbind.F5_E_SHAPE, {"dilation": 33}), (cbind.F5_E_ARGUMENT, {"activation": 4}),
                (cbind.F5_E_ARGUMENT, {"y": call.rows["x"]})]
    for status, change in bad:
        assert gpu.call(op.name, **{**good, **change}) == status, change
        assert gpu.context.error.message.startswith(op.name.encode()), gpu.context.error.message
    torch.cuda.synchronize()


@pytest.mark.parametrize("padding", ["center", "same"])
@pytest.mark.parametrize("turns", [0.25, 0.4], ids=["imaginary", "mostly real"])
def test_istft_leaves_out_what_dc_and_nyquist_have_imaginary(gpu, seed, padding, turns):
    """A vocoder's phases give bins 0 and 512 imaginary parts, which no real signal has. torch on the CPU ignores them, and
    so does ours. What upstream does on this GPU is cuFFT's to say, whose documentation leaves it open: it is told, not
    held. On an H100 with PyTorch 2.11 it ignores them too."""
    op = ops.Istft(padding)
    inputs = op.draw(Draw(seed, padding, turns, device="cuda"), [40])
    rows = inputs.sequences[0]
    rows["h"][:, [0, 512]] = np.log(50)
    rows["h"][:, [513, 1025]] = 2 * np.pi * turns
    call = Call(gpu, op, torch.float32, Inputs([40], [rows], {}, inputs.shared))
    ours, want = call.live(call.run()).clone(), op.expected(call.inputs)
    check("istft", f"{padding}, imaginary DC and Nyquist", ours, want, BARS[torch.float32])

    def upstream(spectrum):
        window = call.shared["window"]
        if padding == "center":
            return torch.istft(spectrum, 1024, 256, 1024, window, center=True)[:, None]
        frames = torch.fft.irfft(spectrum, 1024, dim=0) * window[:, None]
        size = (1, 256 * 39 + 1024)
        total, envelope = (F.fold(f[None], size, (1, 1024), stride=(1, 256)).flatten()[384:-384]
                           for f in (frames, window.square()[:, None].expand(1024, 40)))
        return (total / envelope)[:, None]

    spectrum = torch.polar(rows["h"][:, :513].exp().clip(max=1e2), rows["h"][:, 513:]).T.contiguous()
    real = spectrum.clone()
    real[[0, 512]] = real[[0, 512]].real.to(real.dtype)
    check("istft", f"{padding}, cuFFT without them", upstream(real), want, BARS[torch.float32])
    cbind.RESULTS.append(("istft torch", f"{padding}, imaginary DC and Nyquist by torch on this GPU",
                          rel_l2(upstream(spectrum), want), float("inf")))
