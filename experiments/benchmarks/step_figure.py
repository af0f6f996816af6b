"""Table and figure of `step_cost`."""

from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from experiments.benchmarks.random_model import Shape
from mechdyn.views.theme import look

AXES = {"context": lambda found: found["length"], "batch": lambda found: found["batch"], "layers": lambda found: found["shape"]["n_layers"]}
WAYS = {"trace": "traced step", "ablate": "observe and ablate"}


def table(found: list[dict[str, Any]]) -> str:
    """Milliseconds a step, and ratios to plain generation and to the floor."""
    lines = [
        "| varied | model | tokens | batch | sdpa step, ms | traced step | observe and ablate | floor, ms | traced step over floor |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for point in found:
        cells = (
            point["axis"],
            Shape(**point["shape"]),
            f"{point['length']:,}",
            point["batch"],
            f"{point['milliseconds']['sdpa']:.1f}",
            *(f"{point['ratio'][way]:.2f} x" for way in WAYS),
            f"{point['floor_milliseconds']:.1f}",
            f"{point['trace_over_floor']:.2f} x",
        )
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def figure(found: list[dict[str, Any]]) -> go.Figure:
    """Cost against plain generation, a panel for each axis that was varied."""
    axes = [axis for axis in AXES if any(point["axis"] == axis for point in found)]
    drawn = make_subplots(rows=1, cols=max(len(axes), 1), shared_yaxes=True, subplot_titles=axes)
    colours = look(False).series
    for column, axis in enumerate(axes, start=1):
        points = [point for point in found if point["axis"] == axis]
        values = [AXES[axis](point) for point in points]
        for colour, (way, name) in zip(colours, WAYS.items(), strict=False):
            costs = [point["ratio"][way] for point in points]
            line = {"mode": "lines+markers", "name": name, "legendgroup": way, "showlegend": column == 1, "line": {"color": colour}}
            drawn.add_scatter(x=values, y=costs, row=1, col=column, **line)
        texts = [f"{value // 1024} k" if value >= 1024 else str(value) for value in values]
        drawn.update_xaxes(type="log", tickvals=values, ticktext=texts, row=1, col=column)
    drawn.update_yaxes(rangemode="tozero")
    drawn.update_yaxes(title="times a step of generate", col=1)
    return drawn.update_layout(template=look(False).name, width=900, height=340)
