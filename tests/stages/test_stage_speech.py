"""What f5_speak does with its text: read once, on the caller's thread; its tokens are then the caller's own, however many
they are."""
import ctypes
import threading
import time

import numpy as np
import pytest

import cbind
import crowd
import f5lib
import stage

TRANSCRIPT = "What was said before."
SETTINGS = dict(nfe=1, cfg=0.0)


@pytest.fixture(scope="module")
def samples():
    return (0.2 * np.random.default_rng(1).standard_normal(24000)).astype(np.float32)


def words(rng, n):
    """n bytes of little words in brackets, where tokens are more than bytes, with no place where a text is cut."""
    return "".join(rng.choice(["ab(", "c d", "ef)", "g1]", " hi"], n // 3)).ljust(n, "x").replace(" ", "x", 1)


def speech(e, voice, text, **settings):
    (sound, mel), = e.speak(voice, text, sample=SETTINGS, **settings)[0]
    return mel, sound


def by_hand(e, samples, transcript, text, seed):
    """The same by the model level: `transcript` as upstream ends it."""
    cond = e.mel(samples)
    tokens = e.tokenize(transcript + text, 1 << 15)
    frames = len(cond) - 1 + int((len(cond) - 1) / len(transcript.encode()) * len(text.encode()))
    mel, = e.sample([dict(cond=cond, tokens=tokens, frames=frames, seed=seed)], **SETTINGS)
    mel = mel[len(cond) - 1:]
    return len(tokens), (mel, e.vocode(mel))


def same(a, b):
    return all(cbind.same_bits(x, y) for x, y in zip(a, b, strict=True))


# a one-byte character and white space end a sentence, one space comes before the next, and what the last sentence ended
# in decides whether a space token comes before the next one's first word
@pytest.mark.parametrize("transcript, ended, text, spoken", [
    ("One was said.", "One was said.  ", "Two.  Three\nfour, five;\t six", "Two. Three\nfour, five; six"),
    ("One was said", "One was said.  ", "Two is it,three. four.  Five", "Two is it,three. four. Five")])
def test_sentences_are_joined(zoo, rng, samples, transcript, ended, text, spoken):
    with f5lib.Engine(zoo["tiny"].path, max_frames=512) as e, e.voice(samples, transcript, keep_whole=1) as voice:
        assert same(speech(e, voice, text, seed=5, exact=1), by_hand(e, samples, ended, spoken, 5)[1])


def test_a_text_that_changes_while_its_call_waits(zoo, rng, samples):
    """Its owner writes over it as soon as the call waits; what is spoken is what stood there when it was asked for."""
    text = b"And now this is said."
    with f5lib.Engine(zoo["tiny"].path, max_frames=256) as e, e.voice(samples, TRANSCRIPT, keep_whole=1) as voice:
        wanted, other = speech(e, voice, text, seed=3), speech(e, voice, text[::-1], seed=3)
        assert not same(wanted, other)
        buffer = ctypes.create_string_buffer(text)
        with crowd.held(e, stage.make_request(rng, zoo["tiny"], 20, 5, 6)) as queue:
            later = queue(lambda: speech(e, voice, buffer, seed=3))
            for fill in (text[::-1], b"\xff" * len(text), b"x" * len(text)):
                ctypes.memmove(buffer, fill, len(text))
        assert same(later.result(), wanted)
        assert buffer.value == b"x" * len(text)


def test_more_tokens_than_frames(zoo, rng, samples):
    """A transcript of more tokens than an engine has frames leaves no room for any text."""
    with f5lib.Engine(zoo["tiny"].path, max_frames=512) as e, e.voice(samples, words(rng, 1536), keep_whole=1) as voice:
        message = crowd.refused("F5_E_LIMIT", lambda: speech(e, voice, words(rng, 300)))
        assert "max_frames given at open is 512" in message


def test_chunks_fit_in_the_engine(zoo, rng, samples):
    """Chunks are cut to what max_frames has room for, where that is less than 22 s."""
    text = words(rng, 300)
    for max_frames in (200, 400, 4096):
        with f5lib.Engine(zoo["tiny"].path, max_frames=max_frames) as e, \
                e.voice(samples, TRANSCRIPT, keep_whole=1) as voice:
            said = e.show_text(voice, text, speed=1)
            assert all(c["frames"] <= max_frames for c in said) and (len(said) > 1) == (max_frames < 4096)
            assert "".join(c["text"] for c in said).replace(" ", "") == text.replace(" ", "")


def test_a_crowd_at_one_desk(zoo, rng, samples):
    """Calls that find no desk free wait for one, and each is what it is alone."""
    texts = [words(rng, 100 + 50 * i) for i in range(6)]
    with f5lib.Engine(zoo["tiny"].path, max_frames=2000, max_batch=8, max_speaking=1) as e, \
            e.voice(samples, TRANSCRIPT, keep_whole=1) as voice:
        wanted = [speech(e, voice, text, seed=i) for i, text in enumerate(texts)]
        got = crowd.together(*[lambda i=i, text=text: speech(e, voice, text, seed=i) for i, text in enumerate(texts)])
        assert all(same(g, w) for g, w in zip(got, wanted))


def test_the_wait_for_a_desk(zoo, rng, samples):
    """It counts, though the call is not in the queue yet."""
    with f5lib.Engine(zoo["tiny"].path, max_frames=500, max_speaking=1) as e, \
            e.voice(samples, TRANSCRIPT, keep_whole=1) as voice:
        asking = threading.Semaphore(0)

        def waited():
            asking.release()
            return e.speak(voice, "And this too.", sample=SETTINGS)[1]["wait_ms"]

        with crowd.held(e, stage.make_request(rng, zoo["tiny"], 20, 5, 6)) as queue:
            first = queue(waited)
            second = crowd.Later(waited)
            assert asking.acquire(timeout=60) and asking.acquire(timeout=60)
            time.sleep(1)  # of which a busy machine may take most until the second has begun to wait
        assert first.result() > 50 and second.result() > 50


def test_speech_from_a_callback(zoo, rng, samples):
    """It would wait for the desk of its own thread's call: refused at once, from every kind of callback, also while
    another text waits."""
    text = words(rng, 300)
    with f5lib.Engine(zoo["tiny"].path, max_frames=2000, max_speaking=1) as e, \
            e.voice(samples, TRANSCRIPT, keep_whole=1) as voice:
        wanted, refusals, waiting = speech(e, voice, text, seed=1), [], []

        def again(*_):
            waiting.append(crowd.Later(lambda: speech(e, voice, text, seed=1)))
            crowd.wait_until(lambda: e.info()["waiting"] > 0 or len(waiting) > 1, "another text")
            refusals.append(crowd.refused("F5_E_ARGUMENT", lambda: speech(e, voice, text)))

        e.sample([stage.make_request(rng, zoo["tiny"], 20, 5, 6)], nfe=1, progress=again)
        assert same(speech(e, voice, text, seed=1, heard=again), wanted)
        assert len(refusals) == 2 and all("a callback calls the engine it comes from" in r for r in refusals)
        assert all(same(later.result(), wanted) for later in waiting)
