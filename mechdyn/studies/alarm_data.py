"""What an alarm is tried on: answers of which a good part is wrong, in rounds, until enough are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from mechdyn.plans import DETECTION, EVALUATION, Preset, Request
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import mean_interval
from mechdyn.studies.alarm import WeightedHeads
from mechdyn.studies.claimed_tokens import claimed_tokens
from mechdyn.studies.conditions import DETECTION_ROLE
from mechdyn.tasks.decoys import Decoys
from mechdyn.tasks.hotpotqa import HotpotQA
from mechdyn.tasks.niah import Niah
from mechdyn.tasks.task import SampleSet, Task, is_correct
from mechdyn.tasks.unanswerable import Unanswerable
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import BACKING, Unit

NEEDLES, DUPLICATES, ABSENT = "needles", "near duplicates", "absent needles"
QUESTIONS, REMOVED = "questions", "facts removed"
PRESETS = {
    "quick": Preset((512, 1024), n_seeds=5, depths=(0.1, 0.5, 0.9)),
    "standard": Preset((512, 1024, 2048), n_seeds=5, depths=(0.1, 0.5, 0.9)),
    "paper": Preset((1000, 2000, 3000, 4000, 5000), n_seeds=5),
}
ROUNDS = {"quick": 10, "standard": 20, "paper": 40}
"""Rounds at most; each has as many samples of each source as the detection set."""
ENOUGH = 200
"""Wrong tokens that are asked for."""


@dataclass(frozen=True)
class AlarmSources:
    """The data of a run by name; heads are found on `detection`, one of them, whose evidence is all there."""

    tasks: Mapping[str, Task]
    detection: str


def sources_of(task: Task) -> AlarmSources:
    """What a task is tried on beside itself.

    Needles: also near duplicates (six decoys that differ from the needle in four digits) and needles that are not there, three decoys in
    their place. Questions: also without their supporting facts. Decoys without their needle, or questions without facts: also with. Any
    other task stands alone, and so does a needle of the user's own.
    """
    if isinstance(task, Niah) and task.needle is None:
        hay: dict[str, Any] = {"haystack": task.haystack, "digest": task.digest}
        others = {DUPLICATES: Decoys(n=6, edits=4, **hay), ABSENT: Decoys(n=3, absent=True, **hay)}
        return AlarmSources({NEEDLES: task, **others}, NEEDLES)
    if isinstance(task, Decoys) and task.absent:
        return AlarmSources({NEEDLES: replace(task, absent=False), ABSENT: task}, NEEDLES)
    if type(task) in (HotpotQA, Unanswerable):
        given = {item.name: getattr(task, item.name) for item in fields(HotpotQA)}
        removed = task if isinstance(task, Unanswerable) else Unanswerable(**given)
        return AlarmSources({QUESTIONS: HotpotQA(**given), REMOVED: removed}, QUESTIONS)
    return AlarmSources({task.name: task}, task.name)


def detection_units(request: Request, preset: Preset, n_rounds: int) -> tuple[Unit, ...]:
    """Samples with their evidence, at every length of the preset."""
    sources = sources_of(request.task)
    found = replace(request, task=sources.tasks[sources.detection])
    return tuple(map(found.unit, _specs(found, preset, n_rounds, DETECTION)[: len(preset.cells)]))


def round_role(source: str, number: int) -> str:
    """What a round's answers are called, rounds counted from 1."""
    return f"{source}, round {number}"


def round_units(
    request: Request, preset: Preset, n_rounds: int, number: int, heads: WeightedHeads, hard: int
) -> dict[str, tuple[Unit, ...]]:
    """The units of a round by role; none for a source whose file has no more.

    Args:
        request: with the score that heads were found by.
        preset: whose number of samples a round has of each source.
        n_rounds: how many rounds there can be, since parts of a file are shared out once for all.
        number: the round, from 1.
        heads: whose backing is read.
        hard: the length of the samples with their evidence; the others have the preset's first.
    """
    sources = sources_of(request.task)
    found = {}
    for name, task in sources.tasks.items():
        length = hard if name == sources.detection else preset.lengths[0]
        own = replace(request, task=task)
        same = replace(preset, lengths=(length,), n_seeds=preset.n_seeds * len(preset.lengths))
        size = len(preset.cells)
        specs = _specs(own, same, n_rounds, EVALUATION)[(number - 1) * size : number * size]
        units = (own.unit(spec) for spec in specs)
        if specs:
            found[round_role(name, number)] = tuple(
                replace(unit, decoding={**unit.decoding, BACKING: list(map(str, heads.heads))}) for unit in units
            )
    return found


def hard_length(detection: Sequence[Trace], lengths: Sequence[int]) -> int:
    """The length at which the share of right answers is nearest to one half, the longest of several; of those that were run."""
    right: dict[int, list[bool]] = {}
    for trace in detection:
        right.setdefault(trace.meta.get("length", 0), []).append(is_correct(trace.task, trace.text, trace.answer))
    known = {length: sum(right[length]) / len(right[length]) for length in lengths if length in right}
    return min(known, key=lambda length: (abs(known[length] - 0.5), -length), default=lengths[0])


def n_wrong(traces: Mapping[str, Sequence[Trace]]) -> int:
    """Answers with a first wrong token, detection aside."""
    found = (trace for role, row in traces.items() if role != DETECTION_ROLE for trace in row)
    return sum(claimed_tokens(trace).wrong_step is not None for trace in found if trace.stopped != "error")


def by_source(traces: Mapping[str, Sequence[Trace]], task: Task) -> dict[str, list[Trace]]:
    """The answers of all rounds, by source."""
    names = sources_of(task).tasks
    return {name: [trace for role, row in traces.items() if role.startswith(f"{name}, round ") for trace in row] for name in names}


def accuracies(traces: Mapping[str, Sequence[Trace]]) -> dict[str, Interval]:
    """The share of right answers of each source, with its interval."""
    right = {name: [float(is_correct(trace.task, trace.text, trace.answer)) for trace in row] for name, row in traces.items() if row}
    return {name: mean_interval(np.array(values)) for name, values in right.items()}


def _specs(request: Request, preset: Preset, n_rounds: int, part: int) -> list[dict[str, Any]]:
    return request.task.samples(SampleSet(preset.cells * n_rounds, part, 2, request.seed))
