"""optim.py — all weights in one flat buffer, and the optimiser over it: Muon for matrices, Adam for the rest.

One buffer makes everything one operation: the all-reduce of gradients, the norm, the average of weights, a checkpoint.
Matrices of one shape lie side by side, so that Muon orthogonalises them as one batch (Jordan 2024; scaled as in
Moonlight, arXiv 2502.16982, so that both halves take learning rates of the same size).

A step whose gradient is not finite, or is SPIKE times the usual, changes nothing at all: neither weights nor moments.
"""
import math

import torch

BETAS = (0.9, 0.98)
MOMENTUM = 0.95
CLIP = 1.0
SPIKE = 8.0


def orthogonal(g):
    """g [K,a,b] -> the nearest matrices with singular values of about one (five Newton-Schulz steps)."""
    x = g.bfloat16() if g.is_cuda else g.clone()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return (x.transpose(1, 2) if tall else x).float()


class Flat:
    """weights: name -> tensor, copied into one buffer; self.w are views of it that collect gradients in self.grad."""

    def __init__(self, weights, is_matrix, device, muon=True):
        matrices = sorted((n for n in weights if muon and is_matrix(n)), key=lambda n: (tuple(weights[n].shape), n))
        self.names = [n for n in weights if n not in set(matrices)] + matrices
        size = sum(weights[n].numel() for n in self.names)
        self.flat, self.grad, self.average = (torch.zeros(size, device=device) for _ in range(3))
        self.w, self.averaged, self.groups, at = {}, {}, [], 0
        self.adams = 0
        for name in self.names:
            shape, n = weights[name].shape, weights[name].numel()
            self.flat[at:at + n] = weights[name].flatten().to(device)
            self.w[name] = self.flat[at:at + n].view(shape).requires_grad_()
            self.w[name].grad = self.grad[at:at + n].view(shape)
            self.averaged[name] = self.average[at:at + n].view(shape)
            if name in matrices:
                if self.groups and self.groups[-1][2] == tuple(shape):
                    self.groups[-1][1] += n
                else:
                    self.groups.append([at, n, tuple(shape)])
            else:
                self.adams = at + n
            at += n
        self.average.copy_(self.flat)
        self.first = torch.zeros(size, device=device)  # Adam's first moment, Muon's momentum
        self.second = torch.zeros(self.adams, device=device)
        self.norm, self.usual, self.skipped, self.steps = (torch.zeros((), device=device) for _ in range(4))
        self.rate, self.muon_rate = (torch.zeros((), device=device) for _ in range(2))
        self.decay = torch.zeros((), device=device)
        self.regular = [n for n in self.names if weights[n].dim() > 1 and n not in matrices]

    @torch.no_grad()
    def step(self):
        """Everything on the device, nothing branches on values: it may be captured in a graph."""
        self.norm.copy_(self.grad.norm())
        grown = (self.steps > 300) & (self.norm > SPIKE * self.usual)
        good = torch.isfinite(self.norm) & ~grown
        self.skipped += ~good
        self.steps += good
        self.usual.copy_(torch.where(good, torch.where(self.steps < 2, self.norm, self.usual.lerp(self.norm, 0.02)),
                                     self.usual * 1.02))
        scale = (CLIP / (self.norm + 1e-6)).clamp(max=1)
        g = torch.where(good, self.grad * scale, torch.zeros_like(self.grad))
        n, (beta1, beta2) = self.adams, BETAS
        keep = good.float()
        self.first[:n].lerp_(g[:n], (1 - beta1) * keep)
        self.second.lerp_(g[:n].square(), (1 - beta2) * keep)
        self.first[n:].mul_(1 - (1 - MOMENTUM) * keep).add_(g[n:])
        mean = self.first[:n] / (1 - beta1 ** self.steps)
        spread = (self.second / (1 - beta2 ** self.steps)).sqrt() + 1e-8
        update = self.rate * keep * mean / spread
        self.flat[:n] -= torch.where(torch.isfinite(update), update, torch.zeros_like(update))
        for at, count, (a, b) in self.groups:
            looked = g[at:at + count] + MOMENTUM * self.first[at:at + count]
            turned = orthogonal(looked.view(-1, a, b)) * (0.2 * math.sqrt(max(a, b)))
            part = self.flat[at:at + count]
            part -= self.muon_rate * keep * (turned.flatten() + 0.1 * part)
        self.average.lerp_(self.flat, self.decay)

    def state(self):
        return {"flat": self.flat, "average": self.average, "first": self.first, "second": self.second,
                "scalars": torch.stack((self.usual, self.skipped, self.steps)), "names": self.names}

    def load_state(self, state):
        if state["names"] != self.names:
            raise ValueError("the state is of another model")
        for name in ("flat", "average", "first", "second"):
            getattr(self, name).copy_(state[name])
        for target, value in zip((self.usual, self.skipped, self.steps), state["scalars"]):
            target.copy_(value)

    def start_from(self, weights):
        """Weights without optimiser state; what is missing (the aux heads) keeps its fresh values."""
        with torch.no_grad():
            for name, value in weights.items():
                self.w[name].copy_(torch.as_tensor(value))
        self.average.copy_(self.flat)

    def group_norms(self):
        """Weight and gradient norms by kind of tensor, largest gradient first."""
        sums = {}
        for name in self.names:
            key = ".".join("i" if p.isdigit() and "blocks" in name else p for p in name.split(".")[1:-1])
            a, b = sums.get(key, (0.0, 0.0))
            sums[key] = (a + float(self.w[name].detach().square().sum()), b + float(self.w[name].grad.square().sum()))
        return sorted(((k, a ** 0.5, b ** 0.5) for k, (a, b) in sums.items()), key=lambda r: -r[2])
