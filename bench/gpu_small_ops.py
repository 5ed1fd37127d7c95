"""gpu_small_ops.py — every op but linear and attention at the M workload (1406 frames, both branches: 2812 rows), fp16.

    F5_TEST_LIBRARY=$(tests/gpu/build_ops.sh) python3 bench/gpu_small_ops.py

Timed as gpu_ops.py does: the median of 25 replays of a graph of 24 calls over rotating inputs. Bytes are what the op must
move (each input once, each output once), % is of the copy bandwidth measured first; where the inputs of all sets fit in
the L2 (marked *), the figure is the cache's. conv_pos shows TFLOP/s too, beside cuDNN through PyTorch.
"""
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "gpu"), str(ROOT / "bench")]
import small_ops  # noqa: E402
from gpu_ops import CALLS, SETS, compare  # noqa: E402
from gpubind import Gpu, Pack, generator  # noqa: E402
from small_ops import Call  # noqa: E402

M = 1406
L2_BYTES = torch.cuda.get_device_properties(0).L2_cache_size if torch.cuda.is_available() else 0
PER_REQUEST = {"norm 1024 one plus": 32 * 45, "conv_pos 1024": 32, "conv_pos 1024 to F32 residual": 32, "guide": 32}


def bandwidth():
    """GB/s of a device-to-device copy, read and write counted."""
    a, b = torch.randn(2, 1 << 29, device="cuda").unbind()
    us = compare({"copy": lambda i: b.copy_(a)})["copy"]
    return 2 * a.numel() * 4 / us / 1e3


def show(label, us, bytes_, peak, cached=False, flop=0):
    if us is None:
        return
    rate = bytes_ / us / 1e3
    line = f"{label:<38}{us:>8.2f} µs{bytes_ / 1e6:>8.1f} MB{rate:>7.0f} GB/s{100 * rate / peak:>5.0f} %"
    line += "*" if cached else " "
    if flop:
        line += f"{flop / us / 1e6:>6.0f} TFLOP/s"
    if label in PER_REQUEST:
        line += f"  {us * PER_REQUEST[label] / 1e3:.2f} ms of an NFE 32 request"
    print(line)


def bytes_of(call, y):
    moved = [y.a, *call.rows.values(), *call.shared.values()]
    return sum(t.numel() * t.element_size() for t in moved)


def calls_of(op, lengths, dtype):
    made = generator(1, op.label)
    sets = []
    for _ in range(SETS):
        call = Call(op, dtype, Pack(lengths), *op.draw(made, lengths, dtype))
        sets.append((call, call.output()))
    return sets


def op_line(gpu, op, lengths, dtype, peak, flop=0):
    sets = calls_of(op, lengths, dtype)
    us = compare({"f5": lambda i: sets[i][0].run(gpu, sets[i][1])})["f5"]
    moved = bytes_of(*sets[0])
    show(op.label, us, moved, peak, moved * SETS < L2_BYTES, flop)


def conv_pos(gpu, op, dtype, peak):
    lengths, dim = [M, M], op.width
    sets = calls_of(op, lengths, dtype)
    flop = 2.0 * 2 * M * dim * (dim // 16) * 31
    kernels = [s[0].shared["w"].permute(1, 2, 0).contiguous() for s in sets]
    bias = [s[0].shared["bias"].to(dtype) for s in sets]
    across = [s[0].rows["x"].view(2, M, dim).transpose(1, 2) for s in sets]  # channels last, as the rows lie
    apart = [a.contiguous() for a in across]
    us = compare({"f5": lambda i: sets[i][0].run(gpu, sets[i][1]),
                  "cuDNN": lambda i: F.conv1d(apart[i], kernels[i], bias[i], padding=15, groups=16),
                  "cuDNN, channels last": lambda i: F.conv1d(across[i], kernels[i], bias[i], padding=15, groups=16)})
    moved = bytes_of(*sets[0])
    show(op.label, us["f5"], moved, peak, moved * SETS < L2_BYTES, flop)
    for name in ("cuDNN", "cuDNN, channels last"):
        if us[name]:
            faster = us[name] / us["f5"]
            print(f"{'  ' + name + ', no Mish':<38}{us[name]:>8.2f} µs   ours is {faster:.2f} times as fast")


def guide(gpu, peak):
    pack, dim = Pack([M, M]), 100
    x, v, kept = (torch.randn(2 * M, dim, device="cuda") for _ in range(3))
    keep = (torch.arange(2 * M, device="cuda") < 469).to(torch.uint8)
    us = compare({"f5": lambda i: gpu.run("guide", pack=pack, dim=dim, branches=2, cfg=2.0, dt=0.03, x=x, v=v, keep=keep,
                                          kept=kept, y=x)})["f5"]
    show("guide", us, 5 * M * dim * 4, peak, True)


def timestep(gpu, peak, dtype):
    t, y = torch.rand(32, device="cuda"), torch.empty(32, 256, device="cuda", dtype=dtype)
    us = compare({"f5": lambda i: gpu.run("timestep", n=32, t=t, y=y, type=dtype)})["f5"]
    show("timestep 32", us, y.numel() * y.element_size(), peak, True)


def mel(gpu, peak):
    n = 120000  # 5 s
    samples, bank = torch.randn(n, device="cuda"), torch.rand(513, 100, device="cuda")
    y = torch.empty(n // 256 + 1, 100, device="cuda")
    us = compare({"f5": lambda i: gpu.run("mel", n_samples=n, samples=samples, bank=bank, y=y)})["f5"]
    show("mel, 5 s", us, 4 * (n + y.numel()), peak, True)


def main():
    gpu, dtype = Gpu(), torch.float16
    peak = bandwidth()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}; copy {peak:.0f} GB/s; {CALLS} calls a graph, "
          f"{SETS} input sets; fp16 unless the op is F32")
    both, one = [M, M], [M]
    op_line(gpu, small_ops.norm(1024, True), both, dtype, peak)
    op_line(gpu, small_ops.norm(512, False), one, torch.float32, peak)
    conv_pos(gpu, small_ops.conv_pos(1024, False, False), dtype, peak)
    conv_pos(gpu, small_ops.conv_pos(1024, True, True), dtype, peak)
    conv_pos(gpu, small_ops.conv_pos(768, False, False), dtype, peak)
    conv_pos(gpu, small_ops.conv_pos(1024, False, False), torch.float32, peak)
    guide(gpu, peak)
    op_line(gpu, small_ops.embed(512), both, torch.float32, peak)
    op_line(gpu, small_ops.dwconv_norm(512), both, dtype, peak)
    op_line(gpu, small_ops.grn(1024), both, dtype, peak)
    op_line(gpu, small_ops.text_mask(512), both, torch.float32, peak)
    op_line(gpu, small_ops.text_upsample(512), both, torch.float32, peak)
    op_line(gpu, small_ops.noise(100), one, torch.float32, peak)
    op_line(gpu, small_ops.conv1d(100, 512, 7), one, torch.float32, peak, 2.0 * M * 512 * 700)
    op_line(gpu, small_ops.istft("center"), one, torch.float32, peak)
    timestep(gpu, peak, dtype)
    mel(gpu, peak)
    gpu.close()


if __name__ == "__main__":
    main()
