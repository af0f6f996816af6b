"""What is drawn on the tracks of a verdict's figure: intervals, bounds, nulls, the paper's values, samples, controls."""

import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from mechdyn.evidence import Demand, Evidence, Side, Verdict
from mechdyn.views.text import escape
from mechdyn.views.theme import MARKERS, Look, faded
from mechdyn.views.verdict_rows import VerdictRow, number_of

TRACK, CONTROL = 26, 9
"""Pixels of the track that intervals are drawn on, and of each control below it."""
_MET = {True: "yes", False: "no", None: "undefined"}


@dataclass(frozen=True)
class Placed:
    """A row with its lines of text and where it stands, in pixels below the top of its panel."""

    row: VerdictRow
    lines: tuple[str, ...]
    top: float
    track: float


@dataclass(frozen=True)
class UnitPanel:
    """The rows of one unit, which share an axis; `headings` are the groups with their places."""

    unit: str
    placed: tuple[Placed, ...]
    headings: tuple[tuple[str, float], ...]
    height: float


def name_of(row: VerdictRow) -> str:
    """What a row is called: whether what is asked is met, then the number's own name."""
    if row.asked is None:
        return row.of.name
    return f"{_MET[row.asked.met]}: {row.of.name}"


def numbers_of(row: VerdictRow) -> str:
    """The row's numbers in words: estimate, interval, samples, what is asked, and the null where it is not 0."""
    interval = row.of.interval
    known = not (math.isnan(interval.low) and math.isnan(interval.high))
    parts = [f"{interval:.3f}" if known else f"{interval.estimate:.3g}", f"n = {interval.n}"]
    parts += [f"asked: {row.asked.words}"] if row.asked else []
    parts += [f"null {row.of.null:.3f}"] if row.of.null not in (None, 0.0) else []
    return ", ".join(parts)


def intervals(panel: UnitPanel, colors: Look) -> Iterator[go.Scatter]:
    """Lines from low to high, then the estimates: filled where what is asked is met, hollow where not."""
    x: list[float | None] = []
    y: list[float | None] = []
    for each in panel.placed:
        x += [*map(_known, (each.row.of.interval.low, each.row.of.interval.high)), None]
        y += [each.track, each.track, None]
    yield go.Scatter(x=x, y=y, mode="lines", name="95 % interval", line={"color": colors.series[0], "width": 3}, hoverinfo="skip")
    met = [each.row.asked is None or each.row.asked.met is True for each in panel.placed]
    yield go.Scatter(
        x=[_known(each.row.of.interval.estimate) for each in panel.placed],
        y=[each.track for each in panel.placed],
        mode="markers",
        name="estimate (hollow: not met)",
        marker={
            "symbol": "circle",
            "size": 11,
            "color": [colors.series[0] if each else colors.background for each in met],
            "line": {"color": colors.series[0], "width": 2},
        },
        customdata=[_told(each.row) for each in panel.placed],
        hovertemplate="%{customdata[4]}<br>%{customdata[5]}<extra></extra>",
    )


def _told(row: VerdictRow) -> list[Any]:
    """What a hover tells, the numbers unrounded first."""
    interval = row.of.interval
    lines = [numbers_of(row), interval.method, row.of.note, "" if row.criterion is None else row.criterion.text]
    words = "<br>".join(escape(part) for line in lines if line for part in textwrap.wrap(line, 60))
    return [_known(interval.low), _known(interval.high), interval.n, row.of.measure, f"<b>{escape(name_of(row))}</b>", words]


def bounds(panel: UnitPanel, colors: Look) -> Iterator[go.Scatter]:
    """The ends that what is asked must not cross, and the whole interval where the bound is a number of its own."""
    asked = [(each, each.row.asked) for each in panel.placed if each.row.asked is not None]
    if not asked:
        return
    others = [(each, one.bound) for each, one in asked if isinstance(one.bound, Evidence)]
    if others:
        x = [value for _, bound in others for value in (*map(_known, (bound.interval.low, bound.interval.high)), None)]
        y = [value for each, _ in others for value in (each.track, each.track, None)]
        yield go.Scatter(
            x=x, y=y, mode="lines", name="held against", line={"color": colors.accent, "width": 2, "dash": "dot"}, hoverinfo="skip"
        )
    yield go.Scatter(
        x=[_known(edge(one)) for _, one in asked],
        y=[each.track for each, _ in asked],
        mode="markers",
        name="bound (band: asked to lie there)",
        marker={"symbol": "line-ns", "size": 20, "line": {"color": colors.accent, "width": 3}, "color": colors.accent},
        customdata=[escape(one.words) for _, one in asked],
        hovertemplate="asked: %{customdata}<extra></extra>",
    )


def edge(asked: Demand) -> float:
    """The value that the number must lie beyond: of a bound that is a number its nearer end."""
    if not isinstance(asked.bound, Evidence):
        return asked.bound
    interval = asked.bound.interval
    if asked.by_estimate:
        return interval.estimate
    return interval.low if asked.side is Side.BELOW else interval.high


def marks(panel: UnitPanel, colors: Look) -> Iterator[go.Scatter]:
    """Nulls, and the paper's values above the track."""
    nulls = [(each, each.row.of.null) for each in panel.placed if each.row.of.null is not None]
    if nulls:
        yield go.Scatter(
            x=[null for _, null in nulls],
            y=[each.track for each, _ in nulls],
            mode="markers",
            name="null",
            marker={"symbol": "diamond-open", "size": 12, "color": colors.ink, "line": {"width": 2}},
            hovertemplate="null %{x:.4f}<extra></extra>",
        )
    paper = [(each, name, value) for each in panel.placed for name, value in each.row.of.paper.items()]
    if paper:
        yield go.Scatter(
            x=[value for _, _, value in paper],
            y=[each.track - 9 for each, _, _ in paper],
            mode="markers",
            name="the paper's models",
            marker={"symbol": "triangle-down", "size": 9, "color": colors.series[3]},
            customdata=[escape(name) for _, name, _ in paper],
            hovertemplate="paper, %{customdata}: %{x:.4f}<extra></extra>",
        )


def samples(panel: UnitPanel, colors: Look) -> Iterator[go.Scatter]:
    """The values of single samples, below the track."""
    some = [(each, value) for each in panel.placed for value in each.row.of.samples]
    if some:
        yield go.Scatter(
            x=[value for _, value in some],
            y=[each.track + 8 for each, _ in some],
            mode="markers",
            name="a sample",
            marker={"size": 6, "color": faded(colors.muted, 0.45)},
            hovertemplate="one sample: %{x:.4f}<extra></extra>",
        )


def control_marks(panel: UnitPanel, control: Verdict, place: int, colors: Look) -> Iterator[go.Scatter]:
    """What a control measured of each row's number, its interval too, on a track of its own."""
    known = [(each, number) for each in panel.placed if (number := number_of(control, each.row.of)) is not None]
    if not known:
        return
    color, name = colors.series[1 + place % (len(colors.series) - 1)], f"{control.model}: {control.outcome}"
    y = [each.track + TRACK / 2 + CONTROL * (place + 0.5) for each, _ in known]
    ends = [value for _, number in known for value in (*map(_known, (number.interval.low, number.interval.high)), None)]
    heights = [value for height in y for value in (height, height, None)]
    yield go.Scatter(
        x=ends, y=heights, mode="lines", name=escape(name), line={"color": color, "width": 1}, hoverinfo="skip", showlegend=False
    )
    yield go.Scatter(
        x=[_known(number.interval.estimate) for _, number in known],
        y=y,
        mode="markers",
        name=escape(f"{name} (control)"),
        marker={"symbol": MARKERS[(1 + place) % len(MARKERS)], "size": 8, "color": color},
        customdata=[escape(f"{control.model}, {number.name}: {number.interval:.3f}, n = {number.interval.n}") for _, number in known],
        hovertemplate="%{customdata}<extra></extra>",
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
