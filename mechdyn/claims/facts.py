"""What became of each supporting fact: retrieved by heads, quoted in the rationale, and whether the answer came out right.

From traces alone. A fact is *retrieved* at a step where some head's score with that fact alone as the needle is above the trace's threshold
(by Eq. 2: the head pays it more than that share of its attention), and *quoted* where its sentence stands in the generated text
(`mechdyn.tasks.quotes`). The sentences of the context that a rationale quotes are the supporting facts it predicts, held against the gold
ones by the official evaluation, alone and jointly with the answer. A direct answer predicts none: there those numbers are undefined.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mechdyn.claims.claim import Evidence
from mechdyn.claims.conditions import CLEAN, DETECTION_ROLE
from mechdyn.claims.probing import ROLE
from mechdyn.errors import InputError
from mechdyn.metrics import Match, answer_match, extract_answer
from mechdyn.stats.resampling import Interval, bootstrap_mean
from mechdyn.tasks.hotpot_evaluation import fact_match, joint_match
from mechdyn.tasks.quotes import answer_stands_in, quoted_sentences
from mechdyn.traces.trace import Trace

DISTANCES = (128, 512)
"""Tokens between the first and the last fact at which the groups of questions part."""


@dataclass(frozen=True)
class FactOutcome:
    """One supporting fact of one question: its sentence, at how many steps it was retrieved, the highest score any head had for it.

    `quoted` is None where no rationale was asked for.
    """

    title: str
    index: int
    sentence: str
    retrieved_steps: int
    highest_score: float
    quoted: bool | None


@dataclass(frozen=True)
class QuestionOutcome:
    """One question: its traits in words, how its answer, its quoted facts and both agree with gold, and its facts one by one."""

    id: str
    traits: Mapping[str, str]
    answer: Match
    supporting: Match | None
    joint: Match | None
    facts: tuple[FactOutcome, ...]

    def as_json(self) -> dict[str, Any]:
        """Scores are rounded: their last digits depend on the batch they were computed in."""
        matches = {"answer": self.answer, "supporting_facts": self.supporting, "joint": self.joint}
        facts = [{**vars(fact), "highest_score": round(fact.highest_score, 4)} for fact in self.facts]
        told = {name: match._asdict() if match else None for name, match in matches.items()}
        return {"id": self.id, "traits": dict(self.traits), **told, "facts": facts}


@dataclass(frozen=True)
class FactGroup:
    """The questions that share a trait (`trait` is empty for all of them), with each measure's interval by question."""

    trait: str
    value: str
    n: int
    measures: Mapping[str, Interval]

    def as_json(self) -> dict[str, Any]:
        measures = [Evidence(name, interval).as_json() for name, interval in self.measures.items()]
        return {"trait": self.trait, "value": self.value, "n": self.n, "measures": measures}


@dataclass(frozen=True)
class FactReport:
    """Every question, and groups of them; generations that failed are counted and left out."""

    questions: tuple[QuestionOutcome, ...]
    groups: tuple[FactGroup, ...]
    n_failed: int

    def as_json(self) -> dict[str, Any]:
        groups, questions = ([row.as_json() for row in rows] for rows in (self.groups, self.questions))
        return {"failed": self.n_failed, "groups": groups, "questions": questions}


def clean_traces(traces: Mapping[str, Sequence[Trace]]) -> Sequence[Trace]:
    """The generations of a claim's run that were measured without any ablation; where the run stopped before, the detection set."""
    return next(traces[role] for role in (ROLE, CLEAN, DETECTION_ROLE) if role in traces)


def fact_report(traces: Sequence[Trace]) -> FactReport:
    """Report on questions, each generated once.

    Raises:
        InputError: a trace of a task without supporting facts.
    """
    questions = tuple(question_outcome(trace) for trace in traces if trace.stopped != "error")
    return FactReport(questions, _groups(questions), len(traces) - len(questions))


def question_outcome(trace: Trace) -> QuestionOutcome:
    """One question, from what its trace keeps.

    Raises:
        InputError: a trace of a task without supporting facts.
    """
    if trace.fact_scores is None:
        raise InputError(f"a report on facts is of questions, got a trace of the task {trace.task}, which has no supporting facts")
    gold = [(title, index) for title, index in trace.meta["facts"]]
    paragraphs = dict(trace.meta["context"])
    rationale = trace.meta["style"] == "rationale"
    quoted = quoted_sentences(trace.text, trace.meta["context"]) if rationale else None
    retrieved = (trace.fact_scores > trace.threshold).sum(dim=0).tolist()
    highest = trace.fact_scores.amax(dim=0).tolist() if trace.n_steps else [0.0] * len(gold)
    facts = tuple(
        FactOutcome(*fact, paragraphs[fact[0]][fact[1]], steps, score, None if quoted is None else fact in quoted)
        for fact, steps, score in zip(gold, retrieved, highest, strict=True)
    )
    answer = answer_match(extract_answer(trace.text), trace.answer)
    supporting = None if quoted is None else fact_match(quoted, gold)
    joint = joint_match(answer, supporting) if supporting else None
    return QuestionOutcome(str(trace.meta["id"]), _traits(trace, facts), answer, supporting, joint, facts)


def _traits(trace: Trace, facts: Sequence[FactOutcome]) -> dict[str, str]:
    """What questions are told apart by; what a data set does not say is left out."""
    traits = {name: str(trace.meta[name]) for name in ("type", "level") if trace.meta[name] is not None}
    traits["facts"] = str(len(facts))
    traits["answer in a fact"] = "yes" if answer_stands_in(trace.answer, [fact.sentence for fact in facts]) else "no"
    traits["tokens between facts"] = _distance(trace.meta["fact_tokens"])
    traits["facts retrieved"] = _share([fact.retrieved_steps > 0 for fact in facts])
    if all(fact.quoted is not None for fact in facts):
        traits["facts quoted"] = _share([bool(fact.quoted) for fact in facts])
    return traits


def _distance(spans: Sequence[Sequence[int]]) -> str:
    """Tokens from the end of the first fact to the start of the last; 0 for one fact."""
    ordered = sorted((start, end) for start, end in spans)
    between, (near, far) = max(0, ordered[-1][0] - ordered[0][1]), DISTANCES
    return f"under {near}" if between < near else f"{near} to {far - 1}" if between < far else f"{far} or more"


def _share(held: Sequence[bool]) -> str:
    return "all" if all(held) else "some" if any(held) else "none"


def _groups(questions: Sequence[QuestionOutcome]) -> tuple[FactGroup, ...]:
    """All questions, then a group for each value of each trait that tells any of them apart."""
    groups = [FactGroup("", "all questions", len(questions), _measures(questions))]
    for trait in dict.fromkeys(name for question in questions for name in question.traits):
        found: dict[str, list[QuestionOutcome]] = {}
        for question in questions:
            if trait in question.traits:
                found.setdefault(question.traits[trait], []).append(question)
        if len(found) > 1:
            groups += [FactGroup(trait, value, len(found[value]), _measures(found[value])) for value in sorted(found)]
    return tuple(groups)


def _measures(questions: Sequence[QuestionOutcome]) -> dict[str, Interval]:
    """Means over questions; facts retrieved and quoted are shares of all their facts."""
    return {
        "EM": _mean(questions, lambda question: question.answer.em),
        "F1": _mean(questions, lambda question: question.answer.f1),
        "facts retrieved": _shares(questions, lambda fact: fact.retrieved_steps > 0),
        "facts quoted": _shares(questions, lambda fact: fact.quoted),
        "sp EM": _mean(questions, lambda question: question.supporting and question.supporting.em),
        "sp F1": _mean(questions, lambda question: question.supporting and question.supporting.f1),
        "joint EM": _mean(questions, lambda question: question.joint and question.joint.em),
        "joint F1": _mean(questions, lambda question: question.joint and question.joint.f1),
    }


def _mean(questions: Sequence[QuestionOutcome], value: Callable[[QuestionOutcome], float | None]) -> Interval:
    values = [found for found in map(value, questions) if found is not None]
    return bootstrap_mean(np.array(values, dtype=np.float64), np.ones(len(values)))


def _shares(questions: Sequence[QuestionOutcome], held: Callable[[FactOutcome], bool | None]) -> Interval:
    rows = [[value for value in map(held, question.facts) if value is not None] for question in questions]
    return bootstrap_mean(np.array([sum(row) for row in rows], dtype=np.float64), np.array([len(row) for row in rows]))
