"""voice_server.py — a running `f5tts serve` with a folder of voices, and requests to it, for tests of voices and page.

    with VoiceServer(folder) as server:
        status, answer = server.json("GET", "/v1/audio/voices")
"""
import http.client
import json
import os
import re
import signal
import subprocess
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("F5_BUILD", ROOT / "build"))
VOICES = ROOT / "weights" / "voices"
SLT = (VOICES / "slt.wav").read_bytes()
SLT_WORDS = (VOICES / "slt.txt").read_text().strip()


def form(fields, boundary=None):
    """(content type, body) of a form; a value is text, bytes, or (file name, bytes, media type)."""
    boundary = boundary or uuid.uuid4().hex
    body = b""
    for name, value in fields if isinstance(fields, list) else fields.items():
        file, value, media = value if isinstance(value, tuple) else (None, value, None)
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        body += f'; filename="{file}"\r\nContent-Type: {media}'.encode() if file else b""
        body += b"\r\n\r\n" + (value.encode() if isinstance(value, str) else value) + b"\r\n"
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()


def voice_form(name, words=SLT_WORDS, sample=SLT, **more):
    return {"name": name, "ref_text": words, "audio_sample": ("a.wav", sample, "audio/wav"), **more}


class VoiceServer:
    def __init__(self, folder, *options, build=BUILD, keeps=True):
        self.folder, self.program = Path(folder), Path(build) / "bin" / "f5tts"
        self.options = [*options, *(["--voice_dir", folder] if keeps else [])]

    def __enter__(self):
        self.log_path = Path(str(self.folder) + ".log")
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(
                [self.program, "serve", "--port", "0", "--log_format", "none", *self.options], stderr=log, stdout=log)
        end = time.monotonic() + 60
        while not (ready := re.search(r"http://127\.0\.0\.1:(\d+)", self.log)):
            assert self.process.poll() is None and time.monotonic() < end, self.log
            time.sleep(0.02)
        self.port = int(ready.group(1))
        return self

    @property
    def log(self):
        return self.log_path.read_text()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.exit = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            reply = connection.getresponse()
            return reply, reply.read()
        finally:
            connection.close()

    def json(self, method, path, body=None, headers=None):
        if isinstance(body, (dict, list)):
            kind, body = form(body)
            headers = {"Content-Type": kind, **(headers or {})}
        reply, answer = self.request(method, path, body, headers)
        return reply.status, json.loads(answer)

    def names(self):
        status, answer = self.json("GET", "/v1/audio/voices?legacy=true")
        assert status == 200
        return answer["voices"]
