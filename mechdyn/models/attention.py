"""An attention function for transformers that lets a decode step do its own attention, and is sdpa otherwise."""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
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
    attention_mask: Tensor | None,
    one_query: OneQuery | None = None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Float[Tensor, "row query head d_value"], None]:
    """Without `one_query` this is transformers' own sdpa."""
    if one_query is None:
        return ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, attention_mask, scaling=scaling, **options)
    return one_query.attend(module.layer_idx, query, key, value, scaling if scaling is not None else query.shape[-1] ** -0.5), None


def use_own_attention(hf: Any) -> None:
    """Switch a model to this attention."""
    ALL_ATTENTION_FUNCTIONS.register(NAME, attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, sdpa_mask)
    hf.set_attn_implementation(NAME)
