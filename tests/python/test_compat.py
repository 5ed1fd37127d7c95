"""f5tts.compat.F5TTS: upstream's signature, types and files. Its samples are held against upstream's own class by
tests/reference/compare_compat.py, by hand; here against the package's own speech."""
import inspect
import os
import subprocess
import sys
import types

import numpy as np
import pytest

import convert_lib
from recordings_lib import VOICE, WORDS

# of f5_tts 1.1.22, api.py
CONSTRUCTOR = dict(model="F5TTS_v1_Base", ckpt_file="", vocab_file="", ode_method="euler", use_ema=True, vocoder_local_path=None,
                   device=None, hf_cache_dir=None)
INFER = dict(target_rms=0.1, cross_fade_duration=0.15, sway_sampling_coef=-1, cfg_strength=2, nfe_step=32, speed=1.0,
             fix_duration=None, remove_silence=False, file_wave=None, file_spec=None, seed=None)
QUIET = dict(show_info=lambda *_: None, progress=None, nfe_step=2)


@pytest.fixture(scope="module")
def speaker(f5tts, model):
    from f5tts.compat import F5TTS
    return F5TTS(ckpt_file=str(model), device="cpu")


def parameters(function):
    return {name: p.default for name, p in inspect.signature(function).parameters.items() if name != "self"}


def test_the_signature_is_upstreams(speaker):
    assert list(parameters(type(speaker)).items()) == list(CONSTRUCTOR.items())
    infer = parameters(speaker.infer)
    assert list(infer)[:5] == ["ref_file", "ref_text", "gen_text", "show_info", "progress"] and infer["show_info"] is print
    assert list(infer.items())[5:-1] == list(INFER.items()), "and `noise`, by name only"
    assert list(parameters(speaker.transcribe).items()) == [("ref_audio", inspect.Parameter.empty), ("language", None)]
    assert list(parameters(speaker.export_wav)) == ["wav", "file_wave", "remove_silence"]
    assert list(parameters(speaker.export_spectrogram)) == ["spec", "file_spec"]
    assert (speaker.target_sample_rate, speaker.mel_spec_type, speaker.device, speaker.use_ema) == (24000, "vocos", "cpu", True)


def test_it_speaks(speaker, f5tts, tmp_path):
    told, bars = [], []
    bar = types.SimpleNamespace(tqdm=lambda items, total: (bars.append(total), items)[1])
    text = "One sentence is here. " * 16
    wav, rate, spec = speaker.infer(str(VOICE), WORDS, text, show_info=told.append, progress=bar, nfe_step=2, seed=7,
                                    file_wave=str(tmp_path / "a.wav"), file_spec=str(tmp_path / "a.png"))
    assert rate == 24000 and wav.ndim == 1 and wav.dtype == np.float64 and speaker.seed == 7
    assert spec.dtype == np.float32 and spec.shape[0] == 100 and spec.flags.c_contiguous
    assert bars == [int(told[-1].split()[3])] and bars[0] > 1, told
    mine = speaker.ema_model.speak(text, next(iter(speaker._voices.values())), seed=7, nfe=2, exact=True, normalize="none",
                                   chunking="upstream", brackets="text")
    assert np.array_equal(wav, mine.samples) and np.array_equal(spec.T, mine.mel)
    written, _ = f5tts.read(tmp_path / "a.wav")
    assert len(written) == len(wav) and np.abs(written[:, 0] - np.clip(wav, -1, 1)).max() <= 1 / 32768
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    wav, _, _ = speaker.infer(str(VOICE), WORDS, "Short one here.", **QUIET)
    assert wav.dtype == np.float32 and 0 <= speaker.seed <= sys.maxsize and len(speaker._voices) == 1
    assert speaker.infer(str(VOICE), WORDS, " \n", **QUIET) == (None, 24000, None)


def test_silence_is_removed_of_the_file(speaker, f5tts, tmp_path):
    wav = np.zeros(24000 * 4, np.float32)
    wav[:24000] = wav[-24000:] = np.sin(np.arange(24000) / 9) * 0.3
    speaker.export_wav(wav, tmp_path / "all.wav")
    speaker.export_wav(wav, tmp_path / "less.wav", remove_silence=True)
    lengths = [len(f5tts.read(tmp_path / name)[0]) for name in ("all.wav", "less.wav")]
    assert lengths == [4 * 24000, 3 * 24000]


def test_what_is_refused(speaker, f5tts, model, tmp_path, monkeypatch):
    from f5tts.compat import F5TTS
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    refused = [
        (OSError, "f5tts pull F5TTS_v1_Base", lambda: F5TTS(device="cpu")),
        (OSError, "f5tts pull", lambda: F5TTS("F5TTS_v1_Base", hf_cache_dir=tmp_path / "none", device="cpu")),
        (OSError, "none.pt", lambda: F5TTS(ckpt_file=str(tmp_path / "none.pt"), device="cpu")),
        (OSError, "none", lambda: F5TTS(vocoder_local_path=str(tmp_path / "none"), device="cpu")),
        (ValueError, "ode_method", lambda: F5TTS(ckpt_file=str(model), ode_method="rk4")),
        (ValueError, "leave out", lambda: F5TTS(ckpt_file=str(model), vocab_file="v.txt")),
        (NotImplementedError, "--weights model", lambda: F5TTS(use_ema=False)),
        (ValueError, "mps", lambda: F5TTS(ckpt_file=str(model), device="mps")),
        (OSError, "ref_file", lambda: speaker.infer("none.wav", WORDS, "Hello.", **QUIET)),
        (ValueError, "fix_duration|seconds", lambda: speaker.infer(str(VOICE), WORDS, "Hello there.", fix_duration=1.0, **QUIET)),
    ]
    for kind, message, call in refused:
        with pytest.raises(kind, match=message):
            call()


def test_it_hears_where_whisper_is(speaker, monkeypatch):
    with monkeypatch.context() as m:
        m.setitem(sys.modules, "transformers", None)
        with pytest.raises(NotImplementedError, match="pip install transformers"):
            speaker.infer(str(VOICE), "", "Hello there.", **QUIET)
    calls = []

    def pipeline(task, **settings):
        return lambda audio, **how: (calls.append((task, audio, how)), {"text": f" {WORDS} "})[1]

    monkeypatch.setitem(sys.modules, "transformers", types.SimpleNamespace(pipeline=pipeline))
    for _ in range(2):
        wav, _, _ = speaker.infer(str(VOICE), "  ", "Hello there.", **QUIET)
    (task, audio, how), = calls
    assert len(wav) > 1000 and audio["sampling_rate"] == 24000 and audio["raw"].ndim == 1 and how["chunk_length_s"] == 30
    assert speaker.transcribe(VOICE, "english") == WORDS and calls[-1][2]["generate_kwargs"]["language"] == "english"
    speaker._whisper = None


def test_upstreams_files_become_a_model(f5tts, tmp_path, seed):
    """What the constructor asks the program: once converted, found again."""
    made = convert_lib.rc.make_checkpoint(tmp_path / "made", arch="tiny", seed=seed)
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_DATA_HOME": str(tmp_path / "data"),
                   "HF_HUB_CACHE": str(tmp_path / "hub")}
    command = [convert_lib.program(), "models", "--path", "-p", made["checkpoint"], "-v", made["vocab_path"], "-mc", made["yaml"],
               "--vocoder_folder", os.path.dirname(made["vocos_config"])]
    first, second = (subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600) for _ in range(2))
    assert first.returncode == 0 and first.stdout == second.stdout, first.stderr
    assert "becomes" in first.stderr and "becomes" not in second.stderr
    path = first.stdout.rstrip("\n")
    assert path.startswith(str(tmp_path / "cache"))
    assert f5tts.Model(path, device="cpu", max_frames=512).info["dim"] == made["config"]["dim"]
    for wrong, message in ((["-m", "x"], "--path"), (["--path", "--vocoder_folder", "none"], "none")):
        done = subprocess.run([command[0], "models", *wrong], capture_output=True, text=True, env=environment, timeout=600)
        assert done.returncode != 0 and message in done.stderr and done.stdout == ""
