#!/usr/bin/env python3
"""nginx.py — nginx from Debian, configured as the README says, in front of two servers: what clients get through it.

    tests/server/nginx.py [--model FILE.f5]

The configuration is the README's own text; only the addresses, the port and the certificate are this test's. Speech comes
at the pace at which it is heard (paced_engine.c): ten seconds, half a second at a time. Prints a line for each thing;
exits 1 if one is wrong. Without nginx, openssl or curl it says which is missing, and tries nothing.
"""
import argparse
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "server")]

import convert_lib  # noqa: E402
import running  # noqa: E402
import socket_client  # noqa: E402
from voice_server import VoiceServer, form, voice_form  # noqa: E402

NAME = "tts.example.org"  # the README's
SECONDS = 10  # of speech, whatever the text
SAY = dict(input="Say this.", response_format="pcm", stream=True)


def readme_configuration(ports, port, folder):
    text = (ROOT / "README.md").read_text()
    block, = re.findall(r"^```\n(map \$http_upgrade.*?)^```", text, re.S | re.M)
    changes = (("127.0.0.1:8080", f"127.0.0.1:{ports[0]}"), ("127.0.0.1:8081", f"127.0.0.1:{ports[1]}"), ("listen 443", f"listen 127.0.0.1:{port}"),
               ("/etc/ssl/tts.pem", f"{folder}/tts.pem"), ("/etc/ssl/tts.key", f"{folder}/tts.key"))
    for old, new in changes:
        assert block.count(old) == 1, old
        block = block.replace(old, new)
    temporary = "".join(f"    {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;\n" if os.geteuid() == 0 else ""
    return (f"{user}daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log info;\nevents {{ worker_connections 1024; }}\n"
            f"http {{\n    access_log off;\n{temporary}{block}}}\n")


class Proxy:
    """nginx on a free port; gone at the end."""

    def __init__(self, folder, ports):
        self.folder, self.ports = folder, ports

    def __enter__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-addext",
                        f"subjectAltName=DNS:{NAME}", "-keyout", f"{self.folder}/tts.key", "-out", f"{self.folder}/tts.pem"],
                       check=True, capture_output=True)
        conf = self.folder / "nginx.conf"
        conf.write_text(readme_configuration(self.ports, self.port, self.folder))
        test = subprocess.run([nginx(), "-t", "-c", conf, "-e", self.folder / "error.log"], capture_output=True, text=True)
        assert test.returncode == 0, test.stderr
        self.process = subprocess.Popen([*running.within(300), nginx(), "-c", conf, "-e", self.folder / "error.log"])
        socket_client.wait_for(lambda: (self.folder / "nginx.pid").exists() and (self.folder / "nginx.pid").read_text().strip())
        return self

    def __exit__(self, *_):
        self.process.terminate()  # timeout hands it on
        self.process.wait(20)

    def connect(self):
        context = ssl.create_default_context(cafile=f"{self.folder}/tts.pem")
        connection = context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), timeout=60), server_hostname=NAME)
        return connection

    def curl(self, path, *more, version="--http2"):
        """(status, body, version of HTTP)"""
        done = subprocess.run(["curl", "-sS", version, "--cacert", f"{self.folder}/tts.pem", "--connect-to", f"{NAME}:443:127.0.0.1:{self.port}",
                               "-w", "\n%{http_code} %{http_version}", f"https://{NAME}{path}", *more], capture_output=True, timeout=120)
        body, _, last = done.stdout.rpartition(b"\n")
        status, protocol = last.decode().split()
        return int(status), body, protocol

    def arrivals(self, fields):
        """When each part of an answer came, in seconds since the request; and its bytes."""
        with self.connect() as s:
            began, times, got = time.monotonic(), [], b""
            s.sendall(running.post_bytes(fields, more=b"Connection: close\r\n").replace(b"Host: x", b"Host: " + NAME.encode()))
            while part := s.recv(65536):
                times.append(time.monotonic() - began)
                got += part
        assert b" 200 " in got.split(b"\r\n")[0], got[:300]
        return times, got


def nginx():
    return shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


# ---- what is tried: each gives what it found, or fails

def plain(proxy, servers):
    answers = [proxy.curl("/health", version=v) for v in ("--http1.1", "--http2")]
    assert [a[:2] for a in answers] == [(200, b"OK"), (200, b"OK")] and [a[2] for a in answers] == ["1.1", "2"], answers
    assert proxy.curl("/")[0] == 200 and b"<!" in proxy.curl("/")[1][:100]
    assert proxy.curl("/metrics")[0] == 403 and proxy.curl("/v1/models")[0] == 200
    return "HTTP/1.1 and 2, the page; /metrics is denied"


def streaming(proxy, servers):
    for more, least in ((dict(), 15), (dict(stream_format="sse"), 15), (dict(response_format="mp3"), 10)):
        times, got = proxy.arrivals({**SAY, **more})
        waits = [b - a for a, b in zip(times, times[1:])]
        assert times[0] < 2 and times[-1] > SECONDS - 1.5 and len(times) >= least and max(waits) < 2, (more, times)
        if "stream_format" in more:
            assert got.count(b"event: speech.audio.delta") >= 20 and b"speech.audio.done" in got
    return f"pcm, sse and mp3 come as they are made: the last one's first bytes after {times[0]:.2f} s of {times[-1]:.1f}, longest wait {max(waits):.2f} s"


def sockets(proxy, servers):
    with socket_client.WebSocket(proxy.connect(), "/v1/audio/speech/stream", Host=NAME, Origin=f"https://{NAME}") as ws:
        assert ws.status == 101, ws.body
        ws.send({"type": "session.config", "response_format": "pcm", "stream_audio": True})
        ws.until("session.configured")
        ws.send({"type": "input.text", "text": "Only this. "})
        ws.send({"type": "input.done"})
        found = ws.until("session.done", "error")
        assert found[-1]["type"] == "session.done" and sum(len(m) for m in found if isinstance(m, bytes)) > 1000, found[-1]
    with socket_client.WebSocket(proxy.connect(), "/v1/realtime", Host=NAME) as ws:
        assert ws.status == 101 and ws.message()["type"] == "session.created"
    for path in ("/v1/audio/speech/stream", "/v1/realtime"):
        with socket_client.WebSocket(proxy.connect(), path, Host=NAME, Origin="https://evil.example") as ws:
            assert ws.status == 403
    return "both WebSockets; a page of another site is refused"


def uploads(proxy, servers):
    kind, body = form(voice_form("through"))
    folder = proxy.folder
    (folder / "form").write_bytes(body)
    status, answer, _ = proxy.curl("/v1/audio/voices", "-H", f"Content-Type: {kind}", "--data-binary", f"@{folder}/form")
    assert status == 200, answer
    socket_client.wait_for(lambda: all("through" in s.names() for s in servers))  # they share a folder, and watch it
    assert proxy.curl("/v1/audio/voices/through", "-X", "DELETE")[0] == 200
    (folder / "large").write_bytes(b"x" * (20 << 20))
    (folder / "huge").write_bytes(b"x" * (33 << 20))
    ours = proxy.curl("/v1/audio/speech", "-H", "Content-Type: application/json", "--data-binary", f"@{folder}/large")
    assert ours[0] == 400 and json.loads(ours[1])["error"], ours[1][:200]
    assert proxy.curl("/v1/audio/speech", "--data-binary", f"@{folder}/huge")[0] == 413
    return "a voice is kept, and both servers have it; 20 MB reach the server, 33 MB are 413"


def leaving(proxy, servers):
    def cancelled():
        return sum(s.metrics()['f5tts_speech_total{outcome="cancelled"}'] for s in servers)

    def running_now():
        return sum(s.metrics()["f5tts_requests_running"] for s in servers)

    before = cancelled()
    for _ in range(4):
        with proxy.connect() as s:
            s.sendall(running.post_bytes(SAY).replace(b"Host: x", b"Host: " + NAME.encode()))
            assert s.recv(100)
    began = time.monotonic()
    socket_client.wait_for(lambda: running_now() == 0, 15)
    assert cancelled() - before == 4
    return f"four clients left in the middle: nothing is spoken for them {time.monotonic() - began:.2f} s later"


def balance(proxy, servers):
    """Each server runs four and queues none: eight at once fit only if they are spread, and a 503 of one goes to the other."""
    def counts():
        return [sum(v for k, v in s.metrics().items() if k.startswith('f5tts_http_requests_total{route="/v1/audio/speech",method="POST",status="200"'))
                for s in servers]

    before = counts()
    with ThreadPoolExecutor(8) as pool:
        times = list(pool.map(lambda _: proxy.arrivals(SAY)[0], range(8)))
    shares = [b - a for a, b in zip(before, counts())]
    assert shares == [4, 4], shares
    assert max(t[0] for t in times) < 3
    return f"eight at once are spread {shares[0]:.0f} and {shares[1]:.0f}"


def lost_replica(proxy, servers):
    servers[0].kill()
    replies = [proxy.curl("/health")[0] for _ in range(20)]
    with ThreadPoolExecutor(4) as pool:
        spoken = list(pool.map(lambda _: len(proxy.arrivals(SAY)[1]), range(4)))
    assert replies == [200] * 20 and min(spoken) > SECONDS * 48000 - 1000, (replies, spoken)
    return "one of two is killed: 20 requests and 4 speeches, none fails"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="default: a tiny random one")
    options = parser.parse_args()
    missing = [name for name, there in (("nginx", nginx()), ("openssl", shutil.which("openssl")), ("curl", shutil.which("curl"))) if not there]
    if missing:
        print(f"nginx: not tried, since this machine lacks {', '.join(missing)}: apt-get install nginx-light openssl curl")
        return 0
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="f5_nginx_") as name:
        folder = Path(name)
        if not options.model:
            made = convert_lib.rc.make_checkpoint(folder, arch="tiny", seed=1)
            options.model = str(folder / "tiny.f5")
            result = convert_lib.convert(made, options.model)
            assert result.returncode == 0, result.stderr
        more = dict(model=options.model, env=running.paced(folder))
        (folder / "voices").mkdir()
        with VoiceServer(folder / "voices", "--running=4", "--waiting=0", **more) as one, \
                VoiceServer(folder / "voices", "--running=4", "--waiting=0", **more) as two, Proxy(folder, [one.port, two.port]) as proxy:
            for tried in (plain, streaming, sockets, uploads, leaving, balance, lost_replica):
                try:
                    print(f"{tried.__name__}: {tried(proxy, [one, two])}", flush=True)
                except (AssertionError, OSError, KeyError, ValueError) as failure:
                    wrong += 1
                    print(f"{tried.__name__}: WRONG: {type(failure).__name__}: {failure}", flush=True)
            if wrong:
                print((folder / "error.log").read_text()[-2000:])
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
