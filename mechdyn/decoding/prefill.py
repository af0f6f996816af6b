"""Prefill in O(N) memory: the sdpa twin reads the prompts in chunks and leaves a cache that the bridge goes on from."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import DynamicCache

from mechdyn.decoding.cache import shallow_copy, stack_rows
from mechdyn.decoding.engine import DecodeState
from mechdyn.errors import InputError
from mechdyn.models.model import Model

CHUNK = 2048
"""Tokens a chunk: a padded batch needs a chunk x length mask in each call."""
MIN_SHARED = 64
"""A common prefix shorter than this is not worth a forward of its own."""


def prefill(
    model: Model, prompts: Sequence[Int[Tensor, " _"]], positions: Sequence[Int[Tensor, " _"]] | None = None, chunk: int = CHUNK
) -> DecodeState:
    """Run the prompts through the twin, chunk by chunk, as one batch of equal width.

    A prefix that all prompts share (a haystack up to its needle) is read once. The rest is padded on its left, so padding may lie
    between the shared prefix and the rest.
    """
    positions = check_positions(prompts, positions)
    n_shared = min(_shared_prefix(prompts), _shared_prefix(positions)) if len(prompts) > 1 else 0
    if n_shared < MIN_SHARED:
        n_shared = 0
    rest, rest_visible = left_pad([prompt[n_shared:] for prompt in prompts])
    rest_positions, _ = left_pad([row[n_shared:] for row in positions])
    visible = torch.cat([torch.ones(len(prompts), n_shared, dtype=torch.long), rest_visible], dim=1).to(model.device)
    cache = DynamicCache(config=model.twin.config)
    with torch.inference_mode():
        if n_shared:
            _read(model, cache, prompts[0][None, :n_shared], positions[0][None, :n_shared], visible[:1, :n_shared], chunk)
            cache.batch_repeat_interleave(len(prompts))
        _read(model, cache, rest, rest_positions, visible, chunk)
    return DecodeState(cache, visible, behind(positions).to(model.device))


def prefill_apart(
    model: Model, prompts: Sequence[Int[Tensor, " _"]], positions: Sequence[Int[Tensor, " _"]] | None = None, chunk: int = CHUNK
) -> DecodeState:
    """The same state, each prompt read by itself: where lengths differ much, padding and its masks cost more than batching gains.

    Prompts are of at least one token.
    """
    positions = check_positions(prompts, positions)
    states = [prefill(model, [prompt], [row], chunk) for prompt, row in zip(prompts, positions, strict=True)]
    return stack_rows(states, model.twin.config)


def extend(model: Model, state: DecodeState, tokens: Sequence[Int[Tensor, " _"]], chunk: int = CHUNK) -> DecodeState:
    """The state behind some more tokens of each row, none for some if you like; the state given stays as it was.

    What is appended is padded on its left, so padding may lie between it and what the row held before.
    """
    more, more_visible = left_pad(tokens)
    if not more.shape[1]:
        return state
    lengths = more_visible.sum(dim=1).to(model.device)
    offset = torch.arange(more.shape[1], device=model.device) - (more.shape[1] - lengths[:, None])
    positions = (state.next_position[:, None] + offset).clamp(min=0)
    visible = torch.cat([state.visible, more_visible.to(model.device)], dim=1)
    cache = shallow_copy(state.memory)
    with torch.inference_mode():
        _read(model, cache, more, positions, visible, chunk)
    return DecodeState(cache, visible, state.next_position + lengths)


def check_positions(prompts: Sequence[Int[Tensor, " _"]], positions: Sequence[Int[Tensor, " _"]] | None) -> list[Int[Tensor, " _"]]:
    """Position ids of every token: as given, or counted from 0."""
    if positions is None:
        return [torch.arange(len(prompt)) for prompt in prompts]
    if [len(row) for row in positions] != [len(prompt) for prompt in prompts]:
        wanted, got = [len(prompt) for prompt in prompts], [len(row) for row in positions]
        raise InputError(f"positions must give one id a token, got rows of {got} for prompts of {wanted} tokens")
    for row in positions:
        if len(row) and (int(row[0]) < 0 or not bool((row.diff() > 0).all())):
            raise InputError(f"positions must ascend from 0 or above, got {row.tolist()[:8]} ...")
    return list(positions)


def behind(positions: Sequence[Int[Tensor, " _"]]) -> Int[Tensor, " row"]:
    """The position id that follows each row's last."""
    return torch.tensor([int(row[-1]) + 1 if len(row) else 0 for row in positions])


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


def _read(
    model: Model, cache: Any, tokens: Int[Tensor, "row pos"], positions: Int[Tensor, "row pos"], visible: Int[Tensor, "row key"], chunk: int
) -> None:
    """Append tokens to the cache; `visible` covers what the cache holds already and the tokens."""
    before = visible.shape[1] - tokens.shape[1]
    tokens, positions = tokens.to(model.device), positions.to(model.device)
    padded = not bool(visible.all())
    for start in range(0, tokens.shape[1], chunk):
        end = min(start + chunk, tokens.shape[1])
        model.twin(
            tokens[:, start:end],
            attention_mask=visible[:, : before + end] if padded else None,
            position_ids=positions[:, start:end],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
