"""What the program says when it refuses: the reason is read whatever the names are, a terminal shows it and does nothing,
numbers are numbers, help texts are true (attacks 17 and 21)."""
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

import convert_lib
from crowd import wait_until
import f5lib
from test_help import COMMANDS, table
from test_infer import case  # noqa: F401

LONG = {"many folders": "/tmp/" + "folder/" * 500, "one name": "/tmp/" + "x" * 5000, "letters of two bytes": "/tmp/" + "ü" * 700,
        "letters of four": "a" + "🙂" * 500, "not UTF-8": "/tmp/" + "\udcff" * 900, "escapes": "/tmp/" + "\x1b[31m" * 200,
        "very long": "/tmp/" + "y/" * 60000, "a colon": "/tmp/" + ": " * 400}


def said(*words):
    """The one line that a refusal is, as bytes; it has no control character and is UTF-8."""
    done = subprocess.run([os.fsencode(convert_lib.program()), *(os.fsencode(str(w)) for w in words)], capture_output=True)
    assert done.returncode in (1, 2), done.stderr
    line = done.stderr.splitlines()[0]
    text = line.decode("utf-8")
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text) and len(line) < 700, text
    return text


@pytest.mark.parametrize("name", LONG)
def test_the_reason_stands_behind_a_long_name(name, tmp_path):
    path = LONG[name]
    reason = r"(File name too long|No such file or directory)$"
    for words in (["info", path + "end.f5"], ["check-voice", path + "end.wav"], ["infer", "-m", path + "end.f5"],
                  ["infer", "-r", path + "end.wav", "-s", "Words."], ["infer", "-f", path + "end.txt"],
                  ["convert", "--config", path + "end", "--checkpoint", "a", "--vocab", "b", "--vocos-config", "c",
                   "--vocos", "d", "--output", tmp_path / "e"]):
        text = said(*words)
        assert re.search(reason, text), text
        assert "..." in text and re.search(r"end(\.\w+)?: ", text), text
    both = said("infer", "-m", path + "one.f5", "-o", path + "out", "-w", "one.wav", "-r", path + "two.wav", "-s", "Words.")
    assert "..." in both


def test_the_librarys_messages(tmp_path):
    for path in LONG.values():
        with pytest.raises(f5lib.Error) as failed:
            f5lib.ModelFile(path + "end.f5")
        message = str(failed.value)
        assert len(message.encode()) < 600 and re.search(r"end\.f5: .*(too long|No such file)", message), message


def test_words_of_files_reach_no_terminal(case):  # noqa: F811
    (case.folder / "a.toml").write_text("ref_audio = \"a\\u001b[2J.wav\"\n\"b\\u009b31m\" = 1\n", encoding="utf-8")
    said("infer", "-c", case.folder / "a.toml", "-t", "Words.")
    assert "a\\x1b[2J.wav" in convert_lib.run("infer", "-c", case.folder / "a.toml", "-t", "Words.").stderr
    (case.folder / "list.jsonl").write_text('{"text": "a", "\\u001b[31mname": 1}\n')
    assert "\\x1b[31mname" in said("batch", case.folder / "list.jsonl")
    said("infer", "--\x1b[31m", "1")
    said("\x1b[31m\u202e")
    said("help", "\x9b31m")


# ---- numbers

@pytest.mark.parametrize("value", ["\v-1", "\v1", " 1", "\t1", "\n1", "1 ", "", "0x10", "1_0", "1,0", "inf", "nan", "-inf", "1e",
                                   "infinity", "--1", "+-1", "0b1", "1f", "１", "1.5.2", "e5", ".", "-", "+", "1e400"])
def test_what_is_no_number(value):
    for option in ("--seed", "--nfe_step", "--speed", "--cfg_strength"):
        done = convert_lib.run("infer", f"{option}={value}", "-t", "Words.")
        assert done.returncode == 2 and f"{option} " in done.stderr and "must be" in done.stderr, (option, value, done.stderr)


def test_what_is_a_number(case):  # noqa: F811
    for options in (dict(speed="+1"), dict(speed="1e0"), dict(speed="1."), dict(speed=".9"), dict(nfe_step="02"),
                    dict(sway_sampling_coef="-1e-1"), dict(seed="18446744073709551615")):
        assert case.run(quiet=True, **options).returncode == 0, options
    for options in (dict(seed="18446744073709551616"), dict(seed="-1"), dict(seed="+1"), dict(nfe_step="1.5")):
        assert case.run(**options).returncode == 2, options


# ---- signals

@pytest.mark.parametrize("name", ["TERM", "INT", "HUP"])
def test_process_1_ends_by_signals(case, name):  # noqa: F811
    """Containers start a program as process 1, whom the system spares every signal that it has no handler for."""
    if subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True).returncode:
        pytest.skip("unshare: not allowed here")
    number = getattr(signal, f"SIG{name}")
    words = ["infer", "--model", case.path, "-r", case.folder / "voice.wav", "-s", "A short recording.", "-t", "Words. " * 400,
             "--nfe_step", "64", "--device", "cpu", "-o", case.folder / "out", "-w", "a.wav"]
    run = subprocess.Popen(["unshare", "--pid", "--fork", convert_lib.program(), *map(str, words)], stderr=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    wait_until(lambda: children.read_text().split() and (case.folder / "out").exists(), "speech")
    inside = int(children.read_text().split()[0])
    assert Path(f"/proc/{inside}/status").read_text().split("NSpid:")[1].split()[1] == "1"
    time.sleep(0.2)
    os.kill(inside, number)
    try:
        assert run.wait(timeout=600) == 128 + number
    except subprocess.TimeoutExpired:
        os.kill(inside, signal.SIGKILL)
        run.wait()
        pytest.fail(f"{name} is ignored")
    assert [p for p in case.folder.rglob("*") if "out" in p.parts and p.is_file()] == []


# ---- help texts are true

@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_what_there_is(command):
    """Every option and command that a help text speaks of exists."""
    text = convert_lib.run("help", command).stdout
    known = {o["name"].replace("-", "_") for o in table(command)} | {"help"}
    everywhere = {o["name"].replace("-", "_") for c in COMMANDS for o in table(c)} | {"version", "help"}
    for name in re.findall(r"(?<![\w-])--([a-z][\w-]*)", text):
        assert name.replace("-", "_") in (everywhere if f"f5tts" in text else known), f"--{name}"
    for name in re.findall(r"f5tts ([a-z][a-z-]*)", text):
        assert name in (*COMMANDS, "help"), name
    usage = text.splitlines()[0]
    for name in re.findall(r"--([a-z][\w-]*)", usage):
        assert name.replace("-", "_") in known, usage


def test_readme_names_what_there_is():
    text = (convert_lib.ROOT / "README.md").read_text()
    known = {c: {o["name"].replace("-", "_") for o in table(c)} for c in COMMANDS}
    for line in re.findall(r"^f5tts .*(?:\\\n.*)*", text, re.M):
        command = line.split()[1]
        if command in ("help", "--version"):
            continue
        assert command in known, line
        for name in re.findall(r"(?<![\w-])--([a-z][\w-]*)", line):
            assert name.replace("-", "_") in known[command], line
