"""The one interface behind every trace: prefill a prompt, fork its state, feed one token to every row.

States are values: `step` returns the state after the token and leaves the one it was given as it was, so an observing and an ablated
forward of the same input are two steps from one state, and keeping either one's keys and values is keeping its state.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True, eq=False)
class HeadEdit:
    """What takes the place of z of the heads in `mask`: zero, or `values`, or in rows that are `averaged` the mean of all visible values.

    A key is visible where the position may attend to it: not padding, not behind the position, not forgotten by a sliding window. A head
    averages the values of its key-value head. What the head's own attention row says is left as it is.

    At the current position only or, if `whole`, at all of them, which takes an engine without a cache.
    """

    mask: Bool[Tensor, "row layer head"]
    values: Float[Tensor, "row layer head d_head"] | None = None
    whole: bool = False
    averaged: Bool[Tensor, " row"] | None = None

    @property
    def averaging(self) -> Bool[Tensor, "row layer head"]:
        """The heads that average."""
        return torch.zeros_like(self.mask) if self.averaged is None else self.mask & self.averaged.to(self.mask.device)[:, None, None]

    @property
    def overwritten(self) -> Bool[Tensor, "row layer head"]:
        """The heads that give zero or `values`."""
        return self.mask & ~self.averaging

    def select(self, rows: list[int]) -> "HeadEdit":
        """The same for some of the rows."""
        values, averaged = (None if each is None else each[rows] for each in (self.values, self.averaged))
        return HeadEdit(self.mask[rows], values, self.whole, averaged)


@dataclass(frozen=True, eq=False)
class DecodeState:
    """Rows of equal width, left padded: prompts, of which `prompt_visible` is 1 at real positions, and `n_fed` tokens fed to each since.

    `positions` are the position ids of prompt and fed tokens (anything at padding), `next_position` is each row's next one. To go on
    further behind (tokens in between are hidden), replace it. `memory` is the engine's own: keys and values, or for an engine without a
    cache the tokens so far. In a `narrowed` state rows that go on from one prompt see different parts of it.

    `evicted` is what single heads do not see of the prompt, for the steps from here on: replace it at each step as you like, the keys stay
    where they are. Only the fast engine can do that.
    """

    memory: Any
    prompt_visible: Int[Tensor, "row pos"]
    positions: Int[Tensor, "row key"]
    next_position: Int[Tensor, " row"]
    n_fed: int = 0
    narrowed: bool = False
    evicted: Bool[Tensor, "row layer head pos"] | None = None

    @property
    def visible(self) -> Int[Tensor, "row key"]:
        """1 at real positions of prompt and fed tokens."""
        return pad(self.prompt_visible, (0, self.n_fed), value=1)

    def select(self, memory: Any, rows: Sequence[int]) -> "DecodeState":
        """The named rows, with the memory of those."""
        index = torch.tensor(list(rows))  # on the CPU: layers may lie on several devices
        rows_of = (self.prompt_visible[index], self.positions[index], self.next_position[index])
        evicted = None if self.evicted is None else self.evicted[index]
        return DecodeState(memory, *rows_of, self.n_fed, self.narrowed, evicted)

    def require_whole(self) -> None:
        """Refuse a state of which single heads do not see everything, in an engine that cannot do that."""
        if self.evicted is not None:
            raise ValueError("only a step of the fast engine hides parts of a prompt from single heads; take FastEngine, or evicted=None")

    def going_back(self, n_tokens: Int[Tensor, " row"]) -> "DecodeState":
        """Directly behind a prompt, as it was before each row's last tokens, so many of them, which lie side by side: they are hidden.

        Where layers have windows, the prompt must have been read with as much to `keep` (`Engine.extend`).
        """
        if self.n_fed:
            raise ValueError(f"a state goes back directly behind its prompt, not {self.n_fed} tokens on")
        n_tokens = n_tokens.to(self.prompt_visible.device)
        behind = self.prompt_visible.flip(1).cumsum(dim=1).flip(1)
        shown = self.prompt_visible * (behind > n_tokens[:, None])
        return replace(self, prompt_visible=shown, next_position=self.next_position - n_tokens, narrowed=True)

    def fed(self, memory: Any) -> "DecodeState":
        """Behind one more token of each row, with the memory behind it."""
        positions = torch.cat([self.positions, self.next_position[:, None]], dim=1)
        return replace(self, memory=memory, positions=positions, next_position=self.next_position + 1, n_fed=self.n_fed + 1)


@dataclass(frozen=True, eq=False)
class StepOutput:
    """One step of every row: next-token logits, the attention row of each layer, the final hidden state (all at the last position).

    `trail` is the engine's own: what an edited step of the same input can take over instead of computing it again. `writes` tells what each
    head of a layer would add to the logits of tokens, one a row, for each unit of attention to a key (`StepContext.written`); scores that
    need it cannot be had from an engine without.
    """

    logits: Float[Tensor, "row vocab"]
    patterns: tuple[Float[Tensor, "row head key"], ...]
    hidden: Float[Tensor, "row d_model"]
    trail: Any = None
    writes: Callable[[int, Int[Tensor, " row"]], Float[Tensor, "row head key"]] | None = None

    def carried(self, rows: Sequence[int], state: DecodeState) -> "StepOutput":
        """What an edited step of these rows, forked as `state` from the state of this step, can be given as `observed`."""
        return replace(self, trail=None if self.trail is None else self.trail.select(rows, state))


@runtime_checkable
class Engine(Protocol):
    """Runs a model token by token."""

    def prefill(
        self, prompts: Sequence[Int[Tensor, " _"]], positions: Sequence[Int[Tensor, " _"]] | None = None, *, apart: bool = False
    ) -> DecodeState:
        """The state after these tokens, one row a prompt. An empty prompt is allowed.

        `positions` are the position ids of each prompt's tokens, ascending; without them tokens are counted from 0. Gaps hide tokens: drop
        them, keep the others' positions, and nothing behind them carries their influence. A sliding window counts positions, hidden ones
        too. `apart` reads each prompt by itself: where
        lengths differ much, padding costs more than batching gains.
        """
        ...

    def extend(self, state: DecodeState, tokens: Sequence[Int[Tensor, " _"]], *, keep: int = 0) -> DecodeState:
        """The state behind some more tokens of each row, none for some if you like; the state given stays as it was.

        They are padded on their left, so padding may lie between them and what the row held before. `keep` is how many tokens the state
        may be asked to go back (`DecodeState.going_back`): a layer with a window holds so many keys more.
        """
        ...

    def fork(self, state: DecodeState, rows: Sequence[int], *, passing: bool = False) -> DecodeState:
        """A state of the named rows, in that order; a row may be named several times.

        A `passing` one is for a single step: nothing long is copied to let go of what other rows hold.
        """
        ...

    def step(
        self, state: DecodeState, tokens: Int[Tensor, " row"], edit: HeadEdit | None = None, observed: StepOutput | None = None
    ) -> tuple[StepOutput, DecodeState]:
        """Feed one token to each row: what it gives, and the state behind it.

        `observed` is what the same step gave without the edit, for an engine that can make use of it; it changes no result.
        """
        ...
