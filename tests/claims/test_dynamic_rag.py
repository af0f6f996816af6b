"""The verdict on dynamic RAG, from logs made up."""

import numpy as np
import pytest

from mechdyn.claims.dynamic_rag import decide, judge_rag, rag_row
from mechdyn.errors import InputError
from mechdyn.evidence import Outcome
from mechdyn.rag.log import QuestionRecord, RagLog, Round
from mechdyn.stats.resampling import Interval

FACTS = ("The mill is in Bordford.", "Bordford is old.")
PROMPT = " ".join(("Context:", *FACTS, "Other."))


def question(place):
    spans = tuple((PROMPT.index(fact), PROMPT.index(fact) + len(fact)) for fact in FACTS)
    return QuestionRecord(f"s{place}", "world", "Where?", "Bordford", PROMPT, (9, len(PROMPT)), 30, spans)


def log(place, strategy, right, facts=((1.0, 0.0),), stopped="eos"):
    rounds = tuple(Round("draft", None, "", True, ("L0H0",), (), found, f" {FACTS[index % 2]}") for index, found in enumerate(facts))
    return RagLog(
        f"s{place}", strategy, "So the answer is Bordford." if right else "no idea", (1,), stopped, 9, rounds, 10 * (place + 1), 0.5
    )


QUESTIONS = [question(place) for place in range(30)]


def logs(strategy, right, **changes):
    return [log(place, strategy, answered, **changes) for place, answered in enumerate(right)]


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


def test_without_retrievals_shares_are_undefined():
    row = rag_row("no-context", QUESTIONS, logs("no-context", [False] * 30, facts=()))
    assert row.all_shown.n == row.next_shown.n == 0 and np.isnan(row.all_shown.estimate)


def test_a_failed_answer_has_no_say_in_its_quality():
    found = [*logs("static", [True] * 29), log(29, "static", False, stopped="error")]
    row = rag_row("static", QUESTIONS, found)
    assert (row.f1.estimate, row.f1.n, row.stopped) == (1.0, 29, {"eos": 29, "error": 1})


@pytest.mark.parametrize(
    ("dynamic", "static", "outcome", "says"),
    [
        ([True] * 25 + [False] * 5, [True] * 10 + [False] * 20, Outcome.SUPPORTED, "dynamic beats static"),
        ([True] * 10 + [False] * 20, [True] * 25 + [False] * 5, Outcome.REFUTED, "dynamic does not beat static, static beats dynamic"),
        ([True, False] * 15, [False, True] * 15, Outcome.INCONCLUSIVE, "dynamic does not beat static"),
        ([True] * 30, [True] * 30, Outcome.INCONCLUSIVE, "not wholly on either side of 0"),
    ],
)
def test_the_verdict_is_that_of_the_paired_difference(dynamic, static, outcome, says):
    verdict = judge_rag("made up", QUESTIONS, {"dynamic": logs("dynamic", dynamic), "static": logs("static", static)})
    assert verdict.outcome == outcome and says in verdict.reasons[0]
    (difference,) = [evidence for evidence in verdict.evidence if evidence.name == "F1, dynamic less static"]
    assert difference.interval.estimate == pytest.approx(np.mean(dynamic) - np.mean(static))


def test_too_few_questions_that_were_retrieved_for_are_inconclusive():
    dynamic = [*logs("dynamic", [True] * 19), *logs("dynamic", [True] * 30, facts=())[19:]]
    static = logs("static", [False] * 30, facts=())
    verdict = judge_rag("made up", QUESTIONS, {"dynamic": dynamic, "static": static})
    assert verdict.outcome == Outcome.INCONCLUSIVE and "19 questions were retrieved for, 20 are needed" in verdict.reasons[0]


def test_without_the_pair_there_is_no_verdict():
    verdict = judge_rag("made up", QUESTIONS, {"oracle": logs("oracle", [True] * 30)})
    assert verdict.outcome == Outcome.INCONCLUSIVE and "one of them was not run" in verdict.reasons[0]


def test_an_interval_that_touches_zero_decides_nothing():
    assert decide(Interval(0.1, 0.0, 0.2, 50), 50)[0] == Outcome.INCONCLUSIVE
    assert decide(Interval(-0.1, -0.2, 0.0, 50), 50)[0] == Outcome.INCONCLUSIVE
    assert decide(Interval(0.1, 1e-9, 0.2, 50), 50)[0] == Outcome.SUPPORTED


def test_logs_of_other_questions_are_refused():
    with pytest.raises(InputError, match="of the same 30 questions in the same order"):
        rag_row("static", QUESTIONS, logs("static", [True] * 30)[::-1])
