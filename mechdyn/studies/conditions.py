"""The conditions of the ablation experiment (3.3, A.1, A.2) as units, every condition with the same samples.

What is compared with switching off the dynamic heads is a control (docs/definitions.md, "Ablation"). The paper's own controls switch off as
many heads as retrieve at an average step: the top static heads, random heads drawn at each step, random heads drawn once. Beyond the paper
are as many static heads, or random ones, as retrieve at the very step, and random heads matched to that step's dynamic ones layer by layer.

A random control is no control where it hits the heads that it is a control for: those that are matched to the step draw none that retrieve
at it. Random heads drawn at each step are another draw for every sample as it is; of the layer-matched ones, on which a verdict rests, each
sample has ten and counts with their mean, and of those drawn once the samples share ten between them.

Each condition runs under both commit rules, which say whose keys and values later steps read: under `clean` those of a forward with every
head on, under `ablated` those of the forward with heads off.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from mechdyn.exclusion import ACTIVE
from mechdyn.heads import HeadSet, RankedHeads
from mechdyn.plans import DETECTION, EVALUATION, Plan, Preset, Request, task_units
from mechdyn.schedules import schedule_from_spec
from mechdyn.stats.ablation import average_size
from mechdyn.stats.overlap import static_ranking
from mechdyn.tasks.task import answer_quality, is_correct, metric_names, primary_metric
from mechdyn.traces.stored import AnyTrace
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import Unit

Traced = TypeVar("Traced", bound=AnyTrace)
CLEAN, DYNAMIC = "clean", "dynamic"
STATIC_AVERAGE, RANDOM_AVERAGE, RANDOM_FIXED = "static-average", "random-average", "random-fixed"
STATIC_MATCHED, RANDOM_LAYERS, RANDOM_MATCHED = "static-matched", "random-layers", "random-matched"
PAPER_CONTROLS = (STATIC_AVERAGE, RANDOM_AVERAGE, RANDOM_FIXED)
MATCHED_CONTROLS = (STATIC_MATCHED, RANDOM_LAYERS, RANDOM_MATCHED)
CONDITIONS = (CLEAN, DYNAMIC, *PAPER_CONTROLS, *MATCHED_CONTROLS)
LISTED, LISTED_MATCHED = "listed", "listed-matched"
"""Conditions of heads that the user names: those heads, or of a ranking the first of average size; and as many as retrieve at the step."""
ABOUT: Mapping[str, str] = MappingProxyType(
    {
        CLEAN: "no head off",
        DYNAMIC: "the step's retrieval heads",
        STATIC_AVERAGE: "top static heads, average size",
        RANDOM_AVERAGE: "random heads drawn at each step, average size",
        RANDOM_FIXED: "random heads drawn once, average size",
        STATIC_MATCHED: "top static heads, as many as retrieve at the step",
        RANDOM_LAYERS: "random heads that do not retrieve at the step, in each layer as many as do",
        RANDOM_MATCHED: "random heads that do not retrieve at the step, as many as do",
        LISTED: "the heads that were named, or the first of their ranking, average size",
        LISTED_MATCHED: "the first of the ranking that was named, as many as retrieve at the step",
    }
)
COMMITS = ("clean", "ablated")
DRAWS = 10
"""Draws of random heads that a condition rests on, unless said otherwise: those of a sample, or those that the samples share."""
DRAWN_BY_SAMPLE, DRAWN_FOR_ALL = (RANDOM_LAYERS,), (RANDOM_FIXED,)
_DRAW_SEEDS = 1_000_003
"""What lies between the seeds of two draws."""
_NAMED_HEADS = 3
"""Of a longer list the first so many tell it from others."""
DETECTION_ROLE = "detection"
ZERO: Mapping[str, Any] = MappingProxyType({"method": "zero", "scope": "position"})
KEPT: Mapping[str, tuple[str, ...]] = MappingProxyType({"position": COMMITS, "decode": ("ablated",), "all": ("clean",)})
"""The commit rules that each scope of an ablation runs under. Scope `all` keeps no cache, so that the rules are one there."""

PRESETS = {
    "quick": Preset((256, 512), n_seeds=4),
    "standard": Preset((256, 512, 1024), n_seeds=8),
    "paper": Preset((1000, 2000, 3000, 4000, 5000), n_seeds=5),
}
"""The paper makes 5 runs a cell; the one length that its text names is 5000, the axes of Figure 2 it does not print."""


@dataclass(frozen=True)
class Detection:
    """What the detection set fixes for the grid: the static ranking and the average size, both from its correct samples."""

    ranking: RankedHeads
    size: int
    n_correct: int


def detect(traces: Sequence[Trace], static: RankedHeads | None = None) -> Detection | None:
    """Read the detection set; None where no sample with a step was answered correctly. `static` takes the place of its ranking."""
    correct = [trace for trace in traces if trace.n_steps and is_correct(trace.task, trace.text, trace.answer)]
    if not correct:
        return None
    return Detection(static or static_ranking(correct), average_size(correct), len(correct))


def schedules(detection: Detection, seed: int) -> dict[str, dict[str, Any]]:
    """The schedule of every condition but the clean one, as the engine writes schedules in JSON."""
    size, ranking = detection.size, detection.ranking
    return {
        DYNAMIC: {"kind": "dynamic", "top_k": None},
        STATIC_AVERAGE: {"kind": "static", "heads": [str(head) for head in ranking.top(size)]},
        RANDOM_AVERAGE: _random(size, seed),
        RANDOM_FIXED: _random(size, seed, fresh=False),
        STATIC_MATCHED: {"kind": "size-matched", "ranking": [str(head) for head in ranking.heads]},
        RANDOM_LAYERS: _random(0, seed, matched="layer", exclude=ACTIVE),
        RANDOM_MATCHED: {"kind": "size-matched", "of": _random(0, seed, exclude=ACTIVE)},
    }


def further_schedules(detection: Detection, conditions: Collection[str], listed: HeadSet | RankedHeads | None) -> dict[str, dict[str, Any]]:
    """The schedules of conditions that are not mechdyn's own: those named by a schedule's spec, and the user's list of heads."""
    found = {name: schedule_from_spec(name).as_json() for name in conditions if name not in CONDITIONS}
    if isinstance(listed, RankedHeads):
        found[LISTED] = {"kind": "static", "heads": [str(head) for head in listed.top(min(detection.size, len(listed.heads)))]}
        found[LISTED_MATCHED] = {"kind": "size-matched", "ranking": [str(head) for head in listed.heads]}
    elif listed is not None:
        found[LISTED] = {"kind": "static", "heads": [str(head) for head in listed]}
    return found


def role(condition: str, commit: str) -> str:
    """The role of a condition under a commit rule; without ablation the two are one."""
    return CLEAN if condition == CLEAN else f"{condition}, commit {commit}"


def grid_plan(
    request: Request,
    preset: Preset,
    traces: Mapping[str, Sequence[Trace]],
    conditions: Collection[str] = CONDITIONS,
    how: Mapping[str, Any] = ZERO,
    listed: HeadSet | RankedHeads | None = None,
    lagged: int | None = None,
    draws: int = DRAWS,
) -> Plan:
    """First the detection set; once that has been run, every condition under every commit rule, on samples it shares none with.

    Args:
        request: model, seed and haystack.
        preset: lengths, depths and samples a cell; the detection set has as many.
        traces: what has been run so far.
        conditions: some of `CONDITIONS`, and schedules by their spec.
        how: the rest of an ablation's JSON, but for its schedule and commit rule.
        listed: heads that make conditions of their own.
        lagged: where it is given, the clean answers have the effect of each condition's heads along them, up to so many tokens later.
        draws: draws of random heads, where a condition rests on several.
    """
    roles = {DETECTION_ROLE: samples(request, preset, DETECTION)}
    detection = detect(traces[DETECTION_ROLE], request.static) if DETECTION_ROLE in traces else None
    if detection is None:
        return Plan(roles)
    own = {name: schedule for name, schedule in schedules(detection, request.seed).items() if name in conditions}
    own |= further_schedules(detection, conditions, listed)
    if lagged is not None:
        effect = {"kind": "sets", "sets": own, "lags": lagged}
        roles[CLEAN] = task_units(request, preset, EVALUATION, effect=effect)
    elif CLEAN in conditions:
        roles[CLEAN] = samples(request, preset, EVALUATION)
    for name, schedule in own.items():
        for commit in KEPT[how["scope"]]:
            by_draw = [samples(request, preset, EVALUATION, ablation_json(each, how, commit)) for each in _draws(name, schedule, draws)]
            roles[role(name, commit)] = _units(name, by_draw)
    return Plan(roles)


def ablation_json(schedule: Mapping[str, Any], how: Mapping[str, Any], commit: str) -> dict[str, Any]:
    """A unit's ablation, as `Ablation.as_json` writes it: scope `decode` is stored as what it is another name of."""
    scope = "position" if how["scope"] == "decode" else how["scope"]
    return {"schedule": dict(schedule), **how, "scope": scope, "commit": commit}


def by_sample(traces: Sequence[Traced]) -> list[list[Traced]]:
    """The traces of each sample, one for each draw of random heads, in the order in which samples first come."""
    groups: dict[str, list[Traced]] = {}
    for trace in traces:
        groups.setdefault(trace.sample, []).append(trace)
    return list(groups.values())


def quality(traces: Sequence[AnyTrace], task: str) -> dict[str, Float[np.ndarray, " sample"]]:
    """Each metric of each sample's answer, the task's primary metric first; NaN where the generation failed.

    Of several draws of random heads it is the mean of those that did not fail.
    """
    metrics = sorted(metric_names(task), key=lambda metric: metric != primary_metric(task))
    done = [[trace for trace in draws if trace.stopped != "error"] for draws in by_sample(traces)]
    scored = [[answer_quality(task, trace.text, trace.answer) for trace in draws] for draws in done]
    return {
        metric: np.array([np.mean([values[metric] for values in draws]) if draws else np.nan for draws in scored], dtype=np.float64)
        for metric in metrics
    }


def samples(request: Request, preset: Preset, part: int, ablation: Mapping[str, Any] | None = None) -> tuple[Unit, ...]:
    """A unit for each sample of a part, all under one ablation."""
    return task_units(request, preset, part, ablation=ablation)


def _draws(condition: str, schedule: Mapping[str, Any], n: int) -> list[Mapping[str, Any]]:
    """The schedule of each draw; conditions of one draw have one."""
    if condition not in DRAWN_BY_SAMPLE + DRAWN_FOR_ALL:
        return [schedule]
    return [{**schedule, "seed": schedule["seed"] + draw * _DRAW_SEEDS} for draw in range(n)]


def _units(condition: str, by_draw: Sequence[tuple[Unit, ...]]) -> tuple[Unit, ...]:
    """Every draw of every sample, those of a sample together; of draws that samples share, one for each sample in turn."""
    if condition in DRAWN_FOR_ALL:
        return tuple(by_draw[place % len(by_draw)][place] for place in range(len(by_draw[0])))
    return tuple(unit for draws in zip(*by_draw, strict=True) for unit in draws)


def _random(k: int, seed: int, *, fresh: bool = True, matched: str | None = None, exclude: str | None = None) -> dict[str, Any]:
    content = {"kind": "random", "k": k, "seed": seed, "fresh": fresh, "matched": matched}
    return content if exclude is None else {**content, "exclude": exclude}


def condition_name(ablation: Mapping[str, Any]) -> str:
    """The plan's own name (`role`) where the ablation grid has such a condition."""
    if not ablation:
        return CLEAN
    name = role(_schedule_name(dict(ablation.get("schedule", {}))), str(ablation.get("commit", "clean")))
    others = [str(ablation[key]) for key, usual in (("method", "zero"), ("scope", "position")) if ablation.get(key, usual) != usual]
    return ", ".join([name, *others])


def condition_names(ablations: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each of a sample's ablations: of those that one name fits, each says what it has of its own.

    Draws of random heads say their seeds, `random-fixed, commit clean (seed 3)`, lists their first heads.
    """
    names = list(map(condition_name, ablations))
    told: list[str] = []
    for name, ablation in zip(names, ablations, strict=True):
        alike = [dict(other.get("schedule", {})) for other, same in zip(ablations, names, strict=True) if same == name]
        own = ", ".join(_own(dict(ablation.get("schedule", {})), alike)) if len(alike) > 1 else ""
        number = 1 + sum(earlier == _with(name, own) or earlier.startswith(f"{_with(name, own)} #") for earlier in told)
        told.append(_with(name, own) + (f" #{number}" if number > 1 else ""))
    return told


def group_name(name: str) -> str:
    """What a name of `condition_names` is without what tells one draw or list from another."""
    return name.partition(" (")[0].partition(" #")[0]


def _with(name: str, own: str) -> str:
    return f"{name} ({own})" if own else name


def _own(schedule: Mapping[str, Any], alike: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What a schedule has otherwise than those that have its name: its seed, or its first heads."""
    for key, value in schedule.items():
        if key == "heads" and any(other.get(key) != value for other in alike):
            yield f"{' '.join(value[:_NAMED_HEADS])} … {len(value)} heads" if len(value) > _NAMED_HEADS else " ".join(value)
        elif isinstance(value, str | int | float) and any(other.get(key) != value for other in alike):
            yield f"{key} {value}"


def _schedule_name(schedule: dict[str, Any]) -> str:
    kind = schedule.get("kind")
    if kind == "dynamic":
        return DYNAMIC if schedule.get("top_k") is None else f"{DYNAMIC} top {schedule['top_k']}"
    if kind == "static":
        return STATIC_AVERAGE
    if kind == "random":
        return RANDOM_LAYERS if schedule.get("matched") == "layer" else RANDOM_AVERAGE if schedule.get("fresh", True) else RANDOM_FIXED
    if kind == "size-matched":
        return STATIC_MATCHED if "ranking" in schedule else RANDOM_MATCHED
    return str(kind or "ablated")
