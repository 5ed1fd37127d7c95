"""bench/torch_peer.py — F5-TTS as upstream computes it, as fast as PyTorch makes it: what f5tts is held against.

    python3 bench/torch_peer.py [--sizes S M L] [--nfe 32 16 7] [--modes eager graph compile compile+graph]

A request runs as upstream's: both guidance branches as one batch, text features once, AdaLN modulations at every step,
16-bit activations. Where upstream leaves something on the table that PyTorch has, the peer takes it: q, k and v are
one product, angles and time grid are made once, attention is PyTorch's fastest backend at this length.

    eager           op by op
    graph           the same kernels, captured: text encoder, all steps and vocoder are one CUDA graph
    compile         a whole step compiled by Inductor (fullgraph, static shapes), launched step by step
    compile+graph   the compiled steps in one CUDA graph, likewise: the peer to beat
    ... fp8, int8   that with 8-bit operands in the products of a block: a scale for each row and each output, made as the
                    row is, cuBLAS behind torch._scaled_mm (which has a scale a row with bf16 results only) and torch._int_mm

Prints whole requests by the clock (arrays in host memory to samples in host memory), the work on the device by events,
Vocos alone, and the error against the float32 reference (tests/reference/model.py).

Inductor's default mode is the fastest known: on an H200 max-autotune chose Triton products that win when timed alone
and lose between the others, and compiling each block apart was a little slower than a whole step.
"""
import argparse
import contextlib
import copy
import statistics
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from workload import COND_FRAMES, PEER_MODES, REF_FRAMES, SIZES, clock_ms, error, generated_seconds, random_request
from reference import model as reference  # found by workload
import random_checkpoint as rc
import torch_generator

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
EIGHT = {"fp8": (torch.float8_e4m3fn, 448.0), "int8": (torch.int8, 127.0)} if hasattr(torch, "float8_e4m3fn") else {}


def device_ms(call, repeats=20, warm=3):
    """Median ms of a call by device events."""
    times = []
    for _ in range(warm + repeats):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        call()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times[warm:])


@contextlib.contextmanager
def exact():
    """No gradients, and float32 as it is."""
    flags = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [f.allow_tf32 for f in flags]
    reference.exact_math()
    try:
        with torch.no_grad():
            yield
    finally:
        for flag, was in zip(flags, before):
            flag.allow_tf32 = was


def reference_mel(made, cond, tokens, noise, nfe, device="cuda"):
    """What a request's generated frames are in float32, by the reference on the GPU."""
    w = {k: torch.as_tensor(v, device=device) for k, v in made["model"].items()}
    cond, tokens, noise = (torch.as_tensor(a, device=device) for a in (cond, tokens, noise))
    with exact():
        mel = reference.sample(w, options_of(made["config"]), cond, tokens, len(noise), noise, nfe=nfe)
    return mel[COND_FRAMES:].cpu().numpy()


def options_of(c):
    return reference.Options(c["text_mask_padding"], c["pe_attn_head"], c["average_upsampling"], c["skip"])


# ---- weights --------------------------------------------------------------------------------------------------------


def under(weights, prefix):
    """The tensors whose names start with the prefix, without it."""
    return {k[len(prefix):]: v for k, v in weights.items() if k.startswith(prefix)}


class Weights:
    """Upstream-named arrays on the GPU: the acoustic model in `dtype`, the vocoder in float32."""

    def __init__(self, made, dtype=torch.float16, device="cuda"):
        c = made["config"]
        f5 = c["backbone"] == "DiT" and not c["long_skip"] and not c["average_upsampling"]
        e2 = c["backbone"] == "UNetT" and c["conv_layers"] == 0 and c["skip"] == "concat"
        assert (f5 or e2) and not c["qk_norm"], "the peer is F5-TTS or E2-TTS"
        self.heads, self.dtype, self.device, self.masks = c["heads"], dtype, torch.device(device), c["text_mask_padding"]
        self.rotated = c["heads"] if c["pe_attn_head"] is None else c["pe_attn_head"]
        w = {k: torch.as_tensor(v, device=device).to(dtype) for k, v in under(made["model"], "transformer.").items()}
        blocks, attention = ("layers", "2.") if e2 else ("transformer_blocks", "attn.")
        self.e2, self.blocks = e2, [under(w, f"{blocks}.{i}.") for i in range(c["depth"])]
        for block in self.blocks:
            for part in ("weight", "bias"):
                block[f"{attention}to_qkv.{part}"] = torch.cat([block.pop(f"{attention}to_{x}.{part}") for x in "qkv"])
        self.text_blocks = [under(w, f"text_embed.text_blocks.{i}.") for i in range(c["conv_layers"])]
        self.outer = {k: v for k, v in w.items() if "_blocks." not in k and not k.startswith("layers.")}
        v = {k: torch.as_tensor(x, device=device) for k, x in made["vocos"].items()}
        self.bigvgan = torch_generator.BigVGAN(v, c) if c["vocoder"] == "bigvgan" else None
        if self.bigvgan:
            return
        self.vocos_blocks = [under(v, f"backbone.convnext.{i}.") for i in range(c["vocos_layers"])]
        self.vocos = {k: x for k, x in v.items() if ".convnext." not in k}

    def in_eight_bits(self, kind):
        """The same with the products of a block in 8 bits."""
        def block_of(block):
            products = {k.removesuffix(".weight"): v for k, v in block.items() if v.dim() == 2 and "_norm" not in k}
            made = {f"{name}.eight": (kind, numbers, scale.t().contiguous())
                    for name, v in products.items() for numbers, scale in [in_eight_bits(v, kind)]}
            return {**{k: v for k, v in block.items() if k.removesuffix(".weight") not in products}, **made}

        other = copy.copy(self)
        other.blocks = [block_of(block) for block in self.blocks]
        return other


# ---- the acoustic model ---------------------------------------------------------------------------------------------


def linear(w, name, x):
    eight = w.get(name + ".eight")
    if eight is not None:
        return linear_eight(eight, w.get(name + ".bias"), x.flatten(0, -2)).unflatten(0, x.shape[:-1])
    return F.linear(x, w[name + ".weight"], w.get(name + ".bias"))


def in_eight_bits(x, kind):
    """x [n,K] -> (numbers [n,K], F32 scales [n,1])."""
    most = EIGHT[kind][1]
    scale = x.abs().amax(dim=1, keepdim=True).float().clamp(min=1e-12) / most
    numbers = x.float() / scale
    return (numbers.round() if kind == "int8" else numbers.clamp(-most, most)).to(EIGHT[kind][0]), scale


def linear_eight(eight, bias, x):
    """x [n,K] -> [n,M] in its type; eight: (kind, the weights' numbers [M,K], their scales [1,M])."""
    kind, w, w_scale = eight
    numbers, scale = in_eight_bits(x, kind)
    if kind == "int8":
        y = torch._int_mm(numbers, w.t()).float() * scale * w_scale
        return (y if bias is None else y + bias).to(x.dtype)
    bias = None if bias is None else bias.to(torch.bfloat16)
    return torch._scaled_mm(numbers, w.t(), scale, w_scale, bias=bias, out_dtype=torch.bfloat16, use_fast_accum=True).to(x.dtype)


def conv(w, name, x, groups=1):
    """x [B,C,N], same length."""
    weight = w[name + ".weight"]
    return F.conv1d(x, weight, w[name + ".bias"], padding=weight.shape[-1] // 2, groups=groups)


def norm(x, w=None, name=None):
    weight, bias = (w[name + ".weight"], w[name + ".bias"]) if w else (None, None)
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps=1e-6)


def text_features(w, positions, tokens, frames):
    """tokens [m] -> [2,frames,T]: the text, and the null text under the same mask."""
    ids = F.pad(tokens[:frames] + 1, (0, frames - tokens.shape[0]))
    mask = (ids > 0)[None, :, None] if w.masks else 1
    x = F.embedding(torch.stack((ids, torch.zeros_like(ids))), w.outer["text_embed.text_embed.weight"])
    if not w.text_blocks:
        return x
    x = (x + positions) * mask
    for block in w.text_blocks:
        h = conv(block, "dwconv", x.transpose(1, 2), groups=x.shape[2]).transpose(1, 2)
        h = F.gelu(linear(block, "pwconv1", norm(h, block, "norm")))
        energy = torch.linalg.vector_norm(h, dim=1, keepdim=True)
        h = block["grn.gamma"] * (h * (energy / (energy.mean(dim=-1, keepdim=True) + 1e-6))) + block["grn.beta"] + h
        x = (x + linear(block, "pwconv2", h)) * mask
    return x


def rotate(x, rope):
    """x [B,H,N,64]: pairs (2i,2i+1) turned in float32."""
    cos, sin = rope
    wide = x.float()
    turned = torch.stack((-wide[..., 1::2], wide[..., 0::2]), dim=-1).flatten(-2)
    return (wide * cos + turned * sin).to(x.dtype)


def attend(block, name, x, rope, w):
    """x [2,N,D], normed."""
    q, k, v = linear(block, name + "to_qkv", x).unflatten(-1, (3, w.heads, 64)).permute(2, 0, 3, 1, 4)
    if w.rotated < w.heads:
        q, k = (torch.cat((rotate(y[:, :w.rotated], rope), y[:, w.rotated:]), dim=1) for y in (q, k))
    else:
        q, k = rotate(q, rope), rotate(k, rope)
    return linear(block, name + "to_out.0", F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def unett_layers(w, h, c, rope):
    """h [2,N,D], c [2,D] time -> [2,N,D] behind the last norm."""
    h, skips = torch.cat((c.unsqueeze(1), h), dim=1), []

    def rms(x, g):
        return F.normalize(x, dim=-1) * x.shape[-1] ** 0.5 * g

    for i, block in enumerate(w.blocks):
        if i < len(w.blocks) // 2:
            skips.append(h)
        else:
            h = linear(block, "0", torch.cat((h, skips.pop()), dim=-1))
        h = h + attend(block, "2.", rms(h, block["1.g"]), rope, w)
        h = h + linear(block, "4.ff.2", F.gelu(linear(block, "4.ff.0.0", rms(h, block["3.g"])), approximate="tanh"))
    return rms(h, w.outer["norm_out.g"])[:, 1:]


def dit_block(w, x, c, rope, model):
    """x [2,N,D], c [2,D] after SiLU."""
    modulation = linear(w, "attn_norm.linear", c).unsqueeze(1)
    shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = modulation.chunk(6, dim=-1)
    h = norm(x) * (1 + scale_a) + shift_a
    x = x + gate_a * attend(w, "attn.", h, rope, model)
    h = norm(x) * (1 + scale_m) + shift_m
    return x + gate_m * linear(w, "ff.ff.2", F.gelu(linear(w, "ff.ff.0.0", h), approximate="tanh"))


def velocity(w, x, time_features, fixed, rope):
    """x [N,100] float32, time_features [256], fixed [2,N,100+T] (condition | text) -> [2,N,100]."""
    outer = w.outer
    c = F.silu(linear(outer, "time_embed.time_mlp.0", time_features.to(w.dtype).expand(2, -1)))
    c = linear(outer, "time_embed.time_mlp.2", c)
    h = linear(outer, "input_embed.proj", torch.cat((x.to(w.dtype).expand(2, -1, -1), fixed), dim=-1))
    y = h.transpose(1, 2)
    for i in (0, 2):
        y = F.mish(conv(outer, f"input_embed.conv_pos_embed.conv1d.{i}", y, groups=16))
    h = h + y.transpose(1, 2)
    if w.e2:
        return linear(outer, "proj_out", unett_layers(w, h, c, rope))
    c = F.silu(c)
    for block in w.blocks:
        h = dit_block(block, h, c, rope, w)
    scale, shift = linear(outer, "norm_out.linear", c).unsqueeze(1).chunk(2, dim=-1)
    return linear(outer, "proj_out", norm(h) * (1 + scale) + shift)


def euler_step(w, x, time_features, dt, fixed, rope, cfg):
    given, null = velocity(w, x, time_features, fixed, rope).float().unbind(0)
    return x + dt * (given + (given - null) * cfg)


# ---- the vocoder ----------------------------------------------------------------------------------------------------


def vocos(w, mel, window, envelope):
    """mel [n,100] float32 -> samples [256 (n - 1)]."""
    x = norm(conv(w.vocos, "backbone.embed", mel.t()[None]).transpose(1, 2), w.vocos, "backbone.norm")
    for block in w.vocos_blocks:
        h = conv(block, "dwconv", x.transpose(1, 2), groups=x.shape[2]).transpose(1, 2)
        h = linear(block, "pwconv2", F.gelu(linear(block, "pwconv1", norm(h, block, "norm"))))
        x = x + block["gamma"] * h
    log_magnitude, phase = linear(w.vocos, "head.out", norm(x, w.vocos, "backbone.final_layer_norm")).chunk(2, dim=-1)
    spectrum = torch.polar(log_magnitude.exp().clamp(max=100), phase)
    pieces = torch.fft.irfft(spectrum, n=1024, dim=-1) * window
    return overlap_add(pieces.transpose(1, 2)) / envelope  # torch.istft waits for the device, so it cannot be captured


def overlap_add(pieces):
    """[1,1024,n] at hop 256 -> [256 (n - 1)], half a window cut off on either side."""
    n = pieces.shape[2]
    return F.fold(pieces, (1, 256 * (n + 3)), kernel_size=(1, 1024), stride=(1, 256)).flatten()[512:-512]


# ---- a request ------------------------------------------------------------------------------------------------------


def choose_attention(weights, frames):
    """Leaves only the fastest backend of scaled_dot_product_attention on for this shape; its name."""
    if weights.device.type == "cpu":
        return "as it is"
    backends = {"cuDNN": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION,
                "efficient": SDPBackend.EFFICIENT_ATTENTION}
    q = torch.randn(2, frames, weights.heads, 64, device="cuda", dtype=weights.dtype).transpose(1, 2)
    took = {}
    for name, backend in backends.items():
        try:
            with sdpa_kernel(backend):
                took[name] = device_ms(lambda: F.scaled_dot_product_attention(q, q, q))
        except RuntimeError:
            continue
    best = min(took, key=took.get)
    torch.backends.cuda.enable_cudnn_sdp(best == "cuDNN")
    torch.backends.cuda.enable_flash_sdp(best == "flash")
    torch.backends.cuda.enable_mem_efficient_sdp(best == "efficient")
    torch.backends.cuda.enable_math_sdp(False)
    return best


class Replayed:
    """Work on the device, ode() and vocode(mel), that is run as it is or as one CUDA graph. mel and samples are its results."""

    def start(self, mode):
        self.mel = self.samples = self.replay = None
        started = time.perf_counter()
        self.run()
        if mode.endswith("graph"):
            self.capture()
        self.setup_seconds = time.perf_counter() - started
        self.heard = torch.empty(self.samples.shape, pin_memory=self.samples.is_cuda)

    @torch.no_grad()
    def run(self):
        self.mel = self.ode()
        self.samples = self.vocode(self.mel)

    def capture(self):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                self.run()
        torch.cuda.current_stream().wait_stream(side)
        self.replay = self.graph_of(self.run).replay

    @staticmethod
    def graph_of(work):
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            work()
        return graph

    def vocoder_ms(self, rounds):
        """Median ms of the vocoder alone, on the mel that was made last, in a graph of its own where the whole is in one."""
        mel = self.mel.clone()
        if not mel.is_cuda:
            return statistics.median(clock_ms({"": lambda: self.vocode(mel)}, rounds)[""])
        graph = self.replay and self.graph_of(lambda: self.vocode(mel))
        return device_ms(graph.replay if graph else lambda: self.vocode(mel), rounds)

    def listen(self, tokens, noise):
        """The samples, in host memory, of these tokens; self.tokens and self.noise are where the device finds them."""
        self.tokens.copy_(torch.from_numpy(tokens))
        self.noise.copy_(torch.randn_like(self.noise) if noise is None else torch.from_numpy(noise))
        (self.replay or self.run)()
        self.heard.copy_(self.samples)
        return self.heard.numpy()


def step_of(step, mode, compile_mode):
    return torch.compile(step, mode=compile_mode, fullgraph=True, dynamic=False) if mode.startswith("compile") else step


class Peer(Replayed):
    """Requests of one size. peer(cond, tokens): arrays in host memory to samples in host memory of the peer's."""

    def __init__(self, weights, frames, n_tokens, nfe=32, cfg=2.0, mode="compile+graph", compile_mode="default"):
        mode, _, kind = mode.partition(" ")
        self.w, self.frames, self.cfg = weights.in_eight_bits(kind) if kind else weights, frames, cfg
        device = weights.device

        def zeros(*shape, dtype=torch.float32):
            return torch.zeros(*shape, dtype=dtype, device=device)

        self.cond, self.noise, self.tokens = zeros(frames, 100), zeros(frames, 100), zeros(n_tokens, dtype=torch.long)
        times = reference.time_grid(nfe, device=device)
        self.dts = times.diff().unbind()
        self.time_features = [reference.time_features(t) for t in times[:-1]]
        text_dim = weights.outer["text_embed.text_embed.weight"].shape[1]
        self.positions = reference.text_positions(frames, text_dim, weights.dtype, device)
        frequencies = 10000.0 ** -(torch.arange(0, 64, 2, device=device) / 64)
        angles = torch.outer(torch.arange(frames + weights.e2, device=device), frequencies)
        self.rope = [f(angles).repeat_interleave(2, dim=1) for f in (torch.cos, torch.sin)]
        self.window = reference.hann(torch.float32, device)
        self.envelope = overlap_add(self.window.square()[None, :, None].expand(1, -1, frames - REF_FRAMES))
        self.step = step_of(euler_step, mode, compile_mode)
        self.generate = step_of(weights.bigvgan, mode, compile_mode) if weights.bigvgan else None
        self.start(mode)

    @torch.no_grad()
    def ode(self):
        text = text_features(self.w, self.positions, self.tokens, self.frames)
        cond = self.cond.to(self.w.dtype)
        fixed = torch.cat((torch.stack((cond, torch.zeros_like(cond))), text), dim=-1)
        x = self.noise
        for features, dt in zip(self.time_features, self.dts):
            x = self.step(self.w, x, features, dt, fixed, self.rope, self.cfg)
        return torch.cat((self.cond[:COND_FRAMES], x[COND_FRAMES:]))

    @torch.no_grad()
    def vocode(self, mel):
        if self.generate:
            return self.generate(mel[REF_FRAMES:])
        return vocos(self.w, mel[REF_FRAMES:], self.window, self.envelope)

    def __call__(self, cond, tokens, noise=None):
        self.cond[:len(cond)].copy_(torch.from_numpy(cond))
        return self.listen(tokens, noise)


# ---- alone ----------------------------------------------------------------------------------------------------------


def options():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    p.add_argument("--nfe", nargs="+", type=int, default=[32])
    p.add_argument("--modes", nargs="*", choices=PEER_MODES, default=["eager", "compile", "compile+graph"])
    p.add_argument("--compile-mode", default="default", help="mode of torch.compile (default: %(default)s)")
    p.add_argument("--precision", choices=DTYPES, default="fp16")
    p.add_argument("--rounds", type=int, default=20)
    p.add_argument("--seed", type=int, default=int(time.time()))
    return p


def main():
    args = options().parse_args()
    rng = np.random.default_rng(args.seed)
    config, vocab_size = {**rc.OPTIONS, **rc.ARCHS["F5TTS_v1_Base"]}, len(rc.default_vocab())
    made = dict(config=config, model=rc.draw_all(rc.acoustic_tensors(config, vocab_size), args.seed),
                vocos=rc.draw_all(rc.vocos_tensors(config), args.seed))
    weights = Weights(made, DTYPES[args.precision])
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {args.precision}, medians of {args.rounds}, "
          f"seed {args.seed}")
    print(f"{'size, nfe, mode':<26}{'request ms':>11}{'device ms':>11}{'Vocos ms':>10}{'RTF':>9}{'error':>10}"
          f"{'set-up s':>10}  attention")
    for size, nfe in [(s, n) for s in args.sizes for n in args.nfe]:
        frames = SIZES[size]
        attention = choose_attention(weights, frames)
        cond, tokens, noise = random_request(rng, frames, vocab_size)
        wanted = reference_mel(made, cond, tokens, noise, nfe)
        for mode in args.modes:
            peer = Peer(weights, frames, len(tokens), nfe, mode=mode, compile_mode=args.compile_mode)
            peer(cond, tokens, noise)
            wrong = error(peer.mel.cpu().numpy(), wanted)
            request = statistics.median(clock_ms({mode: lambda: peer(cond, tokens)}, args.rounds)[mode])
            device, vocoder = device_ms(peer.replay or peer.run, args.rounds), peer.vocoder_ms(args.rounds)
            print(f"{f'{size}  {nfe:>2}  {mode}':<26}{request:>11.1f}{device:>11.1f}{vocoder:>10.2f}"
                  f"{request / 1e3 / generated_seconds(frames):>9.4f}{wrong:>10.1e}{peer.setup_seconds:>10.1f}"
                  f"  {attention}", flush=True)


if __name__ == "__main__":
    main()
