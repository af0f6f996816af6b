"""A list of heads on the model's grid of layers and heads; two lists, and where they part."""

import math
from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from mechdyn.errors import InputError
from mechdyn.heads import Head, RankedHeads
from mechdyn.stats.head_lists import TOP, n_heads_of, overlap, tied_at
from mechdyn.views.text import escape
from mechdyn.views.theme import finish, look, numbered, score_scale

_LEAST_PIXELS = 11
"""Width of a cell below which a page scrolls sideways."""
_MARKS = {"both": "circle", "first": "triangle-up", "second": "square-open"}


def head_map(ranked: RankedHeads, k: int = TOP, *, title: str = "", dark: bool = False) -> go.Figure:
    """Layers x heads, coloured by rank on a logarithmic scale: the first `k` heads in colour, the others grey, those not listed blank.

    A hover tells rank and score, where there is one.

    Args:
        ranked: the list.
        k: how many heads are in colour.
        title: the first line above; the model when left out.
        dark: for a dark background.

    Raises:
        InputError: a list whose model's shape is not known, or a `k` below 1.
    """
    total = n_heads_of(ranked)
    if k < 1:
        raise InputError(f"the first k heads are drawn in colour, k from 1, got {k}")
    colors = look(dark)
    ranks = _ranks(ranked, k)
    z, edge = _height(ranks, total), float(_height(np.array([k + 0.5]), total)[0])
    figure = go.Figure(_cells(z, _hover({"": ranked}), coloraxis="coloraxis"))
    ticks = sorted({1, min(k, total), total})
    figure.update_layout(
        coloraxis={
            "cmin": 0.0,
            "cmax": 1.0,
            "colorscale": score_scale(colors, 0.0, 1.0, edge),
            "colorbar": {
                "title": {"text": "rank"},
                "tickvals": _height(np.array(ticks, dtype=np.float64), total).tolist(),
                "ticktext": [str(tick) for tick in ticks],
            },
        }
    )
    inside, outside = tied_at(ranked, k)
    tie = f"; {inside} of them score the same as {outside} that are not" if outside else ""
    subtitle = f"{escape(ranked.statistic) or 'rank'}: the first {min(k, len(ranked.heads))} of {len(ranked.heads)} heads in colour{tie}"
    return _finished(figure, ranked, escape(title or ranked.model or "heads"), subtitle, dark)


def head_map_difference(lists: Mapping[str, RankedHeads], k: int = TOP, *, title: str = "", dark: bool = False) -> go.Figure:
    """Where the first `k` heads of two lists lie: in both, in the first alone, in the second alone. A hover tells both ranks and scores.

    Raises:
        InputError: not two lists, or lists of different shapes.
    """
    if len(lists) != 2:
        raise InputError(f"a difference is of two lists, got {len(lists)}")
    (one, first), (other, second) = lists.items()
    found = overlap(first, second, k)
    colors = look(dark)
    tops = set(first.heads[:k]), set(second.heads[:k])
    groups = {"both": tops[0] & tops[1], "first": tops[0] - tops[1], "second": tops[1] - tops[0]}
    names = {"both": "in both", "first": f"only in {one}", "second": f"only in {other}"}
    blank = np.zeros((first.n_layers or 0, first.n_heads or 0))
    shade = [(0.0, colors.below[0]), (1.0, colors.below[0])]
    figure = go.Figure(_cells(blank, _hover(lists), colorscale=shade, showscale=False))
    for color, (group, heads) in zip(colors.series, groups.items(), strict=False):
        figure.add_trace(_marks(f"{names[group]} ({len(heads)})", sorted(heads), _MARKS[group], color))
    subtitle = f"first {k} heads: {found.shared} shared, Jaccard {found.jaccard:.2f}; by chance {found.chance:.3f}"
    return _finished(figure, first, escape(title or f"{one} and {other}"), subtitle, dark, more=30)


def _ranks(ranked: RankedHeads, k: int) -> Float[np.ndarray, "layer head"]:
    """Each head's rank from 1; NaN where the list does not name it. Behind the first `k`, heads of one score have their mean rank.

    Most lists end in hundreds of heads that score 0: ranked one by one they would shade by layer, which means nothing.
    """
    ranks = np.full((ranked.n_layers or 0, ranked.n_heads or 0), np.nan)
    places = np.arange(1.0, len(ranked.heads) + 1)
    rest = np.array(ranked.scores[k:])
    for score in np.unique(rest[~np.isnan(rest)]):
        same = np.flatnonzero(rest == score) + k
        places[same] = places[same].mean()
    for place, head in zip(places, ranked.heads, strict=True):
        ranks[head] = place
    return ranks


def _height(ranks: Float[np.ndarray, "*cell"], total: int) -> Float[np.ndarray, "*cell"]:
    """1 for the first rank, 0 for the last, evenly by ratios of ranks."""
    return 1 - np.log(ranks) / math.log(max(total, 2))


def _hover(lists: Mapping[str, RankedHeads]) -> list[list[str]]:
    """What each cell says: a line for each list."""
    shape = next((ranked.n_layers or 0, ranked.n_heads or 0) for ranked in lists.values())
    texts = [[f"<b>{Head(layer, head)}</b>" for head in range(shape[1])] for layer in range(shape[0])]
    for name, ranked in lists.items():
        places = {head: place for place, head in enumerate(ranked.heads)}
        for layer, row in enumerate(texts):
            for head, text in enumerate(row):
                place = places.get(Head(layer, head))
                row[head] = f"{text}<br>{escape(name) + ': ' if name else ''}{_said(ranked, place)}"
    return texts


def _said(ranked: RankedHeads, place: int | None) -> str:
    if place is None:
        return "not in the list"
    score = ranked.scores[place]
    return f"rank {place + 1}" + ("" if math.isnan(score) else f", score {score:.4g}")


def _cells(z: Float[np.ndarray, "layer head"], texts: list[list[str]], **how: object) -> go.Heatmap:
    return go.Heatmap(z=z, text=texts, hovertemplate="%{text}<extra></extra>", hoverongaps=True, **how)


def _marks(name: str, heads: list[Head], symbol: str, color: str) -> go.Scatter:
    return go.Scatter(
        x=[head.head for head in heads],
        y=[head.layer for head in heads],
        mode="markers",
        name=escape(name),
        showlegend=True,
        hoverinfo="skip",
        marker={"symbol": symbol, "size": 10, "color": color, "line": {"width": 2, "color": color}},
    )


def _finished(figure: go.Figure, ranked: RankedHeads, title: str, subtitle: str, dark: bool, more: int = 0) -> go.Figure:
    n_layers, n_heads = ranked.n_layers or 0, ranked.n_heads or 0
    figure.update_xaxes(title_text="head", **numbered(n_heads))
    figure.update_yaxes(title_text="layer", **numbered(n_layers))
    height = 140 + more + max(120, min(640, 16 * n_layers))
    return finish(figure, title, subtitle, dark=dark, height=height, min_width=max(360, 120 + _LEAST_PIXELS * n_heads))
