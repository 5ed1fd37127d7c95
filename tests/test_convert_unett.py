"""E2-TTS through `f5tts convert`: configurations that are none, told by name. test_f5file.py holds its tensors against a
writer of its own, tests/stages/ what comes of them."""
from pathlib import Path

import pytest

import convert_lib as lib
from test_convert import convert_yaml, refused


@pytest.mark.parametrize("old, new, word", [
    ("depth: 4", "depth: 3", "depth is 3, not even"), ("depth: 4", "depth: 2", "keys missing"),
    ("type: concat", "type: sum", "concat, add and none"), ("type: concat", "type: add", "unknown"),
    ("type: concat", "type: concat\n    long_skip_connection: True", "long_skip_connection is not an option"),
    ("pe_attn_head: 1", "pe_attn_head: 2", "pe_attn_head is 2 of 1")])
def test_unets_we_do_not_have(tmp_path, old, new, word):
    made = lib.rc.make_checkpoint(tmp_path, "tiny", backbone="UNetT", depth=4, conv_layers=0, text_dim=100, pe_attn_head=1)
    text = Path(made["yaml"]).read_text()
    assert text.count(old) == 1
    refused(convert_yaml(made, tmp_path, text.replace(old, new)), tmp_path / "edited.yaml" if "keys" not in word and
            word != "unknown" else made["checkpoint"], word)
