"""Key-value caches as values: forks share tensors and grow apart."""

import copy
from collections.abc import Sequence
from typing import Any

import torch

from mechdyn.decoding.engine import DecodeState


def shallow_copy(cache: Any) -> Any:
    """A cache that shares its tensors with the original and grows apart from it: appending makes new tensors."""
    fork = copy.copy(cache)
    fork.layers = [copy.copy(layer) for layer in cache.layers]
    return fork


def fork_rows(state: DecodeState, rows: Sequence[int]) -> DecodeState:
    """The named rows of a state, in that order; a row may be named several times."""
    index = torch.tensor(list(rows), device=state.visible.device)
    memory = shallow_copy(state.memory)
    if memory.get_seq_length():
        memory.batch_select_indices(index)
    return DecodeState(memory, state.visible[index], state.next_position[index])
