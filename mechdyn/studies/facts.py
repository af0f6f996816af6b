"""What became of each supporting fact: retrieved by heads, quoted in the rationale, and whether the answer came out right.

From traces alone. A fact is *retrieved* at a step where some head's score with that fact alone as the needle is above the trace's threshold
(by Eq. 2: the head pays it more than that share of its attention), and *quoted* where its sentence stands in the generated text
(`mechdyn.tasks.hotpot_evaluation`). The sentences of the context that a rationale quotes are the supporting facts it predicts, held against
the gold ones by the official evaluation, alone and jointly with the answer. A direct answer predicts none; there they are undefined.

That one of a model's many heads looks at a sentence once proves little (most distractors are retrieved at some step too). So the share of
steps is told beside it, and each fact is compared with a distractor: a sentence of like length from a paragraph without a supporting fact.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from mechdyn.errors import InputError
from mechdyn.evidence import Evidence
from mechdyn.metrics import Match, answer_match, extract_answer
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import mean_interval, share_interval
from mechdyn.studies.conditions import CLEAN, DETECTION_ROLE
from mechdyn.studies.probing import ROLE
from mechdyn.tasks.hotpot_evaluation import Fact, answer_stands_in, fact_match, joint_match, quoted_sentences
from mechdyn.traces.stored import AnyTrace

DISTANCES = {"under 128 tokens": 128, "128 to 511 tokens": 512}
"""Groups of questions by the tokens between their first and last fact, and where each ends."""
_FARTHEST = "512 tokens or more"
_ORDER = (*DISTANCES, _FARTHEST, "all", "some", "none", "yes", "no")


@dataclass(frozen=True)
class FactOutcome:
    """A supporting fact, or a distractor: its sentence, at how many steps it was retrieved, the highest score that any head had for it.

    `quoted` is None where no rationale was asked for.
    """

    title: str
    index: int
    sentence: str
    n_steps: int
    retrieved_steps: int
    highest_score: float
    quoted: bool | None


@dataclass(frozen=True)
class QuestionOutcome:
    """One question: its traits in words, how its answer, its quoted facts and both agree with gold, its facts and their distractors."""

    id: str
    traits: Mapping[str, str]
    answer: Match
    supporting: Match | None
    joint: Match | None
    facts: tuple[FactOutcome, ...]
    distractors: tuple[FactOutcome, ...]

    def as_json(self) -> dict[str, Any]:
        """Scores are rounded: their last digits depend on the batch they were computed in."""
        matches = {"answer": self.answer, "supporting_facts": self.supporting, "joint": self.joint}
        told = {name: match._asdict() if match else None for name, match in matches.items()}
        sentences = {
            name: [{**vars(fact), "highest_score": round(fact.highest_score, 4)} for fact in facts]
            for name, facts in (("facts", self.facts), ("distractors", self.distractors))
        }
        return {"id": self.id, "traits": dict(self.traits), **told, **sentences}


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


def clean_traces(traces: Mapping[str, Sequence[AnyTrace]]) -> Sequence[AnyTrace]:
    """The generations of a claim's run that were measured without any ablation; where the run stopped before, the detection set.

    Of a claim with other roles, the first role without any ablation; none where every role has one.
    """
    known = [traces[role] for role in (ROLE, CLEAN, DETECTION_ROLE) if role in traces]
    others = [row for row in traces.values() if all(trace.ablated is None for trace in row)]
    return next(iter(known + others), ())


def has_facts(traces: Sequence[AnyTrace]) -> bool:
    """Whether traces are of questions whose supporting sentences are known by title and index."""
    return bool(traces) and all("facts" in trace.meta for trace in traces)


def fact_report(traces: Sequence[AnyTrace]) -> FactReport:
    """Report on questions, each generated once.

    Raises:
        InputError: a trace of a task without supporting facts.
    """
    questions = tuple(question_outcome(trace) for trace in traces if trace.stopped != "error")
    return FactReport(questions, _groups(questions), len(traces) - len(questions))


def question_outcome(trace: AnyTrace) -> QuestionOutcome:
    """One question, from what its trace keeps.

    Raises:
        InputError: a trace of a task without supporting facts.
    """
    if trace.sentence_scores is None or not has_facts([trace]):
        raise InputError(f"a report on facts is of questions, got a trace of the task {trace.task}, which has no supporting facts")
    gold, distractors = ([(title, index) for title, index in trace.meta[name]] for name in ("facts", "distractors"))
    rationale = trace.meta["style"] == "rationale"
    quoted = quoted_sentences(trace.text, trace.meta["context"]) if rationale else None
    outcomes = _sentences(trace, np.asarray(trace.sentence_scores), [*gold, *distractors], quoted)
    facts = outcomes[: len(gold)]
    answer = answer_match(extract_answer(trace.text), trace.answer)
    supporting = None if quoted is None else fact_match(quoted, gold)
    joint = joint_match(answer, supporting) if supporting else None
    return QuestionOutcome(str(trace.meta["id"]), _traits(trace, facts), answer, supporting, joint, facts, outcomes[len(gold) :])


def _sentences(
    trace: AnyTrace, scores: Float[np.ndarray, "step sentence"], named: Sequence[Fact], quoted: Sequence[Fact] | None
) -> tuple[FactOutcome, ...]:
    """What became of each sentence."""
    paragraphs = dict(trace.meta["context"])
    retrieved = (scores > trace.threshold).sum(axis=0).tolist()
    highest = scores.max(axis=0).tolist() if trace.n_steps else [0.0] * len(named)
    return tuple(
        FactOutcome(*fact, paragraphs[fact[0]][fact[1]], trace.n_steps, steps, score, None if quoted is None else fact in quoted)
        for fact, steps, score in zip(named, retrieved, highest, strict=True)
    )


def _traits(trace: AnyTrace, facts: Sequence[FactOutcome]) -> dict[str, str]:
    """What questions are told apart by; what a data set does not say is left out."""
    traits = {name: str(trace.meta[name]) for name in ("type", "level") if trace.meta[name] is not None}
    traits["facts"] = str(len(facts))
    traits["answer in a fact"] = "yes" if answer_stands_in(trace.answer, [fact.sentence for fact in facts]) else "no"
    traits["distance"] = _distance(trace.meta["fact_tokens"])
    traits["facts retrieved"] = _share([fact.retrieved_steps > 0 for fact in facts])
    if all(fact.quoted is not None for fact in facts):
        traits["facts quoted"] = _share([bool(fact.quoted) for fact in facts])
    return traits


def _distance(spans: Sequence[Sequence[int]]) -> str:
    """From the end of the first fact to the start of the last; 0 tokens for one fact."""
    ordered = sorted((start, end) for start, end in spans)
    between = max(0, ordered[-1][0] - ordered[0][1])
    return next((name for name, bound in DISTANCES.items() if between < bound), _FARTHEST)


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
            groups += [FactGroup(trait, value, len(found[value]), _measures(found[value])) for value in sorted(found, key=_place)]
    return tuple(groups)


def _place(value: str) -> tuple[int, str]:
    """Values that have an order of their own come in it, others by name."""
    return (_ORDER.index(value), "") if value in _ORDER else (-1, value)


def _measures(questions: Sequence[QuestionOutcome]) -> dict[str, Interval]:
    """Means over questions; the share of sentences retrieved at any step, or quoted, and of steps at which a sentence is retrieved."""
    facts, distractors = [question.facts for question in questions], [question.distractors for question in questions]
    return {
        "EM": _mean(questions, lambda question: question.answer.em),
        "F1": _mean(questions, lambda question: question.answer.f1),
        "facts retrieved": _share_of(facts, lambda fact: (fact.retrieved_steps > 0, 1)),
        "distractors retrieved": _share_of(distractors, lambda fact: (fact.retrieved_steps > 0, 1)),
        "fact steps": _share_of(facts, lambda fact: (fact.retrieved_steps, fact.n_steps)),
        "distractor steps": _share_of(distractors, lambda fact: (fact.retrieved_steps, fact.n_steps)),
        "facts quoted": _share_of(facts, lambda fact: (bool(fact.quoted), fact.quoted is not None)),
        "sp EM": _mean(questions, lambda question: question.supporting and question.supporting.em),
        "sp F1": _mean(questions, lambda question: question.supporting and question.supporting.f1),
        "joint EM": _mean(questions, lambda question: question.joint and question.joint.em),
        "joint F1": _mean(questions, lambda question: question.joint and question.joint.f1),
    }


def _mean(questions: Sequence[QuestionOutcome], value: Callable[[QuestionOutcome], float | None]) -> Interval:
    values = [found for found in map(value, questions) if found is not None]
    return mean_interval(np.array(values, dtype=np.float64))


def _share_of(sentences: Sequence[Sequence[FactOutcome]], counted: Callable[[FactOutcome], tuple[int, int]]) -> Interval:
    """What held, of what could have, over all sentences, those of a question together."""
    rows = np.array([np.sum([counted(fact) for fact in found], axis=0) if found else (0, 0) for found in sentences]).reshape(-1, 2)
    return share_interval(rows[:, 0], rows[:, 1])
