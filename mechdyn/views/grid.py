"""A metric over haystack lengths and needle depths, several conditions side by side (paper, Figures 2 and 6)."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float, Int
from plotly.subplots import make_subplots

from mechdyn.errors import InputError
from mechdyn.views.text import escape
from mechdyn.views.theme import Look, channels, color_at, evenly, faded, finish, ink_on, look

_FAINTEST = 0.25
"""Opacity of a cell of one sample among cells of very many."""
_ROW_PIXELS, _COLUMN_PIXELS = 34, 44
_TITLE_PIXELS, _LETTER_PIXELS = 92, 8
"""The least width of a panel, so that its title has room, and that of a bold letter."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The mean of a metric in each cell, and how many samples it rests on; a cell of no sample has count 0, whatever its value.

    Raises:
        InputError: shapes that do not fit, or a cell with samples but without a finite value.
    """

    lengths: tuple[int, ...]
    depths: tuple[float, ...]
    values: Float[np.ndarray, "depth length"]
    counts: Int[np.ndarray, "depth length"]

    def __post_init__(self) -> None:
        shape = (len(self.depths), len(self.lengths))
        if self.values.shape != shape or self.counts.shape != shape:
            raise InputError(
                f"a grid of {shape[0]} depths x {shape[1]} lengths needs values and counts of that shape, "
                f"got {self.values.shape} and {self.counts.shape}"
            )
        if not np.isfinite(self.values[self.counts > 0]).all():
            raise InputError("a cell with samples has no finite value; give cells without a result the count 0")

    @classmethod
    def of_samples(cls, lengths: Sequence[int], depths: Sequence[float], values: Sequence[float]) -> "Cells":
        """The mean of each cell from one entry a sample. The axes are the lengths and depths that occur, ascending."""
        if not len(lengths) == len(depths) == len(values) or not len(values):
            raise InputError(f"a grid needs one length, depth and value a sample, got {len(lengths)}, {len(depths)} and {len(values)}")
        columns, column = np.unique(np.asarray(lengths), return_inverse=True)
        rows, row = np.unique(np.asarray(depths, dtype=np.float64), return_inverse=True)
        counts, sums = np.zeros((len(rows), len(columns)), dtype=np.int64), np.zeros((len(rows), len(columns)))
        np.add.at(counts, (row, column), 1)
        np.add.at(sums, (row, column), np.asarray(values, dtype=np.float64))
        means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
        return cls(tuple(columns.tolist()), tuple(rows.tolist()), means, counts)


def grid(
    conditions: Mapping[str, Cells],
    *,
    metric: str = "accuracy",
    title: str = "",
    value_range: tuple[float, float] = (0.0, 1.0),
    dark: bool = False,
) -> go.Figure:
    """One heatmap a condition, on one colour axis. A cell's opacity tells its number of samples, a blank cell has none.

    Opacity is 0.25 + 0.75 n / (largest n of any cell); where all cells hold the same n every cell is opaque. Each cell prints its value;
    its hover adds n.

    Args:
        conditions: name to cells, drawn left to right.
        metric: what the values are.
        title: the first line above, a model and task for instance.
        value_range: values of the scale's ends.
        dark: for a dark background.

    Raises:
        InputError: no condition, or none with a sample.
    """
    most = max((int(cells.counts.max(initial=0)) for cells in conditions.values()), default=0)
    if most == 0:
        raise InputError(
            f"a grid needs at least one sample in one of its conditions, got {len(conditions)} conditions without any; run some first"
        )
    fewest = min(int(cells.counts[cells.counts > 0].min()) for cells in conditions.values() if (cells.counts > 0).any())
    colors = look(dark)
    widths = [max(_TITLE_PIXELS, _COLUMN_PIXELS * len(cells.lengths)) for cells in conditions.values()]
    names = _wrapped(conditions, min(widths))
    figure = make_subplots(rows=1, cols=len(conditions), shared_yaxes=True, subplot_titles=names, horizontal_spacing=0.03)
    for column, cells in enumerate(conditions.values(), start=1):
        for layer in _layers(cells, metric, most, fewest, value_range, colors):
            figure.add_trace(layer, row=1, col=column)
    figure.update_annotations(font_size=13)
    more = 16 * max(name.count("<br>") for name in names)
    figure.update_layout(
        margin_t=92 + more, coloraxis={"cmin": value_range[0], "cmax": value_range[1], "colorscale": evenly(colors.quality)}
    )
    figure.update_coloraxes(colorbar_title_text=escape(metric))
    figure.update_xaxes(type="category", showgrid=False, tickangle=0)
    figure.update_xaxes(title_text="length (tokens)", row=1, col=(len(conditions) + 1) // 2)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    figure.update_yaxes(title_text="depth", row=1, col=1)
    counted = f"{most} sample{'s' * (most != 1)} a cell" if fewest == most else f"opacity: samples of the cell, {fewest} to {most}"
    height = 200 + more + _ROW_PIXELS * max(3, *(len(cells.depths) for cells in conditions.values()))
    width = max(360, 160 + max(widths) * len(widths))
    return finish(figure, escape(title or metric), f"{counted}; blank: none", dark=dark, height=height, min_width=width)


def _wrapped(names: Iterable[str], pixels: int) -> list[str]:
    """Titles of panels, broken into lines that fit a panel's width."""
    lines = (textwrap.wrap(name, max(1, pixels // _LETTER_PIXELS)) or [""] for name in names)
    return ["<br>".join(f"<b>{escape(line)}</b>" for line in each) for each in lines]


def opacity(counts: Int[np.ndarray, "*cell"], fewest: int, most: int) -> Float[np.ndarray, "*cell"]:
    """0 without samples, else 0.25 + 0.75 n / most; 1 where all cells that have samples have as many."""
    if fewest == most:
        return (counts > 0).astype(np.float64)
    return np.where(counts > 0, _FAINTEST + (1 - _FAINTEST) * counts / most, 0.0)


def _layers(
    cells: Cells, metric: str, most: int, fewest: int, value_range: tuple[float, float], colors: Look
) -> list[go.Heatmap | go.Scatter]:
    """The values, a veil of background colour that thins with the number of samples, and the numbers on top."""
    x, y = [f"{length:,}" for length in cells.lengths], [f"{depth:g}" for depth in cells.depths]
    filled = cells.counts > 0
    values = np.where(filled, cells.values, np.nan)
    opaque = opacity(cells.counts, fewest, most)
    shown = go.Heatmap(
        z=values,
        x=x,
        y=y,
        coloraxis="coloraxis",
        customdata=cells.counts,
        hoverongaps=False,
        hovertemplate=f"length %{{x}}, depth %{{y}}<br>{escape(metric)} %{{z:.3f}}, n = %{{customdata}}<extra></extra>",
    )
    veil = go.Heatmap(
        z=np.where(filled, 1 - opaque, np.nan),
        x=x,
        y=y,
        zmin=0,
        zmax=1,
        colorscale=[(0, faded(colors.background, 0.0)), (1, faded(colors.background, 1.0))],
        showscale=False,
        hoverinfo="skip",
    )
    places = np.argwhere(filled)
    numbers = go.Scatter(
        x=[x[column] for _, column in places],
        y=[y[row] for row, _ in places],
        mode="text",
        text=[f"{values[row, column]:.2f}" for row, column in places],
        textfont={"size": 11, "color": [_text_color(values[tuple(p)], opaque[tuple(p)], value_range, colors) for p in places]},
        hoverinfo="skip",
        showlegend=False,
    )
    return [shown, veil, numbers]


def _text_color(value: float, opaque: float, value_range: tuple[float, float], colors: Look) -> str:
    """Black or white, whichever has more contrast with the cell as drawn."""
    low, high = value_range
    fill = color_at(evenly(colors.quality), (value - low) / (high - low))
    return ink_on(opaque * fill + (1 - opaque) * channels(colors.background))
