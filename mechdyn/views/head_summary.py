"""Heads over many samples of a run: how often each retrieves, which retrieve together, and one head by itself."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from mechdyn.errors import InputError
from mechdyn.heads import Head
from mechdyn.stats.interval import Interval
from mechdyn.studies.head_activity import KINDS
from mechdyn.studies.head_summary import STEPS_RANKING, HeadSummary
from mechdyn.views.panels import IntervalPanel, interval_panels
from mechdyn.views.text import escape
from mechdyn.views.theme import evenly, finish, look, numbered

_CELL = 22
"""Pixels of a head in the matrix."""


def head_shares(found: HeadSummary, *, condition: str = "", title: str = "", dark: bool = False) -> go.Figure:
    """Layers x heads, coloured by the share of steps at which each head retrieves, over all samples of a condition.

    A hover tells the share with its 95 % interval, for which samples that share a needle or a haystack count together.

    Args:
        found: what `mechdyn.studies.head_summary.summary_of(traces)` returned.
        condition: which of its conditions; the first when left out.
        title: the first line above.
        dark: for a dark background.

    Raises:
        InputError: a condition that it has not.
    """
    condition = condition or next(iter(found.shares))
    if condition not in found.shares:
        raise InputError(f"the heads were counted under {', '.join(found.shares)}, got {condition!r}; give one of them")
    shares, (n_layers, n_heads) = found.shares[condition], _shape(found)
    told = [f"{shares.interval(head):.3f}" for head in range(n_layers * n_heads)]
    cells = go.Heatmap(
        z=shares.estimate.reshape(n_layers, n_heads),
        x=np.arange(n_heads),
        y=np.arange(n_layers),
        coloraxis="coloraxis",
        text=np.array(told, dtype=object).reshape(n_layers, n_heads),
        hovertemplate="<b>L%{y}H%{x}</b><br>retrieves at %{text} of the steps<extra></extra>",
    )
    figure = go.Figure(cells)
    figure.update_layout(coloraxis=_colors(float(np.nanmax(shares.estimate)), "share", dark))
    figure.update_xaxes(title_text="head", **numbered(n_heads))
    figure.update_yaxes(title_text="layer", **numbered(n_layers))
    subtitle = f"{escape(condition)}: share of {shares.n:,} steps of {found.n_samples[condition]:,} samples at which each head retrieves"
    return finish(figure, escape(title or "How often heads retrieve"), subtitle, dark=dark, height=140 + max(120, min(640, 20 * n_layers)))


def co_activation(found: HeadSummary, *, title: str = "", dark: bool = False) -> go.Figure:
    """Every two of the heads that retrieve most often: above the diagonal how often they do so together, below it what chance gives.

    Together: of the steps at which either retrieves, the share at which both do (Jaccard). By chance: that share if, within each sample,
    the one's steps had nothing to do with the other's. A hover tells both, with the 95 % interval.

    Args:
        found: what `mechdyn.studies.head_summary.summary_of(traces)` returned, of its first condition.
        title: the first line above.
        dark: for a dark background.

    Raises:
        InputError: fewer than two heads that retrieve.
    """
    if not found.pairs:
        raise InputError("heads that retrieve together need two heads that retrieve at some step, got fewer; trace more samples")
    heads = sorted({head for pair in found.pairs for head in (pair.first, pair.second)})
    place = {head: index for index, head in enumerate(heads)}
    shares, told = np.full((len(heads),) * 2, np.nan), np.full((len(heads),) * 2, "", dtype=object)
    for pair in found.pairs:
        low, high = sorted((place[pair.first], place[pair.second]))
        shares[low, high], shares[high, low] = pair.jaccard.estimate, pair.chance
        text = f"<b>{heads[low]} and {heads[high]}</b><br>together {pair.jaccard:.3f}<br>by chance {pair.chance:.3f}"
        told[low, high] = told[high, low] = text
    names = list(map(str, heads))
    hover = {"text": told, "hovertemplate": "%{text}<extra></extra>", "hoverongaps": False}
    figure = go.Figure(go.Heatmap(z=shares, x=names, y=names, coloraxis="coloraxis", **hover))
    figure.update_layout(coloraxis=_colors(float(np.nanmax(shares)), "Jaccard", dark))
    figure.update_xaxes(type="category", tickangle=-90, showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    subtitle = "above the diagonal: of the steps of either, the share of both; below: the same by chance"
    side = _CELL * len(heads)
    return finish(
        figure, escape(title or "Heads that retrieve together"), subtitle, dark=dark, height=180 + max(120, side), min_width=max(360, side)
    )


def one_head(found: HeadSummary, head: Head, *, title: str = "", dark: bool = False) -> go.Figure:
    """One head: the share of steps at which it retrieves under each condition, in each tenth of the needle, on each kind of token.

    The last two are of the first condition. Lines are 95 % intervals.

    Args:
        found: what `mechdyn.studies.head_summary.summary_of(traces)` returned.
        head: the head.
        title: the first line above.
        dark: for a dark background.

    Raises:
        InputError: a head outside the model.
    """
    n_layers, n_heads = _shape(found)
    if not (0 <= head.layer < n_layers and 0 <= head.head < n_heads):
        raise InputError(f"the summary is of {n_layers} layers of {n_heads} heads, got {head}; give one of these")
    rows = {name: value for name, value in _rows(found, head.layer * n_heads + head.head).items() if value.n}
    rank = found.rankings[STEPS_RANKING].heads.index(head) + 1
    subtitle = f"place {rank} of {n_layers * n_heads} by the share of steps at which it retrieves; 95 % intervals"
    panel = IntervalPanel("share of steps", {"retrieves": rows})
    return interval_panels([panel], title=title or str(head), subtitle=subtitle, dark=dark).update_xaxes(rangemode="tozero")


def _rows(found: HeadSummary, flat: int) -> Mapping[str, Interval]:
    rows = {name: shares.interval(flat) for name, shares in found.shares.items()}
    rows |= {f"needle, tenth {index}": shares.interval(flat) for index, shares in enumerate(found.places or (), start=1)}
    return rows | {f"token: {kind}": shares.interval(flat) for kind, shares in zip(KINDS, found.kinds, strict=True)}


def _shape(found: HeadSummary) -> tuple[int, int]:
    ranking = found.rankings[STEPS_RANKING]
    assert ranking.n_layers is not None and ranking.n_heads is not None  # a summary ranks every head of its model
    return ranking.n_layers, ranking.n_heads


def _colors(most: float, name: str, dark: bool) -> dict[str, object]:
    """A scale from 0 to the largest share."""
    return {"cmin": 0.0, "cmax": max(most, 1e-9), "colorscale": evenly(look(dark).scale), "colorbar": {"title": {"text": name}}}
