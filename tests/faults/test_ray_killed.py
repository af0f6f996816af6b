"""A worker, a driver and a node of a Ray cluster are killed in the middle of a batch, and the sweep comes to what one comes to that is not.

Skips where Ray is not installed: `make faults` installs it.
"""

import os
import signal
import time

import pytest

from tests.faults.sweeps import finish, lost_in, results_of, start, work_done

psutil = pytest.importorskip("psutil")
pytest.importorskip("ray", reason="needs Ray (pip install 'mechdyn[cluster]')")
pytestmark = pytest.mark.faults
PLAN = """
models = ["planted-dynamic"]
tasks = ["niah"]
claims = ["dynamism"]
[options]
length = [256]
runs = 2
batch_size = 2
"""
N_UNITS = 30
SECONDS = 300


@pytest.fixture(scope="module")
def cluster():
    from experiments.cluster_demo import two_nodes

    with two_nodes() as nodes:
        yield nodes


def on(cluster):
    return "--executor", "ray", "--address", cluster.address, "--workers", "2"


def at_work(node):
    """Processes of the node's actors that are in the middle of a batch: Ray has what a worker does in its name."""
    found = []
    for process in psutil.Process(node.pid).children(recursive=True):
        try:
            found += [process] if process.cmdline()[:1] == ["ray::_Actor.run"] else []
        except psutil.Error:
            continue
    return found


def one_at_work(going, out, nodes, n_done):
    """An actor in the middle of a batch, once so many traces are done."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and not going.ended(0.005):
        if work_done(out) >= n_done and (found := [each for node in nodes for each in at_work(node)]):
            return found[0]
    raise AssertionError(f"no actor was seen at work: {going.said.read_text()}")


def test_an_actor_that_is_killed_costs_its_batch_alone(plan, expected, cluster, tmp_path, record_property):
    out = tmp_path / "out"
    going = start(plan, out, *on(cluster))
    for n_done in (4, 14):
        one_at_work(going, out, [cluster.first, cluster.second], n_done).kill()
    assert going.ended(SECONDS)
    assert results_of(out) == expected and lost_in(out) == 2
    record_property(
        "measured", f"2 actors killed in the middle of a batch, {lost_in(out)} batches run again by another, {N_UNITS} units: equal"
    )


def test_a_driver_that_is_killed_goes_on_where_it_was(plan, expected, cluster, tmp_path, record_property):
    out = tmp_path / "out"
    going = start(plan, out, *on(cluster))
    actor = one_at_work(going, out, [cluster.first, cluster.second], 10)
    os.kill(going.pid, signal.SIGKILL)
    going.process.join()
    _, alive = psutil.wait_procs([actor], timeout=120)
    assert not alive, "an actor outlived its driver"
    finish(plan, out, *on(cluster), timeout=SECONDS)
    assert results_of(out) == expected
    record_property(
        "measured",
        f"the driver killed with a batch at work; its actors ended; resumed, {work_done(out)} traces run for {N_UNITS} units: equal",
    )


def test_a_node_that_is_killed_costs_its_batch_alone(plan, expected, cluster, tmp_path, record_property):
    out = tmp_path / "out"
    going = start(plan, out, *on(cluster))
    one_at_work(going, out, [cluster.second], 6)
    os.killpg(cluster.second.pid, signal.SIGKILL)
    assert going.ended(SECONDS)
    assert results_of(out) == expected and lost_in(out) == 1
    record_property("measured", f"one of two nodes killed in the middle of a batch, which the other ran again; {N_UNITS} units: equal")
