"""packed.py — what the tests of the references have in common: lengths of packs, bad packs, threads, refusals."""
import numpy as np
import pytest
import torch

import cbind

# Lengths of the slots and inert rows after them: single rows, odd lengths, empty slots first, between and last.
LENGTHS = [([1], 0), ([2], 3), ([31], 1), ([157], 0), ([0, 31, 0, 1, 157, 2, 0], 5)]
MIXED = LENGTHS[-1]


def name(lengths, tail):
    return "+".join(map(str, lengths)) + f" tail {tail}"


def rows_input(rng, pack, width, scale=1.0):
    """Normal numbers in the live rows, NaN in the tail: a result that reads the tail shows it."""
    x = cbind.normal(rng, (pack.rows, width), scale)
    x[pack.live:] = np.nan
    return x


def truth_of_pack(op, pack, shared=None, **rows):
    """truth of each sequence of the pack, laid out as its live rows."""
    return np.concatenate([truth(op, shared, **{f: v[begin:end] for f, v in rows.items()})
                           for begin, end in pack.spans if end > begin])


def truth(op, shared=None, **rows):
    """What op (tests/ops.py) gives in double for one sequence's rows; arrays in, an array out. A row of None is absent."""
    def tensors(fields):
        return {f: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for f, v in fields.items() if v is not None}

    return op.truth(tensors(rows), {}, tensors(shared or {})).numpy()


def threads_do_not_matter(compute):
    """compute() -> array, the same bits on 1, 2 and 3 threads of the instruction set at hand."""
    isa = cbind.current().isa
    with cbind.context(1, isa):
        one = compute()
    for count in (2, 3):
        with cbind.context(count, isa):
            assert cbind.same_bits(one, compute()), f"{isa}: {count} threads give another result than one"


def rejects(op, good, cases):
    """good: fields of a call that succeeds. cases: (status name, changed fields); a rejected call writes nothing."""
    cbind.run(op, **good)
    outputs = [k for k in ("y", "scratch") if k in good]
    for key in outputs:
        good[key] = cbind.poison(good[key].shape, good[key].dtype)
    for want, change in cases:
        fields = {**good, **change}
        assert cbind.call(op, **fields) == getattr(cbind, want), f"{op} with {list(change)} should be {want}"
        for key in outputs:
            assert (good[key].view(np.uint8) == 0xFF).all(), f"{op} with {list(change)} wrote to {key} and then failed"


def bad_packs(rows):
    """Packs of at most `rows` rows that contradict themselves, each F5_E_ARGUMENT."""
    def broken(**changes):
        pack = cbind.make_pack([1, rows - 2], 1)
        for key, (index, value) in changes.items():
            getattr(pack, key)[index] = value
        return pack

    negative, past_end = cbind.make_pack([1, rows - 2], 1), cbind.make_pack([1, rows - 2], 1)
    negative.struct.n_seq = -1
    past_end.struct.rows = rows - 2
    descending = broken(offsets=(1, rows))
    descending.seq_of_row[:] = 0
    packs = [None, descending, broken(offsets=(0, 1)), broken(offsets=(1, -1)), broken(offsets=(1, rows)),
             broken(offsets=(2, rows + 7)), broken(seq_of_row=(0, 1)), negative, past_end]
    return [("F5_E_ARGUMENT", {"pack": pack}) for pack in packs]


def nothing(*fields):
    """Cases for pointers that may not be NULL."""
    return [("F5_E_ARGUMENT", {field: None}) for field in fields]
