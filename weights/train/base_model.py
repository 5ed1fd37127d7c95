"""base_model.py — what a fine-tune begins with, and what it makes: a model file, its vocabulary, speech of it.

Whatever it begins with, a name, a .f5 file or upstream's checkpoint of any form, the engine's own program reads it: it
becomes a .f5 file in fp32, and unpack.py takes that apart. So nothing here reads a pickle.
"""
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "weights")]
import f5lib  # noqa: E402
import random_checkpoint as formats  # noqa: E402
import set_speech  # noqa: E402

import fm_model  # noqa: E402
import unpack  # noqa: E402
import upstream_state  # noqa: E402
from picture import GAP, write as draw  # noqa: E402
from speech_folder import SOUNDS, Unusable  # noqa: E402

EMBEDDING = "transformer.text_embed.text_embed.weight"
LONGEST_PROMPT = 12.0  # seconds: the engine cuts longer ones
UPSTREAM_FILES = ("config", "checkpoint", "vocab", "vocos_config", "vocos")


def program(options):
    path = Path(options.f5tts or Path(os.environ.get("F5_BUILD", ROOT / "build")) / "bin/f5tts")
    if not path.is_file():
        raise Unusable(f"{path} is missing: build it first (make build), or name it by --f5tts")
    return path


def run(*command):
    """Its output; Unusable with its last line where it fails."""
    done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace")
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"ended by {done.returncode}"]
        raise Unusable(f"{Path(command[0]).name} {command[1]}: {said[-1]}")
    return done.stdout


def files_given(options):
    return [f"--{name.replace('_', '-')}={getattr(options, name)}" for name in UPSTREAM_FILES if getattr(options, name)]


def digest(path):
    """Of the file's bytes."""
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while piece := f.read(1 << 20):
            h.update(piece)
    return h.hexdigest()


def file_of(options, out):
    """The .f5 file that the training begins with, made in out where upstream's files are given; and by what a training that
    goes on knows it again: names and contents."""
    if options.checkpoint:
        base, given = out / "base.f5", files_given(options)
        source = [[name, digest(path)] for name, path in (word.split("=", 1) for word in given)] + [options.weights]
        if not (base.exists() and any((*out.glob("model_last.pt"), *out.glob("G_*.pth")))):
            run(program(options), "convert", *given, "--weights", options.weights, "--output", base, "--quiet")
        return str(base), [*source, digest(base)]
    if options.model is None:
        path = ROOT / "weights/voices/natural.f5"
    elif Path(options.model).is_file():
        path = Path(options.model)
    else:
        path = Path(run(program(options), "models", "--path", "-m", options.model).strip())
    return str(path), [path.name, digest(path)]


def read(options, base):
    """The model of that .f5 file; of Flow-Matching-TTS, whose weights a .f5 file holds otherwise, of upstream's checkpoint."""
    with open(base, "rb") as f:
        header, _ = set_speech.read_header(f, base)
    kind = json.loads(header["__metadata__"]["config"]).get("backbone")
    own = isinstance(kind, dict) and kind.get("kind") == "FM_TTS" and options.checkpoint
    model = fm_model.read(options, base) if own else unpack.read(base)
    model.check(options)
    return model


def vocab_of(folder, model, say):
    """The folder's tokens where they are others than the model's, else None."""
    path = Path(folder) / "vocab.txt"
    if not path.is_file():
        return None
    if model.vocab is None:
        say(f"{path} is passed over: the model needs none")
        return None
    try:
        tokens = [token.rstrip("\r") for token in formats.read_vocab(path)]
    except UnicodeDecodeError:
        raise Unusable(f"{path} is not UTF-8") from None
    if tokens == model.vocab:
        return None
    if not tokens or tokens[0] != " ":
        raise Unusable(f"{path}: its first line has to be a single space, the token of what is unknown")
    if len(tokens) > 1 << 20:
        raise Unusable(f"{path}: {len(tokens)} tokens")
    return tokens


def change_vocab(model, tokens, seed, say):
    """The embedding's rows of those tokens: the model's where it has them, others drawn, as upstream's tool does."""
    old = model.acoustic[EMBEDDING]
    known = {token: i for i, token in enumerate(model.vocab)}
    table = torch.randn(len(tokens) + 1, old.shape[1], generator=torch.Generator().manual_seed(seed))
    table[0] = old[0]
    new = [token for token in tokens if token not in known]
    for i, token in enumerate(tokens):
        if token in known:
            table[i + 1] = old[known[token] + 1]
    say(f"vocab.txt has {len(tokens)} tokens: {len(tokens) - len(new)} of the model's {len(model.vocab)}, "
        f"{len(new)} new{': ' + ' '.join(map(repr, new[:12])) if new else ''}{' ...' if len(new) > 12 else ''}")
    model.acoustic[EMBEDDING] = table
    model.vocab, model.config["vocab_size"] = tokens, len(tokens)


def tokenizer(model, base, options):
    """What makes tokens of a text, as a context."""
    return fm_model.tokenizer(base, options.ipa) if model.one_voice else tiny_engine(model, program(options))


@contextlib.contextmanager
def tiny_engine(model, f5tts):
    """An engine, as small as can be, of the model's tokenizer and vocabulary."""
    with tempfile.TemporaryDirectory(prefix="finetune-") as folder:
        made = formats.make_checkpoint(folder, arch="tiny", vocab=model.vocab, tokenizer=model.config["tokenizer"])
        path = Path(folder) / "tiny.f5"
        vocab = [] if model.vocab is None else ["--vocab", made["vocab_path"]]
        run(f5tts, "convert", "--config", made["yaml"], "--checkpoint", made["checkpoint"], *vocab, "--vocos-config",
            made["vocos_config"], "--vocos", made["vocos_path"], "--output", path, "--quiet")
        with f5lib.Engine(path, max_frames=64, threads=1) as engine:
            yield engine


def rights_options(options, model):
    """What `f5tts convert` has the voice say: as the base, unless told otherwise."""
    said = {key: model.rights.get(key) if getattr(options, key) is None else getattr(options, key) for key in set_speech.RIGHTS}
    return [f"--{key}={value}" for key, value in said.items() if value]


class Speaker:
    """Makes OUT/voice.f5 of a checkpoint, and has the engine speak by it."""

    def __init__(self, options, out, model, entries, valid):
        """entries, valid: of the folder's index, and those of them that are not trained with."""
        self.options, self.out, self.model, self.program = options, out, model, program(options)
        self.convert_options = [*model.write_files(out), *rights_options(options, model)]
        if model.vocoder is None:
            if not (options.vocos_config and options.vocos):
                raise Unusable(f"the model's vocoder is {model.config['vocoder']['kind']}: give its files too, by "
                               "--vocos-config and --vocos, as f5tts convert takes them")
            self.convert_options += ["--vocos-config", options.vocos_config, "--vocos", options.vocos]
        rate = SOUNDS[model.config["vocoder"]["kind"]].rate
        seconds = {i: entries[i]["frames"] * 256 / rate for i in range(len(entries))}
        fit = [i for i in [*valid, *range(len(entries))] if seconds[i] <= LONGEST_PROMPT]
        first = fit[0] if fit else 0
        self.prompt = entries[first]
        self.spoken = next((i for i in valid if i != first), first)
        self.text = options.sample_text or entries[self.spoken]["text"]

    def voice(self, checkpoint, weights):
        """OUT/voice.f5, as a whole."""
        def write(part):
            with self.model.state.convert_options(checkpoint, weights) as which:
                run(self.program, "convert", *self.convert_options, *which, "--dtype", self.options.dtype, "--vocos-dtype",
                    "fp16", "--output", part, "--quiet")
            # the precision that the base asks for goes with its own dtype, not with this one
            speech = {k: v for k, v in self.model.config.get("speech", {}).items() if k != "precision"}
            if speech:
                set_speech.set_speech(part, [(key, str(value)) for key, value in speech.items()])

        upstream_state.whole(self.out / "voice.f5", write)
        return self.out / "voice.f5"

    def infer_options(self, voice):
        if self.model.one_voice:
            return ["infer", "-m", voice, *(["--ipa"] if self.options.ipa else [])]
        return ["infer", "-m", voice, "-r", self.prompt["path"], f"--ref_text={self.prompt['text']}"]

    def sample(self, voice, update, real):
        """Speech of a sentence, and a picture of it beside the real recording, real [n,bands], where the text is its."""
        folder, name = self.out / "samples", f"update_{update}"
        folder.mkdir(exist_ok=True)
        mel_file = folder / f"{name}.npy"
        run(self.program, *self.infer_options(voice), f"--gen_text={self.text}", "-o", folder, "-w", name + ".wav",
            "--seed", "1", "--device", self.options.sample_device, "--save_mel", mel_file, "--quiet")
        mel = np.load(mel_file)
        mel_file.unlink()
        if not self.options.sample_text:
            dark = np.full((GAP, mel.shape[1]), min(mel.min(), real.min()), np.float32)
            mel = np.concatenate([real, dark, mel])
        draw(folder / f"{name}.png", mel)
