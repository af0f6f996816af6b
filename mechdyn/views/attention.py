"""Where one head looks at one step: its strongest sources in the context, with the text around them."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots

from mechdyn.errors import InputError
from mechdyn.heads import Head, HeadSet
from mechdyn.text import printable, short, visible
from mechdyn.traces.trace import Trace
from mechdyn.views.given import takes_traces
from mechdyn.views.positions import stretches
from mechdyn.views.text import full, isolated, quoted
from mechdyn.views.theme import MONO, Look, finish, heading, look

_AROUND = 12
"""Tokens shown on either side of a source."""
_SIDE_CHARACTERS = 18
_BINS = 400
_FLOOR = 1e-4
"""Lowest weight that the overview's logarithmic axis shows."""
_ROW_PIXELS, _OVERVIEW_PIXELS = 34, 120


@dataclass(frozen=True)
class Source:
    """One key position with its attention weight and the text around its token."""

    position: int
    weight: float
    before: str
    token: str
    after: str
    needle: bool


@takes_traces("trace")
def attention(trace: Trace, step: int, head: Head | tuple[int, int], *, top_k: int = 16, title: str = "", dark: bool = False) -> go.Figure:
    """The `top_k` strongest sources of a head at a step, strongest first, under an overview of the whole context.

    The overview draws the largest weight of each of at most 400 stretches of the context, on a logarithmic axis from 0.0001 to 1; the
    needle's place is marked below it. Contexts of 100,000 tokens are no larger to draw than short ones.

    Args:
        trace: one generation with its sources, which `trace` keeps, or its patterns. A stored trace has neither: `replay` makes its
            sources again. Without `prompt_texts`, prompt tokens show as their ids.
        step: the generated token; negative steps count from the end.
        head: which head.
        top_k: how many sources, no more than the trace kept; a shorter context shows all its positions. Ties go to the lower position.
        title: the first line above; model, task and setting when left out.
        dark: for a dark background.

    Raises:
        InputError: no trace, neither sources nor patterns in the trace, a step or head outside it, or `top_k` below 1.
    """
    weights = attention_row(trace, step, head)
    step %= trace.n_steps
    found = sources(trace, weights, top_k)
    colors = look(dark)
    heights = [_OVERVIEW_PIXELS, _ROW_PIXELS * len(found)]
    figure = make_subplots(
        rows=2, cols=1, row_heights=[height / sum(heights) for height in heights], vertical_spacing=70 / (sum(heights) + 70)
    )
    _draw_overview(figure, weights, trace, colors)
    _draw_sources(figure, found, colors)
    covered = sum(source.weight for source in found)
    subtitle = (
        f"{Head(*head)} at step {step}, generating {quoted(trace.token_texts[step])}: "
        f"{len(found)} of {len(weights):,} positions hold {covered:.0%} of its attention"
    )
    return finish(figure, heading(trace, title), subtitle, dark=dark, height=sum(heights) + 190, min_width=480)


def sources(trace: Trace, weights: Float[np.ndarray, " key"], top_k: int) -> list[Source]:
    """The `top_k` largest weights in descending order, ties by position, with their text. What was not kept (NaN) is none of them."""
    if top_k < 1:
        raise InputError(f"top_k must be at least 1, got {top_k}; 16 is the default")
    known = min(top_k, int(np.isfinite(weights).sum()))
    order = np.argsort(-weights, kind="stable")[:known]
    texts = context_texts(trace)[: len(weights)]
    needle = set(trace.needle_positions.tolist())
    found = []
    for position in order.tolist():
        before, after = texts[max(0, position - _AROUND) : position], texts[position + 1 : position + 1 + _AROUND]
        found.append(Source(position, float(weights[position]), "".join(before), texts[position], "".join(after), position in needle))
    return found


def context_texts(trace: Trace) -> list[str]:
    """The text of every position, prompt and generated; a prompt token's id where its text was not kept."""
    return [*(trace.prompt_texts or (f" token id {token}" for token in trace.prompt_tokens.tolist())), *trace.token_texts]


def attention_row(trace: Trace, step: int, head: Head | tuple[int, int]) -> Float[np.ndarray, " key"]:
    """The step's attention row, cut behind its last key; NaN where only the sources were kept and a position is none."""
    if trace.patterns is None and trace.sources is None:
        raise InputError(
            "attention needs the trace's sources and they were not kept; trace again, or give a stored trace its sources with replay"
        )
    trace.heads(step)
    HeadSet.of([head], *trace.retrieval_scores.shape[1:])
    n_keys = len(trace.prompt_tokens) + step % trace.n_steps
    if trace.patterns is not None:
        return trace.patterns[step, head[0], head[1], :n_keys].numpy()
    assert trace.sources is not None
    positions, weights = (each[step, head[0], head[1]].numpy() for each in (trace.sources.positions, trace.sources.weights))
    row = np.full(n_keys, np.nan, dtype=np.float32)
    row[positions[positions >= 0]] = weights[positions >= 0]
    return row


def _draw_overview(figure: go.Figure, weights: Float[np.ndarray, " key"], trace: Trace, colors: Look) -> None:
    starts = np.unique(np.linspace(0, len(weights), min(_BINS, len(weights)), endpoint=False).astype(int))
    ends = np.append(starts[1:], len(weights))
    peaks = np.maximum.reduceat(np.nan_to_num(weights), starts)
    figure.add_trace(
        go.Bar(
            x=(starts + ends - 1) / 2,
            width=ends - starts,
            y=np.where(peaks >= _FLOOR, peaks, np.nan),
            marker={"color": colors.series[0], "line": {"width": 0}},
            customdata=[f"{start}" if end - start == 1 else f"{start} to {end - 1}" for start, end in zip(starts, ends, strict=True)],
            hovertemplate="positions %{customdata}<br>largest weight %{y:.4f}<extra></extra>",
            showlegend=False,
        ),
        row=1,
        col=1,
    )
    runs = stretches(trace.needle_positions.numpy())
    figure.add_trace(
        go.Scatter(
            x=[(first + last) / 2 for first, last in runs],
            y=[_FLOOR] * len(runs),
            mode="markers",
            name="needle",
            marker={"symbol": "triangle-up", "size": 10, "color": colors.accent},
            customdata=[f"{first} to {last}" for first, last in runs],
            hovertemplate="needle at positions %{customdata}<extra></extra>",
            cliponaxis=False,
            showlegend=bool(runs),
        ),
        row=1,
        col=1,
    )
    figure.update_xaxes(title_text="position in the context", range=[-0.5, len(weights) - 0.5], showgrid=False, nticks=6, row=1, col=1)
    figure.update_yaxes(
        title_text="weight", type="log", range=[-4, 0], tickvals=[1e-4, 1e-2, 1], ticktext=["0.0001", "0.01", "1"], row=1, col=1
    )


def _draw_sources(figure: go.Figure, found: list[Source], colors: Look) -> None:
    """A bar a source, its text above it."""
    for drawn in (_weights(found, colors), _texts(found, colors)):
        figure.add_trace(drawn, row=2, col=1)
    top = max((source.weight for source in found), default=0.0)
    figure.update_xaxes(title_text="attention weight", range=[0, top or 1.0], nticks=5, showgrid=False, row=2, col=1)
    figure.update_yaxes(
        tickvals=[row - 0.15 for row in range(len(found))],
        ticktext=[f"{source.position:,}" for source in found],
        ticklabelstandoff=10,
        title_text="position",
        range=[len(found) - 0.4, -0.6],
        showgrid=False,
        tickfont={"family": MONO, "size": 11},
        row=2,
        col=1,
    )


def _weights(found: list[Source], colors: Look) -> go.Bar:
    return go.Bar(
        x=[source.weight for source in found],
        y=[row + 0.25 for row in range(len(found))],
        width=0.3,
        orientation="h",
        marker={"color": [colors.accent if source.needle else colors.series[0] for source in found], "line": {"width": 0}},
        customdata=[[source.position, _hover(source)] for source in found],
        hovertemplate="position %{customdata[0]}, weight %{x:.4f}<br>%{customdata[1]}<extra></extra>",
        showlegend=False,
    )


def _texts(found: list[Source], colors: Look) -> go.Scatter:
    return go.Scatter(
        x=[0] * len(found),
        y=[row - 0.15 for row in range(len(found))],
        mode="text",
        text=[f"{_weight(source.weight)} {_snippet(source)}" for source in found],
        textposition="middle right",
        textfont={"family": MONO, "size": 12, "color": colors.ink},
        hoverinfo="skip",
        cliponaxis=False,
        showlegend=False,
    )


def _snippet(source: Source) -> str:
    """…before [token] after…, each part escaped and kept in its own direction."""
    before = visible(source.before)[-_SIDE_CHARACTERS:]
    after = short(visible(source.after), _SIDE_CHARACTERS)
    return f"{isolated(before)}<b>[{isolated(short(printable(source.token), 24))}]</b>{isolated(after)}"


def _weight(weight: float) -> str:
    return f"{weight:.3f}" if weight >= 0.001 or weight == 0 else "<.001".replace("<", "&lt;")


def _hover(source: Source) -> str:
    before, after = (isolated(short(visible(text), 300)) for text in (source.before, source.after))
    place = "<br>in the needle" if source.needle else ""
    return f"…{before}<br><b>[{full(source.token, 600)}]</b><br>{after}…{place}"
