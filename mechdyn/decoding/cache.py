"""Key-value caches as values: forks share tensors and grow apart."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache

from mechdyn.decoding.engine import DecodeState


def shallow_copy(cache: Any) -> Any:
    """A cache that shares its tensors with the original and grows apart from it: appending makes new tensors."""
    fork = copy.copy(cache)
    fork.layers = [copy.copy(layer) for layer in cache.layers]
    return fork


def fork_rows(state: DecodeState, rows: Sequence[int]) -> DecodeState:
    """The named rows of a state, in that order; a row may be named several times."""
    index = torch.tensor(list(rows))  # on the CPU: layers may lie on several devices
    memory = shallow_copy(state.memory)
    if memory.get_seq_length():
        memory.batch_select_indices(index)
    return DecodeState(memory, state.visible[index], state.next_position[index])


def stack_rows(states: Sequence[DecodeState], config: Any) -> DecodeState:
    """One state of all rows of several, in order, padded on their left to the widest; the model's `config` says what its cache is like."""
    width = max(state.visible.shape[1] for state in states)
    cache = DynamicCache(config=config)
    for layer in range(len(states[0].memory.layers)):
        keys = torch.cat([_widened(state.memory.layers[layer].keys, width) for state in states])
        values = torch.cat([_widened(state.memory.layers[layer].values, width) for state in states])
        cache.update(keys, values, layer)
    visible = torch.cat([pad(state.visible, (width - state.visible.shape[1], 0)) for state in states])
    return DecodeState(cache, visible, torch.cat([state.next_position for state in states]))


def _widened(tensor: Tensor, width: int) -> Tensor:
    """Zeros before the first key: padding that is never read."""
    return pad(tensor, (0, 0, width - tensor.shape[2], 0))
