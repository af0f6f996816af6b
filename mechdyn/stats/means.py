"""Means, shares and paired differences with their intervals: what to call, whatever the data are.

Values that are all 0 or 1 are proportions and get a score interval; all else is bootstrapped (docs/definitions.md, "Intervals"). The
coverage of each stands in docs/coverage.md.
"""

import math
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Num

from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval
from mechdyn.stats.labels import Clusters, cluster_index
from mechdyn.stats.proportions import Bounds, effective_size, normal_quantile, tango, wilson
from mechdyn.stats.resampling import DIFFERENCE, UNIT, Weights, bootstrap

PerSample: TypeAlias = Num[np.ndarray, " _sample"] | Bool[np.ndarray, " _sample"]

WILSON, CLUSTER_WILSON = "Wilson", "Wilson (effective n)"
TANGO, CLUSTER_TANGO = "Tango", "Tango (effective n)"
"""What these intervals are called (`Interval.method`)."""


def mean_interval(values: PerSample, clusters: Clusters | None = None, *, seed: int = 0, level: float = 0.95) -> Interval:
    """The mean over samples of a metric in [0, 1]: Wilson where every value is 0 or 1, else the bootstrap.

    NaN (a sample that has no such value) is left out, and `n` counts the rest.

    Args:
        values: one a sample.
        clusters: a label for each sample; samples of one label depend on each other.
        seed: of the bootstrap.
        level: coverage of the interval.

    Raises:
        InputError: a value outside [0, 1], or not one label a sample.
    """
    values, index = _complete(np.asarray(values, dtype=np.float64), clusters)
    if len(values) and (values.min() < 0 or values.max() > 1):
        raise InputError(f"mean_interval is of metrics in [0, 1], got {values.min():g} to {values.max():g}; bootstrap_mean takes any")
    if _is_binary(values):
        return share_interval(values, np.ones(len(values)), index, level=level)
    return bootstrap_mean(values, np.ones(len(values)), index, limits=UNIT, seed=seed, level=level)


def share_interval(hits: PerSample, trials: PerSample, clusters: Clusters | None = None, *, level: float = 0.95) -> Interval:
    """The share of trials that hit, Σ hits / Σ trials, by Wilson; each sample has any number of trials, which depend on each other.

    With one trial a sample and no clusters n is the number of trials. Else it is how many independent trials would tell as much
    (`effective_size`). Samples without a trial are left out, and `n` counts the rest.

    Raises:
        InputError: lengths differ, more hits than trials, or not one label a sample.
    """
    hits, trials, index = _paired_sums(hits, trials, clusters)
    if (hits > trials).any() or (hits < 0).any():
        raise InputError("a share needs hits between 0 and the trials of each sample; for other sums take bootstrap_mean")
    n = len(hits)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    share = float(hits.sum() / trials.sum())
    hits, trials = (np.bincount(index, weights=row) for row in (hits, trials))
    single = bool((trials == 1).all())
    if len(trials) < 2:
        return Interval(share, math.nan, math.nan, n)
    size = float(n) if single else effective_size(hits, trials)
    return Interval(share, *wilson(share, size, normal_quantile(level)), n, WILSON if single else CLUSTER_WILSON)


def bootstrap_mean(
    sums: PerSample,
    counts: PerSample,
    clusters: Clusters | None = None,
    *,
    limits: Bounds | None = None,
    seed: int = 0,
    n_resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Mean pooled over steps, resampled by sample: Σ sums / Σ counts.

    `sums` and `counts` hold each sample's sum over its steps and how many steps that were. A sample with no step has no say: it is left
    out, and `n` counts the rest. For a mean over samples, `counts` are ones. `limits` are the least and greatest value that a step can have
    (`bootstrap_many`).

    Raises:
        InputError: lengths differ, a negative count, a sum that is not finite though its count is above 0, or not one label a sample.
    """
    sums, counts, index = _paired_sums(sums, counts, clusters)

    def ratio(weights: Weights) -> Float[np.ndarray, " resample"]:
        return (weights @ sums) / (weights @ counts)

    return bootstrap(ratio, len(sums), clusters=index, limits=limits, seed=seed, n_resamples=n_resamples, level=level)


def paired_difference(
    a: PerSample, b: PerSample, clusters: Clusters | None = None, *, seed: int = 0, n_resamples: int = 2000, level: float = 0.95
) -> Interval:
    """Mean over samples of a − b, the same sample under two conditions.

    Where every value is 0 or 1 the bounds are Tango's, else the bootstrap's; if all values lie in [0, 1], differences without any spread
    still have an interval (`bootstrap_many`). Pairs with a NaN are left out; `n` counts the rest. In clusters Tango's counts are scaled to
    the effective number of pairs: the variance of the differences over that of their mean, never more than there are.

    Raises:
        InputError: lengths differ, or not one label a sample.
    """
    if len(a) != len(b):
        raise InputError(f"paired conditions need the same samples in the same order, got {len(a)} and {len(b)}")
    both = np.stack([np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)])
    known = ~np.isnan(both).any(axis=0)
    index = cluster_index(clusters, both.shape[1])[known]
    a, b = both[:, known]
    if len(a) and _is_binary(both[:, known]):
        return _tango(a, b, cluster_index(index, len(a)), level)
    within = len(a) > 0 and min(a.min(), b.min()) >= 0 and max(a.max(), b.max()) <= 1
    limits = DIFFERENCE if within else None
    return bootstrap_mean(a - b, np.ones(len(a)), index, limits=limits, seed=seed, n_resamples=n_resamples, level=level)


def _tango(a: PerSample, b: PerSample, index: Num[np.ndarray, " sample"], level: float) -> Interval:
    n, difference = len(a), a - b
    estimate = float(difference.mean())
    sums, sizes = np.bincount(index, weights=difference), np.bincount(index)
    n_clusters = len(sums)
    if n_clusters < 2:
        return Interval(estimate, math.nan, math.nan, n)
    size = float(n)
    if n_clusters < n:
        variance = n_clusters / (n_clusters - 1) * float(((sums - estimate * sizes) ** 2).sum()) / n**2
        size = float(n_clusters) if not difference.any() else min(size, difference.var() / variance) if variance > 0 else size
    first_only, second_only = (np.count_nonzero(difference == sign) * size / n for sign in (1, -1))
    bounds = tango(first_only, second_only, size, normal_quantile(level))
    return Interval(estimate, *bounds, n, TANGO if n_clusters == n else CLUSTER_TANGO)


def _complete(values: PerSample, clusters: Clusters | None) -> tuple[PerSample, Num[np.ndarray, " sample"]]:
    """The values that are known, and their clusters."""
    index = cluster_index(clusters, len(values))
    known = ~np.isnan(values)
    return values[known], index[known]


def _paired_sums(sums: PerSample, counts: PerSample, clusters: Clusters | None) -> tuple[PerSample, PerSample, Num[np.ndarray, " sample"]]:
    """Sums, counts and clusters of the samples that count."""
    sums, counts = np.asarray(sums), np.asarray(counts)
    if len(sums) != len(counts):
        raise InputError(f"sums and counts need one entry a sample each, got {len(sums)} and {len(counts)}")
    if (counts < 0).any():
        raise InputError(f"counts must be 0 or more, got {counts.min()}")
    valid = counts > 0
    if not np.isfinite(sums[valid]).all():
        raise InputError("sums must be finite where counts are above 0; leave undefined steps out of both")
    index = cluster_index(clusters, len(sums))[valid]
    return sums[valid].astype(np.float64), counts[valid].astype(np.float64), cluster_index(index.tolist(), len(index))


def _is_binary(values: Num[np.ndarray, "..."]) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all())
