"""ops.py — the ops of products in plain PyTorch, one sequence at a time, written from the formulas of kernels/*.h.

Computed in double from the F32 inputs: the figures of the tests are then the error of the C code alone."""
import math

import numpy as np
import torch
import torch.nn.functional as F


def double(x):
    return torch.from_numpy(np.asarray(x, np.float64))


def linear(x, w, bias=None, epilogue="NONE", gate=None, addend=None):
    """x [N,in], w [out,in]."""
    a = double(x) @ double(w).T
    if bias is not None:
        a = a + double(bias)
    if epilogue == "SILU":
        a = a * torch.sigmoid(a)
    elif epilogue == "GELU_TANH":
        a = a / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a ** 3)))
    elif epilogue == "GELU_ERF":
        a = a / 2 * (1 + torch.erf(a / math.sqrt(2)))
    elif epilogue == "RESIDUAL":
        a = double(addend) + (a if gate is None else double(gate) * a)
    else:
        assert epilogue == "NONE"
    return a.numpy()


def rope_table(positions):
    """[positions,32,2]: cos and sin of position * 10000^(-2i/64)."""
    angle = torch.arange(positions).double()[:, None] * 10000.0 ** (-2 * torch.arange(32).double() / 64)[None, :]
    return torch.stack([angle.cos(), angle.sin()], dim=-1).numpy()


def head_norm(u, weight):
    return u * double(weight) / torch.sqrt((u ** 2).mean(dim=-1, keepdim=True) + 1e-6)


def rotate(u, rope):
    """u [N,H,64]: pairs (2i, 2i+1) turned by the angle of their row."""
    cosine, sine = double(rope)[:len(u), None, :, 0], double(rope)[:len(u), None, :, 1]
    a, b = u[..., 0::2], u[..., 1::2]
    return torch.stack([a * cosine - b * sine, b * cosine + a * sine], dim=-1).flatten(-2)


def attention(qkv, rope, rope_heads, q_norm=None, k_norm=None):
    """qkv [N,3,H,64] of one sequence -> [N,H,64]."""
    q, k, v = double(qkv).unbind(1)
    if q_norm is not None:
        q = head_norm(q, q_norm)
    if k_norm is not None:
        k = head_norm(k, k_norm)
    if rope_heads > 0:
        q = torch.cat([rotate(q[:, :rope_heads], rope), q[:, rope_heads:]], dim=1)
        k = torch.cat([rotate(k[:, :rope_heads], rope), k[:, rope_heads:]], dim=1)
    scores = torch.einsum("nhd,mhd->hnm", q, k) / 8
    return torch.einsum("hnm,mhd->nhd", torch.softmax(scores, dim=-1), v).numpy()


def norm(x, scale, shift, one_plus_scale):
    """The variance is written out: F.layer_norm would be held to its own rounding."""
    x = double(x)
    n = (x - x.mean(dim=-1, keepdim=True)) / torch.sqrt(x.var(dim=-1, unbiased=False, keepdim=True) + 1e-6)
    return (n * (double(scale) + (1 if one_plus_scale else 0)) + double(shift)).numpy()


def conv1d(x, w, bias=None):
    """x [N,in], w [taps,out,in] tap first; zero padding to the same length."""
    kernel = double(w).permute(1, 2, 0)
    bias = None if bias is None else double(bias)
    return F.conv1d(double(x).T[None], kernel, bias, padding=len(w) // 2)[0].T.numpy()


def conv_pos(x, w, bias, residual=None):
    """x [N,D], w [31,D,D/16] tap first."""
    c = F.conv1d(double(x).T[None], double(w).permute(1, 2, 0), double(bias), padding=15, groups=16)[0].T
    y = c * torch.tanh(F.softplus(c))
    return (y if residual is None else y + double(residual)).numpy()
