"""The one evaluation of everything that improves a model: before and after on the same samples, drift elsewhere, and what it costs.

Base and variants answer the same samples, batch by batch in turn, so that a machine that slows down slows them all. Of each task there are
its own metrics by length, and by length and depth; where samples have supporting facts, whether the rationale quotes them. Differences are
after less before, sample by sample (docs/definitions.md, "Improving"). Nothing here is a verdict.
"""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Int
from tqdm import tqdm

from mechdyn.errors import InputError
from mechdyn.evidence import Evidence
from mechdyn.hashing import content_hash
from mechdyn.improve.cost import Cost, cost_of
from mechdyn.improve.drift import Drift, TextDrift, drift_of, text_drift
from mechdyn.improve.task_samples import TaskSamples, values_of
from mechdyn.improve.variant import Answer, Variant
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import mean_interval, paired_difference
from mechdyn.tasks.sample import Sample
from mechdyn.tensors import Tensor
from mechdyn.traces.clusters import sample_clusters

if TYPE_CHECKING:
    from pandas import DataFrame

Kept = MutableMapping[str, Mapping[str, Any]]
"""What was generated and measured before, as JSON values by key: a dict, or a file that a run goes on from."""


@dataclass(frozen=True)
class Change:
    """One metric of one variant on one task, before and after, over all samples or those of one length, or of one length and depth.

    `difference` is after less before, paired by sample. Samples whose generation failed under either have no say; `difference.n` counts the
    others.
    """

    variant: str
    task: str
    metric: str
    length: int | None
    depth: float | None
    before: Interval
    after: Interval
    difference: Interval

    @property
    def at(self) -> dict[str, Any]:
        """Where it was measured."""
        places = {"length": self.length, "depth": self.depth}
        return {"variant": self.variant, "task": self.task, **{name: value for name, value in places.items() if value is not None}}

    def as_json(self) -> dict[str, Any]:
        numbers = {name: Evidence(self.metric, getattr(self, name), self.at).as_json() for name in ("before", "after", "difference")}
        return {"metric": self.metric, **{"length": None, "depth": None}, **self.at, **numbers}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Change":
        """What `as_json` wrote."""
        numbers: dict[str, Any] = {name: Interval.from_json(values[name]) for name in ("before", "after", "difference")}
        return cls(**{name: values[name] for name in ("variant", "task", "metric", "length", "depth")}, **numbers)


@dataclass(frozen=True)
class Evaluation:
    """What came out: `changes` of quality, `drifts`, `costs`; `base` is the name of what variants are held against."""

    base: str
    variants: tuple[str, ...]
    changes: tuple[Change, ...]
    drifts: tuple[Drift, ...]
    costs: tuple[Cost, ...]

    def find(self, variant: str, task: str, metric: str, *, length: int | None = None, depth: float | None = None) -> Change:
        """One change.

        Raises:
            InputError: it was not measured.
        """
        wanted = (variant, task, metric, length, depth)
        for change in self.changes:
            if (change.variant, change.task, change.metric, change.length, change.depth) == wanted:
                return change
        known = sorted({f"{change.variant} on {change.task}: {change.metric}" for change in self.changes})
        raise InputError(f"{metric} of {variant} on {task} (length {length}, depth {depth}) was not measured; there are {'; '.join(known)}")

    def to_frame(self) -> "DataFrame":
        """A row for each change, drift and cost: variant, task, metric, length, depth, before, after, difference with bounds, n, method."""
        from pandas import DataFrame

        return DataFrame([*map(_change_row, self.changes), *map(_drift_row, self.drifts), *map(_cost_row, self.costs)])

    def as_json(self) -> dict[str, Any]:
        parts = {name: [each.as_json() for each in getattr(self, name)] for name in ("changes", "drifts", "costs")}
        return {"base": self.base, "variants": list(self.variants), **parts}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Evaluation":
        """What `as_json` wrote."""
        return cls(
            base=values["base"],
            variants=tuple(values["variants"]),
            changes=tuple(map(Change.from_json, values["changes"])),
            drifts=tuple(map(Drift.from_json, values["drifts"])),
            costs=tuple(map(Cost.from_json, values["costs"])),
        )


def evaluate(
    base: Variant,
    variants: Sequence[Variant],
    tasks: Sequence[TaskSamples],
    *,
    texts: Sequence[Int[Tensor, " _"]] = (),
    batch_size: int = 8,
    kept: Kept | None = None,
    seed: int = 0,
    describe: str = "evaluation",
) -> Evaluation:
    """Hold variants against a base.

    Args:
        base: as a rule `Plain(model)`.
        variants: what is held against it.
        tasks: samples, from `samples_of_task`.
        texts: token ids of texts that need no retrieval, from `prose_texts`; without any there is no drift.
        batch_size: samples generated together; smaller where memory runs out.
        kept: what there is already is not generated again, and what is generated is put there at once.
        seed: of bootstraps.
        describe: what the progress bar says.

    Raises:
        InputError: no variant, neither samples nor texts, or two variants of one name.
    """
    everyone = [base, *variants]
    names = [each.name for each in everyone]
    if not variants or not (tasks or texts) or len(set(names)) < len(names):
        raise InputError(f"an evaluation needs variants of different names and something to put them to, got {', '.join(names)}")
    kept = {} if kept is None else kept
    total = len(everyone) * sum(len(each.samples) for each in tasks) + len(variants) * len(texts)
    with tqdm(total=total, desc=describe, unit="answer", disable=None, delay=1) as bar:
        answered = [_answer_all(everyone, each, batch_size, kept, bar) for each in tasks]
        drifts = [drift_of(each.name, _moved(base, each, texts, kept, bar), seed) for each in variants] if texts else []
    pairs = [(each, tested, found) for each in variants for tested, found in zip(tasks, answered, strict=True)]
    changes = [change for each, tested, found in pairs for change in _changes(base.name, each.name, tested, found, seed)]
    costs = [cost_of(each.name, tested.spec, found[base.name], found[each.name], seed) for each, tested, found in pairs]
    return Evaluation(base.name, tuple(names[1:]), tuple(changes), tuple(drifts), tuple(costs))


Answered = Mapping[str, Sequence[Answer]]
"""The answers of each variant to the samples of a task, by its name."""


def _answer_all(everyone: Sequence[Variant], tested: TaskSamples, batch_size: int, kept: Kept, bar: Any) -> Answered:
    """Batch by batch, and within a batch each in turn, another one first every time."""
    from mechdyn.decoding.batches import in_batches  # reading an evaluation loads nothing that runs a model

    def run(batch: list[int]) -> None:
        first = batch[0] // batch_size % len(everyone)
        for each in [*everyone[first:], *everyone[:first]]:
            keys = {index: answer_key(each.name, tested.samples[index], tested.room) for index in batch}
            lacking = [index for index in batch if keys[index] not in kept]
            found = each.answers([tested.samples[index] for index in lacking], max_new_tokens=tested.room) if lacking else ()
            for index, answer in zip(lacking, found, strict=True):
                kept[keys[index]] = answer.as_json()
            bar.update(len(batch))

    for _ in in_batches([range(len(tested.samples))], batch_size, run):
        pass
    return {
        each.name: [Answer.from_json(kept[answer_key(each.name, sample, tested.room)]) for sample in tested.samples] for each in everyone
    }


def answer_key(variant: str, sample: Sample, room: int) -> str:
    """The key under which an answer is kept."""
    return content_hash(["answer", variant, sample.key, room])


def _moved(base: Variant, variant: Variant, texts: Sequence[Tensor], kept: Kept, bar: Any) -> list[TextDrift]:
    found = []
    for text in texts:
        key = content_hash(["drift", base.name, variant.name, text.tolist()])
        if key not in kept:
            kept[key] = asdict(text_drift(text, base.log_probs(text), variant.log_probs(text)))
        found.append(TextDrift(**kept[key]))
        bar.update()
    return found


def _changes(base: str, variant: str, tested: TaskSamples, answered: Answered, seed: int) -> Iterator[Change]:
    """Over all samples, then by length, then by length and depth."""
    clusters = sample_clusters(tested.samples)
    before, after = (
        values_of(tested, [None if answer.stopped == "error" else answer.text for answer in answered[name]]) for name in (base, variant)
    )
    for length, depth, chosen in _places(tested.cells(), "depth" in tested.task.axes):
        for metric in tested.metrics:
            one, two, labels = before[metric][chosen], after[metric][chosen], clusters[chosen].tolist()
            yield Change(
                variant=variant,
                task=tested.spec,
                metric=metric,
                length=length,
                depth=depth,
                before=mean_interval(one, labels, seed=seed),
                after=mean_interval(two, labels, seed=seed),
                difference=paired_difference(two, one, labels, seed=seed),
            )


def _places(cells: Sequence[tuple[int, float]], by_depth: bool) -> Iterator[tuple[int | None, float | None, Bool[np.ndarray, " sample"]]]:
    """Which samples are of each place; depths count where they were asked for."""
    lengths, depths = (np.array(column) for column in zip(*cells, strict=True))
    yield None, None, np.ones(len(cells), dtype=bool)
    for length in sorted(set(lengths.tolist())):
        yield length, None, lengths == length
    for length, depth in sorted(set(cells)) if by_depth else ():
        yield length, depth, (lengths == length) & (depths == depth)


def _change_row(change: Change) -> dict[str, Any]:
    place = {"variant": change.variant, "task": change.task, "metric": change.metric, "length": change.length, "depth": change.depth}
    return {**place, **_numbers(change.before, change.after, change.difference)}


def _drift_row(drift: Drift) -> dict[str, Any]:
    place = {"variant": drift.variant, "task": "texts", "metric": "nats a token", "length": None, "depth": None}
    return {**place, **_numbers(drift.nats_before, drift.nats_after, drift.difference), "kl": drift.kl.estimate}


def _cost_row(cost: Cost) -> dict[str, Any]:
    place = {"variant": cost.variant, "task": cost.task, "metric": "seconds an answer", "length": None, "depth": None}
    return {**place, **_numbers(cost.seconds_before, cost.seconds_after, cost.difference)}


def _numbers(before: Interval, after: Interval, difference: Interval) -> dict[str, Any]:
    bounds = {name: getattr(difference, name) for name in ("low", "high", "n", "method")}
    return {"before": before.estimate, "after": after.estimate, "difference": difference.estimate, **bounds}
