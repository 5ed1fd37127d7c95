"""noise: the generator against its published answers, the normals against numpy and against the normal law."""
import ctypes
import math

import numpy as np
import pytest

import packed
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
    assert [int(w[0]) for w in philox_numpy(*([np.uint64([c]) for c in part] for part in (counter, key)))] == words


def philox_numpy(counter, key):
    """Ten rounds over arrays of uint64 that hold 32-bit values."""
    low = np.uint64(0xFFFFFFFF)
    c, k = list(counter), list(key)
    for _ in range(10):
        p, q = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(q >> np.uint64(32)) ^ c[1] ^ k[0], q & low, (p >> np.uint64(32)) ^ c[3] ^ k[1], p & low]
        k = [(k[0] + np.uint64(0x9E3779B9)) & low, (k[1] + np.uint64(0xBB67AE85)) & low]
    return c


def noise_numpy(seed, elements):
    """The contract of kernels/noise.h in double."""
    block = np.arange(-(-elements // 4), dtype=np.uint64)
    zero, low, seed = np.zeros_like(block), np.uint64(0xFFFFFFFF), np.uint64(seed)
    words = philox_numpy([block & low, block >> np.uint64(32), zero, zero], [seed & low, seed >> np.uint64(32)])
    out = np.empty((len(block), 4))
    for pair in (0, 2):
        u = ((words[pair] >> np.uint64(8)) + np.uint64(1)) / 2.0**24
        angle = 2 * np.pi * ((words[pair + 1] >> np.uint64(8)) / 2.0**24)
        r = np.sqrt(-2 * np.log(u))
        out[:, pair], out[:, pair + 1] = r * np.cos(angle), r * np.sin(angle)
    return out.ravel()[:elements]


def seeds_of(rng, n):
    return copy(rng.integers(0, 2**64, n, dtype=np.uint64))


def generate(lengths, tail, dim, seeds):
    pack, y = make_pack(lengths, tail), Guarded((sum(lengths) + tail, dim))
    run("noise", pack=pack, dim=dim, seeds=seeds, y=y)
    assert np.isnan(y.check()[pack.live:]).all(), "the tail was written"
    return y.a[:pack.live]


@packed.lengths_param()
@pytest.mark.parametrize("dim", [100, 80, 33, 3, 1])
def test_matches_numpy(rng, lengths, tail, dim):
    seeds = seeds_of(rng, len(lengths))
    want = [noise_numpy(seed, n * dim).reshape(n, dim) for seed, n in zip(seeds, lengths)]
    check("noise", f"{packed.name(lengths, tail)} dim {dim}", generate(lengths, tail, dim, seeds), np.concatenate(want),
          1e-6)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**64 - 1])
def test_seeds_at_the_edges(seed):
    check("noise", f"seed {seed}", generate([31], 0, 100, copy([seed], np.uint64)),
          noise_numpy(seed, 3100).reshape(31, 100), 1e-6)


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
