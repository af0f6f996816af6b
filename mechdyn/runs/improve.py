"""What all commands share that improve a model: a session whose variants go through the one evaluation, resumed answer by answer.

A command makes its variants and hands them to `put_to_test`; everything else, its page of results included, is here.
"""

from collections import UserDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Int
from torch import Tensor

from mechdyn.errors import InputError
from mechdyn.improve.evaluation import Evaluation, evaluate
from mechdyn.improve.plain import Plain
from mechdyn.improve.task_samples import TaskSamples, prose_texts, samples_of_task
from mechdyn.improve.variant import Variant
from mechdyn.plans import Preset, named_preset
from mechdyn.runs.ablate import RESULTS
from mechdyn.runs.improve_configs import ANSWERS, PLANNED, ImproveOptions
from mechdyn.runs.json_lines import append_lines, as_line, read_lines
from mechdyn.runs.session import Session

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
    preset = named_preset(PRESETS, config.preset)
    chosen = Preset(config.lengths or preset.lengths, config.runs or preset.n_seeds, config.depths or preset.depths)
    asked = {"seed": config.seed, "max_new_tokens": config.max_new_tokens}
    tasks = tuple(samples_of_task(run.model, spec, chosen, **asked) for spec in config.on or TASKS_WHEN_LEFT_OUT)
    length = min(config.text_length, run.model.n_ctx)
    texts = prose_texts(run.model, n=config.texts, length=length, seed=config.seed, file=config.text_file) if config.texts else ()
    return Examined(tasks, texts)


def put_to_test(
    run: Session, variants: Sequence[Variant], what: Examined, *, base: Variant | None = None, about: Mapping[str, Any] | None = None
) -> Improved:
    """Evaluate variants and write `results.json`; run again, it goes on where it stopped.

    Args:
        run: the session, open.
        variants: what is held against the base.
        what: from `examined`.
        base: the model as it is when left out.
        about: what the variants are, JSON values that the results keep.
    """
    base = base or Plain(run.model, engine=run.config.engine)
    everyone = 1 + len(variants)
    planned = everyone * sum(len(tested.samples) for tested in what.tasks) + len(variants) * len(what.texts)
    run.write(PLANNED, {"answers": planned})
    run.log.write("stage", units=planned, variants=[each.name for each in variants])
    evaluation = evaluate(
        base,
        variants,
        what.tasks,
        texts=what.texts,
        batch_size=run.config.batch_size,
        kept=AnswerFile(run.folder / ANSWERS),
        seed=run.config.seed,
        describe=f"{run.config.kind} on {Path(run.config.model).name}",
    )
    about = dict(about or {})
    run.write(RESULTS, {"about": about, **evaluation.as_json()})
    return Improved(evaluation, about, run.folder)


def read_improved(values: Mapping[str, Any], folder: Path) -> Improved:
    """What `put_to_test` wrote."""
    return Improved(Evaluation.from_json(values), values.get("about", {}), folder)
