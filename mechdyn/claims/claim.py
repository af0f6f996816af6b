"""Claims: what to run, how to judge what came out, and where a claim of one's own goes in.

A claim names the units it needs and judges their traces from the store. It never runs a model, so a verdict can be recomputed, or disputed,
from the store alone.

A claim is one file: a frozen dataclass with the members of `Claim`, under `@claim`. A file in `mechdyn/claims` is found by itself, one of
another package by its entry point (`mechdyn.registry`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from mechdyn.errors import InputError
from mechdyn.evidence import Verdict
from mechdyn.paper.parts import OTHER_PARTS, PaperPart
from mechdyn.plans import NO_TRACES, Plan, Request
from mechdyn.registry import Registry
from mechdyn.traces.trace import Trace

OF_LISTS = {f"wu2024.{name}": name for name in ("sparse", "intrinsic", "universal")}
"""Properties of lists of heads, which no run of a model shows (`mechdyn.studies.wu2024`)."""


@runtime_checkable
class Claim(Protocol):
    """What a claim has. A class that inherits from this need not give `paper` and `parts`."""

    @property
    def name(self) -> str:
        """What the command line calls it."""
        ...

    @property
    def paper(self) -> str:
        """The part of the paper it is about, such as `3.2, Table 1`; empty where the paper has nothing of it."""
        return ""

    @property
    def parts(self) -> tuple[PaperPart, ...]:
        """The paper's tables and figures that a verdict answers; a report lists those that were not run."""
        return ()

    def plan(self, request: Request, traces: Mapping[str, Sequence[Trace]] = NO_TRACES) -> Plan:
        """The units of every role that can be named now, given the traces of the roles that were run so far.

        It is asked again after each run until it names no new role; the units of a role never change.
        """
        ...

    def judge(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> Verdict:
        """The verdict, from the traces of each role in the plan's order."""
        ...


@dataclass(frozen=True)
class Rules:
    """What a claim is judged by, as far as it says so: it is registered before the first trace (docs/verdicts/registered.md).

    Attributes:
        claim: the claim's name.
        named: the name of its headline criteria, from `named` of its class; empty where it says none.
        margins: the numbers that its criteria are put to, by what they bound, from `margins` of its class; empty where it says none.
        options: the fields of the claim itself, such as `n_resamples`.
    """

    claim: str
    named: str = ""
    margins: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


Thing = TypeVar("Thing")
CLAIMS: Registry[Any] = Registry("claim", "mechdyn.claims")
_ABOUT = ("name", "paper", "parts", "named", "margins")
"""Fields of a claim that are no options of how it judges."""


def claim(thing: Thing) -> Thing:
    """Register a claim under its `name`, as a decorator of its class or called with an object: `mechdyn verify NAME` takes it then.

    Args:
        thing: a claim, or a class that makes one without arguments.

    Raises:
        InputError: something that lacks a member of `Claim`, or a name that another claim has.
    """
    CLAIMS.register(_made(thing).name, thing)
    return thing


def get_claim(name: str) -> Claim:
    """A claim by name.

    Raises:
        InputError: no claim has that name; of a property of lists the message has the command that judges it.
    """
    if name in OF_LISTS and name not in CLAIMS.names():
        raise InputError(f"{name} is judged by lists of heads alone, no model is run: mechdyn heads verify {OF_LISTS[name]} FILE…")
    return _made(CLAIMS.get(name))


def rules_of(claim: Claim) -> Rules:
    """What a claim says that it is judged by; a claim need say nothing."""
    own: list[str] = [item.name for item in fields(claim)] if is_dataclass(claim) else []
    options = {name: getattr(claim, name) for name in own if name not in _ABOUT}
    as_json = json.loads(json.dumps(options, default=str))
    return Rules(claim.name, str(getattr(claim, "named", "")), dict(getattr(claim, "margins", {})), as_json)


def paper_parts() -> tuple[PaperPart, ...]:
    """Every table and figure of the paper with what runs it: those that claims answer, in the paper's order, then the others."""
    claims = sorted(map(get_claim, CLAIMS.names()), key=lambda each: (not each.paper, each.paper, each.name))
    return (*(part for each in claims for part in each.parts), *OTHER_PARTS)


def _made(thing: Any) -> Claim:
    """A claim itself, or one made by its class."""
    try:
        made = thing() if isinstance(thing, type) else thing
    except TypeError as error:
        raise InputError(
            f"a claim's class is called without arguments, and {thing} cannot be ({error}); give its fields defaults"
        ) from error
    lacking = [member for member in ("name", "paper", "parts", "plan", "judge") if not hasattr(made, member)]
    if lacking:
        raise InputError(f"a claim has name, paper, parts, plan and judge; {thing} lacks {', '.join(lacking)}")
    return made
