"""Finished runs read back for a report, their results judged again from the stored traces without a model.

A run is recognised by its `run.json`, whose fields are those of the command's config. A new kind of run is a content, a function that reads
it and an entry in `KINDS`; `mechdyn.reports.sections` draws it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mechdyn.claims.dynamic_rag import RagRow, judge_rag, rag_row
from mechdyn.claims.registry import get_claim
from mechdyn.claims.sensitivity import SensitivityCell, judge_thresholds
from mechdyn.errors import StoreError
from mechdyn.evidence import Verdict
from mechdyn.models.registry import PAPER_MODELS
from mechdyn.paper.parts import ABLATION, CORRELATIONS, DYNAMIC_RAG, NEEDLES, PARTS, PROBES, PROGRESSIVE, QUESTIONS, SENSITIVITY
from mechdyn.probes.report import Report
from mechdyn.runs.ablate import require_detection
from mechdyn.runs.command_line import command_line
from mechdyn.runs.configs import AblateConfig, ProgressiveConfig, RagConfig, SensitivityConfig, TraceConfig, VerifyConfig
from mechdyn.runs.finished import Folder, parsed, read_config, read_folder, unfinished
from mechdyn.runs.folder import CONFIG
from mechdyn.runs.probe_files import FIGURE_4, REPORT, read_correlations, read_reports
from mechdyn.runs.rag_logs import RagLogs
from mechdyn.runs.sensitivity import window_name
from mechdyn.stats.cca_offsets import CCAResult
from mechdyn.studies.conditions import COMMITS, DETECTION_ROLE, Detection
from mechdyn.studies.grid import GridRow, grid_rows
from mechdyn.studies.progressive import ProgressivePoint, progressive_point
from mechdyn.traces.trace import Trace

VERDICTS, RESULTS = "verdicts.json", "results.json"
_TOLERANCE = 1e-6


@runtime_checkable
class Content(Protocol):
    """What a run came to."""

    @property
    def measures(self) -> frozenset[str]:
        """What was measured, in the words of `claims.paper_parts`."""
        ...


@dataclass(frozen=True, eq=False)
class Judged:
    """A claim's verdict: judged `again` from the traces, or as recorded; `changed` names what came out otherwise than recorded.

    `verdict` is None where only scripts used the traces. What they measured: `correlations` by offset, `probes` by name.
    """

    verdict: Verdict | None
    again: bool
    changed: tuple[str, ...]
    correlations: CCAResult | None
    probes: Mapping[str, Mapping[str, Report]]

    @property
    def measures(self) -> frozenset[str]:
        found = {CORRELATIONS: self.correlations is not None, PROBES: bool(self.probes)}
        return frozenset({name for name, there in found.items() if there} | ({self.verdict.claim} if self.verdict else set()))


@dataclass(frozen=True, eq=False)
class Grid:
    """An ablation grid."""

    rows: tuple[GridRow, ...]
    detection: Detection
    measures: frozenset[str] = frozenset({ABLATION})


@dataclass(frozen=True, eq=False)
class Points:
    """Progressive ablation, by commit rule."""

    points: Mapping[str, tuple[ProgressivePoint, ...]]
    measures: frozenset[str] = frozenset({PROGRESSIVE})


@dataclass(frozen=True, eq=False)
class Settings:
    """A sensitivity grid."""

    cells: tuple[SensitivityCell, ...]
    measures: frozenset[str] = frozenset({SENSITIVITY})


@dataclass(frozen=True, eq=False)
class Strategies:
    """Dynamic RAG, from the logs of its answers; the other fields are those of `Judged`."""

    rows: tuple[RagRow, ...]
    verdict: Verdict
    again: bool
    changed: tuple[str, ...]
    measures: frozenset[str] = frozenset({DYNAMIC_RAG})


@dataclass(frozen=True, eq=False)
class Single:
    """One trace."""

    trace: Trace
    measures: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run, read back."""

    folder: Folder
    command: str
    content: Content

    @property
    def name(self) -> str:
        return self.folder.path.resolve().name

    @property
    def model(self) -> str:
        return str(self.folder.config["model"]["name"])

    @property
    def task(self) -> str:
        return str(self.folder.config.get("task", "niah"))

    @property
    def preset(self) -> str:
        """Empty where a run has none."""
        return str(self.folder.config.get("preset", ""))

    def script(self, name: str, **more: object) -> str:
        """The command of an experiment's script on the traces of this claim."""
        asked = {field: value for field, value in _asked(self.folder.config).items() if field != "claim"}
        return command_line(f"python -m experiments.{name}", VerifyConfig, asked, **more, out=self.folder.path)


@dataclass(frozen=True)
class Missing:
    """Something that was not run, and why, or how to run it."""

    what: str
    how: str


@dataclass(frozen=True)
class Kind:
    """How a kind of run is made and read. It is finished where any of `results`, patterns in its folder, is there."""

    program: str
    results: tuple[str, ...]
    read: Callable[[Folder, bool], Content]
    traced: bool = True
    """Whether such a run always has traces."""


def read_run(path: str | Path, *, again: bool = True) -> Run:
    """Read a finished run.

    Args:
        path: its folder.
        again: judge claims again from the stored traces, which fits probes anew where a claim needs them; else take verdicts as recorded.

    Raises:
        StoreError: no run's folder, a run that is not finished, or a file that is damaged; the message says which.
    """
    path = Path(path)
    config = read_config(path)
    config_type = next((known for known in KINDS if _fields(known) == config.keys()), None)
    if config_type is None:
        raise StoreError(f"{path / CONFIG} is of no command that this mechdyn has; read it with the mechdyn that wrote it, or run again")
    kind = KINDS[config_type]
    command = command_line(kind.program, config_type, _asked(config), out=path)
    folder = read_folder(path, config, command, traced=kind.traced)
    if not any(any(path.glob(result)) for result in kind.results):
        raise unfinished(path, f"it has no {kind.results[0]}", command)
    return Run(folder, command, kind.read(folder, again))


def not_run(runs: Sequence[Run]) -> list[Missing]:
    """The paper's tables and figures that no run covers, its models that were not run, and presets other than its own."""
    done = {(name, NEEDLES if run.task == "niah" else QUESTIONS) for run in runs for name in run.content.measures}
    missing = [Missing(f"{part.name}: {part.measures}, {part.on}", part.command) for part in PARTS if (part.measures, part.on) not in done]
    models = {run.model for run in runs}
    absent = [name for name, source in PAPER_MODELS.items() if not {name, source} & models]
    if absent:
        missing.append(Missing(f"the paper's models {', '.join(absent)}", f"--model {absent[0]}, and so on"))
    smaller = [f"{run.name} has preset {run.preset}" for run in runs if run.preset not in ("", "paper")]
    return missing + [Missing(f"the paper's lengths and numbers of samples: {what}", "--preset paper") for what in smaller]


def _judged(folder: Folder, again: bool) -> Judged:
    path = folder.path
    recorded = parsed(path / VERDICTS, lambda rows: Verdict.from_json(rows[0])) if (path / VERDICTS).is_file() else None
    verdict = recorded
    if recorded is not None and again:
        verdict = get_claim(recorded.claim).judge(folder.request, folder.roles)
    return Judged(
        verdict=verdict,
        again=again,
        changed=_changed(recorded, verdict) if recorded and verdict else (),
        correlations=parsed(path / FIGURE_4, read_correlations) if (path / FIGURE_4).is_file() else None,
        probes={report.parent.name: parsed(report, read_reports) for report in sorted(path.glob(f"*/{REPORT}"))},
    )


def _grid(folder: Folder, again: bool) -> Grid:
    return Grid(grid_rows(folder.roles), require_detection(folder.roles[DETECTION_ROLE]))


def _points(folder: Folder, again: bool) -> Points:
    ranking = require_detection(folder.roles[DETECTION_ROLE]).ranking
    masked = folder.config["masked"]
    return Points({commit: tuple(progressive_point(k, commit, folder.roles, ranking) for k in masked) for commit in COMMITS})


def _settings(folder: Folder, again: bool) -> Settings:
    config = folder.config
    windows = [(sink, local) for sink in config["sinks"] for local in config["locals"]]
    judged = (judge_thresholds(folder.request, *window, folder.traces[window_name(*window)], config["thresholds"]) for window in windows)
    return Settings(tuple(cell for cells in judged for cell in cells))


def _strategies(folder: Folder, again: bool) -> Strategies:
    """Rows are always computed from the logs; the verdict where it is to be judged again."""
    recorded = parsed(folder.path / VERDICTS, lambda rows: Verdict.from_json(rows[0]))
    store = RagLogs(folder.path)
    questions, names = store.questions(), folder.config["strategies"]
    found = {name: store.read(name) for name in names}
    lacking = [name for name in names if any(question.sample not in found[name] for question in questions)]
    if lacking or not questions:
        raise StoreError(
            f"run {folder.path} lacks answers of {lacking[0] if lacking else 'every strategy'}; go on with it by running it again"
        )
    logs = {name: [found[name][question.sample] for question in questions] for name in names}
    verdict = judge_rag(recorded.model, questions, logs, recorded.facts) if again else recorded
    rows = tuple(rag_row(name, questions, answers) for name, answers in logs.items())
    return Strategies(rows, verdict, again, _changed(recorded, verdict))


def _single(folder: Folder, again: bool) -> Single:
    ((trace,),) = folder.roles.values()
    return Single(trace)


def _changed(recorded: Verdict, verdict: Verdict) -> tuple[str, ...]:
    """What differs: the outcome, or measured numbers by name, those that only one of the two has among them."""
    rows = [{evidence["name"]: evidence for evidence in each.as_json()["evidence"]} for each in (recorded, verdict)]
    names = dict.fromkeys([*rows[0], *rows[1]])
    changed = [name for name in names if not _same(rows[0].get(name), rows[1].get(name))]
    return (*(("the verdict",) if recorded.outcome != verdict.outcome else ()), *changed)


def _same(row: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    if row is None or other is None:
        return False
    pairs = ((row[name], other[name]) for name in row)
    return all(a == b or (isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, abs_tol=_TOLERANCE)) for a, b in pairs)


def _asked(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's config as it was asked: the model by name."""
    return {**config, "model": config["model"]["name"]}


def _fields(config_type: type) -> set[str]:
    """What `run.json` holds of a config: how many samples ran together is no part of what was run."""
    return {item.name for item in fields(config_type)} - {"batch_size"}


KINDS: Mapping[type, Kind] = {
    VerifyConfig: Kind("mechdyn verify", (VERDICTS, FIGURE_4, f"*/{REPORT}"), _judged),
    AblateConfig: Kind("mechdyn ablate", (RESULTS,), _grid),
    ProgressiveConfig: Kind("python -m experiments.figure_3_progressive", (RESULTS,), _points),
    SensitivityConfig: Kind("python -m experiments.sensitivity", (RESULTS,), _settings),
    RagConfig: Kind("mechdyn rag", (VERDICTS,), _strategies, traced=False),
    TraceConfig: Kind("mechdyn trace", (CONFIG,), _single),
}
