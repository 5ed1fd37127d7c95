"""bench/: what can be held without a GPU. Times are not looked at: that the program runs, and what it makes of figures."""
import csv
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench"
sys.path.append(str(BENCH))

import kernel_profile  # noqa: E402
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


def test_unknown_command_is_refused():
    run = f5bench("", "e3e")
    assert run.returncode == 2 and "kernels" in run.stderr
