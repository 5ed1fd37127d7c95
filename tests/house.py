#!/usr/bin/env python3
"""house.py — the rules of this tree that a program can check, over every file that git tracks.

    tests/house.py             all of them; prints each breach as path:line: rule: what is wrong, exits 1 on any
    tests/house.py format      one of them

`make lint` runs it, tests/test_house.py runs each rule by name and plants a breach of each. A rule is a function from a
Tree to its breaches.
"""
import ast
import re
import subprocess
import sys
from pathlib import Path

import check_includes

ROOT = check_includes.ROOT
C_LIKE = (".c", ".h", ".cu", ".cuh")
SOURCE = (*C_LIKE, ".py", ".sh", ".cmake")
FILE_LINES, FUNCTION_LINES = 500, 120
CLANG_FORMAT = 14  # other versions lay the same .clang-format out differently

# what is wrong -> what is right; whole words, in any case
WORDS = {
    r"copy engines?": "TMA (NVIDIA's copy engine is the DMA engine behind cudaMemcpyAsync)",
    r"matrix[ -]units?": "tensor core",
    r"too_heavy": "overflows", r"lighten\w*": "rescale", r"dearest": "max_cost", r"k[Mm]ost\w+": "kMax...",
    r"spec\.md": "runtime/MODEL.md", r"as the device likes": "device default",
    r"nobody (hears|needs)": "the subject named",
}
WORDS_APART = ("tests/house.py",)  # where the words themselves are the subject
MACHINE = re.compile(r"(?<![\w.])/(work|home|root|Users)/\w")  # folders of the machine that somebody wrote this on
LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


class NoCheckout(Exception):
    """A source archive: nothing tells our files from what was built among them."""


class Tree:
    """Files under a root: {path: text} of those that are text."""

    def __init__(self, root=ROOT, paths=None):
        self.root = Path(root)
        if paths is None:
            listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True)
            if listed.returncode:
                raise NoCheckout(f"git does not say which files of {root} are ours: {listed.stderr.strip()}")
            paths = [p for p in listed.stdout.splitlines() if (self.root / p).is_file()]
        self.texts = {}
        for path in paths:
            try:
                text = (self.root / path).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
            if "\0" not in text:
                self.texts[path] = text

    def of(self, *endings):
        return [(path, text) for path, text in self.texts.items() if path.endswith(endings)]


def lines_of(text):
    return list(enumerate(text.splitlines(), 1))


# ---- C, just enough of it

def bare(text):
    """C without comments, strings and characters; every line keeps its number."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def c_functions(text):
    """(first line, last line, name) of the definitions. They begin at the margin and end with a } there, as clang-format
    lays them out, inside namespaces too."""
    head, first, name = "", 0, None  # a declaration being read; then, with a name, a body
    for number, line in lines_of(bare(text)):
        if name:
            if line.startswith("}"):
                yield first, number, name
                name = None
            continue
        if not head and not re.match(r"[A-Za-z_]", line):
            continue
        first = first if head else number
        head += line + " "
        if "{" in head:
            before = re.sub(r"__launch_bounds__\s*\([^)]*\)", "", head.split("{")[0])
            called = re.search(r"(\w+)\s*\(", before)
            if called and "=" not in before.split("(")[0] and head.count("{") > head.count("}"):
                name = called.group(1)
            head = ""
        elif ";" in line:
            head = ""


def head_comment(text):
    """The comment that a C file begins with, on one line; None where it begins with anything else."""
    match = re.match(r"\s*/\*(.*?)\*/", text, flags=re.S) or re.match(r"\s*//([^\n]*(?:\n//[^\n]*)*)", text)
    return " ".join(re.sub(r"\n\s*(\*|//)?", " ", match.group(1)).split()) if match else None


# ---- the rules

def includes(tree):
    """Includes are written from the root and go down only."""
    yield from check_includes.breaches([path for path, _ in tree.of(*C_LIKE)], tree.root)


def clang_format():
    """The program, or None."""
    for name in (f"clang-format-{CLANG_FORMAT}", "clang-format"):
        try:
            version = subprocess.run([name, "--version"], capture_output=True, text=True, check=True).stdout
        except (FileNotFoundError, subprocess.CalledProcessError):
            continue
        if re.search(rf"version {CLANG_FORMAT}\.", version):
            return name
    return None


def format(tree):  # noqa: A001  the rule's name
    """Every C and CUDA file is as clang-format 14 lays it out."""
    program = clang_format()
    if not program:
        yield f"Makefile:1: clang-format {CLANG_FORMAT} is not here: apt-get install clang-format-{CLANG_FORMAT}"
        return
    paths = [path for path, _ in tree.of(*C_LIKE)]
    if not paths:
        return
    run = subprocess.run([program, f"--style=file:{ROOT / '.clang-format'}", "--dry-run", "-Werror", "--ferror-limit=1",
                          *paths], cwd=tree.root, capture_output=True, text=True)
    found = re.findall(r"^(?:\./)?([^\s:]+:\d+):\d+: error: code should be clang-formatted", run.stderr, flags=re.M)
    yield from (f"{place}: run clang-format -i (make format)" for place in found)
    if run.returncode and not found:
        yield f".clang-format:1: {run.stderr.strip().splitlines()[0]}"


def generator(tree, text):
    """The program of this tree that wrote a C file, by its head comment's "Generated by PATH.py"; None if none did."""
    named = re.search(r"\bGenerated by ([\w./]+\.py)\b", head_comment(text) or "")
    return named.group(1) if named and named.group(1) in tree.texts else None


def file_length(tree):
    """A source file has at most 500 lines, but for tables in C that a program of this tree wrote."""
    for path, text in tree.of(*SOURCE):
        n = len(text.splitlines())
        if n > FILE_LINES and not (path.endswith(C_LIKE) and generator(tree, text)):
            yield f"{path}:{n}: {n} lines; a file over {FILE_LINES} is two"


def function_length(tree):
    """A function has at most 120 lines, in C, CUDA and Python."""
    for path, text in tree.of(*C_LIKE):
        for first, last, name in c_functions(text):
            if last - first + 1 > FUNCTION_LINES:
                yield f"{path}:{first}: {name} has {last - first + 1} lines; {FUNCTION_LINES} are the most"
    for path, text in tree.of(".py"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                n = node.end_lineno - node.lineno + 1
                if n > FUNCTION_LINES:
                    yield f"{path}:{node.lineno}: {node.name} has {n} lines; {FUNCTION_LINES} are the most"


def idea(tree):
    """Every C and CUDA file begins with its idea in a comment, "name.c — …", not with a pointer to another file."""
    for path, text in tree.of(*C_LIKE):
        head = head_comment(text)
        if head is None:
            yield f"{path}:1: begins with no comment that says the file's idea"
            continue
        named = re.match(r"([\w./]+\.(?:c|h|cu|cuh))\s*(?:—|–|-|:)\s*", head)
        if named and Path(named.group(1)).name != Path(path).name:
            yield f"{path}:1: its comment speaks of {named.group(1)}"
        said = head[named.end():] if named else head
        if re.match(r"(?:\w+\s+){0,3}[Ss]ee [\w./]+\.(c|h|cu|cuh|md)\b", said) or len(said.split()) < 4:
            yield f"{path}:1: its first sentence is no idea: {said[:60]!r}"


def words(tree):
    """The field's words: TMA, tensor core, rescale, max."""
    for path, text in tree.texts.items():
        if path in WORDS_APART:
            continue
        for wrong, right in WORDS.items():
            for match in re.finditer(rf"\b{wrong}\b", text, flags=re.I if " " in wrong else 0):
                number = text.count("\n", 0, match.start()) + 1
                yield f"{path}:{number}: {match.group()!r}: say {right}"


def machine(tree):
    """No path of the machine that it was written on."""
    for path, text in tree.texts.items():
        for number, line in lines_of(text):
            match = MACHINE.search(line)
            if match:
                yield f"{path}:{number}: {line[match.start():match.start() + 40]!r} is a path of one machine"


def leftovers(tree):
    """Nothing is left for later in the sources."""
    for path, text in tree.of(*SOURCE, "Makefile", "CMakeLists.txt", ".md"):
        if path in WORDS_APART:
            continue
        for number, line in lines_of(text):
            if LEFTOVER.search(line):
                yield f"{path}:{number}: {LEFTOVER.search(line).group()}: do it or file it"


def text(tree):
    """Lines end at their last letter, files with a newline; no tabs in sources."""
    for path, content in tree.of(*SOURCE, ".md", ".json", ".txt", "Makefile"):
        if content and not content.endswith("\n"):
            yield f"{path}:{content.count(chr(10)) + 1}: no newline at the end"
        for number, line in lines_of(content):
            if line != line.rstrip() and not path.endswith(".txt"):
                yield f"{path}:{number}: spaces at the end of the line"
            if "\t" in line and path.endswith(SOURCE):
                yield f"{path}:{number}: a tab"


RULES = {rule.__name__: rule for rule in (includes, format, file_length, function_length, idea, words, machine, leftovers,
                                          text)}


def main(argv):
    unknown = set(argv) - set(RULES)
    if unknown:
        sys.exit(f"house.py: no rule {', '.join(sorted(unknown))}; there are {', '.join(RULES)}")
    try:
        tree, count = Tree(), 0
    except NoCheckout as error:
        sys.exit(f"house.py: {error}")
    for name in argv or RULES:
        for breach in RULES[name](tree):
            place, _, what = breach.partition(": ")
            print(f"{place}: {name}: {what}")
            count += 1
    print(f"{count} breaches" if count else f"{len(tree.texts)} files keep {len(argv or RULES)} rules")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
