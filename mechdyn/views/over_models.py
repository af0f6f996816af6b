"""One claim over models: each model's interval, their mean, and where the next model is to be expected (a forest plot)."""

import math

import plotly.graph_objects as go

from mechdyn.claims.meta_analysis import Together
from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval
from mechdyn.views.text import escape
from mechdyn.views.theme import faded, finish, look

_ROW, _ROOM = 46, 150
"""Pixels of a line, and of everything above and below."""
_MARGIN = 0.03
"""Room beside the outermost ends, as a share of what is drawn."""
_SIZES = (8, 18)
"""Of the markers of the least and the greatest weight possible."""


def forest(found: Together, *, title: str = "", dark: bool = False) -> go.Figure:
    """A line a model, its square the larger the more it weighs; below them a diamond for the mean and a band for the next model.

    Raises:
        InputError: fewer than two models that could be taken together.
    """
    if found.found is None:
        raise InputError(f"a forest plot needs two or more models, got {len(found.models)} of {found.claim}")
    effects, colors = found.found, look(dark)
    n_rows = len(found.models) + 2
    figure = go.Figure()
    for row, (each, weight) in enumerate(zip(found.models, effects.weights, strict=True)):
        about = f"{each.evidence.interval:.3f}, n = {each.evidence.interval.n}, weight {weight:.0%}"
        size = _SIZES[0] + (_SIZES[1] - _SIZES[0]) * math.sqrt(weight)
        figure.add_trace(_interval(each.evidence.interval, row, colors.series[0], size, f"<b>{escape(each.model)}</b><br>{about}"))
    figure.add_trace(_diamond(effects.mean, n_rows - 2, colors.series[1]))
    labels = [_label(escape(each.model), f"{each.evidence.interval:.2f}") for each in found.models]
    labels += [_label("mean", f"{effects.mean:.2f}")]
    if effects.prediction is None:
        labels += [_label("next model", "needs 3 models")]
    else:
        figure.add_trace(_band(effects.prediction, n_rows - 1, colors.series[1]))
        labels += [_label("next model", f"{effects.prediction[0]:.2f} to {effects.prediction[1]:.2f}")]
    figure.add_vline(x=effects.mean.estimate, line={"color": colors.muted, "dash": "dot", "width": 1})
    figure.update_yaxes(tickvals=list(range(n_rows)), ticktext=labels, range=[n_rows - 0.5, -0.5], showgrid=False)
    ends = [value for drawn in figure.data for value in drawn.x]
    room = _MARGIN * (max(ends) - min(ends))
    figure.update_xaxes(title_text="value, 95 %", range=[min(ends) - room, max(ends) + room])
    figure.update_layout(showlegend=False)
    subtitle = "diamond: mean; band: the next model"
    return finish(figure, escape(title or f"{found.claim} over models"), subtitle, dark=dark, height=_ROOM + _ROW * n_rows, min_width=340)


def _label(name: str, numbers: str) -> str:
    return f'{name}<br><span style="font-size:0.85em">{numbers}</span>'


def _interval(interval: Interval, row: int, color: str, size: float, hover: str) -> go.Scatter:
    return go.Scatter(
        x=[interval.low, interval.estimate, interval.high],
        y=[row] * 3,
        mode="lines+markers",
        line={"color": color, "width": 2},
        marker={"symbol": ["line-ns", "square", "line-ns"], "size": [8, size, 8], "color": color, "line": {"color": color, "width": 1}},
        hovertemplate=f"{hover}<extra></extra>",
    )


def _diamond(mean: Interval, row: int, color: str) -> go.Scatter:
    return go.Scatter(
        x=[mean.low, mean.estimate, mean.high, mean.estimate, mean.low],
        y=[row, row - 0.25, row, row + 0.25, row],
        mode="lines",
        line={"color": color, "width": 1},
        fill="toself",
        fillcolor=color,
        hoveron="fills",
        name=f"mean {mean:.3f}",
        hoverinfo="name",
    )


def _band(bounds: tuple[float, float], row: int, color: str) -> go.Scatter:
    low, high = bounds
    return go.Scatter(
        x=[low, high, high, low, low],
        y=[row - 0.14, row - 0.14, row + 0.14, row + 0.14, row - 0.14],
        mode="lines",
        line={"color": color, "width": 1},
        fill="toself",
        fillcolor=faded(color, 0.3),
        hoveron="fills",
        name=f"next model {low:.3f} to {high:.3f}",
        hoverinfo="name",
    )
