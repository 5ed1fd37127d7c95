"""upstream_speech.py — upstream's own infer_process and command line on a random model, with noise handed out in order.

For compare_speech.py; needs upstream's packages on the path (README.md). Nothing of upstream is rewritten here: what it
imports and these runs do not need is a stand-in, its sound files are read by the standard library, its pool of threads
has one thread, so that chunks take their noise in order.
"""
import ast
import contextlib
import io
import json
import runpy
import sys
import types
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).resolve().parent)]
import compare_upstream  # noqa: E402

NOT_EXERCISED = ("transformers", "huggingface_hub", "hydra", "hydra.utils", "omegaconf", "cached_path", "unidecode",
                 "matplotlib", "matplotlib.pylab", "safetensors", "safetensors.torch")


class Anything(compare_upstream.Absent):
    """A stand-in whose members may be called and looked into."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name)

    def __call__(self, *_, **__):
        return Anything("result")


def read_wave(path):
    """What torchaudio.load gives for 16-bit WAV: float32 [channels,n] and the rate."""
    with wave.open(str(path), "rb") as w:
        data = np.frombuffer(w.readframes(w.getnframes()), "<i2").reshape(-1, w.getnchannels())
        return torch.from_numpy(data.T.astype(np.float32) / 32768), w.getframerate()


def write_wave(path, samples, rate):
    with wave.open(str(path), "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes(samples.astype("<i2").tobytes())


def sixteen_bits(wave):
    """As soundfile writes floats or doubles to 16-bit WAV: libsndfile clips at 32 bits and drops the lower half."""
    scaled = np.rint(wave.astype(np.float64) * 2.0**31)
    return (np.clip(scaled, -2**31, 2**31 - 1).astype(np.int64) >> 16).astype(np.int16)


class Upstream:
    def __init__(self):
        if not hasattr(torch, "xpu"):  # torch before 2.0
            torch.xpu = types.SimpleNamespace(is_available=lambda: False)
        for name in NOT_EXERCISED:
            sys.modules[name] = Anything(name)
        self.f5, self.vocos, _ = compare_upstream.import_upstream()
        import f5_tts.infer.utils_infer as infer
        import vocos.pretrained

        self.infer, self.pretrained = infer, vocos.pretrained
        infer.torchaudio = types.SimpleNamespace(load=read_wave, transforms=infer.torchaudio.transforms)
        self.edit_source = Path(infer.__file__).parent / "speech_edit.py"
        infer.ThreadPoolExecutor = lambda: ThreadPoolExecutor(max_workers=1)

    def model(self, made):
        """CFM and vocoder with a random checkpoint's weights (weights/random_checkpoint.py)."""
        c = made["config"]
        arch = {k: c[k] for k in ("dim", "depth", "heads", "ff_mult", "text_dim", "conv_layers", "text_mask_padding",
                                  "pe_attn_head")}
        chars = {token: i for i, token in enumerate(made["vocab"])}
        cfm = self.f5.CFM(transformer=self.f5.DiT(text_num_embeds=len(made["vocab"]), mel_dim=100, **arch),
                          mel_spec_kwargs=dict(n_fft=1024, hop_length=256, win_length=1024, n_mel_channels=100,
                                               target_sample_rate=24000, mel_spec_type="vocos"),
                          odeint_kwargs=dict(method="euler"), vocab_char_map=chars).eval()
        self.load(cfm, made["model"])
        backbone = self.vocos.models.VocosBackbone(input_channels=100, dim=c["vocos_dim"],
                                                   intermediate_dim=c["vocos_ff_dim"], num_layers=c["vocos_layers"])
        head = self.vocos.heads.ISTFTHead(dim=c["vocos_dim"], n_fft=1024, hop_length=256, padding=c["vocos_padding"])
        vocoder = self.pretrained.Vocos(torch.nn.Identity(), backbone, head).eval()
        self.load(vocoder, made["vocos"])
        return cfm, vocoder

    @staticmethod
    def load(module, arrays):
        result = module.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in arrays.items()}, strict=False)
        for key in result.missing_keys + result.unexpected_keys:
            assert key.startswith(("mel_spec.", "feature_extractor.")) or key.endswith("istft.window"), key

    @contextlib.contextmanager
    def noise(self, draw):
        """CFM.sample's torch.randn gives draw(chunk, frames); the list that is handed out gets the frames of each."""
        frames, original = [], torch.randn

        def randn(n, bands, **_):
            assert bands == 100
            frames.append(int(n))
            return torch.from_numpy(draw(len(frames) - 1, int(n)))

        torch.randn = randn
        try:
            yield frames
        finally:
            torch.randn = original

    def settings(self, case):
        s = case["settings"]
        return dict(target_rms=s["target_rms"], cross_fade_duration=s["cross_fade_duration"], nfe_step=s["nfe"],
                    cfg_strength=s["cfg"], speed=s["speed"], fix_duration=s["fix_duration"] or None)

    def process(self, case, model, recordings, draw):
        """infer_process -> (wave float64, mel [frames,100], frames of each chunk). Transcripts get upstream's ending."""
        voice, (samples, rate), folder = case["voices"]["main"], recordings["main"], recordings["folder"]
        write_wave(folder / "main.wav", samples, rate)
        text = voice["transcript"]
        if not text.endswith(". ") and not text.endswith("。"):  # preprocess_ref_audio_text's, which also cuts
            text += " " if text.endswith(".") else ". "
        with self.noise(draw) as frames, contextlib.redirect_stdout(io.StringIO()):
            out, rate, mel = self.infer.infer_process(str(folder / "main.wav"), text, case["text"], *model,
                                                      show_info=lambda *_: None, progress=None, device="cpu",
                                                      **self.settings(case))
        assert rate == 24000
        return np.asarray(out, np.float64), mel.T, frames

    def command_line(self, case, model, recordings, draw):
        """`f5-tts_infer-cli -c case.toml` -> (wave before it is written, float or double, frames of each chunk, the file: int16, rate)."""
        s, folder, written = case["settings"], recordings["folder"], []
        names = {"remove_silence": s["remove_silence"], "target_rms": s["target_rms"], "nfe_step": s["nfe"],
                 "cross_fade_duration": s["cross_fade_duration"], "cfg_strength": s["cfg"], "speed": s["speed"]}
        if s["fix_duration"]:
            names["fix_duration"] = s["fix_duration"]
        toml = "".join(f"{k} = {str(v).lower()}\n" for k, v in names.items())
        toml += f'gen_file = "{folder}/text.txt"\noutput_dir = "{folder}"\noutput_file = "out.wav"\n'
        (folder / "text.txt").write_bytes(case["text"].encode())
        for name, voice in case["voices"].items():
            write_wave(folder / f"{name}.wav", *recordings[name])
            toml += f'\n[voices."{name}"]\n' if name != "main" else ""
            toml += f'ref_audio = "{folder}/{name}.wav"\nref_text = {quoted(voice["transcript"])}\n'
            toml += f'speed = {voice["speed"]}\n' if "speed" in voice else ""
        (folder / "case.toml").write_text(toml, encoding="utf-8")
        sys.modules["omegaconf"].OmegaConf = types.SimpleNamespace(load=lambda _: types.SimpleNamespace(
            model=types.SimpleNamespace(backbone="DiT", arch={}, mel_spec=types.SimpleNamespace(
                mel_spec_type="vocos"))))
        import soundfile

        write, arguments = soundfile.write, ["infer_cli", "-c", str(folder / "case.toml"), "-m", "F5TTS_v1_Base", "-p",
                                             "unused.safetensors", "--device", "cpu"]

        def keep(file, data, rate):
            written.append(np.array(data))
            write(file, data, rate)

        with contextlib.ExitStack() as stack:
            for owner, name, value in ((self.infer, "load_model", lambda *_, **__: model[0]),
                                       (self.infer, "load_vocoder", lambda *_, **__: model[1]),
                                       (soundfile, "write", keep), (sys, "argv", arguments)):
                stack.enter_context(mock.patch.object(owner, name, value))
            frames = stack.enter_context(self.noise(draw))
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            runpy.run_module("f5_tts.infer.infer_cli", run_name="__main__")
        with wave.open(str(folder / "out.wav"), "rb") as w:
            saved = np.frombuffer(w.readframes(w.getnframes()), "<i2"), w.getframerate()
        return written[-1], frames, saved

    def edit(self, case, model, recordings, draw):
        """speech_edit.py with other values in its settings -> (wave, mel [frames,100], frames)."""
        folder, s, tree = recordings["folder"], case["settings"], ast.parse(self.edit_source.read_text("utf-8"))
        write_wave(folder / "main.wav", *recordings["main"])
        values = dict(audio_to_edit=str(folder / "main.wav"), target_text=case["text"], output_dir=str(folder),
                      parts_to_edit=[[start, end] for start, end, _ in case["edits"]], seed=None, device="cpu",
                      fix_duration=[d if d else end - start for start, end, d in case["edits"]], nfe_step=s["nfe"],
                      cfg_strength=s["cfg"], target_rms=s["target_rms"])
        for node in tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) in values:
                node.value = ast.parse(repr(values[node.targets[0].id]), mode="eval").body
        mel_spec = types.SimpleNamespace(mel_spec_type="vocos", target_sample_rate=24000, n_mel_channels=100,
                                         hop_length=256, win_length=1024, n_fft=1024)
        config = types.SimpleNamespace(datasets=types.SimpleNamespace(name=""), model=types.SimpleNamespace(
            tokenizer="pinyin", backbone="DiT", arch={}, mel_spec=mel_spec))
        sys.modules["omegaconf"].OmegaConf = types.SimpleNamespace(load=lambda _: config)
        sys.modules["hydra.utils"].get_class = lambda _: lambda **__: model[0].transformer
        import f5_tts.model.utils as utils
        import torchaudio

        with contextlib.ExitStack() as stack:
            for owner, name, value in (
                    (self.infer, "load_checkpoint", lambda *_, **__: model[0]),
                    (self.infer, "load_vocoder", lambda *_, **__: model[1]),
                    (self.infer, "save_spectrogram", lambda *_: None), (utils, "get_tokenizer", lambda *_: (None, 1)),
                    (torchaudio, "load", read_wave), (torchaudio, "save", lambda *_: None)):
                stack.enter_context(mock.patch.object(owner, name, value, create=True))
            frames = stack.enter_context(self.noise(draw))
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            namespace = {"__name__": "speech_edit"}
            exec(compile(ast.fix_missing_locations(tree), str(self.edit_source), "exec"), namespace)
        return namespace["generated_wave"][0].double().numpy(), namespace["generated"][0].numpy(), frames


def quoted(text):
    """A basic string of TOML."""
    return json.dumps(text, ensure_ascii=False)
