"""What the sets follow as figures: bars of shares with intervals, and the modes as a heat map."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from mechdyn.errors import InputError
from mechdyn.stats.contrasts import PAIRS
from mechdyn.stats.interval import Interval
from mechdyn.stats.modes import Modes
from mechdyn.studies.follows import Follows
from mechdyn.views.text import escape
from mechdyn.views.theme import evenly, finish, look

_ROW_PIXELS = 34
_MOST_HEADS = 60
_SHARED = ("same token, other step", "other token, same step", "neither the same", "both the same")


def follows_figures(found: Follows, *, title: str = "", dark: bool = False) -> dict[str, go.Figure]:
    """Heading to figure: contrasts, shares of variance, deviance explained, modes; those that a run has."""
    figures = {}
    if found.across is not None and found.within is not None:
        sides = {"in another haystack": found.across, "in the same haystack": found.within}
        groups = {side: {name: getattr(each, pair) for pair, name in zip(PAIRS, _SHARED, strict=True)} for side, each in sides.items()}
        figures["Token or step"] = interval_bars(groups, x="Jaccard of two steps' heads", title=f"{title}: token or step", dark=dark)
    if found.variance is not None:
        shares = {"share": found.variance.shares}
        figures["Shares of variance"] = interval_bars(shares, x="share of variance", title=f"{title}: shares of variance", dark=dark)
    deviance = {"alone": found.deviance.alone, "added to those above": found.deviance.added}
    figures["Predictors"] = interval_bars(deviance, x="held-out deviance explained", title=f"{title}: what predicts the heads", dark=dark)
    return {**figures, "Modes": modes_map(found.modes, found.shape[1], title=f"{title}: co-activation modes", dark=dark)}


def interval_bars(groups: Mapping[str, Mapping[str, Interval]], *, x: str, title: str = "", dark: bool = False) -> go.Figure:
    """Bars with their 95 % intervals, one row a name and one bar a group; where there is no value there is no bar.

    Args:
        groups: intervals by name, by group; the names of the first group are the rows.
        x: title of the horizontal axis.
        title: the first line above.
        dark: for a dark background.

    Raises:
        InputError: no group, or one without a name.
    """
    if not groups or not all(groups.values()):
        raise InputError("a figure of bars needs at least one group with a value, got none")
    colors = look(dark)
    figure = go.Figure()
    for index, (group, values) in enumerate(groups.items()):
        kept = {name: value for name, value in values.items() if value.n}
        estimates = np.array([value.estimate for value in kept.values()])
        figure.add_trace(
            go.Bar(
                orientation="h",
                y=[escape(name) for name in kept],
                x=estimates,
                name=escape(group),
                marker={"color": colors.series[index], "pattern": {"shape": ("", "/", "x")[index % 3]}},
                error_x={
                    "array": [value.high - value.estimate for value in kept.values()],
                    "arrayminus": [value.estimate - value.low for value in kept.values()],
                    "color": colors.ink,
                    "thickness": 1.5,
                },
                customdata=[f"{value:.3f}, n = {value.n}" for value in kept.values()],
                hovertemplate=f"<b>%{{y}}</b>, {escape(group)}<br>%{{customdata}}<extra></extra>",
            )
        )
    rows = list(dict.fromkeys(escape(name) for values in groups.values() for name in values))
    figure.update_yaxes(categoryorder="array", categoryarray=rows, autorange="reversed", showgrid=False)
    figure.update_xaxes(title_text=escape(x), zeroline=True, zerolinecolor=colors.muted)
    figure.update_layout(barmode="group", bargap=0.3, showlegend=len(groups) > 1, legend_traceorder="normal")
    height = 170 + _ROW_PIXELS * max(2, len(rows)) * (1 + 0.4 * (len(groups) - 1))
    return finish(figure, escape(title or x), "lines: 95 % intervals by needle", dark=dark, height=int(height), min_width=360)


def modes_map(modes: Modes, n_heads: int, *, title: str = "", dark: bool = False) -> go.Figure:
    """How often each head fires in each mode: mode × head, heads that differ most between modes, in the order of layers.

    Args:
        modes: from `find_modes`.
        n_heads: heads a layer.
        title: the first line above.
        dark: for a dark background.
    """
    mixture = modes.mixture
    spread = np.abs(mixture.profiles).max(axis=0)
    shown = np.sort(np.argsort(-spread, kind="stable")[:_MOST_HEADS])
    names = [f"L{head // n_heads}H{head % n_heads}" for head in modes.heads[shown]]
    colors = look(dark)
    labels = [f"mode {mode}, {weight:.0%}" for mode, weight in enumerate(mixture.weights)]
    cells = go.Heatmap(
        z=mixture.rates[:, shown],
        x=list(range(len(names))),
        y=list(range(len(labels))),
        coloraxis="coloraxis",
        text=[[f"<b>{name}</b>, {label} of steps" for name in names] for label in labels],
        hovertemplate="%{text}<br>fires at %{z:.0%} of them<extra></extra>",
    )
    figure = go.Figure(cells)
    bar = {"title": {"text": "rate"}, "tickformat": ".0%"}
    figure.update_layout(coloraxis={"cmin": 0.0, "cmax": 1.0, "colorscale": evenly(colors.scale), "colorbar": bar})
    figure.update_xaxes(tickvals=list(range(len(names))), ticktext=names, tickangle=-90, showgrid=False, title_text="head")
    figure.update_yaxes(tickvals=list(range(len(labels))), ticktext=labels, range=[len(labels) - 0.5, -0.5], showgrid=False)
    left_out = f" ({len(modes.heads) - len(shown)} more differ less)" if len(shown) < len(modes.heads) else ""
    called = "circuits" if modes.are_circuits else "modes, not circuits" if modes.n_modes > 1 else "one mode"
    subtitle = f"how often each head fires in each; {called}{left_out}"
    height, width = 190 + _ROW_PIXELS * max(2, len(labels)), max(360, 220 + 15 * len(names))
    return finish(figure, escape(title or "co-activation modes"), subtitle, dark=dark, height=height, min_width=width)
