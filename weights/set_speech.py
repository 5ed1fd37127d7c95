#!/usr/bin/env python3
"""set_speech.py — changes what a .f5 file says about how its model is to be spoken with, and what its users are told.

    set_speech.py FILE.f5 normalize=en short_speed=80 slowest=80 fastest=150
    set_speech.py FILE.f5 license=MIT credit="voice: A. Speaker"
    set_speech.py FILE.f5                    shows what it says

The fields are those of the object "speech" (weights/FORMAT.md), and license and credit; `key=` takes one out. Only the header changes: the data
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
RIGHTS = {"license": 255, "credit": 1023}  # most bytes; metadata of their own
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


def check_line(key, value):
    """As the library checks it (weights/rights.c)."""
    try:
        n = len(value.encode())
    except UnicodeEncodeError:
        raise Refused(f"{key} is not UTF-8") from None
    if n > RIGHTS[key]:
        raise Refused(f"{key} has {n} bytes: at most {RIGHTS[key]}")
    bad = re.search("[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", value)
    if bad:
        raise Refused(f"{key} has U+{ord(bad[0]):04X}: it is one line of text without control characters")


def change(speech, key, value):
    """Sets key of the object, or takes it out where the value is empty."""
    if key != "normalize" and key not in NUMBERS:
        raise Refused(f"no field {key}: there are normalize, {', '.join([*NUMBERS, *RIGHTS])}")
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


def rights_of(metadata):
    """The licence and credit of a file's metadata, those that it has."""
    return {key: metadata[key] for key in RIGHTS if metadata.get(key)}


def set_speech(path, changes):
    """changes: [(key, value)]. The object and the rights as they are afterwards; the file is left alone if there are none."""
    path = Path(path)
    with open(path, "rb") as f:
        header, data = read_header(f, path)
        metadata = header["__metadata__"]
        config = json.loads(metadata["config"])
        speech = config.get("speech", {})
        for key, value in changes:
            if key not in RIGHTS:
                change(speech, key, value)
                continue
            check_line(key, value)
            metadata[key] = value
            if not value:
                del metadata[key]
        if not changes:
            return {**speech, **rights_of(metadata)}
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
    return {**speech, **rights_of(metadata)}


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
