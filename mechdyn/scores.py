"""Retrieval scores: pure functions of one attention row per head, the tokens it runs over and the needle.

A score is any function of the same form as `copy_paste`; adding one is writing one.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class StepContext:
    """What one step's attention rows run over.

    `tokens`, `needle` and `visible` have one entry a key position; padding is not visible. `predicted` is the step's argmax token, the ŷ of
    Eq. 1.
    """

    tokens: Int[Tensor, "row key"]
    needle: Bool[Tensor, "row key"]
    visible: Bool[Tensor, "row key"]
    predicted: Int[Tensor, " row"]


class Score(Protocol):
    """Scores of every head of one layer at one step, from the attention pattern of the step's query position."""

    def __call__(self, pattern: Float[Tensor, "row head key"], context: StepContext) -> Float[Tensor, "row head"]: ...


def copy_paste(pattern: Float[Tensor, "row head key"], context: StepContext) -> Float[Tensor, "row head"]:
    """1 where the head's strongest key is a needle token equal to the predicted token, else 0 (Eq. 1).

    The strongest key is taken over all positions of the row, ties to the lowest index.
    """
    strongest = _first_argmax(pattern)
    hit = context.needle.gather(1, strongest)
    same = context.tokens.gather(1, strongest) == context.predicted[:, None]
    return (hit & same).to(torch.float32)


def _first_argmax(pattern: Float[Tensor, "row head key"]) -> Int[Tensor, "row head"]:
    """The lowest index of the maximum: torch.argmax does not promise which of several it returns."""
    n_keys = pattern.shape[-1]
    positions = torch.arange(n_keys, device=pattern.device)
    return torch.where(pattern == pattern.amax(dim=-1, keepdim=True), positions, n_keys).amin(dim=-1)
