"""deploy/check_abi.py: what it says of two libraries. A change that old programs would notice is refused, and no other."""
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "deploy/check_abi.py"
BASE = """
#include <stddef.h>
#include <stdint.h>
typedef enum { F5_OK, F5_E_IO } f5_status;
typedef struct { size_t size; int32_t nfe; float cfg; } f5_params;
typedef struct { size_t size; char last; } f5_padded;
typedef struct { float x, y; } plain;
f5_status f5_run(const f5_params *params, plain p) { return params->nfe > (int)p.x ? F5_OK : F5_E_IO; }
int64_t f5_count(int32_t n) { return n; }
int f5_last(const f5_padded *p) { return p->last; }
"""
FINE = {
    "nothing": ("", ""),
    "another body": ("return n;", "return 2 * (int64_t)n;"),
    "a new function": ("int64_t f5_count", "int f5_new(void) { return 1; }\nint64_t f5_count"),
    "a field at the end of a struct with its size": ("float cfg; }", "float cfg; int (*waits)(void *user); }"),
    "two of them": ("float cfg; }", "float cfg; int64_t seed; double sway; }"),
    "a new number of an error": ("F5_OK, F5_E_IO", "F5_OK, F5_E_IO, F5_E_NEW"),
}
BROKEN = {
    "a function is gone": ("int64_t f5_count(int32_t n) { return n; }", ""),
    "a field in the middle": ("int32_t nfe;", "int64_t seed; int32_t nfe;"),
    "a field is gone": (" float cfg;", ""),
    "a field at the end, and one of another type": ("float cfg;", "int32_t cfg; int64_t seed;"),
    "a field in what was padding": ("float x, y; }", "float x, y; char z; }"),
    "a field in the padding of one with its size": ("char last;", "char last, later;"),
    "a field of another type": ("float cfg;", "double cfg;"),
    "a field at the end of a struct without its size": ("float x, y; }", "float x, y, z; }"),
    "a parameter of another type": ("f5_count(int32_t n)", "f5_count(int64_t n)"),
    "a result of another type": ("int64_t f5_count", "int32_t f5_count"),
    "one parameter more": ("f5_count(int32_t n)", "f5_count(int32_t n, int32_t m)"),
    "another number of an error": ("F5_OK, F5_E_IO", "F5_OK, F5_E_NEW, F5_E_IO"),
}


def library(folder, name, source):
    (folder / f"{name}.c").write_text(source)
    path = folder / f"{name}.so"
    subprocess.run(["cc", "-g", "-shared", "-fPIC", "-Wl,-soname,libf5.so.0", "-o", path, folder / f"{name}.c"], check=True)
    return path


def judge(*words):
    return subprocess.run([sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True, timeout=600)


@pytest.fixture(autouse=True)
def has_abidiff():
    if not shutil.which("abidiff"):
        pytest.skip("abidiff is not here: abigail-tools has it")


@pytest.mark.parametrize("what", [*FINE, *BROKEN])
def test_verdict(tmp_path, what):
    old, new = {**FINE, **BROKEN}[what]
    assert old in BASE
    done = judge(library(tmp_path, "old", BASE), library(tmp_path, "new", BASE.replace(old, new, 1) if old else BASE))
    assert done.returncode == (what in BROKEN), done.stdout + done.stderr
    assert ("cannot use it" if what in BROKEN else "can use it") in done.stdout


OPAQUE = {
    "a field that only the library knows": ("int32_t steps;", "int64_t made; int32_t steps;", 0),
    "a field in the middle of what programs know": ("int32_t nfe;", "int64_t seed; int32_t nfe;", 1),
    "a field at its end": ("float cfg; }", "float cfg; int64_t seed; }", 0),
    "a parameter of another type": ("int64_t n)", "int32_t n)", 1),
}


@pytest.mark.parametrize("what", OPAQUE)
def test_what_the_header_keeps_to_itself(tmp_path, what):
    """An opaque struct may change in any way, what the header says may not."""
    header = """#include <stddef.h>
#include <stdint.h>
typedef struct f5_engine f5_engine;
typedef struct { size_t size; int32_t nfe; float cfg; } f5_params;
int f5_run(f5_engine *engine, const f5_params *params);
int f5_size(f5_engine *engine, int64_t n);
"""
    source = """#include "f5.h"
struct f5_engine { int32_t steps; f5_params last; };
int f5_run(f5_engine *engine, const f5_params *params) { return engine->steps += params->nfe; }
int f5_size(f5_engine *engine, int64_t n) { return engine->steps > (int)n; }
"""
    old, new, code = OPAQUE[what]
    assert old in header + source
    made = []
    for name in ("before", "after"):
        folder = tmp_path / name
        folder.mkdir()
        change = (lambda text: text) if name == "before" else (lambda text: text.replace(old, new))
        (folder / "f5.h").write_text(change(header))
        made.append(library(folder, name, change(source)))
    done = judge(*made, tmp_path / "before", tmp_path / "after")
    assert done.returncode == code, done.stdout + done.stderr
    assert judge(*made).returncode == 1  # without the headers all counts, also what the opaque struct holds


def test_what_cannot_be_told(tmp_path):
    (tmp_path / "text.so").write_text("no library")
    assert judge(tmp_path / "text.so", tmp_path / "none.so").returncode == 2
    done = judge("no-such-commit")
    assert done.returncode == 2 and "no such commit" in done.stdout
