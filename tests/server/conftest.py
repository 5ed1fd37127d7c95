"""One server for all tests that change nothing in it: a tiny random model, on the CPU."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import running  # noqa: E402


@pytest.fixture(scope="session")
def server(model):
    with running.Server(model, "--voice_alias=alloy=slt", "--voice_alias=nova=rms", "--threads=1", log="json") as s:
        yield s
        code, _ = s.stop()
        assert code == 0, s.errors


@pytest.fixture
def start(model):
    """start(*options): another server, gone after the test."""
    made = []

    def begin(*options, **more):
        made.append(running.Server(more.pop("model", model), "--threads=1", *options, **more))
        return made[-1]

    yield begin
    for s in made:
        s.kill()
