"""Claim 1, dynamism: retrieval heads vary from step to step (paper, 3.2; Table 1).

A step's heads may differ from the next step's because fewer of a fixed list are on, or by chance; neither is what the claim says. So a step
is held against as many heads of a static ranking, made on other samples, and against the same step for the same needle in another haystack
at another depth, the retest, which the paper lacks. On the samples of which both members of the retest pair are correct, and with the
quantities of `mechdyn.stats.fixed_list`:

- supported if Q, the share of what repeats that a fixed list explains, has its upper end below 0.75, and T − L its lower end above 0: more
  of the smaller of two consecutive sets is exchanged than the same heads are lost in the retest;
- refuted if Q has its lower end above 0.9 and T − L does not lie wholly above 0;
- inconclusive if fewer than 20 pairs have a step to compare, if the reliability (retest Jaccard above chance) has its upper end below
  0.3, or between the two. Retest moves haystack and depth as well, so it bounds the reliability of the sets from below: it can withhold a
  verdict, never give one.

These are the second criteria (2026-11-21). As first written, Q was M / R without chance, retest turnover T′ stood in the place of L, and Q
alone refuted; simulated worlds of known truth (docs/verdicts/error-rates.md) showed where that errs, and it was mended before any model
was judged. `as_first_written` has that form. The verdict of the first criteria on the same traces stands beside this one
(`mechdyn.claims.dynamism_first`), and all of Table 1 is in the evidence.

For questions heads are those of Eq. 2, and an answer is correct where it matches exactly. A task whose samples come in one context only
has no retest, so the verdict on it is inconclusive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int

from mechdyn.claims.claim import claim
from mechdyn.claims.dynamism_evidence import (
    CONSECUTIVE,
    EXPLAINED,
    PAIRED,
    RATIO,
    REPEATED,
    TURNOVER,
    excess_evidence,
    follows,
    own_evidence,
    quality,
    table_1,
)
from mechdyn.claims.dynamism_first import MATCHED, Overlaps, first_verdict, overlaps, without_retest
from mechdyn.errors import InputError
from mechdyn.evidence import SECOND, Criteria, Criterion, Demand, Evidence, Outcome, Side, Verdict, below, outcome
from mechdyn.heads import HeadSet, RankedHeads
from mechdyn.paper.parts import NEEDLES, PaperPart, claim_parts
from mechdyn.plans import DETECTION, EVALUATION, NO_TRACES, Plan, Preset, Request, chosen_preset, retest_units, task_units
from mechdyn.stats.fixed_list import FixedList, fixed_list
from mechdyn.stats.following import following
from mechdyn.stats.overlap import DynamismTable, dynamism_table
from mechdyn.stats.tails import p_above, p_below
from mechdyn.tasks.task import is_correct
from mechdyn.tensors import torch
from mechdyn.traces.clusters import trace_clusters
from mechdyn.traces.trace import Trace

DYNAMIC_BELOW, FIXED_ABOVE = 0.75, 0.9
"""Q wholly below the one supports the claim, wholly above the other refutes it."""
MIN_PAIRS, MIN_RELIABILITY = 20, 0.3
STATIC_SIZES = (20, 50, 100)
STATIC_SHARES = (5, 10, 20)

PRESETS = {
    "quick": Preset((256, 512), n_seeds=4),
    "standard": Preset((256, 512, 1024), n_seeds=8),
    "paper": Preset((5000,), n_seeds=20),
}


@dataclass(frozen=True)
class JudgedPairs:
    """What the traces of the roles give to measure: `ranking` is None where no detection sample was answered correctly."""

    evaluation: Sequence[Trace]
    pairs: Sequence[tuple[Trace, Trace]]
    ranking: RankedHeads | None
    n_detection: int
    n_failed: int


@dataclass(frozen=True)
class _Measured:
    """What the second criteria are put to: None where there is nothing to compare; `clusters` has a label for each pair."""

    judged: JudgedPairs
    clusters: Int[np.ndarray, " pair"] | None
    compared: FixedList | None


@claim
@dataclass(frozen=True)
class Dynamism:
    """The claim, its plan and its judge; `n_resamples` is of every bootstrap interval."""

    takes_heads: ClassVar[bool] = True
    name: str = "dynamism"
    paper: str = "3.2, Table 1"
    parts: tuple[PaperPart, ...] = claim_parts("dynamism", "Table 1", "Section 4, dynamism")
    n_resamples: int = 2000
    named: ClassVar[str] = SECOND
    takes_repeats: ClassVar[bool] = True

    @property
    def margins(self) -> Mapping[str, float]:
        """What the criteria are put to, by what it bounds."""
        return {
            "Q to support, below": DYNAMIC_BELOW,
            "Q to refute, above": FIXED_ABOVE,
            "T - L to support, above": 0.0,
            "pairs, at least": MIN_PAIRS,
            "reliability, at least": MIN_RELIABILITY,
        }

    def main_quantity(self, verdict: Verdict) -> Evidence | None:
        """Q, by which models are compared."""
        return verdict.find(EXPLAINED)

    def plan(self, request: Request, traces: Mapping[str, Sequence[Trace]] = NO_TRACES) -> Plan:
        """Roles: `detection` ranks the static heads, `evaluation` is measured, `retest` repeats each evaluation needle elsewhere."""
        preset = chosen_preset(PRESETS, request)
        roles = {"detection": task_units(request, preset, DETECTION), "evaluation": task_units(request, preset, EVALUATION)}
        retest = retest_units(request, preset)
        return Plan(roles | {"retest": retest} if retest else roles)

    def judge(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> Verdict:
        """Evidence is what the second criteria rest on, then the whole of Table 1 with its second rows, the static lists, and retest."""
        found, drawn = self._measured(request, traces), {"n_resamples": self.n_resamples}
        judged, pairs = found.judged, found.judged.pairs
        statics = static_lists(judged.ranking, judged.evaluation) if judged.ranking else {}
        together = trace_clusters(judged.evaluation)
        table = dynamism_table(judged.evaluation, statics, pairs, clusters=together, pair_clusters=found.clusters, **drawn)
        follow = following([first for first, _ in pairs], found.clusters, **drawn) if len(pairs) > 1 else None
        evidence = (*quality(judged.evaluation), *own_evidence(found.compared), *follows(follow))
        return replace(
            self._verdict(request, found),
            evidence=(*evidence, *table_1(table, request.task.paper == NEEDLES)),
            facts=_facts(request, judged, table, found.compared),
            beside=(first_verdict(request, Overlaps.of(table)),),
        )

    def decide(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> Outcome:
        """The outcome of `judge`, without what no criterion asks."""
        return self._verdict(request, self._measured(request, traces)).outcome

    def verdicts(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> tuple[Verdict, Verdict]:
        """The verdict of `judge` and the one of the first criteria, with the evidence that criteria ask alone: a third of its time."""
        found, drawn = self._measured(request, traces), {"n_resamples": self.n_resamples}
        judged = found.judged
        statics = static_lists(judged.ranking, judged.evaluation) if judged.ranking else {}
        first = overlaps(judged.evaluation, statics, judged.pairs, (trace_clusters(judged.evaluation), found.clusters), **drawn)
        second = replace(self._verdict(request, found), evidence=own_evidence(found.compared))
        return second, first_verdict(request, first)

    def _measured(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> "_Measured":
        judged = _sorted_out(request, traces)
        clusters = trace_clusters(*zip(*judged.pairs, strict=True)) if judged.pairs else None
        if judged.ranking is None or not judged.pairs:
            return _Measured(judged, clusters, None)
        return _Measured(judged, clusters, fixed_list(judged.pairs, judged.ranking, clusters, n_resamples=self.n_resamples))

    def _verdict(self, request: Request, found: "_Measured") -> Verdict:
        """The second criteria put to what was measured, without evidence."""
        compared, notes = found.compared, _no_verdict(request, found.judged, found.compared)
        supports, refutes = criteria(compared) if compared and compared.n_pairs >= MIN_PAIRS else ((), ())
        decided = Outcome.INCONCLUSIVE if notes else outcome(supports, refutes)
        name = str(request.model["name"])
        return Verdict(name, self.name, decided, supports=supports, refutes=refutes, notes=notes, named=SECOND)


def static_lists(ranking: RankedHeads, evaluation: Sequence[Trace]) -> dict[str, HeadSet]:
    """Top 20, 50 and 100 as in the paper, 5, 10 and 20 % of the heads, and as many as retrieve at a mean step (`MATCHED`)."""
    total = len(ranking.heads)
    sizes = {f"top {k}": k for k in STATIC_SIZES if k <= total}
    sizes |= {f"top {share} %": max(1, round(total * share / 100)) for share in STATIC_SHARES}
    at_steps = torch.cat([trace.active.flatten(1).sum(dim=1) for trace in evaluation])
    if at_steps.any():
        sizes[MATCHED] = round(float(at_steps[at_steps > 0].double().mean()))
    return {name: ranking.top(k) for name, k in sizes.items()}


def criteria(found: FixedList) -> tuple[Criteria, Criteria]:
    """Those of the module's docstring, that support and that refute."""
    explained = f"Q, the share of what repeats that a fixed list explains, {found.explained}"
    excess = f"T - L, turnover of consecutive steps less loss in the retest, {found.excess}"
    q, exchange = Evidence(EXPLAINED, found.explained), excess_evidence(found)
    few_explained, exchanged = Demand(q, Side.BELOW, DYNAMIC_BELOW), Demand(exchange, Side.ABOVE, 0.0)
    fixed, not_exchanged = Demand(q, Side.ABOVE, FIXED_ABOVE), replace(exchanged, negated=True)
    supports = (
        Criterion.asking(f"{explained} has its upper end below {DYNAMIC_BELOW}", few_explained, p=p_below(found.explained, DYNAMIC_BELOW)),
        Criterion.asking(f"{excess} has its lower end above 0", exchanged, p=p_above(found.excess, 0.0)),
    )
    refuting = f"{explained} has its lower end above {FIXED_ABOVE}, and {excess} does not lie wholly above 0"
    p = 1.0 if exchanged.met else p_above(found.explained, FIXED_ABOVE)
    return supports, (Criterion(refuting, fixed.met and not exchanged.met, p, (fixed, not_exchanged)),)


def as_first_written(verdict: Verdict) -> Outcome:
    """What the second criteria come to as they were first written, before simulated worlds showed where they err; from the evidence.

    Q is M / R, supported needs T − T′ above 0, Q alone refutes, and R without chance withholds a verdict.
    """
    ratio, retest, excess = (verdict.find(RATIO), verdict.find(REPEATED), verdict.find(TURNOVER, between=CONSECUTIVE, less=PAIRED))
    if ratio is None or retest is None or excess is None or ratio.interval.n < MIN_PAIRS or retest.interval.high < MIN_RELIABILITY:
        return Outcome.INCONCLUSIVE
    if ratio.interval.low > FIXED_ABOVE:
        return Outcome.REFUTED
    return Outcome.SUPPORTED if ratio.interval.high < DYNAMIC_BELOW and excess.interval.low > 0 else Outcome.INCONCLUSIVE


def _sorted_out(request: Request, traces: Mapping[str, Sequence[Trace]]) -> JudgedPairs:
    evaluation = [trace for trace in traces["evaluation"] if trace.stopped != "error"]
    if not evaluation:
        raise InputError(f"every generation of {request.model['name']} failed (NaN or infinite logits); run it in another dtype")
    correct = [trace for trace in traces["detection"] if _is_correct(trace)]
    repeated = zip(traces["evaluation"], traces["retest"], strict=True) if "retest" in traces else ()
    return JudgedPairs(
        evaluation=evaluation,
        pairs=[(first, second) for first, second in repeated if _is_correct(first) and _is_correct(second)],
        ranking=request.static_list(correct),
        n_detection=len(correct),
        n_failed=len(traces["evaluation"]) - len(evaluation),
    )


def _no_verdict(request: Request, judged: JudgedPairs, found: FixedList | None) -> tuple[str, ...]:
    """Why the verdict is inconclusive whatever the criteria say; empty where they decide."""
    if judged.ranking is None:
        never = () if request.task.has_retest else (without_retest(request.task),)
        return "no correct detection sample to rank static heads on", *never
    if found is None:
        return (without_retest(request.task),)
    if found.n_pairs < MIN_PAIRS:
        return (f"{found.n_pairs} retest pairs with both answers correct retrieve at a step of both; {MIN_PAIRS} are needed",)
    if found.n_clusters < 2:
        return (f"all {found.n_pairs} retest pairs hang together by needles or haystacks that they share, so there is no interval",)
    if below(found.reliability.high, MIN_RELIABILITY):
        return (f"too little repeats to be explained: reliability {found.reliability} has its upper end below {MIN_RELIABILITY}",)
    return ()


def _facts(request: Request, judged: JudgedPairs, table: DynamismTable, found: FixedList | None) -> dict[str, Any]:
    compared: dict[str, Any] = {}
    if found is not None:
        compared = {"compared_pairs": found.n_pairs, "compared_clusters": found.n_clusters}
        compared |= {"compared_steps": found.n_steps, "silent_steps": found.n_silent}
    return {
        "task": request.task.name,
        "samples": table.n_samples,
        "retrieving_samples": table.n_retrieving_samples,
        "steps": table.n_steps,
        "retrieving_steps": table.n_retrieving_steps,
        "adjacent_pairs_undefined": table.adjacent.n_undefined,
        "detection_samples_correct": judged.n_detection,
        "retest_pairs": len(judged.pairs),
        **compared,
        "activated_heads": table.activated.activated,
        "total_heads": table.activated.total,
        "heads_per_step_sd": table.per_step.sd,
        "best_static_list": Overlaps.of(table).best_list,
        "failed_samples": judged.n_failed,
    }


def _is_correct(trace: Trace) -> bool:
    return is_correct(trace.task, trace.text, trace.answer)
