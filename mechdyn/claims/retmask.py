"""RetMask (Ma & Okazaki 2026): does training against a model without its retrieval heads improve retrieval, and are these heads why?

A model is trained by DPO to prefer its own answers to those of a worse one. RetMask's worse one is the model without its retrieval heads.
Controls: as many random heads that do not retrieve off; as many of all heads off; both together, "any mask"; a weaker model. In the
published table a third of the gain comes with any mask, and no number has an interval, so a gain over the base says little by itself.

Measured is the share of right answers on the same samples, models of several seeds; differences are paired by sample and by seed.

Supported if the differences of RetMask with the base and with each of the four controls all lie wholly above 0. Refuted if RetMask less
the base, or less any mask, or less the weaker model, lies wholly below 0.02: no gain worth having, or none that these heads are needed
for. Anything between is inconclusive; so are fewer than 3 seeds, fewer than 20 samples, a control that was not run, and a base that is
right on 95 % of the samples or more, which leaves no room. The criteria were fixed before any model was trained (docs/retmask.md).

It is judged on answers, not on traces, so `judge_retmask` is a function and no `Claim`; `mechdyn verify retmask` runs it all the same.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from mechdyn.claims.claim import Rules
from mechdyn.claims.names import RETMASK as RETMASK
from mechdyn.evidence import LESS, MIN_RETRIEVING_SAMPLES, Criteria, Criterion, Demand, Evidence, Side, Verdict, outcome
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import mean_interval
from mechdyn.stats.seeds import difference_over_seeds
from mechdyn.stats.tails import p_above, p_below

BASE, NON_RETRIEVAL, ALL_HEADS, ANY_MASK, WEAKER = "base", "random-non-retrieval", "random-of-all", "any mask", "weaker-model"
TRAINED = (RETMASK, NON_RETRIEVAL, ALL_HEADS, WEAKER)
"""What is trained; `any mask` is both random ones together, seed by seed."""
CONTROLS = (NON_RETRIEVAL, ALL_HEADS, ANY_MASK, WEAKER)
MARGIN, CEILING, MIN_SEEDS = 0.02, 0.95, 3
"""A gain worth having; where there is no room for one; models of each arm."""
NAMED = "criteria of 2026-11-22"
RULES = Rules(RETMASK, NAMED, {"gain": MARGIN, "ceiling": CEILING, "seeds": MIN_SEEDS, "samples": MIN_RETRIEVING_SAMPLES})
"""What a verdict is judged by, which a run registers before any model is trained."""
PUBLISHED = {NON_RETRIEVAL: 47.19, ALL_HEADS: 47.04, WEAKER: 47.53, RETMASK: 48.68, BASE: 46.40}
"""HELMET at 128 k, Llama 3.1 8B: points of 100, one model each, no intervals."""


@dataclass(frozen=True, eq=False)
class Arm:
    """The models of one arm, a row a seed: how right each is on each sample, and what became of its training.

    Attributes:
        values: the task's own metric.
        pairs: pairs that each model was trained on; 0 where none were left, and the model is the base.
        margins: reward margin at the last step of each training; NaN where there was none.
        kl: divergence from the base on texts that need no retrieval, in nats a token; NaN where it was not measured.
    """

    values: Float[np.ndarray, "seed sample"]
    pairs: tuple[int, ...]
    margins: tuple[float, ...]
    kl: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        """NaN, which JSON has not, becomes null."""
        numbers = {name: [_finite(value) for value in getattr(self, name)] for name in ("margins", "kl")}
        return {"values": [[_finite(value) for value in row] for row in self.values.tolist()], "pairs": list(self.pairs), **numbers}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Arm":
        """What `as_json` wrote."""
        return cls(as_numbers(values["values"]), tuple(values["pairs"]), *(tuple(as_numbers(values[name])) for name in ("margins", "kl")))


def as_numbers(rows: Sequence[Any]) -> Float[np.ndarray, "..."]:
    """An array of what JSON has, null being NaN."""
    return np.array(rows, dtype=np.float64)


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


def judge_retmask(
    model: str,
    base: Float[np.ndarray, "1 sample"],
    arms: Mapping[str, Arm],
    clusters: Sequence[int],
    metric: str = "accuracy",
    facts: Mapping[str, Any] | None = None,
) -> Verdict:
    """The verdict with its evidence.

    Args:
        model: its name.
        base: the metric of the model that was not trained, on each sample.
        arms: of those in `TRAINED` that were run.
        clusters: a label for each sample; samples of one label depend on each other.
        metric: what it is called.
        facts: what else is to be kept with the verdict.
    """
    values = {BASE: base, **{name: arm.values for name, arm in arms.items()}}
    if NON_RETRIEVAL in values and ALL_HEADS in values:
        values[ANY_MASK] = (values[NON_RETRIEVAL] + values[ALL_HEADS]) / 2
    differences = {other: difference_over_seeds(values[RETMASK], values[other], clusters) for other in values if RETMASK in values}
    gains = {name: difference_over_seeds(each, base, clusters) for name, each in values.items() if name != BASE}
    evidence = [Evidence(metric, mean_interval(each.mean(axis=0), clusters), {"arm": name}) for name, each in values.items()]
    evidence += [Evidence(metric, gain, {"arm": name, LESS: BASE}, 0.0) for name, gain in gains.items()]
    apart = {name: Evidence(metric, each, {"arm": RETMASK, LESS: name}, 0.0) for name, each in differences.items() if name != RETMASK}
    evidence += [apart[name] for name in CONTROLS if name in apart]
    evidence += [Evidence("KL to the base", _over_seeds(arm.kl), {"arm": name}, note="nats a token") for name, arm in arms.items()]
    evidence += [Evidence("pairs", _over_seeds(arm.pairs), {"arm": name}) for name, arm in arms.items()]
    evidence += [Evidence("reward margin", _over_seeds(arm.margins), {"arm": name}, 0.0) for name, arm in arms.items()]
    notes = _no_verdict(base, arms)
    supports, refutes = ((), ()) if notes else criteria(apart)
    share = _share(gains)
    return Verdict(
        model=model,
        claim=RETMASK,
        outcome=outcome(supports, refutes),
        evidence=tuple(evidence),
        supports=supports,
        refutes=refutes,
        notes=(*notes, *_untrained(arms), *_said(share)),
        named=NAMED,
        facts={"samples": base.shape[1], "seeds": min((len(arm.values) for arm in arms.values()), default=0), **(facts or {})},
    )


def main_quantity(verdict: Verdict) -> Evidence | None:
    """RetMask's gain over the base, by which models are compared."""
    return verdict.find("accuracy", **{"arm": RETMASK, LESS: BASE})


def criteria(apart: Mapping[str, Evidence]) -> tuple[Criteria, Criteria]:
    """Those of the module's docstring, that support and that refute, from RetMask less each other arm."""
    supports = tuple(
        Criterion.asking(
            f"RetMask beats {_called(name)}: the difference {each.interval} lies wholly above 0",
            Demand(each, Side.ABOVE, 0.0),
            p=p_above(each.interval, 0.0),
        )
        for name, each in ((name, apart[name]) for name in (BASE, *CONTROLS))
    )
    refutes = tuple(
        Criterion.asking(
            f"RetMask is not worth {MARGIN} more than {_called(name)}: the difference {each.interval} lies wholly below {MARGIN}",
            Demand(each, Side.BELOW, MARGIN),
            p=p_below(each.interval, MARGIN),
        )
        for name, each in ((name, apart[name]) for name in (BASE, ANY_MASK, WEAKER))
    )
    return supports, refutes


def _called(name: str) -> str:
    heads = {NON_RETRIEVAL: "random heads that do not retrieve", ALL_HEADS: "random heads of all"}
    return {BASE: "the base", WEAKER: "a weaker model", **heads}.get(name, name)


def _no_verdict(base: Float[np.ndarray, "1 sample"], arms: Mapping[str, Arm]) -> tuple[str, ...]:
    """Why no criterion is applied; empty where they are."""
    right, n = float(np.nanmean(base)), base.shape[1]
    if right >= CEILING:
        return (f"the base is right on {right:.1%} of the samples, which leaves no room; take longer prompts or a harder haystack",)
    if n < MIN_RETRIEVING_SAMPLES:
        return (f"{n} samples were answered, {MIN_RETRIEVING_SAMPLES} are needed",)
    lacking = [name for name in TRAINED if name not in arms]
    if lacking:
        return (f"{lacking[0]} was not run, and a verdict compares with it",)
    fewest = min(len(arm.values) for arm in arms.values())
    return () if fewest >= MIN_SEEDS else (f"each arm was trained {fewest} times, {MIN_SEEDS} are needed",)


def _untrained(arms: Mapping[str, Arm]) -> tuple[str, ...]:
    """Arms of which a training had nothing to learn from."""
    return tuple(
        f"{name}: no pair was left for {arm.pairs.count(0)} of {len(arm.pairs)} seeds, whose model is the base"
        for name, arm in arms.items()
        if 0 in arm.pairs
    )


def _share(gains: Mapping[str, Interval]) -> float | None:
    """The share of RetMask's gain that comes with any mask; None without a gain."""
    if RETMASK not in gains or ANY_MASK not in gains or not gains[RETMASK].estimate > 0:
        return None
    return gains[ANY_MASK].estimate / gains[RETMASK].estimate


def _said(share: float | None) -> tuple[str, ...]:
    if share is None:
        return ()
    published = (sum(PUBLISHED[name] for name in (NON_RETRIEVAL, ALL_HEADS)) / 2 - PUBLISHED[BASE]) / (PUBLISHED[RETMASK] - PUBLISHED[BASE])
    given = f"gives {share:.0%} of RetMask's gain" if share > 0 else "gives none of RetMask's gain"
    return (f"any mask {given} (published, Llama 3.1 8B: {published:.0%})",)


def _over_seeds(values: Sequence[float | int]) -> Interval:
    """The mean over seeds, with no bounds: three models are no sample to speak of."""
    known = np.array([value for value in values if not np.isnan(value)], dtype=np.float64)
    return Interval(float(known.mean()) if len(known) else float("nan"), float("nan"), float("nan"), len(known))
