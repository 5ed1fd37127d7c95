"""--transcribe: a recogniser of the user's hears a recording that has no transcript. The recognisers here are scripts."""
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

import convert_lib
from crowd import wait_until
from test_infer import case, left_behind, write_wav  # noqa: F401

HEARD = "A short recording."


@pytest.fixture
def ask(case, tmp_path):  # noqa: F811
    """ask(script, ...) runs infer with a recogniser of that Python text; argv[1] is the file it is given."""
    private = tmp_path / "temporary folder"
    private.mkdir()
    environment = dict(os.environ, XDG_CACHE_HOME=str(tmp_path / "cache"), TMPDIR=str(private), **convert_lib.SANITIZER)

    class Ask:
        folder, cache, temporary, env, model = tmp_path, tmp_path / "cache", private, environment, case.path

        def recogniser(self, text):
            script = tmp_path / "a recogniser.py"
            script.write_text("#!/usr/bin/python3\nimport os, sys, time, json, signal\n" + text)
            script.chmod(0o755)
            return f"'{script}' {{}}"

        def words(self, command, *more, sub="infer"):
            return [convert_lib.program(bool(self.sanitized)), sub, "--model", case.path, "--device", "cpu", "--nfe_step",
                    "2", "--max_frames", "512", "-r", case.folder / "voice.wav", "-t", "Say these few words.", "--seed", "3",
                    "-o", case.folder / "out", "-w", "a.wav", "--transcribe", command, *more]

        sanitized = False

        def __call__(self, text, *more, **other):
            return subprocess.run([str(w) for w in self.words(self.recogniser(text), *more)], capture_output=True,
                                  text=True, env=environment, timeout=600, **other)

    yield Ask()
    assert list(private.iterdir()) == [], "the file that was heard is still there"


def spoken(ask):
    return (ask.folder / "out/a.wav").read_bytes()


def test_the_words_are_heard_once(ask):
    """The speech is that of the transcript given by hand; the next run does not ask, another command does."""
    told = ask.folder / "told"
    hear = f"print({HEARD!r}); print('loading...', file=sys.stderr); open({str(told)!r}, 'a').write('x')"
    first = ask(hear)
    assert first.returncode == 0, first.stderr
    assert f"voice.wav says: {HEARD}" in first.stderr and "loading" not in first.stderr
    by_recogniser = spoken(ask)
    assert subprocess.run([*map(str, ask.words("unused {}")), "--ref_text", HEARD], env=ask.env).returncode == 0
    assert spoken(ask) == by_recogniser
    again = ask(hear)
    assert again.returncode == 0 and f"voice.wav says, as heard before: {HEARD}" in again.stderr
    assert told.read_text() == "x" and spoken(ask) == by_recogniser
    kept, = (ask.cache / "f5tts/transcripts").iterdir()
    assert kept.read_text() == HEARD and kept.stat().st_mode & 0o777 == 0o600
    assert ask(hear, "--keep_whole").returncode == 0 and told.read_text() == "xx"  # another sound
    quiet = ask(hear, "--quiet")
    assert quiet.returncode == 0 and quiet.stderr == ""
    write_wav(ask.folder / "voice.wav", np.roll(np.sin(np.arange(24000) / 7), 5) * 0.3)
    assert ask(hear).returncode == 0 and told.read_text() == "xxx"


def test_a_cache_that_was_spoiled(ask):
    """What cannot be words is heard again: no words, bytes that are no text, a folder, a pipe that nobody writes to."""
    hear = f"print({HEARD!r})"
    assert ask(hear).returncode == 0
    kept, = (ask.cache / "f5tts/transcripts").iterdir()
    for spoil in (lambda: kept.write_text(" \n"), lambda: kept.write_bytes(b"a\0b"), lambda: kept.write_bytes(b"\xff"),
                  lambda: kept.write_text("x" * 70000), lambda: os.mkfifo(kept), kept.mkdir):
        kept.unlink()
        spoil()
        result = ask(hear)
        assert result.returncode == 0 and f"voice.wav says: {HEARD}" in result.stderr, result.stderr


def test_without_a_cache(ask):
    """A folder that cannot be made costs nothing but time."""
    told = ask.folder / "told"
    for environment in (dict(XDG_CACHE_HOME="/proc/nowhere"), dict(XDG_CACHE_HOME="", HOME="relative")):
        ask.env.update(environment)
        result = ask(f"print({HEARD!r}); open({str(told)!r}, 'a').write('x')")
        assert result.returncode == 0, result.stderr
    assert told.read_text() == "xx"


def test_what_it_is_given(ask):
    """The clip that the model hears: 16 kHz, 16 bits, one channel, in a private file whose name ends in .wav."""
    report = ask.folder / "report.json"
    t = np.arange(48000 * 3) / 48000
    write_wav(ask.folder / "voice.wav", np.stack([0.4 * np.sin(2 * np.pi * 500 * t)] * 2, 1), 48000)
    result = ask(f"""
import wave
with wave.open(sys.argv[1]) as w:
    said = dict(w.getparams()._asdict(), samples=list(w.readframes(w.getnframes())))
json.dump(dict(said, mode=os.stat(sys.argv[1]).st_mode & 0o777, path=sys.argv[1], stdin=sys.stdin.read(),
               fds=sorted(os.listdir('/proc/self/fd'))), open({str(report)!r}, 'w'))
print({HEARD!r})""")
    assert result.returncode == 0, result.stderr
    given = json.loads(report.read_text())
    assert (given["nchannels"], given["sampwidth"], given["framerate"], given["mode"]) == (1, 2, 16000, 0o600)
    assert given["path"].startswith(str(ask.temporary)) and given["path"].endswith(".wav") and given["stdin"] == ""
    assert len(given["fds"]) <= 4, "descriptors of ours are open in it"
    samples = np.frombuffer(bytes(given["samples"]), "<i2") / 32768
    assert 2.9 < len(samples) / 16000 < 3.2  # with 50 ms of silence at its end
    spectrum = np.abs(np.fft.rfft(samples[:32000]))
    assert abs(np.argmax(spectrum) / 2 - 500) < 1


@pytest.mark.parametrize("printed, words", [
    ("[00:00:00.000 --> 00:00:02.000]   A short\\n[00:00:02.000 --> 00:00:03.500]   recording.\\n", HEARD),
    ("Detected language: English\\n[00:00.000 --> 00:03.500]  A short recording.\\n", HEARD),
    ("\\n  A  short\\r\\n\\trecording. \\n\\n", HEARD),
    ("\\x1b[1;32mA short\\x07 recording.\\x1b[0m\\x1b[", HEARD), ("[A short recording.", "[A short recording."),
    ("[10:30] A short recording.", "[10:30] A short recording."),
    ("A short recording. (music) [BLANK_AUDIO]", "A short recording. (music) [BLANK_AUDIO]")])
def test_what_it_prints(ask, printed, words):
    result = ask(f"sys.stdout.write('{printed}')")
    assert re.search(r"says: (.*)", result.stderr)[1] == words, result.stderr
    assert "\x1b" not in result.stderr


FAILURES = [
    ("sys.exit(3)", "failed with status 3"),
    ("print('CUDA is gone', file=sys.stderr); print(file=sys.stderr); sys.exit(1)", "failed with status 1: CUDA is gone"),
    ("os.write(2, b'x' * 100000 + b'\\n' + b'y' * 3000 + b'\\n'); sys.exit(1)", "failed with status 1: yyy"),
    ("os.kill(os.getpid(), 9)", "ended by signal 9"),
    ("pass", "it heard no words"), ("print(' \\n [BLANK_AUDIO] (wind) .')", "it heard no words: [BLANK_AUDIO] (wind) ."),
    ("os.write(1, b'caf\\xe9')", "what it printed is no UTF-8 text: byte 3"), ("os.write(1, b'a\\0b')", "no UTF-8 text: byte 1"),
    ("os.write(1, b'a' * 70000)", "prints more than 65536 bytes"),
    ("while True: os.write(1, b'a' * 70000)", "prints more than 65536 bytes"),
    ("time.sleep(60)", "not done after 1 s: it was ended"),
    ("signal.signal(15, signal.SIG_IGN); print('a', flush=True)\nwhile True: time.sleep(1)", "not done after 1 s")]


@pytest.mark.parametrize("sanitized, number", [*((False, i) for i in range(len(FAILURES))), (True, 1), (True, 6), (True, 9)])
def test_what_fails(ask, sanitized, number):
    """One line with the recording, the recogniser and the reason; nothing is spoken, kept or left."""
    script, message = FAILURES[number]
    if sanitized and not os.environ.get("F5_ASAN_BUILD"):
        pytest.skip("F5_ASAN_BUILD is not set: no build with sanitizers")
    ask.sanitized = sanitized
    result = ask(script, "--transcribe_seconds", "1" if "not done after" in message else "50")
    assert result.returncode == 1 and result.stderr.count("\n") == 1, result.stderr
    assert "voice.wav: --transcribe: " in result.stderr and message in result.stderr, result.stderr
    assert not (ask.folder / "out").exists() and not ask.cache.exists()


@pytest.mark.parametrize("command, message", [
    ("nothing-of-this-name -f {}", (1, "nothing-of-this-name: cannot be run: No such file or directory")),
    ("/etc/passwd {}", (1, "/etc/passwd: cannot be run: Permission denied")),
    ("whisper-cli -f", (2, "has no {}, which stands for the recording: say whisper-cli -f {}")),
    ("  ", (2, "is blank")), ("a 'b {}", (2, "a ' is not closed")), ('a "b {}', (2, 'a " is not closed')),
    ("whisper {} | tail", (2, "| is done by a shell, which is not asked")), ("a {} > b", (2, "> is done by a shell")),
    ("a $HOME {}", (2, "$ is done by a shell")), ("a `b` {}", (2, "` is done by a shell")), ("a {};b", (2, "; is done"))])
def test_commands_that_cannot_be(ask, command, message):
    result = subprocess.run([*map(str, ask.words(command))], capture_output=True, text=True, env=ask.env)
    assert (result.returncode, message[1] in result.stderr) == (message[0], True), result.stderr


@pytest.mark.parametrize("command, words", [
    ("{s} {{}} a 'b c' \"d $ \\\" e\" f\\ g ''", None), ("{s} {{}} 'a|b;$c' \"it's\"", ["a|b;$c", "it's"]),
    ("{s} {{}} --file={{}}.txt", None), ("sh -c 'exec \"$0\" \"$1\" x y | cat' {s} {{}}", ["x", "y"])])
def test_words_are_cut_as_sh_does(ask, command, words):
    """The same words as `sh` makes of it, where no shell is needed."""
    ask.recogniser(f"import json; json.dump(sys.argv[2:], open({str(ask.folder / 'said')!r}, 'w')); print({HEARD!r})")
    command = command.format(s=f"'{ask.folder}/a recogniser.py'").replace("$ ", "\\$ ")
    result = subprocess.run([*map(str, ask.words(command))], capture_output=True, text=True, env=ask.env)
    assert result.returncode == 0, result.stderr
    heard = json.loads((ask.folder / "said").read_text())
    if words is None:
        path = next((w.removesuffix(".txt").removeprefix("--file=") for w in heard if w.startswith("--file=")), "x")
        subprocess.run(["sh", "-c", command.replace("{}", f"'{path}'")], check=True, stdout=subprocess.DEVNULL, env=ask.env)
        words = json.loads((ask.folder / "said").read_text())
    assert heard == words


@pytest.mark.parametrize("name, stubborn", [("INT", False), ("TERM", False), ("HUP", False), ("TERM", True)])
def test_a_signal_ends_it_with_its_children(ask, name, stubborn):
    """The recogniser, what that started, the file that they read; then the program, as by the signal."""
    pids = ask.folder / "pids"
    command = ask.recogniser(f"""
child = os.fork()
{"for s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)" if stubborn else ""}
open({str(pids)!r}, 'a').write(str(os.getpid()) + '\\n')
while True: time.sleep(1)""")
    run = subprocess.Popen([*map(str, ask.words(command))], env=ask.env, stderr=subprocess.PIPE)
    wait_until(lambda: pids.exists() and pids.read_text().count("\n") == 2, "a recogniser with its child")
    run.send_signal(getattr(signal, f"SIG{name}"))
    run.wait(timeout=600)
    assert run.returncode == -getattr(signal, f"SIG{name}")

    def gone(pid):
        try:
            return " Z " in Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):  # it went before it was looked at, or while it was
            return True

    for pid in pids.read_text().split():
        wait_until(lambda: gone(pid), f"the end of process {pid}")
    assert left_behind(ask.folder) == ["a recogniser.py", "pids", "voice.wav"]


def test_what_it_leaves_running_is_ended(ask):
    """A child that keeps the pipes open does not hold us up."""
    result = ask(f"print({HEARD!r}, flush=True)\nif os.fork() == 0: time.sleep(500)")  # for which `ask` does not wait
    assert result.returncode == 0, result.stderr


def test_a_transcript_comes_first(ask):
    (ask.folder / "voice.txt").write_text(HEARD)
    result = ask("sys.exit(9)")
    assert result.returncode == 0 and "says" not in result.stderr


def test_without_a_recogniser(case):  # noqa: F811
    result = case.run(ref_text=None)
    assert result.returncode == 2
    for words in ("voice.wav: --ref_text is required", "voice.txt", "--transcribe 'whisper-cli -f {}'"):
        assert words in result.stderr
    assert "standard input: --ref_text is required" in case.run(ref_text=None, ref_audio="-").stderr


def test_no_file_asks_for_a_program(ask):
    """A configuration or a list of somebody else's must not run anything."""
    config = ask.folder / "a.toml"
    config.write_text(f"transcribe = '''{ask.recogniser('open(sys.argv[0] + str(1), chr(119))')}'''\nref_audio = 'voice.wav'\n")
    result = subprocess.run([convert_lib.program(), "infer", "-c", config, "-t", "Words."], capture_output=True, text=True)
    assert "a.toml:1: transcribe runs a program, which no file may ask for: passed over" in result.stderr
    assert result.returncode == 2 and "--ref_text is required" in result.stderr and len(left_behind(ask.folder)) == 3
    (ask.folder / "list.jsonl").write_text(json.dumps(dict(text="a", transcribe="x {}")) + "\n")
    listed = subprocess.run([convert_lib.program(), "batch", ask.folder / "list.jsonl"], capture_output=True, text=True)
    assert listed.returncode == 1 and "transcribe is no option" in listed.stderr


def test_voices_of_a_configuration(ask):
    """Upstream's ref_text = "" asks for it, for the main voice and for those of tags."""
    write_wav(ask.folder / "other.wav", np.sin(np.arange(24000) / 9) * 0.3)
    (ask.folder / "a.toml").write_text("ref_audio = 'voice.wav'\nref_text = ''\n[voices.town]\nref_audio = 'other.wav'\n"
                                       "ref_text = ''\n")
    words = ask.words(ask.recogniser(f"print({HEARD!r})"))
    at = words.index("-r")
    del words[at:at + 2]
    result = subprocess.run([*map(str, words), "-c", str(ask.folder / "a.toml")], capture_output=True, text=True,
                            env=ask.env, cwd=ask.folder)
    assert result.returncode == 0 and result.stderr.count(f"says: {HEARD}") == 2, result.stderr


def test_batch_and_check_voice(ask):
    told = ask.folder / "told"
    command = ask.recogniser(f"print({HEARD!r}); open({str(told)!r}, 'a').write('x')")
    (ask.folder / "list.jsonl").write_text("".join(
        json.dumps(dict(text=f"Line {i}, some words.", ref_audio=str(ask.folder / "voice.wav"))) + "\n" for i in range(3)))
    ask.env["XDG_CACHE_HOME"] = "/proc/nowhere"  # what was heard is remembered in the run too
    result = subprocess.run([convert_lib.program(), "batch", ask.folder / "list.jsonl", "-o", ask.folder / "out", "--model",
                             ask.model, "--device", "cpu", "--nfe_step", "2", "--max_frames", "2048", "--parallel", "3",
                             "--transcribe", command], capture_output=True, text=True, env=ask.env)
    assert result.returncode == 0 and "3 spoken" in result.stdout, result.stderr
    assert told.read_text() == "x" and result.stderr.count("says") == 1
    checked = subprocess.run([convert_lib.program(), "check-voice", ask.folder / "voice.wav", "--transcribe", command],
                             capture_output=True, text=True, env=ask.env)
    assert checked.returncode == 0 and f"says: {HEARD}" in checked.stderr and "bytes of transcript a second" in checked.stdout
    ask.recogniser("sys.exit(4)")
    failed = subprocess.run([convert_lib.program(), "check-voice", ask.folder / "voice.wav", "--transcribe", command],
                            capture_output=True, text=True, env=ask.env)
    assert failed.returncode == 1 and "failed with status 4" in failed.stderr
