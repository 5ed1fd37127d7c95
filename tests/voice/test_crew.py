"""What fails is started again: as it was if it had trained; seeing all GPUs if nobody was found; alone; without the
compiler; and then not."""
import time

import crew
import pytest

# A trainer that does what the first words of its plan say, a line of the plan for every start.
TRAINER = '''
import os, sys, time
from pathlib import Path
work, rank = Path(sys.argv[1]), int(os.environ["RANK"])
with open(work / f"starts-{rank}", "a") as f:
    f.write(os.environ["WORLD_SIZE"] + " " + os.environ["CUDA_VISIBLE_DEVICES"] + " " + " ".join(sys.argv[4:]) + "\\n")
start = len((work / f"starts-{rank}").read_text().splitlines()) - 1
def starts(of):
    path = work / f"starts-{of}"
    return len(path.read_text().splitlines()) if path.exists() else 0
while min(starts(of) for of in range(int(os.environ["WORLD_SIZE"]))) <= start:
    time.sleep(0.01)  # nobody fails before every process has written down its start: it would miss a line of the plan
plan = (work / "plan").read_text().splitlines()[start].split()
if "strangers" in plan:
    sys.exit("a reason")
print("[ 0 s] joined: some", flush=True)
if "train" in plan:
    time.sleep(0.1)
    print("[ 1 s] step 20", flush=True)
    if rank == 0:
        (work / "state.pt").write_text("state")
if "hang" in plan or "fail" in plan and rank == 0 and os.environ["WORLD_SIZE"] > "1":
    time.sleep(60)
if "fail" in plan:
    time.sleep(0.3)
    sys.exit("a reason")
if rank == 0:
    print("[ 2 s] done: 20 steps", flush=True)
'''


def run(tmp_path, monkeypatch, plan, seconds=300):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/train_dit.py").write_text(TRAINER)
    (tmp_path / "plan").write_text("\n".join(plan))
    monkeypatch.setattr(crew, "HERE", tmp_path / "scripts")
    for name in ("SILENCE_JOINING", "SILENCE_COMPILING", "SILENCE_TRAINING"):
        monkeypatch.setattr(crew, name, 8.0 if any("hang" in words for words in plan) else 60.0)  # a Python starts in far less
    everybody, until = crew.Crew(tmp_path), time.time() + seconds
    acoustic = crew.Acoustic(everybody, tmp_path, [4, 5, 6], 3, [tmp_path], ["--weights", "w"], until)
    try:
        while acoustic.watch():
            time.sleep(0.02)
            assert time.time() < until - 50, "it does not end"
    finally:
        everybody.stop()
    assert all(process.poll() is not None for process in acoustic.processes)
    return acoustic, (tmp_path / "starts-0").read_text().splitlines()


@pytest.mark.parametrize("plan,starts", [
    (["train"], ["3 4 --weights w"]),
    (["fail", "train"], ["3 4 --weights w", "1 5 --weights w"]),
    (["hang", "train"], ["3 4 --weights w", "1 5 --weights w"]),
    (["train fail", "train hang", "train"],
     ["3 4 --weights w", "3 5 --resume --keep-schedule", "1 6 --resume --keep-schedule"]),
    (["strangers", "train"], ["3 4 --weights w", "3 5,6,4 --weights w"]),
    (["strangers", "hang", "train"], ["3 4 --weights w", "3 5,6,4 --weights w", "1 6 --weights w"]),
    (["fail", "fail", "train"], ["3 4 --weights w", "1 5 --weights w", "1 6 --weights w"]),
    (["fail", "fail", "fail", "train"],
     ["3 4 --weights w", "1 5 --weights w", "1 6 --weights w", "1 4 --weights w --no-compile"]),
    (["fail", "fail", "fail", "train fail", "train"],
     ["3 4 --weights w", "1 5 --weights w", "1 6 --weights w", "1 4 --weights w --no-compile",
      "1 5 --resume --keep-schedule --no-compile"]),
])
def test_what_fails_is_started_again(tmp_path, monkeypatch, capsys, plan, starts):
    acoustic, seen = run(tmp_path, monkeypatch, plan)
    assert [line.replace(str(tmp_path / "state.pt") + " ", "") for line in seen] == starts
    assert acoustic.finished and not acoustic.given_up
    said = capsys.readouterr().out
    assert "done: 20 steps" in said and said.count("started again") == len(starts) - 1
    assert ("a reason" in said) == any("fail" in p or p == "strangers" for p in plan)


def test_at_last_it_is_not_started_again(tmp_path, monkeypatch, capsys):
    acoustic, seen = run(tmp_path, monkeypatch, ["fail"] * 5)
    assert acoustic.given_up and len(seen) == 4
    assert "not started again" in capsys.readouterr().out


def test_nothing_is_started_shortly_before_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "WORTH", 600)
    acoustic, seen = run(tmp_path, monkeypatch, ["train fail", "train"])
    assert acoustic.given_up and len(seen) == 1


def test_only_what_is_vital_ends_everything(tmp_path, monkeypatch, capsys):
    (tmp_path / "bad.py").write_text("raise SystemExit('no good')")
    monkeypatch.setattr(crew, "HERE", tmp_path)
    everybody = crew.Crew(tmp_path)
    everybody.start("first", "bad.py", vital=lambda: False).wait(60)
    everybody.check()
    assert "first failed" in capsys.readouterr().out and not everybody.running
    everybody.start("second", "bad.py", vital=lambda: True).wait(60)
    with pytest.raises(SystemExit, match="no good"):
        everybody.check()
