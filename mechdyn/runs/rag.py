"""Dynamic RAG (Section 5, Table 4): every strategy on the same questions, heads and probe from others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mechdyn.claims.claim import Rules
from mechdyn.claims.dynamic_rag import RULES, judge_rag
from mechdyn.errors import InputError, StoreError
from mechdyn.evidence import Verdict
from mechdyn.hashing import content_hash
from mechdyn.heads import RankedHeads
from mechdyn.models.model import Model
from mechdyn.plans import DETECTION, EVALUATION, Plan, Preset, chosen_preset, task_units
from mechdyn.probes.dataset import probe_data
from mechdyn.probes.fit import fit_probe
from mechdyn.probes.probe import Probe
from mechdyn.probes.storage import load_probe, save_probe
from mechdyn.rag.log import QuestionRecord, RagLog
from mechdyn.rag.options import RagOptions
from mechdyn.rag.strategies import OWN, check_number, check_strategy, make_strategy, table_order
from mechdyn.rag.strategy import Condition
from mechdyn.rag.visibility import find_context, record
from mechdyn.runs.ablate import RESULTS, require_detection, save_ranking
from mechdyn.runs.rag_answers import Question, answer_questions
from mechdyn.runs.rag_configs import RagConfig
from mechdyn.runs.rag_logs import QUESTIONS_ROLE, RagLogs, rag_standing
from mechdyn.runs.registered import noted, register
from mechdyn.runs.run_log import MAX_FAILURES
from mechdyn.runs.session import Session, check_samples, chosen_task
from mechdyn.runs.site import HERE, Site
from mechdyn.runs.verify import NAMED, VERDICTS
from mechdyn.studies.conditions import DETECTION_ROLE
from mechdyn.studies.rag import RagRow, rag_row
from mechdyn.tasks.task import build_sample
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import Unit

PRESETS = {
    "quick": Preset((512,), n_seeds=100, depths=(0.5,)),
    "standard": Preset((512, 1024), n_seeds=200, depths=(0.5,)),
    "paper": Preset((1500,), n_seeds=500, depths=(0.5,)),
}
"""Questions at each length: where the facts of a world lie is drawn, so depths are no axis. The paper's EMs are multiples of 1/500."""
N_DETECTION = 200
"""Other questions at each length, for the static ranking and the probe; as many as are evaluated where those are more."""


@dataclass(frozen=True)
class RagRun:
    """The logs of every condition in the order of the questions, what they come to, and where it all lies."""

    questions: Sequence[QuestionRecord]
    logs: Mapping[str, Sequence[RagLog]]
    rows: tuple[RagRow, ...]
    verdict: Verdict
    folder: Path


@dataclass(frozen=True, eq=False)
class Prepared:
    """What is fixed before the first question is answered."""

    run: Session
    options: RagOptions
    units: tuple[Unit, ...]
    detection: tuple[Unit, ...]


def rag(config: RagConfig, out: str | Path | None = None, site: Site = HERE) -> RagRun:
    """Answer the questions under every strategy and judge dynamic against static.

    The folder holds `run.json`, `questions.jsonl`, `logs/` (a JSON line for each answer), `results.json`, `verdicts.json`, and, where
    static or dynamic heads are asked for, the `traces/` of the detection set, `static_heads.json` and the `probe/`. Run again, it goes on
    where it stopped.

    Raises:
        InputError: choices that cannot be run, a probe that is needed and cannot be fitted, questions that a strategy cannot use; nothing
            is written but for the detection set's traces where those turn out too few.
        StoreError: a probe of another model.
    """
    names = strategies_of(config)
    options = options_of(config)
    if config.probe:
        load_probe(config.probe)
    with Session.open(config, out, site) as run:
        prepared = prepare(run, options)
        given = load_probe(config.probe, run.model.identity()) if config.probe else None
        run.resolve(strategies=names)
        if not RagLogs(run.folder).begun:
            register(run.folder, RULES, {QUESTIONS_ROLE: [build_sample(run.model, unit.sample).key for unit in prepared.units]})
        conditions, facts = choose_conditions(prepared, names, {"": prepared.options}, given, RULES)
        questions, logs = run_conditions(prepared, conditions, describe=f"RAG on {Path(config.model).name}")
        return conclude(run, questions, logs, facts)


def strategies_of(config: RagConfig) -> tuple[str, ...]:
    """The strategies asked for, as they were written, in the order of tables."""
    for text in config.strategies:
        check_strategy(text)
    return table_order(config.strategies or OWN)


def options_of(config: RagConfig) -> RagOptions:
    """The numbers of Algorithms 1 and 2, checked before a model is loaded."""
    task = chosen_task(config)
    if not task.has_context:
        raise InputError(f"dynamic RAG answers questions from a context, task {task.name} asks none; take the task world or hotpotqa")
    return RagOptions(
        threshold=config.threshold,
        variant=config.variant,
        attention=config.attention,
        k=config.k,
        window=config.window,
        max_new_tokens=config.max_new_tokens or task.max_new_tokens,
        max_sentences=config.max_sentences,
        draft=config.draft,
        mode=config.mode,
    )


def prepare(run: Session, options: RagOptions) -> Prepared:
    """Lay out the questions and hold them against the model; nothing is written."""
    config, request = run.config, run.request
    preset = chosen_preset(PRESETS, replace(request, runs=config.questions))
    check_number(config.heads, run.model.n_layers * run.model.n_heads)
    units = task_units(request, preset, EVALUATION)
    detection = task_units(request, replace(preset, n_seeds=max(N_DETECTION, preset.n_seeds)), DETECTION)
    if {unit.key for unit in units} & {unit.key for unit in detection}:
        raise InputError("questions to find heads on and questions to answer overlap; give a file with more questions")
    check_samples(run.model, Plan({DETECTION_ROLE: (*units, *detection)}))
    return Prepared(run, options, units, detection)


def choose_conditions(
    prepared: Prepared, names: Sequence[str], settings: Mapping[str, RagOptions], given: Probe | None, rules: Rules | None = None
) -> tuple[dict[str, Condition], dict[str, Any]]:
    """Every strategy under every setting, by `strategy` or `strategy, setting`; and how heads and probe came about.

    With `rules` the units of the detection set are registered before they are traced.
    """
    config, folder = prepared.run.config, prepared.run.folder
    probe, ranking = given, None
    needs = {need for name in names for need in check_strategy(name)}
    facts: dict[str, Any] = {}
    if given is not None:
        keep_probe(given, folder)
    if "ranking" in needs or ("probe" in needs and probe is None):
        traces = prepared.run.traces(Plan({DETECTION_ROLE: prepared.detection}), rules=rules)[DETECTION_ROLE]
        if "ranking" in needs:
            ranking, facts = _rank(traces, config.heads, folder, prepared)
        if "probe" in needs and probe is None:
            probe = _fitted(traces, folder, config.seed, prepared.run.model)
    conditions = {
        f"{name}, {setting}" if setting else name: Condition(
            make_strategy(name, n=config.heads, seed=config.seed, probe=probe, ranking=ranking), options
        )
        for setting, options in settings.items()
        for name in names
    }
    return conditions, facts | ({"probe": "given" if given else "fitted on the detection set"} if "probe" in needs else {})


def run_conditions(
    prepared: Prepared, conditions: Mapping[str, Condition], *, describe: str = "RAG"
) -> tuple[list[QuestionRecord], dict[str, list[RagLog]]]:
    """Answer what the folder's logs lack, a batch of questions at a time; all logs, in the order of the questions."""
    run, store = prepared.run, RagLogs(prepared.run.folder)
    samples = [build_sample(run.model, unit.sample) for unit in prepared.units]
    questions = [Question(unit, sample.key) for unit, sample in zip(prepared.units, samples, strict=True)]
    size = run.batch_of(samples)
    batches = [questions[start : start + size] for start in range(0, len(questions), size)]
    done = answer_questions(run.executor, batches, conditions, store, log=run.log, describe=describe, fail_fast=run.config.fail_fast)
    aside = run.set_aside
    records = [record(find_context(run.model.tokenizer, sample)) for sample in samples if sample.key not in aside]
    store.write_questions(records)
    return records, {name: [found[question.sample] for question in records] for name, found in done.items()}


def conclude(run: Session, questions: Sequence[QuestionRecord], logs: Mapping[str, Sequence[RagLog]], facts: Mapping[str, Any]) -> RagRun:
    """Rows, verdict and files."""
    rows = tuple(rag_row(name, questions, found) for name, found in logs.items())
    verdict = judge_rag(Path(run.config.model).name, questions, logs, facts)
    aside = tuple(f"set aside after {MAX_FAILURES} failures: {failure.about} ({failure})" for failure in run.set_aside.values())
    verdict = replace(verdict, notes=(*verdict.notes, *aside[:NAMED])) if aside else verdict
    verdict = noted(verdict, rag_standing(run.folder, questions))
    run.write(RESULTS, {**verdict.as_json(), "conditions": [row.as_json() for row in rows]})
    run.write(VERDICTS, [verdict.as_json()])
    return RagRun(questions, logs, rows, verdict, run.folder)


def _rank(traces: Sequence[Trace], n: int, folder: Path, prepared: Prepared) -> tuple[RankedHeads, dict[str, Any]]:
    detection = require_detection(traces)
    save_ranking(detection, folder, prepared.run.model, prepared.detection[0].decoding["score"])
    heads = [str(head) for head in detection.ranking.top(n)]
    return detection.ranking, {
        "static_heads": heads,
        "detection_samples": len(traces),
        "detection_samples_correct": detection.n_correct,
    }


def _fitted(traces: Sequence[Trace], folder: Path, seed: int, model: Model) -> Probe:
    """A regressor of Eq. 2 on the detection set (A.5), kept in the folder."""
    if (folder / "probe" / "probe.json").is_file():
        return load_probe(folder / "probe", model.identity())
    try:
        data = probe_data([trace for trace in traces if trace.stopped != "error" and trace.n_steps], binary=False, seed=seed)
    except InputError as error:
        raise InputError(f"dynamic needs a probe, none was given and none can be fitted here ({error}); give one with --probe") from error
    probe = fit_probe(data, "auto", seed=seed)
    save_probe(probe, folder / "probe")
    return probe


def keep_probe(probe: Probe, folder: Path) -> None:
    """Copy a given probe into the run's folder, so that the run goes on with that one only.

    Raises:
        StoreError: the folder holds another.
    """
    if not (folder / "probe" / "probe.json").is_file():
        save_probe(probe, folder / "probe")
    elif content_hash(load_probe(folder / "probe").training) != content_hash(probe.training):
        raise StoreError(f"output folder {folder} belongs to a run with another probe; name a new folder with --out")
