"""embed and its position table against PyTorch."""
import ctypes

import numpy as np
import pytest

import packed
from cbind import Guarded, check, copy, function, make_pack, normal, pointer, poison, run, same_bits
from reference import ops_small


def position_table(rows, dim):
    out = Guarded((rows, dim))
    function("position_table_fill", None, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32)(pointer(out), rows, dim)
    return out.check()


def text(rng, pack, table_rows, ends=True):
    """Ids and their mask; the tail holds ids that no table has."""
    ids = copy(rng.integers(0, table_rows, pack.rows), np.int32)
    if ends:
        ids[0], ids[pack.live - 1] = 0, table_rows - 1
    ids[pack.live:] = 2**31 - 1
    return ids, copy(rng.integers(0, 2, pack.rows), np.uint8)


# One ulp of a frequency turns row 8191 by up to 5e-4, and PyTorch's pow is an ulp off in one to four columns of a table:
# hence the first bar. Against the correctly rounded power the table is exact to the rounding of cos and sin.
@pytest.mark.parametrize("rows,dim", [(8192, 512), (8192, 100), (1024, 1024), (157, 768), (2, 2), (1, 6)])
def test_position_table(rows, dim):
    got = position_table(rows, dim)
    check("embed", f"table {rows}x{dim} torch", got, ops_small.position_table(rows, dim), 1e-4)
    power = np.float64(10000) ** (np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim)).astype(np.float64)
    frequency = np.float32(1) / power.astype(np.float32)
    angle = (np.arange(rows, dtype=np.float32)[:, None] * frequency).astype(np.float64)
    check("embed", f"table {rows}x{dim} exact", got, np.concatenate([np.cos(angle), np.sin(angle)], 1), 1e-6)


@packed.lengths_param()
@pytest.mark.parametrize("dim", [512, 768, 100, 2])
@pytest.mark.parametrize("masked,placed", [(True, True), (False, True), (True, False), (False, False)])
def test_matches_torch(rng, lengths, tail, dim, masked, placed):
    pack = make_pack(lengths, tail)
    ids, keep = text(rng, pack, 37)
    table, positions = normal(rng, (37, dim)), position_table(157, dim) if placed else None
    y = Guarded((pack.rows, dim))
    run("embed", pack=pack, dim=dim, table_rows=37, max_position=157 if placed else 0, ids=ids,
        keep=keep if masked else None, table=table, positions=positions, y=y)
    want = packed.by_sequence(
        pack, lambda i, k: ops_small.embed(i, k if masked else None, table, positions), ids, keep)
    assert np.array_equal(y.check()[:pack.live], want)  # one addition: no rounding to differ by


def test_alone_is_packed_on_any_threads(rng):
    pack = make_pack(*packed.MIXED)
    ids, keep = text(rng, pack, 37)
    table, positions = normal(rng, (37, 10)), position_table(157, 10)

    def compute(some, _, i, k):
        y = poison((some.rows, 10))
        run("embed", pack=some, dim=10, table_rows=37, max_position=157, ids=i, keep=k, table=table,
            positions=positions, y=y)
        return y

    packed.alone_is_packed(*packed.MIXED, compute, ids, keep)
    packed.threads_do_not_matter(lambda: compute(pack, None, ids, keep))


def test_masked_nan_is_zero_and_kept_nan_stays():
    table, y = copy([[np.nan, 1], [2, np.nan]], np.float32), poison((2, 2))
    run("embed", pack=make_pack([2]), dim=2, table_rows=2, ids=copy([0, 1], np.int32), keep=copy([0, 1], np.uint8),
        table=table, y=y)
    assert same_bits(y[0], np.zeros(2, np.float32)) and y[1, 0] == 2 and np.isnan(y[1, 1])


def test_rejects(rng):
    pack = make_pack([1, 4], 1)
    ids = copy([0, 1, 2, 3, 4, -9], np.int32)
    good = {"pack": pack, "dim": 6, "table_rows": 5, "max_position": 4, "ids": ids, "table": normal(rng, (5, 6)),
            "positions": position_table(4, 6), "y": poison((6, 6))}
    packed.rejects("embed", good, [
        ("F5_E_ARGUMENT", {"ids": copy([0, 1, -1, 3, 4, 0], np.int32)}),
        ("F5_E_ARGUMENT", {"ids": copy([5, 1, 2, 3, 4, 0], np.int32)}),
        ("F5_E_ARGUMENT", {"ids": copy([0, 1, 2, 3, 2**31 - 1, 0], np.int32)}),
        ("F5_E_SHAPE", {"max_position": 3}), ("F5_E_SHAPE", {"dim": 5}), ("F5_E_SHAPE", {"dim": 0}),
        ("F5_E_SHAPE", {"table_rows": 0}),
        *packed.nothing("ids", "table", "y"), *packed.bad_packs(6)])
