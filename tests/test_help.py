"""Help, manual pages and what is shown on a terminal: all of one table, the same in every locale."""
import csv
import io
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

import convert_lib
from test_infer import case  # noqa: F401

COLUMNS = ("name letters type argument unit min max default kind words required heading text").split()
COMMANDS = convert_lib.run("completion", "commands").stdout.split()
MAN = Path(convert_lib.program()).parent.parent / "share/man/man1"
PAGES = ["f5tts", *(f"f5tts-{command}" for command in COMMANDS)]


def table(command):
    """The options of a command as dicts."""
    result = convert_lib.run(command, "--help=table")
    assert result.returncode == 0, result.stderr
    rows = csv.reader(io.StringIO(result.stdout), delimiter="\t", quoting=csv.QUOTE_NONE)
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def one_line(text):
    return " ".join(text.split())


def man_text(page):
    """The page as it is read, without hyphens at line ends."""
    done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-P-c", "-rHY=0", MAN / f"{page}.1"], capture_output=True,
                          text=True, env={**os.environ, "GROFF_NO_SGR": "1"})
    assert done.returncode == 0 and done.stderr == "", f"{page}: {done.stderr}"
    return one_line(re.sub(".\b", "", done.stdout).replace("‘", "'").replace("’", "'").replace("−", "-").replace("‐", "-"))


# ---- the table

@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_told_of(command):
    """In the help and in the manual page, under its names, with the same words."""
    help_text, page = one_line(convert_lib.run("help", command).stdout), man_text(f"f5tts-{command}")
    options = table(command)
    assert options or command in ("completion", "models")
    for o in options:
        shown = f"--{o['name']}" + (f" {o['argument']}" if o["argument"] else "")
        if o["letters"]:
            shown = f"-{o['letters']}, {shown}"
        for where, text in (("help", help_text), ("man", page)):
            assert f"{shown} {one_line(o['text'])}" in text, (where, shown, o["text"])
    names = [o["name"] for o in options] + [o["letters"] for o in options if o["letters"]]
    assert len(set(names)) == len(names), "a name stands for two options"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_description_says_unit_range_and_default(command):
    for o in table(command):
        if o["type"] == "flag":
            continue
        what = f"{command} --{o['name']}: {o['text']}"
        facts = re.fullmatch(r"(.+?) \((.*)\)", o["text"])
        assert facts and "default" not in facts[1].split("(")[0], what
        assert o["required"] or f"default {o['default']}" in facts[2], what
        if o["type"] in ("int", "float"):
            assert o["unit"] != "none", f"{what}: give it a unit, or the unit \"\" if it has none"
            assert f"{o['unit']}; default" in facts[2], what
            low, high = re.search(r"(\S+) to ([\d.e+]+)", facts[2]).groups()
            assert float(low) == float(o["min"]) < float(o["max"]) == float(high), what
            try:
                assert float(o["min"]) <= float(o["default"]) <= float(o["max"]) or o["default"] == "0", what
            except ValueError:
                pass  # in words
        if o["type"] == "choice":
            assert o["default"] in o["argument"].split("|"), what
        if o["words"] and o["type"] != "choice":
            assert ", ".join(o["words"].split("|")) in facts[2], what


def test_upstreams_short_options():
    """Those of f5_tts/infer/infer_cli.py."""
    letters = {o["letters"]: o["name"] for o in table("infer") if o["letters"]}
    upstream = dict(c="config", m="model", mc="model_cfg", p="ckpt_file", v="vocab_file", r="ref_audio", s="ref_text",
                    t="gen_text", f="gen_file", o="output_dir", w="output_file")
    assert upstream.items() <= letters.items()
    long = ("save_chunk no_legacy_text remove_silence load_vocoder_from_local vocoder_name target_rms cross_fade_duration "
            "nfe_step cfg_strength sway_sampling_coef speed fix_duration device").split()
    assert set(long) <= {o["name"] for o in table("infer")}
    for command in ("infer", "batch", "edit", "convert"):
        assert "quiet" in {o["name"] for o in table(command)}


# ---- pages

@pytest.mark.parametrize("page", PAGES)
def test_manual_pages(page):
    """groff has nothing to warn of, and man shows them."""
    text = man_text(page)
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "SEE ALSO"):
        assert section in text
    assert all(other + "(1)" in text for other in PAGES if other != page)
    assert "0 done 1 the work failed; the message says why 2 the command line is wrong" in text
    done = subprocess.run(["man", "--warnings", "-l", MAN / f"{page}.1"], capture_output=True, text=True,
                          env={**os.environ, "MANWIDTH": "72", "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0 and done.stderr == "" and max(map(len, done.stdout.splitlines())) <= 78


def test_there_is_a_page_for_each_command_and_no_other():
    assert sorted(p.name for p in MAN.iterdir()) == sorted(f"{page}.1" for page in PAGES)


def test_help():
    top = convert_lib.run("help")
    assert top.returncode == 0 and top.stdout == convert_lib.run("--help").stdout == convert_lib.run("-h").stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\w", top.stdout, re.M)
        shown = [convert_lib.run(*words) for words in (("help", command), (command, "--help"), (command, "-h"))]
        assert len({s.stdout for s in shown}) == 1 and all(s.returncode == 0 and not s.stderr for s in shown)
        assert max(map(len, shown[0].stdout.splitlines()[2:])) <= 80, command
        for code in ("0       done", "1       the work failed", "2       the command line is wrong", "128+N"):
            assert code in shown[0].stdout and code in top.stdout
    assert convert_lib.run("help", "sing").returncode == 2
    assert "unknown option '--helpful'" in convert_lib.run("infer", "--helpful").stderr


def test_help_shows_the_defaults_whatever_stands_before_it():
    asked = convert_lib.run("infer", "--nfe_step", "5", "--quiet", "--help")
    assert asked.returncode == 0 and asked.stdout == convert_lib.run("help", "infer").stdout


# ---- a terminal

def on_terminal(*words, **environment):
    """What the program says where standard output and standard error are a terminal."""
    ours, theirs = pty.openpty()
    base = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    child = subprocess.Popen([convert_lib.program(), *map(str, words)], stdin=subprocess.DEVNULL, stdout=theirs,
                             stderr=theirs, env={**base, "TERM": "xterm", **environment})
    os.close(theirs)
    said = b""
    while True:
        try:
            more = os.read(ours, 65536)
        except OSError:  # the last one closed it
            break
        if not more:
            break
        said += more
    child.wait(timeout=600)
    os.close(ours)
    return said.decode()


def test_colours_are_for_terminals():
    for words in (("help", "infer"), ("help",), ("infer", "--bogus"), ("info", "nothing.f5")):
        coloured, plain = on_terminal(*words), convert_lib.run(*words)
        assert "\033[1" in coloured, words
        assert "\033" not in plain.stdout + plain.stderr
        for off in (dict(NO_COLOR="1"), dict(TERM="dumb"), dict(TERM="")):
            assert "\033" not in on_terminal(*words, **off), (words, off)
        assert "\033[1" in on_terminal(*words, NO_COLOR="")  # set and empty is not set: no-color.org


def test_progress(case):  # noqa: F811
    """A bar on a terminal, lines elsewhere, nothing where it is quiet."""
    words = ["infer", "--model", case.path, "--ref_audio", case.folder / "voice.wav", "--ref_text", "A short recording.",
             "-t", "Say these few words.", "-o", case.folder, "-w", "a.wav", "--nfe_step", "3", "--device", "cpu",
             "--max_frames", "512"]
    shown = on_terminal(*words)
    assert "\rsampling [" in shown and "3/3" in shown
    lines = convert_lib.run(*words).stderr
    assert "\r" not in lines and "sampling 3/3" in lines
    quiet = convert_lib.run(*words, "--quiet")
    assert quiet.stdout == "" and "sampling" not in quiet.stderr and "sampling" not in on_terminal(*words, "--quiet")


# ---- locales

@pytest.fixture(scope="module")
def locales(tmp_path_factory):
    """German and Turkish, made here: Debian installs neither."""
    folder = tmp_path_factory.mktemp("locales")
    for name in ("de_DE", "tr_TR"):
        subprocess.run(["localedef", "-i", name, "-f", "UTF-8", folder / f"{name}.UTF-8"], check=True)
    return folder


@pytest.mark.parametrize("name", ["de_DE.UTF-8", "tr_TR.UTF-8"])
def test_locales_change_nothing(case, locales, name):  # noqa: F811
    environment = dict(os.environ, LOCPATH=str(locales), LC_ALL=name, LANGUAGE=name)
    comma = subprocess.run(["/usr/bin/printf", "%.1f", "1,5"], capture_output=True, text=True, env=environment).stdout
    assert comma == "1,5", "the locale is not in force"
    (case.folder / "a.toml").write_text("speed = 1.25\nsway_sampling_coef = -0.5\n[voices.IRMAK]\nref_audio = 'voice.wav'\n"
                                        "ref_text = 'A short recording.'\n")
    common = ["--model", case.path, "--device", "cpu", "--nfe_step", "2", "--max_frames", "512"]
    voice = ["--ref_audio", case.folder / "voice.wav", "--ref_text", "A short recording."]

    def all_of_it(env, out):
        runs = [["help", "infer"], ["infer", "--speed", "1,5"],
                ["infer", *common, *voice, "-c", case.folder / "a.toml", "-t", "It is 3.5 I. [IRMAK] Title.", "--seed", "3",
                 "-o", out, "-w", "a.wav", "--subtitles", out / "a.json", "--cross_fade_duration", "0.1"],
                ["info", "--json", "--plan", case.path], ["check-voice", case.folder / "voice.wav"]]
        said = []
        for words in runs:
            done = subprocess.run([convert_lib.program(), *map(str, words)], capture_output=True, text=True, env=env)
            text = re.sub(r"\d+\.\d+ s\b|RTF +\S+ \(\S+ s|in \S+ s", "", done.stdout + done.stderr)
            said.append((done.returncode, text.replace(str(out), "OUT")))
        return said, [(p.name, p.read_bytes()) for p in sorted(out.iterdir())]

    plain = all_of_it({**environment, "LC_ALL": "C"}, case.folder / "c")
    assert plain[0][2][0] == 0, plain[0][2]
    assert all_of_it(environment, case.folder / "l") == plain


def test_nothing_sets_a_locale():
    build = Path(convert_lib.program()).parent.parent
    for file in (build / "bin/f5tts", build / "lib/libf5tts.so"):
        symbols = subprocess.run(["nm", "-D", "--undefined-only", file], capture_output=True, text=True, check=True).stdout
        assert "printf" in symbols and not re.search(r"\b(set|new|use)locale\b", symbols)
