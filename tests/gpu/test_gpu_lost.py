"""A GPU that breaks for the process, really: fault.c's kernel writes to a wrong address. What is open there, and what is
opened after, fails with F5_E_DEVICE and can be closed; the CPU works on; a new process speaks the same bits, and the
server becomes one by itself. (CUDA has no way back: after cudaDeviceReset every call says that the device is busy or
unavailable, seen on an H200 with driver 580.159.)

Each case is a process of its own, since the fault is the whole process'. The server is F5_PROGRAM, or what bench/pack.py
packed, or that of F5_BUILD.
"""
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "server"))

import running  # noqa: E402
from running import ROOT, SAY, settled  # noqa: E402

CHILD = """
import ctypes, hashlib, json, sys, threading
sys.path.insert(0, "tests")
import f5lib

model = sys.argv[1]
breaker = ctypes.CDLL(sys.argv[2]) if sys.argv[2:] else None
request = dict(tokens=list(range(1, 21)), frames=150, seed=5)

def opened(device="cuda"):
    return f5lib.Engine(model, device, max_frames=256, max_batch=2)

def bits(engine):
    return hashlib.sha256(engine.sample([request], nfe=5)[0].tobytes()).hexdigest()

def refused(call, *arguments):
    try:
        call(*arguments)
    except f5lib.Error as error:
        return [error.status, error.message]
    return "not refused"

def elsewhere(call, *arguments):  # in a thread that has used the GPU before, and will again
    out = []
    tasks.append((lambda: out.append(call(*arguments)), done := threading.Event()))
    wake.release()
    done.wait()
    return out[0]

def work():
    while True:
        wake.acquire()
        task, done = tasks.pop()
        task()
        done.set()

tasks, wake = [], threading.Semaphore(0)
threading.Thread(target=work, daemon=True).start()
with opened("cpu") as e:
    on_cpu = bits(e)
first, second = opened(), opened()
told = dict(bits=[bits(first), elsewhere(bits, second), bits(first)])
if breaker:
    told.update(launched=breaker.fault_gpu(0), first=refused(bits, first), second=elsewhere(refused, bits, second), again=refused(bits, first),
                third=refused(opened))
first.close()
second.close()
if breaker:
    told["closed"] = refused(opened)
with opened("cpu") as e:
    told["cpu"] = bits(e) == on_cpu
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def breaker(tmp_path_factory):
    return running.preloaded(tmp_path_factory.mktemp("fault"), "tests/gpu/fault.c", "-ldl")


def test_engines_after_a_fault(demo, breaker):
    def child(*more):
        result = subprocess.run([sys.executable, "-c", CHILD, demo[0], *more], capture_output=True, text=True, cwd=ROOT, timeout=120)
        assert result.returncode == 0, result.stderr[-2000:]
        return json.loads(result.stdout)

    told, new = child(breaker), child()
    print(json.dumps(told, indent=1))
    assert told["launched"] == 0
    for name in ("first", "second", "again", "third", "closed"):
        assert told[name][0] == "F5_E_DEVICE" and "configure" not in told[name][1], name
    assert {*told["bits"]} == {*new["bits"]} and len({*new["bits"]}) == 1 and told["cpu"] and new["cpu"]


@pytest.fixture
def program(demo, monkeypatch):
    """One that serves; the library that it loads is F5_BUILD's."""
    packed = Path(os.environ.get("F5_PROGRAM") or ROOT / ".gpu" / "f5tts")
    built = Path(os.environ.get("F5_BUILD") or ROOT / "build") / "bin" / "f5tts"
    path = packed if packed.exists() else built
    said = subprocess.run([path, "serve", "--check_config", f"--model={demo[0]}"], capture_output=True, text=True, check=False).stderr
    if "has no server" in said:
        pytest.skip("this build has no server; bench/pack.py packs one")
    monkeypatch.setenv("F5_PROGRAM", str(path))


def test_a_server_after_a_fault(demo, breaker, program, tmp_path):
    """The request fails by a status that says to come again; /readyz tells; then the same bytes are heard. Twice."""
    fault = tmp_path / "fault"
    with running.Server(demo[0], "--device=cuda:0", "--max_frames=1024",
                        env=dict(LD_PRELOAD=breaker, F5_TEST_FAULT=str(fault))) as server:
        def heard():
            reply = server.speak(input=SAY, response_format="pcm", seed=7, nfe_step=5)
            assert reply.status == 200 and len(reply.body) > 10000, reply.body[:300]
            return reply.body

        def ready():
            try:
                return server.get("/readyz").status
            except OSError:  # the program begins anew
                return "no server"

        before, pid = heard(), server.pid
        assert heard() == before
        for _ in range(2):
            seen, over = [], threading.Event()

            def watch():
                while not over.is_set():
                    seen.append(ready())

            watcher = threading.Thread(target=watch)
            watcher.start()
            fault.write_text("")
            reply = server.speak(input=SAY, response_format="pcm", seed=7, nfe_step=5)
            assert settled(lambda: {*seen} > {200}, True), server.errors
            assert settled(lambda: seen[-1], 200) == 200, server.errors
            over.set()
            watcher.join()
            assert reply.status == 503 and reply.headers["Retry-After"] and reply.json["error"]["type"] == "server_error", reply.body
            assert {*seen} <= {200, 503, "no server"}
            assert heard() == before and server.pid == pid
        assert sum("begins anew" in line for line in server.errors) == 2
        print("\n" + "\n".join(re.sub(r"127.0.0.1:\d+", "...", line) for line in server.errors))
        assert server.stop()[0] == 0, server.errors
