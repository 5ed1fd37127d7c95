"""The measuring of voices: what counts as an error, and that the recogniser tells words from noise."""
import numpy as np
import pytest

import measure
from hearing import Heard, Score, hear


@pytest.mark.parametrize("said,heard,errors", [  # substituted, missing, repeated, added
    ("The cat sat.", "the cat sat", (0, [], [], [])), ("The cat sat.", "the bat sat", (1, [], [], [])),
    ("The cat sat.", "the sat", (0, ["cat"], [], [])), ("The cat sat.", "", (0, ["the", "cat", "sat"], [], [])),
    ("The cat sat.", "the cat the cat sat", (0, [], ["the", "cat"], [])),
    ("The cat sat.", "the cat sat sat", (0, [], ["sat"], [])), ("The cat sat.", "oh the cat sat", (0, [], [], ["oh"])),
    ("It isn't, no.", "it isn't no", (0, [], [], [])), ("Goodbye, dr.", "good bye doctor", (0, [], [], [])),
    ("Lamb meat.", "lamb eat", (1, [], [], [])), ("one two three four", "two three five four", (0, ["one"], [], ["five"]))])
def test_words_are_counted(said, heard, errors):
    line = Heard(said, heard)
    assert (line.substituted, line.missing, line.repeated, line.added) == errors
    assert line.errors == errors[0] + sum(map(len, errors[1:]))
    twice = Score([line, Heard(said, said)])
    assert twice.count("wrong") == line.errors and twice.count("said") == 2 * len(said.split())
    assert twice.percent == pytest.approx(50 * line.errors / len(said.split()))


def test_the_recogniser_hears_words_and_not_noise(ears, flite):
    sentence = "The children are playing in the garden."
    noise = np.random.default_rng(3).standard_normal(60000) * 0.1
    spoken = measure.flite_says("slt", sentence)  # once: flite's voices draw from one stream of random numbers
    heard = hear([spoken, noise, spoken], processes=2)
    assert Heard(sentence, heard[0]).errors <= 2
    assert Heard(sentence, heard[1]).errors >= 6
    assert heard[0] == heard[2]


def test_sentences_have_the_lengths_they_are_for():
    assert [len(line.split()) for line in measure.texts("lengths")] == list(range(3, 26))
    assert len(measure.texts("sentences")) >= 30 and len(measure.texts("long")) == 5


def test_prompts_are_plain_recordings():
    known = [line for name in ("sentences", "lengths", "long") for line in measure.texts(name)]
    for speaker in (*measure.VOICES, "slt", "rms", "awb"):
        samples, transcript = measure.prompt(speaker)
        assert 2 < len(samples) / 24000 < 8 and transcript.endswith(".")
        assert 0.03 < np.sqrt((samples ** 2).mean()) < 0.4 and np.isfinite(samples).all()
        assert transcript not in known
