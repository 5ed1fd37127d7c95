"""The speech API as a client sees it: formats, streams, events, errors by type, listings."""
import base64
import io
import json
import struct
import wave

import pytest

import running
import socket_client

ROOT = running.ROOT
SAY = "Say these few words, please."
TYPES = {"mp3": "audio/mpeg", "opus": "audio/opus", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav",
         "pcm": "audio/pcm"}
MAGIC = {"mp3": (b"ID3", b"\xff"), "opus": (b"OggS",), "aac": (b"\xff\xf1", b"\xff\xf9"), "flac": (b"fLaC",), "wav": (b"RIFF",)}


def samples_of(wav):
    with wave.open(io.BytesIO(wav)) as w:
        assert (w.getnchannels(), w.getsampwidth(), w.getframerate()) == (1, 2, 24000)
        return w.readframes(w.getnframes())


@pytest.mark.parametrize("form", sorted(TYPES))
def test_each_format(server, form):
    reply = server.speak(input=SAY, response_format=form, model="tts-1", voice="alloy", speed=1.0, instructions="calm")
    assert reply.status == 200 and reply.type == TYPES[form], reply.body[:300]
    assert len(reply.body) > 1000 and (form == "pcm" or reply.body.startswith(MAGIC[form]))
    assert reply.headers["X-Request-Id"] and reply.headers["X-Sample-Rate"] == "24000"


def test_wav_without_a_stream_tells_its_length_and_equals_the_samples(server):
    wav = server.speak(input=SAY, response_format="wav", seed=5).body
    pcm = server.speak(input=SAY, response_format="pcm", stream=False, seed=5).body
    assert struct.unpack("<I", wav[4:8])[0] == len(wav) - 8
    assert samples_of(wav) == pcm and pcm != server.speak(input=SAY, response_format="pcm", stream=False, seed=6).body


def test_default_is_mp3(server):
    assert server.speak(input=SAY).type == "audio/mpeg"


def test_events_carry_the_same_sound(server):
    plain = server.speak(input=" ".join([SAY] * 3), response_format="pcm", seed=3).body
    reply = server.speak(input=" ".join([SAY] * 3), response_format="pcm", seed=3, stream_format="sse", subtitles=True)
    assert reply.type.startswith("text/event-stream")
    found = running.events(reply.body)
    assert all(event == data["type"] for event, data in found)
    sound = b"".join(base64.b64decode(d["audio"]) for e, d in found if e == "speech.audio.delta")
    assert sound == plain
    told = [d for e, d in found if e == "speech.audio.subtitle"]
    assert [t["text"].strip() for t in told] == [SAY] * 3
    assert all(a["end"] <= b["end"] for a, b in zip(told, told[1:]))
    last, usage = found[-1][0], found[-1][1]["usage"]
    assert last == "speech.audio.done" and usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_a_long_text_comes_in_pieces_and_is_the_same_as_in_one(server):
    """Over 400 bytes a text goes through a stream of the library: its samples are those of f5_speak."""
    text = " ".join(f"Sentence number {word} follows here." for word in ("one", "two", "three", "four", "five")) * 2 + " And this is the end of it, at last, which makes it long enough, as it must be for that."
    assert len(text) > 400
    wav = server.speak(input=text, response_format="wav", seed=1).body
    pcm = server.speak(input=text, response_format="pcm", seed=1, stream=False).body
    assert samples_of(wav) == pcm and len(pcm) > 150000


@pytest.mark.parametrize("voice", ["slt", "rms", "alloy", {"id": "slt"}, {"id": "nova"}])
def test_voices_by_name_alias_and_object(server, voice):
    assert server.speak(input=SAY, voice=voice, response_format="pcm").status == 200


def test_alias_is_the_voice(server):
    same = [server.speak(input=SAY, voice=v, response_format="pcm", seed=1).body for v in ("slt", "alloy", {"id": "alloy"})]
    assert same[0] == same[1] == same[2] != server.speak(input=SAY, voice="rms", response_format="pcm", seed=1).body
    assert same[0] == server.speak(input=SAY, speaker="slt", response_format="pcm", seed=1).body


def recording(name):
    folder = ROOT / "weights" / "voices"
    return (folder / f"{name}.wav").read_bytes(), (folder / f"{name}.txt").read_text().strip()


def test_a_recording_in_the_request_is_the_voice_of_that_recording(server):
    sound, words = recording("rms")
    text = base64.b64encode(sound).decode()
    named = server.speak(input=SAY, voice="rms", response_format="pcm", seed=9).body
    for given in (dict(ref_audio=text, ref_text=words), dict(ref_audio="data:audio/wav;base64," + text, ref_text=words),
                  dict(references=[dict(audio_path=text, text=words)])):
        assert server.speak(input=SAY, response_format="pcm", seed=9, **given).body == named


BAD = [
    (dict(), "input"), (dict(input=""), "input"), (dict(input="  \n"), "input"), (dict(input=3), "input"),
    (dict(input=["a"]), "input"), (dict(input=None), "input"), (dict(input="x" * 70000), "input"),
    (dict(input=SAY, voice=3), "voice"), (dict(input=SAY, voice={"name": "slt"}), "voice"), (dict(input=SAY, voice="nobody"), "voice"),
    (dict(input=SAY, voice="../slt"), "voice"), (dict(input=SAY, speed="fast"), "speed"), (dict(input=SAY, speed=0.1), "speed"),
    (dict(input=SAY, speed=5), "speed"), (dict(input=SAY, speed=True), "speed"), (dict(input=SAY, response_format="mp4"), "response_format"),
    (dict(input=SAY, response_format=1), "response_format"), (dict(input=SAY, stream_format="xml"), "stream_format"),
    (dict(input=SAY, stream="yes"), "stream"), (dict(input=SAY, seed=-1), "seed"), (dict(input=SAY, seed=1.5), "seed"),
    (dict(input=SAY, seed=1e300), "seed"), (dict(input=SAY, nfe_step=0), "nfe_step"), (dict(input=SAY, nfe_step=10 ** 18), "nfe_step"),
    (dict(input=SAY, method="rk4"), "method"), (dict(input=SAY, cfg_strength=-1), "cfg_strength"),
    (dict(input=SAY, fix_duration=1e9), "fix_duration"), (dict(input=SAY, ssml=1), "ssml"), (dict(input=SAY, ipa=1), "ipa"), (dict(input=SAY, ipa=True), "ipa"), (dict(input=SAY, instructions={}), "instructions"),
    (dict(input=SAY, subtitles=True), "subtitles"), (dict(input=SAY, sample_rate=100), "sample_rate"),
    (dict(input=SAY, ref_text="words"), "ref_audio"), (dict(input=SAY, ref_audio="AAAA"), "ref_text"),
    (dict(input=SAY, ref_audio="http://127.0.0.1/a.wav", ref_text="w"), "ref_audio"),
    (dict(input=SAY, ref_audio="file:///etc/passwd", ref_text="w"), "ref_audio"),
    (dict(input=SAY, ref_audio="/etc/passwd", ref_text="w"), "ref_audio"), (dict(input=SAY, ref_audio="!!!", ref_text="w"), "ref_audio"),
    (dict(input=SAY, ref_audio="data:audio/wav,abc", ref_text="w"), "ref_audio"),
    (dict(input=SAY, ref_audio=base64.b64encode(b"no sound at all").decode(), ref_text="w"), "ref_audio"),
    (dict(input=SAY, references=[1]), "references"), (dict(input=SAY, references=[{}, {}]), "references"),
]


@pytest.mark.parametrize("fields,param", BAD, ids=[str(i) for i in range(len(BAD))])
def test_wrong_fields_are_named(server, fields, param):
    reply = server.speak(**fields)
    error = reply.json["error"]
    assert reply.status == 400 and error["type"] == "invalid_request_error" and error["param"] == param, reply.body
    assert set(error) == {"message", "type", "param", "code"} and error["message"]


def test_unknown_fields_are_passed_over(server):
    assert server.speak(input=SAY, surprise={"a": [1, 2]}, user="me", response_format="pcm").status == 200


def test_unknown_model(server):
    reply = server.speak(input=SAY, model="whisper-1")
    assert reply.status == 404 and reply.json["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("start", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("name", ["model", "voice", "response_format", "method"])
def test_a_name_that_is_cut_in_the_message_is_cut_between_characters(server, name, start):
    reply = server.speak(input=SAY, **{name: start + "\U0001d11e" * 200})
    assert reply.status in (400, 404) and "\U0001d11e" in reply.json["error"]["message"], reply.body


def test_more_steps_than_the_engine_was_opened_for(server):
    reply = server.speak(input=SAY, nfe_step=1000)
    assert reply.status == 400 and "nfe" in reply.json["error"]["message"]


def test_longer_than_the_model_can(server):
    """Permanent: never 503, which says that the same request may succeed later."""
    reply = server.speak(input=SAY, fix_duration=120)
    assert reply.status == 413 and "max_frames" in reply.json["error"]["message"]


BODIES = [b"", b"{", b"[]", b"null", b"3", b'"text"', b"\xff\xfe", b'{"input":"\xc3\x28"}', b'{"input":"a","input":"b"}',
          b"[" * 5000, b'{"a":' * 3000, b'{"input":"a",}', b'{"input":"\\ud800"}', b'{"input":"a\\u0000b"}', b'{"input":"a"} x',
          b'{"speed":1e999,"input":"a"}', b'{"seed":99999999999999999999999,"input":"a"}', b'{"input":"a\nb"}',
          json.dumps({"input": "a", "x": [[]] * 20000}).encode()]


@pytest.mark.parametrize("body", BODIES, ids=[str(i) for i in range(len(BODIES))])
def test_bodies_that_are_no_requests(server, body):
    reply = server.ask("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
    assert reply.status == 400 and reply.json["error"]["type"] == "invalid_request_error", reply.body


def test_batch(server):
    items = [dict(input=SAY), dict(input="Other words.", voice="rms", response_format="wav"), dict(input=""),
             dict(input=SAY, voice="nobody")]
    reply = server.speak(path="/v1/audio/speech/batch", items=items, response_format="pcm", seed=4, stream_format="audio")
    told = reply.json
    assert reply.status == 200 and (told["total"], told["succeeded"], told["failed"]) == (4, 2, 2)
    assert [r["index"] for r in told["results"]] == [0, 1, 2, 3] and [r["status"] for r in told["results"]] == ["success"] * 2 + ["error"] * 2
    first, second = (base64.b64decode(r["audio_data"]) for r in told["results"][:2])
    assert len(samples_of(second)) > 1000 and told["results"][1]["media_type"] == "audio/wav"
    assert first == server.speak(input=SAY, response_format="pcm", seed=4, stream=False, first_chunk=1.5).body
    assert "empty" in told["results"][2]["error"] and "nobody" in told["results"][3]["error"]


@pytest.mark.parametrize("items", [[], None, {}, [dict(input="a")] * 33, "x"])
def test_batch_sizes(server, items):
    reply = server.speak(path="/v1/audio/speech/batch", items=items)
    assert reply.status == 400 and reply.json["error"]["param"] == "items"


def test_listings(server):
    models = server.get("/v1/models").json
    assert models["object"] == "list" and {"f5-tts", "tts-1"} <= {m["id"] for m in models["data"]}
    one = server.get("/v1/models/tts-1").json
    assert one["object"] == "model" and {"name": "slt", "id": "slt", "language": "en"} in one["voices"]
    assert server.get("/v1/models/none").status == 404
    assert {"id": "f5-tts", "name": "f5-tts"} in server.get("/v1/audio/models").json["models"]
    for path, text in (("/health", b"OK"), ("/livez", b"OK"), ("/readyz", b"OK")):
        reply = server.get(path)
        assert (reply.status, reply.body) == (200, text)
    assert server.get("/v1/").status == 200 and server.get("/v1/test").status == 404 and server.get("/v1/readyz").status == 404


def test_request_id_is_the_clients_if_it_is_sane(server):
    assert server.get("/health", headers={"X-Request-Id": "abc-1"}).headers["X-Request-Id"] == "abc-1"
    for bad in ("a b", "x" * 65, "a\"b", "é"):
        assert server.get("/health", headers={"X-Request-Id": bad.encode()}).headers["X-Request-Id"].startswith("req_")


def test_log_has_a_line_for_each_request(server):
    server.speak(input=SAY, headers={"X-Request-Id": "logged-1", "Authorization": "Bearer sk-secret"}, response_format="pcm")
    server.get("/health")
    socket_client.wait_for(lambda: any("logged-1" in text for text in server.lines))
    line, = (json.loads(text) for text in server.lines if "logged-1" in text)
    assert line["status"] == 200 and line["path"] == "/v1/audio/speech" and line["format"] == "raw"
    assert line["audio_seconds"] > 0.5 and 0 < line["first_audio_seconds"] <= line["seconds"]
    assert not any("sk-secret" in text for text in server.lines + server.errors)
