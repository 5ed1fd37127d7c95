"""op_sound.py — the ops with a sine in them: timestep, noise, snake, mel and the two inverse STFTs (ops.py says how to read a class)."""
import math

import numpy as np
import torch
import torch.nn.functional as F

import cbind
from op_base import ALL, Op, Timed

RECORDINGS = [([n], 0) for n in (513, 514, 767, 768, 1024, 4001, 24000)]  # samples


class Timestep(Op):
    name, types, count, bar_ref = "timestep", ALL, "n", 1e-7  # the rounding of sin and cos
    bad_count = "ARGUMENT"

    def __init__(self, dim=256, scale=1000.0):
        super().__init__(f"{dim} times {scale:g}", dim, dim=dim, scale=scale)
        self.scale = np.float32(scale)

    def draw_rows(self, draw, n):
        t = draw.uniform(n)
        t[n - 1:] = 1.0  # the last, where there is one
        return {"t": t}

    def truth(self, rows, _, w):
        """Angles in F32, as upstream has them, from correctly rounded frequencies."""
        half = self.width // 2
        exponent = np.arange(half, dtype=np.float32) * -np.float32(np.log(10000) / (half - 1))
        frequency = np.exp(exponent.astype(np.float64)).astype(np.float32)
        angle = ((self.scale * rows["t"].cpu().numpy())[:, None] * frequency).astype(np.float64)
        return torch.from_numpy(np.concatenate([np.sin(angle), np.cos(angle)], axis=1))

    @classmethod
    def cases_test(cls):
        return [cls(), cls(512, 1.0), cls(64, 1.0), cls(4, 3.0), cls(770, 1000.0)]

    @classmethod
    def cases_bench(cls, m):
        return [Timed("timestep 32", cls(), [32])]


def philox(seed, blocks):
    """Ten rounds for blocks 0 .. blocks-1, from the paper's constants; uint64 arrays of 32-bit words."""
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    block = np.arange(blocks, dtype=np.uint64)
    a, b, c, d = block & low, block >> shift, np.zeros_like(block), np.zeros_like(block)
    k, m = np.uint64(seed % 2 ** 32), np.uint64(seed // 2 ** 32)
    for _ in range(10):
        p, q = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b, c, d = (q >> shift) ^ b ^ k, q & low, (p >> shift) ^ d ^ m, p & low
        k, m = (k + np.uint64(0x9E3779B9)) & low, (m + np.uint64(0xBB67AE85)) & low
    return a, b, c, d


class Noise(Op):
    name, bar_cuda = "noise", 1e-6

    def __init__(self, dim):
        super().__init__(f"{dim}", dim, dim=dim)

    def draw_slots(self, draw, n_seq):
        return {"seeds": draw.integers(-2 ** 63, 2 ** 63 - 1, n_seq, torch.int64)}

    def planned_bytes(self, call):
        return self.bytes(call) - 8 * call.pack.n_seq  # seeds

    def expected(self, inputs):
        parts = [self.normals(int(seed), n) for seed, n in zip(inputs.slots["seeds"], inputs.lengths)]
        return torch.cat(parts)

    def normals(self, seed, n):
        """The contract of kernels/noise.h: [n,dim] from one seed."""
        count = n * self.width
        words = [v >> np.uint64(8) for v in philox(seed % 2 ** 64, -(-count // 4))]
        y = np.empty((len(words[0]), 4))
        for i in (0, 2):
            r = np.sqrt(-2 * np.log((words[i] + np.uint64(1)) / 2.0 ** 24))
            angle = 2 * math.pi * (words[i + 1] / 2.0 ** 24)
            y[:, i], y[:, i + 1] = r * np.cos(angle), r * np.sin(angle)
        return torch.from_numpy(y.ravel()[:count].reshape(-1, self.width))

    @classmethod
    def cases_test(cls):
        return [cls(dim) for dim in (100, 80, 33, 3, 1)]

    @classmethod
    def cases_bench(cls, m):
        return [Timed("noise 100", cls(100), m.both, False)]


def snake_filter(dtype=torch.float64):
    """[12]: a sinc that passes half of the lower rate's band, under a Kaiser window for a transition 0.3 wide."""
    taps, transition = 12, 0.3
    attenuation = 2.285 * (taps / 2 - 1) * math.pi * 4 * transition + 7.95
    beta = 0.1102 * (attenuation - 8.7)  # Kaiser's formula above 50 dB; it is 51
    f = torch.sinc((torch.arange(taps, dtype=dtype) - 5.5) / 2) * torch.kaiser_window(taps, False, beta, dtype=dtype)
    return f / f.sum()


class Snake(Op):
    name, types, sizes = "snake", ALL, Op.sizes + ("rate",)
    lengths_alone = ([0, 300, 1, 31, 0, 2, 157], 3)

    def __init__(self, dim, rate=1, loudness=1.0, x_f32=False):
        label = f"{dim} rate {rate}{f' loudness {loudness:g}' * (loudness != 1)}{' of F32' * x_f32}"
        super().__init__(label, rate * dim, dim=dim, rate=rate, x_f32=x_f32)
        self.dim, self.rate, self.loudness, self.typed = dim, rate, loudness, () if x_f32 else ("x",)

    def draw_rows(self, draw, n):
        return {"x": draw.normal(n, self.width, scale=self.loudness)}

    def draw_shared(self, draw, longest):
        # sin²'s argument is rounded to F32, and what that is off by grows by exp(alpha - beta): at most e² here
        return {field: draw.uniform(self.dim, low=-1.0, high=1.0) for field in ("alpha", "beta")}

    def truth(self, rows, _, w):
        x = rows["x"].cpu().double().reshape(-1, self.dim).T[:, None]  # a batch of channels
        f, alpha, beta = snake_filter()[None, None], w["alpha"].cpu().double().exp(), w["beta"].cpu().double().exp()
        up = 2 * F.conv_transpose1d(F.pad(x, (5, 5), mode="replicate"), f, stride=2)[..., 15:-15]
        up = up + torch.sin(up * alpha[:, None, None]) ** 2 / (beta[:, None, None] + 1e-9)
        return F.conv1d(F.pad(up, (5, 6), mode="replicate"), f, stride=2)[:, 0].T.reshape(-1, self.width)

    @classmethod
    def cases_test(cls):
        return [cls(768), cls(24, 8), cls(48, 4), cls(1, 3), cls(65, 2), cls(96), cls(130), cls(7, 16), cls(24, 2, 100.0), cls(48, 4, x_f32=True), cls(5, 2, x_f32=True), cls(6, 3, 100.0)]

    @classmethod
    def cases_bench(cls, m):
        return [Timed(f"BigVGAN {op.label}", op, m.heard, False) for dim, rate in ((768, 4), (384, 16), (24, 256))
                for op in (cls(dim, rate), cls(dim, rate, x_f32=True))]


def mel_bank(dtype=torch.float32):
    """[513,100]: 102 corners evenly spaced in mel = 2595 log10(1 + Hz/700) from 0 to 12 kHz. Upstream's is F32."""
    top = 2595.0 * math.log10(1.0 + 12000.0 / 700.0)
    corners = 700.0 * (10.0 ** (torch.linspace(0.0, top, 102, dtype=dtype) / 2595.0) - 1.0)
    hz = torch.linspace(0, 12000, 513, dtype=dtype)
    width = corners[1:] - corners[:-1]
    distance = corners[None, :] - hz[:, None]
    falling, rising = distance[:, 2:] / width[1:], -distance[:, :-2] / width[:-1]
    return torch.minimum(falling, rising).clamp(min=0)


def slaney_bank(dtype=torch.float32):
    """[513,100], as librosa.filters.mel(sr=24000, n_fft=1024, n_mels=100): linear to 1 kHz, then 27 bands for each factor
    of 6.4; every triangle of area 1."""
    top = 15 + 27 * math.log(12) / math.log(6.4)
    mel = torch.linspace(0, top, 102, dtype=dtype)
    corners = torch.where(mel < 15, mel * 200 / 3, 1000 * torch.exp((mel - 15) * math.log(6.4) / 27))
    hz = torch.linspace(0, 12000, 513, dtype=dtype)[:, None]
    low, peak, high = corners[:-2], corners[1:-1], corners[2:]
    return torch.minimum((hz - low) / (peak - low), (high - hz) / (high - peak)).clamp(min=0) * 2 / (high - low)


def log_mel_judged(got, want):
    """The log mel `got` with the errors of quiet bands made smaller; both [N,100]. Rounding leaves in every bin an error of
    about 1e-8 of the frame's loudest band, 1e-7 at most, and the logarithm enlarges it by loudest / band. A band of one
    bin of noise may be as quiet as it likes, so that one element could pass any bar. Errors count in full in bands within
    1/100 of the frame's loudest, and below that as they would at 1/100."""
    got, want = torch.as_tensor(got).double(), torch.as_tensor(want).double()
    want = want.to(got.device)
    assert got.shape == want.shape, f"shapes differ: {tuple(got.shape)} and {tuple(want.shape)}"
    share = (want - want.amax(dim=1, keepdim=True)).exp()
    return want + (got - want) * (100 * share).clamp(max=1)


class Mel(Op):
    # F32 throughout: an error of 1e-8 of a frame's loudest band, which the logarithm enlarges in its quiet ones
    name, count, single, bar_ref = "mel", "n_samples", True, 2e-6
    lengths_test = RECORDINGS

    def __init__(self, signal="noise", form="vocos"):
        super().__init__(signal + f" {form}" * (form != "vocos"), 100, form=getattr(cbind, f"MEL_{form.upper()}"))
        self.signal, self.form = signal, form

    def draw_rows(self, draw, n):
        if self.signal == "noise":
            return {"samples": draw.normal(n, scale=0.1)}
        t = torch.arange(n, device=draw.device, dtype=torch.float64) / 24000  # a chirp whose second half is near the floor
        samples = (0.3 * torch.sin(2 * math.pi * (200 + 900 * t) * t)).float() + draw.normal(n, scale=0.05)
        samples[n // 2:] *= 1e-4
        return {"samples": samples}

    def draw_shared(self, draw, longest):
        bank = {"vocos": mel_bank, "bigvgan": slaney_bank}[self.form](torch.float64)
        return {"bank": bank.float().to(draw.device).contiguous()}

    def outputs(self, n):
        return n // 256 + (self.form == "vocos")

    def judged(self, y, want):
        return log_mel_judged(y, want)

    def truth(self, rows, _, w, dtype=torch.float64):
        samples, window = rows["samples"].cpu().to(dtype), torch.hann_window(1024, dtype=dtype)
        if self.form == "vocos":
            magnitude = torch.stft(samples, 1024, 256, 1024, window, pad_mode="reflect", return_complex=True).abs()
        else:
            padded = F.pad(samples[None], (384, 384), mode="reflect")[0]
            spectrum = torch.stft(padded, 1024, 256, 1024, window, center=False, return_complex=True)
            magnitude = (spectrum.abs() ** 2 + 1e-9).sqrt()
        return (magnitude.T @ w["bank"].cpu().to(dtype)).clamp(min=1e-5).log()

    @classmethod
    def cases_test(cls):
        return [cls(signal, form) for form in ("vocos", "bigvgan") for signal in ("noise", "chirp")]

    @classmethod
    def cases_bench(cls, m):
        return [Timed("mel 5 s", cls(), [24000 * 5], False)]


class Istft(Op):
    name, starts, flat_output = "istft", "sample_offsets", True

    def __init__(self, padding="center", loudness=2.0):
        super().__init__(padding + f" loudness {loudness:g}" * (loudness != 2), 1,
                         padding=getattr(cbind, f"ISTFT_{padding.upper()}"))
        self.padding, self.loudness = padding, loudness

    def draw_rows(self, draw, n):
        """Log magnitudes falling with frequency, some above the clip at 100; phases of several turns."""
        h = draw.normal(n, 1026, scale=2.0)
        h[:, :513] += self.loudness - torch.linspace(0, 4, 513, device=draw.device)
        h[:, 513:] *= 5
        return {"h": h}

    def draw_shared(self, draw, longest):
        return {"window": torch.hann_window(1024, dtype=torch.float64).float().to(draw.device)}

    def scratch(self, pack):
        return {"scratch": (max(1, pack.rows), 1024)}

    def planned_bytes(self, call):
        return 4 * call.pack.rows * (1026 + 256)  # h, and a hop of samples for every frame

    def outputs(self, n):
        return 256 * (max(n, 1) - 1 if self.padding == "center" else n)

    def truth(self, rows, _, w):
        """CENTER by torch.istft, which wants two frames; SAME, which it cannot trim, by overlap-add."""
        h, window = rows["h"].cpu().double(), torch.hann_window(1024, dtype=torch.float64)
        spectrum = torch.polar(h[:, :513].exp().clip(max=1e2), h[:, 513:]).T
        if self.padding == "center":
            return torch.istft(spectrum, 1024, 256, 1024, window, center=True) if len(h) > 1 else torch.zeros(0)
        frames = torch.fft.irfft(spectrum, 1024, dim=0).T * window
        total, envelope = torch.zeros(2, 256 * (len(h) - 1) + 1024, dtype=torch.float64)
        for n, frame in enumerate(frames):
            total[256 * n:256 * n + 1024] += frame
            envelope[256 * n:256 * n + 1024] += window ** 2
        return (total / envelope.clamp(min=1e-300))[384:-384]

    @classmethod
    def cases_test(cls):
        return [cls(padding, loudness) for padding in ("center", "same") for loudness in (0.0, 2.0, 4.0)]

    @classmethod
    def cases_bench(cls, m):
        return [Timed("istft center", cls(), m.heard, False)]


class SubbandIstft(Op):
    # an exponential enlarges the rounding of what it is given, and a sine times pi is the angle of another
    name, sizes, bar_ref = "subband_istft", ("in", "bands", "rate", "points"), 2e-6

    def __init__(self, width_in, bands=1, points=16, rate=1, turn=math.pi):
        super().__init__(f"{width_in} to {bands} of {points} rate {rate}{' turn 1' * (turn == 1)}", points // 4 * rate * bands, bands=bands,
                         points=points, rate=rate, turn=turn, **{"in": width_in})
        self.width_in, self.bands, self.points, self.rate = width_in, bands, points, rate
        self.turn = float(np.float32(turn))

    def draw_rows(self, draw, n):
        return {"x": draw.normal(n, self.rate * self.width_in)}

    def draw_shared(self, draw, longest):
        columns = self.bands * (self.points + 2)
        window = torch.hann_window(self.points, dtype=torch.float64).float().to(draw.device)
        w = draw.normal(7, columns, self.width_in, scale=(7 * self.width_in) ** -0.5)
        # magnitudes are less unequal than phases: of a few loud frames alone the parts might cancel, and leave their rounding
        w.view(7, self.bands, 2, -1, self.width_in)[:, :, 0] *= 0.3
        return {"w": w, "bias": draw.normal(columns), "window": window}

    def scratch(self, pack):
        return {"scratch": (max(1, self.rate * pack.rows + pack.n_seq), self.bands * (self.points + 2))}

    def planned_bytes(self, call):
        return self.bytes(call)

    def flop(self, lengths):
        return 2.0 * sum(lengths) * self.rate * self.width_in * self.bands * (self.points + 2) * 7

    def truth(self, rows, _, w):
        x = rows["x"].cpu().double().reshape(-1, self.width_in).T[None]
        x = torch.cat((x[..., 1:2] if x.shape[-1] > 1 else x, x), dim=-1)
        h = F.conv1d(x, w["w"].cpu().double().permute(1, 2, 0), w["bias"].cpu().double(), padding=3)[0]
        h = h.reshape(self.bands, self.points + 2, -1)
        bins = self.points // 2 + 1
        spectrum = torch.polar(h[:, :bins].exp(), self.turn * torch.sin(h[:, bins:]))
        window = torch.hann_window(self.points, dtype=torch.float64)
        return torch.istft(spectrum, self.points, self.points // 4, self.points, window).T.reshape(-1, self.width)

    @classmethod
    def cases_test(cls):
        return [cls(16, 4), cls(128, rate=16, turn=1.0), cls(128, 4, rate=16), cls(16, 4, rate=4), cls(33, 2, 8, 3), cls(1, points=4), cls(70, 3, 64),
                cls(32, 16, 12, 2), cls(9, 1, 20, 5)]

    @classmethod
    def cases_bench(cls, m):
        return [Timed("MB-iSTFT " + op.label, op, m.heard, False) for op in (cls(128, 4, rate=16), cls(128, rate=16, turn=1.0))]
