"""Model files by the public API alone: f5_convert makes them of settings that its caller parsed, f5_describe tells what
they hold. The program adds a YAML parser and a printer to these; both are tested here without it."""
import ctypes
import json

import numpy as np
import pytest
import yaml

import convert_lib
import f5lib

rc = convert_lib.rc


def flatten(path):
    """A YAML file as f5_setting wants it."""
    out = []

    def walk(node, at):
        if isinstance(node, yaml.MappingNode):
            out.append((at, None, 0))
            for key, value in node.value:
                walk(value, f"{at}.{key.value}" if at else key.value)
        elif isinstance(node, yaml.SequenceNode):
            out.append((at, None, 0))
            for i, value in enumerate(node.value):
                walk(value, f"{at}[{i}]")
        else:
            out.append((at, node.value, int(node.style is not None)))

    walk(yaml.compose(open(path, encoding="utf-8")), "")
    return out


@pytest.fixture(scope="module")
def made(tmp_path_factory, seed):
    return rc.make_checkpoint(tmp_path_factory.mktemp("made"), "tiny", seed=seed, name="Zoë", pe_attn_head=1)


def listed(config):
    """The configuration in a file as f5_model_file_setting lists it."""
    out = {}
    for key, value in config.items():
        out.update({f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value})
    return out


def arguments(made, output, **other):
    fields = dict(config=flatten(made["yaml"]), vocoder_config=flatten(made["vocos_config"]),
                  config_path=made["yaml"], vocoder_config_path=made["vocos_config"],
                  checkpoint_path=made["checkpoint"], vocab_path=made["vocab_path"], vocoder_path=made["vocos_path"],
                  output_path=output)
    return {**fields, **other}


def refused(function, status, *words):
    with pytest.raises(f5lib.Error) as failure:
        function()
    assert failure.value.status == status and "\n" not in failure.value.message, failure.value
    for word in words:
        assert str(word) in failure.value.message, (word, failure.value.message)


# ---- f5_convert

@pytest.mark.parametrize("matrices, vocoder", [("fp32", "fp32"), ("fp16", "bf16")])
def test_the_same_file_as_the_program_makes(made, tmp_path, matrices, vocoder):
    heard = []
    told = f5lib.convert(**arguments(made, tmp_path / "mine.f5", matrices=matrices, vocoder_matrices=vocoder),
                         progress=lambda user, i, n: heard.append((i, n)) or 0)
    result = convert_lib.run(*convert_lib.convert_args(made, tmp_path / "theirs.f5", dtype=matrices), "--vocos-dtype",
                             vocoder)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "mine.f5").read_bytes() == (tmp_path / "theirs.f5").read_bytes()
    _, tensors = convert_lib.read_f5(tmp_path / "mine.f5")
    assert told == dict(tensors=len(tensors), parameters=sum(t.size for t in tensors.values()),
                        bytes=sum(t.nbytes for t in tensors.values()), checkpoint_types=b"float32",
                        vocoder_types=b"float32", weights=b"ema", other_weights=0, merged=0, repeated_tokens=2,
                        unspoken_tokens=0, unspoken=b"")
    assert heard == [(i + 1, len(tensors)) for i in range(len(tensors))]


def test_a_conversion_is_cancelled(made, tmp_path):
    refused(lambda: f5lib.convert(**arguments(made, tmp_path / "a.f5"), progress=lambda user, i, n: int(i == 5)),
            "F5_E_CANCELLED", tmp_path / "a.f5")
    assert list(tmp_path.iterdir()) == []


def test_settings_are_what_counts(made, tmp_path):
    """Not the file they came from: quoted numbers are texts, a mapping is no value, what is absent has its default."""
    config = flatten(made["yaml"])

    def with_depth(*setting):
        return arguments(made, tmp_path / "a.f5", config=[("model.arch.depth", *setting) if c[0] == "model.arch.depth"
                                                          else c for c in config])

    f5lib.convert(**with_depth("2", 0))
    refused(lambda: f5lib.convert(**with_depth("2", 1)), "F5_E_FORMAT", made["yaml"], "model.arch.depth", "whole number")
    refused(lambda: f5lib.convert(**with_depth(None, 0)), "F5_E_FORMAT", "model.arch.depth", "one value")
    refused(lambda: f5lib.convert(**with_depth("\x1b[2J\n\xff" * 40, 0)), "F5_E_FORMAT", "model.arch.depth is '?[2J")
    refused(lambda: f5lib.convert(**arguments(made, tmp_path / "a.f5", config=config + [("model.arch.w" * 99, "1", 0)])),
            "F5_E_UNSUPPORTED", "not an option of this model")
    refused(lambda: f5lib.convert(**arguments(made, tmp_path / "a.f5", config=[])), "F5_E_FORMAT", "is missing")
    refused(lambda: f5lib.convert(**arguments(made, tmp_path / "a.f5", vocoder_config=[])), "F5_E_FORMAT",
            made["vocos_config"], "is missing")


@pytest.mark.parametrize("field, value, words", [
    ("config_path", None, "name the file"), ("vocoder_config_path", None, "name the file"),
    ("checkpoint_path", None, "checkpoint_path is NULL"), ("vocoder_path", None, "asks for the vocoder Vocos: name its file"),
    ("output_path", None, "output_path is NULL"), ("vocab_path", None, "needs a vocabulary"),
    ("config", None, "settings, or NULL"), ("vocoder_config", None, "settings, or NULL"),
    ("n_config", -1, "-1 settings"), ("n_config", 65537, "65537 settings"), ("n_vocoder_config", -2**31, "settings"),
    ("matrices", None, "matrices is NULL"), ("matrices", "int4", "matrices is int4: known are"),
    ("vocoder_matrices", "int8", "vocoder_matrices is int8: known are"),
    ("matrices", "a\nb", "matrices is a?b: known"), ("vocoder_matrices", "", "vocoder_matrices is "),
    ("name", "", "1 to 63 bytes"), ("name", "n" * 64, "1 to 63 bytes"),
    ("size", 0, "fill the struct with its _init"), ("size", 12, "fill the struct"), ("size", 1 << 20, "fill the struct")])
def test_hostile_conversions(made, tmp_path, field, value, words):
    given = arguments(made, tmp_path / "a.f5")
    given[field] = value
    if field in ("config", "vocoder_config"):
        given["n_" + field] = 3
    refused(lambda: f5lib.convert(**given), "F5_E_ARGUMENT", words)
    assert list(tmp_path.iterdir()) == []


def test_a_setting_without_a_path(made, tmp_path):
    refused(lambda: f5lib.convert(**arguments(made, tmp_path / "a.f5", config=[("model", None, 0), (None, "x", 0)])),
            "F5_E_ARGUMENT", made["yaml"], "setting 1 has no path")


def test_nothing_given(made, tmp_path):
    refused(lambda: f5lib.call("f5_convert", None, None), "F5_E_ARGUMENT", "f5_convert_params is NULL")
    summary = f5lib.struct("f5_convert_summary")
    summary.size = 3
    refused(lambda: f5lib.convert(**arguments(made, tmp_path / "a.f5"), summary=summary), "F5_E_ARGUMENT",
            "f5_convert_summary.size is 3")
    assert list(tmp_path.iterdir()) == [], "refused before the work"
    for path in ("yaml", "checkpoint", "vocab_path", "vocos_config", "vocos_path"):
        before = open(made[path], "rb").read()
        refused(lambda: f5lib.convert(**arguments(made, made[path])), "F5_E_ARGUMENT", "overwrite an input")
        assert open(made[path], "rb").read() == before


# ---- f5_describe

@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_description(made, tmp_path, dtype):
    path = tmp_path / "a.f5"
    f5lib.convert(**arguments(made, path, matrices=dtype))
    metadata, tensors = convert_lib.read_f5(path)
    with f5lib.ModelFile(path) as file:
        info = file.info()
        assert info == dict(
            name="Zoë", backbone="DiT", vocoder="Vocos", tokenizer="pinyin", precision=dtype, vocoder_precision="fp32",
            format_version=int(metadata["format_version"]), settings=len(listed(json.loads(metadata["config"]))), parts=3,
            tensors=len(tensors), tokens=len(made["vocab"]), parameters=sum(t.size for t in tensors.values()),
            bytes=sum(t.nbytes for t in tensors.values()), pinyin_bytes=0, sample_rate=24000, mel_bands=100,
            one_voice=0, reads_phonemes=0, default_method=0, default_nfe=0, default_precision=None, int8_matrices=0,
            wide_matrices=0, license="", credit="")
        settings = {s["name"]: s["value"] if s["is_text"] else json.loads(s["value"]) for s in file.all("setting")}
        assert settings == listed(json.loads(metadata["config"]))
        assert file.all("token") == made["vocab"]
        described = {t["name"]: t for t in file.all("tensor")}
        assert {k: (t["dims"], t["elements"], t["bytes"]) for k, t in described.items()} == \
            {k: (v.shape, v.size, v.nbytes) for k, v in tensors.items()}
        types = {"<f4": "F32", "<u2": "BF16"}
        assert {k: t["type"] for k, t in described.items()} == {k: types[v.dtype.str] for k, v in tensors.items()}
        parts = file.all("part")
        assert [(p["name"], p["title"]) for p in parts] == [("dit", "transformer"), ("text", "text encoder"),
                                                            ("vocos", "vocoder")]
        for p in parts:
            mine = [v for k, v in tensors.items() if k.startswith(p["name"] + ".")]
            assert (p["tensors"], p["parameters"], p["bytes"]) == (len(mine), sum(v.size for v in mine),
                                                                   sum(v.nbytes for v in mine))
        for what, count in (("setting", info["settings"]), ("part", 3), ("tensor", len(tensors)),
                            ("token", info["tokens"])):
            for i in (-1, count, 2**31 - 1, -2**31):
                refused(lambda: file.one(what, i), "F5_E_ARGUMENT", f"{what} {i}: the file has {count}")
    with f5lib.Engine(path, max_frames=64, device="cpu") as e:
        mine = e.info()
        assert {k: mine[k] for k in ("name", "backbone", "vocoder", "tokenizer", "parameters")} == \
            {k: info[k] for k in ("name", "backbone", "vocoder", "tokenizer", "parameters")}
        assert {k: mine[k] for k in ("dim", "depth", "heads", "ff_dim", "vocab_size", "text_dim", "text_blocks", "vocos_dim",
                                     "vocos_layers")} == \
            {**{k: settings[f"backbone.{k}"] for k in ("dim", "depth", "heads", "ff_dim")},
             "vocab_size": settings["vocab_size"], "text_dim": settings["text.dim"], "text_blocks": settings["text.blocks"],
             "vocos_dim": settings["vocoder.dim"], "vocos_layers": settings["vocoder.layers"]}
        assert mine["path"]


def test_a_byte_model_has_no_tokens(tmp_path, seed):
    made = rc.make_checkpoint(tmp_path, "tiny", seed=seed, tokenizer="byte")
    f5lib.convert(**arguments(made, tmp_path / "a.f5", vocab_path=None))
    with f5lib.ModelFile(tmp_path / "a.f5") as file:
        assert file.info()["tokens"] == 0 and file.info()["tokenizer"] == "byte"
        refused(lambda: file.one("token", 0), "F5_E_ARGUMENT", "token 0: the file has 0")


def test_what_f5_open_would_take(made, tmp_path):
    """Also of a GPU that is not here."""
    f5lib.convert(**arguments(made, tmp_path / "a.f5"))
    with f5lib.ModelFile(tmp_path / "a.f5") as file:
        def check(*words):
            f5lib.call("f5_model_file_check", file.handle, *words)
        for words in ((b"cpu", b"fp32", b"fp32"), (b"cpu", b"int8", None), (b"cuda:7", b"bf16", b"fp32"), (b"cpu", None, None), (None, None, None)):
            check(*words)
        for words, status, told in (((b"cuda", None, b"fp16"), "F5_E_UNSUPPORTED", "Vocos computes in fp32 alone"),
                                    ((b"cpu", b"fp16", None), "F5_E_UNSUPPORTED", "needs a GPU"),
                                    ((b"cpu", b"fp7", None), "F5_E_ARGUMENT", "precision 'fp7' is unknown"),
                                    ((b"cpu", None, b"int8"), "F5_E_ARGUMENT", "vocoder_precision 'int8' is unknown"),
                                    ((b"gpu", None, None), "F5_E_ARGUMENT", "device 'gpu' is unknown")):
            refused(lambda: check(*words), status, told)


def test_the_converter_looks_at_its_output_first(made, tmp_path):
    """By itself, as it does before a conversion."""
    def check(**paths):
        held = {name: ctypes.create_string_buffer(str(path).encode()) for name, path in paths.items()}
        params = f5lib.struct("f5_convert_params", **{name: ctypes.addressof(text) for name, text in held.items()})
        f5lib.call("f5_convert_check_output", ctypes.addressof(params))
    paths = dict(config_path="c.yaml", checkpoint_path=made["checkpoint"])
    check(output_path=tmp_path / "new.f5", **paths)
    refused(lambda: check(output_path=made["checkpoint"], **paths), "F5_E_ARGUMENT", "overwrite an input")
    refused(lambda: check(output_path=tmp_path, **paths), "F5_E_IO", "not a regular file")
    refused(lambda: check(**paths), "F5_E_ARGUMENT", "output_path is NULL")


def test_no_description(made, tmp_path):
    handle = ctypes.c_void_p(5)
    refused(lambda: f5lib.call("f5_describe", None, ctypes.addressof(handle)), "F5_E_ARGUMENT", "path is NULL")
    assert not handle.value
    refused(lambda: f5lib.call("f5_describe", b"x", None), "F5_E_ARGUMENT", "pass where to put the handle")
    refused(lambda: f5lib.ModelFile(tmp_path / "absent.f5"), "F5_E_IO", "absent.f5")
    refused(lambda: f5lib.ModelFile(made["checkpoint"]), "F5_E_FORMAT", made["checkpoint"], "not a .f5 model")
    f5lib.library().f5_model_file_close(None)
    out = f5lib.struct("f5_model_info")
    for what in ("info", "setting", "part", "tensor", "token"):
        index = [] if what == "info" else [0]
        refused(lambda: f5lib.call(f"f5_model_file_{what}", None, *index, ctypes.addressof(out)), "F5_E_ARGUMENT",
                "file is NULL")
    refused(lambda: f5lib.call("f5_model_file_check", None, None, None, None), "F5_E_ARGUMENT", "file is NULL")
    f5lib.convert(**arguments(made, tmp_path / "a.f5"))
    with f5lib.ModelFile(tmp_path / "a.f5") as file:
        for what in ("info", "setting", "part", "tensor", "token"):
            index = [] if what == "info" else [0]
            refused(lambda: f5lib.call(f"f5_model_file_{what}", file.handle, *index, None), "F5_E_ARGUMENT", "is NULL")
            short = f5lib.struct(f"f5_model_{what}")
            short.size = 9
            refused(lambda: f5lib.call(f"f5_model_file_{what}", file.handle, *index, ctypes.addressof(short)),
                    "F5_E_ARGUMENT", "size is 9")


def test_damaged_files_are_not_described(made, tmp_path, rng):
    """Any bytes: a status and a message, or a description that can be read to its end."""
    f5lib.convert(**arguments(made, tmp_path / "a.f5"))
    whole = np.frombuffer((tmp_path / "a.f5").read_bytes(), np.uint8)
    header = 8 + int(whole[:8].view(np.uint64)[0])
    refusals = 0
    for _ in range(150):
        bad = whole.copy() if rng.integers(4) else whole[:rng.integers(len(whole))].copy()
        at = rng.integers(0, min(header, len(bad)), 3) if len(bad) else []
        bad[at] = rng.integers(0, 256, len(at))
        (tmp_path / "bad.f5").write_bytes(bad.tobytes())
        try:
            with f5lib.ModelFile(tmp_path / "bad.f5") as file:
                for what in ("setting", "part", "tensor", "token"):
                    file.all(what)
        except f5lib.Error as failure:
            refusals += 1
            assert "bad.f5" in failure.message
    assert refusals > 50


def test_blank_texts():
    blank = f5lib.library().f5_text_is_blank
    assert [blank(t.encode()) for t in ("", " \t\n", "\u3000\u00a0\u2028", " .", "a", "\u200b")] == [1, 1, 1, 0, 0, 0]
    assert blank(None) == 1 and blank(b"\xff") == 0
