"""Means over random lists of heads and samples: both are drawn, and a few lists tell little however many samples there are."""

import math
from dataclasses import replace

import numpy as np
import scipy
from jaxtyping import Float, Int

from mechdyn.stats.bca import degrees_of_freedom
from mechdyn.stats.interval import Interval
from mechdyn.stats.labels import Clusters, cluster_index
from mechdyn.stats.means import mean_interval
from mechdyn.stats.resampling import BOOTSTRAP, CLUSTER_BOOTSTRAP, DIFFERENCE, UNIT, Weights, bootstrap

_LEVEL = 0.95


def mean_over_lists(values: Float[np.ndarray, "list sample"], seed: int = 0, clusters: Clusters | None = None) -> Interval:
    """The mean over lists and samples, with an interval over both. Of one list, over samples alone.

    Samples are drawn as in every bootstrap. The weights of the lists are drawn with them, and stretched by `list_spread`, since a bootstrap
    of ten lists is too narrow, and what lists and samples do together would be counted for each.

    Args:
        values: one row a list, the same samples in each.
        seed: of the resamples.
        clusters: a label for each sample; samples of one label (a needle, a haystack) are drawn together.
    """
    n_lists, n_samples = values.shape
    whole = n_samples > 0 and values.min() >= 0 and values.max() <= 1
    if n_lists == 1 and whole:
        return mean_interval(values[0], clusters, seed=seed)
    index = cluster_index(clusters, n_samples)
    sums, sizes = np.stack([np.bincount(index, row) for row in values]), np.bincount(index)
    n_clusters = len(sizes)
    spread = list_spread(sums, sizes) if n_lists > 1 and n_clusters > 2 else 1.0
    rng = np.random.default_rng([seed, n_lists])

    def mean(weights: Weights) -> Float[np.ndarray, " resample"]:
        by_list = np.full((len(weights), n_lists), 1 / n_lists)
        drawn = weights.sum(axis=1) == n_clusters
        # All clusters once is the estimate, and one left out is no draw: they have every list once.
        if len(weights) > 1 and drawn.any():
            draws = rng.multinomial(n_lists, by_list[0], size=int(drawn.sum())) / n_lists
            by_list[drawn] += spread * (draws - 1 / n_lists)
        return ((by_list @ sums) * weights).sum(axis=1) / (weights @ sizes)

    found = bootstrap(mean, n_clusters, limits=UNIT if whole else DIFFERENCE, seed=seed, level=_LEVEL)
    return replace(found, n=n_samples, method=CLUSTER_BOOTSTRAP if found.method == BOOTSTRAP and n_clusters < n_samples else found.method)


def list_spread(sums: Float[np.ndarray, "list cluster"], sizes: Int[np.ndarray, " cluster"]) -> float:
    """By how much the resampled weights of K lists are stretched, so that the interval is as wide as both draws ask for.

    The mean of K lists over n samples in G clusters has the variance A + max(0, B − C): A is that of the clusters' means over lists,
    B = Σ (m_l − m̄)² / (K (K − 1)) that of the lists' means, and C what lists and clusters do together, which is in A and in B. A bootstrap
    of lists within one of clusters adds (K − 1) (B + C) / K to A. It should add so much that Student's t of A's own degrees of freedom,
    which `bca_bounds` takes, reaches as far as that of V² / (A² / d_A + B² / (K − 1)), V = A + max(0, B − C) (Satterthwaite).

    Args:
        sums: the sum of a cluster's values under each list; at least 2 lists and 3 clusters.
        sizes: the samples of each cluster.

    Returns:
        The factor, 0 where lists differ by no more than chance, 1 where they do not differ at all.
    """
    n_lists, n_clusters = sums.shape
    n, of_lists = sizes.sum(), sums.sum(axis=1) / sizes.sum()
    mean, of_clusters = of_lists.mean(), sums.mean(axis=0)
    few = n_clusters / (n_clusters - 1) / n**2
    among_clusters = few * float(((of_clusters - sizes * mean) ** 2).sum())
    among_lists = float(of_lists.var(ddof=1)) / n_lists
    apart = sums - sizes * of_lists[:, None] - (of_clusters - sizes * mean)
    together = few * float((apart**2).sum()) / (n_lists * (n_lists - 1))
    if among_lists + together == 0:
        return 1.0
    variance = among_clusters + max(0.0, among_lists - together)
    if variance == 0:
        return 0.0
    freedom = degrees_of_freedom((of_clusters.sum() - of_clusters) / (n - sizes))
    both = variance**2 / (among_clusters**2 / freedom + among_lists**2 / (n_lists - 1))
    reach, taken = scipy.special.stdtrit([both, freedom], (1 + _LEVEL) / 2)
    added = (float(reach / taken)) ** 2 * variance - among_clusters
    return math.sqrt(max(0.0, added) / ((n_lists - 1) / n_lists * (among_lists + together)))
