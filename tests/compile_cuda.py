#!/usr/bin/env python3
"""compile_cuda.py — every .cu compiled for sm_80 and sm_90a, no GPU needed: no warning, and no register spill that is not
on the written list (tests/data/spills.json).

    tests/compile_cuda.py [--arch 80,90a] [--jobs N] [--update] [kernels/linear.cu ...]

A spill is memory traffic that no kernel's floor counts, and a compiler or an edit brings it silently. The list names the
kernels that spill and by how much; more than that fails, and so does less, so that the list stays what is true.
--update writes it anew, from all files. Exit status: 0 good, 1 not, 77 where there is no nvcc.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPILLS = ROOT / "tests" / "data" / "spills.json"
ARCHITECTURES = ("80", "90a")
NO_NVCC = 77


def find_nvcc():
    for found in (os.environ.get("CUDACXX"), shutil.which("nvcc"), "/usr/local/cuda/bin/nvcc"):
        if found and Path(found).exists():
            return found
    return None


def sources():
    return sorted([*(ROOT / "kernels").glob("*.cu"), *(ROOT / "kernels" / "cuda").glob("*.cu")])


def compile_one(nvcc, source, architectures, folder):
    """(source, ptxas' report or None, what the compiler said): for all architectures at once, as the build does."""
    made = Path(folder) / f"{source.name}.o"
    command = [nvcc, "-std=c++17", "-O3", *(f"-gencode=arch=compute_{a},code=sm_{a}" for a in architectures), f"-I{ROOT}",
               "-Werror=all-warnings", "-Xcompiler=-fPIC,-Wall,-Wextra,-Werror,-fno-exceptions,-fno-rtti", "-Xptxas=-v",
               *(["-DF5_CUDA_SM90A=1"] if "90a" in architectures else []), "-c", source, "-o", made]
    ran = subprocess.run(command, capture_output=True, text=True)
    said = ran.stderr + ran.stdout
    return source, said if ran.returncode == 0 else None, said


def demangled(nvcc, names):
    """The kernels' names as C++ writes them, without arguments and without the hash of an unnamed namespace."""
    tool = next((t for t in (Path(nvcc).with_name("cu++filt"), shutil.which("c++filt")) if t and Path(t).exists()), None)
    if tool is None or not names:
        return dict(zip(names, names))
    lines = subprocess.run([tool, *names], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == len(names), f"{tool} gave {len(lines)} names for {len(names)}"
    return {raw: short_name(line) for raw, line in zip(names, lines)}


def short_name(name):
    name = re.sub(r"<unnamed>::|\(anonymous namespace\)::|_INTERNAL_\w+::", "", name)
    name = re.sub(r"\((?:int|bool|\w*epilogue)\)(\d+)", r"\1", name)  # template arguments that are constants
    name = name.removeprefix("void ")
    depth = 0
    for i, c in enumerate(name):
        depth += (c == "<") - (c == ">")
        if c == "(" and depth == 0:
            return name[:i]
    return name


def read_report(text):
    """{(architecture, mangled kernel): (bytes of stack, of spill stores, of spill loads, registers)}"""
    kernels, key = {}, None
    for line in text.splitlines():
        if found := re.search(r"Compiling entry function '(\w+)' for 'sm_(\w+)'", line):
            key = found.group(2), found.group(1)
            kernels[key] = [0, 0, 0, 0]
        elif key and (found := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line)):
            kernels[key][:3] = map(int, found.groups())
        elif key and (found := re.search(r"Used (\d+) registers", line)):
            kernels[key][3] = int(found.group(1))
            key = None
    return kernels


def differences(found, listed):
    """Lines about what spills otherwise than the list says."""
    for name in sorted(found.keys() | listed.keys()):
        now, before = found.get(name, [0, 0]), listed.get(name, [0, 0])
        if now != before:
            yield f"{name}: {now[0]} bytes of spill stores, {now[1]} of loads; listed {before[0]}, {before[1]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default=",".join(ARCHITECTURES))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--update", action="store_true", help="write the list anew")
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    architectures = options.arch.split(",")
    files = [f.resolve() for f in options.files] or sources()
    if options.update and (options.files or set(architectures) != set(ARCHITECTURES)):
        parser.error("--update writes the whole list: no files, no --arch")
    nvcc = find_nvcc()
    if nvcc is None:
        print("no nvcc here: no .cu was compiled (put it on the PATH, or set CUDACXX)")
        return NO_NVCC
    start, bad, kernels = time.monotonic(), 0, 0
    spilling = {a: {} for a in architectures}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:
        for source, report, said in pool.map(lambda f: compile_one(nvcc, f, architectures, folder), files):
            name = source.relative_to(ROOT).as_posix()
            if report is None:
                bad += 1
                print(f"{name}: does not compile without warnings\n{said.strip()}")
                continue
            found = read_report(report)
            names = demangled(nvcc, sorted({raw for _, raw in found}))
            kernels += len(found)
            for (architecture, raw), counts in found.items():
                if counts[1] or counts[2]:
                    spilling[architecture][f"{name} {names[raw]}"] = counts[1:3]
    print(f"{len(files)} files, {kernels} kernels for {', '.join('sm_' + a for a in architectures)}, "
          f"{sum(map(len, spilling.values()))} of them spill; {time.monotonic() - start:.0f} s")
    if bad or kernels == 0:
        return 1
    if options.update:
        text = json.dumps(spilling, indent=1, sort_keys=True)
        text = re.sub(r"\[\s+(\d+),\s+(\d+)\s+\]", r"[\1, \2]", text)  # a kernel a line
        SPILLS.write_text(text + "\n", encoding="utf-8")
        return 0
    listed = json.loads(SPILLS.read_text(encoding="utf-8"))
    ours = {f.relative_to(ROOT).as_posix() for f in files}
    for architecture in architectures:
        known = {k: v for k, v in listed[architecture].items() if k.split(" ")[0] in ours}
        for line in differences(spilling[architecture], known):
            bad += 1
            print(f"sm_{architecture} {line}; if that is meant: tests/compile_cuda.py --update")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
