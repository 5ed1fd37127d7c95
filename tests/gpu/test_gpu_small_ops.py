"""The memory-bound ops and the convolutions on the GPU: against fp64 PyTorch, against their C references, alone against
packed, one captured graph for every composition of a bucket."""
import ctypes

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import cbind
import small_ops
from gpubind import BARS, NAMES, Output, Pack, capture, check, generator, rel_l2, same_bits
from reference import ops_small
from small_ops import Call

# Lengths of the slots, rows of tail: 1, 2, 7 and 32 sequences and less; odd lengths, empty slots first, between, last.
LENGTHS = {
    "1406": ([1406], 0), "1": ([1], 0), "469+938": ([469, 938], 5), "2x937": ([937, 937], 14),
    "7": ([0, 1, 2, 31, 0, 128, 129, 500, 77, 0], 61),
    "32": ([0] + [1 + (37 * i * i + 11 * i) % 89 for i in range(32)] + [0, 0], 12),
    "none": ([0, 0], 9),
}
SMALL = ([3, 0, 157, 1, 64, 0], 7)
TAPS = [conv for dim in (1024, 768, 256) for conv in (small_ops.conv_pos(dim, False, False),
                                                      small_ops.conv_pos(dim, True, True))]
OPS = [
    *(small_ops.norm(dim, one_plus) for dim in (1024, 768, 512, 256, 100, 33) for one_plus in (True, False)),
    *(small_ops.dwconv_norm(dim) for dim in (512, 256, 1024, 128, 100, 17)),
    *(small_ops.grn(dim) for dim in (1024, 512, 200, 65)),
    *TAPS, small_ops.conv_pos(160, False, True), small_ops.conv_pos(1280, True, False),
    small_ops.conv1d(100, 512, 7), small_ops.conv1d(64, 192, 3), small_ops.conv1d(33, 50, 15, bias=False),
    *(small_ops.embed(dim, positions=p, keep=k) for dim in (512, 100, 256, 30) for p in (True, False)
      for k in (True, False)),
    *(op(dim) for op in (small_ops.text_mask, small_ops.text_upsample) for dim in (512, 100, 30)),
    *(small_ops.noise(dim) for dim in (100, 33)),
    small_ops.istft("center"), small_ops.istft("same"),
]
CASES = [(op, dtype) for op in OPS for dtype in op.types]
each_case = pytest.mark.parametrize("op,dtype", CASES, ids=[f"{op.label} {NAMES[t]}".replace(" ", "-")
                                                            for op, t in CASES])


def bar(op, dtype):
    """Moved rows are exact; noise and table look-ups round once or twice: 1e-6. The rest as BARS says."""
    return {"text_rows": 0.0, "noise": 1e-6, "embed": 1e-6}.get(op.name, BARS[dtype])


def problem(seed, op, dtype, lengths, tail, salt=""):
    made = generator(seed, op.label, NAMES[dtype], lengths, salt)
    inputs = op.draw(made, lengths, dtype)
    return Call(op, dtype, Pack(lengths, tail), *inputs), inputs


@each_case
@pytest.mark.parametrize("lengths,tail", LENGTHS.values(), ids=LENGTHS)
def test_against_fp64(gpu, seed, op, dtype, lengths, tail):
    if sum(lengths) == 0:
        call, _ = problem(seed, op, dtype, lengths, tail)
        call.run(gpu).check()  # nothing to compute, and nothing written outside
        return
    call, inputs = problem(seed, op, dtype, lengths, tail)
    y = call.live(call.run(gpu))
    want = op.expected(*inputs)
    if want.numel():
        check(op.name, f"{op.label} {NAMES[dtype]} {lengths}", y, want, bar(op, dtype))


@pytest.mark.parametrize("op", OPS, ids=[op.label.replace(" ", "-") for op in OPS])
def test_against_the_c_reference(gpu, seed, op):
    """The same F32 inputs through NAME_ref on the CPU."""
    if not hasattr(cbind.library(), f"{op.name}_ref"):
        pytest.skip(f"this library has no {op.name}_ref: build libf5tts_test.so")
    lengths, tail = SMALL
    call, (_, slots, _) = problem(seed, op, torch.float32, lengths, tail)
    y = call.live(call.run(gpu))
    pack = cbind.make_pack(lengths, tail)
    fields = {f: v for f, v in call.fields(None).items() if f not in ("pack", "type")}
    for field, value in fields.items():
        if isinstance(value, torch.Tensor):
            host = cbind.copy(value.cpu().numpy())
            fields[field] = host.view(np.uint64) if field == "seeds" else host
    if op.packed:
        fields["pack"] = pack
    fields["y"] = cbind.poison((max(1, op.outputs(pack.rows)), op.width))
    cbind.run(op.name, **fields)
    want = torch.from_numpy(np.ascontiguousarray(fields["y"][:call.starts[-1]])).cuda()
    check(op.name, f"{op.label} against C", y, want, BARS[torch.float32])


@each_case
def test_alone_is_packed(gpu, seed, op, dtype):
    """Every sequence alone, in a bucket of its own, gives the bits it gives among others, whatever those hold."""
    lengths, tail = [65, 0, 1, 300, 12, 131], 29
    call, (sequences, slots, shared) = problem(seed, op, dtype, lengths, tail, "alone")
    together = call.run(gpu)
    poisoned = Call(op, dtype, call.pack, sequences, slots, shared)
    for i in (0, 4):  # neighbours full of NaN do not reach the others
        begin, end = call.pack.spans[i]
        for buffer in poisoned.rows.values():
            if buffer.dtype.is_floating_point:
                buffer[begin:end].fill_(float("nan"))
    beside_nan = poisoned.run(gpu)
    for i, n in enumerate(lengths):
        alone = Call(op, dtype, Pack([n], tail=3 * i), sequences[i:i + 1], {f: v[i:i + 1] for f, v in slots.items()},
                     shared)
        y = alone.run(gpu)
        assert same_bits(alone.slot(y, 0), call.slot(together, i)), f"slot {i} depends on its pack"
        if i not in (0, 4):
            assert same_bits(call.slot(beside_nan, i), call.slot(together, i)), f"slot {i} read another slot"


@each_case
def test_one_graph_serves_every_composition(gpu, seed, op, dtype):
    """Captured with one composition and replayed with others: the bits of an eager launch of each."""
    slots_of_bucket, rows = 8, 700
    compositions = [[700], [33, 0, 500, 1], [1] * 8, [0, 0, 99], [350, 349, 1]]
    pack = Pack(compositions[0], slots=slots_of_bucket, rows=rows)
    made = generator(seed, op.label, NAMES[dtype], "graph")
    shared = op.draw(made, [1], dtype)[2]
    call = Call(op, dtype, pack, *op.draw(made, compositions[0], dtype)[:2], shared)
    y = call.output()
    graph = capture(lambda: call.run(gpu, y))
    for lengths in compositions:
        pack.set(lengths)
        sequences, slots, _ = op.draw(made, lengths, dtype)
        call.fill(sequences, slots)
        y.a.fill_(float("nan"))
        graph.replay()
        torch.cuda.synchronize()
        replayed = call.live(y).clone()
        eager = call.live(call.run(gpu))
        assert same_bits(replayed, eager), f"composition {lengths} differs from an eager launch"
        want = op.expected(sequences, slots, shared)
        if want.numel():
            check(op.name, f"{op.label} {NAMES[dtype]} graph {lengths}", replayed, want, bar(op, dtype))


@each_case
def test_same_bits_every_run(gpu, seed, op, dtype):
    call, _ = problem(seed, op, dtype, [469, 0, 938], 5, "again")
    first = call.live(call.run(gpu)).clone()
    for _ in range(10):
        assert same_bits(first, call.live(call.run(gpu)))


# ---- what the table above cannot say

def rows_of(seed, *salt):
    made = generator(seed, *salt)
    return lambda *shape: torch.randn(*shape, generator=made, device="cuda")


@pytest.mark.parametrize("dim", [100, 33])
@pytest.mark.parametrize("branches", [1, 2])
@pytest.mark.parametrize("keep", [True, False], ids=["keep", "free"])
@pytest.mark.parametrize("lengths,tail", [case for case in LENGTHS.values() if sum(case[0])],
                         ids=[k for k, case in LENGTHS.items() if sum(case[0])])
def test_guide(gpu, seed, dim, branches, keep, lengths, tail):
    normal, half = rows_of(seed, "guide", dim, branches, keep, lengths), sum(lengths)
    pack = Pack(lengths * branches, tail)
    state, v, kept = normal(half, dim), normal(half * branches, dim), normal(half, dim)
    mask = (normal(half) > 0).to(torch.uint8)
    cfg, dt = 2.0, 0.03125

    def padded(rows, fill=float("nan")):
        out = torch.full((pack.rows,) + tuple(rows.shape[1:]), fill, device="cuda").to(rows.dtype)
        out[:len(rows)] = rows
        return out
    x = padded(torch.cat([state] * branches))
    y = Output(pack.rows, dim)
    fields = dict(pack=pack, dim=dim, branches=branches, cfg=cfg, dt=dt, x=x, v=padded(v), y=y,
                  keep=padded(mask, 1) if keep else None, kept=padded(kept) if keep else None)
    gpu.run("guide", **fields)
    d = v[:half].double()
    if branches == 2:
        d = d + (d - v[half:].double()) * cfg
    want = state.double() + dt * d
    if keep:
        want = torch.where(mask[:, None] != 0, kept.double(), want)
    live = y.check()[:half * branches]
    check("guide", f"dim {dim} branches {branches} {lengths}", live, torch.cat([want] * branches), 1e-6)
    fields["y"] = x  # in place
    gpu.run("guide", **fields)
    assert same_bits(x[:half * branches], live)


@pytest.mark.parametrize("dtype", small_ops.ALL, ids=NAMES.get)
@pytest.mark.parametrize("n", [1, 7, 8, 9, 2049, 10_000_003])
def test_cast(gpu, seed, dtype, n):
    """PyTorch rounds to nearest even too: the same bits over 16 decades, subnormal, infinite and rounded to infinity."""
    normal = rows_of(seed, "cast", n)
    x = normal(n) * 10.0 ** normal(n).mul(3).clamp(-10, 6)
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


@pytest.mark.parametrize("dtype", small_ops.ALL, ids=NAMES.get)
@pytest.mark.parametrize("n", [1, 2, 7, 8, 16, 33, 64, 129])
def test_timestep(gpu, seed, dtype, n):
    t = torch.rand(n, generator=generator(seed, "timestep", n), device="cuda")
    t[-1] = 1.0
    y = Output(n, 256, dtype=dtype)
    gpu.run("timestep", n=n, t=t, y=y, type=dtype)
    host = t.cpu().numpy()
    frequency = np.exp((np.arange(128, dtype=np.float32) * -np.float32(np.log(10000) / 127)).astype(np.float64))
    angle = (np.float32(1000) * host)[:, None] * frequency.astype(np.float32)[None, :]  # F32, as upstream
    want = np.concatenate([np.sin(angle.astype(np.float64)), np.cos(angle.astype(np.float64))], axis=1)
    check("timestep", f"{NAMES[dtype]} n {n}", y.check(), torch.from_numpy(want).cuda(), BARS[dtype])


@pytest.mark.parametrize("n", [513, 514, 767, 768, 1024, 24000, 71999, 240001, 123456])
def test_mel(gpu, seed, n):
    normal = rows_of(seed, "mel", n)
    t = torch.arange(n, device="cuda", dtype=torch.float64) / 24000
    samples = (0.3 * torch.sin(2 * np.pi * (200 + 900 * t) * t)).float() + 0.05 * normal(n)
    samples[n // 2:] *= 1e-4  # quiet half: bands near and below the floor
    bank = torch.from_numpy(ops_small.mel_bank(torch.float64).astype(np.float32)).cuda()
    y = Output(n // 256 + 1, 100)
    gpu.run("mel", n_samples=n, samples=samples, bank=bank, y=y)
    check("mel", f"{n} samples", y.check(), torch.from_numpy(ops_small.mel(samples.cpu().numpy(), bank.cpu().numpy())
                                                             ).cuda(), BARS[torch.float32])
    host = cbind.poison((n // 256 + 1, 100))
    cbind.run("mel", n_samples=n, samples=cbind.copy(samples.cpu().numpy()), bank=cbind.copy(bank.cpu().numpy()), y=host)
    check("mel", f"{n} samples against C", y.a, torch.from_numpy(np.ascontiguousarray(host)).cuda(), 1e-5)
    samples[n // 3] = float("nan")
    gpu.run("mel", n_samples=n, samples=samples, bank=bank, y=y)
    spoiled = torch.isnan(y.check())
    assert bool((spoiled.all(dim=1) == spoiled.any(dim=1)).all()) and bool(spoiled.any())


def test_masked_rows_are_not_read(gpu, seed):
    """Filler may hold NaN: it is replaced, not multiplied by zero; in place too."""
    op = small_ops.text_mask(100)
    call, (sequences, _, _) = problem(seed, op, torch.float32, [40, 0, 9], 3)
    clean = call.live(call.run(gpu)).clone()
    call.rows["x"][call.rows["keep"] == 0] = float("nan")
    y = call.output()
    y.a.copy_(call.rows["x"])
    call.rows["x"] = y.a
    assert same_bits(clean, call.live(call.run(gpu, y)))


@pytest.mark.parametrize("op", [small_ops.grn(1024), small_ops.norm(768, True), small_ops.norm(100, False)],
                         ids=["grn", "norm", "norm-any"])
def test_in_place(gpu, seed, op):
    call, _ = problem(seed, op, torch.float32, [300, 41], 3)
    apart = call.live(call.run(gpu)).clone()
    y = call.output()
    y.a.copy_(call.rows["x"])
    call.rows["x"] = y.a
    assert same_bits(apart, call.live(call.run(gpu, y)))


@pytest.mark.parametrize("dtype", small_ops.ALL, ids=NAMES.get)
def test_conv_pos_adds_to_its_output(gpu, seed, dtype):
    """y may be the residual, as the model calls it."""
    call, _ = problem(seed, small_ops.conv_pos(1024, True, True), dtype, [300, 41], 3)
    apart = call.live(call.run(gpu)).clone()
    y = call.output()
    y.a.copy_(call.rows["residual"])
    call.rows["residual"] = y.a
    assert same_bits(apart, call.live(call.run(gpu, y)))


@pytest.mark.parametrize("dtype", small_ops.ALL[1:], ids=NAMES.get)
@pytest.mark.parametrize("y_f32", [False, True], ids=["typed", "F32"])
def test_conv_pos_at_the_edges_of_tiles(gpu, path, seed, dtype, y_f32):
    """Both instruction paths, sequences around the heights of tiles and of the halo; a sequence alone in a bucket whose
    tiles are low, and among others in one whose tiles are high, is the same bits."""
    op = small_ops.conv_pos(1024, y_f32, y_f32)
    lengths = [1, 14, 15, 16, 127, 128, 129, 0, 175, 176, 177, 351, 353, 700]
    call, inputs = problem(seed, op, dtype, lengths, 450, "edges")
    sequences, slots, shared = inputs
    together = call.run(gpu)
    check("conv_pos", f"{op.label} {NAMES[dtype]} {path} edges", call.live(together), op.expected(*inputs), BARS[dtype])
    for i, n in enumerate(lengths):
        if n:
            alone = Call(op, dtype, Pack([n], tail=2 * i), sequences[i:i + 1], slots, shared)
            assert same_bits(alone.slot(alone.run(gpu), 0), call.slot(together, i)), f"{n} rows depend on their bucket"


def test_noise_is_the_generator_of_the_c_reference(gpu):
    """The words themselves agree with the published answers through the reference; here, with the truth's Philox."""
    if not hasattr(cbind.library(), "philox4x32_10"):
        pytest.skip("this library has no philox4x32_10: build libf5tts_test.so")
    made = cbind.function("philox4x32_10", None, *[ctypes.c_void_p] * 3)
    seed = 0x0123456789ABCDEF
    for block, want in enumerate(zip(*small_ops.philox(seed, 5))):
        words = cbind.copy([0] * 4, np.uint32)
        made(cbind.pointer(cbind.copy([block, 0, 0, 0], np.uint32)),
             cbind.pointer(cbind.copy([seed % 2 ** 32, seed // 2 ** 32], np.uint32)), cbind.pointer(words))
        assert words.tolist() == [int(w) for w in want]


@pytest.mark.parametrize("op", [small_ops.norm(64, True), small_ops.dwconv_norm(64), small_ops.grn(64),
                                small_ops.conv_pos(256, False, False), small_ops.conv1d(8, 8, 3), small_ops.embed(64),
                                small_ops.text_mask(8), small_ops.noise(100), small_ops.istft("same")],
                         ids=lambda op: op.name)
def test_refuses_what_it_cannot_do(gpu, seed, op):
    call, _ = problem(seed, op, torch.float32, [5], 0)
    good = call.fields(call.output())
    bad = [(cbind.F5_E_ARGUMENT, {"y": None})]
    if "dim" in good:
        bad.append((cbind.F5_E_SHAPE, {"dim": 0}))
    if op.name == "conv_pos":
        bad.append((cbind.F5_E_SHAPE, {"dim": 250}))
    if op.name == "conv1d":
        bad += [(cbind.F5_E_SHAPE, {"taps": 4}), (cbind.F5_E_SHAPE, {"taps": 17}),
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
    op = small_ops.istft(padding)
    (rows,), *rest = op.draw(generator(seed, padding, turns), [40], torch.float32)
    rows["h"][:, [0, 512]] = np.log(50)
    rows["h"][:, [513, 1025]] = 2 * np.pi * turns
    call = Call(op, torch.float32, Pack([40]), [rows], *rest)
    ours, want = call.live(call.run(gpu)).clone(), op.expected([rows], *rest)
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
