#!/usr/bin/env python3
"""Proof that weights/train/cfm.py trains as upstream does: the same random weights, batch and seed through upstream's own
CFM and through it; the loss and the gradient of every weight are compared, and then the AdamW step, schedule and EMA.

Run by hand as compare_upstream.py is, with the same packages: see README.md.

    compare_finetune.py [--full] [--checkpoint RUN/model_last.pt --config RUN/model.yaml]

--full    F5TTS_v1_Base at its full size, 12 GB; else every released kind of model in a small shape
--checkpoint  a checkpoint of finetune.py: upstream's classes load it, and CFM.sample gives the mel of model.py

Every line prints the relative L2 distance; above the bar the script exits 1.
"""
import argparse
import random
import sys
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "weights/train")]
import compare_upstream as proof  # noqa: E402

import cfm  # noqa: E402

BAR = 1e-4
SMALL = dict(dim=128, depth=4, heads=2, ff_mult=2, text_dim=64, conv_layers=2)
E2 = dict(dim=128, depth=4, heads=2, ff_mult=4, skip_connect_type="concat", **proof.V0)
CASES = {
    "v1": SMALL,
    "v1, padding masked": {**SMALL, "attn_mask_enabled": True},
    "v1, activations again": {**SMALL, "checkpoint_activations": True},
    "v0": {**SMALL, **proof.V0},
    "average upsampling, q/k norm": {**SMALL, "text_embedding_average_upsampling": True, "qk_norm": "rms_norm"},
    "long skip": {**SMALL, "long_skip_connection": True},
    "E2": E2,
    "E2, added": {**E2, "skip_connect_type": "add"},
    "E2, text blocks": {**E2, "skip_connect_type": "none", "conv_layers": 2, "text_dim": 64, "text_mask_padding": True},
}


def arch_of(arch, dropout):
    pe = arch.get("pe_attn_head")
    return cfm.Arch(kind="UNetT" if "skip_connect_type" in arch else "DiT", depth=arch["depth"],
                    text_blocks=arch.get("conv_layers", 0), text_mask_padding=arch.get("text_mask_padding", True),
                    average_upsampling=arch.get("text_embedding_average_upsampling", False), pe_attn_head=pe,
                    skip=arch.get("skip_connect_type", "concat"), dropout=dropout,
                    attention_mask=arch.get("attn_mask_enabled", False), recompute=arch.get("checkpoint_activations", False))


def batch(generator, vocab, lengths, letters):
    frames, rows = max(lengths), max(letters)
    mel = torch.zeros(len(lengths), frames, 100)
    ids = torch.full((len(lengths), rows), -1, dtype=torch.long)
    for i, (n, t) in enumerate(zip(lengths, letters)):
        mel[i, :n] = torch.randn(n, 100, generator=generator) * 2 - 2
        ids[i, :t] = torch.randint(0, vocab, (t,), generator=generator)
    return mel, torch.tensor(lengths), ids


def distances(w, theirs, mine, other):
    """Of the losses, of all gradients together, and of the worst tensor of those that are no rounding."""
    flat = [torch.cat([g.flatten() for g in gradients]) for gradients in zip(*(
        (w[n].grad, theirs[n].grad if theirs[n].grad is not None else torch.zeros_like(theirs[n])) for n in w))]
    size = flat[1].norm()
    worst = max((((w[n].grad - theirs[n].grad).norm() / theirs[n].grad.norm()).item(), n) for n in w
                if theirs[n].grad is not None and theirs[n].grad.norm() > 1e-4 * size)
    return abs(mine - other) / abs(other), ((flat[0] - flat[1]).norm() / size).item(), worst


def compare(f5, MelSpec, name, arch, vocab, lengths, letters, drops, dropout, seed, check):
    generator = torch.Generator().manual_seed(seed)
    kind = f5.UNetT if "skip_connect_type" in arch else f5.DiT
    model = f5.CFM(transformer=kind(text_num_embeds=vocab, mel_dim=100, dropout=dropout, **arch), mel_spec_module=MelSpec(),
                   audio_drop_prob=float(drops > 0), cond_drop_prob=float(drops > 1))
    proof.randomize(model, generator)
    model.train()
    w = {n: p.detach().clone().requires_grad_() for n, p in model.named_parameters()}
    mel, lens, ids = batch(generator, vocab, lengths, letters)
    torch.manual_seed(seed)
    other, _, _ = model(mel, text=ids, lens=lens)
    other.backward()
    torch.manual_seed(seed)
    dropped = iter([0.0 if drops > 0 else 0.999, 0.0 if drops > 1 else 0.999])
    a = arch_of(arch, dropout)
    mine = cfm.loss(w, a, mel, lens, ids, cfm.draw(mel, lens, lambda: next(dropped)))
    mine.backward()
    loss, gradient, (worst, where) = distances(w, dict(model.named_parameters()), mine.item(), other.item())
    check(loss, f"{name}: loss {other.item():.6f}")
    check(gradient, f"{name}: gradient, all of it")
    check(worst, f"{name}: gradient, worst tensor {where}")


def compare_schedule(check):
    """Twenty updates of weights with given gradients: upstream's own optimiser, schedule and EMA, and finetune's."""
    import ema_pytorch
    from torch.optim.lr_scheduler import LinearLR, SequentialLR

    import upstream_state

    torch.manual_seed(5)
    theirs = torch.nn.Linear(7, 5)
    optimiser = torch.optim.AdamW(theirs.parameters(), lr=1e-2)
    schedule = SequentialLR(optimiser, [LinearLR(optimiser, start_factor=1e-8, end_factor=1.0, total_iters=30),
                                        LinearLR(optimiser, start_factor=1.0, end_factor=1e-8, total_iters=170)], [30])
    averaged = ema_pytorch.EMA(theirs, include_online_model=False)
    w = {n: p.detach().clone().requires_grad_() for n, p in theirs.named_parameters()}
    mine = upstream_state.Optimiser(w, rate=1e-2, warm_up=30, updates=200)
    ema = upstream_state.Average(w)
    for step in range(200):
        for (_, p), q in zip(theirs.named_parameters(), w.values()):
            p.grad = torch.randn(p.shape)
            q.grad.copy_(p.grad)
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimiser.step(), schedule.step(), averaged.update()
        mine.step(), ema.update()
    for n, p in theirs.named_parameters():
        check(((w[n] - p).norm() / p.norm()).item(), f"200 updates of {n}")
        other = dict(averaged.ema_model.named_parameters())[n]
        check(((ema.weights[n] - other).norm() / other.norm()).item(), f"200 updates of {n}, averaged")


def compare_checkpoint(f5, MelSpec, checkpoint, config, check):
    """Upstream's own loading (trainer.py: ema_model_state_dict without its prefix) and CFM.sample."""
    import yaml

    import upstream_state
    arch = yaml.safe_load(Path(config).read_text())["model"]
    kind = {"DiT": f5.DiT, "UNetT": f5.UNetT}[arch["backbone"]]
    new = int(torch.__version__.split(".")[0]) > 1  # whose weights_only, by which upstream loads, knows numbers
    saved = torch.load(checkpoint, weights_only=True, map_location="cpu") if new else upstream_state.read(checkpoint)
    weights = {k.replace("ema_model.", ""): v for k, v in saved["ema_model_state_dict"].items()
               if k not in ("initted", "update", "step")}
    vocab = len(weights["transformer.text_embed.text_embed.weight"]) - 1
    model = f5.CFM(transformer=kind(text_num_embeds=vocab, mel_dim=100, **arch["arch"]), mel_spec_module=MelSpec())
    model.load_state_dict(saved["model_state_dict"])
    model.load_state_dict(weights)
    resumed = torch.optim.AdamW(model.parameters())  # what upstream's trainer goes on with: of the same order
    resumed.load_state_dict(saved["optimizer_state_dict"])
    for p in model.parameters():
        assert resumed.state[p]["exp_avg"].shape == p.shape
    model.eval()
    options = proof.ours.Options.from_arch(arch["arch"])
    torch.manual_seed(3)
    cond, tokens = torch.randn(70, 100) - 2, torch.randint(0, vocab, (40,))
    out, trajectory = model.sample(cond[None], tokens[None], 130, steps=5, cfg_strength=2.0, sway_sampling_coef=-1.0, seed=1)
    mine = proof.ours.sample(weights, options, cond, tokens, 130, trajectory[0][0], nfe=5)
    check(((mine[70:] - out[0, 70:]).norm() / out[0, 70:].norm()).item(), f"{checkpoint}: mel by CFM.sample")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--full", action="store_true")
    p.add_argument("--checkpoint")
    p.add_argument("--config")
    p.add_argument("--seed", type=int, default=1)
    options = p.parse_args()
    f5, _, MelSpec = proof.import_upstream()
    bad = []

    def check(error, what):
        good = error <= BAR
        print(f"{error:9.2e}  {'ok ' if good else 'BAD'}  {what}", flush=True)
        if not good:
            bad.append(what)

    random.seed(options.seed)
    if options.checkpoint:
        compare_checkpoint(f5, MelSpec, options.checkpoint, options.config, check)
    elif options.full:
        compare(f5, MelSpec, "F5TTS_v1_Base", proof.BASE, 2545, [210, 150], [60, 41], 0, 0.1, options.seed, check)
    else:
        for name, arch in CASES.items():
            for drops, dropout in ((0, 0.1), (1, 0.0), (2, 0.1)):
                compare(f5, MelSpec, f"{name}, {drops} dropped, dropout {dropout}", arch, 61, [93, 61, 40], [41, 70, 5], drops,
                        dropout, options.seed, check)
        compare_schedule(check)
    sys.exit(f"{len(bad)} above {BAR}" if bad else 0)


if __name__ == "__main__":
    main()
