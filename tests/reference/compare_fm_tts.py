#!/usr/bin/env python3
"""compare_fm_tts.py — libf5tts beside Flow-Matching-TTS's own code, which this project does not hold: durations and mels
of random weights as large as trained ones.

    git clone https://github.com/gateoneh92/Flow-Matching-TTS UPSTREAM
    python3 tests/reference/compare_fm_tts.py UPSTREAM [--small] [--seed N]

Exits 1 where a number of frames differs or a mel is over 1e-5 away (relative L2, of what sampling adds to the noise)."""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import cbind  # noqa: E402
import f5abi  # noqa: E402
import f5lib  # noqa: E402

BAR = 1e-5
HOW = [(10, -1.0, "euler"), (20, -1.0, "euler"), (7, -0.5, "euler"), (5, -2.0, "euler"), (10, 0.0, "euler"), (5, 0.0, "midpoint")]


def upstream_model(folder, config):
    sys.path.insert(0, str(folder))
    from flow_matching import FlowMatchingTTS

    m = config["model"]
    tts = FlowMatchingTTS(80, m["n_text_vocab"], m["flow_d_model"], m["flow_nhead"], m["flow_num_layers"],
                          m["flow_dim_feedforward"], use_duration_predictor=m["use_duration_predictor"]).eval()
    for parameter in tts.parameters():  # biases and norms off their initial values
        if parameter.dim() == 1:
            parameter += 0.1 * torch.randn_like(parameter)
    tts.duration_predictor.proj.bias.fill_(1.4)
    tts.duration_predictor.proj.weight *= 3
    tts.flow_matching.model.output_proj.weight *= 4
    return tts


def upstream_frames(tts, tokens, scale):
    """infer's own lines: the whole of it would sample, too."""
    x = tts.text_encoder[0](tokens[None]).transpose(1, 2)
    for layer in tts.text_encoder[1:]:
        x = layer(x)
    durations = torch.exp(tts.duration_predictor(x, torch.ones(1, 1, len(tokens)))) * scale
    return int(torch.clamp(durations, min=1.0)[0].sum().long())


def upstream_mel(tts, tokens, noise, nfe, sway, method):
    """infer, with its noise given."""
    drawn, torch.randn = torch.randn, lambda *_, **__: noise.clone()
    try:
        return tts.infer(tokens[None], torch.tensor([len(tokens)]), n_timesteps=nfe, method=method, sway_coef=sway)[0]
    finally:
        torch.randn = drawn


def convert(tts, config, folder):
    torch.save({"model": {f"flow_tts.{name}": t for name, t in tts.state_dict().items()}, "iteration": 1, "learning_rate": 2e-4,
                "optimizer": torch.optim.AdamW(tts.parameters(), 2e-4).state_dict()}, folder / "G_1.pth")
    (folder / "config.json").write_text(json.dumps(config))
    program = f5abi.library_path().parent.parent / "bin" / "f5tts"
    subprocess.run([program, "convert", "--quiet", "--config", folder / "config.json", "--checkpoint", folder / "G_1.pth",
                    "--output", folder / "model.f5"], check=True)
    return str(folder / "model.f5")


def compare(tts, engine, lengths):
    wrong, worst = 0, 0.0
    for n in lengths:
        tokens = torch.randint(0, 187, (n,))
        ids = tokens.numpy().astype(np.int32)
        for scale in (1.0, 0.37, 1.9):
            theirs, ours = upstream_frames(tts, tokens, scale), engine.predict_frames(ids, scale)
            wrong += theirs != ours
            print(f"{n} tokens, scale {scale}: {theirs} frames, ours {ours}")
        frames = engine.predict_frames(ids)
        for nfe, sway, method in HOW:
            noise = torch.randn(1, 80, frames)
            theirs = (upstream_mel(tts, tokens, noise, nfe, sway, method) - noise)[0].T.numpy()
            given = noise[0].T.contiguous().numpy()
            ours = engine.sample([dict(tokens=ids, frames=frames, noise=given)], nfe=nfe, sway=sway or None,
                                 midpoint=method == "midpoint")[0] - given
            distance = cbind.rel_l2(ours, theirs)
            worst = max(worst, distance)
            print(f"{n} tokens, {frames} frames, {method} {nfe}, sway {sway}: {distance:.2e}", flush=True)
    print(f"{wrong} numbers of frames differ; worst mel {worst:.2e}, bar {BAR}")
    return wrong == 0 and worst <= BAR


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("upstream", type=Path)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_grad_enabled(False)
    config = json.loads((args.upstream / "configs/flow_matching.json").read_text())
    if args.small:
        config["model"].update(flow_d_model=128, flow_nhead=2, flow_num_layers=3, flow_dim_feedforward=192)
    tts = upstream_model(args.upstream.resolve(), config)
    with tempfile.TemporaryDirectory() as folder:
        with f5lib.Engine(convert(tts, config, Path(folder)), max_frames=1500) as engine:
            return 0 if compare(tts, engine, (9, 23, 61) if args.small else (101, 31)) else 1


if __name__ == "__main__":
    sys.exit(main())
