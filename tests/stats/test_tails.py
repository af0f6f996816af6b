"""p from an interval: it decides as the interval does, and is the tail probability that the method stands for."""

import math

import numpy as np
import pytest
from scipy import stats

from mechdyn.stats.interval import Interval
from mechdyn.stats.means import bootstrap_mean, mean_interval, paired_difference, share_interval
from mechdyn.stats.proportions import normal_quantile, tango, wilson
from mechdyn.stats.tails import p_above, p_below

RNG = np.random.default_rng(11)


def decides_alike(interval, bound):
    return (p_above(interval, bound) < 0.025) == (interval.low > bound) and (p_below(interval, bound) < 0.025) == (interval.high < bound)


@pytest.mark.parametrize("n", [5, 20, 60])
def test_p_decides_as_the_interval_does_whatever_its_method(n):
    for _ in range(20):
        binary, other = (RNG.random((2, n)) < RNG.random()).astype(float)
        intervals = [
            bootstrap_mean(RNG.normal(0.3, 1, n), np.ones(n), n_resamples=300),
            bootstrap_mean(RNG.exponential(1, n), np.ones(n), np.arange(n) // 2, n_resamples=300),
            mean_interval(binary),
            paired_difference(binary, other),
            share_interval(RNG.integers(0, 4, n), np.full(n, 3)),
        ]
        for interval in intervals:
            if math.isnan(interval.low) or not interval.low < interval.estimate < interval.high:
                continue
            assert all(decides_alike(interval, bound) for bound in RNG.uniform(-0.2, 1.2, 10)), interval


def test_p_of_a_mean_is_students():
    values = RNG.normal(0.4, 1.0, 200)
    expected = stats.ttest_1samp(values, 0.25, alternative="greater").pvalue
    found = p_above(bootstrap_mean(values, np.ones(200), n_resamples=20_000), 0.25)
    assert found == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("hits", "n", "bound"), [(17, 20, 0.5), (40, 40, 0.9), (3, 60, 0.2), (0, 30, 0.05)])
def test_p_of_a_share_is_the_score_tests(hits, n, bound):
    interval = mean_interval((np.arange(n) < hits).astype(float))
    z = (hits / n - bound) / math.sqrt(bound * (1 - bound) / n)
    assert p_above(interval, bound) == pytest.approx(stats.norm.sf(z), rel=1e-6)
    assert p_below(interval, bound) == pytest.approx(stats.norm.cdf(z), rel=1e-6)


def test_p_of_a_share_in_clusters_is_at_the_level_whose_interval_ends_at_the_bound():
    interval = share_interval(RNG.integers(2, 5, 30), np.full(30, 5))
    bound = interval.estimate - 0.15
    z = stats.norm.isf(p_above(interval, bound))
    size = (normal_quantile(0.95) / (interval.estimate - interval.low)) ** 2 * interval.low * (1 - interval.low)
    assert wilson(interval.estimate, size, z)[0] == pytest.approx(bound, abs=1e-6)


@pytest.mark.parametrize(("b", "c", "n"), [(12, 1, 40), (1, 12, 40), (9, 9, 50), (3, 0, 20), (0, 0, 25)])
def test_p_of_paired_shares_is_at_the_level_whose_interval_ends_at_the_bound(b, c, n):
    first, second = (np.arange(n) < b).astype(float), ((np.arange(n) >= b) & (np.arange(n) < b + c)).astype(float)
    interval = paired_difference(first, second)
    for bound in (interval.estimate - 0.2, interval.estimate + 0.2):
        p = p_above(interval, bound) if bound < interval.estimate else p_below(interval, bound)
        ends = tango(b, c, n, stats.norm.isf(p))
        assert min(abs(end - bound) for end in ends) < 1e-6
    if b + c:
        mcnemar = (b - c) / math.sqrt(b + c)
        assert p_above(interval, 0.0) == pytest.approx(stats.norm.sf(mcnemar), rel=1e-6)


def test_values_without_spread_have_the_p_of_what_was_not_seen():
    interval = bootstrap_mean(np.full(40, 0.5), np.ones(40), limits=(0.0, 1.0))
    z = stats.norm.isf(p_below(interval, 0.6))
    assert 0.5 + 0.5 * z**2 / (40 + z**2) == pytest.approx(0.6)


@pytest.mark.parametrize(
    "interval",
    [
        Interval(0.5, math.nan, math.nan, 1),
        Interval(math.nan, 0.1, 0.2, 9),
        Interval(0.5, 0.4, 0.6, 20, "range of pairings"),
        Interval(0.5, 0.4, 0.6, 20),
        Interval(0.5, 0.5, 0.5, 20, "no spread"),
        Interval(0.5, 0.4, 0.6, 20, "Tango, effective size"),
        Interval(0.5, 0.51, 0.6, 20, "BCa bootstrap"),
    ],
)
def test_where_no_p_can_be_had_there_is_none(interval):
    assert p_above(interval, 0.3) is None


def test_the_two_sides_add_up_and_half_is_at_the_estimate():
    interval = bootstrap_mean(RNG.normal(0, 1, 30), np.ones(30), n_resamples=300)
    assert p_above(interval, 0.1) + p_below(interval, 0.1) == pytest.approx(1.0)
    assert p_above(interval, interval.estimate) == p_below(interval, interval.estimate) == 0.5


def test_uniform_under_the_null():
    """Of a mean, at levels beyond that of the interval as well, where Holm's correction needs it."""
    found = np.array([p_above(bootstrap_mean(RNG.normal(0, 1, 20), np.ones(20), n_resamples=400), 0.0) for _ in range(600)])
    for level in (0.005, 0.025, 0.1):
        share, spread = (found < level).mean(), math.sqrt(level * (1 - level) / len(found))
        assert abs(share - level) < 3.5 * spread, (level, share)
