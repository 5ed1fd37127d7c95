"""dit.py — the DiT of tests/reference/model.py over batches of sequences of one length, as training needs it.

Same names, same formulas; only the layout differs ([B,N,...], nothing padded but texts), and matrix products run in
`compute` (bfloat16 on a GPU) while the residual stream, the norms, the rotation and the loss stay float32.
test_train.py holds it against the reference.

Training only: after the blocks "taps" a linear head tells, for every frame, which phone is due and by how many letters
the speech is ahead of the evenly spread text. The heads are thrown away afterwards ("aux." tensors).
"""
import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F

from data import PHONES

MEL = 100
HEAD = 64
ARCH = dict(dim=256, depth=12, heads=4, ff_mult=2, text_dim=256, conv_layers=4, text_mask_padding=True,
            pe_attn_head=None, long_skip=False, tokenizer="char", qk_norm=True, average_upsampling=True,
            vocos_dim=256, vocos_ff_dim=768, vocos_layers=5, vocos_padding="center")
AUX = dict(taps=(3, 7), phones=len(PHONES))  # blocks after which a head listens, and how many phones the corpus tells apart
VOCAB = [" "] + [chr(c) for c in range(33, 127)]  # token id of a byte: byte - 32
MEL_MEAN = -2.0


def average_files(path):
    """The files of averaged weights that lie beside ema-0.npz, itself first; each holds other tensors."""
    return sorted(Path(path).parent.glob("ema-[0-9]*.npz"), key=lambda p: int(p.stem[4:]))


def choose(path):
    """Sizes from a .json file instead: any of ARCH's and AUX's, the others stay."""
    for key, value in json.loads(Path(path).read_text()).items():
        chosen = next((sizes for sizes in (ARCH, AUX) if key in sizes), None)
        if chosen is None:
            raise SystemExit(f"{path}: {key} is no size of a model; there are {', '.join((*ARCH, *AUX))}")
        chosen[key] = value


def text_room(frames):
    """Rows that the text encoder runs over for a sequence of so many frames; the rest are filler, all alike."""
    return frames * 3 // 10


def shapes(a=ARCH, aux=AUX):
    """name -> (shape, standard deviation at the start; None: ones)."""
    d, t = a["dim"], a["text_dim"]
    s = {}

    def linear(name, out, inputs, std=None):
        s[name + ".weight"] = (out, inputs), inputs ** -0.5 * 0.7 if std is None else std
        s[name + ".bias"] = (out,), 0.0

    linear("transformer.time_embed.time_mlp.0", d, 256)
    linear("transformer.time_embed.time_mlp.2", d, d)
    s["transformer.text_embed.text_embed.weight"] = (len(VOCAB) + 1, t), 0.5
    for i in range(a["conv_layers"]):
        p = f"transformer.text_embed.text_blocks.{i}."
        s[p + "dwconv.weight"], s[p + "dwconv.bias"] = ((t, 1, 7), 7 ** -0.5), ((t,), 0.0)
        s[p + "norm.weight"], s[p + "norm.bias"] = ((t,), None), ((t,), 0.0)
        linear(p + "pwconv1", 2 * t, t)
        s[p + "grn.gamma"], s[p + "grn.beta"] = ((1, 1, 2 * t), 0.0), ((1, 1, 2 * t), 0.0)
        linear(p + "pwconv2", t, 2 * t)
    linear("transformer.input_embed.proj", d, 2 * MEL + t, 0.05)
    for i in (0, 2):
        p = f"transformer.input_embed.conv_pos_embed.conv1d.{i}"
        s[p + ".weight"], s[p + ".bias"] = ((d, d // 16, 31), (31 * d // 16) ** -0.5), ((d,), 0.0)
    for i in range(a["depth"]):
        p = f"transformer.transformer_blocks.{i}."
        linear(p + "attn_norm.linear", 6 * d, d, 0.0)
        for name in ("to_q", "to_k", "to_v", "to_out.0"):
            linear(p + "attn." + name, d, d)
        s[p + "attn.q_norm.weight"], s[p + "attn.k_norm.weight"] = ((HEAD,), None), ((HEAD,), None)
        linear(p + "ff.ff.0.0", a["ff_mult"] * d, d)
        linear(p + "ff.ff.2", d, a["ff_mult"] * d)
    linear("transformer.norm_out.linear", 2 * d, d, 0.0)
    linear("transformer.proj_out", MEL, d, 0.0)
    for i in aux["taps"]:
        linear(f"aux.{i}", aux["phones"] + 1, d)
    return s


def fresh(a=ARCH, seed=0, aux=AUX):
    """Weights to start from: every block begins as the identity and the output as the mean mel (AdaLN-zero)."""
    g = torch.Generator().manual_seed(seed)
    w = {name: torch.ones(shape) if std is None else torch.randn(shape, generator=g) * std
         for name, (shape, std) in shapes(a, aux).items()}
    w["transformer.proj_out.bias"].fill_(MEL_MEAN)
    return w


def is_matrix(name):
    """Matrices between features, which Muon updates; the rest (embeddings, norms, modulation, in and out) is Adam's."""
    return name.endswith(".weight") and any(part in name for part in (".attn.to_", ".ff.ff.", ".pwconv"))


# ---- pieces ---------------------------------------------------------------------------------------------------------


def linear(x, weight, bias, kind):
    return F.linear(x.to(kind), weight.to(kind), bias.to(kind))


def norm(x):
    return F.layer_norm(x.float(), x.shape[-1:], eps=1e-6)


def time_vector(w, t):
    """t [B] -> [B,D]"""
    p = "transformer.time_embed.time_mlp."
    f = torch.exp(torch.arange(128, device=t.device) * (-math.log(10000) / 127))
    angle = 1000 * t.unsqueeze(1) * f
    h = F.linear(torch.cat((angle.sin(), angle.cos()), dim=1), w[p + "0.weight"], w[p + "0.bias"])
    return F.linear(F.silu(h), w[p + "2.weight"], w[p + "2.bias"])


def text_block(x, valid, filler, kind, dw, dw_bias, ln, ln_bias, w1, b1, gamma, beta, w2, b2):
    """ConvNeXt V2 of x [B,T,C]; valid [B,T,1]; filler: how many more rows like the last one there would be."""
    rows = x.shape[1]
    wide = F.pad(x, (0, 0, 3, 3))
    h = dw_bias + sum(wide[:, k:k + rows] * dw[:, 0, k] for k in range(7))
    h = F.layer_norm(h, h.shape[-1:], ln, ln_bias, eps=1e-6)
    h = F.gelu(linear(h, w1, b1, kind).float())
    square = h.square()
    energy = (square.sum(dim=1, keepdim=True) + filler * square[:, -1:] + 1e-12).sqrt()
    h = gamma * (h * energy / (energy.mean(dim=2, keepdim=True) + 1e-6)) + beta + h
    return (x + linear(h, w2, b2, kind).float()) * valid


def text_encode(w, ids, n, null, frames, kind, block=text_block):
    """ids [B,T] (0: filler), n [B] letters, null [B] bool -> [B,frames,C], the letters spread over the frames."""
    rows = ids.shape[1]
    table = w["transformer.text_embed.text_embed.weight"]
    x = F.one_hot(ids.masked_fill(null.unsqueeze(1), 0), len(table)).to(table.dtype) @ table  # quick to differentiate
    width = x.shape[2]
    f = 10000.0 ** -(torch.arange(0, width, 2, device=x.device) / width)
    angle = torch.arange(rows, device=x.device).unsqueeze(1) * f
    valid = (torch.arange(rows, device=x.device) < n.unsqueeze(1)).unsqueeze(2)
    x = (x + torch.cat((angle.cos(), angle.sin()), dim=1)) * valid
    i = 0
    while (p := f"transformer.text_embed.text_blocks.{i}.") + "dwconv.weight" in w:
        x = block(x, valid, frames - rows, kind, *(w[p + name] for name in (
            "dwconv.weight", "dwconv.bias", "norm.weight", "norm.bias", "pwconv1.weight", "pwconv1.bias",
            "grn.gamma", "grn.beta", "pwconv2.weight", "pwconv2.bias")))
        i += 1
    return x.gather(1, letter_shown(n, frames).unsqueeze(2).expand(-1, -1, width))


def letter_shown(n, frames):
    """[B,frames]: the letter whose features stand at each frame: floor(frames / n) each, the last ones once more."""
    at = torch.arange(frames, device=n.device).unsqueeze(0)
    n = n.unsqueeze(1)
    times, more = frames // n, frames % n
    cut = (n - more) * times
    return torch.where(at < cut, at // times, n - more + (at - cut) // (times + 1))


def conv_position(x, weight0, bias0, weight2, bias2, kind):
    h = x.transpose(1, 2)
    for weight, bias in ((weight0, bias0), (weight2, bias2)):
        h = F.mish(F.conv1d(h.to(kind), weight.to(kind), bias.to(kind), padding=15, groups=16).float())
    return h.transpose(1, 2)


def angles(frames, device):
    f = 10000.0 ** -(torch.arange(0, HEAD, 2, device=device) / HEAD)
    angle = torch.arange(frames, device=device).unsqueeze(1) * f
    return angle.cos(), angle.sin()  # [N,32]


def heads(x, weight, bias, gain, cos, sin, kind):
    """[B,N,D] -> rotated, normalised [B,H,N,64]; gain None: neither."""
    y = linear(x, weight, bias, kind).unflatten(2, (-1, HEAD)).transpose(1, 2)
    if gain is None:
        return y
    y = y.float()
    y = y * torch.rsqrt(y.square().mean(dim=-1, keepdim=True) + 1e-6) * gain
    a, b = y[..., 0::2], y[..., 1::2]
    return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2).to(kind)


def attend(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v)
    return (q @ k.transpose(2, 3) / math.sqrt(HEAD)).softmax(dim=-1) @ v  # PyTorch before 2.0


def dit_block(x, c, cos, sin, kind, wm, bm, wq, bq, wk, bk, gq, gk, wv, bv, wo, bo, w1, b1, w2, b2):
    """x [B,N,D] float32, c [B,D] (after SiLU)"""
    m = F.linear(c, wm, bm).unsqueeze(1)
    shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = m.chunk(6, dim=2)
    h = (norm(x) * (1 + scale_a) + shift_a).to(kind)
    y = attend(heads(h, wq, bq, gq, cos, sin, kind), heads(h, wk, bk, gk, cos, sin, kind),
               heads(h, wv, bv, None, cos, sin, kind))
    x = x + gate_a * linear(y.transpose(1, 2).flatten(2), wo, bo, kind).float()
    h = norm(x) * (1 + scale_m) + shift_m
    h = F.gelu(linear(h, w1, b1, kind), approximate="tanh")
    return x + gate_m * linear(h, w2, b2, kind).float()


def block_weights(w, i):
    p = f"transformer.transformer_blocks.{i}."
    for name in ("attn_norm.linear", "attn.to_q", "attn.to_k"):
        yield w[p + name + ".weight"]
        yield w[p + name + ".bias"]
    yield w[p + "attn.q_norm.weight"]
    yield w[p + "attn.k_norm.weight"]
    for name in ("attn.to_v", "attn.to_out.0", "ff.ff.0.0", "ff.ff.2"):
        yield w[p + name + ".weight"]
        yield w[p + name + ".bias"]


class Pieces:
    """The functions that are worth compiling; compiled once per shape and shared by all layers."""

    def __init__(self, compiled=False):
        wrap = (lambda f: torch.compile(f, dynamic=False)) if compiled else (lambda f: f)
        self.text, self.conv, self.block = wrap(text_block), wrap(conv_position), wrap(dit_block)


def velocity(w, x, cond, text, t, kind, pieces, taps=None):
    """x, cond [B,N,100], text [B,N,C], t [B] -> velocity [B,N,100]. taps: a list that receives the aux heads' rows."""
    p = "transformer.input_embed."
    c = F.silu(time_vector(w, t))
    y = linear(torch.cat((x, cond, text), dim=2), w[p + "proj.weight"], w[p + "proj.bias"], kind).float()
    x = y + pieces.conv(y, *(w[p + f"conv_pos_embed.conv1d.{i}.{part}"] for i in (0, 2)
                             for part in ("weight", "bias")), kind)
    cos, sin = angles(x.shape[1], x.device)
    i = 0
    while f"transformer.transformer_blocks.{i}.attn.to_q.weight" in w:
        x = pieces.block(x, c, cos, sin, kind, *block_weights(w, i))
        if taps is not None and f"aux.{i}.weight" in w:
            taps.append(linear(norm(x), w[f"aux.{i}.weight"], w[f"aux.{i}.bias"], kind).float())
        i += 1
    p = "transformer.norm_out.linear"
    scale, shift = F.linear(c, w[p + ".weight"], w[p + ".bias"]).unsqueeze(1).chunk(2, dim=2)
    return linear(norm(x) * (1 + scale) + shift, w["transformer.proj_out.weight"], w["transformer.proj_out.bias"],
                  kind).float()


# ---- what is minimised, and sampling --------------------------------------------------------------------------------


def losses(w, b, kind, pieces, aux_weight):
    """b: a Batch (see batches.py). Returns (what is minimised, metrics [4]: flow, phone, phone accuracy, letters)."""
    frames = b.state.shape[1]
    text = text_encode(w, b.ids, b.n, b.null, frames, kind, pieces.text)
    taps = []
    v = velocity(w, b.state, b.cond, text, b.t, kind, pieces, taps)
    flow = ((v - b.target).square().mean(dim=2) * b.mask).sum() / b.mask.sum()
    # where the text is dropped there is nothing to align
    heard = b.phone.long().masked_fill(b.null.unsqueeze(1), -100)
    known = (heard != -100).float()
    count = known.sum().clamp(min=1)
    phone = letters = 0.0
    for rows in taps:
        phone = phone + F.cross_entropy(rows[..., :-1].flatten(0, 1), heard.flatten(), ignore_index=-100,
                                        reduction="sum") / count
        letters = letters + (F.smooth_l1_loss(rows[..., -1], b.ahead, reduction="none") * known).sum() / count
    right = ((taps[-1][..., :-1].argmax(dim=2) == heard) * b.mask).sum() / (known * b.mask).sum().clamp(min=1)
    total = flow + aux_weight * (phone + 0.5 * letters)
    return total, torch.stack((flow, phone / len(taps), right, letters / len(taps))).detach()


@torch.no_grad()
def sample(w, cond, ids, n, noise, times, cfg=2.0, kind=torch.float32, pieces=Pieces()):
    """cond [B,N,100] (zeros where speech is to come), ids [B,T], n [B], noise [B,N,100], times [steps+1] -> mel."""
    frames, x = cond.shape[1], noise
    no = torch.zeros(len(n), dtype=torch.bool, device=n.device)
    text = text_encode(w, ids, n, no, frames, kind, pieces.text)
    null_text = text_encode(w, ids, n, ~no, frames, kind, pieces.text)
    for t, t_next in zip(times[:-1], times[1:]):
        at = t.expand(len(n))
        v = velocity(w, x, cond, text, at, kind, pieces)
        v = v + cfg * (v - velocity(w, x, torch.zeros_like(cond), null_text, at, kind, pieces))
        x = x + (t_next - t) * v
    return x
