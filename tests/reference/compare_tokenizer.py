#!/usr/bin/env python3
"""Compares host/text/tokenizer.c and chunk.c with upstream's convert_char_to_pinyin and chunk_text, token for token.

Run by hand; not part of `make test`. Needs rjieba and pypinyin (importable, or under --site) and upstream's sources:
    python3 tests/reference/compare_tokenizer.py --upstream DIR_WITH_f5_tts --site DIR --lib build/lib/libf5tts_test.so
With --golden FILE it also writes the golden file that tests/test_host.py checks."""
import argparse
import ast
import ctypes
import json
import os
import random
import re
import sys
from pathlib import Path

TOKENIZER_PINYIN = 0
F5_E_UNSUPPORTED = 5
TOKEN_FN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class F5Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 512)]


class Chunk(ctypes.Structure):
    _fields_ = [("text", ctypes.c_void_p), ("bytes", ctypes.c_size_t), ("spoken_bytes", ctypes.c_size_t)]


class Sentence(ctypes.Structure):
    _fields_ = [("text", ctypes.c_void_p), ("bytes", ctypes.c_size_t), ("space", ctypes.c_bool)]


class Ours:
    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        size = ctypes.c_size_t
        self.lib.tokenizer_split.argtypes = [ctypes.c_int, ctypes.c_char_p, size, TOKEN_FN, ctypes.c_void_p, ctypes.POINTER(F5Error)]
        self.lib.chunk_next.argtypes = [ctypes.c_void_p, size, ctypes.c_bool, ctypes.POINTER(size), ctypes.c_int64,
                                        ctypes.POINTER(Chunk), ctypes.POINTER(F5Error)]
        self.lib.chunk_read.argtypes = [ctypes.POINTER(Chunk), ctypes.POINTER(size), ctypes.POINTER(Sentence)]
        self.lib.chunk_read.restype = ctypes.c_bool

    def tokens(self, text):
        """List of tokens, or None where the text needs the dictionary."""
        out, error, data = [], F5Error(), text.encode()
        emit = TOKEN_FN(lambda user, token, n: out.append(ctypes.string_at(token, n).decode()))
        status = self.lib.tokenizer_split(TOKENIZER_PINYIN, data, len(data), emit, None, ctypes.byref(error))
        if status == F5_E_UNSUPPORTED:
            return None
        if status:
            raise RuntimeError(error.message.decode())
        return out

    def chunks(self, text, max_bytes):
        out, data, at, chunk, error = [], text.encode(), ctypes.c_size_t(0), Chunk(), F5Error()
        held = ctypes.create_string_buffer(data)
        while True:
            if self.lib.chunk_next(ctypes.addressof(held), len(data), True, at, max_bytes, chunk, error):
                raise RuntimeError(error.message.decode())
            if chunk.bytes == 0:
                return out
            spoken, read, sentence = b"", ctypes.c_size_t(0), Sentence()
            while self.lib.chunk_read(chunk, read, sentence):
                spoken += ctypes.string_at(sentence.text, sentence.bytes) + b" " * sentence.space
            out.append(spoken.decode())


def upstream_function(path, name, namespace):
    """One function of a module, without importing the module's dependencies."""
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    tree.body = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name]
    assert tree.body, f"{path} has no function {name}"
    exec(compile(tree, str(path), "exec"), namespace)
    return namespace[name]


ASCII = [chr(c) for c in range(1, 128)]
WORDISH = list("abcXYZ0123456789+#&._%-") + ["AT&T", "C++", "c++", "C#", "c#", "3.14", "50%", "e.g."]
PUNCT = list(" ,.;:!?'\"()[]{}<>/\\|@$^*=~`\t\n") + ["\r\n", "\r", "...", "--", "—", "…", "“", "”", "‘", "’", "«", "»", "¿", "·"]
ACCENTS = list("éèêëàâäáãåçñöøüÿßæœłżźćśđřšžýőűİığ") + ["e\u0301", "ñ", "Ǆ"]
CYRILLIC = list("абвгдежзиклмнопрстуфхцчшщъыьэюяЁЖ")
EASTERN = list("あいうえおアイウエオーｱ한국어ㅤ，。！？：；「」、・ｆｕｌｌ１２３％＋　") + ["ﾟ", "\u200b", "\ufeff", "\u3000", "\u30fb"]
OTHER = list("αβγδΩ") + list("שלום") + list("مرحبا") + list("हिन्दी") + list("ไทย") + list("😀🎉👍🏽👨‍👩‍👧🇫🇷") + ["\U0001d538", "\u0000"[0:0], "\u2028", "\xa0", "\x85"]
ENGLISH = ("The harbour lay still at dawn, and nobody spoke. We've waited over 4.5 hours here; twenty-two "
           "boats and two hundred gulls, all of them hungry. It costs $3.50 (about 12% more), e.g. at AT&T or C++ Inc. "
           "Mr. O'Neil said: \"Wait... what?\" -- and left at 10:30 a.m. on 2024-05-17! Visit http://example.com/a_b?c=d&e=f#g "
           "or mail me@example.org, 24/7. U.S.A. vs. U.K., v2.0.1-rc3, 1,000,000.00 50%%, x=y+z, rock'n'roll. ")


def random_text(rng):
    pools = [ASCII, WORDISH, PUNCT, ACCENTS, CYRILLIC, EASTERN, OTHER]
    kind = rng.randrange(6)
    if kind == 0:  # anything
        return "".join(rng.choice(rng.choice(pools)) for _ in range(rng.randrange(1, 60)))
    if kind == 1:  # what the word expression sees
        return "".join(rng.choice(WORDISH if rng.random() < 0.85 else PUNCT) for _ in range(rng.randrange(1, 40)))
    if kind == 2:  # a stretch of real text, damaged
        a = rng.randrange(len(ENGLISH))
        s = list(ENGLISH[a: a + rng.randrange(5, 200)])
        for _ in range(rng.randrange(4)):
            s.insert(rng.randrange(len(s) + 1), rng.choice(rng.choice(pools)))
        return "".join(s)
    if kind == 3:  # any character outside the surrogates
        return "".join(chr(c) for c in (rng.randrange(1, 0x3000) for _ in range(rng.randrange(1, 30))))
    if kind == 4:
        return "".join(chr(c) for c in (rng.choice([rng.randrange(1, 0xD800), rng.randrange(0xE000, 0x110000)])
                                        for _ in range(rng.randrange(1, 12))))
    pool = rng.choice(pools)
    return "".join(rng.choice(pool) for _ in range(rng.randrange(1, 30)))


def golden_texts(rng):
    own = [ENGLISH, "", " ", "a", "ab", "Hello, world.", "wait... what", "3.14% of a-5 b--c C++ AT&T", "a\r\nb\n\nc", "\r\n",
           "AAT&TT", "e.g. i.e. U.S.A.", "1.5.6.7", "a.b.c", "100%%", "x 5% y", "'quoted words'", "“typographic” ‘quotes’; semicolon",
           "naïve café — déjà vu", "Привет, мир!", "한국어 test", "カタカナ と ひらがな", "ｆｕｌｌ ｗｉｄｔｈ １２", "emoji 😀 and 👍🏽 here",
           "tab\tseparated\tvalues", "a:bc", "a 'bc", 'a "bc', "a:b", "co-operate", "don't", "C# c# C++ c++ c+ c++x", "#1 &c. 7-11",
           "http://example.com/a_b?c=d&e=f#g", "日。", "，。！？"]
    return own + [random_text(rng) for _ in range(300)]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--upstream", required=True, help="folder that holds f5_tts/")
    p.add_argument("--site", help="folder with rjieba and pypinyin")
    p.add_argument("--lib", default="build/lib/libf5tts_test.so")
    p.add_argument("--count", type=int, default=10000)
    p.add_argument("--text", nargs="*", default=[], help="files of real text; every line is a case")
    p.add_argument("--golden", help="write the golden file here")
    args = p.parse_args()
    if args.site:
        sys.path.insert(0, args.site)
    import pypinyin
    import rjieba

    root = Path(args.upstream) / "f5_tts"
    convert = upstream_function(root / "model/utils.py", "convert_char_to_pinyin",
                                {"rjieba": rjieba, "lazy_pinyin": pypinyin.lazy_pinyin, "Style": pypinyin.Style})
    chunk_text = upstream_function(root / "infer/utils_infer.py", "chunk_text", {"re": re})
    ours = Ours(args.lib)
    seed = int(os.environ.get("F5_TEST_SEED") or int.from_bytes(os.urandom(4), "little"))
    rng = random.Random(seed)
    print(f"F5_TEST_SEED={seed}")

    texts = [line for name in args.text for line in Path(name).read_text(encoding="utf-8").splitlines() if line]
    texts += [random_text(rng) for _ in range(args.count)]
    equal = unsupported = different = 0
    for text in texts:
        mine = ours.tokens(text)
        if mine is None:
            unsupported += 1
            continue
        if mine == convert([text])[0]:
            equal += 1
        else:
            different += 1
            if different <= 10:
                print("DIFFERENT", ascii(text), "\n  ours    ", ascii(mine), "\n  upstream", ascii(convert([text])[0]))
    print(f"tokens: {equal} equal, {different} different, {unsupported} refused as Chinese, of {len(texts)}")

    # Every character alone and between letters: no supported character may need the dictionary.
    bad = 0
    for c in list(range(1, 0xD800)) + list(range(0xE000, 0x110000)):
        for text in (chr(c), f"ab{chr(c)}cd {chr(c)}{chr(c)}1"):
            mine = ours.tokens(text)
            if mine is not None and mine != convert([text])[0]:
                bad += 1
                if bad <= 10:
                    print("DIFFERENT", hex(c), ascii(mine), ascii(convert([text])[0]))
    print(f"every Unicode character, alone and between letters: {bad} different")

    chunk_bad = 0
    for _ in range(args.count):
        text, limit = random_text(rng) + random_text(rng), rng.choice([-5, 0, 10, 30, 60, 135, 1000])
        want = [c for c in chunk_text(text, max_chars=limit) if c]  # upstream may leave an empty chunk; ours does not
        if ours.chunks(text, limit) != want:
            chunk_bad += 1
            if chunk_bad <= 5:
                print("CHUNKS", limit, ascii(text), "\n ", ascii(ours.chunks(text, limit)), "\n ", ascii(want))
    print(f"chunks: {args.count - chunk_bad} equal, {chunk_bad} different")

    if args.golden:
        cases = [{"text": t, "tokens": convert([t])[0]} for t in golden_texts(rng) if ours.tokens(t) is not None]
        versions = {"rjieba": "0.2.2", "pypinyin": getattr(pypinyin, "__version__", "?")}
        chunks = [{"text": t, "max_bytes": n, "chunks": [c for c in chunk_text(t, max_chars=n) if c]}
                  for t in golden_texts(rng)[:80] for n in (20, 135)]
        Path(args.golden).write_text(json.dumps({"versions": versions, "cases": cases, "chunks": chunks}) + "\n")
        print(f"{args.golden}: {len(cases)} texts, {len(chunks)} chunkings")
    return 1 if different or bad or chunk_bad else 0


if __name__ == "__main__":
    sys.exit(main())
