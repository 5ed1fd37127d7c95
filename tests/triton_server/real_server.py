"""real_server.py — the real tritonserver with our backend, on free ports of the loopback, for as long as a `with` lasts.

The server is that of PyPI's nvidia-pytriton (55 MB), its clients are PyPI's tritonclient; both live in a virtual
environment that `environment` makes. Servers end with the thread that started them, however that ends, and by themselves after a time.
"""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVER = ["--no-deps", "nvidia-pytriton==0.7.0"]
PERF = "tritonclient==2.51.0"
CLIENTS = ["tritonclient[http,grpc]", "numpy<2", "soundfile", "scipy", "requests"]


def environment(folder):
    """The interpreter of the virtual environment there, made where it is not."""
    python, done = Path(folder) / "bin/python", Path(folder) / "installed"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        for packages in (SERVER, CLIENTS):
            subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages], check=True)
        done.touch()
    return python


def perf_analyzer(folder):
    """NVIDIA's load generator, which tritonclient's wheels held up to 2.51; the two libraries that it needs lie beside it."""
    python, perf = environment(folder), Path(folder) / "perf"
    if not (perf / "perf_analyzer").exists():
        perf.mkdir(exist_ok=True)
        subprocess.run([python, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "-d", perf, PERF], check=True)
        wheel, = perf.glob("*.whl")
        for library in Path(folder).glob("lib/python*/site-packages/nvidia_pytriton.libs/lib*"):
            if found := re.match(r"(libb64|libcudart)-\w+(\.so\.\d+d?)", library.name):
                (perf / (found[1] + found[2])).unlink(missing_ok=True)  # of a run that broke off
                (perf / (found[1] + found[2])).symlink_to(library.resolve())
        with zipfile.ZipFile(wheel) as packed:
            data = packed.read(next(name for name in packed.namelist() if name.endswith("/bin/perf_analyzer")))
        part = perf / "part"
        part.write_bytes(data)
        part.chmod(0o755)
        part.rename(perf / "perf_analyzer")
    return perf / "perf_analyzer"


def free_ports(n):
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(n)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


class Server:
    """A started server. backends: folder for --backend-directory; preload: a library for LD_PRELOAD; binary: a tritonserver
    in the place of venv's; more: environment."""

    def __init__(self, venv, backends, repository, log, explicit=False, seconds=1800, preload=None, binary=None, more=()):
        if not binary:
            binary, = Path(venv).glob("lib/python*/site-packages/pytriton/tritonserver/bin/tritonserver")
        self.http_port, self.grpc_port, self.metrics_port = free_ports(3)
        self.log, self.memory_at = Path(log), 0
        environment = dict(os.environ, **({"LD_PRELOAD": preload} if preload else {}), **dict(more))
        # memory that was given back is used again, or is the system's at once, and does not look like a leak
        environment.update(MALLOC_ARENA_MAX="2", MALLOC_MMAP_THRESHOLD_="131072")
        environment.setdefault("ASAN_OPTIONS", "detect_leaks=0:exitcode=99:fast_unwind_on_malloc=0")
        with_parent = ["setpriv", "--pdeathsig=TERM"]
        command = [*with_parent, "timeout", "--kill-after=20", str(seconds), *with_parent, binary, f"--backend-directory={backends}",
                   f"--model-repository={repository}", f"--model-control-mode={'explicit' if explicit else 'none'}",
                   "--http-address=127.0.0.1", f"--http-port={self.http_port}",
                   "--grpc-address=127.0.0.1", f"--grpc-port={self.grpc_port}",
                   "--metrics-address=127.0.0.1", f"--metrics-port={self.metrics_port}",
                   "--disable-auto-complete-config", "--exit-timeout-secs=5"]
        with open(log, "wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.wait_ready()

    def wait_ready(self):
        for _ in range(600):
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                if self.get("/v2/health/ready")[0] == 200:
                    return
            time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"tritonserver did not get ready: {self.log.read_text()[-3000:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Asks it to end; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def pid(self):
        """Of the server itself: `timeout` started it."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def memory(self):
        """Resident bytes."""
        status = Path(f"/proc/{self.pid()}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid()}/task"))

    def files(self):
        """That it has open."""
        return len(os.listdir(f"/proc/{self.pid()}/fd"))

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid()}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, path, body=None, timeout=120):
        """(status, bytes) of a POST of the body, a dict or bytes, or of a GET."""
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def get(self, path):
        return self.ask(path)

    def metrics(self):
        """{name{labels}: value}"""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return {key: float(value) for key, _, value in (line.rpartition(" ") for line in lines) if not key.startswith("#")}
