"""Sentences and cuts of plain text: tables of right answers, and laws that hold for every text."""
import ctypes
import unicodedata
from pathlib import Path

import cbind

TABLE = Path(__file__).parent / "data" / "sentences.txt"
MAX, WAIT = 2048, 2 * 2048 + 128
size_t, pointer = ctypes.c_size_t, ctypes.c_void_p


class Span(ctypes.Structure):
    _fields_ = [("bytes", size_t), ("next", size_t), ("paragraph", ctypes.c_bool)]


class Given:
    """Bytes in memory of just their size, where a sanitizer sees every read past them."""

    def __init__(self, data):
        self.array = (ctypes.c_char * max(1, len(data))).from_buffer_copy(data or b"\0")
        self.at = ctypes.addressof(self.array)


def sentence_next(data, last):
    """The span, or None: more text is needed."""
    span, given = Span(), Given(data)
    call = cbind.function("sentence_next", ctypes.c_bool, pointer, size_t, ctypes.c_bool, pointer)
    return span if call(given.at, len(data), last, ctypes.addressof(span)) else None


def whole(data):
    """[(start, bytes, next, paragraph)] of a text that is all there."""
    out, at = [], 0
    while at < len(data):
        span = sentence_next(data[at:], True)
        assert span is not None and 0 < span.next <= len(data) - at and span.bytes <= min(span.next, MAX)
        out.append((at, span.bytes, at + span.next, span.paragraph))
        at += span.next
    return out


def pushed(data, ends):
    """The same, of a text that comes up to each of `ends` in turn."""
    out, at = [], 0
    for end in [*ends, len(data)]:
        last = end == len(data)
        while at < end:
            span = sentence_next(data[at:end], last)
            if span is None:
                assert not last and end - at < WAIT
                break
            out.append((at, span.bytes, at + span.next, span.paragraph))
            at += span.next
    return out


def table():
    cases = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if not line or (line.startswith("# ") and "\\n" not in line):
            continue
        line = line.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t")
        cases.append(line.split("|"))
    return cases


def test_sentence_table():
    """Every text of the table ends where the table says."""
    cases, wrong = table(), []
    assert len(cases) >= 200
    for parts in cases:
        text = "".join(parts)
        got = [text.encode()[a:a + n].decode() for a, n, _, _ in whole(text.encode()) if n]
        if got != [p.strip() for p in parts if p.strip()]:
            wrong.append((text, got))
    assert not wrong, "\n".join(map(repr, wrong))


def paragraphs(text):
    data = text.encode()
    return [(data[a:a + n].decode(), p) for a, n, _, p in whole(data)]


def test_paragraphs():
    assert paragraphs("One. Two.\n\nThree.\nFour.") == [("One.", False), ("Two.", True), ("Three.", False), ("Four.", True)]
    assert paragraphs("One\r\nmore\r\n \r\nTwo") == [("One\r\nmore", True), ("Two", True)]
    assert paragraphs("One\u2029Two.\u2028Three.  ") == [("One", True), ("Two.", False), ("Three.", True)]
    assert paragraphs("\n\n One.") == [("", True), ("One.", True)]
    assert paragraphs("你好。\n我好。\n\n再见") == [("你好。", False), ("我好。", True), ("再见", True)]
    span = sentence_next(b"", True)
    assert (span.bytes, span.next) == (0, 0) and sentence_next(b"", False) is None


def random_texts(rng, count):
    """Texts of the table and scraps of all kinds, joined."""
    pieces = ["".join(p) for p in table()]
    scraps = [". ", "! ", "? ", "… ", "...", ".", "\n", "\n\n", "\r\n", " ", "  ", "\u3000", "。", "！", "……", "」", "」と", "”", '"', "'",
              ")", "[1]", "[", "Mr", "U.S", "p.m", "No", "I", "J", "the", "The", "a", "É", "中", "5", "# ", "- ", "1. ", "x" * 40,
              "e\u0301", "👍🏽", "https://a.b/c?", "CHAPTER", "iP", ":", ",", "—", "\0", "\u2029"]
    for i in range(count):
        source = pieces if i % 3 == 0 else scraps if i % 3 == 1 else pieces + scraps
        yield "".join(source[int(k)] + (" " if rng.random() < 0.2 else "")
                      for k in rng.integers(0, len(source), int(rng.integers(1, 12))))


def test_spans_cover_the_text(rng):
    """Every byte between two sentences is white space, none of it at a sentence's ends."""
    for text in random_texts(rng, 600):
        data, at = text.encode(), 0
        for start, n, after, _ in whole(data):
            assert start == at
            sentence, between = data[start:start + n].decode(), data[start + n:after].decode()
            assert between.strip() == "" and sentence == sentence.strip(), (text, sentence)
            at = after
        assert at == len(data)


def test_sentences_do_not_depend_on_pushes(rng):
    """Every split in two, one byte at a time, and random sizes: the same spans."""
    texts = ["".join(p) for p in table()] + list(random_texts(rng, 120))
    for text in texts:
        data = text.encode()
        right = whole(data)
        assert pushed(data, range(1, len(data))) == right, text
        for cut in range(1, len(data)):
            span = sentence_next(data[:cut], False)
            if span is not None:
                assert (0, span.bytes, span.next, span.paragraph) == right[0], (text, cut)
        ends = sorted({int(e) for e in rng.integers(1, len(data) + 1, 4)} - {len(data)})
        assert pushed(data, ends) == right, (text, ends)


def test_answers_come_soon():
    """One letter after the white space is enough, or the next word where the word before needs it."""
    for text, enough in [("Hello. W", True), ("Hello. ", False), ("Hello.", False), ("你好。我", True), ("你好。", False),
                         ("Stop!\n\nN", True), ("\"Stop!\" h", False), ("\"Stop!\" H", True), ("See Mr. S", False),
                         ("At 5 p.m. Th", False), ("At 5 p.m. The ", True), ("Hello. w", False), ("Hello. wh", True)]:
        assert (sentence_next(text.encode(), False) is not None) == enough, text


def test_long_sentences(rng):
    """A sentence over the cap is cut at a clause, at white space, or between characters; always the same, and always
    with an answer in time."""
    for unit, ending in [("word " * 20 + "clause, ", ","), ("word ", "d"), ("很", "很"), ("很长的句子，" * 9 + "我们说", "，"),
                         ("x", "x"), ("e\u0301", "\u0301"), ("!", "!"), (".", "."), ("a.", None), ("\u0301", "\u0301"), ("“", "“")]:
        data = (unit * (9000 // len(unit.encode()))).encode()
        right = whole(data)
        assert all(0 < n <= MAX for _, n, _, _ in right)
        for start, n, _, _ in right[:-1]:
            assert n > MAX // 4 and (ending is None or data[start:start + n].decode().endswith(ending)), unit
        step = int(rng.integers(1, 700))
        assert pushed(data, range(step, len(data), step)) == right
    data = ("Word. " + " " * 5000 + "\n\n" + " " * 5000 + "More").encode()
    right = whole(data)
    assert [data[a:a + n] for a, n, _, _ in right if n] == [b"Word.", b"More"]
    assert pushed(data, range(100, len(data), 100)) == right


def test_malformed_text(rng):
    """Any bytes: it ends, and pushes do not matter."""
    for _ in range(300):
        kinds = [bytes(rng.integers(0, 256, 1).astype("u1")), b". A", b"\xe4\xbd", b"\xff", b" ", b"\xe3\x80\x82", b"\x80"]
        data = b"".join(kinds[int(k)] for k in rng.integers(0, len(kinds), 40))
        assert pushed(data, range(1, len(data))) == whole(data), data


# ---- cuts

def cut(data, most):
    given = Given(data)
    return cbind.function("sentence_cut", size_t, pointer, size_t, size_t)(given.at, len(data), most)


def pieces(text, most):
    data, out = text.encode(), []
    while data:
        n = cut(data, most)
        assert 0 < n <= len(data)
        out.append(data[:n].decode())
        data = data[n:].decode().lstrip().encode()
    return out


def test_cuts():
    assert pieces("short", 10) == ["short"]
    assert pieces("a clause, and another clause", 20) == ["a clause,", "and another clause"]
    assert pieces("one two three four five six", 15) == ["one two three", "four five six"]
    assert pieces("one two three four five six seven", 31) == ["one two three four", "five six seven"]  # no small rest
    assert pieces("我们去公园玩，他们去学校学习", 30) == ["我们去公园玩，", "他们去学校学习"]
    assert pieces("我们去公园玩他们去学校学习", 30) == ["我们去公园玩他", "们去学校学习"]
    assert pieces("价格1,000元和2,000元的东西", 20)[0] == "价格1,000元和"
    assert pieces("看（这里）再看那里吧", 18) == ["看（这里）", "再看那里吧"]
    assert pieces("at 10:30 or 1,000 things", 14) == ["at 10:30 or", "1,000 things"]
    assert pieces("abcdefghij", 4) == ["abcd", "efg", "hij"]
    assert pieces("e\u0301" * 4, 5) == ["e\u0301"] * 4  # a base keeps its mark
    assert pieces("👍🏽👍🏽", 9) == ["👍🏽"] * 2
    assert pieces("很好", 1) == ["很", "好"]  # never nothing
    assert pieces("ab", 0) == ["a", "b"]
    assert pieces("well-known things - a list", 20) == ["well-known things -", "a list"]
    assert pieces("I came—I saw—I won", 16) == ["I came—", "I saw—I won"]


def test_cuts_of_any_text(rng):
    """Pieces fit, lose nothing but white space, and are of similar size."""
    for text in random_texts(rng, 400):
        text = text.strip()
        if not text:
            continue
        for most in (4, 11, 40, 135):
            got = pieces(text, most)
            for piece in got:
                assert len(piece.encode()) <= most or len(piece) == 1, (text, most, piece)
                assert not unicodedata.combining(piece[0]) or most < 8
            assert "".join("".join(got).split()) == "".join(text.split())
    words = [f"w{i}" for i in range(400)]
    for most in (50, 77, 200, 901):
        got = pieces(" ".join(words), most)
        planned = -(-len(" ".join(words)) // (most - most // 16))
        assert len(got) <= planned + 1 and min(map(len, got)) >= 0.6 * max(map(len, got)), (most, [len(g) for g in got])
