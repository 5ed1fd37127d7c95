"""bench/lease.py, on the CPU with a tiny model."""
import csv

from test_bench import f5bench


def test_a_lease_goes_on_and_keeps_what_it_has(tmp_path, monkeypatch):
    """Parts that end, fail, take too long and are left out; the figures of those that were cut off are in the history."""
    monkeypatch.setenv("F5_BENCH_HISTORY", str(tmp_path))
    run = f5bench("""
        import lease
        short = ["--sizes", "S", "--nfe", "1", "--rounds", "1", "--modes"]
        lease.PLAN = [("broken", 60, ["e2e", "--sizes", "XXL"]), ("well", 200, ["e2e", *short]), ("not asked for", 60, ["e2e", *short]),
                      ("endless", 20, ["e2e", "--sizes", "S", "--rounds", "1000000", "--nfe", "1", "2", "--modes"]), ("too long", 9000, ["stages"])]
        """, "lease", "--minutes", "6", "--only", "broken|well|endless|too", "--", "--arch", "tiny", "--device", "cpu", "--precision", "fp32")
    assert run.returncode == 1, run.stdout + run.stderr
    said = dict(line.split("  ", 1) for line in run.stdout.splitlines()[-4:])
    assert {name: text.split()[0] for name, text in said.items()} == {"broken": "failed", "well": "done", "endless": "ended", "too long": "left"}
    with open(tmp_path / "cpu.csv", newline="", encoding="utf-8") as f:
        cases = [row["case"] for row in csv.DictReader(f)]
    assert "tiny e2e S nfe 1 fp32 f5tts" in cases and len(cases) > 5
