"""Whose answers are not preferred: the model without its retrieval heads, or one of the controls that say what these heads add."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch

from mechdyn.errors import InputError
from mechdyn.heads import HeadSet
from mechdyn.improve.retmask.deactivate import deactivated
from mechdyn.models.model import Model

BITS = 4
"""Of the rounded weights that stand for a weaker model where none is given."""


@runtime_checkable
class Loser(Protocol):
    """A worse version of a model, for as long as a `with` block lasts."""

    def of(self, model: Model) -> AbstractContextManager[Model]:
        """What answers in the model's place."""
        ...

    def as_json(self) -> dict[str, Any]:
        """What it is, for a run's record."""
        ...


@dataclass(frozen=True)
class WithoutHeads:
    """The model with heads off at every position."""

    off: HeadSet

    def of(self, model: Model) -> AbstractContextManager[Model]:
        return deactivated(model, self.off)

    def as_json(self) -> dict[str, Any]:
        return {"kind": "heads", "off": [str(head) for head in self.off]}


@dataclass(frozen=True)
class Rounded:
    """The model with the weights of its layers rounded to a few bits: worse at everything, with all its heads.

    A row of a matrix keeps its largest absolute weight m; weights are rounded to the nearest multiple of m / (2^(bits − 1) − 1).
    """

    bits: int = BITS

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 16:
            raise InputError(f"weights are rounded to 2 to 16 bits, got {self.bits}")

    def of(self, model: Model) -> AbstractContextManager[Model]:
        return _rounded(model, self.bits)

    def as_json(self) -> dict[str, Any]:
        return {"kind": "rounded", "bits": self.bits}


@dataclass(frozen=True, eq=False)
class OtherModel:
    """Another model, weaker and with the same tokenizer and template, as the 3B model is to the 8B model of the paper."""

    weaker: Model

    def of(self, model: Model) -> AbstractContextManager[Model]:
        ours, theirs = (each.tokenizer.get_vocab() for each in (model, self.weaker))
        if ours != theirs:
            raise InputError(
                f"the weaker model {self.weaker.name} reads other tokens than {model.name} ({len(theirs)} and {len(ours)} of them); "
                "take one of the same family"
            )
        return _itself(self.weaker)

    def as_json(self) -> dict[str, Any]:
        return {"kind": "model", "model": self.weaker.identity()}


@contextmanager
def _itself(model: Model) -> Iterator[Model]:
    yield model


@contextmanager
def _rounded(model: Model, bits: int) -> Iterator[Model]:
    """Round every matrix within the layers, embeddings left out, and put the weights back."""
    embeddings = {id(each.weight) for each in (model.twin.get_input_embeddings(), model.twin.get_output_embeddings())}
    matrices = [each.detach() for each in model.twin.parameters() if each.ndim == 2 and id(each) not in embeddings]
    kept = [each.clone() for each in matrices]
    try:
        for matrix in matrices:
            grain = matrix.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(matrix.dtype).tiny) / (2 ** (bits - 1) - 1)
            matrix.copy_((matrix / grain).round() * grain)
        yield model
    finally:
        for matrix, values in zip(matrices, kept, strict=True):
            matrix.copy_(values)
