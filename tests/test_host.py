"""The host: tokens, chunks, durations and reference clips against upstream's recorded behaviour and an independent
reading of its rules; files; voices and speech through the library."""
import ctypes
import json
import os
import re
import zlib
from pathlib import Path

import numpy as np
import pytest

import convert_lib
import f5lib
from png import read_png
from signals import bursts

DATA = Path(__file__).parent / "data"
PINYIN, CHAR, BYTE, CUSTOM = range(4)
FORMAT, UNSUPPORTED = 4, 5
TOKEN_FN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
size_t, i32, i64, pointer = ctypes.c_size_t, ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p


class F5Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 512)]


class Vocab(ctypes.Structure):
    _fields_ = [("size", i32), ("token", pointer), ("length", pointer), ("slot", pointer), ("slots", ctypes.c_uint32),
                ("memory", pointer)]


class Sound(ctypes.Structure):
    _fields_ = [("samples", pointer), ("n_frames", i64), ("channels", i32), ("sample_rate", i32), ("bits", i32)]


class Chunk(ctypes.Structure):
    _fields_ = [("text", pointer), ("bytes", size_t), ("spoken_bytes", size_t)]


class Sentence(ctypes.Structure):
    _fields_ = [("text", pointer), ("bytes", size_t), ("space", ctypes.c_bool)]


@pytest.fixture(scope="module")
def lib():
    """libf5tts_test.so: the library with every symbol visible."""
    path = Path(os.environ.get("F5_BUILD", convert_lib.ROOT / "build")) / "lib" / "libf5tts_test.so"
    assert path.exists(), f"{path} is missing: build first"
    lib = ctypes.CDLL(str(path))
    text = ctypes.c_char_p
    lib.tokenizer_split.argtypes = [ctypes.c_int, text, size_t, TOKEN_FN, pointer, pointer]
    lib.tokenizer_run.argtypes = [ctypes.c_int, pointer, text, size_t, pointer, i32, pointer, pointer]
    lib.chunk_next.argtypes = [pointer, size_t, ctypes.c_bool, pointer, i64, pointer, pointer]
    lib.chunk_read.argtypes, lib.chunk_read.restype = [pointer, pointer, pointer], ctypes.c_bool
    lib.vocab_parse.argtypes = [pointer, text, size_t, text, pointer]
    lib.vocab_free.argtypes = [pointer]
    lib.duration_requested.argtypes = [i64, size_t, size_t, ctypes.c_float, pointer, ctypes.c_double]
    lib.duration_requested.restype = i64
    lib.duration_max_chunk_bytes.argtypes = [text, size_t, ctypes.c_double, ctypes.c_float]
    lib.duration_max_chunk_bytes.restype = i64
    lib.reference_cut.argtypes = [pointer, pointer, pointer, pointer]
    return lib


def split(lib, text, kind=PINYIN):
    """(status, tokens, message)"""
    data, out, error = text if isinstance(text, bytes) else text.encode(), [], F5Error()
    emit = TOKEN_FN(lambda user, token, n: out.append(ctypes.string_at(token, n)))
    status = lib.tokenizer_split(kind, data, len(data), emit, None, ctypes.byref(error))
    return status, out, error.message.decode()


def tokens(lib, text, kind=PINYIN):
    status, out, message = split(lib, text, kind)
    assert status == 0, message
    return [t.decode("utf-8", "replace") for t in out]


# ---- tokens and chunks

def golden():
    return json.loads((DATA / "tokenizer_golden.json").read_text())


def test_tokens_are_upstreams(lib):
    cases = golden()["cases"]
    assert len(cases) > 200
    for case in cases:
        assert tokens(lib, case["text"]) == case["tokens"], ascii(case["text"])
        assert tokens(lib, case["text"], CUSTOM) == case["tokens"], ascii(case["text"])


def spoken(lib, chunk):
    """The bytes of a chunk as it is spoken."""
    out, at, sentence = b"", size_t(0), Sentence()
    while lib.chunk_read(ctypes.byref(chunk), ctypes.byref(at), ctypes.byref(sentence)):
        out += ctypes.string_at(sentence.text, sentence.bytes) + b" " * sentence.space
    assert len(out) == chunk.spoken_bytes
    return out


def test_chunks_are_upstreams(lib):
    for case in golden()["chunks"]:
        data = case["text"].encode()
        held, at, chunk, out, error = ctypes.create_string_buffer(data), size_t(0), Chunk(), [], F5Error()
        while not out or out[-1]:
            assert lib.chunk_next(held, len(data), True, ctypes.byref(at), case["max_bytes"], ctypes.byref(chunk),
                                  ctypes.byref(error)) == 0, error.message
            out.append(spoken(lib, chunk).decode())
        assert out[:-1] == case["chunks"], ascii(case["text"])


@pytest.mark.parametrize("text, first", [("你好", "你"), ("Say 你好", "你"), ("〇", "〇"), ("\U00020000", "\U00020000"),
                                         ("a㈱b", "㈱"), ("x\uf900", "\uf900")])
def test_chinese_needs_tables(lib, text, first):
    status, _, message = split(lib, text)
    assert status == UNSUPPORTED
    assert message == (f"Chinese text needs tables that this model does not carry: '{first}' (U+{ord(first):04X}) at byte "
                       f"{len(text[:text.index(first)].encode())}; convert the model again: f5tts convert puts them in")
    assert tokens(lib, text, CHAR) == list(text)  # other tokenizers need no dictionary


def test_char_and_byte(lib, rng):
    text = "".join(chr(c) for c in rng.integers(1, 0xD800, 200)) + "; “a…😀"
    assert tokens(lib, text, CHAR) == list(text)
    assert b"".join(split(lib, text, BYTE)[1]) == text.encode()
    assert len(split(lib, text, BYTE)[1]) == len(text.encode())


@pytest.mark.parametrize("kind", [PINYIN, CHAR, BYTE, CUSTOM])
@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xc0\x80", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
                                 b"\x80", b"\xf0\x9f\x98"])
def test_malformed_text_is_named_by_its_offset(lib, kind, bad):
    with pytest.raises(UnicodeDecodeError):
        bad.decode()
    status, _, message = split(lib, b"good \xc3\xa9 " + bad, kind)
    assert status == FORMAT and message == "malformed UTF-8 at byte 8"


def test_ids(lib, rng):
    """Ids are line numbers, the unknown are 0, and the count is right even where the ids do not fit."""
    vocabulary = [" "] + sorted({chr(c) for c in rng.integers(33, 127, 40)} | {"é", "😀"})
    data, v, error = "".join(t + "\n" for t in vocabulary).encode(), Vocab(), F5Error()
    assert lib.vocab_parse(ctypes.byref(v), data, len(data), b"v", ctypes.byref(error)) == 0, error.message
    text = "".join(chr(c) for c in rng.integers(32, 127, 300)) + "é😀ж"
    expected = [vocabulary.index(t) if t in vocabulary else 0 for t in tokens(lib, text)]
    for capacity in (2000, len(expected), 17, 0):
        ids, n = np.full(2000, -7, np.int32), i32(-1)
        assert lib.tokenizer_run(PINYIN, ctypes.byref(v), text.encode(), len(text.encode()), ids.ctypes.data, capacity,
                                 ctypes.byref(n), ctypes.byref(error)) == 0
        assert n.value == len(expected)
        kept = min(capacity, len(expected))
        assert ids[:kept].tolist() == expected[:kept] and (ids[kept:] == -7).all()
    ids, n = np.zeros(2000, np.int32), i32()
    assert lib.tokenizer_run(BYTE, None, text.encode(), len(text.encode()), ids.ctypes.data, 2000, ctypes.byref(n),
                             ctypes.byref(error)) == 0
    assert ids[:n.value].tolist() == list(text.encode())
    lib.vocab_free(ctypes.byref(v))


# ---- durations: Python's arithmetic is upstream's

class Short(ctypes.Structure):
    _fields_ = [("bytes", size_t), ("speed", ctypes.c_double)]


def test_durations(lib, rng):
    rule = Short(10, 0.3)
    for _ in range(5000):
        ref, ref_bytes, gen_bytes = int(rng.integers(0, 3000)), int(rng.integers(1, 400)), int(rng.integers(1, 500))
        speed = round(float(rng.uniform(0.2, 3)), int(rng.integers(0, 4))) or 1.0
        for given, local in ((None, speed), (ctypes.byref(rule), 0.3 if gen_bytes < 10 else speed)):
            expected = min(65536, ref + int(ref / ref_bytes * gen_bytes / local))
            assert lib.duration_requested(ref, ref_bytes, gen_bytes, speed, given, 0) == expected, (ref, ref_bytes, speed)
        fixed = round(float(rng.uniform(0.1, 60)), int(rng.integers(1, 4)))
        assert lib.duration_requested(ref, ref_bytes, gen_bytes, speed, None, fixed) == int(fixed * 24000 / 256), fixed
        seconds, text = float(rng.uniform(0.5, 30)), b"x" * ref_bytes + b". "
        expected = int(len(text) / seconds * (22 - seconds) * speed)
        assert lib.duration_max_chunk_bytes(text + b" ", len(text) + 1, seconds, speed) == expected


# ---- reference clips: what pydub made of the same signals

def test_reference_clips_are_pydubs(lib):
    cases = json.loads((DATA / "reference_golden.json").read_text())["cases"]
    assert len(cases) >= 40
    for case in cases:
        rate, samples = bursts(case["seed"])
        assert (rate, len(samples)) == (case["rate"], case["frames_in"]), "the signal is not the recorded one"
        data, error = np.ascontiguousarray(samples / np.float32(32768), np.float32), F5Error()
        source = Sound(data.ctypes.data, len(samples), samples.shape[1], rate)
        out, frames = ctypes.POINTER(ctypes.c_float)(), i64()
        assert lib.reference_cut(ctypes.byref(source), ctypes.byref(out), ctypes.byref(frames),
                                 ctypes.byref(error)) == 0, error.message
        assert frames.value == case["frames"], case
        if frames.value:
            cut = np.ctypeslib.as_array(out, (frames.value * samples.shape[1],)) * np.float32(32768)
            assert zlib.crc32(cut.astype("<i2").tobytes()) == case["crc32"], case
        lib.free(out)


# ---- files

def test_picture(lib, tmp_path, rng):
    lib.mel_png_write.argtypes = [ctypes.c_char_p, pointer, i32, i32, ctypes.c_double, pointer]
    mel = np.full((40, 100), -11.5, np.float32)
    frame, band = int(rng.integers(1, 39)), int(rng.integers(0, 100))
    mel[frame, band] = 2
    mel[0, :] = np.linspace(-11.5, 2, 100)
    path, error = tmp_path / "a.png", F5Error()
    assert lib.mel_png_write(os.fsencode(path), mel.ctypes.data, 40, 100, 93.75, ctypes.byref(error)) == 0, error.message
    picture = read_png(path)
    assert picture.shape == (414, 80, 3)
    luminance = picture @ [0.30, 0.59, 0.11]
    assert luminance[(99 - band) * 4 + 1, frame * 2] > 250, "the loud spot: time to the right, bands upwards"
    assert luminance[:400, 2:].max(0).argmax() // 2 == frame - 1
    rise = luminance[400 - 2::-4, 0]  # the first frame, low bands first
    assert (np.diff(rise) > -3).all() and rise[-1] - rise[0] > 240, "brightness follows the level"
    assert lib.mel_png_write(os.fsencode(path), mel.ctypes.data, 0, 100, 93.75, ctypes.byref(error)) != 0


# ---- the speech level of the library

def test_voices_and_speech(model, rng):
    recording = rng.uniform(-0.4, 0.4, 24000).astype(np.float32)

    def refused(status, reason, function):
        with pytest.raises(f5lib.Error) as error:
            function()
        assert error.value.status == status and re.search(reason, error.value.message), str(error.value)

    def open_voice(samples=recording, transcript="A recording.", **settings):
        with e.voice(samples, transcript, **settings) as voice:
            return f5lib.library().f5_voice_seconds(voice)

    with f5lib.Engine(model, max_frames=400, max_text_bytes=600) as e, f5lib.Engine(model, max_frames=400) as other:
        assert open_voice(keep_whole=1) == 1.0
        assert open_voice() == 1.0 + 1198 / 24000  # 50 ms of silence, as pydub makes them
        seconds = open_voice(np.repeat(recording, 2)[:48000 - 1], sample_rate=48000,
                             resample=lambda user, x, n, *rest: resample_half(x, n, *rest))
        assert abs(seconds - 1.05) < 0.001
        bad = recording.copy()
        bad[123] = np.nan
        refused("F5_E_ARGUMENT", "sample 123 is not a finite number", lambda: open_voice(bad))
        bad[123] = 3e38
        refused("F5_E_ARGUMENT", r"sample 123 is 3e\+38", lambda: open_voice(bad))
        refused("F5_E_ARGUMENT", "silent", lambda: open_voice(0 * recording))
        refused("F5_E_ARGUMENT", "too short", lambda: open_voice(recording[:2000]))
        for made in (-1, 0, 23000, 25000):  # 24000 are wanted
            refused("F5_E_ARGUMENT", f"made {made} samples of 16000 at 16000 Hz; 24000 expected",
                    lambda: open_voice(recording[:16000], sample_rate=16000, keep_whole=1, resample=lambda *_: made))
        for settings, reason in [(dict(channels=0), "0 channels; 1 to 8"), (dict(channels=9), "9 channels"),
                                 (dict(channels=-1), "-1 channels"), (dict(sample_rate=0), "0 samples a second"),
                                 (dict(sample_rate=7999), "7999 samples a second; 8000 to 192000"),
                                 (dict(sample_rate=192001), "192001"), (dict(n_frames=0), "no samples"),
                                 (dict(n_frames=-5), "no samples"), (dict(samples=None), "no samples"),
                                 (dict(n_frames=2**63 - 1), "s long; at most 600"), (dict(target_rms=0), "target_rms"),
                                 (dict(target_rms=float("nan")), "target_rms"), (dict(target_rms=2), "target_rms")]:
            params = f5lib.struct("f5_voice_params", samples=recording.ctypes.data, n_frames=len(recording),
                                  transcript=ctypes.cast(ctypes.c_char_p(b"Words."), ctypes.c_void_p).value)
            for field, value in settings.items():
                setattr(params, field, value)
            handle = ctypes.c_void_p()
            refused("F5_E_ARGUMENT", re.escape(reason), lambda: f5lib.call(
                "f5_voice_open", e.handle, ctypes.addressof(params), ctypes.addressof(handle)))
            assert not handle.value
        refused("F5_E_ARGUMENT", "transcription is not built in", lambda: open_voice(transcript=" \u3000\n"))
        refused("F5_E_ARGUMENT", "transcription is not built in", lambda: open_voice(transcript=None))
        refused("F5_E_UNSUPPORTED", "transcript: Chinese", lambda: open_voice(transcript="你好"))
        refused("F5_E_LIMIT", "max_text_bytes", lambda: open_voice(transcript="a" * 601))
        refused("F5_E_LIMIT", "max_frames", lambda: open_voice(np.tile(recording, 11)))
        with e.voice(recording, "A recording.") as voice:
            one = dict(sample=dict(nfe=1))
            pieces, stats = e.speak(voice, "Some words.", seed=5, **one)
            assert len(pieces) == stats["chunks"] == 1 and np.isfinite(pieces[0][0]).all()
            assert stats["generated_seconds"] == len(pieces[0][0]) / 24000
            assert stats["frames"] == 98 + len(pieces[0][1])
            refused("F5_E_ARGUMENT", "empty", lambda: e.speak(voice, " ", **one))
            refused("F5_E_ARGUMENT", "speed", lambda: e.speak(voice, "Words.", speed=0.009, **one))
            refused("F5_E_ARGUMENT", "speed", lambda: e.speak(voice, "Words.", speed=float("nan"), **one))
            refused("F5_E_ARGUMENT", "fix_duration", lambda: e.speak(voice, "Words.", fix_duration=-1, **one))
            refused("F5_E_ARGUMENT", r"the recording alone has 1.05 s", lambda: e.speak(voice, "Words.", fix_duration=1, **one))
            refused("F5_E_LIMIT", "max_text_bytes", lambda: e.speak(voice, "Some words. " * 51, **one))
            refused("F5_E_LIMIT", "max_frames", lambda: e.speak(voice, "Some words.", fix_duration=5, **one))
            refused("F5_E_FORMAT", "text: malformed UTF-8 at byte 5", lambda: e.speak(voice, b"Some \xff words.", **one))
            refused("F5_E_UNSUPPORTED", r"text: Chinese .* at byte 9;", lambda: e.speak(voice, " Yes.  No你.", **one))
            refused("F5_E_ARGUMENT", "another engine", lambda: other.speak(voice, "Some words.", **one))
            again, _ = e.speak(voice, "Some words.", seed=5, **one)  # the engine is as good as before
            assert np.array_equal(again[0][0], pieces[0][0])


def resample_half(x, n, rate_in, rate_out, out, capacity):
    assert rate_in == 48000 and rate_out == 24000 and capacity >= (n + 1) // 2
    for i in range((n + 1) // 2):
        out[i] = x[2 * i]
    return (n + 1) // 2
