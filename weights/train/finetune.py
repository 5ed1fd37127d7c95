#!/usr/bin/env python3
"""finetune.py — trains a model on one's own recordings: a folder of upstream's form, metadata.csv and wavs/.

    finetune.py FOLDER --out OUT                                      from the voice that comes with the program
    finetune.py FOLDER --out OUT --model F5TTS_v1_Base --lora 16      a model by name or .f5 file; LoRA
    finetune.py FOLDER --out OUT --config F5TTS_v1_Base.yaml --checkpoint model_1250000.safetensors --vocab vocab.txt \\
                --vocos-config config.yaml --vocos pytorch_model.bin  upstream's files, as f5tts convert takes them
    finetune.py FOLDER --out OUT --config config.json --checkpoint G_100000.pth    Flow-Matching-TTS's, durations and all
    torchrun --nproc_per_node 4 finetune.py FOLDER --out OUT          on four GPUs

Losses, masks, dropout, batches, schedule and averaged weights are upstream's (cfm.py, upstream_state.py, speech_folder.py).
OUT receives model_last.pt, a checkpoint that upstream's package reads; voice.f5, which the engine speaks by; samples/ with
speech and pictures of a validation sentence; log.tsv, valid.tsv and loss.png. The same command goes on where the last one
ended, however it ended: every random number follows from seed, update and batch, so that the losses are what they would
have been.
"""
import argparse
import contextlib
import datetime
import hashlib
import json
import math
import os
import random
import shlex
import signal
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

import loss_plot
import output_folder
import speech_folder
import unpack
import upstream_state
from base_model import EMBEDDING, Speaker, change_vocab, file_of, read, tokenizer, vocab_of
from speech_folder import SOUNDS, Speech, Unusable, batches

WAIT = datetime.timedelta(hours=3)  # that other processes wait while the first reads recordings or speaks
MOST_BAD = 20                       # updates in a row whose gradient is not finite
VALIDATION = 7                      # of a random number's key: the validation's
# options by which the numbers of a training follow; a training goes on with the same
FIXED = ("lora", "lora_alpha", "rate", "updates", "warm_up", "batch_frames", "batch_samples", "precision", "dropout",
         "attention_mask", "valid", "seed")


def key(*numbers):
    """A seed from several numbers."""
    return int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:7], "big")


def bf16_on(device, precision):
    """Whether products are in bf16; Unusable where the GPU has none."""
    able = device.type != "cuda" or torch.cuda.get_device_capability(device)[0] >= 8
    if precision == "bf16" and not able:
        raise Unusable(f"--precision bf16: {torch.cuda.get_device_name(device)} has no bf16: give --precision fp32")
    return precision == "bf16" or (precision == "auto" and device.type == "cuda" and able)


class Bar:
    """Where the training is: on a terminal a line that is overwritten, elsewhere a line now and then."""

    def __init__(self, total, done):
        self.total, self.first, self.begun, self.shown = total, done, time.time(), 0.0
        self.live = sys.stdout.isatty()

    def show(self, update, text, now=False):
        if not now and update < self.total and time.time() - self.shown < (0.2 if self.live else 10):
            return
        self.shown = time.time()
        pace = (update - self.first) / max(self.shown - self.begun, 1e-3)
        left = datetime.timedelta(seconds=round((self.total - update) / pace)) if pace > 0 else "?"
        share = update / self.total
        done = int(24 * share)
        line = f"[{'#' * done}{'.' * (24 - done)}] {update}/{self.total} {100 * share:3.0f} %  {text}  {pace:.2f}/s, {left} left"
        print("\r\033[K" + line if self.live else line, end="" if self.live else "\n", flush=True)

    def clear(self):
        if self.live:
            print("\r\033[K", end="", flush=True)


class Table:
    """A file of tab-separated rows that begin with an update. After a break it goes on behind the checkpoint's."""

    def __init__(self, path, columns, update):
        self.path, self.rows = path, []
        if update and path.exists():
            for line in path.read_text().splitlines()[1:]:
                row = line.split("\t")
                if len(row) == len(columns) and row[0].isdigit() and int(row[0]) <= update:
                    self.rows.append(row)
        upstream_state.whole(path, lambda part: part.write_text("".join("\t".join(r) + "\n" for r in [columns, *self.rows])))
        self.file = open(path, "a")

    def add(self, *row):
        self.rows.append([str(cell) for cell in row])
        self.file.write("\t".join(self.rows[-1]) + "\n")
        self.file.flush()

    def column(self, i):
        return [(int(row[0]), float(row[i])) for row in self.rows]


class Training:
    def __init__(self, options):
        self.options, self.out = options, options.out
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.first = self.rank == 0
        self.device = self.choose_device()
        if self.world > 1:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo", timeout=WAIT)
        self.bf16 = bf16_on(self.device, options.precision)
        self.stop = 0
        with contextlib.ExitStack() as held:  # the folder, until the training ends
            self.shared(lambda: held.enter_context(output_folder.claimed(options)))
            self.load()
            self.held = held.pop_all()

    def say(self, text):
        if self.first:
            print(text, flush=True)

    def choose_device(self):
        kind = self.options.device
        if kind == "auto":
            kind = "cuda" if torch.cuda.is_available() else "cpu"
        if kind == "cuda":
            if not torch.cuda.is_available():
                raise Unusable("--device cuda: PyTorch sees no GPU")
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("cpu")

    # ---- what there is to train, and what with

    def shared(self, make):
        """What the first process makes, for all; a failure of it ends all."""
        told = [None, None]
        if self.first:
            try:
                told[0] = make()
            except Exception as error:  # of any kind: other processes wait for what is told
                told[1] = str(error) or type(error).__name__
        if self.world > 1:
            dist.broadcast_object_list(told, 0)
        if told[1]:
            raise Unusable(told[1])
        return told[0]

    def load(self):
        o = self.options
        base, source = self.shared(lambda: file_of(o, self.out))
        self.model = read(o, base)
        if "I8" in self.model.stored:
            self.say(f"{base} holds 8-bit weights: a training had better begin with the fp32 ones")
        self.arch = self.model.arch
        self.arch.dropout, self.arch.attention_mask, self.arch.recompute = o.dropout, o.attention_mask, o.recompute
        tokens = self.shared(lambda: vocab_of(o.folder, self.model, self.say))
        new_rows = tokens is not None
        if new_rows:
            change_vocab(self.model, tokens, o.seed, self.say)
        index = self.shared(lambda: self.read_folder(base))
        self.entries = index["entries"]
        self.speech = Speech(self.out / "data", self.entries, SOUNDS[self.model.config["vocoder"]["kind"]].bands)
        self.split()
        self.batches = batches(self.entries, self.trained_with, o.batch_frames, o.batch_samples)
        self.group = o.accumulate * self.world  # batches of an update
        self.per_epoch = math.ceil(len(self.batches) / self.group)
        self.updates = o.updates or self.per_epoch * o.epochs
        warm_up = o.warm_up if o.warm_up is not None else math.ceil(self.updates / 20)
        self.prepare_weights(new_rows, max(1, min(warm_up, self.updates)))
        only = {name: True for name in ("only_durations", "ipa") if getattr(o, name)}
        self.facts = {name: getattr(o, name) for name in FIXED} | only | {
            "updates": self.updates, "warm_up": warm_up, "precision": "bf16" if self.bf16 else "fp32", "group": self.group,
            "data": index["fingerprint"], "source": source, "model": self.model.config}
        self.done = self.resume()
        self.say(f"{self.model.config['name']}: {sum(p.numel() for p in self.model.acoustic.values()) / 1e6:.1f} M weights, "
                 f"{self.optimiser.grad.numel() / 1e6:.1f} M trained; {len(self.batches)} batches, {self.per_epoch} updates an "
                 f"epoch, {self.updates} in all; {self.world} x {self.device.type}, {self.facts['precision']}"
                 + (f"; goes on behind update {self.done}" if self.done else ""))

    def read_folder(self, base):
        o, config = self.options, self.model.config
        kind, vocoder = config["tokenizer"] + (", IPA" if o.ipa else ""), config["vocoder"]["kind"]
        index = speech_folder.prepare(o.folder, self.out / "data", self.model.vocab, kind, vocoder, o.batch_frames,
                                      lambda: tokenizer(self.model, base, o), self.say)
        speech_folder.report(index, o.folder, SOUNDS[vocoder].rate, self.model.unknown, self.say)
        return index

    def split(self):
        """Recordings that are kept for validation: drawn, the same in every call."""
        count = len(self.entries)
        wanted = self.options.valid if self.options.valid is not None else min(count // 20, 20) if count >= 20 else 0
        wanted = min(wanted, count - 1)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(key(self.options.seed, VALIDATION))).tolist()
        self.valid, self.trained_with = sorted(order[:wanted]), sorted(order[wanted:])
        self.judged = self.valid or self.trained_with[:8]
        if not self.valid:
            self.say("no recording is kept for validation (--valid): the first are judged, which the training knows")

    def prepare_weights(self, new_rows, warm_up):
        o, weights = self.options, self.model.acoustic
        rate = o.rate or (1e-4 if o.lora else self.model.losses.RATE)
        if o.lora:
            if o.lora > min(self.model.config["backbone"]["dim"], 1024):
                raise Unusable(f"--lora {o.lora} is more than the layers are wide")
            self.alpha = o.lora_alpha or 2 * o.lora
            self.arch.lora_scale = self.alpha / o.lora
            trained = upstream_state.lora(weights, o.lora, torch.Generator().manual_seed(key(o.seed)))
            if new_rows:
                trained[EMBEDDING] = weights[EMBEDDING].clone()
        else:
            trained = {name: weights[name].clone() for name in self.model.trained()}
        self.trained = {name: values.to(self.device).requires_grad_() for name, values in trained.items()}
        self.fixed = {name: values.to(self.device) for name, values in weights.items() if name not in trained}
        self.optimiser = upstream_state.Optimiser(self.trained, rate, warm_up, self.updates, **self.model.losses.ADAM)
        self.average = upstream_state.Average(self.trained) if self.first else None

    @property
    def weights(self):
        return {**self.fixed, **self.trained}

    def resume(self):
        """The update of OUT's checkpoint, which is loaded; 0 where there is none."""
        path = self.model.state.last(self.out)
        if not path:
            return 0
        state = upstream_state.read(path)
        if not isinstance(state, dict) or "f5tts" not in state:
            raise Unusable(f"{path} was not made by finetune.py: give it by --checkpoint, and another --out")
        try:
            then, now = json.loads(state["f5tts"]["facts"]), json.loads(json.dumps(self.facts))
            other = [name for name in {**now, **then} if then.get(name) != now.get(name)]
            if other:
                shown = "; ".join(f"{name} was {str(then.get(name))[:60]}, is {str(now.get(name))[:60]}" for name in other)
                raise Unusable(f"{self.out} holds a training of other settings ({shown}): give the same, or another --out")
            self.model.state.load(state, self.optimiser, self.average)
            return self.model.state.update_of(state)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
            if "out of memory" in str(error):
                raise
            raise Unusable(f"{path} is damaged ({type(error).__name__}: {str(error)[:80]!r}): give another --out") from None

    # ---- an update

    def epoch_order(self, epoch):
        order = torch.randperm(len(self.batches), generator=torch.Generator().manual_seed(self.options.seed + epoch))
        return order.tolist()

    def group_of(self, update):
        """The batches of an update, in an order that does not depend on how many processes there are."""
        epoch, at = divmod(update, self.per_epoch)
        return self.epoch_order(epoch)[at * self.group:(at + 1) * self.group]

    def loss(self, weights, which, seed, judged=None):
        """Of a batch; random numbers by the seed. judged: an Arch, by which a validation has no dropout and withholds nothing."""
        chance = (lambda: 1.0) if judged else random.Random(seed).random
        mel, lens, ids = self.speech.batch(which, self.device)
        torch.manual_seed(seed)
        drawn = self.model.losses.draw(mel, lens, chance)
        with torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else contextlib.nullcontext():
            return self.model.losses.loss(weights, judged or self.arch, mel, lens, ids, drawn), int(lens.sum())

    def update(self, number):
        """Returns loss, gradient norm and frames of all processes; and whether one was asked to stop."""
        group = self.group_of(number)
        self.optimiser.grad.zero_()
        told = torch.zeros(3, dtype=torch.float64)
        weights = self.weights
        for j in range(self.rank, len(group), self.world):
            loss, frames = self.loss(weights, self.batches[group[j]], key(self.options.seed, number, j))
            (loss / self.group).backward()
            told += torch.tensor([loss.item() / len(group), frames, 0.0], dtype=torch.float64)
        told[2] = self.stop
        told = told.to(self.device)
        if self.world > 1:
            dist.all_reduce(self.optimiser.grad)
            dist.all_reduce(told)
        norm = self.optimiser.step()
        if self.average:
            self.average.update()
        loss, frames, stop = told.tolist()
        return loss, norm, int(frames), stop > 0

    @torch.no_grad()
    def validate(self):
        """Losses of the judged recordings, by the trained weights and by the averaged ones, and both of the predictor of
        durations where it is a part: the same noise every time."""
        figures, made = [], batches(self.entries, self.judged, self.options.batch_frames, self.options.batch_samples)
        for arch in self.model.losses.judged(self.arch):
            for weights in (self.weights, {**self.fixed, **self.average.weights}):
                losses = [float(self.loss(weights, which, key(VALIDATION, j), arch)[0]) for j, which in enumerate(made)]
                figures.append(sum(loss * len(which) for loss, which in zip(losses, made)) / len(self.judged))
        return figures

    # ---- what is kept

    def save(self, update):
        states = self.model.state
        try:
            state = states.checkpoint(self.model.acoustic, self.optimiser, self.average, update, self.arch.lora_scale,
                                      {"facts": json.dumps(self.facts), "epoch": 1 + (update - 1) // self.per_epoch})
            states.save(self.out, update, state, self.options.keep)
        except (RuntimeError, OSError) as error:  # torch's own for a full disk
            if "out of memory" in str(error):
                raise
            raise Unusable(f"{self.out}: no checkpoint can be written: {str(error).splitlines()[0]}: is the disk full?") from None
        if self.options.lora:
            upstream_state.write_adapter(self.out / "lora", self.average.weights, self.alpha)

    def show(self, update, speak=True):
        """Figures, picture and speech. What fails here costs no training."""
        o, (trained, averaged, *durations) = self.options, self.validate()
        self.valid_table.add(update, *map(repr, (trained, averaged, *durations)))
        picture = loss_plot.losses(self.log.column(2), self.valid_table.column(1))
        if picture:
            upstream_state.whole(self.out / "loss.png", lambda path: path.write_bytes(picture))
        self.bar.clear()
        self.say(f"update {update}: loss of {'unseen' if self.valid else 'seen'} recordings {trained:.4f}, by averaged "
                 f"weights {averaged:.4f}" + (f"; of durations {durations[0]:.4f}, {durations[1]:.4f}" if durations else ""))
        if not speak:
            return
        try:
            best = "model" if trained < averaged else "ema"
            voice = self.speaker.voice(self.model.state.last(self.out), best if o.voice_weights == "auto" else o.voice_weights)
            if not o.no_samples:
                self.speaker.sample(voice, update, self.speech.mel(self.speaker.spoken).numpy())
                self.say(f"update {update}: samples/update_{update}.wav")
        except (Exception, SystemExit) as error:  # of any kind
            self.say(f"update {update}: no sample: {error}")

    def run(self):
        """Returns the exit status."""
        before = [(number, signal.signal(number, lambda s, _: setattr(self, "stop", s)))
                  for number in (signal.SIGINT, signal.SIGTERM)]
        try:
            return self.train()
        finally:
            self.held.close()
            for number, handler in before:
                signal.signal(number, handler)

    def train(self):
        o = self.options
        if self.first:
            self.speaker = Speaker(o, self.out, self.model, self.entries, self.valid)
            self.log = Table(self.out / "log.tsv", ["update", "epoch", "loss", "norm", "rate", "frames"], self.done)
            kinds = ("", "_durations")[:len(self.model.losses.judged(self.arch))]
            columns = [name + kind for kind in kinds for name in ("trained", "averaged")]
            self.valid_table = Table(self.out / "valid.tsv", ["update", *columns], self.done)
            self.bar = Bar(self.updates, self.done)
            if self.done in (0, self.updates):
                self.show(self.done, speak=self.done > 0)
        update, stop, bad = self.done, False, 0
        while update < self.updates and not stop:
            epoch, rate = update // self.per_epoch, self.optimiser.rate
            loss, norm, frames, stop = self.update(update)
            update += 1
            bad = 0 if math.isfinite(norm) else bad + 1
            if bad == MOST_BAD:
                raise Unusable(f"{bad} updates in a row have no finite gradient: give a smaller --rate")
            if not self.first:
                continue
            self.log.add(update, epoch, repr(loss), repr(norm), repr(rate), frames)
            self.bar.show(update, f"epoch {epoch + 1} loss {loss:.4f} rate {rate:.1e}" + (" SKIPPED: not finite" if bad else ""))
            if update % o.save_every == 0 or stop or update == self.updates:
                self.save(update)
                if not stop:
                    self.show(update)
        if self.world > 1:
            dist.barrier()
            dist.destroy_process_group()
        if self.first:
            self.bar.clear()
            self.say(f"stopped behind update {update}: the same command goes on" if stop else self.farewell())
        return 128 + (self.stop or signal.SIGTERM) if stop else 0

    def farewell(self):
        command = [self.speaker.program, *self.speaker.infer_options(self.out / "voice.f5"), "-t", "What is to be said.", "-o",
                   self.out, "-w", "new.wav"]
        return "done; it speaks by\n  " + shlex.join(map(str, command))


def arguments(argv):
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    p.add_argument("folder", type=Path, help="metadata.csv, wavs/, and where the model's tokens do not do, vocab.txt")
    p.add_argument("--out", type=Path, required=True, help="where everything goes; a training that is there goes on")
    p.add_argument("--ipa", action="store_true", help="of Flow-Matching-TTS: the texts are IPA; default: words, by libespeak-ng")
    g = p.add_argument_group("what it begins with")
    g.add_argument("--model", help="a name or a .f5 file; default: the voice that comes with the program")
    for name in ("config", "checkpoint", "vocab", "vocos-config", "vocos"):
        g.add_argument(f"--{name}", metavar="FILE", help="upstream's files, as f5tts convert takes them")
    g.add_argument("--weights", choices=("ema", "model"), default="ema", help="of a checkpoint that has both")
    g = p.add_argument_group("how it is trained")
    g.add_argument("--lora", type=int, default=0, metavar="RANK", help="train low-rank additions; default: all weights")
    g.add_argument("--lora-alpha", type=float, metavar="X", help="default: twice the rank")
    g.add_argument("--only-durations", action="store_true", help="of Flow-Matching-TTS: its duration predictor, and nothing else")
    g.add_argument("--rate", type=float, help="highest learning rate; default 1e-5, with --lora 1e-4, of Flow-Matching-TTS 2e-4")
    g.add_argument("--epochs", type=int, default=100)
    g.add_argument("--updates", type=int, default=0, help="instead of --epochs")
    g.add_argument("--warm-up", type=int, metavar="UPDATES", help="default: a twentieth of all")
    g.add_argument("--batch-frames", type=int, default=3200, help="most of a batch on each device, 93.75 a second")
    g.add_argument("--batch-samples", type=int, default=64, help="most recordings of a batch")
    g.add_argument("--accumulate", type=int, default=1, help="batches of an update on each device")
    g.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="auto: bf16 on a GPU that has it")
    g.add_argument("--dropout", type=float, default=0.1)
    g.add_argument("--attention-mask", action="store_true", help="frames do not see padding; upstream's attn_mask_enabled")
    g.add_argument("--recompute", action="store_true", help="less memory, more time; upstream's checkpoint_activations")
    g.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    g.add_argument("--seed", type=int, default=666)
    g = p.add_argument_group("what is kept and shown")
    g.add_argument("--save-every", type=int, default=500, metavar="UPDATES")
    g.add_argument("--keep", type=int, default=0, help="so many numbered checkpoints beside model_last.pt")
    g.add_argument("--valid", type=int, help="recordings kept for validation; default: a twentieth, 20 at most")
    g.add_argument("--sample-text", help="what is spoken; default: a validation sentence")
    g.add_argument("--sample-device", default="auto", help="of the engine that speaks")
    g.add_argument("--no-samples", action="store_true")
    g.add_argument("--voice-weights", choices=("auto", "ema", "model"), default="auto",
                   help="voice.f5 is made of the averaged ones or those of training; auto: of the better in validation")
    g.add_argument("--dtype", choices=("fp32", "fp16", "bf16", "int8"), default="fp16", help="of voice.f5")
    g.add_argument("--license", metavar="TEXT", help="that voice.f5 tells its users; default: as what it begins with")
    g.add_argument("--credit", metavar="TEXT", help="whom they are to name; default likewise")
    g.add_argument("--f5tts", metavar="PROGRAM", help="default: the one in build/bin")
    o = p.parse_args(argv)
    for name in ("epochs", "batch_frames", "batch_samples", "accumulate", "save_every"):
        if getattr(o, name) < 1:
            p.error(f"--{name.replace('_', '-')} is {getattr(o, name)}: 1 is the least")
    for name in ("lora", "updates", "keep", "valid", "warm_up", "seed"):
        if (getattr(o, name) or 0) < 0:
            p.error(f"--{name.replace('_', '-')} is {getattr(o, name)}: it cannot be negative")
    if not 0 <= o.dropout < 1 or not (o.rate is None or 0 < o.rate < 1) or not (o.lora_alpha is None or o.lora_alpha > 0):
        p.error("--dropout is from 0 to less than 1, --rate between 0 and 1, --lora-alpha above 0")
    for name in unpack.set_speech.RIGHTS:
        try:
            unpack.set_speech.check_line(name, getattr(o, name) or "")
        except unpack.set_speech.Refused as refused:
            p.error(f"--{refused}")
    if o.checkpoint and not o.config:
        p.error("--checkpoint needs --config: a checkpoint does not say of which kind it is")
    if o.checkpoint and o.model:
        p.error("--model and --checkpoint: give one")
    return o


def main(argv=None):
    options = arguments(argv)
    try:
        return Training(options).run()
    except (Unusable, unpack.set_speech.Refused, OSError, ValueError) as error:
        said = str(error)
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
        said = f"{str(error).splitlines()[0]}: give a smaller --batch-frames, --recompute or --lora"
    print(f"finetune: {said}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
