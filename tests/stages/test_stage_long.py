"""Texts of many chunks: joined by upstream's rule, with pauses and several voices, streamed or not; the same samples in
any company."""
import numpy as np
import pytest

import cbind
import crowd
import f5lib
import stage

SETTINGS = dict(nfe=1, cfg=0.0)
TRANSCRIPT = "What was said before."
UPSTREAM, SENTENCES, SENTENCE = range(3)
MAIN, TEXT, DROP = range(3)
FRAMES = 200  # of an engine: chunks of about 24 bytes then
SCRAPS = ["Hello there. ", "One, two; three: ", "word ", "the garden ", "Why? ", "Yes! ", "3.14 ", "Mr. Smith ", "\n", "\n\n", "... ",
          "caf\u00e9 ", "\u201cQuoted.\u201d ", "[town] ", "[main]", "[sic] ", "[1]", "[pause 0.1s]", " [pause 20ms] ", "\U0001f600", "averylongword" * 4,
          "- item\n", "no stop here "]


@pytest.fixture(scope="module")
def samples():
    return (0.2 * np.random.default_rng(1).standard_normal(24000)).astype(np.float32)


@pytest.fixture(scope="module")
def spoken(zoo, samples):
    """An engine of small chunks, a voice, another one."""
    with f5lib.Engine(zoo["tiny"].path, max_frames=FRAMES, threads=1) as e, e.voice(samples, TRANSCRIPT, keep_whole=1) as voice, \
            e.voice(samples[::-2], "Other words.", keep_whole=1) as town:
        yield e, voice, town


def random_text(rng, n):
    return "".join(SCRAPS[int(i)] for i in rng.integers(0, len(SCRAPS), n)) + "The end."


def sound(pieces):
    return np.concatenate([p["samples"] for p in pieces]).astype(np.float32)  # no samples come as float64


def same_pieces(a, b):
    """Everything but how many chunks there are, which a stream does not know."""
    assert len(a) == len(b)
    for x, y in zip(a, b):
        assert cbind.same_bits(x["samples"], y["samples"]) and cbind.same_bits(x["mel"], y["mel"])
        hidden = ("samples", "mel", "chunks")
        assert {k: v for k, v in x.items() if k not in hidden} == {k: v for k, v in y.items() if k not in hidden}


def feed(stream, data, size, rng):
    """size 0: bits of any length."""
    at = 0
    while at < len(data):
        n = size or int(rng.integers(1, 60))
        stream.push(data[at:at + n])
        at += n


CASES = [dict(), dict(chunking=SENTENCES), dict(chunking=SENTENCE), dict(first_chunk=1.0), dict(first_chunk=-1.0),
         dict(chunking=SENTENCES, first_chunk=-1.0), dict(chunking=SENTENCE, cross_fade=0.0, brackets=TEXT),
         dict(sentence_pause=0.02, paragraph_pause=0.05, brackets=DROP), dict(paragraph_pause=0.03, cross_fade=1.0),
         dict(chunking=SENTENCES, cross_fade=2.0, first_chunk=0.5)]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_streamed_is_not_streamed(spoken, rng, case):
    e, voice, town = spoken
    settings = dict(sample=SETTINGS, seed=int(rng.integers(1 << 62)), voices=[("town", town, 1.5)], **CASES[case])
    text = random_text(rng, 25)
    whole, _ = e.say(voice, text, **settings)
    assert len(whole) > 4
    for size in (1, 0, len(text.encode())):
        with e.stream(voice, **settings) as stream:
            feed(stream, text.encode(), size, rng)
            stream.flush()
            same_pieces(stream.pieces, whole)


def test_a_flush_ends_a_text(spoken, rng):
    """What follows is a new text in the main voice: no fade over the border, and no word of one is in a chunk of the other."""
    e, voice, town = spoken
    first, second = "One sentence here. [town] And one more", "half a sentence. Then the end."
    settings = dict(sample=SETTINGS, seed=3, voices=[("town", town, 0)])
    with e.stream(voice, **settings) as stream:
        stream.flush()
        assert not stream.pieces
        stream.push(first)
        stream.flush()
        n = len(stream.pieces)
        same_pieces(stream.pieces, e.say(voice, first, **settings)[0])
        stream.push(second)
        stream.flush()
        stream.flush()
        later = stream.pieces[n:]
    assert [p["text"] for p in later if p["text"]] == [p["text"] for p in e.say(voice, second, **settings)[0] if p["text"]]
    assert {p["voice"] for p in later} == {0}
    assert later[0]["seconds"] == pytest.approx(len(sound(stream.pieces[:n])) / 24000)


def test_a_stream_that_failed(spoken):
    e, voice, _ = spoken
    with e.stream(voice, sample=SETTINGS) as stream:
        stream.push("Well then. ")
        with pytest.raises(f5lib.Error, match="text: malformed UTF-8 at byte 14") as failure:
            stream.push(b"abc\xff def. And some more. ")
            stream.flush()
        assert failure.value.status == "F5_E_FORMAT"
        for call in (lambda: stream.push("x"), stream.flush):
            assert "has failed before" in crowd.refused("F5_E_ARGUMENT", call)
    with e.stream(voice, sample=SETTINGS) as stream:  # closed in the middle
        stream.push("This is said. And this is not said any mo")
    for given in (dict(text="a"), dict(fix_duration=3.0), dict(ssml=1), dict(noise=np.zeros((5, 100), np.float32))):
        name = next(iter(given))
        message = crowd.refused("F5_E_ARGUMENT", lambda: e.stream(voice, sample=SETTINGS, **given).__enter__())
        assert message.startswith(f"a stream takes no {name}")


def test_a_stream_warns(spoken):
    e, voice, _ = spoken
    warned = []
    with e.stream(voice, sample=SETTINGS, warned=warned, speed=9.0) as stream:
        stream.push("Hello \u0e01\u0e01 there. [nobody] And here. ")
        stream.flush()
        kinds = [kind for kind, _ in warned]
        assert sorted(set(kinds)) == [1, 2, 4] and kinds.count(1) == 1
        assert "U+0E01" in next(text for kind, text in warned if kind == 1)
        stream.push("More.")
        stream.flush()
        assert [kind for kind, _ in warned].count(1) == 1


# ---- the wave

def joined(waves, fade):
    """Upstream's rule, by numpy."""
    out = np.zeros(0)
    for wave in waves:
        n = min(int(round(fade * 24000, 6)), len(out), len(wave))
        over = out[len(out) - n:] * np.linspace(1, 0, n) + wave[:n] * np.linspace(0, 1, n)
        out = np.concatenate([out[:len(out) - n], over.astype(np.float32), wave[n:]]).astype(np.float32)
    return out


def chunks_alone(e, voice, text, noise, **settings):
    """The waves of a text's chunks, each spoken by itself with its part of the noise."""
    waves, at = [], 0
    for c in e.show_text(voice, text, **settings):
        part = noise[at:at + c["frames"]]
        at += c["frames"]
        pieces, _ = e.say(voice, c["text"], noise=part, sample=SETTINGS, **settings)
        waves.append(sound(pieces))
        assert len(pieces) == 1 and len(pieces[0]["samples"]) == round(c["seconds"] * 24000)
    assert at == len(noise)
    return waves


@pytest.mark.parametrize("fade", [0.0, 0.15, 0.7, 2.0, 1e-4, 5e-5, 2e-5])
def test_the_cross_fade(spoken, rng, fade):
    """Also where it is longer than chunks are, of one sample and of none."""
    e, voice, _ = spoken
    text, settings = "First we say this. Then, a bit later, that. Oh. And in the end, once more: all of it.", dict(speed=1.0, exact=1)
    said = e.show_text(voice, text, **settings)
    noise = rng.standard_normal((sum(c["frames"] for c in said), 100)).astype(np.float32)
    pieces, stats = e.say(voice, text, noise=noise, cross_fade=fade, sample=SETTINGS, **settings)
    waves = chunks_alone(e, voice, text, noise, **settings)
    assert len(waves) == stats["chunks"] == len([p for p in pieces if len(p["mel"])]) > 3
    assert cbind.same_bits(sound(pieces), joined(waves, fade))
    assert stats["generated_seconds"] == len(sound(pieces)) / 24000
    at = 0
    for p in pieces:
        assert p["seconds"] == at / 24000 and p["chunks"] == len(said)
        at += len(p["samples"])


def test_the_cross_fade_of_what_the_vocoder_saw_more_of(spoken, rng):
    """Not exact: where nothing overlaps the samples are those of the chunks alone; ends of the whole fade, no others."""
    e, voice, _ = spoken
    text = "First we say this. Then, a bit later, that. And in the end, once more: all of it."
    noise = rng.standard_normal((sum(c["frames"] for c in e.show_text(voice, text, speed=1.0)), 100)).astype(np.float32)
    whole = sound(e.say(voice, text, noise=noise, cross_fade=0.05, sample=SETTINGS, speed=1.0)[0])
    at, waves = 0, chunks_alone(e, voice, text, noise, speed=1.0)
    assert len(waves) > 2
    for i, wave in enumerate(waves):
        first, last = 1200 * (i > 0), len(wave) - 1200 * (i + 1 < len(waves))
        assert cbind.same_bits(whole[at + first:at + last], wave[first:last])
        assert wave[0] == wave[-1] == 0
        at += len(wave) - 1200
    assert at + 1200 == len(whole)


def test_the_first_chunk_has_the_seed(spoken):
    e, voice, _ = spoken
    text = "First we say this. Then we say that, and more."
    pieces, _ = e.say(voice, text, seed=77, sample=SETTINGS, cross_fade=0.0, speed=1.0)
    alone, _ = e.say(voice, pieces[0]["text"], seed=77, sample=SETTINGS, speed=1.0)
    assert cbind.same_bits(pieces[0]["mel"], alone[0]["mel"])
    second, _ = e.say(voice, pieces[1]["text"], seed=77, sample=SETTINGS, speed=1.0)
    assert not cbind.same_bits(pieces[1]["mel"], second[0]["mel"])


@pytest.mark.parametrize("chunking", [UPSTREAM, SENTENCES, SENTENCE])
@pytest.mark.parametrize("fade", [0.0, 0.15])
@pytest.mark.parametrize("exact", [0, 1])
def test_pauses(spoken, rng, chunking, fade, exact):
    """Zeros, so many; 5 ms of fade beside them; the rest is what the chunks are alone."""
    e, voice, _ = spoken
    first, second = "Here it stops.", "Here it goes on."
    waves, noise = [], rng.standard_normal((2 * FRAMES, 100)).astype(np.float32)
    counts = [e.show_text(voice, t, speed=1.0)[0]["frames"] for t in (first, second)]
    for text, part in ((first, noise[:counts[0]]), (second, noise[counts[0]:sum(counts)])):
        waves.append(sound(e.say(voice, text, noise=part, sample=SETTINGS, speed=1.0, exact=exact)[0]))
    rise = np.arange(120, dtype=np.float32) / np.float32(120)
    fall = np.arange(119, -1, -1, dtype=np.float32) / np.float32(120)
    a, b = waves[0].copy(), waves[1].copy()
    if exact:  # else they have faded alone
        a[-120:] *= fall
        b[:120] *= rise
    texts = {f"{first} [pause 0.25s] {second}": (a, 6000, b), f"{first}[pause 1.2s]{second}": (a, 28800, b),
             f"{first} [pause 5ms][pause 0.5] {second}": (a, 12120, b)}
    for text, (x, zeros, y) in texts.items():
        pieces, _ = e.say(voice, text, noise=noise[:sum(counts)], sample=SETTINGS, chunking=chunking, speed=1.0, exact=exact,
                          cross_fade=fade)
        assert cbind.same_bits(sound(pieces), np.concatenate([x, np.zeros(zeros, np.float32), y])), text
    pieces, _ = e.say(voice, f"[pause 0.1s]{second}[pause 2s]", noise=noise[counts[0]:sum(counts)], sample=SETTINGS, speed=1.0, exact=exact,
                      chunking=chunking, cross_fade=fade)
    if exact:
        b[-120:] *= fall
    assert cbind.same_bits(sound(pieces), np.concatenate([np.zeros(2400, np.float32), b, np.zeros(48000, np.float32)]))
    for settings in (dict(sentence_pause=0.25), ):
        pieces, _ = e.say(voice, f"{first} {second}", noise=noise[:sum(counts)], sample=SETTINGS, chunking=chunking, speed=1.0, exact=exact,
                          cross_fade=fade, **settings)
        assert np.array_equal(sound(pieces)[len(a):len(a) + 6000], np.zeros(6000, np.float32))
        assert cbind.same_bits(sound(pieces)[:len(a)], a)


def test_voices_follow_each_other_without_a_fade(spoken, rng):
    e, voice, town = spoken
    voices = [("town", town, 0)]
    text = "Here I speak. [town] And here am I. [main] [town] [main]Me again."
    said = e.show_text(voice, text, voices=voices, speed=1.0)
    assert [(c["voice"], c["text"]) for c in said] == [(0, "Here I speak."), (1, "And here am I."), (0, "Me again.")]
    noise = rng.standard_normal((sum(c["frames"] for c in said), 100)).astype(np.float32)
    pieces, _ = e.say(voice, text, voices=voices, noise=noise, sample=SETTINGS, speed=1.0)
    at, waves = 0, []
    for c in said:
        waves.append(sound(e.say((voice, town)[c["voice"]], c["text"], noise=noise[at:at + c["frames"]], sample=SETTINGS, speed=1.0)[0]))
        at += c["frames"]
    assert cbind.same_bits(sound(pieces), np.concatenate(waves))
    assert [p["segment"] for p in pieces if p["text"]] == [0, 1, 2]


def test_no_company_changes_a_bit(zoo, samples, rng):
    """max_batch, batch_frames, threads, and other clients' calls in the batch."""
    text, results = random_text(rng, 20), []
    for limits in (dict(max_batch=1), dict(max_batch=3, batch_frames=400), dict(batch_frames=1), dict(threads=2, batch_frames=4000)):
        with f5lib.Engine(zoo["tiny"].path, max_frames=400, **limits) as e, e.voice(samples, TRANSCRIPT, keep_whole=1) as voice:
            def say(seed=5, e=e, voice=voice):
                return e.say(voice, text, sample=SETTINGS, seed=seed, speed=8.0)[0]
            results.append(say())
            if limits.get("max_batch") == 3:
                for other in crowd.together(*[say] * 3):
                    same_pieces(other, results[0])
    for other in results[1:]:
        same_pieces(other, results[0])
