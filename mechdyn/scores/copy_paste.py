"""Eq. 1: a head retrieves where its strongest key is a needle token equal to the predicted one."""

import torch
from jaxtyping import Float
from torch import Tensor

from mechdyn.scores.largest import first_largest
from mechdyn.scores.score import StepContext, score


@score("copy_paste", binary=True)
def copy_paste(pattern: Float[Tensor, "row head key"], context: StepContext) -> Float[Tensor, "row head"]:
    """1 where the head's strongest key is a needle token equal to the predicted token, else 0 (Eq. 1).

    The strongest key is taken over all positions of the row, ties to the lowest index. A row whose weights are all 0, since the head
    attends to its sink alone, has none and scores 0.
    """
    strongest = first_largest(pattern)
    hit = context.needle.gather(1, strongest)
    same = context.tokens.gather(1, strongest) == context.predicted[:, None]
    attends = pattern.gather(2, strongest[..., None])[..., 0] > 0
    return (hit & same & attends).to(torch.float32)
