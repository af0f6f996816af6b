"""Tables of what studies and claims measured, the paper's values beside them where it prints any; a function for each kind of result."""

from collections.abc import Mapping, Sequence

from mechdyn.claims.sensitivity import SensitivityCell, flipped, reference_cell
from mechdyn.errors import InputError
from mechdyn.evidence import LESS, Table, Verdict
from mechdyn.paper.values import FIGURE_4_TOP_1, TABLE_2, TABLE_3, TABLE_4
from mechdyn.probes.report import ClassifierReport, RegressorReport, Report
from mechdyn.rag import strategies
from mechdyn.reports.tables import interval_text, methods_text
from mechdyn.stats.cca_offsets import OffsetCCA
from mechdyn.stats.interval import Interval
from mechdyn.studies import conditions
from mechdyn.studies.facts import FactReport
from mechdyn.studies.grid import GridRow
from mechdyn.studies.progressive import ProgressivePoint
from mechdyn.studies.rag import RagRow
from mechdyn.views.facts import SHOWN, group_name
from mechdyn.views.sensitivity import measured, setting_text

_PROBES: Mapping[type, tuple[tuple[str, ...], Mapping[str, object], str]] = {
    ClassifierReport: (("f1", "precision", "recall", "auprc"), TABLE_2, ".3f"),
    RegressorReport: (("mse", "mae", "r2", "r2_weighted"), TABLE_3, ".4f"),
}
_COSTS = ("retrievals", "tokens shown", "forwards", "seconds")


def grid_table(rows: Sequence[GridRow], title: str) -> Table:
    """The ablation grid as a whole: a line for each condition and commit rule."""
    numbers = (*rows[0].metrics, "heads off a step", "n", "failed")
    lines = [
        (
            f"{row.condition}: {conditions.ABOUT.get(row.condition, 'a schedule')}",
            row.commit or "",
            *map(interval_text, row.metrics.values()),
            interval_text(row.heads_off, spec=".1f"),
            str(row.n_samples),
            str(row.n_failed),
        )
        for row in rows
    ]
    caption = methods_text(interval for row in rows for interval in (*row.metrics.values(), row.heads_off))
    return Table(title, ("condition: heads off", "commit", *numbers), tuple(lines), caption, numbers)


def progressive_table(points: Mapping[str, Sequence[ProgressivePoint]], title: str) -> Table:
    """Progressive ablation: a line for each commit rule and number k of heads off."""
    first = next(iter(points.values()))[0]
    numbers = ("k", *first.quality, *(f"compensated, {name}" for name in first.compensated), "heads off a step")
    lines = [
        (
            commit,
            str(point.k),
            *map(interval_text, point.quality.values()),
            *(interval_text(count, spec=".1f") for count in (*point.compensated.values(), point.heads_off)),
        )
        for commit, row in points.items()
        for point in row
    ]
    found = [point for row in points.values() for point in row]
    caption = methods_text(value for point in found for value in (*point.quality.values(), *point.compensated.values(), point.heads_off))
    return Table(title, ("commit", *numbers), tuple(lines), caption, numbers)


def fact_table(report: FactReport, title: str) -> Table:
    """Supporting facts: a line for each group of questions, their number and measures, each with its 95 % interval."""
    caption = (
        f"{len(report.questions)} questions, {report.n_failed} failed; retrieved: at any step; steps: share of steps at which one is; "
        "sp: the facts that a rationale quotes; 95 % by question"
    )
    numbers = ("n", *SHOWN)
    lines = [(group_name(group), str(group.n), *(_fact_text(group.measures[name]) for name in SHOWN)) for group in report.groups]
    caption = methods_text((group.measures[name] for group in report.groups for name in SHOWN), caption)
    return Table(title, ("questions", *numbers), tuple(lines), caption, numbers)


def correlations_table(offsets: Sequence[OffsetCCA], title: str, *, paper: bool = True) -> Table:
    """The top correlation by offset: in sample, held out and under the null; with the paper's values, which are of needles, beside them."""
    beside = ("paper, in sample",) if paper else ()
    columns = ("k", "in sample", "held out", "null, held out", *beside)
    lines = [
        (
            str(at.offset),
            *(interval_text(side.means[1]) for side in (at.in_sample, at.held_out, at.null_held_out)),
            *(str(FIGURE_4_TOP_1.get(at.offset, "")) for _ in beside),
        )
        for at in offsets
    ]
    caption = methods_text(side.means[1] for at in offsets for side in (at.in_sample, at.held_out, at.null_held_out))
    return Table(title, columns, tuple(lines), caption, numbers=columns, droppable=beside)


def probe_table(reports: Mapping[str, Report], title: str) -> Table:
    """Table 2 for classifiers, Table 3 for regressors: a line for each predictor, the paper's five models below.

    Raises:
        InputError: no report.
    """
    first = next(iter(reports.values()), None)
    if first is None:
        raise InputError("a table of probes needs at least one report, got none")
    metrics, paper, spec = _PROBES[type(first)]
    lines = [(name, *(interval_text(getattr(found, metric), spec=spec) for metric in metrics)) for name, found in reports.items()]
    caption = methods_text((getattr(found, metric) for found in reports.values() for metric in metrics), _probe_caption(first))
    lines += [
        (f"paper: {model}", *(f"{getattr(row, metric):.4f}" if hasattr(row, metric) else "" for metric in metrics))
        for model, row in paper.items()
    ]
    return Table(title, ("predictor (95 % by sample)", *metrics), tuple(lines), caption, metrics)


def sensitivity_table(cells: Sequence[SensitivityCell], title: str) -> Table:
    """The sensitivity grid of Eq. 2: a line for each setting; the reference and the verdicts that differ from its are marked."""
    reference, other = reference_cell(cells), flipped(cells)
    caption = f"{len(other)} of {len(cells)} verdicts are not {reference.verdict.outcome}, which is that of {setting_text(reference)}"
    numbers = ("sink", "local", "threshold", "Q", "T - L", "reliability", "heads")
    lines = [
        (
            str(cell.sink),
            str(cell.local),
            f"{cell.threshold:g}",
            *(interval_text(interval) if interval else "undefined" for interval in measured(cell.verdict)),
            str(cell.verdict.outcome),
            "reference" if cell is reference else "flips" if cell in other else "",
        )
        for cell in cells
    ]
    caption = methods_text((interval for cell in cells for interval in measured(cell.verdict) if interval), caption)
    return Table(title, (*numbers, "verdict", ""), tuple(lines), caption, numbers)


def rag_tables(rows: Sequence[RagRow], verdict: Verdict) -> list[Table]:
    """Dynamic RAG: what each strategy reached, the paired differences with the verdict, and the paper's Table 4."""
    title = f"{verdict.claim} on {verdict.model}: {verdict.outcome}"
    return [strategies_table(rows, title), windows_table(rows), _differences_table(verdict), _paper_table(rows)]


def strategies_table(rows: Sequence[RagRow], title: str) -> Table:
    """A line for each strategy: EM, F1 and what they took, means a question."""
    caption = (
        f"{rows[0].f1.n} questions, 95 % by question. Forwards are what a strategy takes by itself; seconds its share of passes that "
        "strategies have in common."
    )
    numbers = ("EM", "F1", *_COSTS)
    lines = [
        (
            _called(row.condition),
            interval_text(row.em),
            interval_text(row.f1),
            f"{row.retrievals.estimate:.2f}",
            f"{row.shown.estimate:.0f}",
            f"{row.forwards.estimate:.0f}",
            f"{row.seconds.estimate:.3f}",
            ", ".join(f"{count} {name}" for name, count in row.stopped.items() if name != "eos"),
        )
        for row in rows
    ]
    caption = methods_text((interval for row in rows for interval in (row.em, row.f1)), caption)
    return Table(title, ("strategy", *numbers, "not ended by itself"), tuple(lines), caption, numbers)


def windows_table(rows: Sequence[RagRow]) -> Table:
    """How much of the supporting facts the windows of each strategy showed."""
    caption = "shares of retrievals; shown is a fact with all of its tokens, next the first that the answer does not quote yet"
    numbers = ("all facts", "the next fact", "any fact")
    lines = [
        (_called(row.condition), *map(interval_text, (row.all_shown, row.next_shown, row.one_shown))) for row in rows if row.all_shown.n
    ]
    caption = methods_text((share for row in rows for share in row.shares.values()), caption)
    return Table("supporting facts in the windows", ("strategy", *numbers), tuple(lines), caption, numbers)


def _differences_table(verdict: Verdict) -> Table:
    lines = [(evidence.name, interval_text(evidence.interval)) for evidence in verdict.evidence if LESS in evidence.at]
    numbers = ("difference [95 %]",)
    caption = methods_text(evidence.interval for evidence in verdict.evidence if LESS in evidence.at)
    return Table("paired differences, question by question", ("compared", *numbers), tuple(lines), caption, numbers)


def _paper_table(rows: Sequence[RagRow]) -> Table:
    """The paper's values of the strategies that were run, for comparison only: another task, other models."""
    numbers = tuple(TABLE_4)
    found = {row.condition: [paper.of(row.condition) for paper in TABLE_4.values()] for row in rows}
    lines = [
        (_called(name), *(f"{value[0]:.3f} / {value[1]:.4f}" if value else "" for value in values))
        for name, values in found.items()
        if any(values)
    ]
    return Table("the paper's Table 4 (HotpotQA), EM / F1", ("strategy", *numbers), tuple(lines), numbers=numbers)


def _called(condition: str) -> str:
    said = strategies.about(condition)
    return f"{condition}: {said}" if said else condition


def _fact_text(interval: Interval) -> str:
    return interval_text(interval, spec=".2f") if interval.n else "–"


def _probe_caption(found: ClassifierReport | RegressorReport) -> str:
    if isinstance(found, RegressorReport):
        return f"{found.mse.n} test samples; {found.n_constant} heads never vary in them and are left out of R²"
    return f"{found.f1.n} test samples, {found.n_positive:,} of {found.n_labels:,} labels positive; thresholds by best F1 on validation"
