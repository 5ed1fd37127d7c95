#!/usr/bin/env python3
"""Proof that model.py is F5-TTS: the same random weights and inputs through upstream's own package and model.py.

Run by hand, not by `make test`: it needs upstream's packages on the path (README.md has the commands).
Every line prints the relative L2 distance ‖ours - upstream‖ / ‖upstream‖; above the bar the script exits 1.
"""
import argparse
import dataclasses
import importlib
import itertools
import os
import sys
import types

import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import model as ours  # noqa: E402

BAR = 1e-5
# Imported by upstream's modules for training, downloads and other vocoders; nothing compared here runs them.
NOT_EXERCISED = ("transformers", "librosa", "librosa.filters", "ema_pytorch", "accelerate", "accelerate.utils", "wandb",
                 "datasets", "huggingface_hub", "scipy", "scipy.signal", "scipy.integrate", "encodec", "einx",
                 "torch.func")


class Absent(types.ModuleType):
    """Stands in for a module that is imported but not used."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def import_upstream():
    for name in NOT_EXERCISED:
        try:
            importlib.import_module(name)
        except Exception as reason:  # absent, or refusing this torch
            print(f"stand-in for {name} ({type(reason).__name__})")
            for broken in [m for m in sys.modules if m == name or m.startswith(name + ".")]:
                del sys.modules[broken]
            sys.modules[name] = Absent(name)
    if not hasattr(F, "scaled_dot_product_attention"):  # torch before 2.0, where upstream refuses to start

        def attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False):
            assert dropout_p == 0.0 and not is_causal
            scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
            return (scores if attn_mask is None else scores.masked_fill(~attn_mask, -torch.inf)).softmax(dim=-1) @ v

        F.scaled_dot_product_attention = attention
        print("torch has no scaled_dot_product_attention: written out")
    import f5_tts.model as f5
    import vocos.heads
    import vocos.models
    from f5_tts.model.modules import MelSpec

    return f5, vocos, MelSpec


def randomize(module, generator):
    """Fresh weights at working scale: upstream starts AdaLN and the output at zero, which hides half the model."""
    for name, p in module.named_parameters():
        if "norm" in name and ".linear." in name or "proj_out" in name:
            scale, shift = 0.02, 0.0
        elif p.dim() <= 1 or "grn" in name:
            scale, shift = 0.1, float(name.endswith(("norm.weight", "gamma", ".g")))
        elif "text_embed.weight" in name:
            scale, shift = 1.0, 0.0
        else:
            scale, shift = p[0].numel() ** -0.5, 0.0
        with torch.no_grad():
            p.copy_(shift + scale * torch.randn(p.shape, generator=generator, device=generator.device))


class Comparison:
    def __init__(self, device, seed):
        self.device = device
        self.generator = torch.Generator().manual_seed(seed)
        self.worst = 0.0

    def randn(self, *shape):
        return torch.randn(*shape, generator=self.generator).to(self.device)

    def tokens(self, n, vocab):
        return torch.randint(0, vocab, (n,), generator=self.generator).to(self.device)

    def report(self, what, mine, theirs):
        assert mine.shape == theirs.shape, (what, mine.shape, theirs.shape)
        assert theirs.norm() > 0, what
        error = ((mine - theirs).norm() / theirs.norm()).item()
        self.worst = max(self.worst, error if error == error else float("inf"))
        print(f"{error:9.2e}  {'ok ' if error <= BAR else 'BAD'}  {what}", flush=True)


def build(c, f5, MelSpec, vocab, **arch):
    """Upstream's CFM around a DiT, or a UNetT where it has skips, and its weights under upstream's names."""
    backbone = f5.UNetT if "skip_connect_type" in arch else f5.DiT
    cfm = f5.CFM(transformer=backbone(text_num_embeds=vocab, mel_dim=100, **arch), mel_spec_module=MelSpec())
    randomize(cfm, c.generator)
    cfm = cfm.to(c.device).eval()
    weights = {k: v for k, v in cfm.state_dict().items() if k.startswith("transformer.")}
    return cfm, weights, ours.Options.from_arch(arch)


BASE = dict(dim=1024, depth=22, heads=16, ff_mult=2, text_dim=512, conv_layers=4)
SMALL = dict(dim=768, depth=18, heads=12, ff_mult=2, text_dim=512, conv_layers=4)
V0 = dict(text_mask_padding=False, pe_attn_head=1)
E2 = dict(dim=1024, depth=24, heads=16, ff_mult=4, skip_connect_type="concat", **V0)


def compare_stages(c, f5, MelSpec):
    """Text encoder and one evaluation of the backbone, both branches."""
    cases = {
        "v1 Base": BASE,
        "v0 Base": {**BASE, **V0},
        "v1 Small, depth 4": {**SMALL, "depth": 4},
        "v0 Small, depth 4": {**SMALL, **V0, "depth": 4},
        "qk_norm": {**BASE, "depth": 4, "qk_norm": "rms_norm"},
        "long skip": {**BASE, "depth": 4, "long_skip_connection": True},
        "average upsampling": {**BASE, "depth": 4, "text_embedding_average_upsampling": True},
        "pe_attn_head 5, ff x4": {**BASE, "depth": 4, "pe_attn_head": 5, "ff_mult": 4},
        "E2 Base": E2,
        "E2, added, qk_norm": {**E2, "depth": 4, "skip_connect_type": "add", "qk_norm": "rms_norm"},
        "E2, no skips, text blocks": {**E2, "depth": 4, "skip_connect_type": "none", "conv_layers": 2, "text_dim": 128,
                                      "text_mask_padding": True, "pe_attn_head": None},
        "no text blocks": {**BASE, "depth": 4, "conv_layers": 0, "text_dim": 100},
    }
    for name, arch in cases.items():
        vocab = 257
        cfm, w, options = build(c, f5, MelSpec, vocab, **arch)
        dit = cfm.transformer
        for frames, n in ((93, 41), (61, 80)):
            tokens = c.tokens(n, vocab)
            x, cond = c.randn(frames, 100), c.randn(frames, 100)
            t = torch.rand((), generator=c.generator).to(c.device)
            both = dit(x=x[None], cond=cond[None], text=tokens[None], time=t, cfg_infer=True, cache=False)
            for null in (False, True):
                branch = "null" if null else "cond"
                text = ours.text_encode(w, options, tokens, frames, null)
                c.report(f"{name}: text, {branch}, N {frames}, tokens {n}", text,
                         dit.text_embed(tokens[None], seq_len=frames, drop_text=null)[0])
                v = ours.velocity(w, options, x, torch.zeros_like(cond) if null else cond, text, t)
                c.report(f"{name}: velocity, {branch}, N {frames}, t {t.item():.3f}", v, both[int(null)])


def compare_wrong_options(c, f5, MelSpec):
    """The comparison sees the options: a v0 model run as a v1 model is far off."""
    cfm, w, options = build(c, f5, MelSpec, 257, **{**BASE, **V0, "depth": 2})
    frames, tokens, t = 80, c.tokens(30, 257), torch.tensor(0.4, device=c.device)
    x, cond = c.randn(frames, 100), c.randn(frames, 100)
    theirs = cfm.transformer(x=x[None], cond=cond[None], text=tokens[None], time=t)[0]
    for change in ({}, {"text_mask_padding": True}, {"pe_attn_head": None}):
        changed = dataclasses.replace(options, **change)
        v = ours.velocity(w, changed, x, cond, ours.text_encode(w, changed, tokens, frames), t)
        if not change:
            c.report("v0 as v0", v, theirs)
        else:
            error = ((v - theirs).norm() / theirs.norm()).item()
            print(f"{error:9.2e}  {'far' if error > 100 * BAR else 'BAD'}  v0 run with {change}")
            c.worst = c.worst if error > 100 * BAR else float("inf")


def compare_sampling(c, f5, MelSpec):
    """CFM.sample with the noise that its seed gives."""
    plain = dict(steps=32, cfg_strength=2.0, sway_sampling_coef=-1.0)
    settings = {
        "32 steps": plain,
        "7 steps EPSS": {**plain, "steps": 7},
        "7 steps uniform": {**plain, "steps": 7, "use_epss": False},
        "16 steps EPSS": {**plain, "steps": 16},
        "5 steps, sway +0.5": {**plain, "steps": 5, "sway_sampling_coef": 0.5},
        "6 steps, sway off": {**plain, "steps": 6, "sway_sampling_coef": None},
        "10 steps, cfg 0": {**plain, "steps": 10, "cfg_strength": 0.0},
        "12 steps, edited": {**plain, "steps": 12, "edit": True},
        "8 steps, midpoint": {**plain, "steps": 8, "midpoint": True},
        "7 steps EPSS, midpoint": {**plain, "steps": 7, "midpoint": True},
    }
    models = {
        "v1": build(c, f5, MelSpec, 257, **{**BASE, "depth": 4}),
        "v0": build(c, f5, MelSpec, 257, **{**BASE, **V0, "depth": 4}),
        "E2": build(c, f5, MelSpec, 257, **{**E2, "depth": 4}),
    }
    for (variant, (cfm, w, options)), (name, kwargs) in itertools.product(models.items(), settings.items()):
        kwargs = dict(kwargs)
        edited, midpoint = kwargs.pop("edit", False), kwargs.pop("midpoint", False)
        cond_frames, n, wanted, seed = 37, 44, 40 if edited else 90, 1234
        frames = ours.sample_frames(n, cond_frames, wanted)
        cond, tokens = c.randn(cond_frames, 100) - 3, c.tokens(n, 257)
        edit_mask = torch.ones(cond_frames, dtype=torch.bool, device=c.device)
        edit_mask[11:23] = not edited
        cfm.odeint_kwargs = dict(method="midpoint" if midpoint else "euler")
        theirs, _ = cfm.sample(cond[None], tokens[None], wanted, seed=seed, edit_mask=edit_mask[None], **kwargs)
        torch.manual_seed(seed)
        noise = torch.randn(frames, 100, device=c.device)
        mine = ours.sample(w, options, cond, tokens, wanted, noise, nfe=kwargs["steps"], cfg=kwargs["cfg_strength"],
                           sway=kwargs["sway_sampling_coef"], epss=kwargs.get("use_epss", True), midpoint=midpoint,
                           edit_mask=edit_mask)
        keep = torch.zeros(frames, dtype=torch.bool, device=c.device)
        keep[:cond_frames] = edit_mask
        assert torch.equal(mine[keep], cond[edit_mask])
        c.report(f"sample {variant}: {name}, {frames} frames", mine[~keep], theirs[0][~keep])


def compare_vocoder(c, vocos, MelSpec):
    for padding in ("center", "same"):
        backbone = vocos.models.VocosBackbone(input_channels=100, dim=512, intermediate_dim=1536, num_layers=8)
        head = vocos.heads.ISTFTHead(dim=512, n_fft=1024, hop_length=256, padding=padding)
        both = torch.nn.ModuleDict({"backbone": backbone, "head": head})
        randomize(both, c.generator)
        both = both.to(c.device).eval()
        w = both.state_dict()
        for frames in (1, 2, 3, 77) if padding == "same" else (2, 3, 77):
            mel = c.randn(frames, 100) * 2 - 3
            theirs = head(backbone(mel.t()[None]))[0]
            c.report(f"vocos {padding}, {frames} frames", ours.vocos(w, mel, padding), theirs)
    time = torch.arange(23456, device=c.device) / 24000
    tone = torch.sin(2000 * time) * torch.exp(-3 * time)
    for what, samples in {
        "noise": 0.1 * c.randn(23456),
        "a tone over a noise floor of -50 dB": tone + 3e-3 * c.randn(23456),
        "513 samples": 0.3 * c.randn(513),
    }.items():
        c.report(f"mel of {what}", ours.mel(samples), MelSpec()(samples[None])[0].t())
    # Bands that hold nothing show the rounding noise of the FFT, which the logarithm makes visible: the bare tone's
    # float32 mels differ by 7e-4 from each other and from float64 alike. Its magnitudes are compared instead.
    c.report("mel of a bare tone, magnitudes", ours.mel(tone).exp(), MelSpec()(tone[None])[0].t().exp())


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--device", default="cpu")
    options.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "little"))
    options.add_argument("--threads", type=int, default=2)
    options = options.parse_args()
    torch.set_num_threads(options.threads)
    ours.exact_math()
    print(f"torch {torch.__version__}, device {options.device}, seed {options.seed}")
    f5, vocos, MelSpec = import_upstream()
    c = Comparison(torch.device(options.device), options.seed)
    with torch.no_grad():
        compare_vocoder(c, vocos, MelSpec)
        compare_wrong_options(c, f5, MelSpec)
        compare_sampling(c, f5, MelSpec)
        compare_stages(c, f5, MelSpec)
    print(f"worst {c.worst:.2e}, bar {BAR:.0e}")
    return int(c.worst > BAR)


if __name__ == "__main__":
    sys.exit(main())
