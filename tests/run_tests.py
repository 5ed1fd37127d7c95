#!/usr/bin/env python3
"""run_tests.py — every test of this tree, several parts at once, each part's output in one piece.

    F5_BUILD=build F5_ASAN_BUILD=build-asan F5_TSAN_BUILD=build-tsan tests/run_tests.py [part ...]

A part is a pytest run over some folders, the C tests of a build, or the compilation of every .cu; they start in the
order below, one more at once than there are processors (--jobs): some wait for clocks; none with more threads than its share. The last lines count
what passed, failed and was skipped; a part that ran no test at all has failed. All parts share one F5_TEST_SEED.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"

# name: what pytest is given, the longest first. A test file that no part names is in "the rest".
PYTEST = {
    "voice": ["tests/voice"],
    "stages": ["tests/stages"],
    "CUDA, compiled": ["tests/test_compile_cuda.py"],
    "CUDA, emulated": ["tests/emulate"],
    "hostile": ["tests/hostile"],
    "conversion": ["tests/test_convert.py", "tests/test_convert_wild.py", "tests/test_convert_full_size.py"],
    "ops": ["tests/ops"],
    "hub": ["tests/hub"],
    "server": ["tests/server"],
    "bench": ["tests/test_bench.py"],
    "python": ["tests/python"],
    "gpu": ["tests/gpu"],
}
CTEST = {"C, release": "F5_BUILD", "C, address sanitizer": "F5_ASAN_BUILD", "C, thread sanitizer": "F5_TSAN_BUILD"}


def rest():
    """Test files outside every part above."""
    named = [ROOT / path for paths in PYTEST.values() for path in paths]
    return [str(path.relative_to(ROOT)) for path in sorted(TESTS.rglob("test_*.py"))
            if not any(path == n or n in path.parents for n in named)]


class Part:
    def __init__(self, name, command):
        self.name, self.command = name, [str(word) for word in command]
        self.code, self.seconds, self.output, self.counts = None, 0.0, "", dict(passed=0, failed=0, skipped=0)

    def run(self, folder, environment):
        report, started = folder / f"{re.sub(r'[^a-z]', '_', self.name.lower())}.xml", time.monotonic()
        command = [word.replace("REPORT", str(report)) for word in self.command]
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace")
        self.code, self.seconds, self.output = done.returncode, time.monotonic() - started, done.stdout
        self.count(report)

    def count(self, report):
        """From the JUnit report, whoever wrote it. No report, or nothing in it, is a failure."""
        try:
            cases = list(ET.parse(report).getroot().iter("testcase")) if report.exists() else []
        except ET.ParseError as error:  # its writer was killed
            cases, self.output = [], f"{self.output}\n{self.name}: {report.name}: {error}\n"
        for case in cases:
            kinds = {child.tag for child in case}
            left_out = "skipped" in kinds or case.get("status") in ("disabled", "notrun")
            self.counts["failed" if kinds & {"failure", "error"} else "skipped" if left_out else "passed"] += 1
        if not cases:
            self.output += f"\n{self.name}: no test ran\n"
        if self.code != 0 or not cases:
            self.counts["failed"] = max(1, self.counts["failed"])

    @property
    def failed(self):
        return self.counts["failed"] > 0 or self.counts["passed"] + self.counts["skipped"] == 0

    def line(self):
        counts = "  ".join(f"{n:>5} {what}" for what, n in self.counts.items())
        return f"{self.name:<22}{counts}  {self.seconds:6.0f} s" + ("  FAILED" if self.failed else "")


def parts():
    """In the order in which they start."""
    def pytest(name, paths):
        return Part(name, [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--color=no",
                           "--junitxml=REPORT", *paths])

    found = [pytest(name, paths) for name, paths in PYTEST.items()]
    found.insert(5, pytest("the rest", rest()))
    for name, variable in CTEST.items():
        if os.environ.get(variable):
            found.append(Part(name, ["ctest", "--test-dir", os.environ[variable], "--output-on-failure", "--no-tests=error",
                                     "--output-junit", "REPORT"]))
    return found


def environment(jobs):
    share = str(max(1, (os.cpu_count() or 1) // jobs))
    seed = os.environ.get("F5_TEST_SEED") or str(int.from_bytes(os.urandom(4), "little"))
    return {**os.environ, "F5_TEST_SEED": seed, "OMP_WAIT_POLICY": "passive", "OPENBLAS_NUM_THREADS": share,
            "PYTHONUNBUFFERED": "1"}


def run_all(queue, jobs):
    """Runs the parts, `jobs` at a time, in order; prints each when it is done."""
    started, waiting, lock, settings = [], list(queue), threading.Lock(), environment(jobs)
    print(f"{len(queue)} parts, {jobs} at a time, F5_TEST_SEED={settings['F5_TEST_SEED']}", flush=True)

    def work(folder):
        while True:
            with lock:
                if not waiting:
                    return
                part = waiting.pop(0)
            try:
                part.run(folder, settings)
            except OSError as error:  # the command is not here
                part.output, part.counts["failed"] = str(error), 1
            with lock:
                print(f"\n==== {part.name}\n{part.output.rstrip()}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        for _ in range(jobs):
            started.append(threading.Thread(target=work, args=(Path(folder),)))
            started[-1].start()
        for thread in started:
            thread.join()


def main(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("parts", nargs="*")
    p.add_argument("--jobs", type=int, default=min((os.cpu_count() or 1) + 1, 4))
    p.add_argument("--list", action="store_true")
    args = p.parse_args(argv)
    queue = parts()
    unknown = set(args.parts) - {part.name for part in queue}
    if unknown:
        p.error(f"no part {', '.join(sorted(unknown))}; there are: {', '.join(part.name for part in queue)}")
    queue = [part for part in queue if not args.parts or part.name in args.parts]
    if args.list:
        print("\n".join(f"{part.name}: {' '.join(part.command)}" for part in queue))
        return 0
    begun = time.monotonic()
    if not shutil.which("ctest") and any(part.command[0] == "ctest" for part in queue):
        sys.exit("run_tests.py: ctest is not here")
    run_all(queue, args.jobs)
    total = {what: sum(part.counts[what] for part in queue) for what in ("passed", "failed", "skipped")}
    print("\n" + "\n".join(part.line() for part in queue))
    print(f"\n{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped in "
          f"{time.monotonic() - begun:.0f} s")
    return 1 if any(part.failed for part in queue) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
