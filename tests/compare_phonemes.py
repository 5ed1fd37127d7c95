#!/usr/bin/env python3
"""compare_phonemes.py — host/phonemes against phonemizer itself, on as many sentences as a file has lines.

    python3 -m venv V && V/bin/pip install phonemizer Unidecode
    V/bin/python tests/compare_phonemes.py SENTENCES.txt [--program build/bin/phoneme_lines]

Exits 1 where any line differs. Both must find the same libespeak-ng."""
import argparse
import logging
import re
import subprocess
import sys
from pathlib import Path

from phonemizer import phonemize
from unidecode import unidecode

# Flow-Matching-TTS, text/cleaners.py
WORDS = [("mrs", "misess"), ("mr", "mister"), ("dr", "doctor"), ("st", "saint"), ("co", "company"), ("jr", "junior"),
         ("maj", "major"), ("gen", "general"), ("drs", "doctors"), ("rev", "reverend"), ("lt", "lieutenant"),
         ("hon", "honorable"), ("sgt", "sergeant"), ("capt", "captain"), ("esq", "esquire"), ("ltd", "limited"),
         ("col", "colonel"), ("ft", "fort")]


def cleaned(text):
    text = unidecode(text).lower()
    for short, word in WORDS:
        text = re.sub(rf"\b{short}\.", word, text)
    ipa = phonemize(text, language="en-us", backend="espeak", strip=True, preserve_punctuation=True, with_stress=True)
    return re.sub(r"\s+", " ", ipa)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentences", type=Path)
    parser.add_argument("--program", default=Path(__file__).resolve().parent.parent / "build/bin/phoneme_lines")
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    lines = [line for line in args.sentences.read_text(encoding="utf-8").split("\n") if line.strip()]
    ours = subprocess.run([args.program], input="".join(line + "\n" for line in lines), capture_output=True, text=True,
                          check=True).stdout.split("\n")[:-1]
    unequal = 0
    for line, mine in zip(lines, ours):
        theirs = cleaned(line)
        if theirs != mine:
            unequal += 1
            print(f"{line!r}\n  phonemizer {theirs!r}\n  ours       {mine!r}")
    print(f"{len(lines)} sentences, {len(ours)} answered, {unequal} unequal")
    return 0 if lines and len(ours) == len(lines) and not unequal else 1


if __name__ == "__main__":
    sys.exit(main())
