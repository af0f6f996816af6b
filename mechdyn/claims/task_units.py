"""The units of a part of a plan, for every task: needle samples, questions of the procedural world, questions of a file.

For questions heads are scored by Eq. 2 with the sink and local window of DEFINITIONS ("Scores"); a request may name another score.
"""

import random
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mechdyn.claims.claim import Request
from mechdyn.claims.niah_units import DETECTION, EVALUATION, RETEST, Preset, niah_unit, sample_seed
from mechdyn.errors import InputError
from mechdyn.traces.unit import Unit

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
