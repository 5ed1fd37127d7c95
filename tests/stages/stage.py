"""stage.py — what the stage tests share: requests, traces, and the reference run on a request.

Bars are relative L2 in float32, where two correct implementations differ by the order of their sums. Measured over
250 comparisons: text 7e-7, Vocos 1.2e-6, mel 1e-7, sampling 2.6e-6, velocity 6e-6 at most: float32 knows the angle
1000 t only to 3e-5, and the time features carry that. The bars stand a few times above; a wrong constant or a shifted
row gives 1e-3 and more.
"""
import numpy as np
import torch

import model as reference

TEXT_BAR, VELOCITY_BAR, VOCOS_BAR, MEL_BAR, SAMPLE_BAR = 1e-5, 3e-5, 1e-5, 1e-5, 3e-5


def make_request(rng, model, frames, n_tokens, cond_frames, noise=True, **more):
    """A request with a mel-like reference; frames counts what will be made."""
    assert frames > max(n_tokens, cond_frames)
    r = dict(cond=(2 * rng.standard_normal((cond_frames, 100)) - 3).astype(np.float32),
             tokens=rng.integers(0, model.vocab_size, n_tokens).astype(np.int32), frames=frames, **more)
    if noise:
        r["noise"] = rng.standard_normal((frames, 100)).astype(np.float32)
    return r


def shown(request):
    """The reference mel as the model sees it: [frames,100], zero where it generates."""
    out = np.zeros((request["frames"], 100), np.float32)
    mask = request.get("edit_mask")
    keep = np.ones(len(request["cond"]), bool) if mask is None else np.asarray(mask, bool)
    out[:len(keep)][keep] = request["cond"][keep]
    return out


def kept(request):
    """[frames] bool: frames that come back as they were given."""
    keep = np.zeros(request["frames"], bool)
    mask = request.get("edit_mask")
    keep[:len(request["cond"])] = True if mask is None else np.asarray(mask, bool)
    return keep


def sample_reference(model, request, **settings):
    mask = request.get("edit_mask")
    return reference.sample(
        model.weights, model.options, torch.from_numpy(request["cond"]), torch.from_numpy(request["tokens"]).long(),
        request["frames"], torch.from_numpy(request["noise"]),
        edit_mask=None if mask is None else torch.from_numpy(np.asarray(mask, bool)), **settings).numpy()


class Trace:
    """Keeps the outputs whose label is wanted: "dit.velocity", or a whole stage as "text."."""

    def __init__(self, *wanted):
        self.wanted, self.items = wanted, []

    def __call__(self, op, label, array, milliseconds):
        if any(label == w or (w.endswith(".") and label.startswith(w)) for w in self.wanted):
            self.items.append((label, array.copy()))

    def all(self, wanted):
        return [array for label, array in self.items
                if label == wanted or (wanted.endswith(".") and label.startswith(wanted))]

    def last(self, wanted):
        return self.all(wanted)[-1]


def split(rows, requests, branches):
    """Packed rows -> [branch][request]."""
    sizes = [r["frames"] for r in requests] * branches
    assert len(rows) == sum(sizes), (rows.shape, sizes)
    parts = np.split(rows, np.cumsum(sizes)[:-1])
    return [parts[b * len(requests):(b + 1) * len(requests)] for b in range(branches)]
