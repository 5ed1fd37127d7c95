#!/usr/bin/env python3
"""check_abi.py — can programs built with an older libf5tts use this one? By abidiff and abidw (Debian's abigail-tools).

    deploy/check_abi.py                     the last commit beside the last tag
    deploy/check_abi.py COMMIT              beside that one
    deploy/check_abi.py OLD.so NEW.so       two libraries that were built with -g
    deploy/check_abi.py OLD.so NEW.so OLD_HEADERS NEW_HEADERS     and only what the headers in these folders say counts

Of commits only what f5tts.h says counts, not what it keeps to itself. Fine are new functions, new numbers of an enum, and what a struct that begins with its size gains behind its end: by that size
the library knows how much of one a program has. Anything else that abidiff reports, known here or not, breaks programs.
Exits 1 with the report then: the library's soname must change with it. 2: it could not be told. JOBS=2 compiles on two
processors.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTHING = re.compile(r"(Leaf changes summary: .*|Changed leaf types summary: .*"
                     r"|Removed/Changed/Added (functions|variables) summary: 0 Removed, 0 Changed, .*)")
STRUCT = re.compile(r"'struct (\w+) at .*' changed:")
SIZE = re.compile(r"  type size changed from (\d+) to \d+ \(in bits\)")
INSERTED = re.compile(r"    '.*', at offset (\d+) \(in bits\).*")
ENUM = re.compile(r"'enum \w+ at .*' changed:")
ENUM_GREW = re.compile(r"(  type size hasn't changed|  \d+ enumerator insertions?:|    '.*' value '-?\d+')")


def fail(message):
    print(message)
    sys.exit(2)


def tool(*command):
    """(exit code, output) of one of abigail's."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode & 3:  # an error, wrong usage
        fail(f"{command[0]} cannot read them: {done.stderr.strip() or done.stdout.strip()}")
    return done.returncode, done.stdout


def sized_structs(library):
    """Those whose first field is `size`."""
    found = set()
    for node in xml.etree.ElementTree.fromstring(tool("abidw", library)[1]).iter("class-decl"):
        first = node.find("data-member/var-decl")
        if first is not None and first.get("name") == "size":
            found.add(node.get("name"))
    return found


def struct_grew(lines, sized):
    """Has a struct only gained fields behind its old end?"""
    name, size = STRUCT.fullmatch(lines[0]), SIZE.fullmatch(lines[1]) if len(lines) > 1 else None
    if not name or not size or name[1] not in sized:
        return False
    for line in lines[2:]:
        inserted = INSERTED.fullmatch(line)
        if not re.fullmatch(r"  \d+ data member insertions?:", line) and not (inserted and int(inserted[1]) >= int(size[1])):
            return False
    return True


def harmless(block, sized):
    lines = block.splitlines()
    if all(NOTHING.fullmatch(line) for line in lines):
        return True
    if ENUM.fullmatch(lines[0]):
        return all(ENUM_GREW.fullmatch(line) for line in lines[1:])
    return struct_grew(lines, sized)


def compare(old, new, headers=()):
    """The exit code; prints the verdict. headers: folders with the public ones of both, where a library has private types."""
    public = [word for i, folder in enumerate(headers) for word in (f"--headers-dir{i + 1}", folder)]
    code, report = tool("abidiff", "--leaf-changes-only", "--no-added-syms", *public, *["--drop-private-types"][:len(public)], old, new)
    sized = sized_structs(old)
    blocks = [b.strip("\n") for b in re.split(r"\n\s*\n", report) if b.strip()]
    broken = [b for b in blocks if not harmless(b, sized)]
    if broken or code & 8:
        print(f"{report}\n{new}: programs built with {old} cannot use it")
        return 1
    grown = [STRUCT.match(b)[1] for b in blocks if STRUCT.match(b)]
    print(f"{new}: programs built with {old} can use it" + (f"; at their ends grew {', '.join(grown)}" if grown else ""))
    return 0


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return done.stdout.strip() if done.returncode == 0 else ""


def public_headers(tree, folder):
    """Copies f5tts.h and all that it includes into a folder."""
    folder.mkdir()
    names = ["host/api/f5tts.h"]
    for name in names:
        text = (tree / name).read_text(encoding="utf-8")
        names += [found for found in re.findall(r'^#include "(.*)"', text, flags=re.M) if found not in names]
        (folder / Path(name).name).write_text(text, encoding="utf-8")
    return folder


def build(commit, folder):
    """The library of a commit, with what abidiff needs, and the folder of its public headers."""
    tree = Path(folder) / commit
    tree.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "-x", "-C", tree], input=archive, check=True)
    for command in (["cmake", "-S", tree, "-B", tree / "build", "-G", "Ninja", "-Wno-dev", "-DF5_CUDA=OFF", "-DCMAKE_BUILD_TYPE=Debug"],
                    ["cmake", "--build", tree / "build", "-j", os.environ.get("JOBS", "1"), "--target", "f5tts_shared"]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            fail(f"{commit} cannot be built:\n{done.stdout[-3000:]}")
    return tree / "build/lib/libf5tts.so.0", public_headers(tree, tree / "public")


def main(words):
    if len(words) not in (0, 1, 2, 4) or any(w.startswith("-") for w in words):
        fail(__doc__)
    if not shutil.which("abidiff"):
        fail("abidiff is not here: install abigail-tools")
    if len(words) > 1:
        return compare(*words[:2], words[2:])
    base = words[0] if words else output("git", "describe", "--tags", "--abbrev=0")
    old, new = base and output("git", "rev-parse", "--short", base + "^{commit}"), output("git", "rev-parse", "--short", "HEAD")
    if not old:
        fail(f"{base}: no such commit" if base else "there is no tag: name a commit")
    if old == new:
        fail(f"{old} is the last commit itself")
    with tempfile.TemporaryDirectory(prefix="f5tts_abi_") as folder:
        (before, its_headers), (after, headers) = build(old, folder), build(new, folder)
        return compare(before, after, (its_headers, headers))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
