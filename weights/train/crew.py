"""crew.py — the processes of a training: started with logs, watched, ended together, started again where it helps."""
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# seconds without a new line in any log of the acoustic model's processes, after which they are taken to hang
SILENCE_JOINING, SILENCE_COMPILING, SILENCE_TRAINING = 60, 180, 60
WORTH = 40  # seconds: with less left nothing is started again
MOST_STARTS = 6


class Crew:
    def __init__(self, log_folder):
        self.logs, self.running = log_folder, []

    def start(self, name, script, *arguments, **more):
        """One of our scripts; more: as for launch()."""
        return self.launch(name, [sys.executable, "-u", str(HERE / script), *map(str, arguments)], **more)

    def launch(self, name, command, nice=0, vital=None, **environment):
        """vital: asked by check() if the process fails; True: everything ends. None: check() does not look at it."""
        with open(self.logs / f"{name}.log", "a") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **environment},
                                       preexec_fn=(lambda: os.nice(nice)) if nice else None, start_new_session=True)
        self.running.append((name, process, vital))
        return process

    def end_of_log(self, name, lines=15):
        with open(self.logs / f"{name}.log", errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    def check(self):
        for entry in list(self.running):
            name, process, vital = entry
            if vital and process.poll() not in (None, 0):
                message = f"{name} failed ({process.returncode}):\n{self.end_of_log(name)}"
                if vital():
                    sys.exit(message)
                print(message, flush=True)
                self.running.remove(entry)

    def stop(self, processes=None, patience=3.0):
        """Ends them (default: all) and all that they started: kindly, then not."""
        processes = processes if processes is not None else [process for _, process, _ in self.running]
        for how in (signal.SIGTERM, signal.SIGKILL):
            until = time.time() + patience
            for process in processes:
                if process.poll() is None:
                    os.killpg(process.pid, how)
            while any(process.poll() is None for process in processes) and time.time() < until:
                time.sleep(0.05)
        self.running = [entry for entry in self.running if entry[1] not in processes]


class Part:
    """A process that is started again if it fails or falls silent: in the same form once if it had brought anything, else in
    the next one. forms: functions that start it and return the process. made: the file or folder that it writes."""

    def __init__(self, crew, name, forms, made, until, silence=None):
        """silence: seconds without a sign of life, in its log or in made, after which it is taken to hang."""
        self.crew, self.name, self.forms, self.made, self.until, self.silence = crew, name, forms, made, until, silence
        self.form, self.starts, self.repeated, self.finished, self.given_up = 0, 0, set(), False, False
        self.start()

    def start(self):
        self.begun, self.starts = time.time(), self.starts + 1
        self.process = self.forms[self.form]()

    @property
    def at_work(self):
        return not (self.finished or self.given_up)

    def written(self, path):
        """When it wrote there last, since it was started; or when it was started."""
        return max(self.begun, path.stat().st_mtime if path.exists() else 0)

    def watch(self):
        """To be called every now and then. False: it has ended, well or not (given_up)."""
        if self.at_work:
            state = self.process.poll()
            silent = time.time() - max(self.written(self.made), self.written(self.crew.logs / f"{self.name}.log"))
            if state == 0:
                self.finished = True
            elif state is not None:
                self.again(f"{self.name} failed ({state}):\n{self.crew.end_of_log(self.name)}")
            elif self.silence and silent > self.silence:
                self.again(f"{self.name} has not said anything for {silent:.0f} s")
        return self.at_work

    def again(self, why):
        self.crew.stop([self.process])
        brought = self.written(self.made) > self.begun
        self.given_up = self.starts == MOST_STARTS or self.until - time.time() < WORTH
        if brought and self.form not in self.repeated:
            self.repeated.add(self.form)
        elif self.form + 1 < len(self.forms):
            self.form += 1
        elif not brought:
            self.given_up = True
        print(f"{why}\n{self.name} is {'not ' if self.given_up else ''}started again", flush=True)
        if not self.given_up:
            self.start()

    def stop(self):
        """It has done enough."""
        self.crew.stop([self.process])
        self.finished = True


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Acoustic:
    """The processes that train the acoustic model, a GPU each. If one fails or all fall silent they are ended, and
    started again from the last checkpoint: once more as they were if they had trained at all; all seeing all GPUs if
    they never found each other; else one process on one GPU, which needs nobody, twice; at last that without the compiler, as often as it trains."""

    def __init__(self, crew, work, gpus, processes, arguments, begin, until):
        """arguments: of train_dit.py; begin: those that say what the first start begins with."""
        self.crew, self.work, self.gpus = crew, work, gpus
        self.arguments, self.begin, self.until = arguments, begin, until
        # how many, whether each sees its own GPU alone, more options
        self.forms = [(processes, True, []), (processes, False, [])] if processes > 1 else []
        # twice compiled: the first may fail by what passes, memory beside a teacher or one compiler that was ended
        self.forms += [(1, True, []), (1, True, []), (1, True, ["--no-compile"])]
        self.form, self.starts = 0, 0
        self.repeated = self.finished = self.given_up = False
        log = work / "dit-0.log"
        self.shown = log.stat().st_size if log.exists() else 0  # of an earlier call
        self.start()

    def start(self):
        world, alone, more = self.forms[self.form]
        state = self.work / "state.pt"
        if self.starts and state.exists() and state.stat().st_mtime > self.first:
            begin = ["--resume", state, "--keep-schedule"]
        else:
            begin = self.begin
            self.cache = self.work / f"inductor-{self.form}"  # a compiled piece may be what failed
        together = dict(WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()),
                        OMP_NUM_THREADS="2", TORCHINDUCTOR_CACHE_DIR=str(self.cache),
                        TORCHINDUCTOR_COMPILE_THREADS=str(max(2, min(12, (os.cpu_count() or 8) // world - 4))))
        self.begun, self.joined = time.time(), world == 1
        self.limit = SILENCE_COMPILING if self.joined else SILENCE_JOINING
        if not self.starts:
            self.first = self.begun
        self.names = [f"dit-{rank}" for rank in range(world)]
        turned = [str(self.gpus[(i + self.starts) % len(self.gpus)]) for i in range(len(self.gpus))]
        self.processes = []
        for rank, name in enumerate(self.names):
            seen = turned[rank:rank + 1] if alone else turned
            self.processes.append(self.crew.start(
                name, "train_dit.py", *self.arguments, "--until", self.until, *begin, *more, RANK=str(rank),
                LOCAL_RANK="0" if alone else str(rank), CUDA_VISIBLE_DEVICES=",".join(seen), **together))
        self.starts += 1

    def watch(self):
        """To be called every now and then. False: it has ended, well or not (given_up)."""
        self.show()
        states = [process.poll() for process in self.processes]
        if self.finished or self.given_up:
            return any(state is None for state in states)
        logs = [self.work / f"{name}.log" for name in self.names]
        silent = time.time() - max(self.begun, *(log.stat().st_mtime for log in logs))
        broken = [name for name, state in zip(self.names, states) if state]
        if broken:
            self.again(f"{', '.join(broken)} failed:\n" + "".join(map(self.crew.end_of_log, broken)))
        elif silent > self.limit:
            self.again(f"no process of the acoustic model has said anything for {silent:.0f} s")
        return not self.given_up

    def again(self, why):
        state = self.work / "state.pt"
        trained = state.exists() and state.stat().st_mtime > self.begun
        self.crew.stop(self.processes)
        self.show()
        last = self.form == len(self.forms) - 1
        if trained and (not self.repeated or last and self.starts < MOST_STARTS):
            self.repeated = True
        elif not self.joined and self.forms[self.form][1]:
            self.form += 1
        else:
            self.form = next((i for i in range(self.form + 1, len(self.forms)) if self.forms[i][0] == 1),
                             len(self.forms))
        self.given_up = self.form == len(self.forms) or self.until - time.time() < WORTH
        if self.given_up:
            print(f"{why}\nthe acoustic model is not started again", flush=True)
        else:
            world, alone, more = self.forms[self.form]
            print(f"{why}\nstarted again: {world} processes{'' if alone else ', all GPUs seen by all'} "
                  f"{' '.join(more)}", flush=True)
            self.start()

    def show(self):
        """Prints what the first process has said since, and learns from it how far it has come."""
        with open(self.work / "dit-0.log", "rb") as log:
            log.seek(self.shown)
            text = log.read()
        text = text[:text.rfind(b"\n") + 1]
        self.shown += len(text)
        for line in text.decode(errors="replace").splitlines():
            print(line[:240], flush=True)
            if " joined: " in line:
                self.joined, self.limit = True, SILENCE_COMPILING
            elif "] step " in line:
                self.limit = SILENCE_TRAINING
            elif "] done: " in line:
                self.finished = True
