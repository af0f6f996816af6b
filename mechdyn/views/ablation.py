"""Figures of the ablation experiment: heatmaps of every condition (Figure 2), progressive ablation (Figure 3)."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from mechdyn.errors import InputError
from mechdyn.studies.conditions import CLEAN, COMMITS, DYNAMIC, MATCHED_CONTROLS, PAPER_CONTROLS, by_sample, quality, role
from mechdyn.studies.grid import cell_of
from mechdyn.studies.progressive import STATIC_LIST, ProgressivePoint
from mechdyn.tasks.task import metric_names
from mechdyn.traces.stored import AnyTrace
from mechdyn.views.curves import progressive
from mechdyn.views.grid import Cells, grid

_FIGURES = {"the paper's controls, of average size": PAPER_CONTROLS, "controls matched to each step": MATCHED_CONTROLS}


def ablation_grids(traces: Mapping[str, Sequence[AnyTrace]], *, title: str = "", dark: bool = False) -> dict[str, go.Figure]:
    """Heading to figure: lengths x depths under every condition that was run, clean and dynamic first in each figure.

    Args:
        traces: by role, as `mechdyn.studies.conditions` names them.
        title: the first line above each figure.
        dark: for a dark background.

    Raises:
        InputError: no condition with a sample.
    """
    found = next((traces[name] for name in traces if name == CLEAN or "commit" in name), ())
    if not found:
        raise InputError("the grid needs the traces of at least one condition, got none; run some first")
    figures = {}
    for metric in metric_names(found[0].task):
        for commit in COMMITS:
            for about, controls in _FIGURES.items():
                shown = _cells(traces, (CLEAN, DYNAMIC, *controls), commit, metric)
                if shown:
                    figures[f"{metric}, commit {commit}: {about}"] = grid(shown, metric=metric, title=title, dark=dark)
    return figures


def progressive_figures(points: Mapping[str, Sequence[ProgressivePoint]], *, title: str = "", dark: bool = False) -> dict[str, go.Figure]:
    """Heading to figure, one a metric and commit rule: compensated heads in the static top 20 (left), the metric (right), against k."""
    figures = {}
    for commit, row in points.items():
        masked, compensated = [point.k for point in row], [point.compensated[STATIC_LIST] for point in row]
        for metric in row[0].quality:
            drawn = progressive(masked, compensated, [point.quality[metric] for point in row], metric=metric, title=title, dark=dark)
            figures[f"{metric}, commit {commit}"] = drawn
    return figures


def _cells(traces: Mapping[str, Sequence[AnyTrace]], conditions: Sequence[str], commit: str, metric: str) -> dict[str, Cells]:
    """A condition's cells; generations that failed are missing, not wrong."""
    cells = {}
    for condition in conditions:
        done = [trace for trace in traces.get(role(condition, commit), ()) if trace.stopped != "error"]
        if done:
            lengths, depths = zip(*(cell_of(draws[0]) for draws in by_sample(done)), strict=True)
            cells[condition] = Cells.of_samples(lengths, depths, quality(done, done[0].task)[metric].tolist())
    return cells
