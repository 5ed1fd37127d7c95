"""Upstream's commands for inference, typed as its README.md and src/f5_tts/infer/README.md have them (at 2ae2c9b), with
`f5tts infer` in the place of `f5-tts_infer-cli`: each works, or one line says why not and what to do instead."""
import re
import shlex
import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

import convert_lib
from hub_lib import VOCOS, store
from fake_hub import FakeHub

WORKS = object()
TOP, INFER = "README.md", "src/f5_tts/infer/README.md"

# (where it stands, what is typed, WORKS or what the one line says)
COMMANDS = [
    (TOP, r'''f5-tts_infer-cli --model F5TTS_v1_Base \
--ref_audio "provide_prompt_wav_path_here.wav" \
--ref_text "The content, subtitle or transcription of reference audio." \
--gen_text "Some text you want TTS model generate for you."''', WORKS),
    (TOP, "f5-tts_infer-cli", WORKS),  # with the voice that comes with the program; here a tiny one lies in its place
    (TOP, "f5-tts_infer-cli -c custom.toml", WORKS),
    # its voices have no transcripts: upstream fetches a recogniser of 1.6 GB
    (TOP, "f5-tts_infer-cli -c src/f5_tts/infer/examples/multi/story.toml",
     r"story\.toml.*--ref_text is required|main\.flac: --ref_text is required.*--transcribe 'whisper-cli -f \{\}'"),
    (INFER, r'''f5-tts_infer-cli \
--model F5TTS_v1_Base \
--ref_audio "ref_audio.wav" \
--ref_text "The content, subtitle or transcription of reference audio." \
--gen_text "Some text you want TTS model generate for you."''', WORKS),
    (INFER, "f5-tts_infer-cli --model F5TTS_Base --vocoder_name bigvgan --load_vocoder_from_local", r"bigvgan"),
    # works with a checkpoint of that size; the tiny one here is taken for it by name and found not to be
    (INFER, "f5-tts_infer-cli --ckpt_file ckpts/F5TTS_v1_Base/model_1250000.safetensors",
     r"ckpts/F5TTS_v1_Base/model_1250000.safetensors does not fit the configuration: \d+ keys missing"),
    (INFER, "f5-tts_infer-cli --help", WORKS),
    (INFER, "f5-tts_infer-cli -c custom.toml", WORKS),
    (TOP, "f5-tts_infer-gradio", r"no Gradio app; `f5tts serve` has a page"),
    (TOP, "f5-tts_infer-gradio --port 7860 --host 0.0.0.0", r"no Gradio app; `f5tts serve` has a page"),
    (TOP, "f5-tts_infer-gradio --share", r"no Gradio app"),
    (INFER, "f5-tts_infer-gradio --inbrowser", r"no Gradio app"),
    (INFER, 'f5-tts_infer-gradio --root_path "/myapp"', r"no Gradio app"),
    (TOP, "f5-tts_finetune-gradio", r"nothing is trained here; `f5tts convert`"),
    (INFER, "python src/f5_tts/socket_server.py", r"`f5tts serve` is the server"),
    (INFER, "python src/f5_tts/infer/speech_edit.py", r"`f5tts edit` is it")]

STORY = """# as upstream's examples/multi/story.toml
model = "F5TTS_v1_Base"
ref_audio = "infer/examples/multi/main.flac"
ref_text = ""
gen_text = ""
gen_file = "infer/examples/multi/story.txt"
remove_silence = true
output_dir = "tests"
output_file = "infer_cli_story.wav"

[voices.town]
ref_audio = "infer/examples/multi/town.flac"
ref_text = ""
speed = 0.8

[voices.country]
ref_audio = "infer/examples/multi/country.flac"
ref_text = ""
"""
CUSTOM = """# as upstream's examples/basic/basic.toml
model = "F5TTS_v1_Base"
ref_audio = "infer/examples/basic/basic_ref_en.wav"
ref_text = "Some words of the recording."
gen_text = "What is to be said."
gen_file = ""
remove_silence = false
output_dir = "tests"
output_file = "infer_cli_basic.wav"
"""


def record(path, pitch):
    """Two seconds of something."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.3 * np.sin(2 * np.pi * pitch * np.arange(48000) / 24000)
    with wave.open(str(path.with_suffix(".wav")), "wb") as w:
        w.setparams((1, 2, 24000, 0, "NONE", ""))
        w.writeframes((tone * 32767).astype("<i2").tobytes())
    if path.suffix != ".wav":
        subprocess.run(["ffmpeg", "-v", "error", "-i", path.with_suffix(".wav"), path], check=True)
        path.with_suffix(".wav").unlink()


@pytest.fixture(scope="module")
def model(tiny, tmp_path_factory):
    """A tiny one, which stands for upstream's."""
    path = tmp_path_factory.mktemp("model") / "m.f5"
    assert convert_lib.convert(tiny.made, path, pinyin=None).returncode == 0
    return path


@pytest.fixture
def checkout(tmp_path, tiny, model):
    """A folder as upstream's checkout, with recordings of our own, and a home where the model lies by its name."""
    nowhere = FakeHub()
    nowhere.url = "http://127.0.0.1:9"
    environment = nowhere.environment(tmp_path / "home")
    own = tmp_path / "home/.local/share/f5tts/models"
    own.mkdir(parents=True)
    shutil.copy(model, own / "F5TTS_v1_Base.f5")
    for name, data in (("config.yaml", tiny.vocos_config), ("pytorch_model.bin", tiny.vocos)):
        store(tmp_path / "home", VOCOS, name, data)
    here = tmp_path / "F5-TTS"
    for i, name in enumerate(("provide_prompt_wav_path_here.wav", "ref_audio.wav", "infer/examples/basic/basic_ref_en.wav")):
        record(here / name, 200 + 10 * i)
    multi = here / "src/f5_tts/infer/examples/multi"
    for i, name in enumerate(("main.flac", "town.flac", "country.flac")):
        record(multi / name, 150 + 10 * i)
    (here / "custom.toml").write_text(CUSTOM)
    (multi / "story.toml").write_text(STORY)
    (multi / "story.txt").write_text("A mouse ran. [town] She came. [main] And then? [country] He left.\n")
    ckpts = here / "ckpts/F5TTS_v1_Base"
    ckpts.mkdir(parents=True)
    (ckpts / "model_1250000.safetensors").write_bytes(tiny.checkpoint)
    for path in ("bin/f5tts", "lib/libf5tts.so.0"):
        (tmp_path / path).parent.mkdir()
        shutil.copy(Path(convert_lib.program()).parent.parent / path, tmp_path / path)
    (tmp_path / "share/f5tts").mkdir(parents=True)
    (tmp_path / "share/f5tts/text").symlink_to(convert_lib.ROOT / "weights/text")
    voices = tmp_path / "share/f5tts/voices"
    voices.mkdir()
    shutil.copy(model, voices / "natural.f5")
    for name in ("heart.wav", "heart.txt"):
        shutil.copy(convert_lib.ROOT / "weights/voices" / name, voices)
    return here, environment


def run(checkout, *words):
    here, environment = checkout
    return subprocess.run([here.parent / "bin/f5tts", *words], capture_output=True, text=True, cwd=here, timeout=600,
                          env={**environment, **convert_lib.SANITIZER})


def typed(command):
    """The words behind `f5tts`."""
    words = shlex.split(command.replace("\\\n", ""))
    if words[0] == "python":
        return [Path(words[1]).stem, *words[2:]]
    name = words[0].removeprefix("f5-tts_")
    return ["infer" if name == "infer-cli" else name, *words[1:]]


@pytest.mark.parametrize("number", range(len(COMMANDS)))
def test_typed_unchanged(checkout, tiny, number):
    where, command, wanted = COMMANDS[number]
    here, _ = checkout
    result = run(checkout, *typed(command))
    lines = [line for line in result.stderr.splitlines() if not re.match("sampling |chunk |try '|.* becomes ", line)]
    if wanted is WORKS:
        assert result.returncode == 0, f"{where}: {command}: {result.stderr}"
        made = list(here.glob("tests/*.wav"))
        assert len(made) == (0 if "--help" in command else 1) and all(m.stat().st_size > 1000 for m in made)
        if made:
            assert "RTF" in result.stdout and str(made[0].relative_to(here)) in result.stdout
    else:
        assert result.returncode in (1, 2) and len(lines) == 1 and re.search(wanted, lines[0]), f"{where}: {result.stderr}"
        assert not (here / "tests").exists()


def test_the_story_with_a_recogniser(checkout):
    """Three voices without transcripts, heard by a program that is named once."""
    here, _ = checkout
    result = run(checkout, *typed(COMMANDS[3][1]), "--transcribe", "sh -c 'echo Some words of mine.' {}",
                 "--nfe_step", "4")
    assert result.returncode == 0 and result.stderr.count("says: Some words of mine.") == 3, result.stderr
    assert "voices     2 more" in result.stdout and (here / "tests/infer_cli_story.wav").stat().st_size > 1000
