"""What the fast engine remembers: the prompts' keys and values, never written to, and a short tail of fed tokens.

States are values although nothing long is ever copied: a step makes a new tail and leaves the prompts where they are, and a fork only says
which prompt each of its rows goes on from. Rows that share a prompt have its keys and values read once for all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn.functional import pad

Layers = tuple[Float[Tensor, "_ kv_head _pos _d"], ...]


@dataclass(frozen=True, eq=False)
class Prompts:
    """Keys and values of every layer, left padded (`padding` is None where nothing is). Empty prompts have no layers at all.

    `length` counts positions, padding included. A layer with a sliding window has only the last of them, as many as steps to come can see.
    """

    keys: Layers
    values: Layers
    padding: Bool[Tensor, "prompt pos"] | None
    length: int

    def narrow(self, first: int, last: int) -> "Prompts":
        """Neighbouring prompts, without a copy."""
        return self._map(lambda tensor: tensor[first : last + 1])

    def select(self, chosen: Sequence[int]) -> "Prompts":
        """Some of the prompts, copied."""
        index = torch.tensor(list(chosen))
        return self._map(lambda tensor: tensor[index])

    @classmethod
    def stack(cls, each: Sequence["Prompts"]) -> "Prompts":
        """All prompts of several, in order, padded on their left to the longest. None of them is empty."""
        width = max(one.length for one in each)
        keys = tuple(map(_stack_layer, zip(*(one.keys for one in each), strict=True)))
        values = tuple(map(_stack_layer, zip(*(one.values for one in each), strict=True)))
        padding = torch.cat([pad(one.hidden(), (width - one.length, 0), value=True) for one in each])
        return cls(keys, values, padding if padding.any() else None, width)

    def hidden(self) -> Bool[Tensor, "prompt pos"]:
        """True at padding."""
        shape = (self.keys[0].shape[0], self.length)
        return self.padding if self.padding is not None else torch.zeros(shape, dtype=torch.bool, device=self.keys[0].device)

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Prompts":
        padding = change(self.padding) if self.padding is not None else None
        return Prompts(tuple(map(change, self.keys)), tuple(map(change, self.values)), padding, self.length)


def _stack_layer(each: Sequence[Tensor]) -> Tensor:
    width = max(states.shape[2] for states in each)
    return torch.cat([pad(states, (0, 0, width - states.shape[2], 0)) for states in each])


@dataclass(frozen=True)
class Grid:
    """Where the rows of a batch stand among (prompt, copy) places: rows of one prompt side by side, so that they share its keys.

    `places` has the place `prompt * n_copies + copy` of each row.
    """

    n_prompts: int
    n_copies: int
    places: tuple[int, ...]

    @classmethod
    def of(cls, prompts: Sequence[int], n_prompts: int) -> "Grid":
        """The grid of rows that go on from these prompts."""
        taken = [0] * n_prompts
        copies = []
        for prompt in prompts:
            copies.append(taken[prompt])
            taken[prompt] += 1
        n_copies = max(taken)
        return cls(n_prompts, n_copies, tuple(prompt * n_copies + copy for prompt, copy in zip(prompts, copies, strict=True)))

    @property
    def prompts(self) -> list[int]:
        """The prompt of each row."""
        return [place // self.n_copies for place in self.places]

    @cached_property
    def full(self) -> bool:
        """Whether the rows are the places, in order."""
        return self.places == tuple(range(self.n_prompts * self.n_copies))

    def lay(self, rows: Shaped[Tensor, "row kv_head group _"]) -> Shaped[Tensor, "prompt kv_head copy_group _"]:
        """Queries, attention rows or masks to where their prompt is; empty places are zero."""
        if self.n_copies == 1 and self.full:
            return rows
        if not self.full:
            row_at = {place: row for row, place in enumerate(self.places)}
            order = [row_at.get(place, len(rows)) for place in range(self.n_prompts * self.n_copies)]
            rows = torch.cat([rows, torch.zeros_like(rows[:1])])[torch.tensor(order)]
        return rearrange(rows, "(prompt copy) kv_head group last -> prompt kv_head (copy group) last", copy=self.n_copies)

    def take(self, laid: Float[Tensor, "prompt kv_head copy_group _"]) -> Float[Tensor, "row kv_head group _"]:
        """The way back."""
        if self.n_copies == 1 and self.full:
            return laid
        rows = rearrange(laid, "prompt kv_head (copy group) last -> (prompt copy) kv_head group last", copy=self.n_copies)
        return rows if self.full else rows[torch.tensor(self.places)]


def take_rows(layers: Sequence[Tensor], rows: Sequence[int]) -> tuple[Tensor, ...]:
    """Some rows of every layer; neighbours without a copy."""
    chosen = list(rows)
    if chosen == list(range(chosen[0], chosen[0] + len(chosen))):
        return tuple(states[chosen[0] : chosen[0] + len(chosen)] for states in layers)
    index = torch.tensor(chosen)
    return tuple(states[index] for states in layers)


@dataclass(frozen=True, eq=False)
class Memory:
    """All that decode steps go on from. The tail has every row's fed tokens, none padded; before the first it has no layers."""

    prompts: Prompts
    grid: Grid
    tail_keys: Layers = ()
    tail_values: Layers = ()

    @classmethod
    def after(cls, prompts: Prompts, n_rows: int) -> "Memory":
        """Directly behind a prefill: a row a prompt."""
        return cls(prompts, Grid.of(range(n_rows), n_rows))

    def fork(self, rows: Sequence[int], passing: bool = False) -> "Memory":
        """The named rows, in that order; a row may be named several times.

        Prompts that no row needs any more are dropped where that is free (at either end) or worth a copy (half of those left or more); for
        a `passing` fork it is not.
        """
        wanted = [self.grid.prompts[row] for row in rows]
        used = sorted(set(wanted))
        if not passing and 2 * len(used) <= used[-1] - used[0] + 1:
            prompts, kept = self.prompts.select(used), used
        else:
            prompts, kept = self.prompts.narrow(used[0], used[-1]), list(range(used[0], used[-1] + 1))
        grid = Grid.of([kept.index(prompt) for prompt in wanted], len(kept))
        return Memory(prompts, grid, take_rows(self.tail_keys, rows), take_rows(self.tail_values, rows))

    def laid_out(self) -> Prompts:
        """Prompt and tail of each row in one, copied: what a forward of several tokens reads. Padding is the state's to tell."""
        held, rows = self.prompts, torch.tensor(self.grid.prompts)
        if not self.tail_keys:
            return held.select(self.grid.prompts)
        n_fed = self.tail_keys[0].shape[2]
        if not held.keys:
            return Prompts(self.tail_keys, self.tail_values, None, n_fed)
        keys = tuple(torch.cat([near[rows], far], dim=2) for near, far in zip(held.keys, self.tail_keys, strict=True))
        values = tuple(torch.cat([near[rows], far], dim=2) for near, far in zip(held.values, self.tail_values, strict=True))
        return Prompts(keys, values, None, held.length + n_fed)

    def grown(self, keys: Layers, values: Layers) -> "Memory":
        """The same prompts with another tail."""
        return replace(self, tail_keys=keys, tail_values=values)
