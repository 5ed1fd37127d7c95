"""Batches of 1, 2, 7 and 32 requests of mixed lengths, of every kind of backbone and vocoder: each request has the bits that
it has alone, and twelve times the same bits. On the GPU: tests/gpu/test_gpu_unett.py, test_gpu_mmdit.py, test_gpu_kinds.py."""
import numpy as np
import pytest

import cbind
import f5file
import f5lib
import stage

SIZES = (1, 2, 7, 32)


@pytest.fixture(scope="module")
def fm(tmp_path_factory, seed):
    """A .f5 of Flow-Matching-TTS."""
    path = tmp_path_factory.mktemp("fm") / "fm.f5"
    f5file.write_model(path, "FM_TTS", seed=seed, dim=64, heads=1, depth=2, mb_channels=16)
    return path


def lengths_of(rng, count, most):
    """A frame or two as well as many."""
    return [2, most, *(int(n) for n in rng.integers(3, most, count - 2))]


def requests_of(rng, m, count):
    requests = []
    for frames in lengths_of(rng, count, 60):
        tokens, cond = int(rng.integers(0, frames)), int(rng.integers(0, frames - 1))
        requests.append(stage.make_request(rng, m, frames, tokens, cond))
    return requests


def own_requests(rng, count):
    """Of a model with one voice: a frame for each token at least."""
    requests = []
    for frames in lengths_of(rng, count, 60):
        tokens = rng.integers(0, 187, int(rng.integers(1, frames + 1))).astype(np.int32)
        requests.append(dict(tokens=tokens, frames=frames, noise=rng.standard_normal((frames, 80)).astype(np.float32)))
    return requests


def check_batches(run, given):
    """run: a list of what is given -> as many arrays."""
    alone = [run([one])[0] for one in given]
    for size in SIZES:
        for i, got in enumerate(run(given[:size])):
            assert cbind.same_bits(got, alone[i]), f"{i} of a batch of {size}"
    for i, got in enumerate(run(given[::-1])[::-1]):
        assert cbind.same_bits(got, alone[i]), f"{i} from behind"
    for _ in range(11):
        assert cbind.same_bits(run(given[1:2])[0], alone[1])


@pytest.mark.parametrize("name", ["tiny", "tiny v0", "tiny e2", "tiny mmdit", "mmdit normed", "FM_TTS"])
def test_backbones(zoo, rng, fm, name):
    own = name == "FM_TTS"
    path = fm if own else zoo[name].path
    given = own_requests(rng, max(SIZES)) if own else requests_of(rng, zoo[name], max(SIZES))
    with f5lib.Engine(path, max_frames=64 * max(SIZES), max_batch=max(SIZES), poison=1) as e:
        check_batches(lambda requests: e.sample(requests, nfe=2), given)


@pytest.mark.parametrize("name", ["tiny", "little bigvgan", "FM_TTS"])
def test_vocoders(zoo, rng, fm, name):
    own = name == "FM_TTS"
    mels = [rng.standard_normal((n, 80 if own else 100)).astype(np.float32) for n in lengths_of(rng, max(SIZES), 40)]
    with f5lib.Engine(fm if own else zoo[name].path, max_frames=64 * max(SIZES), max_batch=max(SIZES), poison=1) as e:
        check_batches(e.vocode_batch, mels)
