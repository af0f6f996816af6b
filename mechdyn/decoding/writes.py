"""What the heads of a step write for a token, key by key: values of the cache against one direction a head, a block of keys at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from mechdyn.models.model import Model
from mechdyn.models.writing import reading_directions

_BLOCK = 4096
"""Keys whose values are made float32 at a time."""


@dataclass(frozen=True, eq=False)
class Writes:
    """(W_O v_j) · u of every head of a layer and key of a step (see `StepContext.written`).

    `along` gives the dot product of each key's value with a direction a head, which an engine knows how to read out of its memory.
    """

    model: Model
    along: Callable[[int, Float[Tensor, "row head d_value"]], Float[Tensor, "row head key"]]

    @torch.inference_mode()
    def __call__(self, layer: int, tokens: Int[Tensor, " row"]) -> Float[Tensor, "row head key"]:
        """For these tokens, one a row."""
        return self.along(layer, reading_directions(self.model, layer, tokens))


def grouped(directions: Float[Tensor, "row head d_value"], n_kv_heads: int) -> Float[Tensor, "row kv_head group d_value"]:
    """Directions beside the values that their heads share."""
    return rearrange(directions, "row (kv_head group) d_value -> row kv_head group d_value", kv_head=n_kv_heads)


def along_values(
    directions: Float[Tensor, "row kv_head group d_value"], values: Float[Tensor, "row kv_head key d_value"]
) -> Float[Tensor, "row kv_head group key"]:
    """Dot products in float32; the values are converted block by block, so that none are held twice."""
    directions = directions.to(values.device)
    blocks = [directions @ values[:, :, start : start + _BLOCK].float().mT for start in range(0, values.shape[2], _BLOCK)]
    return torch.cat(blocks, dim=-1) if blocks else directions.new_zeros(*directions.shape[:3], 0)


def read_along(
    values: Float[Tensor, "row kv_head key d_value"], directions: Float[Tensor, "row head d_value"]
) -> Float[Tensor, "row head key"]:
    """Dot products of every key's value with the direction of each head that reads it."""
    found = along_values(grouped(directions, values.shape[1]), values)
    return rearrange(found, "row kv_head group key -> row (kv_head group) key")
