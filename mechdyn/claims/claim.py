"""Claims: what to run, and how to judge what came out.

A claim names the units it needs and judges their traces from the store. It never runs a model, so a verdict can be recomputed, or disputed,
from the store alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from mechdyn.stats.resampling import Interval
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import Unit

NO_TRACES: Mapping[str, Sequence[Trace]] = MappingProxyType({})
"""What has been run before anything was."""
MIN_RETRIEVING_SAMPLES = 20
"""Fewer samples with a retrieving step than this are always inconclusive (DEFINITIONS, Verdicts)."""


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
class Plan:
    """The units of a claim by role, each role's in an order that `judge` relies on."""

    roles: Mapping[str, tuple[Unit, ...]]

    @property
    def units(self) -> tuple[Unit, ...]:
        """Every unit once."""
        unique = {unit.key: unit for units in self.roles.values() for unit in units}
        return tuple(unique.values())


@dataclass(frozen=True)
class Request:
    """What a plan depends on: the model's identity and what the user chose.

    `style`, `data`, `data_digest` and `questions` are for question tasks: how the answer is asked for, the file, a hash of its items, the
    ids of those that the model can hold. `score` takes the place of the task's own.
    """

    model: Mapping[str, Any]
    preset: str = "quick"
    lengths: tuple[int, ...] = ()
    seed: int = 0
    haystack: str | None = None
    haystack_digest: str | None = None
    task: str = "niah"
    style: str = "rationale"
    data: str | None = None
    data_digest: str | None = None
    questions: tuple[str, ...] = ()
    score: Mapping[str, Any] | None = None


@runtime_checkable
class Claim(Protocol):
    """One file under `claims` each."""

    @property
    def name(self) -> str:
        """What the command line calls it."""
        ...

    def plan(self, request: Request, traces: Mapping[str, Sequence[Trace]] = NO_TRACES) -> Plan:
        """The units of every role that can be named now, given the traces of the roles that were run so far.

        It is asked again after each run until it names no new role; the units of a role never change.
        """
        ...

    def judge(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> Verdict:
        """The verdict, from the traces of each role in the plan's order."""
        ...
