"""Means, shares and paired differences: the interval that fits the data, over whole samples or clusters."""

import math

import numpy as np
import pytest
from scipy import stats

from mechdyn.errors import InputError
from mechdyn.stats.means import (
    CLUSTER_TANGO,
    CLUSTER_WILSON,
    TANGO,
    WILSON,
    bootstrap_mean,
    mean_interval,
    paired_difference,
    share_interval,
)
from mechdyn.stats.resampling import BOOTSTRAP, CLUSTER_BOOTSTRAP, NO_SPREAD


def test_zeros_and_ones_are_a_proportion_and_anything_else_is_not():
    rng = np.random.default_rng(1)
    binary, shares = rng.integers(0, 2, 40).astype(float), rng.beta(2, 3, 40)
    expected = stats.binomtest(int(binary.sum()), 40).proportion_ci(0.95, method="wilson")
    found = mean_interval(binary)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.estimate, found.n, found.method) == (binary.mean(), 40, WILSON)
    assert mean_interval(shares).method == BOOTSTRAP
    assert mean_interval(shares) == bootstrap_mean(shares, np.ones(40), limits=(0.0, 1.0))


def test_forty_of_forty_is_not_certain():
    found = mean_interval(np.ones(40))
    assert str(found) == "1.000 [0.912, 1.000]"


def test_undefined_values_are_left_out():
    found = mean_interval(np.array([1.0, np.nan, 0.0, 1.0]))
    assert found == mean_interval(np.array([1.0, 0.0, 1.0]))
    assert math.isnan(mean_interval(np.array([np.nan])).estimate)


def test_a_metric_lies_between_0_and_1():
    with pytest.raises(InputError, match="got 0 to 3; bootstrap_mean takes any"):
        mean_interval(np.array([0.0, 3.0]))


def test_repeats_of_a_sample_do_not_narrow_a_proportion():
    binary = np.random.default_rng(2).integers(0, 2, 60).astype(float)
    once, repeated = mean_interval(binary), mean_interval(np.repeat(binary, 4), np.repeat(np.arange(60), 4))
    assert (repeated.low, repeated.high) == pytest.approx((once.low, once.high), abs=0.003)
    assert (repeated.n, repeated.method) == (240, CLUSTER_WILSON)
    same = share_interval(4 * binary, np.full(60, 4))
    assert (same.low, same.high) == pytest.approx((repeated.low, repeated.high))


def test_a_share_of_no_misses_counts_samples_and_not_trials():
    found = share_interval(np.full(30, 5), np.full(30, 5))
    assert (found.low, found.high) == pytest.approx(tuple(stats.binomtest(30, 30).proportion_ci(0.95, method="wilson")))
    assert found.n == 30


def test_samples_without_a_trial_have_no_say_in_a_share():
    full = share_interval(np.array([1, 0, 2]), np.array([2, 1, 3]))
    assert share_interval(np.array([1, 0, 0, 2]), np.array([2, 0, 1, 3]), clusters=list("abcd")) == full
    assert share_interval(np.array([0]), np.array([0])).n == 0
    assert math.isnan(share_interval(np.array([1]), np.array([2])).low)


def test_more_hits_than_trials_are_refused():
    with pytest.raises(InputError, match="hits between 0 and the trials"):
        share_interval(np.array([3, 1]), np.array([2, 2]))


def test_steps_are_pooled():
    rng = np.random.default_rng(3)
    sums, counts = rng.normal(size=30), rng.integers(1, 9, 30)
    found = bootstrap_mean(sums, counts, n_resamples=400)
    assert found.estimate == pytest.approx(sums.sum() / counts.sum())
    assert found.low < found.estimate < found.high
    assert found.n == 30


def test_dependent_steps_do_not_narrow_the_interval():
    levels = np.random.default_rng(5).normal(size=50)
    once = bootstrap_mean(levels, np.ones(50))
    repeated = bootstrap_mean(levels * 100, np.full(50, 100))
    assert (repeated.low, repeated.high) == pytest.approx((once.low, once.high))


def test_samples_of_one_cluster_are_drawn_together():
    levels = np.random.default_rng(6).normal(size=20)
    repeated = bootstrap_mean(np.repeat(levels, 3), np.ones(60), np.repeat(np.arange(20), 3))
    once = bootstrap_mean(levels, np.ones(20))
    assert (repeated.low, repeated.high) == pytest.approx((once.low, once.high))
    assert repeated.method == CLUSTER_BOOTSTRAP


def test_samples_without_steps_are_left_out_and_their_clusters_with_them():
    full = bootstrap_mean(np.array([1.0, 2.0, 4.0]), np.array([2, 2, 5]))
    padded = bootstrap_mean(np.array([1.0, np.nan, 2.0, 4.0]), np.array([2, 0, 2, 5]), ["a", "b", "c", "d"])
    assert padded == full


@pytest.mark.parametrize(
    ("sums", "counts", "estimate", "n"), [([], [], math.nan, 0), ([2.0], [4], 0.5, 1), ([0.0, 0.0], [0, 0], math.nan, 0)]
)
def test_too_few_samples_give_nan_bounds(sums, counts, estimate, n):
    found = bootstrap_mean(np.array(sums), np.array(counts))
    assert found.estimate == pytest.approx(estimate, nan_ok=True)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.n == n


def test_a_paired_difference_is_the_mean_of_differences():
    rng = np.random.default_rng(6)
    level = rng.normal(0, 10, 60)
    a, b = level + 1 + rng.normal(0, 0.1, 60), level + rng.normal(0, 0.1, 60)
    found = paired_difference(a, b)
    assert found.estimate == pytest.approx((a - b).mean())
    assert 0.9 < found.low < found.high < 1.1  # pairing takes the spread of the samples out
    b[3] = np.nan
    assert paired_difference(a, b).n == 59


def test_a_paired_difference_of_proportions_is_tangos():
    a, b = np.repeat([1.0, 1.0, 0.0, 0.0], [59, 6, 16, 80]), np.repeat([1.0, 0.0, 1.0, 0.0], [59, 6, 16, 80])
    found = paired_difference(a, b)
    assert (found.low, found.high) == pytest.approx((-0.1240, -0.0054), abs=5e-5)  # R package contingencytables
    assert (found.method, found.n) == (TANGO, 161)


def test_repeats_of_a_pair_do_not_narrow_the_difference():
    rng = np.random.default_rng(8)
    a, b = rng.integers(0, 2, (2, 50)).astype(float)
    once = paired_difference(a, b)
    repeated = paired_difference(np.repeat(a, 3), np.repeat(b, 3), np.repeat(np.arange(50), 3))
    assert (repeated.low, repeated.high) == pytest.approx((once.low, once.high), abs=0.01)
    assert repeated.method == CLUSTER_TANGO


def test_two_conditions_that_agree_everywhere_are_not_surely_equal():
    shares = np.random.default_rng(9).beta(2, 2, 40)
    found = paired_difference(shares, shares)
    tango = paired_difference(np.ones(40), np.ones(40))
    assert (found.low, found.high) == pytest.approx((tango.low, tango.high))
    assert (found.method, tango.method) == (NO_SPREAD, TANGO)
    clustered = paired_difference(np.ones(40), np.ones(40), np.repeat(np.arange(20), 2))
    assert clustered.high > tango.high
    unlimited = paired_difference(shares * 9, shares * 9)
    assert (unlimited.low, unlimited.high) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_mean(np.ones(3), np.ones(2)), "one entry a sample each, got 3 and 2"),
        (lambda: bootstrap_mean(np.ones(2), np.array([1, -1])), "counts must be 0 or more, got -1"),
        (lambda: bootstrap_mean(np.array([1.0, np.nan]), np.ones(2)), "leave undefined steps out"),
        (lambda: mean_interval(np.ones(2), ["a"]), "one label a sample, got 1 labels for 2 samples"),
        (lambda: paired_difference(np.ones(3), np.ones(2)), "the same samples in the same order, got 3 and 2"),
    ],
)
def test_errors_say_what_came(call, message):
    with pytest.raises(InputError, match=message):
        call()
