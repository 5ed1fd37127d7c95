"""Attack 1: a program that is started with standard input, output or error closed opens its files under these numbers, and
what it prints goes into them."""
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import convert_lib  # noqa: E402
from recordings_lib import VOICE, WORDS  # noqa: E402


def run_closed(closed, *arguments):
    """The exit status of the program, started with these descriptors closed."""
    pid = os.fork()
    if pid == 0:
        for fd in range(3):
            os.dup2(os.open("/dev/null", os.O_RDWR), fd)
        os.closerange(3, 64)
        for fd in closed:
            os.close(fd)
        os.execv(convert_lib.program(), [convert_lib.program(), *map(str, arguments)])
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1], [1, 2], [0, 1, 2]], ids=str)
def test_models_and_speech_are_whole(tmp_path, model, seed, closed):
    made = convert_lib.rc.make_checkpoint(tmp_path, arch="tiny", seed=seed)
    told = 1 in closed  # what was printed is lost: the exit status says so
    assert run_closed(closed, *convert_lib.convert_args(made, tmp_path / "closed.f5")) == told
    assert (tmp_path / "closed.f5").read_bytes() == model.read_bytes()
    speak = ["infer", "-m", model, "-r", VOICE, "-s", WORDS, "-t", "Some other words.", "-o", tmp_path, "--seed", "3",
             "--nfe_step", "1", "--max_frames", "1024", "--device", "cpu", "--save_mel", tmp_path / "a.npy"]
    assert run_closed([], *speak, "-w", "open.wav") == 0
    whole = (tmp_path / "a.npy").read_bytes()
    assert run_closed(closed, *speak, "-w", "closed.wav") == told
    assert (tmp_path / "closed.wav").read_bytes() == (tmp_path / "open.wav").read_bytes()
    assert (tmp_path / "a.npy").read_bytes() == whole


def test_closed_input_is_an_error(tmp_path):
    assert run_closed([0], "check-voice", "-") == 1
