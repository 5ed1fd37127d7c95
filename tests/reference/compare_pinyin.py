#!/usr/bin/env python3
"""Compares the tokens of Chinese and mixed text with upstream's convert_char_to_pinyin, token for token, segments with
rjieba's, and times both.

Run by hand; not part of `make test`. Needs upstream's package and what it calls, in a folder of their own:
    pip install --target SITE --no-deps rjieba==0.2.2 pypinyin==0.55.0 jieba==0.42.1 f5-tts==1.1.22
    python3 tests/reference/compare_pinyin.py --site SITE --lib build/lib/libf5tts_test.so
With --golden FILE it also writes the golden file that tests/test_pinyin.py checks. F5_TEST_SEED repeats a run."""
import argparse
import ctypes
import json
import os
import random
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from compare_tokenizer import ENGLISH, random_text, upstream_function  # noqa: E402
from pinyin_lib import CTokenizer, Table  # noqa: E402

RANGES = [(0x3100, 0x312F), (0x31A0, 0x31BF), (0x3200, 0x33FF), (0x3400, 0x4DBF), (0x4DC0, 0x4DFF), (0x4E00, 0x9FFF),
          (0x9FD6, 0x9FFF), (0xE800, 0xE870), (0xF900, 0xFAFF), (0x3000, 0x30FF), (0xAC00, 0xD7A3), (0xFF00, 0xFFEF),
          (0x20000, 0x2A6DF), (0x2A6E0, 0x2A702), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF),
          (0x2CEB0, 0x2EBEF), (0x2EBF0, 0x2EE5F), (0x2F800, 0x2FA1F), (0x30000, 0x3134F), (0x31350, 0x323AF)]
STOPS = list("，。！？；：、…—“”‘’《》（）「」・·") + [", ", ". ", "! ", "? ", "; ", ": ", "\n", "\r\n", " "]
LATIN = ["AT&T", "C++", "c#", "3.14%", "iPhone 15", "WiFi", "A", "B", "T", "U", "4S", "QQ", "VIP", "PM2.5", "co-op", "e.g.",
         "2024", "100", "％", "１２３", "ＡＢ", "x_y", "a.b.c", "-", "%", "+", "#", ".", "&", "_", "γ", "é", "α", "km/h", "50%"]
OWN = ["你好", "你好，世界。", "我不是不知道，一定要一起去。", "一一", "不不", "一不做二不休", "老鼠", "保管好", "老保管", "展览馆",
       "小李买好酒。", "北京大学生前来应聘", "研究生命的起源", "他来到了网易杭研大厦", "结婚的和尚未结婚的", "T恤衫和X光，B超。", "江南style",
       "γ射线", "4S店", "IP地址是127.0.0.1。", "中国人C++真好", "a中b国c", "中1.5文", "中+文", "〇", "二〇二四年", "㐀㐁", "𠀀𠀁中",
       "a𠀀𠀁", "+𠀀𠀀", "𠀀", "\uf900\uf901", "\ue815", "ㄅㄆ", "㈱", "䷀", "重庆银行行长长大了，行不行？", "了不起 的 人", "“引号”；‘分号’",
       "喂？…嗯", "呣哼欸", "女旅绿", "百花齐", "百花齐放", "百花齐放，百家", "一", "不", "好好好", "你好好", "。", "，，", "中\r\n文",
       "鿖鿗", "龥鿕鿖", "中 文", "中\u200b文", "Hello你好World世界", "你好 Hello, 'world' :中文"]


RUN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002ebef"
                 "\U0002f800-\U0002fa1fa-zA-Z0-9+#&._%-]+")


class Ours(Table):
    def __init__(self, path):
        super().__init__(ctypes.CDLL(path), longest=1 << 20)
        assert self.status == 0, self.message

    def seconds(self, text):
        """Of one pass over the text, ids and all; with a vocabulary that knows no token, which is the slowest."""
        vocab, data = (ctypes.c_uint64 * 16)(), text.encode()
        self.lib.vocab_parse(vocab, b" \n", 2, b"v", None)
        ids = (ctypes.c_int32 * (2 * len(data)))()
        t = CTokenizer(kind=0, v=ctypes.addressof(vocab), ids=ctypes.addressof(ids), capacity=len(ids),
                       pinyin=ctypes.addressof(self.struct), scratch=ctypes.addressof(self.scratch),
                       scratch_bytes=self.scratch_bytes)
        start = time.perf_counter()
        assert self.lib.tokenizer_put(ctypes.byref(t), data, len(data), 0, None) == 0
        return time.perf_counter() - start


class Texts:
    """Random texts: words by their frequency, characters of every range, all of it mixed."""

    def __init__(self, site, rng):
        self.rng = rng
        lines = [line.split() for line in (site / "jieba/dict.txt").read_text(encoding="utf-8").splitlines()]
        self.words = list(dict.fromkeys(line[0] for line in lines))
        self.drawn = rng.choices([line[0] for line in lines], [int(line[1]) for line in lines], k=600000)
        self.phrases = list(json.loads((site / "pypinyin/phrases_dict.json").read_text(encoding="utf-8")))
        self.at = 0

    def word(self):
        self.at += 1
        return self.drawn[self.at % len(self.drawn)]

    def character(self):
        return chr(self.rng.randint(*self.rng.choice(RANGES)))

    def sentence(self):
        return "".join(self.word() + (self.rng.choice(STOPS) if self.rng.random() < 0.12 else "")
                       for _ in range(self.rng.randrange(1, 24))) + self.rng.choice("。！？.,")

    def rare_run(self):
        """Most of these characters the hidden Markov model knows in no state, or not in all: paths are equally good."""
        return "".join(chr(self.rng.randint(0x4E00, 0x9FD5)) for _ in range(self.rng.randrange(2, 16)))

    def text(self):
        rng, kind = self.rng, self.rng.randrange(8)
        if kind <= 2:
            return self.sentence()
        if kind == 3:  # common characters, with no sense
            return "".join(chr(rng.randint(0x4E00, 0x9FA5)) for _ in range(rng.randrange(1, 25)))
        if kind == 4:  # rare ones
            return "".join(self.character() for _ in range(rng.randrange(1, 16)))
        if kind == 5:  # characters of sentences, shuffled: single characters, which the model joins
            s = list(self.sentence())
            rng.shuffle(s)
            return "".join(s)
        parts = [self.word, lambda: rng.choice(LATIN), lambda: rng.choice(STOPS), self.character,
                 lambda: rng.choice(self.phrases), lambda: chr(rng.randint(33, 126)), lambda: random_text(rng)[:8],
                 lambda: rng.choice(self.phrases)[:rng.randrange(1, 6)], lambda: rng.choice("一不好老")]
        weights = [6, 3, 3, 2, 3, 2, 1, 2, 2] if kind == 6 else [3, 5, 1, 3, 1, 3, 1, 1, 2]
        return "".join(rng.choices(parts, weights)[0]() for _ in range(rng.randrange(1, 20)))


def compare(name, texts, ours, convert):
    """0 if all are equal. Texts for which upstream itself fails are counted and left out."""
    different = failed = 0
    for text in texts:
        try:
            wanted = convert([text])[0]
        except IndexError:  # upstream counts on one item a character
            failed += 1
            continue
        mine = ours.tokens(text)
        if mine != wanted:
            different += 1
            if different <= 8:
                print("DIFFERENT", ascii(text), text, "\n  ours    ", mine, "\n  upstream", wanted)
    note = f" ({failed} on which upstream fails)" if failed else ""
    print(f"{name}: {len(texts) - failed} texts, {different} different{note}", flush=True)
    return different


def compare_segments(name, texts, ours, cut):
    """Of every run in the texts. A token does not show its segment where no phrase is in it."""
    runs = [run for text in texts for run in RUN.findall(text)]
    different = [run for run in runs if ours.segments(run) != cut(run)]
    for run in different[:8]:
        print("DIFFERENT", ascii(run), "\n  ours    ", ours.segments(run), "\n  upstream", cut(run))
    print(f"segments of {name}: {len(runs)} runs, {len(different)} different", flush=True)
    return len(different)


def time_both(texts, ours, convert, lazy):
    """Megabytes of text a second: the best of three passes of theirs, of nine of ours."""
    text = "".join(texts)
    megabytes = len(text.encode()) / 1e6

    def best(function, passes):
        times = []
        for _ in range(passes):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
        return megabytes / min(times)

    whole = best(lambda: convert(texts), 3)
    alone = best(lambda: [lazy(t) for t in texts], 3)
    mine = megabytes / min(ours.seconds(text) for _ in range(9))
    print(f"{megabytes:.2f} MB of Chinese sentences, MB/s: ours {mine:.1f}, convert_char_to_pinyin {whole:.3f} "
          f"({mine / whole:.0f} times), pypinyin alone {alone:.3f} ({mine / alone:.0f} times)")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--site", type=Path, required=True)
    p.add_argument("--lib", default="build/lib/libf5tts_test.so")
    p.add_argument("--count", type=int, default=40000)
    p.add_argument("--quick", action="store_true", help="random texts alone")
    p.add_argument("--golden", help="write the golden file here")
    args = p.parse_args()
    sys.path.insert(0, str(args.site))
    import pypinyin
    import rjieba

    convert = upstream_function(args.site / "f5_tts/model/utils.py", "convert_char_to_pinyin",
                                {"rjieba": rjieba, "lazy_pinyin": pypinyin.lazy_pinyin, "Style": pypinyin.Style})
    seed = int(os.environ.get("F5_TEST_SEED") or int.from_bytes(os.urandom(4), "little"))
    print(f"F5_TEST_SEED={seed}")
    rng = random.Random(seed)
    texts, ours = Texts(args.site, rng), Ours(args.lib)

    different = compare("own cases", OWN + [ENGLISH], ours, convert)
    drawn = [texts.text() for _ in range(args.count)]
    different += compare("random texts", drawn, ours, convert)
    different += compare_segments("these", drawn, ours, rjieba.cut)
    rare = [texts.rare_run() for _ in range(args.count)]
    different += compare_segments("characters in no order", rare, ours, rjieba.cut)
    if not args.quick:
        different += compare("words of jieba's dictionary", texts.words, ours, convert)
        different += compare("phrases of pypinyin", texts.phrases, ours, convert)
        scalars = list(range(1, 0xD800)) + list(range(0xE000, 0x33500))
        different += compare("every character to U+334FF, among others",
                             [f"{c} 中{c}{c}文 a{c}1 {c}国人" for c in map(chr, scalars)], ours, convert)
        time_both([texts.sentence() for _ in range(4000)], ours, convert,
                  lambda t: pypinyin.lazy_pinyin(t, style=pypinyin.Style.TONE3, tone_sandhi=True))
    if args.golden:
        cases = OWN + [texts.text() for _ in range(400)]
        answers = {}
        for text in cases:
            try:
                answers[text] = "\x1f".join(convert([text])[0])
            except IndexError:
                pass
        versions = {"rjieba": "0.2.2", "pypinyin": pypinyin.__version__, "f5-tts": "1.1.22"}
        segments = {run: "\x1f".join(rjieba.cut(run)) for run in [r for r in rare if len(rjieba.cut(r)) != len(r)][:100]}
        data = json.dumps({"versions": versions, "tokens": answers, "segments": segments}, ensure_ascii=False, separators=(",", ":"))
        Path(args.golden).write_text(data + "\n", encoding="utf-8")
        print(f"{args.golden}: {len(answers)} texts, {len(segments)} runs")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
