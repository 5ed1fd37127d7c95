"""running.py — `f5tts serve` as a child of a test: started on a free port, asked, stopped; never left running.

    with running.Server(model, "--waiting=4") as s:
        s.speak(input="Hello.").body
        s.raw(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")

Everything speaks plain sockets and http.client, so that what a server sends is seen as it is.
"""
import contextlib
import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import convert_lib

ROOT = Path(__file__).resolve().parents[2]
SAY = "Say these few words, please."
LONG = " ".join(f"This is sentence number {i} of a long text." for i in range(40))
PACED_SAMPLES = 12000  # that paced_engine.c speaks at a time
LIFE = 900  # seconds after which a forgotten server ends by itself (coreutils' timeout)
SECONDS = 60  # for anything that the server does, on a machine that others use too


def within(seconds):
    """Before a command: it ends then, and when the thread that started it does, however that ends."""
    with_parent = ["setpriv", "--pdeathsig=TERM"]
    return [*with_parent, "timeout", "-k", "5", str(seconds), *with_parent]


def paced(folder):
    """Environment of a server whose speech costs nothing, and comes at the pace at which it is heard: paced_engine.c."""
    return dict(LD_PRELOAD=preloaded(folder, "tests/server/paced_engine.c", "-lm"))


class Reply:
    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.type = response.headers.get("Content-Type")
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)


class Server:
    def __init__(self, model, *options, sanitized=False, env=None, log="none", descriptors=None, wait=60, life=LIFE):
        command = [*within(life), convert_lib.program(sanitized), "serve", "--port=0", f"--log_format={log}",
                   *([f"--model={model}"] if model else []), *map(str, options)]
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))) if descriptors else None
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                                        preexec_fn=limit, env={**os.environ, **convert_lib.SANITIZER, **(env or {})})
        self.lines, self.errors, self.port, self._ready = [], [], None, threading.Event()
        self._readers = [threading.Thread(target=self._read_errors, daemon=True),
                         threading.Thread(target=self._read_log, daemon=True)]
        for reader in self._readers:
            reader.start()
        assert self._ready.wait(wait) and self.port, f"no server: {self.errors}"

    def _read_errors(self):
        for line in self.process.stderr:
            found = re.search(r"ready at http://.*:(\d+)", line)
            if found:
                self.port = int(found.group(1))
            self.errors.append(line.rstrip("\n"))  # who waits for the line finds the port
            if found:
                self._ready.set()
        self._ready.set()

    def _read_log(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for_words(self, words):
        """In what it says on stderr."""
        assert settled(lambda: any(words in line for line in self.errors), True), self.errors

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    # ---- ends

    @property
    def pid(self):
        """Of the server itself: timeout is its parent."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def signal(self, number):
        os.kill(self.pid, number)

    def stop(self, within=SECONDS):
        """SIGTERM; gives (exit code, seconds)."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        code = self.process.wait(within)
        return code, time.monotonic() - began

    def kill(self):
        if self.process.poll() is None:
            try:
                self.signal(signal.SIGKILL)
            except (IndexError, ProcessLookupError, FileNotFoundError):
                self.process.kill()
            self.process.wait(20)
        for reader in self._readers:
            reader.join(10)

    def alive(self):
        return self.process.poll() is None

    # ---- asks

    def ask(self, method, path, body=None, headers=None, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            if isinstance(body, (dict, list)):
                body, headers = json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, body, headers or {})
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def speak(self, headers=None, timeout=60, path="/v1/audio/speech", **fields):
        return self.ask("POST", path, {"nfe_step": 1, **fields}, headers, timeout)

    def connect(self, timeout=SECONDS):
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def raw(self, data, wait=0.0, enough=bool):
        """Sends bytes, and gives all that comes until the server closes or, once `enough` of what came is true, `wait`
        seconds pass in silence."""
        got = b""
        with self.connect() as s:
            with contextlib.suppress(OSError):
                s.sendall(data)
            with contextlib.suppress(OSError):  # silence, or a reset
                while wait or not enough(got):
                    s.settimeout(wait if enough(got) else SECONDS)
                    part = s.recv(65536)
                    if not part:
                        break
                    got += part
        return got

    def metrics(self):
        """{"name{labels}": value} of /metrics."""
        text = self.get("/metrics").body.decode()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                if line and not line.startswith("#")}

    def memory(self):
        """Resident bytes."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * resource.getpagesize()

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_seconds(self, loop=False):
        """Of all threads, or of the one that runs the loop."""
        fields = Path(f"/proc/{self.pid}/task/{self.pid}/stat" if loop else f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def post_bytes(body, path="/v1/audio/speech", more=b""):
    """A POST as bytes, for a socket."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n"
            % (path.encode(), len(body), more)) + body


def events(body):
    """[(event, data)] of a reply of server-sent events."""
    found = []
    for block in body.decode().split("\n\n"):
        if block:
            lines = dict(line.split(": ", 1) for line in block.split("\n"))
            found.append((lines.get("event"), json.loads(lines["data"])))
    return found


def preloaded(folder, source, *flags):
    """A library of ours that a server can be given by LD_PRELOAD."""
    library = Path(folder) / f"{Path(source).stem}.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", f"-I{ROOT}", str(ROOT / source), "-o", str(library), *flags], check=True)
    return str(library)


def settled(read, wanted, within=SECONDS):
    """Waits until read() is wanted."""
    end = time.monotonic() + within
    while (value := read()) != wanted and time.monotonic() < end:
        time.sleep(0.05)
    return value


def not_over(metrics):
    return sum(metrics[f"f5tts_requests_{state}"] for state in ("running", "waiting", "held"))


def idle(server):
    """Requests that are not over; 0: it is idle."""
    return not_over(server.metrics())


@contextlib.contextmanager
def endless(server, nfe):
    """A request whose speech nobody reads, so that it never ends: with many steps it runs, with few it is soon held."""
    before = idle(server)
    with server.connect() as s:
        s.sendall(post_bytes(dict(input=LONG * 10, response_format="pcm", nfe_step=nfe)))
        assert settled(lambda: idle(server), before + 1) == before + 1
        yield
