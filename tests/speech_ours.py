"""speech_ours.py — a case of speech_cases.py spoken by f5_speak."""
import contextlib
import ctypes

import numpy as np

import f5lib


def resample(pointer, n_in, rate_in, rate_out, out, capacity):
    """torchaudio's default, for f5_voice_params.resample."""
    import torch
    import torchaudio

    source = torch.from_numpy(np.ctypeslib.as_array(pointer, (n_in,)).copy())[None]
    result = torchaudio.transforms.Resample(rate_in, rate_out)(source)[0].numpy()[:capacity]
    ctypes.memmove(out, np.ascontiguousarray(result).ctypes.data, 4 * len(result))
    return len(result)


def voice(engine, description, recording, target_rms, keep_whole):
    samples, rate = recording
    function = None if rate == 24000 else lambda user, *rest: resample(*rest)
    return engine.voice(samples.astype(np.float32) / 32768, description["transcript"], rate, target_rms=target_rms,
                        keep_whole=int(keep_whole), resample=function)


def speak(engine, voice, case, noise, voices=()):
    """(wave float64, mel) of all pieces. A speed of 1 is upstream's default, which short chunks do not have: 0 here."""
    s = case["settings"]
    pieces, _ = engine.speak(voice, case["text"], noise=np.concatenate(noise), sample=dict(nfe=s["nfe"], cfg=s["cfg"]),
                             speed=0 if s["speed"] == 1 else s["speed"], cross_fade=s["cross_fade_duration"],
                             fix_duration=s["fix_duration"], normalize="none", voices=voices, exact=1)
    return np.concatenate([p[0] for p in pieces]).astype(np.float64), np.concatenate([p[1] for p in pieces])


def plain(engine, case, recordings, noise):
    """(wave, mel) of a case that has one voice."""
    with voice(engine, case["voices"]["main"], recordings["main"], case["settings"]["target_rms"], True) as handle:
        return speak(engine, handle, case, noise)


def tagged(engine, case, recordings, noise):
    """(wave, mel) of a case whose text has tags."""
    with contextlib.ExitStack() as stack:
        handles = {name: stack.enter_context(voice(engine, v, recordings[name], case["settings"]["target_rms"], False))
                   for name, v in case["voices"].items()}
        others = [(name, handles[name], v.get("speed", 0)) for name, v in case["voices"].items() if name != "main"]
        return speak(engine, handles["main"], case, noise, others)


def remove_silence(samples):
    """int16 -> int16"""
    return np.rint(f5lib.remove_silence(samples / np.float32(32768)) * 32768).astype(np.int16)


def edit(engine, case, recording, noise):
    """(wave, mel) of an edit; noise of the frames made."""
    samples, s = recording[0].astype(np.float32) / 32768, case["settings"]
    wave, mel, _ = engine.edit(samples, case["text"], case["edits"], exact=1, sample=dict(nfe=s["nfe"], cfg=s["cfg"]),
                               noise=noise, target_rms=s["target_rms"])
    return wave, mel
