"""Claim 2, irreplaceability: at each step its own retrieval heads matter, and no others do for them (paper, 3.3; Figure 2).

The second criteria (2026-11-21) are the headline; the first (`mechdyn.claims.irreplaceability_first`) stand beside them, judged on the
same run. They ask what heads do at one step along the clean answer, teacher-forced (`mechdyn.studies.dose_response`): D are k of the
step's own heads that the static list lacks, C as many of the static list's that the step lacks, N as many of neither in D's layers, E all
of the step's heads; Δ is what each takes from log p of the clean token. Demand only of a model whose clean accuracy (mean F1 for questions)
is at least 0.5, on the samples that it answers correctly, at the largest k that at least 20 samples reach, with paired differences over
samples, 95 % intervals by sample:

- supported if D − C and D − N have their lower ends above 0;
- refuted if D − C has its upper end below 0.05 · E. This is asked first: a difference that is surely positive and surely below 5 % of
  what all of the step's heads do refutes.

Neither is asked where E's lower end is not above 0: nothing that the step's heads do could then be told from nothing, and 5 % of it bounds
nothing (a floor). Without this 5.8 % of simulated experiments in which no head matters got a verdict at n = 20, so it was added for those
rates (docs/verdicts/irreplaceability.md); a first run on `mini` was known by then, whose verdict it does not change.

For support each difference must also be reached by less than 2.5 % of the sign flips over samples: where a few samples carry the effect,
intervals of 20 samples were too narrow (7 % false support in simulation, where static heads mattered as much and effects were very skewed).

Anything between is inconclusive. So is a run in which fewer than 20 samples have a step where the step's heads and the static list each
have one that the other lacks: then the two coincide, and how far is said. Whole answers are measured beside it: accuracy under every
condition with paired differences, under both commit rules. The criteria were fixed before any result was seen, but
for these two conditions, which only withhold a verdict (docs/definitions.md, "Verdicts").
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mechdyn.claims.claim import claim
from mechdyn.claims.irreplaceability_first import clean_quality, first_verdict, grid_evidence, grid_facts, measure
from mechdyn.contrasts import ACTIVE, NEITHER, OWN, STATIC
from mechdyn.evidence import (
    LESS,
    MIN_RETRIEVING_SAMPLES,
    SECOND,
    Criteria,
    Criterion,
    Demand,
    Evidence,
    Outcome,
    Side,
    Verdict,
    few,
    outcome,
)
from mechdyn.paper.parts import PaperPart, claim_parts
from mechdyn.plans import NO_TRACES, Plan, Request, chosen_preset
from mechdyn.stats.interval import Interval
from mechdyn.stats.tails import p_above, p_below
from mechdyn.studies.conditions import CLEAN, COMMITS, CONDITIONS, DETECTION_ROLE, PRESETS, Detection, detect, grid_plan, role
from mechdyn.studies.dose_response import NOT_ASKED, SETS, Coincidence, Dose, coincidence, dose_response, dose_units, largest_dose
from mechdyn.studies.grid import detection_facts
from mechdyn.tasks.task import is_correct
from mechdyn.traces.trace import Trace

MIN_QUALITY = 0.5
"""Where the model answers worse than this with every head on, there is little that heads off could take away."""
MARGIN = 0.05
"""The part of E below which D − C is as good as nothing."""
FLIPS = 0.025
"""The share of sign flips that may reach a difference which supports: that of one end of a 95 % interval."""
EFFECT_MEASURE = "Δ log p"
"""What evidence calls the effect of a step's heads, at `heads` (own, static, neither, active) and `k`; of a difference, `less` what."""
NATS, SIGN_FLIPS = "nats", "share of sign flips that reach it"
JACCARD = "Jaccard of the step's heads with as many of the static list"


@dataclass(frozen=True)
class DoseFindings:
    """What the criteria are put to: the clean quality, the doses by k ascending, and how far the two kinds of heads coincide."""

    metric: str
    quality: Interval
    doses: tuple[Dose, ...]
    coincide: Coincidence

    @property
    def decisive(self) -> Dose | None:
        """The largest k that enough samples reach; None where none is."""
        reached = [dose for dose in self.doses if dose.n_samples >= MIN_RETRIEVING_SAMPLES]
        return reached[-1] if reached else None


@claim
@dataclass(frozen=True)
class Irreplaceability:
    """The claim, its plan and its judge."""

    takes_heads: ClassVar[bool] = True
    name: str = "irreplaceability"
    paper: str = "3.3, Figures 2 and 6"
    parts: tuple[PaperPart, ...] = claim_parts("irreplaceability", "Section 3.3, a verdict", "Section 4, a verdict")
    named: ClassVar[str] = SECOND
    takes_repeats: ClassVar[bool] = True

    @property
    def margins(self) -> Mapping[str, float]:
        """What the criteria are put to, by what it bounds."""
        return {
            "D - C and D - N to support, above": 0.0,
            "share of sign flips to support, below": FLIPS,
            "D - C as a part of E to refute, below": MARGIN,
            "clean quality, at least": MIN_QUALITY,
            "E to be asked, above": 0.0,
            "samples, at least": MIN_RETRIEVING_SAMPLES,
        }

    def main_quantity(self, verdict: Verdict) -> Evidence | None:
        """D − C in nats at the k that decides, which may be another in another model."""
        return verdict.find(EFFECT_MEASURE, **{"heads": "own", LESS: STATIC, "k": verdict.facts.get("decisive_k")})

    def plan(self, request: Request, traces: Mapping[str, Sequence[Trace]] = NO_TRACES) -> Plan:
        """Roles: `detection` ranks static heads and gives the average size; then each condition under each commit rule.

        The clean answers have the effects of dose-response measured along them.
        """
        preset = chosen_preset(PRESETS, request)
        roles = dict(grid_plan(request, preset, traces).roles)
        detection = detect(traces[DETECTION_ROLE], request.static) if DETECTION_ROLE in traces else None
        if detection is not None:
            roles[CLEAN] = dose_units(request, preset, detection.ranking)
        return Plan(roles)

    def judge(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> Verdict:
        """Evidence is Δ log p at every k, and every metric, paired difference and number of heads under both commit rules."""
        model, detection = str(request.model["name"]), detect(traces[DETECTION_ROLE], request.static)
        if detection is None:
            reason = "no detection sample was answered correctly, so there are no static heads and no average size to compare with"
            facts = {"detection_samples": len(traces[DETECTION_ROLE])}
            return Verdict(model, self.name, Outcome.INCONCLUSIVE, notes=(reason,), facts=facts, named=SECOND)
        measured = {commit: measure({condition: traces[role(condition, commit)] for condition in CONDITIONS}) for commit in COMMITS}
        first, whole = first_verdict(model, measured), grid_evidence(measured)
        facts = grid_facts(measured) | detection_facts(detection, traces[DETECTION_ROLE])
        if any(trace.effect is None for trace in traces[CLEAN]):
            reason = "this run has no effects along the clean answers; run the command again, into another folder, for the second criteria"
            return Verdict(model, self.name, Outcome.INCONCLUSIVE, whole, (), (), (reason,), facts, SECOND, (first,))
        findings = find(traces[CLEAN], detection, measured["clean"].metric, measured["clean"].quality)
        supports, refutes = criteria(findings)
        return Verdict(
            model=model,
            claim=self.name,
            outcome=outcome(supports, refutes),
            evidence=(*dose_evidence(findings), *whole),
            supports=supports,
            refutes=refutes,
            notes=notes(findings),
            facts=facts | _facts(findings),
            named=SECOND,
            beside=(first,),
        )

    def decide(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> Outcome:
        """The outcome of `judge`, without what no criterion asks."""
        detection = detect(traces[DETECTION_ROLE], request.static)
        if detection is None or any(trace.effect is None for trace in traces[CLEAN]):
            return Outcome.INCONCLUSIVE
        metric, quality = clean_quality({condition: traces[role(condition, "clean")] for condition in CONDITIONS})
        decisive = largest_dose(_correct(traces[CLEAN]), MIN_RETRIEVING_SAMPLES)
        return outcome(*criteria(DoseFindings(metric, quality[metric][CLEAN], (decisive,) if decisive else (), NOT_ASKED)))


def find(clean: Sequence[Trace], detection: Detection, metric: str, quality: Mapping[str, Mapping[str, Interval]]) -> DoseFindings:
    """What the criteria are put to, from the clean answers: doses are of those that are correct."""
    correct = _correct(clean)
    return DoseFindings(metric, quality[metric][CLEAN], dose_response(correct), coincidence(correct, detection.ranking))


def _correct(clean: Sequence[Trace]) -> list[Trace]:
    return [trace for trace in clean if trace.stopped != "error" and is_correct(trace.task, trace.text, trace.answer)]


def criteria(findings: DoseFindings) -> tuple[Criteria, Criteria]:
    """Those of the module's docstring, that support and that refute; what may not be asked is put to none."""
    decisive = findings.decisive
    if decisive is None or not findings.quality.estimate >= MIN_QUALITY or not decisive.means[ACTIVE].low > 0:
        return (), ()
    where = f"at k = {decisive.k}, {decisive.n_samples} samples"
    supports = tuple(
        Criterion(
            f"{where}: own less {other} {decisive.above[other]} nats, lower end above 0; of sign flips "
            f"{decisive.flips[other]:.4f} reach it, below {FLIPS}",
            _both(above_zero.met, rare.met),
            _larger(p_above(decisive.above[other], 0.0), decisive.flips[other]),
            (above_zero, rare),
        )
        for other in (STATIC, NEITHER)
        for above_zero, rare in [_asked(decisive, other)]
    )
    bound = MARGIN * decisive.means[ACTIVE].estimate
    text = (
        f"{where}: own less static {decisive.above[STATIC]} nats, upper end below {MARGIN} of what all of the step's heads do, {bound:.3f}"
    )
    as_good_as_none = Demand(_own_less(decisive, STATIC), Side.BELOW, bound, unit=NATS)
    return supports, (Criterion.asking(text, as_good_as_none, p=p_below(decisive.above[STATIC], bound)),)


def _asked(dose: Dose, other: str) -> tuple[Demand, Demand]:
    """That D is above the other heads, and that few sign flips reach it."""
    flips = Evidence(SIGN_FLIPS, Interval(dose.flips[other], math.nan, math.nan, dose.n_samples), {"heads": OWN, LESS: other, "k": dose.k})
    above_zero = Demand(_own_less(dose, other), Side.ABOVE, 0.0, unit=NATS)
    return above_zero, Demand(flips, Side.BELOW, FLIPS, by_estimate=True, unit=SIGN_FLIPS)


def _own_less(dose: Dose, other: str) -> Evidence:
    return Evidence(
        EFFECT_MEASURE, dose.above[other], {"heads": OWN, LESS: other, "k": dose.k}, 0.0, samples=few(dose.by_sample.get(other, ()))
    )


def _both(one: bool | None, other: bool | None) -> bool | None:
    """Whether both are met; None where either is undefined."""
    return None if one is None or other is None else one and other


def _larger(one: float | None, other: float) -> float | None:
    """The larger of two p, since both must be met; None where one cannot be had."""
    return None if one is None or math.isnan(other) else max(one, other)


def notes(findings: DoseFindings) -> tuple[str, ...]:
    """Why there is no verdict, where there is none; and how far the step's heads and the static list coincide."""
    lines, coincide = [], findings.coincide
    if not findings.quality.estimate >= MIN_QUALITY:
        lines.append(f"clean {findings.metric} is {findings.quality}; the criteria ask for {MIN_QUALITY} or more")
    if findings.decisive is None:
        lines.append(
            f"{coincide.n_samples} correct samples have a step at which its own heads and the static list's differ both ways; "
            f"{MIN_RETRIEVING_SAMPLES} are needed to tell them apart"
        )
    elif not findings.decisive.means[ACTIVE].low > 0:
        lines.append(
            f"all of the step's heads together take {findings.decisive.means[ACTIVE]} nats at k = {findings.decisive.k}: not surely above "
            "0, so there is nothing to compare with"
        )
    lines.append(
        f"the step's heads and as many of the static list: Jaccard {coincide.jaccard}; they differ both ways at {coincide.n_different} of "
        f"{coincide.n_steps} retrieving steps"
    )
    return tuple(lines)


def dose_evidence(findings: DoseFindings) -> tuple[Evidence, ...]:
    """Δ log p of each set at every k, D's differences to C and N, and the overlap."""
    rows = [Evidence(JACCARD, findings.coincide.jaccard)]
    for dose in findings.doses:
        rows += [Evidence(EFFECT_MEASURE, dose.means[name], {"heads": name, "k": dose.k}) for name in SETS]
        rows += [_own_less(dose, name) for name in (STATIC, NEITHER)]
    return tuple(rows)


def _facts(findings: DoseFindings) -> dict[str, Any]:
    decisive = findings.decisive
    return {
        "decisive_k": decisive.k if decisive else None,
        "decisive_samples": decisive.n_samples if decisive else 0,
        "steps_with_both_differences": findings.coincide.n_different,
        "retrieving_steps": findings.coincide.n_steps,
    }
