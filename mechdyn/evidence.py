"""What claims and studies say: evidence, criteria and what they come to."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mechdyn.errors import InputError
from mechdyn.stats.resampling import Interval

if TYPE_CHECKING:
    import pandas

MIN_RETRIEVING_SAMPLES = 20
"""Fewer samples with a retrieving step than this are always inconclusive (definitions, "Verdicts")."""


class Outcome(StrEnum):
    """What a claim's criteria come to."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Evidence:
    """One measured number: its interval, the samples it rests on, and what chance or a control gives where there is such a value."""

    name: str
    interval: Interval
    null: float | None = None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """NaN, which JSON has not, becomes null."""
        numbers = {"estimate": self.interval.estimate, "low": self.interval.low, "high": self.interval.high, "null": self.null}
        finite = {name: _finite(value) for name, value in numbers.items()}
        return {"name": self.name, **finite, "n": self.interval.n, "note": self.note}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Evidence":
        """What `as_json` wrote; a null bound is NaN again."""
        return cls(values["name"], Interval.from_json(values), values["null"], values["note"])


def _finite(value: Any) -> Any:
    """JSON has no NaN: null stands for it."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class Verdict:
    """What the evidence says about a claim for one model; `reasons` are the criteria in words, with the numbers that met or missed them."""

    model: str
    claim: str
    outcome: Outcome
    evidence: tuple[Evidence, ...]
    reasons: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "claim": self.claim,
            "verdict": str(self.outcome),
            "reasons": list(self.reasons),
            "evidence": [evidence.as_json() for evidence in self.evidence],
            "facts": {name: _finite(value) for name, value in self.facts.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Verdict":
        """What `as_json` wrote."""
        evidence = tuple(map(Evidence.from_json, values["evidence"]))
        outcome = Outcome(values["verdict"])
        return cls(values["model"], values["claim"], outcome, evidence, tuple(values["reasons"]), values["facts"])


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

    def to_frame(self) -> "pandas.DataFrame":
        """The cells as a pandas DataFrame, a column for each heading: text as it is printed, intervals and all."""
        import pandas

        return pandas.DataFrame(list(self.rows), columns=list(self.columns), dtype=str)
