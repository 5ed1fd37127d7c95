"""embed beyond test_every_op.py: its position table against PyTorch, NaN behind a mask, and refusals."""
import ctypes

import numpy as np
import pytest
import torch

import packed
from cbind import Guarded, check, copy, function, make_pack, normal, pointer, poison, run, same_bits


def position_table(rows, dim):
    out = Guarded((rows, dim))
    function("position_table_fill", None, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32)(pointer(out), rows, dim)
    return out.check()


def torch_table(rows, dim):
    """Every step in F32, as upstream has it."""
    inverse = 1.0 / torch.pow(torch.tensor(10000.0), torch.arange(0, dim, 2).float() / dim)
    angle = torch.arange(rows).float()[:, None] * inverse[None, :]
    return torch.cat([angle.cos(), angle.sin()], dim=1).numpy()


# One ulp of a frequency turns row 8191 by up to 5e-4, and PyTorch's pow is an ulp off in one to four columns of a table:
# hence the first bar. Against the correctly rounded power the table is exact to the rounding of cos and sin.
@pytest.mark.parametrize("rows,dim", [(8192, 512), (8192, 100), (1024, 1024), (157, 768), (2, 2), (1, 6)])
def test_position_table(rows, dim):
    got = position_table(rows, dim)
    check("embed", f"table {rows}x{dim} torch", got, torch_table(rows, dim), 1e-4)
    power = np.float64(10000) ** (np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim)).astype(np.float64)
    frequency = np.float32(1) / power.astype(np.float32)
    angle = (np.arange(rows, dtype=np.float32)[:, None] * frequency).astype(np.float64)
    check("embed", f"table {rows}x{dim} exact", got, np.concatenate([np.cos(angle), np.sin(angle)], 1), 1e-6)


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
