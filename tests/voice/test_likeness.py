"""Melody, upper band and likeness of speakers: of tones whose figures are known."""
import numpy as np
import pytest
import torch

import batches
import likeness
import measure


def sung(hz, rng):
    """A voice of harmonics whose pitch follows hz [n]."""
    phase = 2 * np.pi * np.cumsum(hz) / 24000
    return sum(np.sin(k * phase) / k for k in range(1, 12)) * 0.1 + 1e-4 * rng.standard_normal(len(hz))


@pytest.mark.parametrize("middle", [95, 140, 210])
def test_melody(rng, middle):
    semitones = 3 * np.sin(2 * np.pi * np.arange(72000) / 24000)  # a spread of 3 / sqrt(2)
    x = sung(middle * 2 ** (semitones / 12), rng)
    x[30000:36000] = 1e-4 * rng.standard_normal(6000)  # no pitch there
    median, spread = likeness.melody([x, x])
    assert abs(12 * np.log2(median / middle)) < 0.7 and abs(spread - 2.12) < 0.4
    assert likeness.melody([1e-3 * rng.standard_normal(24000)])[1] >= 0
    assert likeness.melody([np.zeros(100)]) == (0.0, 0.0)


def test_upper_band(rng):
    t = np.arange(48000) / 24000
    x = np.sin(2 * np.pi * 500 * t) + 0.1 * np.sin(2 * np.pi * 8000 * t)
    assert abs(likeness.upper_band([x]) + 20) < 0.5
    assert likeness.upper_band([np.sin(2 * np.pi * 500 * t), np.zeros(10)]) < -50


def test_likeness(tmp_path, rng, capsys):
    """Speakers are directions; what is made for one lies between it and another."""
    (tmp_path / "heard.py").write_text(
        "import numpy as np\nclass Embed:\n    def __init__(self, weights): self.weights = weights\n"
        "    def __call__(self, x):\n        v = np.asarray(x)[:3]\n        return v / np.linalg.norm(v)\n")
    embed = likeness.embedder(tmp_path / "heard.py", "file")
    assert embed.weights == "file"
    near = lambda v: [np.array(v) + 0.01 * rng.standard_normal(3) for _ in range(3)]  # noqa: E731
    real = {"a": near([1, 0, 0]), "b": near([0, 1, 0]), "c": near([0, 0, 1])}
    made = {"a": near([1, 0.3, 0]), "b": near([0, 0.3, 1])}
    same, others, clone, right = likeness.similarities(embed, real, made)
    assert same > 0.99 and others < 0.05 and right == {"a": 3, "b": 0}
    assert abs(clone["a"] - 1 / np.hypot(1, 0.3)) < 0.03 and abs(clone["b"] - 0.3 / np.hypot(1, 0.3)) < 0.06
    assert likeness.print_likeness(embed, real, made)["right"] == right
    assert "3 of 6" in capsys.readouterr().out


def test_short_recordings_are_joined():
    """Five of 2.5 s: two pieces of two each, the last is left out; of three or one nothing is joined."""
    real = {s: [np.full(60000, 10 * i + k) for i in range(5)] for k, s in enumerate("ab")}
    made = {"a": [x + 5 for x in real["a"]]}
    for count, pieces, seconds in ((5, [(0, 10), (20, 30)], 5), (3, [(0,), (10,), (20,)], 2.5), (1, [(0,)], 2.5)):
        found, other, long = likeness.joined({s: x[:count] for s, x in real.items()}, {s: x[:count] for s, x in made.items()})
        assert long == seconds and [tuple(x[::60000]) for x in found["a"]] == pieces
        assert [tuple(x[::60000] - 1) for x in found["b"]] == pieces and [tuple(x[::60000] - 5) for x in other["a"]] == pieces


class Mels:
    """What measure.py needs of an engine to compare colours."""

    def mel(self, samples):
        return batches.Mel(torch.device("cpu"))(torch.from_numpy(samples)).numpy()


def test_a_voice_beside_another_teacher(tmp_path, ears, flite, capsys):
    """Recordings of a teacher instead of flite's; what is made is the same recordings."""
    sentence = measure.texts("sentences")[0]
    for speaker in ("slt", "rms"):
        measure.keep(tmp_path, speaker, 0, measure.flite_says(speaker, sentence))
    said = measure.from_folder(tmp_path)
    words = measure.measure_words(Mels(), [sentence], ["slt", "rms"], said, vocoder=False, teacher=said)
    assert set(words["scores"]) == {"teacher", "ours"} and not words["wrong_speakers"]
    for speaker in ("slt", "rms"):
        assert words["scores"]["ours"][speaker].lines == words["scores"]["teacher"][speaker].lines
    rows = likeness.print_sound(words["real"], words["made"])
    for speaker, low, high in (("slt", 140, 220), ("rms", 80, 130)):
        (real, made), band = rows[speaker]["pitch"], rows[speaker]["band"]
        assert low < real[0] < high and 0.5 < real[1] < 4 and real == made and band[0] == band[1] < -15
    assert "ratio" in capsys.readouterr().out
