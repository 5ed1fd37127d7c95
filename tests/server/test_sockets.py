"""test_sockets.py — the server's sockets over real connections, with a tiny model: speech in every format, what clients
of vLLM-Omni, SGLang-Omni, Open WebUI and Home Assistant send, cancels, keys, origins, limits and ends."""
import base64
import io
import json
import signal
import time
import wave

import pytest
from socket_client import SECONDS, Server, frame, wait_for

SPEECH, REALTIME = "/v1/audio/speech/stream", "/v1/realtime?model=gpt-realtime"
PCM = {"type": "session.config", "response_format": "pcm", "stream_audio": True, "seed": 7}


@pytest.fixture(scope="module")
def server(model):
    with Server(model, "--wyoming_port=0", "--voice_alias=alloy=slt") as running:
        running.began, running.silent = time.monotonic(), running.websocket(SPEECH)
        yield running


def configured(server, config=PCM, **options):
    ws = server.websocket(SPEECH, **options)
    ws.send(config)
    assert ws.message()["type"] == "session.configured"
    return ws


def say(ws, *texts, end="input.done"):
    for text in texts:
        ws.send({"type": "input.text", "text": text})
    ws.send({"type": end})


def events(messages):
    return [m["type"] for m in messages if isinstance(m, dict)]


def sound(messages):
    return b"".join(m for m in messages if isinstance(m, bytes))


# ---- the handshake

def test_handshake(server):
    with server.websocket(SPEECH) as ws:
        assert ws.status == 101 and ws.accepted and ws.headers["upgrade"].lower() == "websocket"
        assert "sec-websocket-extensions" not in ws.headers and "sec-websocket-protocol" not in ws.headers
    with server.websocket(SPEECH, Connection="keep-alive, upgrade", Upgrade="WebSocket",
                          Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits") as ws:
        assert ws.status == 101 and "sec-websocket-extensions" not in ws.headers
    with server.websocket(REALTIME, Sec_WebSocket_Protocol="realtime, openai-beta.realtime-v1") as ws:
        assert ws.status == 101 and ws.headers["sec-websocket-protocol"] == "realtime"


@pytest.mark.parametrize("headers, status", [
    (dict(Sec_WebSocket_Version="8"), 426), (dict(Sec_WebSocket_Version=None), 426), (dict(Sec_WebSocket_Key=None), 400),
    (dict(Sec_WebSocket_Key="short"), 400), (dict(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ=!"), 400),
    (dict(Upgrade=None), 426), (dict(Upgrade="h2c"), 426), (dict(Connection="close"), 426),
    (dict(Origin="http://evil.example"), 403), (dict(Origin="null"), 403), (dict(Origin="http://127.0.0.1"), 101)])
def test_refused_handshakes(server, headers, status):
    for path in SPEECH, REALTIME:
        with server.websocket(path, **headers) as ws:
            assert ws.status == status, ws.body
            if status != 101:
                assert json.loads(ws.body)["error"]["message"]


def test_keys_and_cors(model, tmp_path):
    (tmp_path / "keys").write_text("secret-key-1\n")
    with Server(model, "--api_keys", tmp_path / "keys", "--cors_origin", "http://app.example") as server:
        for path in SPEECH, REALTIME:
            with server.websocket(path) as ws:
                assert ws.status == 401
            with server.websocket(path, Authorization="Bearer secret-key-2") as ws:
                assert ws.status == 401
            for key, status in (("1", 101), ("2", 401)):
                with server.websocket(path, Sec_WebSocket_Protocol="realtime, openai-insecure-api-key.secret-key-" + key
                                      ) as ws:
                    assert ws.status == status
            with server.websocket(path, Authorization="Bearer secret-key-1", Origin="http://app.example") as ws:
                assert ws.status == 101


# ---- speech over WebSocket

def test_sentences_stream(server):
    with configured(server) as ws:
        say(ws, "The children are ", "playing. It is late")
        messages = ws.until("session.done")
        assert events(messages) == ["audio.start", "audio.done", "audio.start", "audio.done", "session.done"]
        starts = [m for m in messages if isinstance(m, dict) and m["type"] == "audio.start"]
        assert [m["sentence_text"] for m in starts] == ["The children are playing.", "It is late"]
        assert [(m["sentence_index"], m["utterance_index"], m["format"], m["sample_rate"]) for m in starts] == [
            (0, 0, "pcm", 24000), (1, 0, "pcm", 24000)]
        totals = [m["total_bytes"] for m in messages if isinstance(m, dict) and m["type"] == "audio.done"]
        assert sum(totals) == len(sound(messages)) and all(n > 0 and n % 2 == 0 for n in totals)
        assert messages[-1]["total_sentences"] == 2
        assert max(len(m) for m in messages if isinstance(m, bytes)) <= 128 * 1024
        assert len({m["session_id"] for m in messages if isinstance(m, dict)}) == 1
        say(ws, "Again.")
        assert ws.until("session.done")[0]["utterance_index"] == 1


def test_first_sound_before_the_text_ends(server):
    with configured(server) as ws:
        ws.send({"type": "input.text", "text": "The first sentence is whole. The second"})
        assert events(ws.until("audio.done")) == ["audio.start", "audio.done"]


@pytest.mark.parametrize("grain, least", [("sentence", 2), ("clause", 3), ("none", 1)])
def test_granularity(server, grain, least):
    text = ("When the rain had stopped, which took all afternoon, and the sun came out again, we walked to the river, over "
            "the old bridge, past the mill. Then it rained again.")
    with configured(server, {**PCM, "voice": "slt", "split_granularity": grain}) as ws:  # whose pace makes three of it
        say(ws, *(word + " " for word in text.split(" ")))
        messages = ws.until("session.done")
        said = [m["sentence_text"].strip() for m in messages if isinstance(m, dict) and m["type"] == "audio.start"]
        assert " ".join(said) == text
        assert len(said) == messages[-1]["total_sentences"] >= least and (grain == "clause" or len(said) == least)


def test_same_sound_however_the_text_is_cut(server):
    text, results = "Näïve words — “quoted”. One more sentence.", set()
    for cut in (1, 3, len(text)):
        with configured(server) as ws:
            say(ws, *(text[i:i + cut] for i in range(0, len(text), cut)))
            results.add(sound(ws.until("session.done")))
    assert len(results) == 1


@pytest.mark.parametrize("format, begins", [("wav", b"RIFF"), ("flac", b"fLaC"), ("mp3", (b"ID3", b"\xff")),
                                            ("opus", b"OggS"), ("aac", b"\xff"), ("pcm", b"")])
@pytest.mark.parametrize("grain", ["sentence", "none"])
def test_formats(server, format, begins, grain):
    with configured(server, {"type": "session.config", "response_format": format, "split_granularity": grain}) as ws:
        say(ws, "One sentence here. And another one.")
        messages = ws.until("session.done")
        files = [m for m in messages if isinstance(m, bytes)]
        assert len(files) == messages[-1]["total_sentences"] == (2 if grain == "sentence" else 1)
        for file in files:
            assert file.startswith(begins)
            if format == "wav":
                with wave.open(io.BytesIO(file)) as read:
                    assert read.getframerate() == 24000 and read.getnframes() * 2 == len(file) - 44


def test_vllm_omni_client(server):
    """Settings as its benchmark sends them; text in many parts, then a second utterance, then session.close."""
    with configured(server, {"type": "session.config", "voice": "slt", "task_type": "Base", "language": "English",
                             "response_format": "wav", "speed": 1.0, "split_granularity": "none",
                             "max_new_tokens": 2048}) as ws:
        for n in range(2):
            say(ws, "Hello ", "there.")
            messages = ws.until("session.done")
            assert events(messages) == ["audio.start", "audio.done", "session.done"]
            assert messages[0]["utterance_index"] == n and messages[-2]["error"] is False
            assert messages[-1]["total_sentences"] == 1
        ws.send({"type": "session.close"})
        assert ws.message() == ("close", 1000)


def test_sglang_omni_client(server):
    """Settings under "session", segments by input.commit."""
    with server.websocket(SPEECH) as ws:
        ws.send({"type": "session.config", "session": {"voice": "slt", "response_format": "pcm", "stream_audio": True,
                                                        "split_granularity": "sentence"}})
        ready = ws.message()
        assert (ready["type"], ready["response_format"], ready["stream_audio"], ready["split_granularity"]) == (
            "session.configured", "pcm", True, "sentence") and ready["session_id"]
        say(ws, "First segment.", end="input.commit")
        committed = ws.until("input.committed")[-1]
        assert (committed["segment_index"], committed["segment_sentences"], committed["total_sentences"]) == (0, 1, 1)
        say(ws, "Second one. And third.", end="input.commit")
        committed = ws.until("input.committed")[-1]
        assert (committed["segment_index"], committed["segment_sentences"], committed["total_sentences"]) == (1, 2, 3)
        ws.send({"type": "input.done"})
        assert ws.message()["total_sentences"] == 3


def test_recording_of_the_client(server, model):
    """A voice by ref_audio: its messages wait while it is decoded."""
    import convert_lib
    recording = (convert_lib.ROOT / "weights/voices/slt.wav").read_bytes()
    words = (convert_lib.ROOT / "weights/voices/slt.txt").read_text().strip()
    for audio in base64.b64encode(recording).decode(), "data:audio/wav;base64," + base64.b64encode(recording).decode():
        with server.websocket(SPEECH) as ws:
            ws.send({**PCM, "ref_audio": audio, "ref_text": words})
            say(ws, "In that voice.")
            assert len(sound(ws.until("session.done"))) > 1000
    for bad in ({"ref_audio": "!!!", "ref_text": words}, {"ref_audio": base64.b64encode(b"no sound").decode(),
                                                          "ref_text": words}, {"ref_audio": "AAAA"}):
        with server.websocket(SPEECH) as ws:
            ws.send({**PCM, **bad})
            assert events(ws.until("error")) == ["error"] and ws.message() == ("close", 1008)


def test_cancel(server):
    with configured(server) as ws:
        say(ws, "A sentence to be forgotten. " * 2000)
        ws.until("audio.start")
        ws.send({"type": "input.cancel"})
        messages = ws.until("input.cancelled")
        assert events(messages).count("audio.done") < 2000
        assert all(isinstance(m, bytes) or m["type"] in ("audio.start", "audio.done", "input.cancelled")
                   for m in messages)
        say(ws, "Now this.")
        messages = ws.until("session.done")
        assert events(messages) == ["audio.start", "audio.done", "session.done"]
        assert messages[0]["sentence_text"] == "Now this." and messages[0]["utterance_index"] == 1


@pytest.mark.parametrize("config, about", [
    ({"voice": "nobody"}, "nobody"), ({"response_format": "midi"}, "midi"), ({"speed": 9}, "speed"),
    ({"speed": "fast"}, "speed"), ({"stream_audio": 1}, "stream_audio"), ({"split_granularity": "word"}, "word"),
    ({"nfe_step": 0}, "nfe_step"), ({"ssml": True}, "ssml"), ({"fix_duration": 3}, "fix_duration"),
    ({"ref_text": "words"}, "ref_audio"), ({"ref_audio": "http://x/y.wav", "ref_text": "words"}, "ref_audio"),
    ({"model": "another"}, "another"), ({"session": []}, "session")])
def test_refused_settings(server, config, about):
    with server.websocket(SPEECH) as ws:
        ws.send({"type": "session.config", **config})
        error = ws.message()
        assert error["type"] == "error" and about in error["message"] == error["error"]["message"]
        assert ws.message() == ("close", 1008)
    with configured(server) as ws:  # a second one: the first stays
        ws.send({"type": "session.config", **config})
        assert ws.message()["type"] == "error"
        say(ws, "Still here.")
        assert ws.until("session.done")[-1]["type"] == "session.done"


def test_metrics_count_speech_of_sockets(model):
    def ended(server, how):
        return server.metrics()[f'f5tts_speech_total{{outcome="{how}"}}']

    with Server(model, "--wyoming_port=0") as server:
        with configured(server) as ws, server.websocket(REALTIME) as realtime, server.wyoming() as w:
            say(ws, "Counted.")
            made = len(sound(ws.until("session.done")))
            made += len(open_webui(realtime, "Counted too.", voice="slt")[0])
            w.send("synthesize", {"text": "And this."})
            made += sum(len(payload) for _, _, payload in w.until("audio-stop"))
            say(ws, "Forgotten. " * 2000)
            ws.send({"type": "cancel"})
            ws.until("input.cancelled")
            w.send("synthesize", {"text": "Forgotten. " * 2000})
        wait_for(lambda: ended(server, "cancelled") == 2)
        assert ended(server, "ok") == 3 and ended(server, "failed") == 0
        assert server.metrics()["f5tts_audio_bytes_total"] == made


# ---- Realtime

def open_webui(ws, text, voice="alloy"):
    assert ws.message()["type"] == "session.created"
    ws.send({"type": "session.update", "session": {
        "type": "realtime", "output_modalities": ["audio"], "tools": [], "tool_choice": "none", "instructions": "Read.",
        "audio": {"input": {"turn_detection": None, "transcription": None},
                  "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": voice}}}})
    updated = ws.message()
    if updated["type"] != "session.updated":
        return None, updated
    ws.send({"type": "response.create", "response": {
        "conversation": "none", "output_modalities": ["audio"], "tools": [], "tool_choice": "none",
        "instructions": "Read.",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}]}})
    messages = ws.until("response.done", "error")
    return b"".join(base64.b64decode(m["delta"], validate=True) for m in messages
                    if m["type"] == "response.output_audio.delta"), messages[-1]


def test_realtime(server):
    with server.websocket(REALTIME, Authorization="Bearer any") as ws:
        pcm, done = open_webui(ws, "What I never said.")
        assert done["response"]["status"] == "completed" and len(pcm) > 1000 and len(pcm) % 2 == 0
        ws.send({"type": "response.create"})
        assert ws.message()["error"]["code"] == "invalid_value"
        ws.send({"type": "response.create", "response": {"input": [{"role": "user", "content": [
            {"type": "input_text", "text": "A long one. " * 600}]}]}})
        ws.until("response.output_audio.delta")
        ws.send({"type": "response.cancel"})
        messages = ws.until("response.done")
        assert messages[-1]["response"]["status"] == "cancelled"
        ws.raw(frame(0x89, b"still there?"))
        assert ws.frame() == (10, b"still there?")  # and nothing of what was cancelled
    with server.websocket(REALTIME) as ws:
        pcm, error = open_webui(ws, "Hello.", voice="nobody")
        assert pcm is None and error["type"] == "error" and "nobody" in error["error"]["message"]


# ---- Wyoming

def test_wyoming(server):
    with server.wyoming() as w:
        w.send("describe")
        kind, info, _ = w.event()
        tts, = info["tts"]
        assert kind == "info" and tts["installed"] and tts["supports_synthesize_streaming"]
        assert {"slt", "rms", "awb"} <= {v["name"] for v in tts["voices"]} and all(v["languages"] for v in tts["voices"])
        w.send("ping", {"text": "hi"})
        assert w.event()[:2] == ("pong", {"text": "hi"})
        w.send("synthesize", {"text": "Hello there.", "voice": {"name": "rms"}})
        w.send("ping")
        found = w.until("pong")
        assert [kind for kind, _, _ in found] == ["audio-start"] + ["audio-chunk"] * (len(found) - 3) + ["audio-stop", "pong"]
        assert found[0][1] == {"rate": 24000, "width": 2, "channels": 1, "timestamp": 0}
        pcm = b"".join(payload for _, _, payload in found)
        assert len(pcm) > 1000 and found[-2][1]["timestamp"] == len(pcm) // 2 * 1000 // 24000
        w.send("synthesize", {"text": "<speak>One <break time='200ms'/> two.</speak>", "text_format": "ssml"})
        assert sum(len(payload) for _, _, payload in w.until("audio-stop")) > 1000
        w.send("synthesize", {"text": " "})
        assert [kind for kind, _, _ in w.until("audio-stop")] == ["audio-start", "audio-stop"]


def test_home_assistant_streams(server):
    with server.wyoming() as w:
        w.send("synthesize-start", {"voice": {"name": "slt"}})
        w.send("synthesize-chunk", {"text": "The first sentence is whole. The"})
        assert w.until("audio-chunk")[0][0] == "audio-start"  # before the text ends
        w.send("synthesize-chunk", {"text": " second one too."})
        w.send("synthesize", {"text": "The first sentence is whole. The second one too."})
        w.send("synthesize-stop")
        kinds = [kind for kind, _, _ in w.until("synthesize-stopped")]
        assert kinds[-2:] == ["audio-stop", "synthesize-stopped"] and set(kinds[:-2]) == {"audio-chunk"}


@pytest.mark.parametrize("data, about", [
    (b"nonsense\n", "JSON"), (b'{"type":"synthesize","data":{"text":"x","voice":{"name":"nobody"}}}\n', "nobody"),
    (b'{"type":"synthesize"}\n', "text"), (b'{"type":"ping","data_length":99999999}\n', "data_length"),
    (b"x" * (256 * 1024 + 1), "line")])
def test_wyoming_refusals(server, data, about):
    with server.wyoming() as w:
        w.raw(data)
        kind, error, _ = w.event()
        assert kind == "error" and about in error["text"] and error["code"]
        with pytest.raises((EOFError, ConnectionResetError)):  # a client that waits for sound must not wait on
            w.event()


def test_wyoming_client_that_asks_and_does_not_read(server):
    before = server.memory()
    with server.wyoming() as w:
        w.connection.settimeout(2)
        with pytest.raises(TimeoutError):  # the server reads no more
            while True:
                w.connection.sendall(b'{"type":"describe"}\n' * 4096)
        assert server.memory() - before < 64 << 20 and server.get("/health").status == 200


# ---- limits and ends

def test_broken_frames(server):
    for data, code in ((frame(0x81, b"{}", mask=None), 1002), (frame(0xC1, b"{}"), 1002), (frame(0x83, b""), 1002),
                       (frame(0x81, b"\xff"), 1007), (frame(0x80, b"x"), 1002), (frame(0x09, b"ping"), 1002),
                       (b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"mask" + b"x", 1009),
                       (frame(0x88, b"\x03\xe8bye"), 1000), (frame(0x88), 0)):
        for path in SPEECH, REALTIME:
            with server.websocket(path) as ws:
                ws.raw(data)
                closed = ws.until()[-1]
                assert closed == ("close", code), (data[:20], closed)
                assert ws.ended()


def test_messages_in_fragments_and_bytes(server):
    config, done = json.dumps(PCM).encode(), json.dumps({"type": "input.done"}).encode()
    data = b"".join(frame(0x01 if i == 0 else 0x00, config[i:i + 1]) + frame(0x89, b"%d" % i) for i in range(len(config)))
    data += frame(0x80) + frame(0x81, json.dumps({"type": "input.text", "text": "Hello."}).encode()) + frame(0x81, done)
    with server.websocket(SPEECH) as ws:
        for i in range(len(data)):
            ws.raw(data[i:i + 1])
        assert events(ws.until("session.done")) == ["session.configured", "audio.start", "audio.done", "session.done"]


def test_binary_is_refused(server):
    with configured(server) as ws:
        ws.raw(frame(0x82, b"sound"))
        assert ws.message()["type"] == "error" and ws.message() == ("close", 1003)


def test_limits_of_text(server):
    with configured(server) as ws:
        ws.send({"type": "input.text", "text": "a" * 128 * 1024})
        assert "too long" in ws.message()["message"]
        say(ws, "Fine.")
        ws.until("session.done")
        for _ in range(40):
            ws.send({"type": "input.text", "text": " blah" * 2500})
        assert ws.until("none of these")[-1] == ("close", 1008)


def test_long_messages(model):
    """Longer than what a connection keeps unread: taken piece by piece, up to the limit of a body."""
    with Server(model, "--body_megabytes=2") as server:
        with server.websocket(SPEECH) as ws:
            data = json.dumps({**PCM, "note": "a" * 1_900_000}).encode()
            ws.raw(frame(0x01, data[:1_000_000]) + frame(0x00, data[1_000_000:]) + frame(0x80))
            assert ws.message()["type"] == "session.configured"
            say(ws, "Said.")
            ws.until("session.done")
            ws.raw(frame(0x81, b'{"type": "session.config", "note": "' + b"a" * (2 << 20) + b'"}'))
            assert ws.until()[-1] == ("close", 1009)
        with server.websocket(REALTIME) as ws:
            ws.message()
            ws.raw(frame(0x81, b"a" * (512 * 1024 + 1)))
            assert ws.message() == ("close", 1009)


def test_a_client_that_says_nothing(server):
    """The one that has been there since the first test."""
    assert "in time" in server.silent.message()["message"] and server.silent.message() == ("close", 1008)
    assert 9.9 < time.monotonic() - server.began
    server.silent.__exit__()


def test_a_reader_that_stops(model):
    """Speech is held, not piled up; a cancel of a client that reads slowly is heard; one that reads nothing is cut."""
    with Server(model, "--slow_seconds", "6", "--text_bytes", 1 << 20) as server:
        fds = server.descriptors()
        slow, still = configured(server, room=4096), configured(server, room=4096)
        before = server.memory()
        for ws in slow, still:
            say(ws, *["A sentence that is long enough to make some sound. " * 20] * 10)
        time.sleep(0.5)
        slow.send({"type": "input.cancel"})
        assert slow.until("input.cancelled")[-1]["type"] == "input.cancelled"
        say(slow, "Served again.")
        slow.until("session.done")
        slow.reset()
        wait_for(lambda: server.descriptors() == fds)  # the other one is cut
        assert server.memory() - before < 32 << 20
        still.reset()


def test_disconnects_free_everything(server):
    """At once, in the middle of everything; the long run of it is sockets_faults.py."""
    fds = server.descriptors()
    for i in range(20):
        ws = server.websocket((SPEECH, REALTIME)[i % 2])
        if i % 2 == 0:
            ws.send(PCM)
            say(ws, "A sentence that goes unheard. " * 10)
            if i % 4 == 0:
                ws.until("audio.start")
        ws.reset()
        w = server.wyoming()
        w.send("synthesize", {"text": "This goes unheard. " * 10})
        w.reset()
    wait_for(lambda: server.descriptors() <= fds)
    with configured(server) as ws:
        say(ws, "Still here.")
        ws.until("session.done")


def test_the_server_ends(model):
    """SIGTERM: what is being spoken is finished, then 1001; who waits is told at once."""
    with Server(model, "--wyoming_port=0") as server:
        busy, idle, w = configured(server), server.websocket(REALTIME), server.wyoming()
        assert idle.message()["type"] == "session.created"
        w.send("ping")
        w.event()
        busy.raw(frame(0x81, json.dumps({"type": "input.text", "text": "This sentence is finished. And this."}).encode()) +
                 frame(0x81, json.dumps({"type": "input.done"}).encode()))  # both arrive together
        busy.until("audio.start")
        server.signal(signal.SIGTERM)
        messages = busy.until("none of these")
        assert messages[-2]["type"] == "session.done" and messages[-1] == ("close", 1001)
        assert idle.until()[-1] == ("close", 1001)
        with pytest.raises((EOFError, ConnectionResetError)):
            w.event()
        for one in busy, idle, w:
            one.__exit__()
        assert server.process.wait(SECONDS) == 0
