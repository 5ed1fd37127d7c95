"""What bash, zsh and fish complete after `f5tts`, asked of the shells themselves: every option of every command, the
words of enumerations, files, folders, voices, models."""
import shutil
from pathlib import Path

import pytest

import convert_lib
import shells
from test_help import COMMANDS, table

SHARE = Path(convert_lib.program()).parent.parent / "share"
SHELLS = {"bash": (shells.bash, SHARE / "bash-completion/completions/f5tts"),
          "zsh": (shells.zsh, SHARE / "zsh/site-functions/_f5tts"),
          "fish": (shells.fish, SHARE / "fish/vendor_completions.d/f5tts.fish")}


@pytest.fixture(params=SHELLS)
def complete(request, tmp_path):
    """complete(*words) -> the completions of the last one."""
    ask, script = SHELLS[request.param]
    assert shutil.which(request.param), f"{request.param} is not here: apt-get install {request.param}"
    (tmp_path / "voice.wav").write_text("")
    (tmp_path / "folder").mkdir()
    own = tmp_path / ".local/share/f5tts/models"  # of HOME, which zsh, that answers all tests, has elsewhere
    own.mkdir(parents=True)
    (own / "my_own.f5").write_text("")

    def run(*words):
        return {word.removesuffix("/") for word in ask(["f5tts", *words], script, tmp_path)}

    run.shell = request.param
    return run


def test_commands(complete):
    assert set(COMMANDS) | {"help"} <= complete("")
    assert complete("ch") == {"check-voice"} and complete("help", "infe") == {"infer"}


def test_every_option(complete):
    for command in COMMANDS:
        names = {f"--{o['name']}" for o in table(command)} | {"--help"}
        found = {word.removesuffix("=") for word in complete(command, "--")}
        assert found == names, found ^ names


def test_values(complete):
    assert complete("infer", "--method", "") >= {"euler", "midpoint", "ab2"}
    assert complete("convert", "--dtype", "f") == {"fp32", "fp16"}
    assert complete("completion", "z") == {"zsh"}
    assert complete("infer", "--voice", "") == {"heart", "bella", "michael", "george", "slt", "rms", "awb"}
    assert complete("infer", "--model", "F5TTS_v1_B") == {"F5TTS_v1_Base"}
    assert complete.shell == "zsh" or complete("infer", "--model", "my") == {"my_own"}


def test_files(complete):
    assert complete("infer", "--model", "voi") == {"voice.wav"}
    assert complete("infer", "-r", "vo") == {"voice.wav"} == complete("check-voice", "vo")
    assert complete("infer", "-o", "f") == {"folder"} and not complete("infer", "-o", "v")


def test_names_are_no_commands(tmp_path):
    """Names of models and of files, as they are: nothing in them is run, matched or cut at blanks."""
    own = tmp_path / ".local/share/f5tts/models"
    own.mkdir(parents=True)
    names = {"$(touch run)", "`touch run`", "my model", "m*"}
    for name in names:
        (own / f"{name}.f5").write_text("")
        (tmp_path / f"{name}.wav").write_text("")
    found = shells.bash(["f5tts", "infer", "-m", ""], SHELLS["bash"][1], tmp_path)
    assert names | {f"{name}.wav" for name in names} <= found and not (tmp_path / "run").exists()
    assert shells.bash(["f5tts", "infer", "-m", "m*"], SHELLS["bash"][1], tmp_path) >= {"m*", "m*.wav"}


def test_values_behind_an_equals_sign(tmp_path):
    def bash(*words):
        return shells.bash(["f5tts", *words], SHELLS["bash"][1], tmp_path)

    (tmp_path / "a b.wav").write_text("")
    assert bash("infer", "--method=m") == {"midpoint"} and bash("infer", "--method=") == {"euler", "midpoint", "ab2"}
    assert bash("convert", "--vocos_dtype", "b") == {"bf16"} == bash("convert", "--vocos-dtype", "b")
    assert bash("infer", "--ref_audio", "a") == {"a b.wav"}
    assert bash("infer", "--gen_text", "--se") == bash("infer", "--gen_text", "") == set()
    assert bash("infer", "--quiet", "--se") == {"--seed", "--sentence_pause"}
