"""What claims and studies ask to be run: a plan of units by role, and the units of a part for every task."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from mechdyn.errors import InputError
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import Unit

NO_TRACES: Mapping[str, Sequence[Trace]] = MappingProxyType({})
"""What has been run before anything was."""
EVALUATION, DETECTION, RETEST = 0, 1, 2
"""Parts of a plan that share no seed."""
_SEEDS_A_PART, _N_PARTS = 1_000_000, 3


@dataclass(frozen=True)
class Plan:
    """The units of a claim by role, each role's in an order that `judge` relies on."""

    roles: Mapping[str, tuple[Unit, ...]]

    @property
    def units(self) -> tuple[Unit, ...]:
        """Every unit once."""
        unique = {unit.key: unit for units in self.roles.values() for unit in units}
        return tuple(unique.values())


@dataclass(frozen=True)
class Request:
    """What a plan depends on: the model's identity and what the user chose.

    `style`, `data`, `data_digest` and `questions` are for question tasks: how the answer is asked for, the file, a hash of its items, the
    ids of those that the model can hold. `score` takes the place of the task's own.
    """

    model: Mapping[str, Any]
    preset: str = "quick"
    lengths: tuple[int, ...] = ()
    seed: int = 0
    haystack: str | None = None
    haystack_digest: str | None = None
    task: str = "niah"
    style: str = "rationale"
    data: str | None = None
    data_digest: str | None = None
    questions: tuple[str, ...] = ()
    score: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Preset:
    """Prompt lengths, and seeds a length and depth."""

    lengths: tuple[int, ...]
    n_seeds: int
    depths: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)

    @property
    def cells(self) -> list[tuple[int, float]]:
        """Length and depth of every sample, in order."""
        return [(length, depth) for length in self.lengths for depth in self.depths for _ in range(self.n_seeds)]


def chosen_preset(presets: Mapping[str, Preset], name: str, lengths: tuple[int, ...] = ()) -> Preset:
    """The preset by name, with the user's lengths in place of its own where given."""
    if name not in presets:
        raise InputError(f"unknown preset {name!r}; give one of {', '.join(presets)}")
    return replace(presets[name], lengths=lengths) if lengths else presets[name]


def sample_seed(request: Request, part: int, index: int) -> int:
    """The seed of the sample at `index` of a part; requests of different seeds share none."""
    return (_N_PARTS * request.seed + part) * _SEEDS_A_PART + index


def niah_unit(
    request: Request,
    length: int,
    depth: float,
    seed: int,
    *,
    needle_seed: int | None = None,
    ablation: Mapping[str, Any] | None = None,
) -> Unit:
    """A needle sample scored by copy-paste (Eq. 1), with the request's haystack; `ablation` is an ablation's JSON."""
    sample: dict[str, Any] = {"task": "niah", "length": length, "depth": depth, "seed": seed}
    if needle_seed is not None:
        sample["needle_seed"] = needle_seed
    if request.haystack is not None:
        sample |= {"haystack": request.haystack, "haystack_digest": request.haystack_digest}
    return Unit(model=request.model, sample=sample, decoding={"score": "copy_paste", "max_new_tokens": 64}, ablation=dict(ablation or {}))


TASKS = ("niah", "world", "hotpotqa")
RETEST_TASKS = ("niah", "world")
"""Tasks whose samples can be made again with the same needle in another context. A file has each question in one context only."""
REASONING: Mapping[str, Any] = MappingProxyType({"name": "reasoning", "sink": 4, "local": 32})
MAX_NEW_TOKENS = {"niah": 64, "world": 96, "hotpotqa": 128}
"""Room for the answer: two quoted sentences and the answer in the world, sentences of Wikipedia in HotpotQA."""


def task_units(
    request: Request, preset: Preset, part: int, *, ablation: Mapping[str, Any] | None = None, n_parts: int = 2
) -> tuple[Unit, ...]:
    """A unit for each sample of a part, all under one ablation.

    Needle samples take length and depth of the preset's cells, samples of the world the length (their seed draws where the facts lie).
    Questions of a file are drawn by the request's seed, as many as the preset has cells where the file has enough: they are shared
    between `n_parts` parts, the evaluation set first.
    """
    if request.task == "hotpotqa":
        return tuple(question_unit(request, sample, ablation) for sample in _questions(request, preset, part, n_parts))
    seeds = [sample_seed(request, part, index) for index in range(len(preset.cells))]
    if request.task == "niah":
        return tuple(niah_unit(request, *cell, seed, ablation=ablation) for cell, seed in zip(preset.cells, seeds, strict=True))
    _require_world(request)
    return tuple(
        question_unit(request, _world(request, length, seed), ablation) for (length, _), seed in zip(preset.cells, seeds, strict=True)
    )


def retest_units(request: Request, preset: Preset) -> tuple[Unit, ...]:
    """Each evaluation sample's needle in another context, needle samples at another depth as well; none for tasks that cannot."""
    if request.task not in RETEST_TASKS:
        return ()
    units = []
    for index, (length, depth) in enumerate(preset.cells):
        needle_seed, seed = sample_seed(request, EVALUATION, index), sample_seed(request, RETEST, index)
        if request.task == "niah":
            other = preset.depths[(preset.depths.index(depth) + 2) % len(preset.depths)]
            units.append(niah_unit(request, length, other, seed, needle_seed=needle_seed))
        else:
            units.append(question_unit(request, _world(request, length, seed) | {"needle_seed": needle_seed}))
    return tuple(units)


def _questions(request: Request, preset: Preset, part: int, n_parts: int) -> list[dict[str, Any]]:
    if part not in (EVALUATION, DETECTION)[:n_parts]:
        raise InputError(f"questions of a file are shared between {n_parts} parts, got the part {part}")
    n = min(len(preset.cells), len(request.questions) // n_parts)
    if n == 0:
        raise InputError(f"a plan needs at least {n_parts} questions that the model can hold, got {len(request.questions)}; give more")
    ids = list(request.questions)
    random.Random(f"questions-{request.seed}").shuffle(ids)
    common = {"task": request.task, "file": request.data, "file_digest": request.data_digest, "style": request.style}
    return [common | {"id": name} for name in ids[part * n : (part + 1) * n]]


def _world(request: Request, length: int, seed: int) -> dict[str, Any]:
    return {"task": "world", "length": length, "seed": seed, "style": request.style}


def question_unit(request: Request, sample: Mapping[str, Any], ablation: Mapping[str, Any] | None = None) -> Unit:
    """A question as the request's task has it, scored by Eq. 2 or the request's own score."""
    decoding = {"score": dict(request.score or REASONING), "max_new_tokens": MAX_NEW_TOKENS[request.task]}
    return Unit(model=request.model, sample=sample, decoding=decoding, ablation=dict(ablation or {}))


def _require_world(request: Request) -> None:
    if request.task != "world":
        raise InputError(f"unknown task {request.task!r}; give one of {', '.join(TASKS)}")
