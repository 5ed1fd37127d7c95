"""Kernels that take their places while the one in front still runs (launch.cuh: cuda_launch_early). A chain of every op
of the ODE loop, and one of the vocoder's blocks, in buffers that are used again and again, gives the same bits whether
each op waits for the one before on the host, or follows it at once, or is replayed from a graph: nothing is read too
early, or overwritten too soon."""
import pytest
import torch

import cbind
import ops
from gpubind import NAMES, Pack, capture, generator, same_bits
from ops import rope_table

D, FF, MEL, HEADS, BLOCKS, STEPS = 1024, 2048, 100, 16, 2, 3

# of one branch, and rows of tail: launches far too short to fill the device, empty slots, and a request of 10 s
LENGTHS = {"short": ([5, 0, 31], 58), "one": ([128], 0), "long": ([938], 4)}


class Chain:
    def __init__(self, seed, lengths, tail, dtype):
        made = generator(seed, "chain", str(lengths), NAMES[dtype])

        def normal(*shape, scale=1.0, to=torch.float32):
            return (torch.randn(shape, generator=made, device="cuda") * scale).to(to)

        def matrix(out, width):
            return normal(out, width, scale=width ** -0.5, to=dtype)

        self.dtype, self.pack = dtype, Pack(lengths * 2, tail)
        rows = self.pack.rows
        self.start, self.base = normal(rows, MEL), normal(rows, D)
        self.w_input = normal(D, MEL, scale=MEL ** -0.5)
        self.w_conv = [normal(31, D, D // 16, scale=(31 * D // 16) ** -0.5, to=dtype) for _ in range(2)]
        self.w_qkv, self.w_out, self.w_velocity = matrix(3 * D, D), matrix(D, D), matrix(MEL, D)
        self.w_ff1, self.w_ff2 = matrix(FF, D), matrix(D, FF)
        self.scale, self.shift, self.gate, self.bias = (normal(D, scale=0.2) for _ in range(4))
        self.rope, self.norms = rope_table(max(lengths), "cuda"), [1 + normal(64, scale=0.2) for _ in range(2)]
        self.x, self.v, self.h = (torch.zeros(rows, n, device="cuda") for n in (MEL, MEL, D))
        self.attended, self.qkv = (torch.zeros(rows, n, dtype=dtype, device="cuda") for n in (D, 3 * D))
        # where take_buffers of dit.c has them
        self.normed_a = self.attended
        self.normed_m, self.hidden = (part.view(rows, -1) for part in self.qkv.view(-1).split([rows * D, rows * FF]))
        torch.cuda.synchronize()

    def block(self, run, rotate_first):
        """As dit.c does it: RoPE with the product, or, where q and k are normalised, with attention."""
        def norm(y):
            run("norm", rows=self.pack.rows, dim=D, x=self.h, scale=self.scale, shift=self.shift, y=y,
                one_plus_scale=True, type=self.dtype)

        norm(self.normed_a)
        table = dict(rope=self.rope, max_position=len(self.rope))
        run("linear", x=self.normed_a, w=self.w_qkv, y=self.qkv, out=3 * D, rope_heads=HEADS, **table,
            epilogue=cbind.LINEAR_ROPE if rotate_first else cbind.LINEAR_NONE, **{"in": D})
        norms = {} if rotate_first else dict(zip(("q_norm", "k_norm"), self.norms))
        run("attention", heads=HEADS, rope_heads=0 if rotate_first else HEADS, qkv=self.qkv, y=self.attended,
            type=self.dtype, **table, **norms)
        run("linear", x=self.attended, w=self.w_out, y=self.h, addend=self.h, gate=self.gate, bias=self.bias, out=D,
            epilogue=cbind.LINEAR_RESIDUAL, **{"in": D})
        norm(self.normed_m)
        run("linear", x=self.normed_m, w=self.w_ff1, y=self.hidden, out=FF, epilogue=cbind.LINEAR_GELU_TANH,
            **{"in": D})
        run("linear", x=self.hidden, w=self.w_ff2, y=self.h, addend=self.h, gate=self.gate, out=D,
            epilogue=cbind.LINEAR_RESIDUAL, **{"in": FF})

    def __call__(self, gpu, after=lambda: None):
        """The state after some steps, live rows; after() is called behind every op."""
        def run(op, **fields):
            gpu.run(op, **(fields if op in ("norm", "cast", "quantize") else dict(fields, pack=self.pack)))
            after()
        self.x.copy_(self.start)
        after()
        for step in range(STEPS):
            run("linear", x=self.x, w=self.w_input, addend=self.base, y=self.h, also=self.normed_m,
                out=D, epilogue=cbind.LINEAR_RESIDUAL, **{"in": MEL})
            run("conv_pos", dim=D, x=self.normed_m, w=self.w_conv[0], bias=self.bias, y=self.attended, type=self.dtype)
            run("conv_pos", dim=D, x=self.attended, w=self.w_conv[1], bias=self.bias, residual=self.h, y=self.h,
                type=self.dtype, y_f32=True)
            for i in range(BLOCKS):
                self.block(run, rotate_first=i == 0)
            run("cast", n=self.h.numel(), x=self.h, y=self.normed_a, type=self.dtype)
            run("linear", x=self.normed_a, w=self.w_velocity, y=self.v, out=MEL, **{"in": D})
            run("guide", dim=MEL, branches=2, cfg=2.0, dt=0.1, x=self.x, v=self.v, y=self.x)
        return self.x[:self.pack.live]


class Int8Chain(Chain):
    """With blocks whose products have 8-bit operands, all in the one buffer that dit.c has for them."""

    def __init__(self, seed, lengths, tail, dtype):
        super().__init__(seed, lengths, tail, dtype)
        rows = self.pack.rows
        self.whole = torch.zeros(rows * FF, dtype=torch.int8, device="cuda")
        self.whole_scale = torch.zeros(rows, device="cuda")
        for name in ("qkv", "out", "ff1", "ff2"):
            w = getattr(self, f"w_{name}").float()
            whole, scale = ops.whole(w)
            setattr(self, f"w_{name}", whole.to(torch.int8))
            setattr(self, f"scale_{name}", scale[:, 0].contiguous())
        torch.cuda.synchronize()

    def block(self, run, rotate_first):
        rows = self.pack.rows

        def norm():
            run("norm", rows=rows, dim=D, x=self.h, scale=self.scale, shift=self.shift, y=self.whole,
                y_scale=self.whole_scale, one_plus_scale=True, type=torch.int8)

        def quantize(x, dim):
            run("quantize", rows=rows, dim=dim, x=x, y=self.whole, scale=self.whole_scale)

        def product(name, width_in, out, y, **fields):
            run("linear_int8", x=self.whole, x_scale=self.whole_scale, w=getattr(self, f"w_{name}"),
                w_scale=getattr(self, f"scale_{name}"), y=y, out=out, **fields, **{"in": width_in})

        table = dict(rope=self.rope, max_position=len(self.rope))
        residual = dict(addend=self.h, gate=self.gate, bias=self.bias, epilogue=cbind.LINEAR_RESIDUAL)
        norm()
        product("qkv", D, 3 * D, self.qkv, rope_heads=HEADS, **table,
                epilogue=cbind.LINEAR_ROPE if rotate_first else cbind.LINEAR_NONE)
        norms = {} if rotate_first else dict(zip(("q_norm", "k_norm"), self.norms))
        run("attention", heads=HEADS, rope_heads=0 if rotate_first else HEADS, qkv=self.qkv, y=self.attended,
            type=self.dtype, **table, **norms)
        quantize(self.attended, D)
        product("out", D, D, self.h, **residual)
        norm()
        product("ff1", D, FF, self.hidden, epilogue=cbind.LINEAR_GELU_TANH)
        quantize(self.hidden, FF)
        product("ff2", FF, D, self.h, **residual)


class Vocoder:
    """Blocks of Vocos in F32, in place."""
    WIDTH, INNER = 512, 1536

    def __init__(self, seed, lengths, tail, dtype):
        made = generator(seed, "vocoder chain", str(lengths), NAMES[dtype])

        def normal(*shape, scale=1.0):
            return torch.randn(shape, generator=made, device="cuda") * scale

        self.pack = Pack(lengths, tail)
        self.start = normal(self.pack.rows, self.WIDTH)
        self.w_conv, self.vectors = normal(7, self.WIDTH, scale=7 ** -0.5), [normal(self.WIDTH, scale=0.2) for _ in range(4)]
        self.w1 = normal(self.INNER, self.WIDTH, scale=self.WIDTH ** -0.5)
        self.w2 = normal(self.WIDTH, self.INNER, scale=self.INNER ** -0.5)
        self.x, self.normed = (torch.zeros(self.pack.rows, self.WIDTH, device="cuda") for _ in range(2))
        self.hidden = torch.zeros(self.pack.rows, self.INNER, device="cuda")
        torch.cuda.synchronize()

    def __call__(self, gpu, after=lambda: None):
        def run(op, **fields):
            gpu.run(op, pack=self.pack, **fields)
            after()
        bias, scale, shift, gate = self.vectors
        self.x.copy_(self.start)
        after()
        for _ in range(STEPS):
            run("dwconv_norm", dim=self.WIDTH, x=self.x, w=self.w_conv, bias=bias, scale=scale, shift=shift, y=self.normed,
                type=torch.float32)
            run("linear", x=self.normed, w=self.w1, y=self.hidden, out=self.INNER, epilogue=cbind.LINEAR_GELU_ERF,
                **{"in": self.WIDTH})
            run("linear", x=self.hidden, w=self.w2, y=self.x, addend=self.x, gate=gate, bias=bias, out=self.WIDTH,
                epilogue=cbind.LINEAR_RESIDUAL, **{"in": self.INNER})
        return self.x[:self.pack.live]


CHAINS = [(Chain, torch.float16), (Chain, torch.bfloat16), (Int8Chain, torch.float16), (Vocoder, torch.float32)]


@pytest.mark.parametrize("kind,dtype", CHAINS, ids=[f"{kind.__name__}-{NAMES[dtype]}" for kind, dtype in CHAINS])
@pytest.mark.parametrize("lengths,tail", LENGTHS.values(), ids=LENGTHS)
def test_nothing_is_read_too_early(gpu, path, seed, lengths, tail, kind, dtype):
    chain = kind(seed, lengths, tail, dtype)
    waited = chain(gpu, after=torch.cuda.synchronize).clone()
    assert bool(torch.isfinite(waited).all()) and not same_bits(waited, chain.start[:chain.pack.live])
    for again in range(20):
        assert same_bits(chain(gpu), waited), f"run {again} differs from one that waits after every op"
    graph = capture(lambda: chain(gpu))
    for again in range(20):
        chain.x.fill_(float("nan"))
        graph.replay()
        assert same_bits(chain.x[:chain.pack.live], waited), f"replay {again} differs from one that waits after every op"


def test_early_starts_are_used_where_kernels_wait(gpu):
    """A build for this device has code that waits exactly where the device can start kernels early."""
    assert gpu.context.early_start == (torch.cuda.get_device_capability() >= (9, 0))
