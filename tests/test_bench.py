"""bench/: what can be held without a GPU. Times are not looked at: that the program runs, and what it makes of figures."""
import csv
import importlib
import json
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
import types
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench"
sys.path.append(str(BENCH))

import f5lib  # noqa: E402
from crowd import wait_until  # noqa: E402
import kernel_profile  # noqa: E402
import kernel_rows  # noqa: E402
import op_base  # noqa: E402
import ops  # noqa: E402
import power  # noqa: E402
import random_checkpoint  # noqa: E402  found by workload
import shapes  # noqa: E402
import workload  # noqa: E402
from report import Report  # noqa: E402
from seeds import SEED  # noqa: E402


def trace_of(kernels):
    """A Chrome trace of (name, gap before in µs, µs)."""
    events, now = [dict(ph="M", name="process_name")], 100.0
    for name, gap, us in kernels:
        events.append(dict(ph="X", cat="kernel", name=name, ts=now + gap, dur=us, args=dict(grid=[8, 2, 1])))
        now += gap + us
    return dict(traceEvents=events)


BLOCK = [("void (anonymous namespace)::norm_warp_per_row<__half, 8>(norm_row_args, float const*, __half*)", 1, 5),
         ("void linear_sm90::linear_persistent_wgmma<__half, (linear_epilogue)0, 256>(tile_args, tensor_maps)", 1, 30),
         ("void (anonymous namespace)::prepare_keys<__half>(attention_device)", 1, 4),
         ("void attention_sm90::attention_wgmma<__half, 3>(attention_device, tensor_maps)", -1, 50),
         ("void linear_sm90::linear_persistent_wgmma<__half, (linear_epilogue)4, 176>(tile_args, tensor_maps)", 1, 16),
         ("void (anonymous namespace)::norm_warp_per_row<__half, 8>(norm_row_args, float const*, __half*)", 1, 5),
         ("void linear_sm90::linear_persistent_wgmma<__half, (linear_epilogue)2, 176>(tile_args, tensor_maps)", 1, 20),
         ("nvjet_sm90_hss_176x128_64x5_1x2_h_bz_TNN", 1, 18), ("void finish_rows<float, 4, 8>(finish_args, float*)", 0, 4)]
STEP = ([("sm80_xmma_gemm_f32f32_f32f32_f32_tn_n_tilesize128x128x8", 1, 7)] + 2 * BLOCK +
        [BLOCK[0], ("cutlass::Kernel2<cutlass_80_wmma_tensorop_s161616gemm_f16>(Params)", 1, 9),
         ("void (anonymous namespace)::guide_thread_per_vector<4>(guide_args, int const*)", 1, 2)])


def test_profile_of_a_known_trace():
    kernels = kernel_profile.read_trace(trace_of([("void embed_thread_per_vector<4>()", 0, 3)] + 4 * STEP))
    steps = kernel_profile.steps_of(kernels)
    assert [len(k) for _, k in steps] == [len(STEP)] * 3, "the step with the text encoder must be left out"
    figures = kernel_profile.step_figures(steps)
    work, gaps = sum(us for _, _, us in STEP), sum(gap for _, gap, _ in STEP)
    assert figures["kernel µs"] == pytest.approx(work) and figures["µs"] == pytest.approx(work + gaps)
    # the two kernels that run for 1 µs side by side are busy once
    assert figures["idle, traced %"] == pytest.approx(100 * (1 - (work - 2) / (work + gaps)))
    rows = {r["call"]: r for r in kernel_profile.by_call(steps, dict(qkv=60e6))}
    assert {name: r["median µs"] for name, r in rows.items()} == pytest.approx(
        dict(input=7, norm_a=5, qkv=30, attention=54, out=16, norm_m=5, ff1=20, ff2=22, norm_out=5, velocity=9, guide=2))
    assert {name: r["a step"] for name, r in rows.items() if r["a step"] == 2}.keys() == {
        "norm_a", "qkv", "attention", "out", "norm_m", "ff1", "ff2"}
    assert rows["qkv"]["TFLOP/s"] == pytest.approx(2) and rows["guide"]["TFLOP/s"] is None
    assert sum(r["ms"] for r in kernel_profile.by_kernel(kernels)) == pytest.approx((3 + 4 * work) / 1e3)


def test_idle_gaps_are_seen():
    """A pause of 100 µs in a step is named, and is the step's idle time."""
    slow = [(name, gap + 100 * ("attention_wgmma" in name), us) for name, gap, us in STEP]
    steps = kernel_profile.steps_of(kernel_profile.read_trace(trace_of(STEP + 3 * slow)))
    worst = kernel_profile.gaps_between(steps)[0]
    assert (worst["after"], worst["before"]) == ("prepare_keys", "attention_sm90::attention_wgmma")
    assert worst["median µs"] == pytest.approx(99) and worst["a step"] == 2
    assert kernel_profile.step_figures(steps)["idle, traced %"] > 30


class FakeMeter:
    """Uses 3 J a call and runs at 1500 and 1700 MHz by turns, held back by its power limit now and then."""

    def __init__(self):
        self.calls, self.looks = 0, 0

    def joules(self):
        return 3.0 * self.calls

    def mhz(self):
        self.looks += 1
        return 1500 + 200 * (self.looks % 2)

    def reasons(self):
        return 0x4 if self.looks % 3 == 1 else 0x1


def test_energy_of_calls():
    meter = FakeMeter()

    def call():
        meter.calls += 1
        time.sleep(0.005)
        if threading.active_count() > before:  # the one who watches may come late
            wait_until(lambda: meter.looks > 3, "a look at the meter")

    before = threading.active_count()
    found = power.one_after_another(call, meter, seconds=0.3)
    assert found["J"] == pytest.approx(3.0) and found["ms"] >= 5
    assert found["W"] == pytest.approx(1e3 * found["J"] / found["ms"])
    assert 1500 <= found["MHz"] <= 1700 and found["held back by"] == "power limit"
    assert power.reason_names(0x1) == "nothing" and power.reason_names(0x64) == "heat, power limit"

    def broken():
        raise ValueError("broken")

    with pytest.raises(ValueError):
        power.one_after_another(broken, meter)
    with pytest.raises(ValueError):  # once it has been warm, the watcher must not be left behind
        power.one_after_another(lambda: broken() if meter.calls > 100 else call(), meter, seconds=60)
    assert threading.active_count() == before

    def blind():
        meter.looks = 9
        raise RuntimeError("NVML status 3")

    meter.looks, meter.reasons = 0, blind
    with pytest.raises(RuntimeError, match="NVML status 3"):  # not "held back by nothing"
        power.one_after_another(call, meter, seconds=0.1)
    assert threading.active_count() == before


def kernel_row(op, **us):
    """A row of kernels.py for an op of 1 GFLOP and 1 MB; every candidate takes the same time three times."""
    times = {name.replace("_", " "): [t] * 3 for name, t in us.items()}
    return kernel_rows.row(op, times, 1e9, 1e6, rate=5e8, bandwidth=1e6, cached=False)


def test_a_library_that_does_less_is_not_taken_for_one_that_does_the_same():
    row = kernel_row("out residual", ours=10.0, portable=15.0, cuBLASLt_bare=8.0, cuBLASLt_same=12.0)
    assert row["library, less work"] == "cuBLASLt 8.0" and row["ours faster"] == "0.80×"
    assert row["library, same work"] == "cuBLASLt 12.0" and row["ours is faster"] == "1.20×"
    assert row["floor µs"] == 2 and row["% of it"] == pytest.approx(20) and row["portable/ours"] == 1.5
    alone = kernel_row("guide", ours=10.0)
    assert alone["library, less work"] == alone["library, same work"] == "" and alone["portable/ours"] is None


def test_a_block_is_the_sum_of_its_ops():
    rows = [kernel_row("attention, RoPE within", ours=1e6, portable=1e6),
            kernel_row("attention", ours=30.0, portable=50.0, cuDNN_same=40.0),
            kernel_row("qkv rope", ours=20.0, portable=30.0, cuBLASLt_bare=19.0),
            kernel_row("out residual", ours=10.0, portable=15.0, cuBLASLt_bare=8.0, cuBLASLt_same=12.0),
            kernel_row("ff1 gelu_tanh", ours=15.0, portable=16.0, cuBLASLt_bare=14.0, cuBLASLt_same=18.0),
            kernel_row("ff2 residual", ours=16.0, portable=20.0, cuBLASLt_bare=13.0, cuBLASLt_same=19.0)]
    assert kernel_rows.block(rows) is None, "a block without its norms"
    rows += [kernel_row("norm 1024 one plus", ours=5.0, portable=5.0), kernel_row("norm 512 fp32", ours=1.0)]
    block = kernel_rows.block(rows)
    assert (block["µs"], block["portable µs"]) == (101, 141) and block["portable/ours"] == pytest.approx(1.396, abs=1e-3)
    assert block["libraries, less work"] == 40 + 19 + 8 + 14 + 13 + 10
    assert block["libraries, same work"] == 40 + 19 + 12 + 18 + 19 + 10 and block["floor µs"] == 14
    del rows[1]["_us"]["portable"]
    assert kernel_rows.block(rows)["portable/ours"] is None


class FakeBlas:
    """cuBLASLt's C interface, which remembers what it was told; two algorithms are proposed, the second cannot run."""

    def __init__(self):
        self.attributes, self.runs = {}, []

    def __getattr__(self, name):
        done = getattr(type(self), f"do_{name}", lambda *_: 0)
        return lambda *arguments: done(self, *arguments) or 0

    def do_cublasLtMatmulDescSetAttribute(self, _, attribute, value, size):
        self.attributes[attribute.value] = value._obj.value

    def do_cublasLtMatmulAlgoGetHeuristic(self, *arguments):
        proposals, found = arguments[-2], arguments[-1]._obj
        found.value, proposals[1].state = 2, 15

    def do_cublasLtMatmul(self, *arguments):
        alpha, beta = arguments[2]._obj.value, arguments[7]._obj.value
        addend, result = arguments[8].value, arguments[10].value
        self.runs.append((alpha, beta, addend == result))


@pytest.mark.parametrize("what, with_bias, epilogue, beta", [
    ({}, True, 4, 0), ({}, False, 1, 0), (dict(gelu=True), True, 36, 0), (dict(gelu=True), False, 32, 0),
    (dict(add=True), True, 4, 1), (dict(add=True), False, 1, 1)])
def test_cublaslt_is_asked_for_the_epilogue(monkeypatch, what, with_bias, epilogue, beta):
    """The numbers are cublasLt.h's: CUBLASLT_MATMUL_DESC_EPILOGUE 7, its BIAS_POINTER 8, EPILOGUE_BIAS 4, GELU 32."""
    torch = pytest.importorskip("torch")
    import cublaslt
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: type("Stream", (), {"cuda_stream": 0}))
    library = cublaslt.Library.__new__(cublaslt.Library)
    library.lib, library.handle, library.workspace = FakeBlas(), None, torch.zeros(16)
    x, w, y = torch.zeros(6, 16).half(), torch.zeros(8, 16).half(), torch.zeros(6, 8)
    bias = torch.ones(8) if with_bias else None
    calls = library.proposals(x, w, bias, y, 4, **what)
    assert len(calls) == 1, "an algorithm that cannot run is no proposal"
    assert library.lib.attributes[7] == epilogue
    assert library.lib.attributes.get(8) == (bias.data_ptr() if with_bias else None)
    calls[0]()
    assert library.lib.runs == [(1.0, beta, True)]
    with pytest.raises(AssertionError):
        library.proposals(x, w, torch.ones(8).half(), y, 4)


def test_tables_and_history(tmp_path, capsys):
    report = Report("NVIDIA H200", commit="abc", seed=1)
    report.table("Things", ["what", "ms", "note"], [["long name", 12.3456, "x"], ["b", None, ""]])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1 and "12.35" in lines[2] and len(lines) == 4
    path = report.keep_history(tmp_path)
    for what in (report, Report("NVIDIA H200", commit="other")):
        assert what.keep_history(tmp_path) == path and path.name == "h200.csv" and not what.had
        what.figure("a case", 1.5, "ms")  # is there at once
    again = Report("NVIDIA H200", commit="abc")
    again.keep_history(tmp_path)
    assert again.had == {"a case"}
    with open(path, newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 2 and (rows[0]["case"], rows[0]["figure"], rows[0]["gpu"]) == ("a case", "1.5", "NVIDIA H200")
    report.write_json(tmp_path / "all.json")
    assert json.loads((tmp_path / "all.json").read_text())["tables"]["Things"][0]["ms"] == 12.3456


def test_rows_appear_as_they_are_added(capsys):
    report = Report("cpu", commit="abc")
    table = report.growing("Growing", widths={"name": 12})
    assert capsys.readouterr().out == ""
    table.add({"name": "a", "ms": 1.0})
    first = capsys.readouterr().out.splitlines()
    assert first[1:2] == ["Growing"] and first[-1].startswith("| a ")
    table.add({"name": "a longer one", "ms": None})
    second = capsys.readouterr().out.splitlines()
    assert len(second) == 1 and len(second[0]) == len(first[-1]) == len(first[-2]) == len(first[-3])
    assert report.tables["Growing"] == [{"name": "a", "ms": 1.0}, {"name": "a longer one", "ms": None}]


def test_a_spread_lies_within_what_was_seen():
    for times in ([3.0], [1.0, 2.0], [5.0, 1.0, 2.0, 9.0], [float(i) for i in range(100)]):
        low, high = workload.spread(times)
        assert min(times) <= low <= high <= max(times)
    assert workload.spread([float(i) for i in range(101)]) == (10.0, 90.0)


def f5bench(prelude, *arguments):
    script = f"import sys\nsys.path.insert(0, {str(BENCH)!r})\n{textwrap.dedent(prelude)}\nimport f5bench, workload\n" \
             "workload.SIZES.update(S=490)\nsys.exit(f5bench.main(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "OMP_WAIT_POLICY": "passive"})


def test_requests_without_pytorch(tmp_path):
    """People with CUDA and numpy alone can time their card: here a small model on the CPU, PyTorch out of reach."""
    run = f5bench("sys.modules['torch'] = None", "e2e", "--arch", "tiny", "--device", "cpu", "--precision", "fp32",
                  "--sizes", "S", "--nfe", "1", "--rounds", "1", "--json", str(tmp_path / "e2e.json"))
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads((tmp_path / "e2e.json").read_text())
    cases = {f["case"]: f["figure"] for f in found["figures"]}
    assert cases["tiny e2e S nfe 1 fp32 f5tts"] > 0 and cases["tiny e2e first audio nfe 1 fp32 f5tts"] > 0
    assert "| S " in run.stdout


def test_requests_beside_a_peer(tmp_path):
    """f5tts is shown before a peer is made ready; then both by turns, whose times stand in the history."""
    peer = """
        import sys, time, e2e, workload
        class Peers:
            def prepare(self, ours, cond, tokens, size, nfe, noise):
                assert len(noise) == workload.SIZES[size] and len(tokens) > 0 and cond.shape == (469, 100)
                print("the peer is made ready")
                return {"torch slow": lambda: time.sleep(0.05)}, {"f5tts": 1e-4, "torch slow": float("nan")}
            def vocoders(self):
                return {"torch slow": 3.0}
        e2e.peers_of = lambda bench: Peers()
        """
    run = f5bench(peer, "e2e", "--arch", "tiny", "--device", "cpu", "--precision", "fp32", "--sizes", "S", "--nfe", "1",
                  "--rounds", "1", "--json", str(tmp_path / "e2e.json"))
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.index("| S ") < run.stdout.index("the peer is made ready") < run.stdout.index("torch slow")
    found = json.loads((tmp_path / "e2e.json").read_text())
    figures = [f["case"] for f in found["figures"]]
    cases = {f["case"]: f["figure"] for f in found["figures"]}
    assert len(figures) == len(cases) and cases["tiny e2e S nfe 1 fp32 torch slow"] >= 50
    ours, theirs = found["tables"]["Whole requests, by turns"]
    assert cases["tiny e2e S nfe 1 fp32 f5tts"] == ours["ms"] and theirs["ms"] == cases["tiny e2e S nfe 1 fp32 torch slow"]
    assert "nan" in run.stdout, "an error that is no number must be seen"


def test_requests_to_a_model_of_one_voice(tmp_path):
    """Flow-Matching-TTS speaks IPA for as long as a size says, at its own rate."""
    small = """
        import workload, f5file
        write = f5file.write_model
        f5file.write_model = lambda *a, **k: write(*a, **k, dim=64, heads=1, depth=1, mb_channels=16)
        workload.OWN_VOICE.sizes.update(S=100)
        """
    run = f5bench(small, "e2e", "--arch", "FM_TTS", "--device", "cpu", "--precision", "fp32", "--sizes", "S", "--nfe", "2",
                  "--rounds", "1", "--json", str(tmp_path / "e2e.json"))
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads((tmp_path / "e2e.json").read_text())
    row, = found["tables"]["Whole requests by f5tts, ms"]
    assert row["model"] == "FM_TTS" and abs(float(row["RTF"]) - row["ms"] / 1e3 / (100 * 256 / 22050)) < 1e-4
    refused = f5bench("", "stages", "--arch", "FM_TTS", "--device", "cpu")
    assert refused.returncode == 2 and "only e2e" in refused.stderr


def test_the_vocoders_of_peers(rng, seed):
    """BigVGAN and MB-iSTFT as PyTorch's fastest form of them has it, against the plain one."""
    torch = importlib.import_module("torch")
    generator, bigvgan, mb_istft = (importlib.import_module(n) for n in ("torch_generator", "bigvgan", "mb_istft"))
    config = {**random_checkpoint.OPTIONS, "vocoder": "bigvgan", "bigvgan_channels": 64}
    drawn = random_checkpoint.draw_all(random_checkpoint.vocoder_tensors(config), seed)
    w = {k: torch.from_numpy(v).double() for k, v in drawn.items()}
    mel = torch.from_numpy(rng.standard_normal((9, 100)))
    assert torch.allclose(generator.BigVGAN(w, config)(mel), bigvgan.bigvgan(w, config, mel), rtol=0, atol=1e-9)
    w = {k: v.double() for k, v in mb_istft.random_weights(seed, "bands").items()}
    mel, peer = torch.from_numpy(rng.standard_normal((9, 80))), generator.MultiBand(w)
    assert torch.allclose(peer.samples(peer.features(mel)), mb_istft.decode(w, "bands", mel), rtol=1e-6, atol=1e-6)


def test_accuracy_on_random_weights():
    """Settings against the exact solution: nothing between them where they are the same, less with more steps."""
    run = subprocess.run([sys.executable, str(BENCH / "accuracy.py"), "--random", "tiny", "--sentences", "1", "--device",
                          "cpu", "--exact", "8", "--settings", "midpoint:8", "midpoint:4", "euler:1", "ab2:6:curve"],
                         capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    found = {cells[1].strip(): [float(c) for c in cells[2:-1]] for cells in
             (line.split("|") for line in run.stdout.splitlines() if ":" in line and line.startswith("| ")) if len(cells) == 6
             and cells[2].strip().isdigit()}
    assert found["midpoint:8"] == [16, 0, 0] and found["ab2:6:curve"][0] == 6
    assert 0 < found["midpoint:4"][1] < found["euler:1"][1] and 0 < found["ab2:6:curve"][1] < found["euler:1"][1]


def test_accuracy_as_a_command(tmp_path, monkeypatch):
    """Every precision and setting has a time and an error of both models; a voice that was trained gains by steps. Cut off, it
    goes on: what the history has is not measured again."""
    monkeypatch.setenv("F5_BENCH_HISTORY", str(tmp_path))

    def command(*options):
        return f5bench("""
            import accuracy
            accuracy.EXACT_SHORTLY, accuracy.COMPARED_SHORTLY = 4, ["euler:1", "ab2:4"]
            accuracy.lines = lambda name: ["One.", "Two."]
            """, "accuracy", "--arch", "tiny", "--device", "cpu", "--history", *options)

    run = command("--json", str(tmp_path / "a.json"))
    assert run.returncode == 0, run.stdout + run.stderr
    kept = (tmp_path / "cpu.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    lost = [line for line in kept if "natural-small fp32 ab2 4 " in line or "natural-small int8 " in line]
    (tmp_path / "cpu.csv").write_text("".join(line for line in kept if line not in lost), encoding="utf-8")
    again = command("--resume")
    assert again.returncode == 0 and "random weights: the history has all of it" in again.stdout, again.stdout + again.stderr
    rows = [[c.strip() for c in line.split("|")[1:3]] for line in again.stdout.splitlines() if line.startswith("| ")]
    assert rows == [["precision", "method"], ["fp32", "ab2"], ["int8", "euler"], ["int8", "ab2"]] and len(lost) == 9
    late = command("--minutes", "0.000001")
    assert late.returncode == 0 and "left out for want of time: accuracy" in late.stdout, late.stdout + late.stderr
    found = json.loads((tmp_path / "a.json").read_text())
    for model, precisions in (("random weights", ("fp32", "int8", "mixed")), ("natural-small", ("fp32", "int8"))):
        rows = found["tables"][f"Accuracy, {model}"]
        assert [(r["precision"], r["method"], r["evaluations"]) for r in rows] == [
            (p, m, n) for p in precisions for m, n in (("euler", 1), ("ab2", 4))]
        assert all(r["ms"] > 0 and 0 < r["error, median"] <= r["worst"] < float("inf") for r in rows)
        assert rows[1]["error, median"] != rows[3]["error, median"]
        if model == "natural-small":
            assert rows[1]["error, median"] < rows[0]["error, median"]
        cases = {f["case"]: f["figure"] for f in found["figures"]}
        assert run.stdout.count("exact: 1 of 1") == 2
        assert cases[f"accuracy {model} int8 ab2 4 error"] == rows[3]["error, median"]
        assert cases[f"accuracy {model} int8 ab2 4 ms"] == rows[3]["ms"]


def test_the_plot_of_accuracy_takes_the_latest_figures(monkeypatch):
    """From the history's cases to curves; matplotlib is not asked for."""
    for name in ("matplotlib", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(use=lambda backend: None, pyplot=None))
    monkeypatch.delitem(sys.modules, "plot", raising=False)
    curves = importlib.import_module("plot").accuracy_curves({
        "accuracy random weights fp16 euler 32 ms": 100.0, "accuracy random weights fp16 euler 32 error": 0.04,
        "accuracy random weights fp16 euler 7 ms": 22.0, "accuracy random weights fp16 euler 7 error": 0.1,
        "accuracy shipped voice int8 ab2 12 ms": 9.0, "accuracy shipped voice int8 ab2 12 error": 0.02,
        "accuracy shipped voice int8 ab2 12 worst": 0.2, "e2e M nfe 32 fp16 f5tts": 99.0})
    monkeypatch.delitem(sys.modules, "plot")
    assert curves == {"random weights": {("fp16", "euler"): [(22.0, 0.1, 7), (100.0, 0.04, 32)]},
                      "shipped voice": {("int8", "ab2"): [(9.0, 0.02, 12)]}}


def test_many_clients(tmp_path):
    run = f5bench("", "load", "--arch", "tiny", "--device", "cpu", "--precision", "fp32", "--sizes", "S", "--nfe", "1",
                  "--clients", "1", "3", "--rounds", "2", "--least", "4", "--json", str(tmp_path / "load.json"))
    assert run.returncode == 0, run.stdout + run.stderr
    one, three = json.loads((tmp_path / "load.json").read_text())["rows"]
    assert (one["clients"], one["requests"], three["clients"], three["requests"]) == (1, 4, 3, 6)
    for row in (one, three):
        assert row["audio_seconds"] == pytest.approx(row["requests"] * (490 - 469) * 256 / 24000)
        assert 0 < row["latency_ms"]["50"] <= row["latency_ms"]["90"] <= row["latency_ms"]["100"] <= 1e3 * row["seconds"]
        assert row["throughput"] == pytest.approx(row["audio_seconds"] / row["seconds"]) and 1 <= row["batch"] <= 3
    assert sum(line.startswith("| S ") for line in run.stdout.splitlines()) == 2


@pytest.mark.parametrize("prelude, arguments, words", [
    ("sys.modules['numpy'] = None", ["e2e"], "f5bench needs numpy"),
    ("sys.modules['torch'] = None", ["cpu"], "no PyTorch for"),
    ("sys.modules['torch'] = None", ["kernels", "--device", "cpu"], "kernels: wants PyTorch and a GPU"),
    ("import os; os.environ['F5_BUILD'] = '/nowhere'", ["e2e", "--device", "cpu"], "build it first"),
    ("import os; os.environ['F5_BUILD'] = '/nowhere'", ["load", "--device", "cpu"], "build it first"),
    ("", ["e2e", "--rounds", "0"], "0 is not 1 or more"), ("", ["e2e", "cpu"], "cpu has options of its own")])
def test_what_is_missing_is_said_in_a_sentence(prelude, arguments, words):
    run = f5bench(prelude, *arguments)
    assert run.returncode and words in run.stderr and "Traceback" not in run.stderr, run.stderr


def test_the_rows_of_kernels_can_be_listed_and_chosen():
    run = f5bench("", "kernels", "--list", "--sizes", "S", "--op", "qkv|attention")
    assert run.returncode == 0, run.stderr
    rows = [line for line in run.stdout.splitlines() if line.startswith("S ")]
    assert [" ".join(row.split()[1:3]) for row in rows] == ["joint_qkv heads", "qkv rope", "int8 qkv", "attention attention", "attention, RoPE"]
    whole = importlib.import_module("kernels").timed_ops({**random_checkpoint.OPTIONS, **random_checkpoint.ARCHS["demo"]}, 938)
    assert {timed.op.name for timed in whole} == set(ops.names()), "an op is not timed"


@pytest.mark.parametrize("name", ops.names())
def test_what_is_timed_gives_what_is_proved(name):
    """Every row of bench/kernels.py, in little: as it is laid out there, run by the reference, against the truth."""
    config = {**random_checkpoint.OPTIONS, **random_checkpoint.ARCHS["tiny"]}
    for timed in ops.class_of(name).cases_bench(op_base.Model(config, 40, 11)):
        draw, lengths = op_base.Draw(SEED, timed.title), [min(n, 20000) for n in timed.lengths]
        call = op_base.Call(op_base.Reference(), timed.op, op_base.F32[0], timed.op.draw(draw, lengths))
        assert call.bytes() > 0 and timed.op.flop(lengths) >= 0
        y = call.output()
        y.a.zero_()
        for sequence in call.inputs.sequences if "addend" in timed.op.aliases else ():
            sequence["addend"] = y.a.new_zeros(1)
        fields = call.fields(y)
        call.device.run(name, **fields)
        got = fields["y"][:call.starts[-1]] if timed.op.aliases.get("y") else call.live(y)
        want = timed.op.expected(call.inputs)
        op_base.check(name, f"bench: {timed.title}", timed.op.judged(got, want), want, max(timed.op.bar("ref", None), 6e-8))


def test_one_op_can_be_tried(capsys):
    trial = importlib.import_module("try")

    def tried(*arguments):
        return trial.main(list(arguments)), capsys.readouterr().out

    code, listed = tried()
    assert code == 0 and [line.split()[0] for line in listed.splitlines()] == ops.names()
    code, said = tried("linear", "--shape", "72,192,ROPE,rope_heads=1", "--lengths", "31,2", "--tail", "3", "--device", "cpu")
    assert code == 0 and ": right" in said and "floor" in said, said
    code, said = tried("guide", "--device", "cpu", "--check")
    assert code == 0 and ": right" in said and "floor" not in said
    for wrong, words in ((["nope"], "no op 'nope'"), (["norm", "--shape", "x=1"], "made of (dim"),
                         (["grn", "--type", "fp16", "--device", "cpu"], "has no fp16 on cpu")):
        with pytest.raises(SystemExit, match=re.escape(words)):
            trial.main(wrong)


def test_a_wrong_op_is_not_called_right(capsys, monkeypatch):
    trial = importlib.import_module("try")
    op = ops.Norm(8)
    call = op_base.Call(op_base.Reference(), op, op_base.F32[0], op.draw(op_base.Draw(SEED, "wrong"), [5]))
    assert trial.check(call)
    monkeypatch.setitem(op.scalars, "one_plus_scale", True)
    assert not trial.check(call) and "WRONG" in capsys.readouterr().out


def test_unknown_command_is_refused():
    run = f5bench("", "e3e")
    assert run.returncode == 2 and "kernels" in run.stderr


@pytest.mark.parametrize("lengths", [[77], [60, 60], [31, 31, 31, 31]])
def test_the_engine_and_bench_count_the_same_flop(model, lengths):
    """f5_plan of one step more is an evaluation, as shapes.py has it, and a row of the time grid: time MLP and AdaLN."""
    for max_batch in (len(lengths), 16):
        with f5lib.Engine(model, max_frames=200, max_batch=max_batch) as e:
            flop = [e.plan(sum(lengths), len(lengths), nfe)["flop"] for nfe in (1, 2)]
            dim, depth = e.info()["dim"], e.info()["depth"]
    config = {**random_checkpoint.OPTIONS, **random_checkpoint.ARCHS["tiny"]}
    row = 2 * (256 * dim + dim * dim + dim * (6 * depth + 2) * dim)
    assert flop[1] - flop[0] == shapes.evaluation_flop(lengths, config) + row
