"""Prefill in O(N) memory: the sdpa twin reads the prompts in chunks and leaves a cache that the bridge goes on from."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import DynamicCache

from mechdyn.decoding.engine import DecodeState
from mechdyn.models.model import Model

CHUNK = 2048
"""Tokens a chunk: a padded batch needs a chunk x length mask in each call."""


def prefill(model: Model, prompts: Sequence[Int[Tensor, " _"]], chunk: int = CHUNK) -> DecodeState:
    """Left-pad the prompts to one width and run them through the twin, chunk by chunk."""
    tokens, visible = left_pad(prompts)
    tokens, visible = tokens.to(model.device), visible.to(model.device)
    positions = (visible.cumsum(dim=1) - 1).clamp(min=0)
    padded = not bool(visible.all())
    cache = DynamicCache(config=model.twin.config)
    with torch.inference_mode():
        for start in range(0, tokens.shape[1], chunk):
            end = min(start + chunk, tokens.shape[1])
            model.twin(
                tokens[:, start:end],
                attention_mask=visible[:, :end] if padded else None,
                position_ids=positions[:, start:end],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
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
