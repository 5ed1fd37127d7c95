#!/usr/bin/env python3
"""export.py — trained weights into upstream's own checkpoint files, and those into a .f5 by `f5tts convert`.

    export.py --ema OUT/ema-0.npz --vocos OUT/vocos.npz --f5tts build/bin/f5tts --name natural-small --output VOICE.f5
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "weights"))
import random_checkpoint as formats  # noqa: E402
import set_speech  # noqa: E402

from dit import ARCH, HEAD, VOCAB, average_files  # noqa: E402

# What weights/FORMAT.md calls "speech": short_speed, method and steps by what any_text.py and measure.py measured of the
# shipped voice (../voices/README.md), slowest, fastest and chunking by what they measured of flite-small before it.
SPEECH = {"normalize": "en", "short_speed": 55, "slowest": 90, "fastest": 110, "chunking": 2, "method": 2, "steps": 12}


def silence_nyquist(vocoder):
    """The vocoder's bin at 12 kHz gives nothing. No mel band reaches it, so that training leaves noise there."""
    weight, bias = vocoder["head.out.weight"], vocoder["head.out.bias"]
    row = len(bias) // 2 - 1
    weight[row], bias[row] = 0, -20  # the logarithm of a magnitude


def load(ema, vocos):
    """(acoustic, vocoder) name -> float32 array; ema: one part, ema-0.npz, its other parts lie beside it."""
    model = {}
    for part in average_files(ema):
        z = np.load(part)
        model.update({k: z[k].astype(np.float32) for k in z.files if not k.startswith("aux.")})
    z = np.load(vocos)
    vocoder = {k: z[k].astype(np.float32) for k in z.files}
    for tensors in (model, vocoder):
        for name, values in tensors.items():
            if not np.isfinite(values).all():
                raise ValueError(f"{name} holds numbers that are not finite: the training blew up")
    silence_nyquist(vocoder)
    return model, vocoder


def write_upstream(directory, model, vocoder, name):
    """model.yaml, model.safetensors, vocab.txt, vocos/config.yaml, vocos/pytorch_model.bin"""
    inner, width = vocoder["backbone.convnext.0.pwconv1.weight"].shape
    rows, dim = model["transformer.transformer_blocks.0.attn.to_q.weight"].shape
    config = {**formats.OPTIONS, **ARCH, "depth": sum(k.endswith("attn.to_q.weight") for k in model),
              "dim": dim, "heads": rows // HEAD, "ff_mult": len(model["transformer.transformer_blocks.0.ff.ff.0.0.weight"]) // dim,
              "text_dim": model["transformer.text_embed.text_embed.weight"].shape[1],
              "conv_layers": sum(k.endswith("grn.gamma") for k in model),
              "vocos_dim": width, "vocos_ff_dim": inner, "vocos_layers": sum(k.endswith(".gamma") for k in vocoder)}
    (directory / "vocos").mkdir(parents=True, exist_ok=True)
    (directory / "model.yaml").write_text(formats.model_yaml(name, config))
    (directory / "vocab.txt").write_text("".join(letter + "\n" for letter in VOCAB))
    formats.write_acoustic(directory / "model.safetensors", model, "safetensors", "fp32")
    (directory / "vocos/config.yaml").write_text(formats.vocos_yaml(config))
    formats.write_torch(directory / "vocos/pytorch_model.bin", vocoder)


def convert(program, directory, output, dtype="fp16", speech=SPEECH, rights=None):
    """dtype: of the acoustic model's matrices. The vocoder's are never of 8 bits. rights: license and credit, where they are
    said."""
    speech, told = dict(speech), [f"--{key}={value}" for key, value in (rights or {}).items() if value]
    normalize, short_speed = speech.pop("normalize"), speech.pop("short_speed")
    subprocess.run([program, "convert", "--config", directory / "model.yaml", "--checkpoint",
                    directory / "model.safetensors", "--vocab", directory / "vocab.txt", "--vocos-config",
                    directory / "vocos/config.yaml", "--vocos", directory / "vocos/pytorch_model.bin",
                    "--dtype", dtype, "--vocos-dtype", dtype.replace("int8", "fp16"), "--normalize", normalize, "--short-speed", str(short_speed / 100), *told,
                    "--quiet", "--output", output], check=True)
    set_speech.set_speech(output, [(key, str(value)) for key, value in speech.items()])


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--ema", required=True)
    p.add_argument("--vocos", required=True)
    p.add_argument("--f5tts", default=str(ROOT / "build/bin/f5tts"))
    p.add_argument("--name", default="natural-small")
    p.add_argument("--dtype", default="fp16", help="int8: half of the size; it runs in fp32 all the same, unless asked otherwise")
    for key in set_speech.RIGHTS:
        p.add_argument(f"--{key}", help="that the file tells its users, as f5tts convert has it")
    p.add_argument("--output", required=True)
    options = p.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        write_upstream(Path(temporary), *load(options.ema, options.vocos), options.name)
        speech = {**SPEECH, "precision": 1} if options.dtype == "int8" else SPEECH
        convert(options.f5tts, Path(temporary), options.output, options.dtype, speech,
                {key: getattr(options, key) for key in set_speech.RIGHTS})


if __name__ == "__main__":
    main()
