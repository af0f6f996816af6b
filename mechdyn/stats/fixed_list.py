"""How much of what repeats a fixed list of heads explains, and whether heads are exchanged from step to step (the second criteria).

A pair holds two generations with the same needle and question in different haystacks, both answers correct; of their steps those are
compared that the two share (`aligned_steps`). Each quantity is first a mean over a pair's steps and its two generations, then over pairs.
Where both generations retrieve:

- M, `matched`: Jaccard of a step's heads A with S, the first |A| heads of a static ranking.
- R, `retest`: Jaccard of the same step's heads in the two generations: what repeats, a lower bound on how reliable the sets are.
- `ratio`, M / R.
- Q, `explained`, (M − C) / (R − C′): the share of what repeats beyond chance that a fixed list explains, with C and C′ the Jaccard of
  sets of the same sizes drawn at random from all heads (`mechdyn.stats.chance`). Above 1 where the list hits more than a second generation
  does; undefined where nothing repeats beyond chance. In a model of hundreds of heads it is M / R.
- `reliability`, (R − C′) / (1 − C′): 0 by chance, 1 where every step's heads repeat.

Where two consecutive steps of a generation retrieve:

- T, `turnover`: of the heads of the smaller of the two sets, the share that the larger lacks (`mechdyn.stats.turnover`).
- L, `loss`: of the same heads, the share that the same step lacks in the other generation, all of them where it is silent; the mean of
  both steps where the sets are equally large. Were the smaller set a part of the larger one but for noise, T would not be above L.
- T − L, `excess`, paired. Beside them T′, `retest_turnover`, and T − T′, `plain_excess`: T′ is the turnover of the same step's heads
  between generations, which chance makes smaller than T where sizes vary.

Intervals resample pairs, clusters of them where some share a needle or a haystack, and all quantities together.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.heads import RankedHeads
from mechdyn.stats.chance import chance_jaccard
from mechdyn.stats.head_sets import Activity, aligned_steps, head_sets
from mechdyn.stats.interval import Interval
from mechdyn.stats.labels import Clusters, cluster_index
from mechdyn.stats.matched import matched_jaccard, places_in
from mechdyn.stats.resampling import DIFFERENCE, UNIT, Weights, bootstrap_many
from mechdyn.stats.turnover import turnover

OfSums: TypeAlias = Callable[[Float[np.ndarray, "_resample _sum"]], Float[np.ndarray, "_resample _value"]]

_N_OVERLAPS = 4
"""M, R, C and C′ come before what rests on consecutive steps."""
_SHARES = ("matched", "retest", "turnover", "loss", "retest_turnover")
_DIFFERENCES = ("excess", "plain_excess")
_RATIOS = ("ratio", "explained", "reliability")
_OF_CONSECUTIVE = ("turnover", "loss", "retest_turnover", *_DIFFERENCES)


@dataclass(frozen=True)
class FixedList:
    """The quantities of the module's docstring, and what they rest on.

    `n_pairs` counts the pairs with a step at which both retrieve, `n_steps` those steps, `n_silent` the shared steps at which one of the
    two or both do not; `n_clusters` is what the intervals resample. `excess_by_pair` are the values that `excess` is the mean of.
    """

    matched: Interval
    retest: Interval
    ratio: Interval
    explained: Interval
    reliability: Interval
    turnover: Interval
    loss: Interval
    excess: Interval
    retest_turnover: Interval
    plain_excess: Interval
    n_pairs: int
    n_clusters: int
    n_steps: int
    n_silent: int
    excess_by_pair: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Steps:
    """The shared steps of all pairs, one below the other; `pair` says whose each is, `both` where both generations retrieve."""

    first: Bool[np.ndarray, "row head"]
    second: Bool[np.ndarray, "row head"]
    pair: Int[np.ndarray, " row"]
    both: Bool[np.ndarray, " row"]


def fixed_list(
    pairs: Sequence[tuple[Activity, Activity]],
    ranking: RankedHeads,
    clusters: Clusters | None = None,
    *,
    seed: int = 0,
    n_resamples: int = 2000,
) -> FixedList:
    """The quantities of the module's docstring, NaN with n 0 where no pair has a step to take them on.

    Args:
        pairs: two generations each, traces or arrays as `mechdyn.stats.overlap` takes them.
        ranking: of all heads of the model, from samples that share nothing with these.
        clusters: a label for each pair; pairs of one label are drawn together. By default each is drawn by itself.
        seed: of the resamples.
        n_resamples: resamples.

    Raises:
        InputError: no pair, arrays of different lengths, a ranking of other heads, or not one label a pair.
    """
    index = cluster_index(clusters, len(pairs))
    steps = _steps(pairs)
    if len(ranking.heads) != steps.first.shape[1]:
        raise InputError(f"the ranking must be of all {steps.first.shape[1]} heads of the model, got {len(ranking.heads)}")
    means = np.column_stack([_overlaps(steps, len(pairs), places_in(ranking)), _exchanges(steps, len(pairs))])
    some = ~np.isnan(means[:, 0])
    consecutive = some & ~np.isnan(means[:, -1])
    excesses = (means[:, -2] - means[:, -1])[consecutive]
    means[~consecutive, _N_OVERLAPS:] = 0.0
    columns = np.column_stack([means, np.ones(len(pairs)), consecutive])[some]
    found = _intervals(columns, index[some], seed, n_resamples)
    return FixedList(
        **found,
        n_pairs=int(some.sum()),
        n_clusters=len(np.unique(index[some])),
        n_steps=int(steps.both.sum()),
        n_silent=int((~steps.both).sum()),
        excess_by_pair=tuple(excesses.tolist()),
    )


def _steps(pairs: Sequence[tuple[Activity, Activity]]) -> _Steps:
    aligned = [aligned_steps(*pair) for pair in pairs]
    sets = head_sets([first for first, _ in aligned] + [second for _, second in aligned])
    first, second = np.concatenate(sets[: len(pairs)]), np.concatenate(sets[len(pairs) :])
    pair = np.repeat(np.arange(len(pairs)), [len(one) for one in sets[: len(pairs)]])
    return _Steps(first, second, pair, np.asarray(first.any(axis=1) & second.any(axis=1)))


def _overlaps(steps: _Steps, n_pairs: int, places: Int[np.ndarray, " head"]) -> Float[np.ndarray, "pair 5"]:
    """M, R, C, C′ and T′ of each pair; NaN where it has no step at which both retrieve."""
    first, second, pair = (rows[steps.both] for rows in (steps.first, steps.second, steps.pair))
    sizes, others, total = first.sum(axis=1), second.sum(axis=1), first.shape[1]
    values = (
        (matched_jaccard(first, places) + matched_jaccard(second, places)) / 2,
        (first & second).sum(axis=1) / np.maximum((first | second).sum(axis=1), 1),
        (chance_jaccard(sizes, sizes, total) + chance_jaccard(others, others, total)) / 2,
        chance_jaccard(sizes, others, total),
        turnover(first, second),
    )
    return np.column_stack([_mean_by(rows, pair, n_pairs) for rows in values])


def _exchanges(steps: _Steps, n_pairs: int) -> Float[np.ndarray, "pair 2"]:
    """T and L of each pair; NaN where no two consecutive steps of a generation retrieve."""
    rows = [_exchanged(one, other, steps.pair) for one, other in ((steps.first, steps.second), (steps.second, steps.first))]
    pair, turned, lost = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    return np.column_stack([_mean_by(turned, pair, n_pairs), _mean_by(lost, pair, n_pairs)])


def _exchanged(
    sets: Bool[np.ndarray, "row head"], again: Bool[np.ndarray, "row head"], pair: Int[np.ndarray, " row"]
) -> tuple[Int[np.ndarray, " step"], Float[np.ndarray, " step"], Float[np.ndarray, " step"]]:
    """Of one generation's consecutive steps that retrieve: whose they are, turnover, and what of the smaller set `again` lacks."""
    sizes = sets.sum(axis=1)
    at = np.flatnonzero((sizes[:-1] > 0) & (sizes[1:] > 0) & (pair[:-1] == pair[1:]))
    lost = 1.0 - (sets & again).sum(axis=1) / np.maximum(sizes, 1)
    of_smaller = np.select([sizes[at] < sizes[at + 1], sizes[at] > sizes[at + 1]], [lost[at], lost[at + 1]], (lost[at] + lost[at + 1]) / 2)
    return pair[at], turnover(sets[at], sets[at + 1]), of_smaller


def _mean_by(values: Float[np.ndarray, " row"], owner: Int[np.ndarray, " row"], n: int) -> Float[np.ndarray, " owner"]:
    counts = np.bincount(owner, minlength=n)
    return np.divide(np.bincount(owner, values, minlength=n), counts, out=np.full(n, np.nan), where=counts > 0)


def _intervals(
    of_pairs: Float[np.ndarray, "pair 9"], clusters: Int[np.ndarray, " pair"], seed: int, n_resamples: int
) -> dict[str, Interval]:
    """From each pair's M, R, C, C′, T′, T, L, one, and whether it has consecutive steps (T′, T and L are 0 where not)."""
    if not len(of_pairs):
        return dict.fromkeys((*_SHARES, *_DIFFERENCES, *_RATIOS), Interval(math.nan, math.nan, math.nan, 0))
    resampled = partial(bootstrap_many, n_samples=len(of_pairs), clusters=clusters, seed=seed, n_resamples=n_resamples)
    found: dict[str, Interval] = {}
    for names, limits, of_sums in ((_SHARES, UNIT, _shares), (_DIFFERENCES, DIFFERENCE, _differences), (_RATIOS, None, _ratios)):

        def quantities(weights: Weights, of_sums: OfSums = of_sums) -> Float[np.ndarray, "_resample _value"]:
            return of_sums(weights @ of_pairs)

        found |= dict(zip(names, resampled(quantities, limits=limits), strict=True))
    n_consecutive = int(of_pairs[:, -1].sum())
    return {name: replace(interval, n=n_consecutive) if name in _OF_CONSECUTIVE else interval for name, interval in found.items()}


def _shares(sums: Float[np.ndarray, "resample 9"]) -> Float[np.ndarray, "resample 5"]:
    matched, retest, _, _, between, turned, lost, pairs, consecutive = sums.T
    return np.column_stack([matched / pairs, retest / pairs, *(_ratio(value, consecutive) for value in (turned, lost, between))])


def _differences(sums: Float[np.ndarray, "resample 9"]) -> Float[np.ndarray, "resample 2"]:
    _, _, _, _, between, turned, lost, _, consecutive = sums.T
    return np.column_stack([_ratio(turned - lost, consecutive), _ratio(turned - between, consecutive)])


def _ratios(sums: Float[np.ndarray, "resample 9"]) -> Float[np.ndarray, "resample 3"]:
    matched, retest, by_chance, by_chance_retest, _, _, _, pairs, _ = sums.T
    repeats = retest - by_chance_retest
    return np.column_stack([_ratio(matched, retest), _ratio(matched - by_chance, repeats), _ratio(repeats, pairs - by_chance_retest)])


def _ratio(part: Float[np.ndarray, " resample"], whole: Float[np.ndarray, " resample"]) -> Float[np.ndarray, " resample"]:
    """NaN where the whole is not above 0."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
