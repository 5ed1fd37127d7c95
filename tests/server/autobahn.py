#!/usr/bin/env python3
"""autobahn.py — the cases of Autobahn's test suite at the WebSocket machine of host/server/websocket.c.

    python3 -m venv V && V/bin/pip install autobahntestsuite
    V/bin/python tests/server/autobahn.py [--only 6.] [--sanitized]

The suite is written for a Python that is gone, but its cases are classes that speak to a protocol object: here is one, on
a plain socket, with a client's rules of RFC 6455. Texts are strings of bytes there, so they are Latin-1 here. The server
is websocket_echo.c, built by cc. Cases 1 to 7, 9 and 10 run; 12 and 13 are about compression, which the server does not
offer. A line for each case that did not pass; exits 1 if there are any. Not a part of `make test`: it needs PyPI.
"""
import argparse
import base64
import binascii
import builtins
import importlib.util
import os
import re
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
import types
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FAIR = {"OK", "NON-STRICT", "INFORMATIONAL"}


class Codes:
    CLOSE_STATUS_CODE_NORMAL, CLOSE_STATUS_CODE_PROTOCOL_ERROR, CLOSE_STATUS_CODE_INVALID_PAYLOAD = 1000, 1002, 1007
    STATE_CLOSED, STATE_CONNECTING, STATE_CLOSING, STATE_OPEN = range(4)
    MESSAGE_TYPE_TEXT = 1


class Validator:
    """autobahn's: (valid so far, ends at a character's end, ...)."""

    def reset(self):
        pass

    def validate(self, text):
        data = text.encode("latin-1")
        try:
            data.decode()
            return True, True
        except UnicodeDecodeError as error:
            return error.reason == "unexpected end of data", False


def translate(folder, to):
    """Copies the cases, as today's Python reads them: print, the division of integers, old-style classes."""
    for file in folder.glob("*.py"):
        text = re.sub(r"^(\s*)print (.+)$", r"\1print(\2)", file.read_bytes().decode("latin-1"), flags=re.M)
        (to / file.name).write_text(encoding="utf-8", data=text.replace("/ self.p.autoFragmentSize", "// self.p.autoFragmentSize")
                                    .replace("(object, Case, )", "(Case, )"))


def load_cases(folder):
    """The suite's list of case classes, by way of an empty folder."""
    spec = importlib.util.find_spec("autobahntestsuite")
    if spec is None:
        sys.exit("autobahn.py: pip install autobahntestsuite")
    translate(Path(spec.submodule_search_locations[0]) / "case", folder)

    def module(name, **content):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__dict__.update(content)

    module("autobahn")
    module("autobahn.websocket")
    module("autobahn.websocket.protocol", WebSocketProtocol=Codes)
    module("autobahn.websocket.utf8validator", Utf8Validator=Validator)
    module("case9_9_1")  # is in no list
    # of compression
    module("case12_x_x", **{name + kind: value for name in ("Case12_X_X", "Case13_X_X")
                            for kind, value in (("", []), ("_CaseSubCategories", {}))})
    builtins.xrange = range
    to_hex = binascii.b2a_hex
    binascii.b2a_hex = lambda text: to_hex(text.encode("latin-1") if isinstance(text, str) else text).decode()
    sys.path.insert(0, str(folder))
    import case
    import pickle
    case.pickle = pickle
    case.Case.compare = lambda self, a, b: a == b
    space = {"__name__": "cases", "__file__": str(folder / "__init__.py")}
    exec(compile((folder / "__init__.py").read_text(), "cases", "exec"), space)
    return space["Cases"]


class Protocol(Codes):
    """What a case sees of its connection."""

    def __init__(self, port):
        self.factory = types.SimpleNamespace(isServer=False)
        self.connectionWasOpen = self.closedByMe = self.wasClean = self.droppedByMe = False
        self.remoteCloseCode = self.remoteCloseReason = self.localCloseReason = None
        self.autoFragmentSize, self.txFrameStats, self.rxFrameStats = 0, Counter(), Counter()
        self.timers, self.input, self.message, self.opcode = [], bytearray(), bytearray(), 0
        self.state = self.STATE_CONNECTING
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += self.socket.recv(1)
        assert b" 101 " in answer
        self.state, self.connectionWasOpen = self.STATE_OPEN, True

    # ---- what cases do

    def put(self, data, chopsize=None):
        """Sends, and reads meanwhile, since the server sends back at the same time."""
        at, step = 0, chopsize or len(data)
        while at < len(data) and self.state != self.STATE_CLOSED:
            readable, writable, _ = select.select([self.socket], [self.socket], [], 30)
            if readable:
                self.take()
            if writable:
                try:
                    at += self.socket.send(data[at:at + step])
                except OSError:
                    self.lost()

    def sendFrame(self, opcode, payload="", fin=True, rsv=0, mask=None, payload_len=None, chopsize=None, sync=False):
        data = payload.encode("latin-1")
        if payload_len is not None and data:
            data = (data * (payload_len // len(data) + 1))[:payload_len]
        self.put(self.header(opcode, fin, rsv, len(data)) + data, chopsize)

    def header(self, opcode, fin, rsv, n):
        """With a mask of zeros, under which a payload is as it is."""
        self.txFrameStats[opcode] += 1
        length = bytes([0x80 | n]) if n < 126 else struct.pack(">BH", 0xFE, n) if n < 65536 else struct.pack(">BQ", 0xFF, n)
        return bytes([fin << 7 | rsv << 4 | opcode]) + length + b"\0\0\0\0"

    def sendMessage(self, payload, isBinary=False, fragmentSize=None, sync=False, doNotCompress=False):
        size = fragmentSize or self.autoFragmentSize or len(payload) or 1
        parts = [payload[i:i + size] for i in range(0, len(payload), size)] or [""]
        data = b"".join(self.header((2 if isBinary else 1) if i == 0 else 0, i == len(parts) - 1, 0, len(part))
                        + part.encode("latin-1") for i, part in enumerate(parts))
        self.put(data)

    def beginMessage(self, isBinary=False, opcode=1):
        self.first = True

    def beginMessageFrame(self, length):
        self.put(self.header(1 if self.first else 0, False, 0, length))
        self.first = False

    def sendMessageFrameData(self, payload, sync=False):
        self.put(payload.encode("latin-1"))

    def endMessage(self):
        self.sendFrame(0)

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        if self.state != self.STATE_OPEN:
            return
        self.state, self.closedByMe = self.STATE_CLOSING, not isReply
        payload = struct.pack(">H", code).decode("latin-1") if code is not None else ""
        reason = reasonUtf8.decode("latin-1") if isinstance(reasonUtf8, bytes) else reasonUtf8 or ""
        self.sendFrame(8, payload + reason)

    def sendClose(self, code=None, reason=None):
        self.sendCloseFrame(code, reason)

    def killAfter(self, seconds):
        self.timers.append((time.monotonic() + seconds, self.drop))

    def closeAfter(self, seconds):
        self.timers.append((time.monotonic() + seconds, self.sendClose))

    def continueLater(self, seconds, function, tag=None):
        self.timers.append((time.monotonic() + seconds, function))

    def enableWirelog(self, on):
        pass

    def drop(self):
        if self.state != self.STATE_CLOSED:
            self.droppedByMe = True
            self.lost()

    # ---- what comes

    def lost(self):
        self.state = self.STATE_CLOSED
        self.socket.close()

    def take(self):
        try:
            data = self.socket.recv(1 << 20)
        except OSError:
            data = b""
        if not data:
            self.lost()
        self.input += data
        while self.state != self.STATE_CLOSED and self.frame():
            pass

    def frame(self):
        if len(self.input) < 2:
            return False
        first, n, at = self.input[0], self.input[1], 2
        assert first & 0x70 == 0 and n < 128
        if n >= 126:
            at = 4 if n == 126 else 10
            if len(self.input) < at:
                return False
            n = int.from_bytes(self.input[2:at], "big")
        if len(self.input) < at + n:
            return False
        payload = bytes(self.input[at:at + n])
        del self.input[:at + n]
        self.rxFrameStats[first & 15] += 1
        self.got(first & 15, bool(first & 0x80), payload)
        return True

    def got(self, opcode, fin, payload):
        text = payload.decode("latin-1")
        if opcode == 8:
            self.remoteCloseCode = struct.unpack(">H", payload[:2])[0] if payload else None
            self.remoteCloseReason = text[2:]
            self.wasClean = True
            if self.state == self.STATE_OPEN:
                self.sendCloseFrame(self.remoteCloseCode, isReply=True)
            self.timers = [(time.monotonic() + 5, self.drop)]  # the server ends the connection
        elif opcode == 9:
            self.case.onPing(text)
            self.sendFrame(10, text)
        elif opcode == 10:
            self.case.onPong(text)
        else:
            self.opcode = opcode or self.opcode
            self.message += payload
            if fin:
                message, self.message = self.message.decode("latin-1"), bytearray()
                self.case.onMessage(message, self.opcode == 2)

    def run(self, case):
        self.case = case
        case.onOpen()
        end = time.monotonic() + 100
        while self.state != self.STATE_CLOSED:
            now = time.monotonic()
            due = [timer for timer in self.timers if timer[0] <= now]
            self.timers = [timer for timer in self.timers if timer[0] > now]
            for _, function in due:
                function()
            if now > end:
                self.drop()
            if self.state != self.STATE_CLOSED and not due:
                wait = min([timer[0] for timer in self.timers], default=end) - now
                if select.select([self.socket], [], [], max(0, min(wait, 1)))[0]:
                    self.take()
        case.onConnectionLost(False)


def build(folder, sanitized):
    program = Path(folder) / "websocket_echo"
    flags = ["-fsanitize=address,undefined", "-g"] if sanitized else []
    subprocess.run(["cc", "-O1", "-std=gnu11", *flags, f"-I{ROOT}", str(ROOT / "tests/server/websocket_echo.c"),
                    *[str(ROOT / f"host/server/{name}.c") for name in ("websocket", "base64", "sha1")], "-lwslay", "-o",
                    str(program)], check=True)
    return program


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose number begins so: 6.4")
    parser.add_argument("--sanitized", action="store_true")
    options = parser.parse_args()
    sys.setrecursionlimit(20000)  # an answer that comes while a case sends is handled there
    outcomes, closes, bad, began = Counter(), Counter(), 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="f5_autobahn_") as folder:
        cases = load_cases(Path(folder))
        server = subprocess.Popen([build(folder, options.sanitized)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True)
        port = int(server.stdout.readline())
        for kind in cases:
            name = kind.__name__[len("Case"):].replace("_", ".")
            if not name.startswith(options.only):
                continue
            protocol = Protocol(port)
            case = kind(protocol)
            protocol.run(case)
            outcomes[case.behavior] += 1
            closes[case.behaviorClose] += 1
            if case.behavior not in FAIR or case.behaviorClose not in FAIR:
                bad += 1
                print(f"{name}: {case.behavior}, {case.result}; close {case.behaviorClose}, {case.resultClose}")
            elif case.behavior != "OK":
                print(f"{name}: {case.behavior}")
        server.stdin.close()
        code = server.wait(30)
    print(f"{sum(outcomes.values())} cases in {time.monotonic() - began:.0f} s: "
          + ", ".join(f"{n} {what}" for what, n in outcomes.items()) + "; closes: "
          + ", ".join(f"{n} {what}" for what, n in closes.items()) + f"; the server ended with {code}")
    return int(bad > 0 or code != 0 or not outcomes)


if __name__ == "__main__":
    sys.exit(main())
