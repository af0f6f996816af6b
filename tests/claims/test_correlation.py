"""The verdict follows the criteria of the module on traces with a known answer."""

from dataclasses import replace

import pytest
import torch

from mechdyn.claims.correlation import OFFSETS, Correlation, criteria, measure, measure_crossed, second_criteria
from mechdyn.errors import InputError
from mechdyn.evidence import FIRST, SECOND, Outcome, outcome
from mechdyn.paper.values import FIGURE_4_TOP_1, TABLE_2, TABLE_3
from mechdyn.plans import Request
from mechdyn.studies.probing import PRESETS, PROBES
from mechdyn.tasks.niah import Niah
from mechdyn.tasks.world import WorldTask
from tests.probes.made_up import by_step_traces, planted_traces, random_traces

REQUEST = Request({"name": "made up"}, Niah())


@pytest.fixture(scope="module")
def informed():
    return planted_traces((0, 1, 2), n_samples=50, n_steps=10)


@pytest.fixture(scope="module")
def measured(informed):
    return measure(informed, "linear")


@pytest.fixture(scope="module")
def measured_blind():
    return measure(planted_traces((), n_samples=50, n_steps=10), "linear")


@pytest.fixture(scope="module")
def verdict(informed):
    return Correlation().judge(REQUEST, {"evaluation": informed})


def test_hidden_states_that_decide_the_heads_of_three_steps_support_it(verdict):
    (first,) = verdict.beside
    assert (verdict.named, first.named) == (SECOND, FIRST)
    for found, n_compared in ((verdict, 4), (first, 3)):
        assert found.outcome is Outcome.SUPPORTED
        assert [criterion.met for criterion in found.supports] == [True] * n_compared * len(OFFSETS)
        assert [(criterion.text[:5], criterion.met) for criterion in found.refutes] == [("k = 0", False)] * n_compared


def test_every_sample_is_measured_by_what_was_fitted_on_others(verdict):
    for k in OFFSETS:
        probe, base = (verdict.find("AUPRC", k=k, predictor=name).interval for name in ("probe", "base rate"))
        ahead = verdict.find("AUPRC", k=k, predictor="probe", less="base rate").interval
        assert probe.n == base.n == ahead.n == 50 and ahead.estimate == pytest.approx(probe.estimate - base.estimate)


def test_what_the_step_alone_explains_passes_the_first_criteria_and_not_the_second():
    """Heads and hidden states both follow the step's number; within a step they are strangers. A needle read to its end is such a thing."""
    traces = by_step_traces(n_samples=60)
    supports, refutes = second_criteria(measure_crossed(traces, "auto"))
    assert outcome(supports, refutes) is Outcome.REFUTED
    at_zero = [criterion for criterion in supports if criterion.text.startswith("k = 0")]
    assert [criterion.met for criterion in at_zero] == [False, True, False, True]
    first = measure(traces, "linear")
    assert all(met for at in first for what, other, met in at.compared() if "AUPRC" in what)


def test_the_paper_stands_beside_what_was_measured(verdict):
    (verdict,) = verdict.beside
    for k, value in FIGURE_4_TOP_1.items():
        assert verdict.find("top correlation", k=k, samples="in sample").note == f"paper: {value}"
    low, high = min(row.f1 for row in TABLE_2.values()), max(row.f1 for row in TABLE_2.values())
    assert verdict.find("f1", k=0, predictor="probe").note == f"paper: {low:.3g} to {high:.3g}"
    assert verdict.facts["retrieving_samples"] == 50


def test_hidden_states_that_know_nothing_refute_it(measured_blind):
    supports, refutes = second_criteria(measure_crossed(planted_traces((), n_samples=50, n_steps=10), "auto"))
    assert outcome(supports, refutes) is Outcome.REFUTED
    assert not any(criterion.met for criterion in supports if criterion.text.startswith("k = 0"))
    supports, refutes = criteria(measured_blind)
    assert outcome(supports, refutes) is Outcome.REFUTED
    assert [not criterion.met for criterion in supports[:3]] == [criterion.met for criterion in refutes]


def test_either_missed_at_offset_0_refutes(measured, measured_blind):
    """The correlation, or the probe, as if the hidden state knew nothing."""
    for at_zero in (replace(measured[0], cca=measured_blind[0].cca), replace(measured[0], reports=measured_blind[0].reports)):
        assert outcome(*criteria([at_zero, *measured[1:]])) is Outcome.REFUTED


def test_hidden_states_that_know_their_own_step_alone_leave_it_open(measured, measured_blind):
    supports, refutes = criteria([measured[0], *measured_blind[1:]])
    assert outcome(supports, refutes) is Outcome.INCONCLUSIVE
    assert all(criterion.met for criterion in supports if "k = 0" in criterion.text)
    assert any(criterion.met is False for criterion in supports if "k = 2" in criterion.text)
    assert not any(criterion.met for criterion in refutes)


def test_an_interval_without_bounds_decides_nothing(measured):
    report = measured[0].reports["probe"]
    unknown = replace(report, auprc=replace(report.auprc, low=float("nan"), high=float("nan")))
    supports, refutes = criteria([replace(measured[0], reports={**measured[0].reports, "probe": unknown}), *measured[1:]])
    assert outcome(supports, refutes) is Outcome.INCONCLUSIVE
    assert [sum(criterion.met is None for criterion in found) for found in (supports, refutes)] == [2, 2]


def test_graded_scores_get_a_regressor_beside_and_no_notes_of_the_needle_task(informed):
    graded = [replace(trace, retrieval_scores=trace.retrieval_scores * 0.8 + 0.1, threshold=0.5) for trace in informed]
    (verdict,) = Correlation().judge(Request({"name": "made up"}, WorldTask()), {"evaluation": graded}).beside
    assert verdict.outcome is Outcome.SUPPORTED
    low, high = min(row.r2 for row in TABLE_3.values()), max(row.r2 for row in TABLE_3.values())
    assert verdict.find("r2", k=0, predictor="probe").note == f"paper: {low:.3g} to {high:.3g}"
    assert verdict.find("f1", k=0, predictor="probe").note == verdict.find("top correlation", k=0, samples="in sample").note == ""


def test_too_few_retrieving_samples_are_inconclusive(informed):
    silent = [replace(trace, retrieval_scores=torch.zeros_like(trace.retrieval_scores)) for trace in informed[19:]]
    verdict = Correlation().judge(REQUEST, {"evaluation": informed[:19] + silent})
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.notes == verdict.reasons == ("19 samples retrieve at any step; 20 are needed",)


def test_failed_samples_are_left_out_and_counted(informed):
    failed = [replace(trace, stopped="error") for trace in informed[:40]]
    verdict = Correlation().judge(REQUEST, {"evaluation": failed + informed[40:]})
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.facts == {"samples": 10, "left_out_samples": 40, "retrieving_samples": 10}


def test_samples_that_are_too_short_say_so():
    verdict = Correlation().judge(REQUEST, {"evaluation": [_first_steps(trace, 2) for trace in random_traces(40)]})
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "offset 2" in verdict.notes[0] and "offset 2" in verdict.beside[0].notes[0]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_its_probe_and_units_of_its_own_seeds(preset):
    assert preset in PROBES
    units = Correlation().plan(Request({"name": "m"}, Niah(), preset)).roles["evaluation"]
    assert len({unit.sample["seed"] for unit in units}) == len(units) >= 200


def test_an_unknown_preset_is_named():
    with pytest.raises(InputError, match="unknown preset 'huge'; give one of quick, standard, paper"):
        Correlation().plan(Request({"name": "m"}, Niah(), "huge"))


def _first_steps(trace, n):
    short = {name: getattr(trace, name)[:n] for name in ("tokens", "token_texts", "retrieval_scores", "hidden")}
    return replace(trace, **short)
