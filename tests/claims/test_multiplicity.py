"""Verdicts together: their p, and the chance of any false one."""

import math

import numpy as np
import pytest

from mechdyn.claims.multiplicity import corrected, verdict_p
from mechdyn.evidence import Criterion, Outcome, Verdict, outcome
from mechdyn.stats.means import bootstrap_mean
from mechdyn.stats.tails import p_above, p_below


def verdict(supports=(), refutes=(), found=Outcome.INCONCLUSIVE):
    made = (tuple(Criterion("made up", p is not None and p < 0.025, p) for p in ps) for ps in (supports, refutes))
    return Verdict("model", "claim", found, (), *made)


def test_all_that_support_must_hold_and_any_that_refutes_may():
    assert verdict_p(verdict(supports=(0.001, 0.02))) == pytest.approx(0.04)
    assert verdict_p(verdict(supports=(0.9, 0.8), refutes=(0.001, 0.5))) == pytest.approx(0.004)
    assert verdict_p(verdict(supports=(0.6,), refutes=(0.7,))) == 1.0


def test_without_a_p_of_every_criterion_there_is_none_and_it_is_said():
    unknown, unasked = corrected([verdict(supports=(0.001, None), found=Outcome.SUPPORTED), verdict()])
    assert (unknown.p, unknown.outcome, unknown.why) == (None, Outcome.INCONCLUSIVE, "its criteria have no p")
    assert verdict_p(verdict(supports=(None, 0.9), refutes=(0.001, None))) == pytest.approx(0.004)
    assert (unasked.p, unasked.why) == (None, "no criterion was applied")


def test_a_verdict_that_others_leave_too_weak_is_inconclusive_and_a_strong_one_stays():
    strong, weak = verdict(supports=(0.0001,), found=Outcome.SUPPORTED), verdict(refutes=(0.02,), found=Outcome.REFUTED)
    found = corrected([strong, weak, verdict()])
    assert [each.outcome for each in found] == [Outcome.SUPPORTED, Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE]
    assert found[0].p_holm == pytest.approx(0.0006) and found[1].p_holm == pytest.approx(0.08) and "0.05" in found[1].why
    assert corrected([weak])[0].outcome == Outcome.REFUTED


def simulated(rng, n):
    """A verdict whose claim is as nearly true as can be without being so: one of two quantities is at its bound, the other far off."""
    at, far = (bootstrap_mean(rng.normal(mean, 1, n), np.ones(n)) for mean in (0.0, 2.0))
    supports = tuple(Criterion("above 0", each.low > 0, p_above(each, 0.0)) for each in (at, far))
    refutes = (Criterion("below 0", at.high < 0, p_below(at, 0.0)),)
    return Verdict("model", "claim", outcome(supports, refutes), (), supports, refutes)


@pytest.mark.slow
def test_any_false_verdict_among_five_is_kept_under_five_per_cent():
    rng, runs = np.random.default_rng(7), 1000
    decided = {"alone": 0, "together": 0}
    for _ in range(runs):
        verdicts = [simulated(rng, 30) for _ in range(5)]
        decided["alone"] += any(each.outcome != Outcome.INCONCLUSIVE for each in verdicts)
        decided["together"] += any(each.outcome != Outcome.INCONCLUSIVE for each in corrected(verdicts))
    assert decided["alone"] / runs > 0.15
    assert decided["together"] / runs < 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)
