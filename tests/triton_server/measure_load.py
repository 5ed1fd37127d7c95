#!/usr/bin/env python3
"""measure_load.py — the same requests by several ways, by turns: Triton with our scheduler, Triton with its own ragged batches,
`f5tts serve`.

    build/triton-venv/bin/python tests/triton_server/measure_load.py --clients 1,4,16 --requests 2 --nfe 4

Prints, for each way and number of clients: requests a second, seconds of speech a second, processor seconds for a second
of speech (which other work on the machine disturbs the least), median and longest latency. Needs the virtual environment of
`make triton-test`.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from real_server import ROOT, Server

VOICES = ROOT / "weights/voices"
TEXT = "The children are playing in the garden."


class Triton:
    def __init__(self, a, folder, ragged):
        repository = f"{folder}/models{ragged:d}"
        subprocess.run([a.build / "bin/f5tts", "triton-repo", repository, "--device", a.device, "--nfe_step", str(a.nfe)]
                       + (["-m", a.model] if a.model else []), check=True, stdout=subprocess.DEVNULL)
        if ragged:  # one instance, which the server gives up to 16 requests at a time
            config = Path(repository) / "f5_tts/config.pbtxt"
            text = config.read_text().replace("max_batch_size: 1", "max_batch_size: 16").replace("count: 16", "count: 1")
            text = text.replace("delay_microseconds: 0", "delay_microseconds: 1000")
            text = re.sub(r"optional: true }", "optional: true allow_ragged_batch: true }", text, count=1)
            config.write_text(text)
        self.server = Server(a.venv, a.build / "lib/f5tts/triton-backends", repository, f"{folder}/log{ragged:d}")
        import numpy
        import soundfile
        import tritonclient.http as client
        self.client = client
        samples, _ = soundfile.read(VOICES / "slt.wav", dtype="float32")
        self.inputs = []
        for name, values, kind in (("reference_wav", samples.reshape(1, -1), "FP32"),
                                   ("reference_text", numpy.array([[(VOICES / "slt.txt").read_text().strip()]], object), "BYTES"),
                                   ("target_text", numpy.array([[TEXT]], object), "BYTES")):
            self.inputs.append(client.InferInput(name, list(values.shape), kind))
            self.inputs[-1].set_data_from_numpy(values)

    def speak(self, seed):
        """Seconds of speech."""
        client = self.client.InferenceServerClient(self.server.url[7:], network_timeout=900, connection_timeout=900)
        return client.infer("f5_tts", self.inputs, parameters={"seed": seed}).as_numpy("waveform").size / 24000

    def cpu_seconds(self):
        return self.server.cpu_seconds()

    def stop(self):
        self.server.stop()


class Serve:
    def __init__(self, a, folder):
        self.process = subprocess.Popen(
            ["timeout", "1200", a.build / "bin/f5tts", "serve", "--port", "0", "--device", a.device, "--nfe_step", str(a.nfe),
             "--log_format", "none", *(["-m", a.model] if a.model else [])], stderr=subprocess.PIPE, text=True)
        line = ""
        while not (found := re.search(r"http://[\d.]+:(\d+)", line)):
            line = self.process.stderr.readline()
        self.url = found[0]
        self.pid = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0]

    def speak(self, seed):
        body = json.dumps({"input": TEXT, "voice": "slt", "response_format": "pcm", "seed": seed, "first_chunk": 0}).encode()
        request = urllib.request.Request(self.url + "/v1/audio/speech", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=900) as answer:
            return len(answer.read()) / 48000

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def measure(way, clients, requests):
    latencies, spoken, failed = [], [], []

    def ask(number):
        for i in range(requests):
            began = time.monotonic()
            try:
                spoken.append(way.speak(100 * number + i))
            except Exception as error:  # noqa: BLE001  told below
                failed.append(error)
            latencies.append(time.monotonic() - began)

    cpu, began = way.cpu_seconds(), time.monotonic()
    threads = [threading.Thread(target=ask, args=(n,)) for n in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    wall, cpu, speech = time.monotonic() - began, way.cpu_seconds() - cpu, sum(spoken)
    if failed:
        sys.exit(f"measure_load.py: {failed[0]}")
    latencies.sort()
    return len(spoken) / wall, speech / wall, cpu / speech, latencies[len(latencies) // 2], latencies[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", default="1,4,16")
    parser.add_argument("--requests", type=int, default=2, help="of each client")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--nfe", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model")
    parser.add_argument("--venv", default=ROOT / "build/triton-venv")
    a = parser.parse_args()
    a.build = Path(os.environ.get("F5_BUILD") or ROOT / "build")
    with tempfile.TemporaryDirectory(prefix="f5_load_") as folder:
        ways = {"triton, own scheduler": Triton(a, folder, False), "triton, ragged batch": Triton(a, folder, True),
                "f5tts serve": Serve(a, folder)}
        try:
            for way in ways.values():
                way.speak(1)  # voices open
            print(f"{'way':24}{'clients':>8}{'req/s':>9}{'speech s/s':>12}{'CPU s/s':>9}{'p50 s':>8}{'max s':>8}")
            for clients in map(int, a.clients.split(",")):
                for _ in range(a.turns):
                    for name, way in ways.items():
                        values = measure(way, clients, a.requests)
                        print(f"{name:24}{clients:8}{values[0]:9.3f}{values[1]:12.3f}{values[2]:9.3f}{values[3]:8.2f}"
                              f"{values[4]:8.2f}", flush=True)
        finally:
            for way in ways.values():
                way.stop()


if __name__ == "__main__":
    main()
