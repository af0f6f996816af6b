"""The verdict under the first criteria follows those of the module on experiments with a known answer."""

import dataclasses
import json
import math

import pytest

from mechdyn.claims.irreplaceability_first import (
    CRITERION_CONTROLS,
    DIFFERENCE,
    SIZE,
    criteria,
    first_verdict,
    grid_evidence,
    grid_facts,
    measure,
)
from mechdyn.evidence import FIRST, Outcome, outcome
from mechdyn.stats.interval import Interval
from mechdyn.studies.conditions import (
    CLEAN,
    COMMITS,
    CONDITIONS,
    DYNAMIC,
    PAPER_CONTROLS,
    RANDOM_AVERAGE,
    RANDOM_LAYERS,
    STATIC_AVERAGE,
    STATIC_MATCHED,
    role,
)
from tests.studies.made_up import experiment

ALL_RIGHT_BUT_DYNAMIC = {DYNAMIC: 2}
SIZE_EXPLAINS_IT = {DYNAMIC: 2, STATIC_MATCHED: 2}


def judge(traces):
    """The verdict with the evidence and the facts that it is taken from."""
    measured = {commit: measure({condition: traces[role(condition, commit)] for condition in CONDITIONS}) for commit in COMMITS}
    verdict = first_verdict("made up", measured)
    return dataclasses.replace(verdict, evidence=grid_evidence(measured), facts={**verdict.facts, **grid_facts(measured)})


def test_only_dynamic_heads_matter_supports():
    verdict = judge(experiment(ALL_RIGHT_BUT_DYNAMIC))
    assert verdict.outcome is Outcome.SUPPORTED
    assert verdict.facts["verdict_paper_control"] == verdict.facts["verdict_commit_ablated"] == "supported"
    assert not any("leaves open" in reason for reason in verdict.reasons)


def test_size_matched_static_heads_that_hurt_as_much_refute_and_the_report_says_so():
    verdict = judge(experiment(SIZE_EXPLAINS_IT, n=80))
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.facts["verdict_paper_control"] == "supported"
    (told, told_ablated) = [note for note in verdict.notes if "leaves open" in note]
    assert "hurts more than static-average and not demonstrably more than static-matched" in told
    assert told.startswith("commit=clean") and told_ablated.startswith("commit=ablated")
    assert any(reason.startswith("under the paper's own control (average size): supported") for reason in verdict.reasons)


def test_layer_matched_random_heads_refute_as_well():
    verdict = judge(experiment({DYNAMIC: 2, RANDOM_LAYERS: 2}, n=80))
    assert verdict.outcome is Outcome.REFUTED
    assert any("more than random-average and not demonstrably more than random-layers" in reason for reason in verdict.reasons)


def test_an_ablation_without_effect_refutes():
    assert judge(experiment({}, n=80)).outcome is Outcome.REFUTED


def test_forty_samples_that_agree_do_not_show_that_the_difference_is_small():
    """Tango's upper end for no discordant pair is z² / (n + z²): below 0.05 from 73 pairs on."""
    assert judge(experiment({}, n=40)).outcome is Outcome.INCONCLUSIVE
    assert judge(experiment({}, n=72)).outcome is Outcome.INCONCLUSIVE
    assert judge(experiment({}, n=73)).outcome is Outcome.REFUTED


def test_a_small_difference_is_inconclusive():
    verdict = judge(experiment({DYNAMIC: 20, STATIC_MATCHED: 22}))
    assert verdict.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("control", PAPER_CONTROLS)
def test_the_papers_control_needs_every_control_of_average_size(control):
    verdict = judge(experiment({DYNAMIC: 2, control: 2}, n=80))
    assert verdict.outcome is Outcome.SUPPORTED
    assert verdict.facts["verdict_paper_control"] == "refuted"


def test_the_other_commit_rule_stands_beside_and_does_not_move_the_verdict():
    verdict = judge(experiment({DYNAMIC: 2, (STATIC_MATCHED, "ablated"): 2}, n=80))
    assert verdict.outcome is Outcome.SUPPORTED
    assert verdict.facts["verdict_commit_ablated"] == "refuted"
    assert "with commit=ablated: refuted" in verdict.reasons


def test_too_few_retrieving_samples_are_inconclusive():
    assert judge(experiment(ALL_RIGHT_BUT_DYNAMIC, n=19)).outcome is Outcome.INCONCLUSIVE
    verdict = judge(experiment(ALL_RIGHT_BUT_DYNAMIC, retrieves=False))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.supports == verdict.refutes == () and verdict.notes[0] == "0 samples retrieve at any step; 20 are needed"


def test_it_says_by_which_criteria_it_was_reached():
    assert judge(experiment({})).named == FIRST


def test_a_failed_sample_is_left_out_of_every_condition():
    traces = experiment(ALL_RIGHT_BUT_DYNAMIC)
    failed = traces[role(RANDOM_AVERAGE, "clean")]
    failed[7] = dataclasses.replace(failed[7], stopped="error")
    verdict = judge(traces)
    for commit, n in (("clean", 39), ("ablated", 40)):
        assert {row["n"] for row in verdict.as_json()["evidence"] if row["at"]["commit"] == commit} == {n}
    assert (verdict.facts["failed_samples"], verdict.facts["failed_samples_commit_ablated"]) == (1, 0)


def test_all_samples_failed_is_inconclusive_and_json_holds_no_nan():
    traces = experiment({})
    traces[CLEAN] = [dataclasses.replace(trace, stopped="error") for trace in traces[CLEAN]]
    verdict = judge(traces)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    json.dumps(verdict.as_json(), allow_nan=False)


def test_differences_are_paired_and_over_all_samples():
    verdict = judge(experiment({DYNAMIC: 10, STATIC_AVERAGE: 30}))
    for commit in COMMITS:
        interval = verdict.find(DIFFERENCE, condition=STATIC_AVERAGE, commit=commit).interval
        assert interval.estimate == pytest.approx(0.5)
        assert interval.n == 40 and 0.3 < interval.low < 0.5 < interval.high < 0.7
        assert verdict.find("accuracy", condition=CLEAN, commit=commit).interval.estimate == 1.0
    assert verdict.find(SIZE, condition=DYNAMIC, commit="clean").interval.estimate == 3.0


@pytest.mark.parametrize(
    ("clean", "static", "layers", "expected"),
    [
        ((0.2, 0.9), (0.1, 0.8), (0.1, 0.8), Outcome.SUPPORTED),
        ((0.0, 0.9), (0.1, 0.8), (0.1, 0.8), Outcome.INCONCLUSIVE),
        ((0.2, 0.9), (0.0, 0.8), (0.1, 0.8), Outcome.INCONCLUSIVE),
        ((0.2, 0.9), (0.1, 0.8), (-0.1, 0.8), Outcome.INCONCLUSIVE),
        ((0.2, 0.9), (-0.1, 0.04), (0.1, 0.8), Outcome.REFUTED),
        ((0.2, 0.9), (0.1, 0.8), (-0.1, 0.04), Outcome.REFUTED),
        ((0.2, 0.9), (-0.1, 0.05), (0.1, 0.8), Outcome.INCONCLUSIVE),
        ((0.2, 0.9), (0.01, 0.04), (0.1, 0.8), Outcome.REFUTED),
        ((math.nan, math.nan), (math.nan, math.nan), (math.nan, math.nan), Outcome.INCONCLUSIVE),
    ],
)
def test_criteria_at_their_edges(clean, static, layers, expected):
    measured = measure({name: row for name, row in _by_condition().items()})
    ends = {CLEAN: clean, STATIC_MATCHED: static, RANDOM_LAYERS: layers}
    differences = {name: Interval((low + high) / 2, low, high, 40) for name, (low, high) in ends.items()}
    assert outcome(*criteria(dataclasses.replace(measured, differences=differences), CRITERION_CONTROLS)) is expected


def _by_condition():
    traces = experiment({})
    return {name: traces[role(name, "clean")] for name in (CLEAN, DYNAMIC, *CRITERION_CONTROLS)}
