"""Claims: what to run, and how to judge what came out.

A claim names the units it needs and judges their traces from the store. It never runs a model, so a verdict can be recomputed, or disputed,
from the store alone.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from mechdyn.evidence import Verdict
from mechdyn.plans import NO_TRACES, Plan, Request
from mechdyn.traces.trace import Trace


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
