#!/usr/bin/env python3
"""try.py — one op at one shape: is it right, what does it take, what would it take at the machine's ceilings.

    bench/try.py                                              the ops, and the shapes that each one has
    bench/try.py linear --shape 1024,3072,ROPE,rope_heads=16 --lengths 938,938 --type fp16
    bench/try.py attention --shape heads=16 --lengths 1406,1406 --tail 4 --path sm80
    bench/try.py norm --shape 1024,one_plus=1 --check         one of --check and --time alone, else both

--shape is what the op's class in tests/ops.py is made of, in its order or by name. Inputs are drawn as for the tests
(--seed, else fresh), the tail holds NaN, the truth is the class's own, in double.
Where PyTorch sees a GPU the CUDA op runs, else the C reference on the CPU; --device says which. Libraries: F5_BUILD or
F5_TEST_LIBRARY; on a machine without CMake F5_TEST_LIBRARY=$(tests/gpu/build_ops.sh). Times are medians: on the GPU by
events around graphs of calls on inputs that are not in the L2 (bench/kernels.py), on the CPU by the clock, inputs warm.
The floor is the larger of FLOP by the rate of a large product and bytes, each once, by that of a large copy.
"""
import argparse
import inspect
import os
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / p) for p in ("weights", "tests", "tests/gpu", "bench")]

try:
    import torch
except ImportError:
    sys.exit(f"try.py needs PyTorch, which {sys.executable} has not (Debian: python3-torch and /usr/bin/python3)")

import op_base  # noqa: E402
import ops  # noqa: E402

TYPES = {name: kind for kind, name in op_base.NAMES.items()}
REPEATS = 25


def value_of(text):
    """"938" a number, "1" of a flag true, "RESIDUAL" a word."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def instance(name, shape):
    """The op of that shape, "1024,one_plus=1"; without one the first of its cases_test."""
    if name not in ops.names():
        sys.exit(f"try.py: no op {name!r}; there are {', '.join(ops.names())}")
    op = ops.class_of(name)
    if not shape:
        return op.cases_test()[0]
    words = [part.strip() for part in shape.split(",")]
    try:
        return op(*(value_of(w) for w in words if "=" not in w),
                  **{w.split("=")[0]: value_of(w.split("=")[1]) for w in words if "=" in w})
    except (TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        sys.exit(f"try.py: {name} is made of {shape_of(op)}: {error}")


def shape_of(op):
    return str(inspect.signature(op.__init__)).replace("(self, ", "(").replace("(self)", "()")


def print_ops():
    for name in ops.names():
        op = ops.class_of(name)
        kinds = " ".join(op_base.NAMES[t] for t in op.types)
        print(f"{name:<12} {kinds:<14} --shape {shape_of(op)}")


def device_of(kind, path):
    if kind == "cpu":
        if path:
            sys.exit("try.py: --path is for the GPU")
        return op_base.Reference()
    from gpubind import Gpu
    gpu = Gpu()
    if path:
        gpu.limit(path)
        if gpu.path != path:
            sys.exit(f"try.py: this device or build has no {path} path, only {gpu.path}")
    return gpu


def check(call):
    """Prints the error of every slot together; false where it is over the tests' bar."""
    op, y = call.op, call.live(call.run())
    want, bar = op.expected(call.inputs), op.bar(call.device.suffix, call.dtype)
    if op.rounded_once and call.device.suffix == "ref":
        want = want.float()
    if not want.numel():
        print("check        nothing to compute; nothing was written beside y")
        return True
    try:
        error = op_base.rel_l2(y, want)
    except AssertionError as failure:
        print(f"check        WRONG: {failure}")
        return False
    worst = int((y.double() - want.to(y.device).double()).abs().argmax())
    print(f"check        relative L2 {error:.2e}, bar {bar:.0e}: {'right' if error <= bar else 'WRONG'}; "
          f"largest difference at element {worst % op.width} of output {worst // op.width}")
    return error <= bar


def wall_us(call):
    """Median µs of a call on the CPU, and the rates of this machine in FLOP and bytes a µs."""
    def median(work, repeats):
        times = []
        for _ in range(repeats + 2):
            started = time.perf_counter()
            work()
            times.append(1e6 * (time.perf_counter() - started))
        return statistics.median(times[2:])

    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    a, b = torch.randn(2, 1024, 1024).unbind()
    x, y = torch.randn(2, 1 << 24).unbind()
    rate, bandwidth = 2.0 * 1024 ** 3 / median(lambda: torch.mm(a, b), 5), 8 * x.numel() / median(lambda: y.copy_(x), 5)
    torch.set_num_threads(threads)
    fields = call.fields(call.output())
    return median(lambda: call.device.run(call.op.name, **fields), REPEATS), rate, bandwidth


def device_us(call, lengths):
    import kernels
    timed = op_base.Timed(call.op.label, call.op, lengths)
    case = kernels.case_of(call.device, None, timed, call.dtype)
    times = kernels.compare({"ours": [case.ours]}, case.sets)
    if "ours" not in times:
        sys.exit("try.py: the op failed in a graph")
    return statistics.median(times["ours"]), kernels.product_rate(case.dtype), kernels.copy_rate()


def timing(call, lengths):
    us, rate, bandwidth = wall_us(call) if call.device.kind == "cpu" else device_us(call, lengths)
    flop, moved = call.op.flop(call.op.slot_lengths(lengths)), call.bytes()
    floor = max(flop / rate, moved / bandwidth)
    print(f"time         {us:.1f} µs")
    print(f"work         {flop / 1e9:.3f} GFLOP, {moved / 1e6:.2f} MB: {flop / us / 1e6:.2f} TFLOP/s, {moved / us / 1e3:.1f} GB/s")
    print(f"floor        {floor:.1f} µs ({'FLOP' if flop / rate > moved / bandwidth else 'bytes'}; product "
          f"{rate / 1e6:.2f} TFLOP/s, copy {bandwidth / 1e3:.1f} GB/s): {100 * floor / us:.0f} % of it")


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("op", nargs="?", help="as in kernels/op_list.h; none: they are listed")
    p.add_argument("--shape", help="what its class in tests/ops.py is made of")
    p.add_argument("--lengths", default=None, help="rows of the sequences, as 938,938 (default: one of 938)")
    p.add_argument("--tail", type=int, default=0, help="rows after them that belong to none")
    p.add_argument("--type", choices=TYPES, help="default: fp16 on a GPU where the op has it, else fp32")
    p.add_argument("--check", action="store_true")
    p.add_argument("--time", action="store_true")
    p.add_argument("--path", choices=("sm80", "sm90"), help="instruction path (default: the device's best)")
    p.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--seed", type=int, default=int(time.time()))
    return p


def main(argv):
    args = options().parse_args(argv)
    if not args.op:
        print_ops()
        return 0
    op = instance(args.op, args.shape)
    lengths = [int(n) for n in args.lengths.split(",")] if args.lengths else [24000 if op.single else 938]
    dtype = TYPES[args.type] if args.type else torch.float32
    if not args.type and args.device == "cuda" and torch.float16 in op.types:
        dtype = torch.float16
    if dtype not in op.types or args.device == "cpu" and dtype != torch.float32:
        sys.exit(f"try.py: {args.op} has no {op_base.NAMES[dtype]} on {args.device}")
    device = device_of(args.device, args.path)
    draw = op_base.Draw(args.seed, op.label, device=device.kind)
    call = op_base.Call(device, op, dtype, op.draw(draw, lengths, dtype), args.tail)
    where = "C reference" if args.device == "cpu" else f"{torch.cuda.get_device_name()}, {device.path}"
    print(f"{op.label}: {op_base.NAMES[dtype]}, lengths {lengths}, tail {args.tail}, seed {args.seed}; {where}")
    right = True if args.time and not args.check else check(call)
    if args.time or not args.check:
        timing(call, lengths)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
