"""Shares, places, kinds and joint activity of heads against counting by hand and against the intervals of single shares."""

import numpy as np
import pytest

from mechdyn.errors import InputError
from mechdyn.stats.head_activity import (
    MOST_GROUPS,
    Activities,
    Activity,
    head_shares,
    share_differences,
    share_intervals,
    shares_by_kind,
    shares_by_place,
    together,
)
from mechdyn.stats.means import share_interval

LAYERS, HEADS = 2, 3


def drawn(seed: int, n: int = 12, rate: float = 0.3, n_clusters: int = 5) -> Activities:
    rng = np.random.default_rng(seed)
    each = []
    for _ in range(n):
        steps = int(rng.integers(1, 9))
        place = np.where(rng.random(steps) < 0.4, np.nan, rng.random(steps))
        each.append(Activity.of(rng.random((steps, LAYERS * HEADS)) < rate, place, rng.integers(0, 3, steps)))
    return Activities(tuple(each), rng.integers(0, n_clusters, n) * 7, HEADS)


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("n_clusters", [1, 5, 10_000])
def test_each_share_is_that_of_share_interval(rate: float, n_clusters: int) -> None:
    activities = drawn(3, rate=rate, n_clusters=n_clusters)
    found = head_shares(activities)
    for head in range(LAYERS * HEADS):
        hits = np.array([each.retrieves[:, head].sum() for each in activities.each])
        trials = np.array([len(each.retrieves) for each in activities.each])
        wanted = share_interval(hits, trials, activities.clusters)
        np.testing.assert_allclose(
            [found.estimate[head], found.low[head], found.high[head]], [wanted.estimate, wanted.low, wanted.high], atol=1e-12
        )
    assert found.n == sum(len(each.retrieves) for each in activities.each)


def test_one_trial_a_cluster_is_plain_wilson() -> None:
    hits = np.random.default_rng(0).integers(0, 2, (30, 4))
    found = share_intervals(hits.astype(float), np.ones(30))
    for head in range(4):
        wanted = share_interval(hits[:, head], np.ones(30))
        assert (found.interval(head).low, found.interval(head).high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_places_and_kinds_are_counted_by_hand() -> None:
    activities = drawn(5)
    by_place, by_kind = shares_by_place(activities, 4), shares_by_kind(activities, 3)
    for cells, belongs in (
        (by_place, lambda each, step, cell: cell / 4 <= each.place[step] < (cell + 1) / 4),
        (by_kind, lambda each, step, cell: each.kind[step] == cell),
    ):
        for cell, found in enumerate(cells):
            rows = [each.retrieves[step] for each in activities.each for step in range(len(each.retrieves)) if belongs(each, step, cell)]
            assert found.n == len(rows)
            np.testing.assert_allclose(found.estimate, np.mean(rows, axis=0))
    assert sum(found.n for found in by_kind) == activities.steps.sum()
    assert sum(found.n for found in by_place) == sum(int((~np.isnan(each.place)).sum()) for each in activities.each)


def test_jaccards_and_their_chance_are_counted_by_hand() -> None:
    activities = drawn(7, n=40, n_clusters=20)
    pairs = together(activities, 4)
    assert len(pairs) == 6
    totals = activities.counts.sum(axis=0)
    for pair in pairs:
        i, j = (head.layer * HEADS + head.head for head in (pair.first, pair.second))
        assert totals[i] >= totals[j]
        both = either = expected = 0.0
        for each in activities.each:
            one, other = each.retrieves[:, i], each.retrieves[:, j]
            both, either = both + (one & other).sum(), either + (one | other).sum()
            expected += one.sum() * other.sum() / len(one)
        assert pair.jaccard.estimate == pytest.approx(both / either)
        assert pair.jaccard.low <= pair.jaccard.estimate <= pair.jaccard.high
        assert pair.chance == pytest.approx(expected / (totals[i] + totals[j] - expected))


def test_chance_is_what_shuffled_steps_give() -> None:
    """Steps of each head shuffled within each sample: the Jaccard comes to the chance value as samples grow."""
    rng = np.random.default_rng(0)
    each = []
    for _ in range(400):
        one, other = rng.permutation(20) < 8, rng.permutation(20) < 5
        each.append(Activity.of(np.stack([one, other], axis=1), np.full(20, np.nan), np.zeros(20, dtype=int)))
    (pair,) = together(Activities(tuple(each), np.arange(400), 2), 2)
    assert pair.jaccard.low < pair.chance < pair.jaccard.high
    each = [Activity.of(found.retrieves[:, [0, 0]], found.place, found.kind) for found in each]
    (same,) = together(Activities(tuple(each), np.arange(400), 2), 2)
    assert same.jaccard.estimate == 1 and same.chance < 0.5


def test_heads_that_never_retrieve_are_in_no_pair() -> None:
    assert together(drawn(1, rate=0.0), 4) == []


def test_differences_are_paired_and_know_their_sign() -> None:
    first, second = drawn(2), drawn(2)
    assert all(each.estimate == 0 for each in share_differences(first, second))
    turned = Activities(tuple(Activity.of(~each.retrieves, each.place, each.kind) for each in first.each), first.clusters, HEADS)
    for head, found in enumerate(share_differences(first, turned)):
        share = head_shares(first).estimate[head]
        assert found.estimate == pytest.approx(1 - 2 * share) and found.low <= found.estimate <= found.high
    with pytest.raises(InputError, match="same samples"):
        share_differences(first, drawn(2, n=3))


def test_more_clusters_than_are_drawn_are_grouped() -> None:
    many = drawn(4, n=2 * MOST_GROUPS + 5, n_clusters=10_000)
    pair = together(many, 2)[0]
    assert pair.jaccard.low < pair.jaccard.estimate < pair.jaccard.high


def test_no_sample_is_refused() -> None:
    with pytest.raises(InputError, match="a sample or more"):
        Activities((), np.zeros(0, dtype=int), 3)
