"""Quality against the size of the key-value cache, a line for each way to deal it out."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from mechdyn.errors import InputError
from mechdyn.stats.interval import Interval
from mechdyn.views.curves import Axis, Curve, curves

CONTROLS = ("uniform", "random")
"""Drawn behind the others, dotted."""
_DASHES = {"static": 0, "sample": 1, "oracle": 0, "persistence": 1, "echo": 0, "forecast": 0}
_COLORS = {"uniform": 5, "random": 4, "static": 0, "sample": 0, "oracle": 1, "persistence": 1, "echo": 2, "forecast": 3}
"""What follows the step from above shares no colour with what is static; what cannot be deployed is dashed beside its like."""


def kv_budgets(
    points: Mapping[str, Mapping[float, Interval]],
    *,
    y: str = "loss (nats a token)",
    title: str = "",
    subtitle: str = "bands: 95 % intervals by sample",
    dark: bool = False,
) -> go.Figure:
    """A quantity against the share of the prompt that a head sees, on a logarithmic axis.

    Args:
        points: for each way to deal a budget out, an interval by the share, above 0 and at most 1.
        y: what the intervals are of.
        title: the figure's.
        subtitle: a line below it.
        dark: for a dark page.

    Raises:
        InputError: nothing to draw, or a share that is none.
    """
    if not points or not all(points.values()):
        raise InputError("a figure of budgets needs points for each way to deal one out, got none")
    shares = sorted({share for line in points.values() for share in line})
    if shares[0] <= 0 or shares[-1] > 1:
        raise InputError(f"caches are shares of the prompt above 0 and at most 1, got {shares[0]} to {shares[-1]}")
    lines = [_line(name, line) for name, line in points.items()]
    figure = curves(lines, x="cache, % of the prompt", y=Axis(y), title=title or "Quality against cache size", subtitle=subtitle, dark=dark)
    ticks = [100 * share for share in shares]
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    return figure


def _line(name: str, line: Mapping[float, Interval]) -> Curve:
    shares: Sequence[float] = sorted(line)
    dash = 2 if name in CONTROLS else _DASHES.get(name, 0)
    return Curve(name, [100 * share for share in shares], [line[share] for share in shares], color=_COLORS.get(name), dash=dash)
