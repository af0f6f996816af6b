"""A sweep that is killed again and again comes to what one comes to that is not."""

import os
import random
import signal
import subprocess
import time

import pytest

from mechdyn.runs.status import statuses_of
from tests.faults.sweeps import PLAN, finish, results_of, start

pytestmark = pytest.mark.faults
N_KILLS = 50


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    path = tmp_path_factory.mktemp("plan") / "plan.toml"
    path.write_text(PLAN)
    return path


@pytest.fixture(scope="module")
def expected(plan, tmp_path_factory):
    """What the sweep comes to when nothing happens to it, and how long it takes."""
    out = tmp_path_factory.mktemp("whole") / "out"
    begun = time.monotonic()
    finish(plan, out)
    return results_of(out), time.monotonic() - begun


def kill(process):
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "two workers"])
def test_fifty_kills_change_nothing(plan, expected, tmp_path, options):
    """Each go lives for a random time of up to the whole length; at the end one is left alone."""
    results, seconds = expected
    moments, out = random.Random(len(options)), tmp_path / "out"
    kills = 0
    while kills < N_KILLS:
        process = start(plan, out, *options)
        try:
            process.wait(moments.uniform(0, 1.2 * seconds))
            process.communicate()
            # It came to its end before its moment: begin anew.
            out = tmp_path / f"out-{kills}-{time.monotonic_ns()}"
        except subprocess.TimeoutExpired:
            kill(process)
            kills += 1
            if any(out.glob("*/run.json")):
                statuses_of(out)
    finish(plan, out, *options)
    assert results_of(out) == results


def test_other_workers_and_another_order_change_nothing(plan, expected, tmp_path):
    finish(plan, tmp_path / "two", "--workers", "2")
    assert results_of(tmp_path / "two") == expected[0]
    other = tmp_path / "other.toml"
    other.write_text(PLAN.replace('["planted-static", "planted-dynamic"]', '["planted-dynamic", "planted-static"]'))
    finish(other, tmp_path / "other", "--workers", "2")
    assert results_of(tmp_path / "other") == expected[0]


def test_a_worker_that_is_killed_costs_its_batch_alone(plan, expected, tmp_path):
    psutil = pytest.importorskip("psutil")
    process = start(plan, tmp_path / "out", "--workers", "2")
    killed = 0
    while process.poll() is None and killed < 3:
        time.sleep(expected[1] / 6)
        if process.poll() is not None:
            break
        workers = [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]
        if workers:
            workers[0].kill()
            killed += 1
    said, _ = process.communicate(timeout=900)
    assert process.returncode == 0 and killed, said
    assert results_of(tmp_path / "out") == expected[0]


def test_workers_end_with_a_driver_that_is_killed(plan, tmp_path):
    psutil = pytest.importorskip("psutil")
    process = start(plan, tmp_path / "out", "--workers", "2")
    workers = []
    while process.poll() is None and len(workers) < 2:
        time.sleep(0.2)
        workers = [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=120)
    assert not alive
