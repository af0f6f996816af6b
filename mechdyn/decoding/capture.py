"""TransformerLens hooks that read attention rows and the final hidden state, and that overwrite heads."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechdyn.decoding.engine import HeadEdit
from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.models.model import Model
from mechdyn.models.windows import Windows, additive, visible_keys

Hook = tuple[str, Callable[[Tensor, Any], Tensor | None]]


@dataclass
class Capture:
    """What the hooks of one forward read at the last position."""

    patterns: dict[int, Tensor] = field(default_factory=dict)
    hidden: Tensor = field(default_factory=lambda: torch.empty(0))
    values: dict[int, Tensor] = field(default_factory=dict)

    def value_hooks(self, model: Model) -> list[Hook]:
        """Hooks that keep the values of every position, `row kv_head pos d_value`, of a forward of all tokens; none without hook_v."""
        names = [f"blocks.{layer}.attn.hook_v" for layer in range(model.n_layers)]
        if model.twin is not None and not all(name in model.bridge.hook_dict for name in names):
            return []
        return [(name, partial(self._read_values, layer, model.d_head)) for layer, name in enumerate(names)]

    def _read_values(self, layer: int, d_value: int, v: Tensor, hook: Any) -> None:
        heads = v if v.dim() == 4 else rearrange(v, "row pos (kv_head d_value) -> row pos kv_head d_value", d_value=d_value)
        self.values[layer] = rearrange(heads, "row pos kv_head d_value -> row kv_head pos d_value")

    def hooks(self, n_layers: int, hidden_hook: str) -> list[Hook]:
        """Hooks that fill this capture."""
        return [*(_pattern_hook(self, layer) for layer in range(n_layers)), (hidden_hook, self._read_hidden)]

    def _read_hidden(self, activation: Tensor, hook: Any) -> None:
        self.hidden = activation[:, -1]


@torch.inference_mode()
def last_layer_pattern(model: Model, tokens: Int[Tensor, " pos"]) -> Float[Tensor, "head query key"]:
    """The last layer's whole attention pattern over these tokens alone, from position 0 on (quadratic in memory: for drafts)."""
    found: list[Tensor] = []

    def read(pattern: Tensor, hook: Any) -> None:
        found.append(pattern[0])

    hook = f"blocks.{model.n_layers - 1}.attn.hook_pattern"
    model.bridge.run_with_hooks(tokens[None].to(model.device), fwd_hooks=[(hook, read)], return_type=None)
    return found[0]


def hidden_hook(model: Model, hidden: str) -> str:
    """The hook behind a choice of final hidden state (docs/definitions.md, "Steps")."""
    hooks = {"final": "ln_final.hook_out", "residual": f"blocks.{model.n_layers - 1}.hook_resid_post"}
    return hooks[check_hidden(hidden)]


def check_hidden(hidden: str) -> str:
    """Refuse what is no final hidden state."""
    if hidden not in ("final", "residual"):
        raise InputError(f"hidden must be one of final, residual, got {hidden!r}")
    return hidden


def hooked_points(model: Model) -> list[str]:
    """Hook points of the bridge that carry hooks, outside a step the user's own."""
    return [name for name, point in model.bridge.hook_dict.items() if point.fwd_hooks or point.bwd_hooks]


@dataclass(frozen=True, eq=False)
class Sight:
    """What the queries of one forward see; `keys` and `queries` are position ids, `visible` is 1 at keys that are not padding."""

    windows: Windows
    visible: Int[Tensor, "row key"]
    keys: Int[Tensor, "row key"]
    queries: Int[Tensor, "row query"]

    def through(self, window: int | None) -> Bool[Tensor, "row query key"]:
        """The keys that each query sees in a layer of this window."""
        return visible_keys(self.visible.bool(), self.keys, self.queries, window)


def edit_hooks(edit: HeadEdit, sight: Sight, column: int = -1) -> list[Hook]:
    """Hooks that carry out an edit at one column of the batch; layers without any head in it are left alone.

    z is overwritten where it is made. A head averages by even weights in place of its attention row, which `Capture` has read before.
    """
    hooks: list[Hook] = [(f"blocks.{layer}.attn.hook_z", _overwrite_z(edit, layer, column)) for layer in _layers(edit.overwritten)]
    for layer in _layers(edit.averaging):
        even = _Even(edit, layer, column, sight.through(sight.windows[layer]))
        hooks += [(f"blocks.{layer}.attn.hook_pattern", even.weigh), (f"blocks.{layer}.attn.hook_z", even.require)]
    return hooks


def _layers(mask: Bool[Tensor, "row layer head"]) -> list[int]:
    return mask.any(dim=2).any(dim=0).nonzero().flatten().tolist()


def mask_and_windows(model: Model, sight: Sight) -> tuple[Tensor, list[Hook]]:
    """The attention mask of a forward of the bridge, and hooks by which layers with a sliding window forget.

    Where a layer has a window, transformers is given the whole mask instead of what is padding: it would count places, and padding may lie
    between tokens. A forgotten key then gets exactly no weight.
    """
    windows = set(model.windows) - {None}
    if not windows:
        return sight.visible, []
    unseen = {window: ~sight.through(window)[:, None] for window in windows}
    hooks: list[Hook] = [
        (f"blocks.{layer}.attn.hook_attn_scores", partial(_forget, unseen[window]))
        for layer, window in enumerate(model.windows)
        if window is not None
    ]
    return additive(sight.through(None), model.dtype), hooks


def _forget(unseen: Bool[Tensor, "row 1 query key"], scores: Float[Tensor, "row head query key"], hook: Any) -> Tensor:
    return scores.masked_fill(unseen.to(scores.device), torch.finfo(scores.dtype).min)


def _pattern_hook(capture: Capture, layer: int) -> Hook:
    def read(pattern: Tensor, hook: Any) -> None:
        capture.patterns[layer] = pattern[:, :, -1]

    return f"blocks.{layer}.attn.hook_pattern", read


class _Even:
    """Even weights over the visible keys for the heads of one layer that average."""

    def __init__(self, edit: HeadEdit, layer: int, column: int, seen: Bool[Tensor, "row query key"]) -> None:
        self._mask, self._seen = edit.averaging[:, layer], seen
        self._columns = slice(None) if edit.whole else column
        self._weighed = False

    def weigh(self, pattern: Float[Tensor, "row head query key"], hook: Any) -> Tensor:
        """A query that sees nothing, at padding, weighs nothing."""
        seen = self._seen.to(pattern)[:, None]
        even = seen / seen.sum(dim=-1, keepdim=True).clamp(min=1)
        edited = _at(self._columns, pattern.shape[2], pattern.device)
        self._weighed = True
        mask = rearrange(self._mask, "row head -> row head 1 1").to(pattern.device)
        return torch.where(mask & rearrange(edited, "query -> query 1"), even, pattern)

    def require(self, z: Tensor, hook: Any) -> None:
        """z is made of the rows that were weighed.

        Raises:
            UnsupportedModelError: this attention shows its rows only once z is made.
        """
        if not self._weighed:
            raise UnsupportedModelError(
                "uniform ablation needs an attention whose rows can be edited, and this model's bridge shows them afterwards; take zero"
            )


def _at(columns: slice | int, n: int, device: torch.device) -> Bool[Tensor, " _"]:
    """True at the columns."""
    edited = torch.zeros(n, dtype=torch.bool, device=device)
    edited[columns] = True
    return edited


def _overwrite_z(edit: HeadEdit, layer: int, column: int) -> Callable[[Tensor, Any], Tensor]:
    columns = slice(None) if edit.whole else column

    def overwrite(z: Tensor, hook: Any) -> Tensor:
        mask = rearrange(edit.overwritten[:, layer], "row head -> row 1 head 1").to(z.device)
        values = torch.zeros((), dtype=z.dtype, device=z.device)
        if edit.values is not None:
            values = rearrange(edit.values[:, layer], "row head d_head -> row 1 head d_head").to(z)
        return torch.where(mask & rearrange(_at(columns, z.shape[1], z.device), "pos -> pos 1 1"), values, z)

    return overwrite
