"""Chance overlap against every pair of sets of a small model."""

from itertools import combinations

import numpy as np
import pytest

from mechdyn.stats.chance import chance_jaccard


@pytest.mark.parametrize("total", [1, 5, 7])
def test_it_is_the_mean_over_all_pairs_of_sets(total):
    sizes = [(k, l) for k in range(total + 1) for l in range(total + 1) if k + l]  # noqa: E741
    expected = []
    for k, l in sizes:  # noqa: E741
        one = set(range(k))
        others = [set(other) for other in combinations(range(total), l)]
        expected.append(sum(len(one & other) / len(one | other) for other in others) / len(others))
    found = chance_jaccard(*np.array(sizes).T, total)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_it_is_small_in_a_large_model_and_nothing_for_two_empty_sets():
    assert chance_jaccard(np.array([13]), np.array([13]), 1024)[0] == pytest.approx(0.0065, abs=5e-4)
    assert np.isnan(chance_jaccard(np.array([0]), np.array([0]), 10)).all()
