"""A sweep that is killed again and again comes to what one comes to that is not."""

import os
import random
import signal
import time

import pytest

from mechdyn.runs.status import statuses_of
from tests.faults.sweeps import PLAN, counts_of, finish, lost_in, results_of, start, work_done

pytestmark = pytest.mark.faults
N_KILLS, N_KILLS_OF_TWO = 50, 15
"""Two workers load two models again after each kill, so there are fewer."""
N_UNITS = 100
"""Of the sweep's four runs, each unit once."""


@pytest.mark.parametrize(("options", "n_kills"), [((), N_KILLS), (("--workers", "2"), N_KILLS_OF_TWO)], ids=["one process", "two workers"])
def test_kills_change_nothing(plan, expected, tmp_path, record_property, options, n_kills):
    """Each go lives for a random time of up to the whole length. Whatever comes to its end is held against the sweep that nobody killed."""
    moments, out, kills, outs, partly = random.Random(len(options)), tmp_path / "out-0", 0, [tmp_path / "out-0"], 0
    begun = time.monotonic()
    finish(plan, tmp_path / "timed", *options)
    seconds = time.monotonic() - begun
    while kills < n_kills:
        begun, fresh = time.monotonic(), not out.exists()
        going = start(plan, out, *options)
        if going.ended(moments.uniform(0, 1.2 * seconds)):
            seconds = time.monotonic() - begun if fresh else seconds
            out = tmp_path / f"out-{len(outs)}"
            outs.append(out)
            continue
        going.kill()
        kills += 1
        if any(out.glob("*/run.json")):
            assert len(statuses_of(out)) <= 4
            partly += 0 < counts_of(out)["units"] < N_UNITS
    finish(plan, out, *options)
    assert partly, "no kill fell into the work"
    for each in outs:
        assert results_of(each) == expected, each
    counts = counts_of(outs[0])
    again = sum(work_done(each) for each in outs) - N_UNITS * len(outs)
    record_property("kills", kills)
    record_property(
        "measured",
        f"{kills} kills, {partly} of them with a part of the results stored; {len(outs)} sweeps of {counts['units']} "
        f"units in {counts['parts']} parts or more came to their end; {again} traces were lost with a kill and run again",
    )


def test_other_workers_and_another_order_change_nothing(plan, expected, tmp_path, record_property):
    finish(plan, tmp_path / "two", "--workers", "2")
    assert results_of(tmp_path / "two") == expected
    other = tmp_path / "other.toml"
    other.write_text(PLAN.replace('["planted-static", "planted-dynamic"]', '["planted-dynamic", "planted-static"]'))
    finish(other, tmp_path / "other", "--workers", "3")
    assert results_of(tmp_path / "other") == expected
    record_property("measured", f"{N_UNITS} units by one process, by two workers, and by three with the models in another order: equal")


def workers_of(going):
    psutil = pytest.importorskip("psutil")
    return [child for child in psutil.Process(going.pid).children() if "spawn_main" in " ".join(child.cmdline())]


def test_a_worker_that_is_killed_costs_its_batch_alone(plan, expected, tmp_path, record_property):
    going, out, killed = start(plan, tmp_path / "out", "--workers", "2"), tmp_path / "out", 0
    while killed < 3 and not going.ended(0.05):
        if work_done(out) > killed * N_UNITS / 4 and (workers := workers_of(going)):
            workers[0].kill()
            killed += 1
    assert going.ended(900) and killed == 3
    assert results_of(out) == expected
    again = lost_in(out)
    record_property("measured", f"{killed} of the workers killed; {again} batches were run again by another")


def test_workers_end_with_a_driver_that_is_killed(plan, tmp_path):
    psutil = pytest.importorskip("psutil")
    going, workers = start(plan, tmp_path / "out", "--workers", "2"), []
    while len(workers) < 2 and not going.ended(0.2):
        workers = workers_of(going)
    os.kill(going.pid, signal.SIGKILL)
    going.process.join()
    _, alive = psutil.wait_procs(workers, timeout=120)
    assert workers and not alive
