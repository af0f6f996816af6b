"""The verdict on dynamic RAG, from logs made up."""

import numpy as np
import pytest

from mechdyn.claims.dynamic_rag import criteria, judge_rag
from mechdyn.evidence import Evidence, Outcome, outcome
from mechdyn.stats.interval import Interval
from tests.studies.rag_logs import QUESTIONS, logs


@pytest.mark.parametrize(
    ("dynamic", "static", "expected", "met"),
    [
        ([True] * 25 + [False] * 5, [True] * 10 + [False] * 20, Outcome.SUPPORTED, (True, False)),
        ([True] * 10 + [False] * 20, [True] * 25 + [False] * 5, Outcome.REFUTED, (False, True)),
        ([True, False] * 15, [False, True] * 15, Outcome.INCONCLUSIVE, (False, False)),
        ([True] * 30, [True] * 30, Outcome.INCONCLUSIVE, (False, False)),
    ],
)
def test_the_verdict_is_that_of_the_paired_difference(dynamic, static, expected, met):
    verdict = judge_rag("made up", QUESTIONS, {"dynamic": logs("dynamic", dynamic), "static": logs("static", static)})
    assert verdict.outcome == expected
    assert tuple(criterion.met for criterion in (*verdict.supports, *verdict.refutes)) == met
    difference = verdict.find("F1", condition="dynamic", less="static")
    assert difference.name == "F1, dynamic less static" and difference.null == 0
    assert difference.interval.estimate == pytest.approx(np.mean(dynamic) - np.mean(static))


def test_too_few_questions_that_were_retrieved_for_are_inconclusive():
    dynamic = [*logs("dynamic", [True] * 19), *logs("dynamic", [True] * 30, facts=())[19:]]
    static = logs("static", [False] * 30, facts=())
    verdict = judge_rag("made up", QUESTIONS, {"dynamic": dynamic, "static": static})
    assert verdict.outcome == Outcome.INCONCLUSIVE and "19 questions were retrieved for, 20 are needed" in verdict.notes[0]
    assert verdict.supports == verdict.refutes == ()


def test_without_the_pair_there_is_no_verdict():
    verdict = judge_rag("made up", QUESTIONS, {"oracle": logs("oracle", [True] * 30)})
    assert verdict.outcome == Outcome.INCONCLUSIVE and "one of them was not run" in verdict.notes[0]


def test_an_interval_that_touches_zero_decides_nothing():
    assert outcome(*criteria(Evidence("F1", Interval(0.1, 0.0, 0.2, 50)))) == Outcome.INCONCLUSIVE
    assert outcome(*criteria(Evidence("F1", Interval(-0.1, -0.2, 0.0, 50)))) == Outcome.INCONCLUSIVE
    assert outcome(*criteria(Evidence("F1", Interval(0.1, 1e-9, 0.2, 50)))) == Outcome.SUPPORTED
    assert outcome(*criteria(Evidence("F1", Interval(-0.1, -0.2, -1e-9, 50)))) == Outcome.REFUTED


def test_an_interval_without_bounds_leaves_both_undefined():
    unknown = criteria(Evidence("F1", Interval(0.1, float("nan"), float("nan"), 50)))
    assert [criterion.met for (criterion,) in unknown] == [None, None] and outcome(*unknown) == Outcome.INCONCLUSIVE
