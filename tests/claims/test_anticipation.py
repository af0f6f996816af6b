"""Anticipation is more than scores that repeat: verdicts on traces with a known answer."""

import pytest

from mechdyn.claims.anticipation import Anticipation, criteria, measure, measure_crossed, second_criteria
from mechdyn.claims.correlation import Correlation
from mechdyn.evidence import FIRST, SECOND, Outcome, outcome
from mechdyn.plans import Request
from mechdyn.tasks.niah import Niah
from tests.probes.made_up import flicker_traces, planted_traces, random_traces, repeating_traces, rotating_traces

REQUEST = Request({"name": "made up"}, Niah())


@pytest.fixture(scope="module")
def measured():
    return measure(planted_traces((1, 2), n_samples=50, n_steps=10), "linear")


def test_hidden_states_that_hold_the_steps_to_come_support_it(measured):
    assert outcome(*criteria(measured)) is Outcome.SUPPORTED
    assert outcome(*criteria(measured, strongest=True)) is Outcome.SUPPORTED


def test_scores_that_repeat_are_no_anticipation():
    """Persistence tells all, the hidden state nothing."""
    verdict = Anticipation().judge(REQUEST, {"evaluation": repeating_traces(n_samples=40, n_steps=10)})
    (first,) = verdict.beside
    assert (verdict.named, verdict.outcome, first.named, first.outcome) == (SECOND, Outcome.REFUTED, FIRST, Outcome.REFUTED)
    (refuting,) = verdict.refutes
    assert refuting.met and refuting.text.startswith("k = 1: AUPRC of the probe less that of ")
    verdict = first
    (refuting,) = verdict.refutes
    assert refuting.met and refuting.text.startswith("k = 1") and "is not above that of persistence" in refuting.text
    assert verdict.facts["verdict_strongest_baseline"] == "refuted" and "against the strongest baseline: refuted" in verdict.notes


def test_flicker_passes_the_first_criteria_and_not_the_second():
    """Heads come and go at random by rates of their own: persistence is poor at it, and nothing is anticipated."""
    traces = flicker_traces()
    supports, refutes = second_criteria(measure_crossed(traces, "auto"))
    assert outcome(supports, refutes) is not Outcome.SUPPORTED
    assert outcome(*criteria(measure(traces, "linear"))) is Outcome.SUPPORTED


def test_states_that_hold_the_steps_to_come_support_it_under_the_second_criteria():
    supports, refutes = second_criteria(measure_crossed(planted_traces((1, 2), n_samples=50, n_steps=10), "auto"))
    assert outcome(supports, refutes) is Outcome.SUPPORTED and len(supports) == 2


def test_a_pattern_that_follows_from_the_last_is_not_the_hidden_states_doing():
    supports, refutes = second_criteria(measure_crossed(rotating_traces(n_samples=50, n_steps=10), "auto"))
    assert outcome(supports, refutes) is not Outcome.SUPPORTED
    assert all("the current pattern with the current token" in criterion.text for criterion in supports)


def test_knowing_the_next_step_alone_leaves_it_open(measured):
    blind = measure(planted_traces((), n_samples=50, n_steps=10), "linear")
    supports, refutes = criteria([measured[0], blind[1]])
    assert outcome(supports, refutes) is Outcome.INCONCLUSIVE
    assert [(criterion.text[:5], criterion.met) for criterion in supports] == [("k = 1", True), ("k = 2", False)]
    assert [criterion.met for criterion in refutes] == [False]


def test_a_pattern_that_follows_from_the_last_passes_persistence_but_not_the_strongest_baseline():
    measured = measure(rotating_traces(n_samples=200), "linear")
    assert outcome(*criteria(measured)) is Outcome.SUPPORTED
    supports, refutes = criteria(measured, strongest=True)
    assert outcome(supports, refutes) is not Outcome.SUPPORTED
    assert all("linear probe of the scores at n" in criterion.text for criterion in (*supports, *refutes))


def test_the_paired_differences_agree_with_the_areas(measured):
    for at in measured:
        for name in ("persistence", "persistence by head", "base rate", "rate of the step", "linear probe of the scores at n"):
            difference = at.reports["probe"].auprc.estimate - at.reports[name].auprc.estimate
            assert at.ahead[name].estimate == pytest.approx(difference)


def test_evidence_says_offset_and_predictor_of_every_number():
    judged = Anticipation().judge(REQUEST, {"evaluation": random_traces(40)})
    (verdict,) = judged.beside
    assert {evidence.at["k"] for evidence in judged.evidence} == {1, 2}
    assert {evidence.at["k"] for evidence in verdict.evidence} == {1, 2}
    for k in (1, 2):
        probe, base, difference = (
            verdict.find("AUPRC", k=k, predictor="probe"),
            verdict.find("AUPRC", k=k, predictor="base rate"),
            verdict.find("AUPRC", k=k, predictor="probe", less="base rate"),
        )
        assert difference.interval.estimate == pytest.approx(probe.interval.estimate - base.interval.estimate)
        assert (probe.null, base.null, difference.null) == (base.interval.estimate, None, 0.0)
        assert verdict.find("top correlation", k=k, samples="held out").name == f"top correlation, k = {k}, held out"


def test_too_few_retrieving_samples_are_inconclusive():
    verdict = Anticipation().judge(REQUEST, {"evaluation": random_traces(19)})
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.notes == verdict.reasons == ("19 samples retrieve at any step; 20 are needed",)


def test_it_is_judged_on_the_units_of_correlation():
    request = Request({"name": "m"}, Niah(), "standard", (64,), seed=3)
    assert Anticipation().plan(request) == Correlation().plan(request)
