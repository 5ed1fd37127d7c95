"""Every op of f5tts on the device at hand, against PyTorch in double.

    python -m f5tts.ops.check                            all of them, on the GPU where torch sees one, else on the CPU
    python -m f5tts.ops.check --op attention --op norm   some
    python -m f5tts.ops.check --device cpu --seed 7

A line is an op, its shape and number type; the relative L2 distance of its result from the truth and the bar for it; the
microseconds of a call and the floor: what FLOP and bytes take at the rates that a large product and a large copy reach
here. Inputs, truths and bars are those of the project's own tests: packs with empty sequences and with a tail of NaN,
outputs between guard zones. The calls go through f5tts.ops. Needs torch. Exit code 1: an op is over its bar.
"""
from __future__ import annotations

import argparse
import ctypes
import importlib
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

from . import _table
from ._context import function
from ._run import Call, Pack, run

LENGTHS = ([300, 0, 41, 1], 5)
WARM, REPEATS = 2, 9


def _tests() -> tuple[Any, Any]:
    """op_base and ops of the project's tests, as they come with the package."""
    folder = Path(__file__).resolve().parent / "checkout.d/tests"
    sys.path[:0] = [str(folder), str(folder / "gpu")]
    return importlib.import_module("op_base"), importlib.import_module("ops")


class Device:
    """What op_base.Call runs on: the functions of f5tts.ops."""

    def __init__(self, kind: str, op_base: Any) -> None:
        self.kind, self.op_base = kind, op_base

    def pack(self, lengths: list[int], tail: int = 0, slots: Optional[int] = None, rows: Optional[int] = None) -> Pack:
        lengths = list(lengths) + [0] * ((slots or len(lengths)) - len(lengths))
        return Pack(lengths, tail if rows is None else rows - sum(lengths), self.kind)

    def output(self, *shape: int, dtype: Any = None) -> Any:
        torch: Any = importlib.import_module("torch")
        if self.kind == "cpu":
            return self.op_base.HostOutput(*shape, dtype=dtype or torch.float32)
        return importlib.import_module("gpubind").Output(*shape, dtype=dtype or torch.float32)

    def given(self, op: str, fields: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        """Fields of C as the functions of f5tts.ops take them."""
        made, dtype = {}, None
        for name, value in fields.items():
            if name == "type":
                dtype = value
            elif isinstance(value, tuple):
                continue  # no tensor, but the type that it would have
            else:
                made[name] = value.a if hasattr(value, "check") else value
        return made, None if fields.get("y_f32") else dtype

    def run(self, op: str, **fields: Any) -> None:
        made, dtype = self.given(op, fields)
        run(op, made, dtype, loose=True)


def _median(work: Callable[[], Any], kind: str, inner: int = 1) -> float:
    """Microseconds of a call: on the GPU of one among `inner`, between events on its stream."""
    torch: Any = importlib.import_module("torch")
    times = []
    for _ in range(WARM + REPEATS):
        if kind == "cuda":
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            for _ in range(inner):
                work()
            end.record()
            end.synchronize()
            times.append(1e3 * begin.elapsed_time(end) / inner)
        else:
            started = time.perf_counter()
            work()
            times.append(1e6 * (time.perf_counter() - started))
    return float(statistics.median(times[WARM:]))


class Rates:
    """FLOP and bytes a microsecond that this device reaches: a product's of each number type, a copy's."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.products: dict[Any, float] = {}
        self.copies = 0.0

    def of(self, dtype: Any) -> tuple[float, float]:
        torch: Any = importlib.import_module("torch")
        n, size = (4096, 1 << 27) if self.kind == "cuda" else (512, 1 << 22)
        if dtype not in self.products:
            a, b = torch.randn(2, n, n, device=self.kind).to(dtype).unbind()
            self.products[dtype] = 2.0 * n ** 3 / _median(lambda: torch.mm(a, b), self.kind)
        if not self.copies:
            x, y = torch.randn(2, size, device=self.kind).unbind()
            self.copies = 8.0 * size / _median(lambda: y.copy_(x), self.kind)
        return self.products[dtype], self.copies


def floor_us(call: Any, device: Device, rates: Rates) -> float:
    """What the op's own count of FLOP and bytes takes at least."""
    op = call.op.name
    made, dtype = device.given(op, call.fields(call.output()))
    checked = Call(op, made, dtype, True)
    checked.fit()
    checked.outputs()
    arguments = checked.struct()
    flop = call.op.flop(call.op.slot_lengths(call.inputs.lengths))
    moved = float(function(f"{op}_bytes", ctypes.c_double, ctypes.c_void_p)(ctypes.addressof(arguments)))
    product, copy = rates.of(call.dtype)
    return float(max(flop / product, moved / copy))


def cases(ops: Any, wanted: list[str], device: Device) -> Iterator[tuple[Any, Any]]:
    """Every op at every shape and number type that its tests have."""
    torch: Any = importlib.import_module("torch")
    for op in ops.cases_test():
        if op.name in wanted:
            for dtype in op.types if device.kind == "cuda" else (torch.float32,):
                yield op, dtype


def check(op_base: Any, device: Device, op: Any, dtype: Any, seed: int, rates: Rates, timed: bool) -> bool:
    """Runs a case and prints its line; false where it is wrong."""
    torch: Any = importlib.import_module("torch")
    lengths, tail = op.lengths_test[-1] if op.lengths_test else LENGTHS
    name = op_base.NAMES[dtype]
    call = op_base.Call(device, op, dtype, op.draw(op_base.Draw(seed, op.label, name, device=device.kind), lengths, dtype), tail)
    y = call.live(call.run())
    want, bar = op.expected(call.inputs), op.bar(device.kind, dtype)
    if op.rounded_once and device.kind == "cpu":
        want = want.float()
    try:
        error, fault = op_base.rel_l2(y, want), ""
    except AssertionError as failure:
        error, fault = float("nan"), f": {failure}"
    right = error <= bar
    times = ""
    if timed:
        fields = call.fields(call.output())
        took = _median(lambda: device.run(op.name, **fields), device.kind, 20)
        times = f"{took:>10.1f} {floor_us(call, device, rates):>9.1f}"
    print(f"{op.label:<44.44} {name:<5} {error:>9.1e} {bar:>8.0e} {times}  {'' if right else 'WRONG' + fault}".rstrip(), flush=True)
    if device.kind == "cuda":
        torch.cuda.synchronize()
    return bool(right)


def main(argv: list[str]) -> int:
    p = argparse.ArgumentParser(prog="python -m f5tts.ops.check", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--op", action="append", choices=list(_table.OPS), help="this op; may be repeated (default: all)")
    p.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where torch sees a GPU")
    p.add_argument("--seed", type=int, default=int(time.time()), help="of the inputs (default: a new one)")
    p.add_argument("--no-times", action="store_true", help="errors alone")
    args = p.parse_args(argv)
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        sys.exit("f5tts.ops.check compares with PyTorch, which is not here: pip install torch")
    kind = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if kind == "cuda" and not torch.cuda.is_available():
        sys.exit("f5tts.ops.check: torch sees no GPU: --device cpu")
    op_base, ops = _tests()
    device, rates, wanted = Device(kind, op_base), Rates(kind), args.op or list(_table.OPS)
    where = torch.cuda.get_device_name() if kind == "cuda" else "the C references on this CPU"
    print(f"{where}, torch {torch.__version__}, seed {args.seed}")
    print(f"{'op and shape':<44} {'type':<5} {'rel L2':>9} {'bar':>8} {'us':>10} {'floor us':>9}", flush=True)
    started, results = time.monotonic(), {name: [0, 0] for name in wanted}
    for op, dtype in cases(ops, wanted, device):
        results[op.name][0] += 1
        results[op.name][1] += not check(op_base, device, op, dtype, args.seed, rates, not args.no_times)
    missing = [name for name, (count, _) in results.items() if not count]
    wrong = sum(bad for _, bad in results.values())
    print(f"{len(wanted)} ops, {sum(n for n, _ in results.values())} cases, {wrong} wrong, {time.monotonic() - started:.0f} s")
    if missing:
        print(f"no case for {', '.join(missing)}")
    return int(wrong > 0 or bool(missing))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
