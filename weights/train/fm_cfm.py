"""fm_cfm.py — Flow-Matching-TTS's training losses over a padded batch: the flow's, and that of the duration predictor.

Weights are a dict of tensors under upstream's names ("flow_tts.…"). What upstream computes on a batch of several lengths is
computed: a text's padding is symbol 0, which the convolutions see and the attention does not. Random numbers are taken from
torch's generator in upstream's order: times, noise, then dropout layer by layer. tests/voice/test_fm_train.py holds it
against PyTorch's own modules, tests/reference/compare_fm_train.py against upstream's code.

    B sequences   N frames of the longest   T tokens of the longest   D model width   H heads of 64   mel [B,N,80]

The predictor has no alignment to learn from. As upstream has it, each token of a recording is to last as long as any other:
ln(frames / tokens). Both losses share no weight, and the vocoder has none here.
"""
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from random_fm_tts import HEAD, MODEL, TEXT_BLOCKS  # noqa: E402

from cfm import block_call, conv1d, frames_below  # noqa: E402

ENCODER, PREDICTOR = "flow_tts.text_encoder.", "flow_tts.duration_predictor."
DURATION_SHARE = 0.1  # of the whole loss
RATE, ADAM = 2e-4, dict(betas=(0.8, 0.99), eps=1e-9)
EPS, LAYERS = 1e-5, 3  # of LayerNorm; of the predictor


@dataclass
class Arch:
    """What the weights do not tell, and how they are trained."""

    depth: int = 12
    durations: bool = True       # the model predicts them
    only_durations: bool = False  # nothing else is trained
    dropout: float = 0.1
    attention_mask: bool = True  # padding is never seen by attention
    recompute: bool = False      # as cfm.Arch
    lora_scale: float = 1.0


@dataclass
class Draw:
    """The random part of a batch."""

    time: torch.Tensor   # [B]
    noise: torch.Tensor  # [B,N,80]


def linear(w, name, x):
    return F.linear(x, w[name + ".weight"], w[name + ".bias"])


def norm(w, name, x):
    return F.layer_norm(x.float(), x.shape[-1:], w[name + ".weight"], w[name + ".bias"], EPS)


# ---- the velocity


def text_features(w, tokens):
    """tokens [B,T], padded by 0 -> [B,T,D]"""
    x = F.embedding(tokens, w[MODEL + "text_emb.weight"]) + w[MODEL + "text_pos_enc"][:, :tokens.shape[1]]
    for i in range(TEXT_BLOCKS):
        p = f"{MODEL}convnext_blocks.{i}."
        h = norm(w, p + "norm", conv1d(w, p + "dwconv", x, groups=x.shape[2]))
        x = x + linear(w, p + "pwconv2", F.gelu(linear(w, p + "pwconv1", h)))
    return x


def time_vector(w, t):
    """t [B] -> [B,D]"""
    half = w[MODEL + "time_mlp.0.weight"].shape[1] // 2
    angle = t.unsqueeze(1) * torch.exp(torch.arange(half, device=t.device) * (-math.log(10000) / (half - 1)))
    return linear(w, MODEL + "time_mlp.2", F.gelu(linear(w, MODEL + "time_mlp.0", torch.cat((angle.sin(), angle.cos()), dim=1))))


def attention(w, a, p, x, there):
    """there [B,L] bool: the rows that may be seen."""
    qkv = F.linear(x, w[p + "in_proj_weight"], w[p + "in_proj_bias"])
    q, k, v = qkv.unflatten(2, (3, -1, HEAD)).permute(2, 0, 3, 1, 4)
    scores = (q @ k.transpose(2, 3) / math.sqrt(HEAD)).float().masked_fill(~there[:, None, None, :], -torch.inf)
    seen = F.dropout(scores.softmax(dim=-1), a.dropout).to(v.dtype)
    return linear(w, p + "out_proj", (seen @ v).transpose(1, 2).flatten(2))


def layer(w, a, i, there):
    p = f"{MODEL}transformer.layers.{i}."

    def run(x):
        x = x + F.dropout(attention(w, a, p + "self_attn.", norm(w, p + "norm1", x), there), a.dropout)
        h = F.dropout(F.relu(linear(w, p + "linear1", norm(w, p + "norm2", x))), a.dropout)
        return x + F.dropout(linear(w, p + "linear2", h), a.dropout)
    return run


def velocity(w, a, x, t, tokens, token_lens, lens):
    """State x [B,N,80] at times t [B] -> velocity [B,N,80]."""
    h = torch.cat((text_features(w, tokens), conv1d(w, MODEL + "mel_proj", x, groups=1)), dim=1) + time_vector(w, t).unsqueeze(1)
    there = torch.cat((frames_below(token_lens, tokens.shape[1]), frames_below(lens, x.shape[1])), dim=1)
    for i in range(a.depth):
        h = block_call(a, layer(w, a, i, there), h)
    return conv1d(w, MODEL + "output_proj", h[:, tokens.shape[1]:], groups=1)


# ---- durations


def log_durations(w, a, tokens, token_lens):
    """tokens [B,T], padded by 0 -> [B,T]: ln of each token's frames."""
    there = frames_below(token_lens, tokens.shape[1]).unsqueeze(2)
    x = F.embedding(tokens, w[ENCODER + "0.weight"])
    x = conv1d(w, ENCODER + "3", F.relu(conv1d(w, ENCODER + "1", x, groups=1)), groups=1)
    for i in range(LAYERS):
        x = conv1d(w, f"{PREDICTOR}conv_layers.{i}", x * there, groups=1)
        x = F.relu(norm(w, f"{PREDICTOR}norm_layers.{i}", x)).transpose(1, 2)
        x = F.dropout(x, a.dropout).transpose(1, 2)  # in upstream's order of numbers
    return conv1d(w, PREDICTOR + "proj", x * there, groups=1).squeeze(2)


# ---- the losses


def judged(a):
    """Of what kinds a validation has losses: what is trained, and the durations where they are a part of it."""
    a = replace(a, dropout=0.0)
    return [a, replace(a, only_durations=True)] if a.durations and not a.only_durations else [a]


def draw(mel, lens, chance):
    """As cfm.draw; nothing is withheld here, so that chance is not asked. Upstream's mels are [B,80,N]."""
    time = torch.rand(len(lens), device=mel.device)
    return Draw(time, torch.randn_like(mel.transpose(1, 2).contiguous()).transpose(1, 2))


def flow_loss(w, a, mel, lens, tokens, token_lens, d):
    """The mean square error of the velocity over all frames that are there."""
    t = d.time.view(-1, 1, 1)
    v = velocity(w, a, t * mel + (1 - t) * d.noise, d.time, tokens, token_lens, lens)
    errors = F.mse_loss(v.float(), mel - d.noise, reduction="none")
    return errors[frames_below(lens, mel.shape[1])].mean()


def duration_loss(w, a, lens, tokens, token_lens):
    """The mean square error of ln(frames) over all tokens."""
    wanted = torch.log(lens.float() / token_lens.float() + 1e-8).unsqueeze(1)
    errors = (log_durations(w, a, tokens, token_lens).float() - wanted).square()
    return errors[frames_below(token_lens, tokens.shape[1])].mean()


def loss(w, a, mel, lens, ids, d):
    """mel [B,N,80], lens [B], ids [B,T] padded by -1."""
    tokens, token_lens = ids.clamp(min=0), (ids >= 0).sum(dim=1)
    if a.only_durations:
        return duration_loss(w, a, lens, tokens, token_lens)
    flow = flow_loss(w, a, mel, lens, tokens, token_lens, d)
    return flow + DURATION_SHARE * duration_loss(w, a, lens, tokens, token_lens) if a.durations else flow
