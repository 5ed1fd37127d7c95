"""The layouts that cbind reads out of the headers are the compiler's, and a header it cannot read is an error."""
import ctypes
import os
import shutil
import subprocess

import pytest

import cbind


def test_layouts_match_the_compiler(tmp_path):
    cc = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")
    if not cc:
        pytest.skip("no C compiler on PATH: the layouts are unchecked")
    h = cbind.headers()
    assert len(cbind.ops()) >= 12
    for op in cbind.ops():
        h.struct(f"{op}_args")  # each op's arguments were understood
    lines, want = [], []
    for name, struct in h.structs.items():
        lines.append(f'printf("%zu\\n", sizeof({name}));')
        want.append((f"sizeof {name}", ctypes.sizeof(struct)))
        for field, ctype in struct._fields_:
            lines.append(f'printf("%zu %zu\\n", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));')
            want.append((f"{name}.{field}", (getattr(struct, field).offset, ctypes.sizeof(ctype))))
    for name, value in h.constants.items():
        lines.append(f'printf("%lld\\n", (long long)({name}));')
        want.append((name, value))
    includes = "".join(f'#include "{p.relative_to(cbind.ROOT)}"\n' for p in cbind.header_files())
    source = tmp_path / "layout.c"
    source.write_text("#include <stdbool.h>\n#include <stddef.h>\n#include <stdio.h>\n" + includes +
                      "int main(void) {\n" + "\n".join(lines) + "\nreturn 0;\n}\n")
    program = tmp_path / "layout"
    subprocess.run([cc, "-std=gnu11", f"-I{cbind.ROOT}", str(source), "-o", str(program), "-lm"], check=True)
    out = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(out) == len(want)
    for line, (what, expected) in zip(out, want):
        numbers = tuple(int(n) for n in line.split())
        assert numbers == (expected if isinstance(expected, tuple) else (expected,)), what


@pytest.mark.parametrize("text", [
    "typedef struct { unsigned int a; } s_args;",
    "typedef struct { int32_t a : 3; } s_args;",
    "typedef struct { int32_t a[UNKNOWN]; } s_args;",
    "typedef struct { int32_t a[2 * ]; } s_args;",
    "typedef struct { mystery_t a; } s_args;",
    "typedef struct { int32_t a; struct { int b; } c; } s_args;",
    "typedef struct { void (*f)(int); } s_args;",
    "typedef struct { float m[2][3]; } s_args;",
    "typedef enum { A = 1 << 3 } e; typedef struct { e a; } s_args;",
])
def test_unknown_syntax_fails_loudly(tmp_path, text):
    (tmp_path / "odd.h").write_text(text)
    with pytest.raises(cbind.CHeaderError):
        cbind.Headers(tmp_path).struct("s_args")


def test_guard_sees_a_stray_write():
    g = cbind.Guarded((3, 5))
    g.check()
    g.whole[g.whole.size - 1024] = 0.0
    with pytest.raises(AssertionError):
        g.check()


def test_nan_never_compares_as_close():
    a = cbind.poison((4,))
    with pytest.raises(AssertionError):
        cbind.rel_l2(a, a)
