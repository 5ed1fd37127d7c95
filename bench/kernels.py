"""bench/kernels.py — every op at the sizes of S, M and L beside what this machine can do and what its libraries take.

    f5bench.py kernels [--sizes M] [--precision bf16]

The ceilings come first, in the same run: large matrix products and a large copy on the device, through PyTorch.
Then each op, as the model calls it: the median of 25 replays of a CUDA graph of 24 calls, by events, on random data;
the candidates take turns. Inputs rotate among so many sets that they are not in the L2 from the last call; where that
takes too many sets the row is marked *, and is the cache's figure.

floor           the larger of FLOP / matrix rate and bytes (each input and output once) / copy rate
% of it         floor / time
library         the fastest of PyTorch's call and of the algorithms that cuBLASLt proposes; in two columns,
  less work     where the library leaves something out: of RESIDUAL, GELU and RoPE the product and its bias alone, its
                result of the operands' type; of conv_pos cuDNN's convolution and bias
  same work     where it gives our result: RESIDUAL by cuBLASLt with its F32 result added to (no gate: it has none for
                each output), GELU by cuBLASLt's own epilogue, NONE; attention without RoPE by cuDNN
portable        our path for GPUs before Hopper, on this GPU

A block of the DiT, two norms, four products and attention, is the sum of its rows.
"""
import statistics
import sys
from dataclasses import dataclass, field
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from workload import REF_FRAMES, ROOT, SIZES
from shapes import block_products  # found by workload

sys.path.insert(0, str(ROOT / "tests" / "gpu"))
import cbind  # noqa: E402
import cublaslt  # noqa: E402
import kernel_rows  # noqa: E402
import small_ops  # noqa: E402
from gpubind import DTYPES, NAMES, Gpu, Pack, generator  # noqa: E402
from small_ops import Call  # noqa: E402

CALLS, REPLAYS, PROPOSALS, POSITIONS = 24, 25, 6, 4096


@dataclass
class Case:
    """An op on `sets` sets of inputs. ours(i) and a rival(i) run it on set i; the fastest rival of a name counts."""
    op: str
    sets: int
    flop: float
    bytes: float
    dtype: torch.dtype  # of the operands, for the ceiling
    ours: object
    rivals: dict = field(default_factory=dict)  # as kernel_rows names them -> [call(i)]


# ---- timing


def replay_us(graph):
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    graph.replay()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) * 1e3 / CALLS


@cache
def side_stream():
    """Capturing wants another stream than the default; libraries keep a workspace for each, so it is always the same."""
    return torch.cuda.Stream()


def capture(call, sets):
    """24 calls over the sets. torch.cuda.graph would do, but collects garbage and gives memory back at every entry."""
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.stream(side_stream()):
        for i in range(sets):  # nothing may be loaded or planned inside
            call(i)
        torch.cuda.synchronize()
        graph.capture_begin()
        try:
            for i in range(CALLS):
                call(i % sets)
        finally:
            graph.capture_end()
    torch.cuda.synchronize()
    return graph


def graph_of(call, sets, name):
    """A captured graph, or None where it cannot run; that is said."""
    try:
        return capture(call, sets)
    except (RuntimeError, AssertionError) as error:
        print(f"{name}: {str(error).splitlines()[0][:120]}", file=sys.stderr)  # not into the table that grows
        return None


def fastest(calls, sets, name):
    """Of several calls the quickest one's graph."""
    graphs = [g for g in (graph_of(call, sets, name) for call in calls) if g]
    if len(graphs) < 2:
        return graphs[0] if graphs else None
    times = [min(replay_us(g) for _ in range(6)) for g in graphs]
    return graphs[times.index(min(times))]


def compare(calls, sets):
    """{name: [call(i), ...]} -> {name: [µs]}; the candidates take turns."""
    graphs = {name: fastest(choices, sets, name) for name, choices in calls.items()}
    times = {name: [] for name, graph in graphs.items() if graph}
    for turn in range(REPLAYS + 3):
        for name in times:
            took = replay_us(graphs[name])
            if turn >= 3:
                times[name].append(took)
    return times


def product_rate(dtype):
    """FLOP/µs of a large matrix product; of a smaller one in float32, where it takes long enough."""
    n = 4096 if dtype == torch.float32 else 8192
    a, b = (torch.randn(n, n, device="cuda").to(dtype) for _ in range(2))
    return 2.0 * n ** 3 / statistics.median(compare({"product": [lambda i: torch.mm(a, b)]}, 1)["product"])


def copy_rate():
    """bytes/µs of a copy on the device, read and written."""
    x, y = torch.randn(2, 1 << 28, device="cuda").unbind()
    return 2 * x.numel() * 4 / statistics.median(compare({"copy": [lambda i: y.copy_(x)]}, 1)["copy"])


# ---- the ops


def sets_for(bytes_):
    """As many input sets as push each other out of the L2, within reason."""
    l2 = torch.cuda.get_device_properties(0).L2_cache_size
    return max(3, min(CALLS, -(-2 * l2 // int(bytes_))))


def size_of(*tensors):
    return sum(t.numel() * t.element_size() for t in tensors if t is not None)


def rope_table(positions):
    i = torch.arange(32, dtype=torch.float64)
    angles = torch.arange(positions, dtype=torch.float64)[:, None] * 10000.0 ** (-2 * i / 64)
    return torch.stack([angles.cos(), angles.sin()], dim=-1).float().cuda().contiguous()


def attention(gpu, frames, dtype, heads, rope_heads):
    pack, rope, rows = Pack([frames, frames]), rope_table(POSITIONS), 2 * frames
    moved = 4 * rows * heads * 64 * (4 if dtype == torch.float32 else 2)
    sets = sets_for(moved)
    qkv = [torch.randn(rows, 3, heads, 64, device="cuda").to(dtype) for _ in range(sets)]
    y = [torch.empty(rows, heads, 64, device="cuda", dtype=dtype) for _ in range(sets)]
    parts = [q.view(2, frames, 3, heads, 64).permute(2, 0, 3, 1, 4) for q in qkv]

    def ours(i):
        gpu.run("attention", pack=pack, heads=heads, rope_heads=rope_heads, max_position=POSITIONS, qkv=qkv[i],
                rope=rope, y=y[i], type=dtype)

    def cudnn(i):
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            return F.scaled_dot_product_attention(*parts[i])

    return Case("attention, RoPE within" if rope_heads else "attention", sets, 4.0 * 64 * frames * frames * heads * 2,
                moved, dtype, ours, {f"cuDNN {'bare' if rope_heads else 'same'}": [cudnn]})


@dataclass
class Product:
    """A linear of the model as it calls it."""
    name: str
    width_in: int
    width_out: int
    epilogue: str = "NONE"
    dtype: torch.dtype = torch.float32
    y_f32: bool = True
    gate: bool = False
    bias: bool = True
    searched: bool = False  # against cuBLASLt's best, not only its first choice


def products_of(config, dtype):
    """[(lengths of the sequences from frames, Product)]: every matrix product of a request."""
    dim, text, vocos, ff = config["dim"], config["text_dim"], config["vocos_dim"], config["vocos_ff_dim"]

    def both(frames):
        return [frames, frames]

    def heard(frames):
        return [frames - REF_FRAMES]

    block = [(both, Product(n, a, b, e, dtype, e == "RESIDUAL", e == "RESIDUAL", searched=True))
             for n, a, b, e in block_products(dim)]
    return block + [
        (both, Product("input", 100, dim, "RESIDUAL", bias=False)),
        (both, Product("velocity", dim, 100, dtype=dtype)),
        (both, Product("text pw1", text, 2 * text, "GELU_ERF", dtype, False)),
        (both, Product("text pw2", 2 * text, text, "RESIDUAL", dtype)),
        (both, Product("condition text", text, dim, "RESIDUAL", bias=False)),
        (lambda frames: [32], Product("modulation, 32 steps", dim, (6 * config["depth"] + 2) * dim, dtype=dtype)),
        (heard, Product("Vocos pw1", vocos, ff, "GELU_ERF")),
        (heard, Product("Vocos pw2", ff, vocos, "RESIDUAL", gate=True)),
        (heard, Product("Vocos head", vocos, 1026))]


def linear(gpu, library, lengths, p):
    rows, residual, pack = sum(lengths), p.epilogue == "RESIDUAL", Pack(lengths)
    bias, gate = torch.randn(p.width_out, device="cuda"), torch.randn(p.width_out, device="cuda")
    rounded = bias.to(p.dtype)
    rope = dict(rope=rope_table(POSITIONS), rope_heads=p.width_out // 192, max_position=POSITIONS)

    def draw():
        x = torch.randn(rows, p.width_in, device="cuda").to(p.dtype)
        w = (torch.randn(p.width_out, p.width_in, device="cuda") * p.width_in ** -0.5).to(p.dtype)
        return x, w, torch.zeros(rows, p.width_out, device="cuda", dtype=torch.float32 if p.y_f32 else p.dtype)

    first = draw()
    moved = size_of(*first, bias, first[2] if residual else None)
    drawn = [first] + [draw() for _ in range(sets_for(moved) - 1)]
    plain = [torch.empty(rows, p.width_out, device="cuda", dtype=p.dtype) for _ in drawn]

    def ours(i):
        x, w, y = drawn[i]
        gpu.run("linear", pack=pack, out=p.width_out, x=x, w=w, bias=bias if p.bias else None,
                bias_as_type=rounded if p.bias else None, gate=gate if p.gate else None,
                addend=y if residual else None, y=y, epilogue=getattr(cbind, f"LINEAR_{p.epilogue}"), type=p.dtype,
                y_f32=p.y_f32, **{"in": p.width_in}, **(rope if p.epilogue == "ROPE" else {}))

    def proposed(results, offset, **what):
        """The library's algorithms, each as a call(i)."""
        if not library:
            return []
        found = [library.proposals(x, w, offset, y, PROPOSALS, **what) for (x, w, _), y in zip(drawn, results)]
        return [lambda i, a=a: found[i][a]() for a in range(min(len(f) for f in found))]

    rivals = {"cuBLASLt bare": [lambda i: F.linear(drawn[i][0], drawn[i][1], rounded)]}
    if p.searched:
        rivals["cuBLASLt bare"] += proposed(plain, rounded)
    if p.epilogue == "NONE" and p.y_f32 == (p.dtype == torch.float32):
        rivals = {"cuBLASLt same": rivals["cuBLASLt bare"]}
    elif residual or p.epilogue == "NONE":
        rivals["cuBLASLt same"] = proposed([y for *_, y in drawn], bias if p.bias else None, add=residual)
    elif p.epilogue == "GELU_TANH":
        rivals["cuBLASLt same"] = proposed(plain, rounded, gelu=True)
    return Case(f"{p.name} {p.epilogue.lower()}", len(drawn), 2.0 * rows * p.width_in * p.width_out, moved, p.dtype,
                ours, rivals)


def small(op, lengths, dtype, flop=0.0):
    """An op of tests/gpu/small_ops.py on random inputs, as the tests run it."""
    made = generator(1, op.label)

    def draw():
        call = Call(op, dtype, Pack(lengths), *op.draw(made, lengths, dtype))
        return call, call.output()

    first = draw()
    used = [t[:max(lengths)] if name == "positions" else t for name, t in first[0].shared.items()]
    moved = size_of(first[1].a, *first[0].rows.values(), *used)
    drawn = [first] + [draw() for _ in range(sets_for(moved) - 1)]
    case = Case(op.label, len(drawn), flop, moved, dtype, None)
    return case, drawn


def conv_pos(frames, dtype, op):
    dim = op.width
    case, drawn = small(op, [frames, frames], dtype, 2.0 * 2 * frames * dim * (dim // 16) * 31)
    kernels = [c.shared["w"].permute(1, 2, 0).contiguous() for c, _ in drawn]
    bias = [c.shared["bias"].to(dtype) for c, _ in drawn]
    across = [c.rows["x"].view(2, frames, dim).transpose(1, 2) for c, _ in drawn]  # channels last, as the rows lie
    apart = [a.contiguous() for a in across]
    flat = [a[:, :, None] for a in across]  # the same memory as images of one row, which other kernels serve
    images = [k[:, :, None].contiguous(memory_format=torch.channels_last) for k in kernels]
    case.rivals["cuDNN bare"] = [lambda i, x=x: F.conv1d(x[i], kernels[i], bias[i], padding=15, groups=16)
                                 for x in (apart, across)]
    case.rivals["cuDNN bare"].append(lambda i: F.conv2d(flat[i], images[i], bias[i], padding=(0, 15), groups=16))
    return case, drawn


def guide(gpu, frames):
    pack, dim, rows = Pack([frames, frames]), 100, 2 * frames
    keep = (torch.arange(rows, device="cuda") < 469).to(torch.uint8)
    moved = 4 * rows // 2 * dim * 4  # x, both velocities, x again
    drawn = [torch.randn(3, rows, dim, device="cuda").unbind() for _ in range(sets_for(moved))]

    def ours(i):
        x, v, kept = drawn[i]
        gpu.run("guide", pack=pack, dim=dim, branches=2, cfg=2.0, dt=0.03, x=x, v=v, keep=keep, kept=kept, y=x)
    return Case("guide", len(drawn), 0.0, moved, torch.float32, ours)


def cast(gpu, frames, dtype, dim):
    n = 2 * frames * dim
    drawn = [(torch.randn(n, device="cuda"), torch.empty(n, device="cuda", dtype=dtype))
             for _ in range(sets_for(n * 6))]
    return Case("cast", len(drawn), 0.0, size_of(*drawn[0]), dtype,
                lambda i: gpu.run("cast", n=n, x=drawn[i][0], y=drawn[i][1], type=dtype))


def timestep(gpu, dtype):
    t, y = torch.rand(32, device="cuda"), torch.empty(32, 256, device="cuda", dtype=dtype)
    return Case("timestep 32", 1, 0.0, size_of(t, y), dtype, lambda i: gpu.run("timestep", n=32, t=t, y=y, type=dtype))


def mel(gpu, seconds=5):
    n = 24000 * seconds
    drawn = [(torch.randn(n, device="cuda"), torch.empty(n // 256 + 1, 100, device="cuda")) for _ in range(CALLS)]
    bank = torch.rand(513, 100, device="cuda")
    return Case(f"mel {seconds} s", CALLS, 0.0, size_of(*drawn[0], bank), torch.float32,
                lambda i: gpu.run("mel", n_samples=n, samples=drawn[i][0], bank=bank, y=drawn[i][1]))


def cases(gpu, library, frames, dtype, config):
    """All ops of one request, the heavy ones first, each as a function that makes its Case."""
    dim, text, vocos, single = config["dim"], config["text_dim"], config["vocos_dim"], torch.float32
    heads, both, heard = config["heads"], [frames, frames], [frames - REF_FRAMES]

    def run_small(make):
        case, drawn = make()
        case.ours = lambda i: drawn[i][0].run(gpu, drawn[i][1])
        return case

    makers = [partial(attention, gpu, frames, dtype, heads, 0), partial(attention, gpu, frames, dtype, heads, heads)]
    makers += [partial(linear, gpu, library, lengths(frames), p) for lengths, p in products_of(config, dtype)]
    makers += [partial(run_small, make) for make in (
        lambda: conv_pos(frames, dtype, small_ops.conv_pos(dim, False, False)),
        lambda: conv_pos(frames, dtype, small_ops.conv_pos(dim, True, True)),
        lambda: small(small_ops.norm(dim, True), both, dtype),
        lambda: small(small_ops.norm(vocos, False), heard, single),
        lambda: small(small_ops.embed(text), both, single),
        lambda: small(small_ops.dwconv_norm(text), both, dtype),
        lambda: small(small_ops.dwconv_norm(vocos), heard, single),
        lambda: small(small_ops.grn(2 * text), both, dtype),
        lambda: small(small_ops.text_mask(text), both, single),
        lambda: small(small_ops.noise(100), both, single),
        lambda: small(small_ops.conv1d(100, vocos, 7), heard, single, 2.0 * heard[0] * vocos * 700),
        lambda: small(small_ops.istft("center"), heard, single))]
    return makers + [partial(guide, gpu, frames), partial(cast, gpu, frames, dtype, dim), partial(timestep, gpu, dtype),
                     partial(mel, gpu)]


# ---- the table


def measure(gpu, case, rates, bandwidth):
    def portable(i):
        gpu.limit("sm80")
        try:
            case.ours(i)
        finally:
            gpu.limit("sm90")

    calls = {"ours": [case.ours]}
    if gpu.path != "sm80":
        calls["portable"] = [portable]
    times = compare({**calls, **case.rivals}, case.sets)
    if "ours" not in times:
        return None
    cached = case.bytes * case.sets < 1.5 * torch.cuda.get_device_properties(0).L2_cache_size
    return kernel_rows.row(case.op, times, case.flop, case.bytes, rates[case.dtype], bandwidth, cached)


def cublaslt_here():
    try:
        return cublaslt.Library()
    except (OSError, RuntimeError) as error:
        print(f"cuBLASLt's first choices alone: {error}")
        return None


def run(bench):
    dtype = {v: k for k, v in NAMES.items()}[bench.precision]
    assert dtype in DTYPES
    gpu, library, report = Gpu(), cublaslt_here(), bench.report
    rates, bandwidth = {kind: product_rate(kind) for kind in {dtype, torch.float32}}, copy_rate()
    report.table("Ceilings", ["what", "figure", "unit"],
                 [[f"matrix product, {NAMES[kind]}", rate / 1e6, "TFLOP/s"] for kind, rate in rates.items()] +
                 [["copy on the device, read + write", bandwidth / 1e3, "GB/s"]])
    for kind, rate in rates.items():
        report.figure(f"ceiling product {NAMES[kind]}", rate / 1e6, "TFLOP/s")
    report.figure("ceiling copy", bandwidth / 1e3, "GB/s")
    device = torch.cuda.get_device_properties(0)
    note = (f"By the {gpu.path} path, sm_{device.major}{device.minor}, {device.multi_processor_count} multiprocessors. "
            "What a library leaves out is in the head of bench/kernels.py.")
    blocks = []
    for size in bench.sizes():
        table = report.growing(f"Kernels at {size}, {bench.precision}", None, note,
                               dict(op=28, µs=6, **{"10th … 90th": 15, "GB/s": 6, "library, less work": 15,
                                                    "library, same work": 15}))
        rows = []
        for make in cases(gpu, library, SIZES[size], dtype, bench.config):
            case = make()
            if case.dtype != dtype:
                case.op += " " + NAMES[case.dtype]
            row = measure(gpu, case, rates, bandwidth)
            if row:
                for name, us in row["_us"].items():
                    report.figure(f"kernel {size} {bench.precision} {case.op} {name}", us, "µs")
                rows.append(row)
                table.add({k: v for k, v in row.items() if k != "_us"})
        block = kernel_rows.block(rows)
        if block:
            blocks.append({"size": size, **block})
            for name, column, unit in (("ours", "µs", "µs"), ("portable", "portable µs", "µs"),
                                       ("portable/ours", "portable/ours", "×")):
                if block[column]:
                    report.figure(f"block {size} {bench.precision} {name}", block[column], unit)
    if blocks:
        report.table("A block of the DiT", list(blocks[0]), blocks)
    gpu.close()
    torch.cuda.empty_cache()
