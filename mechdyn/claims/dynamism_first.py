"""Dynamism under the first criteria (2026-11-20), which stand beside the second under their own name.

Supported if adjacent Jaccard and Jaccard with the best of the static lists (top 20, and top k with k the mean set size) both have their
upper end below 0.6, and adjacent lies wholly below retest (its upper end below retest's lower end). Refuted if adjacent or the best
static Jaccard has its lower end above 0.8, or adjacent is not below retest. Anything between is inconclusive, and so are fewer than 20
samples with a retrieving step, and whatever has no retest. The criteria were fixed before any result was seen; what they cannot tell apart
stands in docs/verdicts.md.
"""

from dataclasses import dataclass

from mechdyn.evidence import FIRST, MIN_RETRIEVING_SAMPLES, Criteria, Criterion, Demand, Evidence, Outcome, Side, Verdict, outcome
from mechdyn.plans import Request
from mechdyn.stats.overlap import DynamismTable
from mechdyn.stats.resampling import Interval
from mechdyn.tasks.task import Task

LOW, HIGH = 0.6, 0.8
CRITERION_LIST, MATCHED = "top 20", "top k = mean set size"
ADJACENT, STATIC, RETEST = "adjacent Jaccard", "Jaccard with static", "retest Jaccard"
"""What evidence calls the overlaps of Table 1; the overlap with a static list is at `list`."""


@dataclass(frozen=True)
class Overlaps:
    """The three overlaps that the criteria are put to; None where there is no static list, or no retest."""

    adjacent: Interval
    static: Interval | None
    retest: Interval | None


def first_verdict(request: Request, table: DynamismTable) -> Verdict:
    """The criteria of the module's docstring put to the measured Table 1, which is the evidence of the verdict that this stands beside."""
    best = best_static_list(table)
    static = table.static[best].retrieving if best else None
    overlaps = Overlaps(table.adjacent.retrieving, static, table.retest.retrieving if table.retest else None)
    notes = _no_verdict(table.n_retrieving_samples, overlaps, request.task)
    enough = table.n_retrieving_samples >= MIN_RETRIEVING_SAMPLES
    supports, refutes = _criteria(overlaps, best) if best and enough else ((), ())
    found = Outcome.INCONCLUSIVE if notes else outcome(supports, refutes)
    return Verdict(str(request.model["name"]), "dynamism", found, (), supports, refutes, notes, {"best_static_list": best}, named=FIRST)


def best_static_list(table: DynamismTable) -> str | None:
    """The static list of the two that the criteria go by which overlaps more; None without any."""
    candidates = [name for name in (CRITERION_LIST, MATCHED) if name in table.static]
    return max(candidates, key=lambda name: table.static[name].retrieving.estimate, default=None)


def without_retest(task: Task) -> str:
    """Why there is no verdict, where there is no retest."""
    none = "no pair with both answers correct" if task.has_retest else f"{task.name} has each sample in one context only"
    return f"there is no retest ({none}), so the verdict is inconclusive whatever else"


def _no_verdict(n_retrieving: int, overlaps: Overlaps, task: Task) -> tuple[str, ...]:
    """Why the verdict is inconclusive whatever the criteria say; empty where they decide."""
    never = () if task.has_retest else (without_retest(task),)
    if n_retrieving < MIN_RETRIEVING_SAMPLES:
        return f"{n_retrieving} samples retrieve at any step; {MIN_RETRIEVING_SAMPLES} are needed", *never
    if overlaps.static is None:
        return "no correct detection sample to rank static heads on", *never
    return () if overlaps.retest else (without_retest(task),)


def _criteria(overlaps: Overlaps, best_list: str) -> tuple[Criteria, Criteria]:
    """Those of the module's docstring, that support and that refute; without a retest the ones that need it are undefined."""
    adjacent, static, retest = overlaps.adjacent, overlaps.static, overlaps.retest
    assert static is not None  # there is a best list
    best = f"Jaccard with the best static list {static}"
    compared = f" {retest}" if retest else ""
    near, listed = Evidence(ADJACENT, adjacent), Evidence(STATIC, static, {"list": best_list})
    again = [Evidence(RETEST, retest)] if retest else []
    under = tuple(Demand(near, Side.BELOW, other) for other in again)
    over = tuple(Demand(near, Side.AT_LEAST, other, by_estimate=True) for other in again)
    supports = (
        Criterion.asking(f"adjacent Jaccard {adjacent} has its upper end below {LOW}", Demand(near, Side.BELOW, LOW)),
        Criterion.asking(f"{best} has its upper end below {LOW}", Demand(listed, Side.BELOW, LOW)),
        _undefined_alone(f"adjacent lies wholly below retest{compared}", under),
    )
    refutes = (
        Criterion.asking(f"adjacent Jaccard {adjacent} has its lower end above {HIGH}", Demand(near, Side.ABOVE, HIGH)),
        Criterion.asking(f"{best} has its lower end above {HIGH}", Demand(listed, Side.ABOVE, HIGH)),
        _undefined_alone(f"adjacent {adjacent} is not below retest{compared}", over),
    )
    return supports, refutes


def _undefined_alone(text: str, asked: tuple[Demand, ...]) -> Criterion:
    """A criterion that is undefined where there is nothing to ask."""
    return Criterion.asking(text, *asked) if asked else Criterion(text, None)
