"""The door for claims: a file that is put in is found, another package's claim goes in by one decorator, mistakes are named."""

from collections.abc import Iterator
from dataclasses import dataclass, make_dataclass

import pytest

from mechdyn.claims import claim as door
from mechdyn.claims.claim import Claim, claim, get_claim, paper_parts
from mechdyn.errors import InputError
from mechdyn.evidence import Outcome, Verdict
from mechdyn.paper.parts import OTHER_PARTS, PaperPart
from mechdyn.plans import Plan
from mechdyn.registry import Registry
from tests.claims.registered import copied_claims

OWN = ("dynamism", "irreplaceability", "correlation", "anticipation")


@pytest.fixture
def claims(monkeypatch) -> Iterator[Registry]:
    """The claims there are, for a test to add to."""
    fresh = copied_claims()
    monkeypatch.setattr(door, "CLAIMS", fresh)
    return fresh


def members(name="mine", **more):
    return {
        "name": name,
        "paper": "",
        "parts": (),
        "plan": lambda self, request, traces=(): Plan({}),
        "judge": lambda self, request, traces: Verdict("m", name, Outcome.INCONCLUSIVE),
        **more,
    }


def made(**changes):
    """An object with the members of a claim."""
    return type("Made", (), members(**changes))()


def test_every_claim_of_the_package_is_there_and_is_one():
    assert set(OWN) <= set(door.CLAIMS.names())
    for name in OWN:
        found = get_claim(name)
        assert isinstance(found, Claim) and found.name == name and found.paper


def test_a_class_and_an_object_both_go_in(claims):
    @claim
    @dataclass(frozen=True)
    class Mine(Claim):
        name: str = "mine"
        margin: float = 0.5

        def plan(self, request, traces=()):
            return Plan({})

        def judge(self, request, traces):
            return Verdict("m", self.name, Outcome.INCONCLUSIVE)

    assert get_claim("mine") == Mine() and get_claim("mine").margin == 0.5
    assert (get_claim("mine").paper, get_claim("mine").parts) == ("", ())
    other = made(name="other")
    assert claim(other) is other and get_claim("other") is other
    assert {"mine", "other"} <= set(claims.names())


def test_a_notebook_cell_may_be_run_twice_and_the_newer_class_counts(claims):
    cells = [make_dataclass("Mine", [("margin", float, margin)], namespace=members(), frozen=True) for margin in (0.1, 0.2)]
    for cell in cells:
        cell.__module__ = "notebook"
        claim(cell)
    assert get_claim("mine").margin == 0.2


def test_a_name_that_another_claim_has_is_refused(claims):
    with pytest.raises(InputError, match=r"the claim 'dynamism' is mechdyn\.claims\.dynamism\.Dynamism already"):
        claim(made(name="dynamism"))


@pytest.mark.parametrize("member", ["name", "plan", "judge", "paper", "parts"])
def test_what_a_claim_lacks_is_named(claims, member):
    lacking = {key: value for key, value in members().items() if key != member}
    with pytest.raises(InputError, match=f"a claim has name, paper, parts, plan and judge; .* lacks {member}"):
        claim(type("Lacking", (), lacking)())


def test_a_class_that_needs_arguments_is_refused(claims):
    needy = make_dataclass("Needy", ["margin"], namespace=members(), frozen=True)
    with pytest.raises(InputError, match=r"a claim's class is called without arguments, .*margin.*give its fields defaults"):
        claim(needy)


def test_an_unknown_claim_is_told_the_known_ones():
    with pytest.raises(InputError, match=r"unknown claim 'dynamsm'; give one of .*dynamism"):
        get_claim("dynamsm")


def test_a_property_of_lists_is_told_the_command_that_judges_it():
    with pytest.raises(InputError, match=r"wu2024\.sparse is judged by lists .*: mechdyn heads verify sparse FILE"):
        get_claim("wu2024.sparse")


def test_parts_of_the_paper_are_those_of_claims_in_its_order_then_the_others(claims):
    parts = paper_parts()
    assert parts[-len(OTHER_PARTS) :] == OTHER_PARTS
    assert [part.measures for part in parts[: -len(OTHER_PARTS)]] == [name for name in OWN for _ in ("needles", "questions")]
    for name in OWN:
        assert {(part.measures, part.on) for part in get_claim(name).parts} == {(name, "needles"), (name, "questions")}
        assert all(part.command.startswith(f"mechdyn verify {name}") for part in get_claim(name).parts)
    mine = PaperPart("Table 9", "mine", "needles", "mechdyn verify mine")
    claim(made(parts=(mine,)))
    assert paper_parts()[8] == mine and len(paper_parts()) == len(parts) + 1
