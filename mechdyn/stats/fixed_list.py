"""How much of what repeats a fixed list of heads explains, and whether heads are exchanged from step to step (the second criteria).

A pair holds two generations with the same needle and question in different haystacks, both answers correct. Of its steps those count that
the two share (`aligned_steps`) and at which both retrieve. Each quantity is first a mean over a pair's steps, then over pairs:

- M, `matched`: Jaccard of a step's heads A with S, the first |A| heads of a static ranking; the mean of the pair's two generations.
- R, `retest`: Jaccard of the same step's heads in the two generations: what repeats, and so a lower bound on how reliable the sets are.
- Q = M / R, `explained`: the share of what repeats that a fixed list explains; above 1 where the list hits more than a second
  generation does.
- T, `turnover`: turnover of the heads of consecutive steps, the mean of the two generations. T′, `retest_turnover`: turnover of the same
  step's heads between the two. T − T′, `excess`, is paired; all three rest on the pairs with two consecutive steps that count.

Intervals resample pairs, clusters of them where some share a needle or a haystack, and all six numbers together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.heads import RankedHeads
from mechdyn.stats.clusters import cluster_sums
from mechdyn.stats.matched import matched_jaccard, places_in
from mechdyn.stats.overlap import Activity, aligned_steps, head_sets
from mechdyn.stats.resampling import Draws, Interval, bootstrap_many, draw_weights
from mechdyn.stats.turnover import turnover

_NOTHING = Interval(float("nan"), float("nan"), float("nan"), 0)


@dataclass(frozen=True)
class FixedList:
    """M, R, Q, T, T′ and T − T′ of the module's docstring, and what they rest on.

    `n_pairs` counts the pairs with a step that counts, `n_steps` those steps, `n_clusters` what the intervals resample. `n_silent` are
    the shared steps that are left out because one generation or both retrieve with no head.
    """

    matched: Interval
    retest: Interval
    explained: Interval
    turnover: Interval
    retest_turnover: Interval
    excess: Interval
    n_pairs: int
    n_clusters: int
    n_steps: int
    n_silent: int


@dataclass(frozen=True)
class _Steps:
    """The shared steps of all pairs, one below the other; `pair` says whose each is."""

    first: Bool[np.ndarray, "row head"]
    second: Bool[np.ndarray, "row head"]
    pair: Int[np.ndarray, " row"]
    count: Bool[np.ndarray, " row"]


def fixed_list(
    pairs: Sequence[tuple[Activity, Activity]],
    ranking: RankedHeads,
    clusters: Int[np.ndarray, " pair"] | None = None,
    *,
    seed: int = 0,
    n_resamples: int = 2000,
) -> FixedList:
    """The quantities of the module's docstring, NaN with n 0 where no pair has a step that counts.

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
    means = _means_by_pair(steps, len(pairs), places_in(ranking))
    has_steps, consecutive = ~np.isnan(means[:, 1]), ~np.isnan(means[:, 2])
    means[~consecutive, 2:] = 0.0
    columns = np.column_stack([means, np.ones(len(means)), consecutive])[has_steps]
    sums = cluster_sums(columns, np.flatnonzero(has_steps) if clusters is None else clusters[has_steps])
    return FixedList(
        *_intervals(sums, int(has_steps.sum()), int(consecutive.sum()), seed, n_resamples),
        n_pairs=int(has_steps.sum()),
        n_clusters=len(sums),
        n_steps=int(steps.count.sum()),
        n_silent=int((~steps.count).sum()),
    )


def _steps(pairs: Sequence[tuple[Activity, Activity]]) -> _Steps:
    aligned = [aligned_steps(*pair) for pair in pairs]
    sets = head_sets([first for first, _ in aligned] + [second for _, second in aligned])
    first, second = np.concatenate(sets[: len(pairs)]), np.concatenate(sets[len(pairs) :])
    pair = np.repeat(np.arange(len(pairs)), [len(one) for one in sets[: len(pairs)]])
    return _Steps(first, second, pair, first.any(axis=1) & second.any(axis=1))


def _means_by_pair(steps: _Steps, n_pairs: int, places: Int[np.ndarray, " head"]) -> Float[np.ndarray, "pair 4"]:
    """M, R, T and T′ of each pair; NaN where it has no step, or no two consecutive ones, that count."""
    first, second, pair = (rows[steps.count] for rows in (steps.first, steps.second, steps.pair))
    matched = (matched_jaccard(first, places) + matched_jaccard(second, places)) / 2
    retest = (first & second).sum(axis=1) / np.maximum((first | second).sum(axis=1), 1)
    at = np.flatnonzero(steps.count[:-1] & steps.count[1:] & (steps.pair[:-1] == steps.pair[1:]))
    exchanged = (turnover(steps.first[at], steps.first[at + 1]) + turnover(steps.second[at], steps.second[at + 1])) / 2
    of_pairs = ((matched, pair), (retest, pair), (exchanged, steps.pair[at]), (turnover(first, second), pair))
    return np.column_stack([_mean_by(values, owner, n_pairs) for values, owner in of_pairs])


def _mean_by(values: Float[np.ndarray, " row"], owner: Int[np.ndarray, " row"], n: int) -> Float[np.ndarray, " owner"]:
    counts = np.bincount(owner, minlength=n)
    return np.divide(np.bincount(owner, values, minlength=n), counts, out=np.full(n, np.nan), where=counts > 0)


def _intervals(
    sums: Float[np.ndarray, "cluster 6"], n_pairs: int, n_consecutive: int, seed: int, n_resamples: int
) -> tuple[Interval, Interval, Interval, Interval, Interval, Interval]:
    """From sums over each cluster's pairs: of M, R, T, T′, of pairs, and of pairs with consecutive steps."""
    if not len(sums):
        return (_NOTHING,) * 6

    def quantities(draws: Draws) -> Float[np.ndarray, "resample 6"]:
        matched, retest, exchanged, between, pairs, consecutive = (draw_weights(draws, len(sums)) @ sums).T
        with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 is NaN, which takes the bounds with it
            return np.column_stack(
                [
                    *(matched / pairs, retest / pairs, np.where(retest > 0, matched / retest, np.nan)),
                    *(exchanged / consecutive, between / consecutive, (exchanged - between) / consecutive),
                ]
            )

    found = bootstrap_many(quantities, len(sums), seed=seed, n_resamples=n_resamples)
    counts = (n_pairs,) * 3 + (n_consecutive,) * 3
    one, two, three, four, five, six = (replace(interval, n=n) for interval, n in zip(found, counts, strict=True))
    return one, two, three, four, five, six
