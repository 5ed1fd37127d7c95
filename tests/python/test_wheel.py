"""The wheel: what it says of itself is true, nothing it needs is outside of it, README's lines run."""
import ast
import base64
import csv
import hashlib
import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as z:
        z.extractall(folder)
    return folder


def test_what_it_says_of_itself(wheel, unpacked, f5tts):
    version = re.search(r"project\(f5tts VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
    info = unpacked / f"f5tts-{version}.dist-info"
    from f5tts import _library
    assert f5tts.__version__ == version == _library.library().f5_version().decode()
    assert f"Version: {version}\n" in (info / "METADATA").read_text() and wheel.name.startswith(f"f5tts-{version}-py3-none-")
    assert f"Tag: {wheel.stem.split('-', 2)[2]}\n" in (info / "WHEEL").read_text()
    assert re.findall(r"Requires-Dist: (.*)", (info / "METADATA").read_text()) == ["numpy>=1.21"]
    files = {p.relative_to(unpacked).as_posix(): p for p in unpacked.rglob("*") if p.is_file()}
    rows = {path: (digest, size) for path, digest, size in csv.reader(io.StringIO((info / "RECORD").read_text()))}
    assert rows.keys() == files.keys()
    for path, (digest, size) in rows.items():
        data = files[path].read_bytes()
        told = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        assert path.endswith("/RECORD") or (digest, int(size)) == (f"sha256={told}", len(data)), path


def test_what_it_needs(wheel, unpacked):
    """Every library that anything in it needs is glibc's or in it, found by RPATH beside ours; no glibc newer than its tag."""
    import elf
    objects = [p for p in unpacked.rglob("*") if p.is_file() and p.read_bytes()[:4] == b"\x7fELF"]
    here = {p.name for p in objects}
    assert {"libf5tts.so.0", "libf5tts_ops.so", "libf5tts_files.so", "f5tts", "libsndfile.so.1"} <= here
    for path in objects:
        missing = [n for n in elf.needed(path) if n not in here and not elf.SYSTEM.fullmatch(n) and not elf.CUDA.fullmatch(n)]
        assert not missing, f"{path.name} needs {missing}"
        dynamic = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout
        assert "(RUNPATH)" not in dynamic, f"{path.name}: a RUNPATH does not count for what its libraries need"
        for rpath in re.findall(r"\(RPATH\).*\[(.*)\]", dynamic):
            assert all(part.startswith("$ORIGIN") for part in rpath.split(":")), rpath
    cuda = any(elf.CUDA.fullmatch(n) for p in objects for n in elf.needed(p))
    told = re.search(r"manylinux_2_(\d+)_", wheel.name)
    newest = max(elf.glibc(p) for p in objects)
    assert (told is None) == cuda and (cuda or newest == (2, int(told[1])))
    licences = {p.name for p in unpacked.glob("*.dist-info/licenses/*")}
    assert {"LICENSE.txt", "libsndfile.so.1.txt", "libmp3lame.so.0.txt"} <= licences


def test_the_libraries_are_those_of_the_wheel(venv):
    """Also while the program and the files are used: nothing of the machine's own is loaded in their place."""
    script = ("import f5tts; from f5tts import _library; _library.files(); "
              "print(*{l.split()[-1] for l in open('/proc/self/maps') if '.so' in l})")
    mapped = subprocess.run([venv, "-c", script], capture_output=True, text=True, check=True, timeout=600).stdout.split()
    ours = {Path(p).name: p for p in mapped if "/_native/" in p}
    assert {"libf5tts.so.0", "libf5tts_files.so", "libsndfile.so.1", "libFLAC.so.12"} <= ours.keys()
    told = subprocess.run(["ldd", str(Path(ours["libf5tts.so.0"]).parents[1] / "bin/f5tts")], capture_output=True, text=True).stdout
    assert "not found" not in told
    for name in ("libsndfile", "libevent_core", "libnettle"):
        assert re.search(rf"{name}\S* => \S+/_native/bin/../lib/", told), told


def test_the_command(venv):
    command = venv.parent / "f5tts"
    done = subprocess.run([command, "models", "--path"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and done.stdout.strip().endswith("/_native/share/f5tts/voices/natural.f5"), done.stderr


def test_readme_lines_run(venv, tmp_path):
    """With few steps, and the voice that comes along in the place of files that only a reader has. matrix.py runs them as
    they are, of both READMEs."""
    lines = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.M | re.S)
    assert lines
    for code in lines:
        code = re.sub(r'\("me\.wav", "[^"]*"\)', '("slt")', code).replace("voice)", "voice, nfe=2)")
        done = subprocess.run([venv, "-W", "ignore", "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=600)
        assert done.returncode == 0, done.stderr
    assert any(tmp_path.glob("*.wav"))


def test_it_imports_on_every_python_it_names():
    """The sources hold nothing newer than Python 3.9, as far as a parser sees it."""
    for path in (ROOT / "host/python/f5tts").rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    assert sys.version_info >= (3, 9)
