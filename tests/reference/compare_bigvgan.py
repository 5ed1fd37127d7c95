#!/usr/bin/env python3
"""BigVGAN at full size against NVIDIA's own code: random weights through both, 1 to 800 frames, and the mel.

    python3 tests/reference/compare_bigvgan.py BIGVGAN_REPOSITORY [--frames 1 2 37 240 800]

Run by hand, not by `make test`: it needs a checkout of github.com/NVIDIA/BigVGAN, librosa (for NVIDIA's mel) and
huggingface_hub, and takes minutes. The generator is saved by NVIDIA's class, weight-normed or, with --fused, after
remove_weight_norm, and read by `f5tts convert`. Every line prints a relative L2 distance; above the bar it exits 1.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests/reference"), str(ROOT / "tests"), str(ROOT / "weights")]

BAR = 1e-5


def relative(ours, theirs):
    return float(np.linalg.norm(ours.astype(np.float64) - theirs) / np.linalg.norm(theirs))


def load_theirs(repository, config):
    sys.path.insert(0, str(repository))
    import bigvgan as nvidia
    from env import AttrDict
    from meldataset import get_mel_spectrogram
    h = AttrDict(json.loads(config))
    return nvidia.BigVGAN(h).eval(), lambda samples: get_mel_spectrogram(samples[None], h)[0].T


def convert(folder, made, state, config):
    generator, text = folder / "bigvgan_generator.pt", folder / "config.json"
    torch.save({"generator": state}, generator)
    text.write_text(config)
    build = Path(os.environ.get("F5_BUILD", ROOT / "build"))
    subprocess.run([build / "bin/f5tts", "convert", "--config", made["yaml"], "--checkpoint", made["checkpoint"], "--vocab",
                    made["vocab_path"], "--vocos-config", text, "--vocos", generator, "--pinyin", "none", "--output",
                    folder / "model.f5"], check=True)
    os.unlink(generator)
    return str(folder / "model.f5")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("repository", type=Path)
    options.add_argument("--frames", type=int, nargs="+", default=[1, 2, 37, 240, 800])
    options.add_argument("--fused", action="store_true")
    options.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "little"))
    options = options.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    print(f"torch {torch.__version__}, seed {options.seed}, {'fused' if options.fused else 'weight-normed'}")
    worst = 0.0

    def report(what, ours, theirs, seconds=""):
        nonlocal worst
        worst = max(worst, relative(ours, theirs))
        print(f"{relative(ours, theirs):9.2e}  {what}{seconds}", flush=True)

    config = (options.repository / "configs/bigvgan_v2_24khz_100band_256x.json").read_text()
    theirs, their_mel = load_theirs(options.repository, config)
    del sys.modules["bigvgan"]  # the module beside this file has the same name
    sys.path.remove(str(options.repository))
    import f5lib
    import random_bigvgan
    import random_checkpoint as rc
    own = {**rc.OPTIONS, "vocoder": "bigvgan"}
    drawn = {k: torch.from_numpy(v) for k, v in rc.draw_all(random_bigvgan.tensors(own), options.seed).items()}
    buffers = {k: v for k, v in theirs.state_dict().items() if k.endswith("filter")}
    theirs.load_state_dict({**drawn, **buffers})
    if options.fused:
        theirs.remove_weight_norm()
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        made = rc.make_checkpoint(Path(folder) / "made", "tiny", seed=options.seed, vocoder="bigvgan", bigvgan_channels=64)
        path = convert(Path(folder), made, theirs.state_dict(), config)
        with f5lib.Engine(path, max_frames=max(options.frames)) as e:
            for n in (385, 512, 4001, 24000 * 8):
                samples = (0.1 * rng.standard_normal(n)).astype(np.float32)
                report(f"mel of {n} samples", e.mel(samples), their_mel(torch.from_numpy(samples)).numpy())
            for frames in options.frames:
                mel = (2 * rng.standard_normal((frames, 100)) - 3).astype(np.float32)
                times = [time.time()]
                ours = e.vocode(mel)
                times.append(time.time())
                want = theirs(torch.from_numpy(mel).T[None])[0, 0].numpy()
                times.append(time.time())
                report(f"{frames} frames, rms {want.std():.2f}, at the clamp {100 * (np.abs(want) == 1).mean():.1f} %", ours,
                       want, f"; ours {times[1] - times[0]:.1f} s, theirs {times[2] - times[1]:.1f} s")
    print(f"worst {worst:.2e}, bar {BAR:.0e}")
    return int(worst > BAR)


if __name__ == "__main__":
    sys.exit(main())
