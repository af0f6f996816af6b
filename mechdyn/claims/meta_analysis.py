"""One claim on several models together: the mean of its main quantity, and what to expect of the next model (universality).

A claim names the quantity by `main_quantity(verdict)` of its class, which gives a piece of the verdict's evidence. Verdicts of one claim
are taken together by `mechdyn.stats.random_effects`, the standard error of each being that of its interval. What cannot be taken is left
out, with the reason: a verdict without the quantity, one without an interval that has a width, and a second verdict on the same model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pandas import DataFrame

from mechdyn.claims import dynamic_rag
from mechdyn.claims.claim import CLAIMS, get_claim
from mechdyn.evidence import Evidence, Verdict
from mechdyn.paper.parts import DYNAMIC_RAG
from mechdyn.stats.random_effects import FEWEST, RandomEffects, random_effects, standard_error


@dataclass(frozen=True)
class OneModel:
    """A model's quantity and its standard error."""

    model: str
    evidence: Evidence
    error: float


@dataclass(frozen=True)
class Together:
    """One claim's quantity over models; `found` is None where fewer than two models can be taken.

    `left_out` says of each verdict that was not taken, by model, why.
    """

    claim: str
    models: tuple[OneModel, ...]
    found: RandomEffects | None
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def quantity(self) -> str:
        """What is compared, in words; those that differ between models are all named."""
        return " / ".join(dict.fromkeys(each.evidence.name for each in self.models)) or "nothing"

    def to_frame(self) -> DataFrame:
        """A row a model with its weight, then the mean and the prediction; its columns are missing where there is none."""
        columns = ("claim", "what", "estimate", "low", "high", "error", "weight", "n")
        weights = self.found.weights if self.found else (math.nan,) * len(self.models)
        rows: list[tuple[object, ...]] = [
            (self.claim, each.model, interval.estimate, interval.low, interval.high, each.error, weight, interval.n)
            for each, weight in zip(self.models, weights, strict=True)
            for interval in (each.evidence.interval,)
        ]
        if self.found is not None:
            mean, ahead = self.found.mean, self.found.prediction or (math.nan, math.nan)
            rows.append((self.claim, "mean", mean.estimate, mean.low, mean.high, math.nan, 1.0, mean.n))
            rows.append((self.claim, "next model", mean.estimate, *ahead, math.nan, math.nan, mean.n))
        return DataFrame(rows, columns=list(columns))


def together(verdicts: Sequence[Verdict]) -> list[Together]:
    """Each claim on which there are verdicts for two or more models, in the order in which claims first come."""
    by_claim = {verdict.claim: [each for each in verdicts if each.claim == verdict.claim] for verdict in verdicts}
    return [_of_claim(name, found) for name, found in by_claim.items() if len({each.model for each in found}) >= FEWEST]


def main_quantity(verdict: Verdict) -> Evidence | None:
    """The evidence by which the claim compares models; None where it names none, or was not measured, or its package is not installed."""
    if verdict.claim == DYNAMIC_RAG:
        return dynamic_rag.main_quantity(verdict)
    named = getattr(get_claim(verdict.claim), "main_quantity", None) if verdict.claim in CLAIMS.names() else None
    return named(verdict) if named is not None else None


def _of_claim(name: str, verdicts: Sequence[Verdict]) -> Together:
    taken: dict[str, OneModel] = {}
    left_out = []
    for verdict in verdicts:
        evidence = main_quantity(verdict)
        error = standard_error(evidence.interval) if evidence is not None else None
        if verdict.model in taken:
            left_out.append((verdict.model, "a second verdict on this model, which is no other model"))
        elif evidence is None:
            left_out.append((verdict.model, "the quantity was not measured"))
        elif error is None:
            left_out.append((verdict.model, f"{evidence.interval} has no width, so no standard error"))
        else:
            taken[verdict.model] = OneModel(verdict.model, evidence, error)
    models = tuple(taken.values())
    estimates = np.array([each.evidence.interval.estimate for each in models])
    found = random_effects(estimates, np.array([each.error for each in models])) if len(models) >= FEWEST else None
    return Together(name, models, found, tuple(left_out))
