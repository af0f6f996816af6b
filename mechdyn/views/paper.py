"""Figures at the size of a column of a paper."""

import math
from copy import deepcopy
from typing import Any, TypeVar

import plotly.graph_objects as go

from mechdyn.errors import InputError
from mechdyn.views.given import takes_figure
from mechdyn.views.html import Html
from mechdyn.views.theme import every_nth

_PAPER_PIXELS = {1: 315, 2: 650}
"""Widths of one and two columns of an A4 paper: 83 and 172 mm at 96 pixels an inch."""

_SMALLER = 0.62
"""How much smaller the letters of HTML are."""
_LOWER = 0.62
"""How much lower a figure is, unless its `meta` says so under `paper_height`: one whose rows hold text cannot shrink as far."""
_PAPER_LABEL_PIXELS = 9.5
"""Room that an upright label of 8 pixels needs."""


View = TypeVar("View", go.Figure, Html)


@takes_figure("figure")
def for_paper(figure: View, columns: int = 1) -> View:
    """A copy sized for one or two columns of a paper, its smallest text about 6 points at that width.

    A view that is HTML (`tokens`, `alarm`, `rind`) comes in a box of that width, its letters smaller; print the page it is saved on.

    Write it at its own size: `for_paper(figure).write_image("timeline.pdf")`. The title goes, since a paper's caption says it. Where the
    labels of tokens would overlap, every second or further one is left out, and the axis says so.

    Raises:
        InputError: something else than a plotly figure or HTML of a view, or another number of columns.
    """
    if columns not in _PAPER_PIXELS:
        raise InputError(f"a paper's figure spans 1 or 2 columns, got {columns}")
    if isinstance(figure, Html):
        box = f"width:{_PAPER_PIXELS[columns] / _SMALLER:.0f}px;zoom:{_SMALLER}"
        return Html(f'<div style="{box}">{figure.html}</div>', figure.scripts)
    copy = go.Figure(deepcopy(figure.to_dict()))
    height = (copy.layout.height or 450) * (copy.layout.meta or {}).get("paper_height", _LOWER)
    copy.update_layout(width=_PAPER_PIXELS[columns], height=max(150, round(height)), title=None, font_size=9)
    lines = max((note.text.count("<br>") for note in copy.layout.annotations if note.text), default=0)
    copy.update_layout(margin={"l": 8, "r": 8, "t": 20 + 11 * lines, "b": 8}, legend_font_size=8)
    copy.update_xaxes(tickfont_size=8, title_font_size=9)
    copy.update_yaxes(tickfont_size=8, title_font_size=9)
    copy.update_coloraxes(colorbar={"thickness": 8, "tickfont": {"size": 8}, "title": {"font": {"size": 9}}})
    copy.update_traces(textfont_size=8, selector={"type": "scatter"})
    copy.update_traces(header_font_size=8, cells_font_size=8, cells_height=16, selector={"type": "table"})
    copy.update_annotations(font_size=9)
    copy.for_each_xaxis(lambda axis: _thin_labels(axis, _PAPER_PIXELS[columns]))
    copy.for_each_trace(lambda drawn: _shrink_markers(drawn, copy, _PAPER_PIXELS[columns]), selector={"type": "scatter"})
    return copy


def _thin_labels(axis: Any, pixels: int) -> None:
    """Leave out labels that stand upright until the rest have room; those of other axes stay."""
    if axis.tickangle != -90 or axis.range is None or len(axis.tickvals or ()) < 2:
        return
    steps = axis.tickvals[1] - axis.tickvals[0]
    every = math.ceil(_PAPER_LABEL_PIXELS / (steps * _step_pixels(axis, pixels)))
    title = (axis.title.text or "").partition(" (every ")[0] + every_nth(steps * every)
    axis.update(tickvals=axis.tickvals[::every], ticktext=axis.ticktext[::every], title_text=title)


def _shrink_markers(drawn: go.Scatter, figure: go.Figure, pixels: int) -> None:
    """Markers at three fifths of their size, and no wider than a step above an axis of tokens."""
    if not isinstance(drawn.marker.size, int | float):
        return
    axis = figure.layout["xaxis" + (drawn.xaxis or "x")[1:]]
    axis = figure.layout["xaxis" + axis.matches[1:]] if axis.matches else axis
    room = _step_pixels(axis, pixels) if axis.tickangle == -90 and axis.range is not None else math.inf
    drawn.marker.size = max(2, min(0.6 * drawn.marker.size, 0.9 * room))


def _step_pixels(axis: Any, pixels: int) -> float:
    """Pixels between two whole numbers of an axis, roughly: a sixth of the width goes to the other axis."""
    return pixels * 5 / 6 * (axis.domain[1] - axis.domain[0] if axis.domain else 1) / (axis.range[1] - axis.range[0])
