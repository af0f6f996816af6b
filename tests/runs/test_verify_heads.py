"""A user's static heads reach the claims that take some, stay with the run, and are refused where no claim asks for them."""

from dataclasses import dataclass

import pytest

from mechdyn.claims.claim import CLAIMS, claim
from mechdyn.claims.dynamism_evidence import EXPLAINED
from mechdyn.claims.irreplaceability import JACCARD
from mechdyn.errors import InputError, StoreError
from mechdyn.evidence import Outcome, Verdict
from mechdyn.heads import Head, rank_heads
from mechdyn.models.planted.design import planted_heads
from mechdyn.plans import DETECTION, NO_TRACES, Plan, Preset, task_units
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.read import read_run
from mechdyn.runs.verify import verify
from tests.bundled import mini_tokenizer


def full_list(first, n_layers, n_heads):
    """All heads, one of them first."""
    places = [Head(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    return rank_heads([(head, 1.0 if head == first else 0.1 / (1 + index)) for index, head in enumerate(places)], None, None)


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

    full_list(Head(1, 3), 2, 16).save(tmp_path / "list.json", format="wu")
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
    full_list(Head(0, 2), 2, 16).save(listed, format="wu")
    with pytest.raises(StoreError, match="changed since"):
        verify(config(heads=str(listed)), tmp_path / "run")


def test_what_is_no_ranking_and_what_asks_for_none_are_one_line(listed, tmp_path):
    with pytest.raises(InputError, match="static heads are a ranking"):
        verify(config(heads="L1H3"), tmp_path / "run")
    with pytest.raises(InputError, match="the claim correlation compares with no list of the user's; leave --heads out"):
        verify(config(claim="correlation", heads=str(listed)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_list_of_some_heads_is_too_short_to_compare_with(tmp_path):
    rank_heads([(Head(1, 3), 0.75), (Head(0, 2), 0.5)], None, None).save(tmp_path / "short.json", format="wu")
    with pytest.raises(InputError, match=r"must rank all 32 of planted-static, got 2 in .*short\.json"):
        verify(config(claim="dynamism", heads=str(tmp_path / "short.json")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("claim", ["dynamism", "irreplaceability"])
def test_the_papers_claims_are_judged_by_the_users_list(claim, tmp_path):
    """The planted heads first explain all that repeats; a list that has them last explains nothing."""
    planted = set(planted_heads("static", 100, mini_tokenizer()))
    order = sorted((Head(layer, head) for layer in range(2) for head in range(16)), key=lambda head: (head not in planted, head))
    options = {"lengths": (96,), "depths": (0.5,), "runs": 20} if claim == "dynamism" else {"lengths": (96,), "depths": (0.5,), "runs": 2}
    measured = {}
    for name, heads in {"first": order, "last": order[::-1]}.items():
        rank_heads([(head, 1.0 / (1 + index)) for index, head in enumerate(heads)], None, None).save(tmp_path / name, format="wu")
        verdict = verify(config(claim=claim, heads=f"{tmp_path / name}:format=wu", **options), tmp_path / f"{name} run").verdict
        found = verdict.find(EXPLAINED) if claim == "dynamism" else verdict.find(JACCARD)
        measured[name] = found.interval.estimate
    assert measured["first"] > 0.95 and measured["last"] < 0.05
