"""test_normalize_lists.py — lists that normalisation searches by halves are sorted: an entry out of order is never found."""
import re
from pathlib import Path

TEXT = Path(__file__).resolve().parent.parent / "host" / "text"


def searched_lists():
    for path in sorted(TEXT.glob("*.c")):
        source = path.read_text(encoding="utf-8")
        for match in re.finditer(r"static const char \*const (\w+)\[\] = \{(.*?)\};", source, re.S):
            if re.search(rf"IN_(LIST|SMALL)\({match[1]}\b", source):
                yield path.name, match[1], re.findall(r'"([^"]*)"', match[2])


def test_sorted():
    lists = list(searched_lists())
    assert len(lists) >= 15
    for name, what, words in lists:
        assert words == sorted(set(words)), f"{name}: {what} is out of order"
