"""Agreement of lists and the shape of one, against computations written another way."""

import itertools
import math
import random
import time

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from mechdyn.errors import InputError
from mechdyn.heads import Head, RankedHeads, rank_heads
from mechdyn.stats.head_lists import clusters, concentration, jaccard_matrix, layer_profile, overlap, rank_correlation, tied_at


def drawn(seed, n_layers=6, n_heads=8, *, levels=None, keep=None):
    """A ranking with random scores; of few levels, so that there are ties; of some heads only."""
    rng = random.Random(seed)
    heads = [Head(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    scored = [(head, rng.randrange(levels) / levels if levels else rng.random()) for head in rng.sample(heads, keep or len(heads))]
    return rank_heads(scored, n_layers, n_heads)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 7, 20, 48])
def test_the_jaccard_is_that_of_scikit_learn(seed, k):
    one, other = drawn(seed), drawn(seed + 100)
    flags = [ranked.top(k).mask().flatten().numpy() for ranked in (one, other)]
    found = overlap(one, other, k)
    assert found.jaccard == pytest.approx(jaccard_score(*flags))
    assert found.shared == sum(flags[0] & flags[1]) and found.sizes == (k, k)
    assert jaccard_matrix([one, other], k)[0, 1] == found.jaccard


@pytest.mark.parametrize(("sizes", "total"), [((3, 3), (2, 4)), ((2, 5), (2, 4)), ((4, 4), (1, 6)), ((6, 6), (2, 3))])
def test_chance_and_p_are_those_of_every_draw_counted(sizes, total):
    n_layers, n_heads = total
    heads = [Head(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    one = RankedHeads(tuple(heads[: sizes[0]]), (math.nan,) * sizes[0], n_layers, n_heads)
    draws = [set(each) for each in itertools.combinations(heads, sizes[1])]
    shared = [len(draw & set(one.heads)) for draw in draws]
    jaccards = sorted(part / (sum(sizes) - part) for part in shared)
    for draw in draws[:: max(1, len(draws) // 20)]:
        other = RankedHeads(tuple(sorted(draw)), (math.nan,) * len(draw), n_layers, n_heads)
        found = overlap(one, other, 20)
        assert found.sizes == sizes
        assert found.chance == pytest.approx(np.mean(jaccards))
        assert found.p == pytest.approx(np.mean([part >= found.shared for part in shared]))
        rare = [value for value in jaccards if np.mean([each >= value - 1e-12 for each in jaccards]) <= 0.025]
        assert found.chance_high == pytest.approx(min(rare, default=1.0))


def test_lists_that_agree_and_lists_that_do_not():
    ranked = drawn(1)
    assert overlap(ranked, ranked).jaccard == 1 and overlap(ranked, ranked).p < 1e-10
    turned = RankedHeads(ranked.heads[::-1], (math.nan,) * 48, 6, 8)
    apart = overlap(ranked, turned)
    assert (apart.shared, apart.jaccard, apart.p) == (0, 0.0, 1.0)
    assert rank_correlation(ranked, turned).rho == pytest.approx(-1) and rank_correlation(ranked, ranked).rho == pytest.approx(1)


@pytest.mark.parametrize("seed", range(6))
def test_rank_correlation_is_pearsons_of_mean_ranks(seed):
    one, other = drawn(seed, levels=5, keep=40), drawn(seed + 50, levels=7, keep=30)
    scores = [dict(zip(each.heads, each.scores, strict=True)) for each in (one, other)]
    common = [head for head in scores[0] if head in scores[1]]

    def mean_rank(values, value):
        return sum(each < value for each in values) + (sum(each == value for each in values) + 1) / 2

    ranks = [[mean_rank([each[head] for head in common], each[at]) for at in common] for each in scores]
    found = rank_correlation(one, other)
    assert found.n == len(common) and found.rho == pytest.approx(np.corrcoef(*ranks)[0, 1])


def test_rank_correlation_without_scores_goes_by_place_and_may_be_undefined():
    ranked = drawn(3)
    bare = RankedHeads(ranked.heads, (math.nan,) * 48, 6, 8)
    assert rank_correlation(ranked, bare).rho == pytest.approx(1)
    assert math.isnan(rank_correlation(ranked.first(2), bare).rho) and rank_correlation(ranked.first(2), bare).n == 2
    flat = RankedHeads(ranked.heads, (0.5,) * 48, 6, 8)
    assert math.isnan(rank_correlation(ranked, flat).rho)


@pytest.mark.parametrize("seed", range(4))
def test_gini_is_the_mean_difference_of_pairs_and_effective_heads_are_two_to_the_bits(seed):
    ranked = drawn(seed, levels=9)
    scores = np.array(ranked.scores)
    found = concentration(ranked)
    assert found.gini == pytest.approx(np.abs(scores[:, None] - scores[None]).mean() / (2 * scores.mean()))
    shares = scores[scores > 0] / scores.sum()
    assert found.effective == pytest.approx(2 ** -(shares * np.log2(shares)).sum()) and found.negative == 0


def test_concentration_of_one_head_of_equal_heads_and_of_none():
    heads = tuple(Head(0, head) for head in range(4))
    one = concentration(RankedHeads(heads, (1.0, 0.0, 0.0, 0.0), 1, 4))
    assert (one.gini, one.effective) == (pytest.approx(0.75), pytest.approx(1))
    even = concentration(RankedHeads(heads, (0.5,) * 4, 1, 4))
    assert (even.gini, even.effective) == (pytest.approx(0), pytest.approx(4))
    below = concentration(RankedHeads(heads, (1.0, 1.0, -2.0, -3.0), 1, 4))
    assert (below.effective, below.negative) == (pytest.approx(2), 2)
    for scores in ((0.0,) * 4, (math.nan,) * 4):
        assert math.isnan(concentration(RankedHeads(heads, scores, 1, 4)).gini)


def test_the_layer_profile_counts_the_first_heads():
    ranked = drawn(9)
    profile = layer_profile(ranked, 11)
    assert profile.tolist() == [sum(head.layer == layer for head in ranked.heads[:11]) for layer in range(6)]


def test_ties_at_the_edge_of_the_first_heads_are_counted():
    heads = tuple(Head(0, head) for head in range(6))
    ranked = RankedHeads(heads, (1.0, 0.5, 0.5, 0.5, 0.5, 0.0), 1, 6)
    assert [tied_at(ranked, k) for k in (1, 2, 3, 5, 6)] == [(1, 0), (1, 3), (2, 2), (4, 0), (0, 0)]
    assert tied_at(RankedHeads(heads, (math.nan,) * 6, 1, 6), 2) == (0, 0)


def merged(distances):
    """Average linkage by its definition: the two groups whose members are nearest on average are joined, until one is left."""
    groups, heights = [(each,) for each in range(len(distances))], []
    while len(groups) > 1:
        pairs = {(a, b): np.mean([distances[i][j] for i in a for j in b]) for a, b in itertools.combinations(groups, 2)}
        (a, b), height = min(pairs.items(), key=lambda item: item[1])
        groups = [each for each in groups if each not in (a, b)] + [a + b]
        heights.append((height, frozenset(a + b)))
    return heights


@pytest.mark.parametrize("seed", range(3))
def test_clusters_join_what_is_nearest_on_average(seed):
    rng = np.random.default_rng(seed)
    jaccards = np.tril(rng.random((7, 7)), -1)
    jaccards = jaccards + jaccards.T + np.eye(7)
    found = clusters(jaccards)
    expected = merged(1 - jaccards)
    assert found.joins[:, 2] == pytest.approx([height for height, _ in expected])
    assert sorted(found.order) == list(range(7))
    for _, members in expected:
        places = sorted(found.order.index(member) for member in members)
        assert places[-1] - places[0] == len(members) - 1, "joined lists are neighbours"


def test_what_cannot_be_compared_is_one_line():
    ranked = drawn(0)
    unshaped = RankedHeads(ranked.heads, ranked.scores)
    for call, message in (
        (lambda: overlap(ranked, drawn(0, 6, 9)), "lists of one shape are compared, got 6 x 8 and 6 x 9 heads"),
        (lambda: overlap(unshaped, unshaped), "chance depends on how many heads the model has"),
        (lambda: overlap(ranked, ranked, 0), "k from 1, got 0"),
        (lambda: jaccard_matrix([ranked, drawn(0, 6, 9)]), "lists of one shape are compared"),
        (lambda: clusters(np.eye(1)), "at least two lists, got 1"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_forty_lists_of_1600_heads_are_compared_within_ten_seconds():
    from mechdyn.studies.head_lists import compare_lists

    lists = {str(seed): drawn(seed, 40, 40) for seed in range(40)}
    before = time.process_time()
    found = compare_lists(lists)
    assert time.process_time() - before < 10
    assert len(found.pairs) == 780 and found.jaccards.shape == (40, 40) and len(found.clusters.order) == 40
