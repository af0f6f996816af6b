"""What all commands share that improve a model: a session whose variants go through the one evaluation, resumed answer by answer.

A command makes its variants and hands them to `put_to_test`; everything else, its page of results included, is here.
"""

import json
from collections import UserDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Int
from torch import Tensor

from mechdyn.errors import InputError, StoreError
from mechdyn.heads import HeadSet, parse_heads_or_file
from mechdyn.improve.evaluation import Evaluation, evaluate
from mechdyn.improve.plain import Plain
from mechdyn.improve.task_samples import TaskSamples, prose_texts, samples_of_task
from mechdyn.improve.variant import Variant
from mechdyn.plans import DETECTION, Plan, Preset, chosen_preset, named_preset
from mechdyn.runs.ablate import RESULTS, require_detection, save_ranking
from mechdyn.runs.folder import read_json
from mechdyn.runs.improve_configs import ANSWERS, PLANNED, ImproveOptions
from mechdyn.runs.json_lines import append_lines, as_line, read_lines
from mechdyn.runs.session import Session
from mechdyn.studies.conditions import DETECTION_ROLE, samples
from mechdyn.studies.modes import first_heads

VARIANTS = "variants.json"
"""What decides the variants beside the options."""
TASKS_WHEN_LEFT_OUT = ("niah", "world")
PRESETS = {
    "quick": Preset((256, 512), n_seeds=2),
    "standard": Preset((256, 512, 1024), n_seeds=8),
    "paper": Preset((1000, 2000, 3000, 4000, 5000), n_seeds=5),
}


@dataclass(frozen=True, eq=False)
class Examined:
    """What variants are put to."""

    tasks: tuple[TaskSamples, ...]
    texts: tuple[Int[Tensor, " _"], ...]


@dataclass(frozen=True, eq=False)
class Improved:
    """What came out; `about` says what the variants are, as JSON values."""

    evaluation: Evaluation
    about: Mapping[str, Any]
    folder: Path


class AnswerFile(UserDict[str, Mapping[str, Any]]):
    """What was generated and measured so far, by key; what is set is on the disk at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__()
        self.data = {row["key"]: row["value"] for row in read_lines(path, dict)}

    def __setitem__(self, key: str, value: Mapping[str, Any]) -> None:
        append_lines(self._path, as_line({"key": key, "value": dict(value)}))
        self.data[key] = value


def check_improve(config: ImproveOptions) -> None:
    """Refuse what needs no model to be refused: an unknown preset, executors that variants do not run on."""
    named_preset(PRESETS, config.preset)
    if config.executor != "local" or (config.workers or 1) > 1:
        raise InputError("what improves a model is evaluated in one process; leave --executor and --workers out")


def examined(run: Session) -> Examined:
    """The samples and texts of a run, made before anything is written.

    Raises:
        InputError: a task, length or text that the model cannot take.
    """
    config = run.config
    chosen = chosen_preset(PRESETS, run.request)
    asked = {"seed": config.seed, "max_new_tokens": config.max_new_tokens}
    tasks = tuple(samples_of_task(run.model, spec, chosen, **asked) for spec in config.on or TASKS_WHEN_LEFT_OUT)
    length = min(config.text_length, run.model.n_ctx)
    texts = prose_texts(run.model, n=config.texts, length=length, seed=config.seed, file=config.text_file) if config.texts else ()
    return Examined(tasks, texts)


def listed_heads(run: Session) -> HeadSet:
    """The heads that `--heads` names, of a ranking the first; detected on `--task` where it is left out.

    The first `--top` are taken, or 5 % of the model's heads, at most 30. A list that was detected is kept in the run's folder.

    Raises:
        InputError: heads that the model does not have, or no detection sample that is answered correctly.
    """
    shape, top = (run.model.n_layers, run.model.n_heads), run.config.top
    if run.config.heads is not None:
        found = parse_heads_or_file(run.config.heads).fit(*shape)
    else:
        plan = Plan({DETECTION_ROLE: samples(run.request, chosen_preset(PRESETS, run.request), DETECTION)})
        traces = run.traces(plan, describe=f"heads of {Path(run.config.model).name}, {run.request.task.name}")
        detection = require_detection(traces[DETECTION_ROLE])
        save_ranking(detection, run.folder, run.model, run.request.score or run.request.task.score)
        found = detection.ranking
    if isinstance(found, HeadSet):
        return found
    return found.top(min(top, len(found.heads))).fit(*shape) if top else first_heads(found, shape[0] * shape[1])


def put_to_test(
    run: Session, variants: Sequence[Variant], what: Examined, *, base: Variant | None = None, about: Mapping[str, Any] | None = None
) -> Improved:
    """Evaluate variants and write `results.json`; run again, it goes on where it stopped.

    Args:
        run: the session, open.
        variants: what is held against the base.
        what: from `examined`.
        base: the model as it is when left out.
        about: what decides the variants beside the options, JSON values that the run keeps: it goes on with those only.

    Raises:
        StoreError: the folder has answers of other variants.
    """
    base = base or Plain(run.model, engine=run.config.engine)
    about = dict(about or {})
    _keep(run, about)
    everyone = 1 + len(variants)
    planned = everyone * sum(len(tested.samples) for tested in what.tasks) + len(variants) * len(what.texts)
    run.write(PLANNED, {"answers": planned})
    run.log.write("stage", units=planned, variants=[each.name for each in variants])
    evaluation = evaluate(
        base,
        variants,
        what.tasks,
        texts=what.texts,
        batch_size=run.batch_of([sample for tested in what.tasks for sample in tested.samples]),
        kept=AnswerFile(run.folder / ANSWERS),
        seed=run.config.seed,
        describe=f"{run.config.kind} on {Path(run.config.model).name}",
    )
    run.write(RESULTS, {"about": about, **evaluation.as_json()})
    return Improved(evaluation, about, run.folder)


def _keep(run: Session, about: Mapping[str, Any]) -> None:
    path = run.folder / VARIANTS
    if path.is_file() and read_json(path) != json.loads(json.dumps(about)):
        raise StoreError(f"what is evaluated changed since {path} was written (other heads or factors); name a new folder with --out")
    run.write(VARIANTS, about)


def read_improved(values: Mapping[str, Any], folder: Path) -> Improved:
    """What `put_to_test` wrote."""
    return Improved(Evaluation.from_json(values), values.get("about", {}), folder)
