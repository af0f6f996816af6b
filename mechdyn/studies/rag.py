"""What dynamic RAG measured for each strategy (paper, Section 5 and Table 4), from the logs of its answers alone.

Intervals are by question.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from mechdyn.errors import InputError
from mechdyn.evidence import Evidence
from mechdyn.rag.log import QuestionRecord, RagLog
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import bootstrap_mean, mean_interval, share_interval
from mechdyn.tasks.task import answer_quality

Values: TypeAlias = Float[np.ndarray, " question"]
ALL_SHOWN, NEXT_SHOWN, ONE_SHOWN = "windows with every fact whole", "windows with the next fact whole", "windows with a fact whole"
"""Whole: every token of the fact is visible. The next fact is the first that the answer so far does not quote."""
_WHOLE = 1.0


@dataclass(frozen=True)
class RagRow:
    """One condition over all questions; a failed answer (NaN or infinite logits) is counted and has no say in EM and F1.

    `all_shown`, `next_shown` and `one_shown` are shares of retrievals, those of a question together; in `next_shown` retrievals behind the
    last fact have no say.
    """

    condition: str
    em: Interval
    f1: Interval
    retrievals: Interval
    shown: Interval
    forwards: Interval
    seconds: Interval
    all_shown: Interval
    next_shown: Interval
    one_shown: Interval
    stopped: Mapping[str, int]

    @property
    def shares(self) -> dict[str, Interval]:
        """The shares of retrievals that showed facts, by what evidence calls them."""
        return {ALL_SHOWN: self.all_shown, NEXT_SHOWN: self.next_shown, ONE_SHOWN: self.one_shown}

    def as_json(self) -> dict[str, Any]:
        names = ("em", "f1", "retrievals", "shown", "forwards", "seconds", "all_shown", "next_shown", "one_shown")
        return {"condition": self.condition, "stopped": dict(self.stopped)} | {
            name: Evidence(name, getattr(self, name)).as_json() for name in names
        }


def rag_row(condition: str, questions: Sequence[QuestionRecord], logs: Sequence[RagLog]) -> RagRow:
    """What a condition reached, per question.

    Raises:
        InputError: logs of other questions.
    """
    _require_same(questions, logs)
    facts = [[round.facts for round in log.retrievals] for log in logs]
    stops = [log.stopped for log in logs]
    return RagRow(
        condition=condition,
        em=mean_interval(quality(questions, logs, "em")),
        f1=mean_interval(quality(questions, logs, "f1")),
        retrievals=_mean(np.array([len(log.retrievals) for log in logs], dtype=np.float64)),
        shown=_mean(np.array([log.shown for log in logs], dtype=np.float64)),
        forwards=_mean(np.array([log.forwards for log in logs], dtype=np.float64)),
        seconds=_mean(np.array([log.seconds for log in logs])),
        all_shown=_share([[min(found) >= _WHOLE for found in rounds if found] for rounds in facts]),
        next_shown=_share([_next_shown(question, log) for question, log in zip(questions, logs, strict=True)]),
        one_shown=_share([[max(found) >= _WHOLE for found in rounds if found] for rounds in facts]),
        stopped={name: stops.count(name) for name in sorted(set(stops))},
    )


def quality(questions: Sequence[QuestionRecord], logs: Sequence[RagLog], metric: str) -> Values:
    """EM or F1 of every answer; NaN where the generation failed."""
    return np.array(
        [
            answer_quality(question.task, log.text, question.answer)[metric] if log.stopped != "error" else np.nan
            for question, log in zip(questions, logs, strict=True)
        ]
    )


def _next_shown(question: QuestionRecord, log: RagLog) -> list[bool]:
    """For each retrieval with a fact left to quote, whether its windows show that one whole."""
    facts = [question.prompt[start:end].strip() for start, end in question.facts]
    text, found = "", []
    for round in log.rounds:
        text += round.kept
        left = [share for fact, share in zip(facts, round.facts, strict=False) if fact not in text]
        if round.retrieved and left:
            found.append(left[0] >= _WHOLE)
        text += round.rewritten
    return found


def _mean(values: Values) -> Interval:
    """Of numbers that may be any, NaN left out."""
    return bootstrap_mean(values, (~np.isnan(values)).astype(np.int64))


def _share(hits: Sequence[Sequence[bool]]) -> Interval:
    """Pooled over retrievals; a question without any has no say."""
    return share_interval(np.array([sum(row) for row in hits]), np.array([len(row) for row in hits]))


def _require_same(questions: Sequence[QuestionRecord], logs: Sequence[RagLog]) -> None:
    if [question.sample for question in questions] != [log.sample for log in logs]:
        raise InputError(f"logs must be of the same {len(questions)} questions in the same order, got {len(logs)}; read them with the run")
