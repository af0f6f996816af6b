"""Dynamic RAG (paper, Section 5 and Table 4): do heads that a probe picks at each retrieval beat a static list?

Supported if the paired difference in F1, dynamic less static, lies wholly above 0; refuted if it lies wholly below. Anything between is
inconclusive, and so are fewer than 20 questions for which either retrieved. The criterion was fixed before any result was seen
(docs/definitions.md, "Verdicts"). Intervals are by question.

It is judged on the logs of answers, which dynamic RAG writes in place of traces, so `judge_rag` is a function and no `Claim`: `mechdyn rag`
runs it, not `mechdyn verify`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from mechdyn.claims.claim import Rules
from mechdyn.evidence import LESS, MIN_RETRIEVING_SAMPLES, Criteria, Criterion, Evidence, Verdict, below, outcome
from mechdyn.paper.parts import DYNAMIC_RAG
from mechdyn.rag.log import QuestionRecord, RagLog
from mechdyn.rag.strategies import DYNAMIC, DYNAMIC_RANDOM, FIXED_RANDOM, FULL_CONTEXT, ORACLE, STATIC
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import paired_difference
from mechdyn.stats.tails import p_above, p_below
from mechdyn.studies.rag import quality, rag_row

Logs: TypeAlias = Mapping[str, Sequence[RagLog]]
"""By condition, each in the order of the questions."""
PAIRS = (
    (DYNAMIC, STATIC),
    (DYNAMIC, ORACLE),
    (DYNAMIC, DYNAMIC_RANDOM),
    (DYNAMIC, FIXED_RANDOM),
    (FULL_CONTEXT, ORACLE),
    (ORACLE, DYNAMIC_RANDOM),
    (ORACLE, FIXED_RANDOM),
)
"""Compared question by question: the verdict's pair first."""
RULES = Rules(DYNAMIC_RAG, margins={"F1, dynamic less static, to support, above": 0.0, "the same to refute, below": 0.0})
"""What is registered before the first question is answered."""


def judge_rag(model: str, questions: Sequence[QuestionRecord], logs: Logs, facts: Mapping[str, Any] | None = None) -> Verdict:
    """The verdict with its evidence; inconclusive where dynamic or static was not run.

    Raises:
        InputError: logs of other questions.
    """
    evidence = []
    for condition, found in logs.items():
        row, place = rag_row(condition, questions, found), {"condition": condition}
        evidence += [Evidence("F1", row.f1, place), Evidence("EM", row.em, place)]
        evidence += [Evidence(name, share, place) for name, share in row.shares.items() if share.n]
    differences = {
        (one, other): paired_difference(quality(questions, logs[one], "f1"), quality(questions, logs[other], "f1"))
        for one, other in PAIRS
        if one in logs and other in logs
    }
    evidence += [Evidence("F1", difference, {"condition": one, LESS: other}, 0.0) for (one, other), difference in differences.items()]
    n_retrieving = sum(any(logs[name][place].retrievals for name in (DYNAMIC, STATIC) if name in logs) for place in range(len(questions)))
    difference = differences.get((DYNAMIC, STATIC))
    notes = _no_verdict(difference, n_retrieving)
    supports, refutes = ((), ()) if difference is None or notes else criteria(difference)
    return Verdict(
        model=model,
        claim=DYNAMIC_RAG,
        outcome=outcome(supports, refutes),
        evidence=tuple(evidence),
        supports=supports,
        refutes=refutes,
        notes=notes,
        facts={"questions": len(questions), "retrieving_questions": n_retrieving, **(facts or {})},
    )


def main_quantity(verdict: Verdict) -> Evidence | None:
    """F1, dynamic less static, by which models are compared."""
    return verdict.find("F1", **{"condition": DYNAMIC, LESS: STATIC})


def criteria(difference: Interval) -> tuple[Criteria, Criteria]:
    """Those of the module's docstring, that support and that refute."""
    said = f"F1, dynamic less static, {difference}"
    supports = Criterion(f"dynamic beats static: {said} lies wholly above 0", below(0, difference.low), p_above(difference, 0.0))
    refutes = Criterion(f"static beats dynamic: {said} lies wholly below 0", below(difference.high, 0), p_below(difference, 0.0))
    return (supports,), (refutes,)


def _no_verdict(difference: Interval | None, n_retrieving: int) -> tuple[str, ...]:
    """Why no criterion is applied; empty where they are."""
    if difference is None:
        return ("dynamic and static are compared, and one of them was not run",)
    if n_retrieving >= MIN_RETRIEVING_SAMPLES:
        return ()
    needed = f"{n_retrieving} questions were retrieved for, {MIN_RETRIEVING_SAMPLES} are needed"
    return (f"{needed}; F1, dynamic less static: {difference}",)
