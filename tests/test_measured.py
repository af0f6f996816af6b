"""What a criterion asks as data comes to what it says it comes to, for every claim whose judge can be run on made-up traces."""

import math

import pytest

from mechdyn.evidence import Criterion, Demand, Evidence, Side
from mechdyn.stats.interval import Interval


def evidence(estimate, low, high):
    return Evidence("x", Interval(estimate, low, high, 10))


@pytest.mark.parametrize(
    ("side", "bound", "met"),
    [
        (Side.ABOVE, 0.1, True),
        (Side.ABOVE, 0.2, False),
        (Side.BELOW, 0.5, True),
        (Side.BELOW, 0.4, False),
        (Side.AT_LEAST, 0.2, True),
        (Side.AT_LEAST, 0.25, False),
        (Side.ABOVE, evidence(0.1, 0.0, 0.15), True),
        (Side.ABOVE, evidence(0.1, 0.0, 0.25), False),
        (Side.BELOW, evidence(0.6, 0.45, 0.7), True),
        (Side.BELOW, evidence(0.6, 0.35, 0.7), False),
        (Side.ABOVE, math.nan, None),
    ],
)
def test_a_bound_is_met_by_the_whole_interval(side, bound, met):
    asked = Demand(evidence(0.3, 0.2, 0.4), side, bound)
    assert asked.met is met
    negated = Demand(asked.of, side, bound, negated=True)
    assert negated.met is (None if met is None else not met)


def test_estimates_may_be_compared_alone_and_unknown_bounds_decide_nothing():
    one_sided = evidence(0.3, math.nan, 0.4)
    assert Demand(one_sided, Side.BELOW, 0.5).met is True
    assert Demand(one_sided, Side.ABOVE, 0.1).met is None
    assert Demand(one_sided, Side.ABOVE, 0.1, by_estimate=True).met is True
    assert Demand(evidence(0.3, 0.2, 0.4), Side.AT_LEAST, evidence(0.3, 0.2, 0.4), by_estimate=True).met is True


def test_a_criterion_asks_for_all_and_comes_back_from_json():
    good, bad, unknown = (Demand(evidence(0.3, 0.2, 0.4), Side.ABOVE, bound, unit="nats") for bound in (0.0, 0.3, math.nan))
    known = Criterion.asking("both", good, bad, p=0.2)
    assert (known.met, Criterion.asking("", good, unknown).met, Criterion.asking("", bad, unknown).met) == (False, None, False)
    assert Criterion.from_json(known.as_json()) == known
    against = Criterion.asking("other", Demand(evidence(0.3, 0.2, 0.4), Side.BELOW, evidence(0.6, 0.5, 0.7), negated=True))
    assert Criterion.from_json(against.as_json()) == against
