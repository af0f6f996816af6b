"""The sign-flip test: exact on few pairs, uniform without an effect."""

import math

import numpy as np
import pytest
from scipy import stats

from mechdyn.errors import InputError
from mechdyn.stats.permutation import permutation_test


def test_it_is_exact_on_few_pairs():
    a, b = np.array([1.0, 2.0, 3.0, 4.0]), np.zeros(4)
    assert permutation_test(a, b).p_value == pytest.approx(2 / 16)
    assert permutation_test(a, b, alternative="greater").p_value == pytest.approx(1 / 16)
    assert permutation_test(a, b).estimate == 2.5


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("n", [5, 20, 300, 900])
def test_it_equals_that_of_scipy_draw_by_draw(alternative, n):
    rng = np.random.default_rng(n)
    a, b = rng.normal(0.1, 1.0, size=n), rng.normal(size=n).round(1)
    expected = stats.permutation_test(
        (a - b,),
        lambda flipped, axis: flipped.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        alternative=alternative,
        n_resamples=999,
        rng=np.random.default_rng(3),
    )
    found = permutation_test(a, b, alternative=alternative, seed=3, n_resamples=999)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-12)
    assert found.estimate == pytest.approx(expected.statistic)


def test_pairs_of_a_cluster_are_flipped_together():
    a = np.array([1.0, 2.0, 3.0, 4.0, np.nan])
    clusters = ["x", "x", "y", "z", "z"]
    found = permutation_test(a, np.zeros(5), clusters, alternative="greater")
    assert (found.p_value, found.estimate, found.n) == (pytest.approx(1 / 8), 2.5, 4)
    assert math.isnan(permutation_test(a, np.zeros(5), ["x"] * 5).p_value)


def test_in_clusters_p_values_are_uniform_where_those_by_pair_are_too_small():
    rng = np.random.default_rng(8)
    p_values = {True: [], False: []}
    for seed in range(200):
        differences = np.repeat(rng.normal(size=20), 4) + 0.1 * rng.normal(size=80)
        for clustered, found in p_values.items():
            labels = np.repeat(np.arange(20), 4).tolist() if clustered else None
            found.append(permutation_test(differences, np.zeros(80), labels, seed=seed, n_resamples=199).p_value)
    assert stats.kstest(p_values[True], "uniform").pvalue > 0.001
    assert np.mean(np.array(p_values[False]) < 0.05) > 0.2


def test_p_values_are_uniform_without_effect():
    rng = np.random.default_rng(7)
    p_values = [permutation_test(rng.normal(size=20), rng.normal(size=20), seed=i, n_resamples=199).p_value for i in range(200)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_without_two_pairs_there_is_no_p_value():
    test = permutation_test(np.array([1.0, np.nan]), np.array([0.5, 1.0]))
    assert (test.estimate, test.n) == (0.5, 1)
    assert math.isnan(test.p_value)
    assert math.isnan(permutation_test(np.array([np.nan]), np.array([0.5])).estimate)


def test_errors_say_what_came():
    with pytest.raises(InputError, match="two-sided, greater or less, got 'more'"):
        permutation_test(np.ones(3), np.ones(3), alternative="more")
    with pytest.raises(InputError, match="the same samples in the same order, got 3 and 2"):
        permutation_test(np.ones(3), np.ones(2))
