#!/usr/bin/env python3
"""check_server.py — `make triton-test`: the backend under the real tritonserver, with its own clients.

    tests/triton_server/check_server.py                      everything; installs the server from PyPI (55 MB) on the first run
    tests/triton_server/check_server.py speaks cancel        some of it
    tests/triton_server/check_server.py --asan build-asan    under AddressSanitizer, preloaded, with a tiny random model
    tests/triton_server/check_server.py --upstream FOLDER    with upstream's client_http.py and client_grpc.py, which lie there

Environment: F5_BUILD, the build (default build/). Prints a line for each check; exits 1 where one failed.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

import real_server
from check_leaks import check_leaks
from real_server import ROOT, Server

sys.path[:0] = [str(ROOT / folder) for folder in ("tests", "weights")]
import f5file  # noqa: E402

VOICES = ROOT / "weights/voices"
NFE = 2
INSTANCES, WAITING = 4, 6  # of a model at a time
TEXT = "Yes, it is."


def load_voice():
    import numpy
    import soundfile
    samples, rate = soundfile.read(VOICES / "slt.wav", dtype="float32")
    assert rate == 24000
    return numpy.ascontiguousarray(samples[:36000]), (VOICES / "slt.txt").read_text().strip()[:20]


def tensors(module, wav, words, text, length=None, wav_type="FP32"):
    import numpy
    made = []
    for name, values, kind in (("reference_wav", wav.reshape(1, -1), wav_type),
                               ("reference_wav_len", numpy.array([[length or wav.size]], numpy.int32), "INT32"),
                               ("reference_text", numpy.array([[words]], object), "BYTES"),
                               ("target_text", numpy.array([[text]], object), "BYTES")):
        made.append(module.InferInput(name, list(values.shape), kind))
        made[-1].set_data_from_numpy(values)
    return made


def body(wav, words, text, **parameters):
    one = [1, 1]
    return {"inputs": [{"name": "reference_wav", "shape": [1, len(wav)], "datatype": "FP32", "data": wav.tolist()},
                       {"name": "reference_wav_len", "shape": one, "datatype": "INT32", "data": [len(wav)]},
                       {"name": "reference_text", "shape": one, "datatype": "BYTES", "data": [words]},
                       {"name": "target_text", "shape": one, "datatype": "BYTES", "data": [text]}],
            "parameters": parameters}


INFER = "/v2/models/f5_tts/infer"
LONG = "The quick brown fox jumps over the lazy dog, and the children are playing in the garden. " * 8


class Checks:
    """Each method but those with a _ is a check of one server."""

    def __init__(self, server, clients):
        self.server, self.clients = server, clients
        self.wav, self.words = load_voice()

    def _http(self):
        import tritonclient.http as client
        return client, client.InferenceServerClient(f"127.0.0.1:{self.server.http_port}", network_timeout=300,
                                                    connection_timeout=300)

    def _grpc(self):
        import tritonclient.grpc as client
        return client, client.InferenceServerClient(f"127.0.0.1:{self.server.grpc_port}")

    def speaks(self):
        """JSON, tritonclient over HTTP and gRPC: with one seed the same samples; another seed, another sound."""
        import numpy
        status, answer = self.server.ask(INFER, body(self.wav, self.words, TEXT, seed=5))
        assert status == 200, answer
        output = json.loads(answer)["outputs"][0]
        first = numpy.array(output["data"], numpy.float32)
        assert output["name"] == "waveform" and output["shape"] == [1, first.size] and first.size > 12000
        for module, client in (self._http(), self._grpc()):
            for seed in (5, 6):
                result = client.infer("f5_tts", tensors(module, self.wav, self.words, TEXT), parameters={"seed": seed})
                same = numpy.array_equal(result.as_numpy("waveform").ravel(), first)
                assert same == (seed == 5)
            padded = numpy.concatenate([self.wav, numpy.zeros(24000, numpy.float32)])
            result = client.infer("f5_tts", tensors(module, padded, self.words, TEXT, len(self.wav)), parameters={"seed": 5})
            assert numpy.array_equal(result.as_numpy("waveform").ravel(), first), "padding is heard"
        return f"{first.size / 24000:.2f} s, bit for bit the same by three ways"

    def statistics(self):
        """No interval is missing: upstream's client trips over one."""
        assert self.server.ask(INFER, body(self.wav, self.words, "Yes."))[0] == 200
        _, client = self._grpc()
        stats = client.get_inference_statistics("f5_tts", as_json=True)["model_stats"][0]["inference_stats"]
        for kind in ("queue", "compute_input", "compute_infer", "compute_output"):
            assert int(stats[kind]["ns"]) > 0, stats
        return f"{stats['success']['count']} requests"

    def upstream(self):
        """Upstream's clients as they are: sound that is no silence, its report of real-time factor and latency."""
        import numpy
        import soundfile
        if not self.clients:
            return "not run: --upstream FOLDER says where they are"
        with tempfile.TemporaryDirectory(prefix="f5_upstream_") as folder:
            wav, words = VOICES / "slt.wav", (VOICES / "slt.txt").read_text().strip()
            listed = Path(folder) / "list.txt"
            listed.write_text("".join(f"utt{i}|{words}|{wav}|{TEXT} And this is line {i}.\n" for i in range(4)))
            for command in (["client_http.py", "--server-url", f"127.0.0.1:{self.server.http_port}", "--reference-audio", wav, "--reference-text",
                             words, "--target-text", TEXT, "--output-audio", f"{folder}/http/out.wav"],
                            ["client_grpc.py", "--server-addr", "127.0.0.1", "--server-port", self.server.grpc_port, "--num-tasks", 2,
                             "--huggingface-dataset", "", "--manifest-path", listed, "--log-dir", f"{folder}/grpc"]):
                done = subprocess.run([sys.executable, *map(str, command)], cwd=self.clients, capture_output=True, text=True, timeout=900)
                assert done.returncode == 0, done.stderr
            sounds = sorted(Path(folder).glob("*/*.wav"))
            assert len(sounds) == 5
            for path in sounds:
                samples, rate = soundfile.read(path)
                assert rate == 24000 and len(samples) > 6000 and numpy.sqrt(numpy.mean(samples ** 2)) > 0.005, path
            told = dict(line.split(": ") for line in next(Path(folder).glob("grpc/rtf-*.txt")).read_text().splitlines() if ": " in line)
        return f"{len(sounds)} sounds; its report: RTF {told['RTF']}, average latency {told['average_latency_ms']} ms"

    def parameters(self):
        """In JSON: numbers of either kind, words, booleans; speed is heard."""
        sizes = []
        for more in ({}, {"speed": 2}, {"speed": 2.0, "nfe": 3, "method": "midpoint", "ssml": False, "normalize": "en"}):
            status, answer = self.server.ask(INFER, body(self.wav, self.words, TEXT, seed=1, **more))
            assert status == 200, answer
            sizes.append(json.loads(answer)["outputs"][0]["shape"][1])
        assert sizes[0] > sizes[1] == sizes[2]
        return f"{sizes}"

    def generate(self):
        """Triton's own short form, whole and as events of a stream."""
        request = {"reference_wav": self.wav.tolist(), "reference_text": self.words, "target_text": TEXT, "seed": 3}
        status, answer = self.server.ask("/v2/models/f5_tts/generate", request)
        assert status == 200 and len(json.loads(answer)["waveform"]) > 12000, answer[:300]
        request["target_text"] = LONG[:180]
        status, answer = self.server.ask("/v2/models/f5_tts_stream/generate_stream", request)
        events = [json.loads(line[6:]) for line in answer.decode().splitlines() if line.startswith("data: ")]
        assert status == 200 and len(events) > 1, answer[:300]
        return f"{len(events)} events"

    def stream(self):
        """gRPC of the decoupled model: pieces, then an empty last response; together what the other model says."""
        import numpy
        module, client = self._grpc()
        whole = client.infer("f5_tts", tensors(module, self.wav, self.words, LONG[:180]),
                             parameters={"seed": 4, "first_chunk": "1.5"})
        got, done, first = [], threading.Event(), []
        began = time.monotonic()

        def take(result, error):
            final = result and result.get_response().parameters.get("triton_final_response")
            if result and result.as_numpy("waveform") is not None:
                first.append(time.monotonic() - began)
                got.append(result.as_numpy("waveform").ravel())
            if error or (final and final.bool_param):
                done.error = error
                done.set()

        client.start_stream(take)
        client.async_stream_infer("f5_tts_stream", tensors(module, self.wav, self.words, LONG[:180]),
                                  enable_empty_final_response=True, parameters={"seed": 4})
        assert done.wait(300) and not done.error, done.error
        client.stop_stream()
        assert len(got) > 1 and numpy.array_equal(numpy.concatenate(got), whole.as_numpy("waveform").ravel())
        return f"{len(got)} pieces, the first after {first[0]:.2f} of {first[-1]:.2f} s"

    def cancel(self):
        """A unary call and a stream that are cancelled, and a client that is killed: the work ends."""
        module, client = self._grpc()
        for name in ("unary", "stream", "killed"):
            failed = self._failures()
            self._cancelled(name, module, client)
            self._until(lambda: self._failures() > failed, f"{name}: it was worked on to its end")
        assert self.server.ask(INFER, body(self.wav, self.words, TEXT))[0] == 200
        return "3 ways, the server goes on"

    def _failures(self):
        """Requests that ended as cancelled or otherwise not well, of both models."""
        return sum(v for k, v in self.server.metrics().items() if k.startswith("nv_inference_request_failure{"))

    def _cancelled(self, name, module, client):
        asked = tensors(module, self.wav, self.words, LONG)
        if name == "unary":
            call = client.async_infer("f5_tts", asked, callback=lambda result, error: None)
            time.sleep(0.5)
            call.cancel()
        elif name == "stream":
            client.start_stream(lambda result, error: None)
            client.async_stream_infer("f5_tts_stream", asked)
            time.sleep(0.5)
            client.stop_stream(cancel_requests=True)
        else:
            script = (f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import check_server as c\n"
                      "import tritonclient.grpc as g, time\nwav, words = c.load_voice()\n"
                      f"t = g.InferenceServerClient('127.0.0.1:{self.server.grpc_port}')\n"
                      "t.start_stream(lambda result, error: None)\n"
                      "t.async_stream_infer('f5_tts_stream', c.tensors(g, wav, words, c.LONG))\n"
                      "print('sent', flush=True); time.sleep(100)")
            with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as other:
                assert other.stdout.readline() == b"sent\n"
                time.sleep(0.5)
                other.kill()

    def refuses(self):
        """What is wrong with a request is told with 400, and the server goes on."""
        import copy
        # a shape like [1, 2**62] in JSON is left out: tritonserver 2.51 itself crashes on it, before we are called
        good = body(self.wav[:14400], self.words, TEXT)
        wav, length, words, text = range(4)
        cases = {
            "no recording": lambda b: b["inputs"].pop(wav),
            "no text": lambda b: b["inputs"].pop(text),
            "another type": lambda b: b["inputs"][wav].update(datatype="INT32", data=[1] * 14400),
            "two rows": lambda b: b["inputs"][wav].update(shape=[2, 7200]),
            "a shape of more than is there": lambda b: b["inputs"][wav].update(shape=[1, 14401]),
            "a negative shape": lambda b: b["inputs"][wav].update(shape=[1, -14400]),
            "no samples": lambda b: b["inputs"][wav].update(shape=[1, 0], data=[]),
            "two samples": lambda b: (b["inputs"][wav].update(shape=[1, 2], data=[0.1, 0.2]),
                                      b["inputs"][length].update(data=[2])),
            "huge samples": lambda b: b["inputs"][wav]["data"].__setitem__(7, 1e30),
            "silence": lambda b: b["inputs"][wav].update(data=[0.0] * 14400),
            "a length past the end": lambda b: b["inputs"][length].update(data=[14401]),
            "a length of -1": lambda b: b["inputs"][length].update(data=[-1]),
            "two lengths": lambda b: b["inputs"][length].update(shape=[1, 2], data=[1, 1]),
            "an empty text": lambda b: b["inputs"][text].update(data=[""]),
            "spaces": lambda b: b["inputs"][text].update(data=["  \n"]),
            "a zero byte": lambda b: b["inputs"][text].update(data=["a\0b"]),
            "two texts": lambda b: b["inputs"][text].update(shape=[1, 2], data=["a", "b"]),
            "a text of 100 KB": lambda b: b["inputs"][text].update(data=["word " * 20000]),
            "a number for a text": lambda b: b["inputs"][text].update(data=[7]),
            "an empty transcript": lambda b: b["inputs"][words].update(data=[""]),
            "nfe_step 0": lambda b: b["parameters"].update(nfe_step=0),
            "nfe_step 1000": lambda b: b["parameters"].update(nfe_step=1000),
            "a seed of words": lambda b: b["parameters"].update(seed="seven"),
            "a speed of 0": lambda b: b["parameters"].update(speed=0),
            "an unknown method": lambda b: b["parameters"].update(method="heun")}
        for what, change in cases.items():
            spoilt = copy.deepcopy(good)
            change(spoilt)
            status, answer = self.server.ask(INFER, spoilt)
            # Triton's own parser of JSON answers 500 where a shape is not that of the data; nothing comes to us then
            own = status == 500 and b"Unable to parse" in answer
            assert status == 400 or own, f"{what}: {status} {answer[:300]}"
        for raw in (b"", b"{", b"\xff\xfe", b"[]"):
            status, answer = self.server.ask(INFER, raw)
            assert status in (400, 500), f"{raw}: {status} {answer[:300]}"  # all of it Triton's own
        return f"{len(cases) + 4 + self._refuses_binary()} requests"

    def _refuses_binary(self):
        """What JSON cannot say: NaN, and bytes that are no UTF-8; over gRPC by its own codes."""
        import numpy
        import tritonclient.utils as utils
        count = 0
        for module, client in (self._http(), self._grpc()):
            bad = self.wav.copy()
            bad[9] = numpy.nan
            for asked in (tensors(module, bad, self.words, TEXT), tensors(module, self.wav, self.words, b"Y\xc3\x28s"),
                          tensors(module, self.wav, b"\xed\xa0\x80", TEXT),
                          tensors(module, self.wav.astype(numpy.float64), self.words, TEXT, wav_type="FP64"),
                          tensors(module, self.wav, self.words, TEXT, 2**31 - 1)):
                try:
                    client.infer("f5_tts", asked)
                except utils.InferenceServerException as error:
                    assert error.status() in ("400", "StatusCode.INVALID_ARGUMENT", None), (error.status(), error)
                else:
                    raise AssertionError("it was spoken")
                count += 1
        return count

    def queue(self):
        """One more than may be spoken and may wait is answered 503 at once; when the others have gone it is spoken."""
        module, client = self._grpc()
        asked = tensors(module, self.wav, self.words, LONG * 4)
        calls = []

        def pending():
            return sum(v for k, v in self.server.metrics().items() if k.startswith('nv_inference_pending_request_count{model="f5_tts"'))

        def full():  # one by one: of a burst more would be refused than may wait
            if pending() < WAITING:
                calls.append(client.async_infer("f5_tts", asked, callback=lambda result, error: None, parameters={"nfe": 64}))
            return pending() >= WAITING

        self._until(full, "the queue is not full")
        status, answer = self.server.ask(INFER, body(self.wav, self.words, TEXT))
        assert status == 503 and b"maximum queue size" in answer, (status, answer[:300])
        for call in calls:
            call.cancel()
        self._until(lambda: pending() == 0, "they are not gone")
        assert self.server.ask(INFER, body(self.wav, self.words, TEXT))[0] == 200
        return f"{INSTANCES} spoken, {WAITING} waiting, one more refused"

    def _until(self, true, told):
        """Within two minutes."""
        for _ in range(1200):
            if true():
                return
            time.sleep(0.1)
        raise AssertionError(told)


def wait_unloaded(server):
    """Triton answers before it has unloaded."""
    for _ in range(200):
        states = json.loads(server.ask("/v2/repository/index", {})[1])
        if not any(m.get("state") in ("READY", "LOADING", "UNLOADING") for m in states):
            return
        time.sleep(0.02)
    raise AssertionError(f"not unloaded: {states}")


def check_loading(a, repository, log, times=50):
    """Models are loaded and unloaded again and again, also while they speak; memory stays."""
    with Server(a.venv, a.backends, repository, log, explicit=True, preload=a.preload) as server:
        wav, words = load_voice()
        memory = []
        for i in range(times):
            for model in ("f5_tts", "f5_tts_stream")[:1 + i % 2]:
                status, answer = server.ask(f"/v2/repository/models/{model}/load", {})
                assert status == 200, answer
            if i % 5 == 0:
                assert server.ask(INFER, body(wav, words, "Yes.", nfe_step=1))[0] == 200
            for model in ("f5_tts_stream", "f5_tts")[1 - i % 2:]:
                assert server.ask(f"/v2/repository/models/{model}/unload", {})[0] == 200
            wait_unloaded(server)
            memory.append(server.memory())
        code = server.stop()
    # with AddressSanitizer preloaded the server waits for ever in its own p11-kit's end, whatever the backend is built with
    assert a.preload or code in (0, 124, 143), code
    # an engine has 131 MB: one that stays would be seen, what Triton's threads keep of the heap is not counted
    grown = (min(memory[-10:]) - min(memory[10:20])) / 1e6
    assert a.preload or grown < 25, f"{grown:.0f} MB more after {times} times: {[m // 1000000 for m in memory]}"
    return f"{times} times, {grown:+.1f} MB from the second ten to the last ten"


def check_memory(log):
    """No error of AddressSanitizer's. It cannot look for leaks here, since the server leaves by _exit: test_backend.py does."""
    text = Path(log).read_text(errors="replace")
    errors = [b for b in text.split("\n\n") if "ERROR: AddressSanitizer" in b or "runtime error:" in b]
    assert not errors, errors[0][:6000]
    return "no errors"


def run(name, check, failed):
    began = time.monotonic()
    try:
        print(f"{name:12}{check()}  ({time.monotonic() - began:.1f} s)", flush=True)
    except Exception:  # noqa: BLE001  the others are still to be run
        traceback.print_exc()
        print(f"{name:12}FAILED", flush=True)
        failed.append(name)


def main():
    apart = {"loading": lambda: check_loading(a, repository, log), "leaks": lambda: check_leaks(a, sys.modules[__name__], repository, folder)}
    names = [n for n in vars(Checks) if not n.startswith("_")] + [*apart]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checks", nargs="*", choices=[[], *names], help=", ".join(names))
    parser.add_argument("--venv", default=ROOT / "build/triton-venv", help="where the server is installed")
    parser.add_argument("--model", help="a .f5 file; default the shipped voice, with --asan a tiny random one")
    parser.add_argument("--upstream", type=Path, help="a folder with upstream's two clients")
    parser.add_argument("--asan", help="a build folder with sanitizers")
    a = parser.parse_args()
    build = Path(os.environ.get("F5_BUILD") or ROOT / "build")
    python = real_server.environment(a.venv)
    if Path(sys.prefix).resolve() != Path(a.venv).resolve():
        os.execv(python, [python, *sys.argv, *([] if "--venv" in sys.argv else ["--venv", str(a.venv)])])
    a.backends, a.preload = Path(a.asan or build) / "lib/f5tts/triton-backends", None
    if a.asan:
        found = [subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
                 for name in ("libasan.so", "libubsan.so")]
        a.preload = ":".join(found)
    chosen, failed = a.checks or names[:-1 if a.asan else None], []  # who counts our blocks cannot stand beside the sanitizer
    with tempfile.TemporaryDirectory(prefix="f5_triton_") as folder:
        repository, log = f"{folder}/models", f"{folder}/server.log"
        if a.asan and not a.model:
            a.model = f"{folder}/tiny.f5"
            f5file.write_model(a.model, "tiny")
        subprocess.run([build / "bin/f5tts", "triton-repo", repository, "--device", "cpu", "--nfe_step", str(NFE),
                        "--instances", str(INSTANCES), "--waiting", str(WAITING), *(["-m", a.model] if a.model else [])], check=True, stdout=subprocess.DEVNULL)
        if set(chosen) - set(apart):
            with Server(a.venv, a.backends, repository, log, preload=a.preload) as server:
                checks = Checks(server, a.upstream)
                for name in chosen:
                    if name not in apart:
                        run(name, getattr(checks, name), failed)
            if a.asan:
                run("memory", lambda: check_memory(log), failed)
        for name in [n for n in apart if n in chosen]:
            run(name, apart[name], failed)
            if a.asan:
                run("memory", lambda: check_memory(log), failed)
        if failed:
            print(Path(log).read_text(errors="replace")[-3000:])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
