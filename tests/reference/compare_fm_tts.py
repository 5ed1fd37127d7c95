#!/usr/bin/env python3
"""compare_fm_tts.py — libf5tts beside Flow-Matching-TTS's own code, which this project does not hold: durations, mels and
waves of random weights as large as trained ones. The vocoder in four forms: as coded there, and the multi-band,
multi-stream and plain iSTFT generators of LLM-iSTFT-VITS.

    git clone https://github.com/gateoneh92/Flow-Matching-TTS UPSTREAM
    git clone https://github.com/gateoneh92/LLM-iSTFT-VITS FAMILY
    pip install --no-deps --target SITE 'scipy<1.12'
    PYTHONPATH=SITE python3 tests/reference/compare_fm_tts.py UPSTREAM FAMILY [--small] [--seed N]

Exits 1 where a number of frames differs, a mel is over 1e-5 away (relative L2, of what sampling adds to the noise), or a
wave over 1e-4."""
import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import cbind  # noqa: E402
import f5abi  # noqa: E402
import f5lib  # noqa: E402

BAR, WAVE_BAR = 1e-5, 1e-4
HOW = [(10, -1.0, "euler"), (20, -1.0, "euler"), (7, -0.5, "euler"), (5, -2.0, "euler"), (10, 0.0, "euler"), (5, 0.0, "midpoint")]


def module_of(folder, name):
    """A module of a checkout, whose modules are called as those of the other one; what only training imports is left out."""
    for known in ("models", "modules", "commons", "attentions", "transforms", "pqmf", "stft", "flow_matching"):
        sys.modules.pop(known, None)
    for absent in ("librosa", "librosa.util", "monotonic_align"):
        sys.modules[absent] = types.ModuleType(absent)
    sys.modules["librosa"].util = sys.modules["librosa.util"]
    sys.modules["librosa.util"].pad_center = sys.modules["librosa.util"].tiny = None
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))


def upstream_generator(upstream, family, form, config):
    """(its vocoder, what the configuration then says, [1,80,N] -> samples)"""
    m = config["model"]
    names = {"coded": "Multiband_iSTFT_Generator", "bands": "Multiband_iSTFT_Generator", "streams": "Multistream_iSTFT_Generator",
             "single": "iSTFT_Generator"}
    said = {"mb_istft_vits": form in ("coded", "bands"), "ms_istft_vits": form == "streams", "istft_vits": form == "single",
            "upsample_rates": [8, 8] if form == "single" else [4, 4]}
    sizes = [80, m["resblock"], m["resblock_kernel_sizes"], m["resblock_dilation_sizes"], said["upsample_rates"],
             m["upsample_initial_channel"], m["upsample_kernel_sizes"], m["gen_istft_n_fft"], m["gen_istft_hop_size"]]
    generator = getattr(module_of(upstream if form == "coded" else family, "models"), names[form])
    dec = generator(*sizes, *([] if form == "single" else [m["subbands"]])).eval()
    parameters = dict(dec.named_parameters())
    for name, parameter in parameters.items():  # initial weights are near zero: what comes out would be bias alone
        if name.endswith("weight_g"):
            v = parameters[name[:-1] + "v"]
            inputs = v.shape[0] * v.shape[2] / 4 if name.startswith("ups.") else v.shape[1] * v.shape[2]
            v.normal_()
            parameter.copy_(v.flatten(1).norm(dim=1)[:, None, None] * 0.9 * inputs ** -0.5)
        elif name.endswith("bias"):
            parameter.normal_(0, 0.1)

    def wave(mel):
        cuda, torch.Tensor.cuda = torch.Tensor.cuda, lambda tensor, *_: tensor  # one generator moves a buffer by itself
        try:
            return dec(mel)[0].flatten()
        finally:
            torch.Tensor.cuda = cuda

    return dec, said, wave


def upstream_model(folder, config):
    FlowMatchingTTS = module_of(folder, "flow_matching").FlowMatchingTTS
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


def convert(tts, dec, config, folder):
    weights = {f"flow_tts.{name}": t for name, t in tts.state_dict().items()}
    weights.update({f"dec.{name}": t for name, t in dec.state_dict().items()})
    torch.save({"model": weights, "iteration": 1, "learning_rate": 2e-4,
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


def compare_waves(wave, engine, form, lengths):
    worst = 0.0
    for n in lengths:
        mel = torch.randn(1, 80, n) * 2 - 3
        theirs = wave(mel).numpy()
        distance = cbind.rel_l2(engine.vocode(mel[0].T.contiguous().numpy()), theirs)
        worst = max(worst, distance)
        print(f"{form}, {n} frames, {len(theirs)} samples of {np.abs(theirs).mean():.2g}: {distance:.2e}", flush=True)
    print(f"{form}: worst wave {worst:.2e}, bar {WAVE_BAR}")
    return worst <= WAVE_BAR


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("upstream", type=Path)
    parser.add_argument("family", type=Path)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_grad_enabled(False)
    config = json.loads((args.upstream / "configs/flow_matching.json").read_text())
    if args.small:
        config["model"].update(flow_d_model=128, flow_nhead=2, flow_num_layers=3, flow_dim_feedforward=192,
                               upsample_initial_channel=64)
    upstream, family, good = args.upstream.resolve(), args.family.resolve(), True
    tts = upstream_model(upstream, config)
    for form in ("coded", "bands", "streams", "single"):
        dec, said, wave = upstream_generator(upstream, family, form, config)
        config["model"].update(said)
        with tempfile.TemporaryDirectory() as folder:
            with f5lib.Engine(convert(tts, dec, config, Path(folder)), max_frames=1500) as engine:
                if form == "coded":
                    good &= compare(tts, engine, (9, 23, 61) if args.small else (101, 31))
                good &= compare_waves(wave, engine, form, (1, 2, 7, 93, 400) if args.small else (1, 31, 200, 862))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
