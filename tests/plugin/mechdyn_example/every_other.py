"""A schedule: the step's own heads, at every n-th step only."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

import mechdyn as md
from mechdyn.schedules import Observation


@md.schedule("every-other")
@dataclass(frozen=True)
class EveryOther:
    """Nothing is switched off between the steps 0, n, 2 n …"""

    n: int = 2

    def heads(self, observation: Observation) -> Bool[Tensor, "layer head"]:
        return observation.active if observation.step % self.n == 0 else torch.zeros_like(observation.active)
