"""Prefill in O(N) memory: the sdpa twin reads the prompts in chunks and leaves a cache that the bridge goes on from."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import DynamicCache

from mechdyn.decoding.engine import DecodeState
from mechdyn.models.model import Model

CHUNK = 2048
"""Tokens a chunk: a padded batch needs a chunk x length mask in each call."""
MIN_SHARED = 64
"""A common prefix shorter than this is not worth a forward of its own."""


def prefill(model: Model, prompts: Sequence[Int[Tensor, " _"]], chunk: int = CHUNK) -> DecodeState:
    """Run the prompts through the twin, chunk by chunk, as one batch of equal width.

    A prefix that all prompts share (a haystack up to its needle) is read once. The rest is padded on its left, so padding may lie
    between the shared prefix and the rest: position ids count visible tokens only.
    """
    n_shared = _shared_prefix(prompts) if len(prompts) > 1 else 0
    if n_shared < MIN_SHARED:
        n_shared = 0
    rest, rest_visible = left_pad([prompt[n_shared:] for prompt in prompts])
    visible = torch.cat([torch.ones(len(prompts), n_shared, dtype=torch.long), rest_visible], dim=1).to(model.device)
    cache = DynamicCache(config=model.twin.config)
    with torch.inference_mode():
        if n_shared:
            prefix = prompts[0][None, :n_shared].to(model.device)
            _read(model, cache, prefix, visible[:1, :n_shared], chunk)
            cache.batch_repeat_interleave(len(prompts))
        _read(model, cache, rest.to(model.device), visible, chunk)
    return DecodeState(cache, visible, visible.sum(dim=1))


def left_pad(prompts: Sequence[Int[Tensor, " _"]]) -> tuple[Int[Tensor, "row pos"], Int[Tensor, "row pos"]]:
    """Tokens of equal width and their visibility; what stands at padding is never read."""
    width = max(len(prompt) for prompt in prompts)
    tokens = torch.zeros(len(prompts), width, dtype=torch.long)
    visible = torch.zeros(len(prompts), width, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        start = width - len(prompt)
        tokens[row, start:] = prompt
        visible[row, start:] = 1
    return tokens, visible


def _shared_prefix(prompts: Sequence[Int[Tensor, " _"]]) -> int:
    """How many leading tokens all prompts have in common."""
    width = min(len(prompt) for prompt in prompts)
    stacked = torch.stack([prompt[:width] for prompt in prompts])
    return int((stacked == stacked[:1]).all(dim=0).long().cumprod(dim=0).sum())


def _read(model: Model, cache: Any, tokens: Int[Tensor, "row pos"], visible: Int[Tensor, "row key"], chunk: int) -> None:
    """Append tokens to the cache; `visible` covers what the cache holds already and the tokens."""
    before = visible.shape[1] - tokens.shape[1]
    positions = (visible.cumsum(dim=1) - 1).clamp(min=0)
    padded = not bool(visible.all())
    for start in range(0, tokens.shape[1], chunk):
        end = min(start + chunk, tokens.shape[1])
        model.twin(
            tokens[:, start:end],
            attention_mask=visible[:, : before + end] if padded else None,
            position_ids=positions[:, before + start : before + end],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
