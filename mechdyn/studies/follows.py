"""What the sets follow: the token, the step, the needle or the haystack (docs/follows.md). What is run, and the steps that are compared.

There is no verdict: shares with intervals. Right answers alone count.
"""

from collections.abc import Sequence

import numpy as np

from mechdyn.errors import InputError
from mechdyn.plans import EVALUATION, Plan, Preset, Request
from mechdyn.stats.steps import Steps
from mechdyn.tasks.permuted import Permuted, copied_pieces
from mechdyn.tasks.task import SampleSet, Spec, is_correct
from mechdyn.traces.trace import Trace

ROLE = "answers"
PRESETS = {
    "quick": Preset((256,), n_seeds=4, depths=(0.2, 0.5, 0.8)),
    "standard": Preset((512,), n_seeds=8),
    "paper": Preset((5000,), n_seeds=8),
}
"""Needles at each length and depth. The paper has no such study; its preset is of the paper's length."""


def follows_plan(request: Request, preset: Preset, *, haystacks: int, orders: int | None = None) -> Plan:
    """Each needle in its orders, each order in the same haystacks, which are the needle's own; of other tasks samples and their retest.

    Raises:
        InputError: more orders than the needles have, or orders of a task without.
    """
    return Plan({ROLE: tuple(map(request.unit, _specs(request, preset, haystacks, orders)))})


def _specs(request: Request, preset: Preset, haystacks: int, orders: int | None) -> list[Spec]:
    task, cells = request.task, preset.cells
    if not isinstance(task, Permuted):
        if orders is not None:
            raise InputError(f"task {task.name} has no orders; leave --orders out, or choose --task permuted")
        wanted = SampleSet(cells, EVALUATION, seed=request.seed)
        return [*task.samples(wanted), *(task.retest(wanted) if haystacks > 1 else ())]
    n_orders = task.pieces if orders is None else orders
    if n_orders > task.pieces:
        raise InputError(f"needles of {task.pieces} pieces have {task.pieces} orders, got {n_orders}; give fewer, or permuted:pieces=…")
    seeds = SampleSet(tuple(cell for cell in cells for _ in range(haystacks)), EVALUATION, seed=request.seed).seeds()
    found: list[Spec] = []
    for index, (length, depth) in enumerate(cells):
        own = seeds[haystacks * index : haystacks * (index + 1)]
        family = task.family(length=length, depth=depth, needle_seed=own[0], seeds=own)
        found += [spec for (order, _), spec in family.items() if order < n_orders]
    return found


def right_answers(traces: Sequence[Trace]) -> list[Trace]:
    """Those that are answered rightly and have a step.

    Raises:
        InputError: none is.
    """
    right = [trace for trace in traces if trace.n_steps and is_correct(trace.task, trace.text, trace.answer)]
    if not right:
        raise InputError(f"none of {len(traces)} answers is right, so there is nothing to follow; give shorter prompts or another task")
    return right


def needle_of(trace: Trace) -> str:
    """What a needle is told by: samples of the same one depend on each other. A sample that does not say stands for itself."""
    return str(trace.meta.get("needle_seed", trace.sample))


def copied_steps(traces: Sequence[Trace]) -> Steps:
    """The steps that copy a piece of a permuted needle; answers that do not hold the magic word token for token have none.

    Raises:
        InputError: traces of another task, or no such step.
    """
    rows, sets = [], []
    for trace in traces:
        if trace.task != Permuted.name:
            raise InputError(f"only needles in several orders part the token from the step, got a trace of task {trace.task}")
        shared = (needle_of(trace), f"{needle_of(trace)} {trace.meta['seed']}", int(trace.meta["order"]))
        active = trace.active.flatten(1).numpy()
        for step, piece in enumerate(copied_pieces(trace.meta, trace.prompt_tokens.tolist(), trace.tokens.tolist())):
            if piece is not None:
                rows.append((int(trace.tokens[step]), step, *shared, piece[1]))
                sets.append(active[step])
    if not rows:
        raise InputError(f"none of {len(traces)} answers copies its needle token for token, so there is no step to compare")
    columns = [np.unique(column, return_inverse=True)[1] for column in zip(*rows, strict=True)]
    token, step, needle, haystack, order, within = columns
    return Steps(np.stack(sets), token, step, needle, haystack, order, within)


def repeated(steps: Steps) -> np.ndarray:
    """A number for each moment of a needle: its order and step, the same in every haystack."""
    return np.unique(np.stack([steps.needle, steps.order, steps.step]), axis=1, return_inverse=True)[1]
