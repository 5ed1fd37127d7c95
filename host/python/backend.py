#!/usr/bin/env python3
"""backend.py — builds the wheel of the Python package (PEP 517): what `cmake --install` puts in place, the modules of
f5tts/, and those that generate.py makes.

    host/python/backend.py --build build --output out     from a build folder that is there (make wheel)
    pip install ./host/python                             builds in a folder of its own first

`pip install -C build=FOLDER`, or F5_BUILD, names a build folder too. The wheel serves every Python from 3.9 on: nothing
in it is compiled against Python. The same build folder gives the same bytes.
"""
import argparse
import base64
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

import elf  # noqa: E402
import generate  # noqa: E402

CHECKED_WITH = ("cbind.py", "op_base.py", "op_products.py", "op_sound.py", "op_streams.py", "ops.py", "shapes.py", "gpu/gpubind.py")
WHEN = (1980, 1, 1, 0, 0, 0)  # of every file in the wheel


def cmake(*arguments):
    done = subprocess.run(["cmake", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"{done.stdout}\ncmake {arguments[0]} failed")


def build_folder(settings, folder):
    """The one that is named, else one of its own."""
    named = (settings or {}).get("build") or os.environ.get("F5_BUILD")
    if named:
        return Path(named).resolve()
    cmake("-S", ROOT, "-B", folder, "-DCMAKE_BUILD_TYPE=Release", "-DF5_BUILD_TESTS=OFF", "-Wno-dev",
          *(f"-D{k}={v}" for k, v in (settings or {}).items() if k.startswith("F5_")))
    cmake("--build", folder, "--parallel", os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count() or 1)))
    return folder


def licences(taken, folder):
    """What the libraries that came along ask to be told, as Debian keeps it. A file may be known by the name that it had
    before /lib became /usr/lib, or by the other one."""
    names = {path: {str(path), str(path).removeprefix("/usr") if str(path).startswith("/usr/") else f"/usr{path}"}
             for path in taken}
    told = subprocess.run(["dpkg-query", "-S", *sorted(set().union(*names.values()))], capture_output=True, text=True).stdout \
        if taken and shutil.which("dpkg-query") else ""
    owners = {line.rpartition(": ")[2]: line.split(":")[0] for line in told.splitlines()}
    for path, known in names.items():
        package = next((owners[name] for name in known if name in owners), None)
        if package is None:
            raise SystemExit(f"{path}: no package of Debian's that says its licence: build the wheel on Debian")
        shutil.copy(Path("/usr/share/doc") / package / "copyright", folder / f"{path.name}.txt")


def native(build, folder):
    """Fills the folder as `cmake --install` does; gives the shared objects and programs in it, and what came along."""
    for component in ((), ("--component", "python")):
        cmake("--install", build, "--prefix", folder, "--strip", *component)
    for unwanted in ("include", "share/man", "share/bash-completion", "share/zsh", "share/fish", "share/doc"):
        shutil.rmtree(folder / unwanted, ignore_errors=True)
    library = next(folder.rglob("libf5tts.so.0"))
    for path in list(library.parent.iterdir()):
        if path.is_dir():
            shutil.rmtree(path)  # pkg-config, cmake
    for path in sorted(library.parent.iterdir()):
        if path.is_symlink():
            target = path.resolve()
            path.unlink()
            if re.fullmatch(r".*\.so\.\d+", path.name):
                shutil.copy(target, path)
    for path in library.parent.iterdir():
        if re.fullmatch(r".*\.so\.\d+\.\d+\.\d+", path.name):
            path.unlink()
    objects = [*library.parent.iterdir(), *((folder / "bin").iterdir() if (folder / "bin").exists() else ())]
    taken = elf.graft(library.parent, objects)
    for path in objects:
        elf.inherit_rpath(path)
    return [*library.parent.iterdir(), *objects], taken


def project(name):
    """A value of pyproject.toml, of those that this file needs: Python 3.9 reads no TOML."""
    text = (HERE / "pyproject.toml").read_text(encoding="utf-8")
    return re.search(rf'^{name} = (.*)$', text, flags=re.M)[1].strip('"')


def metadata():
    depends = "".join(f"Requires-Dist: {d}\n" for d in re.findall(r'"([^"]+)"', project("dependencies")))
    readme = (HERE / "README.md").read_text(encoding="utf-8")
    return (f"Metadata-Version: 2.1\nName: f5tts\nVersion: {generate.version()}\nSummary: {project('description')}\n"
            f"License: MIT\nRequires-Python: {project('requires-python')}\n{depends}"
            f"Description-Content-Type: text/markdown\n\n{readme}")


def write_wheel(tree, output, platform_tag, scripts):
    """Packs the tree {path in the wheel: file or bytes}; the name of the wheel."""
    version = generate.version()
    info = f"f5tts-{version}.dist-info"
    tree = dict(tree)
    tree[f"{info}/METADATA"] = metadata().encode()
    tree[f"{info}/WHEEL"] = (f"Wheel-Version: 1.0\nGenerator: f5tts {version}\nRoot-Is-Purelib: false\n"
                             f"Tag: py3-none-{platform_tag}\n").encode()
    if scripts:
        tree[f"{info}/entry_points.txt"] = f"[console_scripts]\nf5tts = {project('f5tts')}\n".encode()
    record, name = "", f"f5tts-{version}-py3-none-{platform_tag}.whl"
    with zipfile.ZipFile(Path(output) / name, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as wheel:
        def put(path, data, mode):
            entry = zipfile.ZipInfo(path, WHEN)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, (0o100000 | mode) << 16
            if path.endswith((".f5", ".wav", ".bin")):  # weights do not shrink
                entry.compress_type = zipfile.ZIP_STORED
            wheel.writestr(entry, data)

        for path, source in sorted(tree.items()):
            data = source if isinstance(source, bytes) else source.read_bytes()
            mode = 0o644 if isinstance(source, bytes) else 0o755 if os.access(source, os.X_OK) else 0o644
            put(path, data, mode)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(data)}\n"
        put(f"{info}/RECORD", f"{record}{info}/RECORD,,\n".encode(), 0o644)
    return name


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with tempfile.TemporaryDirectory(prefix="f5tts-wheel-") as folder:
        folder = Path(folder)
        build = build_folder(config_settings, folder / "build")
        (folder / "native").mkdir()
        (folder / "licenses").mkdir()
        objects, taken = native(build, folder / "native")
        licences(taken, folder / "licenses")
        shutil.copy(ROOT / "LICENSE", folder / "licenses/LICENSE.txt")
        cuda = next((name.rpartition(".")[2] for path in objects for name in elf.needed(path) if name.startswith("libcublasLt.")), "")
        tree = {f"f5tts/{path}": source.encode() for path, source in generate.modules(cuda).items()}
        for path in (HERE / "f5tts").rglob("*"):
            if path.suffix in (".py", ".typed"):
                tree[f"f5tts/{path.relative_to(HERE / 'f5tts').as_posix()}"] = path
        # what f5tts.ops.check draws inputs and truths with: the tests' own
        checked_with = [ROOT / "tests" / name for name in CHECKED_WITH] + sorted(
            p for pattern in ("*.h", "cpu/*.h", "cuda/*.h") for p in (ROOT / "kernels").glob(pattern))
        tree.update({f"f5tts/ops/checkout.d/{path.relative_to(ROOT).as_posix()}": path for path in checked_with})
        for prefix, root in (("f5tts/_native", folder / "native"),
                             (f"f5tts-{generate.version()}.dist-info/licenses", folder / "licenses")):
            tree.update({f"{prefix}/{p.relative_to(root).as_posix()}": p for p in root.rglob("*") if p.is_file()})
        return write_wheel(tree, wheel_directory, elf.tag(objects, platform.machine()), (folder / "native/bin/f5tts").exists())


def build_sdist(sdist_directory, config_settings=None):
    raise SystemExit("the package is built from the whole repository: there is no source archive of host/python alone")


def main(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", help="build folder (default: F5_BUILD, else one of its own)")
    p.add_argument("--output", default=".", help="folder for the wheel")
    args = p.parse_args(argv)
    Path(args.output).mkdir(parents=True, exist_ok=True)
    for old in Path(args.output).glob("f5tts-*.whl"):
        old.unlink()
    print(Path(args.output) / build_wheel(args.output, {"build": args.build} if args.build else None))


if __name__ == "__main__":
    main(sys.argv[1:])
