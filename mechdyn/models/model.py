"""A loaded model: everything the engines need to run it, and its identity for stores."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechdyn.models.windows import Windows
from mechdyn.tensors import torch


@dataclass(frozen=True, eq=False)
class Model:
    """A causal language model under TransformerLens hooks.

    `bridge` runs decode steps and exposes every hook; `twin` shares its weights and runs prefill through sdpa in O(N) memory; `tokenizer`
    is the raw Hugging Face one (the bridge's own adds a BOS). `windows` are how many positions each layer's attention reaches back (None:
    all of them), `n_ctx` is the number of positions that the model can hold, prompt and
    generated tokens together; generation ends at any of `eos_ids`. A `HookedTransformer` of TransformerLens 3 (`wrap_hooked`) has no twin
    and runs through the reference engine alone.
    """

    name: str
    revision: str
    bridge: Any
    twin: Any
    tokenizer: Any
    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    windows: Windows
    n_ctx: int
    eos_ids: tuple[int, ...]
    dtype: "torch.dtype"
    device: "torch.device"

    def identity(self) -> dict[str, Any]:
        """What distinguishes this model's traces from another's: JSON values."""
        return {
            "name": Path(self.name).name if Path(self.name).exists() else self.name,
            "revision": self.revision,
            "dtype": str(self.dtype).removeprefix("torch."),
            "n_layers": self.n_layers,
            "n_heads": self.n_heads,
            "d_model": self.d_model,
        }

    def __repr__(self) -> str:
        return f"Model({self.name}, {self.n_layers} layers x {self.n_heads} heads, d_model {self.d_model}, context {self.n_ctx})"
