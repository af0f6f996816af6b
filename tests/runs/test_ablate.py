"""The grid and progressive ablation from end to end on a control with known answers; the same seed gives the same bytes."""

import json

import pytest

from mechdyn.errors import InputError
from mechdyn.heads import heads, read_heads
from mechdyn.reports.sections import sections
from mechdyn.runs.ablate import ablate
from mechdyn.runs.configs import AblateConfig, ProgressiveConfig, TraceConfig
from mechdyn.runs.progressive import progressive
from mechdyn.runs.read import read_run
from mechdyn.runs.trace import trace_one
from mechdyn.studies.conditions import CLEAN, COMMITS, CONDITIONS, DETECTION_ROLE, DYNAMIC, RANDOM_AVERAGE, ZERO, ablation_json, role

SMALL = {"model": "planted-dynamic", "lengths": (128, 140), "depths": (0.5,), "runs": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same grid under two batch sizes, the second of them twice into the same folder."""
    folder = tmp_path_factory.mktemp("runs")
    grids = {size: ablate(AblateConfig(**SMALL, batch_size=size), folder / str(size)) for size in (1, 16)}
    ablate(AblateConfig(**SMALL, batch_size=16), folder / "16")
    return grids


def test_the_planted_heads_are_what_matters(runs):
    rows = {(row.condition, row.commit): row for row in runs[16].rows}
    assert set(rows) == {(CLEAN, None), *((name, commit) for name in CONDITIONS if name != CLEAN for commit in COMMITS)}
    assert all(row.metrics["accuracy"].estimate == (0.0 if name == DYNAMIC else 1.0) for (name, _), row in rows.items())
    assert runs[16].detection.size == 4
    assert rows[RANDOM_AVERAGE, "clean"].heads_off.estimate == 4.0


def test_every_condition_has_every_cell(runs):
    for row in runs[16].rows:
        assert [(cell.length, cell.depth, cell.n) for cell in row.cells] == [(128, 0.5, 1), (140, 0.5, 1)]


def test_the_same_seed_gives_the_same_bytes_for_every_batch_size(runs):
    texts = {(grid.folder / "results.json").read_bytes() for grid in runs.values()}
    assert len(texts) == 1
    ranked = {(grid.folder / "static_heads.json").read_bytes() for grid in runs.values()}
    assert len(ranked) == 1


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mini", "planted-static"])
def test_batch_sizes_agree_on_other_models_too(tmp_path, model):
    config = {"model": model, "lengths": (128, 256), "depths": (0.2, 0.8), "runs": 2}
    grids = [ablate(AblateConfig(**config, batch_size=size), tmp_path / str(size)) for size in (1, 4, 16)]
    assert len({(grid.folder / "results.json").read_bytes() for grid in grids}) == 1


def test_results_hold_together(runs):
    results = json.loads((runs[1].folder / "results.json").read_text())
    assert results["detection_samples"] == results["detection_samples_correct"] == 2
    assert len(results["static_heads"]) == results["average_size"] == 4
    ranked = read_heads(runs[1].folder / "static_heads.json")
    assert ranked.top(4) == heads(results["static_heads"]) and ranked.scores == runs[1].detection.ranking.scores
    assert ranked.statistic == "mean copy_paste score over the steps of correct samples" and (ranked.model, ranked.n) == (SMALL["model"], 2)
    for row in results["conditions"]:
        assert row["samples"] == 2 and row["failed"] == 0
        for metric in row["metrics"]:
            assert metric["n"] == 2 and metric["low"] <= metric["estimate"] <= metric["high"]


def test_samples_are_the_same_in_every_condition(runs):
    traces = runs[16].traces
    keys = {name: [trace.sample for trace in row] for name, row in traces.items()}
    once = {name: list(dict.fromkeys(row)) for name, row in keys.items()}
    assert all(row == keys[CLEAN] for name, row in once.items() if name != DETECTION_ROLE)
    assert not set(keys[DETECTION_ROLE]) & set(keys[CLEAN])
    assert {tuple(trace.tokens.tolist()) for trace in traces[role(RANDOM_AVERAGE, "clean")]} == {
        tuple(trace.tokens.tolist()) for trace in traces[CLEAN]
    }


@pytest.mark.parametrize("method", ["mean", "resample"])
def test_other_methods_take_activations_of_detection_prompts(tmp_path, method):
    config = AblateConfig(model="planted-dynamic", lengths=(128,), depths=(0.5,), runs=1, conditions=(DYNAMIC,), method=method)
    grid = ablate(config, tmp_path / "run")
    assert [row.commit for row in grid.rows] == list(COMMITS)
    recorded = {trace.meta["ablation"]["method"] for trace in grid.traces[role(DYNAMIC, "clean")]}
    assert recorded == {method}


def test_progressive_ablation_finds_where_the_answer_breaks(tmp_path):
    """Each token is served by four heads, and any one of them suffices."""
    found = progressive(ProgressiveConfig(model="planted-dynamic", lengths=(128,), runs=1, masked=(4, 0, 2)), tmp_path / "run")
    for commit in COMMITS:
        points = found.points[commit]
        assert [point.k for point in points] == [0, 2, 4]
        assert [point.quality["accuracy"].estimate for point in points] == [1.0, 1.0, 0.0]
        assert [point.compensated["top 20"].estimate for point in points[:2]] == [0.0, 0.0]
        assert points[1].heads_off.estimate == 2.0
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert [(point["k"], point["commit"]) for point in results["points"]] == [(k, commit) for commit in COMMITS for k in (0, 2, 4)]


BAD = {
    "unknown condition": (AblateConfig(conditions=("magic",)), "conditions must be some of clean, dynamic, static-average, .*, got magic"),
    "unknown method": (AblateConfig(method="mask"), "ablation method must be one of zero, mean, resample, uniform, got 'mask'"),
    "unknown preset": (AblateConfig(preset="huge"), "unknown preset 'huge'; give one of quick, standard, paper"),
    "depth": (AblateConfig(model="planted-dynamic", depths=(0.5, 1.5)), r"depth must lie in \[0, 1\], got 1.5"),
    "too long": (AblateConfig(model="planted-dynamic", lengths=(128, 10**6)), "length 1000000 is beyond the model's context"),
    "too short": (AblateConfig(model="planted-dynamic", lengths=(30, 128)), "length 30 cannot hold the needle"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_grids_are_one_line_and_write_nothing(tmp_path, case):
    config, message = BAD[case]
    with pytest.raises(InputError, match=message):
        ablate(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("masked", [(-1, 2), (0, 33)])
def test_more_heads_than_the_model_has_cannot_be_masked(tmp_path, masked):
    with pytest.raises(InputError, match=r"masked heads must lie between 0 and 32 \(the heads of the model\), got"):
        progressive(ProgressiveConfig(model="planted-dynamic", masked=masked), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_effect_at_one_step_stands_beside_whole_answers(tmp_path):
    """Of planted heads all of the effect is at the step's own token, and other heads have none; a report reads it back."""
    config = AblateConfig(**SMALL, conditions=("clean", DYNAMIC, "random-matched"), lagged=1)
    found = ablate(config, tmp_path / "run")
    rows = {(row.condition, row.lag): row for row in found.effects}
    assert set(rows) == {(DYNAMIC, 0), (DYNAMIC, 1), ("random-matched", 0), ("random-matched", 1)}
    assert rows[DYNAMIC, 0].delta.estimate > 5.0 and rows[DYNAMIC, 0].n_steps > 20
    assert all(abs(row.delta.estimate) < 0.1 for place, row in rows.items() if place != (DYNAMIC, 0))
    results = json.loads((found.folder / "results.json").read_text())
    assert [(row["at"]["condition"], row["at"]["lag"]) for row in results["effects"]] == list(rows)
    again = read_run(found.folder)
    assert again.content.effects == found.effects
    (section,) = sections(again.content, again)
    assert [table.title for table in section.tables][1].endswith("along the clean answers")


def test_effects_with_other_activations_are_refused():
    with pytest.raises(
        InputError,
        match="effects at one step are measured with zero in a head's place at that position, got --method mean --scope position",
    ):
        ablate(AblateConfig(**SMALL, method="mean", lagged=0))


@pytest.mark.parametrize(("scope", "stored", "commits"), [("decode", "position", ("ablated",)), ("all", "all", ("clean",))])
def test_a_scope_runs_under_its_own_commit_rule(tmp_path, scope, stored, commits):
    """The planted heads of each token off, as published masking has them: nothing is answered."""
    config = AblateConfig(
        model="planted-dynamic", lengths=(96,), depths=(0.5,), runs=1, conditions=(CLEAN, DYNAMIC), method="uniform", scope=scope
    )
    grid = ablate(config, tmp_path / "run")
    assert [(row.condition, row.commit) for row in grid.rows] == [(CLEAN, None), *((DYNAMIC, commit) for commit in commits)]
    (trace,) = grid.traces[role(DYNAMIC, commits[0])]
    assert {name: trace.meta["ablation"][name] for name in ("method", "scope", "commit")} == {
        "method": "uniform",
        "scope": stored,
        "commit": commits[0],
    }
    assert [row.metrics["accuracy"].estimate for row in grid.rows] == [1.0, 0.0]


def test_units_of_the_old_modes_are_what_they_were():
    """Their keys are in folders of finished runs."""
    assert ablation_json({"kind": "none"}, ZERO, "clean") == {
        "schedule": {"kind": "none"},
        "method": "zero",
        "scope": "position",
        "commit": "clean",
    }


@pytest.mark.parametrize("method", ["zero", "uniform", "mean"])
def test_one_trace_with_heads_off_in_a_mode(tmp_path, method):
    found = [
        trace_one(TraceConfig(model="planted-static", length=96, off=off, method=method, scope="decode"), tmp_path / str(n))[0]
        for n, off in enumerate(("L1H0 L1H1", "static:heads=L1H0 L1H1"))
    ]
    assert found[0].meta["ablation"]["method"] == method and found[0].meta["ablation"]["commit"] == "ablated"
    assert found[0].unit == found[1].unit and found[0].text == found[1].text
    with pytest.raises(InputError, match=r"--method uniform --scope position says how heads are off; say which with --off"):
        trace_one(TraceConfig(model="planted-static", method="uniform"), tmp_path / "none")
    assert not (tmp_path / "none").exists()
