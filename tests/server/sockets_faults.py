#!/usr/bin/env python3
"""sockets_faults.py — clients of the server's sockets that leave at random moments, read slowly or not at all, while a
good client is served.

    F5_BUILD=build /usr/bin/python3 tests/server/sockets_faults.py [--leave 300] [--model FILE.f5] [--sanitized]

With a tiny model of random weights unless --model names another. Prints memory and descriptors before, on the way and
after, and what the good client saw; exits 1 if descriptors are left open, if memory grew by more than 8 MB in the last two
fifths (not with --sanitized, which keeps for a while what is freed), or if the good client failed. Not a part of `make
test`: it takes a minute or two.
"""
import argparse
import json
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import convert_lib  # noqa: E402
from socket_client import Server, frame, wait_for  # noqa: E402

SPEECH, REALTIME = "/v1/audio/speech/stream", "/v1/realtime"
TEXT = "A sentence that goes unheard, and another part of it. "


def speech_bytes(chance):
    """What a client of the speech socket sends, as bytes that can be cut anywhere."""
    config = {"type": "session.config", "response_format": chance.choice(["pcm", "wav", "mp3", "opus"]),
              "stream_audio": chance.random() < 0.5, "split_granularity": chance.choice(["sentence", "clause", "none"])}
    sent = [config] + [{"type": "input.text", "text": TEXT * chance.randint(1, 4)} for _ in range(chance.randint(1, 4))]
    sent += [{"type": chance.choice(["input.done", "input.commit", "input.cancel", "session.close"])}]
    return b"".join(frame(0x81, json.dumps(event).encode()) for event in sent)


def realtime_bytes(chance):
    item = {"role": "user", "content": [{"type": "input_text", "text": TEXT * chance.randint(1, 8)}]}
    sent = [{"type": "session.update", "session": {"audio": {"output": {"voice": "rms"}}}},
            {"type": "response.create", "response": {"input": [item]}}]
    sent += [{"type": "response.cancel"}] * chance.randint(0, 1)
    return b"".join(frame(0x81, json.dumps(event).encode()) for event in sent)


def wyoming_bytes(chance):
    sent = chance.choice([
        [{"type": "describe"}, {"type": "synthesize", "data": {"text": TEXT * chance.randint(1, 6)}}],
        [{"type": "synthesize-start"}] + [{"type": "synthesize-chunk", "data": {"text": TEXT}}] * chance.randint(1, 6)
        + [{"type": "synthesize-stop"}]])
    return b"".join(json.dumps(event).encode() + b"\n" for event in sent)


def leave(server, chance):
    """One client: sends a part of what it has, reads a part of what comes, leaves by a reset or a close."""
    kind = chance.randrange(3)
    stream = server.wyoming() if kind == 2 else server.websocket((SPEECH, REALTIME)[kind])
    data = (speech_bytes, realtime_bytes, wyoming_bytes)[kind](chance)
    try:
        stream.raw(data[:chance.choice([len(data), chance.randint(0, len(data))])])
        stream.connection.settimeout(chance.choice([0.001, 0.05, 0.2, 0.5]))
        stream.connection.recv(chance.choice([1, 1000, 100000]))
        time.sleep(chance.random() * 0.1)
    except OSError:
        pass
    if chance.random() < 0.5:
        stream.reset()
    else:
        stream.__exit__()


def good_client(server, stop, seen):
    """Speaks one short sentence after another, and measures."""
    with server.websocket(SPEECH) as ws:
        ws.send({"type": "session.config", "response_format": "pcm", "stream_audio": True})
        ws.message()
        while not stop.is_set():
            began = time.monotonic()
            ws.send({"type": "input.text", "text": "Good day."})
            ws.send({"type": "input.done"})
            messages = ws.until("session.done")
            if not any(isinstance(m, bytes) for m in messages) or messages[-1]["type"] != "session.done":
                seen.append(None)
                return
            seen.append(time.monotonic() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--leave", type=int, default=300)
    parser.add_argument("--model")
    parser.add_argument("--sanitized", action="store_true")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    chance = random.Random(options.seed)
    print(f"--seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="f5_faults_") as folder:
        model = options.model
        if not model:
            made = convert_lib.rc.make_checkpoint(Path(folder), arch="tiny", seed=1)
            model = Path(folder) / "tiny.f5"
            assert convert_lib.convert(made, model).returncode == 0
        with Server(model, "--wyoming_port=0", "--slow_seconds=2", sanitized=options.sanitized) as server:
            return run(server, options.leave, chance, 1e9 if options.sanitized else 8e6)


def run(server, count, chance, growth):
    stop, seen = threading.Event(), []
    good = threading.Thread(target=good_client, args=(server, stop, seen))
    good.start()
    wait_for(lambda: seen)
    before = server.descriptors()
    stuck = [server.websocket(SPEECH, room=4096) for _ in range(3)]  # they ask for much and read nothing
    for ws in stuck:
        ws.raw(frame(0x81, json.dumps({"type": "session.config", "response_format": "pcm"}).encode())
               + frame(0x81, json.dumps({"type": "input.text", "text": TEXT * 1000}).encode()))
    early = memory = server.memory()
    for n in range(count):
        leave(server, chance)
        if n % (count // 5) == 0:
            memory = server.memory()
            early = memory if n <= count * 3 // 5 else early
            print(f"{n} left: {memory / 1e6:.1f} MB, {server.descriptors()} descriptors, good client: {len(seen)} served")
    wait_for(lambda: server.descriptors() <= before)
    stop.set()
    good.join(60)
    memory, left = server.memory(), server.descriptors()
    for ws in stuck:
        ws.reset()
    times = sorted(t for t in seen if t is not None)
    print(f"end: {memory / 1e6:.1f} MB, {left} descriptors ({before} before); good client: {len(times)} served, median "
          f"{times[len(times) // 2] * 1000:.0f} ms, most {times[-1] * 1000:.0f} ms")
    failed = None in seen or left > before or memory - early > growth
    print("failed" if failed else "passed")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
