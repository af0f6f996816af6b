"""The power curve: the share of runs that come to a verdict, against their number of samples."""

import plotly.graph_objects as go

from mechdyn.claims.power import Power
from mechdyn.views.curves import Axis, Curve, curves


def power_figure(power: Power, *, title: str = "", dark: bool = False) -> go.Figure:
    """A line each for supported and refuted, over their 95 % bands."""
    sizes = [point.n for point in power.points]
    lines = [
        Curve("supported", sizes, [point.supported for point in power.points]),
        Curve("refuted", sizes, [point.refuted for point in power.points]),
    ]
    figure = curves(
        lines,
        x="samples",
        y=Axis("share of runs", (-0.03, 1.03)),
        title=title or f"Power of {power.claim}",
        subtitle=f"bands: {power.points[0].supported.method}",
        dark=dark,
    )
    figure.update_xaxes(type="log", tickvals=sizes, ticktext=[str(n) for n in sizes])
    return figure
