"""Size-matched overlap against sets of Python."""

import math

import numpy as np

from mechdyn.heads import Head, rank_heads
from mechdyn.stats.matched import matched_jaccard, places_in

N_LAYERS, N_HEADS = 3, 5


def ranking_of(seed):
    scores = np.random.default_rng(seed).integers(0, 4, N_LAYERS * N_HEADS)  # with ties
    return rank_heads([(Head(*divmod(index, N_HEADS)), float(score)) for index, score in enumerate(scores)], N_LAYERS, N_HEADS)


def test_each_set_is_held_against_as_many_of_the_ranking():
    for seed in range(5):
        ranking = ranking_of(seed)
        sets = np.random.default_rng(seed).random((100, N_LAYERS * N_HEADS)) < np.linspace(0, 1, 100)[:, None]
        expected = []
        for row in sets:
            heads = {Head(*divmod(int(index), N_HEADS)) for index in np.flatnonzero(row)}
            listed = set(ranking.heads[: len(heads)])
            expected.append(len(heads & listed) / len(heads | listed) if heads else math.nan)
        np.testing.assert_allclose(matched_jaccard(sets, places_in(ranking)), expected, rtol=1e-12)


def test_any_number_of_a_fixed_ranking_overlaps_wholly():
    places = places_in(ranking_of(7))
    sets = places[None, :] < np.arange(1, 16)[:, None]
    assert matched_jaccard(sets, places).tolist() == [1.0] * 15
