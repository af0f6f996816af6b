"""A verdict as one figure: every number that its criteria ask for, with interval, bound, null, control models and the paper's values."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from mechdyn.errors import InputError
from mechdyn.evidence import Side, Verdict
from mechdyn.views.text import escape
from mechdyn.views.theme import Look, faded, finish, look
from mechdyn.views.verdict_marks import (
    CONTROL,
    TRACK,
    Placed,
    UnitPanel,
    bounds,
    control_marks,
    edge,
    intervals,
    marks,
    name_of,
    numbers_of,
    samples,
)
from mechdyn.views.verdict_rows import VerdictRow, verdict_rows

_LINE, _GROUP = 16, 30
"""Pixels of a line of text, and of a group's heading."""
_LETTERS = 52
"""Letters of a line: it fits a page of 400 pixels."""
_BETWEEN, _ABOVE = 58, 76
"""Pixels between two axes, and for the title."""
_PAPER = 0.85
"""How much lower it is in a paper: its lines of text must not meet its tracks."""
_ROOM = 0.04
"""Beside the outermost values, as a share of what is drawn."""
_UNIT = "share, correlation or their difference"
"""What an axis says whose numbers have no unit."""


def verdict(found: Verdict, *, controls: Sequence[Verdict] = (), about: str = "", title: str = "", dark: bool = False) -> go.Figure:
    """The criteria of a verdict on one axis: estimate, interval and bound of each number, under "to support" and "to refute".

    Below them stand the numbers that a difference is of (of a correlation its null), then those that the paper reports too. A pale band is
    where a criterion asks the interval to lie. Numbers of different units have an axis each. Everything is read from the verdict as data:
    verdicts recorded by the first release, which hold words alone, cannot be drawn.

    Args:
        found: a verdict; of those beside it each is drawn by itself.
        controls: verdicts of models whose answer is known, on the same claim; numbers at the same place are drawn below the track.
        about: what the samples were, such as task, lengths, depths and seed, for the second line.
        title: the first line above; claim, model and outcome when left out.
        dark: for a dark background.

    Raises:
        InputError: a verdict without numbers to draw, or a control of another claim.
    """
    rows = verdict_rows(found)
    if not rows:
        why = f" ({found.notes[0]})" if found.notes else ""
        raise InputError(f"the verdict {found.claim} on {found.model} asks nothing of a number{why}; its tables show what was measured")
    strangers = [control.claim for control in controls if control.claim != found.claim]
    if strangers:
        raise InputError(f"controls of {found.claim} are verdicts on the same claim, got {strangers[0]!r}")
    colors, figure = look(dark), go.Figure()
    panels = [_panel(unit, [row for row in rows if row.unit == unit], len(controls)) for unit in dict.fromkeys(row.unit for row in rows)]
    for index, panel in zip(_numbered(panels), panels, strict=True):
        _draw(figure, panel, index, controls, colors)
    legend = 34 + 20 * -(-sum(trace.showlegend is True for trace in figure.data) // 2)
    _axes(figure, panels, legend)
    heading = title or f"{found.claim} on {found.model}: {found.outcome}"
    under = f"under the {found.named}" if found.named and found.named not in heading else ""
    subtitle = " · ".join(part for part in (under, about) if part)
    height = int(_ABOVE + sum(panel.height for panel in panels) + _BETWEEN * len(panels) + legend)
    finish(figure, escape(heading), escape(subtitle), dark=dark, height=height, min_width=340)
    return figure.update_layout(meta={**figure.layout.meta, "paper_height": _PAPER})


def _panel(unit: str, rows: Sequence[VerdictRow], n_controls: int) -> UnitPanel:
    placed, headings, y, group = [], [], 0.0, None
    for row in rows:
        if row.group != group:
            group = row.group
            headings.append((group, y))
            y += _GROUP
        lines = (*textwrap.wrap(name_of(row), _LETTERS), *textwrap.wrap(numbers_of(row), _LETTERS))
        track = y + _LINE * len(lines) + TRACK / 2 + 2
        placed.append(Placed(row, lines, y, track))
        y = track + TRACK / 2 + CONTROL * n_controls + 4
    return UnitPanel(unit, tuple(placed), tuple(headings), y)


def _draw(figure: go.Figure, panel: UnitPanel, index: str, controls: Sequence[Verdict], colors: Look) -> None:
    """One panel: bands and words, then what is drawn on the tracks, the estimates last."""
    axes = {"xaxis": f"x{index}", "yaxis": f"y{index}"}
    shown = {trace.name for trace in figure.data}
    traces = [
        *samples(panel, colors),
        *bounds(panel, colors),
        *intervals(panel, colors),
        *marks(panel, colors),
        *(trace for place, control in enumerate(controls) for trace in control_marks(panel, control, place, colors)),
    ]
    for trace in traces:
        trace.update(**axes, legendgroup=trace.name, showlegend=trace.showlegend is not False and trace.name not in shown)
        shown.add(trace.name)
        figure.add_trace(trace)
    low, high = _range(traces)
    figure.update_layout({f"xaxis{index}": {"range": [low, high]}})
    for each in panel.placed:
        if each.row.asked is not None:
            _band(figure, each, index, (low, high), colors)
    _words(figure, panel, index, colors)


def _words(figure: go.Figure, panel: UnitPanel, index: str, colors: Look) -> None:
    common: dict[str, Any] = {"xref": f"x{index} domain", "yref": f"y{index}", "x": 0, "xanchor": "left", "yanchor": "top", "align": "left"}
    plain: dict[str, Any] = {"showarrow": False, "bgcolor": colors.background, "borderpad": 0}
    for text, y in panel.headings:
        figure.add_annotation(**common, y=y + 6, text=f"<b>{text}</b>", **plain, font={"size": 13, "color": colors.muted})
    for each in panel.placed:
        text = "<br>".join(escape(line) for line in each.lines)
        figure.add_annotation(**common, y=each.top, text=text, **plain, font={"size": 12, "color": colors.ink})


def _band(figure: go.Figure, each: Placed, index: str, ends: tuple[float, float], colors: Look) -> None:
    asked = each.row.asked
    if asked is None or math.isnan(edge(asked)):
        return
    to_left = (asked.side is Side.BELOW) is not asked.negated
    x0, x1 = (ends[0], edge(asked)) if to_left else (edge(asked), ends[1])
    figure.add_shape(
        type="rect",
        **{"xref": f"x{index}", "yref": f"y{index}", "layer": "below", "line_width": 0},
        **{"x0": x0, "x1": x1, "y0": each.track - 9, "y1": each.track + 9, "fillcolor": faded(colors.accent, 0.13)},
    )


def _range(traces: Sequence[go.Scatter]) -> tuple[float, float]:
    values = [value for trace in traces for value in trace.x if value is not None]
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = _ROOM * ((high - low) or 1.0)
    return low - room, high + room


def _numbered(panels: Sequence[UnitPanel]) -> list[str]:
    """What plotly appends to the axes of the first, second, … panel."""
    return ["", *(str(number) for number in range(2, len(panels) + 1))]


def _axes(figure: go.Figure, panels: Sequence[UnitPanel], legend: int) -> None:
    """Each panel as high as its rows need, in pixels, the first at the top."""
    total = sum(panel.height for panel in panels) + _BETWEEN * (len(panels) - 1)
    top = total
    for index, panel in zip(_numbered(panels), panels, strict=True):
        domain = [max(0.0, (top - panel.height) / total), top / total]
        top -= panel.height + _BETWEEN
        y = {"domain": domain, "anchor": f"x{index}", "range": [panel.height, 0], "visible": False, "fixedrange": True}
        figure.update_layout({f"yaxis{index}": y, f"xaxis{index}": {"anchor": f"y{index}", "title": {"text": escape(panel.unit or _UNIT)}}})
    figure.update_layout(margin={"l": 14, "r": 14, "t": _ABOVE, "b": _BETWEEN + legend}, hovermode="closest")
