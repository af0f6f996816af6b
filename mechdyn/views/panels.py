"""Small multiples of intervals: a row for each condition or setting, a panel side by side for each number measured of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval
from mechdyn.views.text import escape
from mechdyn.views.theme import MARKERS, Look, finish, look

_ROW, _SERIES, _ROOM = 22, 10, 150
"""Pixels of a row, of each further series in it, and of all above and below."""
_LETTER, _PANEL = 7, 190
"""Pixels of a letter of the rows' names, and of a panel at the least."""


@dataclass(frozen=True)
class IntervalPanel:
    """One number measured of every row.

    Attributes:
        name: stands above it.
        series: by the name of a series, such as a commit rule, its intervals by row; rows may be missing.
        bounds: values that criteria put it to, drawn as upright lines.
    """

    name: str
    series: Mapping[str, Mapping[str, Interval]]
    bounds: Sequence[float] = field(default_factory=tuple)


def interval_panels(
    panels: Sequence[IntervalPanel], *, title: str, subtitle: str = "", colored: Mapping[str, str] | None = None, dark: bool = False
) -> go.Figure:
    """Estimates with their intervals, rows down, panels across; series differ by marker and colour.

    Args:
        panels: what was measured; rows appear in the order in which the first panel that has them names them.
        title: the first line above.
        subtitle: the second.
        colored: the colour of each row where rows rather than series differ by colour.
        dark: for a dark background.

    Raises:
        InputError: no panel with a row.
    """
    rows = list(dict.fromkeys(row for panel in panels for series in panel.series.values() for row in series))
    if not rows:
        raise InputError("panels of intervals need at least one row, got none; give a verdict with its evidence")
    names = list(dict.fromkeys(name for panel in panels for name in panel.series))
    colors, figure = look(dark), make_subplots(rows=1, cols=len(panels), shared_yaxes=True, horizontal_spacing=0.03)
    step = 0.5 / max(1, len(names))
    for column, panel in enumerate(panels, start=1):
        for place, name in enumerate(names):
            found = {row: value for row, value in panel.series.get(name, {}).items() if not math.isnan(value.estimate)}
            if found:
                at = [rows.index(row) + (place - (len(names) - 1) / 2) * step for row in found]
                mark = _Mark(name, place, column == 1 and len(names) > 1)
                figure.add_trace(_intervals(found, at, mark, colors, colored), row=1, col=column)
        for bound in panel.bounds:
            figure.add_vline(x=bound, line={"color": colors.accent, "width": 2, "dash": "dot"}, row=1, col=column)
        figure.update_xaxes(title_text=escape(panel.name), row=1, col=column)
    figure.update_yaxes(tickvals=list(range(len(rows))), ticktext=[escape(row) for row in rows], showgrid=False)
    figure.update_yaxes(range=[len(rows) - 0.5, -0.5])
    longest = max(map(len, rows))
    height = _ROOM + (_ROW + _SERIES * (len(names) - 1)) * len(rows)
    width = 40 + _LETTER * longest + _PANEL * len(panels)
    figure.update_layout(margin_b=70)
    return finish(figure, escape(title), escape(subtitle), dark=dark, height=height, min_width=width)


@dataclass(frozen=True)
class _Mark:
    """A series: its name, its place among them, and whether the legend names it here."""

    name: str
    place: int
    named: bool


def _intervals(
    found: Mapping[str, Interval], at: Sequence[float], mark: _Mark, colors: Look, colored: Mapping[str, str] | None
) -> go.Scatter:
    color = colors.series[mark.place % len(colors.series)]
    values = list(found.values())
    return go.Scatter(
        x=[value.estimate for value in values],
        y=list(at),
        mode="markers",
        name=escape(mark.name),
        legendgroup=mark.name,
        showlegend=mark.named,
        marker={
            "symbol": MARKERS[mark.place % len(MARKERS)],
            "size": 9,
            "color": [colored[row] for row in found] if colored else color,
            "line": {"width": 1, "color": colors.ink if colored else color},
        },
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [_reach(value.high - value.estimate) for value in values],
            "arrayminus": [_reach(value.estimate - value.low) for value in values],
            "color": colors.muted if colored else color,
            "thickness": 2,
            "width": 3,
        },
        customdata=[[_known(v.low), _known(v.high), v.n, f"{escape(row)}<br>{v:.3f}, n = {v.n}"] for row, v in found.items()],
        hovertemplate="%{customdata[3]}<extra></extra>",
    )


def _reach(length: float) -> float | None:
    return None if math.isnan(length) else length


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
