"""`f5tts pull` against a hub on loopback: the cache that huggingface_hub would have left, cut connections, hubs that are
busy, that lie, or that are none."""
import contextlib
import hashlib
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

import convert_lib
from crowd import wait_until
from fake_hub import COMMIT, cut, elsewhere, later, page, raw, slow, stall, status, usual
from hub_lib import VOCOS, cache, files, run

MODEL = "hf://me/tiny/sub/model.safetensors"
SIZES = 3_000_000, 700_000  # of a file that is fetched in pieces, and of a piece


@pytest.fixture
def big(hub, rng):
    """A file of some megabytes: its name, its bytes."""
    data = rng.bytes(SIZES[0])
    hub.add("me/big", "a b/data#1.bin", data)
    return "hf://me/big/a b/data#1.bin", data


def blobs(home, repository):
    return cache(home) / ("models--" + repository.replace("/", "--")) / "blobs"


def whole(home, url, data):
    """The file is in the cache, under its name, and nothing half is beside it."""
    repository, name = "/".join(url[5:].split("/")[:2]), "/".join(url[5:].split("/")[2:])
    folder = cache(home) / ("models--" + repository.replace("/", "--"))
    link = folder / "snapshots" / COMMIT / name
    assert link.is_symlink() and not os.path.isabs(os.readlink(link)) and link.read_bytes() == data
    assert link.resolve().parent == (folder / "blobs").resolve()
    assert (folder / "refs/main").read_text() == COMMIT
    assert not [p for p in folder.rglob("*") if "incomplete" in p.name or "part" in p.name]


def fails(result, *words):
    assert result.returncode == 1 and result.stderr.splitlines(), (result.returncode, result.stderr)
    last = result.stderr.splitlines()[-1]
    assert last.startswith("f5tts pull: ") and all(word in last for word in words), result.stderr
    assert "secret" not in result.stderr + result.stdout and "hf_" not in result.stderr + result.stdout


# ---- what it does

def test_a_model_becomes_one_that_speaks(tmp_path, hub, tiny):
    """A fine-tune and the vocoder: fetched, checked, converted; the same model as `convert` makes of the files."""
    env = hub.environment(tmp_path)
    result = run(env, "pull", MODEL, "-mc", tiny.yaml)
    assert result.returncode == 0, result.stderr
    assert "me/tiny: licence cc-by-nc-4.0 (not for commercial use)" in result.stdout
    assert f"{VOCOS}: licence mit\n" in result.stdout
    for repository, name, data in (("me/tiny", "sub/model.safetensors", tiny.checkpoint),
                                   ("me/tiny", "sub/vocab.txt", tiny.vocab),
                                   (VOCOS, "config.yaml", tiny.vocos_config), (VOCOS, "pytorch_model.bin", tiny.vocos)):
        whole(tmp_path, f"hf://{repository}/{name}", data)
    model = Path(re.search(r"^\S+: (/.*\.f5)$", result.stdout, re.M)[1])
    asked = len(hub.log)
    spoken = run(env, "infer", "-p", MODEL, "-mc", tiny.yaml, "--nfe_step", 1, "--seed", 1, "-o", tmp_path, "-w", "a.wav",
                 "-t", "Some words.")
    assert spoken.returncode == 0 and len(hub.log) == asked, spoken.stderr
    assert files(tmp_path / ".cache/f5tts") == [f"converted/{model.stem}.f5", f"converted/{model.stem}.txt"]
    told = json.loads(run(env, "info", "--json", model).stdout)
    assert (told["license"], told["credit"]) == ("cc-by-nc-4.0; vocoder mit", f"me/tiny; vocoder {VOCOS}")
    assert convert_lib.convert(tiny.made, tmp_path / "b.f5", pinyin=None).returncode == 0
    again = run(env, "infer", "-m", tmp_path / "b.f5", "--nfe_step", 1, "--seed", 1, "-o", tmp_path, "-w", "b.wav", "-t",
                "Some words.")
    assert again.returncode == 0 and (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    listed = run(env, "models")
    assert f"{MODEL.replace('tiny/', f'tiny@{COMMIT}/')}\n    {model}" in listed.stdout, listed.stdout
    assert f"{model.stem}  " in listed.stdout and "fp32, licence cc-by-nc-4.0; vocoder mit, hf://" in listed.stdout


def test_a_second_time_nothing_comes(tmp_path, hub):
    env = hub.environment(tmp_path)
    assert run(env, "pull", "vocos").returncode == 0
    before = {p: os.stat(p).st_mtime_ns for p in blobs(tmp_path, VOCOS).iterdir()}
    hub.log.clear()
    result = run(env, "pull", "vocos")
    assert result.returncode == 0 and result.stdout.count("was there") == 2
    assert not hub.asked("cdn") and all("/resolve/" not in path for _, _, path, _ in hub.asked("hub"))
    assert {p: os.stat(p).st_mtime_ns for p in blobs(tmp_path, VOCOS).iterdir()} == before


def test_the_token_goes_to_the_hub_alone(tmp_path, hub):
    hub.private.add("me/tiny")
    fails(run(hub.environment(tmp_path), "pull", MODEL), "403", "set HF_TOKEN")
    fails(run(hub.environment(tmp_path, HF_TOKEN="hf_wrong"), "pull", MODEL), "403")
    for given in ({"HF_TOKEN": "hf_right"}, {"HF_HOME": tmp_path / "hf"}):
        (tmp_path / "hf").mkdir(exist_ok=True)
        (tmp_path / "hf/token").write_text("hf_right\n")
        hub.log.clear()
        result = run(hub.environment(tmp_path, **given), "pull", MODEL, "--no_convert")
        assert result.returncode == 0 and "hf_right" not in result.stdout + result.stderr, result.stderr
        hubs = [h for name, _, _, h in hub.log if name == "hub"]
        cdns = [h for name, _, _, h in hub.log if name == "cdn"]
        assert hubs and all(h.get("Authorization") == "Bearer hf_right" for h in hubs)
        assert cdns and all("Authorization" not in h for h in cdns)
    for bad in ("hf right", "hf_right\r\nX: y", "hf_ü", "x" * 2000):
        fails(run(hub.environment(tmp_path, HF_TOKEN=bad), "pull", MODEL), "holds no token")


def test_offline(tmp_path, hub, tiny):
    env = hub.environment(tmp_path)
    fails(run({**env, "HF_HUB_OFFLINE": "1"}, "pull", MODEL), "HF_HUB_OFFLINE", "sub/model.safetensors")
    fails(run({**env, "HF_HUB_OFFLINE": "yes"}, "pull", "vocos"), "HF_HUB_OFFLINE")
    assert not hub.log
    assert run(env, "pull", MODEL, "--no_convert", "-q").stdout == ""
    hub.log.clear()
    result = run({**env, "HF_HUB_OFFLINE": "1"}, "pull", MODEL, "-mc", tiny.yaml)
    assert result.returncode == 0 and not hub.log, result.stderr


@pytest.mark.parametrize("variables", [
    dict(HF_HUB_CACHE="{}/a"), dict(HUGGINGFACE_HUB_CACHE="{}/a/"), dict(HF_HOME="{}", HF_HUB_CACHE="~/../{name}/a"),
    dict(HF_HOME="{}/b"), dict(XDG_CACHE_HOME="{}/c"), dict(XDG_CACHE_HOME="relative")], ids=str)
def test_where_the_cache_is(tmp_path, hub, variables):
    """As huggingface_hub has it. A relative XDG folder counts as none."""
    variables = {k: v.format(tmp_path, name=tmp_path.name) for k, v in variables.items()}
    result = run(hub.environment(tmp_path, **variables), "pull", "vocos")
    assert result.returncode == 0, result.stderr
    folder = {"HF_HUB_CACHE": "a", "HUGGINGFACE_HUB_CACHE": "a", "HF_HOME": "b/hub", "XDG_CACHE_HOME": "c/huggingface/hub"}
    name = next(folder[k] for k in folder if k in variables)
    if "relative" in variables.values():
        name = ".cache/huggingface/hub"
    assert (tmp_path / name / f"models--{VOCOS.replace('/', '--')}/refs/main").exists(), files(tmp_path)


def test_a_file_of_the_users_own_is_kept(tmp_path, hub, tiny):
    """A model that was put under upstream's name is spoken with, and not replaced."""
    hub.add("SWivid/F5-TTS", "F5TTS_v1_Base/model_1250000.safetensors", tiny.checkpoint)
    own = tmp_path / ".local/share/f5tts/models/F5TTS_v1_Base.f5"
    own.parent.mkdir(parents=True)
    convert_lib.convert(tiny.made, own, pinyin=None)
    before = own.read_bytes()
    fails(run(hub.environment(tmp_path), "pull", "F5TTS_v1_Base"), str(own), "was not made by this program")
    assert own.read_bytes() == before


def test_proxy(tmp_path, hub, tiny):
    """Curl's variables: the hub is asked through the proxy, and not where no_proxy names it."""
    env = hub.environment(tmp_path, HF_ENDPOINT="http://hub.invalid", http_proxy=hub.url)
    assert run(env, "pull", "hf://me/tiny/sub/vocab.txt").returncode == 0
    whole(tmp_path, "hf://me/tiny/sub/vocab.txt", tiny.vocab)
    assert {h["Host"] for _, _, _, h in hub.log} == {"hub.invalid"}
    past = hub.environment(tmp_path, http_proxy="http://127.0.0.1:9", no_proxy="127.0.0.1")
    assert run(past, "pull", "vocos").returncode == 0


def test_another_revision(tmp_path, hub):
    result = run(hub.environment(tmp_path), "pull", f"hf://me/tiny@{COMMIT}/sub/vocab.txt")
    assert result.returncode == 0 and not (cache(tmp_path) / "models--me--tiny/refs").exists()
    fails(run(hub.environment(tmp_path), "pull", "hf://me/tiny@v2/sub/vocab.txt"), "404", "no such revision")


# ---- connections that break

def test_killed_and_resumed_ten_times(tmp_path, hub, big, rng):
    """What has come counts: no byte is asked for twice, and what is there in between is never under the file's name."""
    url, data = big
    env, partial = hub.environment(tmp_path), blobs(tmp_path, "me/big") / f"{hashlib.sha256(data).hexdigest()}.incomplete"
    snapshot, sizes = cache(tmp_path) / f"models--me--big/snapshots/{COMMIT}", []
    for _ in range(10):
        want = (sizes[-1] if sizes else 0) + int(rng.integers(20_000, 100_000))
        hub.faults["cdn GET"] = [slow(0.01, 8192, 200_000)]  # ten times that is not all
        process = subprocess.Popen([convert_lib.program(), "pull", url], env=env, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        wait_until(lambda: partial.exists() and partial.stat().st_size >= want, f"{want} bytes")
        process.send_signal(rng.choice([signal.SIGKILL, signal.SIGINT, signal.SIGTERM]))
        process.wait(60)
        sizes.append(partial.stat().st_size)
        assert not files(snapshot) and data.startswith(partial.read_bytes())
        assert set(os.listdir(partial.parent)) == {partial.name}
    (snapshot / "a b").mkdir(parents=True, exist_ok=True)
    (snapshot / "a b/data#1.bin.f5tts-part").symlink_to("nothing")  # of one that was killed at the very end
    assert run(env, "pull", url).returncode == 0
    whole(tmp_path, url, data)
    ranges = [int(re.search(r"\d+", h.get("Range", "0"))[0]) for _, _, _, h in hub.asked("cdn")]
    assert ranges == [0, *sizes] and sizes == sorted(set(sizes)), (ranges, sizes)


BREAKS = {
    "cut": [cut(100_000), cut(1), cut(2_000_000)],
    "cut before a byte": [cut(0), cut(0)],
    "closed without an answer": [raw(b""), raw(b"HTTP/1.1 200")],
    "busy": [status(503), status(500), status(429, Retry_After="1")],
    "stalls": [stall(100_000, 50)],
    "no ranges": [cut(1_000_000), usual],
    "range beyond the end": [cut(1_000_000), status(416)],
}


@pytest.mark.parametrize("name", BREAKS)
def test_connections_that_break(tmp_path, hub, big, name):
    url, data = big
    hub.faults["cdn GET"] = list(BREAKS[name])
    hub.ranges = name != "no ranges"
    began = time.monotonic()
    result = run(hub.environment(tmp_path, HF_HUB_DOWNLOAD_TIMEOUT=3 if name == "stalls" else 20), "pull", url)
    assert result.returncode == 0, result.stderr
    whole(tmp_path, url, data)
    assert time.monotonic() - began < 45  # the stall is not waited for


def test_a_hub_that_stays_busy(tmp_path, hub, big):
    url, _ = big
    env = hub.environment(tmp_path)
    hub.faults["hub HEAD"] = [status(503)] * 10
    fails(run(env, "pull", url), "the hub answers 503: try again later")
    hub.faults = {"cdn GET": [status(429, Retry_After="3600")]}
    fails(run(env, "pull", url), "asks to wait 3600 s (429)")
    hub.stop()
    fails(run(env, "pull", url), "onnect")
    hub.servers = []


def test_two_at_once(tmp_path, hub, big):
    """One fetches, the others wait for it."""
    url, data = big
    waits, all_wait = hub.environment(tmp_path, HF_HUB_DOWNLOAD_TIMEOUT=100), threading.Event()
    said = [tmp_path / f"said-{i}" for i in range(3)]
    hub.faults["cdn GET"] = [later(all_wait)]
    processes = []
    for path in said:
        with open(path, "wb") as f:
            processes.append(subprocess.Popen([convert_lib.program(), "pull", url], env=waits, stdout=f, stderr=f))
    wait_until(lambda: sum("another program fetches it: waiting" in path.read_text() for path in said) == 2, "two that wait")
    all_wait.set()
    assert [p.wait(60) for p in processes] == [0] * 3
    assert len(hub.asked("cdn")) == 1 and sum(path.read_text().count("fetched") for path in said) == 1
    whole(tmp_path, url, data)


# ---- hubs that lie

def test_wrong_bytes(tmp_path, hub, big):
    """Once more where an earlier run may be to blame, else never; a file that is wrong is taken away."""
    url, data = big
    file, env = hub.files["me/big", "a b/data#1.bin"], hub.environment(tmp_path)
    file.data = bytes([data[0] ^ 1]) + data[1:]
    fails(run(env, "pull", url), "is not what the hub says it is")
    assert not files(blobs(tmp_path, "me/big")) and len(hub.asked("cdn")) == 1
    blobs(tmp_path, "me/big").mkdir(parents=True, exist_ok=True)  # folders that stay empty go again
    (blobs(tmp_path, "me/big") / f"{file.hash}.incomplete").write_bytes(b"y" * 1000)
    fails(run(env, "pull", url), "is not what the hub says it is")
    assert len(hub.asked("cdn")) == 3
    file.data = data
    (blobs(tmp_path, "me/big") / f"{file.hash}.incomplete").write_bytes(b"y" * (len(data) + 7))
    assert run(env, "pull", url).returncode == 0
    whole(tmp_path, url, data)
    small = hub.files["me/tiny", "sub/vocab.txt"]
    small.data = small.data.replace(b"a", b"b", 1)
    fails(run(env, "pull", "hf://me/tiny/sub/vocab.txt"), "is not what the hub says it is")


LIES = {
    "shorter": dict(head={"X-Linked-Size": "100"}, words=["3000000 bytes come", "it has 100"]),
    "longer": dict(head={"X-Linked-Size": "3000001"}, words=["3000000 bytes come"]),
    "huge": dict(head={"X-Linked-Size": str(1 << 60)}, words=["MB are more than such a file has"]),
    "no room": dict(head={"X-Linked-Size": str(60 << 30)}, words=["no room"]),
    "size beyond all numbers": dict(head={"X-Linked-Size": "9" * 30}, words=["gives no hash or no size"]),
    "negative size": dict(head={"X-Linked-Size": "-1"}, words=["gives no hash or no size"]),
    "hash leads out": dict(head={"X-Linked-Etag": '"../../../../out"'}, words=["gives no hash or no size"]),
    "hash of another length": dict(head={"X-Linked-Etag": '"abcdef"'}, words=["gives no hash or no size"]),
    "no hash": dict(head={"X-Linked-Etag": None}, words=["gives no hash or no size"]),
    "commit leads out": dict(head={"X-Repo-Commit": "../" * 13 + "a"}, words=["not a model hub"]),
    "no commit": dict(head={"X-Repo-Commit": None}, words=["not"]),
    "login page": dict(faults={"hub HEAD": [page(b"<html>")]}, words=["not a model hub"]),
    "login page for the file": dict(faults={"cdn GET": [page(b"<html>Log in")]}, words=["a page of HTML came"]),
    "page as long as the file": dict(faults={"cdn GET": [page(b"<" * SIZES[0])]}, words=["a page of HTML came"]),
    "another part": dict(faults={"cdn GET": [cut(1000), page(b"x" * 9, "a/b", 206, Content_Range="bytes 5-13/3000000")]},
                         words=["another part came"]),
    "a part of another": dict(faults={"cdn GET": [cut(1000), page(b"x" * 9, "a/b", 206, Content_Range="bytes 1000-1008/1009")]},
                              words=["another part came"]),
    "more than it says": dict(faults={"cdn GET": [raw(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (SIZES[0] + 1))]},
                              words=["more bytes come"]),
    "headers without end": dict(faults={"cdn GET": [raw(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 40000)]},
                                words=["headers do not end"]),
    "redirects in a circle": dict(faults={"hub GET": [usual] + [elsewhere("/me/big")] * 9}, words=["elsewhere"]),
    "redirect to a file": dict(faults={"hub GET": [usual, elsewhere("file:///etc/passwd")]}, words=[]),
    "redirect to gopher": dict(faults={"hub GET": [usual, elsewhere("gopher://127.0.0.1/x")]}, words=[]),
    "no HTTP": dict(faults={"cdn GET": [raw(b"\0\xff" * 5000)] * 4}, words=["data#1.bin"]),
}


@pytest.mark.parametrize("name", LIES)
def test_hubs_that_lie(tmp_path, hub, big, name):
    lie = LIES[name]
    if name == "no room" and shutil.disk_usage(tmp_path).free > 60 << 30:
        pytest.skip("this disk has room for the largest file that a hub may have")
    hub.headers, hub.faults = lie.get("head", {}), {k: list(v) for k, v in lie.get("faults", {}).items()}
    result = run(hub.environment(tmp_path / "home"), "pull", big[0], sanitized=True)
    fails(result, *lie["words"])
    assert not [f for f in files(tmp_path) if not f.startswith("home/.cache/huggingface/hub/models--me--big/")]
    assert not files(cache(tmp_path / "home") / "models--me--big/snapshots")
    assert all(f.endswith(".incomplete") for f in files(blobs(tmp_path / "home", "me/big")))


def test_redirects_that_are_good(tmp_path, hub, tiny):
    """A repository that has another name now, and a hub that sends away and back: the token stays at home."""
    new = "/me/tiny/resolve/main/sub/vocab.txt"
    hub.faults["hub HEAD"] = [elsewhere(new, 307), elsewhere(hub.url + new, 308)]
    hub.faults["hub GET"] = [usual, elsewhere(hub.cdn_url + "/away")]
    hub.faults["cdn GET"] = [elsewhere(hub.url + new)]
    result = run(hub.environment(tmp_path, HF_TOKEN="hf_right"), "pull", "hf://me/tiny/sub/vocab.txt")
    assert result.returncode == 0, result.stderr
    whole(tmp_path, "hf://me/tiny/sub/vocab.txt", tiny.vocab)
    assert all(("Authorization" in h) == (name == "hub") for name, _, _, h in hub.log)


LICENCES = {
    "none": b"{}", "no JSON": b"<html>", "list": b"[]", "number": b"7", "deep": b"[" * 100000, "long": b" " * (5 << 20),
    "escape": b'{"cardData": {"license": "\\u001b[31m"}}', "tags alone": b'{"tags": ["x", "license:mit"]}',
    "not text": b'{"cardData": {"license": ["mit"]}, "tags": [1, null, {}]}', "half": b'{"cardData": {"lic',
    "twice": b'{"cardData": 1, "cardData": {"license": "mit"}}', "NUL": b'{"cardData": {"license": "m\\u0000it"}}',
}


@pytest.mark.parametrize("name", LICENCES)
def test_what_the_hub_says_of_a_licence(tmp_path, hub, name):
    """Not to know it is no reason to stop, whatever came in its place."""
    hub.answers["me/tiny"] = LICENCES[name]
    result = run(hub.environment(tmp_path), "pull", "hf://me/tiny/sub/vocab.txt", sanitized=True)
    told = "mit" if name == "tags alone" else "unknown: see its page on the hub"
    assert result.returncode == 0 and f"me/tiny: licence {told}\n" in result.stdout, (result.stdout, result.stderr)


# ---- names, folders, and what is not there

NOT_THERE = {
    "no repository": ("hf://me/none/a.txt", 1, "401): there is no such repository, or it is private: set HF_TOKEN"),
    "no file": ("hf://me/tiny/none.txt", 1, "hf://me/tiny/none.txt: not found (404): the repository has no such file"),
    "no model": ("F5TTS_v9", 2, "F5TTS_v9: is no model of upstream's: there are F5TTS_v1_Base"),
    "E2": ("E2TTS_Base", 1, "hf://SWivid/E2-TTS/E2TTS_Base/model_1200000.safetensors: the hub refuses it (401)"),
    "up": ("hf://me/tiny/../../a", 2, "hf://OWNER/NAME/FILE is wanted"),
    "dot": ("hf://me/tiny/./a", 2, "hf://OWNER/NAME/FILE is wanted"),
    "up as an owner": ("hf://../tiny/a", 2, "hf://OWNER/NAME/FILE is wanted"),
    "up as a revision": ("hf://me/tiny@../a", 2, "hf://OWNER/NAME/FILE is wanted"),
    "empty part": ("hf://me/tiny/a//b", 2, "hf://OWNER/NAME/FILE is wanted"),
    "two dashes": ("hf://me--x/tiny/a", 2, "hf://OWNER/NAME/FILE is wanted"),
    "no path": ("hf://me/tiny", 2, "hf://OWNER/NAME/FILE is wanted"),
    "nothing": ("hf://", 2, "hf://OWNER/NAME/FILE is wanted"),
    "control character": ("hf://me/tiny/a\nb", 2, "hf://OWNER/NAME/FILE is wanted"),
    "long": ("hf://me/tiny/" + "a/" * 300 + "b", 2, "hf://OWNER/NAME/FILE is wanted"),
}


@pytest.mark.parametrize("name", NOT_THERE)
def test_what_is_not_there(tmp_path, hub, name):
    what, code, message = NOT_THERE[name]
    result = run(hub.environment(tmp_path), "pull", what)
    assert result.returncode == code and message in result.stderr, result.stderr
    assert not files(tmp_path)


@pytest.mark.parametrize("endpoint", ["ftp://x", "huggingface.co", "file:///tmp", "http://", "https://a b"])
def test_endpoints_that_are_none(tmp_path, hub, endpoint):
    result = run(hub.environment(tmp_path, HF_ENDPOINT=endpoint), "pull", "vocos")
    assert result.returncode == 2 and "HF_ENDPOINT is no address" in result.stderr, result.stderr


def test_without_home(tmp_path, hub, big):
    """What the other variables name needs none; else the system knows the user's, as Python's expanduser has it."""
    url, data = big
    bare = {k: v for k, v in hub.environment(tmp_path).items() if k != "HOME"}
    named = dict(HF_HUB_CACHE=str(tmp_path / "hub"), XDG_DATA_HOME=str(tmp_path / "data"), XDG_CACHE_HOME=str(tmp_path / "cache"))
    result = run({**bare, **named}, "pull", url)
    assert result.returncode == 0, result.stderr
    whole_file = tmp_path / "hub" / "models--me--big/blobs" / hashlib.sha256(data).hexdigest()
    assert whole_file.read_bytes() == data

    def as_user(number, *words):
        return subprocess.run([convert_lib.program(), *words], env=bare, user=number, capture_output=True, text=True)

    if os.getuid() != 0:
        return
    with contextlib.suppress(OSError):  # a checkout that others may not enter
        result = as_user(54321, "pull", url)
        assert result.returncode == 1 and "no home of user 54321" in result.stderr, result.stderr
        result = as_user(pwd.getpwnam("nobody").pw_uid, "models")
        assert "HOME" not in result.stderr, result.stderr


def test_folders_that_cannot_be_written(tmp_path, hub, big):
    url, data = big
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file/hub", "/proc/hub"):
        hub.log.clear()
        result = run(hub.environment(tmp_path, HF_HUB_CACHE=folder), "pull", url)
        assert result.returncode == 1 and "cannot" in result.stderr, result.stderr
    shell = f"ulimit -f 1000; trap '' XFSZ; exec '{convert_lib.program()}' pull '{url}'"  # 512,000 or 1,024,000 bytes
    result = subprocess.run(["sh", "-c", shell], env=hub.environment(tmp_path), capture_output=True, text=True)
    fails(result, "incomplete: File too large")
    assert not files(cache(tmp_path) / "models--me--big/snapshots")
    assert run(hub.environment(tmp_path), "pull", url).returncode == 0
    whole(tmp_path, url, data)
    shutil.rmtree(blobs(tmp_path, "me/big"))
    blobs(tmp_path, "me/big").mkdir()
    (blobs(tmp_path, "me/big") / f"{hashlib.sha256(data).hexdigest()}.incomplete").mkdir()
    fails(run(hub.environment(tmp_path), "pull", url), "incomplete")
