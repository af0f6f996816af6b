"""The bootstrap: whole samples or clusters are drawn, bounds are those of scipy's BCa but for the widening, none is made up."""

import math

import numpy as np
import pytest
from scipy import stats

from mechdyn.errors import InputError
from mechdyn.stats.bca import bca_bounds
from mechdyn.stats.proportions import unseen
from mechdyn.stats.resampling import BOOTSTRAP, CLUSTER_BOOTSTRAP, NO_SPREAD, bootstrap, bootstrap_many, draw_weights


def mean_of(values):
    return lambda weights: (weights @ values) / weights.sum(axis=1)


def test_equals_a_loop_over_resamples():
    values = np.random.default_rng(1).gamma(1.0, size=30)
    interval = bootstrap(mean_of(values), 30, seed=5, n_resamples=400)
    draws = np.random.default_rng(5).integers(0, 30, (400, 30))
    resampled = np.array([np.mean([values[i] for i in row]) for row in draws])
    without = np.array([np.delete(values, i).mean() for i in range(30)])
    assert (interval.low, interval.high) == pytest.approx(bca_bounds(resampled, values.mean(), without, 0.95))
    assert (interval.estimate, interval.n, interval.method) == (pytest.approx(values.mean()), 30, BOOTSTRAP)


@pytest.mark.parametrize("seed", range(3))
def test_bounds_are_scipys_bca_at_the_level_that_the_widening_gives(seed):
    values = np.random.default_rng(seed).gamma(0.7, size=25)
    influence = (values - values.mean()) / 24
    kurtosis = 25 * (influence**4).sum() / (influence**2).sum() ** 2
    widened = math.sqrt(25 / 24) * stats.t.ppf(0.975, 2 * 25 / (kurtosis - 22 / 24))
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=200_000,
        confidence_level=2 * stats.norm.cdf(widened) - 1,
        rng=np.random.default_rng(seed),
        batch=5000,
    )
    ours = bootstrap(mean_of(values), 25, n_resamples=200_000)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.02)


def test_normal_data_have_students_degrees_of_freedom():
    """The mean kurtosis of normal samples of n is 3 (n - 1) / (n + 1), so the widening is about that of t with n - 1."""
    values = stats.norm.ppf((np.arange(400) + 0.5) / 400)
    interval = bootstrap(mean_of(values), 400, n_resamples=100_000)
    expected = stats.t.interval(0.95, 399, loc=0, scale=stats.sem(values))
    assert (interval.low, interval.high) == pytest.approx(expected, abs=0.002)


def test_clusters_are_drawn_as_a_whole():
    rng = np.random.default_rng(2)
    levels = rng.normal(size=20)
    labels = np.repeat(np.arange(20), 3)
    by_cluster = bootstrap(mean_of(np.repeat(levels, 3)), 60, clusters=labels)
    once = bootstrap(mean_of(levels), 20)
    assert (by_cluster.low, by_cluster.high) == pytest.approx((once.low, once.high))
    assert (by_cluster.n, by_cluster.method) == (60, CLUSTER_BOOTSTRAP)
    alone = bootstrap(mean_of(np.repeat(levels, 3)), 60)
    assert alone.high - alone.low < 0.7 * (by_cluster.high - by_cluster.low)


def test_the_order_of_labels_and_samples_is_of_no_account():
    rng = np.random.default_rng(3)
    values, labels = rng.normal(size=40), rng.integers(0, 12, 40)
    names = [f"needle {label}" for label in labels]
    assert bootstrap(mean_of(values), 40, clusters=labels) == bootstrap(mean_of(values), 40, clusters=names)


def test_draw_weights_counts_each_sample():
    draws = np.array([[0, 0, 2], [1, 2, 1]])
    assert draw_weights(draws, 3).tolist() == [[2, 0, 1], [0, 2, 1]]


def test_same_seed_draws_the_same_resamples_for_every_statistic():
    values = np.random.default_rng(3).normal(size=25)
    first = bootstrap(mean_of(values), 25, seed=7)
    both = bootstrap_many(lambda weights: np.stack([mean_of(values)(weights), mean_of(values**2)(weights)], axis=1), 25, seed=7)
    assert both[0] == first
    assert bootstrap(mean_of(values), 25, seed=8).low != first.low


def test_many_samples_are_drawn_in_batches_that_make_no_difference(monkeypatch):
    values = np.random.default_rng(4).normal(size=50)
    whole = bootstrap(mean_of(values), 50, seed=3, n_resamples=300)
    monkeypatch.setattr("mechdyn.stats.resampling._BATCH_NUMBERS", 1000)
    assert bootstrap(mean_of(values), 50, seed=3, n_resamples=300) == whole


def test_equal_values_have_the_width_of_what_may_be_unseen():
    z = stats.norm.ppf(0.975)
    at_the_end = bootstrap(mean_of(np.ones(40)), 40, limits=(0.0, 1.0))
    assert (at_the_end.low, at_the_end.high) == pytest.approx(tuple(stats.binomtest(40, 40).proportion_ci(0.95, method="wilson")))
    assert at_the_end.method == NO_SPREAD
    share = unseen(40, z)
    between = bootstrap(mean_of(np.full(40, 0.75)), 40, limits=(0.0, 1.0))
    assert (between.low, between.high) == pytest.approx((0.75 - share * 0.75, 0.75 + share * 0.25))
    unlimited = bootstrap(mean_of(np.full(40, 12.0)), 40)
    assert (unlimited.low, unlimited.high, unlimited.method) == (12.0, 12.0, NO_SPREAD)


def test_fewer_than_two_clusters_give_no_bounds():
    assert math.isnan(bootstrap(mean_of(np.arange(5.0)), 5, clusters=["same"] * 5).low)
    assert math.isnan(bootstrap(mean_of(np.arange(1.0)), 1).high)
    nothing = bootstrap(mean_of(np.zeros(0)), 0)
    assert math.isnan(nothing.estimate)
    assert nothing.n == 0


def test_an_undefined_resample_gives_nan_bounds_and_no_warning():
    values = np.array([0.0, 0.0, 1.0])
    interval = bootstrap(lambda weights: np.where(weights @ values > 0, 1.0, np.nan), 3)
    assert interval.estimate == 1.0
    assert math.isnan(interval.low)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_very_few_samples_still_have_finite_bounds(n):
    values = np.array([0.0, 0.0, 0.0, 1.0])[-n:]
    interval = bootstrap(mean_of(values), n)
    assert 0.0 <= interval.low <= interval.high <= 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 1.95}, "level must lie between 0 and 1, got 1.95"),
        ({"n_resamples": 0}, "n_resamples must be at least 1, got 0"),
        ({"clusters": [1]}, "one label a sample, got 1 labels for 2 samples"),
    ],
)
def test_errors_say_what_came(options, message):
    with pytest.raises(InputError, match=message):
        bootstrap(mean_of(np.ones(2)), 2, **options)
