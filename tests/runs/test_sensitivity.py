"""The sensitivity grid end to end on the bundled model: stored scores judged again equal a run at that threshold."""

import dataclasses
import json

import pytest
import torch

from mechdyn.claims.sensitivity import at_threshold, window_plan
from mechdyn.decoding.engines import make_engine
from mechdyn.errors import InputError
from mechdyn.models.load import load_model
from mechdyn.runs.configs import SensitivityConfig
from mechdyn.runs.executors import HereExecutor
from mechdyn.runs.sensitivity import sensitivity
from mechdyn.runs.session import chosen_task, make_request, open_store
from mechdyn.runs.units import run_units
from mechdyn.runs.worker import Worker
from mechdyn.traces.store import TraceStore

CONFIG = SensitivityConfig(lengths=(256,), runs=1, sinks=(4, 16), locals=(32,), thresholds=(0.3, 0.5), batch_size=8)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    return sensitivity(CONFIG, tmp_path_factory.mktemp("sensitivity") / "run")


def test_a_store_for_each_window_and_a_verdict_for_each_threshold(ran):
    assert [cell.setting for cell in ran.cells] == [(4, 32, 0.3), (4, 32, 0.5), (16, 32, 0.3), (16, 32, 0.5)]
    for sink in (4, 16):
        manifest = TraceStore.open(ran.folder / f"traces-sink{sink}-local32").manifest
        assert (manifest.score, manifest.score_options, manifest.scores) == ("reasoning", {"sink": sink, "local": 32}, "dense")
    results = json.loads((ran.folder / "results.json").read_text())
    assert [(row["sink"], row["threshold"], row["verdict"]) for row in results] == [
        (cell.sink, cell.threshold, str(cell.verdict.outcome)) for cell in ran.cells
    ]


def test_a_run_at_a_threshold_is_the_stored_scores_judged_at_it(ran, tmp_path):
    stored = list(TraceStore.open(ran.folder / "traces-sink4-local32").traces())
    model = load_model("mini")
    units = window_plan(make_request(CONFIG, chosen_task(CONFIG), model), 4, 32).units
    units = [dataclasses.replace(unit, decoding={**unit.decoding, "threshold": 0.3}) for unit in units]
    store = open_store(tmp_path / "traces", model, score=units[0].decoding["score"])
    run_units(HereExecutor(Worker(model, make_engine(model))), units, store)
    judged = {trace.sample: trace for trace in at_threshold({"all": stored}, 0.3)["all"]}
    for trace in store.load([unit.key for unit in units]):
        assert trace.threshold == judged[trace.sample].threshold == 0.3
        assert torch.equal(trace.active, judged[trace.sample].active)


BAD = {
    "needles": ({"task": "niah"}, "the sensitivity grid is of Eq. 2, which scores questions; take the task world or hotpotqa"),
    "no file": ({"task": "hotpotqa", "lengths": ()}, "task hotpotqa needs a file of questions"),
    "too long": ({"lengths": (10**6,)}, "length 1000000 is beyond the model's context"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_grids_are_one_line_and_write_nothing(tmp_path, case):
    changes, message = BAD[case]
    with pytest.raises(InputError, match=message):
        sensitivity(dataclasses.replace(CONFIG, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()
