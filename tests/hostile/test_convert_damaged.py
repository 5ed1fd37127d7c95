"""Files of torch before 1.6 and LoRA adapters made to break `f5tts convert`, and random damage to everything that it
reads: refused by name or converted, never a crash. Run against the sanitized build where F5_ASAN_BUILD names one."""
import json
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import convert_lib as lib  # noqa: E402
from bad_pickles import (GOOD, MAGIC, P, call, directory_at, number, refused, state, storage, tensor, text)  # noqa: E402
from convert_lib import rc  # noqa: E402


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    seed = int(os.environ.get("F5_TEST_SEED") or 1)
    return rc.make_checkpoint(tmp_path_factory.mktemp("tiny"), "tiny", seed=seed, format="pt", depth=1, conv_layers=1,
                              vocos_layers=1)


# ---- torch before 1.6

def old_file(pickle=None, keys=("0",), data=None, protocol=b"M\xe9\x03.", little=b"\x88", listed=None):
    """magic, protocol, machine, object, keys, data; each part may lie."""
    machine = P + b"}(" + text("protocol_version") + b"M\xe9\x03" + text("little_endian") + little + b"u."
    listed = P + b"](" + b"".join(map(text, keys)) + b"e." if listed is None else listed
    data = struct.pack("<q", 4) + b"\0" * 16 if data is None else data
    return MAGIC + P + protocol + machine + (GOOD if pickle is None else pickle) + listed + data


def old_storage(view=b"N", **what):
    return storage(**what)[:-2] + view + b"tQ"


OLD = {
    "good, keys do not fit": (old_file(), "unknown"),
    "six items": (old_file(state(tensor(old_storage()))), "unknown"),
    "another protocol": (old_file(protocol=b"K\1."), "protocol 1, only 1001"),
    "protocol is a text": (old_file(protocol=text("x") + b"."), "protocol 0"),
    "big-endian": (old_file(little=b"\x89"), "big-endian"),
    "a view": (old_file(state(tensor(old_storage(view=b"(" + text("1") + number(0) + number(4) + b"t")))), "view of another"),
    "no keys": (old_file(keys=()), "not in the archive"),
    "keys are no list": (old_file(listed=P + b"}."), "not in the archive"),
    "a key is no text": (old_file(listed=P + b"](K\1e."), "no tensor is in"),
    "a key that nothing has": (old_file(keys=("0", "1")), "no tensor is in"),
    "a key twice": (old_file(keys=("0", "0"), data=(struct.pack("<q", 4) + b"\0" * 16) * 2), "twice"),
    "no data": (old_file(data=b""), "ends before storage '0'"),
    "half a length": (old_file(data=b"\4\0\0\0"), "ends before storage '0'"),
    "cut data": (old_file(data=struct.pack("<q", 4) + b"\0" * 15), "beyond the file"),
    "negative length": (old_file(data=struct.pack("<q", -1) + b"\0" * 16), "beyond the file"),
    "length that wraps": (old_file(data=struct.pack("<Q", 2**62 + 4) + b"\0" * 16), "beyond the file"),
    "another length": (old_file(data=struct.pack("<q", 3) + b"\0" * 12), "should have 4"),
    "something to execute": (old_file(call("os", "system", b"(" + text("touch pwned") + b"t")), "os.system"),
    "executes as the protocol": (old_file(protocol=b"cos\nsystem\n(" + text("touch pwned") + b"tR."), "os.system"),
    "executes in the keys": (old_file(listed=P + b"cos\nsystem\n(" + text("touch pwned") + b"tR."), "os.system"),
    "a list in itself": (old_file(P + b"]q\0h\0a.", keys=(), data=b""), "no state dict"),
}


@pytest.mark.parametrize("case", OLD)
def test_old_files(tmp_path, tiny, case):
    data, word = OLD[case]
    path = tmp_path / "hostile.pt"
    path.write_bytes(data)
    refused(lib.convert(tiny, tmp_path / "out.f5", sanitized=True, checkpoint=path), path, word)
    assert not (tmp_path / "out.f5").exists() and not Path("pwned").exists()


# ---- random damage

def mutations(rng, data, count, low=0, high=None):
    """Copies of data with a few bytes changed, a piece removed, doubled or cut off, mostly between low and high."""
    high = len(data) if high is None else high
    for _ in range(count):
        out = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(low, high))
            kind = rng.integers(5)
            length = int(rng.integers(1, 9))
            if kind <= 1:
                out[at:at + 1] = bytes([rng.integers(256)])
            elif kind == 2:
                out[at:at + length] = rng.choice([b"\xff", b"\0", b"\x7f", b"\x80"]) * length
            elif kind == 3:
                del out[at:at + length]
            else:
                out[at:at] = out[at:at + length]
        yield bytes(out[:int(rng.integers(low, high))] if rng.integers(20) == 0 else out)


def survives(result):
    assert result.returncode in (0, 1), (result.returncode, result.stderr[-3000:])
    assert "Sanitizer" not in result.stderr and "runtime error" not in result.stderr, result.stderr[-3000:]
    if result.returncode:
        assert "f5tts convert: " in result.stderr


def old_bytes(made):
    """The checkpoint as torch before 1.6 saved it."""
    pickle = rc.TorchPickle()
    pickle.value({"model_state_dict": made["model"]})
    data = b"".join(struct.pack("<q", s.size) + s.tobytes() for s in pickle.storages)
    return old_file(bytes(pickle.out + b"."), [str(i) for i in range(len(pickle.storages))], data)


def adapter(folder, made):
    """A LoRA adapter for the checkpoint: its folder, and the bytes of both files."""
    folder.mkdir()
    rows, columns = made["model"]["transformer.proj_out.weight"].shape
    config = dict(peft_type="LORA", r=2, lora_alpha=4.5, bias="none", rank_pattern={"to_q": 3}, modules_to_save=["x"],
                  alpha_pattern={"proj_out": 1.25}, fan_in_fan_out=False, use_rslora=True, target_modules=["proj_out"])
    layer = "base_model.model.transformer.proj_out.lora_"
    rc.write_safetensors(folder / "adapter_model.safetensors", {
        layer + "A.weight": np.ones((2, columns), np.float32), layer + "B.weight": np.ones((rows, 2), np.float32),
        "base_model.model.transformer.norm_out.linear.bias": made["model"]["transformer.norm_out.linear.bias"]})
    return folder, json.dumps(config).encode(), (folder / "adapter_model.safetensors").read_bytes()


def test_old_files_and_adapters_are_whole(tmp_path, tiny):
    """What is damaged below is good before."""
    path = tmp_path / "old.pt"
    path.write_bytes(old_bytes(tiny))
    _, tensors = lib.converted(tiny, tmp_path / "out.f5", checkpoint=path)
    lib.assert_same_tensors(tensors, lib.expected(tiny))
    folder, config, _ = adapter(tmp_path / "adapter", tiny)
    (folder / "adapter_config.json").write_bytes(config)
    result = lib.convert(tiny, tmp_path / "out.f5", lora=folder)
    assert result.returncode == 0 and "2 changed by" in result.stdout, result.stderr


def test_fuzz(tmp_path, rng):
    """Some hundred damaged copies of good files: converted or refused, never a crash. The damage goes where the
    structure is: pickle, zip directory, safetensors header, YAML, vocabulary."""
    made = rc.make_checkpoint(tmp_path / "m", "tiny", seed=int(rng.integers(2**31)), format="pt", dim=16, depth=1,
                              text_dim=4, conv_layers=0, vocos_dim=4, vocos_ff_dim=4, vocos_layers=1)
    archive_bytes = Path(made["checkpoint"]).read_bytes()
    pickle_end = archive_bytes.index(b"archive/byteorder")
    rc.write_safetensors(tmp_path / "m.safetensors", made["model"])
    flat = (tmp_path / "m.safetensors").read_bytes()
    yaml, vocos = Path(made["yaml"]).read_bytes(), Path(made["vocos_config"]).read_bytes()
    old = old_bytes(made)
    folder, config, model = adapter(tmp_path / "adapter", made)
    plans = [("checkpoint", old, 30, 0, old.index(b"\x80\x02](") + 200), ("lora", config, 30, 0, None),
             ("lora", model, 30, 0, 8 + struct.unpack("<Q", model[:8])[0]),
             ("checkpoint", archive_bytes, 140, 0, pickle_end),
             ("checkpoint", archive_bytes, 60, directory_at(archive_bytes), None),
             ("checkpoint", flat, 60, 0, 8 + struct.unpack("<Q", flat[:8])[0]),
             ("config", yaml, 60, 0, None), ("vocos_config", vocos, 30, 0, None),
             ("vocab", Path(made["vocab_path"]).read_bytes(), 20, 0, None)]
    accepted = 0
    for option, data, count, low, high in plans:
        for damaged in mutations(rng, data, count, low, high):
            path = tmp_path / "damaged"
            if option == "lora":
                path = folder
                (folder / "adapter_config.json").write_bytes(damaged if data is config else config)
                (folder / "adapter_model.safetensors").write_bytes(damaged if data is model else model)
            else:
                path.write_bytes(damaged)
            result = lib.convert(made, tmp_path / "out.f5", sanitized=True, **{option: path})
            survives(result)
            accepted += result.returncode == 0
    assert accepted < 400, "damage should mostly be seen"
