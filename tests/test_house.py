"""The rules of tests/house.py hold over every tracked file, each by name; and each sees a breach of it when there is one."""
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import check_includes
import house

LONG = "\n".join(f"    x += {i};" for i in range(house.FUNCTION_LINES))
HEAD = "/* a.c — how a thing of this kind is done. */\n"
PLANTED = {  # rule: [(path, text, a word of the breach)]
    "includes": [("runtime/a.c", HEAD + '#include "host/api/f5tts.h"\n', "runtime may not include from f5tts.h"),
                 ("runtime/models/a.c", HEAD + '#include "runtime/engine.h"\n', "may not include from runtime"),
                 ("kernels/a.c", HEAD + '#include "pack.h"\n', "not a path from the root"),
                 ("elsewhere/a.c", HEAD, "lies in no room")],
    "format": [("runtime/a.c", HEAD + "int   f( void ) { return 1 ; }\n", "run clang-format")],
    "file_length": [(f"a.{kind}", "\n" * 501, "501 lines") for kind in ("c", "cuh", "py", "sh")],
    "function_length": [("a.c", f"int f(int x) {{\n{LONG}\n}}\n", "f has 122 lines"),
                        ("a.cu", f"namespace {{\ntemplate <int N>\n__global__ void __launch_bounds__(N) k(int a,\n"
                                 f"    int b) {{\n{LONG}\n}}\n}}\n", "k has 124 lines"),
                        ("a.py", "def f(x):\n" + LONG.replace(";", "") + "\n", "f has 121 lines")],
    "idea": [("a.c", "#include <stdio.h>\n", "no comment"), ("a.h", "#ifndef A\n/* a.h — an idea too late here. */\n", "no comment"),
             ("a.c", "/* a.c — see a.h. */\n", "no idea"), ("a.cu", "/* See b.h for it. */\n", "no idea"),
             ("a.c", "/* the plain reference. */\n", "no idea"), ("a.cuh", "/* b.cuh — how it is really done. */\n", "speaks of b.cuh")],
    "words": [("a.cuh", "/* by the copy" + " engine */\n", "TMA"), ("a.md", "Matrix" + " units multiply.\n", "tensor core"),
              ("a.c", "int k" + "MostRows;\n", "kMax"), ("a.py", "# spec" + ".md\n", "MODEL.md")],
    "machine": [("a.py", 'path = "' + "/work" + '/main/x"\n', "of one machine"), ("a.md", "in `" + "/home" + "/me/f5`\n", "of one machine")],
    "leftovers": [("a.c", "/* TO" + "DO: later */\n", "do it or file it"), ("a.py", "x = 1  # FIX" + "ME\n", "do it or file it")],
    "text": [("a.c", "int x; \n", "spaces"), ("a.py", "x = 1", "no newline"), ("a.c", "\tint x;\n", "a tab")],
}
CLEAN = [("runtime/a.c", HEAD + '#include "runtime/a.h"\n\nint f(void) {\n    return 1;\n}\n'), ("runtime/a.h", HEAD.replace("a.c", "a.h")),
         ("tests/b.py", '"""b.py — nothing but an idea."""\n')]


@pytest.fixture(scope="module")
def tree():
    try:
        return house.Tree()
    except house.NoCheckout as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("rule", house.RULES)
def test_holds(tree, rule):
    if rule == "format" and not house.clang_format():
        pytest.skip(f"clang-format {house.CLANG_FORMAT} is not here: the layout is unchecked")
    found = list(house.RULES[rule](tree))
    assert not found, f"{len(found)} breaches of {rule}:\n" + "\n".join(found)


def planted(tmp_path, files):
    for path, text in files:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    return house.Tree(tmp_path, [path for path, _ in files])


@pytest.mark.parametrize("rule,path,text,words", [(rule, *case) for rule, cases in PLANTED.items() for case in cases])
def test_sees_a_breach(tmp_path, rule, path, text, words):
    if rule == "format" and not house.clang_format():
        pytest.skip(f"clang-format {house.CLANG_FORMAT} is not here")
    others = [(p, HEAD) for p in ("host/api/f5tts.h", "runtime/engine.h") if rule == "includes"]
    found = list(house.RULES[rule](planted(tmp_path, [*others, (path, text)])))
    assert len(found) == 1 and words in found[0] and found[0].startswith(f"{path}:"), found


def test_every_rule_has_a_breach_planted():
    assert set(PLANTED) == set(house.RULES)


@pytest.mark.parametrize("rule", house.RULES)
def test_a_clean_tree_is_clean(tmp_path, rule):
    if rule == "format" and not house.clang_format():
        pytest.skip(f"clang-format {house.CLANG_FORMAT} is not here")
    assert list(house.RULES[rule](planted(tmp_path, CLEAN))) == []


def test_rooms_stand_on_each_other():
    assert check_includes.circle() == []
    assert check_includes.circle([("a", [], ["b"]), ("b", [], ["c"]), ("c", [], ["a"]), ("d", [], ["a"])]) == list("abcd")
    assert check_includes.circle([("a", [], ["b"]), ("b", [], []), ("t", [], None)]) == []
    unknown = {room for _, _, may in check_includes.ROOMS for room in may or ()} - set(check_includes.MAY)
    assert not unknown, f"rooms may include from {unknown}, which are none"


def test_every_file_of_ours_lies_in_a_room(tree):
    rooms = {check_includes.room_of(path) for path, _ in tree.of(*house.C_LIKE)}
    assert None not in rooms and {"plain", "contracts", "references", "launches", "f5tts.h"} <= rooms


def test_the_program_reports_and_fails(tmp_path):
    """As `make lint` runs it, in a tree of its own with one breach and with none."""
    git = shutil.which("git")
    assert git, "git is not here"
    (tmp_path / "tests").mkdir()
    for name in ("house.py", "check_includes.py"):
        shutil.copy(Path(house.__file__).parent / name, tmp_path / "tests")
    shutil.copy(house.ROOT / ".clang-format", tmp_path)
    (tmp_path / "a.py").write_text("x = 1  # FIX" + "ME\n")
    for arguments in (["init", "-q"], ["add", "-A"]):
        subprocess.run([git, *arguments], cwd=tmp_path, check=True, capture_output=True)

    def run(*rules):
        return subprocess.run([sys.executable, "tests/house.py", *rules], cwd=tmp_path, capture_output=True, text=True)

    assert run().returncode == 1 and "a.py:1: leftovers: FIX" + "ME" in run().stdout
    assert run("text").returncode == 0 and run("nope").returncode == 1
    (tmp_path / "a.py").write_text("x = 1\n")
    assert run().returncode == 0, run().stdout
