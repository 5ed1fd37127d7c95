"""attention_cuda beyond test_gpu_ops.py: packs of 1 to 141 sequences that tiles divide in every way, scores that peak,
rise and leap, refusals; every type, both instruction paths."""
import pytest
import torch

import cbind
from gpubind import BARS, NAMES, Output, Pack, capture, check, generator, same_bits
from ops import Attention, rope_table

TYPES = [torch.float32, torch.float16, torch.bfloat16]
MAX_POSITION = 4096

# lengths, heads, rope_heads, q/k norm, tail, slots
CASES = [
    ([1], 1, 1, False, 0, None),
    ([7, 1, 2], 3, 1, True, 5, None),
    ([63, 64, 65], 12, 12, False, 3, None),
    ([127, 0, 128, 129], 16, 1, False, 100, 9),
    ([191, 192, 193, 0], 2, 0, False, 1, None),
    ([255, 257], 3, 3, True, 130, 40),
    ([159, 160, 161, 192, 223, 257, 352, 353], 3, 2, False, 9, None),  # last tiles of keys of every width
    ([938], 12, 12, False, 22, 2),
    ([469, 11, 333, 938, 5, 77, 200], 16, 16, False, 15, None),
    ([1406, 1406], 16, 16, False, 4, None),
    ([2062], 5, 2, True, 50, 3),
    ([2062, 2062], 16, 0, False, 50, 3),
    ([3900] + [33] * 70, 9, 0, False, 7, None),  # few long tiles among many short ones
    ([40] * 70 + [3900] + [40] * 70, 1, 1, True, 7, None),  # a long tile is divided among up to six blocks
    ([256, 257, 383, 384, 385, 511, 512, 513] * 4, 7, 0, False, 1, 40),
]


def truth(qkv, spans, rope_heads, rope, q_norm, k_norm):
    """[rows,heads,64] in fp64; rows of no sequence stay NaN."""
    out = torch.full_like(qkv[:, 0], float("nan"), dtype=torch.float64)
    op = Attention(qkv.shape[2], rope_heads)
    for begin, end in spans:
        if end > begin:
            rows = op.truth({"qkv": qkv[begin:end]}, {}, dict(rope=rope, q_norm=q_norm, k_norm=k_norm))
            out[begin:end] = rows.view(end - begin, -1, 64)
    return out


class Problem:
    def __init__(self, seed, lengths, heads, rope_heads, normed, tail, slots, dtype, salt="", rows=None):
        made = generator(seed, salt, str(lengths), heads, NAMES[dtype])
        self.pack = Pack(lengths, tail, slots, rows)
        self.heads, self.rope_heads, self.dtype = heads, rope_heads, dtype
        shape = (self.pack.rows, 3, heads, 64)
        self.qkv = torch.randn(shape, generator=made, device="cuda").to(dtype)
        self.qkv[self.pack.live:] = float("nan")  # what is in the tail must reach nothing
        self.rope = rope_table(MAX_POSITION, "cuda")
        norms = [1 + 0.2 * torch.randn(64, generator=made, device="cuda") for _ in range(2)]
        self.q_norm, self.k_norm = norms if normed else (None, None)

    def run(self, gpu, qkv=None, pack=None, y=None):
        pack = pack or self.pack
        y = y or Output(pack.rows, self.heads, 64, dtype=self.dtype)
        gpu.run("attention", pack=pack, heads=self.heads, rope_heads=self.rope_heads, max_position=MAX_POSITION,
                qkv=self.qkv if qkv is None else qkv, rope=self.rope, q_norm=self.q_norm, k_norm=self.k_norm, y=y,
                type=self.dtype)
        return y


def random_cases(seed):
    """A pack of 7 and one of 32, lengths new each run."""
    made = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 400, (39,), generator=made).tolist()
    return [(lengths[:7], 16, 16, False, 9, 12), (lengths[7:], 12, 1, True, 33, None)]


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
@pytest.mark.parametrize("case", range(len(CASES) + 2))
def test_against_fp64(gpu, path, seed, case, dtype):
    lengths, heads, rope_heads, normed, tail, slots = (CASES + random_cases(seed))[case]
    problem = Problem(seed, lengths, heads, rope_heads, normed, tail, slots, dtype)
    y = problem.run(gpu).check()
    live = problem.pack.live
    want = truth(problem.qkv, problem.pack.spans, rope_heads, problem.rope, problem.q_norm, problem.k_norm)
    check("attention", f"{path} {NAMES[dtype]} {lengths} x {heads}", y[:live], want[:live], BARS[dtype])


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
def test_peaked_scores(gpu, path, seed, dtype):
    """Scores spread over tens: the maximum moves from tile to tile, most weights vanish. q and k are multiples of 1/4
    and heads are not rotated, so that the scores are exact in every type and the usual bars hold."""
    problem = Problem(seed, [700, 131], 4, 0, False, 1, None, dtype, "peaked")
    problem.qkv[:, :2] = (problem.qkv[:, :2].float() * 12).round().div(4).to(dtype)
    y = problem.run(gpu).check()
    want = truth(problem.qkv, problem.pack.spans, 0, problem.rope, None, None)
    check("attention", f"{path} {NAMES[dtype]} peaked", y[:831], want[:831], BARS[dtype])


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
def test_rising_and_falling_scores(gpu, path, seed, dtype):
    """Scores climb from -30 to 30 along the keys, or fall, in steps of 1/4, exact in every type: what was summed under
    an old maximum is shrunk many times over, or never."""
    lengths = [1030, 129]
    problem = Problem(seed, lengths, 2, 0, False, 3, None, dtype, "rising")
    problem.qkv[:, :2] = 0
    problem.qkv[:, 0, :, 0] = 8
    for (begin, end), n in zip(problem.pack.spans, lengths):
        climb = (torch.arange(n, device="cuda") * 241 // n - 120) / 4
        problem.qkv[begin:end, 1, 0, 0] = climb.to(dtype)
        problem.qkv[begin:end, 1, 1, 0] = climb.flip(0).to(dtype)
    y = problem.run(gpu).check()
    want = truth(problem.qkv, problem.pack.spans, 0, problem.rope, None, None)
    check("attention", f"{path} {NAMES[dtype]} rising", y[:1159], want[:1159], BARS[dtype])


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
@pytest.mark.parametrize("lengths", [[1406, 129, 700], [40] * 70 + [3900] + [40] * 70], ids=["whole", "divided"])
def test_leaping_scores(gpu, path, seed, lengths, dtype):
    """Scores rise by leaps of 160, that is by factors past what F32 holds (head 0), fall by them (1), and stand out at
    single keys for every other query (2): rows side by side take different ways, and alone they are the same bits."""
    problem = Problem(seed, lengths, 3, 0, False, 3, None, dtype, "leaping")
    problem.qkv[:, :2] = 0
    problem.qkv[:, 0, :2, 0] = 8
    for (begin, end), n in zip(problem.pack.spans, lengths):
        at = torch.arange(n, device="cuda")
        leaps = (at * 8 // n * 160 - 640).to(dtype)
        problem.qkv[begin:end, 1, 0, 0] = leaps
        problem.qkv[begin:end, 1, 1, 0] = leaps.flip(0)
        problem.qkv[begin:end, 1, 2, 0] = torch.where(at % 201 == 200, 20 * (at // 201 + 1), 0).to(dtype)
        problem.qkv[begin:end, 0, 2, 0] = (8 * (at % 2)).to(dtype)
    y = problem.run(gpu).check()
    live = problem.pack.live
    want = truth(problem.qkv, problem.pack.spans, 0, problem.rope, None, None)
    check("attention", f"{path} {NAMES[dtype]} leaping", y[:live], want[:live], BARS[dtype])
    for begin, end in {n: span for n, span in zip(lengths, problem.pack.spans)}.values():
        alone = Pack([end - begin])
        assert same_bits(problem.run(gpu, problem.qkv[begin:end].contiguous(), alone).check(), y[begin:end])


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
def test_alone_and_packed_are_the_same_bits(gpu, path, seed, dtype):
    lengths = [300, 1, 938, 64, 513, 129, 77]
    problem = Problem(seed, lengths, 8, 8, False, 40, 11, dtype, "packed")
    together = problem.run(gpu).check()
    for begin, end in problem.pack.spans:
        if begin == end:
            continue
        alone = Pack([end - begin], tail=int(end) % 150, slots=1 + begin % 3)
        qkv = torch.full((alone.rows, 3, 8, 64), float("nan"), device="cuda", dtype=dtype)
        qkv[: end - begin] = problem.qkv[begin:end]
        y = problem.run(gpu, qkv=qkv, pack=alone).check()
        assert same_bits(y[: end - begin], together[begin:end]), f"rows {begin}..{end} differ alone"


@pytest.mark.parametrize("dtype", TYPES[1:], ids=NAMES.get)
@pytest.mark.parametrize("length", [520, 938, 1406])
def test_a_sequence_alone_of_its_kind_is_the_same_bits(gpu, path, seed, length, dtype):
    """A request's two branches and one of them are launched with blocks of other sizes (plan/attention_sm80.h), and
    of 132 blocks or so two of 938 divide tiles and one does not (plan/attention_sm90.h). Rotated within, and normalised."""
    both = Problem(seed, [length, length], 16, 16, True, 0, None, dtype, "one of two")
    together = both.run(gpu).check()
    for begin, end in both.pack.spans:
        alone = both.run(gpu, qkv=both.qkv[begin:end].contiguous(), pack=Pack([end - begin])).check()
        assert same_bits(alone, together[begin:end])


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
def test_one_graph_serves_any_composition(gpu, path, seed, dtype):
    problem = Problem(seed, [900], 16, 16, False, 0, 8, dtype, "graph", rows=1900)
    made = generator(seed, "graph rows", NAMES[dtype])  # every row: the tail of one composition is live in the next
    problem.qkv[:] = torch.randn(problem.qkv.shape, generator=made, device="cuda").to(dtype)
    y = Output(1900, 16, 64, dtype=dtype)
    graph = capture(lambda: problem.run(gpu, y=y))
    # divided between blocks on 132 multiprocessors or so: the second and the last but one
    for lengths in ([1100], [938, 938], [1, 2, 3], [0] * 8, [137] * 8, [1700, 0, 99], [64, 0, 128, 0, 500, 0, 1]):
        problem.pack.set(lengths)
        y.a.fill_(float("nan"))
        graph.replay()
        replayed, eager = y.check().clone(), problem.run(gpu).check()
        live = problem.pack.live
        assert same_bits(replayed[:live], eager[:live]), f"{lengths}: replay differs from launches"
        if live == 0:
            assert bool(replayed.isnan().all()), "something was written for an empty pack"
            continue
        want = truth(problem.qkv, problem.pack.spans, 16, problem.rope, None, None)
        check("attention", f"{path} {NAMES[dtype]} replayed {lengths}", replayed[:live], want[:live], BARS[dtype])


@pytest.mark.parametrize("dtype", TYPES, ids=NAMES.get)
@pytest.mark.parametrize("length", [938, 1406])  # tiles divided between blocks, and whole
def test_every_run_gives_the_same_bits(gpu, path, seed, length, dtype):
    problem = Problem(seed, [length, length], 16, 16, False, 4, None, dtype, "again")
    first = problem.run(gpu).check()[: 2 * length].clone()
    for _ in range(30):
        assert same_bits(problem.run(gpu).check()[: 2 * length], first)


def test_bad_shapes_are_refused(gpu):
    pack = Pack([4])
    for heads, rope_heads in ((0, 0), (2, 3), (2, -1)):
        assert gpu.call("attention", pack=pack, heads=heads, rope_heads=rope_heads, type=torch.float32) == 2
    good = dict(pack=pack, heads=2, rope_heads=2, max_position=4, qkv=torch.zeros(4, 3, 2, 64, device="cuda"),
                rope=rope_table(4, "cuda"), y=Output(4, 2, 64), type=torch.float32)
    beside = torch.zeros(1024, device="cuda").data_ptr() + 4
    for status, change in ((cbind.F5_E_SHAPE, {"max_position": 0}), (cbind.F5_E_SHAPE, {"max_position": -1}),
                           (cbind.F5_E_ARGUMENT, {"qkv": None}), (cbind.F5_E_ARGUMENT, {"y": None}),
                           (cbind.F5_E_ARGUMENT, {"rope": None}), (cbind.F5_E_ARGUMENT, {"y": good["qkv"]}),
                           (cbind.F5_E_ARGUMENT, {"rope": beside}), (cbind.F5_E_ARGUMENT, {"q_norm": beside})):
        assert gpu.call("attention", **{**good, **change}) == status, change
    gpu.run("attention", **good)
