"""A tiny checkpoint of upstream's form, the vocoder beside it, and a hub that has both."""
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import convert_lib  # noqa: E402
import fake_hub  # noqa: E402
from hub_lib import VOCOS  # noqa: E402


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
