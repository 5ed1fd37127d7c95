"""Texts as they are written, and what is said for them: numbers are read right, nothing of a test is drawn."""
import re

import pytest

import any_text
import data
import texts
from texts import Piece, Writer, said, written

EXAMPLES = ["she gave a quick answer", "the weather changed on the way home", "a glass of milk", "a plan for peace",
            "please do not open the door to him", "the children are playing in the garden"]
WORDS = "\n\n" + "".join(f"{kind}\t{word}\t9\n" for kind, word in (
    ("noun", "river"), ("noun", "teacher"), ("verb", "open"), ("verb", "carry"), ("adjective", "simple"),
    ("adjective", "warm"), ("adverb", "slowly")))


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "sentences.txt"
    path.write_text("\n".join(EXAMPLES) + WORDS)
    return path


@pytest.fixture(scope="module")
def drawn(sentences, seed):
    writer = Writer(sentences, seed)
    return [writer.draw() for _ in range(1500)]


@pytest.mark.parametrize("n,cardinal,ordinal", [
    (0, "zero", "zeroth"), (5, "five", "fifth"), (12, "twelve", "twelfth"), (20, "twenty", "twentieth"),
    (21, "twenty one", "twenty first"), (100, "one hundred", "one hundredth"),
    (342, "three hundred forty two", "three hundred forty second"),
    (10_008, "ten thousand eight", "ten thousand eighth"), (2_000_019, "two million nineteen", "two million nineteenth")])
def test_numbers(n, cardinal, ordinal):
    assert texts.cardinal(n) == cardinal and texts.ordinal(n) == ordinal


@pytest.mark.parametrize("n,words", [(1984, "nineteen eighty four"), (1905, "nineteen oh five"), (1800, "eighteen hundred"),
                                     (2000, "two thousand"), (2007, "two thousand seven"), (2024, "twenty twenty four")])
def test_years(n, words):
    assert texts.year(n) == words


def test_suffixes():
    assert [texts.suffix(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111, 112)] == \
        "st nd rd th th th th st nd th th".split()


def test_texts_are_ascii_and_what_is_said_has_no_digits(drawn):
    for text in drawn:
        assert all(isinstance(piece, Piece) for piece in text)
        assert re.fullmatch(r"[!-~]+( [!-~]+)*", written(text)), written(text)
        assert len(written(text)) <= texts.LONGEST
        assert not re.search(r"[0-9$%&]", said(text)), said(text)
        for piece in text:  # the marks of what is written are in what is said
            assert re.sub(r"[^?!;()\"]", "", piece) == re.sub(r"[^?!;()\"]", "", piece.said), (piece, piece.said)


def test_every_kind_is_drawn(drawn):
    lines = [written(text) for text in drawn]
    for form in (r"\d", r"\?$", r"!", r'"', r"\(", r"\$\d", r"\d%", r"\d:\d\d", r"\d(st|nd|rd|th)\b", r"\d-\d{4}", r"^[A-Z ]{8,}",
                 r"^\S+$", r", (and|or) ", r"[.?!] [A-Z].*[.?!] [A-Z]", r"\b(Dr|Mr|Mrs|Prof)\. [A-Z]", r"\b[A-Z]{3}\b", r"[^.]$"):
        assert any(re.search(form, line) for line in lines), form
    assert len(set(lines)) > 900


def test_the_same_seed_draws_the_same(sentences, drawn, seed):
    again = Writer(sentences, seed)
    for text in drawn[:100]:
        other = again.draw()
        assert written(other) == written(text) and said(other) == said(text)


def test_nothing_of_a_test_is_drawn(drawn):
    """Two of the examples are such texts, or have five words of one in a row."""
    tested = [line for line in data.held_out_sentences()] + [t for part in ("short", "numbers", "capitals") for t, _ in any_text.pairs(part)]
    whole = {tuple(texts.words(line)) for line in tested}
    runs = set().union(*(texts.runs(texts.words(line)) for line in tested))
    assert len(whole) > 150 and len(runs) > 700
    for text in drawn:
        for form in (texts.words(written(text)), texts.words(said(text))):
            assert tuple(form) not in whole and runs.isdisjoint(texts.runs(form)), written(text)


@pytest.mark.parametrize("text,held_out", [
    ("Yes.", True), ("Why not?", True), ("Saturday.", False), ("We had dinner on the train.", True),
    ("He said that we had dinner on the bus.", True), ("We had lunch on the train.", False), ("please DO not open the", True)])
def test_what_is_held_out(text, held_out):
    assert (texts.pieces(text) in texts.HeldOut()) == held_out
