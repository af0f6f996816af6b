"""Anticipation, which the paper calls planning: the hidden state says more about later heads than that scores repeat (3.4; Figure 4).

Supported if at k = 1 and k = 2 the AUPRC of the probe lies wholly above that of persistence, the scores at n standing for those at
n + k. Refuted if at k = 1 the probe's is not above persistence's. Anything between is inconclusive, and so are fewer than 20 samples with a
retrieving step, or samples that do not carry the measurement. The criterion of support was fixed before any result was seen
(DEFINITIONS, last section); it names no criterion of refutation, this one is ours.

A pattern of 0 and 1 has one threshold and no ranking, so persistence taken literally is easily beaten in AUPRC. Beside the verdict
stands one under a stricter criterion, the same rule against the best of five baselines: persistence, persistence graded by head, the base
rate, the rate of the step, and a linear probe that reads the scores of step n instead of its hidden state.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mechdyn.evidence import Evidence, Outcome, Verdict
from mechdyn.plans import NO_TRACES, Plan, Request
from mechdyn.probes.auprc import auprc_difference
from mechdyn.probes.baselines import BaseRate, Persistence, PersistenceByHead, StepRate, previous_probe
from mechdyn.probes.dataset import probe_data
from mechdyn.probes.fit import fit_probe
from mechdyn.probes.probe import Predictor
from mechdyn.probes.report import Report, compare
from mechdyn.stats.cca_offsets import OffsetCCA, cca_by_offset
from mechdyn.stats.resampling import Interval
from mechdyn.studies.probing import (
    PROBES,
    ROLE,
    attempt,
    auprc_evidence,
    auprc_name,
    auprc_of,
    cca_samples,
    correlation_name,
    decided,
    outline,
    probing_plan,
    told,
    training_device,
    wholly_above,
)
from mechdyn.traces.trace import Trace

OFFSETS = (1, 2)
PROBE, PERSISTENCE = "probe", "persistence"


@dataclass(frozen=True)
class AtOffset:
    """What was measured at one offset; `ahead` is the paired difference of the probe's AUPRC to that of each baseline."""

    cca: OffsetCCA
    reports: Mapping[str, Report]
    ahead: Mapping[str, Interval]

    @property
    def strongest(self) -> str:
        """The baseline with the highest AUPRC."""
        return max(self.ahead, key=lambda name: auprc_of(self.reports[name]).estimate)


@dataclass(frozen=True)
class Anticipation:
    """The claim, its plan and its judge."""

    name: str = "anticipation"

    def plan(self, request: Request, traces: Mapping[str, Sequence[Trace]] = NO_TRACES) -> Plan:
        """Role `evaluation`: the same clean needle samples as for correlation."""
        return probing_plan(request)

    def judge(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> Verdict:
        """Evidence is the AUPRC of the probe and of each baseline at k of 1 and 2, and what correlations leave once scores repeat."""
        begun = outline(traces[ROLE])
        measured, reason = attempt(begun, partial(measure, preset=PROBES[request.preset], seed=request.seed))
        if measured is None:
            return Verdict(str(request.model["name"]), self.name, Outcome.INCONCLUSIVE, (), (reason,), begun.facts)
        outcome, reasons = decide(measured)
        strict, strict_reasons = decide(measured, strongest=True)
        facts = begun.facts | {"probe": PROBES[request.preset], "verdict_strongest_baseline": str(strict)}
        reasons += (f"against the strongest baseline: {strict}", *(f"  {line}" for line in strict_reasons))
        return Verdict(str(request.model["name"]), self.name, outcome, tuple(_evidence(measured)), reasons, facts)


def measure(traces: Sequence[Trace], preset: str, *, seed: int = 0) -> list[AtOffset]:
    """The probe and what it must beat at each offset; `preset` names the probe.

    Raises:
        InputError: samples that are too few or too short for the splits, or scores without variation.
    """
    correlations = cca_by_offset(cca_samples(traces), OFFSETS, seed=seed)
    return [_at_offset(traces, cca, preset, seed) for cca in correlations.offsets]


def _at_offset(traces: Sequence[Trace], cca: OffsetCCA, preset: str, seed: int) -> AtOffset:
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
    return AtOffset(cca, compare({PROBE: probe, **baselines}, data, seed=seed), ahead)


def decide(measured: Sequence[AtOffset], *, strongest: bool = False) -> tuple[Outcome, tuple[str, ...]]:
    """Apply the criteria of the module's docstring, against persistence or the strongest baseline; the first of `measured` is at k = 1."""
    found: list[tuple[str, bool | None]] = []
    refutes: dict[str, bool] = {}
    for at in measured:
        k, name = at.cca.offset, at.strongest if strongest else PERSISTENCE
        probe, baseline = auprc_of(at.reports[PROBE]), auprc_of(at.reports[name])
        found.append((f"k = {k}: the probe's AUPRC {probe} lies wholly above that of {name} {baseline}", wholly_above(probe, baseline)))
        if not refutes:
            refutes[f"k = {k}: the probe's AUPRC {probe} is not above that of {name} {baseline}"] = probe.estimate <= baseline.estimate
    outcome = decided([met for _, met in found], any(refutes.values()))
    return outcome, tuple(told(text, met) for text, met in (*found, *refutes.items()))


def _evidence(measured: Sequence[AtOffset]) -> list[Evidence]:
    rows = []
    for at in measured:
        k = at.cca.offset
        rows += auprc_evidence(at.reports, k)
        rows += [Evidence(auprc_name(k, f"{PROBE} less {name}, paired"), difference, 0.0) for name, difference in at.ahead.items()]
        null = at.cca.null_held_out.means[1].estimate
        rows.append(Evidence(correlation_name(1, k, "held out"), at.cca.held_out.means[1], null))
        for name, found in (("of scores with scores", at.cca.persistence), ("scores at n regressed out", at.cca.partial)):
            if found is not None:
                rows.append(Evidence(correlation_name(1, k, f"held out, {name}"), found.means[1]))
    return rows
