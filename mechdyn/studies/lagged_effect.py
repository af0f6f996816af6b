"""Lagged effect: what the heads that retrieve at one step do to the tokens that come after it (docs/definitions.md, "Effects at one step").

At each retrieving step the heads that retrieve are off at that step alone, and the keys and values that it leaves without them are kept.
Δ(lag) = log p(clean token t + lag | every head on) − log p(the same | heads off at step t), in nats, along the clean answer. Beside it
stand as many other heads, layer by layer, the mean of ten draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mechdyn.contrasts import ACTIVE, N_DRAWS, OTHERS, AgainstOthers
from mechdyn.errors import InputError
from mechdyn.evidence import Evidence
from mechdyn.plans import EVALUATION, Preset, Request, task_units
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import bootstrap_mean
from mechdyn.studies.conditions import CLEAN
from mechdyn.tensors import Tensor, torch
from mechdyn.traces.clusters import trace_clusters
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import Unit

DELTA = "Δ log p"
LAGS = 5
"""How many tokens behind the step's own."""


@dataclass(frozen=True)
class EffectRow:
    """One condition of the grid at one lag: mean Δ at the steps where it switches any head off, over samples; how many steps those are."""

    condition: str
    lag: int
    delta: Interval
    n_steps: int

    def as_json(self) -> dict[str, Any]:
        at = {"condition": self.condition, "lag": self.lag}
        return {**Evidence(DELTA, self.delta, at).as_json(), "steps": self.n_steps}


@dataclass(frozen=True)
class LaggedEffect:
    """One lag: mean Δ of the step's heads and of others, and the paired difference, over samples; the steps that have both."""

    lag: int
    active: Interval
    others: Interval
    above: Interval
    n_steps: int


def lagged_units(request: Request, preset: Preset, *, lags: int = LAGS, part: int = EVALUATION) -> tuple[Unit, ...]:
    """The clean answers of a part's samples, with the effect of the step's heads and of others at every lag."""
    return task_units(request, preset, part, effect={**AgainstOthers(N_DRAWS, request.seed).as_json(), "lags": lags})


def lagged_effect(traces: Sequence[Trace], *, seed: int = 0) -> tuple[LaggedEffect, ...]:
    """Every lag of these answers, ascending; a lag that no answer has is left out. A sample's value is its mean over its retrieving steps.

    Raises:
        InputError: a trace along which this was not measured.
    """
    by_sample, clusters = [_deltas(trace) for trace in traces], trace_clusters(traces)
    n_lags = max((active.shape[1] for active, _ in by_sample), default=0)
    found = []
    for lag in range(n_lags):
        rows = [(active[:, lag], others[:, lag]) for active, others in by_sample]
        rows = [(active[~active.isnan()], others[~active.isnan()]) for active, others in rows]
        labels = [label for label, row in zip(clusters.tolist(), rows, strict=True) if len(row[0])]
        rows = [row for row in rows if len(row[0])]
        if rows:
            active, others = (np.array([float(row[side].mean()) for row in rows]) for side in (0, 1))
            ones, n_steps = np.ones(len(rows)), sum(len(row[0]) for row in rows)
            of_active, of_others, above = (bootstrap_mean(values, ones, labels, seed=seed) for values in (active, others, active - others))
            found.append(LaggedEffect(lag, of_active, of_others, above, n_steps))
    return tuple(found)


def effect_rows(traces: Mapping[str, Sequence[Trace]], *, seed: int = 0) -> tuple[EffectRow, ...]:
    """The effects along the clean answers of an ablation grid, by condition and lag; none where they were not measured."""
    clean = [trace for trace in traces.get(CLEAN, ()) if trace.effect is not None and trace.stopped != "error"]
    effects = [trace.effect for trace in clean if trace.effect is not None]
    if not effects:
        return ()
    rows, clusters = [], trace_clusters(clean)
    for place, name in enumerate(effects[0].sets):
        for lag in range(effects[0].off.shape[2]):
            found = [effect.of(name)[effect.n_off[place] > 0, lag] for effect in effects]
            values = [each[~each.isnan()].double() for each in found]
            means = np.array([float(each.mean()) if len(each) else 0.0 for each in values])
            some = np.array([bool(len(each)) for each in values])
            rows.append(EffectRow(name, lag, bootstrap_mean(means, some.astype(np.int64), clusters, seed=seed), sum(map(len, values))))
    return tuple(rows)


def _deltas(trace: Trace) -> tuple[Tensor, Tensor]:
    """Δ [step, lag] of the step's heads and of the mean of the others, at the retrieving steps that have both."""
    effect = trace.effect
    draws = [name for name in effect.sets if name.startswith(f"{OTHERS} #")] if effect else []
    if effect is None or ACTIVE not in effect.sets or not draws:
        raise InputError(f"no lagged effect was measured along the answer of sample {trace.sample}; trace the units of lagged_units")
    steps = (effect.n_off[effect.place(ACTIVE)] > 0) & (effect.n_off[effect.place(draws[0])] > 0)
    return effect.of(ACTIVE)[steps].double(), torch.stack([effect.of(name)[steps] for name in draws]).double().mean(dim=0)
