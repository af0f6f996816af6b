"""M, R, Q and turnover against loops over Python sets, with their intervals against a bootstrap by hand."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.heads import Head, rank_heads
from mechdyn.stats.bca import bca_bounds
from mechdyn.stats.fixed_list import fixed_list

N_LAYERS, N_HEADS = 3, 4
OF_STEPS = ("matched", "retest", "ratio", "explained", "reliability")
OF_CONSECUTIVE = ("turnover", "loss", "excess", "retest_turnover", "plain_excess")
NAMES = (*OF_STEPS, *OF_CONSECUTIVE)


def ranking_of(rng):
    scored = [(Head(layer, head), float(rng.random())) for layer in range(N_LAYERS) for head in range(N_HEADS)]
    return rank_heads(scored, N_LAYERS, N_HEADS)


def pairs_of(rng, n, density=0.3):
    """Pairs that agree in part, some steps of them without any head."""

    def pair():
        n_steps = int(rng.integers(1, 9))
        base = rng.random((n_steps, N_LAYERS, N_HEADS)) < density
        silent = rng.random((2, n_steps, 1, 1)) < 0.15
        return tuple(torch.tensor((base ^ (rng.random(base.shape) < 0.1)) & ~quiet) for quiet in silent)

    return [pair() for _ in range(n)]


def heads_of(active):
    return [{Head(*index) for index in step.nonzero().tolist()} for step in active]


def jaccard(a, b):
    return len(a & b) / len(a | b)


def exchanged(a, b):
    few = min(len(a - b), len(b - a))
    return few / (len(a & b) + few)


def by_chance(k, l):  # noqa: E741
    """Mean Jaccard of the first k heads with every set of l; the test of chance_jaccard has it too."""
    others = [set(other) for other in combinations(range(N_LAYERS * N_HEADS), l)]
    return sum(jaccard(set(range(k)), other) for other in others) / len(others)


CHANCE = {(k, l): by_chance(k, l) for k in range(1, 13) for l in range(1, 13)}  # noqa: E741


def mean(values):
    return sum(values) / len(values) if values else math.nan


def turned_and_lost(ours, theirs):
    """T and L at each pair of consecutive steps of one generation that retrieve."""
    rows = []
    for t, following in pairwise(range(len(ours))):
        if ours[t] and ours[following]:
            least = min(len(ours[t]), len(ours[following]))
            smaller = [s for s in (t, following) if len(ours[s]) == least]
            lost = mean([len(ours[s] - theirs[s]) / least for s in smaller])
            rows.append((exchanged(ours[t], ours[following]), lost))
    return rows


def one_pair(pair, ranking):
    """M, R, C, C' and T' of a pair, then T and L; NaN where there is no step to take them on."""
    ours, theirs = map(heads_of, pair)
    steps = [(a, b) for a, b in zip(ours, theirs, strict=True) if a and b]

    def listed(heads):
        return set(ranking.heads[: len(heads)])

    rows = turned_and_lost(ours, theirs) + turned_and_lost(theirs, ours)
    return (
        mean([(jaccard(a, listed(a)) + jaccard(b, listed(b))) / 2 for a, b in steps]),
        mean([jaccard(a, b) for a, b in steps]),
        mean([(CHANCE[len(a), len(a)] + CHANCE[len(b), len(b)]) / 2 for a, b in steps]),
        mean([CHANCE[len(a), len(b)] for a, b in steps]),
        mean([exchanged(a, b) for a, b in steps]),
        mean([turned for turned, _ in rows]),
        mean([lost for _, lost in rows]),
    )


def every(rows):
    """All quantities, in the order of NAMES, of rows as `one_pair` gives them."""
    rows = [row for row in rows if not math.isnan(row[0])]
    m, r, c, c_retest = (mean([row[index] for row in rows]) for index in range(4))
    between, turned, lost = (mean([row[index] for row in rows if not math.isnan(row[5])]) for index in (4, 5, 6))
    of_steps = m, r, m / r, (m - c) / (r - c_retest), (r - c_retest) / (1 - c_retest)
    return *of_steps, turned, lost, turned - lost, between, turned - between


@pytest.mark.parametrize("seed", range(4))
def test_every_quantity_is_that_of_loops_over_sets(seed):
    rng = np.random.default_rng(seed)
    ranking, pairs = ranking_of(rng), pairs_of(rng, 25)
    rows = [one_pair(pair, ranking) for pair in pairs]
    found = fixed_list(pairs, ranking, n_resamples=10)
    np.testing.assert_allclose([getattr(found, name).estimate for name in NAMES], every(rows), rtol=1e-12)
    assert found.n_pairs == found.retest.n == sum(not math.isnan(row[1]) for row in rows)
    assert found.excess.n == sum(not math.isnan(row[0] + row[5]) for row in rows)
    both = [(bool(a), bool(b)) for pair in pairs for a, b in zip(*map(heads_of, pair), strict=True)]
    assert (found.n_steps, found.n_silent) == (both.count((True, True)), len(both) - both.count((True, True)))


@pytest.mark.parametrize("clustered", [False, True])
def test_bounds_are_those_of_resampled_clusters(clustered):
    """M and R are drawn together: the ratio's interval is that of the ratio."""
    rng = np.random.default_rng(11)
    ranking, pairs = ranking_of(rng), pairs_of(rng, 40, density=0.5)
    clusters = np.arange(40) // 4 if clustered else np.arange(40)
    rows = [one_pair(pair, ranking) for pair in pairs]
    groups = [[row for row, number in zip(rows, clusters, strict=True) if number == each] for each in dict.fromkeys(clusters.tolist())]
    everyone = range(len(groups))
    drawn = [every([row for at in rng.integers(0, len(groups), len(groups)) for row in groups[at]]) for _ in range(4000)]
    without = [every([row for at in everyone if at != left_out for row in groups[at]]) for left_out in everyone]
    found = fixed_list(pairs, ranking, clusters if clustered else None, n_resamples=4000)
    for index, name in enumerate(NAMES):
        interval = getattr(found, name)
        low, high = bca_bounds(np.array(drawn)[:, index], interval.estimate, np.array(without)[:, index], 0.95)
        assert abs(interval.low - low) < 0.1 * (high - low) and abs(interval.high - high) < 0.1 * (high - low), name
    assert found.n_clusters == len(groups)


def test_a_nested_family_is_explained_by_its_ranking_and_never_turns_over():
    rng = np.random.default_rng(5)
    ranking = ranking_of(rng)
    order = torch.tensor([head.layer * N_HEADS + head.head for head in ranking.heads])

    def nested(sizes):
        flat = torch.zeros(len(sizes), N_LAYERS * N_HEADS, dtype=torch.bool)
        for row, size in zip(flat, sizes, strict=True):
            row[order[:size]] = True
        return flat.unflatten(1, (N_LAYERS, N_HEADS))

    pairs = [(nested(rng.integers(1, 12, 8)), nested(rng.integers(1, 12, 8))) for _ in range(30)]
    found = fixed_list(pairs, ranking)
    assert found.matched.estimate == 1.0 and found.turnover.estimate == found.retest_turnover.estimate == 0.0
    assert found.explained.low > 1.0, "a second generation of another size repeats less than the list hits"


def test_without_a_step_that_counts_nothing_is_measured():
    empty = torch.zeros(3, N_LAYERS, N_HEADS, dtype=torch.bool)
    found = fixed_list([(empty, ~empty)] * 3, ranking_of(np.random.default_rng(1)))
    assert (found.n_pairs, found.n_steps, found.n_silent) == (0, 0, 9)
    assert all(math.isnan(getattr(found, name).estimate) and getattr(found, name).n == 0 for name in NAMES)


def test_one_step_has_an_overlap_and_no_turnover():
    rng = np.random.default_rng(2)
    pairs = [(~torch.zeros(1, N_LAYERS, N_HEADS, dtype=torch.bool),) * 2] * 3
    found = fixed_list(pairs, ranking_of(rng))
    assert (found.ratio.estimate, found.ratio.n) == (1.0, 3)
    assert math.isnan(found.excess.estimate) and found.excess.n == 0


def test_what_does_not_fit_is_refused():
    rng = np.random.default_rng(4)
    ranking, pairs = ranking_of(rng), pairs_of(rng, 3)
    with pytest.raises(InputError, match="must be of all 12 heads of the model, got 5"):
        fixed_list(pairs, ranking.first(5))
    with pytest.raises(InputError, match="one label a sample, got 2 labels for 3 samples"):
        fixed_list(pairs, ranking, np.arange(2))
    with pytest.raises(InputError, match="at least one sample, got none"):
        fixed_list([], ranking)
