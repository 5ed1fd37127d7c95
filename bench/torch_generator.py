"""bench/torch_generator.py — vocoders of HiFi-GAN's family in PyTorch, as fast as it makes them: BigVGAN v2 and MB-iSTFT, for
torch_peer.py and torch_fm_tts.py. In float32, whose convolutions PyTorch gives to the tensor cores in TF32 unless told
otherwise; weight norm is folded beforehand. Callable with a mel [N,M] -> samples; torch.compile takes a call whole.
"""
import torch
import torch.nn.functional as F

import mb_istft  # found by workload
from op_sound import snake_filter


def folded(w, key):
    """(weight, bias or None) of a convolution, whose length may be kept apart."""
    weight = w.get(key + ".weight")
    if weight is None:
        v = w[key + ".weight_v"]
        weight = w[key + ".weight_g"] * v / v.flatten(1).norm(dim=1)[:, None, None]
    return weight, w.get(key + ".bias")


def same(x, conv, dilation=1):
    """x [1,C,T], the same length."""
    weight, bias = conv
    return F.conv1d(x, weight, bias, padding=weight.shape[2] // 2 * dilation, dilation=dilation)


def raised(x, conv, rate):
    weight, bias = conv
    return F.conv_transpose1d(x, weight, bias, stride=rate, padding=(weight.shape[2] - rate) // 2)


class BigVGAN:
    """c: random_checkpoint's settings."""

    def __init__(self, w, c):
        self.rates, self.dilations, self.tanh = c["bigvgan_rates"], c["bigvgan_dilations"], c["bigvgan_tanh"]
        self.pre, self.post = folded(w, "conv_pre"), folded(w, "conv_post")
        self.ups = [folded(w, f"ups.{i}.0") for i in range(len(self.rates))]
        self.blocks = [[[folded(w, f"resblocks.{i}.convs{k}.{m}") for k in (1, 2)] for m in range(3)]
                       for i in range(3 * len(self.rates))]
        self.snakes = [[self.snake_of(w, f"resblocks.{i}.activations.{k}") for k in range(6)]
                       for i in range(3 * len(self.rates))]
        self.last = self.snake_of(w, "activation_post")
        self.filter = snake_filter().to(self.pre[0])[None, None]

    @staticmethod
    def snake_of(w, key):
        return [w[f"{key}.act.{name}"].exp()[None, :, None] for name in ("alpha", "beta")]

    def snake(self, x, parameters):
        """Up to twice the rate, x + sin²(x e^alpha) / (e^beta + 1e-9), down again, a channel apart from the others."""
        (alpha, beta), channels = parameters, x.shape[1]
        taps = self.filter.expand(channels, -1, -1)
        up = 2 * F.conv_transpose1d(F.pad(x, (5, 5), mode="replicate"), taps, stride=2, groups=channels)[..., 15:-15]
        up = up + (up * alpha).sin().square() / (beta + 1e-9)
        return F.conv1d(F.pad(up, (5, 6), mode="replicate"), taps, stride=2, groups=channels)

    def __call__(self, mel):
        x = same(mel.t()[None], self.pre)
        for i, (up, rate) in enumerate(zip(self.ups, self.rates)):
            x, total = raised(x, up, rate), 0
            for j in range(3):
                y, snakes = x, self.snakes[3 * i + j]
                for m, (first, second) in enumerate(self.blocks[3 * i + j]):
                    inner = same(self.snake(y, snakes[2 * m]), first, self.dilations[j][m])
                    y = y + same(self.snake(inner, snakes[2 * m + 1]), second)
                total = total + y
            x = total / 3
        y = same(self.snake(x, self.last), self.post)[0, 0]
        return y.tanh() if self.tanh else y.clamp(-1, 1)


class MultiBand:
    """MB-iSTFT's multi-band form: features(mel) is what can be compiled, samples(features) has complex numbers."""

    def __init__(self, w):
        self.pre, self.post = folded(w, "dec.conv_pre"), folded(w, "dec.subband_conv_post")
        self.rates, self.points = mb_istft.rates("bands"), mb_istft.POINTS
        self.ups = [folded(w, f"dec.ups.{i}") for i in range(2)]
        self.blocks = [[[folded(w, f"dec.resblocks.{i}.convs{k}.{m}") for k in (1, 2)] for m in range(3)] for i in range(6)]
        self.window = torch.hann_window(self.points).to(self.pre[0])
        bank = mb_istft.pqmf().to(self.pre[0])
        self.bank = bank.flip(2).transpose(0, 1) * mb_istft.BANDS  # of the transposed convolution that zeros and a bank are

    def features(self, mel):
        """mel [N,80] -> [4 bands,18,16 N + 1]: logarithms of magnitudes, and what phases are the sines of."""
        x = same(mel.t()[None], self.pre)
        for i, (up, rate) in enumerate(zip(self.ups, self.rates)):
            x, total = raised(F.leaky_relu(x, 0.1), up, rate), 0
            for j in range(3):
                y = x
                for m, (first, second) in enumerate(self.blocks[3 * i + j]):
                    inner = same(F.leaky_relu(y, 0.1), first, mb_istft.DILATIONS[m])
                    y = y + same(F.leaky_relu(inner, 0.1), second)
                total = total + y
            x = total / 3
        x = F.leaky_relu(x, 0.01)
        h = same(torch.cat((x[..., 1:2], x), dim=-1), self.post)
        return h.reshape(mb_istft.BANDS, self.points + 2, -1)

    def samples(self, h):
        half, hop = self.points // 2 + 1, self.points // 4
        pieces = torch.fft.irfft(torch.polar(h[:, :half].exp(), torch.pi * torch.sin(h[:, half:])), n=self.points, dim=1)

        def added(x):
            """[B,16,n] at hop 4, half a window cut off on either side."""
            whole = F.fold(x, (1, hop * (x.shape[2] + 3)), kernel_size=(1, self.points), stride=(1, hop))
            return whole.flatten(1)[:, self.points // 2:-(self.points // 2)]

        envelope = added(self.window.square()[None, :, None].expand(1, -1, h.shape[2]))
        bands = added(pieces * self.window[:, None]) / envelope
        count, ahead = mb_istft.BANDS, self.bank.shape[2] // 2
        return F.conv_transpose1d(bands[None], self.bank, stride=count, padding=ahead, output_padding=count - 1)[0, 0]
