"""Intervals cover what they should, resample whole samples, and are never made up."""

import math

import numpy as np
import pytest
from scipy import stats

from mechdyn.errors import InputError
from mechdyn.stats.resampling import (
    Interval,
    bootstrap,
    bootstrap_mean,
    draw_weights,
    paired_difference,
    permutation_test,
)


def test_prints_estimate_and_bounds():
    interval = Interval(0.3512, 0.312, 0.3901, 40)
    assert str(interval) == "0.351 [0.312, 0.390]"
    assert f"{interval:.1f}" == "0.4 [0.3, 0.4]"
    assert str(Interval(0.5, math.nan, math.nan, 1)) == "0.500 [nan, nan]"


def test_equals_a_loop_over_resamples():
    rng = np.random.default_rng(1)
    sums, counts = rng.normal(size=30), rng.integers(1, 9, 30)
    interval = bootstrap_mean(sums, counts, seed=5, n_resamples=400)
    draws = np.random.default_rng(5).integers(0, 30, (400, 30))
    values = [sum(sums[i] for i in row) / sum(counts[i] for i in row) for row in draws]
    assert interval.estimate == pytest.approx(sums.sum() / counts.sum())
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    assert interval.n == 30


def test_agrees_with_scipy_on_a_plain_mean():
    values = np.random.default_rng(2).normal(size=200)
    ours = bootstrap_mean(values, np.ones(200), n_resamples=20_000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(9))
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.01)


def test_draw_weights_counts_each_sample():
    draws = np.array([[0, 0, 2], [1, 2, 1]])
    assert draw_weights(draws, 3).tolist() == [[2, 0, 1], [0, 2, 1]]


def test_same_seed_draws_the_same_resamples_for_every_statistic():
    values = np.random.default_rng(3).normal(size=25)
    by_index = bootstrap(lambda draws: values[draws].mean(axis=1), 25, seed=7)
    by_weight = bootstrap_mean(values, np.ones(25), seed=7)
    assert by_index.low == pytest.approx(by_weight.low)
    assert by_index.high == pytest.approx(by_weight.high)
    assert bootstrap_mean(values, np.ones(25), seed=8).low != by_weight.low


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(4)
    covered = 0
    for trial in range(300):
        level_of_sample = rng.normal(size=40)
        counts = rng.integers(5, 15, 40)
        sums = np.array([rng.normal(level, 1.0, n).sum() for level, n in zip(level_of_sample, counts, strict=True)])
        interval = bootstrap_mean(sums, counts, seed=trial, n_resamples=400)
        covered += interval.low <= 0.0 <= interval.high
    assert 0.88 <= covered / 300 <= 0.99


def test_dependent_steps_do_not_narrow_the_interval():
    levels = np.random.default_rng(5).normal(size=50)
    once = bootstrap_mean(levels, np.ones(50))
    repeated = bootstrap_mean(levels * 100, np.full(50, 100))
    assert (repeated.low, repeated.high) == pytest.approx((once.low, once.high))


def test_constant_data_give_an_interval_of_no_width():
    interval = bootstrap_mean(np.full(10, 3.0), np.full(10, 4))
    assert (interval.estimate, interval.low, interval.high) == (0.75, 0.75, 0.75)


@pytest.mark.parametrize(
    ("sums", "counts", "estimate", "n"), [([], [], math.nan, 0), ([2.0], [4], 0.5, 1), ([0.0, 0.0], [0, 0], math.nan, 0)]
)
def test_too_few_samples_give_nan_bounds(sums, counts, estimate, n):
    interval = bootstrap_mean(np.array(sums), np.array(counts))
    assert interval.estimate == pytest.approx(estimate, nan_ok=True)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert interval.n == n


def test_samples_without_steps_are_left_out():
    full = bootstrap_mean(np.array([1.0, 2.0, 4.0]), np.array([2, 2, 5]))
    padded = bootstrap_mean(np.array([1.0, np.nan, 2.0, 4.0]), np.array([2, 0, 2, 5]))
    assert padded == full


def test_an_undefined_resample_gives_nan_bounds_and_no_warning():
    values = np.array([0.0, 0.0, 1.0])
    interval = bootstrap(lambda draws: np.where(values[draws].any(axis=1), 1.0, np.nan), 3)
    assert interval.estimate == 1.0
    assert math.isnan(interval.low)


def test_paired_difference_is_the_mean_of_differences():
    rng = np.random.default_rng(6)
    level = rng.normal(0, 10, 60)
    a, b = level + 1 + rng.normal(0, 0.1, 60), level + rng.normal(0, 0.1, 60)
    interval = paired_difference(a, b)
    assert interval.estimate == pytest.approx((a - b).mean())
    assert 0.9 < interval.low < interval.high < 1.1  # pairing takes the spread of the samples out
    b[3] = np.nan
    assert paired_difference(a, b).n == 59


def test_permutation_test_is_exact_on_few_pairs():
    a, b = np.array([1.0, 2.0, 3.0, 4.0]), np.zeros(4)
    assert permutation_test(a, b).p_value == pytest.approx(2 / 16)
    assert permutation_test(a, b, alternative="greater").p_value == pytest.approx(1 / 16)
    assert permutation_test(a, b).estimate == 2.5


def test_permutation_p_values_are_uniform_without_effect():
    rng = np.random.default_rng(7)
    p_values = [permutation_test(rng.normal(size=20), rng.normal(size=20), seed=i, n_resamples=199).p_value for i in range(200)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_permutation_test_without_two_pairs_has_no_p_value():
    test = permutation_test(np.array([1.0, np.nan]), np.array([0.5, 1.0]))
    assert (test.estimate, test.n) == (0.5, 1)
    assert math.isnan(test.p_value)
    assert math.isnan(permutation_test(np.array([np.nan]), np.array([0.5])).estimate)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_mean(np.ones(3), np.ones(2)), "one entry a sample each, got 3 and 2"),
        (lambda: bootstrap_mean(np.ones(2), np.array([1, -1])), "counts must be 0 or more, got -1"),
        (lambda: bootstrap_mean(np.array([1.0, np.nan]), np.ones(2)), "leave undefined steps out"),
        (lambda: bootstrap_mean(np.ones(2), np.ones(2), level=1.95), "level must lie between 0 and 1, got 1.95"),
        (lambda: bootstrap_mean(np.ones(2), np.ones(2), n_resamples=0), "n_resamples must be at least 1, got 0"),
        (lambda: paired_difference(np.ones(3), np.ones(2)), "the same samples in the same order, got 3 and 2"),
        (lambda: permutation_test(np.ones(3), np.ones(3), alternative="more"), "two-sided, greater or less, got 'more'"),
    ],
)
def test_errors_say_what_came(call, message):
    with pytest.raises(InputError, match=message):
        call()
