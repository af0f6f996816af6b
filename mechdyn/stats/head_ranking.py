"""Heads ranked by what samples give them: the ranking, intervals by needle, and how stable it is (docs/definitions.md, "Detection").

Samples about one needle depend on each other (Wu et al. take hundreds of prompts of three needles), so what is resampled or split in halves
are needles, each with all of its samples.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy
from jaxtyping import Float

from mechdyn.errors import InputError
from mechdyn.heads import Head, RankedHeads, Spread
from mechdyn.stats.interval import Interval
from mechdyn.stats.resampling import Weights, bootstrap_many, draw_weights

Values = Float[np.ndarray, " head"]


@dataclass(frozen=True, eq=False)
class HeadScores:
    """What every sample gave every head (flat: layer by layer): the ranking's scores are Σ sums / Σ counts over samples.

    `counts` are ones for a mean over samples, or numbers of steps for a mean over the steps of all samples. `needles` says which samples
    share a needle.
    """

    sums: Float[np.ndarray, "sample head"]
    counts: Float[np.ndarray, " sample"]
    needles: tuple[str, ...]
    n_layers: int
    n_heads: int

    def __post_init__(self) -> None:
        if not len(self.sums) == len(self.counts) == len(self.needles) > 0:
            raise InputError(
                f"a ranking needs a sample or more, each with sums, a count and a needle, got {len(self.sums)}, {len(self.counts)} and "
                f"{len(self.needles)}"
            )

    @cached_property
    def by_needle(self) -> tuple[Float[np.ndarray, "needle head"], Float[np.ndarray, " needle"]]:
        """Sums and counts of each needle's samples together."""
        names, which = np.unique(np.array(self.needles), return_inverse=True)
        sums = np.zeros((len(names), self.sums.shape[1]))
        counts = np.zeros(len(names))
        np.add.at(sums, which, self.sums)
        np.add.at(counts, which, self.counts)
        return sums, counts

    @property
    def n_needles(self) -> int:
        return len(self.by_needle[1])

    @property
    def means(self) -> Values:
        """The score of each head."""
        return self.sums.sum(axis=0) / self.counts.sum()

    def ranking(self, statistic: str = "", model: str = "") -> RankedHeads:
        """Heads by descending score, ties by (layer, head), with each sample's own score of each head."""
        means, own = self.means, self.sums / self.counts[:, None]
        order = np.lexsort((np.arange(len(means)), -means))
        heads = tuple(Head(*divmod(int(flat), self.n_heads)) for flat in order)
        spread = tuple(Spread.of(own[:, flat].tolist()) for flat in order)
        scores = tuple(means[order].tolist())
        return RankedHeads(heads, scores, self.n_layers, self.n_heads, statistic, model, len(self.sums), spread)

    def intervals(self, *, seed: int = 0) -> tuple[Interval, ...]:
        """Each head's score with its 95 % interval, needles resampled; `n` counts needles.

        Bounds are NaN of one needle, and of a head that every needle gives the same: resampling them tells nothing.
        """
        sums, counts = self.by_needle

        def ratio(weights: Weights) -> Float[np.ndarray, "resample head"]:
            return (weights @ sums) / (weights @ counts)[:, None]

        found = bootstrap_many(ratio, len(counts), seed=seed)
        return tuple(replace(each, low=math.nan, high=math.nan) if each.low == each.high else each for each in found)


@dataclass(frozen=True)
class Agreement:
    """How far lists from other samples agree with a list: Spearman's ρ, and the share of its first k heads that are among their first k."""

    correlation: float
    shared: float


@dataclass(frozen=True)
class SplitHalf:
    """Lists from two random halves of the needles against each other, the mean over many splits; NaN of fewer than 4 needles.

    Attributes:
        correlation: Spearman's ρ of all heads' scores.
        whole: the same for the whole list, by Spearman and Brown: 2 ρ / (1 + ρ).
        jaccard: of the first k heads of either half.
        low, high: between these lie 95 % of the splits' Jaccards.
    """

    correlation: float
    whole: float
    jaccard: float
    low: float
    high: float


def stability(scores: HeadScores, k: int, *, seed: int = 0, n_resamples: int = 200) -> Agreement:
    """The list against those of resampled needles: mean Spearman's ρ over its first k heads, and how many of them stay among the first k.

    Where all k heads score alike in the list and in a resample their orders agree (ρ = 1); where they do in one of the two, they do not
    (ρ = 0). NaN of fewer than 2 needles.
    """
    sums, counts = scores.by_needle
    if len(counts) < 2:
        return Agreement(math.nan, math.nan)
    draws = np.random.default_rng(seed).integers(len(counts), size=(n_resamples, len(counts)))
    weights = draw_weights(draws, len(counts))
    resampled = (weights @ sums) / (weights @ counts)[:, None]
    means = scores.means
    first = _first(means, k)
    correlations = [_correlation(means[first], row[first]) for row in resampled]
    shared = [len(set(first) & set(_first(row, k))) / len(first) for row in resampled]
    return Agreement(float(np.mean(correlations)), float(np.mean(shared)))


def split_half(scores: HeadScores, k: int, *, seed: int = 0, n_splits: int = 100) -> SplitHalf:
    """The reliability of a list: what a list from other needles of half their number would have in common with its like."""
    sums, counts = scores.by_needle
    n = len(counts)
    if n < 4:
        return SplitHalf(*(math.nan,) * 5)
    rng = np.random.default_rng(seed)
    correlations, jaccards = [], []
    for _ in range(n_splits):
        order = rng.permutation(n)
        one, other = (sums[half].sum(axis=0) / counts[half].sum() for half in (order[: n // 2], order[n // 2 :]))
        tops = set(_first(one, k)), set(_first(other, k))
        correlations.append(_correlation(one, other))
        jaccards.append(len(tops[0] & tops[1]) / len(tops[0] | tops[1]))
    rho = float(np.mean(correlations))
    low, high = np.quantile(jaccards, (0.025, 0.975))
    return SplitHalf(rho, 2 * rho / (1 + rho) if rho > -1 else math.nan, float(np.mean(jaccards)), float(low), float(high))


def _first(values: Values, k: int) -> list[int]:
    """The first k heads by score, ties by (layer, head)."""
    return np.lexsort((np.arange(len(values)), -values))[:k].tolist()


def _correlation(one: Values, other: Values) -> float:
    """Spearman's ρ, ties by their mean rank; of constant scores see `stability`."""
    constant = [bool(np.ptp(values) == 0) for values in (one, other)]
    if any(constant):
        return 1.0 if all(constant) else 0.0
    ranks = scipy.stats.rankdata(one), scipy.stats.rankdata(other)
    return float(np.corrcoef(*ranks)[0, 1])
