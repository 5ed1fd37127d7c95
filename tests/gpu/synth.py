"""synth.py — what the tests of whole sampling share: random full-size models, requests, the reference's answer."""
import numpy as np
import torch

import f5file
from reference import model as reference
from shapes import COND_FRAMES

BASE = "F5TTS_v1_Base"
TORCH_TYPES = dict(fp16=torch.float16, bf16=torch.bfloat16)


class Weights:
    """One set of random tensors serves v0 and v1: the variant is in the configuration alone."""

    def __init__(self, folder, seed):
        self.paths, self.options = {}, {}
        made = f5file.write_model(folder / f"{BASE}.f5", BASE, seed=seed)
        self.paths[BASE] = folder / f"{BASE}.f5"
        self.fp16_path = folder / f"{BASE}_fp16.f5"
        f5file.write_f5(self.fp16_path, made, name=BASE, dtype="fp16")
        v0 = dict(made, config={**made["config"], "text_mask_padding": False, "pe_attn_head": 1})
        self.paths["F5TTS_Base"] = folder / "F5TTS_Base.f5"
        f5file.write_f5(self.paths["F5TTS_Base"], v0, name="F5TTS_Base")
        for name, config in ((BASE, made["config"]), ("F5TTS_Base", v0["config"])):
            self.options[name] = reference.Options(config["text_mask_padding"], config["pe_attn_head"],
                                                   config["average_upsampling"])
        self.model = {k: torch.from_numpy(v).cuda() for k, v in made["model"].items()}
        self.vocos = {k: torch.from_numpy(v).cuda() for k, v in made["vocos"].items()}
        self.vocab_size = len(made["vocab"])


def request_of(rng, frames, cond_frames, vocab_size, n_tokens=None):
    n_tokens = n_tokens or max(1, frames // 8)
    cond = rng.standard_normal((cond_frames, 100)).astype(np.float32) * 2 - 4
    return dict(cond=cond, tokens=rng.integers(0, vocab_size, n_tokens).astype(np.int32), frames=frames,
                noise=rng.standard_normal((frames, 100)).astype(np.float32))


def torch_sample(weights, name, request, dtype=torch.float32, nfe=32):
    """dtype fp16: wholly so, as upstream runs it: state, times and angles too."""
    model = {k: v.to(dtype) for k, v in weights.model.items()} if dtype != torch.float32 else weights.model
    cond, noise = (torch.from_numpy(request[k]).cuda().to(dtype) for k in ("cond", "noise"))
    wide, reference.wide = reference.wide, (reference.wide if dtype == torch.float32 else lambda kind: kind)
    try:
        with torch.no_grad():
            mel = reference.sample(model, weights.options[name], cond, torch.from_numpy(request["tokens"]).cuda().long(),
                                   request["frames"], noise, nfe=nfe)
    finally:
        reference.wide = wide
    return mel.float().cpu().numpy()


def error(ours, truth, cond_frames=COND_FRAMES):
    ours, truth = (x[cond_frames:].astype(np.float64) for x in (ours, truth))
    assert np.isfinite(ours).all()
    return float(np.linalg.norm(ours - truth) / np.linalg.norm(truth))
