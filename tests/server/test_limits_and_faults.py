"""What a server does when there is too much, when clients leave, when it is told to end."""
import contextlib
import json
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import convert_lib
import running
import socket_client
from running import LONG, SAY


def test_overload_is_refused_at_once_and_what_was_taken_is_finished(start):
    """With the one place taken and the queue full: a refusal, which waits for neither, says when to try again; the
    queue ends well. (How long a refusal takes is torture.py's to measure: overload.)"""
    server = start("--running=1", "--waiting=3", "--slow_seconds=600", log="json")
    with ThreadPoolExecutor(3) as pool:
        with running.endless(server, 32):
            queue = [pool.submit(server.speak, input=SAY, response_format="pcm", nfe_step=4, seed=i) for i in range(3)]
            assert running.settled(lambda: server.metrics()["f5tts_requests_waiting"], 3) == 3
            refused = [server.speak(input=SAY, response_format="pcm", nfe_step=4) for _ in range(20)]
            assert server.metrics()["f5tts_requests_waiting"] == 3 and not any(one.done() for one in queue)
        good = [one.result() for one in queue]
    assert all(r.status == 200 and len(r.body) > 10000 for r in good) and len({len(r.body) for r in good}) == 1
    assert all(r.status == 503 and r.headers["Retry-After"] == "1" for r in refused)
    assert all(r.json["error"]["code"] == "overloaded" for r in refused)


def leave(server, body, after, heard=False):
    """A client that resets its connection so many seconds after it has asked, or has heard something."""
    s = server.connect()
    s.sendall(running.post_bytes(body))
    if heard:
        assert s.recv(1)
    time.sleep(after)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def test_clients_that_leave_free_their_place(start, rng):
    """Each at a random moment, half of them while they are spoken to; then nothing runs, nothing is held, no descriptor
    is left."""
    server = start("--running=4")
    server.speak(input=SAY, response_format="pcm")
    descriptors = server.descriptors()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i, t: leave(server, dict(input=LONG * 10, response_format="pcm", nfe_step=4), t, i % 2 == 1), range(30),
                      rng.uniform(0, 0.25, 30)))
    assert running.settled(lambda: running.idle(server), 0) == 0
    assert running.settled(lambda: server.descriptors() <= descriptors, True)
    m = server.metrics()
    assert 15 <= m['f5tts_speech_total{outcome="cancelled"}'] <= 30 and m['f5tts_speech_total{outcome="ok"}'] == 1
    assert server.speak(input=SAY, response_format="pcm").status == 200


def test_half_closed_clients_are_gone(server):
    """As nginx has it; what was answered already still comes."""
    with server.connect() as s:
        s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        s.shutdown(socket.SHUT_WR)
        got = b""
        while part := s.recv(1000):
            got += part
        assert not got or got.endswith(b"OK")


@contextlib.contextmanager
def stopped(server):
    """A client that asks for much, most of it pauses, which cost nothing to make, and reads nothing, in a small window."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(running.SECONDS)
        s.connect(("127.0.0.1", server.port))
        s.sendall(running.post_bytes(dict(input=LONG * 5, response_format="pcm", sample_rate=48000, nfe_step=1, sentence_pause=5)))
        yield


def test_a_reader_that_stops_holds_nothing(start):
    """It is held with little sound in memory; another client is served meanwhile, by the one thread."""
    server = start("--running=1", "--slow_seconds=600", "--first_chunk=0")
    with stopped(server):
        assert running.settled(lambda: server.metrics()["f5tts_requests_held"], 1, 300) == 1
        assert server.metrics()["f5tts_queued_bytes"] < 4 << 20
        assert server.speak(input=SAY, response_format="pcm").status == 200
    assert running.settled(lambda: running.idle(server), 0) == 0


def test_a_reader_that_stops_is_cut(start):
    """Held or not yet, and nothing of it is kept."""
    server = start("--running=1", "--slow_seconds=1", "--first_chunk=0")
    with stopped(server):
        assert running.settled(lambda: server.metrics()['f5tts_speech_total{outcome="cancelled"}'], 1, 300) == 1
        assert running.settled(lambda: running.idle(server), 0) == 0
        assert running.settled(lambda: server.metrics()["f5tts_queued_bytes"], 0) == 0


def test_a_log_that_nobody_reads_holds_up_nobody(model):
    """More lines than a pipe holds are written, and read much later; what is more than that is counted, and the server ends."""
    command = [convert_lib.program(), "serve", "--port=0", f"--model={model}", "--threads=1", "--log_format=json"]
    with subprocess.Popen([*running.within(300), *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        errors = []
        for line in process.stderr:
            errors.append(line)
            if found := re.search(rb"ready at http://.*:(\d+)", line):
                break
        requests = 12000  # of 200 bytes and more each
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=60) as s:
            for _ in range(requests // 100):
                s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nUser-Agent: none\r\n\r\n" * 100)
                got = b""
                while got.count(b"HTTP/1.1 200") < 100 or not got.endswith(b"OK"):
                    part = s.recv(65536)
                    assert part
                    got += part
        with ThreadPoolExecutor(1) as pool:
            out = pool.submit(process.stdout.read)
            for line in process.stderr:
                errors.append(line)
                if b"were dropped" in line:
                    break
            process.send_signal(signal.SIGTERM)
            errors.append(process.stderr.read())
            lines = out.result(60).decode().splitlines()
    dropped = [int(n) for n in re.findall(rb"(\d+) lines of the access log were dropped", b"".join(errors))]
    assert all(json.loads(line)["status"] == 200 for line in lines)
    assert 3000 < len(lines) < requests and sum(dropped) == requests - len(lines), (len(lines), dropped)


def test_a_slow_reader_gets_everything(start):
    """Back-pressure loses no byte."""
    server = start("--first_chunk=0")
    text = LONG[:600]
    wanted = server.speak(input=text, response_format="pcm", seed=2).body
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        s.connect(("127.0.0.1", server.port))
        s.sendall(running.post_bytes(dict(input=text, response_format="pcm", nfe_step=1, seed=2), more=b"Connection: close\r\n"))
        got = bytearray()
        while part := s.recv(16384):
            got += part
            time.sleep(0.002)
    head, _, rest = bytes(got).partition(b"\r\n\r\n")
    body, at = b"", 0
    while True:
        line, _, _ = rest[at:at + 20].partition(b"\r\n")
        size = int(line, 16)
        at += len(line) + 2
        body += rest[at:at + size]
        at += size + 2
        if size == 0:
            break
    assert body == wanted and at == len(rest)


def come(server):
    """Requests that are not over and speech that was said, of one moment."""
    m = server.metrics()
    return running.not_over(m) + m['f5tts_speech_total{outcome="ok"}']


def test_end_lets_finish_what_has_begun(start):
    """SIGTERM under load: what was begun is complete, nobody new comes in, the exit code is 0."""
    server = start("--running=2", "--drain_seconds=200")
    replies = []
    threads = [threading.Thread(target=lambda i=i: replies.append(server.speak(input=LONG[:200], response_format="wav", nfe_step=8, seed=i)))
               for i in range(5)]
    quiet = server.connect()  # kept alive, and idle
    for t in threads:
        t.start()
    assert running.settled(lambda: come(server), 5) == 5
    code, _ = server.stop(250)
    for t in threads:
        t.join()
    assert code == 0, server.errors
    assert len(replies) == 5 and all(r.status == 200 and len(r.body) > 10000 for r in replies)
    assert quiet.recv(10) == b""
    with pytest.raises(OSError):
        server.connect()


def test_a_second_signal_ends_at_once(start):
    server = start("--running=1", "--drain_seconds=60")
    with server.connect() as s:
        s.sendall(running.post_bytes(dict(input=LONG * 10, response_format="pcm", nfe_step=32, stream=True)))
        assert running.settled(lambda: server.metrics()["f5tts_requests_running"], 1) == 1
        server.signal(signal.SIGTERM)
        server.wait_for_words("ends when")
        assert server.alive()
        code, seconds = server.stop()
        assert code == 0 and seconds < 50


def test_draining_has_an_end(start):
    server = start("--running=1", "--drain_seconds=0.5")
    with server.connect() as s:
        s.sendall(running.post_bytes(dict(input=LONG * 10, response_format="pcm", nfe_step=32)))
        assert running.settled(lambda: server.metrics()["f5tts_requests_running"], 1) == 1
        assert server.stop()[0] == 0  # it waits for no more than a minute


def test_keys(start, tmp_path):
    """Asked for everywhere but where clients send none; read again at SIGHUP; a bad file leaves the old ones."""
    file = tmp_path / "keys"
    file.write_text("# keys\nsk-first\n\n  sk-second  \n")
    server = start(f"--api_keys={file}", log="json")

    def status(key, path="/v1/audio/speech"):
        headers = {} if key is None else {"Authorization": key}
        return server.speak(headers, path=path, input=SAY, response_format="pcm").status

    assert [status(k) for k in ("Bearer sk-first", "bearer sk-second", "Bearer  sk-first")] == [200] * 3
    for key in (None, "", "Bearer", "Bearer ", "Bearer sk-firs", "Bearer sk-first2", "Basic sk-first", "sk-first", "Bearer " + "x" * 5000):
        assert status(key) == 401
    reply = server.speak(input=SAY)
    assert reply.json["error"]["type"] == "authentication_error" and reply.json["error"]["code"] == "invalid_api_key"
    assert reply.headers["WWW-Authenticate"] == "Bearer" and status(None, "/v1/audio/speech/batch") == 401
    assert server.get("/metrics").status == 401
    for path in ("/health", "/readyz", "/v1/models", "/v1/audio/models", "/v1/"):
        assert server.get(path).status == 200
    file.write_text("sk-third\n")
    server.signal(signal.SIGHUP)
    assert running.settled(lambda: status("Bearer sk-third"), 200) == 200 and status("Bearer sk-first") == 401
    file.write_text("\n")
    server.signal(signal.SIGHUP)
    server.wait_for_words("stay as they were")
    assert status("Bearer sk-third") == 200
    assert not any("sk-" in line for line in server.lines + server.errors)


def test_a_log_on_a_full_disk(start, tmp_path, rng):
    """Lines are lost while there is no room, none is torn: what was written of the last one before is written to its end."""
    room, log = tmp_path / "room", tmp_path / "log"
    server = start(f"--log_file={log}", log="json", env=dict(LD_PRELOAD=running.preloaded(tmp_path, "tests/server/full_disk.c"),
                                                           F5_TEST_ROOM=str(room)))
    told = 0
    for turn in range(12):
        (tmp_path / "next").write_text(f"{[0, 1, *rng.integers(2, 600, 10)][turn]:<10}")
        (tmp_path / "next").rename(room)
        asked = 0
        while room.read_text().strip() not in (["full"] if turn == 0 else ["full", "0"]) or asked < 2:
            server.get("/health", headers={"User-Agent": f"full {turn}"})
            asked += 1
        room.unlink()
        server.get("/health", headers={"User-Agent": f"free {turn}"})
        assert running.settled(lambda: f'"free {turn}"' in log.read_text(), True)
        told += asked
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [one["user_agent"] for one in lines if one["user_agent"].startswith("free")] == [f"free {turn}" for turn in range(12)]
    assert len(lines) < told + 12  # some were lost: the first turn's write found no room at all
    server.wait_for_words("were lost")


def test_markup_that_asks_for_hours_of_silence(start):
    """A short text becomes hundreds of megabytes: refused where the sound is kept whole, cut where its reader is slow."""
    server = start("--running=2")
    text = "<speak>Hi." + '<break time="60s"/>' * 150 + "</speak>"
    before = server.memory()
    reply = server.speak(input=text, ssml=True, response_format="wav")
    assert reply.status == 413 and "64 MB" in reply.json["error"]["message"], reply.body[:200]
    with server.connect() as slow:
        slow.sendall(running.post_bytes(dict(input=text, ssml=True, response_format="pcm", nfe_step=1)))
        assert running.settled(lambda: server.metrics()['f5tts_speech_total{outcome="failed"}'], 2) == 2
    assert server.memory() - before < 300 << 20


def test_an_end_while_the_folder_is_read(tmp_path, model):
    """What is under way in the background is told before what it is for is freed."""
    voices = running.ROOT / "weights" / "voices"
    for i in range(20):
        for name in ("slt.wav", "slt.txt"):
            (tmp_path / name.replace("slt", f"v{i}")).write_bytes((voices / name).read_bytes())
    with running.Server(model, "--threads=1", f"--voice_dir={tmp_path}", sanitized=True) as server:
        for wav in tmp_path.glob("*.wav"):
            wav.touch()
        server.signal(signal.SIGHUP)
        time.sleep(0.05)
        assert server.stop()[0] == 0, server.errors


def read_strictly(text):
    """Prometheus's text format by its grammar: HELP, TYPE, samples of that family; histograms that add up."""
    kinds, samples, family = {}, {}, None
    for line in text.splitlines():
        if found := re.fullmatch(r"# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) \S.*", line):
            family = found[1]
            assert family not in kinds, family
        elif found := re.fullmatch(r"# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)", line):
            assert found[1] == family
            kinds[family] = found[2]
        else:
            found = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})? (\S+)', line)
            assert found, line
            name = re.sub(r"_(bucket|sum|count)$", "", found[1]) if kinds[family] == "histogram" else found[1]
            assert name == family and (found[1], found[2]) not in samples, line
            samples[found[1], found[2]] = float(found[3])
    for name, kind in kinds.items():
        if kind == "counter":
            assert name.endswith("_total")
        if kind == "histogram":
            counts = [v for (n, _), v in samples.items() if n == name + "_bucket"]
            assert counts == sorted(counts) and counts[-1] == samples[name + "_count", None]
    return samples


def test_metrics_equal_the_clients_own_count(start):
    server = start()
    lengths, statuses = [], []
    for i in range(30):
        reply = server.speak(input=SAY, response_format="pcm", speed=5 if i % 4 == 0 else 1)
        statuses.append(reply.status)
        if reply.status == 200:
            lengths.append(len(reply.body) / 48000)
    m = read_strictly(server.get("/metrics").body.decode())
    at = lambda name, labels=None: m[name, labels]  # noqa: E731
    for status in (200, 400):
        assert at("f5tts_http_requests_total", f'{{route="/v1/audio/speech",method="POST",status="{status}"}}') == statuses.count(status)
    assert at("f5tts_speech_total", '{outcome="ok"}') == len(lengths) == at("f5tts_request_seconds_count")
    assert at("f5tts_audio_seconds_total") == pytest.approx(float(f"{sum(lengths):.9g}"), rel=1e-9)  # printed so
    assert at("f5tts_audio_bytes_total") == round(sum(lengths) * 48000)
    assert at("f5tts_time_to_first_audio_seconds_count") == at("f5tts_queue_seconds_count") == len(lengths)
    assert at("f5tts_audio_length_seconds_sum") == pytest.approx(sum(lengths), rel=1e-6)


def test_memory_does_not_grow(start):
    """After a warm-up, requests of all kinds leave nothing behind."""
    server = start("--running=4")

    def round_of(n):
        for i in range(n):
            server.speak(input=SAY, response_format=("mp3", "wav", "pcm", "opus")[i % 4])
            server.speak(input=3)
            leave(server, dict(input=LONG, response_format="pcm"), 0.02)
        assert running.settled(lambda: running.idle(server), 0) == 0
        return server.memory()

    after = [round_of(5) for _ in range(6)]
    print(np.diff(after))
    assert np.diff(after[1:]).min() < 1 << 16, after  # a leak grows in every round; what chance adds does not


def test_check_config(model, tmp_path):
    good = running.convert_lib.run("serve", f"--model={model}", "--check_config", "--threads=1")
    assert good.returncode == 0 and "in order" in good.stdout
    for option in ("--model=absent.f5", "--voice=nobody", "--device=cpu,", "--warm=1,x", f"--api_keys={tmp_path / 'none'}",
                   f"--log_file={tmp_path / 'no' / 'log'}"):
        bad = running.convert_lib.run("serve", f"--model={model}", "--check_config", "--threads=1", option)
        assert bad.returncode == 1 and bad.stderr.startswith("f5tts serve: "), (option, bad.stderr)


def test_address_in_use(server, model):
    bad = running.convert_lib.run("serve", f"--model={model}", "--threads=1", f"--port={server.port}")
    assert bad.returncode == 1 and "cannot be listened at" in bad.stderr


def test_service_manager_is_told(model, tmp_path):
    """systemd's protocol: READY=1 when it listens, STOPPING=1 when it drains."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(30)
        with running.Server(model, "--threads=1", env=dict(NOTIFY_SOCKET=path)) as server:
            assert s.recv(100) == b"READY=1"
            assert server.stop()[0] == 0
        assert s.recv(100) == b"STOPPING=1"


def test_sound_is_finite_and_has_a_level(server):
    pcm = np.frombuffer(server.speak(input=SAY, response_format="pcm", nfe_step=4).body, "<i2")
    assert np.abs(pcm.astype(int)).max() > 10


def test_messages_count_with_bodies(model):
    """What waits in WebSockets is in the limit that bodies have, of 16 times the largest: then large ones are refused, small ones not."""
    def hold(server, stack, n):
        """A socket with the first part of a message, which has arrived. Configured, lest it be closed within 10 s."""
        ws = stack.enter_context(server.websocket("/v1/audio/speech/stream"))
        ws.send({"type": "session.config", "response_format": "pcm"})
        assert ws.message()["type"] == "session.configured"
        ws.raw(socket_client.frame(0x01, b"x" * n) + socket_client.frame(0x89))
        return ws.frame()

    megabyte = 1 << 20
    with socket_client.Server(model, "--body_megabytes=1", "--wyoming_port=0") as server:
        with contextlib.ExitStack() as held:
            for n in [megabyte - 1] * 16 + [40000]:  # buffers of 1 MB, then one of 64 KB, which is small
                assert hold(server, held, n) == (10, b"")
            opcode, why = hold(server, held, megabyte - 1)
            assert opcode == 8 and why[:2] == (1013).to_bytes(2, "big"), why
            w = held.enter_context(server.wyoming())
            w.raw(b'{"type": "ping", "data_length": 200000}\n' + b" " * 190000)
            kind, data, _ = w.event()
            assert kind == "error" and data["code"] == "busy"
            assert server.speak(input="x" * 100000).status == 503
            with server.websocket("/v1/audio/speech/stream") as ws:
                ws.send({"type": "session.config", "response_format": "pcm", "ref_audio": "AAAA", "ref_text": "Nothing."})
                assert "too many recordings" in ws.until("error")[-1]["message"]
            with server.websocket("/v1/realtime") as ws:
                assert ws.message()["type"] == "session.created"
                ws.send({"type": "session.update", "session": {}})
                assert ws.message()["type"] == "session.updated"
        socket_client.wait_for(lambda: server.speak(input=SAY, response_format="pcm").status == 200)
