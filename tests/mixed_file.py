"""mixed_file.py — a .f5 file of 8 bits in which some products are in 16: made by hand, of a file of either kind."""
import json
import struct
from pathlib import Path


def read(path):
    raw = Path(path).read_bytes()
    n, = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8:8 + n]), raw[8 + n:]


def write(path, int8, fp16, wide):
    """Of the file `int8` all but the matrices that wide(name) says: these come from `fp16`, without scales."""
    (narrow, narrow_data), (half, half_data) = read(int8), read(fp16)
    header, data = {"__metadata__": narrow["__metadata__"]}, b""
    for name, t in narrow.items():
        if name == "__metadata__" or name.endswith(".scale") and name[:-6] in narrow and wide(name[:-6]):
            continue
        kept = t["dtype"] == "I8" and wide(name)
        of, source = (half[name], half_data) if kept else (t, narrow_data)
        begin, end = of["data_offsets"]
        header[name] = {**of, "data_offsets": [len(data), len(data) + end - begin]}
        data += source[begin:end]
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 64)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)
