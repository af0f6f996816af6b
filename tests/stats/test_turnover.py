"""Turnover against sets of Python, and what it is made for: nested sets have none."""

import math

import numpy as np
import pytest

from mechdyn.stats.turnover import turnover


def by_hand(first, second):
    a, b, c = len(first & second), len(first - second), len(second - first)
    return min(b, c) / (a + min(b, c)) if first and second else math.nan


def as_sets(rows):
    return [set(np.flatnonzero(row).tolist()) for row in rows]


@pytest.mark.parametrize("density", [0.05, 0.3, 0.8])
def test_turnover_is_that_of_sets(density):
    rng = np.random.default_rng(int(100 * density))
    first, second = rng.random((2, 200, 12)) < density
    expected = [by_hand(*pair) for pair in zip(as_sets(first), as_sets(second), strict=True)]
    np.testing.assert_allclose(turnover(first, second), expected, rtol=1e-12)
    np.testing.assert_allclose(turnover(second, first), expected, rtol=1e-12)


def test_nested_sets_have_none_and_disjoint_sets_are_exchanged_whole():
    nested = np.tri(6, dtype=bool)
    assert turnover(nested[:-1], nested[1:]).tolist() == [0.0] * 5
    assert turnover(nested[[1]], ~nested[[1]]).tolist() == [1.0]


def test_an_empty_set_leaves_it_undefined():
    empty = np.zeros((1, 4), dtype=bool)
    assert np.isnan(turnover(empty, ~empty)).all() and np.isnan(turnover(empty, empty)).all()
