"""loss_plot.py — the losses of a fine-tune as a picture: each update pale, their running mean dark, the validation's red.

A PNG is written here, byte by byte, as tests/png.py reads it: deflated rows of 8-bit RGB.
"""
import math
import struct
import zlib

import numpy as np

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 1000, 420, 64, 28, 12, 16
GLYPHS = {  # rows of three dots
    "0": "75557", "1": "26227", "2": "71747", "3": "71717", "4": "55711", "5": "74717", "6": "74757", "7": "71111",
    "8": "75757", "9": "75717", ".": "00002", "-": "00700"}
PALE, DARK, RED, GREY, BLACK = (190, 208, 232), (30, 70, 150), (200, 40, 40), (225, 225, 225), (60, 60, 60)
SMOOTHED = 0.05  # of the updates shown: the running mean's length


def png(pixels):
    """[height,width,3] uint8 -> bytes."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)) + chunk(b"IEND", b""))


def write(pixels, x, y, text):
    """Digits twice their size, x and y the upper left corner."""
    for character in text:
        for row, bits in enumerate(GLYPHS[character]):
            for column in range(3):
                if int(bits, 16) >> (2 - column) & 1:
                    pixels[y + 2 * row:y + 2 * row + 2, x + 2 * column:x + 2 * column + 2] = BLACK
        x += 8


def ticks(low, high, most):
    """Round numbers between."""
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * k for k in (1, 2, 5, 10) if size * k >= rough * (1 - 1e-9))
    return [step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)], step


def line(pixels, xs, ys, colour, thick=1):
    for (x0, y0), (x1, y1) in zip(zip(xs, ys), zip(xs[1:], ys[1:])):
        count = max(abs(x1 - x0), abs(y1 - y0)) + 1
        for x, y in zip(np.linspace(x0, x1, count).round().astype(int), np.linspace(y0, y1, count).round().astype(int)):
            pixels[y:y + thick, x:x + thick] = colour


def losses(training, validation):
    """training, validation: [(update, loss)] -> PNG. None where there is nothing to show."""
    training = [(u, v) for u, v in training if math.isfinite(v)]
    validation = [(u, v) for u, v in validation if math.isfinite(v)]
    if not training:
        return None
    updates, values = (np.array(column, float) for column in zip(*training))
    length = max(1, int(SMOOTHED * len(values)))
    sums = np.concatenate([[0], values.cumsum()])
    begin = np.maximum(np.arange(1, len(sums)) - length, 0)
    smooth = (sums[1:] - sums[begin]) / (np.arange(1, len(sums)) - begin)
    shown = np.concatenate([values if len(values) < 20 else np.percentile(values, [1, 99]), smooth, [v for _, v in validation]])
    low, high = shown.min(), shown.max()
    pad = max(0.05 * (high - low), 1e-3 * abs(high), 1e-9)
    low, high, first, last = low - pad, high + pad, 0.0, max(updates.max(), 1.0)
    pixels = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)

    def across(u):
        return int(LEFT + (u - first) / (last - first) * (WIDTH - LEFT - RIGHT - 2))

    def down(v):
        return int(TOP + (high - min(max(v, low), high)) / (high - low) * (HEIGHT - TOP - BOTTOM - 2))

    marks, step = ticks(low, high, 6)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    for v in marks:
        pixels[down(v), LEFT:WIDTH - RIGHT] = GREY
        text = f"{v:.{digits}f}"
        if len(text) <= 7:
            write(pixels, LEFT - 6 - 8 * len(text), min(max(down(v) - 5, 0), HEIGHT - 10), text)
    for u in ticks(first, last, 8)[0]:
        if u == int(u):
            pixels[TOP:HEIGHT - BOTTOM, across(u)] = GREY
            text = str(int(u))
            write(pixels, min(max(across(u) - 4 * len(text), 0), WIDTH - 8 * len(text)), HEIGHT - BOTTOM + 8, text)
    drawn = np.unique(np.linspace(0, len(updates) - 1, min(len(updates), WIDTH)).astype(int))
    for row, colour, thick in ((values, PALE, 1), (smooth, DARK, 2)):
        line(pixels, [across(u) for u in updates[drawn]], [down(v) for v in row[drawn]], colour, thick)
    if validation:
        xs, ys = [across(u) for u, _ in validation], [down(v) for _, v in validation]
        line(pixels, xs, ys, RED)
        for x, y in zip(xs, ys):
            pixels[max(y - 2, 0):y + 3, max(x - 2, 0):x + 3] = RED
    return png(pixels)
