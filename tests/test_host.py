"""The host: tokens, chunks, durations and reference clips against upstream's recorded behaviour and an independent
reading of its rules; files; and `f5tts infer` end to end on a tiny random model."""
import ctypes
import json
import os
import re
import struct
import wave
import zlib
from pathlib import Path

import numpy as np
import pytest

import convert_lib
import f5lib
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


class Source(ctypes.Structure):
    _fields_ = [("samples", pointer), ("n_frames", i64), ("channels", i32), ("sample_rate", i32),
                ("target_rms", ctypes.c_float), ("keep_whole", ctypes.c_bool), ("resample", pointer),
                ("resample_user", pointer)]


@pytest.fixture(scope="module")
def lib():
    """libf5tts_test.so: the library with every symbol visible."""
    path = Path(os.environ.get("F5_BUILD", convert_lib.ROOT / "build")) / "lib" / "libf5tts_test.so"
    assert path.exists(), f"{path} is missing: build first"
    lib = ctypes.CDLL(str(path))
    text = ctypes.c_char_p
    lib.tokenizer_split.argtypes = [ctypes.c_int, text, size_t, TOKEN_FN, pointer, pointer]
    lib.tokenizer_run.argtypes = [ctypes.c_int, pointer, text, size_t, pointer, i32, pointer, pointer]
    lib.chunk_next.argtypes = [text, size_t, pointer, i64, pointer, pointer, pointer]
    lib.vocab_parse.argtypes = [pointer, text, size_t, text, pointer]
    lib.vocab_free.argtypes = [pointer]
    lib.duration_requested.argtypes = [i64, size_t, size_t, ctypes.c_float, ctypes.c_float]
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


def test_chunks_are_upstreams(lib):
    for case in golden()["chunks"]:
        data, at, n, out, error = case["text"].encode(), size_t(0), size_t(1), [], F5Error()
        buffer = ctypes.create_string_buffer(len(data) + 1)
        while n.value:
            assert lib.chunk_next(data, len(data), ctypes.byref(at), case["max_bytes"], buffer, ctypes.byref(n),
                                  ctypes.byref(error)) == 0, error.message
            out.append(buffer.raw[:n.value].decode())
        assert out[:-1] == case["chunks"], ascii(case["text"])


@pytest.mark.parametrize("text, first", [("你好", "你"), ("Say 你好", "你"), ("〇", "〇"), ("\U00020000", "\U00020000"),
                                         ("a㈱b", "㈱"), ("x\uf900", "\uf900")])
def test_chinese_is_refused(lib, text, first):
    status, _, message = split(lib, text)
    assert status == UNSUPPORTED
    assert message.startswith(f"Chinese text is not supported yet: '{first}' (U+{ord(first):04X}) at byte "
                              f"{len(text[:text.index(first)].encode())}"), message
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

def test_durations(lib, rng):
    for _ in range(5000):
        ref, ref_bytes, gen_bytes = int(rng.integers(0, 3000)), int(rng.integers(1, 400)), int(rng.integers(1, 500))
        speed = round(float(rng.uniform(0.2, 3)), int(rng.integers(0, 4))) or 1.0
        local = 0.3 if gen_bytes < 10 else speed
        expected = min(65536, ref + int(ref / ref_bytes * gen_bytes / local))
        assert lib.duration_requested(ref, ref_bytes, gen_bytes, speed, 0) == expected, (ref, ref_bytes, gen_bytes, speed)
        fixed = round(float(rng.uniform(0.1, 60)), int(rng.integers(1, 4)))
        assert lib.duration_requested(ref, ref_bytes, gen_bytes, speed, fixed) == int(fixed * 24000 / 256), fixed
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
        source = Source(data.ctypes.data, len(samples), samples.shape[1], rate, 0.1)
        out, frames = ctypes.POINTER(ctypes.c_float)(), i64()
        assert lib.reference_cut(ctypes.byref(source), ctypes.byref(out), ctypes.byref(frames),
                                 ctypes.byref(error)) == 0, error.message
        assert frames.value == case["frames"], case
        if frames.value:
            cut = np.ctypeslib.as_array(out, (frames.value * samples.shape[1],)) * np.float32(32768)
            assert zlib.crc32(cut.astype("<i2").tobytes()) == case["crc32"], case
        lib.free(out)


# ---- files

def test_resampler(lib, rng):
    """A tone far below both Nyquist frequencies survives within the -100 dB or so that soxr's HQ promises."""
    lib.resample_soxr.restype = i64
    lib.resample_soxr.argtypes = [pointer, pointer, i64, i32, i32, pointer, i64]
    for rate in (8000, 16000, 22050, 44100, 48000, 192000):
        f, n = rng.uniform(200, 3000), rate
        x = np.sin(2 * np.pi * f * np.arange(n) / rate).astype(np.float32)
        out = np.full(25000, np.nan, np.float32)
        made = lib.resample_soxr(None, x.ctypes.data, n, rate, 24000, out.ctypes.data, 25000)
        assert abs(made - 24000) <= 1
        middle = slice(2000, 22000)  # the filter's run-in is left out
        expected = np.sin(2 * np.pi * f * np.arange(25000) / 24000)
        assert np.abs(out[middle] - expected[middle]).max() < 1e-4, rate
        assert lib.resample_soxr(None, x.ctypes.data, n, rate, 24000, out.ctypes.data, 100) <= 100


def read_png(path):
    """[height,width,3] uint8 of an 8-bit RGB picture; every checksum is checked."""
    raw, at, data, size = Path(path).read_bytes(), 8, b"", None
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    while at < len(raw):
        n, kind = struct.unpack(">I4s", raw[at:at + 8])
        body = raw[at + 8:at + 8 + n]
        assert struct.unpack(">I", raw[at + 8 + n:at + 12 + n])[0] == zlib.crc32(kind + body)
        if kind == b"IHDR":
            size = struct.unpack(">IIBBBBB", body)
        if kind == b"IDAT":
            data += body
        at += 12 + n
    width, height, depth, colour, _, _, interlace = size
    assert (depth, colour, interlace) == (8, 2, 0)
    rows = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, 1 + 3 * width)
    picture = np.zeros((height + 1, width + 1, 3), np.int64)
    for y in range(height):
        kind, line = rows[y, 0], rows[y, 1:].reshape(width, 3).astype(np.int64)
        above = picture[y, 1:]
        if kind in (0, 2):
            picture[y + 1, 1:] = (line + (above if kind == 2 else 0)) % 256
            continue
        for x in range(width):
            left, up, corner = picture[y + 1, x], picture[y, x + 1], picture[y, x]
            if kind == 1:
                guess = left
            elif kind == 3:
                guess = (left + up) // 2
            else:
                p = left + up - corner
                far = np.stack([abs(p - left), abs(p - up), abs(p - corner)])
                guess = np.choose(far.argmin(0), [left, up, corner])
            picture[y + 1, x + 1] = (line[x] + guess) % 256
    return picture[1:, 1:].astype(np.uint8)


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
        refused("F5_E_ARGUMENT", "silent", lambda: open_voice(0 * recording))
        refused("F5_E_ARGUMENT", "too short", lambda: open_voice(recording[:2000]))
        refused("F5_E_ARGUMENT", "resample function", lambda: open_voice(sample_rate=16000))
        refused("F5_E_ARGUMENT", "transcription is not built in", lambda: open_voice(transcript=" \u3000\n"))
        refused("F5_E_ARGUMENT", "transcription is not built in", lambda: open_voice(transcript=None))
        refused("F5_E_UNSUPPORTED", "transcript: Chinese", lambda: open_voice(transcript="你好"))
        refused("F5_E_MEMORY", "max_text_bytes", lambda: open_voice(transcript="a" * 601))
        refused("F5_E_MEMORY", "max_frames", lambda: open_voice(np.tile(recording, 11)))
        with e.voice(recording, "A recording.") as voice:
            one = dict(sample=dict(nfe=1))
            pieces, stats = e.speak(voice, "Some words.", seed=5, **one)
            assert len(pieces) == stats["chunks"] == 1 and np.isfinite(pieces[0][0]).all()
            assert stats["generated_seconds"] == len(pieces[0][0]) / 24000
            assert stats["frames"] == 98 + len(pieces[0][1])
            refused("F5_E_ARGUMENT", "empty", lambda: e.speak(voice, " ", **one))
            refused("F5_E_ARGUMENT", "speed", lambda: e.speak(voice, "Words.", speed=0, **one))
            refused("F5_E_ARGUMENT", "speed", lambda: e.speak(voice, "Words.", speed=float("nan"), **one))
            refused("F5_E_ARGUMENT", "fix_duration", lambda: e.speak(voice, "Words.", fix_duration=-1, **one))
            refused("F5_E_UNSUPPORTED", "split it", lambda: e.speak(voice, "Some words. " * 40, **one))
            refused("F5_E_MEMORY", "max_text_bytes", lambda: e.speak(voice, "Some words. " * 51, **one))
            refused("F5_E_MEMORY", "max_frames", lambda: e.speak(voice, "Some words.", fix_duration=5, **one))
            refused("F5_E_FORMAT", "text: malformed UTF-8 at byte 5", lambda: e.speak(voice, b"Some \xff words.", **one))
            refused("F5_E_ARGUMENT", "another engine", lambda: other.speak(voice, "Some words.", **one))
            again, _ = e.speak(voice, "Some words.", seed=5, **one)  # the engine is as good as before
            assert np.array_equal(again[0][0], pieces[0][0])


def resample_half(x, n, rate_in, rate_out, out, capacity):
    assert rate_in == 48000 and rate_out == 24000 and capacity >= (n + 1) // 2
    for i in range((n + 1) // 2):
        out[i] = x[2 * i]
    return (n + 1) // 2


# ---- the program

VOICE_SECONDS, TRANSCRIPT = 1.0, "A short recording."
NFE = 3


def write_wav(path, samples, rate=24000):
    """float [n] or [n,channels] as 16-bit WAV."""
    samples = np.asarray(samples)
    with wave.open(str(path), "wb") as w:
        w.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes(np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes())


def read_wav(path):
    with wave.open(str(path), "rb") as w:
        assert (w.getnchannels(), w.getsampwidth(), w.getframerate()) == (1, 2, 24000)
        return np.frombuffer(w.readframes(w.getnframes()), "<i2")


@pytest.fixture(scope="module")
def model(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("tiny")
    made = convert_lib.rc.make_checkpoint(folder, arch="tiny", seed=seed)
    result = convert_lib.convert(made, folder / "tiny.f5")
    assert result.returncode == 0, result.stderr
    return folder / "tiny.f5"


@pytest.fixture
def case(model, tmp_path, rng):
    """A model, a recording and a folder; run(**options) runs `f5tts infer` with them."""

    class Case:
        folder, path = tmp_path, model
        voice = rng.uniform(-0.4, 0.4, int(24000 * VOICE_SECONDS)).astype(np.float32)

        def run(self, text="Say these few words.", **other):
            options = dict(model=model, ref_audio=tmp_path / "voice.wav", ref_text=TRANSCRIPT, gen_text=text, seed=7,
                           output_dir=tmp_path / "out", output_file="a.wav", nfe_step=NFE, device="cpu", max_frames=512)
            options.update(other)
            arguments = [f"--{k}" if v is True else f"--{k}={v}" for k, v in options.items() if v is not None]
            return convert_lib.run("infer", *arguments)

        def good(self, **other):
            result = self.run(**other)
            assert result.returncode == 0, result.stderr
            return result

    write_wav(tmp_path / "voice.wav", Case.voice)
    return Case()


def left_behind(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_infer_end_to_end(case):
    """The result is what the public model level makes of the same clip, tokens, length and seed, bit for bit."""
    text, out = "Say these few words.", case.folder / "out"
    result = case.good(text=text, save_mel=case.folder / "a.npy", spectrogram=case.folder / "a.png")
    assert re.search(r"^ +RTF +\d+\.\d+ ", result.stdout, re.M) and "seed 7" in result.stdout
    assert f"sampling {NFE}/{NFE}" in result.stderr and "\r" not in result.stderr  # no terminal here: lines
    assert left_behind(case.folder) == ["a.npy", "a.png", "out/a.wav", "voice.wav"]

    pcm = np.rint(case.voice * 32768).astype(np.int16).astype(np.float32) / 32768
    clip = np.concatenate([pcm, np.zeros(550 * 24000 // 11025 + 1, np.float32)])  # 50 ms of silence is appended
    ref_text = TRANSCRIPT + "  "
    ref_frames = len(clip) // 256
    frames = ref_frames + int(ref_frames / len(ref_text) * len(text))
    assert np.sqrt((clip.astype(np.float64) ** 2).mean()) > 0.1, "loud enough to be left as it is"
    with f5lib.Engine(case.path, max_frames=512) as e:
        cond = e.mel(clip)
        mel, = e.sample([dict(cond=cond, tokens=e.tokenize(ref_text + text), frames=frames, seed=7)], nfe=NFE)
        samples = e.vocode(mel[ref_frames:])
        direct, stats = None, None
        with e.voice(pcm, TRANSCRIPT) as voice:
            (direct, direct_mel), = e.speak(voice, text, sample=dict(nfe=NFE), seed=7)[0]
    saved = np.load(case.folder / "a.npy")
    assert saved.dtype == np.float32 and saved.flags.c_contiguous and saved.shape == (frames - ref_frames, 100)
    assert np.array_equal(saved, mel[ref_frames:]) and np.array_equal(saved, direct_mel)
    assert np.array_equal(direct, samples)
    wav = read_wav(out / "a.wav")
    assert len(wav) == 256 * (frames - ref_frames - 1)
    assert np.abs(wav / 32768 - np.clip(samples, -1, 1)).max() < 1.01 / 32768  # one step of 16 bits
    assert read_png(case.folder / "a.png").shape == (414, 2 * len(saved), 3)


def test_infer_is_deterministic(case):
    runs = []
    for seed in (7, 7, 8):
        case.good(seed=seed, float_wav=True)
        runs.append((case.folder / "out" / "a.wav").read_bytes())
    assert runs[0] == runs[1] != runs[2]


def test_infer_quiet_stereo_other_rate(case, rng):
    """A quiet recording is raised, and its speech lowered by as much."""
    n = int(44100 * VOICE_SECONDS)
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(n) / 44100)
    for name, gain in (("loud", 1.0), ("quiet", 0.125)):
        stereo = np.stack([tone, tone], 1) * gain
        write_wav(case.folder / f"{name}.wav", stereo, 44100)
        case.good(ref_audio=case.folder / f"{name}.wav", output_file=f"{name}.wav", target_rms=0.5, quiet=True)
    loud, quiet = (read_wav(case.folder / "out" / f"{x}.wav").astype(np.float64) for x in ("loud", "quiet"))
    assert len(loud) == len(quiet)
    inside = np.abs(loud) < 32767  # not clipped
    # the same but for the 16-bit rounding of the recording, magnified by a random network; an eighth of the level
    ratio = np.linalg.norm(quiet[inside]) / np.linalg.norm(loud[inside])
    assert 0.1 < ratio < 0.16, ratio


def test_infer_noise_and_durations(case, rng):
    frames = int(3.5 * 24000 / 256)
    np.save(case.folder / "noise.npy", rng.standard_normal((frames, 100)).astype(np.float32))
    case.good(fix_duration=3.5, init_noise=case.folder / "noise.npy", seed=1, float_wav=True)
    first = (case.folder / "out" / "a.wav").read_bytes()
    case.good(fix_duration=3.5, init_noise=case.folder / "noise.npy", seed=2, float_wav=True)
    assert (case.folder / "out" / "a.wav").read_bytes() == first, "with a state given the seed does not matter"
    result = case.run(init_noise=case.folder / "noise.npy")
    assert result.returncode == 1 and f"has {frames} frames" in result.stderr
    ref_frames = (24000 + 1198) // 256
    case.good(fix_duration=3.5)
    assert len(read_wav(case.folder / "out" / "a.wav")) == 256 * (frames - ref_frames - 1)
    case.good(text="Short.", speed=2)  # under 10 bytes: 0.3 whatever is asked
    wanted = int(ref_frames / (len(TRANSCRIPT) + 2) * 6 / 0.3)
    assert len(read_wav(case.folder / "out" / "a.wav")) == 256 * (wanted - 1)


def test_infer_text_file_and_spelling_of_options(case):
    (case.folder / "text.txt").write_text("Say these few words.\n", encoding="utf-8")
    case.good()
    direct = (case.folder / "out" / "a.wav").read_bytes()
    result = convert_lib.run(
        "infer", "-m", case.path, "-r", case.folder / "voice.wav", "-s", TRANSCRIPT, "-t", "ignored", "-f",
        case.folder / "text.txt", "-o", case.folder / "out/deeper/still", "-w", "b.wav", "--nfe-step", NFE, "--seed=7",
        "--max-frames", "512", "--device", "cpu")
    assert result.returncode == 0, result.stderr
    assert (case.folder / "out/deeper/still/b.wav").read_bytes() == direct


FAILURES = {
    "no model": (dict(model="missing.f5"), "missing.f5"),
    "no recording": (dict(ref_audio="missing.wav"), "missing.wav: cannot be opened"),
    "chinese": (dict(gen_text="你好"), "text: Chinese text is not supported yet: '你' .U.4F60. at byte 0"),
    "chinese transcript": (dict(ref_text="你好"), "voice.wav: transcript: Chinese text is not supported yet"),
    "empty text": (dict(gen_text="  "), "the text to speak is empty"),
    "two chunks": (dict(gen_text="Some words follow. " * 40), "split it"),
    "voice tag": (dict(gen_text="[town] hello"), r"names a voice, \[town\]"),
    "no text file": (dict(gen_file="missing.txt"), "missing.txt"),
    "text is a folder": (dict(gen_file="."), r"\."),
    "too long": (dict(fix_duration=20), "1875 frames .* max_frames given at open is 512"),
    "voice too long": (dict(max_frames=64), "voice.wav: the reference takes 99 of the 64 frames"),
    "no noise": (dict(init_noise="missing.npy"), "missing.npy"),
    "noise is text": (dict(init_noise="/etc/passwd"), "not a .npy file"),
    "no device": (dict(device="abacus"), "abacus"),
    "output is a folder": (dict(output_dir="/", output_file="tmp"), "/tmp: cannot be written: it exists and is not a file"),
    "output nowhere": (dict(output_dir="/proc/nowhere"), "/proc/nowhere"),
    "mel nowhere": (dict(save_mel="/proc/a.npy"), "/proc/a.npy: cannot be written"),
    "folder is a file": (dict(spectrogram="/etc/passwd/a.png"), "/etc/passwd/a.png: cannot be written"),
    "picture nowhere": (dict(spectrogram="/proc/1/missing/a.png"), "/proc/1/missing/a.png: cannot"),
    "picture is a folder": (dict(spectrogram="/tmp"), "/tmp: cannot be written"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_infer_failures(case, name):
    """Exit status 1, one line that says why, and no half-written file."""
    options, message = FAILURES[name]
    result = case.run(**options)
    lines = [line for line in result.stderr.splitlines() if not line.startswith("sampling ")]
    assert result.returncode == 1 and len(lines) == 1, result.stderr
    assert lines[0].startswith("f5tts infer: ") and re.search(message, lines[0]), lines[0]
    assert result.stdout == "" and left_behind(case.folder) == ["voice.wav"]


def test_a_failure_keeps_the_old_file(case):
    out = case.folder / "out"
    out.mkdir()
    (out / "a.wav").write_bytes(b"old")
    assert case.run(spectrogram="/proc/1/missing/a.png").returncode == 1
    assert (out / "a.wav").read_bytes() == b"old" and left_behind(out) == ["a.wav"]


USAGE = {
    "nothing": ([], "--model is required"),
    "no voice": (["--model", "m.f5"], "--ref_audio is required"),
    "no transcript": (["-m", "m.f5", "-r", "a.wav"], "transcription is not built in"),
    "blank transcript": (["-m", "m.f5", "-r", "a.wav", "-s", " "], "transcription is not built in"),
    "unknown": (["--loudness", "3"], "unknown option '--loudness'"),
    "unknown short": (["-x"], "unknown option '-x'"),
    "stray": (["what"], "unexpected argument 'what'"),
    "no value": (["--model"], "--model needs a value"),
    "value missing": (["--model", "--ref_audio"], "--model needs a value"),
    "empty": (["--model="], "--model must not be empty"),
    "flag with value": (["--quiet=1"], "--quiet takes no value"),
    "steps 0": (["--nfe_step", "0"], "--nfe_step 0: must be a whole number from 1 to 1024"),
    "steps text": (["--nfe_step", "x3"], "--nfe_step x3: must be"),
    "steps huge": (["--nfe_step", "99999999999999999999"], "--nfe_step 99999999999999999999: must be"),
    "cfg nan": (["--cfg_strength", "nan"], "--cfg_strength nan: must be a number from 0 to 100"),
    "speed 0": (["--speed", "0"], "--speed 0: must be a number from 0.01 to 100"),
    "seed negative": (["--seed", "-1"], "--seed -1: must be a whole number"),
    "upstream's": (["--remove_silence"], "--remove_silence is not supported yet"),
    "upstream's, with value": (["-p", "ckpt.pt"], "--ckpt_file is not supported yet: the model is one file"),
}


@pytest.mark.parametrize("name", USAGE)
def test_usage_errors(name):
    arguments, message = USAGE[name]
    result = convert_lib.run("infer", *arguments)
    assert result.returncode == 2 and result.stdout == "", result.stdout
    assert message in result.stderr and "try 'f5tts infer --help'" in result.stderr, result.stderr


def test_help_and_version():
    version = convert_lib.run("--version")
    assert version.returncode == 0 and re.fullmatch(r"f5tts \d+\.\d+\.\d+\n", version.stdout)
    for arguments in (["infer", "--help"], ["infer", "-h"], ["help", "infer"]):
        result = convert_lib.run(*arguments)
        assert result.returncode == 0 and result.stdout.startswith("usage: f5tts infer ") and result.stderr == ""
        for option in ("--ref_audio", "--nfe_step", "--sway_sampling_coef", "--spectrogram"):
            assert option in result.stdout
    assert convert_lib.run("help").returncode == 0
    assert convert_lib.run().returncode == 2
    assert convert_lib.run("sing").returncode == 2
