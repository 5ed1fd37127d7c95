"""F5TTS_v1_Base, all 337 M parameters, through the converter: the same bytes from three containers, in modest memory."""
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import convert_lib as lib
from convert_lib import rc


@pytest.fixture
def form_dir(tmp_path):
    """Gigabytes: gone afterwards, whatever the outcome."""
    yield tmp_path / "full"
    shutil.rmtree(tmp_path / "full", ignore_errors=True)


def test_full_size(tmp_path, form_dir, seed):
    """F5TTS_v1_Base (337.1 M) in three formats, fp16: converted, the same bytes, described. One at a time on disk."""
    if shutil.disk_usage(tmp_path).free < 4 << 30:
        pytest.skip("needs 4 GB of free disk")
    digests = {}
    c = {**rc.OPTIONS, **rc.ARCHS["F5TTS_v1_Base"]}
    vocab = [" "] + [f"t{i}" for i in range(2544)]
    made = rc.make_checkpoint(form_dir, "tiny", seed=seed, vocab=vocab, vocos_dim=512, vocos_ff_dim=1536, vocos_layers=8)
    Path(made["yaml"]).write_text(rc.model_yaml("F5TTS_v1_Base", c))
    tensors = rc.draw_all(rc.acoustic_tensors(c, len(vocab)), seed)
    assert len(tensors) == 364 and round(sum(v.size for v in tensors.values()) / 1e6, 1) == 337.1
    spot = "transformer.transformer_blocks.21.attn.to_v.weight"
    for form in ("safetensors", "pt", "pt-noema"):
        checkpoint, out = form_dir / form, form_dir / "out.f5"
        rc.write_acoustic(checkpoint, tensors, form, "fp16")
        measured = subprocess.run(
            [sys.executable, "-c", "import resource, subprocess, sys; r = subprocess.run(sys.argv[1:]).returncode; "
             "print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(r)",
             lib.program(), *lib.convert_args(made, out, checkpoint=checkpoint, dtype="fp16")],
            capture_output=True, text=True)
        assert measured.returncode == 0, measured.stderr
        checkpoint.unlink()
        with open(out, "rb") as f:
            digest = hashlib.sha256()
            while block := f.read(1 << 22):
                digest.update(block)
        digests[form] = digest.hexdigest()
        # the files themselves are mapped (counted while touched); of our own memory a few tensors' worth
        peak = int(re.search(r"peak (\d+)", measured.stdout)[1]) * 1024
        assert peak < 0.7e9 + 0.2e9, f"{form}: {peak / 1e6:.0f} MB resident"
    assert len(set(digests.values())) == 1, digests
    told = json.loads(lib.run("info", out, "--json").stdout)
    assert told["total"]["parameters"] == sum(v.size for v in tensors.values()) - 32 + 13531650
    stored = np.memmap(out, np.uint8, "r")
    wanted = tensors[spot].astype(np.float16).view(np.uint8).ravel()
    size = int(np.frombuffer(stored[:8].tobytes(), np.uint64)[0])
    entry = json.loads(stored[8:8 + size].tobytes())["dit.blocks.21.qkv.weight"]
    begin = 8 + size + entry["data_offsets"][1] - wanted.size
    np.testing.assert_array_equal(stored[begin:begin + wanted.size], wanted)
