"""Several engines: the least busy one is taken; one whose device is lost is opened again, or the program begins anew."""
import signal
from pathlib import Path

import pytest

import running
from running import SAY


@pytest.fixture(scope="session")
def taken_away(tmp_path_factory):
    return running.preloaded(tmp_path_factory.mktemp("lost"), "tests/server/lost_device.c", "-ldl")


@pytest.fixture(scope="session")
def faulty(tmp_path_factory):
    return running.preloaded(tmp_path_factory.mktemp("faulty"), "tests/server/faulty_gpu.c", "-ldl", "-lpthread")


def heard(server, seed=1):
    reply = server.speak(input=SAY, response_format="pcm", seed=seed)
    assert reply.status == 200 and len(reply.body) > 10000, reply.body[:200]
    return reply.body


def calls(server, engines):
    m = server.metrics()
    return [m[f'f5tts_engine_calls_total{{engine="{i}"}}'] for i in range(engines)]


def test_the_least_busy_engine_is_taken(start):
    """Who comes is given to the one that has the least to do, of equals the first, and hears the same."""
    server = start("--device=cpu,cpu,cpu", "--running=4", "--slow_seconds=600")
    assert calls(server, 3) == [0, 0, 0]
    with running.endless(server, 1):
        assert running.settled(lambda: calls(server, 3)[0] > 0, True)
        bodies = {heard(server) for _ in range(3)}
        assert calls(server, 3)[1] >= 3 and calls(server, 3)[2] == 0
        before = calls(server, 3)[1]
        with running.endless(server, 1):
            assert running.settled(lambda: calls(server, 3)[1] > before, True)
            bodies.add(heard(server))
            assert calls(server, 3)[2] > 0
        assert len(bodies) == 1


def test_a_lost_device(start, tmp_path, taken_away):
    """Requests fail with 503, the server says that it is not ready, opens its engine again, and goes on."""
    flag = tmp_path / "lost"
    server = start("--device=cpu,cpu", "--warm=0.5", env=dict(LD_PRELOAD=taken_away, F5_TEST_LOST=str(flag)))
    before = heard(server)
    flag.write_text("")
    statuses = [server.speak(input=SAY, response_format="pcm").status for _ in range(2)]
    assert statuses == [503, 503]
    assert running.settled(lambda: server.get("/readyz").status, 503) == 503 and server.get("/livez").status == 200
    reply = server.speak(input=SAY)
    assert reply.status == 503 and reply.json["error"]["code"] == "not_ready" and reply.headers["Retry-After"]
    assert server.metrics()["f5tts_engines_ready"] == 0
    flag.unlink()
    assert running.settled(lambda: server.get("/readyz").status, 200) == 200
    assert running.settled(lambda: server.metrics()["f5tts_engines_ready"], 2) == 2
    assert heard(server) == before
    assert server.metrics()["f5tts_engines_reopened_total"] == 2
    assert any("the test took the device away" in line for line in server.errors)


def test_a_fault_on_one_gpu_of_two(start, tmp_path, faulty):
    """Two engines share the first: both are closed before one is opened again, also where a client hears the other one. The
    second GPU speaks all the while."""
    fault = tmp_path / "fault"
    server = start("--device=cuda,cuda:0,cuda:1", "--slow_seconds=600", env=dict(LD_PRELOAD=faulty, F5_TEST_FAULT=str(fault)))
    before = heard(server)
    with running.endless(server, 1), running.endless(server, 1):
        assert running.settled(lambda: min(calls(server, 3)[:2]) > 0, True)
        fault.write_text("0")
        with running.endless(server, 1):  # on the second GPU
            assert running.settled(lambda: calls(server, 3)[2] > 0, True)
            reply = server.speak(input=SAY, response_format="pcm")  # on the first
            assert reply.status == 503 and reply.headers["Retry-After"] and reply.json["error"]["type"] == "server_error", reply.body
            assert heard(server) == before
            assert running.settled(lambda: server.metrics()["f5tts_engines_reopened_total"], 2) == 2
            assert server.metrics()["f5tts_engines_ready"] == 3 and not fault.exists()
            assert heard(server) == before
    assert sum("is lost" in line for line in server.errors) == 1 and not any("anew" in line for line in server.errors)
    assert server.stop()[0] == 0, server.errors


def test_one_gpu_that_stays_lost_of_two(start, tmp_path, faulty):
    """The other one goes on, and nothing begins anew."""
    fault = tmp_path / "fault"
    server = start("--device=cuda:0,cuda:1", env=dict(LD_PRELOAD=faulty, F5_TEST_FAULT=str(fault)))
    before = heard(server)
    fault.write_text("0 stays")
    assert server.speak(input=SAY, response_format="pcm").status == 503
    assert running.settled(lambda: sum(line == "f5tts serve: cuda:0: the test broke the GPU" for line in server.errors) > 1, True)  # tried again
    assert server.get("/readyz").status == 200 and server.metrics()["f5tts_engines_ready"] == 1
    assert heard(server) == before
    assert server.stop()[0] == 0 and not any("anew" in line for line in server.errors)


def test_a_gpu_that_only_a_new_process_can_use(start, tmp_path, faulty):
    """The program begins anew with its arguments, as the same process, and says the same; also a second time."""
    fault = tmp_path / "fault"
    server = start("--device=cuda:0", "--model_id=kept", env=dict(LD_PRELOAD=faulty, F5_TEST_FAULT=str(fault)))
    before, pid = heard(server), server.pid
    for times in (1, 2):
        fault.write_text("0 stays")
        assert server.speak(input=SAY, response_format="pcm").status == 503
        assert running.settled(lambda: sum("ready at" in line for line in server.errors), times + 1) == times + 1, server.errors
        assert server.pid == pid and server.get("/v1/models/kept").status == 200
        assert server.metrics()["f5tts_engines_reopened_total"] == 0
        assert heard(server) == before
    assert server.stop()[0] == 0, server.errors


def test_an_end_while_the_program_begins_anew(start, tmp_path, faulty):
    """It waits for a client whose request has begun; SIGTERM makes an ordinary end of that, and a second one ends it."""
    fault = tmp_path / "fault"
    server = start("--device=cuda:0", "--drain_seconds=600", "--body_seconds=600", env=dict(LD_PRELOAD=faulty, F5_TEST_FAULT=str(fault)))
    with server.connect() as slow:
        slow.sendall(running.post_bytes(dict(input=SAY))[:-1])
        fault.write_text("0 stays")
        assert server.speak(input=SAY, response_format="pcm").status == 503
        assert running.settled(lambda: any("begins anew when" in line for line in server.errors), True), server.errors
        server.signal(signal.SIGTERM)
        assert running.settled(lambda: any("ends when" in line for line in server.errors), True), server.errors
        server.signal(signal.SIGTERM)
        assert server.process.wait(running.SECONDS) == 0, server.errors
    assert sum("ready at" in line for line in server.errors) == 1


def test_an_end_while_an_engine_is_being_opened_again(start, tmp_path, faulty):
    """The keeper of the engines finds that the GPU is lost for good when nobody is left to be told."""
    fault = tmp_path / "fault"
    dead, wait, waits = (tmp_path / f"fault.{ending}" for ending in ("0", "wait", "waits"))
    server = start("--device=cuda:0", env=dict(LD_PRELOAD=faulty, F5_TEST_FAULT=str(fault), MALLOC_PERTURB_="165"))
    threads = lambda: len(list(Path(f"/proc/{server.pid}/task").iterdir()))  # noqa: E731
    wait.write_text("")
    dead.write_text("")
    assert server.speak(input=SAY, response_format="pcm").status == 503
    assert running.settled(waits.exists, True)
    server.signal(signal.SIGTERM)
    assert running.settled(lambda: threads() <= 2, True)  # the loop's and the keeper's
    wait.unlink()
    assert server.process.wait(running.SECONDS) == 0, server.errors
    assert not any("anew" in line for line in server.errors)


def test_of_two_lost_gpus_one_can_be_opened_again(start, tmp_path, faulty):
    """The other one, which stays lost, is tried first: nothing begins anew."""
    fault = tmp_path / "fault"
    wait, waits = tmp_path / "fault.wait", tmp_path / "fault.waits"
    server = start("--device=cuda:0,cuda:1", env=dict(LD_PRELOAD=faulty, F5_TEST_FAULT=str(fault)))
    before = heard(server)
    wait.write_text("")
    for what in ("0 stays", "1"):
        fault.write_text(what)
        assert server.speak(input=SAY, response_format="pcm").status == 503
        assert running.settled(waits.exists, True)
    wait.unlink()
    assert running.settled(lambda: server.metrics()["f5tts_engines_ready"], 1) == 1, server.errors
    assert heard(server) == before
    assert server.stop()[0] == 0 and not any("anew" in line for line in server.errors)
