"""One look for every figure: colours, fonts and sizes, light and dark.

The series colours were searched for the largest smallest distance between any two of them, in OKLab, under normal sight and simulated
protanopia, deuteranopia and tritanopia (Machado et al. 2009), at a contrast of at least 3:1 with the background. Colour never stands alone:
lines also differ by dash and marker, cells carry numbers or hovers.

Importing this module registers the templates `mechdyn` and `mechdyn_dark` with plotly and leaves plotly's default as it was.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
from jaxtyping import Float

from mechdyn.views.text import escape

if TYPE_CHECKING:
    from mechdyn.traces.stored import AnyTrace

FONT = "Inter, 'Noto Sans', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
MONO = "'DejaVu Sans Mono', Menlo, Consolas, 'Noto Sans Mono', monospace"
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
_TITLE_LETTER, _TITLE_LINE, _NARROW = 8.5, 20, 368
"""The last is what a page of 400 pixels has room for: titles break there, since a figure that is wider scrolls away under them."""
_SUBTITLE_LETTER, _SUBTITLE_LINE, _TITLE_PIXELS = 7, 18, 72

ColorScale = list[tuple[float, str]]


@dataclass(frozen=True)
class Look:
    """The colours of one background."""

    name: str
    background: str
    ink: str
    muted: str
    line: str
    """Axes and grid."""
    series: tuple[str, ...]
    scale: tuple[str, ...]
    """Lowest to highest score; lightness is monotone, so it survives greyscale printing."""
    below: tuple[str, str]
    """Scores that do not count as retrieving, lowest to highest, where a threshold parts them from `scale`."""
    quality: tuple[str, ...]
    """Worst to best of a metric."""
    accent: str


LIGHT = Look(
    name="mechdyn",
    background="#FFFFFF",
    ink="#1B2230",
    muted="#5A6475",
    line="#D5DAE2",
    series=("#2558D2", "#DD730F", "#2DA598", "#8E0C77", "#605A00", "#392522"),
    scale=("#EDF0F5", "#A9C0EC", "#5B85DE", "#2558D2", "#102A6B"),
    below=("#F1F2F4", "#C3C8D0"),
    quality=("#C75A06", "#EBC9A0", "#2558D2"),
    accent="#DD730F",
)
DARK = Look(
    name="mechdyn_dark",
    background="#14171C",
    ink="#E8EBF0",
    muted="#A3ACBA",
    line="#353C48",
    series=("#3487C8", "#C45F13", "#13C589", "#FFA7F5", "#C0E643", "#FFFFFF"),
    scale=("#20252E", "#24466F", "#3487C8", "#83BDEB", "#E3F1FF"),
    below=("#1E2229", "#464D59"),
    quality=("#E0731B", "#5D5348", "#58A8EA"),
    accent="#F08A3C",
)


def look(dark: bool) -> Look:
    """The colours for a light or a dark background."""
    return DARK if dark else LIGHT


def numbered(n: int) -> dict[str, Any]:
    """An axis that counts `n` layers or heads from 0: ticks at whole numbers, some 16 at most."""
    return {"showgrid": False, "range": [-0.5, n - 0.5], "tick0": 0, "dtick": max(1, -(-n // 16))}


def evenly(colors: Sequence[str]) -> ColorScale:
    """A plotly colour scale of evenly spaced stops."""
    return [(index / (len(colors) - 1), color) for index, color in enumerate(colors)]


def score_scale(chosen: Look, low: float, high: float, threshold: float) -> ColorScale:
    """Colours of scores in [low, high]. A threshold inside shows as a jump: greys up to it, the scale's colours above."""
    if not low < threshold < high:
        return evenly(chosen.scale)
    cut = (threshold - low) / (high - low)
    above = chosen.scale[1:]
    greys = [(0.0, chosen.below[0]), (cut, chosen.below[1])]
    return greys + [(cut + (1 - cut) * place, color) for place, color in evenly(above)]


def score_axis(scores: Float[np.ndarray, "..."], threshold: float, chosen: Look) -> dict[str, Any]:
    """A colour axis over the scores and at least [0, 1], its bar ticked at the threshold; no bar where all scores are 0 or 1."""
    low, high = min(0.0, float(np.nanmin(scores))), max(1.0, float(np.nanmax(scores)))
    ticks = sorted({low, high, threshold}) if low < threshold < high else [low, high]
    texts = [f"{tick:g}<br>retrieves<br>above" if low < tick < high else f"{tick:g}" for tick in ticks]
    return {
        "cmin": low,
        "cmax": high,
        "colorscale": score_scale(chosen, low, high, threshold),
        "showscale": not bool(np.isin(scores, (0.0, 1.0)).all()),
        "colorbar": {"title": {"text": "score"}, "tickvals": ticks, "ticktext": texts},
    }


def color_at(scale: ColorScale, place: float) -> Float[np.ndarray, " channel"]:
    """Red, green and blue, 0 to 255, at a place of a scale, clipped to [0, 1]; where the scale jumps, the colour before the jump."""
    place = min(max(place, 0.0), 1.0)
    start, low, end, high = next((a, low, b, high) for (a, low), (b, high) in pairwise(scale) if place <= b)
    part = (place - start) / (end - start) if end > start else 0.0
    return (1 - part) * channels(low) + part * channels(high)


def ink_on(color: Float[np.ndarray, " channel"]) -> str:
    """Black or white, whichever has more contrast (WCAG) with a colour of red, green and blue from 0 to 255."""
    shares = color / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return "#000000" if float(linear @ [0.2126, 0.7152, 0.0722]) > 0.179 else "#FFFFFF"


def faded(color: str, opacity: float) -> str:
    """`#RRGGBB` as plotly's rgba."""
    red, green, blue = channels(color)
    return f"rgba({red:g},{green:g},{blue:g},{opacity:g})"


def finish(figure: go.Figure, title: str, subtitle: str, *, dark: bool, height: int, min_width: int = 360) -> go.Figure:
    """Give a figure the look, a title and a second line, both broken to fit a page of 400 pixels, and its size.

    Pages scroll a figure sideways below its `min_width`. A title is broken between its parts where it has such.
    """
    titles = _broken(title, int((_NARROW - 24) // _TITLE_LETTER), " · ")
    lines = _broken(subtitle, (_NARROW - 24) // _SUBTITLE_LETTER)
    more = _TITLE_LINE * (len(titles) - 1) + _SUBTITLE_LINE * (len(lines) - 1)
    figure.update_layout(
        template=look(dark).name,
        # Plotly holds the last line of a title where a single one would be.
        title={"text": "<br>".join(titles), "pad": {"t": 10 + _TITLE_LINE * (len(titles) - 1)}, "subtitle": {"text": "<br>".join(lines)}},
        height=height + more,
        margin_t=(figure.layout.margin.t or _TITLE_PIXELS) + more,
        meta={"min_width": min_width},
    )
    return figure


def _broken(text: str, letters: int, between: str = " ") -> list[str]:
    """Lines of so many letters at most, broken at `between`, and at words where that is not enough.

    An entity such as &lt; is one letter, a tag none.
    """
    lines: list[str] = []
    for part in text.split(between):
        joined = f"{lines[-1]}{between}{part}" if lines else part
        if len(_letters_of(joined)) <= letters:
            lines[-1:] = [joined]
        else:
            lines += [part] if between == " " else _broken(part, letters)
    return lines


def _letters_of(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", text))


def heading(trace: "AnyTrace", title: str = "") -> str:
    """The title if there is one, else `model · task · length, depth, seed`, escaped; what the trace does not say is left out."""
    if title:
        return escape(title)
    meta = trace.meta
    model = meta.get("model")
    name = model.get("name") if isinstance(model, dict) else model
    setting = [
        f"{meta['length']:,} tokens" if isinstance(meta.get("length"), int) else "",
        f"depth {meta['depth']:.2g}" if isinstance(meta.get("depth"), int | float) else "",
        f"seed {meta['seed']}" if isinstance(meta.get("seed"), int) else "",
    ]
    return " · ".join(escape(str(part)) for part in (name, trace.task, ", ".join(filter(None, setting))) if part)


def token_axis(n_steps: int, most: int) -> tuple[list[int], str]:
    """The steps whose tokens are labelled, at most `most` of them, and the axis' title."""
    every = -(-n_steps // most)
    return list(range(0, n_steps, every)), f"generated token{every_nth(every)}"


def every_nth(every: int) -> str:
    """What a title says of labels that were left out."""
    endings = {2: "2nd", 3: "3rd"}
    return "" if every == 1 else f" (every {endings.get(every, f'{every}th')} labelled)"


def score_key(figure: go.Figure, scores: Float[np.ndarray, "..."], threshold: float, chosen: Look) -> None:
    """Where all scores are 0 or 1, so that there is no colour bar, a legend that says which colour retrieves."""
    if not np.isin(scores, (0.0, 1.0)).all():
        return
    scale = score_scale(chosen, 0.0, 1.0, threshold)
    for name, (_, color) in (("retrieves", scale[-1]), ("does not retrieve", scale[0])):
        marker = {"symbol": "square", "size": 11, "color": color, "line": {"width": 1, "color": chosen.muted}}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", name=name, marker=marker, hoverinfo="skip", showlegend=True))


def channels(color: str) -> Float[np.ndarray, " channel"]:
    """Red, green and blue of `#RRGGBB`, 0 to 255."""
    return np.array([int(color[start : start + 2], 16) for start in (1, 3, 5)], dtype=np.float64)


def _template(chosen: Look) -> go.layout.Template:
    """A look as plotly takes it."""
    axis, bar = _axis(chosen), _color_bar(chosen)
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": chosen.ink},
            "title": _title(chosen),
            "paper_bgcolor": chosen.background,
            "plot_bgcolor": chosen.background,
            "colorway": list(chosen.series),
            "coloraxis": {"colorbar": bar},
            "hoverlabel": {
                "font": {"family": MONO, "size": 12, "color": chosen.ink},
                "bgcolor": chosen.background,
                "bordercolor": chosen.muted,
            },
            "legend": _BELOW,
            # The default buttons send the figure to a cloud service; what is left are an image, pan, zoom and back.
            "modebar": {"remove": ["sendDataToCloud", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"]},
            "margin": {"l": 12, "r": 12, "t": 72, "b": 12},
            "xaxis": axis,
            "yaxis": axis,
        },
        data={"heatmap": [{"colorbar": bar, "xgap": 1, "ygap": 1}]},
    )


_BELOW = {"orientation": "h", "x": 0, "xanchor": "left", "y": 0, "yref": "container", "yanchor": "bottom", "font": {"size": 12}}
"""The legend, in a row below the figure."""


def _title(chosen: Look) -> dict[str, Any]:
    """At the upper left of the figure, whatever its margins."""
    return {
        "font": {"size": 16, "color": chosen.ink},
        "subtitle": {"font": {"size": 13, "color": chosen.muted}},
        **{"x": 0, "xref": "container", "xanchor": "left"},
        **{"y": 1, "yref": "container", "yanchor": "top"},
        "pad": {"t": 10, "l": 12},
    }


def _axis(chosen: Look) -> dict[str, Any]:
    return {
        "automargin": True,
        "gridcolor": chosen.line,
        "linecolor": chosen.line,
        "zeroline": False,
        "ticks": "",
        "ticklabelstandoff": 3,
        "tickfont": {"size": 12, "color": chosen.ink},
        "title": {"font": {"size": 13, "color": chosen.muted}, "standoff": 8},
    }


def _color_bar(chosen: Look) -> dict[str, Any]:
    return {"thickness": 12, "outlinewidth": 0, "tickfont": {"size": 11, "color": chosen.ink}, "title": {"font": {"size": 12}}}


for _look in (LIGHT, DARK):
    pio.templates[_look.name] = _template(_look)
