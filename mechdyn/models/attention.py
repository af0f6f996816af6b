"""An attention function for transformers that lets a decode step do its own attention, and is sdpa otherwise."""

from typing import Any, Protocol, runtime_checkable

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, causal_mask_function, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME = "sdpa_or_one_query"


@runtime_checkable
class OneQuery(Protocol):
    """Passed through a model's forward as `one_query`: does every layer's attention of the one token that is fed."""

    def attend(
        self,
        layer: int,
        query: Float[Tensor, "row head 1 d_head"],
        key: Float[Tensor, "row kv_head 1 d_head"],
        value: Float[Tensor, "row kv_head 1 d_value"],
        scaling: float,
    ) -> Float[Tensor, "row 1 head d_value"]:
        """Attention of the token over itself and whatever came before."""
        ...


def attention(
    module: Any,
    query: Float[Tensor, "row head query d_head"],
    key: Float[Tensor, "row kv_head key d_head"],
    value: Float[Tensor, "row kv_head key d_value"],
    attention_mask: Float[Tensor, "row 1 query key"] | Bool[Tensor, "row 1 1 1"] | None,
    one_query: OneQuery | None = None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Float[Tensor, "row query head d_value"], None]:
    """Attention of `one_query` where there is one, else sdpa. Without a mask it is causal, the last query being at the last key."""
    scaling = scaling if scaling is not None else query.shape[-1] ** -0.5
    if one_query is not None:
        return one_query.attend(module.layer_idx, query, key, value, scaling), None
    if attention_mask is None and 1 < query.shape[2] < key.shape[2]:
        return rearrange(chunk_attention(query, key, value, scaling), "row head query d_value -> row query head d_value"), None
    return ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, attention_mask, scaling=scaling, **options)


def chunk_attention(
    query: Float[Tensor, "row head query d_head"],
    key: Float[Tensor, "row kv_head key d_head"],
    value: Float[Tensor, "row kv_head key d_value"],
    scaling: float,
) -> Float[Tensor, "row head query d_value"]:
    """Causal attention of a chunk over everything before it and itself, without a mask of chunk x length.

    On the CPU, whose sdpa can align a causal mask with the first key only, past and chunk are attended to apart and weighed by their
    softmax denominators.
    """
    if query.device.type != "cpu" or key.shape[-1] != value.shape[-1]:
        aligned = causal_lower_right(query.shape[2], key.shape[2])
        return scaled_dot_product_attention(query, key, value, attn_mask=aligned, scale=scaling, enable_gqa=True)
    past = key.shape[2] - query.shape[2]
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    before, before_mass = flash(query, key[:, :, :past], value[:, :, :past], is_causal=False, scale=scaling)
    within, within_mass = flash(query, key[:, :, past:], value[:, :, past:], is_causal=True, scale=scaling)
    share = (before_mass - within_mass).sigmoid()[..., None].to(query.dtype)
    return torch.lerp(within, before, share)


def additive_mask(*, mask_function: Any, attention_mask: Tensor | None = None, dtype: torch.dtype, **options: Any) -> Tensor | None:
    """None where plain causal attention needs none, else transformers' mask, made additive once a forward and not once a layer.

    A padding position sees nothing: a least finite number keeps it from becoming NaN.
    """
    if mask_function is causal_mask_function and attention_mask is None:
        return None
    allowed = sdpa_mask(mask_function=mask_function, attention_mask=attention_mask, **options)
    if allowed is None:
        return None
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(~allowed, torch.finfo(dtype).min)


def use_own_attention(hf: Any) -> None:
    """Switch a model to this attention."""
    ALL_ATTENTION_FUNCTIONS.register(NAME, attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, additive_mask)
    hf.set_attn_implementation(NAME)
