"""Fresh random inputs each run: the seed is printed in the header and beside every failure; F5_TEST_SEED fixes it."""
import os
import signal
import sys
import zlib
from pathlib import Path

# PyTorch's OpenMP threads that wait should sleep, not spin: on a busy machine spinning made these tests five times
# slower. libgomp reads this when it is loaded, so it stands before numpy.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# nohup and a shell's & leave signals ignored, and programs that inherit that go on ignoring them, as they should: those
# that the tests end by a signal would not end.
for ending in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(ending) == signal.SIG_IGN:
        signal.signal(ending, signal.SIG_DFL)

import numpy as np  # noqa: E402
import pytest  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent))

from seeds import SEED  # noqa: E402


def pytest_report_header(config):
    return f"f5tts: F5_TEST_SEED={SEED}  F5_BUILD={os.environ.get('F5_BUILD', 'build/')}"


@pytest.fixture(scope="session")
def seed():
    return SEED


@pytest.fixture
def rng(request):
    """A generator of the test's own: its numbers do not depend on which other tests run."""
    return np.random.default_rng([SEED, zlib.crc32(request.node.nodeid.split("/")[-1].encode())])


@pytest.fixture(scope="session")
def model(tmp_path_factory, seed):
    """A tiny random model, made by the real converter."""
    import convert_lib
    folder = tmp_path_factory.mktemp("tiny")
    made = convert_lib.rc.make_checkpoint(folder, arch="tiny", seed=seed)
    result = convert_lib.convert(made, folder / "tiny.f5")
    assert result.returncode == 0, result.stderr
    return folder / "tiny.f5"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        report.sections.append(("reproduce with", f"F5_TEST_SEED={SEED}"))


def pytest_terminal_summary(terminalreporter):
    """Worst relative error of each op, over all its cases."""
    cbind = sys.modules.get("cbind")
    if not cbind or not cbind.RESULTS:
        return
    worst = {}
    for op, what, value, bar in cbind.RESULTS:
        count, old = worst.get(op, (0, None))
        case = (value / bar if bar else value, what, value, bar)  # a bar of 0 asks for the same bits
        worst[op] = (count + 1, max(old, case) if old else case)
    terminalreporter.section("worst relative L2 of each op")
    terminalreporter.write_line(f"{'op':<14}{'cases':>6}  {'rel L2':>9}  {'bar':>8}  case")
    for op, (count, (_, what, value, bar)) in sorted(worst.items()):
        terminalreporter.write_line(f"{op:<14}{count:>6}  {value:>9.2e}  {bar:>8.0e}  {what}")
