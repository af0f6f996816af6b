"""An attention function for transformers that lets a decode step do its own attention, and is sdpa otherwise where sdpa can do it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, causal_mask_function, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from mechdyn.models.windows import ChunkView, additive

NAME = "mechdyn_attention"
_BLOCK = 256
"""Queries that are attended to at once where a layer has a window: a block then reads little more than its window."""
_LARGEST = 1 << 23
"""Scores that are held at once where sdpa cannot make the weights."""

Block = tuple[int, Float[Tensor, "row 1 query key"]]
"""The first key that a block of queries reads, and what is added to its scores over the keys from there to the last query's own."""


@dataclass(frozen=True, eq=False)
class Weighing:
    """How a layer makes weights of the products of queries and keys.

    They are scaled; capped softly to what lies between minus and plus `softcap` (Gemma 2); and where there are `sinks`, one a head, these
    stand beside the scores in the softmax and are dropped behind it, so that a row of weights sums to less than 1 (gpt-oss). `window` is
    what the architecture gives as its sliding window.
    """

    scaling: float
    softcap: float | None = None
    sinks: Float[Tensor, " head"] | None = None
    window: int | None = None

    @property
    def plain(self) -> bool:
        """Whether sdpa makes the same weights."""
        return self.softcap is None and self.sinks is None

    def scores(self, products: Float[Tensor, "... query key"]) -> Float[Tensor, "... query key"]:
        """The scores before the softmax, in place of the products."""
        products.mul_(self.scaling)
        return products if self.softcap is None else products.div_(self.softcap).tanh_().mul_(self.softcap)


def weights(scores: Float[Tensor, "... query key"], sinks: Float[Tensor, "... 1"] | None = None) -> Float[Tensor, "... query key"]:
    """Softmax in float32 over the keys, and over a sink beside them, in the dtype of the scores."""
    if sinks is None:
        return scores.softmax(dim=-1, dtype=torch.float32).to(scores.dtype)
    beside = torch.cat([scores, sinks.to(scores.dtype).expand(*scores.shape[:-1], 1)], dim=-1)
    return beside.softmax(dim=-1, dtype=torch.float32)[..., :-1].to(scores.dtype)


def by_key_head(query: Float[Tensor, "row head 1 d_head"], n_kv_heads: int) -> Float[Tensor, "row kv_head group d_head"]:
    """One query's heads beside the key head that they share."""
    return rearrange(query, "row (kv_head group) 1 d_head -> row kv_head group d_head", kv_head=n_kv_heads)


def by_head(rows: Float[Tensor, "row kv_head group key"]) -> Float[Tensor, "row head key"]:
    """Attention rows a head."""
    return rearrange(rows, "row kv_head group key -> row (kv_head group) key")


def query_first(z: Float[Tensor, "row kv_head group d_value"]) -> Float[Tensor, "row 1 head d_value"]:
    """What one query's heads give, as transformers wants it."""
    return rearrange(z, "row kv_head group d_value -> row 1 (kv_head group) d_value")


def sinks_by_key_head(
    sinks: Float[Tensor, " head"] | None, n_kv_heads: int, n_copies: int = 1
) -> Float[Tensor, "1 kv_head copy_group 1"] | None:
    """Sinks beside the scores of grouped queries, `n_copies` of each group."""
    return None if sinks is None else repeat(sinks, "(kv_head group) -> 1 kv_head (copy group) 1", kv_head=n_kv_heads, copy=n_copies)


@runtime_checkable
class OneQuery(Protocol):
    """Passed through a model's forward as `one_query`: does every layer's attention of the one token that is fed."""

    def attend(
        self,
        layer: int,
        query: Float[Tensor, "row head 1 d_head"],
        key: Float[Tensor, "row kv_head 1 d_head"],
        value: Float[Tensor, "row kv_head 1 d_value"],
        how: Weighing,
    ) -> Float[Tensor, "row 1 head d_value"]:
        """Attention of the token over itself and whatever came before."""
        ...


_LAST: ContextVar[int | None] = ContextVar("_LAST", default=None)


class _KeysHeld(Exception):
    """A forward has given its last keys and values."""


@contextmanager
def until_keys_of(layer: int | None) -> Iterator[None]:
    """A forward inside ends as soon as this layer has put its keys and values into the cache; one whose attention is its own goes on.

    All that is left to do, the layer's attention and what comes behind it, would change no key and no value.
    """
    before = _LAST.set(layer)
    try:
        yield
    except _KeysHeld:
        pass
    finally:
        _LAST.reset(before)


def attention(
    module: Any,
    query: Float[Tensor, "row head query d_head"],
    key: Float[Tensor, "row kv_head key d_head"],
    value: Float[Tensor, "row kv_head key d_value"],
    attention_mask: Float[Tensor, "row 1 query key"] | Bool[Tensor, "row 1 1 1"] | None,
    one_query: OneQuery | None = None,
    chunk_view: ChunkView | None = None,
    **options: Any,
) -> tuple[Float[Tensor, "row query head d_value"], None]:
    """Attention of `one_query` where there is one, else sdpa, or blocks of queries where sdpa will not do.

    What a query sees is told by `chunk_view` where there is one, else by the mask; without a mask it is causal, the last query being at the
    last key. Of the options that transformers gives an attention function, `scaling`, `softcap`, `s_aux` (the sinks' logits by head) and
    `sliding_window` are meant for this one, the others for sdpa.
    """
    scaling, *others = (options.pop(name, None) for name in ("scaling", "softcap", "s_aux", "sliding_window"))
    how = Weighing(query.shape[-1] ** -0.5 if scaling is None else scaling, *others)
    if module.layer_idx == _LAST.get():
        raise _KeysHeld
    if one_query is not None:
        return one_query.attend(module.layer_idx, query, key, value, how), None
    if chunk_view is not None and (chunk_view.windows[module.layer_idx] is not None or not how.plain):
        see = partial(chunk_view.block, chunk_view.windows[module.layer_idx], key.shape[2], query)
        return _rows_first(block_attention(query, key, value, how, see)), None
    if chunk_view is not None:
        attention_mask = chunk_view.whole(query)
    if not how.plain:
        see = partial(_block_of_mask, attention_mask, key.shape[2] - query.shape[2], query)
        return _rows_first(block_attention(query, key, value, how, see)), None
    if attention_mask is None and 1 < query.shape[2] < key.shape[2]:
        return _rows_first(chunk_attention(query, key, value, how.scaling)), None
    return ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, attention_mask, scaling=how.scaling, **options)


def _rows_first(z: Float[Tensor, "row head query d_value"]) -> Float[Tensor, "row query head d_value"]:
    return rearrange(z, "row head query d_value -> row query head d_value")


def block_attention(
    query: Float[Tensor, "row head query d_head"],
    key: Float[Tensor, "row kv_head key d_head"],
    value: Float[Tensor, "row kv_head key d_value"],
    how: Weighing,
    see: Callable[[int, int], Block],
) -> Float[Tensor, "row head query d_value"]:
    """Attention of a few queries at a time over the keys that those see: `see(start, end)`. The last query is at the last key.

    With a window the work and the masks are as long as the window, however long the prompt.
    """
    n_queries, behind = query.shape[2], key.shape[2] - query.shape[2]
    size = _BLOCK if how.plain else max(1, min(_BLOCK, _LARGEST // (query.shape[0] * query.shape[1] * key.shape[2])))
    attend = _sdpa if how.plain else _explicit
    found = []
    for start in range(0, n_queries, size):
        end = min(start + size, n_queries)
        first, mask = see(start, end)
        keys, values = (states[:, :, first : behind + end] for states in (key, value))
        found.append(attend(query[:, :, start:end], keys, values, how, mask))
    return torch.cat(found, dim=2)


def _sdpa(query: Tensor, key: Tensor, value: Tensor, how: Weighing, mask: Tensor) -> Tensor:
    return scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=how.scaling, enable_gqa=True)


def _explicit(query: Tensor, key: Tensor, value: Tensor, how: Weighing, mask: Tensor) -> Tensor:
    grouped = rearrange(query, "row (kv_head group) query d_head -> row kv_head (group query) d_head", kv_head=key.shape[1])
    sizes = {"kv_head": key.shape[1], "query": query.shape[2]}
    products = rearrange(grouped @ key.mT, "row kv_head (group query) key -> row (kv_head group) query key", **sizes)
    sinks = None if how.sinks is None else rearrange(how.sinks, "head -> 1 head 1 1")
    pattern = weights(how.scores(products).add_(mask), sinks)
    z = rearrange(pattern, "row (kv_head group) query key -> row kv_head (group query) key", kv_head=key.shape[1]) @ value
    return rearrange(z, "row kv_head (group query) d_value -> row (kv_head group) query d_value", query=query.shape[2])


def _block_of_mask(mask: Tensor | None, behind: int, like: Tensor, start: int, end: int) -> Block:
    """A block of transformers' own mask; without one it is causal, `behind` keys being before the first query."""
    if mask is not None:
        return 0, mask[:, :, start:end, : behind + end]
    places = torch.arange(behind + end, device=like.device)
    return 0, additive((places <= places[behind + start :, None])[None], like.dtype)


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
    """None where plain causal attention needs none, else transformers' mask, made additive once a forward and not once a layer."""
    if mask_function is causal_mask_function and attention_mask is None:
        return None
    allowed = sdpa_mask(mask_function=mask_function, attention_mask=attention_mask, **options)
    return None if allowed is None else additive(allowed[:, 0], dtype)


def use_own_attention(hf: Any) -> None:
    """Switch a model to this attention; one whose attention is code of its own keeps that.

    Raises:
        ValueError: it takes some other attention functions, but none that gives what sdpa does.
    """
    if hf._can_set_attn_implementation() and not (hf._supports_sdpa or hf._supports_attention_backend):
        raise ValueError(f"{type(hf).__name__} does not support attention through sdpa, nor any function in its place")
    ALL_ATTENTION_FUNCTIONS.register(NAME, attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, additive_mask)
    hf.set_attn_implementation(NAME)
