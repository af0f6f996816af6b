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
