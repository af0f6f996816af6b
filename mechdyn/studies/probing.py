"""What the claims about hidden states share: the samples, and how areas and correlations are told."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mechdyn.errors import InputError
from mechdyn.evidence import MIN_RETRIEVING_SAMPLES, Evidence
from mechdyn.plans import EVALUATION, Plan, Preset, Request, chosen_preset, task_units
from mechdyn.probes.report import ClassifierReport, Report
from mechdyn.stats.cca import Block
from mechdyn.stats.cca_offsets import Correlations
from mechdyn.stats.interval import Interval
from mechdyn.tensors import torch
from mechdyn.traces.trace import Trace

Measured = TypeVar("Measured")
ROLE = "evaluation"
AUPRC, TOP_CORRELATION = "AUPRC", "top correlation"
"""What evidence calls an average precision and the leading canonical correlation."""
PRESETS = {
    "quick": Preset((256,), n_seeds=40),
    "standard": Preset((256, 512, 1024), n_seeds=40),
    "paper": Preset((1000, 2000, 3000, 4000, 5000), n_seeds=40),
}
"""Two hundred samples a length: the tenth of them that tests a probe still gives an interval. The paper states no number."""
PROBES = {"quick": "auto", "standard": "auto", "paper": "paper"}


def probing_plan(request: Request) -> Plan:
    """One role, clean samples; both claims name the same units."""
    preset = chosen_preset(PRESETS, request)
    return Plan({ROLE: task_units(request, preset, EVALUATION, n_parts=1)})


@dataclass(frozen=True, eq=False)
class Outline:
    """What both judges begin with: the traces that did not fail and have a step, or why they carry no verdict."""

    traces: Sequence[Trace]
    reason: str
    facts: dict[str, Any]


def outline(traces: Sequence[Trace]) -> Outline:
    """Leave failed traces out and count; `reason` is empty where enough samples retrieve."""
    kept = [trace for trace in traces if trace.stopped != "error" and trace.n_steps]
    n_retrieving = sum(bool(trace.retrieving_steps.any()) for trace in kept)
    reason = (
        ""
        if n_retrieving >= MIN_RETRIEVING_SAMPLES
        else f"{n_retrieving} samples retrieve at any step; {MIN_RETRIEVING_SAMPLES} are needed"
    )
    return Outline(kept, reason, {"samples": len(kept), "left_out_samples": len(traces) - len(kept), "retrieving_samples": n_retrieving})


def attempt(begun: Outline, measure: Callable[[Sequence[Trace]], list[Measured]]) -> tuple[list[Measured] | None, str]:
    """Measure, or say why not: too few retrieving samples, or samples that are too few or too short for the splits."""
    if begun.reason:
        return None, begun.reason
    try:
        return measure(begun.traces), ""
    except InputError as error:
        return None, str(error)


def cca_samples(traces: Sequence[Trace]) -> list[tuple[Block, Block]]:
    """Hidden states and retrieval scores of each trace as canonical correlations take them."""
    return [(trace.hidden.numpy(), trace.retrieval_scores.flatten(1).numpy()) for trace in traces]


def training_device(preset: str) -> str:
    """The paper's probe is trained on a GPU where there is one; the small ones give the same bits on every machine's CPU."""
    return "cuda" if preset == "paper" and torch.cuda.is_available() else "cpu"


def auprc_evidence(reports: Mapping[str, Report], offset: int) -> list[Evidence]:
    """The average precision of each predictor at one offset; the null is the base rate's."""
    areas = {name: auprc_of(report) for name, report in reports.items()}
    null = areas["base rate"].estimate
    return [Evidence(AUPRC, area, {"k": offset, "predictor": name}, None if name == "base rate" else null) for name, area in areas.items()]


def correlation_evidence(found: Correlations, top: int, at: Mapping[str, Any], null: float | None = None, note: str = "") -> Evidence:
    """The leading canonical correlation, or the mean of the `top` leading ones; `at` has the offset, and the samples it is of."""
    return Evidence(TOP_CORRELATION if top == 1 else f"mean of the top {top}", found.means[top], at, null, note)


def auprc_of(report: Report) -> Interval:
    """The average precision of a classifier."""
    if not isinstance(report, ClassifierReport):
        raise InputError("average precision is of classifiers, got the report of a regressor; fit on binary targets")
    return report.auprc
