"""Anticipation is more than scores that repeat: verdicts on traces with a known answer."""

import pytest

from mechdyn.claims.anticipation import Anticipation, decide, measure
from mechdyn.claims.correlation import Correlation
from mechdyn.evidence import Outcome
from mechdyn.plans import Request
from tests.probes.made_up import planted_traces, random_traces, repeating_traces, rotating_traces

REQUEST = Request({"name": "made up"})


@pytest.fixture(scope="module")
def measured():
    return measure(planted_traces((1, 2), n_samples=50), "linear")


def test_hidden_states_that_hold_the_steps_to_come_support_it(measured):
    assert decide(measured)[0] is Outcome.SUPPORTED
    assert decide(measured, strongest=True)[0] is Outcome.SUPPORTED


def test_scores_that_repeat_are_no_anticipation():
    """Persistence tells all, the hidden state nothing."""
    verdict = Anticipation().judge(REQUEST, {"evaluation": repeating_traces(n_samples=40)})
    assert verdict.outcome is Outcome.REFUTED
    assert any(reason.startswith("yes: k = 1") and "is not above that of persistence" in reason for reason in verdict.reasons)
    assert verdict.facts["verdict_strongest_baseline"] == "refuted"


def test_knowing_the_next_step_alone_leaves_it_open(measured):
    blind = measure(planted_traces((), n_samples=50), "linear")
    outcome, reasons = decide([measured[0], blind[1]])
    assert outcome is Outcome.INCONCLUSIVE
    assert reasons[0].startswith("yes: k = 1") and reasons[1].startswith("no: k = 2")


def test_a_pattern_that_follows_from_the_last_passes_persistence_but_not_the_strongest_baseline():
    measured = measure(rotating_traces(n_samples=50), "linear")
    assert decide(measured)[0] is Outcome.SUPPORTED
    outcome, reasons = decide(measured, strongest=True)
    assert outcome is not Outcome.SUPPORTED
    assert all("linear probe of the scores at n" in reason for reason in reasons)


def test_the_paired_differences_agree_with_the_areas(measured):
    for at in measured:
        for name in ("persistence", "persistence by head", "base rate", "rate of the step", "linear probe of the scores at n"):
            difference = at.reports["probe"].auprc.estimate - at.reports[name].auprc.estimate
            assert at.ahead[name].estimate == pytest.approx(difference)


def test_too_few_retrieving_samples_are_inconclusive():
    verdict = Anticipation().judge(REQUEST, {"evaluation": random_traces(19)})
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reasons == ("19 samples retrieve at any step; 20 are needed",)


def test_it_is_judged_on_the_units_of_correlation():
    request = Request({"name": "m"}, "standard", (64,), 3)
    assert Anticipation().plan(request) == Correlation().plan(request)
