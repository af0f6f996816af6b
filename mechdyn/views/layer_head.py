"""Every head of the model at one step."""

from collections.abc import Iterable

import numpy as np
import plotly.graph_objects as go

from mechdyn.heads import Head, HeadSet
from mechdyn.traces.trace import Trace
from mechdyn.views.given import takes_traces
from mechdyn.views.text import quoted
from mechdyn.views.theme import finish, heading, look, numbered, score_axis, score_key


@takes_traces("trace")
def layer_head(trace: Trace, step: int, *, marked: Iterable[Head | tuple[int, int]] = (), title: str = "", dark: bool = False) -> go.Figure:
    """Layers x heads, coloured by retrieval score at one generated token; heads switched off at that step carry a frame.

    Args:
        trace: one generation.
        step: the generated token; negative steps count from the end.
        marked: heads that carry a cross, such as those chosen for the next ablation.
        title: the first line above; model, task and setting when left out.
        dark: for a dark background.

    Raises:
        InputError: no trace, a step outside the trace, or a marked head outside the model.
    """
    retrieving = trace.heads(step)
    step %= trace.n_steps
    scores = trace.retrieval_scores[step].numpy()
    n_layers, n_heads = scores.shape
    colors = look(dark)
    cells = go.Heatmap(
        z=scores,
        x=np.arange(n_heads),
        y=np.arange(n_layers),
        coloraxis="coloraxis",
        text=np.where(scores > trace.threshold, "yes", "no"),
        hovertemplate="<b>L%{y}H%{x}</b><br>score %{z:.3~f}, retrieves: %{text}<extra></extra>",
    )
    figure = go.Figure(cells)
    figure.update_layout(coloraxis=score_axis(trace.retrieval_scores.numpy(), trace.threshold, colors))
    if trace.ablated is not None:
        figure.add_trace(_ablated(trace, step, colors.accent))
    crossed = HeadSet.of(marked, n_layers, n_heads)
    if len(crossed):
        figure.add_trace(_crosses(crossed, colors.accent))
    score_key(figure, trace.retrieval_scores.numpy(), trace.threshold, colors)
    figure.update_xaxes(title_text="head", **numbered(n_heads))
    figure.update_yaxes(title_text="layer", **numbered(n_layers))
    subtitle = f"step {step}, generating {quoted(trace.token_texts[step])}: {len(retrieving)} of {n_layers * n_heads} heads retrieve"
    return finish(figure, heading(trace, title), subtitle, dark=dark, height=140 + max(120, min(640, 20 * n_layers)))


def _ablated(trace: Trace, step: int, color: str) -> go.Scatter:
    assert trace.ablated is not None
    layers, heads = trace.ablated[step].numpy().nonzero()
    return go.Scatter(
        x=heads,
        y=layers,
        mode="markers",
        name="ablated",
        showlegend=True,
        hoverinfo="skip",
        marker={"symbol": "square-open", "size": 10, "line": {"width": 2}, "color": color},
    )


def _crosses(heads: HeadSet, color: str) -> go.Scatter:
    return go.Scatter(
        x=[head.head for head in heads],
        y=[head.layer for head in heads],
        mode="markers",
        name="marked",
        showlegend=True,
        hoverinfo="skip",
        marker={"symbol": "x-thin", "size": 11, "line": {"width": 3, "color": color}, "color": color},
    )
