"""hearing.py — Debian's pocketsphinx listens: recordings into words, words against what should have been said.

It errs on flite's own recordings too, so that every figure stands beside theirs: the recogniser's floor.
"""
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data import TARGET_RATE, resample
from flite import Voice

EARS = Path("/usr/share/pocketsphinx/model/en-us")
EARS_RATE = 16000
# What sounds the same is the same: as it may be written, and as it counts.
SPELLINGS = {"doctor": "dr", "mister": "mr", "missus": "mrs", "et cetera": "etc", "a m": "am", "p m": "pm",
             "good bye": "goodbye", "all right": "alright", "o clock": "o'clock"}
NEAR = 3  # words: an added word that is also said so near is a repetition


def missing_ears():
    """What keeps hear() from running, or None."""
    if not shutil.which("pocketsphinx_batch"):
        return "pocketsphinx is not installed"
    if not (EARS / "en-us").is_dir():
        return "pocketsphinx-en-us is not installed"
    return None


def missing_tools():
    """What keeps measuring beside flite from running, or None."""
    if missing_ears():
        return missing_ears()
    try:
        Voice("slt")
    except OSError as error:
        return f"libflite1 is not installed: {error}"
    return None


def for_ears(x):
    """A recording at 24 kHz as it is at the recogniser's rate."""
    return resample(x, len(x) * EARS_RATE // TARGET_RATE)


def hear(recordings, rate=TARGET_RATE, processes=1):
    """Recordings at 24 kHz, or at EARS_RATE -> what the recogniser understands, in lower case. The same recording gives
    the same answer, whatever is heard before it, and so any number of processes."""
    with tempfile.TemporaryDirectory() as folder:
        folder, sizes = Path(folder), []
        for i, x in enumerate(recordings):
            noise, quiet = np.random.default_rng(1), np.zeros(rate // 4)
            x = np.concatenate([quiet, np.asarray(x, float), quiet])
            x = for_ears(x) if rate == TARGET_RATE else x
            x = x * 0.1 / max(np.sqrt((x ** 2).mean()), 1e-6) + noise.standard_normal(len(x)) * 1e-4
            (folder / f"{i}.raw").write_bytes((np.clip(x, -1, 1) * 32767).astype("<i2").tobytes())
            sizes.append(len(x))
        order = sorted(range(len(sizes)), key=lambda i: -sizes[i])
        shares = [order[k::processes] for k in range(processes) if order[k::processes]]
        running = [(share, listen(folder, k, share)) for k, share in enumerate(shares)]
        heard = {}
        for k, (share, process) in enumerate(running):
            if process.wait() != 0:
                raise RuntimeError(f"pocketsphinx_batch failed: {process.returncode}")
            heard.update(zip(share, (folder / f"heard{k}").read_text().split("\n")))
    return [re.sub(r"\([^()]*\)$", "", heard[i]).strip().lower() for i in range(len(sizes))]


def listen(folder, name, recordings):
    """Starts a recogniser that hears these, one after the other."""
    (folder / f"list{name}").write_text("".join(f"{i}\n" for i in recordings))
    return subprocess.Popen(["pocketsphinx_batch", "-hmm", EARS / "en-us", "-lm", EARS / "en-us.lm.bin", "-dict",
                             EARS / "cmudict-en-us.dict", "-ctl", folder / f"list{name}", "-cepdir", folder, "-cepext",
                             ".raw", "-adcin", "yes", "-hyp", folder / f"heard{name}", "-logfn", "/dev/null"],
                            stdout=subprocess.DEVNULL)


def words(text):
    text = " ".join(re.sub(r"[^a-z' ]", " ", text.lower()).split())
    for written, counted in SPELLINGS.items():
        text = re.sub(rf"\b{written}\b", counted, text)
    return text.split()


def align(said, heard):
    """The best alignment of two lists of words: pairs, None where one side has nothing. Fewest errors; among equals
    the fewest substituted, then the fewest missing."""
    best = [((j, 0, 0, j), tuple((None, w) for w in heard[:j])) for j in range(len(heard) + 1)]
    for i, word in enumerate(said, 1):
        row = [((i, 0, i, 0), tuple((w, None) for w in said[:i]))]
        for j, other in enumerate(heard, 1):
            (c, s, m, a), pairs = best[j - 1]
            options = [((c, s, m, a) if word == other else (c + 1, s + 1, m, a), pairs + ((word, other),))]
            (c, s, m, a), pairs = best[j]
            options.append(((c + 1, s, m + 1, a), pairs + ((word, None),)))
            (c, s, m, a), pairs = row[j - 1]
            options.append(((c + 1, s, m, a + 1), pairs + ((None, other),)))
            row.append(min(options, key=lambda option: option[0]))
        best = row
    return best[-1][1]


@dataclass
class Heard:
    """One sentence, as it was heard."""

    text: str
    heard: str
    substituted: int = 0
    missing: list = field(default_factory=list)
    repeated: list = field(default_factory=list)  # added words that are said NEAR the place
    added: list = field(default_factory=list)     # other added words

    def __post_init__(self):
        said, at = words(self.text), 0
        for word, other in align(said, words(self.heard)):
            if word is None:
                (self.repeated if other in said[max(at - NEAR, 0):at + NEAR] else self.added).append(other)
            elif other is None:
                self.missing.append(word)
            else:
                self.substituted += word != other
            at += word is not None

    @property
    def errors(self):
        return self.substituted + len(self.missing) + len(self.repeated) + len(self.added)


class Score:
    """Words said and words wrong, over several recordings."""

    def __init__(self, lines=()):
        self.lines = list(lines)

    def count(self, what):
        """Of the words said, substituted, missing, repeated, added or wrong."""
        if what == "said":
            return sum(len(words(line.text)) for line in self.lines)
        values = [line.errors if what == "wrong" else getattr(line, what) for line in self.lines]
        return sum(v if isinstance(v, int) else len(v) for v in values)

    @property
    def percent(self):
        return 100 * self.count("wrong") / max(self.count("said"), 1)

    def __str__(self):
        parts = ", ".join(f"{self.count(k)} {k}" for k in ("substituted", "missing", "repeated", "added"))
        return f"{self.percent:5.1f} % of {self.count('said')} words wrong ({parts})"
