"""Voices of `f5tts serve`: listed, uploaded, deleted, watched in their folder, kept over a restart; consents."""
import base64
import http.client
import json
import shutil
import threading
import time

import pytest

import kill_uploads
from socket_client import wait_for
from voice_server import SLT, SLT_WORDS, VOICES, VoiceServer, form, voice_form

VOICE = "/v1/audio/voices"
CONSENT = "/v1/audio/voice_consents"
RMS, RMS_WORDS = (VOICES / "rms.wav").read_bytes(), (VOICES / "rms.txt").read_text().strip()


@pytest.fixture(scope="module")
def server(tmp_path_factory, model):
    with VoiceServer(tmp_path_factory.mktemp("voices"), model=model) as server:
        yield server
        assert server.stop()[0] == 0, server.errors


def refused(server, fields, status, says, param=None):
    got, answer = server.json("POST", VOICE, fields)
    assert (got, answer["error"]["param"]) == (status, param) and says in answer["error"]["message"], answer
    assert answer["error"]["type"] == ("server_error" if status >= 500 else "invalid_request_error")


def test_shipped_voices_are_listed_as_objects_and_as_names(server):
    status, answer = server.json("GET", VOICE)
    assert status == 200 and answer["uploaded_voices"] == []
    slt = next(v for v in answer["voices"] if v["id"] == "slt")
    assert slt["name"] == "slt" and slt["object"] == "audio.voice" and slt["kind"] == "shipped"
    assert server.names() == sorted(server.names())


def test_an_uploaded_voice_is_kept_and_deleted(server):
    status, voice = server.json("POST", VOICE, voice_form("Maria", consent="cons_1", language="en",
                                                          speaker_description="calm"))
    assert status == 200, voice
    assert (voice["id"], voice["object"], voice["type"], voice["success"]) == ("Maria", "audio.voice", "audio_sample", True)
    assert voice["voice"]["file_size"] == len(SLT) and voice["voice"]["consent"] == "cons_1"
    assert (server.folder / "Maria.safetensors").is_file()
    status, answer = server.json("GET", VOICE)
    assert [v["name"] for v in answer["uploaded_voices"]] == ["Maria"]
    status, shown = server.json("GET", VOICE + "/maria")
    assert status == 200 and shown["ref_text"] == SLT_WORDS and shown["language"] == "en"
    refused(server, voice_form("MARIA"), 400, "already", "name")
    status, answer = server.json("DELETE", VOICE + "/maria")
    assert status == 200 and answer["deleted"] is True and answer["id"] == "Maria"
    assert "Maria" not in server.names() and not (server.folder / "Maria.safetensors").exists()
    assert server.json("DELETE", VOICE + "/maria")[0] == 404


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "é", "x" * 64 + "y", "a\0", "a."])
def test_names_that_are_no_names_are_refused(server, name):
    status, answer = server.json("POST", VOICE, voice_form(name))
    assert status in (400, 413), answer


def test_what_lacks_or_is_no_sound_is_refused(server):
    for lacks in ("name", "ref_text", "audio_sample"):
        fields = voice_form("x")
        del fields[lacks]
        refused(server, fields, 400, "is missing", lacks)
    refused(server, voice_form("x", words=" \n"), 400, "is missing", "ref_text")
    refused(server, voice_form("x", sample=b"no sound at all"), 400, "the recording", "audio_sample")
    refused(server, voice_form("x", sample=SLT[:len(SLT) // 2]), 400, "truncated", "audio_sample")
    refused(server, voice_form("x", sample=b""), 400, "empty", "audio_sample")
    refused(server, [*voice_form("x").items(), ("name", "y")], 400, "twice")
    refused(server, voice_form("x", words=b"\xff"), 400, "UTF-8")
    refused(server, voice_form("x", type="prompt"), 400, "audio_sample", "type")
    assert server.json("POST", VOICE, b"{}", {"Content-Type": "application/json"})[0] == 400
    assert "x" not in server.names()


def test_shipped_voices_cannot_be_deleted_or_taken(server):
    assert server.json("DELETE", VOICE + "/slt")[0] == 403
    refused(server, voice_form("SLT"), 400, "already", "name")


def test_pages_of_other_sites_upload_nothing(server, start, tmp_path):
    kind, body = form(voice_form("site"))
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200)):
        assert server.json("POST", VOICE, body, {"Content-Type": kind, "Sec-Fetch-Site": site})[0] == status
    assert server.json("DELETE", VOICE + "/site", headers={"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert server.json("DELETE", VOICE + "/site", headers={"Sec-Fetch-Site": "none"})[0] == 200
    own = f"http://127.0.0.1:{server.port}"  # browsers say nothing else over HTTP to another machine
    for origin, status in (("http://page.example", 403), ("null", 403), (own + ".page.example", 403), (own, 200)):
        assert server.json("POST", VOICE, body, {"Content-Type": kind, "Origin": origin})[0] == status, origin
    assert server.json("DELETE", VOICE + "/site", headers={"Origin": own, "Sec-Fetch-Site": "cross-site"})[0] == 403
    assert server.json("DELETE", VOICE + "/site", headers={"Origin": "https://proxy.example",
                                                           "Sec-Fetch-Site": "same-origin"})[0] == 200
    asked = server.ask("POST", "/v1/audio/speech", b'{"input":"Hi."}', {"Content-Type": "text/plain",
                                                                       "Sec-Fetch-Site": "cross-site"})
    assert asked.status == 403
    allows = start("--cors_origin=https://page.example", f"--voice_dir={tmp_path / 'voices'}")
    for origin, status in (("https://other.example", 403), ("https://page.example", 200)):
        assert allows.ask("POST", VOICE, body, {"Content-Type": kind, "Origin": origin,
                                                "Sec-Fetch-Site": "cross-site"}).status == status


def test_bombs_are_refused(server):
    many = [(f"f{i}", "x") for i in range(5000)]
    refused(server, many, 400, "more than 32 parts")
    kind, body = form(voice_form("x"))
    for bad, says in [(body.replace(b"Content-Type", b"X: " + b"y" * 100000 + b"\r\nContent-Type", 1), "bytes of headers"),
                      (body.replace(b"Content-Type", b"X: y\r\n" * 100 + b"Content-Type", 1), "headers"),
                      (body[:-10], "cut off"), (body.replace(b"\r\n", b"\n"), "boundary"), (b"", "cut off")]:
        status, answer = server.json("POST", VOICE, bad, {"Content-Type": kind})
        assert status == 400 and says in answer["error"]["message"], answer
    status, answer = server.json("POST", VOICE, voice_form("x", sample=bytes((16 << 20) + 1)))
    assert status == 413, answer
    status, answer = server.json("POST", VOICE, voice_form("x", words="x" * 20000))
    assert status == 413, answer
    assert server.json("GET", VOICE)[0] == 200


def test_clients_that_leave_while_they_upload_leave_nothing(server, rng):
    kind, body = form(voice_form("left"))
    head = f"POST {VOICE} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    before = server.descriptors()
    for _ in range(60):
        with server.connect() as client:
            client.sendall(head + body[:rng.integers(0, len(body))])
            time.sleep(rng.uniform(0, 0.003))
    wait_for(lambda: server.descriptors() <= before)
    assert "left" not in server.names()
    with server.connect() as client:
        client.sendall(head + body)  # it is all there, and the answer is not waited for
    wait_for(lambda: "left" in server.names())
    wait_for(lambda: server.json("DELETE", VOICE + "/left")[0] == 200)
    wait_for(lambda: server.descriptors() <= before)


def test_the_folder_is_watched(server):
    shutil.copy(VOICES / "rms.wav", server.folder / "Neu.wav")
    (server.folder / "Neu.txt").write_text("Words of it.\nAnd more.\n")
    wait_for(lambda: "Neu" in server.names())
    assert server.json("GET", VOICE + "/neu")[1]["ref_text"] == "Words of it. And more."
    (server.folder / "Neu.txt").write_text("Other words.")
    wait_for(lambda: server.json("GET", VOICE + "/neu")[1]["ref_text"] == "Other words.")
    (server.folder / "broken.flac").write_bytes(b"x")
    (server.folder / "broken.txt").write_text("Words.")
    wait_for(lambda: "broken.flac" in server.log)
    (server.folder / "Neu.wav").unlink()
    wait_for(lambda: "Neu" not in server.names())


def test_uploads_at_once_are_all_kept_or_told_to_come_again(server):
    answers = []

    def upload(i):
        answers.append((i, *server.json("POST", VOICE, voice_form(f"many-{i % 12}"))))

    threads = [threading.Thread(target=upload, args=(i,)) for i in range(24)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    kept = {answer["id"] for _, status, answer in answers if status == 200}
    assert {status for _, status, _ in answers} <= {200, 400, 503} and kept
    assert len([1 for _, status, _ in answers if status == 200]) == len(kept)  # of one name, one was kept
    assert kept == {name for name in server.names() if name.startswith("many-")}
    for name in kept:
        assert server.json("DELETE", f"{VOICE}/{name}")[0] == 200


def test_a_restart_finds_what_was_uploaded(tmp_path, model):
    folder = tmp_path / "voices"
    with VoiceServer(folder, model=model) as server:  # it makes the folder
        assert server.json("POST", VOICE, voice_form("Maria", language="en"))[0] == 200
        before = server.json("GET", VOICE + "/maria")[1]
        status, consent = server.json("POST", CONSENT, {"name": "Jo", "language": "en",
                                                        "recording": ("a.wav", SLT, "audio/wav")})
        assert status == 200
    (folder / "later.safetensors").write_bytes(
        (folder / "Maria.safetensors").read_bytes().replace(b'"version":"1"', b'"version":"9"'))
    (folder / "half.safetensors").write_bytes((folder / "Maria.safetensors").read_bytes()[:5000])
    with VoiceServer(folder, model=model) as server:
        assert server.json("GET", VOICE + "/maria")[1] == before
        assert server.json("GET", f"{CONSENT}/{consent['id']}")[1] == consent
        assert "version 9" in server.log and "half.safetensors" in server.log
        assert not {"later", "half"} & set(server.names())


def test_without_a_folder_uploads_are_refused(tmp_path, model):
    with VoiceServer(tmp_path / "none", keeps=False, model=model) as server:
        refused(server, voice_form("x"), 400, "--voice_dir")
        status, answer = server.json("POST", CONSENT, {"name": "Jo", "language": "en",
                                                       "recording": ("a.wav", SLT, "audio/wav")})
        assert status == 400 and "upload_dir" in answer["error"]["message"]


def test_consents(server):
    status, first = server.json("POST", CONSENT, {"name": "Jo", "language": "en-US",
                                                  "recording": ("a.wav", SLT, "audio/wav")})
    assert status == 200 and first["object"] == "audio.voice_consent" and first["id"].startswith("cons_")
    status, second = server.json("POST", CONSENT, {"name": "Al", "language": "de", "recording": ("a.wav", b"x", "audio/wav")})
    assert status == 200
    status, page = server.json("GET", CONSENT + "?limit=1")
    assert status == 200 and page["has_more"] is True and page["first_id"] == page["last_id"] == page["data"][0]["id"]
    status, rest = server.json("GET", f"{CONSENT}?after={page['last_id']}")
    assert {page["first_id"], rest["data"][0]["id"]} == {first["id"], second["id"]} and rest["has_more"] is False
    status, renamed = server.json("POST", f"{CONSENT}/{first['id']}", json.dumps({"name": "Johanna"}),
                                  {"Content-Type": "application/json"})
    assert status == 200 and renamed == {**first, "name": "Johanna"}
    for bad in ("{}", '{"name":""}', "[", '{"name":1}'):
        assert server.json("POST", f"{CONSENT}/{first['id']}", bad, {"Content-Type": "application/json"})[0] == 400
    for id in (first["id"], second["id"]):
        assert server.json("DELETE", f"{CONSENT}/{id}") == (200, {"id": id, "object": "audio.voice_consent", "deleted": True})
        assert server.json("GET", f"{CONSENT}/{id}")[0] == 404
    assert server.json("POST", CONSENT, {"name": "Jo", "language": "en"})[0] == 400
    assert server.json("GET", CONSENT + "?limit=0")[0] == 400
    assert server.json("GET", CONSENT)[1]["data"] == []


def test_the_page_comes_with_its_headers_and_is_not_sent_twice(server):
    page = server.get("/")
    assert page.status == 200 and b"<title>f5tts</title>" in page.body
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    for path in ["/"] + [f"/{name}" for name in ("page.css", "page.js", "api.js", "player.js")]:
        file = server.get(path)
        assert file.status == 200 and file.body
        again = server.get(path, headers={"If-None-Match": file.headers["ETag"]})
        assert again.status == 304 and again.body == b""
        assert server.get(path, headers={"If-None-Match": '"other"'}).status == 200
    assert server.get("/no_such.js").status == 404


def test_a_voice_speaks_as_its_recording_does_also_when_it_is_deleted_meanwhile(server):
    assert server.json("POST", VOICE, voice_form("gone", words=RMS_WORDS, sample=RMS))[0] == 200
    order = {"input": "The garden. " * 9, "response_format": "pcm", "nfe_step": 1, "seed": 5, "stream": True}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request("POST", "/v1/audio/speech", json.dumps({**order, "voice": "gone"}),
                       {"Content-Type": "application/json"})
    reply = connection.getresponse()
    assert reply.status == 200
    first = reply.read(100)  # it is under way
    assert server.json("DELETE", VOICE + "/gone")[0] == 200
    speech = first + reply.read()
    connection.close()
    inline = {"ref_audio": "data:audio/wav;base64," + base64.b64encode(RMS).decode(), "ref_text": RMS_WORDS}
    same = server.speak(**{**order, **inline})
    assert same.status == 200 and same.body == speech and len(speech) > 40000
    assert server.speak(**{**order, "voice": "gone"}).status in (400, 404)


@pytest.mark.parametrize("politely", [False, True])
def test_a_server_that_is_ended_leaves_no_half_voice(tmp_path, model, politely):
    kill_uploads.run(tmp_path / "voices", rounds=2, politely=politely, model=model)
