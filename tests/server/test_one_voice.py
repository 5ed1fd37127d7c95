"""The server with Flow-Matching-TTS: its one voice, its 22,050 samples a second wherever a format can say so, 24,000 where
a protocol fixes them, and by name what such a model does not have."""
import base64
import io
import os
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

import convert_lib
import f5lib
import running
from socket_client import Server

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import set_speech  # noqa: E402
import test_fm_speech  # noqa: E402

IPA, OWN = "həlˈoʊ wˈɜːld.", 22050
LONG = " ".join([IPA] * 30)
SEED = 1  # of the weights: with others a predicted length may be beyond any max_frames


@pytest.fixture(scope="module")
def one_voice(tmp_path_factory):
    return test_fm_speech.make_model(tmp_path_factory.mktemp("one_voice"), SEED)


@pytest.fixture(scope="module")
def server(one_voice):
    with Server(one_voice, "--ipa", "--wyoming_port=0", "--voice_alias=alloy=default") as s:
        yield s


@pytest.fixture(scope="module")
def said(one_voice):
    """What the library says, as 16-bit samples."""
    with f5lib.Engine(one_voice, max_frames=4096, max_batch=8, threads=1) as e:
        def say(text, nfe=1):
            pieces = e.say(None, text, seed=5, sample=dict(nfe=nfe))[0]
            return np.rint(np.concatenate([p["samples"] for p in pieces]) * 32768).clip(-32768, 32767)
        yield say


def wav_of(body):
    with wave.open(io.BytesIO(body)) as w:
        return w.getframerate(), np.frombuffer(w.readframes(w.getnframes()), "<i2")


def pcm(body):
    return np.frombuffer(body, "<i2")


def same(found, wanted):
    return len(found) == len(wanted) and np.abs(found - wanted).max() <= 1


def test_a_file_has_the_rate_of_the_model(server, said):
    for text in (IPA, LONG):  # at once, and fed in bits
        reply = server.speak(input=text, response_format="wav", seed=5)
        assert reply.status == 200 and reply.headers["X-Sample-Rate"] == str(OWN), reply.body[:300]
        rate, samples = wav_of(reply.body)
        assert rate == OWN and same(samples, said(text))


@pytest.mark.parametrize("form, rate", [("mp3", OWN), ("flac", OWN), ("aac", OWN), ("opus", 24000), ("pcm", 24000)])
def test_rates_of_formats(server, form, rate):
    reply = server.speak(input=IPA, response_format=form)
    assert reply.status == 200 and reply.headers["X-Sample-Rate"] == str(rate) and len(reply.body) > 500


def test_samples_without_a_header_have_24_khz_or_what_is_asked_for(server, said):
    own = said(IPA)
    assert same(pcm(server.speak(input=IPA, response_format="pcm", sample_rate=OWN, seed=5).body), own)
    usual = pcm(server.speak(input=IPA, response_format="pcm", seed=5).body)
    assert abs(len(usual) - len(own) * 24000 / OWN) < 2
    slow = wav_of(server.speak(input=IPA, response_format="wav", sample_rate=16000, seed=5).body)
    assert slow[0] == 16000 and abs(len(slow[1]) - len(own) * 16000 / OWN) < 2


def test_events_and_the_log_count_true_seconds(server, said):
    seconds = len(said(IPA)) / OWN
    before = server.metrics()["f5tts_audio_seconds_total"]
    reply = server.speak(input=IPA, response_format="wav", stream_format="sse", seed=5)
    usage = running.events(reply.body)[-1][1]["usage"]
    assert usage["output_tokens"] == round(seconds * OWN / 256)
    assert abs(server.metrics()["f5tts_audio_seconds_total"] - before - seconds) < 1e-3


def test_streams_say_their_rate(server, said):
    for config, rate in (({}, 24000), (dict(sample_rate=OWN), OWN)):
        with server.websocket("/v1/audio/speech/stream") as ws:
            ws.send({"type": "session.config", "stream_audio": True, "split_granularity": "none", "seed": 5} | config)
            assert ws.message()["sample_rate"] == rate
            ws.send({"type": "input.text", "text": IPA})
            ws.send({"type": "input.done"})
            sound = b"".join(m for m in ws.until("session.done") if isinstance(m, bytes))
        assert abs(len(sound) / 2 - len(said(IPA)) * rate / OWN) < 2


def test_wyoming_says_the_rate_of_the_model(server, said):
    with server.wyoming() as w:
        w.send("describe")
        assert [v["name"] for v in w.event()[1]["tts"][0]["voices"]] == ["default"]
        w.send("synthesize", {"text": IPA})
        found = w.until("audio-stop")
    assert found[0][1] == {"rate": OWN, "width": 2, "channels": 1, "timestamp": 0}
    samples = sum(len(payload) for _, _, payload in found) // 2
    assert samples > 1000 and found[-1][1]["timestamp"] == samples * 1000 // OWN


def test_realtime_has_24_khz(server):
    with server.websocket("/v1/realtime?model=gpt-realtime") as ws:
        output = ws.message()["session"]["audio"]["output"]
        assert output["format"] == {"type": "audio/pcm", "rate": 24000} and output["voice"] == "default"
        ws.send({"type": "response.create", "response": {"input": [{"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": IPA}]}]}})
        messages = ws.until("response.done", "error")
        assert messages[-1]["response"]["status"] == "completed"
        assert sum(len(base64.b64decode(m["delta"])) for m in messages if m["type"] == "response.output_audio.delta") > 1000


def test_a_server_for_ipa_alone(server):
    same_words = [server.speak(input=IPA, response_format="wav", seed=5, **more).body for more in ({}, dict(ipa=True), dict(ipa=None))]
    assert len(set(same_words)) == 1
    reply = server.speak(input="Good morning.", ipa=False)
    assert reply.status == 400 and reply.json["error"]["param"] == "ipa" and "--ipa" in reply.json["error"]["message"], reply.body


def test_its_one_voice(server):
    listed = server.ask("GET", "/v1/audio/voices").json
    assert [v["id"] for v in listed["voices"]] == ["default"] and listed["uploaded_voices"] == []
    assert server.ask("GET", "/v1/audio/voices/default").json["seconds"] == 0
    assert [v["id"] for v in server.ask("GET", "/v1/models/tts-1").json["voices"]] == ["default"]
    sounds = {server.speak(input=IPA, response_format="wav", seed=5, **v).body for v in ({}, dict(voice="default"), dict(voice="alloy"))}
    assert len(sounds) == 1
    assert server.speak(input=IPA, voice="slt").json["error"]["code"] == "voice_not_found"
    kept = server.ask("DELETE", "/v1/audio/voices/default")
    assert kept.status == 403 and "the model's own" in kept.json["error"]["message"]
    server.signal(1)  # SIGHUP reads voices anew: there is still the one
    assert server.speak(input=IPA, voice="default").status == 200
    assert len(server.ask("GET", "/v1/audio/voices").json["voices"]) == 1


@pytest.mark.parametrize("fields, param", [(dict(ref_audio="AAAA", ref_text="x"), "ref_audio"), (dict(cfg_strength=2.0), "cfg_strength"),
                                           (dict(references=[dict(audio="AAAA", text="x")]), "ref_audio")])
def test_what_it_does_not_take(server, fields, param):
    reply = server.speak(input=IPA, **fields)
    assert reply.status == 400 and reply.json["error"]["param"] == param, reply.body
    assert server.speak(input=IPA, response_format="wav").status == 200


def test_uploads_are_refused(server):
    body = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nmine\r\n--x--\r\n'
    reply = server.ask("POST", "/v1/audio/voices", body, {"Content-Type": "multipart/form-data; boundary=x"})
    assert reply.status == 400 and "one voice of its own" in reply.json["error"]["message"]


def refused(model, *options, **environment):
    done = subprocess.run([convert_lib.program(), "serve", "--check_config", "-m", model, *options], capture_output=True, text=True,
                          timeout=600, env={**os.environ, **environment})
    assert done.returncode in (1, 2), done.stdout
    return done.stderr


def test_what_the_file_tells_its_users(server, one_voice, start, tmp_path):
    """In the listing of models; where the file says nothing there are no such fields."""
    told = {"license": "MIT", "credit": "Zoë \"Z\", voice"}
    shutil.copy(one_voice, tmp_path / "said.f5")
    set_speech.set_speech(tmp_path / "said.f5", told.items())
    said = start("--ipa", model=tmp_path / "said.f5")
    for s, rights in ((server, {}), (said, told)):
        for listed in (*s.get("/v1/models").json["data"], s.get("/v1/models/f5-tts").json):
            assert {k: listed[k] for k in told if k in listed} == rights


def test_the_command_line(one_voice, model, tmp_path):
    assert "--voice_dir" in refused(one_voice, "--ipa", "--voice_dir", str(tmp_path))
    assert "--upload_dir" in refused(one_voice, "--ipa", "--upload_dir", str(tmp_path))
    assert "--ipa" in refused(model, "--ipa")
    done = subprocess.run([convert_lib.program(), "serve", "--check_config", "--ipa", "--voice", "anna", "--warm", "2", "-m", one_voice],
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and "1 voices" in done.stdout, done.stderr


def speak_by_socket(server, text, **config):
    with server.websocket("/v1/audio/speech/stream") as ws:
        ws.send({"type": "session.config", "stream_audio": True, "split_granularity": "none", "seed": 5, "sample_rate": OWN} | config)
        ws.send({"type": "input.text", "text": text})
        ws.send({"type": "input.done"})
        return b"".join(m for m in ws.until("session.done", "error") if isinstance(m, bytes))


def test_words_become_phonemes(one_voice, said, tmp_path):
    """As `f5tts infer` makes them; without libespeak-ng the server says at its start what is missing."""
    (tmp_path / "libespeak-ng.so.1").write_bytes(b"no library")
    assert "espeak" in refused(one_voice, LD_LIBRARY_PATH=str(tmp_path))
    out = tmp_path / "x.wav"
    done = subprocess.run([convert_lib.program(), "infer", "-m", one_voice, "-t", "Good morning.", "-w", out, "--nfe_step", "1", "--seed", "5"],
                          capture_output=True, text=True, timeout=600)
    if done.returncode:
        assert "espeak" in done.stderr
        pytest.skip("no libespeak-ng here: " + done.stderr)
    wanted = wav_of(out.read_bytes())
    with Server(one_voice) as s:
        def wav(**fields):
            return wav_of(s.speak(response_format="wav", seed=5, **fields).body)
        for found in (wav(input="Good morning."), wav(input="Good morning.", ipa=False)):
            assert found[0] == wanted[0] == OWN and same(found[1].astype(int), wanted[1].astype(int))
        # of a request that says so the text is IPA, at once and fed in bits; words beside it are words
        for text in (IPA, LONG):
            assert same(wav(input=text, ipa=True)[1], said(text)) and not same(wav(input=text)[1], said(text))
        items = [dict(input=IPA, ipa=True), dict(input="Good morning.")]
        reply = s.ask("POST", "/v1/audio/speech/batch", dict(items=items, response_format="wav", seed=5, nfe_step=1)).json
        both = [wav_of(base64.b64decode(one["audio_data"]))[1] for one in reply["results"]]
        assert same(both[0], said(IPA)) and same(both[1].astype(int), wanted[1].astype(int))
        assert same(pcm(speak_by_socket(s, IPA, ipa=True)), said(IPA))
        assert same(pcm(speak_by_socket(s, "Good morning.")).astype(int), wanted[1].astype(int))
