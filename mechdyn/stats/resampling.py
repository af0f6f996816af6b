"""The bootstrap over samples, for any statistic (docs/definitions.md, "Intervals").

Steps of one sample depend on each other, so whole samples are drawn; where samples share a needle or a haystack, whole clusters of them.
A statistic is a function of weights: how often a resample holds each sample. For means and shares `mechdyn.stats.means` has what to call.
"""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from mechdyn.errors import InputError
from mechdyn.stats.bca import bca_bounds, degrees_of_freedom, is_constant
from mechdyn.stats.interval import Interval
from mechdyn.stats.labels import Clusters, cluster_index
from mechdyn.stats.proportions import Bounds, normal_quantile, unseen

Weights: TypeAlias = Float[np.ndarray, "_resample _sample"]
"""How often each resample holds each sample; a row of ones is all samples once."""
Statistics: TypeAlias = Callable[[Weights], Float[np.ndarray, "_resample _value"]]

UNIT: Bounds = (0.0, 1.0)
"""The least and the greatest value of shares, and of means of shares."""
DIFFERENCE: Bounds = (-1.0, 1.0)
"""Those of the difference of two such."""
BOOTSTRAP, CLUSTER_BOOTSTRAP, NO_SPREAD = "BCa bootstrap", "cluster BCa bootstrap", "no spread"
"""What intervals are called that are made here (`Interval.method`); `no spread` where every resample gives the same."""
_BATCH_NUMBERS = 4_000_000
"""Weights drawn at a time: 32 MB."""


def bootstrap(
    statistic: Callable[[Weights], Float[np.ndarray, " _resample"]],
    n_samples: int,
    *,
    clusters: Clusters | None = None,
    limits: Bounds | None = None,
    seed: int = 0,
    n_resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """A bootstrap interval of one number; see `bootstrap_many`.

    No sample at all gives NaN throughout.
    """
    if n_samples == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    (interval,) = bootstrap_many(
        lambda weights: statistic(weights)[:, None],
        n_samples,
        clusters=clusters,
        limits=limits,
        seed=seed,
        n_resamples=n_resamples,
        level=level,
    )
    return interval


def bootstrap_many(
    statistic: Statistics,
    n_samples: int,
    *,
    clusters: Clusters | None = None,
    limits: Bounds | list[Bounds] | None = None,
    seed: int = 0,
    n_resamples: int = 2000,
    level: float = 0.95,
) -> tuple[Interval, ...]:
    """Bootstrap intervals of several numbers from the same resamples, by `bca_bounds`.

    Where no resample differs from the estimate c, a bootstrap knows nothing of what was not drawn. With `limits` (lo, hi), a share
    ε = z² / (n + z²) of the population may lie anywhere between them unseen (`unseen`), so the interval is
    [c − ε (c − lo), c + ε (hi − c)]: for c = 1 in [0, 1] it is Wilson's. Without limits it has no width. Either says `no spread`.

    Args:
        statistic: takes weights, one row a resample, and gives one row of numbers for each. Weights are whole numbers, for the estimate all
            1; one row more for each cluster leaves that out.
        n_samples: samples to draw from.
        clusters: a label for each sample; samples of one label are drawn together. By default each is drawn by itself.
        limits: the least and the greatest value that the numbers can have at all, for all of them or one after the other.
        seed: the same seed and number of clusters draw the same resamples, whatever the statistic.
        n_resamples: resamples.
        level: coverage of the intervals.

    Returns:
        The statistic of all samples once, with its intervals. Bounds are NaN for fewer than two clusters, and where the statistic of any
        resample is NaN: no interval is made up.

    Raises:
        InputError: no sample, not one label a sample, `level` outside (0, 1), or fewer than 1 resample.
    """
    if n_samples < 1:
        raise InputError(f"a bootstrap of several numbers needs at least 1 sample, got {n_samples}")
    if n_resamples < 1:
        raise InputError(f"n_resamples must be at least 1, got {n_resamples}; 2000 is the default")
    z = normal_quantile(level)
    index = cluster_index(clusters, n_samples)
    n_clusters = int(index.max()) + 1
    estimates = statistic(np.ones((1, n_samples)))[0]
    if n_clusters < 2:
        return tuple(Interval(float(estimate), math.nan, math.nan, n_samples) for estimate in estimates)

    def of_clusters(batches: Iterator[Weights]) -> Float[np.ndarray, "_row value"]:
        """The statistic for weights of clusters, each given to all of its samples."""
        return np.concatenate([statistic(rows if n_clusters == n_samples else rows[:, index]) for rows in batches])

    resampled, left_out = of_clusters(_draws(n_clusters, n_resamples, seed)), of_clusters(_each_left_out(n_clusters))
    interval = partial(_interval, n_samples=n_samples, n_clusters=n_clusters, unseen_share=unseen(n_clusters, z), level=level)
    bounds = limits if isinstance(limits, list) else [limits] * len(estimates)
    return tuple(map(interval, estimates.tolist(), resampled.T, left_out.T, bounds))


def _interval(
    estimate: float,
    resampled: Float[np.ndarray, " resample"],
    left_out: Float[np.ndarray, " cluster"],
    limits: Bounds | None,
    *,
    n_samples: int,
    n_clusters: int,
    unseen_share: float,
    level: float,
) -> Interval:
    """The interval of one number, from what each resample gives and what is left without each cluster.

    `unseen_share` of the population may lie where no sample does.
    """
    if np.isnan(estimate) or np.isnan(resampled).any() or np.isnan(left_out).any():
        return Interval(estimate, math.nan, math.nan, n_samples)
    if is_constant(resampled, estimate):
        low, high = (estimate, estimate) if limits is None else _around(estimate, limits, unseen_share)
        return Interval(estimate, low, high, n_samples, NO_SPREAD, n_clusters - 1.0)
    method = BOOTSTRAP if n_clusters == n_samples else CLUSTER_BOOTSTRAP
    return Interval(estimate, *bca_bounds(resampled, estimate, left_out, level), n_samples, method, degrees_of_freedom(left_out))


def draw_weights(draws: Int[np.ndarray, "resample draw"], n_samples: int) -> Float[np.ndarray, "resample sample"]:
    """How often each row of `draws` holds each sample: a statistic of sums is then a matrix product over samples."""
    n_resamples = len(draws)
    flat = draws + n_samples * np.arange(n_resamples)[:, None]
    return np.bincount(flat.ravel(), minlength=n_resamples * n_samples).reshape(n_resamples, n_samples).astype(np.float64)


def _draws(n: int, n_resamples: int, seed: int) -> Iterator[Float[np.ndarray, "_some cluster"]]:
    """Weights of all resamples, some at a time."""
    if n * n_resamples <= _BATCH_NUMBERS:
        yield _all_draws(n, n_resamples, seed)
        return
    rng = np.random.default_rng(seed)
    size = max(1, _BATCH_NUMBERS // n)
    for start in range(0, n_resamples, size):
        yield draw_weights(rng.integers(0, n, (min(size, n_resamples - start), n)), n)


@lru_cache(maxsize=4)
def _all_draws(n: int, n_resamples: int, seed: int) -> Float[np.ndarray, "_resample _cluster"]:
    """Weights of all resamples; kept, since a table asks for those of the same samples again and again."""
    weights = draw_weights(np.random.default_rng(seed).integers(0, n, (n_resamples, n)), n)
    weights.flags.writeable = False
    return weights


def _each_left_out(n: int) -> Iterator[Float[np.ndarray, "_some cluster"]]:
    """A row for each cluster, in which it is missing."""
    size = max(1, _BATCH_NUMBERS // n)
    for start in range(0, n, size):
        rows = np.ones((min(size, n - start), n))
        rows[np.arange(len(rows)), start + np.arange(len(rows))] = 0.0
        yield rows


def _around(estimate: float, limits: Bounds, share: float) -> Bounds:
    """What a mean may be if a share of what it is over lies anywhere between the limits."""
    low, high = limits
    return estimate - share * (estimate - low), estimate + share * (high - estimate)
