"""A score with an option: copy-paste that takes any of a head's `k` strongest keys."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

import mechdyn as md


@md.score("near-copy", binary=True)
@dataclass(frozen=True)
class NearCopy:
    """1 where one of the `k` strongest keys is a needle token equal to the predicted one; k = 1 is copy-paste."""

    k: int = 1

    def __call__(self, pattern: Float[Tensor, "row head key"], context: md.StepContext) -> Float[Tensor, "row head"]:
        copies = context.needle & (context.tokens == context.predicted[:, None])
        strongest = pattern.topk(min(self.k, pattern.shape[-1]), dim=-1).indices
        return copies[:, None].expand_as(pattern).gather(-1, strongest).any(dim=-1).float()
