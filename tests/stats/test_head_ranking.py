"""Rankings by what samples give: needles are the unit of every interval, and stability tells sound lists from chance."""

import math

import numpy as np
import pytest
from scipy import stats

from mechdyn.errors import InputError
from mechdyn.heads import Head
from mechdyn.stats.head_ranking import HeadScores, split_half, stability


def drawn(seed, n_samples=24, noise=1.0, counts=None, copies=1):
    """Samples of 3 x 4 heads, whose true scores are 0, 1, … 11 over 4; each sample `copies` times, all of one needle."""
    rng = np.random.default_rng(seed)
    counts = np.ones(n_samples) if counts is None else counts
    sums = (np.arange(12) / 4 + noise * rng.normal(size=(n_samples, 12))) * counts[:, None]
    needles = tuple(str(index) for index in range(n_samples) for _ in range(copies))
    return HeadScores(sums.repeat(copies, axis=0), counts.repeat(copies), needles, 3, 4)


def test_the_ranking_is_by_the_ratio_of_sums_and_keeps_each_samples_own_score():
    counts = np.arange(1.0, 25.0)
    scores = drawn(0, counts=counts)
    ranking = scores.ranking("what", "model")
    wanted = {(layer, head): scores.sums[:, 4 * layer + head].sum() / counts.sum() for layer in range(3) for head in range(4)}
    assert ranking.heads == tuple(Head(*head) for head in sorted(wanted, key=lambda head: (-wanted[head], head)))
    assert ranking.scores == pytest.approx([wanted[head] for head in ranking.heads])
    assert (ranking.n, ranking.n_layers, ranking.n_heads, ranking.statistic, ranking.model) == (24, 3, 4, "what", "model")
    first = ranking.heads[0]
    assert ranking.spread[0].values == pytest.approx(scores.sums[:, 4 * first.layer + first.head] / counts)


def test_equal_scores_stand_by_layer_and_head():
    ranking = HeadScores(np.ones((2, 4)), np.ones(2), ("a", "b"), 2, 2).ranking()
    assert ranking.heads == (Head(0, 0), Head(0, 1), Head(1, 0), Head(1, 1))


def test_the_same_needle_again_tells_nothing_new():
    once, twice = (drawn(1, copies=copies).intervals(seed=3) for copies in (1, 5))
    assert [each.low for each in twice] == pytest.approx([each.low for each in once])
    assert [each.high for each in twice] == pytest.approx([each.high for each in once])
    assert {each.n for each in (*once, *twice)} == {24}


def test_intervals_hold_the_true_score_as_often_as_they_say():
    held = [interval.low <= head / 4 <= interval.high for seed in range(40) for head, interval in enumerate(drawn(seed).intervals())]
    assert 0.88 < np.mean(held) < 0.98


def test_one_needle_has_no_interval_and_no_stability():
    scores = drawn(0, n_samples=1, copies=6)
    assert all(math.isnan(interval.low) and interval.n == 1 for interval in scores.intervals())
    assert math.isnan(stability(scores, 4).correlation)
    assert math.isnan(split_half(scores, 4).correlation)


def test_sound_lists_are_stable_and_noise_is_not():
    sound = drawn(2, noise=0.1)
    noise = HeadScores(np.random.default_rng(0).normal(size=(24, 12)), np.ones(24), sound.needles, 3, 4)
    assert stability(sound, 6).correlation > 0.95 and stability(sound, 6).shared > 0.95
    assert stability(noise, 6).correlation < 0.8
    assert split_half(sound, 6).whole > 0.95 and split_half(sound, 6).jaccard > 0.9
    assert split_half(noise, 6).correlation < 0.6


def test_split_half_is_the_mean_over_random_halves():
    scores, rng = drawn(4, n_samples=10, noise=1.5), np.random.default_rng(7)  # needles 0 to 9 sort as their numbers do
    found, correlations, jaccards = split_half(scores, 5, seed=7, n_splits=8), [], []
    for _ in range(8):
        order = rng.permutation(10)
        one, other = scores.sums[order[:5]].mean(axis=0), scores.sums[order[5:]].mean(axis=0)
        correlations.append(stats.spearmanr(one, other).statistic)
        tops = [set(np.argsort(-half)[:5].tolist()) for half in (one, other)]
        jaccards.append(len(tops[0] & tops[1]) / len(tops[0] | tops[1]))
    assert found.correlation == pytest.approx(np.mean(correlations))
    assert found.whole == pytest.approx(2 * found.correlation / (1 + found.correlation))
    assert found.jaccard == pytest.approx(np.mean(jaccards))
    assert found.low <= found.jaccard <= found.high


def test_heads_that_all_score_alike_agree_with_themselves():
    alike = HeadScores(np.ones((8, 4)), np.ones(8), tuple("abcdefgh"), 2, 2)
    assert stability(alike, 4).correlation == 1.0


def test_no_sample_is_one_line():
    with pytest.raises(InputError, match="a ranking needs a sample or more"):
        HeadScores(np.zeros((0, 4)), np.zeros(0), (), 2, 2)


def test_a_head_that_every_needle_gives_the_same_has_no_interval():
    scores = HeadScores(np.tile([1.0, 0.0, 0.5, 0.25], (8, 1)), np.ones(8), tuple("abcdefgh"), 2, 2)
    assert [interval.estimate for interval in scores.intervals()] == [1.0, 0.0, 0.5, 0.25]
    assert all(math.isnan(interval.low) and math.isnan(interval.high) for interval in scores.intervals())
