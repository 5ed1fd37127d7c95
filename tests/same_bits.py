#!/usr/bin/env python3
"""same_bits.py — do two builds of the library give the same bits? Many requests through one, saved; two files compared.

    tests/same_bits.py --out new.npz                                      this tree's build/lib/libf5tts.so, on the CPU
    tests/same_bits.py --tree OLD --out old.npz                           another tree's, by its own header and f5lib.py
    tests/same_bits.py --library build-gpu/lib/libf5tts.so --device cuda --precision fp16 --out new.npz
    tests/same_bits.py --compare old.npz new.npz                          exits 1 unless every array is equal

Models are random and always the same, in format version 1 where they are F5's, else in 2. They are written once, into --models, and both sides must
read those very files. The full-size one takes 0.7 GB there; --little leaves it out.
Bits of two machines, compilers or C libraries differ (expf, sincosf, and what the compiler fuses): compare builds of one
machine. On one machine the number of threads does not matter.
"""
import argparse
import hashlib
import inspect
import json
import os
import struct
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent.parent
VOCOS = dict(vocos_dim=64, vocos_ff_dim=96, vocos_layers=2)
SMALL = dict(dim=128, heads=2, depth=3, text_dim=64, **VOCOS)
V0 = dict(text_mask_padding=False, pe_attn_head=1)
BASE = dict(depth=2, **VOCOS)  # F5TTS_v1_Base, shallow

# name: arch, type of the file's matrices, settings of random_checkpoint.py
MODELS = {
    "v1": ("demo", "fp32", SMALL), "v0": ("demo", "fp32", {**SMALL, **V0}),
    "v1 fp16": ("demo", "fp16", {**SMALL, "vocos_padding": "same"}),
    "qk norm": ("demo", "fp32", {**SMALL, "qk_norm": True}),
    "long skip": ("demo", "fp32", {**SMALL, "long_skip": True, "vocos_padding": "same"}),
    "upsampled": ("demo", "fp32", {**SMALL, "average_upsampling": True}),
    "all three": ("demo", "fp16", {**SMALL, "qk_norm": True, "long_skip": True, "average_upsampling": True}),
    "odd": ("demo", "fp32", {**SMALL, "heads": 3, "pe_attn_head": 2, "ff_mult": 4, "conv_layers": 0, "text_dim": 100}),
    "char": ("demo", "fp32", {**SMALL, "tokenizer": "char"}), "byte": ("demo", "fp32", {**SMALL, "tokenizer": "byte"}),
    "e2": ("demo", "fp32", {**SMALL, "backbone": "UNetT", "depth": 4, "conv_layers": 0, "pe_attn_head": 1, "text_mask_padding": False}),
    "e2 added": ("demo", "fp16", {**SMALL, "backbone": "UNetT", "depth": 4, "skip": "add", "qk_norm": True}),
    "mmdit": ("demo", "fp32", {**SMALL, "backbone": "MMDiT"}),
    "mmdit normed": ("demo", "fp16", {**SMALL, "backbone": "MMDiT", "qk_norm": True, "ff_mult": 4}),
    "bigvgan": ("demo", "fp32", {**SMALL, "vocoder": "bigvgan", "bigvgan_channels": 128}),
    "base, two blocks": ("F5TTS_v1_Base", "fp32", BASE), "small, two blocks": ("F5TTS_v1_Small", "fp16", BASE),
    "base": ("F5TTS_v1_Base", "fp16", {}),
    "shipped": None,
}
LARGE = ("base",)
PLAIN = dict(frames=97, cond=31, tokens=20)

# name: model, requests of one batch, solver. Each mel is made into sound as well.
SAMPLED = {
    "v1, EPSS": ("v1", [PLAIN], dict(nfe=7)),
    "v1, sway without EPSS": ("v1", [PLAIN], dict(nfe=7, epss=False)),
    "v1, 32 steps": ("v1", [PLAIN], dict(nfe=32)),
    "v1, uniform grid": ("v1", [PLAIN], dict(nfe=5, sway=None)),
    "v1, other sway": ("v1", [PLAIN], dict(nfe=5, sway=0.4)),
    "v1, no guidance": ("v1", [PLAIN], dict(nfe=5, cfg=0.0)),
    "v1, much guidance": ("v1", [PLAIN], dict(nfe=5, cfg=3.5)),
    "v1, midpoint": ("v1", [PLAIN], dict(nfe=4, midpoint=True)),
    "v1, packed": ("v1", [PLAIN, dict(frames=33, cond=9, tokens=30), dict(frames=1 + 65, cond=64, tokens=3)], dict(nfe=5)),
    "v1, packed, midpoint, no guidance": ("v1", [PLAIN, dict(frames=50, cond=9, tokens=8)],
                                          dict(nfe=3, cfg=0.0, midpoint=True)),
    "v1, edited": ("v1", [dict(PLAIN, cond=80, edited=(20, 50))], dict(nfe=6)),
    "v1, given noise": ("v1", [dict(PLAIN, noise=True)], dict(nfe=5)),
    "v1, packed, edited, given noise": ("v1", [dict(PLAIN, cond=90, edited=(0, 30)), dict(PLAIN, noise=True)], dict(nfe=5)),
    "v1, more text than frames": ("v1", [dict(frames=20, cond=5, tokens=60)], dict(nfe=5)),
    "v0, EPSS": ("v0", [PLAIN], dict(nfe=7)),
    "v0, packed": ("v0", [PLAIN, dict(frames=33, cond=9, tokens=30)], dict(nfe=5)),
    "v0, edited, midpoint": ("v0", [dict(PLAIN, cond=80, edited=(20, 50))], dict(nfe=3, midpoint=True)),
    "v1 in fp16, same padding": ("v1 fp16", [PLAIN, dict(frames=40, cond=9, tokens=8)], dict(nfe=6)),
    "q/k norm": ("qk norm", [PLAIN], dict(nfe=5)),
    "long skip, same padding": ("long skip", [PLAIN], dict(nfe=5)),
    "upsampled text": ("upsampled", [PLAIN, dict(frames=61, cond=9, tokens=50)], dict(nfe=5)),
    "q/k norm, long skip, upsampled": ("all three", [PLAIN, dict(frames=33, cond=9, tokens=30)], dict(nfe=5)),
    "odd widths": ("odd", [PLAIN], dict(nfe=5)),
    "base, two blocks": ("base, two blocks", [PLAIN, dict(frames=60, cond=9, tokens=30)], dict(nfe=5)),
    "small, two blocks": ("small, two blocks", [PLAIN], dict(nfe=5)),
    "base": ("base", [dict(frames=60, cond=20, tokens=12)], dict(nfe=2)),
    **{f"{name}, {case}": (name, batch, solver) for name in ("e2", "e2 added", "mmdit", "mmdit normed", "bigvgan")
       for case, batch, solver in (("EPSS", [PLAIN], dict(nfe=7)),
                                   ("packed", [PLAIN, dict(frames=33, cond=9, tokens=30)], dict(nfe=4)),
                                   ("midpoint", [PLAIN, dict(frames=50, cond=9, tokens=8)], dict(nfe=3, midpoint=True)))},
}
TEXT = "We saw 3 birds, two ships; and \"one\" sail. It's late - isn't it?"
# name: model, text, settings of f5_speak
SPOKEN = {
    "pinyin, spoken": ("v1", TEXT, dict(seed=3, fix_duration=3.0)),
    "char, spoken": ("char", TEXT, dict(seed=4, fix_duration=3.0)),
    "byte, spoken": ("byte", TEXT + " Ça va à Köln?", dict(seed=5, fix_duration=3.0)),
    "shipped voice": ("shipped", "The birds came back early this year.", dict(seed=2 ** 63 + 9)),
    "shipped voice, slowly, 16 steps": ("shipped", "It is late.", dict(seed=1, speed=0.8, sample=dict(nfe=16))),
    "shipped voice, a long text": ("shipped", "The children were playing in the garden all day, and the dog slept. " * 2,
                                   dict(seed=7, sample=dict(nfe=5))),
}


def model_file(f5file, folder, name):
    """The model's path, written there when it is not; the same for every tree that is asked."""
    if MODELS[name] is None:
        return HERE / "weights/voices/natural.f5"
    path = folder / f"{name.replace(' ', '_').replace(',', '')}.f5"
    if not path.exists():
        arch, dtype, settings = MODELS[name]
        half = path.with_suffix(".part")
        write_model(f5file, half, *MODELS[name], seed=1 + list(MODELS).index(name))
        half.rename(path)
    return path


def write_model(f5file, path, arch, dtype, settings, seed):
    """As f5file.write_model does, but in format version 1 where it has the model, so that every library reads it, and for
    bytes too."""
    rc, version = f5file.random_checkpoint, {}
    of_f5 = settings.get("backbone", "DiT") == "DiT" and "vocoder" not in settings
    if of_f5 and "version" in inspect.signature(f5file.write_f5).parameters:
        version["version"] = 1
    config = {**rc.OPTIONS, **rc.ARCHS[arch], **settings}
    of_bytes = config["tokenizer"] == "byte"
    vocab = ["?"] * 256 if of_bytes else rc.default_vocab()
    made = dict(model=rc.draw_all(rc.acoustic_tensors(config, len(vocab)), seed), config=config, vocab=vocab,
                vocos=rc.draw_all(getattr(rc, "vocoder_tensors", rc.vocos_tensors)(config), seed))
    f5file.write_f5(path, made, name=arch, dtype=dtype, **version)
    if of_bytes:
        drop_vocabulary(path)


def drop_vocabulary(path):
    """A byte model has none, and write_f5 no way to leave it out."""
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + size])
    del header["__metadata__"]["vocab"]
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-(len(text) + 8) % 64)
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + size:])


def request(rng, vocab_size, frames, cond, tokens, edited=None, noise=False):
    made = dict(cond=(2 * rng.standard_normal((cond, 100)) - 3).astype(np.float32), frames=frames,
                tokens=rng.integers(0, vocab_size, tokens).astype(np.int32), seed=int(rng.integers(2 ** 63)))
    if edited:
        made["edit_mask"] = np.ones(cond, np.uint8)
        made["edit_mask"][slice(*edited)] = 0
    if noise:
        made["noise"] = rng.standard_normal((frames, 100)).astype(np.float32)
    return made


def recording(name="slt"):
    with wave.open(str(HERE / f"weights/voices/{name}.wav")) as f:
        assert (f.getnchannels(), f.getsampwidth(), f.getframerate()) == (1, 2, 24000), "weights/voices/slt.wav is not that"
        samples = np.frombuffer(f.readframes(f.getnframes()), "<i2").astype(np.float32) / 32768
    return samples, (HERE / f"weights/voices/{name}.txt").read_text(encoding="utf-8").strip()


def answers(engine, name):
    """{request/part: array} of all requests to that model."""
    found = {}

    def keep(case, part, arrays):
        for i, array in enumerate(arrays):
            assert np.isfinite(array).all(), f"{case}: {part} {i} is not finite"
            found[f"{case}/{part} {i}"] = np.array(array)

    vocab_size = engine.info()["vocab_size"]
    for case, (model, batch, solver) in SAMPLED.items():
        if model == name:
            rng = np.random.default_rng([17, *case.encode()])
            mels = engine.sample([request(rng, vocab_size, **r) for r in batch], **solver)
            keep(case, "mel", mels)
            keep(case, "sound", engine.vocode_batch(mels))
    spoken = {case: rest for case, (model, *rest) in SPOKEN.items() if model == name}
    if spoken:
        samples, transcript = recording()
        keep(f"{name}, the recording", "mel", [engine.mel(samples)])
        with engine.voice(samples, transcript) as voice:
            for case, (text, settings) in spoken.items():
                keep(f"{case}, tokens", "ids", [engine.tokenize(text)])
                pieces, _ = engine.speak(voice, text, **settings)
                keep(case, "sound", [sound for sound, _ in pieces])
                keep(case, "mel", [mel for _, mel in pieces])
    return found


def run(args):
    sys.path[:0] = [str(args.tree / "tests"), str(args.tree / "weights")]
    os.environ["F5_LIBRARY"] = str((args.library or args.tree / "build/lib/libf5tts.so").resolve())
    import f5file
    import f5lib
    args.models.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in MODELS:
        if args.little and name in LARGE:
            continue
        path = model_file(f5file, args.models, name)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found[f"model {name}/sha256"] = np.frombuffer(bytes.fromhex(digest), np.uint8)
        with f5lib.Engine(path, args.device, args.precision, max_frames=2048, max_batch=4) as engine:
            found.update(answers(engine, name))
    cases = sorted({key.split("/")[0] for key in found if not key.startswith("model ")})
    for case in cases:
        parts = hashlib.sha256()
        for key in sorted(k for k in found if k.split("/")[0] == case):
            parts.update(np.ascontiguousarray(found[key]).tobytes())
        print(f"{parts.hexdigest()[:16]}  {case}")
    np.savez(args.out, **found)
    print(f"{len(cases)} requests, {len(found)} arrays in {args.out}: {os.environ['F5_LIBRARY']} on {args.device}"
          + (f", {args.precision}" if args.precision else ""))
    return 0


def difference(a, b):
    """Nothing where the arrays are the same bits, else how they differ."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"{a.dtype} {a.shape} and {b.dtype} {b.shape}"
    if np.array_equal(a.view(np.uint8), b.view(np.uint8)):
        return ""
    x, y = a.astype(np.float64), b.astype(np.float64)
    if a.dtype == np.uint8:
        return "other bytes"
    return (f"{int((x != y).sum())} of {x.size} differ, by {np.abs(x - y).max():.2e} at most, relative L2 "
            f"{np.linalg.norm(x - y) / max(np.linalg.norm(x), 1e-300):.2e}")


def compare(first, second):
    with np.load(first) as a, np.load(second) as b:
        missing = sorted(set(a.files) ^ set(b.files))
        for key in missing:
            print(f"{key}: only in {first if key in a.files else second}")
        both, wrong = sorted(set(a.files) & set(b.files)), {}
        for key in both:
            said = difference(a[key], b[key])
            if said:
                wrong[key] = said
    if not both:
        print("nothing in common")
    models = [key for key in wrong if key.startswith("model ")]
    for key in models or wrong:
        print(f"{key}: {'the model files differ: use one folder of --models for both' if models else wrong[key]}")
    if not wrong and not missing and both:
        print(f"equal: {len({k.split('/')[0] for k in both if not k.startswith('model ')})} requests, {len(both)} arrays")
        return 0
    return 1


def main(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tree", type=Path, default=HERE, help="whose f5lib.py and header are used (default: this one)")
    p.add_argument("--library", type=Path, help="default: TREE/build/lib/libf5tts.so")
    p.add_argument("--models", type=Path, default=Path(tempfile.gettempdir()) / "f5-same-bits")
    p.add_argument("--out", type=Path)
    p.add_argument("--device", default="cpu")
    p.add_argument("--precision")
    p.add_argument("--little", action="store_true", help="without the full-size model")
    p.add_argument("--compare", nargs=2, type=Path, metavar=("A.npz", "B.npz"))
    args = p.parse_args(argv)
    if bool(args.compare) == bool(args.out):
        p.error("one of --out and --compare")
    return compare(*args.compare) if args.compare else run(args)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
