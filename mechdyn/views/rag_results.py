"""Tables and figures of dynamic RAG: Table 4 with what it lacks, and how results move with threshold, k and window."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from rich.table import Table

from mechdyn.evidence import LESS, Verdict
from mechdyn.paper.values import TABLE_4
from mechdyn.rag.names import ABOUT
from mechdyn.reports.tables import interval_text, table
from mechdyn.stats.resampling import Interval
from mechdyn.studies.rag import RagRow
from mechdyn.views.curves import Curve, curves

_NUMBERS = ("retrievals", "tokens shown", "forwards", "seconds")


def rag_tables(rows: Sequence[RagRow], verdict: Verdict) -> list[Table]:
    """What each strategy reached, the paired differences with the verdict, and the paper's Table 4."""
    title = f"{verdict.claim} on {verdict.model}: {verdict.outcome}"
    return [conditions_table(rows, title), windows_table(rows), _differences(verdict), _paper(rows)]


def conditions_table(rows: Sequence[RagRow], title: str) -> Table:
    """A line for each condition: EM, F1 and what they took, means a question."""
    caption = (
        f"{rows[0].f1.n} questions, 95 % by question. Forwards are what a strategy takes by itself; seconds its share of passes that "
        "strategies have in common."
    )
    built = table(title, "strategy", "EM", "F1", *_NUMBERS, "not ended by itself", caption=caption)
    for row in rows:
        stops = ", ".join(f"{count} {name}" for name, count in row.stopped.items() if name != "eos")
        means = (
            f"{row.retrievals.estimate:.2f}",
            f"{row.shown.estimate:.0f}",
            f"{row.forwards.estimate:.0f}",
            f"{row.seconds.estimate:.3f}",
        )
        built.add_row(_called(row.condition), interval_text(row.em), interval_text(row.f1), *means, stops)
    return built


def windows_table(rows: Sequence[RagRow]) -> Table:
    """How much of the supporting facts the windows of each condition showed."""
    caption = "shares of retrievals; shown is a fact with all of its tokens, next the first that the answer does not quote yet"
    built = table("supporting facts in the windows", "strategy", "all facts", "the next fact", "any fact", caption=caption)
    for row in rows:
        if row.all_shown.n:
            built.add_row(_called(row.condition), *(interval_text(share) for share in (row.all_shown, row.next_shown, row.one_shown)))
    return built


def sweep_figures(
    curves_by_number: Mapping[str, Mapping[str, Mapping[float | int, Interval]]], *, dark: bool = False
) -> dict[str, go.Figure]:
    """Heading to figure, one for each number that was swept: F1 against its values, a line for each strategy."""
    figures = {}
    for number, lines in curves_by_number.items():
        drawn = [Curve(name, list(points), list(points.values())) for name, points in lines.items()]
        figures[f"F1 against {number}"] = curves(
            drawn, x_title=number, y_title="F1", y_range=(-0.03, 1.03), title=f"F1 against {number}", dark=dark
        )
    return figures


def _differences(verdict: Verdict) -> Table:
    built = table("paired differences, question by question", "compared", "difference [95 %]")
    for evidence in verdict.evidence:
        # The first release told it in the name alone.
        if LESS in evidence.at or (not evidence.at and " less " in evidence.measure):
            built.add_row(evidence.name, interval_text(evidence.interval))
    return built


def _paper(rows: Sequence[RagRow]) -> Table:
    """The paper's values of the strategies that were run, for comparison only: another task, other models."""
    built = table("the paper's Table 4 (HotpotQA), EM / F1", "strategy", *TABLE_4)
    for row in rows:
        values = [paper.of(row.condition) for paper in TABLE_4.values()]
        if any(values):
            built.add_row(_called(row.condition), *(f"{value[0]:.3f} / {value[1]:.4f}" if value else "" for value in values))
    return built


def _called(condition: str) -> str:
    return f"{condition}: {ABOUT[condition]}" if condition in ABOUT else condition
