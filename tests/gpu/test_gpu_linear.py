"""linear_cuda beyond test_gpu_ops.py: the shapes of Small, Base and Vocos without a pack, every type and epilogue, odd row
counts; by our own kernels (Hopper's, split F32, few outputs) and by cuBLASLt."""
import pytest
import torch

import cbind
from gpubind import BARS, NAMES, Gpu, Output, Pack, capture, check, generator, same_bits
from ops import Linear, rope_table, rotate
from shapes import block_products

TYPES = [torch.float32, torch.float16, torch.bfloat16]

# in, out: Base's and Small's block, input and output projections, text encoder, time features, Vocos; odd ones last
BLOCKS = [(a, b) for dim in (1024, 768) for _, a, b, _ in block_products(dim)]
SHAPES = BLOCKS + [(712, 1024), (1024, 100), (512, 1024), (256, 1024), (512, 1536), (1536, 512), (512, 1026), (100, 512),
                   (72, 40), (24, 7)]
SM90_SHAPES = BLOCKS + [(64, 64), (192, 448), (64, 832)]  # tiles that reach past the last column, tiles of one step
EPILOGUES = Linear.EPILOGUES


def among_nan(tensor):
    """The tensor's rows between rows of NaN, as neighbours in one allocation."""
    whole = torch.full((tensor.shape[0] + 256, tensor.shape[1]), float("nan"), dtype=tensor.dtype, device="cuda")
    whole[128:128 + tensor.shape[0]] = tensor
    return whole[128:128 + tensor.shape[0]]


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
                bias_rounded=self.bias.to(self.dtype) if rounded else None,
                epilogue=getattr(cbind, f"LINEAR_{epilogue}"), **fields)

    def run(self, gpu, epilogue, y_f32=False, in_place=False, **options):
        """Into a fresh poisoned output, checked for writes beyond it."""
        out_type = torch.float32 if y_f32 else self.dtype
        y = Output(self.rows, self.width_out, dtype=out_type)
        if in_place:
            y.a.copy_(self.addend)
        self.launch(gpu, epilogue, y, y_f32=y_f32, addend=y.a if in_place else None, **options)
        return y.check()

    def truth(self, epilogue, bias=True, gate=True):
        shared = dict(w=self.w, bias=self.bias if bias else None, gate=self.gate if gate else None)
        return Linear(self.width_in, self.width_out, epilogue).truth(dict(x=self.x, addend=self.addend), {}, shared)


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}to{s[1]}")
def test_against_fp64(gpu, path, seed, shape, dtype):
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
def test_residual_in_place(gpu, path, seed, dtype, gate, bias):
    for rows in (4124, 2812, 1877):  # tiles of all widths
        problem = Problem(seed, rows, 1024, 1024, dtype, "residual")
        y = problem.run(gpu, "RESIDUAL", bias=bias, gate=gate, y_f32=True, in_place=True).clone()
        check("linear", f"{NAMES[dtype]} residual in place", y, problem.truth("RESIDUAL", bias, gate), BARS[dtype])
        if path == "sm90":  # cuBLASLt may take another algorithm where C is not D (seen with a bias and no gate)
            apart = problem.run(gpu, "RESIDUAL", bias=bias, gate=gate, y_f32=True)
            assert same_bits(y, apart), f"{rows} rows in place"
    for epilogue in EPILOGUES:
        y = problem.run(gpu, epilogue, bias=bias, gate=gate)
        check("linear", f"{NAMES[dtype]} {epilogue} bias {bias}", y, problem.truth(epilogue, bias, gate), BARS[dtype])


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
@pytest.mark.parametrize("shape", [(1024, 3072), (1024, 1024), (2048, 1024), (712, 1024), (1024, 100), (512, 1026)],
                         ids=lambda s: f"{s[0]}to{s[1]}")
def test_row_count_does_not_change_a_row(gpu, path, seed, shape, dtype):
    """A product over a pack: the same rows in buckets of other sizes are the same bits (arch.plan_rows)."""
    problem = Problem(seed, 4124, *shape, dtype, "rows")
    for epilogue, y_f32 in (("NONE", False), ("NONE", True), ("GELU_TANH", False), ("GELU_ERF", False),
                            ("RESIDUAL", False), ("RESIDUAL", True)):
        whole = problem.run(gpu, epilogue, y_f32=y_f32, pack=Pack([4124])).clone()
        for rows in (1, 33, 256, 1001, 1876, 2812):  # on Hopper: tiles of every size
            part = Problem.__new__(Problem)
            part.__dict__.update(problem.__dict__)
            first = 4124 - rows if rows % 2 else 0  # odd counts: the same rows at another place
            part.rows, part.x = rows, problem.x[first:first + rows].contiguous()
            part.addend = problem.addend[first:first + rows].contiguous()
            y = part.run(gpu, epilogue, y_f32=y_f32, pack=Pack([rows]))
            assert same_bits(y, whole[first:first + rows]), f"{epilogue}: {rows} rows differ from the same of 4124"


@pytest.mark.parametrize("shape", [(1024, 2048), (1024, 1024), (128, 832)], ids=lambda s: f"{s[0]}-to-{s[1]}")
@pytest.mark.parametrize("epilogue", ["NONE", "GELU_TANH", "RESIDUAL"])
def test_int8_row_count_does_not_change_a_row(gpu, path, seed, epilogue, shape):
    """The same of whole numbers: every tile, and groups that take turns."""
    made, (width_in, width_out), most = generator(seed, "int8 rows", epilogue, *shape), shape, 4124
    x, w = (torch.randint(-127, 128, (n, width_in), generator=made, device="cuda", dtype=torch.int8) for n in (most, width_out))
    x_scale, w_scale = ((1 + torch.rand(n, generator=made, device="cuda")) / 512 for n in (most, width_out))
    bias, addend = (torch.randn(n, width_out, generator=made, device="cuda") for n in (1, most))

    def run(first, rows):
        y = Output(rows, width_out, dtype=torch.float32 if epilogue == "RESIDUAL" else torch.float16)
        part = slice(first, first + rows)
        gpu.run("linear_int8", **{"in": width_in}, out=width_out, rows=rows, x=x[part].contiguous(),
                x_scale=x_scale[part].contiguous(), w=w, w_scale=w_scale, bias=bias[0],
                addend=addend[part].contiguous() if epilogue == "RESIDUAL" else None, y=y,
                epilogue=getattr(cbind, f"LINEAR_{epilogue}"))
        return y.check()

    whole = run(0, most)
    for rows in (1, 33, 256, 1001, 1876, 2812):
        first = most - rows if rows % 2 else 0
        assert same_bits(run(first, rows), whole[first:first + rows]), f"{rows} rows differ from the same of {most}"


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
def test_small_workspace_only_means_more_steps(gpu, seed, dtype):
    """By cuBLASLt RESIDUAL goes through the workspace; with room for 100 rows at a time the bits are the same."""
    problem = Problem(seed, 1001, 256, 1024, dtype, "workspace")
    pack = Pack([1001])
    cramped = Gpu(workspace_bytes=(32 << 20) + 100 * 1024 * 4)
    gpu.limit("sm80")
    cramped.limit("sm80")
    try:
        roomy = problem.run(gpu, "RESIDUAL", pack=pack, y_f32=True).clone()
        y = problem.run(cramped, "RESIDUAL", pack=pack, y_f32=True)
        assert same_bits(y, roomy)
    finally:
        gpu.limit("sm90")
        cramped.close()


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
def test_graph_replay_and_repetition(gpu, path, seed, dtype):
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


def rope_truth(problem, spans, heads, rope_heads, rope):
    a = problem.truth("NONE").view(problem.rows, 3, heads, 64).clone()
    for begin, end in spans:
        a[begin:end, :2, :rope_heads] = rotate(a[begin:end, :2, :rope_heads], rope)
    return a.view(problem.rows, -1)


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
@pytest.mark.parametrize("heads,rope_heads", [(16, 16), (16, 1), (12, 12), (12, 1), (4, 4), (1, 1), (3, 0)])
def test_rope(gpu, path, seed, heads, rope_heads, dtype):
    """Packs, a single sequence of full tiles, tails of NaN; a row's bits do not depend on its company."""
    rope = rope_table(2200, "cuda")
    alone, weights = {}, Problem(seed, 1, 64 * heads, 192 * heads, dtype, "rope")
    for lengths, tail in (([1], 0), ([65], 0), ([2062], 0), ([65, 0, 300, 1, 2062], 9), ([938, 65, 938], 4)):
        pack = Pack(lengths, tail)
        ends = torch.tensor([0, *lengths]).cumsum(0).tolist()
        problem = Problem(seed, pack.rows, 64 * heads, 192 * heads, dtype, "rope")
        problem.w, problem.bias = weights.w, weights.bias
        for begin, end in zip(ends, ends[1:]):  # a sequence of some length is the same rows wherever it stands
            problem.x[begin:end] = torch.randn(end - begin, 64 * heads, device="cuda",
                                               generator=generator(seed, "rows", end - begin)).to(dtype)
        if tail:
            problem.x[pack.live:] = float("nan")
        y = Output(pack.rows, 192 * heads, dtype=dtype)
        gpu.run("linear", pack=pack, out=192 * heads, x=problem.x, w=problem.w, bias=problem.bias, rope=rope,
                rope_heads=rope_heads, max_position=2200, y=y, epilogue=cbind.LINEAR_ROPE,
                **{"in": 64 * heads})
        live = y.check()[:pack.live] if not tail else y.a[:pack.live]
        want = rope_truth(problem, zip(ends, ends[1:]), heads, rope_heads, rope)[:pack.live]
        check("linear", f"{NAMES[dtype]} {path} ROPE {rope_heads} of {heads} heads {lengths}", live, want, BARS[dtype])
        for begin, end in zip(ends, ends[1:]):
            rows = live[begin:end].clone()
            assert same_bits(rows, alone.setdefault(end - begin, rows)), f"{end - begin} rows differ in {lengths}"


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
def test_one_graph_rotates_any_composition(gpu, path, seed, dtype):
    """Positions come from the pack as it is when the graph runs; empty slots, and more slots than sequences."""
    heads, rope_heads, rows = 4, 3, 1100
    rope = rope_table(rows, "cuda")
    problem, pack = Problem(seed, rows, 64 * heads, 192 * heads, dtype, "rope graph"), Pack([900], 0, 40, rows)
    y = Output(rows, 192 * heads, dtype=dtype)

    def launch():
        gpu.run("linear", pack=pack, out=192 * heads, x=problem.x, w=problem.w, bias=problem.bias, rope=rope,
                rope_heads=rope_heads, max_position=rows, y=y, epilogue=cbind.LINEAR_ROPE,
                **{"in": 64 * heads})

    graph = capture(launch)
    for lengths in ([rows], [], [1, 2, 3], [137] * 8, [64, 0, 128, 0, 500, 0, 1], [1] * 40):
        pack.set(lengths)
        y.a.fill_(float("nan"))
        graph.replay()
        replayed = y.check().clone()[:pack.live]
        launch()
        assert same_bits(replayed, y.check()[:pack.live]), f"{lengths}: replay differs from launches"
        if pack.live:
            want = rope_truth(problem, pack.spans, heads, rope_heads, rope)[:pack.live]
            check("linear", f"{NAMES[dtype]} {path} ROPE replayed {lengths}", replayed, want, BARS[dtype])


# ---- few outputs, the velocity: rows around those of its tiles, which are of 16, 24 and 32 by the rows in all

@pytest.mark.parametrize("dtype", TYPES[1:], ids=NAMES.get)
@pytest.mark.parametrize("shape", [(1024, 100), (768, 100), (256, 112), (256, 1), (512, 17)],
                         ids=lambda s: f"{s[0]}to{s[1]}")
def test_few_outputs(gpu, seed, shape, dtype):
    for rows in (1, 7, 8, 17, 63, 2111, 2113, 3167, 3169, 4124):
        if rows * shape[1] < 7:
            continue  # of so few values all may come out near 0, where no relative error is small
        problem = Problem(seed, rows, *shape, dtype, "narrow")
        problem.x, problem.w = among_nan(problem.x), among_nan(problem.w)
        for bias in (True, False):
            y = problem.run(gpu, "NONE", bias=bias, y_f32=True)
            check("linear", f"{NAMES[dtype]} {rows} x {shape[0]} -> {shape[1]} few outputs", y,
                  problem.truth("NONE", bias), BARS[torch.float32])


# ---- F32 operands, each as two for the tensor cores

@pytest.mark.parametrize("shape", [(512, 1536), (1536, 512), (512, 1026), (100, 512), (4, 2), (36, 66)],
                         ids=lambda s: f"{s[0]}to{s[1]}")
def test_split_at_its_edges(gpu, seed, shape):
    """Rows around a tile's, NaN beside x and w, rows of magnitudes far apart, every row as exact as F32 makes it."""
    for rows in (1, 31, 63, 64, 65, 129, 937):
        problem = Problem(seed, rows, *shape, torch.float32, "split")
        scale = 10.0 ** (2 * torch.randn(rows, 1, generator=generator(seed, "split", rows), device="cuda"))
        problem.x = among_nan(problem.x * scale)
        problem.w, problem.addend = among_nan(problem.w), problem.addend * scale
        problem.bias = torch.zeros_like(problem.bias)
        # of a few outputs all may end where an activation is nearly 0 and no relative error is small
        for epilogue in EPILOGUES if shape[1] > 2 else ("NONE", "RESIDUAL"):
            y = problem.run(gpu, epilogue)
            check("linear", f"fp32 {rows} x {shape[0]} -> {shape[1]} {epilogue}", y, problem.truth(epilogue),
                  BARS[problem.dtype])
        if shape[1] <= 2:
            continue
        y, want = problem.run(gpu, "RESIDUAL"), problem.truth("RESIDUAL")
        worst = float(((y.double() - want).norm(dim=1) / want.norm(dim=1)).max())
        assert worst < 1e-5, f"a row of {rows} is off by {worst:.1e}"


# ---- the model's input: F32 rows of a mel frame's width, added to what is known of them beforehand

@pytest.mark.parametrize("rounded", TYPES, ids=lambda t: f"rounded-{NAMES[t]}" if t != torch.float32 else "plain")
@pytest.mark.parametrize("shape", [(100, 1024), (100, 768), (100, 256), (104, 132), (4, 4), (60, 1000), (108, 512)],
                         ids=lambda s: f"{s[0]}to{s[1]}")
def test_short_rows(gpu, seed, shape, rounded):
    """F32's accuracy from split operands, in place too, and y rounded bit for bit. 108 is past what the kernel takes."""
    rounded = None if rounded == torch.float32 else rounded
    for rows in (1, 31, 33, 64, 700, 2812):
        problem = Problem(seed, rows, *shape, torch.float32, "short")
        problem.x *= 10.0 ** torch.randn(rows, 1, generator=generator(seed, "short", rows), device="cuda")
        want, pack = problem.truth("RESIDUAL", bias=False, gate=False), Pack([rows])
        for in_place in (False, True):
            y, copy = Output(rows, shape[1]), Output(rows, shape[1], dtype=rounded or torch.float16)
            if in_place:
                y.a.copy_(problem.addend)
            gpu.run("linear", pack=pack, out=shape[1], x=problem.x, w=problem.w, y=y,
                    addend=y if in_place else problem.addend, epilogue=cbind.LINEAR_RESIDUAL,
                    also=copy if rounded else None,
                    **{"in": shape[0]})
            check("linear", f"short {rows} x {shape[0]} -> {shape[1]}", y.check(), want, BARS[torch.float32])
            if rounded:
                assert same_bits(copy.check(), y.a.to(rounded))


def test_short_rows_do_not_depend_on_the_bucket(gpu, seed):
    """The last rows of 4124 are the bits they are in other buckets, where they lie elsewhere."""
    problem, options = Problem(seed, 4124, 100, 1024, torch.float32, "bucket"), dict(bias=False, gate=False, y_f32=True)
    whole = problem.run(gpu, "RESIDUAL", pack=Pack([4124]), **options).clone()
    for rows in (1, 33, 256, 1001, 2812):
        part = Problem.__new__(Problem)
        part.__dict__.update(problem.__dict__)
        part.rows, part.x = rows, problem.x[-rows:].contiguous()
        part.addend = problem.addend[-rows:].contiguous()
        assert same_bits(part.run(gpu, "RESIDUAL", pack=Pack([rows]), **options), whole[-rows:]), f"{rows} rows"


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
@pytest.mark.parametrize("shape", [(1024, 1024), (192, 704), (100, 130)], ids=lambda s: f"{s[0]}to{s[1]}")
def test_sum_of_two_products(gpu, path, seed, shape, dtype):
    """In one kernel where sm90 serves, else in two calls: against fp64, and a row's bits in other buckets, whatever its tile."""
    first, other = (Problem(seed, 4124, *shape, dtype, part) for part in ("first", "second"))
    want = first.truth("NONE", bias=False) + other.truth("NONE", bias=False)

    def run(begin, rows):
        part, y = slice(begin, begin + rows), Output(rows, shape[1])
        gpu.run("linear", pack=Pack([rows]), out=shape[1], x=first.x[part].clone(), w=first.w,
                x2=other.x[part].clone(), w2=other.w, y=y, epilogue=cbind.LINEAR_NONE, **{"in": shape[0]})
        return y.check()

    whole = run(0, 4124).clone()
    check("linear", f"{NAMES[dtype]} of two, {shape[0]} -> {shape[1]}", whole, want, BARS[dtype])
    for rows in (1, 33, 300, 940, 1400, 1876, 2200, 2816, 2818):
        begin = 4124 - rows if rows % 2 else 0
        assert same_bits(run(begin, rows), whole[begin:begin + rows]), f"{rows} rows"


@pytest.mark.parametrize("other", [False, True], ids=["own", "other"])
@pytest.mark.parametrize("dtype", TYPES[1:], ids=NAMES.get)
@pytest.mark.parametrize("rows", [157, 940, 1400, 2818, 4124])  # tiles of 64 to 256 columns
def test_rounded_copy_of_any_product(gpu, path, seed, rows, dtype, other):
    """also in the type of x and in the other, on the paths that have no kernel for it too; refused where y is not F32."""
    problem, rounded = Problem(seed, rows, 256, 1024, dtype, "rounded"), TYPES[3 - TYPES.index(dtype)] if other else dtype
    y, copy = Output(rows, 1024), Output(rows, 1024, dtype=rounded)
    fields = dict(rows=rows, out=1024, x=problem.x, w=problem.w, addend=problem.addend, epilogue=cbind.LINEAR_RESIDUAL,
                  also=copy, **{"in": 256})
    gpu.run("linear", y=y, **fields)
    check("linear", f"{NAMES[dtype]} {path} and rounded", y.check(), problem.truth("RESIDUAL", False, False), BARS[dtype])
    assert same_bits(copy.check(), y.a.to(rounded))
    assert gpu.call("linear", y=Output(rows, 1024, dtype=dtype), **fields) == cbind.F5_E_UNSUPPORTED


@pytest.mark.parametrize("dtype", TYPES[1:], ids=NAMES.get)
@pytest.mark.parametrize("shape", SM90_SHAPES, ids=lambda s: f"{s[0]}to{s[1]}")
def test_tiles_at_their_edges(gpu, path, seed, shape, dtype):
    """Row counts around a tile's and a warpgroup's; what lies beside x and w is NaN and must not be read into y."""
    for rows in (1, 2, 31, 63, 65, 127, 128, 129, 157, 700):
        problem = Problem(seed, rows, *shape, dtype, "edges")
        problem.x, problem.w = among_nan(problem.x), among_nan(problem.w)
        for epilogue in ("NONE", "GELU_TANH", "RESIDUAL"):
            residual = epilogue == "RESIDUAL"
            for bias, gate in ((True, True), (False, False)):
                y = problem.run(gpu, epilogue, bias=bias, gate=gate, y_f32=residual, in_place=residual)
                check("linear", f"{NAMES[dtype]} {path} {rows} x {shape[0]} -> {shape[1]} {epilogue}", y,
                      problem.truth(epilogue, bias, gate), BARS[dtype])


@pytest.mark.parametrize("dtype", TYPES[1:], ids=NAMES.get)
def test_unaligned_vectors_are_served(gpu, path, seed, dtype):
    """Bias, gate and addend need no alignment beyond a float's, whichever path that takes."""
    problem = Problem(seed, 157, 256, 512, dtype, "unaligned")

    def shifted(tensor):
        whole = torch.full((tensor.numel() + 1,), float("nan"), device="cuda")
        whole[1:] = tensor.reshape(-1)
        return whole[1:].view(tensor.shape)

    for name in ("bias", "gate", "addend"):
        moved = Problem.__new__(Problem)
        moved.__dict__.update(problem.__dict__)
        setattr(moved, name, shifted(getattr(problem, name)))
        y = moved.run(gpu, "RESIDUAL", y_f32=True)
        check("linear", f"{NAMES[dtype]} {path} unaligned {name}", y, problem.truth("RESIDUAL"), BARS[dtype])


@pytest.mark.parametrize("dtype", TYPES[1:], ids=NAMES.get)
def test_a_row_of_nan_stays_alone(gpu, path, seed, dtype):
    """What a tail row holds reaches its own row of y only."""
    problem = Problem(seed, 300, 1024, 1024, dtype, "nan row")
    clean = problem.run(gpu, "RESIDUAL", y_f32=True).clone()
    problem.x[137] = float("nan")
    y = problem.run(gpu, "RESIDUAL", y_f32=True)
    others = torch.arange(300, device="cuda") != 137
    assert bool(torch.isnan(y[137]).all()) and same_bits(y[others], clean[others])


def test_plans_are_made_once(gpu, seed):
    problem = Problem(seed, 300, 256, 516, torch.float16, "plans")  # a width that Hopper's own kernel leaves alone
    problem.run(gpu, "NONE", pack=Pack([300]))
    before = gpu.plans
    problem.run(gpu, "NONE", pack=Pack([300]))
    problem.rows, problem.x = 200, problem.x[:200].contiguous()
    problem.run(gpu, "NONE", pack=Pack([200]))
    assert gpu.plans == before


def test_bad_shapes_are_refused(gpu):
    for rows, width_in, width_out in ((-1, 8, 8), (1, 0, 8), (1, 8, 0)):
        assert gpu.call("linear", rows=rows, out=width_out, **{"in": width_in}) == 2
    assert gpu.call("linear", rows=0, out=8, **{"in": 8}) == 0


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
def test_what_is_missing_or_crooked_is_refused(gpu, path, seed, dtype):
    problem = Problem(seed, 4, 64, 192, dtype, "refused")
    rope = torch.ones(5, 32, 2, device="cuda")
    good = dict(rows=4, out=192, x=problem.x, w=problem.w, y=Output(4, 192, dtype=dtype), rope=rope, rope_heads=1,
                max_position=4, epilogue=cbind.LINEAR_ROPE, **{"in": 64})
    shape, argument = cbind.F5_E_SHAPE, cbind.F5_E_ARGUMENT
    for status, change in (
            (argument, {"x": (None, dtype)}), (argument, {"w": (None, dtype)}), (argument, {"y": (None, dtype)}),
            (argument, {"rope": None}),
            (argument, {"rope": rope.data_ptr() + 4}), (argument, {"x": (problem.x.data_ptr() + 4, dtype)}),
            (argument, {"epilogue": -1}), (argument, {"epilogue": 7}), (argument, {"epilogue": cbind.LINEAR_RESIDUAL}),
            (shape, {"rope_heads": 2}), (shape, {"rope_heads": -1}), (shape, {"out": 128}), (shape, {"max_position": 3}),
            (shape, {"max_position": 0, "pack": Pack([2, 1], 1)})):
        assert gpu.call("linear", **{**good, **change}) == status, change
        assert gpu.context.error.message.startswith(b"linear: "), gpu.context.error.message
    gpu.run("linear", **good)
