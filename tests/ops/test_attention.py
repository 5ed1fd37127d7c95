"""attention beyond test_every_op.py: edges of tiles, hard softmax, NaN in one head, and the table of its angles."""
import ctypes

import numpy as np
import pytest

import packed
from cbind import F5_F16, Guarded, check, copy, function, make_pack, pointer, poison, run
from ops import Attention
from ops import rope_table as truth_of_table

BAR, MAX_POSITION = Attention.bar_ref, 400


def rope_table(positions):
    out = poison((positions, 32, 2))
    function("rope_table_fill", None, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p)(pointer(out), positions, None)
    return out


@pytest.fixture(scope="module")
def rope():
    return rope_table(MAX_POSITION)


def qkv_of(rng, pack, heads, scale=1.0):
    return packed.rows_input(rng, pack, 3 * heads * 64, scale).reshape(pack.rows, 3, heads, 64)


def weights(rng, normed):
    """RMSNorm weights around one, of q and of k, or neither."""
    keys = ("q_norm", "k_norm")
    return {key: copy(1 + 0.2 * rng.standard_normal(64), np.float32) if normed else None for key in keys}


def compute(pack, qkv, rope, rope_heads, y=None, **norms):
    heads = qkv.shape[2]
    y = poison((pack.rows, heads, 64)) if y is None else y
    run("attention", pack=pack, heads=heads, rope_heads=rope_heads, max_position=MAX_POSITION, qkv=qkv, rope=rope, y=y,
        **norms)
    return y


def held_to_torch(what, pack, qkv, rope, rope_heads, bar=BAR, **norms):
    y = Guarded((pack.rows, qkv.shape[2], 64))
    compute(pack, qkv, rope, rope_heads, y, **norms)
    want = packed.truth_of_pack(Attention(qkv.shape[2], rope_heads), pack, dict(rope=rope, **norms), qkv=qkv)
    check("attention", what, y.check()[:pack.live].reshape(want.shape), want, bar)


@pytest.mark.parametrize("rows", [63, 64, 65, 95, 96, 97, 193, 400])
def test_edges_of_the_tiles(rng, rope, rows):
    pack = make_pack([rows])
    held_to_torch(f"{rows} rows heads 2", pack, qkv_of(rng, pack, 2), rope, 2, **weights(rng, True))


@pytest.mark.parametrize("only", ["q_norm", "k_norm"])
def test_one_norm_alone(rng, rope, only):
    pack, norms = make_pack([40, 3]), weights(rng, True)
    norms = {key: norms[key] if key == only else None for key in norms}
    held_to_torch(f"{only} alone", pack, qkv_of(rng, pack, 2), rope, 2, **norms)


def test_hard_softmax(rng, rope):
    """Scores of several hundred: without subtracting the maximum exp would overflow. The bar follows from rounding
    scores of this size to F32, 3e-5 absolute, in the exponent."""
    pack = make_pack([157, 31])
    held_to_torch("scores of hundreds", pack, qkv_of(rng, pack, 2, 8.0), rope, 2, bar=1e-4)


def test_rising_scores(rope):
    """Keys sorted so that every tile raises the maximum: all that was summed before is scaled to nothing."""
    qkv = np.zeros((300, 3, 1, 64), np.float32)
    qkv[:, 0, 0, 0] = 1.0
    qkv[:, 1, 0, 0] = np.arange(300) * 8.0  # the score is the row number
    qkv[:, 2, 0, :] = np.arange(300)[:, None]
    held_to_torch("rising scores", make_pack([300]), copy(qkv), rope, 0)


def test_nan_stays_in_its_sequence_and_head(rng, rope):
    pack = make_pack([70, 20])
    qkv = qkv_of(rng, pack, 2)
    qkv[65, 1, 1, 3] = np.nan  # one key of head 1: every query of the sequence sees it
    y = compute(pack, qkv, rope, 2)
    assert np.isnan(y[:70, 1]).all() and np.isfinite(y[:70, 0]).all() and np.isfinite(y[70:]).all()


def test_rope_table(rope):
    """Rounded once from double."""
    for table in (rope, rope_table(65536)):
        assert np.array_equal(table[-400:], truth_of_table(len(table))[-400:].numpy())


def test_rejects(rng, rope):
    pack = make_pack([1, 4], 1)
    good = {"pack": pack, "heads": 2, "rope_heads": 2, "max_position": 4, "qkv": qkv_of(rng, pack, 2), "rope": rope,
            "y": poison((6, 2, 64)), **weights(rng, True)}
    address = good["qkv"].ctypes.data
    packed.rejects("attention", good, [
        ("F5_E_SHAPE", {"heads": 0}), ("F5_E_SHAPE", {"rope_heads": -1}), ("F5_E_SHAPE", {"rope_heads": 3}),
        ("F5_E_SHAPE", {"max_position": 3}), ("F5_E_UNSUPPORTED", {"type": F5_F16}),
        ("F5_E_ARGUMENT", {"qkv": address + 4}), ("F5_E_ARGUMENT", {"q_norm": good["q_norm"].ctypes.data + 4}),
        ("F5_E_ARGUMENT", {"y": address}), *packed.nothing("qkv", "y", "rope"), *packed.bad_packs(6)])
