"""Eq. 2: how much of a head's attention goes to the supporting facts."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechdyn.errors import InputError
from mechdyn.scores.score import StepContext, score


@score("reasoning", threshold=0.5)
@dataclass(frozen=True)
class Reasoning:
    """Share of a head's attention that goes to the supporting facts, sink and local window left out (Eq. 2); in [0, 1].

        score = sum of a_i over the needle's positions in R  /  sum of a_i over R,    R = I without I_sink and I_local

    I_sink is the first `sink` visible positions of the row (padding is not visible), I_local the last `local` ones, the query's own
    among them. 0/0 is 0: a head that looks nowhere else does not retrieve. The paper does not take the exclusions off the needle as well;
    without that a fact inside the local window would push the score above 1. It states neither number: 4 is from Xiao et al. 2023, 32
    is ours (docs/definitions.md, "Scores").
    """

    sink: int = 4
    local: int = 32

    def __post_init__(self) -> None:
        for name, size in (("sink", self.sink), ("local", self.local)):
            if not isinstance(size, int) or size < 0:
                raise InputError(f"{name} is a number of positions to leave out, 0 or more, got {size!r}; 0 leaves none out")

    def __call__(self, pattern: Float[Tensor, "row head key"], context: StepContext) -> Float[Tensor, "row head"]:
        """Scores of every head."""
        remote = self.remote(context.visible)
        mass = torch.where(remote[:, None], pattern.to(torch.float32), 0.0)
        total = mass.sum(dim=-1)
        needle = torch.where(context.needle[:, None], mass, 0.0).sum(dim=-1)
        # Rounding can carry a quotient of sums past 1; a NaN stays one.
        return torch.where(total == 0, 0.0, needle / total).clamp(max=1.0)

    def remote(self, visible: Bool[Tensor, "row key"]) -> Bool[Tensor, "row key"]:
        """R of Eq. 2: the visible positions behind the sink and before the local window."""
        rank = visible.cumsum(dim=1)
        return visible & (rank > self.sink) & (rank <= rank[:, -1:] - self.local)
