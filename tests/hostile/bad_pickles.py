"""bad_pickles.py — writes torch.save's archives and pickles byte by byte, each part of which may lie."""
import struct


def zip_bytes(entries, *, end=None, end64=None, locator=None, tail=b"", between=b"", lies=None):
    """entries: [(name, data)]. lies: {name: {field: value}} with fields method, flags, size, packed, begin, extra (of the
    directory), local_name, local_signature, central_signature. end: {field: value} of the end record."""
    out, directory = bytearray(), bytearray()
    for name, data in entries:
        lie = (lies or {}).get(name, {})
        raw, begin = name.encode(), len(out)
        local = lie.get("local_name", raw)
        method, flags = lie.get("method", 0), lie.get("flags", 0)
        out += struct.pack("<IHHHHHIIIHH", lie.get("local_signature", 0x04034B50), 20, flags, method, 0, 0, 0, len(data),
                           len(data), len(local), lie.get("local_extra", 0)) + local + data
        directory += struct.pack("<IHHHHHHIIIHHHHHII", lie.get("central_signature", 0x02014B50), 20, 20, flags, method, 0,
                                 0, 0, lie.get("packed", len(data)), lie.get("size", len(data)),
                                 lie.get("name_length", len(raw)), len(lie.get("extra", b"")), 0, 0, 0, 0,
                                 lie.get("begin", begin)) + raw + lie.get("extra", b"")
    offset = len(out)
    out += directory + between
    if end64 is not None:
        fields = dict(entries_here=len(entries), entries=len(entries), bytes=len(directory), offset=offset, disk=0)
        fields.update(end64)
        at = len(out)
        out += struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, fields["disk"], 0, fields["entries_here"],
                           fields["entries"], fields["bytes"], fields["offset"])
        out += struct.pack("<IIQI", 0x07064B50, 0, locator if locator is not None else at, 1)
    fields = dict(disk=0, here=len(entries), entries=len(entries), bytes=len(directory), offset=offset, comment=0)
    fields.update(end or {})
    out += struct.pack("<IHHHHIIH", 0x06054B50, fields["disk"], 0, fields["here"], fields["entries"], fields["bytes"],
                       fields["offset"], fields["comment"])
    return bytes(out + tail)


def archive(pickle, storages=(b"\0" * 16,), extra=(), **lies):
    entries = [("a/data.pkl", pickle)] + [(f"a/data/{i}", s) for i, s in enumerate(storages)] + list(extra)
    return zip_bytes(entries, **lies)


# ---- pickles

P = b"\x80\x02"
ORDERED = b"ccollections\nOrderedDict\n)R"


def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return b"X" + struct.pack("<I", len(s)) + s


def number(n):
    return b"\x8a\x08" + struct.pack("<q", n)


def numbers(*values):
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key="0", kind=b"FloatStorage", size=4, module=b"torch", tag="storage"):
    return b"(" + text(tag) + b"c" + module + b"\n" + kind + b"\n" + text(key) + text("cpu") + number(size) + b"tQ"


def tensor(store=None, offset=0, shape=(4,), stride=(1,), rest=b"\x89" + ORDERED):
    return (b"ctorch._utils\n_rebuild_tensor_v2\n(" + (storage() if store is None else store) + number(offset) +
            numbers(*shape) + numbers(*stride) + rest + b"tR")


def state(value, key="x"):
    return P + b"}(" + text(key) + value + b"u."


def call(module, name, args=b")"):
    return P + f"c{module}\n{name}\n".encode() + args + b"R."


GOOD = state(tensor())
MAGIC = P + b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how torch before 1.6 begins a file


def directory_at(data):
    return struct.unpack("<I", data[-6:-2])[0]


def refused(result, path, *words):
    assert result.returncode == 1, (result.returncode, result.stdout[-500:], result.stderr[-3000:])
    lines = [line for line in result.stderr.splitlines() if not line.startswith("converting ")]
    assert len(lines) == 1, result.stderr[-3000:]
    assert str(path) in lines[0], lines[0]
    for word in words:
        assert word in lines[0], f"expected '{word}' in: {lines[0]}"
    assert lines[0].isprintable(), lines[0]
