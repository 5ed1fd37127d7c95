"""fm_model.py — Flow-Matching-TTS as finetune.py trains it: its checkpoint read, words as its symbols, and its checkpoints written as its own training writes them, G_N.pth and the JSON beside it.

A G_N.pth holds what upstream's training goes on with: all weights, those of the vocoder untouched and with their weight norm,
the optimiser's state by its numbers of parameters, the epoch as "iteration"; and "f5tts", by which finetune.py goes on.
"""
import contextlib
import ctypes
import json
import tempfile
from pathlib import Path

import torch

import f5lib
import random_fm_tts
import recordings_lib
import set_speech

import fm_cfm
import unpack
import upstream_state
from speech_folder import Unusable

MELS = {"filter_length": 1024, "win_length": 1024, "mel_fmin": 0.0, "mel_fmax": None}  # of the JSON's "data": what is made


class Phonemes:
    """An engine's tokenizer behind libespeak-ng, as `f5tts infer` says words; ipa: texts are IPA already."""

    def __init__(self, engine, ipa):
        self.engine, self.known = engine, {}
        self.lib = None if ipa else recordings_lib.library()
        self.speaker, self.error = ctypes.c_void_p(), recordings_lib.Error()
        if self.lib and not hasattr(self.lib, "espeak_open"):
            raise Unusable("the model reads phonemes, and this build has no libespeak-ng: install libespeak-ng-dev and build again, "
                           "or write IPA in metadata.csv and give --ipa")
        if self.lib and self.lib.espeak_open(ctypes.byref(self.speaker), ctypes.byref(self.error)):
            raise Unusable(f"the model reads phonemes: {self.error.message.decode()}; or write IPA in metadata.csv and give --ipa")

    def close(self):
        if self.lib:
            self.lib.espeak_close(self.speaker)

    def said(self, text):
        """IPA. Raises ValueError with the library's message."""
        if not self.lib:
            return text
        data, n = text.encode(), ctypes.c_size_t()
        out = ctypes.create_string_buffer(16 * len(data) + 1024)
        if self.lib.phonemes_of(self.speaker, data, ctypes.c_size_t(len(data)), out, ctypes.c_size_t(len(out)), ctypes.byref(n),
                                ctypes.byref(self.error)):
            raise ValueError(self.error.message.decode())
        return out.raw[:n.value].decode()

    def knows(self, c):
        if c not in self.known:
            self.known[c] = bool(self.engine.tokenize(c).any())
        return self.known[c]

    def tokenize(self, text, capacity=64):
        """What is no symbol is left out, as the engine does when it speaks."""
        return self.engine.tokenize("".join(filter(self.knows, text)), capacity=2 * capacity)


@contextlib.contextmanager
def tokenizer(base, ipa):
    """Words, or IPA, become symbols by an engine of the base."""
    with f5lib.Engine(base, max_frames=64, threads=1) as engine, contextlib.closing(Phonemes(engine, ipa)) as phonemes:
        yield phonemes


class Model:
    """As unpack.Model."""

    losses, one_voice, unknown = fm_cfm, True, "left out"
    vocab, stored = None, frozenset()

    def __init__(self, config, said, source, rights):
        """config: the .f5 file's; said: upstream's JSON, as bytes; source: upstream's checkpoint."""
        self.config, self.said, self.source, self.rights = config, said, source, rights
        backbone, text = config["backbone"], config["text"]
        self.arch = fm_cfm.Arch(depth=backbone["depth"], durations=text["predicts_durations"])
        self.vocoder = {name: values for name, values in source["model"].items() if name.startswith("dec.")}
        shapes = random_fm_tts.acoustic(backbone["dim"], backbone["depth"], backbone["ff_dim"], config["vocab_size"],
                                        text["predicts_durations"])
        self.acoustic = {name: self.taken(name, shape) for name, shape, _ in shapes}
        self.state = States(self)

    def taken(self, name, shape):
        values = self.source["model"].get(name)
        if not isinstance(values, torch.Tensor) or values.shape != shape:
            raise Unusable(f"the checkpoint has no {name} of shape {list(shape)} by that name: give a G_*.pth as "
                           "Flow-Matching-TTS's training writes it")
        return values.float()

    def check(self, options):
        """What is asked for that this model has not."""
        if options.lora:
            raise Unusable("--lora: Flow-Matching-TTS is trained whole, or --only-durations")
        if options.only_durations and not self.arch.durations:
            raise Unusable("--only-durations: the model predicts none (use_duration_predictor is false in its JSON)")
        self.arch.only_durations = options.only_durations

    def trained(self):
        """Names of the weights that the loss has a gradient of."""
        return [name for name in self.acoustic
                if not self.arch.only_durations or name.startswith((fm_cfm.ENCODER, fm_cfm.PREDICTOR))]

    def write_files(self, folder):
        upstream_state.whole(Path(folder) / "config.json", lambda part: part.write_bytes(self.said))
        return ["--config", Path(folder) / "config.json"]


class States:
    """Its checkpoints, as upstream_state is F5-TTS's."""

    PATTERN = "G_*.pth"

    def __init__(self, model):
        self.model = model
        self.parameters = [name for name in model.source["model"] if not name.startswith("mel_transform.")]

    def kept(self, out):
        """The checkpoints that there are, the last one last."""
        numbered = {int(path.stem[2:]): path for path in Path(out).glob(self.PATTERN) if path.stem[2:].isdigit()}
        return [numbered[n] for n in sorted(numbered)]

    def last(self, out):
        return next(reversed(self.kept(out)), None)

    def update_of(self, state):
        return int(state["f5tts"]["update"])

    def checkpoint(self, weights, optimiser, average, update, scale, more):
        source, trained = self.model.source, upstream_state.merged(weights, optimiser.trained, scale)
        adam = optimiser.adam.state_dict()
        return {"model": {name: trained.get(name, values) for name, values in source["model"].items()}, "iteration": more["epoch"],
                "optimizer": self.numbered(adam, list(optimiser.trained)), "learning_rate": optimiser.adam.defaults["lr"],
                "f5tts": {**more, "update": update, "adam": adam, "schedule": optimiser.schedule.state_dict(),
                          "average": {name: values.cpu() for name, values in average.weights.items()},
                          "average_step": average.step, "average_begun": average.begun}}

    def numbered(self, adam, trained):
        """The optimiser's state by the numbers that upstream's optimiser, of all parameters, has for them."""
        group = {**adam["param_groups"][0], "params": list(range(len(self.parameters)))}
        number = {name: i for i, name in enumerate(self.parameters)}
        return {"state": {number[trained[i]]: state for i, state in adam["state"].items()}, "param_groups": [group]}

    @torch.no_grad()
    def load(self, state, optimiser, average):
        more = state["f5tts"]
        for name, p in optimiser.trained.items():
            p.copy_(state["model"][name])
            if average:
                average.weights[name].copy_(more["average"][name])
        if average:
            average.step, average.begun = int(more["average_step"]), bool(more["average_begun"])
        optimiser.adam.load_state_dict(more["adam"])
        optimiser.schedule.load_state_dict(more["schedule"])

    def save(self, out, update, state, keep):
        upstream_state.whole(Path(out) / f"G_{update}.pth", lambda path: torch.save(state, path))
        for path in self.kept(out)[:-max(keep, 1)]:
            path.unlink()

    @contextlib.contextmanager
    def convert_options(self, checkpoint, weights):
        """What `f5tts convert` makes the voice of: a G_N.pth holds the trained weights, its average beside them."""
        if weights == "model":
            yield ["--checkpoint", checkpoint]
            return
        state = upstream_state.read(checkpoint)
        with tempfile.TemporaryDirectory(prefix="finetune-") as folder:
            path = Path(folder) / "G_0.pth"
            torch.save({"model": {**state["model"], **state["f5tts"]["average"]}}, path)
            yield ["--checkpoint", path]


# ---- reading


def read(options, base):
    """base: the .f5 file that `f5tts convert` made of the options' files. Raises Unusable, ValueError, OSError."""
    get = unpack.Tensors(base)
    said = Path(options.config).read_bytes()
    source = upstream_state.read(options.checkpoint)
    if not isinstance(source, dict) or not isinstance(source.get("model"), dict):
        raise Unusable(f"{options.checkpoint} has no \"model\": give a G_*.pth as Flow-Matching-TTS's training writes it")
    check_data(options.config, said)
    return Model(json.loads(get.metadata["config"]), said, source, set_speech.rights_of(get.metadata))


def check_data(path, said):
    """That mels are made as it says. Raises Unusable."""
    try:
        data = json.loads(said.decode()).get("data")
    except (ValueError, AttributeError) as error:
        raise Unusable(f"{path} is no JSON object: {error}") from None
    for name, value in MELS.items():
        if isinstance(data, dict) and data.get(name, value) != value:
            raise Unusable(f"{path}: data.{name} is {data[name]}: mels are made with {value}")

