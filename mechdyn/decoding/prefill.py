"""Prefill in O(N) memory: the sdpa twin reads the prompts in chunks and leaves keys and values that any engine goes on from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import pad
from transformers.cache_utils import Cache

from mechdyn.decoding.cache import PartLayer, PromptLayer, WindowLayer
from mechdyn.decoding.capture import Sight, hooked_points, mask_and_windows
from mechdyn.decoding.memory import Prompts
from mechdyn.decoding.prefixes import MIN_SHARED, groups_of
from mechdyn.errors import InputError
from mechdyn.models.attention import until_keys_of
from mechdyn.models.footprint import CHUNK
from mechdyn.models.model import Model
from mechdyn.models.windows import ChunkView, widest_gaps

HOOKED_CHUNK = 256
"""Tokens a chunk through the bridge, which holds a chunk x length pattern for every head."""


@dataclass(frozen=True, eq=False)
class Prefilled:
    """Keys and values of a batch of prompts, where they are visible, their position ids, and each row's next one."""

    prompts: Prompts
    visible: Int[Tensor, "row pos"]
    positions: Int[Tensor, "row pos"]
    next_position: Int[Tensor, " row"]


@torch.inference_mode()
def prefill(
    model: Model,
    prompts: Sequence[Int[Tensor, " _"]],
    positions: Sequence[Int[Tensor, " _"]] | None = None,
    chunk: int | None = None,
    apart: bool = False,
) -> Prefilled:
    """Run the prompts through the twin, chunk by chunk; the state has them left padded to one width.

    Neighbours of one length are read together and the others apart, so that no forward has padding, which would cost masks and half of
    causal attention's gain. What a prompt shares with the beginning of one before it (a haystack up to its needle) is read once and copied.
    Prompts shorter than `MIN_SHARED` tokens are read as one padded batch, unless `apart`. Where layers have windows, or the bridge carries
    hooks, so are all prompts; there a prefix is read once if all have it, and padding may lie between it and the rest.
    """
    positions = check_positions(prompts, positions)
    longest = max(map(len, prompts))
    if hooked_points(model) or any(window is not None for window in model.windows):
        return _stacked(model, prompts, positions, chunk) if apart and all(map(len, prompts)) else _padded(model, prompts, positions, chunk)
    if not longest or (longest < MIN_SHARED and not apart):
        return _padded(model, prompts, positions, chunk)
    tokens, visible = left_pad(prompts)
    laid, _ = left_pad(positions)
    layers = [PromptLayer(*tokens.shape) for _ in range(model.n_layers)]
    for group in groups_of(prompts, positions):
        start = tokens.shape[1] - group.length
        if group.source is not None:
            for layer in layers:
                layer.copy_beginning(group.source, group.rows.start, (tokens.shape[1] - len(prompts[group.source]), start), group.n_shared)
        parts = [PartLayer(layer, group.rows, start, group.n_shared) for layer in layers]
        seen = visible[group.rows, start:], laid[group.rows, start:]
        _Reader(model, Cache(layers=parts), chunk)(tokens[group.rows, start + group.n_shared :], seen[1], seen[0])
    return _filled(model, layers, visible, laid, behind(positions))


def _padded(model: Model, prompts: Sequence[Int[Tensor, " _"]], positions: Sequence[Int[Tensor, " _"]], chunk: int | None) -> Prefilled:
    """All prompts as one batch. A prefix that all share is read once; the rest is padded on its left, behind the prefix."""
    n_shared = min(_shared_prefix(prompts), _shared_prefix(positions)) if len(prompts) > 1 else 0
    if n_shared < MIN_SHARED:
        n_shared = 0
    rest, rest_visible = left_pad([prompt[n_shared:] for prompt in prompts])
    rest_positions, _ = left_pad([row[n_shared:] for row in positions])
    visible = torch.cat([torch.ones(len(prompts), n_shared, dtype=torch.long), rest_visible], dim=1)
    laid = torch.cat([positions[0][None, :n_shared].expand(len(prompts), -1), rest_positions], dim=1)
    layers = _layers(model, visible)
    if n_shared:
        first = [PartLayer(layer, slice(0, 1), 0) if isinstance(layer, PromptLayer) else layer for layer in layers]
        _Reader(model, Cache(layers=first), chunk)(prompts[0][None, :n_shared], laid[:1, :n_shared], visible[:1, :n_shared])
        for layer in layers:
            layer.spread(n_shared)
    _Reader(model, Cache(layers=layers), chunk)(rest, laid, visible)
    return _filled(model, layers, visible, laid, behind(positions))


def _stacked(model: Model, prompts: Sequence[Int[Tensor, " _"]], positions: Sequence[Int[Tensor, " _"]], chunk: int | None) -> Prefilled:
    """Each prompt read by itself: where lengths differ much, padding and its masks cost more than batching gains."""
    found = [_padded(model, [prompt], [row], chunk) for prompt, row in zip(prompts, positions, strict=True)]
    width = max(one.visible.shape[1] for one in found)
    visible = torch.cat([pad(one.visible, (width - one.visible.shape[1], 0)) for one in found])
    laid = torch.cat([pad(one.positions, (width - one.positions.shape[1], 0)) for one in found])
    return Prefilled(Prompts.stack([one.prompts for one in found]), visible, laid, torch.cat([one.next_position for one in found]))


@torch.inference_mode()
def extend(model: Model, held: Prefilled, tokens: Sequence[Int[Tensor, " _"]], chunk: int | None = None, keep: int = 0) -> Prefilled:
    """Read some more tokens of each row, none for some if you like. What is held stays as it was and is copied once.

    The tokens are padded on their left, so padding may lie between them and what the row held before. Layers with a window hold `keep`
    keys more than the next token sees.
    """
    more, more_visible = left_pad(tokens)
    positions, next_position = going_on(held.next_position.cpu(), more_visible)
    visible = torch.cat([held.visible.cpu(), more_visible], dim=1)
    laid = torch.cat([held.positions.cpu(), positions], dim=1)
    layers = _layers(model, visible, keep)
    for layer, keys, values in zip(layers, held.prompts.keys, held.prompts.values, strict=False):
        layer.update(keys, values)
    _Reader(model, Cache(layers=layers), chunk)(more, laid, visible)
    return _filled(model, layers, visible, laid, next_position)


def _layers(model: Model, visible: Int[Tensor, "row pos"], keep: int = 0) -> list[PromptLayer | WindowLayer]:
    """Room for these positions; where a layer has a window, for those that can still be seen through it, and `keep` before them.

    The bridge, where it reads the prompts itself, shows its user whole rows, so that it needs all keys.
    """
    (n_rows, width), gaps = visible.shape, widest_gaps(visible.bool())
    windows = (None,) * model.n_layers if hooked_points(model) else model.windows
    rooms = (width if window is None else window + gaps + keep for window in windows)
    return [PromptLayer(n_rows, width) if room >= width else WindowLayer(n_rows, room) for room in rooms]


def _filled(
    model: Model,
    layers: Sequence[PromptLayer | WindowLayer],
    visible: Int[Tensor, "row pos"],
    positions: Int[Tensor, "row pos"],
    next_position: Int[Tensor, " row"],
) -> Prefilled:
    """What a cache holds after it has been read."""
    padding = None if visible.all() else ~visible.bool().to(model.device)
    filled = [(layer.keys, layer.values) for layer in layers if layer.keys is not None and layer.values is not None]
    prompts = Prompts(tuple(keys for keys, _ in filled), tuple(values for _, values in filled), padding, visible.shape[1])
    return Prefilled(prompts, visible.to(model.device), positions.to(model.device), next_position.to(model.device))


class _Reader:
    """Appends tokens to a cache, chunk by chunk: through the twin, or where the bridge carries hooks, through the bridge."""

    def __init__(self, model: Model, cache: Cache, chunk: int | None) -> None:
        self._model, self._cache = model, cache
        self._hooked, self._windowed = bool(hooked_points(model)), any(window is not None for window in model.windows)
        # A model whose weights come and go with its layers must finish each of them.
        self._last = None if getattr(model.twin, "hf_device_map", None) else model.n_layers - 1
        self._chunk = chunk or (HOOKED_CHUNK if self._hooked else CHUNK)

    def __call__(self, tokens: Int[Tensor, "row pos"], positions: Int[Tensor, "row key"], visible: Int[Tensor, "row key"]) -> None:
        """`positions` and `visible` cover what the cache holds already and the tokens."""
        device, before = self._model.device, visible.shape[1] - tokens.shape[1]
        padded = not bool(visible.all())
        tokens, positions, visible = tokens.to(device), positions.to(device), visible.to(device)
        for start in range(0, tokens.shape[1], self._chunk):
            end = min(start + self._chunk, tokens.shape[1])
            self._read(tokens[:, start:end], positions[:, : before + end], visible[:, : before + end], padded)

    def _read(
        self, tokens: Int[Tensor, "row pos"], positions: Int[Tensor, "row key"], visible: Int[Tensor, "row key"], padded: bool
    ) -> None:
        """One chunk."""
        with until_keys_of(None if self._hooked else self._last):
            self._forward(tokens, positions, visible, padded)

    def _forward(
        self, tokens: Int[Tensor, "row pos"], positions: Int[Tensor, "row key"], visible: Int[Tensor, "row key"], padded: bool
    ) -> None:
        model, n_read = self._model, tokens.shape[1]
        queries = positions[:, positions.shape[1] - n_read :]
        forward = partial(
            model.bridge if self._hooked else model.twin,
            tokens,
            position_ids=queries,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
            **({"return_type": "logits_and_cache"} if self._hooked else {}),
        )
        if not self._windowed:
            forward(attention_mask=visible if padded else None)
        elif self._hooked:
            mask, forgetting = mask_and_windows(model, Sight(model.windows, visible, positions, queries))
            with model.bridge.hooks(fwd_hooks=forgetting):
                forward(attention_mask=mask)
        else:
            # A mask that is 4-D already is passed on as it is; the view has its own.
            passed_on = torch.ones(len(tokens), 1, 1, 1, dtype=torch.bool, device=tokens.device)
            forward(attention_mask=passed_on, chunk_view=ChunkView(model.windows, visible.bool(), positions, n_read))


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


def going_on(next_position: Int[Tensor, " row"], visible: Int[Tensor, "row pos"]) -> tuple[Int[Tensor, "row pos"], Int[Tensor, " row"]]:
    """Position ids of left-padded tokens that follow, and of what follows them."""
    positions = next_position[:, None] + visible.cumsum(dim=1) - 1
    return positions.clamp(min=0), next_position + visible.sum(dim=1)


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
