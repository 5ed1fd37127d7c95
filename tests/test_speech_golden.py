"""f5_speak against upstream's own infer_process and command line: ten cases of tests/speech_cases.py, whose waves
upstream made with the same random models and noise (tests/reference/compare_speech.py --golden; there are the rest)."""
from pathlib import Path

import numpy as np
import pytest

import convert_lib
import f5lib
import speech_cases
import speech_ours

PINYIN = convert_lib.ROOT / "weights/text/pinyin.bin"
BAR = 1e-5  # two right implementations in float32 are about 3e-6 apart


@pytest.fixture(scope="module")
def golden():
    return np.load(Path(__file__).parent / "data/speech_golden.npz")


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    opened, folder = {}, tmp_path_factory.mktemp("golden")
    for name in ("latin", "chinese"):
        result = convert_lib.convert(speech_cases.checkpoint(folder / name, name), folder / f"{name}.f5", pinyin=PINYIN)
        assert result.returncode == 0, result.stderr
        opened[name] = f5lib.Engine(folder / f"{name}.f5", max_frames=4096)
    yield opened
    for engine in opened.values():
        engine.close()


@pytest.mark.parametrize("number", speech_cases.GOLDEN)
def test_speech_is_upstreams(engines, golden, number):
    case = speech_cases.cases()[number]
    recordings = {name: (speech_cases.recording(**v), v.get("rate", 24000)) for name, v in case["voices"].items()}
    noise = [speech_cases.noise(number, i, int(n)) for i, n in enumerate(golden[f"{number}.frames"])]
    speak = speech_ours.tagged if case["cli"] else speech_ours.plain
    wave, _ = speak(engines[case["model"]], case, recordings, noise)
    samples, written = golden[f"{number}.samples"]
    assert len(wave) == samples
    theirs, ours = golden[f"{number}.wave"].astype(np.float64), speech_cases.spaced(wave).astype(np.float64)
    assert len(theirs) >= speech_cases.GOLDEN_SAMPLES / 2
    assert np.linalg.norm(ours - theirs) <= BAR * np.linalg.norm(theirs)
    if case["settings"]["remove_silence"]:
        assert len(f5lib.remove_silence(np.clip(wave, -1, 1))) == written
