"""How a verdict on budgets by step is shown: what each way to deal one out loses, what is gained, and the curves."""

from collections.abc import Mapping, Sequence

from mechdyn.claims.step_budgets import AREA, BACK, HELD, KEPT, LOSS
from mechdyn.evidence import LESS, Evidence, Table, Verdict
from mechdyn.reports.tables import interval_text, methods_text
from mechdyn.stats.interval import Interval
from mechdyn.traces.budgets import CacheShare
from mechdyn.traces.stored import AnyTrace
from mechdyn.views.kv_budgets import kv_budgets
from mechdyn.views.looks import View, in_both_looks

_MIB = 2**20


def budget_tables(verdict: Verdict) -> list[Table]:
    """Loss over the judged sizes with the paired gains; then every cache."""
    title = f"{verdict.claim} on {verdict.model}"
    areas = [evidence for evidence in verdict.evidence if evidence.measure == AREA]
    if not areas:
        return []
    rows = tuple((_words(evidence), interval_text(evidence.interval), str(evidence.interval.n)) for evidence in areas)
    columns = ("budget", AREA, "n")
    caption = methods_text([evidence.interval for evidence in areas], "differences are paired by sample")
    whole = verdict.facts.get("whole_cache_bytes")
    about = f"the whole cache of a prompt is {whole / _MIB:.2f} MiB" if whole else ""
    numbers = ("loss (nats a token)", "answers kept", "read at a step", "back at a step")
    each = tuple(_row(verdict, evidence) for evidence in verdict.evidence if evidence.measure == LOSS)
    return [
        Table(f"{title}: 2 to 20 % of the prompt", columns, rows, caption, numbers=columns[1:]),
        Table(f"{title}: every cache", ("budget", "cache", *numbers), each, about, numbers=numbers, droppable=("back at a step",)),
    ]


def budget_curves(verdict: Verdict, traces: Mapping[str, Sequence[AnyTrace]]) -> dict[str, View]:
    """Loss and kept answers against the size, of the usual caches."""
    found = {measure: points for measure in (LOSS, KEPT) if (points := budget_points(verdict, measure))}
    return in_both_looks(
        lambda dark: {
            measure: kv_budgets(points, y=measure, title=f"{verdict.model}: {measure}", dark=dark) for measure, points in found.items()
        }
    )


def budget_points(verdict: Verdict, measure: str = LOSS) -> dict[str, dict[float, Interval]]:
    """What `mechdyn.views.kv_budgets` draws: a measure by the way to deal a budget out and its size, of the usual caches."""
    points: dict[str, dict[float, Interval]] = {}
    for evidence in verdict.evidence:
        at = evidence.at
        if evidence.measure == measure and at == CacheShare(at["budget"], at["cache"]).at:
            points.setdefault(at["budget"], {})[at["cache"]] = evidence.interval
    return points


def _row(verdict: Verdict, evidence: Evidence) -> tuple[str, ...]:
    others = {name: verdict.find(name, **evidence.at) for name in (KEPT, HELD, BACK)}
    texts = {name: "" if found is None else interval_text(found.interval) for name, found in others.items()}
    shares = {name: "" if found is None else f"{100 * found.interval.estimate:.1f} %" for name, found in others.items()}
    at = evidence.at
    beside = "".join(f", {at[name]}" for name in ("keys", "per") if name in at)
    return (
        f"{at['budget']}{beside}",
        f"{100 * at['cache']:g} %",
        interval_text(evidence.interval),
        texts[KEPT],
        shares[HELD],
        shares[BACK],
    )


def _words(evidence: Evidence) -> str:
    less = f" less {evidence.at[LESS]}" if LESS in evidence.at else ""
    return f"{evidence.at['budget']}{less}"
