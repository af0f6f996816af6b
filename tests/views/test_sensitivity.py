"""The sensitivity figure shows every setting, mark the reference and leave what was not run blank."""

import numpy as np
import pytest

from mechdyn.claims.dynamism_evidence import CONSECUTIVE, EXPLAINED, HEADS, LOSS, RELIABILITY, TURNOVER
from mechdyn.claims.sensitivity import SensitivityCell
from mechdyn.errors import InputError
from mechdyn.evidence import LESS, Evidence, Outcome, Verdict
from mechdyn.stats.interval import Interval
from mechdyn.views.sensitivity import sensitivity_figure


def cell(sink, local, threshold, outcome, explained=0.5):
    excess = (TURNOVER, {"between": CONSECUTIVE, LESS: LOSS}, 0.25)
    measured = ((EXPLAINED, {}, explained), excess, (RELIABILITY, {}, 0.75), (HEADS, {}, 3.0))
    evidence = tuple(Evidence(measure, Interval(value, value, value, 40), at) for measure, at, value in measured)
    verdict = Verdict("m", "dynamism", outcome, evidence, notes=("it is",))
    return SensitivityCell(sink, local, threshold, verdict)


CELLS = (
    cell(4, 32, 0.5, Outcome.SUPPORTED),
    cell(4, 128, 0.5, Outcome.REFUTED, explained=0.125),
    cell(16, 32, 0.5, Outcome.INCONCLUSIVE),
    cell(4, 32, 0.7, Outcome.SUPPORTED),
)


@pytest.mark.parametrize("dark", [False, True])
def test_the_figure_has_a_panel_a_threshold(dark):
    figure = sensitivity_figure(CELLS, title="m", dark=dark)
    first, second = (trace for trace in figure.data if trace.type == "heatmap")
    np.testing.assert_array_equal(np.asarray(first.z, dtype=float), [[2, 0], [1, np.nan]])
    np.testing.assert_array_equal(np.asarray(second.z, dtype=float), [[2, np.nan], [np.nan, np.nan]])
    labels = [trace for trace in figure.data if trace.type == "scatter"]
    assert [len(row.text) for row in labels] == [3, 1]
    assert labels[0].text[1].split("<br>") == ["0.12", "0.25", "0.75"]
    (frame,) = figure.layout.shapes
    assert (frame.x0, frame.x1, frame.y0, frame.y1) == (-0.5, 0.5, -0.5, 0.5)


def test_what_was_not_measured_is_told():
    bare = SensitivityCell(4, 32, 0.5, Verdict("m", "dynamism", Outcome.INCONCLUSIVE, notes=("none",)))
    labels = [trace for trace in sensitivity_figure([bare]).data if trace.type == "scatter"]
    assert labels[0].text[0] == "–<br>–<br>–"


def test_no_cell_is_one_line():
    with pytest.raises(InputError, match="a sensitivity grid needs at least one cell, got none"):
        sensitivity_figure([])
