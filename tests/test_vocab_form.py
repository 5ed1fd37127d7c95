"""f5 convert refuses a vocabulary in which nothing is a letter: a file of another form, whose every text would be noise."""
import pytest

import convert_lib as lib
from convert_lib import rc
from test_convert import refused


@pytest.mark.parametrize("kind", ["pinyin", "char", "custom"])
@pytest.mark.parametrize("line, words", [("{token}\t{id}", ("' ?0', '!?1'", "cut -f1")), ("{id} {token}", ("'0  ', '1 !'",)),
                                         ('"{token}": {id},', ("""'" ": 0,'""",))])
def test_vocabularies_of_another_form_are_refused(tmp_path, kind, line, words):
    made = rc.make_checkpoint(tmp_path, "tiny", seed=1, tokenizer=kind)
    path = tmp_path / "other.txt"
    path.write_text("".join(line.format(token=t, id=i) + "\n" for i, t in enumerate(made["vocab"])))
    refused(lib.convert(made, tmp_path / "out.f5", vocab=path), path, "no line is a letter", "one token a line", *words)
    assert not (tmp_path / "out.f5").exists()


@pytest.mark.parametrize("letters", ["абвгдежз", "你好世界", "αβγδ", "אבגד", ["ni3", "hao3"], ["A", "。"], ["é"]])
def test_a_letter_of_any_script_is_enough(tmp_path, letters):
    made = rc.make_checkpoint(tmp_path, "tiny", seed=1)
    signs = [chr(0x2600 + i) for i in range(len(made["vocab"]) - len(letters))]
    path, out = tmp_path / "other.txt", tmp_path / "out.f5"
    path.write_text("".join(t + "\n" for t in [" ", *signs[1:], *letters]), encoding="utf-8")
    lib.converted(made, out, vocab=path)
    path.write_text("".join(t + "\n" for t in [" ", *signs[1:], *("?!0123456789"[i] for i in range(len(letters)))]),
                    encoding="utf-8")
    refused(lib.convert(made, out, vocab=path), "no line is a letter")
