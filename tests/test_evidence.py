"""Evidence, criteria and verdicts: what follows from them, and that they come back from JSON as they were."""

import itertools
import json
import math
from dataclasses import replace

import pytest

from mechdyn.errors import InputError
from mechdyn.evidence import (
    FIRST,
    SECOND,
    Criterion,
    Evidence,
    Outcome,
    Verdict,
    below,
    criteria_in_words,
    in_words,
    negated,
    outcome,
)
from mechdyn.stats.interval import Interval

NAN = math.nan
MET = (True, False, None)


def interval(estimate, n=9):
    return Interval(estimate, estimate - 0.1, estimate + 0.1, n)


VERDICT = Verdict(
    "m",
    "mine",
    Outcome.INCONCLUSIVE,
    (
        Evidence("AUPRC", interval(0.5), {"k": 0, "predictor": "probe"}, 0.25),
        Evidence("AUPRC", interval(0.125), {"k": 0, "predictor": "probe", "less": "base rate"}, 0.0),
        Evidence("accuracy", Interval(NAN, NAN, NAN, 0), {"condition": "dynamic", "commit": "clean"}, note="none answered"),
        Evidence("accuracy", interval(1.0)),
    ),
    (Criterion("it is high", True), Criterion("it is stable", None)),
    (Criterion("it is low", False),),
    ("one sample failed",),
    {"samples": 9, "sd": NAN},
)


@pytest.mark.parametrize(
    ("measure", "at", "name"),
    [
        ("accuracy", {}, "accuracy"),
        ("AUPRC", {"k": 0, "predictor": "probe"}, "AUPRC, k = 0, probe"),
        ("AUPRC", {"k": 1, "predictor": "probe", "less": "persistence"}, "AUPRC, k = 1, probe less persistence"),
        ("F1", {"condition": "dynamic", "less": "static"}, "F1, dynamic less static"),
        ("accuracy", {"condition": "static-matched", "commit": "ablated"}, "accuracy, static-matched, commit ablated"),
        ("Jaccard with static", {"list": "top 20", "steps": "all"}, "Jaccard with static top 20, all steps"),
        ("top correlation", {"k": 2, "samples": "held out"}, "top correlation, k = 2, held out"),
        ("recall", {"depth": 0.5, "own": "a {brace}"}, "recall, depth = 0.5, a {brace}"),
    ],
)
def test_a_name_says_measure_and_place(measure, at, name):
    assert Evidence(measure, interval(0.5), at).name == name
    assert in_words(at) == name.removeprefix(measure).lstrip(", ")


def test_a_place_has_no_key_that_a_table_has_of_its_own():
    with pytest.raises(InputError, match=r"under keys other than model, claim, .*, got 'n'"):
        Evidence("accuracy", interval(0.5), {"k": 0, "n": 3})


def test_json_holds_everything_and_comes_back():
    text = json.dumps(VERDICT.as_json(), allow_nan=False)
    back = Verdict.from_json(json.loads(text))
    assert back.as_json() == VERDICT.as_json()
    assert (back.supports, back.refutes, back.notes) == (VERDICT.supports, VERDICT.refutes, VERDICT.notes)
    assert back.evidence[:2] == VERDICT.evidence[:2] and math.isnan(back.evidence[2].interval.low)
    (first, *_) = json.loads(text)["evidence"]
    assert list(first) == ["measure", "at", "name", "estimate", "low", "high", "null", "n", "method", "note", "paper", "samples"]
    assert (first["at"], first["name"]) == ({"k": 0, "predictor": "probe"}, "AUPRC, k = 0, probe")


def test_a_verdict_of_the_first_release_is_read():
    row = {"name": "AUPRC, k = 0: probe", "estimate": 0.5, "low": None, "high": None, "null": None, "n": 1, "note": ""}
    reasons = ["yes: k = 0: it is high", "no: k = 0: it is low"]
    old = {"model": "m", "claim": "correlation", "verdict": "supported", "reasons": reasons, "evidence": [row], "facts": {"samples": 1}}
    verdict = Verdict.from_json(old)
    (evidence,) = verdict.evidence
    assert (evidence.measure, evidence.at, evidence.name) == ("AUPRC, k = 0: probe", {}, "AUPRC, k = 0: probe")
    assert verdict.supports == verdict.refutes == () and verdict.notes == verdict.reasons == tuple(reasons)


def test_the_outcome_of_every_combination():
    for supports in itertools.product(MET, repeat=2):
        for refutes in itertools.product(MET, repeat=2):
            found = outcome([Criterion("", met) for met in supports], [Criterion("", met) for met in refutes])
            if True in refutes:
                assert found is Outcome.REFUTED
            else:
                assert found is (Outcome.SUPPORTED if supports == (True, True) else Outcome.INCONCLUSIVE)


def test_without_criteria_nothing_is_supported():
    assert outcome([], []) is Outcome.INCONCLUSIVE
    assert outcome([], [Criterion("", False)]) is Outcome.INCONCLUSIVE
    assert outcome([Criterion("", True)], []) is Outcome.SUPPORTED


def test_what_is_undefined_stays_undefined():
    assert (below(1, 2.0), below(2.0, 2), below(NAN, 1.0), below(1.0, NAN)) == (True, False, None, None)
    assert [negated(met) for met in MET] == [False, True, None]


def test_reasons_say_what_supports_and_what_refutes():
    assert VERDICT.reasons == (
        "to support, yes: it is high",
        "to support, undefined: it is stable",
        "to refute, no: it is low",
        "one sample failed",
    )
    assert criteria_in_words(VERDICT.supports, VERDICT.refutes) == VERDICT.reasons[:3]


def test_a_verdict_under_other_criteria_stands_beside_and_comes_back():
    first = replace(VERDICT, outcome=Outcome.SUPPORTED, named=FIRST)
    verdict = replace(VERDICT, named=SECOND, beside=(first,))
    back = Verdict.from_json(json.loads(json.dumps(verdict.as_json(), allow_nan=False)))
    assert back.as_json() == verdict.as_json() and [other.named for other in back.beside] == [FIRST]
    own, others = verdict.reasons[: len(VERDICT.reasons)], verdict.reasons[len(VERDICT.reasons) :]
    assert own == VERDICT.reasons
    assert others == (f"under the {FIRST}: supported", *(f"  {line}" for line in VERDICT.reasons))
    assert len(verdict.to_frame()) == len(VERDICT.evidence)


def test_evidence_is_found_by_measure_and_exact_place():
    assert VERDICT.find("AUPRC", predictor="probe", k=0) is VERDICT.evidence[0]
    assert VERDICT.find("AUPRC", k=0) is None and VERDICT.find("accuracy") is VERDICT.evidence[3]


def test_a_frame_has_a_row_a_piece_of_evidence_and_a_column_a_key():
    frame = VERDICT.to_frame()
    places = ["k", "predictor", "less", "condition", "commit"]
    numbers = ["estimate", "low", "high", "n", "method", "null"]
    assert list(frame.columns) == ["model", "claim", "verdict", "measure", *places, *numbers, "note"]
    assert len(frame) == len(VERDICT.evidence) and set(frame["verdict"]) == {"inconclusive"}
    for (_, row), evidence in zip(frame.iterrows(), VERDICT.evidence, strict=True):
        assert {key: row[key] for key in places if not _missing(row[key])} == evidence.at
        assert (
            row["measure"] == evidence.measure
            and row["n"] == evidence.interval.n
            and row["method"] == evidence.interval.method
            and row["note"] == evidence.note
        )
        assert row["estimate"] == evidence.interval.estimate or math.isnan(evidence.interval.estimate)
        assert row["null"] == evidence.null or (evidence.null is None and math.isnan(row["null"]))
    # The question that names had to be parsed for: AUPRC at k, no differences.
    assert list(frame[(frame.measure == "AUPRC") & (frame.k == 0) & frame.less.isna()].estimate) == [0.5]


def test_a_frame_without_evidence_has_columns_and_no_row():
    frame = Verdict("m", "mine", Outcome.INCONCLUSIVE).to_frame()
    assert len(frame) == 0 and list(frame.columns)[:4] == ["model", "claim", "verdict", "measure"]


def _missing(value):
    return value is None or (isinstance(value, float) and math.isnan(value))
