"""Attention rows of a prompt's own positions, reduced as they come: memory grows with the prompt's length, never with its square."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechdyn.decoding.cache import to_cache
from mechdyn.decoding.capture import Hook, Sight, mask_and_windows
from mechdyn.decoding.prefill import Prefilled, prefill
from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.models.model import Model

CHUNK = 64
"""Query positions at a time: a layer's rows are held for so many of them."""
Take = Callable[[int, Int[Tensor, " query"], Float[Tensor, "head query key"]], None]
"""Is given a layer, some query positions and their attention rows, over all keys up to the last of these queries."""


@torch.inference_mode()
def read_rows(
    model: Model,
    tokens: Int[Tensor, " pos"],
    queries: Int[Tensor, " query"],
    take: Take,
    *,
    held: Prefilled | None = None,
    chunk: int = CHUNK,
) -> None:
    """Show `take` the attention rows of some positions of a prompt, of every layer and head, a chunk of positions after another.

    What stands before the first of the positions is read by the prefill, in O(length) memory. From there on the bridge reads `chunk` tokens
    at a time, and a layer's rows (heads x chunk x length numbers) are dropped as soon as `take` has seen them.

    Args:
        model: what `load_model` returned.
        tokens: the whole prompt.
        queries: positions, ascending.
        take: called for each chunk with a position in it, layer by layer.
        held: what `prefill` gave for the beginning of these tokens, no further than the first position, where several prompts share it.
        chunk: tokens at a time.

    Raises:
        InputError: positions outside the prompt or out of order, or a beginning that is too long.
        UnsupportedModelError: a `HookedTransformer`, which keeps no cache.
    """
    if model.twin is None:
        raise UnsupportedModelError(f"{model.name}: a HookedTransformer keeps no cache to read rows behind; load the model with load_model")
    wanted = queries.tolist()
    if not wanted or wanted != sorted(set(wanted)) or wanted[0] < 0 or wanted[-1] >= len(tokens):
        raise InputError(f"positions ascend from 0 to {len(tokens) - 1} (the prompt has {len(tokens)} tokens), got {wanted[:8]}")
    held = prefill(model, [tokens[: wanted[0]]]) if held is None else held
    n_held = held.visible.shape[1]
    if n_held > wanted[0] or len(held.next_position) != 1:
        raise InputError(f"what is held must be one prompt of at most {wanted[0]} tokens, got {tuple(held.visible.shape)}")
    cache = to_cache(held.prompts)
    for start in range(n_held, wanted[-1] + 1, chunk):
        end = min(start + chunk, len(tokens))
        asked = queries[(queries >= start) & (queries < end)]
        _read(model, tokens[start:end], start, cache, [_hook(layer, asked, start, take) for layer in range(model.n_layers)])


def mean_rows(
    model: Model, tokens: Int[Tensor, " pos"], start: int, n_keys: int, *, held: Prefilled | None = None
) -> Float[Tensor, "layer head key"]:
    """The mean attention row of the positions from `start` to the prompt's end, over the first `n_keys` keys; on the CPU.

    Args and errors are those of `read_rows`.
    """
    total = torch.zeros(model.n_layers, model.n_heads, n_keys)

    def add(layer: int, queries: Int[Tensor, " query"], rows: Float[Tensor, "head query key"]) -> None:
        total[layer] += rows[..., :n_keys].float().sum(dim=1).cpu()

    read_rows(model, tokens, torch.arange(start, len(tokens)), add, held=held)
    return total / (len(tokens) - start)


def _read(model: Model, tokens: Int[Tensor, " pos"], start: int, cache: Any, hooks: list[Hook]) -> None:
    """One chunk through the bridge, appended to the cache."""
    positions = torch.arange(start + len(tokens), device=model.device)[None]
    mask, forgetting = mask_and_windows(model, Sight(model.windows, torch.ones_like(positions), positions, positions[:, start:]))
    with model.bridge.hooks(fwd_hooks=forgetting + hooks):
        model.bridge(
            tokens[None].to(model.device),
            past_key_values=cache,
            attention_mask=mask,
            position_ids=positions[:, start:],
            use_cache=True,
            logits_to_keep=1,
            return_type="logits_and_cache",
        )


def _hook(layer: int, asked: Int[Tensor, " query"], start: int, take: Take) -> Hook:
    def read(take: Take, pattern: Tensor, hook: Any) -> None:
        if len(asked):
            take(layer, asked, pattern[0][:, (asked - start).to(pattern.device)])

    return f"blocks.{layer}.attn.hook_pattern", partial(read, take)
