"""How far every two of many lists of heads agree, and in which layers their first heads lie."""

import numpy as np
import plotly.graph_objects as go

from mechdyn.stats.head_lists import layer_profile
from mechdyn.studies.head_lists import Comparison
from mechdyn.views.text import escape, label
from mechdyn.views.theme import color_at, evenly, finish, ink_on, look, numbered

_MOST_NUMBERS = 24
"""Of more lists than these the cells carry no numbers; the hover has them."""
_ROW_PIXELS, _COLUMN_PIXELS, _NAME_LETTERS, _LETTER_PIXELS = 26, 34, 30, 7


def list_matrix(comparison: Comparison, *, title: str = "", dark: bool = False) -> go.Figure:
    """The Jaccard of the first k heads of every two lists, like lists beside each other. A hover tells names, chance and rank correlation.

    Args:
        comparison: the lists and how far they agree.
        title: the first line above.
        dark: for a dark background.
    """
    names = list(comparison.lists)
    order = list(comparison.clusters.order) if comparison.clusters else list(range(len(names)))
    values = comparison.jaccards[np.ix_(order, order)]
    shown = [names[place] for place in order]
    colors = look(dark)
    scale = evenly(colors.scale)
    cells = go.Heatmap(
        z=values,
        coloraxis="coloraxis",
        text=_hover(comparison, shown),
        hovertemplate="%{text}<extra></extra>",
    )
    figure = go.Figure(cells)
    if len(names) <= _MOST_NUMBERS:
        places = [(row, column) for row in range(len(names)) for column in range(len(names)) if row != column]
        figure.add_trace(
            go.Scatter(
                x=[column for _, column in places],
                y=[row for row, _ in places],
                mode="text",
                text=[f"{values[place]:.2f}".removeprefix("0") for place in places],
                textfont={"size": 11, "color": [ink_on(color_at(scale, float(values[place]))) for place in places]},
                hoverinfo="skip",
                showlegend=False,
            )
        )
    figure.update_layout(coloraxis={"cmin": 0.0, "cmax": 1.0, "colorscale": scale, "colorbar": {"title": {"text": "Jaccard"}}})
    ticks = {"tickvals": list(range(len(names))), "ticktext": [label(name, _NAME_LETTERS) for name in shown], "showgrid": False}
    figure.update_xaxes(tickangle=-90, range=[-0.5, len(names) - 0.5], **ticks)
    figure.update_yaxes(range=[len(names) - 0.5, -0.5], **ticks)
    letters = _LETTER_PIXELS * min(_NAME_LETTERS, max(map(len, names)))
    chance = comparison.pairs[0].overlap.chance
    subtitle = f"Jaccard of the first {comparison.k} heads; by chance {chance:.3f}; like lists beside each other"
    height = 110 + letters + max(120, _ROW_PIXELS * len(names))
    return finish(figure, escape(title or "Lists of heads"), subtitle, dark=dark, height=height, min_width=_width(letters, len(names)))


def layer_profiles(comparison: Comparison, *, title: str = "", dark: bool = False) -> go.Figure:
    """How many of the first k heads of each list lie in each layer."""
    names = list(comparison.lists)
    order = list(comparison.clusters.order) if comparison.clusters else list(range(len(names)))
    counts = np.array([layer_profile(comparison.lists[names[place]], comparison.k) for place in order])
    shown = [names[place] for place in order]
    colors = look(dark)
    cells = go.Heatmap(
        z=counts,
        coloraxis="coloraxis",
        text=[[escape(name)] * counts.shape[1] for name in shown],
        hovertemplate="<b>%{text}</b><br>layer %{x}: %{z} heads<extra></extra>",
    )
    figure = go.Figure(cells)
    figure.update_layout(
        coloraxis={
            "cmin": 0,
            "cmax": max(1, int(counts.max())),
            "colorscale": evenly(colors.scale),
            "colorbar": {"title": {"text": "heads"}},
        }
    )
    figure.update_xaxes(title_text="layer", **numbered(counts.shape[1]))
    texts = [label(name, _NAME_LETTERS) for name in shown]
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=texts, showgrid=False, range=[len(names) - 0.5, -0.5])
    letters = _LETTER_PIXELS * min(_NAME_LETTERS, max(map(len, names)))
    subtitle = f"how many of the first {comparison.k} heads lie in a layer"
    height = 150 + max(80, _ROW_PIXELS * len(names))
    width = max(360, 120 + letters + 12 * counts.shape[1])
    return finish(figure, escape(title or "Layers"), subtitle, dark=dark, height=height, min_width=width)


def _hover(comparison: Comparison, shown: list[str]) -> list[list[str]]:
    texts = {}
    for pair in comparison.pairs:
        said = (
            f"{pair.overlap.shared} of {min(pair.overlap.sizes)} shared, Jaccard {pair.overlap.jaccard:.3f}"
            f"<br>by chance {pair.overlap.chance:.3f}, p = {pair.overlap.p:.2g}"
            f"<br>rank correlation {pair.correlation.rho:.3f} over {pair.correlation.n} heads"
        )
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            texts[one, other] = f"<b>{escape(one)}</b><br><b>{escape(other)}</b><br>{said}"
    return [[texts.get((row, column), f"<b>{escape(row)}</b>") for column in shown] for row in shown]


def _width(letters: int, n: int) -> int:
    return max(360, 130 + letters + _COLUMN_PIXELS * n)
