"""`mechdyn modes` from end to end on a control: its six static heads off break the needle in every mode, random ones in none."""

import json

import pytest

from mechdyn.errors import InputError
from mechdyn.heads import heads, read_heads
from mechdyn.runs.configs import ModesConfig
from mechdyn.runs.modes import modes
from mechdyn.runs.read import read_run
from mechdyn.studies.conditions import LISTED, RANDOM_LAYERS
from mechdyn.studies.modes import RANDOM

SMALL = {"model": "planted-static", "lengths": (96,), "depths": (0.5,), "runs": 2, "draws": 2}


@pytest.fixture(scope="module")
def found_here(tmp_path_factory):
    """No heads named: the detection set lists two of the six."""
    return modes(ModesConfig(**SMALL, methods=("zero",), scopes=("decode",)), tmp_path_factory.mktemp("modes") / "found")


@pytest.fixture(scope="module")
def named(found_here, tmp_path_factory):
    listed = f"{found_here.folder / 'static_heads.json'}:top=6:format=mechdyn"
    config = ModesConfig(**SMALL | {"draws": 1}, heads=listed, methods=("zero", "uniform"), scopes=("position", "decode", "all"))
    return modes(config, tmp_path_factory.mktemp("modes") / "named")


def test_all_modes_of_the_planted_heads_break_it(named):
    assert named.table.clean.estimate == 1.0 and len(named.table.rows) == 18
    for row in named.table.rows:
        assert row.quality.estimate == (0.0 if row.condition == LISTED else 1.0), (row.mode, row.condition)
        assert row.quality.n == 2


def test_results_tell_the_lists_and_what_a_leak_would_be(named):
    results = json.loads((named.folder / "results.json").read_text())
    lists, listed = results["lists"], heads(results["lists"]["listed"])
    assert len(listed) == 6
    for control in (RANDOM, RANDOM_LAYERS):
        assert [draw["shared"] for draw in lists[control]] == [0]
        assert all(not heads(draw["heads"]) & listed and len(draw["heads"]) == 6 for draw in lists[control])
    assert lists["were_the_listed_not_excluded"]["expected_shared"] == pytest.approx(36 / 32)
    assert len({(row["method"], row["scope"]) for row in results["rows"]}) == 6


def test_heads_are_found_where_none_are_named(found_here):
    ranking = read_heads(found_here.folder / "static_heads.json")
    assert found_here.lists.listed == ranking.top(2)
    assert ranking.scores[5] > 0.5 > ranking.scores[6]


def test_a_report_reads_it_again(found_here):
    assert read_run(found_here.folder).content.table == found_here.table


BAD = {
    "unknown method": ({"methods": ("mask",)}, "ablation method must be one of zero, mean, resample, uniform, got 'mask'"),
    "unknown scope": ({"scopes": ("prompt",)}, "ablation scope must be one of position, decode, all, got 'prompt'"),
    "no others left": ({"heads": " ".join(f"L{layer}H{head}" for layer in range(2) for head in range(9))}, "18 random heads are wanted"),
    "no such head": ({"heads": "L7H0"}, "head L7H0 is outside a model of 2 layers"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_and_leaves_nothing(tmp_path, case):
    more, message = BAD[case]
    with pytest.raises(InputError, match=message):
        modes(ModesConfig(**SMALL, **more), tmp_path / "run")
    assert not (tmp_path / "run").exists()
