"""A forecast of every head's score at the next step that is small enough to be written into a unit: a linear probe of low rank."""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from einops import rearrange
from jaxtyping import Float

from mechdyn.errors import InputError
from mechdyn.probes.dataset import probe_data
from mechdyn.probes.ridge import ridge_probe
from mechdyn.tensors import Tensor, torch
from mechdyn.traces.trace import Trace

RANK = 16
"""Directions of the hidden state that a forecast reads."""


@dataclass(frozen=True, eq=False)
class Forecast:
    """Scores of the next step from the final hidden state of this one: (h − mean) · read · write + intercept."""

    mean: Float[Tensor, " d_model"]
    read: Float[Tensor, "d_model rank"]
    write: Float[Tensor, "rank flat"]
    intercept: Float[Tensor, " flat"]
    n_layers: int

    def __call__(self, hidden: Float[Tensor, "row d_model"]) -> Float[Tensor, "row layer head"]:
        """The forecast of each row; it may be below 0.

        Raises:
            InputError: hidden states of another width.
        """
        if hidden.shape[1] != len(self.mean):
            raise InputError(f"the forecast reads hidden states of width {len(self.mean)}, got {hidden.shape[1]}; take one of this model")
        flat = (hidden.float().cpu() - self.mean) @ self.read @ self.write + self.intercept
        return rearrange(flat, "row (layer head) -> row layer head", layer=self.n_layers)

    def check(self, n_layers: int, n_heads: int) -> None:
        """Refuse a model of another shape."""
        if (self.n_layers, len(self.intercept)) != (n_layers, n_layers * n_heads):
            raise InputError(
                f"the forecast is of {self.n_layers} layers, {len(self.intercept)} heads, not {n_layers} x {n_heads}; fit one on this model"
            )

    def as_json(self) -> dict[str, Any]:
        """Numbers as float32 in base64."""
        tensors = {name: getattr(self, name) for name in ("mean", "read", "write", "intercept")}
        return {"n_layers": self.n_layers, **{name: _written(tensor) for name, tensor in tensors.items()}}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Forecast":
        """What `as_json` wrote."""
        mean, intercept = _read(content["mean"]), _read(content["intercept"])
        read, write = _read(content["read"]).reshape(len(mean), -1), _read(content["write"]).reshape(-1, len(intercept))
        return cls(mean, read, write, intercept, int(content["n_layers"]))


def fit_forecast(traces: Iterable[Trace], *, rank: int = RANK, seed: int = 0) -> Forecast:
    """Ridge regression of the next step's scores on this step's hidden state (`ridge_probe` without random features), cut to its rank.

    Args:
        traces: of one model, on other samples than it is used on.
        rank: directions that are kept, by singular value.
        seed: of the split by which the penalty is chosen.

    Raises:
        InputError: as `probe_data` has it: too few samples, scores that never change.
    """
    data = probe_data(traces, offset=1, binary=False, seed=seed)
    fitted = ridge_probe(data, n_features=0, seed=seed)
    weights = fitted.coefficients / fitted.features.scale[:, None]
    left, values, right = np.linalg.svd(weights, full_matrices=False)
    # Columns are centred twice, by their own mean in training and by that of training and validation together.
    mean = fitted.features.mean + fitted.mean * fitted.features.scale
    read, write = left[:, :rank] * values[:rank], right[:rank]
    return Forecast(_float32(mean), _float32(read), _float32(write), _float32(fitted.intercept), data.n_layers)


def _float32(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float()


def _written(values: Tensor) -> str:
    return b64encode(values.contiguous().numpy().astype("<f4").tobytes()).decode("ascii")


def _read(text: str) -> Tensor:
    return torch.from_numpy(np.frombuffer(b64decode(text), dtype="<f4").astype(np.float32))
