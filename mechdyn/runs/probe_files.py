"""What the scripts of Figure 4 and Tables 2 and 3 leave in a run's folder, read back."""

from collections.abc import Mapping
from typing import Any

from mechdyn.probes.report import ClassifierReport, RegressorReport, Report
from mechdyn.stats.cca_offsets import CCAResult, Correlations, OffsetCCA
from mechdyn.stats.resampling import Interval

FIGURE_4 = "figure_4.json"
REPORT = "report.json"


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
