#!/usr/bin/env python3
"""check_includes.py — the direction of every include of ours: written from the root, and only downwards.

Every folder is a room on a floor. A file may include from its own room and from the rooms that MAY names for it; so the
arrows between rooms make no circle, and who reads a room knows what it can depend on. Prints each breach, exits 1 on any.
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What every room may know: status codes, the error record, number types.
PLAIN = {"kernels/f5_status.h", "kernels/error.h", "kernels/dtype.h", "kernels/half.h"}

# A room is the longest of these that begins a file's folder. Its value: other rooms whose headers it may include, or
# single headers of such a room.
MAY = {
    "kernels": {"kernels/cpu", "kernels/cuda", "kernels/cuda/common", "kernels/cuda/plan", "kernels/cuda/sm80",
                "kernels/cuda/sm90"},
    "kernels/cpu": set(),
    "kernels/cuda": {"kernels", "kernels/cuda/common"},
    "kernels/cuda/common": {"kernels", "kernels/cpu", "kernels/cuda", "kernels/cuda/sm80"},
    "kernels/cuda/plan": {"kernels", "kernels/cuda"},
    "kernels/cuda/sm80": {"kernels", "kernels/cuda", "kernels/cuda/common", "kernels/cuda/plan"},
    "kernels/cuda/sm90": {"kernels", "kernels/cuda", "kernels/cuda/common", "kernels/cuda/plan", "kernels/cuda/sm80"},
    "weights": set(),
    "weights/convert": {"weights"},
    "runtime": {"kernels", "kernels/cuda", "kernels/cuda/plan", "weights", "runtime/ops", "runtime/devices", "runtime/models", "runtime/solver"},
    "runtime/ops": {"kernels", "kernels/cuda/plan", "runtime"},
    "runtime/devices": {"kernels", "kernels/cuda", "weights", "runtime", "runtime/ops"},
    "runtime/models": {"kernels", "weights", "runtime", "runtime/ops", "runtime/solver"},
    "runtime/solver": {"kernels", "weights", "runtime", "runtime/ops", "runtime/models"},
    # the tokenizer's kinds, the vocabulary and UTF-8: no handle, nothing of the API
    "host/text": {"weights/config.h", "weights/vocab.h", "weights/utf8.h"},
    "host/audio": set(),
    "host/api": {"kernels", "weights", "weights/convert", "runtime", "runtime/models", "host/text",
                 "host/audio"},
    # clients: what they know of the engine is its public header
    "host/files": {"host/api/f5tts.h"},
    "host/program": {"host/api/f5tts.h", "host/files"},
    "tests": None,  # tests see everything
    "bench": None,
}


def room_of(path):
    folder = str(Path(path).parent)
    while folder not in MAY and "/" in folder:
        folder = folder.rsplit("/", 1)[0]
    return folder


def breaches(files):
    known = set(files)
    for path in files:
        room = room_of(path)
        if room not in MAY:
            yield f"{path}: lies in no room that check_includes.py knows"
            continue
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
            if not match:
                continue
            included = match.group(1)
            if included not in known:
                yield f"{path}:{number}: \"{included}\" is not a path from the root to a file of ours"
            elif included in PLAIN or MAY[room] is None or room_of(included) == room:
                continue
            elif room_of(included) not in MAY[room] and included not in MAY[room]:
                yield f"{path}:{number}: {room} may not include from {room_of(included)} ({included})"


def main():
    files = subprocess.run(["git", "ls-files", "*.c", "*.h", "*.cu", "*.cuh"], cwd=ROOT, capture_output=True, text=True,
                           check=True).stdout.split()
    found = list(breaches(files))
    print("\n".join(found) if found else f"includes of {len(files)} files go down only")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
