"""check_leaks.py — is all given back? check_server.py's check `leaks`: the real server loads and unloads the models again and
again, with what goes wrong in between, and live_blocks.c tells what of ours is left after each time."""
import json
import socket
import struct
import subprocess
import sys
import time

from live_blocks import LiveBlocks, functions, told
from real_server import Server

KILLED = ("import sys; sys.path.insert(0, {folder!r}); import check_server as c\n"
          "import tritonclient.grpc as g, time\nwav, words = c.load_voice()\nt = g.InferenceServerClient('127.0.0.1:{port}')\n"
          "t.start_stream(lambda result, error: print('heard', flush=True))\n"
          "t.async_stream_infer('f5_tts_stream', c.tensors(g, wav, words, c.LONG))\nprint('sent', flush=True); time.sleep(100)")
BENEATH = 10  # blocks that others allocated below us: so many more of one kind in 40 loads are a leak, fewer a cache
SETTLED = 100  # tenths of a second


def killed_client(server, folder, heard):
    """In the middle of its stream, or before its first piece."""
    script = KILLED.format(folder=folder, port=server.grpc_port)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as client:
        for word in (b"sent\n", b"heard\n")[:1 + heard]:
            assert client.stdout.readline() == word
        time.sleep(0.2)
        client.kill()


def reset_stream(server, check):
    """A client of HTTP that goes when it has heard its first piece."""
    wav, words = check.load_voice()
    asked = json.dumps({"reference_wav": wav.tolist(), "reference_text": words, "target_text": check.LONG[:120], "nfe_step": 1}).encode()
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=120) as s:
        s.sendall(b"POST /v2/models/f5_tts_stream/generate_stream HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(asked) + asked)
        heard = b""
        while b"data: " not in heard:
            part = s.recv(65536)
            assert part, heard
            heard += part
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def one_load(server, check, i):
    """Both models are loaded, asked and unloaded."""
    for model in ("f5_tts", "f5_tts_stream"):
        status, answer = server.ask(f"/v2/repository/models/{model}/load", {})
        assert status == 200, answer
    wav, words = check.load_voice()
    good = check.body(wav, words, "Yes.", nfe_step=1)
    if i % 5 == 0:
        assert server.ask(check.INFER, good)[0] == 200
    for bad in ({"parameters": {"nfe_step": 0}}, {"parameters": {"speed": "fast"}}, {"inputs": good["inputs"][:3]},
                {"inputs": [*good["inputs"][:3], {**good["inputs"][3], "data": ["a\0b"]}]},
                {"inputs": [{**good["inputs"][0], "data": [0.0] * len(wav)}, *good["inputs"][1:]]}):
        assert server.ask(check.INFER, {**good, **bad})[0] == 400
    if i % 10 == 1:
        killed_client(server, str(check.ROOT / "tests/triton_server"), i % 20 == 1)
    elif i % 2 == 0:
        reset_stream(server, check)
    for model in ("f5_tts_stream", "f5_tts"):
        assert server.ask(f"/v2/repository/models/{model}/unload", {})[0] == 200
    check.wait_unloaded(server)


def left(blocks, libraries):
    """(counters, ours, {who asked: blocks that were allocated below us}) when nothing of ours is left, or after a time. The
    server keeps the backend itself when its models have gone."""
    for _ in range(SETTLED):
        counters, all_blocks = blocks.read()
        ours = [b for b in all_blocks if b.directly and functions(b.frames, *libraries)[-1] != "TRITONBACKEND_Initialize"]
        if not ours:
            break
        time.sleep(0.1)
    return counters, ours, {b.frames: b for b in all_blocks if not b.directly}


def check_leaks(a, check, repository, folder, times=50, plant=0):
    """Nothing that we allocated is left after any unload; what others allocated below us does not grow."""
    blocks = LiveBlocks(folder, "tritonserver", plant)
    libraries = a.backends / "f5tts/libtriton_f5tts.so", a.backends.parents[1] / "libf5tts.so.0"
    log, seen = f"{folder}/leaks.log", []
    with Server(a.venv, a.backends, repository, log, explicit=True, preload=blocks.preload, more=blocks.environment) as server:
        for i in range(times):
            one_load(server, check, i)
            counters, ours, beneath = left(blocks, libraries)
            assert not ours, f"left after load {i + 1}:\n" + "\n".join(told(b, *libraries) for b in ours)
            seen.append((beneath, server.threads(), server.files()))
        code = server.stop()
    counters, blocks_left = blocks.read()
    ours = [b for b in blocks_left if b.directly]
    assert not ours, "left at the server's end:\n" + "\n".join(told(b, *libraries) for b in ours)
    assert code in (0, 124, 143), code
    (before, threads, files), (after, *now) = seen[9], seen[-1]
    grown = [b for who, b in after.items() if b.count - (before[who].count if who in before else 0) >= BENEATH]
    assert not grown, f"more from load 10 to {times}:\n" + "\n".join(told(b, *libraries) for b in grown)
    assert now[0] <= threads + 2 and now[1] <= files + 2, f"threads {threads} -> {now[0]}, files {files} -> {now[1]}"
    assert counters["made"] > 100 * times, counters
    return (f"{times} loads: {counters['made']} blocks made, 0 of ours left after each and at the end; below us {sum(b.count for b in before.values())} after 10, "
            f"{sum(b.count for b in after.values())} after {times}; threads {threads} -> {now[0]}, files {files} -> {now[1]}")
