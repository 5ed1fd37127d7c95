"""voice_server.py — a running `f5tts serve` with a folder of voices, and requests to it, for tests of voices and page.

    with VoiceServer(folder) as server:
        status, answer = server.json("GET", "/v1/audio/voices")
"""
import sys
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import running  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
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


class VoiceServer(running.Server):
    """keeps=False: without a folder for voices."""

    def __init__(self, folder, *options, model=None, keeps=True, **more):
        self.folder = Path(folder)
        super().__init__(model, *options, *(["--voice_dir", folder] if keeps else []), **more)

    @property
    def log(self):
        return "\n".join(self.errors)

    def json(self, method, path, body=None, headers=None):
        """(status, answer); a body of fields goes as a form."""
        if isinstance(body, (dict, list)):
            kind, body = form(body)
            headers = {"Content-Type": kind, **(headers or {})}
        reply = self.ask(method, path, body, headers)
        return reply.status, reply.json

    def names(self):
        status, answer = self.json("GET", "/v1/audio/voices?legacy=true")
        assert status == 200
        return answer["voices"]
