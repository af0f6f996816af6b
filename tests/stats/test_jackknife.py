"""The jackknife of a mean is Student's interval; too little is refused."""

import numpy as np
import pytest
from scipy import stats

from mechdyn.errors import InputError
from mechdyn.stats.jackknife import jackknife_many


def test_of_a_mean_it_is_student_s_interval():
    values = np.random.default_rng(0).standard_normal((9, 2)) + 3
    found = jackknife_many(lambda weights: weights @ values / weights.sum(axis=1, keepdims=True), 9)
    for column, interval in zip(values.T, found, strict=True):
        plain = stats.ttest_1samp(column, 0.0).confidence_interval()
        assert (interval.low, interval.high) == pytest.approx((plain.low, plain.high))
        assert (interval.estimate, interval.n, interval.method) == (pytest.approx(column.mean()), 9, "cluster jackknife")


def test_without_bounds_where_leaving_one_out_is_undefined():
    (found,) = jackknife_many(lambda weights: np.where(weights[:, :1] > 0, 1.0, np.nan), 4)
    assert found.estimate == 1.0
    assert np.isnan([found.low, found.high]).all()
    with pytest.raises(InputError, match="at least 2 clusters"):
        jackknife_many(lambda weights: weights[:, :1], 1)
