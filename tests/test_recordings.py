"""What check-voice and infer say of recordings: quiet, clipped, noisy and slow ones; standard input; a machine without
FFmpeg's libraries."""
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

import convert_lib
from recordings_lib import ROOT, VOICE, WORDS, ffmpeg, hide_ffmpeg, run_check, save, verdicts, voice_samples, write


@pytest.fixture(scope="module")
def voice():
    return voice_samples()


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
            "pause": (np.concatenate([x, np.zeros(72000), x]), 24000, r"a pause of 3\.\d s.*silenceremove"),
            "pace": (np.tile(x, 3), 24000, r"the transcript has \d+ bytes for .* s of recording")}


@pytest.mark.parametrize("what", ["level", "clipping", "noise", "rate", "length", "pause", "pace"])
def test_advice(tmp_path, voice, rng, what):
    """What is wrong is said, and by infer as a warning in the same words; nothing else is."""
    x, rate, words = bad_recordings(voice / 32768, rng)[what]
    path = save(tmp_path / "bad.wav", x, rate)
    transcript = "Yes." if what in ("length", "pace") else WORDS
    what = "length" if what == "pause" else what
    made = run_check(path, "--ref_text", transcript)
    assert made.returncode == 0, made.stderr
    said = verdicts(made.stdout)
    good, line = said[what]
    assert not good and re.search(words, line), made.stdout
    expected = {what, "pace"} if what == "length" else {what}
    assert {w for w, (fine, _) in said.items() if not fine} <= expected, made.stdout


def test_too_long_to_be_kept_whole(tmp_path, voice, model):
    """The recording is what has to change, not the text: check-voice says so, and infer where nothing is left."""
    path = save(tmp_path / "long.wav", np.tile(voice / 32768, 8))
    good, line = verdicts(run_check(path, "--keep_whole").stdout)["length"]
    assert not good and "26.5 s" in line and "22 s at most" in line and "at most 12 s" in line
    assert verdicts(run_check(path).stdout)["length"][0], "cut to 12 s it is good"
    made = convert_lib.run("infer", "--model", model, "-r", path, "-s", WORDS, "-t", "Some other words.", "-o", tmp_path,
                           "-w", "a.wav", "--nfe_step", "1", "--max_frames", "1024", "--device", "cpu", "--keep_whole")
    assert made.returncode == 1 and "use a shorter recording or a larger max_frames" in made.stderr, made.stderr


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


def test_loud_samples_are_clipped(tmp_path, voice):
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
    twice = b"standard input (-) can be one of the text and the recordings, not 2"
    made = subprocess.run([*arguments, "-s", WORDS, "-f", "-"], input=data, capture_output=True, check=False)
    assert made.returncode == 2 and twice in made.stderr
    config = tmp_path / "c.toml"
    config.write_text('[voices.town]\nref_audio = "-"\nref_text = "Some words."\n')
    made = subprocess.run([*arguments, "-s", WORDS, "-c", config], input=data, capture_output=True, check=False)
    assert made.returncode == 2 and twice in made.stderr
    (tmp_path / "list.txt").write_text("Some other words.\n")
    made = subprocess.run([program, "batch", tmp_path / "list.txt", *arguments[2:4], "-o", tmp_path, "-r", "-", "-s", WORDS],
                          input=data, capture_output=True, check=False)
    assert made.returncode == 1 and b"list.txt:1: ref_audio -: standard input can be read once" in made.stderr


def test_broken_transcript(tmp_path, voice):
    """One that is there and cannot be read is not passed over."""
    path = save(tmp_path / "voice.wav", voice / 32768)
    path.with_suffix(".txt").write_bytes("Grüße".encode("latin-1"))
    made = run_check(path)
    assert made.returncode == 1 and "voice.txt: malformed UTF-8" in made.stderr


def test_without_ffmpegs_libraries(tmp_path):
    """Where they are not installed, the message names them, what can be read, and the command that helps."""
    shim, path = tmp_path / "no.so", tmp_path / "voice.m4a"
    hide_ffmpeg(shim)
    ffmpeg("-i", VOICE, "-c:a", "aac", path)
    made = run_check(path, env={"LD_PRELOAD": str(shim)})
    assert made.returncode == 1, made.stdout
    for words in (str(path), "WAV, AIFF, FLAC", "m4a, aac, webm", "apt install libavformat", "ffmpeg -i IN out.wav"):
        assert words in made.stderr, made.stderr
    assert run_check(VOICE, env={"LD_PRELOAD": str(shim)}).returncode == 0
