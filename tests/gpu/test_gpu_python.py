"""f5tts.ops on a GPU, of the wheel that is built here: every op against PyTorch in double within a minute, on torch's current
stream, in the memory that it is given; what is on the wrong device is refused."""
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch

import cbind
from op_base import same_bits

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the package, as pip would unpack it."""
    folder = tmp_path_factory.mktemp("site")
    sys.path.insert(0, str(ROOT / "host/python"))
    import backend
    build = Path(cbind.os.environ.get("F5_BUILD", ROOT / "build"))
    name = backend.build_wheel(folder, {"build": str(build)})
    assert "-linux_" in name, "a wheel that needs CUDA's libraries is no manylinux wheel"
    with zipfile.ZipFile(folder / name) as wheel:
        wheel.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def ops(site):
    sys.path.insert(0, str(site))
    from f5tts import ops
    return ops


def test_all_ops_are_right_within_a_minute(site):
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "f5tts.ops.check", "--device", "cuda"], capture_output=True, text=True,
                          cwd=site, timeout=300)
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - started < 60


def tensors(ops):
    rope = torch.from_numpy(ops.rope_table(512)).cuda()
    return torch.randn(341, 3, 4, 64, device="cuda").half(), rope, ops.Pack([300, 41], device="cuda")


def test_on_the_current_stream(ops):
    """Behind what the stream has still to do, in front of what comes after it; other streams are left alone."""
    qkv, rope, pack = tensors(ops)
    want = ops.attention(qkv, rope, pack=pack, rope_heads=4)
    stream, x = torch.cuda.Stream(), torch.zeros_like(qkv)
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        x.copy_(qkv)
        got = ops.attention(x, rope, pack=pack, rope_heads=4)
        after = got.clone()
        assert not stream.query(), "the op is asynchronous"
    stream.synchronize()
    assert same_bits(after, want)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        again = ops.attention(x, rope, pack=pack, rope_heads=4)
    again.zero_()
    graph.replay()
    torch.cuda.synchronize()
    assert same_bits(again, want)


def test_weights_that_an_op_made(ops):
    """An op may be given, as weights, what the op in front of it writes."""
    w, x = torch.randn(1024, 1024, device="cuda"), torch.randn(512, 1024, device="cuda").half()
    want = ops.linear(x, w.half())
    for _ in range(50):
        got = ops.linear(x, ops.cast(w, dtype=torch.float16))
        assert same_bits(got, want)


def test_memory_is_the_callers(ops):
    x = torch.randn(64, 256, device="cuda")
    y = torch.empty(64, 256, device="cuda", dtype=torch.bfloat16)
    assert ops.cast(x, y=y) is y and torch.equal(y, x.bfloat16())
    quantized, scale = ops.quantize(x)
    assert quantized.dtype == torch.int8 and scale.shape == (64,)


def test_wrong_devices(ops):
    qkv, rope, pack = tensors(ops)
    refused = [
        ("rope is on cpu", lambda: ops.attention(qkv, rope.cpu(), pack=pack)),
        ("pack is on cpu", lambda: ops.attention(qkv, rope, pack=ops.Pack([300, 41]))),
        ("y is on cpu", lambda: ops.attention(qkv, rope, pack=pack, y=torch.empty(341, 4, 64).half())),
        ("a sequence has 300 rows", lambda: ops.attention(qkv, rope[:299], pack=pack)),
        ("ids run", lambda: ops.embed(torch.full((5,), 9, dtype=torch.int32, device="cuda"), torch.zeros(3, 16, device="cuda"))),
        ("not contiguous", lambda: ops.attention(qkv.transpose(1, 2), rope, pack=pack)),
        ("multiple of 16", lambda: ops.cast(torch.zeros(9, device="cuda")[1:], dtype=torch.float16)),
    ]
    for message, call in refused:
        with pytest.raises(ValueError, match=message):
            call()
    torch.cuda.synchronize()
    if torch.cuda.device_count() > 1:
        with pytest.raises(ValueError, match="cuda:1"):
            ops.attention(qkv, rope.to("cuda:1"), pack=pack)
