"""bench/lease.py — one command for a GPU that is lent for a while: what is to be known of it, the most wanted first.

    f5bench.py lease --minutes 28 [--only REGEX] [--list]

Each part is a command of f5bench with --history, in a process of its own that is ended at its limit: its rows up to there are in
bench/history/<gpu>.csv, or in the folder that F5_BENCH_HISTORY names: on a lent machine one outside the tree, copied to what
comes home. A part that fails, or for which less than half of its limit is left, is told, and the next one begins.
Options behind -- go to every part (as -- --device cpu --arch tiny, which tries it where there is no GPU).
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

F5BENCH = Path(__file__).resolve().parent / "f5bench.py"
GRAPH = ["--modes", "compile+graph"]
PLAN = [  # what, seconds at most, command
    ("E2TTS_Base", 270, ["e2e", "--arch", "E2TTS_Base", "--sizes", "M", "L", *GRAPH]),
    ("v1_Base fp16", 330, ["e2e", *GRAPH]),
    ("v1_Base int8, first audio", 90, ["e2e", "--precision", "int8", "--modes"]),
    ("precisions", 120, ["precisions"]),
    ("16 clients int8 AB2", 60, ["load", "--clients", "16", "--precision", "int8", "--method", "ab2", "--nfe", "12"]),
    ("MMDiT_Base", 60, ["e2e", "--arch", "MMDiT_Base", "--modes"]),
    ("FM_TTS", 150, ["e2e", "--arch", "FM_TTS", *GRAPH]),
    ("F5TTS_Base_bigvgan, vocoder fp16", 60, ["e2e", "--arch", "F5TTS_Base_bigvgan", "--vocoder-precision", "fp16", "--modes"]),
    ("FM_TTS, vocoder fp16", 90, ["e2e", "--arch", "FM_TTS", "--sizes", "M", "--vocoder-precision", "fp16", *GRAPH]),
    ("stages", 60, ["stages"]),
    ("a skip of E2TTS_Base", 60, ["kernels", "--arch", "E2TTS_Base", "--op", "skip"]),
    ("a block, sm_80 beside Hopper", 120, ["kernels", "--sizes", "M", "--op", "^(attention|norm|qkv|out|ff1|ff2)"]),
    ("accuracy", 600, ["accuracy", "--resume"])]


def run_part(command, seconds):
    """How it ended: "" is well."""
    with tempfile.TemporaryDirectory() as folder:  # its random models too are gone with it
        process = subprocess.Popen([sys.executable, str(F5BENCH), *command], start_new_session=True,
                                   env={**os.environ, "TMPDIR": folder})
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return f"ended after {seconds:.0f} s; its rows up to there stand"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # PyTorch's compilers too
                process.wait()
    return f"failed with status {code}" if code else ""


def main(argv):
    ours, _, others = (argv, "", []) if "--" not in argv else (argv[:argv.index("--")], "", argv[argv.index("--") + 1:])
    p = argparse.ArgumentParser(prog="f5bench.py lease", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--minutes", type=float, default=28, help="for all (default: %(default)s)")
    p.add_argument("--only", type=re.compile, default=re.compile(""), metavar="REGEX", help="parts whose name it matches")
    p.add_argument("--list", action="store_true", help="show the parts and run none")
    args = p.parse_args(ours)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # its part ends with it
    plan = [part for part in PLAN if args.only.search(part[0])]
    if args.list:
        for name, seconds, command in plan:
            print(f"{seconds:4d} s  {name:<34} f5bench.py {' '.join(command)}")
        return 0
    end, told = time.monotonic() + 60 * args.minutes, []
    for name, seconds, command in plan:
        left, began = end - time.monotonic(), time.monotonic()
        print(f"\n==== {name}: f5bench.py {' '.join(command)}  ({left:.0f} s are left)", flush=True)
        how = f"left out, it wants {seconds} s" if left < seconds / 2 else run_part([*command, "--history", *others], min(seconds, left))
        told.append((name, how or f"done in {time.monotonic() - began:.0f} s", how))
        print(f"==== {name}: {told[-1][1]}", flush=True)
    print()
    for name, said, _ in told:
        print(f"{name:<34} {said}")
    return 1 if any(how.startswith("failed") for *_, how in told) else 0
