"""socket_client.py — a server of the tests' own, and clients of its sockets that can also do what no client should.

    with Server(model, "--wyoming_port=0") as server:
        with server.websocket("/v1/audio/speech/stream") as ws:
            ws.send({"type": "session.config", "response_format": "pcm"})
            event = ws.event()

A WebSocket here sends any bytes as a frame; wyoming() sends any bytes as an event. Everything is bounded in time.
"""
import base64
import hashlib
import json
import os
import socket
import struct
import time

import running
from running import SECONDS

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Server(running.Server):
    """A server with sockets; it must end well."""

    def __init__(self, model, *options, **more):
        super().__init__(model, "--nfe_step=1", "--threads=1", *options, **more)
        self.wyoming_port = None
        if any("--wyoming_port" in str(option) for option in options):
            wait_for(lambda: any("Wyoming at" in line for line in self.errors))
            self.wyoming_port = next(int(line.rsplit(":", 1)[1]) for line in self.errors if "Wyoming at" in line)

    def __exit__(self, *failure):
        if not failure[0]:
            code, _ = self.stop(SECONDS)
            assert code == 0, (code, self.errors)
        self.kill()

    def connect(self, port=None, room=None):
        """room: bytes that the system keeps for a reader that does not read."""
        connection = socket.socket()
        if room:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        connection.settimeout(SECONDS)
        connection.connect(("127.0.0.1", port or self.port))
        return connection

    def websocket(self, path, room=None, **headers):
        return WebSocket(self.connect(room=room), path, **headers)

    def wyoming(self):
        return Wyoming(self.connect(self.wyoming_port))


def frame(first, payload=b"", mask=b"\x37\xfa\x21\x3d"):
    """A frame of a client; mask None: not masked, as no client may send it."""
    bit, n = (0x80 if mask else 0), len(payload)
    length = bytes([bit | n]) if n < 126 else struct.pack(">BH", bit | 126, n) if n < 65536 else struct.pack(
        ">BQ", bit | 127, n)
    if mask:
        payload = (int.from_bytes(payload, "big") ^ int.from_bytes((mask * (n // 4 + 1))[:n], "big")).to_bytes(n, "big")
    return bytes([first]) + length + (mask or b"") + payload


class Stream:
    """What sockets of both kinds have."""

    def __init__(self, connection):
        self.connection, self.file = connection, connection.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.file.close()
        self.connection.close()

    def reset(self):
        """Leaves without a goodbye."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.__exit__()

    def raw(self, data):
        self.connection.sendall(data)

    def read(self, n):
        data = self.file.read(n)
        if len(data) < n:
            raise EOFError
        return data


class WebSocket(Stream):
    def __init__(self, connection, path, **headers):
        super().__init__(connection)
        key = base64.b64encode(os.urandom(16))
        lines = {"Host": "127.0.0.1", "Upgrade": "websocket", "Connection": "Upgrade",
                 "Sec-WebSocket-Key": key.decode(), "Sec-WebSocket-Version": "13"}
        lines.update({name.replace("_", "-"): value for name, value in headers.items()})
        request = f"GET {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items() if v is not None)
        self.raw(request.encode() + b"\r\n")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        for line in iter(self.file.readline, b"\r\n"):
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()
        self.accepted = self.headers.get("sec-websocket-accept") == base64.b64encode(
            hashlib.sha1(key + GUID).digest()).decode()
        self.body = self.read(int(self.headers.get("content-length", 0))) if self.status != 101 else b""

    def send(self, event):
        self.raw(frame(0x81, event if isinstance(event, bytes) else json.dumps(event).encode()))

    def frame(self):
        """(opcode, payload) of the server's next frame."""
        first, n = self.read(2)
        assert first & 0x70 == 0 and first & 0x80 and n < 128, (first, n)
        if n == 126:
            n, = struct.unpack(">H", self.read(2))
        elif n == 127:
            n, = struct.unpack(">Q", self.read(8))
        return first & 15, self.read(n)

    def message(self):
        """The next message: a dict, bytes, or ("close", code)."""
        while True:
            opcode, payload = self.frame()
            if opcode == 9:
                self.raw(frame(0x8A, payload))
            elif opcode == 8:
                return "close", int.from_bytes(payload[:2], "big")
            elif opcode != 10:
                return json.loads(payload) if opcode == 1 else payload

    def until(self, *types):
        """Messages up to the first event of these types, or a close."""
        found = []
        while True:
            found.append(self.message())
            if isinstance(found[-1], tuple) or isinstance(found[-1], dict) and found[-1]["type"] in types:
                return found

    def ended(self):
        """Did the server end the connection?"""
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True


class Wyoming(Stream):
    def send(self, kind, data=None, payload=b""):
        body = json.dumps(data).encode() if data is not None else b""
        line = {"type": kind, "version": "1.10.2"}
        line.update({"data_length": len(body)} if body else {})
        line.update({"payload_length": len(payload)} if payload else {})
        self.raw(json.dumps(line).encode() + b"\n" + body + payload)

    def event(self):
        """(type, data, payload)"""
        line = self.file.readline()
        if not line:
            raise EOFError
        line = json.loads(line)
        data = json.loads(self.read(line["data_length"])) if line.get("data_length") else {}
        return line["type"], data, self.read(line.get("payload_length") or 0)

    def until(self, *types):
        found = []
        while not found or found[-1][0] not in types:
            found.append(self.event())
        return found


def wait_for(true, seconds=SECONDS):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.02)
