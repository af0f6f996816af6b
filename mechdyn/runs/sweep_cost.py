"""What a sweep comes to before anything is loaded: how many traces of what length, how long they take, and what fits."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from mechdyn.claims.claim import get_claim
from mechdyn.claims.sensitivity import LOCALS, SINKS, window_plan
from mechdyn.models.budget import Budget, RunSize, budget_of
from mechdyn.models.shape import planned_shape
from mechdyn.models.together import BATCH_TOKENS
from mechdyn.plans import EVALUATION, NO_TRACES, Plan, Request, chosen_preset, task_units
from mechdyn.runs import rag
from mechdyn.runs.configs import ScoreOptions
from mechdyn.runs.session import chosen_task
from mechdyn.runs.sweep_plan import SweepRun
from mechdyn.studies import conditions, progressive
from mechdyn.tasks.task import FileTask, Task
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import Unit

_UNKNOWN_LENGTH = 1500
"""Tokens of a prompt whose task does not say, such as questions from a file: about what the paper's have."""
_FILE_ITEMS = 20_000


@dataclass(frozen=True)
class RunCost:
    """What one run asks for: traces, of which others in the sweep ask for some as well, and the budget of its own ones.

    `at_most` says that the numbers are bounds: a file may hold fewer items, and an answer may be shorter.
    """

    run: SweepRun
    n_traces: int
    n_shared: int
    budget: Budget | None
    at_most: bool

    @property
    def seconds(self) -> float:
        return self.budget.seconds if self.budget else 0.0


def sweep_cost(runs: Sequence[SweepRun], device: str | None = None) -> list[RunCost]:
    """The cost of each run, of what no run before it has asked for.

    Args:
        runs: what `read_plan` gave.
        device: as in `budget_of`; the config's own when left out.

    Raises:
        MechdynError: a model, task or length that cannot be run.
    """
    seen: set[str] = set()
    found = []
    for run in runs:
        units = {unit.key: unit for unit in rehearse(run.config)}
        new = [unit for key, unit in units.items() if key not in seen]
        seen |= units.keys()
        size = _size(new, run.config)
        budget = budget_of(run.config.model, size, device=device or run.config.device, dtype=_dtype(run.config)) if size else None
        at_most = isinstance(chosen_task(run.config), FileTask)
        found.append(RunCost(run, len(units), len(units) - len(new), budget, at_most))
    return found


def rehearse(config: Any) -> list[Unit]:
    """The units that a run will ask for. Plans that unfold are told stand-ins of what would have come out: right answers, one head each."""
    task = chosen_task(config)
    shape = planned_shape(config.model)
    if isinstance(task, FileTask):
        task = replace(task, digest="unread", ids=tuple(map(str, range(_FILE_ITEMS))))
    request = _request(config, task, shape.n_layers, shape.n_heads)
    if config.kind == "rag":
        return _questions(config, request)
    if config.kind == "sensitivity":
        windows = [(sink, local) for sink in config.sinks or SINKS for local in config.locals or LOCALS]
        return [unit for window in windows for unit in window_plan(request, *window).units]
    if config.kind == "progressive":
        masked = config.masked or progressive.default_masked(shape.n_layers * shape.n_heads)
        preset = chosen_preset(progressive.PRESETS, request)
        return list(progressive.progressive_plan(request, preset, masked).units)
    if config.kind == "ablate":
        preset, names = chosen_preset(conditions.PRESETS, request), config.conditions or conditions.CONDITIONS
        return _unfolded(lambda found: conditions.grid_plan(request, preset, found, names), shape.n_layers, shape.n_heads)
    claim = get_claim(config.claim)
    return _unfolded(lambda found: claim.plan(request, found), shape.n_layers, shape.n_heads)


def _request(config: Any, task: Task, n_layers: int, n_heads: int) -> Request:
    chosen = {name: getattr(config, name) for name in ("preset", "lengths", "depths", "runs", "max_new_tokens") if hasattr(config, name)}
    threshold = config.threshold if isinstance(config, ScoreOptions) else None
    model = {"name": str(config.model), "revision": "", "n_layers": n_layers, "n_heads": n_heads}
    return Request(model, task, seed=config.seed, score=config.score, threshold=threshold, **chosen)


def _questions(config: Any, request: Request) -> list[Unit]:
    """Each question once a strategy; the rounds of an answer are not known beforehand."""
    preset = chosen_preset(rag.PRESETS, replace(request, runs=config.questions))
    names = rag.strategies_of(config)
    units = task_units(request, preset, EVALUATION)
    return [replace(unit, ablation={"strategy": name}) for unit in units for name in names]


def _unfolded(plan: Callable[[Mapping[str, Sequence[Trace]]], Plan], n_layers: int, n_heads: int) -> list[Unit]:
    traces: dict[str, Sequence[Trace]] = dict(NO_TRACES)
    while new := {role: units for role, units in plan(traces).roles.items() if role not in traces}:
        traces |= {role: [_stand_in(unit, n_layers, n_heads) for unit in units] for role, units in new.items()}
    return list(plan(traces).units)


def _stand_in(unit: Unit, n_layers: int, n_heads: int) -> Trace:
    scores = torch.zeros(1, n_layers, n_heads)
    scores[:, 0, 0] = 1
    one = torch.zeros(1, dtype=torch.long)
    return Trace(
        unit=unit.key,
        sample=unit.key,
        task=str(unit.sample["task"]).partition(":")[0],
        question="",
        answer="x",
        prompt_tokens=one,
        needle_positions=one,
        tokens=one,
        token_texts=("x",),
        text="x",
        retrieval_scores=scores,
        hidden=torch.zeros(1, 1),
        ablated=scores.bool() if unit.ablation else None,
        ablated_scores=scores if unit.ablation else None,
    )


def _size(units: Iterable[Unit], config: Any) -> RunSize | None:
    """The units as a size of run: samples of each length, and the ways in which a sample is continued."""
    ways: dict[tuple[int, str], int] = defaultdict(int)
    n_new, ablate = 0, False
    for unit in units:
        length = int(unit.sample.get("length", _UNKNOWN_LENGTH))
        ways[length, str(sorted((name, str(value)) for name, value in unit.sample.items()))] += 1
        n_new, ablate = max(n_new, int(unit.decoding["max_new_tokens"])), ablate or bool(unit.ablation)
    if not ways:
        return None
    lengths = sorted({length for length, _ in ways})
    n_samples = -(-len(ways) // len(lengths))
    n_conditions = -(-sum(ways.values()) // len(ways))
    n_tokens = config.batch_tokens or BATCH_TOKENS
    return RunSize(tuple(lengths), n_samples, n_conditions, n_new, config.batch_size, ablate, batch_tokens=n_tokens)


def _dtype(config: Any) -> str | None:
    return None if config.dtype in (None, "auto") else str(config.dtype)
