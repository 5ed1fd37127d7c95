"""bench/load.py — many clients at once: how much speech a second one engine makes, and how long each waits for his.

    f5bench.py load [--clients 1 16] [--nfe 32 16 7] [--batch-frames 1 0]

Each client is a thread that speaks one request after another (bench/e2e.py: text and a voice of 5 s to samples) through
the public API on the one engine, which packs the requests that wait. All begin at once; a row's time is from there to
the last result, so it holds the filling and the draining too. A request's latency is what its client sees, waiting
included. --batch-frames compares how far the engine packs: 1 not at all, 0 as it likes; --size mixed draws a length for
every request, 5 to 17 s. What was captured within a row shows as graphs: lengths that were not met before.

The table is Markdown, to be pasted. --json FILE writes all of it.
"""
import argparse
import datetime
import functools
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from report import Report, Table
from workload import COND_FRAMES, METHODS, SIZES, TRANSCRIPT, Speaker, commit, generated_seconds, recording
import f5file  # found by workload
import f5lib

MIXED = 938, 2062  # frames, reference included: 5 to 17 s are spoken


class Client(Speaker):
    def __init__(self, engine, voice, nfe, seed, method="euler"):
        super().__init__(engine, voice, nfe, max(SIZES.values()), seed, method)
        self.rng = np.random.default_rng(seed)

    def answer(self, size):
        """{frames, latency_ms, wait_ms} of one request."""
        frames = SIZES.get(size) or int(self.rng.integers(*MIXED, endpoint=True))
        started = time.perf_counter()
        stats = self.speak(frames)
        return dict(frames=frames, latency_ms=1e3 * (time.perf_counter() - started), wait_ms=stats.wait_ms)


def run_clients(answers, rounds):
    """`rounds` requests for each client, all at once: seconds from the common start to the last result, and every result. Who
    was answered takes the next of all requests that are left, so that at the end no client is alone. A client's failure is
    raised."""
    done, failures, began, left = [], [], [], iter(range(rounds * len(answers)))
    start = threading.Barrier(len(answers), action=lambda: began.append(time.perf_counter()))

    def work(answer):
        start.wait()
        try:
            for _ in left:
                done.append(answer())
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(a,)) for a in answers]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    seconds = time.perf_counter() - began[0]
    if failures:
        raise failures[0]
    return seconds, done


def measure(engine, voice, size, nfe, clients, args):
    crowd = [Client(engine, voice, nfe, 1000 * args.seed + i, args.method) for i in range(clients)]
    rounds = max(args.rounds, -(-args.least // clients))
    answers = [functools.partial(client.answer, size) for client in crowd]
    run_clients(answers, args.warm)  # graphs of the usual batches
    before = engine.info()
    seconds, requests = run_clients(answers, rounds)
    after = engine.info()
    for c in crowd:
        assert np.isfinite(c.samples[:256 * (min(SIZES.values()) - COND_FRAMES)]).all(), "NaN was spoken"
    audio = sum(generated_seconds(r["frames"]) for r in requests)
    latency = [r["latency_ms"] for r in requests]
    return dict(size=size, nfe=nfe, clients=clients, batch_frames=after["batch_frames"], requests=len(requests),
                seconds=seconds, audio_seconds=audio, throughput=audio / seconds,
                latency_ms={p: float(np.percentile(latency, p)) for p in (50, 90, 100)},
                wait_ms=statistics.median(r["wait_ms"] for r in requests),
                batch=(after["calls"] - before["calls"]) / (after["batches"] - before["batches"]),
                graphs=after["graphs"] - before["graphs"])


def shown(row):
    """What of a row is in the table."""
    latency = row["latency_ms"]
    return {"size": row["size"], "NFE": row["nfe"], "batch frames": row["batch_frames"], "clients": row["clients"],
            "audio-s per s": row["throughput"], "ms a request": 1e3 * row["seconds"] / row["requests"],
            "latency p50": latency[50], "p90": latency[90], "longest": latency[100], "requests a batch": row["batch"],
            "graphs": row["graphs"]}


def options():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0],
                                formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--sizes", nargs="+", choices=[*SIZES, "mixed"], default=["M"])
    p.add_argument("--nfe", nargs="+", type=int, default=[32, 16, 7])
    p.add_argument("--method", choices=METHODS, default="euler")
    p.add_argument("--clients", nargs="+", type=int, default=[1, 2, 4, 8, 16, 32])
    p.add_argument("--batch-frames", nargs="+", type=int, default=[0], help="how far the engine packs")
    p.add_argument("--max-batch", type=int, default=16)
    p.add_argument("--max-frames", type=int, default=0, help="0: room for the batch frames and the longest request")
    p.add_argument("--rounds", type=int, default=2, help="requests for each client")
    p.add_argument("--least", type=int, default=8, help="requests of all clients of a row")
    p.add_argument("--warm", type=int, default=1, help="of them beforehand, not counted")
    p.add_argument("--arch", default="F5TTS_v1_Base", help="random weights of this model")
    p.add_argument("--model", metavar="FILE", help="a .f5 instead")
    p.add_argument("--device", default="cuda")
    p.add_argument("--precision", choices=["fp32", "fp16", "bf16", "int8"], default="fp16")
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--commit", default=commit(), help="what the report says was measured")
    p.add_argument("--json", metavar="FILE")
    p.add_argument("--history", action="store_true", help="append the figures to bench/history/<gpu>.csv as they come")
    return p


def figures(report, row, args):
    steps = f"nfe {row['nfe']}" if args.method == "euler" else f"{args.method} {row['nfe']}"
    case = f"load {row['size']} {steps} {args.precision} clients {row['clients']}"
    report.figure(case, row["throughput"], "audio s/s")
    report.figure(f"{case} p50", row["latency_ms"][50], "ms")


def main(argv=None):
    args = options().parse_args(argv)
    f5lib.library()  # missing, it is missed before the weights are drawn
    table = Table("f5tts, many clients", widths={"size": 5, "batch frames": 6, "p90": 6, "longest": 6})
    rows, samples = [], recording(np.random.default_rng(args.seed))
    with tempfile.TemporaryDirectory() as folder:
        path = args.model or Path(folder) / "model.f5"
        if not args.model:
            f5file.write_model(path, args.arch, seed=args.seed, dtype="fp16" if args.precision in ("fp16", "int8") else "fp32")
        for i, batch_frames in enumerate(args.batch_frames):
            room = args.max_frames or max(batch_frames or 16384, max(SIZES.values()) + 64)
            with f5lib.Engine(path, args.device, args.precision, max_frames=room, max_batch=args.max_batch,
                              max_evaluations=max(args.nfe), batch_frames=batch_frames) as engine:
                if i == 0:
                    info = engine.info()
                    kept = Report(info["device"], commit=args.commit)
                    if args.history:
                        print("figures are appended to", kept.keep_history())
                    report = dict(date=datetime.date.today().isoformat(), commit=args.commit, gpu=info["device"],
                                  model=info["name"], precision=args.precision, max_batch=args.max_batch, seed=args.seed)
                    print(f"{info['device']}, f5tts {f5lib.library().f5_version().decode()} ({args.commit}), "
                          f"{info['name']}, {args.precision}, max_batch {args.max_batch}, seed {args.seed}")
                with engine.voice(samples, TRANSCRIPT, keep_whole=1) as voice:
                    for size, nfe, clients in [(s, n, c) for s in args.sizes for n in args.nfe for c in args.clients]:
                        rows.append(measure(engine, voice, size, nfe, clients, args))
                        table.add(shown(rows[-1]))
                        figures(kept, rows[-1], args)
    if args.json:
        Path(args.json).write_text(json.dumps({**report, "rows": rows}, indent=1) + "\n")
    return rows


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
