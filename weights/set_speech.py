#!/usr/bin/env python3
"""set_speech.py — changes what a .f5 file says about how its model is to be spoken with.

    set_speech.py FILE.f5 normalize=en short_speed=80 slowest=80 fastest=150
    set_speech.py FILE.f5                    shows what it says

The fields are those of the object "speech" (weights/FORMAT.md); `key=` takes one out. Only the header changes: the data
stays as it is, byte for byte, and still begins at a multiple of 64. A file of version 1 becomes one of version 2, in
which alone the object exists. The new file is written beside the old one and takes its place when it is complete.
"""
import json
import os
import re
import shutil
import struct
import sys
import tempfile
from pathlib import Path

# field: its range, as weights/config.c has it
NUMBERS = {"short_bytes": (0, 1000), "short_speed": (1, 10000), "slowest": (1, 100), "fastest": (100, 10000),
           "chunking": (0, 2), "precision": (0, 2), "method": (0, 2), "steps": (0, 64)}
MAX_HEADER = 16 << 20  # as weights/safetensors.h has it
FLAT = {"backbone": ("dim", "depth", "heads", "ff_dim", "pe_attn_head", "qk_norm", "long_skip"),
        "text": ("text_dim", "text_blocks", "text_mask_padding", "text_average_upsampling"),
        "vocoder": ("vocos_dim", "vocos_ff_dim", "vocos_layers", "vocos_same_padding")}


class Refused(Exception):
    """What is wrong, in one line."""


def read_header(f, path):
    """(header, where the data begins)"""
    size = os.fstat(f.fileno()).st_size
    begin = f.read(8)
    n = struct.unpack("<Q", begin)[0] if len(begin) == 8 else MAX_HEADER + 1
    if n > min(MAX_HEADER, size - 8):
        raise Refused(f"{path} is no .f5 model: it has no safetensors header")
    try:
        header = json.loads(f.read(n))
        metadata = header["__metadata__"]
        if metadata["format"] != "f5tts" or metadata["format_version"] not in ("1", "2"):
            raise KeyError("format")
        json.loads(metadata["config"])
    except (ValueError, KeyError, TypeError):
        raise Refused(f"{path} is no .f5 model of version 1 or 2") from None
    return header, 8 + n


def version_2(config):
    """A configuration of version 1 as one of version 2."""
    new = {key: config[key] for key in ("name", "tokenizer", "vocab_size")}
    for part, names in FLAT.items():
        prefix = {"backbone": "", "text": "text_", "vocoder": "vocos_"}[part]
        kind = {"backbone": {"kind": "DiT"}, "vocoder": {"kind": "Vocos"}}.get(part, {})
        new[part] = {**kind, **{name.removeprefix(prefix): config[name] for name in names}}
    return new


def change(speech, key, value):
    """Sets key of the object, or takes it out where the value is empty."""
    if key != "normalize" and key not in NUMBERS:
        raise Refused(f"no field {key}: there are normalize, {', '.join(NUMBERS)}")
    if not value:
        speech.pop(key, None)
    elif key == "normalize":
        if not re.fullmatch("[a-z]{2,15}", value):
            raise Refused(f"normalize={value}: a language, as en, or none")
        speech[key] = value
    elif not re.fullmatch("[0-9]{1,5}", value) or not NUMBERS[key][0] <= int(value) <= NUMBERS[key][1]:
        raise Refused("{}={}: a whole number in {} .. {}, of percent for speeds".format(key, value, *NUMBERS[key]))
    else:
        speech[key] = int(value)


def set_speech(path, changes):
    """changes: [(key, value)]. The object as it is afterwards; the file is left alone if there are none."""
    path = Path(path)
    with open(path, "rb") as f:
        header, data = read_header(f, path)
        metadata = header["__metadata__"]
        config = json.loads(metadata["config"])
        speech = config.get("speech", {})
        for key, value in changes:
            change(speech, key, value)
        if not changes:
            return speech
        if metadata["format_version"] == "1":
            config, metadata["format_version"] = version_2(config), "2"
        config.pop("speech", None)
        if speech:
            config["speech"] = speech
        metadata["config"] = json.dumps(config, separators=(",", ":"), ensure_ascii=False)
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-(len(text) + 8) % 64)
        f.seek(data)
        replace(path, struct.pack("<Q", len(text)) + text, f)
    return speech


def replace(path, head, rest):
    """Writes head and what is left of `rest` in place of the file: whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.resolve().parent, prefix=f".{path.name}.", delete=False) as new:
        try:
            new.write(head)
            shutil.copyfileobj(rest, new, 1 << 20)
            new.flush()
            os.fsync(new.fileno())
            shutil.copymode(path, new.name)
            os.replace(new.name, path.resolve())
        except BaseException:
            os.unlink(new.name)
            raise


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__.strip())
    path, *changes = sys.argv[1:]
    try:
        for word in changes:
            if "=" not in word:
                raise Refused(f"{word}: give key=value")
        speech = set_speech(path, [tuple(word.split("=", 1)) for word in changes])
    except (Refused, OSError) as error:
        sys.exit(f"set_speech.py: {error}")
    print(f"{path}: " + (" ".join(f"{key}={value}" for key, value in speech.items()) or "says nothing"))


if __name__ == "__main__":
    main()
