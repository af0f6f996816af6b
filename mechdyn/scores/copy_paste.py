"""Eq. 1: a head retrieves where its strongest key is a needle token equal to the predicted one."""

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from mechdyn.scores.score import StepContext, score

_BLOCK = 128


@score("copy_paste", binary=True)
def copy_paste(pattern: Float[Tensor, "row head key"], context: StepContext) -> Float[Tensor, "row head"]:
    """1 where the head's strongest key is a needle token equal to the predicted token, else 0 (Eq. 1).

    The strongest key is taken over all positions of the row, ties to the lowest index. A row whose weights are all 0, since the head
    attends to its sink alone, has none and scores 0.
    """
    strongest = strongest_key(pattern)
    hit = context.needle.gather(1, strongest)
    same = context.tokens.gather(1, strongest) == context.predicted[:, None]
    attends = pattern.gather(2, strongest[..., None])[..., 0] > 0
    return (hit & same & attends).to(torch.float32)


def strongest_key(pattern: Float[Tensor, "row head key"]) -> Int[Tensor, "row head"]:
    """The key position of each head's largest weight, the first of several.

    On the CPU `argmax` is several times slower than `amax`, and over long rows no small part of a step: the block with the maximum is found
    first.
    """
    n_keys = pattern.shape[-1]
    if pattern.device.type != "cpu" or n_keys < 16 * _BLOCK:
        return pattern.argmax(dim=-1)  # documented to return the first of several maxima
    n_blocks = n_keys // _BLOCK
    blocks = rearrange(pattern[..., : n_blocks * _BLOCK], "row head (block key) -> row head block key", key=_BLOCK)
    maxima = torch.cat([blocks.amax(dim=-1), pattern[..., -_BLOCK:].amax(dim=-1, keepdim=True)], dim=-1)
    # The last block reaches to the row's end and may overlap the one before; the first block with the maximum is taken.
    start = (maxima.argmax(dim=-1) * _BLOCK).clamp(max=n_keys - _BLOCK)
    block = pattern.gather(-1, start[..., None] + torch.arange(_BLOCK))
    return start + block.argmax(dim=-1)
