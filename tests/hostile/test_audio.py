"""Recordings that are none: `f5tts infer` refuses each with one line that names the file and the reason, exit status 1,
and leaves nothing behind. With F5_ASAN_BUILD the same under the address and undefined-behaviour sanitizers."""
import os
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import convert_lib  # noqa: E402

PCM, FLOAT, ADPCM = 1, 3, 2


def chunk(name, body, claimed=None):
    return name + struct.pack("<I", len(body) if claimed is None else claimed) + body + b"\0" * (len(body) % 2)


def wav(body, channels=1, rate=24000, kind=PCM, bits=16, claimed=None, before=b"", block=None, riff=None):
    """A WAV file; claimed: the size that the data chunk states."""
    block = channels * bits // 8 if block is None else block
    fmt = struct.pack("<HHIIHH", kind, channels, rate, (rate * block) & 0xFFFFFFFF, block & 0xFFFF, bits)
    rest = b"WAVE" + chunk(b"fmt ", fmt) + before + chunk(b"data", body, claimed)
    return b"RIFF" + struct.pack("<I", len(rest) if riff is None else riff) + rest


def aiff(body, frames, claimed=None):
    rate = bytes.fromhex("400dbb80000000000000")  # 24000 as an 80-bit float
    comm = struct.pack(">HIH", 1, frames, 16) + rate
    sound = struct.pack(">II", 0, 0) + body
    rest = b"AIFF" + b"COMM" + struct.pack(">I", len(comm)) + comm
    rest += b"SSND" + struct.pack(">I", len(sound) if claimed is None else claimed) + sound
    return b"FORM" + struct.pack(">I", len(rest)) + rest


def samples(n, dtype="<i2"):
    """n samples of a loud saw tooth."""
    x = (np.arange(n) % 80) / 40.0 - 1
    return (x * 12000).astype(dtype).tobytes() if dtype == "<i2" else (x * 0.4).astype(dtype).tobytes()


def floats(*values):
    x = np.frombuffer(samples(24000, "<f4"), "<f4").copy()
    x[5000:5000 + len(values)] = values
    return x.tobytes()


SECOND = samples(24000)
HUGE = 0x7FFFFFF0
CASES = {
    "empty file": (b"", "is empty"),
    "one byte": (b"R", "not a sound file"),
    "text": (b"Some call this a recording.\n" * 200, "not a sound file"),
    "zeros": (bytes(5000), "not a sound file"),
    "random bytes": (np.random.default_rng(1).bytes(5000), "not a sound file"),
    "RIFF only": (b"RIFF\x04\0\0\0WAVE", "not a sound file"),
    "no data chunk": (b"RIFF\x24\0\0\0WAVE" + chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 24000, 48000, 2, 16)),
                      "not a sound file|holds no samples"),
    "no frames": (wav(b""), "holds no samples"),
    "half a frame": (wav(b"\1"), "holds no samples"),
    "one sample": (wav(samples(1)), "silent|too short"),
    "too short": (wav(samples(1000)), "too short"),
    "silence": (wav(bytes(48000)), "silent"),
    "near silence": (wav(np.tile([9, -9], 24000).astype("<i2").tobytes()), "silent"),
    "channels that cancel": (wav(np.stack([np.frombuffer(SECOND, "<i2"), -np.frombuffer(SECOND, "<i2")], 1)
                                 .astype("<i2").tobytes(), channels=2), "silent"),
    "0 channels": (wav(SECOND, channels=0, block=2), "not a sound file|channels"),
    "9 channels": (wav(samples(9 * 24000), channels=9), "9 channels; 1 to 8"),
    "32 channels": (wav(samples(32 * 24000), channels=32), "32 channels; 1 to 8"),
    "65535 channels": (wav(SECOND, channels=65535), "not a sound file|channels|holds no samples"),
    "rate 0": (wav(SECOND, rate=0), "not a sound file|0 samples a second"),
    "rate 1": (wav(SECOND, rate=1), "1 samples a second"),
    "rate 7999": (wav(SECOND, rate=7999), "7999 samples a second; 8000 to 192000"),
    "rate 192001": (wav(SECOND, rate=192001), "192001 samples a second"),
    "rate 2^32-1": (wav(SECOND, rate=0xFFFFFFFF), "not a sound file|samples a second"),
    "11 minutes": (wav(bytes(2 * 8000 * 660), rate=8000), "660 s long; at most 600 s"),
    "truncated": (wav(samples(48000))[:-30000], "truncated: 30000 bytes of sound are missing"),
    "truncated by a byte": (wav(SECOND)[:-1], "truncated: 1 bytes"),
    "claims too much": (wav(SECOND, claimed=0x7EFFFFFF), "truncated"),
    "claims too much, odd size": (wav(SECOND, claimed=48001), "truncated: 1 bytes"),
    "a chunk before is too long": (wav(SECOND, before=b"LIST" + struct.pack("<I", HUGE)), "not a sound file|no samples"),
    "a chunk before is endless": (wav(SECOND, before=b"LIST" + struct.pack("<I", 0xFFFFFFFF)),
                                  "not a sound file|no samples"),
    "truncated AIFF": (aiff(np.frombuffer(SECOND, "<i2").astype(">i2").tobytes()[:-200], 24000, 48008),
                       "truncated: 200 bytes"),
    "NaN": (wav(floats(np.nan), kind=FLOAT, bits=32), "frame 5000 is not a finite number"),
    "signalling NaN": (wav(floats(np.uint32(0x7FA00000).view(np.float32)), kind=FLOAT, bits=32), "not a finite number"),
    "infinity": (wav(floats(0.1, np.inf), kind=FLOAT, bits=32), "frame 5001 is not a finite number"),
    "minus infinity": (wav(floats(-np.inf), kind=FLOAT, bits=32), "not a finite number"),
    "0 bits": (wav(SECOND, bits=0, block=2), "not a sound file|samples"),
    "65535 bits": (wav(SECOND, bits=65535), "not a sound file|samples"),
    "unknown encoding": (wav(SECOND, kind=0x4242), "not a sound file"),
    "ADPCM without its header": (wav(SECOND, kind=ADPCM, bits=4, block=0), "not a sound file|samples|truncated|damaged"),
    "FLAC header only": (b"fLaC\x80\0\0\x22" + bytes(34), "not a sound file|samples"),
    "Ogg header only": (b"OggS\0\2" + bytes(40), "not a sound file"),
    "AU that claims too much": (b".snd" + struct.pack(">IIIII", 24, 0x7FFFFFFF, 3, 24000, 1) + bytes(100),
                                "not a sound file|truncated|silent|samples|s long"),
    "CAF header only": (b"caff\0\1\0\0" + bytes(60), "not a sound file|samples"),
    "MP3 header only": (b"\xff\xfb\x90\x00" + bytes(100), "not a sound file|samples|short|silent"),
}


@pytest.fixture(params=["plain", "sanitized"])
def infer(request, model, tmp_path):
    sanitized = request.param == "sanitized"
    if sanitized and not os.environ.get("F5_ASAN_BUILD"):
        pytest.skip("F5_ASAN_BUILD is not set: no sanitizers in this run")

    def run(path):
        return convert_lib.run("infer", "--model", model, "--ref_audio", path, "--ref_text", "Words.", "--gen_text",
                               "Some other words.", "--output_dir", tmp_path / "out", "--output_file", "a.wav",
                               "--nfe_step", "1", "--max_frames", "512", "--device", "cpu", sanitized=sanitized)
    return run


def own_lines(result):
    """stderr without what libmpg123, inside libsndfile, says on its own account."""
    return [line for line in result.stderr.splitlines() if not line.startswith("[src/libmpg123/")]


def check_refused(result, path, reason, folder):
    assert result.returncode == 1, f"exit status {result.returncode}\n{result.stderr}"
    assert result.stdout == "" and len(own_lines(result)) == 1, result.stderr
    line = own_lines(result)[0]
    assert line.startswith(f"f5tts infer: {path}: "), line
    assert re.search(reason, line[len(f"f5tts infer: {path}"):]), line
    assert not (folder / "out").exists()


@pytest.mark.parametrize("name", CASES)
def test_refused(infer, tmp_path, name):
    data, reason = CASES[name]
    path = tmp_path / "voice.wav"
    path.write_bytes(data)
    check_refused(infer(path), path, reason, tmp_path)


def test_not_files(infer, tmp_path):
    check_refused(infer(tmp_path / "missing.wav"), tmp_path / "missing.wav", "cannot be opened", tmp_path)
    check_refused(infer(tmp_path), tmp_path, "is not a file", tmp_path)
    os.mkfifo(tmp_path / "pipe.wav")  # nobody writes to it: it must not be waited for
    check_refused(infer(tmp_path / "pipe.wav"), tmp_path / "pipe.wav", "is not a file", tmp_path)
    check_refused(infer("/dev/zero"), "/dev/zero", "is not a file", tmp_path)
    os.symlink(tmp_path / "loop.wav", tmp_path / "loop.wav")
    check_refused(infer(tmp_path / "loop.wav"), tmp_path / "loop.wav", "cannot be opened", tmp_path)


def test_random_damage(infer, tmp_path, rng):
    """A WAV file with random bytes in its headers is spoken or refused, nothing else."""
    good = wav(SECOND)
    for _ in range(12):
        data = bytearray(good)
        for at in rng.integers(0, 48, rng.integers(1, 4)):
            data[at] = rng.integers(0, 256)
        path = tmp_path / "voice.wav"
        path.write_bytes(data)
        result = infer(path)
        assert result.returncode in (0, 1), f"{bytes(data[:48])!r}\n{result.stderr}"
        if result.returncode == 1:
            assert len(own_lines(result)) == 1, result.stderr


ODD_BUT_GOOD = {
    "extra chunk of odd size": wav(SECOND, before=chunk(b"LIST", b"odd")),
    "size left open by a pipe": wav(SECOND, claimed=0xFFFFFFFF, riff=0xFFFFFFFF),
    "8 channels": wav(samples(8 * 24000), channels=8),
    "8 kHz": wav(samples(8000), rate=8000),
    "192 kHz": wav(samples(192000), rate=192000),
    "float": wav(samples(24000, "<f4"), kind=FLOAT, bits=32),
    "louder than full scale": wav(floats(3.0, -3.0), kind=FLOAT, bits=32),
    "AIFF": aiff(np.frombuffer(SECOND, "<i2").astype(">i2").tobytes(), 24000),
}


@pytest.mark.parametrize("name", ODD_BUT_GOOD)
def test_taken(infer, tmp_path, name):
    """What is unusual but whole is not refused: the checks above are not merely strict."""
    path = tmp_path / "voice.wav"
    path.write_bytes(ODD_BUT_GOOD[name])
    result = infer(path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "a.wav").stat().st_size > 44
