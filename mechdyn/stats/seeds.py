"""Paired differences of models that were trained with several seeds: both seeds and samples are drawn."""

import math

import numpy as np
from jaxtyping import Float
from scipy import stats

from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval
from mechdyn.stats.labels import Clusters, cluster_index
from mechdyn.stats.means import paired_difference

SEEDS = "Student's t over samples and seeds"
"""What these intervals are called (`Interval.method`)."""


def difference_over_seeds(
    a: Float[np.ndarray, "_seed sample"], b: Float[np.ndarray, "_seed sample"], clusters: Clusters | None = None, *, level: float = 0.95
) -> Interval:
    """Mean of a − b over seeds and samples, seed s of one against seed s of the other, on the same samples.

    With d the differences of samples averaged over K seeds, and m those of seeds averaged over samples, its variance is taken as
    V = A + B: A = G / (G − 1) · Σ_g (Σ_{i in g} (dᵢ − d̄))² / n² over G clusters of n samples, B = Σ (m_s − m̄)² / (K − 1) / K. What seeds
    and samples do together is in both, so V errs on the safe side. The bounds are d̄ ± t √V, t a quantile of Student's distribution with
    V² / (A² / (G − 1) + B² / (K − 1)) degrees of freedom (Satterthwaite); with three seeds that vary more than the samples they cover the
    truth in 94 % of runs. Where nothing varies, the bounds are those of one seed.

    Args:
        a: one row a seed.
        b: the same, or a single row that is the same for every seed (a model that was not trained).
        clusters: a label for each sample; samples of one label depend on each other.
        level: coverage of the interval.

    Returns:
        The interval; `n` counts the samples that have all their values. Without bounds where there are fewer than two seeds, or clusters.

    Raises:
        InputError: other samples or seeds, or not one label a sample.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape[1] != b.shape[1] or len(b) not in (1, len(a)):
        raise InputError(f"seeds x samples of both must agree, got {a.shape} and {b.shape}; only a model that was not trained has one seed")
    known = ~(np.isnan(a).any(axis=0) | np.isnan(b).any(axis=0))
    index = cluster_index(cluster_index(clusters, a.shape[1])[known].tolist(), int(known.sum()))
    difference = (a - b)[:, known]
    n_seeds, n = difference.shape
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    estimate, n_clusters = float(difference.mean()), int(index.max()) + 1
    if n_seeds < 2 or n_clusters < 2:
        return Interval(estimate, math.nan, math.nan, n)
    sums = np.bincount(index, weights=difference.mean(axis=0) - estimate)
    of_samples = n_clusters / (n_clusters - 1) * float((sums**2).sum()) / n**2
    of_seeds = float(difference.mean(axis=1).var(ddof=1)) / n_seeds
    variance = of_samples + of_seeds
    if variance == 0:
        return paired_difference(a[0, known], b[0, known], index.tolist(), level=level)
    freedom = variance**2 / (of_samples**2 / (n_clusters - 1) + of_seeds**2 / (n_seeds - 1))
    reach = float(stats.t.ppf((1 + level) / 2, freedom)) * math.sqrt(variance)
    return Interval(estimate, estimate - reach, estimate + reach, n, SEEDS, freedom)
