"""judges.py — what the vocoder is held against: mel and spectrogram distances, and discriminators on spectrograms."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from batches import reference

FFT, HOP = reference.FFT, reference.HOP
RESOLUTIONS = ((512, 128), (1024, 256), (2048, 512))


def spectrogram(x, fft, hop):
    return torch.stft(x, fft, hop, window=torch.hann_window(fft, device=x.device), return_complex=True)


class Rebuilt(nn.Module):
    """L1 of log mels, and of log magnitudes at three resolutions."""

    def __init__(self, device):
        super().__init__()
        self.bank = reference.mel_bank(torch.float32, device).t()

    def mel(self, x):
        return (self.bank @ spectrogram(x, FFT, HOP).abs()).clamp(min=1e-5).log()

    def forward(self, made, real):
        mel = F.l1_loss(self.mel(made), self.mel(real))
        stft = 0.0
        for fft, hop in RESOLUTIONS:
            a, b = (spectrogram(x, fft, hop).abs() for x in (made, real))
            stft = stft + F.l1_loss((a + 1e-4).log(), (b + 1e-4).log()) + (a - b).norm() / b.norm()
        return mel, stft / len(RESOLUTIONS)


class Discriminator(nn.Module):
    """Convolutions over the real and imaginary parts of one spectrogram, five bands apart (as in Vocos)."""

    BANDS = ((0.0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0))

    def __init__(self, fft, hop, width=24):
        super().__init__()
        self.fft, self.hop = fft, hop
        norm = getattr(nn.utils, "weight_norm", None) or nn.utils.parametrizations.weight_norm
        self.bands = nn.ModuleList(
            nn.ModuleList([norm(nn.Conv2d(2, width, (3, 9), (1, 1), (1, 4))),
                           norm(nn.Conv2d(width, width, (3, 9), (1, 2), (1, 4))),
                           norm(nn.Conv2d(width, width, (3, 9), (1, 2), (1, 4))),
                           norm(nn.Conv2d(width, width, (3, 3), (1, 1), (1, 1)))]) for _ in self.BANDS)
        self.last = norm(nn.Conv2d(width, 1, (3, 3), (1, 1), (1, 1)))

    def forward(self, x):
        x = 0.8 * x / (x.abs().amax(dim=1, keepdim=True) + 0.01)
        s = torch.view_as_real(spectrogram(x, self.fft, self.hop)).permute(0, 3, 2, 1)  # [B,2,frames,bins]
        bins, features, ends = s.shape[3], [], []
        for (low, high), layers in zip(self.BANDS, self.bands):
            h = s[..., int(low * bins):int(high * bins)]
            for layer in layers:
                h = F.leaky_relu(layer(h), 0.1)
                features.append(h)
            ends.append(h)
        return self.last(torch.cat(ends, dim=3)), features
