"""The door for tasks: what is asked of the model, how an answer is judged, and which samples a plan takes.

A task is one class, a frozen dataclass whose fields are its options, registered under its name::

    @task
    @dataclass(frozen=True)
    class Summary(Task):
        name = "summary"
        ...

`mechdyn verify dynamism --task summary:n_spans=3` and every other command then take it.
"""

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, TypeVar

from mechdyn.errors import InputError
from mechdyn.registry import Registry, make, parse_spec
from mechdyn.tasks.sample import Sample

EVALUATION, DETECTION, RETEST = 0, 1, 2
"""Parts of a plan that share no sample: what is measured, what static heads are ranked on, what repeats the measured samples elsewhere."""
LENGTH_BIN = 256
"""Tokens: prompts whose length nobody chose are put into cells of this width."""
_SEEDS_A_PART, _N_PARTS = 1_000_000, 3
_log = logging.getLogger(__name__)
Spec = dict[str, Any]
"""What makes one sample: JSON values, the arguments of the task's `build`."""
TaskClass = TypeVar("TaskClass", bound="type[Task]")


@dataclass(frozen=True)
class SampleSet:
    """The samples that a plan asks a task for: one for each cell, drawn by `seed`.

    A cell is a length in tokens and a depth from 0 to 1; a task goes by those of the two that its samples can be asked for (`Task.axes`).
    `part` is `EVALUATION` or `DETECTION`; a task with a fixed number of samples shares them out between `n_parts` parts.
    """

    cells: tuple[tuple[int, float], ...]
    part: int = EVALUATION
    n_parts: int = 2
    seed: int = 0

    def seeds(self, part: int | None = None) -> list[int]:
        """A seed for each cell, of this part or of another one. No seed is given twice, whatever the part and the plan's own seed."""
        first = (_N_PARTS * self.seed + (self.part if part is None else part)) * _SEEDS_A_PART
        return [first + index for index in range(len(self.cells))]


@dataclass(frozen=True)
class Task:
    """A kind of sample and how its answers are judged.

    Subclass it as a frozen dataclass: fields are options (those made by `prepared` are not, `prepare` fills them). Whatever decides a
    sample belongs into its spec, since a unit holds nothing else.
    """

    name: ClassVar[str]
    """What the command line and stored traces call it."""
    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)
    """The keys of `quality`."""
    primary: ClassVar[str] = "accuracy"
    """The metric that verdicts are taken on."""
    max_new_tokens: ClassVar[int] = 64
    """Room for the answer."""
    score: ClassVar[str] = "copy_paste"
    """The retrieval score that heads are found by unless another is asked for."""
    axes: ClassVar[tuple[str, ...]] = ()
    """Which of `length` and `depth` its samples can be asked for."""
    has_retest: ClassVar[bool] = False
    """Whether `retest` gives each sample's evidence again in another context."""
    has_context: ClassVar[bool] = False
    """Whether its samples are questions about a context, parts of which may be hidden from the model (dynamic RAG)."""
    paper: ClassVar[str] = ""
    """The kind of task for which the paper has values (`mechdyn.paper.parts`): needles, questions, or none."""

    build: ClassVar[Callable[..., Sample]]
    """A class method that makes the sample of a spec: `build(model_or_tokenizer, **spec)`."""

    def check(self) -> None:
        """Refuse options that cannot be run, before a model is loaded.

        Raises:
            InputError: what is wrong, in one line.
        """

    def prepare(self, model: Any, room: int) -> "Task":
        """The task ready to name samples for a loaded model: files are read here, and what the model cannot hold is left out.

        Args:
            model: what `load_model` returned.
            room: positions to keep free for the answer.
        """
        return self

    def samples(self, wanted: SampleSet) -> list[Spec]:
        """The spec of each sample of a part."""
        raise NotImplementedError

    def retest(self, wanted: SampleSet) -> list[Spec]:
        """The same evidence and question as each sample of `wanted`, in another context; only where `has_retest`."""
        return []

    def single(self, *, length: int, depth: float, seed: int, named: str | None = None) -> Spec:
        """The spec of one sample, for `mechdyn trace`; `named` is the id of one in a file."""
        if named is not None:
            raise InputError(f"task {self.name} has no samples by name; leave --sample out, or choose another task with --task")
        return self.samples(SampleSet(((length, depth),), n_parts=1, seed=seed))[0]

    @classmethod
    def quality(cls, text: str, answer: str) -> dict[str, float]:
        """Every metric of a generated text, each in [0, 1], 1 the best."""
        raise NotImplementedError

    @classmethod
    def is_correct(cls, text: str, answer: str) -> bool:
        """Whether an answer counts as right; static heads are ranked on right samples only."""
        return cls.quality(text, answer)[cls.primary] == 1.0

    @classmethod
    def cell(cls, meta: Mapping[str, Any]) -> tuple[int, float]:
        """The length and depth under which a grid shows a sample, from the sample's meta.

        Lengths go up to the next multiple of 256 tokens, depths to the middle of their fifth of the context. A task whose samples are made
        to a length or depth gives these as they are.
        """
        length, depth = meta.get("length", 0), meta.get("depth") or 0.0
        return -(-length // LENGTH_BIN) * LENGTH_BIN, depth_bin(depth)


def option(default: Any, help: str) -> Any:
    """A field of a task with its line of help."""
    return field(default=default, metadata={"help": help})


def prepared(default: Any) -> Any:
    """A field of a task that `prepare` fills, no option."""
    return field(default=default, metadata={"prepared": True}, kw_only=True)


@dataclass(frozen=True)
class FileTask(Task):
    """A task whose samples are the items of a file, which parts share out. There is a retest only where a subclass makes one.

    A subclass says in `wants` what the file holds, and in `prepare` fills `digest` (a hash of its content) and `ids` (the items that the
    model can hold).
    """

    wants: ClassVar[str] = "a file"

    data: str | None = option(None, "The file.")
    digest: str | None = prepared(None)
    ids: tuple[str, ...] = prepared(())

    def check(self) -> None:
        super().check()
        if self.data is None:
            raise InputError(f"task {self.name} needs {self.wants}")

    def samples(self, wanted: SampleSet) -> list[Spec]:
        """As many items as there are cells where the file has enough, drawn by the seed, the evaluation set first."""
        if wanted.part not in (EVALUATION, DETECTION)[: wanted.n_parts]:
            raise InputError(f"the items of a file are shared between {wanted.n_parts} parts, got the part {wanted.part}")
        n = min(len(wanted.cells), len(self.ids) // wanted.n_parts)
        if n == 0:
            raise InputError(
                f"a plan needs at least {wanted.n_parts} items of {self.data} that the model can hold, got {len(self.ids)}; give more"
            )
        ids = list(self.ids)
        random.Random(f"questions-{wanted.seed}").shuffle(ids)
        return [self.spec_of(name) for name in ids[wanted.part * n : (wanted.part + 1) * n]]

    def single(self, *, length: int, depth: float, seed: int, named: str | None = None) -> Spec:
        """The item of that id, the first that fits if left out."""
        name = self.ids[0] if named is None else named
        if name not in self.ids:
            raise InputError(
                f"{name!r} is not among the {len(self.ids)} items of {self.data} that the model can hold; give one of them, such as "
                f"{self.ids[0]}"
            )
        return self.spec_of(name)

    def spec_of(self, name: str) -> Spec:
        """The spec of an item."""
        return {"file": self.data, "file_digest": self.digest, "id": name}

    def ready(self, model: Any, digest: str, ids: tuple[str, ...], n_items: int, least: int = 1) -> "FileTask":
        """The task with what `prepare` found; a warning says how many items were left out.

        Raises:
            InputError: fewer than `least` items that the model can hold.
        """
        if len(ids) < least:
            raise InputError(
                f"the model holds {len(ids)} of the {n_items} items of {self.data} within its context of {model.n_ctx} positions, and "
                f"{least} are needed; take shorter ones or a model with more context"
            )
        if len(ids) < n_items:
            _log.warning(
                "%d of the %d items of %s are left out: with room for the answer they are longer than the model's context of %d positions",
                n_items - len(ids),
                n_items,
                self.data,
                model.n_ctx,
            )
        return replace(self, digest=digest, ids=ids)


TASKS: Registry[type[Task]] = Registry("task", "mechdyn.tasks")


def task(cls: TaskClass) -> TaskClass:
    """Register a task class under its `name`."""
    TASKS.register(cls.name, cls)
    return cls


def make_task(spec: str, **given: Any) -> Task:
    """The task that `name` or `name:option=value,…` names; `given` are further options, those that are None left out.

    Raises:
        InputError: an unknown task, or an option that it does not have or that cannot be run.
    """
    name, options = parse_spec(spec)
    cls = TASKS.get(name)
    options |= {option: value for option, value in given.items() if value is not None}
    known = {item.name: item for item in fields(cls) if not item.metadata.get("prepared")}
    texts = {option for option, item in known.items() if str(item.type).startswith("str")}
    # A file may be called 3, which reads as a number.
    options |= {option: str(value) for option, value in options.items() if option in texts}
    for option_name in options.keys() - known.keys():
        raise InputError(f"task {name} has no use for --{option_name}; leave it out, or choose another task with --task")
    made = make("task", name, cls, options)
    made.check()
    return made


def task_as_asked(spec: str, asked: Mapping[str, Any]) -> Task:
    """The task of a finished run, to judge by: its options as far as they were recorded, no file read and nothing checked."""
    name, options = parse_spec(spec)
    cls = TASKS.get(name)
    known = {item.name for item in fields(cls) if not item.metadata.get("prepared")}
    recorded = {option: asked[option] for option in known if asked.get(option) is not None}
    return make("task", name, cls, {**recorded, **options})


def build_sample(model_or_tokenizer: Any, spec: Mapping[str, Any]) -> Sample:
    """The sample that `{"task": name, **arguments}` describes."""
    arguments = dict(spec)
    name = arguments.pop("task", None)
    try:
        return TASKS.get(name).build(model_or_tokenizer, **arguments)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise InputError(f"task {name!r} cannot make a sample of {arguments}: {error}") from error


def answer_quality(task: str, text: str, answer: str) -> dict[str, float]:
    """All metrics of a generated text, as its task counts them."""
    return TASKS.get(task).quality(text, answer)


def metric_names(task: str) -> tuple[str, ...]:
    """The keys of `answer_quality` for a task."""
    return TASKS.get(task).metrics


def primary_metric(task: str) -> str:
    """The metric that verdicts on a task are taken on."""
    return TASKS.get(task).primary


def is_correct(task: str, text: str, answer: str) -> bool:
    """Whether an answer counts as right in its task."""
    return TASKS.get(task).is_correct(text, answer)


def depth_bin(depth: float) -> float:
    """The middle of the fifth that a depth falls into."""
    return round(0.1 + 0.2 * min(int(depth * 5), 4), 1)
