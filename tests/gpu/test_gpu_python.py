"""f5tts.ops on a GPU, of the wheel that is built here: every op against PyTorch in double within a minute, on torch's current
stream or another, in graphs and threads, in the memory that it is given; what is on the wrong device is refused."""
import subprocess
import sys
import threading
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


def litter():
    """Takes what torch's allocator has free on the current stream, of any size, and writes into it."""
    kept = [torch.full((size,), float("nan"), device="cuda") for size in [64, 512, 4096, 1 << 16, 1 << 20] * 20 + [1 << 24] * 8]
    torch.cuda.synchronize()
    return kept


def test_threads_on_one_stream(ops):
    """Of packs that grow, which need ever more scratch: no thread takes away what another's op still uses."""
    rope = torch.from_numpy(ops.rope_table(4096)).cuda()
    inputs = [torch.randn(n, 3, 4, 64, device="cuda").half() for n in (64, 300, 1024, 4096) * 2]
    wants = [ops.attention(x, rope, rope_heads=4) for x in inputs]
    failed = []

    def work(x, want):
        try:
            for _ in range(20):
                assert same_bits(ops.attention(x, rope, rope_heads=4), want)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(inputs, wants)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not failed, failed[0]


def test_a_graph_keeps_its_scratch(ops):
    """However much larger the ops are that come on its stream later, and whatever runs beside it."""
    rope, streams = torch.from_numpy(ops.rope_table(8192)).cuda(), [torch.cuda.Stream() for _ in range(3)]
    inputs = [torch.randn(n, 3, 4, 64, device="cuda").half() for n in (341, 200)]
    large = torch.randn(8192, 3, 4, 64, device="cuda").half()
    wants = [ops.attention(x, rope, rope_heads=4) for x in (*inputs, large)]
    graphs, outputs = [torch.cuda.CUDAGraph() for _ in inputs], []
    torch.cuda.synchronize()
    for graph, x in zip(graphs, inputs):
        with torch.cuda.graph(graph, stream=streams[0]):
            outputs.append(ops.attention(x, rope, rope_heads=4))
    with torch.cuda.stream(streams[0]):
        assert same_bits(ops.attention(large, rope, rope_heads=4), wants[2])
    kept = litter()
    for _ in range(20):
        for output in outputs:
            output.zero_()
        torch.cuda.synchronize()
        with torch.cuda.stream(streams[1]):
            graphs[0].replay()
        with torch.cuda.stream(streams[2]):
            graphs[1].replay()
        with torch.cuda.stream(streams[0]):
            eager = ops.attention(large, rope, rope_heads=4)
        torch.cuda.synchronize()
        assert all(same_bits(got, want) for got, want in zip((*outputs, eager), wants))
    assert all(bool(torch.isnan(x).all()) for x in kept), "an op wrote into memory that is not its own"


def test_an_explicit_stream(ops):
    """What an op reads and makes there is not given to others before it has run."""
    rope = torch.from_numpy(ops.rope_table(512)).cuda()
    qkv, other = torch.randn(341, 3, 4, 64, device="cuda").half(), torch.cuda.Stream()
    want = ops.attention(qkv, rope, rope_heads=4)
    torch.cuda.synchronize()  # as with any kernel of torch's: who names another stream orders the two
    got = ops.attention(qkv, rope, rope_heads=4, stream=other.cuda_stream)
    torch.cuda.synchronize()
    assert same_bits(got, want)
    given = qkv.clone()
    torch.cuda.synchronize()
    with torch.cuda.stream(other):
        torch.cuda._sleep(400_000_000)
    got = ops.attention(given, rope, rope_heads=4, stream=other.cuda_stream)  # it makes its pack itself
    address = given.data_ptr()
    del given
    kept = [torch.full_like(qkv, float("nan")) for _ in range(8)] + [torch.full((n,), 999, dtype=torch.int32, device="cuda")
                                                                     for n in (2, 341) * 100]
    assert not other.query() and address not in [x.data_ptr() for x in kept]
    other.synchronize()
    assert same_bits(got, want)
    for wrong in (-1, 1, 2, 1.5, "0"):
        with pytest.raises(ValueError, match="stream is"):
            ops.attention(qkv, rope, rope_heads=4, stream=wrong)
    got = ops.attention(qkv, rope, rope_heads=4, stream=0)
    torch.cuda.synchronize()
    assert same_bits(got, want)


def test_embed_in_a_graph(ops):
    """Its ids are looked at by the host, but not there; one that is no row of the table gives NaN."""
    ids, table = torch.tensor([1, 0, 2], dtype=torch.int32, device="cuda"), torch.randn(3, 16, device="cuda")
    want = ops.embed(ids, table)
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        y = ops.embed(ids, table)
    graph.replay()
    torch.cuda.synchronize()
    assert same_bits(y, want)
    with pytest.raises(Exception, match="make it before one is captured"):
        with torch.cuda.graph(torch.cuda.CUDAGraph()):
            ops.Pack([3, 2], device="cuda")


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
