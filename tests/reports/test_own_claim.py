"""A claim that knows nothing of reports, files or commands is run, judged, shown and reported."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from mechdyn.claims import claim as door
from mechdyn.claims.claim import Claim, claim
from mechdyn.evidence import Criterion, Evidence, Verdict, outcome
from mechdyn.plans import EVALUATION, Plan, Preset, task_units
from mechdyn.stats.means import bootstrap_mean
from tests.claims.registered import copied_claims


@pytest.fixture
def retrieving(monkeypatch):
    """Registered for one test."""
    monkeypatch.setattr(door, "CLAIMS", copied_claims())

    @claim
    @dataclass(frozen=True)
    class Retrieving(Claim):
        """Some head retrieves at most steps."""

        name: str = "retrieving"

        def plan(self, request, traces=()):
            return Plan({"their own role": task_units(request, Preset((256,), n_seeds=1, depths=(0.3, 0.7)), EVALUATION)})

        def judge(self, request, traces):
            shares = np.array([trace.retrieving_steps.float().mean().item() for trace in traces["their own role"]])
            share = bootstrap_mean(shares, np.ones(len(shares)))
            supports = (Criterion(f"the share {share} is above one half", share.low > 0.5),)
            evidence = (Evidence("share of steps", share, {"head": "any"}),)
            return Verdict(str(request.model["name"]), self.name, outcome(supports, ()), evidence, supports)

    return Retrieving()


@pytest.mark.parametrize("task", ["niah", "world"])
def test_verify_and_report_take_it(retrieving, run, tmp_path, task):
    code, out, err = run("verify", "retrieving", "--model", "mini", "--task", task, "--out", "mine")
    assert code == 0, err
    assert "share of steps, any" in out and "to support, all of:" in out
    (verdict,) = json.loads((tmp_path / "mine" / "verdicts.json").read_text())
    assert f"retrieving on mini: {verdict['verdict']}" in out and (tmp_path / "mine" / "timeline.html").is_file()
    code, out, err = run("report", "mine")
    assert code == 0, err
    assert "again, the same" in out
    page = (tmp_path / "mine" / "report.html").read_text()
    assert f"retrieving: mini, {task}: {verdict['verdict']}" in page and "share of steps, any" in page
