"""How well a score tells positives from negatives, compared only within strata, with intervals by sample.

What differs from stratum to stratum (the kind of a token, its place in an answer) cannot make a score look better or worse than it is.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.stats.average_precision import tied_precision
from mechdyn.stats.clusters import Clusters, cluster_index
from mechdyn.stats.interval import Interval
from mechdyn.stats.resampling import UNIT, Weights, bootstrap_many

_CHUNK_NUMBERS = 4_000_000
"""Weights of rows held at a time: 32 MB."""


@dataclass(frozen=True, eq=False)
class Stratified:
    """Rows with a label, a stratum and a sample each. Strata without a positive or without a negative compare nothing and are left out.

    Attributes:
        positive: the label of each row.
        stratum: a number for each row's stratum.
        sample: the sample of each row, from 0; rows of one sample are drawn together.
        clusters: a label for each sample; samples of one label are drawn together.
    """

    positive: Bool[np.ndarray, " row"]
    stratum: Int[np.ndarray, " row"]
    sample: Int[np.ndarray, " row"]
    clusters: Clusters

    @classmethod
    def of(
        cls, positive: Bool[np.ndarray, " row"], strata: Sequence[Hashable], sample: Int[np.ndarray, " row"], clusters: Clusters
    ) -> "Stratified":
        """Strata by any label.

        Raises:
            InputError: not one stratum and one sample a row.
        """
        if not len(positive) == len(strata) == len(sample):
            raise InputError(f"a row has a stratum and a sample, got {len(positive)} labels, {len(strata)} strata, {len(sample)} samples")
        return cls(np.asarray(positive, dtype=bool), cluster_index(list(strata), len(strata)), sample, clusters)

    @cached_property
    def compared(self) -> Bool[np.ndarray, " row"]:
        """The rows of strata that have both."""
        n_strata = int(self.stratum.max(initial=-1)) + 1
        counts = np.stack([np.bincount(self.stratum[self.positive == label], minlength=n_strata) for label in (True, False)])
        both: Bool[np.ndarray, " stratum"] = np.logical_and(counts[0] > 0, counts[1] > 0)
        return both[self.stratum]

    @property
    def n_positive(self) -> int:
        """Positives that are compared."""
        return int((self.positive & self.compared).sum())

    @property
    def base_rate(self) -> float:
        """The average precision of no score at all: the share of positives in each one's stratum, mean over positives; NaN without."""
        if not self.n_positive:
            return float("nan")
        kept, stratum = self.positive[self.compared], self.stratum[self.compared]
        share = np.bincount(stratum, weights=kept) / np.maximum(np.bincount(stratum), 1)
        return float(share[stratum[kept]].mean())

    def areas(self, scores: Mapping[str, Float[np.ndarray, " row"]], *, seed: int = 0) -> dict[str, tuple[Interval, Interval]]:
        """Of each score its AUROC and its average precision, all on the same resamples of samples (docs/definitions.md, "Alarm").

            AUROC = Σ_s U_s / Σ_s n⁺_s n⁻_s,   AP = Σ_s n⁺_s AP_s / Σ_s n⁺_s

        with U_s the pairs of stratum s in which the positive has the higher score, ties one half, and AP_s the stratum's average precision,
        ties the mean over all orders. `n` of the intervals are samples. NaN where no stratum has both labels.

        Raises:
            InputError: not one score a row, or one that is NaN.
        """
        n_samples = len(self.clusters)
        if not self.compared.any():
            nothing = Interval(float("nan"), float("nan"), float("nan"), n_samples)
            return dict.fromkeys(scores, (nothing, nothing))
        curves = [self._curve(np.asarray(score, dtype=np.float64), name) for name, score in scores.items()]

        def statistic(weights: Weights) -> Float[np.ndarray, "resample value"]:
            return np.concatenate([curve.areas(weights) for curve in curves], axis=1)

        found = bootstrap_many(statistic, n_samples, clusters=self.clusters, limits=UNIT, seed=seed)
        return dict(zip(scores, zip(found[::2], found[1::2], strict=True), strict=True))

    def _curve(self, score: Float[np.ndarray, " row"], name: str) -> "_Curve":
        if score.shape != self.positive.shape or np.isnan(score).any():
            raise InputError(f"the score {name!r} must be one number a row ({len(self.positive)}), none of them NaN")
        kept = np.flatnonzero(self.compared)
        order = kept[np.lexsort((-score[kept], self.stratum[kept]))]
        new_stratum = np.diff(self.stratum[order], prepend=-1) != 0
        first = np.flatnonzero(new_stratum | (np.diff(score[order], prepend=np.nan) != 0))
        starts = np.flatnonzero(new_stratum)
        own = np.searchsorted(starts, first, side="right") - 1
        ends = np.append(starts[1:], len(order))
        return _Curve(self.positive[order], self.sample[order], first, np.append(first[1:], len(order)), starts[own], ends[own])


@dataclass(frozen=True, eq=False)
class _Curve:
    """Rows by stratum, in each by descending score; groups of rows that tie, and where each group and its stratum begin and end."""

    positive: Bool[np.ndarray, " row"]
    sample: Int[np.ndarray, " row"]
    first: Int[np.ndarray, " group"]
    end: Int[np.ndarray, " group"]
    stratum_first: Int[np.ndarray, " group"]
    stratum_end: Int[np.ndarray, " group"]

    def areas(self, weights: Float[np.ndarray, "resample sample"]) -> Float[np.ndarray, "resample 2"]:
        """AUROC and average precision of each resample; weights are whole numbers."""
        size = max(1, _CHUNK_NUMBERS // len(self.positive))
        return np.concatenate([self._areas(weights[start : start + size]) for start in range(0, len(weights), size)])

    def _areas(self, weights: Float[np.ndarray, "chunk sample"]) -> Float[np.ndarray, "chunk 2"]:
        rows = weights.T[self.sample]
        zero = np.zeros((1, rows.shape[1]))
        positives = np.concatenate([zero, (rows * self.positive[:, None]).cumsum(axis=0)])
        all_rows = np.concatenate([zero, rows.cumsum(axis=0)])
        negatives = all_rows - positives
        gained, tied = positives[self.end] - positives[self.first], all_rows[self.end] - all_rows[self.first]
        lower = negatives[self.stratum_end] - negatives[self.end]
        level = negatives[self.end] - negatives[self.first]
        won = (gained * (lower + level / 2)).sum(axis=0)
        pairs = (gained * (negatives[self.stratum_end] - negatives[self.stratum_first])).sum(axis=0)
        before = all_rows[self.first] - all_rows[self.stratum_first]
        found = positives[self.first] - positives[self.stratum_first]
        added, total = tied_precision(gained, tied, found, before).sum(axis=0), gained.sum(axis=0)
        nothing = np.full_like(total, np.nan)
        auroc = np.divide(won, pairs, out=nothing.copy(), where=pairs > 0)
        return np.stack([auroc, np.minimum(np.divide(added, total, out=nothing, where=total > 0), 1.0)], axis=1)
