#!/usr/bin/env python3
"""kill_uploads.py — ends a server with SIGKILL while clients upload voices, again and again: no half file is left.

    tests/server/kill_uploads.py [--rounds 20] [--politely]

After each kill every file of the folder must be one that a new server reads; every upload that was answered with 200
must be there. --politely ends it with SIGTERM, upon which it must exit with 0. Prints a line a round; exits 1 on a fault.
"""
import argparse
import http.client
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from voice_server import SLT, VoiceServer, voice_form


def upload(server, name, kept, sample):
    try:
        status, answer = server.json("POST", "/v1/audio/voices", voice_form(name, sample=sample))
    except (OSError, http.client.HTTPException, ValueError):
        return False  # the server is gone
    if status == 200:
        kept.add(answer["id"])
    return True


def round_of(folder, number, before, wait, politely, more):
    """Kills a server after `wait` seconds of uploads; returns the names that were answered for."""
    kept = set(before)
    with VoiceServer(folder, **more) as server:
        missing = before - set(server.names())
        assert not missing, f"lost: {missing}"
        assert "left out" not in server.log, server.log

        def work(client):
            i = 0
            while upload(server, f"v{number}-{client}-{i}", kept, SLT):
                i += 1

        threads = [threading.Thread(target=work, args=(client,)) for client in range(4)]
        for t in threads:
            t.start()
        time.sleep(wait)
        if politely:
            assert server.stop()[0] == 0, server.errors
        else:
            server.kill()
        for t in threads:
            t.join()
    strange = [p.name for p in Path(folder).iterdir() if p.suffix != ".safetensors" and p.name != "consents"]
    assert not strange, f"left behind: {strange}"
    return kept


def run(folder, rounds, told=lambda line: None, politely=False, **more):
    kept = set()
    for number in range(rounds):
        before, wait = len(kept), random.uniform(0.01, 0.6)
        kept = round_of(folder, number, kept, wait, politely, more)
        there = len(list(Path(folder).glob("*.safetensors")))
        told(f"round {number + 1}: ended after {wait:.2f} s, {len(kept) - before} uploads answered, {there} files")
        if len(kept) > 200:  # a folder of some size is enough
            for name in kept:
                (Path(folder) / f"{name}.safetensors").unlink()
            kept = set()
    with VoiceServer(folder, **more) as server:
        assert kept <= set(server.names()) and "left out" not in server.log, server.log


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--politely", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="f5_kill_") as folder:
        try:
            run(Path(folder) / "voices", given.rounds, lambda line: print(line, flush=True), given.politely)
        except AssertionError as error:
            sys.exit(f"FAULT: {error}")
    print(f"{given.rounds} ends, no half file, nothing lost that was answered for")


if __name__ == "__main__":
    main()
