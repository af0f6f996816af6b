"""Key-value caches of transformers: one that prefill fills in place, and the bridge engine's, which are values."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers.cache_utils import DynamicCache, DynamicLayer

from mechdyn.decoding.memory import Prompts


class PromptLayer(DynamicLayer):
    """One layer's keys and values, allocated once for all rows and positions and written in place, chunk by chunk.

    What is never written, to the left of a shorter prompt, is zero.
    """

    def __init__(self, n_rows: int, width: int) -> None:
        super().__init__()
        self.keys: Tensor | None = None
        self.values: Tensor | None = None
        self._shape, self._length = (n_rows, width), 0

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **options: Any) -> tuple[Tensor, Tensor]:
        start = self._length
        self._length += key_states.shape[2]
        keys, values = self.rooms(key_states, value_states)
        keys[:, :, start : self._length] = key_states
        values[:, :, start : self._length] = value_states
        return keys[:, :, : self._length], values[:, :, : self._length]

    def get_seq_length(self) -> int:
        return self._length

    def rooms(self, key_states: Tensor, value_states: Tensor) -> tuple[Tensor, Tensor]:
        """Where keys and values of all rows go, made when the first of them come."""
        if self.keys is None or self.values is None:
            n_rows, width = self._shape
            self.keys, self.values = (
                states.new_zeros(n_rows, states.shape[1], width, states.shape[3]) for states in (key_states, value_states)
            )
        return self.keys, self.values

    def spread(self, length: int) -> None:
        """What the first row holds, so many positions, is every row's."""
        for states in (self.keys, self.values):
            if states is not None:
                states[1:, :, :length] = states[:1, :, :length]
        self._length = length

    def copy_beginning(self, source: int, row: int, starts: tuple[int, int], length: int) -> None:
        """Give a row the first keys and values of another one; each row's prompt begins at its start."""
        for states in (self.keys, self.values):
            if states is not None:
                states[row, :, starts[1] : starts[1] + length] = states[source, :, starts[0] : starts[0] + length]


class PartLayer(DynamicLayer):
    """Some neighbouring rows of a `PromptLayer`, whose prompts all begin at `start`; `length` positions of them are written already."""

    def __init__(self, whole: PromptLayer, rows: slice, start: int, length: int = 0) -> None:
        super().__init__()
        self._whole, self._rows, self._start, self._end = whole, rows, start, start + length

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **options: Any) -> tuple[Tensor, Tensor]:
        new = slice(self._end, self._end + key_states.shape[2])
        self._end = new.stop
        keys, values = (states[self._rows] for states in self._whole.rooms(key_states, value_states))
        keys[:, :, new], values[:, :, new] = key_states, value_states
        return keys[:, :, self._start : self._end], values[:, :, self._start : self._end]

    def get_seq_length(self) -> int:
        return self._end - self._start


class WindowLayer(DynamicLayer):
    """One layer's last `room` keys and values: all that queries to come can see through its window.

    A chunk of one row is a prefix that all rows share; `spread` gives it to the others.
    """

    def __init__(self, n_rows: int, room: int) -> None:
        super().__init__()
        self.keys: Tensor | None = None
        self.values: Tensor | None = None
        self._n_rows, self._room, self._length = n_rows, room, 0

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **options: Any) -> tuple[Tensor, Tensor]:
        """What is held already and the chunk, more than is kept: the chunk's first queries see further back than its last."""
        self._length += key_states.shape[2]
        if self.keys is not None and self.values is not None:
            key_states, value_states = torch.cat([self.keys, key_states], dim=2), torch.cat([self.values, value_states], dim=2)
        self.keys, self.values = (states[:, :, -self._room :].contiguous() for states in (key_states, value_states))
        return key_states, value_states

    def get_seq_length(self) -> int:
        return self._length

    def spread(self, length: int) -> None:
        """What the first row holds is every row's; `length` is how many positions it has read."""
        if self.keys is not None and self.values is not None:
            self.keys, self.values = (states.expand(self._n_rows, -1, -1, -1) for states in (self.keys, self.values))


def to_cache(prompts: Prompts) -> DynamicCache:
    """A growing cache that begins with the prompts' keys and values, not copied. Where a layer has forgotten keys, there are zeros."""
    cache = DynamicCache()
    for held_keys, held_values in zip(prompts.keys, prompts.values, strict=True):
        forgotten = prompts.length - held_keys.shape[2]
        keys, values = (pad(states, (0, 0, forgotten, 0)) if forgotten else states for states in (held_keys, held_values))
        layer = DynamicLayer()
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = keys, values
        cache.layers.append(layer)
    return cache


def to_prompts(cache: Any) -> Prompts:
    """The way back; where padding is, only the state knows."""
    return Prompts(tuple(layer.keys for layer in cache.layers), tuple(layer.values for layer in cache.layers), None, cache.get_seq_length())


def shallow_copy(cache: Any) -> Any:
    """A cache that shares its tensors with the original and grows apart from it: appending makes new tensors."""
    fork = copy.copy(cache)
    fork.layers = [copy.copy(layer) for layer in cache.layers]
    return fork


def select_rows(cache: Any, rows: Sequence[int]) -> Any:
    """The named rows, in that order; a row may be named several times."""
    fork = shallow_copy(cache)
    if fork.layers:
        fork.batch_select_indices(torch.tensor(list(rows)))
    return fork
