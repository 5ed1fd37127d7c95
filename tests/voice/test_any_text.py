"""Texts of any kind: the lists are what they say, recordings survive their files, and the shipped voice, heard, says
short texts and numbers."""
from types import SimpleNamespace

import numpy as np
import pytest

import any_text
import data
import f5lib
from hearing import EARS_RATE, hear, words
from sentences import plain

MODEL = f5lib.SHIPPED


@pytest.mark.parametrize("part, count", [("short", 60), ("numbers", 40), ("capitals", 20)])
def test_texts_and_the_words_that_they_are(part, count):
    pairs = any_text.pairs(part)
    assert len(pairs) == len(dict(pairs)) == count
    for text, said in pairs:
        assert plain(said) and said == " ".join(said.lower().split()), text
        assert (len(text.encode()) < 10) == (part == "short"), text
        if part == "numbers":
            assert any(c.isdigit() for c in text) or "." in text[:-1], text
        else:  # the words are the text's own
            assert words(text) == words(said), text
        if part == "capitals":
            assert any(len(word) > 2 and word.isupper() for word in text.split()), text


def test_questions_are_questions():
    asked = any_text.texts("questions")
    assert len({*asked}) == 20 and all(line[0].isupper() and line.endswith("?") and line.count("?") == 1 for line in asked)
    assert any_text.pairs("questions") == [(line, line) for line in asked]


def test_the_story_is_forty_sentences():
    story = any_text.texts("story")
    assert len(story) == 40 and all(line[0].isupper() and line.endswith(".") and line.count(".") == 1 for line in story)
    assert any_text.pairs("story") == [(" ".join(story),) * 2]


def test_no_voice_is_trained_on_them():
    banned = data.held_out_sentences()
    assert all(plain(line) for line in banned)
    for part in ("numbers", "capitals"):
        assert {said for _, said in any_text.pairs(part)} <= set(banned)
    assert {*any_text.texts("story"), *any_text.texts("questions")} <= set(banned)


def test_every_task_is_a_text_a_voice_and_settings():
    todo = any_text.tasks((*any_text.PARTS, "pace"), ["slt", "rms"])
    assert len({(t.part, t.kind, t.speaker, t.number) for t in todo}) == len(todo)
    count = {part: sum(t.part == part for t in todo) for part in (*any_text.PARTS, "pace")}
    assert count == dict(plain=60, questions=40, lengths=46, short=240, numbers=160, capitals=80, story=6, pace=2 * (6 * 60 + 8 * 6))
    assert all(t.settings == {} and t.speech == (None if t.kind == "now" else {}) for t in todo
               if t.kind in ("now", "before"))


def test_a_copy_of_the_model_says_what_it_is_told(tmp_path):
    """Of speech; its licence and credit stay."""
    before, told = MODEL.read_bytes(), any_text.set_speech.set_speech(MODEL, [])
    rights = {key: told[key] for key in ("license", "credit")}
    with any_text.model_that_says(MODEL, {"slowest": 60}) as path, any_text.model_that_says(MODEL, None) as same:
        assert any_text.set_speech.set_speech(path, []) == {**rights, "slowest": 60} and same == MODEL
    assert MODEL.read_bytes() == before and not any_text.Path(path).exists()


def test_recordings_survive_their_files(tmp_path, monkeypatch):
    monkeypatch.setattr(any_text, "FILE_SECONDS", 1)
    rng, todo = np.random.default_rng(1), any_text.tasks(["capitals"], ["slt"])[:5]
    spoken = [(t, rng.integers(-9, 9, 4000 + 3000 * i).astype(np.int16)) for i, t in enumerate(todo)]
    any_text.keep(tmp_path / "new", iter(spoken))
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["0.npz", "1.npz", "2.npz", "3.npz"]
    again = any_text.kept(tmp_path / "new")
    assert [t for t, _ in again] == todo
    assert all(np.array_equal(x, y) and x.dtype == y.dtype for (_, x), (_, y) in zip(spoken, again))
    with pytest.raises(SystemExit, match="no recordings"):
        any_text.kept(tmp_path)


def test_the_shipped_voice_says_them(ears):
    """Three texts in michael's voice. Measured: no word of 14 wrong; 3 without what the file says of speech. Another
    compiler's rounding may turn a sound, and with it a word or two of a text."""
    chosen = {"short": "Hello.", "numbers": "My sister was born in 1987.", "capitals": "KEEP OUT OF THE WATER."}
    todo = [t for t in any_text.tasks(list(chosen), ["michael"]) if t.kind == "now" and t.text == chosen[t.part]]
    assert len(todo) == 3
    options = SimpleNamespace(model=MODEL, device="cpu", voices=["michael"], seed=1, nfe=7, prompts=any_text.PROMPTS, method="euler",
                              precision="fp32")
    scores = any_text.scores(list(any_text.speak(options, todo)), processes=1)
    lines = [line for by_speaker in scores.values() for line in by_speaker["michael"].lines]
    print([(line.text, line.heard) for line in lines])
    assert sum(line.errors for line in lines) <= 2
