#!/usr/bin/env python3
"""mutate.py — would the tests see it? Plants single faults into a copy of this tree and runs the CPU tests over each.

    tests/mutate.py                 the two examples below
    tests/mutate.py FAULTS.py       a Python list of (file, old text, new text), which is read, not run
    tests/mutate.py --only 3,5 FAULTS.py

The copy holds what git tracks, as it is in the work tree, and lies in --folder. Old text must stand in its file once. For
each fault: the copy is built (release); a fault that does not compile is called so, which is no merit of the tests; then
the C tests and the parts of the test suite run, those next to the file first, each until its first failure. A test that
fails counts when it passes in the copy without the fault, on the same seed. A line a fault; exits 1 if one was not caught.
"""
import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

EXAMPLES = [
    ("kernels/norm.c", "NORM_EPS 1e-6f", "NORM_EPS 1e-5f"),
    ("runtime/solver/ode.c", "for (int32_t i = 0; i < solver->nfe", "for (int32_t i = 1; i < solver->nfe"),
]
# parts of the suite, in the order in which they are tried; first those whose pattern the file fits
PARTS = {
    "tests/emulate": r"kernels/.*\.cuh?$", "tests/ops": r"kernels/", "tests/stages": r"runtime/|kernels/|host/api/|weights/model",
    "tests/test_host.py": r"host/(text|audio|api)/", "tests/test_infer.py": r"host/",
    "tests/test_struct_sizes.py": r"host/api/", "tests/test_threads.py": r"runtime/|host/api/",
    "tests/test_convert.py tests/test_convert_wild.py tests/test_convert_full_size.py tests/test_f5file.py": r"weights/",
    "tests/hostile": r"weights/|host/files/", "tests/voice": r"weights/(train|voices)/|host/(text|audio)/",
    "tests/hub": r"host/(hub|program)/", "tests/server": r"host/server/", "tests/python": r"host/python/",
    "tests/triton_server": r"host/triton/",
    "tests/test_messages.py tests/test_transcribe.py tests/test_help.py": r"host/program/|kernels/error",
    "tests/test_install.py": r"cmake/", "tests/test_bench.py": r"bench/|runtime/ops/",
}
NOT_RUN = ("tests/test_house.py", "tests/test_compile_cuda.py", "tests/gpu")  # layout, time, no GPU


class Copy:
    """A tree of its own with a release build."""

    def __init__(self, folder, paths):
        self.folder = Path(folder)
        for old in [p for p in self.folder.rglob("*") if p.is_file()]:
            path = str(old.relative_to(self.folder))
            if path not in paths and not path.startswith("build"):
                old.unlink()
        for path in paths:
            to = self.folder / path
            to.parent.mkdir(parents=True, exist_ok=True)
            if not to.exists() or to.read_bytes() != (ROOT / path).read_bytes():
                shutil.copy2(ROOT / path, to)
                os.utime(to)
        self.run(["cmake", "--preset", "release", "-Wno-dev"], check=True)
        built = self.build()
        assert built.returncode == 0, built.stdout

    def run(self, command, seed=None, check=False):
        environment = {**os.environ, "F5_BUILD": str(self.folder / "build"), "OMP_WAIT_POLICY": "passive"}
        environment.pop("F5_ASAN_BUILD", None)
        environment.pop("F5_TSAN_BUILD", None)
        if seed:
            environment["F5_TEST_SEED"] = seed
        return subprocess.run(command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", check=check)

    def build(self):
        return self.run(["cmake", "--build", "--preset", "release"])

    def pytest(self, arguments, seed):
        return self.run([sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--color=no", *arguments], seed)


def parts_for(path, folder):
    """Every part that is there, the file's own first, then test files that no part names."""
    found = [part.split() for part in sorted(PARTS, key=lambda part: not re.match(PARTS[part], path))]
    named = {name for part in found for name in part}
    rest = [f"tests/{p.name}" for p in sorted((folder / "tests").glob("test_*.py"))]
    found.append([p for p in rest if p not in named and p not in NOT_RUN])
    return [[p for p in part if (folder / p).exists()] for part in found]


def failing_c_test(tree, clean):
    """Its name, or "" """
    command = ["ctest", "--test-dir", "build", "--output-on-failure", "--no-tests=error"]
    failed = re.findall(r"^\s*\d+ - (\S+) \(", tree.run(command).stdout, flags=re.M)
    for name in failed:
        if clean.run([*command, "-R", f"^{name}$"]).returncode == 0:
            return name
    return ""


def failed_in(summary):
    """The tests that pytest's summary names; the names of parameters have spaces in them."""
    return re.findall(r"^(?:FAILED|ERROR) (tests/[^\s\[]+(?:\[.*?\])?)(?: - .*)?$", summary, flags=re.M)


def failing_test(tree, clean, part, seed):
    """The first test of the part that fails with the fault and passes without, or "" """
    done = tree.pytest(part, seed)
    if done.returncode in (0, 5):
        return ""
    failed = failed_in(done.stdout)
    if not failed:
        if done.returncode < 0 or done.returncode > 128:
            return f"{' '.join(part)} (crashed, exit {done.returncode})"
        print(f"  {' '.join(part)}: exit {done.returncode}, but names no test: not counted", flush=True)
        return ""
    again = clean.pytest(failed[:1], seed)
    if again.returncode == 0:
        return failed[0]
    print(f"  {failed[0]} fails without the fault too, on seed {seed}: not counted", flush=True)
    return ""


def caught_by(tree, clean, path, seed):
    name = failing_c_test(tree, clean)
    if name:
        return name
    for part in parts_for(path, tree.folder):
        name = part and failing_test(tree, clean, part, seed)
        if name:
            return name
    return ""


def plant(tree, path, old, new):
    file = tree.folder / path
    text = file.read_text(encoding="utf-8")
    count = text.count(old)
    if count != 1:
        return None, f"the old text stands {count} times in {path}"
    file.write_text(text.replace(old, new), encoding="utf-8")
    return text, ""


def try_fault(tree, clean, fault, seed):
    """(what became of it, by what)"""
    path, old, new = fault
    text, trouble = plant(tree, path, old, new)
    if trouble:
        return "not planted", trouble
    try:
        built = tree.build()
        if built.returncode != 0:
            error = re.search(r"error: .*", built.stdout)
            return "does not compile", error.group() if error else built.stdout.strip()[-120:]
        name = caught_by(tree, clean, path, seed)
        return ("caught", name) if name else ("NOT CAUGHT", "")
    finally:
        (tree.folder / path).write_text(text, encoding="utf-8")


def main(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("faults", nargs="?", type=Path)
    p.add_argument("--only", help="numbers of faults, from 1, as 3,5")
    p.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "f5-mutate")
    p.add_argument("--seed", default="1")
    args = p.parse_args(argv)
    faults = ast.literal_eval(args.faults.read_text(encoding="utf-8")) if args.faults else EXAMPLES
    wanted = [int(n) for n in args.only.split(",")] if args.only else range(1, len(faults) + 1)
    paths = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    paths = [path for path in paths if (ROOT / path).is_file()]
    clean, tree = Copy(args.folder / "clean", paths), Copy(args.folder / "planted", paths)
    outcomes = []
    for number in wanted:
        started = time.monotonic()
        outcome, by = try_fault(tree, clean, faults[number - 1], args.seed)
        outcomes.append(outcome)
        path, old, new = faults[number - 1]
        print(f"{number:>3}  {outcome:<16} {path}: {old.strip()!r:.40} -> {new.strip()!r:.40}  {by}  "
              f"({time.monotonic() - started:.0f} s)", flush=True)
    caught = outcomes.count("caught")
    print(f"{caught} of {len(outcomes)} caught")
    return 0 if caught == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
