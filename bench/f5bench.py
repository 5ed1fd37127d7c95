#!/usr/bin/env python3
"""f5bench.py — how fast f5tts is on this machine, in tables to be pasted.

    bench/f5bench.py [e2e] [stages] [kernels] [sweep] [load] [speech] [profile] [power] [all] [options]

Nothing named: e2e, or cpu where there is no GPU.

    e2e       whole requests, beside PyTorch on the same weights where there is PyTorch     numpy; better with PyTorch
              of any model: --arch E2TTS_Base, MMDiT_Base, F5TTS_Base_bigvgan, FM_TTS
    stages    what each stage of a request takes                                            numpy
    sweep     time against length and batch, for bench/plot.py                              numpy
    speech    texts of many chunks: first sound, late chunks, 20,000 words       numpy
    accuracy  precision, method and steps: time against distance from the exact solution    numpy
    load      1 to 32 requests at a time, through the public API                            numpy
    kernels   every op beside the machine's ceilings, cuBLASLt and cuDNN; --op, --list      PyTorch
    profile   one request kernel by kernel, and what lies idle between them                 PyTorch
    power     the energy of a request, and whether the card's power limit slows it          numpy
    cpu       one evaluation on the CPU beside PyTorch (bench/cpu_eval.py)                  PyTorch
    lease     what is to be known of a GPU that is lent for --minutes, the most wanted first (bench/lease.py)

Needs libf5tts built for this GPU (make; or F5_BUILD=build-gpu after make gpu-test). --json FILE writes all that the
tables show; --history appends the figures to bench/history/<gpu>.csv. Rows appear, and are written there, as they are
measured: a run that is cut off keeps them. --minutes N begins nothing after N minutes; accuracy with --resume leaves out
what the history has of this commit.

On an H200 with 20 rounds stages takes 30 s, sweep 11, profile 20; by estimate e2e without PyTorch 30, load a minute,
kernels half a minute a size. e2e times f5tts first. PyTorch follows, compiled anew for every size and "compile" mode,
which takes longer than all the rest: allow a minute for each, or ask for less by --sizes, --peer-sizes and --modes.
"""
import argparse
import ctypes
import functools
import importlib
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

try:
    import numpy as np
except ImportError:
    sys.exit(f"f5bench needs numpy, which {sys.executable} has not: install it there, or use another python3 "
             "(Debian's, /usr/bin/python3, with python3-numpy)")

import workload  # noqa: E402
from report import Report  # noqa: E402
from workload import commit  # noqa: E402
import f5file  # noqa: E402  found by workload
import f5lib  # noqa: E402
import random_checkpoint  # noqa: E402

# command: its module, whose run(bench) does it
COMMANDS = {"kernels": "kernels", "stages": "stages", "e2e": "e2e", "sweep": "sweep", "load": "load",
            "speech": "speech", "profile": "kernel_profile", "power": "power", "precisions": "precisions",
            "accuracy": "accuracy"}
NEED_TORCH = ("kernels", "profile")  # and a GPU
NEED_GPU = ("power", "precisions")


class Bench:
    """What all commands share: options, one random model, the report. Made when first asked for."""

    def __init__(self, args):
        self.args, self.rng = args, np.random.default_rng(args.seed)
        self.precision = args.precision
        self.config = {**random_checkpoint.OPTIONS, **random_checkpoint.ARCHS[args.arch]}
        self.kind = workload.kind_of(self.config)
        self.folder, self.end = tempfile.TemporaryDirectory(), time.monotonic() + 60 * (args.minutes or 1e6)
        self.report = Report(gpu_name() if args.device != "cpu" else "cpu", commit=args.commit, arch=args.arch,
                             f5tts=f5lib.library().f5_version().decode(), precision=args.precision,
                             rounds=args.rounds, seed=args.seed)

    @functools.cached_property
    def made(self):
        """The model's arrays by upstream's names; its .f5 file is at `path`."""
        return f5file.write_model(self.path, self.args.arch, seed=self.args.seed,
                                  dtype="fp16" if self.precision in ("fp16", "int8") else "fp32")

    @property
    def path(self):
        return Path(self.folder.name) / "model.f5"

    def sizes(self):
        return self.args.sizes or list(workload.SIZES)

    def case(self, text):
        """A case's name in the history, where F5TTS_v1_Base is the model that goes without saying."""
        if self.args.vocoder_precision:
            text = f"vocoder {self.args.vocoder_precision} {text}"
        return text if self.args.arch == "F5TTS_v1_Base" else f"{self.args.arch} {text}"

    def late(self, what):
        """Has the time run out? Then it is told what is left out."""
        out = time.monotonic() > self.end
        if out:
            print(f"left out for want of time: {what}", flush=True)
        return out

    def had(self, case):
        """Is the figure to be left out, as the history has it?"""
        return self.args.resume and case in self.report.had

    def engine(self, max_frames, nfe=32, max_batch=1, precision=None, **options):
        assert self.made
        if self.args.vocoder_precision:
            options["vocoder_precision"] = self.args.vocoder_precision
        return workload.Ours(self.path, self.args.device, precision or self.precision, kind=self.kind,
                             max_frames=max_frames, max_batch=max_batch, max_evaluations=nfe, **options)


def gpu_name():
    """Of device 0, by the driver itself; None without a usable one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    name, device = ctypes.create_string_buffer(256), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0) or driver.cuDeviceGetName(name, 256, device):
        return None
    return name.value.decode()


def torch_lack(device):
    """Why PyTorch cannot be had on this device, or "" where it can."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return f"no PyTorch for {sys.executable}"
    return "" if device == "cpu" or torch.cuda.is_available() else f"PyTorch {torch.__version__} sees no GPU"


def positive(text):
    n = int(text)
    if n < 1:
        raise argparse.ArgumentTypeError(f"{n} is not 1 or more")
    return n


def cpu(argv):
    """cpu_eval.py, which has options of its own."""
    if torch_lack("cpu"):
        sys.exit(f"cpu: {torch_lack('cpu')} (Debian: python3-torch and /usr/bin/python3)")
    sys.argv[1:] = argv
    return importlib.import_module("cpu_eval").main()


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("commands", nargs="*", metavar="command", help=", ".join([*COMMANDS, "cpu", "all"]))
    p.add_argument("--sizes", nargs="+", choices=workload.SIZES, help="default: all")
    p.add_argument("--nfe", nargs="+", type=positive, help="default: 32, and at size M 16 and 7; of FM_TTS 10, and 5")
    p.add_argument("--precision", choices=("fp16", "bf16", "fp32", "int8"), default="fp16",
                   help="of f5tts; PyTorch takes fp16 where this is int8 (default: %(default)s)")
    p.add_argument("--vocoder-precision", choices=("fp16", "bf16", "fp32"), help="of BigVGAN or MB-iSTFT (default: fp32)")
    p.add_argument("--rounds", type=positive, default=20, help="of which medians are shown (default: %(default)s)")
    p.add_argument("--modes", nargs="*", choices=workload.PEER_MODES, default=["eager", "compile", "compile+graph"],
                   help="of PyTorch in e2e; none given: f5tts alone")
    p.add_argument("--peer-sizes", nargs="*", choices=workload.SIZES, default=list(workload.SIZES),
                   help="sizes at which e2e runs PyTorch too (default: all)")
    p.add_argument("--op", metavar="REGEX", help="kernels: only rows that this matches, as 'qkv|attention'")
    p.add_argument("--list", action="store_true", help="kernels: show the rows and measure nothing; needs no GPU")
    p.add_argument("--compile-mode", default="default", help="mode of torch.compile (default: %(default)s)")
    p.add_argument("--upstream", action="store_true", help="e2e: upstream's own package too, see upstream_peer.py")
    p.add_argument("--arch", choices=random_checkpoint.ARCHS, default="F5TTS_v1_Base")
    p.add_argument("--device", default="cuda", help='"cpu" tries the program out where there is no GPU')
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--json", metavar="FILE")
    p.add_argument("--history", action="store_true", help="append to bench/history/<gpu>.csv")
    p.add_argument("--minutes", type=float, help="begin nothing after so many")
    p.add_argument("--resume", action="store_true", help="accuracy: leave out what the history has of this commit; with --history")
    p.add_argument("--commit", default=commit(), help="what the history is told was measured")
    return p


def ran(bench, name):
    """Runs a command. What fails is told, and does not take the others' figures along."""
    started = time.perf_counter()
    try:
        if name == "load":
            load(bench)
        else:
            importlib.import_module(COMMANDS[name]).run(bench)
    except Exception:  # noqa: BLE001
        traceback.print_exc()
        print(f"\n{name} FAILED", flush=True)
        return False
    print(f"\n({name}: {time.perf_counter() - started:.0f} s)", flush=True)
    return True


def load(bench):
    """load.py on the model and with the settings of this run; its figures in this run's history."""
    a = bench.args
    assert bench.made
    module = importlib.import_module("load")
    rows = module.main([
        "--model", str(bench.path), "--device", a.device, "--precision", a.precision, "--seed", str(a.seed), "--commit",
        a.commit, *(["--nfe", *map(str, a.nfe)] if a.nfe else [])])
    for row in rows:
        module.figures(bench.report, row, argparse.Namespace(method="euler", precision=a.precision))


def choose(parser, args):
    """The commands to run: those named, or of all those that can be run here; the others are told."""
    if args.list:
        if args.commands != ["kernels"]:
            parser.error("--list is for kernels alone")
        if torch_lack("cpu"):
            sys.exit(f"kernels: {torch_lack('cpu')}")
        args.device = "cpu"
        return ["kernels"]
    named = args.commands or ["e2e"]
    if args.arch == "FM_TTS" and named != ["e2e"]:
        parser.error(f"{args.arch} has one voice of its own: only e2e measures it")
    for name in named:
        if name == "cpu":
            parser.error("cpu has options of its own: f5bench.py cpu --help")
        if name not in (*COMMANDS, "all"):
            parser.error(f"no command {name!r}: there are {', '.join([*COMMANDS, 'cpu', 'lease', 'all'])}")
    if args.device != "cpu" and not gpu_name():
        sys.exit("no CUDA GPU here (libcuda finds none): `f5bench.py cpu` measures the CPU, --device cpu tries this")
    wanted = list(COMMANDS) if "all" in named else named
    missing = "--device cpu" if args.device == "cpu" else torch_lack(args.device)
    out_of_reach = NEED_TORCH * bool(missing) + NEED_GPU * (args.device == "cpu")
    lost = [name for name in wanted if name in out_of_reach]
    if lost and "all" not in named:
        needs = "PyTorch and a GPU" if set(lost) & set(NEED_TORCH) else "a GPU"
        sys.exit(f"{' and '.join(lost)}: wants {needs}; here: {missing}")
    if lost:
        print(f"left out ({missing}): {', '.join(lost)}", flush=True)
    return [name for name in COMMANDS if name in wanted and name not in lost]


def main(argv):
    if argv[:1] == ["load"]:  # it has options of its own
        try:
            return 0 if importlib.import_module("load").main(argv[1:]) else 1
        except (FileNotFoundError, f5lib.Error) as failure:
            sys.exit(f"load: {failure}")
    if argv[:1] == ["lease"]:
        return importlib.import_module("lease").main(argv[1:])
    if argv[:1] == ["cpu"] or not argv and not gpu_name():
        return cpu(argv[1:])
    parser = options()
    args = parser.parse_args(argv)
    wanted = choose(parser, args)
    try:
        bench = Bench(args)
    except FileNotFoundError as missing:  # the library
        sys.exit(str(missing))
    head = ", ".join(f"{k} {v}" for k, v in bench.report.head.items() if k != "gpu")
    print(f"{bench.report.head['gpu']}: {head}", flush=True)
    if args.history:
        print("figures are appended to", bench.report.keep_history(), flush=True)
    failed = []
    for name in wanted:
        if not bench.late(name) and not ran(bench, name):
            failed.append(name)
        if args.json:
            bench.report.write_json(args.json)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
