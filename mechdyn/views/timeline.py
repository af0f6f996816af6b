"""Which heads retrieve at which generated token (paper, Figures 1 and 5)."""

from collections.abc import Iterable

import numpy as np
import plotly.graph_objects as go
from einops import rearrange
from jaxtyping import Bool, Float, Int
from plotly.subplots import make_subplots

from mechdyn.errors import InputError
from mechdyn.heads import Head, HeadSet
from mechdyn.traces.stored import AnyTrace
from mechdyn.views.given import takes_traces
from mechdyn.views.text import full, label
from mechdyn.views.theme import MONO, Look, finish, heading, look, score_axis, score_key, token_axis

MAX_TOKEN_LABELS = 80
STEADY = 0.9
"""Share of the steps from which on a head counts as steady."""
_ROW_PIXELS, _LABEL_PIXELS, _STRIP_PIXELS = 22, 14, 56
_MAX_HEATMAP_PIXELS = 900
_HOVER_CHARACTERS = 20_000_000
"""Characters of token text that all hovers together may hold: every cell carries its token's text."""
_TEXT_CELLS = 100_000
"""Cells up to which they do: beyond, the page would be mostly hovers, and the strip's alone tell the token."""


@takes_traces("trace", stored=True)
def timeline(
    trace: AnyTrace, *, heads: str | Iterable[Head | tuple[int, int]] = "varying", n: int = 10, title: str = "", dark: bool = False
) -> go.Figure:
    """Heads x generated tokens, coloured by retrieval score, under a strip that counts the retrieving heads of each step.

    A legend tells the two colours of a binary score. A continuous one shows grey up to the trace's threshold and coloured above. A cross
    in the strip marks a step at which no head of the model retrieves. Hovers tell the token, whether the head retrieves and whether it was
    switched off; beyond 100,000 cells those of the cells tell head, step and score alone.

    Args:
        trace: one generation. With an ablation, scores are those of the observing forward.
        heads: `varying`: first the steady heads, which retrieve at 90 % of the steps or more and so hardly vary (the steadiest first, `n`
            at most); then the `n` heads, of the others, whose score has the largest variance over the steps (Figure 1), ties by (layer,
            head). `top`: the `n` with the largest mean, ties by (layer, head). `all`. Or
            the heads themselves, drawn in the order given.
        n: how many heads `varying` and `top` show; a model with fewer shows all.
        title: the first line above; model, task and setting when left out.
        dark: for a dark background.

    Raises:
        InputError: no trace, one without steps, `n` below 1, an unknown word, no head, or a head outside the model.
    """
    if trace.n_steps == 0:
        raise InputError(
            f"a timeline needs at least one generated token, the trace has none (it stopped at {trace.stopped}); trace another sample"
        )
    chosen, how = choose_heads(trace, heads, n)
    layers, columns = [head.layer for head in chosen], [head.head for head in chosen]
    every = np.asarray(trace.retrieval_scores)
    scores = every[:, layers, columns].T
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.02, row_heights=_row_heights(len(chosen)))
    colors = look(dark)
    figure.add_trace(_strip(trace, colors), row=1, col=1)
    figure.add_trace(_silent_steps(trace, colors), row=1, col=1)
    figure.add_trace(_cells(trace, chosen, scores), row=2, col=1)
    axis = score_axis(every, trace.threshold, colors)
    axis["colorbar"] |= {"len": 0.75, "y": 0, "yanchor": "bottom"}
    figure.update_layout(coloraxis=axis)
    score_key(figure, every, trace.threshold, colors)
    _axes(figure, trace)
    activated = int((every > trace.threshold).any(axis=0).sum())
    subtitle = f"{how}; {activated} of {every[0].size} heads retrieve at some step"
    if trace.ablated is not None:
        subtitle += "; ablated run, scores as observed before the ablation"
    height, width = sum(_pixels(len(chosen))) + 190, _min_width(trace.n_steps)
    return finish(figure, heading(trace, title), subtitle, dark=dark, height=height, min_width=width)


def steady(retrieves: Bool[np.ndarray, "step head"]) -> Int[np.ndarray, " steady"]:
    """The heads that retrieve at 90 % of the steps or more, the steadiest first, ties by index."""
    share = retrieves.mean(axis=0)
    order = np.argsort(-np.round(share, 12), kind="stable")
    return order[share[order] >= STEADY]


def varying(scores: Float[np.ndarray, "step head"], retrieves: Bool[np.ndarray, "step head"]) -> Int[np.ndarray, " other"]:
    """All heads but the steady ones by descending variance of their score over the steps, ties by index.

    The variance is the population's. It is rounded to 12 digits, so that p (1 − p) ties with (1 − p) p.
    """
    variance = np.round(scores.astype(np.float64).var(axis=0), 12)
    order = np.argsort(-variance, kind="stable")
    return order[~np.isin(order, steady(retrieves))]


def highest(scores: Float[np.ndarray, "step head"]) -> Int[np.ndarray, " head"]:
    """Heads by descending mean score, ties by index."""
    return np.argsort(-np.round(scores.astype(np.float64).mean(axis=0), 12), kind="stable")


def choose_heads(trace: AnyTrace, heads: str | Iterable[Head | tuple[int, int]], n: int) -> tuple[list[Head], str]:
    """The heads to draw from top to bottom, and how they were chosen in words; `heads` and `n` as for `timeline`."""
    _, n_layers, n_heads = trace.retrieval_scores.shape
    if not isinstance(heads, str):
        wanted = [Head(*head) for head in heads]
        if not wanted:
            raise InputError("a timeline of chosen heads needs at least one head, got none; name some or use heads='varying'")
        HeadSet.of(wanted, n_layers, n_heads)
        return wanted, f"{len(wanted)} chosen head{'s' * (len(wanted) > 1)}"
    if n < 1:
        raise InputError(f"n must be at least 1, got {n}; the paper shows 10")
    scores = rearrange(np.asarray(trace.retrieval_scores), "step layer head -> step (layer head)")
    shown = min(n, n_layers * n_heads)
    if heads == "varying":
        order, how = _steady_and_varying(scores, scores > trace.threshold, shown)
    elif heads == "top":
        order, how = highest(scores)[:shown], f"the {shown} heads with the highest mean score"
    elif heads == "all":
        order, how = np.arange(n_layers * n_heads), f"all {n_layers * n_heads} heads"
    else:
        raise InputError(f"heads must be 'varying', 'top', 'all' or a list of heads, got {heads!r}")
    return [Head(*divmod(int(index), n_heads)) for index in order], how


def _steady_and_varying(
    scores: Float[np.ndarray, "step head"], retrieves: Bool[np.ndarray, "step head"], n: int
) -> tuple[Int[np.ndarray, " shown"], str]:
    """The steady heads above the most varying ones, `n` of each at most."""
    above, below = steady(retrieves), varying(scores, retrieves)[:n]
    said = f"the {len(below)} most varying heads"
    if len(above):
        first = f"{n} of {len(above)} heads" if len(above) > n else f"{len(above)} head{'s' * (len(above) > 1)}"
        said = f"{first} on at {STEADY:.0%} of the steps or more, then {said}"
    return np.concatenate([above[:n], below]), said


def _cells(trace: AnyTrace, chosen: list[Head], scores: Float[np.ndarray, "row step"]) -> go.Heatmap:
    gap = 1 if len(chosen) <= 60 and trace.n_steps <= 120 else 0
    drawn = go.Heatmap(z=scores, x=np.arange(trace.n_steps), y=[str(head) for head in chosen], coloraxis="coloraxis", xgap=gap, ygap=gap)
    if scores.size > _TEXT_CELLS:
        steps = np.broadcast_to(np.arange(trace.n_steps, dtype=np.int32), scores.shape)
        return drawn.update(customdata=steps, hovertemplate="<b>%{y}</b> · step %{customdata}<br>score %{z:.3~f}<extra></extra>")
    limit = max(40, _HOVER_CHARACTERS // scores.size)
    texts = np.array([f"step {step} · {full(text, limit)}" for step, text in enumerate(trace.token_texts)], dtype=object)
    return drawn.update(
        customdata=np.broadcast_to(texts, scores.shape),
        text=_states(trace, chosen, scores),
        hovertemplate="<b>%{y}</b> · %{customdata}<br>score %{z:.3~f}, retrieves: %{text}<extra></extra>",
    )


def _states(trace: AnyTrace, chosen: list[Head], scores: Float[np.ndarray, "row step"]) -> np.ndarray:
    """What a hover says of each cell in words."""
    states = np.where(scores > trace.threshold, "yes", "no").astype(object)
    if trace.ablated is None:
        return states
    ablated = np.asarray(trace.ablated)[:, [head.layer for head in chosen], [head.head for head in chosen]].T
    return np.where(ablated, states + ", ablated", states)


def _strip(trace: AnyTrace, colors: Look) -> go.Bar:
    counts = np.count_nonzero(np.asarray(trace.active), axis=(1, 2))
    return go.Bar(
        x=np.arange(trace.n_steps),
        y=counts,
        width=0.8,
        marker={"color": colors.muted, "line": {"width": 0}},
        customdata=[f"step {step} · {full(text, 400)}" for step, text in enumerate(trace.token_texts)],
        hovertemplate="%{customdata}<br>%{y} heads retrieve<extra></extra>",
        showlegend=False,
    )


def _silent_steps(trace: AnyTrace, colors: Look) -> go.Scatter:
    silent = np.flatnonzero(~np.asarray(trace.retrieving_steps))
    return go.Scatter(
        x=silent,
        y=np.zeros(len(silent)),
        mode="markers",
        name="no head retrieves",
        marker={"symbol": "x", "size": 6, "color": colors.accent},
        cliponaxis=False,
        customdata=[f"step {step} · {full(trace.token_texts[step], 400)}" for step in silent],
        hovertemplate="%{customdata}<br>no head retrieves<extra></extra>",
        showlegend=len(silent) > 0,
    )


def _axes(figure: go.Figure, trace: AnyTrace) -> None:
    labelled, about = token_axis(trace.n_steps, MAX_TOKEN_LABELS)
    figure.update_xaxes(range=[-0.5, trace.n_steps - 0.5], showgrid=False)
    figure.update_xaxes(
        tickvals=labelled,
        ticktext=[label(trace.token_texts[step]) for step in labelled],
        tickangle=-90,
        tickfont={"family": MONO, "size": 11},
        title_text=about,
        row=2,
        col=1,
    )
    figure.update_yaxes(title_text="heads", rangemode="tozero", nticks=3, row=1, col=1)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False, tickfont={"family": MONO, "size": 11}, row=2, col=1)


def _pixels(n_rows: int) -> tuple[int, int]:
    return _STRIP_PIXELS, min(_MAX_HEATMAP_PIXELS, max(3, n_rows) * _ROW_PIXELS)


def _row_heights(n_rows: int) -> list[float]:
    strip, cells = _pixels(n_rows)
    return [strip / (strip + cells), cells / (strip + cells)]


def _min_width(n_steps: int) -> int:
    return max(360, 100 + _LABEL_PIXELS * min(n_steps, MAX_TOKEN_LABELS))
