#!/usr/bin/env python3
"""same_sass.py — do the kernels have the machine code that they had at another commit? The proof, without a GPU, that a change
which is to change nothing changes nothing.

    tests/same_sass.py COMMIT [--arch 80,90a] [--jobs N] [kernels/linear.cu ...]

Each .cu (all of them where none is named) is compiled from this tree and from the commit, and the instructions and the registers
of each kernel are compared. A kernel is known by its name, but for the hash that nvcc gives a nameless namespace; with --names
REGEX=NEW what the commit's names hold of REGEX is NEW here. Compiled once a content: cubins stay in build/sass. Exit status: 0 the
same in all kernels, 1 not, 77 where there is no nvcc.
"""
import argparse
import hashlib
import os
import re
import struct
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from compile_cuda import ARCHITECTURES, NO_NVCC, ROOT, find_nvcc, sources

KEPT = Path(os.environ.get("F5_BUILD", ROOT / "build")) / "sass"
HASH = re.compile(r"\d+_GLOBAL__N__[0-9a-f]{8}_\d+_\w+?_cu_[0-9a-f]{8}")


def kernels_of(cubin):
    """{kernel: its instructions, and its registers} of an ELF file."""
    data = cubin.read_bytes()
    at, = struct.unpack_from("<Q", data, 40)
    size, n, names = struct.unpack_from("<3H", data, 58)
    headers = [struct.unpack_from("<2I4Q2I", data, at + i * size) for i in range(n)]  # name, type, flags, address, offset, size, link, info
    found = {}
    for name, _, _, _, offset, length, _, info in headers:
        start = headers[names][4] + name
        called = data[start:data.index(b"\0", start)].decode()
        if called.startswith(".text."):
            found[HASH.sub("", called[6:])] = data[offset:offset + length], info >> 24
    return found


def compiled(nvcc, tree, source, architecture):
    options = ["-std=c++17", "-O3", f"-arch=sm_{architecture}", *(["-DF5_CUDA_SM90A=1"] if architecture == "90a" else [])]
    key = hashlib.sha256(repr(options).encode())
    for path in sorted(p for p in (tree / "kernels").rglob("*.*") if p.suffix in (".h", ".cuh")) + [tree / source]:
        key.update(str(path.relative_to(tree)).encode() + path.read_bytes())
    made = KEPT / f"{Path(source).stem}-{architecture}-{key.hexdigest()[:16]}.cubin"
    if not made.exists():
        partial = made.with_suffix(f".{os.getpid()}")
        subprocess.run([nvcc, *options, f"-I{tree}", "-cubin", tree / source, "-o", partial], check=True)
        partial.rename(made)
    return kernels_of(made)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("commit"), p.add_argument("files", nargs="*")
    p.add_argument("--arch", default=",".join(ARCHITECTURES)), p.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    p.add_argument("--names", metavar="REGEX=NEW")
    args = p.parse_intermixed_args()
    nvcc = find_nvcc()
    if nvcc is None:
        print("no nvcc")
        return NO_NVCC
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--verify", f"{args.commit}^{{commit}}"], capture_output=True, text=True, check=True).stdout.strip()
    before = KEPT / commit
    if not before.exists():
        before.mkdir(parents=True)
        with subprocess.Popen(["git", "-C", ROOT, "archive", commit, "kernels"], stdout=subprocess.PIPE) as tar:
            tarfile.open(fileobj=tar.stdout, mode="r|").extractall(before, filter="data")
    files = args.files or [str(s.relative_to(ROOT)) for s in sources()]
    work = [(tree, f, a) for f in files for a in args.arch.split(",") for tree in (before, ROOT) if (tree / f).exists()]
    with ThreadPoolExecutor(args.jobs) as pool:
        found = dict(zip(work, pool.map(lambda w: compiled(nvcc, *w), work)))
    bad = same = 0
    for f, a in sorted({w[1:] for w in work}):
        old, new = (found.get((tree, f, a), {}) for tree in (before, ROOT))
        if args.names:
            old = {re.sub(*args.names.split("=", 1), name): body for name, body in old.items()}
        for name in sorted({*old, *new}):
            what = "gone" if name not in new else "new" if name not in old else "other code" if old[name] != new[name] else None
            bad, same = bad + (what is not None), same + (what is None)
            if what:
                print(f"{f} sm_{a}: {what}: {name}")
    print(f"{same} kernels have the machine code that they had at {commit[:7]}, {bad} have not")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
