"""bench/precisions.py — number types by turns in one process: time, energy and error of the same requests.

    f5bench.py precisions [--sizes M]

Engines of fp16 and int8 are open side by side; requests are as e2e has them. Time is by turns; joules of requests one
after another for a second (power.py; "" where the card does not tell). Error: generated frames against our own fp32
engine's, same noise, relative L2.
"""
import statistics

import numpy as np

import power
from e2e import FIRST_FRAMES, FIRST_REFERENCE_SECONDS
from workload import COND_FRAMES, SIZES, clock_ms, error, random_request, recording

PRECISIONS = ("fp16", "int8")
SETTINGS = (("euler", 32), ("ab2", 12))


def wanted(bench, requests):
    with bench.engine(max_frames=max(SIZES.values()), precision="fp32") as ours:
        return {key: ours.engine.sample([r], nfe=nfe, method=method)[0][COND_FRAMES:]
                for key, (r, nfe, method) in requests.items()}


def run(bench):
    try:
        meter = power.Meter(0)
        meter.joules()
    except RuntimeError as lack:
        meter = print(f"no joules: {lack}")
    sizes, rounds = bench.sizes(), bench.args.rounds
    with bench.engine(max_frames=2062, precision="fp16") as half, bench.engine(max_frames=2062, precision="int8") as whole:
        engines = dict(zip(PRECISIONS, (half, whole)))
        for name, ours in engines.items():
            info = ours.engine.info()
            print(f"{name}: {info['weight_bytes'] / 1e6:.1f} MB of weights, {info['device_bytes'] / 1e6:.1f} MB on the device")
            bench.report.figure(f"memory 2062 frames {name}", info["device_bytes"] / 1e6, "MB")
        rng, requests = bench.rng, {}
        for size in sizes:
            cond, tokens, noise = random_request(rng, SIZES[size], half.engine.info()["vocab_size"])
            for method, nfe in SETTINGS if size == "M" else SETTINGS[:1]:
                requests[size, method, nfe] = dict(cond=cond, tokens=tokens, noise=noise, frames=SIZES[size]), nfe, 2 * (method == "ab2")
        truth = wanted(bench, requests)
        sound, short = recording(rng), recording(rng, FIRST_REFERENCE_SECONDS)
        table = bench.report.growing("Precisions by turns")
        for key in [*requests, ("first audio", "euler", 32), ("first audio", "ab2", 12)]:
            size, method, nfe = key
            frames, heard = (FIRST_FRAMES, short) if size == "first audio" else (SIZES[size], sound)
            calls = {name: ours.request(ours.voice(heard), frames, nfe, method) for name, ours in engines.items()}
            times = {name: statistics.median(t) for name, t in clock_ms(calls, rounds).items()}
            for name, ours in engines.items():
                row = {"size": size, "method": method, "evaluations": nfe, "": name, "ms": times[name],
                       "faster": f"{times['fp16'] / times[name]:.3f}×"}
                if meter and size != "first audio":
                    found = power.one_after_another(calls[name], meter, 1)
                    row.update({"ms sustained": found["ms"], "J": found["J"], "W": found["W"]})
                if key in truth:
                    made = ours.engine.sample([requests[key][0]], nfe=nfe, method=requests[key][2])[0]
                    row["error"] = error(made, truth[key])
                    bench.report.figure(f"precision {size} {method} {nfe} {name} error", row["error"], "rel. L2")
                table.add(row)
                bench.report.figure(f"precision {size} {method} {nfe} {name}", row["ms"], "ms")
                if "J" in row:
                    bench.report.figure(f"precision {size} {method} {nfe} {name} energy", row["J"], "J")
        assert all(np.isfinite(t).all() for t in truth.values())
