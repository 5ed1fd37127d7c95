#!/usr/bin/env python3
"""make_fold.py — writes host/text/fold_tables.c: what a character turns into where a model cannot say it.

    weights/text/make_fold.py [OUTPUT]

The data are Python's unicodedata, which is made from the Unicode Character Database (Unicode licence), and the tables
below. An entry maps a character to alternatives, of which host/text/fold.c takes the first that can be said. Marks in
an alternative: S, a space if words meet here; B, a space if a word comes before; D, a space if a digit comes before;
R, as D, but raised digits stay together. Python of another Unicode version makes another file.
"""
import sys
import unicodedata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OR, S, B, D, R = "\1\2\3\4\5"
PLANES = 3  # 0, 1 and 2 hold every decomposition, case and mark

# ---- by hand: what Unicode does not decompose, or decomposes for the eye

LETTERS = """
ß ss|ẞ SS|Æ AE|æ ae|Œ OE|œ oe|Ø O|ø o|Đ D|đ d|Ð D|ð d|Þ Th|þ th|Ł L|ł l|Ħ H|ħ h|ı i|ĸ k|Ŋ Ng|ŋ ng|Ŧ T|ŧ t|ȷ j
ƀ b|Ɓ B|ɓ b|Ƈ C|ƈ c|Ɖ D|ɖ d|Ɗ D|ɗ d|Ǝ E|ǝ e|Ə E|ə e|Ɛ E|ɛ e|ɜ e|Ƒ F|ƒ f|Ɠ G|ɠ g|ɡ g|Ɣ G|ɣ g|Ɩ I|ɩ i|Ɨ I|ɨ i
ɪ i|Ƙ K|ƙ k|ƚ l|ɫ l|ɬ l|ɭ l|Ɯ M|ɯ m|ɱ m|Ɲ N|ɲ n|ƞ n|ɳ n|ɴ n|Ɵ O|ɵ o|Ɔ O|ɔ o|Ƥ P|ƥ p|Ʀ R|ɹ r|ɽ r|ɾ r|ʀ r|Ʃ Sh|ʃ sh
ʂ s|Ƭ T|ƭ t|Ʈ T|ʈ t|ƫ t|Ʊ U|ʊ u|Ʉ U|ʉ u|ʌ u|Ʋ V|ʋ v|Ƴ Y|ƴ y|ʏ y|Ƶ Z|ƶ z|Ʒ Zh|ʒ zh|ʐ z|ʑ z|ɕ s|Ƿ W|ƿ w|ɑ a|ɐ a|ɒ o
Ⱥ A|ⱥ a|Ȼ C|ȼ c|Ɇ E|ɇ e|Ɉ J|ɉ j|ɟ j|Ɍ R|ɍ r|Ɏ Y|ɏ y|Ƚ L|Ⱦ T|ⱦ t|Ɂ |ɂ |ʔ |Ȝ Y|ȝ y|Ƕ Hv|ƕ hv|ɦ h|ɥ h|Ⱡ L|ⱡ l|ⱥ a
""".split("\n")

PUNCTUATION = {
    # quotes: a reader hears nothing of them, and an apostrophe joins
    "'": [""], '"': ["'", ""],
    "`´‘’‚‛′‵ʹʻʼʽʾʿ‹›׳＇": ["'", ""],
    '“”„‟«»″‶〝〞〟ʺ״': ['"', "'", ""], '」』》〉': ['"' + S, "'" + S, ""], '「『《〈': [B + '"', B + "'", ""], "ˈˌː‧": [""],
    # brackets
    "({": [S], ")}": [S], "[": ["(", S], "]": [")", S], "【〔〖〘〚⟨⟦⟪": ["(", S], "】〕〗〙〛⟩⟧⟫": [")", S],
    # stops; one that comes without a space gets it where a word follows
    ".": [S], ",": [S], ";": [",", S], ":": [",", S], "!": [".", S], "?": [".", S],
    "。．。।॥۔﹒︒": ["." + S], "、，、﹐﹑︐︑": ["," + S], "！﹗︕": ["!" + S], "？﹖︖": ["?" + S], "；﹔︔": [";" + S],
    "：﹕︓": [":" + S], "…⋯︙": ["..." + S, "." + S, S], "‥︰": [".." + S], "‽": ["?!", "?"], "¡¿": [S],
    "،٬": [","], "؛⁏": [";"], "؟": ["?"], "٫": ["."], "٪": ["%"], "‐‑‒–−﹣－˗⁃": ["-", S], "-": [S],
    "—―⸺⸻﹘︱︲": [B + "-" + S, S],
    # signs that look like an ASCII one and are read so
    "⁄∕": ["/"], "∖": ["\\"], "∗⁎": ["*"], "∶": [":"], "∣": ["|"], "×": ["x"], "∼〜～": ["~", B + "-" + S],
    "™": [B + "TM"], "℠": [B + "SM"],
    # bullets, middle dots, daggers
    "·•‣⁌⁍∙⋅・･●○■□▪▫◦◆◇▸▹►‖†‡": [S],
}
SPACES = "\t\n\v\f\r\x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


def hand():
    out = {ord(c): [" "] for c in SPACES}
    for item in "|".join(LETTERS).split("|"):
        if item:
            letter, _, spelled = item.partition(" ")
            out[ord(letter)] = [spelled]
    for characters, alternatives in PUNCTUATION.items():
        out.update({ord(c): alternatives for c in characters})
    for start in (0x2776, 0x2780, 0x278A):  # dingbats: circled numbers without a decomposition
        out.update({start + n: [D + str(n + 1) + S] for n in range(10)})
    return out


# ---- from Unicode

def is_mark(c):
    return unicodedata.category(c)[0] == "M"


def from_unicode(code):
    """The alternative that Unicode gives, one level deep, or None."""
    field = unicodedata.decomposition(chr(code))
    if not field or 0xAC00 <= code <= 0xD7A3:
        digit = unicodedata.decimal(chr(code), None)
        return None if digit is None or code < 0x80 else str(digit)
    tag = field.split()[0] if field[0] == "<" else ""
    text = "".join(chr(int(x, 16)) for x in field.split() if x[0] != "<")
    full = unicodedata.normalize("NFKD", text)
    if full[0] == " " and len(full) > 1 and all(map(is_mark, full[1:])):
        return ""  # an accent that stands alone
    if any(c.isdecimal() for c in text):
        if tag == "<fraction>" or tag == "<circle>" or 0x2474 <= code <= 0x249B or 0x1F100 <= code <= 0x1F10A:
            return D + text + S
        if tag in ("<super>", "<sub>"):
            return R + text
    return text


def entries():
    out = hand()
    for code in range(0x30000):
        text = from_unicode(code)
        if text is not None and text not in out.get(code, []) and (code not in out or out[code] == [""]):
            out[code] = out.get(code, []) + [text] if code not in out else out[code]
    return {code: OR.join(alternatives) for code, alternatives in out.items()}


def split_runs(table):
    """Single characters leave the table as runs that map one by one: [(first, last, target)]."""
    runs, codes, at = [], sorted(table), 0
    while at < len(codes):
        end, text = at, table[codes[at]]
        while (end + 1 < len(codes) and codes[end + 1] == codes[end] + 1 and len(table[codes[end]]) == 1 and
               len(table[codes[end + 1]]) == 1 and ord(table[codes[end]]) + 1 == ord(table[codes[end + 1]]) < 0x10000 and
               end - at < 255):
            end += 1
        if len(text) == 1 and " " <= text < chr(0x10000):
            runs.append((codes[at], codes[end], ord(table[codes[at]])))
            for code in codes[at:end + 1]:
                del table[code]
        at = end + 1
    return runs


def pool(strings):
    """Every string ends in NUL; one that is the end of another lies inside it."""
    out, at = b"", {}
    for text in sorted({s.encode() for s in strings}, key=lambda s: (s[::-1], len(s)), reverse=True):
        found = out.find(text + b"\0")
        if found < 0:
            found = len(out)
            out += text + b"\0"
        at[text.decode()] = found
    return out, at


def compositions(table, codes):
    """Entries that are a letter and a mark composed, as indices sorted by letter, then mark."""
    out = []
    for index, code in enumerate(codes):
        if code > 0xFFFF:
            break
        pair = table[code]
        if len(pair) == 2 and unicodedata.normalize("NFC", pair) == chr(code):
            out.append((*map(ord, pair), index))
    return [index for _, _, index in sorted(out)]


def other_case(code):
    c = chr(code)
    for there, back in ((c.lower(), str.upper), (c.upper(), str.lower)):
        if there != c and len(there) == 1 and back(there) == c and ord(there) >> 16 == code >> 16:
            return ord(there)
    return None


def cases():
    """[(first, last, delta)]; delta 0: pairs, an even offset's other case is the next character."""
    other = {c: o for c in range(0x20000) if (o := other_case(c)) is not None}
    out, codes, at = [], sorted(other), 0
    while at < len(codes):
        first, end = codes[at], at
        delta = other[first] - first

        def fits(code):
            pair = 1 if (code - first) % 2 == 0 else -1
            return code in other and (other[code] - code == (pair if delta == 1 else delta))
        while end + 1 < len(codes) and codes[end + 1] == codes[end] + 1 and fits(codes[end + 1]):
            end += 1
        out.append((first, codes[end], 0 if delta == 1 else delta & 0xFFFF))
        at = end + 1
    return out


# ---- the file

def array(kind, name, values):
    out, line = [f"const {kind} {name}[] = {{"], "    "
    for value in values:
        item = f"{value},"
        if len(line) + len(item) > 120:
            out.append(line)
            line = "    "
        line += item
    return "\n".join([*out, line, "};\n"])


def starts(codes):
    """Where each plane begins among sorted code points."""
    return [sum(c >> 16 < plane for c in codes) for plane in range(PLANES + 1)]


def make():
    table = entries()
    runs = split_runs(table)
    codes = sorted(table)
    text, at = pool(table.values())
    assert len(text) < 65536 and max(codes) < PLANES << 16
    case = cases()
    composed = compositions(table, codes)
    parts = [
        f"/* fold_tables.c — what characters turn into where a model cannot say them, and their cases; fold_tables.h "
        f"says\n * how to read it. Generated by weights/text/make_fold.py from the Unicode Character Database "
        f"{unicodedata.unidata_version} as Python has it\n * (Copyright 1991-2021 Unicode, Inc., under the Unicode "
        "licence: LICENSE). */\n",
        "// clang-format off\n", '#include "host/text/fold_tables.h"\n', "\n"]
    for name, sets in (("entry", [("code", codes), ("text", [at[table[c]] for c in codes])]),
                       ("run", [("first", [r[0] for r in runs]), ("target", [r[2] for r in runs])]),
                       ("case", [("first", [c[0] for c in case]), ("last", [c[1] for c in case]),
                                 ("delta", [c[2] for c in case])])):
        parts.append(array("uint16_t", f"fold_{name}_planes", starts(sets[0][1])))
        parts += [array("uint16_t", f"fold_{name}_{what}", [v & 0xFFFF for v in values]) for what, values in sets]
    parts.append(array("uint8_t", "fold_run_more", [last - first for first, last, _ in runs]))
    parts.append(array("uint16_t", "fold_composed", composed))
    parts.append(f"const uint16_t fold_compositions = {len(composed)};\n")
    parts.append(array("uint8_t", "fold_text_pool", text))
    print(f"{len(codes)} entries, {len(runs)} runs, {len(case)} case, {len(composed)} compositions, "
          f"pool {len(text)}", file=sys.stderr)
    return "".join(parts)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "host/text/fold_tables.c"
    target.write_text(make(), encoding="utf-8")
