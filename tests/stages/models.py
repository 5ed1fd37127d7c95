"""models.py — random models of many shapes, each made once in a run: upstream's files through `f5tts convert` to a
.f5, and the same tensors for the PyTorch reference. The weights are fresh in every run (F5_TEST_SEED)."""
import os
import shutil
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch

import cbind
import model as reference

sys.path.append(str(cbind.ROOT / "weights"))
import random_checkpoint  # noqa: E402

# Vocoders of the variants are small: the real one is tested in "v1".
LITTLE_VOCOS = dict(vocos_dim=64, vocos_ff_dim=96, vocos_layers=2)
V1, V0 = dict(arch="F5TTS_v1_Base", **LITTLE_VOCOS), dict(arch="F5TTS_Base", **LITTLE_VOCOS)

RECIPES = {
    "v1": dict(arch="F5TTS_v1_Base", depth=3),
    "v1 depth 22": dict(V1),
    "v0": dict(V0, depth=3),
    "small v1": dict(V1, arch="F5TTS_v1_Small", depth=3),
    "small v0": dict(V0, arch="F5TTS_Small", depth=3),
    "qk norm": dict(V1, depth=2, qk_norm=True),
    "long skip": dict(V1, depth=2, long_skip=True),
    "upsampled": dict(V1, depth=2, average_upsampling=True),
    "5 heads rotated, ff x4": dict(V1, depth=2, pe_attn_head=5, ff_mult=4),
    "inner 192 of 1024": dict(V1, depth=2, heads=3),  # heads * 64 need not be the width: take_buffers of dit.c
    "inner 1280 of 1024": dict(V1, depth=2, heads=20, ff_mult=1, long_skip=True),
    "bare text": dict(V1, depth=2, conv_layers=0, text_dim=100),
    "same padding": dict(arch="tiny", vocos_dim=512, vocos_ff_dim=1536, vocos_layers=8, vocos_padding="same"),
    "e2": dict(arch="E2TTS_Base", depth=4, **LITTLE_VOCOS),
    "e2 small": dict(arch="E2TTS_Small", depth=2, **LITTLE_VOCOS),
    "e2 added": dict(arch="E2TTS_Small", depth=4, skip="add", heads=3, qk_norm=True, **LITTLE_VOCOS),
    "e2 no skips": dict(arch="E2TTS_Small", depth=2, skip="none", conv_layers=1, text_mask_padding=True, pe_attn_head=None,
                        **LITTLE_VOCOS),
    "bigvgan": dict(arch="tiny", vocoder="bigvgan", bigvgan_channels=192),
    "bigvgan tanh": dict(arch="tiny", vocoder="bigvgan", bigvgan_channels=48, bigvgan_rates=(8, 4, 8), bigvgan_taps=(14, 8, 24),
                         bigvgan_tanh=True, bigvgan_bias=True, bigvgan_weight_norm=False, bigvgan_blocks=(5, 1, 9),
                         bigvgan_dilations=((2, 7, 1), (1, 1, 64), (4, 8, 5))),
    "little bigvgan": dict(arch="tiny", vocoder="bigvgan", bigvgan_channels=4, bigvgan_rates=(16, 16),
                           bigvgan_blocks=(1, 1, 3)),
    "mmdit": dict(arch="MMDiT_Base", depth=3, **LITTLE_VOCOS),
    "mmdit normed": dict(arch="MMDiT_Base", dim=256, depth=2, heads=3, ff_mult=4, qk_norm=True, **LITTLE_VOCOS),
    "mmdit of one block": dict(arch="MMDiT_Base", dim=128, depth=1, heads=2, **LITTLE_VOCOS),
    "tiny mmdit": dict(arch="tiny", backbone="MMDiT"),
    "tiny": dict(arch="tiny"),
    "tiny e2": dict(arch="tiny", backbone="UNetT", depth=4, conv_layers=0, text_dim=100, text_mask_padding=False,
                    pe_attn_head=1),
    "tiny v0": dict(arch="tiny", text_mask_padding=False, pe_attn_head=0),
}


@dataclass
class Model:
    path: str      # the .f5 file
    weights: dict  # "transformer.…" -> tensor
    vocos: dict    # "backbone.…", "head.…" -> tensor; of BigVGAN "conv_pre.…", "resblocks.…"
    options: reference.Options
    config: dict   # every setting, as random_checkpoint.py names them
    vocab_size: int


def program():
    path = Path(os.environ.get("F5_BUILD", cbind.ROOT / "build")) / "bin" / "f5tts"
    if not path.exists():
        raise FileNotFoundError(f"{path}: build it first (make), or set F5_BUILD")
    return path


def make_model(folder, recipe, seed):
    made = random_checkpoint.make_checkpoint(folder, seed=seed, **recipe)
    path = folder / "model.f5"
    run = subprocess.run([program(), "convert", "--quiet", "--config", made["yaml"], "--checkpoint", made["checkpoint"],
                          "--vocab", made["vocab_path"], "--vocos-config", made["vocos_config"],
                          "--vocos", made["vocos_path"], "--pinyin", "none", "--output", path], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    for key in ("checkpoint", "vocos_path"):
        os.unlink(made[key])
    config = made["config"]
    return Model(
        path=str(path), weights={k: torch.from_numpy(v) for k, v in made["model"].items()},
        vocos={k: torch.from_numpy(v) for k, v in made["vocos"].items()},
        options=reference.Options(config["text_mask_padding"], config["pe_attn_head"], config["average_upsampling"],
                                  config["skip"]),
        config=config, vocab_size=len(made["vocab"]))


class Zoo:
    """zoo[name] is the model of RECIPES[name]. Files live in `folder` until the end of the with block."""

    def __init__(self, folder, seed):
        self.folder, self.seed, self.made = Path(folder), seed, {}

    def __getitem__(self, name):
        if name not in self.made:
            seed = zlib.crc32(f"{self.seed} {name}".encode())
            self.made[name] = make_model(self.folder / name.replace(" ", "_"), RECIPES[name], seed)
        return self.made[name]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.made.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
