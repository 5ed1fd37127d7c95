"""The CPU backend wherever it may be put: forked, unloaded, short of threads or of stack, beside another, on old CPUs."""
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import pytest

import cbind
import convert_lib
import f5lib
from test_infer import write_wav

TESTS = Path(__file__).resolve().parent
VOICE = cbind.ROOT / "weights" / "voices"

# What every script begins with: a voice of noise, and `said(engine)`, the samples of one sentence.
PRELUDE = """
import contextlib, ctypes, os, resource, signal, sys, threading, time
import numpy as np
import f5lib

MODEL = sys.argv[1]
RECORDING = np.random.default_rng(3).uniform(-0.4, 0.4, 24000).astype(np.float32)


def said(engine, text="Say these few words."):
    with engine.voice(RECORDING, "A recording.") as voice:
        (samples, mel), = engine.speak(voice, text, seed=7, sample=dict(nfe=2))[0]
    assert np.isfinite(samples).all() and len(samples) > 2000
    return samples


def threads():
    return len(os.listdir("/proc/self/task"))


def opened(**limits):
    return f5lib.Engine(MODEL, max_frames=512, **limits)
"""


def script(text, model, **options):
    """Runs a Python script after the prelude; it must end with status 0, and within ten minutes on a busy machine."""
    options.setdefault("expect", 0)
    expect = options.pop("expect")
    run = subprocess.run([sys.executable, "-c", PRELUDE + textwrap.dedent(text), str(model)], capture_output=True,
                         text=True, timeout=600, env={**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1",
                                                     "OPENBLAS_NUM_THREADS": "1"}, **options)
    assert run.returncode == expect, f"status {run.returncode}\n{run.stdout}{run.stderr[-3000:]}"
    return run.stdout


def infer_args(model, folder, **other):
    recording = folder / "voice.wav"
    if not recording.exists():
        write_wav(recording, np.random.default_rng(3).uniform(-0.4, 0.4, 24000).astype(np.float32))
    options = dict(model=model, ref_audio=recording, ref_text="A recording.", gen_text="Hi.", fix_duration=1.5, seed=7,
                   nfe_step=1, device="cpu", max_frames=400, output_dir=folder, output_file="a.wav",
                   save_mel=folder / "a.npy", quiet=True)
    options.update(other)
    return ["infer", *(f"--{k}" if v is True else f"--{k}={v}" for k, v in options.items())]


def infer(model, folder, *before, **other):
    """The mel that `f5tts infer` saves, run under `before`."""
    run = subprocess.run([*map(str, before), convert_lib.program(), *infer_args(model, folder, **other)],
                         capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, f"status {run.returncode}: {run.stderr[-3000:]}"
    return np.load(folder / "a.npy")


def tool(name, package):
    path = shutil.which(name)
    if not path:
        pytest.skip(f"{name} is not installed ({package}): this CPU alone is tried")
    return path


def test_a_forked_child_speaks(model):
    script("""
    for threads_wanted in (1, 2, 4):
        engine = opened(threads=threads_wanted)
        before = said(engine)
        assert threads() == threads_wanted
        for _ in range(3):
            child = os.fork()
            if child == 0:
                signal.alarm(120)
                same = said(engine).tobytes() == before.tobytes()
                engine.close()
                with opened(threads=2) as another:
                    same = same and said(another).tobytes() == before.tobytes()
                os._exit(0 if same else 3)
            assert os.waitpid(child, 0)[1] == 0
            assert said(engine).tobytes() == before.tobytes()
        engine.close()
        assert threads() == 1
    """, model)


def test_loaded_and_unloaded_a_hundred_times(model):
    script("""
    import _ctypes

    def maps():
        return sum("libf5tts" in line for line in open("/proc/self/maps"))

    counts = []
    for i in range(100):
        with opened(threads=3) as engine:
            samples = said(engine)
            first = samples if i == 0 else first
            assert samples.tobytes() == first.tobytes() and threads() == 3 and maps() > 0
        library = f5lib.library()
        f5lib.library.cache_clear()
        _ctypes.dlclose(library._handle)
        assert maps() == 0, "the library stays loaded"
        counts.append((threads(), len(os.listdir("/proc/self/fd"))))
    assert set(counts) == {(1, counts[0][1])}, counts
    """, model)


def test_no_threads_to_be_had(model):
    """Root is bound by no limit on processes, so the script becomes nobody, in a folder that nobody may read."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        copy = shutil.copy(model, folder)
        os.chmod(copy, 0o644)
        script("""
        with opened(threads=3) as engine:
            want = said(engine)
            assert threads() == 3
        if os.getuid() == 0:
            os.setgroups([]), os.setgid(65534), os.setuid(65534)
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        try:
            threading.Thread(target=print).start()
            sys.exit("the limit does not bind")
        except RuntimeError:
            pass
        with opened(threads=3) as engine:
            assert threads() == 1
            assert said(engine).tobytes() == want.tobytes()
        """, copy)


def test_threads_follow_the_affinity_mask(model):
    script("""
    cpus = sorted(os.sched_getaffinity(0))
    with opened() as engine:
        assert threads() == min(len(cpus), 256), threads()
        want = said(engine)
    os.sched_setaffinity(0, cpus[:1])
    with opened() as engine:
        assert threads() == 1
        assert said(engine).tobytes() == want.tobytes()
    with opened(threads=5) as engine:
        assert threads() == 5
        assert said(engine).tobytes() == want.tobytes()
    """, model)


def test_exit_while_others_speak(model):
    script("""
    engine = opened(threads=3)

    def forever():
        while True:
            said(engine)

    for _ in range(4):
        threading.Thread(target=forever, daemon=True).start()
    time.sleep(0.3)
    ctypes.CDLL(None).exit(5)
    """, model, expect=5)


def test_a_small_stack(model, tmp_path):
    want = infer(model, tmp_path)
    got = infer(model, tmp_path, "/bin/sh", "-c", 'ulimit -s 256 && exec "$@"', "sh", threads=3)
    assert cbind.same_bits(got, want)


def test_stack_of_the_calling_thread(model):
    """A call keeps its promise of 64 KB: threads of Python's own are given little more."""
    script("""
    engine = opened(threads=2)
    want, got = said(engine), []
    samples, mel = np.empty_like(want), np.zeros((100, 100), np.float32)
    library, address = f5lib.library(), ctypes.CDLL(None)
    threading.stack_size(192 << 10)  # Python and ctypes take about 100 KB themselves
    thread = threading.Thread(target=lambda: got.append(said(engine)))
    thread.start(), thread.join()
    assert got[0].tobytes() == want.tobytes()
    """, model)


def test_instruction_sets(model):
    isas = cbind.isas()
    request = dict(cond=np.random.default_rng(1).standard_normal((30, 100), dtype=np.float32),
                   tokens=np.arange(1, 20, dtype=np.int32), frames=90, seed=5)
    mels = {}
    for isa in isas:
        for threads in (1, 2):
            with f5lib.Engine(model, device=f"cpu:{isa}", threads=threads) as e:
                mel, = e.sample([request], nfe=4)
            assert cbind.same_bits(mels.setdefault(isa, mel), mel)
    with f5lib.Engine(model) as e:
        assert cbind.same_bits(e.sample([request], nfe=4)[0], mels[isas[0]])
    for isa in isas:
        assert cbind.rel_l2(mels[isa], mels[isas[-1]]) < 1e-5, isa


@pytest.mark.parametrize("device,status,says", [
    ("cpu:mmx", "F5_E_ARGUMENT", "no such instruction set"), ("cpu:", "F5_E_ARGUMENT", "unknown"),
    ("cpu:" + "x" * 300, "F5_E_ARGUMENT", "unknown"), ("cpux", "F5_E_ARGUMENT", "unknown")])
def test_unknown_instruction_set(model, device, status, says):
    with pytest.raises(f5lib.Error) as refused:
        f5lib.Engine(model, device=device)
    assert refused.value.status == status and says in refused.value.message


def test_negative_threads(model):
    with pytest.raises(f5lib.Error, match="threads is -1") as refused:
        f5lib.Engine(model, threads=-1)
    assert refused.value.status == "F5_E_ARGUMENT"


def test_two_at_once(tmp_path):
    """Threads that wait must not take the other's cores: two runs together take about twice the processor time of one.
    The bound is loose, for what else this machine does meanwhile; idle spinning costs a factor of ten."""
    def start(name):
        return subprocess.Popen([convert_lib.program(), *infer_args(
            f5lib.SHIPPED, tmp_path, output_file=f"{name}.wav", save_mel=tmp_path / f"{name}.npy", nfe_step=8)])

    def seconds(*names):
        runs, before = [start(name) for name in names], resource.getrusage(resource.RUSAGE_CHILDREN)
        assert [run.wait(timeout=300) for run in runs] == [0] * len(runs)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    alone = min(seconds("a") for _ in range(3))
    together = min(seconds("b", "c") for _ in range(3))
    print(f"alone {alone:.2f} s, two at once {together:.2f} s: {together / alone:.2f} times")
    assert together < 4 * alone + 0.2


def test_under_valgrind(model, tmp_path):
    valgrind = tool("valgrind", "valgrind")
    want = infer(model, tmp_path)
    got = infer(model, tmp_path, valgrind, "--quiet", "--error-exitcode=99", "--leak-check=full",
                "--errors-for-leak-kinds=definite", threads=2)
    assert cbind.rel_l2(got, want) < 1e-5  # its libm may be another


@pytest.mark.parametrize("cpu,isa", [("Nehalem", "sse2"), ("Haswell", "avx2")])
def test_on_an_older_cpu(model, tmp_path, cpu, isa):
    """The default build on an emulated CPU; the program, too, must use no instruction that the CPU lacks."""
    qemu = tool("qemu-x86_64", "qemu-user")
    if isa not in cbind.isas():
        pytest.skip(f"this CPU has no {isa} to compare with")
    want = infer(model, tmp_path, device=f"cpu:{isa}")
    got = infer(model, tmp_path, qemu, "-cpu", cpu, threads=2)
    assert cbind.rel_l2(got, want) < 1e-5  # its libm is another
