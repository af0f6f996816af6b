"""Comparing ranked lists of heads: how far two agree, beside chance, and how a list spreads over layers and heads.

Lists are of one model, or of models of one shape. Agreement of two fixed lists has no interval by sample, so it stands beside what lists
drawn at random would give.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Float, Int

from mechdyn.errors import InputError
from mechdyn.heads import Head, RankedHeads

TOP = 20
"""Heads of each list that are compared, unless said otherwise: the paper's."""


@dataclass(frozen=True)
class Overlap:
    """How many of the first heads of two lists are the same.

    Attributes:
        sizes: how many heads each list gave.
        shared: how many are in both.
        jaccard: shared / union, in [0, 1].
        chance: the mean Jaccard of lists of these sizes drawn at random from the model's heads.
        chance_high: the smallest Jaccard that random lists reach with a probability of 2.5 % at most.
        p: the probability that random lists share as many or more: the upper tail of the hypergeometric distribution, exact.
    """

    sizes: tuple[int, int]
    shared: int
    jaccard: float
    chance: float
    chance_high: float
    p: float


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation over the heads that two lists both name; NaN where either is constant, or fewer than 3 are common."""

    rho: float
    n: int


@dataclass(frozen=True)
class Concentration:
    """How few heads hold a list's scores. NaN where the scores are not known, or all are 0.

    Attributes:
        gini: Gini coefficient: 0 where all heads score alike, 1 − 1/n where one of n heads has everything.
        effective: exp of the entropy of scores / their sum: as many heads as would, scoring alike, spread as evenly.
        negative: how many scores are below 0; they count as 0 here.
    """

    gini: float
    effective: float
    negative: int


@dataclass(frozen=True)
class Clusters:
    """Lists joined step by step, most alike first, by the mean of 1 − Jaccard between their members (UPGMA).

    Attributes:
        order: the lists so that joined ones are neighbours.
        joins: scipy's linkage matrix: the two that are joined, their distance, how many lists that makes.
    """

    order: tuple[int, ...]
    joins: Float[np.ndarray, "join 4"]


def n_heads_of(ranked: RankedHeads) -> int:
    """How many heads the model has.

    Raises:
        InputError: that is not known.
    """
    if ranked.n_layers is None or ranked.n_heads is None:
        raise InputError("chance depends on how many heads the model has, which this list does not say; call .fit(n_layers, n_heads) first")
    return ranked.n_layers * ranked.n_heads


def overlap(first: RankedHeads, second: RankedHeads, k: int = TOP) -> Overlap:
    """How far the first `k` heads of two lists agree; of a shorter list all heads are taken.

    Raises:
        InputError: lists of different shapes, or of none, or a `k` below 1.
    """
    if k < 1:
        raise InputError(f"the first k heads are compared, k from 1, got {k}")
    if (first.n_layers, first.n_heads) != (second.n_layers, second.n_heads):
        raise InputError(
            f"lists of one shape are compared, got {first.n_layers} x {first.n_heads} and {second.n_layers} x {second.n_heads} heads"
        )
    total = n_heads_of(first)
    one, other = set(first.heads[:k]), set(second.heads[:k])
    shared = len(one & other)
    drawn = scipy.stats.hypergeom(total, len(one), len(other))
    counts = np.arange(max(0, len(one) + len(other) - total), min(len(one), len(other)) + 1)
    jaccards = counts / (len(one) + len(other) - counts)
    upper = drawn.sf(counts - 1)
    return Overlap(
        sizes=(len(one), len(other)),
        shared=shared,
        jaccard=shared / len(one | other),
        chance=float(drawn.pmf(counts) @ jaccards),
        chance_high=float(jaccards[upper <= 0.025][0]) if (upper <= 0.025).any() else 1.0,
        p=min(1.0, float(drawn.sf(shared - 1))),
    )


def tied_at(ranked: RankedHeads, k: int = TOP) -> tuple[int, int]:
    """Heads with the same score as the k-th: how many of them are among the first k, and how many are not, by order of layer alone.

    Where the second number is not 0, the first k heads are partly arbitrary. A list without scores has no ties.
    """
    if k >= len(ranked.heads) or math.isnan(ranked.scores[k - 1]):
        return 0, 0
    edge = ranked.scores[k - 1]
    return ranked.scores[:k].count(edge), ranked.scores[k:].count(edge)


def rank_correlation(first: RankedHeads, second: RankedHeads) -> RankCorrelation:
    """Spearman's ρ over the common heads, ties by their mean rank. A list without scores is taken by its order."""
    one, other = _by_head(first), _by_head(second)
    pairs = np.array([(value, other[head]) for head, value in one.items() if head in other])
    if len(pairs) < 3 or (np.ptp(pairs, axis=0) == 0).any():
        return RankCorrelation(float("nan"), len(pairs))
    ranks = scipy.stats.rankdata(pairs, axis=0)
    return RankCorrelation(float(np.corrcoef(ranks, rowvar=False)[0, 1]), len(pairs))


def layer_profile(ranked: RankedHeads, k: int = TOP) -> Int[np.ndarray, " layer"]:
    """How many of the first `k` heads each layer has.

    Raises:
        InputError: the model's shape is not known.
    """
    n_heads_of(ranked)
    return np.bincount([head.layer for head in ranked.heads[:k]], minlength=ranked.n_layers or 0)


def concentration(ranked: RankedHeads) -> Concentration:
    """Gini coefficient and effective heads of a list's scores, over the heads that it names; negative scores count as 0."""
    scores = np.asarray(ranked.scores, dtype=np.float64)
    values = np.sort(np.maximum(scores, 0.0))
    if np.isnan(scores).any() or values.sum() == 0:
        return Concentration(float("nan"), float("nan"), int((scores < 0).sum()))
    places = np.arange(1, len(values) + 1)
    gini = float(((2 * places - len(values) - 1) * values).sum() / (len(values) * values.sum()))
    return Concentration(gini, float(np.exp(scipy.stats.entropy(values))), int((scores < 0).sum()))


def jaccard_matrix(lists: Sequence[RankedHeads], k: int = TOP) -> Float[np.ndarray, "list list"]:
    """The Jaccard of the first `k` heads of every two lists; 1 on the diagonal.

    Raises:
        InputError: lists of different shapes.
    """
    for ranked in lists:
        if (ranked.n_layers, ranked.n_heads) != (lists[0].n_layers, lists[0].n_heads):
            raise InputError(
                f"lists of one shape are compared, got {lists[0].n_layers} x {lists[0].n_heads} and {ranked.n_layers} x {ranked.n_heads}"
            )
    tops = [set(ranked.heads[:k]) for ranked in lists]
    return np.array([[len(one & other) / len(one | other) for other in tops] for one in tops])


def clusters(jaccards: Float[np.ndarray, "list list"]) -> Clusters:
    """Join lists by 1 − Jaccard, average linkage, and order them so that like stands beside like.

    Raises:
        InputError: fewer than two lists.
    """
    if len(jaccards) < 2:
        raise InputError(f"clusters need at least two lists, got {len(jaccards)}")
    distances = scipy.spatial.distance.squareform(1 - jaccards, checks=False)
    joins = scipy.cluster.hierarchy.linkage(distances, method="average", optimal_ordering=True)
    return Clusters(tuple(scipy.cluster.hierarchy.leaves_list(joins).tolist()), joins)


def _by_head(ranked: RankedHeads) -> dict[Head, float]:
    """Each head's score, or minus its place where the scores are not all known."""
    if any(map(math.isnan, ranked.scores)):
        return {head: -float(place) for place, head in enumerate(ranked.heads)}
    return dict(zip(ranked.heads, ranked.scores, strict=True))
