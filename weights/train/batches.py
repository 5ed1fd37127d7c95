"""batches.py — shards on the device as mels, and batches of joined pairs in the layout of inference.

A sequence of N frames is  prompt | 50 ms of silence | new speech | about 3 frames of silence,  and its text is
"prompt text.  new text." (the engine ends a transcript by a full stop and two blanks). The engine's mel of the prompt
ends one frame past the silence and knows nothing of the speech after it; so it is shown here.
"""
import math
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/reference"))
import model as reference  # noqa: E402

from dit import MEL, letter_shown, text_room  # noqa: E402

LENGTHS = (448, 704, 1056)  # frames of a sequence: 5 to 11 s
FRAMES = 13900                   # of a batch, about
GAP = 5                          # frames of silence that the engine appends to a prompt
SLACK = 8                        # frames at the end that may be left over
SILENCE = math.log(1e-5)
AUDIO_DROP, TEXT_DROP = 0.3, 0.2
LETTERS_PER_UNIT = 4.0           # of Batch.ahead
AT_ONCE = 8192                   # frames


class Mel:
    """audio [n] float, zeros assumed around -> [n / 256 + 1, 100], AT_ONCE frames at a time"""

    def __init__(self, device):
        self.window, self.bank = (f(torch.float32, device) for f in (reference.hann, reference.mel_bank))

    def __call__(self, audio):
        x = F.pad(audio, (reference.FFT // 2, reference.FFT // 2))
        parts = [(torch.fft.rfft(frames * self.window).abs() @ self.bank).clamp(min=1e-5).log()
                 for frames in x.unfold(0, reference.FFT, reference.HOP).split(AT_ONCE)]
        return torch.cat(parts)


@dataclass
class Batch:
    state: torch.Tensor   # [B,N,100] the mel at time t between noise and speech
    target: torch.Tensor  # [B,N,100] the velocity there
    cond: torch.Tensor    # [B,N,100] what is shown of the speech, else 0
    mask: torch.Tensor    # [B,N] 1: to be spoken
    t: torch.Tensor       # [B]
    ids: torch.Tensor     # [B,T] letters, 0: filler
    n: torch.Tensor       # [B] how many letters
    null: torch.Tensor    # [B] text withheld
    phone: torch.Tensor   # [B,N] which is due
    ahead: torch.Tensor   # [B,N] by how many letters the speech is ahead of the spread text, / LETTERS_PER_UNIT

    def tensors(self):
        return list(vars(self).values())

    def copy_(self, other):
        for mine, theirs in zip(self.tensors(), other.tensors()):
            mine.copy_(theirs)


class Store:
    """Everything loaded so far. Row 0 of `mels` is silence."""

    def __init__(self, device, capacity_frames):
        self.device, self.mel = device, Mel(device)
        self.mels = torch.full((capacity_frames, MEL), SILENCE, dtype=torch.float16, device=device)
        self.phone = torch.zeros(capacity_frames, dtype=torch.uint8, device=device)
        self.letter = torch.zeros(capacity_frames, dtype=torch.float16, device=device)
        self.text = torch.zeros(capacity_frames // 2, dtype=torch.uint8, device=device)
        self.used, self.used_text, self.utterances = 1, 0, 0
        self.loaded = set()
        self.rows = []                              # numpy [u,4] of every shard: start, frames, text start, letters
        self.pair_parts = {n: [] for n in LENGTHS}
        self.table, self.pairs = None, {}

    def add(self, path):
        """Loads a shard; False if there is no room."""
        z = np.load(path)
        frames, letters = z["frames"].astype(np.int64), z["letters"].astype(np.int64)
        blocks = frames + 3  # from one frame before the speech to one after the frame that follows it
        if self.used + blocks.sum() > len(self.mels) or self.used_text + letters.sum() > len(self.text):
            return False
        text_start = self.used_text + np.cumsum(letters) - letters
        first = np.cumsum(blocks) - blocks
        rows = np.stack([self.used + first, frames, text_start, letters], axis=1)
        # a hop of silence, the speech, two hops of silence: no window reaches from one block into another's speech
        source = np.cumsum(frames) - frames
        at = np.repeat(first + 1 - source, frames) + np.arange(frames.sum())
        hops = np.zeros((blocks.sum(), reference.HOP), np.int16)
        hops[at] = z["audio"].reshape(-1, reference.HOP)
        phone, letter = np.zeros(len(hops), np.uint8), np.repeat(letters, blocks).astype(np.float16)
        phone[at], letter[at], letter[first] = z["phone"], z["letter"], z["letter"][source]
        end = self.used + len(hops)
        self.mels[self.used:end] = self.mel(torch.from_numpy(hops.ravel()).to(self.device).float() / 32767)[:len(hops)]
        self.phone[self.used:end] = torch.from_numpy(phone)
        self.letter[self.used:end] = torch.from_numpy(letter)
        text = z["text"]
        self.text[self.used_text:self.used_text + len(text)] = torch.from_numpy(text.copy())
        full_stop = text[np.cumsum(letters) - 1] == ord(".")
        self._pair(rows, z["session"], full_stop)
        self.used, self.used_text = end, self.used_text + len(text)
        self.rows.append(rows)
        self.utterances += len(rows)
        return True

    def _pair(self, rows, session, full_stop):
        for s in np.unique(session):
            u = np.flatnonzero(session == s)
            f, n = rows[u, 1], rows[u, 3]
            prompt = full_stop[u] & (f >= 140) & (f <= 640)
            total = f[:, None] + GAP + f[None, :]
            for length in LENGTHS:
                left = length - total
                fits = (left >= 0) & (left <= SLACK) & prompt[:, None] & (f >= 24)[None, :]
                fits &= n[:, None] + 2 + n[None, :] <= text_room(length) - 8
                np.fill_diagonal(fits, False)
                i, j = np.nonzero(fits)
                self.pair_parts[length].append(np.stack([u[i], u[j]], axis=1) + self.utterances)

    def finish(self):
        """After adding: what batches are drawn from."""
        self.table = torch.from_numpy(np.concatenate(self.rows)).to(self.device)
        self.pairs = {n: torch.from_numpy(np.concatenate(p)).to(self.device) for n, p in self.pair_parts.items()}

    def load_new(self, directory, mine, limit=8):
        """Adds up to `limit` new shards whose number satisfies mine(number). True if something came. One that cannot be
        read is told once and left out."""
        new, looked = [], sorted(p for p in Path(directory).glob("*.npz") if p not in self.loaded and mine(int(p.stem)))[:limit]
        for path in looked:
            try:
                if not self.add(path):
                    continue  # no room
                new.append(path)
            except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
                print(f"{path} is left out: {error}", flush=True)
            self.loaded.add(path)
        if new:
            self.finish()
        return bool(new)

    # ---- batches

    def can_validate(self):
        return len(self.pairs.get(LENGTHS[1], ())) > 0

    def joined(self, pairs, length):
        """pairs [B,2] -> mel [B,N,100], cond frames [B], ids, n, phone, ahead"""
        a, b = self.table[pairs[:, 0]], self.table[pairs[:, 1]]
        m = torch.arange(length, device=self.device).unsqueeze(0)
        fa, fb = a[:, 1:2], b[:, 1:2]
        first = m < fa + 2
        at = m - (fa + GAP - 1)  # row of the second block
        second = (at >= 0) & (at < fb + 3)
        row = torch.where(first, a[:, 0:1] + 1 + m, torch.where(second, b[:, 0:1] + at, torch.zeros_like(m)))
        na, nb = a[:, 3:4], b[:, 3:4]
        letter = torch.where(first, self.letter[row].float(),
                             torch.where(second, self.letter[row] + na + 2.0,
                                         torch.where(at < 0, na + 1.0, na + nb + 2.0)))
        n = (na + nb + 2).squeeze(1)
        k = torch.arange(text_room(length), device=self.device).unsqueeze(0)
        of_a, of_b = k < na, (k >= na + 2) & (k < na + 2 + nb)
        index = torch.where(of_a, a[:, 2:3] + k, torch.where(of_b, b[:, 2:3] + k - na - 2, torch.zeros_like(k)))
        letters = self.text[index].long() - 32 + 1
        ids = torch.where(of_a | of_b, letters, (k < na + 2).long())  # a blank is token 0, so 1
        ahead = (letter - letter_shown(n, length)) / LETTERS_PER_UNIT
        return self.mels[row].float(), (fa + GAP).squeeze(1), ids, n, self.phone[row], ahead

    def draw_pairs(self, length, count):
        pairs = self.pairs[length]
        return pairs[torch.randint(len(pairs), (count,), device=self.device)]

    def batch(self, length, count=None):
        count = count or max(1, FRAMES // length)
        speech, known, ids, n, phone, ahead = self.joined(self.draw_pairs(length, count), length)
        m = torch.arange(length, device=self.device).unsqueeze(0)

        def random():
            return torch.rand(count, 1, device=self.device)

        # as in inference; the frames around the seam hold the first of the new speech, the prompt's mel silence
        mask = m >= known.unsqueeze(1) - 1
        seam = mask & (m <= known.unsqueeze(1))
        cond = torch.where(seam.unsqueeze(2), torch.full_like(speech, SILENCE), speech * ~mask.unsqueeze(2))
        # or upstream's: 70 to 100 % of the sequence, anywhere
        width = (0.7 + 0.3 * random()) * length
        begin = random() * (length - width)
        span = (m >= begin) & (m < begin + width)
        upstream = random() < 0.25
        mask = torch.where(upstream, span, mask)
        cond = torch.where(upstream.unsqueeze(2), speech * ~mask.unsqueeze(2), cond)
        null = random() < TEXT_DROP
        cond = cond * ~(null | (random() < AUDIO_DROP)).unsqueeze(2)
        # half of the times near the noise, where it is decided what is said when
        t = random()
        t = torch.where(random() < 0.5, t, t * t)
        noise = torch.randn_like(speech)
        w = t.unsqueeze(2)
        return Batch(noise + w * (speech - noise), speech - noise, cond, mask.float(), t.squeeze(1), ids, n,
                     null.squeeze(1), phone, ahead)


def like(length, device):
    """A batch of the right shapes, to compile with."""
    count, room = max(1, FRAMES // length), text_room(length)

    def zeros(*shape, dtype=torch.float32):
        return torch.zeros(count, *shape, dtype=dtype, device=device)

    b = Batch(zeros(length, MEL), zeros(length, MEL), zeros(length, MEL), zeros(length) + 1, zeros(),
              zeros(room, dtype=torch.long) + 1, zeros(dtype=torch.long) + room - 8, zeros(dtype=torch.bool),
              zeros(length, dtype=torch.uint8), zeros(length))
    b.state.normal_()
    return b
