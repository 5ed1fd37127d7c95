#!/usr/bin/env python3
"""measure.py — what a voice is worth: does it say what it should, in the voice that it was shown, and how fast?

    measure.py VOICE.f5 [--only words lengths long speed] [--sentences N] [--nfe 32] [--report FILE.json]

words     every test sentence in every prompted voice, heard by Debian's pocketsphinx beside real recordings (the
          recogniser's floor) and those sent through mel and vocoder; and which real speaker's mean spectrum the output is
          nearest to. Real are flite's recordings of the sentences, if all --voices are flite's, or --teacher's; else the
          recordings that are cloned
lengths   sentences of 3 to 25 words, and long, a text of five: what is missing or repeated, beside flite if all voices are
speed     seconds for about five seconds of speech, at NFE 32 and 7
scan      (on demand) the first sentences with other steps, guidance and sway
speak     (on demand, alone) every test sentence into --keep FOLDER, heard by nobody: for a machine with a GPU and without
          pocketsphinx; `--only words --recordings FOLDER` hears it elsewhere

Needs pocketsphinx, pocketsphinx-en-us, flite's library for its voices, and a built libf5tts; speak the last only. --keep FOLDER writes
what was spoken for `words`.

Other voices than those that come with the program: --prompts FOLDER with NAME.wav and NAME.txt of every voice, and --teacher FOLDER with
its own recordings of the sentences, NAME-00.wav and so on (teacher.py --say and taught.py --wav make both). `words` then
stands beside these, and tells melody, upper band and, with --embed FILE --embed-weights FILE, the speakers' likeness.
"""
import argparse
import contextlib
import json
import sys
import time
import wave
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import f5lib  # noqa: E402
from data import TARGET_RATE, resample  # noqa: E402
from flite import RATE, SPEAKERS, Voice  # noqa: E402
from hearing import Heard, Score, hear, missing_ears, missing_tools  # noqa: E402
from likeness import embedder, print_likeness, print_sound  # noqa: E402

TEXTS = ROOT / "tests/voice"
PROMPTS = ROOT / "weights/voices"
VOICES = ("heart", "bella", "michael", "george")  # there: the natural ones; flite's are SPEAKERS
LEVEL = 0.12  # rms: the corpus has 0.1 to 0.15
PARTS = ("words", "lengths", "long", "speed")
SCAN = [dict(), dict(cfg=1.0), dict(cfg=3.0), dict(nfe=32), dict(nfe=7), dict(sway=None), dict(cfg=0.0)]


def texts(name):
    """The lines of tests/voice/NAME.txt, none of which is ever trained on."""
    return [line for line in (TEXTS / f"{name}.txt").read_text().split("\n") if line]


# ---- recordings

def flite_says(speaker, text, stretch=1.0):
    """flite's plain voice as the corpus has it: 24 kHz, 16 bits. (flite's 16 kHz leave the upper bands to rounding noise;
    as float samples they would be empty, and that is a sound the model never met.)"""
    samples = Voice(speaker).speak(text, stretch).samples / 32768.0
    samples = resample(samples, len(samples) * TARGET_RATE // RATE)
    return np.rint(samples * LEVEL / np.sqrt((samples ** 2).mean()) * 32767) / 32767


def read_wav(path):
    with wave.open(str(path)) as w:
        samples = np.frombuffer(w.readframes(w.getnframes()), "<i2") / 32768.0
        rate = w.getframerate()
    return samples if rate == TARGET_RATE else resample(samples, round(len(samples) * TARGET_RATE / rate))


def write_wav(path, samples):
    with wave.open(str(path), "wb") as w:
        w.setnchannels(1), w.setsampwidth(2), w.setframerate(TARGET_RATE)
        w.writeframes(np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def prompt(speaker, folder=PROMPTS):
    """(samples, transcript) of the recording of a speaker; those of PROMPTS are shipped."""
    if not (folder / f"{speaker}.wav").exists():
        sys.exit(f"{folder} has no {speaker}.wav: --prompts FOLDER has the recordings of --voices, with their words in NAME.txt")
    return read_wav(folder / f"{speaker}.wav"), (folder / f"{speaker}.txt").read_text().strip()


class Mouth(contextlib.ExitStack):
    """The engine with a prompt of each speaker: says texts and counts its time."""

    def __init__(self, engine, speakers, seed=1, prompts=PROMPTS, **sample):
        super().__init__()
        self.engine, self.seed, self.sample, self.seconds, self.spoken = engine, seed, sample, 0.0, 0.0
        self.voices = {}
        for speaker in speakers:
            samples, transcript = prompt(speaker, prompts)
            self.voices[speaker] = self.enter_context(engine.voice(samples.astype(np.float32), transcript))

    def pieces(self, speaker, text, number=0, **settings):
        """[(samples, mel)]; the same number, the same noise. settings: other fields of f5_speak_params."""
        sample = {k: v for k, v in self.sample.items() if v is not None}
        if self.sample.get("sway", -1) is None:
            sample.update(use_sway=0)
        return self.engine.speak(self.voices[speaker], text, sample=sample, seed=self.seed + number, **settings)[0]

    def say(self, speaker, text, number=0, **settings):
        """Samples."""
        begun = time.time()
        samples = np.concatenate([samples for samples, _ in self.pieces(speaker, text, number, **settings)])
        self.seconds, self.spoken = self.seconds + time.time() - begun, self.spoken + len(samples) / TARGET_RATE
        print(f"  {speaker} {number + 1}  {time.time() - begun:.1f} s", file=sys.stderr)
        return samples


def own_solver(model):
    """How the model's file asks to be solved, as settings of Mouth."""
    with f5lib.ModelFile(model) as file:
        info = file.info()
    return dict(nfe=info["default_nfe"] or 32, method=info["default_method"])


def heard_as(groups):
    """{key: [(text, samples)]} -> {key: Score}"""
    heard = iter(hear([x for pairs in groups.values() for _, x in pairs]))
    return {key: Score(Heard(text, next(heard)) for text, _ in pairs) for key, pairs in groups.items()}


# ---- the parts

def colour(engine, samples):
    """Mean and spread of the log mel over the loud frames, level taken out: what a voice looks like on average."""
    mel = engine.mel(np.asarray(samples, np.float32))
    loud = mel[mel.mean(axis=1) > np.percentile(mel.mean(axis=1), 40)][:, :80]
    mean = loud.mean(axis=0)
    return np.concatenate([mean - mean.mean(), loud.std(axis=0)])


def wrong_speakers(engine, sentences, real, made):
    """[(prompted, nearest, sentence)] where the output is nearer to another speaker's recording, of the sentence if there is
    one of each."""
    wrong = []
    for speaker, recordings in made.items():
        for i, x in enumerate(recordings):
            mine = colour(engine, x)
            distance = {s: float(np.abs(mine - colour(engine, real[s][i % len(real[s])])).mean()) for s in real}
            nearest = min(distance, key=distance.get)
            if nearest != speaker:
                wrong.append((speaker, nearest, sentences[i]))
    return wrong


def of_flite(speakers):
    return {*speakers} <= {*SPEAKERS}


def real_recordings(sentences, speakers, teacher=None, prompts=PROMPTS):
    """(kind, {speaker: [(text, samples)]}): a teacher's or flite's of the sentences, else the recordings that are cloned."""
    if not teacher and not of_flite(speakers):
        return "prompt", {s: [prompt(s, prompts)[::-1]] for s in speakers}
    teach = teacher or (lambda speaker, text, number: flite_says(speaker, text))
    return "teacher" if teacher else "flite", {s: [(text, teach(s, text, i)) for i, text in enumerate(sentences)] for s in speakers}


def measure_words(engine, sentences, speakers=VOICES, say=None, vocoder=True, teacher=None, prompts=PROMPTS):
    """scores: {kind: {speaker: Score}}; wrong_speakers; made, real: {speaker: [samples]}. say(speaker, text, number): what
    speaks; without it only the real recordings and the vocoder are measured. teacher: such a function too."""
    kind, real = real_recordings(sentences, speakers, teacher, prompts)
    spoken = {kind: real}
    if vocoder:
        spoken["vocoder"] = {s: [(text, engine.vocode(engine.mel(x.astype(np.float32)))) for text, x in real[s]] for s in speakers}
    if say:
        spoken["ours"] = {s: [(text, say(s, text, i)) for i, text in enumerate(sentences)] for s in speakers}
    scores = heard_as({(kind, s): spoken[kind][s] for kind in spoken for s in speakers})
    real, made = ({s: [x for _, x in pairs] for s, pairs in spoken.get(k, {}).items()} for k in (kind, "ours"))
    return {"scores": {kind: {s: scores[kind, s] for s in speakers} for kind in spoken}, "made": made, "real": real,
            "wrong_speakers": wrong_speakers(engine, sentences, real, made)}


def total(scores):
    """One Score of all speakers'."""
    return Score(line for score in scores.values() for line in score.lines)


def measure_long(engine, sentences, mouth, speakers):
    """Five sentences in two pieces (more than about 20 s do not fit one), and one by one."""
    pieces = {"two pieces": [" ".join(sentences[:3]), " ".join(sentences[3:])], "one by one": sentences}
    whole, pause, groups = " ".join(sentences), np.zeros(TARGET_RATE // 4), {}
    for s in speakers:
        if of_flite(speakers):
            groups["flite", s] = [(whole, flite_says(s, whole))]
        for kind, parts in pieces.items():
            said = [x for i, text in enumerate(parts) for x in (mouth.say(s, text, i), pause)]
            groups[kind, s] = [(whole, np.concatenate(said))]
    scores = heard_as(groups)
    return {kind: {s: scores[kind, s] for s in speakers} for kind in dict.fromkeys(kind for kind, _ in groups)}


def measure_speed(engine, text, speaker, nfes=(32, 7), **settings):
    """[(nfe, seconds of work, seconds of speech)], the better of two. settings: of Mouth."""
    rows = []
    for nfe in nfes:
        times = []
        for _ in range(2):
            with Mouth(engine, [speaker], nfe=nfe, **settings) as mouth:
                mouth.say(speaker, text)
            times.append((mouth.seconds, mouth.spoken))
        rows.append((nfe, *min(times)))
    return rows


# ---- reports

def print_table(scores, title):
    kinds = list(scores)
    print(f"\n{title}\n| voice | " + " | ".join(kinds) + " |\n" + "|---" * (len(kinds) + 1) + "|")
    for speaker in scores[kinds[0]]:
        print(f"| {speaker} | " + " | ".join(f"{scores[k][speaker].percent:.1f} %" for k in kinds) + " |")
    print("| all | " + " | ".join(f"{total(scores[k]).percent:.1f} %" for k in kinds) + " |")
    for kind in kinds:
        print(f"{kind:10} {total(scores[kind])}")


def print_lines(scores, everything=False):
    """What was not heard as it was said."""
    for speaker, score in scores.items():
        for line in score.lines:
            if line.errors and (everything or line.missing or line.repeated):
                marks = [f"{what}: {' '.join(getattr(line, what))}" for what in ("missing", "repeated")
                         if getattr(line, what)]
                print(f"  {speaker} {len(line.text.split()):2} words, {line.errors} wrong  {line.text}  ->  {line.heard}"
                      + "".join(f"  [{mark}]" for mark in marks))


def as_json(value):
    if isinstance(value, Score):
        return {"percent": value.percent, **{k: value.count(k) for k in (
            "said", "wrong", "substituted", "missing", "repeated", "added")}, "lines": [vars(line) for line in value.lines]}
    if isinstance(value, dict):
        return {k: as_json(v) for k, v in value.items() if k not in ("made", "real")}
    if isinstance(value, (list, tuple)):
        return [as_json(v) for v in value]
    return value


def from_folder(folder):
    """What says a sentence when it was recorded already."""
    return lambda speaker, text, number: read_wav(folder / f"{speaker}-{number:02}.wav")


def parse():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("model")
    p.add_argument("--only", nargs="+", choices=(*PARTS, "vocoder", "scan", "speak"), default=PARTS)
    p.add_argument("--sentences", type=int, default=1000, help="the first so many")
    p.add_argument("--voices", nargs="+", default=list(VOICES))
    p.add_argument("--nfe", type=int, default=32)
    p.add_argument("--method", choices=f5lib.METHODS, default="euler")
    p.add_argument("--cfg", type=float)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--device", default="cpu")
    p.add_argument("--precision")
    p.add_argument("--report", type=Path)
    p.add_argument("--keep", type=Path, help="a folder for the recordings of `words`")
    p.add_argument("--recordings", type=Path, help="such a folder, heard instead of speaking")
    p.add_argument("--prompts", type=Path, default=PROMPTS, help="the folder of the recordings to clone")
    p.add_argument("--teacher", type=Path, help="a folder of the teacher's own recordings of the sentences")
    p.add_argument("--embed", help="a Python file with a class Embed: likeness.py")
    p.add_argument("--embed-weights")
    options = p.parse_args()
    if "speak" in options.only and (len(options.only) > 1 or not options.keep):
        p.error("--only speak goes alone, and with --keep FOLDER")
    if options.teacher and not {"words", "vocoder", "speak"}.issuperset(options.only):
        p.error("--teacher has recordings of the sentences: give --only words, vocoder or speak")
    if options.embed and not options.teacher and not of_flite(options.voices):
        p.error("--embed compares with real recordings of the sentences: give --teacher, or flite's voices")
    return options


def keep(folder, speaker, number, samples):
    """As from_folder finds it. Its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{speaker}-{number:02}.wav"
    write_wav(path, samples)
    return path


def run(engine, mouth, o):
    """The parts asked for; prints as it goes and returns everything."""
    sentences, result = texts("sentences")[:o.sentences], {}
    print(f"{o.model}: {o.method}, NFE {o.nfe}, precision {o.precision or 'of the file'}, seed {o.seed}, {len(sentences)} sentences, "
          f"voices {' '.join(o.voices)}")
    if "speak" in o.only:
        for speaker in o.voices:
            for i, text in enumerate(sentences):
                keep(o.keep, speaker, i, mouth.say(speaker, text, i))
    if "words" in o.only or "vocoder" in o.only:
        say = None if "words" not in o.only else from_folder(o.recordings) if o.recordings else mouth.say
        words = result["words"] = measure_words(engine, sentences, o.voices, say,
                                                teacher=from_folder(o.teacher) if o.teacher else None, prompts=o.prompts)
        print_table(words["scores"], "words wrong")
        print_lines(words["scores"]["ours" if say else "vocoder"], everything=True)
        if say:
            of = len(sentences) * len(o.voices)
            print(f"nearest to the prompted speaker: {of - len(words['wrong_speakers'])} of {of}")
            for prompted, nearest, text in words["wrong_speakers"]:
                print(f"  {prompted} sounds like {nearest}: {text}")
            if o.teacher:
                words["sound"] = print_sound(words["real"], words["made"])
            if o.embed:
                words["likeness"] = print_likeness(embedder(o.embed, o.embed_weights), words["real"], words["made"])
        if o.keep:
            for speaker, recordings in words["made"].items():
                for i, x in enumerate(recordings):
                    keep(o.keep, speaker, i, x)
    if "lengths" in o.only:
        lengths = measure_words(engine, texts("lengths"), o.voices, mouth.say, vocoder=False, prompts=o.prompts)
        lengths["scores"].pop("prompt", None)  # of another text
        result["lengths"] = lengths
        print_table(lengths["scores"], "sentences of 3 to 25 words")
        for kind, scores in lengths["scores"].items():
            print(f"missing or repeated, {kind}:")
            print_lines(scores)
    if "long" in o.only:
        result["long"] = measure_long(engine, texts("long"), mouth, o.voices)
        print_table(result["long"], "five sentences")
        for kind, scores in result["long"].items():
            print(f"{kind}:")
            print_lines(scores, everything=True)
    if "speed" in o.only:
        result["speed"] = measure_speed(engine, texts("sentences")[-2], o.voices[0], prompts=o.prompts, method=f5lib.METHODS[o.method])
        print()
        for nfe, seconds, spoken in result["speed"]:
            print(f"NFE {nfe}: {seconds:.2f} s for {spoken:.2f} s of speech, RTF {seconds / spoken:.3f}")
    if "scan" in o.only:
        print("\nscan: other settings than NFE 16, guidance 2, sway -1")
        for settings in SCAN:
            with Mouth(engine, o.voices, o.seed, o.prompts, **{"nfe": 16, "method": f5lib.METHODS[o.method], **settings}) as other:
                scores = heard_as({s: [(text, other.say(s, text, i)) for i, text in enumerate(sentences)] for s in o.voices})
            result.setdefault("scan", []).append([settings, total(scores)])
            print(f"  {settings}  {total(scores)}", flush=True)
    return result


def main():
    options = parse()
    without_flite = options.teacher or not of_flite(options.voices)
    missing = None if "speak" in options.only else missing_ears() if without_flite else missing_tools()
    if missing:
        sys.exit(missing)
    with f5lib.Engine(options.model, device=options.device, precision=options.precision, max_frames=2112) as engine, \
            Mouth(engine, options.voices, options.seed, options.prompts, nfe=options.nfe, cfg=options.cfg,
                  method=f5lib.METHODS[options.method]) as mouth:
        result = run(engine, mouth, options)
    if options.report:
        options.report.write_text(json.dumps(as_json(result), indent=1))


if __name__ == "__main__":
    main()
