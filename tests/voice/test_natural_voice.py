"""One command over several calls: parts that begin and end by one clock, in the background; what fails is started again, what
was killed is gone on with, what must come home is there. Teacher and trainers are scripts that do nothing but write files."""
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import types

import crew
import natural_voice
import pytest

# Seconds of calls. What must be over by then takes 2 or 3 s more than its waits where ten times as much runs as can.
FAILING, WELL, LATER = 28, 20, 20
RESERVE = 3  # of them, between what the trainers are told and what they are ended by

# Everything with shorter waits; the scripts that it starts lie beside it.
COMMAND = f'''
import sys
from pathlib import Path
sys.path.insert(0, {str(crew.HERE)!r})
import crew, natural_voice
crew.HERE = Path(__file__).parent
crew.WORTH, natural_voice.RESERVE = 0.5, {RESERVE}
natural_voice.LOOK_EVERY, natural_voice.TEACHER_SILENCE, natural_voice.PAUSE = 1, 5, 0.1
natural_voice.main()
'''

# What every script begins with: its name, what it was given, how often it was started; it fails as often as told.
COMMON = '''
import json, os, sys, time, zipfile
from pathlib import Path
def option(name, default=None):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default
name, here = Path(sys.argv[0]).stem, Path(__file__).parent
def tell(**more):
    with open(here / "told", "a") as f:
        f.write(json.dumps(dict(name=name, pid=os.getpid(), **more)) + "\\n")
tell(arguments=sys.argv[1:], at=time.time(), gpus=os.environ["CUDA_VISIBLE_DEVICES"])
fails = here / f"{name}.fails"
failing = fails.exists() and fails.read_text()
if failing:
    fails.write_text(failing[1:])
if failing and failing[0] == "x":
    sys.exit("a reason")
'''

TEACHER = COMMON + '''
out, count, mode = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if mode == "fails":
    sys.exit("no voice")
time.sleep(60 if mode == "hangs" else 0)
for i in range(len(list(out.glob("*.npz"))), count):
    (out / f"0-{i}.npz").write_bytes(b"0" * 1000)
    time.sleep(0.1)
    while mode == "waits" and i == 5 and not (here / "go").exists():
        time.sleep(0.05)
    if mode == "dies" and i == 2 and not (here / "died").exists():
        (here / "died").touch()
        sys.exit("died")
tell(finished=True)
'''

TAUGHT = COMMON + '''
teacher, corpus = Path(sys.argv[2]), Path(sys.argv[3])
while True:
    last = (teacher / "done").exists()
    for path in teacher.glob("*.npz"):
        (corpus / f"{int(path.stem[2:]):05}.npz").touch()
    if last:
        break
    time.sleep(0.05)
(corpus / "done").touch()
'''

TRAINER = COMMON + '''
out, end = Path(option("--out")), float(option("--until"))
mine = ("ema-0.npz", "ema-1.npz", "state.pt") if name == "train_dit" else ("vocos.npz", "vocos-state.pt")
step = int(zipfile.ZipFile(option("--resume")).read("step")) if option("--resume") else 0
while not any(Path(sys.argv[1]).glob("*.npz")):
    if (Path(sys.argv[1]) / "done").exists():
        sys.exit("no speech")
    time.sleep(0.05)
while True:
    step += 1
    print(f"[ {step} s] step {step}", flush=True)
    for file in mine:
        with zipfile.ZipFile(out / f"{name}.part", "w") as z:
            z.writestr("step", str(step))
        os.replace(out / f"{name}.part", out / file)
    if failing and failing[0] == "k" and step == 3:
        os.kill(os.getpid(), 9)
    if time.time() > end:
        break
    time.sleep(0.1)
tell(steps=step)
print(f"[ {step} s] done: {step} steps", flush=True)
'''


class Lease:
    """A folder with the scripts; calls of the command there."""

    def __init__(self, folder):
        self.folder, self.work, self.home = folder, folder / "work", folder / "home"
        (folder / "jobs.npz").touch()
        for name, text in (("command", COMMAND), ("teacher", TEACHER), ("taught", TAUGHT), ("train_dit", TRAINER),
                           ("train_vocos", TRAINER)):
            (folder / f"{name}.py").write_text(text)

    def teacher(self, mode, count=6):
        return ["--teacher", f"exec {sys.executable} {self.folder / 'teacher.py'} {{out}} {count} {mode}"]

    def begin(self, *arguments, seconds, watch=60.0):
        command = [sys.executable, self.folder / "command.py", self.work, self.folder / "jobs.npz", "--seconds", seconds, "--watch", watch, "--home", self.home, "--gpus", 0,
                   *arguments]
        self.process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self):
        """(status, what was printed, errors)"""
        printed, errors = self.process.communicate(timeout=600)
        return self.process.returncode, printed, errors

    def call(self, *arguments, **more):
        self.begin(*arguments, **more)
        return self.end()

    def told(self, name, key):
        """What the script of that name told under a key, at every start."""
        lines = [json.loads(line) for line in (self.folder / "told").read_text().splitlines()]
        return [line[key] for line in lines if line["name"] == name and key in line]

    def running(self):
        return int((self.work / "lock").read_text())


@pytest.fixture
def leases(tmp_path):
    """Makes as many as are asked for; nothing of them runs afterwards."""
    made = []

    def make():
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Lease(folder))
        return made[-1]

    yield make
    for lease in made:
        if (lease.work / "lock").exists() and (lease.work / "lock").read_text() and not gone(lease.running()):
            os.kill(lease.running(), signal.SIGTERM)


def gone(pid):
    """It may be a zombie, if nobody has waited for it."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # it went before it was looked at, or while it was
        return True


def test_parts_fail_and_the_clock_goes_on(leases):
    """Two at the same time: one where everything fails once, and one where nothing does."""
    failing, well = leases(), leases()
    for name, fails in (("taught", "x"), ("train_dit", "k"), ("train_vocos", "x")):
        (failing.folder / f"{name}.fails").write_text(fails)
    failing.begin(*failing.teacher("fails"), *failing.teacher("hangs"), *failing.teacher("dies"), seconds=FAILING)
    well.begin(*well.teacher("speaks", 1000), "--least", 0, seconds=WELL)
    check_the_clock(well, *well.end())
    check_failing(failing, *failing.end())


def check_failing(lease, status, printed, errors):
    assert status == 0, printed + errors
    assert [a[2] for a in lease.told("teacher", "arguments")] == ["fails", "hangs", "dies", "dies"]
    assert len(lease.told("taught", "at")) == 2 and len(list((lease.work / "corpus").glob("*.npz"))) == 6
    first, second = lease.told("train_dit", "arguments")
    assert "--resume" not in first and str(lease.work / "state.pt") == second[second.index("--resume") + 1]
    judged, plain = lease.told("train_vocos", "arguments")
    assert judged.count("--adversarial") == 1 and plain[-2:] == ["--adversarial", "2"]
    assert judged[judged.index("--since") + 1] == plain[plain.index("--since") + 1]
    for words in ("no voice", "teacher-0 has not said anything", "died", "a reason", "started again", "step 3"):
        assert words in printed
    assert (lease.work / "ended").read_text() == "at its end"
    assert {p.name for p in lease.home.iterdir()} == {"ema-0.npz", "ema-1.npz", "vocos.npz", "logs.tar.xz"}
    with tarfile.open(lease.home / "logs.tar.xz") as tar:
        assert {"natural.log", "dit-0.log", "vocos.log", "taught.log", "teacher-0.log"} == set(tar.getnames())


def check_the_clock(lease, status, printed, errors):
    assert status == 0, printed + errors
    begun = float((lease.work / "begun").read_text())
    vocoder, = lease.told("train_vocos", "at")
    assert 0.4 * WELL < vocoder - begun < 0.65 * WELL + 4  # the teacher was stopped at 0.4; a Python starts in far less than 4 s
    assert not lease.told("teacher", "finished") and (lease.work / "teacher/done").exists()
    arguments, = lease.told("train_vocos", "arguments")
    since, end = (float(arguments[arguments.index(name) + 1]) for name in ("--since", "--until"))
    assert end - since == pytest.approx(0.3 * WELL, abs=0.01)
    acoustic, = lease.told("train_dit", "arguments")
    assert float(acoustic[acoustic.index("--until") + 1]) == pytest.approx(begun + WELL - RESERVE, abs=0.01)
    assert len(lease.told("train_dit", "steps")) == 1


def test_a_later_call_goes_on(leases):
    """A call ends at once; what it started goes on, or is gone on with where it was killed, never twice. With two GPUs."""
    lease = leases()
    lent = LATER - RESERVE - 1
    arguments = [*lease.teacher("waits", 30), "--gpus", 2, "--lend", lent]
    lease.call(*arguments, seconds=LATER, watch=0)
    first = lease.running()
    assert not gone(first)
    while not (lease.work / "state.pt").exists():
        assert not gone(first)
        time.sleep(0.05)
    lease.call(*arguments, seconds=LATER, watch=0)
    assert lease.running() == first and (lease.home / "ema-0.npz").exists()
    os.kill(first, signal.SIGKILL)
    while not gone(first):
        time.sleep(0.05)
    orphans = {pid for name in ("teacher", "taught", "train_dit") for pid in lease.told(name, "pid")}
    assert not all(map(gone, orphans))
    (lease.folder / "go").touch()
    assert lease.call(*arguments, seconds=LATER)[0] == 0 and all(map(gone, orphans)) and not first == lease.running()
    _, second = lease.told("train_dit", "arguments")
    assert "--resume" in second and "--keep-schedule" in second
    for name, gpus in (("teacher", "1"), ("taught", ""), ("train_dit", "0"), ("train_vocos", "1")):
        assert set(lease.told(name, "gpus")) == {gpus}
    vocoder, = lease.told("train_vocos", "arguments")
    ends = [float(arguments[arguments.index("--until") + 1]) for arguments in (vocoder, second)]
    assert ends[1] - ends[0] == pytest.approx(1, abs=0.01)
    assert ends[0] - float((lease.work / "begun").read_text()) == pytest.approx(lent, abs=0.01)
    assert len(list((lease.work / "corpus").glob("*.npz"))) == 30 and len(lease.told("teacher", "arguments")) == 2
    assert lease.call(*arguments, seconds=LATER)[0] == 0 and len(lease.told("train_dit", "at")) == 2  # its time is over


def test_without_speech_it_ends_at_once(leases):
    lease = leases()
    begun = time.time()
    status, _, errors = lease.call(*lease.teacher("fails"), seconds=600)
    assert time.time() - begun < 60 and status == 1 and "there is no speech" in errors and "no voice" in errors
    assert not (lease.work / "ema-0.npz").exists()
    assert lease.call(*lease.teacher("speaks"), seconds=600, watch=0)[0] == 0  # the command was mended
    while not (lease.work / "ema-0.npz").exists():
        assert not gone(lease.running())
        time.sleep(0.05)


@pytest.mark.parametrize("gpus,acoustic,others", [(0, [], []), (1, [0], [0]), (2, [0], [1]), (8, [0, 1, 2, 3, 4, 5], [6, 7])])
def test_who_has_which_gpu(tmp_path, gpus, acoustic, others):
    (tmp_path / "begun").write_text("0")
    voice = natural_voice.Voice(types.SimpleNamespace(work=tmp_path, seconds=100, gpus=gpus, lend=None))
    assert (voice.dit_gpus, voice.other_gpus, voice.alone) == (acoustic, others, gpus < 2)
    lent = natural_voice.Voice(types.SimpleNamespace(work=tmp_path, seconds=100, gpus=gpus, lend=60)).lent
    assert lent == (60 if gpus > 1 else float("inf"))


@pytest.mark.parametrize("lend", [-1, 0, 200, 1500, 2000])
def test_gpus_are_lent_when_the_vocoder_had_time(tmp_path, monkeypatch, capsys, lend):
    (tmp_path / "jobs.npz").touch()
    command = ["natural_voice.py", tmp_path, tmp_path / "jobs.npz", "--seconds", 1500, "--teacher", "x", f"--lend={lend}"]
    monkeypatch.setattr(sys, "argv", [str(word) for word in command])
    with pytest.raises(SystemExit) as refused:
        natural_voice.parse()
    assert refused.value.code == 2 and f"--lend {lend}: wanted are more than 200 s" in capsys.readouterr().err


def test_it_does_not_train_on_a_cpu_unasked(tmp_path, monkeypatch):
    (tmp_path / "begun").write_text("0")
    monkeypatch.setattr(natural_voice, "gpu_count", lambda: 0)
    with pytest.raises(SystemExit, match="no GPU"):
        natural_voice.Voice(types.SimpleNamespace(work=tmp_path, seconds=100, gpus=None, lend=None))
