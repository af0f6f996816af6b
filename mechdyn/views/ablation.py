"""The figures of the ablation experiment: a heatmap for every condition (Figure 2), metric by metric and commit rule by commit rule."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from mechdyn.claims.conditions import CLEAN, COMMITS, DYNAMIC, MATCHED_CONTROLS, PAPER_CONTROLS, role
from mechdyn.errors import InputError
from mechdyn.metrics import answer_quality, metric_names
from mechdyn.traces.trace import Trace
from mechdyn.views.grid import Cells, grid

_FIGURES = {"the paper's controls, of average size": PAPER_CONTROLS, "controls matched to each step": MATCHED_CONTROLS}


def ablation_grids(traces: Mapping[str, Sequence[Trace]], *, title: str = "", dark: bool = False) -> dict[str, go.Figure]:
    """Heading to figure: lengths x depths under every condition that was run, clean and dynamic first in each figure.

    Args:
        traces: by role, as `mechdyn.claims.conditions` names them.
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


def _cells(traces: Mapping[str, Sequence[Trace]], conditions: Sequence[str], commit: str, metric: str) -> dict[str, Cells]:
    """A condition's cells; generations that failed are missing, not wrong."""
    cells = {}
    for condition in conditions:
        done = [trace for trace in traces.get(role(condition, commit), ()) if trace.stopped != "error"]
        if done:
            values = [answer_quality(trace.task, trace.text, trace.answer)[metric] for trace in done]
            cells[condition] = Cells.of_samples([trace.meta["length"] for trace in done], [trace.meta["depth"] for trace in done], values)
    return cells
