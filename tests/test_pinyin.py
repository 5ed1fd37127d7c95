"""Chinese text: tokens against upstream's recorded ones, pieces against the whole, tables inside model files."""
import concurrent.futures
import ctypes
import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

import convert_lib
import f5lib
import pinyin_lib
import random_checkpoint as rc

DATA = Path(__file__).parent / "data"
LIMIT = 9  # F5_E_LIMIT
SPOKEN = "Say 你好，世界。 T恤 and 中国人; 老鼠! 今天天气很好，我们去公园吧。"


@pytest.fixture(scope="module")
def lib():
    path = Path(os.environ.get("F5_BUILD", convert_lib.ROOT / "build")) / "lib" / "libf5tts_test.so"
    assert path.exists(), f"{path} is missing: build first"
    return ctypes.CDLL(str(path))


@pytest.fixture(scope="module")
def table(lib):
    table = pinyin_lib.Table(lib)
    assert table.status == 0, table.message
    return table


@pytest.fixture(scope="module")
def golden():
    tokens = json.loads((DATA / "pinyin_golden.json").read_text(encoding="utf-8"))["tokens"]
    return {text: answer.split("\x1f") for text, answer in tokens.items()}


def test_segments_are_rjiebas(table):
    """Characters that the hidden Markov model hardly knows: which of equally good paths is taken."""
    segments = json.loads((DATA / "pinyin_golden.json").read_text(encoding="utf-8"))["segments"]
    assert len(segments) == 100
    for run, answer in segments.items():
        assert table.segments(run) == answer.split("\x1f"), ascii(run)


def test_tokens_are_upstreams(table, golden):
    assert len(golden) > 400
    for text, tokens in golden.items():
        assert table.tokens(text) == tokens, ascii(text)
    assert table.split("你好，世界。", table.tokenizer(pinyin_lib.CUSTOM))[1] == table.tokens("你好，世界。")


def test_latin_does_not_change_with_the_table(table):
    cases = json.loads((DATA / "tokenizer_golden.json").read_text())["cases"]
    assert len(cases) > 200
    for case in cases:
        assert table.tokens(case["text"]) == case["tokens"], ascii(case["text"])


@pytest.mark.parametrize("text, tokens", [
    ("可以", " ke2 yi3"), ("老鼠", " lao3 shu3"), ("不是", " bu2 shi4"), ("不", " bu4"), ("一定", " yi2 ding4"),
    ("一起", " yi4 qi3"), ("绿", " lv4"), ("嗯", " n2"), ("银行行长", " yin2 hang2 hang2 zhang3"), ("〇", "ling2"),
    ("，", "，"), ("㈱", " ㈱")])
def test_readings(table, text, tokens):
    """Sandhi within phrases (老鼠 is none of pypinyin's), ü, several readings, what has none. A space comes before each
    Chinese character."""
    assert "".join(table.tokens(text)) == tokens


def test_pieces_have_the_tokens_of_the_whole(table, golden, rng):
    """Cut where upstream joins texts: after a full stop of Chinese, and around a space."""
    cut = 0
    for text in list(golden) + ["Hello. ", "他说：'好'。 ", "A 中。Bc d"]:
        text = text + "中。ab 中 'c"
        t, got, start = table.tokenizer(), [], 0
        for i in range(1, len(text)):
            if (text[i - 1] in "。 " or text[i] in "。 ") and text[i - 1:i + 1] != "\r\n" and rng.random() < 0.7:
                got += table.split(text[start:i], t)[1]
                start, cut = i, cut + 1
        got += table.split(text[start:], t)[1]
        assert got == table.tokens(text), ascii(text)
    assert cut > 500


def test_no_text_has_more_tokens_than_is_said(table, golden):
    for text, tokens in golden.items():
        assert len(tokens) <= len(text.encode()) * 3 // 2


def test_char_takes_what_its_vocabulary_has(lib):
    """Typographic quotes and the semicolon, where the vocabulary lacks them and has the plain ones."""
    text = "a;“b”‘c’"
    for vocabulary, tokens in ((" abc,\"'", "a,\"b\"'c'"), (" abc;“”’'", "a;“b”'c’"), (" abc", "a  b  c ")):
        vocab, ids, error = (ctypes.c_uint64 * 16)(), (ctypes.c_int32 * 16)(), pinyin_lib.F5Error()
        data = "".join(c + "\n" for c in vocabulary).encode()
        pinyin_lib.prepare(lib).vocab_parse(vocab, data, len(data), b"v", ctypes.byref(error))
        t = pinyin_lib.CTokenizer(kind=pinyin_lib.CHAR, v=ctypes.addressof(vocab), ids=ctypes.addressof(ids), capacity=16)
        assert lib.tokenizer_put(ctypes.byref(t), text.encode(), len(text.encode()), 0, ctypes.byref(error)) == 0
        assert "".join(vocabulary[i] for i in ids[:t.n]) == tokens
        lib.vocab_free(vocab)


def test_too_long_a_run_is_named(lib):
    small = pinyin_lib.Table(lib, longest=10)
    assert small.split("中" * 10)[0] == 0
    status, _, message = small.split("a b。" + "中" * 11)
    assert status == LIMIT and message.startswith("11 characters in a row at byte 6, the limit is 10:"), message


# ---- tables in files

@pytest.fixture(scope="module")
def made(tmp_path_factory, golden, table):
    """A checkpoint whose vocabulary has most syllables."""
    syllables = {token for tokens in golden.values() for token in tokens if len(token) > 1 and token.isascii()}
    syllables |= {token for token in table.tokens(SPOKEN) if len(token) > 1}
    vocab = rc.default_vocab()
    return rc.make_checkpoint(tmp_path_factory.mktemp("checkpoint"), "tiny", seed=1,
                              vocab=vocab + sorted(syllables - set(vocab)))


@pytest.fixture(scope="module")
def model(made, tmp_path_factory):
    """A model as `f5tts convert` makes it when nothing is said about Chinese."""
    path = tmp_path_factory.mktemp("model") / "a.f5"
    result = convert_lib.convert(made, path, pinyin=None)
    assert result.returncode == 0, result.stderr
    assert "tables for Chinese" in result.stdout
    return path


def ids(e, text):
    return e.tokenize(text).tolist()


def test_the_shipped_table_is_in_the_file(made, model, tmp_path):
    metadata, tensors = convert_lib.read_f5(model)
    assert tensors["pinyin"].tobytes() == pinyin_lib.TABLE.read_bytes()
    without = tmp_path / "b.f5"
    assert convert_lib.convert(made, without).returncode == 0
    others = convert_lib.read_f5(without)
    assert others[0] == metadata
    convert_lib.assert_same_tensors({k: v for k, v in tensors.items() if k != "pinyin"}, others[1])
    with f5lib.ModelFile(model) as file, f5lib.ModelFile(without) as other:
        info, plain = file.info(), other.info()
        assert info["pinyin_bytes"] == tensors["pinyin"].nbytes == info["bytes"] - plain["bytes"]
        assert plain["pinyin_bytes"] == 0 and info["parameters"] == plain["parameters"]
        assert info["tensors"] == plain["tensors"] + 1 == len(tensors)
    shown = convert_lib.run("info", model)
    assert f"Chinese         spelled by tables of {info['pinyin_bytes'] / 1e6:.1f} MB" in shown.stdout
    assert json.loads(convert_lib.run("info", model, "--json").stdout)["pinyin_bytes"] == info["pinyin_bytes"]
    assert "Chinese         refused" in convert_lib.run("info", without).stdout


def test_an_engine_spells(made, model, table, tmp_path):
    vocabulary = {token: i for i, token in enumerate(made["vocab"])}
    wanted = [vocabulary.get(token, 0) for token in table.tokens(SPOKEN)]
    assert len(set(wanted)) > 25
    with f5lib.Engine(model, max_frames=64, device="cpu", max_text_bytes=16384) as e:
        assert ids(e, SPOKEN) == wanted
        with pytest.raises(f5lib.Error, match="16385 characters in a row at byte 3, the limit is 16384: put punct"):
            e.tokenize("a. " + "中" * 16385)
        assert len(e.tokenize("中" * 16384, 40000)) == 2 * 16384
    without = tmp_path / "b.f5"
    assert convert_lib.convert(made, without).returncode == 0
    with f5lib.Engine(without, max_frames=64, device="cpu") as e:
        with pytest.raises(f5lib.Error, match="tables that this model does not carry: '你'.*convert the model again"):
            e.tokenize(SPOKEN)


def test_threads_share_the_scratch(model, golden):
    texts = list(golden)[:200]
    with f5lib.Engine(model, max_frames=64, device="cpu") as e:
        wanted = [ids(e, text) for text in texts]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for got in pool.map(lambda _: [ids(e, text) for text in texts], range(8)):
                assert got == wanted


def test_the_program_without_its_tables(made, tmp_path):
    """It says where it looked and what to give, and makes the model all the same."""
    program = Path(convert_lib.program())
    for folder in ("bin", "lib"):
        (tmp_path / folder).mkdir()
    alone = shutil.copy(program, tmp_path / "bin")
    shutil.copy(program.parent.parent / "lib/libf5tts.so.0", tmp_path / "lib")  # where the program looks for it
    if Path("/usr/local/share/f5tts/text/pinyin.bin").exists():
        pytest.skip("f5tts is installed in /usr/local: the program finds its tables")
    result = subprocess.run([alone, *map(str, convert_lib.convert_args(made, tmp_path / "a.f5", pinyin=None))],
                            capture_output=True, text=True, env={**os.environ, **convert_lib.SANITIZER})
    assert result.returncode == 0 and (tmp_path / "a.f5").exists(), result.stderr
    for words in ("no tables for Chinese", "pinyin.bin", f"{tmp_path}/bin/../share/f5tts/text", "give --pinyin FILE"):
        assert words in result.stderr, result.stderr


def test_other_tokenizers_carry_none(tmp_path):
    for tokenizer in ("char", "byte", "custom"):
        folder = tmp_path / tokenizer
        folder.mkdir()
        made = rc.make_checkpoint(folder, "tiny", seed=1, tokenizer=tokenizer)
        result = convert_lib.convert(made, folder / "a.f5", pinyin=None,
                                     **({"vocab": None} if tokenizer == "byte" else {}))
        assert result.returncode == 0, result.stderr
        assert ("pinyin" in convert_lib.read_f5(folder / "a.f5")[1]) == (tokenizer == "custom")


@pytest.mark.parametrize("damage, reason", [
    (lambda b: b[:-64], "reaches past its end"), (lambda b: b[:-1], "cut off"), (lambda b: b"", "cut off"),
    (lambda b: b"X" + b[1:], "does not begin like one"), (lambda b: b[:8] + b"\x02" + b[9:], "version")])
def test_a_damaged_table_is_not_converted(made, tmp_path, damage, reason):
    small = (DATA / "pinyin_small.bin").read_bytes()
    (tmp_path / "x.bin").write_bytes(damage(small))
    result = convert_lib.convert(made, tmp_path / "a.f5", sanitized=True, pinyin=tmp_path / "x.bin")
    assert result.returncode == 1 and "x.bin: not a table for Chinese, or a damaged one" in result.stderr, result.stderr
    assert reason in result.stderr and not (tmp_path / "a.f5").exists()


def rewrite(path, out, change=lambda table: table, move=0, **described):
    """The file with its table changed, or described otherwise, or with all data behind a header `move` bytes longer."""
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header, data = json.loads(raw[8:8 + size]), bytearray(raw[8 + size:])
    begin, end = header["pinyin"]["data_offsets"]
    data[begin:end] = change(bytes(data[begin:end]))
    header["pinyin"].update(described)
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-(len(text) + 8) % 64 + move)
    out.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_a_table_that_lies_anywhere(model, table, tmp_path):
    """A file that another tool wrote may place it at any byte."""
    with f5lib.Engine(model, max_frames=64, device="cpu") as e:
        wanted = ids(e, "Say 你好，中国。")
    for move in (1, 8):
        rewrite(model, tmp_path / "m.f5", move=move)
        with f5lib.Engine(tmp_path / "m.f5", max_frames=64, device="cpu") as e:
            assert ids(e, "Say 你好，中国。") == wanted


def test_a_damaged_table_is_refused_at_open(model, tmp_path):
    rewrite(model, tmp_path / "m.f5", lambda b: b[:5000] + b"\xff" * 8 + b[5008:])
    result = convert_lib.run("infer", "--model", tmp_path / "m.f5", "--ref_audio",
                             convert_lib.ROOT / "weights/voices/slt.wav", "--ref_text", "x", "--gen_text", "y",
                             "--output_dir", tmp_path, sanitized=True)
    assert result.returncode == 1 and "not a table for Chinese, or a damaged one" in result.stderr, result.stderr
    size = pinyin_lib.TABLE.stat().st_size
    for described in (dict(dtype="BOOL"), dict(shape=[1, size])):
        rewrite(model, tmp_path / "n.f5", **described)
        result = convert_lib.run("info", tmp_path / "n.f5", sanitized=True)
        assert result.returncode == 1 and 'tensor "pinyin" is ' in result.stderr, result.stderr
        assert "U8 of rank 1 expected" in result.stderr


def test_chinese_is_spoken(model, tmp_path):
    """Transcript and text, through the program."""
    arguments = ["infer", "--model", model, "--ref_audio", convert_lib.ROOT / "weights/voices/slt.wav", "--ref_text",
                 "你好，世界。", "--gen_text", "今天天气很好，我们去公园吧。Good morning!", "--nfe_step", "2", "--device", "cpu",
                 "--output_dir", tmp_path, "--output_file", "a.wav"]
    result = convert_lib.run(*arguments)
    # the weights are random: what comes may not be sound, but the text is no obstacle
    assert result.returncode == 0 or "no speech came of it" in result.stderr, result.stderr
