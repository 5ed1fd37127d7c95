"""Whole samplings against the reference: same noise in, mel out. Frames of the kept region must be the given bits."""
import numpy as np
import pytest
import torch

import cbind
import f5lib
import model as reference
import stage

AB2 = f5lib.header().constants["F5_METHOD_AB2"]
SETTINGS = {
    "32 steps": dict(nfe=32),
    "7 steps EPSS": dict(nfe=7),
    "7 steps uniform": dict(nfe=7, epss=False),
    "6 steps, sway +0.5": dict(nfe=6, sway=0.5),
    "5 steps, sway off": dict(nfe=5, sway=None),
    "9 steps, no guidance": dict(nfe=9, cfg=0.0),
    "4 steps, cfg 3.5": dict(nfe=4, cfg=3.5),
    "4 steps, midpoint": dict(nfe=4, midpoint=True),
    "7 steps EPSS, midpoint": dict(nfe=7, midpoint=True),
    "1 step": dict(nfe=1),
    "7 steps, ab2": dict(nfe=7, method=AB2),
}
OURS = {  # methods and grids that upstream has not
    "7 steps EPSS, ab2": dict(nfe=7, method=AB2, grid=1),
    "5 steps uniform, ab2": dict(nfe=5, method=AB2, grid=1, epss=False, sway=None),
    "8 steps on the curve, ab2": dict(nfe=8, method=AB2, grid=2),
    "6 steps, ab2, no guidance": dict(nfe=6, method=AB2, cfg=0.0),
    "1 step, ab2": dict(nfe=1, method=AB2),
    "6 steps on the curve": dict(nfe=6, grid=2),
    "3 steps, midpoint by name, on the curve": dict(nfe=3, method=1, grid=2),
}
BOTH = ["7 steps EPSS", "4 steps, midpoint", "9 steps, no guidance", "7 steps, ab2"]


def compare(m, requests, settings, what):
    with f5lib.Engine(m.path, max_frames=256) as e:
        mels = e.sample(requests, **settings)
    for request, mel in zip(requests, mels):
        keep = stage.kept(request)
        assert cbind.same_bits(mel[keep], stage.shown(request)[keep])
        want = stage.sample_reference(m, request, **settings)
        cbind.check("sampling", f"{what}, N {request['frames']}", mel[~keep], want[~keep], stage.SAMPLE_BAR)


@pytest.mark.parametrize("settings", SETTINGS)
def test_v1(zoo, rng, settings):
    m = zoo["v1"]
    compare(m, [stage.make_request(rng, m, 61, 25, 22)], SETTINGS[settings], f"v1, {settings}")


@pytest.mark.parametrize("settings", BOTH)
def test_v0(zoo, rng, settings):
    m = zoo["v0"]
    compare(m, [stage.make_request(rng, m, 61, 25, 22)], SETTINGS[settings], f"v0, {settings}")


@pytest.mark.parametrize("name", ["small v1", "small v0", "qk norm", "long skip", "upsampled", "5 heads rotated, ff x4",
                                  "bare text", "e2 added", "e2 no skips", "mmdit normed", "mmdit of one block"])
def test_variants(zoo, rng, name):
    m = zoo[name]
    compare(m, [stage.make_request(rng, m, 45, 19, 14)], dict(nfe=5), name)


@pytest.mark.parametrize("settings", BOTH)
def test_e2(zoo, rng, settings):
    m = zoo["e2"]
    compare(m, [stage.make_request(rng, m, 61, 25, 22)], SETTINGS[settings], f"e2, {settings}")


SMALL = ("tiny", "tiny e2", "tiny mmdit")  # one of each backbone: grids and methods are the same for all


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("nfe", sorted(reference.EPSS))
def test_every_pruned_grid(zoo, rng, name, nfe):
    m = zoo[name]
    compare(m, [stage.make_request(rng, m, 34, 8, 9)], dict(nfe=nfe), f"{name}, EPSS {nfe}")


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("settings", {**SETTINGS, **OURS})
def test_every_grid_and_method(zoo, rng, name, settings):
    m = zoo[name]
    compare(m, [stage.make_request(rng, m, 41, 15, 12)], {**SETTINGS, **OURS}[settings], f"{name}, {settings}")


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("nfe", sorted(reference.AB2))
def test_every_grid_of_ab2(zoo, rng, name, nfe):
    m = zoo[name]
    compare(m, [stage.make_request(rng, m, 34, 8, 9)], dict(nfe=nfe, method=AB2), f"{name}, ab2 {nfe}")


def test_ab2_in_fp64(zoo, rng):
    """Six steps written out, in double: the same to within what float32 loses, and nowhere near Euler's."""
    m = zoo["tiny"]
    request = stage.make_request(rng, m, 40, 12, 10)
    w = {k: v.double() for k, v in m.weights.items()}
    x, keep = torch.from_numpy(request["noise"]).double(), stage.kept(request)
    v = reference.guided_velocity(w, m.options, torch.from_numpy(request["tokens"]).long(),
                                  torch.from_numpy(stage.shown(request)).double(), 40)
    t, velocities = reference.AB2[6], []
    for n in range(6):
        velocities.append(v(torch.tensor(t[n], dtype=torch.float64), x))
        change = (velocities[n] - velocities[n - 1]) / 2 if n else 0
        x = x + (t[n + 1] - t[n]) * (velocities[n] + change)
    with f5lib.Engine(m.path, max_frames=64) as e:
        mel, = e.sample([request], nfe=6, method=AB2)
        euler, = e.sample([request], nfe=6, grid=2)
    cbind.check("sampling", "tiny, ab2 in double", mel[~keep], x.numpy()[~keep], stage.SAMPLE_BAR)
    assert cbind.rel_l2(euler[~keep], x.numpy()[~keep]) > 100 * stage.SAMPLE_BAR


def test_the_old_flag_and_the_names(zoo, rng):
    """midpoint means method 1 where the method is 0 and nothing else; names that are none are refused."""
    m = zoo["tiny"]
    request = stage.make_request(rng, m, 30, 8, 7)
    with f5lib.Engine(m.path, max_frames=64) as e:
        midpoint, ab2 = (e.sample([request], nfe=4, method=i)[0] for i in (1, AB2))
        assert cbind.same_bits(e.sample([request], nfe=4, midpoint=True)[0], midpoint)
        assert cbind.same_bits(e.sample([request], nfe=4, midpoint=True, method=AB2)[0], ab2)
        assert not cbind.same_bits(ab2, midpoint)
        for wrong, message in ((dict(method=3), "method is 3"), (dict(method=-1), "method is -1"), (dict(grid=4), "grid is 4"),
                               (dict(grid=-(2 ** 31)), "grid is -2147483648")):
            with pytest.raises(f5lib.Error, match=message) as failure:
                e.sample([request], nfe=4, **wrong)
            assert failure.value.status == "F5_E_ARGUMENT"


@pytest.mark.parametrize("name", ["v1", "v0", "tiny e2", "tiny mmdit"])
def test_edit_mask(zoo, rng, name):
    """Generated spans inside the reference, at its start and at its end; the model must not see what was there."""
    m = zoo[name]
    mask = np.ones(40, np.uint8)
    mask[:3] = mask[11:19] = mask[37:] = 0
    request = stage.make_request(rng, m, 47, 21, 40, edit_mask=mask)
    compare(m, [request], dict(nfe=6), f"{name}, edited")
    if name == "v1":
        compare(m, [request], dict(nfe=3, method=AB2), f"{name}, edited, ab2")
    hidden = dict(request, cond=np.where(mask[:, None] == 1, request["cond"], 7).astype(np.float32))
    with f5lib.Engine(m.path, max_frames=64) as e:
        assert cbind.same_bits(e.sample([request], nfe=3)[0], e.sample([hidden], nfe=3)[0])


@pytest.mark.parametrize("name", ["v1", "tiny e2", "tiny mmdit"])
def test_packed_batch(zoo, rng, name):
    """Sequences of one call against the reference run on each alone, one of them edited."""
    m = zoo[name]
    mask = (rng.random(20) < 0.5).astype(np.uint8)
    requests = [stage.make_request(rng, m, 37, 11, 20, edit_mask=mask), stage.make_request(rng, m, 2, 1, 1),
                stage.make_request(rng, m, 52, 51, 6)]
    compare(m, requests, dict(nfe=5), f"{name}, packed")
    compare(m, requests, dict(nfe=3, method=AB2), f"{name}, packed, ab2")


@pytest.mark.parametrize("settings", [
    dict(nfe=0), dict(nfe=-1), dict(nfe=9), dict(nfe=9, method=2), dict(nfe=5, method=1), dict(nfe=5, midpoint=True), dict(nfe=2**30 + 1, midpoint=True),
    dict(nfe=2**31 - 1, midpoint=True), dict(nfe=-(2**31), midpoint=True)], ids=str)
def test_steps_beyond_those_opened_for(zoo, rng, settings):
    """Refused before anything is written, also where twice the steps leave 32 bits."""
    m = zoo["tiny"]
    request = stage.make_request(rng, m, 9, 3, 2)
    with f5lib.Engine(m.path, max_frames=16, max_evaluations=8) as e:
        with pytest.raises(f5lib.Error, match=f"nfe is {settings['nfe']}.*max_evaluations"):
            e.sample([request], **settings)
        e.sample([request], nfe=8)


def test_frames_are_at_least_one_more(zoo, rng):
    """A request for too few frames is raised to one more than the longer of text and reference."""
    m = zoo["tiny"]
    count = f5lib.library().f5_sample_frames
    for n, cond_frames, wanted in ((30, 20, 5), (20, 30, 5), (20, 30, 31), (3, 2, 90), (0, 0, 0)):
        assert count(n, cond_frames, wanted) == reference.sample_frames(n, cond_frames, wanted)
    request = stage.make_request(rng, m, 31, 30, 20)
    with f5lib.Engine(m.path, max_frames=64) as e:
        mel, = e.sample([request], nfe=2)
        short, = e.sample([dict(request, frames=5)], nfe=2)
    assert cbind.same_bits(mel, short)
