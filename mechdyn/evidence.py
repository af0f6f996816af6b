"""What claims and studies say: the numbers they measured, the criteria these were put to, and the verdict that follows.

Everything here is data. Words are derived from it where they are shown, and nothing reads those words again.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from mechdyn.errors import InputError
from mechdyn.measured import LESS as LESS
from mechdyn.measured import OWN_COLUMNS, finite
from mechdyn.measured import Demand as Demand
from mechdyn.measured import Evidence as Evidence
from mechdyn.measured import Side as Side
from mechdyn.measured import few as few
from mechdyn.measured import in_words as in_words

if TYPE_CHECKING:
    from pandas import DataFrame

MIN_RETRIEVING_SAMPLES = 20
"""Fewer samples with a retrieving step than this are always inconclusive (docs/definitions.md, "Verdicts")."""
FIRST, SECOND = "first criteria (2026-11-20)", "second criteria (2026-11-21)"
"""The names of the two sets of criteria that mechdyn's own claims are put to (docs/definitions.md, "Verdicts")."""


class Outcome(StrEnum):
    """What a claim's criteria come to."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Criterion:
    """A condition in words, with the numbers that it was put to, and whether it is met; None where the numbers leave it undefined.

    `p` is one-sided, under 0.025 where an interval meets the condition (`mechdyn.stats.tails`); None where it cannot be had. `asked` has
    the same condition as numbers and bounds, all of which must be met: figures draw it. It is empty where an earlier release recorded words
    alone.
    """

    text: str
    met: bool | None
    p: float | None = None
    asked: tuple[Demand, ...] = ()

    def __str__(self) -> str:
        return f"{'undefined' if self.met is None else 'yes' if self.met else 'no'}: {self.text}"

    def as_json(self) -> dict[str, Any]:
        return {"text": self.text, "met": self.met, "p": self.p, "asked": [asked.as_json() for asked in self.asked]}

    @classmethod
    def asking(cls, text: str, *asked: Demand, p: float | None = None) -> "Criterion":
        """A condition that is met where all that is asked is; undefined where something is undefined and nothing fails."""
        met = [each.met for each in asked]
        return cls(text, False if False in met else None if None in met else True, p, asked)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Criterion":
        """What `as_json` wrote."""
        return cls(values["text"], values["met"], values.get("p"), tuple(map(Demand.from_json, values.get("asked", ()))))


Criteria: TypeAlias = tuple[Criterion, ...]


def outcome(supports: Sequence[Criterion], refutes: Sequence[Criterion]) -> Outcome:
    """What criteria come to: refuted where any that refutes is met, else supported where all that support are met, else inconclusive.

    A criterion that is undefined is not met. Without any criterion to support it a claim is not supported.
    """
    if any(criterion.met for criterion in refutes):
        return Outcome.REFUTED
    return Outcome.SUPPORTED if supports and all(criterion.met for criterion in supports) else Outcome.INCONCLUSIVE


def below(value: float | int, bound: float | int) -> bool | None:
    """Whether a value is below a bound; None where either is NaN."""
    return None if math.isnan(value) or math.isnan(bound) else value < bound


def negated(met: bool | None) -> bool | None:
    """The contrary; of what is undefined it is undefined too."""
    return None if met is None else not met


@dataclass(frozen=True)
class Verdict:
    """What the evidence says about a claim for one model.

    Attributes:
        model: the model's name.
        claim: the claim's name.
        outcome: what the criteria come to.
        evidence: every measured number.
        supports: the criteria that must all be met for the claim to be supported.
        refutes: the criteria of which one is enough to refute it.
        notes: what else is to be said: why there is no verdict, what other criteria would give.
        facts: numbers without an interval and choices, by name: how many samples there were, how many failed.
        named: the name of the criteria, for a claim that is put to more than one set of them.
        beside: verdicts of the same traces under other named criteria, such as an earlier version's.
    """

    model: str
    claim: str
    outcome: Outcome
    evidence: tuple[Evidence, ...] = ()
    supports: Criteria = ()
    refutes: Criteria = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    named: str = ""
    beside: tuple["Verdict", ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Criteria and notes in words, a line each, then those of the verdicts beside it, indented.

        It says of each criterion which way it would decide.
        """
        others = (line for other in self.beside for line in (other.headline, *(f"  {reason}" for reason in other.reasons)))
        return (*criteria_in_words(self.supports, self.refutes), *self.notes, *others)

    @property
    def headline(self) -> str:
        """The outcome with the name of its criteria, where they have one: `under the first criteria (2026-11-20): supported`."""
        return f"under the {self.named}: {self.outcome}" if self.named else str(self.outcome)

    def find(self, measure: str, **at: Any) -> Evidence | None:
        """The evidence of a measure at exactly this place; None where it was not measured."""
        return next((evidence for evidence in self.evidence if evidence.measure == measure and evidence.at == at), None)

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "claim": self.claim,
            "verdict": str(self.outcome),
            "supports": [criterion.as_json() for criterion in self.supports],
            "refutes": [criterion.as_json() for criterion in self.refutes],
            "notes": list(self.notes),
            "reasons": list(self.reasons),
            "evidence": [evidence.as_json() for evidence in self.evidence],
            "facts": {name: finite(value) for name, value in self.facts.items()},
            "named": self.named,
            "beside": [other.as_json() for other in self.beside],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Verdict":
        """What `as_json` wrote. Files of the first release have their criteria in words alone, which become the notes."""
        supports, refutes = (tuple(map(Criterion.from_json, values.get(name, ()))) for name in ("supports", "refutes"))
        notes = tuple(values["notes"] if "notes" in values else values["reasons"])
        evidence = tuple(map(Evidence.from_json, values["evidence"]))
        return cls(
            model=values["model"],
            claim=values["claim"],
            outcome=Outcome(values["verdict"]),
            evidence=evidence,
            supports=supports,
            refutes=refutes,
            notes=notes,
            facts=values["facts"],
            named=values.get("named", ""),
            beside=tuple(map(cls.from_json, values.get("beside", ()))),
        )

    def to_frame(self) -> "DataFrame":
        """A row a piece of evidence: model, claim, verdict, measure, a column for every key of any `at`, the numbers, note.

        Verdicts beside it have frames of their own. Where a piece of evidence has no such key, and no null, the cell is missing.
        """
        from pandas import DataFrame

        places = dict.fromkeys(key for evidence in self.evidence for key in evidence.at)
        rows = [
            {
                **{"model": self.model, "claim": self.claim, "verdict": str(self.outcome), "measure": evidence.measure},
                **evidence.at,
                **{name: getattr(evidence.interval, name) for name in ("estimate", "low", "high", "n", "method")},
                **{"null": math.nan if evidence.null is None else evidence.null, "note": evidence.note},
            }
            for evidence in self.evidence
        ]
        return DataFrame(rows, columns=[*OWN_COLUMNS[:4], *places, *OWN_COLUMNS[4:]])


def criteria_in_words(supports: Sequence[Criterion], refutes: Sequence[Criterion]) -> tuple[str, ...]:
    """A line for each criterion: `to support, yes: …` or `to refute, no: …`."""
    return tuple(f"to {what}, {criterion}" for what, criteria in (("support", supports), ("refute", refutes)) for criterion in criteria)


@dataclass(frozen=True)
class Table:
    """A table as data: plain text, neither laid out nor escaped. `mechdyn.reports.tables` draws it for terminal, page and Markdown.

    The first column says what a row is about; it is never left out.

    Attributes:
        title: stands above it; may be empty.
        columns: their headings, each another.
        rows: a cell of text for each column.
        caption: stands below it; may be empty.
        numbers: the columns that hold numbers; they are set to the right and never narrowed.
        droppable: the columns that a narrow terminal leaves out, the last first, and says so.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    numbers: tuple[str, ...] = ()
    droppable: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.columns or len(set(self.columns)) < len(self.columns):
            raise InputError(f"table {self.title!r} needs columns of different names, got {list(self.columns)}")
        uneven = [row for row in self.rows if len(row) != len(self.columns)]
        if uneven:
            raise InputError(
                f"table {self.title!r} needs {len(self.columns)} cells in every row, got {len(uneven[0])} in {list(uneven[0])}"
            )
        strangers = [name for name in (*self.numbers, *self.droppable) if name not in self.columns]
        if strangers or self.columns[0] in self.droppable:
            raise InputError(
                f"table {self.title!r} has the columns {list(self.columns)}: numbers and droppable name some of them, droppable not the "
                f"first, got {list(self.numbers)} and {list(self.droppable)}"
            )

    def to_frame(self) -> "DataFrame":
        """The cells as a pandas DataFrame, a column for each heading: text as it is printed, intervals and all."""
        from pandas import DataFrame

        return DataFrame(list(self.rows), columns=list(self.columns), dtype=str)
