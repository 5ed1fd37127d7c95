#!/usr/bin/env python3
"""make_voice.py — one command from nothing to a voice: corpus, vocoder and acoustic model at the same time.

    make_voice.py OUT --minutes 20 [--gpus N] [--weights DIR] [--hours 60]

OUT receives ema-0.npz, ema-1.npz, ... (the acoustic model) and vocos.npz while the training runs, and its logs; export.py
makes a .f5 of them. A later call with --weights DIR goes on from the files of an earlier one: with a fresh optimiser,
which costs some hundred steps; --resume goes on exactly, from the state.pt and vocos-state.pt in --work.

GPUs: the last one trains the vocoder, the others the acoustic model; with a single GPU the vocoder has it for a quarter
of the time first. --keep-vocoder takes DIR/vocos.npz as it is and gives every GPU to the acoustic model. What fails is
started again or done without, as long as the acoustic model can go on: see crew.py.
"""
import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from crew import HERE, Acoustic, Crew

COPY_EVERY = 10  # seconds
RESERVE = 10     # seconds at the end, to save and to copy


def gpu_count():
    import torch
    return torch.cuda.device_count()


def bring(work, out, others=("vocos.npz", "data.log", "vocos.log", "dit-0.log")):
    """Copies the averaged weights that were saved last, and others; no file is ever seen half written."""
    averages = sorted(path.name for path in work.glob("ema-[0-9]*.npz"))
    for left in out.glob("ema-[0-9]*.npz") if averages else ():  # of a model in more parts, that was here before
        if left.name not in averages:
            left.unlink(missing_ok=True)
    for name in (*averages, *others):
        try:
            if (work / name).exists():
                shutil.copyfile(work / name, out / "copy.part")
                os.replace(out / "copy.part", out / name)
        except OSError as error:
            print(f"{name} could not be copied: {error}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("out", type=Path)
    p.add_argument("--minutes", type=float, required=True, help="everything included")
    p.add_argument("--gpus", type=int, help="default: all; 0: the CPU, to try the scripts")
    p.add_argument("--processes", type=int, help="of the acoustic model; default: as many as it has GPUs")
    p.add_argument("--weights", type=Path, help="a folder with ema-0.npz, ema-1.npz and perhaps vocos.npz")
    p.add_argument("--resume", action="store_true")
    p.add_argument("--keep-vocoder", action="store_true")
    p.add_argument("--no-vocoder", action="store_true", help="the acoustic model alone")
    p.add_argument("--corpus", type=Path, help="shards that something else makes there (taught.py), while this runs or before")
    p.add_argument("--work", type=Path, default=Path("/tmp/f5tts-voice"), help="corpus and states; 2 GB for 10 hours")
    p.add_argument("--hours", type=float, default=60, help="of speech to make")
    p.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) * 5 // 8), help="that make it")
    p.add_argument("--sentences", type=Path, help="default: made from wordnet-base")
    p.add_argument("--flite", type=Path, help="folder of flite's libraries, if they are not installed")
    p.add_argument("--dit", default="", help='more options of train_dit.py, as "--rate 4e-4 --aux 0.1"')
    p.add_argument("--vocos", default="", help="more options of train_vocos.py")
    options = p.parse_args()
    if options.keep_vocoder and not (options.weights and (options.weights / "vocos.npz").exists()):
        p.error("--keep-vocoder needs --weights DIR with a vocos.npz")
    begun = time.time()
    until = begun + 60 * options.minutes - RESERVE
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    corpus = options.corpus or options.work / "corpus"
    corpus.mkdir(parents=True, exist_ok=True), options.work.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.sentences and not options.corpus:
        options.sentences = options.work / "sentences.txt"
        subprocess.run([sys.executable, HERE / "sentences.py", options.sentences], check=True)
    gpus = gpu_count() if options.gpus is None else options.gpus
    with_vocoder = not (options.keep_vocoder or options.no_vocoder)
    if options.keep_vocoder:
        shutil.copy(options.weights / "vocos.npz", options.work / "vocos.npz")
    dit_gpus = range(gpus - 1 if with_vocoder and gpus > 1 else gpus)
    library = {"LD_LIBRARY_PATH": f"{options.flite}:{os.environ.get('LD_LIBRARY_PATH', '')}"} if options.flite else {}
    crew = Crew(options.work)

    if not options.corpus and not (corpus / "done").exists():
        crew.start("data", "data.py", corpus, "--sentences", options.sentences, "--hours", options.hours, "--workers",
                   options.workers, *(("--flite", options.flite) if options.flite else ()), nice=10,
                   vital=lambda: len(list(corpus.glob("*.npz"))) < 8, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1",
                   **library)

    def start_from(name, state):
        """What a trainer of `name` begins with."""
        if options.resume and (options.work / state).exists():
            return ["--resume", options.work / state]
        if options.weights and (options.weights / name).exists():
            return ["--weights", options.weights / name]
        return []

    try:
        vocoder = None
        if with_vocoder:
            end = until if gpus > 1 else begun + 15 * options.minutes
            vocoder = crew.start("vocos", "train_vocos.py", corpus, "--out", options.work, "--until", end,
                                 *start_from("vocos.npz", "vocos-state.pt"), *options.vocos.split(),
                                 vital=lambda: False, CUDA_VISIBLE_DEVICES=str(gpus - 1) if gpus else "",
                                 OMP_NUM_THREADS="2")
            while gpus < 2 and vocoder.poll() is None and time.time() < end + 20:
                crew.check()
                time.sleep(0.5)
            if gpus < 2:
                crew.check()
                crew.stop([vocoder])
        acoustic = Acoustic(crew, options.work, list(dit_gpus), options.processes or max(1, len(dit_gpus)),
                            [corpus, "--out", options.work, *options.dit.split()],
                            start_from("ema-0.npz", "state.pt"), until)
        copied = time.time()
        while (acoustic.watch() or vocoder and vocoder.poll() is None) and time.time() < until + RESERVE:
            crew.check()
            time.sleep(0.5)
            if time.time() - copied > COPY_EVERY:
                bring(options.work, options.out)
                copied = time.time()
        crew.check()
    finally:
        crew.stop()
        bring(options.work, options.out)
    if with_vocoder:
        print(crew.end_of_log("vocos", 8), end="")
    if acoustic.given_up:
        sys.exit("the acoustic model failed; what it had saved is there")


if __name__ == "__main__":
    main()
