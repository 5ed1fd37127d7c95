"""The corpus: labels fit the sound, lengths fit the batches, sequences are laid out as the engine lays them out."""
import numpy as np
import pytest
import torch

import batches
import data
import dit
import model as reference
from sentences import Texts, plain

WORDS = "\n\n" + "".join(f"{kind}\t{word}\t9\n" for kind, word in (
    ("noun", "river"), ("noun", "teacher"), ("verb", "open"), ("verb", "carry"), ("adjective", "simple"),
    ("adverb", "slowly")))
EXAMPLES = ["she gave a quick answer", "the weather changed on the way home", "a glass of milk",
            "they sat down and waited for the train"]


@pytest.fixture(scope="module")
def shard(flite, tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "sentences.txt").write_text("\n".join(EXAMPLES) + WORDS)
    limits = data.SESSIONS, data.UTTERANCES
    data.SESSIONS, data.UTTERANCES = 1, 12
    try:
        data.make_shard(folder / "00001.npz", seed, folder / "sentences.txt", None, [EXAMPLES[3]])
    finally:
        data.SESSIONS, data.UTTERANCES = limits
    return folder / "00001.npz"


def texts_of(z):
    ends = np.cumsum(z["letters"])
    return [bytes(z["text"][end - n:end]).decode() for end, n in zip(ends, z["letters"])]


def test_texts(shard, seed):
    texts = Texts(shard.parent / "sentences.txt", seed, [EXAMPLES[3]])
    for _ in range(300):
        text = texts.draw()
        assert 2 <= len(text.split()) <= 25
        assert plain(text.replace(".", "")) is not None, text
        assert EXAMPLES[3] not in text.lower()  # held out


def test_a_shard_is_consistent(shard):
    z = np.load(shard)
    assert len(z["audio"]) == z["frames"].sum() * data.HOP
    assert len(z["phone"]) == len(z["letter"]) == z["frames"].sum() and len(z["text"]) == z["letters"].sum()
    assert 4 <= len(z["frames"]) <= 12  # a slow speaker's texts are refused at times, never most of them


def test_utterances_are_as_long_as_is_wanted(flite, seed):
    """Frames of the grid, less 4, but for the edges: slices of 10 ms, and a quiet phone that trimming leaves at one pace
    and cuts at another: the k of milk, by up to 10 frames in 700 utterances; no other text is off by more than 4."""
    rng, missed = np.random.default_rng(seed), []
    for index, voice in enumerate(flite.values()):
        speaker = data.Speaker(index, rng, plain=False)
        for text in EXAMPLES:
            target = data.target_frames(speaker, text)
            assert target % data.GRID == data.GRID - 4 and abs(target / len(text) - speaker.pace) <= data.GRID / 2 / len(text)
            samples, phone, letter = data.utterance(speaker, voice, text)
            assert len(samples) == data.HOP * len(phone) and len(phone) == len(letter)
            missed.append(abs(len(phone) - target))
    assert max(missed) <= data.GRID and np.median(missed) <= 4, missed


def test_what_cannot_be_said_at_the_pace_is_refused(flite, seed):
    speaker = data.Speaker(0, np.random.default_rng(seed))
    for pace in (0.4, 2.5):
        speaker.pace = data.NATURAL_PACE["slt"] * pace
        assert data.utterance(speaker, flite["slt"], EXAMPLES[0]) is None
    speaker.pace = data.NATURAL_PACE["slt"]
    assert data.utterance(speaker, flite["slt"], "42 of them") is None  # read as two words


def test_labels_fit_the_sound(shard):
    """Vowels are loud and pauses are quiet; letters run from the first to the last."""
    z = np.load(shard)
    level = np.log(1e-4 + np.sqrt((z["audio"].reshape(-1, data.HOP) / 32768.0) ** 2).mean(axis=1))
    vowels = np.isin(z["phone"], [data.PHONES.index(p) for p in ("aa", "ae", "ay", "eh", "ey", "iy", "ow", "ao")])
    fricatives = np.isin(z["phone"], [data.PHONES.index(p) for p in ("f", "s", "sh", "t", "k", "p", "th", "hh")])
    assert level[vowels].mean() > level[fricatives].mean() + 0.5
    start = 0
    for frames, text in zip(z["frames"], texts_of(z)):  # quiet edges are cut, but no word is quiet from end to end
        run, words = z["letter"][start:start + frames], text.split()
        assert run[0] < len(words[0]) and run[-1] > len(text) - len(words[-1]) and (np.diff(run) >= 0).all()
        start += frames


def test_a_sequence_is_what_the_engine_sees(shard):
    """The mel of two joined utterances is the mel of their joined sound, and texts are joined by the engine's rule."""
    store = batches.Store(torch.device("cpu"), 20000)
    assert store.add(shard)
    store.finish()
    z = np.load(shard)
    texts = texts_of(z)
    ends = np.cumsum(z["frames"]) * data.HOP
    sound = [z["audio"][e - f * data.HOP:e] for e, f in zip(ends, z["frames"])]
    stops = [i for i, t in enumerate(texts) if t.endswith(".")]
    i, j = stops[0], (stops[0] + 1) % len(texts)
    fi, fj = int(z["frames"][i]), int(z["frames"][j])
    length = fi + batches.GAP + fj + 4
    joined = np.concatenate([sound[i], np.zeros(batches.GAP * data.HOP), sound[j], np.zeros(8 * data.HOP)]) / 32767
    expected = reference.mel(torch.from_numpy(joined).float())[:length]
    mel, known, ids, n, phone, ahead = store.joined(torch.tensor([[i, j]]), length)
    assert int(known) == fi + batches.GAP
    # 16-bit storage of the mel, and reflection instead of silence at the very start
    assert (mel[0, 2:] - expected[2:]).abs().max() < 0.02
    text = "".join(dit.VOCAB[k - 1] for k in ids[0, :int(n)].tolist())
    assert text == texts[i] + "  " + texts[j] and not ids[0, int(n):].any()
    due = ahead[0] * batches.LETTERS_PER_UNIT + dit.letter_shown(n, length)[0]
    assert (due.diff() > -0.02).all() and due[0] < len(texts[i].split()[0]) + 0.02 and abs(float(due[-1]) - len(text)) < 1


def test_batches_hide_what_is_to_be_spoken(shard, seed):
    torch.manual_seed(seed)
    store = batches.Store(torch.device("cpu"), 20000)
    store.add(shard)
    store.finish()
    length = 800
    store.pairs[length] = torch.tensor([[0, 1], [2, 3]])
    b = store.batch(length, 64)
    assert torch.isfinite(b.state).all() and (b.t >= 0).all() and (b.t <= 1).all()
    silence = torch.full_like(b.cond, batches.SILENCE)
    hidden = (b.cond == 0).all(dim=2) | torch.isclose(b.cond, silence).all(dim=2)
    assert hidden[b.mask > 0].all()
    assert 1 <= int(b.null.sum()) <= 32  # a fifth of 64: none, or so many, once in a million runs
