"""TransformerLens hooks that read attention rows and the final hidden state, and that overwrite heads."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from mechdyn.decoding.engine import HeadEdit
from mechdyn.models.model import Model

Hook = tuple[str, Callable[[Tensor, Any], Tensor | None]]


@dataclass
class Capture:
    """What the hooks of one forward read at the last position."""

    patterns: dict[int, Tensor] = field(default_factory=dict)
    hidden: Tensor = field(default_factory=lambda: torch.empty(0))

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


def edit_hooks(edit: HeadEdit) -> list[Hook]:
    """Hooks that overwrite z of the heads in the edit; layers without any are left alone."""
    layers = edit.mask.any(dim=2).any(dim=0).nonzero().flatten().tolist()
    return [(f"blocks.{layer}.attn.hook_z", _overwrite_z(edit, layer)) for layer in layers]


def _pattern_hook(capture: Capture, layer: int) -> Hook:
    def read(pattern: Tensor, hook: Any) -> None:
        capture.patterns[layer] = pattern[:, :, -1]

    return f"blocks.{layer}.attn.hook_pattern", read


def _overwrite_z(edit: HeadEdit, layer: int) -> Callable[[Tensor, Any], Tensor]:
    def overwrite(z: Tensor, hook: Any) -> Tensor:
        mask = rearrange(edit.mask[:, layer], "row head -> row 1 head 1").to(z.device)
        values = torch.zeros((), dtype=z.dtype, device=z.device)
        if edit.values is not None:
            values = rearrange(edit.values[:, layer], "row head d_head -> row 1 head d_head").to(z)
        if edit.whole:
            return torch.where(mask, values, z)
        last = torch.where(mask, values, z[:, -1:])
        return torch.cat([z[:, :-1], last], dim=1)

    return overwrite
