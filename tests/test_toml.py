"""TOML files: host/files/toml.h against Python's tomllib, on files of our own making, right and wrong."""
import ctypes
import math
import os
import random
import tomllib
from pathlib import Path

import pytest

import convert_lib

TABLE, ARRAY, STRING, INTEGER, FLOAT, BOOLEAN = range(6)


class F5Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 512)]


class Node(ctypes.Structure):
    _fields_ = [("path", ctypes.c_char_p), ("value", ctypes.c_char_p), ("type", ctypes.c_int), ("line", ctypes.c_int)]


class Toml(ctypes.Structure):
    _fields_ = [("node", ctypes.POINTER(Node)), ("count", ctypes.c_int), ("file", ctypes.c_char_p)]


@pytest.fixture(scope="module")
def lib():
    path = Path(os.environ.get("F5_BUILD", convert_lib.ROOT / "build")) / "lib" / "libf5tts_test.so"
    assert path.exists(), f"{path} is missing: build first"
    lib = ctypes.CDLL(str(path))
    lib.toml_read.argtypes = [ctypes.POINTER(Toml), ctypes.c_char_p, ctypes.POINTER(F5Error)]
    lib.toml_free.argtypes = [ctypes.POINTER(Toml)]
    return lib


def read(lib, path):
    """([(path, type, value, line)], None), or (None, message)"""
    toml, error = Toml(), F5Error()
    if lib.toml_read(ctypes.byref(toml), os.fsencode(path), ctypes.byref(error)):
        assert not toml.node and toml.count == 0
        return None, error.message.decode()
    nodes = [(n.path.decode(), n.type, n.value.decode() if n.value is not None else None, n.line)
             for n in toml.node[:toml.count]]
    lib.toml_free(ctypes.byref(toml))
    return nodes, None


def flatten(value, path="", top=True):
    """What read() gives of a parsed file, without lines and in no order."""
    if not top:
        kind = (TABLE if isinstance(value, dict) else ARRAY if isinstance(value, list) else STRING
                if isinstance(value, str) else BOOLEAN if isinstance(value, bool) else INTEGER
                if isinstance(value, int) else FLOAT)
        yield path, kind, None if kind in (TABLE, ARRAY) else value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flatten(item, f"{path}.{key}" if path else key, False)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from flatten(item, f"{path}[{i}]", False)


READ = {STRING: str, INTEGER: int, FLOAT: float, BOOLEAN: {"true": True, "false": False}.get,
        TABLE: lambda value: None, ARRAY: lambda value: None}


def same(a, b):
    return a == b and math.copysign(1, a) == math.copysign(1, b) or a != a and b != b if isinstance(a, float) else a == b


def check(lib, path, text):
    """The file is read as tomllib reads it."""
    path.write_bytes(text.encode("utf-8"))
    nodes, message = read(lib, path)
    assert nodes is not None, (text, message)
    found = {p: (kind, READ[kind](value)) for p, kind, value, _ in nodes}
    wanted = {p: (kind, value) for p, kind, value in flatten(tomllib.loads(text))}
    assert len(found) == len(nodes) and set(found) == set(wanted), text
    for p in wanted:
        assert found[p][0] == wanted[p][0] and same(found[p][1], wanted[p][1]), (p, found[p], wanted[p], text)
    return nodes


GOOD = {
    "empty": "", "comments only": "# a\n\n   # b", "no newline at the end": "a = 1",
    "windows": "a = 1\r\n[b]\r\nc = '''x\r\ny'''\r\n",
    "upstream basic": 'model = "F5TTS_v1_Base"\nref_audio = "a.wav"\n# If empty\nref_text = ""\ngen_text = "I\'m \\"it\\"."\n'
                      'gen_file = ""\nremove_silence = false\noutput_dir = "tests"\n',
    "upstream multi": 'ref_audio = "m.flac"\nremove_silence = true\n\n[voices.town]\nref_audio = "t.flac"\nref_text = ""\n'
                      'speed = 0.8  # will ignore global speed\n\n[voices.country]\nref_audio = "c.flac"\n',
    "strings": r'''a = "\b\t\n\f\r\"\\ \u00e9 \U0001F600" ''' + "\nb = 'C:\\no \"escape\"'\nc = ''\nd = \"\"",
    "long strings": 'a = """\nfirst\nsecond"""\nb = """x \\\n   \n  y"""\nc = \'\'\'\n\'it\' \\ is\'\'\'\nd = """""x"""""\n'
                    'e = \'\'\'\'x\'\'\'\'\'\nf = """a \\   \n b"""\ng = ""',
    "integers": "a = 0\nb = -17\nc = +1_000\nd = 0xDEAD_beef\ne = 0o755\nf = 0b1010\ng = -9223372036854775808\n"
                "h = 9223372036854775807\ni = -0",
    "floats": "a = 1.5\nb = -0.0\nc = 1e6\nd = 6.626E-34\ne = 1_0.0_1\nf = inf\ng = -inf\nh = nan\ni = +nan\nj = 5e+2\n"
              "k = 0e0",
    "booleans": "a = true\nb=false#x",
    "keys": "a-b_1 = 1\n\"q r\" = 2\n'l' = 3\n1 = 4\nc . d = 5\nc.\"e f\" = 6\n3.14 = 7",
    "tables": "[a]\nx = 1\n[a.b.c]\ny = 2\n[ d . 'e' ]\nz = 3\n[a.b]\nw = 4",
    "table after its part": "[x.y.z]\n[x]\na = 1",
    "dotted in tables": "[a]\nb.c = 1\nb.d = 2\n[a.e]\nf.g.h = 3",
    "implicit, then dotted": "[a.b.c]\nx = 1\n[a]\nb.d = 1",
    "inline": "a = {}\nb = { c = 1, d.e = 'x', d.f = { g = [1] } }\n[t]\nh = {i = true}",
    "arrays": "a = []\nb = [1, 2,]\nc = [ # x\n 'a', # y\n\n \"b\"\n]\nd = [[1, 2], ['a'], {x = 1}]\ne = [[],[{}]]",
    "unicode": "a = \"你好 \U0001F600\" # é\n\"ключ\" = 1",
}


@pytest.mark.parametrize("name", GOOD)
def test_reads_as_tomllib(lib, tmp_path, name):
    check(lib, tmp_path / "a.toml", GOOD[name])


def test_lines_and_order(lib, tmp_path):
    nodes = check(lib, tmp_path / "a.toml", 'a = 1\n\nb = """x\ny"""\n[c]\n# z\nd = [\n 1,\n 2]\n')
    assert [(path, line) for path, _, _, line in nodes] == [("a", 1), ("b", 3), ("c", 5), ("c.d", 7), ("c.d[0]", 8),
                                                            ("c.d[1]", 9)]


def test_byte_order_mark(lib, tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfa = 1\n")
    assert read(lib, tmp_path / "a.toml") == ([("a", INTEGER, "1", 1)], None)


BAD = {  # name: (text, line, what is said); tomllib refuses these too
    "no value": ("a =\n", 1, "a value is missing"), "no equals": ("a 1", 1, "= is missing after the key a"),
    "no key": ("\n= 1", 2, "a key is missing"), "two on a line": ("a = 1 b = 2", 1, "'b' where the line should end"),
    "bare text": ("a = hello", 1, "hello is no value: a text stands in quotes"),
    "open string": ('x = 1\na = "b\nc = 1', 2, "a string that is not closed"),
    "open long string": ('a = """b\nc\n', 1, "a string that is not closed"),
    "open at a quote": ('a = """b""', 1, "a string that is not closed"),
    "escape": (r'a = "\q"', 1, "an escape that TOML does not have"), "escape \\e": (r'a = "\e"', 1, "an escape"),
    "short unicode": (r'a = "\u12"', 1, "4 hexadecimal digits"), "surrogate": (r'a = "\ud800"', 1, "U+D800 is no character"),
    "too large": (r'a = "\U00110000"', 1, "U+110000 is no character"),
    "control": ("a = 'b\x01'", 1, "a control character (0x01) in a string"), "carriage return": ("a = 'b\rc'", 1, "0x0d"),
    "control in a comment": ("# \x02", 1, "a control character in a comment"),
    "leading zero": ("a = 012", 1, "012 is no value"), "underscores": ("a = 1__0", 1, "1__0"), "last _": ("a = 1_", 1, "1_"),
    "signed hex": ("a = +0x1", 1, "+0x1"), "empty hex": ("a = 0x", 1, "0x"), "dot": ("a = 1.", 1, "1."),
    "dot first": ("a = .5", 1, ".5"), "exponent": ("a = 1e", 1, "1e"), "float zero": ("a = 01.5", 1, "01.5"),
    "True": ("a = True", 1, "True is no value"), "twice": ("a = 1\na = 2", 2, "a is there already, at line 1"),
    "table twice": ("[a]\n[a]", 2, "a is there already, at line 1"), "value as table": ("a = 1\n[a]", 2, "a is there"),
    "value as super": ("a = 1\n[a.b]", 2, "a is there"), "dotted value": ("a = 1\na.b = 2", 2, "a is there"),
    "dotted into a table": ("[a.b]\nc = 1\n[a]\nb.d = 2", 4, "a.b is there"),
    "table of dotted": ("a.b = 1\n[a]", 2, "a is there"), "inline is closed": ("a = {b = 1}\na.c = 2", 2, "a is there"),
    "inline as table": ("a = {}\n[a]", 2, "a is there"), "inline as super": ("a = {b = {}}\n[a.b.c]", 2, "a is there"),
    "array as table": ("a = []\n[a.b]", 2, "a is there"), "inline twice": ("a = {b = 1, b = 2}", 1, "a.b is there"),
    "inline reopened": ("a = {b = {c = 1}, b.d = 2}", 1, "a.b is there"),
    "inline comma": ("a = {b = 1,}", 1, "a key is missing"), "inline newline": ("a = {b = 1\n}", 1, "not closed by }"),
    "array open": ("a = [1, 2", 1, "not closed by ]"), "array commas": ("a = [1,,2]", 1, "a value is missing"),
    "header open": ("[a\n", 1, "] is missing after [a"), "header empty": ("[]", 1, "a key is missing"),
    "header dots": ("[a..b]", 1, "a key is missing"), "after a header": ("[a] b = 1", 1, "'b' where"),
    "long key": ("\"\"\"a\"\"\" = 1", 1, "a key of several lines"),
    "bracket": ("a = ]", 1, "a value is missing"), "latin": (b"a = '\xe9'", None, "malformed UTF-8 at byte 5"),
}
NOT_READ = {  # TOML, and yet refused
    "array of tables": ("\n[[a]]", 2, "[[...]], an array of tables, is not read"),
    "date": ("a = 1979-05-27", 1, "1979-05-27: dates and times are not read: write it in quotes"),
    "time": ("a = 07:32:00", 1, "dates and times"), "NUL": (r'a = "\u0000"', 1, "a NUL character"),
    "dot in a key": ('"a.b" = 1', 1, "with a dot"), "empty key": ('"" = 1', 1, 'the key "": empty'),
    "bracket in a key": ("'a[0]' = 1", 1, "a bracket"), "huge": ("a = 9223372036854775808", 1, "at most 64 bits"),
    "deep key": (".".join("a" * 17) + " = 1", 1, "keys nested too deep"), "long key": ("a" * 300 + " = 1", 1, "too long"),
    "deep value": ("a = " + "[" * 18 + "]" * 18, 1, "values nested too deep"),
    "many": ("\n".join(f"a{i} = 1" for i in range(4097)), 4097, "more than 4096 values"),
}


@pytest.mark.parametrize("name", [*BAD, *(f"not read: {name}" for name in NOT_READ)])
def test_refuses(lib, tmp_path, name):
    text, line, said = BAD[name] if name in BAD else NOT_READ[name.removeprefix("not read: ")]
    data, path = text if isinstance(text, bytes) else text.encode(), tmp_path / "a.toml"
    path.write_bytes(data)
    nodes, message = read(lib, path)
    assert nodes is None and message.startswith(f"{path}:{line}: " if line else f"{path}: "), message
    assert said in message and "\n" not in message, message
    if name in BAD:
        with pytest.raises((tomllib.TOMLDecodeError, UnicodeDecodeError)):
            tomllib.loads(data.decode())
    elif name not in ("not read: deep value", "not read: huge"):
        tomllib.loads(data.decode())


def test_refuses_files(lib, tmp_path):
    assert "No such file" in read(lib, tmp_path / "missing.toml")[1]
    assert "cannot be read" in read(lib, tmp_path)[1]
    (tmp_path / "zero.toml").write_bytes(b"a = 1\0")
    assert "holds a zero byte" in read(lib, tmp_path / "zero.toml")[1]
    (tmp_path / "long.toml").write_bytes(b"#" * ((16 << 20) + 1))
    assert "is longer than 16777216 bytes" in read(lib, tmp_path / "long.toml")[1]


# ---- files of chance

def random_value(r, depth=0):
    kind = r.randrange(9 if depth < 3 else 7)
    if kind == 0:
        return r.choice(["true", "false"])
    if kind == 1:
        return r.choice(["", "+", "-"]) + str(r.randrange(10**r.randrange(1, 19)))
    if kind == 2:
        return r.choice(["", "+", "-"]) + r.choice([f"{r.random() * 10**r.randrange(9)!r}", "1e5", "inf", "nan", "3.25E-2"])
    text = "".join(r.choice("abc äß你\U0001F600'\"\\#[]{}=,.\t") for _ in range(r.randrange(12)))
    if kind in (3, 4):
        escaped = "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 and r.random() < 0.2 else c if c not in '"\\' else "\\" + c
                          for c in text)
        return f'"{escaped}"' if kind == 3 else '"""' + r.choice(["", "\n"]) + escaped.replace(" ", "\n") + '"""'
    if kind in (5, 6):
        text = text.replace("'", "")
        return f"'{text}'" if kind == 5 else f"'''{text} \n'''"
    items = [random_value(r, depth + 1) for _ in range(r.randrange(4))]
    if kind == 7:
        return "[" + r.choice([",", ", ", " ,\n # x\n "]).join(items) + "]"
    return "{" + ", ".join(f"{random_key(r)} = {v}" for v in items if "\n # x" not in v) + "}"


def random_key(r):
    parts = [r.choice(["a", "b", "c-d", "1", '"e f"', "'g'", "ref_audio"]) for _ in range(r.choice([1, 1, 1, 2, 3]))]
    return r.choice([".", " . "]).join(parts)


def random_toml(r):
    lines = []
    for _ in range(r.randrange(1, 9)):
        if r.random() < 0.3:
            lines.append(f"[{random_key(r)}]")
        else:
            lines.append(f"{random_key(r)} = {random_value(r)}{r.choice(['', ' # comment'])}")
    text = "\n".join(lines)
    if r.random() < 0.3:  # damaged
        at = r.randrange(len(text) + 1)
        text = text[:at] + r.choice(["", '"', "]", "=", "\n", ".", "'", "{", "x"]) + text[at + r.randrange(2):]
    return text


def test_files_of_chance(lib, tmp_path, seed):
    """As tomllib, whether a file is right or wrong; but dates and what toml.h leaves out."""
    r, good, bad = random.Random(seed), 0, 0
    for _ in range(1500):
        text = random_toml(r)
        try:
            tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            (tmp_path / "a.toml").write_text(text, encoding="utf-8")
            nodes, message = read(lib, tmp_path / "a.toml")
            assert nodes is None, text
            bad += 1
            continue
        (tmp_path / "a.toml").write_text(text, encoding="utf-8")
        nodes, message = read(lib, tmp_path / "a.toml")
        if nodes is None:
            assert any(x in message for x in ("dates and times", "with a dot", "at most 64 bits", "an array of tables")), (
                text, message)
            continue
        check(lib, tmp_path / "a.toml", text)
        good += 1
    assert good > 250 and bad > 250, (good, bad)
