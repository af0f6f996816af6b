"""What the ablation grid measured, condition by condition and cell by cell (Figure 2), from traces alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mechdyn.evidence import Evidence
from mechdyn.stats.ablation import heads_ablated, share_retrieving
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import mean_interval
from mechdyn.studies.conditions import CLEAN, COMMITS, CONDITIONS, LISTED, LISTED_MATCHED, Detection, by_sample, quality, role
from mechdyn.tasks.task import TASKS
from mechdyn.traces.clusters import trace_clusters
from mechdyn.traces.stored import AnyTrace
from mechdyn.traces.trace import Trace

if TYPE_CHECKING:
    from pandas import DataFrame

HEADS_OFF, RETRIEVING = "heads off per step", "of them retrieving"


@dataclass(frozen=True)
class GridCell:
    """Means over the `n` samples of a length and depth whose generations did not all fail; NaN where there is none."""

    length: int
    depth: float
    n: int
    means: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        means = {name: value if self.n else None for name, value in self.means.items()}
        return {"length": self.length, "depth": self.depth, "n": self.n, **means}


@dataclass(frozen=True)
class GridRow:
    """One condition under one commit rule (`commit` is None without ablation): each metric, the heads off at a step, the cells.

    `retrieving` is the share of the heads off that retrieve at the step. `n_generations` are more than `n_samples` where each sample has
    several draws of random heads. Failed generations (NaN or infinite logits) are counted and have no say.
    """

    condition: str
    commit: str | None
    metrics: Mapping[str, Interval]
    heads_off: Interval
    retrieving: Interval
    cells: tuple[GridCell, ...]
    n_samples: int
    n_generations: int
    n_failed: int

    def as_json(self) -> dict[str, Any]:
        return {
            "condition": self.condition,
            "commit": self.commit,
            "samples": self.n_samples,
            "generations": self.n_generations,
            "failed": self.n_failed,
            "metrics": [Evidence(name, interval).as_json() for name, interval in self.metrics.items()],
            "heads_off_per_step": Evidence(HEADS_OFF, self.heads_off).as_json(),
            "retrieving_share": Evidence(RETRIEVING, self.retrieving).as_json(),
            "cells": [cell.as_json() for cell in self.cells],
        }


def grid_rows(traces: Mapping[str, Sequence[Trace]], further: Sequence[str] = ()) -> tuple[GridRow, ...]:
    """A row for each condition and commit rule whose role was run; without ablation there is one for both rules.

    `further` are conditions beside mechdyn's own, in their order.
    """
    names = dict.fromkeys([*CONDITIONS, *further, LISTED, LISTED_MATCHED])
    wanted = [(CLEAN, None), *((name, commit) for name in names if name != CLEAN for commit in COMMITS)]
    found = [(name, commit, traces.get(role(name, commit or COMMITS[0]))) for name, commit in wanted]
    return tuple(_row(name, commit, row) for name, commit, row in found if row)


def cells_frame(rows: Sequence[GridRow]) -> "DataFrame":
    """A row for each condition, commit rule, length, depth and metric: the `mean` over the cell's `n` generations, missing where none.

    `commit` is missing without ablation.
    """
    from pandas import DataFrame

    columns = ["condition", "commit", "length", "depth", "metric", "mean", "n"]
    found = [
        (row.condition, row.commit, cell.length, cell.depth, metric, mean, cell.n)
        for row in rows
        for cell in row.cells
        for metric, mean in cell.means.items()
    ]
    return DataFrame(found, columns=columns)


def conditions_frame(rows: Sequence[GridRow]) -> "DataFrame":
    """A row for each condition, commit rule and metric over all cells, with its interval.

    Among the metrics are the heads off per step and the share of them that retrieve.
    """
    from pandas import DataFrame

    columns = ["condition", "commit", "metric", "estimate", "low", "high", "n", "method"]
    found = [
        (row.condition, row.commit, metric, interval.estimate, interval.low, interval.high, interval.n, interval.method)
        for row in rows
        for metric, interval in {**row.metrics, HEADS_OFF: row.heads_off, RETRIEVING: row.retrieving}.items()
    ]
    return DataFrame(found, columns=columns)


def mean_quality(traces: Sequence[Trace]) -> dict[str, Interval]:
    """Each metric with its interval over samples, in clusters where they share a needle or a haystack; the task's primary one first.

    Failed generations have no say.
    """
    values = quality(traces, traces[0].task)
    clusters = trace_clusters([draws[0] for draws in by_sample(traces)])
    return {name: mean_interval(row, clusters) for name, row in values.items()}


def cell_of(trace: AnyTrace) -> tuple[int, float]:
    """The cell of a sample: length and depth as its task tells them (`Task.cell`)."""
    return TASKS.get(trace.task).cell(trace.meta)


def detection_facts(detection: Detection, traces: Sequence[Trace]) -> dict[str, Any]:
    """How the static heads and the average size came about, for results files."""
    return {
        "detection_samples": len(traces),
        "detection_samples_correct": detection.n_correct,
        "average_size": detection.size,
        "static_heads": [str(head) for head in detection.ranking.top(detection.size)],
    }


def _row(condition: str, commit: str | None, traces: Sequence[Trace]) -> GridRow:
    done = by_sample([trace for trace in traces if trace.stopped != "error"])
    clusters = trace_clusters([draws[0] for draws in done])
    return GridRow(
        condition=condition,
        commit=commit,
        metrics=mean_quality(traces),
        heads_off=heads_ablated(done, clusters),
        retrieving=share_retrieving(done, clusters),
        cells=_cells(traces),
        n_samples=len(by_sample(traces)),
        n_generations=len(traces),
        n_failed=sum(trace.stopped == "error" for trace in traces),
    )


def _cells(traces: Sequence[Trace]) -> tuple[GridCell, ...]:
    """In the order in which lengths and depths first come."""
    cells: dict[tuple[int, float], list[Trace]] = {}
    for trace in traces:
        cells.setdefault(cell_of(trace), []).append(trace)
    rows = []
    for (length, depth), found in cells.items():
        done = [trace for trace in found if trace.stopped != "error"]
        means = {name: float(values.mean()) if done else float("nan") for name, values in quality(done, found[0].task).items()}
        rows.append(GridCell(length, depth, len(by_sample(done)), means))
    return tuple(rows)
