"""The trainers' folder on the path; what needs Debian's speech tools says so when they are missing."""
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
for folder in ("weights/train", "tests/reference", "weights"):
    sys.path.insert(0, str(ROOT / folder))


@pytest.fixture(scope="session")
def flite():
    from flite import Voice
    try:
        return {name: Voice(name) for name in ("slt", "rms", "awb")}
    except OSError as error:
        pytest.skip(f"libflite1 is not installed: {error}")


@pytest.fixture(scope="session")
def ears():
    import hearing
    missing = hearing.missing_ears()
    if missing:
        pytest.skip(missing)
