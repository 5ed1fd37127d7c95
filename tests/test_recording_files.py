"""Recordings as they come: every format that libsndfile writes, whole and cut; what FFmpeg's libraries add; headers that
pipes leave; files that are mostly holes."""
import re
import resource
import shutil
import struct

import numpy as np
import pytest

import recording_cases
from recordings_lib import VOICE, ffmpeg, hide_ffmpeg, library, prepared, read, run_check, save, voice_samples, write


# libsndfile's names of formats: the container and, as encoding, 16 bits or what the container knows
FORMATS = {"wav": 0x010002, "aiff": 0x020002, "au": 0x030002, "svx": 0x060002, "nist": 0x070002, "voc": 0x080002,
           "ircam": 0x0A0002, "paf": 0x050002, "pvf": 0x0E0002, "wve": 0x190011, "w64": 0x0B0002, "mat4": 0x0C0002, "mat5": 0x0D0002, "avr": 0x120002, "flac": 0x170002,
           "caf": 0x180002, "ogg": 0x200060, "opus": 0x200064, "mp3": 0x230082, "rf64": 0x220002}

@pytest.fixture(scope="module")
def lib():
    return library()


@pytest.fixture(scope="module")
def voice():
    return voice_samples()


@pytest.mark.parametrize("name", FORMATS)
def test_whole_and_cut(lib, tmp_path, voice, rng, name):
    """Read in full; cut anywhere in the sound it is refused with one line that says so."""
    path, x = tmp_path / "voice.bin", voice / 32768
    write(path, x, FORMATS[name], rate=8000 if name == "wve" else 24000)
    got, rate = read(lib, path)
    if name == "wve":
        assert len(got) == len(x) and np.abs(got[:, 0] - x).max() < 0.03  # A-law
    elif name in ("ogg", "opus", "mp3"):
        assert abs(len(got) / rate - len(x) / 24000) < 0.06
    else:
        assert len(got) == len(x) and np.abs(got[:, 0] - x).max() < 1 / 32768
    whole = path.read_bytes()
    for _ in range(3):
        left = int(rng.integers(len(whole) // 2, len(whole) * 9 // 10))
        if name in ("ircam", "paf"):
            left |= 1  # its header has no length: only half a frame tells
        if name == "pvf":
            left = left & ~1 | (len(whole) & 1 ^ 1)
        if b"OggS" in whole[left - 3:left + 4]:
            left += 4  # a page whose first four bytes are not there has not begun
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


@pytest.mark.parametrize("name", recording_cases.CASES)
def test_upstreams_clips(lib, tmp_path, voice, name):
    """What ffmpeg, pydub and torchaudio made of these files, within the rounding of float32 sums."""
    code, rate, _ = recording_cases.CASES[name]
    path = tmp_path / name
    write(path, recording_cases.samples_of(name, voice), code, rate)
    made, want = recording_cases.kept(prepared(lib, path)), recording_cases.golden()[name]
    assert made["samples"] == want["samples"]
    assert abs(made["energy"] / want["energy"] - 1) < 1e-6 and np.abs(made["at"] - np.array(want["at"])).max() < 1e-6


@pytest.mark.parametrize("code, error", [(0x010010, 0.03), (0x010011, 0.03), (0x010012, 0.2), (0x010013, 0.2), (0x010005, 0.01),
                                         (0x010007, 1e-7)], ids=["u-law", "A-law", "IMA", "MS", "8 bits", "double"])
def test_codes(lib, tmp_path, voice, code, error):
    path = tmp_path / "voice.wav"
    write(path, voice / 32768, code)
    got, rate = read(lib, path)
    assert rate == 24000 and 0 <= len(got) - len(voice) < 2048
    assert np.abs(got[:len(voice), 0] - voice / 32768).max() < error


@pytest.mark.parametrize("name", ["one side", "six", "antiphase and more"])
def test_channels(lib, tmp_path, voice, name):
    """Their mean is the voice, at the level that every quiet recording is brought to."""
    x = voice / 32768
    sides = {"one side": [x, 0 * x], "six": [x, x, 0.5 * x, 0 * x, x, x], "antiphase and more": [x, -x, 0.8 * x]}[name]
    write(tmp_path / "one.wav", np.mean(sides, 0), 0x010006)
    write(tmp_path / "more.wav", np.stack(sides, 1), 0x010006)
    one, more = prepared(lib, tmp_path / "one.wav"), prepared(lib, tmp_path / "more.wav")
    n = min(len(one), len(more)) // 2  # silence at the end is measured over all channels
    start = min(range(-4800, 4801, 240), key=lambda d: abs(one[9600:n] - more[9600 + d:n + d]).max())
    assert np.abs(one[9600:n] / np.abs(one).max() - more[9600 + start:n + start] / np.abs(more).max()).max() < 1e-5


def test_rf64_of_a_pipe(lib, tmp_path, voice):
    """Its size of 64 bits is left 0 in another place."""
    path = tmp_path / "piped.rf64"
    ffmpeg("-i", VOICE, "-rf64", "always", "-f", "wav", "-", output=path)
    got, _ = read(lib, path)
    assert len(got) == len(voice) and (got[:, 0] == voice / np.float32(32768)).all()


# made by FFmpeg, to a pipe where the name says so: nobody goes back to write lengths
STREAMS = {"piped.mp3": ["-f", "mp3"], "no_count.mp3": ["-write_xing", "0", "-f", "mp3"], "x.mp2": ["-f", "mp2"],
           "variable.mp3": ["-q:a", "2", "-write_xing", "0", "-f", "mp3"], "piped.flac": ["-f", "flac"],
           "piped.webm": ["-c:a", "libopus", "-f", "webm"], "x.webm": ["-c:a", "libopus"], "x.mka": ["-c:a", "flac"],
           "x.wma": ["-c:a", "wmav2"], "piped.mp4": ["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov", "-f", "mp4"]}


@pytest.mark.parametrize("name", STREAMS)
def test_streams_whole_and_cut(lib, tmp_path, voice, rng, name):
    """What browsers, phones and pipes leave: read to the end, and refused where a last piece is not whole."""
    path = tmp_path / name
    if name.startswith("x."):
        ffmpeg("-i", VOICE, *STREAMS[name], path)
    else:
        ffmpeg("-i", VOICE, *STREAMS[name], "-", output=path)
    got, rate = read(lib, path)
    assert -0.09 < len(got) / rate - len(voice) / 24000 < 0.12
    whole = path.read_bytes()
    last = [] if name == "piped.mp4" else [len(whole) - 1]  # its end is an index
    for left in (*last, *rng.integers(len(whole) // 3, len(whole) * 9 // 10, 3)):
        path.write_bytes(whole[:left])
        message = read(lib, path)
        if left not in last and not isinstance(message, str):  # between two pieces nothing shows, nor in a part of a header
            path.write_bytes(whole[:left - 16])  # FLAC's is as long as that at most: this ends in the piece before
            message = read(lib, path)
        assert isinstance(message, str) and re.search("truncated|damaged", message), f"{left} of {len(whole)}: {message}"


def test_mp3_without_a_count(tmp_path, voice):
    """libsndfile guesses its length by the first frame: a part was read without a word, or a whole file was called
    truncated. With FFmpeg it is as long as with a count; without, what was guessed too short is refused."""
    shim, long = tmp_path / "no.so", tmp_path / "long.wav"
    hide_ffmpeg(shim)
    quiet = np.zeros(12000)
    save(long, np.concatenate([voice / 32768, quiet, voice / 32768, quiet, voice / 32768]))
    for order in ("anull", "areverse"):
        path = tmp_path / f"{order}.mp3"
        ffmpeg("-i", long, "-af", order, "-q:a", "2", "-write_xing", "0", path)
        made = run_check(path)
        assert made.returncode == 0 and re.search(r"used of 1[01]\.\d\d s", made.stdout), made.stdout + made.stderr
        made = run_check(path, env={"LD_PRELOAD": str(shim)})
        assert re.search(r"used of 1[01]\.\d\d s", made.stdout) or "is truncated or damaged" in made.stderr, made.stdout
    ffmpeg("-i", long, "-b:a", "64k", "-write_xing", "0", path)
    made = run_check(path, env={"LD_PRELOAD": str(shim)})
    assert made.returncode == 0 and re.search(r"used of 1[01]\.\d\d s", made.stdout), made.stderr


@pytest.mark.parametrize("wide", [False, True])
def test_amr(lib, tmp_path, rng, wide):
    """Frames of sound, and pauses: FFmpeg does not decode the latter, here they are silence of 20 ms. In 3gp too."""
    sound, noise = (b"\x04", 17) if wide else (b"\x3c", 31)
    pause, length = (b"\x4c" + bytes(5), 320) if wide else (b"\x44" + bytes(5), 160)
    frames = [sound + rng.bytes(noise) for _ in range(20)] + [pause, b"\x7c"] * 3 + [sound + rng.bytes(noise)] * 4
    path = tmp_path / "x.amr"
    path.write_bytes((b"#!AMR-WB\n" if wide else b"#!AMR\n") + b"".join(frames))
    got, rate = read(lib, path)
    assert (rate, len(got)) == (50 * length, 30 * length)
    assert not got[20 * length:26 * length].any() and got[:20 * length].any() and got[26 * length:].any()
    path.write_bytes(path.read_bytes()[:-3])
    assert "damaged" in read(lib, path)
    path.write_bytes((b"#!AMR-WB\n" if wide else b"#!AMR\n") + b"".join(frames[:20]))
    film = tmp_path / "x.3gp"
    ffmpeg("-i", path, "-c", "copy", film)
    again, rate = read(lib, film)
    assert rate == 50 * length and abs(len(again) - 20 * length) <= length


HOLES = {"wav": b"RIFF\xf0\xff\xff\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 24000, 48000, 2, 16),
         "aiff": b"FORM\x7f\0\0\0AIFFCOMM" + struct.pack(">IHIH", 18, 1, 24000, 16) + bytes.fromhex("400dbb80000000000000"),
         "ogg": b"OggS" + bytes(23), "zeros": b"", "flac": b"fLaC\x80\0\0\x22\x10\0\x10\0" + bytes(6) + b"\x05\xdc\x00\xf0" + bytes(20),
         "rf64": b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<I", 28) + bytes(28), "mp3": b"\xff\xfb\x90\x64" + bytes(413) + b"\xff",
         "webm": b"\x1a\x45\xdf\xa3\x84\x42\x82\x81w\x18\x53\x80\x67\x01" + b"\xff" * 7, "mp4": b"\0\0\0\x18ftypisom" + bytes(12),
         "caf": b"caff\0\1\0\0desc" + struct.pack(">Q", 32) + bytes(32)}


@pytest.mark.parametrize("name", HOLES)
def test_four_gigabytes_of_nothing(tmp_path, name):
    """Attack 13: a sparse file of chunks without size took a minute of reads, all of it the processor's time."""
    path = tmp_path / "holes"
    with open(path, "wb") as f:
        f.write(HOLES[name])
        f.truncate(1 << 32)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    made = run_check(path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10
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
