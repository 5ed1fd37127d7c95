#!/usr/bin/env python3
"""matrix.py — the wheel in fresh virtual environments of every Python that is here, with numpy from PyPI; by hand, as
`make wheel-test`, since it takes minutes and PyPI.

    tests/python/matrix.py out                  FOLDER of the wheel; F5_BUILD: what it was built of (default build/)
    tests/python/matrix.py out --pythons python3.9 python3.13

Of each it prints the version, numpy's, and the seconds that README's lines took, as they are written. Then mypy --strict
over the package, and whether building it again gives the same bytes. Exits 1 on any failure, or where no Python is.
"""
import argparse
import filecmp
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = [f"python3.{minor}" for minor in range(9, 15)]


def run(*command, **how):
    return subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **how)


def interpreters(names):
    """{version: path} of those that run; pyenv has several that are not on the PATH as themselves."""
    found = {}
    places = [*filter(None, map(shutil.which, names)), *sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3"))]
    for path in places:
        told = run(path, "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])")
        version = told.stdout.strip()
        if told.returncode == 0 and f"python{version}" in names:
            found.setdefault(version, path)
    return found


def environment(python, folder, *packages):
    """A fresh one with these: its Python."""
    for command in ((python, "-m", "venv", folder), (folder / "bin/python", "-m", "pip", "install", "-q",
                                                     "--disable-pip-version-check", *packages)):
        done = run(*command)
        if done.returncode:
            raise RuntimeError(done.stdout.strip())
    return folder / "bin/python"


def readme():
    """The lines of both."""
    code = "\n".join(line for name in ("README.md", "host/python/README.md") for line in
                     re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), flags=re.M | re.S))
    return re.sub(r'\("me\.wav", "[^"]*"\)', '("slt")', code)


def try_version(python, folder, wheel):
    """What is printed of it."""
    inside = environment(python, folder, wheel)
    started = time.monotonic()
    done = run(inside, "-W", "error", "-c", readme(), cwd=folder)
    took = time.monotonic() - started
    if done.returncode:
        raise RuntimeError(done.stdout.strip())
    numpy = run(inside, "-c", "import numpy; print(numpy.__version__)").stdout.strip()
    return f"numpy {numpy}, both READMEs' lines {took:.1f} s, {(folder / 'new.wav').stat().st_size} bytes of sound"


def strict(folder, wheel):
    newest = max(interpreters(VERSIONS).items(), key=lambda item: int(item[0].split(".")[1]))[1]
    inside = environment(newest, folder, wheel, "mypy")
    done = run(inside, "-m", "mypy", "--strict", "-p", "f5tts", cwd=folder)
    if done.returncode:
        raise RuntimeError(done.stdout.strip())
    return done.stdout.strip().splitlines()[-1]


def again(folder, wheel):
    folder.mkdir()
    done = run(sys.executable, ROOT / "host/python/backend.py", "--build", os.environ.get("F5_BUILD", ROOT / "build"),
               "--output", folder)
    if done.returncode:
        raise RuntimeError(done.stdout.strip())
    if not filecmp.cmp(folder / wheel.name, wheel, shallow=False):
        raise RuntimeError(f"not the same bytes as {wheel}")
    return "built again, the same bytes"


def main(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=Path)
    p.add_argument("--pythons", nargs="*", default=VERSIONS)
    args = p.parse_args(argv)
    wheel, = args.folder.resolve().glob("f5tts-*.whl")
    found, failed = interpreters(args.pythons), 0
    print(f"{wheel.name}; Python {', '.join(found) or 'none'}", flush=True)
    with tempfile.TemporaryDirectory(prefix="f5tts-matrix-") as folder:
        folder = Path(folder)
        tries = [(version, lambda v=version, path=path: try_version(path, folder / v, wheel)) for version, path in found.items()]
        for name, attempt in (*tries, ("mypy", lambda: strict(folder / "mypy", wheel)), ("bytes", lambda: again(folder / "again", wheel))):
            try:
                print(f"{name:<6} {attempt()}", flush=True)
            except RuntimeError as error:
                failed += 1
                print(f"{name:<6} FAILED: {error}", flush=True)
    return int(failed > 0 or not found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
