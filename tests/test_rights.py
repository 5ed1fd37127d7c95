"""A model file's licence and credit: `f5tts convert` and set_speech.py write them, every program that rewrites a file keeps
them, info, models, the libraries and the server tell them; what is no line of plain text is refused by name."""
import ctypes
import json
import struct
import sys

import numpy as np
import pytest

import cbind
import convert_lib
import f5file
import f5lib

sys.path.append(str(cbind.ROOT / "weights"))
import set_speech  # noqa: E402

LINES = {"license": "CC-BY-4.0; vocoder \"MIT\"", "credit": "Zoë & Łukasz\\Söhne, 声の素材"}
NOTHING = {"license": "", "credit": ""}
ROOM = {"license": 255, "credit": 1023}


@pytest.fixture(scope="module")
def made(tmp_path_factory, seed):
    return convert_lib.rc.make_checkpoint(tmp_path_factory.mktemp("made"), "tiny", seed=seed)


@pytest.fixture
def model(tmp_path):
    f5file.write_model(tmp_path / "model.f5", "tiny", seed=3)
    return tmp_path / "model.f5"


def put(path, **lines):
    """Into the metadata, whatever they are: bytes stand there as they are."""
    whole = path.read_bytes()
    n, = struct.unpack("<Q", whole[:8])
    header, data = json.loads(whole[8:8 + n]), whole[8 + n:]
    places = {f"@{key}@": value for key, value in lines.items() if isinstance(value, bytes)}
    header["__metadata__"].update({k: f"@{k}@" if isinstance(v, bytes) else v for k, v in lines.items()})
    text = json.dumps(header, ensure_ascii=False).encode()
    for place, value in places.items():
        text = text.replace(place.encode(), value)
    text += b" " * (-(len(text) + 8) % 64)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def told(path):
    """By the C library's description; what it says of an open engine, and what the file holds, are the same."""
    with f5lib.ModelFile(path) as f:
        found = {key: f.info()[key] for key in ROOM}
    with f5lib.Engine(path, max_frames=64, max_batch=1) as e:
        assert {key: e.info()[key] for key in ROOM} == found
    metadata, _ = convert_lib.read_f5(path)
    assert {key: metadata.get(key, "") for key in ROOM} == found
    return found


def test_convert_writes_them_and_info_tells(made, tmp_path):
    out = tmp_path / "m.f5"
    result = convert_lib.convert(made, out, **LINES)
    assert result.returncode == 0 and told(out) == LINES, result.stderr
    shown = convert_lib.run("info", out).stdout.splitlines()
    assert f"licence         {LINES['license']}" in shown and f"credit          {LINES['credit']}" in shown
    parsed = json.loads(convert_lib.run("info", out, "--json").stdout)
    assert {key: parsed[key] for key in ROOM} == LINES
    assert convert_lib.convert(made, out).returncode == 0 and told(out) == NOTHING
    shown = convert_lib.run("info", out).stdout
    assert "licence" not in shown and "credit" not in shown
    parsed = json.loads(convert_lib.run("info", out, "--json").stdout)
    assert {key: parsed[key] for key in ROOM} == NOTHING


def test_what_rewrites_a_file_keeps_them(made, model, tmp_path):
    """convert --calibrate and --lora's way through convert, tune --write, set_speech.py."""
    out = tmp_path / "m.f5"
    result = convert_lib.convert(made, out, dtype="int8", calibrate="slt", **LINES)
    assert result.returncode == 0 and told(out) == LINES, result.stderr
    put(model, **LINES)
    defaults = f5lib.struct("f5_model_defaults", nfe=6, method=2)
    f5lib.call("f5_set_model_defaults", bytes(model), ctypes.addressof(defaults))
    assert told(model) == LINES and "\"steps\":6" in convert_lib.read_f5(model)[0]["config"]
    set_speech.set_speech(model, [("normalize", "en")])
    assert told(model) == LINES


def test_set_speech_sets_them(model):
    before = convert_lib.read_f5(model)
    assert set_speech.set_speech(model, [("short_speed", "80"), *LINES.items()]) == {"short_speed": 80, **LINES}
    assert told(model) == LINES
    assert set_speech.set_speech(model, [("license", "")]) == {"short_speed": 80, "credit": LINES["credit"]}
    assert told(model) == {"license": "", "credit": LINES["credit"]}
    set_speech.set_speech(model, [("credit", ""), ("short_speed", "")])
    after = convert_lib.read_f5(model)
    assert {**after[0], "config": json.loads(after[0]["config"])} == {**before[0], "config": json.loads(before[0]["config"])}
    assert all(np.array_equal(after[1][k], v) for k, v in before[1].items())


def acts(code):
    """Would a terminal act on it?"""
    return code < 32 or 127 <= code < 160 or 0x2028 <= code <= 0x202e or 0x2066 <= code <= 0x2069


def refused(function, *words):
    with pytest.raises((f5lib.Error, set_speech.Refused)) as failure:
        function()
    assert all(word in str(failure.value) for word in words) and "\n" not in str(failure.value), failure.value


@pytest.mark.parametrize("key", ROOM)
def test_lines_are_plain_text(model, key, rng):
    """Every character that a terminal acts on is refused by name, wherever it stands, and no other: in a file, and by
    set_speech.py, which says the same."""
    codes = [0, 9, 10, 13, 27, 31, 32, 126, 127, 128, 133, 159, 160, 0x2027, 0x2028, 0x2029, 0x202a, 0x202e, 0x202f, 0x2065,
             0x2066, 0x2069, 0x206a, 0xd7ff, 0xe000, 0x10ffff, *rng.integers(0, 0x3000, 30).tolist()]
    plain = ["", "a", "é", "声", "𝄞"]
    for code in codes:
        if 0xd800 <= code < 0xe000:
            continue
        text = "".join(rng.choice(plain, 3)) + chr(code) + "".join(rng.choice(plain, 3))
        put(model, **{key: text})
        if acts(code):
            for what in (lambda: f5lib.ModelFile(model), lambda: f5lib.Engine(model, max_frames=64)):
                refused(what, str(model), f"{key} has U+{code:04X}" if code else "a NUL character in a string")
            refused(lambda: set_speech.check_line(key, text), f"{key} has U+{code:04X}")
        else:
            set_speech.check_line(key, text)
            with f5lib.ModelFile(model) as f:
                assert f.info()[key] == text


@pytest.mark.parametrize("key", ROOM)
def test_lines_have_a_length(made, model, tmp_path, key):
    for end in ("a", "é", "声", "𝄞"):
        n = len(end.encode())
        longest = "x" * (ROOM[key] - n) + end
        put(model, **{key: longest})
        assert told(model)[key] == longest
        set_speech.check_line(key, longest)
        put(model, **{key: "x" + longest})
        for what in (lambda: f5lib.ModelFile(model), lambda: set_speech.check_line(key, "x" + longest)):
            refused(what, f"{key} has {ROOM[key] + 1} bytes: at most {ROOM[key]}")
    result = convert_lib.convert(made, tmp_path / "m.f5", **{key: "x" * ROOM[key]})
    assert result.returncode == 0 and told(tmp_path / "m.f5")[key] == "x" * ROOM[key]
    for bad, why in (("x" * (ROOM[key] + 1), "at most"), ("a\tb", f"{key} has U+0009"), ("\udce9", f"{key} is not UTF-8"),
                     ("\u202egpl", f"{key} has U+202E")):
        result = convert_lib.convert(made, tmp_path / "n.f5", sanitized=True, **{key: bad})
        assert result.returncode == 1 and why in result.stderr and "\t" not in result.stderr, result.stderr
        assert not (tmp_path / "n.f5").exists()
    assert convert_lib.convert(made, tmp_path / "n.f5", **{key: ""}).returncode == 2


@pytest.mark.parametrize("value", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"a\x00b", b"\xe2\x80\xae"])
def test_bytes_that_are_no_text(model, value):
    put(model, credit=value)
    refused(lambda: f5lib.ModelFile(model), str(model))
    result = convert_lib.run("info", model, sanitized=True)
    assert result.returncode == 1 and str(model) in result.stderr and result.stdout == ""


@pytest.mark.parametrize("value", [5, None, ["MIT"], {"a": "b"}])
def test_what_is_no_text_at_all(model, value):
    put(model, license=value)
    refused(lambda: f5lib.ModelFile(model), str(model))


def test_a_line_given_twice(model):
    """As any key of the header."""
    put(model, license="MIT\", \"license\": \"GPL".encode())
    refused(lambda: f5lib.ModelFile(model), "license")


def test_models_tells_the_files_own(made, tmp_path):
    """Where neither the file nor a text beside it says one, it is unknown."""
    folder = tmp_path / ".local/share/f5tts/models"
    folder.mkdir(parents=True)
    for name, lines in (("said", LINES), ("beside", {}), ("both", LINES), ("none", {})):
        assert convert_lib.convert(made, folder / f"{name}.f5", **lines).returncode == 0
    for name in ("beside", "both"):
        (folder / f"{name}.txt").write_text("checkpoint hf://me/x\nlicence gpl-2.0\n")
    listed = convert_lib.run("models", HOME=str(tmp_path), XDG_DATA_HOME="", XDG_CACHE_HOME="", HF_HOME="", HF_HUB_CACHE="").stdout
    rows = {line.split("  ")[0]: line for line in listed.splitlines() if "MB" in line}
    for name, licence in (("said", LINES["license"]), ("beside", "gpl-2.0"), ("both", LINES["license"]), ("none", "unknown")):
        assert f"licence {licence}, " in rows[name], listed
