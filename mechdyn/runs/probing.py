"""What is measured on the traces of the claim about correlation beside its verdict: Figures 4 and 8, Tables 2 and 3."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mechdyn.claims.correlation import PROBE, baselines, fitted_probe
from mechdyn.errors import InputError
from mechdyn.paper.parts import NEEDLES
from mechdyn.probes.dataset import ProbeData, probe_data
from mechdyn.probes.fit import TRAINING
from mechdyn.probes.probe import Predictor
from mechdyn.probes.report import ClassifierReport, RegressorReport, Report, compare
from mechdyn.probes.storage import save_probe
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.folder import write_json
from mechdyn.runs.verify import trace_claim
from mechdyn.scores.score import as_score
from mechdyn.stats.cca_offsets import CCAResult, Correlations, OffsetCCA, cca_by_offset
from mechdyn.stats.interval import Interval
from mechdyn.studies.probing import PROBES, ROLE, cca_samples, outline
from mechdyn.traces.clusters import trace_clusters

CORRELATIONS_FILE, REPORT = "figure_4.json", "report.json"


@dataclass(frozen=True, eq=False)
class Correlated:
    """Canonical correlations by offset."""

    result: CCAResult
    n_samples: int
    on_needles: bool
    """Whether the task is one of those for which the paper prints values."""
    folder: Path


@dataclass(frozen=True, eq=False)
class Probed:
    """A probe and its baselines with what each reached on the test samples; `folder` holds the probe, `size` names it."""

    predictors: Mapping[str, Predictor]
    reports: Mapping[str, Report]
    rows: ProbeData
    size: str
    folder: Path


def correlations(config: VerifyConfig, out: str | Path | None = None, *, last_offset: int = 10) -> Correlated:
    """Correlations at every offset from 0 on; the run is that of `verify correlation`, whose folder gets `figure_4.json`."""
    traced = trace_claim(config, out)
    begun = outline(traced.traces[ROLE])
    offsets, clusters = tuple(range(last_offset + 1)), trace_clusters(begun.traces)
    result = cca_by_offset(cca_samples(begun.traces), offsets, clusters=clusters, seed=config.seed)
    write_json(traced.folder / CORRELATIONS_FILE, asdict(result))
    return Correlated(result, begun.facts["samples"], traced.request.task.paper == NEEDLES, traced.folder)


def fit_probes(config: VerifyConfig, out: str | Path | None = None, *, offset: int = 0, probe: str | None = None) -> Probed:
    """A classifier where scores are 0 or 1 (Table 2), else a regressor of the scores (Table 3), beside its baselines.

    Args:
        config: that of `verify correlation`, on whose traces the probe is fitted.
        out: the run's folder; the probe goes into a folder within it.
        offset: steps ahead.
        probe: paper, auto or linear; the preset's own when left out.
    """
    if probe is not None and probe not in TRAINING:
        raise InputError(f"probe size must be one of {', '.join(TRAINING)}, got {probe!r}")
    traced = trace_claim(config, out)
    binary = as_score(config.score or traced.request.task.score).binary
    rows = probe_data(outline(traced.traces[ROLE]).traces, offset, binary=binary, seed=config.seed)
    size = probe or PROBES[config.preset]
    fitted = fitted_probe(rows, size, seed=config.seed)
    predictors = {PROBE: fitted, **baselines(rows, size, seed=config.seed)}
    reports = compare(predictors, rows, seed=config.seed)
    folder = save_probe(fitted, traced.folder / f"probe-{size}-k{offset}")
    write_json(folder / REPORT, {name: asdict(report) for name, report in reports.items()})
    return Probed(predictors, reports, rows, size, folder)


def read_reports(values: Mapping[str, Any]) -> dict[str, Report]:
    """Each predictor's report."""
    return {name: _report(row) for name, row in values.items()}


def read_correlations(values: Mapping[str, Any]) -> CCAResult:
    """Correlations by offset."""
    return CCAResult(**{**values, "offsets": tuple(map(_offset, values["offsets"]))})


def _report(row: Mapping[str, Any]) -> Report:
    numbers: dict[str, Any] = {name: Interval.from_json(value) if isinstance(value, Mapping) else value for name, value in row.items()}
    return ClassifierReport(**numbers) if "auprc" in numbers else RegressorReport(**numbers)


def _offset(row: Mapping[str, Any]) -> OffsetCCA:
    sides: dict[str, Any] = {name: _correlations(value) if isinstance(value, Mapping) else value for name, value in row.items()}
    return OffsetCCA(**sides)


def _correlations(row: Mapping[str, Any]) -> Correlations:
    means = {int(top): Interval.from_json(value) for top, value in row["means"].items()}
    return Correlations(tuple(map(Interval.from_json, row["components"])), means)
