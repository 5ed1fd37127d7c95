#!/usr/bin/env python3
"""make_voice.py — one command from nothing to a voice: corpus, vocoder and acoustic model at the same time.

    make_voice.py OUT --minutes 20 [--gpus N] [--weights DIR] [--hours 60]

OUT receives ema-0.npz, ema-1.npz (the acoustic model) and vocos.npz while the training runs, and its logs; export.py
makes a .f5 of them. A later call with --weights DIR goes on from the files of an earlier one: with a fresh optimiser,
which costs some hundred steps; --resume goes on exactly, from the state.pt and vocos-state.pt in --work.

GPUs: the last one trains the vocoder, the others the acoustic model; with a single GPU the vocoder has it for a quarter
of the time first. --keep-vocoder takes DIR/vocos.npz as it is and gives every GPU to the acoustic model.
"""
import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
COPY_EVERY = 10  # seconds


class Crew:
    """The processes of a training, which end together."""

    def __init__(self, log_folder):
        self.logs, self.running = log_folder, []

    def start(self, name, script, *arguments, nice=0, vital=lambda: True, **environment):
        """vital: asked if it fails; False: the others go on without it."""
        log = open(self.logs / f"{name}.log", "a")
        process = subprocess.Popen([sys.executable, "-u", str(HERE / script), *map(str, arguments)], stdout=log,
                                   stderr=subprocess.STDOUT, env={**os.environ, **environment},
                                   preexec_fn=(lambda: os.nice(nice)) if nice else None, process_group=0)
        self.running.append((name, process, vital))
        return process

    def check(self):
        for entry in list(self.running):
            name, process, vital = entry
            if process.poll() not in (None, 0):
                message = f"{name} failed:\n" + "".join(open(self.logs / f"{name}.log").readlines()[-15:])
                if vital():
                    sys.exit(message)
                print(message, flush=True)
                self.running.remove(entry)

    def stop(self):
        for _, process, _ in self.running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)


def gpu_count():
    import torch
    return torch.cuda.device_count()


def bring(work, out):
    """Copies what the trainers saved last and the logs; no file is ever seen half written."""
    for name in ("ema-0.npz", "ema-1.npz", "vocos.npz", "data.log", "vocos.log", "dit-0.log"):
        if (work / name).exists():
            shutil.copyfile(work / name, out / "copy.part")
            os.replace(out / "copy.part", out / name)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("out", type=Path)
    p.add_argument("--minutes", type=float, required=True, help="everything included")
    p.add_argument("--gpus", type=int, help="default: all; 0: the CPU, to try the scripts")
    p.add_argument("--processes", type=int, help="of the acoustic model; default: as many as it has GPUs")
    p.add_argument("--weights", type=Path, help="a folder with ema-0.npz, ema-1.npz and perhaps vocos.npz")
    p.add_argument("--resume", action="store_true")
    p.add_argument("--keep-vocoder", action="store_true")
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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    corpus = options.work / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.sentences:
        options.sentences = options.work / "sentences.txt"
        subprocess.run([sys.executable, HERE / "sentences.py", options.sentences], check=True)
    gpus = gpu_count() if options.gpus is None else options.gpus
    with_vocoder = not options.keep_vocoder
    if options.keep_vocoder:
        shutil.copy(options.weights / "vocos.npz", options.work / "vocos.npz")
    dit_gpus = range(gpus - 1 if with_vocoder and gpus > 1 else gpus)
    world = options.processes or max(1, len(dit_gpus))
    library = {"LD_LIBRARY_PATH": f"{options.flite}:{os.environ.get('LD_LIBRARY_PATH', '')}"} if options.flite else {}
    crew = Crew(options.work)

    def minutes_left():
        return options.minutes - (time.time() - begun) / 60 - 0.15

    if not (corpus / "done").exists():
        crew.start("data", "data.py", corpus, "--sentences", options.sentences, "--hours", options.hours, "--workers",
                   options.workers, *(("--flite", options.flite) if options.flite else ()), nice=10,
                   vital=lambda: len(list(corpus.glob("*.npz"))) < 8, OMP_NUM_THREADS="1", **library)

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
            vocoder = crew.start("vocos", "train_vocos.py", corpus, "--out", options.work, "--minutes",
                                 minutes_left() if gpus > 1 else options.minutes / 4,
                                 *start_from("vocos.npz", "vocos-state.pt"), *options.vocos.split(),
                                 vital=lambda: False, CUDA_VISIBLE_DEVICES=str(gpus - 1) if gpus else "")
            while gpus < 2 and vocoder.poll() is None:
                crew.check()
                time.sleep(0.5)
        together = dict(WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1", MASTER_PORT="29571", OMP_NUM_THREADS="2",
                        TORCHINDUCTOR_CACHE_DIR=str(options.work / "inductor"), TORCHINDUCTOR_COMPILE_THREADS="6",
                        CUDA_VISIBLE_DEVICES=",".join(map(str, dit_gpus)))
        trainers = [crew.start(f"dit-{rank}", "train_dit.py", corpus, "--out", options.work, "--minutes",
                               minutes_left(), *start_from("ema-0.npz", "state.pt"), *options.dit.split(),
                               RANK=str(rank), LOCAL_RANK=str(rank), **together) for rank in range(world)]
        waiting, copied = trainers + ([vocoder] if vocoder else []), time.time()
        while any(w.poll() is None for w in waiting):
            crew.check()
            time.sleep(0.5)
            if time.time() - copied > COPY_EVERY:
                bring(options.work, options.out)
                copied = time.time()
        crew.check()
    finally:
        crew.stop()
        bring(options.work, options.out)
    print("".join(open(options.work / "dit-0.log").readlines()[-40:]), end="")
    if with_vocoder:
        print("".join(open(options.work / "vocos.log").readlines()[-8:]), end="")


if __name__ == "__main__":
    main()
