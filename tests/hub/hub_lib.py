"""hub_lib.py — upstream's vocoder by name, the program in an environment, and files in the cache of huggingface_hub."""
import os
import subprocess
from pathlib import Path

import convert_lib
import fake_hub

VOCOS = "charactr/vocos-mel-24khz"


def cache(home):
    return Path(home) / ".cache/huggingface/hub"


def run(environment, *arguments, cwd=None, sanitized=False, timeout=600, **more):
    return subprocess.run([convert_lib.program(sanitized), *map(str, arguments)], capture_output=True, text=True,
                          errors="replace", timeout=timeout, cwd=cwd, env={**environment, **convert_lib.SANITIZER}, **more)


def store(home, repository, name, data, commit=fake_hub.COMMIT, ref="main"):
    """A file in the cache as huggingface_hub leaves it: a blob, a link in a snapshot, a reference."""
    folder = cache(home) / ("models--" + repository.replace("/", "--"))
    blob = folder / "blobs" / fake_hub.File(data, True).hash
    link = folder / "snapshots" / commit / name
    for path in (blob, link, folder / "refs" / "x"):
        path.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(data)
    link.symlink_to(os.path.relpath(blob, link.parent))
    if ref:
        (folder / "refs" / ref).write_text(commit)
    return link


def files(folder):
    """Everything below a folder but locks."""
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*")
                  if not p.is_dir() and ".locks" not in p.parts) if Path(folder).exists() else []
