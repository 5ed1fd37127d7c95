"""outputs_lib.py — `f5tts infer` on a tiny random model, with its outputs in trouble: ended by a signal at one of its calls
that change the disk (tests/c/preload/moments.c), on a small disk, on a read-only one."""
import os
import shutil
import signal
import subprocess
from pathlib import Path

import convert_lib

ROOT = Path(__file__).resolve().parents[1]
TEXT = "Say these few words. [pause 0.1s] And these."
SIGNALS = {"INT": signal.SIGINT, "TERM": signal.SIGTERM, "HUP": signal.SIGHUP, "PIPE": signal.SIGPIPE}


def build_moments(folder):
    library = folder / "moments.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, ROOT / "tests/c/preload/moments.c", "-ldl"],
                   check=True)
    return library


def watched(moments, **settings):
    """The environment of a program whose calls are counted, or end it: MOMENTS_AT and so on, without their beginning."""
    return {**os.environ, **convert_lib.SANITIZER, "LD_PRELOAD": str(moments),
            **{f"MOMENTS_{name}": str(value) for name, value in settings.items()}}


class Runs:
    """infer with the model and the recording that are given; outputs lie in `out`."""

    def __init__(self, folder, model, recording, transcript, moments):
        self.folder, self.model, self.recording, self.transcript = folder, model, recording, transcript
        self.out, self.moments = folder / "out", moments

    def command(self, *arguments, **options):
        given = dict(model=self.model, ref_audio=self.recording, ref_text=self.transcript, gen_text=TEXT, seed=7,
                     output_dir=self.out, output_file="a.wav", nfe_step=1, device="cpu", threads=1, max_frames=512, quiet=True)
        given.update(options)
        return [convert_lib.program(), "infer", *[f"--{k}" if v is True else f"--{k}={v}" for k, v in given.items()
                                                  if v is not None], *arguments]

    def run(self, *arguments, before=(), moments=None, stdout=subprocess.PIPE, **options):
        environment = {**os.environ, **convert_lib.SANITIZER} if moments is None else watched(self.moments, **moments)
        return subprocess.run([*before, *self.command(*arguments, **options)], stdout=stdout, stderr=subprocess.PIPE,
                              env=environment, timeout=600)

    def all_outputs(self):
        """Options for every kind of output, in two folders that are not there yet."""
        more = self.out / "more" / "deep"
        return dict(save_mel=more / "a.npy", spectrogram=more / "a.png", subtitles=more / "a.srt", save_chunk=True)

    def tree(self):
        """Every name below `out` -> its bytes, or None of a folder."""
        if not self.out.exists():
            return {}
        return {p.relative_to(self.out).as_posix(): p.read_bytes() if p.is_file() else None
                for p in sorted(self.out.rglob("*"))}

    def clear(self):
        shutil.rmtree(self.out, ignore_errors=True)


def interrupted(runs, name, moments, old, whole, **extra):
    """Ends infer by a signal at each of these moments; what is wrong afterwards, as a list. old: what lies there before,
    {name: bytes}; whole: the tree of a run that was not disturbed. What is there afterwards must be of the one or of the
    other, and a folder only where it was or holds something."""
    wrong = []
    for at in moments:
        runs.clear()
        for path, data in old.items():
            (runs.out / path).parent.mkdir(parents=True, exist_ok=True)
            (runs.out / path).write_bytes(data)
        before = runs.tree()
        result = runs.run(moments=dict(AT=at, SIGNAL=int(SIGNALS[name]), **extra), **runs.all_outputs())
        after = runs.tree()
        if result.returncode != -SIGNALS[name]:
            wrong.append(f"{name} at {at}: exit code {result.returncode}: {result.stderr.decode()[-200:]}")
        for path, data in after.items():
            inside = any(other.startswith(path + "/") for other in after)
            if data is None and (path in before or inside):
                continue
            if data is None or not (before.get(path, b"") == data or whole.get(path) == data):
                wrong.append(f"{name} at {at}: left {path}")
        wrong += [f"{name} at {at}: {path} is gone" for path in old if path not in after]
    return wrong


def spread(total, n, offset=0):
    """n moments from 1 to total."""
    return sorted({1 + (i * (total - 1) + offset) // max(n - 1, 1) for i in range(n)} & set(range(1, total + 1)))
