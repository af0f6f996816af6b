"""Claim 3, correlation: the final hidden state tells the retrieval heads of its step and of later ones (paper, 3.4; Figure 4, Table 2).

Supported if at each k of 0, 1 and 2 the top canonical correlation on held-out samples lies wholly above its null (its lower end above the
null's upper end), and the probe's AUPRC wholly above those of the base rate and of a probe fitted on shuffled labels. Refuted if at k = 0
any of the three does not. Anything between is inconclusive, and so are fewer than 20 samples with a retrieving step, or samples
that do not carry the measurement (too few or too short, the reason is given).

The null pairs hidden states with another sample's scores at the same step, 20 times; its interval is the 95 % range over those. The
paper shows correlations in sample and has neither null nor baselines. The criteria were fixed before any result was seen (DEFINITIONS, last
section).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mechdyn.claims.claim import NO_TRACES, Evidence, Outcome, Plan, Request, Verdict
from mechdyn.claims.paper_values import FIGURE_4_TOP_1, TABLE_2
from mechdyn.claims.probing import (
    PROBES,
    ROLE,
    attempt,
    auprc_evidence,
    auprc_of,
    cca_samples,
    decided,
    outline,
    probing_plan,
    told,
    training_device,
    wholly_above,
)
from mechdyn.probes.baselines import BaseRate, Persistence, StepRate, linear_probe, shuffled_probe
from mechdyn.probes.dataset import probe_data
from mechdyn.probes.fit import fit_probe
from mechdyn.probes.report import ClassifierReport, Report, compare
from mechdyn.stats.cca_offsets import TOPS, OffsetCCA, cca_by_offset
from mechdyn.traces.trace import Trace

OFFSETS = (0, 1, 2)
PROBE, BASE_RATE, SHUFFLED = "probe", "base rate", "shuffled labels"


@dataclass(frozen=True)
class AtOffset:
    """What was measured at one offset."""

    cca: OffsetCCA
    reports: Mapping[str, Report]

    def criteria(self) -> dict[str, bool | None]:
        """The three criteria in words, with what came of them."""
        k = self.cca.offset
        top, null = self.cca.held_out.means[1], self.cca.null_held_out.means[1]
        areas = {name: auprc_of(report) for name, report in self.reports.items()}
        found = {f"k = {k}: held-out top correlation {top} lies wholly above its null {null}": wholly_above(top, null)}
        for name in (BASE_RATE, SHUFFLED):
            text = f"k = {k}: the probe's AUPRC {areas[PROBE]} lies wholly above that of {name} {areas[name]}"
            found[text] = wholly_above(areas[PROBE], areas[name])
        return found


@dataclass(frozen=True)
class Correlation:
    """The claim, its plan and its judge."""

    name: str = "correlation"

    def plan(self, request: Request, traces: Mapping[str, Sequence[Trace]] = NO_TRACES) -> Plan:
        """Role `evaluation`: clean needle samples, which the judge splits by sample."""
        return probing_plan(request)

    def judge(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> Verdict:
        """Evidence is Figure 4 and Table 2 at k of 0, 1 and 2, with nulls, held-out samples and baselines."""
        begun = outline(traces[ROLE])
        measured, reason = attempt(begun, partial(measure, preset=PROBES[request.preset], seed=request.seed))
        if measured is None:
            return Verdict(str(request.model["name"]), self.name, Outcome.INCONCLUSIVE, (), (reason,), begun.facts)
        outcome, reasons = decide(measured)
        facts = begun.facts | {"probe": PROBES[request.preset], "components": [at.cca.n_components for at in measured]}
        return Verdict(str(request.model["name"]), self.name, outcome, tuple(_evidence(measured)), reasons, facts)


def measure(traces: Sequence[Trace], preset: str, *, seed: int = 0) -> list[AtOffset]:
    """Correlations and probes at each offset; `preset` names the probe.

    Raises:
        InputError: samples that are too few or too short for the splits, or scores without variation.
    """
    correlations = cca_by_offset(cca_samples(traces), OFFSETS, seed=seed)
    return [AtOffset(cca, probe_reports(traces, cca.offset, preset, seed=seed)) for cca in correlations.offsets]


def probe_reports(traces: Sequence[Trace], offset: int, preset: str, *, seed: int = 0) -> dict[str, Report]:
    """The probe of one offset beside its baselines, on the same test samples."""
    data, device = probe_data(traces, offset, seed=seed), training_device(preset)
    predictors = {
        PROBE: fit_probe(data, preset, seed=seed, device=device, describe=f"probe, k = {offset}"),
        "logistic regression": linear_probe(data, seed=seed),
        BASE_RATE: BaseRate.of(data),
        SHUFFLED: shuffled_probe(data, preset, seed=seed, device=device),
        "rate of the step": StepRate.of(data),
        "persistence": Persistence.of(data),
    }
    return compare(predictors, data, seed=seed)


def decide(measured: Sequence[AtOffset]) -> tuple[Outcome, tuple[str, ...]]:
    """Apply the criteria of the module's docstring; the first of `measured` is at k = 0."""
    criteria = [at.criteria() for at in measured]
    refutes = any(met is False for met in criteria[0].values())
    outcome = decided([met for found in criteria for met in found.values()], refutes)
    return outcome, tuple(told(text, met) for found in criteria for text, met in found.items())


def _evidence(measured: Sequence[AtOffset]) -> list[Evidence]:
    rows = []
    for at in measured:
        k = at.cca.offset
        for top in TOPS:
            name = "top correlation" if top == 1 else f"mean of the top {top}"
            note = f"paper: {FIGURE_4_TOP_1[k]}" if top == 1 and k in FIGURE_4_TOP_1 else ""
            null, null_held_out = at.cca.null_in_sample.means[top].estimate, at.cca.null_held_out.means[top].estimate
            rows.append(Evidence(f"{name}, k = {k}, in sample", at.cca.in_sample.means[top], null, note))
            rows.append(Evidence(f"{name}, k = {k}, held out", at.cca.held_out.means[top], null_held_out))
        rows += auprc_evidence(at.reports, k)
        report = at.reports[PROBE]
        if k == 0 and isinstance(report, ClassifierReport):
            rows += _table_2(report, at.reports[BASE_RATE])
    return rows


def _table_2(probe: ClassifierReport, base_rate: Report) -> list[Evidence]:
    """The other columns of Table 2; the null is what the base rate reaches at its own threshold."""
    rows = []
    for name in ("f1", "precision", "recall"):
        values = [getattr(row, name) for row in TABLE_2.values()]
        note = f"paper: {min(values):.2f} to {max(values):.2f}"
        rows.append(Evidence(f"{name}, k = 0: {PROBE}", getattr(probe, name), getattr(base_rate, name).estimate, note))
    return rows
