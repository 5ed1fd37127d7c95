#!/usr/bin/env python3
"""interrupt_outputs.py — the whole of what tests/test_outputs.py takes a sample of: `f5tts infer` with every kind of output
is ended at 20 moments by each of INT, TERM, HUP and PIPE, over nothing and over old files, on a file system that has
nameless files and as if on one that has none. Prints what was left behind; exits 1 if anything was.

    F5_BUILD=build python3 tests/interrupt_outputs.py [MOMENTS]
"""
import sys
import tempfile
from pathlib import Path

import numpy as np

import convert_lib
import outputs_lib
from test_infer import write_wav


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    wrong, runs_made = [], 0
    with tempfile.TemporaryDirectory(prefix="f5-interrupt-") as name:
        folder = Path(name)
        made = convert_lib.rc.make_checkpoint(folder / "tiny", arch="tiny", seed=3)
        result = convert_lib.convert(made, folder / "tiny.f5")
        assert result.returncode == 0, result.stderr
        write_wav(folder / "voice.wav", np.random.default_rng(1).uniform(-0.4, 0.4, 24000))
        runs = outputs_lib.Runs(folder, folder / "tiny.f5", folder / "voice.wav", "A short recording.",
                                outputs_lib.build_moments(folder))
        for extra in ({}, {"NO_TMPFILE": 1}):
            result = runs.run(moments=dict(COUNT=folder / "count", **extra), **runs.all_outputs())
            assert result.returncode == 0, result.stderr
            calls, whole = int((folder / "count").read_text().split()[0]), runs.tree()
            old = {path: b"old " + path.encode() for path, data in whole.items() if data is not None}
            for signal in outputs_lib.SIGNALS:
                for before in ({}, old):
                    moments = outputs_lib.spread(calls, n)
                    found = outputs_lib.interrupted(runs, signal, moments, before, whole, **extra)
                    wrong += found
                    runs_made += len(moments)
                    print(f"{'named' if extra else 'nameless'} {signal:4} over {'old files' if before else 'nothing'}: "
                          f"{len(moments)} moments of {calls} calls, {len(found)} wrong", flush=True)
    print("\n".join(wrong + [f"{runs_made} runs ended, {len(wrong)} wrong"]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
