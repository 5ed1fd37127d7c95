"""output_folder.py — the folder that a fine-tune writes: whose it is, and that one training at a time writes there.

The first start leaves a marker in it, finetune.json. Files that are there without it are the user's own: none of them is
ever deleted or overwritten. What a training is made of lies elsewhere, so that it does not write over that either.
"""
import contextlib
import fcntl
import json
import os
import time
from pathlib import Path

from base_model import UPSTREAM_FILES
from speech_folder import Unusable
from upstream_state import whole

MARKER = "finetune.json"
WRITTEN = ("base.f5", "base.part.f5", "voice.f5", "voice.part.f5", "model_*.pt", "G_*.pth", "model.yaml", "config.json", "vocab.txt",
           "vocos/config.yaml", "vocos/pytorch_model.bin", "data/index*.json", "data/mels*.f32", "lora/adapter_*",
           "samples/update_*", "log*.tsv", "valid*.tsv", "loss*.png")


def outside(options):
    """Unusable where an input lies in the folder that is written."""
    out = options.out.resolve()
    if options.folder.resolve() == out:
        raise Unusable(f"--out {options.out} is the folder of recordings: give another")
    for name in ("model", *UPSTREAM_FILES):
        path = getattr(options, name)
        if path and Path(path).exists() and out in Path(path).resolve().parents:
            raise Unusable(f"--{name.replace('_', '-')} {path} lies in --out {options.out}, where the training writes: "
                           "give another --out")


def lock(file, out):
    """Waits a little: a training that was killed may have left a child that has not begun, which still holds it."""
    for left in reversed(range(20)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not left:
                raise Unusable(f"{out}: another training writes there") from None
            time.sleep(0.05)
        except OSError:  # a file system that has no locks
            return


@contextlib.contextmanager
def claimed(options):
    """Makes the folder, and has it alone while the context lasts. Raises Unusable, OSError."""
    out = options.out
    outside(options)
    out.mkdir(parents=True, exist_ok=True)
    theirs = sorted(str(path.relative_to(out)) for pattern in WRITTEN for path in out.glob(pattern))
    if theirs and not (out / MARKER).is_file():
        raise Unusable(f"{out} has {', '.join(theirs[:3])}{' ...' if len(theirs) > 3 else ''} that no training of finetune.py "
                       "wrote: give an empty --out")
    file = os.open(out / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        lock(file, out)
        if not (out / MARKER).is_file():
            whole(out / MARKER, lambda part: part.write_text(json.dumps({"made_by": "finetune.py"}) + "\n"))
        yield
    finally:
        os.close(file)
