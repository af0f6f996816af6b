"""How far a run is, what became of it, and whether two of them can be joined: from their folders alone."""

import dataclasses
import json
import shutil
import subprocess
import sys

import pytest

from mechdyn.errors import InputError, StoreError
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.failure import Failure
from mechdyn.runs.merge import merge
from mechdyn.runs.run_log import RunLog
from mechdyn.runs.session import Session
from mechdyn.runs.status import status_of, statuses_of
from mechdyn.runs.verify import judge_there, verify
from mechdyn.traces.keys import stored_units
from mechdyn.traces.store import TraceStore
from tests.runs.folders import verify_in_part

CONFIG = VerifyConfig("dynamism", model="planted-dynamic", lengths=(128,), depths=(0.5,), runs=4, max_new_tokens=4, batch_size=2)
"""Twelve units: four to detect, four to evaluate, four to repeat."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One run done, and stopped in two places: together they have all of it."""
    path = tmp_path_factory.mktemp("runs")
    verified = verify(CONFIG, path / "whole")
    verify_in_part(CONFIG, path / "first", slice(0, 8))
    verify_in_part(CONFIG, path / "second", slice(6, 12))
    return path, verified


def test_status_says_what_is_done_and_what_is_left(folders):
    path, _ = folders
    whole, first = status_of(path / "whole"), status_of(path / "first")
    assert (whole.state, whole.planned, whole.stored, whole.left, whole.set_aside) == ("done", 12, 12, 0, 0)
    assert (first.state, first.planned, first.stored, first.left) == ("done", 12, 8, 4)
    assert whole.what == "verify dynamism planted-dynamic niah"
    assert [each.path.name for each in statuses_of(path)] == ["first", "second", "whole"]


def test_status_needs_no_torch(folders):
    path, _ = folders
    code = (
        f"import sys; from mechdyn.runs.status import status_of; print(status_of({str(path / 'whole')!r}).stored, 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == ["12", "False"]


def test_status_names_failures_and_running_runs(folders, tmp_path):
    path, _ = folders
    shutil.copytree(path / "first", tmp_path / "run")
    missing = next(iter(TraceStore.open(path / "whole" / "traces").keys() - TraceStore.open(path / "first" / "traces").keys()))
    log = RunLog(tmp_path / "run" / "log.jsonl")
    for _ in range(3):
        log.failed(Failure(missing, "niah, length 128", "ValueError", "no such word", "Traceback"))
    found = status_of(tmp_path / "run")
    assert [(each.key, each.times, each.error) for each in found.failed] == [(missing, 3, "ValueError: no such word")]
    assert (found.set_aside, found.left) == (1, 3)
    with Session.open(CONFIG, tmp_path / "run") as run:
        run.log.write("heartbeat", workers=[{"name": "here", "item": 3, "seconds": 7000.0, "silent": 0.0}])
        found = status_of(tmp_path / "run")
        assert found.state == "running"
        assert found.stuck[0].startswith("here has been at batch 3 for 7000 s")


def test_what_is_no_run_is_one_line(tmp_path):
    with pytest.raises(StoreError, match="is not the folder of a run or sweep"):
        statuses_of(tmp_path)


def test_a_log_that_a_kill_cut_off_is_read_and_goes_on(tmp_path):
    log = RunLog(tmp_path / "log.jsonl")
    log.write("start")
    (tmp_path / "log.jsonl").write_bytes((tmp_path / "log.jsonl").read_bytes() + b'{"event": "bat')
    again = RunLog(tmp_path / "log.jsonl")
    again.failed(Failure("k", "a sample", "ValueError", "x", "t"))
    assert RunLog(tmp_path / "log.jsonl").n_failures("k") == 1


def test_keys_read_without_the_store_are_those_of_the_store(folders, tmp_path):
    path, _ = folders
    assert stored_units(path / "whole" / "traces") == TraceStore.open(path / "whole" / "traces").keys()
    assert stored_units(tmp_path) == frozenset()


def test_a_part_of_a_run_is_judged_with_what_it_lacks_said(folders):
    path, verified = folders
    assert judge_there(path / "whole").verdict == verified.verdict
    part = judge_there(path / "first").verdict
    assert part.notes[-1] == "4 of 12 units are not run yet; the verdict is on the others, and may change with them"
    assert (part.facts["failed_samples"], judge_there(path / "second").verdict.facts["failed_samples"]) == (0, 2)


def test_units_set_aside_are_named_in_the_verdict(folders, tmp_path):
    path, verified = folders
    shutil.copytree(path / "first", tmp_path / "run")
    whole = TraceStore.open(path / "whole" / "traces").keys()
    lacking = sorted(whole - TraceStore.open(path / "first" / "traces").keys())
    log = RunLog(tmp_path / "run" / "log.jsonl")
    for key in lacking:
        for _ in range(3):
            log.failed(Failure(key, "niah, length 128", "ValueError", "no such word", "Traceback"))
    again = verify(CONFIG, tmp_path / "run").verdict
    assert again.notes[-4:] == ("set aside after 3 failures: niah, length 128 (ValueError: no such word)",) * 4
    assert verify(dataclasses.replace(CONFIG, retry_failed=True), tmp_path / "run").verdict == verified.verdict


def test_runs_of_two_machines_are_joined(folders, tmp_path):
    path, verified = folders
    merged = merge(tmp_path / "both", [path / "first", path / "second"])
    assert (merged.n_traces, merged.conflicts) == (12, ())
    assert judge_there(tmp_path / "both").verdict == verified.verdict
    assert verify(CONFIG, tmp_path / "both").verdict == verified.verdict, "the command goes on there, and finds nothing to run"


def test_other_content_under_one_key_is_a_conflict(folders, tmp_path):
    path, _ = folders
    whole = TraceStore.open(path / "whole" / "traces")
    shutil.copytree(path / "whole", tmp_path / "other")
    shutil.rmtree(tmp_path / "other" / "traces")
    other = TraceStore.create(tmp_path / "other" / "traces", whole.manifest)
    first, *rest = whole.traces()
    other.append([dataclasses.replace(first, hidden=first.hidden + 1), *rest])
    with pytest.raises(
        InputError, match=rf"1 conflicts: {first.unit}: hidden states \(by up to 1.0e\+00\) differ between .*whole and .*other"
    ):
        merge(tmp_path / "both", [path / "whole", tmp_path / "other"])
    assert not (tmp_path / "both").exists()
    merged = merge(tmp_path / "both", [path / "whole", tmp_path / "other"], take_first=True)
    assert len(merged.conflicts) == 1 and merged.n_traces == 12


def test_different_runs_are_not_joined(folders, tmp_path):
    path, _ = folders
    shutil.copytree(path / "whole", tmp_path / "other")
    record = json.loads((tmp_path / "other" / "run.json").read_text())
    record["asked"]["seed"] = 5
    (tmp_path / "other" / "run.json").write_text(json.dumps(record))
    (tmp_path / "other" / ".seals.json").unlink()
    with pytest.raises(StoreError, match=r"are different runs \(its seed is 0, this run's is 5\)"):
        merge(tmp_path / "both", [path / "whole", tmp_path / "other"])
    with pytest.raises(InputError, match="merge joins at least two runs, got 1"):
        merge(tmp_path / "both", [path / "whole"])
    with pytest.raises(InputError, match="merge writes a new folder"):
        merge(path / "whole", [path / "first", path / "second"])
