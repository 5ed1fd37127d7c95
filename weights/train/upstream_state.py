"""upstream_state.py — the state of a fine-tune as upstream's trainer keeps it: optimiser, schedule, averaged weights, and
its checkpoint file; and the low-rank part of LoRA.

A checkpoint holds upstream's keys, so that upstream's package loads it and trains on from it, and one more, "f5tts": what
finetune.py needs to go on exactly. A file appears whole: it is written beside its place, flushed, and renamed.
"""
import collections
import contextlib
import json
import math
import os
import pickle
import shutil
import sys
import warnings
import zipfile
import zlib
from pathlib import Path

import torch
from torch.optim.lr_scheduler import LinearLR, SequentialLR

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import random_checkpoint as formats  # noqa: E402

EVERY, AFTER, POWER, MOST = 10, 100, 2 / 3, 0.9999  # of the average: ema_pytorch's defaults
MAX_NORM = 1.0
LORA_LAYERS = ("to_q", "to_k", "to_v", "to_out.0", "ff.0.0", "ff.2")
ROTARY = "transformer.rotary_embed.inv_freq"


class Optimiser:
    """AdamW over trained, name -> leaf tensor, whose gradients become views of one buffer, self.grad. The rate rises for
    warm_up updates and falls to nothing at the last, both linearly."""

    def __init__(self, trained, rate, warm_up, updates, **adam):
        self.trained = trained
        device = next(iter(trained.values())).device
        self.grad = torch.zeros(sum(p.numel() for p in trained.values()), device=device)
        at = 0
        for p in trained.values():
            p.grad = self.grad[at:at + p.numel()].view(p.shape)
            at += p.numel()
        self.adam = torch.optim.AdamW(list(trained.values()), lr=rate, **adam)
        self.schedule = SequentialLR(self.adam, [
            LinearLR(self.adam, start_factor=1e-8, end_factor=1.0, total_iters=warm_up),
            LinearLR(self.adam, start_factor=1.0, end_factor=1e-8, total_iters=max(1, updates - warm_up))], [warm_up])

    @property
    def rate(self):
        return self.adam.param_groups[0]["lr"]

    def step(self):
        """An update by self.grad. Returns the gradient's norm; one that is not finite changes no weight."""
        norm = float(torch.nn.utils.clip_grad_norm_(list(self.trained.values()), MAX_NORM))
        if math.isfinite(norm):
            self.adam.step()
        with warnings.catch_warnings():  # where one schedule follows the other, of its own argument
            warnings.simplefilter("ignore", UserWarning)
            self.schedule.step()
        return norm


class Average:
    """The exponential moving average of weights, as ema_pytorch's EMA with its defaults."""

    def __init__(self, trained):
        self.trained = trained
        self.weights = {name: p.detach().clone() for name, p in trained.items()}
        self.step, self.begun = 0, False

    @torch.no_grad()
    def update(self):
        step, self.step = self.step, self.step + 1
        if self.begun and step % EVERY:
            return
        decay = 0.0
        if self.begun and step > AFTER:
            decay = min(1 - (1 + max(self.step - AFTER - 1, 0)) ** -POWER, MOST)
        self.begun = True
        for name, p in self.trained.items():
            if decay:
                self.weights[name].lerp_(p, 1 - decay)
            else:
                self.weights[name].copy_(p)


# ---- LoRA


def lora(weights, rank, generator):
    """name -> leaf tensor: A drawn as PEFT does, B zero, for the layers of every block."""
    made = {}
    for name, weight in weights.items():
        layer = name[:-len(".weight")]
        if name.endswith(".weight") and layer.endswith(LORA_LAYERS) and ".text_blocks." not in name:
            bound = weight.shape[1] ** -0.5
            made[layer + ".lora_A"] = torch.empty(rank, weight.shape[1]).uniform_(-bound, bound, generator=generator)
            made[layer + ".lora_B"] = torch.zeros(weight.shape[0], rank)
    return made


@torch.no_grad()
def merged(weights, trained, scale):
    """Upstream's tensors in their order, on the CPU: what was trained in place of or added to the weights."""
    out = {}
    for name, weight in weights.items():
        values, layer = trained.get(name, weight).detach(), name[:-len(".weight")]
        if layer + ".lora_A" in trained:
            values = values + scale * (trained[layer + ".lora_B"] @ trained[layer + ".lora_A"]).to(values.device)
        out[name] = values.cpu()
    return out


def write_adapter(folder, trained, alpha):
    """The low-rank part as PEFT writes it."""
    folder.mkdir(exist_ok=True)
    tensors = {f"base_model.model.{name}.weight": values.detach().cpu().numpy()
               for name, values in trained.items() if name.endswith((".lora_A", ".lora_B"))}
    rank = next(len(values) for name, values in trained.items() if name.endswith(".lora_A"))
    config = dict(peft_type="LORA", task_type=None, r=rank, lora_alpha=alpha, lora_dropout=0.0, bias="none",
                  target_modules=sorted({name.split(".lora_")[0].split("base_model.model.")[1] for name in tensors}),
                  fan_in_fan_out=False, modules_to_save=None, init_lora_weights=True, use_rslora=False, use_dora=False,
                  inference_mode=True)
    whole(folder / "adapter_model.safetensors", lambda path: formats.write_safetensors(path, tensors))
    whole(folder / "adapter_config.json", lambda path: path.write_text(json.dumps(config, indent=1) + "\n"))


# ---- files


def whole(path, write):
    """write(a path beside it, of the same ending), and then it is there, all of it. Where that fails nothing is left."""
    path = Path(path)
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    part.unlink(missing_ok=True)  # it may be a link to elsewhere
    try:
        write(part)
        with open(part, "rb") as f:
            os.fsync(f.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


STORAGES = {"FloatStorage": torch.float32, "HalfStorage": torch.float16, "BFloat16Storage": torch.bfloat16,
            "DoubleStorage": torch.float64, "LongStorage": torch.int64, "IntStorage": torch.int32, "BoolStorage": torch.bool}


class Plain(pickle.Unpickler):
    """Tensors and plain values of a file by torch.save, and nothing that runs. (torch.load's weights_only knows no numbers
    with a point before PyTorch 2.)"""

    def __init__(self, archive, root):
        super().__init__(archive.open(root + "/data.pkl"))
        self.archive, self.root = archive, root

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: storage.as_strided(size, stride, offset)
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise pickle.UnpicklingError(f"it holds a {module}.{name}")

    def persistent_load(self, told):
        _, kind, number, _, count = told
        data = bytearray(self.archive.read(f"{self.root}/data/{number}"))
        return torch.frombuffer(data, dtype=kind)[:count] if data else torch.empty(0, dtype=kind)


def read(path):
    """A checkpoint, on the CPU. Raises ValueError: it is none, or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            root = next(name for name in archive.namelist() if name.endswith("/data.pkl"))[:-len("/data.pkl")]
            return Plain(archive, root).load()
    except (pickle.PickleError, zipfile.BadZipFile, RuntimeError, StopIteration, LookupError, TypeError, ValueError,
            AttributeError, EOFError, OverflowError, MemoryError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is no checkpoint that can be read: {error or type(error).__name__}") from None


def last(out):
    """The checkpoint that a training goes on from; None: there is none."""
    path = Path(out) / "model_last.pt"
    return path if path.exists() else None


def update_of(state):
    return int(state["update"])


def save(out, update, state, keep):
    """As model_last.pt, and the newest `keep` under their numbers."""
    path, numbered = Path(out) / "model_last.pt", Path(out) / f"model_{update}.pt"
    whole(path, lambda part: torch.save(state, part))
    if not keep:
        return
    numbered.unlink(missing_ok=True)
    try:
        os.link(path, numbered)
    except OSError:  # a file system without links
        whole(numbered, lambda part: shutil.copyfile(path, part))
    kept = sorted((int(p.stem[6:]), p) for p in Path(out).glob("model_*.pt") if p.stem[6:].isdigit())
    for _, old in kept[:-keep]:
        old.unlink()


@contextlib.contextmanager
def convert_options(checkpoint, weights):
    """By which `f5tts convert` takes these weights of a checkpoint, while the context lasts."""
    yield ["--checkpoint", checkpoint, "--weights", weights]


def checkpoint(weights, optimiser, average, update, scale, more):
    """What upstream's save_checkpoint saves. weights: those that the training began with; more: of plain values."""
    rotary = {ROTARY: torch.tensor([10000.0 ** (-2 * i / 64) for i in range(32)])}
    model = {**merged(weights, optimiser.trained, scale), **rotary}
    averaged = {**merged(weights, average.weights, scale), **rotary}
    state = dict(model_state_dict=model, optimizer_state_dict=optimiser.adam.state_dict(),
                 ema_model_state_dict={"initted": torch.tensor(average.begun), "step": torch.tensor(average.step),
                                       **{"ema_model." + name: values for name, values in averaged.items()}},
                 scheduler_state_dict=optimiser.schedule.state_dict(), update=update)
    low_rank = {name: [p.detach().cpu(), average.weights[name].cpu()] for name, p in optimiser.trained.items()
                if name not in weights}
    return {**state, "f5tts": {**more, "low_rank": low_rank}}


@torch.no_grad()
def load(state, optimiser, average):
    """The inverse, into an optimiser and an average (None: of another process) of the same model."""
    low_rank = state["f5tts"]["low_rank"]
    for name, p in optimiser.trained.items():
        p.copy_(low_rank[name][0] if name in low_rank else state["model_state_dict"][name])
        if average:
            average.weights[name].copy_(low_rank[name][1] if name in low_rank
                                        else state["ema_model_state_dict"]["ema_model." + name])
    if average:
        average.step, average.begun = int(state["ema_model_state_dict"]["step"]), bool(state["ema_model_state_dict"]["initted"])
    optimiser.adam.load_state_dict(state["optimizer_state_dict"])
    optimiser.schedule.load_state_dict(state["scheduler_state_dict"])
