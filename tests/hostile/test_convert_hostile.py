"""Files made to break `f5tts convert`: every one is refused with a message that names the file and the reason, exit
code 1, no crash, no leak, nothing executed. Run against the sanitized build where F5_ASAN_BUILD names one."""
import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import convert_lib as lib  # noqa: E402
from bad_pickles import (GOOD, MAGIC, P, archive, call, directory_at, number, numbers, refused, state, storage,  # noqa: E402
                         tensor, text, zip_bytes)
from convert_lib import rc  # noqa: E402


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    seed = int(os.environ.get("F5_TEST_SEED") or 1)
    return rc.make_checkpoint(tmp_path_factory.mktemp("tiny"), "tiny", seed=seed, format="pt", depth=1, conv_layers=1,
                              vocos_layers=1)


PICKLES = {
    # something to execute
    "os.system": (call("os", "system", b"(" + text("touch pwned") + b"t"), "os.system"),
    "posix.system": (call("posix", "system", b"(" + text("touch pwned") + b"t"), "posix.system"),
    "builtins.eval": (call("builtins", "eval", b"(" + text("1/0") + b"t"), "builtins.eval"),
    "__builtin__.getattr": (call("__builtin__", "getattr"), "__builtin__.getattr"),
    "stack global": (P + text("os") + text("system") + b"\x93(" + text("id") + b"tR.", "os.system"),
    "inst": (P + b"(" + text("id") + b"ios\nsystem\n.", "opcode 0x69"),
    "obj": (P + b"(cos\nsystem\no.", "os.system"),
    "newobj": (P + b"ctorch\nSize\n)\x81.", "opcode 0x81"),
    "newobj_ex": (P + b"ctorch\nSize\n)}\x92.", "opcode 0x92"),
    "ext": (P + b"\x82\x01.", "opcode 0x82"),
    "next buffer": (P + b"\x97.", "opcode 0x97"),
    "text persistent id": (P + b"Pstorage\n.", "opcode 0x50"),
    "prefix of an allowed name": (call("torch", "FloatStorag"), "torch.FloatStorag"),
    "allowed name elsewhere": (call("torch.nn", "OrderedDict"), "torch.nn.OrderedDict"),
    "dotted name": (P + text("torch") + text("_utils._rebuild_tensor_v2") + b"\x93.", "torch._utils"),
    "name with escape codes": (call("o\x1b[31ms", "sys\rtem"), "o?[31ms.sys?tem"),
    "very long name": (call("a" * 5000, "b" * 5000), "aaa..."),
    "rebuild_tensor_v3": (call("torch._utils", "_rebuild_tensor_v3"), "_rebuild_tensor_v3"),
    "calls a storage type": (P + b"ctorch\nFloatStorage\n)R.", "storage type"),
    "calls a string": (P + text("os") + b")R.", "not a known name"),
    "calls with a list": (P + b"ccollections\nOrderedDict\n]R.", "not a known name"),
    "OrderedDict of pairs": (P + b"ccollections\nOrderedDict\n(]tR.", "from arguments"),
    "state for a list": (P + b"]}b.", "attaches state"),
    "state for a tensor": (state(tensor() + b"}b"), "attaches state"),
    # broken streams
    "empty": (b"", "without a stop"),
    "no stop": (GOOD[:-1], "without a stop"),
    "only stop": (P + b".", "one value"),
    "two values": (P + b"NN.", "one value"),
    "open mark": (P + b"N(.", "one value"),
    "protocol 9": (b"\x80\x09N.", "protocol"),
    "protocol 0": (b"(dp0\n.", "opcode 0x64"),
    "cut in a string": (P + b"X\xff\xff\xff\x7fab", "cut short"),
    "string of 2^63 bytes": (P + b"\x8d" + struct.pack("<Q", 2**63) + b"ab.", "cut short"),
    "cut in a length": (P + b"X\x01", "cut short"),
    "cut in a float": (P + b"G\x00", "cut short"),
    "endless name": (P + b"cos\nsystem", "without its end"),
    "pop from nothing": (P + b"0N.", "empty stack"),
    "append to nothing": (P + b"a.", "empty stack"),
    "tuple from nothing": (P + b"\x87.", "empty stack"),
    "no mark": (P + b"NNt.", "no mark"),
    "below the mark": (P + b"N(0.", "empty stack"),
    "setitems on a list": (P + b"](NNu.", "not a dict"),
    "append to a dict": (P + b"}Na.", "not a list"),
    "half an item": (P + b"}(NNNu.", "without its value"),
    "memo never written": (P + b"h\x05.", "memo"),
    "memo far away": (P + b"Nr\xff\xff\xff\xff.", "memo index"),
    "memo of nothing": (P + b"q\x00.", "empty stack"),
    "integer of 2040 bits": (P + b"\x8a\xff" + b"\x7f" * 255 + b".", "64 bits"),
    "integer of 2^31 bytes": (P + b"\x8b\xff\xff\xff\x7f.", "64 bits"),
    # deep, wide, looping
    "a million marks": (P + b"(" * 1000000 + b".", "one value"),
    "a million nested lists": (P + b"]" * 1000000 + b"a" * 999999 + b".", "no state dict"),
    "a million nested tuples": (P + b"N" + b"\x85" * 1000000 + b".", "no state dict"),
    "dict in itself": (P + b"}q\0(" + text("x") + b"h\0u.", "not a tensor"),
    "billion laughs": (P + b"Nq\0" + b"".join(b"(" + b"h" + bytes([i]) * 1 + (b"h" + bytes([i])) * 9 + b"tq" +
                                              bytes([i + 1]) for i in range(200)) + b".", "one value"),
    "state dict in a loop": (P + b"}q\0(" + text("model_state_dict") + b"h\0u.", "not a tensor"),
    "too large": (P + b"N0" * (5 << 20) + b"N.", "over the limit"),
    # persistent ids
    "id of a string": (state(b"(" + text("storage") + b"Q"), "persistent id"),
    "id too short": (P + b"(" + text("storage") + b"tQ.", "persistent id"),
    "id of another tag": (state(tensor(storage(tag="module"))), "not a storage"),
    "id of a wrong type": (state(tensor(storage(kind=b"Size"))), "not a storage"),
    "negative storage": (state(tensor(storage(size=-1))), "negative size"),
    "storage beyond memory": (state(tensor(storage(size=2**62))), "should have"),
    "storage that overflows": (state(tensor(storage(size=2**63 - 1))), "should have"),
    "storage smaller than its entry": (state(tensor(storage(size=3), shape=(3,))), "should have 3 float32"),
    "storage of another type": (state(tensor(storage(kind=b"HalfStorage"))), "should have 4 float16"),
    "storage that is not there": (state(tensor(storage(key="7"))), "storage '7'"),
    "storage key climbs": (state(tensor(storage(key="../../../../etc/passwd"))), "not in the archive"),
    "storage key is data.pkl": (state(tensor(storage(key="../data.pkl"))), "not in the archive"),
    "storage key is empty": (state(tensor(storage(key=""))), "not in the archive"),
    "storage key is long": (state(tensor(storage(key="0" * 100000))), "not in the archive"),
    "storage key with NUL": (state(tensor(storage(key="0\0"))), "not in the archive"),
    # tensors
    "beyond the storage": (state(tensor(shape=(5,))), "beyond its storage"),
    "offset beyond": (state(tensor(offset=1)), "beyond its storage"),
    "offset far beyond": (state(tensor(offset=2**63 - 1)), "beyond its storage"),
    "negative offset": (state(tensor(offset=-1)), "negative offset"),
    "stride beyond": (state(tensor(shape=(2, 2), stride=(3, 1))), "beyond its storage"),
    "stride far beyond": (state(tensor(shape=(4,), stride=(2**62,))), "beyond its storage"),
    "stride that wraps": (state(tensor(shape=(3, 3), stride=(2**62, 2**62))), "beyond its storage"),
    "negative stride": (state(tensor(stride=(-1,))), "at least 0"),
    "negative size": (state(tensor(shape=(-4,))), "at least 0"),
    "two negative sizes": (state(tensor(shape=(-2, -2), stride=(1, 1))), "at least 0"),
    "sizes that wrap": (state(tensor(shape=(2**32, 2**32), stride=(0, 0))), "too large"),
    "huge by stride 0": (state(tensor(shape=(2**40,), stride=(0,))), "larger than its storage"),
    "twice as large by stride 0": (state(tensor(shape=(2, 4), stride=(0, 1))), "larger than its storage"),
    "appends to nothing, no stack": (P + b"(e.", "empty stack"),
    "nothing by a size 0": (state(tensor(shape=(0, 2**62), stride=(2**62, 2**62))), "unknown"),
    "more sizes than strides": (state(tensor(shape=(2, 2), stride=(1,))), "number of strides"),
    "nine dimensions": (state(tensor(shape=(1,) * 9, stride=(1,) * 9)), "8 dimensions"),
    "a million dimensions": (state(tensor(shape=(1,) * 100000, stride=(1,) * 100000)), "8 dimensions"),
    "size is a string": (state(b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage() + number(0) + b"(" + text("4") +
                               b"t" + numbers(1) + b"\x89NtR"), "whole number"),
    "no storage": (state(tensor(b"N")), "wrong kind"),
    "too few fields": (state(tensor(rest=b"")), "number of fields"),
    "too many fields": (state(tensor(rest=b"NNNN")), "number of fields"),
    "parameter of a dict": (state(b"ctorch._utils\n_rebuild_parameter\n(}\x89NtR"), "parameter"),
    "parameter of nothing": (state(b"ctorch._utils\n_rebuild_parameter\n)R"), "parameter"),
    "torch.Size of a number": (state(b"ctorch\nSize\n(K\1tR"), "torch.Size"),
    # state dicts
    "not a dict": (P + b"]" + b".", "no state dict"),
    "empty dict": (P + b"}.", "no state dict"),
    "keys are numbers": (P + b"}(K\1" + tensor() + b"u.", "not a string"),
    "key with NUL": (state(tensor(), "a\0b"), "not a string"),
    "key of 1 MB": (state(tensor(), "k" * 1000000), "not a string"),
    "value is a string": (state(text("v")), "not a tensor"),
    "one key twice": (P + b"}(" + text("x") + tensor() + text("x") + tensor() + b"u.", "twice"),
    "one key with and without prefix": (
        P + b"}(" + text("x") + tensor() + b"".join(text("ema_model." + k) + tensor() for k in "xyz") + b"u.", "twice"),
    "one key of two sets": (P + b"}(" + text("x") + tensor() + text("ema_model.x") + tensor() + b"u.", "unknown (x)"),
    "key that is not text": (state(tensor(), b"\xff\xfe\x1b]0;title\x07"), "unknown (???]0;title?)"),
    "other tensors": (GOOD, "keys missing"),
}


@pytest.mark.parametrize("case", PICKLES)
def test_pickles(tmp_path, tiny, case):
    pickle, word = PICKLES[case]
    path = tmp_path / "hostile.pt"
    path.write_bytes(archive(pickle))
    before = time.monotonic()
    refused(lib.convert(tiny, tmp_path / "out.f5", sanitized=True, checkpoint=path), path, word)
    assert time.monotonic() - before < 60
    assert not (tmp_path / "out.f5").exists() and not Path("pwned").exists()


# ---- archives

def good_entries():
    return [("a/data.pkl", GOOD), ("a/data/0", b"\0" * 16), ("a/version", b"3\n")]


def zipped(**lies):
    return zip_bytes(good_entries(), **lies)


WHOLE = zipped()
ARCHIVES = {
    "good, but other tensors": (WHOLE, "keys missing"),
    "good zip64": (zipped(end64={}, end=dict(entries=0xFFFF, here=0xFFFF, offset=2**32 - 1, bytes=2**32 - 1)),
                   "keys missing"),
    "good with a comment": (zipped(end=dict(comment=3), tail=b"abc"), "keys missing"),
    "only a signature": (b"PK\x03\x04", "too short"),
    "cut before the directory": (WHOLE[:directory_at(WHOLE)], "end record"),
    "cut in the directory": (WHOLE[:directory_at(WHOLE) + 50], "end record"),
    "cut in the end record": (WHOLE[:-1], "end record"),
    "bytes after the end": (WHOLE + b"x", "end record"),
    "an empty archive": (b"PK\x05\x06" + b"\0" * 18, "damaged or split"),
    "directory beyond the file": (zipped(end=dict(offset=2**31)), "beyond the file"),
    "directory over the end": (zipped(end=dict(bytes=2**31)), "beyond the file"),
    "directory at the data": (zipped(end=dict(offset=0)), "damaged"),
    "more entries than fit": (zipped(end=dict(entries=65000, here=65000)), "more than fit"),
    "one entry more": (zipped(end=dict(entries=4, here=4)), "damaged at entry 3|beyond|more than fit"),
    "one entry fewer": (zipped(end=dict(entries=1, here=1)), "not in the archive"),
    "two disks": (zipped(end=dict(disk=1)), "disks"),
    "entries on another disk": (zipped(end=dict(here=1)), "disks"),
    "zip64 on another disk": (zipped(end64=dict(disk=1)), "disks"),
    "zip64 locator beyond": (zipped(end64={}, locator=2**63), "locator"),
    "zip64 locator at itself": (zipped(end64={}, locator=10), "locator"),
    "zip64 directory beyond": (zipped(end64=dict(offset=2**64 - 50)), "beyond the file"),
    "zip64 directory wraps": (zipped(end64=dict(bytes=2**64 - 1)), "beyond the file"),
    "zip64 of 2^60 entries": (zipped(end64=dict(entries=2**60, entries_here=2**60)), "more than fit"),
    "bad directory signature": (zipped(lies={"a/data/0": dict(central_signature=1)}), "damaged at entry 1"),
    "bad local signature": (zipped(lies={"a/data/0": dict(local_signature=1)}), "local header"),
    "names disagree": (zipped(lies={"a/data/0": dict(local_name=b"a/data/1")}), "local header"),
    "name longer than the directory": (zipped(lies={"a/version": dict(name_length=60000)}), "cut short"),
    "begins in the directory": (zipped(lies={"a/data/0": dict(begin=directory_at(WHOLE))}), "outside"),
    "begins beyond the file": (zipped(lies={"a/data/0": dict(begin=2**31)}), "outside"),
    "begins in another entry": (zipped(lies={"a/data/0": dict(begin=5)}), "local header"),
    "reaches into the directory": (zipped(lies={"a/version": dict(size=100, packed=100)}), "beyond the archive"),
    "reaches one byte too far": (zipped(lies={"a/version": dict(size=3, packed=3)}), "beyond the archive"),
    "reaches beyond the file": (zipped(lies={"a/data/0": dict(size=2**31, packed=2**31)}), "beyond the archive"),
    "reaches into the next": (zipped(lies={"a/data/0": dict(size=17, packed=17)}), "overlap"),
    "local extra reaches beyond": (zipped(lies={"a/version": dict(local_extra=65535)}), "local header"),
    "compressed": (zipped(lies={"a/data/0": dict(method=8)}), "compressed"),
    "encrypted": (zipped(lies={"a/data/0": dict(flags=1)}), "encrypted"),
    "two sizes": (zipped(lies={"a/data/0": dict(packed=15)}), "two different sizes"),
    "zip64 sizes missing": (zipped(lies={"a/data/0": dict(size=2**32 - 1)}), "zip64 sizes"),
    "zip64 sizes cut short": (zipped(lies={"a/data/0": dict(size=2**32 - 1, packed=2**32 - 1,
                                                           extra=struct.pack("<HHQ", 1, 8, 16))}), "zip64 sizes"),
    "zip64 extra longer than the field": (zipped(lies={"a/data/0": dict(size=2**32 - 1,
                                                                       extra=struct.pack("<HHQ", 1, 900, 16))}),
                                          "zip64 sizes"),
    "zip64 size of 2^64": (zipped(lies={"a/data/0": dict(size=2**32 - 1, packed=2**32 - 1,
                                                         extra=struct.pack("<HHQQ", 1, 16, 2**64 - 1, 2**64 - 1))}),
                           "beyond the archive"),
    "zip64 begin wraps": (zipped(lies={"a/data/0": dict(begin=2**32 - 1, extra=struct.pack("<HHQ", 1, 8, 2**64 - 20))}),
                          "outside"),
    "one name twice": (zip_bytes(good_entries() + [("a/data/0", b"\1" * 16)]), "twice"),
    "two pickles": (zip_bytes(good_entries() + [("b/data.pkl", GOOD)]), "more than one data.pkl"),
    "no pickle": (zip_bytes([("a/data/0", b"x")]), "no NAME/data.pkl"),
    "pickle without a folder": (zip_bytes([("data.pkl", GOOD)]), "no NAME/data.pkl"),
    "pickle too deep": (zip_bytes([("a/b/data.pkl", GOOD)]), "no NAME/data.pkl"),
    "no entries": (zip_bytes([], tail=b""), "damaged or split"),
    "big-endian": (zip_bytes(good_entries() + [("a/byteorder", b"big")]), "big-endian"),
    "byteorder of another length": (zip_bytes(good_entries() + [("a/byteorder", b"little\n")]), "big-endian"),
    "data in another folder": (zip_bytes([("a/data.pkl", GOOD), ("b/data/0", b"\0" * 16)]), "not in the archive"),
    # not archives
    "empty file": (b"", "neither"),
    "text": (b"hello world, this is not a checkpoint", "neither"),
    "git-lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
    "torch before 1.6, nothing more": (MAGIC, "without a stop"),
    "another pickle": (P + b"K\1.", "none that torch.save writes"),
    "tar": (b"\0" * 257 + b"ustar" + b"\0" * 300, "before 0.2"),
    "HTML": (b"<!DOCTYPE html><html>", "neither"),
    "safetensors, header beyond the file": (struct.pack("<Q", 2**40) + b'{"a":1}', ""),
    "safetensors, not JSON": (struct.pack("<Q", 8) + b'{"a":1]]', ""),
    "safetensors, offsets beyond": (
        (lambda h: struct.pack("<Q", len(h)) + h)(json.dumps(
            {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()), ""),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_archives(tmp_path, tiny, case):
    data, words = ARCHIVES[case]
    path = tmp_path / "hostile.pt"
    path.write_bytes(data)
    for option in ("checkpoint", "vocos"):
        result = lib.convert(tiny, tmp_path / "out.f5", sanitized=True, **{option: path})
        refused(result, path)
        assert any(word in result.stderr for word in words.split("|")), result.stderr
    assert not (tmp_path / "out.f5").exists()


def test_the_lying_writer_can_tell_the_truth(tmp_path, tiny):
    """The archives above fail for their lies, not for how they are written: a whole checkpoint goes through it."""
    pickle = rc.TorchPickle()
    pickle.value({"model_state_dict": tiny["model"]})
    storages = [s.tobytes() for s in pickle.storages]
    path = tmp_path / "good.pt"
    newer = [("a/.format_version", b"1"), ("a/.storage_alignment", b"64"), ("a/byteorder", b"little"),
             ("a/version", b"3\n"), ("a/.data/serialization_id", b"0" * 40)]  # as torch 2.11 has them
    for lies in ({}, dict(end64={}), dict(extra=newer)):
        path.write_bytes(archive(bytes(pickle.out + b"."), storages, **lies))
        _, tensors = lib.converted(tiny, tmp_path / "out.f5", checkpoint=path)
        lib.assert_same_tensors(tensors, lib.expected(tiny))


def test_a_pickle_cannot_eat_the_memory(tmp_path, tiny):
    """The costliest 8 MiB we know: opcodes of one byte, each making a dict, or a tensor every few bytes."""
    def limited(path):
        code = ("import resource, subprocess, sys; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); "
                "sys.exit(subprocess.run(sys.argv[1:]).returncode)")
        return subprocess.run([sys.executable, "-c", code, lib.program(),
                               *lib.convert_args(tiny, tmp_path / "out.f5", checkpoint=path)],
                              capture_output=True, text=True)

    size = 8 << 20
    args = (b"ctorch._utils\n_rebuild_tensor_v2\nq\0(" + storage() + number(0) + numbers(4) + numbers(1) + b"\x89Ntq\1R0")
    path = tmp_path / "hostile.pt"
    for name, pickle, word in (("dicts", P + b"}" * (size - 3) + b".", "one value"),
                               ("items", P + b"Nq\0}" + b"(" + b"h\0" * ((size - 10) // 2) + b".", "one value"),
                               ("small dicts", P + b"N}NNs" * ((size - 10) // 5) + b".", "one value"),
                               ("tensors", P + args + b"h\0h\1R0" * ((size - 300) // 6) + b"N.", "no state dict"),
                               ("memo", P + b"Nr" + struct.pack("<I", size - 600) + b"." + b" " * (size - 20),
                                "no state dict")):
        path.write_bytes(archive(pickle))
        result = limited(path)
        refused(result, path)
        assert word in result.stderr or "out of memory" in result.stderr, (name, result.stderr)


# ---- YAML and vocabularies

YAMLS = {
    "empty": (b"", "missing"),
    "only a comment": (b"# nothing\n", "missing"),
    "a list": (b"- model\n- dim\n", "missing"),
    "a scalar": (b"model", "missing"),
    "not YAML": (b"model: {arch: [1, 2\n", "not YAML"),
    "tabs": (b"model:\n\tdim: 3\n", "not YAML"),
    "not UTF-8": (b"model: \xff\xfe\xfa\n", "not YAML"),
    "control characters": (b"model: \x01\x02\n", "not YAML"),
    "NUL": (b"model: \"a\\0b\"\n", "NUL"),
    "alias": (b"a: &x 1\nb: *x\n", "alias"),
    "billion laughs": (b"a: &a [l,l]\n" + b"".join(b"%c: &%c [*%c,*%c]\n" % (98 + i, 98 + i, 97 + i, 97 + i)
                                                  for i in range(20)), "alias"),
    "merge key": (b"a: &x {dim: 1}\nmodel:\n  <<: *x\n", "alias"),
    "Python tag": (b"model: !!python/object/apply:os.system ['touch pwned']\n", "tagged"),
    "own tag": (b"model: !evil {}\n", "tagged"),
    "tagged number": (b"model: {dim: !!int 4}\n", "tagged"),
    "a key twice": (b"model:\n  name: a\n  name: b\n", "twice"),
    "a block twice": (b"model: {}\nmodel: {}\n", "twice"),
    "key is a list": (b"? [a, b]\n: 1\n", "plain string"),
    "two documents": (b"a: 1\n---\nb: 2\n", "more than one document"),
    "deep": (b"[" * 100000, "deep"),
    "deep mapping": (b"".join(b" " * i + b"a:\n" for i in range(400)), "deep"),
    "wide": (b"".join(b"k%d: 1\n" % i for i in range(5000)), "more values"),
    "long key": (b"model:\n  " + b"k" * 900 + b": 1\n", "too long"),
    "large": (b"#" * (300 << 10), "is it the right one"),
    "name too long": (b"model: {backbone: DiT, tokenizer: char, name: " + b"n" * 64 + b"}", "63 bytes"),
    "name with a newline": (b"model: {backbone: DiT, tokenizer: char, name: \"a\\nb\", arch: {dim: 64}}", "plain"),
    "dim is a mapping": (b"model: {backbone: DiT, tokenizer: char, arch: {dim: {x: 1}}}", "model.arch.dim"),
    "dim is 10^30": (b"model: {backbone: DiT, tokenizer: char, arch: {dim: 1000000000000000000000000000000}}",
                     "whole number"),
    "the safetensors file": (struct.pack("<Q", 100) + b"{}" + b" " * 98, "not YAML"),
}


@pytest.mark.parametrize("case", YAMLS)
def test_yaml(tmp_path, tiny, case):
    data, word = YAMLS[case]
    path = tmp_path / "hostile.yaml"
    path.write_bytes(data)
    refused(lib.convert(tiny, tmp_path / "out.f5", sanitized=True, config=path), path, word)
    refused(lib.convert(tiny, tmp_path / "out.f5", sanitized=True, vocos_config=path), path)
    assert not Path("pwned").exists()


@pytest.mark.parametrize("data, word", [
    (b"", "empty"), (b" \na\0b\n", "NUL"), (b" \n\xff\xfe\n", "UTF-8"), (b" \n\xc0\x80\n", "UTF-8"),
    (b" \n\xed\xa0\x80\n", "UTF-8"), (b"a\n" * 1000001, "1000"), (b"x" * (17 << 20), "is it the right one")],
    ids=["empty", "NUL", "not UTF-8", "overlong", "surrogate", "a million lines", "17 MB"])
def test_vocabularies(tmp_path, tiny, data, word):
    path = tmp_path / "hostile.txt"
    path.write_bytes(data)
    refused(lib.convert(tiny, tmp_path / "out.f5", sanitized=True, vocab=path), path, word)


def test_not_files(tmp_path, tiny):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), tmp_path):
        for option in ("config", "checkpoint", "vocab", "vocos_config", "vocos"):
            refused(lib.convert(tiny, tmp_path / "out.f5", sanitized=True, **{option: path}), path, "regular file")
