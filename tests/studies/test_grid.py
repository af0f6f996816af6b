"""Rows and cells of the grid against sums by hand."""

import dataclasses
import json

import pytest

from mechdyn.studies.conditions import CLEAN, COMMITS, DETECTION_ROLE, DYNAMIC, RANDOM_FIXED, role
from mechdyn.studies.grid import cell_of, cells_frame, conditions_frame, grid_rows, mean_quality
from tests.studies.made_up import made_up


def rows_of(condition, commit):
    cells = [(256, 0.1), (256, 0.1), (256, 0.9), (512, 0.1), (512, 0.9), (512, 0.9)]
    size = None if condition == CLEAN else 2
    return [made_up(index, right=index % 2 == 0, n_ablated=size, length=length, depth=depth) for index, (length, depth) in enumerate(cells)]


@pytest.fixture
def traces():
    return {DETECTION_ROLE: [made_up(0)], **{role(name, commit): rows_of(name, commit) for name in (CLEAN, DYNAMIC) for commit in COMMITS}}


def test_a_row_for_each_condition_and_commit_rule_that_was_run(traces):
    assert [(row.condition, row.commit) for row in grid_rows(traces)] == [(CLEAN, None), (DYNAMIC, "clean"), (DYNAMIC, "ablated")]
    assert grid_rows({role(RANDOM_FIXED, "ablated"): rows_of(RANDOM_FIXED, "ablated")})[0].commit == "ablated"


def test_cells_are_means_of_their_samples(traces):
    clean, dynamic, _ = grid_rows(traces)
    found = {(cell.length, cell.depth): (cell.n, cell.means["accuracy"]) for cell in clean.cells}
    assert found == {(256, 0.1): (2, 0.5), (256, 0.9): (1, 1.0), (512, 0.1): (1, 0.0), (512, 0.9): (2, 0.5)}
    assert clean.metrics["accuracy"].estimate == 0.5
    assert (clean.heads_off.estimate, dynamic.heads_off.estimate) == (0.0, 2.0)


def test_samples_whose_place_is_drawn_fall_into_bins(traces):
    def cell(task, length, depth):
        return cell_of(dataclasses.replace(made_up(0, length=length, depth=depth), task=task))

    assert cell("niah", 300, 0.33) == (300, 0.33)
    assert [cell("world", 300, depth) for depth in (0.0, 0.2, 0.5, 0.999, 1.0)] == [(300, middle) for middle in (0.1, 0.3, 0.5, 0.9, 0.9)]
    assert [cell("hotpotqa", length, 0.5)[0] for length in (1, 256, 257, 1500)] == [256, 256, 512, 1536]


def test_failed_generations_are_counted_and_have_no_say(traces):
    traces[CLEAN][2] = made_up(2, stopped="error", depth=0.9)
    (clean, *_) = grid_rows(traces)
    assert (clean.n_samples, clean.n_failed, clean.metrics["accuracy"].n) == (6, 1, 5)
    assert clean.metrics["accuracy"].estimate == pytest.approx(2 / 5)
    (empty,) = [cell.as_json() for cell in clean.cells if cell.n == 0]
    assert (empty["length"], empty["depth"], empty["accuracy"], empty["rouge_l"]) == (256, 0.9, None, None)
    json.dumps([row.as_json() for row in grid_rows(traces)], allow_nan=False)


def test_the_frame_of_cells_has_a_row_a_condition_commit_length_depth_and_metric(traces):
    traces[CLEAN][2] = made_up(2, stopped="error", depth=0.9)
    rows = grid_rows(traces)
    frame = cells_frame(rows)
    assert list(frame.columns) == ["condition", "commit", "length", "depth", "metric", "mean", "n"]
    assert len(frame) == 3 * 4 * 2 and not frame.duplicated(["condition", "commit", "length", "depth", "metric"]).any()
    for row in rows:
        for cell in row.cells:
            same_commit = frame.commit.isna() if row.commit is None else frame.commit == row.commit
            found = frame[(frame.condition == row.condition) & same_commit & (frame.length == cell.length) & (frame.depth == cell.depth)]
            assert dict(zip(found.metric, found["mean"], strict=True)) == pytest.approx(cell.means, nan_ok=True)
            assert set(found.n) == {cell.n}
    # Means of cells, weighted by their generations, are the mean over all.
    accuracy = frame[(frame.condition == DYNAMIC) & (frame.commit == "clean") & (frame.metric == "accuracy")]
    assert (accuracy["mean"] * accuracy.n).sum() / accuracy.n.sum() == pytest.approx(rows[1].metrics["accuracy"].estimate)


def test_the_frame_of_conditions_holds_the_intervals(traces):
    frame = conditions_frame(grid_rows(traces))
    assert list(frame.columns) == ["condition", "commit", "metric", "estimate", "low", "high", "n", "method"]
    off = frame[frame.metric == "heads off per step"]
    assert list(off.condition) == [CLEAN, DYNAMIC, DYNAMIC] and list(off.estimate) == [0.0, 2.0, 2.0]
    accuracy = frame[(frame.condition == CLEAN) & (frame.metric == "accuracy")].iloc[0]
    assert accuracy.low < accuracy.estimate == 0.5 < accuracy.high and accuracy.n == 6


def test_mean_quality_names_the_primary_metric_first(traces):
    assert list(mean_quality(traces[CLEAN])) == ["accuracy", "rouge_l"]
