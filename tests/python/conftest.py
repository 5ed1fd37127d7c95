"""The wheel as a user gets it: built of F5_BUILD, installed by pip into a virtual environment of its own, imported from
there. numpy is the machine's own."""
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "host/python")]

import convert_lib  # noqa: E402


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Its path."""
    import backend
    folder = tmp_path_factory.mktemp("wheel")
    return folder / backend.build_wheel(folder, {"build": str(Path(convert_lib.program()).parents[1])})


@pytest.fixture(scope="session")
def venv(wheel, tmp_path_factory):
    """A virtual environment with it: the path of its Python. Debian's pip runs from its archive, which saves installing it."""
    folder, pip = tmp_path_factory.mktemp("venv"), sorted(Path("/usr/share/python-wheels").glob("pip-*.whl"))
    for command in ([sys.executable, "-m", "venv", "--system-site-packages", *(["--without-pip"] if pip else []), folder],
                    [folder / "bin/python", *([pip[0] / "pip"] if pip else ["-m", "pip"]), "install", "-q", "--no-index",
                     "--no-deps", "--no-compile", wheel]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "bin/python"


@pytest.fixture(scope="session")
def f5tts(venv):
    """The installed package."""
    site, = venv.parents[1].glob("lib/python*/site-packages")
    sys.path.insert(0, str(site))
    import f5tts
    assert str(site) in f5tts.__file__
    return f5tts


@pytest.fixture(scope="session")
def tiny(f5tts, model):
    """The tiny model, open; nobody closes it."""
    return f5tts.Model(model, device="cpu", max_frames=1024, threads=2)


@pytest.fixture(scope="session")
def voice(tiny, f5tts):
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", f5tts.F5Warning)
        return tiny.voice("slt")
