"""The one evaluation of what improves a model as tables: quality before and after, by length and depth, drift, cost."""

from collections.abc import Sequence

from mechdyn.evidence import Table
from mechdyn.improve.cost import Cost
from mechdyn.improve.drift import Drift
from mechdyn.improve.evaluation import Change, Evaluation
from mechdyn.reports.tables import interval_text, methods_text

_MIB = 2**20
_ALL = "all"


def improve_tables(found: Evaluation, title: str) -> list[Table]:
    """Every table of an evaluation, those first that decide."""
    tables = [_quality(found, title), *_grids(found)]
    tables += [_drift(found)] if found.drifts else []
    return tables + ([_cost(found.costs, found.base)] if found.costs else [])


def _quality(found: Evaluation, title: str) -> Table:
    """A row for each task, metric, length and variant."""
    rows = [change for change in found.changes if change.depth is None]
    several = {(change.task, change.metric, change.variant) for change in rows if change.length is not None}
    one_length = {key for key in several if sum(_key(change) == key and change.length is not None for change in rows) == 1}
    shown = [change for change in rows if change.length is None or _key(change) not in one_length]
    caption = methods_text([change.difference for change in shown], f"before is {found.base}; paired by sample, 95 %")
    columns = ("variant", "task", "metric", "length", "before", "after", "after less before", "n")
    cells = tuple(
        (
            change.variant,
            change.task,
            change.metric,
            _ALL if change.length is None else str(change.length),
            interval_text(change.before),
            interval_text(change.after),
            interval_text(change.difference, spec="+.3f"),
            str(change.difference.n),
        )
        for change in shown
    )
    return Table(f"{title}: before and after", columns, cells, caption, columns[3:], droppable=("n",))


def _key(change: Change) -> tuple[str, str, str]:
    return change.task, change.metric, change.variant


def _grids(found: Evaluation) -> list[Table]:
    """Lengths by depths, of each variant and task its first metric."""
    tables = []
    for variant in found.variants:
        for task in dict.fromkeys(change.task for change in found.changes):
            cells = [change for change in found.changes if (change.variant, change.task) == (variant, task) and change.depth is not None]
            metric = next((change.metric for change in cells), None)
            chosen = [change for change in cells if change.metric == metric]
            if len({change.depth for change in chosen}) > 1:
                tables.append(_grid(f"{variant} on {task}: {metric} by length and depth", chosen))
    return tables


def _grid(title: str, changes: Sequence[Change]) -> Table:
    by_place = {(change.length, change.depth): change for change in changes}
    depths = sorted({depth for _, depth in by_place if depth is not None})
    rows = []
    for length in sorted({length for length, _ in by_place if length is not None}):
        row = [by_place.get((length, depth)) for depth in depths]
        rows.append((str(length), *("" if change is None else _cell(change) for change in row)))
    columns = ("length", *(f"depth {depth:g}" for depth in depths))
    return Table(title, columns, tuple(rows), "before → after (samples); their intervals are in results.json", columns)


def _cell(change: Change) -> str:
    return f"{change.before.estimate:.2f} → {change.after.estimate:.2f} ({change.difference.n})"


def _drift(found: Evaluation) -> Table:
    columns = ("variant", "perplexity before", "perplexity after", "nats a token, after less before", "KL from base, nats", "tokens")
    rows = tuple(_drift_row(drift) for drift in found.drifts)
    caption = methods_text((drift.difference for drift in found.drifts), "texts with nothing to retrieve; 95 %, texts resampled")
    return Table(f"Drift from {found.base}", columns, rows, caption, columns[1:], droppable=("tokens",))


def _drift_row(drift: Drift) -> tuple[str, ...]:
    before, after = drift.perplexities
    difference = interval_text(drift.difference, spec="+.4f")
    return drift.variant, f"{before:.3f}", f"{after:.3f}", difference, interval_text(drift.kl, spec=".4f"), str(drift.n_tokens)


def _cost(costs: Sequence[Cost], base: str) -> Table:
    columns = ("variant", "task", "s an answer, before", "after", "time a token, after / before", "tokens an answer", "cache", "peak")
    rows = tuple(
        (
            cost.variant,
            cost.task,
            f"{cost.seconds_before.estimate:.3f}",
            f"{cost.seconds_after.estimate:.3f}",
            interval_text(cost.ratio, spec=".2f"),
            f"{cost.tokens_before:.1f} → {cost.tokens_after:.1f}",
            _sizes(cost.cache_before, cost.cache_after),
            _sizes(cost.peak_before, cost.peak_after),
        )
        for cost in costs
    )
    caption = methods_text((cost.ratio for cost in costs), f"before is {base}; of the largest answer: keys and values, most held")
    return Table("Cost", columns, rows, caption, columns[2:], droppable=("peak", "tokens an answer"))


def _sizes(before: int | None, after: int | None) -> str:
    return " → ".join("unknown" if size is None else f"{size / _MIB:.1f} MiB" for size in (before, after))
