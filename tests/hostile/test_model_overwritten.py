"""Attack 9: a model's file that is written into, cut or replaced while an engine has it open."""
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import convert_lib  # noqa: E402
import f5lib  # noqa: E402


@pytest.fixture
def path(tmp_path, model):
    return shutil.copy(model, tmp_path / "model.f5")


def vocode(engine, rng):
    return engine.vocode(rng.standard_normal((20, 100)).astype(np.float32) - 3)


def refused(engine, rng):
    with pytest.raises(f5lib.Error) as failure:
        vocode(engine, rng)
    assert "was written to while it was open" in str(failure.value) and "renaming" in str(failure.value)


def test_written_into(path, rng):
    """Not another model's speech without a word: an error that says what to do, until the engine is opened again."""
    with f5lib.Engine(path, max_frames=64) as engine:
        vocode(engine, rng)
        data = Path(path).read_bytes()
        with open(path, "r+b") as f:
            f.seek(len(data) // 2)
            f.write(bytes(1000))
        refused(engine, rng)
        refused(engine, rng)
    with f5lib.Engine(path, max_frames=64) as engine:
        vocode(engine, rng)


def test_cut(path, rng):
    """Its pages are gone: nothing touches them any more."""
    with f5lib.Engine(path, max_frames=64) as engine:
        os.truncate(path, 4096)
        refused(engine, rng)
        os.truncate(path, 0)
        refused(engine, rng)


def test_replaced(path, tmp_path, seed, rng):
    """What renames, as f5tts itself does, leaves the open model as it was; so does removing the file."""
    mel = rng.standard_normal((20, 100)).astype(np.float32) - 3
    with f5lib.Engine(path, max_frames=64) as engine:
        before = engine.vocode(mel)
        made = convert_lib.rc.make_checkpoint(tmp_path / "files", arch="tiny", seed=seed + 1)
        assert convert_lib.convert(made, path).returncode == 0
        assert (engine.vocode(mel) == before).all()
        with f5lib.Engine(path, max_frames=64) as other:
            assert (other.vocode(mel) != before).any()
        os.remove(path)
        assert (engine.vocode(mel) == before).all()
