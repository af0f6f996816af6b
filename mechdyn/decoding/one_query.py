"""One decode step's attention over a `Memory`: grouped queries, rows kept, heads overwritten before `o_proj`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from mechdyn.decoding.engine import DecodeState, HeadEdit
from mechdyn.decoding.memory import Memory, take_rows
from mechdyn.decoding.writes import along_values, grouped
from mechdyn.models.attention import Weighing, by_head, by_key_head, query_first, sinks_by_key_head, weights
from mechdyn.models.windows import Windows, visible_keys


@dataclass(frozen=True, eq=False)
class StepView:
    """What a step sees through each layer's window.

    `unseen` has for each window the first key that any row sees, and which keys from there on each row does not; for layers without one
    (None) only where rows see different parts of their prompt. `n_keys` counts all keys of a row, the fed token among them. `evicted` is
    what single heads do not see of the prompt.
    """

    windows: Windows
    n_keys: int
    unseen: Mapping[int | None, tuple[int, Bool[Tensor, "row key"]]]
    evicted: Bool[Tensor, "row layer head pos"] | None = None

    @classmethod
    def of(cls, windows: Windows, state: DecodeState) -> "StepView":
        """The view of the token that is fed next."""
        unseen, asked = {}, {window for window in windows if window is not None or state.narrowed}
        after = state.fed(None) if asked else state
        for window in asked:
            seen = visible_keys(after.visible.bool(), after.positions, state.next_position[:, None], window)[:, 0]
            first = int(seen.any(dim=0).int().argmax())
            unseen[window] = first, ~seen[:, first:]
        return cls(windows, state.positions.shape[1] + 1, unseen, state.evicted)


@dataclass(frozen=True, eq=False)
class Trail:
    """Some rows of what a forward showed on its way, for an edited forward of the same input that goes on from `before`."""

    query: "MemoryQuery"
    before: Memory
    evicted: Bool[Tensor, "row layer head pos"] | None
    rows: tuple[int, ...]

    @classmethod
    def of(cls, query: "MemoryQuery") -> "Trail":
        """All rows."""
        return cls(query, query.before, query.evicted, tuple(range(len(query.tokens))))

    def select(self, rows: Sequence[int], state: DecodeState) -> "Trail":
        """Some of the rows, which are now those of `state`."""
        return Trail(self.query, state.memory, state.evicted, tuple(self.rows[row] for row in rows))

    def goes_with(self, state: DecodeState, tokens: Int[Tensor, " row"]) -> bool:
        """Whether these tokens were fed to this state, and heads saw the same of it."""
        return self.before is state.memory and self.evicted is state.evicted and torch.equal(self.tokens, tokens)

    @property
    def tokens(self) -> Int[Tensor, " row"]:
        """What was fed."""
        return self.query.tokens[list(self.rows)]


class MemoryQuery:
    """Does the attention of one forward (see `models.attention.OneQuery`) and keeps what the forward showed.

    The softmax is in float32; padding and what a window has forgotten get exactly zero, as in eager attention.
    """

    def __init__(
        self,
        before: Memory,
        tokens: Int[Tensor, " row"],
        view: StepView,
        edit: HeadEdit | None = None,
        seen: "Trail | None" = None,
    ) -> None:
        self.before, self.tokens, self.observing = before, tokens, seen is None
        self._view = view
        self.residual = self.final = torch.empty(0)
        self._edit = edit
        self._edited = edit.mask.any(dim=2).any(dim=0).nonzero().flatten().tolist() if edit is not None else []
        self._patterns: dict[int, Tensor] = {}
        self._tails: dict[int, tuple[Tensor, Tensor]] = {}
        self._outputs: list[Any] = []
        self._rooms: dict[tuple[tuple[int, ...], torch.device], Tensor] = {}
        self.first = 0
        if seen is not None:
            self._take_over(seen)

    @property
    def evicted(self) -> Bool[Tensor, "row layer head pos"] | None:
        """What single heads did not see of the prompt."""
        return self._view.evicted

    def _take_over(self, seen: "Trail") -> None:
        """All layers before the first edited one are those of the observing forward."""
        query, self.first = seen.query, min(self._edited, default=len(seen.query._outputs))
        known = range(self.first)
        patterns = take_rows([query._patterns[layer] for layer in known], seen.rows)
        keys = take_rows([query._tails[layer][0] for layer in known], seen.rows)
        values = take_rows([query._tails[layer][1] for layer in known], seen.rows)
        self._patterns.update(enumerate(patterns))
        self._tails.update(enumerate(zip(keys, values, strict=True)))
        if self.first:
            last = query._outputs[self.first - 1]
            (hidden,) = take_rows([last[0] if isinstance(last, tuple) else last], seen.rows)
            self._outputs = [(hidden, *last[1:]) if isinstance(last, tuple) else hidden]

    def attend(
        self,
        layer: int,
        query: Float[Tensor, "row head 1 d_head"],
        key: Float[Tensor, "row kv_head 1 d_head"],
        value: Float[Tensor, "row kv_head 1 d_value"],
        how: Weighing,
    ) -> Float[Tensor, "row 1 head d_value"]:
        """Scores over prompt and tail side by side, one softmax over both, and the two parts of z added up.

        A layer with a window reads what any row sees through it; the row of weights that it leaves is of all keys.
        """
        grid, n_keys = self.before.grid, self._view.n_keys
        (far_keys, keys), (far_values, values) = self._held(layer, key, value)
        grouped = by_key_head(query, key.shape[1])
        queries, near = grid.lay(grouped), grid.lay(grouped @ keys.mT)
        n_far = 0 if far_keys is None else far_keys.shape[2]
        scores = self._room((*queries.shape[:-1], n_far + keys.shape[2]), queries)
        scores[..., n_far:] = near
        if far_keys is not None:
            torch.matmul(queries, far_keys.mT, out=scores[..., :n_far])
        self._hide(how.scores(scores), layer, grouped.shape[2])
        self._evict(scores[..., :n_far], layer, key.shape[1])
        pattern = weights(scores, sinks_by_key_head(how.sinks, key.shape[1], grid.n_copies))
        z = grid.take(pattern[..., n_far:]) @ values
        if far_values is not None:
            z = z + grid.take(pattern[..., :n_far] @ far_values)
        row = by_head(grid.take(pattern))
        self._patterns[layer] = pad(row, (n_keys - row.shape[-1], 0)) if row.shape[-1] < n_keys else row
        z = query_first(z)
        if self._edit is None or layer not in self._edited:
            return z
        z = self._overwrite(z, self._edit, layer)
        if self._edit.averaged is None:
            return z
        mask = rearrange(self._edit.averaging[:, layer], "row head -> row 1 head 1").to(z.device)
        return torch.where(mask, self._mean_values(layer, scores, values, far_values, grouped.shape[2]), z)

    def patterns(self) -> tuple[Float[Tensor, "row head key"], ...]:
        """Every layer's attention row."""
        return tuple(self._patterns[layer] for layer in sorted(self._patterns))

    def read_along(self, layer: int, directions: Float[Tensor, "row head d_value"]) -> Float[Tensor, "row head key"]:
        """The dot product of each key's value with each head's direction, after the forward; 0 where a layer's window has forgotten it.

        Rows of one prompt read its values once, as in `attend`.
        """
        near, grid = self._tails[layer][1], self.before.grid
        towards = grouped(directions, near.shape[1]).to(near.device)
        found = along_values(towards, near)
        if self.before.prompts.values:
            far = along_values(grid.lay(towards), self.before.prompts.values[layer])
            found = torch.cat([grid.take(far), found], dim=-1)
        row = by_head(found)
        return pad(row, (self._view.n_keys - row.shape[-1], 0))

    def memory(self) -> Memory:
        """The memory behind this token."""
        keys, values = zip(*(self._tails[layer] for layer in sorted(self._tails)), strict=True)
        return self.before.grown(keys, values)

    def read_layer(self, module: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """A forward hook for every decoder layer of an observing forward."""
        self._outputs.append(output)

    def known_output(self, *args: Any, **options: Any) -> Any:
        """In place of the layers before the first edited one: what the last of them gave."""
        return self._outputs[-1]

    def read_norm(self, module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """A forward hook for the final norm: the residual stream before it and the hidden state behind it, at the last position."""
        self.residual, self.final = inputs[0][:, -1], output[:, -1]

    def _held(self, layer: int, key: Tensor, value: Tensor) -> tuple[tuple[Tensor | None, Tensor], tuple[Tensor | None, Tensor]]:
        """Keys and values of prompt and tail that the token may see; of the prompt None where that is none."""
        memory, n_keys = self.before, self._view.n_keys
        if memory.tail_keys:
            key = torch.cat([memory.tail_keys[layer], key], dim=2)
            value = torch.cat([memory.tail_values[layer], value], dim=2)
        self._tails[layer] = key, value
        window = self._view.windows[layer]
        first = self._view.unseen[window][0] if window in self._view.unseen else 0
        n_far, n_near = memory.prompts.length - first, min(key.shape[2], n_keys - first)
        near = key[:, :, -n_near:], value[:, :, -n_near:]
        if n_far <= 0:
            return (None, near[0]), (None, near[1])
        far = memory.prompts.keys[layer][:, :, -n_far:], memory.prompts.values[layer][:, :, -n_far:]
        return (far[0], near[0]), (far[1], near[1])

    def _hide(self, scores: Float[Tensor, "prompt kv_head copy_group key"], layer: int, n_group: int) -> None:
        """What the token must not see, padding and forgotten keys, gets a score that gives no weight."""
        lowest, window, padding = torch.finfo(scores.dtype).min, self._view.windows[layer], self.before.prompts.padding
        if window in self._view.unseen:
            unseen = repeat(self._view.unseen[window][1].to(scores.device), "row key -> row 1 group key", group=n_group)
            scores.masked_fill_(self.before.grid.lay(unseen), lowest)
        elif padding is not None:
            hidden = rearrange(padding.to(scores.device), "prompt pos -> prompt 1 1 pos")
            scores[..., : padding.shape[1]].masked_fill_(hidden, lowest)

    def _evict(self, scores: Float[Tensor, "prompt kv_head copy_group far"], layer: int, n_kv_heads: int) -> None:
        """The same for what single heads do not see of the prompt, of which the layer holds the last keys."""
        if self._view.evicted is None or not scores.shape[-1]:
            return
        gone = self._view.evicted[:, layer, :, -scores.shape[-1] :].to(scores.device)
        gone = rearrange(gone, "row (kv_head group) far -> row kv_head group far", kv_head=n_kv_heads)
        scores.masked_fill_(self.before.grid.lay(gone), torch.finfo(scores.dtype).min)

    def _room(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Uninitialised, and the same for all layers on one device: only its softmax is kept."""
        place = (shape, like.device)
        if place not in self._rooms:
            self._rooms[place] = like.new_empty(shape)
        return self._rooms[place]

    def _overwrite(self, z: Float[Tensor, "row 1 head d_value"], edit: HeadEdit, layer: int) -> Float[Tensor, "row 1 head d_value"]:
        mask = rearrange(edit.overwritten[:, layer], "row head -> row 1 head 1").to(z.device)
        if edit.values is None:
            return z.masked_fill(mask, 0.0)
        return torch.where(mask, rearrange(edit.values[:, layer], "row head d_value -> row 1 head d_value").to(z), z)

    def _mean_values(
        self, layer: int, like: Tensor, values: Tensor, far_values: Tensor | None, n_group: int
    ) -> Float[Tensor, "row 1 head d_value"]:
        """For each head the mean of its key-value head's values over all keys that the token sees: a softmax of equal scores.

        `like` is any tensor of the layer's scores, `n_group` the heads of a key-value head.
        """
        grid = self.before.grid
        scores = like.new_zeros(grid.n_prompts, 1, grid.n_copies, like.shape[-1])
        self._hide(scores, layer, 1)
        even, n_far = weights(scores), like.shape[-1] - values.shape[2]
        mean = grid.take(even[..., n_far:]) @ values
        if far_values is not None:
            mean = mean + grid.take(even[..., :n_far] @ far_values)
        return repeat(mean, "row kv_head 1 d_value -> row 1 (kv_head group) d_value", group=n_group)
