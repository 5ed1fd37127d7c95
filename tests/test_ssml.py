"""The XML under SSML against expat: whatever is accepted is well-formed there too, with the same text, and whatever expat
accepts is refused only for what it means."""
import ctypes
import re
import xml.parsers.expat
from pathlib import Path

import cbind

DOCUMENTS = Path(__file__).parent / "c" / "ssml_documents.h"
MEANING = re.compile(r"not honoured|inside <|stands there twice|needs its attribute|root is <|of <break>|of <prosody>|is empty|"
                     r"comes to|there are 1\.0 and 1\.1|encoding|another version|DOCTYPE|longer than|more than 32 deep|XML does not "
                     r"allow|stands for no character|XML declaration")


class Event(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int), ("text", ctypes.c_void_p), ("bytes", ctypes.c_size_t), ("at", ctypes.c_size_t)]


class F5Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 512)]


def xml_events(document):
    """(events, message): [kind, name or text], texts side by side joined."""
    reader, error, event = ctypes.create_string_buffer(4096), F5Error(), Event()
    data, out = ctypes.create_string_buffer(document, len(document) + 1), []
    pointers = [ctypes.addressof(x) for x in (reader, data, event, error)]
    xml_open = cbind.function("xml_open", ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    xml_next = cbind.function("xml_next", ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    status = xml_open(pointers[0], pointers[1], len(document), pointers[3])
    while status == 0:
        status = xml_next(pointers[0], pointers[2], pointers[3])
        if status or event.kind == 0:
            break
        add(out, ("end", "start", "close", "text")[event.kind], ctypes.string_at(event.text, event.bytes).decode())
    return (out, None) if status == 0 else (None, error.message.decode())


def add(out, kind, text):
    if kind == "text":
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        if out and out[-1][0] == "text":
            out[-1] = ("text", out[-1][1] + text)
            return
    if kind != "text" or text:
        out.append((kind, text))


def expat_events(document):
    out, parser = [], xml.parsers.expat.ParserCreate()
    parser.buffer_text = False
    parser.StartElementHandler = lambda name, _: add(out, "start", name)
    parser.EndElementHandler = lambda name: add(out, "close", name)
    parser.CharacterDataHandler = lambda text: add(out, "text", text)
    try:
        parser.Parse(document, True)
    except (xml.parsers.expat.ExpatError, ValueError, LookupError) as error:
        return None, str(error)
    return out, None


def documents():
    """The good documents of the C test, read from its table."""
    text = DOCUMENTS.read_text(encoding="utf-8")
    text = text[text.index("ssml_good[]"):text.index("ssml_bad[]")]
    out = []
    for match in re.finditer(r'\{(SPEAK\()?((?:\s*"(?:\\.|[^"\\])*")+)', text):
        inner = b"".join(part.encode().decode("unicode_escape").encode("latin-1")
                         for part in re.findall(r'"((?:\\.|[^"\\])*)"', match[2]))
        out.append(b"<speak>" + inner + b"</speak>" if match[1] else inner)
    return out


def same(document):
    ours, message = xml_events(document)
    theirs, why = expat_events(document)
    if ours is not None:
        if why and "duplicate attribute" in why:  # ssml.c looks for these
            return False
        assert theirs is not None, (document, why)
        assert ours == theirs, document
        return True
    assert theirs is None or MEANING.search(message), (document, message)
    return False


def test_well_formed_as_expat_says(rng):
    good = documents()
    assert len(good) >= 60 and all(same(d) for d in good)
    likely = "<>&;/!?-[]'\"= \n#xp01é:.".encode()
    accepted = 0
    for _ in range(6000):
        data = bytearray(good[int(rng.integers(len(good)))])
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.integers(len(data)))
            c = likely[int(rng.integers(len(likely)))] if rng.random() < 0.8 else int(rng.integers(256))
            data[at:at + int(rng.integers(0, 2))] = bytes([c]) if rng.random() < 0.7 else b""
        accepted += same(bytes(data))
    assert 300 < accepted < 5700
