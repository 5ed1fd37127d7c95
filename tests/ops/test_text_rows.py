"""text_rows beyond test_every_op.py: shares of text from none to all, in place, by hand, NaN."""
import numpy as np
import pytest

import packed
from cbind import TEXT_ROWS_MASK, TEXT_ROWS_UPSAMPLE, Guarded, copy, make_pack, normal, poison, run
from ops import TextRows

BOTH = pytest.mark.parametrize("mode", [TEXT_ROWS_MASK, TEXT_ROWS_UPSAMPLE], ids=["mask", "upsample"])


def keep_rows(rng, pack, share):
    keep = copy(rng.random(pack.rows) < share, np.uint8)
    keep[pack.live:] = 1  # the tail claims to be text
    return keep


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 1.0])
@BOTH
def test_any_share_of_text(rng, mode, share):
    pack = make_pack(*packed.MIXED)
    keep, x, y = keep_rows(rng, pack, share), packed.rows_input(rng, pack, 100), Guarded((pack.rows, 100))
    run("text_rows", pack=pack, dim=100, mode=mode, keep=keep, x=x, y=y)
    want = packed.truth_of_pack(TextRows(100, "mask" if mode == TEXT_ROWS_MASK else "upsample"), pack, x=x, keep=keep)
    assert np.array_equal(y.check()[:pack.live], want)


def test_mask_in_place(rng):
    pack = make_pack([9, 0, 4], 1)
    keep, x = keep_rows(rng, pack, 0.5), normal(rng, (14, 7))
    want = packed.truth(TextRows(7), x=x[:13], keep=keep[:13])
    run("text_rows", pack=pack, dim=7, mode=TEXT_ROWS_MASK, keep=keep, x=x, y=x)
    assert np.array_equal(x[:13], want)


def test_upsample_by_hand():
    """Seven frames of three kept rows: twice each, the last once more."""
    x = copy(np.arange(7)[:, None], np.float32)
    y = poison((7, 1))
    run("text_rows", pack=make_pack([7]), dim=1, mode=TEXT_ROWS_UPSAMPLE, keep=copy([0, 1, 1, 0, 0, 9, 0], np.uint8),
        x=x, y=y)
    assert y[:, 0].tolist() == [1, 1, 2, 2, 5, 5, 5]


@BOTH
def test_nan(mode):
    """A filler row's NaN goes, a text row's stays."""
    x, y = copy([[np.nan], [np.nan], [1]], np.float32), poison((3, 1))
    run("text_rows", pack=make_pack([3]), dim=1, mode=mode, keep=copy([0, 1, 1], np.uint8), x=x, y=y)
    assert np.isnan(y[:, 0]).tolist() == ([False, True, False] if mode == TEXT_ROWS_MASK else [True, False, False])


@BOTH
def test_rejects(rng, mode):
    x = normal(rng, (6, 8))
    good = {"pack": make_pack([1, 4], 1), "dim": 8, "mode": mode, "keep": copy([1] * 6, np.uint8), "x": x,
            "y": poison((6, 8))}
    overlap = [("F5_E_ARGUMENT", {"y": x})] if mode == TEXT_ROWS_UPSAMPLE else []
    packed.rejects("text_rows", good, [
        ("F5_E_SHAPE", {"dim": 0}), ("F5_E_ARGUMENT", {"mode": 2}), ("F5_E_ARGUMENT", {"mode": -1}), *overlap,
        *packed.nothing("keep", "x", "y"), *packed.bad_packs(6)])
