"""Requests as today's clients send them, byte for byte where that matters; each gets sound, or the listing that it reads.

tests/reference/compare_clients.py runs the clients themselves.
"""
import base64
import json

import pytest

import running

SAY = "Say these few words, please."
STAINLESS = {"accept": "application/octet-stream", "authorization": "Bearer sk-any", "content-type": "application/json",
             "user-agent": "AsyncOpenAI/Python 3.57.0", "x-stainless-lang": "python", "x-stainless-package-version": "3.57.0",
             "x-stainless-os": "Linux", "x-stainless-arch": "x64", "x-stainless-runtime": "CPython", "x-stainless-retry-count": "0",
             "accept-encoding": "gzip, deflate", "connection": "keep-alive"}
FOLDER = running.ROOT / "weights" / "voices"
SOUND, WORDS = (FOLDER / "rms.wav").read_bytes(), (FOLDER / "rms.txt").read_text().strip()

# client: (headers, body, content type of the answer)
SPEECH = {
    "pipecat 1.14": (STAINLESS, dict(input=SAY, model="gpt-4o-mini-tts", voice="alloy", response_format="pcm"), "audio/pcm"),
    "pipecat 1.14, all": (STAINLESS, dict(input=SAY, model="tts-1-hd", voice="nova", response_format="pcm", instructions="Calm.",
                                          speed=1.1), "audio/pcm"),
    "LiveKit 1.8.9": (STAINLESS, dict(input=SAY, model="gpt-4o-mini-tts", voice="alloy", response_format="mp3", speed=1.0,
                                      stream_format="sse"), "text/event-stream; charset=utf-8"),
    "LiveKit 1.8.9, tts-1": (STAINLESS, dict(input=SAY, model="tts-1", voice="alloy", response_format="mp3", speed=1.0,
                                             stream_format="audio"), "audio/mpeg"),
    "LiteLLM 1.110": (STAINLESS, dict(input=SAY, model="tts-1", voice="alloy", response_format="opus", speed=1.0), "audio/opus"),
    "Open WebUI 0.12.4": ({"Content-Type": "application/json", "Authorization": "Bearer ", "X-OpenWebUI-User-Name": "%C3%84nne",
                           "X-OpenWebUI-User-Id": "1", "X-OpenWebUI-User-Role": "user"},
                          dict(model="tts-1", input=SAY, voice="alloy"), "audio/mpeg"),
    "SillyTavern": ({"Content-Type": "application/json", "Authorization": "Bearer undefined"},
                    dict(model="tts-1", input=SAY, voice="alloy", response_format="mp3", speed=1), "audio/mpeg"),
    "wyoming_openai": (STAINLESS, dict(input=SAY, model="tts-1", voice="slt", response_format="wav", speed=1.0), "audio/wav"),
    "vLLM-Omni's bench": ({"Content-Type": "application/json", "Authorization": "Bearer EMPTY"},
                          dict(model="f5-tts", input=SAY, stream=True, stream_format="audio", response_format="pcm", voice="slt",
                               language="English", seed=7, task_type="Base", max_new_tokens=2048), "audio/pcm"),
    "vLLM-Omni, cloning": ({"Content-Type": "application/json"},
                           dict(model="f5-tts", input=SAY, response_format="wav", ref_text=WORDS, task_type="Base",
                                ref_audio="data:audio/wav;base64," + base64.b64encode(SOUND).decode()), "audio/wav"),
    "SGLang-Omni": ({"Content-Type": "application/json"},
                    dict(model="f5-tts", input=SAY, speaker="slt", stream=True, response_format="pcm", top_p=0.8, temperature=1.0),
                    "audio/pcm"),
    "SGLang-Omni, cloning": ({"Content-Type": "application/json"},
                             dict(model="f5-tts", input=SAY, response_format="wav", temperature=0.7,
                                  references=[dict(audio_path=base64.b64encode(SOUND).decode(), text=WORDS)]), "audio/wav"),
}


@pytest.mark.parametrize("client", SPEECH)
def test_speech(server, client):
    headers, body, kind = SPEECH[client]
    reply = server.ask("POST", "/v1/audio/speech", json.dumps({**body, "nfe_step": 1}).encode(), headers)
    assert reply.status == 200 and reply.type == kind, reply.body[:300]
    assert len(reply.body) > 1000
    if "event-stream" in kind:
        deltas = [data for event, data in running.events(reply.body) if event == "speech.audio.delta"]
        assert b"".join(base64.b64decode(d["audio"]) for d in deltas)[:1] in (b"I", b"\xff")


# client: (path, what it reads in the answer)
LISTINGS = {
    "openai models.list": ("/v1/models", lambda d: [m["id"] for m in d["data"]]),
    "LiveKit's prewarm": ("/v1/", lambda d: d["object"]),
    "Open WebUI's models": ("/v1/audio/models", lambda d: [m["id"] for m in d["models"]]),
    "Open WebUI's voices": ("/v1/audio/voices", lambda d: [(v["id"], v["name"]) for v in d["voices"]]),
    "vLLM-Omni's voices": ("/v1/audio/voices?legacy=true", lambda d: [v + "" for v in d["voices"]]),
    "wyoming_openai's voices": ("/v1/models/tts-1", lambda d: [(v["name"], v["language"]) for v in d["voices"]]),
}


@pytest.mark.parametrize("client", LISTINGS)
def test_listings_need_no_key(keyed, client):
    path, read = LISTINGS[client]
    reply = keyed.get(path)
    assert reply.status == 200 and read(reply.json)


@pytest.fixture(scope="module")
def keyed(model, tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text("sk-one\n")
    with running.Server(model, "--threads=1", f"--api_keys={file}") as s:
        yield s


def test_probes_of_wyoming_openai(server):
    """What it takes for the marks of other servers is not here; what it takes for Speaches's is."""
    assert server.get("/v1/readyz").status == 404 and server.get("/v1/test").status == 404
    assert server.get("/health").body == b"OK"
