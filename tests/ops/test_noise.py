"""noise beyond test_every_op.py: the generator against its published answers, the normals against the normal law."""
import ctypes
import math

import numpy as np
import pytest

import packed
from ops import Noise, philox
from cbind import Guarded, check, copy, function, make_pack, pointer, poison, run, same_bits

# Known answers of Philox4x32-10 from the Random123 distribution (kat_vectors): counter, key, words.
ANSWERS = [
    ([0x00000000] * 4, [0x00000000] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0],
     [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
]


@pytest.mark.parametrize("counter,key,words", ANSWERS, ids=["zeros", "ones", "pi"])
def test_philox_known_answers(counter, key, words):
    out = copy([0] * 4, np.uint32)
    philox = function("philox4x32_10", None, *[ctypes.c_void_p] * 3)
    philox(pointer(copy(counter, np.uint32)), pointer(copy(key, np.uint32)), pointer(out))
    assert out.tolist() == words


def test_the_truth_has_the_same_generator():
    """ops.philox, block by block, gives the words of the C function that gives the published answers."""
    made = function("philox4x32_10", None, *[ctypes.c_void_p] * 3)
    for seed in (0, 0x0123456789ABCDEF, 2**64 - 1):
        for block, want in enumerate(zip(*philox(seed, 5))):
            words = copy([0] * 4, np.uint32)
            made(pointer(copy([block, 0, 0, 0], np.uint32)), pointer(copy([seed % 2**32, seed >> 32], np.uint32)),
                 pointer(words))
            assert words.tolist() == [int(w) for w in want]


def seeds_of(rng, n):
    return copy(rng.integers(0, 2**64, n, dtype=np.uint64))


def generate(lengths, tail, dim, seeds):
    pack, y = make_pack(lengths, tail), Guarded((sum(lengths) + tail, dim))
    run("noise", pack=pack, dim=dim, seeds=seeds, y=y)
    assert np.isnan(y.check()[pack.live:]).all(), "the tail was written"
    return y.a[:pack.live]


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**64 - 1])
def test_seeds_at_the_edges(seed):
    check("noise", f"seed {seed}", generate([31], 0, 100, copy([seed], np.uint64)),
          Noise(100).normals(seed, 31).numpy(), Noise.bar_ref)


def test_alone_is_packed_on_any_threads(rng):
    lengths, tail = packed.MIXED
    seeds, at = seeds_of(rng, len(lengths)), 0
    together = generate(lengths, tail, 7, seeds)
    for slot, n in enumerate(lengths):
        assert same_bits(generate([n], 0, 7, seeds[slot:slot + 1]), together[at:at + n])
        at += n
    packed.threads_do_not_matter(lambda: generate(lengths, tail, 7, seeds))


def test_longer_begins_with_shorter(rng):
    seeds = seeds_of(rng, 1)
    assert same_bits(generate([157], 0, 33, seeds)[:31], generate([31], 0, 33, seeds))


def test_is_standard_normal(rng):
    """Half a million elements; limits are six standard errors, and for the distribution function alpha of 1e-8."""
    y = generate([5000], 0, 100, seeds_of(rng, 1)).astype(np.float64).ravel()
    n = y.size
    assert np.isfinite(y).all() and np.abs(y).max() <= 5.77
    for power, mean, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs((y**power).mean() - mean) < 6 * math.sqrt(variance / n), f"moment {power}"
    for lag in (1, 2, 3, 4, 100):
        assert abs((y[lag:] * y[:-lag]).mean()) < 6 / math.sqrt(n - lag), f"correlation at {lag}"
    ordered = np.sort(y)
    law = 0.5 * (1 + np.vectorize(math.erf)(ordered / math.sqrt(2)))
    rank = np.arange(n + 1) / n
    distance = max(np.abs(law - rank[1:]).max(), np.abs(law - rank[:-1]).max())
    assert distance < math.sqrt(-math.log(0.5e-8) / 2 / n), f"Kolmogorov-Smirnov distance {distance:.2e}"


def test_seeds_are_independent(rng):
    """Seeds that differ in one bit, of either half."""
    seed = seeds_of(rng, 1)[0]
    near = copy([seed, seed ^ np.uint64(1), seed ^ np.uint64(1 << 32)], np.uint64)
    y = generate([1000, 1000, 1000], 0, 100, near).astype(np.float64).reshape(3, -1)
    correlation = np.corrcoef(y) - np.eye(3)
    assert np.abs(correlation).max() < 6 / math.sqrt(y.shape[1])


def test_rejects(rng):
    good = {"pack": make_pack([1, 4], 1), "dim": 8, "seeds": seeds_of(rng, 2), "y": poison((6, 8))}
    packed.rejects("noise", good, [("F5_E_SHAPE", {"dim": 0}), ("F5_E_SHAPE", {"dim": -1}),
                                   *packed.nothing("seeds", "y"), *packed.bad_packs(6)])
