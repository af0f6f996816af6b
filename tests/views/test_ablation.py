"""Heatmaps and curves of the ablation experiment show what was measured."""

import re

import numpy as np
import pytest

from mechdyn.errors import InputError
from mechdyn.studies.conditions import CLEAN, COMMITS, DETECTION_ROLE, DYNAMIC, MATCHED_CONTROLS, PAPER_CONTROLS, detect, role
from mechdyn.studies.progressive import progressive_point, progressive_role
from mechdyn.views.ablation import ablation_grids, progressive_figures
from tests.studies.made_up import experiment, made_up


@pytest.fixture
def traces():
    return experiment({DYNAMIC: 10}, n=20)


def test_two_figures_a_metric_and_commit_rule(traces):
    figures = ablation_grids(traces, title="a model")
    assert len(figures) == 2 * 2 * 2
    first = figures["accuracy, commit clean: the paper's controls, of average size"]
    names = [re.sub("</?b>|<br>", "", annotation.text) for annotation in first.layout.annotations]  # broken into lines at hyphens
    assert names == [CLEAN, DYNAMIC, *PAPER_CONTROLS]
    second = figures["rouge_l, commit ablated: controls matched to each step"]
    assert [re.sub("</?b>|<br>", "", annotation.text) for annotation in second.layout.annotations][2:] == list(MATCHED_CONTROLS)


def test_a_cell_is_the_mean_of_its_samples_and_failures_are_missing(traces):
    traces[role(DYNAMIC, "clean")][19] = made_up(19, right=False, n_ablated=3, stopped="error")
    figure = ablation_grids(traces)["accuracy, commit clean: the paper's controls, of average size"]
    clean, _, _, dynamic = figure.data[:4]
    np.testing.assert_allclose(clean.z, [[1.0]])
    np.testing.assert_allclose(dynamic.z, [[10 / 19]])
    assert dynamic.customdata.item() == 19


def test_conditions_that_were_not_run_are_left_out(traces):
    figures = ablation_grids({role(DYNAMIC, "clean"): traces[role(DYNAMIC, "clean")]})
    assert [annotation.text for figure in figures.values() for annotation in figure.layout.annotations] == [f"<b>{DYNAMIC}</b>"] * 4


def test_nothing_to_show_is_an_error():
    with pytest.raises(InputError, match="needs the traces of at least one condition"):
        ablation_grids({DETECTION_ROLE: [made_up(0)]})


def test_progressive_figures():
    ranking = detect([made_up(0)]).ranking
    rows = {CLEAN: [made_up(seed) for seed in range(4)]}
    rows |= {progressive_role(2, commit): [made_up(seed, right=seed < 2, n_ablated=2) for seed in range(4)] for commit in COMMITS}
    points = {commit: tuple(progressive_point(k, commit, rows, ranking) for k in (0, 2)) for commit in COMMITS}
    figures = progressive_figures(points, title="a model")
    assert list(figures) == [f"{metric}, commit {commit}" for commit in COMMITS for metric in ("accuracy", "rouge_l")]
    lines = {trace.name: trace for trace in figures["accuracy, commit clean"].data if trace.name}
    assert list(lines["accuracy"].x) == [0, 2] and list(lines["accuracy"].y) == [1.0, 0.5]
