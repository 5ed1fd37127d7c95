"""What holds for a backbone or a vocoder of any kind, and has a case for each: UNetT, MMDiT, BigVGAN beside the DiT."""
import numpy as np
import pytest

import f5lib
import stage


@pytest.mark.parametrize("name", ["tiny", "tiny e2", "tiny mmdit"])
def test_warm_frames_run_what_speech_of_that_length_runs(zoo, rng, name):
    """Where text has rows of its own, they are part of the bucket: six frames are a token or so."""
    m, calls = zoo[name], []

    def shape(op, label, array, milliseconds):
        if not label.startswith("schedule."):  # which is kept from call to call
            calls.append((op, label, array.shape))

    sizes = np.array([200], np.int32)
    with f5lib.Engine(m.path, max_frames=256, max_evaluations=2, warm_frames=sizes.ctypes.data, n_warm=1, trace=shape) as e:
        warmed, calls[:] = list(calls), []
        e.sample([stage.make_request(rng, m, 200, 200 // 6, 60, noise=False)], nfe=2)
        assert warmed and calls == warmed
