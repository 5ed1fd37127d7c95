"""Tags in plain text against upstream's rule, pauses, and the classes of characters against Python's."""
import ctypes
import re
import unicodedata

import cbind
from test_sentences import Given

size_t, pointer = ctypes.c_size_t, ctypes.c_void_p
TEXT_ONLY, PENDING, TAG, PAUSE, BAD_PAUSE = range(5)


class Tag(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int), ("bytes", size_t), ("name", pointer), ("name_bytes", size_t),
                ("seconds", ctypes.c_double)]


def find(data, last):
    """(bytes before, kind, bytes of the tag, name or seconds)"""
    tag, given = Tag(), Given(data)
    call = cbind.function("script_find", size_t, pointer, size_t, ctypes.c_bool, pointer)
    before = call(given.at, len(data), last, ctypes.addressof(tag))
    value = ctypes.string_at(tag.name, tag.name_bytes) if tag.kind == TAG else tag.seconds if tag.kind == PAUSE else None
    return before, tag.kind, tag.bytes, value


def events(data, ends=()):
    """[(kind, text or value)], the text between tags joined, of a text that comes up to each of `ends` in turn."""
    out, at, text = [], 0, b""
    for end in [*ends, len(data)]:
        while at < end:
            before, kind, bytes_, value = find(data[at:end], end == len(data))
            text += data[at:at + before]
            at += before
            if kind == TEXT_ONLY:
                assert at == end
            elif kind == PENDING:
                assert end < len(data) and data[at:at + 1] == b"[" and end - at <= 132
                break
            else:
                out += [(TEXT_ONLY, text), (kind, data[at:at + bytes_] if kind == BAD_PAUSE else value)]
                at, text = at + bytes_, b""
    return [e for e in [*out, (TEXT_ONLY, text)] if e != (TEXT_ONLY, b"")]


def upstream(text):
    """[(voice, text)] as f5_tts/infer/infer_cli.py has it (1.1.22)."""
    out = []
    for piece in re.split(r"(?=\[\w+\])", text):
        if not piece.strip():
            continue
        match = re.match(r"\[(\w+)\]", piece)
        out.append((match[1] if match else "main", re.sub(r"\[(\w+)\]", "", piece).strip()))
    return out


def ours(text):
    """The same through script_find, which knows no voices."""
    out, voice, piece = [], None, ""
    for kind, value in [*events(text.encode()), (TAG, None)]:
        if kind == TEXT_ONLY:
            piece = value.decode()
            continue
        if voice is not None or piece.strip():
            out.append(("main" if voice is None else voice, piece.strip()))
        voice, piece = value.decode() if value else None, ""
    return out


SCRAPS = ["[main]", "[town]", " Hello. ", "[", "]", "[]", "[a b]", "[sic]", "[1]", "[名前]", "[é_1]", "[[x]]", "[a[b]]", "\n", "[-]", "[x",
          "你好", "[½]", "[e\u0301]", "[\u0660]", "x]", "[pausen]", "[pause]", "😀", "[😀]"]


def test_tags_are_upstream_s(rng):
    for _ in range(2000):
        text = "".join(SCRAPS[int(k)] for k in rng.integers(0, len(SCRAPS), int(rng.integers(1, 9))))
        assert ours(text) == upstream(text), text


def test_tags():
    assert events(b"Hello. [town] Hi. [main]Bye.") == [(TEXT_ONLY, b"Hello. "), (TAG, b"town"), (TEXT_ONLY, b" Hi. "),
                                                       (TAG, b"main"), (TEXT_ONLY, b"Bye.")]
    assert events(b"no [tag here] at [all") == [(TEXT_ONLY, b"no [tag here] at [all")]
    assert events(b"[" + b"n" * 128 + b"]") == [(TAG, b"n" * 128)]
    assert events(b"[" + b"n" * 129 + b"]") == [(TEXT_ONLY, b"[" + b"n" * 129 + b"]")]
    assert events(b"") == []


def test_pauses():
    for text, seconds in [("0.5s", 0.5), ("500ms", 0.5), ("1", 1), ("60", 60), ("60000 ms", 60), (".25", 0.25), ("2.s", 2), ("0", 0),
                          ("0.55s", 0.55), (" 1  s ", 1), ("0001.10", 1.1), ("59.999s", 59.999), ("0.1", 0.1)]:
        assert events(f"[pause {text}]".encode()) == [(PAUSE, seconds)], text
    for text in ("x", "-1", "60.001", "1e3", "s", "", ".", "1,5s", "1 2", "1sec", "61s", "inf", "nan", "1ss", "0x1", "1m s", "9" * 100,
                 "\u0661", "half a second"):
        assert events(f"a[pause {text}]b".encode()) == [(TEXT_ONLY, b"a"), (BAD_PAUSE, f"[pause {text}]".encode()),
                                                        (TEXT_ONLY, b"b")], text
    assert events(b"[pause 1") == [(BAD_PAUSE, b"[pause "), (TEXT_ONLY, b"1")]
    assert events(b"[pause [a]") == [(BAD_PAUSE, b"[pause "), (TAG, b"a")]
    assert events(b"[pause " + b"1" * 200) == [(BAD_PAUSE, b"[pause "), (TEXT_ONLY, b"1" * 200)]
    assert events(b"[pause]") == [(TAG, b"pause")]


def test_tags_do_not_depend_on_pushes(rng):
    pieces = SCRAPS + ["[pause 1]", "[pause x]", "[pause ", "[pau", "[" + "n" * 127, "é"]
    for _ in range(200):
        data = "".join(pieces[int(k)] for k in rng.integers(0, len(pieces), int(rng.integers(1, 9)))).encode()
        right = events(data)
        assert events(data, range(1, len(data))) == right, data
        for cut in range(1, len(data)):
            assert events(data, [cut]) == right, (data, cut)
    for _ in range(200):
        data = bytes(rng.choice([91, 93, 0xC3, 0xA9, 0x61, 0x80, 0x20, 0xFF], 30).astype("u1"))
        assert events(data, range(1, len(data))) == events(data)


def test_character_classes():
    """Word characters and white space are Python's for every character that Unicode 14 assigns, and capitals are in the
    scripts of the header."""
    is_ = {name: cbind.function(f"char_is_{name}", ctypes.c_bool, ctypes.c_uint32)
           for name in ("word", "space", "mark", "upper", "lower", "unspaced")}
    old, wrong = unicodedata.unidata_version == "14.0.0", []
    for code in range(0x110000):
        c = chr(code)
        category = unicodedata.category(c)
        if category in ("Cn", "Cs", "Co"):
            continue
        word, space = c.isalnum() or c == "_", c.isspace()
        wrong += [c] * ((is_["word"](code), is_["space"](code)) != (word, space))
        mark = category[0] == "M" or code in (0x200C, 0x200D) or 0x1F3FB <= code <= 0x1F3FF or 0xE0020 <= code <= 0xE007F
        wrong += [c] * (is_["mark"](code) != mark)
    assert len(wrong) <= (0 if old else 20000), wrong[:20]
    letters = [*range(0x20, 0x180), 0x1A0, 0x1A1, 0x1AF, 0x1B0, *range(0x391, 0x3CF), *range(0x400, 0x530), *range(0x1E00, 0x1F00)]
    for code in letters:
        c = chr(code)
        if unicodedata.category(c) in ("Lu", "Ll") and code != 0xB5:
            assert (is_["upper"](code), is_["lower"](code)) == (c.isupper(), c.islower()), hex(code)
    assert all(is_["unspaced"](ord(c)) for c in "你あアㄅ々〇龥ｱ𠀀") and not any(is_["unspaced"](ord(c)) for c in "aé한。，١")
