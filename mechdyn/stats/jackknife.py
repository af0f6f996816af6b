"""Intervals from leaving out one cluster at a time, for statistics that a bootstrap gets wrong.

A resample of a bootstrap holds some needles several times. Where a statistic compares needles with each other, such as components of
variance that cross needles, the copies agree with each other as no two needles do, and the statistic is biased in every resample. Leaving a
needle out makes no copies.
"""

import math

import numpy as np
import scipy
from jaxtyping import Float

from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval
from mechdyn.stats.resampling import Statistics

JACKKNIFE = "cluster jackknife"
"""What such an interval is called (`Interval.method`)."""


def jackknife_many(statistic: Statistics, n_clusters: int, *, level: float = 0.95) -> tuple[Interval, ...]:
    """Several numbers, each θ ± t s, with s² = (n − 1) / n Σ (θ without cluster i − their mean)² (Efron and Stein 1981, eq. 1.4).

    t is the quantile of Student's t with n − 1 degrees of freedom.

    Args:
        statistic: takes weights of clusters, one row a sample, all 1 but for one left out, and gives one row of numbers for each.
        n_clusters: clusters, at least 2.
        level: coverage of the intervals.

    Returns:
        The statistic of all clusters, with its intervals. Bounds are NaN where the statistic without some cluster is.

    Raises:
        InputError: fewer than two clusters.
    """
    if n_clusters < 2:
        raise InputError(f"a jackknife needs at least 2 clusters, got {n_clusters}")
    weights = np.concatenate([np.ones((1, n_clusters)), 1.0 - np.eye(n_clusters)])
    found: Float[np.ndarray, "sample value"] = statistic(weights)
    left_out = found[1:]
    error = np.sqrt((n_clusters - 1) / n_clusters * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    reach = float(scipy.special.stdtrit(n_clusters - 1, (1 + level) / 2)) * error
    reach = np.where(np.isfinite(reach), reach, math.nan)
    pairs = zip(found[0].tolist(), reach.tolist(), strict=True)
    return tuple(Interval(value, value - half, value + half, n_clusters, JACKKNIFE) for value, half in pairs)
