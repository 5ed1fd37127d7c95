"""One short synthesis on the GPU through every stage and option, without PyTorch: what the sanitizers run.
With --small a smaller one, launch by launch: racecheck takes minutes for what the other tools do in seconds.
Every kernel that the engine launches is launched here: v1 and v0 text, q/k norm, long skip, upsampling, Base's width,
both paths, all precisions, two sequences in one pack, mel and Vocos with both paddings."""
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import f5file  # noqa: E402
import f5lib  # noqa: E402

SMALL = dict(dim=256, heads=4, depth=2, text_dim=128, conv_layers=2, vocos_dim=128, vocos_ff_dim=256, vocos_layers=2)
SETTINGS = [dict(nfe=2), dict(nfe=2), dict(nfe=1, midpoint=True), dict(nfe=1, cfg=0.0), dict(nfe=2, method=2)]
VARIANTS = [dict(), dict(text_mask_padding=False, pe_attn_head=1, vocos_padding="same"),
            dict(qk_norm=True, long_skip=True, average_upsampling=True)]
TINY = dict(SMALL, depth=1, conv_layers=1, vocos_layers=1)
WIDE = dict(TINY, dim=1024, heads=16)  # Base's width: on Hopper its convolution is a kernel of its own
PATHS = [("fp16", 0), ("fp16", 1), ("bf16", 0), ("fp32", 0)]


def main():
    small = sys.argv[1:] == ["--small"]
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        models = [{**TINY, **VARIANTS[-1]}] if small else [{**SMALL, **variant} for variant in VARIANTS]
        for i, model in enumerate([*models, WIDE]):
            path = str(Path(folder) / f"{i}.f5")
            vocab_size = len(f5file.write_model(path, "demo", seed=i, **model)["vocab"])
            for precision, portable in PATHS[:1] if small and model is WIDE else PATHS:
                with f5lib.Engine(path, "cuda", precision, max_frames=256, max_batch=2, portable=portable,
                                  eager=int(small)) as e:
                    cond = e.mel(rng.standard_normal(3000 if small else 10000).astype(np.float32) * 0.1)
                    requests = [dict(cond=cond, tokens=rng.integers(0, vocab_size, 20).astype(np.int32), frames=n, seed=n)
                                for n in ((37, 21) if small else (97, 61))]
                    for settings in (dict(nfe=1),) if small else SETTINGS:
                        mels = e.sample(requests, **settings)
                    sound = e.vocode_batch(mels)
                    assert all(np.isfinite(s).all() and np.abs(s).max() > 0 for s in sound)
    print("short synthesis: fine")


if __name__ == "__main__":
    main()
