"""bench/sweep.py — how time grows with length and with the number of sequences in a batch: what bench/plot.py draws.

    f5bench.py sweep

Model level (f5_sample, f5_vocode), since it takes batches: one sequence of 200 to 4000 frames, and 1 to 32 sequences of
500. `evaluation` is the slope over the number of steps, `once` the rest of a sampling, `Vocos` a call of its own on the
generated half. GFLOP are those of one evaluation, of the rows that are no filler. With --history the rows also go to
bench/history/<gpu>-sweep.csv, in place of what was there.
"""
import csv

import numpy as np

from report import HISTORY, slug
from workload import COND_FRAMES, N_TOKENS, median_ms
from shapes import evaluation_flop  # found by workload

LENGTHS, BATCHES, BATCH_FRAMES = (200, 300, 469, 700, 938, 1406, 2062, 2800, 4000), (1, 2, 4, 8, 16, 32), 500
FEW, MORE = 2, 8
COLUMNS = ("frames", "batch", "evaluation ms", "once ms", "Vocos ms", "GFLOP", "TFLOP/s")


def request_of(rng, frames, vocab_size, seed):
    cond_frames = min(COND_FRAMES, frames // 2)
    return dict(cond=(rng.standard_normal((cond_frames, 100)) * 2 - 4).astype(np.float32), frames=frames, seed=seed,
                tokens=rng.integers(0, vocab_size, min(N_TOKENS, frames // 4)).astype(np.int32))


def measure(engine, config, rng, vocab_size, frames, batch, rounds):
    requests = [request_of(rng, frames, vocab_size, i) for i in range(batch)]
    ms = []
    for nfe in (FEW, MORE):
        run = engine.prepare(requests, nfe=nfe)
        ms.append(median_ms(run, rounds))
    mels = [mel[len(r["cond"]) - 1:] for mel, r in zip(run(), requests)]
    vocos = median_ms(lambda: engine.vocode_batch(mels), rounds)
    evaluation = (ms[1] - ms[0]) / (MORE - FEW)
    flop = evaluation_flop([frames] * batch, config)
    return {"frames": frames, "batch": batch, "evaluation ms": evaluation, "once ms": ms[0] - FEW * evaluation,
            "Vocos ms": vocos, "GFLOP": flop / 1e9, "TFLOP/s": flop / evaluation / 1e9}


def run(bench):
    cases = [(n, 1) for n in LENGTHS] + [(BATCH_FRAMES, b) for b in BATCHES]
    table, vocab_size = bench.report.growing("Length and batch", COLUMNS, widths={"GFLOP": 6}), len(bench.made["vocab"])
    with bench.engine(max(n * b for n, b in cases), MORE, max(BATCHES)) as ours:
        for frames, batch in cases:
            table.add(measure(ours.engine, bench.config, bench.rng, vocab_size, frames, batch,
                              max(3, bench.args.rounds // 2)))
    if bench.args.history:
        path = HISTORY / f"{slug(bench.report.head['gpu'])}-sweep.csv"
        with open(path, "w", newline="", encoding="utf-8") as f:
            lines = csv.writer(f, lineterminator="\n")
            lines.writerow(["commit", "precision", *COLUMNS])
            for row in table.rows:
                lines.writerow([bench.args.commit, bench.precision, *(f"{row[c]:.5g}" for c in COLUMNS)])
