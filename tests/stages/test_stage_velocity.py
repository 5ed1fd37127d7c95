"""One evaluation of a backbone: the velocity of every sequence and branch, at each state and time of a short sampling.

The states are the library's own (traced), so errors do not add up: each evaluation is judged alone."""
import numpy as np
import pytest
import torch

import cbind
import f5lib
import model as reference
import stage

SHORT = [(53, 20, 17), (1 + 8, 5, 1), (38, 37, 30)]  # frames, tokens, frames of the reference
DEEP = [(40, 16, 15)]
LONG = [(1300, 1200, 50), (30, 0, 7)]  # tokens beyond MMDiT's table of positions; no text at all


@pytest.mark.parametrize("name,shapes,nfe", [
    ("v1", SHORT, 3), ("v0", SHORT, 3), ("small v1", SHORT, 3), ("small v0", SHORT, 3), ("qk norm", SHORT, 3),
    ("long skip", SHORT, 3), ("upsampled", SHORT, 3), ("5 heads rotated, ff x4", SHORT, 3), ("bare text", SHORT, 3),
    ("inner 192 of 1024", SHORT, 3), ("inner 1280 of 1024", SHORT, 3), ("v1 depth 22", DEEP, 2), ("e2", SHORT, 3),
    ("e2 small", SHORT, 3), ("e2 added", SHORT, 3), ("e2 no skips", SHORT, 3),
    ("mmdit", SHORT, 3), ("mmdit normed", SHORT, 3), ("mmdit of one block", SHORT, 3), ("tiny mmdit", LONG, 1)])
def test_velocity(zoo, rng, name, shapes, nfe):
    m = zoo[name]
    requests = [stage.make_request(rng, m, *shape) for shape in shapes]
    label = {"UNetT": "unett", "MMDiT": "mmdit"}.get(m.config["backbone"], "dit") + ".velocity"
    trace = stage.Trace(label, "ode.")
    with f5lib.Engine(m.path, max_frames=1400, trace=trace) as e:
        e.sample(requests, nfe=nfe)
    velocities, steps = trace.all(label), trace.all("ode.")
    assert len(velocities) == len(steps) == nfe

    times = reference.time_grid(nfe)
    for i, packed in enumerate(velocities):
        if i == 0:
            states = [r["noise"] for r in requests]
        else:
            states = stage.split(steps[i - 1], requests, branches=2)[0]
        for null, branch in enumerate(stage.split(packed, requests, branches=2)):
            for request, state, got in zip(requests, states, branch):
                tokens, frames = torch.from_numpy(request["tokens"]).long(), request["frames"]
                text = reference.text_encode(m.weights, m.options, tokens, frames, null=bool(null))
                cond = torch.from_numpy(stage.shown(request))
                want = reference.velocity(m.weights, m.options, torch.from_numpy(state),
                                          torch.zeros_like(cond) if null else cond, text, times[i])
                what = f"{name}, {'null' if null else 'cond'}, N {frames}, t {times[i]:.3f}"
                cbind.check("velocity", what, got, want.numpy(), stage.VELOCITY_BAR)


def test_both_branches_hold_the_same_state(zoo, rng):
    m = zoo["v1"]
    request = stage.make_request(rng, m, 33, 12, 10)
    trace = stage.Trace("ode.")
    with f5lib.Engine(m.path, max_frames=64, trace=trace) as e:
        e.sample([request], nfe=2)
    cond, null = stage.split(trace.all("ode.")[0], [request], branches=2)
    assert np.array_equal(cond[0], null[0])
