"""F5TTS in the place of upstream's f5_tts.api.F5TTS: a program changes one import.

    from f5tts.compat import F5TTS            # was: from f5_tts.api import F5TTS

    wav, sr, spec = F5TTS().infer(ref_file="me.wav", ref_text="What I say there.", gen_text="What I never said.",
                                  file_wave="new.wav", file_spec="new.png", seed=1)

Same arguments, same types, the same samples where the noise is the same. What differs:
  Nothing is fetched: `f5tts pull F5TTS_v1_Base` does, once, or the cache that upstream has filled is taken as it is.
  The noise of a seed is another one than torch's, so one seed does not give one voice's same reading in both.
  A recording without ref_text is heard by Whisper of transformers, as upstream does it, where that is installed.
  The picture is drawn by f5tts, as PNG, without axes for frequency; global random states are left alone.
  `device` is cpu, cuda or cuda:N; a speed that is not 1 counts for texts under ten bytes too; [pause 1s] is a pause.
"""
from __future__ import annotations

import hashlib
import importlib
import os
import random
import sys
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, Callable, Optional, Union

import numpy as np
import numpy.typing as npt

from ._errors import ArgumentError, UnsupportedError
from ._program import find_model
from .model import Model
from .options import METHODS, Keep
from .recording import read, remove_silence, write
from .speech import Chunk, spectrogram
from .voice import Voice

PathName = Union[str, "os.PathLike[str]"]
MAX_EVALUATIONS = 128
VOICES_KEPT = 8


def _tqdm() -> Any:
    """The module tqdm, upstream's default; None: it is not installed."""
    try:
        return importlib.import_module("tqdm")
    except ImportError:
        return None


def _absolute(path: PathName) -> str:
    """For another folder; names of the hub stay."""
    name = os.fspath(path)
    return name if name.startswith("hf://") else os.path.abspath(name)


def sixteen_bits(wav: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Samples as a WAV of 16 bits has them that libsndfile writes of floats: clipped, and rounded down from 32 bits."""
    scaled = np.rint(np.asarray(wav, np.float64) * 2.0 ** 31)
    whole = np.clip(scaled, -2.0 ** 31, 2.0 ** 31 - 1).astype(np.int64) >> 16
    return np.asarray(whole / 32768.0, np.float32)


class F5TTS:
    """Upstream's class. ckpt_file may also be a .f5 file. model: upstream's names, as "F5TTS_v1_Base".

    vocoder_local_path: a folder with config.yaml and pytorch_model.bin. hf_cache_dir: where the model hub's cache lies, in
    the layout of huggingface_hub. ode_method: "euler", "midpoint"; also "ab2".

    Raises FileError (OSError): a model or a file is not here; ArgumentError (ValueError); UnsupportedError."""

    def __init__(self, model: str = "F5TTS_v1_Base", ckpt_file: PathName = "", vocab_file: PathName = "",
                 ode_method: str = "euler", use_ema: bool = True, vocoder_local_path: Optional[PathName] = None,
                 device: Optional[str] = None, hf_cache_dir: Optional[PathName] = None) -> None:
        if ode_method not in METHODS:
            raise ArgumentError(f"ode_method is {ode_method!r}: {', '.join(METHODS)} it may be")
        self.ode_method, self.use_ema = ode_method, use_ema
        path: PathName = ckpt_file
        if not os.fspath(ckpt_file).endswith(".f5"):
            if not use_ema:
                raise UnsupportedError("use_ema=False: convert the checkpoint with `f5tts convert --weights model`, and give the "
                                       ".f5 file as ckpt_file")
            options = ["--model", str(model)]
            for name, value in (("--ckpt_file", ckpt_file), ("--vocab_file", vocab_file), ("--vocoder_folder", vocoder_local_path)):
                if value:
                    options += [name, _absolute(value)]
            path = find_model(*options, cache=None if hf_cache_dir is None else os.path.abspath(os.fspath(hf_cache_dir)))
        elif vocab_file or vocoder_local_path:
            raise ArgumentError("a .f5 file has its vocabulary and its vocoder: leave out vocab_file and vocoder_local_path")
        self.ema_model = Model(path, device=str(device) if device is not None else "auto", max_evaluations=MAX_EVALUATIONS)
        self.mel_spec_type = str(self.ema_model.info["vocoder"]).lower()
        self.target_sample_rate = self.ema_model.rate
        self.device = str(device) if device is not None else "cpu" if self.ema_model.info["device"] == "cpu" else "cuda"
        self.vocoder = self.ema_model
        self.seed: int = -1
        self._voices: OrderedDict[tuple[str, str, float], Voice] = OrderedDict()
        self._keeping = threading.Lock()
        self._heard: dict[str, str] = {}
        self._whisper: Any = None

    def transcribe(self, ref_audio: PathName, language: Optional[str] = None) -> str:
        """What a recording says, by Whisper (openai/whisper-large-v3-turbo) of the package transformers."""
        if self._whisper is None:
            try:
                transformers, torch = importlib.import_module("transformers"), importlib.import_module("torch")
            except ImportError as error:
                raise UnsupportedError("no ref_text is given, and what the recording says is heard by Whisper, which needs "
                                       f"`pip install transformers torch`: {error}") from None
            half = torch.cuda.is_available() and torch.cuda.get_device_capability()[0] >= 7
            self._whisper = transformers.pipeline("automatic-speech-recognition", model="openai/whisper-large-v3-turbo",
                                                  torch_dtype=torch.float16 if half else torch.float32,
                                                  device="cuda" if torch.cuda.is_available() else "cpu")
        samples, rate = read(ref_audio)
        said = self._whisper(dict(raw=samples.mean(axis=1), sampling_rate=rate), chunk_length_s=30, return_timestamps=False,
                             generate_kwargs={"task": "transcribe", **({"language": language} if language else {})})
        return str(said["text"]).strip()

    def export_wav(self, wav: npt.ArrayLike, file_wave: PathName, remove_silence: bool = False) -> None:
        """Writes samples [n] of 24 kHz, 16 bits in a WAV; the name's ending says which format."""
        written = sixteen_bits(wav)
        write(file_wave, _remove_silence(written) if remove_silence else written, self.target_sample_rate)

    def export_spectrogram(self, spec: npt.ArrayLike, file_spec: PathName) -> None:
        """Draws a mel [100,frames] into a PNG."""
        spectrogram(np.asarray(spec, np.float32).T, file_spec)

    def _voice(self, ref_file: PathName, ref_text: str, target_rms: float, show_info: Callable[..., Any]) -> Voice:
        """The recording as a voice; some are kept, as upstream keeps what it has made of them."""
        try:
            digest = hashlib.sha256(Path(ref_file).read_bytes()).hexdigest()
        except FileNotFoundError:
            raise FileNotFoundError(f"ref_file: {os.fspath(ref_file)} is not there") from None
        if not ref_text.strip():
            if digest not in self._heard:
                show_info("No reference text provided, transcribing reference audio...")
                self._heard[digest] = self.transcribe(ref_file)
            ref_text = self._heard[digest]
        key = (digest, ref_text, float(target_rms))
        found = self._voices.get(key)
        if found is None:
            show_info("Converting audio...")
            found = self.ema_model._opened(ref_file, ref_text, None, target_rms, False, "none", Keep())
        with self._keeping:
            self._voices[key] = found
            self._voices.move_to_end(key)
            while len(self._voices) > VOICES_KEPT:
                self._voices.popitem(last=False)  # closed when no thread speaks in it any more
        return found

    def infer(self, ref_file: PathName, ref_text: str, gen_text: str, show_info: Callable[..., Any] = print,
              progress: Any = _tqdm, target_rms: float = 0.1, cross_fade_duration: float = 0.15,
              sway_sampling_coef: Optional[float] = -1, cfg_strength: float = 2, nfe_step: int = 32, speed: float = 1.0,
              fix_duration: Optional[float] = None, remove_silence: bool = False, file_wave: Optional[PathName] = None,
              file_spec: Optional[PathName] = None, seed: Optional[int] = None, *,
              noise: Optional[npt.ArrayLike] = None) -> tuple[Optional[npt.NDArray[Any]], int, Optional[npt.NDArray[np.float32]]]:
        """Speaks gen_text in the voice of ref_file. Returns the wave [n] (float32; float64 where pieces are cross-faded, as
        upstream's), its rate 24000, and the mel [100,frames]; a text with nothing to say gives None, 24000, None.

        progress: what has a tqdm() of its own, or None. noise: [frames,100] initial states instead of the seed's.
        Raises what f5tts.Model's voice and speak raise."""
        if seed is None:
            seed = random.randint(0, sys.maxsize)
        self.seed = seed
        if not gen_text.strip():
            show_info("No text batches to generate.")
            return None, self.target_sample_rate, None
        options: dict[str, Any] = dict(
            nfe=nfe_step, cfg=cfg_strength, sway=sway_sampling_coef, method=self.ode_method, cross_fade=max(0.0, cross_fade_duration),
            seed=int(seed) % 2 ** 64, fix_duration=fix_duration, speed=None if speed == 1 else speed, normalize="none",
            chunking="upstream", brackets="text", exact=True, noise=noise)
        voice = self._voice(ref_file, ref_text, target_rms, show_info)
        count = len(self.ema_model.show_text(gen_text, voice, **options))
        show_info(f"Generating audio in {count} batches...")
        pieces: list[Chunk] = []

        def spoken() -> Any:
            for piece in self.ema_model.stream(gen_text, voice, **options):
                pieces.append(piece)
                if len(piece.mel):
                    yield piece

        bar = _tqdm() if progress is _tqdm else progress
        for _ in spoken() if bar is None else bar.tqdm(spoken(), total=count):
            pass
        wav: npt.NDArray[Any] = np.concatenate([piece.samples for piece in pieces])
        if count > 1 and cross_fade_duration > 0:
            wav = wav.astype(np.float64)
        spec = np.ascontiguousarray(np.concatenate([np.empty((0, self.ema_model.bands), np.float32), *(p.mel for p in pieces)]).T)
        if file_wave is not None:
            self.export_wav(wav, file_wave, remove_silence)
        if file_spec is not None:
            self.export_spectrogram(spec, file_spec)
        return wav, self.target_sample_rate, spec


_remove_silence = remove_silence  # which a parameter of upstream's hides
