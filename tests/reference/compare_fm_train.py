#!/usr/bin/env python3
"""compare_fm_train.py — Flow-Matching-TTS's own training beside weights/train/fm_cfm.py: the same random weights, batch and
seed; both losses and the gradient of every weight, without dropout and with it.

    git clone https://github.com/gateoneh92/Flow-Matching-TTS UPSTREAM
    python3 tests/reference/compare_fm_train.py UPSTREAM [--small] [--seed N] [--run OUT]

--run OUT: a folder of finetune.py's; upstream's own load_checkpoint takes its G_N.pth, weights and optimiser.
Exits 1 where a loss or a gradient is over 1e-4 away (relative L2)."""
import argparse
import json
import sys
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "weights/train"), str(HERE.parents[1] / "weights")]
from compare_fm_tts import module_of, upstream_model  # noqa: E402

import fm_cfm  # noqa: E402

BAR = 1e-4


def batch(lens, counts):
    mel, ids = torch.zeros(len(lens), max(lens), 80), torch.full((len(lens), max(counts)), -1)
    for i, (n, count) in enumerate(zip(lens, counts)):
        mel[i, :n] = 3 * torch.randn(n, 80) - 5
        ids[i, :count] = torch.randint(0, 187, (count,))
    return mel, torch.tensor(lens), ids


def compare(tts, layers, lens, counts, dropout, seed):
    mel, n, ids = batch(lens, counts)
    tts.train()
    tts.zero_grad()
    for module in tts.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
        if isinstance(module, torch.nn.MultiheadAttention):
            module.dropout = dropout
    torch.manual_seed(seed)
    told = tts(ids.clamp(min=0), torch.tensor(counts), mel.transpose(1, 2).contiguous(), n)
    theirs = told["flow_loss"] + 0.1 * told["duration_loss"]
    theirs.backward()
    w = {f"flow_tts.{name}": p.detach().clone().requires_grad_() for name, p in tts.named_parameters()}
    torch.manual_seed(seed)
    mine = fm_cfm.loss(w, fm_cfm.Arch(depth=layers, dropout=dropout), mel, n, ids, fm_cfm.draw(mel, n, None))
    mine.backward()
    pairs = [(w[f"flow_tts.{name}"].grad, p.grad) for name, p in tts.named_parameters()]
    size = torch.cat([b.flatten() for _, b in pairs]).norm()
    distance = torch.cat([(a - b).flatten() for a, b in pairs]).norm() / size
    worst = max(float((a - b).norm() / b.norm()) for a, b in pairs if b.norm() > 1e-4 * size)
    loss = abs(float(mine) / float(theirs) - 1)
    print(f"frames {lens}, tokens {counts}, dropout {dropout}: loss {float(theirs):.5f} (flow {float(told['flow_loss']):.5f}, "
          f"durations {float(told['duration_loss']):.5f}), away {loss:.1e}; gradients {float(distance):.1e}, worst {worst:.1e}")
    return max(loss, float(distance), worst) < BAR


class Whole(torch.nn.Module):
    """The modules of upstream's synthesiser that have parameters, by its names."""

    def __init__(self, tts, dec):
        super().__init__()
        self.flow_tts, self.dec = tts, dec


def takes(upstream, tts, config, out):
    """Upstream's load_checkpoint on a G_N.pth: weights and optimiser."""
    m = config["model"]
    dec = module_of(upstream, "models").Multiband_iSTFT_Generator(
        80, m["resblock"], m["resblock_kernel_sizes"], m["resblock_dilation_sizes"], m["upsample_rates"],
        m["upsample_initial_channel"], m["upsample_kernel_sizes"], m["gen_istft_n_fft"], m["gen_istft_hop_size"], m["subbands"])
    whole = Whole(tts, dec)
    utils = module_of(upstream, "utils")
    optimiser = torch.optim.AdamW(whole.parameters(), 2e-4, betas=(0.8, 0.99), eps=1e-9)
    path = utils.latest_checkpoint_path(str(out), "G_*.pth")
    _, _, rate, epoch = utils.load_checkpoint(path, whole, optimiser)
    saved = torch.load(path, map_location="cpu")["model"]
    same = all(torch.equal(values, saved[name]) for name, values in whole.state_dict().items() if name in saved)
    moved = sum(p in optimiser.state for p in whole.parameters())
    print(f"{path}: upstream loads it, epoch {epoch}, rate {rate}: weights equal {same}, {moved} of "
          f"{len(list(whole.parameters()))} parameters with moments")
    return same and moved > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("upstream", type=Path)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--run", type=Path)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    config = json.loads((args.upstream / "configs/flow_matching.json").read_text())
    if args.small:
        config["model"].update(flow_d_model=128, flow_nhead=2, flow_num_layers=3, flow_dim_feedforward=192)
    if args.run:
        config = json.loads((args.run / "config.json").read_text())
    with torch.no_grad():
        tts = upstream_model(args.upstream.resolve(), config)
    if args.run:
        return 0 if takes(args.upstream.resolve(), tts, config, args.run) else 1
    good = True
    for lens, counts in (([120], [31]), ([90, 200, 150], [41, 41, 41]), ([150, 64, 210], [33, 21, 75])):
        for dropout in (0.0, 0.1):
            good &= compare(tts, config["model"]["flow_num_layers"], lens, counts, dropout, args.seed)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
