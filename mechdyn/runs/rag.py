"""Dynamic RAG (Section 5, Table 4): every strategy on the same questions, heads and probe from others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mechdyn.claims.dynamic_rag import RagRow, judge_rag, rag_row
from mechdyn.errors import InputError, StoreError
from mechdyn.evidence import Verdict
from mechdyn.hashing import content_hash
from mechdyn.heads import RankedHeads
from mechdyn.models.load import load_model
from mechdyn.models.model import Model
from mechdyn.plans import DETECTION, EVALUATION, MAX_NEW_TOKENS, Plan, Preset, Request, chosen_preset, task_units
from mechdyn.probes.dataset import probe_data
from mechdyn.probes.fit import fit_probe
from mechdyn.probes.probe import Probe
from mechdyn.probes.storage import load_probe, save_probe
from mechdyn.rag.log import QuestionRecord, RagLog
from mechdyn.rag.names import DYNAMIC, STATIC, STRATEGIES
from mechdyn.rag.options import RagOptions
from mechdyn.rag.run import Condition, check_conditions, dynamic_rag
from mechdyn.rag.strategies import check_number, make_strategy
from mechdyn.rag.visibility import find_context, record
from mechdyn.runs.ablate import require_detection
from mechdyn.runs.configs import RagConfig
from mechdyn.runs.folder import open_run, write_json
from mechdyn.runs.rag_logs import RagLogs
from mechdyn.runs.requests import check_choices, check_samples, make_request
from mechdyn.runs.stages import ROLES, run_stages
from mechdyn.runs.stores import open_store
from mechdyn.studies.conditions import DETECTION_ROLE
from mechdyn.tasks.build import build_sample
from mechdyn.tasks.sample import Sample
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

    model: Model
    request: Request
    options: RagOptions
    units: tuple[Unit, ...]
    detection: tuple[Unit, ...]


def rag(config: RagConfig, out: str | Path) -> RagRun:
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
    prepared = prepare(config)
    given = load_probe(config.probe, prepared.model.identity()) if config.probe else None
    folder = open_run(out, {**asdict(config), "strategies": names, "model": prepared.model.identity()})
    conditions, facts = choose_conditions(config, prepared, names, {"": prepared.options}, folder, given)
    questions, logs = run_conditions(prepared, conditions, folder, config.batch_size, describe=f"RAG on {Path(config.model).name}")
    return conclude(config, questions, logs, facts, folder)


def strategies_of(config: RagConfig) -> tuple[str, ...]:
    """The strategies asked for, in the order of tables."""
    unknown = [name for name in config.strategies if name not in STRATEGIES]
    if unknown:
        raise InputError(f"unknown strategy {unknown[0]!r}; give some of {', '.join(STRATEGIES)}")
    return tuple(name for name in STRATEGIES if name in (config.strategies or STRATEGIES))


def prepare(config: RagConfig) -> Prepared:
    """Check what was asked, load the model and lay out the questions; nothing is written."""
    if config.task == "niah":
        raise InputError("dynamic RAG answers questions from a context; take the task world or hotpotqa")
    check_choices(config.task, config.style, config.data, lengths=config.lengths)
    options = RagOptions(
        threshold=config.threshold,
        variant=config.variant,
        attention=config.attention,
        k=config.k,
        window=config.window,
        max_new_tokens=MAX_NEW_TOKENS[config.task],
        max_sentences=config.max_sentences,
        draft=config.draft,
        mode=config.mode,
    )
    preset = chosen_preset(PRESETS, config.preset, config.lengths)
    preset = replace(preset, n_seeds=config.questions or preset.n_seeds)
    model = load_model(config.model)
    check_number(config.heads, model.n_layers * model.n_heads)
    request = make_request(
        model, preset=config.preset, lengths=config.lengths, seed=config.seed, task=config.task, style=config.style, data=config.data
    )
    units = task_units(request, preset, EVALUATION)
    detection = task_units(request, replace(preset, n_seeds=max(N_DETECTION, preset.n_seeds)), DETECTION)
    if {unit.key for unit in units} & {unit.key for unit in detection}:
        raise InputError("questions to find heads on and questions to answer overlap; give a file with more questions")
    check_samples(model, Plan({DETECTION_ROLE: (*units, *detection)}))
    return Prepared(model, request, options, units, detection)


def choose_conditions(
    config: RagConfig, prepared: Prepared, names: Sequence[str], settings: Mapping[str, RagOptions], folder: Path, given: Probe | None
) -> tuple[dict[str, Condition], dict[str, Any]]:
    """Every strategy under every setting, by `strategy` or `strategy, setting`; and how heads and probe came about."""
    probe, ranking = given, None
    facts: dict[str, Any] = {}
    if given is not None:
        keep_probe(given, folder)
    if STATIC in names or (DYNAMIC in names and probe is None):
        traces = _detection_traces(prepared, folder, config.batch_size)
        if STATIC in names:
            ranking, facts = _rank(traces, config.heads, folder)
        if DYNAMIC in names and probe is None:
            probe = _fitted(traces, folder, config.seed, prepared.model)
    conditions = {
        f"{name}, {setting}" if setting else name: Condition(
            make_strategy(name, n=config.heads, seed=config.seed, probe=probe, ranking=ranking), options
        )
        for setting, options in settings.items()
        for name in names
    }
    return conditions, facts | ({"probe": "given" if given else "fitted on the detection set"} if DYNAMIC in names else {})


def run_conditions(
    prepared: Prepared, conditions: Mapping[str, Condition], folder: Path, batch_size: int, *, describe: str = "RAG"
) -> tuple[list[QuestionRecord], dict[str, list[RagLog]]]:
    """Answer what the folder's logs lack, a batch of questions at a time; all logs, in the order of the questions."""
    store = RagLogs(folder)
    done = {name: store.read(name) for name in conditions}
    model, records = prepared.model, []
    with tqdm(total=len(prepared.units), desc=describe, unit="question", disable=None, delay=1) as bar:
        for samples in _batches(prepared, batch_size):
            check_conditions(model, samples, conditions)
            records += [record(find_context(model.tokenizer, sample)) for sample in samples]
            for lacking, group in _by_what_is_lacking(samples, done):
                for logs in dynamic_rag(model, group, {name: conditions[name] for name in lacking}):
                    store.append(logs.values())
                    for name, log in logs.items():
                        done[name][log.sample] = log
            bar.update(len(samples))
    store.write_questions(records)
    return records, {name: [found[question.sample] for question in records] for name, found in done.items()}


def conclude(
    config: RagConfig, questions: Sequence[QuestionRecord], logs: Mapping[str, Sequence[RagLog]], facts: Mapping[str, Any], folder: Path
) -> RagRun:
    """Rows, verdict and files."""
    rows = tuple(rag_row(name, questions, found) for name, found in logs.items())
    verdict = judge_rag(Path(config.model).name, questions, logs, facts)
    write_json(folder / "results.json", {**verdict.as_json(), "conditions": [row.as_json() for row in rows]})
    write_json(folder / "verdicts.json", [verdict.as_json()])
    return RagRun(questions, logs, rows, verdict, folder)


def _batches(prepared: Prepared, batch_size: int) -> Iterator[list[Sample]]:
    waiting = iter(prepared.units)
    while units := list(islice(waiting, batch_size)):
        yield [build_sample(prepared.model, unit.sample) for unit in units]


def _by_what_is_lacking(
    samples: Sequence[Sample], done: Mapping[str, Mapping[str, RagLog]]
) -> Iterator[tuple[tuple[str, ...], list[Sample]]]:
    """Samples that lack the answers of the same conditions, together."""
    groups: dict[tuple[str, ...], list[Sample]] = {}
    for sample in samples:
        groups.setdefault(tuple(name for name, found in done.items() if sample.key not in found), []).append(sample)
    return ((lacking, group) for lacking, group in groups.items() if lacking)


def _detection_traces(prepared: Prepared, folder: Path, batch_size: int) -> Sequence[Trace]:
    plan = Plan({DETECTION_ROLE: prepared.detection})
    store = open_store(folder / "traces", prepared.model, score=prepared.detection[0].decoding["score"], seed=prepared.request.seed)
    return run_stages(lambda _: plan, prepared.model, store, batch_size=batch_size, record=folder / ROLES)[DETECTION_ROLE]


def _rank(traces: Sequence[Trace], n: int, folder: Path) -> tuple[RankedHeads, dict[str, Any]]:
    detection = require_detection(traces)
    detection.ranking.save(folder / "static_heads.json")
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
