"""`f5tts batch`: many lines in one run, each as `f5tts infer` speaks it. A tiny random model."""
import json
import re
import subprocess

import pytest

import convert_lib
from test_infer import NFE, TRANSCRIPT, case, left_behind, read_wav, write_wav  # noqa: F401  case is a fixture

SETTINGS = dict(seed=7, nfe_step=NFE, device="cpu", max_frames=512)


@pytest.fixture
def batch(case):  # noqa: F811
    """batch(lines, **options): runs it on a list of that text, in the case's folder."""

    def run(lines, name="list.tsv", stdin=None, **options):
        if lines is not None:
            (case.folder / name).write_bytes(lines if isinstance(lines, bytes) else lines.encode())
        given = {**SETTINGS, "model": case.path, "ref_audio": "voice.wav", "ref_text": TRANSCRIPT, "output_dir": "made",
                 **options}
        arguments = [f"--{k}" if v is True else f"--{k}={v}" for k, v in given.items() if v is not None]
        return subprocess.run([convert_lib.program(), "batch", name, *arguments], cwd=case.folder, capture_output=True,
                              text=True, input=stdin)

    return run


def alone(case, text, **options):  # noqa: F811
    """The file that infer makes of that text."""
    case.good(text=text, output_file="alone.wav", quiet=True, **options)
    return (case.folder / "out/alone.wav").read_bytes()


def test_lines_are_as_they_are_alone(case, batch):  # noqa: F811
    """Whatever company they had."""
    result = batch("Say these few words.\n\nOther words.\t\tsub/b.wav\nSay these few words.\t\tc.wav\n")
    assert result.returncode == 0, result.stderr
    assert left_behind(case.folder / "made") == ["000001.wav", "c.wav", "sub/b.wav"]
    made = {name: (case.folder / "made" / name).read_bytes() for name in left_behind(case.folder / "made")}
    assert made["000001.wav"] == made["c.wav"] == alone(case, "Say these few words.")
    assert made["sub/b.wav"] == alone(case, "Other words.")
    assert result.stdout.startswith("list.tsv: 3 spoken, 0 there already, 0 failed\n") and "lines 3/3" in result.stderr


def test_any_option_is_a_column(case, batch, rng):  # noqa: F811
    write_wav(case.folder / "other.wav", rng.uniform(-0.3, 0.3, 24000))
    (case.folder / "text.txt").write_text("Words of a file.")
    rows = [
        {"text": "Say these few words.", "output": "speed.wav", "speed": 1.5, "seed": 9, "float_wav": True},
        {"text": "Say these few words.", "output": "nfe.wav", "nfe_step": 5, "cfg_strength": 1, "midpoint": True},
        {"text": "Say these few words.", "output": "other.wav", "ref_audio": "other.wav", "ref_text": "Some others."},
        {"gen_file": "text.txt", "output": "file.wav", "subtitles": "made/file.srt", "quiet": None},
        {"text": "Say [pause 0.5s] these words.", "output": "pause.wav", "output_dir": "elsewhere", "chunking": "sentence"},
    ]
    result = batch("".join(json.dumps(row) + "\n" for row in rows), name="list.jsonl")
    assert result.returncode == 0, result.stderr
    made = case.folder / "made"
    say = "Say these few words."
    assert (made / "speed.wav").read_bytes() == alone(case, say, speed=1.5, seed=9, float_wav=True)
    assert (made / "nfe.wav").read_bytes() == alone(case, say, nfe_step=5, cfg_strength=1, midpoint=True)
    assert (made / "other.wav").read_bytes() == alone(case, say, ref_audio=case.folder / "other.wav", ref_text="Some others.")
    assert (made / "file.wav").read_bytes() == alone(case, "Words of a file.")
    assert "Words of a file." in (made / "file.srt").read_text()
    assert (case.folder / "elsewhere/pause.wav").read_bytes() == alone(case, rows[4]["text"], chunking="sentence")


def test_voices(case, batch, rng):  # noqa: F811
    """A voice is one of the configuration's, with its pace; tags work too."""
    write_wav(case.folder / "town.wav", rng.uniform(-0.3, 0.3, 24000))
    (case.folder / "a.toml").write_text('[voices.town]\nref_audio = "town.wav"\nref_text = "Some words of it."\nspeed = 0.8\n')
    result = batch("text\tvoice\tspeed\nOne two three.\ttown\nOne two three.\ttown\t1\nOne. [town] Two three.\n", config="a.toml")
    assert result.returncode == 0, result.stderr
    town = dict(ref_audio=case.folder / "town.wav", ref_text="Some words of it.")
    made = [(case.folder / "made" / f"00000{i}.wav").read_bytes() for i in (2, 3, 4)]
    assert made[0] == alone(case, "One two three.", speed=0.8, **town)
    assert made[1] == alone(case, "One two three.", speed=1, **town)
    (case.folder / "b.toml").write_text((case.folder / "a.toml").read_text().replace('"town.wav"', f'"{case.folder}/town.wav"'))
    assert made[2] == alone(case, "One. [town] Two three.", config=case.folder / "b.toml")


def test_many_lines_and_many_voices(case, batch, rng):  # noqa: F811
    """More lines than run at a time, more voices than are kept open; the same whatever runs beside it."""
    for i in range(4):
        write_wav(case.folder / f"v{i}.wav", rng.uniform(-0.3, 0.3, 6000))
    lines = "text\tref_audio\tref_text\n" + "".join(  # a voice is a recording and its words
        f"Words {i}.\tv{i % 4}.wav\tWord {i % 72}.\n" for i in range(80))
    assert batch(lines, nfe_step=1).returncode == 0
    first = {n: (case.folder / "made" / n).read_bytes() for n in left_behind(case.folder / "made")}
    assert len(first) == 80
    result = batch(None, nfe_step=1, parallel=1, overwrite=True)
    assert result.returncode == 0 and "80 spoken" in result.stdout, result.stderr
    assert {n: (case.folder / "made" / n).read_bytes() for n in first} == first


def test_goes_on_where_it_ended(case, batch):  # noqa: F811
    lines = "Say these few words.\nOther words.\nMore.\n"
    assert batch(lines).returncode == 0
    made = case.folder / "made"
    (made / "000002.wav").unlink()
    (made / "000003.wav").write_bytes(b"kept")
    result = batch(lines)
    assert result.returncode == 0 and result.stdout.startswith("list.tsv: 1 spoken, 2 there already, 0 failed\n")
    assert (made / "000003.wav").read_bytes() == b"kept" and len(read_wav(made / "000002.wav")) > 0
    result = batch(lines)
    assert result.returncode == 0 and result.stdout == "list.tsv: 0 spoken, 3 there already, 0 failed\n"
    result = batch(lines, overwrite=True)
    assert result.stdout.startswith("list.tsv: 3 spoken, 0 there already") and len(read_wav(made / "000003.wav")) > 0


def test_a_device_takes_every_line(case, batch):  # noqa: F811
    result = batch("Say these few words.\t\t/dev/null\nOther words.\t\t/dev/null\n")
    assert result.returncode == 0 and "2 spoken" in result.stdout, result.stderr


def test_bad_lines_are_told_and_the_rest_is_done(case, batch):  # noqa: F811
    (case.folder / "sub").mkdir()
    lines = [b"Say these few words.\t\tgood.wav", b"\t\tempty.wav", b"Nobody's.\tnobody", b"Twice.\t\tgood.wav",
             b"Twice, spelled otherwise.\t\tx/.././/good.wav", b"Latin \xe9.", b"a\tb\tc\td", b"Over the model.\t\t{model}",
             b"A folder.\t\t../sub", b"Nowhere.\t\t/proc/1/a.wav", b"Over an input.\t\t../voice.wav", b"Good too."]
    result = batch(b"\n".join(lines).replace(b"{model}", str(case.path).encode()))
    told = [line.removeprefix("f5tts batch: list.tsv:") for line in result.stderr.splitlines() if "list.tsv:" in line]
    told.sort(key=lambda line: int(line.split(":")[0]))
    wanted = ["2: the text to speak is empty", "3: nobody.wav does not lie", "4: made/good.wav: line 1 writes this file",
              "5: made/x/.././/good.wav: ", "6: malformed UTF-8 at byte 6", "7: has more than 3 cells",
              f"8: {case.path}: would overwrite", "9: made/../sub: cannot be written", "10: /proc/1/a.wav: cannot",
              "11: made/../voice.wav: would overwrite voice.wav"]
    assert result.returncode == 1 and len(told) == len(wanted), result.stderr
    assert all(found.startswith(start) for found, start in zip(told, wanted)), told
    assert "2 spoken, 0 there already, 10 failed" in result.stdout
    assert left_behind(case.folder / "made") == ["000012.wav", "good.wav"]


def test_lines_that_would_harm_each_other(case, batch, rng):  # noqa: F811
    """One folder of chunks for two outputs; an output over the recording of a line before or behind."""
    for name in "ab":
        write_wav(case.folder / f"{name}.wav", rng.uniform(-0.3, 0.3, 24000))
    before = (case.folder / "a.wav").read_bytes(), (case.folder / "b.wav").read_bytes()
    voice = dict(ref_text="Some words of it.")
    lines = [dict(text="Say these.", ref_audio="a.wav", output="one.wav", **voice), dict(text="And these.", output="one.flac"),
             dict(text="Over line 1's.", output="../a.wav"), dict(text="Over line 5's.", output="../b.wav"),
             dict(text="Say these.", ref_audio="b.wav", output="two.wav", **voice),
             dict(text="The same voice.", ref_audio="a.wav", output="three.wav", **voice)]
    result = batch("".join(json.dumps(line) + "\n" for line in lines), name="list.jsonl", save_chunk=True)
    told = sorted(line.removeprefix("f5tts batch: list.jsonl:") for line in result.stderr.splitlines() if "list.jsonl:" in line)
    wanted = ["2: made/one_chunks/: line 1 writes this", "3: made/../a.wav: line 1 reads this file as its recording",
              "5: b.wav: the recording of this line is what line 4 writes"]
    assert result.returncode == 1 and len(told) == len(wanted), result.stderr
    assert all(found.startswith(start) for found, start in zip(told, wanted)), told
    assert (case.folder / "a.wav").read_bytes() == before[0]


def test_lines_that_fail_while_spoken(case, batch):  # noqa: F811
    """An error of the library is the line's; its output does not appear."""
    (case.folder / "bad.npy").write_bytes(b"no array")
    rows = [{"text": "Good."}, {"text": "Bad.", "init_noise": "bad.npy"}, {"text": "你好"},
            {"text": "Too long.", "fix_duration": 20}, {"text": "Good too.", "ref_audio": "voice.wav", "ref_text": "As it is."},
            {"text": "x", "ref_audio": "list.jsonl", "ref_text": "No sound."}]
    result = batch("".join(json.dumps(row) + "\n" for row in rows), name="list.jsonl")
    told = sorted(line.removeprefix("f5tts batch: list.jsonl:") for line in result.stderr.splitlines()
                  if line.startswith("f5tts batch: list.jsonl:"))
    assert result.returncode == 1 and [t[:2] for t in told] == ["2:", "3:", "4:", "6:"], result.stderr
    assert "bad.npy" in told[0] and "max_frames" in told[2] and "list.jsonl" in told[3]
    assert left_behind(case.folder / "made") == ["000001.wav", "000005.wav"]
    assert "2 spoken, 0 there already, 4 failed" in result.stdout


BAD_OPTIONS = {"speed": ('{"text": "a", "speed": 0}', "speed 0: must be a number from 0.01 to 100"),
               "unknown": ('{"text": "a", "colour": 1}', "colour is no option"),
               "of the engine": ('{"text": "a", "model": "x.f5"}', "model is no option"),
               "kind": ('{"text": "a", "nfe_step": 2.5}', "nfe_step 2.5: must be a whole number"),
               "flag": ('{"text": "a", "ssml": 1}', "ssml 1: must be true or false"),
               "words of nothing": ('{"text": "a", "ref_text": "x"}', "ref_text: the words of which recording?"),
               "no words": ('{"text": "a", "ref_audio": "other.wav"}', "other.wav: --ref_text is required"),
               "two voices": ('{"text": "a", "ref_audio": "voice.wav", "voice": "slt"}', "both name the recording"),
               "no file": ('{"gen_file": "missing.txt"}', "missing.txt: cannot be read"),
               "subtitles": ('{"text": "a", "subtitles": "a.txt"}', ".srt, .vtt or .json"),
               "silence": ('{"text": "a", "subtitles": "a.srt", "remove_silence": true}', "--subtitles and --remove_silence"),
               "no JSON": ("text", "no JSON object")}


def test_bad_options_of_a_line(case, batch):  # noqa: F811
    result = batch("".join(text + "\n" for text, _ in BAD_OPTIONS.values()), name="list.jsonl")
    told = [line for line in result.stderr.splitlines() if line.startswith("f5tts batch: list.jsonl:")]
    assert result.returncode == 1 and len(told) == len(BAD_OPTIONS), result.stderr
    for i, (line, (_, message)) in enumerate(zip(told, BAD_OPTIONS.values())):
        assert line.startswith(f"f5tts batch: list.jsonl:{i + 1}: ") and message in line, line
    assert left_behind(case.folder) == ["list.jsonl", "voice.wav"]


def test_standard_input(case, batch):  # noqa: F811
    result = batch(None, name="-", stdin="Say these few words.\t\ta.wav\n\tx\n")
    assert result.returncode == 1 and "f5tts batch: standard input:2: the text to speak is empty" in result.stderr
    assert result.stdout.startswith("standard input: 1 spoken, 0 there already, 1 failed")
    assert (case.folder / "made/a.wav").read_bytes() == alone(case, "Say these few words.")


USAGE = {"no list": ([], "give a LIST of lines"), "two lists": (["a", "b"], "unexpected argument 'b'"),
         "gen_text": (["a", "--gen_text=x"], "unknown option '--gen_text'"), "parallel": (["a", "--parallel=0"], "--parallel 0"),
         "parallel, many": (["a", "--parallel=65"], "must be a whole number from 1 to 64"),
         "voices": (["a", "--voice=slt", "--ref_audio=x"], "--ref_audio and --voice: both")}


@pytest.mark.parametrize("name", USAGE)
def test_usage(name):
    arguments, message = USAGE[name]
    result = convert_lib.run("batch", *arguments)
    assert result.returncode == 2 and message in result.stderr and "try 'f5tts batch --help'" in result.stderr, result.stderr


def test_lists_that_cannot_be_read(case, batch):  # noqa: F811
    result = batch(None, name="missing.tsv")
    assert result.returncode == 1 and "missing.tsv: cannot be opened: No such file" in result.stderr
    result = batch("x" * ((1 << 20) + 1), name="long.tsv")
    assert result.returncode == 1 and "long.tsv:1: a line of more than 1 MiB" in result.stderr
    result = batch("")
    assert result.returncode == 0 and result.stdout == "list.tsv: 0 spoken, 0 there already, 0 failed\n"


def test_help():
    result = convert_lib.run("batch", "--help")
    assert result.returncode == 0 and re.match("usage: f5tts batch LIST ", result.stdout) and "--overwrite" in result.stdout
