"""The emulator finds what it is for: each fault of faults.cu by its message, or by a result that depends on the order of
threads; and none where there is none."""
import re
from pathlib import Path

import pytest
import torch

FAULTS = re.search(r"enum fault \{(.*?)\}", Path(__file__).with_name("faults.cu").read_text(encoding="utf-8"), flags=re.S)
NAMES = re.findall(r"\w+", FAULTS.group(1))
SAID = {
    "NO_BARRIER": "other bits", "NO_WARP_BARRIER": "other bits", "SOME_AT_BARRIER": "not all threads come here",
    "LANE_AWAY": "a lane of the warp has left", "NO_COPY_WAIT": "other bits", "SHARED_INDEX": "an index outside its array",
    "WRITE_BEHIND": "beside a tensor of", "READ_FAR": "memory outside every tensor", "MISALIGNED": "a misaligned",
    "OVERFLOWS": "faults.cu:58: a product overflows", "BLOCKS_MEET": "other bits",
    "GRID_TOO_HIGH": "no device takes a grid of 1,65536,1", "SHARED_TOO_LARGE": "50000 bytes",
    "BOX_NO_BARRIER": "an mbarrier that was not initialised", "BOX_NO_WAIT": "other bits",
    "BOX_ARRIVES_TWICE": "more arrivals at an mbarrier", "BOX_NOBODY_WAITS": "a block ends before a copy",
    "BOX_NEVER_COMES": "not all threads come here", "PRODUCT_NO_WAIT": "other bits"}
NAN = ("UNWRITTEN_SHARED", "READ_BEHIND")  # the result holds it


def run(emulated, name):
    x, y = torch.arange(65.0), torch.full((65,), float("nan"))
    emulated.in_every_order([x, y], lambda at: emulated.library.faults_run(
        emulated.at_context, NAMES.index(name), 64, at(x), at(y)))
    return x[:64], y[:64]


def test_every_fault_is_told_of():
    assert set(NAMES) == {"NONE", "BOX", "PRODUCT", *SAID, *NAN}


def test_no_fault_is_found_where_there_is_none(emulated):
    for name in ("NONE", "BOX"):
        x, y = run(emulated, name)
        assert torch.equal(y, x + x.roll(-1))
    x, y = run(emulated, "PRODUCT")
    assert torch.equal(y, x)


@pytest.mark.parametrize("name", SAID)
def test_says(emulated, name):
    with pytest.raises(AssertionError, match=re.escape(SAID[name])):
        run(emulated, name)
    test_no_fault_is_found_where_there_is_none(emulated)


@pytest.mark.parametrize("name", NAN)
def test_shows(emulated, name):
    assert bool(run(emulated, name)[1].isnan().any())
