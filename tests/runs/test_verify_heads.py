"""A user's static heads reach the claims that take some, stay with the run, and are refused where no claim asks for them."""

from dataclasses import dataclass

import pytest

from mechdyn.claims.claim import CLAIMS, claim
from mechdyn.errors import InputError, StoreError
from mechdyn.evidence import Outcome, Verdict
from mechdyn.heads import Head, rank_heads
from mechdyn.plans import DETECTION, NO_TRACES, Plan, Preset, task_units
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.read import read_run
from mechdyn.runs.verify import verify


@pytest.fixture
def listed(tmp_path):
    """A claim whose verdict tells the first static head that it was given, and a list for it."""

    @claim
    @dataclass(frozen=True)
    class FirstHead:
        name: str = "first-head"
        paper: str = ""
        parts: tuple = ()
        takes_heads: bool = True

        def plan(self, request, traces=NO_TRACES):
            return Plan({"detection": task_units(request, Preset((128,), 1, (0.5,)), DETECTION)})

        def judge(self, request, traces):
            ranking = request.static_list(traces["detection"])
            return Verdict(request.model["name"], self.name, Outcome.SUPPORTED, facts={"first": str(ranking.heads[0])})

    rank_heads([(Head(1, 3), 0.75), (Head(0, 2), 0.5)], None, None).save(tmp_path / "list.json", format="wu")
    yield tmp_path / "list.json"
    CLAIMS._things.pop("first-head")


def config(**options):
    return VerifyConfig(claim=options.pop("claim", "first-head"), model="planted-static", **options)


def test_the_users_list_takes_the_place_of_the_claims_own(listed, tmp_path):
    own = verify(config(), tmp_path / "own").verdict.facts["first"]
    given = verify(config(heads=f"{listed}:format=wu"), tmp_path / "given").verdict.facts["first"]
    assert (own != "L1H3", given) == (True, "L1H3")
    assert read_run(tmp_path / "given").content.verdict.facts["first"] == "L1H3"


def test_a_list_that_changed_is_another_run(listed, tmp_path):
    verify(config(heads=str(listed)), tmp_path / "run")
    rank_heads([(Head(0, 2), 0.75)], None, None).save(listed, format="wu")
    with pytest.raises(StoreError, match="changed since"):
        verify(config(heads=str(listed)), tmp_path / "run")


def test_what_is_no_ranking_and_what_asks_for_none_are_one_line(listed, tmp_path):
    with pytest.raises(InputError, match="static heads are a ranking"):
        verify(config(heads="L1H3"), tmp_path / "run")
    with pytest.raises(InputError, match="the claim correlation compares with no list of the user's; leave --heads out"):
        verify(config(claim="correlation", heads=str(listed)), tmp_path / "run")
    assert not (tmp_path / "run").exists()
