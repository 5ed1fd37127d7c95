"""build_emulated.py — the CUDA ops as a library for this CPU, on the emulator beside this file.

A copy of every .cu and .cuh is made in which the three things that are no C++ are: a launch, kernel<<<...>>>(...), an
array in shared memory, and one of a size that the launch gives. What wraps single instructions is replaced by ours; lines keep
their numbers. The C references, which plans and messages come from, are those of libf5tts_test.so.
"""
import hashlib
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
UBSAN = "-fsanitize=alignment,bounds,signed-integer-overflow,integer-divide-by-zero,shift"
FLAGS = ["-include", "cuda_runtime.h", "-D__CUDA_ARCH_FEAT_SM90_ALL", "-O1", "-w", "-ffp-contract=off", UBSAN, "-fno-sanitize-recover=all",
         "-ftrivial-auto-var-init=pattern"]  # a variable that was never set holds what shows
IN_PLACE_OF = {"kernels/cuda/sm80/ptx.cuh": "ptx.cuh", "kernels/cuda/sm90/ptx.cuh": "hopper_ptx.cuh", "kernels/cuda/sm90/wgmma.cuh": "hopper_wgmma.cuh"}
NOT_EMULATED = {"kernels/cuda/context.cu", "kernels/cuda/blas.cu"}  # context.c stands for them


class NotUnderstood(Exception):
    """A source says something that this small translator does not know."""


def without_comments(text):
    """Every line keeps its number."""
    def blank(match):
        found = match.group()
        return found if found[0] == '"' else re.sub(r"[^\n]", " ", found)
    return re.sub(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', blank, text, flags=re.S)


def past_closing(text, at):
    """The place after the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(text)):
        depth += text[i] == "("
        depth -= text[i] == ")"
        if depth == 0:
            return i + 1
    raise NotUnderstood(f"no end of {text[at:at + 40]!r}")


def launches(text):
    """kernel<...><<<how>>>(what) becomes emulated_launch([&] { kernel<...>(what); }, how)."""
    while "<<<" in text:
        at = text.index("<<<")
        name = re.search(r"[\w:]+\s*(<[^<>;{}]*>)?\s*$", text[:at])
        past = text.find(">>>", at)
        opening = past + 3
        if not name or past < 0 or text[opening] != "(":
            raise NotUnderstood(f"a launch: {text[at - 40:at + 40]!r}")
        end = past_closing(text, opening)
        call = f"{name.group().strip()}{text[opening:end]}"
        text = f"{text[:name.start()]} emulated_launch([&] {{ {call}; }}, {text[at + 3:past]}){text[end:]}"
    return text


def shared_arrays(text):
    """__shared__ T a[n], b[m]; becomes references to the block's own."""
    def of_launch(match):
        alignment, kind, name = match.groups()
        return f"{kind} *{name} = static_cast<{kind} *>(emulator_dynamic_shared({alignment or 16}));"

    def of_block(match):
        number = text.count("\n", 0, match.start()) + 1
        declaration = match.group(1)
        names = re.findall(r"(\w+)\s*(?:\[[^\];]*\]\s*)*(?=[,;])", re.sub(r"<[^<>]*>|\([^()]*\)", "", declaration) + ";")
        struct = f"emulated_shared_{number}"
        bound = " ".join(f"auto &{name} = {struct}_at->{name};" for name in names)
        return (f"struct {struct} {{ {declaration}; }}; {struct} *{struct}_at = static_cast<{struct} *>("
                f"emulator_shared(__FILE__, {number}, sizeof({struct}), alignof({struct}))); {bound}")

    text = re.sub(r"extern\s+__shared__\s+(?:__align__\((\d+)\)\s+)?([\w: ]+?)\s+(\w+)\[\]\s*;", of_launch, text)
    return re.sub(r"(?<!extern )__shared__\s+([^;]+);", of_block, text)


def translated(path):
    text = shared_arrays(launches(without_comments((ROOT / path).read_text(encoding="utf-8"))))
    return f'#line 1 "{path}"\n{text}'


def sources():
    return ["tests/emulate/faults.cu", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "kernels").rglob("*.cu*"))]


def write_if_other(path, text):
    """So that what has not changed is not compiled again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def translate(out):
    """All of them below `out`. The .cu that are compiled."""
    texts = {path: (HERE / IN_PLACE_OF[path]).read_text(encoding="utf-8") if path in IN_PLACE_OF else translated(path) for path in sources()}
    for path, text in texts.items():
        write_if_other(out / path, text)
    return [out / path for path in texts if path.endswith(".cu") and path not in NOT_EMULATED]


def digest(*parts):
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def compiled(out, source, headers):
    """The object of a source, made anew where it or any header is another one."""
    c = source.suffix == ".c"
    command = ["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra"] if c else ["g++", "-std=c++17", "-x", "c++", *FLAGS]
    command += ["-g1", "-fPIC", f"-iquote{out}", f"-I{HERE / 'toolkit'}", f"-I{ROOT}"]
    made = out / "objects" / f"{source.stem}-{digest(command, source.read_bytes(), headers)}.o"
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        partial = made.with_suffix(f".{os.getpid()}")
        run = subprocess.run([*command, "-c", str(source), "-o", str(partial)], capture_output=True, text=True)
        if run.returncode:
            raise NotUnderstood(f"{source}:\n{run.stderr[-8000:]}")
        partial.rename(made)
    return made


def build(out, library):
    """libf5emulated.so in `out`, which takes the references from `library`. Its path."""
    out.mkdir(parents=True, exist_ok=True)
    units = sorted([*translate(out), *(HERE / f"{name}.c" for name in ("emulator", "memory", "hopper", "context"))], key=lambda p: -p.stat().st_size)
    folders = out / "kernels", HERE, ROOT / "kernels"
    headers = digest([p.read_bytes() for folder in folders for p in sorted(folder.rglob("*.*h"))])
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # the longest first
        objects = list(pool.map(lambda source: compiled(out, source, headers), units))
    made = out / f"libf5emulated-{digest(objects, library)}.so"
    if not made.exists():
        partial = made.with_suffix(f".{os.getpid()}")
        found = f"-Wl,-rpath,{Path(library).parent}"
        subprocess.run(["g++", "-shared", "-o", partial, *objects, library, found, "-lm"], check=True)
        partial.rename(made)
    return made


if __name__ == "__main__":
    print(build(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()))
