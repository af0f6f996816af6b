"""Finished runs read back for a report, their results judged again from the stored traces without a model.

A run is recognised by the kind in its `run.json`. A new kind of run is a content (`mechdyn.runs.contents`), a function that reads it and
an entry in `KINDS`; `mechdyn.reports.sections` draws it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mechdyn.claims.claim import CLAIMS, get_claim, paper_parts, rules_of
from mechdyn.claims.dynamic_rag import judge_rag
from mechdyn.claims.retmask import RULES
from mechdyn.claims.sensitivity import judge_thresholds
from mechdyn.errors import StoreError
from mechdyn.evidence import Evidence, Verdict
from mechdyn.models.registry import PAPER_MODELS
from mechdyn.runs.ablate import RESULTS, require_detection
from mechdyn.runs.changes import changes
from mechdyn.runs.checksums import SEALS
from mechdyn.runs.command_lines import command_line
from mechdyn.runs.configs import (
    AblateConfig,
    DetectConfig,
    FollowsConfig,
    ModesConfig,
    ProgressiveConfig,
    SensitivityConfig,
    TraceConfig,
    VerifyConfig,
)
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
from mechdyn.runs.detect import HEADS, Detected
from mechdyn.runs.finished import RunFolder, parsed, read_folder, unfinished
from mechdyn.runs.folder import RECORD, RunRecord, read_record
from mechdyn.runs.improve_configs import DecoreConfig, KVBudgetsConfig, SealConfig
from mechdyn.runs.own_heads import read_own_heads
from mechdyn.runs.probing import CORRELATIONS_FILE, REPORT, read_correlations, read_reports
from mechdyn.runs.rag_configs import RagConfig
from mechdyn.runs.rag_logs import RagLogs, rag_standing
from mechdyn.runs.registered import Standing, judged, noted, standing, unit_keys
from mechdyn.runs.retmask_configs import RetmaskConfig
from mechdyn.runs.sensitivity import window_name
from mechdyn.runs.verify import VERDICTS, noting_absent
from mechdyn.studies.conditions import COMMITS, DETECTION_ROLE
from mechdyn.studies.follows import ROLE as ANSWERS
from mechdyn.studies.follows import follows
from mechdyn.studies.grid import grid_rows
from mechdyn.studies.lagged_effect import effect_rows
from mechdyn.studies.modes import chosen_modes, modes_table
from mechdyn.studies.progressive import progressive_point
from mechdyn.studies.rag import rag_row
from mechdyn.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run, read back."""

    folder: RunFolder
    command: str
    content: Content

    @property
    def name(self) -> str:
        return self.folder.path.resolve().name

    @property
    def model(self) -> str:
        return str(self.folder.record.model["name"])

    @property
    def task(self) -> Task:
        return self.folder.task

    @property
    def preset(self) -> str:
        """Empty where a run has none."""
        return str(self.folder.record.asked.get("preset", ""))

    def beside(self, program: str) -> str:
        """The command line of another program on this run's traces, with the options that the run was asked."""
        asked = {name: value for name, value in _asked(self.folder.record).items() if name != "claim"}
        return command_line(program, VerifyConfig, asked, out=self.folder.path)


@dataclass(frozen=True)
class Missing:
    """Something that was not run, and why, or how to run it."""

    what: str
    how: str


@dataclass(frozen=True)
class Kind:
    """How a kind of run is made and read. It is finished where any of `results`, patterns in its folder, is there."""

    config: Any
    program: str
    results: tuple[str, ...]
    read: Callable[[RunFolder, bool | None], Content]
    traced: bool = True
    """Whether such a run always has traces."""


def read_run(path: str | Path, *, again: bool | None = True) -> Run:
    """Read a finished run.

    Args:
        path: its folder.
        again: judge claims again from the stored traces, which fits probes anew where a claim needs them; else take verdicts as recorded.
            None judges a claim again only where its criteria, its units or what is stored of them changed.

    Raises:
        StoreError: no run's folder, a run that is not finished, or a file that is damaged; the message says which.
    """
    path = Path(path)
    record = read_record(path)
    if record.kind not in KINDS:
        raise StoreError(f"{path / RECORD} is of no command that this mechdyn has; read it with the mechdyn that wrote it, or run again")
    kind = KINDS[record.kind]
    command = command_line(kind.program, kind.config, _asked(record), out=path)
    folder = read_folder(path, record, command, traced=kind.traced)
    if not any(any(path.glob(result)) for result in kind.results):
        raise unfinished(path, f"it has no {kind.results[0]}", command)
    return Run(folder, command, kind.read(folder, again))


def not_run(runs: Sequence[Run]) -> list[Missing]:
    """The paper's tables and figures that no run covers, its models that were not run, and presets other than its own."""
    done = {(name, run.task.paper) for run in runs for name in run.content.measures}
    parts = [part for part in paper_parts() if (part.measures, part.on) not in done]
    missing = [Missing(f"{part.name}: {part.measures}, {part.on}", part.command) for part in parts]
    models = {run.model for run in runs}
    absent = [name for name, source in PAPER_MODELS.items() if not {name, source} & models]
    if absent:
        missing.append(Missing(f"the paper's models {', '.join(absent)}", f"--model {absent[0]}, and so on"))
    smaller = [f"{run.name} has preset {run.preset}" for run in runs if run.preset not in ("", "paper")]
    return missing + [Missing(f"the paper's lengths and numbers of samples: {what}", "--preset paper") for what in smaller]


def _judged(folder: RunFolder, again: bool | None) -> Judged:
    path = folder.path
    recorded = parsed(path / VERDICTS, lambda rows: Verdict.from_json(rows[0])) if (path / VERDICTS).is_file() else None
    found = _standing(folder, recorded.claim) if recorded else None
    unchanged = again is None and recorded is not None and found is not None and _unchanged(folder, recorded, found)
    anew = recorded is not None and not unchanged and again is not False
    verdict = recorded
    if recorded is not None and anew:
        verdict = judged(get_claim(recorded.claim), folder.request, folder.roles, folder.record)
        verdict = noting_absent(verdict, folder.stored, folder.set_aside, folder.missing)
    return Judged(
        verdict=verdict,
        again=anew,
        changed=changes(recorded, verdict) if recorded and verdict else (),
        correlations=parsed(path / CORRELATIONS_FILE, read_correlations) if (path / CORRELATIONS_FILE).is_file() else None,
        probes={report.parent.name: parsed(report, read_reports) for report in sorted(path.glob(f"*/{REPORT}"))},
        registered=found,
        unchanged=unchanged,
    )


def _unchanged(folder: RunFolder, recorded: Verdict, found: Standing) -> bool:
    """Whether judging again would see the same: the registered criteria, options and units, and the same units absent.

    A unit's key hashes what its trace is made from, and checksums hold the files. Without a registration, without
    checksums, and of a claim that states no margins, nobody can tell. Criteria recorded in words alone, as earlier releases did, are put to
    the numbers again.
    """
    criteria = (criterion for each in (recorded, *recorded.beside) for criterion in (*each.supports, *each.refutes))
    if not all(criterion.asked for criterion in criteria):
        return False
    now = noting_absent(noted(replace(recorded, notes=()), found), folder.stored, folder.set_aside, folder.missing).notes
    told = bool(found.hash and rules_of(get_claim(recorded.claim)).margins) and (folder.path / SEALS).is_file()
    return told and not found.differences and recorded.notes[len(recorded.notes) - len(now) :] == now


def _standing(folder: RunFolder, claim: str) -> Standing | None:
    """What became of the run's registration; None where the claim's package is not installed, so that nothing can be held against it."""
    return standing(folder.record, rules_of(get_claim(claim)), unit_keys(folder.stored)) if claim in CLAIMS.names() else None


def _grid(folder: RunFolder, again: bool | None) -> AblationTable:
    return AblationTable(
        grid_rows(folder.roles, folder.record.asked.get("conditions") or ()),
        require_detection(folder.roles[DETECTION_ROLE]),
        effect_rows(folder.roles),
    )


def _modes(folder: RunFolder, again: bool | None) -> ModesOfList:
    asked = folder.record.asked
    traces = {role: found for role, found in folder.roles.items() if role != DETECTION_ROLE}
    return ModesOfList(modes_table(traces, chosen_modes(asked["methods"], asked["scopes"]), asked["draws"], asked["seed"]))


def _points(folder: RunFolder, again: bool | None) -> Points:
    ranking = require_detection(folder.roles[DETECTION_ROLE]).ranking
    masked = folder.record.asked["masked"]
    return Points({commit: tuple(progressive_point(k, commit, folder.roles, ranking) for k in masked) for commit in COMMITS})


def _settings(folder: RunFolder, again: bool | None) -> Settings:
    config = folder.record.asked
    windows = [(sink, local) for sink in config["sinks"] for local in config["locals"]]
    judged = (judge_thresholds(folder.request, *window, folder.traces[window_name(*window)], config["thresholds"]) for window in windows)
    return Settings(tuple(cell for cells in judged for cell in cells))


def _followed(folder: RunFolder, again: bool | None) -> FollowedSets:
    recorded = parsed(folder.path / RESULTS, lambda values: [Evidence.from_json(each) for each in values.get("carried", ())])
    carried = {(each.at["of"], each.at["on"]): each.interval for each in recorded}
    return FollowedSets(follows(folder.roles[ANSWERS], seed=folder.request.seed), carried)


def _strategies(folder: RunFolder, again: bool | None) -> Strategies:
    """Rows are always computed from the logs; the verdict where it is to be judged again."""
    recorded = parsed(folder.path / VERDICTS, lambda rows: Verdict.from_json(rows[0]))
    store = RagLogs(folder.path)
    questions, names = store.questions(), folder.record.asked["strategies"]
    found = {name: store.read(name) for name in names}
    lacking = [name for name in names if any(question.sample not in found[name] for question in questions)]
    if lacking or not questions:
        raise StoreError(
            f"run {folder.path} lacks answers of {lacking[0] if lacking else 'every strategy'}; go on with it by running it again"
        )
    logs = {name: [found[name][question.sample] for question in questions] for name in names}
    found_standing = rag_standing(folder.path, questions)
    anew = again is not False
    verdict = noted(judge_rag(recorded.model, questions, logs, recorded.facts), found_standing) if anew else recorded
    rows = tuple(rag_row(name, questions, answers) for name, answers in logs.items())
    return Strategies(rows, verdict, anew, changes(recorded, verdict), found_standing)


def _detected(folder: RunFolder, again: bool | None) -> DetectedList:
    ranking = read_own_heads(folder.path / HEADS)
    return DetectedList(parsed(folder.path / RESULTS, lambda values: Detected.from_json(values, ranking, folder.path)))


def _improved(folder: RunFolder, again: bool | None) -> EvaluatedVariants:
    from mechdyn.runs.improve import read_improved  # loads what runs models, which no other kind of run needs

    return EvaluatedVariants(parsed(folder.path / RESULTS, lambda values: read_improved(values, folder.path)))


def _retmasked(folder: RunFolder, again: bool | None) -> Judged:
    """The verdict from each sample's answers, as they were counted."""
    from mechdyn.runs.retmask import judge_again  # loads what runs models

    recorded = parsed(folder.path / VERDICTS, lambda rows: Verdict.from_json(rows[0]))
    found = parsed(folder.path / RESULTS, lambda values: standing(folder.record, RULES, values["samples"]))
    anew = again is not False
    verdict = parsed(folder.path / RESULTS, lambda values: judge_again(values, recorded, found)) if anew else recorded
    return Judged(verdict, anew, changes(recorded, verdict), None, {}, found)


def _single(folder: RunFolder, again: bool | None) -> Single:
    ((trace,),) = folder.stored.values()
    return Single(trace)


def _asked(record: RunRecord) -> dict[str, Any]:
    """A run's options as they were asked, the model by where it lay, and in the dtype that it had unless that was float32."""
    dtype = record.model.get("dtype")
    return {**record.asked, "model": record.source, **({} if dtype in (None, "float32") else {"dtype": dtype})}


KINDS: Mapping[str, Kind] = {
    kind.config.kind: kind
    for kind in (
        Kind(VerifyConfig, "mechdyn verify", (VERDICTS, CORRELATIONS_FILE, f"*/{REPORT}"), _judged),
        Kind(AblateConfig, "mechdyn ablate", (RESULTS,), _grid),
        Kind(DetectConfig, "mechdyn heads detect", (RESULTS,), _detected, traced=False),
        Kind(ModesConfig, "mechdyn modes", (RESULTS,), _modes),
        Kind(ProgressiveConfig, "mechdyn progressive", (RESULTS,), _points),
        Kind(FollowsConfig, "mechdyn follows", (RESULTS,), _followed),
        Kind(SensitivityConfig, "mechdyn sensitivity", (RESULTS,), _settings),
        Kind(RagConfig, "mechdyn rag", (VERDICTS,), _strategies, traced=False),
        Kind(TraceConfig, "mechdyn trace", (RECORD,), _single),
        Kind(RetmaskConfig, "mechdyn retmask verify", (VERDICTS,), _retmasked, traced=False),
        Kind(DecoreConfig, "mechdyn improve decore", (RESULTS,), _improved, traced=False),
        Kind(SealConfig, "mechdyn improve seal", (RESULTS,), _improved, traced=False),
        Kind(KVBudgetsConfig, "mechdyn improve kv-budgets", (RESULTS,), _improved, traced=False),
    )
}
