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
from mechdyn.evidence import LESS, MIN_RETRIEVING_SAMPLES, Criteria, Criterion, Demand, Evidence, Side, Verdict, few, outcome
from mechdyn.paper.parts import DYNAMIC_RAG
from mechdyn.paper.values import TABLE_4
from mechdyn.rag.log import QuestionRecord, RagLog
from mechdyn.rag.strategies import DYNAMIC, DYNAMIC_RANDOM, FIXED_RANDOM, FULL_CONTEXT, ORACLE, STATIC
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import paired_difference
from mechdyn.stats.tails import p_above, p_below
from mechdyn.studies.rag import quality, rag_row

Logs: TypeAlias = Mapping[str, Sequence[RagLog]]
"""By condition, each in the order of the questions."""
_TABLE_4 = {DYNAMIC: "dynamic", STATIC: "static", DYNAMIC_RANDOM: "dynamic_random", FIXED_RANDOM: "fixed_random"}
"""The conditions that the paper has, as the fields of `PaperRag`."""
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
        known = {name: getattr(paper, _TABLE_4[condition]) for name, paper in TABLE_4.items()} if condition in _TABLE_4 else {}
        em, f1 = ({name: pair[index] for name, pair in known.items()} for index in (0, 1))
        evidence += [Evidence("F1", row.f1, place, paper=f1), Evidence("EM", row.em, place, paper=em)]
        evidence += [Evidence(name, share, place) for name, share in row.shares.items() if share.n]
    differences = {(one, other): _difference(questions, logs, one, other) for one, other in PAIRS if one in logs and other in logs}
    evidence += differences.values()
    n_retrieving = sum(any(logs[name][place].retrievals for name in (DYNAMIC, STATIC) if name in logs) for place in range(len(questions)))
    difference = differences.get((DYNAMIC, STATIC))
    notes = _no_verdict(difference.interval if difference else None, n_retrieving)
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


def criteria(found: Evidence) -> tuple[Criteria, Criteria]:
    """Those of the module's docstring, that support and that refute, put to F1 of dynamic less static."""
    said = f"F1, dynamic less static, {found.interval}"
    above, under = Demand(found, Side.ABOVE, 0.0), Demand(found, Side.BELOW, 0.0)
    supports = Criterion.asking(f"dynamic beats static: {said} lies wholly above 0", above, p=p_above(found.interval, 0.0))
    refutes = Criterion.asking(f"static beats dynamic: {said} lies wholly below 0", under, p=p_below(found.interval, 0.0))
    return (supports,), (refutes,)


def _difference(questions: Sequence[QuestionRecord], logs: Logs, one: str, other: str) -> Evidence:
    """F1 of one condition less that of another by question, with the paper's own where Table 4 has both."""
    first, second = quality(questions, logs[one], "f1"), quality(questions, logs[other], "f1")
    rows = {name: (getattr(row, _TABLE_4.get(one, ""), None), getattr(row, _TABLE_4.get(other, ""), None)) for name, row in TABLE_4.items()}
    paper = {name: a[1] - b[1] for name, (a, b) in rows.items() if a and b}
    place = {"condition": one, LESS: other}
    return Evidence("F1", paired_difference(first, second), place, 0.0, paper=paper, samples=few(first - second))


def _no_verdict(difference: Interval | None, n_retrieving: int) -> tuple[str, ...]:
    """Why no criterion is applied; empty where they are."""
    if difference is None:
        return ("dynamic and static are compared, and one of them was not run",)
    if n_retrieving >= MIN_RETRIEVING_SAMPLES:
        return ()
    needed = f"{n_retrieving} questions were retrieved for, {MIN_RETRIEVING_SAMPLES} are needed"
    return (f"{needed}; F1, dynamic less static: {difference}",)
