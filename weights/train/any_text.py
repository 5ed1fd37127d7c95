#!/usr/bin/env python3
"""any_text.py — a voice says what is no plain sentence: short texts, numbers, capitals, questions, a whole story, other paces.

    any_text.py VOICE.f5 [--only plain short numbers capitals questions lengths story pace] [--prompts FOLDER] [--report FILE.json]
    any_text.py VOICE.f5 --keep FOLDER [--device cuda]      speaks into files, heard by nobody
    any_text.py --recordings FOLDER [--processes 16]        hears those, perhaps on another machine
    any_text.py --flite                                     hears flite's own recordings: the recogniser's floor

Every text goes to f5_speak as it stands, solved by --method in --nfe steps, otherwise as the model's file asks ("speech" in
weights/FORMAT.md: "now"), and short, numbers, capitals and the story with none too ("before": short texts at a speed of 0.3, nothing normalised,
texts cut as upstream cuts them). Where a text does not show what should be heard, that stands beside it in tests/voice/*.tsv,
written by hand. pocketsphinx hears it, as for measure.py.

plain      the sentences of measure.py, for comparison
short      texts under 10 bytes
numbers    numbers, times, dates, money, percent, ordinals, abbreviations
capitals   sentences wholly or partly in capitals
questions  twenty of them
lengths    sentences of 3 to 25 words
story      40 sentences as one text; also cut at sentences, as many as fit
pace       (on demand) short texts and sentences at other speeds: what the model file's "speech" is chosen by
"""
import argparse
import contextlib
import itertools
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "weights"))

import set_speech  # noqa: E402

from flite import SPEAKERS  # noqa: E402
from hearing import EARS_RATE, Heard, Score, for_ears, hear, missing_ears  # noqa: E402
from measure import PROMPTS, TEXTS, VOICES, Mouth, flite_says, texts  # noqa: E402
import f5lib  # noqa: E402  found by measure

PARTS = ("plain", "short", "capitals", "questions", "lengths", "story", "numbers")
# Parts whose texts are their words too, spoken by the model as it is alone: their files, NAME.txt.
AS_THEY_STAND = {"plain": "sentences", "questions": "questions", "lengths": "lengths"}
SHORT_SPEEDS = (0.4, 0.5, 0.6, 0.7, 0.8, 1.0)
SPEEDS = (0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0)
FILE_SECONDS = 500  # of a file of recordings: 16 MB


@dataclass
class Task:
    """One text to be said, and what should be heard."""

    part: str
    kind: str
    speaker: str
    number: int
    text: str
    words: str
    settings: dict  # of f5_speak
    speech: dict    # what the model's file says; None: as it is


def pairs(part):
    """[(text, words)] of a part; the words are written by hand where the text does not show them."""
    if part == "story":
        return [(" ".join(texts("story")),) * 2]
    if part in AS_THEY_STAND:
        return [(text, text) for text in texts(AS_THEY_STAND[part])]
    return [tuple(line.split("\t")) for line in (TEXTS / f"{part}.tsv").read_text().split("\n") if line]


def kinds(part):
    """[(name, settings, the file's "speech", pairs)]; the first is the model as it is."""
    if part == "pace":
        return [(f"short, speed {s}", dict(speed=s), None, pairs("short")) for s in SHORT_SPEEDS] + \
               [(f"sentences, speed {s}", dict(speed=s), None, pairs("plain")[4::5]) for s in SPEEDS]
    as_it_is = [("now", {}, None, pairs(part))]
    if part in AS_THEY_STAND:
        return as_it_is
    others = [("before", {}, {}, pairs(part))]
    if part == "story":
        others += [("whole sentences", dict(chunking=1), None, pairs(part))]
    return as_it_is + others


def tasks(parts, speakers):
    return [Task(part, kind, speaker, i, text, words, settings, speech) for part in parts
            for kind, settings, speech, lines in kinds(part) for speaker in speakers
            for i, (text, words) in enumerate(lines)]


def flite_speaks(todo):
    """Yields one task for each text, said by flite sentence by sentence, with its samples."""
    for task in todo:
        if task.kind == kinds(task.part)[0][0]:
            lines = texts("story") if task.part == "story" else [task.words]
            x = np.concatenate([flite_says(task.speaker, line) for line in lines])
            yield replace(task, kind="flite"), for_ears(x) * 32768


@contextlib.contextmanager
def model_that_says(path, speech):
    """The model's file, or a copy that says this of how it is spoken with."""
    if speech is None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(path, folder)
        set_speech.set_speech(copy, [(key, str(speech.get(key, ""))) for key in ("normalize", *set_speech.NUMBERS)])
        yield copy


def speak(options, todo):
    """Yields each task with its samples at the recogniser's rate. What is refused is told and left out."""
    for speech, same in itertools.groupby(todo, key=lambda task: task.speech):
        with model_that_says(options.model, speech) as path, \
                f5lib.Engine(path, device=options.device, precision=options.precision, max_frames=2112) as engine, \
                Mouth(engine, options.voices, options.seed, options.prompts, nfe=options.nfe, method=f5lib.METHODS[options.method]) as mouth:
            for task in same:
                try:
                    samples = mouth.say(task.speaker, task.text, task.number, **task.settings)
                except f5lib.Error as error:
                    print(f"any_text.py: {task.text}: {error}", file=sys.stderr)
                    continue
                yield task, np.rint(np.clip(for_ears(samples), -1, 1) * 32767).astype(np.int16)


# ---- recordings in files

def keep(folder, spoken):
    """FOLDER/0.npz, 1.npz ... of at most FILE_SECONDS: samples one after another, and of each its task."""
    folder.mkdir(parents=True, exist_ok=True)
    held, files = [], 0

    def write():
        np.savez(folder / f"{files}.npz", samples=np.concatenate([x for _, x in held]),
                 lengths=np.array([len(x) for _, x in held]), tasks=json.dumps([vars(task) for task, _ in held]))

    for task, x in spoken:
        if held and sum(len(y) for _, y in held) + len(x) > FILE_SECONDS * EARS_RATE:
            write()
            held, files = [], files + 1
        held.append((task, x))
    write()


def kept(folder):
    """[(task, samples)]"""
    paths = sorted(folder.glob("*.npz"), key=lambda path: int(path.stem))
    if not paths:
        sys.exit(f"{folder} has no recordings")
    result = []
    for path in paths:
        with np.load(path) as z:
            cuts = np.split(z["samples"], np.cumsum(z["lengths"])[:-1])
            result += [(Task(**task), x) for task, x in zip(json.loads(str(z["tasks"])), cuts)]
    return result


# ---- reports

def scores(spoken, processes):
    """{(part, kind): {speaker: Score}}"""
    heard, result = hear([x / 32768 for _, x in spoken], EARS_RATE, processes), {}
    for (task, _), words in zip(spoken, heard):
        score = result.setdefault((task.part, task.kind), {}).setdefault(task.speaker, Score())
        score.lines.append(Heard(task.words, words))
    return result


def print_scores(result, everything):
    speakers = list(dict.fromkeys(speaker for by_speaker in result.values() for speaker in by_speaker))
    print("| part | " + " | ".join(speakers) + " | all | words | wrong | missing | repeated |\n" +
          "|---" * (len(speakers) + 6) + "|")
    for (part, kind), by_speaker in result.items():
        whole = Score(line for score in by_speaker.values() for line in score.lines)
        cells = [f"{by_speaker[s].percent:.1f} %" if s in by_speaker else "" for s in speakers]
        print(f"| {part}, {kind} | " + " | ".join(cells) + f" | {whole.percent:.1f} % | " +
              " | ".join(str(whole.count(k)) for k in ("said", "wrong", "missing", "repeated")) + " |")
    for (part, kind), by_speaker in result.items() if everything else ():
        print(f"\n{part}, {kind}:")
        for speaker, score in by_speaker.items():
            for line in score.lines:
                if line.errors:
                    print(f"  {speaker} {line.errors} wrong  {line.text}  ->  {line.heard}")


def parse():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("model", nargs="?")
    p.add_argument("--only", nargs="+", choices=(*PARTS, "pace"), default=PARTS)
    p.add_argument("--voices", nargs="+", help="default: " + " ".join(VOICES) + "; with --flite " + " ".join(SPEAKERS))
    p.add_argument("--texts", type=int, help="the first so many of each part")
    p.add_argument("--prompts", type=Path, default=PROMPTS, help="the folder of the recordings to clone")
    p.add_argument("--nfe", type=int, default=16)
    p.add_argument("--method", choices=f5lib.METHODS, default="euler")
    p.add_argument("--precision", default="fp32")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--device", default="cpu")
    p.add_argument("--keep", type=Path, help="a folder for the recordings, which are not heard then")
    p.add_argument("--recordings", type=Path, help="such a folder, heard instead of speaking")
    p.add_argument("--flite", action="store_true", help="hear flite, beside which every figure stands")
    p.add_argument("--processes", type=int, default=os.cpu_count(), help="of the recogniser at once")
    p.add_argument("--lines", action="store_true", help="print every text that was heard wrong")
    p.add_argument("--report", type=Path)
    options = p.parse_args()
    options.voices = options.voices or list(SPEAKERS if options.flite else VOICES)
    if bool(options.model) + bool(options.recordings) + options.flite != 1:
        p.error("give a model, or --recordings FOLDER, or --flite")
    return options


def main():
    options = parse()
    if not options.keep and missing_ears():
        sys.exit(missing_ears())
    todo = [t for t in tasks(options.only, options.voices) if options.texts is None or t.number < options.texts]
    spoken = kept(options.recordings) if options.recordings else \
        flite_speaks(todo) if options.flite else speak(options, todo)
    if options.keep:
        keep(options.keep, spoken)
        return
    result = scores(list(spoken), options.processes)
    print_scores(result, options.lines)
    if options.report:
        rows = [dict(part=part, kind=kind, speaker=speaker, percent=score.percent, said=score.count("said"),
                     wrong=score.count("wrong"), lines=[vars(line) for line in score.lines])
                for (part, kind), by_speaker in result.items() for speaker, score in by_speaker.items()]
        options.report.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
