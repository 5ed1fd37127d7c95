"""signals.py — recordings made of bursts of noise, for tests of silence detection. RandomState's stream is frozen by
NumPy, so that a seed means the same samples everywhere and a golden file need not hold them."""
import numpy as np

RATES = (11025, 16000, 22050, 24000, 44100, 48000)
SECONDS = (0.3, 2, 8, 13, 20, 30)
# lengths in seconds and levels in 16-bit rms; those at pydub's thresholds (103.6, 260.3, 327.7) among them
LENGTHS = (0.003, 0.05, 0.11, 0.3, 1.0, 1.3, 2.5, 7)
LEVELS = (0, 0, 1, 40, 103, 104, 150, 259, 261, 327, 329, 500, 3000, 12000)


def bursts(seed):
    """(rate, samples int16 [n,channels]) of a recording with noise and near-silence of all lengths and levels."""
    rng = np.random.RandomState(seed)
    rate, channels, total = RATES[rng.randint(len(RATES))], 1 + rng.randint(3) // 2, SECONDS[rng.randint(len(SECONDS))]
    parts, seconds = [], 0.0
    while seconds < total:
        length, level = LENGTHS[rng.randint(len(LENGTHS))], LEVELS[rng.randint(len(LEVELS))]
        n = int(length * rate) + rng.randint(30)
        parts.append(np.rint(rng.uniform(-1.732, 1.732, (n, channels)) * level))
        seconds += length
    return rate, np.clip(np.concatenate(parts), -32768, 32767).astype(np.int16)
