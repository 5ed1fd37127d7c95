"""linear against PyTorch: every epilogue, widths of Small, Base and Vocos, edges of every tile, alone and packed."""
import numpy as np
import pytest

import cbind
import packed
from cbind import F5_F16, Guarded, check, copy, make_pack, normal, poison, rel_l2, run, same_bits
from reference import ops

BAR = 1e-6  # partial sums of 256 products: about 3e-7 at depth 2048; the activations add 1e-7

# rows, in, out: single elements; Small; Base; the text encoder; Vocos; then sizes that leave a rest in every tile
SHAPES = [(1, 1, 1), (1, 768, 2304), (1, 1024, 6144), (2, 768, 1536), (2, 2048, 1024), (31, 1024, 3072),
          (31, 1536, 768), (157, 1024, 1024), (157, 712, 768), (33, 512, 1026), (9, 100, 512),
          (7, 257, 33), (520, 17, 515), (8, 255, 31)]
EPILOGUES = ["NONE", "SILU", "GELU_TANH", "GELU_ERF", "RESIDUAL"]


class Problem:
    """Weights, and an addend for `rows` rows."""

    def __init__(self, rng, rows, width_in, width_out):
        self.width_in, self.width_out = width_in, width_out
        self.w = normal(rng, (width_out, width_in), width_in ** -0.5)
        self.bias, self.gate = normal(rng, (width_out,)), normal(rng, (width_out,))
        self.addend = normal(rng, (rows, width_out))

    def fields(self, x, y, epilogue, **changes):
        residual = epilogue == "RESIDUAL"
        return {"in": self.width_in, "out": self.width_out, "x": x, "w": self.w, "bias": self.bias, "y": y,
                "gate": self.gate if residual else None, "addend": self.addend if residual else None, "y_f32": True,
                "epilogue": getattr(cbind, f"LINEAR_{epilogue}"), **changes}

    def want(self, x, epilogue, bias=True, gate=True, rows=slice(None)):
        return ops.linear(x, self.w, self.bias if bias else None, epilogue, self.gate if gate else None,
                          self.addend[rows])


@pytest.mark.parametrize("rows,width_in,width_out", SHAPES)
def test_matches_torch(rng, rows, width_in, width_out):
    p, x = Problem(rng, rows, width_in, width_out), normal(rng, (rows, width_in))
    for epilogue in EPILOGUES:
        y = Guarded((rows, width_out))
        run("linear", rows=rows, **p.fields(x, y, epilogue))
        check("linear", f"{rows}x{width_in}x{width_out} {epilogue}", y.check(), p.want(x, epilogue), BAR)


@packed.lengths_param()
@pytest.mark.parametrize("epilogue", EPILOGUES)
def test_packed(rng, lengths, tail, epilogue):
    pack = make_pack(lengths, tail)
    p, x, y = Problem(rng, pack.rows, 1024, 200), packed.rows_input(rng, pack, 1024), Guarded((pack.rows, 200))
    p.addend[pack.live:] = np.nan
    run("linear", pack=pack, **p.fields(x, y, epilogue))
    want = p.want(x[:pack.live], epilogue, rows=slice(pack.live))
    check("linear", f"{packed.name(lengths, tail)} {epilogue}", y.check()[:pack.live], want, BAR)


def rotated(a, spans, heads, rope_heads, rope):
    """a [rows, 3 * heads * 64] as ROPE makes it: q and k of the first rope_heads heads turn, each from its sequence."""
    a = np.array(a, np.float64).reshape(len(a), 3, heads, 64)
    for begin, end in spans:
        turned = ops.rotate(ops.double(a[begin:end, :2, :rope_heads]).flatten(1, 2), rope).numpy()
        a[begin:end, :2, :rope_heads] = turned.reshape(end - begin, 2, rope_heads, 64)
    return a.reshape(len(a), -1)


@packed.lengths_param()
@pytest.mark.parametrize("heads,rope_heads", [(1, 1), (4, 4), (12, 1), (16, 16), (3, 0)])
def test_rope(rng, lengths, tail, heads, rope_heads):
    pack, out, rope = make_pack(lengths, tail), 192 * heads, copy(ops.rope_table(max([1, *lengths])), np.float32)
    p, x, y = Problem(rng, pack.rows, 72, out), packed.rows_input(rng, pack, 72), Guarded((pack.rows, out))
    extra = {"rope": rope, "rope_heads": rope_heads, "max_position": len(rope)}
    run("linear", pack=pack, **p.fields(x, y, "ROPE", **extra))
    ends = np.cumsum([0, *lengths])
    want = rotated(p.want(x[:pack.live], "NONE"), zip(ends, ends[1:]), heads, rope_heads, rope)
    check("linear", f"ROPE {packed.name(lengths, tail)} {rope_heads} of {heads}", y.check()[:pack.live], want, BAR)
    plain = poison((pack.rows, out))
    run("linear", pack=pack, **p.fields(x, plain, "NONE"))
    assert same_bits(y.a[:pack.live, 128 * heads:], plain[:pack.live, 128 * heads:]), "v was touched"


def test_rope_rejects(rng):
    p, x = Problem(rng, 6, 16, 384), normal(rng, (6, 16))
    rope = copy(ops.rope_table(4), np.float32)
    good = {"pack": make_pack([1, 4], 1), "rope": rope, "rope_heads": 2, "max_position": 4,
            **p.fields(x, poison((6, 384)), "ROPE")}
    packed.rejects("linear", good, [
        ("F5_E_SHAPE", {"out": 383}), ("F5_E_SHAPE", {"out": 128}), ("F5_E_SHAPE", {"rope_heads": 3}),
        ("F5_E_SHAPE", {"rope_heads": -1}), ("F5_E_SHAPE", {"max_position": 3}),
        ("F5_E_SHAPE", {"pack": None, "rows": 5}), ("F5_E_ARGUMENT", {"rope": rope.ctypes.data + 4}),
        *packed.nothing("rope")])


def test_optional_operands(rng):
    p, x = Problem(rng, 45, 300, 70), normal(rng, (45, 300))
    for bias in (True, False):
        for gate in (True, False):
            given = {"bias": p.bias if bias else None, "gate": p.gate if gate else None}
            apart, in_place = Guarded((45, 70)), Guarded((45, 70))
            run("linear", rows=45, **p.fields(x, apart, "RESIDUAL", **given))
            want = p.want(x, "RESIDUAL", bias, gate)
            check("linear", f"RESIDUAL bias {bias} gate {gate}", apart.check(), want, BAR)
            in_place.a[...] = p.addend
            run("linear", rows=45, **p.fields(x, in_place, "RESIDUAL", **given, addend=in_place))
            assert same_bits(in_place.check(), apart.a)
        y = Guarded((45, 70))
        run("linear", rows=45, **p.fields(x, y, "SILU", bias=p.bias if bias else None))
        check("linear", f"SILU bias {bias}", y.check(), p.want(x, "SILU", bias), BAR)


def test_alone_is_packed_on_any_threads(rng):
    lengths, tail = [0, 530, 1, 31, 0, 2, 157], 3
    pack = make_pack(lengths, tail)
    p, x = Problem(rng, pack.rows, 300, 530), packed.rows_input(rng, pack, 300)
    p.addend[pack.live:] = 0

    def compute(epilogue):
        def of(some, _, rows, addend):
            y = poison((some.rows, 530))
            run("linear", pack=some, **p.fields(rows, y, epilogue, addend=addend))
            return y
        return of

    for epilogue in ("GELU_ERF", "RESIDUAL"):
        packed.alone_is_packed(lengths, tail, compute(epilogue), x, p.addend)
        packed.threads_do_not_matter(lambda: compute(epilogue)(pack, None, x, p.addend)[:pack.live])


def test_a_row_stands_for_itself(rng):
    """NaN in one row of x reaches that row of y and no other."""
    p, x = Problem(rng, 20, 64, 48), normal(rng, (20, 64))
    x[11, 5] = np.nan
    for epilogue in EPILOGUES:
        y = poison((20, 48))
        run("linear", rows=20, **p.fields(x, y, epilogue))
        assert np.isnan(y[11]).all() and np.isfinite(np.delete(y, 11, 0)).all()


@pytest.mark.parametrize("epilogue", ["SILU", "GELU_TANH", "GELU_ERF"])
def test_activations_over_their_whole_range(epilogue):
    """Identity weights: the activation alone, from where it is 0 to where it is x."""
    a = np.concatenate([np.linspace(-100, 100, 4001), np.linspace(-1e-3, 1e-3, 101), [-1e30, 1e30, 0.0]])
    x, y, one = copy(a[:, None], np.float32), Guarded((len(a), 1)), copy([[1.0]], np.float32)
    run("linear", rows=len(a), x=x, w=one, y=y, out=1, epilogue=getattr(cbind, f"LINEAR_{epilogue}"), **{"in": 1})
    want = ops.linear(x, one, None, epilogue)[:, 0]
    got = y.check()[:, 0]
    assert np.isfinite(got).all()
    # F32 cannot do better than a rounding of x near the tail; 4e-7 covers it and the polynomial's 1e-7
    assert (np.abs(got - want) <= 4e-7 * np.abs(x[:, 0]) + 1e-38).all()
    assert rel_l2(got[:4001], want[:4001]) <= 2e-7


def test_no_rows(rng):
    p, y = Problem(rng, 1, 8, 8), Guarded((1, 8))
    run("linear", rows=0, **p.fields(normal(rng, (1, 8)), y, "NONE"))
    run("linear", pack=make_pack([0, 0], 1), **p.fields(normal(rng, (1, 8)), y, "NONE"))
    assert np.isnan(y.check()).all()


def test_rejects(rng):
    p, x = Problem(rng, 6, 16, 8), normal(rng, (6, 16))
    good = {"pack": make_pack([1, 4], 1), **p.fields(x, poison((6, 8)), "RESIDUAL")}
    packed.rejects("linear", good, [
        ("F5_E_SHAPE", {"in": 0}), ("F5_E_SHAPE", {"out": 0}), ("F5_E_SHAPE", {"in": -4}),
        ("F5_E_SHAPE", {"pack": None, "rows": -1}), ("F5_E_UNSUPPORTED", {"type": F5_F16}),
        ("F5_E_UNSUPPORTED", {"y_rounded": poison((6, 8))}), ("F5_E_ARGUMENT", {"epilogue": 6}), ("F5_E_ARGUMENT", {"epilogue": -1}),
        ("F5_E_ARGUMENT", {"x": x.ctypes.data + 4}), ("F5_E_ARGUMENT", {"w": p.w.ctypes.data + 8}),
        *packed.nothing("x", "w", "y", "addend"), *packed.bad_packs(6)[1:]])  # linear alone may go without a pack
