"""bench/torch_fm_tts.py — Flow-Matching-TTS as upstream computes it, as fast as PyTorch makes it: the peer of f5bench.py e2e
--arch FM_TTS, with torch_peer.py's modes. Text features once, then [text; frames] through the transformer at each step in
`dtype`, the multi-band MB-iSTFT in float32 (torch_generator.py). The number of frames is given, as it is to f5tts.
"""
import torch
import torch.nn.functional as F

import fm_tts as reference  # found by workload
from torch_generator import MultiBand
from torch_peer import Replayed, choose_attention, exact, linear, step_of, under  # noqa: F401

EPS, SWAY = reference.EPS, -1.0


def reference_mel(made, cond, tokens, noise, nfe, device="cuda"):
    """In float32; cond is None."""
    assert cond is None
    w = {k: torch.as_tensor(v, device=device) for k, v in made["model"].items()}
    with exact():
        tokens, noise = (torch.as_tensor(a, device=device) for a in (tokens, noise))
        return reference.sample(w, tokens.long(), noise, nfe, SWAY).cpu().numpy()


class Weights:
    """Upstream-named arrays on the GPU: the transformer in `dtype`, the vocoder in float32."""

    def __init__(self, made, dtype=torch.float16, device="cuda"):
        c = made["config"]
        self.heads, self.dtype, self.device = c["heads"], dtype, torch.device(device)
        w = {k: torch.as_tensor(v, device=device).to(dtype) for k, v in under(made["model"], reference.MODEL).items()}
        self.text_blocks = [under(w, f"convnext_blocks.{i}.") for i in range(4)]
        self.layers = [under(w, f"transformer.layers.{i}.") for i in range(c["depth"])]
        self.outer = {k: v for k, v in w.items() if not k.startswith(("convnext_blocks.", "transformer."))}
        self.vocoder = MultiBand({k: torch.as_tensor(v, device=device) for k, v in made["vocos"].items()})


def norm(w, name, x):
    return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], EPS)


def text_features(w, tokens):
    """tokens [T] -> [1,T,D]"""
    x = F.embedding(tokens, w.outer["text_emb.weight"])[None] + w.outer["text_pos_enc"][:, :len(tokens)]
    for block in w.text_blocks:
        weight = block["dwconv.weight"]
        h = F.conv1d(x.transpose(1, 2), weight, block["dwconv.bias"], padding=weight.shape[2] // 2, groups=weight.shape[0])
        h = norm(block, "norm", h.transpose(1, 2))
        x = x + linear(block, "pwconv2", F.gelu(linear(block, "pwconv1", h)))
    return x


def pointwise(w, name, x):
    """A convolution of one tap."""
    return F.linear(x, w[name + ".weight"][:, :, 0], w[name + ".bias"])


def step(w, x, time_features, dt, text):
    """x [N,80] float32 a step further."""
    outer = w.outer
    time = linear(outer, "time_mlp.2", F.gelu(linear(outer, "time_mlp.0", time_features[None])))
    h = torch.cat((text, pointwise(outer, "mel_proj", x.to(w.dtype))[None]), dim=1) + time
    for layer in w.layers:
        qkv = F.linear(norm(layer, "norm1", h), layer["self_attn.in_proj_weight"], layer["self_attn.in_proj_bias"])
        q, k, v = qkv.unflatten(-1, (3, w.heads, 64)).permute(2, 0, 3, 1, 4)
        h = h + linear(layer, "self_attn.out_proj", F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        h = h + linear(layer, "linear2", F.relu(linear(layer, "linear1", norm(layer, "norm2", h))))
    return x + dt * pointwise(outer, "output_proj", h[0, text.shape[1]:]).float()


class Peer(Replayed):
    """Requests of one size. peer(None, tokens): tokens in host memory to samples in host memory of the peer's."""

    def __init__(self, weights, frames, n_tokens, nfe=10, mode="compile+graph", compile_mode="default"):
        assert " " not in mode, f"{mode}: of F5-TTS and E2-TTS only"
        self.w, device = weights, weights.device
        self.noise = torch.zeros(frames, 80, device=device)
        self.tokens = torch.zeros(n_tokens, dtype=torch.long, device=device)
        half, self.dt = weights.outer["text_emb.weight"].shape[1] // 2, 1 / nfe
        frequencies = 10000.0 ** -(torch.arange(half, device=device) / (half - 1))
        times = [min(1.0, max(0.0, i / nfe + SWAY * (1 - i / nfe) * (i / nfe))) for i in range(nfe)]
        self.time_features = [torch.cat(((t * frequencies).sin(), (t * frequencies).cos())).to(weights.dtype) for t in times]
        self.step = step_of(step, mode, compile_mode)
        self.features = step_of(weights.vocoder.features, mode, compile_mode)
        self.start(mode)

    @torch.no_grad()
    def ode(self):
        text, x = text_features(self.w, self.tokens), self.noise
        for features in self.time_features:
            x = self.step(self.w, x, features, self.dt, text)
        return x

    @torch.no_grad()
    def vocode(self, mel):
        return self.w.vocoder.samples(self.features(mel))

    def __call__(self, cond, tokens, noise=None):
        assert cond is None
        return self.listen(tokens, noise)
