"""What a variant's answers cost beside the base's: time and memory."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from mechdyn.evidence import Evidence
from mechdyn.improve.variant import Answer
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import bootstrap_mean
from mechdyn.stats.resampling import Weights, bootstrap

_FEWEST_BATCHES = 5
"""Of fewer batches there is no interval: two that happen to agree would give one of no width."""
_COUNTED = ("seconds_before", "seconds_after", "difference", "ratio")
_SIZES = ("tokens_before", "tokens_after", "cache_before", "cache_after", "peak_before", "peak_after")


@dataclass(frozen=True)
class Cost:
    """Before and after on the samples of one task; answers of one batch share its time, so intervals resample batches.

    Attributes:
        variant: whose.
        task: of what.
        seconds_before: mean wall time of an answer, prompt and all; an answer's is its share of its batch's.
        seconds_after: the same of the variant.
        difference: after less before, sample by sample.
        ratio: of the sums, after over before, of seconds for each generated token (an answer without a token counts as one): longer answers
            are no slower decoding. Of fewer than five batches no time has bounds.
        tokens_before: mean tokens of an answer.
        tokens_after: the same of the variant.
        cache_before: keys and values of the largest answer, bytes; None where not known.
        cache_after: the same of the variant.
        peak_before: most that a batch held on the device, bytes; None where not known.
        peak_after: the same of the variant.
    """

    variant: str
    task: str
    seconds_before: Interval
    seconds_after: Interval
    difference: Interval
    ratio: Interval
    tokens_before: float
    tokens_after: float
    cache_before: int | None
    cache_after: int | None
    peak_before: int | None
    peak_after: int | None

    def as_json(self) -> dict[str, Any]:
        numbers = {name: Evidence(name, getattr(self, name)).as_json() for name in _COUNTED}
        return {"variant": self.variant, "task": self.task, **numbers, **{name: getattr(self, name) for name in _SIZES}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Cost":
        """What `as_json` wrote."""
        numbers: dict[str, Any] = {name: Interval.from_json(values[name]) for name in _COUNTED}
        return cls(values["variant"], values["task"], **numbers, **{name: values[name] for name in _SIZES})


def cost_of(variant: str, task: str, before: Sequence[Answer], after: Sequence[Answer], seed: int = 0) -> Cost:
    """Compare answers to the same samples."""
    seconds = [np.array([answer.seconds for answer in answers]) for answers in (before, after)]
    tokens = [np.array([max(1, len(answer.tokens)) for answer in answers], dtype=np.float64) for answers in (before, after)]

    def ratio(weights: Weights) -> Float[np.ndarray, " resample"]:
        first, second = ((weights @ time) / (weights @ length) for time, length in zip(seconds, tokens, strict=True))
        return second / first

    ones, batches = np.ones(len(before)), [f"{answer.seconds!r} {other.seconds!r}" for answer, other in zip(before, after, strict=True)]
    return Cost(
        variant=variant,
        task=task,
        seconds_before=_surely(bootstrap_mean(seconds[0], ones, batches, seed=seed), len(set(batches))),
        seconds_after=_surely(bootstrap_mean(seconds[1], ones, batches, seed=seed), len(set(batches))),
        difference=_surely(bootstrap_mean(seconds[1] - seconds[0], ones, batches, seed=seed), len(set(batches))),
        ratio=_surely(bootstrap(ratio, len(before), clusters=batches, seed=seed), len(set(batches))),
        tokens_before=float(np.mean([len(answer.tokens) for answer in before])),
        tokens_after=float(np.mean([len(answer.tokens) for answer in after])),
        cache_before=_largest(before, "cache_bytes"),
        cache_after=_largest(after, "cache_bytes"),
        peak_before=_largest(before, "peak_bytes"),
        peak_after=_largest(after, "peak_bytes"),
    )


def _surely(interval: Interval, n_batches: int) -> Interval:
    """The interval, without bounds where there are too few batches for any."""
    return interval if n_batches >= _FEWEST_BATCHES else Interval(interval.estimate, math.nan, math.nan, interval.n)


def _largest(answers: Sequence[Answer], field: str) -> int | None:
    known = [getattr(answer, field) for answer in answers if getattr(answer, field) is not None]
    return max(known, default=None)
