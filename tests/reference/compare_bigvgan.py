#!/usr/bin/env python3
"""BigVGAN at full size against NVIDIA's own code: random weights through both, 1 to 800 frames, and the mel.

    python3 tests/reference/compare_bigvgan.py BIGVGAN_REPOSITORY [--frames 1 2 37 240 800] [--device cuda]

Run by hand, not by `make test`: it needs a checkout of github.com/NVIDIA/BigVGAN, librosa (for NVIDIA's mel) and
huggingface_hub, and takes minutes. The generator is saved by NVIDIA's class, weight-normed or, with --fused, after
remove_weight_norm, and read by `f5tts convert`. On a GPU, where there may be no converter, the weights are packed by
f5file.py; NVIDIA's class runs in float64, which ours in each of its number types and NVIDIA's own in PyTorch's (float32
without TF32, 16 bits wholly so) are held against. Prints relative L2 distances; where ours in fp32 is above the bar, or in 16
bits not below PyTorch's, it exits 1.
"""
import argparse
import copy
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
TYPES = dict(fp32=torch.float32, fp16=torch.float16, bf16=torch.bfloat16)


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


class Comparison:
    def __init__(self, options, folder):
        config = (options.repository / "configs/bigvgan_v2_24khz_100band_256x.json").read_text()
        self.theirs, self.their_mel = load_theirs(options.repository, config)
        del sys.modules["bigvgan"]  # the module beside this file has the same name
        sys.path.remove(str(options.repository))
        import f5file
        import f5lib
        import random_bigvgan
        import random_checkpoint as rc
        self.engine, self.options = f5lib.Engine, options
        drawn = rc.draw_all(random_bigvgan.tensors({**rc.OPTIONS, "vocoder": "bigvgan"}), options.seed)
        buffers = {k: v for k, v in self.theirs.state_dict().items() if k.endswith("filter")}
        self.theirs.load_state_dict({**{k: torch.from_numpy(v) for k, v in drawn.items()}, **buffers})
        if options.fused:
            self.theirs.remove_weight_norm()
        made = rc.make_checkpoint(folder / "made", "tiny", seed=options.seed, vocoder="bigvgan", bigvgan_channels=64)
        if options.device == "cpu":
            self.path = convert(folder, made, self.theirs.state_dict(), config)
        else:
            self.path = folder / "model.f5"
            f5file.write_f5(self.path, made | dict(vocos=drawn, config={**made["config"], "bigvgan_channels": 1536}))
        self.theirs = self.theirs.to(options.device)
        self.rng = np.random.default_rng(options.seed)

    def random_mel(self, frames):
        return (2 * self.rng.standard_normal((frames, 100)) - 3).astype(np.float32)

    def run_theirs(self, generator, dtype, mel):
        return generator(torch.from_numpy(mel).to(self.options.device, dtype).T[None])[0, 0].double().cpu().numpy()

    def compare_mels(self):
        """Their distances from NVIDIA's."""
        with self.engine(self.path, self.options.device, max_frames=750) as e:
            for n in (385, 512, 4001, 24000 * 8):
                samples = (0.1 * self.rng.standard_normal(n)).astype(np.float32)
                found = relative(e.mel(samples), self.their_mel(torch.from_numpy(samples)).numpy())
                print(f"{found:9.2e}  mel of {n} samples", flush=True)
                yield found

    def compare_samples(self):
        with self.engine(self.path, max_frames=max(self.options.frames)) as e:
            for frames in self.options.frames:
                mel, times = self.random_mel(frames), [time.time()]
                ours = e.vocode(mel)
                times.append(time.time())
                want = self.run_theirs(self.theirs, torch.float32, mel)
                times.append(time.time())
                print(f"{relative(ours, want):9.2e}  {frames} frames, rms {want.std():.2f}, at the clamp "
                      f"{100 * (np.abs(want) == 1).mean():.1f} %; ours {times[1] - times[0]:.1f} s, theirs {times[2] - times[1]:.1f} s",
                      flush=True)
                yield relative(ours, want)

    def compare_types(self):
        """A row a length; what yields above the bar is fp32's, or 16 bits that are not below PyTorch's."""
        mels, found = [self.random_mel(n) for n in self.options.frames], {}
        for name in TYPES:
            kind = None if name == "fp32" else name
            with self.engine(self.path, self.options.device, vocoder_precision=kind, max_frames=max(self.options.frames)) as e:
                found["ours", name] = [e.vocode(mel) for mel in mels]
        fused = copy.deepcopy(self.theirs)
        if not self.options.fused:
            fused.remove_weight_norm()
        for name, dtype in TYPES.items():
            generator = copy.deepcopy(fused).to(dtype)
            found["torch", name] = [self.run_theirs(generator, dtype, mel) for mel in mels]
        truth = self.theirs.double()
        print("frames" + "".join(f"{' '.join(key):>12}" for key in found) + "   against NVIDIA's class in float64")
        for i, mel in enumerate(mels):
            want = self.run_theirs(truth, torch.float64, mel)
            row = {key: relative(values[i], want) for key, values in found.items()}
            print(f"{len(mel):6}" + "".join(f"{error:12.2e}" for error in row.values()) + f"   rms {want.std():.2f}, at the clamp "
                  f"{100 * (np.abs(want) == 1).mean():.1f} %", flush=True)
            yield row["ours", "fp32"]
            yield 0.0 if all(row["ours", name] < row["torch", name] for name in TYPES if name != "fp32") else np.inf


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("repository", type=Path)
    options.add_argument("--frames", type=int, nargs="+", default=[1, 2, 37, 240, 800])
    options.add_argument("--fused", action="store_true")
    options.add_argument("--device", default="cpu")
    options.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "little"))
    options = options.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    torch.set_grad_enabled(False)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    print(f"torch {torch.__version__}, seed {options.seed}, {'fused' if options.fused else 'weight-normed'}")
    with tempfile.TemporaryDirectory() as folder:
        c = Comparison(options, Path(folder))
        worst = max([*c.compare_mels(), *(c.compare_samples() if options.device == "cpu" else c.compare_types())])
    print(f"worst {worst:.2e}, bar {BAR:.0e}")
    return int(not worst <= BAR)


if __name__ == "__main__":
    sys.exit(main())
