"""likeness.py — how near a voice is to another: its melody, its upper band, and who a speaker embedding takes it for.

The embedding is none of ours: any Python file with a class `Embed(weights)` whose objects turn samples at 24 kHz into a
vector of length one, given by its path (Resemblyzer's network, Apache-2.0, is one that fits).
"""
import importlib.util

import numpy as np

from data import TARGET_RATE, resample

PITCH_RATE = 8000
LOWEST, HIGHEST = 60, 400  # Hz
VOICED = 0.55              # of the energy is periodic
BAND = 6000, 11000         # Hz
WINDOW = 1024
EMBEDDED = 5                # seconds of speech that an embedding is given, about


def pitch(samples):
    """Hz of every voiced stretch of 60 ms, by autocorrelation, octave errors left out."""
    x = resample(np.asarray(samples, float), len(samples) * PITCH_RATE // TARGET_RATE)
    size, step = PITCH_RATE * 60 // 1000, PITCH_RATE // 100
    if len(x) < size:
        return np.zeros(0)
    window = np.hanning(size)
    frames = np.lib.stride_tricks.sliding_window_view(x, size)[::step] * window
    energy = (frames ** 2).sum(axis=1)
    frames = frames[energy > max(energy.max() * 1e-3, 1e-9)]

    def autocorrelation(y):
        return np.fft.irfft(np.abs(np.fft.rfft(y, 2 * size)) ** 2)[..., :PITCH_RATE // LOWEST + 1]

    shape = autocorrelation(window)
    curve = autocorrelation(frames)
    curve = curve / curve[:, :1] / (shape / shape[0])
    shortest = PITCH_RATE // HIGHEST
    middle = curve[:, shortest:-1]
    peaks = (middle >= curve[:, shortest - 1:-2]) & (middle >= curve[:, shortest + 1:])
    # twice the period fits as well as the period: the first of the high peaks
    at = shortest + (peaks & (middle >= 0.9 * np.where(peaks, middle, 0).max(axis=1, keepdims=True))).argmax(axis=1)
    before, top, after = (curve[np.arange(len(at)), at + k] for k in (-1, 0, 1))
    bend = np.minimum(before - 2 * top + after, -1e-9)  # the peak lies between two lags
    hz = (PITCH_RATE / (at + np.clip((before - after) / (2 * bend), -0.5, 0.5)))[top > VOICED]
    if not len(hz):
        return hz
    usual = np.median(hz)
    return hz[(hz > usual / 1.8) & (hz < usual * 1.8)]


def melody(recordings):
    """(median in Hz, spread in semitones) over recordings of one speaker."""
    hz = np.concatenate([pitch(x) for x in recordings])
    return (float(np.median(hz)), float(12 * np.log2(hz / np.median(hz)).std())) if len(hz) else (0.0, 0.0)


def upper_band(recordings):
    """dB of the mean spectrum from 6 to 11 kHz, the whole being 0."""
    power = 0.0
    for x in recordings:
        x = np.pad(np.asarray(x, float), (0, max(0, WINDOW - len(x))))
        frames = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::WINDOW // 2] * np.hanning(WINDOW)
        power = power + (np.abs(np.fft.rfft(frames)) ** 2).sum(axis=0)
    low, high = (int(f * WINDOW / TARGET_RATE) for f in BAND)
    return float(10 * np.log10(power[low:high].sum() / power.sum() + 1e-12))


def embedder(file, weights):
    """An Embed(weights) of the class in that file."""
    spec = importlib.util.spec_from_file_location("speaker_embedding", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Embed(weights)


def joined(real, made, seconds=EMBEDDED):
    """Consecutive recordings joined to about so many seconds, of less an embedding tells little; two texts are left at least.
    (real, made, the seconds that it became)"""
    lengths = [len(x) / TARGET_RATE for recordings in real.values() for x in recordings]
    count = max(1, min([round(seconds / np.mean(lengths)), *(len(x) // 2 for x in (*real.values(), *made.values()))]))

    def join(voices):
        return {s: [np.concatenate(x[i:i + count]) for i in range(0, len(x) - count + 1, count)] for s, x in voices.items()}

    return join(real), join(made), count * float(np.mean(lengths))


def similarities(embed, real, made):
    """real, made: {speaker: [samples]} of the same sentences. (same, others, clone, right): the mean cosine of a speaker's
    own recordings of two sentences, of two speakers' recordings, {speaker: of what is made with a real recording of
    another sentence}, and {speaker: how many of it are nearest to that speaker's mean, of all real ones}."""
    true = {s: np.stack([embed(x) for x in recordings]) for s, recordings in real.items()}
    own = {s: np.stack([embed(x) for x in recordings]) for s, recordings in made.items()}

    def apart(a, b):
        """Mean over pairs of different sentences."""
        table = a @ b.T
        off = ~np.eye(len(a), len(b), dtype=bool)
        return float(table[off].mean()) if off.any() else float(table.mean())

    same = float(np.mean([apart(e, e) for e in true.values()]))
    others = [apart(a, b) for i, a in true.items() for j, b in true.items() if i != j]
    means = np.stack([e.mean(axis=0) / np.linalg.norm(e.mean(axis=0)) for e in true.values()])
    right = {s: int((np.array(list(true))[(e @ means.T).argmax(axis=1)] == s).sum()) for s, e in own.items()}
    return same, float(np.mean(others)) if others else 0.0, {s: apart(e, true[s]) for s, e in own.items()}, right


def print_sound(real, made):
    """Melody and upper band of what is made beside the real recordings. Returns {speaker: figures}."""
    rows = {s: dict(pitch=(melody(real[s]), melody(made[s])), band=(upper_band(real[s]), upper_band(made[s]))) for s in made}
    print("\n| voice | F0, Hz: real, ours | spread, semitones: real, ours | ratio | 6 to 11 kHz, dB: real, ours |\n" + "|---" * 5 + "|")
    for speaker, row in rows.items():
        (f, a), (g, b) = row["pitch"]
        print(f"| {speaker} | {f:.0f}, {g:.0f} | {a:.2f}, {b:.2f} | {b / max(a, 1e-9):.2f} | {row['band'][0]:.1f}, {row['band'][1]:.1f} |")
    return rows


def print_likeness(embed, real, made):
    real, made, seconds = joined(real, made)
    same, others, clone, right = similarities(embed, real, made)
    print(f"\nspeaker similarity, {seconds:.1f} s: same voice, another text {same:.3f}; two voices {others:.3f}; ours: "
          + ", ".join(f"{s} {value:.3f}" for s, value in clone.items())
          + f"; nearest to the prompted voice {sum(right.values())} of {sum(map(len, made.values()))}")
    return dict(same=same, others=others, clone=clone, right=right)
