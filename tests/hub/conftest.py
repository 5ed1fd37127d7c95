"""A tiny checkpoint of upstream's form, the vocoder beside it, and a hub that has both."""
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import convert_lib  # noqa: E402
import fake_hub  # noqa: E402

VOCOS = "charactr/vocos-mel-24khz"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """What rc.make_checkpoint gives, and the bytes of its files. The vocabulary is upstream's own, as it is shipped."""
    vocab = (convert_lib.ROOT / "weights/text/vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
    made = convert_lib.rc.make_checkpoint(tmp_path_factory.mktemp("tiny"), "tiny", seed=1, vocab=vocab, depth=1,
                                          conv_layers=1, vocos_layers=1)
    return SimpleNamespace(made=made, yaml=made["yaml"], checkpoint=Path(made["checkpoint"]).read_bytes(),
                           vocab=Path(made["vocab_path"]).read_bytes(),
                           vocos_config=Path(made["vocos_config"]).read_bytes(),
                           vocos=Path(made["vocos_path"]).read_bytes())


@pytest.fixture
def hub(tiny):
    with fake_hub.FakeHub() as hub:
        hub.add("me/tiny", "sub/model.safetensors", tiny.checkpoint)
        hub.add("me/tiny", "sub/vocab.txt", tiny.vocab, large=False)
        hub.add(VOCOS, "config.yaml", tiny.vocos_config, large=False)
        hub.add(VOCOS, "pytorch_model.bin", tiny.vocos)
        hub.licences[VOCOS] = "mit"
        yield hub


def cache(home):
    return Path(home) / ".cache/huggingface/hub"


def run(environment, *arguments, cwd=None, sanitized=False, timeout=60, **more):
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
