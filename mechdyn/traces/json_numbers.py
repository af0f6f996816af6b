"""Rows of numbers as JSON has them: rounded, and null for NaN, which JSON lacks."""

import math
from collections.abc import Sequence

from jaxtyping import Float

from mechdyn.tensors import Tensor, torch


def as_numbers(values: Float[Tensor, " _"], digits: int) -> list[float | None]:
    """The values to so many digits behind the point."""
    return [None if math.isnan(value) else round(value, digits) for value in values.tolist()]


def from_numbers(values: Sequence[float | None]) -> Float[Tensor, " _"]:
    """What `as_numbers` wrote."""
    return torch.tensor([math.nan if value is None else value for value in values], dtype=torch.float32)
