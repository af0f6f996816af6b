"""What a run is computed with: kept in `run.json`, gone on with, and no part of what the run is."""

import json
from dataclasses import replace

import pytest
import torch

from mechdyn.errors import InputError, StoreError
from mechdyn.runs.configs import TraceConfig
from mechdyn.runs.environment import tell_changes, with_threads_of
from mechdyn.runs.executors import check_executor
from mechdyn.runs.folder import RunRecord, open_folder, read_record
from mechdyn.runs.trace import trace_one

CONFIG = TraceConfig(length=128)


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def begun(tmp_path, **environment):
    return open_folder(tmp_path / "run", RunRecord.of(CONFIG, {"name": "mini"}, environment), TraceConfig)


def test_a_run_keeps_what_it_was_begun_with_and_goes_on_with_it(tmp_path, caplog):
    trace_one(replace(CONFIG, threads="1"), tmp_path / "run")
    wanted = {"threads": 1, "threads_by": "asked", "products": "shape"}
    assert read_record(tmp_path / "run").environment == wanted
    (start,) = (json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()[:1])
    assert {name: start[name] for name in wanted} == wanted and not caplog.messages

    torch.set_num_threads(2)
    trace_one(replace(CONFIG, threads="auto"), tmp_path / "run")
    assert torch.get_num_threads() == 1 and caplog.messages == ["threads auto: 1, with which this run was begun"]
    caplog.clear()
    trace_one(replace(CONFIG, threads="2"), tmp_path / "run")
    assert caplog.messages == ["threads: this run was begun with 1, and goes on with 2; results move in their last digits"]
    assert read_record(tmp_path / "run").environment == wanted


@pytest.mark.parametrize(
    ("environment", "asked", "wanted"),
    [
        ({"threads": 3, "threads_by": "measured"}, None, "3"),
        ({"threads": 3, "threads_by": "measured"}, "auto", "3"),
        ({"threads": 3, "threads_by": "measured"}, "2", "2"),
        ({"threads": 3, "threads_by": "asked"}, None, "3"),
        ({"threads": 3, "threads_by": "default"}, None, None),
        ({"threads": 3, "threads_by": "default"}, "auto", "auto"),
        ({}, None, None),
    ],
)
def test_threads_that_were_chosen_are_taken_again_unless_a_number_is_asked_for(tmp_path, environment, asked, wanted):
    folder = begun(tmp_path, **environment)
    assert with_threads_of(folder, replace(CONFIG, threads=asked)).threads == wanted
    assert with_threads_of(tmp_path / "new", replace(CONFIG, threads=asked)).threads == asked


def test_another_environment_is_the_same_run_and_is_told(tmp_path, caplog):
    folder = begun(tmp_path, threads=3, threads_by="default", products="shape")
    other = RunRecord.of(CONFIG, {"name": "mini"}, {"threads": 2, "products": "plain"})
    assert open_folder(folder, other, TraceConfig) == folder
    tell_changes(folder, {"threads": 3, "products": "shape"})
    tell_changes(folder, {"products": "shape"})
    assert caplog.messages == []
    tell_changes(folder, other.environment)
    assert [message.partition(",")[0] for message in caplog.messages] == [
        "threads: this run was begun with 3",
        "products: this run was begun with shape",
    ]


def test_a_damaged_environment_is_one_line(tmp_path):
    folder = begun(tmp_path)
    values = json.loads((folder / "run.json").read_text())
    (folder / ".seals.json").unlink()
    (folder / "run.json").write_text(json.dumps({**values, "environment": [1]}))
    with pytest.raises(StoreError, match=r"run\.json has a damaged entry 'environment'; restore it"):
        read_record(folder)


@pytest.mark.parametrize("several", [{"workers": 2}, {"executor": "ray"}])
def test_several_workers_measure_nothing(several):
    check_executor(replace(CONFIG, threads="2", **several))
    with pytest.raises(InputError, match="--threads auto measures one process with the machine to itself; give several workers a number"):
        check_executor(replace(CONFIG, threads="auto", **several))
