"""What characters fold to where a model cannot say them: by kind, against unicodedata, and what is reported. The laws of
folding over random texts are in tests/c/test_fold.c."""
import ctypes
import importlib.util
import os
import time
import unicodedata
from pathlib import Path

import pytest

import convert_lib
import f5lib
from test_host import CHAR, FORMAT, PINYIN, F5Error, Vocab, i32, i64, pointer, size_t

ROOT = convert_lib.ROOT
ASCII = [chr(c) for c in range(32, 127)]
# as the released vocabulary: the space first, ASCII without some signs, pinyin, accents, other scripts, marks
PINYIN_LIKE = [" ", *(c for c in ASCII[1:] if c not in "^`|}"), "ni3", "hao3", *"éèüÀøł", *"абвг", *"αβγ", *"バがー",
               *"，。、！？「」《》", "—", "…", "½", "²", "€", "™", "№", "\u200e", "\u0301"]


class TextBuffer(ctypes.Structure):
    _fields_ = [("text", pointer), ("bytes", size_t), ("capacity", size_t), ("full", ctypes.c_bool)]


class Alphabet(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int), ("v", pointer), ("pinyin", pointer), ("below_10000", ctypes.c_uint8 * 8192)]


class Unknown(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint32), ("count", i64), ("first", size_t)]


class Report(ctypes.Structure):
    _fields_ = [("offset", size_t), ("count", i64), ("distinct", i32), ("unknown", Unknown * 16)]

    def told(self):
        return [(chr(u.code), u.count, u.first) for u in self.unknown[:self.distinct]]


@pytest.fixture(scope="module")
def lib():
    path = Path(os.environ.get("F5_BUILD", ROOT / "build")) / "lib" / "libf5tts_test.so"
    assert path.exists(), f"{path} is missing: build first"
    lib = ctypes.CDLL(str(path))
    text = ctypes.c_char_p
    lib.fold_text.argtypes = [pointer, text, size_t, pointer, pointer, pointer]
    lib.fold_compat.argtypes = [text, size_t, pointer, pointer]
    lib.fold_alphabet_init.argtypes, lib.fold_alphabet_init.restype = [pointer, ctypes.c_int, pointer, pointer], None
    lib.fold_can_say.argtypes, lib.fold_can_say.restype = [pointer, ctypes.c_uint32], ctypes.c_bool
    lib.fold_is_silent.argtypes, lib.fold_is_silent.restype = [text, size_t], ctypes.c_bool
    lib.fold_report_message.argtypes, lib.fold_report_message.restype = [pointer, pointer, size_t], None
    lib.vocab_parse.argtypes = [pointer, text, size_t, text, pointer]
    return lib


def alphabet(lib, tokens, kind=CHAR, pinyin=None):
    data, v, error, a = "".join(t + "\n" for t in tokens).encode(), Vocab(), F5Error(), Alphabet()
    assert lib.vocab_parse(ctypes.byref(v), data, len(data), b"test", ctypes.byref(error)) == 0, error.message
    lib.fold_alphabet_init(ctypes.byref(a), kind, ctypes.byref(v), pinyin)
    a.held = v
    return a


def fold(lib, a, text, report=None):
    """The folded text; a None: fold_compat."""
    data, error = text.encode("utf-8", "surrogatepass"), F5Error()
    memory = ctypes.create_string_buffer(12 * len(data) + 1)
    out = TextBuffer(ctypes.addressof(memory), 0, 12 * len(data), False)
    if a is None:
        status = lib.fold_compat(data, len(data), ctypes.byref(out), ctypes.byref(error))
    else:
        status = lib.fold_text(ctypes.byref(a), data, len(data), ctypes.byref(out), report and ctypes.byref(report),
                               ctypes.byref(error))
    if status:
        raise f5lib.Error(status, error.message.decode())
    return memory.raw[:out.bytes].decode()


@pytest.fixture(scope="module")
def ascii_only(lib):
    return alphabet(lib, ASCII)


@pytest.fixture(scope="module")
def shipped(lib):
    with f5lib.ModelFile(f5lib.SHIPPED) as model:
        tokens = model.all("token")
    assert tokens == ASCII, "the shipped voice says ASCII"
    return alphabet(lib, tokens)


@pytest.fixture(scope="module")
def pinyin_like(lib):
    return alphabet(lib, PINYIN_LIKE, PINYIN)


# ---- kinds of characters

@pytest.mark.parametrize("text, want", [
    # troubles B53: typographic quotes
    ("He didn’t say “yes” or ‘no’ or „ja“", "He didn't say \"yes\" or 'no' or \"ja\""), ("«a» ‹b›", "\"a\" 'b'"),
    ("5′10″", "5'10\""), ("`a´", "`a'"), ("rock ʼn roll", "rock 'n roll"), ("Say 「yes」 and《no》.", 'Say "yes" and "no".'),
    ("Say「yes」now", 'Say "yes" now'),
    # troubles B09: letters of other widths and shapes
    ("Ｔｈｅ　ｄｏｇ１２", "The dog12"), ("𝐓𝐡𝐞 𝓭𝓸𝓰 𝟙𝟚 𝕴𝕳", "The dog 12 IH"), ("Ⓣⓗⓔ ⓓⓞⓖ", "The dog"), ("ﬁne oﬃce ﬂy", "fine office fly"),
    ("ªº ʰ", "ao h"), ("Ⅳ ⅷ Ⅻ", "IV viii XII"), ("ℌ ℝ ℯ K Å", "H R e K A"), ("🄰🅂", "AS"), ("㎏ ㎞ ㎡", "kg km m2"), ("Ǆ ǆ ŀ", "DZ dz l"),
    # numbers stay apart from those beside them
    ("10⁶ and 10²³, x², H₂O", "10 6 and 10 23, x2, H2O"), ("2½ cups, ¾, 1⁄2", "2 1/2 cups, 3/4, 1/2"),
    ("①②③ ⑴a ⒈b ❶❿", "1 2 3 (1) a 1. b 1 10"), ("٣٤ ४५ ๑๒", "34 45 12"),
    # accents, composed or not, and letters that Unicode leaves whole
    ("café naïve Ångström Łódź", "cafe naive Angstrom Lodz"), ("cafe\u0301 a\u030a\u0323", "cafe a"),
    ("Straße GROẞ Æsir œuvre Øre đ ð þ Þ ı İ ŋ ħ", "Strasse GROSS AEsir oeuvre Ore d d th Th i I ng h"), ("Việt Nam Đổi", "Viet Nam Doi"),
    ("ǽ ǿ", "ae o"), ("¨ ¯ ¸ ˝ a", "    a"),
    # dashes, dots, stops, spaces
    ("yes—no, yes — no", "yes - no, yes - no"), ("5–10 ‐ ‑ ‒ −3", "5-10 - - - -3"), ("so… what…now", "so... what... now"),
    ("one。two，three、four！five？six；seven：eight", "one. two, three, four! five? six; seven: eight"),
    ("one。 two", "one. two"), ("end。」Then", 'end." Then'), ("ａ．ｂ", "a. b"), ("１，０００ ３．５ １０：３０", "1,000 3.5 10:30"),
    ("a\u00a0b\u2003c\u202fd\u3000e\u2028f\u0085g\vh", "a b c d e f g h"), ("كم، ؟", ", ?"), ("x × y ∗ z ∕ w", "x x y * z / w"),
    ("Brand™ and ™", "Brand TM and TM"), ("№ 5 ℃", "No 5"), ("‽ ‼ ⁇", "?! !! ??"), ("¿Qué? ¡No!", "Que? No!"),
    # bullets
    ("• one", "one"), ("one • two", "one two"), ("one•two · three", "one two three"), ("◦ a ‣ b ▪ c", "a b c"),
    # invisible ones: what they cut is whole again
    ("gar\u00adden", "garden"), ("play\u200bing\u200d \u200cthe\ufeff", "playing the"), ("a\u2060b\u200e\u202ac\u202c\u2066d\u2069", "abcd"),
    ("a\x00b\x07c\x1bd\x7fe\x9ff", "abcdef"), ("a\ufe0fb\U000e0041c\u034f", "abc"), ("\ufffaa", "a"),
    # emoji
    ("That was great 😀😀😀", "That was great"), ("great 😀 job", "great job"), ("great😀job", "great job"), ("great 😀.", "great."),
    ("Wow😀, yes", "Wow, yes"), ("😀 yes 😀 no 😀!", "yes no!"), ("yes. 😀No", "yes. No"), ("yes.😀No", "yes. No"), ("1️⃣ 2️⃣ #️⃣", "1 2 #"),
    ("❤️ love", "love"), (" 😀 a 😀 ", " a "), ("a→b ↔ c", "a b c"), ("hello世界world", "hello world"), ("你好", ""),
])
def test_kinds(lib, shipped, text, want):
    got = fold(lib, shipped, text)
    assert got.translate(str.maketrans("‘’“”", "''\"\"")) == want  # which the tokenizer may replace by itself


@pytest.mark.parametrize("text, want", [
    # what the vocabulary has stays, and so does what the tokenizer replaces
    ("“didn’t”; … — ，。「x」½² €™№", None), ("caf\u00e9 cafe\u0301", None), ("\u200ea", None), ("你好, 世界〇", None), ("a\tb\r\nc", None),
    ("абв αβγ", None),
    # composed or in the other case where the vocabulary has that; a mark that it has stays, one that it lacks goes
    ("u\u0308", "ü"), ("E\u0300 e\u0300", "E è"), ("É", "é"), ("à", "À"), ("Ø Ł", "ø ł"), ("АБ Ω", "аб"), ("ế", "e\u0301"), ("ǘ", "ü\u0301"),
    # the kana it has, whatever their width; a sign among the Chinese characters that is Latin
    ("ﾊﾞ ｶﾞ ｰ が バ か\u3099", "バ ー が バ が"), ("３㎏", "3kg"), ("ａ", "a"), ("}", ""), ("^x", "x"), ("`", "'"),
])
def test_what_the_vocabulary_has(lib, pinyin_like, text, want):
    assert fold(lib, pinyin_like, text) == (text if want is None else want)


def test_chinese_characters_with_tables(lib):
    """With tables the tokenizer is asked how each is spelled: what it does not spell, or the model does not say, is told."""
    data = (ROOT / "weights/text/pinyin.bin").read_bytes()
    held, table, error = ctypes.create_string_buffer(data, len(data)), ctypes.create_string_buffer(1024), F5Error()
    lib.pinyin_table_open.argtypes = [pointer, pointer, size_t, ctypes.c_char_p, pointer]
    assert lib.pinyin_table_open(table, held, len(data), b"pinyin.bin", ctypes.byref(error)) == 0, error.message
    a, report = alphabet(lib, PINYIN_LIKE, PINYIN, table), Report()
    assert fold(lib, a, "你好，x", report) == "你好，x" and report.count == 0
    assert fold(lib, a, "你们 3㎏ \U0003fffd", report) == "你 3kg"
    assert [c for c, _, _ in report.told()] == ["们", "\U0003fffd"]


def test_a_vocabulary_without_capitals_signs_or_space(lib):
    a = alphabet(lib, [*"abcdeghilnorstuxy", "é", "."])
    assert fold(lib, a, "Hé SAID: “No…”") == "hésaidno..."
    assert fold(lib, a, "É Ø Æ ÇA Ⓐ ß") == "éoaecaass"
    assert fold(lib, alphabet(lib, [" ", "A", "B", "É"]), "abé ab e\u0301") == "ABÉ AB É"


@pytest.mark.parametrize("vocabulary, text, want", [
    ("eế", "e\u0302\u0301 e\u0301", "ế e"), ("eệ", "e\u0302\u0323", "ệ"), ("eêệ", "ê\u0323 e\u0323\u0302", "ệ ệ"), ("eê", "ệ", "ê"),
    ("eẹ", "ệ", "ẹ"), ("aeé", "ǽ æ\u0301 ae\u0301", "ae ae aé"),  # an accent on two letters goes
    ("xk", "x㎏x k", "x x k"),  # what an alternative wrote before it failed is taken back
    ("xy", "x•y x·y", "x y x y"), ("你x", "你😀你x😀你", "你你x你"),
])
def test_alternatives(lib, vocabulary, text, want):
    assert fold(lib, alphabet(lib, [" ", *vocabulary]), text) == want


def test_hangul(lib):
    a = alphabet(lib, [" ", "한", "국", "가"])
    assert fold(lib, a, unicodedata.normalize("NFD", "한국 가")) == "한국 가"
    jamo = alphabet(lib, [" ", *map(chr, range(0x1100, 0x1200))])
    assert fold(lib, jamo, "한국 가") == unicodedata.normalize("NFD", "한국 가")
    assert fold(lib, alphabet(lib, ASCII), unicodedata.normalize("NFD", "한 x")) == "x"


# ---- against Unicode's own data

def by_hand():
    spec = importlib.util.spec_from_file_location("make_fold", ROOT / "weights/text/make_fold.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_what_its_program_writes():
    made_with = "14.0.0"  # Debian 12's Python
    if unicodedata.unidata_version != made_with:
        pytest.skip(f"this Python has Unicode {unicodedata.unidata_version}, the table {made_with}")
    assert by_hand().make() == (ROOT / "host/text/fold_tables.c").read_text(encoding="utf-8")


def test_every_compatibility_form_of_ascii(lib, ascii_only):
    """Whatever unicodedata decomposes to ASCII and marks comes out as that ASCII, spaces apart."""
    hand, seen = by_hand().hand(), 0
    for code in range(0x80, 0x110000):
        if code in hand or 0xD800 <= code < 0xE000:
            continue
        plain = "".join(c for c in unicodedata.normalize("NFKD", chr(code)) if unicodedata.category(c)[0] != "M")
        plain = plain.replace("\u2044", "/")
        if plain != chr(code) and plain.isascii() and plain.strip():
            assert fold(lib, ascii_only, chr(code)).replace(" ", "") == plain.replace(" ", ""), hex(code)
            seen += 1
    assert seen > 1800


def test_every_decomposition(lib):
    """With a vocabulary of all that Unicode decomposes to, each character comes out as unicodedata has it, spaces apart."""
    apart = {c: d for c in map(chr, range(0x110000)) if (d := unicodedata.normalize("NFKD", c)) != c}
    a, hand = alphabet(lib, [" ", *sorted(set("".join(apart.values())))]), by_hand().hand()
    accents = [c for c, d in apart.items() if d[0] == " " and len(d) > 1]  # an accent that stands alone says nothing
    for c in accents:
        assert ord(c) in hand or fold(lib, a, c).strip() == "", hex(ord(c))
    checked = [c for c in apart if ord(c) not in hand and c not in accents and not any(ord(x) in hand for x in
               unicodedata.decomposition(c) and unicodedata.normalize("NFKD", c) if x not in apart and ord(x) > 0x7F)]
    assert len(checked) > 16000
    for c in checked:
        if apart[c] == "\u1160":
            continue  # the filler of Hangul is invisible
        got = fold(lib, a, c)
        assert got.replace(" ", "") == apart[c].replace(" ", ""), hex(ord(c))
        assert len(got.encode()) <= 12 * len(c.encode())


def test_every_composition(lib):
    """Base and marks of each composed character are that character, if the vocabulary has no marks."""
    composed = [chr(c) for c in range(0x10000) if not 0xD800 <= c < 0xE000 and
                unicodedata.normalize("NFC", unicodedata.normalize("NFD", chr(c))) == chr(c) and
                len(unicodedata.normalize("NFD", chr(c))) > 1 and unicodedata.normalize("NFKD", chr(c))[0] != " "]
    assert len(composed) > 900 + 11172
    apart = {c: unicodedata.normalize("NFD", c) for c in composed}
    sayable = {s[0] for s in apart.values()} | set(composed) - {chr(0x340 + i) for i in range(5)}
    a = alphabet(lib, [" ", *sorted(c for c in sayable if unicodedata.category(c)[0] != "M" and not "ᄀ" <= c <= "ᇿ")])
    for c in composed:
        if unicodedata.category(c)[0] != "M":
            assert fold(lib, a, apart[c]) == c, hex(ord(c))


def test_every_letter_turns_to_its_other_case(lib):
    pairs = [(c, c.lower()) for c in map(chr, range(0x20000)) if c.lower() != c and len(c.lower()) == 1 and
             c.lower().upper() == c]
    assert len(pairs) > 1300
    capitals, small = alphabet(lib, [" ", *(c for c, _ in pairs)]), alphabet(lib, [" ", *(c for _, c in pairs)])
    for capital, letter in pairs:
        assert fold(lib, small, capital) == letter and fold(lib, capitals, letter) == capital


def test_marks_and_invisible_characters_leave_nothing(lib, ascii_only):
    report = Report()
    for c in map(chr, range(0x110000)):
        category = unicodedata.category(c)
        if category[0] == "M" or category in ("Cf", "Cc") and c not in "\t\n\v\f\r\x85":
            if ord(c) in range(0x600, 0x900) and category == "Cf" and c != "\u061c" or ord(c) in (0x110BD, 0x110CD):
                continue  # signs before Arabic and Kaithi numbers, which have a shape
            if 0x13430 <= ord(c) < 0x13460:
                continue  # joiners of hieroglyphs
            assert fold(lib, ascii_only, f"a{c}b", report) in ("ab", "a b"), hex(ord(c))
    assert report.count == 0, report.told()


# ---- without a vocabulary

@pytest.mark.parametrize("text, want", [
    ("Ｄｏｇ　１２％ ＄５", "Dog 12% $5"), ("𝐃𝐨𝐠 𝟙 Ⓓ ① ❷ Ⅳ ﬁ 🄰", "Dog 1 D 1 2 IV fi A"), ("“a” ‘b’ didn’t „c‟", "\"a\" 'b' didn't \"c\""),
    ("a–b ‐ ‑ ‒ −5 — c—d", "a-b - - - -5 - c - d"), ("a\u00a0b\u2009c\u3000d", "a b c d"), ("so\u00adft\u200b\ufeff\x07", "soft"),
    ("１，０００ ３．５ １０：３０", "1,000 3.5 10:30"), ("1️⃣", "1"), ("𝛼", "α"),
    *((text, text) for text in ("½ € ² ™ № ℃ ° ×", "café e\u0301 ß Łódź", "你好，世界。", "so… ¿Qué? «a»", "Привет", "• → 😀", "a\tb\r\n",
                                "x² ㎏", "한국 カ ｶ", "～（）！", "plain text.")),
])
def test_compat(lib, text, want):
    assert fold(lib, None, text) == want


# ---- the report

def told(lib, *texts, a):
    report = Report()
    for text in texts:
        fold(lib, a, text, report)
    message = ctypes.create_string_buffer(512)
    lib.fold_report_message(ctypes.byref(report), message, len(message))
    return report, message.value.decode()


def test_report(lib, shipped):
    report, message = told(lib, "Hi there 😀, ", "一 and 😀.", a=shipped)
    assert report.told() == [("😀", 2, 9), ("一", 1, 15)] and report.count == 3
    assert message == ("the text has 3 characters that the model cannot say, and leaves them out: U+1F600 '😀' (2 times, "
                       "first at byte 9), U+4E00 '一' (at byte 15)")
    assert told(lib, "x 😀", a=shipped)[1] == ("the text has 1 character that the model cannot say, and leaves it out: "
                                               "U+1F600 '😀' (at byte 2)")
    assert told(lib, "plain “text”", a=shipped)[1] == ""


def test_emoji_of_several_characters_count_once(lib, shipped):
    report, _ = told(lib, "👨\u200d👩\u200d👧\u200d👦 👍🏽 🇩🇪🇫🇷 ❤️\u200d🔥 🏴\U000e0067\U000e0062\U000e007f 1️⃣", a=shipped)
    assert [(c, n) for c, n, _ in report.told()] == [("👨", 1), ("👍", 1), ("🇩", 1), ("🇫", 1), ("❤", 1), ("🏴", 1)]
    assert told(lib, "😀😀", a=shipped)[0].count == 2


def test_many_unknown_characters(lib, shipped):
    letters = [chr(0x4E00 + i) for i in range(40)]
    report, message = told(lib, " ".join(letters * 2), a=shipped)
    assert report.count == 80 and report.told() == [(c, 2, 4 * i) for i, c in enumerate(letters[:16])]
    shown = message.count("U+")
    assert 8 <= shown <= 16 and message.endswith(f" and {80 - 2 * shown} more") and len(message.encode()) < 512


def test_the_message_shows_no_character_that_moves_things(lib, shipped):
    _, message = told(lib, "a \ue000 \U0010ffff \u0600 \ufffc b", a=shipped)
    assert message.endswith("U+E000 (at byte 2), U+10FFFF (at byte 6), U+0600 (at byte 11), U+FFFC (at byte 14)")


def test_malformed_text_is_named_by_the_running_offset(lib, shipped):
    report = Report(offset=100)
    with pytest.raises(f5lib.Error, match="malformed UTF-8 at byte 102") as failure:
        fold(lib, shipped, "ab\udc80", report)
    assert failure.value.code == FORMAT


@pytest.mark.parametrize("text, silent", [("", True), ("  .,!?… —()\n\t", True), ("😀 ❤️", True), ("\u0301\u200b", True), ("。、「」", True),
                                          ("$ % &", True), ("a", False), (" 7.", False), ("é", False), ("你", False), ("٣", False),
                                          ("\U00020000", False), ("ア", False), ("½", False)])
def test_silent(lib, text, silent):
    data = text.encode()
    assert lib.fold_is_silent(data, len(data)) == silent


def test_speed(lib, shipped, pinyin_like):
    """The bar is 20 ms for 1 MB of plain text on an idle core; five times that of processor time is allowed on a busy one."""
    text = b"The children didn't play; they were in the garden. " * 20000
    memory, error = ctypes.create_string_buffer(len(text)), F5Error()
    for a in (shipped, pinyin_like):
        seconds = []
        for _ in range(5):
            out = TextBuffer(ctypes.addressof(memory), 0, len(text), False)
            began = time.process_time()
            assert lib.fold_text(ctypes.byref(a), text, len(text), ctypes.byref(out), None, ctypes.byref(error)) == 0
            seconds.append(time.process_time() - began)
            assert out.bytes == len(text) and ctypes.string_at(memory, len(text)) == text
        assert min(seconds) < 0.1, seconds
