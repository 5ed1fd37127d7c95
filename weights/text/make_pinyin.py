#!/usr/bin/env python3
"""Makes pinyin.bin, the tables by which Chinese text becomes pinyin, from the data of two PyPI packages.

    pip install --target SITE --no-deps jieba==0.42.1 pypinyin==0.55.0
    python3 weights/text/make_pinyin.py SITE weights/text/pinyin.bin

Only data files are read, no code of the packages runs. The same packages give the same bytes. The format is described
in weights/text/README.md; host/text/pinyin_table.c reads it. With --only TEXT it has just what that file's text needs,
as the small table of the tests has (tests/data/pinyin_small.bin, of pinyin_small.txt)."""
import argparse
import ast
import json
import math
import struct
import sys
import unicodedata
from pathlib import Path

VERSION = 1
ALIGNMENT = 64
PACKAGES = {"jieba": "0.42.1", "pypinyin": "0.55.0"}
MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions: The above copyright notice and
this permission notice shall be included in all copies or substantial portions of the Software. THE SOFTWARE IS PROVIDED
"AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS
BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
NOTICES = f"""Tables made from the data of two Python packages:
jieba {PACKAGES["jieba"]}: dictionary and hidden Markov model. MIT licence. Copyright (c) 2013 Sun Junyi
pypinyin {PACKAGES["pypinyin"]}: readings of phrases and characters. MIT licence. Copyright (c) 2016 mozillazg, \
闲耘 <hotoo.cn@gmail.com>

{MIT}"""

# Characters that pypinyin spells; all others pass through it as they are.
SPELLED = [(0x3007, 0x3007), (0xE815, 0xE864), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF),
           (0x2A703, 0x2B81D), (0x2B825, 0x2BF6E), (0x2C029, 0x2CE93), (0x2D016, 0x2D016), (0x2D11B, 0x2EBD9),
           (0x2F80A, 0x2FA1F), (0x30000, 0x3134A), (0x31350, 0x32389)]
HMM_FIRST, HMM_LAST = 0x4E00, 0x9FD5
STATES = "BEMS"
TONES = {"\u0304": 1, "\u0301": 2, "\u030c": 3, "\u0300": 4}


def check_version(site, package):
    metadata = site / f"{package}-{PACKAGES[package]}.dist-info" / "METADATA"
    if not metadata.is_file():
        sys.exit(f"{site} has no {package} {PACKAGES[package]}: pip install --target {site} --no-deps "
                 f"{package}=={PACKAGES[package]}")


# ---- readings


def parse_syllable(text):
    """"lüè" -> ("lve", 4); tone 0 is the neutral one."""
    base, tone = "", 0
    for c in unicodedata.normalize("NFD", text):
        if c in TONES:
            assert tone == 0, f"{text} has two tones"
            tone = TONES[c]
        elif c == "\u0308":
            assert base[-1] == "u", text
            base = base[:-1] + "v"
        else:
            base += c
    return unicodedata.normalize("NFC", base), tone


def sandhi(phrase, syllables):
    """The tones of a phrase as they are spoken: third tones, 不 and 一, in this order."""
    bases, tones = [b for b, _ in syllables], [t for _, t in syllables]
    run = 0
    for tone in tones:
        run = run + 1 if tone == 3 else 0
    if run >= 2:  # as many as the trailing run but one, from the start of the phrase
        for i in [i for i, tone in enumerate(tones) if tone == 3][:run - 1]:
            tones[i] = 2
    for character, final in (("不", 4), ("一", 1)):
        for i, c in enumerate(phrase):
            if c != character:
                continue
            if i + 1 == len(phrase):
                tones[i] = final if tones[i] else 0
            elif tones[i + 1] == 4:
                tones[i] = 2 if tones[i] == 4 else tones[i]
            else:
                tones[i] = 4 if tones[i] else 0
    return list(zip(bases, tones))


class Syllables:
    """Syllables as upstream writes them ("ni3"), numbered in the order of their text."""

    def __init__(self, used):
        self.texts = sorted({self.text(s).encode() for s in used})
        self.number = {text: i for i, text in enumerate(self.texts)}

    @staticmethod
    def text(syllable):
        return syllable[0] + (str(syllable[1]) if syllable[1] else "")

    def __getitem__(self, syllable):
        return self.number[self.text(syllable).encode()]


def reading_pages(spelled, characters, syllables):
    """Pages of 256 characters: 0 is not spelled, 1 has no reading, 2 + n has syllable n. Page 0 is empty."""
    value = {c: 2 + syllables[characters[c]] if c in characters else 1 for c in spelled}
    pages, page_of = [[0] * 256], [0] * (max(value) // 256 + 1)
    for number in range(len(page_of)):
        page = [value.get(number * 256 + i, 0) for i in range(256)]
        if any(page):
            page_of[number] = len(pages)
            pages.append(page)
    return page_of, [v for page in pages for v in page]


# ---- tries


def make_trie(value_of):
    """Nodes level by level; children of a node lie side by side, by label. A group is the children of one node; group 0
    is the root's, and the others are numbered as the nodes that own them. value_of: word -> value, 0 is none."""
    children = {}
    for word in value_of:
        for i in range(len(word)):
            children.setdefault(word[:i], set()).add(word[i])
    labels, values, starts, inner, level = [], [], [0], [], [""]
    while level:
        below = []
        for prefix in level:
            for label in sorted(children[prefix]):
                word = prefix + label
                labels.append(ord(label))
                values.append(value_of.get(word, 0))
                inner.append(word in children)
                if word in children:
                    below.append(word)
            starts.append(len(labels))
        level = below
    words = [sum(inner[i + k] << k for k in range(min(64, len(inner) - i))) for i in range(0, len(inner), 64)]
    before = [0]
    for word in words:
        before.append(before[-1] + bin(word).count("1"))
    bases = starts[::64]
    deltas = [start - bases[i // 64] for i, start in enumerate(starts)]
    return [pack("H", labels), pack("H", values), pack("Q", words), pack("I", before[:-1]), pack("I", bases),
            pack("H", deltas)]


def pack(code, values):
    return code, len(values), struct.pack(f"<{len(values)}{code}", *values)


# ---- the packages' data


def read_words(site):
    """word -> index into the frequencies, and ln of each frequency less ln of their sum; index 0 is frequency 1."""
    frequency = {}
    for line in (site / "jieba/dict.txt").read_text(encoding="utf-8").splitlines():
        word, count = line.split()[:2]
        frequency[word] = int(count)
    log_total = math.log(sum(frequency.values()))
    distinct = sorted(set(frequency.values()))
    index = {count: i + 1 for i, count in enumerate(distinct)}
    return ({word: index[count] for word, count in frequency.items()},
            [math.log(count) - log_total for count in [1] + distinct])


def read_literal(path):
    """The value that a Python file assigns, without running it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return next(ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign))


def read_hmm(site, only):
    folder = site / "jieba/finalseg"
    start, transition, emission = (read_literal(folder / f"prob_{x}.py") for x in ("start", "trans", "emit"))
    none = start["E"]
    chain = [start[s] for s in STATES] + [transition[a].get(b, none) for a in STATES for b in STATES]
    row_of, rows = [0] * (HMM_LAST - HMM_FIRST + 1), [[0] * 4]
    for c in range(HMM_FIRST, HMM_LAST + 1):
        # rjieba has six decimals of them: millionths, which are exact
        row = [round(float(f"{emission[s][chr(c)]:.6f}") * 1e6) if chr(c) in emission[s] else 0 for s in STATES]
        if any(row) and (not only or chr(c) in only):
            row_of[c - HMM_FIRST] = len(rows)
            rows.append(row)
    return chain, row_of, [v for row in rows for v in row]


def read_readings(site):
    """Of those with several the first one, as pypinyin takes it."""
    characters = json.loads((site / "pypinyin/pinyin_dict.json").read_text(encoding="utf-8"))
    phrases = json.loads((site / "pypinyin/phrases_dict.json").read_text(encoding="utf-8"))
    return ({int(c): parse_syllable(readings.split(",")[0]) for c, readings in characters.items()},
            {phrase: sandhi(phrase, [parse_syllable(r[0]) for r in readings]) for phrase, readings in phrases.items()})


def make(site, only=None):
    words, log_frequency = read_words(site)
    chain, emission_row, emission = read_hmm(site, only)
    characters, phrases = read_readings(site)
    spelled = {c for first, last in SPELLED for c in range(first, last + 1)}
    if only:
        words = {w: v for w, v in words.items() if w in only}
        phrases = {p: v for p, v in phrases.items() if p[:2] in only}
        spelled = {c for c in spelled if chr(c) in only}
    characters = {c: v for c, v in characters.items() if c in spelled}
    syllables = Syllables(list(characters.values()) + [s for p in phrases.values() for s in p])
    page_of, readings = reading_pages(spelled, characters, syllables)
    # in the order in which a trie has them: by length, then by text
    in_order = sorted(phrases, key=lambda p: (len(p), p))
    longest = len(in_order[-1])
    by_length = []
    for length in range(1, longest + 2):
        shorter = [p for p in in_order if len(p) < length]
        by_length += [len(shorter), sum(map(len, shorter))]
    text_starts = [0]
    for text in syllables.texts:
        text_starts.append(text_starts[-1] + len(text))
    notices = NOTICES.encode()
    return [
        pack("B", notices),
        *make_trie(words),
        pack("d", log_frequency),
        pack("d", chain),
        pack("H", emission_row),
        pack("i", emission),
        *make_trie({phrase: 1 + i for i, phrase in enumerate(in_order)}),
        pack("I", by_length),
        pack("H", [syllables[s] for phrase in in_order for s in phrases[phrase]]),
        pack("H", page_of),
        pack("H", readings),
        pack("H", text_starts),
        pack("B", b"".join(syllables.texts)),
    ]


def write(path, sections):
    head = 16 + 16 * len(sections)
    at, table, body = head, b"", b""
    for _, count, data in sections:
        table += struct.pack("<QQ", at, count)
        padded = data + bytes(-len(data) % 8)
        body += padded
        at += len(padded)
    data = b"F5PINYIN" + struct.pack("<II", VERSION, len(sections)) + table + body
    data += bytes(-len(data) % ALIGNMENT)
    Path(path).write_bytes(data)
    return len(data)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("site", type=Path, help="folder that holds the packages")
    p.add_argument("output")
    p.add_argument("--only", type=Path, metavar="TEXT",
                   help="a text file: words and characters that it does not have are left out")
    args = p.parse_args()
    for package in PACKAGES:
        check_version(args.site, package)
    sections = make(args.site, args.only.read_text(encoding="utf-8") if args.only else None)
    print(f"{args.output}: {write(args.output, sections)} bytes")


if __name__ == "__main__":
    main()
