"""What the sets follow: the token, the step, the needle or the haystack (docs/follows.md). What is run, and the steps that are compared.

There is no verdict: shares with intervals. Right answers alone count.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Int

from mechdyn.errors import InputError
from mechdyn.evidence import Evidence
from mechdyn.plans import EVALUATION, Plan, Preset, Request
from mechdyn.stats.contrasts import PAIRS, Contrasts, contrasts
from mechdyn.stats.deviance import DevianceExplained, deviance_explained
from mechdyn.stats.interval import Interval
from mechdyn.stats.modes import MOST_MODES, Modes, carry_over, find_modes
from mechdyn.stats.steps import Steps
from mechdyn.stats.variance_shares import VarianceShares, variance_shares
from mechdyn.studies.step_predictors import fired, step_predictors
from mechdyn.tasks.permuted import Permuted, copied_pieces
from mechdyn.tasks.task import SampleSet, Spec, is_correct
from mechdyn.traces.trace import Trace

if TYPE_CHECKING:
    from pandas import DataFrame

ROLE = "answers"
JACCARD, FOLLOWED, VARIANCE = "Jaccard", "share followed", "share of variance"
DEVIANCE, MODES_GAIN, CARRIED = "deviance explained", "gain of modes, nats a step", "gain of another run's modes, nats a step"
"""What evidence calls what was measured."""
DIFFERENCES = ("token_less_neither", "step_less_neither", "token_less_step", "both_less_neither")
_COMPARED = (*PAIRS, *DIFFERENCES)
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
    return Steps(np.stack(sets), *columns)


@dataclass(frozen=True, eq=False)
class Follows:
    """What the sets of a run follow.

    Attributes:
        across: contrasts between haystacks; None, as the next two, where the task has no orders.
        within: contrasts within a haystack.
        variance: shares of token, step, needle, haystack, moment (what only order and step of a needle together decide, and repeats in
            another haystack) and the rest. With one haystack a needle there is no haystack and no moment.
        deviance: what predicts which heads fire.
        modes: co-activation.
        n_traces: answers.
        n_right: those that are right.
        shape: layers and heads.
    """

    across: Contrasts | None
    within: Contrasts | None
    variance: VarianceShares | None
    deviance: DevianceExplained
    modes: Modes
    n_traces: int
    n_right: int
    shape: tuple[int, int]

    def evidence(self) -> tuple[Evidence, ...]:
        """Every number that has an interval, by what was measured and where."""
        found = []
        for where, each in (("other haystack", self.across), ("same haystack", self.within)):
            if each is not None:
                found += [Evidence(JACCARD, getattr(each, name), {"pairs": name.replace("_", " "), "where": where}) for name in _COMPARED]
                found += [Evidence(FOLLOWED, getattr(each, f"{name}_share"), {"by": name, "where": where}) for name in ("token", "step")]
        found = [each for each in found if each.interval.n]
        if self.variance is not None:
            found += [Evidence(VARIANCE, share, {"by": name}) for name, share in self.variance.shares.items()]
        for how in ("alone", "together", "added"):
            found += [Evidence(DEVIANCE, value, {"predictor": name, "how": how}) for name, value in getattr(self.deviance, how).items()]
        return (*found, Evidence(MODES_GAIN, self.modes.gain, {"modes": self.modes.n_modes}))

    def to_frame(self) -> "DataFrame":
        """A row for each piece of evidence: `measure`, what it is of, `estimate`, `low`, `high`, `n` and `method`."""
        from pandas import DataFrame

        numbers = ("estimate", "low", "high", "n", "method")
        found = [(each, vars(each.interval)) for each in self.evidence()]
        rows = [{"measure": each.measure, **each.at, **{name: values[name] for name in numbers}} for each, values in found]
        return DataFrame(rows)

    def as_json(self) -> dict[str, Any]:
        """What `results.json` holds."""
        modes, n_heads = self.modes, self.shape[1]
        agreement = {"mean": modes.agreement, "least": modes.agreement_least}
        return {
            "answers": {"all": self.n_traces, "right": self.n_right},
            "pairs": {"other haystack": self.across.n_pairs, "same haystack": self.within.n_pairs} if self.across and self.within else {},
            "evidence": [each.as_json() for each in self.evidence()],
            "modes": {
                "weights": modes.mixture.weights.tolist(),
                "heads": [[int(head) // n_heads, int(head) % n_heads] for head in modes.heads],
                "rates": modes.mixture.rates.tolist(),
                "held_out_log_likelihood": {str(number): value for number, value in modes.held_out.items()},
                "split_half_agreement": {name: None if isnan(value) else value for name, value in agreement.items()},
                "split_half_agreement_of_null_sets": list(modes.agreement_null),
                "are_circuits": modes.are_circuits,
            },
        }


def follows(traces: Sequence[Trace], *, seed: int = 0, most_modes: int = MOST_MODES, done: Callable[[], object] = lambda: None) -> Follows:
    """What the head sets of some answers follow (docs/follows.md).

    Args:
        traces: of one model and task, no head off; contrasts and shares of variance are of permuted needles alone.
        seed: of resamples, folds, halvings and starts.
        most_modes: modes of co-activation at most.
        done: called after each fit, for a progress bar.

    Raises:
        InputError: too few right answers, or no head that retrieves often enough; the message says which.
    """
    right = right_answers(traces)
    across = within = variance = None
    if all(trace.task == Permuted.name for trace in right):
        steps = copied_steps(right)
        across, within = (contrasts(steps, same_haystack=same, seed=seed) for same in (False, True))
        variance = variance_shares(steps.sets, variance_factors(steps), steps.needle)
    fires = fired(right)
    needles = [needle_of(trace) for trace in right for _ in range(trace.n_steps)]
    deviance = deviance_explained(fires, step_predictors(right), needles, seed=seed, done=done)
    modes = find_modes(*retrieving_sets(right), most=most_modes, seed=seed, done=done)
    n_layers, n_heads = right[0].retrieval_scores.shape[1:]
    return Follows(across, within, variance, deviance, modes, len(traces), len(right), (n_layers, n_heads))


def variance_factors(steps: Steps) -> dict[str, Int[np.ndarray, " row"]]:
    """The factors of the variance; haystack and moment only where a needle has several haystacks."""
    factors = {"token": steps.token, "step": steps.step, "needle": steps.needle}
    if len(np.unique(steps.haystack)) == len(np.unique(steps.needle)):
        return factors
    moment = np.unique(np.stack([steps.needle, steps.order, steps.step]), axis=1, return_inverse=True)[1]
    return {**factors, "haystack": steps.haystack, "moment": moment}


def retrieving_sets(traces: Sequence[Trace]) -> tuple[Bool[np.ndarray, "row head"], list[str]]:
    """The head sets of all retrieving steps, and the needle of each."""
    sets = fired(traces)
    needles = [needle_of(trace) for trace in traces for _ in range(trace.n_steps)]
    some = np.any(sets, axis=1)
    return sets[some], [needle for needle, kept in zip(needles, some, strict=True) if kept]


def carried_over(runs: Mapping[str, Sequence[Trace]], *, most_modes: int = MOST_MODES, seed: int = 0) -> dict[tuple[str, str], Interval]:
    """What the modes of each of several runs of one model gain on the steps of each, nats a step (`mechdyn.stats.modes.carry_over`).

    Raises:
        InputError: runs of models of another shape, for which it is not defined, or too few right answers.
    """
    collections = {name: retrieving_sets(right_answers(traces)) for name, traces in runs.items()}
    n_modes = {name: find_modes(*found, most=most_modes, n_splits=1, n_null=1, seed=seed).n_modes for name, found in collections.items()}
    return carry_over(collections, n_modes, seed=seed)
