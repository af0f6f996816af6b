"""What each strategy reached, against sums by hand."""

import json

import numpy as np
import pytest

from mechdyn.errors import InputError
from mechdyn.studies.rag import ALL_SHOWN, NEXT_SHOWN, ONE_SHOWN, rag_row
from tests.studies.rag_logs import QUESTIONS, log, logs


def test_a_row_holds_the_means_a_question():
    right = [place % 3 == 0 for place in range(30)]
    row = rag_row("oracle", QUESTIONS, logs("oracle", right))
    assert (row.em.estimate, row.f1.estimate) == pytest.approx((1 / 3, 1 / 3))
    assert (row.retrievals.estimate, row.shown.estimate, row.seconds.estimate) == (1.0, 9.0, 0.5)
    assert row.forwards.estimate == np.mean([10 * (place + 1) for place in range(30)])
    assert row.stopped == {"eos": 30}
    assert (row.f1.low < 1 / 3) and (row.f1.high > 1 / 3)


def test_shares_of_facts_count_retrievals_and_the_next_fact_is_the_first_unquoted():
    """First retrieval: the first fact is next and whole. Second: it has been quoted, the second is next and not whole. Third: none left."""
    facts = ((1.0, 0.5), (1.0, 0.9), (0.0, 0.0))
    row = rag_row("oracle", QUESTIONS, logs("oracle", [True] * 30, facts=facts))
    assert (row.all_shown.estimate, row.one_shown.estimate) == pytest.approx((0.0, 2 / 3))
    assert row.next_shown.estimate == pytest.approx(1 / 2)
    assert row.shares == {ALL_SHOWN: row.all_shown, NEXT_SHOWN: row.next_shown, ONE_SHOWN: row.one_shown}


def test_without_retrievals_shares_are_undefined():
    row = rag_row("no-context", QUESTIONS, logs("no-context", [False] * 30, facts=()))
    assert row.all_shown.n == row.next_shown.n == 0 and np.isnan(row.all_shown.estimate)
    assert json.loads(json.dumps(row.as_json(), allow_nan=False))["all_shown"]["estimate"] is None


def test_a_failed_answer_has_no_say_in_its_quality():
    found = [*logs("static", [True] * 29), log(29, "static", False, stopped="error")]
    row = rag_row("static", QUESTIONS, found)
    assert (row.f1.estimate, row.f1.n, row.stopped) == (1.0, 29, {"eos": 29, "error": 1})


def test_logs_of_other_questions_are_refused():
    with pytest.raises(InputError, match="of the same 30 questions in the same order"):
        rag_row("static", QUESTIONS, logs("static", [True] * 30)[::-1])
