"""A fitted probe, and what it has in common with its baselines."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from einops import rearrange
from jaxtyping import Bool, Float

from mechdyn.errors import InputError
from mechdyn.probes.dataset import ProbeRows
from mechdyn.probes.mlp import MLPShape
from mechdyn.tensors import Tensor, torch

_BATCH_ROWS = 4096


@runtime_checkable
class Predictor(Protocol):
    """Predicts the targets of rows it was not fitted on: for binary targets the higher the likelier, else scores."""

    def __call__(self, rows: ProbeRows) -> Float[Tensor, "row head"]: ...


@dataclass(frozen=True, eq=False)
class Probe:
    """Retrieval scores of the step `offset` ahead, from the final hidden state.

    `model` is the identity of the model whose hidden states it reads; `training` says in JSON how it was fitted and what came of each
    epoch. A head is predicted to retrieve where `predict` is at least `threshold`; a regressor has none.
    """

    network: "torch.nn.Sequential"
    shape: MLPShape
    n_layers: int
    n_heads: int
    offset: int
    binary: bool
    threshold: float | None
    model: Mapping[str, Any]
    training: Mapping[str, Any]

    def predict(self, hidden: Float[Tensor, "row d_model"]) -> Float[Tensor, "row layer head"]:
        """Each head's probability to retrieve as the loss taught it (the asymmetric one does not calibrate), or its score.

        Raises:
            InputError: hidden states of another width.
        """
        if hidden.shape[1] != self.shape.d_model:
            raise InputError(
                f"the probe reads hidden states of width {self.shape.d_model}, got {hidden.shape[1]}; use the model it was fitted on"
            )
        return rearrange(self._outputs(hidden), "row (layer head) -> row layer head", layer=self.n_layers)

    def heads(self, hidden: Float[Tensor, "row d_model"]) -> Bool[Tensor, "row layer head"]:
        """Where a head is predicted to retrieve.

        Raises:
            InputError: the probe is a regressor, or hidden states of another width.
        """
        if self.threshold is None:
            raise InputError("a regressor predicts scores and has no threshold; compare predict() with one of your own")
        return self.predict(hidden) >= self.threshold

    def __call__(self, rows: ProbeRows) -> Float[Tensor, "row head"]:
        """The predictions for rows of a data set."""
        return rearrange(self.predict(rows.hidden), "row layer head -> row (layer head)")

    def _outputs(self, hidden: Float[Tensor, "row d_model"]) -> Float[Tensor, "row head"]:
        """In float32 on the CPU, some thousand rows at a time."""
        device = next(self.network.parameters()).device
        batches = hidden.split(_BATCH_ROWS)
        with torch.no_grad():
            outputs = [self.network(batch.to(device, torch.float32)).cpu() for batch in batches]
        joined = torch.cat(outputs) if outputs else torch.zeros(0, self.shape.n_outputs)
        # In float64, so that two large logits do not become one probability.
        return joined.to(torch.float64).sigmoid() if self.binary else joined.to(torch.float64)

    def __repr__(self) -> str:
        layers = " x ".join(map(str, (self.shape.d_model, *self.shape.hidden, self.shape.n_outputs)))
        return f"Probe({'classifier' if self.binary else 'regressor'} {layers}, offset {self.offset}, model {self.model.get('name', '?')})"
