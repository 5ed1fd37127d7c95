"""Every .cu compiles for sm_80 and sm_90a and spills no registers beyond the written list (tests/compile_cuda.py), where
there is nvcc: the one look at CUDA code that a machine without a GPU can take."""
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent


def test_every_kernel_compiles_without_new_spills():
    run = subprocess.run([sys.executable, TESTS / "compile_cuda.py"], capture_output=True, text=True, timeout=7200)  # 600 s of a processor
    if run.returncode == 77:
        pytest.skip("no nvcc here: no .cu was compiled")
    print(run.stdout)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-6000:]
