"""The kernels of f5tts by themselves, one function for each, on torch tensors and numpy arrays, without copies.

    import torch
    from f5tts import ops

    pack = ops.Pack([300, 41], device="cuda")               # two sequences side by side along rows
    rope = torch.from_numpy(ops.rope_table(300)).cuda()
    y = ops.attention(qkv, rope, pack=pack, rope_heads=16)  # qkv [341,3,16,64] float16 on the GPU

On a GPU the CUDA kernel runs, on torch's current stream; it is asynchronous there, as torch's own kernels are, and may be
captured by torch.cuda.graph once an op has run on that GPU. `stream` is another one, as torch.cuda.Stream().cuda_stream:
it must live as long as the tensors, and what has to be done before or after the op it must be made to wait for. On a CPU
the C reference runs, which takes float32. An op writes into the tensor that is given for its output, else into one that it
makes, and nothing has a gradient. help(ops.attention) is the contract of the op, as its header says it.

Every tensor is contiguous, begins at a multiple of 16 bytes and has the shape, the number type and the device that the
contract says; a ValueError names the one that has not. Nothing is read or written before that.

`python -m f5tts.ops.check` runs them all against PyTorch in double.
"""
from ._ops import *  # noqa: F401,F403
from ._ops import __all__ as _names
from ._run import Pack, Tensor, hann_window, mel_bank, position_table, rope_table

__all__ = [*_names, "Pack", "Tensor", "hann_window", "mel_bank", "position_table", "rope_table"]
