"""Lines with interval bands: progressive ablation (paper, Figures 3 and 7), canonical correlations by offset (Figures 4 and 8), sweeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval
from mechdyn.views.text import escape
from mechdyn.views.theme import DASHES, MARKERS, Look, faded, finish, look

_HEIGHT = 420
_SHARE = (-0.03, 1.03)
"""0 to 1, with room for the markers."""


@dataclass(frozen=True)
class Curve:
    """One line: an interval at each x. NaN estimates leave a gap, NaN bounds leave the band out there.

    `color`, `dash` and `marker` count through the theme's lists; left out, they follow the curve's place.
    """

    name: str
    x: Sequence[int | float]
    y: Sequence[Interval]
    right: bool = False
    """Drawn against the right axis."""
    color: int | None = None
    dash: int | None = None

    def __post_init__(self) -> None:
        if not len(self.x) == len(self.y) or not len(self.x):
            raise InputError(
                f"curve {self.name!r} needs one interval for each x and at least one, got {len(self.x)} x and {len(self.y)} intervals"
            )


@dataclass(frozen=True)
class Axis:
    """An axis by its title; it spans what is drawn where no range is given."""

    title: str
    range: tuple[float, float] | None = None


def curves(
    lines: Sequence[Curve],
    *,
    x: str,
    y: Axis,
    right: Axis | None = None,
    title: str = "",
    subtitle: str = "bands: 95 % intervals by sample",
    dark: bool = False,
) -> go.Figure:
    """Lines with markers, each over its interval band.

    Args:
        lines: each against the left axis, or the right one where it says so.
        x: title of the horizontal axis.
        y: the left axis.
        right: the right axis.
        title: the left axis' where left out.
        subtitle: a line below it.
        dark: for a dark page.

    Raises:
        InputError: no curve, or a curve for the right axis where there is none.
    """
    if not lines:
        raise InputError("a figure of curves needs at least one curve, got none")
    if right is None and any(line.right for line in lines):
        raise InputError("a curve is drawn against the right axis and there is none; give right=Axis(title)")
    colors = look(dark)
    figure = make_subplots(specs=[[{"secondary_y": right is not None}]])
    for index, line in enumerate(lines):
        color = colors.series[(index if line.color is None else line.color) % len(colors.series)]
        for band in _bands(line, color):
            figure.add_trace(band, secondary_y=line.right)
    for index, line in enumerate(lines):
        figure.add_trace(_line(line, index, colors), secondary_y=line.right)
    figure.update_xaxes(title_text=escape(x), showgrid=False)
    figure.update_yaxes(title_text=escape(y.title), range=y.range, secondary_y=False)
    if right is not None:
        figure.update_yaxes(title_text=escape(right.title), range=right.range, showgrid=False, tickmode="auto", secondary_y=True)
        _tint_axes(figure, lines, colors)
    return finish(figure, escape(title or y.title), escape(subtitle), dark=dark, height=_HEIGHT, min_width=340)


def progressive(
    masked: Sequence[int],
    compensated: Sequence[Interval],
    performance: Sequence[Interval],
    *,
    metric: str = "accuracy",
    title: str = "",
    dark: bool = False,
) -> go.Figure:
    """Figure 3: compensated static heads (left axis) and performance (right axis, 0 to 1) against the number of masked dynamic heads."""
    lines = [
        Curve("compensated heads in the static top 20", masked, compensated, color=0, dash=0),
        Curve(metric, masked, performance, right=True, color=1, dash=1),
    ]
    return curves(
        lines,
        x="masked dynamic heads (k)",
        y=Axis("compensated static heads"),
        right=Axis(metric, _SHARE),
        title=title or "Progressive ablation",
        dark=dark,
    )


def cca(
    offsets: Sequence[int],
    in_sample: Mapping[str, Sequence[Interval]],
    *,
    held_out: Mapping[str, Sequence[Interval]] | None = None,
    null: Mapping[str, Sequence[Interval]] | None = None,
    title: str = "",
    dark: bool = False,
) -> go.Figure:
    """Figure 4: canonical correlations against the offset, one colour a name (top-1, top-10 mean ...).

    Solid is in sample, dashed on held-out samples, dotted the null that pairs hidden states with another sample's scores.

    Raises:
        InputError: a held-out or null series whose name the in-sample ones lack.
    """
    lines = [Curve(name, offsets, series, color=index, dash=0) for index, (name, series) in enumerate(in_sample.items())]
    for kind, dash, group in (("held out", 1, held_out or {}), ("null", 2, null or {})):
        for name, series in group.items():
            if name not in in_sample:
                raise InputError(
                    f"the {kind} series {name!r} has no in-sample series of that name; those are {', '.join(in_sample) or 'none'}"
                )
            lines.append(Curve(f"{name}, {kind}", offsets, series, color=list(in_sample).index(name), dash=dash))
    return curves(
        lines,
        x="offset k (steps ahead)",
        y=Axis("canonical correlation", _SHARE),
        title=title or "Hidden states and later retrieval scores",
        dark=dark,
    )


def sweep_figures(
    curves_by_number: Mapping[str, Mapping[str, Mapping[float | int, Interval]]], *, dark: bool = False
) -> dict[str, go.Figure]:
    """Heading to figure, one for each number that was swept: F1 against its values, a line for each strategy."""
    figures = {}
    for number, lines in curves_by_number.items():
        drawn = [Curve(name, list(points), list(points.values())) for name, points in lines.items()]
        figures[f"F1 against {number}"] = curves(drawn, x=number, y=Axis("F1", _SHARE), title=f"F1 against {number}", dark=dark)
    return figures


def _line(line: Curve, index: int, colors: Look) -> go.Scatter:
    color = index if line.color is None else line.color
    dash = index if line.dash is None else line.dash
    return go.Scatter(
        x=list(line.x),
        y=[interval.estimate for interval in line.y],
        name=escape(line.name),
        mode="lines+markers",
        line={"color": colors.series[color % len(colors.series)], "dash": DASHES[dash % len(DASHES)], "width": 2},
        marker={"symbol": MARKERS[color % len(MARKERS)], "size": 7},
        customdata=[_interval_text(interval) for interval in line.y],
        hovertemplate=f"<b>{escape(line.name)}</b><br>%{{x}}: %{{customdata}}<extra></extra>",
    )


def _interval_text(interval: Interval) -> str:
    bounds = "no interval" if np.isnan(interval.low) else f"[{interval.low:.3f}, {interval.high:.3f}]"
    return ", ".join([f"{interval.estimate:.3f} {bounds}", f"n = {interval.n}", *([interval.method] if interval.method else [])])


def _bands(line: Curve, color: str) -> list[go.Scatter]:
    """One filled outline for every stretch of x that has bounds."""
    known = np.array([np.isfinite([interval.low, interval.high]).all() for interval in line.y])
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]])))
    bands = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        x, y = list(line.x[start:end]), list(line.y[start:end])
        bands.append(
            go.Scatter(
                x=x + x[::-1],
                y=[interval.low for interval in y] + [interval.high for interval in reversed(y)],
                mode="lines",
                line={"width": 0},
                fill="toself",
                fillcolor=faded(color, 0.18),
                hoverinfo="skip",
                showlegend=False,
            )
        )
    return bands


def _tint_axes(figure: go.Figure, lines: Sequence[Curve], colors: Look) -> None:
    """An axis that carries a single curve takes its colour, so that the two are not mixed up."""
    for right in (False, True):
        on_axis = [index for index, line in enumerate(lines) if line.right == right]
        if len(on_axis) == 1:
            place = lines[on_axis[0]].color
            color = colors.series[(on_axis[0] if place is None else place) % len(colors.series)]
            figure.update_yaxes(title_font_color=color, tickfont_color=color, secondary_y=right)
