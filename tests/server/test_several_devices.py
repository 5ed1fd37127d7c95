"""Several engines: the least busy one is taken; one whose device is lost is opened again, or the program begins anew."""
import os
import resource
import signal
import subprocess
from functools import partial
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


def readies(server):
    """So often the program got ready; 0: its newest port is not read yet."""
    lines = [line for line in server.errors if "ready at" in line]
    return len(lines) if lines[-1].endswith(f":{server.port}") else 0


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
    name = lambda: Path(f"/proc/{server.pid}/comm").read_text()  # noqa: E731
    before, pid, named = heard(server), server.pid, name()
    for times in (1, 2):
        fault.write_text("0 stays")
        assert server.speak(input=SAY, response_format="pcm").status == 503
        assert running.settled(lambda: readies(server), times + 1) == times + 1, server.errors
        assert server.pid == pid and name() == named and server.get("/v1/models/kept").status == 200
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
        server.wait_for_words("begins anew when")
        server.signal(signal.SIGTERM)
        server.wait_for_words("ends when")
        server.signal(signal.SIGTERM)
        assert server.process.wait(running.SECONDS) == 0, server.errors
    assert readies(server) == 1


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


def begun_in_vain(server):
    """So often the program that began anew could not open its engines."""
    return sum(line == "f5tts serve: no engine can be opened: begins anew in 10 s" for line in server.errors)


def reasons(server):
    return sum("the test broke the GPU" in line for line in server.errors)


def lose_for_all(server, fault):
    """GPU 0, for this program and for those that begin anew: until one of these has failed. Gives the file to take away."""
    failed, dead = begun_in_vain(server), fault.with_suffix(".0")
    dead.write_text("")
    assert server.speak(input=SAY, response_format="pcm").status == 503
    assert running.settled(lambda: begun_in_vain(server) > failed, True), server.errors
    return dead


def test_one_gpu_is_lost_for_good_and_one_for_the_process(start, tmp_path, faulty):
    """The program that begins anew goes on with the one that works, and takes the other when it works again."""
    fault, dead = tmp_path / "fault", tmp_path / "fault.1"
    server = start("--device=cuda:0,cuda:1", "--slow_seconds=600", env=dict(LD_PRELOAD=faulty, F5_TEST_FAULT=str(fault)))
    before = heard(server)
    first = calls(server, 2)[0]
    with running.endless(server, 1):
        assert running.settled(lambda: calls(server, 2)[0] > first, True)
        dead.write_text("")
        assert server.speak(input=SAY, response_format="pcm").status == 503  # on the second GPU
        assert server.metrics()["f5tts_engines_ready"] == 1
    assert running.settled(lambda: running.idle(server), 0) == 0
    fault.write_text("0 stays")
    assert server.speak(input=SAY, response_format="pcm").status == 503
    assert running.settled(lambda: readies(server), 2) == 2, server.errors
    assert server.get("/readyz").status == 200 and server.metrics()["f5tts_engines_ready"] == 1
    assert heard(server) == before
    dead.unlink()
    assert running.settled(lambda: server.metrics()["f5tts_engines_ready"], 2) == 2, server.errors
    assert server.stop()[0] == 0, server.errors


def test_auto_stays_what_it_was_found_to_be(start, tmp_path, faulty):
    """A GPU that does not work yet when the program begins anew is waited for: the CPU does not take its place."""
    fault = tmp_path / "fault"
    server = start("--device=auto", env=dict(LD_PRELOAD=faulty, F5_TEST_FAULT=str(fault)))
    dead = lose_for_all(server, fault)
    assert readies(server) == 1
    dead.unlink()
    server.signal(signal.SIGHUP)
    assert running.settled(lambda: readies(server), 2) == 2, server.errors
    assert server.stop()[0] == 0, server.errors


def test_signals_while_the_program_begins_anew(start, tmp_path, faulty):
    """SIGHUP lets it try at once, SIGTERM ends it; both are what they always are when it is ready again."""
    fault = tmp_path / "fault"
    server = start("--device=cuda:0", env=dict(LD_PRELOAD=faulty, F5_TEST_FAULT=str(fault)))
    dead = lose_for_all(server, fault)
    for _ in range(3):
        failed, told = begun_in_vain(server), reasons(server)
        server.signal(signal.SIGHUP)
        assert running.settled(lambda: begun_in_vain(server) > failed, True), server.errors
        assert reasons(server) - told == begun_in_vain(server) - failed  # why, once each time
    dead.unlink()
    server.signal(signal.SIGHUP)
    assert running.settled(lambda: readies(server), 2) == 2, server.errors
    server.signal(signal.SIGHUP)
    server.wait_for_words("were read again")
    lose_for_all(server, fault)
    server.signal(signal.SIGTERM)
    assert server.process.wait(running.SECONDS) == 0, server.errors
    assert not any("ends when" in line for line in server.errors)


def test_files_that_the_program_was_given_open(start, tmp_path, faulty, monkeypatch):
    """As a shell's 3< file gives them, and whatever their number: the program that begins anew has them too."""
    fault, keys = tmp_path / "fault", tmp_path / "keys"
    keys.write_text("sk-first\n")
    headers = {"Authorization": "Bearer sk-first"}
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    high = 3000 if most[1] == resource.RLIM_INFINITY or most[1] > 3000 else most[1] - 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(most[0], high + 1), most[1]))
    with open(keys, "rb") as given:
        numbers = [given.fileno(), os.dup2(given.fileno(), high)]
        numbers += [os.dup(given.fileno()) for _ in range(40)]
        try:
            monkeypatch.setattr(running.subprocess, "Popen", partial(subprocess.Popen, pass_fds=numbers))
            server = start("--device=cuda:0", f"--api_keys=/proc/self/fd/{high}", env=dict(LD_PRELOAD=faulty, F5_TEST_FAULT=str(fault)))
        finally:
            for number in numbers[1:]:
                os.close(number)
            resource.setrlimit(resource.RLIMIT_NOFILE, most)
    files = server.descriptors()
    fault.write_text("0 stays")
    assert server.speak(headers, input=SAY, response_format="pcm").status == 503
    assert running.settled(lambda: readies(server), 2) == 2, server.errors
    assert server.speak(input=SAY).status == 401 and server.speak(headers, input=SAY, response_format="pcm").status == 200
    assert running.settled(server.descriptors, files) == files
