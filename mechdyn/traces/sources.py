"""Where every head looked, without the whole rows: the strongest key positions of each step."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Sources:
    """The strongest sources of every head at every step, strongest first, ties to the lower position.

    Positions count the prompt's tokens and then the generated ones. A row of fewer keys than there are ranks ends in positions -1 of
    weight 0. Of an ablated run these are the rows of the observing forward.
    """

    positions: Int[Tensor, "step layer head rank"]
    weights: Float[Tensor, "step layer head rank"]

    @property
    def n_ranks(self) -> int:
        return self.positions.shape[-1]
