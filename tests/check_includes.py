#!/usr/bin/env python3
"""check_includes.py — the direction of every include of ours: written from the root, and only downwards.

ROOMS lists the rooms from the ground up. A file belongs to the first room whose pattern it fits, a room may include from
the rooms that it names, all of them below it: the graph of rooms has no circle, which `circle` proves from the table, and
who reads a room knows what it can depend on. Prints each breach, exits 1 on any.
"""
import fnmatch
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# (room, the files in it, the rooms that it may include from), the lowest first. Every room may include from "plain".
ROOMS = [
    ("plain", ["kernels/f5_status.h", "kernels/error.[ch]", "kernels/dtype.[ch]", "kernels/half.h", "kernels/whole.h", "weights/utf8.h",
               "weights/json_escape.h", "weights/replaced_file.h", "runtime/clock.h",
               "runtime/finite.h"], []),
    # ops: contracts, references, kernels
    ("contracts", ["kernels/*.h"], []),
    ("kernels/cpu", ["kernels/cpu/*"], ["contracts"]),
    ("references", ["kernels/*.c"], ["contracts", "kernels/cpu"]),
    ("kernels/cuda", ["kernels/cuda/*.h"], ["contracts"]),
    ("kernels/cuda/plan", ["kernels/cuda/plan/*"], ["contracts", "kernels/cuda"]),
    ("ptx", ["kernels/cuda/sm80/ptx.cuh"], []),
    ("kernels/cuda/common", ["kernels/cuda/common/*"], ["contracts", "kernels/cpu", "kernels/cuda", "ptx"]),
    ("kernels/cuda/sm80", ["kernels/cuda/sm80/*"],
     ["contracts", "kernels/cuda", "kernels/cuda/plan", "ptx", "kernels/cuda/common"]),
    ("kernels/cuda/sm90", ["kernels/cuda/sm90/*"],
     ["contracts", "kernels/cuda", "kernels/cuda/plan", "ptx", "kernels/cuda/common"]),
    ("device context", ["kernels/cuda/*.cu", "kernels/cuda/*.c"], ["contracts", "kernels/cuda", "kernels/cuda/plan",
                                                                   "kernels/cuda/common"]),
    ("launches", ["kernels/*.cu"], ["contracts", "kernels/cuda", "kernels/cuda/plan", "ptx", "kernels/cuda/common",
                                    "kernels/cuda/sm80", "kernels/cuda/sm90"]),
    # model files
    ("upstream's names", ["weights/convert/upstream.h", "weights/convert/settings.h"], ["weights"]),
    ("weights/convert", ["weights/convert/*"], ["weights", "upstream's names"]),
    ("weights", ["weights/*"], []),
    # the runtime
    ("runtime base", ["runtime/arena.[ch]", "runtime/request.h", "runtime/solver/solver.[ch]"], []),
    ("runtime/ops", ["runtime/ops/*"], ["contracts", "kernels/cpu", "kernels/cuda/plan", "runtime base"]),
    ("runtime/models", ["runtime/models/*"],
     ["contracts", "weights", "upstream's names", "runtime base", "runtime/ops"]),
    ("runtime/solver", ["runtime/solver/*"], ["contracts", "weights", "runtime base", "runtime/ops", "runtime/models"]),
    ("runtime/devices", ["runtime/devices/*"],
     ["contracts", "kernels/cpu", "kernels/cuda", "kernels/cuda/plan", "weights", "runtime base", "runtime/ops"]),
    ("runtime", ["runtime/*"], ["contracts", "kernels/cuda", "kernels/cuda/plan", "weights", "runtime base", "runtime/ops",
                                "runtime/models", "runtime/solver", "runtime/devices"]),
    # the host: the program knows the engine by the public header alone
    ("f5tts.h", ["host/api/f5tts.h", "host/api/f5tts_speech.h", "host/api/f5tts_files.h"], []),
    ("host/text", ["host/text/*"], ["weights"]),
    ("host/audio", ["host/audio/*"], []),
    ("host/api", ["host/api/*"],
     ["f5tts.h", "contracts", "weights", "weights/convert", "runtime base", "runtime/models", "runtime", "host/text",
      "host/audio"]),
    ("host/files", ["host/files/*"], ["f5tts.h"]),
    ("host/phonemes", ["host/phonemes/*"], []),
    ("host/hub", ["host/hub/*"], ["f5tts.h", "host/files"]),
    ("host/python", ["host/python/*"], []),
    ("host/triton", ["host/triton/*"], ["f5tts.h", "weights"]),
    ("host/server", ["host/server/*"], ["f5tts.h", "weights", "host/files"]),
    ("host/program", ["host/program/*"], ["f5tts.h", "host/files", "host/phonemes", "host/hub", "host/server"]),
    ("tests", ["tests/*", "bench/*"], None),  # see everything
]
MAY = {room: may for room, _, may in ROOMS}


def room_of(path):
    """The first room whose pattern the path fits; a pattern's * does not cross a slash unless it is the pattern's end."""
    for room, patterns, _ in ROOMS:
        for pattern in patterns:
            deep = pattern.endswith("/*") and path.startswith(pattern[:-1])
            if deep or fnmatch.fnmatch(path, pattern) and path.count("/") == pattern.count("/"):
                return room
    return None


def circle(rooms=None):
    """Rooms that include each other in a circle, [] where none do: rooms are taken away that name none of the rest."""
    left = {room: set(may or ()) - {room} for room, _, may in (rooms or ROOMS)}
    while True:
        done = {room for room, may in left.items() if not may & left.keys()}
        if not done:
            return sorted(left)
        left = {room: may for room, may in left.items() if room not in done}


def breaches(files, root=ROOT):
    """"path:line: what is wrong" of every include of these files that goes sideways or up."""
    if circle():
        yield f"tests/check_includes.py:1: its rooms include each other: {', '.join(circle())}"
    known = set(files)
    for path in files:
        room = room_of(path)
        if room is None:
            yield f"{path}:1: lies in no room that tests/check_includes.py knows"
            continue
        for number, line in enumerate((root / path).read_text(encoding="utf-8").splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
            if not match:
                continue
            included = match.group(1)
            if included not in known:
                yield f"{path}:{number}: \"{included}\" is not a path from the root to a file of ours"
            elif MAY[room] is not None and room_of(included) not in (room, "plain", *MAY[room]):
                yield f"{path}:{number}: {room} may not include from {room_of(included)} ({included})"


def main():
    files = subprocess.run(["git", "ls-files", "*.c", "*.h", "*.cu", "*.cuh"], cwd=ROOT, capture_output=True, text=True,
                           check=True).stdout.split()
    found = list(breaches(files))
    print("\n".join(found) if found else f"includes of {len(files)} files go down only")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
