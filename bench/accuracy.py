#!/usr/bin/env python3
"""accuracy.py — how near the solver's settings come to the exact solution of a model's ODE.

    bench/accuracy.py                                    the shipped voice, 90 sentences; for a GPU (--device cpu: hours)
    bench/accuracy.py --model mine.f5 --voice me.wav --transcript "What I say there." --sentences 20
    bench/accuracy.py --random F5TTS_v1_Base --sentences 4                            random weights of that size
    bench/accuracy.py --settings euler:32 ab2:12 ab2:12:sway midpoint:8 --precision fp16
    bench/accuracy.py --random F5TTS_v1_Base --truth euler:32 --settings euler:32 --precision fp16 int8 mixed      what the operands cost
    bench/f5bench.py accuracy --history && bench/plot.py     random weights and the shipped voice, with times, and the plot

Precision mixed is int8 of the model calibrated on the first request: channels scaled, and in 16 bits what then loses more
than --most-error (`f5tts convert --calibrate`). A file of 8 bits, as the shipped voice, cannot be calibrated, and its "exact"
is of the weights as they are in the file.

A setting is method:steps[:grid], grid one of method (default), sway, curve. Exact is the midpoint method with 192 steps
(384 evaluations) in fp32, from the same noise; or --truth, another setting in fp32. Shown is the relative L2 of the generated frames of each sentence: the
median and the worst of three sets. `searched` are the sentences on which AB2's grids were chosen, `held out` and
`lengths` were never looked at for it.

As a command of f5bench it shows precision, method and evaluations side by side: errors, and the time of one request of
its own from tokens and mel of the reference to the whole mel, settings by turns. Upstream's settings are Euler with sway
-1, at the counts for which EPSS has steps with these. On a CPU, where an evaluation takes seconds, few settings and one
short request of each model stand for all: that shows that the command works and how times compare, no more.
"""
import argparse
import statistics
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / p) for p in ("bench", "weights", "tests")]
import f5file  # noqa: E402
import f5lib  # noqa: E402
from workload import METHODS, SIZES, clock_ms  # noqa: E402

GRIDS = {"method": 0, "sway": 1, "curve": 2}     # f5_grid
SETTINGS = ["euler:32", "euler:16", "euler:12", "euler:7", "midpoint:16", "midpoint:8", "ab2:6", "ab2:7", "ab2:8",
            "ab2:10", "ab2:12", "ab2:16", "ab2:32"]
BATCH_FRAMES, BATCH = 16384, 32
COMPARED = ["euler:32", "euler:16", "euler:12", "euler:10", "euler:7", "euler:6", "euler:5", "ab2:6", "ab2:7", "ab2:8",
            "ab2:10", "ab2:12", "ab2:16", "ab2:24", "ab2:32"]  # by f5bench accuracy
COMPARED_SHORTLY = ["euler:32", "euler:16", "euler:7", "ab2:6", "ab2:12"]
EXACT, EXACT_SHORTLY = 192, 24  # steps of midpoint
AT_ONCE = 4  # requests of the exact solution, before it is told how far it is
SENTENCES = 15  # of them, in three voices each, and as many requests of random weights
HOP = 256
MOST_ERROR, CALIBRATED_STEPS = 0.03, 16  # as f5tts convert has them
VOICE = f5lib.SHIPPED


def lines(name):
    return [line for line in (ROOT / f"tests/voice/{name}.txt").read_text(encoding="utf-8").split("\n") if line]


def recording(path):
    """As f5_voice_open cuts it: without the silence around it (10 ms below -42 dBFS), 50 ms of zeros behind it."""
    with wave.open(str(path)) as f:
        assert (f.getnchannels(), f.getsampwidth(), f.getframerate()) == (1, 2, 24000), f"{path}: 24 kHz mono of 16 bits"
        x = np.frombuffer(f.readframes(f.getnframes()), "<i2").astype(np.float32) / 32768
    slices = np.pad(x, (0, -len(x) % 240)).reshape(-1, 240)
    loud = np.flatnonzero(np.sqrt((slices ** 2).mean(axis=1)) >= 10 ** (-42 / 20))
    return np.concatenate([x[240 * loud[0]:240 * (loud[-1] + 1)], np.zeros(1200, np.float32)])


def spoken(engine, voice, text, seed):
    """The request that f5_speak makes of a text in a voice (samples, transcript), with its noise."""
    samples, transcript = voice
    transcript = transcript.rstrip(" .") + ".  "
    tokens, ref_frames = engine.tokenize(transcript + text), len(samples) // HOP
    frames = ref_frames + int(ref_frames / len(transcript.encode()) * len(text.encode()))
    cond = engine.mel(samples)
    frames = max(frames, len(tokens) + 1, len(cond) + 1)
    noise = np.random.default_rng([seed, frames]).standard_normal((frames, 100)).astype(np.float32)
    return dict(cond=cond, tokens=tokens, frames=frames, noise=noise)


def shipped(engine, n):
    """{set: requests}: the first n sentences of each, in the three voices (`lengths` in one each)."""
    voices = [(recording(ROOT / f"weights/voices/{name}.wav"),
               (ROOT / f"weights/voices/{name}.txt").read_text(encoding="utf-8").strip()) for name in ("heart", "michael", "george")]
    texts = lines("sentences")
    sets = {"searched": [(v, t) for t in texts[0::2][:n] for v in voices],
            "held out": [(v, t) for t in texts[1::2][:n] for v in voices],
            "lengths": [(voices[i % 3], t) for i, t in enumerate(lines("lengths")[:n])]}
    return {name: [spoken(engine, v, t, i) for i, (v, t) in enumerate(pairs)] for name, pairs in sets.items()}


def one_voice(engine, samples, transcript, n):
    return {"sentences": [spoken(engine, (samples, transcript), t, i) for i, t in enumerate(lines("sentences")[:n])]}


def drawn(engine, n, least=300, most=700):
    """Requests of no meaning for random weights."""
    rng, found = np.random.default_rng(1), []
    for _ in range(n):
        frames = int(rng.integers(least, most))
        found.append(dict(cond=(rng.standard_normal((frames // 3, 100)) * 2 - 4).astype(np.float32), frames=frames,
                          tokens=rng.integers(0, engine.info()["vocab_size"], frames // 8).astype(np.int32),
                          noise=rng.standard_normal((frames, 100)).astype(np.float32)))
    return {"random": found}


def sample(engine, requests, **settings):
    """Mels of all, packed as they fit."""
    mels, batch = [], []
    for request in [*requests, None]:
        if batch and (request is None or len(batch) == BATCH
                      or sum(r["frames"] for r in batch) + request["frames"] > BATCH_FRAMES):
            mels += engine.sample(batch, **settings)
            batch = []
        batch.append(request)
    return mels


def calibrated(path, device, request, folder, most_error=MOST_ERROR):
    """The model in 8 and 16 bits, as this request shows."""
    out = Path(folder) / "mixed.f5"
    with f5lib.Calibration(path) as c:
        with f5lib.Engine(path, device, "fp32", trace=c, max_frames=max(64, request["frames"]), max_batch=1) as engine:
            engine.sample([request], nfe=CALIBRATED_STEPS)
        told = c.write(out, most_error=most_error).values()
    print(f"mixed: {sum(p['wide'] for p in told)} of {len(told)} products in 16 bits, {sum(p['scaled'] for p in told)} scaled", flush=True)
    return out


def errors(requests, mels, exact):
    """Relative L2 of the generated frames of each."""
    return [float(np.linalg.norm(a[n:] - b[n:]) / np.linalg.norm(b[n:]))
            for a, b, n in ((a, b, len(r["cond"])) for r, a, b in zip(requests, mels, exact))]


def setting(text):
    method, steps, *grid = text.split(":")
    grid = grid[0] if grid else "method"
    if method not in METHODS or grid not in GRIDS or not steps.isdecimal() or int(steps) < 1:
        raise argparse.ArgumentTypeError(f"{text}: method:steps[:grid] of {', '.join(METHODS)} and {', '.join(GRIDS)}")
    return text, dict(method=METHODS[method], nfe=int(steps), grid=GRIDS[grid])


def evaluations_of(chosen):
    return chosen["nfe"] * (2 if chosen["method"] == METHODS["midpoint"] else 1)


def table(sets, exact, mels_of, settings):
    """Prints a line a setting; {setting: {set: errors}}."""
    found = {}
    print("| setting | evaluations | " + " | ".join(f"{name}: median | worst" for name in sets) + " |")
    print("|---|---" + "|---|---" * len(sets) + "|")
    for text, chosen in settings:
        found[text] = {name: errors(requests, mels_of(requests, chosen), exact[name]) for name, requests in sets.items()}
        cells = [f"{statistics.median(e):.4f} | {max(e):.4f}" for e in found[text].values()]
        print(f"| {text} | {evaluations_of(chosen)} | " + " | ".join(cells) + " |", flush=True)
    return found


# ---- f5bench accuracy


def case_of(name, precision, text):
    return f"accuracy {name} {precision} {text.replace(':', ' ')}"


def compare(bench, name, path, requests_of, exact_steps, texts):
    """Rows and figures of one model. requests_of(engine): its requests, of which the first is timed."""
    args, settings = bench.args, [setting(text) for text in texts]
    limits = dict(max_frames=BATCH_FRAMES if args.device != "cpu" else 2048, max_batch=BATCH,
                  max_evaluations=max(64, 2 * exact_steps))
    with f5lib.ModelFile(path) as file:  # of 8 bits a file cannot be calibrated
        precisions = ("fp32" if args.device == "cpu" else "fp16", "int8", *(() if file.info()["precision"] == "int8" else ("mixed",)))
    if all(bench.had(case_of(name, precision, text) + " worst") for precision in precisions for text in texts):
        print(f"\n{name}: the history has all of it", flush=True)
        return
    with f5lib.Engine(path, args.device, "fp32", **limits) as engine:
        requests = requests_of(engine)
        print(f"\n{name}: {len(requests)} requests, the timed one has {requests[0]['frames']} frames; exact is midpoint with "
              f"{exact_steps} steps in fp32", flush=True)
        exact = []
        for begin in range(0, len(requests), AT_ONCE):
            if bench.late(f"accuracy {name}"):
                return
            exact += sample(engine, requests[begin:begin + AT_ONCE], method=METHODS["midpoint"], nfe=exact_steps)
            print(f"exact: {len(exact)} of {len(requests)}", flush=True)
    table = bench.report.growing(f"Accuracy, {name}", widths={"precision": 9, "method": 8, "ms": 7})
    mixed = calibrated(path, args.device, requests[0], bench.folder.name) if "mixed" in precisions else None
    for precision in precisions:
        file, kind = (mixed, "int8") if precision == "mixed" else (path, precision)
        wanted = [s for s in settings if not bench.had(case_of(name, precision, s[0]) + " worst")]
        if not wanted or bench.late(f"accuracy {name} {precision}"):
            continue
        with f5lib.Engine(file, args.device, kind, **limits) as engine:
            timed = {text: engine.prepare(requests[:1], **chosen) for text, chosen in wanted}
            rounds = 1 if args.device == "cpu" else args.rounds
            times = {text: statistics.median(t) for text, t in clock_ms(timed, rounds).items()}
            for text, chosen in wanted:
                if bench.late(case_of(name, precision, text)):
                    break
                found = errors(requests, sample(engine, requests, **chosen), exact)
                row = {"precision": precision, "method": text.split(":")[0], "evaluations": evaluations_of(chosen), "ms": times[text],
                       "error, median": statistics.median(found), "worst": max(found)}
                table.add(row)
                case = case_of(name, precision, text)
                for what, value, unit in (("ms", row["ms"], "ms"), ("error", row["error, median"], "rel. L2"),
                                          ("worst", row["worst"], "rel. L2")):
                    bench.report.figure(f"{case} {what}", value, unit)


def run(bench):
    """f5bench.py accuracy"""
    short = bench.args.device == "cpu"
    assert bench.made
    n, exact, texts = (1, EXACT_SHORTLY, COMPARED_SHORTLY) if short else (SENTENCES, EXACT, COMPARED)

    def random_requests(engine):
        if short:
            return drawn(engine, 1, 64, 65)["random"]
        return drawn(engine, 1, SIZES["M"], SIZES["M"] + 1)["random"] + drawn(engine, n)["random"]

    compare(bench, "random weights", bench.path, random_requests, exact, texts)
    with f5lib.ModelFile(VOICE) as file:
        name = file.info()["name"]
    compare(bench, name, VOICE, lambda engine: shipped(engine, n)["held out"][:1 if short else None], exact, texts)


def main(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=VOICE, type=Path)
    p.add_argument("--voice", type=Path, help="a recording of 24 kHz, 16 bits, mono, instead of the three that are shipped")
    p.add_argument("--transcript")
    p.add_argument("--random", metavar="ARCH", help="a model of random weights instead (random_checkpoint.py)")
    p.add_argument("--sentences", type=int, default=1000, help="the first so many of each set")
    p.add_argument("--settings", nargs="+", type=setting, default=[setting(s) for s in SETTINGS])
    p.add_argument("--exact", type=int, default=EXACT, metavar="STEPS", help="of midpoint for the exact solution")
    p.add_argument("--truth", type=setting, help="compare with this setting in fp32 instead of the exact solution")
    p.add_argument("--device", default="cuda")
    p.add_argument("--precision", nargs="+", default=["fp32"], help="of the settings, mixed too; the exact solution is in fp32")
    p.add_argument("--most-error", type=float, default=MOST_ERROR, help="of a product that mixed has in 8 bits (default: %(default)s)")
    args = p.parse_args(argv)
    if (args.voice is None) != (args.transcript is None):
        p.error("--voice and --transcript go together")
    limits = dict(max_frames=BATCH_FRAMES if args.device != "cpu" else 4096, max_batch=BATCH, max_evaluations=max(64, 2 * args.exact))
    with tempfile.TemporaryDirectory() as folder:
        if args.random:
            args.model = Path(folder) / "random.f5"
            f5file.write_model(args.model, args.random, seed=1)
        with f5lib.Engine(args.model, args.device, "fp32", **limits) as engine:
            if args.random:
                sets = drawn(engine, min(args.sentences, 16))
            elif args.voice:
                sets = one_voice(engine, recording(args.voice), args.transcript, args.sentences)
            else:
                sets = shipped(engine, args.sentences)
            print(f"{args.random or args.model.name}, {engine.info()['device']}: "
                  + ", ".join(f"{len(r)} {name}" for name, r in sets.items()), flush=True)
            truth = args.truth[1] if args.truth else dict(method=METHODS["midpoint"], nfe=args.exact)
            exact = {name: sample(engine, requests, **truth) for name, requests in sets.items()}
        for precision in args.precision:
            print(f"\n{precision}\n")
            file, kind = args.model, precision
            if precision == "mixed":
                file, kind = calibrated(args.model, args.device, next(iter(sets.values()))[0], folder, args.most_error), "int8"
            with f5lib.Engine(file, args.device, kind, **limits) as engine:
                table(sets, exact, lambda requests, chosen: sample(engine, requests, **chosen), args.settings)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
