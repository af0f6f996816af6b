"""Anticipation, which the paper calls planning: the hidden state tells more of later heads than the heads of its step do (3.4; Figure 4).

A probe reads the hidden state of step n and predicts which heads retrieve at step n + k; AUPRC is its average precision. What is known
without a hidden state are baselines: persistence (the pattern of step n stays), the rate of the step, the base rate, a linear probe of the
token generated at n, and a linear probe of the pattern at n with that token.

Second criteria, which give the verdict: five-fold cross-fitting by sample; the probe is ridge regression on the state and on random
features of it, under the preset `paper` the paper's network. Supported if at k = 1 and k = 2 the AUPRC of the probe less that of the
strongest baseline, paired by sample, lies wholly above 0. Refuted if at k = 1 that difference has its upper end below 0.02. The definition
asks for a linear probe from the token's embedding; traces carry no embeddings, so the token's identity stands for it (a linear map of the
one holds every linear map of the other). Persistence graded by head is among the baselines too, being stronger than persistence.

First criteria, told beside, on one split by sample: supported if at k = 1 and k = 2 the AUPRC of the probe lies wholly above that of
persistence. Refuted if at k = 1 the probe's is not above persistence's. Scores of 0 and 1 rank no head above another that retrieves as
well, so persistence taken literally is easily beaten: flicker alone is called anticipation. Beside it stands the same rule against the best
of five baselines.

Under all, anything between is inconclusive, and so are fewer than 20 samples with a retrieving step, or samples that do not carry the
measurement. What supports was fixed before any result was seen (docs/definitions.md, "Verdicts"); what refutes under the first was added
here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from mechdyn.claims.claim import claim
from mechdyn.evidence import (
    LESS,
    SECOND,
    Criteria,
    Criterion,
    Demand,
    Evidence,
    Outcome,
    Side,
    Verdict,
    criteria_in_words,
    outcome,
)
from mechdyn.paper.parts import PaperPart, claim_parts
from mechdyn.plans import NO_TRACES, Plan, Request
from mechdyn.probes.auprc import auprc_difference
from mechdyn.probes.baselines import BaseRate, Persistence, PersistenceByHead, StepRate, previous_probe, token_probe
from mechdyn.probes.dataset import ProbeData, probe_data
from mechdyn.probes.fit import fit_probe
from mechdyn.probes.probe import Predictor
from mechdyn.probes.report import Report, compare
from mechdyn.stats.cca_offsets import OffsetCCA, cca_by_offset
from mechdyn.stats.interval import Interval
from mechdyn.studies.cross_fitting import (
    CrossFittedAt,
    beside_first,
    crossed_margins,
    crossed_verdict,
    differences,
    each_offset,
    is_small,
    lies_above_zero,
    probe_of,
)
from mechdyn.studies.probing import (
    AUPRC,
    PROBES,
    ROLE,
    Outline,
    attempt,
    auprc_evidence,
    auprc_of,
    cca_samples,
    correlation_evidence,
    outline,
    probing_plan,
    training_device,
)
from mechdyn.traces.clusters import trace_clusters
from mechdyn.traces.trace import Trace

OFFSETS = (1, 2)
PROBE, PERSISTENCE = "probe", "persistence"


@dataclass(frozen=True)
class AnticipationAtOffset:
    """What was measured at one offset; `ahead` is the paired difference of the probe's AUPRC to that of each baseline."""

    cca: OffsetCCA
    reports: Mapping[str, Report]
    ahead: Mapping[str, Interval]

    @property
    def strongest(self) -> str:
        """The baseline with the highest AUPRC."""
        return max(self.ahead, key=lambda name: auprc_of(self.reports[name]).estimate)


@claim
@dataclass(frozen=True)
class Anticipation:
    """The claim, its plan and its judge."""

    name: str = "anticipation"
    paper: str = "3.4, not in the paper"
    parts: tuple[PaperPart, ...] = claim_parts("anticipation", "beyond the paper", "beyond the paper")
    named: ClassVar[str] = SECOND

    @property
    def margins(self) -> Mapping[str, float]:
        """What the criteria are put to, by what it bounds."""
        return crossed_margins(1)

    def main_quantity(self, verdict: Verdict) -> Evidence | None:
        """What the probe's AUPRC gains over the strongest baseline at k = 1, which may be another in another model."""
        strongest = verdict.facts.get("strongest_baselines") or [""]
        return verdict.find(AUPRC, **{"k": 1, "predictor": PROBE, LESS: strongest[0]})

    def plan(self, request: Request, traces: Mapping[str, Sequence[Trace]] = NO_TRACES) -> Plan:
        """Role `evaluation`: the same clean needle samples as for correlation."""
        return probing_plan(request)

    def judge(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> Verdict:
        """Evidence is the AUPRC of the probe and of each baseline at k of 1 and 2.

        Under the first criteria there is also what correlations leave once scores repeat.
        """
        begun = outline(traces[ROLE])
        return beside_first(self.pilot(request, traces), self._first, request, begun)

    def pilot(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> Verdict:
        """The verdict of `judge` without the first criteria's beside it, whose probes take most of its time: what power is planned from."""
        return crossed_verdict(self.name, request, outline(traces[ROLE]), measure_crossed, second_criteria)

    def _first(self, request: Request, begun: Outline) -> Verdict:
        """The verdict under the first criteria."""
        empty = Verdict(str(request.model["name"]), self.name, Outcome.INCONCLUSIVE, facts=begun.facts)
        measured, reason = attempt(begun, partial(measure, preset=PROBES[request.preset], seed=request.seed))
        if measured is None:
            return replace(empty, notes=(reason,))
        supports, refutes = criteria(measured)
        strict = criteria(measured, strongest=True)
        return replace(
            empty,
            outcome=outcome(supports, refutes),
            evidence=tuple(_evidence(measured)),
            supports=supports,
            refutes=refutes,
            notes=(f"against the strongest baseline: {outcome(*strict)}", *(f"  {line}" for line in criteria_in_words(*strict))),
            facts=begun.facts | {"probe": PROBES[request.preset], "verdict_strongest_baseline": str(outcome(*strict))},
        )


def measure_crossed(traces: Sequence[Trace], preset: str, *, seed: int = 0) -> list[CrossFittedAt]:
    """What the second criteria ask for at each offset; `preset` names the probe.

    Raises:
        InputError: samples that are too few or too short for the folds, or scores without variation.
    """

    def fit(data: ProbeData) -> dict[str, Predictor]:
        return {
            PROBE: probe_of(data, preset, seed=seed),
            PERSISTENCE: Persistence.of(data),
            "persistence by head": PersistenceByHead.of(data),
            "rate of the step": StepRate.of(data),
            "base rate": BaseRate.of(data),
            "the current token": token_probe(data, seed=seed),
            "the current pattern with the current token": token_probe(data, pattern=True, seed=seed),
        }

    return each_offset(OFFSETS, traces, fit, seed=seed)


def second_criteria(measured: Sequence[CrossFittedAt]) -> tuple[Criteria, Criteria]:
    """The second criteria of the module's docstring, that support and that refute; the first of `measured` is at k = 1."""
    found = [differences(at, (at.areas.strongest,), correlation=False) for at in measured]
    supports = [lies_above_zero(what, difference) for at in found for what, difference in at.items()]
    return tuple(supports), tuple(is_small(what, difference) for what, difference in found[0].items())


def measure(traces: Sequence[Trace], preset: str, *, seed: int = 0) -> list[AnticipationAtOffset]:
    """The probe and what it must beat at each offset; `preset` names the probe.

    Raises:
        InputError: samples that are too few or too short for the splits, or scores without variation.
    """
    correlations = cca_by_offset(cca_samples(traces), OFFSETS, clusters=trace_clusters(traces), seed=seed)
    return [_at_offset(traces, cca, preset, seed) for cca in correlations.offsets]


def _at_offset(traces: Sequence[Trace], cca: OffsetCCA, preset: str, seed: int) -> AnticipationAtOffset:
    data = probe_data(traces, cca.offset, seed=seed)
    probe = fit_probe(data, preset, seed=seed, device=training_device(preset), describe=f"probe, k = {cca.offset}")
    baselines: dict[str, Predictor] = {
        PERSISTENCE: Persistence.of(data),
        "persistence by head": PersistenceByHead.of(data),
        "base rate": BaseRate.of(data),
        "rate of the step": StepRate.of(data),
        "linear probe of the scores at n": previous_probe(data, seed=seed),
    }
    prediction = probe(data.test)
    ahead = {name: auprc_difference(prediction, baseline(data.test), data.test, seed=seed) for name, baseline in baselines.items()}
    return AnticipationAtOffset(cca, compare({PROBE: probe, **baselines}, data, seed=seed), ahead)


def criteria(measured: Sequence[AnticipationAtOffset], *, strongest: bool = False) -> tuple[Criteria, Criteria]:
    """The first criteria of the module's docstring, that support and that refute, against persistence or against the strongest baseline.

    The first of `measured` is at k = 1.
    """
    supports, refutes = [], []
    for at in measured:
        k, name = at.cca.offset, at.strongest if strongest else PERSISTENCE
        probe, baseline = auprc_of(at.reports[PROBE]), auprc_of(at.reports[name])
        areas = {row.at["predictor"]: row for row in auprc_evidence(at.reports, k)}
        asked = Demand(areas[PROBE], Side.ABOVE, areas[name])
        what, other = f"k = {k}: the probe's AUPRC {probe}", f"that of {name} {baseline}"
        supports.append(Criterion.asking(f"{what} lies wholly above {other}", asked))
        if at is measured[0]:
            refutes.append(Criterion.asking(f"{what} is not above {other}", replace(asked, by_estimate=True, negated=True)))
    return tuple(supports), tuple(refutes)


def _evidence(measured: Sequence[AnticipationAtOffset]) -> list[Evidence]:
    rows = []
    for at in measured:
        k = at.cca.offset
        rows += auprc_evidence(at.reports, k)
        rows += [Evidence(AUPRC, ahead, {"k": k, "predictor": PROBE, LESS: name}, 0.0) for name, ahead in at.ahead.items()]
        place, null = {"k": k, "samples": "held out"}, at.cca.null_held_out.means[1].estimate
        rows.append(correlation_evidence(at.cca.held_out, 1, place, null))
        for name, found in (("of scores with scores", at.cca.persistence), ("scores at n regressed out", at.cca.partial)):
            if found is not None:
                rows.append(correlation_evidence(found, 1, {**place, "control": name}))
    return rows
