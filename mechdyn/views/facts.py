"""What became of each supporting fact: a figure of groups of questions, and which fact is retrieved at which token."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mechdyn.errors import InputError
from mechdyn.studies.facts import FactGroup, FactReport, question_outcome
from mechdyn.text import short, visible
from mechdyn.traces.stored import AnyTrace
from mechdyn.views.given import takes_traces
from mechdyn.views.text import escape, full, isolated, label
from mechdyn.views.theme import MONO, finish, heading, look, score_axis, token_axis

SHOWN = ("F1", "facts retrieved", "distractors retrieved", "fact steps", "distractor steps", "facts quoted", "sp F1", "joint F1")
"""The measures that figure and table show, in order."""
_ROW_PIXELS, _ABREAST, _BETWEEN = 22, 2, 52
"""Pixels of a group, panels side by side, pixels between those one below the other."""
_LETTER_PIXELS, _BAR_PIXELS = 6.5, 110
_MAX_LABELS = 80


def fact_groups(report: FactReport, *, title: str = "", dark: bool = False) -> go.Figure:
    """A dot with its 95 % interval for each group of questions, a panel for each measure; one without any value stays blank."""
    colors = look(dark)
    names = [escape(group_name(group)) for group in report.groups]
    n_rows = -(-len(SHOWN) // _ABREAST)
    panel = _ROW_PIXELS * max(2, len(names))
    total = n_rows * panel + (n_rows - 1) * _BETWEEN
    figure = make_subplots(
        rows=n_rows, cols=_ABREAST, shared_yaxes=True, subplot_titles=SHOWN, horizontal_spacing=0.06, vertical_spacing=_BETWEEN / total
    )
    for place, measure in enumerate(SHOWN):
        found = [group.measures[measure] for group in report.groups]
        dots = go.Scatter(
            x=[interval.estimate for interval in found],
            y=names,
            mode="markers",
            marker={"size": 8, "color": colors.series[0]},
            error_x={
                "array": [interval.high - interval.estimate for interval in found],
                "arrayminus": [interval.estimate - interval.low for interval in found],
                "symmetric": False,
                "color": colors.muted,
                "thickness": 1.5,
            },
            customdata=[f"{interval}, n = {interval.n}" for interval in found],
            hovertemplate=f"<b>%{{y}}</b><br>{escape(measure)} %{{customdata}}<extra></extra>",
            showlegend=False,
        )
        figure.add_trace(dots, row=place // _ABREAST + 1, col=place % _ABREAST + 1)
    figure.update_annotations(font_size=13)
    figure.update_layout(margin_t=92)
    figure.update_xaxes(range=[-0.04, 1.04], tickvals=[0, 0.5, 1])
    figure.update_yaxes(type="category", autorange="reversed")
    first, subtitle = escape(title or "Supporting facts"), "bars: 95 % intervals by question"
    return finish(figure, first, subtitle, dark=dark, height=130 + total, min_width=360)


@takes_traces("trace", stored=True)
def fact_timeline(trace: AnyTrace, *, title: str = "", dark: bool = False) -> go.Figure:
    """Supporting facts x generated tokens, coloured by the highest score that any head has for that fact alone.

    Grey up to the trace's threshold, coloured above: there the fact is retrieved. A fact that the answer quotes is marked so.

    Raises:
        InputError: a trace without steps, or of a task without supporting facts.
    """
    outcome = question_outcome(trace)
    if trace.n_steps == 0 or trace.sentence_scores is None:
        raise InputError(f"a timeline needs at least one generated token, the trace has none (it stopped at {trace.stopped})")
    rows = [f"{_plain(fact.title, 40)}, sentence {fact.index}" + (" (quoted)" if fact.quoted else "") for fact in outcome.facts]
    scores = np.asarray(trace.sentence_scores)[:, : len(rows)].T
    steps = [f"step {step} · {full(text, 100)}" for step, text in enumerate(trace.token_texts)]
    sentences = np.array([[full(fact.sentence)] for fact in outcome.facts], dtype=object)
    cells = go.Heatmap(
        z=scores,
        x=np.arange(trace.n_steps),
        y=rows,
        customdata=np.broadcast_to(np.array(steps, dtype=object), scores.shape),
        text=np.broadcast_to(sentences, scores.shape),
        coloraxis="coloraxis",
        hovertemplate="<b>%{y}</b><br>%{text}<br>%{customdata}<br>highest score %{z:.3~f}<extra></extra>",
    )
    figure = go.Figure(cells)
    figure.update_layout(coloraxis=score_axis(scores, trace.threshold, look(dark)))
    shown, about = token_axis(trace.n_steps, _MAX_LABELS)
    ticks = {"title_text": about, "tickvals": shown, "ticktext": [label(trace.token_texts[step]) for step in shown], "tickangle": -90}
    figure.update_xaxes(**ticks, tickfont={"family": MONO, "size": 11}, showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    subtitle = f"{_plain(trace.question, 120)} Expected: {_plain(trace.answer, 60)}; EM {outcome.answer.em:g}"
    height, room = 250 + 34 * max(2, len(rows)), int(_BAR_PIXELS + _LETTER_PIXELS * max(map(len, rows)))
    first = escape(title) or f"{heading(trace)} · {_plain(outcome.id, 40)}"
    return finish(figure, first, subtitle, dark=dark, height=height, min_width=max(360, room + 14 * len(shown)))


def fact_page(report: FactReport, traces: Sequence[AnyTrace], *, title: str = "", dark: bool = False) -> dict[str, go.Figure]:
    """Heading to figure: the groups, and the timeline of a question answered right and of one answered wrong, where there are such."""
    figures = {"Groups of questions": fact_groups(report, title=title, dark=dark)}
    done = [trace for trace in traces if trace.stopped != "error"]
    pairs = [(trace, bool(question.answer.em)) for trace, question in zip(done, report.questions, strict=True) if trace.n_steps]
    for name, right in (("A question answered right", True), ("A question answered wrong", False)):
        shown = next((trace for trace, em in pairs if em is right), None)
        if shown is not None:
            figures[name] = fact_timeline(shown, dark=dark)
    return figures


def group_name(group: FactGroup) -> str:
    """What a group of questions is called."""
    return f"{group.trait}: {group.value}" if group.trait else group.value


def _plain(text: str, limit: int) -> str:
    """Text of a data set for a label."""
    return isolated(short(visible(text), limit))
