#!/usr/bin/env python3
"""torture.py — what takes too long for `make test`: clients by the hundred that are slow, leave, flood, and a server that is
killed. `make soak` runs all of it.

    tests/server/torture.py [--model FILE.f5] [--seconds 60] [--soak 1200] [disconnects slow overload streams kill metrics soak]

Prints a line of figures for each; exits 1 if one is beyond its bar. The bars: memory and descriptors flat, a good client's
p95 below twice its own without the others, refusals within 50 ms in the server, no answer of 500 ever.
"""
import argparse
import http.client
import json
import multiprocessing
import os
import random
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "server")]

import numpy as np  # noqa: E402

import convert_lib  # noqa: E402
import encoder_lib  # noqa: E402
import running  # noqa: E402

SAY = "Say these few words, please."
LONG = " ".join(f"This is sentence number {i} of a long text." for i in range(60))
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")


def settle(server):
    running.settled(lambda: running.idle(server), 0)
    return running.idle(server)


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def p95(times):
    return sorted(times)[int(0.95 * (len(times) - 1))]


def of_status(server, first):
    """Answers in /metrics whose status begins with that digit."""
    return sum(v for k, v in server.metrics().items() if k.startswith("f5tts_http_requests_total") and f'status="{first}' in k)


def disconnects(options):
    """1,000 clients leave at random moments: before, while and after their speech is made and sent."""
    with running.Server(options.model, "--running=4", "--waiting=64") as server:
        def one(i):
            rng = random.Random(i)
            s = server.connect()
            body = dict(input=LONG if i % 2 else SAY, response_format=rng.choice(FORMATS), nfe_step=1, stream_format=rng.choice(("audio", "sse")))
            data = running.post_bytes(body)
            s.sendall(data[:rng.randrange(len(data))] if i % 5 == 0 else data)
            time.sleep(rng.choice((0, 0.01, 0.1, 0.5)) * rng.random())
            if i % 3 == 0:
                s.settimeout(0.05)
                try:
                    s.recv(rng.randrange(1, 5000))
                except OSError:
                    pass
            reset(s) if i % 4 else s.close()

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(one, range(200)))
            settle(server)
            memory, descriptors = server.memory(), server.descriptors()
            list(pool.map(one, range(200, 1200)))
        began = time.monotonic()
        left = settle(server)
        stopped = time.monotonic() - began
        growth, more = server.memory() - memory, server.descriptors() - descriptors
        cancelled = server.metrics()['f5tts_speech_total{outcome="cancelled"}']
        good = server.speak(input=SAY, response_format="pcm").status
        print(f"disconnects: 1000 after 200: memory {memory >> 20} MB {growth / 2**20:+.2f} MB, descriptors {descriptors} {more:+d}, "
              f"{cancelled:.0f} cancelled, {left:.0f} left, all work over {stopped:.2f} s after the last, next request {good}, "
              f"500s {of_status(server, 5):.0f}", flush=True)
        return growth < 8 << 20 and more <= 0 and left == 0 and good == 200


def slow_clients(port, pipe):
    """A process of its own, lest it take time from the client that measures: 490 slow heads and bodies and 10 slow readers from each
    True that comes until the next False, upon which the counts of those that were cut go back."""
    os.nice(10)
    cut, held, awake = [0, 0, 0], [], False

    def open_one(kind):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", port))
        if kind == 1:
            s.sendall(b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{")
        if kind == 2:
            s.sendall(running.post_bytes(dict(input=SAY, response_format="pcm", nfe_step=1)))
        s.setblocking(False)
        return [kind, s]

    def drip(one):
        kind, s = one
        try:
            if kind == 2:
                ended = s.recv(16) == b""
            else:
                s.send(b"G" if kind == 0 else b" ")
                ended = bool(s.recv(1000))
        except BlockingIOError:
            return
        except OSError:
            ended = True
        if ended:
            cut[kind] += 1
            held.remove(one)
            s.close()

    while True:
        if pipe.poll(0.4 if awake else None):
            awake = pipe.recv()
            if awake is None:
                return
            if not awake:
                for _, s in held:
                    s.close()
                held = []
                pipe.send(cut)
        while awake and len(held) < 500:
            held.append(open_one(2 if sum(kind == 2 for kind, _ in held) < 10 else len(held) % 2))
        for one in list(held):
            drip(one)


def slow(options):
    """A good client by itself and among 500 slow ones, by turns of 5 and 15 seconds."""
    with running.Server(options.model, "--running=4", "--connections=1024", "--head_seconds=10", "--body_seconds=10",
                        "--slow_seconds=10", descriptors=4096) as server:
        def good(seconds, times):
            end, n, busy = time.monotonic() + seconds, 0, server.cpu_seconds(loop=True)
            while time.monotonic() < end or n < 10:
                began = time.monotonic()
                reply = server.speak(input=SAY, response_format="pcm")
                assert reply.status == 200, reply.body
                times.append(time.monotonic() - began)
                n += 1
            return (server.cpu_seconds(loop=True) - busy) / (time.monotonic() - end + seconds)

        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=slow_clients, args=(server.port, theirs), daemon=True)
        process.start()
        alone, among, loop, cut = [], [], [[], []], [0, 0, 0]
        good(2, [])
        for _ in range(max(2, round(options.seconds / 20))):
            loop[0].append(good(5, alone))
            ours.send(True)
            time.sleep(1)
            loop[1].append(good(15, among))
            ours.send(False)
            cut = ours.recv()
            settle(server)
        ours.send(None)
        process.join(10)
        before, after = p95(alone), p95(among)
        print(f"slow: 500 by turns with none, {len(loop[0])} times: cut heads {cut[0]}, bodies {cut[1]}, readers {cut[2]}; a good client's p50 "
              f"{1e3 * statistics.median(alone):.1f} -> {1e3 * statistics.median(among):.1f} ms, p95 {1e3 * before:.1f} -> {1e3 * after:.1f} ms "
              f"({after / before:.2f} x) of {len(alone)} and {len(among)}; the loop's thread {100 * statistics.mean(loop[0]):.1f} -> "
              f"{100 * statistics.mean(loop[1]):.1f} % of a core; 500s {of_status(server, '500'):.0f}; memory {server.memory() >> 20} MB", flush=True)
        return after < 2 * before and cut[0] > 0 and cut[1] > 0 and of_status(server, "500") == 0


def overload(options):
    """Ten times what runs and waits, at once, three times."""
    with running.Server(options.model, "--running=4", "--waiting=16", log="json") as server:
        server.speak(input=SAY)
        bad = 0
        for _ in range(3):
            with ThreadPoolExecutor(200) as pool:
                replies = list(pool.map(lambda i: server.speak(input=SAY, response_format="pcm", nfe_step=4, seed=i, timeout=300), range(200)))
            kinds = [r.status for r in replies]
            bad += sum(k not in (200, 503) for k in kinds) + sum(r.status == 200 and len(r.body) < 10000 for r in replies)
        # from when a request is there: between its head and its body a client of 200 may wait for a processor
        times = [r["seconds"] - r["received"] for r in map(json.loads, server.lines) if r["status"] == 503]
        print(f"overload: 3 x 200 at 4 running and 16 waiting: {3 * 200 - len(times)} spoken, {len(times)} refused, refusal p50 "
              f"{1e3 * statistics.median(times):.2f} ms, p99 {1e3 * sorted(times)[int(.99 * len(times))]:.2f} ms, worst {1e3 * max(times):.2f} ms; "
              f"{bad} other", flush=True)
        return bad == 0 and max(times) < 0.05


def streams(options):
    """64 clients hear speech at its own pace from an engine that costs nothing (paced_engine.c): the server's CPU time, and how much
    of it the encoder takes for the same samples by itself, in the same minute. What is left is the server's own."""
    told, good, wave = [], True, paced_samples()
    library = encoder_lib.library()

    def encoder_seconds(form):
        began = time.process_time()
        encoders = [encoder_lib.Encoder(library, "raw" if form == "pcm" else form) for _ in range(64)]
        for _ in range(20):
            for e in encoders:  # by turns, as in the server: none finds its state in the cache
                e.add(wave)
        for e in encoders:
            e.end()
            e.close()
        return time.process_time() - began

    with tempfile.TemporaryDirectory(prefix="f5_paced_") as folder:
        with running.Server(options.model, "--running=64", "--threads=1", log="json", env=running.paced(folder)) as server:
            for form, more in (("pcm", {}), ("pcm", dict(stream_format="sse")), ("mp3", {}), ("opus", {}), ("flac", {}), ("aac", {})):
                cpu, loop, began = server.cpu_seconds(), server.cpu_seconds(loop=True), time.monotonic()
                with ThreadPoolExecutor(64) as pool:
                    sizes = [len(r.body) for r in pool.map(lambda i: server.speak(input=SAY, response_format=form, **more), range(64))]
                wall = time.monotonic() - began
                share, loop = (server.cpu_seconds() - cpu) / wall, (server.cpu_seconds(loop=True) - loop) / wall
                encoder = encoder_seconds(form) / wall
                told.append(f"{form}{' sse' if more else ''} {100 * share:.1f} (the loop's thread {100 * loop:.1f}; the encoder alone "
                            f"{100 * encoder:.1f}, left {100 * (share - encoder):.1f})")
                good = good and min(sizes) > 10000 and share - encoder < 0.05
    print("streams: 64 at once, each at the pace of speech, CPU in per cent of a core: " + "; ".join(told), flush=True)
    return good


def paced_samples():
    k = np.arange(running.PACED_SAMPLES)
    return (0.3 * np.sin(k * 0.05) + 0.05 * (k * 7919 % 101) / 101).astype(np.float32)


def kill(options):
    """kill -9 under load, 20 times; each time it starts again and speaks. kill_uploads.py does it while voices come."""
    starts = []
    for i in range(20):
        began = time.monotonic()
        with running.Server(options.model, "--running=2") as server:
            starts.append(time.monotonic() - began)
            for _ in range(4):
                s = server.connect()
                s.sendall(running.post_bytes(dict(input=LONG, response_format="pcm", nfe_step=1)))
            assert server.speak(input=SAY, response_format="pcm").status == 200
            time.sleep(random.random() * 0.2)
            server.kill()
    print(f"kill: 20 times under load, start until ready p50 {statistics.median(starts):.2f} s, worst {max(starts):.2f} s", flush=True)
    return True


def metrics(options):
    """1,000 requests of many kinds; /metrics has the client's own count."""
    with running.Server(options.model, "--running=4", "--waiting=100") as server:
        kinds, seconds, lock = {}, [], threading.Lock()

        def one(i):
            fields = [dict(input=SAY, response_format="pcm"), dict(input=SAY, response_format="pcm", stream=True), dict(input=3),
                      dict(input=SAY, model="none"), dict(input=SAY, response_format="pcm", fix_duration=500)][i % 5]
            reply = server.speak(**fields)
            with lock:
                kinds[reply.status] = kinds.get(reply.status, 0) + 1
                if reply.status == 200:
                    seconds.append(len(reply.body) / 48000)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(one, range(1000)))
        m = server.metrics()
        told = {s: m[f'f5tts_http_requests_total{{route="/v1/audio/speech",method="POST",status="{s}"}}'] for s in kinds}
        same = told == kinds and abs(m["f5tts_audio_seconds_total"] - sum(seconds)) < 1e-3 and m["f5tts_request_seconds_count"] == kinds[200]
        print(f"metrics: the client counts {kinds} and {sum(seconds):.3f} s, /metrics {told} and {m['f5tts_audio_seconds_total']:.3f} s: "
              f"{'equal' if same else 'DIFFERENT'}", flush=True)
        return same


def soak(options):
    """Mixed clients for a long time, faults among them; memory is looked at after the first tenth and at the end."""
    with running.Server(options.model, "--running=4", "--waiting=64", "--slow_seconds=3", "--voice_alias=alloy=slt",
                        life=options.soak + 600) as server:
        end, counts, lock, wrong = time.monotonic() + options.soak, {}, threading.Lock(), []

        def count(name):
            with lock:
                counts[name] = counts.get(name, 0) + 1

        def client(seed):
            rng = random.Random(seed)
            while time.monotonic() < end:
                kind = rng.choice(("speak", "speak", "speak", "sse", "long", "bad", "leave", "hostile", "batch", "list"))
                try:
                    if kind in ("speak", "sse", "long"):
                        r = server.speak(input=LONG[:700] if kind == "long" else SAY, response_format=rng.choice(FORMATS), timeout=300,
                                         voice=rng.choice(("slt", "rms", "awb", "alloy")), stream_format="sse" if kind == "sse" else "audio")
                        good = r.status == 200 and len(r.body) > 1000
                    elif kind == "bad":
                        good = server.speak(input=rng.choice((3, "", None, SAY)), speed=9).status == 400
                    elif kind == "leave":
                        s = server.connect()
                        s.sendall(running.post_bytes(dict(input=LONG, response_format="pcm", nfe_step=1)))
                        time.sleep(rng.random() * 0.3)
                        reset(s)
                        good = True
                    elif kind == "hostile":
                        good = b" 500 " not in server.raw(bytes(rng.randrange(256) for _ in range(rng.randrange(1, 300))), wait=0.2)
                    elif kind == "batch":
                        r = server.speak(path="/v1/audio/speech/batch", items=[dict(input=SAY)] * 3, timeout=300)
                        good = r.status == 200 and r.json["succeeded"] == 3
                    else:
                        good = all(server.get(p).status == 200 for p in ("/v1/models", "/v1/audio/voices", "/metrics", "/readyz"))
                except (OSError, http.client.HTTPException) as e:
                    good = f"{type(e).__name__}: {e}"
                count(kind)
                if good is not True:
                    wrong.append((kind, good))

        threads = [threading.Thread(target=client, args=(i,)) for i in range(6)]
        for t in threads:
            t.start()
        samples = []
        while time.monotonic() < end:
            time.sleep(min(10, max(0.1, options.soak / 60)))
            samples.append(server.memory())
        for t in threads:
            t.join()
        settle(server)
        n = len(samples)
        first, middle, last = (statistics.median(samples[n * a // 10:n * b // 10]) for a, b in ((1, 4), (4, 7), (7, 10)))
        print(f"soak: {options.soak:.0f} s, {sum(counts.values())} requests {counts}, {len(wrong)} wrong {wrong[:3]}, memory "
              f"{first / 2**20:.1f} -> {middle / 2**20:.1f} -> {last / 2**20:.1f} MB ({100 * (last - middle) / middle:+.2f} % over the "
              f"last third), descriptors {server.descriptors()}, "
              f"500s {of_status(server, '500'):.0f}", flush=True)
        code, _ = server.stop()
        return not wrong and code == 0 and last - middle < 0.01 * middle


ALL = dict(disconnects=disconnects, slow=slow, overload=overload, streams=streams, kill=kill, metrics=metrics, soak=soak)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="default: a tiny random one")
    parser.add_argument("--seconds", type=float, default=60, help="of the slow clients")
    parser.add_argument("--soak", type=float, default=1200, help="seconds")
    parser.add_argument("names", nargs="*", help=", ".join(ALL))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="f5_torture_") as folder:
        if not options.model:
            made = convert_lib.rc.make_checkpoint(Path(folder), arch="tiny", seed=1)
            options.model = str(Path(folder) / "tiny.f5")
            result = convert_lib.convert(made, options.model)
            assert result.returncode == 0, result.stderr
        return not all([ALL[name](options) for name in options.names or ALL])


if __name__ == "__main__":
    sys.exit(main())
