"""Text as phonemes (host/phonemes), against what Flow-Matching-TTS's cleaners make of it: Unidecode 1.4.0, phonemizer
3.4.0 and espeak-ng 1.51, which wrote the rows below. tests/compare_phonemes.py compares thousands of sentences where
these packages are installed."""
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = Path(os.environ.get("F5_BUILD", ROOT / "build")) / "bin" / "phoneme_lines"
ROWS = [
    ('Hello, world.',
     'həlˈoʊ, wˈɜːld.'),
    ('The quick brown fox jumps over the lazy dog, and the children are playing in the garden.',
     'ðə kwˈɪk bɹˈaʊn fˈɑːks dʒˈʌmps ˌoʊvɚ ðə lˈeɪzi dˈɑːɡ, ænd ðə tʃˈɪldɹən ɑːɹ plˈeɪɪŋ ɪnðə ɡˈɑːɹdən.'),
    ("Mr. Smith and Dr. Jones met at St. Mary's; Mrs. Lee stayed home.",
     'mˈɪstɚ smˈɪθ ænd dˈɑːktɚ dʒˈoʊnz mˈɛt æt sˈeɪnt mˈɛɹiz; mɪsˈɛs lˈiː stˈeɪd hˈoʊm.'),
    ('“Really?” she said… and left — at once.',
     '"ɹˈiəli?" ʃiː sˈɛd... ænd lˈɛft ɐtwˈʌns.'),
    ('It costs $3.50, or 1,000 francs!',
     'ɪt kˈɔsts dˈɑːlɚ θɹˈiː pɔɪnt fˈaɪv zˈiəɹoʊ, ɔːɹ wˈʌn θˈaʊzənd fɹˈæŋks!'),
    ('Version 2.5.',
     'vˈɜːʒən tˈuː. fˈaɪv'),
    ('Version 2.5 is 1,000 up.',
     'vˈɜːʒən tˈuː. fˈaɪv ɪz wˈʌn θˈaʊzənd ˈʌp'),
    ('Naïve café owners (in Ångström) pay £20.',
     'naɪˈiːv kˈæfeɪ ˈoʊnɚz (ɪn ˈæŋstɹɑːm) pˈeɪ pˌiːˈɛs twˈɛnti.'),
    ('one,two,three',
     'wˈʌn,tˈuː,θɹˈiː'),
    ('U.S.A., e.g. the A&B Co. Ltd.',
     'jˈuː.ˈɛs.ˈeɪ., ˈiː.dʒˈiː. ðɪ ˈeɪɐnd bˈiː kˈʌmpəni lˈɪmɪɾᵻd'),
    ('...',
     '...'),
    ('(brackets) [and] {braces} «quoted»',
     '(bɹˈækɪts) [ænd] {bɹˈeɪsᵻz} kwˈoʊɾᵻd'),
    ('¿Qué?',
     '?kwˈɛ?'),
    ('ROW IN THE BOAT',
     'ɹˈoʊ ɪnðə bˈoʊt'),
    ('a  b \t c',
     'ɐ bˈiː sˈiː'),
    ('one\x01 two\x7f\x1b three',  # espeak's commands begin so
     'wˈʌn tˈuː θɹˈiː'),
    ('first\xa0line ½ full',
     'fˈɜːst lˈaɪn wˈʌn slˈæʃ tˈuː fˈʊl'),
    ('read the read book',
     'ɹˈiːd ðə ɹˈiːd bˈʊk'),
    ('1st of May, 1995 at 10:30',
     'fˈɜːst ʌv mˈeɪ, nˈaɪntiːnhˈʌndɹɪd nˈaɪnti fˈaɪv æt tˈɛn:θˈɜːɾi'),
    ("it's the dogs' 'own' place",
     'ɪts ðə dˈɑːɡz ˈoʊn plˈeɪs'),
    ('x_y -- z/w \\ 50% #1',
     'ˈɛks wˈaɪ zˈiː slˈæʃ dˈʌbəljˌuː bˈækslæʃ fˈɪfti pɚsˈɛnt hˈæʃ wˈʌn'),
    ("the photographer's photograph of photography",
     'ðə fətˈɑːɡɹəfɚz fˈoʊɾəɡɹˌæf ʌv fətˈɑːɡɹəfi'),
]


def phonemes(lines):
    done = subprocess.run([PROGRAM], input="".join(line + "\n" for line in lines).encode(), capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().split("\n")[:-1]


def test_rows_are_those_of_the_cleaners():
    assert phonemes([text for text, _ in ROWS]) == [ipa for _, ipa in ROWS]


def test_a_text_says_the_same_again_and_beside_others():
    texts = [text for text, _ in ROWS]
    assert phonemes(texts * 3) == phonemes(texts) * 3
    assert [phonemes([text])[0] for text in texts[:4]] == phonemes(texts[:4])


def test_what_is_not_latin_stays_for_the_model_to_refuse():
    assert phonemes(["say Жук now", "好"]) == ["sˈeɪ Жук nˈaʊ", "好"]


@pytest.mark.parametrize("text", [b"a\xffb", b"\xc3", b"\xed\xa0\x80"])
def test_malformed_utf8_is_named(text):
    done = subprocess.run([PROGRAM], input=text + b"\n", capture_output=True, timeout=600)
    assert done.returncode == 1 and b"malformed UTF-8 at byte" in done.stderr


def odd_lines(rng, n):
    alphabet = list(".,;:!?\"()[]{}'- \t0123456789abcxyz_&%$#@éß“”…")
    return ["".join(rng.choice(alphabet, size=rng.integers(1, 120))) for _ in range(n)]


def test_long_and_odd_lines(rng):
    """No crash and no endless loop: bytes of marks, digits, spaces and letters in any order."""
    parts = odd_lines(rng, 400)
    assert len(phonemes(parts)) == len(parts)
