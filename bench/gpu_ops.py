"""bench/gpu_ops.py — attention and the matrix products at the standard sizes, beside what PyTorch calls, in one process.

    F5_TEST_LIBRARY=$(tests/gpu/build_ops.sh) python3 bench/gpu_ops.py

Each figure is the median of 25 replays of a CUDA graph of 24 calls over rotating inputs (several times the L2), random
data, timed by events; ours and PyTorch's alternate. % is of the matrix rate measured first.
"""
import statistics
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "gpu")]
import cbind  # noqa: E402
from gpubind import Gpu, Pack, capture  # noqa: E402

SIZES = {"S": 938, "M": 1406, "L": 2062}
HEADS, DIM, CALLS, SETS, REPLAYS = 16, 1024, 24, 8, 25
LINEARS = [("qkv", 1024, 3072, "NONE"), ("out", 1024, 1024, "RESIDUAL"), ("ff1", 1024, 2048, "GELU_TANH"),
           ("ff2", 2048, 1024, "RESIDUAL")]


def replay_us(graph):
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    graph.replay()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) * 1e3 / CALLS


def compare(calls):
    """{name: call(set index)} -> {name: median µs}; the candidates take turns. One that cannot run is None."""
    graphs, times = {}, {name: [] for name in calls}
    for name, call in calls.items():
        try:
            graphs[name] = capture(lambda call=call: [call(i % SETS) for i in range(CALLS)])
        except (RuntimeError, AssertionError) as error:
            print(f"  {name}: {str(error).splitlines()[0]}")
    for round_ in range(REPLAYS + 3):
        for name, graph in graphs.items():
            took = replay_us(graph)
            if round_ >= 3:
                times[name].append(took)
    return {name: statistics.median(t) if t else None for name, t in times.items()}


def show(what, us, flop, peak, against):
    if us is None:
        return
    rate = flop / us / 1e6
    ratio = f"{against / us:6.2f}x" if against else ""
    print(f"{what:<34}{us:>9.1f} µs{rate:>8.0f} TFLOP/s{100 * rate / peak:>6.0f} %  {ratio}")


def rope_table(positions):
    i = torch.arange(32, dtype=torch.float64)
    angles = torch.arange(positions, dtype=torch.float64)[:, None] * 10000.0 ** (-2 * i / 64)
    return torch.stack([angles.cos(), angles.sin()], dim=-1).float().cuda().contiguous()


def attention(gpu, size, frames, dtype, peak):
    pack, rope = Pack([frames, frames]), rope_table(4096)
    qkv = [torch.randn(2 * frames, 3, HEADS, 64, device="cuda").to(dtype) for _ in range(SETS)]
    y = [torch.empty(2 * frames, HEADS, 64, device="cuda", dtype=dtype) for _ in range(SETS)]
    # as PyTorch wants it; its heads are not rotated, so ours are timed both ways
    parts = [q.view(2, frames, 3, HEADS, 64).permute(2, 0, 3, 1, 4) for q in qkv]

    def ours(i, portable, rope_heads):
        gpu.context.force_portable = portable
        gpu.run("attention", pack=pack, heads=HEADS, rope_heads=rope_heads, max_position=4096, qkv=qkv[i], rope=rope,
                y=y[i], type=dtype)

    def torch_with(backend):
        def call(i):
            with sdpa_kernel(backend):
                return F.scaled_dot_product_attention(*parts[i])
        return call

    us = compare({
        "f5 hopper": lambda i: ours(i, False, 0), "f5 hopper, RoPE": lambda i: ours(i, False, HEADS),
        "f5 portable, RoPE": lambda i: ours(i, True, HEADS), "torch cuDNN": torch_with(SDPBackend.CUDNN_ATTENTION),
        "torch FlashAttention-2": torch_with(SDPBackend.FLASH_ATTENTION)})
    gpu.context.force_portable = False
    flop = 4.0 * 64 * frames * frames * HEADS * 2
    for name, t in us.items():
        show(f"attention {size} {frames} {name}", t, flop, peak, us["torch cuDNN"])


def linear(gpu, size, frames, dtype, peak):
    rows = 2 * frames
    pack = Pack([frames, frames])
    for name, width_in, width_out, epilogue in LINEARS:
        x = [torch.randn(rows, width_in, device="cuda").to(dtype) for _ in range(SETS)]
        w = [(torch.randn(width_out, width_in, device="cuda") * width_in ** -0.5).to(dtype) for _ in range(SETS)]
        bias, gate = torch.randn(width_out, device="cuda"), torch.randn(width_out, device="cuda")
        rounded = bias.to(dtype)
        residual = epilogue == "RESIDUAL"
        y = [torch.zeros(rows, width_out, device="cuda", dtype=torch.float32 if residual else dtype)
             for _ in range(SETS)]

        def ours(i, portable):
            gpu.context.force_portable = portable
            gpu.run("linear", pack=pack, out=width_out, x=x[i], w=w[i], bias=bias, bias_as_type=rounded,
                    gate=gate if residual else None, addend=y[i] if residual else None, y=y[i],
                    epilogue=getattr(cbind, f"LINEAR_{epilogue}"), type=dtype, y_f32=residual, **{"in": width_in})

        # PyTorch's has the bias in its epilogue, and neither GELU nor gate nor residual
        us = compare({f"f5 hopper {epilogue}": lambda i: ours(i, False),
                      f"f5 cuBLASLt {epilogue}": lambda i: ours(i, True),
                      "torch addmm": lambda i: F.linear(x[i], w[i], rounded)})
        gpu.context.force_portable = False
        for which, t in us.items():
            show(f"{name} {size} [{rows},{width_in}]->{width_out} {which}"[:50], t, 2.0 * rows * width_in * width_out,
                 peak, us["torch addmm"])


def main():
    gpu = Gpu()
    print(f"{torch.cuda.get_device_name()}, {torch.cuda.get_device_properties(0).multi_processor_count} "
          f"multiprocessors, torch {torch.__version__}, path {gpu.path}")
    dtype = torch.float16
    a, b = (torch.randn(8192, 8192, device="cuda").to(dtype) for _ in range(2))
    peak = 2.0 * 8192 ** 3 / compare({"peak": lambda i: a @ b})["peak"] / 1e6
    print(f"matrix rate, 8192^3 through torch: {peak:.0f} TFLOP/s")
    del a, b
    for size, frames in SIZES.items():
        attention(gpu, size, frames, dtype, peak)
    attention(gpu, "long", 4096, dtype, peak)
    attention(gpu, "M bf16", SIZES["M"], torch.bfloat16, peak)
    for size, frames in SIZES.items():
        linear(gpu, size, frames, dtype, peak)
    gpu.close()


if __name__ == "__main__":
    main()
