"""cfm.py — upstream's training loss over a padded batch: conditional flow matching on DiT (F5-TTS) and UNetT (E2-TTS).

Weights are a dict of tensors under upstream's names. What upstream computes on a batch of several lengths is computed,
down to what a padded frame does to a real one (attention sees it unless `attention_mask`), and random numbers are taken
from torch's generator in upstream's order: after the same torch.manual_seed both give the same loss, dropout included.
tests/voice/test_finetune_model.py holds it against tests/reference/model.py, and tests/reference/compare_finetune.py
against upstream's package.

    B sequences   N frames of the longest   T tokens of the longest   D model width   H heads of 64

Under torch.autocast norms are computed in float32 wherever that is done, as PyTorch does by itself on a GPU only.

A linear layer that has NAME.lora_A [r,in] and NAME.lora_B [out,r] beside its weight adds what they say (LoRA).
"""
import math
from dataclasses import dataclass, replace
from typing import Optional

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

HEAD = 64
FRACTION_MASKED = (0.7, 1.0)  # of a sequence's frames, which are to be spoken
AUDIO_DROP, TEXT_DROP = 0.3, 0.2
TEXT_POSITIONS = {"DiT": 8192, "UNetT": 4096}
RATE, ADAM = 1e-5, {}  # of a fine-tune; of AdamW: PyTorch's own


@dataclass
class Arch:
    """What the weights do not tell, and how they are trained."""

    kind: str = "DiT"
    depth: int = 22
    text_blocks: int = 4
    text_mask_padding: bool = True
    average_upsampling: bool = False
    pe_attn_head: Optional[int] = None  # heads that are rotated; None: all
    skip: str = "concat"                # of UNetT
    dropout: float = 0.1
    attention_mask: bool = False        # upstream's attn_mask_enabled
    recompute: bool = False             # activations of the blocks, in the backward pass: less memory, more time
    lora_scale: float = 1.0


@dataclass
class Draw:
    """The random part of a batch."""

    span: torch.Tensor  # [B,N] bool, frames to be spoken
    noise: torch.Tensor  # [B,N,100]
    time: torch.Tensor  # [B]
    drop_audio: bool
    drop_text: bool


def linear(w, a, name, x):
    y = F.linear(x, w[name + ".weight"], w.get(name + ".bias"))
    if name + ".lora_A" in w:
        y = y + a.lora_scale * F.linear(F.linear(x, w[name + ".lora_A"]), w[name + ".lora_B"])
    return y


def conv1d(w, name, x, groups):
    """Same-length convolution along the frames of x [B,N,C]."""
    weight = w[name + ".weight"]
    y = F.conv1d(x.transpose(1, 2), weight, w[name + ".bias"], padding=weight.shape[2] // 2, groups=groups)
    return y.transpose(1, 2)


def frames_below(lens, count):
    """[B,count] bool: which frames are there."""
    return torch.arange(count, device=lens.device).unsqueeze(0) < lens.unsqueeze(1)


# ---- time and text


def time_vector(w, a, t):
    """t [B] -> [B,D]"""
    frequencies = torch.exp(torch.arange(128, device=t.device).float() * (-math.log(10000) / 127))
    angle = 1000 * t.unsqueeze(1) * frequencies
    name = "transformer.time_embed.time_mlp."
    h = linear(w, a, name + "0", torch.cat((angle.sin(), angle.cos()), dim=1))
    return linear(w, a, name + "2", F.silu(h))


def text_positions(rows, width, device):
    frequencies = 10000.0 ** -(torch.arange(0, width, 2, device=device).float() / width)
    angle = torch.outer(torch.arange(rows, device=device).float(), frequencies)
    return torch.cat((angle.cos(), angle.sin()), dim=1)


def text_block(w, a, p, x):
    """ConvNeXt V2. Its response normalisation is over all rows, filler and padding included."""
    h = conv1d(w, p + "dwconv", x, groups=x.shape[2])
    h = F.layer_norm(h.float(), h.shape[-1:], w[p + "norm.weight"], w[p + "norm.bias"], eps=1e-6)
    h = F.gelu(linear(w, a, p + "pwconv1", h))
    energy = torch.norm(h.float(), p=2, dim=1, keepdim=True)
    h = w[p + "grn.gamma"] * (h * (energy / (energy.mean(dim=-1, keepdim=True) + 1e-6))) + w[p + "grn.beta"] + h
    return x + linear(w, a, p + "pwconv2", h)


def upsample(x, filler, lens):
    """The token rows of x [B,N,C] spread evenly over each sequence's frames, the last ones once more."""
    n = (~filler).sum(dim=1, keepdim=True)
    frames = lens.unsqueeze(1)
    at = torch.arange(x.shape[1], device=x.device).unsqueeze(0)
    times, more = frames // n.clamp(min=1), frames % n.clamp(min=1)
    cut = (n - more) * times
    row = torch.where(at < cut, at // times.clamp(min=1), n - more + (at - cut) // (times + 1))
    row = row.clamp(min=0, max=x.shape[1] - 1)
    spread = x.gather(1, row.unsqueeze(2).expand_as(x))
    return spread.masked_fill(~((at < frames) & (n > 0)).unsqueeze(2), 0.0)


def text_encode(w, a, ids, lens, frames, drop_text):
    """ids [B,T], padded by -1 -> features [B,N,C]."""
    p = "transformer.text_embed."
    dit = a.kind == "DiT"
    ids = (ids + 1)[:, :frames]
    ids = F.pad(ids, (0, frames - ids.shape[1]))
    there = frames_below(lens, frames)
    if dit:
        ids = ids.masked_fill(~there, 0)
    filler = ids == 0
    x = F.embedding(torch.zeros_like(ids) if drop_text else ids, w[p + "text_embed.weight"])
    if dit:
        x = x.masked_fill(~there.unsqueeze(2), 0.0)
    if a.text_blocks:
        known = TEXT_POSITIONS[a.kind]
        positions = text_positions(min(frames, known), x.shape[2], x.device)
        if dit:
            x = x + positions * there.unsqueeze(2).to(positions.dtype)
        else:
            x = x + positions[torch.arange(frames, device=x.device).clamp(max=known - 1)]
        if a.text_mask_padding:
            x = x.masked_fill(filler.unsqueeze(2), 0.0)
        for i in range(a.text_blocks):
            x = text_block(w, a, f"{p}text_blocks.{i}.", x)
            if a.text_mask_padding:
                x = x.masked_fill(filler.unsqueeze(2), 0.0)
    return upsample(x, filler, lens) if a.average_upsampling else x


# ---- attention and feed-forward


def rotate(x, angles):
    """Pairs (2i, 2i+1) of x [B,h,N,64] turn by angles, (cos, sin) of [N,32]."""
    cos, sin = angles
    x0, x1 = x[..., 0::2].float(), x[..., 1::2].float()
    return torch.stack((x0 * cos - x1 * sin, x1 * cos + x0 * sin), dim=-1).flatten(-2).to(x.dtype)


def rms_norm(x, weight):
    return x * torch.rsqrt(x.float().square().mean(dim=-1, keepdim=True) + 1e-6).to(x.dtype) * weight


def attend(q, k, v, mask):
    """mask [B,N] bool of the frames that may be seen, or None."""
    if mask is not None:
        mask = mask[:, None, None, :].expand(-1, q.shape[1], q.shape[2], -1)
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    scores = q @ k.transpose(2, 3) / math.sqrt(HEAD)  # PyTorch before 2.0
    return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(dim=-1) @ v


def attention(w, a, p, x, there, angles):
    q, k, v = (linear(w, a, p + name, x).unflatten(2, (-1, HEAD)).transpose(1, 2) for name in ("to_q", "to_k", "to_v"))
    if p + "q_norm.weight" in w:
        q, k = rms_norm(q, w[p + "q_norm.weight"]), rms_norm(k, w[p + "k_norm.weight"])
    if a.pe_attn_head is None:
        q, k = rotate(q, angles), rotate(k, angles)
    else:
        h = a.pe_attn_head
        q, k = (torch.cat((rotate(y[:, :h], angles), y[:, h:]), dim=1) for y in (q, k))
    q, k = q.to(v.dtype), k.to(v.dtype)  # under autocast the norms' are wider
    y = attend(q, k, v, there if a.attention_mask else None).transpose(1, 2).flatten(2)
    y = F.dropout(linear(w, a, p + "to_out.0", y), a.dropout)
    return y.masked_fill(~there.unsqueeze(2), 0.0)


def feed_forward(w, a, p, x):
    h = F.dropout(F.gelu(linear(w, a, p + "0.0", x), approximate="tanh"), a.dropout)
    return linear(w, a, p + "2", h)


def norm(x):
    return F.layer_norm(x.float(), x.shape[-1:], eps=1e-6)


# ---- the backbones


def input_embed(w, a, x, cond, text, there):
    """there: None where padding is not zeroed (UNetT)."""
    p = "transformer.input_embed."
    y = h = linear(w, a, p + "proj", torch.cat((x, cond, text), dim=2))
    padding = None if there is None else ~there.unsqueeze(2)
    if padding is not None:
        h = h.masked_fill(padding, 0.0)
    for i in (0, 2):
        h = conv1d(w, f"{p}conv_pos_embed.conv1d.{i}", h, groups=16)
        h = F.mish((h if padding is None else h.masked_fill(padding, 0.0)).float())
    return h + y


def block_call(a, function, x):
    return checkpoint(function, x, use_reentrant=False) if a.recompute and x.requires_grad else function(x)


def dit_blocks(w, a, x, c, there, angles):
    c = F.silu(c)

    def block(i):
        p = f"transformer.transformer_blocks.{i}."

        def run(x):
            m = linear(w, a, p + "attn_norm.linear", c).unsqueeze(1)
            shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = m.chunk(6, dim=2)
            x = x + gate_a * attention(w, a, p + "attn.", norm(x) * (1 + scale_a) + shift_a, there, angles)
            return x + gate_m * feed_forward(w, a, p + "ff.ff.", norm(x) * (1 + scale_m) + shift_m)
        return run

    start = x
    for i in range(a.depth):
        x = block_call(a, block(i), x)
    if "transformer.long_skip_connection.weight" in w:
        x = linear(w, a, "transformer.long_skip_connection", torch.cat((x, start), dim=2))
    scale, shift = linear(w, a, "transformer.norm_out.linear", c).unsqueeze(1).chunk(2, dim=2)
    return norm(x) * (1 + scale) + shift


def length_norm(x, g):
    """x-transformers' RMSNorm."""
    return F.normalize(x.float(), dim=-1) * math.sqrt(x.shape[-1]) * g


def unett_layers(w, a, x, c, there, angles):
    """The time is row 0."""
    x, there, skips = torch.cat((c.unsqueeze(1), x), dim=1), F.pad(there, (1, 0), value=True), []

    def layer(i):
        p = f"transformer.layers.{i}."

        def run(x):
            x = x + attention(w, a, p + "2.", length_norm(x, w[p + "1.g"]), there, angles)
            return x + feed_forward(w, a, p + "4.ff.", length_norm(x, w[p + "3.g"]))
        return run

    for i in range(a.depth):
        if i < a.depth // 2:
            skips.append(x)
        elif a.skip == "concat":
            x = linear(w, a, f"transformer.layers.{i}.0", torch.cat((x, skips.pop()), dim=2))
        elif a.skip == "add":
            x = x + skips.pop()
        x = block_call(a, layer(i), x)
    return length_norm(x, w["transformer.norm_out.g"])[:, 1:]


def velocity(w, a, x, cond, ids, lens, t, drop_text=False):
    """State x [B,N,100] at times t [B], cond [B,N,100], ids [B,T] -> velocity [B,N,100]."""
    frames, dit = x.shape[1], a.kind == "DiT"
    there = frames_below(lens, frames)
    text = text_encode(w, a, ids, lens, frames, drop_text)
    c = time_vector(w, a, t)
    x = input_embed(w, a, x, cond, text, there if dit else None)
    rows = frames + (not dit)
    frequencies = 10000.0 ** -(torch.arange(0, HEAD, 2, device=x.device).float() / HEAD)
    angle = torch.outer(torch.arange(rows, device=x.device).float(), frequencies)
    x = (dit_blocks if dit else unett_layers)(w, a, x, c, there, (angle.cos(), angle.sin()))
    return linear(w, a, "transformer.proj_out", x)


# ---- the loss


def judged(a):
    """Of what kinds a validation has losses: one."""
    return [replace(a, dropout=0.0)]


def draw(mel, lens, chance):
    """mel [B,N,100], lens [B]. Spans, noise and times by torch's generator; chance(): a number of [0,1), asked twice."""
    low, high = FRACTION_MASKED
    fraction = torch.zeros(len(lens), device=mel.device).uniform_(low, high)
    masked = (fraction * lens).long()
    start = ((lens - masked) * torch.rand_like(fraction)).long().clamp(min=0)
    at = torch.arange(mel.shape[1], device=mel.device).unsqueeze(0)
    span = (at >= start.unsqueeze(1)) & (at < (start + masked).unsqueeze(1)) & frames_below(lens, mel.shape[1])
    noise = torch.randn_like(mel)
    time = torch.rand(len(lens), dtype=mel.dtype, device=mel.device)
    drop_audio = chance() < AUDIO_DROP
    drop_text = chance() < TEXT_DROP
    return Draw(span, noise, time, drop_audio or drop_text, drop_text)


def loss(w, a, mel, lens, ids, d):
    """The mean square error of the velocity over the frames to be spoken."""
    t = d.time.view(-1, 1, 1)
    state, flow = (1 - t) * d.noise + t * mel, mel - d.noise
    cond = torch.zeros_like(mel) if d.drop_audio else mel.masked_fill(d.span.unsqueeze(2), 0.0)
    v = velocity(w, a, state, cond, ids, lens, d.time, d.drop_text)
    return F.mse_loss(v.float(), flow, reduction="none")[d.span].mean()
