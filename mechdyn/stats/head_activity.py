"""How often heads retrieve over many samples: at which steps, at which places of the needle, on which kinds of token, with which others.

Everything counts steps. Samples that share a needle or a haystack are one cluster, and intervals count clusters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Int, Num, UInt8
from scipy import sparse

from mechdyn.errors import InputError
from mechdyn.heads import Head
from mechdyn.stats.interval import Interval
from mechdyn.stats.proportions import normal_quantile
from mechdyn.stats.resampling import DIFFERENCE, UNIT, Weights, bootstrap_many

MOST_GROUPS = 400
"""Clusters that a bootstrap draws; more of them are joined at random into so many groups, each drawn as one."""


@dataclass(frozen=True, eq=False)
class Activity:
    """One generation: which heads retrieve at which step. Heads are flat, layer by layer.

    Attributes:
        packed: whether each head retrieves at each step, eight heads a byte: ten thousand generations of a large model fit into memory.
        total: heads of the model.
        place: of each step's token in the needle, 0 for its first token and below 1 for its last; NaN where the token is none of the
            needle's, or stands there more than once.
        kind: of each step's token, an index.
    """

    packed: UInt8[np.ndarray, "step byte"]
    total: int
    place: Float[np.ndarray, " step"]
    kind: Int[np.ndarray, " step"]

    @classmethod
    def of(cls, retrieves: Bool[np.ndarray, "step head"], place: Float[np.ndarray, " step"], kind: Int[np.ndarray, " step"]) -> "Activity":
        """From one truth value a step and head."""
        return cls(np.packbits(retrieves, axis=1), retrieves.shape[1], place, kind)

    @property
    def retrieves(self) -> Bool[np.ndarray, "step head"]:
        """Whether each head retrieves at each step."""
        return np.unpackbits(self.packed, axis=1, count=self.total).astype(np.bool_)

    @property
    def n_steps(self) -> int:
        return len(self.packed)


@dataclass(frozen=True, eq=False)
class Shares:
    """A share of steps for every head, Σ hits / Σ trials, with its 95 % interval: Wilson's with the effective number of trials.

    NaN where there was no trial; bounds are NaN of fewer than two clusters. `n` is the number of steps.
    """

    estimate: Float[np.ndarray, " head"]
    low: Float[np.ndarray, " head"]
    high: Float[np.ndarray, " head"]
    n: int

    def interval(self, head: int) -> Interval:
        """One head's; `n` counts steps."""
        return Interval(float(self.estimate[head]), float(self.low[head]), float(self.high[head]), self.n)


@dataclass(frozen=True)
class CoActive:
    """Two heads: the share of the steps at which either retrieves at which both do (Jaccard).

    `chance` is that share if, within each sample, each retrieved as often but at steps that have nothing to do with the other's. The
    interval's `n` counts what was resampled: clusters, or groups of them.
    """

    first: Head
    second: Head
    jaccard: Interval
    chance: float


@dataclass(frozen=True, eq=False)
class Activities:
    """Many generations under one condition; `clusters` says which depend on each other."""

    each: tuple[Activity, ...]
    clusters: Int[np.ndarray, " sample"]
    n_heads: int
    """Heads of a layer."""

    def __post_init__(self) -> None:
        if not len(self.each) == len(self.clusters) > 0:
            raise InputError(f"activities need a sample or more, each with a cluster, got {len(self.each)} and {len(self.clusters)}")

    @cached_property
    def cluster_index(self) -> Int[np.ndarray, " sample"]:
        """The clusters numbered from 0."""
        return np.unique(self.clusters, return_inverse=True)[1]

    @cached_property
    def counts(self) -> Int[np.ndarray, "sample head"]:
        """At how many steps each head retrieves."""
        return np.stack([each.retrieves.sum(axis=0) for each in self.each])

    @cached_property
    def steps(self) -> Int[np.ndarray, " sample"]:
        return np.array([each.n_steps for each in self.each])


def head_shares(activities: Activities) -> Shares:
    """The share of steps at which each head retrieves."""
    hits, trials = _by_cluster(activities, activities.counts), _by_cluster(activities, activities.steps)
    return share_intervals(hits, trials)


def shares_by_place(activities: Activities, n_places: int) -> list[Shares]:
    """The same for the steps whose token is from each of `n_places` equal stretches of the needle, first to last."""
    places = [np.floor(np.nan_to_num(each.place, nan=-1.0) * n_places).astype(int) for each in activities.each]
    return [_shares_where(activities, [found == place for found in places]) for place in range(n_places)]


def shares_by_kind(activities: Activities, n_kinds: int) -> list[Shares]:
    """The same for the steps whose token is of each kind."""
    return [_shares_where(activities, [each.kind == kind for each in activities.each]) for kind in range(n_kinds)]


def share_differences(first: Activities, second: Activities, *, seed: int = 0) -> tuple[Interval, ...]:
    """For every head: its share of steps in `second` less that in `first`, of the same samples in the same order, clusters resampled.

    Raises:
        InputError: other samples, or heads of another model.
    """
    if first.counts.shape != second.counts.shape or not np.array_equal(first.clusters, second.clusters):
        raise InputError(
            f"a difference is of the same samples and heads, got {first.counts.shape} and {second.counts.shape}, or other clusters"
        )
    group = _grouped(first, seed)
    sums = [(_summed(each.counts, group), _summed(each.steps, group)) for each in (first, second)]

    def difference(weights: Weights) -> Float[np.ndarray, "resample head"]:
        one, other = ((weights @ hits) / (weights @ steps)[:, None] for hits, steps in sums)
        return other - one

    return bootstrap_many(difference, int(group.max()) + 1, limits=DIFFERENCE, seed=seed)


def together(activities: Activities, n_heads: int, *, seed: int = 0) -> list[CoActive]:
    """Every two of the `n_heads` heads that retrieve most often, of those that retrieve at all; ties by (layer, head)."""
    totals = activities.counts.sum(axis=0)
    chosen = [int(head) for head in np.lexsort((np.arange(len(totals)), -totals))[:n_heads] if totals[head]]
    pairs = list(combinations(range(len(chosen)), 2))
    if not pairs:
        return []
    sets = [each.retrieves[:, chosen].astype(np.float64) for each in activities.each]
    rows, columns = np.array(pairs).T
    both = np.stack([(found.T @ found)[rows, columns] for found in sets])
    own = np.stack([found.sum(axis=0) for found in sets])
    expected = own[:, rows] * own[:, columns] / np.maximum(activities.steps, 1)[:, None]
    group = _grouped(activities, seed)
    joint, alone = _summed(both, group), _summed(own[:, rows] + own[:, columns], group)

    def jaccard(weights: Weights) -> Float[np.ndarray, "resample pair"]:
        shared = weights @ joint
        either = weights @ alone - shared
        return np.divide(shared, either, out=np.full_like(shared, np.nan), where=either > 0)

    found = bootstrap_many(jaccard, int(group.max()) + 1, limits=UNIT, seed=seed)
    by_chance = expected.sum(axis=0) / (alone.sum(axis=0) - expected.sum(axis=0))
    names = [Head(*divmod(head, activities.n_heads)) for head in chosen]
    return [CoActive(names[i], names[j], interval, float(chance)) for (i, j), interval, chance in zip(pairs, found, by_chance, strict=True)]


def share_intervals(hits: Float[np.ndarray, "cluster head"], trials: Float[np.ndarray, " cluster"], level: float = 0.95) -> Shares:
    """`mechdyn.stats.means.share_interval` of every column of `hits`, in closed form; clusters without a trial have no say."""
    hits, trials = hits[trials > 0].astype(np.float64), trials[trials > 0].astype(np.float64)
    total, n_clusters = trials.sum(), len(trials)
    if n_clusters == 0:
        nothing = np.full(hits.shape[1], np.nan)
        return Shares(nothing, nothing, nothing, 0)
    share = hits.sum(axis=0) / total
    if n_clusters < 2:
        nothing = np.full(len(share), np.nan)
        return Shares(share, nothing, nothing, int(total))
    size, z = _effective_sizes(hits, trials, share), normal_quantile(level)
    middle = share + z * z / (2 * size)
    reach = z * np.sqrt(share * (1 - share) / size + (z / (2 * size)) ** 2)
    low, high = ((middle + sign * reach) / (1 + z * z / size) for sign in (-1, 1))
    low, high = np.where(share > 0, np.maximum(low, 0.0), 0.0), np.where(share < 1, np.minimum(high, 1.0), 1.0)
    return Shares(share, low, high, int(total))


def _effective_sizes(
    hits: Float[np.ndarray, "cluster head"], trials: Float[np.ndarray, " cluster"], share: Float[np.ndarray, " head"]
) -> Float[np.ndarray, " head"]:
    """`mechdyn.stats.proportions.effective_size` of every column; of single trials their number."""
    n_clusters, total = len(trials), trials.sum()
    if (trials == 1).all():
        return np.full(len(share), total)
    residual = (hits**2).sum(axis=0) - 2 * share * (trials @ hits) + share**2 * (trials**2).sum()
    variance = n_clusters / (n_clusters - 1) * np.maximum(residual, 0.0) / total**2
    size = np.full(len(share), total)
    varies = variance > 1e-15
    size[varies] = np.minimum(total, share[varies] * (1 - share[varies]) / variance[varies])
    size[(share == 0) | (share == 1)] = n_clusters
    return size


def _shares_where(activities: Activities, masks: Sequence[Bool[np.ndarray, " _step"]]) -> Shares:
    hits = np.stack([each.retrieves[mask].sum(axis=0) for each, mask in zip(activities.each, masks, strict=True)])
    trials = np.array([int(mask.sum()) for mask in masks])
    return share_intervals(_by_cluster(activities, hits), _by_cluster(activities, trials))


def _by_cluster(activities: Activities, values: Num[np.ndarray, "sample ..."]) -> Float[np.ndarray, "cluster ..."]:
    return _summed(values, activities.cluster_index)


def _grouped(activities: Activities, seed: int) -> Int[np.ndarray, " sample"]:
    """The cluster of each sample, or the group of clusters where there are too many."""
    index = activities.cluster_index
    n_clusters = int(index.max()) + 1
    if n_clusters <= MOST_GROUPS:
        return index
    groups = np.random.default_rng(seed).permutation(np.arange(n_clusters) % MOST_GROUPS)
    return np.unique(groups[index], return_inverse=True)[1]


def _summed(values: Num[np.ndarray, "sample ..."], index: Int[np.ndarray, " sample"]) -> Float[np.ndarray, "group ..."]:
    links = sparse.csr_array((np.ones(len(index)), (index, np.arange(len(index)))))
    flat = links @ values.reshape(len(values), -1).astype(np.float64)
    return flat.reshape(-1, *values.shape[1:])
