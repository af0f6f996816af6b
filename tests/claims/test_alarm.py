"""The verdict on simulated answers with a known truth, the plan in rounds, and a small run of the bundled model."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mechdyn.claims.alarm import AUROC, GAIN, PLACES, Alarm, criteria
from mechdyn.claims.claim import get_claim
from mechdyn.evidence import Outcome, outcome
from mechdyn.heads import Head
from mechdyn.plans import Request
from mechdyn.studies.alarm import DEPLOYABLE, gain_of
from mechdyn.studies.alarm_data import ABSENT, DUPLICATES, NEEDLES, QUESTIONS, REMOVED, ROUNDS, hard_length, round_role, sources_of
from mechdyn.studies.alarm_worlds import WORLDS, simulate_rows
from mechdyn.studies.conditions import DETECTION_ROLE
from mechdyn.tasks.decoys import Decoys
from mechdyn.tasks.hotpotqa import HotpotQA
from mechdyn.tasks.niah import Niah
from mechdyn.tasks.task import EVALUATION, SampleSet
from mechdyn.tasks.unanswerable import Unanswerable
from mechdyn.traces.backing import Backing
from tests.views.made_up import made_up

REQUEST = Request({"name": "made up", "n_layers": 2, "n_heads": 2}, Niah(), lengths=(256, 512), runs=2, depths=(0.5,))


@pytest.mark.parametrize(("name", "n_wrong", "expected"), [
    ("silent where it is wrong", 400, Outcome.SUPPORTED),
    ("noise", 400, Outcome.REFUTED),
    ("follows place only, and so does what is wrong", 400, Outcome.REFUTED),
    ("silent where it is wrong", 199, Outcome.INCONCLUSIVE),
])  # fmt: skip
def test_the_criteria_on_answers_whose_truth_is_known(name, n_wrong, expected):
    world = next(world for world in WORLDS if world.name == name)
    rows = simulate_rows(world, n_wrong, np.random.default_rng(11))
    assert outcome(*criteria(rows.n_wrong, gain_of(rows, DEPLOYABLE))) == expected


def answer(unit, *, right=True, silent=False, place=4):
    """An answer in tokens of two characters; its wrong token is at `place`, where no head has anything to copy."""
    value = "1234567890"
    texts = [value[start : start + 2] for start in range(0, 10, 2)]
    if not right:
        texts[place] = "00"
    scores = torch.zeros(5, 2, 2)
    scores[:, 0, 1] = scores[:, 1, 1] = 1.0
    mass, generator = torch.full((5, 2), 0.8), torch.Generator().manual_seed(hash(unit.key) % 2**31)
    mass = mass - 0.1 * torch.rand(5, 2, generator=generator)
    if silent and not right:
        mass[place] = 0.05
    numbers = torch.rand(3, 5, generator=generator)
    backing = Backing((Head(0, 1), Head(1, 1)), *numbers, mass, mass > 0.5)
    meta = {"length": unit.sample.get("length", 0), "seed": unit.sample.get("seed", unit.key)}
    return made_up(scores, texts, answer=value, backing=backing, unit=unit.key, sample=unit.key, meta=meta)


def run(request, wrong, silent=True):
    """What a run gives: the plan asked again until it names nothing new; the share `wrong` of every round's answers goes wrong."""
    traces, asked = {}, {}
    while new := {role: units for role, units in Alarm().plan(request, traces).roles.items() if role not in traces}:
        for role, units in new.items():
            errors = 0 if role == DETECTION_ROLE else round(wrong * len(units))
            traces[role] = [answer(unit, right=index >= errors, silent=silent, place=index % 5) for index, unit in enumerate(units)]
        asked |= new
    return asked, traces


def test_rounds_go_on_until_two_hundred_answers_are_wrong():
    asked, _ = run(replace(REQUEST, runs=20), wrong=0.5)
    numbers = {role.rsplit(" ", 1)[1] for role in asked if role != DETECTION_ROLE}
    assert numbers == {"1", "2", "3", "4"}  # 3 sources of 40, half of them wrong: 60 a round
    assert set(asked) == {DETECTION_ROLE} | {round_role(name, int(n)) for name in (NEEDLES, DUPLICATES, ABSENT) for n in numbers}
    units = [unit.key for role in asked.values() for unit in role]
    assert len(set(units)) == len(units)
    seeds = {role: {unit.sample["seed"] for unit in units} for role, units in asked.items()}
    assert all(not seeds[DETECTION_ROLE] & found for role, found in seeds.items() if role != DETECTION_ROLE)
    assert all(unit.decoding["backing"] == ["L0H1", "L1H1"] for unit in asked[round_role(ABSENT, 1)])
    assert "backing" not in asked[DETECTION_ROLE][0].decoding


def test_rounds_end_and_the_verdict_says_how_many_were_wrong():
    asked, traces = run(REQUEST, wrong=0.25)
    assert len(asked) == 1 + 3 * ROUNDS["quick"]
    verdict = Alarm().judge(REQUEST, traces)
    assert verdict.outcome == Outcome.INCONCLUSIVE
    assert any(note.startswith("30 answers have a first wrong token and 200 are needed") for note in verdict.notes)


@pytest.mark.parametrize(("silent", "expected"), [(True, Outcome.SUPPORTED), (False, Outcome.REFUTED)])
def test_the_verdict_follows_what_stands_behind_wrong_tokens(silent, expected):
    request = replace(REQUEST, runs=20)
    verdict = Alarm().judge(request, run(request, wrong=0.5, silent=silent)[1])
    assert verdict.outcome == expected
    assert verdict.find(AUROC, of=DEPLOYABLE).interval.estimate == pytest.approx(1.0 if silent else 0.5, abs=0.06)
    assert verdict.find(GAIN, of=DEPLOYABLE, over=PLACES).interval.n == verdict.facts["samples"]
    assert type(verdict).from_json(verdict.as_json()).as_json() == verdict.as_json()


def test_without_a_right_detection_sample_there_is_nothing_to_listen_to():
    plan = Alarm().plan(REQUEST)
    traces = {DETECTION_ROLE: [answer(unit, right=False) for unit in plan.roles[DETECTION_ROLE]]}
    assert list(Alarm().plan(REQUEST, traces).roles) == [DETECTION_ROLE]
    assert Alarm().judge(REQUEST, traces).outcome == Outcome.INCONCLUSIVE


def test_the_hard_length_is_where_half_is_right():
    def found(length, share):
        units = Alarm().plan(replace(REQUEST, lengths=(length,), runs=10)).roles[DETECTION_ROLE]
        return [answer(unit, right=index < share * len(units)) for index, unit in enumerate(units)]

    assert hard_length([*found(256, 1.0), *found(512, 0.6), *found(1024, 0.1)], (256, 512, 1024)) == 512
    assert hard_length([*found(256, 1.0), *found(512, 1.0)], (256, 512)) == 512


def test_what_a_task_is_tried_on():
    assert list(sources_of(Niah()).tasks) == [NEEDLES, DUPLICATES, ABSENT]
    assert list(sources_of(Niah(needle="The key is blue.", question="Which key?")).tasks) == ["niah"]
    absent = sources_of(Decoys(n=2, absent=True))
    assert absent.detection == NEEDLES and absent.tasks[NEEDLES] == Decoys(n=2) and absent.tasks[ABSENT].absent
    for task in (HotpotQA(data="f.json", ids=("a",)), Unanswerable(data="f.json", ids=("a",))):
        found = sources_of(task)
        assert (type(found.tasks[QUESTIONS]), type(found.tasks[REMOVED])) == (HotpotQA, Unanswerable)
        assert found.tasks[REMOVED].ids == ("a",)


def test_items_of_a_file_are_in_one_part_alone():
    task = HotpotQA(data="f.json", digest="d", ids=tuple(map(str, range(30))))
    asked, _ = run(replace(REQUEST, task=task, lengths=(), depths=()), wrong=0.5)
    found = {role: {unit.sample["id"] for unit in units} for role, units in asked.items()}
    rounds = [ids for role, ids in found.items() if role.startswith(QUESTIONS)]
    assert sum(map(len, rounds)) == len(set().union(*rounds)) == 15
    assert not found[DETECTION_ROLE] & set().union(*rounds)
    assert set().union(*rounds) == set().union(*(ids for role, ids in found.items() if role.startswith(REMOVED)))


def test_it_is_a_claim_by_name():
    assert get_claim("alarm") == Alarm()
    assert EVALUATION == 0 and SampleSet(((256, 0.5),)).part == EVALUATION
