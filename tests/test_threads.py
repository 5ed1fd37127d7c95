"""tests/c/concurrent_calls.c under each sanitizer: many threads at one engine, no race, no leak, the bits of one thread."""
import os
import subprocess
from pathlib import Path

import pytest

import cbind

BUILDS = {"plain": "F5_BUILD", "address": "F5_ASAN_BUILD", "thread": "F5_TSAN_BUILD"}
SIZES = {"plain": (16, 30), "address": (8, 12), "thread": (6, 6)}  # threads, calls of each: the sanitizers are slow


@pytest.mark.parametrize("sanitizer", BUILDS)
def test_many_threads(model, seed, sanitizer):
    build = os.environ.get(BUILDS[sanitizer])
    if not build and sanitizer != "plain":
        pytest.skip(f"{BUILDS[sanitizer]} is not set: no {sanitizer} sanitizer in this run")
    program = Path(build or cbind.ROOT / "build") / "bin" / "concurrent_calls"
    assert program.exists(), f"{program}: build it first (make)"
    run = subprocess.run([program, model, str(seed), *map(str, SIZES[sanitizer])], capture_output=True, text=True,
                         timeout=600)
    print(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr[-4000:]
    assert "Sanitizer" not in run.stderr, run.stderr[-4000:]
