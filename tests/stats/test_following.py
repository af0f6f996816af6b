"""What heads follow, against loops over sets, and on worlds in which it is known."""

import math
from collections import defaultdict

import pytest

from mechdyn.errors import InputError
from mechdyn.stats.following import following
from mechdyn.studies.world_rules import Keyed, Nested, Shape, Sizes
from mechdyn.studies.worlds import Noise, SimulatedWorld, Truth, simulate

SMALL = Shape(n_layers=2, n_heads=5, n_steps=6, n_tokens=4)


def evaluation(rule, n=30, shape=None, noise=None):
    return simulate(SimulatedWorld("w", Truth.FOLLOWS, rule, noise or Noise()), n, seed=4, shape=shape or Shape())["evaluation"]


def sets_of(trace):
    return [set(step.flatten().nonzero().flatten().tolist()) for step in trace.active]


@pytest.mark.parametrize("partners", [1, 3, 50])
def test_means_are_those_of_loops_over_sets(partners):
    traces = evaluation(Keyed("token", Sizes(3.0, 2.0)), n=7, shape=SMALL, noise=Noise(0.6, 0.3))
    found = defaultdict(list)
    for index, one in enumerate(traces):
        for shift in range(1, min(partners, 6) + 1):
            other = traces[(index + shift) % 7]
            for t, a in enumerate(sets_of(one)):
                for u, b in enumerate(sets_of(other)):
                    if a and b:
                        found[int(one.tokens[t]) == int(other.tokens[u]), t == u].append(len(a & b) / len(a | b))
    mean = {kind: sum(values) / len(values) for kind, values in found.items()}
    result = following(traces, partners=partners, n_resamples=10)
    expected = mean[True, False], mean[False, True], mean[False, False]
    assert (result.same_token.estimate, result.same_step.estimate, result.neither.estimate) == pytest.approx(expected)
    assert (result.token.estimate, result.step.estimate) == pytest.approx((expected[0] - expected[2], expected[1] - expected[2]))


def test_token_and_step_are_told_apart():
    by_token, by_step = following(evaluation(Keyed("token"))), following(evaluation(Keyed("step")))
    assert by_token.token.low > 0.5 and abs(by_token.step.estimate) < 0.05
    assert by_step.step.low > 0.5 and abs(by_step.token.estimate) < 0.05


@pytest.mark.parametrize("by", ["always", "needle", "place", "moment"])
def test_what_follows_neither_shows_neither(by):
    found = following(evaluation(Keyed(by)))
    assert abs(found.token.estimate) < 0.05 and abs(found.step.estimate) < 0.05
    assert found.neither.estimate > 0.7 if by == "always" else found.neither.estimate < 0.1


def test_a_ranking_whose_number_goes_by_the_token_follows_the_token():
    found = following(evaluation(Nested("token", Sizes(6.13, 7.09))))
    assert found.token.low > 0.1 and found.step.estimate < 0.05


def test_intervals_hold_the_truth_where_answers_differ_among_themselves():
    """Each answer stands in sixteen pairs, so what is its own moves all of them."""

    def found(n, seed, n_resamples):
        rule, noise = Keyed("always"), {"noise": Noise(0.95, 0.0), "noise_when_wrong": Noise(0.3, 0.0)}
        world = SimulatedWorld("w", Truth.FIXED, rule, accuracy=0.5, shape=SMALL, **noise)
        return following(simulate(world, n, seed=seed)["evaluation"], n_resamples=n_resamples).neither

    truth = found(400, 0, 1).estimate
    intervals = [found(20, seed, 200) for seed in range(1, 31)]
    assert sum(each.low <= truth <= each.high for each in intervals) >= 24


def test_steps_of_a_kind_that_do_not_occur_are_undefined():
    traces = evaluation(Keyed("step"), n=5, shape=Shape(n_steps=1))
    found = following(traces)
    assert math.isnan(found.same_token.estimate) and math.isnan(found.token.estimate)
    with pytest.raises(InputError, match="at least 2 samples, got 1"):
        following(traces[:1])
