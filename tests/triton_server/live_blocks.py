"""live_blocks.py — what a process's libf5tts and Triton backend have allocated and not freed: live_blocks.c, compiled, preloaded
and read."""
import collections
import functools
import subprocess
from pathlib import Path

import numpy as np

BUCKETS, SLOTS, FRAMES = 1 << 15, 16, 12  # as live_blocks.c has them
SLOT = np.dtype([("block", "<u8"), ("bytes", "<u8"), ("directly", "<u8"), ("frames", "<u8", FRAMES)])
HEAD = np.dtype([("made", "<u8"), ("freed", "<u8"), ("lost", "<u8"), ("planted", "<u8")])

Blocks = collections.namedtuple("Blocks", "count bytes directly frames")


class LiveBlocks:
    """Of one process: `environment` is what it is to be started with. plant: every so manieth free is not done."""

    def __init__(self, folder, program, plant=0):
        self.file, library = Path(folder) / "blocks", Path(folder) / "live_blocks.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", Path(__file__).with_name("live_blocks.c"),
                        "-o", library, "-lgcc_s"], check=True)
        self.preload = str(library)
        self.environment = {"F5_TEST_BLOCKS": str(self.file), "F5_TEST_OF": program, **({"F5_TEST_PLANT": str(plant)} if plant else {})}

    def read(self):
        """(counters, Blocks by who asked for them): a list, the most first."""
        with open(self.file, "rb") as f:
            head = np.fromfile(f, HEAD, 1)[0]
            assert head["lost"] == 0, f"{head['lost']} blocks had no room in the table"
            f.seek(HEAD.itemsize + 4 * BUCKETS)
            slots = np.fromfile(f, SLOT, BUCKETS * SLOTS)
        slots, seen = slots[slots["block"] != 0], {}
        for s in slots:
            asked = (bool(s["directly"]), tuple(int(x) for x in s["frames"] if x))
            count, size = seen.get(asked, (0, 0))
            seen[asked] = count + 1, size + int(s["bytes"])
        blocks = [Blocks(count, size, *asked) for asked, (count, size) in seen.items()]
        return {name: int(head[name]) for name in HEAD.names}, sorted(blocks, reverse=True)


@functools.lru_cache(None)
def functions(frames, backend, library):
    """Of a Blocks' stack, the innermost first; the files of both libraries are given."""
    names = []
    for frame in frames:
        where = subprocess.run(["addr2line", "-fse", backend if frame & 1 else library, hex(frame >> 1)], capture_output=True, text=True).stdout
        names.append(where.split("\n")[0])
    return names


def told(blocks, *libraries):
    return f"{blocks.count} blocks, {blocks.bytes} bytes: " + " < ".join(functions(blocks.frames, *libraries))
