#!/usr/bin/env python3
"""measure_load.py — the same requests by several ways, by turns in one run: through tritonserver, through `f5tts serve`,
and on the engine without a server, as f5bench load asks it.

    tests/triton_server/measure_load.py --device cpu --model weights/voices/natural.f5 --clients 1 4 16 --nfe 2
    tests/triton_server/measure_load.py --gpus 0 0,1 --ways triton serve engine       v1_Base, random weights, fp16

    perf     tritonserver, asked by NVIDIA's perf_analyzer
    triton   tritonserver, asked by threads of this process, over HTTP
    ragged   the same, but one instance, which Triton gives up to 16 requests at a time: its batches, not ours
    serve    f5tts serve, asked by threads of this process
    engine   f5_speak in threads of this process

A request is bench/workload.py's: a voice of 5 s, 10 s of new speech (--size). Each client asks again when it was answered, until
all requests of a turn are taken; a way's first requests, not counted, warm it. --gpus: an engine on each of a list's GPUs. The
last column is the rate beside the first way's; of several lists of GPUs, beside that of the first list, asked by as many clients
or, --per-gpu, by as many for each GPU. It is the median of the turns' own ratios: what else the machine does in a turn slows both.
"CPU s" are processor seconds of whatever computes, for a second of speech. Beside the medians stand the least and the most of all
turns.

The server and perf_analyzer are those that `make triton-test` installs, or --server and --perf-analyzer. Needs numpy.
"""
import argparse
import contextlib
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import real_server
from real_server import ROOT, Server

sys.path.insert(0, str(ROOT / "bench"))
import load  # noqa: E402
from report import Table  # noqa: E402
from serve_load import Served, write_voice  # noqa: E402
from workload import HOP, RATE, SIZES, TEXT, TRANSCRIPT, commit, generated_seconds, recording  # noqa: E402
import f5file  # noqa: E402
import f5lib  # noqa: E402

MODEL = "f5_tts"
HEAD = 1024  # bytes of the JSON before the tensors, with spaces behind it


def process_seconds(pid):
    """Of processor time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def asked(answers, rounds, cpu_seconds):
    """(requests a second, processor seconds of one, p50 and p95 of the latency in ms) of answers(), which give their ms."""
    before = cpu_seconds()
    seconds, latencies = load.run_clients(answers, rounds)
    return len(latencies) / seconds, (cpu_seconds() - before) / len(latencies), *np.percentile(latencies, (50, 95))


class HttpWay:
    """A server that threads of this process ask: `port`, `path`, `headers`, `body(seed)`; whole answers alone count."""

    def measure(self, clients, rounds):
        return asked([self.client(1000 * i) for i in range(clients)], rounds, self.cpu_seconds)

    def client(self, seed):
        connection, seeds = http.client.HTTPConnection("127.0.0.1", self.port, timeout=900), iter(range(seed, 1 << 30))

        def answer():
            began = time.perf_counter()
            connection.request("POST", self.path, self.body(next(seeds)), self.headers)
            reply = connection.getresponse()
            sound = reply.read()
            assert reply.status == 200 and len(sound) > 0.9 * self.sample_bytes * RATE * self.a.generated, (reply.status, sound[:300])
            return 1e3 * (time.perf_counter() - began)

        return answer


class Triton(HttpWay):
    path, sample_bytes = f"/v2/models/{MODEL}/infer", 4

    def __init__(self, a, folder, gpus, ragged=False):
        if (gpus, ragged) not in a.servers:  # one for both who ask it
            a.servers[gpus, ragged] = self.start(a, tempfile.mkdtemp(dir=folder), gpus, ragged)
        self.server = a.servers[gpus, ragged]
        self.a, self.port, self.voice = a, self.server.http_port, a.recording
        # Triton's binary form: JSON, which says what the bytes behind it are
        wav, words, text = (self.voice.tobytes(), *(len(t.encode()).to_bytes(4, "little") + t.encode() for t in (TRANSCRIPT, TEXT)))
        self.tensors, parts = wav + words + text, (("reference_wav", "FP32", [1, len(self.voice)], wav),
                                                   ("reference_text", "BYTES", [1, 1], words), ("target_text", "BYTES", [1, 1], text))
        self.inputs = [{"name": name, "datatype": kind, "shape": shape, "parameters": {"binary_data_size": len(data)}}
                       for name, kind, shape, data in parts]
        self.headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(HEAD)}

    @staticmethod
    def start(a, folder, gpus, ragged):
        repository = f"{folder}/models"
        subprocess.run([a.program, "triton-repo", repository, "--model", a.model, "--nfe_step", str(a.nfe), "--instances", str(a.most),
                        "--waiting", "1024", "--max_frames", str(a.max_frames), "--max_batch", str(a.max_batch), "--threads", str(a.threads),
                        *(["--gpus", gpus] if gpus else ["--device", a.device])], check=True, stdout=subprocess.DEVNULL)
        config = Path(repository) / MODEL / "config.pbtxt"
        text = config.read_text()
        if ragged:
            text = text.replace("max_batch_size: 1", "max_batch_size: 16").replace(f"count: {a.most}", "count: 1")
            text = text.replace("delay_microseconds: 0", "delay_microseconds: 1000")
            text = re.sub(r"optional: true }", "optional: true allow_ragged_batch: true }", text, count=1)
            config.write_text(text)
        return Server(a.venv, a.build / "lib/f5tts/triton-backends", repository, f"{folder}/log", binary=a.server)

    def body(self, seed):
        return json.dumps({"inputs": self.inputs, "parameters": {"seed": seed, "fix_duration": self.a.seconds, "binary_data_output": True}}
                          ).encode().ljust(HEAD) + self.tensors

    def cpu_seconds(self):
        return self.server.cpu_seconds()

    def stop(self):
        self.server.stop()


class Perf(Triton):
    """perf_analyzer's requests, as many as the other ways have, by the times that it wrote down of each: its own rate counts
    whole seconds."""

    def measure(self, clients, rounds):
        count, folder = clients * rounds, self.a.folder
        data, said = Path(folder) / "input.json", Path(folder) / "perf.json"
        data.write_text(json.dumps({"data": [{"reference_wav": {"content": self.voice.tolist(), "shape": [len(self.voice)]},
                                              "reference_text": {"content": [TRANSCRIPT], "shape": [1]},
                                              "target_text": {"content": [TEXT], "shape": [1]}}]}))
        said.unlink(missing_ok=True)
        before, answered = self.cpu_seconds(), self.answered()
        command = [self.a.perf_analyzer, "-m", MODEL, "-u", f"127.0.0.1:{self.server.grpc_port}", "-i", "grpc", "--input-data", data,
                   "--shape", f"reference_wav:{len(self.voice)}", "--concurrency-range", str(clients), "--request-count", str(count),
                   "--request-parameter", f"fix_duration:{self.a.seconds}:string", "--profile-export-file", said]
        done = subprocess.run(["timeout", "1200", *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env={**os.environ, "LD_LIBRARY_PATH": str(Path(self.a.perf_analyzer).parent)})
        assert done.returncode == 0 and said.exists(), done.stdout
        cpu = (self.cpu_seconds() - before) / (self.answered() - answered)
        times = [(r["timestamp"], r["response_timestamps"][-1]) for e in json.loads(said.read_text())["experiments"] for r in e["requests"]]
        begun, ended = map(np.array, zip(*times))
        return len(times) / (1e-9 * (ended.max() - begun.min())), cpu, *np.percentile(1e-6 * (ended - begun), (50, 95))

    def answered(self):
        return sum(v for k, v in self.server.metrics().items() if k.startswith(f'nv_inference_request_success{{model="{MODEL}"'))


class Serve(HttpWay):
    path, sample_bytes, headers = "/v1/audio/speech", 2, {"Content-Type": "application/json"}

    def __init__(self, a, folder, gpus):
        device = ",".join(f"cuda:{g}" for g in gpus.split(",")) if gpus else a.device
        voices = Path(folder) / "voices"
        voices.mkdir(exist_ok=True)
        write_voice(voices, a.recording)
        args = argparse.Namespace(program=a.program, device=device, max_frames=a.max_frames, max_batch=a.max_batch, precision=None, life=1700)
        self.served, self.a = Served(args, a.model, voices, a.most, [f"--threads={a.threads}"]), a
        self.port = self.served.port
        self.pid = Path(f"/proc/{self.served.process.pid}/task/{self.served.process.pid}/children").read_text().split()[0]

    def body(self, seed):
        return json.dumps({"input": TEXT, "voice": "bench", "response_format": "pcm", "seed": seed, "first_chunk": 0, "method": "euler",
                           "nfe_step": self.a.nfe, "fix_duration": self.a.seconds}).encode()

    def cpu_seconds(self):
        return process_seconds(self.pid)

    def stop(self):
        self.served.__exit__()


class Engine:
    """f5bench load's clients, on an engine for each GPU."""

    def __init__(self, a, folder, gpus):
        self.a, self.scope, self.voices = a, contextlib.ExitStack(), []
        for device in [f"cuda:{g}" for g in gpus.split(",")] if gpus else [a.device]:
            engine = self.scope.enter_context(f5lib.Engine(a.model, device, None, max_frames=a.max_frames, max_batch=a.max_batch,
                                                           max_speaking=a.most, max_evaluations=a.nfe, threads=a.threads))
            self.voices.append((engine, self.scope.enter_context(engine.voice(a.recording, TRANSCRIPT, keep_whole=1))))

    def measure(self, clients, rounds):
        crowd = [load.Client(*self.voices[i % len(self.voices)], self.a.nfe, 1000 * i) for i in range(clients)]
        return asked([lambda c=c: c.answer(self.a.size)["latency_ms"] for c in crowd], rounds, time.process_time)

    def stop(self):
        self.scope.close()


WAYS = {"perf": Perf, "triton": Triton, "ragged": lambda a, folder, gpus: Triton(a, folder, gpus, True), "serve": Serve, "engine": Engine}


def rows_of(a, ways, clients):
    """{way: figures}, all ways by turns."""
    seen = {name: [] for name in ways}
    for turn in range(-1, a.turns):
        for name in list(ways) if turn % 2 else reversed(ways):
            crowd = clients * (len(name[1].split(",")) if a.per_gpu else 1)
            rounds = 1 if turn < 0 else max(a.rounds, -(-a.least // crowd))
            rate, cpu, p50, p95 = ways[name].measure(crowd, rounds)
            if turn >= 0:  # the one before it warms
                seen[name].append((rate * a.generated, cpu / a.generated, p50, p95, crowd))
    return seen


def beside(turns, others):
    return statistics.median(turn[0] / other[0] for turn, other in zip(turns, others))


def apart(seen):
    """How much more the best way speaks than the worst."""
    best, worst = (pick(seen, key=lambda name: beside(seen[name], next(iter(seen.values())))) for pick in (max, min))
    return beside(seen[best], seen[worst]) - 1


def show(table, seen):
    """A row of each way. Of several lists of GPUs each stands beside the first, else each way beside the first."""
    lists = len({gpus for _, gpus in seen})
    for (way, gpus), turns in seen.items():
        base = next(name for name in seen if lists == 1 or name[0] == way)
        rates, cpu, p50, p95, crowd = zip(*turns)
        table.add({"way": way, "GPUs": gpus or "-", "clients": crowd[0], "speech-s/s": statistics.median(rates), "least": min(rates),
                   "most": max(rates), "CPU s": statistics.median(cpu), "p50 ms": statistics.median(p50), "p95 ms": statistics.median(p95),
                   "beside": beside(turns, seen[base])})


def options():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--ways", nargs="+", choices=WAYS, default=["perf", "triton", "serve", "engine"])
    p.add_argument("--clients", nargs="+", type=int, default=[1, 4, 16])
    p.add_argument("--per-gpu", action="store_true", help="so many clients for each GPU of a list")
    p.add_argument("--size", choices=SIZES, default="M")
    p.add_argument("--nfe", type=int, default=32)
    p.add_argument("--turns", type=int, default=3)
    p.add_argument("--rounds", type=int, default=2, help="requests of each client in a turn")
    p.add_argument("--least", type=int, default=4, help="requests of all clients in a turn")
    p.add_argument("--device", default="cpu")
    p.add_argument("--gpus", nargs="+", default=[""], metavar="LIST", help="in the place of --device: 0 0,1")
    p.add_argument("--max-frames", type=int, default=16384)
    p.add_argument("--max-batch", type=int, default=16)
    p.add_argument("--threads", type=int, default=0, help="that compute, on a CPU; beside other work 1 is the steadiest: several wait for each other")
    p.add_argument("--model", help="a .f5 file; default F5TTS_v1_Base's shape, random weights")
    p.add_argument("--program", help="default: that of F5_BUILD")
    p.add_argument("--venv", default=ROOT / "build/triton-venv")
    p.add_argument("--server", help="tritonserver; default that of --venv")
    p.add_argument("--perf-analyzer", help="default: that of --venv")
    return p


def main():
    a = options().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers are to end too
    a.build = Path(os.environ.get("F5_BUILD") or ROOT / "build")
    a.program, a.most = a.program or a.build / "bin/f5tts", max(16, *a.clients) * max(len(g.split(",")) if a.per_gpu else 1 for g in a.gpus)
    a.recording = recording(np.random.default_rng(1))
    a.seconds, a.generated = round((SIZES[a.size] + 0.5) * HOP / RATE, 4), generated_seconds(SIZES[a.size])
    if not a.server and set(a.ways) & {"perf", "triton", "ragged"}:
        real_server.environment(a.venv)
    if "perf" in a.ways and not a.perf_analyzer:
        a.perf_analyzer = real_server.perf_analyzer(a.venv)
    with tempfile.TemporaryDirectory(prefix="f5_load_") as folder, contextlib.ExitStack() as scope:
        a.folder, a.servers = folder, {}
        if not a.model:
            a.model = f"{folder}/model.f5"
            f5file.write_model(a.model, "F5TTS_v1_Base", seed=1, dtype="fp16")
        ways = {}
        for gpus in a.gpus:
            for name in a.ways:
                ways[name, gpus] = WAYS[name](a, folder, gpus)
                scope.callback(ways[name, gpus].stop)
        print(f"{a.device if not a.gpus[0] else 'GPU'}, f5tts {f5lib.library().f5_version().decode()} ({commit()}), NFE {a.nfe}, {a.generated:.2f} s "
              f"of speech a request, {a.turns} turns, load average {os.getloadavg()[0]:.1f}")
        table = Table("Seconds of speech a second, by turns", widths={"way": 7, "least": 6, "most": 6, "p50 ms": 8, "p95 ms": 8})
        extremes = {}
        for clients in a.clients:
            seen = rows_of(a, ways, clients)
            show(table, seen)
            extremes[clients] = apart(seen)
        if len(a.gpus) == 1:
            print("\nBest and worst way are apart: " + ", ".join(f"{100 * v:.1f} % at {clients} clients" for clients, v in extremes.items()))


if __name__ == "__main__":
    main()
