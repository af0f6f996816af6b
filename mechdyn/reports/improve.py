"""The one evaluation of what improves a model as tables: quality before and after, by length and depth, drift, cost."""

from collections.abc import Iterator, Sequence

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
    """Every metric over all samples, and each task's first metric by length; variants side by side."""
    shown = sorted(_shown(found), key=lambda change: _place(found, change))
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


def _shown(found: Evaluation) -> Iterator[Change]:
    """Lengths only where there are several; the rest is in `results.json` and `Evaluation.to_frame`."""
    first = {change.task: change.metric for change in reversed(found.changes)}
    lengths = {(change.task, change.length) for change in found.changes if change.length is not None}
    several = {task for task in first if sum(each == task for each, _ in lengths) > 1}
    for change in found.changes:
        by_length = change.depth is None and change.task in several and change.metric == first[change.task]
        if change.length is None or by_length:
            yield change


def _place(found: Evaluation, change: Change) -> tuple[int, int, int, int]:
    """Tasks and metrics as they come, lengths ascending behind all, variants side by side."""
    places = list(dict.fromkeys((each.task, each.metric) for each in found.changes))
    tasks = list(dict.fromkeys(task for task, _ in places))
    return (
        tasks.index(change.task),
        places.index((change.task, change.metric)),
        change.length or 0,
        found.variants.index(change.variant),
    )


def _grids(found: Evaluation) -> list[Table]:
    """Lengths by depths of each task whose samples were asked for by depth: its first metric, all variants."""
    tables = []
    for task in dict.fromkeys(change.task for change in found.changes if change.depth is not None):
        cells = [change for change in found.changes if change.task == task and change.depth is not None]
        tables.append(_grid(f"{task}: {cells[0].metric} by length and depth", [each for each in cells if each.metric == cells[0].metric]))
    return tables


def _grid(title: str, changes: Sequence[Change]) -> Table:
    by_place = {(change.variant, change.length, change.depth): change for change in changes}
    depths = sorted({change.depth for change in changes if change.depth is not None})
    rows = []
    for variant, length in dict.fromkeys((change.variant, change.length) for change in changes):
        row = (by_place.get((variant, length, depth)) for depth in depths)
        rows.append((variant, str(length), *("" if change is None else _cell(change) for change in row)))
    columns = ("variant", "length", *(f"depth {depth:g}" for depth in depths))
    return Table(title, columns, tuple(rows), "before → after (samples); their intervals are in results.json", columns[1:])


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
    return drift.variant, f"{before:.4g}", f"{after:.4g}", difference, interval_text(drift.kl, spec=".4f"), str(drift.n_tokens)


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
