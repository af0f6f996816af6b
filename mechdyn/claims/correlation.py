"""Claim 3, correlation: the final hidden state tells the retrieval heads of its step and of later ones (paper, 3.4; Figure 4, Table 2).

At offset k the hidden state of a step is set beside the retrieval scores of the step k later: canonical correlations tell how far the two
vary together, a probe predicts the scores, and its AUPRC is its average precision. The null of a correlation pairs hidden states with
another sample's scores at the same step, 20 times. The paper shows correlations in sample and has neither null nor baselines.

Second criteria, which give the verdict: five-fold cross-fitting by sample, so that every sample is measured once and by what was fitted on
others; the mean of each step is subtracted from both sides before correlations are fitted. At each k there are four paired differences: the
top correlation less its null, and the probe's AUPRC less that of the base rate, of the rate of the step, and of a probe fitted on shuffled
labels. The probe is ridge regression on the state and on random features of it, under the preset `paper` the paper's network. Supported if
all of them lie wholly above 0 at k of 0, 1 and 2. Refuted if at k = 0 any has its upper end below 0.02.

First criteria, told beside: one split by sample, no step's mean subtracted. Supported if at each k of 0, 1 and 2 the top canonical
correlation on held-out samples lies wholly above its null (its lower end above the upper end of the 95 % range over pairings), and the
probe's AUPRC wholly above those of the base rate and of a probe fitted on shuffled labels. Refuted if at k = 0 any of the three does not.

Under both, anything between is inconclusive, and so are fewer than 20 samples with a retrieving step, or samples that do not carry the
measurement (too few or too short, the reason is given). Either was fixed before any result was seen by it (docs/definitions.md,
"Verdicts").

For questions heads are those of Eq. 2 above its threshold and the criteria are the same; beside them is a regressor (Table 3).
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
    outcome,
)
from mechdyn.paper.parts import NEEDLES, QUESTIONS, PaperPart, claim_parts
from mechdyn.paper.values import FIGURE_4_TOP_1, TABLE_2, TABLE_3
from mechdyn.plans import NO_TRACES, Plan, Request
from mechdyn.probes.baselines import BaseRate, Persistence, StepRate, linear_probe, shuffled_probe
from mechdyn.probes.dataset import ProbeData, probe_data
from mechdyn.probes.fit import fit_probe
from mechdyn.probes.probe import Predictor, Probe
from mechdyn.probes.report import Report, compare
from mechdyn.stats.cca_offsets import TOPS, OffsetCCA, cca_by_offset
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
    shuffled,
)
from mechdyn.studies.probing import (
    AUPRC,
    PROBES,
    ROLE,
    Outline,
    attempt,
    auprc_evidence,
    cca_samples,
    correlation_evidence,
    outline,
    probing_plan,
    training_device,
)
from mechdyn.traces.clusters import trace_clusters
from mechdyn.traces.trace import Trace

OFFSETS = (0, 1, 2)
PROBE, BASE_RATE, STEP_RATE, SHUFFLED = "probe", "base rate", "rate of the step", "shuffled labels"


@dataclass(frozen=True)
class CorrelationAtOffset:
    """What was measured at one offset; `regressors` are of scores that are not 0 or 1, at offset 0."""

    cca: OffsetCCA
    reports: Mapping[str, Report]
    regressors: Mapping[str, Report]

    def compared(self) -> list[tuple[str, str, Demand]]:
        """The three comparisons: what is held against what, and that the first lies wholly above the second."""
        k = self.cca.offset
        place = {"k": k, "samples": "held out"}
        top = correlation_evidence(self.cca.held_out, 1, place, self.cca.null_held_out.means[1].estimate)
        null = correlation_evidence(self.cca.null_held_out, 1, {**place, "samples": "its null"})
        areas = {row.at["predictor"]: row for row in auprc_evidence(self.reports, k)}
        found = [(f"k = {k}: held-out top correlation {top.interval}", f"its null {null.interval}", Demand(top, Side.ABOVE, null))]
        for name in (BASE_RATE, SHUFFLED):
            what, other = f"k = {k}: the probe's AUPRC {areas[PROBE].interval}", f"that of {name} {areas[name].interval}"
            found.append((what, other, Demand(areas[PROBE], Side.ABOVE, areas[name])))
        return found


@claim
@dataclass(frozen=True)
class Correlation:
    """The claim, its plan and its judge."""

    name: str = "correlation"
    paper: str = "3.4, Figures 4 and 8, Tables 2 and 3"
    parts: tuple[PaperPart, ...] = claim_parts("correlation", "Section 3.4, a verdict", "Section 4, a verdict")
    named: ClassVar[str] = SECOND

    @property
    def margins(self) -> Mapping[str, float]:
        """What the criteria are put to, by what it bounds."""
        return crossed_margins(0)

    def main_quantity(self, verdict: Verdict) -> Evidence | None:
        """What the probe's AUPRC gains over the rate of the step at k = 0."""
        return verdict.find(AUPRC, **{"k": 0, "predictor": PROBE, LESS: STEP_RATE})

    def plan(self, request: Request, traces: Mapping[str, Sequence[Trace]] = NO_TRACES) -> Plan:
        """Role `evaluation`: clean samples, which the judge splits by sample."""
        return probing_plan(request)

    def judge(self, request: Request, traces: Mapping[str, Sequence[Trace]]) -> Verdict:
        """Evidence is what the second criteria compare; beside it stand Figure 4 and Table 2 with nulls and baselines, under the first."""
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
        return replace(
            empty,
            outcome=outcome(supports, refutes),
            evidence=tuple(_evidence(measured, request.task.paper)),
            supports=supports,
            refutes=refutes,
            facts=begun.facts | {"probe": PROBES[request.preset], "components": [at.cca.n_components for at in measured]},
        )


def measure_crossed(traces: Sequence[Trace], preset: str, *, seed: int = 0) -> list[CrossFittedAt]:
    """What the second criteria ask for at each offset; `preset` names the probe.

    Raises:
        InputError: samples that are too few or too short for the folds, or scores without variation.
    """

    def fit(data: ProbeData) -> dict[str, Predictor]:
        return {
            PROBE: probe_of(data, preset, seed=seed),
            BASE_RATE: BaseRate.of(data),
            STEP_RATE: StepRate.of(data),
            SHUFFLED: shuffled(data, preset, seed=seed),
        }

    return each_offset(OFFSETS, traces, fit, seed=seed)


def second_criteria(measured: Sequence[CrossFittedAt]) -> tuple[Criteria, Criteria]:
    """The second criteria of the module's docstring, that support and that refute; the first of `measured` is at k = 0."""
    found = [differences(at, (BASE_RATE, STEP_RATE, SHUFFLED)) for at in measured]
    supports = [lies_above_zero(what, difference) for at in found for what, difference in at.items()]
    return tuple(supports), tuple(is_small(what, difference) for what, difference in found[0].items())


def measure(traces: Sequence[Trace], preset: str, *, seed: int = 0) -> list[CorrelationAtOffset]:
    """What the first criteria ask for: correlations and probes at each offset; `preset` names the probe.

    Raises:
        InputError: samples that are too few or too short for the splits, or scores without variation.
    """
    graded = any(not bool(((trace.retrieval_scores == 0) | (trace.retrieval_scores == 1)).all()) for trace in traces)
    found = []
    for cca in cca_by_offset(cca_samples(traces), OFFSETS, clusters=trace_clusters(traces), seed=seed).offsets:
        kinds = (True, False) if graded and cca.offset == 0 else (True,)
        data = [probe_data(traces, cca.offset, binary=binary, seed=seed) for binary in kinds]
        reports = [compare(predictors(each, preset, seed=seed), each, seed=seed) for each in data]
        found.append(CorrelationAtOffset(cca, reports[0], reports[1] if len(reports) > 1 else {}))
    return found


def predictors(data: ProbeData, preset: str, *, seed: int = 0) -> dict[str, Predictor]:
    """The probe and its baselines, fitted on the same data."""
    return {PROBE: fitted_probe(data, preset, seed=seed), **baselines(data, preset, seed=seed)}


def fitted_probe(data: ProbeData, preset: str, *, seed: int = 0) -> Probe:
    """The probe alone."""
    return fit_probe(data, preset, seed=seed, device=training_device(preset), describe=f"probe, k = {data.offset}")


def baselines(data: ProbeData, preset: str, *, seed: int = 0) -> dict[str, Predictor]:
    """What the probe is compared with; the two that the criteria name among them."""
    return {
        "logistic regression" if data.binary else "ridge regression": linear_probe(data, seed=seed),
        BASE_RATE: BaseRate.of(data),
        SHUFFLED: shuffled_probe(data, preset, seed=seed, device=training_device(preset)),
        STEP_RATE: StepRate.of(data),
        "persistence": Persistence.of(data),
    }


def criteria(measured: Sequence[CorrelationAtOffset]) -> tuple[Criteria, Criteria]:
    """The first criteria of the module's docstring, that support and that refute; the first of `measured` is at k = 0."""
    supports = [Criterion.asking(f"{what} lies wholly above {other}", asked) for at in measured for what, other, asked in at.compared()]
    refutes = [
        Criterion.asking(f"{what} does not lie wholly above {other}", replace(asked, negated=True))
        for what, other, asked in measured[0].compared()
    ]
    return tuple(supports), tuple(refutes)


def _evidence(measured: Sequence[CorrelationAtOffset], kind: str) -> list[Evidence]:
    """The paper's values are noted where they are of this kind of task; for questions it draws Figure 8 and prints Table 3."""
    rows = []
    for at in measured:
        k = at.cca.offset
        for top in TOPS:
            paper = {"model not named": FIGURE_4_TOP_1[k]} if kind == NEEDLES and top == 1 else {}
            note = f"paper: {FIGURE_4_TOP_1[k]}" if paper else ""
            null, null_held_out = at.cca.null_in_sample.means[top].estimate, at.cca.null_held_out.means[top].estimate
            in_sample = correlation_evidence(at.cca.in_sample, top, {"k": k, "samples": "in sample"}, null, note)
            rows.append(replace(in_sample, paper=paper))
            rows.append(correlation_evidence(at.cca.held_out, top, {"k": k, "samples": "held out"}, null_held_out))
        areas = {name: row.auprc for name, row in TABLE_2.items()} if kind == NEEDLES and k == 0 else {}
        rows += [replace(row, paper=areas) if row.at["predictor"] == PROBE else row for row in auprc_evidence(at.reports, k)]
        if k == 0:
            rows += _beside(at.reports, ("f1", "precision", "recall"), TABLE_2 if kind == NEEDLES else {})
        if at.regressors:
            rows += _beside(at.regressors, ("mse", "mae", "r2"), TABLE_3 if kind == QUESTIONS else {})
    return rows


def _beside(reports: Mapping[str, Report], metrics: Sequence[str], paper: Mapping[str, object]) -> list[Evidence]:
    """The probe's other metrics at k = 0; the null is what the base rate reaches, a classifier's at its own threshold."""
    rows = []
    for name in metrics:
        values = {model: float(getattr(row, name)) for model, row in paper.items()}
        note = f"paper: {min(values.values()):.3g} to {max(values.values()):.3g}" if values else ""
        null = getattr(reports[BASE_RATE], name).estimate
        rows.append(Evidence(name, getattr(reports[PROBE], name), {"k": 0, "predictor": PROBE}, null, note, values))
    return rows
