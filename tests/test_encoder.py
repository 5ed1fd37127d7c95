"""host/files/sound_encoder.c: every format says what was given, at once and bit by bit, into a file and into a pipe, at
every rate; a sink that refuses at any byte is told; several encoders on several threads do not disturb each other."""
import ctypes
import struct
import threading
import wave
from io import BytesIO

import numpy as np
import pytest

from encoder_lib import FORMATS, RATE, Encoder, Error, Refused, decode, encode, library

LOSSY = {"ogg": 0.02, "opus": 0.03, "mp3": 0.03, "aac": 0.03}  # RMS error of speech-like sound at these bit rates
EXACT = {"wav": 2 ** -15, "wav24": 2 ** -23, "wavf": 0, "flac": 2 ** -15, "raw": 2 ** -15}  # libsndfile cuts, not rounds


@pytest.fixture(scope="module")
def lib():
    return library()


def sound(seconds=2.0, seed=1):
    """Harmonics of a gliding voice, with the edges of a sentence."""
    t = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.7 * t + seed)) / RATE
    x = sum(np.sin(k * phase) / k for k in range(1, 12)) * 0.15 * np.minimum(1, np.minimum(t, t[-1] - t) * 20)
    return x.astype(np.float32)


def aligned(heard, x, most=4000):
    """heard, from where it fits x best: decoders may have silence first."""
    n = len(x) - most
    scores = [np.dot(heard[k:k + n], x[:n]) for k in range(0, most) if k + n <= len(heard)]
    return heard[int(np.argmax(scores)):]


@pytest.mark.parametrize("seekable", [False, True])
@pytest.mark.parametrize("word", FORMATS)
def test_says_what_was_given(lib, word, seekable):
    x = sound()
    heard, complaint = decode(encode(lib, word, x, seekable=seekable), word, RATE)
    assert complaint == ""
    if word in EXACT:
        assert len(heard) == len(x) and np.abs(heard - x).max() <= EXACT[word]
        return
    heard = aligned(heard, x)
    n = min(len(heard), len(x))
    assert n > len(x) - 600  # 25 ms: half a frame of the coarsest of them
    assert np.sqrt(np.mean((heard[:n] - x[:n]) ** 2)) < LOSSY[word] < np.sqrt(np.mean(x ** 2)) / 4


@pytest.mark.parametrize("word", FORMATS)
def test_pieces_change_nothing(lib, word):
    x = sound(0.25)
    whole = encode(lib, word, x)
    for piece in (1, 777):
        got = encode(lib, word, x, piece=piece)
        if word in ("ogg", "opus"):  # Ogg's streams have random numbers
            assert len(got) == len(whole) and np.array_equal(decode(got)[0], decode(whole)[0])
        else:
            assert got == whole


@pytest.mark.parametrize("word", FORMATS)
def test_nothing_and_hardly_anything(lib, word):
    for n in (0, 1, 100):
        for seekable in (False, True):
            data = encode(lib, word, sound(1.0)[:n], seekable=seekable)
        assert len(decode(data, word, RATE)[0]) == n if word in EXACT else data or n == 0


def test_lengths_in_headers(lib):
    x = sound(0.1)[:2401]
    for word, width in (("wav", 2), ("wav24", 3), ("wavf", 4)):
        data = encode(lib, word, x, seekable=True)
        assert len(data) % 2 == 0 and struct.unpack("<I", data[4:8])[0] == len(data) - 8
        at = data.index(b"data")
        assert struct.unpack("<I", data[at + 4:at + 8])[0] == width * len(x)
        unknown = encode(lib, word, x)
        assert unknown[4:8] == b"\xff" * 4 and unknown[at + 4:at + 8] == b"\xff" * 4
        assert unknown[at + 8:] == data[at + 8:at + 8 + width * len(x)]
    with wave.open(BytesIO(encode(lib, "wav", x, seekable=True))) as w:
        assert (w.getnframes(), w.getframerate(), w.getnchannels(), w.getsampwidth()) == (len(x), RATE, 1, 2)
    flac = encode(lib, "flac", x, seekable=True)  # STREAMINFO: the length is 36 bits at the 21st byte
    assert int.from_bytes(flac[21:26], "big") & (1 << 36) - 1 == len(x)
    assert int.from_bytes(encode(lib, "flac", x)[21:26], "big") & (1 << 36) - 1 in (0, len(x))
    assert b"Xing" in encode(lib, "mp3", x, seekable=True)[:200] or b"Info" in encode(lib, "mp3", x, seekable=True)[:200]


def test_too_loud_is_clipped_not_wrapped(lib):
    x = np.array([2.0, -3.0, 1.0, -1.0, 0.5] * 100, np.float32)
    for word in ("wav", "wav24", "flac", "raw"):
        heard, _ = decode(encode(lib, word, x), word)
        assert np.abs(heard - np.clip(x, -1, 1)).max() <= 2 ** -15
    assert np.array_equal(decode(encode(lib, "wavf", x), "wavf")[0], x)


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 176400, 192000])
def test_rates(lib, rate):
    t = np.arange(RATE) / RATE
    x = (0.5 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32)
    heard = np.frombuffer(encode(lib, "wavf", x, rate)[56:], "<f4")
    assert len(heard) == -(-RATE * rate // RATE)
    wanted = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(len(heard)) / rate)
    inside = slice(rate // 50, -(rate // 50))
    assert np.abs(heard - wanted)[inside].max() < 1e-4  # 70 dB down, and the kernel's own ripple
    assert np.array_equal(heard, np.frombuffer(encode(lib, "wavf", x, rate, piece=999)[56:], "<f4"))
    if rate > RATE:  # nothing above 12 kHz: the mirror image of a tone of 11 kHz lies at 13 kHz
        tone = (0.5 * np.sin(2 * np.pi * 10500 * t)).astype(np.float32)
        y = np.frombuffer(encode(lib, "wavf", tone, rate)[56:], "<f4")
        power = np.abs(np.fft.rfft(y * np.hanning(len(y)))) ** 2
        f = np.fft.rfftfreq(len(y), 1 / rate)
        assert power[f > 12500].sum() < 1e-6 * power[(f > 10000) & (f < 11000)].sum()
    else:  # what the new rate cannot have does not come back as something else
        tone = (0.5 * np.sin(2 * np.pi * min(0.56 * rate, 11900) * t)).astype(np.float32)
        if rate < 22050:
            y = np.frombuffer(encode(lib, "wavf", tone, rate)[56:], "<f4")
            assert np.sqrt(np.mean(y[rate // 50:-(rate // 50)] ** 2)) < 1e-3


def test_rates_that_a_format_has_not(lib):
    for word, rate, has in (("opus", 44100, "8000, 12000, 16000, 24000, 48000"), ("mp3", 96000, "44100, 48000"),
                            ("wav", 12345, "192000"), ("aac", 192000, "96000"), ("wav", 0, "8000"), ("flac", -1, "8000")):
        with pytest.raises(Refused, match=f"{word} is not written at {rate} samples a second: it can have .*{has}"):
            Encoder(lib, word, rate)


def test_the_rate_where_nobody_asks_for_one(lib):
    for word, rate, want in (("opus", 22050, 24000), ("opus", 44100, 48000), ("opus", 24000, 24000), ("opus", 7000, 8000),
                             ("opus", 96000, 48000), ("mp3", 96000, 48000), ("wav", 22050, 22050), ("aac", 192000, 96000)):
        assert lib.sound_format_rate(FORMATS.index(word), rate) == want


@pytest.mark.parametrize("word", FORMATS)
def test_sink_that_refuses(lib, word):
    x = sound(1.0)
    length = len(encode(lib, word, x))
    for room in [*range(0, 120, 7), *np.linspace(120, length - 1, 12).astype(int)]:
        with pytest.raises(Refused, match="the sound: cannot be written: No space left on device"):
            e = Encoder(lib, word, room=int(room))
            try:
                e.add(x)
                e.end()
            finally:
                calls = e.calls
                e.lib.sound_encoder_close(e.at)
                assert e.calls == calls  # nothing is offered to a sink that refused


def test_names(lib):
    kind, error = ctypes.c_int(), Error()

    def of(path):
        status = lib.sound_format_of_name(path.encode(), ctypes.byref(kind), ctypes.byref(error))
        return FORMATS[kind.value] if status == 0 else error.message.decode()
    for path, word in (("a.wav", "wav"), ("a.WAV", "wav"), ("a.flac", "flac"), ("x/y.ogg", "ogg"), ("a.oga", "ogg"),
                       ("a.opus", "opus"), ("a.b.mp3", "mp3"), ("a.aac", "aac"), ("a.raw", "raw"), ("a.pcm", "raw"),
                       ("plain", "wav"), (".wav", "wav"), (".hidden", "wav"), ("dir.mp3/plain", "wav"), ("a.", "wav")):
        assert of(path) == word
    for path in ("a.m4a", "a.txt", "a.wavx", "b.mp33"):
        assert of(path).startswith(f"{path}: no format is known by .") and ".opus" in of(path)
    for word in ("WAV", "", "mp", "wav32"):
        assert not lib.sound_format_of_word(word.encode(), ctypes.byref(kind))
    assert lib.sound_format_of_word(b"pcm", ctypes.byref(kind)) and FORMATS[kind.value] == "raw"
    assert [lib.sound_content_type(i).decode() for i in range(9)] == \
        ["audio/wav"] * 3 + ["audio/flac", "audio/ogg", "audio/opus", "audio/mpeg", "audio/aac", "audio/pcm"]


def test_threads(lib):
    """Two of each format at a time, against the same alone; Ogg's streams have random numbers, but their length is that."""
    def result(word, seed, piece=None):
        data = encode(lib, word, sound(0.5, seed), piece=piece)
        return len(data) if word in ("ogg", "opus") else data
    alone = {(w, s): result(w, s) for w in FORMATS for s in (1, 2)}
    results = {}
    threads = [threading.Thread(target=lambda k=key: results.update({k: result(*k, piece=331)})) for key in alone]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == alone
