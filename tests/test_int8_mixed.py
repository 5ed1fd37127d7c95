"""Products of 8 and of 16 bits in one model on the CPU: a file says which stay, engine and plan do so, and the laws hold."""
import itertools
import json
import re
import struct

import numpy as np
import pytest

import convert_lib
import f5lib
import mixed_file
from f5file import random_checkpoint
from test_int8 import requests_of

PRODUCTS = ("qkv", "out", "ff1", "ff2")


@pytest.fixture(scope="module", params=["DiT", "UNetT", "MMDiT"])
def files(request, tmp_path_factory):
    """A model in fp16 and in 8 bits, and the folder they are in."""
    folder = tmp_path_factory.mktemp("mixed")
    made = random_checkpoint.make_checkpoint(folder / "upstream", "tiny", seed=4, backbone=request.param)
    for dtype in ("fp16", "int8"):
        convert_lib.converted(made, folder / f"{dtype}.f5", dtype=dtype)
    return folder


def mixed(files, name, wide):
    mixed_file.write(files / name, files / "int8.f5", files / "fp16.f5", wide)
    return files / name


def is_wide(label, wide):
    """A product of a trace by the name of its weights."""
    stage, block, product = label.split(".")
    stream = {"mmdit": "audio.", "mmdit_text": "text."}.get(stage, "")
    return wide(f".{block}.{stream}{product}.weight")


def some(name):
    """A choice that mixes kinds within a block, every product being of either kind somewhere."""
    block, product = re.search(r"\.(\d+)\.(?:audio\.|text\.)?(\w+)\.weight$", name).groups() if "modulation" not in name else ("0", "")
    return product in {"0": ("qkv", "ff2"), "1": ("out", "ff1")}[block]


CHOICES = {"mixed": some, **{p: (lambda n, p=p: n.endswith(f".{p}.weight")) for p in PRODUCTS},
           "modulation": lambda n: "modulation" in n, "none": lambda n: False,
           "all but one": lambda n: n.endswith(tuple(f".{p}.weight" for p in PRODUCTS)) and not n.endswith("0.out.weight")}


@pytest.mark.parametrize("choice", list(CHOICES))
def test_the_file_says_which_stay(files, rng, choice):
    """The ops that run, on the CPU and in the plans of GPUs; the mel is near fp32; weights take what they should."""
    wide = CHOICES[choice]
    path, ran = mixed(files, "m.f5", wide), {}
    with f5lib.Engine(files / "fp16.f5", "cpu", "fp32", max_frames=256, max_batch=1) as e:
        request, = requests_of(rng, e.info()["vocab_size"], [97])
        exact, = e.sample([request], nfe=4)
    with f5lib.Engine(path, "cpu", trace=lambda op, label, array, ms: ran.setdefault(label, op), max_frames=256, max_batch=1) as e:
        assert e.info()["precision"] == "int8"
        mel, = e.sample([request], nfe=4)
        held = e.info()["weight_bytes"]
        plans = {card: {c["label"]: c["op"] for c in e.plan_ops(64, card=card)} for card in ("h200", "a100")}
        plain = {c["label"]: c["op"] for c in e.plan_ops(64, card="h200", precision="fp16")}
    products = [label for label in ran if label.split(".")[-1] in PRODUCTS and len(label.split(".")) == 3]
    assert len(products) >= 8
    for label in products:
        op = "linear" if is_wide(label, wide) else "linear_int8"
        assert ran[label] == op and {plan[label] for plan in plans.values()} == {op} and plain[label] == "linear", label
        quantized = f"{label.rsplit('.', 1)[0]}.{dict(out='attended8', ff2='hidden8').get(label.split('.')[-1])}"
        assert quantized.endswith("None") or (quantized in ran) == (op == "linear_int8") == (quantized in plans["a100"])
    n = len(request["cond"])
    error = np.linalg.norm(mel[n:] - exact[n:]) / np.linalg.norm(exact[n:])
    assert 1e-6 < error < 2e-2
    header, _ = mixed_file.read(path)
    bytes_of = {name: int(np.prod(t["shape"])) * (1 if t["dtype"] == "I8" else 4) for name, t in header.items() if name != "__metadata__"}
    assert held == sum(bytes_of.values())


def test_laws(files, rng):
    """Alone = packed, whatever the threads, with memory full of NaN; and the precision that is asked for."""
    path = mixed(files, "m.f5", some)
    with f5lib.Engine(path, "cpu", "int8", max_frames=512, max_batch=4, threads=1) as e:
        requests = requests_of(rng, e.info()["vocab_size"], [97, 31, 60])
        alone = [e.sample([r], nfe=4)[0] for r in requests]
    for precision in (None, "int8"):
        with f5lib.Engine(path, "cpu", precision, max_frames=512, max_batch=4, threads=3, poison=1) as e:
            for a, b in zip(alone, e.sample(requests, nfe=4)):
                assert a.tobytes() == b.tobytes()
    with f5lib.Engine(path, "cpu", "fp32", max_frames=512, max_batch=4) as e:
        assert e.info()["precision"] == "fp32"
        assert all(a.tobytes() != b.tobytes() for a, b in zip(alone, e.sample(requests, nfe=4)))


def test_none_and_all_are_the_plain_kinds(files, rng):
    """Without wide ones it is the file of 8 bits; with all wide, modulations too, that of 16."""
    with f5lib.Engine(files / "int8.f5", "cpu", max_frames=256, max_batch=1) as e:
        request, = requests_of(rng, e.info()["vocab_size"], [60])
    for other, wide in (("int8", lambda n: False), ("fp16", lambda n: True)):
        mels = []
        for path in (mixed(files, "m.f5", wide), files / f"{other}.f5"):
            with f5lib.Engine(path, "cpu", max_frames=256, max_batch=1) as e:
                mels.append(e.sample([request], nfe=2)[0].tobytes())
        assert mels[0] == mels[1]


def test_info_counts_them(files):
    path = mixed(files, "m.f5", some)
    with f5lib.ModelFile(path) as f:
        types = {t["name"]: t["type"] for t in f.all("tensor")}
        narrow = [n for n, t in types.items() if t == "I8"]
        wide = [n for n in types if n.endswith(tuple(f".{p}.weight" for p in PRODUCTS)) and types[n] == "F16"]
        assert (f.info()["precision"], f.info()["int8_matrices"], f.info()["wide_matrices"]) == ("int8", len(narrow), len(wide))
    said = convert_lib.run("info", path).stdout
    assert f"int8 but for {len(wide)} of {len(wide) + len(narrow)} matrices, vocoder" in said
    parsed = json.loads(convert_lib.run("info", "--json", path).stdout)
    assert (parsed["int8_matrices"], parsed["wide_matrices"]) == (len(narrow), len(wide))


def broken(path, change):
    """The file with its header changed, data as they were."""
    header, data = mixed_file.read(path)
    change(header)
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 64)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_hostile_files(files):
    """A wide matrix in another type than the others, with scales, or of another shape; one in 8 bits without scales."""
    name = next(n for n in mixed_file.read(files / "fp16.f5")[0] if n.endswith("ff2.weight"))
    narrow = next(n for n in mixed_file.read(files / "fp16.f5")[0] if n.endswith(".out.weight"))

    def retype(header, of, dtype):
        header[of]["dtype"] = dtype

    for change, words in ((lambda h: retype(h, name, "BF16"), f'"{name}" is BF16, I8 expected'),
                          (lambda h: retype(h, name, "I16"), "I16"),
                          (lambda h: h.update({name + ".scale": h.pop(narrow + ".scale")}), "missing"),
                          (lambda h: h[name].update(shape=h[name]["shape"][::-1]), "shape"),
                          (lambda h: h.pop(narrow), "belong|missing|data"),
                          (lambda h: retype(h, narrow, "F16"), "F16|bytes|size")):
        path = mixed(files, "bad.f5", lambda n: n == name)
        with f5lib.Engine(path, "cpu", max_frames=64, max_batch=1):
            pass
        broken(path, change)
        for precision in (None, "int8", "fp32"):
            with pytest.raises(f5lib.Error, match=words) as refused:
                f5lib.Engine(path, "cpu", precision, max_frames=64, max_batch=1)
            assert refused.value.status in ("F5_E_FORMAT", "F5_E_UNSUPPORTED")
        with pytest.raises(f5lib.Error, match=words):
            f5lib.ModelFile(path)


def test_every_choice_of_a_block_runs(files, rng):
    """All sixteen kinds of a block's four products give the bits of themselves in company."""
    for kinds in itertools.product((False, True), repeat=4):
        chosen = {p for p, k in zip(PRODUCTS, kinds) if k}
        path = mixed(files, "m.f5", lambda n: n.split(".")[-2] in chosen)
        with f5lib.Engine(path, "cpu", max_frames=128, max_batch=2, poison=1) as e:
            requests = requests_of(rng, e.info()["vocab_size"], [40, 31])
            together = e.sample(requests, nfe=1)
            for r, mel in zip(requests, together):
                assert np.isfinite(mel).all() and e.sample([r], nfe=1)[0].tobytes() == mel.tobytes(), chosen
