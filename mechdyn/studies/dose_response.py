r"""Dose-response along the clean answer: the step's own heads against the static list's and against others.

At each retrieving step A are the heads that retrieve, S the first |A| of the static ranking (docs/definitions.md, "Effects at one step").
With k heads off at that step alone, Δ is log p(token | every head on) − log p(token | k heads off), in nats:

- D, `own`: k heads of A \ S, the highest-ranked of the step (score, then attention on the copied token, then index);
- C, `static`: k heads of S \ A, the first of the static ranking;
- N, `neither`: k heads of neither, drawn in the layers of D's heads, the mean of ten draws;
- E, `active`: all of A.

A step reaches k where A \ S and S \ A have k heads each and the layers of D's heads have enough of neither; all four are taken over the
steps that reach k. A sample's value is its mean over those steps; means and differences are over samples, and samples that share a needle
or a haystack are resampled, and have their signs flipped, together.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from mechdyn.contrasts import ACTIVE, N_DRAWS, NEITHER, OWN, STATIC, DoseResponse
from mechdyn.errors import InputError
from mechdyn.heads import RankedHeads
from mechdyn.plans import EVALUATION, Preset, Request, task_units
from mechdyn.stats.interval import Interval
from mechdyn.stats.labels import Clusters
from mechdyn.stats.means import bootstrap_mean
from mechdyn.stats.permutation import permutation_test
from mechdyn.tensors import Tensor, torch
from mechdyn.traces.clusters import trace_clusters
from mechdyn.traces.effect import Effect
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import Unit

MOST_HEADS = 64
"""The largest k that is tried; steps rarely have so many heads that a static list lacks."""
SETS = (OWN, STATIC, NEITHER, ACTIVE)


@dataclass(frozen=True, eq=False)
class SampleDose:
    """Δ of one sample at one k, by set: means over the steps that reach k."""

    values: Mapping[str, float]
    n_steps: int


@dataclass(frozen=True)
class Dose:
    """One k: the mean Δ of each set over the samples that reach it, and what D has above C and N, paired.

    Attributes:
        k: heads off at a step.
        means: by set, in nats.
        above: D less `static` and D less `neither`.
        flips: of each difference the share of sign flips whose mean reaches it: were the two alike, either sign would be as likely.
        n_steps: how many steps of all samples reach k.
        by_sample: the values that each of `above` is the mean of.
    """

    k: int
    means: Mapping[str, Interval]
    above: Mapping[str, Interval]
    flips: Mapping[str, float]
    n_steps: int
    by_sample: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def n_samples(self) -> int:
        """Samples with a step that reaches k."""
        return self.means[OWN].n


@dataclass(frozen=True)
class Coincidence:
    """How far the step's heads and the static list's coincide over the retrieving steps.

    Attributes:
        jaccard: |A ∩ S| / |A ∪ S|, mean over retrieving steps, interval by sample.
        n_steps: retrieving steps.
        n_different: those at which each set has a head that the other lacks.
        n_samples: samples with such a step.
    """

    jaccard: Interval
    n_steps: int
    n_different: int
    n_samples: int


NOT_ASKED = Coincidence(Interval(math.nan, math.nan, math.nan, 0), 0, 0, 0)
"""Where no one looks at how far the two coincide."""


def dose_units(request: Request, preset: Preset, ranking: RankedHeads, *, lags: int = 0) -> tuple[Unit, ...]:
    """The clean answers of the evaluation samples, with the effect of every contrast along them."""
    n_flat = (ranking.n_layers or 0) * (ranking.n_heads or 0) or len(ranking.heads)
    sizes = tuple(2**power for power in range(MOST_HEADS.bit_length()) if 2**power <= max(1, n_flat // 3))
    effect: dict[str, Any] = {**DoseResponse(ranking.heads, sizes, N_DRAWS, request.seed).as_json(), "lags": lags}
    return task_units(request, preset, EVALUATION, effect=effect)


def dose_response(traces: Sequence[Trace], *, seed: int = 0) -> tuple[Dose, ...]:
    """Every k that any step of these answers reaches, ascending.

    Raises:
        InputError: a trace along which no contrasts were measured.
    """
    sizes = sorted({k for trace in traces for k in _sizes(_effect(trace))})
    clusters = trace_clusters(traces).tolist()
    doses = [_dose_at(k, traces, clusters, 1, seed) for k in sizes]
    return tuple(each for each in doses if each is not None)


def largest_dose(traces: Sequence[Trace], at_least: int, *, seed: int = 0) -> Dose | None:
    """That of `dose_response` with the largest k that so many samples reach, alone; None where none is."""
    clusters = trace_clusters(traces).tolist()
    sizes = sorted({k for trace in traces for k in _sizes(_effect(trace))}, reverse=True)
    return next((found for k in sizes if (found := _dose_at(k, traces, clusters, at_least, seed)) is not None), None)


def sample_dose(effect: Effect, k: int) -> SampleDose | None:
    """One answer at one k; None where no step reaches it."""
    reached = effect.n_off[effect.place(DoseResponse.name(OWN, k))] > 0
    if not bool(reached.any()):
        return None
    draws = [name for name in effect.sets if name.startswith(f"{NEITHER} {k} #")]
    delta = {name: _mean(effect, [name], reached) for name in (ACTIVE, DoseResponse.name(OWN, k), DoseResponse.name(STATIC, k))}
    values = {OWN: delta[DoseResponse.name(OWN, k)], STATIC: delta[DoseResponse.name(STATIC, k)], ACTIVE: delta[ACTIVE]}
    return SampleDose({**values, NEITHER: _mean(effect, draws, reached)}, int(reached.sum()))


def dose(k: int, samples: Sequence[SampleDose], clusters: Clusters | None = None, *, seed: int = 0) -> Dose:
    """The samples that reach one k; `clusters` has a label for each of them."""
    values = {name: np.array([sample.values[name] for sample in samples]) for name in SETS}
    ones, own = np.ones(len(samples)), values[OWN]
    return Dose(
        k=k,
        means={name: bootstrap_mean(row, ones, clusters, seed=seed) for name, row in values.items()},
        above={name: bootstrap_mean(own - values[name], ones, clusters, seed=seed) for name in (STATIC, NEITHER)},
        flips={name: permutation_test(own, values[name], clusters, alternative="greater", seed=seed).p_value for name in (STATIC, NEITHER)},
        n_steps=sum(sample.n_steps for sample in samples),
        by_sample={name: tuple((own - values[name]).tolist()) for name in (STATIC, NEITHER)},
    )


def coincidence(traces: Sequence[Trace], ranking: RankedHeads, *, seed: int = 0) -> Coincidence:
    """How far A and S coincide at the retrieving steps of these answers."""
    sums, counts, different = np.zeros(len(traces)), np.zeros(len(traces)), np.zeros(len(traces), dtype=int)
    for index, trace in enumerate(traces):
        for active in trace.active[trace.retrieving_steps]:
            shared, size = int((active & _first(ranking, active)).sum()), int(active.sum())
            listed = min(size, len(ranking.heads))
            sums[index] += shared / (size + listed - shared)
            counts[index] += 1
            different[index] += shared < min(size, listed)
    jaccard = bootstrap_mean(sums, counts, trace_clusters(traces), seed=seed)
    return Coincidence(jaccard, int(counts.sum()), int(different.sum()), int((different > 0).sum()))


def _dose_at(k: int, traces: Sequence[Trace], clusters: Sequence[int], at_least: int, seed: int) -> Dose | None:
    """The samples that reach k; None where fewer do than asked for."""
    found = [sample_dose(_effect(trace), k) for trace in traces]
    reached = [one for one in found if one is not None]
    labels = [label for label, one in zip(clusters, found, strict=True) if one is not None]
    return dose(k, reached, labels, seed=seed) if len(reached) >= at_least else None


def _first(ranking: RankedHeads, active: Bool[Tensor, "layer head"]) -> Bool[Tensor, "layer head"]:
    """As many heads of the ranking as retrieve."""
    return ranking.top(min(int(active.sum()), len(ranking.heads))).fit(*active.shape).mask()


def _mean(effect: Effect, names: Sequence[str], steps: Bool[Tensor, " step"]) -> float:
    """Δ of the steps' own tokens: mean over sets, then over steps."""
    delta: Float[Tensor, "set step"] = torch.stack([effect.of(name)[steps, 0] for name in names])
    return float(delta.double().mean())


def _sizes(effect: Effect) -> list[int]:
    return [int(name.split()[1]) for name in effect.sets if name.startswith(f"{OWN} ")]


def _effect(trace: Trace) -> Effect:
    if trace.effect is None or ACTIVE not in trace.effect.sets:
        raise InputError(f"no contrasts were measured along the answer of sample {trace.sample}; trace the units of dose_units")
    return trace.effect
