"""linear_cuda against fp64 PyTorch: every type and epilogue, the shapes of Small, Base and Vocos, odd row counts."""
import math

import pytest
import torch

import cbind
from gpubind import BARS, NAMES, Gpu, Output, Pack, capture, check, generator, same_bits

TYPES = [torch.float32, torch.float16, torch.bfloat16]

# in, out: Base's and Small's block, input and output projections, text encoder, time features, Vocos; odd ones last
SHAPES = [(1024, 3072), (1024, 1024), (1024, 2048), (2048, 1024), (768, 2304), (768, 1536), (1536, 768), (712, 1024),
          (1024, 100), (512, 1024), (256, 1024), (512, 1536), (1536, 512), (512, 1026), (100, 512), (72, 40), (24, 7)]
EPILOGUES = ["NONE", "SILU", "GELU_TANH", "GELU_ERF", "RESIDUAL"]


def truth(x, w, bias, epilogue, gate, addend):
    a = x.double() @ w.double().T
    if bias is not None:
        a = a + bias.double()
    if epilogue == "SILU":
        return a * torch.sigmoid(a)
    if epilogue == "GELU_TANH":
        return a / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a ** 3)))
    if epilogue == "GELU_ERF":
        return a / 2 * (1 + torch.erf(a / math.sqrt(2)))
    if epilogue == "RESIDUAL":
        return addend.double() + (a if gate is None else gate.double() * a)
    return a


class Problem:
    def __init__(self, seed, rows, width_in, width_out, dtype, salt=""):
        made = generator(seed, salt, rows, width_in, width_out, NAMES[dtype])

        def normal(*shape, scale=1.0):
            return torch.randn(shape, generator=made, device="cuda") * scale

        self.dtype, self.rows, self.width_in, self.width_out = dtype, rows, width_in, width_out
        self.x = normal(rows, width_in).to(dtype)
        self.w = normal(width_out, width_in, scale=width_in ** -0.5).to(dtype)
        self.bias, self.gate = normal(width_out, scale=0.5), normal(width_out)
        self.addend = normal(rows, width_out)

    def launch(self, gpu, epilogue, y, bias=True, gate=True, y_f32=False, addend=None, pack=None, rounded=False):
        residual = epilogue == "RESIDUAL"
        fields = {"in": self.width_in, **({"pack": pack} if pack else {"rows": self.rows})}
        gpu.run("linear", out=self.width_out, x=self.x, w=self.w, bias=self.bias if bias else None,
                gate=self.gate if gate and residual else None,
                addend=(self.addend if addend is None else addend) if residual else None, y=y,
                bias_as_type=self.bias.to(self.dtype) if rounded else None,
                epilogue=getattr(cbind, f"LINEAR_{epilogue}"), type=self.dtype, y_f32=y_f32, **fields)

    def run(self, gpu, epilogue, y_f32=False, in_place=False, **options):
        """Into a fresh poisoned output, checked for writes beyond it."""
        out_type = torch.float32 if y_f32 else self.dtype
        y = Output(self.rows, self.width_out, dtype=out_type)
        if in_place:
            y.a.copy_(self.addend)
        self.launch(gpu, epilogue, y, y_f32=y_f32, addend=y.a if in_place else None, **options)
        return y.check()

    def truth(self, epilogue, bias=True, gate=True):
        return truth(self.x, self.w, self.bias if bias else None, epilogue, self.gate if gate else None, self.addend)


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}to{s[1]}")
def test_against_fp64(gpu, seed, shape, dtype):
    made = torch.Generator().manual_seed(seed + shape[0] * 7 + shape[1])
    rows = [1, 2 * int(torch.randint(1, 1406, (1,), generator=made)) + 1]
    for n in rows:
        problem = Problem(seed, n, *shape, dtype)
        for epilogue in EPILOGUES:
            what = f"{NAMES[dtype]} {n} x {shape[0]} -> {shape[1]} {epilogue}"
            y = problem.run(gpu, epilogue)
            check("linear", what, y, problem.truth(epilogue), BARS[dtype])
            if dtype != torch.float32:
                y = problem.run(gpu, epilogue, y_f32=True, rounded=True)
                check("linear", what + " to F32", y, problem.truth(epilogue), BARS[dtype])
                y = problem.run(gpu, epilogue, rounded=True)
                check("linear", what + " bias rounded", y, problem.truth(epilogue), BARS[dtype])


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
@pytest.mark.parametrize("gate", [True, False], ids=["gate", "plain"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "nobias"])
def test_residual_in_place(gpu, seed, dtype, gate, bias):
    problem = Problem(seed, 1877, 1024, 1024, dtype, "residual")
    y = problem.run(gpu, "RESIDUAL", bias=bias, gate=gate, y_f32=True, in_place=True)
    check("linear", f"{NAMES[dtype]} residual in place", y, problem.truth("RESIDUAL", bias, gate), BARS[dtype])
    for epilogue in EPILOGUES:
        y = problem.run(gpu, epilogue, bias=bias, gate=gate)
        check("linear", f"{NAMES[dtype]} {epilogue} bias {bias}", y, problem.truth(epilogue, bias, gate), BARS[dtype])


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
@pytest.mark.parametrize("shape", [(1024, 3072), (1024, 1024), (2048, 1024), (712, 1024), (1024, 100), (512, 1026)],
                         ids=lambda s: f"{s[0]}to{s[1]}")
def test_row_count_does_not_change_a_row(gpu, seed, shape, dtype):
    """A product over a pack: the same rows in buckets of other sizes are the same bits (context.plan_rows)."""
    problem = Problem(seed, 4124, *shape, dtype, "rows")
    for epilogue in ("NONE", "GELU_TANH", "RESIDUAL"):
        whole = problem.run(gpu, epilogue, pack=Pack([4124])).clone()
        for rows in (1, 33, 256, 1001, 1876, 2812):
            part = Problem.__new__(Problem)
            part.__dict__.update(problem.__dict__)
            first = 4124 - rows if rows % 2 else 0  # odd counts: the same rows at another place
            part.rows, part.x = rows, problem.x[first:first + rows].contiguous()
            part.addend = problem.addend[first:first + rows].contiguous()
            y = part.run(gpu, epilogue, pack=Pack([rows]))
            assert same_bits(y, whole[first:first + rows]), f"{epilogue}: {rows} rows differ from the same of 4124"


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
def test_small_workspace_only_means_more_steps(gpu, seed, dtype):
    """RESIDUAL goes through the workspace; with room for 100 rows at a time the bits are the same."""
    problem = Problem(seed, 1001, 256, 1024, dtype, "workspace")
    pack = Pack([1001])
    roomy = problem.run(gpu, "RESIDUAL", pack=pack, y_f32=True).clone()
    cramped = Gpu(workspace_bytes=(32 << 20) + 100 * 1024 * 4)
    try:
        y = problem.run(cramped, "RESIDUAL", pack=pack, y_f32=True)
        assert same_bits(y, roomy)
    finally:
        cramped.close()


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
def test_graph_replay_and_repetition(gpu, seed, dtype):
    problem = Problem(seed, 1406, 1024, 2048, dtype, "graph")
    for epilogue in EPILOGUES:
        y = Output(1406, 2048, dtype=dtype)
        problem.launch(gpu, epilogue, y)
        eager = y.check().clone()
        graph = capture(lambda: problem.launch(gpu, epilogue, y))
        for _ in range(20):
            y.a.fill_(float("nan"))
            graph.replay()
            assert same_bits(y.check(), eager), f"{epilogue}: replay differs from launches"


def test_plans_are_made_once(gpu, seed):
    problem = Problem(seed, 300, 256, 512, torch.float16, "plans")
    problem.run(gpu, "NONE", pack=Pack([300]))
    before = gpu.context.n_plans
    problem.run(gpu, "NONE", pack=Pack([300]))
    problem.rows, problem.x = 200, problem.x[:200].contiguous()
    problem.run(gpu, "NONE", pack=Pack([200]))
    assert gpu.context.n_plans == before


def test_bad_shapes_are_refused(gpu):
    for rows, width_in, width_out in ((-1, 8, 8), (1, 0, 8), (1, 8, 0)):
        assert gpu.call("linear", rows=rows, out=width_out, type=torch.float32, **{"in": width_in}) == 2
    assert gpu.call("linear", rows=0, out=8, type=torch.float32, **{"in": 8}) == 0
