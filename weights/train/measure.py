#!/usr/bin/env python3
"""measure.py — does the voice say what it should, in the voice that it was shown?

    measure.py VOICE.f5 [--sentences 30] [--nfe 16] [--device cpu] [--report FILE.json]

Every test sentence in every prompted voice, spoken by the engine, is heard by Debian's pocketsphinx, and so is flite's
own recording of the sentence: the recogniser's floor. Words wrong in percent of words said (substituted, missing,
added); which real speaker the output's mean spectrum is nearest to; and, for the vocoder alone, flite's recordings
sent through mel and back. Needs flite's library, pocketsphinx, pocketsphinx-en-us and a built libf5tts.
"""
import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import wave
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from data import TARGET_RATE, resample  # noqa: E402
from flite import RATE, SPEAKERS, Voice  # noqa: E402

SENTENCES = ROOT / "tests/voice/sentences.txt"
PROMPTS = ROOT / "weights/voices"
EARS = Path("/usr/share/pocketsphinx/model/en-us")


# ---- hearing

def missing_tools():
    """What keeps this from running, or None."""
    if not shutil.which("pocketsphinx_batch"):
        return "pocketsphinx is not installed"
    if not (EARS / "en-us").is_dir():
        return "pocketsphinx-en-us is not installed"
    try:
        Voice("slt")
    except OSError as error:
        return f"libflite1 is not installed: {error}"
    return None


def hear(recordings):
    """Recordings at 24 kHz -> what the recogniser understands, in lower case. The same recording gives the same
    answer, whatever is heard before it."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for i, x in enumerate(recordings):
            noise = np.random.default_rng(1)
            x = np.concatenate([np.zeros(6000), np.asarray(x, float), np.zeros(6000)])
            x = resample(x, len(x) * 2 // 3)
            x = x * 0.1 / max(np.sqrt((x ** 2).mean()), 1e-6) + noise.standard_normal(len(x)) * 1e-4
            (folder / f"{i}.raw").write_bytes((np.clip(x, -1, 1) * 32767).astype("<i2").tobytes())
        (folder / "list").write_text("".join(f"{i}\n" for i in range(len(recordings))))
        subprocess.run(["pocketsphinx_batch", "-hmm", EARS / "en-us", "-lm", EARS / "en-us.lm.bin", "-dict",
                        EARS / "cmudict-en-us.dict", "-ctl", folder / "list", "-cepdir", folder, "-cepext", ".raw",
                        "-adcin", "yes", "-hyp", folder / "heard", "-logfn", "/dev/null"], check=True,
                       stdout=subprocess.DEVNULL)
        lines = (folder / "heard").read_text().split("\n")[:len(recordings)]
    return [re.sub(r"\([^()]*\)$", "", line).strip().lower() for line in lines]


def words(text):
    return re.sub(r"[^a-z' ]", " ", text.lower()).split()


def count_errors(said, heard):
    """(substituted, missing, added) words of the best alignment."""
    said, heard = words(said), words(heard)
    best = [(j, 0, 0, j) for j in range(len(heard) + 1)]
    for i, word in enumerate(said, 1):
        row = [(i, 0, i, 0)]
        for j, other in enumerate(heard, 1):
            c, s, m, a = best[j - 1]
            options = [(c, s, m, a) if word == other else (c + 1, s + 1, m, a)]
            c, s, m, a = best[j]
            options.append((c + 1, s, m + 1, a))
            c, s, m, a = row[j - 1]
            options.append((c + 1, s, m, a + 1))
            row.append(min(options))
        best = row
    return best[-1][1:]


@dataclass
class Score:
    """Words said and words wrong, over several recordings."""

    said: int = 0
    substituted: int = 0
    missing: int = 0
    added: int = 0
    lines: list = field(default_factory=list)

    def add(self, text, heard):
        s, m, a = count_errors(text, heard)
        self.said += len(words(text))
        self.substituted, self.missing, self.added = self.substituted + s, self.missing + m, self.added + a
        self.lines.append((text, heard, s + m + a))

    @property
    def percent(self):
        return 100 * (self.substituted + self.missing + self.added) / max(self.said, 1)

    def __str__(self):
        return (f"{self.percent:5.1f} % of {self.said} words wrong ({self.substituted} substituted, {self.missing} "
                f"missing, {self.added} added)")


# ---- speaking

def flite_says(speaker, text):
    """flite's plain voice at 24 kHz, as float samples."""
    samples = Voice(speaker).speak(text).samples / 32768.0
    return resample(samples, len(samples) * TARGET_RATE // RATE)


def read_wav(path):
    with wave.open(str(path)) as w:
        samples = np.frombuffer(w.readframes(w.getnframes()), "<i2") / 32768.0
        rate = w.getframerate()
    return samples if rate == TARGET_RATE else resample(samples, round(len(samples) * TARGET_RATE / rate))


def prompt(speaker):
    """(samples, transcript) of the recording shipped for a speaker."""
    return read_wav(PROMPTS / f"{speaker}.wav"), (PROMPTS / f"{speaker}.txt").read_text().strip()


def colour(engine, samples):
    """Mean and spread of the log mel over the loud frames, level taken out: what a voice looks like on average."""
    mel = engine.mel(np.asarray(samples, np.float32))
    loud = mel[mel.mean(axis=1) > np.percentile(mel.mean(axis=1), 40)][:, :80]
    mean = loud.mean(axis=0)
    return np.concatenate([mean - mean.mean(), loud.std(axis=0)])


def measure(engine, sentences, speakers=SPEAKERS, nfe=16, seed=1, say=lambda text: None, speak=True):
    """A dict of Scores and counts; without `speak` only of flite and of the vocoder."""
    real, made, copied, nearest, wrong_voice, seconds, spoken = {}, {}, {}, 0, [], 0.0, 0.0
    for speaker in speakers:
        real[speaker] = [flite_says(speaker, text) for text in sentences]
        copied[speaker] = [engine.vocode(engine.mel(x.astype(np.float32))) for x in real[speaker]]
    for speaker in speakers if speak else ():
        samples, transcript = prompt(speaker)
        made[speaker] = []
        with engine.voice(samples.astype(np.float32), transcript) as voice:
            for i, text in enumerate(sentences):
                begun = time.time()
                pieces, _ = engine.speak(voice, text, sample=dict(nfe=nfe), seed=seed + i)
                made[speaker].append(np.concatenate([p[0] for p in pieces]))
                seconds += time.time() - begun
                say(f"{speaker} {i + 1}/{len(sentences)}  {time.time() - begun:.1f} s")
        for i, x in enumerate(made[speaker]):
            spoken += len(x) / TARGET_RATE
            mine = colour(engine, x)
            distances = {s: float(np.abs(mine - colour(engine, real[s][i])).mean()) for s in speakers}
            if min(distances, key=distances.get) == speaker:
                nearest += 1
            else:
                wrong_voice.append((speaker, sentences[i]))
    result = {"nearest": nearest, "of": len(sentences) * len(speakers), "wrong_voice": wrong_voice,
              "seconds": seconds, "spoken": spoken, "voices": {}}
    kinds = [("flite", real), ("vocoder", copied), ("ours", made)][:3 if speak else 2]
    heard = iter(hear([x for _, recordings in kinds for speaker in speakers for x in recordings[speaker]]))
    result["voices"] = {speaker: {kind: Score() for kind, _ in kinds} for speaker in speakers}
    for kind, _ in kinds:
        for speaker in speakers:
            for text in sentences:
                result["voices"][speaker][kind].add(text, next(heard))
    result["made"] = made
    return result


def total(result, kind):
    all_of = Score()
    for scores in result["voices"].values():
        for text, heard, _ in scores[kind].lines:
            all_of.add(text, heard)
    return all_of


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("model")
    p.add_argument("--sentences", type=int, default=1000, help="the first so many")
    p.add_argument("--voices", nargs="+", default=list(SPEAKERS))
    p.add_argument("--nfe", type=int, default=16)
    p.add_argument("--device", default="cpu")
    p.add_argument("--precision")
    p.add_argument("--vocoder-only", action="store_true")
    p.add_argument("--report", type=Path)
    p.add_argument("--keep", type=Path, help="a folder for the recordings")
    options = p.parse_args()
    if missing_tools():
        sys.exit(missing_tools())
    import f5lib
    sentences = [line for line in SENTENCES.read_text().split("\n") if line][:options.sentences]
    with f5lib.Engine(options.model, device=options.device, precision=options.precision, max_frames=2048) as engine:
        result = measure(engine, sentences, options.voices, options.nfe, speak=not options.vocoder_only,
                         say=lambda text: print("  " + text, file=sys.stderr))
    kinds = ("flite", "vocoder") if options.vocoder_only else ("flite", "vocoder", "ours")
    for speaker, scores in result["voices"].items():
        for kind, score in scores.items():
            print(f"{speaker}  {kind:8} {score}")
        for text, heard, errors in scores[kinds[-1]].lines:
            if errors:
                print(f"      {errors}  {text}  ->  {heard}")
    for kind in kinds:
        print(f"all  {kind:8} {total(result, kind)}")
    if not options.vocoder_only:
        print(f"nearest to the prompted speaker: {result['nearest']} of {result['of']}")
        print(f"{result['seconds']:.0f} s for {result['spoken']:.0f} s of speech at NFE {options.nfe}")
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        for speaker, recordings in result["made"].items():
            for i, x in enumerate(recordings):
                with wave.open(str(options.keep / f"{speaker}-{i:02}.wav"), "wb") as w:
                    w.setnchannels(1), w.setsampwidth(2), w.setframerate(TARGET_RATE)
                    w.writeframes((np.clip(x, -1, 1) * 32767).astype("<i2").tobytes())
    if options.report:
        options.report.write_text(json.dumps({s: {k: vars(v) for k, v in scores.items()}
                                              for s, scores in result["voices"].items()}, indent=1))


if __name__ == "__main__":
    main()
