"""Where heads look at every generated token: the whole pattern through circuitsvis where the context is short, else a map of it."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float, Int
from plotly.subplots import make_subplots

from mechdyn.errors import InputError
from mechdyn.heads import Head
from mechdyn.traces.trace import Trace
from mechdyn.views.attention import attention_row, context_texts
from mechdyn.views.given import takes_traces
from mechdyn.views.html import Html
from mechdyn.views.positions import stretches
from mechdyn.views.text import label
from mechdyn.views.theme import MONO, Look, evenly, finish, heading, look
from mechdyn.views.timeline import choose_heads
from mechdyn.views.tokens import framed, shown

SHORT = 128
"""Tokens of prompt and answer up to which circuitsvis draws the pattern: it draws a cell for every pair."""
_BINS, _FLOOR, _DECADES = 400, 1e-4, 4
"""Stretches of a longer context, the least weight that is told apart, and the powers of ten above it."""
_MOST_DRAWN = 1200
_STEP_PIXELS, _LEAST_PIXELS, _MOST_PIXELS, _BETWEEN, _MOST_LABELS = 12, 90, 320, 46, 24

Rows = list[list[np.ndarray]]
"""By head and step: the weights of every position before the step's token."""


@takes_traces("trace")
def patterns(
    trace: Trace, *, heads: str | Iterable[Head | tuple[int, int]] = "varying", n: int = 4, title: str = "", dark: bool = False
) -> go.Figure | Html:
    """The attention of some heads at every generated token, over the whole context.

    Up to 128 tokens of prompt and answer it is drawn by circuitsvis, a head at a time, with every token; rows of the prompt are empty, for
    a trace holds what generated tokens attend to. A longer context is a map by plotly, a panel for each head: generated tokens down,
    the context across in at most 400 stretches, each with its largest weight, on a logarithmic colour from 0.0001 to 1; the needle is
    marked below. The second line says which of the two it is.

    Args:
        trace: one generation with its sources, which `trace` keeps, or its patterns; positions that were not kept count as 0.
        heads: `varying`, `top`, `all` or the heads themselves, as for `timeline`.
        n: how many heads `varying` and `top` show.
        title: the first line above; model, task and setting when left out.
        dark: for a dark background.

    Raises:
        InputError: no trace, one without steps, neither sources nor patterns in it, or heads as for `timeline`.
    """
    if trace.n_steps == 0:
        raise InputError(f"patterns need at least one generated token, the trace has none (it stopped at {trace.stopped}); trace another")
    chosen, how = choose_heads(trace, heads, n)
    rows = [[np.nan_to_num(attention_row(trace, step, head)) for step in range(trace.n_steps)] for head in chosen]
    if len(trace.prompt_tokens) + trace.n_steps <= SHORT:
        return _whole(trace, chosen, rows, (heading(trace, title), f"{how}; every token, drawn by circuitsvis"), dark)
    return _map(trace, chosen, rows, (heading(trace, title), how), look(dark))


def _whole(trace: Trace, chosen: Sequence[Head], rows: Rows, lines: tuple[str, str], dark: bool) -> Html:
    from circuitsvis.attention import attention_heads  # takes a second to import

    texts = context_texts(trace)
    attention = np.zeros((len(chosen), len(texts), len(texts)), dtype=np.float32)
    for place, steps in enumerate(rows):
        for step, weights in enumerate(steps):
            attention[place, len(trace.prompt_tokens) + step, : len(weights)] = weights
    drawn = attention_heads(attention, [shown(text) for text in texts], attention_head_names=[str(head) for head in chosen])
    return framed(drawn.local_src, lines, dark, most=_MOST_DRAWN)


def _map(trace: Trace, chosen: Sequence[Head], rows: Rows, lines: tuple[str, str], colors: Look) -> go.Figure:
    n_keys = len(trace.prompt_tokens) + trace.n_steps
    edges = np.unique(np.linspace(0, n_keys, min(_BINS, n_keys) + 1).astype(int))
    height = max(_LEAST_PIXELS, min(_MOST_PIXELS, _STEP_PIXELS * trace.n_steps))
    total = height * len(chosen) + _BETWEEN * (len(chosen) - 1)
    names = [f"<b>{head}</b>" for head in chosen]
    gap = _BETWEEN / total if len(chosen) > 1 else 0
    figure = make_subplots(rows=len(chosen), cols=1, shared_xaxes=True, vertical_spacing=gap, subplot_titles=names)
    labelled = list(range(0, trace.n_steps, -(-trace.n_steps // _MOST_LABELS)))
    ticks = [label(trace.token_texts[step], 10) for step in labelled]
    for place, steps in enumerate(rows, start=1):
        figure.add_trace(_cells(trace, steps, edges), row=place, col=1)
        figure.add_trace(_needle(trace, colors, first=place == 1), row=place, col=1)
    figure.update_yaxes(tickvals=labelled, ticktext=ticks, range=[trace.n_steps + 0.4, -0.5])
    figure.update_yaxes(showgrid=False, tickfont={"family": MONO, "size": 10})
    figure.update_xaxes(showgrid=False, range=[-0.5, n_keys - 0.5])
    figure.update_xaxes(title_text="position in the context", row=len(chosen), col=1)
    bar: dict[str, Any] = {
        "title": {"text": "weight"},
        "tickvals": list(range(-_DECADES, 1)),
        "ticktext": ["0.0001", "0.001", "0.01", "0.1", "1"],
    }
    bar |= {"lenmode": "pixels", "len": min(280, total), "y": 1, "yanchor": "top"}
    figure.update_layout(coloraxis={"cmin": -_DECADES, "cmax": 0, "colorscale": evenly(colors.scale), "colorbar": bar}, margin_t=96)
    figure.update_annotations(font_size=13)
    cut = f"the largest weight of each of {len(edges) - 1} stretches" if len(edges) <= n_keys else "every position"
    said = f"{lines[1]}; {n_keys:,} tokens, too many for circuitsvis: {cut}"
    return finish(figure, lines[0], said, dark=colors.name.endswith("dark"), height=total + 210, min_width=480)


def _cells(trace: Trace, steps: Sequence[np.ndarray], edges: Int[np.ndarray, " edge"]) -> go.Heatmap:
    peaks = np.full((trace.n_steps, len(edges) - 1), np.nan)
    for step, weights in enumerate(steps):
        starts = edges[:-1][edges[:-1] < len(weights)]
        peaks[step, : len(starts)] = np.maximum.reduceat(weights, starts)
    decades: Float[np.ndarray, "step stretch"] = np.log10(np.maximum(peaks, _FLOOR))
    texts = np.array([[f"step {step} · {label(text, 24)}"] for step, text in enumerate(trace.token_texts)], dtype=object)
    return go.Heatmap(
        z=decades,
        x=(edges[:-1] + edges[1:] - 1) / 2,
        y=np.arange(trace.n_steps),
        text=np.broadcast_to(texts, peaks.shape),
        customdata=peaks,
        coloraxis="coloraxis",
        xgap=0,
        ygap=0 if trace.n_steps > 40 else 1,
        hovertemplate="%{text}<br>about position %{x:.0f}: weight %{customdata:.4f}<extra></extra>",
    )


def _needle(trace: Trace, colors: Look, *, first: bool) -> go.Scatter:
    runs = stretches(trace.needle_positions.numpy())
    return go.Scatter(
        x=[(start + end) / 2 for start, end in runs],
        y=[trace.n_steps] * len(runs),
        mode="markers",
        name="needle",
        legendgroup="needle",
        showlegend=first and bool(runs),
        marker={"symbol": "triangle-up", "size": 10, "color": colors.accent},
        customdata=[f"{start} to {end}" for start, end in runs],
        hovertemplate="needle, positions %{customdata}<extra></extra>",
    )
