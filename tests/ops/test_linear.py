"""linear beyond test_every_op.py: widths of Small, Base and Vocos without a pack, edges of every tile, activations over
their whole range, optional operands."""
import numpy as np
import pytest

import cbind
import packed
from cbind import F5_F16, Guarded, check, copy, make_pack, normal, poison, rel_l2, run, same_bits
import ops
from ops import Linear

BAR = 1e-6  # partial sums of 256 products: about 3e-7 at depth 2048; the activations add 1e-7

# rows, in, out: single elements; Small; Base; the text encoder; Vocos; then sizes that leave a rest in every tile
SHAPES = [(1, 1, 1), (1, 768, 2304), (1, 1024, 6144), (2, 768, 1536), (2, 2048, 1024), (31, 1024, 3072),
          (31, 1536, 768), (157, 1024, 1024), (157, 712, 768), (33, 512, 1026), (9, 100, 512),
          (7, 257, 33), (520, 17, 515), (8, 255, 31)]
EPILOGUES = Linear.EPILOGUES


class Problem:
    """Weights, and an addend for `rows` rows. Of a single output they are positive: nothing lends it a norm when the
    sum cancels, and then the rounding of the parts would be measured against next to nothing."""

    def __init__(self, rng, rows, width_in, width_out):
        self.width_in, self.width_out = width_in, width_out
        self.w = normal(rng, (width_out, width_in), width_in ** -0.5)
        self.bias, self.gate = normal(rng, (width_out,)), normal(rng, (width_out,))
        self.addend = normal(rng, (rows, width_out))
        if rows * width_out == 1:
            for part in (self.w, self.bias, self.gate, self.addend):
                np.abs(part, out=part)

    def fields(self, x, y, epilogue, **changes):
        residual = epilogue == "RESIDUAL"
        return {"in": self.width_in, "out": self.width_out, "x": x, "w": self.w, "bias": self.bias, "y": y,
                "gate": self.gate if residual else None, "addend": self.addend if residual else None,
                "epilogue": getattr(cbind, f"LINEAR_{epilogue}"), **changes}

    def want(self, x, epilogue, bias=True, gate=True):
        shared = dict(w=self.w, bias=self.bias if bias else None, gate=self.gate if gate else None)
        return packed.truth(Linear(self.width_in, self.width_out, epilogue), shared, x=x, addend=self.addend)


@pytest.mark.parametrize("rows,width_in,width_out", SHAPES)
def test_matches_torch(rng, rows, width_in, width_out):
    p, x = Problem(rng, rows, width_in, width_out), normal(rng, (rows, width_in))
    if rows * width_out == 1:
        np.abs(x, out=x)
    for epilogue in EPILOGUES:
        y = Guarded((rows, width_out))
        run("linear", rows=rows, **p.fields(x, y, epilogue))
        check("linear", f"{rows}x{width_in}x{width_out} {epilogue}", y.check(), p.want(x, epilogue), BAR)


def test_rope_leaves_v_alone(rng):
    pack = make_pack([31, 0, 5], 2)
    p, x, rope = Problem(rng, 38, 72, 768), packed.rows_input(rng, pack, 72), copy(ops.rope_table(31).numpy())
    turned, plain = poison((38, 768)), poison((38, 768))
    run("linear", pack=pack, **p.fields(x, turned, "ROPE", rope=rope, rope_heads=4, max_position=31))
    run("linear", pack=pack, **p.fields(x, plain, "NONE"))
    assert same_bits(turned[:36, 512:], plain[:36, 512:]) and not same_bits(turned[:36, :512], plain[:36, :512])


def test_rope_rejects(rng):
    p, x = Problem(rng, 6, 16, 384), normal(rng, (6, 16))
    rope = copy(ops.rope_table(4).numpy())
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
    want = packed.truth(Linear(1, 1, epilogue), dict(w=one), x=x)[:, 0]
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
        ("F5_E_SHAPE", {"pack": None, "rows": -1}), ("F5_E_UNSUPPORTED", {"x": (x, F5_F16)}), ("F5_E_UNSUPPORTED", {"w": (p.w, F5_F16)}),
        ("F5_E_UNSUPPORTED", {"y": (poison((6, 8)), F5_F16)}),
        ("F5_E_UNSUPPORTED", {"also": poison((6, 8))}), ("F5_E_ARGUMENT", {"epilogue": 7}), ("F5_E_ARGUMENT", {"epilogue": -1}),
        ("F5_E_ARGUMENT", {"x": x.ctypes.data + 4}), ("F5_E_ARGUMENT", {"w": p.w.ctypes.data + 8}),
        *packed.nothing("x", "w", "y", "addend"), *packed.bad_packs(6)[1:]])  # linear alone may go without a pack
    plain = {"pack": make_pack([1, 4], 1), **p.fields(x, poison((6, 8)), "NONE")}
    two = {**plain, "x2": x, "w2": p.w}
    packed.rejects("linear", two, [
        ("F5_E_ARGUMENT", {"x2": None}), ("F5_E_ARGUMENT", {"w2": None}), ("F5_E_ARGUMENT", {"x2": x.ctypes.data + 4}),
        ("F5_E_UNSUPPORTED", {"x2": (x, F5_F16)}), ("F5_E_UNSUPPORTED", {"w2": (p.w, F5_F16)}), ("F5_E_UNSUPPORTED", {"also": poison((6, 8))}),
        *[("F5_E_UNSUPPORTED", {"epilogue": e, "addend": normal(rng, (6, 8))}) for e in (1, 2, 3, 4, 6)]])
