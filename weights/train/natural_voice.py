#!/usr/bin/env python3
"""natural_voice.py — one command from a teacher's jobs to a voice, over several calls of a machine that is lent by the minute.

    natural_voice.py WORK JOBS.npz --seconds 1500 --teacher COMMAND [--teacher COMMAND ...] [--watch 500] [--home FOLDER]

The first call starts everything in the background; it goes on when the call has ended. Every later one is the same
command: it watches for --watch seconds, prints what is said meanwhile and copies what must come home into --home. If
nothing runs any more, it goes on where that stopped, by the clock of the first call: everything is in WORK.

COMMAND is a line for the shell that speaks jobs (teacher.py) into shards (taught.py) until it has said all; {jobs}, {out}
and {part} (as 0/2, for two teachers) stand for what it is given. It finds its GPU in CUDA_VISIBLE_DEVICES, and started again
it should say only what does not lie in {out}. When one fails before it has said anything, the next COMMAND is tried.

One clock, --seconds from the first call. One GPU is shared by all; of several the last quarter (at least one) is the
teacher's and then the vocoder's, the others are the acoustic model's. --lend S leaves the last quarter to other programs
from the second S on: the teacher then stops at LENT_TEACHER of S, the vocoder at S.

    from the start to the end              the acoustic model: compiles, waits for speech, trains
    to TEACHER_ENOUGH of the time          the teacher; longer while there are less than --least hours, at most to TEACHER_LAST;
                                           less if everything is said, or --hours are there
    for VOCODER of it, after the teacher   the vocoder; to the end if it has a GPU of its own

What fails is started again, in another form if it had not brought anything: crew.py. A teacher that fails for good leaves the
others with what there is; if there is no speech at all, everything ends at once. WORK/natural.log is the log of all.
"""
import argparse
import contextlib
import fcntl
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import crew
from crew import Acoustic, Crew, Part
from make_voice import bring, gpu_count

ROOT = Path(__file__).resolve().parents[2]
TEACHER_ENOUGH, TEACHER_LAST, VOCODER = 0.4, 0.65, 0.3
LENT_TEACHER = 0.6   # of --lend
RESERVE = 12         # seconds at the end, to save and to copy
PAUSE = 0.5
LOOK_EVERY = 20      # seconds between lines about everything
TEACHER_SILENCE, VOCODER_SILENCE = 150, 120
HOUR = 3600 * 24000 * 2   # bytes of the teacher's speech
AT_ITS_END = "at its end"
STARTED, RUNS, OVER = "started", "runs", "over"
MARK = "F5TTS_NATURAL_VOICE"  # in the environment of all that is started for WORK
DIT = "--lengths 448 704 1056 1408 --shares 3 4 3 1"
VOCOS = "--shards 200 --adversarial 0.6"
CARRIED = 16 << 20   # bytes of a file that comes home from a lent machine, at most


def hours_said(folder):
    total = 0
    for path in folder.glob("*.npz"):
        with contextlib.suppress(FileNotFoundError):  # a teacher may give it another name
            total += path.stat().st_size
    return total / HOUR


def gpu_line():
    """How busy the GPUs are and what they hold, if anything tells."""
    try:
        told = subprocess.run(["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader"],
                              capture_output=True, text=True, timeout=5).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ", GPU " + "; ".join(told.split("\n")[:-1]) if told else ""


def end_leftovers(work):
    """Ends what an earlier call started for WORK and what outlived it: two trainings must not write there."""
    mark = f"{MARK}={work}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0") and int(process.name) != os.getpid():
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            pass


class Voice:
    """All parts of a training, by one clock."""

    def __init__(self, options):
        self.o, self.work = options, options.work
        self.begun = float((self.work / "begun").read_text())
        self.until = self.begun + options.seconds - RESERVE
        self.teacher, self.corpus = self.work / "teacher", self.work / "corpus"
        self.crew = Crew(self.work)
        gpus = list(range(gpu_count() if options.gpus is None else options.gpus))
        if options.gpus is None and not gpus:
            raise SystemExit("PyTorch finds no GPU; --gpus 0 rehearses on the CPU")
        others = max(1, len(gpus) // 4) if len(gpus) > 1 else 0
        self.alone, self.dit_gpus, self.other_gpus = len(gpus) < 2, gpus[:len(gpus) - others], gpus[-others:]
        self.lent = float("inf") if options.lend is None or self.alone else self.begun + options.lend
        self.teacher_last = min(self.at(TEACHER_LAST), self.begun + LENT_TEACHER * (self.lent - self.begun))
        self.acoustic = self.taught = self.vocoder = None
        self.teachers, self.looked, self.said = [], time.time(), hours_said(self.teacher)

    def say(self, text):
        print(f"[{time.time() - self.begun:5.0f} s] {text}", flush=True)

    def at(self, part):
        """The time when so much of all is over."""
        return self.begun + part * self.o.seconds

    # ---- what is started

    def start_teachers(self):
        if (self.teacher / "done").exists():
            return
        count = max(1, len(self.other_gpus))
        for i in range(count):
            given = {"jobs": self.o.jobs, "out": self.teacher, "part": f"{i}/{count}"}
            commands = []
            for line in self.o.teacher:
                for key, value in given.items():
                    line = line.replace("{" + key + "}", shlex.quote(str(value)))
                commands.append(line)
            gpu = str(self.other_gpus[i]) if self.other_gpus else ""
            forms = [lambda line=line, name=f"teacher-{i}", gpu=gpu: self.crew.launch(
                name, ["/bin/sh", "-c", line], CUDA_VISIBLE_DEVICES=gpu) for line in commands]
            self.teachers.append(Part(self.crew, f"teacher-{i}", forms, self.teacher, self.until, TEACHER_SILENCE))

    def start_taught(self):
        if not (self.corpus / "done").exists():
            form = [lambda: self.crew.start("taught", "taught.py", self.o.jobs, self.teacher, self.corpus, "--follow",
                                            OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")]
            self.taught = Part(self.crew, "taught", form * 3, self.corpus, self.until)

    def arch(self):
        return ["--arch", self.o.arch] if self.o.arch else []

    def given(self, name):
        """--weights with what was brought home from another machine, if there is such a file."""
        path = self.o.weights / name if self.o.weights else None
        return ["--weights", path] if path and path.exists() else []

    def start_acoustic(self):
        state, average = self.work / "state.pt", self.work / "ema-0.npz"
        begin = self.given("ema-0.npz")
        if zipfile.is_zipfile(state):
            begin = ["--resume", state, "--keep-schedule"]
        elif zipfile.is_zipfile(average):
            begin = ["--weights", average]
        self.acoustic = Acoustic(self.crew, self.work, self.dit_gpus, max(1, len(self.dit_gpus)),
                                 [self.corpus, "--out", self.work, *self.arch(), *self.o.dit.split()], begin, self.until)

    def start_vocoder(self):
        """Once the teacher has stopped, or half of its time more is over. From the time when it first began its rates fall."""
        mark, state = self.work / "vocoder-begun", self.work / "vocos-state.pt"
        if not mark.exists():
            mark.write_text(str(time.time()))
        since = float(mark.read_text())
        end = min(since + VOCODER * self.o.seconds, self.until) if self.alone else min(self.lent, self.until)
        gpu = str(self.other_gpus[-1]) if self.other_gpus else ""

        def start(*more):
            begin = ["--resume", state] if zipfile.is_zipfile(state) else self.given("vocos.npz")
            return self.crew.start("vocos", "train_vocos.py", self.corpus, "--out", self.work, "--since", since, "--until", end,
                                   *self.arch(), *begin, *self.o.vocos.split(), *more, CUDA_VISIBLE_DEVICES=gpu, OMP_NUM_THREADS="2")

        if time.time() < end - crew.WORTH:
            self.say(f"the vocoder has {end - time.time():.0f} s")
            # the second form does without discriminators
            self.vocoder = Part(self.crew, "vocos", [start, lambda: start("--adversarial", 2)], state, end, VOCODER_SILENCE)
        else:
            self.say("no time is left for the vocoder")
            self.vocoder = False

    # ---- while they run

    def teachers_at_work(self):
        return any([part.watch() for part in self.teachers])

    def look_at_teachers(self):
        """Stops them when there is enough; then tells taught.py that all is there."""
        if (self.teacher / "done").exists():
            return
        hours, now = hours_said(self.teacher), time.time()
        enough = hours >= self.o.hours or now > self.teacher_last or now > self.at(TEACHER_ENOUGH) and hours >= self.o.least
        if self.teachers_at_work() and not enough:
            return
        for part in self.teachers:
            if part.at_work:
                part.stop()
        (self.teacher / "done").touch()
        self.say(f"the teacher has said {hours:.2f} hours")

    def look(self):
        """A line about everything."""
        now, hours = time.time(), hours_said(self.teacher)
        pace = (hours - self.said) * 3600 / max(now - self.looked, 1)
        self.looked, self.said = now, hours
        self.say(f"teacher {hours:.2f} hours, {pace:.0f} x real time; corpus {len(list(self.corpus.glob('*.npz')))} shards"
                 f"{gpu_line()}")
        if self.vocoder and self.vocoder.at_work:
            print("vocoder " + self.crew.end_of_log("vocos", 1)[:200].strip(), flush=True)

    def turn(self):
        """False: it is over."""
        self.look_at_teachers()
        taught = self.taught and self.taught.watch()
        done = (self.teacher / "done").exists()
        if (done or self.taught and self.taught.given_up) and not taught and not any(self.corpus.glob("*.npz")):
            raise SystemExit("there is no speech to learn from:\n" + "".join(
                self.crew.end_of_log(part.name) for part in (*self.teachers, *([self.taught] if self.taught else []))))
        if self.taught and self.taught.given_up and not (self.corpus / "done").exists():
            (self.corpus / "done").touch()  # nobody need wait for more
        if self.vocoder is None and (done and not taught or time.time() > self.teacher_last):
            self.start_vocoder()
        acoustic, vocoder = self.acoustic.watch(), self.vocoder and self.vocoder.watch()
        if self.acoustic.given_up and self.until - time.time() > 2 * crew.WORTH:
            raise SystemExit("the acoustic model failed:\n" + self.crew.end_of_log("dit-0"))  # mend it, call again: the speech stays
        if time.time() - self.looked > LOOK_EVERY:
            self.look()
        return (acoustic or vocoder or self.vocoder is None) and time.time() < self.until + RESERVE

    def run(self):
        for folder in (self.teacher, self.corpus):
            folder.mkdir(exist_ok=True)
            if not any(self.corpus.glob("*.npz")):
                (folder / "done").unlink(missing_ok=True)  # of a call that had no speech
        try:
            self.start_teachers()
            self.start_taught()
            self.start_acoustic()
            while self.turn():
                time.sleep(PAUSE)
            self.look()
        finally:
            self.crew.stop()
        if self.acoustic.given_up:
            self.say("the acoustic model failed; what it had saved is there")
        if not (self.work / "vocos.npz").exists():
            self.say("there is no vocoder")

    def export(self):
        """The voice, where f5tts can be run."""
        if not Path(self.o.f5tts).exists():
            return self.say(f"no {self.o.f5tts}: export.py makes the .f5 elsewhere")
        made = subprocess.run([sys.executable, str(ROOT / "weights/train/export.py"), "--ema", self.work / "ema-0.npz", "--vocos",
                               self.work / "vocos.npz", "--f5tts", self.o.f5tts, "--name", self.o.name, "--dtype", "int8",
                               f"--license={self.o.license}", f"--credit={self.o.credit}",
                               "--output", self.work / "voice.f5"], capture_output=True, text=True)
        self.say("voice.f5 is there" if not made.returncode else f"no voice.f5:\n{made.stdout[-500:]}{made.stderr[-1000:]}")


# ---- calls


def locked(work):
    """The lock that the one process in the background holds, or None while another one does."""
    lock = open(work / "lock", "a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate(0)
    except OSError:
        lock.close()
        return None
    return lock


def supervise(options):
    """What runs in the background, with the lock that start() took."""
    end_leftovers(options.work)
    os.environ[MARK] = str(options.work)

    def stop(*_):
        (options.work / "ended").write_text("stopped")  # at once, so that the next call waits for the end of this process
        sys.exit("stopped")

    signal.signal(signal.SIGTERM, stop)
    try:
        voice = Voice(options)
        voice.run()
        voice.export()
        (options.work / "ended").write_text(AT_ITS_END)
    except SystemExit as reason:
        (options.work / "ended").write_text(str(reason))
        raise


def start(options):
    """Starts what runs in the background, in a session of its own; WORK/lock has its process id. RUNS: it does already;
    OVER: it is not worth it any more."""
    with (locked(options.work) or contextlib.nullcontext()) as lock:
        if not lock:
            return RUNS
        begun = options.work / "begun"
        if not begun.exists():
            begun.write_text(str(time.time()))
        if float(begun.read_text()) + options.seconds - RESERVE - time.time() < crew.WORTH:
            return OVER
        (options.work / "ended").unlink(missing_ok=True)
        with open(options.work / "natural.log", "a") as log:
            process = subprocess.Popen([sys.executable, "-u", *sys.argv, "--supervise"], stdout=log, stderr=subprocess.STDOUT,
                                       stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=[lock.fileno()])
        lock.write(f"{process.pid}\n")
    return STARTED


def pack(work, home):
    """What must come home, each file whole: averaged weights, vocoders, all logs."""
    home.mkdir(parents=True, exist_ok=True)
    with tarfile.open(work / "logs.tar.xz", "w:xz") as tar:
        for log in sorted(work.glob("*.log")):
            tar.add(log, log.name)
    bring(work, home, ("vocos.npz", "vocos-plain.npz", "logs.tar.xz"))
    for path in sorted(home.iterdir()):
        size = path.stat().st_size
        print(f"{size / 2**20:6.2f} MiB  {path.name}{'  is too large to come home' if size > CARRIED else ''}")


def watch(options):
    """Prints what is said, until the time is over or all has ended; starts it again where it died."""
    log, ended, until, starts = options.work / "natural.log", options.work / "ended", time.time() + options.watch, 1
    log.touch()
    with open(log, "rb") as f:
        f.seek(0, os.SEEK_END)
        while (state := start(options)) == RUNS and ended.exists() and time.time() < until:
            time.sleep(0.1)  # until the last call's process is gone
        while True:
            last = state == OVER or ended.exists() or time.time() > until
            sys.stdout.write(f.read().decode(errors="replace"))
            sys.stdout.flush()
            if last:
                return
            time.sleep(1)
            if not ended.exists():
                if starts == crew.MOST_STARTS and locked(options.work):
                    sys.exit(f"it ends again and again: {log} says why")
                state = start(options) if starts < crew.MOST_STARTS else state
                starts += state == STARTED


def parse():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("work", type=Path)
    p.add_argument("jobs", type=Path)
    p.add_argument("--seconds", type=float, required=True, help="from the first call to the end, everything included")
    p.add_argument("--teacher", action="append", required=True, help="a line for the shell; the next one if it fails")
    p.add_argument("--watch", type=float, default=0, help="seconds of this call")
    p.add_argument("--home", type=Path, help="a folder for what must come home, filled at the end of this call")
    p.add_argument("--gpus", type=int, help="default: all; 0: the CPU, to rehearse")
    p.add_argument("--lend", type=float, help="seconds after which the teacher's GPUs are free, where the acoustic model has others")
    p.add_argument("--hours", type=float, default=45, help="of speech that are enough")
    p.add_argument("--least", type=float, default=12, help="hours of speech that are worth more of the time")
    p.add_argument("--arch", type=Path, help="a .json with other sizes than dit.py's")
    p.add_argument("--weights", type=Path, help="a folder with ema-0.npz and vocos.npz of another machine to begin with")
    p.add_argument("--dit", default=DIT, help="options of train_dit.py")
    p.add_argument("--vocos", default=VOCOS, help="options of train_vocos.py")
    p.add_argument("--f5tts", type=Path, default=ROOT / "build/bin/f5tts")
    p.add_argument("--name", default="natural-small")
    p.add_argument("--license", default="MIT", help="that the voice's file tells (default: %(default)s)")
    p.add_argument("--credit", default="taught by Kokoro-82M and its voices (hexgrad, Apache-2.0); sentences: WordNet (Princeton)",
                   help="likewise (default: %(default)s)")
    p.add_argument("--supervise", action="store_true", help=argparse.SUPPRESS)
    options = p.parse_args()
    for name in ("work", "jobs", "home", "arch", "weights"):
        if getattr(options, name):
            setattr(options, name, getattr(options, name).resolve())
    least = 2 * crew.WORTH / (1 - LENT_TEACHER)
    if options.lend is not None and not least < options.lend < options.seconds:
        p.error(f"--lend {options.lend:g}: wanted are more than {least:g} s, for the vocoder, and less than --seconds")
    for path in (options.jobs, options.arch):
        if path and not path.is_file():
            p.error(f"{path} is not there")
    return options


def main():
    options = parse()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.supervise:
        return supervise(options)
    watch(options)
    if options.home:
        pack(options.work, options.home)
    ended = options.work / "ended"
    if ended.exists() and ended.read_text() != AT_ITS_END:
        sys.exit(f"ended: {ended.read_text()}")


if __name__ == "__main__":
    main()
