"""The emulated devices, whose library is built when the first test asks for one."""
import os
import platform
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE))


@pytest.fixture(scope="session")
def emulated_library():
    if platform.machine() != "x86_64":
        pytest.skip("the emulator's fibers are x86-64's")
    import build_emulated
    made = Path(os.environ.get("F5_BUILD", HERE.parent.parent / "build")).resolve()
    return build_emulated.build(made / "emulated", made / "lib" / "libf5tts_test.so")


@pytest.fixture(scope="session")
def emulated(emulated_library):
    """Every run in three orders."""
    from emulated import Emulated
    return Emulated(emulated_library, "h200")


@pytest.fixture(scope="session")
def emulated_once(emulated_library):
    from emulated import Emulated
    return Emulated(emulated_library, "h200", orders=(0,))


@pytest.fixture(scope="session")
def hopper(emulated_library):
    """The kernels of sm_90a, on three multiprocessors: blocks take several tiles."""
    from emulated import Emulated
    device = Emulated(emulated_library, "h200", portable=False)
    device.context.arch.sm_count = 3
    return device


@pytest.fixture(scope="session")
def emulated_small_card(emulated_library):
    """Less shared memory, and F32 products left to cuBLASLt."""
    from emulated import Emulated
    return Emulated(emulated_library, "l4", orders=(1,))
