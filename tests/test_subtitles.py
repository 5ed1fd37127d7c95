"""Subtitles: host/files/subtitles.h, its three formats read back."""
import ctypes
import html
import json
import os
import random
import re
from pathlib import Path

import pytest

import convert_lib

CHUNK, SENTENCE, WORD = range(3)
COLUMNS = 42


class F5Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 512)]


class Entry(ctypes.Structure):
    _fields_ = [("start", ctypes.c_double), ("end", ctypes.c_double), ("text", ctypes.c_char_p),
                ("bytes", ctypes.c_size_t), ("kind", ctypes.c_int)]


@pytest.fixture(scope="module")
def write():
    path = Path(os.environ.get("F5_BUILD", convert_lib.ROOT / "build")) / "lib" / "libf5tts_test.so"
    assert path.exists(), f"{path} is missing: build first"
    function = ctypes.CDLL(str(path)).subtitles_write
    function.argtypes = [ctypes.c_char_p, ctypes.POINTER(Entry), ctypes.c_size_t, ctypes.POINTER(F5Error)]

    def run(path, entries):
        """The file's bytes, or the message. entries: (start, end, text, kind)"""
        texts = [t if isinstance(t, bytes) else t.encode() for _, _, t, _ in entries]
        array = (Entry * max(1, len(entries)))(*(Entry(s, e, t, len(t), k) for (s, e, _, k), t in zip(entries, texts)))
        error = F5Error()
        if function(os.fsencode(path), array, len(entries), ctypes.byref(error)):
            return error.message.decode()
        return path.read_bytes()

    return run


def width(text):
    """Columns of a line; the alphabets of these tests are one or two wide."""
    return sum(2 if "\u1100" <= c else 1 for c in text)


def seconds(stamp):
    hours, minutes, rest = stamp.replace(",", ".").split(":")
    assert len(hours) >= 2 and len(minutes) == 2 and re.fullmatch(r"[0-5]\d\.\d{3}", rest) and minutes < "60", stamp
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def read_srt(data):
    """[(start, end, [lines])], as strict as a player may be."""
    out = []
    for i, block in enumerate(data.decode().split("\n\n")):
        number, times, *lines = block.removesuffix("\n").split("\n")
        assert number == str(i + 1) and lines, block
        start, end = re.fullmatch(r"(\d+:\d\d:\d\d,\d{3}) --> (\d+:\d\d:\d\d,\d{3})", times).groups()
        out.append((seconds(start), seconds(end), lines))
    return out


def read_vtt(data):
    head, *blocks = data.decode().removesuffix("\n").split("\n\n")
    assert head == "WEBVTT"
    out = []
    for block in blocks:
        times, *lines = block.split("\n")
        start, end = re.fullmatch(r"(\d+:\d\d:\d\d\.\d{3}) --> (\d+:\d\d:\d\d\.\d{3})", times).groups()
        assert lines and not any("-->" in x or "<" in x or ">" in x or re.search("&(?!amp;|lt;|gt;)", x) for x in lines)
        out.append((seconds(start), seconds(end), [html.unescape(x) for x in lines]))
    return out


def test_srt_whole(write, tmp_path):
    entries = [(0, 1.2346, "One.", SENTENCE), (0, 3, "One. Two, three.", CHUNK), (1.2346, 3.0, "Two,\n\nthree.", SENTENCE),
               (0, 1, "One.", WORD)]
    assert write(tmp_path / "a.srt", entries) == (b"1\n00:00:00,000 --> 00:00:01,235\nOne.\n\n"
                                                  b"2\n00:00:01,235 --> 00:00:03,000\nTwo, three.\n")
    assert write(tmp_path / "b.srt", entries[1:2]) == b"1\n00:00:00,000 --> 00:00:03,000\nOne. Two, three.\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.srt", "b.srt"]


def test_vtt_whole(write, tmp_path):
    entries = [(3599.9996, 99 * 3600 + 59 * 60 + 59.999, "a --> b & <c>", SENTENCE),
               (400000.5, 400001, "xy\x07 \u2028\r\n z\xa0w", SENTENCE)]
    assert write(tmp_path / "a.VTT", entries) == (
        "WEBVTT\n\n01:00:00.000 --> 99:59:59.999\na --&gt; b &amp; &lt;c&gt;\n\n"
        "111:06:40.500 --> 111:06:41.000\nxy z\xa0w\n").encode()
    assert write(tmp_path / "b.vtt", []) == b"WEBVTT\n" and write(tmp_path / "c.srt", []) == b""


def test_json_whole(write, tmp_path):
    text = 'a "quoted"\\\n\ttab \x7f\x9f é 你 \U0001F600'
    entries = [(0.5, 2, text, CHUNK), (0.5, 1, "S <&>", SENTENCE), (1, 2, b"bad \xff\xc3(", SENTENCE), (0.5, 0.75, "a", WORD)]
    data = write(tmp_path / "a.json", entries)
    assert all(c == 10 or c >= 32 for c in data)
    assert json.loads(data) == {
        "chunks": [{"start": 0.5, "end": 2.0, "text": text}],
        "sentences": [{"start": 0.5, "end": 1.0, "text": "S <&>"}, {"start": 1.0, "end": 2.0, "text": "bad \ufffd\ufffd("}],
        "words": [{"start": 0.5, "end": 0.75, "text": "a", "estimated": True}]}
    assert json.loads(write(tmp_path / "b.json", [])) == {"chunks": [], "sentences": [], "words": []}


def test_long_sentences_are_split_by_time(write, tmp_path):
    """Ten words of nine letters and a space: four fit a line, eight a part; the rest takes its share of the time."""
    (first, second) = read_srt(write(tmp_path / "a.srt", [(10, 20, " ".join(["abcdefghi"] * 10), SENTENCE)]))
    assert first[2] == [" ".join(["abcdefghi"] * 4)] * 2 and second[2] == [" ".join(["abcdefghi"] * 2)]
    assert (first[0], second[1]) == (10, 20) and first[1] == second[0]
    assert abs(first[1] - (10 + 10 * 78 / 97)) < 0.001  # columns of the lines


def test_lines_of_chance(write, tmp_path, seed):
    """Nothing is lost, no line is too long, no part has three lines, times follow each other."""
    r = random.Random(seed)
    for i in range(60):
        letters = r.choice(["abcdef,.", "你好世界。，", "aé你。 "])
        sentences, at, entries = [], 0.0, []
        for _ in range(r.randrange(1, 5)):
            words = ["".join(r.choice(letters) for _ in range(r.choice([1, 3, 8, 60]))) for _ in range(r.randrange(1, 30))]
            sentences.append(r.choice([" ", "\n", "  "]).join(words).strip() or "x")
            entries.append((at, at + r.random() * 20, sentences[-1], SENTENCE))
            at = entries[-1][1]
        for name, read in (("a.srt", read_srt), ("a.vtt", read_vtt)):
            parts = read(write(tmp_path / name, entries))
            shown = "".join("".join(lines) for _, _, lines in parts)
            assert shown.replace(" ", "") == re.sub(r"\s", "", "".join(sentences))
            assert all(len(lines) <= 2 and all(0 < width(x) <= COLUMNS and x == x.strip() for x in lines)
                       for _, _, lines in parts), parts
            ends = [0.0] + [end for _, end, _ in parts]
            assert all(start <= end for start, end, _ in parts)
            assert all(abs(start - before) < 0.0021 for before, (start, _, _) in zip(ends, parts))
            assert abs(ends[-1] - at) < 0.0021


def test_words_stay_whole_where_they_fit(write, tmp_path, seed):
    r = random.Random(seed)
    words = ["w" * r.randrange(1, 40) for _ in range(200)]
    parts = read_srt(write(tmp_path / "a.srt", [(0, 9, " ".join(words), SENTENCE)]))
    assert " ".join(x for _, _, lines in parts for x in lines).split() == words


def test_no_line_begins_with_closing_punctuation(write, tmp_path):
    text = "一二三四五六七八九十" * 2 + "一。" + "二" * 30 + "，三"
    parts = read_srt(write(tmp_path / "a.srt", [(0, 9, text, SENTENCE)]))
    lines = [x for _, _, lines in parts for x in lines]
    assert len(lines) >= 3 and not any(x[0] in "。，" for x in lines), lines


@pytest.mark.parametrize("entry", [(2, 1), (-1, 1), (0, float("inf")), (float("nan"), 1), (0, float("nan"))])
def test_times_that_are_none(write, tmp_path, entry):
    message = write(tmp_path / "a.srt", [(0, 1, "x", SENTENCE), (*entry, "y", SENTENCE)])
    assert isinstance(message, str) and message.startswith(f"{tmp_path}/a.srt: entry 1 begins at "), message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a", "a.txt", "a.srt.gz", ".srt/a", "a.srtx"])
def test_endings(write, tmp_path, name):
    (tmp_path / ".srt").mkdir()
    message = write(tmp_path / name, [])
    assert message == f"{tmp_path / name}: subtitles are written as .srt, .vtt or .json: give one of these endings"


def test_what_is_there_is_replaced_whole(write, tmp_path):
    (tmp_path / "a.srt").write_bytes(b"old" * 1000)
    assert write(tmp_path / "a.srt", [(0, 1, "x", SENTENCE)]).startswith(b"1\n")
    assert "cannot be written" in write(tmp_path / "missing" / "a.srt", [])
