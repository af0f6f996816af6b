"""What a report shows of each kind of run: sections of tables, figures and remarks, still without a page.

`sections` has one function a kind of run; a new kind is a reader in `mechdyn.runs.read` and a function registered here.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatch

from mechdyn.claims.claim import get_claim
from mechdyn.claims.meta_analysis import Together, together
from mechdyn.errors import InputError
from mechdyn.evidence import Table, Verdict
from mechdyn.paper.parts import NEEDLES
from mechdyn.paper.values import FIGURE_3
from mechdyn.reports.detection import detected_tables
from mechdyn.reports.evidence_figures import evidence_figures, stored_controls
from mechdyn.reports.follows import follows_tables, modes_remark
from mechdyn.reports.improve import improve_tables
from mechdyn.reports.results import (
    correlations_table,
    effect_table,
    fact_table,
    grid_table,
    modes_report,
    probe_table,
    progressive_table,
    rag_tables,
    sensitivity_table,
)
from mechdyn.reports.together import holm_table, together_table
from mechdyn.reports.verdict import NOT_PRINTED, layout_of, verdict_figures, verdict_tables
from mechdyn.runs.contents import (
    AblationTable,
    Content,
    DetectedList,
    EvaluatedVariants,
    FollowedSets,
    Judged,
    ModesOfList,
    Points,
    Settings,
    Single,
    Strategies,
)
from mechdyn.runs.read import Run, not_run
from mechdyn.studies.facts import clean_traces, fact_report, has_facts
from mechdyn.views.ablation import ablation_grids, progressive_figures
from mechdyn.views.facts import fact_page
from mechdyn.views.follows import follows_figures
from mechdyn.views.head_maps import head_map
from mechdyn.views.looks import InBothLooks, View, in_both_looks
from mechdyn.views.over_models import forest
from mechdyn.views.probe import correlations
from mechdyn.views.sensitivity import sensitivity_figures
from mechdyn.views.timeline import timeline

_AXES = {"lengths": "length", "depths": "depth", "runs": "runs", "questions": "questions"}
"""Fields of a run's config that take the place of the preset's own, and their options."""


@dataclass(frozen=True)
class Section:
    """One part of a report: what was run and how, then its tables, its figures and what is to be said about them."""

    heading: str
    command: str
    tables: tuple[Table, ...] = ()
    figures: Mapping[str, View] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """Everything that the page and the Markdown show, in order."""

    title: str
    verdicts: Table | None
    """None where no run has a verdict."""
    sections: tuple[Section, ...]
    missing: Table
    manifests: tuple[Table, ...]


def make_report(runs: Sequence[Run]) -> Report:
    """The report of some runs, verdicts first."""
    judged = [run for run in runs if isinstance(run.content, Judged | Strategies) and run.content.verdict is not None]
    models = dict.fromkeys(run.model for run in runs)
    return Report(
        title=f"mechdyn: {len(judged)} verdict{'' if len(judged) == 1 else 's'} on {', '.join(models)}",
        verdicts=_verdicts(runs),
        sections=(*_together(judged), *(section for run in runs for section in sections(run.content, run))),
        missing=_missing(runs),
        manifests=tuple(manifest for run in runs for manifest in _manifests(run)),
    )


def _verdicts(runs: Sequence[Run]) -> Table | None:
    """One line a verdict; the reference's of a sensitivity grid is not one of its own."""
    rows = []
    for run in runs:
        if isinstance(run.content, Judged | Strategies) and run.content.verdict is not None:
            verdict = run.content.verdict
            rows.append((verdict.claim, str(verdict.outcome), run.model, run.task.name, _preset(run), _how(run.content), _registered(run)))
    columns = ("claim", "verdict", "model", "task", "preset", "judged", "registered before the first trace")
    return Table("Verdicts", columns, tuple(rows), droppable=columns[-1:]) if rows else None


def _how(found: Judged | Strategies) -> str:
    """How a verdict comes to stand in the report."""
    if found.again:
        return "again, otherwise" if found.changed else "again, the same"
    return "as recorded, nothing changed" if isinstance(found, Judged) and found.unchanged else "as recorded"


def _together(judged: Sequence[Run]) -> list[Section]:
    """Where there are several verdicts: each under Holm's correction, and each claim and task over models."""
    verdicts = [run.content.verdict for run in judged if isinstance(run.content, Judged | Strategies) and run.content.verdict is not None]
    if len(verdicts) < 2:
        return []
    command = f"mechdyn report {' '.join(shlex.quote(str(run.folder.path)) for run in judged)}"
    parts = [Section("Several verdicts at once", command, (holm_table(verdicts),))]
    for task in dict.fromkeys(run.task.name for run in judged):
        of_task = [verdict for run, verdict in zip(judged, verdicts, strict=True) if run.task.name == task]
        for found in together(of_task):
            figures = {"models, their mean, and the next": _forest(found)} if found.found else {}
            parts.append(Section(f"{found.claim} over models: {task}", command, (together_table(found),), figures))
    return parts


def _forest(found: Together) -> InBothLooks:
    return InBothLooks.of(lambda dark: forest(found, dark=dark))


def _registered(run: Run) -> str:
    """Whether a verdict is judged by what was fixed before the first trace or answer."""
    found = run.content.registered if isinstance(run.content, Judged | Strategies) else None
    if found is None:
        return "no" if run.folder.record.registered is None else "yes, but its claim is not installed here to be compared"
    return found.text


def _preset(run: Run) -> str:
    """`quick`, or `quick but for length 256` where options took the place of the preset's own axes."""
    given = {option: run.folder.record.asked.get(field) for field, option in _AXES.items()}
    changed = [f"{option} {_value(value)}" for option, value in given.items() if value]
    return f"{run.preset} but for {', '.join(changed)}" if changed else run.preset


def _missing(runs: Sequence[Run]) -> Table:
    """Parts of the paper that none of the runs covers, and how far each run stays behind the paper's own setting."""
    return Table("", ("what", "how to run it"), tuple((missing.what, missing.how) for missing in not_run(runs)))


@singledispatch
def sections(found: Content, run: Run) -> list[Section]:
    """What a run's content is shown as; a content of a new type registers a function of its own here."""
    raise TypeError(f"no report is written for {type(found).__name__}; register a function for it with sections.register")


@sections.register
def _judged(found: Judged, run: Run) -> list[Section]:
    """A claim's verdict, for questions what became of their facts, then what scripts measured on the same traces."""
    parts = [_verdict(run, found, found.verdict)] if found.verdict is not None else []
    if has_facts(clean_traces(run.folder.stored)):
        parts.append(_facts(run))
    where = f"{run.model}, {run.task.name}"
    if found.correlations is not None:
        heading, by_offset = f"Correlations by offset (Figures 4 and 8): {where}", found.correlations.offsets
        tables = (correlations_table(by_offset, f"Canonical correlations on {where}", paper=run.task.paper == NEEDLES),)
        figures = in_both_looks(lambda dark: correlations(by_offset, title=run.model, dark=dark))
        parts.append(Section(heading, run.beside("mechdyn correlations"), tables, figures))
    for name, reports in found.probes.items():
        title = f"{name} on {run.model}"
        parts.append(Section(f"Probes (Tables 2 and 3): {where}", run.beside("mechdyn probe"), (probe_table(reports, title),)))
    return parts


def _facts(run: Run) -> Section:
    traces = clean_traces(run.folder.stored)
    report, where = fact_report(traces), f"{run.model}, {run.task.name}"
    tables = (fact_table(report, f"Supporting facts on {where}, no head off"),)
    figures = in_both_looks(lambda dark: fact_page(report, traces, title=run.model, dark=dark))
    return Section(f"Supporting facts: {where}", run.command, tables, figures)


def _verdict(run: Run, found: Judged, verdict: Verdict) -> Section:
    remark = layout_of(verdict.claim).remark
    _, figures = verdict_figures(verdict, run.folder.stored, stored_controls(verdict, run.folder.path))
    return Section(
        heading=f"{verdict.claim}{_of_paper(verdict.claim)}: {run.model}, {run.task.name}: {verdict.outcome}",
        command=run.command,
        tables=tuple(verdict_tables(verdict)),
        figures=figures,
        remarks=(*_otherwise(found), *verdict.reasons, *((remark,) if remark else ())),
    )


def _of_paper(claim: str) -> str:
    """` (3.2, Table 1)`: where the paper makes a claim; empty for one of somebody else's, or of a package that is not installed."""
    try:
        part = get_claim(claim).paper
    except InputError:
        part = ""
    return f" ({part})" if part else ""


def _otherwise(found: Judged | Strategies) -> list[str]:
    return [f"Judged again from what is stored, these differ from verdicts.json: {', '.join(found.changed)}."] * bool(found.changed)


@sections.register
def _grid(found: AblationTable, run: Run) -> list[Section]:
    figures = in_both_looks(lambda dark: ablation_grids(run.folder.stored, title=run.model, dark=dark))
    heading = f"Ablation grid (Figures {'2 and 9 to 11' if run.task.paper == NEEDLES else '6 and 12 to 14'}): {run.model}, {run.task.name}"
    facts = f"{found.detection.n_correct} detection samples correct; average size {found.detection.size}."
    title = f"Ablation on {run.model}, {run.task.name}"
    tables = [grid_table(found.rows, title), *([effect_table(found.effects, f"{title}: along the clean answers")] if found.effects else [])]
    return [Section(heading, run.command, tuple(tables), figures, (facts, NOT_PRINTED))]


@sections.register
def _modes(found: ModesOfList, run: Run) -> list[Section]:
    heading = f"One list of heads off in several modes: {run.model}, {run.task.name}"
    return [Section(heading, run.command, (modes_report(found.table, f"Heads off on {run.model}, {run.task.name}"),))]


@sections.register
def _progressive(found: Points, run: Run) -> list[Section]:
    title = f"Progressive ablation on {run.model}, {run.task.name}"
    paper = tuple(f"Paper, {model}: {values}." for model, values in FIGURE_3.items()) if run.task.paper == NEEDLES else (NOT_PRINTED,)
    figures = in_both_looks(lambda dark: progressive_figures(found.points, title=run.model, dark=dark))
    heading = f"Progressive ablation (Figures 3, 7 and 15 to 20): {run.model}, {run.task.name}"
    return [Section(heading, run.command, (progressive_table(found.points, title),), figures, paper)]


@sections.register
def _settings(found: Settings, run: Run) -> list[Section]:
    title = f"Dynamism on {run.model}, {run.task.name}: sink, local window and threshold of Eq. 2"
    figures = in_both_looks(lambda dark: sensitivity_figures(found.cells, title=f"{run.model}, {run.task.name}", dark=dark))
    remark = "The paper states none of the three numbers and shows no such grid."
    heading = f"Sensitivity of Eq. 2: {run.model}, {run.task.name}"
    return [Section(heading, run.command, (sensitivity_table(found.cells, title),), figures, (remark,))]


@sections.register
def _followed(found: FollowedSets, run: Run) -> list[Section]:
    where = f"{run.model}, {run.task.name}"
    tables = tuple(follows_tables(found.found, f"What the sets follow on {where}", found.carried))
    answers = f"{found.found.n_right} of {found.found.n_traces} answers are right and count."
    figures = in_both_looks(lambda dark: follows_figures(found.found, title=run.model, dark=dark))
    return [Section(f"What the sets follow: {where}", run.command, tables, figures, (answers, modes_remark(found.found.modes)))]


@sections.register
def _strategies(found: Strategies, run: Run) -> list[Section]:
    heading = f"{found.verdict.claim} (5, Table 4): {run.model}, {run.task.name}: {found.verdict.outcome}"
    figures = evidence_figures(found.verdict, stored_controls(found.verdict, run.folder.path))
    remarks = (*_otherwise(found), *found.verdict.reasons)
    return [Section(heading, run.command, tuple(rag_tables(found.rows, found.verdict)), figures, remarks)]


@sections.register
def _detected(found: DetectedList, run: Run) -> list[Section]:
    detected = found.found
    title = f"Heads of {run.model} by {detected.name} on {run.task.name}"
    figures = in_both_looks(lambda dark: {"layers and heads": head_map(detected.ranking, detected.k, title=title, dark=dark)})
    return [Section(title, run.command, tuple(detected_tables(detected, title)), figures)]


@sections.register
def _improved(found: EvaluatedVariants, run: Run) -> list[Section]:
    tables = improve_tables(found.found.evaluation, f"{run.folder.record.kind} on {run.model}")
    about = _listing("What the variants are", found.found.about)
    return [Section(f"{run.name}: what improves the model", run.command, (*tables, about))]


@sections.register
def _single(found: Single, run: Run) -> list[Section]:
    figures = in_both_looks(lambda dark: {"timeline": timeline(found.trace, dark=dark)}) if found.trace.n_steps else {}
    remarks = (f"Answer: {found.trace.text!r}", f"Expected: {found.trace.answer!r}")
    return [Section(f"One trace (Figures 1 and 5): {run.model}, {run.task.name}", run.command, (), figures, remarks)]


def _manifests(run: Run) -> list[Table]:
    """What the run was asked, and what made each of its stores."""
    tables = [_listing(f"{run.name}: what was asked", _asked(run))]
    return tables + [_listing(f"{run.name}/{name}: what made the traces", vars(made)) for name, made in run.folder.manifests.items()]


def _asked(run: Run) -> dict[str, object]:
    record = run.folder.record
    return {"kind": record.kind, **record.asked, "model": record.model}


def _listing(title: str, values: Mapping[str, object]) -> Table:
    return Table(title, ("field", "value"), tuple((name, _value(value)) for name, value in values.items()))


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {part}" for name, part in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "the default"
    return "none" if value is None or value == "" else str(value)
