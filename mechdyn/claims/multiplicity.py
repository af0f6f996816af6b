"""Several verdicts at once: each with a p, and under Holm's correction over all of them (docs/verdicts/registered.md).

A verdict supports where all criteria that support are met, so its p for support is the largest of theirs (intersection–union test, Berger
1982); it refutes where any that refutes is met, so its p for refutation is the smallest of theirs times their number (Bonferroni). Either
way would be a verdict, so the verdict's p is twice the smaller of the two, and a verdict that supports has a p below 0.05. One that refutes
by one of several criteria may have a larger one: the claim's own criteria make nothing of their number. Holm's correction is over all
verdicts together, the inconclusive ones among them: which get a verdict must not decide how many were tried.

Some criteria have no p: those that count or name instead of measuring, and those on intervals without bounds or width. Then that side
has none, unless another criterion that refutes has one. Where neither side has a p, or no criterion was applied at all, the verdict has
none; it is counted among the tests all the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mechdyn.evidence import Criteria, Outcome, Verdict
from mechdyn.stats.holm import holm

ALPHA = 0.05
"""The chance of any false verdict among all, at most."""


@dataclass(frozen=True)
class Corrected:
    """A verdict with its p (two-sided; None where it cannot be had), the p under Holm, and the outcome that is left under it."""

    verdict: Verdict
    p: float | None
    p_holm: float | None
    outcome: Outcome
    why: str = ""
    """Why there is no p, or why the outcome is another one; empty where neither."""


def verdict_p(verdict: Verdict) -> float | None:
    """The p of the module's docstring; None where it cannot be had."""
    sides = [p for p in (_all_met(verdict.supports), _any_met(verdict.refutes)) if p is not None]
    return min(1.0, 2 * min(sides)) if sides else None


def corrected(verdicts: Sequence[Verdict], alpha: float = ALPHA) -> list[Corrected]:
    """Every verdict under Holm's correction over all of them: inconclusive where its corrected p is above `alpha`, or cannot be had."""
    values = [verdict_p(verdict) for verdict in verdicts]
    return [_corrected(*each, alpha) for each in zip(verdicts, values, holm(values), strict=True)]


def _corrected(verdict: Verdict, p: float | None, p_holm: float | None, alpha: float) -> Corrected:
    if p_holm is None:
        asked = verdict.supports or verdict.refutes
        why = "its criteria have no p" if asked else "no criterion was applied"
        return Corrected(verdict, p, p_holm, Outcome.INCONCLUSIVE, why)
    if verdict.outcome == Outcome.INCONCLUSIVE or p_holm <= alpha:
        return Corrected(verdict, p, p_holm, verdict.outcome)
    return Corrected(verdict, p, p_holm, Outcome.INCONCLUSIVE, f"corrected p above {alpha:g}")


def _all_met(criteria: Criteria) -> float | None:
    """The largest p; None of none, and where one has none."""
    known = [criterion.p for criterion in criteria if criterion.p is not None]
    return max(known) if known and len(known) == len(criteria) else None


def _any_met(criteria: Criteria) -> float | None:
    """The smallest p there is, times the number of all criteria, at most 1; None of none."""
    smallest = min((criterion.p for criterion in criteria if criterion.p is not None), default=None)
    return None if smallest is None else min(1.0, len(criteria) * smallest)
