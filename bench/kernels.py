"""bench/kernels.py — every op at the sizes of S, M and L beside what this machine can do and what its libraries take.

    f5bench.py kernels [--sizes M] [--precision bf16] [--op 'qkv|attention'] [--list]

The ops and their inputs are those of tests/ops.py: what is timed is what was proved. --op takes an expression that is
looked for in the rows' names; --list shows the rows and their work, and measures nothing.

The ceilings come first, in the same run: large matrix products and a large copy on the device, through PyTorch.
Then each op, as the model calls it: the median of 25 replays of a CUDA graph of 24 calls, by events, on random data;
the candidates take turns. Inputs rotate among so many sets that they are not in the L2 from the last call; where that
takes too many sets the row is marked *, and is the cache's figure.

floor           the larger of FLOP / matrix rate and bytes (each input and output once) / copy rate
% of it         floor / time
library         the fastest of PyTorch's call and of the algorithms that cuBLASLt proposes; in two columns,
  less work     where the library leaves something out: of RESIDUAL, GELU and RoPE the product and its bias alone, its
                result of the operands' type; of conv_pos and conv1d cuDNN's convolution and bias
  same work     where it gives our result: RESIDUAL by cuBLASLt with its F32 result added to (no gate: it has none for
                each output), GELU by cuBLASLt's own epilogue, NONE; attention without RoPE by cuDNN
portable        our path for GPUs before Hopper, on this GPU

A block of the DiT, two norms, four products and attention, is the sum of its rows.
"""
import re
import statistics
import sys
from dataclasses import dataclass, field
from functools import cache

import torch
import torch.nn.functional as F

from workload import REF_FRAMES, ROOT, SIZES

sys.path.insert(0, str(ROOT / "tests" / "gpu"))
import cublaslt  # noqa: E402
import kernel_rows  # noqa: E402
import ops  # noqa: E402  found by workload
from gpubind import NAMES, Gpu  # noqa: E402
from op_base import Call, Draw, Model  # noqa: E402

CALLS, REPLAYS, PROPOSALS = 24, 25, 6


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
    rate: float = 1.0  # of the ceiling of dtype: 8-bit operands have twice that of 16-bit ones


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


# ---- the ops, beside what libraries make of their inputs


def sets_for(bytes_):
    """As many input sets as push each other out of the L2, within reason."""
    l2 = torch.cuda.get_device_properties(0).L2_cache_size
    return max(3, min(CALLS, -(-2 * l2 // int(bytes_))))


def attention_rivals(_, timed, calls):
    """cuDNN's attention, which leaves RoPE out."""
    from torch.nn.attention import SDPBackend, sdpa_kernel  # of PyTorch 2
    lengths, op = timed.lengths, timed.op
    parts = [c.rows["qkv"].view(len(lengths), lengths[0], 3, op.heads, 64).permute(2, 0, 3, 1, 4) for c in calls]

    def cudnn(i):
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            return F.scaled_dot_product_attention(*parts[i])

    return {f"cuDNN {'bare' if op.rope_heads else 'same'}": [cudnn]}


def linear_rivals(library, timed, calls):
    """PyTorch's product with its bias, and the algorithms that cuBLASLt proposes, with as much of the epilogue as it has."""
    op, dtype, residual = timed.op, calls[0].dtype, timed.op.epilogue == "RESIDUAL"
    if op.int8_weights:
        return {}
    bias, y_f32 = calls[0].shared.get("bias"), op.y_f32 or calls[0].dtype == torch.float32
    rounded = (torch.zeros(op.width, device="cuda") if bias is None else bias).to(dtype)
    drawn = [(c.rows["x"], c.shared["w"], c.output().a.zero_()) for c in calls]
    if op.two:  # the library's operands lie side by side
        drawn = [(torch.cat([x, c.rows["x2"]], 1), torch.cat([w, c.shared["w2"]], 1), y) for (x, w, y), c in zip(drawn, calls)]
    plain = [torch.empty(len(x), op.width, device="cuda", dtype=dtype) for x, *_ in drawn]

    def proposed(results, offset, **what):
        """The library's algorithms, each as a call(i)."""
        if not library:
            return []
        found = [library.proposals(x, w, offset, y, PROPOSALS, **what) for (x, w, _), y in zip(drawn, results)]
        return [lambda i, a=a: found[i][a]() for a in range(min(len(f) for f in found))]

    bare = [lambda i: F.linear(drawn[i][0], drawn[i][1], rounded)]
    if timed.searched:
        bare += proposed(plain, rounded)
    if op.epilogue == "NONE" and y_f32 == (dtype == torch.float32):
        return {"cuBLASLt same": bare}
    rivals = {"cuBLASLt bare": bare}
    if residual or op.epilogue == "NONE":
        rivals["cuBLASLt same"] = proposed([y for *_, y in drawn], bias, add=residual)
    elif op.epilogue == "GELU_TANH":
        rivals["cuBLASLt same"] = proposed(plain, rounded, gelu=True)
    return rivals


def conv_pos_rivals(_, timed, calls):
    """cuDNN's convolution and bias, of rows as they lie or turned beforehand."""
    n, frames, dim = len(timed.lengths), timed.lengths[0], timed.op.width
    kernels = [c.shared["w"].permute(1, 2, 0).contiguous() for c in calls]
    bias = [c.shared["bias"].to(c.dtype) for c in calls]
    across = [c.rows["x"].view(n, frames, dim).transpose(1, 2) for c in calls]  # channels last, as the rows lie
    apart = [a.contiguous() for a in across]
    flat = [a[:, :, None] for a in across]  # the same memory as images of one row, which other kernels serve
    images = [k[:, :, None].contiguous(memory_format=torch.channels_last) for k in kernels]
    found = [lambda i, x=x: F.conv1d(x[i], kernels[i], bias[i], padding=15, groups=16) for x in (apart, across)]
    return {"cuDNN bare": [*found, lambda i: F.conv2d(flat[i], images[i], bias[i], padding=(0, 15), groups=16)]}


def conv1d_rivals(_, timed, calls):
    """cuDNN's convolution and bias, of rows as they lie or turned beforehand."""
    op = timed.op
    if len(timed.lengths) != 1:
        return {}
    kernels = [c.shared["w"].permute(1, 2, 0).contiguous() for c in calls]
    bias = [c.shared["bias"].to(c.dtype) if op.bias else None for c in calls]
    across = [c.rows["x"].view(1, -1, op.width_in).transpose(1, 2) for c in calls]  # channels last, as the rows lie
    apart = [a.contiguous() for a in across]
    reach = op.taps // 2 * op.dilation
    return {"cuDNN bare": [lambda i, x=x: F.conv1d(x[i], kernels[i], bias[i], padding=reach, dilation=op.dilation)
                           for x in (apart, across)]}


RIVALS = {"attention": attention_rivals, "linear": linear_rivals, "conv_pos": conv_pos_rivals, "conv1d": conv1d_rivals}


def case_of(gpu, library, timed, dtype):
    """A row of ops.py's cases_bench on random inputs, laid out as the tests lay them out."""
    dtype = dtype if timed.operands and dtype in timed.op.types else torch.float32
    draw = Draw(1, timed.title, device=gpu.kind)

    def made():
        call = Call(gpu, timed.op, dtype, timed.op.draw(draw, timed.lengths, dtype))
        y = call.output()
        y.a.zero_()  # it may be an input too, and NaN would be kinder to the power limit than numbers are
        return call, call.fields(y)

    first = made()
    moved = first[0].bytes()
    drawn = [first] + [made() for _ in range(sets_for(moved) - 1)]
    rivals = RIVALS.get(timed.op.name, lambda *_: {})(library, timed, [call for call, _ in drawn])
    return Case(timed.title, len(drawn), timed.op.flop(timed.lengths), moved, dtype,
                lambda i: gpu.run(timed.op.name, **drawn[i][1]), rivals, 2.0 if timed.op.name == "linear_int8" else 1.0)


def timed_ops(config, frames, wanted=None):
    """[Timed] of one request, every op of the list: those whose title, or op, matches the expression `wanted`."""
    found = [timed for name in ops.names() for timed in ops.class_of(name).cases_bench(Model(config, frames, REF_FRAMES))]
    return [t for t in found if not wanted or re.search(wanted, t.title) or re.fullmatch(wanted, t.op.name)]


def print_list(config, sizes, dtype, wanted):
    """--list: the rows that would be measured, with their work; needs no GPU."""
    for size in sizes:
        for timed in timed_ops(config, SIZES[size], wanted):
            kind = dtype if timed.operands and dtype in timed.op.types else torch.float32
            print(f"{size}  {timed.title:<28} {timed.op.name:<12} {NAMES[kind]}  lengths {timed.lengths}  "
                  f"{timed.op.flop(timed.lengths) / 1e9:9.3f} GFLOP")


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
    return kernel_rows.row(case.op, times, case.flop, case.bytes, case.rate * rates[case.dtype], bandwidth, cached)


def cublaslt_here():
    try:
        return cublaslt.Library()
    except (OSError, RuntimeError) as error:
        print(f"cuBLASLt's first choices alone: {error}")
        return None


def run(bench):
    dtype = {v: k for k, v in NAMES.items()}.get(bench.precision, torch.float16)
    if bench.args.list:
        print_list(bench.config, bench.sizes(), dtype, bench.args.op)
        return
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
        for timed in timed_ops(bench.config, SIZES[size], bench.args.op):
            case = case_of(gpu, library, timed, dtype)
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
