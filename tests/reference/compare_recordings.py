#!/usr/bin/env python3
"""Recordings in 20 formats, at three rates and channels each, made by ffmpeg: what upstream's preprocessing makes of them
(ffmpeg, pydub, torchaudio) against what the library makes of them, in frames and in the mel.

Run by hand; not part of `make test`. Needs ffmpeg, and in SITE f5-tts, pydub, torchaudio and soundfile (README.md):
    PYTHONPATH=SITE /usr/bin/python3 -W ignore tests/reference/compare_recordings.py --lib build/lib/libf5tts_test.so

Both sides get the same mel (torchaudio's, as upstream's): what is compared is the clip at 24 kHz. Where the decoder is
exact the bar is 1e-5, else 3e-3, relative L2 of the mel, in the bands that the recording's rate fills. Bands above its
Nyquist frequency hold the rounding noise of float32 on either side and little else; all bands are printed too.
Upstream's own sums in float32 are up to 1.4e-5 away from sums of the same products in double, where a clip has almost
nothing in its highest bands. The bar is held against the sums in double; the distance of upstream's and of ours from
them is printed, and that between the two.
Below 11025 Hz pydub's appended silence would raise the rate by linear interpolation, which we leave out on purpose: there
the silence is given the recording's rate on upstream's side.

--golden writes tests/data/recordings_golden.json: a few files that need no ffmpeg, which `make test` looks at.
"""
import argparse
import contextlib
import ctypes
import hashlib
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/reference"), str(ROOT / "tests")]
from compare_tokenizer import upstream_function  # noqa: E402
import recording_cases  # noqa: E402
from recordings_lib import prepared, voice_samples, write  # noqa: E402

# name, arguments of ffmpeg, whether the decoder is exact, rates and channels
PCM_RATES = [(16000, 1), (22050, 2), (44100, 1), (48000, 2), (8000, 1), (32000, 1), (24000, 2), (96000, 1), (11025, 1)]
FORMATS = [
    ("16.wav", "-c:a pcm_s16le", True), ("24.wav", "-c:a pcm_s24le", True), ("32.wav", "-c:a pcm_s32le", True),
    ("f32.wav", "-c:a pcm_f32le", True),  ("8.wav", "-c:a pcm_u8", True),
    ("16.aiff", "-c:a pcm_s16be", True), ("24.aiff", "-c:a pcm_s24be", True), ("16.flac", "-sample_fmt s16", True),
    ("32f.caf", "-c:a pcm_f32be", True), ("24.flac", "-sample_fmt s32 -bits_per_raw_sample 24", True), ("16.caf", "-c:a pcm_s16be", True), ("16.au", "", True),
    ("16.w64", "", True), ("alac.m4a", "-c:a alac", True), ("x.mp3", "-b:a 128k", False), ("aac.m4a", "-c:a aac", False),
    ("x.aac", "-c:a aac", False), ("x.webm", "-c:a libopus", False), ("x.ogg", "-c:a libvorbis", False),
    ("x.opus", "-c:a libopus", False), ("x.wma", "-c:a wmav2", False)]
LOSSY_RATES = {"x.webm": [(48000, 1), (24000, 2), (16000, 1)], "x.opus": [(48000, 1), (24000, 2), (16000, 1)]}


def theirs(preprocess, path, rate):
    """Upstream's clip at 24 kHz: as it makes it, and with the sums of its resampler in double."""
    from pydub import AudioSegment
    silent = AudioSegment.silent
    if rate < 11025:
        AudioSegment.silent = lambda duration: silent(duration, frame_rate=rate)
    with contextlib.redirect_stdout(io.StringIO()):
        made, _ = preprocess(str(path), "x. ", show_info=lambda *a: None)
    AudioSegment.silent = silent
    samples, sr = soundfile.read(made, dtype="float32", always_2d=True)
    Path(made).unlink()
    audio = torch.from_numpy(samples.T.copy())
    if audio.shape[0] > 1:
        audio = audio.mean(dim=0, keepdim=True)
    rms = torch.sqrt(torch.mean(torch.square(audio)))
    if rms < 0.1:
        audio = audio * 0.1 / rms
    if sr == 24000:
        return audio[0].numpy(), audio[0].double().numpy()
    resample = torchaudio.transforms.Resample(sr, 24000)
    made = resample(audio)[0].numpy()
    resample.kernel = resample.kernel.double()  # the same numbers
    return made, resample(audio.double())[0].numpy()


def mel(samples):
    spectrum = torchaudio.transforms.MelSpectrogram(sample_rate=24000, n_fft=1024, win_length=1024, hop_length=256,
                                                    n_mels=100, power=1, center=True, normalized=False, norm=None).double()
    return spectrum(torch.from_numpy(samples.astype(np.float64))).clamp(min=1e-5).log().numpy()


def distance(a, b):
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def write_golden(preprocess, lib, folder):
    """Upstream's clips of the cases; ours must be as near as those of the other formats."""
    made, bad = {}, 0
    for name, (code, rate, _) in recording_cases.CASES.items():
        path = folder / name
        write(path, recording_cases.samples_of(name, voice_samples()), code, rate)
        (want, _), got = theirs(preprocess, path, rate), prepared(lib, path)
        difference = float(np.abs(want - got).max()) if len(want) == len(got) else float("inf")
        bad += difference > 1e-6
        print(f"{name:<12} {len(want)} samples, ours differ by at most {difference:.1e}")
        made[name] = {k: [round(float(x), 9) for x in v] if k == "at" else v
                      for k, v in recording_cases.kept(want).items()}
    recording_cases.GOLDEN.write_text(json.dumps(made, separators=(",", ":")) + "\n")
    return 1 if bad else 0


def centres():
    """Middle frequencies of the 100 bands."""
    top = 2595 * np.log10(1 + 12000 / 700)
    return 700 * (10 ** (np.arange(1, 101) * top / 101 / 2595) - 1)


def source(folder, seed):
    """Two sentences of two voices with a pause between them and a quiet hiss, 48 kHz float, louder than full scale never."""
    rng = np.random.default_rng(seed)
    voices = ["slt", "rms", "awb"]
    parts = []
    for name in rng.permutation(voices)[:2]:
        x, sr = soundfile.read(ROOT / f"weights/voices/{name}.wav", dtype="float32")
        parts += [torchaudio.transforms.Resample(sr, 48000)(torch.from_numpy(x)).numpy(),
                  np.zeros(int(48000 * rng.uniform(0.1, 1.5)), np.float32)]
    x = np.concatenate(parts) * np.float32(rng.uniform(0.1, 0.9))
    x = x + rng.standard_normal(len(x)).astype(np.float32) * np.float32(10 ** rng.uniform(-4.5, -3))
    path = folder / f"source{seed}.wav"
    soundfile.write(path, x, 48000, subtype="FLOAT")
    return path


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lib", default="build/lib/libf5tts_test.so")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--golden", action="store_true", help="write what make test holds the library to, and nothing else")
    args = p.parse_args()
    import f5_tts
    from pydub import AudioSegment, silence
    module = Path(list(f5_tts.__path__)[0]) / "infer/utils_infer.py"
    namespace = {"AudioSegment": AudioSegment, "silence": silence, "hashlib": hashlib, "tempfile": tempfile,
                 "tempfile_kwargs": {"delete": False}, "_ref_audio_cache": {}, "_ref_text_cache": {}}
    upstream_function(module, "remove_silence_edges", namespace)
    preprocess = upstream_function(module, "preprocess_ref_audio_text", namespace)
    lib = ctypes.CDLL(args.lib)
    if args.golden:
        with tempfile.TemporaryDirectory() as folder:
            return write_golden(preprocess, lib, Path(folder))
    bad = count = 0
    worst = {True: 0.0, False: 0.0}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for i, (name, arguments, exact) in enumerate(FORMATS):
            rates = LOSSY_RATES.get(name) or [PCM_RATES[(3 * i + k) % (len(PCM_RATES) if exact else 4)] for k in range(3)]
            for k, (rate, channels) in enumerate(rates):
                path = folder / f"{k}{name}"
                pan = ["-af", "pan=stereo|c0=c0|c1=0.6*c0"] if channels == 2 else []
                subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", source(folder, args.seed * 1000 + 3 * i + k), *pan,
                                "-ar", str(rate), *arguments.split(), path], check=True)
                if name == "f32.wav":  # ffmpeg writes another header, of which pydub takes the floats for integers
                    soundfile.write(path, *soundfile.read(path, dtype="float32"), subtype="FLOAT")
                count += 1
                (want, exact_sums), got = theirs(preprocess, path, rate), prepared(lib, path)
                if len(want) != len(got):
                    bad += 1
                    print(f"DIFFERENT {path.name} {rate} Hz {channels} channels: {len(got)} samples, upstream {len(want)}")
                    continue
                a, b, c = mel(got), mel(want), mel(exact_sums)
                filled = slice(0, int(np.searchsorted(centres(), 0.95 * rate / 2)))
                heard = distance(a[filled], c[filled])
                worst[exact] = max(worst[exact], heard)
                high = heard > (1e-5 if exact else 3e-3)
                bad += high
                print(f"{'HIGH ' if high else ''}{path.name:<12} {rate:>6} Hz {channels}: {len(got) // 256} frames, mel {heard:.1e} "
                      f"(upstream's own rounding {distance(b[filled], c[filled]):.1e}, between the two {distance(a[filled], b[filled]):.1e}, "
                      f"all bands {distance(a, b):.1e})", flush=True)
    print(f"{count - bad} of {count} within the bars; worst mel {worst[True]:.1e} exact, {worst[False]:.1e} lossy")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
