"""The Python writer of .f5 files and the converter were written apart, from the same description: they must agree on
every tensor and on the configuration."""
import json
import os
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

import cbind
import f5file

PROGRAM = Path(os.environ.get("F5_BUILD", cbind.ROOT / "build")) / "bin" / "f5tts"


def read_f5(path):
    data = Path(path).read_bytes()
    length, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__")
    tensors = {}
    for key, t in header.items():
        begin, end = (8 + length + o for o in t["data_offsets"])
        tensors[key] = (t["dtype"], t["shape"], data[begin:end])
    return metadata, tensors


@pytest.mark.parametrize("overrides", [{}, dict(qk_norm=True, long_skip=True, average_upsampling=True),
                                       dict(text_mask_padding=False, pe_attn_head=1, vocos_padding="same"),
                                       dict(backbone="UNetT", depth=4), dict(backbone="UNetT", skip="add", qk_norm=True),
                                       dict(backbone="MMDiT", depth=3), dict(backbone="MMDiT", depth=1, qk_norm=True),
                                       dict(vocoder="bigvgan", bigvgan_channels=128, bigvgan_weight_norm=False),
                                       dict(vocoder="bigvgan", bigvgan_channels=48, bigvgan_rates=(8, 4, 8), bigvgan_bias=True,
                                            bigvgan_taps=(14, 8, 24), bigvgan_tanh=True, bigvgan_weight_norm=False)],
                         ids=["plain", "all options", "v0", "UNetT", "UNetT, added", "MMDiT", "MMDiT of one block",
                              "BigVGAN", "BigVGAN, other rates"])
@pytest.mark.parametrize("dtype", ["fp32", "fp16"])
def test_agrees_with_the_converter(tmp_path, rng, overrides, dtype):
    import random_checkpoint
    seed = int(rng.integers(1 << 30))
    made = random_checkpoint.make_checkpoint(tmp_path, "tiny", seed=seed, **overrides)
    converted, written = tmp_path / "converted.f5", tmp_path / "written.f5"
    run = subprocess.run([PROGRAM, "convert", "--quiet", "--config", made["yaml"], "--checkpoint", made["checkpoint"],
                          "--vocab", made["vocab_path"], "--vocos-config", made["vocos_config"], "--vocos",
                          made["vocos_path"], "--dtype", dtype, "--output", converted], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    f5file.write_f5(written, made, name="tiny", dtype=dtype, pinyin=(cbind.ROOT / "weights/text/pinyin.bin").read_bytes())
    (metadata, tensors), (expected_metadata, expected) = read_f5(written), read_f5(converted)
    assert set(tensors) == set(expected)
    for key in tensors:
        assert tensors[key] == expected[key], f"{key} differs (seed {seed})"
    assert json.loads(metadata.pop("config")) == json.loads(expected_metadata.pop("config"))
    assert metadata == expected_metadata


@pytest.mark.parametrize("form", ["bands", "coded", "single"])
@pytest.mark.parametrize("durations", [True, False])
def test_flow_matching_tts_agrees_with_the_converter(tmp_path, rng, form, durations):
    """Its vocoder's weights are joined from direction and length, which rounds; all the others are equal."""
    import random_checkpoint
    made = random_checkpoint.make_checkpoint(tmp_path, "FM_TTS", seed=int(rng.integers(1 << 30)), dim=64, heads=1, depth=2, mb_form=form,
                                             mb_channels=16, fm_durations=durations)
    converted, written = tmp_path / "converted.f5", tmp_path / "written.f5"
    run = subprocess.run([PROGRAM, "convert", "--quiet", "--config", made["yaml"], "--checkpoint", made["checkpoint"], "--output",
                          converted], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    f5file.write_f5(written, made, name="FM_TTS")
    (metadata, tensors), (expected_metadata, expected) = read_f5(written), read_f5(converted)
    assert set(tensors) == set(expected)
    for key, (kind, shape, data) in tensors.items():
        assert (kind, shape) == expected[key][:2], key
        if key.startswith("mb_istft.") and key.endswith(".weight"):
            assert np.allclose(np.frombuffer(data, "<f4"), np.frombuffer(expected[key][2], "<f4"), rtol=1e-5, atol=0), key
        else:
            assert data == expected[key][2], key
    assert json.loads(metadata.pop("config")) == json.loads(expected_metadata.pop("config"))
    assert metadata == expected_metadata
