"""What claims and studies ask to be run: units by role, and the units of a part of a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from mechdyn.errors import InputError
from mechdyn.heads import RankedHeads
from mechdyn.scores.score import as_score
from mechdyn.stats.overlap import static_ranking
from mechdyn.tasks.task import DETECTION as DETECTION
from mechdyn.tasks.task import EVALUATION as EVALUATION
from mechdyn.tasks.task import SampleSet, Spec, Task
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import EFFECT, Unit

NO_TRACES: Mapping[str, Sequence[Trace]] = MappingProxyType({})
"""What has been run before anything was."""


@dataclass(frozen=True)
class Plan:
    """The units to be run, by the role that they play in a claim or study. Their traces are handed over in the same order."""

    roles: Mapping[str, tuple[Unit, ...]]

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units of all roles, each once: two roles may need the same trace."""
        unique = {unit.key: unit for units in self.roles.values() for unit in units}
        return tuple(unique.values())


@dataclass(frozen=True)
class Request:
    """What a plan depends on: the model's identity, the task and what the user chose.

    `lengths`, `depths` and `runs` (samples a cell) take the place of the preset's where they are given, `score`, `threshold` and
    `max_new_tokens` that of the task's; `score` is as `as_score` takes it.
    """

    model: Mapping[str, Any]
    task: Task
    preset: str = "quick"
    lengths: tuple[int, ...] = ()
    depths: tuple[float, ...] = ()
    runs: int | None = None
    seed: int = 0
    score: str | Mapping[str, Any] | None = None
    threshold: float | None = None
    max_new_tokens: int | None = None
    static: RankedHeads | None = None
    """A list of the user's in place of the static heads that a claim ranks on its detection samples."""

    def static_list(self, correct: Sequence[Trace]) -> RankedHeads | None:
        """The static heads to compare with: the user's list, else those ranked on these correct detection samples; None of none."""
        return self.static or (static_ranking(correct) if correct else None)

    @property
    def room(self) -> int:
        """Tokens that an answer may have."""
        return self.max_new_tokens or self.task.max_new_tokens

    def unit(
        self,
        spec: Spec,
        ablation: Mapping[str, Any] | None = None,
        effect: Mapping[str, Any] | None = None,
        measured: Mapping[str, Any] | None = None,
    ) -> Unit:
        """The unit of one sample of the task; `ablation` is an ablation's JSON.

        With `effect`, sets of heads as `mechdyn.contrasts` writes them and how many `lags`, the trace has their effect along its answer.
        What else is measured along it is named by its key in `Unit.decoding`.
        """
        short = as_score(self.score or self.task.score).short
        decoding: dict[str, Any] = {"score": short, "max_new_tokens": self.room, **(measured or {})}
        if self.threshold is not None:
            decoding["threshold"] = self.threshold
        if effect is not None:
            decoding[EFFECT] = dict(effect)
        return Unit(model=self.model, sample={"task": self.task.name, **spec}, decoding=decoding, ablation=dict(ablation or {}))


@dataclass(frozen=True)
class Preset:
    """How many samples of what kind: `n_seeds` samples at each prompt length and depth."""

    lengths: tuple[int, ...]
    n_seeds: int
    depths: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)

    @property
    def cells(self) -> tuple[tuple[int, float], ...]:
        """Length and depth of every sample, in order."""
        return tuple((length, depth) for length in self.lengths for depth in self.depths for _ in range(self.n_seeds))


def chosen_preset(presets: Mapping[str, Preset], request: Request) -> Preset:
    """The request's preset, with the user's lengths, depths and samples a cell in place of its own where given."""
    preset = named_preset(presets, request.preset)
    n_seeds = preset.n_seeds if request.runs is None else request.runs
    return Preset(request.lengths or preset.lengths, n_seeds, request.depths or preset.depths)


PRESET_NAMES = ("quick", "standard", "paper")
"""Those that mechdyn's own claims and studies have."""


def named_preset(presets: Mapping[str, Preset], name: str) -> Preset:
    """The preset by name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in presets:
        raise InputError(f"unknown preset {name!r}; give one of {', '.join(presets)}")
    return presets[name]


def task_units(
    request: Request,
    preset: Preset,
    part: int,
    *,
    ablation: Mapping[str, Any] | None = None,
    effect: Mapping[str, Any] | None = None,
    measured: Mapping[str, Any] | None = None,
    n_parts: int = 2,
) -> tuple[Unit, ...]:
    """A unit for each sample of a part, all under one ablation, or with the same effects or other things measured along their answers.

    A task with a fixed number of samples has `n_parts` parts.
    """
    wanted = SampleSet(preset.cells, part, n_parts, request.seed)
    return tuple(request.unit(spec, ablation, effect, measured) for spec in request.task.samples(wanted))


def retest_units(request: Request, preset: Preset) -> tuple[Unit, ...]:
    """For each evaluation sample one with the same evidence in another context; none where the task has no retest."""
    wanted = SampleSet(preset.cells, EVALUATION, seed=request.seed)
    return tuple(map(request.unit, request.task.retest(wanted)))
