"""F5-TTS in plain tensor operations: what libf5tts must compute.

One sequence at a time, nothing padded, nothing cached. Weights are a dict of tensors under upstream's names
("transformer.…" for the acoustic model, "backbone.…" and "head.…" for Vocos), all of one dtype on one device; that
dtype is the dtype of the computation, except that times, angles and the ODE state are never narrower than float32.
On a GPU switch TF32 off first (`exact_math`).

    N frames   D model width   H heads of 64   T text width   mel [N,100], natural log, 24 kHz, hop 256

Proven against upstream's package by compare_upstream.py; figures in README.md.
"""
import math
from dataclasses import dataclass
from typing import Optional

import torch
import torch.nn.functional as F

HEAD = 64
MEL_BANDS = 100
RATE, FFT, HOP = 24000, 1024, 256
MAX_FRAMES = 65536
MAX_TEXT_POSITIONS = 8192

# Empirically pruned steps: time points in units of 1/32, by number of steps.
EPSS = {
    5: (0, 2, 4, 8, 16, 32),
    6: (0, 2, 4, 6, 8, 16, 32),
    7: (0, 2, 4, 6, 8, 16, 24, 32),
    10: (0, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32),
    12: (0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32),
    16: (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32),
}

# Times of AB2, which upstream does not have: found by search (bench/PERF.md 39).
AB2 = {
    6: (0, 0.0137, 0.0457, 0.1143, 0.2848, 0.6506, 1),
    8: (0, 0.0079, 0.0193, 0.0461, 0.0891, 0.1986, 0.4338, 0.8266, 1),
    10: (0, 0.0041, 0.0131, 0.0317, 0.0597, 0.1230, 0.2347, 0.3912, 0.5655, 0.8201, 1),
    12: (0, 0.0050, 0.0101, 0.0163, 0.0279, 0.0395, 0.0791, 0.1297, 0.2502, 0.4666, 0.7340, 0.9017, 1),
    16: (0, 0.0028, 0.0064, 0.0109, 0.0168, 0.0261, 0.0380, 0.0611, 0.0918, 0.1377, 0.2130, 0.3393, 0.5352, 0.6996, 0.8482,
         0.9477, 1),
}


@dataclass(frozen=True)
class Options:
    """What the weights do not tell. Depth, widths, q/k norm and long skip are read off the weights."""

    text_mask_padding: bool = True
    pe_attn_head: Optional[int] = None  # heads that are rotated; None: all
    average_upsampling: bool = False
    skip: str = "concat"  # of UNetT: concat, add or none

    @staticmethod
    def from_arch(arch):
        """From `model.arch` of an upstream config file."""
        return Options(
            text_mask_padding=arch.get("text_mask_padding", True),
            pe_attn_head=arch.get("pe_attn_head"),
            average_upsampling=arch.get("text_embedding_average_upsampling", False),
            skip=arch.get("skip_connect_type", "concat"),
        )


def exact_math():
    """float32 products on a GPU in float32."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def wide(dtype):
    """dtype of times, angles and the ODE state of a computation in `dtype`."""
    return torch.float64 if dtype == torch.float64 else torch.float32


# ---- pieces ---------------------------------------------------------------------------------------------------------


def linear(w, name, x):
    return F.linear(x, w[name + ".weight"], w.get(name + ".bias"))


def conv1d(w, name, x, groups=1):
    """Same-length convolution along the rows of x [N,C]."""
    weight = w[name + ".weight"]
    y = F.conv1d(x.t().unsqueeze(0), weight, w[name + ".bias"], padding=weight.shape[2] // 2, groups=groups)
    return y.squeeze(0).t()


def layer_norm(x, weight=None, bias=None):
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps=1e-6)


def affine_norm(w, name, x):
    return layer_norm(x, w[name + ".weight"], w[name + ".bias"])


def blocks_under(w, prefix):
    """Number of blocks "prefix0.", "prefix1.", …"""
    return 1 + max((int(k[len(prefix):].split(".")[0]) for k in w if k.startswith(prefix)), default=-1)


# ---- time -----------------------------------------------------------------------------------------------------------


def time_grid(nfe, sway=-1.0, epss=True, dtype=torch.float32, device=None):
    """nfe + 1 times from 0 to 1. sway None: not warped."""
    if epss and nfe in EPSS:
        t = torch.tensor(EPSS[nfe], dtype=dtype, device=device) / 32
    else:
        t = torch.linspace(0, 1, nfe + 1, dtype=dtype, device=device)
    if sway is not None:
        t = t + sway * (torch.cos(math.pi / 2 * t) - 1 + t)
    return t


def own_grid(nfe, searched=True, dtype=torch.float32, device=None):
    """nfe + 1 times of AB2: searched, or a logistic curve of which the ends are cut off."""
    if searched and nfe in AB2:
        return torch.tensor(AB2[nfe], dtype=dtype, device=device)
    s = torch.sigmoid(7.5 * (torch.linspace(0, 1, nfe + 1, dtype=torch.float64, device=device) - 0.8))
    return ((s - s[0]) / (s[-1] - s[0])).to(dtype)


def time_features(t):
    """t scalar -> sin and cos of 1000 t at 128 frequencies from 1 down to 1/10000, [256]."""
    exponent = -math.log(10000) / 127
    frequencies = torch.exp(torch.arange(128, dtype=t.dtype, device=t.device) * exponent)
    angle = 1000 * t * frequencies
    return torch.cat((angle.sin(), angle.cos()))


def time_vector(w, t):
    """t scalar -> c [D], from which every AdaLN modulation is made."""
    name = "transformer.time_embed.time_mlp."
    features = time_features(t).to(w[name + "0.weight"].dtype)
    return linear(w, name + "2", F.silu(linear(w, name + "0", features)))


# ---- text -----------------------------------------------------------------------------------------------------------


def text_positions(frames, dim, dtype, device):
    """[frames,dim]: first half cos, second half sin of row * 10000^(-2i/dim)."""
    if frames > MAX_TEXT_POSITIONS:
        raise ValueError(f"{frames} frames: the text encoder has positions for {MAX_TEXT_POSITIONS}")
    frequencies = 10000.0 ** -(torch.arange(0, dim, 2, dtype=wide(dtype), device=device) / dim)
    angle = torch.outer(torch.arange(frames, dtype=wide(dtype), device=device), frequencies)
    return torch.cat((angle.cos(), angle.sin()), dim=1).to(dtype)


def grn(x, gamma, beta):
    """Global response normalisation of x [N,C]: over all rows, filler included."""
    energy = x.square().sum(dim=0, keepdim=True).sqrt()
    return gamma.flatten() * (x * energy / (energy.mean() + 1e-6)) + beta.flatten() + x


def text_block(w, p, x):
    """ConvNeXt V2."""
    h = affine_norm(w, p + "norm", conv1d(w, p + "dwconv", x, groups=x.shape[1]))
    h = grn(F.gelu(linear(w, p + "pwconv1", h)), w[p + "grn.gamma"], w[p + "grn.beta"])
    return x + linear(w, p + "pwconv2", h)


def spread(x, frames):
    """The rows of x [n,T] repeated in order to fill `frames`: the last (frames mod n) once more than the others."""
    n = x.shape[0]
    if n == 0:
        return x.new_zeros(frames, x.shape[1])
    times = torch.full((n,), frames // n, device=x.device)
    times[n - frames % n:] += 1
    return x.repeat_interleave(times, dim=0)


def text_encode(w, options, tokens, frames, null=False):
    """tokens [n] vocabulary ids -> features [frames,T]. The null text keeps the mask of the real one."""
    p = "transformer.text_embed."
    if "transformer.audio_embed.linear.weight" in w:
        return mmdit_text(w, tokens[:frames], null)
    ids = tokens[:frames] + 1  # 0 is the filler
    n = ids.shape[0]
    ids = F.pad(ids, (0, frames - n))
    x = w[p + "text_embed.weight"][torch.zeros_like(ids) if null else ids]

    def mask(rows):
        return torch.cat((rows[:n], torch.zeros_like(rows[n:]))) if options.text_mask_padding else rows

    blocks = blocks_under(w, p + "text_blocks.")
    if blocks:
        x = mask(x + text_positions(frames, x.shape[1], x.dtype, x.device))
        for i in range(blocks):
            x = mask(text_block(w, f"{p}text_blocks.{i}.", x))
    if options.average_upsampling:
        if not options.text_mask_padding:
            raise ValueError("average upsampling needs text_mask_padding")
        x = spread(x[:n], frames)
    return x


# ---- DiT ------------------------------------------------------------------------------------------------------------


def conv_position(w, x, embed="input_embed"):
    """Two grouped convolutions over 31 rows, each followed by Mish."""
    for i in (0, 2):
        x = F.mish(conv1d(w, f"transformer.{embed}.conv_pos_embed.conv1d.{i}", x, groups=16))
    return x


def input_embed(w, x, cond, text):
    """x, cond [N,100], text [N,T] -> [N,D]."""
    y = linear(w, "transformer.input_embed.proj", torch.cat((x, cond, text), dim=1))
    return y + conv_position(w, y)


def rms_norm(x, weight):
    return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + 1e-6) * weight


def rotate(x):
    """RoPE on x [N,h,64]: pairs (2i, 2i+1) of row n turn by n * 10000^(-2i/64)."""
    kind = wide(x.dtype)
    frequencies = 10000.0 ** -(torch.arange(0, HEAD, 2, dtype=kind, device=x.device) / HEAD)
    angle = torch.outer(torch.arange(x.shape[0], dtype=kind, device=x.device), frequencies).unsqueeze(1)
    cos, sin = angle.cos(), angle.sin()
    a, b = x[..., 0::2].to(kind), x[..., 1::2].to(kind)
    return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2).to(x.dtype)


def joint_attention(w, p, x, c):
    """Every row of frames x [N,D] and of text c [T,D] attends to all of both -> of each its own rows, before to_out."""
    def heads(name, rows):
        return linear(w, p + name, rows).unflatten(1, (-1, HEAD))

    streams = []
    for rows, suffix, norm in ((x, "", ""), (c, "_c", "c_")):
        q, k, v = (heads(f"to_{name}{suffix}", rows) for name in "qkv")
        if f"{p}{norm}q_norm.weight" in w:
            q = rms_norm(q, w[f"{p}{norm}q_norm.weight"])
            k = rms_norm(k, w[f"{p}{norm}k_norm.weight"])
        streams.append((rotate(q), rotate(k), v))
    q, k, v = (torch.cat(both) for both in zip(*streams))
    scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(HEAD)
    y = torch.einsum("hqk,khd->qhd", scores.softmax(dim=-1), v).flatten(1)
    return y[:len(x)], y[len(x):]


def attention(w, p, options, x):
    """Every row attends to every row."""
    q, k, v = (linear(w, p + name, x).unflatten(1, (-1, HEAD)) for name in ("to_q", "to_k", "to_v"))  # [N,H,64]
    if p + "q_norm.weight" in w:
        q = rms_norm(q, w[p + "q_norm.weight"])
        k = rms_norm(k, w[p + "k_norm.weight"])
    rotated = q.shape[1] if options.pe_attn_head is None else options.pe_attn_head
    q = torch.cat((rotate(q[:, :rotated]), q[:, rotated:]), dim=1)
    k = torch.cat((rotate(k[:, :rotated]), k[:, rotated:]), dim=1)
    scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(HEAD)
    y = torch.einsum("hqk,khd->qhd", scores.softmax(dim=-1), v)
    return linear(w, p + "to_out.0", y.flatten(1))


def dit_block(w, p, options, x, c):
    """x [N,D], c [D] -> [N,D]."""
    shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = linear(w, p + "attn_norm.linear", F.silu(c)).chunk(6)
    h = layer_norm(x) * (1 + scale_a) + shift_a
    x = x + gate_a * attention(w, p + "attn.", options, h)
    h = layer_norm(x) * (1 + scale_m) + shift_m
    h = F.gelu(linear(w, p + "ff.ff.0.0", h), approximate="tanh")
    return x + gate_m * linear(w, p + "ff.ff.2", h)


def velocity(w, options, x, cond, text, t):
    """State x [N,100] at time t (scalar), cond [N,100], text features [N,T] -> velocity [N,100] of one branch."""
    kind = w["transformer.proj_out.weight"].dtype
    c = time_vector(w, t)
    if "transformer.audio_embed.linear.weight" in w:
        return mmdit_velocity(w, x.to(kind), cond.to(kind), text, c)
    x = x0 = input_embed(w, x.to(kind), cond.to(kind), text)
    if "transformer.layers.0.1.g" in w:
        return unett_velocity(w, options, x, c)
    for i in range(blocks_under(w, "transformer.transformer_blocks.")):
        x = dit_block(w, f"transformer.transformer_blocks.{i}.", options, x, c)
    if "transformer.long_skip_connection.weight" in w:
        x = linear(w, "transformer.long_skip_connection", torch.cat((x, x0), dim=1))
    scale, shift = linear(w, "transformer.norm_out.linear", F.silu(c)).chunk(2)
    return linear(w, "transformer.proj_out", layer_norm(x) * (1 + scale) + shift)


# ---- UNetT (E2-TTS) --------------------------------------------------------------------------------------------------


def length_norm(x, g):
    """x-transformers' RMSNorm: rows of length sqrt(D), times g."""
    return F.normalize(x, dim=-1, eps=1e-12) * math.sqrt(x.shape[-1]) * g


def unett_velocity(w, options, x, c):
    """x [N,D] behind the input embedding, c [D] time, which is row 0 of the layers -> velocity [N,100]."""
    x, skips, depth = torch.cat((c[None].to(x.dtype), x)), [], blocks_under(w, "transformer.layers.")
    for i in range(depth):
        p = f"transformer.layers.{i}."
        if i < depth // 2:
            skips.append(x)
        elif options.skip == "concat":
            x = linear(w, p + "0", torch.cat((x, skips.pop()), dim=1))
        elif options.skip == "add":
            x = x + skips.pop()
        x = x + attention(w, p + "2.", options, length_norm(x, w[p + "1.g"]))
        h = F.gelu(linear(w, p + "4.ff.0.0", length_norm(x, w[p + "3.g"])), approximate="tanh")
        x = x + linear(w, p + "4.ff.2", h)
    return linear(w, "transformer.proj_out", length_norm(x, w["transformer.norm_out.g"])[1:])


# ---- MMDiT -----------------------------------------------------------------------------------------------------------


def mmdit_text(w, tokens, null=False):
    """tokens [n] -> [n,D], a stream of its own: no padding. Positions beyond the table of 1024 are its last."""
    table = w["transformer.text_embed.text_embed.weight"]
    positions = text_positions(1024, table.shape[1], table.dtype, table.device)
    at = torch.arange(len(tokens), device=tokens.device).clamp(max=1023)
    return table[torch.zeros_like(tokens) if null else tokens + 1] + positions[at]


def feed_forward(w, p, x):
    return linear(w, p + "ff.2", F.gelu(linear(w, p + "ff.0.0", x), approximate="tanh"))


def mmdit_velocity(w, x, cond, text, t):
    """x, cond [N,100], text [T,D], t [D] -> velocity [N,100]."""
    x = linear(w, "transformer.audio_embed.linear", torch.cat((x, cond), dim=1))
    x, c, t, depth = x + conv_position(w, x, "audio_embed"), text, F.silu(t), blocks_under(w, "transformer.transformer_blocks.")
    for i in range(depth):
        p, last = f"transformer.transformer_blocks.{i}.", i == depth - 1
        m, n = linear(w, p + "attn_norm_x.linear", t).chunk(6), linear(w, p + "attn_norm_c.linear", t).chunk(2 if last else 6)
        shift, scale = (n[1], n[0]) if last else n[:2]
        attended = joint_attention(w, p + "attn.", layer_norm(x) * (1 + m[1]) + m[0], layer_norm(c) * (1 + scale) + shift)
        if not last:
            c = c + n[2] * linear(w, p + "attn.to_out_c", attended[1])
            c = c + n[5] * feed_forward(w, p + "ff_c.", layer_norm(c) * (1 + n[4]) + n[3])
        x = x + m[2] * linear(w, p + "attn.to_out.0", attended[0])
        x = x + m[5] * feed_forward(w, p + "ff_x.", layer_norm(x) * (1 + m[4]) + m[3])
    scale, shift = linear(w, "transformer.norm_out.linear", t).chunk(2)
    return linear(w, "transformer.proj_out", layer_norm(x) * (1 + scale) + shift)


# ---- sampling -------------------------------------------------------------------------------------------------------


def sample_frames(n_tokens, cond_frames, frames):
    """Frames that a request for `frames` yields: something is always generated."""
    return min(max(max(n_tokens, cond_frames) + 1, frames), MAX_FRAMES)


def guided_velocity(w, options, tokens, cond, frames, cfg=2.0):
    """v(t, x) with classifier-free guidance for one request; cond [frames,100]."""
    text = text_encode(w, options, tokens, frames)
    null_text = text_encode(w, options, tokens, frames, null=True) if cfg >= 1e-5 else None

    def v(t, x):
        p = velocity(w, options, x, cond, text, t).to(x.dtype)
        if null_text is None:
            return p
        null = velocity(w, options, x, torch.zeros_like(cond), null_text, t).to(x.dtype)
        return p + (p - null) * cfg

    return v


def integrate(v, x, times, midpoint=False, ab2=False):
    """x at times[0] carried to times[-1] along v(t, x). ab2: Adams-Bashforth of two equal steps; the first is Euler's."""
    last = None
    for t, t_next in zip(times[:-1], times[1:]):
        dt = t_next - t
        if ab2:
            now = v(t, x)
            x = x + dt * (now if last is None else 1.5 * now - 0.5 * last)
            last = now
        elif midpoint:
            x = x + dt * v(t + dt / 2, x + dt / 2 * v(t, x))
        else:
            x = x + dt * v(t, x)
    return x


def sample(w, options, cond, tokens, frames, noise, nfe=32, cfg=2.0, sway=-1.0, epss=True, midpoint=False,
           edit_mask=None, method=0, grid=0):
    """cond [n,100] mel of the reference, tokens [m] of reference text and new text -> mel [N,100],
    N = sample_frames(m, n, frames). noise [N,100] is the state at time 0. edit_mask [n] bool: False frames of the
    reference are neither shown to the model nor kept; None keeps all. method, grid: as in f5tts.h, 0 is upstream's."""
    frames = sample_frames(tokens.shape[0], cond.shape[0], frames)
    kind = wide(w["transformer.proj_out.weight"].dtype)
    keep = torch.zeros(frames, 1, dtype=torch.bool, device=cond.device)
    keep[:cond.shape[0], 0] = True if edit_mask is None else edit_mask
    whole = F.pad(cond.to(kind), (0, 0, 0, frames - cond.shape[0]))
    shown = torch.where(keep, whole, torch.zeros_like(whole))

    ab2 = method == 2
    if grid == 2 or (ab2 and grid == 0):
        times = own_grid(nfe, grid == 0, kind, cond.device)
    else:
        times = time_grid(nfe, sway, epss, kind, cond.device)
    v = guided_velocity(w, options, tokens, shown, frames, cfg)
    x = integrate(v, noise.to(kind), times, midpoint or method == 1, ab2)
    return torch.where(keep, whole, x)


# ---- samples to mel, mel to samples ---------------------------------------------------------------------------------


def hann(dtype, device):
    n = torch.arange(FFT, dtype=torch.float64, device=device)
    return (0.5 - 0.5 * torch.cos(2 * math.pi / FFT * n)).to(dtype)


def mel_bank(dtype, device):
    """[513,100] triangles of height 1, centres evenly spaced on the HTK mel scale over 0 … 12 kHz."""
    top = 2595 * math.log10(1 + RATE / 2 / 700)
    mels = torch.linspace(0, top, MEL_BANDS + 2, dtype=torch.float64, device=device)
    corner = 700 * (10 ** (mels / 2595) - 1)
    bins = torch.linspace(0, RATE / 2, FFT // 2 + 1, dtype=torch.float64, device=device).unsqueeze(1)
    rising = (bins - corner[:-2]) / (corner[1:-1] - corner[:-2])
    falling = (corner[2:] - bins) / (corner[2:] - corner[1:-1])
    return torch.minimum(rising, falling).clamp(min=0).to(dtype)


def mel(samples):
    """samples [n] -> log mel [n // 256 + 1, 100]."""
    x = F.pad(samples.view(1, 1, -1), (FFT // 2, FFT // 2), mode="reflect").flatten()
    frames = x.unfold(0, FFT, HOP) * hann(x.dtype, x.device)
    magnitude = torch.fft.rfft(frames).abs()
    return (magnitude @ mel_bank(x.dtype, x.device)).clamp(min=1e-5).log()


def overlap_add(frames):
    """frames [N,1024] at hop 256 -> [256 (N + 3)]."""
    n = frames.shape[0]
    y = frames.new_zeros(n + FFT // HOP - 1, HOP)
    for i, part in enumerate(frames.split(HOP, dim=1)):
        y[i:i + n] += part
    return y.flatten()


def istft(h, padding="center"):
    """h [N,1026]: log magnitude, phase -> samples: 256 (N - 1) centred, 256 N with padding "same"."""
    log_magnitude, phase = h.chunk(2, dim=1)
    magnitude = log_magnitude.exp().clamp(max=100)
    sine = phase.sin()
    sine[:, 0] = sine[:, -1] = 0  # the ends of a real signal's spectrum are real
    window = hann(h.dtype, h.device)
    frames = torch.fft.irfft(torch.complex(magnitude * phase.cos(), magnitude * sine), FFT) * window
    trim = {"center": FFT // 2, "same": (FFT - HOP) // 2}[padding]
    envelope = overlap_add(window.square().expand_as(frames))
    return overlap_add(frames)[trim:-trim] / envelope[trim:-trim]


def vocos_features(w, mel_frames):
    """mel [N,100] -> head output [N,1026]."""
    x = affine_norm(w, "backbone.norm", conv1d(w, "backbone.embed", mel_frames))
    for i in range(blocks_under(w, "backbone.convnext.")):
        p = f"backbone.convnext.{i}."
        h = affine_norm(w, p + "norm", conv1d(w, p + "dwconv", x, groups=x.shape[1]))
        h = linear(w, p + "pwconv2", F.gelu(linear(w, p + "pwconv1", h)))
        x = x + w[p + "gamma"] * h
    return linear(w, "head.out", affine_norm(w, "backbone.final_layer_norm", x))


def vocos(w, mel_frames, padding="center"):
    """mel [N,100] -> samples."""
    return istft(vocos_features(w, mel_frames), padding)
