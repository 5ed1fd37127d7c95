"""Recordings as they come: every format that libsndfile writes, whole and cut; what FFmpeg's libraries add; headers that
pipes leave; standard input; quiet, clipped, noisy and slow ones, as check-voice and infer speak of them."""
import ctypes
import os
import re
import shutil
import struct
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

import convert_lib

ROOT = Path(__file__).resolve().parents[1]
VOICE = ROOT / "weights/voices/slt.wav"
WORDS = (ROOT / "weights/voices/slt.txt").read_text().strip()

# libsndfile's names of formats: the container and, as encoding, 16 bits or what the container knows
FORMATS = {"wav": 0x010002, "aiff": 0x020002, "au": 0x030002, "svx": 0x060002, "nist": 0x070002, "voc": 0x080002,
           "ircam": 0x0A0002, "w64": 0x0B0002, "mat4": 0x0C0002, "mat5": 0x0D0002, "avr": 0x120002, "flac": 0x170002,
           "caf": 0x180002, "ogg": 0x200060, "opus": 0x200064, "mp3": 0x230082, "rf64": 0x220002}


class AudioFile(ctypes.Structure):
    _fields_ = [("samples", ctypes.POINTER(ctypes.c_float)), ("n_frames", ctypes.c_int64), ("channels", ctypes.c_int32),
                ("sample_rate", ctypes.c_int32)]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 512)]


class Info(ctypes.Structure):
    _fields_ = [("frames", ctypes.c_int64), ("rate", ctypes.c_int), ("channels", ctypes.c_int), ("format", ctypes.c_int),
                ("sections", ctypes.c_int), ("seekable", ctypes.c_int)]


@pytest.fixture(scope="module")
def lib():
    return ctypes.CDLL(str(Path(os.environ.get("F5_BUILD", ROOT / "build")) / "lib" / "libf5tts_test.so"))


@pytest.fixture(scope="module")
def voice():
    with wave.open(str(VOICE)) as w:
        return np.frombuffer(w.readframes(w.getnframes()), "<i2")


def read(lib, path):
    """(samples, rate), or the message."""
    a, error = AudioFile(), Error()
    if lib.audio_read(ctypes.byref(a), os.fsencode(path), ctypes.byref(error)):
        return error.message.decode()
    x = np.ctypeslib.as_array(a.samples, (a.n_frames, a.channels)).copy()
    rate = a.sample_rate
    lib.audio_free(ctypes.byref(a))
    return x, rate


def write(path, samples, code, rate=24000):
    """By libsndfile itself."""
    sndfile = ctypes.CDLL("libsndfile.so.1")
    sndfile.sf_open.restype = ctypes.c_void_p
    sndfile.sf_open.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
    sndfile.sf_write_float.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    sndfile.sf_write_float.restype = ctypes.c_int64
    sndfile.sf_close.argtypes = [ctypes.c_void_p]
    info = Info(rate=rate, channels=1, format=code)
    handle = sndfile.sf_open(os.fsencode(path), 0x20, ctypes.byref(info))
    assert handle, f"libsndfile writes no {code:#x}"
    x = np.ascontiguousarray(samples, np.float32)
    assert sndfile.sf_write_float(handle, x.ctypes.data, len(x)) == len(x)
    sndfile.sf_close(handle)


def ffmpeg(*arguments, output=None):
    assert shutil.which("ffmpeg"), "ffmpeg is missing: make test-packages installs it"
    made = subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], stdout=subprocess.PIPE, check=True)
    if output:
        output.write_bytes(made.stdout)


@pytest.mark.parametrize("name", FORMATS)
def test_whole_and_cut(lib, tmp_path, voice, rng, name):
    """Read in full; cut anywhere in the sound it is refused with one line that says so."""
    path, x = tmp_path / "voice.bin", voice / 32768
    write(path, x, FORMATS[name])
    got, rate = read(lib, path)
    if name in ("ogg", "opus", "mp3"):
        assert abs(len(got) / rate - len(x) / 24000) < 0.06
    else:
        assert len(got) == len(x) and np.abs(got[:, 0] - x).max() < 1 / 32768
    whole = path.read_bytes()
    for _ in range(3):
        left = int(rng.integers(len(whole) // 2, len(whole) * 9 // 10))
        if name == "ircam":
            left |= 1  # its header has no length: only half a frame tells
        path.write_bytes(whole[:left])
        message = read(lib, path)
        assert isinstance(message, str), f"{left} of {len(whole)} bytes were taken for the whole"
        assert re.search("truncated", message) and len(message) < 300 and str(path) in message, message


FOREIGN = {"aac.m4a": ["-c:a", "aac"], "alac.m4a": ["-c:a", "alac"], "x.aac": ["-c:a", "aac"], "x.webm": ["-c:a", "libopus"],
           "x.wma": ["-c:a", "wmav2"], "x.3gp": ["-c:a", "aac"], "x.mka": ["-c:a", "flac"]}


@pytest.mark.parametrize("name", FOREIGN)
def test_ffmpegs_formats(lib, tmp_path, voice, name):
    """What libsndfile does not read, under its own name and under a wrong one, and cut."""
    path = tmp_path / name
    ffmpeg("-i", VOICE, *FOREIGN[name], path)
    wrong = tmp_path / "wrong.wav"
    for file in (path, shutil.copy(path, wrong)):
        got, rate = read(lib, file)
        assert abs(len(got) / rate - len(voice) / 24000) < 0.1 and 0.3 < np.abs(got).max() < 0.6
    if name == "alac.m4a":
        assert (got[:, 0] == voice / np.float32(32768)).all(), "a lossless code gives the samples"
    wrong.write_bytes(path.read_bytes()[:path.stat().st_size * 2 // 3])
    message = read(lib, wrong)
    assert isinstance(message, str) and re.search("truncated|damaged|not a sound file", message), message


def test_film(lib, tmp_path, voice):
    """The sound of an mp4 with pictures."""
    path = tmp_path / "film.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=s=32x32:d=3", "-i", VOICE, "-c:a", "aac", path)
    got, rate = read(lib, path)
    assert rate == 24000 and abs(len(got) - len(voice)) < 3000


def test_no_other_file_is_opened(lib, tmp_path):
    """A playlist and an address are no recordings, whatever FFmpeg would make of them."""
    shutil.copy(VOICE, tmp_path / "voice.wav")
    for text in ("#EXTM3U\n#EXTINF:3,\nvoice.wav\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile voice.wav\n"):
        path = tmp_path / "list.m3u8"
        path.write_text(text)
        assert "not a sound file" in read(lib, path)
    assert "cannot be opened" in read(lib, "file:" + str(tmp_path / "voice.wav"))


def piped_header(body, size):
    head = b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 24000, 48000, 2, 16)
    return head + b"data" + struct.pack("<I", size) + body


@pytest.mark.parametrize("size", [0, 0x7F000000, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_sizes_left_open(lib, tmp_path, voice, size):
    """sox, ffmpeg, arecord and browsers leave these when they write to a pipe: WAV, AIFF and AU are read to the end."""
    path, body = tmp_path / "piped", voice.tobytes()
    rate = bytes.fromhex("400dbb80000000000000")
    big = voice.astype(">i2").tobytes()
    comm = b"COMM" + struct.pack(">IHIH", 18, 1, size // 2, 16) + rate
    aiff = b"FORM" + struct.pack(">I", size) + b"AIFF" + comm + b"SSND" + struct.pack(">III", size, 0, 0) + big
    au = b".snd" + struct.pack(">IIIII", 24, size, 3, 24000, 1) + big
    for data in (piped_header(body, size), aiff, au):
        path.write_bytes(data)
        got, _ = read(lib, path)
        assert len(got) == len(voice) and (got[:, 0] == voice / np.float32(32768)).all(), data[:4]


def test_empty_sound_is_empty(lib, tmp_path):
    """A size of 0 with nothing but another chunk behind it was meant."""
    path = tmp_path / "empty.wav"
    path.write_bytes(piped_header(b"LIST" + struct.pack("<I", 4) + b"INFO", 0))
    assert "holds no samples" in read(lib, path)


HOLES = {"wav": b"RIFF\xf0\xff\xff\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 24000, 48000, 2, 16),
         "aiff": b"FORM\x7f\0\0\0AIFFCOMM" + struct.pack(">IHIH", 18, 1, 24000, 16) + bytes.fromhex("400dbb80000000000000"),
         "ogg": b"OggS" + bytes(23), "zeros": b"", "caf": b"caff\0\1\0\0desc" + struct.pack(">Q", 32) + bytes(32)}


@pytest.mark.parametrize("name", HOLES)
def test_four_gigabytes_of_nothing(tmp_path, name):
    """Attack 13: a sparse file of chunks without size took a minute of reads. 5 s are for the start of Python too."""
    path = tmp_path / "holes"
    with open(path, "wb") as f:
        f.write(HOLES[name])
        f.truncate(1 << 32)
    made = run_check(path, timeout=5)
    assert made.returncode == 1 and re.search("is damaged|not a sound file|no samples", made.stderr), made.stderr


def test_many_chunks(lib, tmp_path):
    path = tmp_path / "chunks.wav"
    path.write_bytes(HOLES["wav"] + b"JUNK\0\0\0\0" * 100000)
    assert "is damaged: no sound is found" in read(lib, path)


def test_depths(lib, tmp_path, voice):
    """24 bits as pydub has them, negative samples filled up with 255; floats as they are; Opus at 48 kHz."""
    x = voice / 32768
    path = tmp_path / "x"
    write(path, x, 0x010003)
    got, _ = read(lib, path)
    assert (got[:, 0] == np.where(x < 0, x + 255 / 2**31, x).astype(np.float32)).all()
    write(path, x * 4, 0x010006)
    got, _ = read(lib, path)
    assert (got[:, 0] == (x * 4).astype(np.float32)).all()
    write(path, x, FORMATS["opus"])
    assert read(lib, path)[1] == 48000


# ---- the program

def run_check(path, *more, timeout=60, **settings):
    program = Path(os.environ.get("F5_BUILD", ROOT / "build")) / "bin" / "f5tts"
    return subprocess.run([program, "check-voice", path, *more], capture_output=True, text=True, timeout=timeout,
                          check=False, **settings)


def save(path, x, rate=24000):
    with wave.open(str(path), "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes(np.clip(np.rint(x * 32768), -32768, 32767).astype("<i2").tobytes())
    return path


def verdicts(text):
    """{"level": (good?, words), ...}"""
    return {what: (verdict == "good", words) for what, verdict, words in
            re.findall(r"^  (\w+) +(good|mind) +(.*)$", text, re.MULTILINE)}


def test_good_voices(tmp_path):
    """The voices that come with the program are good in all six."""
    for name in ("slt", "rms", "awb"):
        made = run_check(ROOT / f"weights/voices/{name}.wav")
        assert made.returncode == 0 and made.stderr == ""
        said = verdicts(made.stdout)
        assert list(said) == ["level", "clipping", "noise", "rate", "length", "pace"]
        assert all(good for good, _ in said.values()), made.stdout


def bad_recordings(x, rng):
    noise = rng.standard_normal(len(x))
    return {"level": (x * 0.05, 24000, r"quiet: its speech is at -43 dBFS.*volume=23dB"),
            "clipping": (np.clip(x * 10, -1, 1), 24000, r"clipped: \d+\.\d+ % of its samples"),
            "noise": (x + noise * 0.01, 24000, r"noisy: its pauses are at -4\d dBFS, 2\d dB below"),
            "rate": (x[::2][:len(x) // 2], 12000, "12000 samples a second: what it says above 6000 Hz"),
            "length": (x[12000:30000], 24000, r"0\.[78]\d s of sound: from less than a second"),
            "pace": (np.tile(x, 3), 24000, r"the transcript has \d+ bytes for .* s of recording")}


@pytest.mark.parametrize("what", ["level", "clipping", "noise", "rate", "length", "pace"])
def test_advice(tmp_path, voice, rng, what):
    """What is wrong is said, and by infer as a warning in the same words; nothing else is."""
    x, rate, words = bad_recordings(voice / 32768, rng)[what]
    path = save(tmp_path / "bad.wav", x, rate)
    transcript = "Yes." if what in ("length", "pace") else WORDS
    made = run_check(path, "--ref_text", transcript)
    assert made.returncode == 0, made.stderr
    said = verdicts(made.stdout)
    good, line = said[what]
    assert not good and re.search(words, line), made.stdout
    expected = {what, "pace"} if what == "length" else {what}
    assert {w for w, (fine, _) in said.items() if not fine} <= expected, made.stdout


def test_infer_warns_alike(tmp_path, voice, model):
    path = save(tmp_path / "quiet.wav", voice / 32768 * 0.05)
    line = verdicts(run_check(path, "--ref_text", WORDS).stdout)["level"][1]
    made = convert_lib.run("infer", "--model", model, "-r", path, "-s", WORDS, "-t", "Some other words.", "-o", tmp_path,
                           "-w", "a.wav", "--nfe_step", "1", "--max_frames", "1024", "--device", "cpu", "-q")
    assert made.returncode == 0 and f"warning: {path}: {line}" in made.stderr, made.stderr


def test_quiet_is_not_silent(tmp_path, voice):
    """Only the level makes it unusable: the message has the level and the fix, and the fix works."""
    path = save(tmp_path / "quiet.wav", voice / 32768 * 0.005)
    made = run_check(path)
    found = re.search(r"too quiet: its loudest moment is at (-\d+) dBFS.*ffmpeg -i IN -af volume=(\d+)dB out.wav", made.stderr)
    assert made.returncode == 1 and made.stdout == "" and found and -60 < int(found[1]) < -50, made.stderr
    ffmpeg("-i", path, "-af", f"volume={found[2]}dB", tmp_path / "out.wav")
    assert verdicts(run_check(tmp_path / "out.wav").stdout)["level"][0]
    made = run_check(save(path, voice * 0.0))
    assert made.returncode == 1 and "is silent" in made.stderr and "too quiet" not in made.stderr


def test_loud_samples_are_clipped(lib, tmp_path, voice):
    """Beyond full scale a recording is what upstream makes of it: the same as if it had been clipped before."""
    made = []
    for x in (voice / 32768 * 4, np.clip(voice / 32768 * 4, -1, 1)):
        path = tmp_path / "x.wav"
        write(path, x, 0x010006)
        made.append(run_check(path).stdout)
    assert made[0].splitlines()[2:] == made[1].splitlines()[2:], "level differs in the peak alone"


def test_standard_input(tmp_path, model):
    """-r - from a pipe and from a file, in a format that needs to be read to and fro."""
    path = tmp_path / "voice.m4a"
    ffmpeg("-i", VOICE, "-c:a", "aac", path)
    data = path.read_bytes()
    program = Path(os.environ.get("F5_BUILD", ROOT / "build")) / "bin" / "f5tts"
    arguments = [program, "infer", "-m", model, "-t", "Some other words.", "-o", tmp_path, "-w", "a.wav", "--nfe_step", "1",
                 "--max_frames", "1024", "--device", "cpu", "-q", "-r", "-"]
    for name in ("-", "/dev/stdin"):
        made = subprocess.run([*arguments[:-1], name, "-s", WORDS], input=data, capture_output=True, check=False)
        assert made.returncode == 0, made.stderr
    with open(path, "rb") as f:
        assert subprocess.run([*arguments, "-s", WORDS], stdin=f, check=False).returncode == 0
    made = subprocess.run(arguments, input=data, capture_output=True, text=False, check=False)
    assert made.returncode == 2 and b"--ref_text is required" in made.stderr
    made = subprocess.run([*arguments, "-s", WORDS], input=b"", capture_output=True, check=False)
    assert made.returncode == 1 and b"standard input: is empty" in made.stderr
    made = subprocess.run([*arguments, "-s", WORDS, "-f", "-"], input=data, capture_output=True, check=False)
    assert made.returncode == 2 and b"standard input is one of them" in made.stderr


def test_without_ffmpegs_libraries(tmp_path):
    """Where they are not installed, the message names them, what can be read, and the command that helps."""
    source, shim, path = tmp_path / "no.c", tmp_path / "no.so", tmp_path / "voice.m4a"
    source.write_text('#include <stddef.h>\nvoid *dlopen(const char *name, int flags) { return NULL; }\n')
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", shim, source], check=True)
    ffmpeg("-i", VOICE, "-c:a", "aac", path)
    made = run_check(path, env={**os.environ, "LD_PRELOAD": str(shim)})
    assert made.returncode == 1, made.stdout
    for words in (str(path), "WAV, AIFF, FLAC", "m4a, aac, webm", "apt install libavformat", "ffmpeg -i IN out.wav"):
        assert words in made.stderr, made.stderr
    assert run_check(VOICE, env={**os.environ, "LD_PRELOAD": str(shim)}).returncode == 0
