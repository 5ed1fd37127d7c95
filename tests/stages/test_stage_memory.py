"""Only opening allocates: 50 rounds of every kind of request, counted by tests/c/count_allocations.c."""
import os
import subprocess
from pathlib import Path

import pytest

import cbind


@pytest.mark.parametrize("name", ["tiny", "tiny e2", "tiny mmdit", "little bigvgan"])
def test_no_allocation_after_open(zoo, seed, name):
    program = Path(os.environ.get("F5_BUILD", cbind.ROOT / "build")) / "bin" / "count_allocations"
    assert program.exists(), f"{program}: build it first (make)"
    result = subprocess.run([program, zoo[name].path, str(seed)], capture_output=True, text=True, timeout=1800)
    assert result.returncode == 0, result.stderr
    counts = {}
    for line in result.stdout.splitlines()[1:]:
        phase, name, count = line.split()
        counts[phase, name.split(".")[0]] = int(count)
    assert counts["open", "libf5tts"] > 5, f"the counter does not count: {counts}"
    assert not [name for phase, name in counts if phase == "requests"], counts
