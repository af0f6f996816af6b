"""The weights by which heads write into the residual stream, and by which a token's logit is read from it."""

from typing import Any

import torch
from einops import einsum, rearrange
from jaxtyping import Float, Int
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from mechdyn.models.model import Model


def output_weights(model: Model, layer: int) -> Float[Tensor, "head d_value d_model"]:
    """W_O of a layer, head by head."""
    if model.twin is None:
        weights: Tensor = model.bridge.hooked.blocks[layer].attn.W_O
        return weights.detach()
    projection: Any = model.bridge.blocks[layer].attn.o.original_component
    weight = projection.weight.detach()
    weight = weight if isinstance(projection, Conv1D) else weight.mT
    return rearrange(weight, "(head d_value) d_model -> head d_value d_model", head=model.n_heads)


def scaled_weight(projection: Any, factors: Float[Tensor, " head_value"]) -> Float[Tensor, "_ _"]:
    """The weight of an output projection that does to its input what it did to the input times `factors`; a bias is no part of it."""
    weight: Tensor = projection.weight.detach()
    across = factors.to(weight)
    return weight * (across[:, None] if isinstance(projection, Conv1D) else across)


def unembedding(model: Model, tokens: Int[Tensor, " row"]) -> Float[Tensor, "row d_model"]:
    """u of some tokens: their rows of W_U as it is, the final norm's weight not among it."""
    if model.twin is None:
        by_column: Tensor = model.bridge.hooked.W_U.detach()
        return by_column.mT[tokens.to(by_column.device)]
    weight: Tensor = model.twin.get_output_embeddings().weight.detach()
    return weight[tokens.to(weight.device)]


@torch.inference_mode()
def reading_directions(model: Model, layer: int, tokens: Int[Tensor, " row"]) -> Float[Tensor, "row head d_value"]:
    """W_Oᵀ u for each head of a layer: a value's dot product with it is what the head adds to the token's logit by attending to it."""
    output = output_weights(model, layer).float()
    towards = unembedding(model, tokens).to(output)
    return einsum(output, towards, "head d_value d_model, row d_model -> row head d_value")
