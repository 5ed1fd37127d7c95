"""`f5tts infer` end to end on a tiny random model: what it makes, what it leaves behind, what it says when it fails."""
import re
import subprocess
import wave

import numpy as np
import pytest

import convert_lib
import f5file
import f5lib
from png import read_png

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


@pytest.mark.parametrize("weight", ["head.out.weight", "backbone.final_layer_norm.bias"])
def test_what_is_not_a_number_is_not_written(case, model, weight):
    """A NaN in the vocoder would be a file of constants; weights are not looked through when a model is opened."""
    made = f5file.write_model(case.folder / "bad.f5", "tiny", seed=3)
    made["vocos"][weight] = made["vocos"][weight].copy()
    made["vocos"][weight].reshape(-1)[5] = np.nan
    f5file.write_f5(case.folder / "bad.f5", made, name="tiny")
    result = case.run(model=case.folder / "bad.f5", save_mel=case.folder / "a.npy", spectrogram=case.folder / "a.png")
    assert result.returncode != 0 and "no speech came of it" in result.stderr, result.stderr
    assert "weights are damaged: convert" in result.stderr, result.stderr
    assert left_behind(case.folder) == ["bad.f5", "voice.wav"]


def sounding(engine, mel, first, exact):
    """Samples of mel[first:] by the model level. The vocoder sees 8 frames before and the last one 27 times again, the
    ends fade within 5 ms, float by float; or it sees what sounds alone, as upstream's."""
    if exact:
        return engine.vocode(mel[first:])
    seen = np.concatenate([mel[first - 8:], np.repeat(mel[-1:], 27, 0)])
    samples = engine.vocode(seen)[256 * 8:256 * (8 + len(mel) - first - 1)].copy()
    rising = np.arange(120, dtype=np.float32) / np.float32(120)
    samples[:120] *= rising
    samples[-120:] *= rising[::-1]
    return samples


@pytest.mark.parametrize("exact", [False, True])
def test_infer_end_to_end(case, exact):
    """The result is what the public model level makes of the same clip, tokens, length and seed, bit for bit."""
    text, out = "Say these few words.", case.folder / "out"
    result = case.good(text=text, exact=exact or None, save_mel=case.folder / "a.npy", spectrogram=case.folder / "a.png")
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
        samples = sounding(e, mel, ref_frames, exact)
        with e.voice(pcm, TRANSCRIPT) as voice:
            (direct, direct_mel), = e.speak(voice, text, sample=dict(nfe=NFE), seed=7, exact=int(exact))[0]
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


def test_infer_method(case):
    """A method by its name; midpoint also by the flag. What is no method is refused."""
    spoken = {}
    for name, given in {"plain": {}, "euler": dict(method="euler"), "ab2": dict(method="ab2"),
                        "midpoint": dict(method="midpoint"), "flag": dict(midpoint=True)}.items():
        case.good(seed=7, nfe_step=3, float_wav=True, **given)
        spoken[name] = (case.folder / "out" / "a.wav").read_bytes()
    assert spoken["plain"] == spoken["euler"] and spoken["midpoint"] == spoken["flag"]
    assert len({spoken[name] for name in ("euler", "ab2", "midpoint")}) == 3
    refused = case.run(method="heun")
    assert refused.returncode == 2 and "method heun" in refused.stderr and "ab2" in refused.stderr


def test_infer_text_from_a_file(case):
    """The same speech as from the command line; a byte order mark is not read out."""
    case.good(text="Say these few words.", float_wav=True)
    spoken = (case.folder / "out" / "a.wav").read_bytes()
    for start in (b"", b"\xef\xbb\xbf"):
        (case.folder / "text.txt").write_bytes(start + b"Say these few words.")
        case.good(gen_text=None, gen_file=case.folder / "text.txt", float_wav=True)
        assert (case.folder / "out" / "a.wav").read_bytes() == spoken


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
    for speed, pace in ((None, 0.3), (2, 2), (1, 1)):  # under 10 bytes: upstream's rule, unless a speed is asked for
        case.good(text="Short.", speed=speed)
        wanted = int(ref_frames / (len(TRANSCRIPT) + 2) * 6 / pace)
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
    "no such voice": (dict(ref_audio=None, ref_text=None, voice="nobody"),
                      "no --ref_audio is given, and nobody.wav does not lie beside the program: looked for .*/nobody.wav"),
    "no recording": (dict(ref_audio="missing.wav"), "missing.wav: cannot be opened"),
    "chinese": (dict(gen_text="你好"), "text: Chinese text needs tables that this model does not carry: '你' .U.4F60. at byte 0"),
    "chinese transcript": (dict(ref_text="你好"), "voice.wav: transcript: Chinese text needs tables that this model"),
    "empty text": (dict(gen_text="  "), "the text to speak is empty"),
    "no text file": (dict(gen_file="missing.txt"), "missing.txt"),
    "text is a folder": (dict(gen_file="."), r"\."),
    "too long": (dict(fix_duration=20), "1875 frames .* max_frames given at open is 512"),
    "voice too long": (dict(max_frames=64), "voice.wav: the reference takes 99 of the 64 frames"),
    "no noise": (dict(init_noise="missing.npy"), "missing.npy"),
    "noise is text": (dict(init_noise="/etc/passwd"), "not a .npy file"),
    "no device": (dict(device="abacus"), "abacus"),
    "output is a folder": (dict(output_dir="/", output_file="tmp"), "/tmp: cannot be written: it exists and is not a file"),
    "output nowhere": (dict(output_dir="/proc/nowhere"), "/proc/nowhere"),
    "output ends in a slash": (dict(output_file="b/"), "/out/b/: cannot be written: it names a folder"),
    "output over the recording": (dict(output_dir=".", output_file="{folder}/voice.wav"), "would overwrite .*voice.wav"),
    "output over the model": (dict(output_file="{model}"), "would overwrite .*tiny.f5"),
    "mel over the output": (dict(save_mel="{folder}/out/a.wav"), "would overwrite .*a.wav"),
    "output folder is a file": (dict(output_dir="{folder}/voice.wav"), "voice.wav/a.wav: cannot be written: Not a directory"),
    "mel nowhere": (dict(save_mel="/proc/a.npy"), "/proc/a.npy: cannot be written"),
    "folder is a file": (dict(spectrogram="/etc/passwd/a.png"), "/etc/passwd/a.png: cannot be written"),
    "picture nowhere": (dict(spectrogram="/proc/1/missing/a.png"), "/proc/1/missing/a.png: cannot"),
    "picture is a folder": (dict(spectrogram="/tmp"), "/tmp: cannot be written"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_infer_failures(case, name):
    """Exit status 1, one line that says why, and no half-written file."""
    options, message = FAILURES[name]
    result = case.run(**{k: v.format(folder=case.folder, model=case.path) if isinstance(v, str) else v
                         for k, v in options.items()})
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
    "two recordings": (["--voice", "slt", "-r", "a.wav"], "--ref_audio and --voice: both name the recording"),
    "words of nothing": (["-s", "Words."], "--ref_text: the words of which recording?"),
    "voice is a file": (["--voice", "../slt"], "--voice ../slt: a name of lower-case letters, digits and _ is wanted"),
    "no transcript": (["-m", "m.f5", "-r", "a.wav"], "transcription is not built in"),
    "blank transcript": (["-m", "m.f5", "-r", "a.wav", "-s", " "], "transcription is not built in"),
    "unknown": (["--louder", "3"], "unknown option '--louder'"),
    "loudness": (["--loudness", "3"], "loudness 3: must be keep, peak, or LUFS from -70 to -5"),
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
    "a model and its parts": (["-m", "m.f5", "-p", "ckpt.pt"], "--model m.f5: a model file has its configuration"),
    "two checkpoints": (["-m", "a.pt", "-p", "b.pt"], "--model and --ckpt_file: both name a checkpoint"),
    "a vocoder": (["--vocoder_name", "hifigan"], "--vocoder_name hifigan: must be one of vocos|bigvgan"),
}


@pytest.mark.parametrize("name", USAGE)
def test_usage_errors(name):
    arguments, message = USAGE[name]
    result = convert_lib.run("infer", *arguments)
    assert result.returncode == 2 and result.stdout == "", result.stdout
    assert message in result.stderr and "try 'f5tts infer --help'" in result.stderr, result.stderr


@pytest.mark.parametrize("arguments", [["--version"], ["help"], ["help", "infer"]], ids=" ".join)
def test_output_that_cannot_be_written(arguments):
    with open("/dev/full", "wb") as full:
        result = subprocess.run([convert_lib.program(), *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1 and "standard output cannot be written" in result.stderr


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
