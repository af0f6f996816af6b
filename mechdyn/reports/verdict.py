"""A verdict as tables, as the terminal prints it, and the figures that go with it.

A claim that has no `Layout` of its own is shown with a line for each piece of evidence and the timeline of one sample.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from mechdyn.claims.irreplaceability import EFFECT_MEASURE
from mechdyn.claims.irreplaceability_first import DIFFERENCE, SIZE
from mechdyn.contrasts import NEITHER, OWN, STATIC
from mechdyn.evidence import LESS, Criteria, Evidence, Table, Verdict
from mechdyn.paper.parts import NEEDLES
from mechdyn.paper.values import TABLE_1, PaperDynamism
from mechdyn.registry import Registry
from mechdyn.reports.alarm import alarm_answers, alarm_tables
from mechdyn.reports.evidence_figures import evidence_figures, setting, stored_controls
from mechdyn.reports.head_lists import verdict_on_lists
from mechdyn.reports.kv_budgets import budget_curves, budget_tables
from mechdyn.reports.tables import interval_text, methods_text, output, print_tables
from mechdyn.studies.conditions import ABOUT, CLEAN, COMMITS, CONDITIONS
from mechdyn.studies.dose_response import SETS
from mechdyn.tasks.task import TASKS, is_correct
from mechdyn.text import visible
from mechdyn.traces.stored import AnyTrace, as_trace
from mechdyn.views.ablation import ablation_grids
from mechdyn.views.condition_panels import conditions
from mechdyn.views.looks import InBothLooks, View, in_both_looks
from mechdyn.views.page import save_page
from mechdyn.views.probe import verdict_curves
from mechdyn.views.timeline import timeline

Figures = Mapping[str, View] | Sequence[View]
_PAPER: Mapping[str, Callable[[PaperDynamism], str]] = {
    "adjacent Jaccard": lambda row: f"{row.adjacent_jaccard:.3f}",
    "Jaccard with static top 20": lambda row: f"{row.static_jaccard:.3f}",
    "entropy (nats)": lambda row: f"{row.entropy:.3f}",
    "heads per retrieving step": lambda row: f"{row.heads_per_step[0]:.1f} ± {row.heads_per_step[1]:.1f}",
    "activated heads": lambda row: f"{row.activated[0]}/{row.activated[1]}",
}

_MEASURED = "measured (95 % by sample)"
_KEPT = {"clean": "observing", "ablated": "ablated"}


def verdict_tables(verdict: Verdict) -> list[Table]:
    """Every measured value with its 95 % interval, those of verdicts under other criteria last.

    A claim without a layout of its own has a line for each piece of evidence.
    """
    drawn = layout_of(verdict.claim).tables
    return [table for each in (verdict, *verdict.beside) if each.evidence or each is verdict for table in drawn(each)]


def print_verdict(verdict: Verdict, console: Console | None = None) -> None:
    """The tables, the criteria under what they decide, the notes, and the verdict; plain and unwrapped when piped."""
    console = output(console)
    print_tables(verdict_tables(verdict), console)
    for other in verdict.beside:
        _print_reasons(other, console)
    _print_reasons(verdict, console, style="bold")


def _print_reasons(verdict: Verdict, console: Console, style: str = "") -> None:
    """The criteria under what they decide, the notes, and the verdict."""
    for line in [*_under("to support, all of:", verdict.supports), *_under("to refute, any of:", verdict.refutes), *verdict.notes]:
        console.print(Text(visible(f"  {line}")))
    console.print(Text(visible(f"{verdict.claim} on {verdict.model}{_criteria_of(verdict)}: {verdict.outcome}"), style=style))


def _criteria_of(verdict: Verdict) -> str:
    """The name of the criteria, to stand behind the model's; empty where they have none."""
    return f", {verdict.named}" if verdict.named else ""


def _under(heading: str, criteria: Criteria) -> list[str]:
    """Criteria indented under what they decide; nothing where there are none."""
    return [heading, *(f"  {criterion}" for criterion in criteria)] if criteria else []


def save_verdict_figure(verdict: Verdict, traces: Mapping[str, Sequence[AnyTrace]], folder: Path) -> Path | None:
    """What the verdict rests on and the claim's own figures as a page; None where there is neither a number nor a step.

    Control models whose verdicts on the same question are stored in folders beside this one are drawn with it.
    """
    name, figures = verdict_figures(verdict, traces, stored_controls(verdict, folder))
    title = f"{verdict.claim} on {verdict.model}: {verdict.outcome}"
    return save_page(figures, folder / f"{name}.html", title, dark=None) if figures else None


def verdict_figures(
    verdict: Verdict, traces: Mapping[str, Sequence[AnyTrace]], controls: Sequence[Verdict] = ()
) -> tuple[str, Mapping[str, View]]:
    """What to call the page, and by heading what the verdict rests on, then the claim's own figures of what it was judged on."""
    found = layout_of(verdict.claim)
    given = {role: list(map(as_trace, row)) for role, row in traces.items()} if found.tensors else traces
    own = found.figures(verdict, given)
    named = own if isinstance(own, Mapping) else dict(zip(_numbered(len(own)), own, strict=True))
    return found.page if named else "verdict", {**evidence_figures(verdict, controls, traces), **named}


def _numbered(n: int) -> list[str]:
    return [ONE_SAMPLE, *(f"{ONE_SAMPLE}, {number}" for number in range(2, n + 1))][:n]


def plain_tables(verdict: Verdict) -> list[Table]:
    """A line for each piece of evidence."""
    with_null = any(evidence.null is not None for evidence in verdict.evidence)
    numbers = ("value", "n", *(["null"] if with_null else []))
    methods = _method_column(verdict)
    rows = [
        (
            *_measured_cells(evidence),
            *([f"{evidence.null:.3f}" if evidence.null is not None else ""] if with_null else []),
            *(evidence.interval.method for _ in methods),
        )
        for evidence in verdict.evidence
    ]
    title, columns = f"{verdict.claim} on {verdict.model}{_criteria_of(verdict)}", (_MEASURED, *numbers, *methods)
    return [Table(title, columns, tuple(rows), numbers=numbers, droppable=methods)]


def _dynamism_tables(verdict: Verdict) -> list[Table]:
    """Table 1, the paper's five models beside what was measured; for questions the paper gives no numbers."""
    if TASKS.get(verdict.facts["task"]).paper != NEEDLES:
        return plain_tables(verdict)
    paper = tuple(f"paper: {name}" for name in TABLE_1)
    methods = _method_column(verdict)
    rows = [
        (*_measured_cells(evidence), *_paper_cells(evidence.name), *(evidence.interval.method for _ in methods))
        for evidence in verdict.evidence
    ]
    activated = f"{verdict.facts['activated_heads']}/{verdict.facts['total_heads']}"
    rows.append(("activated heads", activated, str(verdict.facts["samples"]), *_paper_cells("activated heads"), *("" for _ in methods)))
    numbers = ("value", "n", *paper)
    title = f"{verdict.claim} on {verdict.model}{_criteria_of(verdict)}"
    columns, droppable = (_MEASURED, *numbers, *methods), (*paper, *methods)
    return [Table(title, columns, tuple(rows), numbers=numbers, droppable=droppable)]


def _dose_tables(verdict: Verdict) -> list[Table]:
    """Dose-response: heads off at a step down, what each kind of heads takes from log p across; none where it was not measured."""
    found = [evidence for evidence in verdict.evidence if evidence.measure == EFFECT_MEASURE]
    if not found:
        return []
    columns = {name: {"heads": name} for name in SETS}
    columns |= {f"own less {name}": {"heads": OWN, LESS: name} for name in (STATIC, NEITHER)}
    rows = []
    for k in dict.fromkeys(evidence.at["k"] for evidence in found):
        cells = [verdict.find(EFFECT_MEASURE, **at, k=k) for at in columns.values()]
        n = next(cell.interval.n for cell in cells if cell)
        rows.append((str(k), str(n), *(interval_text(cell.interval, spec=".3f") if cell else "" for cell in cells)))
    title = f"{verdict.claim} on {verdict.model}: what k heads off at one step take from log p of the clean token (nats)"
    caption = (
        "own: heads of the step that the static list lacks; static: the list's that the step lacks; neither: others of own's layers, ten "
        "draws; active: all of the step's heads, at the steps that reach k; correct samples, 95 % by sample"
    )
    numbers = ("n", *columns)
    return [Table(title, ("k", *numbers), tuple(rows), caption, numbers)]


def _irreplaceability_tables(verdict: Verdict) -> list[Table]:
    """Dose-response, then a table for each commit rule: conditions down, metrics, paired differences and heads off across.

    A verdict that the first release recorded tells condition and commit rule in the name alone: it gets a line for each piece of evidence.
    """
    if not any(evidence.at for evidence in verdict.evidence):
        return plain_tables(verdict) if verdict.evidence else []
    facts = verdict.facts
    metrics = ("accuracy", "rouge_l") if facts["metric"] == "accuracy" else ("f1", "em")
    caption = (
        f"{facts['samples']} samples in every condition ({facts['failed_samples']} failed); "
        f"{DIFFERENCE}: {facts['metric']} less dynamic's, paired; average size {facts['average_size']}; "
        f"{facts['detection_samples_correct']} of {facts['detection_samples']} detection samples correct; 95 % by sample"
    )
    numbers = (*metrics, DIFFERENCE, "heads a step")
    tables = _dose_tables(verdict)
    for commit in COMMITS:
        title = f"{verdict.claim} on {verdict.model}, commit={commit}: keys and values kept are the {_KEPT[commit]} forward's"
        rows = []
        for condition in CONDITIONS:
            cells = {measure: verdict.find(measure, condition=condition, commit=commit) for measure in (*metrics, DIFFERENCE, SIZE)}
            texts = (
                interval_text(evidence.interval, spec=".1f" if measure == SIZE else ".3f") if evidence else ""
                for measure, evidence in cells.items()
            )
            rows.append((f"{condition}: {ABOUT[condition]}", *texts))
        below = methods_text((evidence.interval for evidence in verdict.evidence), caption) if commit == COMMITS[-1] else ""
        tables.append(Table(title, ("condition: heads off", *numbers), tuple(rows), below, numbers))
    return tables


def _method_column(verdict: Verdict) -> tuple[str, ...]:
    """The heading of the column that says how each interval was made; none for the verdicts of earlier releases, which do not say."""
    return ("interval by",) if any(evidence.interval.method for evidence in verdict.evidence) else ()


def _measured_cells(evidence: Evidence) -> tuple[str, str, str]:
    return evidence.name, interval_text(evidence.interval, evidence.note), str(evidence.interval.n)


def _paper_cells(name: str) -> list[str]:
    read = _PAPER.get(name)
    return [read(row) if read else "" for row in TABLE_1.values()]


def one_timeline(verdict: Verdict, traces: Mapping[str, Sequence[AnyTrace]]) -> Figures:
    """Figure 1 for the first correct sample of the role `evaluation`, or of the first role (the first with any step if none is correct)."""
    candidates = [trace for trace in traces.get("evaluation") or next(iter(traces.values()), ()) if trace.n_steps]
    correct = [trace for trace in candidates if is_correct(trace.task, trace.text, trace.answer)]
    return list(map(_timeline, (correct or candidates)[:1]))


def _timeline(trace: AnyTrace) -> InBothLooks:
    return InBothLooks.of(lambda dark: timeline(trace, dark=dark))


def _grids(verdict: Verdict, traces: Mapping[str, Sequence[AnyTrace]]) -> Figures:
    """Every condition in one figure, then Figure 2; where the claim stopped at the detection set, one of its samples."""
    if CLEAN not in traces:
        return one_timeline(verdict, traces)
    about, compared = setting(traces), verdict.find(DIFFERENCE, condition=CLEAN, commit="clean")
    shown = {"Conditions": InBothLooks.of(lambda dark: conditions(verdict, about=about, dark=dark))} if compared else {}
    return {**shown, **in_both_looks(lambda dark: ablation_grids(traces, title=verdict.model, dark=dark))}


def _curves(verdict: Verdict, traces: Mapping[str, Sequence[AnyTrace]]) -> Figures:
    """What was measured by offset, then one sample."""
    curves = in_both_looks(lambda dark: verdict_curves(verdict, dark=dark))
    return {**curves, **dict(zip([ONE_SAMPLE], one_timeline(verdict, traces), strict=False))}


ONE_SAMPLE = "One of the samples (Figures 1 and 5)"
NOT_PRINTED = "The paper prints these results as a picture only, so there are no values to set beside them."


@dataclass(frozen=True)
class Layout:
    """How the verdicts of a claim are shown.

    Attributes:
        tables: what is printed and stands in a report.
        figures: what is drawn of the verdict and of the traces it was judged on, by heading or in order.
        page: what the file with the figures is called.
        remark: what a report says below them.
        tensors: whether `figures` works on the tensors of its traces; where it takes them as they are stored, a report does without torch.
    """

    tables: Callable[[Verdict], list[Table]] = plain_tables
    figures: Callable[[Verdict, Mapping[str, Sequence[Any]]], Figures] = one_timeline
    page: str = "timeline"
    remark: str = ""
    tensors: bool = True


LAYOUTS: Registry[Layout] = Registry("layout", "mechdyn.reports.verdict")
"""By the name of the claim; a claim may do without one."""


def layout_of(claim: str) -> Layout:
    """The layout of a claim's verdicts: its own, else a plain table and one timeline."""
    return LAYOUTS.get(claim) if claim in LAYOUTS.names() else Layout(tensors=False)


LAYOUTS.register("alarm", Layout(alarm_tables, alarm_answers, "alarm"))
LAYOUTS.register("dynamism", Layout(_dynamism_tables, tensors=False))
LAYOUTS.register("irreplaceability", Layout(_irreplaceability_tables, _grids, "ablation", NOT_PRINTED, tensors=False))
for _property in ("sparse", "intrinsic", "universal"):
    LAYOUTS.register(f"wu2024.{_property}", Layout(verdict_on_lists, tensors=False))
LAYOUTS.register("step_budgets", Layout(budget_tables, budget_curves, "kv_budgets", tensors=False))
LAYOUTS.register("retmask", Layout(figures=lambda verdict, traces: {}, page="retmask", tensors=False))
LAYOUTS.register("correlation", Layout(figures=_curves, page="correlation", tensors=False))
LAYOUTS.register("anticipation", Layout(figures=_curves, page="anticipation", tensors=False))
