"""The tools beside the tests: run_tests.py fails when a part does, same_bits.py sees one bit, mutate.py plants what it says."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import mutate
import run_tests
import same_bits


def part_of(tmp_path, text):
    file = tmp_path / "test_it.py"
    file.write_text(text)
    part = run_tests.Part("it", [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=REPORT", file])
    part.run(tmp_path, dict(os.environ))
    return part


@pytest.mark.parametrize("text, counts, failed", [
    ("def test_a(): pass\ndef test_b(): pass", (2, 0, 0), False),
    ("import pytest\ndef test_a(): pass\ndef test_b(): pytest.skip('no')", (1, 0, 1), False),
    ("def test_a(): pass\ndef test_b(): assert 0", (1, 1, 0), True),
    ("import pytest\n@pytest.fixture\ndef f(): assert 0\ndef test_a(f): pass", (0, 1, 0), True),
    ("import nothing_of_this_name", (0, 1, 0), True), ("", (0, 1, 0), True)])
def test_a_part_is_counted(tmp_path, text, counts, failed):
    part = part_of(tmp_path, text)
    assert tuple(part.counts.values()) == counts and part.failed == failed and part.line().endswith("FAILED") == failed


def test_a_part_that_dies_has_failed(tmp_path):
    cut = "import sys; open(sys.argv[1], 'w').write('<testsuite><testcase name='); sys.exit(int(sys.argv[2]))"
    killed = "import os; os.kill(os.getpid(), 9)"
    for words in ([cut, "REPORT", "0"], [cut, "REPORT", "1"], [killed]):
        part = run_tests.Part("it", [sys.executable, "-c", *words])
        part.run(tmp_path, dict(os.environ))
        assert part.failed and "no test ran" in part.output
        (tmp_path / "it.xml").unlink(missing_ok=True)


def test_a_part_that_cannot_start_fails_alone(capsys):
    lost, never = run_tests.Part("lost", ["/no/such/command"]), run_tests.Part("never", [])
    good = run_tests.Part("good", [sys.executable, "-c", "open('REPORT', 'w').write('<t><testcase/></t>')"])
    run_tests.run_all([lost, good], jobs=1)
    assert lost.failed and not good.failed and never.failed


def test_every_test_file_is_in_one_part():
    named = [path for part in run_tests.parts() for path in part.command if path.startswith("tests/")]
    files = []
    for path in named:
        found = run_tests.ROOT / path
        files += [found] if found.is_file() else sorted(found.rglob("test_*.py"))
    assert sorted(files) == sorted(run_tests.TESTS.rglob("test_*.py")) and len(set(files)) == len(files)


def test_no_two_modules_have_one_name():
    """The tests put folders of scripts on the path: with `pytest tests` all of them, in one process."""
    packages = {path.parent for path in run_tests.ROOT.glob("host/python/**/__init__.py")}
    tracked = subprocess.run(["git", "ls-files", "-z", "*.py"], cwd=run_tests.ROOT, capture_output=True, check=True).stdout.decode()
    modules = {}
    for path in filter(None, tracked.split("\0")):
        path = run_tests.ROOT / path
        if path.parent not in packages and path.name != "conftest.py" and path.exists():
            modules.setdefault(path.name, []).append(path)
    assert len(modules) > 100 and not [paths for paths in modules.values() if len(paths) > 1]


STARTS = {  # a program that never gets ready
    "running": "import running; running.Server(None)",
    "real_server": "import real_server as r; r.Server(None, '.', '.', 'log', binary=os.environ['F5_PROGRAM'])",
    "serve_load": "import serve_load as s, types; s.Served(types.SimpleNamespace(program=os.environ['F5_PROGRAM'], device='cpu', max_frames=1, "
                  "max_batch=1, precision=None, life=60), 'm', '.', 1)"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("module", STARTS)
def test_servers_end_with_whoever_started_them(tmp_path, module, number):
    program, pid = tmp_path / "program", tmp_path / "pid"
    program.write_text(f"#!/bin/sh\necho $$ > {pid}.new\nmv {pid}.new {pid}\nexec sleep 60\n")
    program.chmod(0o755)
    folders = [str(run_tests.ROOT / folder) for folder in ("tests", "tests/server", "tests/triton_server", "bench")]
    script = f"import os, sys\nsys.path[:0] = {folders!r}\n{STARTS[module]}"
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, "F5_PROGRAM": str(program)}) as starter:
        until = time.monotonic() + 300
        while not pid.exists() and starter.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        server = Path(f"/proc/{int(pid.read_text())}/stat")
        starter.send_signal(number)
        starter.wait(60)
    until = time.monotonic() + 40  # before it ends by itself

    def gone():
        try:
            return server.read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):  # it went before it was looked at, or while it was
            return True

    while not gone() and time.monotonic() < until:
        time.sleep(0.02)
    assert time.monotonic() < until


def test_one_bit_is_seen(tmp_path, capsys):
    a = {"case/mel 0": np.linspace(0, 1, 7, dtype=np.float32), "model v1/sha256": np.arange(4, dtype=np.uint8)}
    b = {**a, "case/mel 0": a["case/mel 0"].copy()}
    b["case/mel 0"].view(np.uint32)[3] ^= 1
    for name, arrays in (("a", a), ("b", b), ("c", {"case/mel 0": a["case/mel 0"]}), ("none", {})):
        np.savez(tmp_path / f"{name}.npz", **arrays)

    def compared(x, y):
        return same_bits.compare(tmp_path / f"{x}.npz", tmp_path / f"{y}.npz"), capsys.readouterr().out

    assert compared("a", "a") == (0, "equal: 1 requests, 2 arrays\n")
    code, said = compared("a", "b")
    assert code == 1 and "case/mel 0: 1 of 7 differ" in said
    assert compared("a", "c")[0] == 1 and compared("none", "none")[0] == 1


def test_a_fault_is_planted_once_or_not_at_all(tmp_path):
    tree = mutate.Copy.__new__(mutate.Copy)
    tree.folder = tmp_path
    (tmp_path / "a.c").write_text("x = 1;\ny = 1;\n")
    assert mutate.plant(tree, "a.c", "x = 1", "x = 2") == ("x = 1;\ny = 1;\n", "")
    assert (tmp_path / "a.c").read_text() == "x = 2;\ny = 1;\n"
    assert mutate.plant(tree, "a.c", "= 7", "= 2")[0] is None and mutate.plant(tree, "a.c", ";", ",")[0] is None
    assert (tmp_path / "a.c").read_text() == "x = 2;\ny = 1;\n"


def test_the_parts_next_to_a_fault_come_first():
    order = mutate.parts_for("kernels/norm.c", mutate.ROOT)
    assert order[0] == ["tests/ops"] and ["tests/stages"] in order[:2]
    tried = {name for part in order for name in part}
    for path in run_tests.TESTS.rglob("test_*.py"):
        path = str(path.relative_to(run_tests.ROOT))
        assert path.startswith(mutate.NOT_RUN) or any(path.startswith(name) for name in tried), f"{path} is never tried"


def test_every_failed_test_has_its_name():
    """A name that is not read is a fault that counts as not caught."""
    names = ["tests/ops/test_a.py::test_b", "tests/stages/test_a.py::test_b[32 steps]", "tests/test_a.py::test_b[x - y[0]]"]
    for name in names:
        for line in (f"FAILED {name}", f"FAILED {name} - AssertionError: a [b] - c", f"ERROR {name} - E"):
            assert mutate.failed_in(f"1 passed\n{line}\n1 failed") == [name]
    assert mutate.failed_in("\n".join(f"FAILED {n} - x" for n in names)) == names
    assert mutate.failed_in("FAILED elsewhere\nall is well") == []
