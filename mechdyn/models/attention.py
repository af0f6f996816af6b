"""An attention function for transformers that hands out the rows of one query, and is sdpa otherwise."""

from dataclasses import dataclass, field
from typing import Any

import torch
from einops import einsum, rearrange
from jaxtyping import Bool, Float
from torch import Tensor
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME = "sdpa_with_rows"


@dataclass(eq=False)
class Rows:
    """Passed through a model's forward as `rows`: filled with each layer's attention row; heads in `mask` have z overwritten.

    Without `values` they are set to zero.
    """

    mask: Bool[Tensor, "row layer head"] | None = None
    values: Float[Tensor, "row layer head d_head"] | None = None
    patterns: dict[int, Float[Tensor, "row head key"]] = field(default_factory=dict)


def attention_with_rows(
    module: Any,
    query: Float[Tensor, "row head query d_head"],
    key: Float[Tensor, "row kv_head key d_head"],
    value: Float[Tensor, "row kv_head key d_head"],
    attention_mask: Tensor | None,
    rows: Rows | None = None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Float[Tensor, "row query head d_head"], None]:
    """Grouped-query attention of one query position without copies of keys and values, its softmax in float32 as eager attention has it.

    Without `rows` this is transformers' own sdpa.
    """
    if rows is None:
        return ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, attention_mask, scaling=scaling, **options)
    grouped = rearrange(query, "row (kv_head group) 1 d_head -> row kv_head group d_head", kv_head=key.shape[1])
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    scores = einsum(grouped, key, "row kv_head group d_head, row kv_head key d_head -> row kv_head group key") * scale
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    pattern = scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    z = einsum(pattern, value, "row kv_head group key, row kv_head key d_head -> row kv_head group d_head")
    z = rearrange(z, "row kv_head group d_head -> row 1 (kv_head group) d_head")
    layer = module.layer_idx
    rows.patterns[layer] = rearrange(pattern, "row kv_head group key -> row (kv_head group) key")
    return _overwrite(z, rows, layer).contiguous(), None


def _overwrite(z: Float[Tensor, "row 1 head d_head"], rows: Rows, layer: int) -> Float[Tensor, "row 1 head d_head"]:
    if rows.mask is None or not rows.mask[:, layer].any():
        return z
    mask = rearrange(rows.mask[:, layer], "row head -> row 1 head 1").to(z.device)
    if rows.values is None:
        return z.masked_fill(mask, 0.0)
    return torch.where(mask, rearrange(rows.values[:, layer], "row head d_head -> row 1 head d_head").to(z), z)


def use_attention_with_rows(hf: Any) -> None:
    """Switch a model to this attention."""
    ALL_ATTENTION_FUNCTIONS.register(NAME, attention_with_rows)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, sdpa_mask)
    hf.set_attn_implementation(NAME)
