"""A teacher's jobs and what becomes of its answers, with a teacher whose every phone is a tone: labels fit the sound."""
import csv
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

import batches
import cbind
import data
import taught
import teacher
import texts
import train_vocos

EXAMPLES = ["she gave a quick answer", "the weather changed on the way home", "a glass of milk", "over the hills"]
WORDS = "\n\n" + "".join(f"{kind}\t{word}\t9\n" for kind, word in (
    ("noun", "river"), ("noun", "teacher"), ("verb", "open"), ("adjective", "simple"), ("adverb", "slowly")))
VOCAB = {symbol: i + 1 for i, symbol in enumerate(dict.fromkeys([*teacher.PHONES[1:], *teacher.PAUSE, *teacher.STRESS]))}
SOUNDS = dict(zip("abcdefghijklmnopqrstuvwxyz", "abʃdɛfɡhijklmnoprɹstuvwxzʒ"))


def tokens(text):
    """Letters are phones; the first one is stressed. A name of capitals has more phones than letters."""
    result = []
    for token, white in re.findall(r"([A-Za-z']+|[^A-Za-z' ])( ?)", text):
        sounds = "".join(SOUNDS.get(c, "") for c in token.lower())
        result.append((token, white, "ˈ" + sounds * (2 if token.isupper() else 1) if sounds else token))
    return result


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    path = tmp_path_factory.mktemp("jobs") / "sentences.txt"
    path.write_text("\n".join(EXAMPLES) + WORDS)
    return path


@pytest.fixture(scope="module")
def jobs(sentences, seed):
    """Three sessions of six utterances and six of two, the second of them warped."""
    path, rng = sentences, np.random.default_rng(seed)
    packs = {name: rng.standard_normal((5, 4)) for name in teacher.VOICES}
    made = teacher.make_jobs(texts.Writer(path, seed), tokens, VOCAB, packs, 3, rng, utterances=6, few=2)
    made["warp"][:] = 1
    made["warp"][1] = 1.05
    made["target"] = np.where(made["speaker"] == 1, np.rint(made["target"] * 1.05), made["target"]).astype(np.int32)
    np.savez(path.parent / "jobs.npz", **made)
    return path.parent / "jobs.npz", made


def tone(phone):
    return 300 + 40 * phone


def speak(jobs, u):
    """(samples, durations, samples cut from the front): every phone a tone, where the labels say."""
    end = np.cumsum(jobs["lengths"])[u]
    phone = jobs["phone"][end - jobs["lengths"][u]:end]
    total = jobs["target"][u] / taught.FRAME
    each = np.full(len(phone), max(1, int(total / len(phone))))
    each[:max(0, round(total) - each.sum())] += 1
    durations = np.concatenate([[9], each, [7]])
    heard = np.repeat(np.concatenate([[0], phone, [0]]), durations * taught.FRAME)[taught.LATE:]
    first, last = np.flatnonzero(heard)[[0, -1]]
    begin = first // 240 * 240
    heard = heard[begin:last + 1]
    wave = np.sin(2 * np.pi * np.cumsum(tone(heard)) / 24000) * 8000 * (heard > 0)
    return np.rint(wave).astype(np.int16), durations, begin


@pytest.fixture(scope="module")
def corpus(jobs, seed):
    """Shards of the teacher in another order than the jobs, and what is made of them."""
    path, arrays = jobs
    folder = path.parent / "teacher"
    folder.mkdir()
    order = np.random.default_rng(seed).permutation(len(arrays["lengths"]))
    for number, which in enumerate(np.array_split(order, 4)):
        said = [speak(arrays, u) for u in which]
        wide = max(len(d) for _, d, _ in said)
        np.savez(folder / f"0-{number:05}.npz", utterance=which.astype(np.int32), audio=np.concatenate([a for a, _, _ in said]),
                 samples=np.array([len(a) for a, _, _ in said], np.int32), begin=np.array([b for _, _, b in said], np.int32),
                 durations=np.stack([np.pad(d, (0, wide - len(d))) for _, d, _ in said]).astype(np.uint8))
    (folder / "0-00009.npz").write_bytes(b"half of a file")
    made = taught.Corpus(taught.Jobs(path), path.parent / "corpus")
    taught.gather(made, folder)
    return made, [dict(np.load(p)) for p in sorted(made.folder.glob("*.npz"))]


def test_jobs_are_consistent(jobs):
    _, j = jobs
    assert len(j["ids"]) == len(j["phone"]) == len(j["place"]) == j["lengths"].sum() and len(j["text"]) == j["letters"].sum()
    assert list(np.bincount(j["speaker"])) == [2] * len(teacher.VALIDATION) + [6] * 3
    natural = np.array([teacher.plain(n).natural(40) for n in teacher.VOICES])
    assert (natural > 150).all() and (natural < 400).all()
    first = np.cumsum(j["lengths"]) - j["lengths"]
    for u in range(len(j["lengths"])):
        place = j["place"][first[u]:first[u] + j["lengths"][u]].astype(float)
        assert place[0] <= 1 and (np.diff(place) >= 0).all() and place[-1] <= j["letters"][u]  # a quotation begins with a mark


def test_held_out_voices_are_in_no_other_session(jobs, seed):
    everyone = teacher.speakers(60, np.random.default_rng(seed))
    assert len(everyone) == len(teacher.VALIDATION) + 60
    for speaker in everyone[len(teacher.VALIDATION):]:
        for shares in (speaker.timbre, speaker.prosody):
            assert not set(shares) & set(teacher.HELD_OUT) and abs(sum(shares.values()) - 1) < 1e-6
            assert len({name[1] for name in shares}) == 1  # of one sex
        assert set(speaker.prosody) <= set(speaker.timbre)


def test_words_lie_under_what_is_said_for_them():
    pieces = [texts.Piece("It"), texts.Piece("cost"), texts.Piece("$25.", "twenty five dollars.")]
    ids, phone, place = teacher.phonemes(pieces, tokens, VOCAB)
    symbols = {i: s for s, i in VOCAB.items()}
    blanks = [i for i, n in enumerate(ids) if symbols[n] == " "]
    assert len(blanks) == 4 and len(ids) == len(phone) == len(place)
    assert place[0] == 0 and place[blanks[0] + 1] == 3 and place[blanks[1] + 1] == 8
    assert 8 < place[blanks[2]] < place[blanks[3]] < 12 and teacher.PHONES[phone[-1]] == "pause"
    assert phone[blanks[0]] == phone[blanks[0] + 2]  # a blank and a mark of stress are the phone's that follows
    assert teacher.phonemes([texts.Piece("8 9")], lambda text: [("8", "", "")], VOCAB) is None


def test_whole_sessions_come_out(jobs, corpus):
    _, j = jobs
    made, shards = corpus
    assert made.refused == 0 and made.utterances == len(j["lengths"]) and (made.folder / "done").exists()
    assert [set(z["session"]) for z in shards[:1]] == [set(range(len(teacher.VALIDATION)))]
    assert sorted(next(iter(set(z["session"]))) for z in shards[1:]) == [6, 7, 8] and all(len(set(z["session"])) == 1 for z in shards[1:])
    texts_in = sorted(bytes(t) for t in np.split(j["text"], np.cumsum(j["letters"])[:-1]))
    texts_out = sorted(bytes(t) for z in shards for t in np.split(z["text"], np.cumsum(z["letters"])[:-1]))
    assert texts_in == texts_out
    for z in shards:
        assert len(z["audio"]) == z["frames"].sum() * data.HOP and len(z["phone"]) == len(z["letter"]) == z["frames"].sum()


def test_labels_are_where_the_sound_is(jobs, corpus):
    """A frame's loudest frequency is its phone's tone, moved by the session's warp; but for frames at edges."""
    _, j = jobs
    right = total = 0
    for z in corpus[1]:
        warp = np.repeat(j["warp"][z["session"]], z["frames"])
        frames = np.concatenate([np.zeros(384, np.int16), z["audio"], np.zeros(640, np.int16)]).astype(float)
        frames = np.lib.stride_tricks.sliding_window_view(frames, 768)[::256][:len(z["phone"])] * np.hanning(768)
        loudest = np.abs(np.fft.rfft(frames, 4096)).argmax(axis=1) * 24000 / 4096
        inner = (z["phone"] > 0) & (np.roll(z["phone"], 1) == z["phone"]) & (np.roll(z["phone"], -1) == z["phone"])
        right += (np.abs(loudest - tone(z["phone"].astype(float)) * warp) < 18)[inner].sum()
        total += inner.sum()
    print(f"{right} of {total} frames")
    assert total > 500 and right > 0.95 * total


def test_letters_run_from_the_first_to_the_last(jobs, corpus):
    """The first frame lies before what is heard first, the last one within what is heard last: a phone outlasts a frame."""
    path, j = jobs
    known = taught.Jobs(path)
    for u in range(len(j["lengths"])):
        _, phone, letter = taught.utterance(known, u, *speak(j, u))
        place, heard = known.of("place", u), np.flatnonzero(known.of("phone", u))
        assert (np.diff(letter) >= 0).all()
        assert letter[0] <= place[heard[0]] and place[heard[-1]] <= letter[-1] <= j["letters"][u]
    for z in corpus[1]:  # and they are written in their order
        for run, letters in zip(np.split(z["letter"], np.cumsum(z["frames"])[:-1]), z["letters"]):
            assert (np.diff(run) >= 0).all() and run[-1] <= letters


def test_a_length_far_from_what_was_wanted_is_refused(jobs):
    path, j = jobs
    known = taught.Jobs(path)
    u = int(j["target"].argmax())
    samples, durations, begin = speak(j, u)
    assert taught.utterance(known, u, samples, durations, begin)
    assert taught.utterance(known, u, samples[:len(samples) // 2], durations, begin) is None


def test_sound_of_no_level_is_refused(jobs):
    path, j = jobs
    known = taught.Jobs(path)
    u = int(j["target"].argmax())
    samples, durations, begin = speak(j, u)
    for bad in (samples * 0, np.sign(samples) * np.int16(32767)):
        assert taught.utterance(known, u, bad, durations, begin) is None


def test_it_goes_on_where_it_was_ended(jobs, corpus, tmp_path):
    """What was read before is not read again, and sessions that are there are not written twice; damaged shards are done without."""
    path, j = jobs
    (tmp_path / "teacher").mkdir()
    shards = sorted((path.parent / "teacher").glob("*-0000[0-3].npz"))
    for shard in shards[:3]:
        (tmp_path / "teacher" / shard.name).symlink_to(shard)
    first = taught.Corpus(taught.Jobs(path), tmp_path / "corpus")
    for shard in sorted((tmp_path / "teacher").glob("*.npz")):
        assert first.add(shard)
    before = {p.name: p.stat().st_mtime_ns for p in first.folder.glob("*.npz")}
    whole = shards[3].read_bytes()
    damaged = tmp_path / "teacher/0-00008.npz"
    damaged.write_bytes(whole[:2000] + bytes(len(whole) - 4000) + whole[-2000:])
    assert not first.add(damaged) and not any(first.folder.glob("*.part"))
    damaged.write_bytes(whole)
    second = taught.Corpus(taught.Jobs(path), tmp_path / "corpus")
    assert (second.shards, second.utterances) == (first.shards, first.utterances)
    taught.gather(second, tmp_path / "teacher")
    assert {name: (second.folder / name).stat().st_mtime_ns for name in before} == before
    made = [dict(np.load(p)) for p in sorted(second.folder.glob("*.npz"))]
    assert len(made) == 4 and sorted(set(np.concatenate([z["session"] for z in made]))) == list(range(9))
    assert second.utterances == len(j["lengths"]) and second.frames == sum(len(z["phone"]) for z in made)


def test_a_damaged_shard_of_the_corpus_is_left_out(corpus, tmp_path, capsys):
    names = sorted(corpus[0].folder.glob("*.npz"))
    for path in names[1:]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    half = tmp_path / names[1].name
    half.write_bytes(half.read_bytes()[:5000])
    store = batches.Store(torch.device("cpu"), 60_000)
    assert store.load_new(tmp_path, lambda i: i > 0) and not store.load_new(tmp_path, lambda i: i > 0)
    assert store.utterances == sum(len(z["frames"]) for z in corpus[1][2:])
    audio = train_vocos.Audio(torch.device("cpu"))
    assert audio.load_new(tmp_path, 40) and not audio.load_new(tmp_path, 40)
    assert len(audio.samples) == sum(len(z["audio"]) for z in corpus[1][2:])
    assert capsys.readouterr().out.count(f"{half} is left out") == 2


def test_batches_are_drawn_from_it(corpus, monkeypatch):
    monkeypatch.setattr(batches, "SLACK", 200)
    monkeypatch.setattr(batches, "LENGTHS", (448, 704, 1584))
    store = batches.Store(torch.device("cpu"), 60_000)
    assert all(store.add(p) for p in sorted(corpus[0].folder.glob("*.npz")))
    store.finish()
    length = max(batches.LENGTHS, key=lambda n: len(store.pairs[n]))
    assert len(store.pairs[length])
    b = store.batch(length, 4)
    assert torch.isfinite(b.state).all() and int(b.ids.max()) <= 95 and int(b.phone.max()) < len(teacher.PHONES)


def test_texts_are_drawn_as_long_as_sentences(sentences, seed):
    read = teacher.draw_lines(texts.Writer(sentences, seed), tokens, VOCAB, 20)
    assert len(read) == 20 and all(40 <= len(line) <= 160 and len(found) == 3 for line, found in read)


def test_voices_say_lines_into_recordings(tmp_path, seed):
    lines = ['"The river" is warm.', "We went home."]
    packs = {name: np.zeros((5, 4)) for name in ("af_heart", "bm_george")}
    jobs = teacher.say_jobs(teacher.read_lines(lines, tokens, VOCAB), packs)
    assert list(jobs["speaker"]) == [0, 0, 1, 1] and not jobs["target"].any()
    np.savez(tmp_path / "jobs.npz", **jobs)
    rng = np.random.default_rng(seed)
    audio = [rng.integers(-9000, 9000, 3000 + 500 * u).astype(np.int16) for u in range(4)]
    (tmp_path / "said").mkdir()
    np.savez(tmp_path / "said/0-00000.npz", utterance=np.array([2, 0, 3, 1], np.int32), begin=np.zeros(4, np.int32),
             audio=np.concatenate([audio[u] for u in (2, 0, 3, 1)]), samples=np.array([len(audio[u]) for u in (2, 0, 3, 1)], np.int32))
    found = {(name, number): (text, samples) for name, number, text, samples in taught.recordings(taught.Jobs(tmp_path / "jobs.npz"), tmp_path / "said")}
    assert sorted(found) == [("af_heart", 0), ("af_heart", 1), ("bm_george", 0), ("bm_george", 1)]
    for u, key in enumerate(sorted(found)):
        text, samples = found[key]
        assert text == lines[key[1]] and np.array_equal(np.rint(samples * 32767), audio[u])
    command = [tmp_path / "jobs.npz", tmp_path / "said", tmp_path / "folder", "--wav"]
    subprocess.run([sys.executable, cbind.ROOT / "weights/train/taught.py", *command], check=True)
    assert {path.name for path in (tmp_path / "folder").iterdir()} == {"metadata.csv", *(f"{voice}-0{n}.wav" for voice, n in found)}
    with open(tmp_path / "folder/metadata.csv") as f:
        assert list(csv.reader(f, delimiter="|")) == [[f"{voice}-0{n}", lines[n]] for voice, n in sorted(found)]
    with pytest.raises(SystemExit, match="other words than: 9 lives"):
        teacher.read_lines(["9 lives"], lambda text: [("9", " ", ""), ("lives", "", "lɪvz")], VOCAB)
