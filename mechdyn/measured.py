"""One measured number, and what a criterion asks of it: the data that verdicts are made of and figures are drawn from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval

LESS = "less"
"""The key of `Evidence.at` under which a paired difference names what was subtracted."""
MOST_SAMPLES = 60
"""More values of single samples than this are not kept: a figure could not show them apart."""

_FORMATS = {"commit": ", commit {}", "list": " {}", LESS: " less {}", "steps": ", {} steps"}
"""How the keys of `at` are printed that their value alone would not explain; other words are printed as they are, numbers as `k = 0`."""
OWN_COLUMNS = ("model", "claim", "verdict", "measure", "estimate", "low", "high", "n", "method", "null", "note")
"""The columns of a verdict's frame that are no keys of `at`."""


@dataclass(frozen=True)
class Evidence:
    """One measured number with its interval and the number of samples that it rests on.

    Attributes:
        measure: what was measured, such as `AUPRC`.
        interval: the number, its bounds and its samples.
        at: where it was measured, as JSON values by key: `{"k": 1, "predictor": "probe"}`. Of a paired difference, `less` names what was
            subtracted, sample by sample.
        null: what chance or a control gives, where there is such a value.
        note: anything to be said beside it.
        paper: what the paper reports for the same quantity, by its model's name; empty where it reports none.
        samples: the values of single samples where the number is their mean and they are few (`few`); else empty.
    """

    measure: str
    interval: Interval
    at: Mapping[str, Any] = field(default_factory=dict)
    null: float | None = None
    note: str = ""
    paper: Mapping[str, float] = field(default_factory=dict)
    samples: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        taken = [key for key in self.at if key in OWN_COLUMNS]
        if taken:
            raise InputError(f"evidence says where it was measured under keys other than {', '.join(OWN_COLUMNS)}, got {taken[0]!r}")

    @property
    def name(self) -> str:
        """Measure and place in words, for people: `AUPRC, k = 1, probe`. Code reads `measure` and `at`."""
        return self.measure + _appended(self.at)

    def as_json(self) -> dict[str, Any]:
        """NaN, which JSON has not, becomes null."""
        numbers = {"estimate": self.interval.estimate, "low": self.interval.low, "high": self.interval.high, "null": self.null}
        as_numbers = {name: finite(value) for name, value in numbers.items()}
        about = {"n": self.interval.n, "method": self.interval.method, "note": self.note}
        beside = {"paper": dict(self.paper), "samples": list(self.samples)}
        return {"measure": self.measure, "at": dict(self.at), "name": self.name, **as_numbers, **about, **beside}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Evidence":
        """What `as_json` wrote; a null bound is NaN again. Files of the first release have a name alone, which becomes the measure."""
        measure = values["measure"] if "measure" in values else values["name"]
        paper, samples = values.get("paper", {}), tuple(values.get("samples", ()))
        return cls(measure, Interval.from_json(values), values.get("at", {}), values["null"], values["note"], paper, samples)


class Side(StrEnum):
    """Where a criterion asks a number to lie."""

    ABOVE = "above"
    BELOW = "below"
    AT_LEAST = "at least"


@dataclass(frozen=True)
class Demand:
    """A number and the bound that a criterion puts it to.

    Attributes:
        of: the number.
        side: where it is to lie: all of its interval, or with `by_estimate` the estimate alone.
        bound: a value, or another number, of which the whole interval (or the estimate) is meant.
        by_estimate: whether estimates are compared, and intervals left aside.
        negated: whether it is asked not to lie there.
        unit: what the number is counted in; numbers of one unit share an axis. Empty for shares and the like.
    """

    of: Evidence
    side: Side
    bound: "float | Evidence"
    by_estimate: bool = False
    negated: bool = False
    unit: str = ""

    @property
    def met(self) -> bool | None:
        """Whether it lies there; None where a bound that decides is not known."""
        low, high = _ends(self.of, self.by_estimate)
        least, most = _ends(self.bound, self.by_estimate)
        if any(map(math.isnan, (high, least) if self.side is Side.BELOW else (low, most))):
            return None
        lies = high < least if self.side is Side.BELOW else low > most if self.side is Side.ABOVE else low >= most
        return lies is not self.negated

    @property
    def words(self) -> str:
        """What is asked, in words: `above 0`, `not below static`."""
        bound = self.bound.name if isinstance(self.bound, Evidence) else f"{self.bound:.4g}"
        return f"{'not ' * self.negated}{self.side} {bound}"

    def as_json(self) -> dict[str, Any]:
        bound = self.bound.as_json() if isinstance(self.bound, Evidence) else finite(self.bound)
        about = {"by_estimate": self.by_estimate, "negated": self.negated, "unit": self.unit}
        return {"of": self.of.as_json(), "side": str(self.side), "bound": bound, **about}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Demand":
        """What `as_json` wrote."""
        bound = values["bound"]
        known = Evidence.from_json(bound) if isinstance(bound, Mapping) else math.nan if bound is None else float(bound)
        about = (values["by_estimate"], values["negated"], values["unit"])
        return cls(Evidence.from_json(values["of"]), Side(values["side"]), known, *about)


def few(values: Any) -> tuple[float, ...]:
    """Values of single samples as evidence keeps them: all that are numbers, none where these are more than 60."""
    kept = tuple(float(value) for value in values if math.isfinite(value))
    return kept if len(kept) <= MOST_SAMPLES else ()


def in_words(at: Mapping[str, Any]) -> str:
    """Where a number was measured, in words: `k = 1, probe`."""
    return _appended(at).lstrip(", ")


def finite(value: Any) -> Any:
    """JSON has no NaN: null stands for it."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _ends(value: float | Evidence, by_estimate: bool) -> tuple[float, float]:
    if not isinstance(value, Evidence):
        return float(value), float(value)
    if by_estimate:
        return value.interval.estimate, value.interval.estimate
    return value.interval.low, value.interval.high


def _appended(at: Mapping[str, Any]) -> str:
    """The words of a place, each with what separates it from those before it."""
    return "".join(_part(key, value) for key, value in at.items())


def _part(key: str, value: Any) -> str:
    if key in _FORMATS:
        return _FORMATS[key].format(value)
    return f", {value}" if isinstance(value, str) else f", {key} = {value}"
