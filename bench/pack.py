#!/usr/bin/env python3
"""bench/pack.py — the program and the libraries that it loads in one folder, for a machine that has none of them.

    bench/pack.py [--build build] [--to .gpu] [--library build-gpu/lib/libf5tts.so.0]

Here: makes .gpu/ (git ignores it). There: .gpu/f5tts is the program; it takes libf5tts from F5_BUILD/lib where that was
built there with CUDA, of the same commit, or else the packed one, which --library says (a build with -DF5_CUDA=ON runs on
both). glibc goes along too, and is used only where the machine's is older than this one's. On the GPU machine then:

    make gpu-test                                                      builds the library in build-gpu
    F5_BUILD=$PWD/build-gpu python3 bench/serve_load.py --program .gpu/f5tts
"""
import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST = 60 << 20
SYSTEM = ("ld-linux", "libc.so", "libm.so", "libpthread", "libdl.so", "librt.so", "libresolv")

WRAPPER = """#!/bin/bash
# f5tts with its packed libraries; bench/pack.py made it
here=$(dirname "$(readlink -f "$0")")
path="${F5_BUILD:-$here}/lib:$here/lib"
theirs=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2)
if [ "$(printf '%s\\n%s\\n' "@GLIBC@" "${theirs:-0}" | sort -V | head -1)" = "@GLIBC@" ]; then
    LD_LIBRARY_PATH="$path${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "$here/bin/f5tts" "$@"
fi
exec "$here/glibc/@LOADER@" --library-path "$path:$here/glibc${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}:/usr/local/cuda/lib64:/usr/lib/x86_64-linux-gnu" \\
    "$here/bin/f5tts" "$@"
"""


def loaded_by(program):
    """Paths of the libraries, with those that they need; what is missing here is an error."""
    text = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    assert "not found" not in text, text
    return [Path(p) for p in re.findall(r"(/\S+) \(0x", text)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=Path(os.environ.get("F5_BUILD", ROOT / "build")))
    parser.add_argument("--to", type=Path, default=ROOT / ".gpu")
    parser.add_argument("--library", type=Path, help="default: that of the build")
    options = parser.parse_args()
    program, to = options.build / "bin" / "f5tts", options.to
    if to.exists() and not (to / "f5tts").exists() and any(to.iterdir()):
        sys.exit(f"{to}: holds something else: name another folder by --to")
    shutil.rmtree(to, ignore_errors=True)
    for folder in ("bin", "lib", "glibc", "share/f5tts"):
        (to / folder).mkdir(parents=True)
    shutil.copy2(program, to / "bin")
    loader = None
    for path in loaded_by(program):
        system = path.name.startswith(SYSTEM)
        source = options.library if options.library and path.name.startswith("libf5tts") else path
        shutil.copy2(source, to / ("glibc" if system else "lib") / path.name)
        loader = path.name if path.name.startswith("ld-linux") else loader
    shutil.copytree(ROOT / "weights" / "voices", to / "share/f5tts/voices", ignore=shutil.ignore_patterns("*.png", "*.md", "*.f5"))
    version = platform.libc_ver()[1]
    wrapper = to / "f5tts"
    wrapper.write_text(WRAPPER.replace("@GLIBC@", version).replace("@LOADER@", loader))
    wrapper.chmod(0o755)
    size = sum(f.stat().st_size for f in to.rglob("*") if f.is_file())
    print(f"{to}: {size / 2**20:.1f} MB, glibc {version}, libraries {', '.join(sorted(f.name for f in (to / 'lib').iterdir()))}")
    if size > MOST:
        sys.exit(f"{to}: more than {MOST >> 20} MB")
    packed = [to / "glibc" / loader, "--library-path", f"{to}/lib:{to}/glibc", to / "bin" / "f5tts"]
    for command in [wrapper], packed:  # with this machine's glibc, and with the packed one
        said = subprocess.run([*command, "serve", "--help"], capture_output=True, text=True)
        if said.returncode:
            sys.exit(f"{command[0]}: does not run here: {said.stderr}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
