"""The text encoder: features of every sequence and branch of a packed batch."""
import pytest
import torch

import cbind
import f5lib
import model as reference
import stage


@pytest.mark.parametrize("name", ["v1", "v0", "small v1", "upsampled", "bare text"])
def test_text_features(zoo, rng, name):
    m = zoo[name]
    # (frames, tokens): a usual text, one token, a text as long as can be, an odd remainder to spread
    shapes = [(97, 41), (13, 1), (60, 59), (71, 24)]
    requests = [stage.make_request(rng, m, frames, n, cond_frames=min(11, frames - 1)) for frames, n in shapes]
    trace = stage.Trace("text.")
    with f5lib.Engine(m.path, max_frames=512, trace=trace) as e:
        e.sample(requests, nfe=1)
    features = stage.split(trace.last("text."), requests, branches=2)
    for null, branch in enumerate(features):
        for request, got in zip(requests, branch):
            tokens = torch.from_numpy(request["tokens"]).long()
            want = reference.text_encode(m.weights, m.options, tokens, request["frames"], null=bool(null))
            what = f"{name}, {'null' if null else 'cond'}, N {request['frames']}, tokens {len(tokens)}"
            cbind.check("text encoder", what, got, want.numpy(), stage.TEXT_BAR)


def test_one_branch_without_guidance(zoo, rng):
    m = zoo["v1"]
    request = stage.make_request(rng, m, 40, 17, 9)
    trace = stage.Trace("text.")
    with f5lib.Engine(m.path, max_frames=64, trace=trace) as e:
        e.sample([request], nfe=1, cfg=0)
    assert len(trace.last("text.")) == 40
