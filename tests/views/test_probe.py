"""Figures of probes show what was measured, and nothing where nothing was."""

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from mechdyn.errors import InputError
from mechdyn.evidence import Evidence, Outcome, Verdict
from mechdyn.probes.baselines import BaseRate, StepRate
from mechdyn.probes.dataset import probe_data
from mechdyn.probes.report import auprc_by_head, r2_by_head
from mechdyn.stats.cca_offsets import cca_by_offset
from mechdyn.stats.interval import Interval
from mechdyn.views.probe import by_head, calibration, correlations, probe_figures, verdict_curves
from tests.probes.made_up import HEADS, LAYERS, planted_traces, random_traces
from tests.views.made_up import subtitle


@pytest.fixture(scope="module")
def data():
    return probe_data(random_traces(40))


@pytest.fixture(scope="module")
def predictors(data):
    return {"rate of the step": StepRate.of(data), "base rate": BaseRate.of(data)}


def test_figure_4_has_every_series_at_every_offset():
    traces = planted_traces((0, 1), n_samples=12)
    result = cca_by_offset([(trace.hidden.numpy(), trace.retrieval_scores.flatten(1).numpy()) for trace in traces], (0, 1, 2))
    figures = correlations(result.offsets)
    assert list(figures) == ["top correlation", "mean of the top 10", "mean of the top 50"]
    lines = {trace.name: trace for trace in figures["top correlation"].data if trace.mode == "lines+markers"}
    assert len(lines) == 4
    assert list(lines["in sample"].y) == [at.in_sample.means[1].estimate for at in result.offsets]
    assert list(lines["held out"].y) == [at.held_out.means[1].estimate for at in result.offsets]
    (persistence,) = (line for name, line in lines.items() if "with scores at n + k" in name)
    assert list(persistence.x) == [1, 2]


def test_a_verdicts_evidence_becomes_lines_by_offset():
    def at(measure, value, **place):
        return Evidence(measure, Interval(value, value - 0.1, value + 0.1, 9), place)

    rows = [at("AUPRC", 0.1 * k + value, k=k, predictor=name) for k in (0, 1) for value, name in ((0.5, "probe"), (0.3, "base rate"))]
    rows += [
        at("AUPRC", 0.2, k=1, predictor="probe", less="base rate"),
        at("top correlation", 0.7, k=0, samples="held out"),
        at("top correlation", 0.6, k=1, samples="held out", control="scores at n regressed out"),
        at("f1", 0.1, k=0, predictor="probe"),
        at("AUPRC", 0.9, predictor="probe"),
    ]
    figures = verdict_curves(Verdict("m", "correlation", Outcome.SUPPORTED, tuple(rows)))
    drawn = {key: {line.name: list(line.y) for line in figure.data if line.mode == "lines+markers"} for key, figure in figures.items()}
    assert drawn == {
        "Probe and baselines": {"probe": [0.5, 0.6], "base rate": [0.3, 0.4]},
        "Canonical correlations": {"held out": [0.7], "held out, scores at n regressed out": [0.6]},
    }
    assert verdict_curves(Verdict("m", "correlation", Outcome.INCONCLUSIVE, ())) == {}


def test_each_head_has_its_cell_and_undefined_ones_are_blank(data, predictors):
    figures = probe_figures(predictors, data)
    assert list(figures) == ["rate of the step by head", "Calibration"]
    expected = auprc_by_head(predictors["rate of the step"](data.test), data.test).reshape(LAYERS, HEADS)
    assert np.array_equal(figures["rate of the step by head"].data[0].z, expected)
    blank = by_head(np.array([[0.5, np.nan]]))
    assert "defined for 1 of 2 heads" in subtitle(blank)


def test_regressors_are_shown_by_r2_of_each_head():
    data = probe_data(random_traces(40, binary=False), binary=False)
    step_rate = StepRate.of(data)
    figures = probe_figures({"rate of the step": step_rate}, data)
    expected = r2_score(data.test.target.double(), step_rate(data.test), multioutput="raw_values")
    assert figures["rate of the step by head"].data[0].z.ravel() == pytest.approx(expected)
    data.test.target[:, 3] = 0.5
    assert np.flatnonzero(np.isnan(r2_by_head(step_rate(data.test), data.test))).tolist() == [3]


def test_a_calibrated_prediction_lies_on_the_diagonal():
    generator = torch.Generator().manual_seed(0)
    prediction = torch.rand(5000, 4, generator=generator)
    target = (torch.rand(5000, 4, generator=generator) < prediction).float()
    line = calibration({"probe": prediction}, target).data[1]
    assert np.allclose(line.x, line.y, atol=0.05)
    with pytest.raises(InputError, match=r"probabilities in \[0, 1\], 'probe' predicts others"):
        calibration({"probe": prediction + 1}, target)
    with pytest.raises(InputError, match="at least one predictor, got none"):
        calibration({}, target)
