"""Anticipation is more than scores that repeat: verdicts on traces with a known answer."""

import pytest

from mechdyn.claims.anticipation import Anticipation
from mechdyn.claims.claim import Outcome, Request
from mechdyn.claims.correlation import Correlation
from tests.probes.made_up import planted_traces, random_traces, repeating_traces, rotating_traces

REQUEST = Request({"name": "made up"})


def judged(traces):
    return Anticipation().judge(REQUEST, {"evaluation": traces})


def test_hidden_states_that_hold_the_steps_to_come_support_it():
    verdict = judged(planted_traces((1, 2)))
    assert verdict.outcome is Outcome.SUPPORTED
    assert verdict.facts["verdict_strongest_baseline"] == "supported"


def test_scores_that_repeat_are_no_anticipation():
    """Persistence tells all, the hidden state nothing."""
    verdict = judged(repeating_traces())
    assert verdict.outcome is Outcome.REFUTED
    assert any(reason.startswith("yes: k = 1") and "is not above that of persistence" in reason for reason in verdict.reasons)


def test_knowing_the_next_step_alone_leaves_it_open():
    verdict = judged(planted_traces((1,)))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reasons[0].startswith("yes: k = 1") and verdict.reasons[1].startswith("no: k = 2")


def test_a_pattern_that_follows_from_the_last_passes_persistence_but_not_the_strongest_baseline():
    verdict = judged(rotating_traces())
    assert verdict.outcome is Outcome.SUPPORTED
    assert verdict.facts["verdict_strongest_baseline"] != "supported"
    assert any("linear probe of the scores at n" in reason for reason in verdict.reasons)


def test_the_paired_differences_agree_with_the_areas():
    verdict = judged(planted_traces((1, 2), n_samples=40))
    found = {evidence.name: evidence.interval.estimate for evidence in verdict.evidence}
    for k in (1, 2):
        for name in ("persistence", "persistence by head", "base rate", "rate of the step", "linear probe of the scores at n"):
            difference = found[f"AUPRC, k = {k}: probe"] - found[f"AUPRC, k = {k}: {name}"]
            assert found[f"AUPRC, k = {k}: probe less {name}, paired"] == pytest.approx(difference)


def test_too_few_retrieving_samples_are_inconclusive():
    verdict = judged(random_traces(19))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reasons == ("19 samples retrieve at any step; 20 are needed",)


def test_it_is_judged_on_the_units_of_correlation():
    request = Request({"name": "m"}, "standard", (64,), 3)
    assert Anticipation().plan(request) == Correlation().plan(request)
