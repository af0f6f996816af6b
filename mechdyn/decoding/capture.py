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
from mechdyn.errors import InputError
from mechdyn.models.model import Model
from mechdyn.models.windows import additive, visible_keys

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


def edit_hooks(edit: HeadEdit, column: int = -1) -> list[Hook]:
    """Hooks that overwrite z of the heads in the edit, at one column of the batch; layers without any are left alone."""
    layers = edit.mask.any(dim=2).any(dim=0).nonzero().flatten().tolist()
    return [(f"blocks.{layer}.attn.hook_z", _overwrite_z(edit, layer, column)) for layer in layers]


def mask_and_windows(
    model: Model, visible: Int[Tensor, "row key"], keys: Int[Tensor, "row key"], queries: Int[Tensor, "row query"]
) -> tuple[Tensor, list[Hook]]:
    """The attention mask of a forward of the bridge, and hooks by which layers with a sliding window forget.

    `keys` and `queries` are position ids. Where a layer has a window, transformers is given the whole mask instead of what is padding: it
    would count places, and padding may lie between tokens. A forgotten key then gets exactly no weight.
    """
    windows = set(model.windows) - {None}
    if not windows:
        return visible, []
    shown = visible.bool()
    unseen = {window: ~visible_keys(shown, keys, queries, window)[:, None] for window in windows}
    hooks: list[Hook] = [
        (f"blocks.{layer}.attn.hook_attn_scores", partial(_forget, unseen[window]))
        for layer, window in enumerate(model.windows)
        if window is not None
    ]
    return additive(visible_keys(shown, keys, queries, None), model.dtype), hooks


def _forget(unseen: Bool[Tensor, "row 1 query key"], scores: Float[Tensor, "row head query key"], hook: Any) -> Tensor:
    return scores.masked_fill(unseen.to(scores.device), torch.finfo(scores.dtype).min)


def _pattern_hook(capture: Capture, layer: int) -> Hook:
    def read(pattern: Tensor, hook: Any) -> None:
        capture.patterns[layer] = pattern[:, :, -1]

    return f"blocks.{layer}.attn.hook_pattern", read


def _overwrite_z(edit: HeadEdit, layer: int, column: int) -> Callable[[Tensor, Any], Tensor]:
    columns = slice(None) if edit.whole else column

    def overwrite(z: Tensor, hook: Any) -> Tensor:
        mask = rearrange(edit.mask[:, layer], "row head -> row 1 head 1").to(z.device)
        values = torch.zeros((), dtype=z.dtype, device=z.device)
        if edit.values is not None:
            values = rearrange(edit.values[:, layer], "row head d_head -> row 1 head d_head").to(z)
        edited = torch.zeros(z.shape[1], dtype=torch.bool, device=z.device)
        edited[columns] = True
        return torch.where(mask & rearrange(edited, "pos -> pos 1 1"), values, z)

    return overwrite
