"""Stage tests: libf5tts against tests/reference/model.py, with random models made for the run."""
import os
import sys
from pathlib import Path

import pytest
import torch

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "stages"), str(TESTS / "reference"), str(TESTS)]

import models  # noqa: E402


@pytest.fixture(autouse=True)
def torch_settings():
    """For the test alone: a setting that outlives it would be another folder's surprise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def zoo(tmp_path_factory, seed):
    """models.Zoo: zoo["v1"] is a random model, made when it is first asked for and deleted at the end."""
    with models.Zoo(tmp_path_factory.mktemp("models"), seed) as z:
        yield z
