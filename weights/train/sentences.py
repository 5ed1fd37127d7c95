#!/usr/bin/env python3
"""sentences.py — plain English to train on, from Debian's wordnet-base: its 45,000 examples of use, and common words.

    sentences.py FILE [--wordnet /usr/share/wordnet]        writes FILE: examples, a blank line, "class<tab>word" lines

`Texts` then draws endless texts of 2 to 25 words: examples alone and joined, a template grammar, words in no order at
all (so that no word can be guessed from its neighbours). Letters, commas, apostrophes and full stops only: what flite
reads as written. Words follow their frequency in WordNet's tagged corpus, flattened.
"""
import argparse
import random
import re
from pathlib import Path

CLASSES = {"1": "noun", "2": "verb", "3": "adjective", "4": "adverb", "5": "adjective"}
FUNCTION = ("the a an this that these those my your his her its our their some any no every each and or but so if when "
            "while because than as of in on at by for with from to into over under about after before between through "
            "I you he she it we they me him us them who what which where why how there here is are was were be been "
            "am has have had do does did will would can could should may might must not very too also only just now "
            "then again never always soon one two three four five six seven eight nine ten").split()
TEMPLATES = (
    "the {a} {n} and the {n} are in the {n}", "{p} will {v} the {a} {n} again", "{p} said that the {n} was {d} {a}",
    "there is a {a} {n} near the {n}", "do you {v} the {n} or the {n}", "{p} can not {v} without a {n}",
    "my {n} is {a}, but your {n} is {a}", "when did {p} {v} the {n}", "the {n} of the {n} was {a}",
    "{p} would {v} if the {n} were {a}", "{d}, the {a} {n} began to {v}", "a {n} should never {v} the {a} {n}",
    "the {n} has {f} {a} {n}", "what is the {a} {n} on this {n}", "{p} must {v} {f} the {n} comes",
)
PRONOUNS = "I you he she we they nobody everybody".split()


def plain(text):
    """The text if it is letters, apostrophes, commas and blanks (hyphens become blanks), else None."""
    text = re.sub(r"\s+", " ", text.replace("-", " ").replace(";", ",")).strip(" .?!,'")
    return text if re.fullmatch(r"[A-Za-z][A-Za-z']*(,? [A-Za-z][A-Za-z']*)*", text) else None


def examples(wordnet):
    for name in ("adj", "adv", "noun", "verb"):
        for line in open(f"{wordnet}/data.{name}", encoding="latin-1"):
            for quoted in re.findall(r'"([^"]*)"', line.partition("|")[2]):
                text = plain(quoted)
                if text and 2 <= len(text.split()) <= 25 and max(map(len, text.split())) <= 16:
                    yield text


def common_words(wordnet, least=3):
    counts = {}
    for line in open(f"{wordnet}/cntlist.rev", encoding="latin-1"):
        sense, _, count = line.split()
        word, _, rest = sense.partition("%")
        if re.fullmatch("[a-z]{2,14}", word):
            key = CLASSES[rest[0]], word
            counts[key] = counts.get(key, 0) + int(count)
    return sorted((kind, word, n) for (kind, word), n in counts.items() if n >= least)


class Texts:
    """Draws texts. file: what this script wrote. banned: lower-case sentences that must never be drawn."""

    def __init__(self, file, seed, banned=()):
        head, _, tail = Path(file).read_text().partition("\n\n")
        banned = {plain(b).lower() for b in banned}
        self.examples = [e for e in head.split("\n") if e.lower() not in banned]
        self.words = {}
        for line in tail.split("\n"):
            if line:
                kind, word, count = line.split("\t")
                self.words.setdefault(kind, ([], []))
                self.words[kind][0].append(word)
                self.words[kind][1].append(float(count) ** 0.5)
        self.random = random.Random(seed)

    def word(self, kind):
        words, weights = self.words[kind]
        return self.random.choices(words, weights)[0]

    def template(self):
        text = self.random.choice(TEMPLATES)
        for mark, draw in (("{n}", lambda: self.word("noun")), ("{v}", lambda: self.word("verb")),
                           ("{a}", lambda: self.word("adjective")), ("{d}", lambda: self.word("adverb")),
                           ("{p}", lambda: self.random.choice(PRONOUNS)),
                           ("{f}", lambda: self.random.choice(FUNCTION))):
            while mark in text:
                text = text.replace(mark, draw(), 1)
        return text

    def jumble(self):
        kinds = list(self.words) + ["function"] * 3
        draw = [self.random.choice(kinds) for _ in range(self.random.randint(3, 12))]
        return " ".join(self.random.choice(FUNCTION) if k == "function" else self.word(k) for k in draw)

    def clause(self):
        x = self.random.random()
        return self.random.choice(self.examples) if x < 0.6 else self.template() if x < 0.8 else self.jumble()

    def draw(self):
        """A text of up to 25 words; most end in a full stop."""
        wanted = self.random.choice((2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 22))
        text = ""
        while len(text.split()) < wanted:
            clause = self.clause()
            if len((text + " and " + clause).split()) > 25:
                continue
            if text and (text[-1] == "." or self.random.random() < 0.5):
                text = text.rstrip(".") + ". "
            elif text:
                text += self.random.choice((", ", ", and ", " and ", ", but "))
            text += clause[0].upper() + clause[1:] if not text or text[-2] == "." else clause
        return text + "." if self.random.random() < 0.95 else text


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("file")
    p.add_argument("--wordnet", default="/usr/share/wordnet")
    options = p.parse_args()
    drawn = sorted(set(examples(options.wordnet)))
    words = common_words(options.wordnet)
    Path(options.file).write_text("\n".join(drawn) + "\n\n" + "".join("\t".join(map(str, w)) + "\n" for w in words))
    print(f"{options.file}: {len(drawn)} examples, {len(words)} words")


if __name__ == "__main__":
    main()
