"""bench/kernel_rows.py — what kernels.py makes of its times: rows of its tables, and a block of the DiT put together.
Needs neither PyTorch nor a GPU.

A rival is named by its library and by what it does of an op's work: "cuBLASLt bare" less than all of it, "cuBLASLt
same" all of it, or as nearly all as the library can.
"""
import statistics

from workload import spread

# a block of the DiT: how often it runs an op, by the op's first words in the table
BLOCK = {"norm ": 2, "qkv ": 1, "attention": 1, "out ": 1, "ff1 ": 1, "ff2 ": 1}


def rival_cells(us, kind):
    """(library and µs, how much faster ours is) of the rival of this kind, or empty cells."""
    found = next((name for name in us if name.endswith(" " + kind)), None)
    if found is None:
        return "", ""
    return f"{found.removesuffix(' ' + kind)} {us[found]:.1f}", f"{us[found] / us['ours']:.2f}×"


def row(op, times, flop, bytes_, rate, bandwidth, cached):
    """A row of the table, from {candidate: [µs]}; rate in FLOP/µs, bandwidth in bytes/µs."""
    us = {name: statistics.median(t) for name, t in times.items()}
    low, high = spread(times["ours"])
    floor = max(flop / rate, bytes_ / bandwidth)
    bare, same = rival_cells(us, "bare"), rival_cells(us, "same")
    return {"op": op, "µs": us["ours"], "10th … 90th": f"{low:.1f} … {high:.1f}", "floor µs": floor,
            "% of it": 100 * floor / us["ours"], "L2": "*" if cached else "",
            "TFLOP/s": flop / us["ours"] / 1e6 if flop else None, "GB/s": bytes_ / us["ours"] / 1e3,
            "library, less work": bare[0], "ours faster": bare[1],
            "library, same work": same[0], "ours is faster": same[1],
            "portable µs": us.get("portable"),
            "portable/ours": us["portable"] / us["ours"] if "portable" in us else None, "_us": us}


def block(rows):
    """A block of the DiT from its ops' rows: sums of µs. None where an op is missing."""
    found = []
    for start, times in BLOCK.items():
        one = next((r for r in rows if r["op"].startswith(start) and "RoPE within" not in r["op"]), None)
        if one is None:
            return None
        found += [one] * times
    us = [r["_us"] for r in found]

    def total(*names):
        """Of each op the first of these that it has; what no rival does is ours in all of them."""
        return sum(next((u[n] for n in names if n in u), u["ours"]) for u in us)

    ours = total("ours")
    portable = total("portable") if all("portable" in u for u in us) else None
    return {"µs": ours, "floor µs": sum(r["floor µs"] for r in found),
            "libraries, less work": total("cuBLASLt bare", "cuDNN bare", "cuBLASLt same", "cuDNN same"),
            "libraries, same work": total("cuBLASLt same", "cuDNN same", "cuBLASLt bare", "cuDNN bare"),
            "portable µs": portable, "portable/ours": portable / ours if portable else None}
