"""Holm's correction: the textbook's numbers, and what it promises."""

import numpy as np
import pytest

from mechdyn.errors import InputError
from mechdyn.stats.holm import holm


def test_worked_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0] and holm([0.02]) == [0.02] and holm([]) == []


def test_a_test_without_p_counts_and_stays_without():
    assert holm([0.01, None, 0.04]) == [pytest.approx(0.03), None, pytest.approx(0.08)]


def test_it_rejects_as_the_step_down_procedure_does():
    rng = np.random.default_rng(3)
    for _ in range(200):
        p, alpha = rng.random(rng.integers(1, 9)) ** 3, rng.uniform(0.01, 0.2)
        rejected, order = set(), np.argsort(p)
        for rank, place in enumerate(order):
            if p[place] > alpha / (len(p) - rank):
                break
            rejected.add(int(place))
        assert {place for place, value in enumerate(holm(p.tolist())) if value <= alpha} == rejected


@pytest.mark.parametrize("wrong", [-0.1, 1.5, float("nan")])
def test_what_is_no_p_is_refused(wrong):
    with pytest.raises(InputError, match="between 0 and 1"):
        holm([0.5, wrong])
