#!/usr/bin/env python3
"""texts.py — endless texts as people write them, each word beside what is said for it.

    texts.py SENTENCES [--count 20] [--seed 0]      prints texts: as written, a tab, as said

A text is a list of pieces: a blank-separated word as it is written, and the words that are said for it ("$250", "two
hundred fifty dollars"). A teacher that reads is given what is said, the student what is written, and every sound has its
place in the text. Punctuation stands in both. What sentences.py draws is most of it; beside it numbers, dates, times,
money, ordinals, telephone numbers, abbreviations, acronyms, units and percentages, questions, exclamations, lists,
quotations, capitals, parentheses, several sentences at once, and answers of one word. Printable ASCII.

Nothing that a voice is tested with is ever drawn: no text of tests/voice or weights/voices, nor any RUN words of one in a
row. The same seed draws the same texts.
"""
import argparse
import re
from pathlib import Path

from sentences import Texts

ROOT = Path(__file__).resolve().parents[2]
RUN = 5                # words in a row that no text shares with those of a test
LONGEST = 230          # bytes of a text
ONES = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen").split()
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
IRREGULAR = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
             "twelve": "twelfth"}
MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
NAMES = ("Miller Brown Carter Hughes Novak Lopez Turner Walsh Bennett Chen Fischer Morgan Patel Reyes Sanders Young Baker "
         "Foster Hayes Jensen Keller Murphy Olsen Palmer Quinn Ramsey Stone Tanaka Vaughn Weaver").split()
FIRST = ("Peter Alice Martin Julia Oscar Helen Victor Laura George Nina Samuel Ruth David Clara Thomas Irene Henry Sophie "
         "Walter Emma Robert Judith Andrew Paula").split()
TITLES = (("Dr.", "Doctor"), ("Mr.", "Mister"), ("Mrs.", "Misses"), ("Prof.", "Professor"), ("Capt.", "Captain"),
          ("Gen.", "General"), ("Sgt.", "Sergeant"), ("Rev.", "Reverend"))
ROADS = (("St.", "Street"), ("Ave.", "Avenue"), ("Rd.", "Road"), ("Blvd.", "Boulevard"), ("Ln.", "Lane"))
UNITS = (("km", "kilometers"), ("kg", "kilograms"), ("cm", "centimeters"), ("mm", "millimeters"), ("mph", "miles per hour"),
         ("ml", "milliliters"), ("lbs", "pounds"), ("ft", "feet"), ("hrs", "hours"), ("min", "minutes"), ("GB", "gigabytes"),
         ("MB", "megabytes"), ("mg", "milligrams"), ("oz", "ounces"))
ACRONYMS = ("USA UK EU FBI CIA BBC DVD CD PC TV CEO GPS USB DNA IBM UN ATM VIP PDF URL MRI FAQ SUV UFO CPU NBA NFL BMW HTML "
            "NASA NATO").split()
SHORTENED = (("vs.", "versus"), ("etc.", "et cetera"), ("approx.", "approximately"), ("dept.", "department"),
             ("&", "and"), ("No.", "number"), ("e.g.", "for example"), ("i.e.", "that is"))
LETTERS = {letter: letter for letter in "BCDFGHJKLMNPRSTVWXZ"}
QUESTIONS = ("do you", "did they", "can we", "will she", "why do you", "how can they", "where did he", "when will you",
             "who could", "what would you", "have you ever tried to", "are you going to", "would you like to")
EXCLAIMED = ("what a {a} {n}", "how {a}", "look at the {n}", "do not {v} the {n}", "never {v} again", "that is {a}",
             "bring me the {n}", "watch the {n}", "the {n} is {a}", "wait for the {n}")
SPEECH = ("he said", "she said", "said {first}", "they asked", "{first} answered", "the {n} replied", "she whispered")

# What stands in braces is drawn: see Writer.slot.
NUMBERED = (
    "the {n} was built in {year}", "{name} was born on {date}", "the {n} begins at {time}", "it costs {money}",
    "about {percent} of the {n} is {a}", "we counted {count} of them", "he lives at {house} {first} {road}",
    "call me at {phone}", "she came in {ordinal}", "the {n} weighs {measure}", "it is {measure} to the {n}",
    "the {n} has {count} rooms", "by {year} there were {count} left", "{title} {name} will {v} you at {time}",
    "on {date} the {n} was {a}", "they paid {money} for the {n}", "open it at page {count}", "prices rose by {percent}",
    "the {ordinal} {n} is {a}", "my number is {phone}", "the temperature fell to {small} degrees",
    "{small} of the {count} {n} were {a}", "it took {measure}", "take bus {small} to {house} {first} {road}",
    "in the {decade} it was {a}", "between {range} people came", "only {fraction} of the {n} was left",
    "the score was {small} to {small}", "version {decimal} of the {n} is {a}", "{short} {small} is {a}",
    "{acronym} and {acronym} signed the {n}", "the {acronym} said that the {n} was {a}", "turn on the {acronym}",
    "on {day}, {date}, at {time}", "{title} {name} and {title} {name} met in {year}", "{small} + {small} is {small}",
    "the {n} grew from {percent} to {percent}", "gate {gate} opens at {time}", "flight {acronym} {count} leaves at {time}",
    "they sold {count} {n} for {money}", "a {n}, {short} the {n}", "you owe {name} {money}",
)


class Piece(str):
    """A word as it is written; `said`: the words for it."""

    def __new__(cls, written, said=None):
        piece = super().__new__(cls, written)
        piece.said = written if said is None else said
        return piece


def pieces(text):
    return [Piece(word) for word in text.split()]


def written(text):
    return " ".join(text)


def said(text):
    return " ".join(piece.said for piece in text)


def change(piece, before="", after="", how=str):
    """The piece with marks around it in both forms, written as `how` says."""
    return Piece(before + how(str(piece)) + after, before + piece.said + after)


# ---- numbers as they are said


def cardinal(n):
    """0 to 999,999,999"""
    for size, name in ((1_000_000, "million"), (1000, "thousand"), (100, "hundred")):
        if n >= size:
            rest = n % size
            return f"{cardinal(n // size)} {name}" + (f" {cardinal(rest)}" if rest else "")
    return ONES[n] if n < 20 else TENS[n // 10] + (f" {ONES[n % 10]}" if n % 10 else "")


def ordinal(n):
    head, _, last = cardinal(n).rpartition(" ")
    last = IRREGULAR.get(last, last[:-1] + "ieth" if last.endswith("y") else last + "th")
    return f"{head} {last}".strip()


def suffix(n):
    return "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")


def year(n):
    """1000 to 2099"""
    high, low = divmod(n, 100)
    if high == 20 and low < 10:
        return cardinal(n)
    return f"{cardinal(high)} " + ("hundred" if not low else f"oh {ONES[low]}" if low < 10 else cardinal(low))


def digits(text):
    """Digits one by one; a hyphen is a pause."""
    return " ".join(ONES[int(c)] for c in text if c.isdigit()) if "-" not in text else \
        ", ".join(digits(part) for part in text.split("-"))


# ---- what is never drawn


def words(text):
    return re.findall(r"[a-z0-9']+", text.lower())


def runs(sequence):
    return {tuple(sequence[i:i + RUN]) for i in range(len(sequence) - RUN + 1)}


class HeldOut:
    """The texts that voices are tested with, and what their recordings say, in every column."""

    def __init__(self, root=ROOT):
        paths = [*root.glob("tests/voice/*.t[xs][tv]"), *root.glob("weights/voices/*.txt")]
        lines = [words(column) for path in paths for line in path.read_text().split("\n") for column in line.split("\t")]
        stories = [words(path.read_text()) for path in root.glob("tests/voice/*.txt")]
        self.whole = {tuple(line) for line in lines if line}
        self.runs = set().union(*(runs(line) for line in lines + stories))

    def __contains__(self, text):
        """text: a list of pieces."""
        for form in (words(written(text)), words(said(text))):
            if tuple(form) in self.whole or not self.runs.isdisjoint(runs(form)):
                return True
        return False


# ---- texts


class Writer:
    """Draws texts. sentences: a file that sentences.py wrote."""

    def __init__(self, sentences, seed, held_out=None):
        self.plain = Texts(sentences, seed)
        self.random = self.plain.random
        self.held_out = HeldOut() if held_out is None else held_out

    def one(self, choices):
        return self.random.choice(choices)

    def amount(self):
        return self.random.randint(*self.one(((2, 20), (21, 99), (100, 999), (1000, 9999), (10_000, 999_999))))

    def slot(self, name):
        """The pieces of one slot."""
        r, one = self.random, self.one
        if name in ("n", "v", "a", "d"):
            return [Piece(self.plain.word(dict(n="noun", v="verb", a="adjective", d="adverb")[name]))]
        if name in ("first", "name", "day"):
            return [Piece(one(dict(first=FIRST, name=NAMES, day=DAYS)[name]))]
        if name in ("title", "road", "short"):
            return [Piece(*one(dict(title=TITLES, road=ROADS, short=SHORTENED)[name]))]
        if name == "acronym":
            return [Piece(one(ACRONYMS))]
        if name == "gate":
            letter, n = one(list(LETTERS)), r.randint(2, 40)
            return [Piece(f"{letter}{n}", f"{LETTERS[letter]} {cardinal(n)}")]
        if name in ("year", "decade"):
            n = r.randint(1700, 2049)
            n -= n % 10 if name == "decade" else 0
            if name == "year":
                return [Piece(str(n), year(n))]
            return self.slot("decade") if n % 100 < 20 else [Piece(f"{n}s", re.sub("y$", "ies", year(n)))]
        if name == "house":
            n = r.randint(2, 99)
            return [Piece(str(n), cardinal(n))]
        if name in ("small", "count"):
            n = r.randint(2, 30) if name == "small" else self.amount()
            return [Piece(f"{n:,}" if n > 9999 or n > 999 and r.random() < 0.7 else str(n), cardinal(n))]
        if name == "ordinal":
            n = one((r.randint(1, 31), r.randint(32, 120)))
            return [Piece(f"{n}{suffix(n)}", ordinal(n))]
        if name == "percent":
            n, part = r.randint(2, 99), one(("", "", f".{r.randint(1, 9)}"))
            spoken = cardinal(n) + (f" point {ONES[int(part[1])]}" if part else "")
            return one(([Piece(f"{n}{part}%", f"{spoken} percent")], [Piece(f"{n}{part}", spoken), Piece("percent")]))
        if name == "decimal":
            n, part = r.randint(0, 40), str(r.randint(1, 99)).rstrip("0")
            return [Piece(f"{n}.{part}", f"{cardinal(n)} point {digits(part)}")]
        if name == "fraction":
            return [Piece(*one((("1/2", "one half"), ("1/3", "one third"), ("3/4", "three quarters"), ("2/3", "two thirds"))))]
        if name == "range":
            a = r.randint(2, 60)
            b = a + r.randint(2, 40)
            return one(([Piece(f"{a}-{b}", f"{cardinal(a)} to {cardinal(b)}")],
                        [Piece(str(a), cardinal(a)), Piece("and"), Piece(str(b), cardinal(b))]))
        return getattr(self, "_" + name)()

    def _money(self):
        n, cents = self.amount(), self.random.randint(11, 99)
        kind = self.random.randrange(4)
        if kind == 0:
            return [Piece(f"${n % 90 + 2}.{cents}", f"{cardinal(n % 90 + 2)} dollars and {cardinal(cents)} cents")]
        if kind == 1:
            n = n % 40 + 2
            return [Piece(f"${n}", cardinal(n)), Piece("million", "million dollars")]
        if kind == 2:
            return [Piece(str(cents), cardinal(cents)), Piece("cents")]
        return [Piece(f"${n:,}", f"{cardinal(n)} dollars")]

    def _time(self):
        hour, minute, kind = self.random.randint(1, 12), self.random.randint(0, 59), self.random.randrange(4)
        if kind == 0:
            return [Piece(str(hour), cardinal(hour)), Piece(*self.one((("a.m.",), ("p.m.",), ("am", "a.m."), ("pm", "p.m."))))]
        if minute == 0:
            return [Piece(f"{hour}:00", f"{cardinal(hour)} o'clock")]
        clock = Piece(f"{hour}:{minute:02}", f"{cardinal(hour)} " + (f"oh {ONES[minute]}" if minute < 10 else cardinal(minute)))
        return [clock] if kind < 3 else [clock, Piece(*self.one((("a.m.",), ("p.m.",), ("PM", "p.m."))))]

    def _date(self):
        month, day, n = self.random.randrange(12), self.random.randint(1, 28), self.random.randint(1800, 2040)
        kind = self.random.randrange(4)
        name = Piece(MONTHS[month])
        if kind == 0:
            return [name, Piece(f"{day}{suffix(day)}", ordinal(day))]
        if kind == 1:
            return [name, Piece(str(day), ordinal(day))]
        if kind == 2:
            return [name, Piece(f"{day},", f"{ordinal(day)},"), Piece(str(n), year(n))]
        return [Piece(f"{month + 1}/{day}/{n}", f"{MONTHS[month]} {ordinal(day)}, {year(n)}")]

    def _phone(self):
        number = "-".join("".join(str(self.random.randint(0, 9)) for _ in range(n)) for n in self.one(((3, 4), (3, 3, 4))))
        return [Piece(number, digits(number))]

    def _measure(self):
        n, (unit, spoken) = self.random.randint(2, 400), self.one(UNITS)
        if self.random.random() < 0.3:
            return [Piece(f"{n}{unit}", f"{cardinal(n)} {spoken}")]
        return [Piece(str(n), cardinal(n)), Piece(unit, spoken)]

    def fill(self, template):
        """A template's pieces. Marks that follow a slot at once stay with it."""
        result = []
        for word in template.split():
            slot = re.fullmatch(r"\{(\w+)\}(\W*)", word)
            if slot:
                drawn = self.slot(slot[1])
                result += drawn[:-1] + [change(drawn[-1], after=slot[2])]
            else:
                result.append(Piece(word))
        return result

    def clause(self):
        """Some words without a capital or an end."""
        x = self.random.random()
        if x < 0.45:
            return self.fill(self.one(NUMBERED))
        return pieces(self.plain.clause())

    @staticmethod
    def sentence(text, end="."):
        """A capital at the front, a mark at the end; an abbreviation's full stop is one already."""
        first = change(text[0], how=lambda w: w[0].upper() + w[1:])
        first.said = text[0].said[0].upper() + text[0].said[1:]
        text = [first, *text[1:]]
        if end == "." and text[-1].endswith("."):
            return text[:-1] + [Piece(text[-1], text[-1].said.rstrip(".") + ".")]
        return text[:-1] + [change(text[-1], after=end)]

    # kinds of text

    def usual(self):
        return pieces(self.plain.draw())

    def numbered(self):
        text = self.fill(self.one(NUMBERED))
        if self.random.random() < 0.4:
            text = text[:-1] + [change(text[-1], after=",")] + pieces(self.one(("and", "but", "so", "because"))) + self.clause()
        return self.sentence(text)

    def question(self):
        if self.random.random() < 0.4:
            return self.sentence(self.fill("is " + self.one(("the {n} {a}", "it {time}", "that {money}", "{name} {a}"))), "?")
        return self.sentence(self.fill(self.one(QUESTIONS) + self.one((" {v} the {n}", " {v} a {a} {n}", " {v} it {d}"))), "?")

    def exclamation(self):
        return self.sentence(self.fill(self.one(EXCLAIMED)), "!")

    def listed(self):
        drawn = [self.fill(self.one(("{n}", "a {a} {n}", "{small} {n}", "{d}"))) for _ in range(self.random.randint(3, 5))]
        text = [p for item in drawn[:-1] for p in item[:-1] + [change(item[-1], after=",")]]
        text += pieces(self.one(("and", "or"))) + drawn[-1]
        return self.sentence(pieces(self.one(("we need", "they sell", "bring", "here are:", ""))) + text)

    def quoted(self):
        inner = self.sentence(self.clause(), self.one((",", ",", "!", "?")))
        inner = [change(inner[0], before='"'), *inner[1:]]
        inner = inner[:-1] + [change(inner[-1], after='"')]
        return self.sentence(inner + self.fill(self.one(SPEECH)))

    def aside(self):
        inner = self.clause()[:6]
        inner = [change(inner[0], before="("), *inner[1:]]
        inner = inner[:-1] + [change(inner[-1], after=")")]
        return self.sentence(self.clause() + inner + self.one(([], self.clause())))

    def capitals(self):
        """All in capitals, or a word of it; said as ever."""
        text = self.sentence(pieces(self.plain.clause()), self.one(".!"))
        if self.random.random() < 0.5:
            return [Piece(p.upper(), p.said) for p in text]
        which = self.random.randrange(len(text))
        return [Piece(p.upper(), p.said) if i == which else p for i, p in enumerate(text)]

    def marked(self):
        """Two clauses with a mark between them."""
        first, mark = self.clause(), self.one((";", ":", ",", " -", "..."))
        return self.sentence(first[:-1] + [change(first[-1], after=mark if mark != " -" else ",")] + self.clause())

    def several(self):
        text = []
        for _ in range(self.random.randint(2, 3)):
            text += self.one((self.usual, self.numbered, self.question, self.exclamation, self.short))()
        return text

    def short(self):
        """An answer of one to three words."""
        form = self.one(("{n}", "{a}", "{d}", "{v} it", "{small}", "{day}", "{a} {n}", "not {a}", "{time}", "{year}", "{name}",
                         "the {n}", "at {time}", "very {a}", "no {n}", "{money}"))
        return self.sentence(self.fill(form), self.one("...!?"))

    KINDS = ((usual, 36), (numbered, 20), (question, 7), (exclamation, 4), (listed, 5), (quoted, 6), (aside, 3), (capitals, 5),
             (marked, 4), (several, 9), (short, 7))

    def draw(self):
        """A list of pieces: 1 to some 30 words, at most LONGEST bytes."""
        kinds, weights = zip(*self.KINDS)
        while True:
            text = self.random.choices(kinds, weights)[0](self)
            if self.random.random() < 0.04:  # people forget the full stop
                text = text[:-1] + [Piece(text[-1].rstrip("."), text[-1].said.rstrip("."))]
            if text[-1] and len(written(text)) <= LONGEST and text not in self.held_out:
                return text


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("sentences")
    p.add_argument("--count", type=int, default=20)
    p.add_argument("--seed", type=int, default=0)
    options = p.parse_args()
    writer = Writer(options.sentences, options.seed)
    for _ in range(options.count):
        text = writer.draw()
        print(f"{written(text)}\t{said(text)}")


if __name__ == "__main__":
    main()
