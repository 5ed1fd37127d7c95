"""Lists of lines: host/files/list_file.h, tab-separated and JSON, right and hostile."""
import ctypes
import json
import os
import resource
from pathlib import Path

import pytest

import convert_lib

MEMORY_GROWTH = 8 << 20  # bytes: a list's buffers are 1 MiB, the rest is the allocator's
NAMES = {"text", "voice", "output", "speed", "seed", "nfe_step", "save_mel"}
IS_NAME = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_char_p)


class F5Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 512)]


class Value(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_char_p)]


class Line(ctypes.Structure):
    _fields_ = [("number", ctypes.c_int32), ("value", Value * 64), ("count", ctypes.c_int32)]


@pytest.fixture(scope="module")
def lib():
    path = Path(os.environ.get("F5_BUILD", convert_lib.ROOT / "build")) / "lib" / "libf5tts_test.so"
    assert path.exists(), f"{path} is missing: build first"
    lib = ctypes.CDLL(str(path))
    pointer = ctypes.c_void_p
    lib.list_open.argtypes = [pointer, ctypes.c_char_p, IS_NAME, pointer, pointer]
    lib.list_next.argtypes = [pointer, pointer, pointer]
    lib.list_rewind.argtypes = [pointer, pointer]
    lib.list_close.argtypes, lib.list_close.restype = [pointer], None
    return lib


class List:
    def __init__(self, lib, path):
        self.lib, self.error, self.handle, self.path = lib, F5Error(), ctypes.c_void_p(), os.fsencode(path)
        self.is_name = IS_NAME(lambda _, name: name.decode() in NAMES)
        self.status = lib.list_open(ctypes.byref(self.handle), self.path, self.is_name, None, ctypes.byref(self.error))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lib.list_close(self.handle)

    def lines(self):
        """(number, {name: value}) of each line, (number, message) of a bad one."""
        line, out = Line(), []
        while True:
            failed = self.lib.list_next(self.handle, ctypes.byref(line), ctypes.byref(self.error))
            if failed:
                out.append((line.number, self.error.message.decode()))
            elif line.number == 0:
                return out
            else:
                values = [(v.name.decode(), v.value.decode()) for v in line.value[:line.count]]
                assert len(dict(values)) == len(values)
                out.append((line.number, dict(values)))

    def rewind(self):
        assert self.lib.list_rewind(self.handle, ctypes.byref(self.error)) == 0


def read(lib, path):
    with List(lib, path) as opened:
        if opened.status:
            assert not opened.handle
            return opened.error.message.decode()
        first = opened.lines()
        opened.rewind()
        assert opened.lines() == first, "read twice, the same"
        return first


def test_tab_separated(lib, tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes("One.\tslt\ta.wav\r\n\nTwo, \"quoted\" \\t é.\t\tb.wav\n  \t \nThree.\n{\t}\n\tslt\n".encode())
    assert read(lib, path) == [
        (1, dict(text="One.", voice="slt", output="a.wav")), (3, dict(text='Two, "quoted" \\t é.', output="b.wav")),
        (5, dict(text="Three.")), (6, dict(text="{", voice="}")), (7, dict(voice="slt"))]


def test_header(lib, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"\xef\xbb\xbf\noutput\tspeed\ttext\na.wav\t0.8\tOne.\n\t\tTwo.\ntext\tvoice\toutput\n")
    assert read(lib, path) == [(3, dict(output="a.wav", speed="0.8", text="One.")), (4, dict(text="Two.")),
                               (5, dict(output="text", speed="voice", text="output"))]
    path.write_bytes(b"text\tvoices\n")  # one name is not known: an ordinary line
    assert read(lib, path) == [(1, dict(text="text", voice="voices"))]
    path.write_bytes(b"text\n")
    assert read(lib, path) == []
    path.write_bytes(b"text\tspeed\ttext\nx\n")
    assert read(lib, path) == [(1, f"{path}:1: two columns are called text"), (2, dict(text="x"))]


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a", "a.list"])
def test_json_lines(lib, tmp_path, name):
    path, rows = tmp_path / name, [
        {"text": "One\ttwo\n\"three\" \U0001F600 你", "voice": "slt", "output": "a.wav"},
        {"speed": 0.1, "seed": 18446744073709551, "quiet": True, "x": False, "none": None, "nfe_step": -3}, {}]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=i == 0) for i, row in enumerate(rows)) + "\n\n", encoding="utf-8")
    assert read(lib, path) == [(1, rows[0]), (2, dict(speed="0.10000000000000001", seed="18446744073709551", quiet="true",
                                                       x="false", nfe_step="-3")), (3, {})]


BAD_LINES = {
    "no JSON": (b'{"text": ', "no JSON object: "), "a list": (b"[1]", "begin the line with {"), "a number": (b"1", "no JSON"),
    "a list inside": (b'{"text": ["a"]}', "text is a list or an object: a text, a number, true or false is wanted"),
    "twice": (b'{"text": "a", "text": "b"}', "duplicate"), "two objects": (b'{"text": "a"} {"text": "b"}', "no JSON object"),
    "NUL": (b'{"text": "a\\u0000"}', "no JSON object"), "zero byte": (b'{"text": "\0"}', "holds a zero byte"),
    "latin": (b'{"text": "\xe9"}', "malformed UTF-8 at byte 10"), "surrogate": (b'{"text": "\\ud800"}', "no JSON object"),
    "many": (json.dumps({f"a{i}": i for i in range(65)}).encode(), "has more values than there are options"),
    "deep": (b"[" * 100000, "no JSON object"), "newline in a name": (b'{"a\\nb": []}', "is a list"),
    "newline shown": (b'{"a": x\\n}', "no JSON object"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_bad_json_lines(lib, tmp_path, name):
    """A bad line is told and the next one is read."""
    text, said = BAD_LINES[name]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "good"}\n' + text + b'\n{"text": "good too"}')
    first, bad, last = read(lib, path)
    assert first == (1, dict(text="good")) and last == (3, dict(text="good too"))
    assert bad[0] == 2 and bad[1].startswith(f"{path}:2: ") and said in bad[1] and "\n" not in bad[1], bad


def test_bad_tab_separated(lib, tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes(b"a\tb\tc\td\n\xff\n\0\nx\ty\tz\n" + b"\t" * 5000)
    assert read(lib, path) == [
        (1, f"{path}:1: has more than 3 cells, which are separated by tabs"),
        (2, f"{path}:2: malformed UTF-8 at byte 0 of the line: save it as UTF-8"),
        (3, f"{path}:3: holds a zero byte; a text file is needed"), (4, dict(text="x", voice="y", output="z"))]


def test_limits(lib, tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes(b"x" * (1 << 20) + b"\nx\n")
    assert [len(v["text"]) for _, v in read(lib, path)] == [1 << 20, 1]
    path.write_bytes(b"x\n" + b"x" * ((1 << 20) + 1) + b"\nx\n")
    assert read(lib, path) == [(1, dict(text="x")), (2, f"{path}:2: a line of more than 1 MiB")]
    path.write_bytes(b"\n" * 999999 + b"x\nx")
    assert read(lib, path) == [(1000000, dict(text="x")), (1000001, f"{path}:1000001: more than a million lines: split the list")]


def test_files_that_cannot_be_read(lib, tmp_path):
    assert read(lib, tmp_path / "missing") == f"{tmp_path}/missing: cannot be opened: No such file or directory"
    with List(lib, tmp_path) as opened:
        assert [number for number, _ in opened.lines()] == [0] and "Is a directory" in opened.error.message.decode()


def test_memory_does_not_grow(lib, tmp_path):
    path = tmp_path / "a.jsonl"
    with open(path, "w", encoding="utf-8") as f:
        f.writelines('{"text": "A sentence of some words, number %d.", "speed": 0.5}\n' % i for i in range(100000))
    with List(lib, path) as opened:
        line, before, n = Line(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0
        while lib.list_next(opened.handle, ctypes.byref(line), None) == 0 and line.number:
            n += 1
        assert n == 100000
        assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MEMORY_GROWTH
