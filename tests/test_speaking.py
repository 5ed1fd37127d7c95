"""`f5tts infer` on texts of several pieces and voices: each option beside the library's own output, upstream's TOML files,
what is written while speech comes. Tiny random models."""
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

import convert_lib
import f5lib
from test_infer import NFE, TRANSCRIPT, case, left_behind, read_wav, write_wav  # noqa: F401  case is a fixture

TEXT = "Say these few words, and some more, of a kind that nobody minds: any will do. [town] Then a town's words [1] follow here.\n\nA second paragraph; it ends."
FRAMES = 2400  # room for 22 s, and for one batch of two pieces


def float_wav(path):
    """Samples of a WAV file of 32-bit floats."""
    data = path.read_bytes()
    at = data.index(b"data")
    assert data[20:22] == b"\x03\x00" and int.from_bytes(data[at + 4:at + 8], "little") == len(data) - at - 8
    return np.frombuffer(data[at + 8:], "<f4")


def pcm(samples):
    return np.rint(samples * 32768).astype(np.int16).astype(np.float32) / 32768


@pytest.fixture
def said(case, rng):  # noqa: F811
    """A second recording, and said(**settings): the pieces that the library makes of TEXT in one or two voices."""
    town = rng.uniform(-0.3, 0.3, 30000).astype(np.float32)
    write_wav(case.folder / "town.wav", town)
    (case.folder / "town.txt").write_text("Some words of\nthe town. \n")
    (case.folder / "two.toml").write_text(f'[voices.town]\nref_audio = "{case.folder}/town.wav"\nspeed = 0.8\n')

    def run(text=TEXT, two=False, nfe=NFE, **settings):
        with f5lib.Engine(case.path, max_frames=FRAMES) as e, e.voice(pcm(case.voice), TRANSCRIPT) as main, \
                e.voice(pcm(town), "Some words of the town.") as other:
            pieces, _ = e.say(main, text, seed=7, sample=dict(nfe=nfe), voices=[("town", other, 0.8)] if two else (),
                              **settings)
        return pieces

    return run


def spoken(case, text=TEXT, **options):  # noqa: F811
    case.good(text=text, float_wav=True, max_frames=FRAMES, **options)
    return float_wav(case.folder / "out" / "a.wav")


CUT = (dict(chunking="sentence"), dict(chunking=2))  # several pieces, though the text is short
SHORT = (dict(first_chunk=1), dict(first_chunk=1))  # two pieces
OPTIONS = {  # name: (command line, the library's settings), what it is compared with
    "cross fade": ((dict(cross_fade_duration=0.3), dict(cross_fade=0.3)), CUT),
    "no cross fade": ((dict(cross_fade_duration=0), dict(cross_fade=0)), CUT),
    "sentences": ((dict(chunking="sentences"), dict(chunking=1)), SHORT),
    "each sentence": ((dict(chunking="sentence"), dict(chunking=2)), None),
    "sentence pause": ((dict(sentence_pause=0.25), dict(sentence_pause=0.25)), None),
    "paragraph pause": ((dict(paragraph_pause=0.5), dict(paragraph_pause=0.5)), None),
    "first chunk": ((dict(first_chunk=0.5), dict(first_chunk=0.5)), None),
    "brackets are text": ((dict(brackets="text"), dict(brackets=1)), None),
    "brackets are dropped": ((dict(brackets="drop"), dict(brackets=2)), None),
    "speed": ((dict(speed=1.5), dict(speed=1.5)), None),
    "length": ((dict(fix_duration=7), dict(fix_duration=7)), None),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_the_librarys(case, said, name):  # noqa: F811
    """The same samples as the library's with that setting, other ones than without it."""
    (options, settings), (more_options, more_settings) = OPTIONS[name][0], OPTIONS[name][1] or ({}, {})
    wanted, without = (np.concatenate([p["samples"] for p in said(**s)])
                       for s in ({**more_settings, **settings}, more_settings))
    found = spoken(case, **more_options, **options)
    assert np.array_equal(found, wanted) and not np.array_equal(found, without)


def test_upstreams_first_chunk(case, said):  # noqa: F811
    """A quarter of the limit, then half of it."""
    text = "Say these few words, and some more. " * 14
    wanted = said(text, nfe=1, first_chunk=-1)
    assert wanted[0]["chunks"] >= 3
    assert np.array_equal(spoken(case, text, first_chunk=-1, nfe_step=1), np.concatenate([p["samples"] for p in wanted]))


def test_two_voices(case, said):  # noqa: F811
    """Voices of a TOML file, the words of one from the file beside its recording."""
    pieces = said(two=True)
    assert {p["voice"] for p in pieces if len(p["mel"])} == {0, 1}
    assert np.array_equal(spoken(case, config=case.folder / "two.toml"), np.concatenate([p["samples"] for p in pieces]))


def test_warnings(case, said):  # noqa: F811
    result = case.good(text=TEXT, max_frames=FRAMES, config=case.folder / "two.toml")
    warnings = [line for line in result.stderr.splitlines() if line.startswith("f5tts infer: warning: ")]
    assert len([w for w in warnings if "'1'" in w]) == 1, result.stderr


def test_a_text_from_standard_input(case, said):  # noqa: F811
    wanted = spoken(case)
    arguments = [f"--{k}={v}" for k, v in dict(
        model=case.path, ref_audio=case.folder / "voice.wav", ref_text=TRANSCRIPT, seed=7, output_dir=case.folder / "out",
        output_file="b.wav", nfe_step=NFE, device="cpu", max_frames=FRAMES).items()]
    result = subprocess.run([convert_lib.program(), "infer", *arguments, "--float_wav", "-f", "-"], input=TEXT.encode(),
                            capture_output=True)
    assert result.returncode == 0, result.stderr
    assert np.array_equal(float_wav(case.folder / "out" / "b.wav"), wanted)


def test_show_text(case, said):  # noqa: F811
    """Number, voice, pause, seconds and words of each piece; nothing is written."""
    pieces = [p for p in said(two=True, chunking=2, sentence_pause=0.25) if len(p["mel"])]
    result = case.good(text=TEXT, max_frames=FRAMES, config=case.folder / "two.toml", chunking="sentence",
                       sentence_pause=0.25, show_text=True)
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [(int(n), voice, text) for n, voice, _, _, text in rows] == [
        (p["index"], ["main", "town"][p["voice"]], p["text"]) for p in pieces]
    assert [round(float(s), 2) for _, _, _, s, _ in rows] == [round((len(p["mel"]) - 1) * 256 / 24000, 2) for p in pieces]
    assert {float(pause) for _, _, pause, _, _ in rows} <= {0, 0.25}
    assert not (case.folder / "out").exists()


def test_a_shown_piece_is_one_line(case):  # noqa: F811
    """Whatever white space its text has."""
    result = case.good(text="One two\tthree\nfour.", show_text=True)
    row, = result.stdout.splitlines()
    assert row.split("\t")[4] == "One two three four."


def test_save_chunk(case, said):  # noqa: F811
    """Upstream's folder and names: a file for each stretch in one voice, which together are the whole."""
    text = TEXT + " [town] " + "A/B, as long as it takes. " * 9
    whole = spoken(case, text, config=case.folder / "two.toml", save_chunk=True)
    made = {p.name.split("_")[0]: p for p in (case.folder / "out" / "a_chunks").iterdir()}
    assert [made[str(i)].name for i in range(len(made))] == [
        "0_Say these few words, and some more, of a kind that nobody minds: any will do..wav", "1_Then a town's words.wav",
        "2_follow here.  A second paragraph; it ends..wav",
        "3_" + ("A/B, as long as it takes. " * 9)[:200].replace("/", "_") + " ... .wav"]
    assert np.array_equal(np.concatenate([float_wav(made[str(i)]) for i in range(len(made))]), whole)


def test_subtitles(case, said):  # noqa: F811
    pieces, out = said(two=True), case.folder / "out"
    wave = spoken(case, config=case.folder / "two.toml", subtitles=out / "a.json")
    found = json.loads((out / "a.json").read_text())
    chunks, marks = [p for p in pieces if len(p["mel"])], [m for p in pieces for m in p["marks"]]
    assert [c["text"] for c in found["chunks"]] == [p["text"] for p in chunks]
    assert np.allclose([c["start"] for c in found["chunks"]], [p["seconds"] for p in chunks], atol=6e-4)  # milliseconds
    assert [s["text"] for s in found["sentences"]] == [m["text"] for m in marks] and len(marks) >= 4
    assert np.allclose([s["start"] for s in found["sentences"]], [m["start"] for m in marks], atol=6e-4)
    assert [w["text"] for w in found["words"]] == " ".join(m["text"] for m in marks).split()
    assert all(w["estimated"] and w["start"] < w["end"] for w in found["words"])
    for entries in found.values():
        ends = [e["end"] for e in entries]
        assert all(e["start"] <= e["end"] for e in entries) and ends == sorted(ends)
        assert all(a["end"] <= b["start"] + 2e-3 for a, b in zip(entries, entries[1:]))
        assert ends[-1] <= len(wave) / 24000 + 1e-3
    spoken(case, config=case.folder / "two.toml", subtitles=out / "a.srt")
    assert (out / "a.srt").read_text().startswith("1\n00:00:00,000 --> 00:00:0")


def test_remove_silence(case, said):  # noqa: F811
    """A made pause of 3 s is a second afterwards: half of it on either side."""
    text = "Say these few words. [pause 3s] And then some more."
    with_pause, without = spoken(case, text), spoken(case, text, remove_silence=True)
    assert abs(len(with_pause) - len(without) - 2 * 24000) <= 24 * 30  # levels are looked at in steps of 10 ms


def test_mel_of_all_pieces(case, said):  # noqa: F811
    pieces = said(two=True)
    spoken(case, config=case.folder / "two.toml", save_mel=case.folder / "a.npy", spectrogram=case.folder / "a.png")
    assert np.array_equal(np.load(case.folder / "a.npy"), np.concatenate([p["mel"] for p in pieces]))


def test_progress(case, said):  # noqa: F811
    result = case.good(text=TEXT, max_frames=FRAMES, chunking="sentence")
    n = int(re.search(r" in (\d+) chunks", result.stdout)[1])
    assert n >= 4 and [line.split("  ")[0] for line in result.stderr.splitlines() if line.startswith("chunk ")] == [
        f"chunk {i + 1} of {n}" for i in range(n)]


# ---- TOML files

BASIC = '''# F5TTS_v1_Base | E2TTS_Base
model = "F5TTS_v1_Base"
ref_audio = "infer/examples/basic/basic_ref_en.wav"
# If an empty "", transcribes the reference audio automatically.
ref_text = "A short recording."
gen_text = "Say these few words."
# File with text to generate. Ignores the text above.
gen_file = ""
remove_silence = false
output_dir = "tests"
output_file = "infer_cli_basic.wav"
'''
MULTI = '''model = "F5TTS_v1_Base"
ref_audio = "infer/examples/multi/main.flac"
# If an empty "", transcribes the reference audio automatically.
ref_text = ""
gen_text = ""
gen_file = "infer/examples/multi/story.txt"
remove_silence = true
output_dir = "tests"
output_file = "infer_cli_story.wav"

[voices.town]
ref_audio = "infer/examples/multi/town.flac"
ref_text = ""
speed = 0.8  # will ignore global speed

[voices.country]
ref_audio = "infer/examples/multi/country.flac"
ref_text = ""
'''


def configured(case, config, *arguments):  # noqa: F811
    return subprocess.run([convert_lib.program(), "infer", "-c", str(config), *map(str, arguments), "--seed=7",
                           f"--nfe_step={NFE}", "--device=cpu", f"--max_frames={FRAMES}"], cwd=case.folder,
                          capture_output=True, text=True)


def test_upstreams_basic_file(case):  # noqa: F811
    """As it is, from any folder: the model is F5TTS_v1_Base.f5 there."""
    folder = case.folder / "pip" / "infer/examples/basic"
    folder.mkdir(parents=True)
    (folder / "basic.toml").write_text(BASIC)
    shutil.copy(case.folder / "voice.wav", folder / "basic_ref_en.wav")
    shutil.copy(case.path, case.folder / "F5TTS_v1_Base.f5")
    result = configured(case, folder / "basic.toml")
    assert result.returncode == 0, result.stderr
    case.good(text="Say these few words.", max_frames=FRAMES)
    wanted = (case.folder / "out" / "a.wav").read_bytes()
    assert (case.folder / "tests" / "infer_cli_basic.wav").read_bytes() == wanted
    result = configured(case, folder / "basic.toml", "-m", case.path, "-w", "b.wav", "-t", "Other words.", "-o", "c")
    assert result.returncode == 0, result.stderr
    case.good(text="Other words.", max_frames=FRAMES)
    assert (case.folder / "c" / "b.wav").read_bytes() == (case.folder / "out" / "a.wav").read_bytes() != wanted


def test_upstreams_file_of_several_voices(case, rng):  # noqa: F811
    """Transcripts, which upstream makes itself, lie beside the recordings."""
    folder = case.folder / "infer/examples/multi"
    folder.mkdir(parents=True)
    (folder / "story.toml").write_text(MULTI)
    (folder / "story.txt").write_text('He spoke of it. [town] "My friend, live here." [main] So he went. [country] "Goodbye."')
    for name in ("main", "town", "country"):
        write_wav(folder / f"{name}.flac", rng.uniform(-0.3, 0.3, 24000))  # libsndfile looks into the file
    result = configured(case, folder / "story.toml", "-m", case.path)
    assert result.returncode == 2 and "transcription is not built in" in result.stderr, result.stderr
    assert "main.txt" in result.stderr
    for name in ("main", "town", "country"):
        (folder / f"{name}.txt").write_text(f"What the {name} says.\n")
    result = configured(case, folder / "story.toml", "-m", case.path, "--save_chunk")
    assert result.returncode == 0, result.stderr
    assert sorted(p.name for p in (case.folder / "tests/infer_cli_story_chunks").iterdir()) == [
        "0_He spoke of it..wav", '1_"My friend, live here.".wav', "2_So he went..wav", '3_"Goodbye.".wav']


def test_keys_of_a_file(case):  # noqa: F811
    """Every key is an option; what is given on the command line counts instead."""
    (case.folder / "a.toml").write_text(f'''model = "{case.path}"
ref_audio = "voice.wav"
ref_text = "{TRANSCRIPT}"
gen_file = "text.txt"
output_dir = "here"
output_file = "a.wav"
nfe_step = {NFE}
cfg_strength = 1.5
sway_sampling_coef = -0.5
speed = 1.25
cross_fade_duration = 0.2
target_rms = 0.3
fix_duration = 5.5
seed = 7
float_wav = true
chunking = "sentences"
device = "cpu"
vocoder_name = "vocos"
load_vocoder_from_local = false
max_frames = {FRAMES}
''')
    (case.folder / "text.txt").write_text("Words of a file.")
    result = subprocess.run([convert_lib.program(), "infer", "--config=a.toml"], cwd=case.folder, capture_output=True, text=True)
    assert result.returncode == 0 and "passed over" not in result.stderr, result.stderr
    same = dict(cfg_strength=1.5, sway_sampling_coef=-0.5, speed=1.25, target_rms=0.3, fix_duration=5.5)
    assert np.array_equal(float_wav(case.folder / "here/a.wav"), spoken(case, "Words of a file.", **same))
    result = subprocess.run([convert_lib.program(), "infer", "--config=a.toml", "--speed=1", "-t", "Other words.",
                             "--seed=8", "-w", "b.wav"], cwd=case.folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert np.array_equal(float_wav(case.folder / "here/b.wav"),
                          spoken(case, "Other words.", **{**same, "speed": 1, "seed": 8}))


BAD_FILES = {
    "no file": (None, r"a.toml: cannot be opened"),
    "no TOML": ("x = ", r"a.toml:1: a value is missing"),
    "range": ("\nspeed = 0", r"a.toml:2: speed 0: must be a number from 0.01 to 100"),
    "kind": ("nfe_step = 1.5", r"a.toml:1: nfe_step 1.5: must be a whole number"),
    "flag": ("remove_silence = 1", r"a.toml:1: remove_silence 1: must be true or false"),
    "choice": ("brackets = 'x'", r"a.toml:1: brackets x: must be one of main.text.drop"),
    "table for a value": ("[speed]", r"a.toml:1: a table or an array stands where"),
    "voices is a value": ("voices = 1", r"a.toml:1: voices is no value"),
    "a voice is a value": ("voices.town = 'a.wav'", r"a.toml:1: a voice is a table"),
    "voice without a recording": ("[voices.town]\nref_text = 'x'", r"a.toml:1: voice town has no ref_audio"),
    "name of a voice": ("[voices.'a b']\nref_audio = 'x'", r"a.toml:1: a voice's name has letters, digits and _"),
    "speed of a voice": ("[voices.a]\nref_audio = 'x'\nspeed = -1", r"a.toml:3: speed -1: must be"),
    "no words": ("[voices.a]\nref_audio = 'voice.wav'", r"a.toml:1: voice.wav: --ref_text is required.*voice.txt"),
    "words of nothing": ("ref_text = 'x'", "--ref_text: the words of which recording"),
    "array": ("gen_text = ['a']", r"a.toml:1: a table or an array"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files(case, name):  # noqa: F811
    text, message = BAD_FILES[name]
    if text is not None:
        (case.folder / "a.toml").write_text(text)
    result = configured(case, "a.toml")
    assert result.returncode == 2 and re.search(message, result.stderr.splitlines()[0]), result.stderr
    assert result.stderr.startswith("f5tts infer: ") and result.stdout == ""
    assert set(left_behind(case.folder)) <= {"a.toml", "voice.wav"}


def test_keys_that_are_no_options_are_told(case):  # noqa: F811
    (case.folder / "a.toml").write_text(
        f'colour = "red"\nckpt_file = "x.pt"\nvocab_file = ""\n[town]\nx = 1\n[voices.main]\nref_audio = "voice.wav"\n'
        f'ref_text = "{TRANSCRIPT}"\nmood = "calm"\n')
    result = configured(case, "a.toml", "-m", case.path, "-t", "Say these few words.", "-o", "out", "-w", "b.wav")
    assert result.returncode == 0, result.stderr
    told = [line.removeprefix("f5tts infer: warning: ") for line in result.stderr.splitlines() if "warning" in line]
    assert told == ["a.toml:1: colour is no option: passed over",
                    "a.toml:5: town.x is no option: passed over",
                    "a.toml:9: voices.main.mood: a voice has ref_audio, ref_text and speed: passed over"]
    case.good(text="Say these few words.", max_frames=FRAMES)
    assert (case.folder / "out/b.wav").read_bytes() == (case.folder / "out/a.wav").read_bytes()


FAILURES = {
    "subtitles": (dict(subtitles="a.txt"), 1, "a.txt: subtitles are written as .srt, .vtt or .json"),
    "silence and subtitles": (dict(subtitles="a.srt", remove_silence=True), 2, "--subtitles and --remove_silence"),
    "subtitles over the output": (dict(subtitles="{folder}/out/a.wav"), 1, "would overwrite"),
    "no lexicon": (dict(lexicon="missing.tsv"), 1, "missing.tsv: cannot be opened"),
    "latin text": (dict(gen_file="{folder}/latin.txt"), 1, "latin.txt: malformed UTF-8 at byte 3: save it as UTF-8"),
    "name of a model": (dict(model="F5TTS_v9"), 1, "model F5TTS_v9: neither a file, nor a model that was converted, nor a name"),
    "brackets": (dict(brackets="all"), 2, "--brackets all: must be one of main|text|drop"),
    "fade": (dict(cross_fade_duration=3), 2, "--cross_fade_duration 3: must be a number from 0 to 2"),
    "control characters": (dict(model="a\nb\x1b[31m.f5"), 1, "a\\nb\\x1b[31m.f5"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failures(case, name):  # noqa: F811
    options, code, message = FAILURES[name]
    (case.folder / "latin.txt").write_bytes(b"caf\xe9")
    result = case.run(**{k: v.format(folder=case.folder) if isinstance(v, str) else v for k, v in options.items()})
    assert result.returncode == code and message in result.stderr.splitlines()[0], result.stderr
    assert left_behind(case.folder) == ["latin.txt", "voice.wav"]


def test_a_failure_in_the_middle_leaves_nothing(case, said):  # noqa: F811
    """Samples are written while they come; the file has no name until they are whole."""
    out = case.folder / "out"
    out.mkdir()
    (out / "a.wav").write_bytes(b"old")
    noise = np.zeros((10, 100), np.float32)
    np.save(case.folder / "n.npy", noise)
    before = left_behind(case.folder)
    assert case.run(text=TEXT, max_frames=FRAMES, init_noise=case.folder / "n.npy", save_chunk=True).returncode == 1
    assert left_behind(case.folder) == before and (out / "a.wav").read_bytes() == b"old"


def test_nothing_is_left_of_a_run_that_is_ended(case, said):  # noqa: F811
    """Killed while it speaks: no file, whole or not."""
    options = dict(model=case.path, ref_audio=case.folder / "voice.wav", ref_text=TRANSCRIPT, gen_text=TEXT * 20,
                   output_dir=case.folder / "out", output_file="a.wav", nfe_step=NFE, device="cpu", max_frames=FRAMES,
                   chunking="sentence", save_chunk=True, save_mel=case.folder / "out" / "a.npy")
    arguments = [f"--{k}" if v is True else f"--{k}={v}" for k, v in options.items()]
    process = subprocess.Popen([convert_lib.program(), "infer", *arguments], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("chunk 2 "):
            process.kill()
            break
    process.stderr.close()
    assert process.wait() == -9
    assert left_behind(case.folder / "out") == []


@pytest.mark.parametrize("options, text, words", [
    (dict(normalize="en"), "Chapter 3 of 12.", ["Chapter three of twelve."]),
    (dict(normalize="none"), "Chapter 3 of 12.", ["Chapter 3 of 12."]),
    (dict(normalize="en", lexicon="{folder}/words.tsv"), "Say garden, not yard.", ["Say gar den, not yard."]),
    (dict(ssml=True), '<speak>One &amp; <break time="1s"/> two <sub alias="three">3</sub>.</speak>', ["One &", "two three."]),
    (dict(), "<speak>", ["<speak>"]),
], ids=["normalize", "normalize none", "lexicon", "ssml", "no ssml"])
def test_what_is_said(case, options, text, words):  # noqa: F811
    (case.folder / "words.tsv").write_text("# a comment\ngarden\tgar den\n")
    result = case.good(text=text, show_text=True, **{
        k: v.format(folder=case.folder) if isinstance(v, str) else v for k, v in options.items()})
    assert [line.split("\t")[4] for line in result.stdout.splitlines()] == words


def test_links_and_permissions_stay(case):  # noqa: F811
    """A link leads where it led; a file that only its owner reads stays so."""
    out, text = case.folder / "out", "Say these few words."
    out.mkdir()
    (out / "kept.wav").write_bytes(b"old")
    (out / "kept.wav").chmod(0o600)
    (out / "link.wav").symlink_to("kept.wav")
    case.good(text=text)
    case.good(text=text, output_file="link.wav")
    assert (out / "link.wav").is_symlink() and (out / "kept.wav").read_bytes() == (out / "a.wav").read_bytes()
    assert (out / "kept.wav").stat().st_mode & 0o777 == 0o600
