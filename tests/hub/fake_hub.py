"""fake_hub.py — a model hub on loopback that answers as the real one does, and as badly as it is told to.

    with FakeHub() as hub:
        hub.add("me/voice", "model.safetensors", data)          # large files lie on another port, as on the real one
        hub.add("me/voice", "vocab.txt", data, large=False)
        hub.faults["cdn GET"] = [cut(1000), status(503)]         # the next answers; then all is well again
        run(env=hub.environment(folder))
        hub.log                                                  # (server, method, path, headers) of every request

A fault is a function of the handler; it answers instead, or returns "as usual". Both servers stop with the block, and by
themselves after LIFE seconds.
"""
import hashlib
import json
import os
import re
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

LIFE = 300
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class File:
    def __init__(self, data, large):
        self.data, self.large = data, large
        self.hash = hashlib.sha256(data).hexdigest() if large else git_hash(data)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, code, headers=(), body=b"", length=None):
        self.send_response(code)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            try:
                self.wfile.write(body)
            except OSError:  # the client has gone
                self.close_connection = True

    def do(self):
        hub, name = self.server.hub, self.server.name
        self.path = re.sub(r"^http://[^/]+", "", self.path)  # as a proxy is asked
        with hub.lock:
            hub.log.append((name, self.command, self.path, dict(self.headers)))
            faults = hub.faults.get(f"{name} {self.command}") or []
            fault = faults.pop(0) if faults else None
        if fault is None or fault(self) == "as usual":
            (self.answer_hub if name == "hub" else self.answer_cdn)()

    do_GET = do_HEAD = do

    def answer_hub(self):
        hub = self.server.hub
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/\w+", self.path):
            return self.reply(200, {"Content-Type": "application/json"}, hub.description(match[1]))
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        if not match or match[1] not in {repository for repository, _ in hub.files}:
            return self.reply(401, {"X-Error-Code": "RepoNotFound"}, b"Invalid username or password.")
        if match[1] in hub.private and self.headers.get("Authorization") != f"Bearer {hub.token}":
            return self.reply(403, {"X-Error-Code": "GatedRepo"}, b"Access to this repository is restricted.")
        if match[2] not in ("main", COMMIT):
            return self.reply(404, {"X-Error-Code": "RevisionNotFound"}, b"no such revision")
        file = hub.files.get((match[1], unquote(match[3])))
        if not file:
            return self.reply(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, b"Entry not found")
        head = {"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if file.large:
            head |= {"X-Linked-Etag": f'"{file.hash}"', "X-Linked-Size": str(len(file.data)),
                     "Location": f"{hub.cdn_url}/{match[1]}/{match[3]}?Signature=secret-of-the-link"}
            head.update(hub.headers)
            return self.reply(302, {k: v for k, v in head.items() if v is not None}, b"Found. Redirecting")
        head["ETag"] = f'"{file.hash}"'
        head.update(hub.headers)
        self.serve(file.data, {k: v for k, v in head.items() if v is not None})

    def answer_cdn(self):
        path = unquote(self.path.split("?")[0]).lstrip("/")
        for (repository, name), file in self.server.hub.files.items():
            if path == f"{repository}/{name}":
                return self.serve(file.data, {})
        self.reply(404)

    def serve(self, data, headers):
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not span or not self.server.hub.ranges:
            return self.reply(200, headers, data)
        start = int(span[1])
        if start >= len(data):
            return self.reply(416, {**headers, "Content-Range": f"bytes */{len(data)}"})
        self.reply(206, {**headers, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}, data[start:])

    def body(self):
        """The bytes that were asked for, and the answer's first lines sent as if all of them followed."""
        path = unquote(self.path.split("?")[0]).lstrip("/")
        data = next(f.data for (r, n), f in self.server.hub.files.items() if path.endswith(n))
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(span[1]) if span else 0
        self.send_response(206 if span else 200)
        if span:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        return data[start:]


# ---- faults

def status(code, **headers):
    """headers: Retry_After="1"."""
    return lambda h: h.reply(code, {k.replace("_", "-"): v for k, v in headers.items()}, b"no")


def usual(handler):
    return "as usual"


def cut(after):
    """The connection is reset after so many bytes of the body."""
    def fault(h):
        h.wfile.write(h.body()[:after])
        h.wfile.flush()
        h.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(0.05)
        h.connection.close()
        h.close_connection = True
    return fault


def stall(after, seconds):
    """So many bytes, and then nothing."""
    def fault(h):
        h.wfile.write(h.body()[:after])
        h.wfile.flush()
        time.sleep(seconds)
        h.close_connection = True
    return fault


def later(event):
    """As usual, when the event has come."""
    def fault(h):
        event.wait(LIFE)
        return "as usual"
    return fault


def slow(pause, piece, most):
    """Piece by piece, as long as anybody listens; after so many bytes nothing comes."""
    def fault(h):
        data = h.body()[:most]
        try:
            for at in range(0, len(data), piece):
                h.wfile.write(data[at:at + piece])
                h.wfile.flush()
                time.sleep(pause)
            time.sleep(LIFE)
        except OSError:
            h.close_connection = True
    return fault


def page(body, kind="text/html", code=200, **headers):
    return lambda h: h.reply(code, {"Content-Type": kind, **{k.replace("_", "-"): v for k, v in headers.items()}}, body)


def elsewhere(url, code=302, **headers):
    return lambda h: h.reply(code, {"Location": url, **{k.replace("_", "-"): v for k, v in headers.items()}})


def raw(data):
    """These bytes instead of an answer."""
    def fault(h):
        try:
            h.wfile.write(data)
            h.wfile.flush()
        except OSError:
            pass
        h.close_connection = True
    return fault


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that has gone, or a connection that a fault has closed."""


class FakeHub:
    def __init__(self):
        self.files, self.faults, self.log, self.headers = {}, {}, [], {}
        self.private, self.token, self.ranges, self.lock = set(), "hf_right", True, threading.Lock()
        self.licences, self.answers = {}, {}

    def __enter__(self):
        self.servers = []
        for name in ("hub", "cdn"):
            server = Server(("127.0.0.1", 0), Handler)
            server.hub, server.name = self, name
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            self.servers.append(server)
        self.url, self.cdn_url = (f"http://127.0.0.1:{s.server_port}" for s in self.servers)
        self.end = threading.Timer(LIFE, self.stop)
        self.end.daemon = True
        self.end.start()
        return self

    def stop(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def __exit__(self, *_):
        self.end.cancel()
        self.stop()

    def add(self, repository, name, data, large=True):
        self.files[repository, name] = File(bytes(data), large)
        return self.files[repository, name]

    def description(self, repository):
        if repository in self.answers:
            return self.answers[repository]
        licence = self.licences.get(repository, "cc-by-nc-4.0")
        return json.dumps(dict(id=repository, sha=COMMIT, cardData=dict(license=licence), tags=[f"license:{licence}"],
                               siblings=[dict(rfilename=n) for r, n in self.files if r == repository])).encode()

    def environment(self, folder, **more):
        """A home of its own, and no word of this machine's hub, token or proxies."""
        kept = {k: v for k, v in os.environ.items()
                if not k.startswith(("HF_", "XDG_", "HUGGING")) and "proxy" not in k.lower()}
        return {**kept, "HOME": str(folder), "HF_ENDPOINT": self.url, **{k: str(v) for k, v in more.items()}}

    def asked(self, server, method="GET"):
        return [entry for entry in self.log if entry[:2] == (server, method)]
