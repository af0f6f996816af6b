"""What one generation leaves behind: tokens, scores of every head at every step, hidden states."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.heads import HeadSet
from mechdyn.tensors import Tensor, torch
from mechdyn.traces.backing import Backing
from mechdyn.traces.budgets import BudgetEffects
from mechdyn.traces.effect import Effect

if TYPE_CHECKING:
    import numpy as np
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class Sources:
    """The strongest sources of every head at every step, strongest first, ties to the lower position.

    Positions count the prompt's tokens and then the generated ones. A row of fewer keys than there are ranks ends in positions -1 of
    weight 0. Of an ablated run these are the rows of the observing forward.
    """

    positions: Int[Tensor, "step layer head rank"]
    weights: Float[Tensor, "step layer head rank"]

    @property
    def n_ranks(self) -> int:
        return self.positions.shape[-1]


@dataclass(frozen=True, eq=False)
class Trace:
    """One sample's generation under one ablation (or none), step by step.

    Step t generates `tokens[t]`; its attention rows are those of the last input token. Everything is on the CPU. On an ablated run
    `retrieval_scores`, `sentence_scores` and `hidden` are those of the *observing* forward of each step; `ablated_scores` those of the
    forward that gave the token, and `ablated` the heads it ran without.
    """

    unit: str
    """Hash of the unit (sample, model, decoding, ablation) that this trace is the result of."""
    sample: str
    """The sample's key."""
    task: str
    question: str
    answer: str
    prompt_tokens: Int[Tensor, " pos"]
    needle_positions: Int[Tensor, " needle"]
    tokens: Int[Tensor, " step"]
    token_texts: tuple[str, ...]
    text: str
    retrieval_scores: Float[Tensor, "step layer head"]
    hidden: Float[Tensor, "step d_model"]
    threshold: float = 0.0
    """A head retrieves at a step where its score is above this: 0 for copy-paste, 0.5 for reasoning."""
    stopped: str = "eos"
    """Why generation ended: `eos`, `length` or `error`."""
    ablated: Bool[Tensor, "step layer head"] | None = None
    ablated_scores: Float[Tensor, "step layer head"] | None = None
    sentence_scores: Float[Tensor, "step sentence"] | None = None
    """The highest score of any head with one sentence alone as the needle: each supporting fact of `meta["facts"]`, then each of
    `meta["distractors"]`. None for tasks without facts."""
    patterns: Float[Tensor, "step layer head key"] | None = None
    """Attention rows, zero behind each step's last key; kept only when asked for, never stored."""
    sources: Sources | None = None
    """The strongest positions of every attention row; kept when asked for, never stored (`replay` makes them again)."""
    prompt_texts: tuple[str, ...] | None = None
    """The text of each prompt token; kept with patterns or sources, never stored."""
    effect: Effect | None = None
    """What sets of heads that are off at one step do to the tokens of this answer; there only where it was measured."""
    backing: Backing | None = None
    """How much attention each token has on its like in the context, and its step's distribution; there only where it was asked for."""
    budgets: BudgetEffects | None = None
    """What smaller key-value caches do to the tokens of this answer; there only where it was measured."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: the sample's meta and what decided the run."""

    @property
    def n_steps(self) -> int:
        return len(self.tokens)

    @property
    def active(self) -> Bool[Tensor, "step layer head"]:
        """Where a head retrieves."""
        return self.retrieval_scores > self.threshold

    @property
    def retrieving_steps(self) -> Bool[Tensor, " step"]:
        """Steps at which at least one head retrieves."""
        return self.active.flatten(1).any(dim=1) if self.n_steps else torch.zeros(0, dtype=torch.bool)

    def heads(self, step: int) -> HeadSet:
        """The dynamic retrieval heads of a step."""
        if not -self.n_steps <= step < self.n_steps:
            raise InputError(f"step must lie in [0, {self.n_steps - 1}] (the trace has {self.n_steps} steps), got {step}")
        return HeadSet.from_mask(self.active[step])

    def to_frame(self) -> "DataFrame":
        """A pandas `DataFrame` with a row a step and head.

        Columns: `step`, `token` (its text), `token_id`, `layer`, `head`, `score`, `retrieves` (the score is above the threshold) and
        `ablated` (the step ran without the head). `mechdyn.frame` does the same for many traces.
        """
        from mechdyn.traces.frames import trace_frame  # which needs this class

        return trace_frame(self)

    def to_numpy(self) -> "dict[str, np.ndarray]":
        """Plain NumPy arrays by name: `scores`, `active`, `hidden`, `tokens` and more, see `frames.trace_arrays`.

        `np.savez(path, **trace.to_numpy())` keeps them without pickle.
        """
        from mechdyn.traces.frames import trace_arrays

        return trace_arrays(self)

    def __repr__(self) -> str:
        _, n_layers, n_heads = self.retrieval_scores.shape
        return (
            f"Trace({self.task}, {self.n_steps} steps x {n_layers} layers x {n_heads} heads, "
            f"{int(self.retrieving_steps.sum())} retrieving, {self.text!r})"
        )
