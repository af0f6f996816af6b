"""Means over random lists and samples, against a two-way analysis of variance and planted truths."""

import math

import numpy as np
import pytest
from scipy import stats

from mechdyn.stats.lists import list_spread, mean_over_lists

N_LISTS = 10


def crossed(seed, n, of_lists, of_both, n_lists=N_LISTS):
    """Values with a part of the list, one of the sample, of spread 1, and one of both."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=n) + of_lists * rng.normal(size=(n_lists, 1)) + of_both * rng.normal(size=(n_lists, n))


def by_analysis_of_variance(values):
    """The half width of a Student interval from mean squares, textbook way: V = (MS_sample + MS_list - MS_both) / (K n)."""
    k, n = values.shape
    rows, columns = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    ms_list = n * ((rows - values.mean()) ** 2).sum() / (k - 1)
    ms_sample = k * ((columns - values.mean()) ** 2).sum() / (n - 1)
    ms_both = ((values - rows - columns + values.mean()) ** 2).sum() / ((k - 1) * (n - 1))
    variance = (ms_sample + max(0.0, ms_list - ms_both)) / (k * n)
    freedom = variance**2 / ((ms_sample / (k * n)) ** 2 / (n - 1) + (ms_list / (k * n)) ** 2 / (k - 1))
    return float(stats.t.ppf(0.975, freedom)) * math.sqrt(variance)


@pytest.mark.parametrize("n", [20, 60, 300])
@pytest.mark.parametrize(("of_lists", "of_both"), [(0.5, 0.0), (0.3, 1.0), (0.0, 1.0)])
def test_the_width_is_that_of_an_analysis_of_variance(n, of_lists, of_both):
    """On average over data sets: a bootstrap is random, and takes its degrees of freedom from the data's kurtosis."""
    draws = [crossed(seed, n, of_lists, of_both) for seed in range(12)]
    found = [mean_over_lists(values, seed) for seed, values in enumerate(draws)]
    assert np.mean([each.high - each.low for each in found]) == pytest.approx(2 * np.mean([*map(by_analysis_of_variance, draws)]), rel=0.07)
    assert [each.estimate for each in found] == pytest.approx([values.mean() for values in draws])


def test_lists_that_are_alike_add_nothing():
    samples = np.random.default_rng(0).random(60)
    one, many = mean_over_lists(samples[None]), mean_over_lists(np.stack([samples] * N_LISTS))
    assert (one.estimate, one.low, one.high) == pytest.approx((many.estimate, many.low, many.high))


@pytest.mark.parametrize("n", [20, 200])
def test_the_intervals_cover(n):
    rng, hits, runs = np.random.default_rng(n), 0, 300
    for seed in range(runs):
        levels = rng.beta(18, 2, (N_LISTS, 1))
        easy = rng.normal(size=n)
        right = stats.norm.cdf((rng.normal(size=(N_LISTS, n)) + easy) / math.sqrt(2)) < levels
        found = mean_over_lists(right.astype(float), seed)
        hits += found.low <= 0.9 <= found.high
    assert 0.91 <= hits / runs <= 0.99


def test_copies_of_samples_in_one_cluster_have_the_bounds_of_one_copy():
    values = np.random.default_rng(3).random((N_LISTS, 24))
    labels = np.repeat(np.arange(24), 3)
    copied = np.repeat(values, 3, axis=1)
    one, three = mean_over_lists(values, 1), mean_over_lists(copied, 1, labels)
    assert (three.low, three.high) == pytest.approx((one.low, one.high)) and (three.n, three.method) == (72, "cluster BCa bootstrap")
    alone = mean_over_lists(copied, 1)
    assert alone.high - alone.low < three.high - three.low


def test_where_nothing_differs():
    """Every answer right under every list: as many samples alone could tell, whatever the lists."""
    assert mean_over_lists(np.ones((N_LISTS, 40))).low == pytest.approx(40 / (40 + 1.96**2), abs=1e-3)
    assert list_spread(np.ones((N_LISTS, 40)), np.ones(40, dtype=int)) == 1.0
    shifted = np.linspace(0, 1, N_LISTS)[:, None] * np.ones((1, 40))
    found = mean_over_lists(shifted)
    assert found.high - found.low == pytest.approx(
        2 * stats.t.ppf(0.975, N_LISTS - 1) * shifted[:, 0].std(ddof=1) / math.sqrt(N_LISTS), rel=0.05
    )


def test_few_samples_and_few_lists_have_bounds():
    for shape in ((2, 3), (10, 2), (2, 40)):
        found = mean_over_lists(np.random.default_rng(5).random(shape))
        assert found.low <= found.estimate <= found.high
    assert math.isnan(mean_over_lists(np.random.default_rng(5).random((10, 1))).low)
