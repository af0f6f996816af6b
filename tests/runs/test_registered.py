"""What a verdict is judged by stands in run.json before the first trace, and what is otherwise afterwards is told."""

import json
import shutil
from dataclasses import dataclass, replace

import pytest

from mechdyn.claims.claim import CLAIMS, Claim, get_claim, rules_of
from mechdyn.errors import StoreError
from mechdyn.evidence import Outcome, Verdict
from mechdyn.plans import DETECTION, EVALUATION, NO_TRACES, Plan, Preset, task_units
from mechdyn.reports.sections import make_report
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.read import read_run
from mechdyn.runs.verify import verify

PRESET = Preset((128,), 2, (0.5,))
AT = {"bound": 0.5, "record": None, "file": None}
"""The margin that the claim has at the moment, and `run.json` as it was when the claim named its second role."""


@dataclass(frozen=True)
class Unfolding:
    """A claim whose second role follows from the traces of the first, and whose margin can be moved."""

    name: str = "unfolding"
    paper: str = ""
    parts: tuple = ()
    draws: int = 10
    named: str = "third criteria"

    @property
    def margins(self):
        return {"share, above": AT["bound"]}

    def plan(self, request, traces=NO_TRACES):
        roles = {"detection": task_units(request, PRESET, DETECTION)}
        if "detection" in traces:
            AT["record"] = AT["record"] or json.loads(AT["file"].read_text())
            roles["evaluation"] = task_units(request, PRESET, EVALUATION)
        return Plan(roles)

    def judge(self, request, traces):
        return Verdict(request.model["name"], self.name, Outcome.SUPPORTED, notes=("a note of its own",), named=self.named)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A finished run's folder."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    CLAIMS.register("unfolding", Unfolding)
    AT.update(bound=0.5, record=None, file=folder / "run.json")
    verify(VerifyConfig(claim="unfolding", model="planted-static"), folder)
    yield folder
    CLAIMS._things.pop("unfolding")


@pytest.fixture
def ran(original, tmp_path):
    """A copy of it, to be spoilt."""
    AT["bound"] = 0.5
    return shutil.copytree(original, tmp_path / "run")


def rewrite(path, text):
    """Alter a file by hand, and take away the seals that would tell."""
    path.write_text(text)
    (path.parent / ".seals.json").unlink(missing_ok=True)


def record(folder):
    return json.loads((folder / "run.json").read_text())


def changed(folder, **parts):
    """`run.json` with parts of what was registered altered."""
    values = record(folder)
    values["registered"] |= parts
    rewrite(folder / "run.json", json.dumps(values))


def notes(folder):
    return "; ".join(read_run(folder).content.verdict.notes)


def test_rules_seed_and_units_stand_in_the_record_before_the_traces_that_they_are_of(ran):
    early, late = AT["record"]["registered"], record(ran)["registered"]
    assert list(early["splits"]) == ["detection"] and early["later"] == {}
    assert {**early, "later": None} == {**late, "later": None} and list(late["later"]) == ["evaluation"]
    assert (early["claim"], early["named"], early["margins"]) == ("unfolding", "third criteria", {"share, above": 0.5})
    assert (early["options"], early["seeds"], early["splits"]["detection"]["units"]) == ({"draws": 10}, {"samples": 0}, 2)


def test_an_untouched_run_says_so_with_the_hash_in_verdict_and_report(ran):
    found = record(ran)["registered"]["hash"]
    recorded = json.loads((ran / "verdicts.json").read_text())[0]["notes"]
    assert recorded == ["a note of its own", f"registered before the first trace: yes, hash {found}"]
    assert read_run(ran).content.registered.differences == ()
    assert make_report([read_run(ran)]).verdicts.rows[0][-1] == f"yes, hash {found}"


def test_the_same_plan_has_the_same_hash_and_another_seed_another(ran, tmp_path):
    same, other = tmp_path / "same", tmp_path / "other"
    verify(VerifyConfig(claim="unfolding", model="planted-static"), same)
    verify(VerifyConfig(claim="unfolding", model="planted-static", seed=1), other)
    hashes = [record(folder)["registered"]["hash"] for folder in (ran, same, other)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_margin_that_moved_since_is_told(ran):
    AT["bound"] = 0.4
    run = read_run(ran)
    assert "changed since:;   margins, share, above: 0.5 then, 0.4 now" in "; ".join(run.content.verdict.notes)
    assert run.content.verdict.outcome == "supported"
    assert make_report([run]).verdicts.rows[0][-1].startswith("changed since, hash ")


def test_going_on_with_a_run_keeps_what_was_registered_first(ran):
    before, AT["bound"] = record(ran), 0.4
    again = verify(VerifyConfig(claim="unfolding", model="planted-static"), ran)
    assert record(ran) == before and "0.5 then, 0.4 now" in "; ".join(again.verdict.notes)


def test_tampering_with_the_record_is_told_by_its_hash(ran):
    changed(ran, margins={"share, above": 0.4})
    AT["bound"] = 0.4
    assert "does not have the hash that stands there" in notes(ran)


@pytest.mark.parametrize("role", ["detection", "evaluation"])
def test_a_role_with_other_units_is_told(ran, role):
    roles = json.loads((ran / "traces.json").read_text())
    roles[role] = roles[role][:1]
    rewrite(ran / "traces.json", json.dumps(roles))
    assert f"role {role}: other units, or another order (2 then, 1 now)" in notes(ran)


def test_roles_in_each_others_place_are_told(ran):
    roles = json.loads((ran / "traces.json").read_text())
    rewrite(ran / "traces.json", json.dumps({"detection": roles["evaluation"], "evaluation": roles["detection"]}))
    assert "role detection: other units" in notes(ran) and "role evaluation: other units" in notes(ran)


def test_options_and_criteria_that_changed_are_told(ran):
    registered = record(ran)["registered"]
    changed(ran, named="second criteria", options={"draws": 11}, splits=registered["splits"] | {"retest": {"units": 1, "hash": ""}})
    said = notes(ran)
    assert "criteria: 'second criteria' then, 'third criteria' now" in said and "options, draws: 11 then, 10 now" in said
    assert "role retest: registered, not judged" in said


def test_an_older_run_reads_as_unregistered_and_is_not_registered_afterwards(ran):
    values = {name: value for name, value in record(ran).items() if name != "registered"}
    rewrite(ran / "run.json", json.dumps(values))
    assert notes(ran).endswith("registered before the first trace: no")
    verify(VerifyConfig(claim="unfolding", model="planted-static"), ran)
    assert "registered" not in record(ran)
    assert make_report([read_run(ran)]).verdicts.rows[0][-1] == "no"


@pytest.mark.parametrize("parts", ["text", {"claim": "unfolding"}, {"splits": 3, "later": {}}])
def test_a_damaged_entry_is_one_line(ran, parts):
    values = record(ran) | {"registered": parts}
    rewrite(ran / "run.json", json.dumps(values))
    with pytest.raises(StoreError, match="registered"):
        read_run(ran)


def test_a_claim_that_says_nothing_of_its_margins_is_registered_by_its_options():
    @dataclass(frozen=True)
    class Silent(Claim):
        name: str = "silent"
        level: float = 0.9

    found = rules_of(Silent())
    assert (found.claim, found.named, found.margins, found.options) == ("silent", "", {}, {"level": 0.9})


@pytest.mark.parametrize("name", ["dynamism", "irreplaceability", "correlation", "anticipation"])
def test_mechdyns_own_claims_say_their_criteria_and_every_margin(name):
    found = rules_of(get_claim(name))
    assert found.named == "second criteria (2026-11-21)" and len(found.margins) >= 4
    assert all(isinstance(value, int | float) for value in found.margins.values())


def test_an_option_of_a_claim_is_registered():
    made = get_claim("dynamism")
    assert rules_of(replace(made, n_resamples=100)).options == {"n_resamples": 100}
