#!/usr/bin/env python3
"""f5tts.compat.F5TTS beside upstream's own f5_tts.api.F5TTS: the same random checkpoint, the same noise, the same calls.

    OMP_WAIT_POLICY=passive PYTHONPATH=SITE /usr/bin/python3 -W ignore tests/reference/compare_compat.py [NUMBER ...]

Run by hand, not by `make test`: it needs upstream's packages on the path (README.md has the commands). F5_BUILD is what
the package is built of. Each line is a case of tests/speech_cases.py that has one voice, spoken through both classes' `infer`:
relative L2 distance of the waves, of the mels; what else must be the same: types, shapes, rate, seed, and of the file its
header and samples, with and without its silence. Above the bar, or where anything differs, the script exits 1.
"""
import argparse
import contextlib
import io
import os
import sys
import tempfile
import types
import zipfile
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / p) for p in ("tests/reference", "tests", "weights", "host/python")]

import numpy as np  # noqa: E402
import torch  # noqa: E402

import backend  # noqa: E402
import convert_lib  # noqa: E402
import speech_cases  # noqa: E402
import upstream_speech  # noqa: E402
from compare_speech import BAR, PINYIN, far  # noqa: E402


def package(folder):
    """f5tts as its wheel has it."""
    name = backend.build_wheel(folder, {"build": str(Path(convert_lib.program()).parents[1])})
    with zipfile.ZipFile(folder / name) as wheel:
        wheel.extractall(folder / "site")
    os.chmod(folder / "site/f5tts/_native/bin/f5tts", 0o755)
    sys.path.insert(0, str(folder / "site"))
    import f5tts.compat
    return f5tts.compat.F5TTS


class Both:
    def __init__(self, folder):
        self.folder, self.upstream, self.mine = folder, upstream_speech.Upstream(), package(folder)
        import tqdm
        sys.modules["hydra.utils"].get_class = lambda _: None
        self.tqdm, self.models = tqdm, {}
        config = types.SimpleNamespace(model=types.SimpleNamespace(backbone="DiT", arch={}, mel_spec=types.SimpleNamespace(
            mel_spec_type="vocos", target_sample_rate=24000)))
        sys.modules["omegaconf"].OmegaConf = types.SimpleNamespace(load=lambda _: config)
        import f5_tts.api
        self.api = f5_tts.api

    def pair(self, name):
        """(upstream's class, ours) on that model."""
        if name not in self.models:
            emilia = Path(self.upstream.infer.__file__).parent / "examples" / "vocab.txt"
            made = speech_cases.checkpoint(self.folder / name, name, emilia)
            result = convert_lib.convert(made, self.folder / f"{name}.f5", pinyin=PINYIN)
            assert result.returncode == 0, result.stderr
            model = self.upstream.model(made)
            with mock.patch.object(self.api, "load_model", lambda *_, **__: model[0]), \
                 mock.patch.object(self.api, "load_vocoder", lambda *_, **__: model[1]):
                theirs = self.api.F5TTS(ckpt_file="unused.safetensors", device="cpu")
            self.models[name] = theirs, self.mine(ckpt_file=self.folder / f"{name}.f5", device="cpu")
        return self.models[name]

    def run(self, case):
        """(distance of the waves, of the mels, what differs)"""
        theirs, ours = self.pair(case["model"])
        s, recording = case["settings"], self.folder / "reference.wav"
        voice = case["voices"]["main"]
        upstream_speech.write_wave(recording, speech_cases.recording(**voice), voice.get("rate", 24000))
        call = dict(ref_file=str(recording), ref_text=voice["transcript"], gen_text=case["text"], show_info=lambda *_: None,
                    progress=None, target_rms=s["target_rms"], cross_fade_duration=s["cross_fade_duration"], nfe_step=s["nfe"],
                    cfg_strength=s["cfg"], speed=s["speed"], fix_duration=s["fix_duration"] or None,
                    remove_silence=s["remove_silence"], seed=case["number"])
        with self.upstream.noise(lambda i, n: speech_cases.noise(case["number"], i, n)) as frames, \
                contextlib.redirect_stdout(io.StringIO()):
            wave, rate, mel = theirs.infer(**call, file_wave=str(self.folder / "theirs.wav"))
        noise = np.concatenate([speech_cases.noise(case["number"], i, n) for i, n in enumerate(frames)])
        mine, my_rate, my_mel = ours.infer(**call, file_wave=str(self.folder / "mine.wav"), noise=noise)
        differ = [what for what, a, b in (
            ("types", (type(wave), wave.dtype, type(mel), mel.dtype, type(rate)), (type(mine), mine.dtype, type(my_mel), my_mel.dtype,
                                                                                 type(my_rate))),
            ("shapes", (wave.shape, mel.shape, rate), (mine.shape, my_mel.shape, my_rate)), ("seed", theirs.seed, ours.seed)) if a != b]
        with contextlib.redirect_stdout(io.StringIO()):  # the same wave into files by both
            theirs.export_wav(wave, str(self.folder / "theirs.wav"), s["remove_silence"])
        ours.export_wav(wave, self.folder / "mine.wav", s["remove_silence"])
        files = [upstream_speech.read_wave(self.folder / f"{name}.wav") for name in ("theirs", "mine")]
        if files[0][1] != files[1][1] or not torch.equal(files[0][0], files[1][0]):
            differ.append("files")
        return far(mine, wave), far(my_mel, mel), differ


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("numbers", nargs="*", type=int, help="cases; default: all that have one voice")
    options = p.parse_args()
    torch.set_num_threads(2)
    cases = [c for c in speech_cases.cases() if len(c["voices"]) == 1 and "edits" not in c and "[" not in c["text"]
             and (not options.numbers or c["number"] in options.numbers)]
    worst, bad = 0.0, 0
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        both = Both(Path(folder))
        for case in cases:
            wave, mel, differ = both.run(case)
            good = max(wave, mel) <= BAR and not differ
            worst, bad = max(worst, wave, mel), bad + (not good)
            print(f"{'ok ' if good else 'BAD'} {case['number']:3} wave {wave:.2e} mel {mel:.2e} {' '.join(differ)}", flush=True)
    print(f"{len(cases)} cases, {bad} bad; worst {worst:.2e}, bar {BAR:.0e}")
    return int(bad > 0 or not cases)


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.exit(main())
