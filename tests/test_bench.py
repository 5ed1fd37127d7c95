"""bench/: what can be held without a GPU. Times are not looked at: that the program runs, and what it makes of figures."""
import csv
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench"
sys.path.append(str(BENCH))

import f5lib  # noqa: E402
import kernel_profile  # noqa: E402
import power  # noqa: E402
import random_checkpoint  # noqa: E402  found by workload
import shapes  # noqa: E402
import workload  # noqa: E402
from report import Report  # noqa: E402


def trace_of(kernels):
    """A Chrome trace of (name, gap before in µs, µs)."""
    events, now = [dict(ph="M", name="process_name")], 100.0
    for name, gap, us in kernels:
        events.append(dict(ph="X", cat="kernel", name=name, ts=now + gap, dur=us, args=dict(grid=[8, 2, 1])))
        now += gap + us
    return dict(traceEvents=events)


BLOCK = [("void (anonymous namespace)::norm_warp_per_row<__half, 8>(norm_row_args, float const*, __half*)", 1, 5),
         ("void linear_hopper::product<__half, (linear_epilogue)0, 256>(product_args, tensor_maps)", 1, 30),
         ("void (anonymous namespace)::prepare_keys<__half>(attention_device)", 1, 4),
         ("void attention_hopper::attend<__half, 3>(attention_device, tensor_maps)", -1, 50),
         ("void linear_hopper::product<__half, (linear_epilogue)4, 176>(product_args, tensor_maps)", 1, 16),
         ("void (anonymous namespace)::norm_warp_per_row<__half, 8>(norm_row_args, float const*, __half*)", 1, 5),
         ("void linear_hopper::product<__half, (linear_epilogue)2, 176>(product_args, tensor_maps)", 1, 20),
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
    slow = [(name, gap + 100 * ("attend" in name), us) for name, gap, us in STEP]
    steps = kernel_profile.steps_of(kernel_profile.read_trace(trace_of(STEP + 3 * slow)))
    worst = kernel_profile.gaps_between(steps)[0]
    assert (worst["after"], worst["before"]) == ("prepare_keys", "attention_hopper::attend")
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
        return 0x4 if self.looks % 3 == 0 else 0x1


def test_energy_of_calls():
    meter = FakeMeter()

    def call():
        meter.calls += 1
        time.sleep(0.005)

    found = power.one_after_another(call, meter, seconds=0.3)
    assert found["J"] == pytest.approx(3.0) and found["ms"] >= 5
    assert found["W"] == pytest.approx(1e3 * found["J"] / found["ms"])
    assert 1500 <= found["MHz"] <= 1700 and found["held back by"] == "power limit"
    assert power.reason_names(0x1) == "nothing" and power.reason_names(0x64) == "heat, power limit"

    def broken():
        raise ValueError("broken")

    before = threading.active_count()
    with pytest.raises(ValueError):
        power.one_after_another(broken, meter)
    with pytest.raises(ValueError):  # once it has been warm, the watcher must not be left behind
        power.one_after_another(lambda: broken() if meter.calls > 100 else call(), meter, seconds=9)
    assert threading.active_count() == before


def test_tables_and_history(tmp_path, capsys):
    report = Report("NVIDIA H200", commit="abc", seed=1)
    report.table("Things", ["what", "ms", "note"], [["long name", 12.3456, "x"], ["b", None, ""]])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1 and "12.35" in lines[2] and len(lines) == 4
    report.figure("a case", 1.5, "ms")
    path = report.append_history(tmp_path)
    assert report.append_history(tmp_path) == path and path.name == "h200.csv"
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
    assert cases["e2e S nfe 1 fp32 f5tts"] > 0 and cases["e2e first audio nfe 1 fp32 f5tts"] > 0
    assert "| S " in run.stdout


def test_requests_beside_a_peer(tmp_path):
    """f5tts is shown before a peer is made ready; then both by turns, whose times stand in the history."""
    peer = """
        import sys, time, e2e
        class Peers:
            def prepare(self, ours, cond, tokens, size, nfe, noise):
                assert len(noise) == e2e.SIZES[size] and len(tokens) > 0 and cond.shape == (469, 100)
                print("the peer is made ready")
                return {"torch slow": lambda: time.sleep(0.05)}, {"f5tts": 1e-4, "torch slow": float("nan")}
        e2e.peers_of = lambda bench: Peers()
        """
    run = f5bench(peer, "e2e", "--arch", "tiny", "--device", "cpu", "--precision", "fp32", "--sizes", "S", "--nfe", "1",
                  "--rounds", "1", "--json", str(tmp_path / "e2e.json"))
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.index("| S ") < run.stdout.index("the peer is made ready") < run.stdout.index("torch slow")
    found = json.loads((tmp_path / "e2e.json").read_text())
    figures = [f["case"] for f in found["figures"]]
    cases = {f["case"]: f["figure"] for f in found["figures"]}
    assert len(figures) == len(cases) and cases["e2e S nfe 1 fp32 torch slow"] >= 50
    ours, theirs = found["tables"]["Whole requests, by turns"]
    assert cases["e2e S nfe 1 fp32 f5tts"] == ours["ms"] and theirs["ms"] == cases["e2e S nfe 1 fp32 torch slow"]
    assert "nan" in run.stdout, "an error that is no number must be seen"


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


def test_unknown_command_is_refused():
    run = f5bench("", "e3e")
    assert run.returncode == 2 and "kernels" in run.stderr


@pytest.mark.parametrize("lengths", [[77], [60, 60], [31, 31, 31, 31]])
def test_the_engine_and_bench_count_the_same_flop(model, lengths):
    """f5_plan of one step more is an evaluation, as shapes.py has it, and a row of the schedule: time MLP and AdaLN."""
    for max_batch in (len(lengths), 16):
        with f5lib.Engine(model, max_frames=200, max_batch=max_batch) as e:
            flop = [e.plan(sum(lengths), len(lengths), nfe)["flop"] for nfe in (1, 2)]
            dim, depth = e.info()["dim"], e.info()["depth"]
    config = {**random_checkpoint.OPTIONS, **random_checkpoint.ARCHS["tiny"]}
    row = 2 * (256 * dim + dim * dim + dim * (6 * depth + 2) * dim)
    assert flop[1] - flop[0] == shapes.evaluation_flop(lengths, config) + row
