"""The backend of Triton Inference Server under a server of ours, tests/c/fake_triton.c, also with AddressSanitizer. The real
server is for check_server.py (`make triton-test`)."""
import os
import subprocess
from pathlib import Path

import pytest
from live_blocks import LiveBlocks, told

ROOT = Path(__file__).resolve().parents[2]
BUILDS = {"plain": "F5_BUILD", "address": "F5_ASAN_BUILD"}


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("program", ["test_triton", "test_triton_refused", "test_triton_shared"])
def test_under_a_server_of_ours(model, program, build):
    folder = os.environ.get(BUILDS[build])
    if not folder and build != "plain":
        pytest.skip(f"{BUILDS[build]} is not set: no {build} sanitizer in this run")
    path = Path(folder or ROOT / "build") / "bin" / program
    if not path.exists() and not (path.parent.parent / "lib/f5tts/triton-backends").exists():
        pytest.skip("built with F5_TRITON=OFF")
    assert path.exists(), f"{path}: build it first (make)"
    run = subprocess.run([path, model], capture_output=True, text=True, errors="replace", timeout=300)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
    assert "Sanitizer" not in run.stderr, run.stderr[-4000:]


@pytest.mark.parametrize("plant", [0, 300])
@pytest.mark.parametrize("program", ["test_triton", "test_triton_refused", "test_triton_shared"])
def test_all_is_given_back(model, tmp_path, program, plant):
    """Also what a list would still hold, which no sanitizer calls a leak. With some frees left out it is seen."""
    build = Path(os.environ.get("F5_BUILD") or ROOT / "build")
    if not (build / "bin" / program).exists():
        pytest.skip("built with F5_TRITON=OFF")
    blocks = LiveBlocks(tmp_path, program, plant)
    run = subprocess.run([build / "bin" / program, model], env={**os.environ, **blocks.environment, "LD_PRELOAD": blocks.preload},
                         capture_output=True, text=True, errors="replace", timeout=300)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
    counters, seen = blocks.read()
    ours = [told(b, build / "lib/f5tts/triton-backends/f5tts/libtriton_f5tts.so", build / "lib/libf5tts.so.0") for b in seen if b.directly]
    assert counters["made"] > 300, counters
    assert bool(ours) == bool(plant), ours
