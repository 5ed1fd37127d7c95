"""elf.py — what shared objects need and which system has it: what auditwheel looks for, of the little that is needed here.

A wheel may rely on glibc and the loader alone. Every other library is taken into it (`graft`), beside ours, where the
RPATH of ours finds it; `tag` says by the versions of glibc's symbols which systems the wheel then runs on.
"""
import re
import shutil
import struct
import subprocess
from pathlib import Path

# of glibc, the loader and GCC's own runtime, which every system of PEP 600 has
SYSTEM = re.compile(r"ld-linux.*|linux-vdso.*|lib(c|m|dl|rt|pthread|util|resolv|gcc_s|stdc\+\+)\.so\.\d+")
# of the driver and the CUDA toolkit, or of pip's packages of it: too large to be taken along
CUDA = re.compile(r"lib(cuda|cudart|cublas|cublasLt|nvrtc)\.so\.\d+")
DT_RPATH, DT_RUNPATH, DYNAMIC = 15, 29, 2


def needed(path):
    """Names in its DT_NEEDED."""
    told = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", told)


def where(paths):
    """{name: path} of what the loader finds for these objects, theirs included."""
    found = {}
    for path in paths:
        told = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        found.update(re.findall(r"^\s*(\S+) => (/\S+)", told, flags=re.M))
    return found


def graft(folder, objects):
    """Copies what `objects` need, and what that needs, into the folder: [path where it was]. What is missing is an error."""
    here, places, taken = {p.name for p in Path(folder).iterdir()}, where(objects), []
    todo = list(objects)
    while todo:
        for name in needed(todo.pop()):
            if name in here or SYSTEM.fullmatch(name) or CUDA.fullmatch(name):
                continue
            if name not in places:
                raise SystemExit(f"{name} is needed, but the loader does not find it")
            copied = Path(shutil.copy(Path(places[name]).resolve(), Path(folder) / name))
            copied.chmod(0o755)
            here.add(name)
            taken.append(Path(places[name]))
            todo.append(copied)
    return taken


def inherit_rpath(path):
    """Makes the RUNPATH of an object an RPATH, which counts for what its libraries need too."""
    data = bytearray(Path(path).read_bytes())
    assert data[:6] == b"\x7fELF\x02\x01", f"{path}: no 64-bit little-endian ELF file"
    at, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    for i in range(count):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", data, at + i * size)
        if kind != DYNAMIC:
            continue
        for entry in range(offset, offset + length, 16):
            if struct.unpack_from("<Q", data, entry)[0] == DT_RUNPATH:
                struct.pack_into("<Q", data, entry, DT_RPATH)
    Path(path).write_bytes(data)


def glibc(path):
    """(2, 34): the newest version of glibc's symbols that an object asks for."""
    told = subprocess.run(["objdump", "-T", path], capture_output=True, text=True, check=True).stdout
    return max([(2, int(n)) for n in re.findall(r"\(?GLIBC_2\.(\d+)", told)] + [(2, 17)])


def tag(objects, machine):
    """The platform tag that is true of these objects together: manylinux, or linux where CUDA's libraries are needed."""
    if any(CUDA.fullmatch(name) for path in objects for name in needed(path)):
        return f"linux_{machine}"
    major, minor = max(glibc(path) for path in objects)
    return f"manylinux_{major}_{minor}_{machine}"
