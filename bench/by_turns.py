#!/usr/bin/env python3
"""by_turns.py — two builds of the library side by side: each in a process of its own, one request at a time, by turns.

    bench/by_turns.py OLD_TREE NEW_TREE --model v1_base.f5                       on the GPU: S, M, L at NFE 32, M at NFE 7
    bench/by_turns.py OLD_TREE NEW_TREE --model v1_base.f5 --device cpu --threads 1      one step of 500 frames

A tree is a source folder whose build/ holds the library (or give --old-library, --new-library); its own tests/f5lib.py
and header are used, so that the two may have different interfaces. The model file must be one that both can read. Times
are of f5_sample, wall clock, medians after one turn of warming up; the process that waits sleeps.
"""
import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

GPU_CASES = (("S", 938, 32), ("M", 1406, 32), ("L", 2062, 32), ("M", 1406, 7))
CPU_CASES = (("500 frames", 500, 1),)


def work(tree, library, model, device, precision, threads):
    """The other end: reads "frames nfe" a line, answers with seconds."""
    sys.path[:0] = [f"{tree}/tests", f"{tree}/weights"]
    os.environ["F5_LIBRARY"] = library
    import f5lib
    import numpy as np
    limits = dict(max_frames=4096 if device != "cpu" else 600, max_batch=1)
    if threads and any(name == "threads" for name, _ in f5lib.header().struct("f5_open_params")._fields_):
        limits["threads"] = threads
    rng = np.random.default_rng(1)
    with f5lib.Engine(model, device, precision, **limits) as engine:
        vocab_size = engine.info()["vocab_size"]
        print("ready", flush=True)
        for line in sys.stdin:
            frames, nfe = map(int, line.split())
            request = dict(cond=(2 * rng.standard_normal((frames // 3, 100)) - 3).astype(np.float32), frames=frames,
                           tokens=rng.integers(0, vocab_size, frames // 8).astype(np.int32), seed=1)
            start = time.perf_counter()
            engine.sample([request], nfe=nfe)
            print(time.perf_counter() - start, flush=True)


def ask(worker, frames, nfe):
    worker.stdin.write(f"{frames} {nfe}\n")
    worker.stdin.flush()
    return float(worker.stdout.readline())


def main(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("old", type=Path)
    p.add_argument("new", type=Path)
    p.add_argument("--model", required=True)
    p.add_argument("--old-library", type=Path)
    p.add_argument("--new-library", type=Path)
    p.add_argument("--device", default="cuda")
    p.add_argument("--precision")
    p.add_argument("--threads", type=int, default=0, help="of the CPU backend; 0: all")
    p.add_argument("--rounds", type=int, default=0, help="default: 14 on a GPU, 5 on a CPU")
    args = p.parse_args(argv)
    libraries = [args.old_library, args.new_library]
    cpu = args.device.startswith("cpu")
    env = dict(os.environ, OMP_WAIT_POLICY="passive", **({"OMP_NUM_THREADS": str(args.threads)} if args.threads else {}))
    workers = []
    for tree, library in zip((args.old, args.new), libraries):
        library = library or tree / "build/lib/libf5tts.so"
        code = (f"import sys; sys.path.insert(0, {str(Path(__file__).resolve().parent)!r}); import by_turns; "
                f"by_turns.work({str(tree.resolve())!r}, {str(library.resolve())!r}, {args.model!r}, {args.device!r}, "
                f"{args.precision!r}, {args.threads})")
        workers.append(subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=env))
    if any(w.stdout.readline().strip() != "ready" for w in workers):
        sys.exit("by_turns.py: a build could not open the model; its message stands above")
    for label, frames, nfe in CPU_CASES if cpu else GPU_CASES:
        times = [[], []]
        for turn in range(1 + (args.rounds or (5 if cpu else 14))):
            for i in ((0, 1) if turn % 2 else (1, 0)):
                seconds = ask(workers[i], frames, nfe)
                if turn:
                    times[i].append(seconds)
        old, new = (statistics.median(t) for t in times)
        print(f"{label}, NFE {nfe}: old {old * 1e3:.2f} ms, new {new * 1e3:.2f} ms, old/new {old / new:.3f} "
              f"(minima {min(times[0]) / min(times[1]):.3f})", flush=True)
    for worker in workers:
        worker.stdin.close()
        worker.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
