"""The sensitivity grid of Eq. 2 as a figure: how the verdict moves with sink, local window and threshold."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mechdyn.claims.dynamism import DYNAMIC_BELOW, FIXED_ABOVE, MIN_RELIABILITY
from mechdyn.claims.dynamism_evidence import CONSECUTIVE, EXPLAINED, HEADS, LOSS, RELIABILITY, TURNOVER
from mechdyn.claims.sensitivity import SensitivityCell, flipped, reference_cell
from mechdyn.evidence import LESS, Outcome, Verdict
from mechdyn.stats.interval import Interval
from mechdyn.views.panels import IntervalPanel, interval_panels
from mechdyn.views.text import escape
from mechdyn.views.theme import finish, look

_ORDER = (Outcome.REFUTED, Outcome.INCONCLUSIVE, Outcome.SUPPORTED)
_INK = {False: ("#000000", "#000000", "#FFFFFF"), True: ("#000000", "#FFFFFF", "#000000")}
"""What can be read on the colours of `Look.quality`, by whether the figure is dark."""
_ROW_PIXELS = 74


def sensitivity_figures(cells: Sequence[SensitivityCell], *, title: str = "", dark: bool = False) -> dict[str, go.Figure]:
    """By heading: the verdict of each setting as a grid, then the numbers that each rests on with their intervals and bounds."""
    drawn = {"Verdict by setting": sensitivity_figure(cells, title=title, dark=dark)}
    return {**drawn, "What each verdict rests on": sensitivity_numbers(cells, title=title, dark=dark)}


def sensitivity_numbers(cells: Sequence[SensitivityCell], *, title: str = "", dark: bool = False) -> go.Figure:
    """A row for each setting, coloured by its verdict: Q, T - L and the reliability with intervals; the dotted lines are the bounds.

    Args:
        cells: the verdict under each setting.
        title: the first line above.
        dark: for a dark background.

    Raises:
        InputError: no setting of which anything was measured.
    """
    colors = look(dark)
    names = {setting_text(cell): f"{cell.verdict.outcome}: {setting_text(cell)}" for cell in cells}
    colored = {names[setting_text(cell)]: colors.quality[_ORDER.index(cell.verdict.outcome)] for cell in cells}
    numbers = [[(names[setting_text(cell)], value) for cell in cells if (value := measured(cell.verdict)[place])] for place in range(3)]
    bounds = ((DYNAMIC_BELOW, FIXED_ABOVE), (0.0,), (MIN_RELIABILITY,))
    names_of = ("Q", "T - L", "reliability")
    panels = [IntervalPanel(name, {"": dict(rows)}, bound) for name, rows, bound in zip(names_of, numbers, bounds, strict=True)]
    subtitle = f"dotted: the bounds that criteria put them to; reference: {setting_text(reference_cell(cells))}"
    return interval_panels(panels, title=title or "sensitivity", subtitle=subtitle, colored=colored, dark=dark)


def sensitivity_figure(cells: Sequence[SensitivityCell], *, title: str = "", dark: bool = False) -> go.Figure:
    """Sink x local window, a panel for each threshold; colour is the verdict, on it Q, T - L and the reliability.

    The reference is framed. A setting that was not run is blank.
    """
    reference = reference_cell(cells)
    thresholds = sorted({cell.threshold for cell in cells})
    sinks, locals_ = sorted({cell.sink for cell in cells}), sorted({cell.local for cell in cells})
    names = [f"<b>threshold {threshold:g}</b>" for threshold in thresholds]
    figure = make_subplots(rows=1, cols=len(thresholds), shared_yaxes=True, subplot_titles=names, horizontal_spacing=0.03)
    colors = look(dark)
    for column, threshold in enumerate(thresholds, start=1):
        shown = [cell for cell in cells if cell.threshold == threshold]
        codes = np.full((len(sinks), len(locals_)), np.nan)
        for cell in shown:
            codes[sinks.index(cell.sink), locals_.index(cell.local)] = _ORDER.index(cell.verdict.outcome)
        figure.add_trace(go.Heatmap(z=codes, coloraxis="coloraxis", xgap=3, ygap=3, hoverinfo="skip"), row=1, col=column)
        places = [(locals_.index(cell.local), sinks.index(cell.sink)) for cell in shown]
        figure.add_trace(_labels(shown, places, dark), row=1, col=column)
        if reference in shown:
            x, y = places[shown.index(reference)]
            frame = {"color": colors.ink, "width": 3}
            figure.add_shape(type="rect", x0=x - 0.5, x1=x + 0.5, y0=y - 0.5, y1=y + 0.5, line=frame, row=1, col=column)
    steps = [(edge, color) for index, color in enumerate(colors.quality) for edge in (index / 3, (index + 1) / 3)]
    bar = {"tickvals": [0, 1, 2], "ticktext": [str(outcome) for outcome in _ORDER], "title": "verdict"}
    figure.update_layout(margin_t=92, coloraxis={"cmin": -0.5, "cmax": 2.5, "colorscale": steps, "colorbar": bar})
    figure.update_xaxes(title_text="local window", tickvals=list(range(len(locals_))), ticktext=list(map(str, locals_)), showgrid=False)
    figure.update_yaxes(tickvals=list(range(len(sinks))), ticktext=list(map(str, sinks)), showgrid=False)
    figure.update_yaxes(title_text="sink", row=1, col=1)
    subtitle = f"Q, T - L and reliability; framed: {setting_text(reference)}; {len(flipped(cells))} of {len(cells)} differ from it"
    height = 210 + _ROW_PIXELS * max(2, len(sinks))
    return finish(
        figure, escape(title or "sensitivity"), subtitle, dark=dark, height=height, min_width=200 + 76 * len(thresholds) * len(locals_)
    )


def _labels(cells: Sequence[SensitivityCell], places: Sequence[tuple[int, int]], dark: bool) -> go.Scatter:
    return go.Scatter(
        x=[x for x, _ in places],
        y=[y for _, y in places],
        mode="text",
        text=["<br>".join(_short(interval) for interval in measured(cell.verdict)[:3]) for cell in cells],
        customdata=[[cell.sink, cell.local, str(cell.verdict.outcome), "<br>".join(map(escape, cell.verdict.reasons))] for cell in cells],
        hovertemplate="sink %{customdata[0]}, local %{customdata[1]}: %{customdata[2]}<br>%{customdata[3]}<extra></extra>",
        textfont={"size": 11, "color": [_INK[dark][_ORDER.index(cell.verdict.outcome)] for cell in cells]},
        showlegend=False,
    )


def measured(verdict: Verdict) -> tuple[Interval | None, ...]:
    """Q, T - L and the reliability, which the verdict goes by, and heads a retrieving step; None where it was not measured."""
    found = (
        verdict.find(EXPLAINED),
        verdict.find(TURNOVER, **{"between": CONSECUTIVE, LESS: LOSS}),
        verdict.find(RELIABILITY),
        verdict.find(HEADS),
    )
    return tuple(evidence.interval if evidence else None for evidence in found)


def _short(interval: Interval | None) -> str:
    return "–" if interval is None or not interval.n else f"{interval.estimate:.2f}"


def setting_text(cell: SensitivityCell) -> str:
    """`sink 4, local 32, threshold 0.5`."""
    return f"sink {cell.sink}, local {cell.local}, threshold {cell.threshold:g}"
