"""The heads of an ablation at each step of a batch, for rules of decoding that go their own ways."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechdyn.decoding.ablation import Ablation
from mechdyn.decoding.context import KeyContext, score_step
from mechdyn.decoding.engine import DecodeState, HeadEdit, StepOutput
from mechdyn.decoding.generate import stack_values
from mechdyn.models.model import Model
from mechdyn.schedules import ByStep, NoAblation, Observation, Static
from mechdyn.scores.score import NamedScore, ScoreLike, as_score
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import TASKS

_KNOWN = (Static, ByStep, NoAblation)
"""Schedules that do not look at what a step shows."""


@dataclass(frozen=True)
class Retrieving:
    """Which heads count as retrieving at a step: those whose score is above the threshold; each task's and score's own when left out."""

    score: ScoreLike | None = None
    threshold: float | None = None

    def on(self, samples: Sequence[Sample]) -> tuple[NamedScore, float]:
        """Score and threshold for samples of one task."""
        named = as_score(self.score or TASKS.get(samples[0].task).score)
        return named, named.threshold if self.threshold is None else self.threshold


def is_known(ablation: Ablation) -> bool:
    """Whether the heads of every step are known before it runs, so that no forward has to observe them."""
    return isinstance(ablation.schedule, _KNOWN)


class ChosenHeads:
    """Heads for each row of a batch, step after step; `feed` says which token a step is fed."""

    def __init__(self, model: Model, ablation: Ablation, retrieving: Retrieving, samples: Sequence[Sample], state: DecodeState) -> None:
        ablation.check(model)
        self.known = is_known(ablation)
        self._shape = (model.n_layers, model.n_heads)
        self._ablation, self._samples, self._step = ablation, list(samples), 0
        self._score, self._threshold = retrieving.on(samples)
        room = model.n_ctx - min(map(len, samples)) + 1
        self._context = None if self.known else KeyContext.of(samples, state, room)

    def feed(self, tokens: Int[Tensor, " row"]) -> None:
        """The tokens that the next step is fed."""
        if self._context is not None:
            self._context = self._context.append(tokens)

    def edit(self, observed: StepOutput | None, predicted: Int[Tensor, " row"] | None) -> HeadEdit | None:
        """What the step's ablation is; None where no row has a head off.

        Args:
            observed: the step with every head on; not needed where heads are `known`.
            predicted: the tokens that retrieving heads retrieve: what the observing forward gives, or what comes next.
        """
        scores = self._scores(observed, predicted)
        masks, values = [], []
        for index, sample in enumerate(self._samples):
            patterns = () if observed is None else tuple(pattern[index] for pattern in observed.patterns)
            active = scores[index] > self._threshold
            masks.append(self._ablation.heads(Observation(sample.key, self._step, scores[index], active, patterns)))
            values.append((index, self._ablation.values(sample.key, self._step)))
        self._step += 1
        mask = torch.stack(masks)
        return HeadEdit(mask, stack_values(values, len(masks)), averaged=self._averaged(len(masks))) if mask.any() else None

    def select(self, rows: Sequence[int]) -> None:
        """Go on with some of the rows."""
        self._samples = [self._samples[row] for row in rows]
        if self._context is not None:
            self._context = self._context.select(list(rows))

    def _scores(self, observed: StepOutput | None, predicted: Int[Tensor, " row"] | None) -> Float[Tensor, "row layer head"]:
        if self._context is None or observed is None or predicted is None:
            return torch.zeros(len(self._samples), *self._shape)
        return score_step(observed, predicted.to(self._context.tokens.device), self._context, self._score)

    def _averaged(self, n_rows: int) -> Bool[Tensor, " row"] | None:
        return torch.ones(n_rows, dtype=torch.bool) if self._ablation.averages else None
