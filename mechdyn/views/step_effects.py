"""What switching heads off at one step takes from the log probability of that step's token: an effect a step."""

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from mechdyn.errors import InputError
from mechdyn.traces.effect import Effect
from mechdyn.traces.trace import Trace
from mechdyn.views.text import escape, full, label
from mechdyn.views.theme import MONO, finish, heading, look, token_axis

SHOWN_SETS = 4
"""Sets that are drawn at once; a click on the legend shows the others."""
_MOST_LABELS, _LABEL_PIXELS, _MOST_NAME = 80, 14, 40
_SYMBOLS = ("circle", "square", "diamond", "x", "triangle-up", "cross")


def step_effects(found: Effect | Trace, *, title: str = "", dark: bool = False) -> go.Figure:
    """Δ log p over the generated tokens: what each set of heads, off at that step alone, takes from the token's log probability, in nats.

    Above 0 the heads made the token likelier: 0.7 nats halve its probability, 2.3 leave a tenth of it. One set is drawn as bars, several
    as points, the first four at once; the legend shows the others. Draws of random heads are one set, their mean. Where a set has no head
    at a step there is nothing.

    Args:
        found: what `md.effect` returned, or a trace that holds an effect along its answer.
        title: the first line above; of a trace, model, task and setting when left out.
        dark: for a dark background.

    Raises:
        InputError: a trace without an effect, or an answer without a token.
    """
    effect = found.effect if isinstance(found, Trace) else found
    if effect is None:
        raise InputError("effects at one step are what md.effect(model, sample, heads) returns, got a trace along which none was measured")
    if effect.n_steps == 0:
        raise InputError("effects at one step need at least one generated token, this answer has none; measure along another")
    by_set = {name: values.numpy() for name, values in effect.by_step().items()}
    colors, figure = look(dark), go.Figure()
    for place, (name, values) in enumerate(by_set.items()):
        figure.add_trace(_series(effect, name, values, place, alone=len(by_set) == 1, color=colors.series[place % len(colors.series)]))
    figure.add_hline(y=0, line={"color": colors.muted, "width": 1})
    _axes(figure, effect)
    figure.update_layout(showlegend=len(by_set) > 1)
    above = heading(found, title) if isinstance(found, Trace) else escape(title) or "What heads off at one step take from its token"
    width = max(360, 100 + _LABEL_PIXELS * min(effect.n_steps, _MOST_LABELS))
    return finish(figure, above, _subtitle(by_set), dark=dark, height=360, min_width=width)


def _series(effect: Effect, name: str, values: Float[np.ndarray, " step"], place: int, *, alone: bool, color: str) -> go.Bar | go.Scatter:
    steps = np.flatnonzero(~np.isnan(values))
    told = [f"step {step} · {full(effect.token_texts[step], 400)}<br>p {float(effect.clean[step].exp()):.3g}" for step in steps]
    common = {
        "x": steps,
        "y": values[steps],
        "name": label(name, _MOST_NAME),
        "customdata": told,
        "hovertemplate": "<b>%{fullData.name}</b> off · %{customdata} with every head on<br>Δ log p %{y:.3f} nats<extra></extra>",
    }
    if alone:
        return go.Bar(**common, width=0.8, marker={"color": color, "line": {"width": 0}})
    marker = {"color": color, "size": 7, "symbol": _SYMBOLS[place % len(_SYMBOLS)]}
    return go.Scatter(**common, mode="markers", marker=marker, visible=True if place < SHOWN_SETS else "legendonly")


def _axes(figure: go.Figure, effect: Effect) -> None:
    labelled, about = token_axis(effect.n_steps, _MOST_LABELS)
    figure.update_xaxes(
        range=[-0.5, effect.n_steps - 0.5],
        showgrid=False,
        tickvals=labelled,
        ticktext=[label(effect.token_texts[step]) for step in labelled],
        tickangle=-90,
        tickfont={"family": MONO, "size": 11},
        title_text=about,
    )
    figure.update_yaxes(title_text="Δ log p in nats")


def _subtitle(by_set: dict[str, Float[np.ndarray, " step"]]) -> str:
    """The mean of each set that is drawn from the start, over the steps at which it has a head."""
    means = []
    for name, values in list(by_set.items())[:SHOWN_SETS]:
        known = values[~np.isnan(values)]
        means.append(f"{label(name, _MOST_NAME)} {known.mean():.3g}" if len(known) else f"{label(name, _MOST_NAME)} none")
    return f"heads off at one step alone, the answer given; mean: {', '.join(means)} nats"
