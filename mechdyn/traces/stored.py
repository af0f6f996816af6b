"""A trace as a store holds it: NumPy arrays, read and written without torch; and the way to a `Trace`, whose arrays are tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from einops import reduce
from jaxtyping import Bool, Float, Int

from mechdyn.tensors import Tensor, torch
from mechdyn.traces.backing import Backing
from mechdyn.traces.budgets import BudgetEffects
from mechdyn.traces.effect import Effect
from mechdyn.traces.trace import Trace

MEASURED = ("effect", "backing", "budgets")
"""What may have been measured beside a trace: fields of a `Trace`, and keys of the JSON (its `as_json`) that a store keeps of each."""
_PLAIN = ("unit", "sample", "task", "question", "answer", "token_texts", "text", "threshold", "stopped", "meta")
_ARRAYS = ("prompt_tokens", "needle_positions", "tokens", "retrieval_scores", "hidden", "ablated", "ablated_scores", "sentence_scores")
"""Fields that a `Trace` has under the same names: values, and arrays for its tensors."""


@dataclass(frozen=True, eq=False)
class StoredTrace:
    """What a store keeps of a `Trace`, whose fields these are; hidden states are in the dtype that they are stored in."""

    unit: str
    sample: str
    task: str
    question: str
    answer: str
    prompt_tokens: Int[np.ndarray, " pos"]
    needle_positions: Int[np.ndarray, " needle"]
    tokens: Int[np.ndarray, " step"]
    token_texts: tuple[str, ...]
    text: str
    retrieval_scores: Float[np.ndarray, "step layer head"]
    hidden: Float[np.ndarray, "step d_model"]
    threshold: float = 0.0
    stopped: str = "eos"
    ablated: Bool[np.ndarray, "step layer head"] | None = None
    ablated_scores: Float[np.ndarray, "step layer head"] | None = None
    sentence_scores: Float[np.ndarray, "step sentence"] | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)
    """What was measured beside the trace, as JSON: its `effect`, `backing` and `budgets`, those that there are."""
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_steps(self) -> int:
        return len(self.tokens)

    @property
    def active(self) -> Bool[np.ndarray, "step layer head"]:
        """Where a head retrieves."""
        return self.retrieval_scores > self.threshold

    @property
    def retrieving_steps(self) -> Bool[np.ndarray, " step"]:
        """Steps at which at least one head retrieves."""
        return reduce(self.active, "step layer head -> step", "any")


AnyTrace: TypeAlias = Trace | StoredTrace
"""What a function takes that only looks: `np.asarray` makes an array of either's."""


def as_stored(trace: AnyTrace) -> StoredTrace:
    """What a store keeps of a trace; arrays share their memory with its tensors."""
    if isinstance(trace, StoredTrace):
        return trace
    measured = {name: getattr(trace, name) for name in MEASURED}
    arrays: dict[str, Any] = {name: _array(getattr(trace, name)) for name in _ARRAYS}
    return StoredTrace(
        **{name: getattr(trace, name) for name in _PLAIN},
        **arrays,
        measured={name: each.as_json() for name, each in measured.items() if each is not None},
    )


def as_trace(trace: AnyTrace) -> Trace:
    """The trace with its tensors, which share their memory with the arrays."""
    if isinstance(trace, Trace):
        return trace
    tensors = {name: getattr(trace, name) for name in _ARRAYS}
    tensors = {name: None if array is None else torch.from_numpy(array) for name, array in tensors.items()}
    _, n_layers, n_heads = trace.retrieval_scores.shape
    effect, backing, budgets = (trace.measured.get(name) for name in MEASURED)
    return Trace(
        **{name: getattr(trace, name) for name in _PLAIN},
        **tensors,
        effect=None if effect is None else Effect.from_json(effect, tensors["tokens"], trace.token_texts, n_layers, n_heads),
        backing=None if backing is None else Backing.from_json(backing),
        budgets=None if budgets is None else BudgetEffects.from_json(budgets),
    )


def _array(values: Tensor | None) -> np.ndarray | None:
    """NumPy has no bfloat16, whose values float32 holds."""
    if values is None:
        return None
    return values.float().numpy() if values.dtype == torch.bfloat16 else values.numpy()
