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

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.heads import RankedHeads
from mechdyn.stats.chance import chance_jaccard
from mechdyn.stats.clusters import cluster_sums
from mechdyn.stats.matched import matched_jaccard, places_in
from mechdyn.stats.overlap import Activity, aligned_steps, head_sets
from mechdyn.stats.resampling import Draws, Interval, bootstrap_many, draw_weights
from mechdyn.stats.turnover import turnover

_N_OVERLAPS, _N_OF_STEPS, _N_QUANTITIES = 4, 5, 10


@dataclass(frozen=True)
class FixedList:
    """The quantities of the module's docstring, and what they rest on.

    `n_pairs` counts the pairs with a step at which both retrieve, `n_steps` those steps, `n_silent` the shared steps at which one of the
    two or both do not; `n_clusters` is what the intervals resample.
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
    clusters: Int[np.ndarray, " pair"] | None = None,
    *,
    seed: int = 0,
    n_resamples: int = 2000,
) -> FixedList:
    """The quantities of the module's docstring, NaN with n 0 where no pair has a step to take them on.

    Args:
        pairs: two generations each, traces or arrays as `mechdyn.stats.overlap` takes them.
        ranking: of all heads of the model, from samples that share nothing with these.
        clusters: a number for each pair, the same for pairs that are resampled together; each by itself where left out.
        seed: of the resamples.
        n_resamples: resamples.

    Raises:
        InputError: no pair, arrays of different lengths, a ranking of other heads, or not one cluster number a pair.
    """
    if clusters is not None and len(clusters) != len(pairs):
        raise InputError(f"clusters need one number a pair, got {len(clusters)} for {len(pairs)} pairs")
    steps = _steps(pairs)
    if len(ranking.heads) != steps.first.shape[1]:
        raise InputError(f"the ranking must be of all {steps.first.shape[1]} heads of the model, got {len(ranking.heads)}")
    means = np.column_stack([_overlaps(steps, len(pairs), places_in(ranking)), _exchanges(steps, len(pairs))])
    some = ~np.isnan(means[:, 0])
    consecutive = some & ~np.isnan(means[:, -1])
    means[~consecutive, _N_OVERLAPS:] = 0.0
    columns = np.column_stack([means, np.ones(len(pairs)), consecutive])[some]
    sums = cluster_sums(columns, np.flatnonzero(some) if clusters is None else clusters[some])
    found = _intervals(sums, int(some.sum()), int(consecutive.sum()), seed, n_resamples)
    return FixedList(*found, int(some.sum()), len(sums), int(steps.both.sum()), int((~steps.both).sum()))


def _steps(pairs: Sequence[tuple[Activity, Activity]]) -> _Steps:
    aligned = [aligned_steps(*pair) for pair in pairs]
    sets = head_sets([first for first, _ in aligned] + [second for _, second in aligned])
    first, second = np.concatenate(sets[: len(pairs)]), np.concatenate(sets[len(pairs) :])
    pair = np.repeat(np.arange(len(pairs)), [len(one) for one in sets[: len(pairs)]])
    return _Steps(first, second, pair, first.any(axis=1) & second.any(axis=1))


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


def _intervals(sums: Float[np.ndarray, "cluster 9"], n_pairs: int, n_consecutive: int, seed: int, n_resamples: int) -> tuple[Interval, ...]:
    """From sums over each cluster's pairs of M, R, C, C′, T′, T, L, of pairs, and of pairs with consecutive steps."""
    if not len(sums):
        return (Interval(float("nan"), float("nan"), float("nan"), 0),) * _N_QUANTITIES

    def quantities(draws: Draws) -> Float[np.ndarray, "resample 10"]:
        m, r, c, c_retest, between, turned, lost, pairs, consecutive = (draw_weights(draws, len(sums)) @ sums).T
        of_steps = (m / pairs, r / pairs, _ratio(m, r), _ratio(m - c, r - c_retest), _ratio(r - c_retest, pairs - c_retest))
        of_consecutive = (turned, lost, turned - lost, between, turned - between)
        return np.column_stack([*of_steps, *(_ratio(value, consecutive) for value in of_consecutive)])

    found = bootstrap_many(quantities, len(sums), seed=seed, n_resamples=n_resamples)
    return tuple(replace(interval, n=n_pairs if index < _N_OF_STEPS else n_consecutive) for index, interval in enumerate(found))


def _ratio(part: Float[np.ndarray, " resample"], whole: Float[np.ndarray, " resample"]) -> Float[np.ndarray, " resample"]:
    """NaN where the whole is not above 0."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
