"""One decode step's attention over a `Memory`: grouped queries, rows kept, heads overwritten before `o_proj`."""

from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from mechdyn.decoding.engine import HeadEdit
from mechdyn.decoding.memory import Memory


class MemoryQuery:
    """Does the attention of one forward (see `models.attention.OneQuery`) and keeps what the forward showed.

    The softmax is in float32 and padding gets exactly zero, as in eager attention.
    """

    def __init__(
        self, before: Memory, tokens: Int[Tensor, " row"], edit: HeadEdit | None = None, seen: "MemoryQuery | None" = None
    ) -> None:
        self.before, self.tokens, self.observing = before, tokens, edit is None
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

    def _take_over(self, seen: "MemoryQuery") -> None:
        """All layers before the first edited one are those of the observing forward."""
        self.first = min(self._edited, default=len(seen._outputs))
        self._patterns.update((layer, seen._patterns[layer]) for layer in range(self.first))
        self._tails.update((layer, seen._tails[layer]) for layer in range(self.first))
        self._outputs = seen._outputs[: self.first]

    def attend(
        self,
        layer: int,
        query: Float[Tensor, "row head 1 d_head"],
        key: Float[Tensor, "row kv_head 1 d_head"],
        value: Float[Tensor, "row kv_head 1 d_value"],
        scaling: float,
    ) -> Float[Tensor, "row 1 head d_value"]:
        """Scores over prompt and tail side by side, one softmax over both, and the two parts of z added up."""
        memory, grid = self.before, self.before.grid
        keys, values = self._grow(layer, key, value)
        grouped = rearrange(query, "row (kv_head group) 1 d_head -> row kv_head group d_head", kv_head=key.shape[1])
        queries, near = grid.lay(grouped), grid.lay(grouped @ keys.mT)
        n_far, n_near = memory.prompts.length, keys.shape[2]
        scores = self._room((*queries.shape[:-1], n_far + n_near), queries)
        scores[..., n_far:] = near
        if n_far:
            far = torch.matmul(queries, memory.prompts.keys[layer].mT, out=scores[..., :n_far])
            if memory.prompts.padding is not None:
                padding = rearrange(memory.prompts.padding.to(far.device), "prompt pos -> prompt 1 1 pos")
                far.masked_fill_(padding, torch.finfo(far.dtype).min)
        pattern = scores.mul_(scaling).softmax(dim=-1, dtype=torch.float32).to(query.dtype)
        z = grid.take(pattern[..., n_far:]) @ values
        if n_far:
            z = z + grid.take(pattern[..., :n_far] @ memory.prompts.values[layer])
        self._patterns[layer] = rearrange(grid.take(pattern), "row kv_head group key -> row (kv_head group) key")
        return self._overwrite(rearrange(z, "row kv_head group d_value -> row 1 (kv_head group) d_value"), layer)

    def patterns(self) -> tuple[Float[Tensor, "row head key"], ...]:
        """Every layer's attention row."""
        return tuple(self._patterns[layer] for layer in sorted(self._patterns))

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

    def _grow(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        memory = self.before
        if memory.tail_keys:
            key = torch.cat([memory.tail_keys[layer], key], dim=2)
            value = torch.cat([memory.tail_values[layer], value], dim=2)
        self._tails[layer] = key, value
        return key, value

    def _room(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Uninitialised, and the same for all layers on one device: only its softmax is kept."""
        place = (shape, like.device)
        if place not in self._rooms:
            self._rooms[place] = like.new_empty(shape)
        return self._rooms[place]

    def _overwrite(self, z: Float[Tensor, "row 1 head d_value"], layer: int) -> Float[Tensor, "row 1 head d_value"]:
        if self._edit is None or layer not in self._edited:
            return z
        mask = rearrange(self._edit.mask[:, layer], "row head -> row 1 head 1").to(z.device)
        if self._edit.values is None:
            return z.masked_fill(mask, 0.0)
        return torch.where(mask, rearrange(self._edit.values[:, layer], "row head d_value -> row 1 head d_value").to(z), z)
