#!/usr/bin/env python3
"""bench/serve_load.py — `f5tts serve` under many clients, beside the same engine without HTTP, by turns in one run.

    bench/serve_load.py [--clients 1 4 16 64] [--solvers euler:32 ab2:12] [--device cuda]     v1_Base, random weights
    bench/serve_load.py --model weights/voices/natural.f5 --device cpu --clients 1 2 --solvers euler:4

Each client asks again as soon as it was answered. Three kinds of requests, in a voice of 5 s:
    whole    10 s by fix_duration, one piece of work: what f5bench.py load measures
    stream   a text of about 10 s, pcm as it comes; its first piece is short (first_chunk 1.5)
    short    a text of about 2 s, the same
"engine" is f5_speak in threads of this process, "http" the server in its own and clients over kept connections; the ratio
is that of the seconds of speech that both make in a second. First sound and whole answer are the client's own times, in ms.

The program is that of F5_BUILD, or --program: bench/pack.py packs one for a machine that lacks libsndfile and its like.
Needs numpy. --json FILE keeps all figures.
"""
import argparse
import ctypes
import datetime
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import wave
from pathlib import Path

import numpy as np

from load import run_clients
from report import Table
from workload import COND_FRAMES, HOP, METHODS, RATE, SIZES, TEXT, TRANSCRIPT, commit, recording
import f5file  # found by workload
import f5lib

FIRST_CHUNK = 1.5
STREAM = TEXT + " It goes on for a while after that, as texts do."  # about twice the transcript: 10 s
SHORT = "These few words are new."
KINDS = {"whole": dict(text=TEXT, fix_duration=round((SIZES["M"] + 0.5) * HOP / RATE, 4), first_chunk=0.0),
         "stream": dict(text=STREAM, fix_duration=0.0, first_chunk=FIRST_CHUNK),
         "short": dict(text=SHORT, fix_duration=0.0, first_chunk=FIRST_CHUNK)}


class EngineClient:
    """f5_speak on an engine of this process."""

    def __init__(self, engine, voice, kind, method, nfe, seed):
        piece = f5lib.header().struct("f5_audio")

        def hear(_, address):
            audio = piece.from_address(address)
            if self.first is None and audio.n_samples > 0:
                self.first = time.perf_counter()
            self.samples += audio.n_samples
            return 0

        self.engine, self.voice = engine, voice
        self.text, self.callback = ctypes.create_string_buffer(KINDS[kind]["text"].encode()), f5lib.AUDIO(hear)
        self.solver = f5lib.struct("f5_sample_params", nfe=nfe, method=METHODS[method])
        self.params = f5lib.struct("f5_speak_params", text=ctypes.addressof(self.text), seed=seed, fix_duration=KINDS[kind]["fix_duration"],
                                   first_chunk=KINDS[kind]["first_chunk"], sample=ctypes.addressof(self.solver),
                                   audio=ctypes.cast(self.callback, ctypes.c_void_p))

    def answer(self):
        """(seconds of speech, ms to the first sound, ms to the end)"""
        self.params.seed += 1
        self.first, self.samples, began = None, 0, time.perf_counter()
        f5lib.call("f5_speak", self.engine.handle, self.voice, ctypes.addressof(self.params), None)
        return self.samples / RATE, 1e3 * (self.first - began), 1e3 * (time.perf_counter() - began)


class HttpClient:
    """POST /v1/audio/speech on a connection that stays."""

    def __init__(self, port, kind, method, nfe, seed):
        more = {k: v for k, v in KINDS[kind].items() if k != "text" and v}
        self.fields = dict(input=KINDS[kind]["text"], voice="bench", response_format="pcm", nfe_step=nfe, method=method, seed=seed, **more)
        if kind == "whole":
            self.fields["first_chunk"] = 0
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def answer(self):
        self.fields["seed"] += 1
        body, first, n = json.dumps(self.fields).encode(), None, 0
        began = time.perf_counter()
        self.connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
        reply = self.connection.getresponse()
        while part := reply.read1(65536):
            first = first or time.perf_counter()
            n += len(part)
        end = time.perf_counter()
        assert reply.status == 200 and n > 0, (reply.status, n)
        return n / 2 / RATE, 1e3 * (first - began), 1e3 * (end - began)


class Served:
    """`f5tts serve` on a free port of the loopback, gone at the end, and with the thread that started it, however that ends."""

    def __init__(self, args, model, voices, most, more=()):
        command = [args.program, "serve", f"--model={model}", "--port=0", "--log_format=none", f"--voice_dir={voices}", "--voice=bench",
                   f"--device={args.device}", f"--max_frames={args.max_frames}", f"--max_batch={args.max_batch}", f"--running={most}",
                   "--waiting=256"]
        command += [*([f"--precision={args.precision}"] if args.precision else []), *more]
        with_parent = ["setpriv", "--pdeathsig=TERM"]
        self.process = subprocess.Popen([*with_parent, "timeout", "-k", "5", str(args.life), *with_parent, *map(str, command)],
                                        stderr=subprocess.PIPE, text=True)
        self.port, said = None, []
        for line in self.process.stderr:
            said.append(line)
            if found := re.search(r"ready at http://.*:(\d+)", line):
                self.port = int(found[1])
                break
        assert self.port, "no server: " + "".join(said)
        threading.Thread(target=lambda: [print(line, end="", file=sys.stderr) for line in self.process.stderr], daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)


def write_voice(folder, samples):
    with wave.open(str(folder / "bench.wav"), "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(RATE)
        w.writeframes((samples * 32767).astype("<i2").tobytes())
    (folder / "bench.txt").write_text(TRANSCRIPT + "\n")


def figures(seconds, answers):
    audio, first, whole = (np.array(column) for column in zip(*answers))
    return dict(throughput=float(audio.sum() / seconds), requests=len(answers), seconds=seconds, audio=float(audio.mean()),
                first={p: float(np.percentile(first, p)) for p in (50, 95)}, whole={p: float(np.percentile(whole, p)) for p in (50, 95)})


def measure(args, makers, clients):
    """{"engine": figures, "http": figures}: warmed, then by turns, answers of all turns together."""
    crowds = {name: [make(1000 * args.seed + i) for i in range(clients)] for name, make in makers.items()}
    rounds = max(args.rounds, -(-args.least // clients))
    for crowd in crowds.values():
        run_clients([client.answer for client in crowd], 1)  # graphs of the usual batches
    times, answers = dict.fromkeys(crowds, 0.0), {name: [] for name in crowds}
    for turn in range(args.turns):
        for name in list(crowds) if turn % 2 == 0 else reversed(crowds):
            seconds, done = run_clients([client.answer for client in crowds[name]], rounds)
            times[name] += seconds
            answers[name] += done
    return {name: figures(times[name], answers[name]) for name in crowds}


def shown(row):
    e, h = row["engine"], row["http"]
    return {"what": row["kind"], "solver": row["solver"], "clients": row["clients"], "speech s": h["audio"], "engine audio-s/s": e["throughput"],
            "http": h["throughput"], "ratio": h["throughput"] / e["throughput"], "engine first p50": e["first"][50], "http first p50": h["first"][50],
            "p95": h["first"][95], "engine whole p95": e["whole"][95], "http whole p50": h["whole"][50], "whole p95": h["whole"][95]}


def options():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    p.add_argument("--clients", nargs="+", type=int, default=[1, 4, 16, 64])
    p.add_argument("--solvers", nargs="+", default=["euler:32", "ab2:12"], metavar="METHOD:STEPS")
    p.add_argument("--rounds", type=int, default=2, help="requests of each client in a turn")
    p.add_argument("--least", type=int, default=8, help="requests of all clients in a turn")
    p.add_argument("--turns", type=int, default=2)
    p.add_argument("--max-batch", type=int, default=16)
    p.add_argument("--max-frames", type=int, default=16384)
    p.add_argument("--arch", default="F5TTS_v1_Base", help="random weights of this model")
    p.add_argument("--model", metavar="FILE", help="a .f5 instead")
    p.add_argument("--device", default="cuda")
    p.add_argument("--precision", choices=["fp32", "fp16", "bf16", "int8"])
    p.add_argument("--program", default=str(Path(os.environ.get("F5_BUILD", Path(__file__).resolve().parents[1] / "build")) / "bin" / "f5tts"))
    p.add_argument("--life", type=int, default=1500, help="seconds after which the server ends by itself")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--json", metavar="FILE")
    return p


def main(argv=None):
    args = options().parse_args(argv)
    solvers = [(s.split(":")[0], int(s.split(":")[1])) for s in args.solvers]
    rows, most = [], max(args.clients)
    samples = recording(np.random.default_rng(args.seed))
    assert len(samples) // HOP + 1 == COND_FRAMES
    with tempfile.TemporaryDirectory(prefix="f5_serve_load_") as name:
        folder, model = Path(name), args.model
        if not model:
            model = folder / "model.f5"
            f5file.write_model(model, args.arch, seed=args.seed, dtype="fp16")
        (folder / "voices").mkdir()
        write_voice(folder / "voices", samples)
        with Served(args, model, folder / "voices", most) as served, \
                f5lib.Engine(model, args.device, args.precision, max_frames=args.max_frames, max_batch=args.max_batch, max_speaking=most,
                             max_text_bytes=65536) as engine:
            info = engine.info()
            print(f"{info['device']}, f5tts {f5lib.library().f5_version().decode()} ({commit()}), {info['name']}, {info['precision']}, max_batch "
                  f"{args.max_batch}, max_frames {args.max_frames}, {args.turns} turns, seed {args.seed}")
            table = Table("f5tts serve beside its engine: seconds of speech a second, first sound and whole answer in ms",
                          widths={"engine audio-s/s": 6, "http": 6, "p95": 7, "whole p95": 7})
            with engine.voice(samples, TRANSCRIPT) as voice:
                for kind, (method, nfe), clients in [(k, s, c) for k in args.kinds for s in solvers for c in args.clients]:
                    makers = {"engine": lambda seed: EngineClient(engine, voice, kind, method, nfe, seed),
                              "http": lambda seed: HttpClient(served.port, kind, method, nfe, seed)}
                    rows.append(dict(kind=kind, solver=f"{method} {nfe}", clients=clients, **measure(args, makers, clients)))
                    table.add(shown(rows[-1]))
            if args.json:
                head = dict(date=datetime.date.today().isoformat(), commit=commit(), gpu=info["device"], model=info["name"])
                Path(args.json).write_text(json.dumps({**head, "rows": rows}, indent=1) + "\n")
    return rows


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
