"""The sweep that a module's tests kill, and what it comes to when nothing happens to it."""

import pytest

from tests.faults.sweeps import counts_of, finish, results_of, work_done


@pytest.fixture(scope="module")
def plan(request, tmp_path_factory):
    """A file of the module's `PLAN`."""
    path = tmp_path_factory.mktemp("plan") / "plan.toml"
    path.write_text(request.module.PLAN)
    return path


@pytest.fixture(scope="module")
def expected(request, plan, tmp_path_factory):
    """What one process, without Ray, comes to that nobody kills: each of the module's `N_UNITS` once."""
    out = tmp_path_factory.mktemp("whole") / "out"
    finish(plan, out)
    assert counts_of(out)["units"] == request.module.N_UNITS == work_done(out)
    return results_of(out)
