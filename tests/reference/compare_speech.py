#!/usr/bin/env python3
"""Whole outputs: upstream's infer_process and command line against f5_speak, same random models, same noise.

    OMP_WAIT_POLICY=passive PYTHONPATH=SITE /usr/bin/python3 -W ignore tests/reference/compare_speech.py [NUMBER ...]

Run by hand, not by `make test`: it needs upstream's packages on the path (README.md has the commands). Every line is a
case of tests/speech_cases.py with the relative L2 distance of the whole wave; what upstream wrote after removing
silence must be equal sample for sample. Above the bar the script exits 1.
"""
import argparse
import json
import os
import sys
import tempfile
import time
import traceback
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "reference"), str(ROOT / "tests"), str(ROOT / "weights")]

import numpy as np  # noqa: E402
import torch  # noqa: E402

import convert_lib  # noqa: E402
import f5lib  # noqa: E402
import signals  # noqa: E402
import speech_cases  # noqa: E402
import speech_ours  # noqa: E402
import upstream_speech  # noqa: E402

PINYIN = convert_lib.ROOT / "weights/text/pinyin.bin"
BAR = 1e-5


def far(mine, theirs):
    if len(mine) != len(theirs):
        return float("inf")
    theirs = theirs.astype(np.float64)
    return float(np.linalg.norm(mine - theirs) / np.linalg.norm(theirs))


class Comparison:
    def __init__(self, folder):
        self.folder, self.upstream = folder, upstream_speech.Upstream()
        emilia = Path(self.upstream.infer.__file__).parent / "examples" / "vocab.txt"
        self.models, self.engines, self.golden = {}, {}, {}
        for name in speech_cases.MODELS:
            made = speech_cases.checkpoint(folder / name, name, emilia)
            result = convert_lib.convert(made, folder / f"{name}.f5", pinyin=PINYIN)
            assert result.returncode == 0, result.stderr
            self.models[name] = self.upstream.model(made)
            self.engines[name] = f5lib.Engine(folder / f"{name}.f5", max_frames=4096)

    def keep(self, case, wave, frames, written):
        """For the golden file: the wave's samples in part, its length, and the length of what was written."""
        if case["number"] in speech_cases.GOLDEN:
            self.golden[f"{case['number']}.wave"] = speech_cases.spaced(wave)
            self.golden[f"{case['number']}.samples"] = np.array([len(wave), written])
            self.golden[f"{case['number']}.frames"] = np.array(frames)

    @staticmethod
    def far_inside(case, mine, wave):
        """Of the edited stretches without their cross-fades: the rest is the recording here, and vocoded upstream."""
        at, read, worst = 0, 0, 0.0
        for start, end, duration in case["edits"]:
            from_, to, made = (round(x * 24000 / 256) for x in (start, end, duration or end - start))
            at += from_ - read
            inside = slice(256 * at + 400, 256 * (at + made) - 400)
            worst, at, read = max(worst, far(mine[inside], wave[inside])), at + made, to
        return worst

    def run(self, case):
        """(distance, chunks, what else is to say)"""
        recordings = {name: (speech_cases.recording(**v), v.get("rate", 24000)) for name, v in case["voices"].items()}
        recordings["folder"] = self.folder
        engine, model = self.engines[case["model"]], self.models[case["model"]]

        def draw(chunk, frames):
            return speech_cases.noise(case["number"], chunk, frames)

        if "edits" in case:
            wave, mel, frames = self.upstream.edit(case, model, recordings, draw)
            mine, my_mel = speech_ours.edit(engine, case, recordings["main"], draw(0, frames[0]))
            return max(far(my_mel, mel), self.far_inside(case, mine, wave)), 1, f"{len(mine)} samples"
        if case["cli"]:
            wave, frames, saved = self.upstream.command_line(case, model, recordings, draw)
            noise = [draw(i, n) for i, n in enumerate(frames)]
            mine, _ = speech_ours.tagged(engine, case, recordings, noise)
            self.keep(case, wave, frames, len(saved[0]))
            distance = far(mine, wave)
            if not case["settings"]["remove_silence"]:
                return distance, len(frames), f"{len(wave)} samples"
            kept = speech_ours.remove_silence(upstream_speech.sixteen_bits(wave))
            same = np.array_equal(kept, saved[0]) and (saved[1] == 24000 or len(saved[0]) == 0)
            return (distance if same else float("inf"), len(frames),
                    f"{len(wave)} samples, {len(saved[0])} without silence" + ("" if same else f", not {len(kept)}"))
        wave, mel, frames = self.upstream.process(case, model, recordings, draw)
        self.keep(case, wave, frames, len(wave))
        mine, my_mel = speech_ours.plain(engine, case, recordings, [draw(i, n) for i, n in enumerate(frames)])
        return max(far(mine, wave), far(my_mel, mel)), len(frames), f"{len(wave)} samples"


def compare_silence(upstream, folder, count, golden):
    """Bursts of noise and near-silence: what pydub leaves of them, and f5_remove_silence. Signals that differ."""
    bad = 0
    for seed in range(count):
        samples = signals.bursts(seed)[1][:, 0]
        path = folder / "bursts.wav"
        upstream_speech.write_wave(path, samples, 24000)
        upstream.infer.remove_silence_for_generated_wav(str(path))
        theirs, _ = upstream_speech.read_wave(path)
        theirs = np.rint(theirs[0].numpy() * 32768).astype("<i2")
        bad += not np.array_equal(speech_ours.remove_silence(samples), theirs)
        golden.append(dict(seed=seed, samples=len(theirs), crc32=zlib.crc32(theirs.tobytes())))
    print(f"remove_silence: {count - bad} of {count} signals equal, {sum(g['samples'] == 0 for g in golden)} silent")
    return bad


def describe(case):
    changed = {k: v for k, v in case["settings"].items() if v != speech_cases.SETTINGS[k]}
    kind = "edit," if "edits" in case else "command line," if case["cli"] else "infer_process,"
    return " ".join([case["model"], kind,
                     ", ".join(f"{v['seconds']:g} s" for v in case["voices"].values()),
                     f"{len(case['text'].encode())} bytes"] + [f"{k} {v}" for k, v in changed.items()])


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("numbers", nargs="*", type=int, help="cases; default: all")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--traceback", action="store_true", help="of cases that fail")
    p.add_argument("--golden", type=Path, metavar="DIR", help="write tests/test_speech_golden.py's files here")
    options = p.parse_args()
    torch.set_num_threads(options.threads)
    worst, bad, chunks, silence, start = (0.0, "none"), 0, 0, [], time.time()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        comparison = Comparison(Path(folder))
        if not options.numbers:
            bad += compare_silence(comparison.upstream, comparison.folder, 200, silence)
        cases = [c for c in speech_cases.cases() if not options.numbers or c["number"] in options.numbers]
        for case in cases:
            try:
                distance, made, more = comparison.run(case)
            except Exception as failure:  # a case of its own: the others are still told
                if options.traceback:
                    traceback.print_exc()
                distance, made, more = float("inf"), 0, f"{type(failure).__name__}: {failure}"[:300]
            chunks += made
            bad += not distance <= BAR
            worst = max(worst, (distance, f"case {case['number']}"))
            print(f"{distance:9.2e}  {'ok ' if distance <= BAR else 'BAD'}  {case['number']:3} {made:2} chunks: "
                  f"{describe(case)}; {more}", flush=True)
        if options.golden:
            np.savez_compressed(options.golden / "speech_golden.npz", **comparison.golden)
            if silence:
                text = json.dumps({"pydub": "0.25.1", "cases": silence[:48]})
                (options.golden / "silence_golden.json").write_text(text + "\n")
    print(f"{len(cases)} cases of {chunks} chunks in {time.time() - start:.0f} s, {bad} bad; "
          f"worst {worst[0]:.2e} ({worst[1]}), bar {BAR:.0e}")
    return int(bad > 0)


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.exit(main())
