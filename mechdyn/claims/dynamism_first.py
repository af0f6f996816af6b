"""Dynamism under the first criteria (2026-11-20), which stand beside the second under their own name.

Supported if adjacent Jaccard and Jaccard with the best of the static lists (top 20, and top k with k the mean set size) both have their
upper end below 0.6, and adjacent lies wholly below retest (its upper end below retest's lower end). Refuted if adjacent or the best
static Jaccard has its lower end above 0.8, or adjacent is not below retest. Anything between is inconclusive, and so are fewer than 20
samples with a retrieving step, and whatever has no retest. The criteria were fixed before any result was seen; what they cannot tell apart
stands in docs/verdicts.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mechdyn.evidence import FIRST, MIN_RETRIEVING_SAMPLES, Criteria, Criterion, Demand, Evidence, Outcome, Side, Verdict, outcome
from mechdyn.heads import HeadSet
from mechdyn.plans import Request
from mechdyn.stats.interval import Interval
from mechdyn.stats.labels import Clusters
from mechdyn.stats.overlap import DynamismTable, Jaccard, adjacent_jaccard, retest_jaccard, static_jaccard
from mechdyn.tasks.task import Task
from mechdyn.traces.trace import Trace

LOW, HIGH = 0.6, 0.8
CRITERION_LIST, MATCHED = "top 20", "top k = mean set size"
_LISTS = (CRITERION_LIST, MATCHED)
ADJACENT, STATIC, RETEST = "adjacent Jaccard", "Jaccard with static", "retest Jaccard"
"""What evidence calls the overlaps of Table 1; the overlap with a static list is at `list`."""


@dataclass(frozen=True)
class Overlaps:
    """The three overlaps that the criteria are put to; None where there is no static list, or no retest.

    `static` is of `best_list`, the list of the two that overlaps more; `n_retrieving` counts the samples that retrieve at a step.
    """

    adjacent: Interval
    static: Interval | None
    retest: Interval | None
    best_list: str | None
    n_retrieving: int

    @classmethod
    def of(cls, table: DynamismTable) -> "Overlaps":
        """Those of the whole Table 1."""
        return _put_together(table.adjacent, table.static, table.retest, table.n_retrieving_samples)


def overlaps(
    evaluation: Sequence[Trace],
    statics: Mapping[str, HeadSet],
    pairs: Sequence[tuple[Trace, Trace]],
    clusters: tuple[Clusters, Clusters | None],
    *,
    n_resamples: int = 2000,
) -> Overlaps:
    """The same without the rest of Table 1; `clusters` are of the evaluation samples and of the retest pairs."""
    of_samples, of_pairs = clusters
    listed = {name: heads for name, heads in statics.items() if name in _LISTS}
    return _put_together(
        adjacent_jaccard(evaluation, of_samples, n_resamples=n_resamples),
        {name: static_jaccard(evaluation, heads, of_samples, n_resamples=n_resamples) for name, heads in listed.items()},
        retest_jaccard(pairs, of_pairs, n_resamples=n_resamples) if pairs else None,
        sum(bool(trace.active.any()) for trace in evaluation),
    )


def first_verdict(request: Request, found: Overlaps) -> Verdict:
    """The criteria of the module's docstring put to what was measured, which is the evidence of the verdict that this stands beside."""
    best = found.best_list
    notes = _no_verdict(found, request.task)
    enough = found.n_retrieving >= MIN_RETRIEVING_SAMPLES
    supports, refutes = _criteria(found, best) if best and enough else ((), ())
    decided = Outcome.INCONCLUSIVE if notes else outcome(supports, refutes)
    return Verdict(str(request.model["name"]), "dynamism", decided, (), supports, refutes, notes, {"best_static_list": best}, named=FIRST)


def _put_together(adjacent: Jaccard, static: Mapping[str, Jaccard], retest: Jaccard | None, n_retrieving: int) -> Overlaps:
    candidates = [name for name in _LISTS if name in static]
    best = max(candidates, key=lambda name: static[name].retrieving.estimate, default=None)
    return Overlaps(
        adjacent.retrieving, static[best].retrieving if best else None, retest.retrieving if retest else None, best, n_retrieving
    )


def without_retest(task: Task) -> str:
    """Why there is no verdict, where there is no retest."""
    none = "no pair with both answers correct" if task.has_retest else f"{task.name} has each sample in one context only"
    return f"there is no retest ({none}), so the verdict is inconclusive whatever else"


def _no_verdict(found: Overlaps, task: Task) -> tuple[str, ...]:
    """Why the verdict is inconclusive whatever the criteria say; empty where they decide."""
    never = () if task.has_retest else (without_retest(task),)
    if found.n_retrieving < MIN_RETRIEVING_SAMPLES:
        return f"{found.n_retrieving} samples retrieve at any step; {MIN_RETRIEVING_SAMPLES} are needed", *never
    if found.static is None:
        return "no correct detection sample to rank static heads on", *never
    return () if found.retest else (without_retest(task),)


def _criteria(found: Overlaps, best_list: str) -> tuple[Criteria, Criteria]:
    """Those of the module's docstring, that support and that refute; without a retest the ones that need it are undefined."""
    adjacent, static, retest = found.adjacent, found.static, found.retest
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
