"""attention against PyTorch: heads of Small and Base, some or none rotated, q/k norm, hard softmax, alone and packed."""
import numpy as np
import pytest

import packed
from cbind import F5_F16, Guarded, check, copy, make_pack, poison, rope_table, run
from reference import ops

BAR = 2e-6  # scores of size 3 are rounded to 2e-7 before exp, and weights to half of that; sums over 64 keys at a time

MAX_POSITION = 400


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
    want = packed.by_sequence(pack, lambda rows: ops.attention(rows, rope, rope_heads, **norms), qkv)
    check("attention", what, y.check()[:pack.live], want, bar)


@packed.lengths_param()
@pytest.mark.parametrize("heads,rope_heads,normed", [(16, 16, False), (12, 12, True), (16, 1, False), (12, 0, False),
                                                     (3, 2, True), (1, 1, False)])
def test_matches_torch(rng, rope, lengths, tail, heads, rope_heads, normed):
    pack = make_pack(lengths, tail)
    what = f"{packed.name(lengths, tail)} heads {heads} rotated {rope_heads}" + (" q/k norm" if normed else "")
    held_to_torch(what, pack, qkv_of(rng, pack, heads), rope, rope_heads, **weights(rng, normed))


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


def test_alone_is_packed_on_any_threads(rng, rope):
    lengths, tail = [0, 200, 1, 31, 0, 2, 157], 3
    pack, norms = make_pack(lengths, tail), weights(rng, True)
    qkv = qkv_of(rng, pack, 3)
    packed.alone_is_packed(lengths, tail, lambda some, _, rows: compute(some, rows, rope, 2, **norms), qkv)
    packed.threads_do_not_matter(lambda: compute(pack, qkv, rope, 2, **norms)[:pack.live])


def test_nan_stays_in_its_sequence_and_head(rng, rope):
    pack = make_pack([70, 20])
    qkv = qkv_of(rng, pack, 2)
    qkv[65, 1, 1, 3] = np.nan  # one key of head 1: every query of the sequence sees it
    y = compute(pack, qkv, rope, 2)
    assert np.isnan(y[:70, 1]).all() and np.isfinite(y[:70, 0]).all() and np.isfinite(y[70:]).all()


def test_rope_table(rope):
    """Rounded once from double: nowhere more than half a unit in the last place of 1."""
    assert np.abs(rope - ops.rope_table(MAX_POSITION)).max() <= 2.0 ** -25
    far = rope_table(65536)
    assert np.abs(far[-9:] - ops.rope_table(65536)[-9:]).max() <= 2.0 ** -25


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
